package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What a cluster's users do with pods works on a real node: containers run, and Services are reached.
func TestRealNode(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	n.runContainerd(t)
	if err := os.Mkdir(n.path("static"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.path("kubelet.yaml"), []byte(realConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.runKM(t, "--executor.pod-manifest-path="+n.path("static"), "--executor.config="+n.path("kubelet.yaml"), "--executor.max-pods=60")

	t.Run("configuration", func(t *testing.T) { testRealConfiguration(t, n) })
	t.Run("node", func(t *testing.T) { testRealNodeObject(t, n) })
	// Their objects have names of their own.
	part := func(name string, test func(*testing.T, *realNode)) subtest {
		return subtest{name, func(t *testing.T) { test(t, n) }}
	}
	sideBySide(t, 4,
		part("deleted pod", testRealDeletedPod), // it waits for longest
		part("persistent volume", testRealPersistentVolume),
		part("job", testRealJob),
		part("service", testRealService),
		part("service of the pod itself", testRealHairpin),
		part("dns", testRealDNS),
		part("api", testRealAPI),
		part("logs", testRealLogs),
		part("exec", testRealExec),
		part("attach", testRealAttach),
		part("port-forward", testRealPortForward),
		part("cp", testRealCopy),
		part("volumes", testRealVolumes),
		part("environment", testRealEnvironment),
		part("liveness", testRealLiveness),
		part("readiness", testRealReadiness),
		part("init container", testRealInit),
		part("static pod", testRealStaticPod),
		part("kubelet", testRealKubelet),
	)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// realConfiguration is a user's for the kubelet.
const realConfiguration = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 50
podPidsLimit: 4000
evictionHard: {nodefs.available: 1Mi}
`

// A user's configuration is laid over km's defaults, and flags over both.
func testRealConfiguration(t *testing.T, n *realNode) {
	var answer struct {
		Kubeletconfig struct {
			MaxPods                     int
			PodPidsLimit                int
			ImageGCHighThresholdPercent int
			EvictionHard                map[string]string
			Authentication              struct{ Anonymous, Webhook struct{ Enabled bool } }
		}
	}
	text := n.kubectl(t, "get", "--raw", "/api/v1/nodes/"+n.nodeName(t)+"/proxy/configz")
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	c := answer.Kubeletconfig
	if c.MaxPods != 60 || c.PodPidsLimit != 4000 || c.ImageGCHighThresholdPercent != 100 || c.Authentication.Anonymous.Enabled || !c.Authentication.Webhook.Enabled ||
		c.EvictionHard["nodefs.available"] != "1Mi" || c.EvictionHard["memory.available"] != "0%" {
		t.Errorf("the kubelet's configuration: %+v", c)
	}
}

// nodeName is the name of the only node.
func (n *realNode) nodeName(t *testing.T) string {
	t.Helper()
	return n.value(t, "nodes", "{.items[*].metadata.name}")
}

func testRealNodeObject(t *testing.T, n *realNode) {
	node := n.nodeName(t)
	if node == "" || strings.Contains(node, " ") {
		t.Fatalf("the nodes are %q, want one", node)
	}
	n.waitFor(t, "node/"+node, "condition=Ready")
	out := n.kubectl(t, "get", "nodes", "-o", "wide")
	for _, want := range []string{node, " Ready ", " containerd://", " " + n.host.IP + " "} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	server := n.kubectl(t, "version", "-o", "json")
	if version := n.value(t, "node/"+node, "{.status.nodeInfo.kubeletVersion}"); !strings.Contains(server, `"`+version+`"`) {
		t.Errorf("the kubelet is of version %s, the apiserver says\n%s", version, server)
	}
}

// realWeb is a Deployment of web servers with a Service on a port of the node, too. They are not ready when they say
// so, not when they are slow, as for a probe that may take a second.
func realWeb(name string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: main, image: APP, readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, timeoutSeconds: 60}}]
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  type: NodePort
  selector: {app: %[1]s}
  ports: [{port: 80, targetPort: 8080}]
`, name, replicas)
}

// runWeb runs the web servers until the test ends, and returns the cluster IP of their Service.
func (n *realNode) runWeb(t *testing.T, name string, replicas int) string {
	t.Helper()
	n.applyReal(t, realWeb(name, replicas))
	t.Cleanup(func() { n.feed(t, "", "delete", "deployment,service", name, "--wait=false") })
	n.kubectl(t, "rollout", "status", "deployment/"+name, patient)
	return n.value(t, "service/"+name, "{.spec.clusterIP}")
}

// A Service leads to all its pods: from the node, from outside on the node's port, and from other pods.
func testRealService(t *testing.T, n *realNode) {
	ip := n.runWeb(t, "web", 2)
	n.runPod(t, "web-client", "containers: [{name: main, image: APP, command: [/app, sleep]}]")
	pods := strings.Fields(n.kubectl(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(pods) != 2 {
		t.Fatalf("the pods are %v, want two", pods)
	}
	for _, from := range []struct {
		name string
		get  func() string
	}{
		{"the node", func() string { return n.get(t, "http://"+ip+"/") }},
		{"outside", func() string {
			return n.get(t, "http://"+n.host.IP+":"+n.value(t, "service/web", "{.spec.ports[0].nodePort}")+"/")
		}},
		{"a pod", func() string {
			return n.kubectl(t, "exec", "web-client", "--", "/app", "get", "-for", "60s", "http://"+ip+"/")
		}},
	} {
		seen := map[string]bool{}
		poll(t, "both pods' answers, asked from "+from.name, func(context.Context) (bool, error) {
			answer := strings.TrimSpace(from.get())
			if !slices.Contains(pods, answer) {
				return false, fmt.Errorf("the answer is of %q, not of %v", answer, pods)
			}
			seen[answer] = true
			return len(seen) == 2, nil
		})
	}
}

// A pod reaches itself through its Service, although what it sends comes back to it.
func testRealHairpin(t *testing.T, n *realNode) {
	ip := n.runWeb(t, "self", 1)
	pod := n.kubectl(t, "get", "pods", "-l", "app=self", "-o", "jsonpath={.items[*].metadata.name}")
	if out := n.kubectl(t, "exec", pod, "--", "/app", "get", "-for", "60s", "http://"+ip+"/"); out != pod+"\n" {
		t.Errorf("the answer is of %q, want %s", out, pod)
	}
}

// Pods find Services by name, short or long, and not what does not exist.
func testRealDNS(t *testing.T, n *realNode) {
	ip := n.runWeb(t, "named", 1)
	n.runPod(t, "named-client", "containers: [{name: main, image: APP, command: [/app, sleep]}]")
	for _, name := range []string{"named.default.svc.cluster.local", "named.default.svc", "named"} {
		n.kubectl(t, "exec", "named-client", "--", "/app", "get", "-for", "60s", "http://"+name+"/")
		if out := n.kubectl(t, "exec", "named-client", "--", "/app", "lookup", name); out != ip+"\n" {
			t.Errorf("the address of %s is %q, want %s", name, out, ip)
		}
	}
	if r := n.feed(t, "", "exec", "named-client", "--", "/app", "lookup", "nobody.default.svc.cluster.local"); r.code == 0 || !strings.Contains(r.stderr, "no such host") {
		t.Errorf("a name that does not exist: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

// What runs in pods reaches the apiserver, with what is mounted into each of them.
func testRealAPI(t *testing.T, n *realNode) {
	n.runPod(t, "api-client", "containers: [{name: main, image: APP, command: [/app, sleep]}]")
	get := func(host, path string, flags ...string) result {
		args := append([]string{"exec", "api-client", "--", "/app", "get", "-ca", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"}, flags...)
		return n.feed(t, "", append(args, "https://"+host+path)...)
	}
	hosts := []string{n.value(t, "service/kubernetes", "{.spec.clusterIP}")}
	if slices.Contains(states(n.km.stdout.String(), "ready"), "dns") {
		hosts = append(hosts, "kubernetes.default.svc")
	}
	const token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	for _, host := range hosts {
		if r := get(host, "/healthz", "-for", "60s", "-token", token); r.stdout != "ok" {
			t.Errorf("https://%s/healthz: exit code %d, %q %s", host, r.code, r.stdout, r.stderr)
		}
		// Only those who are known may ask for the version.
		if r := get(host, "/version", "-token", token); !strings.Contains(r.stdout, "gitVersion") {
			t.Errorf("https://%s/version: exit code %d, %s%s", host, r.code, r.stdout, r.stderr)
		}
		if r := get(host, "/version"); r.code == 0 || !strings.Contains(r.stderr, "401") {
			t.Errorf("https://%s/version without a token: exit code %d, %s%s", host, r.code, r.stdout, r.stderr)
		}
	}
}

// Logs are there while a container runs, and those of the one before it when it runs again.
func testRealLogs(t *testing.T, n *realNode) {
	n.runPod(t, "talks", "containers: [{name: main, image: APP}]")
	n.get(t, n.podURL(t, "talks")+"/heard")
	poll(t, "the request in the logs", func(context.Context) (bool, error) {
		return strings.Contains(n.kubectl(t, "logs", "talks"), "web: GET /heard\n"), nil
	})
	if out := n.kubectl(t, "logs", "talks", "--tail=1"); out != "web: GET /heard\n" {
		t.Errorf("the last line: %q", out)
	}

	n.applyReal(t, realPod("crashes", "containers: [{name: main, image: APP, command: [/app, fail]}]"))
	t.Cleanup(func() { n.feed(t, "", "delete", "pod", "crashes", "--wait=false") })
	poll(t, "the crashed container's restart", func(context.Context) (bool, error) {
		count := n.value(t, "pod/crashes", "{.status.containerStatuses[0].restartCount}")
		return count != "" && count != "0", nil
	})
	// It goes on crashing: the one that was meant may have been removed by the time its log is asked for.
	poll(t, "logs of the container before", func(context.Context) (bool, error) {
		return n.feed(t, "", "logs", "crashes", "--previous").stdout == "failing as asked\n", nil
	})
	if code := n.value(t, "pod/crashes", "{.status.containerStatuses[0].lastState.terminated.exitCode}"); code != "3" {
		t.Errorf("the exit code before is %q, want 3", code)
	}
}

func testRealExec(t *testing.T, n *realNode) {
	n.runPod(t, "works", "containers: [{name: main, image: APP, command: [/app, sleep]}]")
	if out := n.kubectl(t, "exec", "works", "--", "/app", "echo", "hi"); out != "hi\n" {
		t.Errorf("echo: %q", out)
	}
	if out := n.kubectlFed(t, "from outside", "exec", "-i", "works", "--", "/app", "cat"); out != "from outside" {
		t.Errorf("cat: %q", out)
	}
	if r := n.feed(t, "", "exec", "works", "--", "/app", "fail"); r.code != 3 || r.stdout != "failing as asked\n" {
		t.Errorf("fail: exit code %d, %q", r.code, r.stdout)
	}
}

// What is attached to a container talks with it; the container ends when its standard input does.
func testRealAttach(t *testing.T, n *realNode) {
	n.runPod(t, "listens", "restartPolicy: Never\n  containers: [{name: main, image: APP, command: [/app, cat], stdin: true, stdinOnce: true}]")
	if out := n.kubectlFed(t, "hello\n", "attach", "-i", "listens"); !strings.Contains(out, "hello\n") {
		t.Errorf("kubectl attach: %q", out)
	}
	n.waitFor(t, "pod/listens", "jsonpath={.status.phase}=Succeeded")
	if out := n.kubectl(t, "logs", "listens"); out != "hello\n" {
		t.Errorf("kubectl logs: %q", out)
	}
}

func testRealPortForward(t *testing.T, n *realNode) {
	n.runPod(t, "behind", "containers: [{name: main, image: APP}]")
	p := n.start(t, binary, "kubectl", "port-forward", "pod/behind", ":8080")
	p.await(p.stdout, "-> 8080\n")
	m := regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+) -> 8080`).FindStringSubmatch(p.stdout.String())
	if m == nil {
		t.Fatalf("no address:\n%s", p.stdout)
	}
	for range 2 { // each is a connection of its own
		if out := n.get(t, "http://"+m[1]+"/"); out != "behind\n" {
			t.Errorf("the answer is of %q", out)
		}
	}
	p.stop(syscall.SIGTERM)
}

func testRealCopy(t *testing.T, n *realNode) {
	n.runPod(t, "keeps", "containers: [{name: main, image: APP, command: [/app, sleep]}]")
	text := strings.Repeat("more than a buffer holds\n", 20_000)
	there, back := writeFile(t, n.path("copy", "there"), text), n.path("copy", "back")
	n.kubectl(t, "cp", there, "keeps:/tmp/there")
	n.kubectl(t, "cp", "keeps:/tmp/there", back)
	if data, err := os.ReadFile(back); err != nil || string(data) != text {
		t.Errorf("%d of %d bytes came back (%v)", len(data), len(text), err)
	}
	// A folder that exists is copied into.
	n.kubectl(t, "cp", n.path("copy"), "keeps:/tmp")
	if out := n.kubectl(t, "exec", "keeps", "--", "/app", "cat", "/tmp/copy/there"); out != text {
		t.Errorf("%d of %d bytes are in the folder", len(out), len(text))
	}
}

// All kinds of volumes that the API server has the contents of are what it says.
func testRealVolumes(t *testing.T, n *realNode) {
	n.kubectl(t, "create", "configmap", "settings", "--from-literal=color=green")
	n.kubectl(t, "create", "secret", "generic", "hidden", "--from-literal=password=sesame")
	n.runPod(t, "reads", `containers:
  - {name: main, image: APP, resources: {limits: {memory: 64Mi}}, volumeMounts: [
      {name: settings, mountPath: /v/settings}, {name: hidden, mountPath: /v/hidden}, {name: token, mountPath: /v/token}, {name: self, mountPath: /v/self}]}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden}}
  - {name: token, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}
  - name: self
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: memory, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Mi}}`)
	for path, want := range map[string]string{
		"/v/settings/color":  "green",
		"/v/hidden/password": "sesame",
		"/v/self/labels":     `app="reads"`,
		"/v/self/memory":     "64",
	} {
		if got := n.file(t, "reads", path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if audience, subject := tokenClaims(t, n.file(t, "reads", "/v/token/token")); audience != "vault" || subject != "system:serviceaccount:default:default" {
		t.Errorf("the token is one of %s for %s", subject, audience)
	}
	if audience, subject := tokenClaims(t, n.file(t, "reads", "/var/run/secrets/kubernetes.io/serviceaccount/token")); audience == "vault" || subject != "system:serviceaccount:default:default" {
		t.Errorf("the token that every pod has is one of %s for %s", subject, audience)
	}
}

// tokenClaims says for whom a service account's token is, and whose it is.
func tokenClaims(t *testing.T, token string) (audience, subject string) {
	t.Helper()
	var claims struct {
		Audience []string `json:"aud"`
		Subject  string   `json:"sub"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(claims.Audience, ","), claims.Subject
}

func testRealEnvironment(t *testing.T, n *realNode) {
	n.kubectl(t, "create", "configmap", "env", "--from-literal=COLOR=blue", "--from-literal=size=large")
	n.runPod(t, "surrounded", `containers:
  - {name: main, image: APP, command: [/app, sleep], envFrom: [{configMapRef: {name: env}}], env: [
      {name: SIZE, valueFrom: {configMapKeyRef: {name: env, key: size}}}, {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
      {name: NODE, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}`)
	if out := n.kubectl(t, "exec", "surrounded", "--", "/app", "env", "COLOR", "SIZE", "POD", "NODE"); out != "blue\nlarge\nsurrounded\n"+n.host.IP+"\n" {
		t.Errorf("environment: %q", out)
	}
}

// breakPod makes a web server answer that it is not healthy.
func (n *realNode) breakPod(t *testing.T, name string) {
	t.Helper()
	if code, body, err := n.request(http.MethodPost, n.podURL(t, name)+"/break", ""); err != nil || code != http.StatusOK {
		t.Fatalf("POST /break: %d %s (%v)", code, body, err)
	}
}

// A container that is not healthy any more is started again, and is healthy then.
func testRealLiveness(t *testing.T, n *realNode) {
	n.runPod(t, "alive", `containers:
  - {name: main, image: APP, livenessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1}}`)
	n.breakPod(t, "alive")
	n.waitFor(t, "pod/alive", "jsonpath={.status.containerStatuses[0].restartCount}=1")
	n.get(t, n.podURL(t, "alive")+"/healthz")
}

// A pod that is not ready any more runs on, but its Service does not lead to it.
func testRealReadiness(t *testing.T, n *realNode) {
	ip := n.runWeb(t, "willing", 1)
	n.get(t, "http://"+ip+"/")
	pod := n.kubectl(t, "get", "pods", "-l", "app=willing", "-o", "jsonpath={.items[*].metadata.name}")
	n.breakPod(t, pod)
	poll(t, "the endpoint's end", func(context.Context) (bool, error) {
		return n.kubectl(t, "get", "endpointslices", "-l", "kubernetes.io/service-name=willing",
			"-o", "jsonpath={.items[*].endpoints[*].conditions.ready}") == "false", nil
	})
	poll(t, "the Service's end", func(context.Context) (bool, error) {
		_, _, err := n.attempt("http://" + ip + "/")
		return err != nil, nil
	})
	if count := n.value(t, "pod/"+pod, "{.status.containerStatuses[0].restartCount}"); count != "0" {
		t.Errorf("the container was started again %s times", count)
	}
}

func testRealJob(t *testing.T, n *realNode) {
	n.applyReal(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: APP, command: [/app, echo, "42"]}]
`)
	n.waitFor(t, "job/sum", "condition=complete")
	if out := n.kubectl(t, "logs", "-l", "job-name=sum"); out != "42\n42\n" {
		t.Errorf("logs: %q", out)
	}
	n.kubectl(t, "delete", "job", "sum", patient)
}

// What an init container leaves in a volume is there for the container that follows.
func testRealInit(t *testing.T, n *realNode) {
	n.runPod(t, "prepared", `initContainers: [{name: first, image: APP, command: [/app, write, /shared/made, "first"], volumeMounts: [{name: shared, mountPath: /shared}]}]
  containers: [{name: main, image: APP, volumeMounts: [{name: shared, mountPath: /shared}]}]
  volumes: [{name: shared, emptyDir: {}}]`)
	if out := n.file(t, "prepared", "/shared/made"); out != "first" {
		t.Errorf("in the volume: %q", out)
	}
	if reason := n.value(t, "pod/prepared", "{.status.initContainerStatuses[0].state.terminated.reason}"); reason != "Completed" {
		t.Errorf("the init container: %q, want Completed", reason)
	}
}

// containersOf are the containers that containerd has of a pod, with the one that keeps its namespaces.
func (n *realNode) containersOf(t *testing.T, pod string) []string {
	t.Helper()
	return strings.Fields(n.ctr(t, "containers", "ls", "-q", `labels."io.kubernetes.pod.name"==`+pod))
}

// The pod's own containers are gone with it. The one that keeps its namespaces has ended by then; upstream's kubelet
// removes it when it next looks for such ones, which it does once in a minute from its start on
// (pkg/kubelet.ContainerGCPeriod).
func testRealDeletedPod(t *testing.T, n *realNode) {
	n.runPod(t, "leaves", "containers: [{name: main, image: APP}]")
	if ids := n.containersOf(t, "leaves"); len(ids) != 2 {
		t.Errorf("containers: %v, want two", ids)
	}
	n.kubectl(t, "delete", "pod", "leaves", patient)
	poll(t, "the end of the pod's containers", func(context.Context) (bool, error) { return len(n.containersOf(t, "leaves")) == 0, nil })
}

// A manifest in the kubelet's folder is a pod, which the API server mirrors, and its removal the pod's end.
func testRealStaticPod(t *testing.T, n *realNode) {
	manifest := writeFile(t, n.path("static", "still.yaml"), realManifest(realPod("still", "containers: [{name: main, image: APP}]")))
	pod := "still-" + n.nodeName(t)
	n.kubectl(t, "wait", "--for=create", "pod/"+pod, patient)
	n.waitFor(t, "pod/"+pod, "condition=Ready")
	if mirror := n.value(t, "pod/"+pod, `{.metadata.annotations.kubernetes\.io/config\.mirror}`); mirror == "" {
		t.Error("it is no mirror pod")
	}
	if out := n.get(t, n.podURL(t, pod)+"/"); out != pod+"\n" {
		t.Errorf("the answer is of %q", out)
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	n.kubectl(t, "wait", "--for=delete", "pod/"+pod, patient)
}

// The kubelet answers only to those whom the API server knows, and who may.
func testRealKubelet(t *testing.T, n *realNode) {
	token := strings.TrimSpace(n.kubectl(t, "create", "token", "default"))
	for _, test := range []struct {
		who, token string
		want       int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"somebody with a wrong token", "wrong", http.StatusUnauthorized},
		{"a service account without rights", token, http.StatusForbidden},
	} {
		for _, path := range []string{"/pods", "/metrics", "/logs/", "/exec/default/none/main?command=ls"} {
			if code, body, err := n.request(http.MethodGet, "https://"+net.JoinHostPort(n.host.IP, "10250")+path, test.token); err != nil || code != test.want {
				t.Errorf("GET %s by %s: %d %s (%v), want %d", path, test.who, code, body, err, test.want)
			}
		}
	}
	// The port that needs no login is off.
	if code, _, err := n.request(http.MethodGet, "http://"+net.JoinHostPort(n.host.IP, "10255")+"/pods", ""); err == nil {
		t.Errorf("the read-only port answers with %d", code)
	}
}

// A claim without a class gets a volume, whose contents outlive a pod.
func testRealPersistentVolume(t *testing.T, n *realNode) {
	n.applyReal(t, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`)
	const spec = `containers: [{name: main, image: APP, volumeMounts: [{name: kept, mountPath: /kept}]}]
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]`
	n.runPod(t, "writes-kept", spec)
	n.kubectl(t, "exec", "writes-kept", "--", "/app", "write", "/kept/file", "kept")
	n.kubectl(t, "delete", "pod", "writes-kept", patient)
	n.runPod(t, "reads-kept", spec)
	if out := n.file(t, "reads-kept", "/kept/file"); out != "kept" {
		t.Errorf("in the volume: %q", out)
	}
	n.kubectl(t, "delete", "pod", "reads-kept", patient)
	n.kubectl(t, "delete", "pvc", "kept", patient)
	poll(t, "the volume's end", func(context.Context) (bool, error) { return n.kubectl(t, "get", "pv", "-o", "name") == "", nil })
}

// Without containerd the node is not ready, and everything else goes on: the control plane, the containers, the
// Services. With it, all is as before.
func TestRealRuntimeDies(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	runtime := n.runContainerd(t)
	// How often the kubelet tells of the node is a user's choice.
	p := n.runKM(t, "--executor.node-status-update-frequency=1s")
	ip := n.runWeb(t, "lasting", 1)
	n.get(t, "http://"+ip+"/")
	node := n.nodeName(t)
	if err := runtime.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of containerd", runtime.done)
	// Upstream's kubelet says so when it has had no answer for 30 seconds (pkg/kubelet.maxWaitForContainerRuntime).
	n.waitFor(t, "node/"+node, "condition=Ready=false")
	n.get(t, "http://"+ip+"/")
	n.kubectl(t, "create", "configmap", "while-not-ready")

	n.runContainerd(t)
	n.waitFor(t, "node/"+node, "condition=Ready")
	n.get(t, "http://"+ip+"/")
	n.runPod(t, "new", "containers: [{name: main, image: APP}]")
	n.get(t, n.podURL(t, "new")+"/")
	t.Run("deleted node", func(t *testing.T) { testRealDeletedNode(t, n, p) })
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// The deletion of its Node ends no server. The proxy follows what happens after it.
func testRealDeletedNode(t *testing.T, n *realNode, p *process) {
	node := n.nodeName(t)
	n.kubectl(t, "delete", "node", node, patient)
	api := strings.Fields(n.value(t, "endpointslice/kubernetes", "{.endpoints[0].addresses[0]} {.ports[0].port}"))
	if len(api) != 2 {
		t.Fatalf("the apiserver's endpoint is %v", api)
	}
	n.applyReal(t, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: after}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: after, labels: {kubernetes.io/service-name: after}}
addressType: IPv4
endpoints: [{addresses: [%q]}]
ports: [{port: %s}]
`, api[0], api[1]))
	n.get(t, "https://"+n.value(t, "service/after", "{.spec.clusterIP}")+"/healthz")
	select {
	case <-p.done:
		t.Errorf("km ended with exit code %d", p.code)
	default:
		n.kubectl(t, "get", "nodes")
	}
}
