package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/tools/clientcmd"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Renew does in a long run what a start does: certificates that end soon are made anew. It looks at all that are there
// once a day, and returns when ctx ends. Nothing else is made or changed, and nothing that km has not made. Who uses a
// certificate reads its file again: servers at once, clients within five minutes. The apiserver's keys must have been
// made.
func (c *Cluster) Renew(ctx context.Context, p *supervisor.Plan, log *zap.Logger) {
	// Timers stand still while a machine sleeps: the clock says when a day is over.
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now().Round(0)
		if now.Before(next) && next.Sub(now) <= day { // else the clock was set back
			continue
		}
		next = now.Add(day)
		c.renew(p, now, log)
	}
}

const day = 24 * time.Hour

// renewable is a certificate that km makes: the files that it may be in, and what makes it anew if that is due.
type renewable struct {
	files []string
	renew func() error
	log   []zap.Field // what else is said of the first file
}

// renew makes those certificates anew that end soon at the given time, and tells which, and what cannot be renewed.
func (c *Cluster) renew(p *supervisor.Plan, now time.Time, log *zap.Logger) {
	keys := *c.pki
	keys.now = now
	at := &Cluster{endpoint: c.endpoint, trust: c.trust, pki: &keys, identities: c.identities} // others use c meanwhile
	leaves, err := at.leaves()
	if err != nil {
		log.Warn("certificates cannot be renewed", zap.Error(err))
	}
	for _, text := range keys.ending() {
		log.Warn(text)
	}
	for _, r := range append(leaves, at.kubeconfigs(p)...) {
		before := r.contents()
		if slices.IndexFunc(before, func(text []byte) bool { return text != nil }) < 0 {
			continue // nothing uses it
		}
		if err := r.renew(); err != nil {
			log.Warn("a certificate cannot be renewed", zap.Error(err))
			continue
		}
		for i, after := range r.contents() {
			if bytes.Equal(before[i], after) {
				continue
			}
			fields := []zap.Field{zap.String("file", r.files[i])}
			if i == 0 {
				fields = append(fields, r.log...)
			}
			log.Info("a certificate ended soon and was renewed", fields...)
		}
	}
}

// contents are those of the files; nil for one that is not there.
func (r renewable) contents() [][]byte {
	texts := make([][]byte, len(r.files))
	for i, file := range r.files {
		texts[i], _ = os.ReadFile(file) // what is wrong with it is said by renew
	}
	return texts
}

// leaves are the certificates in the folder of keys, without the authorities.
func (c *Cluster) leaves() ([]renewable, error) {
	k := c.pki
	certificates := k.certificates()
	tree, err := certificates.AsMap().CertTree()
	if err != nil {
		return nil, err
	}
	var found []renewable
	add := func(name string, renew func() error) {
		file, _ := pkiutil.PathsForCertAndKey(k.dir, name)
		found = append(found, renewable{files: []string{file}, renew: renew})
	}
	for ca, leaves := range tree {
		for _, leaf := range leaves {
			add(leaf.BaseName, func() error {
				config, err := k.leafConfig(leaf)
				if err != nil {
					return err
				}
				return k.ensureSigned(leaf.BaseName, config, ca.BaseName)
			})
		}
	}
	for _, name := range c.serving() {
		add(name, func() error { return k.ensureServing(name, k.servingConfig("km:"+name)) })
	}
	return found, nil
}

// serving are the certificates with which something serves, and that kubeadm does not know of.
func (c *Cluster) serving() []string {
	found := []string{kubeletCert}
	for name, id := range c.Identities() {
		if id.Serves {
			found = append(found, name)
		}
	}
	return found
}

// kubeconfigs are the certificates with which clients come.
func (c *Cluster) kubeconfigs(p *supervisor.Plan) []renewable {
	users := maps.Collect(c.Identities())
	if HasRealNode(p) {
		if name, err := NodeName(p); err == nil { // the node has one, or would not run
			users[NodeKubeconfig] = nodeIdentity(name)
		}
	}
	var found []renewable
	for _, name := range slices.Sorted(maps.Keys(users)) {
		r := renewable{files: []string{KubeconfigPath(p, name)}, renew: func() error { return c.renewKubeconfig(p, name, users[name]) }}
		if name == Admin {
			r.log = []zap.Field{zap.String("where it was merged into another one", p.Command("kubeconfig", "--merge"))}
		} else { // who has read it does not read it again
			r.files = append(r.files, apart(p, name))
			server := name
			if name == NodeKubeconfig {
				server = names.Executor
			}
			r.log = []zap.Field{zap.String("to take it within a month", p.Command("restart", server))}
		}
		found = append(found, r)
	}
	return found
}

// renewKubeconfig renews a kubeconfig's certificate. One that is not km's stays until the next start.
func (c *Cluster) renewKubeconfig(p *supervisor.Plan, name string, id Identity) error {
	file, pem := KubeconfigPath(p, name), apart(p, name)
	config, err := clientcmd.LoadFromFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return damaged(file, cause(err), "remove it, and km makes a new one at its next start")
	}
	_, user := current(config)
	if user == nil || pem != "" && !isApart(pem, user) && keepsApart(p, pem, user) {
		return nil // a start would have moved it
	}
	cert, err := certificate(pem, user)
	if cert == nil || err != nil {
		return err
	}
	if cert.Subject.CommonName != id.User {
		return nil
	}
	return c.ensureKubeconfig(p, name, id)
}

// ending says of each authority that ends soon what is to be done then: with another one no client could come any more,
// so it is never renewed.
func (k *pki) ending() (said []string) {
	for _, name := range []string{kubeadmconstants.CACertAndKeyBaseName, kubeadmconstants.FrontProxyCACertAndKeyBaseName, kubeadmconstants.EtcdCACertAndKeyBaseName} {
		cert, err := pkiutil.TryLoadCertFromDisk(k.dir, name)
		if err == nil && endsSoon(cert, k.now) { // what is wrong with it is said where it is used
			said = append(said, fmt.Sprintf("%s.crt ends on %s, and is not renewed: before that, stop km; %s",
				filepath.Join(k.dir, name), inUTC(cert.NotAfter), k.again(name)))
		}
	}
	return said
}
