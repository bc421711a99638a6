package supervisor

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/configfile"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// A config file has a list of servers, framework and process-wide flags under their names, and below each server's name
// its flags:
//
//	servers: [api, db]
//	log-level: info
//	api:
//	  port: 8080
//	  labels: {zone: a, size: small}

// serversKey is the key of the list of servers to run.
const serversKey = "servers"

// standardInput stands in place of a file's name for standard input.
const standardInput = "-"

// configFlag is the name of the flag that names files. It has no place in a file.
const configFlag = "config"

// configured is what config files say.
type configured struct {
	given   []assignment
	names   []string // the servers to run, if a file says so
	servers source   // where that is
}

// files reads config files, in order. What the last one says counts.
func (rf *runFlags) files(paths []string) (c configured, wrong problems) {
	for _, path := range paths {
		name, content, err := readConfig(path)
		if err != nil {
			wrong.add(fmt.Errorf("--%s %s: %w", configFlag, text.Legible(path), err))
			continue
		}
		rf.file(name, content, &c, &wrong)
	}
	return c, wrong
}

// readConfig returns what is in a file, and how to call it in errors.
func readConfig(path string) (name string, text []byte, err error) {
	file := os.Stdin
	if name = path; path == standardInput {
		name = "standard input"
	} else if file, err = os.Open(path); err != nil {
		return name, nil, withoutPath(err)
	} else {
		defer file.Close()
	}
	// One byte more than is allowed, so that a longer file is noticed.
	text, err = io.ReadAll(io.LimitReader(file, configfile.MaxSize+1))
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) { // errors and comments have one line
		name = strconv.Quote(name)
	}
	return name, text, withoutPath(err)
}

// file reads one file into c.
func (rf *runFlags) file(name string, content []byte, c *configured, wrong *problems) {
	entries, err := configfile.Parse(content)
	if err != nil {
		for _, err := range text.Errors(err) {
			if e, ok := errors.AsType[*configfile.Error](err); ok {
				err = source{file: name, line: e.Line}.wrong(errors.New(e.Text))
			} else {
				err = fmt.Errorf("%s: %w", name, err)
			}
			wrong.add(err)
		}
		return
	}
	for _, e := range entries {
		at := source{file: name, line: e.Line}
		s, findErr := rf.hk.FindServer(e.Key)
		switch {
		case e.Key == serversKey:
			names, err := serverList(e)
			if err != nil {
				wrong.add(at.wrong(err))
				continue
			}
			c.names, c.servers = names, at
		case findErr == nil && s.Name() == e.Key && s.Run != nil:
			rf.section(s, name, e, c, wrong)
		default:
			f := rf.Lookup(e.Key)
			if f == nil || strings.Contains(e.Key, ".") || !inFiles(f) {
				of, err := rf.unknownKey(e.Key)
				wrong.add(at.wrong(err), of...)
				continue
			}
			rf.entry(f, name, e, c, wrong)
		}
	}
}

// inFiles reports whether a flag has a place in files.
func inFiles(f *pflag.Flag) bool {
	return f.Name != configFlag && !slices.Contains(onlyArguments, f.Name) && !isMember(f)
}

// isMember reports whether the flag is there only because a composite was called by its name.
func isMember(f *pflag.Flag) bool {
	_, ok := f.Value.(*memberValue)
	return ok
}

// serverList reads the list of servers: a list, or a text of comma-separated names.
func serverList(e configfile.Entry) (names []string, err error) {
	items := e.List
	switch e.Kind {
	case configfile.Text:
		items = []configfile.Value{e.Value}
	case configfile.Map:
		return nil, fmt.Errorf("%s: it is a list of names, and takes no KEY: VALUE: write names, such as [%s]", serversKey, "a, b")
	}
	for _, item := range items {
		if item.Kind != configfile.Text {
			return nil, fmt.Errorf("%s: a name in the list is none: write names, such as [%s]", serversKey, "a, b")
		}
		names = append(names, item.Text)
	}
	if names = splitNames(names); len(names) == 0 {
		return nil, fmt.Errorf("%s: no name is in the list: name some, or leave it out for the default ones", serversKey)
	}
	return names, nil
}

// section reads the flags of one server.
func (rf *runFlags) section(s *Server, name string, e configfile.Entry, c *configured, wrong *problems) {
	at := source{file: name, line: e.Line}
	switch e.Kind {
	case configfile.Null: // all that was in it is commented out
		return
	case configfile.Map:
	default:
		wrong.add(at.wrong(fmt.Errorf("%s: the flags of %[1]s are to stand below its name, as NAME: VALUE", s.Name())), s)
		return
	}
	for _, inner := range e.Map {
		if f := rf.Lookup(s.Name() + "." + inner.Key); f != nil {
			rf.entry(f, name, inner, c, wrong)
			continue
		}
		at := source{file: name, line: inner.Line}
		wrong.add(at.wrong(rf.unknownFlag(s, inner.Key)), s)
	}
}

// unknownFlag is the error about a key below a server's name that is no flag of it.
func (rf *runFlags) unknownFlag(s *Server, key string) error {
	err := fmt.Errorf("%s.%s: %[1]s has no such flag", s.Name(), text.Legible(key))
	if best := text.Nearest(key, rf.flagNames(s)); best != "" {
		err = fmt.Errorf("%w (did you mean %s?)", err, best)
	}
	if servers, _ := rf.owners(key, s); len(servers) > 0 {
		err = fmt.Errorf("%w; it is a flag of %s", err, nameList(servers))
	}
	if f := rf.Lookup(key); f != nil && inFiles(f) {
		err = fmt.Errorf("%w; --%s stands outside of servers", err, key)
	}
	return err
}

// unknownKey is the error about a key that is neither a server nor a flag without a server, and the servers it
// concerns.
func (rf *runFlags) unknownKey(key string) (of []*Server, wrong error) {
	s, err := rf.hk.FindServer(key)
	server, flag, dotted := strings.Cut(key, ".")
	owners, _ := rf.owners(key, nil)
	switch {
	case err == nil && len(s.Members) > 0:
		return nil, fmt.Errorf("%s stands for several servers: put the flags below %s", key, strings.Join(s.Members, ", "))
	case err == nil && s.Run == nil:
		return nil, fmt.Errorf("%s cannot be run beside others, and has no flags here", key)
	case err == nil:
		return []*Server{s}, fmt.Errorf("%s is another name of %s: put its flags below that", key, s.Name())
	case key == configFlag || slices.Contains(onlyArguments, key):
		return nil, fmt.Errorf("%s has no place in a file: give --%[1]s on the command line", key)
	case dotted && rf.Lookup(key) != nil:
		s, _ := rf.hk.FindServer(server)
		return []*Server{s}, fmt.Errorf("%s: put %s below the name of its server, %s", key, flag, server)
	case len(owners) > 0:
		return owners, fmt.Errorf("%s: a server's flags stand below its name: %s", key, nameList(owners))
	}
	if s, err := rf.hk.FindServer(server); dotted && err == nil && s.Run != nil {
		return []*Server{s}, fmt.Errorf("%s: the flags of %s stand below its name, and %w", text.Legible(key), s.Name(), rf.unknownFlag(s, flag))
	}
	known := append(rf.flagNames(nil), serversKey)
	for _, s := range rf.hk.servers {
		if s.Run != nil {
			known = append(known, s.Name())
		}
	}
	return nil, text.Suggest(fmt.Errorf("%s is neither a server nor a flag of `%s run`", text.Legible(key), rf.hk.Name), key, known)
}

// entry reads the value of one flag.
func (rf *runFlags) entry(f *pflag.Flag, name string, e configfile.Entry, c *configured, wrong *problems) {
	at := source{file: name, line: e.Line}
	values, err := rf.values(f, e.Value)
	if err != nil {
		wrong.add(at.wrong(fmt.Errorf("%s: %w", f.Name, err)), rf.takers(f)...)
		return
	}
	for _, v := range values {
		at.line = v.line
		c.given = append(c.given, assignment{f, v.text, at})
	}
}

// lined is a text, and the line in which it stands.
type lined struct {
	text string
	line int
}

// values are what the flag is to be set to, one after another.
func (rf *runFlags) values(f *pflag.Flag, v configfile.Value) ([]lined, error) {
	t := rf.typeOf(f)
	var values []lined
	switch v.Kind {
	case configfile.Text:
		return []lined{{v.Text, v.ValueLine}}, nil
	case configfile.Null:
		return nil, errors.New(`it has no value: leave it out, or write "" for an empty one`)
	case configfile.List:
		if t == SingleValue {
			return nil, errors.New("it takes one value, not a list: if it is one of several values, write them as one text")
		}
		for _, item := range v.List {
			if item.Kind != configfile.Text {
				return nil, fmt.Errorf("what the list has in line %d is no text: write one", item.ValueLine)
			}
			text := item.Text
			if f.Value.Type() == "stringSlice" {
				text = quoteCSV(text)
			}
			values = append(values, lined{text, item.ValueLine})
		}
	case configfile.Map:
		if t != Pairs {
			return nil, errors.New("it takes no KEY: VALUE")
		}
		for _, item := range v.Map {
			text, err := pair(f, item)
			if err != nil {
				return nil, err
			}
			values = append(values, lined{text, item.Line})
		}
	}
	if len(values) == 0 {
		return nil, errors.New(`it is empty: leave it out, or write "" for an empty one`)
	}
	if t != CommaSeparated {
		return values, nil
	}
	var texts []string
	for _, value := range values {
		if strings.Contains(value.text, ",") {
			return nil, fmt.Errorf("the comma in %q would make two values of it: write it as two", value.text)
		}
		texts = append(texts, value.text)
	}
	return []lined{{strings.Join(texts, ","), v.ValueLine}}, nil
}

// pair is the text for one KEY: VALUE.
func pair(f *pflag.Flag, e configfile.Entry) (string, error) {
	both := e.Key + "=" + e.Text
	switch {
	case e.Kind != configfile.Text:
		return "", fmt.Errorf(`%s has no value that is a text: write one, or "" for an empty one`, text.Legible(e.Key))
	case strings.Contains(e.Key, "="):
		return "", fmt.Errorf("the = in %q would end the key: such a key cannot be given", e.Key)
	case f.Value.Type() != "stringToString":
		if strings.Contains(both, ",") {
			return "", fmt.Errorf("the comma in %q would make two values of it: write it as two", both)
		}
		return both, nil
	case strings.Count(both, "=") > 1: // pflag reads it as CSV
		return quoteCSV(both), nil
	case strings.HasPrefix(both, `"`) || strings.HasSuffix(both, `"`):
		// pflag removes them from one pair, but not from two
		return quoteCSV(both) + "," + quoteCSV(both), nil
	}
	return both, nil // also with a comma in it
}

// quoteCSV is text as the only field of a line of CSV, as which pflag reads it.
func quoteCSV(text string) string {
	if text == "" {
		return `""` // an empty line would have no field
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{text}) // into memory: there is nothing that can fail
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}
