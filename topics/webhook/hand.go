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
	Endpoint     json.RawMessage `json:"endpoint"`
}

// Configure makes a webhook, or gives it newer settings.
func (s *Store) Configure(ctx context.Context, w topics.Way, set topics.WaySettings) error {
	raw, err := json.Marshal(settings{Topic: w.Topic, TopicUID: w.TopicUID, Subscription: w.Subscription, Enveloped: set.Enveloped, Endpoint: json.RawMessage(set.Endpoint)})
	if err != nil {
		return engine.ErrBroken.Because(err)
	}
	first := encodeSecrets([]storedSecret{{Sealed: set.Secret, Created: s.clock.Now().UnixMilli()}})
	_, err = s.call(ctx, configureScript, identity{w.Tenant, w.UID}, set.Version, string(raw), first, s.pusher.senderFor(w.UID))
	return err
}

// Deliver takes what was published as pointers to the topic's log.
func (s *Store) Deliver(ctx context.Context, w topics.Way, version int64, list []topics.Logged, to int64) (topics.Handed, error) {
	args := make([]any, 0, 4+3*len(list))
	args = append(args, version, to, s.pusher.senderFor(w.UID), 0)
	for i := range list {
		args = append(args, entryOf(list[i].Sequence, w.Topic, list[i].Message.GroupID), list[i].Sequence, "")
		s.bodies.put(w.TopicUID, &list[i])
	}
	return s.enqueue(ctx, w, args)
}

// Replay takes messages once more, with their bodies, because the log may not keep them for long.
func (s *Store) Replay(ctx context.Context, w topics.Way, list []topics.Logged) (topics.Handed, error) {
	var out topics.Handed
	for len(list) > 0 {
		args, size, n := []any{0, 0, s.pusher.senderFor(w.UID), 1}, 0, 0
		for n < len(list) && n < callEntries {
			m := pack(&list[n])
			if size += len(m); n > 0 && size > callBytes {
				break
			}
			args = append(args, entryOf(list[n].Sequence, w.Topic, list[n].Message.GroupID), list[n].Sequence, m)
			n++
		}
		end := list[n-1].Sequence
		args[1] = end
		got, err := s.enqueue(ctx, w, args)
		if err != nil {
			return out, err
		}
		if got.Disabled {
			return out, ErrDisabled
		}
		if out.Reached = got.Reached; out.Reached < end {
			return out, nil
		}
		list = list[n:]
	}
	return out, nil
}

func (s *Store) enqueue(ctx context.Context, w topics.Way, args []any) (topics.Handed, error) {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, enqueueScript, id, args...)
	if err != nil {
		return topics.Handed{}, err
	}
	s.pusher.due(id, engine.Number(list, 5))
	return topics.Handed{Reached: engine.Number(list, 1), Mark: engine.Number(list, 2), Overflowed: engine.Number(list, 3), Disabled: engine.Text(list, 4) == "1"}, nil
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
