package logging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A real disk that is full, or rather what Linux has for it.
func TestDiskThatIsFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	ls := New(Config{Out: full, Files: true, Program: "km"})
	path := filepath.Join(t.TempDir(), "km.log")
	if err := ls.Program().Open(File{Path: path}); err != nil {
		t.Fatal(err)
	}
	db := ls.Server("db")
	db.Discard()
	db.Zap().Info("x")
	// Until it is told; it is a goroutine that finds out.
	for {
		ls.Flush()
		if text, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		} else if strings.Contains(string(text), "no space left on device") {
			break
		}
	}
	db.Zap().Info("y")
	ls.Flush()
	ls.Close()
	if all := linesOf(t, path); len(all) != 1 || all[0].Level != "warn" || all[0].Server != "km" {
		t.Errorf("the file has %d lines, want one warning", len(all))
	}
}
