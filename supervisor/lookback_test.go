package supervisor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCrashOfAnEphemeralRun(t *testing.T) {
	t.Setenv("GODEBUG", os.Getenv("GODEBUG"))
	p := &Plan{DataDir: t.TempDir(), Ephemeral: true}
	r := (&HyperKube{Name: "hk"}).newRun(p)
	c, err := r.keepCrash()
	if c != nil || err != nil {
		t.Errorf("found %v, %v", c, err)
	}
	if err := r.forget(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(p.Path("*")); err != nil || len(left) > 0 {
		t.Errorf("there is %q (%v)", left, err)
	}
}
