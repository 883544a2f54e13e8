package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Webhooks is where subscriptions lead that are not to a queue: package topics/webhook, which stands above this one.
type Webhooks interface {
	// Check returns an endpoint's settings in the one form in which they are stored. Errors point at what is wrong.
	Check(endpoint string) (string, error)
	// NewSecret returns a secret for a new subscription, sealed.
	NewSecret() string
	// Configure makes what a subscription needs, or gives it these settings where they are newer than those it has.
	Configure(ctx context.Context, w Way, set WaySettings) error
	// Deliver takes messages, in their order, up to a sequence number; what it was brought before it takes no second time.
	// It is ErrNotConfigured where Configure has to come first, with settings of this version.
	Deliver(ctx context.Context, w Way, version int64, list []Logged, to int64) (Handed, error)
	// Replay takes messages once more, with their bodies.
	Replay(ctx context.Context, w Way, list []Logged) (Handed, error)
	// Suspend stops sending, or ends that.
	Suspend(ctx context.Context, w Way, paused bool) error
	// Forget removes all that is known of a subscription that has ended.
	Forget(ctx context.Context, w Way) error
}

// Way is a subscription that leads to a webhook. Forget gets it without names.
type Way struct {
	Tenant       tenants.ID
	TopicUID     string
	UID          string
	Topic        string
	Subscription string
}

// WaySettings are what a webhook has to know of its subscription.
type WaySettings struct {
	Version   int64  // grows with each change
	Endpoint  string // as Webhooks.Check returned it
	Enveloped bool
	Secret    string // the first one, sealed; later ones are the webhook's own
}

// Handed is what became of a Deliver.
type Handed struct {
	Reached int64 // the sequence number up to which all has come
	// Mark is the sequence number up to which the log need not keep anything for the subscription.
	Mark int64
	// Disabled: the endpoint gets nothing until somebody enables it again. What was brought is dropped.
	Disabled bool
	// Overflowed are how many messages were dropped because the subscription holds as many as it may.
	Overflowed int64
}

// ErrNotConfigured says that a webhook does not know a subscription, or knows it by older settings.
var ErrNotConfigured = errors.New("the webhook has to be configured first")

// Connect says where webhooks are. Call it once, before anything else; without it no subscription leads to one.
func (s *Store) Connect(w Webhooks) { s.webhooks = w }

// way returns the identity of a subscription.
func (st *storedSubscription) way(t tenants.ID, topicUID, topicName, name string) Way {
	return Way{Tenant: t, TopicUID: topicUID, UID: st.UID, Topic: topicName, Subscription: name}
}

func (st *storedSubscription) waySettings() WaySettings {
	return WaySettings{Version: st.Version, Endpoint: st.Endpoint, Enveloped: st.Envelope, Secret: st.Secret}
}

// hand brings a parcel to a subscription's webhook. All of the page is brought, so that it knows how far the log is done.
func (r *round) hand(ctx context.Context, p parcel) result {
	res := result{from: p.from, to: p.from, trouble: "="}
	got, err := r.store.handOver(ctx, p.way, p.settings, p.messages(), p.to)
	if err != nil {
		code, message := explain(err)
		res.retry, res.grave = true, true
		res.trouble = r.trouble(p.trouble, Retrying, code, message)
		return res
	}
	res = p.count(max(got.Reached, p.from), 0)
	res.mark = got.Mark
	switch {
	case got.Disabled:
		res.dropped, res.delivered = res.delivered, 0
		res.trouble = r.trouble(p.trouble, Disabled, "endpoint_disabled", "The endpoint is disabled. What is published meanwhile is dropped, and can be replayed while the topic keeps it.")
	case got.Overflowed > 0:
		res.delivered, res.dropped = res.delivered-got.Overflowed, got.Overflowed
		res.trouble = r.trouble(p.trouble, "", "storage_full", "The webhook holds as many messages as it may, and more were dropped.")
	case p.trouble != nil && p.trouble.State != "":
		over := *p.trouble
		over.State = ""
		res.trouble = over.encode()
	}
	return res
}

// messages returns what is brought, as it stands in the log.
func (p *parcel) messages() []Logged {
	list := make([]Logged, 0, len(p.list))
	for i := range p.page {
		if m := &p.page[i]; len(list) < len(p.list) && p.list[len(list)].Sequence == m.sequence {
			list = append(list, m.logged())
		}
	}
	return list
}

// handOver delivers to a webhook, which is configured first where that was not done, or was not finished.
func (s *Store) handOver(ctx context.Context, w Way, set WaySettings, list []Logged, to int64) (Handed, error) {
	got, err := s.webhooks.Deliver(ctx, w, set.Version, list, to)
	if errors.Is(err, ErrNotConfigured) {
		if err = s.webhooks.Configure(ctx, w, set); err == nil {
			got, err = s.webhooks.Deliver(ctx, w, set.Version, list, to)
		}
	}
	return got, err
}

func (p *published) logged() Logged {
	return Logged{ID: p.id, Sequence: p.sequence, PublishedAt: publishedAt(p.sequence), Message: p.message}
}

// Fetch returns messages of a topic's log by their sequence numbers, at most MaxRead of them, and of how many of the numbers
// the answer tells: where messages are large, not of the later ones. What the log does not keep any more is left out.
func (s *Store) Fetch(ctx context.Context, t tenants.ID, topicUID string, sequences []int64) (found []Logged, told int, err error) {
	args := make([]any, len(sequences))
	for i, n := range sequences {
		args[i] = n
	}
	reply, err := s.engine.Do(ctx, pickScript, topicKeys(t, topicUID), args...)
	if err != nil {
		return nil, 0, err
	}
	list, err := verdict(reply)
	if errors.Is(err, errGone) {
		return nil, len(sequences), nil
	}
	if err != nil {
		return nil, 0, err
	}
	page, err := parsePage(list[2:])
	if err != nil {
		return nil, 0, err
	}
	for i := range page {
		found = append(found, page[i].logged())
	}
	return found, int(engine.Number(list, 1)), nil
}

// Release says up to which sequence number a topic's log need not keep anything for webhooks, by the uids of their
// subscriptions. It is a saving of memory only: Deliver says the same.
func (s *Store) Release(ctx context.Context, t tenants.ID, topicName, topicUID string, marks map[string]int64) error {
	return s.with(ctx, t, topicName, func(tp *topic) error {
		if tp.uid != topicUID {
			return nil
		}
		args := []any{tp.config.Load().Retention.Milliseconds(), Hold.Milliseconds()}
		for uid, mark := range marks {
			args = append(args, uid, mark)
		}
		_, err := s.engine.Do(ctx, markScript, tp.keys, args...)
		return err
	})
}

// errNoWebhooks is for a program without them.
var errNoWebhooks = errs.Invalidf("/endpoint", "This server delivers no webhooks.")

// checkEndpoint brings the settings of a webhook into their stored form.
func (tp *topic) checkEndpoint(set *SubscriptionSettings) error {
	if set.Endpoint == "" {
		return nil
	}
	if tp.store.webhooks == nil {
		return errNoWebhooks
	}
	var err error
	set.Endpoint, err = tp.store.webhooks.Check(set.Endpoint)
	return err
}

// configure gives a webhook the settings of a subscription.
func (tp *topic) configure(ctx context.Context, name string, st *storedSubscription) error {
	if st.Endpoint == "" {
		return nil
	}
	if err := tp.store.step("subscribed"); err != nil {
		return err
	}
	return tp.store.webhooks.Configure(ctx, st.way(tp.at.tenant, tp.uid, tp.at.name, name), st.waySettings())
}

// forgetEnd has the queue or webhook of a subscription that has ended forget it.
func (s *Store) forgetEnd(ctx context.Context, t tenants.ID, topicUID, uid, queue string) error {
	if queue == "" {
		if s.webhooks == nil {
			return nil
		}
		return s.webhooks.Forget(ctx, Way{Tenant: t, TopicUID: topicUID, UID: uid})
	}
	return s.queues.ForgetSource(ctx, t, queue, source(topicUID, uid))
}

// Of returns the way to the webhook of a subscription. One that leads to a queue is an error of the kind errs.Conflict.
func (s *Store) Of(ctx context.Context, t tenants.ID, topicName, name string) (Way, error) {
	var w Way
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		rec, err := tp.find(ctx, name)
		if err != nil {
			return err
		}
		v := rec.last()
		if v.Endpoint == "" {
			return errs.New(errs.Conflict, "not_a_webhook", fmt.Sprintf("The subscription %q leads to the queue %q, not to a webhook.", name, v.Queue))
		}
		w = v.way(t, tp.uid, topicName, name)
		return nil
	})
	return w, err
}

// find returns the record of a subscription.
func (tp *topic) find(ctx context.Context, name string) (*record, error) {
	if ValidSubscriptionName(name) != nil {
		return nil, subscriptionNotFound(tp.at.name, name)
	}
	snap, err := tp.subscriptions(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(snap.list) == 0 {
		return nil, subscriptionNotFound(tp.at.name, name)
	}
	return snap.list[0], nil
}
