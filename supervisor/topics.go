package supervisor

import (
	"embed"
	"path"
)

//go:embed topics/*.md
var topicFiles embed.FS

// frameworkTopics are about what this package does for every binary.
func frameworkTopics() []*Topic {
	topics := []*Topic{
		{Name: "api", Short: "see how servers are and steer them, by commands and by HTTP"},
		{Name: "commands", Short: "run servers for one command, such as a test suite"},
		{Name: "completion", Short: "what TAB completes"},
		{Name: "config", Short: "flags in a file"},
		{Name: "data-folder", Short: "where the state of a run is, and who may touch it"},
		{Name: "exit-codes", Short: "exit codes and signals"},
		{Name: "flags", Short: "how flags are given, and which value counts"},
		{Name: "library", Short: "an all-in-one binary with servers of your own"},
		{Name: "logs", Short: "log files, levels, and what is on the screen"},
		{Name: "resources", Short: "CPU time and memory, by server"},
		{Name: "restarts", Short: "when a server fails, and what it does to the others"},
		{Name: "servers", Short: "which servers run together, and one alone"},
		{Name: "systemd", Short: "run as a unit of systemd"},
	}
	for _, t := range topics {
		text, err := topicFiles.ReadFile(path.Join("topics", t.Name+".md"))
		if err != nil {
			panic(err) // it is in the binary
		}
		t.Text = string(text)
	}
	return topics
}
