package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// configCommand is `config`.
func configCommand() *Command {
	return &Command{
		Name:  "config",
		Args:  "schema | check FILE...",
		Short: "check config files, or print a schema for editors",
		Long: "`config check` tells what is wrong with the files that `run` would take with --config, one after another, and starts " +
			"nothing; it exits with 2 if something is. - is standard input. The environment is left aside.\n\n" +
			"`config schema` prints a JSON schema of such files, by which editors complete and check them.",
		Complete: func(_ *HyperKube, args []string) []string {
			if len(args) > 0 {
				return nil // files
			}
			return []string{"check\ttell what is wrong with files", "schema\tprint a JSON schema"}
		},
		Run: func(ctx context.Context, hk *HyperKube, _ *Plan, args []string) error {
			what := ""
			if len(args) > 0 {
				what, args = args[0], args[1:]
			}
			switch {
			case what == "schema" && len(args) == 0:
				return hk.printSchema()
			case what == "schema":
				return usageError(fmt.Errorf("`config schema` takes no arguments, but there is %q", args[0]))
			case what == "check" && len(args) > 0:
				return hk.checkFiles(ctx, args)
			case what == "check":
				return usageError(fmt.Errorf("`config check` needs a file, such as `%s`", hk.typed("config", "check", hk.Name+".yaml")))
			case what == "":
				return usageError(errors.New("say `config schema` or `config check FILE`"))
			}
			return usageError(text.Suggest(fmt.Errorf("there is no `config %s`: there are `config schema` and `config check`", what),
				what, []string{"schema", "check"}))
		},
	}
}

// checkFiles is `config check`.
func (hk *HyperKube) checkFiles(ctx context.Context, files []string) error {
	var args []string
	for _, file := range files {
		args = append(args, "--"+configFlag+"="+file)
	}
	hk.settings.onlyCheck = true
	for flag, value := range map[string]*string{"name": &hk.settings.name, "data-dir": &hk.settings.dataDir} {
		if !hk.Flags().Changed(flag) && *value == os.Getenv(hk.variableOf(flag)) {
			*value = "" // it is from the environment
		}
	}
	p, err := hk.plan(nil, args, nil)
	if p != nil {
		defer p.run.logs.Close()
		err = p.run.check(ctx)
	}
	if err != nil {
		return usageError(err)
	}
	for i, file := range files {
		if file == standardInput {
			files[i] = "standard input"
		}
	}
	fmt.Fprintf(hk.Out(), "%s: fine, for %s\n", strings.Join(files, ", "), nameList(p.Servers))
	return nil
}
