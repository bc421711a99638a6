package cluster

import (
	"crypto/tls"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Of what is made for a server's identity, Identify names each file, and renewal finds each certificate.
func TestIdentify(t *testing.T) {
	p, now := newPlan(t), time.Now()
	c := newCluster(t, p, now)
	before := all(t, p)
	state := c.Identify("toy", Identity{Serves: true})
	toy := &supervisor.Server{SimpleUsage: "toy"}
	toy.Flags().String("tls-cert-file", PKIPath(p, "toy.crt"), "")
	p.Servers = []*supervisor.Server{{SimpleUsage: names.APIServer}, toy}
	if err := c.PrepareClient(t.Context(), p, toy); err != nil {
		t.Fatal(err)
	}
	made := changed(before, all(t, p))
	if want := []string{"toy.conf", "toy.crt", "toy.key", "toy.pem"}; !slices.Equal(made, want) {
		t.Errorf("made: %q, want %q", made, want)
	}
	for _, file := range made {
		folder := "pki"
		if ext := filepath.Ext(file); ext == ".conf" || ext == ".pem" {
			folder = kubeconfigDir
		}
		if !slices.ContainsFunc(state, func(pattern string) bool { ok, _ := path.Match(pattern, folder+"/"+file); return ok }) {
			t.Errorf("%s/%s is not among %q", folder, file, state)
		}
	}
	pem := p.Path(kubeconfigDir, "toy.pem")
	pair, err := tls.LoadX509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	if user := pair.Leaf.Subject.CommonName; user != "km:toy" {
		t.Errorf("the user is %q, want km:toy", user)
	}
	old := all(t, p)
	c.renew(p, now.Add(340*day), zap.NewNop())
	renewed := changed(old, all(t, p))
	for _, file := range []string{"toy.crt", "toy.pem"} {
		if !slices.Contains(renewed, file) {
			t.Errorf("%s was not renewed; %q were", file, renewed)
		}
	}
	for _, taken := range []string{"toy", Admin, NodeKubeconfig} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s can be identified twice", taken)
				}
			}()
			c.Identify(taken, Identity{})
		}()
	}
}
