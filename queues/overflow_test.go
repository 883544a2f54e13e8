package queues_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// overflowing makes a queue with a cap of messages that sends the oldest to a dead-letter queue, and returns their names.
func (b *bench) overflowing(tb testing.TB, most int64, fifo bool) (q, dead string) {
	tb.Helper()
	return b.redriven(tb, 5, func(s *queues.Settings) {
		if fifo {
			fifoSettings(s)
		}
		capped(most, 0, queues.DeadLetterOldest)(s)
		s.VisibilityTimeout = time.Hour
	})
}

// The oldest available message makes room, and is not lost: it waits in the dead-letter queue with its reason, as it was.
func TestTheOldestOfAFullQueueGoesToTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, fifo := range []bool{false, true} {
			q, dead := b.overflowing(t, 3, fifo)
			send := func(s *bench, body string) {
				t.Helper()
				b.clock.Advance(time.Minute)
				s.post(t, q, body)
			}
			for _, body := range []string{"g:held", "h:returned", "i:c"} {
				send(b, body)
			}
			b.take1(t, q, "held")
			m := b.take1(t, q, "returned")
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: "not today"})
			send(other, "j:d")
			send(b, "k:e")
			other.arrived(t, q)
			if diff := cmp.Diff([]string{"returned", "c"}, b.remaining(t, dead)); diff != "" {
				t.Errorf("fifo %t: the dead-letter queue (-want +got):\n%s", fifo, diff)
			}
			st, err := b.Stats(t.Context(), b.tenant, q)
			if err != nil || st.DeadLettered != 2 || st.Dropped != 0 || b.Dropped()+other.Dropped() != 0 || st.Available+st.InFlight != 3 {
				t.Errorf("fifo %t: stats %+v, %v", fifo, st, err)
			}
			got := other.take1(t, dead, "returned")
			if o := got.Origin; o == nil || o.Reason != queues.Overflow || o.Queue != q || o.Error != "not today" || got.ReceiveCount != 2 || !got.SentAt.Equal(m.SentAt) || got.ID != m.ID {
				t.Errorf("fifo %t: the dead letter is %+v from %+v", fifo, got, got.Origin)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
	})
}

// What has ended is not brought back to life by the way to the dead-letter queue.
func TestWhatHasEndedDoesNotOverflow(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.overflowing(t, 300, false)
		for range 3 {
			batch := outgoing(make([]string, 100)...)
			for i := range batch {
				batch[i].Body, batch[i].TTL = []byte("m"), time.Minute
			}
			b.batch(t, q, false, batch...)
		}
		b.clock.Advance(time.Minute)
		for range 3 {
			b.send(t, q, "new")
		}
		b.arrived(t, q)
		if got := b.counts(t, dead); got != [3]int64{} {
			t.Errorf("the dead-letter queue has %v, want nothing", got)
		}
		b.counts(t, q)
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Available != 3 || st.Expired != 300 {
			t.Errorf("stats %+v, %v", st, err)
		}
		b.healthy(t, q)
	})
}

// A message that needs the room of many sends them off in steps, each of as much as one call may carry.
func TestOverflowIsBoundedInEachStep(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 5, func(s *queues.Settings) { s.MaxBytes, s.WhenFull = 2<<20, queues.DeadLetterOldest })
		large := outgoing(make([]string, 20)...)
		for i := range large {
			large[i].Body = []byte(fmt.Sprintf("%02d%s", i, strings.Repeat("x", 100<<10)))
		}
		b.batch(t, q, false, large...)
		b.send(t, q, strings.Repeat("y", 1<<20))
		b.arrived(t, q)
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Bytes > 2<<20 || st.DeadLettered < 10 || st.DeadLettered > 11 {
			t.Errorf("stats: %+v, %v", st, err)
		}
		if n := b.counts(t, dead); n[0] != st.DeadLettered {
			t.Errorf("the dead-letter queue has %v, want %d", n, st.DeadLettered)
		}
		b.healthy(t, q)
		b.healthy(t, dead)
	})
}

// While the dead-letter queue is missing nothing is pushed out: sends are refused and what had left comes back.
func TestOverflowWithoutItsDeadLetterQueueIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.overflowing(t, 2, false)
		b.batch(t, q, false, outgoing("a", "b")...)
		if err := b.Delete(t.Context(), b.tenant, dead, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.send(t, q, "c")
		b.arrived(t, q)
		until(t, func() bool { return b.counts(t, q) == [3]int64{3} })
		if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("d")}); !errors.Is(err, queues.ErrMessagesFull) {
			t.Errorf("send: got %v, want %v", err, queues.ErrMessagesFull)
		}
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.DeadLettered != 0 || st.Available != 3 {
			t.Errorf("stats %+v, %v", st, err)
		}
		b.healthy(t, q)
	})
}

// A server that dies after it has pushed a message out, or after it has brought it away, neither loses nor doubles it.
func TestG10_OverflowSurvivesACrashAfterEachStep(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, step := range []string{"carrying", "brought", ""} {
			q, dead := b.overflowing(t, 2, false)
			b.SetStep(func(done string) error {
				if done == step {
					return errCrash
				}
				return nil
			})
			b.batch(t, q, false, outgoing("a", "b", "c", "d")...)
			b.Carry(t, b.tenant, q)
			other.arrived(t, q)
			b.SetStep(func(string) error { return nil })
			b.arrived(t, q)
			if diff := cmp.Diff([]string{"a", "b"}, other.remaining(t, dead)); diff != "" {
				t.Errorf("a crash after %q: the dead-letter queue (-want +got):\n%s", step, diff)
			}
			if diff := cmp.Diff([]string{"c", "d"}, other.remaining(t, q)); diff != "" {
				t.Errorf("a crash after %q: the queue (-want +got):\n%s", step, diff)
			}
		}
	})
}

func TestOverflowNeedsADeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		set := queues.DefaultSettings()
		set.MaxMessages, set.WhenFull = 1, queues.DeadLetterOldest
		name := fmt.Sprintf("q%d", names.Add(1))
		refused := func(err error) bool {
			var e *errs.Error
			return errors.As(err, &e) && e.Kind == errs.Invalid && len(e.Fields) == 1 && e.Fields[0].Pointer == "/when_full"
		}
		if _, _, err := b.Put(t.Context(), b.tenant, name, set, queues.Condition{}); !refused(err) {
			t.Errorf("put: got %v, want /when_full refused", err)
		}
		q, _ := b.overflowing(t, 1, false)
		drop := func(s queues.Settings) (queues.Settings, error) {
			s.Redrive = queues.Redrive{}
			return s, nil
		}
		if _, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, drop); !refused(err) {
			t.Errorf("taking the dead-letter queue away: got %v, want /when_full refused", err)
		}
		to := b.queue(t, nil)
		if err := b.alter(t, q, func(s *queues.Settings) { s.ForwardTo = to }); !refused(err) {
			t.Errorf("forwarding: got %v, want /when_full refused", err)
		}
		if got, err := b.Get(t.Context(), b.tenant, q); err != nil || got.Settings.Redrive == (queues.Redrive{}) || got.Settings.ForwardTo != "" {
			t.Errorf("after that: %+v, %v", got.Settings, err)
		}
	})
}

// What is forwarded to a full queue pushes its oldest messages out as a send does.
func TestWhatIsForwardedPushesTheOldestOut(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, fifo := range []bool{false, true} {
			to, dead := b.overflowing(t, 2, fifo)
			change := func(s *queues.Settings) { s.ForwardTo = to }
			var from string
			if fifo {
				from = b.fifo(t, change)
			} else {
				from = b.queue(t, change)
			}
			b.post(t, from, "g:1", "g:2", "g:3", "g:4", "g:5")
			b.arrived(t, from)
			b.arrived(t, to)
			b.take(t, to, 10, "4", "5")
			b.take(t, dead, 10, "1", "2", "3")
			for _, q := range []string{from, to, dead} {
				b.healthy(t, q)
			}
		}
	})
}
