package queues_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// ask begins a receive and hands over what comes.
func (b *bench) ask(t *testing.T, q string, opt queues.ReceiveOptions) <-chan arrival {
	t.Helper()
	got := make(chan arrival, 1)
	go func() {
		list, err := b.Receive(t.Context(), b.tenant, q, opt)
		got <- arrival{list: list, err: err}
	}()
	return got
}

// lend receives one message for a time of the caller's choice.
func (b *bench) lend(t *testing.T, q string, visible time.Duration) queues.Message {
	t.Helper()
	got, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{VisibilityTimeout: &visible})
	if err != nil || len(got) != 1 {
		t.Fatalf("received %q, %v; want one message", bodies(got), err)
	}
	return got[0]
}

func TestQ72_AReceiveGetsOneMessageUnlessItAsksForMore(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.batch(t, q, false, make([]queues.Outgoing, 200)...)
		for most, want := range map[int]int{0: 1, 1: 1, 10: 10, queues.MaxReceive: 100} {
			if got := b.receive(t, q, most); len(got) != want {
				t.Errorf("at most %d: received %d messages, want %d", most, len(got), want)
			}
		}
		for _, most := range []int{-1, queues.MaxReceive + 1} {
			if _, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Max: most}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("at most %d: got %v, want a refusal", most, err)
			}
		}
		if got := b.counts(t, q); got != [3]int64{88, 112} {
			t.Errorf("counts: got %v, want 112 in flight: a refused receive took something", got)
		}
	})
}

func TestQ73_AReceiveWaitsAsItsQueueSaysUnlessItSaysSoItself(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		second, none := time.Second, time.Duration(0)
		for _, c := range []struct {
			queue time.Duration
			own   *time.Duration
			want  time.Duration
		}{{20 * time.Second, nil, 20 * time.Second}, {20 * time.Second, &second, time.Second}, {20 * time.Second, &none, 0}, {0, nil, 0}, {0, &second, time.Second}} {
			q := b.queue(t, func(s *queues.Settings) { s.ReceiveWait = c.queue })
			got := b.ask(t, q, queues.ReceiveOptions{Wait: c.own})
			if c.want > 0 {
				b.awaitParked(t, q, 1)
				b.clock.Advance(c.want - time.Millisecond)
				b.awaitParked(t, q, 1) // again, should it have looked meanwhile
				b.clock.Advance(time.Millisecond)
			}
			if a := promptly(t, got); a.err != nil || len(a.list) != 0 {
				t.Errorf("%+v: received %q, %v; want nothing", c, bodies(a.list), a.err)
			}
		}
		q := b.queue(t, nil)
		for _, bad := range []time.Duration{-time.Second, queues.MaxWait + time.Millisecond} {
			if _, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Wait: &bad}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("a wait of %s: got %v, want a refusal", bad, err)
			}
		}
	})
}

// Whatever makes a message available ends the wait of a receive, here and on another server. It does not wait for as many
// as it would take.
func TestQ74_AWaitEndsWithTheFirstMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, delay, wait := b.another(t), 5*time.Second, queues.MaxWait
		held := func(q string) queues.Message {
			b.send(t, q, "m")
			return b.lend(t, q, delay)
		}
		for name, prepare := range map[string]func(q string) (event func()){
			"send": func(q string) func() { return func() { b.send(t, q, "m") } },
			"end of a delay": func(q string) func() {
				b.batch(t, q, false, queues.Outgoing{Body: []byte("m"), Delay: &delay})
				return func() { b.clock.Advance(6 * time.Second) }
			},
			"end of a lease": func(q string) func() {
				held(q)
				return func() { b.clock.Advance(6 * time.Second) }
			},
			"return": func(q string) func() {
				m := held(q)
				return func() {
					b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
				}
			},
			"it was there": func(string) func() { return nil },
		} {
			for where, waiter := range map[string]*bench{"here": b, "there": other} {
				q := b.queue(t, nil)
				event := prepare(q)
				if event == nil {
					b.send(t, q, "m")
				}
				got := waiter.ask(t, q, queues.ReceiveOptions{Max: 10, Wait: &wait})
				if event != nil {
					waiter.awaitParked(t, q, 1)
					event()
				}
				if a := promptly(t, got); a.err != nil || len(a.list) != 1 || a.list[0].Body != "m" {
					t.Errorf("%s, waiting %s: received %q, %v; want the message", name, where, bodies(a.list), a.err)
				}
			}
		}
	})
}

func TestQ78_WhatAMessageSaysOfItself(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		sender, other := b, b.another(t)
		for _, q := range []string{b.queue(t, nil), b.fifo(t, nil)} {
			out := queues.Outgoing{Body: []byte("m"), GroupID: "g", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
			if queues.IsFIFOName(q) {
				out.DeduplicationID = "d"
			}
			sent, err := sender.Send(t.Context(), b.tenant, q, out)
			if err != nil {
				t.Fatal(err)
			}
			want := queues.Message{ID: sent.ID, Body: "m", GroupID: "g", TraceParent: out.TraceParent, DeduplicationID: out.DeduplicationID,
				SequenceNumber: sent.SequenceNumber, State: queues.InFlight, SentAt: b.clock.Now()}
			b.clock.Advance(1234 * time.Millisecond)
			want.FirstReceivedAt = b.clock.Now()
			for i := range 4 {
				want.ReceiveCount, want.FailureCount, want.LeaseExpiresAt = i+1, i, b.clock.Now().Add(30*time.Second)
				got := []*bench{b, other}[i%2].take(t, q, 1, "m")[0]
				handle := got.ReceiptHandle
				got.ReceiptHandle = ""
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, receive %d (-want +got):\n%s", q, i+1, diff)
				}
				if i%2 == 0 { // it comes back, or is given back
					b.clock.Advance(31 * time.Second)
				} else {
					b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: handle})
				}
			}
		}
	})
}

func TestQ80_AReceiveSaysForHowLong(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil) // 30 seconds
		b.send(t, q, "m")
		for _, visible := range []time.Duration{2 * time.Minute, time.Second, queues.MaxVisibilityTimeout} {
			m := b.lend(t, q, visible)
			if want := b.clock.Now().Add(visible); !m.LeaseExpiresAt.Equal(want) {
				t.Errorf("%s: the lease ends at %s, want %s", visible, m.LeaseExpiresAt, want)
			}
			b.clock.Advance(visible - time.Millisecond)
			b.take(t, q, 1)
			b.clock.Advance(time.Millisecond)
		}
		b.take(t, q, 1, "m") // for as long as the queue says
		b.clock.Advance(30*time.Second - time.Millisecond)
		b.take(t, q, 1)
		b.clock.Advance(time.Millisecond)

		for i := range 3 { // for no time at all
			if m := b.lend(t, q, 0); m.ReceiveCount != 5+i {
				t.Errorf("received for the %dth time, want %d", m.ReceiveCount, 5+i)
			}
			if got := b.counts(t, q); got != [3]int64{1} {
				t.Errorf("counts: got %v, want it available", got)
			}
		}
		for _, bad := range []time.Duration{-time.Second, queues.MaxVisibilityTimeout + time.Millisecond} {
			_, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{VisibilityTimeout: &bad})
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("for %s: got %v, want a refusal", bad, err)
			}
		}
		b.take(t, q, 1, "m")
	})
}

func TestQ81_AStandardQueueGivesEachMessageToOne(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, servers, got := b.queue(t, nil), []*bench{b, b.another(t)}, map[engine.ID]int{}
		const n = 60
		for i := range n {
			servers[i%2].send(t, q, "m")
		}
		for i := range n {
			for _, m := range servers[i%2].receive(t, q, 1+i%3) {
				got[m.ID]++
				if i%4 == 0 {
					b.ack(t, q, m)
				}
			}
		}
		for id, times := range got {
			if times != 1 {
				t.Errorf("%s was received %d times while it was held or done", id, times)
			}
		}
		if len(got) != n {
			t.Errorf("%d messages were received, want %d", len(got), n)
		}
	})
}
