package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// A subscription brings its dead letters to their queue as two sources, because each has numbers of its own: what was not
// taken, by its number in the log, and what a webhook has sent and failed, by the number that it got then. See
// lua/lib/subscription.lua.
const (
	notTaken   = ".dead"
	sentFailed = ".sent"
)

var letterKinds = [...]string{notTaken, sentFailed}

// Letter is a message that cannot be delivered for good.
type Letter struct {
	Number  int64 // grows with each letter of a source
	ID      engine.ID
	Message queues.Outgoing // as the subscription would have delivered it
	Why     string          // for people
}

// DeadLetter brings messages that a webhook has sent, and that failed for good, to a dead-letter queue, in their order and each
// once however often it is brought. It returns up to which of their numbers all has come, and the numbers of those that the
// queue never takes. It is queues.ErrQueueNotFound where there is no such queue.
func (s *Store) DeadLetter(ctx context.Context, w Way, queue string, list []Letter, end int64) (queues.Delivered, error) {
	return s.deadLetter(ctx, w, queue, sentFailed, list, end)
}

func (s *Store) deadLetter(ctx context.Context, w Way, queue, kind string, list []Letter, end int64) (queues.Delivered, error) {
	now := s.clock.Now().UTC()
	out := make([]queues.Delivery, len(list))
	for i := range list {
		l := &list[i]
		m := l.Message
		if !queues.IsFIFOName(queue) {
			m.DeduplicationID = ""
		}
		origin := queues.Origin{Topic: w.Topic, Subscription: w.Subscription, Reason: queues.Undelivered, Error: l.Why, At: now, ID: l.ID}
		out[i] = queues.Delivery{Sequence: l.Number, Record: m.Letter(&origin), GroupID: m.GroupID, Size: sizeOf(&m)}
	}
	ctx = queues.By(ctx, func() queues.Actor { return queues.Actor{Kind: queues.ByTopic, Name: w.Topic} })
	got, err := s.queues.Deliver(ctx, w.Tenant, queue, source(w.TopicUID, w.UID)+kind, out, end)
	if err != nil {
		return got, err
	}
	return got, s.step("dead lettered")
}

// deliverOrBury brings a parcel to a queue or topic, and what that never takes to the dead-letter queue. It comes past a
// message that is refused only when that is buried, so that none is lost on the way; what is behind it is dealt with next.
func (r *round) deliverOrBury(ctx context.Context, p parcel) result {
	got, err := r.store.bring(ctx, r.tenant, r.config, &p)
	switch {
	case errors.Is(err, queues.ErrQueueNotFound) || errors.Is(err, ErrTopicNotFound):
		code, message := explain(err)
		return r.buryRest(ctx, p, p.from, Broken, code, message)
	case err != nil:
		return r.again(p, err)
	case len(got.Refused) == 0:
		return r.came(p, got)
	}
	code, message := refusal(p.queue)
	p.to = got.Refused[0]
	return r.buryRest(ctx, p, p.to-1, "", code, message)
}

// buryRefused brings what a webhook does not take, because it is disabled or full, to the dead-letter queue.
func (r *round) buryRefused(ctx context.Context, p parcel, got Handed) result {
	state, code, message := State(""), "storage_full", "The webhook holds as many messages as it may."
	if got.Disabled {
		state, code, message = Disabled, "endpoint_disabled", "The endpoint is disabled."
	}
	res := r.buryRest(ctx, p, max(got.Reached, p.from), state, code, message)
	res.mark = max(got.Mark, 1)
	if res.to == p.to {
		// So the webhook knows up to where it does not need the log. If it does not learn that now, it will by what comes next.
		if got, err := r.store.handOver(ctx, p.way, p.settings, nil, p.to); err == nil {
			res.mark = got.Mark
		}
	}
	return res
}

// buryRest brings what is in a parcel behind a sequence number to the dead-letter queue. What comes before has arrived.
func (r *round) buryRest(ctx context.Context, p parcel, from int64, state State, code, message string) result {
	letters, err := r.letters(ctx, p, from, message)
	switch {
	case err != nil:
		return r.again(p, err)
	case len(letters) == 0:
		return p.count(p.to, 0)
	}
	queue := p.settings.DeadLetterQueue
	got, err := r.store.deadLetter(ctx, p.way, queue, notTaken, letters, p.to)
	switch {
	case errors.Is(err, queues.ErrQueueNotFound):
		res := p.count(p.to, len(letters))
		res.failed, res.dropped = 0, res.failed
		res.trouble = r.trouble(p.trouble, state, code, fmt.Sprintf("%s It is dropped, because there is no dead-letter queue %q.", message, queue))
		return res
	case err == nil && got.Reached < p.to:
		err = got.Full
		if err == nil {
			err = queues.ErrMessagesFull
		}
		from = max(from, got.Reached)
	}
	buried := 0
	for i := range letters {
		if letters[i].Number <= from || err == nil {
			buried++
		}
	}
	if err != nil {
		_, why := explain(err)
		res := p.count(from, buried)
		res.retry, res.grave = true, errs.KindOf(err) != errs.Conflict
		res.trouble = r.trouble(p.trouble, Retrying, code, fmt.Sprintf("%s The dead-letter queue %q does not take it now: %s", message, queue, why))
		return res
	}
	res := p.count(p.to, buried)
	where := fmt.Sprintf("%s It is in the dead-letter queue %q.", message, queue)
	if len(got.Refused) > 0 {
		where = fmt.Sprintf("%s It is too large for the dead-letter queue %q as well, and dropped.", message, queue)
	}
	res.trouble = r.trouble(p.trouble, state, code, where)
	return res
}

// letters returns what is in a parcel behind a sequence number, as the subscription would have delivered it.
func (r *round) letters(ctx context.Context, p parcel, from int64, why string) ([]Letter, error) {
	var list []Letter
	k := 0
	for i := range p.page {
		m := &p.page[i]
		if k == len(p.list) || p.list[k].Sequence != m.sequence {
			continue
		}
		d := &p.list[k]
		k++
		if m.sequence <= from || m.sequence > p.to {
			continue
		}
		l := Letter{Number: m.sequence, ID: m.id, Message: m.message, Why: why}
		if p.settings.Endpoint != "" {
			logged := m.logged()
			var err error
			if l.Message, err = r.store.webhooks.Content(ctx, p.way, p.settings, &logged); err != nil {
				return nil, err
			}
		} else if d.Record != nil {
			l.Message, _ = queues.ParseRecord(string(d.Record)) // it was made by Record
		}
		list = append(list, l)
	}
	return list, nil
}

// findDeadLetters refuses a dead-letter queue that is not there, where it is another one than before.
func (s *Store) findDeadLetters(ctx context.Context, t tenants.ID, set SubscriptionSettings, before *SubscriptionSettings) error {
	name := set.DeadLetterQueue
	if name == "" || before != nil && before.DeadLetterQueue == name {
		return nil
	}
	_, err := s.queues.Get(ctx, t, name)
	if !errors.Is(err, queues.ErrQueueNotFound) {
		return err
	}
	e := errs.Invalidf("/dead_letter_queue", "There is no queue %q.", name)
	e.Fix = "Create it: PUT /v1/queues/{queue}."
	return e
}

// releaseLetters has a dead-letter queue forget a subscription, and then the topic. It can be repeated.
func (s *Store) releaseLetters(ctx context.Context, t tenants.ID, topicUID string, keys []string, uid, queue string) error {
	for _, kind := range letterKinds {
		if err := s.release(ctx, t, topicUID, keys, uid+kind, queue); err != nil {
			return err
		}
	}
	return nil
}
