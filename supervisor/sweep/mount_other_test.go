//go:build unix && !linux

package sweep

import (
	"errors"
	"testing"
)

// ignoresSignals does not know.
func ignoresSignals(*testing.T, int) bool { return true }

func bind(*testing.T, string, string) error { return errors.ErrUnsupported }
