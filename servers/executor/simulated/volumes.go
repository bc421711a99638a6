package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/storage"
	"github.com/seed-200a7251/km/supervisor"
)

// provisionedBy is the annotation of a volume with which a provisioner says that it is to delete it.
const provisionedBy = "pv.kubernetes.io/provisioned-by"

// volumes gives claims volumes that have nothing behind them, as their pods run nowhere. What a claim goes through is
// what it does with any external provisioner: the controller-manager asks for a volume and binds it, and leaves the
// deletion of a released one to who made it.
//
// The library that does so for the server storage is of no use here: it adds types to client-go's Scheme, which others
// are reading while the executor starts again, and one of its controllers runs but once.
type volumes struct {
	server *supervisor.Server
	client kubernetes.Interface
	nodes  follower[*corev1.Node]
	claims follower[*corev1.PersistentVolumeClaim]
	made   follower[*corev1.PersistentVolume]
	queue  workqueue.TypedRateLimitingInterface[volumeKey]
}

// volumeKey is the namespace and name of a claim, or the name of a volume.
type volumeKey struct {
	claim bool
	name  string
}

// volumeWorkers is how many claims and volumes are served at a time.
const volumeWorkers = 2

func newVolumes(s *supervisor.Server, client kubernetes.Interface, nodes follower[*corev1.Node]) *volumes {
	limit := workqueue.NewTypedItemExponentialFailureRateLimiter[volumeKey](50*time.Millisecond, time.Minute)
	return &volumes{server: s, client: client, nodes: nodes, queue: workqueue.NewTypedRateLimitingQueue[volumeKey](limit)}
}

// run serves claims until ctx ends.
func (v *volumes) run(ctx context.Context) error {
	v.claims = follow(ctx, v.client.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll), func(c *corev1.PersistentVolumeClaim) {
		if c.Annotations[storage.AskedProvisioner] == storage.Provisioner {
			v.queue.Add(volumeKey{true, cache.MetaObjectToName(c).String()})
		}
	}, nil)
	v.made = follow(ctx, v.client.CoreV1().PersistentVolumes(), func(pv *corev1.PersistentVolume) {
		if storage.IsSimulated(pv) && pv.Status.Phase == corev1.VolumeReleased {
			v.queue.Add(volumeKey{false, pv.Name})
		}
	}, nil)
	// What they have queued is served from here on: they are set.
	for range volumeWorkers {
		go func() {
			for v.serve(ctx) {
			}
		}()
	}
	<-ctx.Done()
	v.queue.ShutDown()
	return nil
}

// serve serves what is next in the queue, and reports whether there may be more.
func (v *volumes) serve(ctx context.Context) bool {
	key, end := v.queue.Get()
	if end {
		return false
	}
	defer v.queue.Done(key)
	err := v.server.Guard(func() error {
		if key.claim {
			return v.serveClaim(ctx, key.name)
		}
		return v.release(ctx, key.name)
	})
	if err == nil || ctx.Err() != nil {
		v.queue.Forget(key)
		return true
	}
	v.server.Slog().Info("a simulated volume is tried again", "name", key.name, "err", err)
	v.queue.AddRateLimited(key)
	return true
}

// serveClaim makes the volume of a claim, or brings it to the size that the claim asks for now.
func (v *volumes) serveClaim(ctx context.Context, name string) error {
	claim, ok := v.claims.get(name)
	switch {
	case !ok || claim.DeletionTimestamp != nil:
		return nil
	case claim.Status.Phase == corev1.ClaimBound:
		return v.expand(ctx, claim)
	case claim.Spec.VolumeName != "":
		return nil
	}
	class, err := v.client.StorageV1().StorageClasses().Get(ctx, ptr.Deref(claim.Spec.StorageClassName, ""), metav1.GetOptions{})
	if err != nil {
		return err
	}
	if is, err := v.isFor(ctx, claim, class); !is {
		return err
	}
	pv := volume(claim, class)
	_, err = v.client.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// isFor reports whether it is for simulated nodes to have the claim's volume. If it is not, nobody looks at the claim
// again before it changes.
func (v *volumes) isFor(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) (bool, error) {
	if class.Provisioner != storage.Provisioner || claim.Spec.Selector != nil {
		return false, nil // a simulated volume has no properties that a selector could choose by
	}
	selected := claim.Annotations[storage.SelectedNode]
	if selected == "" {
		return ptr.Deref(class.VolumeBindingMode, storagev1.VolumeBindingImmediate) == storagev1.VolumeBindingImmediate, nil
	}
	node, err := nodeNamed(ctx, v.client, v.nodes, selected)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return node.Annotations[fakeAnnotation] != "", nil
}

// volume is that of a claim. All nodes can reach it.
func volume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: storage.Provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: ptr.Deref(class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete),
			MountOptions:                  class.MountOptions,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource:        storage.SimulatedSource(name),
			ClaimRef: &corev1.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
		},
	}
}

// expand gives a simulated volume and its claim the size that the claim asks for. The API lets it ask where its class
// allows that.
func (v *volumes) expand(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	want := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if has := claim.Status.Capacity[corev1.ResourceStorage]; want.Cmp(has) <= 0 {
		return nil
	}
	pv, ok := v.made.get(claim.Spec.VolumeName)
	if !ok {
		return fmt.Errorf("the volume %s is not known yet", claim.Spec.VolumeName)
	}
	if !storage.IsSimulated(pv) {
		return nil
	}
	if has := pv.Spec.Capacity[corev1.ResourceStorage]; want.Cmp(has) > 0 {
		patch, err := capacity("spec", want)
		if err != nil {
			return err
		}
		if _, err := v.client.CoreV1().PersistentVolumes().Patch(ctx, pv.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	patch, err := capacity("status", want)
	if err != nil {
		return err
	}
	_, err = v.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// capacity is a patch.
func capacity(of string, size resource.Quantity) ([]byte, error) {
	return json.Marshal(map[string]any{of: map[string]any{"capacity": corev1.ResourceList{corev1.ResourceStorage: size}}})
}

// release deletes a volume whose claim has gone, if its class wants that.
func (v *volumes) release(ctx context.Context, name string) error {
	pv, ok := v.made.get(name)
	if !ok || pv.DeletionTimestamp != nil || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete ||
		pv.Annotations[provisionedBy] != storage.Provisioner {
		return nil
	}
	err := v.client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pv.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
