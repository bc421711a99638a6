package robustness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-200a7251/km/test/skip"
)

// disk is a file system of its own, in a file.
type disk struct {
	image, dir string
}

const (
	diskSize = 512 << 20
	filler   = "filler"
)

// newDisk makes one, or skips the test where that is not possible. It is gone when the test has ended.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	if os.Getenv(apart) == "" {
		skip.OrFail(t, "a file system of its own needs root, and a mount namespace")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		skip.OrFail(t, "a file system of its own needs mkfs.ext4")
	}
	d := &disk{image: filepath.Join(dir, "image"), dir: filepath.Join(dir, "disk")}
	for _, err := range []error{os.Mkdir(d.dir, 0o700), os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, diskSize)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// No block is kept for root, whom ENOSPC would not meet.
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if err := d.mount(); err != nil {
		skip.OrFail(t, err.Error())
	}
	t.Cleanup(func() {
		if err := d.unmount(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w\n%s", err, out)
	}
	return nil
}

func (d *disk) unmount(ctx context.Context) error {
	// A child of km may have ended a moment later.
	return poll(ctx, "unmount", func(context.Context) (bool, error) {
		err := unix.Unmount(d.dir, 0)
		return err == nil, err
	})
}

// cut has the file system forget all that has not been written to the disk, at once, and fail from now on with EIO:
// FS_IOC_SHUTDOWN, without the journal being flushed. It is what the kernel's own tests of power cuts do.
//
// An fdatasync that is under way meanwhile may return without an error, and what it has written be gone: ext4 does not
// tell that it could no longer note that a preallocated block, as etcd's log has them, has been written. 25 of 300 were
// so in a program of ten lines that did nothing else. On a machine that is off nobody would hear of it: whoever cuts
// sees to it that nobody does here.
func (d *disk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, uint32(2)
	flags := noLogFlush
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("the file system cannot be cut off: %w", errno)
	}
	return nil
}

// again mounts what has reached the disk.
func (d *disk) again(ctx context.Context) error {
	if err := d.unmount(ctx); err != nil {
		return err
	}
	return d.mount()
}

// fill leaves no space.
func (d *disk) fill() error {
	f, err := os.Create(filepath.Join(d.dir, filler))
	if err != nil {
		return err
	}
	defer f.Close()
	end := int64(0)
	for size := int64(diskSize); size >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, end, size); {
		case err == nil:
			end += size
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("the disk cannot be filled: %w", err)
		}
	}
	return nil
}

// free takes away what fill has made.
func (d *disk) free() error { return os.Remove(filepath.Join(d.dir, filler)) }
