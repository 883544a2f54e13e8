package queues_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// hold has whoever holds a message hold it for span, or returns it, as b and not as the holder.
func (b *bench) hold(tb testing.TB, q string, id engine.ID, span time.Duration) queues.Settled {
	tb.Helper()
	done, err := b.HoldMessage(as(tb, "operator"), b.tenant, q, id, span)
	if err != nil {
		tb.Fatalf("hold for %s: %v", span, err)
	}
	return done
}

func TestALeaseIsExtendedByTheIdOfItsMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, kind := range kinds {
			q := b.traced(t, kind)
			sent, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m"), GroupID: "g"})
			if err != nil {
				t.Fatal(err)
			}
			began := b.clock.Now()
			b.take(t, q, 1, "m")
			b.clock.Advance(30 * time.Second) // the lease ends: from here on it is the second delivery, which has a name
			m := b.receiveAs(t, q, "worker", 1, 0)[0]
			b.clock.Advance(20 * time.Second)
			got := other.hold(t, q, sent.ID, 5*time.Minute)
			same(t, kind+": longer", b.clock.Now().Add(5*time.Minute), got.LeaseExpiresAt)
			b.wantHeld(t, q, kind, fmt.Sprintf("m worker %g+320 #2", began.Add(30*time.Second).Sub(start).Seconds()))
			b.clock.Advance(4 * time.Minute)
			other.take(t, q, 1)
			same(t, kind+": shorter", b.clock.Now().Add(time.Second), b.hold(t, q, sent.ID, time.Second).LeaseExpiresAt)
			if _, err := b.HoldMessage(t.Context(), b.tenant, q, sent.ID, 12*time.Hour); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: for longer than 12 hours since it was received: got %v", kind, err)
			}
			b.wantLife(t, q, kind, sent.ID, "sent received lease_ended received lease_extended lease_extended")
			steps := b.timeline(t, q, sent.ID).Steps
			if who := steps[len(steps)-1].Actor.Key; who != "operator" {
				t.Errorf("%s: extended by %q", kind, who)
			}
			// The holder's receipt is as good as before.
			b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Minute})
			b.ack(t, q, m)
			if _, err := b.HoldMessage(t.Context(), b.tenant, q, sent.ID, time.Minute); !errors.Is(err, queues.ErrMessageNotFound) {
				t.Errorf("%s: when it is done: got %v", kind, err)
			}
		}
	})
}

func TestAMessageIsTakenFromWhoHoldsIt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, kind := range kinds {
			q := b.traced(t, kind)
			sent, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m"), GroupID: "g"})
			if err != nil {
				t.Fatal(err)
			}
			m := b.take(t, q, 1, "m")[0]
			other.take(t, q, 1)
			b.clock.Advance(time.Second)
			same(t, kind, b.clock.Now(), other.hold(t, q, sent.ID, 0).AvailableAt)
			b.healthy(t, q)
			if got := b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Minute})[0].Err; !errors.Is(got, queues.ErrReceiptExpired) {
				t.Errorf("%s: extended by who held it: got %v", kind, got)
			}
			again := other.take(t, q, 1, "m")[0]
			if again.ReceiveCount != 2 || again.FailureCount != 1 {
				t.Errorf("%s: received %d times and failed %d, want 2 and 1", kind, again.ReceiveCount, again.FailureCount)
			}
			if got := b.settle(t, q, ackOf(m))[0].Err; !errors.Is(got, queues.ErrReceiptExpired) {
				t.Errorf("%s: acknowledged by who held it before: got %v", kind, got)
			}
			b.wantLife(t, q, kind, sent.ID, "sent received returned received")
			b.ack(t, q, again)
		}
		// As with any lease that is over: while nobody else has received it, who worked on it can still say that it is done.
		q := b.queue(t, nil)
		b.send(t, q, "m")
		m := b.take(t, q, 1, "m")[0]
		b.hold(t, q, m.ID, 0)
		b.ack(t, q, m)
		b.take(t, q, 1)
	})
}

func TestOnlyALeaseIsChanged(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Minute })
		refused := func(what string, id engine.ID, span time.Duration, want error) {
			t.Helper()
			if _, err := b.HoldMessage(t.Context(), b.tenant, q, id, span); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		delayed, m := b.delayed(t, q, "delayed", time.Hour), b.send(t, q, "m")
		for _, span := range []time.Duration{0, time.Second} {
			refused("delayed", delayed.ID, span, queues.ErrMessageNotInFlight)
			refused("available", m.ID, span, queues.ErrMessageNotInFlight)
			refused("none", b.engine.NewID(0), span, queues.ErrMessageNotFound)
		}
		held := b.take(t, q, 1, "m")[0]
		invalid := &errs.Error{Code: "validation_failed"}
		refused("below nothing", m.ID, -time.Second, invalid)
		refused("too long", m.ID, queues.MaxVisibilityTimeout+time.Second, invalid)
		b.clock.Advance(time.Minute)
		refused("its lease has ended", m.ID, time.Second, queues.ErrMessageNotInFlight)
		b.ack(t, q, held)
		refused("done", m.ID, 0, queues.ErrMessageNotFound)
		if _, err := b.HoldMessage(t.Context(), b.tenant, "nowhere", m.ID, 0); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("in no queue: %v", err)
		}
		if got := b.counts(t, q); got != [3]int64{0, 0, 1} {
			t.Errorf("counts: %v", got)
		}
		// One whose own end came while it was held is gone when it is returned.
		end := time.Second
		brief, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("brief"), TTL: end})
		if err != nil {
			t.Fatal(err)
		}
		b.take(t, q, 1, "brief")
		b.clock.Advance(2 * time.Second)
		if got := b.hold(t, q, brief.ID, 0); !got.Expired {
			t.Errorf("returned after its end: %+v", got)
		}
		refused("ended", brief.ID, 0, queues.ErrMessageNotFound)
		b.healthy(t, q)
	})
}

// A group waits for its first message for as long as the lease says, whoever changed it, and whoever waits learns of it at once.
func TestAGroupWaitsForALeaseThatWasChanged(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.fifo(t, nil)
		sent := b.post(t, q, "g:1", "g:2")
		b.take(t, q, 1, "1")
		other.hold(t, q, sent[0].ID, 10*time.Minute)
		b.clock.Advance(9 * time.Minute)
		b.take(t, q, 10)
		got := b.wait(t.Context(), q, time.Hour)
		b.awaitParked(t, q, 1)
		other.hold(t, q, sent[0].ID, 0)
		promptly(t, got).want(t, "1")
		b.healthy(t, q)
	})
}

// Of many that return a message one has done it, and the others find that nobody holds it.
func TestALeaseIsTakenOnce(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		id := b.send(t, q, "m").ID
		b.take(t, q, 1, "m")
		var all sync.WaitGroup
		got := make([]error, 8)
		for i := range got {
			all.Go(func() { _, got[i] = []*bench{b, other}[i%2].HoldMessage(t.Context(), b.tenant, q, id, 0) })
		}
		all.Wait()
		done := 0
		for _, err := range got {
			if err == nil {
				done++
			} else if !errors.Is(err, queues.ErrMessageNotInFlight) {
				t.Error(err)
			}
		}
		if m := b.take(t, q, 1, "m")[0]; done != 1 || m.FailureCount != 1 {
			t.Errorf("%d returned it, and it failed %d times; want 1 and 1", done, m.FailureCount)
		}
	})
}

func TestAChangedLeaseOutlivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	q := b.queue(t, nil)
	longer, back := b.send(t, q, "longer").ID, b.send(t, q, "back").ID
	b.take(t, q, 2, "longer", "back")
	b.hold(t, q, longer, time.Hour)
	b.hold(t, q, back, 0)
	r.Kill9()
	r.Restart()
	other := b.another(t)
	b.clock.Advance(59 * time.Minute)
	other.ack(t, q, other.take(t, q, 10, "back")...)
	b.clock.Advance(time.Minute)
	other.take(t, q, 10, "longer")
}
