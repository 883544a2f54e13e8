package auth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
)

func TestKeysHaveAFormThatScannersFind(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^sl[ko]_[0-9A-Za-z]{36}$`)
	seen := map[string]bool{}
	letters := map[rune]int{}
	const n = 2000
	for i := range n {
		want := auth.KindTenant
		if i%2 == 0 {
			want = auth.KindOperator
		}
		text := auth.NewKeyText(want)
		if !form.MatchString(text) || seen[text] {
			t.Fatalf("key %q: want a new one of the form %v", text, form)
		}
		seen[text] = true
		if got, err := auth.ParseKey(text); got != want || err != nil {
			t.Fatalf("ParseKey(%q): %q, %v; want %q", text, got, err, want)
		}
		sum, value := crc32.ChecksumIEEE([]byte(text[:34])), uint32(0)
		for _, c := range text[34:] {
			value = value*62 + uint32(strings.IndexRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c))
		}
		if value != sum {
			t.Fatalf("key %q: checksum %d, want the CRC-32 %d", text, value, sum)
		}
		for _, c := range text[4:34] {
			letters[c]++
		}
	}
	// 60,000 letters: 968 of each, give or take 31. Six times that is one failure in ten million runs.
	for c, k := range letters {
		if k < 968-186 || k > 968+186 || len(letters) != 62 {
			t.Errorf("letter %q comes %d times of %d, want about 968 of each of 62", c, k, n*30)
		}
	}
}

func TestWhatIsNoKeyIsRefusedWithoutRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		good := w.newKey(t).Secret.Reveal()
		before := w.calls()
		bad := []string{
			"", "slk_", "slk", good[:39], good + "0", " " + good, good + "\n", strings.ToUpper(good), "slo_" + good[4:], "slp_" + good[4:],
			"ghp_" + good[4:], good[:20] + "-" + good[21:], good[:20] + "é" + good[22:], good[:34] + "000000", strings.Repeat("a", 40),
			strings.Repeat("slk_", 1<<20), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
		}
		for i := range good { // every single mistyped letter
			c := byte('a')
			if good[i] == 'a' {
				c = 'b'
			}
			bad = append(bad, good[:i]+string(c)+good[i+1:])
		}
		for _, text := range bad {
			if _, err := auth.ParseKey(text); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("ParseKey(%.60q): got %v, want ErrUnauthenticated", text, err)
			}
			w.checkAuth(t, fmt.Sprintf("%.60q", text), text, auth.ErrUnauthenticated)
		}
		if n := w.calls() - before; n != 0 {
			t.Errorf("%d calls to Redis, want none", n)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(auth.NewKeyText(auth.KindTenant))
	f.Add("slo_000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		kind, err := auth.ParseKey(text)
		if (err == nil) != (kind == auth.KindTenant || kind == auth.KindOperator) {
			t.Errorf("ParseKey(%q): %q and %v", text, kind, err)
		}
		if err == nil && (len(text) != 40 || strings.Trim(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != "") {
			t.Errorf("ParseKey accepts %q", text)
		}
	})
}

func TestAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	key := auth.NewKeyText(auth.KindTenant)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for header, want := range map[string]string{
		"Bearer " + key:                 key,
		"bearer " + key:                 key,
		"BEARER " + key:                 key,
		basic(key + ":"):                key,
		"bASIC " + basic(key + ":")[6:]: key,
		"Bearer a.b-c_d~e+f/g==":        "a.b-c_d~e+f/g==",

		"":                                      "",
		key:                                     "",
		"Bearer":                                "",
		"Bearer ":                               "",
		"Bearer =":                              "",
		"bearer  " + key:                        "",
		" Bearer " + key:                        "",
		"Bearer\t" + key:                        "",
		"Bearer " + key + " ":                   "",
		"Bearer " + key + ",":                   "",
		"Bearer " + key + ", " + basic(key+":"): "",
		"Bearer Bearer " + key:                  "",
		"Bearer " + key + "\x00":                "",
		"Bearer schlüssel":                      "",
		"Token " + key:                          "",
		"Digest username=x":                     "",
		"AWS4-HMAC-SHA256 Credential=AKIA/20260504/us-east-1/sqs/aws4_request": "",
		"Basic":                               "",
		"Basic ":                              "",
		"Basic " + key:                        "",
		basic(""):                             "",
		basic(":"):                            "",
		basic(":" + key):                      "",
		basic(key):                            "",
		basic(key + ":x"):                     "",
		basic(key + "::"):                     "",
		basic(" " + key + ":"):                "",
		basic(key+":") + " ":                  "",
		basic(key+":") + "\n":                 "",
		"Bearer " + strings.Repeat("a", 8200): "",
	} {
		got, err := auth.FromHeader(header)
		if got != want || (want == "") != errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("FromHeader(%.80q): %q, %v; want %q", header, got, err, want)
		}
	}
	if got, err := auth.FromHeader("Bearer " + strings.Repeat("a", 8<<10-7)); err != nil || len(got) != 8<<10-7 {
		t.Errorf("a header of 8 KiB: %d bytes, %v", len(got), err)
	}
}

func FuzzFromHeader(f *testing.F) {
	f.Add("Bearer slk_abc")
	f.Add("Basic c2xrX2FiYzo=")
	f.Fuzz(func(t *testing.T, header string) {
		got, err := auth.FromHeader(header)
		if (err == nil) != (got != "") {
			t.Errorf("FromHeader(%q): %q and %v", header, got, err)
		}
		if strings.ContainsAny(got, " ,:\r\n\x00\"") {
			t.Errorf("FromHeader(%q) gives %q", header, got)
		}
	})
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	text := auth.NewKeyText(auth.KindTenant)
	made := auth.Created{Key: auth.Key{ID: "key_1"}, Secret: auth.Secret(text)}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", made, &made, made.Secret)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", made, "s", made.Secret)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "k", made, "s", made.Secret)
	for _, v := range []any{made, &made, made.Secret} {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, leak := range []string{text[4:], fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in the output:\n%s", leak, out.String())
		}
	}
	if made.Secret.Reveal() != text {
		t.Errorf("Reveal gives %q, want %q", made.Secret.Reveal(), text)
	}
}

func TestEachScriptSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(auth.ScriptFiles, "lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		s, err := engine.Load(auth.ScriptFiles, strings.TrimSuffix(path.Base(file), ".lua"))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		text, _ := fs.ReadFile(auth.ScriptFiles, file)
		for _, n := range s.Header.Keys {
			if use := fmt.Sprintf("KEYS[%d]", n); strings.Count(string(text), use) < 2 {
				t.Errorf("%s names %s and does not use it", file, use)
			}
		}
	}
}
