package queues_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

func capped(messages, bytes int64, when queues.WhenFull) func(*queues.Settings) {
	return func(s *queues.Settings) {
		s.MaxMessageSize, s.MaxMessages, s.MaxBytes, s.WhenFull = queues.MinMessageSize, messages, bytes, when
	}
}

// remaining returns the bodies of all messages, and fails the test unless the keys are whole.
func (b *bench) remaining(tb testing.TB, q string) []string {
	tb.Helper()
	b.healthy(tb, q)
	page, err := b.Peek(tb.Context(), b.tenant, q, queues.PeekOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return bodies(page.Messages)
}

func outgoing(bodies ...string) []queues.Outgoing {
	list := make([]queues.Outgoing, len(bodies))
	for i, body := range bodies {
		list[i].Body = []byte(body)
	}
	return list
}

func TestAFullQueueRefuses(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, capped(3, 0, queues.Reject))
		other.send(t, q, "a")
		if _, err := b.SendBatch(t.Context(), b.tenant, q, outgoing("b", "c", "d"), true); !errors.Is(err, queues.ErrMessagesFull) || !strings.Contains(err.Error(), "max_messages") {
			t.Errorf("an atomic batch that does not fit: got %v, want %v", err, queues.ErrMessagesFull)
		}
		if diff := cmp.Diff([]string{"a"}, b.remaining(t, q)); diff != "" {
			t.Errorf("after it (-want +got):\n%s", diff)
		}
		first, twin := keyedMessage("k", "d"), keyedMessage("k", "d")
		results := other.batch(t, q, false, append(outgoing("b", "c"), first, twin)...)
		for i, r := range results {
			if full := i > 1; errors.Is(r.Err, queues.ErrMessagesFull) != full || !full && r.Err != nil {
				t.Errorf("message %d of a batch: %v; two of four fit", i, r.Err)
			}
		}
		if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("e")}); !errors.Is(err, queues.ErrMessagesFull) {
			t.Errorf("send: got %v, want %v", err, queues.ErrMessagesFull)
		}
		// What was not stored is not remembered by its key. What makes room does so at once.
		m := b.receive(t, q, 1)[0]
		other.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
		if r := b.batch(t, q, false, first); r[0].Err != nil || r[0].Replayed {
			t.Errorf("sent again: %+v", r[0])
		}
		if diff := cmp.Diff([]string{"b", "c", "d"}, b.remaining(t, q)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		b.clock.Advance(queues.DefaultSettings().Retention)
		other.send(t, q, "what is over needs no room")
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Expired != 3 || st.Dropped != 0 || st.Available != 1 {
			t.Errorf("stats: %+v, %v", st, err)
		}
		b.queue(t, nil)
		free := b.queue(t, nil)
		b.batch(t, free, false, outgoing("1", "2", "3", "4")...)
	})
}

// Bytes count with all that is noted of a message, exactly: the last byte fits and one more does not.
func TestBytesAreCapped(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const most, noted = 2 * queues.MinMessageSize, 8 // a stamp of 7 bytes and a byte of flags
		q := b.queue(t, capped(0, most, queues.Reject))
		b.send(t, q, strings.Repeat("a", 1000))
		body := func(n int) queues.Outgoing { return queues.Outgoing{Body: []byte(strings.Repeat("b", n))} }
		rest := most - 1000 - 2*noted
		results := b.batch(t, q, false, body(1024), body(1025), body(rest-1024-noted+1), body(rest-1024-noted))
		for i, want := range []error{nil, queues.ErrMessageTooLarge, queues.ErrBytesFull, nil} {
			if !errors.Is(results[i].Err, want) {
				t.Errorf("message %d: got %v, want %v", i, results[i].Err, want)
			}
		}
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Bytes != most {
			t.Errorf("stats: %+v, %v; want %d bytes", st, err, most)
		}
		b.receive(t, q, 1)
		if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
			t.Fatal(err)
		}
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Bytes != 0 {
			t.Errorf("after a purge: %+v, %v", st, err)
		}
		b.healthy(t, q)
	})
}

// The oldest available message makes room, wherever it stands; what is held or delayed never does.
func TestTheOldestMakesRoom(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, capped(4, 0, queues.DropOldest))
		hour := time.Hour
		b.batch(t, q, false, queues.Outgoing{Body: []byte("delayed"), Delay: &hour})
		send := func(body string) {
			t.Helper()
			b.clock.Advance(time.Millisecond)
			other.send(t, q, body)
		}
		send("held")
		b.receive(t, q, 1)
		send("returned")
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.receive(t, q, 1)[0].ReceiptHandle})
		send("new 1")
		for i, want := range [][]string{{"new 1", "new 2", "held", "delayed"}, {"new 2", "new 3", "held", "delayed"}} {
			send(fmt.Sprint("new ", i+2))
			if diff := cmp.Diff(want, b.remaining(t, q)); diff != "" {
				t.Errorf("left after new %d (-want +got):\n%s", i+2, diff)
			}
		}
		// One batch after another, or one message after another of a batch: the last ones stay.
		if got := b.batch(t, q, false, outgoing("x", "y", "z")...); got[0].Err != nil || got[2].Err != nil {
			t.Errorf("batch: %+v", got)
		}
		if diff := cmp.Diff([]string{"y", "z", "held", "delayed"}, b.remaining(t, q)); diff != "" {
			t.Errorf("left after a batch (-want +got):\n%s", diff)
		}
		if _, err := b.SendBatch(t.Context(), b.tenant, q, outgoing("1", "2", "3", "4", "5"), true); !errors.Is(err, queues.ErrMessagesFull) {
			t.Errorf("an atomic batch that never fits: got %v, want %v", err, queues.ErrMessagesFull)
		}
		b.receive(t, q, 2)
		if _, err := other.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("none is available")}); !errors.Is(err, queues.ErrMessagesFull) {
			t.Errorf("send: got %v, want %v", err, queues.ErrMessagesFull)
		}
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Dropped != 5 || b.Dropped()+other.Dropped() != 5 || st.InFlight != 3 {
			t.Errorf("stats: %+v, %v; dropped here %d and there %d; want 5 in all", st, err, b.Dropped(), other.Dropped())
		}
		// Leases that have ended are not in the way.
		b.clock.Advance(time.Minute)
		other.send(t, q, "after the leases")
		b.healthy(t, q)
	})
}

// A server that learns of a cap only from its own send stores the batch as one that knew it.
func TestABatchMeetsACapThatIsNew(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		other.send(t, q, "before")
		if _, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
			capped(3, 0, queues.DropOldest)(&s)
			return s, nil
		}); err != nil {
			t.Fatal(err)
		}
		for i, r := range other.batch(t, q, false, outgoing("1", "2", "3", "4", "5")...) {
			if r.Err != nil {
				t.Errorf("message %d of the batch: %v", i+1, r.Err)
			}
		}
		if diff := cmp.Diff([]string{"3", "4", "5"}, b.remaining(t, q)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
	})
}

// A message that needs the room of many pushes them out a hundred at a time.
func TestRoomForALargeMessageIsMadeInSteps(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.MaxBytes, s.WhenFull = 2<<20, queues.DropOldest })
		small := outgoing(make([]string, 1000)...)
		for i := range small {
			small[i].Body = []byte(strings.Repeat("x", 1000))
		}
		b.batch(t, q, false, small...)
		b.batch(t, q, false, small...)
		b.send(t, q, strings.Repeat("y", 1<<20))
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Bytes > 2<<20 || st.Bytes < 2<<20-2000 || st.Dropped < 900 {
			t.Errorf("stats: %+v, %v", st, err)
		}
		b.healthy(t, q)
	})
}

// In a FIFO queue nothing is dropped behind a message that is held, and nothing of a batch is stored behind one that was
// refused.
func TestCapsOfFIFOQueues(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		message := func(group, body string) queues.Outgoing { return queues.Outgoing{Body: []byte(body), GroupID: group} }
		q := b.fifo(t, capped(3, 0, queues.DropOldest))
		for _, m := range []queues.Outgoing{message("a", "a1"), message("a", "a2"), message("b", "b1")} {
			b.clock.Advance(time.Minute)
			b.batch(t, q, false, m)
		}
		b.receive(t, q, 1)
		b.batch(t, q, false, message("b", "b2"), message("c", "c1"))
		page, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{State: queues.Available})
		if err != nil || len(page.Messages) != 2 {
			t.Fatalf("left: %v, %v", bodies(page.Messages), err)
		}
		got := fmt.Sprint(bodies(page.Messages))
		if !strings.Contains(got, "a2") || !strings.Contains(got, "c1") {
			t.Errorf("left %s, want a2, which stands behind a message that is held, and c1, the newest", got)
		}
		b.healthy(t, q)

		q = b.fifo(t, capped(0, 2*queues.MinMessageSize, queues.Reject))
		big := strings.Repeat("x", 900)
		results := b.batch(t, q, false, message("a", big+"1"), message("a", big+"2"), message("a", big+"3"), message("a", "small"))
		for i, r := range results {
			if errors.Is(r.Err, queues.ErrBytesFull) != (i > 1) || i > 1 && r.SequenceNumber != "" {
				t.Errorf("message %d: %+v", i, r)
			}
		}
		b.healthy(t, q)
	})
}

// However many send at once on two servers, a cap holds to the message and the counts are exact.
func TestACapHoldsUnderLoad(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		for _, when := range []queues.WhenFull{queues.Reject, queues.DropOldest} {
			q := b.queue(t, capped(20, 0, when))
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					_, err := servers[i%2].Send(context.Background(), b.tenant, q, queues.Outgoing{Body: []byte("m")})
					if err != nil && (when == queues.DropOldest || !errors.Is(err, queues.ErrMessagesFull)) {
						t.Errorf("%s: %v", when, err)
					}
				})
			}
			wg.Wait()
			if got := b.counts(t, q); got != [3]int64{20, 0, 0} {
				t.Errorf("%s: counts %v, want 20 available", when, got)
			}
			b.healthy(t, q)
		}
	})
}

func TestCapsHaveTheirBounds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*queues.Settings){
		"/max_messages": capped(-1, 0, queues.Reject), "/max_messages ": capped(queues.MaxCapMessages+1, 0, queues.Reject),
		"/max_bytes": capped(0, 2*queues.MinMessageSize-1, queues.Reject), "/max_bytes ": capped(0, queues.MaxCapBytes+1, queues.Reject),
		"/when_full": capped(0, 0, "dead_letter"),
	} {
		set := queues.DefaultSettings()
		change(&set)
		if err := set.Validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
