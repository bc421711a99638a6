package text

import (
	"encoding/json"
	"unicode/utf8"
)

// RawString is a string in JSON that need not be text, such as a path. If it is not text, JSON has an object with the
// bytes.
type RawString string

type rawBytes struct {
	Bytes []byte `json:"bytes"`
}

// MarshalJSON is that of a json.Marshaler.
func (s RawString) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(s)) {
		return json.Marshal(string(s))
	}
	return json.Marshal(rawBytes{[]byte(s)})
}

// UnmarshalJSON is that of a json.Unmarshaler.
func (s *RawString) UnmarshalJSON(text []byte) error {
	var raw rawBytes
	if len(text) > 0 && text[0] == '{' {
		err := json.Unmarshal(text, &raw)
		*s = RawString(raw.Bytes)
		return err
	}
	return json.Unmarshal(text, (*string)(s))
}

// RawStrings are the texts, each as a RawString.
func RawStrings(texts []string) (raw []RawString) {
	for _, text := range texts {
		raw = append(raw, RawString(text))
	}
	return raw
}

// Strings is the inverse of RawStrings.
func Strings(raw []RawString) (texts []string) {
	for _, r := range raw {
		texts = append(texts, string(r))
	}
	return texts
}
