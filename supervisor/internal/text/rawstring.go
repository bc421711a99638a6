package text

import (
	"encoding/json"
	"unicode/utf8"
)

// RawString is a string in JSON that need not be text, such as a path: where it is none, it is an object there, with
// the bytes.
type RawString string

type rawBytes struct {
	Bytes []byte `json:"bytes"`
}

// MarshalJSON is that of a json.Marshaler.
func (p RawString) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(rawBytes{[]byte(p)})
}

// UnmarshalJSON is that of a json.Unmarshaler.
func (p *RawString) UnmarshalJSON(text []byte) error {
	var raw rawBytes
	if len(text) > 0 && text[0] == '{' {
		err := json.Unmarshal(text, &raw)
		*p = RawString(raw.Bytes)
		return err
	}
	return json.Unmarshal(text, (*string)(p))
}

// RawStrings are the texts, each as a RawString.
func RawStrings(texts []string) (raw []RawString) {
	for _, text := range texts {
		raw = append(raw, RawString(text))
	}
	return raw
}

// Strings are what RawStrings has made the raw ones of.
func Strings(raw []RawString) (texts []string) {
	for _, r := range raw {
		texts = append(texts, string(r))
	}
	return texts
}
