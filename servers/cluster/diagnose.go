package cluster

import (
	"errors"
	"time"

	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/supervisor"
)

// Certificates finds out whether the authorities in the data folder are valid by the clock of this machine: a start
// does not make others. All other certificates it makes anew. There is nothing to find before the first start.
func Certificates(p *supervisor.Plan) []supervisor.Finding {
	return certificates(&pki{dir: p.Path("pki"), now: time.Now()})
}

func certificates(k *pki) []supervisor.Finding {
	var errs []error
	found := false
	for _, authority := range []string{kubeadmconstants.CACertAndKeyBaseName, kubeadmconstants.FrontProxyCACertAndKeyBaseName} {
		cert, err := pkiutil.TryLoadCertFromDisk(k.dir, authority)
		if err != nil {
			continue // it is not there yet, or a start says what is wrong with it
		}
		found = true
		if why := k.untimely(cert); why != "" {
			errs = append(errs, k.outOfTime(authority, cert, why))
		}
	}
	if !found {
		return nil
	}
	return []supervisor.Finding{{Name: "certificates", Text: "valid by the clock of this machine", Err: errors.Join(errs...), Needed: true}}
}
