package queues

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// pauseAdvice is how long a sender is asked to wait before it tries a paused queue again. Nobody knows how long a pause
// lasts; this keeps those who wait for its end from asking all the time.
const pauseAdvice = 30 * time.Second

// ErrQueuePaused says that a queue takes no messages now. Its message holds the reason.
var ErrQueuePaused = &errs.Error{Kind: errs.Conflict, Code: "queue_paused", Message: "The queue takes no messages now: sending is paused.",
	Fix: "Send it again later. Who may change the queue ends the pause with POST /v1/queues/{queue}/resume.", RetryAfter: pauseAdvice}

// Direction says which of a queue's doors is meant.
type Direction string

// The directions.
const (
	DirectionReceive Direction = "receive"
	DirectionSend    Direction = "send"
	DirectionBoth    Direction = "both"
)

// Paused is what of a queue is paused. It is no setting: who replaces the settings leaves it as it is.
type Paused struct {
	Receive *Pause // nil: messages can be received
	Send    *Pause // nil: messages can be sent
}

// Pause is one pause. It lasts until somebody ends it.
type Pause struct {
	Since  time.Time
	Reason string // "": none was given
}

// Pause closes a queue for receives, for sends or for both. What was received before can be settled, and messages can be
// looked at and deleted. A pause that is there already gets the new reason and goes on. It holds on all servers as soon
// as this returns.
func (s *Store) Pause(ctx context.Context, t tenants.ID, name string, dir Direction, reason string, cond Condition) (Queue, error) {
	if len(reason) > MaxPauseReason {
		return Queue{}, errs.Invalidf("/reason", "The reason of a pause has at most %d bytes, got %d.", MaxPauseReason, len(reason))
	}
	now := time.UnixMilli(s.clock.Now().UnixMilli()).UTC()
	return s.turn(ctx, t, name, dir, cond, func(p *Pause) *Pause {
		if p == nil {
			return &Pause{Since: now, Reason: reason}
		}
		return &Pause{Since: p.Since, Reason: reason}
	})
}

// Resume ends pauses. Receives that wait, on whichever server, go on at once.
func (s *Store) Resume(ctx context.Context, t tenants.ID, name string, dir Direction, cond Condition) (Queue, error) {
	return s.turn(ctx, t, name, dir, cond, func(*Pause) *Pause { return nil })
}

// turn changes the pauses of a direction by f.
func (s *Store) turn(ctx context.Context, t tenants.ID, name string, dir Direction, cond Condition, f func(*Pause) *Pause) (Queue, error) {
	if dir != DirectionReceive && dir != DirectionSend && dir != DirectionBoth {
		return Queue{}, errs.Invalidf("/direction", "The direction must be receive, send or both, got %q.", string(dir))
	}
	return s.change(ctx, t, name, cond, func(next *config) error {
		if dir != DirectionSend {
			next.paused.Receive = f(next.paused.Receive)
		}
		if dir != DirectionReceive {
			next.paused.Send = f(next.paused.Send)
		}
		return nil
	})
}

// ReceivesPaused reports whether receives from a queue were paused when this server last heard of it, which is at the
// latest when its last receive came back.
func (s *Store) ReceivesPaused(t tenants.ID, name string) bool {
	v, ok := s.desks.Load(address{t, name})
	return ok && v.(*desk).config.Load().paused.Receive != nil
}

// same reports whether p and o say the same.
func (p Paused) same(o Paused) bool {
	one := func(a, b *Pause) bool {
		return a == b || a != nil && b != nil && a.Reason == b.Reason && a.Since.Equal(b.Since)
	}
	return one(p.Receive, o.Receive) && one(p.Send, o.Send)
}

// admit judges a message by what this server knows of the queue.
func (c *config) admit(m *Outgoing) error {
	if c.paused.Send == nil {
		return m.Validate(c.Settings)
	}
	return c.pausedError()
}

// pausedError says that sends are paused, and why.
func (c *config) pausedError() error {
	e := *ErrQueuePaused
	if reason := c.paused.Send.Reason; reason != "" {
		e.Message = fmt.Sprintf("The queue takes no messages now: sending is paused, because: %s", reason)
	}
	return &e
}

// holdBack answers receives at a queue that is paused: it lends nothing, and who can wait waits. errStale: it is not paused any more.
func (d *desk) holdBack(ln *lane, batch []*receiveCall) error {
	_, err := d.call(context.Background(), pausedScript, ln, func(c *config) []any {
		if c.paused.Receive == nil {
			return nil
		}
		if d.waiters.waiting(batch) == "0" {
			return []any{"0"}
		}
		return []any{"1"}
	})
	return err
}

// storedQueuePauses is how pauses lie in Redis, beside the settings. Times are milliseconds.
type storedQueuePauses struct {
	Receive *storedQueuePause `json:"receive,omitempty"`
	Send    *storedQueuePause `json:"send,omitempty"`
}

type storedQueuePause struct {
	Since  int64  `json:"since"`
	Reason string `json:"reason,omitempty"`
}

func (p Paused) stored() *storedQueuePauses {
	if p == (Paused{}) {
		return nil
	}
	one := func(p *Pause) *storedQueuePause {
		if p == nil {
			return nil
		}
		return &storedQueuePause{p.Since.UnixMilli(), p.Reason}
	}
	return &storedQueuePauses{one(p.Receive), one(p.Send)}
}

func (s *storedQueuePauses) paused() Paused {
	if s == nil {
		return Paused{}
	}
	one := func(s *storedQueuePause) *Pause {
		if s == nil {
			return nil
		}
		return &Pause{at(s.Since), s.Reason}
	}
	return Paused{one(s.Receive), one(s.Send)}
}
