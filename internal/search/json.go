package search

import (
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/rawjson"
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
	s := scanner{Scanner: rawjson.Scanner{Text: body}, values: values}
	ok := utf8.ValidString(body) && s.value(paths, 0)
	if s.Space(); !ok || s.Pos < len(body) {
		clear(values)
	}
}

// scanner reads JSON without making anything of what nobody asks for.
type scanner struct {
	rawjson.Scanner
	values []value
}

// value reads a value, which is at step at, or at nil where nobody asks.
func (s *scanner) value(at *step, depth int) bool {
	s.Space()
	start, v := s.Pos, value{kind: container}
	var ok bool
	switch s.Next() {
	case '{':
		ok = depth < MaxDepth && s.object(at, depth+1)
	case '[':
		ok = depth < MaxDepth && s.list(at, depth+1)
	default:
		var kind rawjson.Kind
		var plain bool
		kind, plain, ok = s.Scalar()
		switch {
		case !ok || at == nil || at.path < 0:
		case kind == rawjson.String:
			v = value{textual, rawjson.Unquote(s.Text[start:s.Pos], plain)}
		case kind == rawjson.Numeric:
			v = value{numerical, s.Text[start:s.Pos]}
		default:
			v = value{literal, s.Text[start:s.Pos]}
		}
	}
	if ok && at != nil && at.path >= 0 {
		s.values[at.path] = v
	}
	return ok
}

func (s *scanner) object(at *step, depth int) bool {
	s.Pos++
	if s.Sign('}') {
		return true
	}
	for {
		s.Space()
		start := s.Pos
		plain, ok := s.Str()
		if !ok {
			return false
		}
		var next *step
		if at != nil && len(at.kids) > 0 {
			if next = at.find(rawjson.Unquote(s.Text[start:s.Pos], plain), -1); next != nil {
				next.forget(s.values)
			}
		}
		switch {
		case !s.Sign(':') || !s.value(next, depth):
			return false
		case s.Sign('}'):
			return true
		case !s.Sign(','):
			return false
		}
	}
}

func (s *scanner) list(at *step, depth int) bool {
	s.Pos++
	if s.Sign(']') {
		return true
	}
	for i := 0; ; i++ {
		switch {
		case !s.value(at.find("", i), depth):
			return false
		case s.Sign(']'):
			return true
		case !s.Sign(','):
			return false
		}
	}
}
