package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// What is deleted with a volume is its own folder, and nothing else: neither what another path leads to, nor what links
// in it do.
func TestDelete(t *testing.T) {
	root := t.TempDir()
	v := &volumes{dir: filepath.Join(root, "volumes")}
	precious := filepath.Join(root, "precious", "file")
	for _, file := range []string{precious, filepath.Join(v.dir, "pvc-a", "data"), filepath.Join(v.dir, "pvc-b", "data")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"pvc-a/link": filepath.Dir(precious), "pvc-link": filepath.Dir(precious)} {
		if err := os.Symlink(to, filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name, path string) error {
		return v.Delete(t.Context(), &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}}},
		})
	}
	for _, path := range []string{v.dir, v.dir + "/", v.dir + "/.", v.dir + "/../precious", v.dir + "/pvc-a/../../precious", filepath.Dir(precious), v.dir + "/pvc-b",
		v.dir + "/pvc-link/file"} {
		for _, name := range []string{"pvc-x", filepath.Base(path)} {
			if name == "pvc-b" {
				continue
			}
			if err := remove(name, path); !errors.As(err, new(*controller.IgnoredError)) {
				t.Errorf("%s at %s: %v", name, path, err)
			}
		}
	}
	for _, name := range []string{"pvc-a", "pvc-link", "pvc-gone"} {
		if err := remove(name, filepath.Join(v.dir, name)); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(v.dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", name, err)
		}
	}
	for _, file := range []string{precious, filepath.Join(v.dir, "pvc-b", "data")} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}
