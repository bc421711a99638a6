package logging

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

// vmodule is a higher verbosity for some source files.
type vmodule struct {
	rules []vmoduleRule
	most  zapcore.Level // the lowest level of all rules
}

type vmoduleRule struct {
	pattern string
	level   zapcore.Level
}

// parseVModule reads what klog's flag vmodule takes: pattern=N, separated by commas. A pattern is the name of a source
// file without its folder and without ".go", and may have the wildcards of path.Match. It returns nil for an empty
// text.
func parseVModule(text string) (*vmodule, error) {
	m := &vmodule{}
	for rule := range strings.SplitSeq(text, ",") {
		rule = strings.TrimSpace(rule)
		if rule == "" {
			continue
		}
		pattern, number, ok := strings.Cut(rule, "=")
		n, err := strconv.Atoi(number)
		if !ok || pattern == "" || err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not of the form FILE=N, such as garbagecollector=5", rule)
		}
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
		level := Verbosity(n)
		m.rules = append(m.rules, vmoduleRule{pattern, level})
		m.most = min(m.most, level)
	}
	if len(m.rules) == 0 {
		return nil, nil
	}
	return m, nil
}

// enabled reports whether a line of that level is written by code in that file. The first rule that fits counts, as it
// does in klog.
func (m *vmodule) enabled(level zapcore.Level, file string) bool {
	name := strings.TrimSuffix(path.Base(file), ".go")
	for _, r := range m.rules {
		if ok, _ := path.Match(r.pattern, name); ok { // the pattern was checked before
			return level >= r.level
		}
	}
	return false
}
