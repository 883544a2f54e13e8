package rawjson_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// skip walks along a whole text, as users of the scanner do.
func skip(text string) bool {
	s := rawjson.Scanner{Text: text}
	var value func() bool
	value = func() bool {
		s.Space()
		open := s.Next()
		if open != '{' && open != '[' {
			_, _, ok := s.Scalar()
			return ok
		}
		s.Pos++
		if s.Sign(open + 2) { // } and ] follow two behind { and [
			return true
		}
		for {
			if s.Space(); open == '{' {
				if _, ok := s.Str(); !ok || !s.Sign(':') {
					return false
				}
			}
			switch {
			case !value():
				return false
			case s.Sign(open + 2):
				return true
			case !s.Sign(','):
				return false
			}
		}
	}
	ok := value()
	s.Space()
	return ok && s.Pos == len(text)
}

// The scanner accepts what encoding/json accepts.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0.5e+7,true,false,null,"\u00e9\n"],"":{}}`, "[", "{", `"\x"`, "01", "1.", "-", "1e", "tru", `{"a" 1}`, "[1 2]", "[1,]", "", " ", `"` + "\n" + `"`, "\xff", `"\ud800"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "{")+strings.Count(text, "[") > 1000 {
			return
		}
		if got, want := skip(text), json.Valid([]byte(text)); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
		s := rawjson.Scanner{Text: text}
		if plain, ok := s.Str(); ok && utf8.ValidString(text) {
			var want string
			if err := json.Unmarshal([]byte(text[:s.Pos]), &want); err != nil {
				t.Errorf("%q is taken for a string: %v", text, err)
			} else if got := rawjson.Unquote(text[:s.Pos], plain); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
		if at := rawjson.FirstInvalid(text); (at == len(text)) != utf8.ValidString(text) || !utf8.ValidString(text[:at]) {
			t.Errorf("%q: byte %d is said to be the first that is not UTF-8", text, at)
		}
		if line, column := rawjson.Place(text, len(text)); line != 1+strings.Count(text, "\n") || column < 1 {
			t.Errorf("%q ends at line %d, column %d", text, line, column)
		}
	})
}

func TestNumbersCompareToTheLastDigit(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`[-+]?(0{0,3}[0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][-+]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a := number.Draw(t, "a")
		b := rapid.OneOf(number, rapid.Just(a+"0"), rapid.Just(a)).Draw(t, "b")
		x, okX := rawjson.ParseNumber(a)
		y, okY := rawjson.ParseNumber(b)
		p, okP := new(big.Rat).SetString(a)
		q, okQ := new(big.Rat).SetString(b)
		if okX != okP || okY != okQ {
			t.Fatalf("%s and %s: read: %t, %t, want %t, %t", a, b, okX, okY, okP, okQ)
		}
		if !okX || !okY {
			return
		}
		if got, want := x.Compare(&y), p.Cmp(q); got != want {
			t.Errorf("%s and %s: got %d, want %d", a, b, got, want)
		}
	})
	for _, text := range []string{"", "-", ".", "e5", "1e", "1e+", "1x", "0x1", "1_0", "NaN", "Inf", " 1", "1 ", "--1", "1.2.3"} {
		if _, ok := rawjson.ParseNumber(text); ok {
			t.Errorf("%q is read as a number", text)
		}
	}
}
