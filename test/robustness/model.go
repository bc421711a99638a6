package robustness

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is what the model knows of an object.
type state struct {
	there bool
	rv    int64 // 0: not known yet, since the write that made it was not answered
	value string
}

func (s state) is(rv int64) bool { return s.rv == 0 || rv == 0 || s.rv == rv }

// model is porcupine's of one object. A request that is open has its end at the end of all: that it never happened is
// the same as that it happened last.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string][]porcupine.Operation{}
		for _, o := range all {
			key := o.Input.(operation).Key
			keys[key] = append(keys[key], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range keys {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return state{} },
	Step: func(s, in, _ any) (bool, any) {
		legal, next := s.(state).step(in.(operation))
		return legal, next
	},
	DescribeOperation: func(in, _ any) string { return in.(operation).String() },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

// step is whether the object can answer so, and what it is afterwards.
func (s state) step(o operation) (bool, state) {
	written := state{true, o.RV, o.Value}
	switch o.Answer {
	case exists:
		return s.there, s
	case absent:
		return !s.there, s
	case conflict:
		return s.there && (s.rv == 0 || s.rv != o.Expected), s
	case done:
		switch o.Verb {
		case create:
			return !s.there, written
		case update:
			return s.there && s.is(o.Expected) && o.RV > o.Expected, written
		case remove:
			return s.there && s.is(o.Expected), state{}
		default:
			return s.there && s.is(o.RV) && s.value == o.Read, state{true, o.RV, o.Read}
		}
	case open:
		switch {
		case o.Verb == create && !s.there, o.Verb == update && s.there && s.is(o.Expected):
			return true, written
		case o.Verb == remove && s.there && s.is(o.Expected):
			return true, state{}
		}
	}
	return true, s
}

// ends makes of a run's operations those that porcupine judges. What etcd's history says of those that were not
// answered is used: one whose value is in it has happened, at that revision, and one whose value is not has not.
func ends(all []operation, h history) []porcupine.Operation {
	deleted, acknowledged := map[string]int{}, map[string]int{}
	for _, c := range h {
		if c.Deleted {
			deleted[c.Key]++
		}
	}
	keys := map[string]bool{}
	for _, o := range all {
		if o.Key != "" {
			keys[o.Key] = true
		}
		if o.Verb == remove && o.Answer == done {
			acknowledged[o.Key]++
		}
	}
	var found []porcupine.Operation
	add := func(o operation) {
		found = append(found, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Output: o.Answer, Return: o.Return})
	}
	for _, o := range all {
		switch {
		case !o.writes() && (o.NotOlder != now || o.Answer == open || o.Answer == expired): // not what is now
		case o.Verb == list: // a get of each object
			for key := range keys {
				one := o
				one.Verb, one.Key, one.Items, one.RV, one.Answer = get, key, nil, 0, absent
				if item, ok := o.Items[key]; ok {
					one.RV, one.Read, one.Answer = item.RV, item.Value, done
				}
				add(one)
			}
		case o.Answer == open:
			o.Return = math.MaxInt64
			if o.Verb == remove {
				if deleted[o.Key] == acknowledged[o.Key] {
					continue
				}
			} else if c, ok := h.written(o.Value); ok {
				o.RV = c.RV
			} else {
				continue
			}
			add(o)
		default:
			add(o)
		}
	}
	return found
}

// linearizable judges whether the operations can have been done one after the other, each between its call and its
// return. What it refuses is drawn into the file.
func linearizable(all []operation, h history, file string) error {
	// It is no expectation of speed; porcupine takes milliseconds, unless it has to try very many orders. No stacks
	// would tell more.
	const limit = 5 * time.Minute
	result, info := porcupine.CheckOperationsVerbose(model, ends(all, h), limit)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("porcupine has found neither an order of the operations nor that there is none within %v", limit)
	default:
		drawn := file
		if err := porcupine.VisualizePath(model, info, file); err != nil {
			drawn = err.Error()
		}
		return fmt.Errorf("the operations are not linearizable: %s", drawn)
	}
}

// judge is all that is promised of a run. Each error is one promise that was broken.
func judge(all []operation, sessions []watched, h history, drawing string) error {
	slices.SortStableFunc(all, func(a, b operation) int { return int(a.Call - b.Call) })
	var found []error
	found = append(found, durable(all, h)...)
	found = append(found, rising(all)...)
	found = append(found, reads(all, h)...)
	for _, s := range sessions {
		found = append(found, consistent(s, h)...)
	}
	if err := linearizable(all, h, drawing); err != nil {
		found = append(found, err)
	}
	if len(found) > maxErrors {
		found = append(found[:maxErrors], fmt.Errorf("and %d more", len(found)-maxErrors))
	}
	return errors.Join(found...)
}

// maxErrors is how many a reader is shown.
const maxErrors = 20
