package storage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func claimFor(name, node, provisioner string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, Annotations: map[string]string{SelectedNode: node, AskedProvisioner: provisioner},
	}}
}

// Users are told of claims that wait for a node without storage, and of no others.
func TestUnanswered(t *testing.T) {
	claims := []*corev1.PersistentVolumeClaim{
		claimFor("waiting", "bare", Provisioner), claimFor("answered", "other", Provisioner), claimFor("moved", "bare", Provisioner),
		claimFor("gone", "bare", Provisioner), claimFor("ours", "here", Provisioner), claimFor("foreign", "bare", "example.com/disks"),
	}
	client := fake.NewClientset()
	for _, c := range claims {
		if err := client.Tracker().Add(c); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		v := &volumes{node: "here", unanswered: newUnanswered(client, "here", "km run minion,storage")}
		ended := make(chan struct{})
		go func() { defer close(ended); v.unanswered.run(ctx) }()
		for _, c := range claims {
			if got, want := v.ShouldProvision(ctx, c), c.Name == "ours"; got != want {
				t.Errorf("%s is for this machine: %v, want %v", c.Name, got, want)
			}
		}
		inNamespace := client.CoreV1().PersistentVolumeClaims("default")
		answered, moved := claims[1].DeepCopy(), claims[2].DeepCopy()
		answered.Spec.VolumeName = "pvc-answered"
		moved.Annotations[SelectedNode] = "here"
		for _, c := range []*corev1.PersistentVolumeClaim{answered, moved} {
			if _, err := inNamespace.Update(ctx, c, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := inNamespace.Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		told := func() []corev1.Event {
			synctest.Wait()
			events, err := client.CoreV1().Events("default").List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return events.Items
		}
		time.Sleep(answerTime)
		if events := told(); len(events) > 0 {
			t.Errorf("told at once: %v", events)
		}
		time.Sleep(answerTime)
		events := told()
		if len(events) != 1 || events[0].InvolvedObject.Name != "waiting" || !strings.Contains(events[0].Message, "node bare") ||
			!strings.Contains(events[0].Message, "`km run minion,storage`") {
			t.Errorf("told: %v", events)
		}
		time.Sleep(answerTime)
		if events := told(); len(events) != 1 || events[0].Count != 2 {
			t.Errorf("told again: %v", events)
		}
		cancel()
		<-ended
	})
}

// Two machines may have their folders at the same path: each deletes its own, and the volume stays as long as the other
// has not.
func TestShouldDelete(t *testing.T) {
	v := &volumes{dir: t.TempDir(), node: "here"}
	if err := os.Mkdir(filepath.Join(v.dir, "pvc-renamed"), 0o700); err != nil {
		t.Fatal(err)
	}
	volume := func(name string, nodes ...string) *corev1.PersistentVolume {
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
		pv.Spec.Local = &corev1.LocalVolumeSource{Path: filepath.Join(v.dir, name)}
		if len(nodes) > 0 {
			pv.Spec.NodeAffinity = onNodes(nodes...)
		}
		return pv
	}
	simulated := volume("pvc-simulated", "node-1")
	simulated.Spec.PersistentVolumeSource = SimulatedSource("pvc-simulated")
	var deleted []string
	for _, pv := range []*corev1.PersistentVolume{
		volume("pvc-ours", "here"), volume("pvc-theirs", "there"), volume("pvc-renamed", "as-it-was-called"), volume("pvc-anywhere"), simulated,
	} {
		if v.ShouldDelete(t.Context(), pv) {
			deleted = append(deleted, pv.Name)
		}
	}
	if want := []string{"pvc-ours", "pvc-renamed", "pvc-anywhere", "pvc-simulated"}; !slices.Equal(deleted, want) {
		t.Errorf("deleted: %v, want %v", deleted, want)
	}
}
