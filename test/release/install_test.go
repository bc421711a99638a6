// Package release tests how km gets into people's hands: what installs it, and what it is built of.
package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// root is the repository's.
var root = filepath.Join("..", "..")

var script = filepath.Join(root, ".release", "install.sh")

// archive is the name of a release's file for this machine.
var archive = fmt.Sprintf("km_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)

// built is km's binary, and what is in it.
func built(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = os.Getenv("KM")
	if path == "" {
		path = filepath.Join(root, "bin", "km")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no binary to test: %v; run `make build`, or name one with KM", err)
	}
	return path, content
}

// packed is an archive with a file km.
func packed(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for name, c := range map[string][]byte{"km": content, "README.md": []byte("read me\n")} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(c))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// released serves releases as GitHub does, with an archive for this machine each, and returns their address.
func released(t *testing.T, archives map[string][]byte) string {
	t.Helper()
	mux := http.NewServeMux()
	for at, content := range archives {
		mux.HandleFunc("/"+at+"/"+archive, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
		mux.HandleFunc("/"+at+"/checksums.txt", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%064d  km_plan9_mips.tar.gz\n%x  %s\n", 7, sha256.Sum256(content), archive)
		})
	}
	mux.HandleFunc("/download/tampered/"+archive, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed(t, saying("evil"))) })
	mux.HandleFunc("/download/tampered/checksums.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%064x  %s\n", 7, archive)
	})
	mux.HandleFunc("/download/foreign/"+archive, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed(t, saying("foreign"))) })
	mux.HandleFunc("/download/foreign/checksums.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%064x  km_plan9_mips.tar.gz\n", 7)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// saying is a program that says what is given.
func saying(what string) []byte { return []byte("#!/bin/sh\necho " + what + "\n") }

// tools is a folder with links to what the script needs, and to the others named.
func tools(t *testing.T, others ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"sh", "uname", "mkdir", "mktemp", "rm", "mv", "sed", "cut", "tar", "gzip", "sha256sum"}, others...) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%v: the script's users have it", err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// install runs a script, and returns what it says.
func install(t *testing.T, script, path string, env ...string) (string, error) {
	t.Helper()
	text, err := os.Open(script)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), sh)
	c.Stdin = text // as `curl … | sh` does
	c.Env = append([]string{"PATH=" + path}, env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// version is what a binary says it is.
func version(t *testing.T, binary string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s version: %v\n%s", binary, err, out)
	}
	return string(out)
}

func TestInstall(t *testing.T) {
	km, binary := built(t)
	from := "KM_RELEASES=" + released(t, map[string][]byte{
		"latest/download": packed(t, binary), "download/v1.2.3": packed(t, saying("1.2.3")), "download/broken": packed(t, []byte("no program")),
	})
	curl, wget := tools(t, "curl"), tools(t, "wget")
	home := filepath.Join(t.TempDir(), "a home") // with a blank
	installed := filepath.Join(home, ".local", "bin", "km")

	out, err := install(t, script, curl, from, "HOME="+home)
	if err != nil || !strings.Contains(out, installed) || !strings.Contains(out, `export PATH="`+filepath.Dir(installed)+`:$PATH"`) {
		t.Fatalf("the newest: %v\n%s", err, out)
	}
	want := version(t, km)
	if got := version(t, installed); got != want {
		t.Errorf("what is installed is %s, want %s", got, want)
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(out, "  "+line) {
			t.Errorf("its version, %s, is not told:\n%s", want, out)
		}
	}
	out, err = install(t, script, wget+":"+filepath.Dir(installed), from, "HOME="+home, "KM_VERSION=v1.2.3")
	if err != nil || strings.Contains(out, "PATH") || !strings.Contains(out, "next: km run") {
		t.Errorf("another one in its place, on the PATH: %v\n%s", err, out)
	}
	if got := version(t, installed); got != "1.2.3\n" {
		t.Errorf("what is installed is %s", got)
	}

	elsewhere := filepath.Join(t.TempDir(), "tools")
	if out, err := install(t, script, curl, from, "KM_DIR="+elsewhere, "KM_VERSION=v1.2.3"); err != nil {
		t.Errorf("elsewhere, without HOME: %v\n%s", err, out)
	}
	if got := version(t, filepath.Join(elsewhere, "km")); got != "1.2.3\n" {
		t.Errorf("what is installed elsewhere is %s", got)
	}

	other := tools(t, "curl")
	if err := errors.Join(os.Remove(filepath.Join(other, "uname")),
		os.WriteFile(filepath.Join(other, "uname"), []byte("#!/bin/sh\ncase $1 in -s) echo Linux ;; *) echo riscv64 ;; esac\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.MkdirAll(filepath.Join(taken, "km"), 0o700); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		env  []string
		want string
	}{
		"checksum":          {curl, []string{"KM_VERSION=tampered"}, "not installed"},
		"without checksum":  {curl, []string{"KM_VERSION=foreign"}, "says nothing of " + archive},
		"no such release":   {curl, []string{"KM_VERSION=v0.0.0"}, "/download/v0.0.0/checksums.txt"},
		"the same, by wget": {wget, []string{"KM_VERSION=v0.0.0"}, "/download/v0.0.0/checksums.txt"},
		"no program":        {curl, []string{"KM_VERSION=broken"}, "does not run"},
		"no server":         {curl, []string{"KM_RELEASES=http://127.0.0.1:1"}, "http://127.0.0.1:1"},
		"other machine":     {other, nil, "riscv64"},
		"folder in its way": {curl, []string{"KM_DIR=" + taken}, taken},
		"no folder":         {curl, []string{"KM_DIR=" + filepath.Join(file, "bin")}, "KM_DIR"},
		"no means":          {tools(t), nil, "neither curl nor wget"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := install(t, script, c.path, append([]string{from, "HOME=" + home}, c.env...)...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v, want an error about %s:\n%s", err, c.want, out)
			}
		})
	}
	t.Run("cut off", func(t *testing.T) {
		cut := filepath.Join(t.TempDir(), "install.sh")
		for _, n := range []int{len(whole) - len("main \"$@\"\n"), len(whole) / 2} {
			if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := install(t, cut, curl, from, "HOME="+home, "KM_DIR="+filepath.Join(elsewhere, "cut"))
			if _, err := os.Lstat(filepath.Join(elsewhere, "cut")); err == nil {
				t.Errorf("%d bytes of it have done something:\n%s", n, out)
			}
		}
	})
	// Nothing is left of what was tried, and what was there has stayed.
	entries, err := os.ReadDir(filepath.Dir(installed))
	if err != nil || len(entries) != 1 || version(t, installed) != "1.2.3\n" {
		t.Errorf("what is left: %v, %v", entries, err)
	}
}
