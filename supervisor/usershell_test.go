package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDoctorLooksAtPATH(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hk := newHyperKube(t)
	dir, other := t.TempDir(), t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "hk")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "hk"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "",
		dir + string(os.PathListSeparator) + other: "",
		t.TempDir(): "a shell does not find hk: add the folder of " + self + " to PATH",
		other + string(os.PathListSeparator) + dir: "a shell finds another hk first, " + filepath.Join(other, "hk"),
	} {
		t.Setenv("PATH", path)
		wants(t, hk.checkPath(), want)
	}

	// Under another name it is looked for under that, and the folder is known.
	hk.calledAs = self
	t.Setenv("PATH", other)
	for shell, want := range map[string]string{"/bin/bash": "export PATH=", "/usr/bin/fish": "fish_add_path "} {
		t.Setenv("SHELL", shell)
		f := hk.checkPath()
		wants(t, f, "a shell does not find "+filepath.Base(self))
		if len(f.Commands) != 1 || !strings.HasPrefix(f.Commands[0], want+filepath.Dir(self)) {
			t.Errorf("%v", f.Commands)
		}
	}
}

// Only what can be seen is told.
func TestDoctorLooksAtCompletion(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("ZDOTDIR", "")
	for _, test := range []struct {
		shell, file, content string
		on                   bool
		command              string
	}{
		{"/bin/bash", ".bashrc", "", false, "source <(hk completion bash)"},
		{"/bin/bash", ".bashrc", "PATH=x\n# source <(hk completion bash)\n", false, "source <(hk completion bash)"},
		{"/bin/bash", ".bashrc", "PATH=x\n  source <(hk completion bash)\n", true, ""},
		{"/usr/bin/zsh", ".zshrc", "source <(hk completion bash)", false, "source <(hk completion zsh)"},
		{"/usr/bin/zsh", ".zshrc", "source <(hk completion zsh)", true, ""},
		{"/usr/bin/fish", ".config/fish/config.fish", "", false, "hk completion fish | source"},
		{"/usr/bin/fish", ".config/fish/config.fish", "hk completion fish | source", true, ""},
		{"/bin/dash", ".profile", "", false, "hk help completion"},
		{"", ".profile", "", false, "hk help completion"},
	} {
		t.Run(test.shell+" "+test.content, func(t *testing.T) {
			t.Setenv("SHELL", test.shell)
			file := filepath.Join(home, filepath.FromSlash(test.file))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			hk := &HyperKube{Name: "hk"}
			f := hk.checkCompletion()
			var commands []string
			if test.command != "" {
				commands = []string{test.command}
			}
			if f.Err != nil || f.Unknown == test.on || !slices.Equal(f.Commands, commands) || test.on && !strings.Contains(f.Text, file) {
				t.Errorf("%+v", f)
			}
		})
	}
}
