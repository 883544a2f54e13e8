package filter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
)

// A second evaluator, as plain as possible and as slow as it likes. It knows policies as encoding/json decodes them, and a
// message as a list of paths and values.

// seen is a value and where it was seen.
type seen struct {
	path  string
	value any // string, json.Number, bool or nil
}

// root is the path of a whole body, which is not that of the key "".
const root = "\x00"

// refMatch judges values by a policy.
func refMatch(policy map[string]any, before string, values []seen) bool {
	for key, want := range policy {
		path := key
		if before != root {
			path = before + "." + key
		}
		switch want := want.(type) {
		case map[string]any:
			if !refMatch(want, path, values) {
				return false
			}
		case []any:
			if key == "$or" {
				if !slices.ContainsFunc(want, func(w any) bool { return refMatch(w.(map[string]any), before, values) }) {
					return false
				}
				continue
			}
			var here []any
			for _, v := range values {
				if v.path == path {
					here = append(here, v.value)
				}
			}
			if !slices.ContainsFunc(want, func(w any) bool { return refCondition(w, here) }) {
				return false
			}
		}
	}
	return true
}

func refCondition(want any, values []any) bool {
	if m, ok := want.(map[string]any); ok {
		if there, ok := m["exists"]; ok {
			return there == (len(values) > 0)
		}
	}
	return slices.ContainsFunc(values, func(v any) bool { return refValue(want, v) })
}

func refValue(want, v any) bool {
	m, ok := want.(map[string]any)
	if !ok {
		a, aok := want.(json.Number)
		b, bok := v.(json.Number)
		if aok && bok {
			return ratio(a).Cmp(ratio(b)) == 0
		}
		return want == v
	}
	s, isText := v.(string)
	for op, arg := range m {
		text, _ := arg.(string)
		switch op {
		case "prefix":
			return isText && strings.HasPrefix(s, text)
		case "suffix":
			return isText && strings.HasSuffix(s, text)
		case "equals-ignore-case":
			return isText && strings.EqualFold(s, text)
		case "wildcard":
			return isText && globs(s, text)
		case "cidr":
			_, network, err := net.ParseCIDR(text)
			ip := net.ParseIP(s)
			return isText && err == nil && ip != nil && network.Contains(ip)
		case "numeric":
			n, isNumber := v.(json.Number)
			return isNumber && refNumeric(arg.([]any), ratio(n))
		case "anything-but":
			for _, w := range excluded(arg) {
				if refValue(w, v) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// excluded returns the conditions that an anything-but excludes.
func excluded(arg any) []any {
	switch arg := arg.(type) {
	case []any:
		return arg
	case map[string]any:
		var all []any
		for op, of := range arg {
			for _, one := range excluded(of) {
				all = append(all, map[string]any{op: one})
			}
		}
		return all
	}
	return []any{arg}
}

func refNumeric(terms []any, n *big.Rat) bool {
	for i := 0; i < len(terms); i += 2 {
		order := n.Cmp(ratio(terms[i+1].(json.Number)))
		op := terms[i].(string)
		if holds := strings.Contains(op, "=") && order == 0 || strings.Contains(op, "<") && order < 0 || strings.Contains(op, ">") && order > 0; !holds {
			return false
		}
	}
	return true
}

func ratio(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		panic("no number: " + n)
	}
	return r
}

func globs(s, pattern string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return globs(s, pattern[1:]) || s != "" && globs(s[1:], pattern)
	case pattern[0] == '\\':
		pattern = pattern[1:]
	}
	return s != "" && s[0] == pattern[0] && globs(s[1:], pattern[1:])
}

// list returns the values of a body with their paths, and whether it is a JSON object.
func list(body string) (all []seen, ok bool) {
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	var value func(path string) bool
	value = func(path string) bool {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		if token != json.Delim('{') && token != json.Delim('[') {
			all = append(all, seen{path, token})
			return true
		}
		for dec.More() {
			inner := path
			if token == json.Delim('{') {
				key, err := dec.Token()
				if err != nil {
					return false
				}
				if inner = key.(string); path != root {
					inner = path + "." + inner
				}
			}
			if !value(inner) {
				return false
			}
		}
		_, err = dec.Token()
		return err == nil
	}
	ok = utf8.ValidString(body) && json.Valid([]byte(body)) && strings.HasPrefix(strings.TrimLeft(body, " \n\t\r"), "{") && value(root)
	_, err := dec.Token()
	return all, ok && err == io.EOF
}

// refBody judges a body, refAttributes attributes.
func refBody(policy map[string]any, body string) bool {
	values, ok := list(body)
	return len(policy) == 0 || ok && refMatch(policy, root, values)
}

func refAttributes(policy map[string]any, with attributes) bool {
	var all []seen
	names := map[string]bool{}
	some := false
	for i := 0; i < len(with); i += 3 {
		name, typ, content := with[i], with[i+1], with[i+2]
		if typ == "Binary" {
			continue
		}
		some = true
		if names[name] {
			continue
		}
		names[name] = true
		switch typ {
		case "String":
			all = append(all, seen{name, content})
		case "Number":
			all = append(all, seen{name, json.Number(content)})
		case "String.Array":
			if values, ok := list(`{"":` + content + `}`); ok && strings.HasPrefix(strings.TrimSpace(content), "[") {
				for _, v := range values {
					if v.path == "" {
						all = append(all, seen{name, v.value})
					}
				}
			}
		}
	}
	return len(policy) == 0 || some && refMatch(policy, root, all)
}

// What is drawn comes from few words, so that much of it meets.
var (
	texts   = []string{"", "a", "A", "ab", "aba", "ba", "é", "É", "\u212a", "k", "a*b", `a\b`, "*", `"`, "\n", "😀", "5", "true", "null", "10.0.0.7", "::ffff:10.0.0.7", "10.1.0.0", "fe80::1"}
	keys    = []string{"a", "b", "c", "a.b", "b.c", "", ".", "é", `"`}
	figures = []string{"0", "-0", "5", "5.0", "50e-1", "-5", "5.00001", "9007199254740993", "9007199254740992", "1e30", "1E+30", "1e-30", "1000000000"}
)

func drawPolicy(t *rapid.T, scope filter.Scope, depth int) map[string]any {
	p := map[string]any{}
	for range rapid.IntRange(1, 2).Draw(t, "keys") {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		switch {
		case kind < 2 && depth > 0:
			var all []any
			for range rapid.IntRange(2, 3).Draw(t, "alternatives") {
				all = append(all, drawPolicy(t, scope, depth-1))
			}
			p["$or"] = all
		case kind < 4 && depth > 0 && scope == filter.Body:
			p[rapid.SampledFrom(keys).Draw(t, "key")] = drawPolicy(t, scope, depth-1)
		default:
			var all []any
			for range rapid.IntRange(1, 3).Draw(t, "conditions") {
				all = append(all, drawCondition(t))
			}
			p[rapid.SampledFrom(keys).Draw(t, "key")] = all
		}
	}
	return p
}

func drawScalar(t *rapid.T) any {
	switch rapid.IntRange(0, 4).Draw(t, "scalar") {
	case 0, 1:
		return rapid.SampledFrom(texts).Draw(t, "text")
	case 2, 3:
		return json.Number(rapid.SampledFrom(figures).Draw(t, "figure"))
	}
	return rapid.SampledFrom([]any{true, false, nil}).Draw(t, "word")
}

func drawTextual(t *rapid.T) (op string, arg func() any) {
	op = rapid.SampledFrom([]string{"prefix", "suffix", "equals-ignore-case", "wildcard"}).Draw(t, "op")
	return op, func() any {
		if op != "wildcard" {
			return rapid.SampledFrom(texts).Draw(t, "text")
		}
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"*", "a", "b", `\*`, `\\`, "é"}), 1, 4).Draw(t, "pieces")
		return strings.Join(slices.CompactFunc(pieces, func(a, b string) bool { return a == "*" && b == "*" }), "")
	}
}

func drawCondition(t *rapid.T) any {
	switch rapid.IntRange(0, 9).Draw(t, "condition") {
	case 0, 1, 2:
		return drawScalar(t)
	case 3:
		return map[string]any{"exists": rapid.Bool().Draw(t, "exists")}
	case 4:
		return map[string]any{"cidr": rapid.SampledFrom([]string{"10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "fe80::/10", "::/0"}).Draw(t, "cidr")}
	case 5:
		op := rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "op")
		terms := []any{op, json.Number(rapid.SampledFrom(figures).Draw(t, "figure"))}
		if upper := json.Number(rapid.SampledFrom(figures).Draw(t, "figure")); op[0] == '>' && ratio(upper).Cmp(ratio(terms[1].(json.Number))) > 0 {
			terms = append(terms, rapid.SampledFrom([]string{"<", "<="}).Draw(t, "op"), upper)
		}
		return map[string]any{"numeric": terms}
	case 6, 7:
		op, arg := drawTextual(t)
		return map[string]any{op: arg()}
	}
	draw, wrap := func() any { return drawScalar(t) }, func(v any) any { return v }
	if rapid.Bool().Draw(t, "textual") {
		op, arg := drawTextual(t)
		draw, wrap = arg, func(v any) any { return map[string]any{op: v} }
	}
	if rapid.Bool().Draw(t, "one") {
		return map[string]any{"anything-but": wrap(draw())}
	}
	var all []any
	for range rapid.IntRange(1, 3).Draw(t, "listed") {
		all = append(all, draw())
	}
	return map[string]any{"anything-but": wrap(all)}
}

// drawJSON writes a value, with objects whose keys may stand twice.
func drawJSON(t *rapid.T, b *bytes.Buffer, depth int, object bool) {
	kind := rapid.IntRange(0, 7).Draw(t, "json")
	if object {
		kind = 0
	} else if depth == 0 {
		kind = 7
	}
	switch kind {
	case 0, 1, 2:
		b.WriteString("{ ")
		for i := range rapid.IntRange(0, 4).Draw(t, "members") {
			if i > 0 {
				b.WriteByte(',')
			}
			drawString(t, b, rapid.SampledFrom(keys).Draw(t, "key"))
			b.WriteString(" :\n")
			drawJSON(t, b, depth-1, false)
		}
		b.WriteByte('}')
	case 3, 4:
		b.WriteByte('[')
		for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
			if i > 0 {
				b.WriteString(" ,")
			}
			drawJSON(t, b, depth-1, false)
		}
		b.WriteByte(']')
	default:
		switch v := drawScalar(t).(type) {
		case string:
			drawString(t, b, v)
		case json.Number:
			b.WriteString(v.String())
		default:
			_ = json.NewEncoder(b).Encode(v)
		}
	}
}

// drawString writes a string, now and then with more escapes than it needs.
func drawString(t *rapid.T, b *bytes.Buffer, s string) {
	every := rapid.Bool().Draw(t, "escaped")
	b.WriteByte('"')
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

func encode(t *rapid.T, policy map[string]any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(rapid.Bool().Draw(t, "html"))
	if err := enc.Encode(policy); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPoliciesAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	matched, judged := 0, 0
	var m filter.Message
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.SampledFrom([]filter.Scope{filter.Attributes, filter.Body}).Draw(t, "scope")
		want := drawPolicy(t, scope, 2)
		text := encode(t, want)
		p, err := filter.Compile(text, scope)
		if err != nil {
			if strings.HasSuffix(filter.Reason(err), "too complex") {
				t.Skip()
			}
			t.Fatalf("%s: %v", text, err)
		}
		for range 5 {
			var body bytes.Buffer
			drawJSON(t, &body, 3, rapid.IntRange(0, 9).Draw(t, "object") > 0)
			m.Reset(body.String())
			var with attributes
			for range rapid.IntRange(0, 3).Draw(t, "attributes") {
				var content bytes.Buffer
				typ := rapid.SampledFrom([]string{"String", "Number", "String.Array", "Binary"}).Draw(t, "type")
				switch typ {
				case "String", "Binary":
					content.WriteString(rapid.SampledFrom(texts).Draw(t, "text"))
				case "Number":
					content.WriteString(rapid.SampledFrom(figures).Draw(t, "figure"))
				default:
					drawJSON(t, &content, 2, false)
				}
				with = append(with, rapid.SampledFrom(keys).Draw(t, "name"), typ, content.String())
				m.AddAttribute(with[len(with)-3], with[len(with)-2], with[len(with)-1])
			}
			expected := scope == filter.Body && refBody(want, body.String()) || scope == filter.Attributes && refAttributes(want, with)
			if got := p.Match(&m); got != expected {
				t.Fatalf("%s of %s, %s with %q: got %t, want %t", text, scope, body.String(), with, got, expected)
			}
			if failures := p.Explain(&m); (len(failures) == 0) != expected {
				t.Fatalf("%s of %s, %s with %q: matches: %t, explained as %+v", text, scope, body.String(), with, expected, failures)
			}
			if judged++; expected {
				matched++
			}
		}
	})
	if matched < judged/100 || matched > judged*99/100 { // about one in thirteen does, and those of one policy go together
		t.Errorf("%d of %d messages matched: that tests little", matched, judged)
	}
}

var exponent = regexp.MustCompile(`[0-9][eE][-+]?[0-9]{3}`)

// Whatever is given as a policy is read, and then means what the reference says, or is refused with a place inside it.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":["x",5,true,null]}`, `{"a":{"b.c":[{"prefix":"x"}]},"$or":[{"d":[1]},{"e":[{"exists":false}]}]}`, `{"a":[{"anything-but":{"wildcard":["a*","\\*"]}}]}`,
		`{"a":[{"numeric":[">",0,"<=",1e3]},{"cidr":"10.0.0.0/8"},{"equals-ignore-case":"é"},{"suffix":""}]}`, `{"a":[{"anything-but":[1,"x",null]}]}`, `{"a":[`, `{"$or":[]}`, `{"\ud800":[0]}`, "\xff", `{"a":[{"numeric":[`,
	} {
		f.Add(seed, `{"a":[{"b":{"c":"x"}},5],"d":"10.0.0.1"}`)
		f.Add(seed, `{"a":"x"}`)
	}
	f.Fuzz(func(t *testing.T, policy, body string) {
		for _, scope := range []filter.Scope{filter.Body, filter.Attributes} {
			p, err := filter.Compile(policy, scope)
			if err != nil {
				var e *errs.Error
				if e, _ = err.(*errs.Error); e == nil || len(e.Fields) != 1 { //nolint:errorlint // exactly this type
					t.Fatalf("%q: got the error %v", policy, err)
				}
				line, column := e.Fields[0].Line, e.Fields[0].Column
				lines := strings.Split(policy, "\n")
				if line < 1 || line > len(lines) || column < 1 || column > utf8.RuneCountInString(lines[line-1])+1 {
					t.Fatalf("%q: the fault is at line %d, column %d", policy, line, column)
				}
				continue
			}
			m := message(body, "a", "String", body, "d", "String.Array", body)
			got := p.Match(m)
			if failures := p.Explain(m); (len(failures) == 0) != got {
				t.Fatalf("%q of %q: %t, explained as %+v", policy, body, got, failures)
			}
			var ref map[string]any
			dec := json.NewDecoder(strings.NewReader(policy))
			dec.UseNumber()
			if policy != "" {
				if err := dec.Decode(&ref); err != nil {
					t.Fatalf("%q is read, and is no JSON: %v", policy, err)
				}
			}
			if exponent.MatchString(policy) || exponent.MatchString(body) {
				continue // a number such as 1e999999999 takes the reference for ever
			}
			want := refBody(ref, body)
			if scope == filter.Attributes {
				want = refAttributes(ref, attributes{"a", "String", body, "d", "String.Array", body})
			}
			if got != want {
				t.Fatalf("%q of %s %q: got %t, want %t", policy, scope, body, got, want)
			}
		}
	})
}
