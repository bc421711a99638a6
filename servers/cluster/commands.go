package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/versions"
	"github.com/seed-200a7251/km/supervisor"
)

// Banner tells how to use the cluster that has become ready.
func Banner(p *supervisor.Plan) string {
	s := p.Server(names.APIServer)
	if s == nil && IsJoined(p) {
		run := append([]string{"run", names.Minion}, joinWords(p)...)
		return fmt.Sprintf("  This machine is a node of the cluster at %s.\n\n  Ctrl-C stops it. `%s` goes on where it was.",
			p.Server(names.Machine).Value(component.JoinFlag), p.Command(run...))
	}
	if s == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  Kubernetes %s at %s\n\n", versions.Kubernetes(), HTTPS(s))
	export, kubectl := shellLines(p)
	b.WriteString(export)
	fmt.Fprintf(&b, "  %s get namespaces        (without kubectl: %s)\n", kubectl, p.Command(names.Kubectl, "get", "namespaces"))
	fmt.Fprintf(&b, "  %s\n\n", p.Command("logs", "-f"))
	fmt.Fprintf(&b, "  Ctrl-C stops it.")
	if p.Ephemeral {
		fmt.Fprintf(&b, " All is removed then.")
	} else {
		run := append([]string{"run"}, joinWords(p)...)
		if component.Hardened(s) { // without it Secrets would be written as they are
			run = append(run, "--"+component.HardenedFlag)
		}
		fmt.Fprintf(&b, " `%s` goes on where it was.", p.Command(run...))
	}
	return b.String()
}

// joinWords are the flags with which this machine is one of several, as a later run needs them.
func joinWords(p *supervisor.Plan) (words []string) {
	m := p.Server(names.Machine)
	if m == nil {
		return nil
	}
	for _, flag := range []string{AdvertiseFlag, component.JoinFlag, RoleFlag} {
		if m.Given(flag) {
			words = append(words, "--"+flag+"="+m.Value(flag))
		}
	}
	return words
}

// KubeconfigCommand is `km kubeconfig`.
func KubeconfigCommand() *supervisor.Command {
	flags := pflag.NewFlagSet("kubeconfig", pflag.ContinueOnError)
	merge := flags.Bool("merge", false, "merge it into the user's own kubeconfig, as a context named like the cluster")
	remove := flags.Bool("remove", false, "take it out of the user's own kubeconfig again")
	return &supervisor.Command{
		Name:  "kubeconfig",
		Short: "print the path of the cluster's kubeconfig, or merge it into the user's",
		Long: "Print the path of the cluster's kubeconfig, or merge it into the user's own, which is what KUBECONFIG names, or ~/.kube/config. A " +
			"cluster, a user and a context are made there, named like this cluster, and that is the current context then. Merged again, they are " +
			"brought up to date, and what has been added to them stays. `PROGRAM reset` takes them out, as --remove does.",
		Flags: flags,
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			switch {
			case len(args) > 0:
				return &supervisor.ExitError{Code: 2, Err: fmt.Errorf("kubeconfig takes no arguments, but there is %q", args[0])}
			case *merge && *remove:
				return &supervisor.ExitError{Code: 2, Err: errors.New("--merge and --remove: choose one of them")}
			case *remove:
				return removeFromUsers(ctx, hk, p)
			}
			ours, err := loadOurs(p)
			if onNode := OnNode(p); err != nil && onNode != nil {
				return onNode
			}
			if err != nil {
				return fmt.Errorf("there is no cluster %q yet, or its kubeconfig cannot be read: %w; start it with `%s`", p.Name, cause(err), p.Command("run"))
			}
			if !*merge {
				return printKubeconfig(hk, p)
			}
			return mergeIntoUsers(ctx, hk, p, ours)
		},
	}
}

// printKubeconfig prints the path of the cluster's kubeconfig, for KUBECONFIG=$(km kubeconfig).
func printKubeconfig(hk *supervisor.HyperKube, p *supervisor.Plan) error {
	file, fits := AdminKubeconfig(p)
	if !fits {
		fmt.Fprintln(os.Stderr, "warning: KUBECONFIG takes this path for several, apart by colons; kubectl --kubeconfig takes it as it is, and while the cluster runs, "+
			"there is another path")
	}
	fmt.Fprintln(hk.Out(), file)
	return nil
}

// mergeIntoUsers is `km kubeconfig --merge`.
func mergeIntoUsers(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, ours *clientcmdapi.Config) error {
	if cluster, user := current(ours); cluster == nil || user == nil {
		return fmt.Errorf("the cluster's kubeconfig has no current context; remove %s, and km makes a new one", KubeconfigPath(p, Admin))
	}
	files, err := userFiles(p)
	if err != nil {
		return err
	}
	u, err := openUserKubeconfig(ctx, files)
	defer u.close()
	if err != nil {
		return err
	}
	if err := entriesOf(p, ours).merge(u); err != nil {
		return err
	}
	done, err := u.save()
	if err != nil {
		return err
	}
	fmt.Fprintf(hk.Out(), "merged into %s; the current context is now %q\n", u.target.path, p.Name)
	for _, note := range done {
		fmt.Fprintln(hk.Out(), note)
	}
	return nil
}

// removeFromUsers is `km kubeconfig --remove`. It needs no cluster: there may be none any more.
func removeFromUsers(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan) error {
	files, err := userFiles(p)
	if err != nil {
		return err
	}
	removed, err := removeEntries(ctx, p, files)
	if err != nil {
		return err
	}
	if len(removed) == 0 {
		removed = []string{fmt.Sprintf("there is nothing of the cluster %q in %s", p.Name, strings.Join(files, ", "))}
	}
	fmt.Fprintln(hk.Out(), strings.Join(removed, "\n"))
	return nil
}

// removeEntries takes the cluster's entries out of files. Where there are none, nothing is written, nor locked.
func removeEntries(ctx context.Context, p *supervisor.Plan, files []string) (removed []string, err error) {
	ours, _ := loadOurs(p) // there is none, or it does not help
	look := &userKubeconfig{}
	if err := look.read(files); err != nil {
		return nil, err
	}
	if len(entriesOf(p, ours).remove(look)) == 0 {
		return nil, nil
	}
	u, err := openUserKubeconfig(ctx, files)
	defer u.close()
	if err != nil {
		return nil, err
	}
	removed = entriesOf(p, ours).remove(u)
	_, err = u.save()
	return removed, err
}

// Forget takes the cluster's entries out of the user's kubeconfig, as its data folder is about to be deleted: of what
// KUBECONFIG names, and of ~/.kube/config, in which they may have been merged in another shell. It returns what was
// removed. It is the Forget of a supervisor.HyperKube.
func Forget(ctx context.Context, p *supervisor.Plan) (removed []string, err error) {
	files, err := userFiles(p)
	if err != nil {
		return nil, nil // it is this cluster's own
	}
	own := clientcmd.NewDefaultPathOptions().GlobalFile
	if !slices.Contains(files, own) && !isClusters(p, own) {
		files = append(files, own)
	}
	if p.Ephemeral { // what is in the way there is no business of a run that has merged nothing
		files = slices.DeleteFunc(files, func(file string) bool { return !mentions(file, filepath.Base(p.DataDir)) })
	}
	var errs []error
	files = slices.DeleteFunc(files, func(file string) bool { // it keeps no entry in another one
		err := (&userKubeconfig{}).read([]string{file})
		errs = append(errs, err)
		return err != nil
	})
	if len(files) > 0 {
		removed, err = removeEntries(ctx, p, files)
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// mentions reports whether a text is in a file.
func mentions(file, text string) bool {
	content, err := os.ReadFile(file)
	return err == nil && bytes.Contains(content, []byte(text))
}
