package process

import (
	"reflect"

	"github.com/wzshiming/easycel"
	"sigs.k8s.io/kwok/pkg/utils/cel"
)

// AddStageFunctions has the expressions (CEL) of kwok's Stages know functions. It belongs before the first server's
// start: kwok has them in a map without a lock (sigs.k8s.io/kwok/pkg/utils/cel.DefaultFuncs). Without it a Stage cannot
// say when a pod's next step is due.
func AddStageFunctions(functions map[string]any) error {
	for name, function := range functions {
		cel.DefaultFuncs[name] = []any{function}
	}
	return learnTypes()
}

// learnTypes has what compiles the expressions know all types that they may meet: it keeps what it has learned of a
// type in maps without a lock (github.com/wzshiming/easycel, typeValueMap), and kwok compiles the Stages of nodes and
// those of pods beside each other. Without it a start ends now and then with "concurrent map read and map write".
func learnTypes() error {
	r := easycel.NewRegistry("km", easycel.WithTagName("json"))
	for _, conversion := range cel.DefaultConversions {
		if err := r.RegisterConversion(conversion); err != nil {
			return err
		}
	}
	for _, t := range cel.DefaultTypes {
		if err := r.RegisterType(t); err != nil {
			return err
		}
	}
	for name, all := range cel.DefaultFuncs {
		for _, function := range all {
			if err := r.RegisterFunction(name, function); err != nil {
				return err
			}
		}
	}
	for name, all := range cel.FuncsToMethods(cel.DefaultFuncs) {
		for _, method := range all {
			if err := r.RegisterMethod(name, method); err != nil {
				return err
			}
		}
	}
	seen := map[reflect.Type]bool{}
	for _, t := range cel.DefaultTypes {
		learn(r, reflect.TypeOf(t), seen)
	}
	return nil
}

// learn asks for each field of a type, and of those that it leads to.
func learn(r *easycel.Registry, t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		learn(r, t.Elem(), seen)
	case reflect.Map:
		learn(r, t.Key(), seen)
		learn(r, t.Elem(), seen)
	case reflect.Struct:
		name := t.String()
		r.FindStructType(name)
		fields, _ := r.FindStructFieldNames(name) // there are none of a type that is not known
		for _, field := range fields {
			r.FindStructFieldType(name, field)
		}
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				learn(r, t.Field(i).Type, seen)
			}
		}
	}
}
