package queues_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// TestWhatQueuesDoOutlivesARestart has one server begin with each of the things that queues do, and another one finish it
// after Redis was killed with kill -9 and started again. begin returns what is to be true afterwards.
func TestWhatQueuesDoOutlivesARestart(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	began := b.clock.Now()
	type check = func(*testing.T, *bench)
	begin := map[string]func(*testing.T, *bench) check{
		"groups": beginGroups, "deduplication": beginDeduplication, "attempts": beginAttempt, "fairness": beginFairness, "dead letters": beginDeadLetters,
		"redrive": beginRedrive, "back-off": beginBackoff, "ends": beginEnds, "priorities": beginPriorities, "forwarding": beginForwarding,
		"caps": beginCaps, "pause": beginPause, "at most once": beginAtMostOnce, "state of a group": beginGroupState, "holders": beginHolders,
		"browsing": beginBrowsing, "search": beginSearch, "purge by age": beginPurge,
	}
	checks := map[string]check{}
	for name := range begin {
		if checks[name] = begin[name](t, b); !b.clock.Now().Equal(began) {
			t.Fatal("the clock is for those that come after the restart")
		}
	}
	r.Kill9()
	r.Restart()
	other := b.another(t)
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		t.Run(name, func(t *testing.T) { checks[name](t, other) })
	}
}

// A group of a FIFO queue stays behind what is held of it, and keeps its order and its numbers.
func beginGroups(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
	b.post(t, q, "g:1", "g:2", "h:3")
	held := b.take1(t, q, "1")
	return func(t *testing.T, b *bench) {
		b.ack(t, q, b.take(t, q, 10, "3")...)
		sent := b.post(t, q, "g:4")[0]
		b.ack(t, q, held)
		got := b.take(t, q, 10, "2", "4")
		if got[1].SequenceNumber != sent.SequenceNumber || got[0].SequenceNumber <= held.SequenceNumber || got[1].SequenceNumber <= got[0].SequenceNumber {
			t.Errorf("sequence numbers %s, %s, %s", held.SequenceNumber, got[0].SequenceNumber, got[1].SequenceNumber)
		}
		b.healthy(t, q)
	}
}

// A duplicate is known, with the id and the number of the first one.
func beginDeduplication(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.fifo(t, func(s *queues.Settings) { s.FIFO.Window = time.Hour })
	m := queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: "d"}
	first := b.batch(t, q, false, m)[0]
	return func(t *testing.T, b *bench) {
		again := b.batch(t, q, false, m)[0]
		if again.Err != nil || !again.Replayed || again.ID != first.ID || again.SequenceNumber != first.SequenceNumber {
			t.Errorf("sent again: %+v, first %+v", again, first)
		}
		b.take(t, q, 10, "m")
	}
}

// Who did not get the answer to an attempt gets the same deliveries.
func beginAttempt(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
	b.post(t, q, "g:1", "g:2")
	attempt := func(b *bench) []queues.Message {
		t.Helper()
		list, err := b.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Max: 1, AttemptID: "a"})
		if err != nil || len(list) != 1 {
			t.Fatalf("attempt: %q, %v", bodies(list), err)
		}
		return list
	}
	first := attempt(b)[0]
	return func(t *testing.T, b *bench) {
		if again := attempt(b)[0]; again.ReceiptHandle != first.ReceiptHandle || again.ReceiveCount != 1 {
			t.Errorf("attempted again: %+v, first %+v", again, first)
		}
	}
}

// Groups of a standard queue take turns.
func beginFairness(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, "noisy:1", "noisy:2", "noisy:3", "noisy:4", "quiet:5")
	return func(t *testing.T, b *bench) {
		if got := b.receive(t, q, 2); len(got) != 2 || got[0].GroupID == got[1].GroupID {
			t.Errorf("two of two groups: received %q", bodies(got))
		}
		b.healthy(t, q)
	}
}

// Receives are counted, and a dead letter keeps where it comes from and why.
func beginDeadLetters(t *testing.T, b *bench) func(*testing.T, *bench) {
	q, dead := b.redriven(t, 2, nil)
	b.send(t, q, "given up")
	b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: b.take1(t, q, "given up").ReceiptHandle, Reason: "no customer"})
	b.arrived(t, q)
	b.send(t, q, "worn")
	b.fail(t, q, "worn", 1)
	return func(t *testing.T, b *bench) {
		b.fail(t, q, "worn", 1)
		b.take(t, q, 10)
		b.arrived(t, q)
		got := map[string]queues.Reason{}
		for _, m := range b.receive(t, dead, 10) {
			if got[m.Body] = m.Origin.Reason; m.Origin.Queue != q {
				t.Errorf("%q comes from %q", m.Body, m.Origin.Queue)
			}
		}
		same(t, "dead letters", map[string]queues.Reason{"given up": queues.Rejected, "worn": queues.MaxReceives}, got)
		b.healthy(t, q)
		b.healthy(t, dead)
	}
}

// A redrive goes on after its first step, which is not done twice.
func beginRedrive(t *testing.T, b *bench) func(*testing.T, *bench) {
	q, dead := b.dead(t, fifoSettings, "g:1", "g:2", "g:3")
	run := b.planRedrive(t, dead, queues.RedriveOptions{})
	run.work.Most = 1
	before := *run
	run.step(t, b)
	return func(t *testing.T, b *bench) {
		run.work.State, run.work.Step, run.looked, run.done = before.work.State, before.work.Step, 0, 0 // what it did was not saved
		run.run(t, b)
		if run.done != 3 || run.failed != 0 {
			t.Errorf("moved %d, failed %d; want 3", run.done, run.failed)
		}
		b.take(t, q, 10, "1", "2", "3")
		b.healthy(t, dead)
	}
}

// A message that failed waits as long as the policy says, with its counts.
func beginBackoff(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, func(s *queues.Settings) { s.Retry = retry(queues.LinearBackoff, time.Minute, time.Hour) })
	b.send(t, q, "m")
	b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: b.take1(t, q, "m").ReceiptHandle, Reason: "busy"})
	at := b.clock.Now().Add(time.Minute)
	return func(t *testing.T, b *bench) {
		m := b.list(t, q)[0]
		if !m.AvailableAt.Equal(at) || m.FailureCount != 1 || m.ReceiveCount != 1 || m.LastError != "busy" {
			t.Errorf("after its failure: %+v, want it at %s", m, at)
		}
	}
}

// A message has its end.
func beginEnds(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	sent := b.batch(t, q, false, queues.Outgoing{Body: []byte("short"), TTL: time.Hour}, queues.Outgoing{Body: []byte("long")})
	return func(t *testing.T, b *bench) {
		m, err := b.Message(t.Context(), b.tenant, q, sent[0].ID)
		if err != nil || !m.ExpiresAt.Equal(sent[0].Now.Add(time.Hour)) {
			t.Errorf("the message with an end: %+v, %v", m, err)
		}
	}
}

// What is urgent comes first.
func beginPriorities(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.batch(t, q, false, queues.Outgoing{Body: []byte("plain")}, queues.Outgoing{Body: []byte("urgent"), Priority: 9})
	return func(t *testing.T, b *bench) { b.take(t, q, 1, "urgent") }
}

// What waits for its target goes there, and what comes now goes on behind it.
func beginForwarding(t *testing.T, b *bench) func(*testing.T, *bench) {
	from, to := b.forwarding(t, fifoSettings)
	if _, err := b.Pause(t.Context(), b.tenant, to, queues.DirectionSend, "", queues.Condition{}); err != nil {
		t.Fatal(err)
	}
	b.post(t, from, "g:1", "g:2")
	b.Carry(t, b.tenant, from)
	return func(t *testing.T, b *bench) {
		st, err := b.Stats(t.Context(), b.tenant, from)
		if err != nil || st.Moving != 2 || st.Available != 0 {
			t.Errorf("while the target is paused: %+v, %v; want 2 on their way", st, err)
		}
		b.post(t, from, "g:3")
		if _, err := b.Resume(t.Context(), b.tenant, to, queues.DirectionSend, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
		b.arrived(t, from)
		b.take(t, to, 10, "1", "2", "3")
		b.healthy(t, from)
		b.healthy(t, to)
	}
}

// A full queue is full, counted in messages and in bytes.
func beginCaps(t *testing.T, b *bench) func(*testing.T, *bench) {
	count, size := b.queue(t, capped(2, 0, queues.Reject)), b.queue(t, capped(0, 4000, queues.Reject))
	large := queues.Outgoing{Body: make([]byte, queues.MinMessageSize)}
	b.post(t, count, ":1", ":2")
	for range 3 {
		if err := b.one(t, size, large); err != nil {
			t.Fatal(err)
		}
	}
	return func(t *testing.T, b *bench) {
		if err := b.one(t, count, queues.Outgoing{Body: []byte("3")}); !errors.Is(err, queues.ErrMessagesFull) {
			t.Errorf("the third message of two: %v", err)
		}
		if err := b.one(t, size, large); !errors.Is(err, queues.ErrBytesFull) {
			t.Errorf("the message for which the bytes do not suffice: %v", err)
		}
		b.ack(t, count, b.take(t, count, 1, "1")...)
		b.post(t, count, ":4")
		b.healthy(t, count)
		b.healthy(t, size)
	}
}

// A paused queue is paused, with its reason.
func beginPause(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, ":m")
	b.pause(t, q, queues.DirectionReceive, "")
	b.pause(t, q, queues.DirectionSend, "a bad release")
	return func(t *testing.T, b *bench) {
		b.refused(t, q, "a bad release")
		b.take(t, q, 10)
		b.resume(t, q, queues.DirectionReceive)
		b.take(t, q, 10, "m")
	}
}

// What was given at most once does not come again.
func beginAtMostOnce(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.fifo(t, nil)
	b.post(t, q, "g:1", "g:2")
	b.takeOnce(t, q, 1)
	return func(t *testing.T, b *bench) {
		b.take(t, q, 10, "2")
		b.healthy(t, q)
	}
}

// A group has its state, and who held it may read and write it.
func beginGroupState(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
	b.post(t, q, "g:1", "g:2")
	first := b.take1(t, q, "1")
	if err := b.putState(t, q, first, "step 1"); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, b *bench) {
		if got := b.state(t, q, first); got != "step 1" {
			t.Errorf("its holder reads %q", got)
		}
		b.ack(t, q, first)
		if got := b.state(t, q, b.take1(t, q, "2")); got != "step 1" {
			t.Errorf("the next holder reads %q", got)
		}
	}
}

// Who holds what is known.
func beginHolders(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, ":1", ":2")
	b.receiveAs(t, q, "worker-1", 1, 3600)
	b.receiveAs(t, q, "", 1, 3600)
	want := b.held(t, q)
	return func(t *testing.T, b *bench) { b.wantHeld(t, q, "after the restart", want...) }
}

// A page goes on behind the one before.
func beginBrowsing(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, ":1", ":2", ":3")
	page := b.peek(t, q, queues.PeekOptions{Limit: 2})
	return func(t *testing.T, b *bench) {
		rest := b.peek(t, q, queues.PeekOptions{Limit: 2, Cursor: page.Next})
		if got := append(bodies(page.Messages), bodies(rest.Messages)...); !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("the pages have %q", got)
		}
	}
}

// A search goes on where it was.
func beginSearch(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, ":red 1", ":blue 2", ":red 3")
	filter, bad := queues.ParseFilter("red")
	if bad != nil {
		t.Fatal(bad)
	}
	opt := queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 1}, Match: filter.Match}
	found, err := b.Search(t.Context(), b.tenant, q, opt)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, b *bench) {
		opt.Cursor = found.Next
		rest, err := b.Search(t.Context(), b.tenant, q, opt)
		if got := append(bodies(found.Messages), bodies(rest.Messages)...); err != nil || !slices.Equal(got, []string{"red 1", "red 3"}) {
			t.Errorf("found %q, %v", got, err)
		}
	}
}

// A purge by age goes on after its first step, and takes nothing that came later.
func beginPurge(t *testing.T, b *bench) func(*testing.T, *bench) {
	q := b.queue(t, nil)
	b.post(t, q, ":1", ":2", ":3")
	run := b.planPurge(t, q, 0)
	run.work.Most = 1
	run.step(t, b)
	return func(t *testing.T, b *bench) {
		b.clock.Advance(time.Second)
		b.post(t, q, ":4")
		run.run(t, b)
		b.take(t, q, 10, "4")
		b.healthy(t, q)
	}
}
