// Package oidc verifies the tokens of identity providers: JWTs that an OpenID Connect provider signs with keys which it
// publishes. And it has people sign in there, by the authorization code flow with PKCE. It knows nothing of tenants and roles; what
// the claims mean is for the caller.
//
// Only providers that the operator has named are asked for keys and tokens, at addresses that these name themselves, through the
// guarded client. Nothing that a token says leads to a request: its kid is a name in a table, and jku, jwk, x5u and x5c are not looked at.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxToken bounds a token, in bytes. It is what a header may have.
	MaxToken = 8 << 10
	// MaxLifetime bounds for how long a token may be good.
	MaxLifetime = 24 * time.Hour
	// MaxSubject bounds a subject, in bytes, as OpenID Connect does.
	MaxSubject = 255
	// Leeway is by how much a provider's clock may be ahead of ours. It makes no token hold longer.
	Leeway = 30 * time.Second
)

// The errors of tokens. What is wrong with a token is told once its signature is good.
var (
	// ErrInvalid is a token of which nobody knows who made it.
	ErrInvalid = errors.New("oidc: the token does not verify")
	// ErrExpired is a token that was good until its end.
	ErrExpired = errors.New("oidc: the token has expired")
	// ErrRefused is a token of a provider that it was not made for us, or not so that it can be taken.
	ErrRefused = &errs.Error{Kind: errs.Unauthenticated, Code: "token_refused"}
	// ErrTooLong is a token of a provider that is good for more than MaxLifetime.
	ErrTooLong = &errs.Error{Kind: errs.Unauthenticated, Code: "token_too_long",
		Message: fmt.Sprintf("The identity provider has signed this token, but it is good for more than %d hours.", int(MaxLifetime.Hours())),
		Fix:     "Have the provider make tokens that end sooner."}
	// ErrUnavailable is a token of a provider whose keys cannot be had.
	ErrUnavailable = &errs.Error{Kind: errs.Unavailable, Code: "issuer_unavailable",
		Message:    "The identity provider does not answer.",
		Fix:        "Try again. If it stays so, look for the provider in the log of the server.",
		RetryAfter: firstPause}
)

// Refused returns ErrRefused with a reason, a sentence that says what the token lacks.
func Refused(format string, args ...any) error {
	e := *ErrRefused
	e.Message = fmt.Sprintf("The identity provider has signed this token, but it "+format+".", args...)
	e.Fix = "Have the provider make it as docs/oidc.md says, or have the operator change the settings SLUICE_OIDC_*."
	return &e
}

// Config says whose tokens are taken, and for whom they must be.
type Config struct {
	// Issuers are the providers as their tokens name them: URLs, below which their discovery documents lie.
	Issuers []string
	// Audience must be one of those that a token is for.
	Audience string
	// Clients are what providers know the installation as, at most one each. With the others nobody signs in.
	Clients []Client
	// Scopes are asked for when somebody signs in, separated by spaces; openid is among them.
	Scopes string
	Egress *egress.Client
	Clock  clock.Clock
	// Logger learns of providers that do not answer as they should. Default: nobody.
	Logger *slog.Logger
}

// Verifier verifies tokens. It may be used by many goroutines.
type Verifier struct {
	providers map[string]*provider
	audience  string
	scopes    string
}

// New returns a verifier. It asks providers nothing before there is a token of theirs.
func New(c Config) *Verifier {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{providers: map[string]*provider{}, audience: c.Audience, scopes: c.Scopes}
	for _, issuer := range c.Issuers {
		v.providers[issuer] = newProvider(issuer, c)
	}
	for _, client := range c.Clients {
		v.providers[client.Issuer].client = &client
	}
	return v
}

// Token is what a provider says of somebody.
type Token struct {
	Issuer, Subject string
	ExpiresAt       time.Time
	Standing        Standing

	claims claims
}

// Standing says whether the key that has signed a token is still one of its provider's.
type Standing struct {
	from *provider
	keys *keySet
}

// Holds reports that nothing has changed. It costs some nanoseconds, and makes the server look from time to time whether it
// has. Otherwise the token is to be verified again.
func (s Standing) Holds() bool { return s.from.holds(s.keys) }

// Knows reports whether a text says that it is from one of the providers. Anybody can write that.
func (v *Verifier) Knows(text string) bool {
	_, rest, _ := strings.Cut(text, ".")
	body, _, ok := strings.Cut(rest, ".")
	if len(text) > MaxToken || !ok {
		return false
	}
	c, err := decodeClaims(body)
	return err == nil && v.providers[c.text("iss")] != nil
}

// Verify returns what a token says that is shown to the API, at a time by the clock of the installation.
func (v *Verifier) Verify(ctx context.Context, text string, now time.Time) (*Token, error) {
	return v.verify(ctx, text, v.audience, now)
}

func (v *Verifier) verify(ctx context.Context, text, audience string, now time.Time) (*Token, error) {
	if len(text) > MaxToken {
		return nil, ErrInvalid
	}
	t := &Token{}
	var failed error // why the keys are not known, which says nothing of the token
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := parser.ParseWithClaims(text, &t.claims, func(j *jwt.Token) (any, error) {
		key, err := v.keyOf(ctx, j, t)
		failed = err
		if key == nil {
			return nil, ErrInvalid
		}
		return key.public, nil
	})
	switch {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, reason(err, audience)
	}
	return t, t.check(now)
}

// keyOf returns the key that a token names, nil when there is none that may have signed it.
func (v *Verifier) keyOf(ctx context.Context, j *jwt.Token, t *Token) (*key, error) {
	id, ok := j.Header["kid"].(string)
	_, critical := j.Header["crit"] // of which we understand nothing
	p := v.providers[t.claims.text("iss")]
	if p == nil || !ok || critical || !rightType(j.Header["typ"]) {
		return nil, nil
	}
	keys, k, err := p.key(ctx, id)
	if err != nil || k == nil || !k.signs(j.Method.Alg()) {
		return nil, err
	}
	t.Issuer, t.Standing = p.issuer, Standing{from: p, keys: keys}
	return k, nil
}

// rightType reports whether the typ of a token is that of an access token, or says nothing. Others are not meant to be shown.
func rightType(typ any) bool {
	if typ == nil {
		return true
	}
	text, ok := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	return ok && (text == "jwt" || text == "at+jwt")
}

// reason says why a token that is what it was signed as is not taken.
func reason(err error, audience string) error {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed) || errors.Is(err, jwt.ErrTokenUnverifiable) || errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrInvalid
	case errors.Is(err, jwt.ErrInvalidType):
		return Refused("has a time or an audience that is malformed")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return Refused("lacks exp or aud")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return Refused("is for another audience than %q", audience)
	case errors.Is(err, jwt.ErrTokenNotValidYet) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return Refused("is not good yet: its nbf or iat lies in the future")
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	}
	return ErrInvalid
}

// check holds a verified token to what the library does not know of.
func (t *Token) check(now time.Time) error {
	end, _ := t.claims.GetExpirationTime()
	begin, _ := t.claims.GetIssuedAt()
	t.ExpiresAt, t.Subject = end.Time, t.claims.text("sub")
	switch {
	case !t.ExpiresAt.After(now):
		return ErrExpired // the leeway is for beginnings
	case t.ExpiresAt.Sub(now) > MaxLifetime+Leeway || begin != nil && t.ExpiresAt.Sub(begin.Time) > MaxLifetime:
		return ErrTooLong
	case t.Subject == "" || len(t.Subject) > MaxSubject || strings.ContainsFunc(t.Subject, func(r rune) bool { return r < ' ' || r > '~' }):
		return Refused("has no sub of 1 to %d printable ASCII characters", MaxSubject)
	}
	return nil
}
