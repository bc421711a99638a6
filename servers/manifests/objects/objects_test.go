package objects

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"
)

// tree writes files into a new folder, and changes to it.
func tree(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// read is what Read returns, as text: a line for each object, and for each error.
func read(paths []string, input string) (lines []string) {
	all, wrong := Read(paths, Kept{StandardInput: []byte(input)})
	for _, o := range all {
		lines = append(lines, fmt.Sprintf("%s: %v", o.At(), o))
	}
	for _, err := range wrong {
		lines = append(lines, "wrong: "+err.Error())
	}
	return lines
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

func jsonMap(name string) string {
	return `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "` + name + `"}}` + "\n"
}

// What is read of a file, and where it stands there.
func TestFile(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"one", configMap("a"), []string{"f.yaml:1: ConfigMap a"}},
		{"namespace", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}", []string{"f.yaml:1: Deployment b/a"}},
		{"several", configMap("a") + "---\n" + configMap("b") + "--- # more\n\n# c\n" + configMap("c"),
			[]string{"f.yaml:1: ConfigMap a", "f.yaml:5: ConfigMap b", "f.yaml:11: ConfigMap c"}},
		{"blank lines and comments before", "\n# a\n\n" + configMap("a"), []string{"f.yaml:4: ConfigMap a"}},
		{"begins with a separator", "# x\n---\n---\n\n---\n" + configMap("a") + "---\n" + configMap("b"), []string{"f.yaml:6: ConfigMap a", "f.yaml:10: ConfigMap b"}},
		{"separator first", "---\n" + configMap("a") + "---\n" + configMap("b"), []string{"f.yaml:2: ConfigMap a", "f.yaml:6: ConfigMap b"}},
		{"empty documents", "---\n---\n# nothing\n---\nnull\n---\n" + configMap("a") + "---\n", []string{"f.yaml:7: ConfigMap a"}},
		{"ends of lines of Windows", strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n"), []string{"f.yaml:1: ConfigMap a", "f.yaml:5: ConfigMap b"}},
		{"JSON", "\n" + jsonMap("a"), []string{"f.yaml:2: ConfigMap a"}},
		{"several in JSON", jsonMap("a") + "\n\n" + jsonMap("b") + jsonMap("c"), []string{"f.yaml:1: ConfigMap a", "f.yaml:4: ConfigMap b", "f.yaml:5: ConfigMap c"}},
		{"JSON with tabs", "{\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"a\"}}", []string{"f.yaml:1: ConfigMap a"}},
		{"JSON and comments", jsonMap("a") + "# b\n\n---\n" + jsonMap("c"), []string{"f.yaml:1: ConfigMap a", "f.yaml:5: ConfigMap c"}},
		{"like JSON", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", []string{"f.yaml:1: ConfigMap a"}},
		{"list", "# x\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n" +
			"- {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]}\n",
			[]string{"f.yaml:2: ConfigMap a", "f.yaml:2: ConfigMap b"}},
		{"empty list", "{apiVersion: v1, kind: List, items: []}\n---\n" + configMap("a"), []string{"f.yaml:3: ConfigMap a"}},
		{"items of something else", "{apiVersion: x/v1, kind: Menu, metadata: {name: a}, items: [soup]}", []string{"f.yaml:1: Menu a"}},
		{"a key twice, as kubectl takes it", configMap("a") + "data: {x: a}\ndata: {x: b}\n", []string{"f.yaml:1: ConfigMap a"}},
		{"nothing", "", []string{"wrong: --apply=f.yaml: there are no manifests in it; name another file"}},
		{"nothing but comments", "# a\n---\n# b\n", []string{"wrong: --apply=f.yaml: there are no manifests in it; name another file"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree(t, map[string]string{"f.yaml": test.text})
			if diff := cmp.Diff(test.want, read([]string{"f.yaml"}, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is wrong has the line in the file, whichever document it is in, and does not keep the rest from being looked at.
func TestWrongFile(t *testing.T) {
	const before = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n" // four lines
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"indentation", "a:\n  b: 1\n c: 2\n", []string{"7: did not find expected key"}},
		{"tab", "a: 1\n\tb: 2\n", []string{"6: found a tab character that violates indentation"}},
		{"in the first line", "a: b: c\n", []string{"5: mapping values are not allowed in this context"}},
		{"bracket that is not closed", "a: [\n", []string{"6: did not find expected node content"}},
		{"colon", "a: 1\nb: c: d\n", []string{"6: mapping values are not allowed in this context"}},
		{"character", "\n\na: @x\n", []string{"7: found character that cannot start any token"}},
		{"template", "\n{{ .Values.x }}\n", []string{"6: a key is no text: put one that begins with a bracket in quotes, and render templates before"}},
		{"separator", "--- # fine\n---x\n", []string{"6: invalid Yaml document separator: x; a document ends with a line of --- and nothing else"}},
		{"two at once", "a: [\n---\n\nkind: A\n", []string{"6: did not find expected node content", "8: there is no apiVersion, no metadata.name"}},
		{"list", "- a\n", []string{"5: it is no object: one has apiVersion, kind and metadata"}},
		{"text", "\nhello\n", []string{"6: it is no object: one has apiVersion, kind and metadata"}},
		{"no apiVersion", "kind: A\nmetadata: {name: a}\n", []string{"5: there is no apiVersion"}},
		{"empty map", "{}\n", []string{"5: there is no apiVersion, no kind, no metadata.name"}},
		{"generateName", "apiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n",
			[]string{"5: metadata.generateName cannot be applied: each time it would be another object; give it a metadata.name"}},
		{"number as a name", "apiVersion: v1\nkind: A\nmetadata: {name: 17}\n", []string{"5: metadata.name is to be a text, and 17 is none: put it in quotes"}},
		{"metadata without a name below", "apiVersion: v1\nkind: A\nmetadata: a\n", []string{"5: metadata is to have a name below it, as name: NAME"}},
		{"apiVersion", "apiVersion: a/b/c\nkind: A\nmetadata: {name: a}\n", []string{`5: apiVersion "a/b/c" is none: write GROUP/VERSION, or v1`}},
		{"exported", "apiVersion: v1\nkind: A\nmetadata: {name: a, uid: b, resourceVersion: \"7\", managedFields: [], creationTimestamp: null}\n",
			[]string{"5: what the API server sets cannot be applied; remove metadata.managedFields, metadata.resourceVersion, metadata.uid"}},
		{"exported, and made blank", "apiVersion: v1\nkind: A\nmetadata: {name: a, uid: '', resourceVersion: '', managedFields: null}\n", nil},
		{"item", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {kind: A}\n- 7\n", []string{
			"5: item 2 of the list: there is no apiVersion, no metadata.name", "5: item 3 of the list: it is no object: one has apiVersion, kind and metadata"}},
		{"kustomization", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
			[]string{"5: there is no metadata.name (it is a kustomization: name its folder)"}},
		{"second value in JSON", jsonMap("b") + "{\n\"a\": 1,\n", []string{"8: unexpected EOF"}},
		{"something behind JSON", jsonMap("b") + "a: 1\n", []string{"6: invalid character 'a' looking for beginning of value"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree(t, map[string]string{"f.yaml": before + test.text})
			var got []string
			for _, line := range read([]string{"f.yaml"}, "") {
				if text, wrong := strings.CutPrefix(line, "wrong: f.yaml:"); wrong {
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("JSON by its name", func(t *testing.T) {
		tree(t, map[string]string{"f.json": "{\n\t\"a\": 1,\n\t\"b\" 2\n}\n"})
		want := []string{"wrong: f.json:3: invalid character '2' after object key"}
		if diff := cmp.Diff(want, read([]string{"f.json"}, "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Of a folder the files are read that kubectl reads, and several paths are read in their order.
func TestPaths(t *testing.T) {
	tree(t, map[string]string{
		"dir/b.yaml": configMap("b"), "dir/a.yml": configMap("a"), "dir/c.json": jsonMap("c"), "dir/README.md": "# hello", "dir/d": configMap("d"),
		"dir/below/e.yaml": configMap("e"), "dir/x.yaml/f.yaml": configMap("f"),
		"plain":        configMap("g"),
		"only/x/a.yml": configMap("h"),
		"blank/a.yml":  "# nothing\n",
		"bad/a.yaml":   "a: [\n", "bad/b.yaml": "kind: [\n",
		"kust/kustomization.yaml": "namePrefix: x-\nnamespace: shop\nresources: [a.yaml, c.yaml]\n", "kust/c.yaml": configMap("g"), "kust/a.yaml": configMap("i"), "kust/b.yaml": "not: read",
		"badkust/Kustomization": "resources: [none.yaml]\n",
		// no repository on the web
		"github.com/org/repo/kustomization.yaml": "resources: [a.yaml]\n", "github.com/org/repo/a.yaml": configMap("j"),
		"nokust/kustomization.yml": "resources: []\nnamePrefix: a-\n",
	})
	for _, test := range []struct {
		paths, input string
		want         []string
	}{
		{"dir/", "", []string{"dir/a.yml:1: ConfigMap a", "dir/b.yaml:1: ConfigMap b", "dir/c.json:1: ConfigMap c"}},
		{"plain dir/below", "", []string{"plain:1: ConfigMap g", "dir/below/e.yaml:1: ConfigMap e"}},
		{"- plain", "\n" + configMap("z"), []string{"standard input:2: ConfigMap z", "plain:1: ConfigMap g"}},
		{"github.com/org/repo", "", []string{"github.com/org/repo/kustomization.yaml: ConfigMap j"}},
		{"./kust", "", []string{"kust/kustomization.yaml: ConfigMap shop/x-g", "kust/kustomization.yaml: ConfigMap shop/x-i"}},
		{"-", "", []string{"wrong: --apply=-: there are no manifests in standard input; pipe some into it (--config - reads it to its end, too)"}},
		{"none plain only blank", "", []string{"plain:1: ConfigMap g",
			"wrong: --apply=none: no such file or directory; name a file, a folder, or - for standard input",
			"wrong: --apply=only: there is no file *.yaml, *.yml or *.json in it; name another folder (folders in it are not looked into)",
			"wrong: --apply=blank: there are no manifests in its files; name another folder"}},
		{"bad", "", []string{"wrong: bad/a.yaml:2: did not find expected node content", "wrong: bad/b.yaml:2: did not find expected node content"}},
	} {
		t.Run(test.paths, func(t *testing.T) {
			if diff := cmp.Diff(test.want, read(strings.Fields(test.paths), test.input)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for path, want := range map[string]string{"badkust": "wrong: badkust/Kustomization: ", "nokust": "wrong: nokust/kustomization.yml: "} {
		got := read([]string{path}, "")
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// inUTF16 is a text as Windows' shells write it.
func inUTF16(text string) string {
	b, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		panic(err)
	}
	return b
}

// What kubectl reads is read, with the lines of the editor. What it would garble is told.
func TestEncodings(t *testing.T) {
	const latin = "# caf\xe9\n"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"UTF-8 with a mark", "\ufeff" + configMap("a") + "---\n" + configMap("b"), []string{"f.yaml:1: ConfigMap a", "f.yaml:5: ConfigMap b"}},
		{"JSON with a mark", "\ufeff" + jsonMap("a") + jsonMap("b"), []string{"f.yaml:1: ConfigMap a", "f.yaml:2: ConfigMap b"}},
		{"UTF-16", inUTF16(configMap("a") + "---\n" + configMap("b")), []string{"f.yaml:1: ConfigMap a", "f.yaml:5: ConfigMap b"}},
		{"UTF-16, lines of Windows", inUTF16(strings.ReplaceAll("# x\n"+configMap("a")+"---\n"+configMap("b"), "\n", "\r\n")), []string{"f.yaml:2: ConfigMap a", "f.yaml:6: ConfigMap b"}},
		{"UTF-16, JSON", inUTF16(jsonMap("a") + "\n" + jsonMap("b")), []string{"f.yaml:1: ConfigMap a", "f.yaml:3: ConfigMap b"}},
		{"UTF-16 with a mistake", inUTF16(configMap("a") + "---\n\nkind: a\n"), []string{"f.yaml:1: ConfigMap a", "wrong: f.yaml:6: there is no apiVersion, no metadata.name"}},
		{"UTF-16 without a mark", strings.TrimPrefix(inUTF16(configMap("a")), "\xff\xfe"), []string{"wrong: f.yaml: it is encoded as UTF-16, without the mark (BOM) that says so; save it as UTF-8"}},
		{"Latin 1 in a comment", latin + configMap("a"), []string{"f.yaml:2: ConfigMap a"}},
		{"Latin 1 in a name", configMap("a") + "---\n" + latin + configMap("caf\xe9"), []string{"wrong: f.yaml:5: byte 0xe9 is not UTF-8; save the file as UTF-8"}},
		{"Latin 1 in JSON", strings.ReplaceAll(jsonMap("cafe"), "cafe", "caf\xe9"), []string{"wrong: f.yaml:1: byte 0xe9 is not UTF-8; save the file as UTF-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree(t, map[string]string{"f.yaml": test.text})
			if diff := cmp.Diff(test.want, read([]string{"f.yaml"}, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			input := read([]string{StandardInput}, test.text)
			for i, line := range input {
				input[i] = strings.ReplaceAll(line, "standard input", "f.yaml")
			}
			if diff := cmp.Diff(test.want, input); diff != "" {
				t.Errorf("standard input (-want +got):\n%s", diff)
			}
		})
	}

	// kustomize does it by itself.
	tree(t, map[string]string{"kustomization.yaml": inUTF16("resources: [f.yaml]\n"), "f.yaml": inUTF16(configMap("a"))})
	if diff := cmp.Diff([]string{"kustomization.yaml: ConfigMap a"}, read([]string{"."}, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What comes through a pipe is there once, and is kept.
func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := w.WriteString(configMap("a")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !IsPipe(name) || IsPipe(t.TempDir()) || IsPipe("none") {
		t.Error("what is a pipe is not known")
	}
	kept := Kept{}
	for range 2 {
		all, wrong := Read([]string{name}, kept)
		if len(all) != 1 || len(wrong) != 0 || all[0].At() != name+":1" {
			t.Errorf("%v, %v", all, wrong)
		}
	}
}

// In a folder it is not waited for.
func TestPipeInAFolder(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "a.yaml")
	if err := exec.Command("mkfifo", name).Run(); err != nil {
		t.Skip("no mkfifo")
	}
	_, wrong := Read([]string{folder}, Kept{})
	if len(wrong) != 1 || !strings.Contains(wrong[0].Error(), name+": it is a pipe") {
		t.Error(wrong)
	}
}
