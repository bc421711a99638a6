package supervisor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

func TestCommandsToType(t *testing.T) {
	state := t.TempDir()
	for _, test := range []struct {
		name  string
		args  []string
		words string
		want  string
	}{
		{"the default", nil, "logs -f", "hk logs -f"},
		{"other name", []string{"--name=two"}, "logs -f", "hk logs -f --name=two"},
		{"the default by its name", []string{"--name=hk"}, "run", "hk run"},
		{"folder", []string{"--data-dir=/data"}, "status", "hk status --data-dir=/data"},
		{"folder with a space", []string{"--data-dir=/my data"}, "status", "hk status --data-dir='/my data'"},
		{"folder with more", []string{"--data-dir=/it's $(mine)"}, "status", `hk status --data-dir='/it'\''s $(mine)'`},
		{"name and folder", []string{"--name=two", "--data-dir=/data"}, "run", "hk run --name=two --data-dir=/data"},
		// Its flags are its own.
		{"server", []string{"--name=two"}, "raw get pods", "hk --name=two raw get pods"},
		{"server, the default", nil, "raw get pods", "hk raw get pods"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}, &Server{SimpleUsage: "raw", Main: done})
			t.Setenv("XDG_STATE_HOME", state)
			p, err := planned(t, hk, append([]string{"db"}, test.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Command(strings.Fields(test.words)...); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// Another terminal has neither the variables of this one nor, of a run without a folder of its own, its folder.
func TestCommandsToTypeElsewhere(t *testing.T) {
	p, err := planned(t, newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}), "--ephemeral")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Command("status"), "hk status "+text.ShellQuote("--data-dir="+p.DataDir); got != want {
		t.Errorf("with a temporary folder: %s, want %s", got, want)
	}
	t.Setenv("HK_NAME", "two")
	p, err = newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}).Location()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Command("status"), "hk status --name=two"; got != want {
		t.Errorf("with a variable: %s, want %s", got, want)
	}
}

// Called under another name than its own, it tells to call it by that, if that leads to it.
func TestCallable(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, target := range map[string]string{"hk-linux-amd64": self, "hk (1)": self, "other": os.Args[0] + ".none"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct{ arg0, path, want string }{
		{filepath.Join(dir, "hk-linux-amd64"), "/nowhere", filepath.Join(dir, "hk-linux-amd64")},
		{filepath.Join(dir, "hk-linux-amd64"), dir, "hk-linux-amd64"},
		{"hk-linux-amd64", dir, "hk-linux-amd64"},
		{"./hk (1)", "/nowhere", "./hk (1)"},
		// What was there may be gone, or never was: whoever starts a process says what it is called.
		{"hk-linux-amd64", "/nowhere", ""},
		{filepath.Join(dir, "other"), dir, ""},
		{"my cluster", dir, ""},
		{"", dir, ""},
		{"/", dir, ""},
	} {
		t.Setenv("PATH", test.path)
		if got := callable(test.arg0); got != test.want {
			t.Errorf("called as %q with PATH=%s: %q, want %q", test.arg0, test.path, got, test.want)
		}
	}
}

// written are commands of the binary in a text, with its name in it or with a place for that.
var written = regexp.MustCompile("(^|[`'( ])km (run|version|help|logs|status|start|stop|restart|log-level|top|profile|analyze|config|completion|reset|" +
	"kubeconfig|snapshot|repair|kubectl|kubelet|proxy)\\b|[`']%(\\[\\d+\\])?s ([a-z-]|%)|  %(\\[\\d+\\])?s (run|logs|status|start|stop|restart)\\b")

// notTyped are texts with such a command that tell what it is, and nobody to type it.
var notTyped = []string{"no flag of `%s run`", "nor a flag of `%s run`", "`%s %s` is how `%[1]s run` calls itself", "# `%s run --config FILE` does"}

// Whoever writes a hint by hand forgets something: the flags by which the servers are found, the name by which the
// binary was called, or quotes. The texts of help are about all runs.
func TestHintsAreMadeInOnePlace(t *testing.T) {
	looked := 0
	for _, root := range []string{".", "../servers"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == "usage.go" || path == "hint.go" {
				return err
			}
			looked++
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					key, ok := n.Key.(*ast.Ident)
					return !ok || key.Name != "Long" && key.Name != "Short"
				case *ast.BasicLit:
					text, err := strconv.Unquote(n.Value)
					for _, known := range notTyped {
						text = strings.ReplaceAll(text, known, "")
					}
					if err == nil && n.Kind == token.STRING && written.MatchString(text) {
						t.Errorf("%s: %s: make it with Command or typed", files.Position(n.Pos()), n.Value)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if looked < 100 {
		t.Errorf("only %d files: this cannot be all", looked)
	}
}
