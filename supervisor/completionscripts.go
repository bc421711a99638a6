package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// shell is a shell that there is a script for.
type shell struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error // cobra's script
	// mends are parts of that script that fail with lists, or with a = in values, each followed by its replacement.
	// NAME stands for the binary's name, as it is in names of functions.
	mends []string
	// more is added at the end.
	more string
	// load is what to type for this shell to read the script, with a place for the command that prints it.
	load string
	// file, if not nil, is the path of what the user's shells read at their start.
	file func() string
}

var shells = []*shell{
	{
		name:  "bash",
		load:  "source <(%s)",
		file:  func() string { return inHome("", "", ".bashrc") },
		write: func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		// printf quotes commas, but nobody who types a list does: what is typed would not match a quoted list.
		mends: []string{
			"comp=$(printf \"%q\" \"${compline%%$tab*}\")\n", "comp=$(printf \"%q\" \"${compline%%$tab*}\")\n        comp=${comp//\\\\,/,}\n",
			"<(printf \"%q\\n\" ", "<(__NAME_quote \"%q\\n\" ",
			"]=$(printf \"%q\" ", "]=$(__NAME_quote \"%q\" ",
		},
		more: `
# Quotes as printf does, except for commas.
__NAME_quote()
{
    local quoted
    quoted=$(printf "$@"; printf .)
    quoted=${quoted%.}
    printf "%s" "${quoted//\\,/,}"
}
`,
	},
	{
		name:  "zsh",
		load:  "source <(%s)",
		file:  func() string { return inHome("ZDOTDIR", "", ".zshrc") },
		write: (*cobra.Command).GenZshCompletion,
		// A flag ends at the first =, and there may be more in its value.
		mends: []string{"'-.*='", "'^-[^=]*='"},
	},
	{
		name:  "fish",
		load:  "%s | source",
		file:  func() string { return inHome("XDG_CONFIG_HOME", ".config", "fish", "config.fish") },
		write: func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		mends: []string{
			"'-.*='", "'^-[^=]*='",
			// What is split may begin with --.
			"string split --max 1 \\t $", "string split --max 1 -- \\t $",
			// fish adds no space where there are two words. The second one, which is shown, may as well be the list
			// that goes on.
			"$split[1].\n", "$split[1],\n",
		},
	},
	{
		name:  "powershell",
		write: (*cobra.Command).GenPowerShellCompletionWithDesc,
	},
}

// script writes the script of a binary.
func (sh *shell) script(root *cobra.Command, w io.Writer) error {
	var original bytes.Buffer
	if err := sh.write(root, &original); err != nil {
		return err
	}
	text := strings.NewReplacer(sh.mends...).Replace(original.String()) + sh.more
	function := strings.NewReplacer("-", "_", ":", "_").Replace(root.Name()) // as cobra does
	_, err := io.WriteString(w, strings.ReplaceAll(text, "__NAME_", "__"+function+"_"))
	return err
}

// nameInScripts is the name of a binary for which a script can be made.
var nameInScripts = regexp.MustCompile(`^\w[\w-]*$`)

// shellNames are the names of the shells.
func shellNames() (names []string) {
	for _, sh := range shells {
		names = append(names, sh.name)
	}
	return names
}

// completionCommand is `completion`.
func completionCommand() *Command {
	return &Command{
		Name:  "completion",
		Args:  strings.Join(shellNames(), " | "),
		Short: "print a script by which a shell completes commands, servers and flags",
		Long: "Print a script by which a shell completes commands, servers, flags and their values. For this shell alone:\n\n" +
			"bash: source <(PROGRAM completion bash)\n\nzsh: source <(PROGRAM completion zsh)\n\nfish: PROGRAM completion fish | source\n\n" +
			"powershell: PROGRAM completion powershell | Out-String | Invoke-Expression\n\n" +
			"For each new one, put that line in ~/.bashrc, ~/.zshrc (behind compinit), ~/.config/fish/config.fish or $PROFILE. bash needs its " +
			"package bash-completion.",
		Complete: func(_ *HyperKube, args []string) []string {
			if len(args) > 0 {
				return nothing
			}
			return shellNames()
		},
		Run: func(_ context.Context, hk *HyperKube, _ *Plan, args []string) error {
			if len(args) != 1 {
				return usageError(fmt.Errorf("name one shell: %s", strings.Join(shellNames(), ", ")))
			}
			for _, sh := range shells {
				if sh.name == args[0] {
					root := hk.cobraRoot()
					// It is for what is typed. Functions and variables are named after it, so not every name will do.
					if name := filepath.Base(hk.calledAs); nameInScripts.MatchString(name) {
						root.Use = name
					}
					return sh.script(root, hk.Out())
				}
			}
			return usageError(text.Suggest(fmt.Errorf("there is no completion for %q: there is for %s", args[0], strings.Join(shellNames(), ", ")),
				args[0], shellNames()))
		},
	}
}
