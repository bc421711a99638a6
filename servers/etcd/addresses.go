package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/seed-200a7251/km/supervisor"
)

// listenFlags are those that say where etcd listens.
var listenFlags = []string{"listen-client-urls", "listen-peer-urls", "listen-client-http-urls", "listen-metrics-urls"}

// checkAddresses refuses addresses of unix sockets that mean another path than the one that stands there: upstream
// would cut it off.
func checkAddresses(s *supervisor.Server) error {
	return s.Replay(func(flag, value string) error {
		if !slices.Contains(listenFlags, flag) {
			return nil
		}
		for address := range strings.SplitSeq(value, ",") {
			if isUnix(strings.ToLower(strings.TrimSpace(address))) && strings.ContainsAny(address, "#?") {
				return fmt.Errorf("%s: etcd takes it for a URL, which ends at # and ?: name a path without these", address)
			}
		}
		return nil
	})
}

func isUnix(address string) bool {
	return strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unixs:")
}

// checkSockets refuses to listen where something is that is no socket: upstream removes what is in its way.
func checkSockets(c *embed.Config) error {
	for _, urls := range [][]url.URL{c.ListenClientUrls, c.ListenPeerUrls, c.ListenClientHttpUrls, c.ListenMetricsUrls} {
		for _, u := range urls {
			if !isUnix(u.Scheme + ":") {
				continue
			}
			path := u.Host + u.Path                   // as upstream puts it together
			if u.Fragment != "" || u.RawQuery != "" { // as it may be in a file
				return fmt.Errorf("etcd: %s is a URL, whose path ends at # and ?: name one without these", u.String())
			}
			if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
				return fmt.Errorf("etcd: %s is to be a socket, but is something else: remove it, or choose another address", path)
			}
		}
	}
	return nil
}

// keepPrivate has unix sockets that etcd has made in the data folder for this user alone: upstream leaves their modes
// to the umask, and who gets through to one writes into the store. Until then the folder around keeps others away
// (supervisor.Plan.SocketPath).
func keepPrivate(urls []url.URL) error {
	for _, u := range urls {
		if !isUnix(u.Scheme + ":") {
			continue
		}
		if err := os.Chmod(u.Host+u.Path, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
