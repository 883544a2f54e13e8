package queues

import (
	"context"
	"errors"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// ErrMessageNotInFlight refuses to change a lease that there is not.
var ErrMessageNotInFlight = &errs.Error{Kind: errs.Conflict, Code: "message_not_in_flight",
	Message: "Nobody holds the message: it is available, or delayed.",
	Fix:     "Look at the message; a delayed one can be given another time by delay or available_at."}

// leaseLooks is how often HoldMessage looks who holds a message. It changes hands that often within one call only where
// leases are shorter than the way to Redis.
const leaseLooks = 4

// HoldMessage has whoever holds a message hold it for span from now on, up to MaxVisibilityTimeout since it was received, or
// with 0 takes it from them and returns it at once. It is what they could do themselves by their receipt: that stays good
// when the lease is extended, and is one of a lease that is over when it is returned.
func (s *Store) HoldMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID, span time.Duration) (Settled, error) {
	one := Settlement{Verb: Extend, For: span}
	if span == 0 {
		one = Settlement{Verb: Return}
	}
	for range leaseLooks {
		err := s.with(ctx, t, queue, func(d *desk) error {
			m, r, err := d.of(id).look(ctx, id)
			switch {
			case err != nil:
				return err
			case m.State != InFlight:
				return ErrMessageNotInFlight
			}
			one.ReceiptHandle = d.sign.write(r)
			return nil
		})
		if err != nil {
			return Settled{}, err
		}
		// The receipt names the delivery, so the script changes this lease or none.
		done, err := s.Settle(ctx, t, queue, []Settlement{one})
		if err != nil {
			return Settled{}, err
		}
		if err := done[0].Err; !errors.Is(err, ErrReceiptExpired) && !errors.Is(err, ErrReceiptInvalid) {
			return done[0], err
		}
	}
	return Settled{}, ErrMessageNotInFlight
}
