package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/test/skip"
)

// The image has the binary and nothing else, and runs it as nobody in particular: so does this, without an image.
func TestImage(t *testing.T) {
	if os.Getuid() != 0 {
		skip.OrFail(t, "a root of its own takes the right to mount: run it as root")
	}
	env, command := containerfile(t)
	rootfs := t.TempDir()
	_, binary := built(t)
	err := os.MkdirAll(filepath.Join(rootfs, "usr", "bin"), 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(rootfs, "usr", "bin", "km"), binary, 0o755)
	}
	for _, dir := range []string{"state", "tmp", "proc", "dev"} {
		if err == nil {
			err = os.Mkdir(filepath.Join(rootfs, dir), 0o755)
		}
	}
	const nobody = 65532
	for _, dir := range []string{"state", "tmp"} {
		if err == nil {
			err = os.Chown(filepath.Join(rootfs, dir), nobody, nobody)
		}
	}
	if err == nil { // so that others than root get there
		err = os.Chmod(filepath.Dir(rootfs), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	// As a container's root has them. The shell is outside of it.
	const script = `set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
shift
exec "$@"`
	args := []string{"--mount", "sh", "-c", script, "sh", rootfs}
	args = append(args, inPath(t, "env"), "--ignore-environment")
	args = append(args, env...)
	args = append(args, inPath(t, "chroot"), fmt.Sprintf("--userspec=%d:%[1]d", nobody), rootfs, "/usr/bin/km")
	args = append(args, command...)
	// Others have the ports that these would be, and here the cluster is to end.
	args = append(args, "--free-ports", "--", "/usr/bin/km", "kubectl", "get", "nodes", "--no-headers")
	out, err := exec.CommandContext(t.Context(), "unshare", args...).Output()
	if err != nil || !strings.HasPrefix(string(out), "node-1 ") || !strings.Contains(string(out), " Ready ") {
		var said []byte
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			said = failed.Stderr
		}
		t.Fatalf("%v\n%s%s", err, said, out)
	}
}

// inPath is where a program is.
func inPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// containerfile returns the environment and the command that the image has.
func containerfile(t *testing.T) (env, command []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".release", "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "ENV":
			env = strings.Fields(rest)
		case "CMD":
			if err := json.Unmarshal([]byte(rest), &command); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(env) == 0 || len(command) == 0 {
		t.Fatal("the Containerfile has no ENV or no CMD")
	}
	return env, command
}
