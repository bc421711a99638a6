package configfile

import (
	"bytes"
	"fmt"
	"strings"
)

const unstartable = "found character that cannot start any token"

// words are what the library's messages mean to people who know their file, but not how YAML is read.
var words = map[string]string{
	unstartable: "a text without quotes cannot begin with @, `, % and the like; put it in quotes",
	"mapping values are not allowed in this context":               `a key stands here where none can be; put a text that has ": " in it in quotes, or correct the indentation`,
	"could not find expected ':'":                                  `there is no colon behind the key; write "key: value", with a space behind the colon`,
	"did not find expected key":                                    "this does not continue the map above; indent its keys alike, and put a text that has quotes in it in other quotes",
	"did not find expected '-' indicator":                          `this does not continue the list above; begin each item with "- ", and indent them alike`,
	"block sequence entries are not allowed in this context":       `a list cannot begin here; put its first "- " in a line of its own, or the text in quotes`,
	"block mapping keys are not allowed in this context":           `"? " cannot stand here; put the text in quotes`,
	"did not find expected node content":                           "there is no value where one has to be; put a text that begins with a bracket or a comma in quotes",
	"did not find expected ',' or ']'":                             "the [ that is opened here is not closed, or a comma is missing in it; close it, or put the text in quotes",
	"did not find expected ',' or '}'":                             "the { that is opened here is not closed, or a comma is missing in it; close it, or put the text in quotes",
	"did not find expected <document start>":                       "the document has ended before this; remove what stands here, or the ... or bracket that ended it",
	"found unexpected end of stream":                               "a quote is opened here and not closed; close it",
	"found unexpected document indicator":                          "a quote that is opened above is not closed before this --- or ...; close it",
	"found unknown escape character":                               `a \ in double quotes has a meaning that is not known; write \\ for one, or use single quotes`,
	"did not find expected hexdecimal number":                      `\x, \u and \U in double quotes have two, four and eight hexadecimal digits; write all of them, or use single quotes`,
	"found invalid Unicode character escape code":                  `an escape in double quotes is no character; write one beyond U+FFFF with eight digits, as in "\U0001f600"`,
	"did not find expected alphabetic or numeric character":        "a text without quotes cannot begin with * or &, which stand before the name of an anchor; put it in quotes",
	"did not find expected comment or line break":                  "text follows in the line of a | or >; begin it in the next line, or put all of it in quotes",
	"found undefined tag handle":                                   "a tag stands here that is not defined; put a text that begins with ! in quotes",
	"did not find expected tag URI":                                "a tag stands here that has no name; put a text that begins with ! in quotes",
	"found incompatible YAML document":                             "this version of YAML is not supported; remove the %YAML line",
	"found unknown directive name":                                 "a line cannot begin with %; put the text in quotes",
	"found a tab character that violates indentation":              tabWords,
	"found a tab character where an indentation space is expected": tabWords,
}

const tabWords = "a tab stands where the line is indented, which YAML does not allow; use spaces"

// inWords says what a problem of the library is, in a line of that text.
func inWords(problem string, line []byte) string {
	if problem == unstartable {
		// It may also be a tab, which can indent text in brackets, but nothing else.
		rest := bytes.TrimLeft(line, " \t-?:")
		indentation := line[:len(line)-len(rest)]
		if bytes.ContainsRune(indentation, '\t') && (len(rest) == 0 || !bytes.ContainsAny(rest[:1], "@`%")) {
			return tabWords
		}
	}
	if text, known := words[problem]; known {
		return text
	}
	if name, anchor := strings.CutPrefix(problem, "unknown anchor '"); anchor {
		name = strings.TrimSuffix(name, "' referenced")
		return fmt.Sprintf("*%s stands for what has the anchor &%s, and nothing before has it; put the text in quotes if it is one", name, name)
	}
	if strings.HasPrefix(problem, "exceeded max depth") {
		return tooDeep
	}
	return "this cannot be read as YAML: " + problem + "; put the text in quotes if it is one"
}
