package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
)

// door is a rig where people sign in.
type door struct {
	*rig
	trip oidc.Trip
}

func newDoor(t *testing.T, keys ...oidctest.Key) *door {
	t.Helper()
	d := &door{rig: newRig(t, keys...), trip: oidc.Trip{RedirectURI: "https://queues.example/v1/session/oidc/callback", State: "of-this-browser", Nonce: "of-this-trip",
		Proof: strings.Repeat("p", 43)}}
	d.opens(t, oidctest.ClientSecret)
	d.says(nil)
	return d
}

// opens has people sign in with a client that has this secret.
func (d *door) opens(t *testing.T, secret string) {
	d.verifier = oidc.New(oidc.Config{Issuers: []string{d.Issuer}, Audience: oidctest.Audience, Egress: d.Egress(t), Clock: d.clock, Scopes: "openid profile",
		Clients: []oidc.Client{{Issuer: d.Issuer, ID: oidctest.ClientID, Secret: secret}}})
}

// says has the provider let in ana, with other claims than the usual.
func (d *door) says(others map[string]any) {
	d.LetIn(func() jwt.MapClaims { return d.Claims(d.clock.Now(), others) })
}

// enter goes to the provider and comes back.
func (d *door) enter(t *testing.T, change func(*oidc.Trip, *oidc.Answer)) (*oidc.Token, error) {
	t.Helper()
	address, err := d.verifier.Departure(t.Context(), d.Issuer, d.trip)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(d.Visit(t, address))
	if err != nil {
		t.Fatal(err)
	}
	q, trip := back.Query(), d.trip
	answer := oidc.Answer{Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error")}
	if change != nil {
		change(&trip, &answer)
	}
	return d.verifier.Arrival(t.Context(), d.Issuer, trip, answer, d.clock.Now())
}

func TestSomebodySignsIn(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.says(map[string]any{"name": "Ana"})
	address, err := d.verifier.Departure(t.Context(), d.Issuer, d.trip)
	if err != nil || strings.Contains(address, d.trip.Proof) || strings.Contains(address, url.QueryEscape(oidctest.ClientSecret)) {
		t.Errorf("the address %s, %v", address, err)
	}
	got, err := d.enter(t, nil)
	if err != nil || got.Issuer != d.Issuer || got.Subject != "ana" || got.Text("name") != "Ana" {
		t.Fatalf("who arrives is %+v, %v", got, err)
	}
	d.says(map[string]any{"aud": []string{oidctest.ClientID, "other"}, "azp": oidctest.ClientID})
	if _, err := d.enter(t, nil); err != nil {
		t.Errorf("with an audience more: %v", err)
	}
	d.Public()
	d.opens(t, "")
	if _, err := d.enter(t, nil); err != nil {
		t.Errorf("without a secret: %v", err)
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		claims map[string]any
		change func(*oidc.Trip, *oidc.Answer)
		want   error
	}{
		"a code of nobody":             {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Code = "x" }, oidc.ErrSignInRefused},
		"no code":                      {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Code = "" }, oidc.ErrSignInRefused},
		"a long code":                  {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Code = strings.Repeat("x", 5000) }, oidc.ErrSignInRefused},
		"another proof":                {nil, func(t *oidc.Trip, _ *oidc.Answer) { t.Proof = strings.Repeat("q", 43) }, oidc.ErrSignInRefused},
		"another address":              {nil, func(t *oidc.Trip, _ *oidc.Answer) { t.RedirectURI = "https://evil.example" }, oidc.ErrSignInRefused},
		"an error":                     {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Error = "login_required" }, oidc.ErrSignInRefused},
		"an error of the moment":       {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Error = "temporarily_unavailable" }, oidc.ErrUnavailable},
		"an answer of another issuer":  {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Issuer = "https://evil.example" }, oidc.ErrSignInRefused},
		"an answer without its issuer": {nil, func(_ *oidc.Trip, a *oidc.Answer) { a.Issuer = "" }, oidc.ErrSignInRefused},
		"another nonce":                {map[string]any{"nonce": "of-another"}, nil, oidc.ErrRefused},
		"a nonce that is a number":     {map[string]any{"nonce": 7}, nil, oidc.ErrRefused},
		"another audience":             {map[string]any{"aud": "other"}, nil, oidc.ErrRefused},
		"the audience of the API":      {map[string]any{"aud": []string{oidctest.Audience}}, nil, oidc.ErrRefused},
		"two audiences and no azp":     {map[string]any{"aud": []string{oidctest.ClientID, "other"}}, nil, oidc.ErrRefused},
		"another azp":                  {map[string]any{"azp": "other"}, nil, oidc.ErrRefused},
		"an azp that is a list":        {map[string]any{"azp": []string{oidctest.ClientID}}, nil, oidc.ErrRefused},
		"another issuer":               {map[string]any{"iss": "https://evil.example"}, nil, oidc.ErrInvalid},
		"a token that has expired":     {map[string]any{"iat": start.Add(-time.Hour).Unix(), "exp": start.Unix()}, nil, oidc.ErrExpired},
		"a token that is not good yet": {map[string]any{"nbf": start.Add(time.Hour).Unix()}, nil, oidc.ErrRefused},
		"no subject":                   {map[string]any{"sub": ""}, nil, oidc.ErrRefused},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.says(c.claims)
			if _, err := d.enter(t, c.change); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			d.says(nil)
			if _, err := d.enter(t, nil); err != nil {
				t.Errorf("who comes after: %v", err)
			}
		})
	}
}

func TestACodeIsTakenOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	var answer oidc.Answer
	if _, err := d.enter(t, func(_ *oidc.Trip, a *oidc.Answer) { answer = *a }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.verifier.Arrival(t.Context(), d.Issuer, d.trip, answer, d.clock.Now()); !errors.Is(err, oidc.ErrSignInRefused) {
		t.Errorf("the same code again: %v", err)
	}
}

// A token of one provider that we trust is none of another, although both call their clients the same.
func TestTwoProvidersAreNotTakenForEachOther(t *testing.T) {
	t.Parallel()
	d, other := newDoor(t), oidctest.StartPlain(t)
	d.verifier = oidc.New(oidc.Config{Issuers: []string{d.Issuer, other.Issuer}, Audience: oidctest.Audience, Egress: d.Egress(t), Clock: d.clock, Scopes: "openid",
		Clients: []oidc.Client{{Issuer: d.Issuer, ID: oidctest.ClientID, Secret: oidctest.ClientSecret}}})
	d.Serve(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			c := other.Claims(start, map[string]any{"aud": oidctest.ClientID, "nonce": d.trip.Nonce})
			_, _ = w.Write([]byte(`{"id_token":"` + other.Token(t, c) + `"}`))
		}
		return r.URL.Path == "/token"
	})
	if _, err := d.enter(t, nil); !errors.Is(err, oidc.ErrInvalid) {
		t.Errorf("with a token of the other one: %v", err)
	}
	if _, err := d.verifier.Departure(t.Context(), other.Issuer, d.trip); !errors.Is(err, oidc.ErrSignInRefused) {
		t.Errorf("to the other one, which has no client: %v", err)
	}
}

func TestAProviderThatDoesNotAnswerAsItShouldLetsNobodyIn(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}
			return r.URL.Path == "/token"
		}
	}
	for what, c := range map[string]struct {
		serve func(http.ResponseWriter, *http.Request) bool
		want  error
	}{
		"503":             {answer(503, "away"), oidc.ErrUnavailable},
		"429":             {answer(429, `{"error":"slow_down"}`), oidc.ErrUnavailable},
		"a redirect":      {answer(302, ""), oidc.ErrSignInRefused},
		"no JSON":         {answer(200, "<html>"), oidc.ErrSignInRefused},
		"no token":        {answer(200, `{"access_token":"x"}`), oidc.ErrSignInRefused},
		"a list":          {answer(200, `{"id_token":["x"]}`), oidc.ErrSignInRefused},
		"a word":          {answer(200, `{"id_token":"x"}`), oidc.ErrInvalid},
		"too much":        {answer(200, `{"id_token":"`+strings.Repeat("x", 65<<10)+`"}`), oidc.ErrUnavailable},
		"a hung up phone": {func(_ http.ResponseWriter, r *http.Request) bool { return r.URL.Path == "/token" && hangUp() }, oidc.ErrUnavailable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.Serve(c.serve)
			if _, err := d.enter(t, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func hangUp() bool { panic(http.ErrAbortHandler) }

func TestWhereSomebodySignsInMustBeAnAddress(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "javascript:alert(1)", "/authorize", "ftp://x.example", "https://user@x.example", "http://x.example/", "https:///x"} {
		d := newDoor(t)
		d.Serve(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/.well-known/openid-configuration" {
				_, _ = w.Write([]byte(`{"issuer":"` + d.Issuer + `","jwks_uri":"` + d.Issuer + `/keys","authorization_endpoint":"` + endpoint + `"}`))
			}
			return r.URL.Path == "/.well-known/openid-configuration"
		})
		if address, err := d.verifier.Departure(t.Context(), d.Issuer, d.trip); !errors.Is(err, oidc.ErrUnavailable) {
			t.Errorf("%q: %s, %v", endpoint, address, err)
		}
		if _, err := d.verify(t, d.with(t, nil)); err != nil {
			t.Errorf("%q: its tokens do not verify: %v", endpoint, err)
		}
	}
}

// A provider that is slow is waited for by so many, and no more.
func TestNotEverybodyWaitsForASlowProvider(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const most = 32
	asked, gate := make(chan struct{}, most), make(chan struct{})
	d.Serve(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			asked <- struct{}{}
			<-gate
		}
		return false
	})
	over := make(chan error, most)
	for range most {
		go func() {
			_, err := d.verifier.Arrival(t.Context(), d.Issuer, d.trip, oidc.Answer{Code: "x", Issuer: d.Issuer}, start)
			over <- err
		}()
	}
	for range most {
		<-asked
	}
	if _, err := d.enter(t, nil); !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("one more: %v", err)
	}
	close(gate)
	for range most {
		if err := <-over; !errors.Is(err, oidc.ErrSignInRefused) {
			t.Errorf("one of those who waited: %v", err)
		}
	}
	d.Serve(nil)
	if _, err := d.enter(t, nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
