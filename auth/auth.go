// Package auth establishes who is calling, and what they may do.
//
// A caller shows an API key: slk_… acts for one tenant, slo_… belongs to an operator, who acts for the tenant that the
// request names. What a key may do are its Grants. Redis holds no key, only its digest: an HMAC with a secret of the
// installation, so that neither a copy of the data nor the time of a look-up helps to find one. Or the caller shows an
// access token, which was made with a key, may the same or less, and ends with it or before. Redis holds none of these,
// only what they are signed with. Browsers show a session, which somebody opened with a key, or as a member of a tenant with
// a password, and which gives what that one may at the time of the request; of it Redis holds a digest too. A portal link
// opens one session, which gives what the link says. And there are identity providers that the operator trusts: a token of theirs
// says for which tenant it is and what it may, and who signs in there gets a session, which gives what was said then.
//
// Each server remembers the keys it has seen and confirms them in the background, so a request with a known key costs
// no round trip to Redis, and a key that was revoked or has expired stops working within 5 s on every server.
package auth

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Kind says for whom a key speaks.
type Kind string

// The kinds.
const (
	KindTenant   Kind = "tenant"
	KindOperator Kind = "operator"
)

// Principal is who a request was authenticated as.
type Principal struct {
	Kind       Kind
	KeyID      string     // "" for a member, with a portal link, and for an identity
	MemberID   string     // of the member who has signed in, or ""
	LinkID     string     // of the portal link that the session was opened with, or ""
	Tenant     tenants.ID // zero for an operator
	TenantName string     // "" for an operator
	Grants     *Grants    // what the key may do; nil: nothing
	TokenID    string     // of the access token that was shown in the place of the key, or ""
	SessionID  string     // of the session of a browser by which the request came, or ""
	Identity   *Identity  // who an identity provider says that it is, by a token or when he signed in; nil for others
	Viewing    bool       // an operator who views the tenant and may only read; KeyID and MemberID are his own
}

// ID returns the id of the key, the member, the portal link or the identity.
func (p Principal) ID() string {
	if p.Identity != nil {
		return p.Identity.ID
	}
	return p.KeyID + p.MemberID + p.LinkID
}

// Actor returns the principal as logs name it. Who views a tenant is an operator there.
func (p Principal) Actor() audit.Actor {
	a := audit.Actor{Kind: string(p.Kind), Key: p.KeyID, Member: p.MemberID, Link: p.LinkID, Token: p.TokenID, Session: p.SessionID}
	if i := p.Identity; i != nil {
		a.Identity, a.Issuer, a.Subject = i.ID, i.Issuer, i.Subject
	}
	if p.Viewing {
		a.Kind = string(KindOperator)
	}
	return a
}

// Secret is text that only its owner may see. It prints as ***; Reveal shows it. That holds for exported fields: fmt
// prints unexported ones past every method.
type Secret string

// hidden stands in the place of a secret.
const hidden = "***"

// Reveal returns the text itself, for the one answer or file that must have it.
func (s Secret) Reveal() string { return string(s) }

// String returns ***.
func (Secret) String() string { return hidden }

// GoString returns ***.
func (Secret) GoString() string { return hidden }

// Format prints *** for every verb, because %x would pass a mere String by.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON keeps the secret out of JSON.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText keeps the secret out of other text formats.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// The errors of this package, besides those of the engine, of tenants and validation_failed.
var (
	// ErrUnauthenticated does not say what is wrong with a key, so that nobody learns which keys there once were.
	ErrUnauthenticated = &errs.Error{Kind: errs.Unauthenticated, Code: "unauthenticated",
		Message: "The request carries no valid API key.",
		Fix:     `Send a key as "Authorization: Bearer slk_…", or with curl as -u slk_…: (the key, then a colon).`}
	ErrKeyExpired = &errs.Error{Kind: errs.Unauthenticated, Code: "key_expired",
		Message: "The API key has expired.",
		Fix:     "Create a new key and use that one."}
	ErrAddressNotAllowed = &errs.Error{Kind: errs.Forbidden, Code: "ip_not_allowed",
		Message: "The API key may not be used from this address.",
		Fix:     "Use it from one of its allowed_ips, or create a key for this address. Behind a proxy, set SLUICE_TRUSTED_PROXIES."}
	// ErrPermissionDenied is a request of somebody who is known and may not make it; see Denied.
	ErrPermissionDenied = &errs.Error{Kind: errs.Forbidden, Code: "permission_denied",
		Message: "The key may not do this."}
	ErrKeyRotated = &errs.Error{Kind: errs.Conflict, Code: "key_rotated",
		Message: "This key has been rotated already, and another one has its place.",
		Fix:     "Rotate the key that replaced it."}
	ErrKeyNotFound = &errs.Error{Kind: errs.NotFound, Code: "key_not_found",
		Message: "There is no such key."}
	ErrTooManyKeys = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: "There are as many keys as there may be.",
		Fix:     "Revoke keys that nobody uses. Expired ones count until they are revoked."}
	ErrTenantRequired = &errs.Error{Kind: errs.Invalid, Code: "tenant_required",
		Message: "An operator's key acts for a tenant, and the request names none.",
		Fix:     `Add the header "Tenant: NAME", for example: curl -u $KEY: -H "Tenant: default" …`,
		Fields:  []errs.Field{{Header: "Tenant", Code: "required", Message: "must name a tenant"}}}
)
