package source

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the topic about the library shows of test/monitoring is what stands there.
func TestLibraryShowsMonitoring(t *testing.T) {
	topic, err := os.ReadFile(filepath.Join(root, "supervisor", "topics", "library.md"))
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(filepath.Join(root, "test", "monitoring", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(topic), "Its main function, and one of its servers:\n\n```go\n")
	shown, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatal("the topic does not show it")
	}
	for part := range strings.SplitSeq(strings.TrimSpace(shown), "\n}\n") {
		if part = strings.TrimSuffix(strings.TrimSpace(part), "\n}"); !strings.Contains(string(code), part+"\n}\n") {
			t.Errorf("this is not in main.go:\n%s", part)
		}
	}
}

// pages are what people read: the README, and what it leads to, such as the topics of `km help`.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, path := range files(t, ".md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	codeSpan  = regexp.MustCompile("`[^`]+`")
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInLink = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are what a link to a heading of a page has behind its #, as GitHub makes it.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		found[strings.ReplaceAll(notInLink.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

// Links to files of the repository lead to one that there is, and to a heading that is in it.
func TestLinksLeadSomewhere(t *testing.T) {
	texts := pages(t)
	seen := 0
	for page, text := range texts {
		prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "`")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: there is no %s", page, m[1])
			} else if anchor != "" && !anchors(texts[target])[anchor] {
				t.Errorf("%s: there is no heading for %s", page, m[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d links found", seen)
	}
}

// Each topic can be found from the README.
func TestReadmeLeadsToTopics(t *testing.T) {
	texts := pages(t)
	readme := texts[filepath.Join(root, "README.md")]
	topics := 0
	for page := range texts {
		relative := filepath.ToSlash(strings.TrimPrefix(page, filepath.Clean(root)+string(filepath.Separator)))
		if !strings.HasPrefix(relative, "servers/") && !strings.HasPrefix(relative, "supervisor/") {
			continue
		}
		topics++
		if name := strings.TrimSuffix(filepath.Base(page), ".md"); !strings.Contains(readme, "["+name+"]("+relative+")") {
			t.Errorf("the README has no link [%s](%s)", name, relative)
		}
	}
	if topics < 20 {
		t.Errorf("only %d topics found", topics)
	}
}

// What people are told to make can be made.
func TestTargetsAreThere(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	texts := pages(t)
	for _, page := range []string{"README.md", "test/README.md"} {
		targets := regexp.MustCompile("[`$] ?make ([a-z-]+)").FindAllStringSubmatch(texts[filepath.Join(root, page)], -1)
		if len(targets) == 0 {
			t.Errorf("%s names none", page)
		}
		for _, m := range targets {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", page, m[1])
			}
		}
	}
}
