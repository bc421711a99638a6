package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Wrong usage is found before anything starts or is written: exit code 2, one error that names the thing and the way
// out.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		args string
		want []string
	}{
		{"run apisever", []string{"apisever", "did you mean apiserver?"}},
		{"run kubectl", []string{"kubectl cannot be run beside others", "km kubectl"}},
		{"run --nonsense", []string{"unknown flag: --nonsense"}},
		{"run --secure-port=1", []string{"--apiserver.secure-port, --controller-manager.secure-port, --scheduler.secure-port"}},
		{"run --apiserver.secureport=1", []string{"did you mean --apiserver.secure-port?"}},
		{"run apiserver --scheduler.v=2", []string{"--scheduler.v", "scheduler is not selected", "add it to the list"}},
		{"run --apiserver.secure-port=many", []string{`"many"`, "--apiserver.secure-port"}},
		{"run --apiserver.max-requests-inflight=-1", []string{"apiserver: --max-requests-inflight can not be negative"}},
		{"run --apiserver.service-cluster-ip-range=10.0.0.0", []string{"apiserver: ", "service-cluster-ip-range"}},
		{"run --apiserver.etcd-servers=127.0.0.1:2379", []string{`--apiserver.etcd-servers: "127.0.0.1:2379" has no scheme`, "http://127.0.0.1:2379"}},
		{"run --apiserver.etcd-servers=", []string{"--apiserver.etcd-servers", "is no address"}},
		{"run --apiserver.etcd-servers=http://a:1,,http://b:1", []string{"--apiserver.etcd-servers", "is no address"}},
		{"run --apiserver.etcd-servers=tcp://127.0.0.1:2379", []string{"--apiserver.etcd-servers", "unix://PATH"}},
		{"run --apiserver.etcd-servers-overrides=/events#127.0.0.1:2379", []string{"--apiserver.etcd-servers-overrides", "has no scheme"}},
		{"run --apiserver.authorization-mode=Nobody", []string{"apiserver: ", "Nobody"}},
		{"run --controller-manager.controllers=nosuch", []string{"controller-manager: ", `"nosuch"`}},
		{"run --etcd.heartbeat-interval=1000 --etcd.election-timeout=1000", []string{"etcd: ", "election-timeout"}},
		{"run --etcd.listen-client-urls=nowhere", []string{"nowhere", "--etcd.listen-client-urls"}},
		{"run --scheduler.config=/nowhere.yaml", []string{"scheduler: --scheduler.config=/nowhere.yaml", "no such file"}},
		{"run scheduler --scheduler.kubeconfig=" + file, []string{"scheduler: --scheduler.kubeconfig=" + file, "cannot be read"}},
		{"run --feature-gates=NoSuchGate=true", []string{"--feature-gates", "NoSuchGate"}},
		{"run --feature-gates=AllBeta=true --scheduler.feature-gates=AllBeta=false", []string{"--feature-gates=AllBeta=true", "--scheduler.feature-gates=AllBeta=false"}},
		{"run --apiserver.grace-period=-1s", []string{"--apiserver.grace-period", "positive"}},
		{"run --log-level=loud", []string{"--log-level", `"loud"`, "debug, info, warn, error"}},
		{"run --executor.nodes=-1", []string{"--executor.nodes=-1", "from 0 to 10000"}},
		{"run --executor.nodes=many", []string{"--executor.nodes", "many"}},
		{"run --executor.nodes=5000 --executor.pod-cidr=10.128.0.0/12", []string{"--executor.pod-cidr=10.128.0.0/12", "5000 nodes"}},
		{"run --executor.pod-cidr=10.0.0.0/33", []string{"--executor.pod-cidr", "10.0.0.0/33"}},
		{"run --executor.pod-cidr=fd00::/64", []string{"--executor.pod-cidr", "IPv4"}},
		{"run --executor.node-zones=0", []string{"--executor.node-zones=0"}},
		{"run --executor.node-prefix=Node_", []string{"--executor.node-prefix", "Node_1"}},
		{"run --executor.node-capacity=cpu", []string{"--executor.node-capacity", `"cpu"`, "memory=32Gi"}},
		{"run --executor.node-capacity=memory=lots", []string{"--executor.node-capacity", `"lots"`}},
		{"run --executor.node-labels=a=b/c", []string{"--executor.node-labels"}},
		{"run --executor.runtime=docker", []string{"--executor.runtime=docker", "simulated and cri"}},
		{"run --executor.container-runtime-endpoint=unix:///x.sock --executor.max-pods=9", []string{"--executor.container-runtime-endpoint, --executor.max-pods", "add --executor.runtime=cri"}},
		{"run --executor.runtime=cri --executor.nodes=2", []string{"--executor.nodes is for simulated nodes"}},
		{"run --executor.runtime=cri --executor.max-pods=-1", []string{"executor: ", "maxPods"}},
		{"run --executor.runtime=cri --executor.config=" + file, []string{"--executor.config=" + file}},
		{"run --executor.runtime=cri --executor.container-runtime-endpoint=tcp://127.0.0.1:1", []string{"--executor.container-runtime-endpoint=tcp://127.0.0.1:1", "unix://"}},
		{"run --executor.runtime=cri --executor.rotate-certificates", []string{"executor: ", "km kubelet"}},
		{"run --proxy.proxy-mode=userspace", []string{"proxy: ", "userspace"}},
		{"run --proxy.config=" + file, []string{"--proxy.config=" + file}},
		{"run --proxy.cleanup", []string{"km proxy --cleanup"}},
		{"run dns --dns.bind-address=nowhere", []string{"--dns.bind-address=nowhere"}},
		{"minion", []string{"executor needs apiserver", "--kubeconfig", "km run minion"}},
		{"minion --nodes=many", []string{"executor: ", "--nodes"}},
		{"minion extra", []string{"takes no arguments", `"extra"`}},
		{"run --log-format=xml", []string{"--log-format", `"xml"`, "console or json"}},
		{"run --name=../up", []string{"--name", `"../up"`}},
		{"run --ephemeral --data-dir=/tmp/x", []string{"--ephemeral", "--data-dir"}},
		{"run --etcd.log-level=loud", []string{`--etcd.log-level: unknown log level "loud"`, "v=N"}},
		{"run --scheduler.v=1000", []string{`--scheduler.v: unknown log level "v=1000"`}},
		{"run --log-max-size=0", []string{"--log-max-size=0", "above 0"}},
		{"logs apisever", []string{"apisever", "did you mean apiserver?"}},
		{"logs --since=yesterday", []string{`--since: "yesterday"`, "5m"}},
		{"run --", []string{"a command is to follow `--`"}},
		{"run -- no-such-command 1", []string{`the command "no-such-command" behind ` + "`--` cannot be run", "not found"}},
		{"nonsense", []string{"server not found: nonsense", "Usage"}},
		{"--nonsense", []string{"unknown flag: --nonsense", "Usage"}},
		{"", []string{"no server specified", "Usage"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			h := newHome(t)
			r := h.km(t, strings.Fields(test.args)...)
			refused(t, r, test.want...)
			if entries, err := os.ReadDir(h.dir); err != nil || len(entries) > 0 {
				t.Errorf("something was written: %v (%v)", entries, err)
			}
		})
	}

	// These need to look at the machine. None opens the default ports, which others take meanwhile (TestReadme).
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"apiserver", "--apiserver.secure-port=" + port}, []string{"apiserver: port " + port, "is taken", "--apiserver.secure-port", "--free-ports"}},
		{[]string{"--free-ports", "--scheduler.secure-port=" + port}, []string{"scheduler: port " + port, "is taken", "--scheduler.secure-port"}},
		{[]string{"--free-ports", "--apiserver.bind-address=203.0.113.7"}, []string{"apiserver: ", "no address 203.0.113.7", "--apiserver.bind-address"}},
		{[]string{"--free-ports", "--log-dir=" + file}, []string{"log file of km", "not a directory", "--log-dir"}},
		{[]string{"--free-ports", "--data-dir=" + file}, []string{"data folder " + file, "not a directory", "--data-dir"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			h := newHome(t)
			refused(t, h.km(t, append([]string{"run"}, test.args...)...), test.want...)
			// The folder may have been made, for its lock; nothing is in it.
			entries, err := os.ReadDir(h.dataDir("km"))
			if err != nil && !os.IsNotExist(err) || len(entries) > 1 {
				t.Errorf("written: %v (%v)", entries, err)
			}
		})
	}
}

// refused checks for exit code 2 and an error that contains all of want.
func refused(t *testing.T, r result, want ...string) {
	t.Helper()
	if r.code != 2 {
		t.Errorf("exit code %d, want 2", r.code)
	}
	for _, text := range append(want, "Error: ") {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("want %q in\n%s", text, r.stderr)
		}
	}
	if r.stdout != "" {
		t.Errorf("on standard output:\n%s", r.stdout)
	}
}

// A data folder that cannot be used is refused, and nothing in it is changed.
func TestDataFolderRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t)
	t.Run("held", func(t *testing.T) {
		refused(t, h.km(t, "run", "--free-ports"), "data folder "+h.dataDir("km"), "process "+strconv.Itoa(p.cmd.Process.Pid), "--name")
	})
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}

	replace := func(old, new string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, new, 1) }
	}
	nonsense := func(string) string { return "nonsense\n" }
	for _, test := range []struct {
		file   string
		change func(string) string
		want   []string
	}{
		{"state.json", replace("v1.37.", "v1.38."), []string{"last used by Kubernetes v1.38.", "this km carries v1.37.", "--data-dir"}},
		{"state.json", replace(`"layout": 1`, `"layout": 2`), []string{"last used by a newer km", "--data-dir"}},
		{"state.json", nonsense, []string{"state.json is damaged", "remove it"}},
		{"pki/ca.crt", nonsense, []string{"pki/ca.crt is damaged", "put back a copy", "/pki and ", "/kubeconfig, and km makes new keys"}},
		{"pki/ca.key", nonsense, []string{"pki/ca.key is damaged", "put back a copy"}},
		{"pki/apiserver.crt", nonsense, []string{"pki/apiserver.crt is damaged", "km makes new ones"}},
		{"pki/apiserver.key", nonsense, []string{"pki/apiserver.key is damaged", "km makes new ones"}},
		{"pki/front-proxy-client.key", nonsense, []string{"pki/front-proxy-client.key is damaged", "km makes new ones"}},
		{"pki/sa.key", nonsense, []string{"pki/sa.key is damaged", "tokens of service accounts are void"}},
		{"pki/sa.pub", nonsense, []string{"pki/sa.pub is damaged", "km makes it again"}},
		{"kubeconfig/admin.conf", nonsense, []string{"kubeconfig/admin.conf is damaged", "km makes a new one"}},
		{"kubeconfig/admin.conf", replace("client-certificate-data: ", "client-certificate-data: QUJD"), []string{"kubeconfig/admin.conf is damaged", "km makes a new one"}},
		{"kubeconfig/scheduler.pem", nonsense, []string{"kubeconfig/scheduler.conf is damaged", "scheduler.pem", "km makes a new one"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			path := filepath.Join(h.dataDir("km"), test.file)
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := test.change(string(good))
			if bad == string(good) {
				t.Fatal("nothing changed: the test is out of date")
			}
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, h.km(t, "run", "--free-ports"), test.want...)
			if now, err := os.ReadFile(path); err != nil || string(now) != bad {
				t.Errorf("the file was changed (%v)", err)
			}
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}

	// The way out that the errors name works: what is removed is made anew, and what is stored stays.
	for _, file := range []string{"pki/apiserver.crt", "pki/apiserver.key", "pki/sa.pub", "kubeconfig/admin.conf", "state.json"} {
		if err := os.Remove(filepath.Join(h.dataDir("km"), file)); err != nil {
			t.Fatal(err)
		}
	}
	p = h.run(t)
	h.must(t, "kubectl", "get", "namespace", "default")
	p.stop(syscall.SIGTERM)
}

// A server that fails while starting stops the others, and is named last on the screen.
func TestServerFails(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.run(t, "etcd").stop(syscall.SIGTERM)
	db := filepath.Join(h.dataDir("km"), "etcd", "member", "snap", "db")
	if err := os.WriteFile(db, []byte(strings.Repeat("nonsense", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := h.start(t, binary, "run", "--free-ports")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	all := lines(p.stderr.String())
	if len(all) < 2 || !strings.HasPrefix(all[len(all)-2], "Error: etcd failed: ") || all[len(all)-1] != "See 'km logs'." {
		t.Errorf("the last lines do not name the server, and where more is:\n%s", p.stderr)
	}
	if out := h.must(t, "logs", "etcd", "--level=error"); !strings.Contains(out, "snap/db: invalid database") || !strings.Contains(out, "km: failed") {
		t.Errorf("`km logs` does not tell why:\n%s", out)
	}
	if ready := states(p.stdout.String(), "ready"); len(ready) > 0 {
		t.Errorf("ready: %v", ready)
	}
}
