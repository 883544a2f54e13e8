package queues_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

// urgent sends a message with a priority, whose body is that and a name.
func (b *bench) urgent(tb testing.TB, q string, priority int, name string, change func(*queues.Outgoing)) {
	tb.Helper()
	m := queues.Outgoing{Body: fmt.Appendf(nil, "%d%s", priority, name), Priority: priority}
	if change != nil {
		change(&m)
	}
	if _, err := b.Send(tb.Context(), b.tenant, q, m); err != nil {
		tb.Fatalf("send %s: %v", m.Body, err)
	}
}

func TestPriorityGivesAHeadStart(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for i, p := range []int{0, 1, 9, 0, 5, 9} {
			b.urgent(t, q, p, fmt.Sprint(i), nil)
			b.clock.Advance(time.Millisecond)
		}
		b.healthy(t, q)
		if got, want := b.counts(t, q), [3]int64{6, 0, 0}; got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
		b.take(t, q, 1, "92")
		b.take(t, q, 10, "95", "54", "11", "00", "03")
	})
}

func TestAMessageWithoutPriorityIsNotStarved(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.PriorityStep = 10 * time.Second })
		b.urgent(t, q, 0, "old", nil)
		b.urgent(t, q, 2, "old", nil)
		b.clock.Advance(20*time.Second - time.Millisecond)
		b.urgent(t, q, 2, "new", nil) // still in time to overtake
		b.clock.Advance(2 * time.Millisecond)
		b.urgent(t, q, 2, "late", nil)
		b.take(t, q, 10, "2old", "2new", "0old", "2late")
	})
}

func TestAMessageKeepsItsPriorityWhenItComesBack(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		other := b.another(t)
		minute := time.Minute
		b.urgent(t, q, 5, "returned", nil)
		b.urgent(t, q, 5, "unseen", nil)
		b.urgent(t, q, 5, "timed out", nil)
		b.urgent(t, q, 5, "put off", nil)
		b.urgent(t, q, 5, "delayed", func(m *queues.Outgoing) { m.Delay = &minute })
		got := map[string]queues.Message{}
		for _, m := range other.receive(t, q, 10) {
			got[m.Body] = m
		}
		b.clock.Advance(time.Second)
		other.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: got["5returned"].ReceiptHandle},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: got["5put off"].ReceiptHandle, For: time.Minute})
		other.Unreceive(t.Context(), b.tenant, q, []queues.Message{got["5unseen"]})
		b.clock.Advance(2 * time.Minute)
		b.urgent(t, q, 1, "", nil)
		// By when they became available less five minutes each; a server that starts now finds it so.
		later := b.another(t)
		if diff := cmp.Diff([]string{"5unseen", "5returned", "5timed out", "5delayed", "5put off", "1"}, bodies(later.receive(t, q, 10))); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		b.healthy(t, q)
	})
}

func TestPriorityIsShownAndFound(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.urgent(t, q, 0, "", nil)
		b.urgent(t, q, 7, "", nil)
		page, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{})
		if err != nil || len(page.Messages) != 2 {
			t.Fatalf("peek: %v, %v", page, err)
		}
		for _, m := range page.Messages {
			if fmt.Sprint(m.Priority) != m.Body {
				t.Errorf("%s has the priority %d", m.Body, m.Priority)
			}
		}
		f, err := queues.ParseFilter("priority>=5")
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.Search(t.Context(), b.tenant, q, queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 10}, Match: f.Match})
		if err != nil || len(found.Messages) != 1 || found.Messages[0].Body != "7" {
			t.Errorf("search: got %+v, %v", found, err)
		}
	})
}

func TestPriorityIsRefusedWhereOrderIsAnothers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, fifo := b.queue(t, nil), b.fifo(t, nil)
		for _, bad := range []int{-1, 10} {
			refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), Priority: bad}), "validation_failed", "/priority")
		}
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), Priority: 1, GroupID: "g"}), "validation_failed", "/priority")
		refusedWith(t, b.one(t, fifo, queues.Outgoing{Body: []byte("m"), Priority: 1, GroupID: "g"}), "validation_failed", "/priority")
		for _, bad := range []time.Duration{0, time.Second / 2, queues.MaxPriorityStep + time.Second} {
			set := queues.DefaultSettings()
			set.PriorityStep = bad
			_, _, err := b.Put(t.Context(), b.tenant, q, set, queues.Condition{})
			refusedWith(t, err, "validation_failed", "/priority_step")
		}
		b.take(t, q, 10)
	})
}

// Beside groups, messages with a priority are of those without a group, and come first among them.
func TestPriorityBesideGroups(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.post(t, q, "g:g1", "g:g2")
		b.clock.Advance(time.Millisecond)
		b.send(t, q, "plain")
		b.urgent(t, q, 9, "", nil)
		for _, want := range [][]string{{"9", "g1"}, {"g2", "plain"}} {
			got := bodies(b.receive(t, q, 2)) // one of each, whoever has the first turn
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		}
		b.healthy(t, q)
	})
}
