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

// held returns for each message in flight its body, who holds it, since how many seconds after the start, for how many
// more, and how often it was received, and checks that a look at one message says the same.
func (b *bench) held(tb testing.TB, q string) []string {
	tb.Helper()
	b.healthy(tb, q)
	page, err := b.Peek(tb.Context(), b.tenant, q, queues.PeekOptions{State: queues.InFlight})
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, m := range page.Messages {
		one, err := b.Message(tb.Context(), b.tenant, q, m.ID)
		if diff := cmp.Diff(m, one); diff != "" || err != nil {
			tb.Errorf("a look at one message: %v (-in the list +alone):\n%s", err, diff)
		}
		out = append(out, fmt.Sprintf("%s %s %g+%g #%d", m.Body, m.HeldBy, m.HeldSince.Sub(start).Seconds(), m.LeaseExpiresAt.Sub(m.HeldSince).Seconds(), m.ReceiveCount))
	}
	return out
}

func (b *bench) wantHeld(tb testing.TB, q, when string, want ...string) {
	tb.Helper()
	if diff := cmp.Diff(want, b.held(tb, q)); diff != "" {
		tb.Errorf("held %s (-want +got):\n%s", when, diff)
	}
}

// receiveAs receives up to most messages under a name, for some seconds; 0: as long as the queue says.
func (b *bench) receiveAs(tb testing.TB, q, consumer string, most, seconds int) []queues.Message {
	tb.Helper()
	opt := queues.ReceiveOptions{Max: most, Consumer: consumer}
	if seconds > 0 {
		span := time.Duration(seconds) * time.Second
		opt.VisibilityTimeout = &span
	}
	got, err := b.Receive(tb.Context(), b.tenant, q, opt)
	if err != nil || len(got) != most {
		tb.Fatalf("receive %d as %q: got %d, %v", most, consumer, len(got), err)
	}
	return got
}

// Whoever looks sees who holds a message now, since when and for how long, however often it was held before.
func TestWhoHoldsAMessageIsShown(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for name, q := range map[string]string{"standard": b.queue(t, nil), "fifo": b.fifo(t, nil)} {
			send := func(body string) {
				b.clock.Advance(time.Second)
				out := queues.Outgoing{Body: []byte(body), IdempotencyKey: body}
				if queues.IsFIFOName(q) {
					out.GroupID = body
				}
				if _, err := b.Send(t.Context(), b.tenant, q, out); err != nil {
					t.Fatal(err)
				}
			}
			since := func() int { return int(b.clock.Now().Sub(start).Seconds()) }
			send("a")
			send("b")
			send("c")
			begun := since()
			a := b.receiveAs(t, q, "worker 1, a:b", 1, 0)[0]
			second := other.receiveAs(t, q, "", 1, 40)[0]
			other.receiveAs(t, q, "", 1, 0)
			other.wantHeld(t, q, name+": first", fmt.Sprintf("a worker 1, a:b %d+30 #1", begun), fmt.Sprintf("c  %d+30 #1", begun), fmt.Sprintf("b  %d+40 #1", begun))
			b.clock.Advance(5 * time.Second)
			b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: a.ReceiptHandle, For: 60 * time.Second},
				queues.Settlement{Verb: queues.Return, ReceiptHandle: second.ReceiptHandle, Reason: "no, said ,h5:QQ"})
			b.clock.Advance(26 * time.Second) // c has timed out
			b.wantHeld(t, q, name+": when leases have ended", fmt.Sprintf("a worker 1, a:b %d+65 #1", begun))
			other.receiveAs(t, q, strings.Repeat("w", queues.MaxConsumer), 2, 0)
			w := strings.Repeat("w", queues.MaxConsumer)
			b.wantHeld(t, q, name+": again", fmt.Sprintf("b %s %d+30 #2", w, begun+31), fmt.Sprintf("c %s %d+30 #2", w, begun+31), fmt.Sprintf("a worker 1, a:b %d+65 #1", begun))
			b.clock.Advance(30 * time.Second)
			// Nobody gave a name: those of before are forgotten, and an extension does not move the beginning.
			last := b.receiveAs(t, q, "", 2, 0)
			b.clock.Advance(time.Second)
			for _, m := range last {
				b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: 50 * time.Second})
			}
			b.wantHeld(t, q, name+": without a name", fmt.Sprintf("a worker 1, a:b %d+65 #1", begun), fmt.Sprintf("b  %d+51 #3", begun+61), fmt.Sprintf("c  %d+51 #3", begun+61))
			if found, _ := b.find(t, q, "held_by:worker* held_since<2030-01-01", "", 10); len(found) != 1 || found[0].Body != "a" {
				t.Errorf("%s: found %v", name, bodies(found))
			}
			for _, m := range append(last, a) {
				b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
			}
			b.wantHeld(t, q, name+": in the end")
		}
	})
}

// A repeated attempt is held since the first one, by whoever made the last.
func TestARepeatedAttemptIsHeldSinceTheFirst(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", IdempotencyKey: "m"}); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"one", "two", ""} {
			got, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{AttemptID: "try", Consumer: name})
			if err != nil || len(got) != 1 {
				t.Fatalf("attempt %d: %v, %v", i, got, err)
			}
			b.wantHeld(t, q, "in attempt", fmt.Sprintf("m %s 0+%d #1", name, 30+5*i))
			b.clock.Advance(5 * time.Second)
		}
	})
}

func TestANameThatIsNoneIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		for _, name := range []string{strings.Repeat("w", queues.MaxConsumer+1), "line\nbreak", "wörker"} {
			if _, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Consumer: name}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("receive as %q: got %v, want it refused", name, err)
			}
			if _, err := b.Consume(t.Context(), b.tenant, q, queues.ConsumeOptions{MaxInFlight: 1, Consumer: name}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("consume as %q: got %v, want it refused", name, err)
			}
		}
		var refused *errs.Error
		_, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Consumer: "w", AutoAck: true})
		if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Query != "consumer" {
			t.Errorf("a name with what is deleted at once: got %v, want it refused", err)
		}
		if got := b.counts(t, q); got != [3]int64{1, 0, 0} {
			t.Errorf("counts %v, want the message untouched", got)
		}
	})
}
