package supervisor

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Hints are commands that users are told to type. They work as shown, in any shell: with the binary's name as it was
// called, the flags by which it finds these servers, and quotes where a shell needs them. All of them are made here.

// Command is what to type for a command of the binary, or for a server that it can be, about the servers of this plan:
// "km logs -f --name=two". Flags of the binary stand behind those of a command, and before a server, which has flags of
// its own.
func (p *Plan) Command(words ...string) string {
	if p.hk == nil { // nobody has planned it
		return shellWords(words)
	}
	if len(words) > 0 && p.hk.command(words[0]) != nil {
		return p.hk.typed(slices.Concat(words, p.location)...)
	}
	return p.hk.typed(slices.Concat(p.location, words)...)
}

// CommandAt is Command for the servers of another plan, whose data folder is dir.
func (p *Plan) CommandAt(dir string, words ...string) string {
	words = append(slices.Clone(words), "--data-dir="+dir)
	if p.hk == nil { // nobody has planned it
		return shellWords(words)
	}
	return p.hk.typed(words...)
}

// Command is what to type to call the binary with these words, whichever servers run: "km help etcd".
func (s *Server) Command(words ...string) string {
	if s.hk == nil {
		return shellWords(words)
	}
	return s.hk.typed(words...)
}

// typed is what to type to call the binary with these words.
func (hk *HyperKube) typed(words ...string) string {
	return shellWords(append([]string{cmp.Or(hk.calledAs, hk.Name)}, words...))
}

// shellWords are words as they are typed in a shell.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = text.ShellQuote(word)
	}
	return strings.Join(quoted, " ")
}

// callable is the word by which a shell finds this binary, if that was called as arg0 and not under its own name: the
// name of the file if that is enough, or else arg0. It is empty if neither leads here: arg0 may be anything.
func callable(arg0 string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	here, err := os.Stat(self)
	if err != nil {
		return ""
	}
	for _, word := range []string{filepath.Base(arg0), arg0} {
		path, err := exec.LookPath(word)
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, here) {
			return word
		}
	}
	return ""
}
