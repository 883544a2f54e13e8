package search

import (
	"bytes"
	"time"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// Match reports whether a thing is meant by the filter. now is what times that have passed are counted to.
func (f *Filter[T]) Match(thing *T, now time.Time) bool {
	if f.root == nil {
		return true
	}
	l := look[T]{filter: f, thing: thing, now: now}
	ok := l.node(f.root)
	if l.scratch != nil {
		l.scratch.scanned, l.scratch.folded = false, false
		clear(l.scratch.values) // which hold the body
		f.scratch.Put(l.scratch)
	}
	return ok
}

// look is one thing being judged. What is made of its body is made once, when the first term asks.
type look[T any] struct {
	filter  *Filter[T]
	thing   *T
	now     time.Time
	scratch *scratch
}

// scratch is memory that looks use one after the other.
type scratch struct {
	scanned bool
	values  []value // of the body
	folded  bool
	body    []byte // folded
	other   []byte // some other text, folded
}

func (l *look[T]) memory() *scratch {
	if l.scratch == nil {
		var ok bool
		if l.scratch, ok = l.filter.scratch.Get().(*scratch); !ok {
			l.scratch = &scratch{values: make([]value, l.filter.values)}
		}
	}
	return l.scratch
}

func (l *look[T]) node(n *node) bool {
	switch n.join {
	case and:
		for _, k := range n.kids {
			if !l.node(k) {
				return false
			}
		}
		return true
	case or:
		for _, k := range n.kids {
			if l.node(k) {
				return true
			}
		}
		return false
	case not:
		return !l.node(n.kids[0])
	}
	return l.term(n.term)
}

func (l *look[T]) term(t *term) bool {
	switch t.kind {
	case body:
		return l.body(t)
	case path:
		return l.path(t)
	case attribute:
		s, number, ok := l.filter.language.Attribute(l.thing, t.attr)
		kind := textual
		if number {
			kind = numerical
		}
		// Attributes that came by a header are text, so text that is a number has an order as well.
		return ok && (l.value(t, kind, s) || t.op >= less && t.numeric && !number && t.ordered(s))
	}
	switch field := &l.filter.language.Fields[t.field]; t.kind {
	case count:
		return t.op == exists || t.compare(field.Count(l.thing))
	case size:
		return t.op == exists || t.compare(field.Size(l.thing))
	case moment:
		at := field.Time(l.thing)
		return !at.IsZero() && (t.op == exists || t.compare(at.UnixMilli()))
	case since:
		at := field.Since(l.thing)
		return !at.IsZero() && (t.op == exists || t.compare(l.now.UnixMilli()-at.UnixMilli()))
	default:
		s := field.Text(l.thing)
		return s != "" && l.text(t, s)
	}
}

func (l *look[T]) body(t *term) bool {
	s := l.filter.language.Body(l.thing)
	if t.op != holds {
		return l.text(t, s)
	}
	m := l.memory()
	if !m.folded {
		m.body, m.folded = appendFolded(m.body[:0], s), true
	}
	return bytes.Contains(m.body, t.folded)
}

func (l *look[T]) path(t *term) bool {
	m := l.memory()
	if !m.scanned {
		scan(l.filter.language.Body(l.thing), l.filter.paths, m.values)
		m.scanned = true
	}
	v := m.values[t.path]
	return v.kind != absent && l.value(t, v.kind, v.text)
}

// value judges a value of which only now is known what it is. Numbers are compared as numbers and text as text.
func (l *look[T]) value(t *term, kind valueKind, s string) bool {
	switch {
	case t.op == exists:
		return true
	case kind == container:
		return false
	case t.timed:
		at, ok := parseTime(s)
		return ok && kind == textual && t.compare(at)
	case t.op >= less:
		return kind == numerical && t.ordered(s)
	case t.op == equals && t.numeric && kind == numerical:
		return t.ordered(s)
	}
	return l.text(t, s)
}

// ordered compares s as a number.
func (t *term) ordered(s string) bool {
	d, ok := rawjson.ParseNumber(s)
	return ok && t.holds(d.Compare(&t.number))
}

// text compares text.
func (l *look[T]) text(t *term, s string) bool {
	switch t.op {
	case exists:
		return true
	case matches:
		return t.pattern.match(s)
	case equals:
		return s == t.text
	}
	m := l.memory()
	m.other = appendFolded(m.other[:0], s)
	return bytes.Contains(m.other, t.folded)
}

// compare compares a number of a field with the term's own.
func (t *term) compare(n int64) bool {
	switch {
	case n < t.n:
		return t.holds(-1)
	case n > t.n:
		return t.holds(1)
	}
	return t.holds(0)
}

// holds reports whether the operator is true of two values of which this is the order.
func (t *term) holds(order int) bool {
	switch t.op {
	case less:
		return order < 0
	case atMost:
		return order <= 0
	case more:
		return order > 0
	case atLeast:
		return order >= 0
	}
	return order == 0
}
