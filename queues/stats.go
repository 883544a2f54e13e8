package queues

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Stats are a queue's counts. They are exact: a count of the messages at that instant would give the same.
type Stats struct {
	Available int64
	InFlight  int64
	Delayed   int64
	// Bytes is how much all of them take, with their attributes and what is noted of them.
	Bytes int64
	// OldestAge is how long ago the oldest message that a receive could return was sent. 0: there is none.
	OldestAge time.Duration
	// Totals since the queue was made.
	Sent, Received, Deleted, Expired int64
	// DeadLettered are those that left for the dead-letter queue, and Moved those that were moved to another one.
	DeadLettered, Moved int64
	// Moving is how many have left and have not arrived yet. They are in no other count.
	Moving int64
	// Dropped counts the messages that were deleted because the queue was full; see DropOldest.
	Dropped int64
	Now     time.Time
}

// Stats counts a queue's messages.
func (s *Store) Stats(ctx context.Context, t tenants.ID, queue string) (Stats, error) {
	var st Stats
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		st, err = d.stats(ctx)
		return err
	})
	return st, err
}

// maxTidy bounds the steps with which one call brings a queue up to date, 100 messages or 512 KiB each.
const maxTidy = 100

func (d *desk) stats(ctx context.Context) (Stats, error) {
	if d.shards != nil {
		return d.sumStats(ctx)
	}
	return d.statsHere(ctx)
}

// statsHere counts the messages of this shard.
func (d *desk) statsHere(ctx context.Context) (Stats, error) {
	for step := 1; ; step++ {
		reply, err := d.alone(ctx, statsScript, func(c *config) []any {
			return []any{c.Retention.Milliseconds(), *d.store.alive.Load(), c.window().Milliseconds()}
		})
		if err != nil {
			return Stats{}, err
		}
		if engine.Text(reply, 10) == "0" {
			d.store.skewed.Store(d.store.clock.Now().UnixMilli())
		}
		if engine.Number(reply, 11) >= callMessages && step < maxTidy {
			continue
		}
		st := Stats{
			Available: engine.Number(reply, 2), InFlight: engine.Number(reply, 3), Delayed: engine.Number(reply, 4),
			Sent: engine.Number(reply, 6), Received: engine.Number(reply, 7), Deleted: engine.Number(reply, 8), Expired: engine.Number(reply, 9),
			Moving: engine.Number(reply, 12), DeadLettered: engine.Number(reply, 13), Moved: engine.Number(reply, 14),
			Bytes: engine.Number(reply, 15), Dropped: engine.Number(reply, 16),
			Now: at(engine.Number(reply, 1)),
		}
		if st.Moving > 0 {
			d.carrier.wake()
		}
		if oldest := engine.Number(reply, 5); oldest > 0 {
			st.OldestAge = max(st.Now.Sub(at(oldest)), 0)
		}
		return st, nil
	}
}
