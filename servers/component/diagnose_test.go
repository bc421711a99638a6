package component

import "testing"

// What is enough is told, and what is not, with what to do.
func TestLimits(t *testing.T) {
	if f := files(neededFiles); f.Err != nil || f.Text != "256 at once" {
		t.Errorf("%+v", f)
	}
	if f := files(0); f.Err != nil || f.Text == "" {
		t.Errorf("%+v", f)
	}
	if f := files(neededFiles - 1); f.Err == nil || !f.Needed {
		t.Errorf("%+v", f)
	}
	if f := memory(0); f.Err != nil || f.Text != "no limit of a cgroup" {
		t.Errorf("%+v", f)
	}
	if f := memory(2 << 30); f.Err != nil || f.Text != "2.1 GB is the limit of the cgroup" {
		t.Errorf("%+v", f)
	}
	if f := memory(200 << 20); f.Err == nil || f.Needed {
		t.Errorf("%+v", f)
	}
	if f := watched("", ""); f.Err != nil {
		t.Errorf("%+v", f)
	}
	want := "too few (the limit is 128), and a cluster watches files with some twenty: as root, on the machine itself, call `sysctl x=1024`"
	if f := watched("too few (the limit is 128)", "sysctl x=1024"); f.Err == nil || f.Err.Error() != want || f.Needed {
		t.Errorf("%+v", f)
	}
}
