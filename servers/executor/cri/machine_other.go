//go:build !linux

package cri

import (
	"context"
	"errors"
	"log/slog"

	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

func preflight(context.Context, *options.KubeletServer, string, *slog.Logger) error {
	return errors.New("executor: containers run on Linux alone: leave --executor.runtime=cri out, and the nodes are simulated")
}

// Not reached after that.

func maxOpenFiles() int64 { return 0 }

func unmountSelf(string) error { return nil }
