package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/tenants"
)

// TenantLimits are limits of a tenant. Null: what the plan says, or else what always holds.
type TenantLimits struct {
	// Queues that it may have.
	Queues *int64 `json:"queues,omitempty" validate:"omitempty,min=1,max=100000" extensions:"x-nullable" example:"100"`
	// Bytes of a message with its attributes.
	MessageSize *int64 `json:"message_size,omitempty" validate:"omitempty,min=1024,max=1048576" extensions:"x-nullable" example:"262144"`
	// Requests a second.
	RequestsPerSecond *int64 `json:"requests_per_second,omitempty" validate:"omitempty,min=1,max=1000000" extensions:"x-nullable" example:"500"`
	// Bytes of requests a second.
	BytesInPerSecond *int64 `json:"bytes_in_per_second,omitempty" validate:"omitempty,min=1024,max=1099511627776" extensions:"x-nullable" example:"10000000"`
	// Bytes of answers a second.
	BytesOutPerSecond *int64 `json:"bytes_out_per_second,omitempty" validate:"omitempty,min=1024,max=1099511627776" extensions:"x-nullable" example:"10000000"`
	// Topics that it may have.
	Topics *int64 `json:"topics,omitempty" validate:"omitempty,min=1,max=10000" extensions:"x-nullable" example:"20"`
	// Subscriptions of one topic.
	TopicSubscriptions *int64 `json:"topic_subscriptions,omitempty" validate:"omitempty,min=1,max=1000" extensions:"x-nullable" example:"50"`
	// Schedules of one queue, or one topic.
	QueueSchedules *int64 `json:"queue_schedules,omitempty" validate:"omitempty,min=1,max=1000" extensions:"x-nullable" example:"10"`
	// Keys that it may have.
	Keys *int64 `json:"keys,omitempty" validate:"omitempty,min=1,max=1000" extensions:"x-nullable" example:"25"`
	// Receives that wait at the same time on one server, with open streams.
	WaitingReceives *int64 `json:"waiting_receives,omitempty" validate:"omitempty,min=1,max=1000000" extensions:"x-nullable" example:"100"`
	// Bytes that its queues and topics may hold, with 100 for each message.
	StoredBytes *int64 `json:"stored_bytes,omitempty" validate:"omitempty,min=1048576,max=1125899906842624" extensions:"x-nullable" example:"10737418240"`
}

func newLimits(l tenants.Limits) TenantLimits {
	one := func(i tenants.Limit) *int64 {
		if l[i] == 0 {
			return nil
		}
		return &l[i]
	}
	return TenantLimits{Queues: one(tenants.LimitQueues), MessageSize: one(tenants.LimitMessageSize), RequestsPerSecond: one(tenants.LimitRequests),
		BytesInPerSecond: one(tenants.LimitBytesIn), BytesOutPerSecond: one(tenants.LimitBytesOut),
		Topics: one(tenants.LimitTopics), TopicSubscriptions: one(tenants.LimitSubscriptions), QueueSchedules: one(tenants.LimitSchedules),
		Keys: one(tenants.LimitKeys), WaitingReceives: one(tenants.LimitWaiting), StoredBytes: one(tenants.LimitStored)}
}

// limitChange is what a body says of limits.
type limitChange map[tenants.Limit]int64 // 0 removes what was said

func (change limitChange) on(l tenants.Limits) tenants.Limits {
	for i, n := range change {
		l[i] = n
	}
	return l
}

// tenantLimits reads limits, of which null removes one.
func (r *reader) tenantLimits() limitChange {
	change := limitChange{}
	r.object(tenants.LimitNames(), func(key []byte) {
		limit, ok := tenants.LimitNamed(string(key))
		if !ok {
			return
		}
		if r.null() {
			change[limit] = 0
		} else if n, ok := r.integer(limit.Range()); ok {
			change[limit] = n
		}
	})
	return change
}

// Plan is a set of limits with a name.
type Plan struct {
	Name   string       `json:"name" example:"free"`
	Limits TenantLimits `json:"limits"`
	// When it was made.
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// When its limits last changed.
	UpdatedAt Instant `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the limits; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// PlanInput is what an operator says of a plan.
type PlanInput struct {
	// What is missing is not limited by the plan.
	Limits *TenantLimits `json:"limits,omitempty"`
}

func newPlan(p tenants.Plan) Plan {
	return Plan{Name: p.Name, Limits: newLimits(p.Limits), CreatedAt: Instant{p.CreatedAt}, UpdatedAt: Instant{p.UpdatedAt}, ETag: p.ETag}
}

// planReadOnly are the members of Plan that nobody sets.
var planReadOnly = map[string]bool{"name": true, "created_at": true, "updated_at": true, "etag": true}

// listPlans shows all plans.
//
//	@Summary		List plans
//	@Description	All of them, at most 100, by name.
//	@ID				listPlans
//	@Tags			plans
//	@Success		200	{object}	Page[Plan]	"The plans"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		415	{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Router			/v1/plans [get]
func (a *API) listPlans(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	all, err := a.Tenants.Plans(c.Request().Context())
	if err != nil {
		return err
	}
	data := make([]Plan, 0, len(all))
	for _, p := range all.List() {
		data = append(data, newPlan(p))
	}
	return answerPage(a, c, data, "")
}

// putPlan makes a plan or replaces its limits.
//
//	@Summary		Create or replace a plan
//	@Description	A change holds for all tenants that have the plan, on every server within 5 seconds. The plan `default` is that of tenants that name none.
//	@ID				putPlan
//	@Tags			plans
//	@Accept			json
//	@Param			plan			path		string		true	"Name of the plan: 1 to 63 of a-z, 0-9 and -"
//	@Param			If-Match		header		string		false	"Only when the plan has this ETag"
//	@Param			If-None-Match	header		string		false	"* to create only"
//	@Param			settings		body		PlanInput	false	"The limits"
//	@Success		200				{object}	Plan		"Replaced, or as it was"
//	@Header			200				{string}	ETag		"Version of the limits"
//	@Success		201				{object}	Plan		"Created"
//	@Header			201				{string}	ETag		"Version of the limits"
//	@Header			201				{string}	Location	"The new plan"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/plans/{plan} [put]
func (a *API) putPlan(c echo.Context) error {
	cond, err := a.planCondition(c)
	if err != nil {
		return err
	}
	change := limitChange{}
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"limits"}, func(key []byte) {
			switch {
			case string(key) == "limits":
				change = r.tenantLimits()
			case planReadOnly[string(key)]:
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
			}
		})
	})
	if err != nil {
		return err
	}
	p, created, err := a.Tenants.PutPlan(c.Request().Context(), c.Param("plan"), change.on(tenants.Limits{}), cond)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/plans/"+p.Name))
	}
	c.Response().Header().Set("ETag", quoteTag(p.ETag))
	return a.json(c, status, newPlan(p))
}

// getPlan shows a plan.
//
//	@Summary		Get a plan
//	@ID				getPlan
//	@Tags			plans
//	@Param			plan			path		string	true	"Name of the plan"
//	@Param			If-None-Match	header		string	false	"Only when the plan has another ETag"
//	@Success		200				{object}	Plan	"The plan"
//	@Header			200				{string}	ETag	"Version of the limits"
//	@Success		304				"The limits are the same"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such plan"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/plans/{plan} [get]
func (a *API) getPlan(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	p, err := a.Tenants.GetPlan(c.Request().Context(), c.Param("plan"))
	if err != nil {
		return err
	}
	if cond.unchanged(p.ETag) {
		return notModified(c, p.ETag)
	}
	c.Response().Header().Set("ETag", quoteTag(p.ETag))
	return a.json(c, http.StatusOK, newPlan(p))
}

// deletePlan deletes a plan that no tenant names.
//
//	@Summary		Delete a plan
//	@Description	No tenant may name it any more. Without the plan `default` tenants that name none have only the limits that always hold.
//	@ID				deletePlan
//	@Tags			plans
//	@Param			plan			path	string	true	"Name of the plan"
//	@Param			If-Match		header	string	false	"Only when the plan has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the plan has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such plan"
//	@Failure		409				{object}	Problem	"Tenants have the plan"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/plans/{plan} [delete]
func (a *API) deletePlan(c echo.Context) error {
	cond, err := a.planCondition(c)
	if err != nil {
		return err
	}
	if err := a.Tenants.DeletePlan(c.Request().Context(), c.Param("plan"), cond); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// planCondition reads If-Match and If-None-Match for a change.
func (a *API) planCondition(c echo.Context) (tenants.Condition, error) {
	if _, err := readQuery(c); err != nil {
		return tenants.Condition{}, err
	}
	cond, err := readCondition(c.Request().Header)
	if err != nil {
		return tenants.Condition{}, err
	}
	match, none, err := cond.one(func() (string, error) {
		p, err := a.Tenants.GetPlan(c.Request().Context(), c.Param("plan"))
		return p.ETag, err
	})
	return tenants.Condition{IfMatch: match, IfNoneMatch: none}, err
}
