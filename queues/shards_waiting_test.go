package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// A receive that waits is woken by a message in any shard, from whichever server.
func TestAWordComesFromEachShard(t *testing.T) {
	engines(t, func(t *testing.T, a *bench) {
		b, q := a.another(t), a.sharded(t, 4)
		for k := range 4 {
			group := a.groupTo(t, 4, k)
			for i, sender := range []*bench{a, b} {
				got := a.wait(t.Context(), q, time.Hour)
				a.awaitParked(t, q, 1)
				body := fmt.Sprint(k, i)
				sender.post(t, q, group+":"+body)
				promptly(t, got).want(t, body)
			}
		}
		// One that is delayed, and comes back when its lease ends.
		q = a.sharded(t, 4)
		waits := func() {
			got := a.wait(t.Context(), q, 2*time.Second)
			a.awaitParked(t, q, 1)
			if came := a.counts(t, q); came == [3]int64{} {
				if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("late"), Delay: new(2 * time.Second)}); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 { // the word of when comes by itself
				a.clock.Advance(time.Second)
				select {
				case came := <-got:
					came.want(t, "late")
					return
				case <-time.After(500 * time.Millisecond):
				}
			}
			t.Fatal("the message did not come when it was due")
		}
		waits()
		waits()
	})
}

// Not parallel: it measures what Redis is asked.
func TestG27_WaitingAtShardsCostsNothing(t *testing.T) {
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	b := newBench(t, engine.Options{URL: s.URL()})
	const shards, polls = 16, 200
	q := b.sharded(t, shards)
	until(t, func() bool { return b.Hearing() })
	b.receive(t, b.queue(t, nil), 1) // Redis knows the script from here on
	count := countScripts(t, s)
	poll := func() {
		got := b.wait(t.Context(), q, time.Hour)
		b.awaitParked(t, q, 1)
		b.clock.Advance(10 * time.Millisecond)
		b.EndWaits(b.tenant, q)
		if a := <-got; len(a.list) > 0 || a.err != nil {
			t.Fatalf("received %+v", a)
		}
	}
	poll()
	ran, _ := count.since(t)
	if ran["receive"] != shards {
		t.Errorf("the first receive asked %d times, want each shard once", ran["receive"])
	}
	for range polls {
		poll()
	}
	if ran, _ = count.since(t); ran["receive"] != 0 {
		t.Errorf("%d receives that waited at %d empty shards asked %d times, want none", polls, shards, ran["receive"])
	}
	t.Logf("G27: the first receive at %d empty shards asked %d times, %d more %d times", shards, shards, polls, ran["receive"])
}

// A shard that is always busy does not keep receives from the others.
func TestNoShardIsStarved(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const n = 4
		other, q := b.another(t), b.sharded(t, n)
		b.receive(t, q, 1) // it knows that all are empty
		busy := b.groupTo(t, n, 0)
		for range 30 {
			b.post(t, q, busy+":busy")
		}
		quiet := map[string]bool{}
		for k := 1; k < n; k++ {
			other.post(t, q, b.groupTo(t, n, k)+":quiet")
		}
		for i := range 30 {
			b.clock.Advance(200 * time.Millisecond)
			b.post(t, q, busy+":busy")
			for _, m := range b.receive(t, q, 1) {
				if m.Body == "quiet" {
					quiet[fmt.Sprint(m.ID.Shard())] = true
				}
			}
			if len(quiet) == n-1 {
				t.Logf("after %d receives", i+1)
				return
			}
		}
		t.Errorf("30 receives have brought only %d of %d messages of the quiet shards", len(quiet), n-1)
	})
}

// A receive finds a message wherever it is, also when it does not wait.
func TestAReceiveFindsTheOnlyMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, q := b.another(t), b.sharded(t, 6)
		for i := range 40 {
			sender, receiver := b, other
			if i%3 == 0 {
				sender = other
			}
			if i%2 == 0 {
				receiver = b
			}
			body := fmt.Sprint(i)
			sender.send(t, q, body)
			got := receiver.receive(t, q, 10)
			if diff := cmp.Diff([]string{body}, bodies(got)); diff != "" {
				t.Fatalf("message %d (-sent +received):\n%s", i, diff)
			}
			receiver.settle(t, q, ackOf(got[0]))
		}
	})
}

func TestAConsumerOfShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.sharded(t, 4)
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 10, Heartbeat: true})
		b.scatter(t, q, 60)
		for n := 0; n < 60; {
			r.readMessages(n + 1)
			for ; n < len(r.got); n++ {
				if out := b.settle(t, q, ackOf(r.got[n])); out[0].Err != nil {
					t.Fatal(out[0].Err)
				}
			}
		}
		got := bodies(r.got)
		slices.Sort(got)
		if diff := cmp.Diff(numbered(60), got); diff != "" {
			t.Errorf("(-sent +received):\n%s", diff)
		}
		b.scatter(t, q, 8)
		r.readMessages(68)
		for range 12 { // without it all leases would end
			ends := b.leaseEnd(t, q)
			b.clock.Advance(10 * time.Second)
			until(t, func() bool { return b.leaseEnd(t, q).Sub(ends) >= 10*time.Second && r.Armed() })
		}
		if got := b.counts(t, q); got != [3]int64{0, 8, 0} {
			t.Errorf("counts after two minutes: %v", got)
		}
		r.Close(true)
		if got := b.counts(t, q); got != [3]int64{8, 0, 0} {
			t.Errorf("counts after the end: %v", got)
		}
	})
}

func TestAPauseHoldsForAllShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx, other, q := t.Context(), b.another(t), b.sharded(t, 4)
		other.scatter(t, q, 100)
		if _, err := b.Pause(ctx, b.tenant, q, queues.DirectionBoth, "why", queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			if got := other.receive(t, q, 1); len(got) > 0 {
				t.Fatalf("received %q", bodies(got))
			}
			if _, err := other.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("m")}); !errors.Is(err, queues.ErrQueuePaused) {
				t.Fatalf("send: got %v", err)
			}
		}
		if !other.ReceivesPaused(b.tenant, q) {
			t.Error("the other server does not know of the pause")
		}
		got := other.wait(ctx, q, time.Hour)
		other.awaitParked(t, q, 1)
		if _, err := b.Resume(ctx, b.tenant, q, queues.DirectionBoth, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if a := promptly(t, got); len(a.list) != 1 {
			t.Errorf("after the pause: %+v", a)
		}
	})
}
