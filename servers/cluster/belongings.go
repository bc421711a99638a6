package cluster

// State are the paths in the data folder of what the servers of a cluster share, for supervisor.Server.State.
func State() []string {
	names := []string{"state.json", ".state.json[0-9]*", "pki/sa.key", "pki/sa.pub", "pki/.sa.*[0-9]", "kubeconfig/" + NodeKubeconfig + ".conf"}
	for _, name := range []string{"ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", kubeletCert, "controller-manager", "scheduler"} {
		// The second ones are those of a process that was killed while it wrote them.
		names = append(names, "pki/"+name+".crt", "pki/"+name+".key", "pki/."+name+".crt[0-9]*", "pki/."+name+".key[0-9]*")
	}
	for identity := range identities {
		names = append(names, "kubeconfig/"+identity+".conf", "kubeconfig/"+identity+".conf.lock", "kubeconfig/."+identity+".conf[0-9]*")
	}
	return names
}
