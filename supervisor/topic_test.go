package supervisor

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// helped is what `help` prints.
func helped(t *testing.T, hk *HyperKube, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	hk.SetOut(&out)
	if err := hk.Run(append([]string{hk.Name, "help"}, args...)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTopics(t *testing.T) {
	hk := shop(t)
	hk.AddTopic(&Topic{Name: "opening", Short: "when it is open", Text: "# Opening\n\nCall `PROGRAM run`; see [returns](somewhere/returns.md#late), and [more](https://example.com).\n"})
	hk.AddTopic(&Topic{Name: "returns", Short: "what comes back", Text: "# Returns\n\nNothing.\n"})
	hk.AddTopic(&Topic{Name: "logs", Short: "what is written", Text: "# Logs\n\nThe shop's.\n"})
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"topics"}, []string{"Topics\n\n", "\n  opening ", "  when it is open\n", "\n  returns ", "Call 'shop help TOPIC' to read one."}},
		{[]string{"opening"}, []string{"Opening\n\n  Call `shop run`; see returns (`shop help returns`), and more\n  (https://example.com).\n"}},
		// A command's help comes first; what is added stands for the framework's.
		{[]string{"logs"}, []string{"shop logs", "--follow", "\nLogs\n\n  The shop's.\n"}},
		{nil, []string{"'shop help\ntopics' for what else"}},
		{[]string{"flag", "address"}, []string{"--db.address"}}, // a search still
	} {
		out := helped(t, hk, test.args...)
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("help %q: no %q in\n%s", test.args, want, out)
			}
		}
	}
	if out := helped(t, hk, "topics"); strings.Count(out, "\n  logs ") != 1 {
		t.Errorf("a topic in place of the framework's:\n%s", out)
	}
	words := helpCommand("shop").Complete(hk, nil)
	for _, want := range []string{"opening\twhen it is open", "topics\tlist what there is to read about", "logs"} {
		if !slices.Contains(words, want) {
			t.Errorf("%q is not completed: %q", want, words)
		}
	}
	if slices.Contains(words, "logs\twhat is written") {
		t.Error("logs is completed twice")
	}
	err := hk.Run([]string{"shop", "help", "openning"})
	if err == nil || !strings.Contains(err.Error(), "did you mean opening?") || !strings.Contains(err.Error(), "`shop help topics`") {
		t.Errorf("a wrong word: %v", err)
	}
}

// Each topic of the framework can be read in any binary, and says what it is called.
func TestFrameworkTopics(t *testing.T) {
	hk := shop(t)
	all := hk.allTopics()
	if len(all) < 8 {
		t.Fatalf("only %d topics", len(all))
	}
	for _, topic := range all {
		out := helped(t, hk, topic.Name)
		if strings.Contains(out, "PROGRAM") || !strings.Contains(topic.Text, "\n# ") && !strings.HasPrefix(topic.Text, "# ") {
			t.Errorf("%s: it names no program, or has no heading:\n%s", topic.Name, out)
		}
		for _, foreign := range []string{"km ", "Kubernetes", "kube", "etcd", "apiserver"} {
			if strings.Contains(out, foreign) && topic.Name != "library" {
				t.Errorf("%s: the framework speaks of %q", topic.Name, foreign)
			}
		}
		if topic.Short == "" || strings.HasSuffix(topic.Short, ".") {
			t.Errorf("%s: %q is no line of a list", topic.Name, topic.Short)
		}
	}
}

func TestAddTopicPanics(t *testing.T) {
	for _, topic := range []*Topic{{Name: "db", Text: "a server's"}, {Name: "topics", Text: "the list's"}, {Name: "empty"}, {Text: "no name"}, {Name: "twice", Text: "again"}} {
		func() {
			hk := shop(t)
			hk.AddTopic(&Topic{Name: "twice", Text: "once"})
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", topic)
				}
			}()
			hk.AddTopic(topic)
		}()
	}
}
