package apiserver

import (
	"strings"
	"testing"
)

func TestCheckStore(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:2379":         "",
		"https://etcd.example.com:1/":   "",
		"http://[::1]:2379":             "",
		"unix:///run/etcd.sock":         "",
		"unixs://etcd.sock":             "",
		"unix:etcd.sock":                "",
		"unix:///odd #folder/etcd":      "has a space in it",
		"127.0.0.1:2379":                "has no scheme",
		"localhost:2379":                "has no scheme",
		"etcd":                          "has no scheme",
		"[::1]:2379":                    "has no scheme",
		"":                              "is no address",
		" http://127.0.0.1:2379":        "has a space in it",
		"tcp://127.0.0.1:2379":          "has a scheme that etcd does not know",
		"htp://127.0.0.1:2379":          "has a scheme that etcd does not know",
		"://127.0.0.1:2379":             "has a scheme that etcd does not know",
		"http://":                       "names no host",
		"http://:2379":                  "names no host",
		"http://127.0.0.1":              "names no port",
		"http://127.0.0.1:":             "names no port",
		"http://127.0.0.1:99999":        "has a port above 65535",
		"http://127.0.0.1:port":         "is no URL",
		"http:/127.0.0.1:2379":          "has no scheme",
		"unix://":                       "names no socket",
		"http://127.0.0.1:2379%zz/":     "is no URL",
		"https://a:1;https://b:2":       "is no URL",
		"http://user:pw@127.0.0.1:2379": "",
	} {
		err := checkStore("etcd-servers", address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "--apiserver.etcd-servers") || !strings.Contains(err.Error(), "http://127.0.0.1:2379")) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}
