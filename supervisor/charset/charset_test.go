package charset

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// inUTF16 is a text in that encoding, without a mark.
func inUTF16(text string, big bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		low, high := byte(unit), byte(unit>>8)
		if big {
			low, high = high, low
		}
		b.Write([]byte{low, high})
	}
	return b.String()
}

func TestDecode(t *testing.T) {
	const plain = "a: ä 数 🙂\n# \ufffd\nb: 1\r\n"
	for _, test := range []struct{ name, data, want, err string }{
		{"empty", "", "", ""},
		{"UTF-8", plain, plain, ""},
		{"UTF-8 with a mark", "\ufeff" + plain, plain, ""},
		{"UTF-16", "\xff\xfe" + inUTF16(plain, false), plain, ""},
		{"UTF-16, the other way round", "\xfe\xff" + inUTF16(plain, true), plain, ""},
		{"nothing but a mark", "\xff\xfe", "", ""},
		{"UTF-16 without a mark", inUTF16(plain, false), "", "as UTF-16, without the mark (BOM)"},
		{"UTF-16 without a mark, the other way round", inUTF16(plain, true), "", "as UTF-16, without the mark (BOM)"},
		{"cut UTF-16", "\xff\xfea\x00b", "", "as UTF-16, and damaged"},
		{"half a pair", "\xff\xfea\x00\x3d\xd8a\x00", "", "as UTF-16, and damaged"},
		{"UTF-32", "\xff\xfe\x00\x00a\x00\x00\x00", "", "as UTF-32"},
		{"UTF-32, the other way round", "\x00\x00\xfe\xff\x00\x00\x00a", "", "as UTF-32"},
		{"Latin 1 is told by Invalid", "a: \xe4\n", "a: \xe4\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Decode([]byte(test.data))
			if (err == nil) != (test.err == "") || err != nil && (!strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "save it as UTF-8")) {
				t.Errorf("the error is %v", err)
			}
			if string(got) != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	if line, err := Invalid([]byte("a: ä\nb\n# \xe4\n\xff")); line != 3 || err == nil || err.Error() != "byte 0xe4 is not UTF-8; save the file as UTF-8" {
		t.Errorf("line %d, %v", line, err)
	}
	if line, err := Invalid([]byte("a: ä \ufffd")); line != 0 || err != nil {
		t.Errorf("line %d, %v", line, err)
	}
}
