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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seed-200a7251/km/supervisor"
)

// user is a user with a home folder, and clusters below it.
type user struct {
	t    *testing.T
	home string
	own  string // ~/.kube/config
}

func newUser(t *testing.T) *user {
	u := &user{t: t, home: t.TempDir()}
	u.own = filepath.Join(u.home, ".kube", "config")
	home := clientcmd.RecommendedHomeFile
	clientcmd.RecommendedHomeFile = u.own
	t.Cleanup(func() { clientcmd.RecommendedHomeFile = home })
	t.Setenv("KUBECONFIG", "")
	return u
}

// cluster makes the keys, and the admin's kubeconfig, of a cluster in a folder of that name. If there is one, it is
// made anew.
func (u *user) cluster(name string) *supervisor.Plan {
	u.t.Helper()
	p := &supervisor.Plan{Name: "km", DataDir: filepath.Join(u.home, name)}
	for _, dir := range []string{"pki", "kubeconfig"} {
		if err := os.RemoveAll(p.Path(dir)); err != nil {
			u.t.Fatal(err)
		}
	}
	c := newCluster(u.t, p, time.Now())
	if err := c.EnsureKubeconfig(p, "admin"); err != nil {
		u.t.Fatal(err)
	}
	u.write(p.Path("km.lock"), "")
	return p
}

func (u *user) write(path, text string) {
	u.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) text(path string) string {
	u.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		u.t.Fatal(err)
	}
	return string(text)
}

// km calls km with a cluster's folder.
func (u *user) km(p *supervisor.Plan, args ...string) (string, error) {
	hk := &supervisor.HyperKube{Name: "km", Forget: Forget}
	hk.AddServer(&supervisor.Server{SimpleUsage: "none", Main: nil, Members: []string{"x"}, State: State()})
	hk.AddCommand(KubeconfigCommand())
	var out bytes.Buffer
	hk.SetOut(&out)
	err := hk.Run(append([]string{"km", "--data-dir=" + p.DataDir, "--name=" + p.Name}, args...))
	return out.String(), err
}

func (u *user) must(p *supervisor.Plan, args ...string) string {
	u.t.Helper()
	out, err := u.km(p, args...)
	if err != nil {
		u.t.Fatalf("km %v: %v\n%s", args, err, out)
	}
	return out
}

// refused checks that it is an error with these texts, and that the file stays as it is.
func (u *user) refused(file string, p *supervisor.Plan, arg string, want ...string) {
	u.t.Helper()
	before, _ := os.ReadFile(file)
	out, err := u.km(p, "kubeconfig", arg)
	if err == nil {
		u.t.Errorf("it is not refused:\n%s", out)
	}
	for _, text := range want {
		if !strings.Contains(out, text) {
			u.t.Errorf("there is no %q in\n%s", text, out)
		}
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		u.t.Errorf("%s has been changed to\n%s", file, after)
	}
}

func (u *user) load(file string) *clientcmdapi.Config {
	u.t.Helper()
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		u.t.Fatal(err)
	}
	return config
}

// change changes a kubeconfig as kubectl would.
func (u *user) change(file string, change func(*clientcmdapi.Config)) {
	u.t.Helper()
	config := u.load(file)
	change(config)
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		u.t.Fatal(err)
	}
}

// shape is what is in a kubeconfig, by name.
func (u *user) shape(file string) string {
	c := u.load(file)
	names := func(kind string, all []string) string {
		slices.Sort(all)
		return kind + strings.Join(all, ",")
	}
	var clusters, users, contexts []string
	for name := range c.Clusters {
		clusters = append(clusters, name)
	}
	for name := range c.AuthInfos {
		users = append(users, name)
	}
	for name := range c.Contexts {
		contexts = append(contexts, name)
	}
	return strings.Join([]string{names("", contexts), names("", clusters), names("", users), c.CurrentContext}, " ")
}

// isOf checks that the entries that are named km are those of the cluster.
func (u *user) isOf(file string, p *supervisor.Plan) {
	u.t.Helper()
	c, err := loadOurs(p)
	if err != nil {
		u.t.Fatal(err)
	}
	wantCluster, wantUser := current(c)
	got := u.load(file)
	if !bytes.Equal(got.Clusters["km"].CertificateAuthorityData, wantCluster.CertificateAuthorityData) ||
		!bytes.Equal(got.AuthInfos["km"].ClientCertificateData, wantUser.ClientCertificateData) {
		u.t.Errorf("the entries in %s are not those of the cluster in %s", file, p.DataDir)
	}
}

const work = "apiVersion: v1\nkind: Config\nclusters: [{name: work, cluster: {server: https://example.invalid}}]\n" +
	"users: [{name: me, user: {token: x}}]\ncontexts: [{name: work, context: {cluster: work, user: me}}]\ncurrent-context: work\n"

// Merged again, what the user has added stays; and after a reset the new cluster takes the old one's place.
func TestMergeAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(u *user, p *supervisor.Plan)
	}{
		{"the same cluster", func(*user, *supervisor.Plan) {}},
		{"another port", func(u *user, p *supervisor.Plan) {
			u.change(u.own, func(c *clientcmdapi.Config) { c.Clusters["km"].Server = "https://127.0.0.1:1" })
		}},
		{"made anew", func(u *user, p *supervisor.Plan) { u.cluster("data") }},
		{"entries of an earlier version", func(u *user, p *supervisor.Plan) {
			u.change(u.own, func(c *clientcmdapi.Config) {
				delete(c.Clusters["km"].Extensions, extension)
				delete(c.AuthInfos["km"].Extensions, extension)
				delete(c.Contexts["km"].Extensions, extension)
			})
			u.cluster("data")
		}},
		{"of a cluster elsewhere that is gone", func(u *user, p *supervisor.Plan) {
			other := u.cluster("other")
			u.must(other, "kubeconfig", "--remove")
			u.change(u.own, func(c *clientcmdapi.Config) {
				e := entriesOf(&supervisor.Plan{DataDir: filepath.Join(u.home, "gone")}, nil)
				e.mark(c.Clusters["km"].Extensions)
				e.mark(c.AuthInfos["km"].Extensions)
				e.mark(c.Contexts["km"].Extensions)
			})
			u.cluster("data")
		}},
		{"the context alone is left", func(u *user, p *supervisor.Plan) {
			u.change(u.own, func(c *clientcmdapi.Config) {
				delete(c.Clusters, "km")
				delete(c.AuthInfos, "km")
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := newUser(t)
			u.write(u.own, work)
			p := u.cluster("data")
			u.must(p, "kubeconfig", "--merge")
			u.change(u.own, func(c *clientcmdapi.Config) {
				c.Contexts["km"].Namespace = "mine"
				c.Contexts["km"].Extensions["theirs"] = c.Contexts["km"].Extensions[extension]
				c.CurrentContext = "work"
			})
			test.then(u, p)
			u.must(p, "kubeconfig", "--merge")
			if got, want := u.shape(u.own), "km,work km,work km,me km"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			u.isOf(u.own, p)
			c := u.load(u.own)
			if got := c.Contexts["km"]; got.Namespace != "mine" || got.Extensions["theirs"] == nil || c.Clusters["km"].Server != "https://127.0.0.1:6443" {
				t.Errorf("%+v, %s", got, c.Clusters["km"].Server)
			}
		})
	}
}

// Entries that are not this cluster's are not touched, and there is a way out.
func TestMergeRefused(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	const head = "apiVersion: v1\nkind: Config\n"
	for name, text := range map[string]string{
		"delete-cluster km": head + "clusters: [{name: km, cluster: {server: https://example.invalid}}]\n",
		"delete-user km":    head + "users: [{name: km, user: {token: x}}]\n",
		"delete-context km": head + "contexts: [{name: km, context: {cluster: work, user: me}}]\n",
		"delete-context km; kubectl config delete-clus": strings.ReplaceAll(work, "work", "km"),
	} {
		u.write(u.own, text)
		u.refused(u.own, p, "--merge", "belong to another cluster", name)
	}

	// So it is with another cluster of km's that is there, whose folder is named.
	other := u.cluster("other")
	u.write(u.own, work)
	u.must(other, "kubeconfig", "--merge")
	u.refused(u.own, p, "--merge", "belong to another cluster", "km kubeconfig --remove --data-dir="+other.DataDir)
	u.must(other, "kubeconfig", "--remove")
	u.must(p, "kubeconfig", "--merge")
	u.isOf(u.own, p)
}

func TestRemove(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *clientcmdapi.Config)
		want   string
		says   string
	}{
		{"as it was merged", func(*clientcmdapi.Config) {}, "work work me ", "context km, cluster km, user km: removed from"},
		{"not the current one", func(c *clientcmdapi.Config) { c.CurrentContext = "work" }, "work work me work", "removed from"},
		{"contexts that lead there", func(c *clientcmdapi.Config) {
			c.Contexts["dev"] = &clientcmdapi.Context{Cluster: "km", AuthInfo: "me"}
			c.CurrentContext = "dev"
		}, "work work me ", "context dev, context km, cluster km, user km: removed from"},
		{"renamed", func(c *clientcmdapi.Config) {
			c.Contexts["dev"] = c.Contexts["km"]
			delete(c.Contexts, "km")
			c.CurrentContext = "dev"
		}, "work work me ", "context dev, cluster km, user km: removed from"},
		{"its user has another use", func(c *clientcmdapi.Config) {
			c.Contexts["both"] = &clientcmdapi.Context{Cluster: "work", AuthInfo: "km"}
		}, "both,work work km,me ", "context km, cluster km: removed from"},
		{"without a mark", func(c *clientcmdapi.Config) {
			c.Clusters["km"].Extensions, c.AuthInfos["km"].Extensions, c.Contexts["km"].Extensions = nil, nil, nil
		}, "work work me ", "context km, cluster km, user km: removed from"},
		{"nothing", func(c *clientcmdapi.Config) {
			delete(c.Clusters, "km")
			delete(c.AuthInfos, "km")
			delete(c.Contexts, "km")
			c.CurrentContext = "work"
		}, "work work me work", `there is nothing of the cluster "km" in`},
		{"another's", func(c *clientcmdapi.Config) {
			c.Clusters["km"] = c.Clusters["work"].DeepCopy()
			c.AuthInfos["km"] = c.AuthInfos["me"].DeepCopy()
			c.Contexts["km"].Extensions = nil
		}, "km,work km,work km,me km", `there is nothing of the cluster "km" in`},
	} {
		for _, how := range []string{"--remove", "--remove, of a cluster that is gone", "reset"} {
			t.Run(test.name+" "+how, func(t *testing.T) {
				u := newUser(t)
				u.write(u.own, work)
				p := u.cluster("data")
				u.must(p, "kubeconfig", "--merge")
				u.change(u.own, test.change)
				var out string
				switch how {
				case "reset":
					if out = u.must(p, "reset", "--yes"); !strings.Contains(out, p.DataDir+" is deleted\n") {
						t.Error(out)
					}
				case "--remove":
					out = u.must(p, "kubeconfig", "--remove")
				default:
					if err := os.RemoveAll(p.DataDir); err != nil {
						t.Fatal(err)
					}
					out = u.must(p, "kubeconfig", "--remove")
				}
				if got := u.shape(u.own); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
				if strings.Contains(out, test.says) == (how == "reset" && strings.HasPrefix(test.says, "there is nothing")) {
					t.Errorf("%s", out)
				}
			})
		}
	}
}

// A reset is not stopped by what is wrong with the user's kubeconfig, and finds entries that were merged in another
// shell.
func TestResetForgets(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	u.write(u.own, work)
	u.must(p, "kubeconfig", "--merge")
	damaged := filepath.Join(u.home, "damaged")
	u.write(damaged, "clusters: [{")
	t.Setenv("KUBECONFIG", damaged+string(os.PathListSeparator)+p.Path("kubeconfig", "admin.conf"))
	out := u.must(p, "reset", "--yes")
	if !strings.Contains(out, "Warning: your kubeconfig "+damaged+" cannot be read") || !strings.Contains(out, p.DataDir+" is deleted\n") {
		t.Error(out)
	}
	if got := u.shape(u.own); got != "work work me " {
		t.Error(got)
	}
	if got := u.text(damaged); got != "clusters: [{" {
		t.Error(got)
	}

	// Also where the folder has been deleted by hand.
	t.Setenv("KUBECONFIG", "")
	p = u.cluster("data")
	u.must(p, "kubeconfig", "--merge")
	if err := os.RemoveAll(p.DataDir); err != nil {
		t.Fatal(err)
	}
	u.must(p, "reset", "--yes")
	if got := u.shape(u.own); got != "work work me " {
		t.Error(got)
	}
}

// An ephemeral cluster leaves nothing in the kubeconfig either, and complains of nothing that is not its own.
func TestEphemeralForgets(t *testing.T) {
	u := newUser(t)
	p := u.cluster("km-RANDOM")
	p.Ephemeral = true
	u.write(u.own, work)
	if removed, err := Forget(t.Context(), p); len(removed) > 0 || err != nil || u.text(u.own) != work {
		t.Errorf("%q, %v", removed, err)
	}
	u.must(p, "kubeconfig", "--merge")
	if removed, err := Forget(t.Context(), p); len(removed) != 1 || err != nil || u.shape(u.own) != "work work me " {
		t.Errorf("%q, %v, %s", removed, err, u.shape(u.own))
	}
	u.write(u.own, "{")
	if removed, err := Forget(t.Context(), p); len(removed) > 0 || err != nil {
		t.Errorf("%q, %v", removed, err)
	}
}

// Which file of KUBECONFIG is written is kubectl's rule; a cluster's own is none of them.
func TestWhichFile(t *testing.T) {
	for _, test := range []struct {
		name  string
		list  []string // below the home folder
		there []string // files that are there
		want  string
	}{
		{"none", nil, nil, ".kube/config"},
		{"one, that is not there, nor is its folder", []string{"new/a"}, nil, "new/a"},
		{"the first that is there", []string{"a", "b", "c"}, []string{"b", "c"}, "b"},
		{"the last, if none is there", []string{"a", "b"}, nil, "b"},
		{"twice", []string{"a", "a", "./a"}, nil, "a"},
		{"empty parts", []string{"", "a", ""}, nil, "a"},
		{"the cluster's own", []string{"data/kubeconfig/admin.conf"}, nil, ".kube/config"},
		{"a link to the cluster's own", []string{"link"}, nil, ".kube/config"},
		{"another cluster's", []string{"other/kubeconfig/admin.conf"}, nil, ".kube/config"},
		{"the cluster's own, and another file", []string{"data/kubeconfig/admin.conf", "a"}, nil, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := newUser(t)
			u.cluster("other")
			p := u.cluster("data")
			admin := p.Path("kubeconfig", "admin.conf")
			before := u.text(admin)
			if err := os.Symlink(admin, filepath.Join(u.home, "link")); err != nil {
				t.Fatal(err)
			}
			for _, file := range test.there {
				u.write(filepath.Join(u.home, file), work)
			}
			var list []string
			for _, file := range test.list {
				if file != "" {
					file = u.home + "/" + file
				}
				list = append(list, file)
			}
			t.Setenv("KUBECONFIG", strings.Join(list, string(os.PathListSeparator)))
			want := filepath.Join(u.home, test.want)
			for range 2 {
				out := u.must(p, "kubeconfig", "--merge")
				if diff := cmp.Diff("merged into "+want+"; the current context is now \"km\"\n", out); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			u.isOf(want, p)
			if info, err := os.Stat(want); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if u.text(admin) != before {
				t.Error("the cluster's own has been changed")
			}
			if locks, _ := filepath.Glob(u.home + "/*.lock"); len(locks) > 0 {
				t.Error(locks)
			}
		})
	}
}

// Entries stay in the file in which they are, and the current context is where it counts.
func TestEntriesInSeveralFiles(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	first, second := filepath.Join(u.home, "first"), filepath.Join(u.home, "second")
	t.Setenv("KUBECONFIG", second)
	u.must(p, "kubeconfig", "--merge")
	u.write(first, work)
	t.Setenv("KUBECONFIG", first+string(os.PathListSeparator)+second)
	u.cluster("data")
	u.must(p, "kubeconfig", "--merge")
	u.isOf(second, p)
	if got := u.shape(first) + "; " + u.shape(second); got != "work work me km; km km km km" {
		t.Error(got)
	}
	u.must(p, "kubeconfig", "--remove")
	if got := u.shape(first) + "; " + u.shape(second); got != "work work me ;    " {
		t.Error(got)
	}
}

func TestFilesThatCannotBeMergedInto(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	admin := p.Path("kubeconfig", "admin.conf")
	if err := os.MkdirAll(filepath.Dir(u.own), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(admin, u.own); err != nil {
		t.Fatal(err)
	}
	u.refused(admin, p, "--merge", "is that of a cluster of km")

	for name, text := range map[string]string{"damaged": "clusters: [{", "list": "- a\n", "newer": "apiVersion: v9\nkind: Config\n", "binary": "\x00\x01"} {
		file := filepath.Join(u.home, name)
		u.write(file, text)
		t.Setenv("KUBECONFIG", file)
		u.refused(file, p, "--merge", "your kubeconfig "+file+" cannot be read")
		u.refused(file, p, "--remove", "your kubeconfig "+file+" cannot be read")
	}
	t.Setenv("KUBECONFIG", u.home)
	u.refused(u.own, p, "--merge", "your kubeconfig "+u.home+" is no file")
	t.Setenv("KUBECONFIG", os.DevNull)
	u.refused(u.own, p, "--merge", "your kubeconfig "+os.DevNull+" is no file")
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Error("it has been replaced")
	}
	if os.Geteuid() != 0 { // root may write everything
		file := filepath.Join(u.home, "readonly")
		u.write(file, work)
		if err := os.Chmod(file, 0o400); err != nil {
			t.Fatal(err)
		}
		t.Setenv("KUBECONFIG", file)
		u.refused(file, p, "--merge", "your kubeconfig "+file+" cannot be written: permission denied")
	}

	// An empty one is one without entries.
	file := filepath.Join(u.home, "empty")
	u.write(file, "")
	t.Setenv("KUBECONFIG", file)
	u.must(p, "kubeconfig", "--merge")
	u.isOf(file, p)
}

// A link stays one. Who could read the file reads no key in it.
func TestWriteKeeps(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	dotfiles := filepath.Join(u.home, "dotfiles", "config")
	u.write(dotfiles, work)
	if err := os.Chmod(dotfiles, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(u.own), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := os.Symlink(dotfiles, u.own); err != nil {
			t.Fatal(err)
		}
		_, statErr := os.Stat(dotfiles)
		out := u.must(p, "kubeconfig", "--merge")
		if note := u.own + " is for its owner alone now, as there is a key in it: its mode was 0640, and is 0600\n"; strings.Contains(out, note) != (statErr == nil) {
			t.Error(out)
		}
		if link, err := os.Readlink(u.own); err != nil || link != dotfiles {
			t.Errorf("%q, %v", link, err)
		}
		if info, err := os.Stat(dotfiles); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		// One that is merged already is looked at, too.
		if err := os.Chmod(dotfiles, 0o604); err != nil {
			t.Fatal(err)
		}
		if out := u.must(p, "kubeconfig", "--merge"); !strings.Contains(out, "its mode was 0604, and is 0600") {
			t.Error(out)
		}
		u.isOf(dotfiles, p)
		// Then again, with a link to a file that is not there.
		if err := os.Remove(dotfiles); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(u.own); err != nil {
			t.Fatal(err)
		}
	}
}

// Others are waited for, and who is killed while writing is named.
func TestLock(t *testing.T) {
	u := newUser(t)
	p := u.cluster("data")
	u.write(u.own, work)
	lock := u.own + ".lock"
	u.write(lock, "")
	merged := make(chan string)
	go func() {
		out, err := u.km(p, "kubeconfig", "--merge")
		merged <- fmt.Sprint(out, err)
	}()
	// As kubectl does it: what it writes while it has the lock is not lost.
	u.change(u.own, func(c *clientcmdapi.Config) { c.Clusters["other"] = clientcmdapi.NewCluster() })
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if out := <-merged; !strings.HasPrefix(out, "merged into ") {
		t.Fatal(out)
	}
	if got := u.shape(u.own); got != "km,work km,other,work km,me km" {
		t.Error(got)
	}
}

// Who is killed while writing leaves the lock behind: that is told after a while, and the lock stays.
func TestLockIsWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	synctest.Test(t, func(t *testing.T) {
		unlock, err := lockKubeconfig(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = lockKubeconfig(t.Context(), file)
		if err == nil || !strings.Contains(err.Error(), file+".lock is there since ") || !strings.Contains(err.Error(), "remove that file") {
			t.Errorf("the error is %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := lockKubeconfig(ctx, file); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		if !isThere(file + ".lock") {
			t.Error("somebody else's lock has been removed")
		}
		time.AfterFunc(lockLimit/2, unlock)
		if unlock, err = lockKubeconfig(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		unlock()
	})
	if isThere(file + ".lock") {
		t.Error("the lock is left behind")
	}
}

// Of many that merge at once, none is lost.
func TestMergeAtOnce(t *testing.T) {
	u := newUser(t)
	var all sync.WaitGroup
	for i := range 8 {
		p := u.cluster(fmt.Sprint("data", i))
		p.Name = fmt.Sprint("km", i)
		all.Go(func() {
			if out, err := u.km(p, "kubeconfig", "--merge"); err != nil {
				t.Error(out)
			}
		})
	}
	all.Wait()
	const names = "km0,km1,km2,km3,km4,km5,km6,km7"
	if got := u.shape(u.own); !strings.HasPrefix(got, names+" "+names+" "+names+" km") {
		t.Error(got)
	}
}
