package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// MaxLogged is how many attempts the log of a webhook has at most.
const MaxLogged = 500

// ErrDeliveryNotFound says that a message cannot be sent again.
var ErrDeliveryNotFound = &errs.Error{Kind: errs.NotFound, Code: "delivery_not_found", Message: "There is no such delivery, and the topic does not keep its message any more.",
	Fix: "Look for it: GET /v1/topics/{topic}/subscriptions/{subscription}/deliveries. To keep messages longer set message_retention on the topic."}

// Attempts returns attempts of a webhook, the latest first: those before the one with a number, or with 0 the latest. Wanted
// says which; nil is all. The number that is returned is where to go on, and 0 at the end.
func (s *Store) Attempts(ctx context.Context, w topics.Way, before int64, limit int, wanted func(*Attempt) bool) ([]Attempt, int64, error) {
	out := []Attempt{}
	oldest := s.clock.Now().Add(-topics.Hold - 24*time.Hour) // nobody has looked at a webhook since one of these
	for {
		list, err := s.call(ctx, attemptsScript, identity{w.Tenant, w.UID}, before, callEntries)
		if err != nil {
			return nil, 0, gone(err)
		}
		if len(list) < 3 {
			return out, 0, nil
		}
		for i := 1; i+1 < len(list); i += 2 {
			var a Attempt
			err := json.Unmarshal([]byte(engine.Text(list, i+1)), &a) // one that is damaged is left out
			if err == nil && a.At.Before(oldest) {
				return out, 0, nil
			}
			if a.Number = engine.Number(list, i); err != nil || wanted != nil && !wanted(&a) {
				before = a.Number
				continue
			}
			if len(out) == limit {
				return out, before, nil
			}
			out, before = append(out, a), a.Number
		}
		if before <= 1 {
			return out, 0, nil
		}
	}
}

// Resend sends a message again, whatever became of it, with all of its attempts before it. Its id is the one of before.
func (s *Store) Resend(ctx context.Context, w topics.Way, entry string) error {
	sequence, ok := sequenceOf(entry)
	if !ok {
		return ErrDeliveryNotFound
	}
	got, err := s.revive(ctx, w, time.Time{}, time.Time{}, 1, entry)
	if err != nil || got.Count > 0 {
		return err
	}
	found, err := s.topics.Fetch(ctx, w.Tenant, w.TopicUID, []int64{sequence})
	if err != nil {
		return err
	}
	if len(found.Messages) == 0 || entryOf(sequence, w.Topic, found.Messages[0].Message.GroupID) != entry {
		return ErrDeliveryNotFound
	}
	brought, err := s.Replay(ctx, w, found.Messages)
	if err == nil && brought.Reached < sequence {
		err = ErrFull
	}
	return gone(err)
}

// ErrFull says that a webhook holds as many messages as it may.
var ErrFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full", Message: "The webhook holds as many messages as it may."}

// maxRevives bounds the calls of one ResendFailed, a hundred messages each: all that a webhook holds.
const maxRevives = 1000

// ResendFailed sends all messages again that failed since an instant, and returns how many.
func (s *Store) ResendFailed(ctx context.Context, w topics.Way, since time.Time) (int64, error) {
	total := int64(0)
	for range maxRevives {
		got, err := s.revive(ctx, w, since, time.Time{}, callEntries)
		total += got.Count
		if err != nil || got.Count < callEntries {
			return total, err
		}
	}
	return total, nil
}

// Revive sends messages again that failed from an instant on and before another one, at most so many.
func (s *Store) Revive(ctx context.Context, w topics.Way, since, before time.Time, most int) (topics.Revived, error) {
	return s.revive(ctx, w, since, before, most)
}

// revive sends entries again, or with none of them those that failed in a time.
func (s *Store) revive(ctx context.Context, w topics.Way, since, before time.Time, most int, entries ...string) (topics.Revived, error) {
	id := identity{w.Tenant, w.UID}
	args := []any{millis(since), millis(before), most, s.pusher.senderFor(w.UID)}
	for _, e := range entries {
		args = append(args, e)
	}
	list, err := s.call(ctx, reviveScript, id, args...)
	if err != nil {
		return topics.Revived{}, gone(err)
	}
	s.pusher.due(id, engine.Number(list, 2))
	return topics.Revived{Count: engine.Number(list, 1), Left: engine.Number(list, 3), Now: moment(engine.Number(list, 4))}, nil
}

// ErrBusy says that a test would take what the messages of others need.
var ErrBusy = &errs.Error{Kind: errs.RateLimited, Code: "too_many_tests", RetryAfter: soon, Message: "Too many tests are under way.",
	Fix: "Wait until those have an answer."}

// Test sends an event that nobody published, now, and says what came of it. It changes nothing of how the endpoint fares.
func (s *Store) Test(ctx context.Context, w topics.Way) (Attempt, error) {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, statusScript, id)
	if err != nil {
		return Attempt{}, gone(err)
	}
	if engine.Number(list, 24) != 0 {
		return Attempt{}, ErrUnverified
	}
	c, err := s.configOf(id, list)
	if err != nil {
		return Attempt{}, err
	}
	if !s.pusher.beginTest(id.tenant, c.host) {
		return Attempt{}, ErrBusy
	}
	defer s.pusher.endTest(id.tenant, c.host)
	now := s.clock.Now()
	body := fmt.Sprintf(`{"type":"sluice.test","topic":%q,"subscription":%q}`, w.Topic, w.Subscription)
	l := topics.Logged{ID: s.engine.NewID(0), PublishedAt: now, Message: queues.Outgoing{Body: []byte(body), ContentType: "application/json"}}
	st, err := s.styleOf(ctx, id.tenant, c)
	if err != nil {
		return Attempt{}, err
	}
	g, _ := c.load([]lent{{message: &l}})
	v, a, _ := s.attempt(ctx, c, st, g, 1)
	if a.Outcome = Tested; v.outcome == done {
		a.Code, a.Error = "", ""
	}
	_, err = s.call(ctx, noteScript, id, a.encode(), c.short(nil, &a))
	return a, gone(err)
}
