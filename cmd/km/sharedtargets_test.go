package main

import (
	"cmp"
	"reflect"
	"slices"
	"testing"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor"
)

// serverFlag is one server's flag.
type serverFlag struct {
	s *supervisor.Server
	*pflag.Flag
}

func (f serverFlag) String() string { return "--" + f.s.Name() + "." + f.Name }

// mayShare reports whether two servers' flags may be one variable: the same flag of the process in both.
func mayShare(a, b serverFlag) bool {
	return a.s == b.s || a.Name == b.Name && isProcess(a.s, a.Name) && isProcess(b.s, b.Name)
}

// flagsOf are the flags of servers.
func flagsOf(servers []*supervisor.Server) []serverFlag {
	var flags []serverFlag
	for _, s := range servers {
		for _, f := range all(s.Flags()) {
			flags = append(flags, serverFlag{s, f})
		}
	}
	return flags
}

// What a flag of one server is set to is no business of the others, unless it is one of the process. A flag that breaks
// this is a variable upstream that several components have together: whoever is parsed last decides for all.
func TestSharedTargetsBySetting(t *testing.T) {
	for i, s := range runnable() {
		t.Run(s.Name(), func(t *testing.T) {
			servers := runnable() // fresh ones: a flag that was set before tells nothing any more
			setAll(t, servers[i], flagsOf(servers))
		})
	}
}

// setAll sets all flags of one server, and sees which of all flags change.
func setAll(t *testing.T, s *supervisor.Server, flags []serverFlag) {
	t.Helper()
	values := map[*pflag.Flag]string{}
	for _, f := range flags {
		values[f.Flag] = f.Value.String()
	}
	for _, f := range flags {
		if f.s != s {
			continue
		}
		t.Cleanup(kept(f.Flag))
		checkSettable(t, f)
		for _, g := range flags {
			now := g.Value.String()
			if now != values[g.Flag] && !mayShare(f, g) {
				t.Errorf("Setting %v changed %v from %q to %q: it is one variable of the process; add it to servers/process.Flags.",
					f, g, values[g.Flag], now)
			}
			values[g.Flag] = now
		}
	}
}

// checkSettable gives a flag another value. One that cannot be set could hide what it is shared with.
func checkSettable(t *testing.T, f serverFlag) {
	t.Helper()
	full := f.s.Name() + "." + f.Name
	switch err := setOther(f.s.Name(), f.Flag); {
	case err != nil && unsettable[full] == "":
		t.Errorf("--%s cannot be set: %v: add a value that it takes to candidates, for its type or for it alone.", full, err)
	case err == nil && unsettable[full] != "":
		t.Errorf("--%s can be set: remove it from unsettable.", full)
	}
}

// target is memory that a flag's value is kept in.
type target struct {
	start, end uintptr
	flag       serverFlag
	path       string // how it is reached from the flag's Value
}

// maxDepth is how many pointers are followed from a flag's Value: a wrapper, what it wraps, and the variable.
const maxDepth = 3

// targets are all that is reached from a flag's Value.
func targets(f serverFlag) []target {
	w := &walker{flag: f, seen: map[seenAt]bool{}}
	w.walk(reflect.ValueOf(f.Value), "Value", 0)
	return w.found
}

type seenAt struct {
	address uintptr
	kind    reflect.Type
}

type walker struct {
	flag  serverFlag
	seen  map[seenAt]bool
	found []target
}

// walk follows pointers, interfaces, fields and maps. What is in slices is not looked at: their places are the flag's
// own as long as the slice is.
func (w *walker) walk(v reflect.Value, path string, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || depth == maxDepth || w.seen[seenAt{v.Pointer(), v.Type()}] {
			return
		}
		w.seen[seenAt{v.Pointer(), v.Type()}] = true
		if size := v.Type().Elem().Size(); size > 0 {
			w.found = append(w.found, target{v.Pointer(), v.Pointer() + size, w.flag, path + " " + v.Type().String()})
		}
		w.walk(v.Elem(), "*"+path, depth+1)
	case reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem(), path, depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.walk(v.Field(i), path+"."+v.Type().Field(i).Name, depth)
		}
	case reflect.Map:
		if !v.IsNil() && v.Type().Elem().Kind() != reflect.Func { // functions are no values that a flag is set to
			w.found = append(w.found, target{v.Pointer(), v.Pointer() + 1, w.flag, path + " " + v.Type().String()})
		}
	}
}

// overlaps calls f for each two targets that are, at least in part, the same memory.
func overlaps(found []target, f func(a, b target)) {
	slices.SortStableFunc(found, func(a, b target) int { return cmp.Compare(a.start, b.start) })
	for i, a := range found {
		for _, b := range found[i+1:] {
			if b.start >= a.end {
				break
			}
			f(a, b)
		}
	}
}

// The same as TestSharedTargetsBySetting, seen from the other side: also what a value does not show would be found.
func TestSharedTargetsByPointer(t *testing.T) {
	var found []target
	for _, f := range flagsOf(runnable()) {
		found = append(found, targets(f)...)
	}
	if len(found) == 0 {
		t.Fatal("No flag has a pointer to its value: the search does not find what it is for.")
	}
	overlaps(found, func(a, b target) {
		if !mayShare(a.flag, b.flag) {
			t.Errorf("%v (%s) and %v (%s) are kept in the same memory: it is one variable of the process; add it to servers/process.Flags.",
				a.flag, a.path, b.flag, b.path)
		}
	})
}

// variables are the flags whose values are variables of packages, although only one server has them, and who reads
// them. Where only that server runs the package's code, that is fine; it has to start from what it was given all the
// same, each time.
var variables = map[string]string{
	"apiserver.default-not-ready-toleration-seconds":   "k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds, a plugin of the apiserver",
	"apiserver.default-unreachable-toleration-seconds": "k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds, a plugin of the apiserver",
	"etcd.raft-read-timeout":                           "go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp, connections between members",
	"etcd.raft-write-timeout":                          "go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp, connections between members",
	"executor.housekeeping-interval":                   "github.com/google/cadvisor/lib/manager, in the kubelet",
	"executor.version":                                 "k8s.io/component-base/version/verflag, where vX.Y.Z sets the version that the whole process reports",
}

// A flag that two independent km have in the same place is a variable of a package.
func TestPackageVariables(t *testing.T) {
	first, second := flagsOf(runnable()), flagsOf(runnable())
	known := map[string]bool{}
	var found []target
	for _, f := range append(slices.Clone(first), second...) {
		found = append(found, targets(f)...)
	}
	overlaps(found, func(a, b target) {
		if a.flag.s == b.flag.s || a.flag.s.Name() != b.flag.s.Name() || isProcess(a.flag.s, a.flag.Name) {
			return
		}
		full := a.flag.s.Name() + "." + a.flag.Name
		if variables[full] == "" && !known[full] {
			t.Errorf("%v is kept in a variable of a package (%s): find out who reads it. If it is code that several servers run, add it to "+
				"servers/process.Flags; else add it to variables here, with the package.", a.flag, a.path)
		}
		known[full] = true
	})
	for full, where := range variables {
		if !known[full] {
			t.Errorf("--%s is not kept in a variable of a package (%s) any more: remove it from variables.", full, where)
		}
	}
}
