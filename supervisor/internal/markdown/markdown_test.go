package markdown

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const source = "# Title of `it`\n\nWords of a **paragraph** that is\nlonger than *one* line, [elsewhere](https://example.com/a) and [here](../b.md).\n\n" +
	"```console\n$ run it   \n\n  deep\n```\n\n- one\n- two words\n  and more\n\n  ```\n  code\n  ```\n- three\n\n2. second\n3. third\n\n" +
	"> said\n\n## Table\n\n| what | it does |\n|---|---|\n| `a \\| b` | says a or b, and that is a long text |\n| c | **c** |\n\n<https://example.com>\n"

func TestRender(t *testing.T) {
	address := func(link string) string {
		if strings.HasPrefix(link, "https://") {
			return link
		}
		return ""
	}
	for columns, want := range map[int]string{
		60: `Title of ` + "`it`" + `

  Words of a paragraph that is longer than one line,
  elsewhere (https://example.com/a) and here.

    $ run it

      deep

  - one
  - two words and more

      code
  - three

  2. second
  3. third

    said

Table

  what     it does
  ` + "`a | b`" + `  says a or b, and that is a long text
  c        c

  https://example.com
`,
		30: `Title of ` + "`it`" + `

  Words of a paragraph that is
  longer than one line,
  elsewhere
  (https://example.com/a) and
  here.

    $ run it

      deep

  - one
  - two words and more

      code
  - three

  2. second
  3. third

    said

Table

  ` + "`a | b`" + `
    says a or b, and that is a
    long text
  c
    c

  https://example.com
`,
	} {
		if diff := cmp.Diff(want, Render(source, columns, address)); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", columns, diff)
		}
	}
}
