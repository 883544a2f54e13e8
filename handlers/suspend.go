package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/tenants"
)

// sends are the scopes of operations by which messages come in.
var sends = map[string]bool{"messages:send": true, "schedules:run": true, "topics:publish": true, "topics:replay": true}

// checkTenant refuses what the tenant of a request may not do now. An operator who acts for it may, and whoever has a session
// may end it.
func (a *API) checkTenant(ctx context.Context, req *Request, scope string) error {
	if req.Principal.Kind == auth.KindOperator || req.Principal.Viewing {
		return nil
	}
	t, err := a.Tenants.Terms(ctx, req.Tenant)
	if err != nil {
		return err
	}
	req.terms = t
	switch {
	case sends[scope]:
		return t.MaySend()
	case req.Operation == "endSession":
		return nil
	}
	return t.MayAct()
}

// TenantSuspension is why and since when a tenant may not act as it would.
type TenantSuspension struct {
	// send: it may not send. all: it may do nothing.
	Mode string `json:"mode" enums:"send,all"`
	// As it was given; empty for none.
	Reason string  `json:"reason" example:"invoice 4711 is not paid"`
	Since  Instant `json:"since" swaggertype:"string" format:"date-time"`
	// When it ends by itself; null: when the tenant is resumed.
	Until *Instant `json:"until" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// SuspendInput says what a tenant may not do any more, and why.
type SuspendInput struct {
	// send: it may not send. all: it may do nothing.
	Mode string `json:"mode,omitempty" enums:"send,all" default:"all" example:"send"`
	// For the tenant, who reads it with each refusal.
	Reason string `json:"reason,omitempty" validate:"max=255" example:"invoice 4711 is not paid"`
	// When it ends by itself: a time to come. Default: when the tenant is resumed.
	Until *Instant `json:"until,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

func newSuspension(s *tenants.Suspension) *TenantSuspension {
	if s == nil {
		return nil
	}
	return &TenantSuspension{Mode: string(s.Mode), Reason: s.Reason, Since: Instant{s.Since}, Until: instant(s.Until)}
}

// suspendTenant keeps a tenant from sending, or from everything.
//
//	@Summary		Suspend a tenant
//	@Description	Within 5 seconds every server refuses what the tenant's keys ask for with 403 `tenant_suspended` and the reason: its sends, or everything. Its streams end, its schedules send nothing, and portal links that nobody has used end when it may do nothing. Nothing is deleted: messages and settings stay as they are, and retention and leases go on.
//	@Description
//	@Description	An operator's key still acts for it. A tenant that is suspended already stays so since then, and takes the new mode, reason and end.
//	@Description
//	@Description	With `until` it ends by itself at that instant, by the clock of each server: nobody need resume the tenant, and its ETag stays.
//	@ID				suspendTenant
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant			path		string			true	"Name of the tenant"
//	@Param			If-Match		header		string			false	"Only when the tenant has this ETag"
//	@Param			If-None-Match	header		string			false	"Only when the tenant has another ETag"
//	@Param			suspension		body		SuspendInput	false	"What it may not do, and why"
//	@Success		200				{object}	Tenant			"The tenant"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such tenant"
//	@Failure		408				{object}	Problem			"The body did not arrive in time"
//	@Failure		412				{object}	Problem			"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem			"The body is too large"
//	@Failure		415				{object}	Problem			"The body is not JSON"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/suspend [post]
func (a *API) suspendTenant(c echo.Context) error {
	cond, err := a.tenantCondition(c)
	if err != nil {
		return err
	}
	mode, reason, until := tenants.ModeAll, "", time.Time{}
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"mode", "reason", "until"}, func(key []byte) {
			switch string(key) {
			case "mode":
				if s, ok := r.str(); ok {
					mode = tenants.Mode(s)
				}
			case "reason":
				s, _ := r.str()
				reason = string(s)
			case "until":
				until = r.time()
			}
		})
	})
	if err != nil {
		return err
	}
	t, err := a.Tenants.SuspendUntil(c.Request().Context(), c.Param("tenant"), mode, reason, until, cond)
	if err == nil && mode == tenants.ModeAll {
		err = a.Keys.EndPortalLinks(c.Request().Context(), t.ID)
	}
	if err != nil {
		return err
	}
	return a.answerTenant(c, http.StatusOK, t)
}

// resumeTenant ends a suspension.
//
//	@Summary		Resume a tenant
//	@Description	It may act again, on every server within 5 seconds. A tenant that is not suspended stays as it is.
//	@ID				resumeTenant
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant			path		string	true	"Name of the tenant"
//	@Param			If-Match		header		string	false	"Only when the tenant has this ETag"
//	@Param			If-None-Match	header		string	false	"Only when the tenant has another ETag"
//	@Success		200				{object}	Tenant	"The tenant"
//	@Header			200				{string}	ETag	"Version of the settings"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such tenant"
//	@Failure		408				{object}	Problem	"The body did not arrive in time"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem	"The body is too large"
//	@Failure		415				{object}	Problem	"The body is not JSON"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/resume [post]
func (a *API) resumeTenant(c echo.Context) error {
	cond, err := a.tenantCondition(c)
	if err != nil {
		return err
	}
	if err := a.readControl(c, func(r *reader) { r.object(nil, func([]byte) {}) }); err != nil {
		return err
	}
	t, err := a.Tenants.Resume(c.Request().Context(), c.Param("tenant"), cond)
	if err != nil {
		return err
	}
	return a.answerTenant(c, http.StatusOK, t)
}
