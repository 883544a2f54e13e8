package search

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/rawjson"
	"github.com/sluicemq/sluice/internal/suggest"
)

// comparison reads the operator and the value of a term whose field is known.
func (p *parser) comparison(t *term) error {
	at := p.pos
	p.operator(t)
	written := p.text[at:p.pos]
	if err := p.value(t); err != nil {
		return err
	}
	if t.op == exists {
		return nil
	}
	if takes, ok := p.takes(t); !ok {
		return p.fail(at, "bad_operator", "", "%s takes %s, not %s", t.name, takes, written)
	}
	return p.bind(t, at+len(written))
}

// takes returns the operators that the field of a term takes, and whether the term's own is one of them.
func (p *parser) takes(t *term) (operators string, ok bool) {
	ordered := t.op >= less
	switch {
	case p.words(t) != nil:
		return ": =", t.op == equals
	case t.kind == count || t.kind == size:
		return ": = < <= > >=", t.op == equals || ordered
	case t.kind == moment || t.kind == since:
		return "< <= > >= :*", ordered
	case t.kind == path || t.kind == attribute:
		return ": = ~ < <= > >=", true
	}
	return ": = ~", !ordered
}

func (p *parser) operator(t *term) {
	for _, o := range []struct {
		written string
		op      operator
	}{
		{":<=", atMost}, {":>=", atLeast}, {":<", less}, {":>", more}, {"<=", atMost}, {">=", atLeast}, {"<", less}, {">", more},
		{":", matches}, {"=", equals}, {"~", holds},
	} {
		if strings.HasPrefix(p.text[p.pos:], o.written) {
			t.op = o.op
			p.pos += len(o.written)
			return
		}
	}
}

// words returns the only values that a field has, or nil.
func (p *parser) words(t *term) []string {
	if t.kind != text {
		return nil
	}
	return p.fields[t.field].words
}

// bind gives a term's value, which stands at byte at, its meaning.
func (p *parser) bind(t *term, at int) error {
	ok, wanted := true, ""
	switch words := p.words(t); {
	case words != nil:
		for _, w := range words {
			if t.text == w {
				t.op = equals
				return nil
			}
		}
		fix := ""
		if meant := suggest.Nearest(t.text, words); meant != "" {
			fix = "Did you mean " + t.name + ":" + meant + "?"
		}
		return p.fail(at, "bad_value", fix, "%s is one of %s", t.name, strings.Join(words, ", "))
	case t.kind == count:
		t.n, ok = wholeNumber(t.text)
		wanted = "a whole number"
	case t.kind == size:
		t.n, ok = parseSize(t.text)
		wanted = "a number of bytes such as 512, 10kb or 1mib"
	case t.kind == since:
		t.n, ok = parseSpan(t.text)
		wanted = "a time span such as 90s, 5m, 1h or 2d"
	case t.kind == moment:
		t.n, ok = parseTime(t.text)
		wanted = "a time such as 2026-03-01T12:00:00Z, or a date"
	case t.kind == path || t.kind == attribute:
		t.number, t.numeric = rawjson.ParseNumber(t.text)
		if t.op >= less && !t.numeric {
			t.n, t.timed = parseTime(t.text)
			ok, wanted = t.timed, "a number, or a time such as 2026-03-01T12:00:00Z,"
		}
	}
	if !ok {
		return p.fail(at, "bad_value", "", "%s was expected after %s, got %q", wanted, t.name, shortened(t.text))
	}
	return nil
}

// value reads the value of a term, up to the end of the word or of the quotes.
func (p *parser) value(t *term) error {
	start := p.pos
	var err error
	pieces := []string{""}
	switch {
	case p.pos == len(p.text) || isEnd(p.text[p.pos]):
		return p.fail(p.pos, "expected_value", `Empty text, and text with spaces or parentheses, stand in quotes: "".`, "a value was expected here")
	case p.text[p.pos] == '"':
		pieces[0], err = p.quoted()
	case strings.IndexByte(operators, p.text[p.pos]) >= 0:
		return p.fail(p.pos, "expected_value", `The operators are : = ~ < <= > >=. Text that begins like one stands in quotes.`, "a value was expected here, not another operator")
	default:
		pieces, err = p.word(t.op == matches)
	}
	if err != nil {
		return err
	}
	t.text = strings.Join(pieces, "*")
	switch {
	case t.op == holds:
		t.folded = appendFolded(nil, t.text)
	case t.op != matches:
	case len(pieces) == 1:
		t.op = equals
	case t.text == "*":
		t.op = exists
	case t.kind > text && t.kind < body || p.words(t) != nil:
		return p.fail(start, "bad_value", "", "%s takes no wildcard, but * alone for whatever is there", t.name)
	default:
		t.pattern = pieces
	}
	return nil
}

// word reads a value without quotes, in pieces between its wildcards if it may have some.
func (p *parser) word(wild bool) (pattern, error) {
	pieces, b := pattern{}, []byte(nil)
	for p.pos < len(p.text) && !isEnd(p.text[p.pos]) && p.text[p.pos] != '"' {
		switch c := p.text[p.pos]; {
		case c == '*' && wild:
			p.pos++
			if len(pieces) == 0 || len(b) > 0 { // two stars are like one
				pieces = append(pieces, string(b))
				b = b[:0]
			}
		case c == '\\':
			var err error
			if b, err = p.escape(b); err != nil {
				return nil, err
			}
		default:
			p.pos++
			b = append(b, c)
		}
	}
	return append(pieces, string(b)), nil
}

// quoted reads text in quotes.
func (p *parser) quoted() (string, error) {
	open := p.pos
	p.pos++
	var b []byte
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; c {
		case '"':
			p.pos++
			return string(b), nil
		case '\\':
			var err error
			if b, err = p.escape(b); err != nil {
				return "", err
			}
		default:
			p.pos++
			b = append(b, c)
		}
	}
	return "", p.fail(open, "not_closed", `A quote inside of quotes is written \".`, "this quote is not closed")
}

// escape reads what follows a backslash: n, r, t, u and four hexadecimal digits, or a character that stands for itself.
func (p *parser) escape(b []byte) ([]byte, error) {
	start := p.pos
	p.pos += 2
	if start+1 < len(p.text) {
		switch c := p.text[start+1]; {
		case c == 'n':
			return append(b, '\n'), nil
		case c == 'r':
			return append(b, '\r'), nil
		case c == 't':
			return append(b, '\t'), nil
		case c == 'u' && len(p.text) >= start+6:
			if n, err := strconv.ParseUint(p.text[start+2:start+6], 16, 16); err == nil && utf8.ValidRune(rune(n)) {
				p.pos = start + 6
				return utf8.AppendRune(b, rune(n)), nil
			}
		case c >= ' ' && c < utf8.RuneSelf && !isAlphanumeric(c):
			return append(b, c), nil
		}
	}
	p.pos = start
	return nil, p.fail(start, "bad_escape", `A backslash itself is written \\.`, `after \ stands n, r, t, u and four hexadecimal digits, or a sign such as " or *`)
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// wholeNumber reads digits, at most 15 of them, so that sums and units cannot overflow.
func wholeNumber(s string) (int64, bool) {
	if s == "" || len(s) > 15 {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// cutDigits splits what begins with digits.
func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// parseSize reads a number of bytes. As everywhere a kb is a thousand of them and a kib 1,024.
func parseSize(s string) (int64, bool) {
	digits, unit := cutDigits(s)
	n, ok := wholeNumber(digits)
	if !ok || n > 1e9 {
		return 0, false
	}
	switch strings.ToLower(unit) {
	case "", "b":
		return n, true
	case "kb":
		return n * 1e3, true
	case "kib":
		return n << 10, true
	case "mb":
		return n * 1e6, true
	case "mib":
		return n << 20, true
	}
	return 0, false
}

// maxSpan is 100 years in milliseconds, far from where sums overflow.
const maxSpan = 100 * 365 * 24 * 3600 * 1000

// parseSpan reads a time span, as everywhere in the API: whole seconds, or numbers with units as in 1h30m. It returns
// milliseconds.
func parseSpan(s string) (int64, bool) {
	total := int64(0)
	for first := true; first || s != ""; first = false {
		digits, rest := cutDigits(s)
		n, ok := wholeNumber(digits)
		if !ok || n > maxSpan {
			return 0, false
		}
		if rest == "" && first {
			rest = "s"
		} else if rest == "" {
			return 0, false
		}
		i := strings.IndexByte("smhd", rest[0])
		if i < 0 {
			return 0, false
		}
		total += n * []int64{1000, 60_000, 3_600_000, 86_400_000}[i]
		if total > maxSpan {
			return 0, false
		}
		s = rest[1:]
	}
	return total, true
}

// parseTime reads a time of RFC 3339, or a date, which means its first instant in UTC. It returns milliseconds.
func parseTime(s string) (int64, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s); err != nil {
			return 0, false
		}
	}
	return t.UnixMilli(), true
}

// appendValue writes a value as it can be read again.
func (t *term) appendValue(b []byte) []byte {
	switch {
	case t.op == exists:
		return append(b, '*')
	case t.op == matches:
		for i, piece := range t.pattern {
			if i > 0 {
				b = append(b, '*')
			}
			b = appendEscaped(b, piece, special)
		}
		return b
	case isPlain(t.text), t.kind == moment, t.timed: // the : in a time is plain behind an operator
		return append(b, t.text...)
	}
	return appendQuoted(b, t.text)
}

// special are the signs that mean something outside of quotes.
const special = " ()\"\\*" + operators

// isPlain reports whether s means itself without quotes, as a value.
func isPlain(s string) bool { return s != "" && !strings.ContainsAny(s, special) && !hasControl(s) }

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// Quote returns text as a value in quotes, for a filter that asks for exactly this text.
func Quote(text string) string { return string(appendQuoted(nil, text)) }

func appendQuoted(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s, `"\`), '"')
}

func appendEscaped(b []byte, s, signs string) []byte {
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		case r < utf8.RuneSelf && strings.IndexByte(signs, byte(r)) >= 0:
			b = append(b, '\\', byte(r))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// appendKey writes a step of a path.
func appendKey(b []byte, key string) []byte {
	if key != "" && !strings.ContainsAny(key, ` ().[]"\`+operators) && !hasControl(key) {
		return append(b, key...)
	}
	return appendQuoted(b, key)
}

var written = [...]string{exists: ":", matches: ":", equals: "=", holds: "~", less: "<", atMost: "<=", more: ">", atLeast: ">="}

// append writes a node, in parentheses where it is part of another one that binds more tightly.
func (n *node) append(b []byte, tight bool) []byte {
	switch n.join {
	case not:
		k := n.kids[0]
		b = append(b, '-')
		if k.join == leaf {
			return k.append(b, true)
		}
		return append(k.append(append(b, '('), false), ')')
	case and, or:
		between := " "
		if n.join == or {
			between = " OR "
		}
		if tight {
			b = append(b, '(')
		}
		for i, k := range n.kids {
			if i > 0 {
				b = append(b, between...)
			}
			b = k.append(b, n.join == and)
		}
		if tight {
			b = append(b, ')')
		}
		return b
	}
	t := n.term
	if t.kind == body && t.op == holds {
		if isPlain(t.text) && t.text[0] != '-' && t.text != "OR" && t.text != "AND" && t.text != "NOT" {
			return append(b, t.text...)
		}
		return appendQuoted(b, t.text)
	}
	b = append(append(b, t.name...), written[t.op]...)
	return t.appendValue(b)
}
