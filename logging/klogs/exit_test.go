package klogs

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// Where klog would end the process, the goroutine is ended, and whose it was is told.
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
		{"of nobody", func() { klog.Fatal("lost") }, true, "nobody: lost", "F main  lost\n"},
		{"Exitf", func() { klog.Exitf("lost %s", "it") }, false, "db: lost it", "F db    lost it\n"},
		{"FlushAndExit", func() { klog.FlushAndExit(time.Second, 3) }, false, "db: " + unsaid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ls, out := install(t, zapcore.ErrorLevel, logging.FormatConsole)
			var got string
			Install(ls, func(l *logging.Log, err error, code int) {
				name := "nobody"
				if l != nil {
					name = l.Name()
				}
				got = fmt.Sprintf("%s: %v", name, err)
				// After the first Exit of a process klog takes each Fatal for one, whose code is 1 and not 255.
				if code != 1 && code != 3 && code != 255 {
					t.Errorf("exit code %d", code)
				}
			})
			ended, went := make(chan struct{}), false
			go func() {
				defer close(ended)
				end := func() {
					test.end()
					went = true
				}
				if test.nobody {
					end()
				} else {
					ls.Server("db").Do(end)
				}
			}()
			<-ended
			if got != test.want {
				t.Errorf("told %q, want %q", got, test.want)
			}
			if diff := cmp.Diff(test.log, afterTime(out.take())); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if went {
				t.Error("the caller has gone on")
			}
		})
	}
}
