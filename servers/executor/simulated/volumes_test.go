package simulated

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/storage"
)

// A claim is served if its pod is on a simulated node, also if that is not known yet, as at the beginning; or if its
// class has volumes made at once.
func TestIsFor(t *testing.T) {
	node := func(name, fake string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if fake != "" {
			n.Annotations = map[string]string{fakeAnnotation: fake}
		}
		return n
	}
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	if err := store.Add(node("known", "fake")); err != nil {
		t.Fatal(err)
	}
	v := &volumes{client: fake.NewClientset(node("new", "fake"), node("real", "")), nodes: follower[*corev1.Node]{Store: store}}
	for _, test := range []struct {
		node, provisioner string
		mode              storagev1.VolumeBindingMode
		want              bool
	}{
		{"known", storage.Provisioner, storagev1.VolumeBindingWaitForFirstConsumer, true},
		{"new", storage.Provisioner, storagev1.VolumeBindingWaitForFirstConsumer, true},
		{"real", storage.Provisioner, storagev1.VolumeBindingWaitForFirstConsumer, false},
		{"gone", storage.Provisioner, storagev1.VolumeBindingWaitForFirstConsumer, false},
		{"", storage.Provisioner, storagev1.VolumeBindingWaitForFirstConsumer, false},
		{"", storage.Provisioner, storagev1.VolumeBindingImmediate, true},
		{"known", "another.example", storagev1.VolumeBindingImmediate, false},
	} {
		claim := &corev1.PersistentVolumeClaim{}
		if test.node != "" {
			claim.Annotations = map[string]string{storage.SelectedNode: test.node}
		}
		class := &storagev1.StorageClass{Provisioner: test.provisioner, VolumeBindingMode: ptr.To(test.mode)}
		if is, err := v.isFor(t.Context(), claim, class); is != test.want || err != nil {
			t.Errorf("%+v: %v, %v", test, is, err)
		}
	}
}
