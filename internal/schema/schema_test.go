package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/schema"
)

func compile(tb testing.TB, text string) *schema.Schema {
	tb.Helper()
	s, err := schema.Compile([]byte(text))
	if err != nil {
		tb.Fatalf("compile %s: %v", text, err)
	}
	return s
}

const order = `{"type":"object","required":["id","items"],"additionalProperties":false,"properties":{
	"id":{"type":"string","pattern":"^[a-z]+$"},"email":{"type":"string","format":"email"},"total":{"type":"number","minimum":0},
	"items":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/item"}}},
	"$defs":{"item":{"type":"object","required":["sku"],"properties":{"sku":{"type":"string","maxLength":3},"a/b~c":{"enum":[1,2]}}}}}`

func TestFaultsNameEachPlace(t *testing.T) {
	t.Parallel()
	s := compile(t, order)
	for body, want := range map[string][]schema.Fault{
		`{"id":"a","items":[{"sku":"x"}]}`:                       nil,
		` {"id":"a","items":[{"sku":"x","a/b~c":2}],"total":0} `: nil,
		`[]`:           {{"", "is array, must be object"}},
		`{"items":[]}`: {{"", `lacks "id"`}, {"/items", "has 0 items, must have at least 1"}},
		`{"id":"A","x":1,"email":"no","items":[{"sku":"x"},{"sku":"long!","a/b~c":3}],"total":-1}`: {
			{"", `has members that are not allowed: "x"`}, {"/email", "is no email"}, {"/id", "does not match ^[a-z]+$"},
			{"/items/1/a~1b~0c", "is none of the 2 values that are allowed"}, {"/items/1/sku", "has 5 characters, must have at most 3"}, {"/total", "must be at least 0"}},
		`{"id":`:                {{"", "ends too early to be JSON"}},
		`hello`:                 {{"", "is no JSON"}},
		``:                      {{"", "ends too early to be JSON"}},
		`{} {}`:                 {{"", "goes on behind the JSON"}},
		`{"total":1e1000000}`:   {{"", "has a number whose exponent is beyond 400"}},
		strings.Repeat("[", 70): {{"", "ends too early to be JSON"}},
		strings.Repeat("[", 70) + strings.Repeat("]", 70): {{"", "is nested deeper than 64"}},
	} {
		if diff := cmp.Diff(want, s.Check([]byte(body))); diff != "" {
			t.Errorf("%.80s (-want +got):\n%s", body, diff)
		}
	}
}

func TestFaultsAreFew(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"items":{"type":"integer"}}`)
	if got := s.Check([]byte("[" + strings.Repeat(`"x",`, 1000) + "1]")); len(got) != schema.MaxFaults {
		t.Errorf("%d faults", len(got))
	}
}

func TestUnusableSchemasAreRefused(t *testing.T) {
	t.Parallel()
	for text, pointer := range map[string]string{
		``:                                      "",
		`true`:                                  "",
		`{"type":"objct"}`:                      "/type",
		`{"properties":{"a":{"minLength":-1}}}`: "/properties/a/minLength",
		`{"allOf":3,"format":"email"}`:          "/allOf",
		`{"$schema":"http://json-schema.org/draft-04/schema#"}`:                     "/$schema",
		`{"$ref":"https://example.com/schema.json"}`:                                "/$ref",
		`{"$ref":"file:///etc/passwd"}`:                                             "/$ref",
		`{"$ref":"other.json"}`:                                                     "/$ref",
		`{"items":{"$ref":"#/$defs/none"}}`:                                         "/items/$ref",
		`{"default":{"type":"string"},"$ref":"#/default"}`:                          "/$ref",
		`{"$ref":"#nowhere"}`:                                                       "",
		`{"$ref":"#"}`:                                                              "/$ref",
		`{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}}`: "/$defs/a",
		`{"items":{"$id":"https://example.com/x"}}`:                                 "/items/$id",
		`{"pattern":"(?=a)"}`:                                                       "/pattern",
		`{"pattern":"` + strings.Repeat("a", schema.MaxPattern+1) + `"}`:            "/pattern",
		`{"pattern":"` + strings.Repeat("a{1000}", 100) + `"}`:                      "/pattern",
		`{"title":"` + strings.Repeat("a", schema.MaxBytes) + `"}`:                  "",
		strings.Repeat(`{"items":`, 70) + "true" + strings.Repeat("}", 70):          "",
	} {
		_, err := schema.Compile([]byte(text))
		e, _ := errors.AsType[*errs.Error](err)
		if !errors.Is(err, schema.ErrInvalid) || len(e.Fields) == 0 || e.Fields[0].Pointer != pointer {
			t.Errorf("%.80s: %v, fields %+v; want pointer %q", text, err, e, pointer)
		}
	}
}

func TestDraftsDiffer(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"$schema":"http://json-schema.org/draft-07/schema#","$id":"https://example.com/a","definitions":{"a":{"type":"string"}},"properties":{"a":{"$ref":"#/definitions/a","maxLength":1}}}`,
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","definitions":{"a":{"type":"string","$anchor":"a"}},"properties":{"a":{"$ref":"#a"}}}`,
	} {
		s := compile(t, text)
		if got := s.Check([]byte(`{"a":"long"}`)); got != nil {
			t.Errorf("%s: %v", text, got)
		}
		if got := s.Check([]byte(`{"a":1}`)); len(got) != 1 || got[0].Pointer != "/a" {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// What a few references can ask for is given up, in whatever way a branch ends.
func TestAJudgementIsBounded(t *testing.T) {
	t.Parallel()
	nest := func(form, end string) string {
		defs := `"a0":` + end
		for i := range 40 {
			defs += fmt.Sprintf(`,"a%d":`+form, i+1, i, i)
		}
		return `{"$defs":{` + defs + `},"not":{"$ref":"#/$defs/a40"}}`
	}
	deep := strings.Repeat(`{"x":`, 60) + "1" + strings.Repeat("}", 60)
	for name, c := range map[string]struct{ schema, body string }{
		"allOf":            {nest(`{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, `{"type":"number"}`), `1`},
		"anyOf that fails": {nest(`{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, `{"type":"string"}`), `1`},
		"dependent":        {nest(`{"dependentSchemas":{"a":{"$ref":"#/$defs/a%d"},"b":{"$ref":"#/$defs/a%d"}}}`, `{"minProperties":9}`), `{"a":1,"b":1}`},
		"below":            {`{"$defs":{"r":{"properties":{"x":{"$ref":"#/$defs/r"}},"patternProperties":{"x":{"$ref":"#/$defs/r"}},"not":{"type":"number"}}},"not":{"not":{"$ref":"#/$defs/r"}}}`, deep},
		"pattern":          {`{"items":{"pattern":"` + strings.Repeat("(x?){100}", 8) + `y"}}`, "[" + strings.Repeat(`"`+strings.Repeat("x", 5000)+`",`, 40) + "1]"},
		"regex":            {`{"items":{"format":"regex"}}`, "[" + strings.Repeat(`"`+strings.Repeat("a{1000}", 140)+`",`, 200) + "1]"},
	} {
		got := compile(t, c.schema).Check([]byte(c.body))
		if want := fmt.Sprintf("takes more than %d steps to be checked", schema.MaxSteps); len(got) != 1 || got[0].Message != want {
			t.Errorf("%s: %.300v", name, got)
		}
	}
}

func TestTheLargestMessagesCanBeChecked(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"items":{"type":"integer"}}`)
	if got := s.Check([]byte("[" + strings.Repeat("1,", 128<<10) + "1]")); got != nil {
		t.Errorf("%v", got)
	}
}

func TestCheckIsSafeForManyGoroutines(t *testing.T) {
	t.Parallel()
	s := compile(t, order)
	done := make(chan int)
	for range 8 {
		go func() {
			n := 0
			for range 200 {
				n += len(s.Check([]byte(`{"id":"a","items":[{"sku":"x"}]}`))) + len(s.Check([]byte(`{"id":"a","items":[{"sku":1}]}`)))
			}
			done <- n
		}()
	}
	for range 8 {
		if n := <-done; n != 200 {
			t.Errorf("%d faults", n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	s := compile(b, order)
	body := []byte(`{"id":"abc","email":"a@example.com","total":12.5,"items":[{"sku":"a"},{"sku":"b"},{"sku":"c"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if s.Check(body) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, order)
	}
}
