package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"

	"github.com/seed-200a7251/km/supervisor"
)

// entries are those that this cluster has, or may have, in the user's kubeconfig: a cluster, a user and a context, all
// named like it. km marks them with the data folder, in extensions, which kubectl leaves alone; so they are known again
// when the cluster has been reset.
type entries struct {
	name string
	dir  string
	plan *supervisor.Plan
	ours *clientcmdapi.Config // the cluster's own kubeconfig; nil if there is none
}

// extension is the name of the mark.
const extension = "km"

// mark is what is in the extension.
type mark struct {
	DataDir string `json:"dataDir"`
}

func entriesOf(p *supervisor.Plan, ours *clientcmdapi.Config) entries {
	return entries{name: p.Name, dir: p.DataDir, plan: p, ours: ours}
}

// current is the cluster, and the user, of the kubeconfig's current context; nil if there is none.
func current(config *clientcmdapi.Config) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo) {
	if config == nil {
		return nil, nil
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return nil, nil
	}
	return config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
}

// merge adds the entries, or replaces those that are this cluster's or of one that there is no more, and makes the
// context the current one. What the user has added to them stays, such as the context's namespace.
func (e entries) merge(u *userKubeconfig) error {
	ourCluster, ourUser := current(e.ours)
	if ourCluster == nil || ourUser == nil {
		return errors.New("it has no current context with a cluster and a user")
	}
	inCluster, inUser, inContext := u.target, u.target, u.target
	var cluster *clientcmdapi.Cluster
	var user *clientcmdapi.AuthInfo
	var context *clientcmdapi.Context
	for _, f := range slices.Backward(u.files) { // the first one counts
		if there := f.config.Clusters[e.name]; there != nil {
			inCluster, cluster = f, there
		}
		if there := f.config.AuthInfos[e.name]; there != nil {
			inUser, user = f, there
		}
		if there := f.config.Contexts[e.name]; there != nil {
			inContext, context = f, there
		}
	}
	if !(cluster == nil || e.replaceable(cluster, user)) ||
		!(user == nil || cluster != nil || e.marked(user.Extensions)) ||
		!(context == nil || cluster != nil && context.Cluster == e.name || e.marked(context.Extensions)) {
		return e.taken(inCluster, cluster, user, context)
	}
	if cluster == nil {
		cluster = clientcmdapi.NewCluster()
	}
	cluster.Server, cluster.CertificateAuthorityData = ourCluster.Server, ourCluster.CertificateAuthorityData
	cluster.CertificateAuthority, cluster.InsecureSkipTLSVerify = "", false
	fresh := ourUser.DeepCopy()
	if user != nil {
		fresh.Extensions = user.Extensions
	}
	if context == nil {
		context = clientcmdapi.NewContext()
	}
	context.Cluster, context.AuthInfo = e.name, e.name
	cluster.Extensions, fresh.Extensions, context.Extensions = e.mark(cluster.Extensions), e.mark(fresh.Extensions), e.mark(context.Extensions)
	inCluster.config.Clusters[e.name], inUser.config.AuthInfos[e.name], inContext.config.Contexts[e.name] = cluster, fresh, context
	u.target.config.CurrentContext = e.name
	inUser.keys = true
	return nil
}

// taken is the error about entries of the same name that are not km's, or of another cluster of km's that is still
// there.
func (e entries) taken(f *userFile, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo, context *clientcmdapi.Context) error {
	var remove []string
	if context != nil {
		remove = append(remove, "kubectl config delete-context "+e.name)
	}
	if cluster != nil {
		remove = append(remove, "kubectl config delete-cluster "+e.name)
	}
	if user != nil {
		remove = append(remove, "kubectl config delete-user "+e.name)
	}
	whose, way := "", strings.Join(remove, "; ")
	if cluster != nil {
		if dir := markOf(cluster.Extensions); dir != "" {
			whose, way = ", that in "+dir, e.plan.CommandAt(dir, "kubeconfig", "--remove")
		}
	}
	return fmt.Errorf("your kubeconfig %s has entries named %q already that belong to another cluster%s: remove them with `%s`, "+
		"or run this cluster with another --name, or set KUBECONFIG to what `%s` prints", f.path, e.name, whose, way, e.plan.Command("kubeconfig"))
}

// remove takes the entries out, and contexts that lead nowhere without them. It returns what has been removed, by file.
func (e entries) remove(u *userKubeconfig) (removed []string) {
	users := map[string]*clientcmdapi.AuthInfo{}
	for _, f := range slices.Backward(u.files) { // the first one counts
		maps.Copy(users, f.config.AuthInfos)
	}
	var clusters, contexts, used []string
	for _, f := range u.files {
		for name, cluster := range f.config.Clusters {
			if e.isOurs(name, cluster, users[name]) {
				clusters = append(clusters, name)
			}
		}
	}
	leads := func(context *clientcmdapi.Context) bool {
		return !slices.Contains(clusters, context.Cluster) && markOf(context.Extensions) != e.dir
	}
	for _, f := range u.files {
		for name, context := range f.config.Contexts {
			if leads(context) {
				used = append(used, context.AuthInfo)
			} else {
				contexts = append(contexts, name)
			}
		}
	}
	for _, f := range u.files {
		what := take("context", f.config.Contexts, func(_ string, context *clientcmdapi.Context) bool { return !leads(context) })
		what = append(what, take("cluster", f.config.Clusters, func(name string, cluster *clientcmdapi.Cluster) bool {
			return e.isOurs(name, cluster, users[name])
		})...)
		what = append(what, take("user", f.config.AuthInfos, func(name string, user *clientcmdapi.AuthInfo) bool {
			return (slices.Contains(clusters, name) || markOf(user.Extensions) == e.dir) && !slices.Contains(used, name)
		})...)
		if len(what) > 0 {
			removed = append(removed, fmt.Sprintf("%s: removed from %s", strings.Join(what, ", "), f.path))
		}
		if slices.Contains(contexts, f.config.CurrentContext) { // the context may be in another file
			f.config.CurrentContext = ""
		}
	}
	return removed
}

// take removes some entries of a map, and returns what they are.
func take[V any](kind string, all map[string]V, which func(name string, entry V) bool) (taken []string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if which(name, all[name]) {
			delete(all, name)
			taken = append(taken, kind+" "+name)
		}
	}
	return taken
}

// isOurs reports whether an entry is this cluster's. By its name alone, it may be that of one before the last reset.
func (e entries) isOurs(name string, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) bool {
	if name == e.name {
		return e.replaceable(cluster, user)
	}
	return markOf(cluster.Extensions) == e.dir
}

// replaceable reports whether an entry of this cluster's name may be replaced: it is this cluster's, or of one of km's
// that there is no more. Versions before this one have left no mark.
func (e entries) replaceable(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) bool {
	if ours, _ := current(e.ours); ours != nil && shareCertificate(ours.CertificateAuthorityData, cluster.CertificateAuthorityData) {
		return true
	}
	return e.marked(cluster.Extensions) || markOf(cluster.Extensions) == "" && madeByKM(cluster, user)
}

// marked reports whether the mark is this cluster's, or that of one whose data folder is gone.
func (e entries) marked(extensions map[string]runtime.Object) bool {
	dir := markOf(extensions)
	if dir == "" || dir == e.dir {
		return dir != ""
	}
	_, err := os.Stat(filepath.Join(dir, kubeconfigDir, "admin.conf"))
	return errors.Is(err, fs.ErrNotExist)
}

// mark adds this cluster's mark.
func (e entries) mark(extensions map[string]runtime.Object) map[string]runtime.Object {
	if extensions == nil {
		extensions = map[string]runtime.Object{}
	}
	text, _ := json.Marshal(mark{e.dir}) // a struct of a string can be written
	extensions[extension] = &runtime.Unknown{Raw: text, ContentType: runtime.ContentTypeJSON}
	return extensions
}

// markOf is the data folder in the mark; "" without one.
func markOf(extensions map[string]runtime.Object) string {
	unknown, ok := extensions[extension].(*runtime.Unknown)
	var m mark
	if !ok || json.Unmarshal(unknown.Raw, &m) != nil {
		return ""
	}
	return m.DataDir
}

// madeByKM reports whether entries without a mark are such as km has made: its authority and its admin have kubeadm's
// names, and keys on elliptic curves, which kubeadm and kind do not make.
func madeByKM(cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) bool {
	if user == nil {
		return false
	}
	authorities, err := certutil.ParseCertsPEM(cluster.CertificateAuthorityData)
	if err != nil {
		return false
	}
	admins, err := certutil.ParseCertsPEM(user.ClientCertificateData)
	if err != nil {
		return false
	}
	admin := admins[0]
	return admin.Subject.CommonName == adminIdentity.User &&
		slices.Contains(admin.Subject.Organization, kubeadmconstants.ClusterAdminsGroupAndClusterRoleBinding) &&
		slices.ContainsFunc(authorities, func(ca *x509.Certificate) bool {
			_, elliptic := ca.PublicKey.(*ecdsa.PublicKey)
			return elliptic && ca.Subject.CommonName == "kubernetes" && admin.CheckSignatureFrom(ca) == nil
		})
}

// shareCertificate reports whether a certificate is in both.
func shareCertificate(a, b []byte) bool {
	as, errA := certutil.ParseCertsPEM(a)
	bs, errB := certutil.ParseCertsPEM(b)
	return errA == nil && errB == nil && slices.ContainsFunc(as, func(one *x509.Certificate) bool {
		return slices.ContainsFunc(bs, func(other *x509.Certificate) bool { return bytes.Equal(one.Raw, other.Raw) })
	})
}

// loadOurs returns the cluster's own kubeconfig.
func loadOurs(p *supervisor.Plan) (*clientcmdapi.Config, error) {
	return clientcmd.LoadFromFile(KubeconfigPath(p, Admin))
}
