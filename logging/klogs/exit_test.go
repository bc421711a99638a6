package klogs

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// Where klog would end the process, the goroutine ends, and exit gets its Log.
func TestExit(t *testing.T) {
	const unsaid = "it ended itself with exit code 3; its last lines in the log say why"
	for _, test := range []struct {
		name   string
		end    func()
		nobody bool // no server started the goroutine
		want   string
		log    string
	}{
		{"Fatal", func() { klog.Fatal("lost the lease") }, false, "db: lost the lease", "F db    lost the lease\n"},
		{"Fatalf", func() { klog.Fatalf("lost %s", "it") }, false, "db: lost it", "F db    lost it\n"},
		{"Fatalln", func() { klog.Fatalln("lost", "it") }, false, "db: lost it", "F db    lost it\n"},
		{"of nobody", func() { klog.Fatal("lost") }, true, "nobody: lost", "F main  lost\n"},
		{"Exit", func() { klog.Exit("lost") }, false, "db: lost", "F db    lost\n"},
		{"Exitf", func() { klog.Exitf("lost %s", "it") }, false, "db: lost it", "F db    lost it\n"},
		{"FlushAndExit", func() { klog.FlushAndExit(time.Second, 3) }, false, "db: " + unsaid, ""},
		{"FlushAndExit of nobody", func() { klog.FlushAndExit(time.Second, 3) }, true, "nobody: " + unsaid, ""},
		{"an error, and FlushAndExit", func() { klog.ErrorS(errors.New("boom"), "x"); klog.FlushAndExit(time.Second, 3) }, false,
			"db: it ended itself with exit code 3: x", "E db    x err=boom\n"},
		{"in a goroutine that the server has started", func() { inGoroutine(func() { klog.Fatal("lost") }); runtime.Goexit() }, false,
			"db: lost", "F db    lost\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ls, out := install(t, logging.Config{Level: zapcore.ErrorLevel})
			db := ls.Server("db")
			told, log := "", ""
			Install(ls, func(l *logging.Log, err error, code int) {
				name := "nobody"
				if l != nil {
					name = l.Name()
				}
				told = fmt.Sprintf("%s: %v", name, err)
				// All that was said has been written: the process may end now.
				_, log, _ = strings.Cut(out.take(), " ")
				// After the first Exit of a process klog takes each Fatal for one, whose code is 1 and not 255.
				if code != 1 && code != 3 && code != 255 {
					t.Errorf("exit code %d", code)
				}
			})
			went := false
			inGoroutine(func() {
				end := func() {
					test.end()
					went = true
				}
				if test.nobody {
					end()
				} else {
					db.Do(end)
				}
			})
			if went {
				t.Error("the caller has gone on")
			}
			if told != test.want {
				t.Errorf("told %q, want %q", told, test.want)
			}
			if diff := cmp.Diff(test.log, log); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

// What one server has said at last is no other server's reason.
func TestExitOfSeveralServers(t *testing.T) {
	ls, _ := install(t, logging.Config{})
	var told []string
	Install(ls, func(l *logging.Log, err error, _ int) { told = append(told, fmt.Sprintf("%s: %v", l.Name(), err)) })
	for _, name := range []string{"a", "b"} {
		inGoroutine(func() { ls.Server(name).Do(func() { klog.Fatal(name + " is lost") }) })
	}
	inGoroutine(func() { ls.Server("c").Do(func() { klog.FlushAndExit(time.Second, 4) }) })
	inGoroutine(func() { ls.Server("a").Do(func() { klog.Exit("a again") }) })
	want := []string{"a: a is lost", "b: b is lost", "c: it ended itself with exit code 4; its last lines in the log say why", "a: a again"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
