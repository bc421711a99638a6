package cri

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// busyRuntime refuses for a while to remove a sandbox, as while somebody else removes what is in it.
type busyRuntime struct {
	refusals int
	left     []*runtimeapi.PodSandbox
}

func (r *busyRuntime) ListPodSandbox(context.Context, *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error) {
	return r.left, nil
}

func (r *busyRuntime) RemovePodSandbox(context.Context, string) error {
	if r.refusals > 0 {
		r.refusals--
		return errors.New("is being removed")
	}
	r.left = nil
	return nil
}

func TestSandboxesAreRemovedInTheEnd(t *testing.T) {
	for _, test := range []struct {
		refusals int
		want     string
	}{
		{0, ""},
		{2, ""},
		{1000, "what is left of the pod default/one cannot be removed: is being removed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &busyRuntime{test.refusals, []*runtimeapi.PodSandbox{{Id: "1", Metadata: &runtimeapi.PodSandboxMetadata{Namespace: "default", Name: "one"}}}}
			err := removeSandboxes(t.Context(), r)
			if test.want == "" && (err != nil || len(r.left) > 0) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("refused %d times: %v, left are %d", test.refusals, err, len(r.left))
			}
		})
	}
}
