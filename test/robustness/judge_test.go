package robustness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// record is a run that was right: two objects, three clients, and a write that nobody answered, but that has happened.
type record struct {
	all      []operation
	sessions []watched
	history  history
}

func sound() *record {
	return &record{
		all: []operation{
			{Client: 0, Verb: create, Key: "x", Value: "1a", Call: 10, Return: 20, Answer: done, RV: 101},
			{Client: 1, Verb: create, Key: "x", Value: "2b", Call: 30, Return: 40, Answer: exists},
			{Client: 1, Verb: update, Key: "x", Value: "3b", Expected: 101, Call: 50, Return: 60, Answer: done, RV: 103},
			{Client: 0, Verb: update, Key: "x", Value: "4a", Expected: 101, Call: 70, Return: 80, Answer: conflict},
			{Client: 2, Verb: get, Key: "x", NotOlder: now, Call: 70, Return: 90, Answer: done, RV: 103, Read: "3b"},
			{Client: 2, Verb: get, Key: "x", NotOlder: 0, Call: 91, Return: 95, Answer: done, RV: 101, Read: "1a"},
			{Client: 2, Verb: get, Key: "x", NotOlder: 103, Call: 96, Return: 99, Answer: done, RV: 103, Read: "3b"},
			{Client: 0, Verb: create, Key: "y", Value: "5a", Call: 100, Return: 110, Answer: open},
			{Client: 0, Verb: update, Key: "x", Value: "6a", Expected: 101, Call: 111, Return: 115, Answer: open},
			{Client: 2, Verb: list, NotOlder: now, Call: 120, Return: 130, Answer: done, RV: 105,
				Items: map[string]object{"x": {103, "3b"}, "y": {105, "5a"}}},
			{Client: 1, Verb: remove, Key: "x", Expected: 103, Call: 140, Return: 150, Answer: done},
			{Client: 1, Verb: get, Key: "x", NotOlder: now, Call: 160, Return: 170, Answer: absent},
			{Client: 1, Verb: remove, Key: "x", Call: 171, Return: 175, Answer: absent},
			{Client: 2, Verb: list, NotOlder: 105, Call: 180, Return: 190, Answer: done, RV: 107, Items: map[string]object{"y": {105, "5a"}}},
			{Client: 2, Verb: update, Key: "y", Value: "7b", Expected: 105, Call: 200, Return: 210, Answer: done, RV: 109},
		},
		history: history{
			{RV: 101, Key: "x", Value: "1a"},
			{RV: 103, Key: "x", Value: "3b"},
			{RV: 105, Key: "y", Value: "5a"},
			{RV: 107, Key: "x", Deleted: true},
			{RV: 109, Key: "y", Value: "7b"},
		},
		sessions: []watched{
			{Watcher: "all", From: 100, Events: []event{
				{"ADDED", "x", 101, "1a"}, {"MODIFIED", "x", 103, "3b"}, {"BOOKMARK", "", 104, ""}, {"ADDED", "y", 105, "5a"},
			}},
			{Watcher: "all", From: 105, Events: []event{{"DELETED", "x", 107, ""}, {"MODIFIED", "y", 109, "7b"}}},
			{Watcher: "of a", Side: "a", From: 100, Events: []event{
				{"ADDED", "x", 101, "1a"}, {"DELETED", "x", 103, "1a"}, {"ADDED", "y", 105, "5a"}, {"BOOKMARK", "", 108, ""},
				{"DELETED", "y", 109, "5a"},
			}},
		},
	}
}

// The judge accepts what is right, and refuses each way in which it may be wrong.
func TestJudge(t *testing.T) {
	alter := func(r *record, o int, f func(*operation)) { f(&r.all[o]) }
	for _, test := range []struct {
		name string
		do   func(*record)
		want string // none: it is accepted
	}{
		{"sound", func(*record) {}, ""},
		{"an open write that has not happened", func(r *record) {
			r.all = append(r.all, operation{Client: 3, Verb: create, Key: "x", Value: "8a", Call: 300, Return: 310, Answer: open})
		}, ""},
		{"an open deletion that has happened later", func(r *record) {
			r.all = append(r.all, operation{Client: 3, Verb: remove, Key: "y", Call: 220, Return: 230, Answer: open},
				operation{Client: 2, Verb: get, Key: "y", NotOlder: now, Call: 240, Return: 250, Answer: done, RV: 109, Read: "7b"},
				operation{Client: 2, Verb: get, Key: "y", NotOlder: now, Call: 260, Return: 270, Answer: absent})
			r.history = append(r.history, change{RV: 111, Key: "y", Deleted: true})
		}, ""},

		{"a lost write", func(r *record) { r.history = slices.Delete(r.history, 4, 5); r.sessions = nil }, "a write is lost"},
		{"a lost write, read before", func(r *record) {
			alter(r, 11, func(o *operation) { o.Answer, o.RV, o.Read = done, 101, "1a" })
		}, "not linearizable"},
		{"a lost deletion", func(r *record) { r.history = slices.Delete(r.history, 3, 4); r.sessions = nil }, "1 more deletions of x"},
		{"a write at another revision", func(r *record) { alter(r, 14, func(o *operation) { o.RV = 108 }) }, "was acknowledged otherwise"},
		{"a refused write that has happened", func(r *record) {
			alter(r, 14, func(o *operation) { o.Answer = conflict })
		}, "what was refused"},
		{"a write of nobody", func(r *record) {
			r.history = append(r.history, change{RV: 120, Key: "x", Value: "9a"})
		}, "nobody has written"},
		{"a write that happened twice", func(r *record) { r.history = append(r.history, change{RV: 120, Key: "y", Value: "7b"}) }, "twice"},
		{"a history out of order", func(r *record) { r.history[1].RV = 106 }, "out of order"},

		{"two creations", func(r *record) { alter(r, 1, func(o *operation) { o.Answer, o.RV = done, 102 }) }, "not linearizable"},
		{"two updates of one version", func(r *record) {
			alter(r, 3, func(o *operation) { o.Answer, o.RV = done, 104 })
		}, "not linearizable"},
		{"a conflict that was none", func(r *record) { alter(r, 14, func(o *operation) { o.Answer = conflict }) }, "not linearizable"},
		{"a deletion of another version", func(r *record) { alter(r, 10, func(o *operation) { o.Expected = 101 }) }, "not linearizable"},
		{"a stale quorum read", func(r *record) { alter(r, 4, func(o *operation) { o.RV, o.Read = 101, "1a" }) }, "not linearizable"},
		{"a quorum read of what is deleted", func(r *record) {
			alter(r, 11, func(o *operation) { o.Answer, o.RV, o.Read = done, 103, "3b" })
		}, "not linearizable"},
		{"a read of what is not there yet", func(r *record) {
			alter(r, 5, func(o *operation) { o.RV, o.Read = 105, "3b" })
		}, "it was not so"},
		{"a read before the write", func(r *record) {
			alter(r, 5, func(o *operation) { o.RV, o.Read, o.Call, o.Return = 103, "3b", 1, 2 })
		}, "not written yet"},
		{"a read that is older than asked for", func(r *record) {
			alter(r, 6, func(o *operation) { o.RV, o.Read = 101, "1a" })
		}, "it was not so at 103"},
		{"a stale quorum list", func(r *record) {
			alter(r, 9, func(o *operation) { o.RV, o.Items = 101, map[string]object{"x": {101, "1a"}} })
		}, "the list is older than 103"},
		{"a list that is older than asked for", func(r *record) {
			alter(r, 13, func(o *operation) { o.RV, o.Items = 103, map[string]object{"x": {103, "3b"}} })
		}, "the list is older than 105"},
		{"a list without an object", func(r *record) { alter(r, 13, func(o *operation) { o.Items = nil }) }, "not what was there"},
		{"a list of two times", func(r *record) {
			alter(r, 13, func(o *operation) { o.Items = map[string]object{"x": {103, "3b"}, "y": {105, "5a"}} })
		}, "not what was there"},
		{"a resourceVersion that falls", func(r *record) {
			r.all[14].RV, r.history[4].RV = 102, 102
			slices.SortFunc(r.history, func(a, b change) int { return int(a.RV - b.RV) })
		}, "a resourceVersion falls"},
		{"a resourceVersion twice", func(r *record) {
			alter(r, 14, func(o *operation) { o.RV = 103 })
		}, "two writes have one resourceVersion"},

		{"an event twice", func(r *record) {
			r.sessions[0].Events = slices.Insert(r.sessions[0].Events, 1, r.sessions[0].Events[0])
		}, "an event comes twice"},
		{"an event again in the next watch", func(r *record) {
			r.sessions[1].Events = slices.Insert(r.sessions[1].Events, 0, r.sessions[0].Events[3])
		}, "an event is out of order"},
		{"a missing event", func(r *record) { r.sessions[0].Events = slices.Delete(r.sessions[0].Events, 0, 1) }, "an event is missing"},
		{"the first event of the next watch missing", func(r *record) {
			r.sessions[1].Events = r.sessions[1].Events[1:]
		}, "an event is missing"},
		{"an event missing at a bookmark", func(r *record) {
			r.sessions[0].Events = slices.Delete(r.sessions[0].Events, 1, 2)
		}, "missing at the bookmark 104"},
		{"events out of order", func(r *record) { e := r.sessions[1].Events; e[0], e[1] = e[1], e[0] }, "an event is missing"},
		{"an event before a bookmark", func(r *record) { r.sessions[0].Events[2].RV = 105 }, "missing at the bookmark 105"},
		{"a bookmark that goes back", func(r *record) { r.sessions[0].Events[2].RV = 102 }, "a bookmark goes back"},
		{"an event of another value", func(r *record) { r.sessions[0].Events[1].Value = "9b" }, "was not so"},
		{"an event of another type", func(r *record) { r.sessions[0].Events[3].Type = "MODIFIED" }, "was not so"},
		{"an event that the selector does not select", func(r *record) {
			r.sessions[2].Events = slices.Insert(r.sessions[2].Events, 2, event{"MODIFIED", "x", 104, "3b"})
		}, "was not so"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := sound()
			// What a deletion shows is what was there last.
			r.sessions[1].Events[0].Value = "3b"
			test.do(r)
			drawing := filepath.Join(t.TempDir(), "history.html")
			err := judge(r.all, r.sessions, r.history, drawing)
			if test.want == "" {
				if err != nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is missing in: %v", test.want, err)
			}
			if strings.Contains(test.want, "linearizable") {
				if info, err := os.Stat(drawing); err != nil || info.Size() == 0 {
					t.Errorf("it is not drawn: %v, %v", info, err)
				}
			}
		})
	}
}
