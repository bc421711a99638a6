package component

import (
	"fmt"
	"runtime"

	"github.com/seed-200a7251/km/supervisor"
)

// What a cluster without load takes of a machine, with some room.
const (
	neededFiles    = 256       // it has 212 open; etcd ends the process below 150
	neededMemory   = 400 << 20 // 310 MB at the end of its start
	neededWatchers = 20        // 18 for certificates and other files
)

// Limits finds out whether the limits of this process are enough for a cluster.
func Limits() []supervisor.Finding {
	found := []supervisor.Finding{files(openFiles()), memory(supervisor.MemoryLimit())}
	if runtime.GOOS == "linux" {
		found = append(found, watched(LackWatchers(neededWatchers)))
	}
	return found
}

// files judges how many files the process may have open; 0 is as many as it likes, or unknown.
func files(limit uint64) supervisor.Finding {
	f := supervisor.Finding{Name: "open files", Text: fmt.Sprintf("%d at once", limit), Needed: true}
	switch {
	case limit == 0:
		f.Text = "no limit is known"
	case limit < neededFiles:
		f.Err = fmt.Errorf("this process may have only %d files open at once, and a cluster has more than 200: raise the limit, "+
			"with `ulimit -n 1024` as far as you may, or as LimitNOFILE= of a systemd unit", limit)
	}
	return f
}

// memory judges what the cgroup allows; 0 is no limit, or unknown.
func memory(limit uint64) supervisor.Finding {
	f := supervisor.Finding{Name: "memory", Text: "no limit of a cgroup"}
	if limit == 0 {
		return f
	}
	f.Text = Size(int64(limit)) + " is the limit of the cgroup"
	if limit < neededMemory {
		f.Err = fmt.Errorf("the cgroup has a memory limit of %s, and a cluster uses %s: raise it, or the kernel may end the process",
			Size(int64(limit)), Size(neededMemory))
	}
	return f
}

// watched judges what LackWatchers says.
func watched(lack, remedy string) supervisor.Finding {
	f := supervisor.Finding{Name: "inotify", Text: fmt.Sprintf("%d more instances can be had", neededWatchers)}
	if lack != "" {
		f.Err = fmt.Errorf("%s, and a cluster watches files with some twenty: as root, on the machine itself, call `%s`", lack, remedy)
	}
	return f
}
