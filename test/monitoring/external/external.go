// Package external has the URL under which people reach a server, as Prometheus and Alertmanager have it.
package external

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// URL is the one given with --web.external-url, or that of this machine with the port of the address.
func URL(given, address string) (*url.URL, error) {
	if given == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		given = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--web.external-url=%s is no URL with http or https", given)
	}
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path != "" && !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	return u, nil
}
