package queues

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/search"
	"github.com/sluicemq/sluice/tenants"
)

// maxSources is how many queues and topics a reason names from which its messages came.
const maxSources = 10

// ReasonCount counts those messages of a look at a queue of which the same is said.
type ReasonCount struct {
	// Reason is what the field reason of a filter holds: what a consumer said last, or else why the message is here. "": nothing.
	Reason string
	Count  int
	// First and Last are when the first and the last of them came to the queue.
	First, Last time.Time
	// Sources are the queues and topics from which they came, by name, at most maxSources of them.
	Sources []string
	// Filter is what means these messages and no others of the queue, among those that were asked about. "": that is longer than a
	// filter may be.
	Filter string
}

// Reasons are the counts of a part of a queue's messages.
type Reasons struct {
	Counts   []ReasonCount // the largest first
	Others   int           // messages whose reasons are not among them, because there are so many
	Matching int           // messages that match
	Looked   int           // messages that were looked at
	Next     string        // where the next part begins; "" when this is the last
}

// Reasons counts messages by what is said of them, without lending them out or changing anything. It looks at as many as a
// search does and goes on from Next: whoever wants all adds up the parts. Limit bounds the reasons.
func (s *Store) Reasons(ctx context.Context, t tenants.ID, queue string, opt PeekOptions, filter *Filter) (Reasons, error) {
	view, from, err := opt.read(MaxPeek)
	if err != nil {
		return Reasons{}, err
	}
	var out Reasons
	var all []*ReasonCount
	err = s.with(ctx, t, queue, func(d *desk) error {
		out = Reasons{}
		counts := map[string]*ReasonCount{}
		found, err := d.search(ctx, view, from, SearchOptions{PeekOptions: opt, Match: func(m *Message, now time.Time) bool {
			if filter.Match(m, now) {
				out.Matching++
				countReason(counts, m)
			}
			return false // nothing is shown, so that it does not stop at the limit
		}})
		out.Looked, out.Next = found.Looked, found.Next
		all = slices.SortedFunc(maps.Values(counts), func(a, b *ReasonCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
		})
		return err
	})
	if err != nil {
		return Reasons{}, err
	}
	for i, c := range all {
		if i >= opt.Limit {
			out.Others += c.Count
			continue
		}
		c.Filter = withReason(filter, c.Reason)
		out.Counts = append(out.Counts, *c)
	}
	return out, nil
}

func countReason(counts map[string]*ReasonCount, m *Message) {
	reason, came := m.reason(), m.came()
	c := counts[reason]
	if c == nil {
		c = &ReasonCount{Reason: reason, First: came, Last: came}
		counts[reason] = c
	}
	c.Count++
	if came.Before(c.First) {
		c.First = came
	}
	if came.After(c.Last) {
		c.Last = came
	}
	source := m.source()
	if i, known := slices.BinarySearch(c.Sources, source); source != "" && !known && len(c.Sources) < maxSources {
		c.Sources = slices.Insert(c.Sources, i, source)
	}
}

// withReason returns a filter for what another one means and of which something is said. "": it would be too long, or too deep.
func withReason(filter *Filter, reason string) string {
	text := "-reason:*"
	if reason != "" {
		text = "reason=" + search.Quote(reason)
	}
	if filter.String() != "" {
		text = "(" + filter.String() + ") " + text
	}
	f, err := language.Parse(text)
	if err != nil {
		return ""
	}
	return f.String()
}
