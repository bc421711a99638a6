package cri

import (
	"errors"
	"fmt"

	"k8s.io/component-helpers/node/util/sysctl"
)

// tunables are settings of the whole machine that the kubelet changes when it starts
// (k8s.io/kubernetes/pkg/kubelet/cm/container_manager_linux.go): how much memory may be promised, and whether the
// machine is started again after a fault of its kernel. That is for a machine that is a node and nothing else.
type tunables map[string]int

func readTunables() (tunables, error) {
	t := tunables{}
	for _, name := range []string{sysctl.VMOvercommitMemory, sysctl.VMPanicOnOOM, sysctl.KernelPanic, sysctl.KernelPanicOnOops} {
		value, err := sysctl.New().GetSysctl(name)
		if err != nil {
			return nil, fmt.Errorf("the setting %s of this machine cannot be read: %w", name, err)
		}
		t[name] = value
	}
	return t, nil
}

// restore puts back what was there. The kubelet sets them once.
func (t tunables) restore() error {
	var wrong []error
	for name, value := range t {
		if err := sysctl.New().SetSysctl(name, value); err != nil {
			wrong = append(wrong, fmt.Errorf("the setting %s of this machine cannot be put back to %d: %w", name, value, err))
		}
	}
	return errors.Join(wrong...)
}
