package queues_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// say settles one message and returns what became of it.
func (b *bench) say(tb testing.TB, q string, verb queues.Verb, handle string, d time.Duration) error {
	tb.Helper()
	return b.settle(tb, q, queues.Settlement{Verb: verb, ReceiptHandle: handle, For: d})[0].Err
}

// verbs are what a consumer can say of a message in any queue.
var verbs = map[queues.Verb]time.Duration{queues.Ack: 0, queues.Extend: time.Minute, queues.Return: 0}

func TestQ69_ABadReceiptHarmsNoOtherOfItsBatch(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.batch(t, q, false, make([]queues.Outgoing, 3)...)
		m := b.receive(t, q, 3)
		old := m[2].ReceiptHandle
		if err := b.say(t, q, queues.Return, old, 0); err != nil {
			t.Fatal(err)
		}
		b.receive(t, q, 1)
		out := b.settle(t, q,
			queues.Settlement{Verb: queues.Ack, ReceiptHandle: "nonsense"},
			queues.Settlement{Verb: queues.Ack, ReceiptHandle: m[0].ReceiptHandle},
			queues.Settlement{Verb: queues.Extend, ReceiptHandle: old, For: time.Hour},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: m[1].ReceiptHandle},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: ""})
		for i, want := range []error{queues.ErrReceiptInvalid, nil, queues.ErrReceiptExpired, nil, queues.ErrReceiptInvalid} {
			if !errors.Is(out[i].Err, want) {
				t.Errorf("settlement %d: got %v, want %v", i, out[i].Err, want)
			}
		}
		b.wantCounts(t, q, "one done, one returned, one held", 1, 1)
	})
}

// A server that has not heard yet that a queue is another one by now takes its receipts all the same, and refuses those of
// the one before.
func TestReceiptsOfANewQueueAreKnownOnEachServer(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, q := range []string{b.queue(t, nil), b.fifo(t, fifoSettings), b.sharded(t, 3)} {
			settle := func(other *bench, q, handle string) error { return other.say(t, q, queues.Ack, handle, 0) }
			state := func(other *bench, q, handle string) error {
				_, err := other.GroupState(t.Context(), other.tenant, q, handle)
				return err
			}
			calls := []func(*bench, string, string) error{settle}
			made, err := b.Get(t.Context(), b.tenant, q)
			if err != nil {
				t.Fatal(err)
			}
			if queues.IsFIFOName(q) {
				calls = append(calls, state)
			}
			for i, call := range calls {
				other := b.another(t)
				b.post(t, q, "g:old")
				old := other.lend(t, q, time.Hour)
				if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := b.Put(t.Context(), b.tenant, q, made.Settings, queues.Condition{}); err != nil {
					t.Fatal(err)
				}
				b.post(t, q, "g:new")
				if err := call(other, q, b.lend(t, q, time.Hour).ReceiptHandle); err != nil {
					t.Errorf("call %d on %s with a receipt of the new queue: %v", i, q, err)
				}
				if err := call(b.another(t), q, old.ReceiptHandle); !errors.Is(err, queues.ErrReceiptInvalid) {
					t.Errorf("call %d on %s with a receipt of the old one: %v", i, q, err)
				}
			}
			late := b.another(t)
			late.counts(t, q)
			if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			_, err = late.Settle(t.Context(), b.tenant, q, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: "rh_nonsense"}})
			if !errors.Is(err, queues.ErrQueueNotFound) {
				t.Errorf("settled in a deleted queue: %v", err)
			}
		}
	})
}

func TestQ82_EachReceiveGivesANewReceipt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, strings.Repeat("g", 128)+":m")
			seen := map[string]bool{}
			for i := range 8 {
				m := []*bench{b, other}[i/2%2].lend(t, q, 0)
				if seen[m.ReceiptHandle] || len(m.ReceiptHandle) > 1024 {
					t.Errorf("receive %d: got %q, want a new handle of at most 1,024 characters", i, m.ReceiptHandle)
				}
				seen[m.ReceiptHandle] = true
			}
		}
	})
}

func TestQ83_WhatIsNoReceiptIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, foreign := b.queue(t, nil), b.queue(t, nil)
		b.send(t, q, "m")
		b.send(t, foreign, "m")
		h := b.take(t, q, 1, "m")[0].ReceiptHandle
		changed := []byte(h)
		changed[10] = 'A' + (changed[10]-'A'+1)%26
		for _, bad := range []string{
			"", "x", "rh_", h + "A", h[:len(h)-1], "rh_" + h, strings.ToLower(h), strings.ToUpper(h), string(changed), " " + h,
			strings.Repeat("A", 2000), b.take(t, foreign, 1, "m")[0].ReceiptHandle,
		} {
			for verb, d := range verbs {
				if err := b.say(t, q, verb, bad, d); !errors.Is(err, queues.ErrReceiptInvalid) {
					t.Errorf("%c by %q: got %v, want %v", verb, bad, err, queues.ErrReceiptInvalid)
				}
			}
		}
		b.wantCounts(t, q, "it is held", 0, 1)
		b.wantCounts(t, foreign, "the other queue's is held", 0, 1)
		if err := b.say(t, q, queues.Ack, h, 0); err != nil {
			t.Errorf("by the right one: %v", err)
		}
	})
}

func TestQ85_AnOldReceiptDoesNotTouchWhatIsDeliveredAgain(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.another(t)
		b.send(t, q, "m")
		old := b.take(t, q, 1, "m")[0]
		b.clock.Advance(31 * time.Second)
		now := other.take(t, q, 1, "m")[0]
		for verb, d := range verbs {
			if err := b.say(t, q, verb, old.ReceiptHandle, d); !errors.Is(err, queues.ErrReceiptExpired) {
				t.Errorf("%c while another holds it: got %v, want %v", verb, err, queues.ErrReceiptExpired)
			}
		}
		b.wantCounts(t, q, "another holds it", 0, 1)
		b.clock.Advance(31 * time.Second)
		if err := b.say(t, q, queues.Ack, old.ReceiptHandle, 0); !errors.Is(err, queues.ErrReceiptExpired) {
			t.Errorf("ack when nobody holds it, but another held it last: got %v, want %v", err, queues.ErrReceiptExpired)
		}
		b.wantCounts(t, q, "both leases are over", 1)
		if err := b.say(t, q, queues.Ack, now.ReceiptHandle, 0); err != nil {
			t.Errorf("ack by the newest receipt: %v", err)
		}
		b.wantCounts(t, q, "it is done")
	})
}

func TestQ86_AnAckCanBeRepeated(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, "g:m")
			old := b.take(t, q, 1, "m")[0]
			b.clock.Advance(31 * time.Second)
			m := b.take(t, q, 1, "m")[0]
			b.post(t, q, "h:another")
			for i := range 4 {
				for _, s := range []*bench{b, other} {
					if err := s.say(t, q, queues.Ack, m.ReceiptHandle, 0); err != nil {
						t.Errorf("ack %d: %v", i+1, err)
					}
				}
				b.clock.Advance(time.Hour)
			}
			// It is gone, so the receipt of an earlier delivery is as good.
			if err := b.say(t, q, queues.Ack, old.ReceiptHandle, 0); err != nil {
				t.Errorf("ack by the older receipt: %v", err)
			}
			b.wantCounts(t, q, "the other message is there", 1)
			b.healthy(t, q)
		}
	})
}

func TestQ88_AMessageThatIsDoneCannotBeHeldOrReturned(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, "g:m")
			m := b.take(t, q, 1, "m")[0]
			b.ack(t, q, m)
			for verb, d := range map[queues.Verb]time.Duration{queues.Extend: time.Minute, queues.Return: 0} {
				if err := b.say(t, q, verb, m.ReceiptHandle, d); !errors.Is(err, queues.ErrReceiptExpired) {
					t.Errorf("%c: got %v, want %v", verb, err, queues.ErrReceiptExpired)
				}
			}
			b.wantCounts(t, q, "it is done")
			b.take(t, q, 1)
		}
	})
}

func TestQ89_ALeaseThatIsOverCannotBeExtended(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		m := b.take(t, q, 1, "m")[0]
		b.clock.Advance(30 * time.Second)
		for verb, d := range map[queues.Verb]time.Duration{queues.Extend: time.Minute, queues.Return: time.Minute} {
			if err := b.say(t, q, verb, m.ReceiptHandle, d); !errors.Is(err, queues.ErrReceiptExpired) {
				t.Errorf("%c: got %v, want %v", verb, err, queues.ErrReceiptExpired)
			}
		}
		b.wantCounts(t, q, "nobody holds it", 1)
		b.take(t, q, 1, "m")
	})
}

func TestQ90_OnlyTheNewestReceiptReturnsAMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		first := b.lend(t, q, 0)
		second := b.take(t, q, 1, "m")[0]
		if err := b.say(t, q, queues.Return, first.ReceiptHandle, 0); !errors.Is(err, queues.ErrReceiptExpired) {
			t.Errorf("by the older receipt: got %v, want %v", err, queues.ErrReceiptExpired)
		}
		b.take(t, q, 1)
		if err := b.say(t, q, queues.Return, second.ReceiptHandle, 0); err != nil {
			t.Errorf("by the newest receipt: %v", err)
		}
		b.take(t, q, 1, "m")
	})
}

// What would be too long is refused and not made shorter, and leaves the lease as it was.
func TestQ91_ARefusedExtensionLeavesTheLease(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		m := b.take(t, q, 1, "m")[0]
		b.clock.Advance(10 * time.Second)
		if err := b.say(t, q, queues.Extend, m.ReceiptHandle, queues.MaxVisibilityTimeout); errs.KindOf(err) != errs.Invalid {
			t.Errorf("twelve hours, ten seconds after the receive: got %v, want a refusal", err)
		}
		b.clock.Advance(20*time.Second - time.Millisecond)
		b.take(t, q, 1)
		b.clock.Advance(time.Millisecond)
		again := b.take(t, q, 1, "m")[0]
		// Another receive has twelve hours of its own.
		if err := b.say(t, q, queues.Extend, again.ReceiptHandle, queues.MaxVisibilityTimeout); err != nil {
			t.Errorf("twelve hours at once after the next receive: %v", err)
		}
	})
}

func TestQ92_AnExtensionCountsFromNowAndForThisReceive(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, "g:m")
			for _, d := range []time.Duration{time.Hour, 5 * time.Second} { // longer, and shorter than the rest
				m := b.take(t, q, 1, "m")[0]
				if want := b.clock.Now().Add(30 * time.Second); !m.LeaseExpiresAt.Equal(want) {
					t.Errorf("the lease ends at %s, want %s, as the queue says", m.LeaseExpiresAt, want)
				}
				b.clock.Advance(20 * time.Second)
				if err := b.say(t, q, queues.Extend, m.ReceiptHandle, d); err != nil {
					t.Fatal(err)
				}
				b.clock.Advance(d - time.Millisecond)
				b.take(t, q, 1)
				b.clock.Advance(time.Millisecond)
			}
			b.take(t, q, 1, "m")
			b.clock.Advance(30*time.Second - time.Millisecond)
			b.take(t, q, 1)
			b.clock.Advance(time.Millisecond)
			b.take(t, q, 1, "m")
		}
	})
}

func TestQ94_AMessageIsDeletedByItsIDWhoeverHoldsIt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, "g:m")
			m := other.take(t, q, 1, "m")[0]
			if err := b.DeleteMessage(t.Context(), b.tenant, q, m.ID); err != nil {
				t.Fatal(err)
			}
			b.wantCounts(t, q, "it is deleted")
			b.clock.Advance(time.Minute)
			b.take(t, q, 1)
			if err := other.say(t, q, queues.Ack, m.ReceiptHandle, 0); err != nil {
				t.Errorf("the ack of its holder: %v", err)
			}
			if err := b.DeleteMessage(t.Context(), b.tenant, q, m.ID); !errors.Is(err, queues.ErrMessageNotFound) {
				t.Errorf("deleted again: got %v, want %v", err, queues.ErrMessageNotFound)
			}
			b.healthy(t, q)
		}
	})
}

func TestQ95_AReturnedMessageIsAvailableAtOnceAndItsReceiveCounts(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			b.post(t, q, "g:m")
			for i := range 5 {
				m := []*bench{b, other}[i%2].take(t, q, 1, "m")[0]
				if m.ReceiveCount != i+1 {
					t.Errorf("receive %d is counted as %d", i+1, m.ReceiveCount)
				}
				if err := b.say(t, q, queues.Return, m.ReceiptHandle, 0); err != nil {
					t.Fatal(err)
				}
				b.wantCounts(t, q, "it is back", 1)
			}
		}
	})
}
