package logging

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
)

// Stacks returns the stacks of the goroutines that carry the server's label, as in a goroutine profile: equal ones
// once, with their number.
func Stacks(server string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	_, stacks, _ := strings.Cut(profile.String(), "\n") // the first line is the profile's heading
	label := fmt.Sprintf("%q:%q", LabelKey, server)
	var found []string
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		for line := range strings.Lines(stack) {
			if strings.HasPrefix(line, "# labels:") && strings.Contains(line, label) {
				found = append(found, stack)
				break
			}
		}
	}
	return strings.Join(found, "\n\n")
}
