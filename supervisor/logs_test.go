package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
)

// logOf is the path of a log file in the data folder that newHyperKube's servers use.
func logOf(name string) string {
	return filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk", "hk", "logs", name+".log")
}

// readLog returns the lines of a log file. It fails the test if one cannot be read.
func readLog(t testing.TB, path string) []*logging.Line {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*logging.Line
	for line := range strings.Lines(string(text)) {
		l, err := logging.ParseLine([]byte(line))
		if err != nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("%s: not a whole line (%v): %q", path, err, line)
			continue
		}
		all = append(all, l)
	}
	return all
}

// messages are those of the lines, without what the framework itself records.
func messages(lines []*logging.Line) []string {
	var all []string
	for _, l := range lines {
		if l.Logger != "hk" && l.Msg != "the servers have ended" {
			all = append(all, l.Msg)
		}
	}
	return all
}

// recorded are the changes of state in a log file, with their fields.
func recorded(lines []*logging.Line) []string {
	var all []string
	for _, l := range lines {
		if l.Logger == "hk" {
			text := l.Level + " " + l.Msg
			for _, f := range l.Fields {
				text += fmt.Sprintf(" %s=%s", f.Key, f.Value)
			}
			all = append(all, text)
		}
	}
	return all
}

// elsewhere calls f in a goroutine of the runtime's, which has no label.
func elsewhere(f func()) {
	var done sync.WaitGroup
	done.Add(1)
	time.AfterFunc(0, func() {
		defer done.Done()
		f()
	})
	done.Wait()
}

// Whatever a server logs with, from Check to the end, is in its own file and nowhere else.
func TestLoggersOfAServer(t *testing.T) {
	said := map[string][]string{}
	var mu sync.Mutex
	// say logs in all ways that there are. It notes what must be in the file of the server.
	say := func(ctx context.Context, s *Server, when string) {
		text := func(how string) string {
			mu.Lock()
			defer mu.Unlock()
			text := s.Name() + " " + when + " " + how
			said[s.Name()] = append(said[s.Name()], text)
			return text
		}
		s.Logger().Info(text("zap"))
		s.Slog().Info(text("slog"))
		s.Logr().Info(text("logr"))
		log.Print(text("package log"))
		slog.Info(text("slog's default"))
		zap.L().Info(text("zap's global"))
		if logger, err := logr.FromContext(ctx); err != nil {
			t.Errorf("%s %s: %v", s.Name(), when, err)
		} else {
			logger.Info(text("logr of the context"))
			// In a goroutine that no server has started.
			elsewhere(func() { logger.Info(text("logr of the context, elsewhere")) })
		}
		var own sync.WaitGroup
		own.Go(func() { log.Print(text("package log, another goroutine")) })
		own.Wait()
	}
	server := func(name string, needs ...Need) *Server {
		ready := make(chan struct{})
		return &Server{SimpleUsage: name, Needs: needs,
			Check:   func(ctx context.Context, _ *Plan, s *Server) error { say(ctx, s, "Check"); return nil },
			Prepare: func(ctx context.Context, _ *Plan, s *Server) error { say(ctx, s, "Prepare"); return nil },
			Ready:   func(ctx context.Context, s *Server) error { say(ctx, s, "Ready"); return nil },
			// It is asked for when the server has become ready.
			Address: func(*Server) string { close(ready); return "" },
			Run:     func(ctx context.Context, s *Server, _ []string) error { say(ctx, s, "Run"); <-ready; return nil },
		}
	}
	hk := newHyperKube(t, server("db"), server("api", Need{Server: "db"}))
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	for _, name := range []string{"db", "api"} {
		lines := readLog(t, logOf(name))
		for _, l := range lines {
			if l.Server != name {
				t.Errorf("in the file of %s there is a line of %s: %s", name, l.Server, l.Msg)
			}
			if l.Logger != "hk" && !strings.HasPrefix(l.Caller, "supervisor/logs_test.go:") {
				t.Errorf("%q is said to come from %q", l.Msg, l.Caller)
			}
		}
		// Run and Ready speak at once.
		got := slices.Sorted(slices.Values(messages(lines)))
		if diff := cmp.Diff(slices.Sorted(slices.Values(said[name])), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := messages(readLog(t, logOf("hk"))); len(got) > 0 {
		t.Errorf("in the program's file: %q", got)
	}
}

// Lines of goroutines that no server has started are placed by the code, where a server says that it alone runs that;
// the others are the program's, and counted.
func TestLinesOfNoServer(t *testing.T) {
	for _, test := range []struct {
		packages []string
		want     map[string][]string
		unplaced string
	}{
		{nil, map[string][]string{"db": nil, "hk": {"whose?", "of the setup"}}, "1"},
		{[]string{"github.com/seed-200a7251/km/supervisor"}, map[string][]string{"db": {"whose?"}, "hk": {"of the setup"}}, "0"},
		{[]string{"github.com/seed-200a7251/km/super"}, map[string][]string{"db": nil, "hk": {"whose?", "of the setup"}}, "1"},
	} {
		hk := newHyperKube(t, &Server{SimpleUsage: "db", Packages: test.packages,
			Run: func(context.Context, *Server, []string) error {
				elsewhere(func() { log.Print("whose?") })
				return nil
			}})
		hk.Setup = func(*Plan) error { log.Print("of the setup"); return nil }
		if out, err := call(hk, "hk", "run"); err != nil {
			t.Fatal(err, out)
		}
		for name, want := range test.want {
			if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(messages(readLog(t, logOf(name)))))); diff != "" {
				t.Errorf("packages %q: %s (-want +got):\n%s", test.packages, name, diff)
			}
		}
		of := readLog(t, logOf("hk"))
		last := of[len(of)-1]
		if diff := cmp.Diff([]logging.LineField{{Key: "lines of no server", Value: json.RawMessage(test.unplaced)}}, last.Fields); diff != "" || last.Msg != "the servers have ended" {
			t.Errorf("packages %q: the last line is %q (-want +got):\n%s", test.packages, last.Msg, diff)
		}
	}
}

// The loggers that all of a Go program shares are as they were when a run has ended, however it did.
func TestDefaultLoggersAreRestored(t *testing.T) {
	var out lockedBuffer
	before := log.Default().Writer()
	log.SetOutput(&out)
	log.SetFlags(log.Lmsgprefix)
	log.SetPrefix("own: ")
	t.Cleanup(func() {
		log.SetOutput(before)
		log.SetFlags(log.LstdFlags)
		log.SetPrefix("")
	})
	ofSlog, ofZap := slog.Default(), zap.L()
	for _, failing := range []string{"", "setup", "db.check", "db.prepare", "db.run"} {
		hk, _ := steps(t, failing)
		db, _ := hk.FindServer("db")
		db.Listen = func(*Plan, *Server) error {
			if slog.Default() == ofSlog || zap.L() == ofZap || log.Prefix() != "" {
				t.Error("they are not taken before servers listen")
			}
			return nil
		}
		if _, err := call(hk, "hk", "run", "api"); (err != nil) != (failing != "") {
			t.Error(err)
		}
		log.Print("back")
		if slog.Default() != ofSlog || zap.L() != ofZap || out.String() != "own: back\n" || log.Flags() != log.Lmsgprefix {
			t.Errorf("failing %q: they are not as they were; package log writes %q", failing, out.String())
		}
		out = lockedBuffer{}
	}
}

// Changes of state are in the file of the server. They are not shown as lines: people see them as states.
func TestStatesAreRecorded(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name    string
		fail    error
		args    []string
		db, api []string
	}{
		{"done", nil, nil,
			[]string{"info starting", `info ready address="127.0.0.1:1"`, "info stopped"},
			[]string{"info starting", "info ready", "info stopped"}},
		{"failed", boom, nil,
			[]string{"info starting", `info ready address="127.0.0.1:1"`, "info stopping", "info stopped"},
			[]string{"info starting", "info ready", `error failed error="boom"`}},
		{"levels", boom, []string{"--log-level=error", "--db.log-level=debug"},
			[]string{"info starting", `info ready address="127.0.0.1:1"`, "info stopping", "info stopped"},
			[]string{`error failed error="boom"`}},
		{"verbose", nil, []string{"--verbose"},
			[]string{"info starting", `info ready address="127.0.0.1:1"`, "info stopped"},
			[]string{"info starting", "info ready", "info stopped"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := make(chan struct{})
			hk := newHyperKube(t,
				&Server{SimpleUsage: "db", Address: func(*Server) string { return "127.0.0.1:1" },
					Run: func(ctx context.Context, _ *Server, _ []string) error {
						select {
						case <-ctx.Done():
						case <-ended:
						}
						return nil
					}},
				&Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Restart: RestartNever,
					Run: func(context.Context, *Server, []string) error {
						if test.fail == nil {
							close(ended)
						}
						return test.fail
					}})
			out, err := call(hk, append([]string{"hk", "run"}, test.args...)...)
			if (err != nil) != (test.fail != nil) {
				t.Fatal(err, out)
			}
			lacks(t, out, " I db", " I api", " E api")
			for name, want := range map[string][]string{"db": test.db, "api": test.api} {
				if diff := cmp.Diff(want, recorded(readLog(t, logOf(name)))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// chatter is a server that logs one line of each level, and is done.
func chatter(name string) *Server {
	s := &Server{SimpleUsage: name, VerbosityFlag: "v", VModuleFlag: "vmodule",
		Run: func(_ context.Context, s *Server, _ []string) error {
			for v := range 6 {
				s.Logr().V(v).Info(fmt.Sprintf("V(%d)", v))
			}
			s.Logger().Debug("debug")
			s.Logger().Warn("warn")
			s.Logger().Error("error")
			return nil
		}}
	s.Flags().String("v", "0", "")
	s.Flags().String("vmodule", "", "")
	return s
}

// What is shown, and what is in the file.
func TestLevels(t *testing.T) {
	const (
		severe = "warn error"
		all    = "V(0) " + severe
	)
	for _, test := range []struct {
		args                             string
		dbFile, dbShown, apFile, apShown string
	}{
		{"", all, severe, all, severe},
		{"--quiet", all, "", all, ""},
		{"--quiet --verbose", all, all, all, all},
		{"--quiet --db.log-level=info", all, all, all, ""},
		{"--verbose", all, all, all, all},
		{"--log-level=info", all, all, all, all},
		{"--log-level=warn", severe, severe, severe, severe},
		{"--log-level=error", "error", "error", "error", "error"},
		{"--log-level=v=2", "V(0) V(1) V(2) " + severe, "V(0) V(1) V(2) " + severe, "V(0) V(1) V(2) " + severe, "V(0) V(1) V(2) " + severe},
		{"--log-level=debug", "V(0) V(1) V(2) V(3) V(4) debug " + severe, "V(0) V(1) V(2) V(3) V(4) debug " + severe,
			"V(0) V(1) V(2) V(3) V(4) debug " + severe, "V(0) V(1) V(2) V(3) V(4) debug " + severe},
		{"--db.log-level=v=2", "V(0) V(1) V(2) " + severe, "V(0) V(1) V(2) " + severe, all, severe},
		{"--db.v=1", "V(0) V(1) " + severe, "V(0) V(1) " + severe, all, severe},
		{"--db.v=0", all, all, all, severe},
		// The framework's flag is the one that both have.
		{"--db.v=4 --db.log-level=error", "error", "error", all, severe},
		{"--log-level=error --db.v=1", "V(0) V(1) " + severe, "V(0) V(1) " + severe, "error", "error"},
		{"--verbose --db.log-level=warn", severe, severe, all, all},
		{"--db.vmodule=logs_test=5", "V(0) V(1) V(2) V(3) V(4) V(5) " + severe, "V(0) V(1) V(2) V(3) V(4) V(5) " + severe, all, severe},
		{"--db.vmodule=logs_*=1,nothing=9", "V(0) V(1) " + severe, "V(0) V(1) " + severe, all, severe},
		{"--db.vmodule=nothing=5", all, all, all, severe},
		{"--db.vmodule=logs_test=2 --db.log-level=error", "V(0) V(1) V(2) error", "V(0) V(1) V(2) error", all, severe},
		{"--db.log-file=none --db.log-level=v=1", "", "V(0) V(1) " + severe, all, severe},
		{"--db.log-file=none", "", severe, all, severe},
	} {
		t.Run(test.args, func(t *testing.T) {
			hk := newHyperKube(t, chatter("db"), chatter("ap"))
			var out lockedBuffer
			hk.SetOut(&out)
			if err := hk.Run(append([]string{"hk", "run", "--log-format=json"}, strings.Fields(test.args)...)); err != nil {
				t.Fatal(err, out.String())
			}
			shown := map[string][]*logging.Line{}
			for line := range strings.Lines(out.String()) {
				if l, err := logging.ParseLine([]byte(line)); err == nil { // and not a state
					shown[l.Server] = append(shown[l.Server], l)
				}
			}
			for _, s := range []struct{ name, file, shown string }{{"db", test.dbFile, test.dbShown}, {"ap", test.apFile, test.apShown}} {
				if got := strings.Join(messages(shown[s.name]), " "); got != s.shown {
					t.Errorf("%s: shown %q, want %q", s.name, got, s.shown)
				}
				if _, err := os.Stat(logOf(s.name)); s.file == "" {
					if !os.IsNotExist(err) {
						t.Errorf("%s: there is a file, or: %v", s.name, err)
					}
				} else if got := strings.Join(messages(readLog(t, logOf(s.name))), " "); got != s.file {
					t.Errorf("%s: in the file %q, want %q", s.name, got, s.file)
				}
			}
		})
	}
}

func TestLogFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	cwd, err := os.Getwd() // as the system has it
	if err != nil {
		t.Fatal(err)
	}
	const data = "/data/logs"
	for _, test := range []struct {
		args string
		want []logFile
	}{
		{"", []logFile{{"hk", data + "/hk.log", "--data-dir"}, {"db", data + "/db.log", "--data-dir"}, {"api", data + "/api.log", "--data-dir"}}},
		{"--log-dir=/elsewhere", []logFile{{"hk", "/elsewhere/hk.log", "--log-dir"}, {"db", "/elsewhere/db.log", "--log-dir"}, {"api", "/elsewhere/api.log", "--log-dir"}}},
		{"--log-dir=here", []logFile{{"hk", cwd + "/here/hk.log", "--log-dir"}, {"db", cwd + "/here/db.log", "--log-dir"}, {"api", cwd + "/here/api.log", "--log-dir"}}},
		{"--db.log-file=/x.log", []logFile{{"hk", data + "/hk.log", "--data-dir"}, {"db", "/x.log", "--db.log-file"}, {"api", data + "/api.log", "--data-dir"}}},
		{"--db.log-file=x.log --log-dir=/elsewhere", []logFile{{"hk", "/elsewhere/hk.log", "--log-dir"}, {"db", cwd + "/x.log", "--db.log-file"}, {"api", "/elsewhere/api.log", "--log-dir"}}},
		{"--db.log-file=none", []logFile{{"hk", data + "/hk.log", "--data-dir"}, {"db", "", "--data-dir"}, {"api", data + "/api.log", "--data-dir"}}},
		{"--db.log-file= ", []logFile{{"hk", data + "/hk.log", "--data-dir"}, {"db", data + "/db.log", "--data-dir"}, {"api", data + "/api.log", "--data-dir"}}},
	} {
		p, err := planned(t, newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}, &Server{SimpleUsage: "api", Run: idle}),
			append(strings.Fields(test.args), "--data-dir=/data")...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, p.run.logFiles, cmp.AllowUnexported(logFile{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.args, diff)
		}
	}
}

// A log file that cannot be used is found before anything starts. The error names the flag that says where it is.
func TestLogFileCannotBeUsed(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, dir string) (args []string) // dir is the data folder
		want []string
		not  string
	}{
		{"a file in the place of the folder", func(t *testing.T, dir string) []string {
			return []string{"--log-dir=" + write(t, filepath.Join(dir, "..", "file"), "")}
		}, []string{"the log file of hk cannot be used: ", "not a directory", "--log-dir names another place"}, "--hk.log-file"},
		{"the same, below", func(t *testing.T, dir string) []string {
			return []string{"--log-dir=" + write(t, filepath.Join(dir, "..", "file"), "") + "/below"}
		}, []string{"the log file of hk cannot be used: ", "not a directory", "--log-dir names another place"}, "--hk.log-file"},
		{"a file where the logs are", func(t *testing.T, dir string) []string {
			write(t, filepath.Join(dir, "logs"), "")
			return nil
		}, []string{"the log file of hk cannot be used: ", "not a directory", "--data-dir names another place"}, "--hk.log-file"},
		{"a folder", func(t *testing.T, dir string) []string {
			return []string{"--db.log-file=" + t.TempDir()}
		}, []string{"the log file of db cannot be used: ", "not a regular file", "--db.log-file names another place, and --db.log-file=none is for none"}, ""},
		{"a device", func(t *testing.T, dir string) []string {
			return []string{"--db.log-file=" + os.DevNull}
		}, []string{"the log file of db cannot be used: ", "not a regular file", "--db.log-file=none is for none"}, ""},
		{"a folder of that name", func(t *testing.T, dir string) []string {
			write(t, filepath.Join(dir, "logs", "db.log", "file"), "")
			return nil
		}, []string{"the log file of db cannot be used: ", "not a regular file", "--data-dir names another place, and --db.log-file=none is for none"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk, d := steps(t, "")
			dir := filepath.Join(os.Getenv("XDG_STATE_HOME"), "data")
			args := append([]string{"hk", "run", "api", "--data-dir=" + dir}, test.make(t, dir)...)
			out, err := call(hk, args...)
			wantCode(t, err, 2)
			contains(t, out, append(test.want, "Error: ")...)
			if test.not != "" {
				lacks(t, out, test.not)
			}
			if n := strings.Count(out, "Error:"); n != 1 {
				t.Errorf("%d errors, want one: %s", n, out)
			}
			lacks(t, strings.Join(d.lines, " "), "prepare", "run")
			// The folder is free again.
			if out, err := call(hk, "hk", "run", "api", "--data-dir="+dir, "--log-dir="+t.TempDir(), "--db.log-file=none"); err != nil {
				t.Error(err, out)
			}
		})
	}
}

// write writes a file and makes its folder.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A run notes where log files lie elsewhere, and leaves the notes of servers that it does not run alone.
func TestNoteOfLogFiles(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done}, &Server{SimpleUsage: "api", Run: done})
	elsewhere := t.TempDir()
	note := filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk", "hk", "log-files.json")
	path := func(name string) string { return filepath.Join(elsewhere, name) }
	for _, step := range []struct {
		args string
		want map[string]string // nil: there is none
	}{
		{"db,api", nil},
		{"db --db.log-file=" + path("x.log"), map[string]string{"db": path("x.log")}},
		{"api --api.log-file=" + path("y.log"), map[string]string{"db": path("x.log"), "api": path("y.log")}},
		{"db --db.log-file=none", map[string]string{"api": path("y.log")}},
		{"db --log-dir=" + elsewhere, map[string]string{"api": path("y.log"), "db": path("db.log"), "hk": path("hk.log")}},
		{"db", map[string]string{"api": path("y.log")}},
		{"api", nil},
		{"api --api.log-file=" + logOf("api"), nil}, // where it would be anyway
		{"api --api.log-file=" + logOf("other"), map[string]string{"api": logOf("other")}},
	} {
		// The flags of the run before are not those of this one.
		hk.settings = settings{}
		hk.theScreen = nil
		if out, err := call(hk, append([]string{"hk", "run"}, strings.Fields(step.args)...)...); err != nil {
			t.Fatal(err, out)
		}
		text, err := os.ReadFile(note)
		if step.want == nil {
			if !os.IsNotExist(err) {
				t.Errorf("%s: the note is %q, want none (%v)", step.args, text, err)
			}
			continue
		}
		var got map[string]string
		if err := errors.Join(err, json.Unmarshal(text, &got)); err != nil {
			t.Errorf("%s: %v", step.args, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.args, diff)
		}
	}
}

// A note that is damaged is written anew by the next run. Whoever asks for logs until then is told.
func TestDamagedNoteOfLogFiles(t *testing.T) {
	for _, text := range []string{"", "nonsense", "null", "[]", `{"db": 1}`} {
		hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
		note := write(t, filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk", "hk", "log-files.json"), text)
		write(t, logOf("db"), line(at(0), "info", "db", "before"))
		out, err := call(hk, "hk", "logs")
		wantCode(t, err, 1)
		contains(t, out, note+" is damaged: ", "remove it, and the next run makes it anew")
		elsewhere := filepath.Join(t.TempDir(), "x.log")
		if out, err := call(hk, "hk", "run", "--db.log-file="+elsewhere); err != nil {
			t.Error(err, out)
		}
		if got, err := notedLogFiles(&Plan{DataDir: filepath.Dir(note)}); err != nil || string(got["db"]) != elsewhere {
			t.Errorf("after %q it is %v (%v)", text, got, err)
		}
	}
}

// A log file that cannot be written to any more, here because its folder is gone when a new one is to be begun, holds
// nobody up. It is told of once, and again when it can be written to, and what was logged meanwhile is not lost.
func TestLogFileBreaksDuringARun(t *testing.T) {
	var aside string
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: func(ctx context.Context, s *Server, _ []string) error {
		logs := filepath.Dir(logOf("db"))
		aside = logs + ".aside"
		s.Logger().Info("before")
		if err := s.Logger().Sync(); err != nil { // the file is open
			return err
		}
		if err := os.Rename(logs, aside); err != nil {
			return err
		}
		write(t, logs, "in the way")
		// More than a file may have.
		for i := range 2000 {
			s.Logger().Info(strings.Repeat("x", 1000), zap.Int("number", i))
		}
		out := bufferOf(s.hk)
		complains := func() bool { return strings.Contains(out.String(), "not a directory") }
		if err := poll(ctx, "complaint", complains); err != nil {
			return err
		}
		s.Logger().Info("meanwhile")
		if err := os.Remove(logs); err != nil {
			return err
		}
		if err := poll(ctx, "all-clear", func() bool { return strings.Count(out.String(), " W hk  ") == 2 }); err != nil {
			return err
		}
		s.Logger().Info("afterwards")
		return nil
	}})
	out := &lockedBuffer{}
	hk.SetOut(out)
	if err := hk.Run([]string{"hk", "run", "--log-max-size=1"}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), " W hk  "); n != 2 {
		t.Errorf("%d warnings, want one when it breaks and one when it works again: %s", n, out)
	}
	// The lines are where they could be written, and each is there.
	seen := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(aside), "logs*", "db*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, l := range readLog(t, file) {
			text := l.Msg
			for _, f := range l.Fields {
				text += " " + string(f.Value)
			}
			if seen[text] {
				t.Errorf("it is there twice: %.20s…%s", text, text[max(0, len(text)-5):])
			}
			seen[text] = true
		}
	}
	for i := range 2000 {
		if !seen[fmt.Sprint(strings.Repeat("x", 1000), " ", i)] {
			t.Fatalf("line %d is not there", i)
		}
	}
	if !seen["before"] || !seen["meanwhile"] || !seen["afterwards"] {
		t.Error("what was logged later is not there")
	}
}

// The flags say how large a file becomes, and how many of the full ones are kept.
func TestSizeAndNumberOfLogFiles(t *testing.T) {
	for _, test := range []struct {
		args []string
		want int // files
	}{
		{nil, 1},
		{[]string{"--log-max-size=2"}, 3},
		{[]string{"--log-max-size=1"}, 5},
		{[]string{"--log-max-size=1", "--log-max-backups=2"}, 3},
	} {
		hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: func(_ context.Context, s *Server, _ []string) error {
			for range 5 {
				for range 100 {
					s.Logger().Info(strings.Repeat("x", 10_000))
				}
				if err := s.Logger().Sync(); err != nil { // or more comes than is kept for the file
					return err
				}
			}
			return nil
		}})
		if out, err := call(hk, append([]string{"hk", "run"}, test.args...)...); err != nil {
			t.Fatal(err, out)
		}
		// What is too much is removed by a goroutine.
		eventually(t, fmt.Sprintf("%d files with %q", test.want, test.args), func() bool {
			files, err := filepath.Glob(filepath.Join(filepath.Dir(logOf("db")), "db*.log"))
			return err == nil && len(files) == test.want
		})
	}
}

// What is given up at the end of a run is all: nothing is left in the folder for temporary ones, or where the process
// was called. What the user wants elsewhere stays there.
func TestLogsOfAnEphemeralRun(t *testing.T) {
	temp, cwd, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Chdir(cwd)
	hk := newHyperKube(t, chatter("db"))
	db := hk.servers[0]
	run := db.Run
	var file string
	db.Run = func(ctx context.Context, s *Server, args []string) error {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		return run(ctx, s, args)
	}
	db.Defaults = func(p *Plan, _ *Server) error { file = p.Path("logs", "db.log"); return nil }
	if out, err := call(hk, "hk", "run", "--ephemeral"); err != nil {
		t.Fatal(err, out)
	}
	hk.settings, hk.theScreen = settings{}, nil
	db.Defaults = func(*Plan, *Server) error { file = filepath.Join(elsewhere, "db.log"); return nil }
	if out, err := call(hk, "hk", "run", "--ephemeral", "--log-dir="+elsewhere); err != nil {
		t.Fatal(err, out)
	}
	for _, dir := range []string{temp, cwd, os.Getenv("XDG_STATE_HOME")} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("in %s there is %v (%v)", dir, left, err)
		}
	}
	contains(t, strings.Join(messages(readLog(t, filepath.Join(elsewhere, "db.log"))), " "), "V(0) warn error")
}

// A binary that is one server writes to standard error, and to no file.
func TestLogsOfOneServer(t *testing.T) {
	hk := newHyperKube(t, chatter("db"))
	var carried error
	run := hk.servers[0].Run
	hk.servers[0].Run = func(ctx context.Context, s *Server, args []string) error {
		_, carried = logr.FromContext(ctx)
		return run(ctx, s, args)
	}
	out, err := call(hk, "db")
	if err != nil || carried != nil {
		t.Error(err, carried)
	}
	contains(t, out, " I db  V(0)\n", " W db  warn\n", " E db  error\n")
	lacks(t, out, "V(1)")
	if left, err := os.ReadDir(os.Getenv("XDG_STATE_HOME")); err != nil || len(left) > 0 {
		t.Errorf("written: %v (%v)", left, err)
	}
}

// A server that runs in nobody's plan, as in its own tests, can log all the same; that goes nowhere.
func TestLoggersOutsideOfARun(t *testing.T) {
	s := &Server{SimpleUsage: "db"}
	s.Logger().Error("zap")
	s.Slog().Error("slog")
	s.Logr().Error(nil, "logr")
	if s.Logger().Core().Enabled(zapcore.ErrorLevel) || s.Slog().Enabled(t.Context(), slog.LevelError) || s.Logr().GetSink() != nil {
		t.Error("they write somewhere")
	}
}
