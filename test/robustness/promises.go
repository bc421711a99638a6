package robustness

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// durable judges whether all that was acknowledged is in the history, as it was acknowledged, and nothing that was
// refused.
func durable(all []operation, h history) []error {
	var found []error
	fail := func(format string, args ...any) { found = append(found, fmt.Errorf(format, args...)) }
	asked := map[string]operation{}
	removed := map[string]int{}
	for _, o := range all {
		if !o.writes() {
			continue
		}
		if o.Verb == remove {
			if o.Answer == done {
				removed[o.Key]++
			}
			continue
		}
		asked[o.Value] = o
		c, ok := h.written(o.Value)
		switch {
		case o.Answer == done && !ok:
			fail("a write is lost: %v", o)
		case o.Answer == done && (c.Key != o.Key || c.RV != o.RV):
			fail("a write is in the history as %+v, and was acknowledged otherwise: %v", c, o)
		}
	}
	seen, last := map[string]bool{}, int64(0)
	for _, c := range h {
		if c.RV <= last {
			fail("the history is out of order: %+v comes after %d", c, last)
		}
		last = c.RV
		if c.Deleted {
			removed[c.Key]--
			continue
		}
		switch o, ok := asked[c.Value]; {
		case !ok:
			fail("nobody has written %+v", c)
		case seen[c.Value]:
			fail("a write is in the history twice: %+v", c)
		case o.Answer != done && o.Answer != open:
			fail("what was refused is in the history as %+v: %v", c, o)
		}
		seen[c.Value] = true
	}
	for _, key := range slices.Sorted(maps.Keys(removed)) {
		if n := removed[key]; n > 0 {
			fail("%d more deletions of %s were acknowledged than are in the history", n, key)
		}
	}
	return found
}

// rising judges whether resourceVersions are unique, and rise with time: a write that was asked for when another was
// acknowledged has a greater one, whatever their objects.
func rising(all []operation) []error {
	var found []error
	byRV := map[int64]operation{}
	var ended []operation
	for _, o := range all {
		if o.Answer != done || o.Verb != create && o.Verb != update {
			continue
		}
		if other, ok := byRV[o.RV]; ok {
			found = append(found, fmt.Errorf("two writes have one resourceVersion: %v; %v", other, o))
		}
		byRV[o.RV] = o
		ended = append(ended, o)
	}
	slices.SortFunc(ended, func(a, b operation) int { return int(a.Return - b.Return) })
	latest := newest(ended)
	for _, o := range ended {
		if before, ok := latest(o.Call); ok && before.RV > o.RV {
			found = append(found, fmt.Errorf("a resourceVersion falls: %v, and later %v", before, o))
		}
	}
	return found
}

// newest finds of writes, sorted by their ends, the one with the greatest resourceVersion that had ended before a time.
func newest(ended []operation) func(time int64) (operation, bool) {
	greatest := slices.Clone(ended)
	for i := 1; i < len(greatest); i++ {
		if greatest[i-1].RV > greatest[i].RV {
			greatest[i] = greatest[i-1]
		}
	}
	return func(time int64) (operation, bool) {
		i, _ := slices.BinarySearchFunc(ended, time, func(o operation, t int64) int {
			if o.Return < t {
				return -1
			}
			return 1
		})
		if i == 0 {
			return operation{}, false
		}
		return greatest[i-1], true
	}
}

// reads judges what was read, against what was there at the times at which it may have been read: a list is what was
// there at its resourceVersion, none is older than it may be, and none shows what nobody had asked for yet.
func reads(all []operation, h history) []error {
	var found []error
	fail := func(o operation, format string, args ...any) {
		found = append(found, fmt.Errorf("%v: %s", o, fmt.Sprintf(format, args...)))
	}
	var ended []operation
	called := map[string]int64{} // when a value was asked to be written
	for _, o := range all {
		if o.writes() && o.Value != "" {
			called[o.Value] = o.Call
			if o.Answer == done {
				ended = append(ended, o)
			}
		}
	}
	slices.SortFunc(ended, func(a, b operation) int { return int(a.Return - b.Return) })
	latest := newest(ended)
	for _, o := range all {
		if o.writes() || o.Answer != done && o.Answer != absent {
			continue
		}
		least := max(o.NotOlder, 0)
		if before, ok := latest(o.Call); ok && o.NotOlder == now {
			least = before.RV
		}
		if o.Verb == list {
			if o.RV < least {
				fail(o, "the list is older than %d", least)
			}
			if was := h.at(o.RV); !maps.Equal(was, o.Items) {
				fail(o, "the list is not what was there: it has %v, and there was %v", o.Items, was)
			}
			for _, item := range o.Items {
				if called[item.Value] > o.Return {
					fail(o, "%+v was not written yet", item)
				}
			}
			continue
		}
		// Quorum reads of one object are porcupine's, which knows deletions that were acknowledged, too.
		if o.NotOlder == now {
			continue
		}
		if why := readable(o, h.of(o.Key), least); why != "" {
			fail(o, "%s", why)
		}
		if o.Answer == done && called[o.Read] > o.Return {
			fail(o, "it was not written yet")
		}
	}
	return found
}

// readable says why an object cannot have been read so at any time from a revision on.
func readable(o operation, changes history, least int64) string {
	was := change{Deleted: true}
	for i := -1; i < len(changes); i++ {
		if i >= 0 {
			was = changes[i]
		}
		until := int64(math.MaxInt64) // it is so before that revision
		if i+1 < len(changes) {
			until = changes[i+1].RV
		}
		same := o.Answer == absent && was.Deleted || o.Answer == done && !was.Deleted && was.RV == o.RV && was.Value == o.Read
		if same && until > least {
			return ""
		}
	}
	return fmt.Sprintf("it was not so at %d or later", least)
}

// seenBy are the events that a watch with a selector of that side has to show.
func seenBy(of string, h history) []event {
	var found []event
	last := map[string]string{}
	for _, c := range h {
		before, was := last[c.Key]
		if c.Deleted {
			delete(last, c.Key)
		} else {
			last[c.Key] = c.Value
		}
		was = was && (of == "" || side(before) == of)
		is := !c.Deleted && (of == "" || side(c.Value) == of)
		e := event{Key: c.Key, RV: c.RV, Value: c.Value}
		switch {
		case is && was:
			e.Type = "MODIFIED"
		case is:
			e.Type = "ADDED"
		case was:
			e.Type, e.Value = "DELETED", before
		default:
			continue
		}
		found = append(found, e)
	}
	return found
}

// consistent judges a watch: no event twice, none missing, none out of order, none that was not, and at a bookmark all
// before it have been shown.
func consistent(s watched, h history) []error {
	fail := func(format string, args ...any) []error {
		return []error{fmt.Errorf("watcher %s from %d: %s", s.Watcher, s.From, fmt.Sprintf(format, args...))}
	}
	due := seenBy(s.Side, h)
	due = slices.DeleteFunc(due, func(e event) bool { return e.RV <= s.From })
	shown, last := map[event]bool{}, s.From
	for _, e := range s.Events {
		if e.Type == "BOOKMARK" {
			if e.RV < last {
				return fail("a bookmark goes back from %d to %d", last, e.RV)
			}
			if len(due) > 0 && due[0].RV <= e.RV {
				return fail("an event is missing at the bookmark %d: %+v", e.RV, due[0])
			}
			last = e.RV
			continue
		}
		switch {
		case shown[e]:
			return fail("an event comes twice: %+v", e)
		case e.RV <= last:
			return fail("an event is out of order: %+v comes after %d", e, last)
		case !slices.Contains(due, e):
			return fail("an event was not so: %+v", e)
		case due[0] != e:
			return fail("an event is missing: %+v, before %+v", due[0], e)
		}
		shown[e], last, due = true, e.RV, due[1:]
	}
	return nil
}
