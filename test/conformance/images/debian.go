package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A deb is a package of Debian's.
type deb struct{ name, version, file string }

// userland is what images with a system have. What a program that is missing here does, busybox does.
var userland = []string{"base-files", "bash", "bind9-dnsutils", "busybox-static", "coreutils", "curl", "findutils",
	"grep", "hostname", "iperf", "iproute2", "libc-bin", "mount", "netcat-openbsd", "sed", "socat", "tar", "usr-is-merged",
	"util-linux", "wget"}

// systems are the packages of layers that are by themselves, and added those of layers on the userland.
var (
	systems = map[string][]string{
		"userland": userland,
		// Debian's busybox has a shell that drops variables whose names no shell can use (see the command sh), and a
		// wget that ends with a segmentation fault if it is told a timeout, which many specs do.
		"busybox": {"bash-static", "busybox-static", "usr-is-merged", "wget"},
	}
	added = map[string]string{"conntrack": "conntrack", "nginx": "nginx-light", "resource-consumer": "stress"}
)

// scripting has the packages that only maintainers' scripts need. No script runs.
var scripting = []string{"debconf", "dpkg", "init-system-helpers", "perl-base", "usr-is-merged", "usrmerge"}

// debian downloads the packages of all layers, with all they depend on, below dir. It returns them by the layers'
// names. This machine's own packages have no say.
func debian(ctx context.Context, dir string) (map[string][]deb, error) {
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return nil, err
	}
	none := filepath.Join(dir, "status")
	if err := os.WriteFile(none, nil, 0o644); err != nil {
		return nil, err
	}
	apt := func(args ...string) (string, error) {
		return output(ctx, "apt-get", append([]string{"-qq", "-y", "--no-install-recommends",
			"-o", "Dir::State::status=" + none, "-o", "Dir::Cache=" + dir, "-o", "Dir::Cache::archives=" + dir,
			"-o", "APT::Sandbox::User=root"}, args...)...)
	}
	debs := map[string][]deb{}
	for layer, packages := range systems {
		var err error
		if debs[layer], err = closure(apt, dir, packages...); err != nil {
			return nil, err
		}
	}
	for layer, more := range added {
		all, err := closure(apt, dir, append([]string{more}, userland...)...)
		if err != nil {
			return nil, err
		}
		debs[layer] = slices.DeleteFunc(all, func(d deb) bool { return slices.Contains(debs["userland"], d) })
	}
	return debs, nil
}

// What apt-get tells that it would do: Inst bash (5.2.15-2+b13 Debian:12.15/oldstable [amd64]).
var would = regexp.MustCompile(`(?m)^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\w+)\]\)`)

// closure downloads packages with all they depend on.
func closure(apt func(...string) (string, error), dir string, packages ...string) ([]deb, error) {
	tells, err := apt(append([]string{"--simulate", "install"}, packages...)...)
	if err != nil {
		return nil, fmt.Errorf("%w; has apt-get update been run?", err)
	}
	if _, err := apt(append([]string{"--download-only", "install"}, packages...)...); err != nil {
		return nil, fmt.Errorf("%w; has apt-get update been run lately?", err)
	}
	found := map[string]deb{}
	for _, m := range would.FindAllStringSubmatch(tells, -1) {
		if slices.Contains(scripting, m[1]) {
			continue
		}
		file := filepath.Join(dir, fmt.Sprintf("%s_%s_%s.deb", m[1], strings.ReplaceAll(m[2], ":", "%3a"), m[3]))
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("package %s: apt-get has not downloaded it: %w", m[1], err)
		}
		found[m[1]] = deb{m[1], m[2], file}
	}
	for _, p := range packages {
		if _, ok := found[p]; !ok && !slices.Contains(scripting, p) {
			return nil, fmt.Errorf("package %s: not in what apt-get would install: %s", p, tells)
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b deb) int { return strings.Compare(a.name, b.name) }), nil
}

// unread has what is for people, and for other languages.
var unread = regexp.MustCompile(`^usr/share/(doc|doc-base|info|lintian|locale|man|bash-completion)(/|$)|/gconv/`)

// packages puts the files of packages. What their maintainers' scripts would do is not done.
func (f *files) packages(ctx context.Context, debs []deb) error {
	for _, d := range debs {
		if err := f.unpacked(ctx, d, unread.MatchString); err != nil {
			return fmt.Errorf("package %s: %w", d.name, err)
		}
	}
	return nil
}

func (f *files) unpacked(ctx context.Context, d deb, leftOut func(string) bool) error {
	unpack := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", d.file)
	var says bytes.Buffer
	unpack.Stderr = &says
	archive, err := unpack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	err = f.all(archive, leftOut)
	if err == nil {
		_, err = io.Copy(io.Discard, archive) // dpkg-deb wants to be read to the end
	}
	archive.Close()
	if ended := unpack.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("%s: %w: %s", unpack, ended, &says)
	}
	return err
}

// output runs a command, and returns what it prints.
func output(ctx context.Context, command string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, command, args...)
	var says bytes.Buffer
	c.Stderr = &says
	printed, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", command, strings.Join(args, " "), err, strings.TrimSpace(says.String()))
	}
	return string(printed), nil
}
