package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// exportFormat is another number when a reader of exports has to change.
const exportFormat = 1

// exportChunk is how much of an export is gathered before it is written, in bytes. What fails before that is a problem as
// usual.
const exportChunk = 64 << 10

// exportScopes are what an export shows, besides the tenant itself.
var exportScopes = []string{"queues:read", "schedules:read", "topics:read", "keys:read", "alarms:read"}

// TenantExport is all that is defined for a tenant. No secret is in it, and no message but those of schedules.
type TenantExport struct {
	// Of this document.
	Format     int     `json:"format" example:"1"`
	ExportedAt Instant `json:"exported_at" swaggertype:"string" format:"date-time"`
	// Its settings, as `GET /v1/tenants/{tenant}` shows them.
	Tenant map[string]any `json:"tenant" swaggertype:"object"`
	// By name, as `GET /v1/queues/{queue}` shows them, without counts; `schedules` are theirs.
	Queues []map[string]any `json:"queues" swaggertype:"array,object"`
	// By name, as `GET /v1/topics/{topic}` shows them, without counts; `subscriptions`, `schedules` and the versions of `schemas` are theirs.
	Topics []map[string]any `json:"topics" swaggertype:"array,object"`
	// By name, as `GET /v1/topic_subscriptions` shows them, without their states.
	TopicSubscriptions []map[string]any `json:"topic_subscriptions" swaggertype:"array,object"`
	// By name, as `GET /v1/alarms` shows them, without their states.
	Alarms []map[string]any `json:"alarms" swaggertype:"array,object"`
	// As `GET /v1/keys` shows them. Nobody can show the keys themselves.
	Keys []map[string]any `json:"keys" swaggertype:"array,object"`
}

// exportTenant shows all that is defined for a tenant.
//
//	@Summary		Export what a tenant has defined
//	@Description	Its settings, queues and topics with their schedules and subscriptions, topic subscriptions, alarms, and keys, in one JSON document to keep or to compare. Messages are not in it, and no secrets. What is changed meanwhile may be in it as it was or as it is. Should the storage fail meanwhile, the connection ends early, and the document with it.
//	@Description
//	@Description	Besides `tenants:read` the key needs `queues:read`, `schedules:read`, `topics:read`, `keys:read` and `alarms:read`. Without `messages:read_body` the schedules have no `message`.
//	@ID				exportTenant
//	@Tags			tenants
//	@Param			tenant	path		string			true	"Name of the tenant"
//	@Success		200		{object}	TenantExport	"The export"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/export [get]
func (a *API) exportTenant(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	for _, scope := range exportScopes {
		if !grants(c).May(auth.MustScope(scope)) {
			return auth.Denied(scope)
		}
	}
	t, err := a.Tenants.Get(c.Request().Context(), c.Param("tenant"))
	if err != nil {
		return err
	}
	x := &export{a: a, c: c, owner: t.ID}
	x.text(`{"format":`)
	x.value(exportFormat)
	x.text(`,"exported_at":`)
	x.value(Instant{a.Clock.Now()})
	x.text(`,"tenant":`)
	shown, err := settings(newTenant(t, tenants.Plans{}), "effective_limits", "etag")
	x.fail(err)
	x.value(shown)
	x.list("queues", x.queues)
	x.list("topics", x.topics)
	x.list("topic_subscriptions", x.topicSubscriptions)
	x.list("alarms", x.alarms)
	x.list("keys", x.keys)
	x.text("}\n")
	x.flush()
	if x.err != nil && c.Response().Committed {
		panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
	}
	return x.err
}

// export is a document that is being written. After the first error it writes nothing.
type export struct {
	a     *API
	c     echo.Context
	owner tenants.ID
	buf   bytes.Buffer
	err   error
	more  bool // the list has an element
}

func (x *export) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

func (x *export) text(s string) { x.buf.WriteString(s) }

func (x *export) value(v any) {
	if x.err != nil {
		return
	}
	raw, err := json.Marshal(v)
	x.fail(err)
	x.buf.Write(raw)
}

// list writes a member whose elements come from f.
func (x *export) list(name string, f func()) {
	x.text(`,"` + name + `":[`)
	x.more = false
	if x.err == nil {
		f()
	}
	x.text("]")
}

// next begins an element of a list.
func (x *export) next() {
	if x.more {
		x.text(",")
	}
	x.more = true
	if x.buf.Len() >= exportChunk {
		x.flush()
	}
}

// element writes one element of a list.
func (x *export) element(v any, without ...string) {
	x.next()
	x.value(x.definition(v, without...))
}

// owned is a list of what belongs to an element.
type owned struct {
	name  string
	write func()
}

// parent writes an element with lists of its own.
func (x *export) parent(v any, lists []owned, without ...string) {
	x.next()
	x.value(x.definition(v, without...))
	if x.err == nil {
		x.buf.Truncate(x.buf.Len() - 1) // the brace
	}
	for _, l := range lists {
		x.list(l.name, l.write)
	}
	x.text("}")
	x.more = true
}

// definition returns what is set of a thing.
func (x *export) definition(v any, without ...string) any {
	set, err := settings(v, append(without, "etag", "created_at")...)
	x.fail(err)
	return set
}

// flush sends what has gathered.
func (x *export) flush() {
	if x.err != nil {
		return
	}
	w := x.c.Response()
	if !w.Committed {
		w.Header().Set("Content-Type", "application/json")
		w.Header()["X-Content-Type-Options"] = noSniff
		w.WriteHeader(http.StatusOK)
	}
	if x.c.Request().Method != http.MethodHead {
		_, err := w.Write(x.buf.Bytes())
		x.fail(err)
	}
	x.buf.Reset()
}

// pages calls f with where to begin until it returns "" or something fails. What is gone by now has no pages.
func (x *export) pages(f func(ctx context.Context, after string) (next string, err error)) {
	for after := ""; x.err == nil; {
		next, err := f(x.c.Request().Context(), after)
		if errors.Is(err, queues.ErrQueueNotFound) || errors.Is(err, topics.ErrTopicNotFound) {
			return
		}
		x.fail(err)
		if after = next; after == "" {
			return
		}
	}
}

func (x *export) queues() {
	x.pages(func(ctx context.Context, after string) (string, error) {
		names, next, err := x.a.Queues.Names(ctx, x.owner, "", after, maxLimit)
		if err != nil {
			return "", err
		}
		list, err := x.a.Queues.GetAll(ctx, x.owner, names)
		for _, q := range list {
			x.parent(x.a.queue(q, queues.Stats{}, monitor.Rates{}, ""), []owned{{"schedules", func() { x.schedules(x.a.Queues.Schedules, q.Name) }}},
				"counts", "bytes", "oldest_age", "totals", "rates", "arn")
		}
		return next, err
	})
}

func (x *export) schedules(of *queues.Schedules, owner string) {
	x.pages(func(ctx context.Context, after string) (string, error) {
		list, next, err := of.ListSchedules(ctx, x.owner, owner, "", after, maxLimit)
		for _, s := range list {
			x.element(newSchedule(s, readsBodies(x.c)), "queue", "next_runs", "last_run", "last_error", "counts")
		}
		return next, err
	})
}

func (x *export) topics() {
	x.pages(func(ctx context.Context, after string) (string, error) {
		list, next, err := x.a.Topics.List(ctx, x.owner, "", after, maxLimit)
		for _, tp := range list {
			x.parent(x.a.topic(tp, ""), []owned{{"subscriptions", func() { x.subscriptions(tp.Name) }}, {"schedules", func() { x.schedules(x.a.Topics.Schedules, tp.Name) }},
				{"schemas", func() { x.schemas(tp) }}},
				"subscriptions", "log", "published", "arn")
		}
		return next, err
	})
}

func (x *export) subscriptions(topic string) {
	x.pages(func(ctx context.Context, after string) (string, error) {
		list, next, err := x.a.Topics.ListSubscriptions(ctx, x.owner, topic, "", after, maxLimit)
		for _, s := range list {
			if _, owned := topics.CutOwned(s.Name); !owned {
				x.element(newSubscription(topic, s), "topic", "topic_subscription", "lag", "counts", "last_error", "delivery")
			}
		}
		return next, err
	})
}

func (x *export) topicSubscriptions() {
	x.pages(func(ctx context.Context, after string) (string, error) {
		list, next, err := x.a.Topics.ListTopicSubscriptions(ctx, x.owner, "", after, maxLimit)
		for _, s := range list {
			if s.State != topics.Deleting {
				x.element(newTopicSubscription(s), "state", "failed_topics", "failures")
			}
		}
		return next, err
	})
}

func (x *export) schemas(tp topics.Topic) {
	for _, v := range tp.Settings.Schemas.Versions {
		v, current, text, err := x.a.Topics.GetSchema(x.c.Request().Context(), x.owner, tp.Name, v.Number)
		if errs.KindOf(err) == errs.NotFound {
			continue // deleted meanwhile
		}
		if x.fail(err); x.err != nil {
			return
		}
		x.element(newSchema(v, current, text), "size")
	}
}

func (x *export) alarms() {
	list, err := x.a.Alarms.List(x.c.Request().Context(), x.owner)
	x.fail(err)
	for _, e := range list {
		x.element(newAlarm(e), "state", "since", "value", "seen", "evaluated_at", "muted_until", "mute_reason", "last_error")
	}
}

func (x *export) keys() {
	list, err := x.a.Keys.List(x.c.Request().Context(), x.owner)
	x.fail(err)
	for _, k := range list {
		x.element(newKey(k), "last_used_at", "last_used_ip", "calls_24h")
	}
}
