package suites

import "testing"

// modules are those whose suites run: all of controller-runtime's that start an envtest, and three of Cluster API's.
var modules = []*module{
	{
		name: "controller-runtime", path: "sigs.k8s.io/controller-runtime", version: "v0.25.2",
		packages: []string{
			"pkg/builder", "pkg/cache", "pkg/client", "pkg/client/apiutil", "pkg/cluster", "pkg/controller",
			"pkg/controller/controllerutil", "pkg/envtest", "pkg/handler", "pkg/internal/controller",
			"pkg/internal/recorder", "pkg/internal/testing/controlplane", "pkg/manager",
			"pkg/manager/internal/integration", "pkg/metrics/filters", "pkg/reconcile", "pkg/source", "pkg/webhook",
		},
		// The envtest that these need is another one: it downloads binaries of v1.28.
		skip:   map[string]string{"pkg/client/apiutil": "/aggregatedDiscovery=false"},
		leaves: []string{"pkg/internal/controller", "pkg/internal/testing/controlplane"},
	},
	{
		name: "cluster-api", path: "sigs.k8s.io/cluster-api", version: "v1.14.2",
		replaced: map[string]string{"api": "sigs.k8s.io/cluster-api/api@v1.14.2"},
		// Its suites find their CRDs beside their source.
		paths:    true,
		packages: []string{"controllers/clustercache", "core/reconcilers/machine", "core/reconcilers/machineset"},
	},
}

// commands are Kubernetes' own tests of kubectl, in shell: against a kube-apiserver and a kube-controller-manager,
// which they start. Of the module they have the version that km is made of.
var commands = &module{name: "kubernetes", path: "k8s.io/kubernetes"}

// Each suite passes on plain links. With controllers beside the kube-apiserver, what differs is what is listed.
func TestSuites(t *testing.T) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			for _, p := range m.packages {
				t.Run(p, func(t *testing.T) { testSuite(t, m, p) })
			}
		})
	}
	t.Run(kubebuilder.name, testKubebuilder)
	t.Run(commands.name, testCommands)
}

func testSuite(t *testing.T, m *module, folder string) {
	s := m.build(t, folder)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { testRun(t, m, s, k) })
	}
}

func testRun(t *testing.T, m *module, s *suite, k *kind) {
	o := s.run(t, k)
	j := judge(o, listed(s.name, k))
	for _, problem := range j.problems {
		t.Error(problem)
	}
	r := result{
		Module: m.path + "@" + m.version, Suite: s.name, With: k.with,
		Specs: len(o.specs), Passed: o.count("passed"), Skipped: o.count("skipped"), Differ: len(j.differ),
		seconds: o.seconds,
	}
	if err := r.fewer(); err != nil {
		t.Error(err)
	}
	if r.failed = t.Failed(); r.failed {
		t.Logf("what it has printed is kept in %s", keep(t, s.output))
	}
	finished.add(r)
}
