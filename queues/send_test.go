package queues_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

func keyedMessage(key, body string) queues.Outgoing {
	return queues.Outgoing{Body: []byte(body), IdempotencyKey: key}
}

func (b *bench) batch(tb testing.TB, q string, atomic bool, batch ...queues.Outgoing) []queues.SendResult {
	tb.Helper()
	results, err := b.SendBatch(context.Background(), b.tenant, q, batch, atomic)
	if err != nil {
		tb.Fatalf("send batch: %v", err)
	}
	return results
}

func TestG9_AnIdempotencyKeyIsGoodForFiveMinutes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		first := b.batch(t, q, false, keyedMessage("k", "m"))[0]
		if first.Err != nil || first.Replayed {
			t.Fatalf("first: %+v", first)
		}
		b.clock.Advance(5*time.Minute - time.Millisecond)
		for _, s := range []*bench{b, other} {
			again := s.batch(t, q, false, keyedMessage("k", "m"))[0]
			if again.Err != nil || !again.Replayed || again.ID != first.ID {
				t.Errorf("1 ms before the end: got %+v, want a replay of %s", again, first.ID)
			}
			if clash := s.batch(t, q, false, keyedMessage("k", "n"))[0]; !errors.Is(clash.Err, queues.ErrKeyReused) {
				t.Errorf("another body: got %v, want %v", clash.Err, queues.ErrKeyReused)
			}
		}
		b.clock.Advance(time.Millisecond)
		later := other.batch(t, q, false, keyedMessage("k", "n"))[0]
		if later.Err != nil || later.Replayed || later.ID == first.ID {
			t.Errorf("at the end: got %+v, want a new message", later)
		}
		b.clock.Advance(time.Millisecond)
		if again := b.batch(t, q, false, keyedMessage("k", "n"))[0]; !again.Replayed || again.ID != later.ID {
			t.Errorf("1 ms after: got %+v, want a replay of %s", again, later.ID)
		}
		if got, want := b.counts(t, q), [3]int64{2, 0, 0}; got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
		b.healthy(t, q)
	})
}

// The same message is the same however its attributes are listed and whatever trace it belongs to; any other part
// makes it another one.
func TestWhatAnIdempotencyKeyStandsFor(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		delay, other := time.Second, 2*time.Second
		base := queues.Outgoing{
			Body: []byte("body"), ContentType: "text/plain", TraceParent: "00-1", IdempotencyKey: "k", Delay: &delay,
			Attributes: []queues.Attribute{{Name: "a", Type: "String", Value: "1"}, {Name: "b", Type: "Number", Value: "2"}},
		}
		first := b.batch(t, q, false, base)[0]
		for name, c := range map[string]struct {
			change func(*queues.Outgoing)
			same   bool
		}{
			"nothing":              {func(*queues.Outgoing) {}, true},
			"another trace":        {func(m *queues.Outgoing) { m.TraceParent = "00-2" }, true},
			"no trace":             {func(m *queues.Outgoing) { m.TraceParent = "" }, true},
			"attributes reordered": {func(m *queues.Outgoing) { m.Attributes = []queues.Attribute{base.Attributes[1], base.Attributes[0]} }, true},
			"another body":         {func(m *queues.Outgoing) { m.Body = []byte("bodY") }, false},
			"another type":         {func(m *queues.Outgoing) { m.ContentType = "text/html" }, false},
			"another delay":        {func(m *queues.Outgoing) { m.Delay = &other }, false},
			"the queue's delay":    {func(m *queues.Outgoing) { m.Delay = nil }, false},
			"one attribute less":   {func(m *queues.Outgoing) { m.Attributes = base.Attributes[:1] }, false},
			"another value": {func(m *queues.Outgoing) {
				m.Attributes = []queues.Attribute{{Name: "a", Type: "String", Value: "2"}, base.Attributes[1]}
			}, false},
		} {
			m := base
			c.change(&m)
			got := b.batch(t, q, false, m)[0]
			if c.same && (got.Err != nil || !got.Replayed || got.ID != first.ID) || !c.same && !errors.Is(got.Err, queues.ErrKeyReused) {
				t.Errorf("%s: got %+v, same %v", name, got, c.same)
			}
		}
	})
}

func TestAKeyInABatch(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		got := b.batch(t, q, false, keyedMessage("k", "m"), keyedMessage("", "free"), keyedMessage("k", "m"), keyedMessage("k", "n"), keyedMessage("l", "n"))
		if got[0].Err != nil || got[0].Replayed || got[1].Err != nil || got[4].Err != nil || got[4].Replayed {
			t.Errorf("first uses: %+v, %+v, %+v", got[0], got[1], got[4])
		}
		if !got[2].Replayed || got[2].ID != got[0].ID || !errors.Is(got[3].Err, queues.ErrKeyReused) {
			t.Errorf("second uses: %+v, %+v; want a replay of %s and %v", got[2], got[3], got[0].ID, queues.ErrKeyReused)
		}
		// All or nothing: a conflict anywhere stores nothing, a replay does not stand in the way.
		if _, err := b.SendBatch(t.Context(), b.tenant, q, []queues.Outgoing{keyedMessage("", "x"), keyedMessage("new", "x"), keyedMessage("k", "z")}, true); !errors.Is(err, queues.ErrKeyReused) {
			t.Errorf("atomic with a conflict: got %v, want %v", err, queues.ErrKeyReused)
		}
		again := b.batch(t, q, true, keyedMessage("new", "y"), keyedMessage("k", "m"))
		if again[0].Err != nil || again[0].Replayed || !again[1].Replayed {
			t.Errorf("atomic with a replay: got %+v", again)
		}
		if diff := cmp.Diff([]string{"m", "free", "n", "y"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		b.healthy(t, q)
	})
}

// Concurrent sends with one key, on two servers and merged into the same calls, store one message.
func TestG9_ConcurrentSendsWithOneKey(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		q := b.queue(t, nil)
		const keys, callers = 20, 16
		ids := make([]map[string]int, keys)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for k := range keys {
			ids[k] = map[string]int{}
			for c := range callers {
				wg.Go(func() {
					s, err := servers[c%2].Send(t.Context(), b.tenant, q, keyedMessage(fmt.Sprint(k), "m"))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					ids[k][s.ID.String()]++
				})
			}
		}
		wg.Wait()
		for k, got := range ids {
			if len(got) != 1 {
				t.Errorf("key %d: the answers name %d messages: %v", k, len(got), got)
			}
		}
		if got := b.counts(t, q); got != [3]int64{keys, 0, 0} {
			t.Errorf("counts: got %v, want %d available", got, keys)
		}
		t.Logf("G9: %d sends with %d keys, %d stored", keys*callers, keys, b.counts(t, q)[0])
		b.healthy(t, q)
	})
}

func TestIdempotencyKeysAreForgotten(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		const n = 500
		batch := make([]queues.Outgoing, n)
		send := func(name string, n int) {
			t.Helper()
			for i := range n {
				batch[i] = keyedMessage(fmt.Sprint(name, i), "m")
			}
			b.batch(t, q, false, batch[:n]...)
			b.settleAll(t, q)
		}
		keys := b.Keys(b.tenant, q)
		remembered := func() (int64, int64) {
			r := b.engine.Single()
			return r.HLen(t.Context(), keys["i"]).Val() - 1, r.LLen(t.Context(), keys["j"]).Val() - 1
		}
		send("a", n)
		b.clock.Advance(2 * time.Minute)
		send("b", n)
		if i, j := remembered(); i != 2*n || j != 2*n {
			t.Fatalf("%d keys and %d in order, want %d", i, j, 2*n)
		}
		b.clock.Advance(3 * time.Minute)
		// Those of the first round may go now. Each send with a key forgets at least two.
		send("c", n/2)
		if i, j := remembered(); i != 3*n/2 || j != 3*n/2 {
			t.Errorf("%d keys and %d in order, want %d: the first %d are over", i, j, 3*n/2, n)
		}
		b.healthy(t, q)
		// A queue that is only looked at forgets too.
		b.clock.Advance(5 * time.Minute)
		b.counts(t, q)
		if i, j := remembered(); i != 0 || j != 0 {
			t.Errorf("%d keys and %d in order, want none", i, j)
		}
		b.healthy(t, q)
	})
}

// settleAll receives and acknowledges everything.
func (b *bench) settleAll(tb testing.TB, q string) (n int) {
	tb.Helper()
	for {
		got := b.receive(tb, q, 100)
		if len(got) == 0 {
			return n
		}
		acks := make([]queues.Settlement, len(got))
		for i, m := range got {
			acks[i] = queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
		}
		for _, out := range b.settle(tb, q, acks...) {
			if out.Err != nil {
				tb.Fatalf("ack: %v", out.Err)
			}
		}
		n += len(got)
	}
}

// A queue that remembers as many keys as it can refuses those with new keys, and nobody else, even when they travel to
// Redis together.
func TestTooManyIdempotencyKeys(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.FillKeys(t, b.tenant, q)
		got := b.batch(t, q, false, keyedMessage("", "free"), keyedMessage("new", "m"), keyedMessage("", "free too"))
		if got[0].Err != nil || got[2].Err != nil || !errors.Is(got[1].Err, queues.ErrKeysFull) {
			t.Errorf("got %v, %v, %v; want only the second one refused, with %v", got[0].Err, got[1].Err, got[2].Err, queues.ErrKeysFull)
		}
		_, err := b.SendBatch(t.Context(), b.tenant, q, []queues.Outgoing{keyedMessage("", "x"), keyedMessage("new", "m")}, true)
		if !errors.Is(err, queues.ErrKeysFull) {
			t.Errorf("atomic: got %v, want %v", err, queues.ErrKeysFull)
		}
		b.clock.Advance(5 * time.Minute)
		if got := b.batch(t, q, false, keyedMessage("new", "m"))[0]; got.Err != nil {
			t.Errorf("five minutes later: %v", got.Err)
		}
		if diff := cmp.Diff([]string{"free", "free too", "m"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}

func TestABatchOfAThousandKeepsItsOrder(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		batch := make([]queues.Outgoing, queues.MaxBatch)
		want := make([]string, len(batch))
		for i := range batch {
			want[i] = fmt.Sprintf("m%04d", i)
			batch[i].Body = []byte(want[i])
		}
		results := b.batch(t, q, false, batch...)
		var got []string
		for {
			list := b.receive(t, q, 100)
			if len(list) == 0 {
				break
			}
			for _, m := range list {
				if m.ID != results[len(got)].ID {
					t.Fatalf("message %d has id %s, its send was answered %s", len(got), m.ID, results[len(got)].ID)
				}
				got = append(got, m.Body)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	})
}

func TestABatchSaysWhatBecameOfEachMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.MaxMessageSize = 2048 })
		tooLong := queues.DefaultSettings().Retention + time.Second
		bad := []queues.Outgoing{
			{Body: []byte("fine")},
			{Body: make([]byte, 2049)},
			{Body: make([]byte, 2048)},
			{Body: make([]byte, 2047), Attributes: []queues.Attribute{{Name: "a", Type: "String", Value: "b"}}},
			{Body: []byte("late"), Delay: &tooLong},
			{Body: []byte("last")},
		}
		got := b.batch(t, q, false, bad...)
		for i, want := range []error{nil, queues.ErrMessageTooLarge, nil, queues.ErrMessageTooLarge, &errs.Error{Code: "validation_failed"}, nil} {
			if !errors.Is(got[i].Err, want) {
				t.Errorf("message %d: got %v, want %v", i, got[i].Err, want)
			}
		}
		if _, err := b.SendBatch(t.Context(), b.tenant, q, bad, true); !errors.Is(err, queues.ErrMessageTooLarge) {
			t.Errorf("atomic: got %v, want %v", err, queues.ErrMessageTooLarge)
		}
		if got := b.counts(t, q); got != [3]int64{3, 0, 0} {
			t.Errorf("counts: got %v, want 3 available", got)
		}
		b.healthy(t, q)
	})
}

func TestAtomicBatchesAreBounded(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		many := func(n, size int) []queues.Outgoing {
			batch := make([]queues.Outgoing, n)
			for i := range batch {
				batch[i].Body = make([]byte, size)
			}
			return batch
		}
		for _, c := range []struct {
			n, size int
			want    error
		}{{100, 10, nil}, {101, 10, queues.ErrAtomicTooLarge}, {2, 510 << 10, nil}, {3, 400 << 10, queues.ErrAtomicTooLarge}} {
			before := b.counts(t, q)[0]
			_, err := b.SendBatch(t.Context(), b.tenant, q, many(c.n, c.size), true)
			if !errors.Is(err, c.want) {
				t.Errorf("%d messages of %d bytes: got %v, want %v", c.n, c.size, err, c.want)
			}
			if got := b.counts(t, q)[0] - before; got != int64(c.n) && c.want == nil || got != 0 && c.want != nil {
				t.Errorf("%d messages of %d bytes: %d were stored", c.n, c.size, got)
			}
		}
		b.healthy(t, q)
	})
}

// Large and small messages go in and out whole and in order, a bounded number of bytes at a time.
func TestLargeAndSmallMessages(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		sizes := []int{600 << 10, 10, 300 << 10, 300 << 10, 10, 10, 1 << 20, 1 << 20, 1, 100 << 10, 100 << 10, 100 << 10, 100 << 10, 100 << 10, 100 << 10, 5}
		batch := make([]queues.Outgoing, len(sizes))
		for i, n := range sizes {
			batch[i].Body = bytes.Repeat([]byte{byte('a' + i)}, n)
		}
		b.batch(t, q, false, batch...)
		i := 0
		for calls := 0; i < len(sizes); calls++ {
			got := b.receive(t, q, 100)
			total := 0
			for _, m := range got {
				if m.Body != string(batch[i].Body) {
					t.Fatalf("message %d has %d bytes %.1q…, want %d bytes", i, len(m.Body), m.Body, sizes[i])
				}
				total += len(m.Body)
				i++
			}
			if len(got) == 0 || calls > len(sizes) {
				t.Fatalf("call %d returned nothing; %d of %d were received", calls, i, len(sizes))
			}
			if len(got) > 1 && total > 512<<10 {
				t.Errorf("call %d returned %d messages of %d bytes, more than 512 KiB", calls, len(got), total)
			}
		}
		if got := b.counts(t, q); got != [3]int64{0, int64(len(sizes)), 0} {
			t.Errorf("counts: got %v", got)
		}
		b.clock.Advance(time.Minute)
		if got := b.settleAll(t, q); got != len(sizes) {
			t.Errorf("%d came back after their leases, want %d", got, len(sizes))
		}
		b.healthy(t, q)
	})
}

// Large messages that retention has ended are dropped a bounded number of bytes at a time; who asks for a message or a
// count gets past them all the same.
func TestLargeMessagesThatAreOver(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const n = 12
		for _, where := range []string{"new", "returned"} {
			for _, ask := range []string{"receive", "count"} {
				q := b.queue(t, func(s *queues.Settings) { s.Retention = time.Minute })
				for range n {
					b.batch(t, q, false, queues.Outgoing{Body: make([]byte, 700<<10)})
				}
				if where == "returned" {
					for range n {
						b.receive(t, q, 1)
					}
					b.clock.Advance(30 * time.Second)
				}
				b.clock.Advance(time.Minute)
				b.send(t, q, "alive")
				if ask == "receive" {
					if diff := cmp.Diff([]string{"alive"}, bodies(b.receive(t, q, 10))); diff != "" {
						t.Errorf("%s: received (-want +got):\n%s", where, diff)
					}
				} else if got := b.counts(t, q); got != [3]int64{1, 0, 0} {
					t.Errorf("%s: counts: got %v, want the one that is alive", where, got)
				}
				b.healthy(t, q)
			}
		}
	})
}

func TestEverythingOfAMessageComesBack(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		attributes := make([]queues.Attribute, queues.MaxAttributes)
		for i := range attributes {
			attributes[i] = queues.Attribute{Name: fmt.Sprint("n", i), Type: "Binary", Value: string(all) + strings.Repeat("x", i*50)}
		}
		want := []queues.Outgoing{
			{Body: all},
			{Body: []byte{}},
			{Body: []byte("|,\r\n\x00"), ContentType: "application/json"},
			{Body: all, ContentType: strings.Repeat("t", 127), Attributes: attributes, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			{Body: []byte("x"), Attributes: []queues.Attribute{{Name: "a.b-c_d", Type: "Number.int", Value: "-1.5e10"}, {Name: "s", Type: "String", Value: "ä\x00"}}},
		}
		b.batch(t, q, false, want...)
		got := b.receive(t, q, 10)
		if len(got) != len(want) {
			t.Fatalf("received %d messages, want %d", len(got), len(want))
		}
		for i, m := range got {
			back := queues.Outgoing{Body: []byte(m.Body), ContentType: m.ContentType, Attributes: m.Attributes, TraceParent: m.TraceParent}
			if diff := cmp.Diff(want[i], back); diff != "" {
				t.Errorf("message %d (-sent +received):\n%s", i, diff)
			}
		}
	})
}
