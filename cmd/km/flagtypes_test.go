package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// shape is how a flag takes several values, which is what a configuration file has to know of it.
type shape string

const (
	single   shape = "single"   // one value; a second one replaces it
	list     shape = "list"     // each Set appends; one may have several, with commas
	repeated shape = "repeated" // each Set appends, and has one: a comma is part of it
	comma    shape = "comma"    // one Set takes all, with commas; a second one replaces them
	// each Set adds pairs of key and value, one or several with commas; a key's second value replaces the first
	mapping  shape = "map"
	multimap shape = "multimap" // as map, but a key keeps all its values
)

// example is a flag of a type, and two values that it takes. For a map they are pairs with different keys.
type example struct{ flag, a, b string }

// shapes are those of all types that flags of servers have. A type with several implementations has an example of each.
var shapes = map[string]struct {
	shape    shape
	examples []example
}{
	"Level": {single, []example{{"scheduler.v", "1", "2"}}},
	// Upstream looks later whether they are what they should be.
	"LocalMode":       {single, []example{{"proxy.detect-local-mode", "NodeCIDR", "ClusterCIDR"}}},
	"ProxyMode":       {single, []example{{"proxy.proxy-mode", "nftables", "iptables"}}},
	"SelectiveString": {single, []example{{"etcd.initial-cluster-state", "new", "existing"}}},
	"bool": {single, []example{{"apiserver.profiling", "true", "false"}, {"apiserver.anonymous-auth", "true", "false"},
		{"etcd.auto-tls", "true", "false"}}},
	"duration": {single, []example{{"apiserver.request-timeout", "1s", "2s"}, {"etcd.compact-hash-check-time", "1s", "2s"}}},
	"float32":  {single, []example{{"scheduler.kube-api-qps", "1", "2"}}},
	"float64":  {single, []example{{"apiserver.goaway-chance", "0.1", "0.2"}}},
	"int":      {single, []example{{"dns.port", "1", "2"}, {"etcd.max-learners", "1", "2"}}},
	"int32":    {single, []example{{"executor.port", "1", "2"}}},
	"int64":    {single, []example{{"executor.max-open-files", "1", "2"}, {"etcd.quota-backend-bytes", "1", "2"}}},
	"ip":       {single, []example{{"apiserver.bind-address", "127.0.0.1", "127.0.0.2"}, {"executor.address", "127.0.0.1", "127.0.0.2"}}},
	"ipport":   {single, []example{{"proxy.healthz-bind-address", "127.0.0.1:1", "127.0.0.2:2"}}},
	"string": {single, []example{{"executor.config", "x", "y"}, {"apiserver.oidc-client-id", "x", "y"},
		{"etcd.name", "x", "y"}}},
	"uint":      {single, []example{{"apiserver.kubelet-port", "1", "2"}, {"etcd.max-wals", "1", "2"}}},
	"uint32":    {single, []example{{"etcd.max-concurrent-streams", "1", "2"}}},
	"uint64":    {single, []example{{"etcd.snapshot-count", "1", "2"}}},
	"portRange": {single, []example{{"apiserver.service-node-port-range", "30000-30001", "30002-30003"}}},
	"quantity":  {single, []example{{"scheduler.log-text-info-buffer-size", "1Ki", "2Ki"}}},
	"version":   {single, []example{{"executor.version", "raw", "true"}}},

	"int32Slice":    {list, []example{{"apiserver.tls-curve-preferences", "23", "24"}}},
	"stringSlice":   {list, []example{{"apiserver.etcd-servers", "http://a", "http://b"}, {"apiserver.oidc-signing-algs", "RS384", "RS512"}}},
	"pattern=N,...": {list, []example{{"scheduler.vmodule", "a=1", "b=2"}}}, // a file may stand there twice

	"stringArray":     {repeated, []example{{"apiserver.service-account-issuer", "https://a", "https://b"}}},
	"namedCertKey":    {repeated, []example{{"apiserver.tls-sni-cert-key", "a.crt,a.key:a,aa", "b.crt,b.key:b,bb"}}},
	"reserved-memory": {repeated, []example{{"executor.reserved-memory", "0:memory=1Gi", "1:memory=2Gi"}}},

	"Strings":       {comma, []example{{"etcd.cipher-suites", "x", "y"}}},
	"UniqueStrings": {comma, []example{{"etcd.host-whitelist", "x", "y"}}},
	"UniqueURLs":    {comma, []example{{"etcd.listen-client-urls", "http://127.0.0.1:1", "http://127.0.0.1:2"}}},
	"[]v1.Taint":    {comma, []example{{"executor.register-with-taints", "x=y:NoSchedule", "z=y:NoExecute"}}},

	"stringToString": {mapping, []example{{"apiserver.allow-metric-labels", "x=1", "y=2"}}},
	"mapStringBool":  {mapping, []example{{"executor.feature-gates", "x=true", "y=false"}, {"etcd.feature-gates", "LeaseCheckpoint=true", "CompactHashCheck=true"}}},
	"mapStringString": {mapping, []example{{"executor.system-reserved", "cpu=1", "memory=2"}, {"executor.node-labels", "x=1", "y=2"},
		{"apiserver.oidc-required-claim", "x=1", "y=2"}, {"executor.eviction-hard", "memory.available<1", "nodefs.available<2"}}},

	"colonSeparatedMultimapStringString": {multimap, []example{{"executor.manifest-url-header", "x:1", "y:2"}}},
}

// A flag of a type that nobody has looked at may take several values in a way of its own.
func TestFlagTypes(t *testing.T) {
	implementations := map[string][]string{}
	for _, f := range flagsOf(runnable()) {
		name, kind := f.Value.Type(), implementation(f.Value)
		if _, known := shapes[name]; !known {
			t.Errorf("%v has the type %q (%s), which is new: find out how it takes several values, add it to shapes in this file with an example, "+
				"and see that supervisor's configuration files do the same with it.", f, name, kind)
		} else if !slices.Contains(implementations[name], kind) {
			implementations[name] = append(implementations[name], kind)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		kinds := implementations[name]
		if len(kinds) == 0 {
			t.Errorf("No flag has the type %q any more: remove it from shapes.", name)
		}
		for _, e := range shapes[name].examples {
			kind := checkShape(t, name, shapes[name].shape, e)
			kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == kind })
		}
		for _, kind := range kinds {
			t.Errorf("The type %q is also %s: add an example of a flag with it to shapes.", name, kind)
		}
	}
}

// Config files go by component.FlagTypes, where a type is not one of pflag's own.
func TestConfigKnowsFlagTypes(t *testing.T) {
	types := map[shape]supervisor.FlagType{single: supervisor.SingleValue, list: supervisor.Repeated, repeated: supervisor.Repeated,
		comma: supervisor.CommaSeparated, mapping: supervisor.Pairs, multimap: supervisor.Pairs}
	for name, s := range shapes {
		if ofPflag := slices.Contains([]string{"int32Slice", "stringSlice", "stringArray", "stringToString"}, name); ofPflag {
			continue
		}
		if got := component.FlagTypes[name]; got != types[s.shape] {
			t.Errorf("The type %q is of the shape %s, so component.FlagTypes has to have %d for it, not %d.", name, s.shape, types[s.shape], got)
		}
	}
}

// implementation names the Go type of a flag's value, without the one that pflag wraps around those of the flag
// package.
func implementation(v pflag.Value) string {
	r := reflect.ValueOf(v)
	if r.Type().String() == "*pflag.flagValueWrapper" {
		r = r.Elem().FieldByName("inner").Elem()
	}
	return r.Type().String()
}

// after is what a flag has when it was set to some values, one after the other.
func after(t *testing.T, full string, values ...string) (string, *pflag.Flag) {
	t.Helper()
	server, name, _ := strings.Cut(full, ".")
	s, err := newKM().FindServer(server)
	if err != nil {
		t.Fatalf("There is no server %s: correct the example --%s in shapes.", server, full)
	}
	f := s.Flags().Lookup(name)
	if f == nil {
		t.Fatalf("There is no flag --%s: take another example in shapes.", full)
	}
	defer kept(f)()
	for _, value := range values {
		if err := f.Value.Set(value); err != nil {
			return fmt.Sprintf("error: %v", err), f
		}
	}
	return f.Value.String(), f
}

// checkShape sees whether a flag behaves as its shape says, and returns the implementation of its type.
func checkShape(t *testing.T, name string, want shape, e example) string {
	t.Helper()
	a, f := after(t, e.flag, e.a)
	if f.Value.Type() != name {
		t.Errorf("--%s has the type %q, want %q: take another example in shapes.", e.flag, f.Value.Type(), name)
	}
	b, _ := after(t, e.flag, e.b)
	both, _ := after(t, e.flag, e.a, e.b)
	joined, _ := after(t, e.flag, e.a+","+e.b)
	again, _ := after(t, e.flag, e.a, changed(e.a))
	once, _ := after(t, e.flag, changed(e.a))
	if a == b || strings.HasPrefix(a, "error: ") || strings.HasPrefix(b, "error: ") {
		t.Errorf("--%s=%s is %q, --%s=%s is %q: take values in shapes that it takes.", e.flag, e.a, a, e.flag, e.b, b)
	}
	contains := func(text string) bool { return strings.Contains(text, e.a) && strings.Contains(text, e.b) }
	var got bool
	switch want {
	case single:
		got = both == b
	case list:
		got = contains(both) && joined == both
	case repeated:
		got = contains(both) && joined != both
	case comma:
		got = both == b && contains(joined)
	case mapping:
		got = contains(both) && joined == both && again == once
	case multimap:
		got = contains(both) && joined == both && again != once
	}
	if _, isSlice := f.Value.(pflag.SliceValue); isSlice && want != list && want != repeated {
		got = false
	}
	if !got {
		t.Errorf("--%s does not behave as %s: set to %q and then to %q it is %q, set to both at once it is %q: correct shapes, and see what "+
			"supervisor's configuration files do with the type %q.", e.flag, want, e.a, e.b, both, joined, name)
	}
	return implementation(f.Value)
}

// changed is a pair with another value for the same key.
func changed(pair string) string {
	switch {
	case strings.HasSuffix(pair, "true"):
		return strings.TrimSuffix(pair, "true") + "false"
	case strings.HasSuffix(pair, "1"):
		return strings.TrimSuffix(pair, "1") + "2"
	}
	return pair
}
