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

// What one script call takes at most; see lua/lib/hook.lua.
const (
	callEntries = 100
	callBytes   = 512 << 10
)

// ErrDisabled says that a webhook takes nothing because it is disabled.
var ErrDisabled = &errs.Error{Kind: errs.Conflict, Code: "endpoint_disabled", Message: "The endpoint is disabled.",
	Fix: "Enable it: POST /v1/topics/{topic}/subscriptions/{subscription}/enable."}

// settings are what a webhook's head holds of its subscription, so that whoever sends needs nothing else.
type settings struct {
	Topic        string          `json:"topic"`
	TopicUID     string          `json:"topic_uid"`
	Subscription string          `json:"subscription"`
	Enveloped    bool            `json:"enveloped,omitempty"`
	Event        string          `json:"event,omitempty"` // name of a format of CloudEvents, or ""
	Notified     bool            `json:"sns,omitempty"`
	Created      int64           `json:"created,omitempty"`      // ms
	DeadLetters  string          `json:"dead_letters,omitempty"` // the dead-letter queue, or ""
	Endpoint     json.RawMessage `json:"endpoint"`
}

func settingsOf(w topics.Way, set topics.WaySettings) settings {
	out := settings{Topic: w.Topic, TopicUID: w.TopicUID, Subscription: w.Subscription, Enveloped: set.Format == topics.Enveloped,
		Notified: set.Format == topics.Notified, Created: set.Created.UnixMilli(), DeadLetters: set.DeadLetterQueue, Endpoint: json.RawMessage(set.Endpoint)}
	if set.Format == topics.EventBinary || set.Format == topics.EventStructured || set.Format == topics.EventBatch {
		out.Event = set.Format.String()
	}
	return out
}

// Configure makes a webhook, or gives it newer settings.
func (s *Store) Configure(ctx context.Context, w topics.Way, set topics.WaySettings) error {
	raw, err := json.Marshal(settingsOf(w, set))
	if err != nil {
		return engine.ErrBroken.Because(err)
	}
	secrets, replace := set.Secrets, 1
	if secrets == "" {
		secrets, replace = encodeSecrets([]storedSecret{{Sealed: set.Secret, Created: s.clock.Now().UnixMilli()}}), 0
	}
	e, err := ParseEndpoint(set.Endpoint)
	if err != nil {
		return engine.ErrBroken.Because(err)
	}
	id := identity{w.Tenant, w.UID}
	letters := 0
	if set.DeadLetterQueue != "" {
		letters = 1
	}
	b := Batch{}
	if e.Batch != nil {
		b = *e.Batch
	}
	list, err := s.call(ctx, configureScript, id, set.Version, string(raw), secrets, s.pusher.senderFor(w.UID), e.ToVerify(), letters, e.confirmTime().Milliseconds(),
		b.Messages, b.Bytes, b.Wait.Milliseconds(), replace, 60*e.MaxRate, e.Overflow.code())
	if err == nil {
		s.pusher.due(id, engine.Number(list, 1))
	}
	return err
}

// Deliver takes what was published as pointers to the topic's log.
func (s *Store) Deliver(ctx context.Context, w topics.Way, set topics.WaySettings, list []topics.Logged, to int64) (topics.Handed, error) {
	which := whatIsNew
	if set.DeadLetterQueue != "" {
		which = allThatIsNew
	}
	size := 0
	for i := range list {
		size += len(list[i].Message.Body)
	}
	id := identity{w.Tenant, w.UID}
	l := s.pusher.begin(id, len(list))
	args := make([]any, 0, 11+3*len(list))
	args = append(args, set.Version, to, s.pusher.senderFor(w.UID), which, 0, size)
	args = append(args, l.known.lending(l.most)...)
	args = append(args, l.each)
	for i := range list {
		args = append(args, entryOf(list[i].Sequence, w.Topic, list[i].Message.GroupID), list[i].Sequence, "")
		s.bodies.put(w.TopicUID, &list[i])
	}
	got, lent, err := s.enqueue(ctx, id, args)
	s.pusher.brought(ctx, l, lent, err)
	got.Slow = s.pusher.slow(id)
	return got, err
}

// Replay takes messages once more, with their bodies, because the log may not keep them for long.
func (s *Store) Replay(ctx context.Context, w topics.Way, list []topics.Logged) (topics.Handed, error) {
	if len(list) == 0 {
		return topics.Handed{}, nil
	}
	return s.again(ctx, w, onceMore, list, list[0].Sequence-1, list[len(list)-1].Sequence)
}

// Restore takes what was missed behind a sequence number up to another one, and nothing twice.
func (s *Store) Restore(ctx context.Context, w topics.Way, list []topics.Logged, after, to int64) (topics.Handed, error) {
	return s.again(ctx, w, whatWasMissed, list, after, to)
}

// What enqueue.lua is to take of messages that are brought.
const (
	whatIsNew     = 0
	onceMore      = 1
	whatWasMissed = 2
	allThatIsNew  = 3 // none is to be dropped
)

// again brings messages with their bodies, as many calls as their sizes ask for.
func (s *Store) again(ctx context.Context, w topics.Way, which int, list []topics.Logged, after, to int64) (topics.Handed, error) {
	for {
		args, size, n := []any{0, to, s.pusher.senderFor(w.UID), which, after, 0, 0, 0, 0, 0, 0}, 0, 0
		for n < len(list) && n < callEntries {
			m := pack(&list[n])
			if size += len(m); n > 0 && size > callBytes {
				break
			}
			args = append(args, entryOf(list[n].Sequence, w.Topic, list[n].Message.GroupID), list[n].Sequence, m)
			n++
		}
		args[5] = size
		end := to
		if n < len(list) {
			end = list[n-1].Sequence
			args[1] = end
		}
		got, _, err := s.enqueue(ctx, identity{w.Tenant, w.UID}, args)
		switch {
		case err != nil:
			return got, err
		case got.Disabled:
			return got, ErrDisabled
		case got.Reached < end || n == len(list):
			return got, nil
		}
		list, after = list[n:], end
	}
}

// handed is how many values enqueue.lua returns of what was brought. Behind them is what was lent at once.
const handed = 8

func (s *Store) enqueue(ctx context.Context, id identity, args []any) (got topics.Handed, lent []any, err error) {
	list, err := s.call(ctx, enqueueScript, id, args...)
	if err != nil {
		return topics.Handed{}, nil, err
	}
	if lent = list[min(handed, len(list)):]; len(lent) == 0 {
		s.pusher.due(id, engine.Number(list, 5))
	}
	return topics.Handed{Reached: engine.Number(list, 1), Mark: engine.Number(list, 2), Overflowed: engine.Number(list, 3), Disabled: engine.Text(list, 4) == "1",
		Early: engine.Number(list, 6), Oldest: engine.Text(list, 7) == "1", Refused: engine.Text(list, 7) == "2"}, lent, nil
}

// Suspend stops sending, or ends that.
func (s *Store) Suspend(ctx context.Context, w topics.Way, paused bool) error {
	verb := "resume"
	if paused {
		verb = "pause"
	}
	return s.gate(ctx, w, verb)
}

// Disable has an endpoint get nothing until Enable is called. What is published meanwhile is dropped, what waits is kept.
func (s *Store) Disable(ctx context.Context, w topics.Way) error {
	return gone(s.gate(ctx, w, "disable"))
}

// Enable has an endpoint get what waits for it, also when it was disabled because it failed for too long.
func (s *Store) Enable(ctx context.Context, w topics.Way) error {
	return gone(s.gate(ctx, w, "enable"))
}

func (s *Store) gate(ctx context.Context, w topics.Way, verb string) error {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, gateScript, id, verb, s.pusher.senderFor(w.UID))
	if err == nil {
		s.pusher.due(id, engine.Number(list, 1))
	}
	return err
}

// Forget removes all that is known of a subscription that has ended. An attempt that is under way ends as it does.
func (s *Store) Forget(ctx context.Context, w topics.Way) error {
	id := identity{w.Tenant, w.UID}
	_, err := s.engine.Do(ctx, eraseScript, id.keys())
	s.pusher.forget(id)
	return err
}

// pack returns a message as a webhook stores it: its id, and what package queues packs.
func pack(l *topics.Logged) []byte {
	return append(append(make([]byte, 0, engine.IDSize+64+len(l.Message.Body)), l.ID[:]...), l.Message.Record()...)
}

// unpack reads what pack wrote.
func unpack(sequence int64, raw string) (topics.Logged, error) {
	l := topics.Logged{Sequence: sequence, PublishedAt: topics.PublishedAt(sequence)}
	if len(raw) < engine.IDSize {
		return l, engine.ErrBroken.Because(fmt.Errorf("message %d of a webhook is damaged", sequence))
	}
	copy(l.ID[:], raw)
	var err error
	if l.Message, err = queues.ParseRecord(raw[engine.IDSize:]); err != nil {
		return l, engine.ErrBroken.Because(err)
	}
	return l, nil
}

// soon is a short while in which what failed for a reason of ours is tried again.
const soon = time.Second
