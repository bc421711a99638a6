// Package robustness drives the built binary through faults, with clients that record what they are answered, and
// judges what was recorded: against porcupine's model of one object, and against the history that etcd has kept. KM
// names the binary; without it, it is bin/km of this checkout, which `make build` makes.
//
// It is a module of its own, so that km's does not have porcupine among its requirements.
package robustness

import (
	"fmt"
	"slices"
)

// verb is what a client asks for.
type verb string

const (
	create verb = "create"
	update verb = "update"
	remove verb = "delete"
	get    verb = "get"
	list   verb = "list"
)

// answer is how a request ended.
type answer string

const (
	done     answer = "done"
	exists   answer = "exists already"
	conflict answer = "conflict"
	absent   answer = "not found"
	expired  answer = "too old"
	// open is a request that nobody has answered, or with an error of the server's: what it wrote may be there, or
	// come to be there later.
	open answer = "open"
)

// operation is a request and its answer. Times are nanoseconds since the run began, of a clock that does not jump.
type operation struct {
	Client int
	Verb   verb
	Key    string `json:",omitempty"`
	Value  string `json:",omitempty"` // what is written: no two requests write the same
	// Expected is the resourceVersion that the object must have; 0 for any.
	Expected int64 `json:",omitempty"`
	// NotOlder is a read's resourceVersion: what is read may be of that time or later. 0 allows any time; -1 asks for
	// what is now.
	NotOlder int64

	Call, Return int64
	Answer       answer
	RV           int64             `json:",omitempty"` // the object's after it, or the list's
	Read         string            `json:",omitempty"` // the object's value
	Items        map[string]object `json:",omitempty"` // the list's
}

// now is a read's NotOlder that is answered from what is there when it is asked.
const now = -1

func (o operation) writes() bool { return o.Verb == create || o.Verb == update || o.Verb == remove }

func (o operation) String() string {
	text := string(o.Verb)
	if o.Key != "" {
		text += " " + o.Key
	}
	if o.Value != "" {
		text += "=" + o.Value
	}
	if o.Expected != 0 {
		text += fmt.Sprintf(" at %d", o.Expected)
	}
	if !o.writes() && o.NotOlder != now {
		text += fmt.Sprintf(" not older than %d", o.NotOlder)
	}
	text += " -> " + string(o.Answer)
	if o.Read != "" {
		text += " " + o.Read
	}
	if o.RV != 0 {
		text += fmt.Sprintf(" at %d", o.RV)
	}
	return fmt.Sprintf("client %d: %s", o.Client, text)
}

// object is what an object is at a time.
type object struct {
	RV    int64
	Value string
}

// change is one of an object in etcd's history.
type change struct {
	RV      int64
	Key     string
	Value   string // none when it is deleted
	Deleted bool   `json:",omitempty"`
}

// history is all changes, in the order of their revisions.
type history []change

// at is what was there at the revision.
func (h history) at(rv int64) map[string]object {
	found := map[string]object{}
	for _, c := range h {
		if c.RV > rv {
			break
		}
		if c.Deleted {
			delete(found, c.Key)
		} else {
			found[c.Key] = object{c.RV, c.Value}
		}
	}
	return found
}

// of are the changes of one object.
func (h history) of(key string) history {
	var found history
	for _, c := range h {
		if c.Key == key {
			found = append(found, c)
		}
	}
	return found
}

// written finds the change that wrote the value.
func (h history) written(value string) (change, bool) {
	i := slices.IndexFunc(h, func(c change) bool { return !c.Deleted && c.Value == value })
	if i < 0 {
		return change{}, false
	}
	return h[i], true
}

// event is one of a watch.
type event struct {
	Type  string // ADDED, MODIFIED, DELETED or BOOKMARK
	Key   string `json:",omitempty"`
	RV    int64
	Value string `json:",omitempty"`
}

// watched is what one request for a watch brought, from a resourceVersion on, until it ended.
type watched struct {
	Watcher string
	Side    string `json:",omitempty"` // of the objects that its selector selects; none for all
	From    int64
	Events  []event
}

// side is the label of an object with the value: its last letter.
func side(value string) string {
	if value == "" {
		return ""
	}
	return value[len(value)-1:]
}
