// Package versions tells which versions of what are built into this binary.
package versions

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	etcd "go.etcd.io/etcd/api/v3/version"
)

// km is km's own version. The Makefile sets it when it links.
var km string

// Text is what `km version` prints after the name.
func Text() string {
	own := km
	if own == "" {
		own = "(devel)"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			own = info.Main.Version
		}
	}
	return fmt.Sprintf("%s\nKubernetes %s\netcd v%s\n%s %s/%s", own, Kubernetes(), Etcd(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// KM is the version of km; "unknown" if it was built in a way that does not tell.
func KM() string { return cmp.Or(km, "unknown") }

// Kubernetes is the version of the Kubernetes components, with its v.
func Kubernetes() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "k8s.io/kubernetes" {
				return m.Version
			}
		}
	}
	return "unknown"
}

// Etcd is the version of etcd, without a v.
func Etcd() string { return strings.TrimPrefix(etcd.Version, "v") }
