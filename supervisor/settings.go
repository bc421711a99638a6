package supervisor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// settings are the values of the framework's own flags.
type settings struct {
	program   string
	name      string
	dataDir   string
	ephemeral bool
	freePorts bool
	quiet     bool
	keepGoing bool
	logLevel  string
	logFormat string
	logDir    string
	verbose   bool
	// As in logging.File.
	logMaxSize, logMaxBackups int
	adminListen               string
	printConfig               bool
	onlyCheck                 bool // no flag: see Plan
	bare                      bool // no flag: see package bare
}

// addLocation adds the flags that say which cluster is meant. Commands have them, too.
func (set *settings) addLocation(fs *pflag.FlagSet, program string) {
	set.program = program
	if set.name == "" {
		set.name = program
	}
	fs.StringVar(&set.name, "name", set.name, "name of this set of servers")
	fs.Var((*folderValue)(&set.dataDir), "data-dir", fmt.Sprintf(
		"folder for all state (default: %s/NAME in $XDG_STATE_HOME or ~/.local/state)", program))
}

// folderValue is the value of --data-dir. An empty one is refused: it comes from a script whose variable is not set.
// The default folder is not what that script means, least of all if it deletes it.
type folderValue string

func (v *folderValue) Set(text string) error {
	if text == "" {
		return errors.New("no folder is named; leave the flag out for the default one")
	}
	*v = folderValue(text)
	return nil
}

func (v *folderValue) String() string { return string(*v) }
func (v *folderValue) Type() string   { return "string" }

// addRun adds the other flags of `run`.
func (set *settings) addRun(fs *pflag.FlagSet) {
	fs.StringArray(configFlag, nil, "YAML `file` with servers and flags; repeatable")
	fs.BoolVar(&set.printConfig, "print-config", false, "print the configuration as a file, and exit")
	fs.BoolVar(&set.ephemeral, "ephemeral", false, "use a temporary folder, removed at the end")
	fs.BoolVar(&set.freePorts, "free-ports", false, "listen on free ports, not the default ones")
	fs.BoolVar(&set.keepGoing, "keep-going", false, "let others go on when one has failed for good")
	fs.BoolVar(&set.quiet, "quiet", false, "show only what keeps servers from running")
	fs.StringVar(&set.logLevel, "log-level", "info", "lowest level to log, and to show if given: debug, info, warn, error, v=N")
	fs.BoolVar(&set.verbose, "verbose", false, "show all lines, not only warnings and errors")
	fs.StringVar(&set.logFormat, "log-format", string(logging.FormatConsole), "show lines as console or json")
	fs.StringVar(&set.adminListen, "admin-listen", "", "address for /healthz, /readyz and /metrics (default: none)")
	fs.StringVar(&set.logDir, "log-dir", "", "folder for log files (default: DATA-DIR/logs)")
	fs.IntVar(&set.logMaxSize, "log-max-size", logging.DefaultMaxSize, "log files are renamed at so many MB")
	fs.IntVar(&set.logMaxBackups, "log-max-backups", logging.DefaultMaxBackups, "renamed files to keep of a log")
}

// frameworkFlags are the flags that `run` has in any case, to be looked at.
func frameworkFlags(program string) *pflag.FlagSet {
	fs := newFlagSet("")
	var set settings
	set.addLocation(fs, program)
	set.addRun(fs)
	return fs
}

// yield drops a folder that is named elsewhere, such as in the environment, if --ephemeral is on the command line: that
// folder is for other calls.
func (set *settings) yield(given []assignment) []assignment {
	ephemeral, dataDir := false, false
	for _, a := range given {
		ephemeral = ephemeral || a.flag.Name == "ephemeral" && a.source.arguments()
		dataDir = dataDir || a.flag.Name == "data-dir" && a.source.arguments()
	}
	if !set.ephemeral || !ephemeral || dataDir {
		return given
	}
	set.dataDir = ""
	return slices.DeleteFunc(given, func(a assignment) bool { return a.flag.Name == "data-dir" })
}

// stateFolder is the default data folder of the servers of this name.
func stateFolder(program, name string) (string, error) {
	state, err := os.Getenv("XDG_STATE_HOME"), error(nil)
	// The XDG specification has relative paths ignored.
	if !filepath.IsAbs(state) {
		var home string
		home, err = os.UserHomeDir()
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, program, name), err
}

var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// plan returns a plan with these settings, in which no server is selected. With an error the plan has other settings in
// place of the wrong ones, so that servers can check their flags.
func (set *settings) plan() (*Plan, error) {
	p := &Plan{Name: set.name, DataDir: set.dataDir, Ephemeral: set.ephemeral, FreePorts: set.freePorts, OnlyCheck: set.onlyCheck}
	var wrong problems
	if !validName.MatchString(set.name) {
		wrong.add(fmt.Errorf("--name: %q is no name: use letters, digits, '-', '_' and '.'", set.name))
		p.Name = set.program
	}
	if strings.HasPrefix(set.dataDir, "--") {
		wrong.add(fmt.Errorf("--data-dir: %[1]q is a flag, and no folder is named before it; write ./%[1]s if one is called that",
			set.dataDir))
	}
	if set.ephemeral && set.dataDir != "" {
		wrong.add(fmt.Errorf("--ephemeral has a folder of its own: leave --data-dir %s out", set.dataDir))
	}
	if p.Name != set.program {
		p.location = append(p.location, "--name="+p.Name)
	}
	switch {
	case p.Ephemeral:
		// Its name must be known before it is made: flags have paths in it as their defaults.
		p.DataDir = filepath.Join(os.TempDir(), set.program+"-"+rand.Text()[:12])
	case p.DataDir == "":
		dir, err := stateFolder(set.program, p.Name)
		if err != nil {
			wrong.add(fmt.Errorf("no place for the state: %w; name a folder with --data-dir", err))
		}
		p.DataDir = dir
	}
	dir, err := filepath.Abs(p.DataDir)
	if err != nil {
		wrong.add(fmt.Errorf("--data-dir %s: %w", p.DataDir, err))
	}
	p.DataDir = dir
	if p.Ephemeral || set.dataDir != "" {
		p.location = append(p.location, "--data-dir="+p.DataDir)
	}
	p.plain = plainFolder(p.DataDir, set.program)
	if info, err := os.Stat(p.DataDir); err == nil {
		p.open = system.IsOpen(info)
	}
	return p, wrong.err()
}
