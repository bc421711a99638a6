package text

import (
	"errors"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"abc", "xabc", 1},
		{"ab", "ba", 2},
		{"kitten", "sitting", 3},
	} {
		for limit := range 6 {
			got := distance(test.a, test.b, limit)
			if right := got == test.want; !right && test.want <= limit || got <= limit && !right {
				t.Errorf("distance(%q, %q, %d) is %d, want %d", test.a, test.b, limit, got, test.want)
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	unknown := errors.New("unknown")
	for _, test := range []struct {
		word  string
		known []string
		want  string
	}{
		{"anything", nil, "unknown"},
		{"scheduler", []string{"etcd", "proxy"}, "unknown"},
		{"shceduler", []string{"etcd", "scheduler"}, "unknown (did you mean scheduler?)"},
		{"ectd", []string{"etcd", "executor"}, "unknown (did you mean etcd?)"},
		// One other letter makes any word of one letter, two any of two.
		{"a", []string{"b", "c"}, "unknown"},
		{"a", []string{"b", "ab"}, "unknown (did you mean ab?)"},
		{"ab", []string{"cd", "a"}, "unknown (did you mean a?)"},
		{"ab", []string{"cd", "ef"}, "unknown"},
		{"", []string{"a", "b"}, "unknown"},
		// The nearest one, wherever it stands.
		{"test", []string{"best12", "test1", "toast"}, "unknown (did you mean test1?)"},
		// As far as the others, but what was begun to be typed.
		{"exec", []string{"executor", "execute"}, "unknown (did you mean execute?)"},
		// Begun to be typed, far from its end: if there is only one.
		{"con", []string{"controller", "scheduler", "controller"}, "unknown (did you mean controller?)"},
		{"con", []string{"controller", "connector"}, "unknown"},
		{"co", []string{"controller", "scheduler"}, "unknown"},
	} {
		err := Suggest(unknown, test.word, test.known)
		if err.Error() != test.want || !errors.Is(err, unknown) {
			t.Errorf("%s of %v: %q, want %q", test.word, test.known, err, test.want)
		}
	}
}
