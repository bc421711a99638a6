package supervisor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/markdown"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Topic is something to read about, which `help` prints by its name.
type Topic struct {
	// Name is what is typed behind `help`. It may be that of a command: the topic is printed below the command's help
	// then.
	Name string
	// Short is one line for the list of topics.
	Short string
	// Text is Markdown: headings, paragraphs, lists, tables, code and links are shown as such. PROGRAM in it stands for
	// the binary's name, and a link to NAME.md is one to the topic of that name.
	Text string
}

// topicsWord lists the topics, behind `help`.
const topicsWord = "topics"

// AddTopic adds a topic. It panics if its name is that of a server or of another topic, or if it has no text. The
// framework has topics of its own, about what it does for every binary: one that is added takes the place of the
// framework's of the same name.
func (hk *HyperKube) AddTopic(t *Topic) {
	switch {
	case t.Name == "" || t.Name == topicsWord || strings.TrimSpace(t.Text) == "":
		panic(fmt.Sprintf("supervisor: AddTopic: topic %q has no name that can be asked for, or no text", t.Name))
	case slices.ContainsFunc(hk.topics, func(other *Topic) bool { return other.Name == t.Name }):
		panic(fmt.Sprintf("supervisor: AddTopic: there is a topic %q already", t.Name))
	}
	if _, err := hk.FindServer(t.Name); err == nil {
		panic(fmt.Sprintf("supervisor: AddTopic: %q is the name of a server", t.Name))
	}
	hk.topics = append(hk.topics, t)
}

// allTopics are the framework's and those that were added, by name.
func (hk *HyperKube) allTopics() []*Topic {
	all := slices.Clone(hk.topics)
	for _, t := range frameworkTopics() {
		if !slices.ContainsFunc(all, func(other *Topic) bool { return other.Name == t.Name }) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// topic returns the one of that name, or nil.
func (hk *HyperKube) topic(name string) *Topic {
	for _, t := range hk.allTopics() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// printTopics prints which there are.
func (hk *HyperKube) printTopics() {
	out := hk.Out()
	columns := system.HelpWidth(out)
	var rows [][2]string
	for _, t := range hk.allTopics() {
		rows = append(rows, [2]string{t.Name, t.Short})
	}
	fmt.Fprint(out, "Topics\n\n")
	text.Table(out, "  ", rows, columns)
	fmt.Fprintf(out, "\n%s", text.Wrap(fmt.Sprintf("Call '%s TOPIC' to read one.", hk.typed("help")), "", columns))
}

// printTopic prints one.
func (hk *HyperKube) printTopic(t *Topic) {
	out := hk.Out()
	source := strings.ReplaceAll(t.Text, "PROGRAM", hk.typed())
	fmt.Fprint(out, markdown.Render(source, system.HelpWidth(out), func(link string) string {
		file, _, _ := strings.Cut(link, "#")
		switch name, isTopic := strings.CutSuffix(path.Base(file), ".md"); {
		case strings.Contains(link, "://"):
			return link
		case isTopic && hk.topic(name) != nil && name != t.Name:
			return "`" + hk.typed("help", name) + "`"
		}
		return "" // a file that is not here, or a place in this text
	}))
}
