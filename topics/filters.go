package topics

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Tested is what the filter policy of a subscription makes of a message.
type Tested struct {
	Subscription string
	Failures     []filter.Failure // none: it gets through
}

// TestFilters says what the filter policies of a topic's subscriptions, as they are now, make of a message.
func (s *Store) TestFilters(ctx context.Context, t tenants.ID, name string, m *filter.Message) ([]Tested, error) {
	var out []Tested
	err := s.with(ctx, t, name, func(tp *topic) error {
		snap, err := tp.subscriptions(ctx, "")
		if err != nil {
			return err
		}
		out = make([]Tested, 0, len(snap.list))
		for _, r := range snap.list {
			c := carried{record: *r}
			if r.damaged != nil || c.compile() != nil {
				continue // nothing is carried to it
			}
			out = append(out, Tested{Subscription: r.name, Failures: c.rules[len(c.rules)-1].policy.Explain(m)})
		}
		slices.SortFunc(out, func(a, b Tested) int { return cmp.Compare(a.Subscription, b.Subscription) })
		return nil
	})
	return out, err
}

// MaxCountedBytes bounds the bodies that CountMatching looks at.
const MaxCountedBytes = 16 << 20

// Counted is how many messages of a log a filter policy lets through.
type Counted struct {
	Matched, Looked int
	// Oldest is when the first of those was published that were looked at; zero: there was none.
	Oldest   time.Time
	Complete bool // all that were asked for, or that there are, were looked at
}

// CountMatching says how many of the last messages of a topic's log, at most MaxLast, a filter policy lets through. It looks at
// MaxCountedBytes, or one message more.
func (s *Store) CountMatching(ctx context.Context, t tenants.ID, name string, p *filter.Policy, last int) (Counted, error) {
	var out Counted
	err := s.with(ctx, t, name, func(tp *topic) error {
		out = Counted{}
		var m filter.Message
		bytes := 0
		for from := (Place{Last: last}); ; {
			page, err := tp.read(ctx, from, min(MaxRead, last-out.Looked))
			if errors.Is(err, ErrNotRetained) { // since the page before
				from = Place{}
				continue
			}
			if err != nil {
				return err
			}
			for i := range page.Messages {
				l := &page.Messages[i]
				if out.Looked++; out.Looked == 1 {
					out.Oldest = l.PublishedAt
				}
				Show(&m, &l.Message)
				if p.Match(&m) {
					out.Matched++
				}
				bytes += len(l.Message.Body)
			}
			out.Complete = page.first == 0 || out.Looked >= last
			if out.Complete || bytes > MaxCountedBytes {
				return nil
			}
			from = Place{After: &page.Next}
		}
	})
	return out, err
}

// Show gives a message to filter policies.
func Show(f *filter.Message, m *queues.Outgoing) {
	f.Reset(string(m.Body))
	for _, a := range m.Attributes {
		f.AddAttribute(a.Name, a.Type, a.Value)
	}
}
