package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
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

// PortalLink opens one session: `POST /v1/session` with `portal_link`.
type PortalLink struct {
	ID string `json:"id" example:"lnk_0kq1zv3m5c8g02r4b7ft"`
	// Whoever has it can open the session. Nobody can show it again.
	PortalLink string `json:"portal_link" example:"slp_…"`
	// Name of the tenant.
	Tenant string `json:"tenant" example:"acme"`
	Role   string `json:"role" enums:"owner,developer,operator,viewer,viewer_without_bodies"`
	// Empty when nobody has said it.
	Name string `json:"name" example:"ana@acme.example"`
	// Patterns of the names of the queues that the session reaches; null for all.
	Queues    []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	CreatedAt Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When the link ends, if nobody has used it. The session ends an hour after it was opened.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

// createPortalLink makes a portal link of a tenant.
//
//	@Summary		Create a portal link
//	@Description	For somebody who has no account here, and whom the program knows that asks: his browser opens a session with the link, once, by `POST /v1/session`. The session has the role for an hour at most, in the queues and from the addresses of the key that asks, and ends when that one expires. The answer is the only place that ever shows the link.
//	@Description
//	@Description	A link ends when it is used, when it expires, and when the tenant is suspended from everything or deleted. A tenant has at most 100 that nobody has used yet, and 500 sessions that were opened with links.
//	@ID				createPortalLink
//	@Tags			sessions
//	@Accept			json
//	@Param			link	body		PortalLinkInput	true	"The link"
//	@Success		201		{object}	PortalLink		"Created"
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
	return a.json(c, http.StatusCreated, PortalLink{ID: l.ID, PortalLink: text.Reveal(), Tenant: t.Name, Role: l.Role, Name: l.Name, Queues: l.Queues,
		CreatedAt: Instant{l.CreatedAt}, ExpiresAt: Instant{l.ExpiresAt}})
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
//	@Success		201		{object}	PortalLink		"Created"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/tenants/{tenant}/portal_links [post]
func (a *API) createTenantPortalLink(c echo.Context) error { return a.createPortalLink(c) }
