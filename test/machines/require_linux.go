package machines

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/test/skip"
)

// require skips the test where there can be no hosts.
func require(t testing.TB) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, command := range []string{"sh", "env", "cat", "mount", "umount", "ip"} {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, command)
		}
	}
	if len(missing) > 0 {
		skip.OrFail(t, "hosts of namespaces need what is missing here: "+strings.Join(missing, ", "))
	}
	allowWatchers(t)
}

// allowWatchers has the kernel allow a user more instances of inotify than the usual 128. A km has 20 or so, most of
// them for the files of certificates, and upstream's kubelet ends the process when it gets none. The limit is never
// lowered: others may be above it by then.
func allowWatchers(t testing.TB) {
	t.Helper()
	const file, enough, least = "/proc/sys/fs/inotify/max_user_instances", 1024, 256
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if now >= enough {
		return
	}
	// In a container it may not be for its root to change.
	if err := os.WriteFile(file, []byte(strconv.Itoa(enough)), 0); err != nil && now < least {
		skip.OrFail(t, fmt.Sprintf("%d instances of inotify are too few for tests beside each other: sysctl fs.inotify.max_user_instances=%d", now, enough))
	}
}
