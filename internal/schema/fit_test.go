package schema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/schema"
)

// verdict says in a word what Fits makes of two schemas, with the pointer of the first reason.
func verdict(tb testing.TB, narrow, wide string) string {
	tb.Helper()
	list := schema.Fits(compile(tb, narrow), compile(tb, wide), "old", "new")
	if len(list) == 0 {
		return "fits"
	}
	if list[0].Unjudged {
		return "unjudged " + list[0].Wide
	}
	return "misfit " + list[0].Wide
}

func TestWhatFits(t *testing.T) {
	t.Parallel()
	object := func(rest string) string { return `{"type":"object",` + rest + `}` }
	for _, c := range []struct{ narrow, wide, want string }{
		{`{}`, `{}`, "fits"},
		{`{"type":"integer"}`, `{"type":"number"}`, "fits"},
		{`{"type":"number"}`, `{"type":"integer"}`, "misfit "},
		{`{"type":"string"}`, `{"type":["string","null"]}`, "fits"},
		{`{"type":["string","null"]}`, `{"type":"string"}`, "misfit "},
		{`{}`, `{"type":"string"}`, "misfit "},
		{`{"enum":["a","b"]}`, `{"type":"string","maxLength":1}`, "fits"},
		{`{"enum":["a","b"]}`, `{"enum":["b","c","a"]}`, "fits"},
		{`{"enum":["a","b"]}`, `{"const":"a"}`, "misfit "},
		{`{"enum":["a","b"],"minLength":2}`, `false`, "none"},
		{`{"type":"boolean"}`, `{"enum":[true,false,3]}`, "fits"},
		{`{"type":"string"}`, `{"enum":["a"]}`, "misfit "},
		{`{"minimum":1,"type":"integer"}`, `{"exclusiveMinimum":0}`, "fits"},
		{`{"minimum":0,"type":"integer"}`, `{"exclusiveMinimum":0}`, "misfit "},
		{`{"maximum":5,"exclusiveMaximum":5,"type":"number"}`, `{"exclusiveMaximum":5}`, "fits"},
		{`{"type":"number","multipleOf":0.5}`, `{"multipleOf":0.25}`, "fits"},
		{`{"type":"number","multipleOf":0.5}`, `{"multipleOf":0.3}`, "misfit "},
		{`{"type":"integer"}`, `{"multipleOf":1}`, "fits"},
		{`{"type":"string"}`, `{"minimum":3,"minItems":2,"required":["a"]}`, "fits"},
		{`{"type":"string","maxLength":3}`, `{"maxLength":4}`, "fits"},
		{`{"type":"string"}`, `{"maxLength":4}`, "misfit "},
		{`{"type":"string","format":"email"}`, `{"type":"string"}`, "fits"},
		{`{"type":"string"}`, `{"format":"email"}`, "misfit "},
		{`{"type":"string","pattern":"a"}`, `{"pattern":"a"}`, "fits"},
		{`{"type":"array","items":{"type":"integer"}}`, `{"items":{"type":"number"}}`, "fits"},
		{`{"type":"array","items":{"type":"number"}}`, `{"items":{"type":"integer"}}`, "misfit /items"},
		{`{"type":"array"}`, `{"items":{"type":"integer"}}`, "misfit /items"},
		{`{"type":"array","prefixItems":[{}],"items":{"type":"integer"}}`, `{"items":{"type":"integer"}}`, "unjudged "},
		{`{"type":"array","minItems":2,"uniqueItems":true}`, `{"minItems":1}`, "fits"},
		{`{"type":"array"}`, `{"uniqueItems":true}`, "misfit "},
		{object(`"required":["a","b"]`), object(`"required":["a"]`), "fits"},
		{object(`"required":["a"]`), object(`"required":["a","b"]`), "misfit "},
		{object(`"properties":{"a":{"type":"string"}},"additionalProperties":false`), object(`"properties":{"a":{"type":"string"},"b":{"type":"string"}},"additionalProperties":false`), "fits"},
		{object(`"properties":{"a":{"type":"string"}}`), object(`"properties":{"a":{"type":"string"},"b":{"type":"string"}}`), "misfit /properties/b"},
		{object(`"properties":{"a":{"type":"string"}}`), object(`"properties":{"a":{"type":"string"},"b":{}}`), "fits"},
		{object(`"properties":{"a":{},"b":{}},"additionalProperties":false`), object(`"properties":{"a":{}},"additionalProperties":false`), "misfit /additionalProperties"},
		{object(`"properties":{"a":{}}`), object(`"properties":{"a":{}},"additionalProperties":false`), "misfit /additionalProperties"},
		{object(`"properties":{"x1":{"type":"integer"}},"additionalProperties":false`), object(`"patternProperties":{"^x":{"type":"number"}},"additionalProperties":false`), "fits"},
		{object(`"patternProperties":{"^x":{"type":"number"}},"additionalProperties":false`), object(`"patternProperties":{"^x":{"type":"integer"}}`), "misfit /patternProperties/^x"},
		{object(`"patternProperties":{"^x":{"type":"number"}},"additionalProperties":false`), object(`"patternProperties":{"^y":{"type":"string"}}`), "misfit /patternProperties/^y"},
		{object(`"propertyNames":{"maxLength":3}`), object(`"propertyNames":{"maxLength":4}`), "fits"},
		{object(`"minProperties":1`), object(`"propertyNames":{"maxLength":4}`), "misfit /propertyNames"},
		{`{"type":"string","maxLength":3}`, `{"allOf":[{"type":"string"},{"maxLength":5}]}`, "fits"},
		{`{"allOf":[{"type":"string"},{"maxLength":5}]}`, `{"type":"string"}`, "unjudged "},
		{`{"anyOf":[{"type":"string"},{"type":"integer"}]}`, `{"anyOf":[{"type":"number"},{"type":"null"},{"type":"string"}]}`, "fits"},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"anyOf":[{"type":"number"},{"type":"string"}]}`, "unjudged "},
		{`{"oneOf":[{"type":"string"}]}`, `{"title":"x","oneOf":[{"type":"string","description":"y"}]}`, "fits"},
		{`{"oneOf":[{"type":"string"}]}`, `{"oneOf":[{"type":"string"},{"type":"null"}]}`, "unjudged "},
		{`{"not":{"type":"string"}}`, `{"not":{"type":"string"}}`, "fits"},
		{`{"type":"integer"}`, `{"not":{"type":"string"}}`, "unjudged "},
		{object(`"properties":{"a":{}},"unevaluatedProperties":false`), object(`"properties":{"a":{}},"unevaluatedProperties":false`), "fits"},
		{object(`"properties":{"a":{},"b":{}},"unevaluatedProperties":false`), object(`"properties":{"a":{}},"unevaluatedProperties":false`), "unjudged "},
		{`{"$defs":{"a":{"type":"integer"}},"items":{"$ref":"#/$defs/a"}}`, `{"$defs":{"b":{"type":"number"}},"items":{"$ref":"#/$defs/b"}}`, "fits"},
		{`{"$defs":{"a":{"type":"integer"}},"oneOf":[{"$ref":"#/$defs/a"}]}`, `{"$defs":{"b":{"type":"number"}},"oneOf":[{"$ref":"#/$defs/b"}]}`, "unjudged "},
		{`{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}`, `{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}`, "fits"},
		{`{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}`, `{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}`, "misfit /properties/v"},
		{`{"type":"string"}`, `{"$defs":{"a":{"$anchor":"a"}},"$ref":"#a"}`, "unjudged "},
		{`{"type":"string","x-owner":"a"}`, `{"type":"string","x-owner":"b"}`, "unjudged "},
	} {
		if c.want == "none" {
			continue
		}
		if got := verdict(t, c.narrow, c.wide); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.narrow, c.wide, got, c.want)
		}
	}
}

// Whatever is taken for fitting does: no value is found that the one allows and the other does not.
func TestWhatFitsHoldsForAnyValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var node func(depth int) string
	node = func(depth int) string {
		var parts []string
		add := func(odds int, format string, args ...any) {
			if r.IntN(odds) == 0 {
				parts = append(parts, fmt.Sprintf(format, args...))
			}
		}
		add(2, `"type":%s`, pick(`"string"`, `"integer"`, `"number"`, `"object"`, `["object","array"]`, `["integer","null"]`, `"boolean"`))
		add(6, `"minimum":%d`, r.IntN(3))
		add(6, `"exclusiveMaximum":%d`, r.IntN(4))
		add(8, `"maxLength":%d`, r.IntN(3))
		add(8, `"enum":%s`, pick(`[1,"a"]`, `[null,2]`, `[{"a":1},[]]`))
		add(8, `"required":["%s"]`, pick("a", "b"))
		add(8, `"maxProperties":%d`, r.IntN(3))
		add(8, `"uniqueItems":true`)
		if depth > 0 {
			below := func() string { return pick("true", "false", node(depth-1), node(depth-1)) }
			add(2, `"properties":{"a":%s,"b":%s}`, below(), below())
			add(4, `"patternProperties":{"^[ac]$":%s}`, below())
			add(3, `"additionalProperties":%s`, below())
			add(3, `"items":%s`, below())
			add(6, `"anyOf":[%s,%s]`, below(), below())
			add(6, `"allOf":[%s]`, below())
			add(10, `"not":%s`, below())
			add(10, `"$ref":"#/$defs/d"`)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	whole := func() string {
		return `{"$defs":{"d":` + node(0) + `},"allOf":[` + node(2) + `],"properties":{"a":` + node(2) + `},` + strings.TrimPrefix(pick(`{"type":"object"}`, `{"minProperties":0}`), "{")
	}
	var value func(depth int) any
	value = func(depth int) any {
		n := 6
		if depth == 0 {
			n = 4
		}
		switch r.IntN(n) {
		case 0:
			return r.IntN(4)
		case 1:
			return pick("", "a", "bb", "ccc")
		case 2:
			return r.IntN(2) == 0
		case 3:
			return nil
		case 4:
			list := make([]any, r.IntN(3))
			for i := range list {
				list[i] = value(depth - 1)
			}
			return list
		}
		m := map[string]any{}
		for range r.IntN(4) {
			m[pick("a", "b", "c", "d")] = value(depth - 1)
		}
		return m
	}
	values := make([][]byte, 400)
	for i := range values {
		values[i], _ = json.Marshal(value(3))
	}
	fits := 0
	for range 800 {
		narrow, wide := node(2), node(2)
		if r.IntN(2) == 0 {
			narrow, wide = whole(), whole()
		} else {
			def := `{"$defs":{"d":` + node(0) + `}`
			narrow, wide = join(def, narrow), join(def, wide)
		}
		n, w := compile(t, narrow), compile(t, wide)
		if len(schema.Fits(n, w, "old", "new")) > 0 {
			continue
		}
		fits++
		for _, v := range values {
			if n.Check(v) == nil && w.Check(v) != nil {
				t.Fatalf("%s is as\n%s\nbut not as\n%s", v, narrow, wide)
			}
		}
	}
	if fits < 40 {
		t.Errorf("only %d of the pairs fit: the test says little", fits)
	}
}

func join(def, node string) string {
	if node == "{}" {
		return def + "}"
	}
	return def + "," + node[1:]
}

func TestComparisonsAreBounded(t *testing.T) {
	t.Parallel()
	big := func(kind string) string {
		members := make([]string, 1800)
		for i := range members {
			members[i] = fmt.Sprintf(`"m%d":{"type":%q}`, i, kind)
		}
		return `{"properties":{` + strings.Join(members, ",") + `}}`
	}
	if got := schema.Fits(compile(t, big("number")), compile(t, big("string")), "old", "new"); len(got) == 0 || len(got) > 20 {
		t.Errorf("%d misfits", len(got))
	}
	nest := func(end string) string {
		defs := `"a0":{"type":"` + end + `"}`
		for i := range 40 {
			defs += fmt.Sprintf(`,"a%d":{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, i+1, i, i)
		}
		return `{"$defs":{` + defs + `},"$ref":"#/$defs/a40"}`
	}
	if got := schema.Fits(compile(t, nest("number")), compile(t, nest("string")), "old", "new"); len(got) == 0 {
		t.Error("fits")
	}
}
