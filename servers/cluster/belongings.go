package cluster

import (
	"maps"
	"path"
	"slices"
)

// State are the paths in the data folder of what the servers of a cluster share, for supervisor.Server.State.
func State() []string {
	names := slices.Concat(Written("state.json"), []string{"pki/sa.key", "pki/sa.pub", "pki/.sa.*[0-9]"})
	for _, name := range append([]string{"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"}, serving...) {
		names = slices.Concat(names, Written("pki/"+name+".crt"), Written("pki/"+name+".key"))
	}
	for _, identity := range append(slices.Collect(maps.Keys(identities)), NodeKubeconfig) {
		names = append(names, "kubeconfig/"+identity+".conf.lock")
		names = slices.Concat(names, Written("kubeconfig/"+identity+".conf"), Written("kubeconfig/"+identity+".pem"))
	}
	return names
}

// Written are the paths in the data folder, for supervisor.Server.State, of a file that Write writes: the second one is
// that of a process that was killed while it did.
func Written(file string) []string {
	return []string{file, path.Join(path.Dir(file), "."+path.Base(file)+"[0-9]*")}
}
