package component

import (
	"path/filepath"
	"strings"
)

const unixScheme = "unix://"

// SocketURL is the URL of a unix socket as etcd listens there. On Windows the drive of the path becomes the URL's host,
// and etcd puts them together again (embed, resolveURL).
func SocketURL(path string) string { return unixScheme + filepath.ToSlash(path) }

// Endpoints are what clients of etcd are to be given, of the URLs where it listens; both comma-separated. On Windows
// the path has backslashes for them: gRPC finds none in what begins with a drive and a slash (internal/transport,
// ParseDialTarget).
func Endpoints(urls string) string {
	all := strings.Split(urls, ",")
	for i, url := range all {
		if path, ok := strings.CutPrefix(url, unixScheme); ok && filepath.VolumeName(path) != "" {
			all[i] = unixScheme + filepath.FromSlash(path)
		}
	}
	return strings.Join(all, ",")
}

// Sockets are those of the URLs where etcd listens at which clients on this machine reach it without TLS, if there are
// any, otherwise all; comma-separated.
func Sockets(urls string) string {
	var sockets []string
	for url := range strings.SplitSeq(urls, ",") {
		if strings.HasPrefix(url, unixScheme) {
			sockets = append(sockets, url)
		}
	}
	if len(sockets) == 0 {
		return urls
	}
	return strings.Join(sockets, ",")
}
