package etcd

import (
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor"
)

// Where a run's etcd can be asked, and what to use instead where it cannot.
func TestEndpoint(t *testing.T) {
	hk := &supervisor.HyperKube{Name: "km"}
	p, err := hk.Location()
	if err != nil {
		t.Fatal(err)
	}
	a := NewAccess(hk, p)
	for _, test := range []struct {
		etcd       supervisor.ServerStatus
		want, fail string
	}{
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Ready, Address: "unix:///x/etcd.sock"}, "unix:///x/etcd.sock", ""},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Ready, Address: "https://1.2.3.4:1,http://127.0.0.1:2"}, "http://127.0.0.1:2", ""},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Ready, Address: "http://127.0.0.1:2,unix:///x"}, "unix:///x", ""},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Ready, Address: "https://1.2.3.4:1"}, "", "use `etcdctl snapshot save` with --endpoints=https://1.2.3.4:1, --cacert"},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Starting}, "", "etcd is starting: wait for it with `km status --wait=ready`"},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Backoff}, "", "etcd is backoff: wait for it with `km status --wait=ready`"},
		{supervisor.ServerStatus{Name: "etcd", State: supervisor.Failed}, "", "etcd is failed: start it with `km start etcd`, or stop km"},
		{supervisor.ServerStatus{Name: "apiserver", State: supervisor.Ready}, "", "use `etcdctl snapshot save`"},
	} {
		got, err := a.Endpoint(&supervisor.Status{Servers: []supervisor.ServerStatus{test.etcd}}, "etcdctl snapshot save")
		if got != test.want || (err != nil) != (test.fail != "") || err != nil && !strings.Contains(err.Error(), test.fail) {
			t.Errorf("%+v: %q, %v", test.etcd, got, err)
		}
	}
}
