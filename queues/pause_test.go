package queues_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

func (b *bench) pause(tb testing.TB, q string, dir queues.Direction, reason string) queues.Queue {
	tb.Helper()
	got, err := b.Pause(tb.Context(), b.tenant, q, dir, reason, queues.Condition{})
	if err != nil {
		tb.Fatalf("pause: %v", err)
	}
	return got
}

func (b *bench) resume(tb testing.TB, q string, dir queues.Direction) queues.Queue {
	tb.Helper()
	got, err := b.Resume(tb.Context(), b.tenant, q, dir, queues.Condition{})
	if err != nil {
		tb.Fatalf("resume: %v", err)
	}
	return got
}

// refused fails the test unless a send of each kind is refused because of a pause, with the reason.
func (b *bench) refused(tb testing.TB, q, reason string) {
	tb.Helper()
	one, two := queues.Outgoing{Body: []byte("refused")}, queues.Outgoing{Body: []byte("too")}
	_, err := b.Send(tb.Context(), b.tenant, q, one)
	if !errors.Is(err, queues.ErrQueuePaused) || !strings.Contains(err.Error(), reason) {
		tb.Errorf("send: got %v, want %v with the reason %q", err, queues.ErrQueuePaused, reason)
	}
	if _, err := b.SendBatch(tb.Context(), b.tenant, q, []queues.Outgoing{one, two}, true); !errors.Is(err, queues.ErrQueuePaused) {
		tb.Errorf("atomic batch: got %v, want %v", err, queues.ErrQueuePaused)
	}
	for i, r := range b.batch(tb, q, false, one, two) {
		if !errors.Is(r.Err, queues.ErrQueuePaused) {
			tb.Errorf("message %d of a batch: got %v, want %v", i, r.Err, queues.ErrQueuePaused)
		}
	}
}

func TestAPauseHoldsOnAllServersAtOnceAndInItsDirectionOnly(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		other.send(t, q, "a") // it knows the settings now
		held := other.receive(t, q, 1)[0]

		b.pause(t, q, queues.DirectionSend, "full moon")
		other.refused(t, q, "full moon")
		b.refused(t, q, "full moon")
		other.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: held.ReceiptHandle})
		held = other.receive(t, q, 1)[0]

		b.clock.Advance(time.Second)
		got := b.pause(t, q, queues.DirectionBoth, "upgrade")
		want := queues.Paused{Receive: &queues.Pause{Since: start.Add(time.Second), Reason: "upgrade"}, Send: &queues.Pause{Since: start, Reason: "upgrade"}}
		if diff := cmp.Diff(want, got.Paused); diff != "" {
			t.Errorf("paused (-want +got):\n%s", diff)
		}
		b.resume(t, q, queues.DirectionSend)
		other.send(t, q, "b")
		for _, server := range []*bench{b, other} {
			if got := server.receive(t, q, 10); len(got) != 0 || !server.ReceivesPaused(b.tenant, q) {
				t.Errorf("received %q, paused %v; want nothing, paused", bodies(got), server.ReceivesPaused(b.tenant, q))
			}
		}
		// What was received before goes on, and so do looks and deletions.
		done := other.settle(t, q,
			queues.Settlement{Verb: queues.Extend, ReceiptHandle: held.ReceiptHandle, For: time.Minute},
			queues.Settlement{Verb: queues.Ack, ReceiptHandle: held.ReceiptHandle})
		if done[0].Err != nil || done[1].Err != nil {
			t.Errorf("settled while paused: %+v", done)
		}
		page, err := other.Peek(t.Context(), b.tenant, q, queues.PeekOptions{})
		if err != nil || len(page.Messages) != 1 {
			t.Fatalf("peek while paused: %+v, %v", page, err)
		}
		if err := other.DeleteMessage(t.Context(), b.tenant, q, page.Messages[0].ID); err != nil {
			t.Errorf("delete while paused: %v", err)
		}
		b.send(t, q, "c")
		b.resume(t, q, queues.DirectionBoth)
		if diff := cmp.Diff([]string{"c"}, bodies(other.receive(t, q, 10))); diff != "" {
			t.Errorf("received after the pause (-want +got):\n%s", diff)
		}
		if other.ReceivesPaused(b.tenant, q) {
			t.Error("receives are said to be paused after the pause")
		}
		b.healthy(t, q)
	})
}

// A pause is stored with the settings and is none: it outlives the servers, and PUT and PATCH leave it alone.
func TestAPauseOutlivesServersAndSettings(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, free := b.queue(t, nil), b.queue(t, nil)
		before, err := b.Get(t.Context(), b.tenant, q)
		if err != nil {
			t.Fatal(err)
		}
		paused := b.pause(t, q, queues.DirectionBoth, "")
		if paused.ETag == before.ETag {
			t.Error("the ETag is the same after a pause")
		}
		b.clock.Advance(time.Minute)
		if again := b.pause(t, q, queues.DirectionBoth, ""); again.ETag != paused.ETag {
			t.Error("the same pause again has changed the queue")
		}
		set := queues.DefaultSettings()
		set.VisibilityTimeout = time.Minute
		put, _, err := b.Put(t.Context(), b.tenant, q, set, queues.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		later := b.another(t)
		got, err := later.Get(t.Context(), b.tenant, q)
		if diff := cmp.Diff(put, got); err != nil || diff != "" {
			t.Fatalf("seen by another server: %v (-want +got):\n%s", err, diff)
		}
		if diff := cmp.Diff(paused.Paused, got.Paused); diff != "" || got.Settings.VisibilityTimeout != time.Minute {
			t.Errorf("after new settings: %+v (-want +got):\n%s", got.Settings, diff)
		}
		later.refused(t, q, "")
		later.send(t, free, "m")
		if got := later.receive(t, free, 1); len(got) != 1 {
			t.Error("another queue is paused too")
		}

		if _, err := b.Pause(t.Context(), b.tenant, q, "up", "", queues.Condition{}); err == nil {
			t.Error("a pause upwards was accepted")
		}
		if _, err := b.Pause(t.Context(), b.tenant, q, queues.DirectionBoth, strings.Repeat("x", queues.MaxPauseReason+1), queues.Condition{}); err == nil {
			t.Error("a reason that is too long was accepted")
		}
		if _, err := b.Resume(t.Context(), b.tenant, q, queues.DirectionBoth, queues.Condition{ETag: before.ETag}); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("resume with an old ETag: got %v, want %v", err, queues.ErrPrecondition)
		}
		if _, err := b.Pause(t.Context(), b.tenant, "none", queues.DirectionBoth, "", queues.Condition{}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("pause of no queue: got %v, want %v", err, queues.ErrQueueNotFound)
		}
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		fresh, _, err := b.Put(t.Context(), b.tenant, q, set, queues.Condition{})
		if err != nil || fresh.Paused != (queues.Paused{}) {
			t.Errorf("the queue that was made again: %+v, %v", fresh, err)
		}
	})
}

// Receives that wait when a pause begins, or begin to wait during it, sit it out and go on as soon as it ends: on the
// server that ends it and on another.
func TestWaitingReceivesSitAPauseOut(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		for i, waiter := range servers {
			q := b.queue(t, nil)
			before := waiter.wait(t.Context(), q, time.Hour)
			waiter.awaitParked(t, q, 1)
			servers[1-i].pause(t, q, queues.DirectionReceive, "")
			servers[1-i].send(t, q, "a")
			until(t, func() bool { return waiter.ReceivesPaused(b.tenant, q) })
			waiter.awaitParked(t, q, 1)
			during := waiter.wait(t.Context(), q, time.Hour)
			waiter.awaitParked(t, q, 2)
			servers[i].send(t, q, "b")
			waiter.awaitParked(t, q, 2)
			servers[1-i].resume(t, q, queues.DirectionReceive)
			first, second := promptly(t, before), promptly(t, during)
			if len(first.list) != 1 || len(second.list) != 1 || first.list[0].ID == second.list[0].ID {
				t.Errorf("after the pause: %q and %q, want a and b", bodies(first.list), bodies(second.list))
			}
			b.healthy(t, q)
		}
	})
}

// A wait that ends during a pause is answered empty, and takes nothing.
func TestAWaitEndsDuringAPause(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.pause(t, q, queues.DirectionReceive, "")
		if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m"), GroupID: "g"}); err != nil {
			t.Fatal(err)
		}
		wait := 5 * time.Second
		got := make(chan arrival, 1)
		go func() {
			list, err := b.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Wait: &wait})
			got <- arrival{list: list, err: err}
		}()
		b.awaitParked(t, q, 1)
		b.clock.Advance(wait)
		if a := promptly(t, got); a.err != nil || len(a.list) != 0 {
			t.Errorf("got %q, %v; want nothing", bodies(a.list), a.err)
		}
		if got := b.counts(t, q); got != [3]int64{1, 0, 0} {
			t.Errorf("counts: got %v, want one available", got)
		}
		b.resume(t, q, queues.DirectionBoth)
		if got := b.receive(t, q, 1); len(got) != 1 {
			t.Error("nothing was received after the pause")
		}
	})
}
