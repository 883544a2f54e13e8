package queues_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

// giveUp sends messages with the bodies to q and gives each one up for a reason, a second after the one before.
func (b *bench) giveUp(tb testing.TB, q string, reasons ...string) {
	tb.Helper()
	for i, reason := range reasons {
		b.post(tb, q, fmt.Sprintf("g:%d", i))
		m := b.receive(tb, q, 1)[0]
		b.settle(tb, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle, Reason: reason})
		b.arrived(tb, q)
		b.clock.Advance(time.Second)
	}
}

// reasons asks for all parts and adds them up. It returns how many messages each reason has, and each filter.
func (b *bench) reasons(tb testing.TB, q, filter string, opt queues.PeekOptions) (counts map[string]int, filters map[string]string, looked int) {
	tb.Helper()
	f, err := queues.ParseFilter(filter)
	if err != nil {
		tb.Fatal(err)
	}
	counts, filters = map[string]int{}, map[string]string{}
	for {
		part, err := b.Reasons(tb.Context(), b.tenant, q, opt, f)
		if err != nil {
			tb.Fatalf("reasons: %v", err)
		}
		sum := part.Others
		for _, c := range part.Counts {
			counts[c.Reason] += c.Count
			filters[c.Reason] = c.Filter
			sum += c.Count
		}
		if looked += part.Looked; sum != part.Matching {
			tb.Errorf("the counts and others are %d messages, matching %d", sum, part.Matching)
		}
		if opt.Cursor = part.Next; part.Next == "" {
			return counts, filters, looked
		}
	}
}

var everything, _ = queues.ParseFilter("")

func TestMessagesAreCountedByReason(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for name, change := range map[string]func(*queues.Settings){"standard": nil, "fifo": fifoSettings} {
			q, dead := b.redriven(t, 9, change)
			first := b.clock.Now()
			b.giveUp(t, q, "price: null", "the bank is closed", "price: null", "", "price: null", "price: null*")
			here := queues.Outgoing{GroupID: "other", Body: []byte("sent here")}
			if change != nil {
				here.DeduplicationID = "here"
			}
			if err := b.one(t, dead, here); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{"price: null": 3, "the bank is closed": 1, "rejected": 1, "price: null*": 1, "": 1}
			before := b.peek(t, dead, queues.PeekOptions{})
			got, filters, looked := b.reasons(t, dead, "", queues.PeekOptions{})
			if diff := cmp.Diff(want, got); diff != "" || looked != 7 {
				t.Errorf("%s: looked at %d, counts (-want +got):\n%s", name, looked, diff)
			}
			// Each filter means these messages and no others.
			for reason, filter := range filters {
				if found, _ := b.find(t, dead, filter, "", 0); len(found) != want[reason] {
					t.Errorf("%s: %s finds %d messages, want %d", name, filter, len(found), want[reason])
				}
			}
			part, err := b.Reasons(t.Context(), b.tenant, dead, queues.PeekOptions{Limit: 1}, everything)
			if err != nil {
				t.Fatal(err)
			}
			top := queues.ReasonCount{Reason: "price: null", Count: 3, First: first, Last: first.Add(4 * time.Second), Sources: []string{q}, Filter: `reason="price: null"`}
			if diff := cmp.Diff(queues.Reasons{Counts: []queues.ReasonCount{top}, Others: 4, Matching: 7, Looked: 7}, part); diff != "" {
				t.Errorf("%s: the first one (-want +got):\n%s", name, diff)
			}
			if got, filters, _ := b.reasons(t, dead, "reason~bank OR reason~null", queues.PeekOptions{}); got["price: null"] != 3 || len(got) != 3 ||
				filters["the bank is closed"] != `(reason~bank OR reason~null) reason="the bank is closed"` {
				t.Errorf("%s: with a filter got %v, %v", name, got, filters)
			}
			if diff := cmp.Diff(before, b.peek(t, dead, queues.PeekOptions{})); diff != "" {
				t.Errorf("%s: counting changed (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestAReasonIsFoundAgainWhateverItSays(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 9, nil)
		long := strings.Repeat("\x01", queues.MaxReason)
		odd := []string{`a "quoted" \ one`, "two\nlines\tand a tab", "a*", "-(OR)", "Grüße ☃", "rejected ", long}
		b.giveUp(t, q, odd...)
		want := map[string]int{}
		for _, reason := range odd {
			want[reason] = 1
		}
		got, filters, _ := b.reasons(t, dead, "", queues.PeekOptions{})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("counts (-want +got):\n%s", diff)
		}
		if filters[long] != "" {
			t.Error("a filter is longer than filters may be")
		}
		for _, reason := range odd[:len(odd)-1] {
			found, _ := b.find(t, dead, filters[reason], "", 0)
			if len(found) != 1 || found[0].Origin.Error != reason {
				t.Errorf("%s finds %d messages, want the one of %q", filters[reason], len(found), reason)
			}
		}
	})
}

func TestReasonsAreCountedInParts(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Shards = 2 })
		const many = queues.MaxSearch + 700
		batch := make([]queues.Outgoing, 100)
		for i := range batch {
			batch[i] = queues.Outgoing{Body: []byte("x")}
		}
		for range many / len(batch) {
			b.batch(t, q, false, batch...)
		}
		part, err := b.Reasons(t.Context(), b.tenant, q, queues.PeekOptions{}, everything)
		if err != nil || part.Looked > queues.MaxSearch || part.Next == "" {
			t.Fatalf("looked at %d at once, next %q, %v; want at most %d and a next part", part.Looked, part.Next, err, queues.MaxSearch)
		}
		counts, _, looked := b.reasons(t, q, "", queues.PeekOptions{})
		if diff := cmp.Diff(map[string]int{"": many}, counts); diff != "" || looked != many {
			t.Errorf("looked at %d, counts (-want +got):\n%s", looked, diff)
		}
		b.receive(t, q, 1)
		if counts, _, _ := b.reasons(t, q, "", queues.PeekOptions{State: queues.InFlight}); !maps.Equal(counts, map[string]int{"": 1}) {
			t.Errorf("in flight: got %v, want one", counts)
		}
		for _, opt := range []queues.PeekOptions{{Limit: queues.MaxPeek + 1}, {State: "gone"}, {Cursor: "x"}} {
			if _, err := b.Reasons(t.Context(), b.tenant, q, opt, everything); err == nil {
				t.Errorf("%+v was not refused", opt)
			}
		}
		if _, err := b.Reasons(t.Context(), b.tenant, "nothing", queues.PeekOptions{}, everything); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("of a queue that is not there: got %v, want %v", err, queues.ErrQueueNotFound)
		}
	})
}
