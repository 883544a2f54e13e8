package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/tenants"
)

// PortalLinkInput is what a caller says of a new portal link.
type PortalLinkInput struct {
	// What the session may: no more than who asks, and in the same queues.
	Role string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies" example:"developer"`
	// Of whoever will use it, for people and the audit log.
	Name string `json:"name,omitempty" validate:"max=128" example:"ana@acme.example"`
	// Seconds that the link holds, or text such as "10m".
	ExpiresIn int `json:"expires_in,omitempty" validate:"min=60,max=3600" default:"900" example:"900"`
}

// CreatedPortalLink opens one session: `POST /v1/session` with `portal_link`.
type CreatedPortalLink struct {
	// Whoever has it can open the session. Nobody can show it again.
	PortalLink string `json:"portal_link" example:"slp_…"`
	// Name of the tenant.
	Tenant string `json:"tenant" example:"acme"`
	PortalLinkDetails
}

// PortalLinkDetails is what anybody may know of a portal link.
type PortalLinkDetails struct {
	ID   string `json:"id" example:"lnk_0kq1zv3m5c8g02r4b7fg"`
	Role string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies"`
	// Empty when nobody has said it.
	Name string `json:"name" example:"ana@acme.example"`
	// Patterns of the names of the queues that the session reaches; null for all.
	Queues    []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	CreatedAt Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When the link ends, if nobody has used it. The session ends an hour after it was opened.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

func portalLinkDetails(l auth.PortalLink) PortalLinkDetails {
	return PortalLinkDetails{ID: l.ID, Role: l.Role, Name: l.Name, Queues: l.Queues, CreatedAt: Instant{l.CreatedAt}, ExpiresAt: Instant{l.ExpiresAt}}
}

// portalLinkState is what the audit log shows of a portal link.
func portalLinkState(a *API, c echo.Context, owner tenants.ID, id string) (any, error) {
	l, err := a.portalLink(c, owner, id)
	if err != nil {
		return nil, err
	}
	return settings(portalLinkDetails(l))
}

// portalLink returns a portal link of a tenant, if the caller may deal with it. Others are not there for him.
func (a *API) portalLink(c echo.Context, owner tenants.ID, id string) (auth.PortalLink, error) {
	list, err := a.Auth.PortalLinks(c.Request().Context(), owner)
	if err != nil {
		return auth.PortalLink{}, err
	}
	for _, l := range list {
		if l.ID == id && RequestOf(c).Principal.ManagesLink(l) {
			return l, nil
		}
	}
	return auth.PortalLink{}, auth.ErrPortalLinkNotFound
}

// createPortalLink makes a portal link of a tenant.
//
//	@Summary		Create a portal link
//	@Description	For somebody who has no account here, and whom the program knows that asks: his browser opens a session with the link, once, by `POST /v1/session`. The session has the role for an hour at most, in the queues and from the addresses of the key that asks, and ends when that one expires. The answer is the only place that ever shows the link.
//	@Description
//	@Description	A link ends when it is used, when it is revoked, when it expires, and when the tenant is suspended from everything or deleted. A tenant has at most 100 that nobody has used yet, and 500 sessions that were opened with links.
//	@ID				createPortalLink
//	@Tags			sessions
//	@Accept			json
//	@Param			link	body		PortalLinkInput	true	"The link"
//	@Success		201		{object}	CreatedPortalLink	"Created"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"The header Tenant names no tenant of this key"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/portal_links [post]
func (a *API) createPortalLink(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	n := auth.NewPortalLink{By: RequestOf(c).Principal}
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"role", "name", "expires_in"}, func(key []byte) {
			switch string(key) {
			case "role":
				n.Role = r.shortText()
			case "name":
				n.Name = r.shortText()
			case "expires_in":
				d, ok := r.duration()
				if ok && (d < auth.MinPortalLink || d > auth.MaxPortalLink) {
					r.fault("out_of_range", "must be %d to %d seconds", wholeSeconds(auth.MinPortalLink), wholeSeconds(auth.MaxPortalLink))
				}
				n.Lifetime = d
			}
		})
	})
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	t, err := a.Tenants.ByID(ctx, owner)
	if err != nil {
		return err
	}
	terms, err := a.Tenants.Terms(ctx, owner)
	if err == nil {
		err = terms.MayAct() // also for operators, because nobody could use the link
	}
	if err != nil {
		return err
	}
	l, text, err := a.Auth.CreatePortalLink(ctx, owner, n)
	if err != nil {
		return err
	}
	made(c, l.ID)
	return a.json(c, http.StatusCreated, CreatedPortalLink{PortalLink: text.Reveal(), Tenant: t.Name, PortalLinkDetails: portalLinkDetails(l)})
}

// createTenantPortalLink makes a portal link of a tenant, for operators.
//
//	@Summary		Create a portal link of a tenant
//	@Description	As `POST /v1/portal_links` does. The session may no more than the operator's key, and reaches all queues.
//	@ID				createTenantPortalLink
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant	path		string			true	"Name of the tenant"
//	@Param			link	body		PortalLinkInput	true	"The link"
//	@Success		201		{object}	CreatedPortalLink	"Created"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/tenants/{tenant}/portal_links [post]
func (a *API) createTenantPortalLink(c echo.Context) error { return a.createPortalLink(c) }

// listPortalLinks shows the portal links of a tenant.
//
//	@Summary		List portal links
//	@Description	Those that nobody has used and that hold: the oldest first, and all of them, because there are at most 100. What was opened with others is among `GET /v1/sessions`. A key that is limited to some queues sees the links that reach no others.
//	@ID				listPortalLinks
//	@Tags			sessions
//	@Success		200	{object}	Page[PortalLinkDetails]	"The portal links"
//	@Failure		400	{object}	Problem					"The request is malformed"
//	@Failure		404	{object}	Problem					"The header Tenant names no tenant of this key"
//	@Failure		415	{object}	Problem					"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem					"A value is not allowed"
//	@Router			/v1/portal_links [get]
func (a *API) listPortalLinks(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	list, err := a.Auth.PortalLinks(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	caller, data := RequestOf(c).Principal, make([]PortalLinkDetails, 0, len(list))
	for _, l := range list {
		if caller.ManagesLink(l) {
			data = append(data, portalLinkDetails(l))
		}
	}
	return answerPage(a, c, data, "")
}

// listTenantPortalLinks shows the portal links of a tenant, for operators.
//
//	@Summary		List the portal links of a tenant
//	@Description	Those that nobody has used and that hold: the oldest first, and all of them, because there are at most 100.
//	@ID				listTenantPortalLinks
//	@Tags			tenants
//	@Param			tenant	path		string					true	"Name of the tenant"
//	@Success		200		{object}	Page[PortalLinkDetails]	"The portal links"
//	@Failure		400		{object}	Problem					"The request is malformed"
//	@Failure		404		{object}	Problem					"No such tenant"
//	@Failure		415		{object}	Problem					"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem					"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/portal_links [get]
func (a *API) listTenantPortalLinks(c echo.Context) error { return a.listPortalLinks(c) }

// revokePortalLink ends a portal link.
//
//	@Summary		Revoke a portal link
//	@Description	At once on every server. A session that was opened with it before goes on: `DELETE /v1/sessions/{id}` ends that.
//	@ID				revokePortalLink
//	@Tags			sessions
//	@Param			id	path	string	true	"Id of the portal link"
//	@Success		204	"Revoked"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such portal link, or it has been used or has expired"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/portal_links/{id} [delete]
func (a *API) revokePortalLink(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	l, err := a.portalLink(c, owner, c.Param("id"))
	if err != nil {
		return err
	}
	if err := a.Auth.EndPortalLink(c.Request().Context(), l); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// revokeTenantPortalLink ends a portal link of a tenant, for operators.
//
//	@Summary		Revoke a portal link of a tenant
//	@Description	At once on every server. A session that was opened with it before goes on.
//	@ID				revokeTenantPortalLink
//	@Tags			tenants
//	@Param			tenant	path	string	true	"Name of the tenant"
//	@Param			id		path	string	true	"Id of the portal link"
//	@Success		204		"Revoked"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such portal link, or no such tenant"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/portal_links/{id} [delete]
func (a *API) revokeTenantPortalLink(c echo.Context) error { return a.revokePortalLink(c) }
