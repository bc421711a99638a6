package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Finding is something that `doctor` tells of this machine.
type Finding struct {
	// Name says in a word or two what was looked at, such as "disk".
	Name string
	// Text is how it is, where nothing is wrong.
	Text string
	// Err is what is wrong, ending in what to do about it; nil for nothing. Each of several that are joined is told.
	Err error
	// Needed says that with Err `run` does not start, or not all servers become ready.
	Needed bool
	// Unknown says that it cannot be seen how it is. Text says why.
	Unknown bool
	// Commands are what to type next, made by Plan.Command or Server.Command.
	Commands []string
}

// state is one word for it.
func (f Finding) state() string {
	switch {
	case f.Err != nil:
		return "no"
	case f.Unknown:
		return "unknown"
	}
	return "ok"
}

// texts are what to tell, each a text of its own.
func (f Finding) texts() (all []string) {
	if f.Err == nil {
		return []string{f.Text}
	}
	for _, err := range text.Errors(f.Err) {
		all = append(all, err.Error())
	}
	return all
}

// diagnosis is what `doctor` has found, in the order in which it is told.
type diagnosis struct {
	findings []Finding
	run      string // what to type for a run
}

// hindrances are the names of what keeps a run from coming about.
func (d *diagnosis) hindrances() (names []string) {
	for _, f := range d.findings {
		if f.Err != nil && f.Needed {
			names = append(names, f.Name)
		}
	}
	return names
}

// writeText writes a paragraph for each finding. Commands stand on lines of their own, which are not broken.
func (d *diagnosis) writeText(w io.Writer, columns int) error {
	name := 0
	for _, f := range d.findings {
		name = max(name, len(f.Name))
	}
	const state = len("no")
	indent := strings.Repeat(" ", name+2+state+2)
	var b strings.Builder
	for _, f := range d.findings {
		lead := fmt.Sprintf("%-*s  %-*s  ", name, f.Name, state, strings.ReplaceAll(f.state(), "unknown", "?"))
		for _, told := range f.texts() {
			lines := text.WrapLines(text.Visible(told), indent, columns)
			b.WriteString(lead + strings.TrimPrefix(lines, indent))
			lead = indent
		}
		for _, command := range f.Commands {
			fmt.Fprintf(&b, "%s  %s\n", indent, command)
		}
	}
	verdict := "would start here"
	if names := d.hindrances(); len(names) > 0 {
		verdict = "would not start here: see " + strings.Join(names, ", ")
	}
	fmt.Fprintf(&b, "\n`%s` %s.\n", d.run, verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeJSON writes the same for programs.
func (d *diagnosis) writeJSON(w io.Writer) error {
	type finding struct {
		Name     string   `json:"name"`
		State    string   `json:"state"`
		Needed   bool     `json:"needed,omitempty"`
		Texts    []string `json:"texts"`
		Commands []string `json:"commands,omitempty"`
	}
	answer := struct {
		Run      bool      `json:"run"`
		Findings []finding `json:"findings"`
	}{Run: len(d.hindrances()) == 0}
	for _, f := range d.findings {
		answer.Findings = append(answer.Findings, finding{f.Name, f.state(), f.Err != nil && f.Needed, f.texts(), f.Commands})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // commands are typed as they stand
	e.SetIndent("", "  ")
	return e.Encode(answer)
}

// found adds a finding, with text where nothing is wrong.
func (d *diagnosis) found(f Finding) {
	f.Text = cmp.Or(f.Text, "fine")
	d.findings = append(d.findings, f)
}
