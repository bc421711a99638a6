package supervisor

import (
	"os"
	"syscall"
	"testing"
)

// A killed server leaves mounts: nothing is deleted then, neither through them nor beside them. What the folder itself
// is on does not matter.
func TestResetSparesMounts(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done, State: []string{"a", "pods"}})
	p := locate(t, hk)
	precious := t.TempDir()
	keep := write(t, precious+"/work", "")
	for _, dir := range []string{p.DataDir, p.Path("pods", "volume")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(from, to string) {
		t.Helper()
		if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
			t.Skip("it takes root to mount: ", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(to, syscall.MNT_DETACH) }) // it may have been unmounted already
	}
	bind(t.TempDir(), p.DataDir)
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	volume := p.Path("pods", "volume")
	if err := os.MkdirAll(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	bind(precious, volume)
	beside := write(t, p.Path("a"), "")
	out, err := call(hk, "hk", "reset", "--yes")
	wantCode(t, err, 1)
	contains(t, out, "Error: "+p.DataDir+" is not removed: ", "unmount it first: umount "+volume+"\n")
	for _, file := range []string{keep, beside} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Unmount(volume, 0); err != nil {
		t.Fatal(err)
	}
	out, err = call(hk, "hk", "reset", "--yes")
	if want := "all in " + p.DataDir + " is deleted; the folder itself stays\n"; err != nil || out != want {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
	if entries, err := os.ReadDir(p.DataDir); err != nil || len(entries) > 0 {
		t.Error(err, entries)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}
