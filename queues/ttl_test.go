package queues_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

// brief sends a message that lives for ttl.
func (b *bench) brief(tb testing.TB, q, body string, ttl time.Duration, change func(*queues.Outgoing)) queues.Sent {
	tb.Helper()
	m := queues.Outgoing{Body: []byte(body), TTL: ttl}
	if change != nil {
		change(&m)
	}
	sent, err := b.Send(tb.Context(), b.tenant, q, m)
	if err != nil {
		tb.Fatalf("send %q: %v", body, err)
	}
	return sent
}

// expired checks how many messages have ended, and that the others are counted.
func (b *bench) expired(tb testing.TB, q string, expired int64, left [3]int64) {
	tb.Helper()
	st, err := b.Stats(tb.Context(), b.tenant, q)
	if err != nil {
		tb.Fatal(err)
	}
	if got := [3]int64{st.Available, st.InFlight, st.Delayed}; st.Expired != expired || got != left {
		tb.Fatalf("%d expired and %v left, want %d and %v", st.Expired, got, expired, left)
	}
	b.healthy(tb, q)
}

func TestAMessageEndsAtItsEnd(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		hour := time.Hour
		a := b.brief(t, q, "in the list", time.Minute, nil)
		b.send(t, q, "stays")
		b.brief(t, q, "urgent", time.Minute, func(m *queues.Outgoing) { m.Priority = 9 })
		b.brief(t, q, "of a group", time.Minute, func(m *queues.Outgoing) { m.GroupID = "g" })
		b.brief(t, q, "delayed", 2*time.Hour, func(m *queues.Outgoing) { m.Delay = &hour })
		seen, err := b.Message(t.Context(), b.tenant, q, a.ID)
		if err != nil || !seen.ExpiresAt.Equal(start.Add(time.Minute)) {
			t.Errorf("got %+v, %v", seen, err)
		}
		b.clock.Advance(time.Minute - time.Millisecond)
		b.expired(t, q, 0, [3]int64{4, 0, 1})
		b.clock.Advance(time.Millisecond)
		// A look that changes nothing knows it.
		if _, err := b.Message(t.Context(), b.tenant, q, a.ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("at its end: got %v", err)
		}
		page, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{State: queues.Available})
		if diff := cmp.Diff([]string{"stays"}, bodies(page.Messages)); err != nil || diff != "" {
			t.Errorf("peek: %v (-want +got):\n%s", err, diff)
		}
		if err := b.DeleteMessage(t.Context(), b.tenant, q, a.ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("delete: got %v", err)
		}
		b.take(t, q, 10, "stays")
		b.expired(t, q, 3, [3]int64{0, 1, 1})
		b.clock.Advance(2 * time.Hour)
		b.expired(t, q, 4, [3]int64{1, 0, 0})
	})
}

func TestAHeldMessageEndsWithItsLease(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, tidied := range []bool{false, true} {
			q := b.queue(t, nil)
			for _, body := range []string{"acked", "returned", "failed", "unseen", "left", "extended"} {
				b.brief(t, q, body, 10*time.Second, nil)
			}
			got := map[string]queues.Message{}
			for _, m := range b.receive(t, q, 10) {
				got[m.Body] = m
			}
			b.clock.Advance(10 * time.Second)
			if tidied {
				b.expired(t, q, 0, [3]int64{0, 6, 0})
			}
			other := b.another(t)
			out := other.settle(t, q,
				queues.Settlement{Verb: queues.Extend, ReceiptHandle: got["extended"].ReceiptHandle, For: time.Hour},
				queues.Settlement{Verb: queues.Ack, ReceiptHandle: got["acked"].ReceiptHandle},
				queues.Settlement{Verb: queues.Return, ReceiptHandle: got["returned"].ReceiptHandle},
				queues.Settlement{Verb: queues.Fail, ReceiptHandle: got["failed"].ReceiptHandle},
				queues.Settlement{Verb: queues.Return, ReceiptHandle: got["failed"].ReceiptHandle})
			for i, want := range []queues.Settled{{LeaseExpiresAt: b.clock.Now().Add(time.Hour)}, {}, {Expired: true}, {Expired: true}} {
				if diff := cmp.Diff(want, out[i]); diff != "" {
					t.Errorf("tidied %t, settlement %d (-want +got):\n%s", tidied, i, diff)
				}
			}
			if !errors.Is(out[4].Err, queues.ErrReceiptExpired) {
				t.Errorf("a return of what is gone: got %v", out[4].Err)
			}
			other.Unreceive(t.Context(), b.tenant, q, []queues.Message{got["unseen"]})
			b.expired(t, q, 3, [3]int64{0, 2, 0})
			b.clock.Advance(20 * time.Second)
			b.expired(t, q, 4, [3]int64{0, 1, 0})
			b.take(t, q, 10)
			b.clock.Advance(time.Hour)
			b.another(t).take(t, q, 10) // also by a server that starts now
			b.expired(t, q, 5, [3]int64{})
		}
	})
}

func TestAnEndedMessageOfAFIFOQueueFreesItsGroup(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.Retry = retry(queues.FixedBackoff, time.Hour, time.Hour) })
		group := func(m *queues.Outgoing) { m.GroupID = "g" }
		b.brief(t, q, "1", time.Minute, group)
		b.brief(t, q, "2", 10*time.Second, group)
		b.brief(t, q, "3", time.Hour, group)
		first := b.take(t, q, 1, "1")[0]
		b.clock.Advance(10 * time.Second)
		b.expired(t, q, 1, [3]int64{1, 1, 0}) // the second, though it is not the first
		b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: first.ReceiptHandle})
		other, wait := b.another(t), 20*time.Second
		b.clock.Advance(40 * time.Second)
		done := make(chan []queues.Message)
		go func() {
			got, err := other.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Wait: &wait})
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		other.awaitParked(t, q, 1)
		b.clock.Advance(10 * time.Second) // the first ends while it waits for its back-off
		if got := <-done; len(got) != 1 || got[0].Body != "3" {
			t.Errorf("received %v", bodies(got))
		}
		b.expired(t, q, 2, [3]int64{0, 1, 0})
	})
}

func TestNothingIsReceivedAtItsEndHoweverMuchEnds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, fifo := range []bool{false, true} {
			q := b.queue(t, nil)
			if fifo {
				q = b.fifo(t, nil)
			}
			batch := make([]queues.Outgoing, 350)
			for i := range batch {
				batch[i] = queues.Outgoing{Body: fmt.Appendf(nil, "m%d", i), TTL: time.Minute}
				if fifo {
					batch[i].GroupID = fmt.Sprint("g", i%7)
				}
			}
			for _, r := range b.batch(t, q, false, batch...) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			b.clock.Advance(time.Minute)
			for range 5 {
				b.take(t, q, 50)
			}
			b.expired(t, q, 350, [3]int64{})
		}
	})
}

func TestAnEndIsForgottenWithItsMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Retention = time.Minute })
		b.brief(t, q, "acked", time.Minute, nil)
		b.ack(t, q, b.take(t, q, 1, "acked")...)
		deleted := b.brief(t, q, "deleted", time.Minute, nil)
		if err := b.DeleteMessage(t.Context(), b.tenant, q, deleted.ID); err != nil {
			t.Fatal(err)
		}
		b.brief(t, q, "purged", time.Minute, nil)
		if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
			t.Fatal(err)
		}
		b.healthy(t, q)
		if n, err := b.engine.Single().ZCard(t.Context(), b.Keys(b.tenant, q)["e"]).Result(); err != nil || n != 1 {
			t.Errorf("expiry has %d entries and %v, want its sentinel", n, err)
		}
	})
}

func TestEndsHaveBounds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Retention, s.Delay = time.Hour, 5*time.Second })
		for _, bad := range []time.Duration{-time.Second, time.Second / 2, time.Hour + time.Second, 5 * time.Second} {
			refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), TTL: bad}), "validation_failed", "/ttl")
		}
		none := time.Duration(0)
		for _, m := range []queues.Outgoing{{TTL: time.Hour}, {TTL: time.Second, Delay: &none}} {
			m.Body = []byte("m")
			if err := b.one(t, q, m); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
		}
		b.expired(t, q, 0, [3]int64{1, 0, 1})
	})
}

func TestCheckFindsAnEndWithoutAMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		sent := b.brief(t, q, "m", time.Minute, nil)
		b.engine.Single().HDel(t.Context(), b.Keys(b.tenant, q)["b"], string(sent.ID[:]))
		r, err := b.Check(t.Context(), b.tenant, q)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("Message %s has an end in expiry and is not stored.", sent.ID)
		found := false
		for _, v := range r.Violations {
			found = found || v == want
		}
		if !found {
			t.Errorf("got %q, want %q among them", r.Violations, want)
		}
	})
}

func TestAMessageThatCannotLeaveKeepsItsEndAndPriority(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, giveUp := range []bool{false, true} {
			q, dead := b.redriven(t, 1, nil)
			if err := b.Delete(t.Context(), b.tenant, dead, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.brief(t, q, "m", time.Hour, func(m *queues.Outgoing) { m.Priority = 9 })
			m := b.take(t, q, 1, "m")[0]
			verb := queues.Return
			if giveUp {
				verb = queues.DeadLetter
			}
			b.settle(t, q, queues.Settlement{Verb: verb, ReceiptHandle: m.ReceiptHandle, Reason: "no, e: ,x,p1"})
			if !giveUp {
				b.receive(t, q, 1)
			}
			b.arrived(t, q)
			b.send(t, q, "other")
			got := b.take(t, q, 2, "m", "other")
			if got[0].LastError != "no, e: ,x,p1" || got[0].Priority != 9 || !got[0].ExpiresAt.Equal(m.ExpiresAt) {
				t.Errorf("got %+v", got[0])
			}
			b.healthy(t, q)
			b.ack(t, q, got[1])
			b.clock.Advance(time.Hour)
			b.expired(t, q, 1, [3]int64{})
		}
	})
}

func TestADeadLetterHasNoEnd(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 1, nil)
		b.brief(t, q, "m", time.Minute, nil)
		m := b.take(t, q, 1, "m")[0]
		b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle})
		b.arrived(t, q)
		b.clock.Advance(time.Hour)
		if got := b.take(t, dead, 1, "m"); !got[0].ExpiresAt.IsZero() {
			t.Errorf("got %+v", got[0])
		}
		b.expired(t, q, 0, [3]int64{})
		b.healthy(t, dead)
	})
}

// A message whose end comes while it is edited to be sent elsewhere does not live on there.
func TestAMessageDoesNotOutliveItsEndByBeingMoved(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.queue(t, nil)
		sent, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m"), TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Redrive(t.Context(), b.tenant, q, sent.ID, other, func(*queues.Outgoing) { b.clock.Advance(time.Minute) })
		if !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("moved at its end: %v, want that it is gone", err)
		}
		b.arrived(t, q)
		b.take(t, other, 1)
		b.healthy(t, q)
	})
}
