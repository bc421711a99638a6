package system

import (
	"bytes"
	"testing"
)

func TestTakesEscapes(t *testing.T) {
	for _, test := range []struct {
		term, system string
		want         bool
	}{
		{"xterm-256color", "linux", true}, {"dumb", "linux", false}, {"", "linux", false}, {"", "windows", true}, {"dumb", "windows", false},
	} {
		if got := takesEscapes(test.term, test.system); got != test.want {
			t.Errorf("TERM=%s on %s: %v", test.term, test.system, got)
		}
	}
	t.Setenv("TERM", "xterm")
	if Drawable(&bytes.Buffer{}) || Colored(&bytes.Buffer{}) {
		t.Error("what is no terminal takes escape codes")
	}
}
