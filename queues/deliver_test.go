package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// deliveries are messages with the sequence numbers first to last, in turns of three groups.
func deliveries(first, last int64, groups bool) []queues.Delivery {
	var list []queues.Delivery
	for n := first; n <= last; n++ {
		m := queues.Outgoing{Body: fmt.Append(nil, "m", n)}
		if groups {
			m.GroupID = fmt.Sprint("g", n%3)
		}
		list = append(list, queues.Delivery{Sequence: n, Record: m.Record(), GroupID: m.GroupID, Size: len(m.Body)})
	}
	return list
}

// received returns the bodies of all that can be received, and leaves it in flight.
func (b *bench) received(t *testing.T, queue string) []string {
	t.Helper()
	var all []string
	for {
		got := b.receive(t, queue, 100)
		if len(got) == 0 {
			slices.Sort(all)
			return all
		}
		all = append(all, bodies(got)...)
	}
}

func wantDelivered(t *testing.T, got []string, first, last int) {
	t.Helper()
	var want []string
	for n := first; n <= last; n++ {
		want = append(want, fmt.Sprint("m", n))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d messages %q, want m%d to m%d, each once", len(got), got, first, last)
	}
}

// Whatever is brought again, by whomever and in whatever pieces, is stored once.
func TestADeliveryIsStoredOnceHoweverOftenItIsBrought(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for name, change := range map[string]func(*queues.Settings){
			"plain": nil, "delayed": func(s *queues.Settings) { s.Delay = time.Second }, "shards": func(s *queues.Settings) { s.Shards = 4 },
		} {
			for _, groups := range []bool{false, true} {
				q := b.queue(t, change)
				deliver := func(b *bench, first, last, end int64) {
					t.Helper()
					got, err := b.Deliver(t.Context(), b.tenant, q, "topic.sub", deliveries(first, last, groups), end)
					if err != nil || got.Reached != end || len(got.Refused) > 0 {
						t.Fatalf("%s: deliver %d to %d: %+v, %v", name, first, last, got, err)
					}
				}
				deliver(b, 1, 250, 250)
				deliver(other, 1, 250, 250)   // the answer was lost
				deliver(other, 200, 300, 310) // by one who knows no better, with more
				deliver(b, 200, 260, 260)     // by one who comes late
				deliver(b, 301, 310, 310)     // what was passed by is not wanted
				deliver(b, 311, 320, 330)
				b.clock.Advance(time.Second)
				want := append(append([]string{}, numbers(1, 300)...), numbers(311, 320)...)
				slices.Sort(want)
				if got := b.received(t, q); !slices.Equal(got, want) {
					t.Errorf("%s, groups %t: got %d messages, want %d", name, groups, len(got), len(want))
				}
				// Another source has numbers of its own, and so has one that was forgotten.
				if _, err := b.Deliver(t.Context(), b.tenant, q, "topic.other", deliveries(1, 2, groups), 2); err != nil {
					t.Fatal(err)
				}
				if err := b.ForgetSource(t.Context(), b.tenant, q, "topic.sub"); err != nil {
					t.Fatal(err)
				}
				deliver(b, 3, 4, 4)
				b.clock.Advance(time.Second)
				wantDelivered(t, b.received(t, q), 1, 4)
				b.healthy(t, q)
			}
		}
	})
}

func numbers(first, last int) []string {
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprint("m", n))
	}
	return list
}

func TestADeliveryKeepsToTheCapsOfItsQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.MaxMessages, s.MaxMessageSize = 5, queues.MinMessageSize })
		list := deliveries(1, 8, false)
		list[2].Size = queues.MinMessageSize + 1
		got, err := b.Deliver(t.Context(), b.tenant, q, "s", list, 9)
		if err != nil || got.Reached != 6 || !slices.Equal(got.Refused, []int64{3}) {
			t.Fatalf("into a queue for five: %+v, %v; want up to 6, without the third", got, err)
		}
		if n := len(b.received(t, q)); n != 5 {
			t.Errorf("the queue has %d messages, want 5", n)
		}
		q = b.queue(t, func(s *queues.Settings) { s.MaxMessages, s.WhenFull = 5, queues.DropOldest })
		if got, err = b.Deliver(t.Context(), b.tenant, q, "s", deliveries(1, 8, false), 9); err != nil || got.Reached != 9 {
			t.Fatalf("into a queue that drops the oldest: %+v, %v", got, err)
		}
		wantDelivered(t, b.received(t, q), 4, 8)
		if _, err := b.Pause(t.Context(), b.tenant, q, queues.DirectionSend, "", queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, err = b.Deliver(t.Context(), b.tenant, q, "s", deliveries(10, 11, false), 11); !errors.Is(err, queues.ErrQueuePaused) {
			t.Errorf("into a queue whose sends are paused: got %v", err)
		}
		if _, err = b.Deliver(t.Context(), b.tenant, "none", "s", deliveries(1, 2, false), 2); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("into no queue: got %v", err)
		}
		b.healthy(t, q)
	})
}

func TestADeliveryToAQueueThatForwardsGoesOn(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		to := b.queue(t, nil)
		q := b.queue(t, func(s *queues.Settings) { s.ForwardTo, s.Delay = to, time.Second })
		for range 2 {
			if got, err := b.Deliver(t.Context(), b.tenant, q, "s", deliveries(1, 150, false), 150); err != nil || got.Reached != 150 {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		until(t, func() bool { return b.counts(t, to)[2] == 150 })
		b.clock.Advance(time.Second)
		wantDelivered(t, b.received(t, to), 1, 150)
		b.healthy(t, q)
	})
}
