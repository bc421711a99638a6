package configfile

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth is how many maps and lists can be in each other. Flags have two or three; ten are a mistake, or an
	// attempt to keep the reader busy.
	maxDepth = 10
	// maxValues is how many values there can be when all aliases are resolved. A file of MaxSize that is written by
	// hand has fewer, and ten lines of aliases of aliases could have billions.
	maxValues = 100_000
)

var (
	tooDeep = fmt.Sprintf("maps and lists are nested more than %d deep here; nest them less, or put the text in quotes if it is one",
		maxDepth)
	tooMany = fmt.Sprintf("there are more than %d values, with what aliases stand for; write fewer", maxValues)
)

// converter makes entries of the nodes of a document.
type converter struct {
	problems *problems
	within   []*yaml.Node // the maps and lists that are being converted, each inside of the one before
	alias    int          // the line of the alias that all of this is for, or 0
	values   int
}

// tooMuch adds an error about the size of what n is in. Its line is that of the alias, if there is one: what the alias
// stands for may be small by itself.
func (c *converter) tooMuch(n *yaml.Node, text string) {
	c.problems.add(cmp.Or(c.alias, n.Line), "%s", text)
}

// top converts a document.
func (c *converter) top(document *yaml.Node) []Entry {
	n := document.Content[0]
	switch n.Kind {
	case yaml.MappingNode:
		return c.value(n).Map
	case yaml.SequenceNode:
		c.problems.add(n.Line, `the file is a list, and has to be a map; write "key: value" lines`)
	default:
		c.problems.add(n.Line, `the file is a text, and has to be a map; write "key: value" lines, with a space behind the colon`)
	}
	return nil
}

// value converts a value. It adds what is wrong to the problems; what it returns does not matter then.
func (c *converter) value(n *yaml.Node) Value {
	if c.values++; c.values > maxValues {
		if c.values == maxValues+1 { // it is told once
			c.tooMuch(n, tooMany)
		}
		return Value{}
	}
	if n.Kind == yaml.AliasNode {
		if slices.Contains(c.within, n.Alias) {
			c.problems.add(n.Line, "*%s stands inside of what it stands for, without end; remove it", n.Value)
			return Value{}
		}
		if c.alias == 0 {
			c.alias = n.Line
			defer func() { c.alias = 0 }()
		}
		v := c.value(n.Alias)
		v.ValueLine = n.Line
		return v
	}
	c.checkTag(n)
	v := Value{ValueLine: n.Line}
	switch {
	case n.Kind == yaml.MappingNode:
		v.Kind, v.Map = Map, c.entries(n)
	case n.Kind == yaml.SequenceNode:
		v.Kind, v.List = List, c.list(n)
	case n.Tag != nullTag:
		v.Kind, v.Text = Text, n.Value
	}
	return v
}

// enter notes that what is converted next is inside of n, until leave. It returns false, and adds an error, if that is
// too deep.
func (c *converter) enter(n *yaml.Node) bool {
	if len(c.within) == maxDepth {
		c.tooMuch(n, tooDeep)
		return false
	}
	c.within = append(c.within, n)
	return true
}

func (c *converter) leave() { c.within = c.within[:len(c.within)-1] }

func (c *converter) list(n *yaml.Node) []Value {
	if !c.enter(n) {
		return nil
	}
	defer c.leave()
	var values []Value
	for _, item := range n.Content {
		values = append(values, c.value(item))
	}
	return values
}

func (c *converter) entries(n *yaml.Node) []Entry {
	if !c.enter(n) {
		return nil
	}
	defer c.leave()
	var entries []Entry
	first := map[string]int{} // the lines of the keys
	for i := 0; i < len(n.Content); i += 2 {
		line := n.Content[i].Line
		key, ok := c.key(n.Content[i])
		value := c.value(n.Content[i+1])
		if blank(n.Content[i+1]) {
			value.ValueLine = line // the library's line may be behind the end of the text
		}
		if !ok {
			continue
		}
		if before, twice := first[key]; twice {
			c.problems.add(line, "key %q stands here and in line %d; remove one of them", key, before)
			continue
		}
		first[key] = line
		entries = append(entries, Entry{key, line, value})
	}
	return entries
}

// key returns the text of a key. It returns false, and adds an error, if it is none.
func (c *converter) key(n *yaml.Node) (string, bool) {
	line := n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		c.problems.add(line, "a key is a map or a list here, and has to be a text; put a text that begins with { or [ in quotes")
		return "", false
	case n.Tag == "!!merge":
		c.problems.add(line, "merge keys (<<) are not supported; write the keys themselves")
		return "", false
	case blank(n):
		c.problems.add(line, `a colon stands here without a key before it; write "key: value"`)
		return "", false
	}
	c.checkTag(n)
	return n.Value, true
}

// checkTag adds an error if n has a tag that would make its value something else than its text. Tags for maps and lists
// would not, but nobody needs them.
func (c *converter) checkTag(n *yaml.Node) {
	if n.Style&yaml.TaggedStyle == 0 {
		return
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool":
		if n.Kind == yaml.ScalarNode {
			return
		}
	}
	c.problems.add(n.Line, "tag %q is not supported here; remove it, or put the text in quotes if it is one", n.Tag)
}
