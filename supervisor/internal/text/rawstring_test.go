package text

import (
	"encoding/json"
	"testing"
)

// A string comes back as it was, and text is a string in JSON, too.
func TestRawString(t *testing.T) {
	for text, want := range map[string]string{
		"":          `""`,
		"/a/ü \"":   `"/a/ü \""`,
		"/a/\xff\n": `{"bytes":"L2Ev/wo="}`,
	} {
		got, err := json.Marshal(RawString(text))
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, want %s (%v)", text, got, want, err)
		}
		var back RawString
		if err := json.Unmarshal(got, &back); err != nil || string(back) != text {
			t.Errorf("%s: %q, want %q (%v)", got, back, text, err)
		}
	}
	var r RawString
	for _, wrong := range []string{"1", `{"bytes": "%"}`, "[]"} {
		if err := json.Unmarshal([]byte(wrong), &r); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
