//go:build unix

package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A server that fails for good while the command runs ends it, and is what the run has failed of.
func TestServerFailsBesideJob(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	failing := &Server{SimpleUsage: "failing", Restart: RestartNever, Run: func(ctx context.Context, _ *Server, _ []string) error {
		if err := poll(ctx, "fail", func() bool { return isThere("fail") }); err != nil {
			return err
		}
		return errors.New("out of ink")
	}}
	hk := newHyperKube(t, failing, steady("db"))
	out, err := call(hk, "hk", "run", "--", "sh", "-c", "trap 'echo > ended; exit 3' TERM; echo > fail; while :; do sleep 0.01; done")
	wantCode(t, err, 1)
	contains(t, out, "Error: failing failed: out of ink\n")
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Error("the command was not asked to end")
	}
}

// A stop before all are ready leaves the command alone, and is no success.
func TestSignalBeforeJob(t *testing.T) {
	slow := &Server{SimpleUsage: "slow", Run: idle, Ready: func(ctx context.Context, _ *Server) error {
		if err := signalSelf(syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	out, err := call(newHyperKube(t, slow), "hk", "run", "--", "sh", "-c", "echo it was run")
	wantCode(t, err, 143)
	contains(t, out, "Error: sh was not run: terminated came before all servers were ready\n")
	lacks(t, out, "it was run")
}

// Servers that are done before all are ready leave nothing to run it with.
func TestServersEndBeforeJob(t *testing.T) {
	quits := &Server{SimpleUsage: "quits", Restart: RestartNever, Run: done, Ready: func(ctx context.Context, _ *Server) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	out, err := call(newHyperKube(t, quits), "hk", "run", "--", "sh", "-c", "echo it was run")
	wantCode(t, err, 1)
	contains(t, out, "Error: quits failed: ")
	lacks(t, out, "it was run")
}

// The environment says where the servers are, as the binary wants it.
func TestJobEnvironment(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	hk.Environment = func(p *Plan) []string { return []string{"DB_FILE=" + p.Path("db")} }
	out, err := call(hk, "hk", "run", "--quiet", "--", "sh", "-c", `echo "$DB_FILE in $HK_DATA_DIR of $HK_NAME"`)
	if err != nil {
		t.Fatal(err)
	}
	dir := locate(t, hk).DataDir
	contains(t, out, filepath.Join(dir, "db")+" in "+dir+" of hk\n")
}
