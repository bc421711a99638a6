package logging

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backupLayout is the time in the names of renamed files. It is lumberjack's.
const backupLayout = "2006-01-02T15-04-05.000"

// IsBackup reports, by its name, whether a file was renamed because it was full, and returns its original name.
func IsBackup(path string) (original string, ok bool) {
	dir, name := filepath.Split(path)
	for _, ext := range []string{filepath.Ext(name), ""} { // without an extension, the time's point looks like one
		stem := strings.TrimSuffix(name, ext)
		cut := len(stem) - len(backupLayout) - 1
		if cut < 1 || stem[cut] != '-' {
			continue
		}
		if _, err := time.Parse(backupLayout, stem[cut+1:]); err == nil {
			return dir + stem[:cut] + ext, true
		}
	}
	return "", false
}

// segments are the files that a log consists of, the oldest first, and last the one of that path.
func segments(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []string
	current := false
	for _, e := range entries { // sorted by name, and so by time
		file := filepath.Join(filepath.Dir(path), e.Name())
		if original, ok := IsBackup(file); ok && original == path {
			found = append(found, file)
		}
		current = current || file == path
	}
	if current {
		found = append(found, path)
	}
	return found, nil
}

// source reads all segments of one log, including those that come while it is read.
type source struct {
	path    string
	file    *os.File
	last    os.FileInfo // of file or, if that is nil, of the segment before
	passed  []string    // the renamed files up to that one
	lines   *bufio.Reader
	partial []byte // the beginning of a line whose end is not written yet
}

// next returns the next whole line with its end, or nil if there is none yet.
func (src *source) next() ([]byte, error) {
	for {
		if src.file == nil {
			if opened, err := src.open(); !opened || err != nil {
				return nil, err
			}
		}
		// Asked first: a renamed file gets no more lines, so its end is final.
		asked := src.lines.Buffered() == 0
		ended, err := src.superseded()
		if err != nil {
			return nil, err
		}
		line, err := src.lines.ReadBytes('\n')
		line = append(src.partial, line...)
		switch {
		case err == nil:
			src.partial = nil
			return line, nil
		case !errors.Is(err, io.EOF):
			return nil, err
		case !ended:
			src.partial = line
			if !asked {
				continue
			}
			return nil, nil
		}
		src.close()
		if len(line) > 0 { // whoever wrote it was killed
			return append(line, '\n'), nil
		}
	}
}

// superseded reports whether there is a newer segment than the current one. It does not look while there are lines in
// memory.
func (src *source) superseded() (bool, error) {
	if src.lines.Buffered() > 0 {
		return false, nil
	}
	info, err := os.Stat(src.path)
	if errors.Is(err, fs.ErrNotExist) { // it is being renamed, or was removed
		all, listErr := segments(src.path)
		if i := src.index(all); listErr != nil || i < 0 || i == len(all)-1 {
			return false, listErr
		}
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && !os.SameFile(info, src.last), err
}

// open opens the segment after the last one. It returns false if there is none.
func (src *source) open() (bool, error) {
	return src.openOne(func(all []string) (int, error) {
		if src.last == nil {
			return 0, nil
		}
		if i := src.index(all); i >= 0 {
			return i + 1, nil
		}
		// The last one is gone. Go on with what was not there before it.
		later := slices.IndexFunc(all, func(segment string) bool { return !slices.Contains(src.passed, segment) })
		if later < 0 {
			later = len(all)
		}
		return later, nil
	})
}

// index is the number of the last segment that was opened, or -1.
func (src *source) index(all []string) int {
	return slices.IndexFunc(all, func(segment string) bool {
		info, err := os.Stat(segment)
		return err == nil && os.SameFile(info, src.last)
	})
}

// openOne opens the segment that is chosen. It returns false if there is none of that number. A folder that changes
// meanwhile may be listed wrongly, and a name may lead to another file when it is opened: then all is done again.
func (src *source) openOne(choose func(all []string) (int, error)) (bool, error) {
	last := src.last
	for {
		all, err := segments(src.path)
		if err != nil {
			return false, err
		}
		i, err := choose(all)
		if err != nil {
			return false, err
		}
		if i < len(all) {
			if err := src.openFile(all[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		again, err := segments(src.path)
		if err != nil || slices.Equal(all, again) {
			if src.file != nil {
				src.passed = slices.DeleteFunc(all[:i+1], func(segment string) bool { return segment == src.path })
			}
			return src.file != nil, err
		}
		src.close()
		src.last = last
	}
}

func (src *source) openFile(path string) error {
	f, err := openShared(path)
	if err != nil {
		return err
	}
	if src.last, err = f.Stat(); err != nil {
		_ = f.Close() // it was only to be read
		return err
	}
	src.file, src.lines = f, bufio.NewReaderSize(f, 64<<10)
	return nil
}

func (src *source) close() {
	if src.file != nil {
		_ = src.file.Close() // it was only read
	}
	src.file, src.lines, src.partial = nil, nil, nil
}
