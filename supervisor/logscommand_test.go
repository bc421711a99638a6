package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
)

// at is a time some seconds after the beginning of these tests' story.
func at(seconds float64) time.Time {
	return time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// line is a line as it is in a log file.
func line(at time.Time, level, server, msg string) string {
	v := ""
	if name, n, ok := strings.Cut(level, "="); ok { // v=N
		level, v = "info", fmt.Sprintf(`,"%s":%s`, name, n)
	}
	return fmt.Sprintf(`{"ts":"%s","level":"%s"%s,"server":"%s","caller":"x/y.go:1","msg":"%s"}`+"\n", at.Format(logging.TimeLayout), level, v, server, msg)
}

// archive is a HyperKube with log files of runs that are over: of db, whose file is full and was renamed twice; of api,
// whose file is elsewhere; of ui, which has said something that is no line; and of the program itself.
func archive(t *testing.T) *HyperKube {
	one := func(name string, aliases ...string) *Server {
		return &Server{SimpleUsage: name, Aliases: aliases, Run: done}
	}
	hk := newHyperKube(t, one("db", "database"), one("api"), one("ui"), one("silent"),
		&Server{SimpleUsage: "front", Members: []string{"ui", "api"}},
		&Server{SimpleUsage: "everything", Members: []string{"front", "database"}})
	elsewhere := filepath.Join(t.TempDir(), "mine.txt")
	write(t, filepath.Join(filepath.Dir(filepath.Dir(logOf("db"))), "log-files.json"), fmt.Sprintf(`{"api": %q}`, elsewhere))
	// Renamed at the end of what they have: the older one first.
	write(t, strings.TrimSuffix(logOf("db"), ".log")+"-2026-02-03T10-00-05.000.log",
		line(at(0), "info", "db", "one")+line(at(4), "warn", "db", "three"))
	write(t, strings.TrimSuffix(logOf("db"), ".log")+"-2026-02-03T10-00-10.500.log",
		line(at(6), "v=2", "db", "four")+line(at(10), "error", "db", "seven"))
	write(t, logOf("db"), line(at(12), "debug", "db", "nine"))
	write(t, elsewhere, line(at(2), "info", "api", "two")+line(at(11), "fatal", "api", "eight"))
	write(t, logOf("ui"), line(at(7), "v=4", "ui", "five")+"cut o\n"+line(at(13), "info", "ui", "ten"))
	write(t, logOf("hk"), line(at(8), "warn", "hk", "six"))
	// These are no logs.
	write(t, filepath.Join(filepath.Dir(logOf("db")), "notes.txt"), "nonsense\n")
	return hk
}

// words are the messages of console lines, and lines that are none as they are.
func words(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "2026-") {
			all = append(all, f[len(f)-1])
		} else {
			all = append(all, strings.Join(f, "_"))
		}
	}
	return strings.Join(all, " ")
}

func TestLogsCommand(t *testing.T) {
	now = func() time.Time { return at(14) }
	defer func() { now = time.Now }()
	for _, test := range []struct{ args, want string }{
		{"", "one two three four five cut_o six seven eight nine ten"},
		{"db", "one three four seven nine"},
		{"database", "one three four seven nine"},
		{"api", "two eight"},
		{"hk", "six"},
		{"db,hk", "one three four six seven nine"},
		{"db hk", "one three four six seven nine"},
		{"hk hk", "six"},
		{"front", "two five cut_o eight ten"},
		{"everything", "one two three four five cut_o seven eight nine ten"},

		{"--level=info", "one two three cut_o six seven eight ten"},
		{"--level=v=2", "one two three four cut_o six seven eight ten"},
		{"--level=debug", "one two three four five cut_o six seven eight nine ten"},
		{"--level=warn db", "three seven"},
		{"--level=error --tail=1 db", "seven"},

		{"--tail=0", ""},
		{"--tail=1", "ten"},
		{"--tail=3", "eight nine ten"},
		{"--tail=100", "one two three four five cut_o six seven eight nine ten"},
		{"--tail=4 db", "three four seven nine"},
		{"--tail=-1 hk", "six"},

		{"--since=4s", "seven eight nine ten"},
		{"--since=4.001s", "seven eight nine ten"},
		{"--since=3999ms", "eight nine ten"},
		{"--since=0s", ""},
		{"--since=1h db", "one three four seven nine"},
		{"--since=4s --level=error", "seven eight"},
		{"--since=10s --tail=2 db", "seven nine"},
		{"--since=2026-02-03T10:00:10Z db", "seven nine"},
		{"--since=2026-02-03T10:00:10.000001Z db", "nine"},
		{"--since=2026-02-03T12:00:10+02:00 db", "seven nine"},
		{"--since=2026-02-03T11:00:10 db", "seven nine"}, // without a zone it is local
		{"--since=2026-02-03T11:00 hk", "six"},
		{"--since=2026-02-03T11:01 hk", ""},
		{"--since=2026-02-03 hk", "six"},
		{"--since=2026-02-04 hk", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			out, err := call(archive(t), append([]string{"hk", "logs"}, strings.Fields(test.args)...)...)
			if err != nil {
				t.Fatal(err, out)
			}
			if diff := cmp.Diff(test.want, words(out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	// What cannot be typed without quotes.
	out, err := call(archive(t), "hk", "logs", "--since", "2026-02-03 11:00:10", "db")
	if err != nil || words(out) != "seven nine" {
		t.Errorf("%v: %q", err, out)
	}
}

// The shapes of a line: for people, with the day, in local time, the names one below the other; for programs, as it is
// in the file.
func TestLogsCommandFormat(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done}, &Server{SimpleUsage: "scheduler", Run: done})
	first, second := line(at(0), "warn", "db", "one"), line(at(1.5), "info", "scheduler", "two")
	write(t, logOf("db"), first)
	write(t, logOf("scheduler"), second)
	for args, want := range map[string]string{
		"":                    "2026-02-03 11:00:00.000 W db         one\n2026-02-03 11:00:01.500 I scheduler  two\n",
		"db":                  "2026-02-03 11:00:00.000 W db  one\n",
		"-o console db":       "2026-02-03 11:00:00.000 W db  one\n",
		"-o json":             first + second,
		"--output=json db db": first,
	} {
		if out, err := call(hk, append([]string{"hk", "logs"}, strings.Fields(args)...)...); err != nil || out != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", args, err, out, want)
		}
	}
}

func TestLogsCommandErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    string
		code    int
		want    string
		archive bool
	}{
		{"no logs yet", "", 1, "Error: there are no logs of \"hk\" yet in STATE/hk/hk/logs; start it with `hk run`\n", false},
		{"no logs yet of one", "db", 1, "Error: there are no logs of \"hk\" yet in STATE/hk/hk/logs; start it with `hk run`\n", false},
		{"no logs yet, other name", "--name=two -f", 1, "Error: there are no logs of \"two\" yet in STATE/hk/two/logs; start it with `hk run --name=two`\n", true},
		{"of a server that has never run", "silent", 1, "Error: there is no log of silent in STATE/hk/hk/logs: there are api, db, hk, ui\n", true},
		{"misspelt", "dp", 2, "Error: server not found: dp (did you mean db?); there are db, api, ui, silent, front, everything, and hk for what belongs to no server\n", true},
		{"unknown", "db unheard-of", 2, "Error: server not found: unheard-of; there are db, api, ui, silent, front, everything, and hk for what belongs to no server\n", true},
		{"the program, misspelt", "hkk", 2, "Error: server not found: hkk (did you mean hk?); there are db, api, ui, silent, front, everything, and hk for what belongs to no server\n", true},
		{"since", "--since=yesterday", 2, `Error: --since: "yesterday" is neither a duration such as 5m nor a time such as 2006-01-02T15:04:05Z` + "\n", true},
		{"since, negative", "--since=-5m", 2, `Error: --since: "-5m" is neither a duration such as 5m nor a time such as 2006-01-02T15:04:05Z` + "\n", true},
		{"since, no unit", "--since=5", 2, `Error: --since: "5" is neither a duration such as 5m nor a time such as 2006-01-02T15:04:05Z` + "\n", true},
		{"level", "--level=loud", 2, `Error: --level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127` + "\n", true},
		{"output", "-o yaml", 2, `Error: --output: unknown log format "yaml": use console or json` + "\n", true},
		{"wrong before no logs", "-o yaml", 2, `Error: --output: unknown log format "yaml": use console or json` + "\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
			if test.archive {
				hk = archive(t)
			}
			out, err := call(hk, append([]string{"hk", "logs"}, strings.Fields(test.args)...)...)
			wantCode(t, err, test.code)
			want := strings.ReplaceAll(test.want, "STATE", os.Getenv("XDG_STATE_HOME"))
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever reads does not read on: the command ends, and says why.
func TestLogsCommandCannotWrite(t *testing.T) {
	hk := archive(t)
	hk.SetOut(noWriter{})
	err := hk.Run([]string{"hk", "logs"})
	wantCode(t, err, 1)
	contains(t, fmt.Sprint(err), "the logs cannot be shown: no paper")
}

type noWriter struct{}

func (noWriter) Write([]byte) (int, error) { return 0, errors.New("no paper") }

// follower is the output of a command. It calls f with all of it whenever more has come.
type follower struct {
	lockedBuffer
	mu sync.Mutex
	f  func(text string)
}

func (fl *follower) Write(p []byte) (int, error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	n, err := fl.lockedBuffer.Write(p)
	fl.f(fl.String())
	return n, err
}

// followed runs `logs` with these arguments, and calls then with all of the output whenever more has come. It returns
// when a signal has ended the command.
func followed(t *testing.T, hk *HyperKube, then func(text string), args ...string) string {
	out := &follower{f: then}
	hk.SetOut(out)
	ended := make(chan error, 1)
	go func() { ended <- hk.Run(append([]string{"hk", "logs"}, args...)) }()
	wantCode(t, receive(t, "the end of the command", ended), 0)
	return out.String()
}

func send(t *testing.T, s os.Signal) {
	if err := signalSelf(s); err != nil {
		t.Error(err)
	}
}

// A signal ends what follows, and that is no failure.
func TestLogsCommandEndsAtASignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		once := sync.OnceFunc(func() { send(t, s) })
		out := followed(t, archive(t), func(string) { once() }, "--follow", "hk")
		if got := words(out); got != "six" {
			t.Errorf("%v: %q", s, got)
		}
	}
}

// -f shows what is written while it runs: to files that are there, that are renamed, and that others make later.
func TestLogsCommandFollows(t *testing.T) {
	hk := archive(t)
	signal.Ignore(syscall.SIGHUP) // as nohup does
	// after Reset it would be ignored still, by processes that are started, too
	defer signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	appendTo := func(path, text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}
	// Each step is taken when what the one before wrote has been seen.
	steps := []struct {
		seen string
		then func()
	}{
		{"ten", func() {
			send(t, syscall.SIGHUP)
			appendTo(logOf("db"), line(at(20), "info", "db", "eleven"))
		}},
		{"eleven", func() {
			appendTo(logOf("db"), line(at(21), "info", "db", "twelve")+line(at(22), "v=9", "db", "hidden")[:20])
		}},
		{"twelve", func() {
			appendTo(logOf("db"), line(at(22), "v=9", "db", "hidden")[20:]+line(at(23), "info", "db", "thirteen"))
		}},
		{"thirteen", func() {
			appendTo(logOf("db"), line(at(24), "info", "db", "fourteen"))
			if err := os.Rename(logOf("db"), strings.TrimSuffix(logOf("db"), ".log")+"-2026-02-03T10-00-24.000.log"); err != nil {
				t.Error(err)
			}
			write(t, logOf("db"), line(at(25), "info", "db", "fifteen"))
		}},
		{"fifteen", func() { write(t, logOf("silent"), line(at(26), "info", "silent", "sixteen")) }},
		{"sixteen", func() { send(t, syscall.SIGINT) }},
	}
	out := followed(t, hk, func(text string) {
		if len(steps) > 0 && strings.HasSuffix(text, "  "+steps[0].seen+"\n") {
			then := steps[0].then
			steps = steps[1:]
			then()
		}
	}, "-f", "--tail=1", "--level=v=2")
	if diff := cmp.Diff("ten eleven twelve thirteen fourteen fifteen sixteen", words(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a run has written `logs` shows, also while the run is still on.
func TestLogsOfARun(t *testing.T) {
	reader := &HyperKube{Name: "hk"}
	var during string
	db := &Server{SimpleUsage: "db", Run: func(_ context.Context, s *Server, _ []string) error {
		s.Logger().Warn("first")
		s.Logger().Info("second")
		if err := s.Logger().Sync(); err != nil {
			t.Error(err)
		}
		var err error
		during, err = call(reader, "hk", "logs", "db")
		return err
	}}
	reader.AddServer(&Server{SimpleUsage: "db", Run: done})
	hk := newHyperKube(t, db)
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	contains(t, during, "W db  first\n", "I db  second\n")
	after, err := call(reader, "hk", "logs")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, after, slices.Collect(strings.Lines(during))...)
	contains(t, after, "I db  hk: starting\n", "I db  hk: stopped\n", "I hk  the servers have ended ")
}

// A file that is elsewhere takes the place of one that an earlier run has left at the usual place.
func TestLogsOfTheLatestPlace(t *testing.T) {
	hk := newHyperKube(t, chatter("db"))
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	if out, err := call(hk, "hk", "run", "--db.log-level=v=1", "--db.log-file="+filepath.Join(t.TempDir(), "mine")); err != nil {
		t.Fatal(err, out)
	}
	out, err := call(hk, "hk", "logs", "db")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "V(1)")
}

// Servers may share a file. Each line is shown once, and of those who are asked for only.
func TestLogsOfASharedFile(t *testing.T) {
	hk := newHyperKube(t, chatter("db"), chatter("api"))
	shared := filepath.Join(t.TempDir(), "both.log")
	if out, err := call(hk, "hk", "run", "--db.log-file="+shared, "--api.log-file="+shared); err != nil {
		t.Fatal(err, out)
	}
	for args, want := range map[string]string{"": "db api", "db": "db", "api": "api", "api db": "db api", "hk": ""} {
		out, err := call(hk, append([]string{"hk", "logs", "-o", "json"}, strings.Fields(args)...)...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"db", "api"} {
			for range strings.Count(out, fmt.Sprintf(`"server":%q,"caller"`, name)) / 3 { // it logs three lines
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: lines of %q, want of %q\n%s", args, got, want, out)
		}
	}
}
