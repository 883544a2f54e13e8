package search

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/rawjson"
	"github.com/sluicemq/sluice/internal/suggest"
)

// parser reads a filter from left to right:
//
//	or    = and { "OR" and }
//	and   = unary { [ "AND" ] unary }
//	unary = [ "-" | "NOT" ] ( "(" or ")" | term )
//	term  = value | name operator value
type parser struct {
	text   string
	pos    int // byte
	fields []spec
	terms  int
	paths  *step
	values int
}

func (p *parser) parse() (*node, error) {
	if len(p.text) > MaxLength {
		return nil, p.fail(0, "too_long", "", "a filter has at most %d bytes, this one has %d", MaxLength, len(p.text))
	}
	if !utf8.ValidString(p.text) {
		return nil, p.fail(rawjson.FirstInvalid(p.text), "not_utf8", "", "a filter is text in UTF-8, and here is a byte that is not")
	}
	if p.space(); p.pos == len(p.text) {
		return nil, nil
	}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.text) {
		return nil, p.fail(p.pos, "unexpected", `To look for a parenthesis put it in quotes: ")".`, "no ( stands before this )")
	}
	return n, nil
}

// or reads up to the end or a closing parenthesis.
func (p *parser) or(depth int) (*node, error) {
	var kids []*node
	for {
		n, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if !p.keyword("OR") {
			return group(or, kids), nil
		}
	}
}

func (p *parser) and(depth int) (*node, error) {
	var kids []*node
	for {
		p.space()
		at := p.pos
		joined := p.keyword("AND")
		p.space()
		switch ends := p.pos == len(p.text) || p.text[p.pos] == ')' || p.at("OR") || p.at("AND"); {
		case joined && len(kids) == 0:
			return nil, p.missing(at)
		case ends && (joined || len(kids) == 0):
			return nil, p.missing(p.pos)
		case ends:
			return group(and, kids), nil
		}
		n, err := p.unary(depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
}

// group joins nodes. Those that are joined in the same way become part of it.
func group(j join, kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	g := &node{join: j}
	for _, k := range kids {
		if k.join == j {
			g.kids = append(g.kids, k.kids...)
		} else {
			g.kids = append(g.kids, k)
		}
	}
	return g
}

func (p *parser) missing(at int) error {
	what := "the end"
	if at < len(p.text) {
		what = "this"
	}
	return p.fail(at, "expected_term", `Join terms by spaces or OR, as in: state:delayed OR (age>1h -body~"ok").`, "a term was expected before %s", what)
}

func (p *parser) unary(depth int) (*node, error) {
	negated := p.keyword("NOT")
	if negated {
		p.space()
	} else if negated = p.text[p.pos] == '-'; negated {
		p.pos++
	}
	if negated && (p.pos == len(p.text) || strings.IndexByte(" \t\r\n-)", p.text[p.pos]) >= 0 || p.at("NOT") || p.at("AND") || p.at("OR")) {
		return nil, p.fail(p.pos, "expected_term", `To look for a - put it in quotes: "-".`, "a term or ( was expected right behind the negation")
	}
	n, err := p.primary(depth)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.text) && (!isEnd(p.text[p.pos]) || p.text[p.pos] == '(') {
		return nil, p.fail(p.pos, "unexpected", `Put text with quotes or parentheses in quotes, with \ before each quote inside it.`,
			"a space was expected here, between two terms")
	}
	if negated {
		n = &node{join: not, kids: []*node{n}}
	}
	return n, nil
}

func (p *parser) primary(depth int) (*node, error) {
	if p.text[p.pos] != '(' {
		return p.term()
	}
	open := p.pos
	if depth == MaxNesting {
		return nil, p.fail(open, "too_deep", "", "parentheses may stand at most %d deep within each other", MaxNesting)
	}
	p.pos++
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.pos == len(p.text) {
		return nil, p.fail(open, "not_closed", `To look for a parenthesis put it in quotes: "(".`, "this ( has no )")
	}
	p.pos++
	return n, nil
}

func (p *parser) term() (*node, error) {
	if p.terms++; p.terms > MaxTerms {
		return nil, p.fail(p.pos, "too_many_terms", "", "a filter has at most %d terms", MaxTerms)
	}
	start := p.pos
	t, err := p.name()
	if err == nil && t == nil { // what stands alone is text of the body
		p.pos = start
		t = &term{name: "body", kind: body, op: holds}
		err = p.value(t)
	} else if err == nil {
		err = p.comparison(t)
	}
	if err != nil {
		return nil, err
	}
	return &node{term: t}, nil
}

const operators = ":=~<>"

// isEnd reports whether c ends a word.
func isEnd(c byte) bool { return strings.IndexByte(" \t\r\n()", c) >= 0 }

// name reads the name of a field, up to its operator. It returns nil where there is no operator.
func (p *parser) name() (*term, error) {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case strings.IndexByte(operators, c) >= 0:
			return p.field(start)
		case isEnd(c):
			return nil, nil
		case c == '"' && (p.pos == start || p.text[p.pos-1] != '.'):
			return nil, nil
		case c == '"': // a step of a path
			if _, err := p.quoted(); err != nil {
				return nil, err
			}
			continue
		case c == '\\':
			p.pos++
		}
		p.pos++
	}
	p.pos = min(p.pos, len(p.text))
	return nil, nil
}

// field returns the term that the name from start up to here begins.
func (p *parser) field(start int) (*term, error) {
	name := p.text[start:p.pos]
	for i, f := range p.fields {
		if f.name == name {
			return &term{name: name, kind: f.kind, field: i}, nil
		}
	}
	attr, isAttribute := strings.CutPrefix(name, "attr.")
	switch {
	case name == "":
		return nil, p.fail(start, "expected_field", p.quote(start), "the name of a field was expected before %q", p.text[start:start+1])
	case name == "body":
		return &term{name: name, kind: body}, nil
	case isAttribute && attr != "":
		return &term{name: name, kind: attribute, attr: attr}, nil
	case strings.HasPrefix(name, "body.") || strings.HasPrefix(name, "body["):
		return p.bodyPath(start)
	case name == "attr" || isAttribute:
		return nil, p.fail(start, "expected_field", "Name the attribute, as in attr.type:order.*", "the name of an attribute was expected after attr.")
	case strings.HasSuffix(name, "!"):
		return nil, p.fail(p.pos-1, "unexpected", "Negate with a - before the term: -"+name[:len(name)-1]+"=…", "there is no operator !=")
	}
	fix := p.quote(start)
	head, rest, _ := strings.Cut(name, ".")
	if head == "attribute" || head == "attributes" {
		head = "attr"
	}
	if meant := suggest.Nearest(name, p.names()); meant != "" {
		fix = fmt.Sprintf("Did you mean %s? %s", meant, fix)
	} else if rest != "" {
		for _, before := range []string{"attr", "body"} {
			if head == before || suggest.Nearest(head, []string{before}) != "" {
				fix = fmt.Sprintf("Did you mean %s.%s? %s", before, rest, fix)
				break
			}
		}
	}
	return nil, p.fail(start, "unknown_field", fix, "there is no field %q", shortened(name))
}

func (p *parser) names() []string {
	names := []string{"body"}
	for _, f := range p.fields {
		names = append(names, f.name)
	}
	return names
}

// quote says what the fields are, and how to look for the word at start as text.
func (p *parser) quote(start int) string {
	word := p.text[start:]
	if i := strings.IndexAny(word, " \t\r\n()"); i >= 0 {
		word = word[:i]
	}
	fix := "The fields are " + strings.Join(p.names(), ", ") + ", body.PATH and attr.NAME."
	if len(word) <= longestQuote && !strings.ContainsAny(word, `"\`) {
		fix += " To look for the text put it in quotes: \"" + word + "\"."
	}
	return fix
}

const longestQuote = 40

func shortened(s string) string {
	if len(s) <= longestQuote {
		return s
	}
	return strings.ToValidUTF8(s[:longestQuote], "") + "…"
}

// maxIndex is where no body has an element any more.
const maxIndex = 1 << 20

// bodyPath reads a path such as body.a."b c"[0] from start up to its operator, and gives it its place among the values.
func (p *parser) bodyPath(start int) (*term, error) {
	end := p.pos
	p.pos = start + len("body")
	if p.paths == nil {
		p.paths = &step{path: -1}
	}
	at, name := p.paths, []byte("body")
	for p.pos < end {
		begin := p.pos
		if p.text[p.pos] == '[' {
			digits, _, closed := strings.Cut(p.text[p.pos+1:end], "]")
			n, ok := wholeNumber(digits)
			if !closed || !ok || n > maxIndex {
				return nil, p.fail(begin, "bad_path", "", "a place in a list was expected, as in body.items[0].sku")
			}
			p.pos += len(digits) + 2
			at, name = at.child("", int(n)), fmt.Appendf(name, "[%d]", n)
			continue
		}
		if p.text[p.pos] != '.' || p.pos+1 == end {
			return nil, p.fail(begin, "bad_path", "", "a path is names after dots and places in brackets, as in body.items[0].sku")
		}
		p.pos++
		var key string
		if p.text[p.pos] == '"' {
			var err error
			if key, err = p.quoted(); err != nil {
				return nil, err
			}
		} else {
			n := strings.IndexAny(p.text[p.pos:end]+".", ".[\"\\")
			key = p.text[p.pos : p.pos+n]
			p.pos += n
			if key == "" || p.pos < end && strings.IndexByte(".[", p.text[p.pos]) < 0 {
				return nil, p.fail(p.pos, "bad_path", `Put names with special characters in quotes: body."first name"=Ada`, "the name of a member was expected")
			}
		}
		at, name = at.child(key, -1), appendKey(append(name, '.'), key)
	}
	if at.path < 0 {
		at.path = p.values
		p.values++
	}
	return &term{name: string(name), kind: path, path: at.path}, nil
}

// space skips white space.
func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// at reports whether a keyword stands here, alone.
func (p *parser) at(word string) bool {
	rest, ok := strings.CutPrefix(p.text[p.pos:], word)
	return ok && (rest == "" || isEnd(rest[0]))
}

// keyword skips a keyword, and reports whether it stood here.
func (p *parser) keyword(word string) bool {
	ok := p.at(word)
	if ok {
		p.pos += len(word)
	}
	return ok
}

// fail says what is wrong at byte at.
func (p *parser) fail(at int, code, fix, format string, args ...any) error {
	line, column := rawjson.Place(p.text, at)
	message := fmt.Sprintf(format, args...)
	where := fmt.Sprintf("column %d", column)
	if line > 1 {
		where = fmt.Sprintf("line %d, column %d", line, column)
	}
	return &errs.Error{
		Kind: errs.Invalid, Code: "filter_invalid", Message: fmt.Sprintf("The filter is wrong at %s: %s.", where, message), Fix: fix,
		Fields: []errs.Field{{Code: code, Message: message, Line: line, Column: column}},
	}
}
