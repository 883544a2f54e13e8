package queues

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Due says when a delayed message shall become available.
type Due struct {
	At    time.Time     // what has passed means now; zero: After counts
	After time.Duration // from now on, 0 to the queue's retention
}

// Delayed messages alone have a time that can be changed.
var (
	ErrMessageInFlight = &errs.Error{Kind: errs.Conflict, Code: "message_in_flight",
		Message: "The message is in flight: whoever received it decides when it is available again.",
		Fix:     `Return it with a delay, by its receipt: PATCH /v1/queues/{queue}/receipts/{handle} with {"delay":"5m"}; or take it from them: {"visibility_timeout":0}.`}
	ErrMessageNotDelayed = &errs.Error{Kind: errs.Conflict, Code: "message_not_delayed",
		Message: "The message is available already; only a delayed one can be given another time.",
		Fix:     `Receive it, and return it with a delay: PATCH /v1/queues/{queue}/receipts/{handle} with {"delay":"5m"}.`}
)

// DelayMessage gives a delayed message another time at which it becomes available, and returns that and whether it is
// Delayed until then or Available by now. The time must come before the message ends, by retention or by itself.
func (s *Store) DelayMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID, due Due) (time.Time, State, error) {
	var available time.Time
	state := Delayed
	err := s.with(ctx, t, queue, func(d *desk) error {
		instant, pointer := any(""), "/delay"
		if !due.At.IsZero() {
			instant, pointer = due.At.UnixMilli(), "/available_at"
		}
		if due.After < 0 {
			return errs.Invalidf(pointer, "The delay must be 0 seconds or more, got %g.", due.After.Seconds())
		}
		reply, err := d.of(id).alone(ctx, delayScript, func(c *config) []any {
			return []any{c.Retention.Milliseconds(), id[:], instant, due.After.Milliseconds()}
		})
		if err != nil {
			return err
		}
		switch engine.Text(reply, 2) {
		case "k":
			if available = at(engine.Number(reply, 3)); !available.After(at(engine.Number(reply, 1))) {
				state = Available
			}
			return nil
		case "g":
			return ErrMessageNotFound
		case "h":
			return ErrMessageInFlight
		case "r":
			return ErrMessageNotDelayed
		case "l":
			return errs.Invalidf(pointer, "A message must be available before it ends, which is at %s.",
				at(engine.Number(reply, 3)).Format(time.RFC3339))
		}
		return unexpected(reply)
	})
	return available, state, err
}
