package aws

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// reply writes what an action answers, in either protocol. A member that holds several things has a name in JSON, where it
// is a list or a map, and another one in XML, where each of them is an element of its own. What is empty is left out.
type reply struct {
	b    []byte
	json bool
}

func (o *reply) text(name, value string) {
	if o.json {
		o.name(name)
		o.b = appendJSON(o.b, value)
		return
	}
	o.open(name)
	o.b = appendXML(o.b, value)
	o.close(name)
}

func (o *reply) number(name string, n int64) { o.plain(name, strconv.FormatInt(n, 10)) }

func (o *reply) flag(name string, b bool) { o.plain(name, strconv.FormatBool(b)) }

func (o *reply) plain(name, value string) {
	if o.json {
		o.name(name)
		o.b = append(o.b, value...)
		return
	}
	o.open(name)
	o.b = append(o.b, value...)
	o.close(name)
}

// list writes n objects; each writes the members of one.
func (o *reply) list(json, xml string, n int, each func(i int)) {
	if n == 0 {
		return
	}
	if o.json {
		o.name(json)
		o.b = append(o.b, '[')
	}
	for i := range n {
		if o.json {
			o.comma()
			o.b = append(o.b, '{')
			each(i)
			o.b = append(o.b, '}')
			continue
		}
		o.open(xml)
		each(i)
		o.close(xml)
	}
	if o.json {
		o.b = append(o.b, ']')
	}
}

func (o *reply) texts(json, xml string, list []string) {
	if len(list) == 0 {
		return
	}
	if !o.json {
		for _, s := range list {
			o.text(xml, s)
		}
		return
	}
	o.name(json)
	o.b = append(o.b, '[')
	for _, s := range list {
		o.comma()
		o.b = appendJSON(o.b, s)
	}
	o.b = append(o.b, ']')
}

// table writes a map of strings.
func (o *reply) table(f field, list []pair) {
	if len(list) == 0 {
		return
	}
	if !o.json {
		for _, p := range list {
			o.open(f.query)
			o.text(f.key, p.key)
			o.text(f.value, p.value)
			o.close(f.query)
		}
		return
	}
	o.name(f.json)
	o.b = append(o.b, '{')
	for _, p := range list {
		o.text(p.key, p.value)
	}
	o.b = append(o.b, '}')
}

// members writes a list as SNS has it; each writes the members of one.
func (o *reply) members(name string, n int, each func(i int)) {
	o.open(name)
	for i := range n {
		o.open("member")
		each(i)
		o.close("member")
	}
	o.close(name)
}

// entries writes a map of strings as SNS has it.
func (o *reply) entries(name string, list []pair) {
	o.open(name)
	for _, p := range list {
		o.open("entry")
		o.text("key", p.key)
		o.text("value", p.value)
		o.close("entry")
	}
	o.close(name)
}

// attributes writes the typed values of a message.
func (o *reply) attributes(list []attribute) {
	if len(list) == 0 {
		return
	}
	f := fieldMessageAttribute
	if o.json {
		o.name(f.json)
		o.b = append(o.b, '{')
	}
	for i := range list {
		a := &list[i]
		if o.json {
			o.name(a.name)
			o.b = append(o.b, '{')
			o.typed(a)
			o.b = append(o.b, '}')
			continue
		}
		o.open(f.query)
		o.text(f.key, a.name)
		o.open(f.value)
		o.typed(a)
		o.close(f.value)
		o.close(f.query)
	}
	if o.json {
		o.b = append(o.b, '}')
	}
}

func (o *reply) typed(a *attribute) {
	if a.hasData {
		o.plainText("BinaryValue", base64.StdEncoding.EncodeToString([]byte(a.binary)))
	} else {
		o.text("StringValue", a.text)
	}
	o.text("DataType", a.kind)
}

// plainText is text for a value that needs no escapes.
func (o *reply) plainText(name, value string) {
	if o.json {
		value = `"` + value + `"`
	}
	o.plain(name, value)
}

// name writes the name of a member of JSON.
func (o *reply) name(name string) {
	o.comma()
	o.b = append(appendJSON(o.b, name), ':')
}

func (o *reply) comma() {
	if last := o.b[len(o.b)-1]; last != '{' && last != '[' {
		o.b = append(o.b, ',')
	}
}

func (o *reply) open(name string) { o.b = append(append(append(o.b, '<'), name...), '>') }

func (o *reply) close(name string) { o.b = append(append(append(o.b, "</"...), name...), '>') }

// appendJSON writes a JSON string. What is no UTF-8 becomes U+FFFD.
func appendJSON(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// appendXML writes text between tags. A carriage return would become a line feed if it stood for itself, and so would what
// an attribute holds; what XML cannot hold becomes U+FFFD.
func appendXML(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' && c != '"' || c == '\n' || c == '\t' {
			i++
			continue
		}
		n, out := 1, "\ufffd"
		switch c {
		case '&':
			out = "&amp;"
		case '<':
			out = "&lt;"
		case '>':
			out = "&gt;"
		case '"':
			out = "&quot;"
		case '\r':
			out = "&#xD;"
		default:
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); carries(r, n) {
				i += n
				continue
			}
		}
		b = append(append(b, s[from:i]...), out...)
		i += n
		from = i
	}
	return append(b, s[from:]...)
}

// carries reports whether a character of n bytes can be carried by both protocols: those that XML 1.0 allows.
func carries(r rune, n int) bool {
	switch {
	case r == utf8.RuneError && n < 2:
		return false
	case r < ' ':
		return r == '\t' || r == '\n' || r == '\r'
	}
	return r != 0xfffe && r != 0xffff
}

// isText reports whether both protocols can carry s as text.
func isText(s string) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !carries(r, n) {
			return false
		}
		i += n
	}
	return true
}
