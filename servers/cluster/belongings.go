package cluster

import (
	"path"
	"slices"
)

// State are the paths in the data folder of what the servers of a cluster share, for supervisor.Server.State. What is
// one server's, Identify returns.
func State() []string {
	names := slices.Concat(Written("state.json"), []string{"pki/sa.key", "pki/sa.pub", "pki/.sa.*[0-9]"})
	for _, name := range []string{"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", kubeletCert} {
		names = append(names, certificateFiles(name)...)
	}
	for _, name := range []string{"etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client"} {
		names = append(names, certificateFiles(name)...)
	}
	names = slices.Concat(names, Written(joinedFile))
	return slices.Concat(names, kubeconfigFiles(Admin), kubeconfigFiles(NodeKubeconfig))
}

// certificateFiles are the paths in the data folder of a certificate and its key.
func certificateFiles(name string) []string {
	return slices.Concat(Written("pki/"+name+".crt"), Written("pki/"+name+".key"))
}

// kubeconfigFiles are the paths in the data folder of the kubeconfig of an identity.
func kubeconfigFiles(identity string) []string {
	file := kubeconfigDir + "/" + identity
	return slices.Concat([]string{file + ".conf.lock"}, Written(file+".conf"), Written(file+".pem"))
}

// Written are the paths in the data folder, for supervisor.Server.State, of a file that Write writes: the second one is
// that of a process that was killed while it did.
func Written(file string) []string {
	return []string{file, path.Join(path.Dir(file), "."+path.Base(file)+"[0-9]*")}
}
