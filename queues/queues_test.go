package queues_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

func TestAMessageGoesInAndOut(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		sent := b.send(t, q, "hello \x00\xff")
		if got, want := b.counts(t, q), [3]int64{1, 0, 0}; got != want {
			t.Errorf("counts after the send: got %v, want %v", got, want)
		}
		got := b.receive(t, q, 10)
		if len(got) != 1 || got[0].Body != "hello \x00\xff" || got[0].ID != sent.ID {
			t.Fatalf("received %+v, want the message %s", got, sent.ID)
		}
		if got[0].ReceiveCount != 1 || !got[0].SentAt.Equal(start) || !got[0].LeaseExpiresAt.Equal(start.Add(30*time.Second)) {
			t.Errorf("received %+v, want count 1, sent %s, lease of 30 s", got[0], start)
		}
		if got, want := b.counts(t, q), [3]int64{0, 1, 0}; got != want {
			t.Errorf("counts while it is held: got %v, want %v", got, want)
		}
		if again := b.receive(t, q, 10); len(again) != 0 {
			t.Errorf("a held message was given out again: %v", bodies(again))
		}
		for range 2 { // an ack can be repeated
			if out := b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: got[0].ReceiptHandle}); out[0].Err != nil {
				t.Fatalf("ack: %v", out[0].Err)
			}
		}
		if got, want := b.counts(t, q), [3]int64{}; got != want {
			t.Errorf("counts after the ack: got %v, want %v", got, want)
		}
	})
}

func TestALeaseEndsAtItsInstant(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = 10 * time.Second })
		b.send(t, q, "m")
		first := b.receive(t, q, 1)[0]
		b.clock.Advance(10*time.Second - time.Millisecond)
		if got := b.receive(t, q, 1); len(got) != 0 {
			t.Fatalf("1 ms before the end the message was given out: %+v", got)
		}
		b.clock.Advance(time.Millisecond)
		got := b.receive(t, q, 1)
		if len(got) != 1 || got[0].ReceiveCount != 2 || !got[0].FirstReceivedAt.Equal(start) {
			t.Fatalf("at the end: got %+v, want the message with count 2, first received at %s", got, start)
		}
		out := b.settle(t, q,
			queues.Settlement{Verb: queues.Ack, ReceiptHandle: first.ReceiptHandle},
			queues.Settlement{Verb: queues.Extend, ReceiptHandle: first.ReceiptHandle, For: time.Minute},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: first.ReceiptHandle})
		for i, o := range out {
			if !errors.Is(o.Err, queues.ErrReceiptExpired) {
				t.Errorf("settlement %d by the old receipt: got %v, want %v", i, o.Err, queues.ErrReceiptExpired)
			}
		}
		if got, want := b.counts(t, q), [3]int64{0, 1, 0}; got != want {
			t.Errorf("counts: got %v, want %v: an old receipt had an effect", got, want)
		}
	})
}

func TestQ84_TheNewestReceiptAcksAfterItsLease(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, noticed := range []bool{true, false} { // that the lease is over
			q := b.queue(t, nil)
			b.send(t, q, "m")
			m := b.receive(t, q, 1)[0]
			b.clock.Advance(time.Minute)
			if noticed {
				b.wantCounts(t, q, "after the lease", 1)
			}
			if out := b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}); out[0].Err != nil {
				t.Fatalf("ack after the lease: %v", out[0].Err)
			}
			if got := b.receive(t, q, 1); len(got) != 0 {
				t.Errorf("an acknowledged message came back: %+v", got)
			}
			b.healthy(t, q)
		}
	})
}

func TestReturnAndDelay(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, body := range []string{"a", "b", "c"} {
			b.send(t, q, body)
		}
		b.clock.Advance(time.Second)
		held := b.receive(t, q, 3)
		b.settle(t, q,
			queues.Settlement{Verb: queues.Return, ReceiptHandle: held[2].ReceiptHandle},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: held[0].ReceiptHandle, For: 5 * time.Second},
			queues.Settlement{Verb: queues.Extend, ReceiptHandle: held[1].ReceiptHandle, For: time.Hour})
		if got, want := b.counts(t, q), [3]int64{1, 1, 1}; got != want {
			t.Fatalf("counts: got %v, want %v", got, want)
		}
		b.clock.Advance(5 * time.Second)
		if diff := cmp.Diff([]string{"c", "a"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received after the delay (-want +got):\n%s", diff)
		}
		b.clock.Advance(time.Hour - 5*time.Second - time.Millisecond)
		if diff := cmp.Diff([]string{"a", "c"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received before the extension's end (-want +got):\n%s", diff)
		}
		b.clock.Advance(time.Millisecond)
		if diff := cmp.Diff([]string{"b"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received at the extension's end (-want +got):\n%s", diff)
		}
	})
}

func TestQ96_AMessagesDelayBeatsThatOfItsQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Delay, s.VisibilityTimeout = 5*time.Second, time.Hour })
		b.send(t, q, "queue's delay")
		none, own, longest := time.Duration(0), time.Minute, queues.DefaultSettings().Retention
		for body, d := range map[string]*time.Duration{"no delay": &none, "its own delay": &own} {
			if err := b.one(t, q, queues.Outgoing{Body: []byte(body), Delay: d}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"no delay"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received at once (-want +got):\n%s", diff)
		}
		b.clock.Advance(5*time.Second - time.Millisecond)
		if got := b.receive(t, q, 10); len(got) != 0 {
			t.Fatalf("1 ms before its time: got %v", bodies(got))
		}
		b.clock.Advance(time.Millisecond)
		if diff := cmp.Diff([]string{"queue's delay"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received at its time (-want +got):\n%s", diff)
		}
		b.clock.Advance(own - 5*time.Second - time.Millisecond)
		b.take(t, q, 10)
		b.clock.Advance(time.Millisecond)
		b.take(t, q, 10, "its own delay")
		for d, ok := range map[time.Duration]bool{longest: true, longest + time.Millisecond: false, -time.Millisecond: false} {
			if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), Delay: &d}); (err == nil) != ok {
				t.Errorf("a delay of %s: got %v, want it taken: %t", d, err, ok)
			}
		}
	})
}

func TestG16_RetentionEndsAtItsInstant(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Retention = time.Minute; s.VisibilityTimeout = time.Second })
		b.send(t, q, "fresh")
		b.send(t, q, "returned")
		b.receive(t, q, 1)
		b.clock.Advance(time.Minute - time.Millisecond)
		if got, want := b.counts(t, q), [3]int64{2, 0, 0}; got != want {
			t.Fatalf("counts 1 ms before the end: got %v, want %v", got, want)
		}
		b.clock.Advance(time.Millisecond)
		if got := b.receive(t, q, 10); len(got) != 0 {
			t.Errorf("at the end of retention: got %v", bodies(got))
		}
		if got, want := b.counts(t, q), [3]int64{}; got != want {
			t.Errorf("counts at the end: got %v, want %v", got, want)
		}
	})
}

func TestAWaitingReceiveGetsTheNextMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		got := make(chan []queues.Message)
		wait := 20 * time.Second
		go func() {
			list, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Wait: &wait})
			if err != nil {
				t.Error(err)
			}
			got <- list
		}()
		b.awaitParked(t, q, 1)
		b.send(t, q, "m")
		if diff := cmp.Diff([]string{"m"}, bodies(<-got)); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}
