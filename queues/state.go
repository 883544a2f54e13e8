package queues

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// GroupState is a small value that a group of a FIFO queue has, such as how far the work on a customer's orders has come.
// Whoever holds a message of the group reads and writes it, and nobody else: as nobody gets another message of the group
// meanwhile, there is one at a time.
type GroupState struct {
	Content     []byte
	ContentType string // as it was written, or ""
	// EndsAt is when the state is forgotten unless it is written again: when the queue's retention has passed since it was.
	EndsAt time.Time
}

// The limits of the states of groups.
const (
	MaxGroupState  = 8 << 10 // bytes of the content
	MaxGroupStates = 10_000  // of one queue
)

// The errors of states.
var (
	ErrNoGroupState = &errs.Error{Kind: errs.Conflict, Code: "no_group_state",
		Message: "Only groups of FIFO queues have a state: in a standard queue several consumers hold messages of one group at a time.",
		Fix:     "Use a FIFO queue, whose name ends in .fifo."}
	ErrStatesFull = &errs.Error{Kind: errs.StorageFull, Code: "storage_full",
		Message: fmt.Sprintf("The queue keeps the states of %d groups, and cannot keep more.", MaxGroupStates),
		Fix:     "Delete a state with the last message of its group, or give the queue a shorter message_retention: a state is forgotten when it has not been written for so long."}
)

// GroupState returns the state of the group to which a message belongs that the caller holds. EndsAt is zero when it has
// none.
func (s *Store) GroupState(ctx context.Context, t tenants.ID, queue, handle string) (GroupState, error) {
	reply, err := s.ofHolder(ctx, t, queue, handle, func(d *desk, head []any) ([]any, error) {
		return d.alone(ctx, stateReadScript, func(*config) []any { return head })
	})
	if err != nil || engine.Number(reply, 2) == 0 {
		return GroupState{}, err
	}
	r := recordReader{rest: engine.Text(reply, 3)}
	state := GroupState{ContentType: r.contentType(), EndsAt: at(engine.Number(reply, 2))}
	if r.failed {
		return GroupState{}, unexpected(reply)
	}
	state.Content = []byte(r.rest)
	return state, nil
}

// PutGroupState replaces the state of the group to which a message belongs that the caller holds, and returns when it ends.
func (s *Store) PutGroupState(ctx context.Context, t tenants.ID, queue, handle string, state GroupState) (time.Time, error) {
	switch n := len(state.Content); {
	case n == 0:
		return time.Time{}, errs.Invalidf("", "A state has at least one byte. To have none, delete it.")
	case n > MaxGroupState:
		return time.Time{}, errs.Invalidf("", "A state has at most %d bytes, got %d.", MaxGroupState, n)
	case len(state.ContentType) > maxContentType:
		return time.Time{}, errs.Invalidf("", "The content type has %d characters, at most %d are kept.", len(state.ContentType), maxContentType)
	}
	packed := append(appendType(nil, state.ContentType), state.Content...)
	reply, err := s.ofHolder(ctx, t, queue, handle, func(d *desk, head []any) ([]any, error) {
		most, err := d.most(ctx)
		if err != nil {
			return nil, err
		}
		w := drawer{desk: d, most: most}
		return w.run(ctx, 1, func() ([]any, error) {
			return d.alone(ctx, statePutScript, func(c *config) []any {
				return append(head[:2:2], packed, c.Retention.Milliseconds(), MaxGroupStates, c.MaxBytes, w.mode())
			})
		})
	})
	if err != nil {
		return time.Time{}, err
	}
	return at(engine.Number(reply, 2)), nil
}

// DeleteGroupState forgets the state of the group to which a message belongs that the caller holds, if it has one.
func (s *Store) DeleteGroupState(ctx context.Context, t tenants.ID, queue, handle string) error {
	_, err := s.ofHolder(ctx, t, queue, handle, func(d *desk, head []any) ([]any, error) {
		return d.alone(ctx, stateDropScript, func(*config) []any { return head })
	})
	return err
}

// ofHolder has call speak for the group of a message that the caller says it holds. head: member and number of the
// delivery, as the scripts take them.
func (s *Store) ofHolder(ctx context.Context, t tenants.ID, queue, handle string, call func(d *desk, head []any) ([]any, error)) ([]any, error) {
	var reply []any
	err := s.with(ctx, t, queue, func(d *desk) error {
		r, err := d.sign.read(handle)
		switch {
		case !IsFIFOName(d.at.name):
			return ErrNoGroupState
		case err != nil:
			if gone := d.replaced(ctx); gone != nil {
				return gone
			}
			return err
		}
		if reply, err = call(d, []any{string(r.id[:]) + r.place, r.delivery}); err != nil {
			return err
		}
		switch engine.Text(reply, 0) {
		case "ok":
			return nil
		case "lost":
			return ErrReceiptExpired
		case "full":
			return ErrStatesFull
		}
		return refused(engine.Text(reply, 0))
	})
	return reply, err
}
