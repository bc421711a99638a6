package logging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// File says where a Log keeps its lines, one JSON object each.
type File struct {
	// Path of the file. It is appended to. Its folder is made, if it is not there, for its owner alone.
	Path string
	// MaxSize is the size in megabytes at which the file is renamed, to NAME-TIME.EXT beside it, and a new one begun.
	// Default: 20.
	MaxSize int
	// MaxBackups is how many renamed files are kept; of more, the newest ones. Default: 4.
	MaxBackups int
	// Renew, if not nil, reports whether the file and its folder may be made anew when somebody has removed them. They
	// must not if somebody else's folder may be in the place of one above. Default: they may.
	Renew func() bool
}

// Defaults of File.
const (
	DefaultMaxSize    = 20
	DefaultMaxBackups = 4
)

// Open has the lines written to a file, including what was logged since the Log was made. It belongs to Config.Files,
// and is called once for each Log; several may share a file. An error tells why the file cannot be used.
func (l *Log) Open(f File) error {
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return err
	}
	l.logs.mu.Lock()
	defer l.logs.mu.Unlock()
	q := l.file.Load()
	if q == nil {
		return errors.New("logging: Open without Config.Files")
	}
	if shared := l.logs.files[path]; shared == q {
		return nil // it is open already
	} else if shared != nil {
		l.file.Store(shared)
		l.counts.lost.Add(int64(q.handTo(shared)))
		return nil
	}
	size, err := try(path)
	if err != nil {
		return err
	}
	if f.MaxSize <= 0 {
		f.MaxSize = DefaultMaxSize
	}
	if f.MaxBackups <= 0 {
		f.MaxBackups = DefaultMaxBackups
	}
	file := &lumberjack.Logger{Filename: path, MaxSize: f.MaxSize}
	// It is opened now. At the first line it may be too late: that may say that all is being deleted, and lumberjack
	// would make the file, with all folders above it.
	if _, err := file.Write(nil); err != nil {
		return err
	}
	q.name = path
	q.open(&rotated{
		file:    file,
		backups: f.MaxBackups,
		max:     f.MaxSize << 20,
		since:   int(size),
		renew:   f.Renew,
	})
	l.logs.files[path] = q
	return nil
}

// rotated is a file that is renamed when it is full.
type rotated struct {
	file    *lumberjack.Logger // it keeps all renamed files until the first rename here: see keep
	backups int
	max     int  // bytes in a file
	since   int  // bytes that were written since the last pause
	missed  bool // it was not there at the last write
	renew   func() bool
}

// Write writes no faster than one file in two milliseconds: renamed files are named by the millisecond, and lumberjack
// would overwrite one of the same name. Text longer than a file, which lumberjack refuses, is written in pieces.
func (rot *rotated) Write(p []byte) (int, error) {
	if err := rot.there(); err != nil {
		return 0, err
	}
	written := 0
	for piece := range slices.Chunk(p, rot.max) {
		if rot.since += len(piece); rot.since > rot.max {
			time.Sleep(2 * time.Millisecond)
			rot.since = len(piece)
			if err := rot.keep(); err != nil {
				return written, err
			}
		}
		n, err := rot.file.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// errMissed says that somebody has removed the file, which is about to be made anew: people are not told yet.
var errMissed = errors.New("somebody has removed it; it is made anew")

// there makes the file and its folder anew if somebody has removed them. The first time that is an error, and the
// caller waits before it tries again: a folder above may be about to be removed, in which nothing is to be made anew.
// Folders above the file's own are not made.
func (rot *rotated) there() error {
	_, err := os.Lstat(rot.file.Filename)
	if !errors.Is(err, fs.ErrNotExist) {
		rot.missed = false
		return nil
	}
	if !rot.missed {
		rot.missed = true
		return errMissed
	}
	if rot.renew != nil && !rot.renew() {
		return errors.New("somebody has removed it")
	}
	if err := os.Mkdir(filepath.Dir(rot.file.Filename), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(rot.file.Filename, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	rot.missed, rot.since = false, 0
	return errors.Join(f.Close(), rot.file.Close()) // it is opened anew
}

// keep sets the limit of renamed files from now on. With a limit lumberjack looks at all files of the folder as soon as
// it opens one, which takes long if the folder has those of many servers.
func (rot *rotated) keep() error {
	if rot.file.MaxBackups == rot.backups {
		return nil
	}
	before := rot.file
	rot.file = &lumberjack.Logger{Filename: before.Filename, MaxSize: before.MaxSize, MaxBackups: rot.backups}
	return before.Close()
}

func (rot *rotated) Close() error { return rot.file.Close() }

// Discard says that this Log has no file, or none any more.
func (l *Log) Discard() {
	if q := l.file.Swap(nil); q != nil {
		q.discard()
	}
}

// try finds out whether the file can be used, and its size. It must be a regular file, as it is to be renamed, and not
// another user's.
func try(path string) (size int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, err
	}
	if err := refuseOthers(path); err != nil {
		return 0, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	size, err = f.Seek(0, io.SeekEnd)
	return size, errors.Join(err, endLine(f), f.Close())
}

// endLine ends the last line of a file, if a process was killed while it wrote it. The next line is to be one of its
// own.
func endLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if size == 0 || err != nil {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte("\n"))
	return err
}
