// Package search is the language in which people say which messages they mean: `state:delayed body.tier=pro -age<1h`.
//
// A Language is the fields of one kind of thing; its Parse turns a text into a Filter, once, and the filter then judges
// any number of things, from many goroutines at a time. What a filter costs is bounded by the size of what it looks at:
// wildcards and JSON of whatever shape take linear time, and a body is read as JSON at most once.
package search

import (
	"slices"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// The limits of a filter.
const (
	MaxLength  = 4 << 10 // bytes of its text
	MaxTerms   = 50
	MaxNesting = 10 // parentheses within each other
	// MaxDepth bounds how deep a JSON body may be nested. A deeper one counts as text that is no JSON.
	MaxDepth = 512
)

// Field is something that a filter can ask about. One of the functions is set, and says how values are compared.
type Field[T any] struct {
	Name  string
	Text  func(*T) string    // "": not there
	Words []string           // with Text: the only values that there are
	Count func(*T) int64     // 0 or more
	Size  func(*T) int64     // bytes
	Time  func(*T) time.Time // zero: not there
	Since func(*T) time.Time // asked about as the time that has passed since then
}

// Language is what filters can ask about things of type T: its fields, the body as "body" and "body.path", attributes as
// "attr.name".
type Language[T any] struct {
	Fields []Field[T]
	Body   func(*T) string
	// Attribute returns the value of an attribute, whether it is a number, and whether there is one.
	Attribute func(thing *T, name string) (value string, number, ok bool)
}

// Filter says which things are meant. It does not change.
type Filter[T any] struct {
	language *Language[T]
	text     string
	root     *node // nil: everything
	paths    *step // of the body, nil: none
	values   int   // how many paths
	scratch  sync.Pool
}

// Parse reads a filter. The empty text means everything. The error is an *errs.Error of kind Invalid and code
// "filter_invalid" whose one field has line and column of what is wrong.
func (l *Language[T]) Parse(text string) (*Filter[T], error) {
	p := parser{text: text, fields: make([]spec, len(l.Fields))}
	for i := range l.Fields {
		p.fields[i] = l.Fields[i].spec()
	}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	f := &Filter[T]{language: l, root: root, paths: p.paths, values: p.values}
	if root != nil {
		f.text = string(root.append(nil, false))
	}
	if len(f.text) > MaxLength { // so that what is printed can be read
		return nil, p.fail(0, "too_long", "", "a filter has at most %d bytes, and this one with its escapes has %d", MaxLength, len(f.text))
	}
	return f, nil
}

// String returns the filter in one form, which Parse reads: filters that print the same mean the same.
func (f *Filter[T]) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Asks reports whether the filter asks about a field: "body" is the body with all its paths.
func (f *Filter[T]) Asks(name string) bool { return f != nil && f.root.asks(name) }

func (n *node) asks(name string) bool {
	switch {
	case n == nil:
		return false
	case n.term != nil:
		return n.term.name == name || name == "body" && n.term.kind == path
	}
	return slices.ContainsFunc(n.kids, func(kid *node) bool { return kid.asks(name) })
}

// kind says how the values of a term are compared.
type kind uint8

const (
	text kind = iota
	count
	size
	moment    // a point in time
	since     // the time passed since one
	body      // the whole body
	path      // a value in the JSON of the body
	attribute // by its name
)

// spec is a field as the parser sees it.
type spec struct {
	name  string
	kind  kind
	words []string
}

func (f *Field[T]) spec() spec {
	s := spec{name: f.Name, words: f.Words}
	switch {
	case f.Count != nil:
		s.kind = count
	case f.Size != nil:
		s.kind = size
	case f.Time != nil:
		s.kind = moment
	case f.Since != nil:
		s.kind = since
	}
	return s
}

// node is a term, or says how others are joined.
type node struct {
	join join
	kids []*node // of and, or two or more, of not one
	term *term   // of leaf
}

type join uint8

const (
	leaf join = iota
	and
	or
	not
)

// operator is how a term compares.
type operator uint8

const (
	exists  operator = iota // :*
	matches                 // : with wildcards
	equals                  // =, and : without wildcards
	holds                   // ~ contains, whatever the case
	less
	atMost
	more
	atLeast
)

// term is one comparison.
type term struct {
	name  string // as it is printed
	kind  kind
	field int // of Language.Fields
	path  int // of the values that scan finds
	attr  string

	op      operator
	text    string         // the value
	pattern pattern        // of matches
	folded  []byte         // of holds
	number  rawjson.Number // of a value that is a number
	numeric bool           // number is set
	n       int64          // count; bytes; milliseconds
	timed   bool           // of a path or attribute: n is a time
}
