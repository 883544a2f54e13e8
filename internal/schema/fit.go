package schema

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Misfit is why a schema may not allow what another one does.
type Misfit struct {
	Wide, Narrow string // JSON Pointers into the two schemas
	Message      string // a sentence without its full stop
	// Unjudged: there may be nothing wrong, but what stands there is not understood well enough to say so.
	Unjudged bool
}

// Bounds of one comparison.
const (
	maxMisfits = 20
	maxPairs   = 20_000 // of subschemas that are compared; what is beyond is not judged
)

// Fits returns why the schema wide may not allow all that narrow does, at most maxMisfits reasons. Nil: whatever narrow allows,
// wide does, too. The names are those of the two, for the messages.
//
// It knows type, enum, const, the bounds of numbers, texts, lists and objects, pattern, format, multipleOf, uniqueItems, items, properties,
// required, additionalProperties, patternProperties, propertyNames, allOf, anyOf, and $ref without an anchor. Of any other keyword it knows
// only that a subschema which is the same in both fits. It errs on one side: what it takes for fitting does fit.
func Fits(narrow, wide *Schema, narrowName, wideName string) []Misfit {
	f := &fitter{narrow: narrow, wide: wide, n: narrowName, w: wideName, seen: map[[2]string]bool{}}
	f.fit("", "", false)
	slices.SortFunc(f.found, func(a, b Misfit) int { return cmp.Or(cmp.Compare(a.Wide, b.Wide), cmp.Compare(a.Message, b.Message)) })
	return f.found[:min(len(f.found), maxMisfits)]
}

// fitter compares two schemas.
type fitter struct {
	narrow, wide *Schema
	n, w         string
	seen         map[[2]string]bool // pairs that were compared, or are: in a ring each rests on the next
	pairs        int
	found        []Misfit
}

// Keywords by what is made of them.
var (
	// silent keywords allow and forbid nothing by themselves.
	silent = set("$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "$vocabulary", "title", "description", "default", "examples", "deprecated",
		"readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema")
	known = set("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format",
		"minItems", "maxItems", "uniqueItems", "items", "minProperties", "maxProperties", "required", "properties", "additionalProperties", "patternProperties",
		"propertyNames", "allOf", "anyOf", "$ref")
)

func set(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// pair is two subschemas that are compared.
type pair struct {
	*fitter
	narrowAt, wideAt string
	narrow, wide     map[string]any
	types            []string // that narrow allows
	// vague: narrow may allow less than it seems to, by a keyword that is not understood.
	vague bool
}

// fit compares the subschemas at two places.
func (f *fitter) fit(narrowAt, wideAt string, vague bool) {
	key := [2]string{narrowAt, wideAt}
	if f.seen[key] || len(f.found) >= 10*maxMisfits {
		return
	}
	f.seen[key] = true
	p := pair{fitter: f, narrowAt: narrowAt, wideAt: wideAt, vague: vague}
	if f.pairs++; f.pairs > maxPairs {
		p.unjudged("the schemas are too large to be compared")
		return
	}
	n, w := f.narrow.nodes[narrowAt], f.wide.nodes[wideAt]
	if n == false || w == true || f.same(narrowAt, wideAt, map[[2]string]bool{}) {
		return
	}
	if w == false {
		p.misfit("%s allows nothing here, %s does", f.w, f.n)
		return
	}
	p.narrow, _ = n.(map[string]any)
	p.wide, _ = w.(map[string]any)
	if to, ok := f.reference(f.narrow, p.narrow); ok {
		f.fit(to, wideAt, vague)
		return
	}
	for k := range p.narrow {
		p.vague = p.vague || !silent[k] && (!known[k] || k == "$ref" || k == "allOf" || k == "anyOf")
	}
	if ref, ok := p.wide["$ref"].(string); ok {
		to, ok := target(ref)
		if !ok {
			p.unjudged("$ref leads to an anchor")
			return
		}
		f.fit(narrowAt, to, p.vague)
		if f.wide.draft.String() == "http://json-schema.org/draft-07/schema" {
			return // what stands beside it does not count
		}
	}
	p.compare()
}

// reference returns where a subschema leads that is nothing but a reference.
func (f *fitter) reference(s *Schema, node map[string]any) (string, bool) {
	ref, ok := node["$ref"].(string)
	if !ok {
		return "", false
	}
	for k := range node {
		if k != "$ref" && !silent[k] && s.draft.String() != "http://json-schema.org/draft-07/schema" {
			return "", false
		}
	}
	return target(ref)
}

func (p *pair) misfit(format string, args ...any) {
	p.found = append(p.found, Misfit{Wide: p.wideAt, Narrow: p.narrowAt, Message: fmt.Sprintf(format, args...), Unjudged: p.vague})
}

func (p *pair) unjudged(what string) {
	p.found = append(p.found, Misfit{Wide: p.wideAt, Narrow: p.narrowAt, Message: what, Unjudged: true})
}

// compare looks at each thing that wide asks for.
func (p *pair) compare() {
	if values, ok := p.finite(); ok {
		p.each(values)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(p.wide)) {
		if !known[k] && !silent[k] {
			p.unjudged(clip(k) + " is only understood where the subschema around it is the same in both")
		}
	}
	p.kinds()
	if _, ok := p.wide["enum"]; ok {
		p.misfit("%s allows only listed values, %s others", p.w, p.n)
	}
	if _, ok := p.wide["const"]; ok {
		p.misfit("%s allows only one value, %s others", p.w, p.n)
	}
	if p.may("integer", "number") {
		p.numbers()
	}
	if p.may("string") {
		p.counts("minLength", "maxLength")
		p.equal("pattern")
		p.equal("format")
	}
	if p.may("array") {
		p.lists()
	}
	if p.may("object") {
		p.objects()
	}
	p.combined()
}

// may reports whether narrow allows values of one of these types.
func (p *pair) may(types ...string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return slices.Contains(p.types, t) })
}

var allTypes = []string{"array", "boolean", "null", "number", "object", "string"}

// typesOf returns the types that a subschema allows.
func typesOf(node map[string]any) []string {
	switch t := node["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var list []string
		for _, one := range t {
			name, _ := one.(string)
			list = append(list, name)
		}
		return list
	}
	return allTypes
}

// finite returns the values that narrow allows when they can be counted, or more than those.
func (p *pair) finite() ([]any, bool) {
	p.types = typesOf(p.narrow)
	if list, ok := p.narrow["enum"].([]any); ok {
		return list, true
	}
	if v, ok := p.narrow["const"]; ok {
		return []any{v}, true
	}
	var list []any
	for _, t := range p.types {
		switch t {
		case "boolean":
			list = append(list, true, false)
		case "null":
			list = append(list, nil)
		default:
			return nil, false
		}
	}
	return list, true
}

// each judges the values that narrow allows by wide.
func (p *pair) each(values []any) {
	holds := func(s *Schema, at string, v any) (bool, error) {
		j, err := s.judge()
		if err != nil {
			return false, err
		}
		sub, err := j.compile(at)
		if err != nil {
			return false, err
		}
		err = j.run(sub, v)
		if errors.Is(err, errTooMuch) {
			return false, err
		}
		s.pool.Put(j)
		return err == nil, nil
	}
	for _, v := range values {
		if p.pairs++; p.pairs > maxPairs {
			p.unjudged("the schemas are too large to be compared")
			return
		}
		is, err := holds(p.fitter.narrow, p.narrowAt, v)
		if err == nil && !is {
			continue
		}
		may, err2 := holds(p.fitter.wide, p.wideAt, v)
		switch {
		case err != nil || err2 != nil:
			p.unjudged("the values take too many steps to be checked")
			return
		case !may:
			text, _ := json.Marshal(v)
			p.misfit("%s does not allow %s, %s does", p.w, clip(string(text)), p.n)
		}
	}
}

// kinds compares the types.
func (p *pair) kinds() {
	have := typesOf(p.wide)
	for _, t := range p.types {
		if !slices.Contains(have, t) && (t != "integer" || !slices.Contains(have, "number")) {
			p.misfit("%s does not allow the type %s, %s does", p.w, t, p.n)
		}
	}
}

func rat(v any) *big.Rat {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return r
}

// bound returns the bound that two keywords set, the second of which excludes it; sign is -1 for upper ones. Nil: none.
func bound(node map[string]any, with, without string, sign int) (limit *big.Rat, open bool) {
	limit = rat(node[with])
	if other := rat(node[without]); other != nil && (limit == nil || other.Cmp(limit)*sign >= 0) {
		return other, true
	}
	return limit, false
}

func (p *pair) numbers() {
	for _, side := range []struct {
		with, without string
		sign          int
	}{{"minimum", "exclusiveMinimum", 1}, {"maximum", "exclusiveMaximum", -1}} {
		want, wantOpen := bound(p.wide, side.with, side.without, side.sign)
		have, haveOpen := bound(p.narrow, side.with, side.without, side.sign)
		if want == nil {
			continue
		}
		if have == nil || have.Cmp(want)*side.sign < 0 || have.Cmp(want) == 0 && wantOpen && !haveOpen {
			p.misfit("%s has a %s that %s does not keep", p.w, side.with, p.n)
		}
	}
	want := rat(p.wide["multipleOf"])
	if want == nil {
		return
	}
	have := rat(p.narrow["multipleOf"])
	if have == nil && !slices.Contains(p.types, "number") {
		have = big.NewRat(1, 1) // integers
	}
	if have == nil || !new(big.Rat).Quo(have, want).IsInt() {
		p.misfit("%s asks for a multipleOf that %s does not keep", p.w, p.n)
	}
}

// counts compares a smallest and a largest number of characters, items or members.
func (p *pair) counts(least, most string) {
	if want := rat(p.wide[least]); want != nil && want.Sign() > 0 {
		if have := rat(p.narrow[least]); have == nil || have.Cmp(want) < 0 {
			p.misfit("%s has a %s that %s does not keep", p.w, least, p.n)
		}
	}
	if want := rat(p.wide[most]); want != nil {
		if have := rat(p.narrow[most]); have == nil || have.Cmp(want) > 0 {
			p.misfit("%s has a %s that %s does not keep", p.w, most, p.n)
		}
	}
}

// equal compares a keyword of which nothing is known but whether it is the same.
func (p *pair) equal(k string) {
	want, ok := p.wide[k]
	if ok && !reflect.DeepEqual(want, p.narrow[k]) {
		p.misfit("%s has a %s that %s does not have", p.w, k, p.n)
	}
}

func (p *pair) lists() {
	p.counts("minItems", "maxItems")
	if p.wide["uniqueItems"] == true && p.narrow["uniqueItems"] != true {
		p.misfit("%s has uniqueItems, %s does not", p.w, p.n)
	}
	items, ok := p.wide["items"]
	if !ok {
		return
	}
	_, isList := items.([]any)
	_, wasList := p.narrow["items"].([]any)
	if isList || wasList || p.narrow["prefixItems"] != nil {
		p.unjudged("items that differ by their place are only understood where they are the same in both")
		return
	}
	p.below("items", "items")
}

// below compares two subschemas of these. What narrow does not name is anything.
func (p *pair) below(narrow, wide string) {
	from := p.narrowAt + "/" + narrow
	if p.fitter.narrow.nodes[from] == nil {
		if p.fitter.wide.nodes[p.wideAt+"/"+wide] == nil || p.fitter.anything(p.wideAt+"/"+wide) {
			return
		}
		p.found = append(p.found, Misfit{Wide: p.wideAt + "/" + wide, Narrow: p.narrowAt, Unjudged: p.vague,
			Message: fmt.Sprintf("%s says what is allowed here, %s allows anything", p.w, p.n)})
		return
	}
	p.fit(from, p.wideAt+"/"+wide, p.vague)
}

// anything reports whether a subschema of wide allows whatever there is.
func (f *fitter) anything(at string) bool {
	switch node := f.wide.nodes[at].(type) {
	case bool:
		return node
	case map[string]any:
		for k := range node {
			if !silent[k] {
				return false
			}
		}
		return true
	}
	return false
}

func (p *pair) objects() {
	p.counts("minProperties", "maxProperties")
	required := texts(p.narrow["required"])
	for _, name := range texts(p.wide["required"]) {
		if !slices.Contains(required, name) {
			p.misfit("%s requires %q, %s does not", p.w, clip(name), p.n)
		}
	}
	if p.fitter.wide.nodes[p.wideAt+"/propertyNames"] != nil {
		p.below("propertyNames", "propertyNames")
	}
	p.members()
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, one := range list {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// members compares what is said of members by their names: by name, by pattern, and of all others.
func (p *pair) members() {
	have, wanted := memberNames(p.narrow, "properties"), memberNames(p.wide, "properties")
	havePatterns, wantPatterns := memberNames(p.narrow, "patternProperties"), memberNames(p.wide, "patternProperties")
	if len(have)*(len(havePatterns)+len(wantPatterns)) > maxPairs || len(havePatterns)*len(wantPatterns) > maxPairs {
		p.unjudged("the schemas are too large to be compared")
		return
	}
	compiled := map[string]*regexp.Regexp{}
	for _, pattern := range slices.Concat(havePatterns, wantPatterns) {
		compiled[pattern] = regexp.MustCompile(pattern) // it was before
	}
	match := func(pattern, name string) bool { return compiled[pattern].MatchString(name) }
	// of is what narrow says of a member: a name, or "" for one that it does not know by name nor pattern.
	of := func(name string) string {
		if slices.Contains(have, name) {
			return "properties/" + escape(name)
		}
		for _, pattern := range havePatterns {
			if match(pattern, name) {
				return "patternProperties/" + escape(pattern)
			}
		}
		return "additionalProperties"
	}
	for _, name := range wanted {
		p.below(of(name), "properties/"+escape(name))
	}
	for _, pattern := range wantPatterns {
		to := "patternProperties/" + escape(pattern)
		for _, name := range have {
			if match(pattern, name) {
				p.below("properties/"+escape(name), to)
			}
		}
		for _, other := range havePatterns {
			p.below("patternProperties/"+escape(other), to) // a name may match both
		}
		if !slices.Contains(havePatterns, pattern) {
			p.below("additionalProperties", to)
		}
	}
	const others = "additionalProperties"
	if p.fitter.wide.nodes[p.wideAt+"/"+others] == nil {
		return
	}
	for _, name := range have {
		if !slices.Contains(wanted, name) && !slices.ContainsFunc(wantPatterns, func(pattern string) bool { return match(pattern, name) }) {
			p.below("properties/"+escape(name), others)
		}
	}
	for _, pattern := range havePatterns {
		if !slices.Contains(wantPatterns, pattern) {
			p.below("patternProperties/"+escape(pattern), others)
		}
	}
	p.below(others, others)
}

func memberNames(node map[string]any, k string) []string {
	members, _ := node[k].(map[string]any)
	return slices.Sorted(maps.Keys(members))
}

// combined compares what wide is made of.
func (p *pair) combined() {
	all, _ := p.wide["allOf"].([]any)
	for i := range all {
		p.fit(p.narrowAt, fmt.Sprintf("%s/allOf/%d", p.wideAt, i), p.vague)
	}
	alternatives, _ := p.wide["anyOf"].([]any)
	if len(alternatives) == 0 {
		return
	}
	from := []string{p.narrowAt}
	if list, ok := p.narrow["anyOf"].([]any); ok {
		from = nil
		for i := range list {
			from = append(from, fmt.Sprintf("%s/anyOf/%d", p.narrowAt, i))
		}
	}
	for _, at := range from {
		if !p.fitsOne(at, len(alternatives)) {
			p.unjudged(fmt.Sprintf("what %s allows here is not seen to be as one of the alternatives of anyOf of %s", p.n, p.w))
			return
		}
	}
}

// fitsOne reports whether a subschema of narrow fits into one of so many alternatives of wide.
func (p *pair) fitsOne(at string, n int) bool {
	for i := range n {
		try := &fitter{narrow: p.fitter.narrow, wide: p.fitter.wide, n: p.n, w: p.w, seen: map[[2]string]bool{{p.narrowAt, p.wideAt}: true}, pairs: p.pairs}
		try.fit(at, fmt.Sprintf("%s/anyOf/%d", p.wideAt, i), p.vague)
		p.pairs = try.pairs
		if len(try.found) == 0 {
			return true
		}
	}
	return false
}

// same reports whether two subschemas say the same, in their words and in what they refer to.
func (f *fitter) same(narrowAt, wideAt string, seen map[[2]string]bool) bool {
	key := [2]string{narrowAt, wideAt}
	if seen[key] {
		return true
	}
	seen[key] = true
	if f.pairs++; f.pairs > maxPairs {
		return false
	}
	n, nOK := f.narrow.nodes[narrowAt].(map[string]any)
	w, wOK := f.wide.nodes[wideAt].(map[string]any)
	if !nOK || !wOK {
		return f.narrow.nodes[narrowAt] == f.wide.nodes[wideAt] && nOK == wOK
	}
	if f.narrow.draft != f.wide.draft {
		return false
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(n)), slices.Collect(maps.Keys(w)))))) {
		if silent[k] {
			continue
		}
		switch a, b := n[k], w[k]; {
		case k == "$ref":
			from, ok := target(fmt.Sprint(a))
			to, ok2 := target(fmt.Sprint(b))
			if !ok || !ok2 || !f.same(from, to, seen) {
				return false
			}
		case strings.HasPrefix(k, "$"):
			return false // $dynamicRef and its like mean what is around them
		case !f.sameValue(a, b, narrowAt+"/"+k, wideAt+"/"+k, seen):
			return false
		}
	}
	return true
}

// sameValue compares values of a keyword, whose subschemas by what they say.
func (f *fitter) sameValue(a, b any, narrowAt, wideAt string, seen map[[2]string]bool) bool {
	_, isNode := f.narrow.nodes[narrowAt]
	_, wasNode := f.wide.nodes[wideAt]
	if isNode && wasNode {
		return f.same(narrowAt, wideAt, seen)
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name := range a {
			if _, ok := b[name]; !ok || !f.sameValue(a[name], b[name], narrowAt+"/"+escape(name), wideAt+"/"+escape(name), seen) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !f.sameValue(a[i], b[i], fmt.Sprintf("%s/%d", narrowAt, i), fmt.Sprintf("%s/%d", wideAt, i), seen) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}
