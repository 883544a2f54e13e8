package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// A member is somebody who signs in to a tenant with an e-mail address and a password, and an operator who does so is one of
// no tenant. Who is a member of two tenants has two accounts with a password each: no tenant gets hold of what somebody is
// elsewhere. The record of a member lies among those of the keys, under a digest of tenant and address.
const (
	// MaxMembers bounds the members of a tenant, and the operators.
	MaxMembers = 1000
	// MaxMemberName and MaxEmail bound a name and an address, in bytes.
	MaxMemberName = 128
	MaxEmail      = 254
	// MinInvitation, MaxInvitation and DefaultInvitation say for how long an invitation holds.
	MinInvitation     = time.Minute
	MaxInvitation     = 30 * 24 * time.Hour
	DefaultInvitation = 7 * 24 * time.Hour
	// MaxAccounts bounds the accounts of one address among which a password finds the one that is meant.
	MaxAccounts = 10

	invitationPrefix = "sli_"
)

// The errors of members.
var (
	ErrMemberNotFound = &errs.Error{Kind: errs.NotFound, Code: "member_not_found",
		Message: "There is no such member."}
	ErrMemberExists = &errs.Error{Kind: errs.Conflict, Code: "member_exists",
		Message: "There is a member with this e-mail address.",
		Fix:     "Change the role with PATCH, or make a new invitation: POST …/{id}/invitation."}
	ErrMemberChanged = &errs.Error{Kind: errs.Conflict, Code: "member_changed",
		Message: "Somebody else changed this member just now.",
		Fix:     "Send the request again."}
	ErrLastOwner = &errs.Error{Kind: errs.Conflict, Code: "last_owner",
		Message: "This is the last owner of the tenant who can sign in.",
		Fix:     `Make another member an owner before, one who has a password: PATCH /v1/members/{id} {"role":"owner"}. An operator need not.`}
	ErrTooManyMembers = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("There are %d members, and no more are allowed.", MaxMembers),
		Fix:     "Remove members who are no more."}
	ErrInvitationEnded = &errs.Error{Kind: errs.NotFound, Code: "invitation_ended",
		Message: "This invitation has been used, has expired, or never was.",
		Fix:     "Ask whoever manages the members for a new one."}
	ErrSeveralTenants = &errs.Error{Kind: errs.Conflict, Code: "several_tenants",
		Message: "This e-mail address and password belong to members of several tenants.",
		Fix:     `Name the one that is meant: "tenant".`}
)

// Member is what anybody may know of a member.
type Member struct {
	ID         string
	Kind       Kind
	TenantName string // "" for an operator
	Email      string
	Name       string
	Role       string
	Invited    bool      // he has no password yet
	InvitedTo  time.Time // until when his invitation holds; zero: he has none
	CreatedAt  time.Time
	LastUsedAt time.Time // up to a minute behind; zero: never

	text   string // the record, as it was read
	digest digest
	record record
}

// memberRecord is what a record says besides, when it is that of a member.
type memberRecord struct {
	Email string `json:"email"`
	// Password is its hash, "" for who has none yet.
	Password string `json:"password,omitempty"`
	// Epoch is another one whenever the password is; with it go all sessions.
	Epoch string `json:"epoch,omitempty"`
	// Invitation is the digest of the one that holds, if any, until InvitedTo in milliseconds since 1970.
	Invitation string `json:"invitation,omitempty"`
	InvitedTo  int64  `json:"invited_to,omitempty"`
}

// Invitation is what somebody sets a password with, once.
type Invitation struct {
	Token     Secret
	ExpiresAt time.Time
}

// NewMember is what a caller may say of a new member.
type NewMember struct {
	Email, Name, Role string
	// Lifetime of the invitation, 1 minute to 30 days. Default: 7 days.
	Lifetime time.Duration
	// By is who asks. A member may no more than that: what goes beyond is ErrPermissionDenied.
	By Principal
}

// member returns the digest under which a member's record lies. address is as normalEmail returns it.
func (p *passwords) member(t tenants.ID, address string) (d digest) {
	copy(d[:], p.mac("member", groupOf(t)+"\x00"+address))
	return d
}

// address returns the digest of an e-mail address.
func (p *passwords) address(address string) string {
	return hex.EncodeToString(p.mac("address", address))
}

func (d digest) memberID() string {
	var id engine.ID
	sum := sha256.Sum256(append([]byte("member id "), d[:]...))
	copy(id[:], sum[:])
	return "usr_" + id.String()
}

// normalEmail returns an address in the one form in which it is compared.
func normalEmail(text string) (string, error) {
	user, host, ok := strings.Cut(text, "@")
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>"(),:;\[]`, r)
	}
	if !ok || user == "" || host == "" || strings.Contains(host, "@") || len(text) > MaxEmail || !utf8.ValidString(text) || strings.ContainsFunc(text, bad) {
		return "", errs.Invalidf("/email", "must be an e-mail address of at most %d bytes, such as ana@example.com", MaxEmail)
	}
	return strings.ToLower(text), nil
}

func checkMemberName(name string) error {
	if len(name) > MaxMemberName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return errs.Invalidf("/name", "must have at most %d bytes of UTF-8 without control characters", MaxMemberName)
	}
	return nil
}

func checkRole(role string) error {
	if _, ok := roles[role]; !ok {
		return errs.Invalidf("/role", "must be owner, developer, operator, viewer or viewer_without_bodies")
	}
	return nil
}

// mayManage refuses who may less than a member with this role. Like a key, nobody gives more than he has.
func (p Principal) mayManage(kind Kind, role string) error {
	g := p.Grants
	if more := parseScope(role) & ofKind[kind] &^ g.Allowed(); more != 0 {
		return tooMuch("/role", "is one that may "+strings.Join(more.Names(), ", ")+", which the key of this request may not")
	}
	if p.Kind != kind {
		return nil
	}
	if g.Limited() || len(g.Addresses) > 0 || !g.ExpiresAt.IsZero() {
		return tooMuch("/role", "is for ever, for all queues and from everywhere, which the key of this request is not")
	}
	return nil
}

// mustKeepOwner reports whether a caller may not take the last owner from a tenant: nobody there could give it another one.
func (p Principal) mustKeepOwner() bool { return p.Kind != KindOperator }

func newMember(text string, d digest, used int64) (Member, error) {
	r, err := parseRecord(text)
	if err == nil && (r.Member == nil || len(r.Scopes) != 1) {
		err = engine.ErrBroken.Because(fmt.Errorf("record of member %s is damaged", r.ID))
	}
	if err != nil {
		return Member{}, err
	}
	m := r.Member
	return Member{ID: r.ID, Kind: r.Kind, TenantName: r.TenantName, Email: m.Email, Name: r.Name, Role: r.Scopes[0], Invited: m.Password == "",
		InvitedTo: instant(m.InvitedTo), CreatedAt: instant(r.CreatedAt), LastUsedAt: instant(used), text: text, digest: d, record: r}, nil
}

// Members returns the members of a tenant, or with none the operators who have a password, by address.
func (a *Authenticator) Members(ctx context.Context, t tenants.ID) ([]Member, error) {
	found, now, err := a.keys.entries(ctx, memberIndexKey, groupOf(t)+"/", MaxMembers)
	if err != nil {
		return nil, err
	}
	list := make([]Member, 0, len(found))
	for _, f := range found {
		d, _ := parseDigest(f.entry[len(f.entry)-2*len(digest{}):])
		m, err := newMember(f.text, d, f.used.millis)
		if err != nil {
			return nil, err
		}
		if m.InvitedTo.UnixMilli() <= now {
			m.InvitedTo = time.Time{}
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(x, y Member) int { return cmp.Or(cmp.Compare(x.Email, y.Email), cmp.Compare(x.ID, y.ID)) })
	return list, nil
}

// Member returns a member of a tenant, or with none an operator.
func (a *Authenticator) Member(ctx context.Context, t tenants.ID, id string) (Member, error) {
	list, err := a.Members(ctx, t)
	if err != nil {
		return Member{}, err
	}
	i := slices.IndexFunc(list, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, ErrMemberNotFound
	}
	return list[i], nil
}

// Invite makes somebody a member of a tenant, or with none an operator. He sets a password with the invitation.
func (a *Authenticator) Invite(ctx context.Context, t tenants.ID, tenantName string, n NewMember) (Member, Invitation, error) {
	address, err := normalEmail(n.Email)
	if err == nil {
		err = checkMemberName(n.Name)
	}
	if err == nil {
		err = checkRole(n.Role)
	}
	if err != nil {
		return Member{}, Invitation{}, err
	}
	kind := KindTenant
	if t.IsZero() {
		kind = KindOperator
	}
	if err := n.By.mayManage(kind, n.Role); err != nil {
		return Member{}, Invitation{}, err
	}
	d := a.passwords.member(t, address)
	now, err := a.instant(ctx)
	if err != nil {
		return Member{}, Invitation{}, err
	}
	r := record{ID: d.memberID(), Name: n.Name, Kind: kind, Scopes: []string{n.Role}, CreatedAt: now, Member: &memberRecord{Email: address}}
	if !t.IsZero() {
		r.Tenant, r.TenantName = t.String(), tenantName
	}
	m, i, err := a.invite(ctx, Member{digest: d}, r, n.Lifetime)
	if errors.Is(err, ErrMemberChanged) {
		err = ErrMemberExists
	}
	return m, i, err
}

// InviteAgain gives a member another invitation, with which he sets another password. The one before holds no more. What he
// has until then, he keeps.
func (a *Authenticator) InviteAgain(ctx context.Context, m Member, lifetime time.Duration, by Principal) (Member, Invitation, error) {
	if err := by.mayManage(m.Kind, m.Role); err != nil {
		return Member{}, Invitation{}, err
	}
	return a.invite(ctx, m, m.record, lifetime)
}

// invite stores a record, in the place of what m was, with a new invitation.
func (a *Authenticator) invite(ctx context.Context, m Member, r record, lifetime time.Duration) (Member, Invitation, error) {
	if lifetime == 0 {
		lifetime = DefaultInvitation
	}
	if lifetime < MinInvitation || lifetime > MaxInvitation {
		return Member{}, Invitation{}, errs.Invalidf("/expires_in", "must be %d to %d seconds", int(MinInvitation.Seconds()), int(MaxInvitation.Seconds()))
	}
	now, err := a.instant(ctx)
	if err != nil {
		return Member{}, Invitation{}, err
	}
	i := Invitation{Token: newText(invitationPrefix)}
	d := a.keys.hasher.digest(string(i.Token))
	ends := now + lifetime.Milliseconds()
	i.ExpiresAt = instant(ends)
	before, next := *r.Member, *r.Member
	next.Invitation, next.InvitedTo = d.String(), ends
	r.Member = &next
	body, err := json.Marshal(record{Of: m.digest.String(), ExpiresAt: ends})
	if err != nil {
		return Member{}, Invitation{}, err
	}
	got, err := a.putMember(ctx, m, r, change{ends: before.Invitation, begins: d.String(), invitation: string(body)})
	return got, i, err
}

// change is what happens besides when the record of a member is stored.
type change struct {
	ends               string // digest of the invitation that ends, or ""
	used               bool   // that one must be there
	begins, invitation string // digest of a new invitation and its record, or ""
	keepsOwner         bool   // the tenant must keep an owner who has a password
}

// putMember stores a record in the place of what m was.
func (a *Authenticator) putMember(ctx context.Context, m Member, r record, c change) (Member, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return Member{}, err
	}
	group := ofOperators
	if r.Tenant != "" {
		group = r.Tenant
	}
	got, err := a.keys.run(ctx, putMemberScript, memberKeys, m.digest.String(), m.text, string(text), group, a.passwords.address(r.Member.Email),
		newMark(), MaxMembers, c.ends, flag(c.used), c.begins, c.invitation, flag(c.keepsOwner))
	a.keys.tell([]digest{m.digest})
	switch {
	case err != nil:
		return Member{}, err
	case got[0] == "changed":
		return Member{}, ErrMemberChanged
	case got[0] == "gone":
		return Member{}, tenants.ErrNotFound
	case got[0] == "used":
		return Member{}, ErrInvitationEnded
	case got[0] == "full":
		return Member{}, ErrTooManyMembers
	case got[0] == "last":
		return Member{}, ErrLastOwner
	}
	next, err := newMember(string(text), m.digest, 0)
	next.LastUsedAt = m.LastUsedAt
	return next, err
}

// ChangeMember gives a member another name or role; nil leaves it as it is. His sessions have the new role within 5 s.
// ErrLastOwner keeps a tenant from being without one, unless an operator asks.
func (a *Authenticator) ChangeMember(ctx context.Context, m Member, name, role *string, by Principal) (Member, error) {
	if err := by.mayManage(m.Kind, m.Role); err != nil {
		return Member{}, err
	}
	r := m.record
	if name != nil {
		if err := checkMemberName(*name); err != nil {
			return Member{}, err
		}
		r.Name = *name
	}
	if role != nil {
		if err := checkRole(*role); err != nil {
			return Member{}, err
		}
		if err := by.mayManage(m.Kind, *role); err != nil {
			return Member{}, err
		}
		r.Scopes = []string{*role}
	}
	return a.putMember(ctx, m, r, change{keepsOwner: by.mustKeepOwner()})
}

// RemoveMember removes a member. His sessions end at once on this server, within 5 s on all others. ErrLastOwner keeps a
// tenant from being without one, unless an operator asks.
func (a *Authenticator) RemoveMember(ctx context.Context, m Member, by Principal) error {
	if err := by.mayManage(m.Kind, m.Role); err != nil {
		return err
	}
	return a.keys.removeMember(ctx, m, a.passwords.address(m.Email), by.mustKeepOwner())
}

func (k *KeyStore) removeMember(ctx context.Context, m Member, address string, keepsOwner bool) error {
	group := ofOperators
	if m.record.Tenant != "" {
		group = m.record.Tenant
	}
	got, err := k.run(ctx, removeMemberScript, []string{recordsKey, memberIndexKey, memberEmailsKey, usesKey},
		m.digest.String(), group, address, newMark(), m.record.Member.Invitation, flag(keepsOwner))
	k.tell([]digest{m.digest})
	if err == nil && got[0] == "last" {
		err = ErrLastOwner
	}
	return err
}

// removeMembers removes all members of a tenant.
func (a *Authenticator) removeMembers(ctx context.Context, t tenants.ID) error {
	list, err := a.Members(ctx, t)
	for _, m := range list {
		err = errors.Join(err, a.keys.removeMember(ctx, m, a.passwords.address(m.Email), false))
	}
	return err
}

// Invited returns who was invited with a token. ErrInvitationEnded is the answer to those that hold no more.
func (a *Authenticator) Invited(ctx context.Context, token string) (Member, error) {
	d, i, err := a.once(ctx, token, invitationPrefix, ErrInvitationEnded)
	if err != nil {
		return Member{}, err
	}
	of, ok := parseDigest(i.Of)
	if !ok {
		return Member{}, ErrInvitationEnded
	}
	found, err := a.keys.lookup(ctx, []digest{of})
	if err != nil {
		return Member{}, err
	}
	if found.records[0] == "" {
		return Member{}, ErrInvitationEnded
	}
	m, err := newMember(found.records[0], of, 0)
	if err == nil && m.record.Member.Invitation != d.String() { // it was for a member whom this one has followed
		return Member{}, ErrInvitationEnded
	}
	return m, err
}

// Accept sets the password of whoever was invited, and ends the invitation with all sessions of the member. A name that is
// given is the member's from now on.
func (a *Authenticator) Accept(ctx context.Context, token, name, password string) (Member, error) {
	m, err := a.Invited(ctx, token)
	if err != nil {
		return Member{}, err
	}
	if err := checkPassword("/password", password, m.Email); err != nil {
		return Member{}, err
	}
	if err := checkMemberName(name); err != nil {
		return Member{}, err
	}
	r := m.record
	if name != "" {
		r.Name = name
	}
	return a.setPassword(ctx, m, r, password, a.keys.hasher.digest(token).String(), true)
}

// setPassword stores a record with another password. invitation is the one that ends with it, or "".
func (a *Authenticator) setPassword(ctx context.Context, m Member, r record, password, invitation string, used bool) (Member, error) {
	hash, err := a.passwords.hash(ctx, m.Email, password)
	if err != nil {
		return Member{}, err
	}
	next := *r.Member
	next.Password, next.Epoch, next.Invitation, next.InvitedTo = hash, rand.Text(), "", 0
	r.Member = &next
	return a.putMember(ctx, m, r, change{ends: invitation, used: used})
}

// ChangePassword sets another password for a member who knows the one that he has. All his sessions end.
func (a *Authenticator) ChangePassword(ctx context.Context, m Member, was, next, address string) (Member, error) {
	if err := checkPassword("/new", next, m.Email); err != nil {
		return Member{}, err
	}
	if err := a.guesses.take(m.ID, address, a.now()); err != nil {
		return Member{}, err
	}
	hash, err := a.passwords.hash(ctx, m.Email, was[:min(len(was), MaxPassword)])
	if err != nil {
		return Member{}, err
	}
	if !sameHash(hash, m.record.Member.Password) {
		return Member{}, ErrSignInFailed
	}
	a.guesses.right(m.ID, address)
	return a.setPassword(ctx, m, m.record, next, m.record.Member.Invitation, false)
}

// SignIn returns the member with an e-mail address and a password, in a tenant or, with "", wherever there is one. The answer
// to what does not hold is ErrSignInFailed, and it takes as long whether or not there is such an account. An operator is
// found before the member of any tenant; of several tenants none is: ErrSeveralTenants names them. With ErrSignInFailed come
// those whom the address means: that is for the audit log, and not for who asks.
func (a *Authenticator) SignIn(ctx context.Context, tenant, email, password, address string) (m Member, about []Member, err error) {
	email, err = normalEmail(email)
	if err != nil || len(password) > MaxPassword {
		return Member{}, nil, ErrSignInFailed // what is no address is nobody's
	}
	account := a.passwords.address(email)
	if err := a.guesses.take(account, address, a.now()); err != nil {
		return Member{}, nil, err
	}
	hash, err := a.passwords.hash(ctx, email, password)
	if err != nil {
		return Member{}, nil, err
	}
	found, _, err := a.keys.entries(ctx, memberEmailsKey, account+"/", MaxAccounts)
	if tenant != "" && err == nil {
		found, err = a.accountIn(ctx, tenant, email)
	}
	if err != nil {
		return Member{}, nil, err
	}
	var right []Member
	for _, f := range found {
		d, _ := parseDigest(f.entry[len(f.entry)-2*len(digest{}):])
		m, err := newMember(f.text, d, f.used.millis)
		if err != nil {
			return Member{}, nil, err
		}
		if about = append(about, m); sameHash(hash, m.record.Member.Password) {
			right = append(right, m)
		}
	}
	if len(right) == 0 {
		return Member{}, about, ErrSignInFailed
	}
	a.guesses.right(account, address)
	if i := slices.IndexFunc(right, func(m Member) bool { return m.Kind == KindOperator }); i >= 0 {
		return right[i], nil, nil
	}
	if len(right) > 1 {
		e := *ErrSeveralTenants
		for _, m := range right {
			e.Fields = append(e.Fields, errs.Field{Pointer: "/tenant", Code: "choice", Message: m.TenantName})
		}
		return Member{}, nil, &e
	}
	return right[0], nil, nil
}

// accountIn returns the account of an address in one tenant, if there is one.
func (a *Authenticator) accountIn(ctx context.Context, tenant, email string) ([]listed, error) {
	t, err := a.byName(ctx, tenant)
	if errors.Is(err, tenants.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := a.passwords.member(t, email)
	found, err := a.keys.lookup(ctx, []digest{d})
	if err != nil || found.records[0] == "" {
		return nil, err
	}
	return []listed{{entry: d.String(), text: found.records[0]}}, nil
}

// OpenMemberSession opens a session for a member.
func (a *Authenticator) OpenMemberSession(ctx context.Context, m Member, agent, address string) (Session, Secret, error) {
	return a.openSession(ctx, opening{owner: m.digest, by: m.Principal(), epoch: m.record.Member.Epoch, agent: agent, address: address})
}

// Principal returns what a member is and may.
func (m Member) Principal() Principal {
	p := Principal{Kind: m.Kind, MemberID: m.ID, TenantName: m.TenantName}
	p.Tenant, _ = tenants.ParseID(m.record.Tenant)
	p.Grants, _ = m.record.grants() // which fails for addresses only
	return p
}
