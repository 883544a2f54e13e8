package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
)

// SessionView is the tenant that an operator views.
type SessionView struct {
	// Name of the tenant.
	Tenant string `json:"tenant" example:"acme"`
	// When the session is the operator's again.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

// viewAsTenant makes an operator's session a view of a tenant.
//
//	@Summary		View as a tenant
//	@Description	For 30 minutes, or until `DELETE /v1/session/view-as`, the session of the request is the tenant's, with the role `viewer` and no more than the operator's own scopes, and every change is refused (403 `read_only_session`). The cookie stays as it is. The audit logs of the tenant and of the installation say so.
//	@ID				viewAsTenant
//	@Tags			sessions
//	@Param			tenant	path		string	true	"Name of the tenant"
//	@Success		200		{object}	Session	"The session"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such tenant"
//	@Failure		409		{object}	Problem	"Another request has changed the session"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422		{object}	Problem	"A value is not allowed, or the request came with a key (`session_required`)"
//	@Router			/v1/tenants/{tenant}/view-as [post]
func (a *API) viewAsTenant(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	req, ctx := RequestOf(c), c.Request().Context()
	t, err := a.Tenants.Get(ctx, c.Param("tenant"))
	if err != nil {
		return err
	}
	if req.Principal.SessionID == "" {
		return auth.ErrSessionRequired
	}
	s, err := a.ownSession(c)
	if err != nil {
		return err
	}
	made(c, s.ID)
	if s, err = a.Auth.ViewAs(ctx, s, t.ID, t.Name); err != nil {
		return err
	}
	return a.answerView(c, s)
}

// endView ends the view of a session.
//
//	@Summary		End the view of a tenant
//	@Description	The session is the operator's again.
//	@ID				endView
//	@Tags			sessions
//	@Success		200	{object}	Session	"The session"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"The session views no tenant, or the request came with a key"
//	@Failure		409	{object}	Problem	"Another request has changed the session"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/session/view-as [delete]
func (a *API) endView(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	s, err := a.ownSession(c)
	if err != nil {
		return err
	}
	if !RequestOf(c).Principal.Viewing {
		return auth.ErrNoView
	}
	made(c, s.ID)
	if s, err = a.Auth.EndView(c.Request().Context(), s); err != nil {
		return err
	}
	return a.answerView(c, s)
}

// answerView shows a session that has become another's eyes, or its own again.
func (a *API) answerView(c echo.Context, s auth.Session) error {
	text, err := a.cookieOf(c.Request().Header)
	if err != nil {
		return err
	}
	p, err := a.Auth.Session(c.Request().Context(), text, c.RealIP())
	if err != nil {
		return err
	}
	shown, err := a.session(c, p, s)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, shown)
}
