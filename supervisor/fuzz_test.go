package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// sealed is a binary of which nothing may run, and which may write nothing.
func sealed(t *testing.T) *HyperKube {
	hk := sourced(t)
	for _, s := range hk.servers {
		if s.Run != nil {
			s.Run = func(context.Context, *Server, []string) error { t.Error("Run is called"); return nil }
		}
		s.Check = func(_ context.Context, _ *Plan, s *Server) error { return errors.New(s.Name() + ": --text is wrong") }
		s.Listen = func(*Plan, *Server) error { t.Error("Listen is called"); return nil }
		s.Prepare = func(context.Context, *Plan, *Server) error { t.Error("Prepare is called"); return nil }
	}
	hk.SetOut(&lockedBuffer{})
	return hk
}

// planFuzzed plans what was given, and checks that each error says something about it. given is all that may be named.
func planFuzzed(t *testing.T, hk *HyperKube, args, environ []string, given string) {
	p, err := hk.plan(nil, args, environ)
	if p != nil {
		checked := p.run.check(t.Context())
		if checked == nil || err == nil && !strings.Contains(checked.Error(), "is wrong") {
			t.Errorf("the servers are not asked: %v", checked)
		}
		if err == nil {
			if printErr := hk.printConfig(p); printErr != nil && !strings.Contains(printErr.Error(), "not UTF-8") {
				t.Error(printErr)
			}
		}
		p.run.logs.Close()
	}
	for _, err := range text.Errors(err) {
		if err == nil {
			continue
		}
		text := err.Error()
		if strings.TrimSpace(text) == "" {
			t.Error("an error that says nothing")
		}
		if !names(text, given) {
			t.Errorf("%q names nothing of what was given, %q", text, given)
		}
	}
	if entries, err := os.ReadDir(os.Getenv("XDG_STATE_HOME")); err != nil || len(entries) > 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// names reports whether a text names a part of what was given, such as a flag, or a line of a file.
func names(text, given string) bool {
	if lineOfFile.MatchString(text) || strings.Contains(text, "--") {
		return true
	}
	var parts []string
	for _, separators := range []string{",", ",=:"} {
		parts = append(parts, strings.FieldsFunc(given, func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune(separators, c) })...)
	}
	return len(parts) == 0 || slices.ContainsFunc(parts, func(part string) bool {
		quoted := strconv.Quote(part)
		return strings.Contains(text, part) || strings.Contains(text, quoted[1:len(quoted)-1])
	})
}

var lineOfFile = regexp.MustCompile(`(1\.yaml|standard input):\d+`)

func FuzzArguments(f *testing.F) {
	for _, args := range []string{
		"", "a", "a,b\n--a.number=2", "ab\n--a.text\nx", "--a.numbr\n2", "--zzz\n--a.number=x", "-n\n1", "-ß", "--=", "---", "--\n--", "-", "--help=no", "--config=none",
		"--config\n-", "--a.list=x,\"y", "--a.label=x", "--gates=A\n--a.gates=B", "--a.log-level=x\n--a.grace-period=0", "--name=\xff", "--ephemeral\n--data-dir=x", "--print-config\n--a.text=\xff",
		"tool", "zzz,b", "--bare.restart=x", "--quiet=maybe\n--log-max-size=1GB", "--a.token=x\n--a.urls=bad", "-test.v", "--a.\n--.a\n--.",
	} {
		f.Add(args)
	}
	standardInput, err := os.Open(os.DevNull)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { standardInput.Close() })
	f.Fuzz(func(t *testing.T, args string) {
		before := os.Stdin
		os.Stdin = standardInput
		defer func() { os.Stdin = before }()
		planFuzzed(t, sealed(t), strings.Split(args, "\n"), nil, args)
	})
}

func FuzzEnvironment(f *testing.F) {
	for _, environ := range []string{
		"", "HK_A_NUMBER=2", "HK_A_NUMBER=x", "HK_A_NUMBR=2", "HK_A_TEXT", "HK_=x", "HK_A_=x", "HK_CONFIG=none:none", "HK_CONFIG=:", "HK_NAME=a b", "HK_LOGLEVEL=debug", "HK_LOG_LEVEL=loud",
		"HK_A_LABEL=x\nHK_GATES=A\nHK_B_GATES=B", "HK_A_LIST=\"", "=\n==", "HK_A_TEXT=\xff", "HK_BARE_LOG_FILE=x", "HK_A_TOKEN=x\nHK_A_TOKEN=y", "HK_HELP=true\nHK_PRINT_CONFIG=1",
	} {
		f.Add(environ)
	}
	f.Fuzz(func(t *testing.T, environ string) {
		planFuzzed(t, sealed(t), nil, strings.Split(environ, "\n"), environ)
	})
}

func FuzzFile(f *testing.F) {
	for _, file := range []string{
		"", "a: {number: 2}", "servers: [a, b]\nquiet: true", "servers: zzz", "a:\n  numbr: 1\n  list: [x, 'y,z']\n  label: {x: 1, y: a=b}\n", "a: {urls: ['x,y']}", "a.number: 1", "- a", "a: [",
		"\"\": 1", "a: {\"\": 1}", "a: {label: {\"\": \"\"}}", "a: {label: {'\"': '\"'}}", "a: &x {text: y}\nb: *x", "first: {}", "ab: {}", "tool: {}", "config: x", "gates: A\na: {gates: B}", `{"a": {"number": 1.5}}`,
		"a: {log-level: x, restart: y, isolation: z, grace-period: 0}", "a: {switches: {a: 'b,c=d'}}", "a: {note: [x, [y]]}", "name: \"\\0\"", "a: {text: \"\\u2028\"}",
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		hk := sealed(t)
		path := filepath.Join(t.TempDir(), "1.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		planFuzzed(t, hk, []string{fmt.Sprint("--config=", path)}, nil, file)
	})
}
