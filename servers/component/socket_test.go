package component

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// Both sides come to the same path, as etcd and gRPC take it out of what they are given.
func TestSocketURL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.sock")
	u, err := url.Parse(SocketURL(path))
	if err != nil {
		t.Fatal(err)
	}
	if got := filepath.FromSlash(u.Host + u.Path); u.Scheme != "unix" || got != path {
		t.Errorf("a server listens at %q, want %q", got, path)
	}
	endpoint := Endpoints(SocketURL(path))
	if got := strings.TrimPrefix(endpoint, "unix://"); got != path {
		t.Errorf("clients are sent to %q, want %q", got, path)
	}
	if drive := filepath.VolumeName(path); drive != "" && strings.Contains(endpoint, drive+"/") {
		t.Errorf("gRPC finds no path in %q", endpoint)
	}
	if urls := "http://127.0.0.1:2379,unix:///run/etcd.sock"; Endpoints(urls) != urls {
		t.Errorf("%q becomes %q", urls, Endpoints(urls))
	}
}
