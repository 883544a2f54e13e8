package search_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/search"
)

// letter is a thing with a field of each kind.
type letter struct {
	id, state, body string
	receives, size  int64
	sent, due       time.Time
	attributes      map[string]any // string: text; number: a number as it is written
}

type number string

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var letters = &search.Language[letter]{
	Fields: []search.Field[letter]{
		{Name: "id", Text: func(l *letter) string { return l.id }},
		{Name: "state", Text: func(l *letter) string { return l.state }, Words: []string{"available", "delayed"}},
		{Name: "receives", Count: func(l *letter) int64 { return l.receives }},
		{Name: "size", Size: func(l *letter) int64 { return l.size }},
		{Name: "due", Time: func(l *letter) time.Time { return l.due }},
		{Name: "age", Since: func(l *letter) time.Time { return l.sent }},
	},
	Body: func(l *letter) string { return l.body },
	Attribute: func(l *letter, name string) (string, bool, bool) {
		switch v := l.attributes[name].(type) {
		case string:
			return v, false, true
		case number:
			return string(v), true, true
		}
		return "", false, false
	},
}

func parse(tb testing.TB, text string) *search.Filter[letter] {
	tb.Helper()
	f, err := letters.Parse(text)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return f
}

const order = `{"customer":{"tier":"pro","name":"Ada \u00e9","first name":"A","zip":"01234"},"items":[{"sku":"x1"},{"sku":"x2"}],
	"total":12.50,"id":9007199254740993,"paid":true,"note":null,"at":"2026-02-03T04:05:06+01:00","n":"7","t":"Straße K"}`

func sample() *letter {
	return &letter{
		id: "msg_0kq1", state: "delayed", body: order, receives: 3, size: 10_240, sent: now.Add(-90 * time.Minute), due: now,
		attributes: map[string]any{"type": "order.created", "count": number("7"), "header": "12", "shop.id": "a*b", "raw": "\xff\x00"},
	}
}

func TestTermsMatchWhatTheySay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true, " \n\t": true,
		"id:msg_0kq1": true, "id:msg_*": true, "id:*q*1": true, "id=msg_*": false, "id:msg": false, "id~KQ": true, "id:MSG_*": false, `id="msg_0kq1"`: true,
		"state:delayed": true, "state=available": false, "state:*": true,
		"receives:3": true, "receives=3": true, "receives=03": true, "receives>2": true, "receives>3": false, "receives>=3": true, "receives<3": false,
		"receives<=3": true, "receives:>=3": true, "receives:<3": false, "receives:*": true,
		"size=10240": true, "size=10kib": true, "size=10KiB": true, "size>10kb": true, "size<1mb": true, "size>=1mib": false, "size:10240b": true,
		"age>1h": true, "age>90m": false, "age>=90m": true, "age>1h29m": true, "age<1h30m1s": true, "age>5400": false, "age>=5400": true, "age<2d": true, "age:*": true,
		"due>=2026-03-01T12:00:00Z": true, "due>2026-03-01T12:00:00Z": false, "due<2026-03-01T12:00:00.001Z": true, "due>2026-03-01": true,
		"due<=2026-03-01T13:00:00+01:00": true, "due:*": true, "due<2026-03-01": false,
		"attr.type:order.*": true, "attr.type=order.*": false, "attr.type~CREATED": true, "attr.Type:*": false, "attr.type:*": true, "attr.none:*": false,
		"attr.count=7": true, "attr.count=7.0": true, "attr.count:7e0": true, "attr.count>6.5": true, "attr.count~7": true, "attr.count:7*": true, "attr.count<7": false,
		"attr.header>9": true, "attr.header<9": false, "attr.header=12": true, "attr.header=12.0": false, "attr.type>1": false, "attr.type<1": false,
		`attr.shop.id:a\*b`: true, `attr.shop.id:"a*b"`: true, "attr.shop.id:a*b": true, "attr.shop.id=a*b": true, `attr.shop.id:"*"`: false, "attr.shop.id~*B": true,
		"attr.raw:*": true, "attr.raw~x": false,
		"body.customer.tier=pro": true, "body.customer.tier:p*": true, "body.customer.tier=PRO": false, "body.customer.tier~RO": true,
		"body.customer:*": true, "body.customer=x": false, "body.customer~pro": false, "body.none:*": false, "body.customer.none:*": false, "-body.none:*": true,
		`body.customer."first name"=A`: true, `body."customer"."tier"=pro`: true, `body.customer.name="Ada é"`: true, `body.customer.name="Ada \u00e9"`: true,
		`body.customer.name~"ADA É"`: true, "body.customer.zip=01234": true, "body.customer.zip=1234": false, "body.customer.zip<99999": false,
		"body.items[0].sku=x1": true, "body.items[1].sku=x2": true, "body.items[2]:*": false, "body.items[1]:*": true, "body.items.0.sku=x1": false, "body[0]:*": false,
		"body.total=12.5": true, "body.total=12.50": true, "body.total=1.25e1": true, "body.total>12.49": true, "body.total>=12.51": false, "body.total:12.5*": true,
		"body.id=9007199254740993": true, "body.id=9007199254740992": false, "body.id>9007199254740992": true,
		"body.paid=true": true, "body.paid=false": false, "body.note=null": true, "body.note:*": true, "body.paid>0": false,
		"body.n=7": true, "body.n=7.0": false, "body.n>6": false, // text
		"body.at>2026-02-03": true, "body.at<=2026-02-03T03:05:06Z": true, "body.at>2026-02-03T03:05:06Z": false, "body.total>2026-02-03": false,
		"body.at:2026-02-03*": true,
		"body~PRO":            true, `body~"null"`: true, "pro": true, "PRO": true, `"tier\":\"p"`: true, "nothing": false, "-nothing": true, "STRASSE": false, "straßE": true,
		"body.t~\u212a": true, "k": true, "body:*pro*": true, "body:pro": false, `body:\{*\}`: true, `""`: true, `body.customer.name=""`: false,
		"pro null": true, "pro nothing": false, "pro OR nothing": true, "nothing OR pro": true, "pro nothing OR null": true, "nothing OR pro nothing": false,
		"pro (nothing OR null)": true, "-(pro nothing)": true, "-(pro null)": false, "-(-pro)": true, "pro AND null": true, "NOT nothing": true, "NOT (pro)": false,
		"((pro))": true, "pro and null": false, "pro\nnull": true, "-id:x -id:y": true, "(-pro)": false, "NOT(nothing)": true, "ANDx": false, "a-d": false, "x1": true,
		`2026-02-03T04\:05`: true, `\"PAID\"`: true, `"OR"`: false, "body.x=OR": false, "body.x=(OR": false,
	} {
		f, err := letters.Parse(text)
		if text == "body.x=(OR" {
			if err == nil {
				t.Errorf("%s: read as %s", text, f)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for range 2 { // a look leaves nothing behind
			if got := f.Match(sample(), now); got != want {
				t.Errorf("%s: got %t, want %t", text, got, want)
			}
		}
		again, err := letters.Parse(f.String())
		if err != nil || again.String() != f.String() {
			t.Errorf("%s prints as %s, which reads as %v (%v)", text, f, again, err)
		} else if got := again.Match(sample(), now); got != want {
			t.Errorf("%s prints as %s, which matches: %t, want %t", text, f, got, want)
		}
	}
}

func TestWhatIsNotThereMatchesNoComparison(t *testing.T) {
	t.Parallel()
	none := &letter{body: "x"}
	for _, text := range []string{"id:*", "id~x", "id=x", "due:*", "due<2030-01-01", "due>1970-01-01", "age:*", "age>1s", "age<1s", "attr.a:*", "attr.a<1", "body.a:*", "body.a=null"} {
		if parse(t, text).Match(none, now) {
			t.Errorf("%s: got a match", text)
		}
		if !parse(t, "-"+text).Match(none, now) {
			t.Errorf("-%s: got no match", text)
		}
	}
}

func TestFiltersPrintInOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "  pro ": "pro", "body~pro": "pro", "id:x": "id=x", "receives:>=3": "receives>=3", "a AND  b": "a b", "(a b) c": "a b c",
		"a OR (b OR c)": "a OR b OR c", "(a OR b) c": "(a OR b) c", "a OR (b c)": "a OR b c", "((a))": "a", "NOT a": "-a", "-(a b)": "-(a b)",
		"-(-a)": "-(-a)", "id:a**b": "id:a*b", `id:a\ b*`: `id:a\ b*`, `id:"a*"`: `id="a*"`, `body."a"."b c"[01]=x`: `body.a."b c"[1]=x`, "body.a:*": "body.a:*",
		`id=""`: `id=""`, `id="a\tb"`: `id="a\u0009b"`, `id=\(`: `id="("`, `"x\"\\"`: `"x\"\\"`, "due>2026-03-01T12:00:00Z": "due>2026-03-01T12:00:00Z", "id=a:b": `id="a:b"`,
		`body."a\"]"=1`: `body."a\"]"=1`, "id~*": `id~"*"`, "a OR -(b OR c) d": "a OR -(b OR c) d", `"OR"`: `"OR"`, `"-a"`: `"-a"`, `"a b"`: `"a b"`, "b-a": "b-a", `""`: `""`,
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// fault is what an error says: where, what kind, a part of the sentence and a part of the fix.
type fault struct {
	line, column    int
	code, says, fix string
}

func TestErrorsPointAtTheFaultAndSayWhatToDo(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("(", search.MaxNesting+1)
	for text, want := range map[string]fault{
		"receeves>3":                {1, 1, "unknown_field", `no field "receeves"`, "Did you mean receives?"},
		"a\n  é sate:delayed":       {2, 5, "unknown_field", `line 2, column 5: there is no field "sate"`, "Did you mean state?"},
		"colour:red":                {1, 1, "unknown_field", `"colour"`, `body, id, state, receives, size, due, age, body.PATH and attr.NAME. To look for the text put it in quotes: "colour:red".`},
		"atr.type:x":                {1, 1, "unknown_field", `"atr.type"`, "Did you mean attr.type?"},
		"attributes.type:x":         {1, 1, "unknown_field", `"attributes.type"`, "Did you mean attr.type?"},
		"bdy.a.b=1":                 {1, 1, "unknown_field", `"bdy.a.b"`, "Did you mean body.a.b?"},
		"State:delayed":             {1, 1, "unknown_field", `"State"`, "Did you mean state?"},
		"http://x":                  {1, 1, "unknown_field", `"http"`, `quotes: "http://x"`},
		"state:delaid":              {1, 7, "bad_value", "state is one of available, delayed", "Did you mean state:delayed?"},
		"state:d*":                  {1, 7, "bad_value", "state takes no wildcard", ""},
		"state~del":                 {1, 6, "bad_operator", "state takes : =, not ~", ""},
		"state>delayed":             {1, 6, "bad_operator", "not >", ""},
		"id>1":                      {1, 3, "bad_operator", "id takes : = ~, not >", ""},
		"body>=1":                   {1, 5, "bad_operator", "body takes : = ~, not >=", ""},
		"receives~3":                {1, 9, "bad_operator", "receives takes : = < <= > >=, not ~", ""},
		"receives:3*":               {1, 10, "bad_value", "no wildcard", ""},
		"receives>=three":           {1, 11, "bad_value", `a whole number was expected after receives, got "three"`, ""},
		"receives>-1":               {1, 10, "bad_value", "a whole number", ""},
		"receives>1.5":              {1, 10, "bad_value", "a whole number", ""},
		"receives>9999999999999999": {1, 10, "bad_value", "a whole number", ""},
		"size>10tb":                 {1, 6, "bad_value", "a number of bytes", ""},
		"size>kb":                   {1, 6, "bad_value", "a number of bytes", ""},
		"age>soon":                  {1, 5, "bad_value", "a time span such as 90s", ""},
		"age>5s5":                   {1, 5, "bad_value", "a time span", ""},
		"age>40000d":                {1, 5, "bad_value", "a time span", ""},
		"age:1h":                    {1, 4, "bad_operator", "age takes < <= > >= :*, not :", ""},
		"age~1h":                    {1, 4, "bad_operator", "not ~", ""},
		"due=2026-03-01":            {1, 4, "bad_operator", "not =", ""},
		"due>yesterday":             {1, 5, "bad_value", "a time such as", ""},
		"due>2026-02-30":            {1, 5, "bad_value", "a time such as", ""},
		"attr.n>ten":                {1, 8, "bad_value", "a number, or a time", ""},
		"body.n>=x":                 {1, 9, "bad_value", "a number, or a time", ""},
		"attr:x":                    {1, 1, "expected_field", "name of an attribute", "attr.type"},
		"attr.:x":                   {1, 1, "expected_field", "name of an attribute", "attr.type"},
		":x":                        {1, 1, "expected_field", "before", ""},
		"a >3":                      {1, 3, "expected_field", `name of a field was expected before ">"`, ""},
		"receives!=3":               {1, 9, "unexpected", "no operator !=", "-receives=…"},
		"id==x":                     {1, 4, "expected_value", "not another operator", "quotes"},
		"id=~x":                     {1, 4, "expected_value", "not another operator", "quotes"},
		"id:":                       {1, 4, "expected_value", "a value was expected", `""`},
		"id: x":                     {1, 4, "expected_value", "a value was expected", ""},
		"body.a=(x)":                {1, 8, "expected_value", "a value was expected", "quotes"},
		"body.f=foo(x)":             {1, 11, "unexpected", "a space was expected", "quotes"},
		`a"b"`:                      {1, 2, "unexpected", "a space was expected", "quotes"},
		`"a"b`:                      {1, 4, "unexpected", "a space was expected", "quotes"},
		"(a)b":                      {1, 4, "unexpected", "a space was expected", ""},
		`"abc`:                      {1, 1, "not_closed", "quote is not closed", `\"`},
		`id="a\q"`:                  {1, 6, "bad_escape", "after \\ stands", ""},
		`id="a\u12"`:                {1, 6, "bad_escape", "after \\ stands", ""},
		`id="\ud800"`:               {1, 5, "bad_escape", "after \\ stands", ""},
		`id=a\`:                     {1, 5, "bad_escape", "after \\ stands", ""},
		`a\`:                        {1, 2, "bad_escape", "after \\ stands", ""},
		"(a b":                      {1, 1, "not_closed", "this ( has no )", `"("`},
		"a b)":                      {1, 4, "unexpected", "no ( stands before", `")"`},
		"()":                        {1, 2, "expected_term", "before this", "spaces or OR"},
		"OR a":                      {1, 1, "expected_term", "before this", ""},
		"a OR":                      {1, 5, "expected_term", "before the end", ""},
		"a OR OR b":                 {1, 6, "expected_term", "before this", ""},
		"AND a":                     {1, 1, "expected_term", "before this", ""},
		"a AND":                     {1, 6, "expected_term", "before the end", ""},
		"a AND OR b":                {1, 7, "expected_term", "before this", ""},
		"a AND AND b":               {1, 7, "expected_term", "before this", ""},
		"- a":                       {1, 2, "expected_term", "right behind the negation", `"-"`},
		"--a":                       {1, 2, "expected_term", "right behind the negation", ""},
		"a -":                       {1, 4, "expected_term", "right behind the negation", ""},
		"NOT":                       {1, 4, "expected_term", "right behind the negation", ""},
		"NOT OR":                    {1, 5, "expected_term", "right behind the negation", ""},
		"body.=x":                   {1, 5, "bad_path", "names after dots", ""},
		"body..a=x":                 {1, 6, "bad_path", "name of a member", ""},
		"body.a.=x":                 {1, 7, "bad_path", "names after dots", ""},
		"body.a[x]=1":               {1, 7, "bad_path", "a place in a list", ""},
		"body.a[0=1":                {1, 7, "bad_path", "a place in a list", ""},
		"body.a[-1]=1":              {1, 7, "bad_path", "a place in a list", ""},
		"body.a[0]b=1":              {1, 10, "bad_path", "names after dots", ""},
		"body.a[9999999]=1":         {1, 7, "bad_path", "a place in a list", ""},
		`body.a\b=1`:                {1, 7, "bad_path", "name of a member", "quotes"},
		"a \xff":                    {1, 3, "not_utf8", "UTF-8", ""},
		deep + "a":                  {1, search.MaxNesting + 1, "too_deep", "10 deep", ""},
		strings.Repeat("a ", search.MaxTerms) + "b":                                          {1, 2*search.MaxTerms + 1, "too_many_terms", "at most 50 terms", ""},
		strings.Repeat("a", search.MaxLength+1):                                              {1, 1, "too_long", "at most 4096 bytes, this one has 4097", ""},
		strings.Repeat("a ", search.MaxTerms-1) + "\"" + strings.Repeat("\x01", 3000) + "\"": {1, 1, "too_long", "with its escapes has 18100", ""},
	} {
		f, err := letters.Parse(text)
		e, ok := errors.AsType[*errs.Error](err)
		if !ok {
			t.Errorf("%.60q: read as %v, error %v", text, f, err)
			continue
		}
		if e.Kind != errs.Invalid || e.Code != "filter_invalid" || len(e.Fields) != 1 {
			t.Errorf("%.60q: got %+v, want one fault of filter_invalid", text, e)
			continue
		}
		at := e.Fields[0]
		got := fault{at.Line, at.Column, at.Code, want.says, want.fix}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(fault{})); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", text, diff)
		}
		if !strings.Contains(e.Message, want.says) || !strings.Contains(e.Fix, want.fix) {
			t.Errorf("%.60q: got %q and the fix %q, want %q and %q", text, e.Message, e.Fix, want.says, want.fix)
		}
	}
}

func TestFiltersAtTheLimitsAreRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("(", search.MaxNesting) + "a" + strings.Repeat(")", search.MaxNesting),
		strings.Repeat("a ", search.MaxTerms),
		strings.Repeat("a", search.MaxLength),
		"body." + strings.Repeat("a.", 2000) + "a=1",
		"body" + strings.Repeat("[0]", 1300) + "=1",
	} {
		f := parse(t, text)
		f.Match(sample(), now)
		if again := parse(t, f.String()); again.String() != f.String() {
			t.Errorf("%.40s… does not print as itself", text)
		}
	}
}

// A body that is no JSON has no paths, whatever it begins with, and of two members with one name the last counts.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	deep := func(n int, open, inside, closed string) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(closed, n)
	}
	for _, c := range []struct {
		body, filter string
		want         bool
	}{
		{`{"a":1,"a":2}`, "body.a=2", true}, {`{"a":1,"a":2}`, "body.a=1", false},
		{`{"a":{"b":1},"a":{"c":2}}`, "body.a.b:*", false}, {`{"a":{"b":1},"a":3}`, "body.a.b:*", false}, {`{"a":3,"a":{"b":1}}`, "body.a.b=1", true},
		{`{"a":[1,2],"a":[3]}`, "body.a[1]:*", false}, {`{"\u0061":1}`, "body.a=1", true}, {`{"a":1,"\u0061":2}`, "body.a=1", false},
		{`{"a":1}x`, "body.a:*", false}, {`{"a":1`, "body.a:*", false}, {`{"a":1,}`, "body.a:*", false}, {`{a:1}`, "body.a:*", false}, {`{"a":1}{"a":2}`, "body.a:*", false},
		{`{"a":01}`, "body.a:*", false}, {`{"a":+1}`, "body.a:*", false}, {`{"a":1.}`, "body.a:*", false}, {`{"a":.5}`, "body.a:*", false}, {`{"a":1e}`, "body.a:*", false},
		{`{"a":-}`, "body.a:*", false}, {`{"a":NaN}`, "body.a:*", false}, {`{"a":tru}`, "body.a:*", false}, {`{"a":"\x"}`, "body.a:*", false}, {`{"a":"\u12g4"}`, "body.a:*", false},
		{"{\"a\":\"\n\"}", "body.a:*", false}, {"{\"a\":\"\xff\"}", "body.a:*", false}, {"{\"a\":1,\"b\":\"\xed\xa0\x80\"}", "body.a:*", false}, {`{"a":"`, "body.a:*", false},
		{`{"a":"\`, "body.a:*", false}, {`{"a":"\u1`, "body.a:*", false}, {"\xef\xbb\xbf{\"a\":1}", "body.a:*", false}, {`{"a" 1}`, "body.a:*", false}, {`[1 2]`, "body[0]:*", false},
		{"", "body.a:*", false}, {" ", "body.a:*", false}, {"null", "body.a:*", false}, {`"x"`, "body.a:*", false}, {"-", "body.a:*", false}, {"[", "body[0]:*", false}, {"{", "body.a:*", false},
		{" \r\n\t{ \"a\" : [ 1 , { \"b\" : \"c\" } ] } \n", "body.a[1].b=c", true}, {`[[[7]]]`, "body[0][0][0]=7", true}, {`{"":{"":1}}`, `body."".""=1`, true},
		{`{"a":"\ud83d\ude00"}`, `body.a="😀"`, true}, {`{"a":"\ud800"}`, "body.a=\ufffd", true}, {`{"a":"\"\\\/\b\f\n\r\t"}`, `body.a="\"\\/\u0008\u000c\n\r\t"`, true},
		{`{"a":1e400}`, "body.a>1e399", true}, {`{"a":1e400}`, "body.a=1e400", true}, {`{"a":-1e400}`, "body.a<0", true}, {`{"a":1e-400}`, "body.a>0", true},
		{`{"a":1e99999999999999999999}`, "body.a>1e400", true}, {`{"a":1E-99999999999999999999}`, "body.a<1e-400", true}, {`{"a":-0}`, "body.a=0", true}, {`{"a":0e9}`, "body.a=0", true},
		{`{"a":` + strings.Repeat("9", 100_000) + `}`, "body.a>1e99999", true}, {`{"a":0.` + strings.Repeat("0", 100_000) + `1}`, "body.a<1e-100000", true},
		{`{"a":0.` + strings.Repeat("0", 100_000) + `1}`, "body.a=1e-100001", true}, {`{"a":1` + strings.Repeat("0", 100_000) + `}`, "body.a=1e100000", true},
		{deep(search.MaxDepth, "[", "", "]"), "body[0]:*", true}, {deep(search.MaxDepth+1, "[", "", "]"), "body[0]:*", false},
		{deep(search.MaxDepth, `{"a":`, "1", "}"), "body.a.a:*", true}, {deep(search.MaxDepth+1, `{"a":`, "1", "}"), "body.a.a:*", false},
		{deep(500_000, "[", "", ""), "body[0]:*", false}, {deep(200_000, `{"a":`, "", ""), "body.a:*", false},
	} {
		if got := parse(t, c.filter).Match(&letter{body: c.body}, now); got != c.want {
			t.Errorf("%s of %.60q: got %t, want %t", c.filter, c.body, got, c.want)
		}
	}
}

// What is a filter's worst case must not take longer than its size.
func TestNoBodyIsSlow(t *testing.T) {
	t.Parallel()
	const large = 1 << 20
	stars := "body:" + strings.Repeat("*a", 1000) + "*b"
	keys := &strings.Builder{}
	for i := 0; keys.Len() < large; i++ {
		fmt.Fprintf(keys, `,"k%d":[%d]`, i%50, i)
	}
	paths := &strings.Builder{}
	for i := range search.MaxTerms - 1 {
		fmt.Fprintf(paths, "body.k%d[0]=x OR ", i)
	}
	for name, c := range map[string]struct{ filter, body string }{
		"wildcards":     {stars, strings.Repeat("a", large)},
		"contains":      {"body~" + strings.Repeat("a", 4000) + "b", strings.Repeat("a", large)},
		"wide folding":  {"body~" + strings.Repeat("\u212a", 1300) + "b", strings.Repeat("k", large)},
		"paths":         {paths.String() + "zzz", "{" + keys.String()[1:] + "}"},
		"deep brackets": {"body[0][0]=1", strings.Repeat("[", large)},
		"long text":     {"body.a=" + strings.Repeat("a", 4000), `{"a":"` + strings.Repeat(`\u0061`, large/6) + `"}`},
		"long number":   {"body.a<" + strings.Repeat("9", 4000), `{"a":` + strings.Repeat("9", large) + `}`},
	} {
		f := parse(t, c.filter)
		begin := time.Now()
		f.Match(&letter{body: c.body}, now)
		// Quadratic work would take minutes; this is far above what a busy machine needs for the rest.
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: took %s", name, took)
		} else {
			t.Logf("%s: %s", name, took)
		}
	}
}

func TestOneFilterServesMany(t *testing.T) {
	t.Parallel()
	f := parse(t, "body.customer.tier=pro ada attr.type~ORDER -body.items[1].sku=y")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				l := sample()
				if i%2 == 1 {
					l.body = `{"customer":{"tier":"free"}} ada`
				}
				if got, want := f.Match(l, now), i%2 == 0; got != want {
					t.Errorf("got %t, want %t", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestAMatchAllocatesNothing(t *testing.T) {
	for _, text := range []string{"receives>2 state:delayed", "body.customer.tier=pro body.total>10", "attr.type:order.*", "ada", "age>1h -id:x*"} {
		f, l := parse(t, text), sample()
		least := 1.0
		for range 20 { // now and then a collection, or the race detector, empties the pool
			least = min(least, testing.AllocsPerRun(1, func() { f.Match(l, now) }))
		}
		if least > 0 {
			t.Errorf("%s: a match allocates", text)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{
		"receives>=3", "id:msg_*", "attr.type:order.*", "body.customer.tier=pro", "body.items[1].sku=x2 body.total>10 body.id>5", `body~"nothing"`, "body:*nothing*",
		`state:delayed age>1h (receives>=3 OR attr.type:order.*) body.customer.tier=free`,
	} {
		b.Run(text, func(b *testing.B) {
			f, l := parse(b, text), sample()
			b.ReportAllocs()
			for b.Loop() {
				f.Match(l, now)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse(b, `state:delayed age>1h (receives>=3 OR attr.type:order.*) body.customer.tier=free`)
	}
}
