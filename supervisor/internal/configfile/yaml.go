package configfile

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nullTag is what the library notes on values that are null.
const nullTag = "!!null"

// readYAML reads the one document of a text. It returns nil if there is none, or none that can be read.
func readYAML(text []byte, lines lineStarts, found *problems) *yaml.Node {
	if checkCharacters(text, lines, found); found.any() {
		return nil
	}
	documents, err := decode(text)
	if err != nil {
		e := meantAsJSON(text, lines)
		if e == nil {
			e = explain(err, text, lines)
		}
		found.add(e.Line, "%s", e.Text)
	}
	if len(documents) > 1 {
		found.add(documents[1].Line, "a second document begins here; remove the ---, or all that follows")
	}
	if len(documents) == 0 {
		return nil
	}
	return documents[0]
}

// decode reads the documents of a text, at most two that have something in them. The error is the library's. Its
// earlier versions have panicked with some texts. None is known for this one, so there is no recover here; FuzzParse
// searches for one.
func decode(text []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var documents []*yaml.Node
	for len(documents) < 2 {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return documents, err
		}
		if !blank(document.Content[0]) {
			documents = append(documents, &document)
		}
	}
	return documents, nil
}

// blank reports whether nothing is written where n is, as after a lone "---".
func blank(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 }

// explain says what an error of the library means, and in which line it is.
func explain(err error, text []byte, lines lineStarts) *Error {
	_, problem := split(err)
	line := locate(problem, text, lines)
	return &Error{line, inWords(problem, lines.line(line, text))}
}

// locate finds the line of a problem that the library has with a text.
//
// The lines that the library names are not reliable: none for the first line, the line before for errors of its parser,
// and the beginning of a map for an error much further down. So the line is searched: the shortest beginning of the
// text with the same error ends with it.
func locate(problem string, text []byte, lines lineStarts) int {
	// An empty line before the text makes the library name the same line for any number of lines. Without it, if the
	// error begins in the first line, the library names the line in which it gave up.
	moved := append([]byte("\n"), text...)
	failure := func(n int) string {
		if _, err := decode(moved[:1+len(lines.first(n, text))]); err != nil {
			return err.Error()
		}
		return ""
	}
	whole := failure(len(lines))
	named, _ := split(errors.New(whole))
	if strings.HasPrefix(problem, "did not find expected ','") || problem == "did not find expected node content" {
		// A text that ends inside of brackets has these errors, too, so searching finds nothing. But here the named
		// line is right after the empty line was added, because it counts from 0: that of the bracket, or of what
		// stands for a value.
		return min(max(named, 1), len(lines))
	}
	// The error is never before the named line, and often in it.
	first := min(max(named-1, 1), len(lines))
	if failure(first) == whole {
		return first
	}
	return first + 1 + sort.Search(len(lines)-first-1, func(i int) bool { return failure(first+1+i) == whole })
}

// split returns the line that an error of the library names, or 0, and the problem.
func split(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	rest, numbered := strings.CutPrefix(problem, "line ")
	if !numbered {
		return 0, problem
	}
	number, rest, _ := strings.Cut(rest, ": ")
	line, _ = strconv.Atoi(number)
	return line, rest
}
