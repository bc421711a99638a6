package e2e

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// lockMachine gives the test what there is once on a machine, until it ends. If another test has it, of whatever
// checkout, it waits for that.
func lockMachine(t *testing.T, what string) {
	t.Helper()
	file := filepath.Join(os.TempDir(), "km-e2e-"+what+".lock")
	// Who may read it may lock it. In a shared folder the kernel refuses O_CREATE for a file of another user
	// (fs.protected_regular).
	if f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	lock := flock.New(file, flock.SetFlag(os.O_RDONLY))
	const turns = 10 // several tests may be before it, and each may wait for something
	ctx, cancel := context.WithTimeout(context.Background(), turns*patience)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); ctx.Err() != nil {
		t.Fatalf("other tests have had the machine's %s for %v; `fuser -v %s` shows them", what, turns*patience, file)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
	})
}

// Each test of this package calls t.Parallel first. Most of the time it waits for a cluster, and others run meanwhile.
func TestEachIsParallel(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	for name, f := range declared {
		if !beginsParallel(f) {
			t.Errorf("%s does not begin with t.Parallel()", name)
		}
	}
	if len(declared) < 10 {
		t.Errorf("only %d tests are found: this shows nothing", len(declared))
	}
}

// Each test that `make test-quick` is to run is there: of a name that no test has, go test says nothing.
func TestQuickTestsAreThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^QUICK := \^\((.+)\)\$\$$`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the Makefile names none")
	}
	declared := declaredTests(t)
	for name := range strings.SplitSeq(string(m[1]), "|") {
		if declared[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// declaredTests are the tests of this package, by their names.
func declaredTests(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	found := map[string]*ast.FuncDecl{}
	for _, file := range files {
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			found[f.Name.Name] = f
		}
	}
	return found
}

// beginsParallel reports whether a function calls Parallel of its parameter before anything else.
func beginsParallel(f *ast.FuncDecl) bool {
	if len(f.Body.List) == 0 || len(f.Type.Params.List) != 1 || len(f.Type.Params.List[0].Names) != 1 {
		return false
	}
	first, ok := f.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	return types.ExprString(first.X) == f.Type.Params.List[0].Names[0].Name+".Parallel()"
}
