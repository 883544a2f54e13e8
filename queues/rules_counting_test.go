package queues_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

func (b *bench) wantCounts(t *testing.T, q, when string, want ...int64) {
	t.Helper()
	if got := b.counts(t, q); got != [3]int64(append(want, 0, 0, 0)[:3]) {
		t.Errorf("%s: counts are %v, want %v", when, got, want)
	}
}

func TestQ98_AgeCountsFromTheSendWhateverHappens(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		short := func(s *queues.Settings) { s.Retention = time.Minute }
		for _, q := range []string{b.queue(t, short), b.fifo(t, short)} {
			b.post(t, q, "a:done late", "b:never done", "c:returned", "d:fresh")
			list := b.take(t, q, 3, "done late", "never done", "returned")
			for _, m := range list[:2] {
				if err := b.say(t, q, queues.Extend, m.ReceiptHandle, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			b.clock.Advance(20 * time.Second)
			if err := b.say(t, q, queues.Return, list[2].ReceiptHandle, 0); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(40*time.Second - time.Millisecond)
			b.wantCounts(t, q, "1 ms before the end", 2, 2)
			b.clock.Advance(time.Millisecond)
			b.take(t, q, 10)
			b.wantCounts(t, q, "what is held stays with its holder", 0, 2)
			b.ack(t, q, list[0])
			b.clock.Advance(time.Hour)
			b.take(t, q, 10)
			b.wantCounts(t, q, "after all leases")
			b.ack(t, q, list[1])
			b.healthy(t, q)
		}
	})
}

func TestQ99_TheCountsSayWhereMessagesAre(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, minute := b.queue(t, nil), time.Minute
		b.batch(t, q, false, make([]queues.Outgoing, 4)...)
		b.batch(t, q, false, queues.Outgoing{Delay: &minute})
		list := b.receive(t, q, 3)
		b.settle(t, q,
			queues.Settlement{Verb: queues.Ack, ReceiptHandle: list[0].ReceiptHandle},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: list[1].ReceiptHandle, For: minute})
		b.wantCounts(t, q, "one left, one held, one delayed and one returned for later", 1, 1, 2)
		b.clock.Advance(30 * time.Second)
		b.wantCounts(t, q, "the lease is over", 2, 0, 2)
		b.clock.Advance(30 * time.Second)
		b.wantCounts(t, q, "the delays are over", 4)
	})
}

// Another server sees at once what became of each call, and nothing is rounded or late.
func TestQ100_CountsAreExactAndOfNow(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other, hour := b.queue(t, func(s *queues.Settings) { s.Retention = 2 * time.Hour }), b.another(t), time.Hour
		var held []queues.Message
		back := func(m queues.Message, d time.Duration) {
			t.Helper()
			if err := b.say(t, q, queues.Return, m.ReceiptHandle, d); err != nil {
				t.Errorf("return: %v", err)
			}
		}
		for _, step := range []struct {
			name string
			do   func()
			want queues.Stats
		}{
			{"nothing", func() {}, queues.Stats{}},
			{"ten sent", func() { b.batch(t, q, false, make([]queues.Outgoing, 10)...) }, queues.Stats{Available: 10, Sent: 10}},
			{"one sent for later", func() { b.batch(t, q, false, queues.Outgoing{Delay: &hour}) }, queues.Stats{Available: 10, Delayed: 1, Sent: 11}},
			{"six received", func() { held = b.receive(t, q, 6) }, queues.Stats{Available: 4, InFlight: 6, Delayed: 1, Sent: 11, Received: 6}},
			{"two done", func() { b.ack(t, q, held[:2]...) }, queues.Stats{Available: 4, InFlight: 4, Delayed: 1, Sent: 11, Received: 6, Deleted: 2}},
			{"one returned", func() { back(held[2], 0) }, queues.Stats{Available: 5, InFlight: 3, Delayed: 1, Sent: 11, Received: 6, Deleted: 2}},
			{"one returned for later", func() { back(held[3], hour) }, queues.Stats{Available: 5, InFlight: 2, Delayed: 2, Sent: 11, Received: 6, Deleted: 2}},
			{"1 ms before the end of the leases", func() { b.clock.Advance(30*time.Second - time.Millisecond) }, queues.Stats{Available: 5, InFlight: 2, Delayed: 2, Sent: 11, Received: 6, Deleted: 2}},
			{"the end of the leases", func() { b.clock.Advance(time.Millisecond) }, queues.Stats{Available: 7, Delayed: 2, Sent: 11, Received: 6, Deleted: 2}},
			{"the end of the delays", func() { b.clock.Advance(hour) }, queues.Stats{Available: 9, Sent: 11, Received: 6, Deleted: 2}},
			{"the end of the retention", func() { b.clock.Advance(hour) }, queues.Stats{Sent: 11, Received: 6, Deleted: 2, Expired: 9}},
		} {
			step.do()
			for where, s := range map[string]*bench{"here": b, "there": other} {
				got, err := s.Stats(t.Context(), b.tenant, q)
				got.Now, got.OldestAge, got.Bytes = time.Time{}, 0, 0 // not counts of messages
				if err != nil || got != step.want {
					t.Errorf("%s, seen %s: got %+v, %v; want %+v", step.name, where, got, err, step.want)
				}
			}
		}
	})
}

func TestQ101_AnyNumberOfMessagesCanBeHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()})
	const held = 120_000
	q := b.queue(t, nil)
	b.counts(t, q)
	b.fill(t, q, "f", held, 0, inFlight(b.clock.Now().Add(time.Hour)))
	b.wantCounts(t, q, "many are held", 0, held)
	b.take(t, q, 10)
	b.send(t, q, "m")
	b.take(t, q, 10, "m")
	b.wantCounts(t, q, "one more is held", 0, held+1)
}

func TestQ102_AGroupIsFoundBehindAnyNumberOfBlockedMessages(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()})
	blocked := 121_000
	if testing.Short() {
		blocked = 12_000
	}
	q := b.fifo(t, func(s *queues.Settings) { s.FIFO.Window = queues.MinWindow })
	b.post(t, q, "stuck:first")
	b.lend(t, q, time.Hour)
	batch := make([]queues.Outgoing, 1000)
	for i := range blocked / len(batch) {
		for k := range batch {
			batch[k] = queues.Outgoing{Body: fmt.Append(nil, i*len(batch)+k), GroupID: "stuck"}
		}
		for _, r := range b.batch(t, q, false, batch...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		b.clock.Advance(time.Second) // it remembers a bounded number of deduplication ids
	}
	b.take(t, q, 100)
	b.post(t, q, "free:m")
	b.take(t, q, 100, "m")
	b.wantCounts(t, q, "all others are blocked", int64(blocked), 2)
}
