package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// MinTokenLifetime is the shortest time for which an access token can be had.
	MinTokenLifetime = time.Minute
	// MaxTokenLifetime is the longest.
	MaxTokenLifetime = time.Hour
	// DefaultTokenLifetime is how long one holds whose owner said nothing.
	DefaultTokenLifetime = 15 * time.Minute
	// MaxToken bounds an access token, in bytes. A longer text is refused unread.
	MaxToken = 4 << 10

	// tokenLeeway is by how much the clock of Redis may seem to differ between two servers. It makes no token hold longer.
	tokenLeeway = 10 * time.Second
	// tokenType is the typ of RFC 9068, so that no other kind of token is taken for an access token.
	tokenType = "at+jwt"
)

// ErrTokenExpired is a token that was good until its end.
var ErrTokenExpired = &errs.Error{Kind: errs.Unauthenticated, Code: "token_expired",
	Message: "The access token has expired.",
	Fix:     "Get another one: with POST /v1/tokens and the key that it came from, or from the identity provider."}

// errNoKey refuses tokens to whoever has no key, because a token ends with its key.
var errNoKey = &errs.Error{Kind: errs.Forbidden, Code: ErrPermissionDenied.Code,
	Message: "An access token comes from a key, and this request came without one.",
	Fix:     "Make a key, and get the token with that."}

// NewToken is what a caller may say of a new access token.
type NewToken struct {
	// Scopes, Queues and AllowedIPs are as in NewKey, and what is left out is as it is with By.
	Scopes, Queues, AllowedIPs []string
	// Lifetime is how long it holds, 1 minute to 1 hour. Default: 15 minutes, or until By ends if that is sooner.
	Lifetime time.Duration
	// By is who asks for it. A token gives no more than that: what goes beyond is ErrPermissionDenied.
	By Principal
}

// Token is a new access token.
type Token struct {
	ID         string
	Secret     Secret // the token itself, which nobody can show again
	KeyID      string // of the key that it came from, and with which it ends
	Scopes     []string
	Queues     []string // none: all
	AllowedIPs []string // none: all
	IssuedAt   time.Time
	ExpiresAt  time.Time
}

// claims are what a token says. The registered ones bind it to the installation, its key and its time.
type claims struct {
	jwt.RegisteredClaims
	Tenant     string   `json:"tenant,omitempty"` // id; none for an operator
	Scope      string   `json:"scope"`            // entries, separated by spaces as in OAuth
	Queues     []string `json:"queues,omitempty"`
	AllowedIPs []string `json:"allowed_ips,omitempty"`
}

// hasTokenForm reports whether a credential is meant as a token. Keys have neither this beginning nor dots.
func hasTokenForm(credential string) bool { return strings.HasPrefix(credential, "eyJ") }

// Issuer returns the name of the installation in tokens, as their issuer and their audience.
func (a *Authenticator) Issuer() string { return "urn:sluice:" + a.keys.ring.Fingerprint() }

// IssueToken makes an access token. It is kept nowhere.
func (a *Authenticator) IssueToken(ctx context.Context, n NewToken) (Token, error) {
	if n.Lifetime != 0 && (n.Lifetime < MinTokenLifetime || n.Lifetime > MaxTokenLifetime) {
		return Token{}, errs.Invalidf("/expires_in", "must be %d to %d seconds", int(MinTokenLifetime.Seconds()), int(MaxTokenLifetime.Seconds()))
	}
	if n.By.KeyID == "" {
		return Token{}, errNoKey
	}
	// The scopes and the rest are those of a key, by the same rules.
	r, err := a.keys.describe(n.By.Kind, NewKey{Scopes: n.Scopes, Queues: n.Queues, AllowedIPs: n.AllowedIPs, By: &n.By})
	if err != nil {
		return Token{}, err
	}
	keys, err := a.signingKeys(ctx, signingTrust)
	if err != nil {
		return Token{}, err
	}
	now := time.UnixMilli(a.millis(a.now())).UTC().Truncate(time.Second)
	end, err := n.end(now)
	if err != nil {
		return Token{}, err
	}
	t := Token{ID: newTokenID(), KeyID: n.By.KeyID, Scopes: r.Scopes, Queues: r.Queues, AllowedIPs: r.AllowedIPs, IssuedAt: now, ExpiresAt: end}
	t.Secret, err = a.sign(t, n.By.Tenant, keys)
	return t, err
}

// end returns when a token that is made now ends.
func (n *NewToken) end(now time.Time) (time.Time, error) {
	last := n.By.Grants.ExpiresAt
	switch {
	case n.Lifetime == 0 && !last.IsZero() && last.Before(now.Add(DefaultTokenLifetime)):
		return last.Truncate(time.Second), nil
	case n.Lifetime == 0:
		return now.Add(DefaultTokenLifetime), nil
	case !last.IsZero() && now.Add(n.Lifetime).After(last):
		return time.Time{}, tooMuch("/expires_in", "lies behind "+last.Format(time.RFC3339)+", when the credential of this request ends")
	}
	return now.Add(n.Lifetime), nil
}

func newTokenID() string {
	var id engine.ID
	_, _ = rand.Read(id[:]) // never fails
	return "tok_" + id.String()
}

// sign writes a token down.
func (a *Authenticator) sign(t Token, owner tenants.ID, keys signingKeys) (Secret, error) {
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: a.Issuer(), Audience: jwt.ClaimStrings{a.Issuer()}, Subject: t.KeyID, ID: t.ID,
			IssuedAt: jwt.NewNumericDate(t.IssuedAt), NotBefore: jwt.NewNumericDate(t.IssuedAt), ExpiresAt: jwt.NewNumericDate(t.ExpiresAt),
		},
		Scope: strings.Join(t.Scopes, " "), Queues: t.Queues, AllowedIPs: t.AllowedIPs,
	}
	if !owner.IsZero() {
		c.Tenant = owner.String()
	}
	key := keys.current(a.millis(a.now()))
	if key == nil {
		return "", engine.ErrBroken.Because(errors.New("there is no key to sign tokens with"))
	}
	j := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	j.Header["typ"], j.Header["kid"] = tokenType, key.id
	text, err := j.SignedString(key.private)
	if err == nil && len(text) > MaxToken {
		err = &errs.Error{Kind: errs.Invalid, Code: "token_too_long",
			Message: fmt.Sprintf("The token would have %d bytes, and %d are allowed: it names all its scopes, queues and addresses.", len(text), MaxToken),
			Fix:     "Ask for fewer, for example with patterns such as orders-*."}
	}
	return Secret(text), err
}

// token returns who the owner of an access token is. It is remembered once it was verified, and from then on costs what
// its key costs: it holds only as long as that one does.
func (a *Authenticator) token(ctx context.Context, text, address string) (Principal, error) {
	if len(text) > MaxToken && (a.providers == nil || len(text) > oidc.MaxToken) {
		return Principal{}, ErrUnauthenticated
	}
	var buf [2 << 10]byte // most are shorter, so this stays on the stack
	d := digest(sha256.Sum256(append(buf[:0], text...)))
	t := a.tokens.get(d)
	if t == nil || t.standing != nil && !t.standing.Holds() {
		var err error
		if a.providers != nil && a.providers.Verifier.Knows(text) {
			t, err = a.identify(ctx, text, d)
		} else {
			t, err = a.verify(ctx, text, d)
		}
		if err != nil {
			return Principal{}, err
		}
	}
	if t.standing != nil {
		return a.identified(ctx, t, d)
	}
	key, err := a.entryOf(ctx, t.key)
	if err != nil {
		return Principal{}, err
	}
	now := a.now()
	t.asked.Store(int64(now))
	switch {
	case a.millis(now) >= t.expires:
		return Principal{}, ErrTokenExpired
	case !t.principal.Grants.admits(address):
		return Principal{}, ErrAddressNotAllowed
	}
	if _, err := a.answer(key, now, address); err != nil {
		return Principal{}, err
	}
	return t.principal, nil
}

func (a *Authenticator) newParser() *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(a.Issuer()), jwt.WithAudience(a.Issuer()),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(func() time.Time { return time.UnixMilli(a.millis(a.now())) }),
	)
}

// verify reads a token and remembers it. Whatever is wrong with it is ErrUnauthenticated, but for its end.
func (a *Authenticator) verify(ctx context.Context, text string, d digest) (*entry, error) {
	if len(text) > MaxToken {
		return nil, ErrUnauthenticated
	}
	generation := a.tokens.generation()
	var c claims
	var failed error // why the keys are not known, which says nothing of the token
	_, err := a.parser.ParseWithClaims(text, &c, func(j *jwt.Token) (any, error) {
		key, err := a.keyOf(ctx, j)
		failed = err
		if key == nil {
			return nil, ErrUnauthenticated
		}
		return key.public(), nil
	})
	switch {
	case failed != nil:
		return nil, failed
	case errors.Is(err, jwt.ErrTokenExpired): // of which nobody learns without a good signature
		return nil, ErrTokenExpired
	case err != nil || c.IssuedAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) > MaxTokenLifetime:
		return nil, ErrUnauthenticated
	}
	e, err := a.tokenEntry(ctx, c)
	if err != nil {
		return nil, err
	}
	a.tokens.put(d, e, generation)
	return e, nil
}

// keyOf returns the key that a token names, nil when there is none that may have signed it.
func (a *Authenticator) keyOf(ctx context.Context, j *jwt.Token) (*signingKey, error) {
	id, ok := j.Header["kid"].(string)
	_, critical := j.Header["crit"] // of which we understand nothing
	if !ok || critical || j.Header["typ"] != tokenType {
		return nil, nil
	}
	keys, err := a.signingKeys(ctx, signingTrust)
	if err != nil || keys.byID(id) != nil {
		return keys.byID(id), err
	}
	keys, err = a.signingKeys(ctx, signingPause) // it may be newer than what is known
	return keys.byID(id), err
}

// tokenEntry returns what a verified token says.
func (a *Authenticator) tokenEntry(ctx context.Context, c claims) (*entry, error) {
	kind, index := KindOperator, operatorsKey
	if c.Tenant != "" {
		owner, ok := tenants.ParseID(c.Tenant)
		if !ok {
			return nil, ErrUnauthenticated
		}
		kind, index = KindTenant, indexKey(owner)
	}
	n, err := a.keys.find(ctx, index, c.Subject)
	if errors.Is(err, ErrKeyNotFound) {
		return nil, ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	key, err := a.entryOf(ctx, n.digest)
	if err != nil {
		return nil, err
	}
	r := record{ID: c.ID, Kind: kind, Scopes: strings.Fields(c.Scope), Queues: c.Queues, AllowedIPs: c.AllowedIPs, ExpiresAt: c.ExpiresAt.UnixMilli()}
	grants, err := r.grants()
	if err != nil || key.principal.Kind != kind {
		return nil, ErrUnauthenticated
	}
	grants.allowed &= key.principal.Grants.allowed
	e := &entry{principal: key.principal, expires: r.ExpiresAt, key: key.key, read: a.now()}
	e.principal.TokenID, e.principal.Grants = c.ID, grants
	e.asked.Store(int64(e.read))
	return e, nil
}
