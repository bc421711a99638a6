package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/supervisor"
)

var newKM = km.New

var update = flag.Bool("update", false, "write testdata/flags.txt anew")

// runnable are the servers that can be run beside others. They come with flags of their own for each call; what their
// flags keep in variables of the process is the same for all of them.
func runnable() []*supervisor.Server {
	return slices.DeleteFunc(newKM().Servers(), func(s *supervisor.Server) bool { return s.Run == nil })
}

// all are the flags of a set, sorted by name.
func all(fs *pflag.FlagSet) []*pflag.Flag {
	var flags []*pflag.Flag
	fs.VisitAll(func(f *pflag.Flag) { flags = append(flags, f) })
	slices.SortFunc(flags, func(a, b *pflag.Flag) int { return strings.Compare(a.Name, b.Name) })
	return flags
}

// isProcess reports whether a flag has one value for all servers.
func isProcess(s *supervisor.Server, flag string) bool { return slices.Contains(s.ProcessFlags, flag) }

// notOnLinux leaves out what is about the flags of Linux: elsewhere upstream has a few less, or others.
func notOnLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("testdata is about the flags that there are on Linux")
	}
}

// goldenLine is how a flag stands in testdata/flags.txt.
func goldenLine(f *pflag.Flag) string {
	line := "--" + f.Name + " " + f.Value.Type()
	if f.Hidden {
		line += " hidden"
	}
	if f.Deprecated != "" {
		line += " deprecated"
	}
	return line
}

// What users may write is what upstream gives km: a flag that comes, goes, or changes its type with an upgrade is to be
// seen by the one who upgrades.
func TestFlagsGolden(t *testing.T) {
	notOnLinux(t)
	var now []string
	for _, f := range all(newKM().RunFlags()) {
		now = append(now, goldenLine(f))
	}
	slices.Sort(now)
	file := filepath.Join("testdata", "flags.txt")
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: make it with `go test ./cmd/km -update`", err)
	}
	before := strings.Split(strings.TrimSpace(string(text)), "\n")
	added, removed := missing(now, before), missing(before, now)
	if len(added)+len(removed) == 0 {
		return
	}
	t.Errorf("The flags of `km run` are not those of %s.\nadded:%s\nremoved:%s\n%s", file, indented(added), indented(removed),
		"Read upstream's notes about each. A new one that several servers have belongs into testdata/shared.txt; one that takes effect "+
			"in the whole process belongs into servers/process.Flags; users of one that is gone have to be told. Then write the list "+
			"anew: go test ./cmd/km -run TestFlagsGolden -update")
}

// missing are the items that are in a and not in b.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(item string) bool { return slices.Contains(b, item) })
}

// indented are lines below a heading.
func indented(lines []string) string {
	if len(lines) == 0 {
		return " none"
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

// Nothing that upstream's binary takes may be lost on the way into km.
func TestEveryUpstreamFlagIsThere(t *testing.T) {
	hk := newKM()
	run := hk.RunFlags()
	for _, s := range hk.Servers() {
		if s.Run == nil {
			continue
		}
		own := all(s.Flags())
		if len(own) == 0 {
			t.Errorf("%s has no flags at all: look at its AddFlags", s.Name())
		}
		for _, f := range own {
			names := []string{s.Name() + "." + f.Name}
			if isProcess(s, f.Name) {
				names = append(names, f.Name)
			}
			for _, name := range names {
				if err := sameFlag(run.Lookup(name), f, isProcess(s, f.Name)); err != nil {
					t.Errorf("--%s of `km run`, which is --%s of %s, %v: see supervisor/flags.go", name, f.Name, s.Name(), err)
				}
			}
		}
	}
}

// sameFlag returns an error that says how a flag of `run` is not what a server's is. One of the process is shown as the
// first server has it.
func sameFlag(run, own *pflag.Flag, process bool) error {
	switch {
	case run == nil:
		return fmt.Errorf("is missing")
	case process:
		return nil
	case run.Value.Type() != own.Value.Type():
		return fmt.Errorf("has the type %s, want %s", run.Value.Type(), own.Value.Type())
	case run.Value.String() != own.Value.String():
		return fmt.Errorf("is %q, want %q", run.Value.String(), own.Value.String())
	case run.NoOptDefVal != own.NoOptDefVal:
		return fmt.Errorf("means %q without a value, want %q", run.NoOptDefVal, own.NoOptDefVal)
	}
	return nil
}
