package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// logsFlags are the flags of `logs`.
type logsFlags struct {
	follow bool
	since  string
	tail   int
	level  string
	output string
}

// logsCommand is `logs`.
func logsCommand() *Command {
	var f logsFlags
	flags := pflag.NewFlagSet("logs", pflag.ContinueOnError)
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written from now on, also by later runs, until Ctrl-C")
	flags.StringVar(&f.since, "since", "", "leave out what is older: a duration such as 5m, or a time such as 2006-01-02T15:04:05Z")
	flags.IntVar(&f.tail, "tail", -1, "show so many of the last lines, of all servers together; -1 for all")
	flags.StringVar(&f.level, "level", "", "least severe lines to show: debug, info, warn, error, or v=N (default: all that were written)")
	flags.StringVarP(&f.output, "output", "o", string(logging.FormatConsole), "shape of the lines: console or json")
	return &Command{
		Name:  "logs",
		Args:  "[SERVER...]",
		Short: "show what the servers have logged, running or not",
		Long: "Show what the servers have logged, running or not, in the order of time. None named means all of them; the " +
			"binary's own name stands for what belongs to no server.",
		Flags:      flags,
		Complete:   func(hk *HyperKube, args []string) []string { return append(completeServers(hk, args), hk.Name) },
		FlagValues: valuesByFlag(map[string][]string{"level": levelNames, "output": formatNames}),
		Run:        f.run,
	}
}

func (f *logsFlags) run(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
	reader, format, err := f.reader()
	if err != nil {
		return usageError(err)
	}
	wanted, err := hk.logNames(args)
	if err != nil {
		return usageError(err)
	}
	renderer := &logging.Renderer{Format: format, Color: system.Colored(hk.Out()), Date: true}
	reader.Files = func() ([]string, error) {
		files, err := findLogs(p)
		if err != nil {
			return nil, err
		}
		var paths []string
		for _, name := range slices.Sorted(maps.Keys(files)) {
			// Servers may share a file.
			if path := files[name]; (len(wanted) == 0 || slices.Contains(wanted, name)) && !slices.Contains(paths, path) {
				renderer.Widen(name)
				paths = append(paths, path)
			}
		}
		return paths, nil
	}
	if err := there(reader, hk, p, wanted); err != nil {
		return err
	}
	if level := reader.Match; len(wanted) > 0 {
		reader.Match = func(l *logging.Line) bool { return level(l) && slices.Contains(wanted, l.Server) }
	}
	var text []byte
	err = reader.Read(ctx, func(line []byte) error {
		text = renderer.Append(text[:0], line)
		_, err := hk.Out().Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("the logs cannot be shown: %w", err)
	}
	return nil
}

// reader is a reader as the flags ask for.
func (f *logsFlags) reader() (*logging.Reader, logging.Format, error) {
	format, err := logging.ParseFormat(f.output)
	if err != nil {
		return nil, "", fmt.Errorf("--output: %w", err)
	}
	r := &logging.Reader{Tail: f.tail, Follow: f.follow, Match: func(*logging.Line) bool { return true }}
	if f.since != "" {
		if r.Since, err = parseSince(f.since); err != nil {
			return nil, "", err
		}
	}
	if f.level != "" {
		level, err := logging.ParseLevel(f.level)
		if err != nil {
			return nil, "", fmt.Errorf("--level: %w", err)
		}
		r.Match = func(l *logging.Line) bool { return l.Threshold() >= level }
	}
	return r, format, nil
}

// sinceLayouts are the forms of a time, for --since. One without a zone is local.
var sinceLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

func parseSince(text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now().Add(-d), nil
	}
	for _, layout := range sinceLayouts {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: %q is neither a duration such as 5m nor a time such as 2006-01-02T15:04:05Z", text)
}

// logNames are the names under which the named servers log. The binary's own name is one, too.
func (hk *HyperKube) logNames(args []string) ([]string, error) {
	var names []string
	for _, word := range splitNames(args) {
		s, err := hk.FindServer(word)
		switch {
		case word == hk.Name:
			names = append(names, word)
		case err != nil:
			return nil, fmt.Errorf("%w; there are %s, and %s for what belongs to no server",
				text.Suggest(err, word, append(hk.serverNames(), hk.Name)), strings.Join(hk.runnable(), ", "), hk.Name)
		case len(s.Members) > 0:
			members, err := hk.choose([]string{word}) // a member may be a composite, too
			if err != nil {
				return nil, err
			}
			names = append(names, namesOf(members)...)
		default:
			names = append(names, s.Name())
		}
	}
	return names, nil
}

// findLogs returns the log files that there are, or were, by the name of the server.
func findLogs(p *Plan) (map[string]string, error) {
	noted, err := notedLogFiles(p)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for name, path := range noted {
		files[name] = string(path)
	}
	entries, err := os.ReadDir(logDir(p))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(logDir(p), e.Name())
		if original, ok := logging.IsBackup(path); ok {
			path = original
		}
		if name := baseName(path); files[name] == "" && filepath.Ext(path) == ".log" {
			files[name] = path
		}
	}
	return files, nil
}

// there returns an error if there is nothing to read.
func there(r *logging.Reader, hk *HyperKube, p *Plan, wanted []string) error {
	paths, err := r.Files()
	if err != nil {
		return err
	}
	if len(paths) > 0 {
		return nil
	}
	if len(wanted) > 0 {
		if files, err := findLogs(p); err == nil && len(files) > 0 {
			return fmt.Errorf("there is no log of %s in %s: there are %s", strings.Join(wanted, ", "), logDir(p),
				strings.Join(slices.Sorted(maps.Keys(files)), ", "))
		}
	}
	if held(p, hk.Name) {
		if r.Follow { // for what comes
			return nil
		}
		return fmt.Errorf("there are no logs of %q in %s, though it runs: somebody has removed them, and nothing has been logged since",
			p.Name, logDir(p))
	}
	return fmt.Errorf("there are no logs of %q yet in %s; start it with `%s`", p.Name, logDir(p), p.Command("run"))
}
