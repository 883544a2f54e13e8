package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// change says what the audit log has of an action.
type change struct {
	kind string // type of what is changed
	// named returns what the request names, without a look whether there is such a thing; "" where it names none.
	named func(*call) (name, topic string)
	state func(c *call, name, topic string) (map[string]string, error) // nil: it is not shown
}

var (
	aQueue        = &change{"queue", (*call).namedQueue, (*call).queueState}
	inAQueue      = &change{"queue", (*call).namedQueue, nil}
	aTask         = &change{"task", func(*call) (string, string) { return "", "" }, nil}
	aTopic        = &change{"topic", (*call).namedTopic, (*call).topicState}
	aSubscription = &change{"subscription", (*call).namedSubscription, (*call).subscriptionState}
	confirmation  = &change{"subscription", (*call).namedByToken, (*call).subscriptionState}
)

// actorAccount is the kind of a caller of another account.
const actorAccount = "account"

// auditBudget bounds what is still to be written down of a change once it was made, also when its client has gone.
const auditBudget = 3 * time.Second

// entry returns the entry of a request whose caller is known.
func (c *call) entry() *audit.Entry {
	was := c.flaws
	name, topic := c.act.changes.named(c)
	c.flaws = was // what is wrong with a name the action will tell
	e := &audit.Entry{ID: c.door.Audit.NewID(), Operation: c.service.scope + ":" + c.act.name, Request: c.id, Address: c.door.ClientAddress(c.r),
		Tenant: c.who.TenantName, Actor: c.who.Actor(), Unsigned: c.json && c.signed != nil && !c.signed.Covers("x-amz-target"),
		Target: audit.Target{Type: c.act.changes.kind, Name: name, Topic: topic}}
	switch {
	case c.link != nil:
		e.Actor.Kind = "link"
	case c.abroad(): // whose keys the owner does not know
		e.Tenant, e.Address = "", ""
		e.Actor = audit.Actor{Kind: actorAccount, Account: c.account}
	}
	return e
}

// actor is who makes the request, for timelines of messages.
func (c *call) actor() queues.Actor {
	if c.abroad() {
		return queues.Actor{Kind: queues.ByAccount, Name: c.account}
	}
	return queues.Actor{Kind: queues.ActorKind(c.who.Kind), Key: c.who.KeyID, Address: c.door.ClientAddress(c.r)}
}

func (c *call) log() audit.Log { return audit.Log(c.owner.String()) }

// made notes the name that something new has got.
func (c *call) made(name string) {
	if c.record != nil {
		c.record.Target.Name = name
	}
}

// found notes the name of what was to be made and is there already.
func (c *call) found(name string) {
	c.made(name)
	if c.record != nil {
		c.record.Before, _ = c.look(c.ctx) // what cannot be read is told as a change
	}
}

// audited runs an action and has the audit log tell of it: that it begins before anything is changed, and its end before the
// client hears of it. Where the log cannot be written nothing is changed.
func (c *call) audited(run func(*call) error) error {
	if c.act.changes == nil {
		return run(c)
	}
	if err := c.locate(); err != nil {
		return err
	}
	c.record = c.entry()
	var err error
	if c.record.Before, err = c.look(c.ctx); err != nil {
		return err
	}
	switch err := c.door.Audit.Begin(c.ctx, c.log(), *c.record); {
	case errors.Is(err, audit.ErrGone):
		return errClientToken.with(noToken)
	case errors.Is(err, engine.ErrUnknown):
		return engine.ErrUnavailable.Because(err) // only the log may be another one
	case err != nil:
		return err
	}
	err = run(c)
	c.ended(err)
	return err
}

// look returns the settings of the target now, nil for none.
func (c *call) look(ctx context.Context) (json.RawMessage, error) {
	state, target := c.act.changes.state, c.record.Target
	if state == nil || target.Name == "" {
		return nil, nil
	}
	request := c.ctx
	c.ctx = ctx
	defer func() { c.ctx = request }()
	found, err := state(c, target.Name, target.Topic)
	switch {
	case err != nil && errs.KindOf(err) == errs.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return json.Marshal(found)
}

// ended writes down what became of a change; err is nil when it was made.
func (c *call) ended(err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), auditBudget)
	defer cancel()
	store, e := c.door.Audit, c.record
	var failed error
	switch {
	case err == nil:
		e.Outcome = audit.Done
		var unseen error
		if e.After, unseen = c.look(ctx); unseen != nil {
			c.door.Logger.Warn("the audit log does not show the state after a change", "request", e.Request, "error", unseen)
		}
		if c.act.changes.state != nil && unseen == nil && bytes.Equal(e.Before, e.After) { // also nothing before and after
			failed = store.Drop(ctx, c.log(), e.ID)
		} else {
			failed = store.End(ctx, c.log(), *e)
		}
	case isSort(err, errDenied):
		refused := *e
		refused.Code, refused.Before = c.told(fault(err)), nil
		failed = errors.Join(store.Drop(ctx, c.log(), e.ID), store.Refuse(ctx, c.log(), refused))
	case !fault(err).bySender() && (errs.KindOf(err) == errs.Unknown || errs.KindOf(err) == errs.Internal):
		e.Outcome, e.Code = audit.Unknown, c.told(fault(err))
		failed = store.End(ctx, c.log(), *e)
	default: // it was not possible, so nothing was changed
		failed = store.Drop(ctx, c.log(), e.ID)
	}
	if failed != nil && !errors.Is(failed, audit.ErrGone) {
		c.door.Logger.Warn("the audit log does not show how a change ended", "request", e.Request, "operation", e.Operation, "error", failed)
	}
}

// told returns the code of an error as the client gets it.
func (c *call) told(f *Fault) string {
	if c.service == sns {
		f = c.snsFault(f)
	}
	return f.code
}

// refused writes down that somebody who is known may not make a change. Who is not known is in no log: it is not clear in
// which.
func (c *call) refused(err error) {
	if c.act.changes == nil || c.who.Tenant.IsZero() || !isSort(err, errDenied) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), auditBudget)
	defer cancel()
	e := c.entry()
	e.Code = c.told(fault(err))
	if err := c.door.Audit.Refuse(ctx, c.log(), *e); err != nil && !errors.Is(err, audit.ErrGone) {
		c.door.Logger.Warn("the audit log does not show a refusal", "request", e.Request, "operation", e.Operation, "error", err)
	}
}

func (c *call) namedQueue() (name, topic string) {
	if name, ok := c.in.text("QueueName"); ok {
		return name, ""
	}
	if arn, ok := c.in.text("SourceArn"); ok {
		name, _ = c.queueOfARN(arn)
		return name, ""
	}
	address, ok := c.in.text("QueueUrl")
	if !ok || address == "" {
		address = c.r.URL.Path
	}
	_, name, _ = splitQueueURL(address)
	return name, ""
}

// queueState returns the attributes of a queue that are set, and its tags.
func (c *call) queueState(name, _ string) (map[string]string, error) {
	q, err := c.door.Queues.Get(c.ctx, c.owner, name)
	if err != nil {
		return nil, err
	}
	state := withLabels(q.Settings.Labels)
	for _, p := range c.attributes(&q, &queues.Stats{}) {
		if !strings.HasPrefix(p.key, "Approximate") && !strings.HasSuffix(p.key, "Timestamp") && p.key != "QueueArn" {
			state[p.key] = p.value
		}
	}
	return state, nil
}

// withLabels returns a state that has tags.
func withLabels(labels map[string]string) map[string]string {
	state := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		state["Tag "+k] = labels[k]
	}
	return state
}
