package cluster

import (
	"path"
	"slices"
)

// State are the paths in the data folder of what the servers of a cluster share, for supervisor.Server.State.
func State() []string {
	names := slices.Concat(Written("state.json"), []string{"pki/sa.key", "pki/sa.pub", "pki/.sa.*[0-9]", "kubeconfig/" + NodeKubeconfig + ".conf"})
	for _, name := range []string{"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", kubeletCert, "controller-manager", "scheduler"} {
		names = slices.Concat(names, Written("pki/"+name+".crt"), Written("pki/"+name+".key"))
	}
	for identity := range identities {
		names = append(names, "kubeconfig/"+identity+".conf.lock")
		names = append(names, Written("kubeconfig/"+identity+".conf")...)
	}
	return names
}

// Written are the paths in the data folder, for supervisor.Server.State, of a file that Write writes: the second one is that of a process
// that was killed while it did.
func Written(file string) []string {
	return []string{file, path.Join(path.Dir(file), "."+path.Base(file)+"[0-9]*")}
}
