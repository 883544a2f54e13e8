package alarms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// Message is what is published when an alarm changes its state. docs/alarms.md shows one.
type Message struct {
	Type       string     `json:"type"` // MessageType
	Alarm      string     `json:"alarm"`
	State      State      `json:"state"`
	Previous   State      `json:"previous_state"`
	At         string     `json:"at"` // RFC 3339, in UTC with milliseconds
	Metric     Metric     `json:"metric"`
	Comparison Comparison `json:"comparison"`
	Threshold  float64    `json:"threshold"`
	Period     int64      `json:"period"` // seconds
	Periods    int        `json:"periods"`
	// Value is what was seen of the first of Names: queues, webhooks as topic/subscription, or limits.
	Value       *float64 `json:"value"`
	Names       []string `json:"names"`
	Reason      string   `json:"reason"`
	Description string   `json:"description"`
}

// MessageType is the type of each Message.
const MessageType = "alarm.state_changed"

// tell tells of the changes of an alarm of which not all was told yet, and notes that. A server that dies in between leaves
// it to the next look: a message that was published within the last five minutes is not published again.
func (s *Store) tell(ctx context.Context, t tenants.ID, r *record) error {
	if err := s.step(); err != nil {
		return err
	}
	list, err := s.changes(ctx, t, r, max(r.state.Told, r.state.Seq-Kept), r.state.Seq)
	if err != nil {
		return err
	}
	for i := range list {
		c := &list[i]
		if !r.def.tells(c) {
			r.state.Told = c.Seq
			continue
		}
		again, err := s.tellOf(ctx, t, r, c)
		if err != nil {
			return err
		}
		if again {
			break
		}
		r.state.Told = c.Seq
	}
	if len(list) == 0 {
		r.state.Told = r.state.Seq // the log has none of them any more
	}
	_, err = s.save(ctx, t, []*saving{{record: r}})
	return err
}

// tellOf tells of one change by all ways, and reports whether some of it is to be tried again.
func (s *Store) tellOf(ctx context.Context, t tenants.ID, r *record, c *storedChange) (again bool, err error) {
	r.state.Trouble = nil
	for _, tell := range []func(context.Context, tenants.ID, *record, *storedChange) error{s.publish, s.write} {
		err := tell(ctx, t, r, c)
		if err == nil {
			continue
		}
		e, ok := errors.AsType[*errs.Error](err)
		if !ok {
			return false, err
		}
		r.state.Trouble = &storedError{s.Clock.Now().UnixMilli(), e.Code, e.Message}
		if !hopeless(e.Kind) {
			return true, nil
		}
	}
	return false, nil
}

// publish publishes a change, unless that was done.
func (s *Store) publish(ctx context.Context, t tenants.ID, r *record, c *storedChange) error {
	if r.def.NotifyTopic == "" || r.state.Published >= c.Seq {
		return nil
	}
	_, err := s.Topics.Publish(ctx, t, r.def.NotifyTopic, r.message(c))
	switch {
	case err == nil:
		s.told.Add(1)
	case hopeless(errs.KindOf(err)):
		s.lost.Add(1)
	default:
		return err
	}
	r.state.Published = c.Seq
	return err
}

// tells reports whether anybody is told of a change. That all is well is news only to those who were told of something else.
func (d *definition) tells(c *storedChange) bool {
	if d.NotifyTopic == "" && len(d.NotifyEmail) == 0 || c.Muted || !slices.Contains(d.NotifyOn, c.To) {
		return false
	}
	return c.From != Unknown || c.To != OK || slices.Contains(d.NotifyOn, Unknown)
}

// hopeless reports whether telling again would end the same way.
func hopeless(k errs.Kind) bool {
	return slices.Contains([]errs.Kind{errs.Malformed, errs.Invalid, errs.Forbidden, errs.NotFound, errs.Conflict, errs.Gone, errs.TooLarge}, k)
}

// message returns what is published of a change.
func (r *record) message(c *storedChange) queues.Outgoing {
	d := &r.def
	names := c.Names
	if names == nil {
		names = []string{}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // people read it, too
	_ = enc.Encode(Message{Type: MessageType, Alarm: r.name, State: c.To, Previous: c.From, At: at(c.At).Format("2006-01-02T15:04:05.000Z"),
		Metric: d.Metric, Comparison: d.Comparison, Threshold: d.Threshold, Period: d.Period, Periods: d.Periods,
		Value: c.Value, Names: names, Reason: c.Why, Description: d.Description}) // of numbers that are finite, and text
	key := "alarm-" + d.UID + "-" + strconv.FormatInt(c.Seq, 10)
	m := queues.Outgoing{Body: bytes.TrimSpace(body.Bytes()), ContentType: "application/json", IdempotencyKey: key, Subject: "Alarm " + r.name + ": " + string(c.To),
		Attributes: []queues.Attribute{
			{Name: "alarm", Type: "String", Value: r.name},
			{Name: "state", Type: "String", Value: string(c.To)},
			{Name: "metric", Type: "String", Value: string(d.Metric)},
		}}
	if topics.IsFIFOName(d.NotifyTopic) {
		m.IdempotencyKey, m.DeduplicationID, m.GroupID = "", key, r.name
	}
	return m
}
