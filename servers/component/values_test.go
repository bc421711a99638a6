package component_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/apiserver"
	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/controllermanager"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/executor"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/servers/proxy"
	"github.com/seed-200a7251/km/servers/scheduler"
	"github.com/seed-200a7251/km/supervisor"
)

// listed are flags whose values are listed, by server: some of the values, and how many there are at least. Most are
// found in upstream's usages, which may have other words in the next version.
var listed = map[string]struct {
	some  []string
	least int
}{
	"apiserver.feature-gates":                   {[]string{"AllAlpha=true", "AllAlpha=false", "AllBeta=true", "APIServerIdentity=false"}, 200},
	"controller-manager.feature-gates":          {[]string{"AllAlpha=true"}, 200},
	"scheduler.feature-gates":                   {[]string{"AllAlpha=true"}, 200},
	"executor.feature-gates":                    {[]string{"AllAlpha=true"}, 200},
	"proxy.feature-gates":                       {[]string{"AllAlpha=true"}, 200},
	"etcd.feature-gates":                        {[]string{"AllAlpha=true", "InitialCorruptCheck=false"}, 10},
	"apiserver.enable-admission-plugins":        {[]string{"AlwaysAdmit", "NodeRestriction", "ValidatingAdmissionWebhook"}, 30},
	"apiserver.disable-admission-plugins":       {[]string{"AlwaysAdmit", "NodeRestriction", "ValidatingAdmissionWebhook"}, 30},
	"apiserver.authorization-mode":              {[]string{"Node", "RBAC", "Webhook", "AlwaysAllow"}, 6},
	"apiserver.audit-log-mode":                  {[]string{"batch", "blocking", "blocking-strict"}, 3},
	"apiserver.audit-webhook-mode":              {[]string{"batch", "blocking", "blocking-strict"}, 3},
	"apiserver.endpoint-reconciler-type":        {[]string{"lease", "none"}, 2},
	"apiserver.kubelet-preferred-address-types": {[]string{"InternalIP", "Hostname"}, 5},
	"apiserver.storage-media-type":              {[]string{"application/json", "application/vnd.kubernetes.protobuf"}, 3},
	"apiserver.tls-min-version":                 {[]string{"VersionTLS12", "VersionTLS13"}, 2},
	"apiserver.tls-cipher-suites":               {[]string{"TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_RC4_128_SHA"}, 20},
	"controller-manager.controllers":            {[]string{"job-controller", "-job-controller", "token-cleaner-controller"}, 60},
	"controller-manager.tls-min-version":        {[]string{"VersionTLS12", "VersionTLS13"}, 2},
	"scheduler.tls-min-version":                 {[]string{"VersionTLS12", "VersionTLS13"}, 2},
	"executor.runtime":                          {[]string{"simulated", "cri"}, 2},
	"executor.authorization-mode":               {[]string{"AlwaysAllow", "Webhook"}, 2},
	"executor.cgroup-driver":                    {[]string{"cgroupfs", "systemd"}, 2},
	"executor.cpu-manager-policy":               {[]string{"none", "static"}, 2},
	"executor.enforce-node-allocatable":         {[]string{"none", "pods", "kube-reserved", "kube-reserved-compressible"}, 6},
	"executor.hairpin-mode":                     {[]string{"promiscuous-bridge", "hairpin-veth", "none"}, 3},
	"executor.memory-manager-policy":            {[]string{"None", "Static"}, 2},
	"executor.topology-manager-policy":          {[]string{"none", "best-effort", "restricted", "single-numa-node"}, 4},
	"executor.topology-manager-scope":           {[]string{"container", "pod"}, 2},
	"proxy.proxy-mode":                          {[]string{"nftables", "iptables", "simulated"}, 4},
	"proxy.detect-local-mode":                   {[]string{"ClusterCIDR", "NodeCIDR"}, 4},
	"etcd.initial-cluster-state":                {[]string{"new", "existing"}, 2},
	"etcd.auto-compaction-mode":                 {[]string{"periodic", "revision"}, 2},
	"etcd.tls-min-version":                      {[]string{"TLS1.2", "TLS1.3"}, 2},
	"etcd.backend-bbolt-freelist-type":          {[]string{"array", "map"}, 2},
}

// servers are those whose flags are looked at, by name.
func servers() map[string]*supervisor.Server {
	process.BeforeFlags()
	c := cluster.New()
	all := map[string]*supervisor.Server{}
	for _, s := range []*supervisor.Server{etcd.New(c), apiserver.New(c, nil), controllermanager.New(c), scheduler.New(c), executor.New(c), proxy.New(c)} {
		all[s.Name()] = s
	}
	return all
}

// words are values without their descriptions.
func words(values []string) (found []string) {
	for _, v := range values {
		word, _, _ := strings.Cut(v, "\t")
		found = append(found, word)
	}
	return found
}

func TestFlagValues(t *testing.T) {
	all := servers()
	for name, want := range listed {
		server, flag, _ := strings.Cut(name, ".")
		s := all[server]
		if s.Flags().Lookup(flag) == nil {
			t.Errorf("there is no --%s any more: remove it from the list, and from the server's values.", name)
			continue
		}
		got := words(s.FlagValues(s, flag))
		for _, value := range want.some {
			if !slices.Contains(got, value) {
				t.Errorf("--%s: %s is not among the values %q: see whether its usage has other words now, and servers/component/values.go. It is\n%s",
					name, value, got, s.Flags().Lookup(flag).Usage)
			}
		}
		if len(got) < want.least {
			t.Errorf("--%s has %d values, want %d or more: see whether its usage has other words now, and servers/component/values.go", name, len(got), want.least)
		}
	}
}

// What is offered has to be taken: words of a usage that are no values would not be.
func TestFlagsTakeTheirValues(t *testing.T) {
	for name, s := range servers() {
		for _, flag := range []string{"feature-gates", "controllers", "enable-admission-plugins", "tls-min-version", "initial-cluster-state", "proxy-mode"} {
			f := s.Flags().Lookup(flag)
			if f == nil {
				continue
			}
			for _, value := range words(s.FlagValues(s, flag)) {
				if strings.ContainsAny(value, " \n,") {
					t.Errorf("--%s.%s: the value %q is not one word", name, flag, value)
				}
				if flag == "feature-gates" {
					continue // they are the process's, and all on would be no process for tests
				}
				if err := f.Value.Set(value); err != nil {
					t.Errorf("--%s.%s does not take its value %q: %v", name, flag, value, err)
				}
			}
		}
	}
}

// Flags whose values nobody can list, or that are refused beside others, have none.
func TestFlagsWithoutValues(t *testing.T) {
	for name, s := range servers() {
		for _, flag := range []string{"v", "vmodule", "logging-format", "kubeconfig", "tls-cert-file", "bind-address", "etcd-servers", "node-labels", "no-such-flag", "data-dir", "name"} {
			if got := s.FlagValues(s, flag); len(got) > 0 {
				t.Errorf("--%s.%s has the values %q, want none: see servers/component/values.go", name, flag, got)
			}
		}
	}
}

func TestDescriptionsOfValues(t *testing.T) {
	all := servers()
	for _, test := range []struct{ server, flag, want string }{
		{"scheduler", "feature-gates", "AllAlpha=true\tALPHA - default=false"},
		{"controller-manager", "controllers", "job-controller\ton by default"},
		{"controller-manager", "controllers", "token-cleaner-controller\toff by default"},
		{"controller-manager", "controllers", "-job-controller\twithout job-controller"},
		{"apiserver", "tls-cipher-suites", "TLS_RSA_WITH_RC4_128_SHA\tinsecure"},
	} {
		if s := all[test.server]; !slices.Contains(s.FlagValues(s, test.flag), test.want) {
			t.Errorf("--%s.%s: there is no value %q", test.server, test.flag, test.want)
		}
	}
}
