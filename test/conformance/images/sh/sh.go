// Command sh is the shell in the image of busybox: busybox', or bash if a variable has a name that a shell cannot use.
// Debian's busybox drops such variables, and the published image's does not. What it says of an error is compared, too.
package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

var usable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func main() {
	shell := "/bin/busybox"
	if slices.ContainsFunc(os.Environ(), func(set string) bool {
		name, _, _ := strings.Cut(set, "=")
		return !usable.MatchString(name)
	}) {
		shell = "/bin/bash-static"
	}
	// Its name says to busybox what it is to be.
	fmt.Fprintln(os.Stderr, "sh:", syscall.Exec(shell, os.Args, os.Environ()))
	os.Exit(127)
}
