package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Values from files, the environment and the arguments reach the servers, and the file that --print-config writes does
// the same.
func TestConfig(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	base := writeFile(t, filepath.Join(h.dir, "base.yaml"), `
servers: [minion, controller-manager, scheduler]
feature-gates:
  kube:APIServingWithRoutine: true
disabled-metrics: [etcd_request_duration_seconds]
apiserver:
  event-ttl: 2h
  enable-admission-plugins: [NodeRestriction, AlwaysPullImages]
executor:
  nodes: 3
  node-labels: {disk: ssd}
scheduler:
  log-level: v=3
etcd:
  feature-gates: {StopGRPCServiceOnDefrag: true}
`)
	mine := writeFile(t, filepath.Join(h.dir, "mine.json"), "{\n\t\"executor\": {\"node-labels\": {\"tier\": \"test\"}, \"nodes\": 7}\n}\n")
	args := []string{"run", "--free-ports", "--config", base, "--config", mine, "--executor.node-labels=from=arguments"}
	// As a wrapper would call it.
	start := func(t *testing.T, h home, args ...string) *process {
		p := h.start(t, "sh", append([]string{"-c", `exec "$@"`, "sh", "env", "KM_EXECUTOR_NODES=2", "KM_FEATURE_GATES=kube:APIResponseCompression=false", binary}, args...)...)
		p.waitReady()
		return p
	}
	check := func(t *testing.T, h home) {
		t.Helper()
		nodes := h.must(t, "kubectl", "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.labels.disk} {.metadata.labels.tier} {.metadata.labels.from}{"\n"}{end}`)
		if nodes != "ssd test arguments\nssd test arguments\n" {
			t.Errorf("the nodes have the labels\n%s", nodes)
		}
		metrics := h.must(t, "kubectl", "get", "--raw", "/metrics")
		for text, want := range map[string]bool{
			`kubernetes_feature_enabled{name="APIServingWithRoutine",stage="ALPHA"} 1`: true,
			`kubernetes_feature_enabled{name="APIResponseCompression",stage="BETA"} 0`: true,
			"etcd_request_duration_seconds_bucket":                                     false,
			"etcd_requests_total":                                                      true,
		} {
			if strings.Contains(metrics, text) != want {
				t.Errorf("%s is in the metrics: %v", text, !want)
			}
		}
		h.must(t, "kubectl", "create", "serviceaccount", "robot")
		h.must(t, "kubectl", "run", "pulls", "--image=example.invalid/c", "--image-pull-policy=IfNotPresent")
		if policy := h.must(t, "kubectl", "get", "pod", "pulls", "-o", "jsonpath={.spec.containers[0].imagePullPolicy}"); policy != "Always" {
			t.Errorf("the admission plugin is not there: the pull policy is %q", policy)
		}
	}

	var printed string
	t.Run("sources", func(t *testing.T) {
		p := start(t, h, args...)
		check(t, h)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
		r := h.do(t, "env", append([]string{"KM_EXECUTOR_NODES=2", "KM_FEATURE_GATES=kube:APIResponseCompression=false", binary}, append(args, "--print-config")...)...)
		if r.code != 0 || r.stderr != "" {
			t.Fatalf("exit code %d, %s", r.code, r.stderr)
		}
		printed = r.stdout
		for _, line := range []string{
			`(?m)^servers: \[minion, controller-manager, scheduler\] # .*/base.yaml:2$`,
			`(?m)^free-ports: true # command line$`,
			`(?m)^feature-gates: \[kube:APIServingWithRoutine=true, kube:APIResponseCompression=false\] # .*/base.yaml:4, KM_FEATURE_GATES$`,
			`(?m)^  nodes: 2 # KM_EXECUTOR_NODES$`,
			`(?m)^  # authorization-mode: '?Node,RBAC'?$`,
		} {
			if !regexp.MustCompile(line).MatchString(printed) {
				t.Errorf("no line is %s", line)
			}
		}
		if t.Failed() {
			t.Log(printed)
		}
	})
	t.Run("printed", func(t *testing.T) {
		again := newHome(t)
		file := writeFile(t, filepath.Join(again.dir, "km.yaml"), printed)
		p := again.start(t, binary, "run", "--config", file)
		p.waitReady()
		check(t, again)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// What is wrong is told at once, with its place and upstream's reasons, and nothing is written.
func TestWrongConfig(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file := writeFile(t, filepath.Join(h.dir, "km.yaml"), `
feature-gates: {SomeGate: true}
apiserver:
  secure-prot: 6443
  feature-gates: SomeGate=false
controller-manager:
  node-monitor-period: soon
  node-labels: {a: b}
scheduler:
  kube-api-qps: many
etcd:
  initial-cluster-state: brand-new
kubelet:
  v: 4
`)
	r := h.do(t, "env", "KM_SCHEDULER_KUBE_API_BURST=lots", "KM_EXECUTOR_NODE_LABEL=a=b", binary,
		"run", "--config", file, "--executor.nodes=-1", "--proxy.cluster-cidr=nonsense", "--apisrver.v=4")
	if r.code != 2 || r.stdout != "" {
		t.Errorf("exit code %d, printed %q", r.code, r.stdout)
	}
	for _, text := range []string{
		file + ":4: apiserver.secure-prot: apiserver has no such flag (did you mean secure-port?)",
		file + `:7: invalid value "soon" for --controller-manager.node-monitor-period: time: invalid duration "soon"`,
		file + ":8: controller-manager.node-labels: controller-manager has no such flag; it is a flag of executor",
		file + `:10: invalid value "many" for --scheduler.kube-api-qps: `,
		file + `:12: invalid value "brand-new" for --etcd.initial-cluster-state: `,
		file + ":13: kubelet is another name of executor: put its flags below that",
		`KM_SCHEDULER_KUBE_API_BURST: invalid value "lots" for --scheduler.kube-api-burst: `,
		"KM_EXECUTOR_NODE_LABEL: executor has no such flag (did you mean KM_EXECUTOR_NODE_LABELS?)",
		"unknown flag: --apisrver.v (did you mean --apiserver.v?)",
	} {
		if !strings.Contains(r.stderr, "Error: "+text) {
			t.Errorf("no error is %q", text)
		}
	}
	for _, text := range []string{"--feature-gates=SomeGate=true (" + file + ":2) and --apiserver.feature-gates=SomeGate=false (" + file + ":5) differ", "nonsense"} {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("nothing is said of %q", text)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
	if _, err := os.Stat(h.dataDir("km")); err == nil {
		t.Error("there is a data folder")
	}

	// What upstream finds later has its place, too.
	gates := writeFile(t, filepath.Join(h.dir, "gates.yaml"), "\nfeature-gates: {NoSuchGate: true}\n")
	if r := h.km(t, "run", "--config", gates); r.code != 2 ||
		!strings.Contains(r.stderr, "unrecognized feature gate: NoSuchGate (--feature-gates is from "+gates+":2)") {
		t.Errorf("a wrong feature gate: exit code %d\n%s", r.code, r.stderr)
	}

	checked := h.km(t, "config", "check", file)
	if checked.code != 2 || !strings.Contains(checked.stderr, "secure-prot") || strings.Contains(checked.stderr, "nonsense") {
		t.Errorf("config check: exit code %d\n%s", checked.code, checked.stderr)
	}
}

// A file for real nodes can be checked where there are none.
func TestConfigForAnotherMachine(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file := writeFile(t, filepath.Join(h.dir, "km.yaml"), "executor:\n  runtime: cri\n  container-runtime-endpoint: unix:///nowhere.sock\n")
	if out := h.must(t, "config", "check", file); !strings.Contains(out, "fine, for etcd, apiserver") {
		t.Errorf("printed %q", out)
	}
}
