package timeline

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

var updateAnalyses = flag.Bool("update-analyses", false, "write what is printed now to testdata, as what is wanted")

// startedAt is a server that was started and became ready so many seconds after the beginning. Less than zero: it was
// not.
func startedAt(name string, started, ready float64, needs ...string) Server {
	s := Server{Name: name, State: life.Ready, Needs: needs}
	if started >= 0 {
		s.FirstStarted = at(started)
	}
	if ready >= 0 {
		s.FirstReady = at(ready)
	}
	return s
}

// inState is the server in another state, since so many seconds after the beginning.
func inState(state life.State, since float64, s Server) Server {
	s.State, s.Since = state, at(since)
	return s
}

// analyses are what the tests look at, by the name of the file in testdata that says what is printed. It is then 9
// seconds after the beginning.
func analyses() map[string]*Run {
	restarted := startedAt("etcd", 0.4, 0.7)
	restarted.Since = at(8)
	long := strings.Repeat("a-very-long-name-", 4)
	all := map[string]*Run{
		"usual": {Servers: []Server{
			startedAt("controller-manager", 2.614, 3.312, "apiserver"),
			startedAt("scheduler", 2.614, 3.1, "apiserver"),
			startedAt("apiserver", 0.712, 2.614, "etcd", "admission"),
			startedAt("etcd", 0.412, 0.712),
			startedAt("admission", 0.413, 0.6),
			startedAt("dns", 2.615, 2.616, "apiserver"),
		}},
		"one":     {Servers: []Server{startedAt("etcd", 0.5, 0.75)}},
		"instant": {Servers: []Server{startedAt("etcd", 0, 0)}},
		"none":    {},
		// Each is not ready for another reason.
		"unready": {Servers: []Server{
			startedAt("etcd", 0.4, 0.7),
			inState(life.Starting, 0.7, startedAt("apiserver", 0.7, -1, "etcd")),
			inState(life.Waiting, 0, startedAt("scheduler", -1, -1, "etcd", "apiserver", "absent")),
			inState(life.Waiting, 0, startedAt("lonely", -1, -1)),
			inState(life.Failed, 3.4, startedAt("dns", 0.4, -1)),
			inState(life.Backoff, 8, startedAt("nodes", 0.4, -1)),
			inState(life.Stopped, 0.3, startedAt("executor", -1, -1)),
		}},
		"nothing-started": {Servers: []Server{
			inState(life.Waiting, 0, startedAt("etcd", -1, -1)),
			inState(life.Waiting, 0, startedAt("apiserver", -1, -1, "etcd")),
		}},
		// Somebody has started nodes, and then what needs them.
		"later": {Servers: []Server{
			startedAt("etcd", 0.4, 0.7),
			startedAt("nodes", 7200.1, 7201.2, "etcd"),
			startedAt("executor", 7201.2, 7201.3, "nodes", "etcd"),
			startedAt("apiserver", 0.7, 2, "etcd"),
			startedAt("dns", 0.4, 0.5),
		}},
		"later-unready": {Servers: []Server{
			startedAt("etcd", 0.4, 0.7),
			startedAt("nodes", 4, 4.5, "etcd"),
			inState(life.Starting, 5, startedAt("proxy", 5, -1, "etcd")),
			inState(life.Waiting, 4, startedAt("executor", -1, -1, "nodes", "proxy")),
		}},
		// The chain goes on where it can, and ends where it would go round.
		"absent-need": {Servers: []Server{restarted, startedAt("apiserver", 0.7, 2, "absent", "etcd")}},
		"circle":      {Servers: []Server{startedAt("a", 1, 2, "b", "a"), startedAt("b", 1, 1.5, "a")}},
		"clock-set-back": {Servers: []Server{
			startedAt("etcd", 0.4, 0.2), inState(life.Failed, 0.1, startedAt("apiserver", 0.5, -1, "etcd")),
			startedAt("admission", -5, -4),
		}},
		"names": {Servers: []Server{
			startedAt("b", 0.25, 1), startedAt(long+"1", 1, 2, "b"), startedAt(long+"2", 2, 1000, long+"1"),
		}},
		// When it began is not known.
		"no-beginning": {Servers: []Server{startedAt("etcd", 0.4, 0.7), startedAt("apiserver", 0.7, 2, "etcd")}},
	}
	before := &all["clock-set-back"].Servers[2]
	before.FirstStarted, before.FirstReady = at(-5), at(-4)
	for name, s := range all {
		s.Program, s.Version, s.Name, s.Now = "hk", "v1.2.3", "main", at(9)
		if name != "no-beginning" {
			s.Began = at(0)
		}
	}
	return all
}

func TestText(t *testing.T) {
	for name, s := range analyses() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := WriteText(&got, s); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *updateAnalyses {
				write(t, path, got.String())
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for line := range strings.Lines(got.String()) {
				if n := utf8.RuneCountInString(line) - 1; n > timelineColumns {
					t.Errorf("%d columns: %s", n, line)
				}
				if trimmed := strings.TrimRight(line, " \n"); trimmed+"\n" != line {
					t.Errorf("spaces at the end: %q", line)
				}
			}
		})
	}
}

// A chain that is longer than the screen is wide is still shown, each on a line.
func TestLongChain(t *testing.T) {
	s := &Run{Program: "hk", Name: "main", Began: at(0)}
	for i := range 30 {
		name := "server" + strconv.Itoa(i)
		s.Servers = append(s.Servers, startedAt(name, float64(i+1)/10, float64(i+2)/10, "server"+strconv.Itoa(i-1)))
	}
	var b strings.Builder
	if err := WriteText(&b, s); err != nil {
		t.Fatal(err)
	}
	_, chain, _ := strings.Cut(b.String(), "Critical chain")
	contains(t, chain, "\nserver29 @3.000s +0.100s\n└─server28 @2.900s", "└─server0 @0.100s", "└─(preparation")
	for line := range strings.Lines(chain) {
		if n := utf8.RuneCountInString(line) - 1; n > timelineColumns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCannotWrite(t *testing.T) {
	s := analyses()["usual"]
	if err := WriteText(noWriter{}, s); err == nil {
		t.Error("the text: no error")
	}
	if err := WriteSVG(noWriter{}, s); err == nil {
		t.Error("the picture: no error")
	}
}

// at is so many seconds after the beginning.
func at(seconds float64) time.Time {
	return time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

type noWriter struct{}

func (noWriter) Write([]byte) (int, error) { return 0, errors.New("no paper") }

// write writes a file and makes its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contains fails the test if the text lacks one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}
