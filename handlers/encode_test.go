package handlers_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/handlers"
)

func FuzzStringsComeBackFromJSON(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é\u2028😀", "\xff\xc3", "\ufffd", strings.Repeat("x\n", 50)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := string([]rune(s)) // what is not UTF-8 becomes U+FFFD, byte by byte
		for name, text := range map[string][]byte{"appendString": handlers.AppendString(nil, s), "appendASCII": handlers.AppendASCII(nil, s)} {
			var got string
			if err := json.Unmarshal(text, &got); err != nil || got != want {
				t.Errorf("%s(%q) is %s, which reads as %q (%v)", name, s, text, got, err)
			}
			if name == "appendASCII" && bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s(%q) is %q, which is no header", name, s, text)
			}
			if back, err := handlers.UnquoteJSON(text); err != nil || back != want {
				t.Errorf("%s(%q) is %s, which our reader reads as %q (%v)", name, s, text, back, err)
			}
		}
	})
}

func FuzzOurReaderIsStricterThanTheStandardOne(f *testing.F) {
	for _, s := range []string{
		`{}`, ` [1, -0.5e+3, "a\u00e9\ud83d\ude00", true, false, null, {"a":{"b":[]}}] `, `{"a":1,"a":2}`, `{"a":1}x`, `"\ud800"`, `"\udc00\ud800"`,
		"\"\xff\"", "[1,]", "[,1]", `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`, "01", "-", "1.", "1e", ".5", "+1", "nul", "nulll", "tru", "\ufeff{}", "\"\x1f\"", `"\x"`, `"\u12g4"`, `"\u12`, `"`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat(`{"a":`, 100), "", " ", "\x00",
		`{"\u0061":1,"a":2}`, `"\u0000"`, "[1 2]", "{\"a\":1 \"b\":2}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := handlers.CheckJSON(text)
		if err == nil && (!json.Valid(text) || !utf8.Valid(text)) {
			t.Errorf("%q is taken and is not JSON", text)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "malformed_request: ") {
			t.Errorf("%q: got %v, want a malformed request", text, err)
		}
		var any1 any
		dec := json.NewDecoder(bytes.NewReader(text))
		if err == nil && dec.Decode(&any1) != nil {
			t.Errorf("%q is taken by our reader only", text)
		}
		var s string
		if json.Unmarshal(text, &s) == nil && utf8.Valid(text) && !bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) && bytes.ContainsRune(text, '"') {
			if got, err := handlers.UnquoteJSON(text); err != nil || got != s {
				t.Errorf("%q: got %q (%v), want %q", text, got, err, s)
			}
		}
	})
}

func TestDuplicatesAreFoundAmongManyMembers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 31, 32, 33, 34, 500, 999} {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"k` + strings.Repeat("x", i) + `":{"a":1},`)
		}
		text := "{" + strings.TrimSuffix(b.String(), ",")
		if err := handlers.CheckJSON([]byte(text + "}")); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		for _, twice := range []string{"k", "k" + strings.Repeat("x", n-1)} {
			if err := handlers.CheckJSON([]byte(text + `,"` + twice + `":0}`)); err == nil {
				t.Errorf("%d members, of which one stands twice: no error", n)
			}
		}
	}
}

func TestTimesAreAsTheStandardWritesThem(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("x", 5400)
	for range 1000 {
		at := time.Unix(rand.Int64N(1<<35), rand.Int64N(1e9)).In(zone)
		want := `"` + at.UTC().Format("2006-01-02T15:04:05.000Z") + `"`
		if got := string(handlers.AppendTime([]byte("x"), at)); got != "x"+want {
			t.Fatalf("%v: got %s, want %s", at, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, "-1": -time.Second, "007": 7 * time.Second, "30s": 30 * time.Second, "5m": 5 * time.Minute,
		"12h": 12 * time.Hour, "14d": 14 * 24 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0,
	} {
		if got, ok := handlers.ParseDuration(text); !ok || got != want {
			t.Errorf("%q: got %s, %t; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", " ", "s", "1.5s", "500ms", "1h 30m", "5M", "+5", "+5s", "-5s", "5s5", "٥", "1e3", "0x10", "99999999999",
		"99999999999999999999", "9999999999999999d", "36501d", "1_0", "5s\x00", "30S"} {
		if got, ok := handlers.ParseDuration(text); ok {
			t.Errorf("%q: got %s, want a refusal", text, got)
		}
	}
}
