package queues_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// The score of a lease has room for the last twelve bits of a delivery's number. A receipt from just 4096 deliveries
// ago must not pass for the newest all the same.
func TestG4_AReceiptOfFourThousandDeliveriesAgo(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		old := b.receive(t, q, 1)[0]
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: old.ReceiptHandle})
		// As if it had been delivered and returned 4,095 times more.
		past := fmt.Sprintf("4096,4096,4096,%d", start.UnixMilli())
		if err := b.engine.Single().HSet(t.Context(), b.Keys(b.tenant, q)["s"], string(old.ID[:]), past).Err(); err != nil {
			t.Fatal(err)
		}
		newest := b.receive(t, q, 1)[0]
		if newest.ReceiveCount != 4097 {
			t.Fatalf("received %d times, want 4097", newest.ReceiveCount)
		}
		for _, verb := range []queues.Verb{queues.Ack, queues.Extend, queues.Return} {
			out := b.settle(t, q, queues.Settlement{Verb: verb, ReceiptHandle: old.ReceiptHandle, For: time.Hour})
			if !errors.Is(out[0].Err, queues.ErrReceiptExpired) {
				t.Errorf("%c by the old receipt: got %v, want %v", verb, out[0].Err, queues.ErrReceiptExpired)
			}
		}
		b.Unreceive(t.Context(), b.tenant, q, []queues.Message{old})
		if got := b.counts(t, q); got != [3]int64{0, 1, 0} {
			t.Errorf("counts: got %v, want one in flight", got)
		}
		b.healthy(t, q)
		if out := b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: newest.ReceiptHandle}); out[0].Err != nil {
			t.Errorf("ack by the newest: %v", out[0].Err)
		}
	})
}

func TestQ91_AMessageIsHeldForTwelveHoursAtMost(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = 6 * time.Hour })
		b.send(t, q, "m")
		m := b.receive(t, q, 1)[0]
		b.clock.Advance(time.Hour)
		extend := func(d time.Duration) error {
			return b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: d})[0].Err
		}
		if err := extend(11*time.Hour + time.Millisecond); errs.KindOf(err) != errs.Invalid {
			t.Errorf("1 ms over twelve hours since it was received: got %v", err)
		}
		if err := extend(11 * time.Hour); err != nil {
			t.Errorf("twelve hours since it was received: %v", err)
		}
		for _, d := range []time.Duration{0, -time.Second, 12*time.Hour + time.Millisecond} {
			if err := extend(d); errs.KindOf(err) != errs.Invalid {
				t.Errorf("extend by %s: got %v", d, err)
			}
		}
		b.clock.Advance(11 * time.Hour)
		if err := extend(time.Second); !errors.Is(err, queues.ErrReceiptExpired) {
			t.Errorf("after its end: got %v, want %v", err, queues.ErrReceiptExpired)
		}
	})
}

// What one call says of one message several times holds as if it had been said one after the other.
func TestOneCallSaysSeveralThingsOfOneMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		type say struct {
			verb queues.Verb
			d    time.Duration
			want error
		}
		expired := queues.ErrReceiptExpired
		for name, c := range map[string]struct {
			say    []say
			counts [3]int64
		}{
			"ack, ack":            {[]say{{queues.Ack, 0, nil}, {queues.Ack, 0, nil}}, [3]int64{}},
			"ack, extend, return": {[]say{{queues.Ack, 0, nil}, {queues.Extend, time.Hour, expired}, {queues.Return, 0, expired}}, [3]int64{}},
			"return, ack":         {[]say{{queues.Return, 0, nil}, {queues.Ack, 0, nil}}, [3]int64{}},
			"delay, ack, ack":     {[]say{{queues.Return, time.Hour, nil}, {queues.Ack, 0, nil}, {queues.Ack, 0, nil}}, [3]int64{}},
			"return, return":      {[]say{{queues.Return, 0, nil}, {queues.Return, time.Hour, expired}}, [3]int64{1, 0, 0}},
			"extend, delay":       {[]say{{queues.Extend, time.Hour, nil}, {queues.Return, time.Hour, nil}}, [3]int64{0, 0, 1}},
			"extend, extend, ack": {[]say{{queues.Extend, time.Hour, nil}, {queues.Extend, time.Second, nil}, {queues.Ack, 0, nil}}, [3]int64{}},
			"delay, extend":       {[]say{{queues.Return, time.Hour, nil}, {queues.Extend, time.Hour, expired}}, [3]int64{0, 0, 1}},
		} {
			q := b.queue(t, nil)
			b.send(t, q, "m")
			m := b.receive(t, q, 1)[0]
			var list []queues.Settlement
			var want, got []error
			for _, s := range c.say {
				list = append(list, queues.Settlement{Verb: s.verb, ReceiptHandle: m.ReceiptHandle, For: s.d})
				want = append(want, s.want)
			}
			for i, out := range b.settle(t, q, list...) {
				got = append(got, out.Err)
				if !errors.Is(out.Err, want[i]) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
			if n := b.counts(t, q); n != c.counts {
				t.Errorf("%s: counts %v, want %v", name, n, c.counts)
			}
			b.healthy(t, q)
		}
	})
}

func TestAThousandSettlementsInOneCall(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		batch := make([]queues.Outgoing, queues.MaxSettle)
		for i := range batch {
			batch[i].Body = fmt.Append(nil, i)
		}
		b.batch(t, q, false, batch...)
		var list []queues.Settlement
		for range 10 {
			for _, m := range b.receive(t, q, 100) {
				list = append(list, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
			}
		}
		list[500].ReceiptHandle = "garbage"
		for i, out := range b.settle(t, q, list...) {
			if want := i == 500; errors.Is(out.Err, queues.ErrReceiptInvalid) != want || !want && out.Err != nil {
				t.Errorf("settlement %d: %v", i, out.Err)
			}
		}
		if got := b.counts(t, q); got != [3]int64{999, 1, 0} {
			t.Errorf("counts: got %v", got)
		}
		b.healthy(t, q)
	})
}

// A message that was put back unseen has its place again, before those that were sent after it and after those that
// were sent before.
func TestUnreceiveRestoresThePlace(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, body := range []string{"a", "b", "c", "d"} {
			b.send(t, q, body)
			b.clock.Advance(time.Millisecond)
		}
		got := b.receive(t, q, 3)
		b.Unreceive(t.Context(), b.tenant, q, got[1:])
		b.send(t, q, "e")
		again := b.receive(t, q, 10)
		if diff := cmp.Diff([]string{"b", "c", "d", "e"}, bodies(again)); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		for i, m := range again {
			if d := b.Delivery(t, b.tenant, q, m.ReceiptHandle); m.ReceiveCount != 1 || (d == 2) != (i < 2) {
				t.Errorf("%q: count %d, delivery %d", m.Body, m.ReceiveCount, d)
			}
		}
		b.healthy(t, q)
	})
}
