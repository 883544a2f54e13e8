package search

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// step is a step of the paths that a filter asks for: a member of an object or an element of a list. Together they are a
// tree, along which a body is read once.
type step struct {
	key   string
	index int // -1: a member
	path  int // place of the value that is found here, -1: none is asked for
	kids  []*step
}

// child returns the step from s to a member or element, new or not.
func (s *step) child(key string, index int) *step {
	if k := s.find(key, index); k != nil {
		return k
	}
	k := &step{key: key, index: index, path: -1}
	s.kids = append(s.kids, k)
	return k
}

func (s *step) find(key string, index int) *step {
	if s == nil {
		return nil
	}
	for _, k := range s.kids {
		if k.index == index && k.key == key {
			return k
		}
	}
	return nil
}

// forget drops what was found from s on: of two members with one name the last one counts.
func (s *step) forget(values []value) {
	if s.path >= 0 {
		values[s.path] = value{}
	}
	for _, k := range s.kids {
		k.forget(values)
	}
}

// value is what stands at a path of a body.
type value struct {
	kind valueKind
	text string // a string's, or as it is written
}

type valueKind uint8

const (
	absent valueKind = iota
	textual
	numerical
	literal   // true, false, null
	container // an object or a list
)

// scan finds the values of paths in a body. If it is not JSON (RFC 8259) in UTF-8, or is nested too deep, there are none.
func scan(body string, paths *step, values []value) {
	clear(values)
	s := scanner{text: body, values: values}
	ok := utf8.ValidString(body) && s.value(paths, 0)
	if s.space(); !ok || s.pos < len(body) {
		clear(values)
	}
}

// scanner reads JSON without making anything of what nobody asks for.
type scanner struct {
	text   string
	pos    int
	values []value
}

// value reads a value, which is at step at, or at nil where nobody asks.
func (s *scanner) value(at *step, depth int) bool {
	s.space()
	if s.pos == len(s.text) {
		return false
	}
	start, kind, plain := s.pos, container, true
	var ok bool
	switch c := s.text[s.pos]; c {
	case '{':
		ok = depth < MaxDepth && s.object(at, depth+1)
	case '[':
		ok = depth < MaxDepth && s.list(at, depth+1)
	case '"':
		kind = textual
		plain, ok = s.str()
	case 't':
		kind, ok = literal, s.word("true")
	case 'f':
		kind, ok = literal, s.word("false")
	case 'n':
		kind, ok = literal, s.word("null")
	default:
		kind, ok = numerical, s.number()
	}
	if !ok || at == nil || at.path < 0 {
		return ok
	}
	v := value{kind: kind}
	switch kind {
	case textual:
		v.text = unquote(s.text[start:s.pos], plain)
	case numerical, literal:
		v.text = s.text[start:s.pos]
	}
	s.values[at.path] = v
	return true
}

func (s *scanner) object(at *step, depth int) bool {
	s.pos++
	if s.sign('}') {
		return true
	}
	for {
		s.space()
		start := s.pos
		plain, ok := s.str()
		if !ok {
			return false
		}
		var next *step
		if at != nil && len(at.kids) > 0 {
			if next = at.find(unquote(s.text[start:s.pos], plain), -1); next != nil {
				next.forget(s.values)
			}
		}
		switch {
		case !s.sign(':') || !s.value(next, depth):
			return false
		case s.sign('}'):
			return true
		case !s.sign(','):
			return false
		}
	}
}

func (s *scanner) list(at *step, depth int) bool {
	s.pos++
	if s.sign(']') {
		return true
	}
	for i := 0; ; i++ {
		switch {
		case !s.value(at.find("", i), depth):
			return false
		case s.sign(']'):
			return true
		case !s.sign(','):
			return false
		}
	}
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// sign skips a sign and the space before it, and reports whether it stood here.
func (s *scanner) sign(c byte) bool {
	s.space()
	ok := s.pos < len(s.text) && s.text[s.pos] == c
	if ok {
		s.pos++
	}
	return ok
}

func (s *scanner) word(w string) bool {
	ok := strings.HasPrefix(s.text[s.pos:], w)
	s.pos += len(w)
	return ok
}

// str skips a string, and reports whether it is one and has no escapes.
func (s *scanner) str() (plain, ok bool) {
	if s.pos == len(s.text) || s.text[s.pos] != '"' {
		return false, false
	}
	plain = true
	text := s.text
	for i := s.pos + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.pos = i + 1
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

func (s *scanner) number() bool {
	if s.text[s.pos] == '-' {
		s.pos++
	}
	digits, rest := cutDigits(s.text[s.pos:])
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
	s.pos = len(s.text) - len(rest)
	return true
}

// unquote returns the text of a string that is well formed, with its quotes. A plain one has no escapes.
func unquote(s string, plain bool) string {
	if plain {
		return s[1 : len(s)-1]
	}
	var text string
	_ = json.Unmarshal([]byte(s), &text) // it was found to be a string
	return text
}
