// Package manifests applies manifests to the cluster before it counts as ready.
package manifests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"golang.org/x/term"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/manifests/objects"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// applyFlag names what is applied.
const applyFlag = "apply"

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	m := &manifests{cluster: c, applied: supervisor.NewHandoff[string](), kept: objects.Kept{}}
	// What is selected starts first, but does not join because of this one.
	never := func(*supervisor.Server) bool { return false }
	return &supervisor.Server{
		SimpleUsage: names.Manifests,
		Long: "Applies manifests, as `kubectl apply --server-side` does: it joins where --apply names some, and is ready when all are " +
			"applied, CustomResourceDefinitions first. --apply names a file; a folder, of which the files *.yaml, *.yml and *.json are read, or " +
			"which is built if it has a kustomization; or standard input, as `-`. What the API refuses when km starts ends the run. Nothing is deleted that is not in them " +
			"any more, and what they start is not waited for. `km restart manifests` reads and applies them again, and says what is wrong then.",
		AddFlags:     addFlags,
		ProcessFlags: []string{applyFlag},
		JoinsWith:    []string{applyFlag},
		Packages:     []string{"sigs.k8s.io/kustomize"},
		Needs: []supervisor.Need{
			{Server: names.APIServer, Unless: []string{"kubeconfig"}},
			// without the service account that it makes no pod can be created
			{Server: names.ControllerManager, When: never},
			{Server: names.Executor, When: never}, // it makes kwok's Stages, and the nodes
			{Server: names.Storage, When: never},  // it makes the default StorageClass, for claims that name none
		},
		Defaults: defaults,
		Check:    m.check,
		Prepare:  m.prepare,
		Run:      m.run,
		Ready:    m.ready,
		Address:  m.address,
		Restart:  supervisor.RestartNever, // what is refused once is refused again
		// The others have what was applied at the beginning.
		FailsAlone: true,
	}
}

// manifests applies them.
type manifests struct {
	cluster *cluster.Cluster
	applied supervisor.Handoff[string]

	reading sync.Mutex       // guards these three
	again   bool             // Check has read all once: another pipe is not waited for
	kept    objects.Kept     // what can be read once
	checked []objects.Object // what Check has read: the next start applies that, and nothing that has not been checked

	mu       sync.Mutex
	location string // for the table
}

func addFlags(s *supervisor.Server) {
	fs := pflag.NewFlagSet(names.Manifests, pflag.ContinueOnError)
	fs.StringArray(applyFlag, nil, "apply the manifests of a `path`, or of -; repeatable")
	fs.String("kubeconfig", "", "kubeconfig of a cluster elsewhere")
	s.AddFlagGroup(names.Manifests, fs)
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if !p.Selected(names.APIServer) {
		return nil
	}
	// Manifests may hold whatever an admin may make, such as roles.
	return s.Default("kubeconfig", cluster.KubeconfigPath(p, cluster.Admin))
}

// paths are the values of --apply. kubeconfigFlag is what the flag is called that names the cluster.
func paths(s *supervisor.Server, kubeconfigFlag string) ([]string, error) {
	paths, err := s.Flags().GetStringArray(applyFlag)
	switch {
	case err != nil:
		return nil, err
	case len(paths) == 0:
		return nil, errors.New("there is nothing to apply: name a file or folder with --apply")
	case s.Value("kubeconfig") == "":
		return nil, fmt.Errorf("there is no cluster to apply to: name one with --%s", kubeconfigFlag)
	}
	for _, path := range paths {
		if objects.IsURL(path) {
			return nil, fmt.Errorf("--apply=%s: nothing is read from the web: call `curl -fsSL %s | %s`", path, supervisor.ShellQuote(path),
				s.Command("run", "--apply", "-"))
		}
	}
	return paths, nil
}

// check reads all that is to be applied, also before a restart: what is wrong then is refused, and what has been
// applied stays. It is no wrong usage: the exit code is 1.
func (m *manifests) check(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	paths, err := paths(s, names.Manifests+".kubeconfig")
	if err != nil {
		return fmt.Errorf("%s: %w", names.Manifests, err)
	}
	if err := cluster.CheckKubeconfig(s); err != nil {
		return err
	}
	m.reading.Lock()
	defer m.reading.Unlock()
	switch pipe := slices.IndexFunc(paths, objects.IsPipe); {
	case p.OnlyCheck: // standard input is not there, or something else
		paths = slices.DeleteFunc(paths, func(path string) bool { return path == objects.StandardInput })
	case pipe >= 0 && s.Isolated():
		what := "a pipe"
		if paths[pipe] == objects.StandardInput {
			what = "standard input"
		}
		return fmt.Errorf("--apply=%s: a process of its own cannot read %s: name a file, or leave --manifests.isolation out", paths[pipe], what)
	default:
		if err := m.readInput(paths); err != nil {
			return err
		}
	}
	if err := m.another(paths); err != nil {
		return err
	}
	m.again = true
	all, wrong := objects.Read(paths, m.kept)
	if len(wrong) == 0 {
		m.checked = all
		return nil
	}
	for i, err := range wrong {
		wrong[i] = &supervisor.ExitError{Code: 1, Err: err}
	}
	return errors.Join(wrong...)
}

// another returns an error if what was read before is a pipe now. Nobody may ever write into that, and it would be read
// for ever. The lock is held.
func (m *manifests) another(paths []string) error {
	for _, path := range paths {
		if _, ok := m.kept[path]; m.again && !ok && objects.IsPipe(path) {
			return fmt.Errorf("--apply=%s: it was none before, and is a pipe now, which is read only when km starts: make it a file again", path)
		}
	}
	return nil
}

// readInput reads standard input, if it is among the paths, and has not been read. The lock is held.
func (m *manifests) readInput(paths []string) error {
	const name = objects.StandardInput
	if _, ok := m.kept[name]; ok || !slices.Contains(paths, name) {
		return nil
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("--apply=-: standard input is a terminal: pipe manifests into it")
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("--apply=-: standard input cannot be read: %w", err)
	}
	m.kept[name] = input
	return nil
}

func (m *manifests) prepare(_ context.Context, p *supervisor.Plan, _ *supervisor.Server) error {
	if !p.Selected(names.APIServer) {
		return nil
	}
	return m.cluster.EnsureKubeconfig(p, cluster.Admin)
}

// take returns what to apply in this start.
func (m *manifests) take(s *supervisor.Server) (all []objects.Object, from []string, err error) {
	if from, err = paths(s, "kubeconfig"); err != nil {
		return nil, nil, err
	}
	m.reading.Lock()
	defer m.reading.Unlock()
	if all, m.checked = m.checked, nil; all != nil {
		return all, from, nil
	}
	if err := m.readInput(from); err != nil { // where the process is this one server, nothing is checked before
		return nil, nil, err
	}
	all, wrong := objects.Read(from, m.kept)
	return all, from, several("errors in the manifests", wrong)
}

func (m *manifests) run(ctx context.Context, s *supervisor.Server, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("it takes no arguments, but there is %q; name manifests with --apply", args[0])
	}
	all, from, err := m.take(s)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.Value("kubeconfig"))
	if err != nil {
		return err
	}
	a, err := newApplier(config, s.Logger())
	if err != nil {
		return err
	}
	refused := a.apply(ctx, all)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, err := range refused {
		if !webhookAway(err) {
			continue
		}
		if refusal := m.cluster.Refusal(ctx, err); refusal != nil { // it names what is to be removed
			refused[i] = refusal
		}
	}
	if len(refused) > 0 {
		return several(fmt.Sprintf("of %s were refused", count(len(all))), refused)
	}
	for i := range from {
		if from[i] == objects.StandardInput {
			from[i] = "standard input"
		}
	}
	text := count(len(all)) + " of " + strings.Join(from, ", ")
	s.Logger().Info("all manifests are applied", zap.Int("objects", len(all)), zap.Strings("from", from))
	defer m.applied.Put(text)()
	<-ctx.Done()
	return nil
}

// ready waits until all is applied.
func (m *manifests) ready(ctx context.Context, _ *supervisor.Server) error {
	text, err := m.applied.Get(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.location = text
	return err
}

func (m *manifests) address(*supervisor.Server) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.location
}

// several is one error for all of them: that one, or a line for each below how many there are.
func several(what string, errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	text := fmt.Sprintf("%d %s:", len(errs), what)
	for _, err := range errs {
		text += "\n  " + err.Error()
	}
	return errors.New(text)
}

func count(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}
