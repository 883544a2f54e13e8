package engine

import (
	"crypto/sha1" // EVALSHA names scripts by it; nothing secret depends on it
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed lua/lib/*.lua
var sharedLua embed.FS

// Script is one state change, or one read, of a single slot.
//
// Its file starts with a header of comment lines that says what it does and names every key and argument:
//
//	-- Deletes a queue's settings.
//	-- KEYS[1] HASH the queue's head
//	-- ARGV[3] milliseconds: the age from which on
//	-- Returns: "ok"
//	-- Flags: allow-oom
//	-- Again: the second call finds nothing and changes nothing.
//
// Flags are "none", "allow-oom" (it drains, so it must run while Redis is out of memory) or "no-writes". Again says
// why running the same call twice is harmless: Do relies on it after a lost reply. ARGV[1] and ARGV[2] are always the
// test clock and the witness (lua/lib/clock.lua). A line `--- @include "lib/clock"` draws in a shared function file.
type Script struct {
	Name     string // file name without folder and ending, for logs and metrics
	ReadOnly bool   // it changes nothing, so it needs no replica and no second thought
	Drains   bool   // it may run while Redis is out of memory
	Header   Header

	real   source // as sent to Redis: starts with a #! line
	memory source // as sent to the in-memory engine, which knows no #! lines
}

type source struct{ text, sha string }

// Header is what a script says of itself. A test holds it against the code.
type Header struct {
	Summary string
	Keys    []int
	Args    []int
	Returns string
	Flags   string
	Again   string
}

// MustLoad reads the script lua/<name>.lua of files and panics when it or its header is not as Script says. Packages
// call it while they are set up, so a broken script never reaches a running server.
func MustLoad(files fs.FS, name string) *Script {
	s, err := Load(files, name)
	if err != nil {
		panic(fmt.Sprintf("script %s: %v", name, err))
	}
	return s
}

// Load reads the script lua/<name>.lua of files and draws in what it includes.
func Load(files fs.FS, name string) (*Script, error) {
	raw, err := fs.ReadFile(files, "lua/"+name+".lua")
	if err != nil {
		return nil, err
	}
	text, err := include(files, string(raw), map[string]bool{})
	if err != nil {
		return nil, err
	}
	if _, rest, ok := strings.Cut(text, "@include"); ok { // misspelt, it would be a comment like any other
		line, _, _ := strings.Cut(rest, "\n")
		return nil, fmt.Errorf(`@include%s: want a line of its own: --- @include "lib/name"`, line)
	}
	head, err := parseHeader(string(raw), text)
	if err != nil {
		return nil, err
	}
	s := &Script{Name: path.Base(name), Header: head}
	line := "#!lua\n"
	switch head.Flags {
	case "none":
	case "allow-oom":
		s.Drains = true
		line = "#!lua flags=allow-oom\n"
	case "no-writes":
		s.ReadOnly = true
		line = "#!lua flags=no-writes\n"
	default:
		return nil, fmt.Errorf("flags %q: want none, allow-oom or no-writes", head.Flags)
	}
	s.real, s.memory = newSource(line+text), newSource(text)
	return s, nil
}

func newSource(text string) source {
	sum := sha1.Sum([]byte(text))
	return source{text: text, sha: hex.EncodeToString(sum[:])}
}

var includeLine = regexp.MustCompile(`(?m)^--- @include "([a-z0-9_/]+)"$`)

// include replaces each include line by the file it names, once per script.
func include(files fs.FS, text string, seen map[string]bool) (string, error) {
	var failed error
	out := includeLine.ReplaceAllStringFunc(text, func(line string) string {
		name := includeLine.FindStringSubmatch(line)[1]
		if seen[name] {
			return ""
		}
		seen[name] = true
		raw, err := fs.ReadFile(files, "lua/"+name+".lua")
		if err != nil {
			raw, err = sharedLua.ReadFile("lua/" + name + ".lua")
		}
		if err != nil {
			failed = fmt.Errorf("include %q: %w", name, err)
			return ""
		}
		inner, err := include(files, string(raw), seen)
		if err != nil {
			failed = err
		}
		return inner
	})
	return out, failed
}

var (
	headerLine = regexp.MustCompile(`^-- (KEYS|ARGV)\[(\d+)(\+)?\] (.+)$`)
	usedIndex  = regexp.MustCompile(`\b(KEYS|ARGV)\[(\d+)\]`)
)

// parseHeader reads the comment block at the top of raw, and the keys and arguments that included files name in theirs,
// and checks that text (raw with its includes) uses only those. "ARGV[8+]" names all from 8 on.
func parseHeader(raw, text string) (Header, error) {
	h := Header{Args: []int{1, 2}}
	rest := -1
	for line := range strings.Lines(text) {
		m := headerLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m == nil:
		case m[1] == "KEYS":
			n, _ := strconv.Atoi(m[2])
			h.Keys = append(h.Keys, n)
		default:
			n, _ := strconv.Atoi(m[2])
			h.Args = append(h.Args, n)
			if m[3] != "" {
				rest = n
			}
		}
	}
	for line := range strings.Lines(raw) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "-- ") {
			break
		}
		switch {
		case headerLine.MatchString(line):
		case strings.HasPrefix(line, "-- Returns: "):
			h.Returns = strings.TrimPrefix(line, "-- Returns: ")
		case strings.HasPrefix(line, "-- Flags: "):
			h.Flags = strings.TrimPrefix(line, "-- Flags: ")
		case strings.HasPrefix(line, "-- Again: "):
			h.Again = strings.TrimPrefix(line, "-- Again: ")
		case h.Summary == "":
			h.Summary = strings.TrimPrefix(line, "-- ")
		}
	}
	if h.Summary == "" || h.Returns == "" || h.Flags == "" || h.Again == "" {
		return h, fmt.Errorf("the header needs a sentence, Returns, Flags and Again: got %+v", h)
	}
	declared := map[string]bool{}
	for _, n := range h.Keys {
		declared["KEYS"+strconv.Itoa(n)] = true
	}
	for _, n := range h.Args {
		declared["ARGV"+strconv.Itoa(n)] = true
	}
	for _, m := range usedIndex.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[2])
		if !declared[m[1]+m[2]] && (m[1] != "ARGV" || rest < 0 || n < rest) {
			return h, fmt.Errorf("%s[%d] is used but not in the header", m[1], n)
		}
	}
	return h, nil
}

// Text returns what Redis is sent, for benchmarks that drive it without the engine.
func (s *Script) Text() string { return s.real.text }
