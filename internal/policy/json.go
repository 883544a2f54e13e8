package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// members returns the members of a JSON object. One that stands twice is an error: who reads a policy sees one of them,
// and which one holds must not be a matter of the reader.
func members(text string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	m := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		name, _ := t.(string)
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return nil, errors.New("it is no JSON")
		}
		if m[name] != nil {
			return nil, fmt.Errorf("%q stands twice", clip(name))
		}
		m[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("it is no JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	return m, nil
}

func asText(raw []byte) (string, bool) {
	var s *string
	err := json.Unmarshal(raw, &s)
	if err != nil || s == nil {
		return "", false
	}
	return *s, true
}

// asList returns a list, and that of one for what is none.
func asList(raw []byte) ([]json.RawMessage, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	if raw[0] != '[' {
		return []json.RawMessage{raw}, true
	}
	var list []json.RawMessage
	return list, json.Unmarshal(raw, &list) == nil
}

func asTexts(raw []byte) ([]string, bool) {
	list, ok := asList(raw)
	out := make([]string, len(list))
	for i := range list {
		s, isText := asText(list[i])
		out[i], ok = s, ok && isText
	}
	return out, ok
}

// asScalars returns texts, numbers and booleans as text.
func asScalars(raw []byte) ([]string, bool) {
	list, ok := asList(raw)
	out := make([]string, len(list))
	for i, item := range list {
		if s, isText := asText(item); isText {
			out[i] = s
			continue
		}
		out[i] = string(item)
		ok = ok && len(item) > 0 && item[0] != '{' && item[0] != '[' && item[0] != 'n'
	}
	return out, ok
}

// clip returns text of a policy for a message.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		for s = s[:most]; len(s) > 0 && !utf8.ValidString(s[max(len(s)-utf8.UTFMax, 0):]); {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return strings.ToValidUTF8(s, "?")
}
