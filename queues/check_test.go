package queues_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// healthy fails the test when the queue's keys break an invariant.
func (b *bench) healthy(tb testing.TB, queue string) queues.Report {
	tb.Helper()
	r, err := b.Check(tb.Context(), b.tenant, queue)
	if err != nil {
		tb.Fatalf("check: %v", err)
	}
	if r.Used {
		tb.Fatalf("check: the queue was used meanwhile")
	}
	for _, v := range r.Violations {
		tb.Errorf("check: %s", v)
	}
	return r
}

// mixed makes a queue with messages in every place: new, deleted by id, returned, timed out, delayed, held for the
// first and for the second time, and idempotency keys.
func (b *bench) mixed(tb testing.TB) (string, map[string]engine.ID) {
	tb.Helper()
	q := b.queue(tb, nil)
	ids := map[string]engine.ID{}
	take := func() queues.Message {
		m := b.receive(tb, q, 1)[0]
		ids[m.Body] = m.ID
		return m
	}
	b.send(tb, q, "twice")
	b.settle(tb, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: take().ReceiptHandle})
	take()
	b.send(tb, q, "held")
	take()
	b.send(tb, q, "returned")
	b.send(tb, q, "timed out")
	returned, late := take(), take()
	b.settle(tb, q,
		queues.Settlement{Verb: queues.Return, ReceiptHandle: returned.ReceiptHandle},
		queues.Settlement{Verb: queues.Extend, ReceiptHandle: late.ReceiptHandle, For: time.Second})
	b.clock.Advance(time.Second)
	for _, body := range []string{"new 1", "deleted", "new 2"} {
		ids[body] = b.send(tb, q, body).ID
	}
	delay := time.Hour
	for i := range 2 {
		sent, err := b.Send(tb.Context(), b.tenant, q, queues.Outgoing{Body: []byte("delayed"), Delay: &delay, IdempotencyKey: fmt.Sprint("key", i)})
		if err != nil {
			tb.Fatal(err)
		}
		ids["delayed"] = sent.ID
	}
	if err := b.DeleteMessage(tb.Context(), b.tenant, q, ids["deleted"]); err != nil {
		tb.Fatal(err)
	}
	return q, ids
}

func TestCheckOfAHealthyQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, _ := b.mixed(t)
		b.healthy(t, q)
		want := [3]int64{4, 2, 2}
		if got := b.counts(t, q); got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
		r := b.healthy(t, q)
		if got := [3]int64{r.Available, r.InFlight, r.Delayed}; got != want || r.Tombstones != 1 {
			t.Errorf("recount: got %v and %d tombstones, want %v and 1", got, r.Tombstones, want)
		}
	})
}

func TestCheckReadsALargeQueueInPages(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		batch := make([]queues.Outgoing, 250)
		for i := range batch {
			batch[i].Body = []byte("m")
			batch[i].IdempotencyKey = fmt.Sprint(i)
		}
		for range 2 {
			for i := range batch {
				batch[i].IdempotencyKey += "'"
			}
			if _, err := b.SendBatch(t.Context(), b.tenant, q, batch, false); err != nil {
				t.Fatal(err)
			}
			b.receive(t, q, 100)
		}
		r := b.healthy(t, q)
		if got, want := [3]int64{r.Available, r.InFlight, r.Delayed}, [3]int64{300, 200, 0}; got != want {
			t.Errorf("recount: got %v, want %v", got, want)
		}
	})
}

func TestCheckFindsEachDamage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		type place struct {
			*redis.Client
			keys map[string]string
			ids  map[string]engine.ID
		}
		id := func(p place, name string) string {
			i := p.ids[name]
			return string(i[:])
		}
		for _, c := range []struct {
			name, want string
			damage     func(ctx context.Context, p place) error
		}{
			{"a record is gone", "is in flight and has no record", func(ctx context.Context, p place) error {
				return p.HDel(ctx, p.keys["b"], id(p, "held")).Err()
			}},
			{"the record of a new message is gone", "entries without a record; the head counts 1", func(ctx context.Context, p place) error {
				return p.HDel(ctx, p.keys["b"], id(p, "new 1")).Err()
			}},
			{"a lease is gone", "is in body and in no index", func(ctx context.Context, p place) error {
				return p.ZRem(ctx, p.keys["f"], id(p, "held")).Err()
			}},
			{"a lease is there twice", "is in again and in flight", func(ctx context.Context, p place) error {
				return p.ZAdd(ctx, p.keys["a"], redis.Z{Score: 1, Member: id(p, "held")}).Err()
			}},
			{"a message is in the list twice", "is in ready and in ready", func(ctx context.Context, p place) error {
				return p.RPush(ctx, p.keys["r"], id(p, "new 2")).Err()
			}},
			{"another fence", "has the fence", func(ctx context.Context, p place) error {
				return p.ZIncrBy(ctx, p.keys["f"], 1, id(p, "held")).Err()
			}},
			{"no deadline", "has no deadline", func(ctx context.Context, p place) error {
				return p.ZAdd(ctx, p.keys["f"], redis.Z{Score: 1, Member: id(p, "held")}).Err()
			}},
			{"another time made", "it was made at", func(ctx context.Context, p place) error {
				return p.ZIncrBy(ctx, p.keys["x"], 1, id(p, "returned")).Err()
			}},
			{"no age", "is in again and not in age", func(ctx context.Context, p place) error {
				return p.ZRem(ctx, p.keys["x"], id(p, "returned")).Err()
			}},
			{"age alone", "is in age and not in again", func(ctx context.Context, p place) error {
				return p.ZAdd(ctx, p.keys["x"], redis.Z{Score: 1, Member: id(p, "new 1")}).Err()
			}},
			{"a new message with a past", "is new and has a side record", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["s"], id(p, "new 1"), "1,1,1,1").Err()
			}},
			{"a side record without a message", "is in side and in no index", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["s"], id(p, "deleted"), "1,1,1,1").Err()
			}},
			{"more receives than deliveries", "was delivered 1 times, received 2 times", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["s"], id(p, "returned"), "1,2,0,1").Err()
			}},
			{"a received message that never was", "for the first time at", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["s"], id(p, "returned"), "1,1,0,0").Err()
			}},
			{"nonsense in a side record", "cannot be read", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["s"], id(p, "returned"), "1,x").Err()
			}},
			{"a wrong tombstone count", "the head counts 2", func(ctx context.Context, p place) error {
				return p.HIncrBy(ctx, p.keys["h"], "tomb", 1).Err()
			}},
			{"a wrong counter", "the head counts 10 sent", func(ctx context.Context, p place) error {
				return p.HIncrBy(ctx, p.keys["h"], "in", 1).Err()
			}},
			{"a record larger than the largest", "the head says that none has over 1", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["h"], "mx", 1).Err()
			}},
			{"a due time too late", "the head says that nothing does before", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["h"], "nd", b.clock.Now().Add(2*time.Hour).UnixMilli()).Err()
			}},
			{"a message that came back is denied", "is in again; the head says that there is none", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["h"], "ag", 0).Err()
			}},
			{"no sentinel in a hash", "The key side lacks its sentinel", func(ctx context.Context, p place) error {
				return p.HDel(ctx, p.keys["s"], "").Err()
			}},
			{"no sentinel in a sorted set", "The key delayed lacks its sentinel", func(ctx context.Context, p place) error {
				return p.ZRem(ctx, p.keys["d"], "").Err()
			}},
			{"no list", "The key ready lacks its sentinel", func(ctx context.Context, p place) error {
				return p.Del(ctx, p.keys["r"]).Err()
			}},
			{"a sentinel among messages", "has a sentinel at index", func(ctx context.Context, p place) error {
				return p.RPush(ctx, p.keys["r"], "").Err()
			}},
			{"a forgotten idempotency key", "the order of forgetting has 1", func(ctx context.Context, p place) error {
				return p.RPop(ctx, p.keys["j"]).Err()
			}},
			{"a clock ahead", "The queue clock is 1h0m0s ahead", func(ctx context.Context, p place) error {
				return p.HSet(ctx, p.keys["h"], "clk", b.clock.Now().Add(time.Hour).UnixMilli()).Err()
			}},
		} {
			q, ids := b.mixed(t)
			b.healthy(t, q)
			if err := c.damage(t.Context(), place{b.engine.Single(), b.Keys(b.tenant, q), ids}); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			r, err := b.Check(t.Context(), b.tenant, q)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !strings.Contains(strings.Join(r.Violations, "\n"), c.want) {
				t.Errorf("%s: got %q, want one with %q", c.name, r.Violations, c.want)
			}
		}
	})
}
