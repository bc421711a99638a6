package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// candidates are values of flags whose type alone does not tell what they take, by server and name, or by type.
var candidates = map[string][]string{
	"Level":                              {"3", "4"},
	"LocalMode":                          {"NodeCIDR", "ClusterCIDR"},
	"ProxyMode":                          {"iptables", "nftables"},
	"SelectiveString":                    {"existing", "new"},
	"Strings":                            {"a,b"},
	"UniqueStrings":                      {"a,b"},
	"UniqueURLs":                         {"http://127.0.0.1:1234"},
	"[]v1.Taint":                         {"a=b:NoSchedule"},
	"colonSeparatedMultimapStringString": {"a:b"},
	"int32Slice":                         {"23,24"},
	"ip":                                 {"127.0.0.2", "127.0.0.3"},
	"ipport":                             {"127.0.0.2:1234", "127.0.0.3:1234"},
	"mapStringBool":                      {"AllAlpha=false"},
	"mapStringString":                    {"a=b"},
	"namedCertKey":                       {"a.crt,a.key:a.example"},
	"pattern=N,...":                      {"a=1"},
	"portRange":                          {"30000-30001"},
	"quantity":                           {"4Ki"},
	"reserved-memory":                    {"0:memory=1Gi"},
	"string":                             {"another"},
	"stringArray":                        {"another"},
	"stringSlice":                        {"another,one"},
	"stringToString":                     {"a=b"},
	"version":                            {"raw"}, // vX.Y.Z would be the version of the whole process from then on

	"apiserver.feature-gates":          {"AllAlpha=false"},
	"controller-manager.feature-gates": {"AllAlpha=false"},
	"scheduler.feature-gates":          {"AllAlpha=false"},
	"executor.eviction-hard":           {"memory.available<1Gi"},
	"executor.eviction-soft":           {"memory.available<1Gi"},
}

// unsettable are flags of which no other valid value is known, and why. Add none that can be set.
var unsettable = map[string]string{}

// otherValues are values that a flag may take and that may be others than it has.
func otherValues(server string, f *pflag.Flag) []string {
	now, kind := f.Value.String(), f.Value.Type()
	if values := candidates[server+"."+f.Name]; values != nil {
		return values
	}
	switch kind {
	case "bool":
		return []string{"true", "false"}
	case "duration":
		d, err := time.ParseDuration(now)
		if err != nil {
			return nil
		}
		return []string{(d + time.Second).String()}
	case "int", "int32", "int64":
		n, err := strconv.ParseInt(now, 10, 64)
		if err != nil {
			return nil
		}
		return []string{strconv.FormatInt(n+1, 10), strconv.FormatInt(n-1, 10)}
	case "uint", "uint32", "uint64":
		n, err := strconv.ParseUint(now, 10, 64)
		if err != nil {
			return nil
		}
		return []string{strconv.FormatUint(n+1, 10), strconv.FormatUint(n-1, 10)}
	case "float32", "float64":
		n, err := strconv.ParseFloat(now, 64)
		if err != nil {
			return nil
		}
		return []string{strconv.FormatFloat(n+0.5, 'g', -1, 64)}
	}
	return candidates[kind]
}

// setOther gives a flag another value than it has.
func setOther(server string, f *pflag.Flag) error {
	before := f.Value.String()
	err := fmt.Errorf("no candidate for the type %s", f.Value.Type())
	for _, value := range otherValues(server, f) {
		if err = f.Value.Set(value); err == nil && f.Value.String() != before {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("it is %q whatever it is set to", before)
	}
	return err
}

// kept returns a function that gives a flag back what it has now, as far as that can be done: it may be a variable of a
// package, which the next server's flags and the next test start from. What the feature gates of the process were given
// cannot be taken back; so candidates has for them what they are anyway.
func kept(f *pflag.Flag) (restore func()) {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		before := list.GetSlice()
		return func() { _ = list.Replace(before) }
	}
	before := f.Value.String()
	return func() {
		if f.Name != "feature-gates" {
			_ = f.Value.Set(before) // some types do not take what they print
		}
	}
}
