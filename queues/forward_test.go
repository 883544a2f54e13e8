package queues_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// forwarding makes a queue, and one that forwards to it.
func (b *bench) forwarding(tb testing.TB, change func(*queues.Settings)) (from, to string) {
	tb.Helper()
	create := b.queue
	if set := queues.DefaultSettings(); change != nil {
		if change(&set); set.IsFIFO() {
			create = b.fifo
		}
	}
	to = create(tb, nil)
	from = create(tb, func(s *queues.Settings) {
		if change != nil {
			change(s)
		}
		s.ForwardTo = to
	})
	return from, to
}

// alter changes settings of a queue.
func (b *bench) alter(tb testing.TB, q string, change func(*queues.Settings)) error {
	tb.Helper()
	_, err := b.Update(tb.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
		change(&s)
		return s, nil
	})
	return err
}

// list returns all messages of a queue.
func (b *bench) list(tb testing.TB, q string) []queues.Message {
	tb.Helper()
	page, err := b.Peek(tb.Context(), b.tenant, q, queues.PeekOptions{Limit: queues.MaxPeek})
	if err != nil {
		tb.Fatalf("peek: %v", err)
	}
	return page.Messages
}

func TestAForwardedMessageIsAsItWasSent(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		delay := 10 * time.Minute
		retry := queues.Retry{Backoff: queues.FixedBackoff, Delay: time.Minute, MaxDelay: time.Hour}
		for _, fifo := range []bool{false, true} {
			var change func(*queues.Settings)
			messages := []queues.Outgoing{
				{Body: []byte("plain"), ContentType: "text/plain", TraceParent: "00-1-2-01", Attributes: []queues.Attribute{{Name: "n", Type: "Number", Value: "1"}}},
				{Body: []byte("later"), Delay: &delay, TTL: time.Hour},
				{Body: []byte("urgent"), Priority: 9, Retry: &retry, TTL: time.Minute},
				{Body: []byte("grouped"), GroupID: "g", TTL: time.Hour},
				{Body: []byte("grouped and later"), GroupID: "g", Delay: &delay},
			}
			if fifo {
				change = func(s *queues.Settings) { s.Delay = delay }
				messages = []queues.Outgoing{
					{Body: []byte("one"), GroupID: "g", DeduplicationID: "d1", TTL: time.Hour},
					{Body: []byte("two"), GroupID: "g", DeduplicationID: "d2", Retry: &retry},
					{Body: []byte("three"), GroupID: "h", DeduplicationID: "d3"},
				}
			}
			create := b.queue
			if fifo {
				create = b.fifo
			}
			plain, to := create(t, change), create(t, nil)
			from := create(t, func(s *queues.Settings) {
				if change != nil {
					change(s)
				}
				s.ForwardTo = to
			})
			want := map[string]queues.Message{}
			for i, sent := range b.batch(t, from, false, messages...) {
				direct := b.batch(t, plain, false, messages[i])[0]
				m, err := b.Message(t.Context(), b.tenant, plain, direct.ID)
				if err != nil || sent.Err != nil || sent.AvailableAt != direct.AvailableAt {
					t.Fatalf("send %d: %v, %v; available at %s, want %s", i, err, sent.Err, sent.AvailableAt, direct.AvailableAt)
				}
				m.ID = sent.ID
				want[m.Body] = m
			}
			b.clock.Advance(3 * time.Second) // on the way
			b.arrived(t, from)
			got := map[string]queues.Message{}
			for _, m := range b.list(t, to) {
				got[m.Body] = m
				if w := want[m.Body]; (m.SequenceNumber == "") != (w.SequenceNumber == "") {
					t.Errorf("%s: sequence number %q", m.Body, m.SequenceNumber)
				}
				m.SequenceNumber = want[m.Body].SequenceNumber
				got[m.Body] = m
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("FIFO %t: there (-want +got):\n%s", fifo, diff)
			}
			st, err := b.Stats(t.Context(), b.tenant, from)
			if n := int64(len(messages)); err != nil || st.Sent != n || st.Moved != n || st.Available+st.InFlight+st.Delayed+st.Moving != 0 {
				t.Errorf("the queue that forwards: %+v, %v", st, err)
			}
			if list := b.receive(t, from, 10); len(list) != 0 {
				t.Errorf("received from the queue that forwards: %q", bodies(list))
			}
			b.clock.Advance(delay) // less the way
			var bodiesWanted []string
			if fifo {
				bodiesWanted = []string{"one", "two", "three"}
			} else {
				bodiesWanted = []string{"grouped", "grouped and later", "later", "plain"} // "urgent" has ended
			}
			b.same(t, to, bodiesWanted...)
			b.healthy(t, from)
			b.healthy(t, to)
		}
	})
}

// same receives all that is available, in any order across groups.
func (b *bench) same(tb testing.TB, q string, want ...string) {
	tb.Helper()
	got := map[string]bool{}
	for {
		list := b.receive(tb, q, 10)
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if got[m.Body] {
				tb.Errorf("%s was received twice", m.Body)
			}
			got[m.Body] = true
		}
		b.ack(tb, q, list...)
	}
	wanted := map[string]bool{}
	for _, body := range want {
		wanted[body] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		tb.Errorf("received (-want +got):\n%s", diff)
	}
}

func TestForwardingThatIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		var chain []string // each forwards to the one before
		for i := range queues.MaxForwards + 1 {
			chain = append(chain, b.queue(t, func(s *queues.Settings) {
				if i > 0 {
					s.ForwardTo = chain[i-1]
				}
			}))
		}
		last := chain[len(chain)-1]
		for _, test := range []struct{ q, to string }{
			{chain[0], chain[0]}, {chain[0], chain[1]}, {chain[0], last}, // rings
			{b.queue(t, nil), last}, // too long
			{b.queue(t, nil), "nowhere"}, {b.queue(t, nil), "a b"},
			{b.queue(t, nil), b.fifo(t, nil)}, {b.fifo(t, nil), b.queue(t, nil)},
		} {
			before, err := b.Get(t.Context(), b.tenant, test.q)
			if err != nil {
				t.Fatal(err)
			}
			refusedWith(t, b.alter(t, test.q, func(s *queues.Settings) { s.ForwardTo = test.to }), "validation_failed", "/forward_to")
			set := before.Settings
			set.ForwardTo = test.to
			_, _, err = b.Put(t.Context(), b.tenant, test.q, set, queues.Condition{})
			refusedWith(t, err, "validation_failed", "/forward_to")
			after, err := b.Get(t.Context(), b.tenant, test.q)
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%s after it was refused: %v\n%s", test.q, err, diff)
			}
		}
		// A message goes all the way along the longest chain.
		b.send(t, last, "m")
		for i := range chain {
			b.arrived(t, chain[len(chain)-1-i])
		}
		b.take1(t, chain[0], "m")
	})
}

// A ring can come about by two changes at the same time.
func TestAMessageInARingOfQueuesComesToRest(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, create := range []func(testing.TB, func(*queues.Settings)) string{b.queue, b.fifo} {
			one, two := create(t, nil), create(t, nil)
			b.SetForward(t, b.tenant, one, two)
			b.SetForward(t, b.tenant, two, one)
			if err := b.one(t, one, queues.Outgoing{Body: []byte("m"), GroupID: "g"}); err != nil {
				t.Fatal(err)
			}
			for range queues.MaxForwards {
				b.arrived(t, one)
				b.arrived(t, two)
			}
			m := b.take1(t, one, "m")
			b.take(t, two, 1)
			b.healthy(t, one)
			b.healthy(t, two)
			b.ack(t, one, m)
		}
	})
}

func TestAForwardedMessageWaitsForItsTarget(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			from, to := b.forwarding(t, change)
			moving := func(n int64) {
				t.Helper()
				for range 3 {
					b.Carry(t, b.tenant, from)
				}
				if st, err := b.Stats(t.Context(), b.tenant, from); err != nil || st.Moving != n || st.Available != 0 {
					t.Fatalf("%+v, %v; want %d on their way", st, err, n)
				}
				b.healthy(t, from)
			}
			// Paused.
			if _, err := b.Pause(t.Context(), b.tenant, to, queues.DirectionSend, "", queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.post(t, from, "g:1", "g:2")
			moving(2)
			if _, err := b.Resume(t.Context(), b.tenant, to, queues.DirectionSend, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Minute)
			b.arrived(t, from)
			b.ack(t, to, b.take(t, to, 10, "1", "2")...)
			// Full. What waits counts for the first queue's own cap.
			if err := errors.Join(b.alter(t, to, func(s *queues.Settings) { s.MaxMessages = 2 }), b.alter(t, from, func(s *queues.Settings) { s.MaxMessages = 3 })); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(10 * time.Minute) // nothing is a duplicate
			b.post(t, from, "g:1", "g:2", "g:3")
			moving(1)
			b.post(t, from, "g:4", "g:5")
			moving(3)
			if err := b.one(t, from, queues.Outgoing{Body: []byte("6"), GroupID: "g"}); !errors.Is(err, queues.ErrMessagesFull) {
				t.Errorf("with three on their way: %v, want that the queue is full", err)
			}
			b.ack(t, to, b.take(t, to, 10, "1", "2")...)
			moving(1)
			b.ack(t, to, b.take(t, to, 10, "3", "4")...)
			b.arrived(t, from)
			b.ack(t, to, b.take(t, to, 10, "5")...)
			// Full, where the oldest messages make room.
			if err := b.alter(t, to, func(s *queues.Settings) { s.WhenFull = queues.DropOldest }); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(10 * time.Minute) // nothing is a duplicate
			b.post(t, from, "g:1", "g:2", "g:3")
			b.arrived(t, from)
			b.ack(t, to, b.take(t, to, 10, "2", "3")...)
			b.healthy(t, to)
			// Deleted, and made again.
			if err := b.Delete(t.Context(), b.tenant, to, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(10 * time.Minute)
			b.post(t, from, "g:1")
			moving(1)
			if _, _, err := b.Put(t.Context(), b.tenant, to, queues.DefaultSettings(), queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Minute)
			b.arrived(t, from)
			b.take1(t, to, "1")
			// Deleted for good: without the setting the messages come back, as they were.
			if err := b.Delete(t.Context(), b.tenant, to, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(10 * time.Minute)
			b.post(t, from, "g:1", "h:2")
			ttl := b.batch(t, from, false, queues.Outgoing{Body: []byte("ends"), GroupID: "i", TTL: time.Hour})[0]
			moving(3)
			if err := b.alter(t, from, func(s *queues.Settings) { s.ForwardTo = "" }); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Minute)
			b.arrived(t, from)
			if m, err := b.Message(t.Context(), b.tenant, from, ttl.ID); err != nil || !m.ExpiresAt.Equal(ttl.Now.Add(time.Hour)) {
				t.Errorf("the message with an end: %+v, %v", m, err)
			}
			b.same(t, from, "1", "2", "ends")
			if st, err := b.Stats(t.Context(), b.tenant, from); err != nil || st.Moved != 11 {
				t.Errorf("moved: %+v, %v; want 11", st, err)
			}
			b.healthy(t, from)
		}
	})
}

// What is in a queue stays there when it begins to forward, and can be received; a redrive moves it.
func TestForwardingBeginsWithTheNextMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		from, to := b.queue(t, nil), b.queue(t, nil)
		other := b.another(t)
		b.post(t, from, ":old")
		if err := b.alter(t, from, func(s *queues.Settings) { s.ForwardTo = to }); err != nil {
			t.Fatal(err)
		}
		got := other.wait(t.Context(), to, time.Hour)
		other.awaitParked(t, to, 1)
		b.post(t, from, ":new")
		b.arrived(t, from)
		(<-got).want(t, "new")
		b.take1(t, from, "old")
		// The other server learns of it with its next call.
		other.post(t, from, ":third")
		other.arrived(t, from)
		b.take1(t, to, "third")
		b.healthy(t, from)
	})
}

func TestDeadLettersGoOnWithTheirOrigin(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.redriven(t, 1, change)
			central := b.queue(t, nil)
			if change != nil {
				central = b.fifo(t, nil)
			}
			if err := b.alter(t, dead, func(s *queues.Settings) { s.ForwardTo = central }); err != nil {
				t.Fatal(err)
			}
			b.post(t, q, "g:bad")
			b.fail(t, q, "bad", 1)
			b.take(t, q, 1)
			b.arrived(t, q)
			b.arrived(t, dead)
			m := b.take1(t, central, "bad")
			if m.Origin == nil || m.Origin.Queue != q || m.Origin.Reason != queues.MaxReceives {
				t.Errorf("arrived from %+v, want from %s", m.Origin, q)
			}
			b.settle(t, central, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
			if moved, err := b.Redrive(t.Context(), b.tenant, central, m.ID, "", nil); err != nil || moved.Queue != q {
				t.Errorf("redriven to %+v, %v; want to %s", moved, err, q)
			}
			b.arrived(t, central)
			b.take1(t, q, "bad")
			b.healthy(t, dead)
			b.healthy(t, central)
		}
	})
}

// What was sent twice goes on once.
func TestADuplicateIsNotForwarded(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		from, to := b.forwarding(t, nil)
		first := b.batch(t, from, false, queues.Outgoing{Body: []byte("m"), IdempotencyKey: "k"})[0]
		b.arrived(t, from)
		again := b.batch(t, from, false, queues.Outgoing{Body: []byte("m"), IdempotencyKey: "k"})[0]
		if again.Err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("sent again: %+v, want that it was %s", again, first.ID)
		}
		b.arrived(t, from)
		b.same(t, to, "m")
	})
}

// TestG10_AForwardSurvivesACrashAfterEachStep stops a server after each step of the way to the target; another one goes
// on, also when a consumer was faster. More messages wait than go in one step.
func TestG10_AForwardSurvivesACrashAfterEachStep(t *testing.T) {
	test := func(t *testing.T, b *bench) {
		other := b.another(t)
		const count = 150
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			for _, step := range []string{"left", "carried", "arrived"} {
				for _, deleted := range []bool{false, true} {
					from, to := b.forwarding(t, change)
					crashed := false
					b.SetStep(func(done string) error {
						if step == "left" && done == "carrying" || step == "carried" && done == "brought" {
							crashed = true
						}
						if crashed && step != "arrived" {
							return errCrash
						}
						return nil
					})
					var want, got []string
					var list []queues.Outgoing
					for i := range count {
						want = append(want, fmt.Sprintf("%03d", i))
						list = append(list, queues.Outgoing{Body: []byte(want[i]), GroupID: map[bool]string{true: "g"}[change != nil]})
					}
					for _, sent := range b.batch(t, from, false, list...) {
						if sent.Err != nil {
							t.Fatal(sent.Err)
						}
					}
					b.Carry(t, b.tenant, from)
					take := func() {
						for {
							list := other.receive(t, to, 100)
							if len(list) == 0 {
								return
							}
							got = append(got, bodies(list)...)
							other.ack(t, to, list...)
						}
					}
					if deleted {
						take()
					}
					other.arrived(t, from)
					b.SetStep(func(string) error { return nil })
					b.arrived(t, from)
					take()
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("a crash after %s, deleted in between %t (-want +got):\n%s", step, deleted, diff)
					}
					other.healthy(t, from)
					other.healthy(t, to)
				}
			}
		}
	}
	engines(t, test)
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: clusterURL(redistest.Cluster(t, 3, 0))}))
	})
}

// A message that is larger than the target's cap in bytes goes into it alone.
func TestALargeForwardedMessageDoesNotWaitForEver(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		from, to := b.forwarding(t, nil)
		if err := b.alter(t, to, func(s *queues.Settings) {
			s.MaxMessageSize, s.MaxBytes = queues.MinMessageSize, 2*queues.MinMessageSize
		}); err != nil {
			t.Fatal(err)
		}
		large := string(bytes.Repeat([]byte("x"), 4*queues.MinMessageSize))
		b.post(t, from, ":small", ":"+large)
		until(t, func() bool { return b.counts(t, to)[0] == 1 })
		b.ack(t, to, b.take(t, to, 10, "small")...)
		b.clock.Advance(time.Second)
		b.arrived(t, from)
		b.take1(t, to, large)
	})
}
