package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// checkPath looks whether a shell finds this binary by the name under which it was called.
func (hk *HyperKube) checkPath() Finding {
	f := Finding{Name: "PATH"}
	self, err := os.Executable()
	if err != nil {
		f.Unknown, f.Text = true, fmt.Sprintf("it is not known where this binary is: %v", err)
		return f
	}
	name := hk.Name
	if hk.calledAs != "" {
		name = filepath.Base(hk.calledAs)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		f.Err = fmt.Errorf("a shell does not find %s: add the folder of %s to PATH, in the file that your shell reads at its start", name, self)
		if dir := filepath.Dir(self); filepath.Base(self) == name {
			f.Commands = []string{"export PATH=" + text.ShellQuote(dir) + ":$PATH"}
			if userShell() == "fish" {
				f.Commands = []string{"fish_add_path " + text.ShellQuote(dir)}
			}
		}
		return f
	}
	f.Text = found
	if !sameBinary(found, self) {
		f.Err = fmt.Errorf("a shell finds another %s first, %s, and not %s: change the order of the folders in PATH, or remove the other one",
			name, found, self)
	}
	return f
}

// sameBinary reports whether two paths lead to the same file.
func sameBinary(a, b string) bool {
	first, err := os.Stat(a)
	second, errSecond := os.Stat(b)
	return err == nil && errSecond == nil && os.SameFile(first, second)
}

// userShell is the name of the user's shell, or "".
func userShell() string {
	if path := os.Getenv("SHELL"); path != "" {
		return filepath.Base(path)
	}
	return ""
}

// checkCompletion looks whether the file that the user's shell reads at its start turns completion on. A shell may have
// it from elsewhere, and does not tell.
func (hk *HyperKube) checkCompletion() Finding {
	f := Finding{Name: "completion"}
	for _, sh := range shells {
		if sh.name != userShell() || sh.file == nil {
			continue
		}
		file := sh.file()
		if content, err := os.ReadFile(file); err == nil && turnsOn(string(content), hk.typed("completion", sh.name)) {
			f.Text = "turned on in " + file
			return f
		}
		f.Unknown = true
		f.Text = fmt.Sprintf("%s does not tell whether it has it. This turns it on, and in %s for each new shell:", sh.name, file)
		f.Commands = []string{fmt.Sprintf(sh.load, hk.typed("completion", sh.name))}
		return f
	}
	f.Unknown, f.Text = true, fmt.Sprintf("which shell is yours is not known. There is completion for %s:", strings.Join(shellNames(), ", "))
	if shell := userShell(); shell != "" {
		f.Text = fmt.Sprintf("your shell is %s. There is completion for %s:", shell, strings.Join(shellNames(), ", "))
	}
	f.Commands = []string{hk.typed("help", "completion")}
	return f
}

// turnsOn reports whether a shell's file calls the command, in a line that is no comment.
func turnsOn(content, command string) bool {
	for line := range strings.Lines(content) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && strings.Contains(line, command) {
			return true
		}
	}
	return false
}

// inHome is a path below the user's home, or below a folder that a variable names instead.
func inHome(variable, instead string, elem ...string) string {
	dir := os.Getenv(variable)
	if dir == "" {
		home, _ := os.UserHomeDir() // without one the path is relative, and is not there
		dir = filepath.Join(home, instead)
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}
