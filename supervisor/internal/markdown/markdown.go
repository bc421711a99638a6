// Package markdown shows Markdown in a terminal: headings at the left, what is below them indented, paragraphs and
// tables as wide as the terminal. Code stays as it is. There is no colour.
package markdown

import (
	"fmt"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensionast "github.com/yuin/goldmark/extension/ast"
	markdowntext "github.com/yuin/goldmark/text"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// margin is the indentation of what is no heading, and of what is inside of something else.
const margin = "  "

// narrow is how many columns the last column of a table has at least.
const narrow = 32

// Render returns the text for a terminal of so many columns. Behind the words of a link stands where it leads to, as
// address says; that may be empty.
func Render(source string, columns int, address func(link string) string) string {
	p := &page{source: []byte(source), columns: columns, address: address}
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	p.blocks(parser.Parse(markdowntext.NewReader(p.source)), "")
	return strings.TrimRight(p.out.String(), "\n") + "\n"
}

type page struct {
	source  []byte
	columns int
	address func(string) string
	out     strings.Builder
}

// blocks writes those in a node, a blank line between each two, unless they are the items of a list.
func (p *page) blocks(parent ast.Node, indent string) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if n.PreviousSibling() != nil && n.Kind() != ast.KindListItem {
			p.out.WriteString("\n")
		}
		p.block(n, indent)
	}
}

func (p *page) block(n ast.Node, indent string) {
	if indent == "" && n.Kind() != ast.KindHeading {
		indent = margin
	}
	switch n := n.(type) {
	case *ast.Heading:
		p.out.WriteString(text.Wrap(p.inline(n), "", p.columns))
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			p.out.WriteString(strings.TrimRight(indent+margin+string(line.Value(p.source)), " \n") + "\n")
		}
	case *ast.List:
		number := n.Start
		for item := n.FirstChild(); item != nil; item = item.NextSibling() {
			marker := "- "
			if n.IsOrdered() {
				marker = fmt.Sprintf("%d. ", number)
				number++
			}
			p.item(item, indent, marker)
		}
	case *ast.Blockquote:
		p.blocks(n, indent+margin)
	case *extensionast.Table:
		p.table(n, indent)
	default:
		p.out.WriteString(text.Wrap(p.inline(n), indent, p.columns))
	}
}

// item writes one of a list, whose first line has the marker in front.
func (p *page) item(item ast.Node, indent, marker string) {
	inner := &page{source: p.source, columns: p.columns, address: p.address}
	below := indent + strings.Repeat(" ", len(marker))
	inner.blocks(item, below)
	p.out.WriteString(indent + marker + strings.TrimPrefix(inner.out.String(), below))
}

// table writes rows with columns as wide as what is in them, but for the last one, which is as wide as is left.
func (p *page) table(table ast.Node, indent string) {
	var rows [][]string
	var widths []int
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, p.inline(cell))
			if len(widths) < len(cells) {
				widths = append(widths, 0)
			}
			widths[len(cells)-1] = max(widths[len(cells)-1], text.Cells(cells[len(cells)-1]))
		}
		rows = append(rows, cells)
	}
	last := len(widths) - 1
	left := len(indent)
	for _, w := range widths[:max(last, 0)] {
		left += w + len(margin)
	}
	if p.columns-left < narrow {
		p.stack(rows, indent)
		return
	}
	pad := strings.Repeat(" ", left)
	for _, cells := range rows {
		p.out.WriteString(indent)
		for i, cell := range cells[:max(len(cells)-1, 0)] {
			p.out.WriteString(cell + strings.Repeat(" ", widths[i]-text.Cells(cell)) + margin)
		}
		wrapped := text.Wrap(cells[len(cells)-1], pad, p.columns)
		p.out.WriteString(strings.TrimRight(strings.TrimPrefix(wrapped, pad), "\n") + "\n")
	}
}

// stack writes a table that is too wide: of each row the cells below each other.
func (p *page) stack(rows [][]string, indent string) {
	for _, cells := range rows[min(1, len(rows)):] { // each cell tells by itself what it is, as a rule
		for i, cell := range cells {
			at := indent
			if i > 0 {
				at += margin
			}
			p.out.WriteString(text.Wrap(cell, at, p.columns))
		}
	}
}

// inline is the text in a block, on one line.
func (p *page) inline(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Value(p.source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteString(" ")
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.CodeSpan:
			b.WriteString("`" + p.inline(n) + "`")
		case *ast.Link:
			b.WriteString(p.inline(n))
			if to := p.address(string(n.Destination)); to != "" {
				b.WriteString(" (" + to + ")")
			}
		case *ast.AutoLink:
			b.Write(n.URL(p.source))
		default:
			b.WriteString(p.inline(n))
		}
	}
	return b.String()
}
