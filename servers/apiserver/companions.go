package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	kubeoptions "k8s.io/kubernetes/pkg/kubeapiserver/options"
	netutils "k8s.io/utils/net"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// CompanionsVariable has a kube-apiserver that somebody calls, such as envtest, run other servers beside itself: their
// names, apart by commas, and then flags of theirs, apart by spaces.
const CompanionsVariable = "KM_WITH"

// companionsFile is the file in the folder of links that says the same, where the variable is not set.
const companionsFile = upstream + ".with"

// AddCompanionsFlag gives km the flag of --make-symlinks that writes that file.
func AddCompanionsFlag(km *supervisor.HyperKube) {
	with := km.Flags().StringSlice("with", nil, "with --make-symlinks: servers that the "+upstream+
		" of the links runs beside itself, such as controller-manager,scheduler")
	_ = km.Flags().SetAnnotation("with", supervisor.AnnotationLinks, nil) // it is there
	km.Linked = func(dir string) error {
		file := filepath.Join(dir, companionsFile)
		if len(*with) == 0 {
			if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		for _, name := range *with {
			if _, err := km.FindServer(name); err != nil {
				return fmt.Errorf("--with: %w", err)
			}
		}
		if err := os.WriteFile(file, []byte(strings.Join(*with, ",")+"\n"), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(km.Out(), file)
		return nil
	}
}

// calledWith says which servers to run beside the one that the process was called as, by arg0: the variable, if it is
// set, or the file beside the link, if it was a link.
func (a *apiserver) calledWith(arg0 string) ([]string, error) {
	if with, ok := os.LookupEnv(CompanionsVariable); ok {
		return strings.Fields(with), nil
	}
	link, err := exec.LookPath(arg0)
	if err != nil || strings.TrimSuffix(filepath.Base(link), ".exe") == a.km.Name {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(link), companionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return strings.Fields(string(text)), err
}

// companions is what an apiserver has that was called with others to run beside it.
type companions struct {
	clientCA string        // a file with authorities of the caller's, by which its clients are known; or none
	names    string        // of the servers
	ready    chan struct{} // closed when they are
}

// main is the server's Main: it is upstream's command or, with companions, a run of km's.
func (a *apiserver) main(ctx context.Context, s *supervisor.Server, args []string) error {
	if !component.Plain() {
		component.EndWithTest()
	}
	with, err := a.calledWith(os.Args[0])
	if err == nil && (len(with) == 0 || component.Plain() || asksAboutItself(args)) {
		return component.Main(upstream, func() *cobra.Command { return command(args) })(ctx, s, args)
	}
	var given []string
	if err == nil {
		given, err = a.accompany(s.Flags(), with, args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return &supervisor.ExitError{Code: 1}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the process
	a.km.SetOut(os.Stderr)       // where upstream's lines are
	running, err := a.km.Start(ctx, given...)
	if err != nil {
		if ctx.Err() != nil {
			return nil // somebody does not want it any more
		}
		return &supervisor.ExitError{Code: 1} // why has been printed
	}
	close(a.companions.ready)
	select {
	case <-ctx.Done():
	case <-running.Done():
	}
	if err := running.Stop(); err != nil {
		return &supervisor.ExitError{Code: 1}
	}
	return nil
}

// asksAboutItself reports whether the arguments ask for something that ends at once.
func asksAboutItself(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(arg, "=")
		return slices.Contains([]string{"--help", "-h", "--version"}, name)
	})
}

// accompany returns the arguments of a run with the companions that does what upstream's command would do with args.
func (a *apiserver) accompany(flags *pflag.FlagSet, with, args []string) (given []string, err error) {
	a.companions = &companions{names: with[0], ready: make(chan struct{})}
	give := func(server, flag, value string) { given = append(given, "--"+server+"."+flag+"="+value) }
	values := map[string]string{}
	all := pflag.NewFlagSet(upstream, pflag.ContinueOnError)
	all.AddFlagSet(flags)
	err = all.ParseAll(args, func(f *pflag.Flag, value string) error {
		values[f.Name] = value
		switch {
		case f.Name == "client-ca-file":
			a.companions.clientCA = value // beside the one of the run
		case f.Name == "cert-dir":
		case slices.Contains(component.LogFlags, f.Name):
			fmt.Fprintf(os.Stderr, "km: --%s has no effect with %s: all servers share one log\n", f.Name, CompanionsVariable)
		default:
			give(names.APIServer, f.Name, value)
		}
		return nil
	})
	if err == nil && all.NArg() > 0 {
		err = fmt.Errorf("%q does not take any arguments, got %q", upstream, all.Args())
	}
	if err != nil {
		return nil, err
	}
	absent := func(flags ...string) bool {
		return !slices.ContainsFunc(flags, func(flag string) bool { _, ok := values[flag]; return ok })
	}
	// What km run has its own defaults for, and a caller relies on.
	if absent("authorization-mode", "authorization-config") {
		give(names.APIServer, "authorization-mode", "AlwaysAllow")
	}
	if absent(anonymousFlags...) {
		give(names.APIServer, "anonymous-auth", "true")
	}
	cert := values["tls-cert-file"]
	if cert == "" && values["cert-dir"] != "" {
		pair, err := certificateIn(values)
		if err != nil {
			return nil, fmt.Errorf("--cert-dir: %w", err)
		}
		cert = pair.CertFile
		give(names.APIServer, "tls-cert-file", pair.CertFile)
		give(names.APIServer, "tls-private-key-file", pair.KeyFile)
	}
	isManager := func(name string) bool { return strings.TrimPrefix(name, "kube-") == names.ControllerManager }
	if slices.ContainsFunc(strings.Split(with[0], ","), isManager) {
		if cert != "" {
			give(names.ControllerManager, "root-ca-file", cert)
		}
		if key := values["service-account-signing-key-file"]; key != "" {
			give(names.ControllerManager, "service-account-private-key-file", key)
		}
	}
	return slices.Concat([]string{names.APIServer + "," + with[0], "--ephemeral", "--free-ports", "--verbose"}, given, with[1:]), nil
}

// certificateIn is the certificate in --cert-dir. As upstream's command the server makes one where there is none: a
// caller may want to know the server by it.
func certificateIn(values map[string]string) (*genericoptions.CertKey, error) {
	o := options.NewServerRunOptions().SecureServing
	o.ServerCert.CertDirectory = values["cert-dir"]
	if ip := net.ParseIP(values["bind-address"]); ip != nil {
		o.BindAddress = ip
	}
	primary, _, _ := strings.Cut(cmp.Or(values["service-cluster-ip-range"], serviceRange), ",")
	_, services, err := net.ParseCIDR(primary)
	if err != nil {
		return nil, err
	}
	first, err := netutils.GetIndexedIP(services, 1) // that of the Service "kubernetes"
	if err != nil {
		return nil, err
	}
	// km's other servers ask at loopback.
	dns := []string{"kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"}
	err = o.MaybeDefaultWithSelfSignedCerts(cmp.Or(values["advertise-address"], "127.0.0.1"), dns, []net.IP{first, net.IPv4(127, 0, 0, 1)})
	return &o.ServerCert.CertKey, err
}

// trust has the server know clients by the caller's authorities, too.
func (c *companions) trust(o *kubeoptions.BuiltInAuthenticationOptions, p *supervisor.Plan) error {
	clients := o.ClientCert
	if c.clientCA == "" || clients == nil {
		return nil
	}
	theirs, err := os.ReadFile(c.clientCA)
	if err != nil {
		return fmt.Errorf("--client-ca-file: %w", err)
	}
	ours, err := os.ReadFile(clients.ClientCA)
	if err != nil {
		return err
	}
	clients.ClientCA = p.Path(clientCAs)
	return cluster.Write(clients.ClientCA, slices.Concat(ours, []byte("\n"), theirs))
}

// clientCAs is the file in the data folder with all authorities.
const clientCAs = "client-cas.crt"

// wrap has whoever asks whether the server is ready, or healthy, wait for the companions. They ask, too, before they
// begin, and show certificates.
func (c *companions) wrap(build handlerChain, token string) handlerChain {
	return func(api http.Handler, config *genericapiserver.Config) http.Handler {
		next := build(api, config)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shows := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
			if isClosed(c.ready) || shows || isOwn(r, token) || !isUnder(r.URL.Path, "/healthz", "/readyz") {
				next.ServeHTTP(w, r)
				return
			}
			http.Error(w, fmt.Sprintf("[-]%s failed: %s are not ready", CompanionsVariable, c.names), http.StatusInternalServerError)
		})
	}
}
