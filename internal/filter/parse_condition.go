package filter

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// conditions reads the list of a key.
func (p *parser) conditions(c *clause) error {
	start := p.Pos
	if p.Pos++; p.Sign(']') {
		return p.fail(start, "empty", "Empty arrays are not allowed")
	}
	for {
		if c.any.len() == MaxComplexity {
			return p.fail(start, tooComplex, "Filter policy is too complex")
		}
		one, err := p.condition(c)
		if err != nil {
			return err
		}
		c.any.add(one)
		if p.Sign(']') {
			c.any.sort()
			c.written = p.Text[start:p.Pos]
			return nil
		}
		if !p.Sign(',') {
			return p.fail(p.Pos, notJSON, "failed to parse JSON")
		}
	}
}

func (p *parser) condition(c *clause) (condition, error) {
	if p.Space(); p.Next() != '{' {
		return p.exact()
	}
	open := p.Pos
	if p.Pos++; p.Sign('}') {
		return condition{}, p.fail(open, "one_key", "Only one key allowed in match expression")
	}
	start := p.Pos
	name, err := p.key()
	if err != nil {
		return condition{}, err
	}
	var one condition
	switch name {
	case "exists":
		one, err = p.exists(c)
	case "anything-but":
		one, err = p.anythingBut()
	case "numeric":
		one, err = p.numeric()
	case "cidr":
		one, err = p.cidr()
	default:
		var known bool
		if one, known, err = p.textual(name); !known {
			err = p.fail(start, "unknown_operator", "Unrecognized match type %s", shortened(name))
		}
	}
	if err == nil && !p.Sign('}') {
		err = p.fail(p.Pos, "one_key", "Only one key allowed in match expression")
	}
	return one, err
}

// key reads a key and what stands before its value.
func (p *parser) key() (string, error) {
	key, err := p.text()
	if err == nil && !p.Sign(':') {
		err = p.fail(p.Pos, notJSON, "failed to parse JSON")
	}
	p.Space()
	return key, err
}

// exact reads a value that must be met as it stands.
func (p *parser) exact() (condition, error) {
	start := p.Pos
	if c := p.Next(); c == '{' || c == '[' {
		return condition{}, p.fail(start, "bad_value", "Match value must be String, number, true, false, or null")
	}
	kind, plain, ok := p.Scalar()
	if !ok {
		return condition{}, p.fail(start, notJSON, "failed to parse JSON")
	}
	switch written := p.Text[start:p.Pos]; kind {
	case rawjson.String:
		return condition{op: equals, text: rawjson.Unquote(written, plain)}, nil
	case rawjson.Numeric:
		n, _ := rawjson.ParseNumber(written)
		return condition{op: equalsNumber, more: &operand{low: bound{number: n}}}, nil
	}
	return condition{op: is, kind: kind}, nil
}

// textual reads the value of an operator that compares text, if name is one.
func (p *parser) textual(name string) (c condition, known bool, err error) {
	switch name {
	case "prefix":
		c.op = prefix
	case "suffix":
		c.op = suffix
	case "equals-ignore-case":
		c.op = sameLetters
	case "wildcard":
		c.op = wildcard
	default:
		return c, false, nil
	}
	start := p.Pos
	if p.Next() != '"' {
		return c, true, p.fail(start, "bad_value", "%s match pattern must be a string", name)
	}
	if c.text, err = p.text(); err == nil && c.op == wildcard {
		err = p.pattern(&c, start)
	}
	return c, true, err
}

// pattern takes a text with wildcards apart. Before a * or a backslash that means itself stands a backslash.
func (p *parser) pattern(c *condition, at int) error {
	var pieces pattern
	var piece strings.Builder
	for i := 0; i < len(c.text); i++ {
		switch {
		case c.text[i] == '*' && piece.Len() == 0 && len(pieces) > 0:
			return p.fail(at, "bad_wildcard", "Consecutive wildcard characters at pos %d", i-1)
		case c.text[i] == '*':
			pieces = append(pieces, piece.String())
			piece.Reset()
		case c.text[i] == '\\':
			if i++; i == len(c.text) || c.text[i] != '*' && c.text[i] != '\\' {
				return p.fail(at, "bad_wildcard", "Invalid escape character at pos %d", i-1)
			}
			piece.WriteByte(c.text[i])
		default:
			piece.WriteByte(c.text[i])
		}
	}
	if len(pieces) == 0 {
		c.op, c.text = equals, piece.String()
		return nil
	}
	c.more = &operand{pattern: append(pieces, piece.String())}
	return nil
}

func (p *parser) exists(c *clause) (condition, error) {
	start := p.Pos
	switch kind, _, ok := p.Scalar(); {
	case ok && kind == rawjson.True:
		c.present = true
	case ok && kind == rawjson.False:
		c.missing = true
	default:
		return condition{}, p.fail(start, "bad_value", "exists match pattern must be either true or false.")
	}
	return condition{op: exists}, nil
}

func (p *parser) cidr() (c condition, err error) {
	start := p.Pos
	if p.Next() != '"' { // SNS itself names the wrong operator here
		return c, p.fail(start, "bad_value", "prefix match pattern must be a string")
	}
	text, err := p.text()
	if err != nil {
		return c, err
	}
	host, mask, _ := strings.Cut(text, "/")
	if strings.Count(text, "/") != 1 {
		return c, p.fail(start, "bad_cidr", "Malformed CIDR, one '/' required")
	}
	bits, err := strconv.Atoi(mask)
	if err != nil {
		return c, p.fail(start, "bad_cidr", "Malformed CIDR, mask bits must be an integer")
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.Zone() != "" || address.Is4In6() || bits < 0 || bits > address.BitLen() {
		return c, p.fail(start, "bad_cidr", "Nonstandard IP address: %s", shortened(host))
	}
	return condition{op: inNetwork, more: &operand{network: netip.PrefixFrom(address, bits).Masked()}}, nil
}

// anythingBut reads a value, a list of values, or an operator on text with one or several.
func (p *parser) anythingBut() (condition, error) {
	c := condition{op: anythingBut, more: &operand{}}
	if p.Next() != '{' {
		return c, p.oneOrMore(&c, p.exact)
	}
	open := p.Pos
	if p.Pos++; p.Sign('}') {
		return c, p.fail(open, "one_key", "Only one key allowed in match expression")
	}
	start := p.Pos
	name, err := p.key()
	if err != nil {
		return c, err
	}
	err = p.oneOrMore(&c, func() (condition, error) {
		one, known, err := p.textual(name)
		if !known {
			err = p.fail(start, "unknown_operator", "Unsupported anything-but pattern: %s", shortened(name))
		}
		return one, err
	})
	if err == nil && !p.Sign('}') {
		err = p.fail(p.Pos, "one_key", "Only one key allowed in match expression")
	}
	return c, err
}

// oneOrMore reads what an anything-but excludes.
func (p *parser) oneOrMore(c *condition, read func() (condition, error)) error {
	start := p.Pos
	if p.Next() != '[' {
		one, err := read()
		c.more.listed.add(one)
		return err
	}
	if p.Pos++; p.Sign(']') {
		return p.fail(start, "empty", "Empty arrays are not allowed")
	}
	for {
		if c.more.listed.len() == MaxListed {
			return p.fail(start, tooComplex, "Filter policy is too complex: anything-but takes at most %d values", MaxListed)
		}
		p.Space()
		one, err := read()
		if err != nil {
			return err
		}
		c.more.listed.add(one)
		if p.Sign(']') {
			c.more.listed.sort()
			return nil
		}
		if !p.Sign(',') {
			return p.fail(p.Pos, notJSON, "failed to parse JSON")
		}
	}
}

// numeric reads ["=", 1], or one or both ends of a range: [">", 0, "<=", 100].
func (p *parser) numeric() (c condition, err error) {
	c.op, c.more = within, &operand{}
	start := p.Pos
	if p.Next() != '[' {
		return c, p.fail(start, "bad_value", "Value of numeric must be an array.")
	}
	p.Pos++
	if p.Sign(']') {
		return c, p.fail(start, "bad_numeric", "Invalid member in numeric match: ]")
	}
	p.Space()
	from := p.Pos
	if p.Next() != '"' {
		return c, p.fail(from, "bad_numeric", "Invalid member in numeric match: %s", p.shown())
	}
	op, err := p.text()
	if err != nil {
		return c, err
	}
	end, err := p.end(op)
	switch {
	case !slices.Contains([]string{"=", "<", "<=", ">", ">="}, op):
		return c, p.fail(from, "bad_numeric", "Unrecognized numeric range operator: %s", shortened(op))
	case err != nil:
		return c, err
	}
	if op[0] != '<' {
		c.more.low = end
	}
	if op[0] != '>' {
		c.more.high = end
	}
	if p.Sign(']') {
		return c, nil
	}
	if op[0] != '>' {
		return c, p.fail(p.Pos, "bad_numeric", "Too many elements in numeric expression")
	}
	return p.upperEnd(c)
}

// upperEnd reads the second half of a range.
func (p *parser) upperEnd(c condition) (condition, error) {
	p.Sign(',')
	p.Space()
	from := p.Pos
	if p.Next() != '"' {
		return c, p.fail(from, "bad_numeric", "Bad value in numeric range: %s", p.shown())
	}
	op, err := p.text()
	if err != nil {
		return c, err
	}
	if op != "<" && op != "<=" {
		return c, p.fail(from, "bad_numeric", "Bad numeric range operator: %s", shortened(op))
	}
	if c.more.high, err = p.end(op); err != nil {
		return c, err
	}
	if c.more.high.number.Compare(&c.more.low.number) <= 0 {
		return c, p.fail(from, "bad_numeric", "Bottom must be less than top")
	}
	if !p.Sign(']') {
		return c, p.fail(p.Pos, "bad_numeric", "Too many terms in numeric range expression")
	}
	return c, nil
}

// end reads the number that follows an operator.
func (p *parser) end(op string) (bound, error) {
	comma := p.Sign(',')
	p.Space()
	start := p.Pos
	kind, _, ok := p.Scalar()
	if !comma || !ok || kind != rawjson.Numeric {
		if op == "=" {
			op = "equals"
		}
		return bound{}, p.fail(start, "bad_numeric", "Value of %s must be numeric", op)
	}
	n, _ := rawjson.ParseNumber(p.Text[start:p.Pos])
	return bound{number: n, given: true, exclusive: len(op) == 1 && op != "="}, nil
}

// shown returns the beginning of what stands here, for a message.
func (p *parser) shown() string {
	start := p.Pos
	if _, _, ok := p.Scalar(); !ok {
		return string(p.Next())
	}
	return shortened(p.Text[start:p.Pos])
}
