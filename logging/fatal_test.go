package logging

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// log.Fatal ends the process: its line is in the file before.
func TestStandardFatal(t *testing.T) {
	const file = "LOGGING_TEST_FATAL" // where the process that is to end writes to
	if path := os.Getenv(file); path != "" {
		ls := New(Config{Files: true})
		ls.Program().Discard()
		db := ls.Server("db")
		if err := db.Open(File{Path: path}); err != nil {
			t.Fatal(err)
		}
		ls.TakeDefaults()
		db.Do(func() { log.Fatalf("lost the %s", "lease") })
	}
	path := filepath.Join(t.TempDir(), "db.log")
	cmd := exec.Command(os.Args[0], "-test.run=^TestStandardFatal$")
	cmd.Env = append(os.Environ(), file+"="+path)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"level":"fatal","server":"db"`) || !strings.Contains(string(text), `"msg":"lost the lease"`) {
		t.Errorf("the file has %q", text)
	}
}
