package suites

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCommands tests that they pass on links. What they would compile is there.
func testCommands(t *testing.T) {
	if !ownNetworks() {
		t.Skip("its servers have fixed ports: it takes root, and ip, to give it a network of its own")
	}
	_, kubernetes, err := versions()
	if err != nil {
		t.Fatal(err)
	}
	commands.version = strings.TrimPrefix(kubernetes, "Kubernetes ")
	commands.copied(t)
	links := filepath.Join(commands.dir(), "_output", "bin")
	if out, err := exec.Command(binary, "--make-symlinks", "--dir", links).CombinedOutput(); err != nil {
		t.Fatalf("km --make-symlinks: %v\n%s", err, out)
	}
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "make"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &suite{
		name: "kubernetes/test/cmd", dir: commands.dir(), command: []string{"bash", "hack/make-rules/test-cmd.sh"},
		env: []string{
			"PATH=" + strings.Join([]string{tools, links, os.Getenv("PATH")}, string(filepath.ListSeparator)),
			"KUBE_JUNIT_REPORT_DIR=" + t.TempDir(), "SERVICE_ACCOUNT_KEY=" + filepath.Join(tools, "key"), "GOFLAGS=",
		},
		cases: true, killed: 2 * time.Hour,
	}
	testRun(t, commands, s, kinds[0])
}

// readCases reads what a script of Kubernetes' has said of its cases.
func (o *outcome) readCases(output string) error {
	file, err := os.Open(output)
	if err != nil {
		return err
	}
	defer file.Close()
	const begin, end = "+++ Running case: test-cmd.", "+++ exit code: "
	name, printed := "", &strings.Builder{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		line := lines.Text() // what came before it may not have ended its line
		if _, next, ok := strings.Cut(line, begin); ok {
			if name != "" { // it has ended the script
				o.add(name, verdict{"failed", printed.String()})
			}
			name = strings.TrimSpace(next)
			printed.Reset()
			continue
		}
		printed.WriteString(line + "\n")
		if _, code, ok := strings.Cut(line, end); ok && name != "" {
			v := verdict{"passed", ""}
			if strings.TrimSpace(code) != "0" {
				v = verdict{"failed", printed.String()}
			}
			// Of the script itself, which tests with it that it sees a failure.
			if name != "record_command_canary" {
				o.add(name, v)
			}
			name = ""
		}
	}
	if name != "" {
		o.add(name, verdict{"failed", printed.String()})
	}
	return lines.Err()
}
