package auth_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
)

// newToken makes a token with a key.
func (w *world) newToken(tb testing.TB, key string, n auth.NewToken) auth.Token {
	tb.Helper()
	t, err := w.tryToken(tb, key, n)
	if err != nil {
		tb.Fatalf("make a token: %v", err)
	}
	return t
}

func (w *world) tryToken(tb testing.TB, key string, n auth.NewToken) (auth.Token, error) {
	tb.Helper()
	p, err := w.auth.Authenticate(tb.Context(), key, home)
	if err != nil {
		tb.Fatalf("the key of a token: %v", err)
	}
	n.By = p
	return w.auth.IssueToken(tb.Context(), n)
}

func TestATokenSpeaksForItsKeyOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made := w.newKey(t)
		token := w.newToken(t, made.Secret.Reveal(), auth.NewToken{Scopes: []string{"messages:send"}, Queues: []string{"orders-*"},
			AllowedIPs: []string{home}, Lifetime: time.Hour})
		begin := start.Truncate(time.Second)
		want := auth.Token{ID: token.ID, Secret: token.Secret, KeyID: made.ID, Scopes: []string{"messages:send"}, Queues: []string{"orders-*"},
			AllowedIPs: []string{home}, IssuedAt: begin, ExpiresAt: begin.Add(time.Hour)}
		if diff := cmp.Diff(want, token); diff != "" {
			t.Errorf("token (-want +got):\n%s", diff)
		}
		other := w.another()
		w.clock.Advance(time.Second)
		for range 2 { // the second time from memory
			p, err := other.auth.Authenticate(t.Context(), token.Secret.Reveal(), home)
			if err != nil {
				t.Fatal(err)
			}
			if p.KeyID != made.ID || p.TokenID != token.ID || p.Tenant != w.tenant.ID || p.TenantName != w.tenant.Name || p.Kind != auth.KindTenant {
				t.Errorf("principal %+v, want that of key %s with token %s", p, made.ID, token.ID)
			}
			if diff := cmp.Diff([]string{"messages:send"}, p.Grants.Allowed().Names()); diff != "" || !p.Grants.Reaches("orders-1") || p.Grants.Reaches("mail") {
				t.Errorf("the token may more than it should, or less (-want +got):\n%s", diff)
			}
		}
		if _, err := other.auth.Authenticate(t.Context(), token.Secret.Reveal(), "192.0.2.2"); !errors.Is(err, auth.ErrAddressNotAllowed) {
			t.Errorf("from another address: %v, want %v", err, auth.ErrAddressNotAllowed)
		}
		other.auth.NoteUses(t.Context())
		if k, err := w.Get(t.Context(), w.tenant.ID, made.ID); err != nil || k.LastUsedAt.IsZero() {
			t.Errorf("the use of a token is no use of its key: %v, %v", k.LastUsedAt, err)
		}
	})
}

func TestAnOperatorsTokenIsAnOperators(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Name: "ops"})
		if err != nil {
			t.Fatal(err)
		}
		token := w.newToken(t, made.Secret.Reveal(), auth.NewToken{Scopes: []string{"tenants:read"}})
		p, err := w.another().auth.Authenticate(t.Context(), token.Secret.Reveal(), home)
		if err != nil || p.Kind != auth.KindOperator || !p.Tenant.IsZero() || !p.Grants.May(auth.MustScope("tenants:read")) || p.Grants.May(auth.MustScope("tenants:write")) {
			t.Errorf("principal %+v, %v", p, err)
		}
		if err := w.RevokeOperatorKey(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "the key is revoked", token.Secret.Reveal(), auth.ErrUnauthenticated)
	})
}

func TestATokenGivesNoMoreThanItsMakerHas(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Scopes: []string{"messages:*"}, Queues: []string{"a", "b*"},
		AllowedIPs: []string{"192.0.2.0/24"}, ExpiresAt: start.Add(10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	key := made.Secret.Reveal()
	whole := w.newToken(t, key, auth.NewToken{})
	if end := start.Add(10 * time.Minute).Truncate(time.Second); !whole.ExpiresAt.Equal(end) {
		t.Errorf("ends %v, want with its key %v", whole.ExpiresAt, end)
	}
	narrow := w.newToken(t, key, auth.NewToken{Queues: []string{"b1"}, Lifetime: 2 * time.Minute})
	for _, c := range []struct {
		what string
		by   auth.Secret
		ask  auth.NewToken
		want error
		at   string
	}{
		{"a scope", made.Secret, auth.NewToken{Scopes: []string{"queues:read"}}, auth.ErrPermissionDenied, "/scopes/0"},
		{"a scope of operators", made.Secret, auth.NewToken{Scopes: []string{"tenants:read"}}, nil, "/scopes/0"},
		{"no scope", made.Secret, auth.NewToken{Scopes: []string{"nonsense"}}, nil, "/scopes/0"},
		{"a queue", made.Secret, auth.NewToken{Queues: []string{"b1", "c"}}, auth.ErrPermissionDenied, "/queues/1"},
		{"an address", made.Secret, auth.NewToken{AllowedIPs: []string{"198.51.100.1"}}, auth.ErrPermissionDenied, "/allowed_ips/0"},
		{"a longer life", made.Secret, auth.NewToken{Lifetime: 11 * time.Minute}, auth.ErrPermissionDenied, "/expires_in"},
		{"too short a life", made.Secret, auth.NewToken{Lifetime: time.Minute - 1}, nil, "/expires_in"},
		{"too long a life", made.Secret, auth.NewToken{Lifetime: time.Hour + 1}, nil, "/expires_in"},
		{"what the narrower token lacks", narrow.Secret, auth.NewToken{Queues: []string{"a"}}, auth.ErrPermissionDenied, "/queues/0"},
		{"a longer life than that one's", narrow.Secret, auth.NewToken{Lifetime: 3 * time.Minute}, auth.ErrPermissionDenied, "/expires_in"},
	} {
		_, err := w.tryToken(t, c.by.Reveal(), c.ask)
		var e *errs.Error
		if !errors.As(err, &e) || c.want != nil && !errors.Is(err, c.want) || len(e.Fields) != 1 || e.Fields[0].Pointer != c.at {
			t.Errorf("%s: %v, want a refusal at %s", c.what, err, c.at)
		}
	}
	// A token of a token is one of the key, and no key that a token makes outlives it.
	inner := w.newToken(t, narrow.Secret.Reveal(), auth.NewToken{})
	if inner.KeyID != made.ID || !inner.ExpiresAt.Equal(narrow.ExpiresAt) {
		t.Errorf("a token of a token %+v, want one of key %s until %v", inner, made.ID, narrow.ExpiresAt)
	}
	p, err := w.auth.Authenticate(t.Context(), whole.Secret.Reveal(), home)
	if err != nil {
		t.Fatal(err)
	}
	child, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{By: &p})
	if err != nil || !child.ExpiresAt.Equal(whole.ExpiresAt) {
		t.Errorf("a key of a token ends %v, %v; want with it %v", child.ExpiresAt, err, whole.ExpiresAt)
	}
}

func TestATokenThatSaysTooMuchIsNotMade(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	var queues []string
	for i := range auth.MaxQueuePatterns {
		queues = append(queues, fmt.Sprintf("%080d", i))
	}
	_, err := w.tryToken(t, w.newKey(t).Secret.Reveal(), auth.NewToken{Queues: queues})
	var e *errs.Error
	if !errors.As(err, &e) || e.Code != "token_too_long" {
		t.Errorf("%d long names: %v, want token_too_long", len(queues), err)
	}
}

func TestG20_ATokenEndsWithItsKeyWithinFiveSecondsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made := w.newKey(t)
		token, other := w.newToken(t, made.Secret.Reveal(), auth.NewToken{}).Secret.Reveal(), w.another()
		w.checkAuth(t, "before", token, nil)
		other.checkAuth(t, "before, elsewhere", token, nil)
		if err := w.Revoke(t.Context(), w.tenant.ID, made.ID); err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "at once where it was revoked", token, auth.ErrUnauthenticated)
		w.clock.Advance(4 * time.Second)
		other.checkAuth(t, "elsewhere, without anybody having said so", token, auth.ErrUnauthenticated)
		w.another().checkAuth(t, "on a server that never saw it", token, auth.ErrUnauthenticated)

		rotated := w.newKey(t)
		token = w.newToken(t, rotated.Secret.Reveal(), auth.NewToken{}).Secret.Reveal()
		if _, err := w.Rotate(t.Context(), w.tenant.ID, rotated.ID, auth.Rotation{Grace: time.Minute}); err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "within the grace of its key", token, nil)
		w.clock.Advance(time.Minute)
		w.checkAuth(t, "after the grace of its key", token, auth.ErrKeyExpired)
	})
}

func TestG20_ATokenStopsWhenItExpires(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		token := w.newToken(t, w.newKey(t).Secret.Reveal(), auth.NewToken{Lifetime: time.Minute})
		w.clock.Set(token.ExpiresAt.Add(-time.Millisecond))
		w.checkAuth(t, "a moment before", token.Secret.Reveal(), nil)
		w.clock.Set(token.ExpiresAt)
		w.checkAuth(t, "at its end", token.Secret.Reveal(), auth.ErrTokenExpired)
		w.another().checkAuth(t, "at its end, on a server that never saw it", token.Secret.Reveal(), auth.ErrTokenExpired)
		w.clock.Advance(time.Hour)
		w.another().checkAuth(t, "an hour later", token.Secret.Reveal(), auth.ErrTokenExpired)
	})
}

// Nothing is learnt from a refusal, and what cannot have been made here costs no look for a key.
func TestATokenThatIsNotAsItShouldBeIsRefused(t *testing.T) {
	t.Parallel()
	w, stranger := newWorld(t, engine.Options{URL: redistest.URL(t)}), newMemoryWorld(t)
	good := w.newToken(t, w.newKey(t).Secret.Reveal(), auth.NewToken{}).Secret.Reveal()
	foreign := stranger.newToken(t, stranger.newKey(t).Secret.Reveal(), auth.NewToken{}).Secret.Reveal()
	claim := func(name string, value any) string {
		return w.auth.Forge(t.Context(), good, func(_ map[string]any, c jwt.MapClaims) {
			if value == nil {
				delete(c, name)
			} else {
				c[name] = value
			}
		}, nil)
	}
	header := func(name string, value any) string {
		return w.auth.Forge(t.Context(), good, func(h map[string]any, _ jwt.MapClaims) { h[name] = value }, nil)
	}
	none := func(alg string) string {
		parts := strings.Split(good, ".")
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","typ":"at+jwt"}`))
		return head + "." + parts[1] + "."
	}
	signed := func(sign func(now ed25519.PrivateKey) (jwt.SigningMethod, crypto.PrivateKey)) string {
		return w.auth.Forge(t.Context(), good, nil, sign)
	}
	_, wrong, _ := ed25519.GenerateKey(nil)
	issuer, now := w.auth.Issuer(), float64(start.Unix())
	parts := strings.Split(good, ".")
	w.checkAuth(t, "as it was made", good, nil)
	w.checkAuth(t, "signed anew", claim("jti", "tok_x"), nil)
	w.checkAuth(t, "for others too", claim("aud", []string{"others", issuer}), nil)
	for what, text := range map[string]string{
		"of another installation":   foreign,
		"alg none":                  none("none"),
		"alg None":                  none("None"),
		"alg nOnE with a signature": none("nOnE") + parts[2],
		"HS256 with the public key": signed(func(k ed25519.PrivateKey) (jwt.SigningMethod, crypto.PrivateKey) {
			return jwt.SigningMethodHS256, []byte(k.Public().(ed25519.PublicKey))
		}),
		"signed by another key":   signed(func(ed25519.PrivateKey) (jwt.SigningMethod, crypto.PrivateKey) { return jwt.SigningMethodEdDSA, wrong }),
		"its signature gone":      parts[0] + "." + parts[1] + ".",
		"its signature of others": parts[0] + "." + parts[1] + "." + strings.Split(foreign, ".")[2],
		"four parts":              good + ".x",
		"two parts":               parts[0] + "." + parts[1],
		"one part":                "eyJ",
		"many dots":               "eyJ" + strings.Repeat(".", 4000),
		"padding":                 parts[0] + "=." + parts[1] + "." + parts[2],
		"longer than any":         "eyJ" + strings.Repeat("A", auth.MaxToken),
		"kid unknown":             header("kid", "../../dev/null"),
		"kid long":                header("kid", strings.Repeat("k", 2000)),
		"kid a number":            header("kid", 1),
		"typ JWT":                 header("typ", "JWT"),
		"typ absent":              header("typ", nil),
		"crit":                    header("crit", []string{"exp"}),
		"exp absent":              claim("exp", nil),
		"exp a text":              claim("exp", "never"),
		"exp huge":                claim("exp", 1e308),
		"exp negative":            claim("exp", -1.0),
		"a day":                   claim("exp", now+86400),
		"nbf absent":              claim("nbf", nil),
		"nbf in the future":       claim("nbf", now+60),
		"iat absent":              claim("iat", nil),
		"iat in the future":       claim("iat", now+60),
		"iss absent":              claim("iss", nil),
		"iss another":             claim("iss", stranger.auth.Issuer()),
		"aud absent":              claim("aud", nil),
		"aud another":             claim("aud", "urn:sluice:other"),
		"sub absent":              claim("sub", nil),
		"sub of nobody":           claim("sub", "key_00000000000000000000"),
		"tenant absent":           claim("tenant", nil),
		"tenant of others":        claim("tenant", w.newTenant(t).ID.String()),
		"tenant a list":           claim("tenant", []string{w.tenant.ID.String()}),
		"tenant nonsense":         claim("tenant", "acme"),
		"an address that is none": claim("allowed_ips", []string{"home"}),
	} {
		_, err := w.auth.Authenticate(t.Context(), text, home)
		want := auth.ErrUnauthenticated
		if what == "exp negative" || what == "exp huge" { // which no number of seconds holds
			want = auth.ErrTokenExpired
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	// Headers that name a key are passed over.
	w.checkAuth(t, "jku and jwk", w.auth.Forge(t.Context(), good, func(h map[string]any, _ jwt.MapClaims) {
		h["jku"], h["jwk"], h["x5u"] = "https://192.0.2.9/jwks", map[string]any{"kty": "OKP"}, "https://192.0.2.9"
	}, nil), nil)
	// A scope that the key does not have means nothing.
	viewer, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Scopes: []string{"viewer"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.auth.Authenticate(t.Context(), claim("sub", viewer.ID), home) // whose scope is *
	if err != nil || p.Grants.May(auth.MustScope("messages:send")) {
		t.Errorf("a token has a scope that its key does not have: %v, %v", p.Grants, err)
	}
	before := w.calls()
	for i := range 1000 {
		w.checkAuth(t, "kid unknown", header("kid", fmt.Sprint(i)), auth.ErrUnauthenticated)
	}
	if asked := w.calls() - before; asked > 1 {
		t.Errorf("1,000 unknown keys within %s cost %d calls to Redis, want 1 at most", "two seconds", asked)
	}
}

// published returns the ids of the keys that a server publishes.
func (w *world) published(t *testing.T) []string {
	t.Helper()
	list, err := w.auth.PublishedKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(list))
	for i, k := range list {
		ids[i] = k.ID
	}
	return ids
}

// kid returns the id of the key that signs on this server.
func (w *world) kid(t *testing.T, key string) (kid, token string) {
	t.Helper()
	token = w.newToken(t, key, auth.NewToken{Lifetime: auth.MaxTokenLifetime}).Secret.Reveal()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string), token
}

func TestSigningKeysChangeEachDayAndNobodyNotices(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	two := w.another()
	key := w.newKey(t).Secret.Reveal()
	first, _ := w.kid(t, key)
	if diff := cmp.Diff([]string{first}, two.published(t)); diff != "" {
		t.Fatalf("keys at the start (-want +got):\n%s", diff)
	}
	// An hour ahead the next one is published, and not used yet. Who makes it does not matter, and it is made once.
	w.clock.Advance(23 * time.Hour)
	ids := two.published(t)
	if len(ids) != 2 || ids[0] != first {
		t.Fatalf("keys an hour before the change: %q, want %s and another one", ids, first)
	}
	if diff := cmp.Diff(ids, w.published(t)); diff != "" {
		t.Fatalf("two servers publish different keys (-want +got):\n%s", diff)
	}
	w.clock.Advance(59 * time.Minute)
	kid, last := w.kid(t, key)
	if kid != first {
		t.Errorf("the next key signs before its time")
	}
	w.clock.Advance(time.Minute)
	second, _ := w.kid(t, key)
	if second != ids[1] {
		t.Errorf("after a day %s signs, want %s", second, ids[1])
	}
	w.clock.Advance(58 * time.Minute)
	two.checkAuth(t, "signed by the key before", last, nil)
	if diff := cmp.Diff(ids, two.published(t)); diff != "" {
		t.Errorf("keys while something holds that the old one signed (-want +got):\n%s", diff)
	}
	w.clock.Advance(22*time.Hour + 2*time.Minute)
	if got := two.published(t); len(got) != 2 || got[0] != second {
		t.Errorf("keys a day later: %q, want %s and another one", got, second)
	}
	w.another().checkAuth(t, "signed by a key that is gone", last, auth.ErrUnauthenticated)
	// Nobody was there for a month.
	w.clock.Advance(30 * 24 * time.Hour)
	if got := w.published(t); len(got) > 3 {
		t.Errorf("%d keys after a month, want 3 at most", len(got))
	}
}

func TestG30_RedisHoldsNoSigningKeyThatOpensWithoutTheMasterKey(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	kid, token := w.kid(t, w.newKey(t).Secret.Reveal())
	name := engine.SystemKey("token-keys")
	all, err := w.redis.HGetAll(t.Context(), name).Result()
	if err != nil || len(all) != 1 || all[kid] == "" {
		t.Fatalf("keys in Redis %q, %v; want that of id %s", all, err, kid)
	}
	other := newMemoryWorld(t)
	if err := other.redis.HSet(t.Context(), name, kid, all[kid]).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.auth.PublishedKeys(t.Context()); !errors.Is(err, engine.ErrBroken) {
		t.Errorf("with another master key: %v, want %v", err, engine.ErrBroken)
	}
	// The seal holds the id: no key takes the place of another.
	if err := w.redis.HSet(t.Context(), name, "mine", all[kid]).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.another().auth.PublishedKeys(t.Context()); !errors.Is(err, engine.ErrBroken) {
		t.Errorf("under another id: %v, want %v", err, engine.ErrBroken)
	}
	_, err = w.another().auth.Authenticate(t.Context(), token, home)
	if !errors.Is(err, engine.ErrBroken) {
		t.Errorf("a token while the keys are damaged: %v, want %v", err, engine.ErrBroken)
	}
}

func TestNobodyIsLetInByATokenWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engine.Options{URL: redistest.URL(t)})
	key := w.newKey(t).Secret.Reveal()
	token := w.newToken(t, key, auth.NewToken{}).Secret.Reveal()
	w.checkAuth(t, "before", token, nil)
	w.net.cut()
	w.checkAuth(t, "what is known is fresh", token, nil)
	w.clock.Advance(4 * time.Second)
	w.checkAuth(t, "what is known is old", token, engine.ErrUnavailable)
	w.net.back()
	w.checkAuth(t, "afterwards", token, nil)
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.auth.SetMaxTokens(10)
	key := w.newKey(t).Secret.Reveal()
	for range 30 {
		w.checkAuth(t, "a token of many", w.newToken(t, key, auth.NewToken{}).Secret.Reveal(), nil)
	}
	if n := w.auth.Tokens(); n != 10 {
		t.Errorf("%d tokens are remembered, want 10", n)
	}
	w.clock.Advance(time.Minute)
	w.auth.Confirm(t.Context())
	if n := w.auth.Tokens(); n != 0 {
		t.Errorf("%d tokens are remembered a minute after their last use, want 0", n)
	}
}
