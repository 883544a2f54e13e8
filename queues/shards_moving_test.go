package queues_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// A purge goes from shard to shard, by two servers in turn, and does nothing twice.
func TestG11_APurgeOfShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, q := b.another(t), b.sharded(t, 5)
		b.scatter(t, q, 530)
		p := b.planPurge(t, q, 0)
		if p.work.Task.Progress.Total != 530 {
			t.Errorf("the total is %d", p.work.Task.Progress.Total)
		}
		b.clock.Advance(time.Second)
		b.post(t, q, "late:a", "late:b")
		for i := 0; ; i++ {
			s, again := b, other
			if i%2 == 1 {
				s, again = other, b
			}
			before := p.work
			over := p.step(t, s)
			res, err := again.Purging().Step(t.Context(), before) // as after a crash before it was saved
			if err != nil || res.State != p.work.State {
				t.Fatalf("the same step again: got %+v, %v; want %q", res, err, p.work.State)
			}
			if over {
				break
			}
		}
		if p.done != 530 || p.looked != 532 {
			t.Errorf("%d of %d were deleted, want 530 of 532", p.done, p.looked)
		}
		if diff := cmp.Diff([]string{"a", "b"}, b.all(t, q)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if err := b.Purging().End(t.Context(), p.work); err != nil {
			t.Error(err)
		}
		b.sound(t, q)
	})
}

// Dead letters and redrives go between queues with any numbers of shards, each message once.
func TestG10_MessagesMoveBetweenShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, n := range [][2]int{{4, 1}, {1, 4}, {5, 3}} {
			q := b.sharded(t, n[0], func(s *queues.Settings) { s.Redrive = queues.Redrive{DeadLetterQueue: "", MaxReceives: 0} })
			dead := b.sharded(t, n[1])
			if _, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.Redrive = queues.Redrive{DeadLetterQueue: dead, MaxReceives: 1}
				return s, nil
			}); err != nil {
				t.Fatal(err)
			}
			messages := make([]string, 60)
			for i, body := range numbered(60) {
				messages[i] = ":" + body
			}
			b.kill(t, q, messages...)
			if diff := cmp.Diff(numbered(60), b.all(t, dead)); diff != "" {
				t.Errorf("%v: dead letters (-want +got):\n%s", n, diff)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
			page, err := b.Peek(t.Context(), b.tenant, dead, queues.PeekOptions{Limit: 12})
			if err != nil {
				t.Fatal(err)
			}
			var ids []engine.ID
			for _, m := range page.Messages {
				got, err := b.Message(t.Context(), b.tenant, dead, m.ID)
				if err != nil || got.Origin == nil || got.Origin.Queue != q {
					t.Fatalf("%v: dead letter %s: %+v, %v", n, m.Body, got, err)
				}
				ids = append(ids, m.ID)
			}
			slices.Reverse(ids) // in whichever order they are named
			one, err := b.Redrive(t.Context(), b.tenant, dead, ids[0], "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Message(t.Context(), b.tenant, q, one.ID); err != nil {
				t.Errorf("%v: a message that was moved: %v", n, err)
			}
			r := b.planRedrive(t, dead, queues.RedriveOptions{IDs: ids})
			r.run(t, b)
			if r.done != 11 || r.failed != 1 {
				t.Errorf("%v: %d of 12 named messages were moved, %d failed; one had gone before", n, r.done, r.failed)
			}
			r = b.planRedrive(t, dead, queues.RedriveOptions{})
			r.run(t, b)
			if r.done != 48 || r.failed != 0 {
				t.Errorf("%v: %d were moved and %d failed, want 48", n, r.done, r.failed)
			}
			if diff := cmp.Diff(numbered(60), b.all(t, q)); diff != "" {
				t.Errorf("%v: moved back (-want +got):\n%s", n, diff)
			}
			used := map[int]bool{}
			for range 60 {
				for _, m := range b.receive(t, q, 10) {
					used[m.ID.Shard()] = true
				}
			}
			if len(used) != n[0] {
				t.Errorf("%v: what was moved is in %d shards", n, len(used))
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
	})
}

// Wherever a server dies that moves messages between shards, each arrives once.
func TestG10_ATransferBetweenShardsIsKilledAnywhere(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		dying, other := b.another(t), b.another(t)
		for _, step := range []string{"carrying", "brought"} {
			q, dead := b.sharded(t, 3), b.sharded(t, 4)
			b.scatter(t, q, 90)
			n := 0
			dying.SetStep(func(done string) error {
				if done == step {
					if n++; n%3 == 0 {
						return errCrash
					}
				}
				return nil
			})
			r := b.planRedrive(t, q, queues.RedriveOptions{To: dead})
			for i := 0; ; i++ {
				s := dying
				if i%2 == 1 {
					s = other
				}
				if r.step(t, s) {
					break
				}
			}
			b.arrived(t, q)
			if diff := cmp.Diff(numbered(90), b.all(t, dead)); diff != "" {
				t.Errorf("%s: (-sent +arrived):\n%s", step, diff)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
	})
}

// Forwarded messages go from shards to shards. Those for a shard that is full wait, and the others do not wait for them.
func TestForwardingBetweenShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const each = 20
		to := b.sharded(t, 3, capped(3*each, 0, queues.Reject))
		from := b.sharded(t, 3, func(s *queues.Settings) { s.ForwardTo = to })
		group := [3]string{b.groupTo(t, 3, 0), b.groupTo(t, 3, 1), b.groupTo(t, 3, 2)}
		want := map[string]int{}
		for i := range each {
			for k, n := range [3]int{2, 1, 1} { // the first shard gets twice as many as it has room for
				for j := range n {
					body := fmt.Sprint(k, "-", i, "-", j)
					b.post(t, from, group[k]+":"+body)
					want[body] = 1
				}
			}
		}
		until(t, func() bool { // what has arrived is noted after that
			b.Carry(t, b.tenant, from)
			st, err := b.Stats(t.Context(), b.tenant, from)
			return err == nil && st.Moving == each && b.counts(t, to)[0] == 3*each
		})
		b.healthy(t, to)
		got := map[string]int{}
		until(t, func() bool {
			for _, m := range b.receive(t, to, 10) {
				got[m.Body]++
				b.ack(t, to, m)
			}
			b.clock.Advance(time.Second)
			b.Carry(t, b.tenant, from)
			return len(got) == len(want)
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-sent +received):\n%s", diff)
		}
		b.arrived(t, from)
		b.healthy(t, from)
		b.healthy(t, to)
	})
}

func TestSchedulesOfShards(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		other, q := b.another(t), b.sharded(t, 4)
		b.schedule(t, q, "s", every(time.Minute))
		for range 12 {
			b.clock.Advance(time.Minute)
			b.tick(t)
			other.tick(t)
		}
		if got := other.sent(t, q); got != 12 {
			t.Errorf("%d messages of 12 ticks", got)
		}
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if n := b.IndexSize(t); n != 0 {
			t.Errorf("%d schedules are left in the index", n)
		}
	})
}

// No message of a queue with shards is lost, given to two at once or brought back after its ack.
func TestG5_AnAckIsFinalInShards(t *testing.T) {
	t.Parallel()
	h := workload{shards: 7, send: 25, receive: 40, ack: 70, extend: 5, giveBack: 15, late: 30, lease: 10 * time.Millisecond}.live(t)
	t.Logf("G5: 7 shards: %s", h.judge(t))
}

func TestShardsOutliveARestart(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	q := b.sharded(t, 5)
	b.scatter(t, q, 100)
	held := b.receive(t, q, 10)
	r.Kill9()
	r.Restart()
	other := b.another(t)
	for _, m := range held {
		if out := other.settle(t, q, ackOf(m)); out[0].Err != nil {
			t.Errorf("ack after the restart: %v", out[0].Err)
		}
	}
	if got := len(other.drained(t, q)); got != 100-len(held) {
		t.Errorf("%d messages after the restart, want %d", got, 100-len(held))
	}
	other.healthy(t, q)
}

// TestG1k_SlotsOfShardsMove spreads a queue over the masters of a Cluster and moves two of its shards back and forth.
func TestG1k_SlotsOfShardsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := serve(t, engine.Options{URL: clusterURL(c)})
	tr := newTraffic(t, b, 0)
	const shards = 6
	q := b.sharded(t, shards, func(s *queues.Settings) { s.VisibilityTimeout = 3 * time.Second })
	tr.queues = []string{q}
	on := map[*redistest.Server]int{}
	for k := range shards {
		head := b.ShardKeys(t, b.tenant, q, k)["h"]
		on[c.MasterOf(head)]++
		if tag := head[strings.Index(head, "{")+1 : strings.Index(head, "}")]; engine.Slot(tag) != c.Slot(head) {
			t.Errorf("the slot of %s is %d, not %d", head, c.Slot(head), engine.Slot(tag))
		}
	}
	for _, n := range c.Nodes {
		if on[n] < shards/3-1 || on[n] > shards/3+1 { // a shard near the end of a master's range may be behind it
			t.Errorf("a master has %d of %d shards", on[n], shards)
		}
	}
	var faults []fault
	for _, k := range []int{0, 3} {
		key := b.ShardKeys(t, b.tenant, q, k)["h"]
		home := c.MasterOf(key)
		away := c.Nodes[slices.IndexFunc(c.Nodes, func(s *redistest.Server) bool { return s != home })]
		move := func(from, to *redistest.Server) func() {
			return func() {
				m := c.BeginMigrate(key, from, to)
				for m.MigrateKeys(1) > 0 {
					time.Sleep(10 * time.Millisecond)
				}
				m.FinishMigrate()
			}
		}
		faults = append(faults, fault{"there", move(home, away)}, fault{"back", move(away, home)})
	}
	stops := tr.through(t, faults)
	v := tr.check(t)
	t.Logf("%d moves, without writes: %s; %v; errors: %s", len(faults), stops, v, tr.errors())
	v.flawless(t)
	if e := tr.errors(); e != "" {
		t.Errorf("callers were told of a move: %s", e)
	}
}
