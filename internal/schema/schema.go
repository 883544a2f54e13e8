// Package schema judges JSON by a JSON Schema (check.go), and a schema by the one before it (fit.go).
//
// A schema is data that a stranger wrote, and so is what it judges: nothing is fetched for it, patterns are those of RE2, and
// whatever is judged may take so many steps and no more, because a few nested references can ask for billions.
package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxBytes bounds the text of a schema.
	MaxBytes = 64 << 10
	// MaxDepth bounds how deep a schema, and what it judges, may be nested.
	MaxDepth = 64
	// MaxSteps bounds what one judgement takes. A step is a look at one value by one subschema; large objects, long lists of
	// what is allowed, and patterns take more. The largest message has fewer values.
	MaxSteps = 200_000
	// MaxPattern and maxProgram bound a pattern, in bytes and in what RE2 makes of it.
	MaxPattern = 1024
	maxProgram = 5000
	// maxDigits and maxExponent bound a number: compared exactly, 1e1000000 has a million digits.
	maxDigits   = 400
	maxExponent = 400
)

// drafts are the dialects that are understood, by their $schema. A schema that names none is of the first.
var drafts = map[string]*jsonschema.Draft{
	"https://json-schema.org/draft/2020-12/schema": jsonschema.Draft2020,
	"https://json-schema.org/draft/2019-09/schema": jsonschema.Draft2019,
	"http://json-schema.org/draft-07/schema":       jsonschema.Draft7,
}

// ErrInvalid says that a text is no schema that can be used.
var ErrInvalid = &errs.Error{Kind: errs.Invalid, Code: "schema_invalid", Message: "The schema cannot be used.",
	Fix: "Write it in JSON Schema 2020-12, 2019-09 or draft-07, with all that it refers to under $defs."}

// Schema is a compiled schema. It does not change, and may be used by many goroutines at a time.
type Schema struct {
	draft *jsonschema.Draft
	nodes map[string]any // its subschemas by their JSON Pointers
	meter any            // the schema with a meter in each subschema
	costs map[int]bool   // what those take
	pool  sync.Pool      // of *judge
}

// Compile reads a schema. The error is ErrInvalid; pointers of its fields begin at the schema.
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxBytes {
		return nil, invalid("", "has %d bytes, at most %d are allowed", len(text), MaxBytes)
	}
	doc, err := read(text)
	if err != nil {
		return nil, invalid("", "%s", err.Error())
	}
	root, ok := doc.(map[string]any)
	if !ok {
		return nil, invalid("", "must be a JSON object")
	}
	s := &Schema{draft: jsonschema.Draft2020, nodes: map[string]any{}, costs: map[int]bool{}}
	if named, ok := root["$schema"]; ok {
		name, _ := named.(string)
		if s.draft = drafts[strings.TrimSuffix(name, "#")]; s.draft == nil {
			return nil, invalid("/$schema", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(drafts)), ", "))
		}
	}
	s.meter = s.walk(doc, "")
	if err := s.references(); err != nil {
		return nil, err
	}
	j, err := s.newJudge()
	if err != nil {
		return nil, err
	}
	s.pool.Put(j)
	return s, nil
}

// Where the keywords of a schema have schemas.
var (
	single = []string{"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
		"unevaluatedItems", "unevaluatedProperties"}
	listed = []string{"allOf", "anyOf", "items", "oneOf", "prefixItems"}
	mapped = []string{"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
)

// walk notes a subschema and those below it, and returns it with meters: a format that holds for everything, and counts. It
// is judged before what is below it, so that no branch costs nothing.
func (s *Schema) walk(v any, at string) any {
	s.nodes[at] = v
	from, ok := v.(map[string]any)
	if !ok {
		return v
	}
	to := maps.Clone(from)
	for _, k := range single {
		switch from[k].(type) {
		case map[string]any, bool:
			to[k] = s.walk(from[k], at+"/"+k)
		}
	}
	for _, k := range listed {
		if list, ok := from[k].([]any); ok {
			copied := make([]any, len(list))
			for i, one := range list {
				copied[i] = s.walk(one, at+"/"+k+"/"+strconv.Itoa(i))
			}
			to[k] = copied
		}
	}
	for _, k := range mapped {
		if members, ok := from[k].(map[string]any); ok {
			copied := make(map[string]any, len(members))
			for name, one := range members {
				copied[name] = one
				switch one.(type) {
				case map[string]any, bool:
					copied[name] = s.walk(one, at+"/"+k+"/"+escape(name))
				}
			}
			to[k] = copied
		}
	}
	delete(to, "$id") // nothing refers to it
	if format, ok := from["format"]; ok {
		all, isList := to["allOf"].([]any)
		if isList || to["allOf"] == nil {
			to["allOf"] = append(slices.Clone(all), map[string]any{"format": format})
		}
	}
	cost := 1 + weigh(from["enum"])/8 + weigh(from["const"])/8 + weigh(from["required"])/8 + len(below(from))/8
	s.costs[cost] = true
	to["format"] = meterName(cost)
	return to
}

// below returns the names of what a schema says of members by name.
func below(node map[string]any) []string {
	var names []string
	for _, k := range []string{"properties", "patternProperties", "dependentSchemas", "dependentRequired", "dependencies"} {
		members, _ := node[k].(map[string]any)
		names = slices.AppendSeq(names, maps.Keys(members))
	}
	return names
}

// weigh counts the values in v.
func weigh(v any) int {
	n := 1
	switch v := v.(type) {
	case nil:
		return 0
	case []any:
		for _, one := range v {
			n += weigh(one)
		}
	case map[string]any:
		for _, one := range v {
			n += weigh(one)
		}
	}
	return n
}

func meterName(cost int) string { return "sluice-meter-" + strconv.Itoa(cost) }

// references refuses those that lead out of the schema, or to what is no schema in it and so has no meter.
func (s *Schema) references() error {
	for _, at := range slices.Sorted(maps.Keys(s.nodes)) {
		node, _ := s.nodes[at].(map[string]any)
		for _, k := range []string{"$id", "$schema"} {
			if _, ok := node[k]; ok && at != "" {
				return invalid(at+"/"+k, "may only stand at the top of the schema")
			}
		}
		for _, k := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
			ref, ok := node[k].(string)
			if !ok {
				continue
			}
			if !strings.HasPrefix(ref, "#") {
				return invalid(at+"/"+k, "leads out of the schema: nothing is fetched, so it must begin with #")
			}
			if to, ok := target(ref); ok && s.nodes[to] == nil {
				return invalid(at+"/"+k, "leads to no subschema")
			}
		}
	}
	done := map[string]bool{}
	for _, at := range slices.Sorted(maps.Keys(s.nodes)) {
		if ring := s.round(at, done); ring != "" {
			return invalid(ring, "leads to itself without a step into what is judged")
		}
	}
	return nil
}

// round returns a subschema below at that asks for itself about the same value, or "". done are those that were looked at: false
// while they are.
func (s *Schema) round(at string, done map[string]bool) string {
	if ended, seen := done[at]; seen {
		if ended {
			return ""
		}
		return cmp.Or(at, "/$ref")
	}
	done[at] = false
	defer func() { done[at] = true }()
	node, _ := s.nodes[at].(map[string]any)
	next := []string{}
	if ref, ok := node["$ref"].(string); ok {
		if to, ok := target(ref); ok {
			next = append(next, to)
		}
	}
	for _, k := range []string{"if", "then", "else", "not"} {
		next = append(next, at+"/"+k)
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := node[k].([]any)
		for i := range list {
			next = append(next, at+"/"+k+"/"+strconv.Itoa(i))
		}
	}
	for _, k := range []string{"dependentSchemas", "dependencies"} {
		members, _ := node[k].(map[string]any)
		for name := range members {
			next = append(next, at+"/"+k+"/"+escape(name))
		}
	}
	for _, to := range next {
		if s.nodes[to] == nil {
			continue
		}
		if ring := s.round(to, done); ring != "" {
			return ring
		}
	}
	return ""
}

// target returns the JSON Pointer to which a reference leads, and false for one that names an anchor.
func target(ref string) (string, bool) {
	fragment, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	return fragment, err == nil && (fragment == "" || fragment[0] == '/')
}

func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// read reads JSON whose numbers are kept as they are written.
func read(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("ends too early to be JSON")
		}
		return nil, errors.New("is no JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("goes on behind the JSON")
	}
	return v, bounded(v, MaxDepth)
}

// bounded refuses what is too deep, and numbers that are too long to be compared.
func bounded(v any, depth int) error {
	switch v := v.(type) {
	case []any:
		if depth == 0 {
			return fmt.Errorf("is nested deeper than %d", MaxDepth)
		}
		for _, one := range v {
			if err := bounded(one, depth-1); err != nil {
				return err
			}
		}
	case map[string]any:
		if depth == 0 {
			return fmt.Errorf("is nested deeper than %d", MaxDepth)
		}
		for _, one := range v {
			if err := bounded(one, depth-1); err != nil {
				return err
			}
		}
	case json.Number:
		digits, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
		if len(digits) > maxDigits {
			return fmt.Errorf("has a number of more than %d digits", maxDigits)
		}
		if n, err := strconv.Atoi(exponent); exponent != "" && (err != nil || n > maxExponent || n < -maxExponent) {
			return fmt.Errorf("has a number whose exponent is beyond %d", maxExponent)
		}
	}
	return nil
}

func invalid(pointer, format string, args ...any) error {
	return invalidAt([]Fault{{pointer, fmt.Sprintf(format, args...)}})
}

// invalidAt is ErrInvalid with what is wrong; there is at least one fault.
func invalidAt(faults []Fault) error {
	e := *ErrInvalid
	e.Message = "The schema cannot be used: " + faults[0].String() + "."
	for _, f := range faults {
		e.Fields = append(e.Fields, errs.Field{Pointer: f.Pointer, Code: e.Code, Message: f.Message})
	}
	return &e
}

// nothing is what a schema may load.
type nothing struct{}

func (nothing) Load(string) (any, error) { return nil, errors.New("nothing is fetched for a schema") }
