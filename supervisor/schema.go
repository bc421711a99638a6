package supervisor

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// object is one of JSON.
type object map[string]any

// schema is the JSON schema (draft 7, which editors know) of config files.
func (hk *HyperKube) schema() object {
	r := hk.flagsToShow()
	names := []string{"all"}
	for _, s := range hk.servers {
		if s.Run != nil || len(s.Members) > 0 {
			names = append(names, s.names()...)
		}
	}
	top := object{serversKey: object{
		"description": "servers to run; what they need joins by itself. Default: " + strings.Join(hk.defaultNames(), ", "),
		"anyOf":       []object{{"type": "array", "minItems": 1, "items": object{"enum": names}}, {"type": "string", "minLength": 1}},
	}}
	sections := map[*Server]object{}
	for _, s := range hk.servers {
		if s.Run != nil {
			sections[s] = object{}
			top[s.Name()] = object{
				"description":          strings.Join(strings.Fields(s.Long), " "),
				"type":                 []string{"object", "null"},
				"additionalProperties": false,
				"properties":           sections[s],
			}
		}
	}
	r.VisitAll(func(f *pflag.Flag) {
		_, flag, _ := strings.Cut(f.Name, ".")
		switch s := r.server(f); {
		case s != nil:
			sections[s][flag] = r.property(f)
		case inFiles(f):
			top[f.Name] = r.property(f)
		}
	})
	return object{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                fmt.Sprintf("config file of %s run", hk.Name),
		"type":                 "object",
		"additionalProperties": false,
		"properties":           top,
	}
}

// property is the schema of one flag's value.
func (rf *runFlags) property(f *pflag.Flag) object {
	one := scalar(f)
	if values := rf.enum(f); values != nil {
		one = object{"enum": values}
	}
	p := one
	switch rf.typeOf(f) {
	case Repeated, CommaSeparated:
		p = object{"anyOf": []object{one, {"type": "array", "minItems": 1, "items": one}}}
	case Pairs:
		p = object{"anyOf": []object{one, {"type": "array", "minItems": 1, "items": one},
			{"type": "object", "minProperties": 1, "additionalProperties": one}}}
	}
	p["description"] = f.Usage
	if f.Deprecated != "" {
		p["description"] = fmt.Sprintf("%s (deprecated: %s)", f.Usage, f.Deprecated)
	}
	if value := typed(one, f.DefValue); value != nil {
		p["default"] = value
	}
	return p
}

// enum are the values that a flag for one value may have, if they can be counted.
func (rf *runFlags) enum(f *pflag.Flag) (enum []any) {
	name := f.Name
	if rf.server(f) != nil {
		_, name, _ = strings.Cut(name, ".")
	}
	kind := scalar(f)["type"]
	if name == "log-level" || rf.typeOf(f) != SingleValue || kind == "boolean" {
		return nil // not all levels have names
	}
	values := rf.valuesOf(f.Name)
	if len(values) == 0 {
		return nil
	}
	add := func(value any) {
		if !slices.Contains(enum, value) {
			enum = append(enum, value)
		}
	}
	for _, value := range append(slices.Clone(values), f.DefValue) {
		text, _, _ := strings.Cut(value, "\t") // a description follows
		number := json.Unmarshal([]byte(text), new(json.Number)) == nil && text != "null"
		switch {
		case number: // as YAML and JSON have it without quotes
			add(json.Number(text))
		case text == "true", text == "false":
			add(text == "true")
		}
		if kind != "integer" && kind != "number" {
			add(text)
		}
	}
	return enum
}

// The types of pflag's flags that are integers. Those of lists begin so, too.
var (
	unsignedType = regexp.MustCompile(`^uint(8|16|32|64)?$`)
	integerType  = regexp.MustCompile(`^(int(8|16|32|64)?|count)$`)
)

// scalar is the schema of one value of a flag. A file's scalars are taken as they are written: a text may look like a
// number.
func scalar(f *pflag.Flag) object {
	switch t := f.Value.Type(); {
	case t == "bool":
		return object{"type": "boolean"}
	case unsignedType.MatchString(t):
		return object{"type": "integer", "minimum": 0}
	case integerType.MatchString(t):
		return object{"type": "integer"}
	case t == "float32", t == "float64":
		return object{"type": "number"}
	}
	return object{"type": []string{"string", "number", "boolean"}}
}

// typed is a flag's default as a value of the type, or nil if it is none.
func typed(one object, text string) any {
	switch one["type"] {
	case "boolean":
		if value, err := strconv.ParseBool(text); err == nil {
			return value
		}
	case "integer", "number":
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
	}
	return nil
}

// printSchema is `config schema`.
func (hk *HyperKube) printSchema() error {
	e := json.NewEncoder(hk.Out())
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(hk.schema())
}
