package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/topics"
)

const (
	structuredType = "application/cloudevents+json; charset=utf-8"
	octets         = "application/octet-stream"
	// maxEventHeader bounds the value of an attribute that goes into a header, as it is written there: receivers take a few
	// kilobytes of headers together.
	maxEventHeader = 1 << 10
)

// event is a message as CloudEvents 1.0 sees it.
type event struct {
	attributes []eventAttribute // without the type of the data
	dataType   string           // media type
	data       []byte
}

type eventAttribute struct{ name, value string }

// own are the names of attributes of an event that no attribute of a message may take.
var own = []string{"specversion", "id", "time", "datacontenttype", "data", "partitionkey"}

// eventOf returns a message as an event. Its source is the topic, its type the topic's name, unless the message has attributes
// of these names; its other attributes go along as far as their names and values are such that CloudEvents can carry them.
func eventOf(topic string, l *topics.Logged) *event {
	m := &l.Message
	e := &event{dataType: m.ContentType, data: m.Body}
	if e.dataType == "" { // as SNS publishes
		e.dataType = guess(m.Body)
	}
	given := map[string]string{}
	var names []string
	for _, a := range m.Attributes {
		name, value := strings.ToLower(a.Name), a.Value
		if strings.HasPrefix(a.Type, "Binary") {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		if _, twice := given[name]; !twice && !slices.Contains(own, name) && carries(name, value) {
			given[name] = value
			names = append(names, name)
		}
	}
	add := func(name, value string) { e.attributes = append(e.attributes, eventAttribute{name, value}) }
	take := func(name, otherwise string) {
		if value, ok := given[name]; ok {
			otherwise = value
		}
		if delete(given, name); otherwise != "" {
			add(name, otherwise)
		}
	}
	if u, err := url.Parse(given["source"]); err != nil || u.String() != given["source"] {
		delete(given, "source")
	}
	if u, err := url.Parse(given["dataschema"]); err != nil || !u.IsAbs() {
		delete(given, "dataschema")
	}
	subject := m.Subject
	if !carries("subject", subject) {
		subject = ""
	}
	add("specversion", "1.0")
	add("id", "msg_"+l.ID.String())
	take("source", "/v1/topics/"+topic)
	take("type", topic)
	take("subject", subject)
	add("time", l.PublishedAt.UTC().Format(time.RFC3339Nano))
	if m.GroupID != "" {
		add("partitionkey", m.GroupID)
	}
	slices.Sort(names)
	for _, name := range names {
		take(name, "")
	}
	return e
}

// carries reports whether an attribute may be one of an event: a name of lower-case letters and digits, and text without control
// characters that is not empty.
func carries(name, value string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == "" && value != "" && utf8.ValidString(value) &&
		strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }) < 0
}

// binary writes what is known of an event into the headers of a request whose body is the data.
func (e *event) binary(h http.Header) {
	h.Set("Content-Type", e.dataType)
	for _, a := range e.attributes {
		if value := percent(a.value); len(value) <= maxEventHeader {
			h.Set("ce-"+a.name, value)
		}
	}
}

// percent writes text for a header as CloudEvents does.
func percent(text string) string {
	var b strings.Builder
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// structured returns an event as one JSON object. Data that is JSON stands in it as it is, text as a string, and anything else
// in base64.
func (e *event) structured() []byte {
	var b bytes.Buffer
	text := json.NewEncoder(&b)
	text.SetEscapeHTML(false)
	member := func(name, value string) {
		b.WriteByte(',')
		b.WriteString(`"` + name + `":`)
		_ = text.Encode(value)  // never fails
		b.Truncate(b.Len() - 1) // the line break
	}
	for _, a := range e.attributes {
		member(a.name, a.value)
	}
	member("datacontenttype", e.dataType)
	kind, _, _ := mime.ParseMediaType(e.dataType)
	isJSON := kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
	switch {
	case kind == octets || !utf8.Valid(e.data) || isJSON && !json.Valid(e.data):
		member("data_base64", base64.StdEncoding.EncodeToString(e.data))
	case isJSON:
		b.WriteString(`,"data":`)
		b.Write(e.data)
	default:
		member("data", string(e.data))
	}
	b.WriteByte('}')
	out := b.Bytes()
	out[0] = '{' // in the place of the first comma
	return out
}

// guess returns the media type of data of which nobody said it: JSON, text or bytes, whichever it is.
func guess(data []byte) string {
	switch {
	case !utf8.Valid(data):
		return octets
	case json.Valid(data):
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}
