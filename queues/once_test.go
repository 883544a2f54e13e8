package queues_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

// takeOnce receives messages that are deleted as they are given.
func (b *bench) takeOnce(tb testing.TB, q string, most int) []queues.Message {
	tb.Helper()
	got, err := b.Receive(tb.Context(), b.tenant, q, queues.ReceiveOptions{Max: most, AutoAck: true})
	if err != nil {
		tb.Fatalf("receive once: %v", err)
	}
	return got
}

// What is received at most once is gone, on all servers and for good: also what was returned before and what belongs to a group.
func TestAtMostOnceGivesAndDeletes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		b.send(t, q, "returned")
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.receive(t, q, 1)[0].ReceiptHandle})
		b.clock.Advance(time.Millisecond)
		b.send(t, q, "new")
		b.batch(t, q, false, queues.Outgoing{Body: []byte("grouped"), GroupID: "g"})
		b.send(t, q, "held")
		var bodies []string
		for _, m := range b.takeOnce(t, q, 3) {
			if m.ReceiptHandle != "" || !m.LeaseExpiresAt.IsZero() || m.ReceiveCount != 1 && m.Body != "returned" {
				t.Errorf("received %+v, want neither handle nor lease", m)
			}
			if m.Body == "returned" && m.ReceiveCount != 2 {
				t.Errorf("received %+v for the second time", m)
			}
			bodies = append(bodies, m.Body)
		}
		if len(bodies) != 3 {
			t.Fatalf("received %q, want three", bodies)
		}
		if rest := other.receive(t, q, 10); len(rest) != 1 {
			t.Errorf("another server received %d, want the last one", len(rest))
		}
		if got := other.takeOnce(t, q, 10); len(got) != 0 {
			t.Errorf("what is held was given once more: %+v", got)
		}
		b.clock.Advance(13 * time.Hour)
		st, err := other.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Available != 1 || st.Deleted != 3 || st.Received != 5 {
			t.Errorf("stats: %+v, %v; want only the one that was lent", st, err)
		}
		b.healthy(t, q)
	})
}

// In a FIFO queue the group goes on at once.
func TestAtMostOnceFreesItsGroup(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		for _, body := range []string{"1", "2", "3", "4"} {
			b.batch(t, q, false, queues.Outgoing{Body: []byte(body), GroupID: "g"})
		}
		for _, want := range [][]string{{"1"}, {"2", "3"}} {
			if diff := cmp.Diff(want, bodies(b.takeOnce(t, q, len(want)))); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
			b.healthy(t, q)
		}
		held := b.receive(t, q, 1)
		if got := b.takeOnce(t, q, 1); len(got) != 0 {
			t.Errorf("received %q while the group is held", bodies(got))
		}
		b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: held[0].ReceiptHandle})
		b.batch(t, q, false, queues.Outgoing{Body: []byte("5"), GroupID: "g"})
		if diff := cmp.Diff([]string{"5"}, bodies(b.takeOnce(t, q, 10))); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		b.healthy(t, q)
	})
}

// Callers that are joined in one script call are served each in its own way.
func TestAtMostOnceBesideLeases(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		const n = 40
		got := make(chan []queues.Message, n)
		for i := range n {
			b.send(t, q, "m")
			go func() {
				list, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{AutoAck: i%2 == 0, Wait: new(time.Duration)})
				if err != nil {
					t.Errorf("receive: %v", err)
				}
				got <- list
			}()
		}
		lent, given := 0, 0
		for range n {
			for _, m := range <-got {
				if m.ReceiptHandle == "" {
					given++
				} else {
					lent++
				}
			}
		}
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.InFlight != int64(lent) || st.Deleted != int64(given) || st.Available != int64(n-lent-given) {
			t.Errorf("%d lent and %d given for good; stats: %+v, %v", lent, given, st, err)
		}
		b.healthy(t, q)
	})
}

func TestAtMostOnceKnowsNoLease(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		minute := time.Minute
		for _, opt := range []queues.ReceiveOptions{{AutoAck: true, AttemptID: "a"}, {AutoAck: true, VisibilityTimeout: &minute}} {
			if _, err := b.Receive(t.Context(), b.tenant, q, opt); err == nil {
				t.Errorf("%+v was accepted", opt)
			}
		}
	})
}

// A waiting receive gets a message as soon as it is sent, and keeps nothing of it; a lost reply loses what it carried,
// and nothing else.
func TestAtMostOnceLosesWithTheReplyOnlyWhatItCarried(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	q := l.well.queue(t, nil)
	for _, body := range []string{"a", "b", "c"} {
		l.well.send(t, q, body)
	}
	l.counts(t, q)
	l.lose(t, func() {
		if diff := cmp.Diff([]string{"c"}, bodies(l.takeOnce(t, q, 2))); diff != "" {
			t.Errorf("received by a call whose first reply was lost (-want +got):\n%s", diff)
		}
	})
	if got := l.counts(t, q); got != [3]int64{} {
		t.Errorf("counts: got %v, want nothing", got)
	}
	l.well.healthy(t, q)
	if _, err := l.Receive(t.Context(), l.tenant, "none", queues.ReceiveOptions{AutoAck: true}); !errors.Is(err, queues.ErrQueueNotFound) {
		t.Errorf("from no queue: got %v", err)
	}
}
