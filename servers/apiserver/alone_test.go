package apiserver

import (
	"slices"
	"testing"
	"time"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	"k8s.io/component-base/version/verflag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/seed-200a7251/km/servers/component"
)

// upstreamFlags are the flags of upstream's command, which cannot be made beside others in a process.
func upstreamFlags() *pflag.FlagSet {
	sets := options.NewServerRunOptions().Flags()
	verflag.AddFlags(sets.FlagSet("global"))
	globalflag.AddGlobalFlags(sets.FlagSet("global"), upstream, logs.SkipLoggingConfigurationFlags())
	all := component.Join(sets)
	all.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	return all
}

// The options are what the arguments say, given as upstream's command takes them; those for a stop are km's unless the
// user gives them.
func TestOptionsOf(t *testing.T) {
	flags := upstreamFlags()
	args := []string{"--etcd-servers", "http://a:1,http://b:2", "--etcd_prefix=/here", "--allow-privileged", "--v=3", "--secure-port=0",
		"--enable-admission-plugins=NodeRestriction", "--enable-admission-plugins=AlwaysPullImages", "--runtime-config=api/beta=true",
		"--service-account-issuer=https://one", "--service-account-issuer", "https://two", "--feature-gates=AllAlpha=false"}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	o, err := optionsOf(flags, args)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Etcd.StorageConfig.Transport.ServerList; !slices.Equal(got, []string{"http://a:1", "http://b:2"}) {
		t.Errorf("etcd is at %q", got)
	}
	if o.Etcd.StorageConfig.Prefix != "/here" || !o.AllowPrivileged || o.SecureServing.BindPort != 0 || o.Logs.Verbosity != 3 {
		t.Errorf("prefix %q, privileged %v, port %d, v %d", o.Etcd.StorageConfig.Prefix, o.AllowPrivileged, o.SecureServing.BindPort, o.Logs.Verbosity)
	}
	if got := o.Admission.GenericAdmission.EnablePlugins; !slices.Equal(got, []string{"NodeRestriction", "AlwaysPullImages"}) {
		t.Errorf("plugins %q", got)
	}
	if got := o.Authentication.ServiceAccounts.Issuers; !slices.Equal(got, []string{"https://one", "https://two"}) {
		t.Errorf("issuers %q", got)
	}
	if got := o.APIEnablement.RuntimeConfig["api/beta"]; got != "true" {
		t.Errorf("api/beta=%q", got)
	}
	if s := o.GenericServerRunOptions; !s.ShutdownSendRetryAfter || s.ShutdownWatchTerminationGracePeriod != time.Second {
		t.Errorf("at a stop: Retry-After %v, watches %v", s.ShutdownSendRetryAfter, s.ShutdownWatchTerminationGracePeriod)
	}

	flags = upstreamFlags()
	args = []string{"--shutdown-send-retry-after=false", "--shutdown-watch-termination-grace-period=0s"}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if o, err = optionsOf(flags, args); err != nil {
		t.Fatal(err)
	}
	if s := o.GenericServerRunOptions; s.ShutdownSendRetryAfter || s.ShutdownWatchTerminationGracePeriod != 0 {
		t.Errorf("at a stop, given: Retry-After %v, watches %v", s.ShutdownSendRetryAfter, s.ShutdownWatchTerminationGracePeriod)
	}
}
