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
func (c *settings) addLocation(fs *pflag.FlagSet, program string) {
	c.program = program
	if c.name == "" {
		c.name = program
	}
	fs.StringVar(&c.name, "name", c.name, "name of this set of servers")
	fs.Var((*folderValue)(&c.dataDir), "data-dir", fmt.Sprintf(
		"folder for all state (default: %s/NAME in $XDG_STATE_HOME or ~/.local/state)", program))
}

// folderValue is the value of --data-dir. One that is empty is refused: it is a variable of a script that is not set,
// and the folder that is used without the flag is not what the script means, least of all where it deletes it.
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
func (c *settings) addRun(fs *pflag.FlagSet) {
	fs.StringArray(configFlag, nil, "YAML `file` with servers and flags; repeatable")
	fs.BoolVar(&c.printConfig, "print-config", false, "print the configuration as a file, and exit")
	fs.BoolVar(&c.ephemeral, "ephemeral", false, "use a temporary folder, removed at the end")
	fs.BoolVar(&c.freePorts, "free-ports", false, "listen on free ports, not the default ones")
	fs.BoolVar(&c.keepGoing, "keep-going", false, "let others go on when one has failed for good")
	fs.BoolVar(&c.quiet, "quiet", false, "show only what keeps servers from running")
	fs.StringVar(&c.logLevel, "log-level", "info", "lowest level to log, and to show if given: debug, info, warn, error, v=N")
	fs.BoolVar(&c.verbose, "verbose", false, "show all lines, not only warnings and errors")
	fs.StringVar(&c.logFormat, "log-format", string(logging.FormatConsole), "show lines as console or json")
	fs.StringVar(&c.adminListen, "admin-listen", "", "address for /healthz, /readyz and /metrics (default: none)")
	fs.StringVar(&c.logDir, "log-dir", "", "folder for log files (default: DATA-DIR/logs)")
	fs.IntVar(&c.logMaxSize, "log-max-size", logging.DefaultMaxSize, "log files are renamed at so many MB")
	fs.IntVar(&c.logMaxBackups, "log-max-backups", logging.DefaultMaxBackups, "renamed files to keep of a log")
}

// frameworkFlags are the flags that `run` has in any case, to be looked at.
func frameworkFlags(program string) *pflag.FlagSet {
	fs := newFlagSet("")
	var c settings
	c.addLocation(fs, program)
	c.addRun(fs)
	return fs
}

// yield has --ephemeral on the command line take the place of a folder that is named elsewhere, in the environment for
// one, where it is for other calls.
func (c *settings) yield(given []assignment) []assignment {
	ephemeral, dataDir := false, false
	for _, a := range given {
		ephemeral = ephemeral || a.flag.Name == "ephemeral" && a.source.arguments()
		dataDir = dataDir || a.flag.Name == "data-dir" && a.source.arguments()
	}
	if !c.ephemeral || !ephemeral || dataDir {
		return given
	}
	c.dataDir = ""
	return slices.DeleteFunc(given, func(a assignment) bool { return a.flag.Name == "data-dir" })
}

// stateFolder is the data folder of the servers of this name, where no other one is named.
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

// plan returns a plan with these settings, in which no server is selected. With an error it has others in place of
// those that are wrong, so that servers can look at their flags.
func (c *settings) plan() (*Plan, error) {
	p := &Plan{Name: c.name, DataDir: c.dataDir, Ephemeral: c.ephemeral, FreePorts: c.freePorts, OnlyCheck: c.onlyCheck}
	var wrong problems
	if !validName.MatchString(c.name) {
		wrong.add(fmt.Errorf("--name: %q is no name: use letters, digits, '-', '_' and '.'", c.name))
		p.Name = c.program
	}
	if strings.HasPrefix(c.dataDir, "--") {
		wrong.add(fmt.Errorf("--data-dir: %[1]q is a flag, and no folder is named before it; write ./%[1]s if one is called that",
			c.dataDir))
	}
	if c.ephemeral && c.dataDir != "" {
		wrong.add(fmt.Errorf("--ephemeral has a folder of its own: leave --data-dir %s out", c.dataDir))
	}
	if p.Name != c.program {
		p.location = append(p.location, "--name="+p.Name)
	}
	switch {
	case p.Ephemeral:
		// Its name must be known before it is made: flags have paths in it as their defaults.
		p.DataDir = filepath.Join(os.TempDir(), c.program+"-"+rand.Text()[:12])
	case p.DataDir == "":
		dir, err := stateFolder(c.program, p.Name)
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
	if p.Ephemeral || c.dataDir != "" {
		p.location = append(p.location, "--data-dir="+p.DataDir)
	}
	p.plain = plainFolder(p.DataDir, c.program)
	if info, err := os.Stat(p.DataDir); err == nil {
		p.open = system.IsOpen(info)
	}
	return p, wrong.err()
}
