package logtail

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Line is one line of a log, the same whether that is written in JSON or as text.
type Line struct {
	Cursor string
	// Time is zero, and Level that of an error, where the line is not in the form of the log: something has gone wrong that does
	// not know of the log. Message is the whole of it then.
	Time    time.Time
	Level   slog.Level
	Message string
	Fields  []Field // in their order
	Cut     bool    // it was longer than MaxLine: the end of the last value is missing
}

// usualFields is how many fields a line about a request has.
const usualFields = 12

// Field is a field of a line. Values are text: one that is written as text does not say what is a number.
type Field struct{ Name, Value string }

// Text returns the line as people read it: its message, and name=value of each field.
func (l *Line) Text() string {
	var b strings.Builder
	b.WriteString(l.Message)
	for _, f := range l.Fields {
		b.WriteByte(' ')
		b.WriteString(f.Name)
		b.WriteByte('=')
		b.WriteString(f.Value)
	}
	return b.String()
}

// parse reads a line as one of the handlers of slog has written it. That is told by how it begins: what writes past the logger
// writes JSON also where that writes text.
func parse(text []byte, cut bool) Line {
	l := Line{Cut: cut}
	var ok bool
	if bytes.HasPrefix(text, []byte("{")) {
		ok = l.readJSON(text)
	} else {
		ok = l.readText(text)
	}
	if !ok {
		return Line{Level: slog.LevelError, Message: strings.ToValidUTF8(string(text), "\uFFFD"), Cut: cut}
	}
	return l
}

// add takes a value. The time, the level and the message come first, in that order.
func (l *Line) add(n int, name, value string) (ok bool) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	var err error
	switch {
	case n == 0 && name == slog.TimeKey:
		l.Time, err = time.Parse(time.RFC3339Nano, value)
	case n == 1 && name == slog.LevelKey:
		err = l.Level.UnmarshalText([]byte(value))
	case n == 2 && name == slog.MessageKey:
		l.Message = value
	default:
		if l.Fields == nil {
			l.Fields = make([]Field, 0, usualFields)
		}
		l.Fields = append(l.Fields, Field{name, value})
		return n > 2
	}
	return err == nil
}

// readJSON reads what slog.JSONHandler writes: an object without spaces around its values. A value that is nested stays JSON. It is
// not a decoder's work, which takes eight times as long: a reader would cost a busy server much of a core.
func (l *Line) readJSON(line []byte) (ok bool) {
	text, n := string(line[1:]), 0
	for ; text != "" && text != "}"; n++ {
		name, rest, whole := jsonWord(strings.TrimPrefix(text, ","))
		if !whole || !strings.HasPrefix(rest, ":") {
			return l.Cut && n > 2 // in the middle of a name
		}
		value, rest, whole := jsonWord(rest[1:])
		if !whole && !l.Cut {
			return false
		}
		if !l.add(n, name, value) {
			return false
		}
		text = rest
	}
	return n > 2 && (l.Cut || text == "}")
}

// jsonWord returns the value with which text begins, as text, and what follows it. One that does not end is not whole, and is as it
// stands there.
func jsonWord(text string) (value, rest string, whole bool) {
	if !strings.HasPrefix(text, `"`) {
		end := jsonEnd(text)
		if text[:end] == "null" {
			return "", text[end:], true
		}
		return text[:end], text[end:], end < len(text)
	}
	end := textEnd(text)
	switch {
	case end < 0:
		return text[1:], "", false
	case strings.IndexByte(text[:end], '\\') < 0:
		return text[1 : end-1], text[end:], true
	}
	err := json.Unmarshal([]byte(text[:end]), &value)
	return value, text[end:], err == nil
}

// textEnd returns where the text in quotes ends with which text begins, or -1.
func textEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// jsonEnd returns where the number, the word, or the nested value ends with which text begins.
func jsonEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := textEnd(text[i:])
			if n < 0 {
				return len(text)
			}
			i += n - 1
		case '{', '[':
			depth++
		case ',', '}', ']':
			if depth == 0 {
				return i
			}
			if text[i] != ',' {
				depth--
			}
		}
	}
	return len(text)
}

// readText reads what slog.TextHandler writes: name=value with a space between two, each of them in quotes where it has to be.
func (l *Line) readText(line []byte) (ok bool) {
	text, n := string(line), 0
	for ; text != ""; n++ {
		name, rest, whole := word(text, '=')
		if !whole || !strings.HasPrefix(rest, "=") {
			return l.Cut && n > 2 // in the middle of a name
		}
		value, rest, whole := word(rest[1:], ' ')
		if !whole && !l.Cut {
			return false
		}
		if value == "<nil>" {
			value = ""
		}
		if !l.add(n, name, value) {
			return false
		}
		text = strings.TrimPrefix(rest, " ")
	}
	return n > 2
}

// word returns the word with which text begins, which ends before the byte end or at its own quote, and what follows it. One whose
// quote does not end is not whole.
func word(text string, end byte) (value, rest string, whole bool) {
	if !strings.HasPrefix(text, `"`) {
		i := strings.IndexByte(text, end)
		if i < 0 {
			i = len(text)
		}
		return text[:i], text[i:], true
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return text[1:], "", false
	}
	value, err = strconv.Unquote(quoted)
	return value, text[len(quoted):], err == nil
}
