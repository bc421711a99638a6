package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A panic that nobody catches ends the process. What it was is kept, and the next run tells of it.
func TestCrash(t *testing.T) {
	for _, test := range []struct{ fault, server, told, logged string }{
		{"bare panic", "faulty", "crashed in faulty at ", ""},
		// Nobody can be made to answer for it. What HandleCrash logs first is there all the same.
		{"nobody's", "", "in which server is not known: panic: out of ink", "Observed a panic"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			r, _ := start(t, dir)
			r.do(test.fault)
			if code := r.end(); code != 2 {
				t.Errorf("exit code %d", code)
			}
			report, err := os.ReadFile(filepath.Join(dir, "crash.log"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(report, []byte("panic: "+ink)) || bytes.Contains(headerOf(report), []byte(`"server": "faulty"`)) != (test.server != "") {
				t.Errorf("the report is\n%.2000s", report)
			}
			if log, err := os.ReadFile(filepath.Join(dir, "logs", "hk.log")); err != nil || !strings.Contains(string(log), test.logged) {
				t.Errorf("the log lacks %q (%v):\n%s", test.logged, err, log)
			}
			next, after := start(t, dir)
			if c := after.Crash; c == nil || c.Server != test.server || c.Reason != "panic: "+ink ||
				c.PID != r.cmd.Process.Pid || c.File != filepath.Join(dir, "crash.log.1") {
				t.Errorf("the next run tells of %+v", c)
			}
			if text := next.screen.String(); !strings.Contains(text, test.told) {
				t.Errorf("the next run does not say %q:\n%s", test.told, text)
			}
			next.stop(0)
		})
	}
}

// headerOf is the line of a traceback with the labels of the goroutine that crashed.
func headerOf(report []byte) []byte {
	for line := range bytes.Lines(report) {
		if bytes.HasPrefix(line, []byte("goroutine ")) {
			return line
		}
	}
	return nil
}

// Of os.Exit the next run knows that nobody has asked for it.
func TestExit(t *testing.T) {
	dir := newDir(t)
	r, _ := start(t, dir)
	r.do("os.Exit")
	if code := r.end(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	next, after := start(t, dir)
	if c := after.Crash; c == nil || c.Reason != "" || c.Server != "" || c.PID != r.cmd.Process.Pid {
		t.Errorf("the next run tells of %+v", c)
	}
	if text := next.screen.String(); !strings.Contains(text, "without being stopped") {
		t.Errorf("the next run does not say it:\n%s", text)
	}
	next.stop(0)
	// That one was stopped.
	last, after := start(t, dir)
	if after.Crash != nil {
		t.Errorf("the last run tells of %+v", after.Crash)
	}
	last.stop(0)
}

// In a process of its own, the server alone dies of what ends a process; and what can be contained is the same as
// elsewhere.
func TestIsolated(t *testing.T) {
	for _, test := range []struct{ fault, reason, logged string }{
		{"bare panic", "panic: " + ink, "panic: " + ink},
		{"nobody's", "panic: " + ink, "panic: " + ink},
		{"os.Exit", "its process has ended: exit status 3", ""}, // what it logs in its last moment may be lost
		{"error", ink, "what is wrong follows"},
		{"panic", "panic: " + ink, `"stack":"goroutine `},
		{"wait.Until", "panic: " + ink, "Observed a panic"},
		{"Fatal", ink, ink},
		{"lost lease", lost, "leaderelection lost/stopped"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r, before := start(t, newDir(t), "--faulty.isolation=process")
			was := serverIn(before, "faulty").PID
			r.do(test.fault)
			after := r.until("it is ready again", restarted)
			faulty := serverIn(after, "faulty")
			if faulty.LastFailure == nil || faulty.LastFailure.Error != test.reason {
				t.Errorf("it has failed because of %+v, want %q", faulty.LastFailure, test.reason)
			}
			if was == 0 || was == before.PID || faulty.PID == was || faulty.PID == after.PID {
				t.Errorf("its process was %d and is %d, that of the others is %d", was, faulty.PID, after.PID)
			}
			r.wantUntouched(before, after)
			r.stop(0)
			if test.logged != "" {
				r.wantLogged(test.logged)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "crash.log")); !os.IsNotExist(err) {
				t.Errorf("there is a report, as if the run had crashed (%v)", err)
			}
		})
	}
}
