package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/tenants"
)

// Tenant is one customer of the installation.
type Tenant struct {
	Name string `json:"name" example:"acme"`
	// As in the log.
	ID string `json:"id" example:"4t1bq0zk7m"`
	// Account number in ARNs.
	AccountNumber string `json:"account_number" example:"482915073316"`
	// lost: the storage has lost the tenant's record, and an operator must look.
	State string `json:"state" enums:"active,suspended,lost"`
	// Null for a tenant that is not suspended. It is no setting: suspend and resume change it.
	Suspended *TenantSuspension `json:"suspended" extensions:"x-nullable"`
	Labels    map[string]string `json:"labels"`
	// For operators; the tenant does not see them.
	Notes string `json:"notes" example:"contact: ops@acme.example"`
	// Whether the AWS protocols take any signature from programs on the machine of a server. For development only.
	AWSAnySignature bool `json:"aws_any_signature" example:"false"`
	// Null for a tenant that names none: then that of the plan default holds, if there is one.
	Plan *string `json:"plan" extensions:"x-nullable" example:"free"`
	// Its own, whatever the plan says.
	Limits TenantLimits `json:"limits"`
	// What holds for it.
	EffectiveLimits TenantLimits `json:"effective_limits"`
	// Bytes that its queues and topics hold, as of at most a few seconds ago. Null for a tenant without the limit stored_bytes,
	// in lists and after changes.
	StoredBytesUsed *int64 `json:"stored_bytes_used" extensions:"x-nullable" example:"73400320"`
	// What its queues hold and handle. Null after changes.
	Activity *TenantActivity `json:"activity" extensions:"x-nullable"`
	// When it was made.
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// When its settings last changed, or it was suspended or resumed.
	UpdatedAt Instant `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// TenantActivity is what all queues of a tenant hold together, as of at most 20 seconds ago, and what they handle.
type TenantActivity struct {
	Available int64 `json:"available" example:"1200"`
	InFlight  int64 `json:"in_flight" example:"16"`
	Delayed   int64 `json:"delayed" example:"3"`
	// Bytes of all messages.
	Bytes int64 `json:"bytes" example:"73400320"`
	// All together.
	Rates Rates `json:"rates"`
	// Requests that were refused in the last 24 hours because the tenant did too much a second.
	Throttled int64 `json:"throttled" example:"12"`
	// Attempts of webhooks in the last 24 hours after which a message was not delivered.
	Undelivered int64 `json:"undelivered" example:"3"`
	// When something in its queues last changed, to ten seconds; null: never.
	LastActiveAt *Instant `json:"last_active_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// activityOf returns what some tenants do, in their order.
func (a *API) activityOf(ctx context.Context, list []tenants.Tenant) ([]monitor.Activity, error) {
	ids := make([]tenants.ID, len(list))
	for i, t := range list {
		ids[i] = t.ID
	}
	return a.Monitor.Activity(ctx, ids...)
}

func newTenantActivity(a monitor.Activity) *TenantActivity {
	v := a.Values
	out := &TenantActivity{Available: v[monitor.Available], InFlight: v[monitor.InFlight], Delayed: v[monitor.Delayed], Bytes: v[monitor.Bytes], Rates: Rates(a.Rates),
		Throttled: a.Throttled, Undelivered: a.Undelivered}
	if !a.At.IsZero() {
		out.LastActiveAt = &Instant{a.At}
	}
	return out
}

// TenantInput is what an operator says of a tenant.
type TenantInput struct {
	// 12 digits. Default: what the tenant has, and random digits for a new one. It cannot be changed.
	AccountNumber string `json:"account_number,omitempty" example:"482915073316"`
	// At most 50. In a PUT what is missing goes; in a PATCH they are merged, and null removes one.
	Labels map[string]string `json:"labels,omitempty" extensions:"x-nullable"`
	// Have the AWS protocols take any signature from programs on the machine of a server: the access key id says who they are. For
	// development only.
	AWSAnySignature bool `json:"aws_any_signature,omitempty" default:"false" example:"false" extensions:"x-nullable"`
	// Name of a plan.
	Plan *string `json:"plan,omitempty" extensions:"x-nullable" example:"free"`
	// Limits of its own, whatever the plan says. In a PATCH they are merged, and null removes one.
	Limits *TenantLimits `json:"limits,omitempty" extensions:"x-nullable"`
	// For operators, at most 4,096 bytes.
	Notes *string `json:"notes,omitempty" validate:"omitempty,max=4096" extensions:"x-nullable" example:"contact: ops@acme.example"`
}

func newTenant(t tenants.Tenant, plans tenants.Plans) Tenant {
	out := Tenant{Name: t.Name, ID: t.ID.String(), AccountNumber: t.AccountNumber, State: string(t.State),
		Suspended: newSuspension(t.Suspended), Labels: t.Labels, Notes: t.Notes, AWSAnySignature: t.AnySignature, Limits: newLimits(t.Limits), EffectiveLimits: newLimits(plans.Limits(t)),
		CreatedAt: Instant{t.CreatedAt}, UpdatedAt: Instant{t.UpdatedAt}, ETag: t.ETag}
	if t.Plan != "" {
		out.Plan = &t.Plan
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return out
}

// tenantReadOnly are the members of Tenant that nobody sets.
var tenantReadOnly = map[string]bool{
	"name": true, "id": true, "state": true, "suspended": true, "effective_limits": true, "stored_bytes_used": true, "activity": true, "created_at": true, "updated_at": true, "etag": true,
}

// putTenant makes a tenant or replaces its settings.
//
//	@Summary		Create or replace a tenant
//	@ID				putTenant
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant			path		string		true	"Name of the tenant: 1 to 63 of a-z, 0-9 and -"
//	@Param			If-Match		header		string		false	"Only when the tenant has this ETag"
//	@Param			If-None-Match	header		string		false	"* to create only"
//	@Param			settings		body		TenantInput	false	"The settings"
//	@Success		200				{object}	Tenant		"Replaced, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		201				{object}	Tenant		"Created"
//	@Header			201				{string}	ETag		"Version of the settings"
//	@Header			201				{string}	Location	"The new tenant"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"It was deleted meanwhile"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"The account number is taken, or would change"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/tenants/{tenant} [put]
func (a *API) putTenant(c echo.Context) error {
	cond, err := a.tenantCondition(c)
	if err != nil {
		return err
	}
	var change tenantChange
	if err := a.readControl(c, func(r *reader) { change = r.tenantSettings() }); err != nil {
		return err
	}
	t, created, err := a.Tenants.Put(c.Request().Context(), c.Param("tenant"), change.on(tenants.Settings{}), cond)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/tenants/"+t.Name))
	}
	return a.answerTenant(c, status, t)
}

// answerTenant answers with a tenant that was changed.
func (a *API) answerTenant(c echo.Context, status int, t tenants.Tenant) error {
	plans, err := a.Tenants.Plans(c.Request().Context())
	if err != nil {
		return engine.ErrUnknown.Because(err) // it was done, and cannot be shown
	}
	c.Response().Header().Set("ETag", quoteTag(t.ETag))
	return a.json(c, status, newTenant(t, plans))
}

// tenantChange is what a body says of a tenant, in its order.
type tenantChange []func(*tenants.Settings)

func (change tenantChange) on(set tenants.Settings) tenants.Settings {
	for _, f := range change {
		f(&set)
	}
	return set
}

// tenantSettings reads a TenantInput as a merge patch. What stays of nothing is what a PUT says.
func (r *reader) tenantSettings() tenantChange {
	var change tenantChange
	add := func(f func(*tenants.Settings)) { change = append(change, f) }
	r.object([]string{"account_number", "labels", "notes", "plan", "limits", "aws_any_signature"}, func(key []byte) {
		switch string(key) {
		case "account_number":
			s, _ := r.str()
			number := string(s)
			add(func(set *tenants.Settings) { set.AccountNumber = number })
		case "labels":
			merge := r.textPatch()
			add(func(set *tenants.Settings) { set.Labels = merge(set.Labels) })
		case "notes":
			notes := r.textOrNull()
			add(func(set *tenants.Settings) { set.Notes = notes })
		case "aws_any_signature":
			on := false
			if !r.null() {
				on, _ = r.boolean()
			}
			add(func(set *tenants.Settings) { set.AnySignature = on })
		case "plan":
			plan := r.textOrNull()
			add(func(set *tenants.Settings) { set.Plan = plan })
		case "limits":
			if r.null() {
				add(func(set *tenants.Settings) { set.Limits = tenants.Limits{} })
				return
			}
			limits := r.tenantLimits()
			add(func(set *tenants.Settings) { set.Limits = limits.on(set.Limits) })
		default:
			if tenantReadOnly[string(key)] {
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
			}
		}
	})
	return change
}

// textOrNull reads text; null is "".
func (r *reader) textOrNull() string {
	if r.null() {
		return ""
	}
	s, _ := r.str()
	return string(s)
}

// textMap reads an object whose values are text.
func (r *reader) textMap() map[string]string {
	m := map[string]string{}
	r.members(func(key []byte) {
		if s, ok := r.str(); ok {
			m[string(key)] = string(s)
		}
	})
	return m
}

// textPatch reads an object whose values are text, or null to remove one, and returns what it makes of another map. Null
// in its place removes all.
func (r *reader) textPatch() func(map[string]string) map[string]string {
	set, removed := map[string]string{}, map[string]bool{}
	if r.null() {
		return func(map[string]string) map[string]string { return nil }
	}
	r.members(func(key []byte) {
		if r.null() {
			removed[string(key)] = true
		} else if s, ok := r.str(); ok {
			set[string(key)] = string(s)
		}
	})
	return func(have map[string]string) map[string]string {
		all := maps.Clone(set)
		for k, v := range have {
			if _, there := all[k]; !there && !removed[k] {
				all[k] = v
			}
		}
		return all
	}
}

// updateTenant changes single settings of a tenant.
//
//	@Summary		Change settings of a tenant
//	@Description	A JSON Merge Patch (RFC 7396): what the body leaves out stays, null removes.
//	@ID				updateTenant
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant			path		string		true	"Name of the tenant"
//	@Param			If-Match		header		string		false	"Only when the tenant has this ETag"
//	@Param			If-None-Match	header		string		false	"Only when the tenant has another ETag"
//	@Param			settings		body		TenantInput	true	"The settings to change"
//	@Success		200				{object}	Tenant		"Changed, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such tenant"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"The account number would change"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/tenants/{tenant} [patch]
func (a *API) updateTenant(c echo.Context) error {
	cond, err := a.tenantCondition(c)
	if err != nil {
		return err
	}
	var change tenantChange
	if err := a.readControl(c, func(r *reader) { change = r.tenantSettings() }); err != nil {
		return err
	}
	t, err := a.Tenants.Update(c.Request().Context(), c.Param("tenant"), cond,
		func(set tenants.Settings) (tenants.Settings, error) { return change.on(set), nil })
	if err != nil {
		return err
	}
	return a.answerTenant(c, http.StatusOK, t)
}

// getTenant shows a tenant.
//
//	@Summary		Get a tenant
//	@ID				getTenant
//	@Tags			tenants
//	@Param			tenant			path		string	true	"Name of the tenant"
//	@Param			If-None-Match	header		string	false	"Only when the tenant has another ETag"
//	@Success		200				{object}	Tenant	"The tenant"
//	@Header			200				{string}	ETag	"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such tenant"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/tenants/{tenant} [get]
func (a *API) getTenant(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	t, err := a.Tenants.Get(c.Request().Context(), c.Param("tenant"))
	if err != nil {
		return err
	}
	if cond.unchanged(t.ETag) {
		return notModified(c, t.ETag)
	}
	plans, err := a.Tenants.Plans(c.Request().Context())
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", quoteTag(t.ETag))
	out := newTenant(t, plans)
	if out.StoredBytesUsed, err = a.storedBytes(c, t.ID, plans.Limits(t)); err != nil {
		return err
	}
	activity, err := a.Monitor.Activity(c.Request().Context(), t.ID)
	if err != nil {
		return err
	}
	out.Activity = newTenantActivity(activity[0])
	return a.json(c, http.StatusOK, out)
}

// deleteTenant deletes a tenant.
//
//	@Summary		Delete a tenant
//	@Description	One without queues at once, with its topics, keys and tasks; another one is refused with 409 `tenant_not_empty`.
//	@Description
//	@Description	With `confirm` the tenant goes with all that it has, in a task. It must be suspended in mode `all` before. From then on there is no way back: its keys are dead, its name is not found and free again when the task has succeeded, and its account number is given to nobody else. The task belongs to the installation: an operator sees it at `/v1/tasks` without the header `Tenant`.
//	@ID				deleteTenant
//	@Tags			tenants
//	@Param			tenant			path	string	true	"Name of the tenant"
//	@Param			confirm			query	string	false	"The name of the tenant, to delete it with all that it has"
//	@Param			If-Match		header	string	false	"Only when the tenant has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the tenant has another ETag"
//	@Success		202				{object}	Task	"It is being deleted with all that it has"
//	@Header			202				{string}	Location	"The task"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such tenant"
//	@Failure		409				{object}	Problem	"The tenant has queues (`tenant_not_empty`), or is not suspended (`tenant_not_suspended`)"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"`confirm` is not the tenant's name, or a value is not allowed"
//	@Router			/v1/tenants/{tenant} [delete]
func (a *API) deleteTenant(c echo.Context) error {
	q, err := readQuery(c, "confirm")
	if err != nil {
		return err
	}
	cond, err := a.tenantMatch(c)
	if err != nil {
		return err
	}
	ctx, name := c.Request().Context(), c.Param("tenant")
	if !q.has("confirm") {
		if err := a.Tenants.Delete(ctx, name, cond); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}
	if q.text("confirm") != name {
		e := *errConfirm
		e.Message = fmt.Sprintf("confirm must be the name of the tenant, %q.", name)
		e.Fix = fmt.Sprintf("Ask for DELETE /v1/tenants/%[1]s?confirm=%[1]s to delete it with all that it has.", name)
		e.Fields = []errs.Field{{Query: "confirm", Code: "not_allowed", Message: "must be the name of the tenant"}}
		return &e
	}
	n, err := a.Tenants.PlanDelete(ctx, name, cond)
	if err != nil {
		return err
	}
	task, err := a.begin(c, n, TaskScope{Tenant: name})
	if errors.Is(err, tasks.ErrAlreadyRunning) {
		task, err = a.deletionOf(ctx, name)
	}
	if err != nil {
		return err
	}
	return a.accept(c, task)
}

// deletionOf returns the unfinished task that deletes a tenant.
func (a *API) deletionOf(ctx context.Context, name string) (tasks.Task, error) {
	list, _, err := a.Tasks.List(ctx, tasks.Installation, tasks.Filter{Type: tenants.DeleteTask}, tasks.MaxTasks, "")
	if err != nil {
		return tasks.Task{}, err
	}
	for _, t := range list {
		var s TaskScope
		if t.FinishedAt.IsZero() && json.Unmarshal([]byte(t.Scope), &s) == nil && s.Tenant == name {
			return t, nil
		}
	}
	return tasks.Task{}, tenants.ErrNotFound // it has ended meanwhile
}

// listTenants shows a part of the tenants.
//
//	@Summary		List tenants
//	@Description	By name, or as `sort` says, each with what its queues hold and handle. A part may be short, because tenants that are being deleted are left out. What it sorts by is up to 20 seconds old, and a tenant whose place changes between two parts may be in both or in none.
//	@ID				listTenants
//	@Tags			tenants
//	@Param			prefix	query		string			false	"Only names that begin with this"	maxlength(63)
//	@Param			sort	query		string			false	"By what they are sorted, with - before it for the largest first"	enums(name,-name,available,-available,in_flight,-in_flight,delayed,-delayed,bytes,-bytes,sent_rate,-sent_rate,received_rate,-received_rate,throttled,-throttled,undelivered,-undelivered)
//	@Param			limit	query		int				false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string			false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Tenant]	"A part of the list"
//	@Header			200		{string}	Link			"The next part, with rel=next"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/tenants [get]
func (a *API) listTenants(c echo.Context) error {
	q, err := readQuery(c, "prefix", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	column, descending, err := readSort(&q, monitor.TenantColumns)
	if err != nil {
		return err
	}
	filter := q.text("prefix") + "\x01" + q.text("sort")
	after, err := decodeCursor("tenants", filter, &q)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var list []tenants.Tenant
	var next string
	if column == "" {
		list, next, err = a.Tenants.List(ctx, q.text("prefix"), limit, after)
	} else {
		list, next, err = a.sortedTenants(ctx, q.text("prefix"), monitor.Order{Column: column, Descending: descending, After: after, Limit: limit})
	}
	if err != nil {
		return err
	}
	plans, err := a.Tenants.Plans(ctx)
	if err != nil {
		return err
	}
	activity, err := a.activityOf(ctx, list)
	if err != nil {
		return err
	}
	data := make([]Tenant, len(list))
	for i, t := range list {
		data[i] = newTenant(t, plans)
		data[i].Activity = newTenantActivity(activity[i])
	}
	return answerPage(a, c, data, encodeCursor("tenants", filter, next))
}

func (a *API) sortedTenants(ctx context.Context, prefix string, o monitor.Order) ([]tenants.Tenant, string, error) {
	refs, err := a.Tenants.Refs(ctx, prefix)
	if err != nil {
		return nil, "", err
	}
	refs, next, err := a.Monitor.SortTenants(ctx, refs, o)
	if errors.Is(err, monitor.ErrPlace) {
		return nil, "", cursorFault
	}
	if err != nil {
		return nil, "", err
	}
	list, err := a.Tenants.Of(ctx, refs)
	return list, next, err
}

// tenantCondition reads If-Match and If-None-Match for a change that takes no parameters in the query.
func (a *API) tenantCondition(c echo.Context) (tenants.Condition, error) {
	if _, err := readQuery(c); err != nil {
		return tenants.Condition{}, err
	}
	return a.tenantMatch(c)
}

// tenantMatch reads If-Match and If-None-Match.
func (a *API) tenantMatch(c echo.Context) (tenants.Condition, error) {
	cond, err := readCondition(c.Request().Header)
	if err != nil {
		return tenants.Condition{}, err
	}
	match, none, err := cond.one(func() (string, error) {
		t, err := a.Tenants.Get(c.Request().Context(), c.Param("tenant"))
		return t.ETag, err
	})
	return tenants.Condition{IfMatch: match, IfNoneMatch: none}, err
}
