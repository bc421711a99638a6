package manifests

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

func named(apiVersion, kind, name string) objects.Object {
	return objects.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}}
}

// How long something is tried depends on what was refused, and not on how much there is to do.
func TestRounds(t *testing.T) {
	last, moment := errors.New("last"), &notYet{errors.New("moment")}
	type try struct {
		takes time.Duration
		err   error
	}
	ok, slow, away, wrong := try{time.Second, nil}, try{40 * time.Second, nil}, try{time.Second, moment}, try{time.Second, last}
	for _, test := range []struct {
		name  string
		tries [][]try // of each object, the last one from then on
		want  []string
		count []int
	}{
		{"many slow ones", [][]try{{slow}, {slow}, {slow}, {away, ok}}, nil, []int{1, 1, 1, 2}},
		{"waits for slow ones", [][]try{{away, away, ok}, {slow}, {slow}, {away, slow}}, nil, []int{3, 1, 1, 2}},
		{"progress of others", [][]try{{away, away, away, away, ok}, {away, {59 * time.Second, nil}}, {away, away, {59 * time.Second, nil}}}, nil, []int{5, 2, 3}},
		{"last word", [][]try{{wrong}, {away, wrong}, {ok}}, []string{"0: last", "1: last"}, []int{1, 2, 1}},
		{"for ever", [][]try{{away}, {ok}}, []string{"0: moment (tried again for 1m1s)"}, nil},
		{"slow to refuse", [][]try{{{40 * time.Second, moment}}, {{40 * time.Second, moment}, ok}}, []string{"0: moment (tried again for 1m20s)"}, []int{2, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all []objects.Object
				at, count, begun, firsts := map[objects.Object]int{}, make([]int, len(test.tries)), 0, 0
				for i := range test.tries {
					o := named("v1", "ConfigMap", fmt.Sprint(i))
					at[o], all = i, append(all, o)
				}
				refused := rounds{
					pause: time.Millisecond,
					begin: func(context.Context) { begun++ },
					try: func(_ context.Context, o objects.Object) error {
						tries := test.tries[at[o]]
						now := tries[min(count[at[o]], len(tries)-1)]
						count[at[o]]++
						time.Sleep(now.takes) // of synctest's clock
						return now.err
					},
					again: func(_ objects.Object, err error, first bool) bool {
						if first && passes(err, nil) {
							firsts++
						}
						return passes(err, nil)
					},
				}.run(t.Context(), all)
				var got []string
				for _, r := range refused {
					got = append(got, r.object.GetName()+": "+r.err.Error())
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.count, count); test.count != nil && diff != "" {
					t.Errorf("how often each was tried (-want +got):\n%s", diff)
				}
				most := 0
				for i := range count {
					most = max(most, count[i])
					if test.tries[i][0].err == moment {
						firsts--
					}
				}
				if begun != most || firsts != 0 {
					t.Errorf("%d rounds begun, want %d; %d too many told of", begun, most, firsts)
				}
			})
		})
	}
}

func TestRoundsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		refused := rounds{
			pause: time.Hour,
			begin: func(context.Context) {},
			try:   func(context.Context, objects.Object) error { return errors.New("x") },
			again: func(objects.Object, error, bool) bool { time.AfterFunc(time.Second, cancel); return true },
		}
		start := time.Now()
		if got := refused.run(ctx, []objects.Object{named("v1", "ConfigMap", "a")}); len(got) != 0 || time.Since(start) != time.Second {
			t.Errorf("it ends after %v with %v", time.Since(start), got)
		}
	})
}
