package aws

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// maxDepth bounds how deep JSON may be nested. What SQS knows is five deep.
const maxDepth = 64

// Kinds of values that hold others, beside those of package rawjson.
const (
	kindObject rawjson.Kind = 100 + iota
	kindArray
)

// value is a JSON value. Text is that of a string, or of a number as it was written.
type value struct {
	kind    rawjson.Kind
	text    string
	members []member
	items   []value
}

type member struct {
	name  string
	value value
}

// object is the input of an action as JSON.
type object struct {
	members []member
	flaws   *flaws
}

// parseJSON reads a body, which holds one object and nothing else. It is strict where two readers could read different
// things: names stand once and are compared as they are.
func parseJSON(body string, f *flaws) (object, *Fault) {
	if body == "" {
		return object{flaws: f}, nil
	}
	if !utf8.ValidString(body) {
		return object{}, errSerialization.with("The request body is not UTF-8.")
	}
	p := parser{Scanner: rawjson.Scanner{Text: body}}
	p.Space()
	if p.Next() != '{' {
		return object{}, errSerialization.with("The request body is not a JSON object.")
	}
	v, ok := p.value(0)
	p.Space()
	switch {
	case p.values > maxValues:
		return object{}, errInvalidParameter.with("The request holds more than %d values.", maxValues)
	case !ok || p.Pos != len(body):
		return object{}, errSerialization.with("The request body is not valid JSON, near byte %d.", p.Pos)
	}
	return object{v.members, f}, nil
}

type parser struct {
	rawjson.Scanner
	values int
}

func (p *parser) value(depth int) (value, bool) {
	if p.values++; p.values > maxValues || depth > maxDepth {
		return value{}, false
	}
	switch p.Next() {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	}
	from := p.Pos
	kind, plain, ok := p.Scalar()
	if !ok {
		return value{}, false
	}
	v := value{kind: kind, text: p.Text[from:p.Pos]}
	if kind == rawjson.String {
		v.text = unquote(v.text, plain)
	}
	return v, true
}

func (p *parser) object(depth int) (value, bool) {
	v := value{kind: kindObject}
	for p.Pos++; ; p.Pos++ {
		if p.Space(); p.Next() == '}' && len(v.members) == 0 {
			break
		}
		from := p.Pos
		plain, ok := p.Str()
		if !ok {
			return v, false
		}
		m := member{name: unquote(p.Text[from:p.Pos], plain)}
		for i := range v.members {
			if v.members[i].name == m.name {
				return v, false
			}
		}
		if !p.Sign(':') {
			return v, false
		}
		p.Space()
		if m.value, ok = p.value(depth + 1); !ok {
			return v, false
		}
		if v.members == nil {
			v.members = make([]member, 0, 4)
		}
		v.members = append(v.members, m)
		if p.Space(); p.Next() != ',' {
			break
		}
	}
	ok := p.Next() == '}'
	p.Pos++
	return v, ok
}

func (p *parser) array(depth int) (value, bool) {
	v := value{kind: kindArray}
	for p.Pos++; ; p.Pos++ {
		if p.Space(); p.Next() == ']' && len(v.items) == 0 {
			break
		}
		item, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		v.items = append(v.items, item)
		if p.Space(); p.Next() != ',' {
			break
		}
	}
	ok := p.Next() == ']'
	p.Pos++
	return v, ok
}

// unquote returns the text of a string that is well formed. Half of a surrogate pair becomes bytes that are no UTF-8, so
// that whoever checks the text refuses it.
func unquote(s string, plain bool) string {
	s = s[1 : len(s)-1]
	if plain {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(s[i+1:], `\u`) {
				if low := hex4(s[i+3:]); low >= 0xdc00 && low < 0xe000 {
					r = 0x10000 + (r-0xd800)<<10 + low - 0xdc00
					i += 6
				}
			}
			if r >= 0xd800 && r < 0xe000 {
				b = append(b, 0xed, 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
				continue
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func hex4(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 16)
	return rune(n)
}

// get returns a member that is not null.
func (o object) get(name string) (value, bool) {
	for i := range o.members {
		if m := &o.members[i]; m.name == name {
			return m.value, m.value.kind != rawjson.Null
		}
	}
	return value{}, false
}

func (o object) of(name string, kind rawjson.Kind, what string) (value, bool) {
	v, ok := o.get(name)
	if ok && v.kind != kind {
		o.flaws.note(errSerialization.with("%s must be %s.", name, what))
		return value{}, false
	}
	return v, ok
}

func (o object) text(name string) (string, bool) {
	v, ok := o.of(name, rawjson.String, "a string")
	return v.text, ok
}

// number takes numbers as text too: clients exist that send them so.
func (o object) number(name string) (int64, bool) {
	v, ok := o.get(name)
	if !ok {
		return 0, false
	}
	if v.kind == rawjson.Numeric || v.kind == rawjson.String {
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil && v.text != "-0" {
			return n, true
		}
	}
	o.flaws.note(errSerialization.with("%s must be a whole number.", name))
	return 0, false
}

func (o object) texts(f field) []string {
	v, _ := o.of(f.json, kindArray, "a list of strings")
	list := make([]string, 0, len(v.items))
	for _, item := range v.items {
		if item.kind != rawjson.String {
			o.flaws.note(errSerialization.with("%s must be a list of strings.", f.json))
			return nil
		}
		list = append(list, item.text)
	}
	return list
}

func (o object) table(f field) []pair {
	v, _ := o.of(f.json, kindObject, "a map of strings")
	list := make([]pair, 0, len(v.members))
	for _, m := range v.members {
		if m.value.kind != rawjson.String {
			o.flaws.note(errSerialization.with("%s must be a map of strings.", f.json))
			return nil
		}
		list = append(list, pair{m.name, m.value.text})
	}
	return list
}

func (o object) list(f field) []input {
	v, _ := o.of(f.json, kindArray, "a list of objects")
	list := make([]input, 0, len(v.items))
	for _, item := range v.items {
		if item.kind != kindObject {
			o.flaws.note(errSerialization.with("%s must be a list of objects.", f.json))
			return nil
		}
		list = append(list, object{item.members, o.flaws})
	}
	return list
}

func (o object) attributes(f field) []attribute {
	v, _ := o.of(f.json, kindObject, "a map of attributes")
	if len(v.members) == 0 {
		return nil
	}
	list := make([]attribute, 0, min(len(v.members), 16))
	for _, m := range v.members {
		if m.value.kind != kindObject {
			o.flaws.note(errSerialization.with("%s must be a map of attributes.", f.json))
			return nil
		}
		in := object{m.value.members, o.flaws}
		a := attribute{name: m.name}
		a.kind, _ = in.text("DataType")
		a.text, a.hasText = in.text("StringValue")
		if a.binary, a.hasData = in.text("BinaryValue"); a.hasData {
			o.decode(&a)
		}
		a.lists = in.holds("StringListValues") || in.holds("BinaryListValues")
		list = append(list, a)
	}
	return list
}

func (o object) decode(a *attribute) {
	raw, err := base64.StdEncoding.DecodeString(a.binary)
	if err != nil {
		o.flaws.note(errSerialization.with("BinaryValue must be base64."))
	}
	a.binary = string(raw)
}

// holds reports whether a list is there that is not empty.
func (o object) holds(name string) bool {
	v, _ := o.get(name)
	return len(v.items) > 0
}
