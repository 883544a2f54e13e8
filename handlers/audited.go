package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// change says what the audit log has of an operation.
type change struct {
	target string // type of what is changed
	param  string // of the path, with its name or id; "" for what gets one
	state  look   // nil: it has no settings that could be shown
}

// look returns the settings of what an operation is about, without secrets and bodies. nil: it is not there.
type look func(a *API, c echo.Context, owner tenants.ID, name string) (any, error)

// changes are the operations that the audit log has: whatever changes what there is, who may do what, or many messages at
// once. Every other operation that changes anything is in messaging.
var changes = map[string]change{
	"putQueue":     {"queue", "queue", queueState},
	"updateQueue":  {"queue", "queue", queueState},
	"deleteQueue":  {"queue", "queue", queueState},
	"pauseQueue":   {"queue", "queue", queueState},
	"resumeQueue":  {"queue", "queue", queueState},
	"purgeQueue":   {"queue", "queue", nil},
	"redriveQueue": {"queue", "queue", nil},

	"putSchedule":    {"schedule", "schedule", scheduleState},
	"deleteSchedule": {"schedule", "schedule", scheduleState},
	"pauseSchedule":  {"schedule", "schedule", scheduleState},
	"resumeSchedule": {"schedule", "schedule", scheduleState},
	"runSchedule":    {"schedule", "schedule", nil},

	"putTopicSchedule":    {"schedule", "schedule", scheduleState},
	"deleteTopicSchedule": {"schedule", "schedule", scheduleState},
	"pauseTopicSchedule":  {"schedule", "schedule", scheduleState},
	"resumeTopicSchedule": {"schedule", "schedule", scheduleState},
	"runTopicSchedule":    {"schedule", "schedule", nil},

	"putTopic":    {"topic", "topic", topicState},
	"updateTopic": {"topic", "topic", topicState},
	"deleteTopic": {"topic", "topic", topicState},

	"addSchema":     {"topic", "topic", schemasState},
	"updateSchemas": {"topic", "topic", schemasState},
	"deleteSchema":  {"topic", "topic", schemasState},

	"putSubscription":    {"subscription", "subscription", subscriptionState},
	"updateSubscription": {"subscription", "subscription", subscriptionState},
	"deleteSubscription": {"subscription", "subscription", subscriptionState},
	"pauseSubscription":  {"subscription", "subscription", subscriptionState},
	"resumeSubscription": {"subscription", "subscription", subscriptionState},
	"replaySubscription": {"subscription", "subscription", nil},

	"rotateSubscriptionSecret": {"subscription", "subscription", nil},
	"enableSubscription":       {"subscription", "subscription", subscriptionState},
	"disableSubscription":      {"subscription", "subscription", subscriptionState},
	"confirmSubscription":      {"subscription", "subscription", nil},
	"resendDeliveries":         {"subscription", "subscription", nil},
	"testDelivery":             {"subscription", "subscription", nil}, // a message goes where it was not meant to go
	"resendMatchingDeliveries": {"subscription", "", nil},

	"putTopicSubscription":    {"topic_subscription", "topic_subscription", topicSubscriptionState},
	"updateTopicSubscription": {"topic_subscription", "topic_subscription", topicSubscriptionState},
	"deleteTopicSubscription": {"topic_subscription", "topic_subscription", topicSubscriptionState},

	"rotateTopicSubscriptionSecret": {"topic_subscription", "topic_subscription", nil},

	"putAlarm":           {"alarm", "alarm", alarmState},
	"deleteAlarm":        {"alarm", "alarm", alarmState},
	"muteAlarm":          {"alarm", "alarm", alarmState},
	"unmuteAlarm":        {"alarm", "alarm", alarmState},
	"addSuggestedAlarms": {"alarm", "", nil},

	"cancelTask": {"task", "id", nil},

	"createKey":         {"key", "", keyState},
	"rotateKey":         {"key", "id", keyState},
	"revokeKey":         {"key", "id", keyState},
	"createTenantKey":   {"key", "", keyState},
	"rotateTenantKey":   {"key", "id", keyState},
	"revokeTenantKey":   {"key", "id", keyState},
	"createOperatorKey": {"operator_key", "", operatorKeyState},
	"rotateOperatorKey": {"operator_key", "id", operatorKeyState},
	"revokeOperatorKey": {"operator_key", "id", operatorKeyState},

	"createPortalLink":       {"portal_link", "", nil},
	"createTenantPortalLink": {"portal_link", "", nil},
	"revokePortalLink":       {"portal_link", "id", portalLinkState},
	"revokeTenantPortalLink": {"portal_link", "id", portalLinkState},

	"createSession": {"session", "", nil},
	"finishSignIn":  {"session", "", nil}, // although it is a GET
	"endSession":    {"session", "", nil},
	"viewAsTenant":  {"session", "", nil},
	"endView":       {"session", "", nil},

	"inviteMember":        {"member", "", memberState},
	"inviteMemberAgain":   {"member", "id", memberState},
	"updateMember":        {"member", "id", memberState},
	"removeMember":        {"member", "id", memberState},
	"inviteOperator":      {"operator", "", memberState},
	"inviteOperatorAgain": {"operator", "id", memberState},
	"updateOperator":      {"operator", "id", memberState},
	"removeOperator":      {"operator", "id", memberState},
	"acceptInvitation":    {"member", "", memberState},
	"changePassword":      {"member", "", nil},
	"revokeSession":       {"session", "id", nil},

	"putTenant":     {"tenant", "tenant", tenantState},
	"updateTenant":  {"tenant", "tenant", tenantState},
	"suspendTenant": {"tenant", "tenant", tenantState},
	"resumeTenant":  {"tenant", "tenant", tenantState},
	"deleteTenant":  {"tenant", "tenant", tenantState},

	"putPlan":    {"plan", "plan", planState},
	"deletePlan": {"plan", "plan", planState},
}

// messaging are the operations that change something and are not in the audit log: they deal with single messages, which
// are many, or make what ends by itself.
var messaging = map[string]bool{
	"sendMessage": true, "sendMessages": true, "changeMessage": true, "redriveMessage": true, "deleteMessage": true,
	"receiveMessages": true, "consumeMessages": true, "ackMessage": true, "changeReceipt": true, "ackMessages": true,
	"publishMessage": true, "publishMessages": true, "resendDelivery": true, "testSubscription": true,
	"putGroupState": true, "deleteGroupState": true,
	"createToken": true,
	"testFilter":  true, "countFilter": true, "testSchema": true, "testSchedule": true, // they only look
}

// auditBudget bounds what is still to be written down of a change once it was made, also when its client has gone.
const auditBudget = 3 * time.Second

// record is the entry of a request that is being answered.
type record struct {
	audit.Entry
	a     *API
	c     echo.Context
	what  change
	logs  []audit.Log
	owner tenants.ID
	ended bool
	idle  bool // the request only looks
}

// made notes the id that something new has got.
func made(c echo.Context, id string) {
	if r := RequestOf(c).record; r != nil {
		r.Target.Name = id
	}
}

// onlyLooks notes that a request changes nothing, although its operation does, so that it is not in the audit log.
func onlyLooks(c echo.Context) {
	if r := RequestOf(c).record; r != nil {
		r.idle = true
	}
}

// newRecord returns the entry of a request whose caller is known. What belongs to a tenant is in its log; what an operator
// does, and what belongs to nobody, in that of the installation.
func (a *API) newRecord(c echo.Context, rt *guarded) *record {
	req := RequestOf(c)
	p := req.Principal
	r := &record{a: a, c: c, what: *rt.change, owner: req.Tenant}
	r.Entry = audit.Entry{ID: a.Audit.NewID(), Operation: rt.operation, Request: req.ID, Address: c.RealIP(), Tenant: p.TenantName,
		Actor: p.Actor(), Target: audit.Target{Type: rt.change.target}}
	if rt.change.param != "" {
		r.Target.Name = c.Param(rt.change.param)
	}
	if rt.change.param != "queue" {
		r.Target.Queue = c.Param("queue")
	}
	if rt.change.param != "topic" {
		r.Target.Topic = c.Param("topic")
	}
	if p.Viewing {
		r.logs = append(r.logs, audit.Installation)
	}
	if p.Kind == auth.KindOperator {
		r.logs = append(r.logs, audit.Installation)
		r.Tenant = c.Request().Header.Get("Tenant")
		if name := c.Param("tenant"); name != "" {
			r.Tenant = name
			// The tenant itself is the operators' business. What belongs to it, is in its log too.
			if rt.change.target != "tenant" {
				t, _ := a.Tenants.Get(c.Request().Context(), name) // the handler says what is wrong with it
				r.owner = t.ID
			}
		} else if rt.needs == operator {
			r.Tenant = ""
		}
	}
	if !r.owner.IsZero() {
		r.logs = append(r.logs, audit.Log(r.owner.String()))
	} else if p.Kind == auth.KindTenant {
		r.owner = p.Tenant // refused before it was clear what it is about
		r.logs = append(r.logs, audit.Log(p.Tenant.String()))
	}
	return r
}

// audited answers a request and has the audit log tell of it: that it begins before anything is changed, and its end before
// the client hears of it. Where the log cannot be written nothing is changed.
func (a *API) audited(c echo.Context, rt *guarded) error {
	ctx := c.Request().Context()
	r := a.newRecord(c, rt)
	before, err := r.look()
	if err != nil {
		return err
	}
	r.Before = before
	for _, l := range r.logs {
		err := a.Audit.Begin(ctx, l, r.Entry)
		switch {
		case errors.Is(err, audit.ErrGone):
			return tenants.ErrNotFound
		case errors.Is(err, engine.ErrUnknown):
			return engine.ErrUnavailable.Because(err) // only the log may be another one
		case err != nil:
			return err
		}
	}
	RequestOf(c).record = r
	c.Response().Before(func() {
		if c.Response().Status < 400 {
			r.end(nil)
		}
	})
	err = rt.handler(c)
	if err != nil {
		r.end(err)
	}
	return err
}

// look returns the settings of the target now, nil for none.
func (r *record) look() (json.RawMessage, error) {
	if r.what.state == nil || r.Target.Name == "" {
		return nil, nil
	}
	v, err := r.what.state(r.a, r.c, r.owner, r.Target.Name)
	switch kind := errs.KindOf(err); {
	case err != nil && kind == errs.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return json.Marshal(v)
}

// end writes down what became of the request; err is nil when it was done.
func (r *record) end(err error) {
	if r.ended {
		return
	}
	r.ended = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.c.Request().Context()), auditBudget)
	defer cancel()
	request := r.c.Request()
	r.c.SetRequest(request.WithContext(ctx)) // for look
	defer r.c.SetRequest(request)
	write := r.a.Audit.End
	kind := errs.Internal
	if err != nil {
		kind = asError(err).Kind
	}
	switch {
	case err == nil && r.idle:
		write = r.drop
	case err == nil:
		r.Outcome = audit.Done
		after, failed := r.look()
		if failed != nil {
			r.a.Logger.Warn("the audit log does not show the state after a change", "request", r.Request, "error", failed)
		}
		r.After = after
		if r.After != nil && bytes.Equal(r.Before, r.After) {
			write = r.drop
		}
	case kind == errs.Forbidden:
		r.Code, write = asError(err).Code, r.refuse
	case kind == errs.Unknown || kind == errs.Internal:
		r.Outcome, r.Code = audit.Unknown, asError(err).Code
	default:
		write = r.drop // it was not possible, so nothing was changed
	}
	for _, l := range r.logs {
		if err := write(ctx, l, r.Entry); err != nil && !errors.Is(err, audit.ErrGone) {
			r.a.Logger.Warn("the audit log does not show how a change ended", "request", r.Request, "operation", r.Operation, "error", err)
		}
	}
}

func (r *record) drop(ctx context.Context, l audit.Log, e audit.Entry) error {
	return r.a.Audit.Drop(ctx, l, e.ID)
}

func (r *record) refuse(ctx context.Context, l audit.Log, e audit.Entry) error {
	e.Before = nil
	return errors.Join(r.drop(ctx, l, e), r.a.Audit.Refuse(ctx, l, e))
}

// refusedChange writes down that somebody who is known may not make a change. Who is not known is in no log: it is not
// clear in which.
func (a *API) refusedChange(c echo.Context, rt *guarded, err error) {
	if rt.change == nil || RequestOf(c).Principal.Kind == "" || errs.KindOf(err) != errs.Forbidden {
		return
	}
	a.newRecord(c, rt).end(err)
}

// settings returns what is set of a thing: its description without what changes by itself.
func settings(v any, without ...string) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	for _, name := range append(without, "updated_at") {
		delete(members, name)
	}
	return members, nil
}

func queueState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	q, err := a.Queues.Get(c.Request().Context(), owner, name)
	if err != nil {
		return nil, err
	}
	return settings(a.queue(q, queues.Stats{}, monitor.Rates{}, ""), "counts", "bytes", "oldest_age", "totals", "rates", "arn")
}

func topicState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	t, err := a.Topics.Get(c.Request().Context(), owner, name)
	if err != nil {
		return nil, err
	}
	return settings(a.topic(t, ""), "subscriptions", "log", "published", "arn")
}

func schemasState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	set, err := a.Topics.GetSchemas(c.Request().Context(), owner, name)
	if err != nil {
		return nil, err
	}
	return newSchemas(set), nil
}

func subscriptionState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	s, err := a.Topics.GetSubscription(c.Request().Context(), owner, c.Param("topic"), name)
	if err != nil {
		return nil, err
	}
	return settings(newSubscription(c.Param("topic"), s), "state", "lag", "counts", "last_error")
}

func topicSubscriptionState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	s, err := a.Topics.GetTopicSubscription(c.Request().Context(), owner, name)
	if err != nil {
		return nil, err
	}
	return settings(newTopicSubscription(s), "failed_topics", "failures")
}

func scheduleState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	of := a.scheduler(c)
	s, err := of.GetSchedule(c.Request().Context(), owner, of.owner, name)
	if err != nil {
		return nil, err
	}
	// The message is left out with its body. That it is another one is seen by the etag.
	return settings(of.show(s, false), "message", "next_runs", "last_run", "last_error", "counts")
}

func alarmState(a *API, c echo.Context, owner tenants.ID, name string) (any, error) {
	e, err := a.Alarms.Get(c.Request().Context(), owner, name)
	if err != nil {
		return nil, err
	}
	return settings(newAlarm(e), "state", "since", "value", "seen", "evaluated_at", "last_error")
}

func keyState(a *API, c echo.Context, owner tenants.ID, id string) (any, error) {
	if owner.IsZero() {
		return nil, auth.ErrKeyNotFound // nor is there such a tenant
	}
	k, err := a.Keys.Get(c.Request().Context(), owner, id)
	if err != nil {
		return nil, err
	}
	return settings(newKey(k), "last_used_at", "last_used_ip", "calls_24h")
}

func operatorKeyState(a *API, c echo.Context, _ tenants.ID, id string) (any, error) {
	keys, err := a.Keys.ListOperatorKeys(c.Request().Context())
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.ID == id {
			return settings(newKey(k), "last_used_at", "last_used_ip", "calls_24h")
		}
	}
	return nil, auth.ErrKeyNotFound
}

func tenantState(a *API, c echo.Context, _ tenants.ID, name string) (any, error) {
	t, err := a.Tenants.Get(c.Request().Context(), name)
	if err != nil {
		return nil, err
	}
	return settings(newTenant(t, tenants.Plans{}), "effective_limits", "stored_bytes_used")
}

func planState(a *API, c echo.Context, _ tenants.ID, name string) (any, error) {
	p, err := a.Tenants.GetPlan(c.Request().Context(), name)
	if err != nil {
		return nil, err
	}
	return settings(newPlan(p))
}
