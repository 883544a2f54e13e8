package queues_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

func clusterURL(c *redistest.ClusterSet) string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr())
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// slotKey returns a key in the slot of a queue.
func (b *bench) slotKey(queue string) string { return b.Keys(b.tenant, queue)["h"] }

// pause lets a server sleep for d.
func pause(s *redistest.Server, d time.Duration) {
	s.Pause()
	for asleep := time.Now(); time.Since(asleep) < d; {
		time.Sleep(50 * time.Millisecond)
	}
	s.Cont()
}

// fault is one thing that goes wrong while the traffic flows.
type fault struct {
	name string
	do   func()
}

// through lets the traffic flow through each fault in turn, and says for how long each stopped a queue.
func (tr *traffic) through(t *testing.T, faults []fault) string {
	t.Helper()
	tr.run(2, 2)
	tr.flows(t, 50)
	var stops []string
	for _, f := range faults {
		tr.mu.Lock()
		tr.pause = 0
		tr.mu.Unlock()
		f.do()
		tr.flows(t, 50)
		tr.mu.Lock()
		stops = append(stops, fmt.Sprintf("%s %.2f s", f.name, tr.pause.Seconds()))
		tr.mu.Unlock()
	}
	tr.end()
	return strings.Join(stops, ", ")
}

// TestG1i_ClusterFailover takes the master of a queue away in every way, while each write is confirmed by its replica.
func TestG1i_ClusterFailover(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	b := serve(t, engine.Options{URL: clusterURL(c), Replicas: 1})
	tr := newTraffic(t, b, 4)
	k := b.slotKey(tr.queues[0])
	stops := tr.through(t, []fault{
		{"CLUSTER FAILOVER", func() { c.Failover(c.MasterOf(k), redistest.Graceful) }},
		{"kill -9", func() {
			master := c.MasterOf(k)
			master.Kill9()
			c.MasterOf(k) // waits for the successor, which has no replica until the old master is back
			master.Restart()
			c.WaitOK()
		}},
		{"SIGSTOP 3 s", func() {
			pause(c.MasterOf(k), 3*time.Second)
			c.WaitOK()
		}},
	})
	v := tr.check(t)
	t.Logf("3 faults, without writes: %s; %v; %s", stops, v, tr.errors())
	v.flawless(t)
}

// TestG1j_SentinelFailover is the same with sentinels.
func TestG1j_SentinelFailover(t *testing.T) {
	t.Parallel()
	set := redistest.Sentinel(t, 1, 3)
	b := serve(t, engine.Options{URL: set.URL(), Replicas: 1})
	tr := newTraffic(t, b, 4)
	stops := tr.through(t, []fault{
		{"SENTINEL FAILOVER", func() {
			set.Failover()
			set.WaitOK()
		}},
		{"kill -9", func() {
			master := set.Master()
			master.Kill9()
			set.Master()
			master.Restart()
			set.WaitOK()
		}},
		{"SIGSTOP 3 s", func() {
			pause(set.Master(), 3*time.Second)
			set.WaitOK()
		}},
	})
	v := tr.check(t)
	t.Logf("3 faults, without writes: %s; %v; %s", stops, v, tr.errors())
	v.flawless(t)
}

// TestG1k_SlotMoves moves the slot of a queue back and forth, a key at a time.
func TestG1k_SlotMoves(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := serve(t, engine.Options{URL: clusterURL(c)})
	tr := newTraffic(t, b, 3)
	k := b.slotKey(tr.queues[0])
	home := c.MasterOf(k)
	away := c.Nodes[0]
	if away == home {
		away = c.Nodes[1]
	}
	move := func(from, to *redistest.Server) func() {
		return func() {
			m := c.BeginMigrate(k, from, to)
			for m.MigrateKeys(1) > 0 {
				time.Sleep(10 * time.Millisecond)
			}
			m.FinishMigrate()
		}
	}
	var faults []fault
	for range 4 {
		faults = append(faults, fault{"there", move(home, away)}, fault{"back", move(away, home)})
	}
	stops := tr.through(t, faults)
	v := tr.check(t)
	t.Logf("%d moves, without writes: %s; %v; errors: %s; attempts by outcome %v", len(faults), stops, v, tr.errors(), b.engine.Outcomes())
	v.flawless(t)
	if e := tr.errors(); e != "" {
		t.Errorf("callers were told of a move: %s", e)
	}
}

// TestG11_APurgeWhileSlotsMove moves the slots of the queue, of its tenant's tasks and of their plan while two servers work
// on a purge, one of which stops on the way.
func TestG11_APurgeWhileSlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	b := real(t, engine.Options{URL: clusterURL(c)}, nil)
	other := real(t, b.opt, b)
	q := b.queue(t, nil)
	const n = 5000
	for range n / 100 {
		batch := make([]queues.Outgoing, 100)
		for i := range batch {
			batch[i].Body = []byte("m")
		}
		b.batch(t, q, true, batch...)
	}
	tenant := b.tenant.String()
	store := tasks.New(b.engine, clock.Real{})
	plan, err := b.PlanPurge(t.Context(), b.tenant, q, queues.PurgeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plan.MaxRate = 750 // so that it takes longer than the moves
	task, err := store.Start(t.Context(), tenant, plan)
	if err != nil {
		t.Fatal(err)
	}
	get := func() tasks.Task {
		t.Helper()
		got, err := store.Get(t.Context(), tenant, task.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	serve := func(s *bench) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		r := tasks.NewRunner(tasks.Config{Store: tasks.New(s.engine, clock.Real{}), Kinds: map[string]tasks.Kind{queues.PurgeTask: s.Purging()}})
		go func() {
			defer close(done)
			_ = r.Run(ctx)
		}()
		stop = func() {
			cancel()
			<-done
		}
		t.Cleanup(stop)
		return stop
	}
	stop := serve(b)
	serve(other)
	moves := 0
	for _, key := range []string{b.slotKey(q), engine.TenantKey(tenant, "tasks"), engine.SystemKey("tasks")} {
		from := c.MasterOf(key)
		m := c.BeginMigrate(key, from, c.Nodes[(slices.Index(c.Nodes, from)+1)%3])
		for m.MigrateKeys(1) > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		m.FinishMigrate()
		if moves++; moves == 1 {
			stop()
		}
		if got := get(); got.Status != tasks.Running {
			t.Errorf("after %d moves the task has ended: %+v", moves, got)
		}
	}
	until(t, func() bool { return get().Status != tasks.Running })
	if got := get(); got.Status != tasks.Succeeded || got.Progress.Done != n || got.Progress.Looked != n {
		t.Errorf("got %+v, want %d done", got, n)
	}
	st, err := b.Stats(t.Context(), b.tenant, q)
	if err != nil || st.Available+st.InFlight+st.Delayed != 0 || st.Deleted != n {
		t.Errorf("the queue has %+v, %v; want %d deleted", st, err, n)
	}
	b.sound(t, q)
	t.Logf("%d moves, attempts by outcome %v and %v", moves, b.engine.Outcomes(), other.engine.Outcomes())
}

// TestG1k_NoKeyIsEverAbsent does everything that takes the last entry out of a key while the slot is being moved. A
// script that removes a key, if only to make it anew, is stopped half way by Redis there: its key counts as moved.
func TestG1k_NoKeyIsEverAbsent(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	fifo := func(t *testing.T, b *bench) string { return b.fifo(t, nil) }
	redriven := func(t *testing.T, b *bench) string {
		q, _ := b.redriven(t, 1, fifoSettings)
		return q
	}
	for _, tc := range []struct {
		name string
		make func(t *testing.T, b *bench) string // nil: a standard queue
		do   func(t *testing.T, b *bench, q string)
	}{
		{"receive the last message of the last group", fifo, func(t *testing.T, b *bench, q string) {
			b.post(t, q, "g:1", "h:2")
			b.take(t, q, 10, "1", "2")
		}},
		{"return and acknowledge the last message of the last group", fifo, func(t *testing.T, b *bench, q string) {
			b.post(t, q, "g:1")
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.take1(t, q, "1").ReceiptHandle})
			b.ack(t, q, b.take1(t, q, "1"))
			b.post(t, q, "g:2")
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.take1(t, q, "2").ReceiptHandle, For: time.Second})
			b.clock.Advance(time.Second)
			b.ack(t, q, b.take1(t, q, "2"))
		}},
		{"outlive the last message of the last group", fifo, func(t *testing.T, b *bench, q string) {
			b.post(t, q, "g:1")
			b.clock.Advance(queues.DefaultSettings().Retention + time.Hour)
			b.take(t, q, 10)
		}},
		{"send the last message of the last group to the dead-letter queue", redriven, func(t *testing.T, b *bench, q string) {
			b.post(t, q, "g:1")
			b.fail(t, q, "1", 1)
			b.take(t, q, 1)
			b.arrived(t, q)
			b.post(t, q, "g:2")
			b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: b.take1(t, q, "2").ReceiptHandle})
			b.arrived(t, q)
		}},
		{"receive the last new message", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			b.send(t, q, "b")
			if got := b.receive(t, q, 10); len(got) != 2 {
				t.Errorf("received %v, want both", bodies(got))
			}
		}},
		{"receive the last new message and a returned one", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.receive(t, q, 1)[0].ReceiptHandle})
			b.clock.Advance(time.Second)
			b.send(t, q, "b")
			if got := b.receive(t, q, 10); len(got) != 2 {
				t.Errorf("received %v, want both", bodies(got))
			}
		}},
		{"expire the last message", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			b.clock.Advance(queues.DefaultSettings().Retention + time.Hour)
			if got := b.counts(t, q); got != [3]int64{} {
				t.Errorf("counts %v, want none", got)
			}
		}},
		{"receive nothing but what is over", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			b.clock.Advance(queues.DefaultSettings().Retention + time.Hour)
			if got := b.receive(t, q, 10); len(got) != 0 {
				t.Errorf("received %v, want none", bodies(got))
			}
		}},
		{"delete and acknowledge the last message", nil, func(t *testing.T, b *bench, q string) {
			sent := b.send(t, q, "a")
			if err := b.DeleteMessage(t.Context(), b.tenant, q, sent.ID); err != nil {
				t.Error(err)
			}
			b.send(t, q, "b")
			b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: b.receive(t, q, 10)[0].ReceiptHandle})
		}},
		{"forget the last idempotency key", nil, func(t *testing.T, b *bench, q string) {
			for _, k := range []string{"a", "b", "c"} {
				if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte(k), IdempotencyKey: k}); err != nil {
					t.Error(err)
				}
				b.clock.Advance(10 * time.Minute)
				b.counts(t, q) // forgets it
			}
		}},
		{"purge", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			b.send(t, q, "b")
			b.receive(t, q, 1)
			// It removes its keys and makes them anew, so it has to wait for the end of the move.
			if n, err := b.Purge(t.Context(), b.tenant, q); (err != nil || n != 2) && !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("purge: got %d, %v; want 2, or %v", n, err, engine.ErrUnavailable)
			}
		}},
		{"delete the queue", nil, func(t *testing.T, b *bench, q string) {
			b.send(t, q, "a")
			if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, engine.Options{URL: clusterURL(c), Budget: time.Second})
			if tc.make == nil {
				tc.make = func(t *testing.T, b *bench) string { return b.queue(t, nil) }
			}
			q := tc.make(t, b)
			k := b.slotKey(q)
			from := c.MasterOf(k)
			to := c.Nodes[0]
			if to == from {
				to = c.Nodes[1]
			}
			m := c.BeginMigrate(k, from, to)
			defer m.FinishMigrate()
			tc.do(t, b, q)
			if tc.name != "delete the queue" {
				b.healthy(t, q)
			}
		})
	}
}
