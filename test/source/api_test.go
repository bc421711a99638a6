package source

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is the path of the module at the root.
const module = "github.com/seed-200a7251/km"

var update = flag.Bool("update", false, "write what the API is now to testdata")

// public are the packages of the framework that other programs import.
var public = []string{"supervisor", "supervisor/supervisortest", "supervisor/charset", "supervisor/mounts", "logging", "logging/klogs"}

// What the framework exports is promised to whoever imports it: a change of it is seen here, and is to be meant.
// `go test ./test/source -update` writes the list anew.
func TestAPI(t *testing.T) {
	for _, dir := range public {
		t.Run(dir, func(t *testing.T) {
			golden := filepath.Join("testdata", strings.ReplaceAll(dir, "/", "-")+".txt")
			got := strings.Join(exported(t, filepath.Join(root, dir)), "\n") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("if that is meant, `go test ./test/source -update` (-as it was +as it is):\n%s", diff)
			}
		})
	}
}

// exported are the exported declarations of a package, a line each: constants, variables, types, functions, methods and
// fields.
func exported(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no package in %s (%v)", dir, err)
	}
	a := &api{set: token.NewFileSet()}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(a.set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		a.aliases(t, file)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				a.function(d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					a.spec(d.Tok, spec)
				}
			}
		}
	}
	slices.Sort(a.lines)
	return slices.Compact(a.lines) // one for each operating system
}

type api struct {
	set   *token.FileSet
	lines []string
}

func (a *api) add(format string, args ...any) {
	a.lines = append(a.lines, fmt.Sprintf(format, args...))
}

// text is a node as gofmt would print it, on one line.
func (a *api) text(node any) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, a.set, node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// aliases adds what types have that are aliases of internal ones: who imports the package sees it as its own.
func (a *api) aliases(t *testing.T, file *ast.File) {
	t.Helper()
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			s, ok := spec.(*ast.TypeSpec)
			if !ok || !s.Assign.IsValid() || !s.Name.IsExported() {
				continue
			}
			of, ok := s.Type.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			for _, path := range file.Imports {
				folder, ours := strings.CutPrefix(strings.Trim(path.Path.Value, `"`), module+"/")
				if !ours || filepath.Base(folder) != a.text(of.X) || !strings.Contains(folder, "/internal/") {
					continue
				}
				for _, line := range exported(t, filepath.Join(root, folder)) {
					kind, rest, _ := strings.Cut(line, " ")
					if member, ok := strings.CutPrefix(rest, of.Sel.Name+"."); ok {
						a.add("%s %s.%s", kind, s.Name.Name, member)
					}
				}
			}
		}
	}
}

func (a *api) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	receiver := ""
	if d.Recv != nil {
		receiver = strings.TrimPrefix(a.text(d.Recv.List[0].Type), "*")
		if !ast.IsExported(receiver) {
			return
		}
		receiver += "."
	}
	parameters := ""
	if d.Type.TypeParams != nil {
		parameters = "[T]"
	}
	a.add("func %s%s%s%s", receiver, d.Name.Name, parameters, strings.TrimPrefix(a.text(d.Type), "func"))
}

func (a *api) spec(kind token.Token, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() {
				a.add("%s %s", kind, name.Name)
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		structure, ok := s.Type.(*ast.StructType)
		if !ok {
			equals := ""
			if s.Assign.IsValid() {
				equals = "= "
			}
			a.add("type %s %s%s", s.Name.Name, equals, a.text(s.Type))
			return
		}
		a.add("type %s struct", s.Name.Name)
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				if name.IsExported() {
					a.add("field %s.%s %s", s.Name.Name, name.Name, a.text(field.Type))
				}
			}
		}
	}
}
