package handlers_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// token gets an access token, with the tenant's key if headers name no other.
func (h *apiTest) token(body string, headers ...string) handlers.AccessToken {
	h.Helper()
	var t handlers.AccessToken
	h.json("POST", "/v1/tokens", body, headers...).is(201).into(&t)
	return t
}

// confused returns a token with the claims of another one that is signed with HMAC, as if the public key were a secret.
func (h *apiTest) confused(claims string) string {
	h.Helper()
	keys, err := h.api.Auth.PublishedKeys(h.Context())
	h.must(err)
	last := keys[len(keys)-1]
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"`+last.ID+`","typ":"at+jwt"}`)) + "." + claims
	sum, err := jwt.SigningMethodHS256.Sign(text, []byte(last.Public))
	h.must(err)
	return text + "." + base64.RawURLEncoding.EncodeToString(sum)
}

func TestAnAccessTokenDoesWhatItIsFor(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	orders, mail := h.queue(""), h.queue("")
	got := h.token(`{"scopes":["messages:send"],"queues":["` + queueName(orders) + `"],"expires_in":"5m"}`)
	want := handlers.AccessToken{ID: got.ID, AccessToken: got.AccessToken, TokenType: "Bearer", ExpiresIn: 300, ExpiresAt: *instant(5 * time.Minute),
		KeyID: got.KeyID, Scopes: []string{"messages:send"}, Queues: []string{queueName(orders)}}
	diff(t, "the token", want, got)
	bearer := as(got.AccessToken)
	text := append(bearer, "Content-Type", "text/plain")
	h.do("POST", orders+"/messages", "x", text...).is(201)
	h.do("POST", orders+"/messages", "x", "Content-Type", "text/plain", "Authorization", "Basic "+basic(got.AccessToken, "")).is(201)
	h.do("POST", mail+"/messages", "x", text...).problem(404, "queue_not_found")
	h.do("POST", orders+"/receive", "", bearer...).problem(403, "permission_denied")
	h.wantCounts(orders, [3]int64{2, 0, 0})
	h.wantCounts(mail, [3]int64{0, 0, 0})

	var who, key handlers.Caller
	h.do("GET", "/v1/whoami", "", bearer...).is(200).into(&who)
	h.do("GET", "/v1/whoami", "").is(200).into(&key)
	diff(t, "the key's token", (*handlers.CallerToken)(nil), key.Token)
	diff(t, "the token of whoami", &handlers.CallerToken{ID: got.ID}, who.Token)
	diff(t, "the key of whoami", handlers.CallerKey{ID: key.Key.ID, Kind: "tenant", Scopes: []string{"messages:send"}, Allowed: []string{"messages:send"},
		Queues: []string{queueName(orders)}, ExpiresAt: instant(5 * time.Minute)}, who.Key)
	diff(t, "the tenant of whoami", key.Tenant, who.Tenant)

	h.clock.Advance(5 * time.Minute)
	p := h.do("POST", orders+"/messages", "x", text...).problem(401, "token_expired")
	if !strings.Contains(p.Fix, "/v1/tokens") {
		t.Errorf("the advice is %q", p.Fix)
	}
}

func TestAnAccessTokenIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	limited := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"messages:*"}, Queues: []string{"a*"}})
	for _, c := range []struct {
		body, code, pointer string
		status              int
	}{
		{`{"expires_in":59}`, "validation_failed", "/expires_in", 422},
		{`{"expires_in":3601}`, "validation_failed", "/expires_in", 422},
		{`{"expires_in":"1d"}`, "validation_failed", "/expires_in", 422},
		{`{"expires_in":-1}`, "validation_failed", "/expires_in", 422},
		{`{"scopes":[]}`, "validation_failed", "/scopes", 422},
		{`{"scopes":["everything"]}`, "validation_failed", "/scopes/0", 422},
		{`{"lifetime":900}`, "unknown_field", "/lifetime", 422},
		{`{"scopes":["queues:read"]}`, "permission_denied", "/scopes/0", 403},
		{`{"queues":["b"]}`, "permission_denied", "/queues/0", 403},
	} {
		p := h.do("POST", "/v1/tokens", c.body, limited...).problem(c.status, c.code)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer {
			t.Errorf("%s: points at %+v, want %s", c.body, p.Errors, c.pointer)
		}
	}
	h.json("POST", "/v1/tokens", `{}`, append(limited, "Tenant", "nobody")...).problem(404, "tenant_not_found")
}

// What others need to verify a token is published, and enough.
func TestOthersCanVerifyAnAccessToken(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	got := h.token(`{}`)
	var set handlers.KeySet
	a := h.do("GET", "/.well-known/jwks.json", "", "Authorization", "").is(200)
	a.into(&set)
	diff(t, "Cache-Control", "public, max-age=300", a.header.Get("Cache-Control"))
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(got.AccessToken, claims, func(j *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k.ID == j.Header["kid"] {
				x, err := base64.RawURLEncoding.DecodeString(k.X)
				return ed25519.PublicKey(x), err
			}
		}
		t.Fatalf("%v is not among %+v", j.Header["kid"], set)
		return nil, nil
	}, jwt.WithTimeFunc(h.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "scope", any("*"), claims["scope"])
	diff(t, "sub", any(got.KeyID), claims["sub"])
	diff(t, "tenant", any(h.tenant.ID.String()), claims["tenant"])
	diff(t, "aud", any([]any{claims["iss"]}), claims["aud"])
}

func TestG20_AStreamEndsWithItsAccessToken(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	token := h.token(`{"scopes":["messages:consume"],"expires_in":60}`)
	stream := h.stream("POST", path+"/consume", as(token.AccessToken)...)
	until(t, "the stream waits", func() bool { return h.queues.Waiting() == 1 })
	reason := make(chan string, 1)
	go func() { reason <- stream.ends() }()
	until(t, "the stream ends", func() bool {
		h.clock.Advance(time.Second)
		return len(reason) > 0
	})
	diff(t, "the reason", "token_expired", <-reason)
	if after := h.clock.Now().Sub(start); after < time.Minute {
		t.Errorf("the stream ended %s after the token was made, which holds for a minute", after)
	}
}
