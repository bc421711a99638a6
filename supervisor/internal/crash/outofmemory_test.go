package crash

import (
	"encoding/json"
	"testing"
	"testing/fstest"
)

// Where a cgroup's file is, in both versions, on a machine and in containers.
func TestCountKills(t *testing.T) {
	const v1, v2 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "low 0\nmax 9\noom 8\noom_kill 3\noom_group_kill 0\n"
	for name, test := range map[string]struct {
		cgroups string
		file    string // that there is
		text    string
		want    string // what tells; empty for nothing
	}{
		"version 1":                   {"9:name=systemd:/x\n4:memory:/a/b\n0::/\n", "sys/fs/cgroup/memory/a/b/memory.oom_control", v1, "sys/fs/cgroup/memory/a/b/memory.oom_control"},
		"version 1, with others":      {"4:cpu,memory:/a\n", "sys/fs/cgroup/memory/a/memory.oom_control", v1, "sys/fs/cgroup/memory/a/memory.oom_control"},
		"version 1, in a container":   {"4:memory:/docker/1234\n", "sys/fs/cgroup/memory/memory.oom_control", v1, "sys/fs/cgroup/memory/memory.oom_control"},
		"version 1 beside version 2":  {"0::/u\n4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.oom_control", v1, "sys/fs/cgroup/memory/a/memory.oom_control"},
		"version 1, old kernel":       {"4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", ""},
		"version 2":                   {"0::/user.slice/km.service\n", "sys/fs/cgroup/user.slice/km.service/memory.events", v2, "sys/fs/cgroup/user.slice/km.service/memory.events"},
		"version 2, in a container":   {"0::/\n", "sys/fs/cgroup/memory.events", v2, "sys/fs/cgroup/memory.events"},
		"version 2, somebody else's":  {"0::/../../b\n", "sys/fs/cgroup/memory.events", v2, "sys/fs/cgroup/memory.events"},
		"version 2, with a colon":     {"0::/a:b\n", "sys/fs/cgroup/a:b/memory.events", v2, "sys/fs/cgroup/a:b/memory.events"},
		"none":                        {"", "x", "", ""},
		"damaged":                     {"x\n::\n", "sys/fs/cgroup/memory.events", "oom_kill x\n", ""},
		"version 2, without a memory": {"0::/a\n", "sys/fs/cgroup/a/cgroup.procs", "1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			machine := fstest.MapFS{
				"proc/self/cgroup":               {Data: []byte(test.cgroups)},
				"proc/vmstat":                    {Data: []byte("nr_free_pages 1\noom_kill 5\nballoon_inflate 0\n")},
				"proc/sys/kernel/random/boot_id": {Data: []byte("one\n")},
				test.file:                        {Data: []byte(test.text)},
			}
			k, inCgroup := countKills(machine), 0
			if test.want != "" {
				inCgroup = 3
			}
			if k.File != test.want || k.InCgroup != inCgroup || k.System != 5 || k.Boot != "one" {
				t.Errorf("%+v", k)
			}
		})
	}
	if k := countKills(fstest.MapFS{}); k.File != "" || k.System != 0 || k.since(fstest.MapFS{}) != "" {
		t.Errorf("of a system that tells nothing: %+v", k)
	}
}

// What can be said of a process that was killed.
func TestKilledForMemory(t *testing.T) {
	const file = "sys/fs/cgroup/memory.events"
	before := MemoryKills{Boot: "one", System: 5, InCgroup: 3, File: file, Limit: 300 << 20}
	without := before
	without.Limit = 0
	for name, test := range map[string]struct {
		before                 MemoryKills
		boot, system, inCgroup string
		want                   string
	}{
		"nothing":              {before, "one", "5", "3", ""},
		"in the cgroup":        {before, "one", "6", "4", "it was probably killed because the memory limit of its cgroup (300 MiB) was reached; give it more, or less to do"},
		"in one without limit": {without, "one", "6", "4", "it was probably killed because memory was short; give it more, or less to do"},
		"in a new container": {before, "one", "7", "0",
			"it was perhaps killed because memory was short: the system has killed 2 processes since then, and the limit of its cgroup was 300 MiB; give it more, or less to do"},
		"somewhere":              {without, "one", "6", "3", "it was perhaps killed because memory was short: the system has killed 1 process since then; give it more, or less to do"},
		"after a boot":           {before, "two", "9", "9", ""},
		"a run of an older kind": {MemoryKills{}, "one", "9", "9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			machine := fstest.MapFS{
				"proc/self/cgroup":               {Data: []byte("0::/\n")},
				"proc/vmstat":                    {Data: []byte("oom_kill " + test.system + "\n")},
				"proc/sys/kernel/random/boot_id": {Data: []byte(test.boot + "\n")},
				file:                             {Data: []byte("oom_kill " + test.inCgroup + "\n")},
			}
			text, err := json.Marshal(test.before)
			if err != nil {
				t.Fatal(err)
			}
			var read MemoryKills // as the next run does
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			if got := read.since(machine); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
