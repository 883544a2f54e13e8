package handlers

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// TenantHealthList is how several tenants fare.
type TenantHealthList struct {
	// In the order in which they were asked for, without those that are not there.
	Data []TenantHealth `json:"data"`
}

// TenantHealth is what waits too long for a tenant.
type TenantHealth struct {
	Tenant string `json:"tenant" example:"acme"`
	// Seconds for which the oldest message waits in any of its queues, as of at most 20 seconds ago; 0: none waits.
	OldestAge float64 `json:"oldest_age" example:"93.4"`
	// Webhooks whose last attempt failed, of those that were tried in the last 24 hours.
	FailingEndpoints int `json:"failing_endpoints" example:"1"`
	// Whether all of its webhooks were looked at. Where it is false, they and those of the tenants before were too many.
	Complete bool `json:"complete" example:"true"`
}

const (
	maxHealthTenants = 100 // of a request
	// maxHealthLooks bounds the topics and webhooks at which a request looks: each is a call of Redis.
	maxHealthLooks = 1000
)

// getTenantHealth shows how several tenants fare.
//
//	@Summary		Get how several tenants fare
//	@Description	Of each of the tenants that `tenants` names, for how long its oldest message waits and how many endpoints of its webhooks fail: what a list of tenants shows beside their names. It looks at the webhooks of tenants only that have failed attempts in the last 24 hours, and at 1,000 topics and webhooks at most, those of the first tenants first; `complete` says of which tenants it has seen all.
//	@ID				getTenantHealth
//	@Tags			tenants
//	@Param			tenants	query		string				true	"Names with commas between them, at most 100"	maxlength(6400)
//	@Success		200		{object}	TenantHealthList	"How they fare"
//	@Failure		400		{object}	Problem				"The request is malformed"
//	@Failure		415		{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem				"A value is not allowed"
//	@Router			/v1/tenant_health [get]
func (a *API) getTenantHealth(c echo.Context) error {
	names, err := readNames(c, "tenants", maxHealthTenants)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	list, err := a.tenantsOf(ctx, names)
	if err != nil {
		return err
	}
	activity, err := a.activityOf(ctx, list)
	if err != nil {
		return err
	}
	out := TenantHealthList{Data: make([]TenantHealth, len(list))}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, t := range list {
		out.Data[i] = TenantHealth{Tenant: t.Name, Complete: true}
		if activity[i].Values[monitor.Available] == 0 {
			continue
		}
		g.Go(func() error {
			at, err := a.Monitor.Oldest(gctx, t.ID)
			if !at.IsZero() {
				out.Data[i].OldestAge = round3(max(0, a.Clock.Now().Sub(at).Seconds()))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	left := maxHealthLooks
	for i, t := range list {
		if activity[i].Undelivered == 0 {
			continue
		}
		if out.Data[i].FailingEndpoints, out.Data[i].Complete, err = a.failingEndpoints(ctx, t.ID, &left); err != nil {
			return err
		}
	}
	return a.json(c, http.StatusOK, out)
}

// tenantsOf returns the tenants of some names, in their order, without those that are not there.
func (a *API) tenantsOf(ctx context.Context, names []string) ([]tenants.Tenant, error) {
	found := make([]*tenants.Tenant, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, name := range names {
		g.Go(func() error {
			t, err := a.Tenants.Get(gctx, name)
			if errors.Is(err, tenants.ErrNotFound) || errors.Is(err, tenants.ErrLost) {
				return nil
			}
			found[i] = &t
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var list []tenants.Tenant
	for _, t := range found {
		if t != nil {
			list = append(list, *t)
		}
	}
	return list, nil
}

// failingEndpoints counts webhooks of a tenant whose last attempt was of the last day and failed. It takes what it looks at from
// left, and says whether that was enough for all.
func (a *API) failingEndpoints(ctx context.Context, t tenants.ID, left *int) (failing int, all bool, err error) {
	if *left == 0 {
		return 0, false, nil
	}
	names, next, err := a.Topics.Names(ctx, t, "", "", *left)
	if err != nil {
		return 0, false, err
	}
	*left -= len(names)
	lists, err := a.subscriptionsOf(ctx, t, names)
	if err != nil {
		return 0, false, err
	}
	all = next == ""
	var failed atomic.Int64
	since := a.Clock.Now().Add(-tenants.TroubleHours * time.Hour)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, list := range lists {
		for _, s := range list {
			if s.Settings.Endpoint == "" {
				continue
			}
			if *left == 0 {
				all = false
				break
			}
			*left--
			g.Go(func() error {
				st, err := a.Webhooks.Status(gctx, s.Way)
				if errors.Is(err, topics.ErrSubscriptionNotFound) {
					return nil
				}
				if st.Failures > 0 && st.LastFailure.After(since) {
					failed.Add(1)
				}
				return err
			})
		}
	}
	err = g.Wait()
	return int(failed.Load()), all, err
}
