package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/tenants"
)

// Quotas are the limits of how many things a tenant may have, with how many there are.
type Quotas struct {
	Data []QuotaUse `json:"data"`
}

// QuotaUse is one of them.
type QuotaUse struct {
	// The name of the limit, as a refusal has it in `quota`.
	Quota string `json:"quota" enums:"queues,topics,keys,alarms,stored_bytes"`
	Used  int64  `json:"used" example:"12"`
	Limit int64  `json:"limit" example:"100"`
}

// countPage is how many names are read at a time to count them.
const countPage = 1000

// getQuotas says how much of its limits a tenant has used.
//
//	@Summary		Get the use of quotas
//	@Description	How many queues, topics, keys and alarms the tenant has, and how many it may have; and the stored bytes, where they have a limit. They are counted for each request, so ask when somebody looks, not to watch: an alarm does that.
//	@ID				getQuotas
//	@Tags			usage
//	@Success		200	{object}	Quotas	"The quotas"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such tenant"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/quotas [get]
func (a *API) getQuotas(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	if grants(c).Limited() {
		return errNoQuotas
	}
	ctx, t := c.Request().Context(), RequestOf(c).Tenant
	terms, err := a.Tenants.Terms(ctx, t)
	if err != nil {
		return err
	}
	out := Quotas{Data: []QuotaUse{}}
	add := func(l tenants.Limit, used int) {
		out.Data = append(out.Data, QuotaUse{l.String(), int64(used), terms.Limits[l]})
	}
	n, err := sumOf(func(after string) (int, string, error) {
		refs, next, err := a.Queues.Refs(ctx, t, after, countPage)
		return len(refs), next, err
	})
	if err != nil {
		return err
	}
	add(tenants.LimitQueues, n)
	if n, err = sumOf(func(after string) (int, string, error) {
		names, next, err := a.Topics.Names(ctx, t, "", after, countPage)
		return len(names), next, err
	}); err != nil {
		return err
	}
	add(tenants.LimitTopics, n)
	keys, err := a.Keys.List(ctx, t)
	if err != nil {
		return err
	}
	add(tenants.LimitKeys, len(keys))
	list, err := a.Alarms.List(ctx, t)
	if err != nil {
		return err
	}
	out.Data = append(out.Data, QuotaUse{"alarms", int64(len(list)), alarms.MaxAlarms})
	stored, err := a.storedBytes(c, t, terms.Limits)
	if err != nil {
		return err
	}
	if stored != nil {
		out.Data = append(out.Data, QuotaUse{tenants.LimitStored.String(), *stored, terms.Limits[tenants.LimitStored]})
	}
	return a.json(c, http.StatusOK, out)
}

// sumOf adds up the lengths of the parts of a list.
func sumOf(read func(after string) (n int, next string, err error)) (sum int, err error) {
	for after := ""; ; {
		n, next, err := read(after)
		if err != nil {
			return 0, err
		}
		sum += n
		if after = next; next == "" {
			return sum, nil
		}
	}
}

// errNoQuotas refuses how much a tenant has to keys that reach only some of it.
var errNoQuotas = &errs.Error{Kind: errs.Forbidden, Code: auth.ErrPermissionDenied.Code,
	Message: "The key reaches only some queues, and this is about all that the tenant has.",
	Fix:     "Use a key that reaches all queues. GET /v1/whoami shows the limits."}
