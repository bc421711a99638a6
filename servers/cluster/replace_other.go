//go:build !unix

package cluster

import (
	"bytes"
	"io/fs"

	"github.com/natefinch/atomic"
)

// replaceFile replaces a file, or makes it, in one step. Who may read it is said by the folder that it is in.
func replaceFile(path string, data []byte, _ fs.FileInfo) error {
	return atomic.WriteFile(path, bytes.NewReader(data))
}
