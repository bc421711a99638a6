package text

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestErrors(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	for _, test := range []struct {
		name string
		err  error
		want []error
	}{
		{"one", a, []error{a}},
		{"joined", errors.Join(a, b), []error{a, b}},
		{"joined twice", errors.Join(a, errors.Join(b, c)), []error{a, b, c}},
		{"several", errors.Join(a, errors.Join(b, c)), []error{a, b, c}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Errors(test.err); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	// A text around them has more to say.
	if around := fmt.Errorf("%w, since %w", a, b); !slices.Equal(Errors(around), []error{around}) {
		t.Errorf("got %v, want %v", Errors(around), around)
	}
}
