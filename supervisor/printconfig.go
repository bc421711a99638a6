package supervisor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/configfile"
)

// AnnotationSecret is the key of a flag's annotation (pflag.FlagSet.SetAnnotation) that says whether its value is a
// secret, left out by --print-config: "true" or "false". Without it, flags are taken for secret whose name ends in
// password, token or the like, and values that are URLs with a password.
const AnnotationSecret = "supervisor.secret"

var (
	secretName = regexp.MustCompile(`(?i)(^|[-_.])(password|passwd|passphrase|token|secret|credential)s?$`)
	// with a / it is no URL, but a password all the same
	secretValue = regexp.MustCompile(`://[^/@\s]*:([^/@\s]*|[^@\s,]*)@`)
)

// isSecret reports whether the flag's value is not to be shown.
func isSecret(f *pflag.Flag, values []string) bool {
	if answer := f.Annotations[AnnotationSecret]; len(answer) > 0 {
		return answer[0] == "true"
	}
	return f.Value.Type() != "bool" && secretName.MatchString(f.Name) || slices.ContainsFunc(values, secretValue.MatchString)
}

// printConfig prints the plan as a config file.
func (hk *HyperKube) printConfig(p *Plan) error {
	w := &configWriter{p: p}
	fmt.Fprintf(w, "# `%s run --config FILE` does with this file what the call that has printed it would have done.\n", hk.Name)
	fmt.Fprintf(w, "# Behind each value stands where it is from. Those in comments are %s's own defaults, which follow from the rest.\n\n", hk.Name)
	w.servers(hk)
	w.framework()
	w.process()
	for _, s := range p.Servers {
		w.server(s)
	}
	if w.err != nil {
		return w.err
	}
	_, err := hk.Out().Write([]byte(w.String()))
	return err
}

// configWriter collects the lines of the file.
type configWriter struct {
	strings.Builder
	p         *Plan
	namespace string // of the flags, with a point behind it, or none
	err       error  // the first one
}

// servers writes the list of servers, and which ones join.
func (w *configWriter) servers(hk *HyperKube) {
	names, from := hk.fewest(splitNames(w.p.given.names)), w.p.given.at.String()
	if len(names) == 0 {
		names, from = hk.defaultNames(), "default"
	}
	fmt.Fprintf(w, "%s: [%s] # %s\n", serversKey, strings.Join(names, ", "), from)
	for _, j := range w.p.given.joined {
		fmt.Fprintf(w, "# %s\n", j)
	}
}

// framework writes the flags of the framework that stand outside of servers.
func (w *configWriter) framework() {
	var lines configWriter
	lines.p = w.p
	for i, a := range w.p.given.assignments {
		if isLast(w.p.given.assignments, i) && !strings.Contains(a.flag.Name, ".") && isFramework(a.flag) {
			lines.line("", a.flag, a.flag.Name, []string{canonical(a.flag, a.value)}, a.source.String())
		}
	}
	w.block("", &lines)
}

// isFramework reports whether it is one of the flags of this package, with a place in files.
func isFramework(f *pflag.Flag) bool {
	_, ofServers := f.Value.(taker)
	return !ofServers && inFiles(f)
}

// process writes the flags of the whole process that were given.
func (w *configWriter) process() {
	var lines configWriter
	var written []string
	for _, s := range w.p.Servers {
		for _, h := range s.flags.history {
			if s.IsProcessFlag(h.flag) && h.source != nil && !slices.Contains(written, h.flag) {
				written = append(written, h.flag)
				lines.flag("", s, h.flag)
			}
		}
	}
	w.block("", &lines)
}

// server writes a server's flags, with those that this package adds.
func (w *configWriter) server(s *Server) {
	lines := configWriter{namespace: s.Name() + "."}
	for i, a := range w.p.given.assignments {
		server, name, _ := strings.Cut(a.flag.Name, ".")
		if server == s.Name() && isLast(w.p.given.assignments, i) && isFramework(a.flag) {
			lines.line("  ", a.flag, name, []string{canonical(a.flag, a.value)}, a.source.String())
		}
	}
	var written []string
	for _, h := range s.flags.history {
		if slices.Contains(written, h.flag) || s.IsProcessFlag(h.flag) && h.source != nil {
			continue
		}
		written = append(written, h.flag)
		lines.flag("  ", s, h.flag)
	}
	w.block(s.Name()+":\n", &lines)
}

// block writes lines, if there are any, below a blank one.
func (w *configWriter) block(heading string, lines *configWriter) {
	if w.err == nil {
		w.err = lines.err
	}
	if lines.Len() > 0 {
		fmt.Fprintf(w, "\n%s%s", heading, lines.String())
	}
}

// flag writes a flag of a server, from what was set on it.
func (w *configWriter) flag(indent string, s *Server, name string) {
	f := s.Flags().Lookup(name)
	var values, from []string
	var last *source
	for _, h := range s.flags.history {
		if h.flag != name {
			continue
		}
		values = append(values, h.value)
		// of a file, the first line
		if h.source != nil && (last == nil || h.source.variable != last.variable || h.source.file != last.file) {
			from = append(from, h.source.String())
		}
		last = h.source
	}
	switch t := s.hk.typeOf(f.Value); {
	case t == SingleValue || t == CommaSeparated: // the last one has taken the place of the others
		values = []string{canonical(f, values[len(values)-1])}
		if last != nil {
			from = []string{last.String()}
		}
	case len(values) > 1 && f.Value.Type() == "stringSlice": // each may be several, as CSV, which is no item of a list
		if values = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(values) < 2 {
			break // all others were empty; a single value is CSV in a file, too
		}
		if slice, ok := f.Value.(pflag.SliceValue); ok {
			values = slices.Clone(slice.GetSlice()) // it is the flag's own
		} else {
			values = []string{strings.Join(values, ",")}
		}
	}
	w.line(indent, f, name, values, strings.Join(from, ", "))
}

// canonical is a flag's only value. Numbers and booleans are written as YAML has them: there 0x10 is a text, and 1 no
// boolean.
func canonical(f *pflag.Flag, value string) string {
	switch scalar(f)["type"] {
	case "boolean", "integer", "number":
		return f.Value.String()
	}
	return value
}

// line writes one flag. Without a source it is a default, and commented out: if it were given, it would mean something
// else to servers, which ask what the user has given.
func (w *configWriter) line(indent string, f *pflag.Flag, name string, values []string, from string) {
	if isSecret(f, values) {
		fmt.Fprintf(w, "%s# %s is a secret, and left out: give it again # %s\n", indent, name, from)
		return
	}
	for i, value := range values {
		text, err := configfile.Scalar(value)
		if err != nil {
			if w.err == nil {
				w.err = fmt.Errorf("--print-config: the value %q of --%s%s cannot stand in a file: %w", value, w.namespace, name, err)
			}
			return
		}
		if len(values) > 1 && strings.ContainsAny(text, ",[]{}") && !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, `'`) {
			text = "'" + text + "'" // in a list it would end there
		}
		values[i] = text
	}
	text := `""`
	switch len(values) {
	case 0:
	case 1:
		text = values[0]
	default:
		text = "[" + strings.Join(values, ", ") + "]"
	}
	if from == "" {
		fmt.Fprintf(w, "%s# %s: %s\n", indent, name, text)
		return
	}
	fmt.Fprintf(w, "%s%s: %s # %s\n", indent, name, text, from)
}
