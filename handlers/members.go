package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Member is somebody who signs in with an e-mail address and a password: a member of a tenant, or an operator.
type Member struct {
	ID    string `json:"id" example:"usr_0kq1zv3m5c8g02r4b7fg"`
	Email string `json:"email" example:"ana@example.com"`
	// Empty when nobody has said it.
	Name string `json:"name" example:"Ana"`
	// What the member may do.
	Role string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies"`
	// Whether the member has no password yet.
	Invited bool `json:"invited"`
	// Until when the invitation holds; null for a member who has none.
	InvitationExpiresAt *Instant `json:"invitation_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	CreatedAt           Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When a session of the member was last used, up to a minute behind; null for never.
	LastUsedAt *Instant `json:"last_used_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// InvitedMember is a member with an invitation, which nobody can show again.
type InvitedMember struct {
	Member
	Invitation Invitation `json:"invitation"`
}

// Invitation is what somebody sets a password with, once: `POST /v1/invitations/accept`.
type Invitation struct {
	// Whoever has it can set the password.
	Token     string  `json:"token" example:"sli_…"`
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

// MemberInput is what a caller says of a new member.
type MemberInput struct {
	Email string `json:"email" validate:"min=3,max=254" example:"ana@example.com"`
	Name  string `json:"name,omitempty" validate:"max=128" example:"Ana"`
	// What the member may do: no more than who asks.
	Role string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies" example:"developer"`
	// Seconds that the invitation holds, or text such as "4d".
	ExpiresIn int `json:"expires_in,omitempty" validate:"min=60,max=2592000" default:"604800" example:"604800"`
}

// MemberPatch is what changes of a member. What is left out stays.
type MemberPatch struct {
	Name string `json:"name,omitempty" validate:"max=128" example:"Ana"`
	Role string `json:"role,omitempty" enums:"owner,developer,operator,viewer,viewer_without_bodies" example:"viewer"`
}

// InvitationInput says for how long an invitation holds.
type InvitationInput struct {
	// Seconds, or text such as "4d".
	ExpiresIn int `json:"expires_in,omitempty" validate:"min=60,max=2592000" default:"604800" example:"604800"`
}

// Acceptance is what somebody says who was invited.
type Acceptance struct {
	Token string `json:"token" example:"sli_…"`
	// Default: as it was.
	Name string `json:"name,omitempty" validate:"max=128" example:"Ana"`
	// At least 10 characters, at most 1,024 bytes.
	Password string `json:"password" validate:"min=10,max=1024" example:"correct horse battery staple"`
}

// PasswordChange is another password of a member.
type PasswordChange struct {
	// The one that holds.
	Current string `json:"current" validate:"max=1024" example:"correct horse battery staple"`
	// At least 10 characters, at most 1,024 bytes.
	New string `json:"new" validate:"min=10,max=1024" example:"a different battery staple"`
}

func newMember(m auth.Member) Member {
	return Member{ID: m.ID, Email: m.Email, Name: m.Name, Role: m.Role, Invited: m.Invited, InvitationExpiresAt: instant(m.InvitedTo),
		CreatedAt: Instant{m.CreatedAt}, LastUsedAt: instant(m.LastUsedAt)}
}

// memberState is what the audit log shows of a member.
func memberState(a *API, c echo.Context, owner tenants.ID, id string) (any, error) {
	m, err := a.Auth.Member(c.Request().Context(), owner, id)
	if err != nil {
		return nil, err
	}
	return settings(newMember(m), "last_used_at")
}

// listMembers shows the members of a tenant.
//
//	@Summary		List the members
//	@Description	By e-mail address, and all of them: there are at most 1,000.
//	@ID				listMembers
//	@Tags			members
//	@Success		200	{object}	Page[Member]	"The members"
//	@Failure		400	{object}	Problem			"The request is malformed"
//	@Failure		404	{object}	Problem			"The header Tenant names no tenant of this key"
//	@Failure		415	{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem			"A value is not allowed"
//	@Router			/v1/members [get]
func (a *API) listMembers(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	list, err := a.Auth.Members(c.Request().Context(), RequestOf(c).Tenant)
	if err != nil {
		return err
	}
	data := make([]Member, len(list))
	for i, m := range list {
		data[i] = newMember(m)
	}
	return answerPage(a, c, data, "")
}

// inviteMember makes somebody a member of a tenant.
//
//	@Summary		Invite a member
//	@Description	The answer is the only place that ever shows the invitation: Sluice sends no mail. Whoever has it sets the password of the new member. No key and no member gives a role that may more than he does himself.
//	@ID				inviteMember
//	@Tags			members
//	@Accept			json
//	@Param			member	body		MemberInput		true	"The member"
//	@Success		201		{object}	InvitedMember	"Invited"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"The header Tenant names no tenant of this key"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"There is a member with this address (`member_exists`)"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/members [post]
func (a *API) inviteMember(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	req := RequestOf(c)
	n := auth.NewMember{By: req.Principal}
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"email", "name", "role", "expires_in"}, func(key []byte) {
			switch string(key) {
			case "email":
				n.Email = r.shortText()
			case "name":
				n.Name = r.shortText()
			case "role":
				n.Role = r.shortText()
			case "expires_in":
				n.Lifetime = r.invitationLife()
			}
		})
	})
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), ""
	if !req.Tenant.IsZero() {
		t, err := a.Tenants.ByID(ctx, req.Tenant)
		if err != nil {
			return err
		}
		name = t.Name
	}
	m, i, err := a.Auth.Invite(ctx, req.Tenant, name, n)
	if err != nil {
		return err
	}
	return a.answerInvited(c, m, i)
}

func (a *API) answerInvited(c echo.Context, m auth.Member, i auth.Invitation) error {
	made(c, m.ID)
	return a.json(c, http.StatusCreated, InvitedMember{Member: newMember(m), Invitation: Invitation{Token: i.Token.Reveal(), ExpiresAt: Instant{i.ExpiresAt}}})
}

// shortText reads a text, whatever is in it.
func (r *reader) shortText() string {
	s, _ := r.str()
	return string(s)
}

func (r *reader) invitationLife() time.Duration {
	d, ok := r.duration()
	if ok && (d < auth.MinInvitation || d > auth.MaxInvitation) {
		r.fault("out_of_range", "must be %d to %d seconds", wholeSeconds(auth.MinInvitation), wholeSeconds(auth.MaxInvitation))
	}
	return d
}

// member returns the member that the path of a request names.
func (a *API) member(c echo.Context) (auth.Member, error) {
	if _, err := readQuery(c); err != nil {
		return auth.Member{}, err
	}
	return a.Auth.Member(c.Request().Context(), RequestOf(c).Tenant, c.Param("id"))
}

// inviteMemberAgain makes a new invitation for a member.
//
//	@Summary		Invite a member again
//	@Description	Also for one who has forgotten his password: the old one holds until another one is set. The invitation before holds no more.
//	@ID				inviteMemberAgain
//	@Tags			members
//	@Accept			json
//	@Param			id			path		string			true	"Id of the member"
//	@Param			invitation	body		InvitationInput	false	"The invitation"
//	@Success		201			{object}	InvitedMember	"Invited"
//	@Failure		400			{object}	Problem			"The request is malformed"
//	@Failure		404			{object}	Problem			"No such member"
//	@Failure		408			{object}	Problem			"The body did not arrive in time"
//	@Failure		409			{object}	Problem			"Somebody else changed the member just now (`member_changed`)"
//	@Failure		413			{object}	Problem			"The body is too large"
//	@Failure		415			{object}	Problem			"The body is not JSON"
//	@Failure		422			{object}	Problem			"A value is not allowed"
//	@Failure		507			{object}	Problem			"The storage is full"
//	@Router			/v1/members/{id}/invitation [post]
func (a *API) inviteMemberAgain(c echo.Context) error {
	m, err := a.member(c)
	if err != nil {
		return err
	}
	var lifetime time.Duration
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"expires_in"}, func(key []byte) {
			if string(key) == "expires_in" {
				lifetime = r.invitationLife()
			}
		})
	})
	if err != nil {
		return err
	}
	m, i, err := a.Auth.InviteAgain(c.Request().Context(), m, lifetime, RequestOf(c).Principal)
	if err != nil {
		return err
	}
	return a.answerInvited(c, m, i)
}

// updateMember changes a member.
//
//	@Summary		Change a member
//	@Description	His sessions have the new role at once on the server that answers, within 5 seconds on all others. The last owner who has a password stays one, unless an operator asks.
//	@ID				updateMember
//	@Tags			members
//	@Accept			json
//	@Param			id		path		string		true	"Id of the member"
//	@Param			member	body		MemberPatch	true	"What changes"
//	@Success		200		{object}	Member		"Changed"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such member"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		409		{object}	Problem		"Somebody else changed the member just now (`member_changed`), or he is the last owner (`last_owner`)"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Failure		507		{object}	Problem		"The storage is full"
//	@Router			/v1/members/{id} [patch]
func (a *API) updateMember(c echo.Context) error {
	m, err := a.member(c)
	if err != nil {
		return err
	}
	var name, role *string
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"name", "role"}, func(key []byte) {
			switch string(key) {
			case "name":
				s := r.shortText()
				name = &s
			case "role":
				s := r.shortText()
				role = &s
			}
		})
	})
	if err != nil {
		return err
	}
	if m, err = a.Auth.ChangeMember(c.Request().Context(), m, name, role, RequestOf(c).Principal); err != nil {
		return err
	}
	return a.json(c, http.StatusOK, newMember(m))
}

// removeMember removes a member.
//
//	@Summary		Remove a member
//	@Description	His sessions end at once on the server that answers, within 5 seconds on all others. Keys that he made go on. The last owner who has a password stays, unless an operator asks.
//	@ID				removeMember
//	@Tags			members
//	@Param			id	path	string	true	"Id of the member"
//	@Success		204	"Removed"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such member"
//	@Failure		409	{object}	Problem	"He is the last owner (`last_owner`)"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/members/{id} [delete]
func (a *API) removeMember(c echo.Context) error {
	m, err := a.member(c)
	if err != nil {
		return err
	}
	if err := a.Auth.RemoveMember(c.Request().Context(), m, RequestOf(c).Principal); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// acceptInvitation sets a password and signs in.
//
//	@Summary		Accept an invitation
//	@Description	Sets the password of the member who was invited, and signs him in: the answer and its cookie are those of `POST /v1/session`. All sessions that he had end. An invitation is accepted once.
//	@ID				acceptInvitation
//	@Tags			members
//	@Accept			json
//	@Param			acceptance	body		Acceptance	true	"Who accepts"
//	@Success		201			{object}	Session		"Signed in"
//	@Header			201			{string}	Set-Cookie	"The session"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		403			{object}	Problem		"Not over this connection, not from this page, or not now"
//	@Failure		404			{object}	Problem		"The invitation holds no more (`invitation_ended`)"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		409			{object}	Problem		"Somebody else changed the member just now (`member_changed`)"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Failure		507			{object}	Problem		"The storage is full"
//	@Router			/v1/invitations/accept [post]
//	@x-public		true
func (a *API) acceptInvitation(c echo.Context) error {
	if err := a.mayHaveSession(c); err != nil {
		return err
	}
	var token, name, password string
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"token", "name", "password"}, func(key []byte) {
			switch string(key) {
			case "token":
				token = r.shortText()
			case "name":
				name = r.shortText()
			case "password":
				password = r.shortText()
			}
		})
	})
	if err != nil {
		return err
	}
	m, err := a.Auth.Invited(c.Request().Context(), token)
	if err != nil {
		return err
	}
	return a.enter(c, m.Principal(), func() (auth.Session, auth.Secret, error) {
		made(c, m.ID)
		m, err := a.Auth.Accept(c.Request().Context(), token, name, password)
		if err != nil {
			return auth.Session{}, "", err
		}
		return a.Auth.OpenMemberSession(c.Request().Context(), m, agentOf(c), c.RealIP())
	})
}

// changePassword sets another password for the member who asks.
//
//	@Summary		Change the password
//	@Description	That of the member whose session this is. All his sessions end, and he gets a new one with the answer.
//	@ID				changePassword
//	@Tags			members
//	@Accept			json
//	@Param			password	body		PasswordChange	true	"Both passwords"
//	@Success		200			{object}	Session			"Changed"
//	@Header			200			{string}	Set-Cookie		"The new session"
//	@Failure		400			{object}	Problem			"The request is malformed"
//	@Failure		404			{object}	Problem			"The request did not come by the session of a member"
//	@Failure		408			{object}	Problem			"The body did not arrive in time"
//	@Failure		409			{object}	Problem			"Somebody else changed the member just now (`member_changed`)"
//	@Failure		413			{object}	Problem			"The body is too large"
//	@Failure		415			{object}	Problem			"The body is not JSON"
//	@Failure		422			{object}	Problem			"A value is not allowed, or the current password is another one"
//	@Failure		507			{object}	Problem			"The storage is full"
//	@Router			/v1/session/password [put]
func (a *API) changePassword(c echo.Context) error {
	if err := a.mayHaveSession(c); err != nil {
		return err
	}
	p, ctx := RequestOf(c).Principal, c.Request().Context()
	if p.MemberID == "" {
		return auth.ErrMemberNotFound
	}
	var was, next string
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"current", "new"}, func(key []byte) {
			switch string(key) {
			case "current":
				was = r.shortText()
			case "new":
				next = r.shortText()
			}
		})
	})
	if err != nil {
		return err
	}
	m, err := a.Auth.Member(ctx, p.Tenant, p.MemberID)
	if err != nil {
		return err
	}
	made(c, m.ID)
	m, err = a.Auth.ChangePassword(ctx, m, was, next, c.RealIP())
	if errors.Is(err, auth.ErrSignInFailed) { // 401 would say that the session is over
		err = invalid([]errs.Field{{Pointer: "/current", Code: "wrong", Message: "is not the password"}})
	}
	if err != nil {
		return err
	}
	s, text, err := a.Auth.OpenMemberSession(ctx, m, agentOf(c), c.RealIP())
	if err != nil {
		return err
	}
	return a.answerSession(c, http.StatusOK, s, text)
}
