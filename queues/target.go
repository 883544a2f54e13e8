package queues

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// topicTarget begins the name of a place where messages go that is a topic. No queue's name has a colon.
	topicTarget = "topic:"
	// MaxHops is how often a message goes on to a topic, from another topic or a queue. What goes round in a ring that nobody has
	// seen coming ends there: the message counts its hops.
	MaxHops = 8
	// maxTopicMessage bounds what is sent to a queue that forwards to a topic, in bytes, as what is published.
	maxTopicMessage = 256 << 10
)

// TopicTarget returns how a topic is named where a queue could be.
func TopicTarget(topic string) string { return topicTarget + topic }

// CutTopicTarget returns the topic that TopicTarget has named, and false for a queue.
func CutTopicTarget(target string) (topic string, ok bool) {
	return strings.CutPrefix(target, topicTarget)
}

// Topics are where queues forward to that forward to a topic: package topics, which stands above this one.
type Topics interface {
	// Forwardable refuses that a queue forwards to a topic from where its messages come back to it. The error is of the kind
	// errs.NotFound when there is no such topic.
	Forwardable(ctx context.Context, t tenants.ID, queue, topic string) error
	// Accept stores messages of a source in their order, each once however often it is brought, and returns the number up to
	// which all have come: below the last one when there is no room for the others. The error is of the kind errs.NotFound when
	// there is no such topic.
	Accept(ctx context.Context, t tenants.ID, topic, source string, list []Onward) (reached int64, err error)
}

// Onward is a message on its way to a topic.
type Onward struct {
	Number int64 // at its source, where numbers grow; above 0
	ID     engine.ID
	Record []byte // as Outgoing.Record returns it, with Hops counted
}

// Connect says where topics are. Call it once, before anything else; without it no queue forwards to one.
func (s *Store) Connect(t Topics) { s.topics = t }

// toTopic reports whether messages go on to a topic.
func (s Settings) toTopic() bool {
	_, ok := CutTopicTarget(s.ForwardTo)
	return ok
}

// forwardableTo is forwardable for a queue that forwards to a topic.
func (s *Store) forwardableTo(ctx context.Context, t tenants.ID, queue, topic string) error {
	if s.topics == nil {
		return errs.Invalidf("/forward_to", "This server has no topics.")
	}
	return s.topics.Forwardable(ctx, t, queue, topic)
}

// validateForTopic refuses what a topic does not keep of a message: it would be lost on the way.
func (m *Outgoing) validateForTopic(s Settings) error {
	if !s.toTopic() {
		return nil
	}
	refuse := func(pointer, what string) error {
		e := errs.Invalidf(pointer, "What goes to a topic has no %s.", what)
		e.Fix = "Leave it out, and set it on the queues that subscribe to the topic."
		return e
	}
	switch {
	case m.Delay != nil && *m.Delay > 0:
		return refuse("/delay", "delay")
	case m.TTL != 0:
		return refuse("/ttl", "end of their own")
	case m.Priority != 0:
		return refuse("/priority", "priority")
	case m.Retry != nil:
		return refuse("/retry", "retry policy")
	case m.size() > maxTopicMessage:
		e := *ErrMessageTooLarge
		e.Message = fmt.Sprintf("The message has %d bytes with its attributes; the topic to which this queue forwards takes at most %d.", m.size(), maxTopicMessage)
		return &e
	}
	return nil
}

// published returns a forwarded message as a topic stores it.
func (p *parcel) published(m Message) {
	out := m.outgoing()
	p.hops = out.Hops
	out.Hops++
	p.record = out.Record()
}

// bringToTopic is bring for messages that go on to a topic, which remembers the number of the last one that came from this
// queue, or this shard of it. What has come through too many topics comes back.
func (d *desk) bringToTopic(ctx context.Context, topic string, journey int64, group []parcel) (here []parcel, err error) {
	if d.store.topics == nil {
		return nil, engine.ErrUnavailable
	}
	list := make([]Onward, 0, len(group))
	var tired, rest []parcel
	for _, p := range group {
		number, err := strconv.ParseInt(p.number, 10, 64)
		switch {
		case err != nil:
			return nil, engine.ErrBroken.Because(err)
		case p.hops >= MaxHops:
			tired = append(tired, p)
		default:
			rest = append(rest, p)
			list = append(list, Onward{Number: number, ID: p.id, Record: p.record})
		}
	}
	if len(tired) > 0 {
		d.store.logger.Warn("messages that have come through too many topics stay where they are", "queue", d.at.name, "topic", topic, "count", len(tired))
		if err := d.restore(ctx, journey, tired); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return tired, nil
	}
	reached, err := d.store.topics.Accept(ctx, d.at.tenant, topic, d.uid, list)
	if errs.KindOf(err) == errs.NotFound {
		here, err = d.takeBack(ctx, journey, rest, err)
		return append(tired, here...), err
	}
	if err != nil {
		return tired, err
	}
	come := slices.IndexFunc(list, func(m Onward) bool { return m.Number > reached })
	if come < 0 {
		return group, nil
	}
	return append(tired, rest[:come]...), errWaits
}

// asFault says of the setting that names a target what is wrong with it.
func asFault(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.NotFound {
		return errs.Invalidf("/forward_to", "%s", e.Message)
	}
	return err
}
