package machines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/test/skip"
)

// Nodes have what kubelets take for their own, each its own, also after they were off, and none of it is left.
func TestNodes(t *testing.T) {
	t.Parallel()
	if _, missing := MissingForNodes(); len(missing) > 0 {
		skip.OrFail(t, "nodes need what is missing here: "+strings.Join(missing, ", "))
	}
	var cgroups []string
	t.Run("test", func(t *testing.T) {
		hosts := NewNodes(t, 2)
		for _, h := range hosts {
			above, err := cgroupMounts()
			if err != nil || len(above) == 0 {
				t.Fatalf("cgroups are mounted at %v (%v)", above, err)
			}
			for _, real := range above {
				cgroups = append(cgroups, filepath.Join(real, h.Cgroup()))
				output(t, h.Command("mkdir", filepath.Join(real, "pod")))
				if _, err := os.Stat(filepath.Join(real, h.Cgroup(), "pod")); err != nil {
					t.Error(err)
				}
			}
			for _, folder := range Folders {
				output(t, h.Command("touch", filepath.Join(folder, h.Cgroup())))
				if _, err := os.Stat(filepath.Join(folder, h.Cgroup())); !os.IsNotExist(err) {
					t.Errorf("the real %s has what is the host's (%v)", folder, err)
				}
			}
			h.Kill()
			h.Boot()
			if out := output(t, h.Command("find", "/sys/fs/cgroup", "-name", "pod")); out != "" {
				t.Errorf("of the time before: %s", out)
			}
			if out := output(t, h.Command("find", Folders[0])); !strings.Contains(out, h.Cgroup()) {
				t.Errorf("the folder is not as it was: %s", out)
			}
		}
	})
	for _, path := range cgroups {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there (%v)", path, err)
		}
	}
}
