package supervisor

import "github.com/spf13/pflag"

// FlagType says how a flag takes several values.
type FlagType int

// The kinds of flags.
const (
	// SingleValue is for one value: the last one that is given counts.
	SingleValue FlagType = iota
	// Repeated adds each value that is given to those before.
	Repeated
	// CommaSeparated takes several comma-separated values at once; they replace those that were given before.
	CommaSeparated
	// Pairs takes KEY=VALUE, and adds each that is given to those before.
	Pairs
)

// typeOf says how a flag of `run` takes several values.
func (rf *runFlags) typeOf(f *pflag.Flag) FlagType {
	switch wrapped := f.Value.(type) {
	case *serverValue:
		return rf.hk.typeOf(wrapped.f.Value)
	case *processValue:
		return rf.hk.typeOf(wrapped.flag.model.Value)
	case *memberValue:
		return rf.hk.typeOf((*wrapped)[0].f.Value)
	}
	return rf.hk.typeOf(f.Value)
}

// collects reports whether each value that is given to the flag counts, and not the last one alone.
func (rf *runFlags) collects(f *pflag.Flag) bool {
	t := rf.typeOf(f)
	return t == Repeated || t == Pairs
}

// typeOf says how a flag with that value takes several ones.
func (hk *HyperKube) typeOf(v pflag.Value) FlagType {
	if t, ok := hk.FlagTypes[v.Type()]; ok {
		return t
	}
	switch v.Type() {
	case "stringToString", "stringToInt", "stringToInt64":
		return Pairs
	case "stringSlice": // whatever it is made of
		return Repeated
	}
	if _, ok := v.(pflag.SliceValue); ok {
		return Repeated
	}
	return SingleValue
}
