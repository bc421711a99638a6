// Package charset reads texts as editors and shells write them, in one encoding or another. It is for files that people
// write: config files here, and files of objects in servers.
package charset

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// The byte order marks with which texts in these encodings begin.
var (
	utf8Mark  = []byte("\xef\xbb\xbf")
	utf32Mark = [][]byte{[]byte("\xff\xfe\x00\x00"), []byte("\x00\x00\xfe\xff")}
	utf16Mark = map[string]unicode.Endianness{"\xff\xfe": unicode.LittleEndian, "\xfe\xff": unicode.BigEndian}
)

// Decode returns a text in UTF-8, as kubectl does. data may be in UTF-8, with or without a byte order mark, or in
// UTF-16 with one. The mark is left out; so the lines are those of the editor. Another encoding is an error, but bytes
// that are not UTF-8 are not found here: see Invalid.
func Decode(data []byte) ([]byte, error) {
	for _, mark := range utf32Mark {
		if bytes.HasPrefix(data, mark) {
			return nil, errors.New("it is encoded as UTF-32; save it as UTF-8")
		}
	}
	for mark, order := range utf16Mark {
		if !bytes.HasPrefix(data, []byte(mark)) {
			continue
		}
		encoding := unicode.UTF16(order, unicode.ExpectBOM)
		text, err := encoding.NewDecoder().Bytes(data)
		if err != nil {
			return nil, err
		}
		// Invalid input becomes a replacement character, which is encoded to something else than the input.
		if again, err := encoding.NewEncoder().Bytes(text); err != nil || !bytes.Equal(again, data) {
			return nil, errors.New("it is encoded as UTF-16, and damaged; save it as UTF-8")
		}
		return text, nil
	}
	data = bytes.TrimPrefix(data, utf8Mark)
	if seemsUTF16(data) {
		return nil, errors.New("it is encoded as UTF-16, without the mark (BOM) that says so; save it as UTF-8")
	}
	return data, nil
}

// seemsUTF16 reports whether every other byte at the beginning is 0, as it is with Latin letters.
func seemsUTF16(data []byte) bool {
	const enough = 4
	if len(data) < enough {
		return false
	}
	zero := func(i int) bool { return data[i] == 0 }
	return zero(0) && zero(2) && !zero(1) && !zero(3) || zero(1) && zero(3) && !zero(0) && !zero(2)
}

// Invalid is an error about the first byte of a text that is not UTF-8, and its line, from 1; nil if there is none.
func Invalid(text []byte) (line int, err error) {
	offset, err := InvalidAt(text)
	if err != nil {
		line = 1 + bytes.Count(text[:offset], []byte("\n"))
	}
	return line, err
}

// InvalidAt is Invalid with the offset of the byte, for callers that count lines in another way.
func InvalidAt(text []byte) (offset int, err error) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i, fmt.Errorf("byte %#x is not UTF-8; save the file as UTF-8", text[i])
		}
		i += size
	}
	return 0, nil
}
