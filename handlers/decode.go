package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/suggest"
)

const (
	// maxDepth bounds how deep JSON is nested. Nothing that the API takes is deeper than 5.
	maxDepth = 64
	// maxMembers bounds one object, so that looking for a member that stands twice costs little memory.
	maxMembers = 1000
	// fewMembers is up to how many members are compared one by one; a map is faster for more.
	fewMembers = 32
	// maxFaults bounds the values that one answer complains about.
	maxFaults = 20
)

// errMalformed says that a text is not JSON as the API takes it.
var errMalformed = &errs.Error{Kind: errs.Malformed, Code: "malformed_request"}

// reader reads a JSON text once, from left to right, without building a tree of it.
//
// It is stricter than encoding/json: no member may stand twice, be unknown or be spelled in another case, all text is
// UTF-8 without lone surrogates, and nothing follows the value. A fault in the text ends the reading (err); a value
// that is not allowed is noted (faults) and the reading goes on, so that one answer can name them all.
//
// The bytes that it returns are parts of the text where possible.
type reader struct {
	b       []byte
	i       int
	depth   int
	err     error
	faults  []errs.Field
	pointer []byte   // JSON Pointer of the value that is being read
	keys    [][]byte // of all open objects, to find those that stand twice
}

// readJSON reads b by f, which reads exactly one value.
func readJSON(b []byte, f func(r *reader)) error {
	r := &reader{b: b}
	f(r)
	return r.end()
}

// end returns what is wrong with the text, or else with its values.
func (r *reader) end() error {
	if r.space(); r.err == nil && r.i < len(r.b) {
		r.fail("more follows after the value")
	}
	if r.err != nil {
		return r.err
	}
	return invalid(r.faults)
}

// invalid returns the error for values that are not allowed, and nil when there are none.
func invalid(faults []errs.Field) error {
	if len(faults) == 0 {
		return nil
	}
	e := &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Fields: faults}
	if !slices.ContainsFunc(faults, func(f errs.Field) bool { return f.Code != unknownField }) {
		e.Code = unknownField
	}
	first := faults[0]
	where := first.Pointer + first.Header + first.Query
	if where != "" {
		where += " "
	}
	e.Message = where + first.Message + "."
	if n := len(faults) - 1; n > 0 {
		e.Message += fmt.Sprintf(" There are %d more faults.", n)
	}
	return e
}

const unknownField = "unknown_field"

// fail ends the reading at the place where it is.
func (r *reader) fail(what string) {
	if r.err != nil {
		return
	}
	before := r.b[:min(r.i, len(r.b))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	e := *errMalformed
	e.Message = fmt.Sprintf("The JSON is not valid: line %d, column %d: %s.", line, column, what)
	r.err = &e
	r.i = len(r.b)
}

// fault notes that the value that is being read is not allowed.
func (r *reader) fault(code, format string, args ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, errs.Field{Pointer: string(r.pointer), Code: code, Message: fmt.Sprintf(format, args...)})
	}
}

// wrong notes that the value that comes is of another type, and passes it by.
func (r *reader) wrong(want string) {
	r.fault("wrong_type", "must be %s", want)
	r.skip()
}

func (r *reader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

// next returns the first byte of the value that comes, and 0 at the end.
func (r *reader) next() byte {
	r.space()
	if r.i >= len(r.b) {
		return 0
	}
	return r.b[r.i]
}

// expect passes c by.
func (r *reader) expect(c byte, where string) bool {
	if r.next() != c {
		r.fail(fmt.Sprintf("%q is missing %s", string(rune(c)), where))
		return false
	}
	r.i++
	return true
}

func (r *reader) enter() bool {
	if r.depth++; r.depth > maxDepth {
		r.fail(fmt.Sprintf("it is nested deeper than %d", maxDepth))
		return false
	}
	r.i++
	return true
}

// object reads an object. member is called for each member and reads its value; a member of which it reads nothing is
// unknown. names are those that it knows.
func (r *reader) object(names []string, member func(key []byte)) {
	r.members(func(key []byte) {
		at := r.i
		if member(key); r.i == at && r.err == nil {
			r.unknown(key, names)
			r.skip()
		}
	})
}

// members reads an object whose members may have any name. member must read each value.
func (r *reader) members(member func(key []byte)) {
	if r.next() != '{' {
		r.wrong("an object")
		return
	}
	if !r.enter() {
		return
	}
	first, path := len(r.keys), len(r.pointer)
	var many map[string]struct{}
	for n := 0; r.err == nil; n++ {
		if r.next() == '}' && n == 0 {
			break
		}
		if n > 0 {
			if r.next() == '}' {
				break
			}
			if !r.expect(',', "between members") {
				return
			}
		}
		if r.next() != '"' {
			r.fail("a member's name in quotes is missing")
			return
		}
		key := r.text()
		if r.err == nil && !r.fresh(key, first, &many) {
			return
		}
		if !r.expect(':', "behind a member's name") {
			return
		}
		r.next()
		r.step(key)
		member(key)
		r.pointer = r.pointer[:path]
	}
	r.keys = r.keys[:first]
	r.leave()
}

func (r *reader) leave() {
	if r.err == nil {
		r.i++
		r.depth--
	}
}

// fresh notes a member's name, and fails when it stood before.
func (r *reader) fresh(key []byte, first int, many *map[string]struct{}) bool {
	seen := r.keys[first:]
	found := false
	switch {
	case len(seen) == maxMembers:
		r.fail(fmt.Sprintf("an object has more than %d members", maxMembers))
		return false
	case len(seen) < fewMembers:
		for _, k := range seen {
			found = found || bytes.Equal(k, key)
		}
	default:
		if *many == nil {
			*many = make(map[string]struct{}, 2*fewMembers)
			for _, k := range seen {
				(*many)[string(k)] = struct{}{}
			}
		}
		_, found = (*many)[string(key)]
		(*many)[string(key)] = struct{}{}
	}
	if found {
		r.fail("a member stands twice")
		return false
	}
	r.keys = append(r.keys, key)
	return true
}

// step adds a member's name to the pointer.
func (r *reader) step(key []byte) {
	r.pointer = append(r.pointer, '/')
	for _, c := range key {
		switch c {
		case '~':
			r.pointer = append(r.pointer, "~0"...)
		case '/':
			r.pointer = append(r.pointer, "~1"...)
		default:
			r.pointer = append(r.pointer, c)
		}
	}
}

// unknown notes a member that nobody asked for, with the name that was probably meant.
func (r *reader) unknown(key []byte, names []string) {
	if meant := suggest.Nearest(string(key), names); meant != "" {
		r.fault(unknownField, "is not known; did you mean %q?", meant)
		return
	}
	r.fault(unknownField, "is not known")
}

// array reads an array of at most limit items. item reads the one with the given index.
func (r *reader) array(limit int, item func(i int)) {
	if r.next() != '[' {
		r.wrong("an array")
		return
	}
	if !r.enter() {
		return
	}
	path, n := len(r.pointer), 0
	for ; r.err == nil; n++ {
		if r.next() == ']' {
			break
		}
		if n > 0 && !r.expect(',', "between items") {
			return
		}
		if r.next(); n >= limit {
			r.skip()
			continue
		}
		r.pointer = strconv.AppendInt(append(r.pointer, '/'), int64(n), 10)
		item(n)
		r.pointer = r.pointer[:path]
	}
	if n > limit {
		r.fault("too_many", "must have at most %d items, got %d", limit, n)
	}
	r.leave()
}

// str reads a string that is a value. It reports false when another type stands there.
func (r *reader) str() ([]byte, bool) {
	if r.next() != '"' {
		r.wrong("a string")
		return nil, false
	}
	s := r.text()
	return s, r.err == nil
}

// text reads the string whose opening quote comes next.
func (r *reader) text() []byte {
	r.i++
	start := r.i
	for r.run() {
		switch r.b[r.i] {
		case '"':
			s := r.b[start:r.i]
			r.i++
			return s
		case '\\':
			return r.escaped(start)
		}
	}
	return nil
}

// run passes what stands for itself in a string by. It reports false when the string is not as it should be.
func (r *reader) run() bool {
	for {
		for r.i < len(r.b) && plain[r.b[r.i]] {
			r.i++
		}
		switch {
		case r.i >= len(r.b):
			r.fail("a string has no end")
			return false
		case r.b[r.i] == '"' || r.b[r.i] == '\\':
			return true
		case r.b[r.i] < ' ':
			r.fail("a string holds a control character, which must be escaped")
			return false
		}
		n := r.runeSize()
		if n == 0 {
			return false
		}
		r.i += n
	}
}

// runeSize returns the size of the character that comes, which is not ASCII, and 0 when it is none.
func (r *reader) runeSize() int {
	c, n := utf8.DecodeRune(r.b[r.i:])
	if c == utf8.RuneError && n == 1 {
		r.fail("the text is not UTF-8")
		return 0
	}
	return n
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads the rest of a string that has a backslash where the reader is.
func (r *reader) escaped(start int) []byte {
	out := append(make([]byte, 0, r.rest()-start), r.b[start:r.i]...)
	for {
		from := r.i
		if !r.run() {
			return nil
		}
		out = append(out, r.b[from:r.i]...)
		switch {
		case r.b[r.i] == '"':
			r.i++
			return out
		case r.i+1 < len(r.b) && r.b[r.i+1] == 'u':
			c, ok := r.codePoint()
			if !ok {
				return nil
			}
			out = utf8.AppendRune(out, c)
		case r.i+1 >= len(r.b) || escapes[r.b[r.i+1]] == 0:
			r.fail("a backslash is followed by what is no escape")
			return nil
		default:
			out = append(out, escapes[r.b[r.i+1]])
			r.i += 2
		}
	}
}

// rest returns about where the string ends that is being read, so that room for it is made once.
func (r *reader) rest() int {
	for i := r.i; ; i++ {
		n := bytes.IndexByte(r.b[i:], '"')
		if n < 0 {
			return len(r.b)
		}
		if i += n; r.b[i-1] != '\\' || i > 1 && r.b[i-2] == '\\' {
			return i
		}
	}
}

// codePoint reads \u with its four digits, or two of them that make one character.
func (r *reader) codePoint() (rune, bool) {
	c, ok := r.hex()
	if ok && utf16.IsSurrogate(c) {
		low := rune(-1)
		if r.i+1 < len(r.b) && r.b[r.i] == '\\' && r.b[r.i+1] == 'u' {
			low, ok = r.hex()
		}
		if c = utf16.DecodeRune(c, low); ok && c == utf8.RuneError {
			r.fail("half of a surrogate pair stands alone")
			return 0, false
		}
	}
	return c, ok
}

func (r *reader) hex() (rune, bool) {
	if r.i+6 <= len(r.b) {
		if n, err := strconv.ParseUint(string(r.b[r.i+2:r.i+6]), 16, 16); err == nil {
			r.i += 6
			return rune(n), true
		}
	}
	r.fail("\\u is not followed by four hexadecimal digits")
	return 0, false
}

// number passes a number by and returns its text.
func (r *reader) number() []byte {
	start := r.i
	digits := func() bool {
		from := r.i
		for r.i < len(r.b) && r.b[r.i] >= '0' && r.b[r.i] <= '9' {
			r.i++
		}
		return r.i > from
	}
	has := func(set string) bool {
		if r.i < len(r.b) && bytes.IndexByte([]byte(set), r.b[r.i]) >= 0 {
			r.i++
			return true
		}
		return false
	}
	has("-")
	ok := has("0") || digits()
	if ok && has(".") {
		ok = digits()
	}
	if ok && has("eE") {
		has("+-")
		ok = digits()
	}
	if !ok {
		r.fail("a value is missing or is not JSON")
		return nil
	}
	return r.b[start:r.i]
}

// integer reads a whole number from low to high. It reports false when something else stands there.
func (r *reader) integer(low, high int64) (int64, bool) {
	if c := r.next(); c != '-' && (c < '0' || c > '9') {
		r.wrong("a whole number")
		return 0, false
	}
	text := r.number()
	if r.err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err != nil && bytes.ContainsAny(text, ".eE"):
		r.fault("wrong_type", "must be a whole number")
		return 0, false
	case err != nil || n < low || n > high:
		r.fault("out_of_range", "must be %d to %d", low, high)
		return 0, false
	}
	return n, true
}

// fraction reads a number from 0 to 1. It reports false when something else stands there.
func (r *reader) fraction() (float64, bool) { return r.decimal(1) }

// decimal reads a number from 0 to high, which is a whole one. It reports false when something else stands there.
func (r *reader) decimal(high float64) (float64, bool) {
	if c := r.next(); c != '-' && (c < '0' || c > '9') {
		r.wrong(fmt.Sprintf("a number from 0 to %.0f", high))
		return 0, false
	}
	text := r.number()
	if r.err != nil {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f < 0 || f > high {
		r.fault("out_of_range", "must be 0 to %.0f", high)
		return 0, false
	}
	return f, true
}

// duration reads a time span: whole seconds, or text such as "5m". It reports false when something else stands there.
func (r *reader) duration() (time.Duration, bool) {
	if r.next() != '"' {
		n, ok := r.integer(-maxSeconds, maxSeconds)
		return time.Duration(n) * time.Second, ok
	}
	text := r.text()
	if r.err != nil {
		return 0, false
	}
	d, ok := parseDuration(string(text))
	if !ok {
		r.fault("wrong_type", wantDuration)
	}
	return d, ok
}

// boolean reads true or false. It reports false, and says so, when something else stands there.
func (r *reader) boolean() (value, ok bool) {
	r.space()
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(r.b[r.i:], []byte(word)) {
			r.i += len(word)
			return word == "true", true
		}
	}
	r.wrong("true or false")
	return false, false
}

// null passes null by, if that is what comes.
func (r *reader) null() bool {
	r.space()
	if !bytes.HasPrefix(r.b[r.i:], []byte("null")) {
		return false
	}
	r.i += 4
	return true
}

// skip passes a value by, whatever it is.
func (r *reader) skip() {
	switch c := r.next(); c {
	case '{':
		r.members(func([]byte) { r.skip() })
	case '[':
		r.array(len(r.b), func(int) { r.skip() })
	case '"':
		r.text()
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(r.b[r.i:], []byte(word)) {
				r.i += len(word)
				return
			}
		}
		r.fail("a value is missing or is not JSON")
	default:
		r.number()
	}
}

// isJSON reports whether b is a JSON text in UTF-8, as it may stand inside an answer.
func isJSON[T []byte | string](b T) bool {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	if i == len(b) {
		return false
	}
	switch c := b[i]; { // most text that is no JSON shows it at once
	case c == '{', c == '[', c == '"', c == '-', c >= '0' && c <= '9', c == 't', c == 'f', c == 'n':
		return json.Valid([]byte(b)) && utf8.Valid([]byte(b))
	}
	return false
}
