package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// A portal link lets somebody into a tenant's console who has no account there: a program that knows him makes the link and
// sends his browser along. It opens one session and ends with that. What the session may was settled when the link was
// made, and is written into its own record, so it has no owner that it could end with, and its life is short instead.
const (
	// MinPortalLink, MaxPortalLink and DefaultPortalLink say for how long a link holds that nobody uses.
	MinPortalLink     = time.Minute
	MaxPortalLink     = time.Hour
	DefaultPortalLink = 15 * time.Minute
	// PortalSessionLife is how long a session holds that was opened with a link, at most.
	PortalSessionLife = time.Hour
	// MaxPortalLinks bounds the links of a tenant that nobody has used yet.
	MaxPortalLinks = 100
	// MaxPortalSessions bounds the sessions of a tenant that were opened with links, so that there is room for its members.
	MaxPortalSessions = MaxSessions / 2

	linkPrefix   = "slp_"
	linkIDPrefix = "lnk_"
)

// The errors of portal links.
var (
	// ErrPortalLinkEnded does not say how it ended, or whether it ever was.
	ErrPortalLinkEnded = &errs.Error{Kind: errs.Unauthenticated, Code: "portal_link_ended",
		Message: "This portal link has been used, has expired, or never was.",
		Fix:     "Go back to where it came from, and get a new one."}
	ErrPortalLinkNotFound = &errs.Error{Kind: errs.NotFound, Code: "portal_link_not_found",
		Message: "There is no such portal link, or it has been used or has expired.",
		Fix:     "GET /v1/portal_links shows those that hold. GET /v1/sessions shows the sessions that were opened with others."}
	ErrTooManyPortalLinks = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("There are %d portal links that nobody has used, and no more are allowed.", MaxPortalLinks),
		Fix:     "End links that nobody needs: DELETE /v1/portal_links/{id}. Those that nobody uses end by themselves."}
)

// NewPortalLink is what a caller may say of a new portal link.
type NewPortalLink struct {
	// Name is for people, of whoever will use it; at most 128 bytes. Default none.
	Name string
	// Role is what the session may.
	Role string
	// Lifetime is how long the link holds, 1 minute to 1 hour. Default: 15 minutes.
	Lifetime time.Duration
	// By is who asks. The session may no more than that, in the same queues, from the same addresses and for no longer;
	// what goes beyond is ErrPermissionDenied.
	By Principal
}

// PortalLink is what anybody may know of a portal link.
type PortalLink struct {
	ID        string
	Name      string
	Role      string
	Queues    []string // patterns of the queues that the session reaches; none: all
	CreatedAt time.Time
	ExpiresAt time.Time // of the link; the session ends PortalSessionLife after it was opened

	digest digest
	record record
	entry  string // in the set of Redis
}

// linkID returns the id of the portal link with a digest.
func (d digest) linkID() string {
	var id engine.ID
	sum := sha256.Sum256(append([]byte("portal link id "), d[:]...))
	copy(id[:], sum[:])
	return linkIDPrefix + id.String()
}

// CreatePortalLink makes a portal link of a tenant. The text is for one browser, and nobody can show it again.
func (a *Authenticator) CreatePortalLink(ctx context.Context, t tenants.ID, n NewPortalLink) (PortalLink, Secret, error) {
	if n.Lifetime == 0 {
		n.Lifetime = DefaultPortalLink
	}
	if n.Lifetime < MinPortalLink || n.Lifetime > MaxPortalLink {
		return PortalLink{}, "", errs.Invalidf("/expires_in", "must be %d to %d seconds", int(MinPortalLink.Seconds()), int(MaxPortalLink.Seconds()))
	}
	if err := checkRole(n.Role); err != nil {
		return PortalLink{}, "", err
	}
	// The queues and the rest are those of a key, by the same rules.
	r, err := a.keys.describe(KindTenant, NewKey{Name: n.Name, Scopes: []string{n.Role}, By: &n.By})
	if err != nil {
		return PortalLink{}, "", atRole(err)
	}
	now, err := a.instant(ctx)
	if err != nil {
		return PortalLink{}, "", err
	}
	owner, err := a.keys.tenants.ByID(ctx, t)
	if err != nil {
		return PortalLink{}, "", err
	}
	text := newText(linkPrefix)
	d := a.keys.hasher.digest(string(text))
	r.ID, r.Tenant, r.TenantName, r.CreatedAt = d.linkID(), t.String(), owner.Name, now
	r.Until, r.ExpiresAt = r.ExpiresAt, now+n.Lifetime.Milliseconds()
	if r.Until != 0 {
		r.ExpiresAt = min(r.ExpiresAt, r.Until)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return PortalLink{}, "", err
	}
	got, err := a.keys.run(ctx, putPortalLinkScript, append(linkKeys[:3:3], tenantIDsKey),
		d.String(), string(body), t.String(), fmt.Sprintf("%013d", r.ExpiresAt), MaxPortalLinks)
	switch {
	case err != nil:
		return PortalLink{}, "", err
	case got[0] == "gone":
		return PortalLink{}, "", tenants.ErrNotFound
	case got[0] == "full":
		return PortalLink{}, "", ErrTooManyPortalLinks
	}
	return newPortalLink(d, r), text, nil
}

// atRole has an error about the scopes of a key point at the role of a portal link.
func atRole(err error) error {
	var e *errs.Error
	if !errors.As(err, &e) || len(e.Fields) != 1 || !strings.HasPrefix(e.Fields[0].Pointer, "/scopes") {
		return err
	}
	return tooMuch("/role", e.Fields[0].Message)
}

func newPortalLink(d digest, r record) PortalLink {
	return PortalLink{ID: r.ID, Name: r.Name, Role: r.Scopes[0], Queues: r.Queues, CreatedAt: instant(r.CreatedAt), ExpiresAt: instant(r.ExpiresAt),
		digest: d, record: r, entry: fmt.Sprintf("%s/%013d/%s", r.Tenant, r.ExpiresAt, d)}
}

// PortalLink returns the portal link with a text that is shown from an address. ErrPortalLinkEnded is the answer to those
// that hold no more, ErrAddressNotAllowed to those that may not be used from there, which hold on.
func (a *Authenticator) PortalLink(ctx context.Context, text, address string) (PortalLink, error) {
	d, r, err := a.once(ctx, text, linkPrefix, ErrPortalLinkEnded)
	if err == nil && len(r.Scopes) != 1 {
		err = engine.ErrBroken.Because(fmt.Errorf("record of portal link %s is damaged", r.ID))
	}
	if err != nil {
		return PortalLink{}, err
	}
	g, err := r.grants()
	if err == nil && !g.admits(address) {
		err = ErrAddressNotAllowed
	}
	return newPortalLink(d, r), err
}

// once returns the record behind a text that somebody was given to use once, such as a portal link. ended is the answer to those
// that hold no more.
func (a *Authenticator) once(ctx context.Context, text, prefix string, ended error) (digest, record, error) {
	if len(text) != keyLength || text[:prefixLength] != prefix || !wellFormed(text) {
		return digest{}, record{}, ended
	}
	d := a.keys.hasher.digest(text)
	found, err := a.keys.lookup(ctx, []digest{d})
	if err != nil {
		return digest{}, record{}, err
	}
	if found.records[0] == "" {
		return digest{}, record{}, ended
	}
	r, err := parseRecord(found.records[0])
	if err == nil && r.ExpiresAt <= found.now {
		err = ended
	}
	return d, r, err
}

// Principal returns what whoever follows a portal link is and may.
func (l PortalLink) Principal() Principal {
	r := l.record
	r.ExpiresAt = r.Until
	p := Principal{Kind: KindTenant, LinkID: l.ID, TenantName: r.TenantName}
	p.Tenant, _ = tenants.ParseID(r.Tenant)
	p.Grants, _ = r.grants() // which fails for addresses only, and PortalLink has looked at them
	return p
}

// OpenPortalSession opens the one session of a portal link. When another request was faster, it is ErrPortalLinkEnded.
func (a *Authenticator) OpenPortalSession(ctx context.Context, l PortalLink, agent, address string) (Session, Secret, error) {
	return a.openSession(ctx, opening{owner: l.digest, by: l.Principal(), agent: agent, address: address, link: &l})
}

// give makes the record of a session its own owner, which may what the link says.
func (l *PortalLink) give(r *record, session digest, now int64) {
	r.Of, r.Name, r.Scopes, r.Queues, r.AllowedIPs = session.String(), l.record.Name, l.record.Scopes, l.record.Queues, l.record.AllowedIPs
	r.Session.Link = l.ID
	r.ExpiresAt = min(r.ExpiresAt, now+PortalSessionLife.Milliseconds())
}

// PortalLinks returns the portal links of a tenant that nobody has used and that hold, the oldest first.
func (a *Authenticator) PortalLinks(ctx context.Context, t tenants.ID) ([]PortalLink, error) {
	found, now, err := a.keys.entries(ctx, portalLinksKey, t.String()+"/", MaxPortalLinks)
	if err != nil {
		return nil, err
	}
	list := make([]PortalLink, 0, len(found))
	for _, f := range found {
		r, err := parseRecord(f.text)
		d, ok := parseDigest(f.entry[strings.LastIndexByte(f.entry, '/')+1:])
		if err == nil && (!ok || len(r.Scopes) != 1) {
			err = engine.ErrBroken.Because(fmt.Errorf("record of portal link %s is damaged", r.ID))
		}
		if err != nil {
			return nil, err
		}
		if r.ExpiresAt > now {
			list = append(list, newPortalLink(d, r))
		}
	}
	slices.SortFunc(list, func(x, y PortalLink) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.ID, y.ID))
	})
	return list, nil
}

// EndPortalLink ends a portal link. A session that somebody has opened with it meanwhile goes on.
func (a *Authenticator) EndPortalLink(ctx context.Context, l PortalLink) error {
	_, err := a.keys.run(ctx, endPortalLinkScript, linkKeys, l.entry)
	return err
}

// EndPortalLinks ends all portal links of a tenant. Sessions that were opened with some go on.
func (k *KeyStore) EndPortalLinks(ctx context.Context, t tenants.ID) error {
	_, err := k.run(ctx, endPortalLinksScript, linkKeys, t.String()+"/")
	return err
}
