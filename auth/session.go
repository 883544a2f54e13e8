package auth

import (
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

// A session is what a browser holds in the place of a key. Its record lies among those of the keys, so what confirms and
// ends them confirms and ends sessions too: a request with one that is known costs no call to Redis. It gives what its owner
// may at that time, and ends with its owner. One that was opened with a portal link, or by who has signed in with an identity
// provider, is its own owner.
const (
	// SessionLife is how long a session holds, at most.
	SessionLife = 7 * 24 * time.Hour
	// SessionIdle is how long a session holds that nobody uses.
	SessionIdle = 12 * time.Hour
	// MaxSessionsOfOne bounds the sessions of one key or member. With one more the oldest ends, so nobody is locked out.
	MaxSessionsOfOne = 20
	// MaxSessions bounds the sessions of a tenant, and those of all operators.
	MaxSessions = 1000

	// maxAgent bounds what is kept of the name of a browser, in bytes.
	maxAgent = 256

	sessionPrefix = "sls_"
	ofOperators   = "-" // in the place of a tenant
)

// The errors of sessions.
var (
	// ErrSessionEnded does not say how it ended, or whether it ever was.
	ErrSessionEnded = &errs.Error{Kind: errs.Unauthenticated, Code: "session_ended",
		Message: "The session has ended.",
		Fix:     "Sign in again: POST /v1/session."}
	ErrSignInFailed = &errs.Error{Kind: errs.Unauthenticated, Code: "sign_in_failed",
		Message: "These credentials do not hold.",
		Fix:     "Look for a mistyped or incomplete one."}
	ErrSessionNotFound = &errs.Error{Kind: errs.NotFound, Code: "session_not_found",
		Message: "There is no such session."}
	ErrTooManySessions = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("There are %d sessions, or %d that were opened with portal links, and no more are allowed.", MaxSessions, MaxPortalSessions),
		Fix:     "End sessions that nobody needs: DELETE /v1/sessions/{id}."}
)

// Session is what anybody may know of a session.
type Session struct {
	ID         string
	Kind       Kind
	Tenant     tenants.ID // zero for an operator's
	OwnerID    string     // of the key, the member, the portal link or the identity
	OwnerName  string     // as it is now
	Email      string     // of a member, or ""
	Role       string     // of a member, as it is now
	Linked     bool       // opened with a portal link
	Identity   *Identity  // who has signed in with an identity provider, nil for others
	Agent      string     // what the browser called itself
	Address    string     // from which it was opened
	CreatedAt  time.Time
	LastUsedAt time.Time // up to a minute behind
	ExpiresAt  time.Time // at the latest

	View *View // what an operator views with it, nil for nothing

	text  string // the record, as it was read
	entry string // in the sets of Redis
	owner digest
	epoch string // of a member's password when it was opened
}

// sessionRecord is what a record says besides, when it is that of a session.
type sessionRecord struct {
	Agent   string      `json:"agent,omitempty"`
	Address string      `json:"address,omitempty"`
	Epoch   string      `json:"epoch,omitempty"` // of the password of a member
	Link    string      `json:"link,omitempty"`  // id of the portal link with which it was opened, or of the identity, or ""
	View    *viewRecord `json:"view,omitempty"`  // of an operator who views a tenant

	Identity *identityRecord `json:"identity,omitempty"` // who has signed in with an identity provider
}

// sessionState is what a server knows of a session.
type sessionState struct {
	id      string
	owner   digest // under which the record lies of whom it belongs to
	epoch   string // of the password of a member when it was opened
	view    *View  // nil for none
	created int64  // by the clock of Redis, in milliseconds since 1970
}

// IsSession reports whether a text has the form of a session. Whether there is one it cannot say.
func IsSession(text string) bool {
	return len(text) == keyLength && text[:prefixLength] == sessionPrefix && wellFormed(text)
}

// id returns the id of the session with a digest.
func (d digest) sessionID() string {
	var id engine.ID
	sum := sha256.Sum256(append([]byte("session id "), d[:]...))
	copy(id[:], sum[:])
	return "ses_" + id.String()
}

// OpenSession opens a session for whom a key belongs to, whose owner by Authenticate is by. The text is for the browser, and
// nobody can show it again.
func (a *Authenticator) OpenSession(ctx context.Context, key string, by Principal, agent, address string) (Session, Secret, error) {
	if _, err := ParseKey(key); err != nil {
		return Session{}, "", err
	}
	return a.openSession(ctx, opening{owner: a.keys.hasher.digest(key), by: by, agent: agent, address: address})
}

// opening is how a session is opened.
type opening struct {
	owner          digest // of the key or the member, or of the portal link that ends with it; zero for an identity
	by             Principal
	epoch          string // of the password of a member
	agent, address string
	link           *PortalLink // nil for none
	arrival        *Arrival    // from an identity provider, nil for others
}

func (a *Authenticator) openSession(ctx context.Context, o opening) (Session, Secret, error) {
	text, by := newText(sessionPrefix), o.by
	d := a.keys.hasher.digest(string(text))
	now, err := a.instant(ctx)
	if err != nil {
		return Session{}, "", err
	}
	r := record{ID: d.sessionID(), Kind: by.Kind, Of: o.owner.String(), CreatedAt: now, ExpiresAt: now + SessionLife.Milliseconds(),
		Session: &sessionRecord{Agent: o.agent[:min(len(o.agent), maxAgent)], Address: o.address, Epoch: o.epoch}}
	if g := by.Grants; g != nil && !g.ExpiresAt.IsZero() {
		r.ExpiresAt = min(r.ExpiresAt, g.ExpiresAt.UnixMilli())
	}
	group, owner, entry := groupOf(by.Tenant), o.owner.String(), ""
	if !by.Tenant.IsZero() {
		r.Tenant, r.TenantName = by.Tenant.String(), by.TenantName
	}
	if l := o.link; l != nil {
		entry = l.entry
		l.give(&r, d, now)
	}
	if i := o.arrival; i != nil {
		owner = ""
		i.give(&r, d, now, a.providers)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return Session{}, "", err
	}
	open := func() ([]string, error) {
		return a.keys.run(ctx, openSessionScript, append(sessionKeys[:4:4], portalLinksKey, portalLinkEndsKey, tenantIDsKey),
			d.String(), string(body), owner, group, by.ID()+"/", fmt.Sprintf("%013d", r.ExpiresAt), newMark(), MaxSessionsOfOne, MaxSessions,
			entry, linkIDPrefix, MaxPortalSessions)
	}
	got, err := open()
	if err == nil && got[0] == "full" {
		if err = a.endDeadSessions(ctx, group); err == nil {
			got, err = open()
		}
	}
	switch {
	case err != nil:
		return Session{}, "", err
	case got[0] == "gone" && o.link != nil:
		return Session{}, "", ErrPortalLinkEnded
	case got[0] == "gone":
		return Session{}, "", ErrSignInFailed
	case got[0] == "full":
		return Session{}, "", ErrTooManySessions
	}
	list, err := a.sessions(ctx, group, by.ID())
	if err != nil {
		return Session{}, "", err
	}
	i := slices.IndexFunc(list, func(s Session) bool { return s.ID == r.ID })
	if i < 0 {
		return Session{}, "", ErrSignInFailed
	}
	return list[i], text, nil
}

// Session returns who the owner of a session is, with what he may now, as Authenticate does for keys.
func (a *Authenticator) Session(ctx context.Context, text, address string) (Principal, error) {
	if !IsSession(text) {
		return Principal{}, ErrSessionEnded
	}
	e, err := a.entryOf(ctx, a.keys.hasher.digest(text))
	if err == nil && e.session == nil {
		err = ErrUnauthenticated
	}
	if err != nil {
		return Principal{}, sessionError(err)
	}
	owner, err := a.entryOf(ctx, e.session.owner)
	if err == nil && owner.principal.Identity != nil && !a.signsIn(owner.principal.Identity.Issuer) {
		err = ErrSessionEnded // with the provider
	}
	if err == nil && owner.epoch != e.session.epoch {
		err = ErrSessionEnded // with the password
	}
	if err != nil {
		return Principal{}, sessionError(err)
	}
	now := a.now()
	if a.millis(now) >= e.expires {
		return Principal{}, ErrSessionEnded
	}
	p, err := a.answer(owner, now, address)
	if err != nil {
		return Principal{}, sessionError(err)
	}
	e.used.Store(int64(now))
	if e.from.Load() == nil {
		e.cameFrom(address)
	}
	p.SessionID = e.session.id
	if v := e.session.view; v != nil && p.Kind == KindOperator && a.millis(now) < v.EndsAt.UnixMilli() {
		p = v.as(p)
	}
	return p, nil
}

// sessionError says of a session what err says of its record or that of its owner.
func sessionError(err error) error {
	if errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrKeyExpired) {
		return ErrSessionEnded
	}
	return err
}

// newSessionEntry returns what the record of a session says.
func newSessionEntry(d digest, r record, mark string, began time.Duration) (*entry, error) {
	owner, ok := parseDigest(r.Of)
	if !ok {
		return nil, engine.ErrBroken.Because(fmt.Errorf("record of session %s is damaged", r.ID))
	}
	e := &entry{session: &sessionState{id: r.ID, owner: owner, epoch: r.Session.Epoch, view: r.Session.View.view(), created: r.CreatedAt}, expires: r.ExpiresAt, mark: mark, read: began, key: d}
	if owner == d {
		p, err := r.selfOwned()
		if err != nil {
			return nil, err
		}
		e.principal = p
	}
	e.asked.Store(int64(began))
	return e, nil
}

// selfOwned returns what the record of a session gives that is its own owner.
func (r record) selfOwned() (Principal, error) {
	p := Principal{Kind: KindTenant, TenantName: r.TenantName, Identity: r.Session.Identity.identity()}
	if p.Identity == nil {
		p.LinkID = r.Session.Link
	} else {
		r.ExpiresAt = 0 // of the session, and not of what he makes with it
	}
	var err error
	if p.Grants, err = r.grants(); err != nil {
		return Principal{}, err
	}
	var ok bool
	if p.Tenant, ok = tenants.ParseID(r.Tenant); !ok || r.Kind != KindTenant {
		return p, engine.ErrBroken.Because(fmt.Errorf("record of session %s is damaged: %s of tenant %q", r.ID, r.Kind, r.Tenant))
	}
	return p, nil
}

// unlessIdle returns the entry of a session that was just read, and nil when nobody has used it for too long, on any server.
// now is by the clock of Redis, in milliseconds since 1970.
func (a *Authenticator) unlessIdle(d digest, e *entry, now int64) (*entry, error) {
	if old := a.known.get(d); old != nil {
		e.heir(old) // which may have a use that Redis has not heard of
	}
	last := e.session.created
	if used := e.used.Load(); used > 0 {
		last = max(last, a.millis(time.Duration(used)))
	}
	if now-last < SessionIdle.Milliseconds() {
		return e, nil
	}
	noted, err := a.keys.uses(context.Background(), []digest{d})
	if err != nil || now-noted[0].millis >= SessionIdle.Milliseconds() {
		return nil, err
	}
	return e, nil
}

// groupOf names a tenant, or with none all operators, in the sets of sessions.
func groupOf(t tenants.ID) string {
	if t.IsZero() {
		return ofOperators
	}
	return t.String()
}

// Sessions returns the sessions of a tenant that hold, or those of operators for no tenant; the oldest of each owner first.
// With ownerID it is those of one key or member.
func (a *Authenticator) Sessions(ctx context.Context, t tenants.ID, ownerID string) ([]Session, error) {
	return a.sessions(ctx, groupOf(t), ownerID)
}

func (a *Authenticator) sessions(ctx context.Context, group, ownerID string) ([]Session, error) {
	prefix := group + "/"
	if ownerID != "" {
		prefix += ownerID + "/"
	}
	list, now, err := a.keys.readSessions(ctx, prefix)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s Session) bool { return s.Identity != nil && !a.signsIn(s.Identity.Issuer) })
	return a.holding(ctx, list, now)
}

// holding returns those of a list that hold at a time by the clock of Redis, in milliseconds since 1970.
func (a *Authenticator) holding(ctx context.Context, list []Session, now int64) ([]Session, error) {
	list = slices.DeleteFunc(list, func(s Session) bool {
		return s.ExpiresAt.UnixMilli() <= now || now-s.LastUsedAt.UnixMilli() >= SessionIdle.Milliseconds()
	})
	return a.keys.withOwners(ctx, list, now)
}

// readSessions returns all sessions whose entries begin with prefix, and the time of Redis.
func (k *KeyStore) readSessions(ctx context.Context, prefix string) ([]Session, int64, error) {
	found, now, err := k.entries(ctx, sessionIndexKey, prefix, MaxSessions)
	list := make([]Session, 0, len(found))
	for _, f := range found {
		s, err := newSession(f)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, s)
	}
	return list, now, err
}

func newSession(f listed) (Session, error) {
	r, err := parseRecord(f.text)
	if err != nil {
		return Session{}, err
	}
	parts := strings.Split(f.entry, "/")
	owner, ok := parseDigest(r.Of)
	if !ok || r.Session == nil || len(parts) != 4 {
		return Session{}, engine.ErrBroken.Because(fmt.Errorf("record of session %s is damaged", r.ID))
	}
	s := Session{ID: r.ID, Kind: r.Kind, OwnerID: parts[1], Agent: r.Session.Agent, Address: r.Session.Address,
		CreatedAt: instant(r.CreatedAt), LastUsedAt: instant(max(r.CreatedAt, f.used.millis)), ExpiresAt: instant(r.ExpiresAt),
		Identity: r.Session.Identity.identity(), View: r.Session.View.view(), text: f.text, entry: f.entry, owner: owner, epoch: r.Session.Epoch}
	s.Linked = r.Session.Link != "" && s.Identity == nil
	s.Tenant, _ = tenants.ParseID(r.Tenant)
	return s, nil
}

// withOwners returns those sessions whose owners still hold, with the names of these.
func (k *KeyStore) withOwners(ctx context.Context, list []Session, now int64) ([]Session, error) {
	owners := map[digest]record{}
	for _, s := range list {
		owners[s.owner] = record{}
	}
	wanted := make([]digest, 0, len(owners))
	for d := range owners {
		wanted = append(wanted, d)
	}
	for part := range slices.Chunk(wanted, maxLookup) {
		found, err := k.lookup(ctx, part)
		if err != nil {
			return nil, err
		}
		for i, text := range found.records {
			if text == "" {
				delete(owners, part[i])
				continue
			}
			r, err := parseRecord(text)
			if err != nil {
				return nil, err
			}
			if r.RevokedAt != 0 || r.ExpiresAt != 0 && r.ExpiresAt <= now {
				delete(owners, part[i])
				continue
			}
			owners[part[i]] = r
		}
	}
	kept := list[:0]
	for _, s := range list {
		r, ok := owners[s.owner]
		if m := r.Member; ok && m != nil {
			s.Email, s.Role, ok = m.Email, r.Scopes[0], m.Epoch == s.epoch
		}
		if ok {
			s.OwnerName = r.Name
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// EndSessions ends sessions: at once on this server, within 5 s on all others.
func (k *KeyStore) EndSessions(ctx context.Context, list ...Session) error {
	for part := range slices.Chunk(list, maxDrop) {
		args, ended := []any{newMark()}, make([]digest, len(part))
		for i, s := range part {
			args = append(args, s.entry)
			ended[i], _ = parseDigest(s.entry[strings.LastIndexByte(s.entry, '/')+1:])
		}
		if _, err := k.run(ctx, endSessionsScript, sessionKeys, args...); err != nil {
			return err
		}
		k.tell(ended)
	}
	return nil
}

// endDeadSessions ends the sessions of a group that hold no more, but of which Redis still knows: those whose owner has gone, or
// has another password, and those that nobody has used for too long.
func (a *Authenticator) endDeadSessions(ctx context.Context, group string) error {
	list, now, err := a.keys.readSessions(ctx, group+"/")
	if err != nil {
		return err
	}
	alive, err := a.holding(ctx, slices.Clone(list), now)
	if err != nil {
		return err
	}
	held := make(map[string]bool, len(alive))
	for _, s := range alive {
		held[s.ID] = true
	}
	return a.keys.EndSessions(ctx, slices.DeleteFunc(list, func(s Session) bool { return held[s.ID] })...)
}

// endSessionsOf ends all sessions of a tenant.
func (k *KeyStore) endSessionsOf(ctx context.Context, t tenants.ID) error {
	list, _, err := k.readSessions(ctx, groupOf(t)+"/")
	if err != nil {
		return err
	}
	return k.EndSessions(ctx, list...)
}
