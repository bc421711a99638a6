package logging

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// A server's vmodule raises the verbosity of lines from this very file, for this server and for no other.
func TestVModule(t *testing.T) {
	const here, there = "I db    here\n", "I db    elsewhere\n"
	for _, test := range []struct {
		text string
		v    int
		want string
	}{
		{"", 0, here + there},
		{"", 1, ""},
		{"vmodule_test=5", 0, here + there},
		{"vmodule_test=5", 5, here},
		{"vmodule_test=5", 6, ""},
		{"main_test=5", 5, there},
		{"vmodule_test=5,main_test=3", 3, here + there},
		{"vmodule_test=5,main_test=3", 4, here},
		{" vmodule_test=5 , main_test=3 ,,", 3, here + there},
		{"vmodule_*=5", 5, here},
		{"*=5", 5, here + there},
		{"*_test=5", 5, here + there},
		{"vmodule_tes?=5", 5, here},
		{"[uv]module_test=5", 5, here},
		{"[^v]*=5", 5, there},
		{`vmodule\_test=5`, 5, here},
		// It is a file's name, whole, without its folder and without ".go".
		{"vmodule=5", 5, ""},
		{"vmodule_test.go=5", 5, ""},
		{"logging/vmodule_test=5", 5, ""},
		{"VModule_test=5", 5, ""},
		// The first that fits counts, as it does in klog.
		{"vmodule_test=2,*=5", 5, there},
		{"*=5,vmodule_test=2", 5, here + there},
		// It raises, and never lowers.
		{"vmodule_test=0", 0, here + there},
		{"vmodule_test=0", 1, ""},
		{"vmodule_test=1000", 127, here},
	} {
		t.Run(test.text, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out})
			db, api := ls.Server("db"), ls.Server("api")
			if err := db.SetVModule(test.text); err != nil {
				t.Fatal(err)
			}
			for _, l := range []logr.Logger{api.Logr(), db.Logr()} {
				l.V(test.v).Info("here")
				infoFromElsewhere(l.V(test.v), "elsewhere")
			}
			want := test.want
			if test.v == 0 {
				want = "I api   here\nI api   elsewhere\n" + want
			}
			if diff := cmp.Diff(want, written(ls, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// It holds for all loggers of the server, those that are there already and those that the line is placed with; and for
// none when it is taken back.
func TestVModuleOfAllLoggers(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out})
	db := ls.Server("db")
	made := db.Logr().WithName("made").WithValues("n", 1).V(2)
	shared := logr.New(ls.Sink(nil)).WithName("shared")
	say := func() {
		made.V(3).Info("x")
		db.Logr().V(5).Info("x")
		db.Do(func() {
			shared.V(5).Info("x")
			shared.WithValues("n", 1).V(5).Info("x")
		})
		// Nobody's line goes by the program's own vmodule.
		shared.V(5).Info("x")
		// zap's and slog's loggers know no verbosities.
		db.Zap().Debug("x")
		db.Slog().Debug("x")
		func() { db.Logr().WithCallDepth(1).V(5).Info("x") }()
	}
	const all = "I db    made: x n=1\nI db    x\nI db    shared: x\nI db    shared: x n=1\nI db    x\n"
	for _, step := range []struct{ text, want string }{{"", ""}, {"vmodule_test=5", all}, {"vmodule_test=4", ""}, {"vmod*=9", all}, {" , ", ""}} {
		if err := db.SetVModule(step.text); err != nil {
			t.Fatal(err)
		}
		say()
		if diff := cmp.Diff(step.want, written(ls, out)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", step.text, diff)
		}
	}
	if n := ls.Unplaced(); n != 0 {
		t.Errorf("%d lines are unplaced that are not written", n)
	}
}

// Two servers, and the same file.
func TestVModuleOfEachServer(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out})
	for name, text := range map[string]string{"a": "vmodule_test=2", "b": "vmodule_test=5", "c": ""} {
		if err := ls.Server(name).SetVModule(text); err != nil {
			t.Fatal(err)
		}
	}
	for v := 1; v <= 6; v++ {
		for _, name := range []string{"a", "b", "c"} {
			ls.Server(name).Logr().V(v).Info("x", "n", v)
		}
	}
	want := "I a     x n=1\nI b     x n=1\nI a     x n=2\nI b     x n=2\nI b     x n=3\nI b     x n=4\nI b     x n=5\n"
	if diff := cmp.Diff(want, written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVModuleThatIsWrong(t *testing.T) {
	ls := newLogs(t, Config{})
	db := ls.Server("db")
	if err := db.SetVModule("gc=5"); err != nil {
		t.Fatal(err)
	}
	for text, named := range map[string]string{
		"gc":                      `"gc"`,
		"gc=":                     `"gc="`,
		"=5":                      `"=5"`,
		"gc=x":                    `"gc=x"`,
		"gc=-1":                   `"gc=-1"`,
		"gc=1.5":                  `"gc=1.5"`,
		"gc=5=6":                  `"gc=5=6"`,
		"gc = 5":                  `"gc = 5"`,
		"a=1,gc,b=2":              `"gc"`,
		"[gc=5":                   `"[gc"`,
		`gc\=5`:                   `"gc\\"`,
		"gc=5 a=1":                `"gc=5 a=1"`,
		"gc=99999999999999999999": `"gc=99999999999999999999"`,
	} {
		if err := db.SetVModule(text); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%q: error %v, want one that names %s", text, err, named)
		}
	}
	if _, vmodule := ls.MostVerbose(); vmodule != "gc=5" {
		t.Errorf("what was wrong has changed it to %q", vmodule)
	}
}
