package queues

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// each calls f for all shards, several at once, and returns the first error.
func (d *desk) each(f func(*desk) error) error {
	if d.shards == nil {
		return f(d)
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, shard := range d.shards {
		g.Go(func() error { return f(shard) })
	}
	return g.Wait()
}

// spread calls f for each shard that one of n items belongs to, at once, with the numbers of those items.
func (d *desk) spread(n int, of func(i int) int, f func(shard *desk, which []int) error) error {
	parts := make([][]int, len(d.shards))
	used := 0
	for i := range n {
		k := of(i)
		if parts[k] == nil {
			used++
		}
		parts[k] = append(parts[k], i)
	}
	var g errgroup.Group
	for k, which := range parts {
		switch {
		case which == nil:
		case used == 1:
			return f(d.shards[k], which)
		default:
			g.Go(func() error { return f(d.shards[k], which) })
		}
	}
	return g.Wait()
}

// choose returns the items with the given numbers.
func choose[T any](list []T, which []int) []T {
	out := make([]T, len(which))
	for i, n := range which {
		out[i] = list[n]
	}
	return out
}

// sendRun is how many messages of a batch that may go anywhere stay together: each shard that gets some costs a call.
const sendRun = 10

// sendSpread is sendBatch for a queue with several shards. Messages with neither key nor group go to one after another.
func (d *desk) sendSpread(who caller, batch []Outgoing, atomic bool) ([]SendResult, error) {
	if atomic {
		key, group := "", ""
		for i := range batch {
			key, group = cmp.Or(key, batch[i].IdempotencyKey), cmp.Or(group, batch[i].GroupID)
		}
		return d.shards[d.pick(key, group)].sendHere(who, batch, true)
	}
	results := make([]SendResult, len(batch))
	begin := d.pick("", "")
	of := func(i int) int {
		if m := &batch[i]; m.IdempotencyKey != "" || m.GroupID != "" {
			return d.pick(m.IdempotencyKey, m.GroupID)
		}
		return (begin + i/sendRun) % len(d.shards)
	}
	err := d.spread(len(batch), of, func(shard *desk, which []int) error {
		got, err := shard.sendHere(who, choose(batch, which), false)
		for i := range got {
			results[which[i]] = got[i]
		}
		return err
	})
	return results, err
}

// settleSpread is settle for a queue with several shards.
func (d *desk) settleSpread(who caller, list []Settlement) ([]Settled, error) {
	results := make([]Settled, len(list))
	of := func(i int) int { return d.of(receiptID(list[i].ReceiptHandle)).index }
	err := d.spread(len(list), of, func(shard *desk, which []int) error {
		got, err := shard.settleHere(who, choose(list, which))
		for i := range got {
			results[which[i]] = got[i]
		}
		return err
	})
	return results, err
}

// sumStats counts all shards.
func (d *desk) sumStats(ctx context.Context) (Stats, error) {
	var mu sync.Mutex
	var sum Stats
	err := d.each(func(shard *desk) error {
		st, err := shard.statsHere(ctx)
		mu.Lock()
		sum.add(st)
		mu.Unlock()
		return err
	})
	if err != nil {
		return Stats{}, err
	}
	return sum, nil
}

// add adds the counts of another shard.
func (s *Stats) add(o Stats) {
	s.Available += o.Available
	s.InFlight += o.InFlight
	s.Delayed += o.Delayed
	s.Bytes += o.Bytes
	s.OldestAge = max(s.OldestAge, o.OldestAge)
	s.Sent += o.Sent
	s.Received += o.Received
	s.Deleted += o.Deleted
	s.Expired += o.Expired
	s.DeadLettered += o.DeadLettered
	s.Moved += o.Moved
	s.Moving += o.Moving
	s.Dropped += o.Dropped
	if o.Now.After(s.Now) {
		s.Now = o.Now
	}
}
