// Package source tests what a reader of the source sees.
package source

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// columns is how wide comments and prose may be. A tab counts as four.
const columns = 120

// root is the folder of the repository.
const root = "../.."

// files are the repository's files with that ending, below root. What a build has left is none of them.
func files(t *testing.T, ending string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == filepath.Join(root, "bin") || d.Name() == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ending) && d.Type().IsRegular():
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("there is no file %s below %s", ending, root)
	}
	return paths
}

func width(line string) int {
	return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
}

// gofmt does not care how wide a comment is; who reads two files side by side does. What a program prints, in the
// output of an example, is left as it is, and so are directives.
func TestCommentsAreNarrow(t *testing.T) {
	for _, path := range files(t, ".go") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(string(text), "\n")
		for _, group := range file.Comments {
			if isOutput(group) {
				continue
			}
			for _, comment := range group.List {
				if strings.HasPrefix(comment.Text, "//go:") {
					continue
				}
				first, last := set.Position(comment.Pos()).Line, set.Position(comment.End()).Line
				for n := first; n <= last; n++ {
					if w := width(lines[n-1]); w > columns {
						t.Errorf("%s:%d: the line with this comment has %d columns, more than %d", path, n, w, columns)
					}
				}
			}
		}
	}
}

// isOutput reports whether the comment is what an example prints.
func isOutput(group *ast.CommentGroup) bool {
	text := strings.ToLower(group.Text())
	return strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:")
}

// Of prose, tables and what stands between fences cannot be broken.
func TestProseIsNarrow(t *testing.T) {
	for _, path := range files(t, ".md") {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fenced := false
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			switch {
			case strings.HasPrefix(line, "```"):
				fenced = !fenced
			case fenced || strings.HasPrefix(line, "|") || !strings.Contains(line, " "):
			case width(lines.Text()) > columns:
				t.Errorf("%s:%d: %d columns, more than %d", path, n, width(lines.Text()), columns)
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
