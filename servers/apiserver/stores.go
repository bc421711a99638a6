package apiserver

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/seed-200a7251/km/supervisor"
)

// checkStores looks at the addresses of etcd that the user has given. Upstream takes any text, and a start with one
// that means nothing waits for an etcd that is not there.
func checkStores(s *supervisor.Server, o *genericoptions.EtcdOptions) error {
	const servers, overrides = "etcd-servers", "etcd-servers-overrides"
	if s.Given(servers) {
		if len(o.StorageConfig.Transport.ServerList) == 0 {
			return checkStore(servers, "")
		}
		for _, address := range o.StorageConfig.Transport.ServerList {
			if err := checkStore(servers, address); err != nil {
				return err
			}
		}
	}
	parsed, err := genericoptions.ParseEtcdServersOverrides(o.EtcdServersOverrides)
	if err != nil {
		return nil // Validate tells
	}
	for _, override := range parsed {
		for _, address := range override.Servers {
			if err := checkStore(overrides, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStore looks at one of them: a URL, or what etcd's client takes for unix sockets, which is none
// (client/v3/internal/endpoint).
func checkStore(flag, address string) error {
	wrong := func(why string) error {
		return fmt.Errorf("apiserver: --apiserver.%s: %q %s: use SCHEME://HOST:PORT with http or https, such as http://127.0.0.1:2379, or unix://PATH",
			flag, address, why)
	}
	scheme, rest, hasScheme := strings.Cut(address, "://")
	switch {
	case address == "":
		return wrong("is no address")
	case strings.ContainsAny(address, " \t\n"):
		return wrong("has a space in it")
	case scheme == "unix" || scheme == "unixs":
		if rest == "" {
			return wrong("names no socket")
		}
		return nil
	case strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unixs:"): // a path in the working folder
		return nil
	case !hasScheme:
		return wrong("has no scheme")
	case scheme != "http" && scheme != "https":
		return wrong("has a scheme that etcd does not know")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return wrong("is no URL")
	case u.Hostname() == "":
		return wrong("names no host")
	case u.Port() == "":
		return wrong("names no port")
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil {
		return wrong("has a port above 65535")
	}
	return nil
}
