package storage

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	// Class is the name of the StorageClass, as with kind and minikube.
	Class = "standard"
	// Provisioner is the name by which a StorageClass asks for these volumes. It is the same for simulated ones: a
	// cluster may have real nodes today and simulated ones tomorrow, and a class's provisioner cannot be changed.
	Provisioner = "km.local/folder"
	// AskedProvisioner is the annotation of a claim with which the controller-manager says whom it asks for a volume.
	AskedProvisioner = "volume.kubernetes.io/storage-provisioner"
	// SelectedNode is the annotation of a claim with which the scheduler says where its pod is to run.
	SelectedNode = "volume.kubernetes.io/selected-node"
	// defaultClass is what makes a class the one for claims that name none.
	defaultClass = "storageclass.kubernetes.io/is-default-class"
)

// EnsureClass makes the StorageClass if it is missing: the default one, unless another one is. What is there stays as
// it is.
func EnsureClass(ctx context.Context, client kubernetes.Interface) error {
	classes := client.StorageV1().StorageClasses()
	there, err := classes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	isDefault := "true"
	for _, c := range there.Items {
		if c.Name == Class {
			return nil
		}
		if c.Annotations[defaultClass] == "true" {
			isDefault = "false"
		}
	}
	_, err = classes.Create(ctx, &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: Class, Annotations: map[string]string{defaultClass: isDefault}},
		Provisioner:       Provisioner,
		ReclaimPolicy:     ptr.To(corev1.PersistentVolumeReclaimDelete),
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// simulatedFolder is where simulated volumes are said to be. It is not there, and nothing makes it.
const simulatedFolder = "/simulated/"

// SimulatedSource is the source of a volume that has nothing behind it. A real pod that gets it is told that there is
// no such folder.
func SimulatedSource(name string) corev1.PersistentVolumeSource {
	return corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: simulatedFolder + name, Type: ptr.To(corev1.HostPathDirectory)}}
}

// IsSimulated reports whether a volume has nothing behind it.
func IsSimulated(pv *corev1.PersistentVolume) bool {
	return pv.Spec.HostPath != nil && strings.HasPrefix(pv.Spec.HostPath.Path, simulatedFolder)
}
