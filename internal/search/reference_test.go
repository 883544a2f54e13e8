package search_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/search"
)

// A second evaluator, as plain as possible and as slow as it likes: it knows nothing of texts and of scanning.

// wish is a filter as the reference has it.
type wish struct {
	join  string // "and", "or", "not", or "" for a comparison
	kids  []wish
	field string // "body", "attr.x", "path", or a field
	steps []any  // of a path: names and places
	op    string // as it is written, ":*" for "is there", "glob" for ":" with wildcards
	text  string // the value; with wildcards a \x00 for each
	n     int64  // the value of fields that are numbers
}

func (w *wish) match(l *letter) bool {
	switch w.join {
	case "and":
		for _, k := range w.kids {
			if !k.match(l) {
				return false
			}
		}
		return true
	case "or":
		for _, k := range w.kids {
			if k.match(l) {
				return true
			}
		}
		return false
	case "not":
		return !w.kids[0].match(l)
	}
	switch w.field {
	case "id":
		return l.id != "" && w.judge(l.id)
	case "receives":
		return w.op == ":*" || ranks(big.NewRat(l.receives, 1).Cmp(big.NewRat(w.n, 1)), w.op)
	case "age":
		return w.op == ":*" || ranks(int(now.Sub(l.sent).Milliseconds()-w.n), w.op)
	case "body":
		return w.judge(l.body)
	case "path":
		v, ok := at(l.body, w.steps)
		return ok && w.judge(v)
	}
	switch v := l.attributes[strings.TrimPrefix(w.field, "attr.")].(type) {
	case string:
		if ratio(v) != nil && strings.ContainsAny(w.op, "<>") {
			return w.judge(json.Number(v))
		}
		return w.judge(v)
	case number:
		return w.judge(json.Number(v))
	}
	return false
}

// judge compares a value: a string, or what encoding/json makes of others.
func (w *wish) judge(v any) bool {
	if w.op == ":*" {
		return true
	}
	text, isText := v.(string)
	switch v := v.(type) {
	case json.Number:
		text = v.String()
		if a, b := ratio(text), ratio(w.text); a != nil && b != nil && w.op != "~" && w.op != "glob" {
			return ranks(a.Cmp(b), w.op)
		}
	case bool, nil:
		text = map[any]string{true: "true", false: "false", nil: "null"}[v]
	case map[string]any, []any:
		return false
	}
	switch w.op {
	case "<", "<=", ">", ">=":
		a, errA := time.Parse(time.RFC3339, text)
		b, errB := time.Parse(time.RFC3339, w.text)
		return isText && errA == nil && errB == nil && ranks(a.Compare(b), w.op)
	case "~":
		return holds(text, w.text)
	case "glob":
		return globs(text, w.text)
	}
	return text == w.text
}

func ranks(c int, op string) bool {
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return c == 0
}

func ratio(s string) *big.Rat {
	if strings.ContainsAny(s, "/_xXpPoObB") {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return r
}

func holds(s, part string) bool {
	for i := range len(s) + 1 {
		for j := i; j <= len(s); j++ {
			if utf8.ValidString(s[i:j]) && strings.EqualFold(s[i:j], part) {
				return true
			}
		}
	}
	return false
}

func globs(s, pattern string) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == 0:
		return globs(s, pattern[1:]) || len(s) > 0 && globs(s[1:], pattern)
	}
	return len(s) > 0 && s[0] == pattern[0] && globs(s[1:], pattern[1:])
}

// at returns the value at a path of a body.
func at(body string, steps []any) (any, bool) {
	if !utf8.ValidString(body) {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	for _, step := range steps {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			next, ok := m[s]
			if !ok {
				return nil, false
			}
			v = next
		case int:
			list, _ := v.([]any)
			if s >= len(list) {
				return nil, false
			}
			v = list[s]
		}
	}
	return v, true
}

// What is drawn comes from few words, so that much of it meets.
var (
	words   = []string{"a", "A", "ab", "b", "é", "É", "K", "\u212a", "ſ", "s", "", "*", "a b", `"`, `\`, "(", ")", ":", "-", "OR", "null", "true", "7", "07", "7.0", "-7", "1e1", "10", "\n", "\x7f", "😀", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "\ufffd"}
	keys    = []string{"a", "b", "c d", "", `"`, "é", "0", "[", "a.b"}
	figures = []string{"0", "-0", "7", "7.0", "7.00", "70e-1", "0.7E1", "-7", "1e1", "10", "10.01", "9007199254740993", "9007199254740992", "1e30", "1E+30", "1e-30", "100000000000000000000000000000000"}
)

func drawText(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, label), "")
}

// drawJSON writes JSON, now and then with one name twice or with something wrong.
func drawJSON(t *rapid.T, b *bytes.Buffer, depth int) {
	space := func() { b.WriteString(rapid.SampledFrom([]string{"", "", "", " ", "\n\t"}).Draw(t, "space")) }
	space()
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind = 4 + kind%4
	}
	switch kind {
	case 0, 1, 8:
		b.WriteByte('{')
		for i := range rapid.IntRange(0, 3).Draw(t, "members") {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			drawString(t, b, rapid.SampledFrom(keys).Draw(t, "key"))
			space()
			b.WriteByte(':')
			drawJSON(t, b, depth-1)
		}
		b.WriteByte('}')
	case 2, 3, 9:
		b.WriteByte('[')
		for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
			if i > 0 {
				b.WriteByte(',')
			}
			drawJSON(t, b, depth-1)
		}
		b.WriteByte(']')
	case 4, 5:
		drawString(t, b, drawText(t, "string"))
	case 6:
		b.WriteString(rapid.SampledFrom(figures).Draw(t, "figure"))
	case 7:
		b.WriteString(rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal"))
	}
	space()
}

// drawString writes a string, with more escapes than it needs.
func drawString(t *rapid.T, b *bytes.Buffer, s string) {
	b.WriteByte('"')
	every := rapid.Bool().Draw(t, "escaped")
	for _, r := range s {
		switch {
		case r > 0xffff:
			b.WriteRune(r)
		case every || r < ' ' || r == '"' || r == '\\':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

func drawLetter(t *rapid.T) *letter {
	var b bytes.Buffer
	drawJSON(t, &b, 3)
	body := b.String()
	if len(body) > 0 && rapid.IntRange(0, 9).Draw(t, "spoil") == 0 {
		at := rapid.IntRange(0, len(body)-1).Draw(t, "where")
		body = body[:at] + rapid.SampledFrom([]string{"", "x", ",", "}", "\xff", `\`, "0", "\x00"}).Draw(t, "with") + body[at+1:]
	}
	l := &letter{id: drawText(t, "id"), body: body, receives: int64(rapid.IntRange(0, 3).Draw(t, "receives")),
		sent: now.Add(-time.Duration(rapid.IntRange(0, 4).Draw(t, "age")) * time.Second), attributes: map[string]any{}}
	for _, name := range []string{"x", "y.z"} {
		switch rapid.IntRange(0, 2).Draw(t, "attribute") {
		case 0:
			l.attributes[name] = drawText(t, "value")
		case 1:
			l.attributes[name] = number(rapid.SampledFrom(figures).Draw(t, "number"))
		}
	}
	return l
}

// drawWish returns a filter, and a text for it.
func drawWish(t *rapid.T, depth int) (wish, string) {
	kind := rapid.IntRange(0, 7).Draw(t, "join")
	if depth == 0 || kind > 2 {
		return drawComparison(t)
	}
	if kind == 0 {
		w, text := drawWish(t, depth-1)
		minus := rapid.SampledFrom([]string{"-", "NOT "}).Draw(t, "minus")
		return wish{join: "not", kids: []wish{w}}, minus + "(" + text + ")"
	}
	w, between := wish{join: "and"}, rapid.SampledFrom([]string{" ", "  ", "\n", " AND "}).Draw(t, "between")
	if kind == 2 {
		w.join, between = "or", " OR "
	}
	var texts []string
	for range rapid.IntRange(1, 3).Draw(t, "kids") {
		k, text := drawWish(t, depth-1)
		if k.join != "" && (k.join != "and" || w.join != "or" || rapid.Bool().Draw(t, "parentheses")) {
			text = "(" + text + ")"
		}
		w.kids = append(w.kids, k)
		texts = append(texts, text)
	}
	return w, strings.Join(texts, between)
}

func drawComparison(t *rapid.T) (wish, string) {
	w := wish{field: rapid.SampledFrom([]string{"id", "body", "bare", "attr.x", "attr.y.z", "attr.none", "path", "path", "path", "receives", "age"}).Draw(t, "field")}
	name, ops := w.field, []string{":", "=", "~"}
	switch w.field {
	case "bare":
		w.field, w.op, w.text = "body", "~", drawText(t, "word")
		return w, quote(w.text)
	case "receives":
		w.n = int64(rapid.IntRange(0, 3).Draw(t, "n"))
		w.op = rapid.SampledFrom([]string{":", "=", "<", "<=", ">", ">=", ":*"}).Draw(t, "op")
		if w.op == ":*" {
			return w, "receives:*"
		}
		return w, fmt.Sprintf("receives%s%d", w.op, w.n)
	case "age":
		w.n = int64(rapid.IntRange(0, 4).Draw(t, "n")) * 1000
		w.op = rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
		return w, fmt.Sprintf("age%s%d%s", w.op, w.n/1000, rapid.SampledFrom([]string{"", "s"}).Draw(t, "unit"))
	case "path":
		name = "body"
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "place") {
				i := rapid.IntRange(0, 2).Draw(t, "index")
				w.steps = append(w.steps, i)
				name += fmt.Sprintf("[%d]", i)
				continue
			}
			key := rapid.SampledFrom(keys).Draw(t, "key")
			w.steps = append(w.steps, key)
			name += "." + quote(key)
		}
		ops = append(ops, "<", "<=", ">", ">=", ":*")
	case "attr.x", "attr.y.z", "attr.none":
		ops = append(ops, "<", "<=", ">", ">=", ":*")
	}
	w.op = rapid.SampledFrom(ops).Draw(t, "op")
	switch w.op {
	case ":*":
		return w, name + ":*"
	case ":":
		if rapid.Bool().Draw(t, "wildcards") {
			return drawGlob(t, w, name)
		}
		w.op, w.text = "=", drawText(t, "value")
		return w, name + ":" + quote(w.text)
	case "<", "<=", ">", ">=":
		w.text = rapid.SampledFrom(append(figures, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.001Z")).Draw(t, "bound")
		return w, name + w.op + w.text
	}
	w.text = drawText(t, "value")
	return w, name + w.op + quote(w.text)
}

func drawGlob(t *rapid.T, w wish, name string) (wish, string) {
	w.op = "glob"
	text := name + ":"
	for range rapid.IntRange(2, 5).Draw(t, "pieces") {
		if rapid.Bool().Draw(t, "star") {
			w.text, text = w.text+"\x00", text+"*"
			continue
		}
		piece := rapid.SampledFrom(words).Draw(t, "piece")
		w.text += piece
		for _, r := range piece {
			switch {
			case r < ' ':
				text += fmt.Sprintf(`\u%04x`, r)
			case strings.ContainsRune(` ()"\*:=~<>`, r):
				text += `\` + string(r)
			default:
				text += string(r)
			}
		}
	}
	if strings.Trim(w.text, "\x00") == "" { // nothing, or "is there"
		return w.only("a\x00"), name + ":a*"
	}
	if !strings.Contains(w.text, "\x00") {
		w.op = "="
	}
	return w, text
}

func (w wish) only(text string) wish {
	w.text = text
	return w
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func TestFiltersAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		w, text := drawWish(t, 3)
		f, err := letters.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := letters.Parse(f.String())
		if err != nil || again.String() != f.String() {
			t.Fatalf("%s prints as %s, which reads as %v (%v)", text, f, again, err)
		}
		for range 5 {
			l := drawLetter(t)
			want := w.match(l)
			if got := f.Match(l, now); got != want {
				t.Fatalf("%s of %+v: got %t, want %t", text, l, got, want)
			}
			if got := again.Match(l, now); got != want {
				t.Fatalf("%s, printed as %s, of %+v: got %t, want %t", text, f, l, got, want)
			}
			if want {
				matched++
			}
		}
	})
	if matched < 50 {
		t.Errorf("only %d things matched", matched)
	}
}

// Whatever is given as a filter is read or refused with a place inside it, and what is read prints as itself.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", `state:delayed OR (age>1h -body~"null")`, `body.a."b c"[0]>=1e5 attr.x.y:a*\*b`, `-(-"x\u0041\"")`, "receives:>=3\nsize<10kib due>2026-03-01",
		"body.a:*", "NOT (a AND b) OR c", "body.a=\\u00e9", "((", `"`, "a:b:c", "body[", "body..", "-", "OR", "attr.:", `id=a\`, "\xff", "body.\x00=\x7f", "id:***a**",
	} {
		f.Add(seed)
	}
	l := sample()
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := letters.Parse(text)
		if err != nil {
			var e *errs.Error
			if e, _ = err.(*errs.Error); e == nil || len(e.Fields) != 1 { //nolint:errorlint // exactly this type
				t.Fatalf("%q: got the error %v", text, err)
			}
			line, column := e.Fields[0].Line, e.Fields[0].Column
			lines := strings.Split(text, "\n")
			if line < 1 || line > len(lines) || column < 1 || column > utf8.RuneCountInString(lines[line-1])+1 {
				t.Fatalf("%q: the fault is at line %d, column %d", text, line, column)
			}
			return
		}
		again, err := letters.Parse(filter.String())
		if err != nil || again.String() != filter.String() {
			t.Fatalf("%q prints as %q, which reads as %q (%v)", text, filter, again, err)
		}
		if got, want := again.Match(l, now), filter.Match(l, now); got != want {
			t.Fatalf("%q matches: %t; printed as %q: %t", text, want, filter, got)
		}
		if len(filter.String()) > search.MaxLength {
			t.Fatalf("%q prints longer than allowed", text)
		}
	})
}
