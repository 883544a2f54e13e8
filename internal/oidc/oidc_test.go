package oidc_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
)

var start = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// rig is a verifier of one provider's tokens, at a time that stands still.
type rig struct {
	*oidctest.Provider
	verifier *oidc.Verifier
	clock    *clock.Fake
	log      *bytes.Buffer
}

func newRig(t *testing.T, keys ...oidctest.Key) *rig {
	t.Helper()
	r := &rig{Provider: oidctest.Start(t, keys...), clock: clock.NewFake(start), log: &bytes.Buffer{}}
	r.verifier = r.another(t)
	return r
}

func (r *rig) another(t *testing.T) *oidc.Verifier {
	return oidc.New(oidc.Config{Issuers: []string{r.Issuer}, Audience: oidctest.Audience, Egress: r.Egress(t), Clock: r.clock, Logger: slog.New(slog.NewTextHandler(r.log, nil))})
}

func (r *rig) verify(t *testing.T, text string) (*oidc.Token, error) {
	t.Helper()
	return r.verifier.Verify(t.Context(), text, r.clock.Now())
}

// check fails unless a token gets want, nil for success.
func (r *rig) check(t *testing.T, what, text string, want error) {
	t.Helper()
	if _, err := r.verify(t, text); !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// with returns a token with other claims than the usual.
func (r *rig) with(t *testing.T, others map[string]any) string {
	t.Helper()
	return r.Token(t, r.Claims(r.clock.Now(), others))
}

func TestTokensOfEachAlgorithmVerify(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oidctest.NewKey(t, "a", algorithm), oidctest.NewKey(t, "b", "EdDSA"))
			text := r.with(t, map[string]any{"tenant": "acme", "roles": []string{"x", "y"}, "n": 7})
			if !r.verifier.Knows(text) {
				t.Error("the token is of nobody")
			}
			got, err := r.verify(t, text)
			if err != nil {
				t.Fatal(err)
			}
			if got.Issuer != r.Issuer || got.Subject != "ana" || !got.ExpiresAt.Equal(start.Add(time.Hour)) || !got.Standing.Holds() {
				t.Errorf("token %+v", got)
			}
			if a, b, c := got.Text("tenant"), got.Texts("roles"), got.Text("n")+got.Text("roles")+got.Text("none"); a != "acme" || fmt.Sprint(b) != "[x y]" || c != "" {
				t.Errorf("claims %q %q %q", a, b, c)
			}
			parts := strings.Split(text, ".")
			for i := range parts {
				changed := append([]string{}, parts...)
				changed[i] = changed[i][:len(changed[i])/2] + "A" + changed[i][len(changed[i])/2+1:]
				if changed[i] != parts[i] {
					r.check(t, fmt.Sprint("part ", i, " changed"), strings.Join(changed, "."), oidc.ErrInvalid)
				}
			}
			r.check(t, "with the other key", r.Keys()[1].Sign(t, r.Claims(start, nil), map[string]any{"kid": "a"}), oidc.ErrInvalid)
		})
	}
}

func TestTokensThatDoNotVerifyAreNobodys(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.NewKey(t, "a", "RS256"), oidctest.NewKey(t, "es", "ES256"))
	good := r.with(t, nil)
	r.check(t, "a good one", good, nil)
	private := r.Keys()[0].Private.(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	sign := func(method jwt.SigningMethod, key any, header map[string]any) string {
		j := jwt.NewWithClaims(method, r.Claims(start, nil))
		j.Header["kid"] = "a"
		maps.Copy(j.Header, header)
		text, err := j.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	stranger := oidctest.NewKey(t, "a", "RS256")
	none := sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)
	headed := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + good[strings.Index(good, "."):]
	}
	claimed := func(body string) string { // signed as it stands there
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"a"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
		signature, err := jwt.SigningMethodRS256.Sign(head, private)
		if err != nil {
			t.Fatal(err)
		}
		return head + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	twice := fmt.Sprintf(`{"iss":%q,"aud":"sluice","sub":"ana","exp":%d,"sluice_role":"viewer","sluice_role":"owner"}`, r.Issuer, start.Add(time.Hour).Unix())
	r.check(t, "claims that stand there once", claimed(strings.Replace(twice, `"sluice_role":"viewer",`, "", 1)), nil)
	asked := r.Asked.Load()
	for what, text := range map[string]string{
		"nothing":                         "",
		"a word":                          "eyJ",
		"two parts":                       good[:strings.LastIndex(good, ".")],
		"four parts":                      good + ".x",
		"five parts":                      good + ".x.x",
		"many dots":                       "eyJ" + strings.Repeat(".", 8000),
		"too long":                        "eyJ" + strings.Repeat("x", oidc.MaxToken),
		"alg none":                        none,
		"alg nOnE":                        headed(`{"alg":"nOnE","kid":"a"}`),
		"alg None and no signature":       none[:strings.LastIndex(none, ".")+1],
		"HS256 with the public key":       sign(jwt.SigningMethodHS256, pemKey, nil),
		"HS256 with the modulus":          sign(jwt.SigningMethodHS256, private.N.Bytes(), nil),
		"another algorithm of the key":    sign(jwt.SigningMethodRS512, private, nil),
		"PS256 with a key for RS256":      sign(jwt.SigningMethodPS256, private, nil),
		"an algorithm of another key":     sign(jwt.SigningMethodES256, r.Keys()[1].Private, nil),
		"a stranger's key of the same id": stranger.Sign(t, r.Claims(start, nil), nil),
		"a stranger's key in the header":  stranger.Sign(t, r.Claims(start, nil), map[string]any{"jwk": stranger.JWK()}),
		"jku":                             stranger.Sign(t, r.Claims(start, nil), map[string]any{"kid": "other", "jku": r.Issuer + "/keys"}),
		"x5u":                             stranger.Sign(t, r.Claims(start, nil), map[string]any{"kid": "other", "x5u": r.Issuer + "/keys"}),
		"no kid":                          sign(jwt.SigningMethodRS256, private, map[string]any{"kid": nil}),
		"kid is a number":                 sign(jwt.SigningMethodRS256, private, map[string]any{"kid": 7}),
		"kid is a path":                   sign(jwt.SigningMethodRS256, private, map[string]any{"kid": "../../dev/null"}),
		"kid is SQL":                      sign(jwt.SigningMethodRS256, private, map[string]any{"kid": "' OR 1=1 --"}),
		"kid is long":                     sign(jwt.SigningMethodRS256, private, map[string]any{"kid": strings.Repeat("k", 4<<10)}),
		"kid has NUL":                     sign(jwt.SigningMethodRS256, private, map[string]any{"kid": "a\x00"}),
		"crit":                            sign(jwt.SigningMethodRS256, private, map[string]any{"crit": []string{"exp"}}),
		"typ of a logout":                 sign(jwt.SigningMethodRS256, private, map[string]any{"typ": "logout+jwt"}),
		"typ is a number":                 sign(jwt.SigningMethodRS256, private, map[string]any{"typ": 1}),
		"another issuer":                  r.with(t, map[string]any{"iss": "https://login.example"}),
		"the issuer with a slash":         r.with(t, map[string]any{"iss": r.Issuer + "/"}),
		"two issuers":                     r.with(t, map[string]any{"iss": []string{r.Issuer}}),
		"no issuer":                       r.with(t, map[string]any{"iss": nil}),
		"padding":                         good + "=",
		"a claim twice":                   claimed(twice),
		"claims are a list":               claimed(`["iss"]`),
		"claims and more":                 claimed(twice[:len(twice)-1] + `}{}`),
	} {
		r.check(t, what, text, oidc.ErrInvalid)
	}
	if n := r.Asked.Load() - asked; n > 1 {
		t.Errorf("the provider was asked %d times meanwhile", n)
	}
	for _, typ := range []any{"JWT", "at+jwt", "application/at+JWT"} {
		r.check(t, fmt.Sprint("typ ", typ), sign(jwt.SigningMethodRS256, private, map[string]any{"typ": typ}), nil)
	}
}

func TestTokensThatAreNotForUsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for what, c := range map[string]struct {
		others map[string]any
		want   error
		says   string
	}{
		"another audience":             {map[string]any{"aud": "other"}, oidc.ErrRefused, "audience"},
		"no audience":                  {map[string]any{"aud": nil}, oidc.ErrRefused, "aud"},
		"no audience in the list":      {map[string]any{"aud": []string{}}, oidc.ErrRefused, "aud"},
		"an audience that is a number": {map[string]any{"aud": 7}, oidc.ErrRefused, "audience"},
		"ours among others":            {map[string]any{"aud": []string{"other", oidctest.Audience}}, nil, ""},
		"no exp":                       {map[string]any{"exp": nil}, oidc.ErrRefused, "exp"},
		"exp is text":                  {map[string]any{"exp": fmt.Sprint(at(time.Hour))}, oidc.ErrRefused, "malformed"},
		"exp is huge":                  {map[string]any{"exp": 1e308}, oidc.ErrRefused, "malformed"},
		"exp is negative":              {map[string]any{"exp": -1}, oidc.ErrRefused, "malformed"},
		"exp is null":                  {map[string]any{"exp": json.RawMessage("null")}, oidc.ErrRefused, "malformed"},
		"exp now":                      {map[string]any{"exp": at(0), "iat": at(-time.Hour)}, oidc.ErrExpired, ""},
		"exp long ago":                 {map[string]any{"exp": at(-time.Hour), "iat": at(-2 * time.Hour)}, oidc.ErrExpired, ""},
		"exp in a second":              {map[string]any{"exp": at(time.Second)}, nil, ""},
		"nbf in the future":            {map[string]any{"nbf": at(time.Minute)}, oidc.ErrRefused, "not good yet"},
		"nbf within the leeway":        {map[string]any{"nbf": at(oidc.Leeway)}, nil, ""},
		"iat in the future":            {map[string]any{"iat": at(time.Minute)}, oidc.ErrRefused, "not good yet"},
		"iat is text":                  {map[string]any{"iat": "now"}, oidc.ErrRefused, "malformed"},
		"no iat":                       {map[string]any{"iat": nil}, nil, ""},
		"a day":                        {map[string]any{"exp": at(oidc.MaxLifetime)}, nil, ""},
		"more than a day":              {map[string]any{"exp": at(oidc.MaxLifetime + time.Second)}, oidc.ErrTooLong, "24 hours"},
		"more than a day, begun":       {map[string]any{"iat": at(-23 * time.Hour), "exp": at(2 * time.Hour)}, oidc.ErrTooLong, "24 hours"},
		"more than a day and no iat":   {map[string]any{"iat": nil, "exp": at(25 * time.Hour)}, oidc.ErrTooLong, "24 hours"},
		"no sub":                       {map[string]any{"sub": nil}, oidc.ErrRefused, "sub"},
		"a long sub":                   {map[string]any{"sub": strings.Repeat("x", oidc.MaxSubject+1)}, oidc.ErrRefused, "sub"},
		"a sub of two lines":           {map[string]any{"sub": "ana\n{\"level\":"}, oidc.ErrRefused, "sub"},
	} {
		_, err := r.verify(t, r.with(t, c.others))
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v with %q", what, err, c.want, c.says)
		}
	}
}

func TestUnknownKeysLeadToOneQuestionAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stranger := oidctest.NewKey(t, "", "EdDSA")
	r.check(t, "a good one", r.with(t, nil), nil)
	storm := func() {
		var over sync.WaitGroup
		for i := range 20 {
			over.Go(func() {
				for n := range 50 {
					r.check(t, "unknown", stranger.Sign(t, r.Claims(start, nil), map[string]any{"kid": fmt.Sprint("k", i, n)}), oidc.ErrInvalid)
				}
			})
		}
		over.Wait()
	}
	storm()
	if n := r.Asked.Load(); n != 1 {
		t.Errorf("asked %d times in the first minute, want once", n)
	}
	r.clock.Advance(time.Minute)
	storm()
	if n := r.Asked.Load(); n != 2 {
		t.Errorf("asked %d times in two minutes, want twice", n)
	}
	r.check(t, "a good one", r.with(t, nil), nil)
}

func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	first, second := oidctest.NewKey(t, "first", "ES256"), oidctest.NewKey(t, "second", "RS256")
	r := newRig(t, first)
	old, err := r.verify(t, r.with(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Rotate(second, first) // both, for the overlap
	early := r.with(t, nil)
	r.check(t, "a new key within the minute", early, oidc.ErrInvalid)
	r.clock.Advance(time.Minute)
	r.check(t, "a new key after the minute", early, nil)
	text := first.Sign(t, r.Claims(start, nil), nil)
	if old.Standing.Holds() {
		t.Error("the keys are others, so a token is to be verified again")
	}
	now, err := r.verify(t, text)
	if err != nil || !now.Standing.Holds() {
		t.Fatalf("the old key in the overlap: %v", err)
	}

	r.Rotate(second) // the provider takes the first back
	if !now.Standing.Holds() {
		t.Error("nobody knows yet that the key was taken back")
	}
	r.clock.Advance(10 * time.Minute)
	asked := make(chan struct{})
	r.Serve(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/keys" {
			close(asked)
		}
		return false
	})
	now.Standing.Holds() // has the provider asked in the background
	<-asked
	r.check(t, "the key that was taken back", text, oidc.ErrInvalid)
	if now.Standing.Holds() {
		t.Error("a token of a key that was taken back holds")
	}
}

func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text := r.with(t, map[string]any{"exp": start.Add(23 * time.Hour).Unix()})
	r.Down.Store(true)
	r.check(t, "never seen", text, oidc.ErrUnavailable)
	r.Down.Store(false)
	r.check(t, "never seen, and just asked", text, oidc.ErrUnavailable)
	r.clock.Advance(5 * time.Second)
	r.check(t, "back after five seconds", text, nil)
	got, err := r.verify(t, text)
	if err != nil {
		t.Fatal(err)
	}

	r.Down.Store(true)
	for range 20 { // hours
		r.clock.Advance(time.Hour)
		r.check(t, "away, with a key that is known", text, nil)
		if !got.Standing.Holds() {
			t.Fatal("a token that was verified is to be verified again while the provider is away")
		}
	}
	r.check(t, "away, with a key that is not", oidctest.NewKey(t, "new", "EdDSA").Sign(t, r.Claims(r.clock.Now(), nil), nil), oidc.ErrInvalid)
	r.clock.Advance(4 * time.Hour)
	if got.Standing.Holds() {
		t.Error("the keys are a day old, and still count")
	}
	late := r.with(t, nil)
	r.check(t, "away for a day", late, oidc.ErrUnavailable)
	r.Down.Store(false)
	r.clock.Advance(time.Minute)
	r.check(t, "back", late, nil)
	if log := r.log.String(); !strings.Contains(log, r.Issuer) || !strings.Contains(log, "503") {
		t.Errorf("the log does not say what is wrong: %s", log)
	}
}

func TestWhatAProviderAnswersIsBounded(t *testing.T) {
	t.Parallel()
	stranger := oidctest.Start(t)
	for what, serve := range map[string]func(r *rig, w http.ResponseWriter, path string) bool{
		"a large document": func(_ *rig, w http.ResponseWriter, _ string) bool {
			for range 11 {
				_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
			}
			return true
		},
		"large keys": func(_ *rig, w http.ResponseWriter, path string) bool {
			if path == "/keys" {
				_, _ = w.Write(append(bytes.Repeat([]byte(" "), 300<<10), `{"keys":[]}`...))
			}
			return path == "/keys"
		},
		"a redirect": func(_ *rig, w http.ResponseWriter, path string) bool {
			w.Header().Set("Location", stranger.Issuer+path)
			w.WriteHeader(http.StatusFound)
			return true
		},
		"another issuer's document": func(_ *rig, w http.ResponseWriter, path string) bool {
			if path != "/keys" {
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": stranger.Issuer, "jwks_uri": stranger.Issuer + "/keys"})
			}
			return path != "/keys"
		},
		"keys at a private address": func(r *rig, w http.ResponseWriter, path string) bool {
			if path != "/keys" {
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": r.Issuer, "jwks_uri": "http://169.254.169.254/keys"})
			}
			return path != "/keys"
		},
		"keys in a file": func(r *rig, w http.ResponseWriter, path string) bool {
			if path != "/keys" {
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": r.Issuer, "jwks_uri": "file:///etc/passwd"})
			}
			return path != "/keys"
		},
		"HTML": func(_ *rig, w http.ResponseWriter, _ string) bool {
			_, _ = w.Write([]byte("<html>"))
			return true
		},
		"no keys": func(_ *rig, w http.ResponseWriter, path string) bool {
			if path == "/keys" {
				_, _ = w.Write([]byte(`{"keys":[]}`))
			}
			return path == "/keys"
		},
		"many keys": func(_ *rig, w http.ResponseWriter, path string) bool {
			if path == "/keys" {
				_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, 100) + `{"kty":"RSA"}]}`))
			}
			return path == "/keys"
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.Serve(func(w http.ResponseWriter, req *http.Request) bool { return serve(r, w, req.URL.Path) })
			r.check(t, "at first", r.with(t, nil), oidc.ErrUnavailable)
			if !strings.Contains(r.log.String(), r.Issuer) {
				t.Error("the log does not name the provider")
			}
			r.Serve(nil)
			r.clock.Advance(time.Minute)
			r.check(t, "when it answers as it should", r.with(t, nil), nil)
		})
	}
}

func TestKeysThatAreNoneArePassedOver(t *testing.T) {
	t.Parallel()
	good := oidctest.NewKey(t, "good", "RS256")
	r := newRig(t, good)
	change := func(id string, change func(map[string]string)) map[string]string {
		j := good.JWK()
		j["kid"] = id
		change(j)
		return j
	}
	ec, ed := oidctest.NewKey(t, "ec", "ES256").JWK(), oidctest.NewKey(t, "ed", "EdDSA").JWK()
	ec["y"] = ec["x"] // not on the curve
	ed["x"] = ed["x"][:20]
	bad := []map[string]string{
		change("enc", func(j map[string]string) { j["use"] = "enc" }),
		change("hmac", func(j map[string]string) { j["alg"] = "HS256" }),
		change("none", func(j map[string]string) { j["alg"] = "none" }),
		change("es", func(j map[string]string) { j["alg"] = "ES256" }),
		change("short", func(j map[string]string) { j["n"] = j["n"][:100] }),
		change("long", func(j map[string]string) { j["n"] = strings.Repeat(j["n"], 5) }),
		change("one", func(j map[string]string) { j["e"] = "AQ" }),
		change("even", func(j map[string]string) { j["e"] = "BA" }),
		change("oct", func(j map[string]string) { j["kty"], j["k"] = "oct", j["n"] }),
		change("", func(map[string]string) {}),
		ec, ed, {"kid": "k1", "kty": "EC", "crv": "secp256k1", "x": ec["x"], "y": ec["x"]}, {"kid": "empty"},
	}
	r.Serve(func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": append(bad, good.JWK())})
		}
		return req.URL.Path == "/keys"
	})
	r.check(t, "the good one", r.with(t, nil), nil)
	for _, j := range bad {
		r.check(t, fmt.Sprint("key ", j["kid"]), good.Sign(t, r.Claims(start, nil), map[string]any{"kid": j["kid"]}), oidc.ErrInvalid)
	}
}

func TestWhoGivesUpDoesNotEndTheQuestion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	begun, gate := make(chan struct{}), make(chan struct{})
	r.Serve(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path == "/keys" {
			close(begun)
			<-gate
		}
		return false
	})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error)
	text := r.with(t, nil)
	go func() {
		_, err := r.verifier.Verify(ctx, text, start)
		gone <- err
	}()
	<-begun
	giveUp()
	if err := <-gone; !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("who gave up got %v", err)
	}
	close(gate)
	r.check(t, "who comes after", text, nil)
	if n := r.Asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func FuzzVerify(f *testing.F) {
	p := oidctest.Start(f)
	v := oidc.New(oidc.Config{Issuers: []string{p.Issuer}, Audience: oidctest.Audience, Egress: p.Egress(f), Clock: clock.NewFake(start)})
	good := p.Token(f, p.Claims(start, nil))
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.Verify(t.Context(), text, start); err == nil && text != good {
			t.Errorf("%q verifies", text)
		}
		_ = v.Knows(text)
	})
}
