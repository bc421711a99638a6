package manifests

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/yaml"
)

// A manifest is applied if km owns in the live object what the manifest has, no less and no more.
func TestApplied(t *testing.T) {
	read := func(text string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		return u
	}
	const (
		quota = `
apiVersion: v1
kind: ResourceQuota
metadata:
  name: q
  namespace: default
  resourceVersion: "7"
  managedFields:
  - {manager: km, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:hard": {"f:cpu": {}}}}}
  labels: {a: b, other: else}
spec: {hard: {cpu: "1", memory: "5"}}
status: {hard: {cpu: "1"}}
`
		thing = `
apiVersion: example.com/v1
kind: Thing
metadata:
  name: q
  managedFields:
  - {manager: km, operation: Apply, apiVersion: example.com/v1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:size": {}}}}
spec: {size: "1", more: 5}
`
		of      = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, labels: {a: b}, creationTimestamp: null}\n"
		ofThing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: q, creationTimestamp: null}\n"
	)
	for name, test := range map[string]struct {
		manifest, live string
		want           bool
	}{
		"same":                      {of + "spec: {hard: {cpu: 1}}", quota, true},
		"a quantity, otherwise":     {of + "spec: {hard: {cpu: 1000m}}\nstatus: {}", quota, true},
		"another value":             {of + "spec: {hard: {cpu: 2}}", quota, false},
		"more":                      {of + "spec: {hard: {cpu: 1, pods: 1}}", quota, false},
		"what is somebody else's":   {of + "spec: {hard: {cpu: 1, memory: 5}}", quota, false},
		"less":                      {of, quota, false},
		"no kind of ours":           {ofThing + "spec: {size: '1'}\nstatus: {x: y}", thing, true},
		"no kind of ours, changed":  {ofThing + "spec: {size: '1.0'}", thing, false},
		"no kind of ours, and more": {ofThing + "spec: {size: '1', more: 5}", thing, false},
	} {
		manifest := read(test.manifest)
		got, err := applied(manifest, read(test.live), typed.DeducedParseableType)
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
