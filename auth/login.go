package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/oidc"
)

// Somebody who signs in with an identity provider leaves for it and comes back, perhaps to another server. What the two ends must
// know of each other lies in a cookie of his browser meanwhile, sealed, so no server remembers who is on the way. That somebody comes
// back once only is for the provider to see to, which takes a code once.
const (
	// PendingLife is for how long somebody may be on the way.
	PendingLife = 10 * time.Minute
	// maxPending bounds what a browser shows of it, in bytes: what a cookie may have.
	maxPending = 4 << 10

	pendingPurpose = "console-sign-in"
	guessesOfCodes = "codes of identity providers" // in the place of an account
)

// The errors of signing in with an identity provider, besides those of oidc.
var (
	ErrProviderNotFound = &errs.Error{Kind: errs.NotFound, Code: "identity_provider_not_found",
		Message: "Nobody signs in with such an identity provider.",
		Fix:     "GET /v1/session/oidc/providers shows those with which people sign in."}
	// ErrSignInExpired does not say what there was.
	ErrSignInExpired = &errs.Error{Kind: errs.Unauthenticated, Code: "sign_in_expired",
		Message: "This sign-in has expired, or was begun in another browser.",
		Fix:     "Begin again."}
	ErrSignInCancelled = &errs.Error{Kind: errs.Unauthenticated, Code: "sign_in_cancelled",
		Message: "The identity provider says that access was denied, by it or by whoever was to sign in.",
		Fix:     "Begin again, or ask whoever manages the provider for access."}
)

// PendingSignIn is what is known of somebody who is on the way.
type PendingSignIn struct {
	Issuer string    `json:"issuer"`
	To     string    `json:"to"` // where he goes once he has signed in
	Trip   oidc.Trip `json:"trip"`
	EndsAt time.Time `json:"ends_at"`
}

// SignInProviders returns the identity providers with which people sign in.
func (a *Authenticator) SignInProviders() []Provider {
	if a.providers == nil {
		return nil
	}
	return a.providers.SignIn
}

// signsIn reports whether people sign in with a provider.
func (a *Authenticator) signsIn(issuer string) bool {
	return slices.ContainsFunc(a.SignInProviders(), func(p Provider) bool { return p.Issuer == issuer })
}

// BeginSignIn returns the address at a provider where somebody signs in, who comes back to an address of ours and goes on to
// another one; and what his browser is to keep meanwhile.
func (a *Authenticator) BeginSignIn(ctx context.Context, issuer, redirectURI, to string) (address string, kept Secret, ends time.Time, err error) {
	if !a.signsIn(issuer) {
		return "", "", ends, ErrProviderNotFound
	}
	now, err := a.instant(ctx)
	if err != nil {
		return "", "", ends, err
	}
	p := PendingSignIn{Issuer: issuer, To: to, EndsAt: instant(now).Add(PendingLife), Trip: oidc.Trip{RedirectURI: redirectURI,
		State: randomText("", randomLength), Nonce: randomText("", randomLength), Proof: randomText("", proofLength)}}
	if address, err = a.providers.Verifier.Departure(ctx, issuer, p.Trip); err != nil {
		return "", "", ends, err
	}
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false) // which could make it longer than a cookie may be
	if err := e.Encode(p); err != nil {
		return "", "", ends, err
	}
	sealed := newSealer(a.keys.ring, pendingPurpose).Seal(nil, nil, plain.Bytes(), nil)
	return address, Secret(base64.RawURLEncoding.EncodeToString(sealed)), p.EndsAt, nil
}

// proofLength is that of the code verifier of PKCE: 43 to 128 characters.
const proofLength = 43

// Pending returns what a browser has kept that comes back with a state. ErrSignInExpired is the answer to all that is nothing of
// ours, is over, or belongs to another state.
func (a *Authenticator) Pending(ctx context.Context, kept, state string) (PendingSignIn, error) {
	var p PendingSignIn
	if kept == "" || len(kept) > maxPending {
		return p, ErrSignInExpired
	}
	now, err := a.instant(ctx)
	if err != nil {
		return p, err
	}
	plain, err := base64.RawURLEncoding.Strict().DecodeString(kept)
	if err == nil {
		plain, err = newSealer(a.keys.ring, pendingPurpose).Open(nil, nil, plain, nil)
	}
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err != nil || !p.EndsAt.After(instant(now)) || subtle.ConstantTimeCompare([]byte(state), []byte(p.Trip.State)) != 1 {
		return PendingSignIn{}, ErrSignInExpired
	}
	return p, nil
}

// Arrival is who has come back from an identity provider.
type Arrival struct {
	Principal Principal
	name      string
}

// Arrive returns who has come back, with an answer of the provider, from an address. Whose claims mean nothing here gets
// oidc.ErrRefused.
func (a *Authenticator) Arrive(ctx context.Context, p PendingSignIn, answer oidc.Answer, address string) (Arrival, error) {
	if !a.signsIn(p.Issuer) {
		return Arrival{}, ErrSignInExpired // with the provider
	}
	if answer.Error == "access_denied" {
		return Arrival{}, ErrSignInCancelled
	}
	now, err := a.instant(ctx)
	if err != nil {
		return Arrival{}, err
	}
	if err := a.guesses.take(guessesOfCodes, address, a.now()); err != nil {
		return Arrival{}, err
	}
	t, err := a.providers.Verifier.Arrival(ctx, p.Issuer, p.Trip, answer, time.UnixMilli(now))
	if !errors.Is(err, oidc.ErrSignInRefused) {
		a.guesses.right(guessesOfCodes, address)
	}
	switch {
	case errors.Is(err, oidc.ErrInvalid) || errors.Is(err, oidc.ErrExpired):
		return Arrival{}, oidc.ErrSignInRefused.Because(err)
	case err != nil:
		return Arrival{}, err
	}
	who, err := a.meaning(ctx, t)
	return Arrival{Principal: who, name: displayName(t)}, err
}

// displayName returns how a provider calls somebody for people, "" when it does not say so in a way that can be shown.
func displayName(t *oidc.Token) string {
	name := cmp.Or(t.Text("name"), t.Text("preferred_username"), t.Text("email"))
	if checkMemberName(name) != nil {
		return ""
	}
	return name
}

// OpenIdentitySession opens a session for who has come back from an identity provider. It gives what the claims said then, until
// it ends.
func (a *Authenticator) OpenIdentitySession(ctx context.Context, who Arrival, agent, address string) (Session, Secret, error) {
	return a.openSession(ctx, opening{by: who.Principal, agent: agent, address: address, arrival: &who})
}

// identityRecord is an Identity as the record of a session holds it.
type identityRecord struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

func (r *identityRecord) identity() *Identity {
	if r == nil {
		return nil
	}
	return newIdentity(r.Issuer, r.Subject)
}

// give makes the record of a session its own owner, which may what the claims said. A server of before takes the identity for a
// portal link.
func (w *Arrival) give(r *record, session digest, now int64, of *Providers) {
	i := w.Principal.Identity
	r.Of, r.Name, r.Scopes = session.String(), w.name, w.Principal.Grants.Scopes
	r.Session.Link, r.Session.Identity = i.ID, &identityRecord{Issuer: i.Issuer, Subject: i.Subject}
	r.ExpiresAt = now + cmp.Or(of.SessionLife, SessionLife).Milliseconds()
}
