package text

import "testing"

func TestCells(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "äöü": 3, "…": 1, "数据": 4, "ｱ": 1, "Ａ": 2, "e\u0301": 1, "한글": 4, "🙂": 2,
	} {
		if got := Cells(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abc", 1, "…"}, {"abc", 0, ""}, {"", 0, ""},
		{"数据文", 6, "数据文"}, {"数据文", 5, "数据…"}, {"数据文", 4, "数…"}, {"数据文", 1, "…"},
	} {
		got := Cut(test.text, test.columns)
		if got != test.want || Cells(got) > test.columns {
			t.Errorf("%q in %d columns: %q, want %q", test.text, test.columns, got, test.want)
		}
	}
}
