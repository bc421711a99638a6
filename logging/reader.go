package logging

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Reader reads the lines of several logs in the order of their times. They may be written meanwhile, by this process or
// another one.
type Reader struct {
	// Files are the paths of the logs; renamed files beside them are found by themselves. It is asked again while
	// following.
	Files func() ([]string, error)
	// Match says which lines are wanted. Default: all.
	Match func(*Line) bool
	// Since leaves out what is older.
	Since time.Time
	// Tail is how many of the existing lines are wanted: the last ones. Negative: all of them.
	Tail int
	// Follow goes on with what is written from then on, until ctx ends.
	Follow bool

	sources []*ordered
}

const (
	// reorder is how many lines of a file are looked at to find the earliest: goroutines take the time before they
	// write.
	reorder = 256
	// poll is the time between two looks at the files while following, and discover the number of polls between two
	// looks for new files.
	poll     = 100 * time.Millisecond
	discover = 10
)

// Read calls f with each line, as it is in the file, its end included. It returns when there are no more or, following,
// when ctx ends; or the first error.
func (r *Reader) Read(ctx context.Context, f func(line []byte) error) error {
	defer r.close()
	if err := r.find(true); err != nil {
		return err
	}
	if err := r.readAll(f); err != nil || !r.Follow {
		return err
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if n%discover == 0 {
			if err := r.find(false); err != nil {
				return err
			}
		}
		if err := r.merge(f); err != nil {
			return err
		}
	}
}

// find opens the files that are not open yet. At the beginning old segments that cannot have wanted lines are left out.
func (r *Reader) find(beginning bool) error {
	files, err := r.Files()
	if err != nil {
		return err
	}
	for _, path := range files {
		path = filepath.Clean(path)
		if slices.ContainsFunc(r.sources, func(o *ordered) bool { return o.path == path }) {
			continue
		}
		o := &ordered{source: source{path: path}, reader: r}
		r.sources = append(r.sources, o)
		if beginning {
			if err := o.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reader) close() {
	for _, o := range r.sources {
		o.close()
	}
	r.sources = nil
}

// readAll reads what is there: all of it or, with Tail, the last lines.
func (r *Reader) readAll(f func([]byte) error) error {
	if r.Tail < 0 {
		return r.merge(f)
	}
	var last [][]byte
	err := r.merge(func(line []byte) error {
		if len(last) == r.Tail {
			if r.Tail == 0 {
				return nil
			}
			last = last[1:]
		}
		last = append(last, line)
		return nil
	})
	for _, line := range last {
		if err == nil {
			err = f(line)
		}
	}
	return err
}

// merge calls f with the lines that there are now, the earliest first.
func (r *Reader) merge(f func([]byte) error) error {
	for _, o := range r.sources {
		o.dry = false
	}
	for {
		var first *ordered
		for _, o := range r.sources {
			if err := o.fill(); err != nil {
				return err
			}
			if len(o.window) > 0 && (first == nil || o.window[0].at.Before(first.window[0].at)) {
				first = o
			}
		}
		if first == nil {
			return nil
		}
		line := first.window[0].line
		first.window = first.window[1:]
		if err := f(line); err != nil {
			return err
		}
	}
}

// ordered is a source whose wanted lines are put in order.
type ordered struct {
	source
	reader *Reader
	window []timed
	dry    bool // there are no more lines now: it is not read again for each line of the others
	last   time.Time
}

type timed struct {
	at   time.Time
	line []byte
}

// fill reads until there are enough lines in the window, or no more.
func (o *ordered) fill() error {
	for len(o.window) < reorder && !o.dry {
		line, err := o.next()
		if line == nil || err != nil {
			o.dry = true
			return err
		}
		at, wanted := o.wanted(line)
		if !wanted {
			continue
		}
		i, _ := slices.BinarySearchFunc(o.window, at, func(t timed, at time.Time) int {
			if t.at.After(at) {
				return 1
			}
			return -1 // equal ones stay in their order
		})
		o.window = slices.Insert(o.window, i, timed{at, line})
	}
	return nil
}

// wanted returns when the line was written, and whether it is wanted. A line that cannot be read is, with the time of
// the line before: somebody has put it there.
func (o *ordered) wanted(line []byte) (time.Time, bool) {
	if len(bytes.TrimSpace(line)) == 0 {
		return o.last, false
	}
	l, err := ParseLine(line)
	if err != nil {
		return o.last, !o.last.Before(o.reader.Since)
	}
	o.last = l.Time
	return l.Time, !l.Time.Before(o.reader.Since) && (o.reader.Match == nil || o.reader.Match(l))
}

// skip begins with the first segment that may have wanted lines.
func (o *ordered) skip() error {
	_, err := o.openOne(o.first)
	return err
}

// first is the number of the first segment that may have wanted lines.
func (o *ordered) first(all []string) (int, error) {
	lines := 0
	for i, segment := range slices.Backward(all) {
		info, err := os.Stat(segment)
		if err != nil || info.ModTime().Before(o.reader.Since) {
			return min(i+1, len(all)-1), nil // it is gone, or too old
		}
		if o.reader.Tail < 0 {
			continue
		}
		n, err := o.count(segment)
		if err != nil {
			return 0, err
		}
		if lines += n; lines >= o.reader.Tail {
			return i, nil
		}
	}
	return 0, nil
}

// count is the number of wanted lines in a segment.
func (o *ordered) count(segment string) (n int, err error) {
	alone := &ordered{source: source{path: segment}, reader: o.reader}
	defer alone.close()
	if err := alone.openFile(segment); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	for {
		line, err := alone.next()
		if line == nil || err != nil {
			return n, err
		}
		if _, wanted := alone.wanted(line); wanted {
			n++
		}
	}
}
