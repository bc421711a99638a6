package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/test/skip"
)

// smallDisk mounts a disk of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	disk, err := os.MkdirTemp("", "km") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(disk) })
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+size); err != nil {
		skip.OrFail(t, "mounting a small disk takes root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// fill writes a file until nothing more fits on the disk.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2] // to the last byte
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// putting writes keys, one after another, until it is stopped, and has what was acknowledged.
type putting struct {
	stop  context.CancelFunc
	done  chan struct{}
	acked atomic.Int64
	keys  []string // to be read when done is closed
}

func startPutting(t *testing.T, socket string) *putting {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	p := &putting{done: make(chan struct{})}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() {
		defer close(p.done)
		defer client.Close()
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Sprintf("put/%06d", i)
			asking, cancel := context.WithTimeout(ctx, 10*time.Second) // what is not answered is not counted
			_, err := client.Put(asking, key, strings.Repeat("x", 2000))
			cancel()
			if err == nil {
				p.keys = append(p.keys, key)
				p.acked.Add(1)
			}
		}
	}()
	t.Cleanup(func() { p.end(t) })
	return p
}

// end has it write no more.
func (p *putting) end(t *testing.T) {
	t.Helper()
	p.stop()
	await(t, "the end of writing", p.done)
}

// A disk that gets full while clients write stops etcd before it breaks, and km says what to free. When there is space
// again, it goes on in the same process, and each write that was acknowledged is there. A start on a full disk waits.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "256m")
	data, ballast := filepath.Join(disk, "data"), filepath.Join(disk, "ballast")
	const told = "etcd cannot start yet: free space on the disk of "
	h := newHome(t)
	begin := func() *process {
		t.Helper()
		return h.start(t, binary, "run", "etcd", "--free-ports", "--data-dir="+data)
	}
	status := func(text string) func() bool {
		return func() bool { return strings.Contains(h.km(t, "status", "--data-dir="+data).stdout, text) }
	}

	p := begin()
	p.waitReady()
	w := startPutting(t, filepath.Join(data, "etcd.sock"))
	eventually(t, "writes", func() bool { return w.acked.Load() > 20 })
	fill(t, ballast)
	p.await(p.stderr, told)
	eventually(t, "it is in the status", status("etcd needs "))
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "etcd is ready again", status("ready"))
	before := w.acked.Load()
	eventually(t, "writes again", func() bool { return w.acked.Load() > before+20 })
	w.end(t)
	all := func() {
		t.Helper()
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(data, "etcd.sock")}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		answer, err := client.Get(ctx, "put/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if ctx.Err() != nil {
			hang(t, "an answer of etcd")
		}
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, kv := range answer.Kvs {
			there[string(kv.Key)] = true
		}
		for _, key := range w.keys {
			if !there[key] {
				t.Errorf("%s was acknowledged, and is not there", key)
			}
		}
	}
	all()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	fill(t, ballast)
	p = begin()
	p.await(p.stderr, told)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.waitReady()
	all()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A file system that has become read-only is told of with what to do, and a start is tried once.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "256m")
	h := newHome(t)
	args := []string{"run", "etcd", "--free-ports", "--etcd.data-dir=" + filepath.Join(disk, "etcd")}
	p := h.start(t, binary, args...)
	p.waitReady()
	p.stop(syscall.SIGTERM)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	p = h.start(t, binary, args...)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if text := p.stderr.String(); !strings.Contains(text, "is on a file system that is mounted read-only") || strings.Contains(text, "times within") {
		t.Error(text)
	}
	remount(0)
	p = h.start(t, binary, args...)
	p.waitReady()
	p.stop(syscall.SIGTERM)
}
