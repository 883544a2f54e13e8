// Package rawjson reads JSON without making anything of it: what a value is and where it stands is found out in one pass over
// the text, and only what somebody asks for is turned into a string or a number. Its users walk along objects and lists
// themselves, because each looks for something else there.
package rawjson

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Kind is what a value is that has no others in it.
type Kind uint8

// The kinds.
const (
	String Kind = iota
	Numeric
	True
	False
	Null
)

// Scanner stands at byte Pos of a text that should be JSON (RFC 8259). That the text is UTF-8 is for the caller to check.
type Scanner struct {
	Text string
	Pos  int
}

// Space skips white space.
func (s *Scanner) Space() {
	for s.Pos < len(s.Text) {
		switch s.Text[s.Pos] {
		case ' ', '\t', '\n', '\r':
			s.Pos++
		default:
			return
		}
	}
}

// Next returns the byte that stands here, and 0 at the end.
func (s *Scanner) Next() byte {
	if s.Pos >= len(s.Text) {
		return 0
	}
	return s.Text[s.Pos]
}

// Sign skips a sign and the space before it, and reports whether it stood here.
func (s *Scanner) Sign(c byte) bool {
	s.Space()
	ok := s.Pos < len(s.Text) && s.Text[s.Pos] == c
	if ok {
		s.Pos++
	}
	return ok
}

// Scalar skips a string, a number or a word, and reports what it was. A plain string has no escapes.
func (s *Scanner) Scalar() (kind Kind, plain, ok bool) {
	switch s.Next() {
	case '"':
		plain, ok = s.Str()
		return String, plain, ok
	case 't':
		return True, false, s.word("true")
	case 'f':
		return False, false, s.word("false")
	case 'n':
		return Null, false, s.word("null")
	}
	return Numeric, false, s.number()
}

func (s *Scanner) word(w string) bool {
	ok := strings.HasPrefix(s.Text[s.Pos:], w)
	if ok {
		s.Pos += len(w)
	}
	return ok
}

// Str skips a string, and reports whether it is one and has no escapes.
func (s *Scanner) Str() (plain, ok bool) {
	if s.Pos == len(s.Text) || s.Text[s.Pos] != '"' {
		return false, false
	}
	plain = true
	text := s.Text
	for i := s.Pos + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.Pos = i + 1
			return plain, true
		case c < ' ':
			return false, false
		case c == '\\':
			plain = false
			i++
			if i == len(text) || strings.IndexByte(`"\/bfnrtu`, text[i]) < 0 || text[i] == 'u' && !isHex(text[i+1:]) {
				return false, false
			}
		}
	}
	return false, false
}

// isHex reports whether s begins with four hexadecimal digits.
func isHex(s string) bool {
	if len(s) < 4 {
		return false
	}
	for i := range 4 {
		if c := s[i] | 0x20; (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (s *Scanner) number() bool {
	if s.Next() == '-' {
		s.Pos++
	}
	digits, rest := cutDigits(s.Text[s.Pos:])
	if digits == "" || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	if behind, ok := strings.CutPrefix(rest, "."); ok {
		if digits, rest = cutDigits(behind); digits == "" {
			return false
		}
	}
	if rest != "" && rest[0]|0x20 == 'e' {
		rest = rest[1:]
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			rest = rest[1:]
		}
		if digits, rest = cutDigits(rest); digits == "" {
			return false
		}
	}
	s.Pos = len(s.Text) - len(rest)
	return true
}

// Unquote returns the text of a string that is well formed, with its quotes. A plain one has no escapes.
func Unquote(s string, plain bool) string {
	if plain {
		return s[1 : len(s)-1]
	}
	var text string
	_ = json.Unmarshal([]byte(s), &text) // it was found to be a string
	return text
}

// Place returns line and column of byte at of a text, counted from 1, the column in characters.
func Place(text string, at int) (line, column int) {
	at = min(at, len(text))
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	before := text[:at]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// FirstInvalid returns where the first byte of a text is that is not UTF-8, and the length of the text if there is none.
func FirstInvalid(text string) int {
	for at := 0; ; {
		r, n := utf8.DecodeRuneInString(text[at:])
		if r == utf8.RuneError && n < 2 {
			return at
		}
		at += n
	}
}
