package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/rawjson"
)

// parser reads a policy, which is known to be JSON, from left to right.
type parser struct {
	rawjson.Scanner
	scope Scope
}

// place is where in a policy an object stands.
type place struct {
	steps   []string // keys on the way to it
	pointer string   // JSON Pointer
	depth   int      // objects around it that are no alternatives, and itself
	nesting int      // objects around it, and itself
}

func (p *parser) policy(source string) (group, error) {
	p.Text = source
	if len(source) > MaxBytes {
		return group{}, p.fail(0, "too_long", "Filter policy is too long: it has %d bytes, and at most %d are allowed", len(source), MaxBytes)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal([]byte(source), new(json.RawMessage)); errors.As(err, &syntax) {
		return group{}, p.fail(max(0, int(syntax.Offset)-1), notJSON, "failed to parse JSON")
	}
	if !utf8.ValidString(source) {
		return group{}, p.fail(rawjson.FirstInvalid(source), notJSON, "failed to parse JSON")
	}
	if p.Space(); p.Next() != '{' {
		return group{}, p.fail(p.Pos, "not_an_object", "Filter policy must be an object")
	}
	if probe := p.Scanner; emptyObject(&probe) {
		return group{}, nil
	}
	g, _, err := p.object(place{depth: 1, nesting: 1}, 1)
	return g, err
}

func emptyObject(s *rawjson.Scanner) bool {
	s.Pos++
	return s.Sign('}')
}

// Codes of faults.
const (
	notJSON     = "not_json"
	tooComplex  = "too_complex"
	notNestable = "nested"
)

// object reads an object. complexity is that of what stands before it, and is returned with its own.
func (p *parser) object(at place, complexity int) (group, int, error) {
	var g group
	open := p.Pos
	if p.Pos++; p.Sign('}') {
		return g, 0, p.fail(open, "empty", "Empty objects are not allowed")
	}
	var seen []string
	for {
		p.Space()
		start := p.Pos
		key, err := p.text()
		if err != nil {
			return g, 0, err
		}
		if slices.Contains(seen, key) {
			return g, 0, p.fail(start, "twice", `Key "%s" stands twice in one object`, shortened(key))
		}
		if seen = append(seen, key); len(seen) > MaxKeys && at.depth == 1 {
			return g, 0, p.fail(start, "too_many_keys", "Filter policy can not have more than %d keys", MaxKeys)
		}
		if !p.Sign(':') {
			return g, 0, p.fail(p.Pos, notJSON, "failed to parse JSON")
		}
		p.Space()
		if complexity, err = p.member(&g, at, key, complexity); err != nil {
			return g, 0, err
		}
		if complexity > MaxComplexity {
			return g, 0, p.fail(start, tooComplex, "Filter policy is too complex")
		}
		if p.Sign('}') {
			return g, complexity, nil
		}
		if !p.Sign(',') {
			return g, 0, p.fail(p.Pos, notJSON, "failed to parse JSON")
		}
	}
}

// member reads what a key says, and adds it to the group of its object.
func (p *parser) member(g *group, at place, key string, complexity int) (int, error) {
	inner := place{
		pointer: at.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key),
		depth:   at.depth + 1, nesting: at.nesting + 1,
	}
	if inner.nesting > MaxComplexity {
		return 0, p.fail(p.Pos, tooComplex, "Filter policy is too complex")
	}
	if key == "$or" {
		inner.steps, inner.depth = at.steps, at.depth
		alternatives, complexity, err := p.alternatives(inner, complexity)
		g.either = append(g.either, alternatives)
		return complexity, err
	}
	name := key
	if inner.steps = []string{key}; p.scope == Body {
		inner.steps = slices.Concat(at.steps, strings.Split(key, "."))
		name = strings.Join(inner.steps, ".")
		if len(inner.steps) > MaxComplexity {
			return 0, p.fail(p.Pos, tooComplex, "Filter policy is too complex")
		}
	}
	switch p.Next() {
	case '[':
		c := clause{name: name, steps: inner.steps, pointer: inner.pointer}
		err := p.conditions(&c)
		g.clauses = append(g.clauses, c)
		return complexity * c.any.len() * at.depth, err
	case '{':
		if p.scope == Attributes {
			return 0, p.fail(p.Pos, notNestable, "Filter policy scope MessageAttributes does not support nested filter policy")
		}
		nested, complexity, err := p.object(inner, complexity)
		g.clauses = append(g.clauses, nested.clauses...)
		g.either = append(g.either, nested.either...)
		return complexity, err
	}
	return 0, p.fail(p.Pos, "not_a_list", `"%s" must be an object or an array`, shortened(key))
}

// alternatives reads the list of an $or.
func (p *parser) alternatives(at place, complexity int) ([]group, int, error) {
	start := p.Pos
	if p.Next() != '[' {
		return nil, 0, p.fail(start, "bad_or", `"$or" must be an array of two or more objects`)
	}
	if p.Pos++; p.Sign(']') {
		return nil, 0, p.fail(start, "empty", "Empty arrays are not allowed")
	}
	var all []group
	sum := 0
	for {
		if p.Space(); p.Next() != '{' {
			return nil, 0, p.fail(p.Pos, "bad_or", `"$or" must be an array of two or more objects`)
		}
		alternative := at
		alternative.pointer = fmt.Sprintf("%s/%d", at.pointer, len(all))
		g, own, err := p.object(alternative, complexity)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, g)
		if sum += own; sum > MaxComplexity {
			return nil, 0, p.fail(start, tooComplex, "Filter policy is too complex")
		}
		if p.Sign(']') {
			break
		}
		if !p.Sign(',') {
			return nil, 0, p.fail(p.Pos, notJSON, "failed to parse JSON")
		}
	}
	if len(all) < 2 {
		return nil, 0, p.fail(start, "bad_or", `"$or" must be an array of two or more objects`)
	}
	return all, sum, nil
}

// text reads a string.
func (p *parser) text() (string, error) {
	start := p.Pos
	plain, ok := p.Str()
	if !ok {
		return "", p.fail(start, notJSON, "failed to parse JSON")
	}
	return rawjson.Unquote(p.Text[start:p.Pos], plain), nil
}

// fail says what is wrong at byte at, in the words of SNS where it has some.
func (p *parser) fail(at int, code, format string, args ...any) error {
	line, column := rawjson.Place(p.Text, at)
	message := fmt.Sprintf(format, args...)
	where := fmt.Sprintf("column %d", column)
	if line > 1 {
		where = fmt.Sprintf("line %d, column %d", line, column)
	}
	return &errs.Error{
		Kind: errs.Invalid, Code: "filter_policy_invalid",
		Message: fmt.Sprintf("The filter policy is wrong at %s: %s.", where, strings.TrimSuffix(message, ".")),
		Fields:  []errs.Field{{Code: code, Message: message, Line: line, Column: column}},
	}
}

// Reason returns what SNS says of an error of Compile or ParseScope, behind "Invalid parameter: ".
func Reason(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	switch {
	case !ok:
		return ""
	case len(e.Fields) != 1:
		return e.Message
	case e.Fields[0].Code == notNestable:
		return e.Fields[0].Message
	}
	return "FilterPolicy: " + e.Fields[0].Message
}

// shortened returns what the user wrote for a message, and not all of it if it is long.
func shortened(s string) string {
	const longest = 100
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
