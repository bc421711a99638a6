package machines

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Nothing is left of a test's hosts.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	var own []string
	var dirs []string
	t.Run("test", func(t *testing.T) {
		hosts := New(t, 2)
		address, connections := accepted(t, hosts[0])
		_ = dial(t, hosts[1], address)
		defer (<-connections).Close()
		hosts[0].Start("sh", "-c", "mkdir mounted; mount -t tmpfs tmpfs mounted; echo started; exec sleep 1h").Await("started\n")
		for _, h := range hosts {
			own, dirs = append(own, namespacesOf(h.on.Load())...), append(dirs, h.Dir)
		}
		own = append(own, namespacesOf(hosts[0].lan.namespaces)...)
		if found := processesIn(own); len(found) != 4 {
			t.Errorf("the processes are %v, want four", found)
		}
	})
	nothingLeft(t, own)
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is there (%v)", dir, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	for _, left := range append(own, dirs...) {
		if err != nil || strings.Contains(string(mounts), left) {
			t.Errorf("%s is mounted (%v):\n%s", left, err, mounts)
		}
	}
	links, err := net.Interfaces()
	for _, link := range links {
		if link.Name == "bridge" || strings.HasPrefix(link.Name, "host-") {
			t.Errorf("there is a link %s", link.Name)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// nothingLeft waits until no process and no thread is in the namespaces, and no descriptor of the tests is of them.
func nothingLeft(t *testing.T, own []string) {
	t.Helper()
	eventually(t, "the end of the namespaces", func() error {
		if left := processesIn(own); len(left) > 0 {
			return fmt.Errorf("there are processes %v", left)
		}
		for _, pattern := range []string{"/proc/self/task/*/ns/*", "/proc/self/fd/*"} {
			links, _ := filepath.Glob(pattern)
			for _, path := range links {
				if link, err := os.Readlink(path); err == nil && slices.Contains(own, link) {
					return fmt.Errorf("%s is %s", path, link)
				}
			}
		}
		return nil
	})
}

// namespacesOf are those that the real machine does not have, named as the links in /proc/PID/ns.
func namespacesOf(n *namespaces) (own []string) {
	links, _ := filepath.Glob(n.path("ns/*"))
	for _, path := range links {
		link, err := os.Readlink(path)
		if mine, _ := os.Readlink(filepath.Join("/proc/self/ns", filepath.Base(path))); err == nil && link != mine {
			own = append(own, link)
		}
	}
	return own
}

// part is set in the environment of a process that does a part of a test.
const part = "MACHINES_TEST_PART"

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPart(t *testing.T) {
	what := os.Getenv(part)
	switch what {
	case "":
		t.Skip("it is a part of other tests")
	case "address":
		ip, err := utilnet.ChooseHostInterface()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("address: %s\n", ip)
		return
	}
	h := New(t, 1)[0]
	h.Start("sh", "-c", "setsid sleep 1h & echo started; exec sleep 1h").Await("started\n")
	fmt.Println("namespaces:", strings.Join(append(namespacesOf(h.on.Load()), namespacesOf(h.lan.namespaces)...), " "))
	switch what {
	case "fails":
		t.Fatal("as asked")
	case "panics":
		panic("as asked")
	case "panics elsewhere":
		go func() { panic("as asked") }()
		select {}
	case "is killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Nothing runs on, however the tests end.
func TestEndOfTests(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"fails", "panics", "panics elsewhere", "is killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := exec.Command(self(t), "-test.run=^TestPart$")
			dir, err := os.MkdirTemp("", "km") // it leaves folders
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			c.Env = append(os.Environ(), part+"="+how, "TMPDIR="+dir)
			out, err := c.CombinedOutput()
			_, rest, found := strings.Cut(string(out), "namespaces: ")
			if err == nil || !found {
				t.Fatalf("%v\n%s", err, out)
			}
			names, _, _ := strings.Cut(rest, "\n")
			own := strings.Fields(names)
			if len(own) < 5 {
				t.Fatalf("the namespaces are %v\n%s", own, out)
			}
			nothingLeft(t, own)
			left, err := os.ReadDir(dir)
			if err != nil || (how == "fails" || how == "panics") && len(left) > 0 {
				t.Errorf("left: %v (%v)", left, err)
			}
		})
	}
}
