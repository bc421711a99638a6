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

// IsBackup reports whether a file has been renamed because it was full, going by its name, and the name that it had.
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

// source reads one log, over all of its segments, also those that come while it is read.
type source struct {
	path    string
	file    *os.File
	last    os.FileInfo // of file or, where that is nil, of the one before
	passed  []string    // the renamed files up to that one
	lines   *bufio.Reader
	partial []byte // the beginning of a line whose end is not written yet
}

// next returns the next whole line with its end, or nil if there is none yet.
func (s *source) next() ([]byte, error) {
	for {
		if s.file == nil {
			if opened, err := s.open(); !opened || err != nil {
				return nil, err
			}
		}
		// Asked first: a file that has been renamed gets no more lines, so that its end is the end.
		asked := s.lines.Buffered() == 0
		ended, err := s.superseded()
		if err != nil {
			return nil, err
		}
		line, err := s.lines.ReadBytes('\n')
		line = append(s.partial, line...)
		switch {
		case err == nil:
			s.partial = nil
			return line, nil
		case !errors.Is(err, io.EOF):
			return nil, err
		case !ended:
			s.partial = line
			if !asked {
				continue
			}
			return nil, nil
		}
		s.close()
		if len(line) > 0 { // whoever wrote it was killed
			return append(line, '\n'), nil
		}
	}
}

// superseded reports whether there is a newer segment than the one that is read. As long as there are lines in memory,
// it does not look.
func (s *source) superseded() (bool, error) {
	if s.lines.Buffered() > 0 {
		return false, nil
	}
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) { // it is being renamed, or was removed
		all, listErr := segments(s.path)
		if i := s.index(all); listErr != nil || i < 0 || i == len(all)-1 {
			return false, listErr
		}
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && !os.SameFile(info, s.last), err
}

// open opens the segment after the last one. It returns false if there is none.
func (s *source) open() (bool, error) {
	return s.openOne(func(all []string) (int, error) {
		if s.last == nil {
			return 0, nil
		}
		if i := s.index(all); i >= 0 {
			return i + 1, nil
		}
		// The last one is gone. Go on with what was not there before it.
		later := slices.IndexFunc(all, func(segment string) bool { return !slices.Contains(s.passed, segment) })
		if later < 0 {
			later = len(all)
		}
		return later, nil
	})
}

// index is the number of the last segment that was opened, or -1.
func (s *source) index(all []string) int {
	return slices.IndexFunc(all, func(segment string) bool {
		info, err := os.Stat(segment)
		return err == nil && os.SameFile(info, s.last)
	})
}

// openOne opens the segment that is chosen. It returns false if there is none of that number. A folder that changes
// while it is listed may be listed wrongly, and the file of a name be another one when it is opened: then all is done
// again.
func (s *source) openOne(choose func(all []string) (int, error)) (bool, error) {
	last := s.last
	for {
		all, err := segments(s.path)
		if err != nil {
			return false, err
		}
		i, err := choose(all)
		if err != nil {
			return false, err
		}
		if i < len(all) {
			if err := s.openFile(all[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		again, err := segments(s.path)
		if err != nil || slices.Equal(all, again) {
			if s.file != nil {
				s.passed = slices.DeleteFunc(all[:i+1], func(segment string) bool { return segment == s.path })
			}
			return s.file != nil, err
		}
		s.close()
		s.last = last
	}
}

func (s *source) openFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if s.last, err = f.Stat(); err != nil {
		_ = f.Close() // it was only to be read
		return err
	}
	s.file, s.lines = f, bufio.NewReaderSize(f, 64<<10)
	return nil
}

func (s *source) close() {
	if s.file != nil {
		_ = s.file.Close() // it was only read
	}
	s.file, s.lines, s.partial = nil, nil, nil
}
