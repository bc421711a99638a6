package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// widgets is a definition and an object of it, in the wrong order; shop is a namespace, and what users have in one,
// likewise.
const (
	widgets = `
apiVersion: example.com/v1
kind: Widget
metadata: {name: first}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, maximum: 9}}}
`
	shop = `
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: c, image: example.invalid/c}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: c, image: example.invalid/c}]
---
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: web, namespace: shop}, rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: web, namespace: shop}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
  subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`
)

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {value: " + value + "}\n"
}

// applied checks that an object is there, and what is in it.
func (h home) applied(t *testing.T, kind, name, path, want string) {
	t.Helper()
	if got := h.shows(t, kind+"/"+name, "{"+path+"}"); got != want {
		t.Errorf("%s of %s %s is %q, want %q", path, kind, name, got, want)
	}
}

// Manifests from a folder, a file, a kustomization, standard input and a config file are there when km says that it is
// ready; a restart applies what has changed, and a second run applies them again.
func TestApply(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	at := func(path string) string { return filepath.Join(h.dir, path) }
	writeFile(t, at("config/a.yaml"), widgets)
	writeFile(t, at("config/b.yml"), shop)
	writeFile(t, at("config/README.md"), "no manifest")
	edited := writeFile(t, at("one"), configMap("one", "before"))
	writeFile(t, at("kust/kustomization.yaml"), "namePrefix: built-\nresources: [cm.yaml]\n")
	writeFile(t, at("kust/cm.yaml"), configMap("two", "x"))
	writeFile(t, at("four.yaml"), configMap("four", "x"))
	file := writeFile(t, at("km.yaml"), "apply: ["+at("four.yaml")+"]\n")

	input := writeFile(t, at("input"), configMap("three", "x"))

	run := func() *process { // as a shell does it
		return h.start(t, "sh", "-c", `exec km run --free-ports --config "$1" --apply "$2" --apply "$3" --apply "$4" --apply - <"$5"`, "sh",
			file, at("config"), edited, at("kust"), input)
	}
	p := run()
	p.waitReady()
	for _, text := range []string{"km: manifests joins: --apply is given\n", "12 objects of " + at("four.yaml") + ", " + at("config")} {
		if !strings.Contains(p.stdout.String(), text) {
			t.Errorf("the screen does not say %q", text)
		}
	}
	check := func(one string) {
		t.Helper()
		h.applied(t, "widget", "first", ".spec.size", "3")
		h.applied(t, "configmap", "one", ".data.value", one)
		h.applied(t, "configmap", "built-two", ".data.value", "x")
		h.applied(t, "configmap", "three", ".data.value", "x")
		h.applied(t, "configmap", "four", ".data.value", "x")
		h.must(t, "kubectl", "get", "--namespace=shop", "pod/bare", "deployment/web", "role/web", "rolebinding/web", "serviceaccount/web")
	}
	check("before")
	h.applied(t, "configmap", "one", ".metadata.managedFields[0].manager", "km")

	// A restart reads the files anew; what was in standard input is kept.
	writeFile(t, edited, configMap("one", "after"))
	h.must(t, "kubectl", "delete", "configmap", "three")
	h.must(t, "restart", "manifests")
	check("after")
	log := h.must(t, "logs", "manifests")
	for object, changes := range map[string]string{"ConfigMap one": "created configured", "ConfigMap three": "created created", "ConfigMap four": "created unchanged"} {
		var got []string
		for _, line := range lines(log) {
			if before, _, found := strings.Cut(line, ` object="`+object+`"`); found {
				got = append(got, before[strings.LastIndex(before, " ")+1:])
			}
		}
		if strings.Join(got, " ") != changes {
			t.Errorf("%s was %v, want %s", object, got, changes)
		}
	}

	// The apiserver's restart is none of its business.
	h.must(t, "restart", "apiserver")
	if out := h.must(t, "status"); !strings.Contains(out, "manifests            ready") {
		t.Errorf("after a restart of the apiserver:\n%s", out)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}

	p = run()
	p.waitReady()
	check("after")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of the second run %d", code)
	}
}

// When km says that it is ready, all is there: also with more objects than a moment is enough for.
func TestApplyComesBeforeReady(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "---\n%s", configMap(fmt.Sprintf("many-%d", i), "x"))
	}
	many := writeFile(t, filepath.Join(h.dir, "many.yaml"), text.String())
	p := h.start(t, binary, "run", "apiserver", "--free-ports", "--apply", many)
	p.waitReady()
	if got := lines(h.must(t, "kubectl", "get", "configmaps", "-o", "name")); len(got) < 300 {
		t.Errorf("%d objects are there", len(got))
	}
	if stdout := p.stdout.String(); strings.Contains(stdout, "scheduler") || strings.Contains(stdout, "controller-manager") {
		t.Errorf("it has more servers join:\n%s", stdout)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What the API refuses ends the run, with all reasons and their places; what can be applied is.
func TestApplyRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	at := func(path string) string { return filepath.Join(h.dir, path) }
	writeFile(t, at("bad/a.yaml"), configMap("fine", "x")+"---\n"+configMap("field", "x")+"dada: {}\n---\n"+
		"apiVersion: v1\nkind: Widgit\nmetadata: {name: kind}\n---\n"+configMap("nowhere", "x")+"---\n"+
		strings.ReplaceAll(widgets, "size: 3", "size: 30"))
	writeFile(t, at("bad/b.yaml"), "\napiVersion: v1\nkind: Pod\nmetadata: {name: pod, namespace: nowhere}\nspec: {containers: [{name: c, image: c}]}\n")
	r := h.km(t, "run", "apiserver", "--free-ports", "--apply", at("bad"))
	if r.code != 1 || strings.Contains(r.stdout, "km: ready") || !strings.Contains(r.stdout, "etcd       stopped") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
	last := -1
	for _, text := range []string{
		"Error: manifests failed: 4 of 7 objects were refused:\n",
		at("bad/a.yaml") + ":6: ConfigMap field: failed to create typed patch object (/field; /v1, Kind=ConfigMap): .dada: field not declared in schema\n",
		at("bad/a.yaml") + ":12: Widgit kind: the API server has no kind Widgit in v1",
		at("bad/a.yaml") + `:22: Widget first: Widget.example.com "first" is invalid: spec.size: Invalid value: 30`,
		at("bad/b.yaml") + `:2: Pod nowhere/pod: namespaces "nowhere" not found` + "\n",
	} {
		i := strings.Index(r.stderr, text)
		if i <= last {
			t.Errorf("there is no %q behind the one before", text)
		}
		last = i
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}

// hook is a webhook without a server; it is asked about what has the label.
const hook = `---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks:
- name: hook.example.com
  clientConfig: {url: "https://127.0.0.1:1/x"}
  objectSelector: {matchLabels: {hooked: "yes"}}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: ["*"]}]
  sideEffects: None
  admissionReviewVersions: [v1]
---
`

// What a run leaves does not keep the next one from applying the same: a webhook whose server is not there any more, an
// old definition, a namespace that ends.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	labelled := strings.NewReplacer("name: first", "name: first, labels: {hooked: 'yes'}", "name: web, namespace: shop}\nspec",
		"name: web, namespace: shop, labels: {hooked: 'yes'}}\nspec")
	file := writeFile(t, filepath.Join(h.dir, "all.yaml"), labelled.Replace(widgets)+"---\n"+labelled.Replace(shop)+hook)
	p := h.run(t, "apiserver,controller-manager", "--apply", file)
	h.must(t, "restart", "manifests")
	log := h.must(t, "logs", "manifests")
	for _, object := range []string{"Widget first", "Deployment shop/web"} {
		if !strings.Contains(log, `unchanged object="`+object+`"`) {
			t.Errorf("%s is not unchanged", object)
		}
	}

	// An object with a field that its definition has got in the same file.
	writeFile(t, file, strings.NewReplacer("maximum: 9}", "maximum: 9}, colour: {type: string}", "name: first", "name: second", "size: 3", "colour: red").Replace(widgets))
	h.must(t, "restart", "manifests")
	h.applied(t, "widget", "second", ".spec.colour", "red")

	// A namespace that ends while it is applied.
	h.must(t, "kubectl", "create", "configmap", "held", "--namespace=shop")
	h.must(t, "kubectl", "patch", "configmap", "held", "--namespace=shop", "--type=merge", "--patch", `{"metadata": {"finalizers": ["example.com/held"]}}`)
	before := h.must(t, "kubectl", "get", "namespace", "shop", "-o", "jsonpath={.metadata.uid}")
	h.must(t, "kubectl", "delete", "namespace", "shop", "--wait=false")
	writeFile(t, file, shop)
	restart := h.start(t, binary, "restart", "manifests")
	eventually(t, "the Deployment waits", func() bool {
		return strings.Contains(h.must(t, "logs", "manifests"), `object="Deployment shop/web" error=`)
	})
	h.must(t, "kubectl", "patch", "configmap", "held", "--namespace=shop", "--type=merge", "--patch", `{"metadata": {"finalizers": null}}`)
	if code := restart.wait(); code != 0 {
		t.Fatalf("exit code of the restart %d", code)
	}
	h.must(t, "kubectl", "get", "--namespace=shop", "deployment/web", "role/web")
	if after := h.must(t, "kubectl", "get", "namespace", "shop", "-o", "jsonpath={.metadata.uid}"); after == before {
		t.Error("the namespace is the one that ended")
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What an APIService announces is waited for, and found when it comes: here with a definition instead of that server,
// which is not there.
func TestApplyAwaitsKind(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	object, definition, _ := strings.Cut(widgets, "---\n")
	crd := writeFile(t, filepath.Join(h.dir, "crd.yaml"), definition)
	file := writeFile(t, filepath.Join(h.dir, "all.yaml"), object+`---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.example.com}
spec:
  group: example.com
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: nowhere, namespace: default}
`)
	p := h.start(t, binary, "run", "apiserver", "--free-ports", "--apply", file)
	eventually(t, "the Widget waits", func() bool {
		return strings.Contains(h.km(t, "logs", "manifests").stdout, `object="Widget first" error=`)
	})
	h.must(t, "kubectl", "delete", "apiservice", "v1.example.com")
	h.must(t, "kubectl", "create", "-f", crd)
	p.waitReady()
	h.applied(t, "widget", "first", ".spec.size", "3")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What can be seen in the files is told before anything starts, all at once, and is no wrong usage.
func TestApplyUnreadable(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	bad := writeFile(t, filepath.Join(h.dir, "bad.yaml"), configMap("fine", "x")+"---\nkind: A\n---\na: 1\n b: 2\n")
	file := writeFile(t, filepath.Join(h.dir, "km.yaml"), "\napply: [none]\n")
	r := h.km(t, "run", "--free-ports", "--config", file, "--apply", bad)
	if r.code != 1 || r.stdout != "" {
		t.Errorf("exit code %d, printed %q", r.code, r.stdout)
	}
	for _, text := range []string{
		"Error: " + bad + ":6: there is no apiVersion, no metadata.name\n",
		"Error: " + bad + ":9: ",
		"Error: --apply=none: no such file or directory; name a file, a folder, or - for standard input (--apply is from " + file + ":2)\n",
	} {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("no line is %q\n%s", text, r.stderr)
		}
	}
	if _, err := os.Stat(h.dataDir("km")); err == nil {
		t.Error("there is a data folder")
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"run --apply https://example.com/x.yaml", "curl -fsSL https://example.com/x.yaml | km run --apply -"},
		{"run manifests", "name a file or folder with --apply"},
		{"run --manifests.isolation=process --apply -", "a process of its own cannot read standard input"},
		{"minion --kubeconfig=none --apply " + bad, "--apply is given, but no selected server has it"},
	} {
		t.Run(test.args, func(t *testing.T) { refused(t, h.km(t, strings.Fields(test.args)...), test.want) })
	}
	if r := h.km(t, "run", "--free-ports", "--apply", "-"); r.code != 1 || !strings.Contains(r.stderr, "there are no manifests in standard input") {
		t.Errorf("without standard input: exit code %d, %s", r.code, r.stderr)
	}
}

// Without a cluster of its own it applies to one elsewhere, beside others and by itself.
func TestApplyElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	control := h.run(t, "apiserver")
	kubeconfig := filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")
	one := writeFile(t, filepath.Join(h.dir, "one.yaml"), configMap("one", "x"))
	two := writeFile(t, filepath.Join(h.dir, "two.yaml"), configMap("two", "x"))
	beside := h.run(t, "manifests", "--name=other", "--manifests.kubeconfig="+kubeconfig, "--apply="+one)
	if ready := states(beside.stdout.String(), "ready"); len(ready) != 1 || ready[0] != "manifests" {
		t.Errorf("ready: %v", ready)
	}
	h.applied(t, "configmap", "one", ".data.value", "x")
	alone := h.start(t, binary, "manifests", "--kubeconfig="+kubeconfig, "--apply="+two)
	alone.await(alone.stderr, "all manifests are applied")
	h.applied(t, "configmap", "two", ".data.value", "x")
	for _, p := range []*process{alone, beside, control} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	if r := h.km(t, "manifests", "--kubeconfig="+kubeconfig, "--apply=none"); r.code != 1 || !strings.Contains(r.stderr, "--apply=none: no such file") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}
