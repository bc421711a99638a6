package etcd

import (
	"strings"
	"testing"
)

// What is free is told of each disk, and of a folder that is not there yet, too.
func TestRoomIsTold(t *testing.T) {
	data, log := t.TempDir()+"/etcd", t.TempDir()
	got := place{Data: data, Log: log}.room()
	if _, known := freeIn(log); !known {
		if got != "how much is free is not known" {
			t.Error(got)
		}
		return
	}
	if !strings.Contains(got, " are free for "+data+", ") || strings.Count(got, " are free for ") != 2 {
		t.Error(got)
	}
}
