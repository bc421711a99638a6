package logging

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]zapcore.Level{
		"debug": -4, "info": zapcore.InfoLevel, "warn": zapcore.WarnLevel, "warning": zapcore.WarnLevel, "error": zapcore.ErrorLevel,
		"INFO": zapcore.InfoLevel, " Warn ": zapcore.WarnLevel, "v=0": zapcore.InfoLevel, "v=1": -1, "V=10": -10, "v=127": -127,
	} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, int(got), err, int(want))
		}
	}
	for _, text := range []string{"", "loud", "v", "v=", "v=x", "v=-1", "v=128", "v=1.5", "4", "fatal"} {
		if got, err := ParseLevel(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), `"`+text+`"`) || !strings.Contains(err.Error(), "v=N") {
			t.Errorf("%q: error %q does not name it and what may be", text, err)
		}
	}
}

func TestVerbosity(t *testing.T) {
	for n, want := range map[int]zapcore.Level{-5: 0, 0: 0, 1: -1, 10: -10, 127: -127, 128: -127, 1 << 20: -127} {
		if got := Verbosity(n); got != want {
			t.Errorf("Verbosity(%d) is %d, want %d", n, got, want)
		}
	}
}

func TestLevelOfEachServer(t *testing.T) {
	out := &lines{}
	ls := New(Config{Out: out, Level: zapcore.WarnLevel})
	quiet, loud := ls.Server("quiet"), ls.Server("loud")
	if got := ls.MostVerbose(); got != zapcore.WarnLevel {
		t.Errorf("most verbose is %v, want warn", got)
	}
	loud.Level().SetLevel(Verbosity(2))
	if got := ls.MostVerbose(); got != -2 {
		t.Errorf("most verbose is %v, want -2", got)
	}
	child := loud.Zap().With(zap.Int("n", 1)) // made before the level changes again
	for _, z := range []*zap.Logger{quiet.Zap(), loud.Zap(), child} {
		for level := Verbosity(3); level <= zapcore.ErrorLevel; level++ {
			z.Log(level, level.String())
		}
	}
	loud.Level().SetLevel(zapcore.ErrorLevel)
	child.Warn("too late")
	child.Error("seen")
	want := `W quiet  warn
E quiet  error
I loud   Level(-2)
I loud   debug
I loud   info
W loud   warn
E loud   error
I loud   Level(-2) n=1
I loud   debug n=1
I loud   info n=1
W loud   warn n=1
E loud   error n=1
E loud   seen n=1
`
	if got := out.afterTime(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
