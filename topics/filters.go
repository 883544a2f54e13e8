package topics

import (
	"cmp"
	"context"
	"slices"

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

// Show gives a message to filter policies.
func Show(f *filter.Message, m *queues.Outgoing) {
	f.Reset(string(m.Body))
	for _, a := range m.Attributes {
		f.AddAttribute(a.Name, a.Type, a.Value)
	}
}
