package manifests

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

func TestOrder(t *testing.T) {
	all := []objects.Object{
		named("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "w"), named("example.com/v1", "Thing", "t"),
		named("v1", "ConfigMap", "c"), named("apps/v1", "Deployment", "d"), named("v1", "Namespace", "n"),
		named("apiregistration.k8s.io/v1", "APIService", "v1.example.com"),
	}
	slices.SortStableFunc(all, objects.Order)
	var got []string
	for _, o := range all {
		got = append(got, o.GetKind())
	}
	want := []string{"APIService", "Namespace", "ConfigMap", "Deployment", "Thing", "ValidatingWebhookConfiguration"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for version, want := range map[schema.GroupVersion]bool{
		{Group: "example.com", Version: "v1"}: true, {Group: "example.com", Version: "v2"}: false, {Version: "v1"}: false} {
		if got := declaresAPI(all, version); got != want {
			t.Errorf("%v is declared: %v", version, got)
		}
	}
}

// What is refused right after its definition has changed is no last word, but soon is.
func TestSettles(t *testing.T) {
	kind := schema.GroupKind{Group: "example.com", Kind: "Thing"}
	thing := named("example.com/v1", "Thing", "t")
	for ago, want := range map[time.Duration]bool{0: true, 2 * settle: false} {
		a := applier{changed: map[schema.GroupKind]time.Time{kind: time.Now().Add(-ago)}}
		if got := a.settles(thing); got != want {
			t.Errorf("changed %v ago: %v", ago, got)
		}
		if a.settles(named("example.com/v1", "Other", "t")) {
			t.Error("a definition that is not changed settles")
		}
	}
}
