package objects

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/supervisor/charset"
)

// parse returns the objects in the text of a file.
func parse(file string, data []byte) (all []Object, wrong []error) {
	text, err := charset.Decode(data)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", file, err)}
	}
	if line, err := charset.Invalid(text); err != nil {
		// Where it is in comments alone, as kubectl takes it, it is in no object.
		text = bytes.ToValidUTF8(text, []byte(invalid))
		defer func() {
			if len(wrong) > 0 || slices.ContainsFunc(all, hasInvalid) {
				all, wrong = nil, append(wrong, fmt.Errorf("%s: %w", at(file, line), err))
			}
		}()
	}
	before := 0 // lines before the document
	for documents := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, wrong
		}
		if err != nil {
			return all, append(wrong, fmt.Errorf("%s: %w; a document ends with a line of --- and nothing else", at(file, separator(text)), err))
		}
		for _, v := range values(file, document, before) {
			found, errs := v.objects(file)
			all, wrong = append(all, found...), append(wrong, errs...)
		}
		before += bytes.Count(document, []byte("\n")) + 1 // and the line that ends it
	}
}

// invalid stands for bytes that are not UTF-8. It is no character, nor can it be in a text that is read.
const invalid = "\U0010fffe"

// hasInvalid reports whether an object has it in a text, or in a key.
func hasInvalid(o Object) bool {
	text, err := o.MarshalJSON()
	return err != nil || bytes.Contains(text, []byte(invalid))
}

// separator is the first line that looks like one between documents and is none.
func separator(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok {
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
				return n
			}
		}
	}
	return n
}

// value is one value, in JSON, and where it begins; or what is wrong with it.
type value struct {
	line int
	json []byte
	err  error
}

// values are what is in a document: one value, or several in JSON, behind one another.
func values(file string, document []byte, before int) []value {
	jsonValues, jsonErr := readJSON(document, before)
	if jsonErr == nil {
		return jsonValues
	}
	if len(jsonValues) > 0 { // for YAML, what follows on the first one would not be there
		return append(jsonValues, value{err: jsonErr})
	}
	first := before + contentLine(document)
	text, err := yaml.YAMLToJSON(document)
	switch {
	case err == nil:
		return []value{{line: first, json: text}}
	case jsonErr != errNoJSON && filepath.Ext(file) == ".json":
		err = jsonErr
	default:
		err = placed(document, first, before)
	}
	return []value{{err: err}}
}

// errNoJSON says that a text does not look like JSON.
var errNoJSON = errors.New("it is no JSON")

// readJSON returns the values of a document in JSON, up to where it is none any more, and why it is none.
func readJSON(document []byte, before int) (found []value, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		return nil, errNoJSON
	}
	line := func(offset int64) int { return before + 1 + bytes.Count(document[:offset], []byte("\n")) }
	for d := stdjson.NewDecoder(bytes.NewReader(document)); ; {
		begin := d.InputOffset()
		rest := document[begin:]
		begin += int64(len(rest) - len(bytes.TrimLeft(rest, " \t\r\n")))
		if len(found) > 0 && onlyComments(document[begin:]) {
			return found, nil
		}
		var text stdjson.RawMessage
		err := d.Decode(&text)
		if err != nil {
			end := int64(len(document))
			if syntax, ok := errors.AsType[*stdjson.SyntaxError](err); ok {
				end = min(max(syntax.Offset-1, 0), end)
			}
			return found, &placedError{line(end), err.Error()}
		}
		found = append(found, value{line: line(begin), json: text})
	}
}

// onlyComments reports whether a text has nothing but YAML's comments in it.
func onlyComments(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// contentLine is the first line, from 1, that is not blank, a comment, or a line between documents.
func contentLine(document []byte) int {
	n := 0
	for line := range bytes.Lines(document) {
		n++
		text := bytes.TrimSpace(line)
		if len(text) > 0 && text[0] != '#' && text[0] != '%' && !bytes.HasPrefix(line, []byte("---")) {
			return n
		}
	}
	return 1
}

// placedError is an error about a line of a file.
type placedError struct {
	line int
	text string
}

func (e *placedError) Error() string { return e.text }

var (
	// yamlLine is where the YAML package names a line.
	yamlLine = regexp.MustCompile(`^(?:error converting YAML to JSON: )?(?:yaml: )?(?:unmarshal errors:\s+)?(?:line (\d+): )?`)
	// fromZero are errors of which it counts the lines from 0 (go.yaml.in/yaml/v2/decode.go).
	fromZero = regexp.MustCompile(`^did not find expected (key|'-' indicator|node content|',' or|<document start>)|^found undefined tag handle`)
)

// placed is why a document is no YAML, with the line in the file.
func placed(document []byte, first, before int) error {
	// An empty line before makes the package name the first line, too, which it does not otherwise.
	_, err := yaml.YAMLToJSON(append([]byte("\n"), document...))
	if err == nil {
		return &placedError{first, "it is no YAML"}
	}
	m := yamlLine.FindStringSubmatch(err.Error())
	text, line := err.Error()[len(m[0]):], first
	if n, err := strconv.Atoi(m[1]); err == nil {
		if line = before + n; !fromZero.MatchString(text) {
			line--
		}
	}
	if strings.HasPrefix(text, "invalid map key") {
		text = "a key is no text: put one that begins with a bracket in quotes, and render templates before"
	}
	return &placedError{line, text}
}

// objects are the objects in a value: one, or those of a list.
func (v value) objects(file string) ([]Object, []error) {
	if v.err != nil {
		line := v.line
		if e, ok := errors.AsType[*placedError](v.err); ok {
			line = e.line
		}
		return nil, []error{fmt.Errorf("%s: %w", at(file, line), v.err)}
	}
	if text := bytes.TrimSpace(v.json); len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil, nil
	}
	var content map[string]any
	if err := json.Unmarshal(v.json, &content); err != nil || content == nil {
		return nil, []error{fmt.Errorf("%s: it is no object: one has apiVersion, kind and metadata", at(file, v.line))}
	}
	return flatten(file, v.line, "", content)
}

// flatten returns the object, or those in it if it is a list. what says which one of a list it is.
func flatten(file string, line int, what string, content map[string]any) (all []Object, wrong []error) {
	o := Object{Unstructured: &unstructured.Unstructured{Object: content}, File: file, Line: line}
	items, isList := content["items"].([]any)
	if kind, _ := content["kind"].(string); !isList || !strings.HasSuffix(kind, "List") {
		if err := complete(content); err != nil {
			return nil, []error{fmt.Errorf("%s: %s%w", o.At(), what, err)}
		}
		return []Object{o}, nil
	}
	for i, item := range items {
		what := fmt.Sprintf("%sitem %d of the list: ", what, i+1)
		content, ok := item.(map[string]any)
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s: %sit is no object: one has apiVersion, kind and metadata", o.At(), what))
			continue
		}
		found, errs := flatten(file, line, what, content)
		all, wrong = append(all, found...), append(wrong, errs...)
	}
	return all, wrong
}

// complete returns what keeps an object from being applied, whatever its kind.
func complete(content map[string]any) error {
	var missing []string
	var texts [3]string
	for i, path := range []string{"apiVersion", "kind", "metadata.name"} {
		text, found, err := unstructured.NestedString(content, strings.Split(path, ".")...)
		value, _, _ := unstructured.NestedFieldNoCopy(content, strings.Split(path, ".")...)
		switch {
		case err != nil && value != nil:
			return fmt.Errorf("%s is to be a text, and %v is none: put it in quotes", path, value)
		case err != nil && path == "metadata.name" && content["metadata"] != nil:
			return errors.New("metadata is to have a name below it, as name: NAME")
		case err != nil || !found || text == "":
			missing = append(missing, path)
		}
		texts[i] = text
	}
	if len(missing) > 0 {
		generated, _, _ := unstructured.NestedString(content, "metadata", "generateName")
		if len(missing) == 1 && missing[0] == "metadata.name" && generated != "" {
			return errors.New("metadata.generateName cannot be applied: each time it would be another object; give it a metadata.name")
		}
		hint := ""
		if strings.HasPrefix(texts[0], "kustomize.config.k8s.io/") {
			hint = " (it is a kustomization: name its folder)"
		}
		return fmt.Errorf("there is no %s%s", strings.Join(missing, ", no "), hint)
	}
	if _, err := schema.ParseGroupVersion(texts[0]); err != nil {
		return fmt.Errorf("apiVersion %q is none: write GROUP/VERSION, or v1", texts[0])
	}
	return exported(content)
}

// exported returns which fields of an object keep it from being applied more than once, or at all: they are of one that
// a cluster has, as `kubectl get -o yaml` prints it.
func exported(content map[string]any) error {
	var names []string
	for _, name := range []string{"managedFields", "resourceVersion", "uid"} {
		if value, found, _ := unstructured.NestedFieldNoCopy(content, "metadata", name); found && value != nil && value != "" {
			names = append(names, "metadata."+name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("what the API server sets cannot be applied; remove %s", strings.Join(names, ", "))
}
