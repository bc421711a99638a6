package cluster

import (
	"strings"
	"testing"
	"time"

	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
)

// An authority that is not valid now is told of as a start does; before the first start there is nothing to tell.
func TestDiagnoseCertificates(t *testing.T) {
	p := newPlan(t)
	if found := Certificates(p); found != nil {
		t.Errorf("before a start: %v", found)
	}
	made := time.Now().Truncate(time.Second)
	if err := start(p, made); err != nil {
		t.Fatal(err)
	}
	if found := Certificates(p); len(found) != 1 || found[0].Err != nil {
		t.Errorf("after a start: %v", found)
	}
	for _, now := range []time.Time{made.Add(-kubeadmconstants.CertificateBackdate - time.Second), made.Add(11 * 365 * 24 * time.Hour)} {
		refused := start(p, now)
		found := certificates(&pki{dir: p.Path("pki"), now: now})
		if refused == nil || len(found) != 1 || found[0].Err == nil || !found[0].Needed || !strings.Contains(found[0].Err.Error(), refused.Error()) {
			t.Errorf("at %v: %v, and a start says %v", now, found, refused)
		}
	}
}
