package robustness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// fault is what happens to a km that runs. When inject returns, it serves again, or is about to.
type fault struct {
	name   string // as in the table of faults
	inject func(context.Context, *run) error
}

// plan is a km and the faults that it can have.
type plan struct {
	name   string
	args   []string
	disk   bool // the data folder is on a file system of its own
	pods   bool // they come and go, before the faults and after them
	faults []fault
}

// kept from being compacted but by the fault: the history is read from etcd.
var uncompacted = []string{"--apiserver.etcd-compaction-interval=0", "--etcd.auto-compaction-retention=0"}

var plans = []plan{
	{
		name: "one process",
		args: []string{"etcd,apiserver,controller-manager,scheduler,executor"},
		pods: true,
		faults: []fault{
			restart("etcd"), restart("apiserver"), restart("controller-manager"), restart("scheduler"), restart("executor"),
			{"kill -9 of km", killed}, {"km is stopped for a while (SIGSTOP)", stopped}, {"compaction, and watches and pages of before", compacted},
		},
	},
	{
		name:   "children",
		args:   []string{"etcd,apiserver", "--etcd.isolation=process", "--apiserver.isolation=process"},
		faults: []fault{killedChild("etcd"), killedChild("apiserver"), {"kill -9 of km and its children", killed}},
	},
	{
		name: "disk",
		args: []string{"etcd,apiserver"},
		disk: true,
		faults: []fault{
			{"the disk is full (ENOSPC)", full}, {"the disk fails (EIO)", failing}, {"power cut", powerCut},
		},
	},
}

func restart(name string) fault {
	return fault{"restart of " + name, func(ctx context.Context, r *run) error {
		_, err := r.home.km(ctx, "restart", name)
		return err
	}}
}

func killed(ctx context.Context, r *run) error {
	if err := r.process.kill(); err != nil {
		return err
	}
	return r.again(ctx)
}

func stopped(ctx context.Context, r *run) error {
	if err := signal(r.process.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		return err
	}
	// Each client has waited in vain once at least.
	waited := r.after(ctx, 2*clients)
	return errors.Join(waited, signal(r.process.cmd.Process.Pid, syscall.SIGCONT))
}

func killedChild(name string) fault {
	return fault{"kill -9 of " + name + " in a process of its own", func(ctx context.Context, r *run) error {
		before, err := r.home.server(ctx, name)
		if err != nil {
			return err
		}
		if err := signal(before.PID, syscall.SIGKILL); err != nil {
			return err
		}
		return poll(ctx, name+" runs again", func(ctx context.Context) (bool, error) {
			s, err := r.home.server(ctx, name)
			return s.State == "ready" && s.PID != before.PID, err
		})
	}}
}

// compacted has etcd forget what was before: whoever goes on from there is told so, and lists again.
func compacted(ctx context.Context, r *run) error {
	rv, err := r.mark(ctx, newClient(r, clients+11), 'a')
	if err != nil {
		return err
	}
	if err := r.readHistory(ctx, rv); err != nil {
		return err
	}
	client, err := r.etcd()
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, rv, clientv3.WithCompactPhysical())
	return errors.Join(err, client.Close())
}

// fill is what takes space in the store: 200 kB that do not compress.
func fill(ctx context.Context, r *run) error {
	_, config := r.current()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	n := 0
	for ctx.Err() == nil && !r.process.ended() {
		n++
		one, cancel := context.WithTimeout(ctx, opLimit)
		_, err := client.CoreV1().ConfigMaps("kube-system").Create(one, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "much-"},
			Data:       map[string]string{"value": strings.Repeat(fmt.Sprintf("%08d", n), 25_000)},
		}, metav1.CreateOptions{})
		cancel()
		if err != nil {
			return nil // that is what was wanted
		}
		const enough = 5_000 // a gigabyte: more than the disk has
		if n > enough {
			return errors.New("the disk does not become full")
		}
	}
	return ctx.Err()
}

func full(ctx context.Context, r *run) error {
	if err := r.disk.fill(); err != nil {
		return err
	}
	filled := fill(ctx, r)
	waited := r.after(ctx, 2*clients)
	if err := errors.Join(filled, waited, r.disk.free()); err != nil {
		return err
	}
	return r.goOnOrStart(ctx)
}

// goOnOrStart waits until km serves, and starts it if it has ended: with exit code 1, as a server's failure ends it.
func (r *run) goOnOrStart(ctx context.Context) error {
	before := r.answeredNow()
	ended := false
	if err := poll(ctx, "km ends or serves", func(context.Context) (bool, error) {
		ended = r.process.ended()
		return ended || r.answeredNow() >= before+2*clients, nil
	}); err != nil {
		return err
	}
	if !ended {
		return nil
	}
	if r.process.code != 1 {
		r.broken(fmt.Errorf("km ended with exit code %d, want 1", r.process.code))
	}
	return r.again(ctx)
}

func (r *run) answeredNow() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered
}

func failing(ctx context.Context, r *run) error {
	// A write that is under way would be acknowledged, and be lost (disk.cut).
	if err := r.process.halt(ctx, "T"); err != nil {
		return err
	}
	if err := r.disk.cut(); err != nil {
		return err
	}
	if err := signal(r.process.cmd.Process.Pid, syscall.SIGCONT); err != nil {
		return err
	}
	if err := r.after(ctx, 2*clients); err != nil {
		return err
	}
	// It may end by itself, with exit code 1, or be told to.
	select {
	case <-r.process.done:
		if r.process.code != 1 {
			r.broken(fmt.Errorf("km ended with exit code %d, want 1", r.process.code))
		}
	case <-time.After(time.Minute):
		if err := signal(r.process.cmd.Process.Pid, syscall.SIGTERM); err != nil {
			return err
		}
		if err := await(ctx, "km stops when its disk fails", r.process.done); err != nil {
			return err
		}
	}
	return r.onNewDisk(ctx)
}

func powerCut(ctx context.Context, r *run) error {
	// A write may be under way, but nobody hears of it any more: the machine is off.
	if err := r.process.halt(ctx, "TD"); err != nil {
		return err
	}
	if err := r.disk.cut(); err != nil {
		return err
	}
	if err := r.process.kill(); err != nil {
		return err
	}
	return r.onNewDisk(ctx)
}

// onNewDisk starts km on what has reached the disk.
func (r *run) onNewDisk(ctx context.Context) error {
	if err := r.disk.again(ctx); err != nil {
		return err
	}
	return r.again(ctx)
}

// reason is an error without what is different each time.
func reason(err error) string {
	var timeout net.Error
	for _, e := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	text := err.Error()
	if i := strings.LastIndex(text, "\": "); i >= 0 {
		text = text[i+3:]
	}
	return text
}
