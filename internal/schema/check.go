package schema

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// MaxFaults bounds the faults that are told of one body.
const MaxFaults = 20

// Fault is a place at which a body is not as the schema says. It has no value of the body, only names of members.
type Fault struct {
	Pointer string // JSON Pointer into the body
	Message string // a part of a sentence: "must be …"
}

// String returns the fault as a part of a sentence.
func (f Fault) String() string {
	if f.Pointer == "" {
		return "it " + f.Message
	}
	return clip(f.Pointer) + " " + f.Message
}

// Check returns why a body is not as the schema says: at most MaxFaults places, by their pointers. Nil: it is.
func (s *Schema) Check(body []byte) []Fault {
	v, err := read(body)
	if err != nil {
		return []Fault{{"", err.Error()}}
	}
	j, err := s.judge()
	if err != nil {
		return []Fault{{"", err.Error()}} // never: it was compiled before
	}
	err = j.run(j.whole, v)
	if errors.Is(err, errTooMuch) {
		return []Fault{{"", fmt.Sprintf("takes more than %d steps to be checked", MaxSteps)}}
	}
	s.pool.Put(j)
	return explain(err)
}

// judge is a schema as one goroutine uses it: the meters in it count down what is left.
type judge struct {
	compiler *jsonschema.Compiler
	whole    *jsonschema.Schema
	left     int
}

// place is where the compiler finds the schema.
const place = "urn:sluice:schema"

// errTooMuch says that a judgement was given up. Meters raise it as a panic: nothing else ends the library's work.
var errTooMuch = errors.New("too many steps")

func (s *Schema) judge() (*judge, error) {
	if j, ok := s.pool.Get().(*judge); ok {
		return j, nil
	}
	return s.newJudge()
}

func (s *Schema) newJudge() (*judge, error) {
	j := &judge{compiler: jsonschema.NewCompiler(), left: MaxSteps}
	c := j.compiler
	c.DefaultDraft(s.draft)
	c.AssertFormat()
	c.UseLoader(nothing{})
	c.UseRegexpEngine(j.pattern)
	for cost := range s.costs {
		c.RegisterFormat(&jsonschema.Format{Name: meterName(cost), Validate: func(v any) error {
			j.take(cost + size(v)/16)
			return nil
		}})
	}
	err := c.AddResource(place, s.meter)
	if err != nil {
		return nil, invalid("", "%s", clip(err.Error()))
	}
	j.whole, err = j.compile("")
	return j, err
}

// compile returns the subschema at a JSON Pointer.
func (j *judge) compile(at string) (sch *jsonschema.Schema, err error) {
	defer j.rescue(&err)
	sch, err = j.compiler.Compile(place + "#" + at)
	if err == nil {
		return sch, nil
	}
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		return nil, invalidAt(explain(bad.Err))
	}
	if errors.Is(err, errTooMuch) {
		return nil, invalid("", "is too large to be read: its patterns are too long")
	}
	return nil, invalid("", "is not understood: %s", clip(strings.ReplaceAll(err.Error(), place, "")))
}

// run judges a value.
func (j *judge) run(sch *jsonschema.Schema, v any) (err error) {
	defer j.rescue(&err)
	j.left = MaxSteps
	return sch.Validate(v)
}

func (j *judge) take(steps int) {
	if j.left -= steps; j.left < 0 {
		panic(errTooMuch)
	}
}

func (j *judge) rescue(err *error) {
	switch r := recover(); r {
	case nil:
	case errTooMuch:
		*err = errTooMuch
	default:
		panic(r)
	}
}

// size is how many members or items a value has.
func size(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	}
	return 0
}

// pattern compiles a pattern, of a schema or of a body that is to have one.
func (j *judge) pattern(text string) (jsonschema.Regexp, error) {
	if len(text) > MaxPattern {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(text), MaxPattern)
	}
	j.take(20 * len(text))
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("it repeats too much: it has %d instructions, at most %d are allowed", len(program.Inst), maxProgram)
	}
	re, err := regexp.Compile(text)
	return &metered{Regexp: re, judge: j, program: len(program.Inst)}, err
}

// metered is a pattern that counts what it takes: as much as the text is long for each instruction, in the worst case.
type metered struct {
	*regexp.Regexp
	judge   *judge
	program int
}

// MatchString implements jsonschema.Regexp.
func (m *metered) MatchString(s string) bool {
	m.judge.take(1 + len(s)*m.program/200)
	return m.Regexp.MatchString(s)
}

// explain returns the faults of which the library tells.
func explain(err error) []Fault {
	e, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		if err != nil {
			return []Fault{{"", clip(err.Error())}}
		}
		return nil
	}
	var all []Fault
	gather(e, &all)
	slices.SortFunc(all, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	all = slices.Compact(all)
	return all[:min(len(all), MaxFaults)]
}

func gather(e *jsonschema.ValidationError, all *[]Fault) {
	add := func(format string, args ...any) {
		pointer := ""
		for _, name := range e.InstanceLocation {
			pointer += "/" + escape(name)
		}
		*all = append(*all, Fault{pointer, fmt.Sprintf(format, args...)})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		add("is %s, must be %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		add("lacks %s", names(k.Missing))
	case *kind.AdditionalProperties:
		add("has members that are not allowed: %s", names(k.Properties))
	case *kind.FalseSchema:
		add("is not allowed")
	case *kind.Enum:
		add("is none of the %d values that are allowed", len(k.Want))
	case *kind.Const:
		add("is not the one value that is allowed")
	case *kind.Format:
		if k.Want == "regex" {
			add("is no pattern of RE2, of at most %d bytes, and not too many repeats", MaxPattern)
			return
		}
		add("is no %s", clip(k.Want))
	case *kind.Pattern:
		add("does not match %s", clip(k.Want))
	case *kind.MinLength:
		add("has %d characters, must have at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		add("has %d characters, must have at most %d", k.Got, k.Want)
	case *kind.MinItems:
		add("has %d items, must have at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		add("has %d items, must have at most %d", k.Got, k.Want)
	case *kind.MinProperties:
		add("has %d members, must have at least %d", k.Got, k.Want)
	case *kind.MaxProperties:
		add("has %d members, must have at most %d", k.Got, k.Want)
	case *kind.Minimum:
		add("must be at least %s", clip(k.Want.RatString()))
	case *kind.Maximum:
		add("must be at most %s", clip(k.Want.RatString()))
	case *kind.ExclusiveMinimum:
		add("must be above %s", clip(k.Want.RatString()))
	case *kind.ExclusiveMaximum:
		add("must be below %s", clip(k.Want.RatString()))
	case *kind.AnyOf:
		add("is as none of the alternatives of anyOf")
	case *kind.OneOf:
		add("must be as one of the alternatives of oneOf, and is as %d", len(k.Subschemas))
	case *kind.Not:
		add("is as it must not be")
	default:
		if len(e.Causes) == 0 {
			add("does not satisfy %s", clip(strings.Join(k.KeywordPath(), "/")))
		}
		for _, cause := range e.Causes {
			gather(cause, all)
		}
	}
}

// names lists names of members, not all where they are many.
func names(list []string) string {
	const most = 10
	slices.Sort(list)
	quoted := make([]string, 0, most+1)
	for i, n := range list {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%q", clip(n)))
	}
	return strings.Join(quoted, ", ")
}

// clip shortens what others wrote.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
