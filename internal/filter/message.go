package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// Message is what policies look at. Its body is read when the first policy asks for it, and its memory is used again by the
// next message. The zero value is empty. It is for one goroutine at a time.
//
// Reading a body takes memory of up to two hundred times its size, if it consists of nothing but the shortest of keys.
type Message struct {
	body       string
	attributes []attribute
	state      state

	// The values of attributes and of the body. Those that stand at one place are linked; number 0 is no value.
	values  []value
	numbers []rawjson.Number
	// The body as a tree, without a difference between an object in an object and keys with dots, or between a value and a
	// list of values. Number 0 is the body itself.
	nodes []node
	edges map[edge]int32
}

type state uint8

const (
	unread   state = iota
	readable       // a JSON object
	useless        // something else
)

// attribute is a message attribute of a type that policies look at.
type attribute struct {
	name, value string
	kind        attributeKind
	read        bool
	first       int32 // of its values, once they are read
}

type attributeKind uint8

const (
	text attributeKind = iota
	number
	array
)

// value is a string, a number, true, false or null.
type value struct {
	kind    rawjson.Kind
	escaped bool   // the text has its quotes and escapes still
	text    string // as it is written, a string without its quotes
	number  int32  // its place in the numbers; 0: not read yet, -1: it is none
	next    int32  // value at the same place
}

// nothing is the number of no value.
const nothing = 0

type node struct{ first, last int32 } // values

type edge struct {
	from int32
	key  string
}

// mostKept bounds the memory that one message leaves to the next: this many values and keys.
const mostKept = 1 << 10

// Reset makes m a message with a body and without attributes.
func (m *Message) Reset(body string) {
	m.body, m.state = body, unread
	clear(m.attributes)
	m.attributes = m.attributes[:0]
	m.forget()
}

// forget drops all values.
func (m *Message) forget() {
	if len(m.values) > mostKept || len(m.edges) > mostKept {
		m.values, m.numbers, m.nodes, m.edges = nil, nil, nil, nil
	}
	clear(m.values) // which hold the body
	clear(m.numbers)
	clear(m.edges)
	m.values, m.numbers, m.nodes = m.values[:0], m.numbers[:0], m.nodes[:0]
}

// AddAttribute adds an attribute, whose type is String, Number or String.Array, perhaps with a label behind a dot. No policy
// looks at others, so they are left out. Of attributes with one name the first counts.
func (m *Message) AddAttribute(name, typ, content string) {
	a := attribute{name: name, value: content}
	base, _, _ := strings.Cut(typ, ".")
	switch {
	case typ == "String.Array":
		a.kind = array
	case base == "String":
		a.kind = text
	case base == "Number":
		a.kind = number
	default:
		return
	}
	m.attributes = append(m.attributes, a)
}

// takesPart reports whether there is anything that a policy of a scope can look at.
func (m *Message) takesPart(scope Scope) bool {
	if scope == Attributes {
		return len(m.attributes) > 0 // as SNS has it: without any attribute exists:false does not hold either
	}
	if m.state == unread {
		m.readBody()
	}
	return m.state == readable
}

// find returns the first of the values that a clause is about.
func (m *Message) find(c *clause, scope Scope) int32 {
	if scope == Attributes {
		return m.attribute(c.name)
	}
	at := int32(0)
	for _, key := range c.steps {
		to, ok := m.edges[edge{at, key}]
		if !ok {
			return nothing
		}
		at = to
	}
	return m.nodes[at].first
}

func (m *Message) attribute(name string) int32 {
	for i := range m.attributes {
		a := &m.attributes[i]
		if a.name != name {
			continue
		}
		if !a.read {
			a.first, a.read = m.readAttribute(a), true
		}
		return a.first
	}
	return nothing
}

func (m *Message) readAttribute(a *attribute) int32 {
	switch a.kind {
	case text:
		return m.add(value{kind: rawjson.String, text: a.value})
	case number:
		return m.add(value{kind: rawjson.Numeric, text: a.value})
	}
	r := reader{Scanner: rawjson.Scanner{Text: a.value}, m: m, flat: true}
	r.Space()
	if ok := utf8.ValidString(a.value) && r.Next() == '[' && r.value(0, 0) && r.end(); !ok {
		return nothing
	}
	return r.at.first
}

func (m *Message) readBody() {
	m.state = useless
	m.nodes = append(m.nodes, node{})
	if m.edges == nil {
		m.edges = map[edge]int32{}
	}
	r := reader{Scanner: rawjson.Scanner{Text: m.body}, m: m}
	r.Space()
	if utf8.ValidString(m.body) && r.Next() == '{' && r.value(0, 0) && r.end() {
		m.state = readable
	}
}

// add adds a value and returns its number.
func (m *Message) add(v value) int32 {
	if len(m.values) == 0 {
		m.values = append(m.values, value{})
	}
	m.values = append(m.values, v)
	return int32(len(m.values) - 1)
}

// text returns the text of value i.
func (m *Message) text(i int32) string {
	v := &m.values[i]
	if v.escaped {
		v.text, v.escaped = rawjson.Unquote(v.text, false), false
	}
	return v.text
}

// number returns the number that value i is, or nil.
func (m *Message) number(i int32) *rawjson.Number {
	v := &m.values[i]
	if v.number == 0 {
		v.number = -1
		if len(m.numbers) == 0 {
			m.numbers = append(m.numbers, rawjson.Number{})
		}
		if n, ok := rawjson.ParseNumber(v.text); ok {
			m.numbers = append(m.numbers, n)
			v.number = int32(len(m.numbers) - 1)
		}
	}
	if v.number < 0 {
		return nil
	}
	return &m.numbers[v.number]
}

// reader reads the JSON of a body into the tree of a message, or that of an attribute into one list of values.
type reader struct {
	rawjson.Scanner
	m    *Message
	flat bool // an attribute: objects are left out
	at   node // with flat: the values
}

// value reads what stands at a node of the tree.
func (r *reader) value(at int32, depth int) bool {
	r.Space()
	switch r.Next() {
	case '{':
		return depth < MaxDepth && r.object(at, depth+1)
	case '[':
		return depth < MaxDepth && r.list(at, depth+1)
	}
	start := r.Pos
	kind, plain, ok := r.Scalar()
	if ok && at >= 0 {
		v := value{kind: kind, text: r.Text[start:r.Pos]}
		if kind == rawjson.String {
			if v.escaped = !plain; plain {
				v.text = v.text[1 : len(v.text)-1]
			}
		}
		r.add(at, v)
	}
	return ok
}

func (r *reader) add(at int32, v value) {
	i := r.m.add(v)
	n := &r.at
	if !r.flat {
		n = &r.m.nodes[at]
	}
	if n.first == nothing {
		n.first = i
	} else {
		r.m.values[n.last].next = i
	}
	n.last = i
}

func (r *reader) list(at int32, depth int) bool {
	r.Pos++
	if r.Sign(']') {
		return true
	}
	for {
		switch {
		case !r.value(at, depth):
			return false
		case r.Sign(']'):
			return true
		case !r.Sign(','):
			return false
		}
	}
}

func (r *reader) object(at int32, depth int) bool {
	r.Pos++
	if r.Sign('}') {
		return true
	}
	for {
		r.Space()
		start := r.Pos
		plain, ok := r.Str()
		if !ok {
			return false
		}
		next := int32(-1)
		if !r.flat {
			next = r.step(at, rawjson.Unquote(r.Text[start:r.Pos], plain))
		}
		switch {
		case !r.Sign(':') || !r.value(next, depth):
			return false
		case r.Sign('}'):
			return true
		case !r.Sign(','):
			return false
		}
	}
}

// step returns the node to which a key leads, new or not.
func (r *reader) step(at int32, key string) int32 {
	for more := true; more; {
		var part string
		part, key, more = strings.Cut(key, ".")
		to, ok := r.m.edges[edge{at, part}]
		if !ok {
			r.m.nodes = append(r.m.nodes, node{})
			to = int32(len(r.m.nodes) - 1)
			r.m.edges[edge{at, part}] = to
		}
		at = to
	}
	return at
}

func (r *reader) end() bool {
	r.Space()
	return r.Pos == len(r.Text)
}
