//go:build unix && !linux

package mounts

import (
	"errors"
	"testing"
)

func bind(*testing.T, string, string) error { return errors.ErrUnsupported }
