package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// owners are topics as the owners of schedules; see queues.Schedules.
type owners struct{ *Store }

// HeadKey implements queues.ScheduleOwners.
func (o owners) HeadKey(t tenants.ID, uid string) string { return topicKeys(t, uid)[0] }

// WithOwner implements queues.ScheduleOwners.
func (o owners) WithOwner(ctx context.Context, t tenants.ID, name string, f func(queues.ScheduleOwner) error) error {
	return o.with(ctx, t, name, func(tp *topic) error {
		err := f(queues.ScheduleOwner{Tenant: t, Name: name, UID: tp.uid, Rules: tp.rules, Send: tp.publishScheduled})
		if errors.Is(err, queues.ErrOwnerGone) {
			return errGone
		}
		return err
	})
}

// rules are the settings of a queue that takes what the topic does, and nothing that a topic does not keep.
func (tp *topic) rules(ctx context.Context) (queues.Settings, error) {
	c, _, err := tp.store.load(ctx, tp.keys, nil)
	if err != nil {
		return queues.Settings{}, err
	}
	tp.config.Store(c)
	set := c.asQueue()
	set.ForwardTo = queues.TopicTarget(c.name)
	return set, nil
}

// publishScheduled publishes what a schedule sends.
func (tp *topic) publishScheduled(ctx context.Context, batch []queues.Outgoing) ([]queues.SendResult, error) {
	for i := range batch {
		batch[i].Delay = nil // it is 0: rules let nothing else through
	}
	published, err := tp.publishBatch(ctx, batch, false)
	tp.store.count(tp.at.tenant, tp.at.name, published, err)
	if err != nil {
		return nil, err
	}
	results := make([]queues.SendResult, len(published))
	for i, p := range published {
		results[i] = queues.SendResult{Err: p.Err, Sent: queues.Sent{ID: p.ID, AvailableAt: p.At, Replayed: p.Replayed, SequenceNumber: fmt.Sprintf("%020d", p.Sequence), Now: p.Now}}
	}
	return results, nil
}
