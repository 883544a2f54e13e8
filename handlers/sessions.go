package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Session is the session of a browser, and who it belongs to.
type Session struct {
	ID   string `json:"id" example:"ses_0kq1zv3m5c8g02r4b7fg"`
	Kind string `json:"kind" enums:"tenant,operator"`
	// Whether every change is refused.
	ReadOnly bool `json:"read_only"`
	// The tenant that an operator views with it; null for none.
	ViewAs *SessionView `json:"view_as" extensions:"x-nullable"`
	// The tenant for which it acts; null for an operator's, which acts for the tenant that the header Tenant names.
	Tenant *CallerTenant `json:"tenant" extensions:"x-nullable"`
	// The key with which it was opened, and with which it ends; null for none.
	Key *SessionKey `json:"key" extensions:"x-nullable"`
	// Who has signed in with a password; null for none.
	Member *SessionMember `json:"member" extensions:"x-nullable"`
	// The portal link with which it was opened; null for none.
	PortalLink *SessionLink `json:"portal_link" extensions:"x-nullable"`
	// Who has signed in with an identity provider; null for none.
	Identity *SessionIdentity `json:"identity" extensions:"x-nullable"`
	// As they were given: scopes, wildcards and roles.
	Scopes []string `json:"scopes" example:"developer"`
	// Each scope that they mean.
	Allowed []string `json:"allowed" example:"messages:send"`
	// Patterns of the names of the queues that it reaches; null for all.
	Queues    []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	CreatedAt Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When it ends at the latest.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
	// Seconds without a request after which it ends.
	IdleTimeout int `json:"idle_timeout" example:"43200"`
}

// SessionKey is the key of a session.
type SessionKey struct {
	ID   string `json:"id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	Name string `json:"name" example:"ci"`
}

// SessionMember is the member, or the operator, of a session.
type SessionMember struct {
	ID    string `json:"id" example:"usr_0kq1zv3m5c8g02r4b7fg"`
	Email string `json:"email" example:"ana@example.com"`
	// Empty when nobody has said it.
	Name string `json:"name" example:"Ana"`
	Role string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies"`
}

// SessionLink is the portal link of a session.
type SessionLink struct {
	ID string `json:"id" example:"lnk_0kq1zv3m5c8g02r4b7fg"`
	// Empty when nobody has said it.
	Name string `json:"name" example:"ana@acme.example"`
}

// SessionIdentity is who has signed in with an identity provider.
type SessionIdentity struct {
	CallerIdentity
	// How the provider calls him for people; empty when it does not say so.
	Name string `json:"name" example:"Ana"`
}

// SignIn is what a session is opened with: a key, an e-mail address and a password, or a portal link.
type SignIn struct {
	// An API key, of a tenant or of an operator.
	Key string `json:"key,omitempty" example:"slk_…"`
	// Of a member or an operator.
	Email    string `json:"email,omitempty" example:"ana@example.com"`
	Password string `json:"password,omitempty" validate:"max=1024" example:"correct horse battery staple"`
	// Name of the tenant. Needed by who is a member of several with one password.
	Tenant string `json:"tenant,omitempty" example:"acme"`
	// A portal link, which ends with this.
	PortalLink string `json:"portal_link,omitempty" example:"slp_…"`
}

// OpenSession is one of the sessions that there are.
type OpenSession struct {
	ID   string `json:"id" example:"ses_0kq1zv3m5c8g02r4b7fg"`
	Kind string `json:"kind" enums:"tenant,operator"`
	// The key with which it was opened; null for none.
	Key *SessionKey `json:"key" extensions:"x-nullable"`
	// Who has signed in with a password; null for none.
	Member *SessionMember `json:"member" extensions:"x-nullable"`
	// The portal link with which it was opened; null for none.
	PortalLink *SessionLink `json:"portal_link" extensions:"x-nullable"`
	// Who has signed in with an identity provider; null for none.
	Identity *SessionIdentity `json:"identity" extensions:"x-nullable"`
	// What the browser called itself; empty when it said nothing.
	UserAgent string `json:"user_agent" example:"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`
	// From where it was opened.
	SourceIP  string  `json:"source_ip" example:"192.0.2.7"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// When it was last used, up to a minute behind.
	LastUsedAt Instant `json:"last_used_at" swaggertype:"string" format:"date-time"`
	// When it ends at the latest.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
	// Whether it is that of this request.
	Current bool `json:"current"`
}

// createSession opens a session.
//
//	@Summary		Sign in
//	@Description	Opens a session for a browser, which gets a cookie that no script can read: `__Host-sluice-session`. Requests with the cookie may what the key or the member may at that time. The session ends with the key or the member, when it is ended, after 12 hours without a request, and after 7 days. Each may have 20 sessions; with one more the oldest ends. What a portal link opens holds for an hour at most, and the link opens nothing else.
//	@Description
//	@Description	The same answer, after the same time, is given to an e-mail address that nobody has and to a wrong password. Who is wrong ten times waits up to 10 minutes (429 `too_many_attempts`), from this network; others are not kept from the account. Where a password belongs to members of several tenants, the answer 409 `several_tenants` names them in `errors`.
//	@Description
//	@Description	With a cookie, what a page of another site asks for is refused (403 `cross_origin`), and so are the content types of forms. Where a request has a cookie and `Authorization`, the cookie is not looked at. The cookie is `Secure`: over plain HTTP the answer is 403 `insecure_connection`, but on the machine itself.
//	@ID				createSession
//	@Tags			sessions
//	@Accept			json
//	@Param			session	body		SignIn	true	"Who signs in"
//	@Success		201		{object}	Session	"Signed in"
//	@Header			201		{string}	Set-Cookie	"The session"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		401		{object}	Problem	"The key or the password does not hold (`sign_in_failed`), or the portal link (`portal_link_ended`)"
//	@Failure		403		{object}	Problem	"Not over this connection, not from this page, or not now"
//	@Failure		408		{object}	Problem	"The body did not arrive in time"
//	@Failure		409		{object}	Problem	"The tenant must be named (`several_tenants`)"
//	@Failure		413		{object}	Problem	"The body is too large"
//	@Failure		415		{object}	Problem	"The body is not JSON"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Failure		507		{object}	Problem	"The storage is full"
//	@Router			/v1/session [post]
//	@x-public		true
func (a *API) createSession(c echo.Context) error {
	if err := a.mayHaveSession(c); err != nil {
		return err
	}
	in, err := a.readSignIn(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if in.PortalLink != "" {
		l, err := a.Auth.PortalLink(ctx, in.PortalLink, c.RealIP())
		if err != nil {
			return a.missed(c, err, nil)
		}
		return a.enter(c, l.Principal(), func() (auth.Session, auth.Secret, error) {
			return a.Auth.OpenPortalSession(ctx, l, agentOf(c), c.RealIP())
		})
	}
	if in.Key == "" {
		m, about, err := a.Auth.SignIn(ctx, in.Tenant, in.Email, in.Password, c.RealIP())
		if err != nil {
			return a.missed(c, err, about)
		}
		return a.enter(c, m.Principal(), func() (auth.Session, auth.Secret, error) {
			return a.Auth.OpenMemberSession(ctx, m, agentOf(c), c.RealIP())
		})
	}
	if _, err := auth.ParseKey(in.Key); err != nil {
		return a.missed(c, auth.ErrSignInFailed, nil)
	}
	p, err := a.Auth.Authenticate(ctx, in.Key, c.RealIP())
	if errors.Is(err, auth.ErrUnauthenticated) {
		err = auth.ErrSignInFailed
	}
	if err != nil {
		return a.missed(c, err, nil)
	}
	return a.enter(c, p, func() (auth.Session, auth.Secret, error) {
		return a.Auth.OpenSession(ctx, in.Key, p, agentOf(c), c.RealIP())
	})
}

// mayHaveSession refuses a request that is to open a session where no session can be.
func (a *API) mayHaveSession(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	if err := a.refuseForged(c.Request(), RequestOf(c).Operation); err != nil {
		return err
	}
	_, err := a.newCookie(c.Request(), "", time.Time{})
	return err
}

// agentOf returns what the browser of a request calls itself.
func agentOf(c echo.Context) string { return printable(c.Request().UserAgent(), maxAgent) }

// maxAgent bounds what is kept of User-Agent. A longer one is not kept at all.
const maxAgent = 256

// enter answers a request that came without a credential, and of which it is clear by now who made it: with the session that
// open opens.
func (a *API) enter(c echo.Context, p auth.Principal, open func() (auth.Session, auth.Secret, error)) error {
	return a.enterBy(c, p, open, func(s auth.Session, text auth.Secret) error {
		return a.answerSession(c, http.StatusCreated, s, text)
	})
}

// enterBy is enter with another answer.
func (a *API) enterBy(c echo.Context, p auth.Principal, open func() (auth.Session, auth.Secret, error), answer func(auth.Session, auth.Secret) error) (err error) {
	req := RequestOf(c)
	req.Principal, req.Tenant = p, p.Tenant
	if !req.Tenant.IsZero() {
		if err := a.checkTenant(c.Request().Context(), req, ""); err != nil {
			return err
		}
	}
	if err := a.admit(c, req); err != nil {
		return err
	}
	defer func() { a.countRequest(c, req, err) }()
	what := changes[req.Operation]
	return a.audited(c, &guarded{change: &what, route: route{operation: req.Operation, needs: public, handler: func(c echo.Context) error {
		s, text, err := open()
		if err != nil {
			return err
		}
		if what.target == "session" {
			made(c, s.ID)
		}
		return answer(s, text)
	}}})
}

// answerSession answers with a session that was just opened, and has the browser keep it.
func (a *API) answerSession(c echo.Context, status int, s auth.Session, text auth.Secret) error {
	cookie, err := a.newCookie(c.Request(), text.Reveal(), s.ExpiresAt)
	if err != nil {
		return err
	}
	shown, err := a.session(c, RequestOf(c).Principal, s)
	if err != nil {
		return err
	}
	c.SetCookie(cookie)
	return a.json(c, status, shown)
}

// readSignIn reads a SignIn.
func (a *API) readSignIn(c echo.Context) (in SignIn, err error) {
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"key", "tenant", "email", "password", "portal_link"}, func(key []byte) {
			switch string(key) {
			case "key":
				in.Key = r.shortText()
			case "tenant":
				in.Tenant = r.shortText()
			case "email":
				in.Email = r.shortText()
			case "portal_link":
				in.PortalLink = r.shortText()
			case "password":
				if in.Password = r.shortText(); len(in.Password) > auth.MaxPassword {
					r.fault("out_of_range", "must have at most %d bytes", auth.MaxPassword)
				}
			}
		})
	})
	fault := func(pointer, message string) error {
		return invalid([]errs.Field{{Pointer: pointer, Code: "required", Message: message}})
	}
	switch byPassword := in.Email != "" || in.Password != "" || in.Tenant != ""; {
	case err != nil:
	case in.PortalLink != "" && (in.Key != "" || byPassword):
		err = fault("/portal_link", "must be alone, without key, email, password and tenant")
	case in.PortalLink != "":
	case in.Key != "" && byPassword:
		err = fault("/key", "must be alone, without email, password and tenant")
	case in.Key == "" && !byPassword:
		err = fault("/key", "must be an API key, or else email and password must be there, or portal_link")
	case in.Key == "" && in.Email == "":
		err = fault("/email", "must be there with password")
	case in.Key == "" && in.Password == "":
		err = fault("/password", "must be there with email")
	}
	return in, err
}

// session shows a session, with which somebody is p.
func (a *API) session(c echo.Context, p auth.Principal, s auth.Session) (Session, error) {
	out := Session{ID: s.ID, Kind: string(s.Kind), ReadOnly: p.Viewing, Scopes: append([]string{}, p.Grants.Scopes...),
		Allowed: p.Grants.Allowed().Names(), Queues: p.Grants.Queues, CreatedAt: Instant{s.CreatedAt}, ExpiresAt: Instant{s.ExpiresAt},
		IdleTimeout: wholeSeconds(auth.SessionIdle)}
	out.Key, out.Member, out.PortalLink, out.Identity = ownerOf(s)
	if p.Viewing && s.View != nil {
		out.ViewAs = &SessionView{Tenant: s.View.TenantName, ExpiresAt: Instant{s.View.EndsAt}}
	}
	if !p.Tenant.IsZero() {
		t, err := a.Tenants.ByID(c.Request().Context(), p.Tenant)
		if err != nil {
			return out, err
		}
		out.Tenant = &CallerTenant{Name: t.Name, ID: t.ID.String(), AccountNumber: t.AccountNumber}
	}
	return out, nil
}

// ownerOf returns whose session it is: one of the four.
func ownerOf(s auth.Session) (k *SessionKey, m *SessionMember, l *SessionLink, i *SessionIdentity) {
	switch {
	case s.Identity != nil:
		i = &SessionIdentity{CallerIdentity: newCallerIdentity(s.Identity), Name: s.OwnerName}
	case s.Linked:
		l = &SessionLink{ID: s.OwnerID, Name: s.OwnerName}
	case s.Email != "":
		m = &SessionMember{ID: s.OwnerID, Email: s.Email, Name: s.OwnerName, Role: s.Role}
	default:
		k = &SessionKey{ID: s.OwnerID, Name: s.OwnerName}
	}
	return k, m, l, i
}

// ownSession returns the session of a request. One that came without a cookie has none.
func (a *API) ownSession(c echo.Context) (auth.Session, error) {
	p := RequestOf(c).Principal
	if p.SessionID == "" {
		return auth.Session{}, auth.ErrSessionNotFound
	}
	owner := p.Tenant
	if p.Viewing {
		owner = tenants.ID{} // it is an operator's
	}
	list, err := a.Auth.Sessions(c.Request().Context(), owner, p.ID())
	if err != nil {
		return auth.Session{}, err
	}
	i := slices.IndexFunc(list, func(s auth.Session) bool { return s.ID == p.SessionID })
	if i < 0 {
		return auth.Session{}, auth.ErrSessionEnded
	}
	return list[i], nil
}

// getSession shows the session of the request.
//
//	@Summary		Get the session
//	@Description	That of the cookie, with what it may. Without a cookie, and without a key, the answer is 401; with a key it is 404.
//	@ID				getSession
//	@Tags			sessions
//	@Success		200	{object}	Session	"The session"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"The request came with a key, not with a session"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/session [get]
func (a *API) getSession(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	s, err := a.ownSession(c)
	if err != nil {
		return err
	}
	shown, err := a.session(c, RequestOf(c).Principal, s)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, shown)
}

// endSession ends the session of the request.
//
//	@Summary		Sign out
//	@Description	Ends the session of the cookie: at once on the server that answers, within 5 seconds on all others. The browser forgets the cookie. Also while the tenant is suspended.
//	@ID				endSession
//	@Tags			sessions
//	@Success		204	"Signed out"
//	@Header			204	{string}	Set-Cookie	"That the browser is to forget the session"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"The request came with a key, not with a session"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/session [delete]
func (a *API) endSession(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	s, err := a.ownSession(c)
	if err != nil {
		return err
	}
	made(c, s.ID)
	if err := a.Keys.EndSessions(c.Request().Context(), s); err != nil {
		return err
	}
	if cookie, err := a.newCookie(c.Request(), "", time.Time{}); err == nil {
		c.SetCookie(cookie)
	}
	return c.NoContent(http.StatusNoContent)
}

// sessionsOf returns the sessions that a caller may deal with, which is a matter of keys: all of the tenant, or of the
// operators, with this scope; otherwise his own.
func (a *API) sessionsOf(c echo.Context, action string) ([]auth.Session, error) {
	req := RequestOf(c)
	owner, own := req.Tenant, req.Principal.Tenant
	scope := "keys:" + action
	if owner.IsZero() {
		scope = "operator_keys:" + action
	}
	if g := req.Principal.Grants; g.May(auth.MustScope(scope)) && !g.Limited() {
		return a.Auth.Sessions(c.Request().Context(), owner, "")
	}
	if owner != own {
		return nil, nil
	}
	return a.Auth.Sessions(c.Request().Context(), own, req.Principal.ID())
}

// listSessions shows sessions.
//
//	@Summary		List the sessions
//	@Description	Those that hold: all of the tenant with the scope `keys:read`, and otherwise those of the same key or member. Of an operator without the header `Tenant` they are those of operators, by the scope `operator_keys:read`. The one that was opened last comes first; there are at most 1,000.
//	@ID				listSessions
//	@Tags			sessions
//	@Success		200	{object}	Page[OpenSession]	"The sessions"
//	@Failure		400	{object}	Problem				"The request is malformed"
//	@Failure		404	{object}	Problem				"The header Tenant names no tenant of this key"
//	@Failure		415	{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem				"A value is not allowed"
//	@Router			/v1/sessions [get]
func (a *API) listSessions(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	list, err := a.sessionsOf(c, "read")
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y auth.Session) int {
		if d := y.CreatedAt.Compare(x.CreatedAt); d != 0 {
			return d
		}
		return strings.Compare(x.ID, y.ID)
	})
	data := make([]OpenSession, len(list))
	for i, s := range list {
		data[i] = OpenSession{ID: s.ID, Kind: string(s.Kind), UserAgent: s.Agent, SourceIP: s.Address,
			CreatedAt: Instant{s.CreatedAt}, LastUsedAt: Instant{s.LastUsedAt}, ExpiresAt: Instant{s.ExpiresAt},
			Current: s.ID == RequestOf(c).Principal.SessionID}
		data[i].Key, data[i].Member, data[i].PortalLink, data[i].Identity = ownerOf(s)
	}
	return answerPage(a, c, data, "")
}

// revokeSession ends a session.
//
//	@Summary		End a session
//	@Description	One of those that `GET /v1/sessions` lists; that of others needs the scope `keys:write` (`operator_keys:write`). At once on the server that answers, within 5 seconds on all others.
//	@ID				revokeSession
//	@Tags			sessions
//	@Param			id	path	string	true	"Id of the session"
//	@Success		204	"Ended"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such session"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/sessions/{id} [delete]
func (a *API) revokeSession(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	list, err := a.sessionsOf(c, "write")
	if err != nil {
		return err
	}
	id := c.Param("id")
	i := slices.IndexFunc(list, func(s auth.Session) bool { return s.ID == id })
	if i < 0 {
		return auth.ErrSessionNotFound
	}
	if err := a.Keys.EndSessions(c.Request().Context(), list[i]); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
