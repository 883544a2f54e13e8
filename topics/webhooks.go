package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Webhooks is where subscriptions lead that are not to a queue: package topics/webhook, which stands above this one.
type Webhooks interface {
	// Check returns the endpoint of settings, for a subscription of a topic, in the one form in which it is stored; was is the one
	// that is there, or "".
	// Errors point at what is wrong.
	Check(topic string, set SubscriptionSettings, was string) (string, error)
	// NewSecret returns a secret for a new subscription, sealed.
	NewSecret() string
	// Configure makes what a subscription needs, or gives it these settings where they are newer than those it has.
	Configure(ctx context.Context, w Way, set WaySettings) error
	// Deliver takes messages, in their order, up to a sequence number; what it was brought before it takes no second time.
	// It is ErrNotConfigured where Configure has to come first, with these settings. Where they name a dead-letter queue, or
	// publishes are to be refused, it drops nothing, but stops before the first message that it has to refuse.
	Deliver(ctx context.Context, w Way, set WaySettings, list []Logged, to int64) (Handed, error)
	// Content returns a message as the endpoint would get it, but for what goes into headers.
	Content(ctx context.Context, w Way, set WaySettings, l *Logged) (queues.Outgoing, error)
	// Replay takes messages once more, with their bodies.
	Replay(ctx context.Context, w Way, list []Logged) (Handed, error)
	// Missed returns what a subscription has missed, the lowest sequence numbers first.
	Missed(ctx context.Context, w Way) ([]Gap, error)
	// Restore takes what was missed behind a sequence number up to another one, with bodies, and nothing twice.
	Restore(ctx context.Context, w Way, list []Logged, after, to int64) (Handed, error)
	// Revive has messages sent again that failed from an instant on and before another one, or with zero before now, at most 100.
	Revive(ctx context.Context, w Way, since, before time.Time, most int) (Revived, error)
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
	Version  int64  // grows with each change
	Endpoint string // as Webhooks.Check returned it
	Format   Format
	Secret   string // the first one, sealed; later ones are the webhook's own
	Secrets  string // instead of all of them, as Webhooks keeps them; "": nothing
	Created  time.Time
	// DeadLetterQueue gets what was sent and failed for good, by DeadLetter; "": nothing does.
	DeadLetterQueue string
}

// Handed is what became of a Deliver.
type Handed struct {
	Reached int64 // the sequence number up to which all has come
	// Mark is the sequence number up to which the log need not keep anything for the subscription.
	Mark int64
	// Disabled: the endpoint gets nothing until somebody enables it again. What was brought is dropped, or refused.
	Disabled bool
	// Overflowed are how many messages were dropped because the subscription holds as many as it may.
	Overflowed int64
	// Oldest: these are the oldest that it held, and what was brought was taken.
	Oldest bool
	// Refused: it holds as many messages as it may, and by its settings nothing is to be published until it has got what there is.
	Refused bool
	// Early are how many were dropped because they were published before the endpoint had confirmed that it wants any.
	Early int64
	// Slow: the endpoint has not taken the last message that it was sent, or none yet, as one that hangs. What else is there to be
	// delivered need not wait for what it gets next.
	Slow bool
}

// Gap is a part of a topic's log of which a webhook has taken nothing, because it was disabled or held as many messages as it may.
type Gap struct {
	First, Last int64 // sequence numbers
	Count       int64 // how many messages matched the filter policy; an estimate once a part of them was brought
}

// Revived is what became of a Revive.
type Revived struct {
	Count, Left int64     // how many messages are sent again, and how many are left
	Now         time.Time // by the clock by which messages fail
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
	set, _ := st.settings() // its format can always be read
	return WaySettings{Version: st.Version, Endpoint: st.Endpoint, Format: set.Format, Secret: st.Secret, Secrets: st.Secrets, Created: at(st.Created), DeadLetterQueue: st.Dead}
}

// hand brings a parcel to a subscription's webhook. All of the page is brought, so that it knows how far the log is done.
func (r *round) hand(ctx context.Context, p parcel) result {
	got, err := r.store.handOver(ctx, p.way, p.settings, p.messages(), p.to)
	if err != nil {
		return r.again(p, err)
	}
	if p.settings.DeadLetterQueue != "" && got.Reached < p.to && !got.Refused {
		return r.buryRefused(ctx, p, got)
	}
	res := p.count(max(got.Reached, p.from), 0)
	res.mark, res.slow = got.Mark, got.Slow
	res.delivered, res.dropped = res.delivered-got.Early, res.dropped+got.Early
	switch {
	case got.Refused:
		res.retry, res.full = true, p.way.Subscription
		res.trouble = r.trouble(p.trouble, Retrying, ErrSubscriptionFull.Code, "The webhook holds as many messages as it may, and publishes are refused until it has got what there is.")
	case got.Disabled:
		res.full = ""
		res.dropped, res.delivered = res.dropped+res.delivered, 0
		res.trouble = r.trouble(p.trouble, Disabled, "endpoint_disabled", "The endpoint is disabled. What is published meanwhile is dropped, and can be replayed while the topic keeps it.")
	case got.Overflowed > 0:
		res.delivered, res.dropped = res.delivered-got.Overflowed, res.dropped+got.Overflowed
		message := "The webhook holds as many messages as it may, and more were dropped."
		if got.Oldest {
			message = "The webhook holds as many messages as it may, and the oldest were dropped."
		}
		res.trouble = r.trouble(p.trouble, "", "storage_full", message)
	default:
		res.trouble = over(p.trouble)
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
	got, err := s.webhooks.Deliver(ctx, w, set, list, to)
	if errors.Is(err, ErrNotConfigured) {
		if err = s.webhooks.Configure(ctx, w, set); err == nil {
			got, err = s.webhooks.Deliver(ctx, w, set, list, to)
		}
	}
	return got, err
}

func (p *published) logged() Logged {
	return Logged{ID: p.id, Sequence: p.sequence, PublishedAt: publishedAt(p.sequence), Message: p.message}
}

// Fetched is what Fetch found.
type Fetched struct {
	Messages []Logged
	Damaged  []int64 // sequence numbers of messages that the log keeps and nobody can read
	Told     int     // of how many of the numbers this tells: where messages are large, not of the later ones
}

// Fetch returns messages of a topic's log by their sequence numbers, at most MaxRead of them. What the log does not keep any
// more is left out.
func (s *Store) Fetch(ctx context.Context, t tenants.ID, topicUID string, sequences []int64) (Fetched, error) {
	args := make([]any, len(sequences))
	for i, n := range sequences {
		args[i] = n
	}
	reply, err := s.engine.Do(ctx, pickScript, topicKeys(t, topicUID), args...)
	if err != nil {
		return Fetched{}, err
	}
	list, err := verdict(reply)
	if errors.Is(err, errGone) {
		return Fetched{Told: len(sequences)}, nil
	}
	if err != nil {
		return Fetched{}, err
	}
	out := Fetched{Told: int(engine.Number(list, 1))}
	for i := 2; i+1 < len(list); i += 2 {
		p, err := parsePublished(list, i)
		if err != nil { // one that is damaged says nothing of the others
			out.Damaged = append(out.Damaged, engine.Number(list, i))
			continue
		}
		out.Messages = append(out.Messages, p.logged())
	}
	return out, nil
}

// maxFreed bounds the calls by which Release frees what a log need not keep, a hundred messages each.
const maxFreed = 100

// Release says up to which sequence number a topic's log need not keep anything for webhooks, by the uids of their
// subscriptions, and frees what nobody needs; more says that something of that is left, or that a webhook was quicker than what is
// noted of its subscription: it is to be called again. It is a saving of memory only: Deliver says the same.
func (s *Store) Release(ctx context.Context, t tenants.ID, topicName, topicUID string, marks map[string]int64) (more bool, err error) {
	err = s.with(ctx, t, topicName, func(tp *topic) error {
		if tp.uid != topicUID {
			return nil
		}
		args := []any{tp.config.Load().Retention.Milliseconds(), Hold.Milliseconds()}
		for uid, mark := range marks {
			args = append(args, uid, mark)
		}
		early := false
		for range maxFreed {
			reply, err := s.engine.Do(ctx, markScript, tp.keys, args...)
			if err != nil {
				return err
			}
			list, err := verdict(reply)
			if err != nil {
				return err
			}
			early = early || engine.Text(list, 2) == "1"
			if more = engine.Number(list, 1) == callMessages; !more {
				break
			}
			args = args[:2]
		}
		more = more || early
		return nil
	})
	return more, err
}

// errNoWebhooks is for a program without them.
var errNoWebhooks = errs.Invalidf("/endpoint", "This server delivers no webhooks.")

// checkEndpoint brings the settings of a webhook into their stored form. before is nil for one that is made.
func (s *Store) checkEndpoint(topicName string, set, before *SubscriptionSettings) error {
	if set.Endpoint == "" {
		return nil
	}
	if s.webhooks == nil {
		return errNoWebhooks
	}
	was := ""
	if before != nil {
		was = before.Endpoint
	}
	var err error
	set.Endpoint, err = s.webhooks.Check(topicName, *set, was)
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

// forgetEnd has the queue, topic or webhook of a subscription that has ended forget it.
func (s *Store) forgetEnd(ctx context.Context, t tenants.ID, topicUID, uid, queue string) error {
	if queue == "" {
		if s.webhooks == nil {
			return nil
		}
		return s.webhooks.Forget(ctx, Way{Tenant: t, TopicUID: topicUID, UID: uid})
	}
	return s.forgetSource(ctx, t, queue, source(topicUID, uid))
}

// forgetSource has a queue or a topic forget a source that brings nothing any more.
func (s *Store) forgetSource(ctx context.Context, t tenants.ID, target, source string) error {
	if name, ok := queues.CutTopicTarget(target); ok {
		return s.quit(ctx, t, name, source)
	}
	if account, queue, ok := cutAbroad(target); ok {
		owner, err := s.ownerOf(ctx, account)
		if errs.KindOf(err) == errs.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		return s.queues.ForgetSource(ctx, owner, queue, source)
	}
	return s.queues.ForgetSource(ctx, t, target, source)
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
			kind, to := "queue", v.Queue
			if other, ok := queues.CutTopicTarget(v.Queue); ok {
				kind, to = "topic", other
			}
			return errs.New(errs.Conflict, "not_a_webhook", fmt.Sprintf("The subscription %q leads to the %s %q, not to a webhook.", name, kind, to))
		}
		w = v.way(t, tp.uid, topicName, name)
		return nil
	})
	return w, err
}

// find returns the record of a subscription.
func (tp *topic) find(ctx context.Context, name string) (*record, error) {
	if !IsSubscriptionName(name) {
		return nil, subscriptionNotFound(tp.at.name, name)
	}
	snap, err := tp.subscriptions(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(snap.list) == 0 {
		return nil, subscriptionNotFound(tp.at.name, name)
	}
	if err := snap.list[0].damaged; err != nil {
		return nil, ErrSubscriptionDamaged.Because(err)
	}
	return snap.list[0], nil
}
