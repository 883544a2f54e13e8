package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// MaxHops is how often a message goes on to another topic. Each topic that gets one so counts in the message, which is how a
// ring ends that nobody has seen coming.
const MaxHops = queues.MaxHops

// fixRing is what to do about subscriptions and queues that would lead messages round.
var fixRing = fmt.Sprintf("Take out one of these steps, or lead to another place. A message goes on to at most %d topics.", MaxHops)

// maxWalk bounds the topics and queues at which one looks to see whether messages would go round.
const maxWalk = 100

// ErrTooManyHops says that a message has come through as many topics as it may.
var ErrTooManyHops = &errs.Error{Kind: errs.Conflict, Code: "too_many_hops",
	Message: fmt.Sprintf("A message has gone on to another topic or endpoint %d times, and goes no further: mostly because topics forward to each other in a ring.", MaxHops)}

// sourceField is the field of a topic's head that remembers how far a source has brought its messages.
func sourceField(source string) string { return "S" + source }

// accept stores messages of a source in their order, each once however often it is brought and by however many servers. The
// topic remembers for the source up to which number all has come; a call brings what lies between that and end. It returns
// how far all has come by now, and where that is below end why. how says what it draws where the tenant may store little more.
func (s *Store) accept(ctx context.Context, t tenants.ID, name, source string, list []queues.Onward, end int64, how tenants.Drawing) (reached int64, full, err error) {
	err = s.with(ctx, t, name, func(tp *topic) error {
		var err error
		reached, full, err = tp.accept(ctx, source, list, end, how)
		return err
	})
	return reached, full, err
}

func (tp *topic) accept(ctx context.Context, source string, list []queues.Onward, end int64, how tenants.Drawing) (reached int64, full, err error) {
	for first := true; first || len(list) > 0; first = false {
		n, size := 0, 0
		for n < len(list) && n < callMessages && (n == 0 || size+len(list[n].Record) <= callBytes) {
			size += len(list[n].Record)
			n++
		}
		upTo := end
		if n < len(list) {
			upTo = list[n-1].Number
		}
		if reached, full, err = tp.take(ctx, source, list[:n], upTo, how); err != nil || reached < upTo {
			return reached, full, err
		}
		list = list[n:]
	}
	return reached, nil, nil
}

// take makes one call of accept.lua.
func (tp *topic) take(ctx context.Context, source string, list []queues.Onward, upTo int64, how tenants.Drawing) (reached int64, full, err error) {
	s := tp.store
	terms, err := s.terms(ctx, tp.at.tenant)
	if err != nil {
		return 0, nil, err
	}
	most := s.storage.Most(ctx, tp.at.tenant, terms)
	mode := ""
	if most > 0 {
		mode = "1"
	}
	entry, draws := int64(0), 0
	for range maxStale {
		c, k, err := tp.checked(ctx, tp.config.Load())
		if err != nil {
			return 0, nil, err
		}
		session := s.engine.Session().Number()
		args := make([]any, 0, 11+2*len(list))
		args = append(args, c.version, sourceField(source), upTo, session, entry, leaseTime.Milliseconds(), c.Retention.Milliseconds(), Hold.Milliseconds(),
			s.maxLog(), MaxLogBytes, mode)
		for i := range list {
			record, err := k.passed(ctx, s, list[i].Record)
			if err != nil {
				return 0, nil, err
			}
			id := list[i].ID[:]
			args = append(args, list[i].Number, append(id[:len(id):len(id)], record...))
		}
		reply, err := s.engine.Do(ctx, acceptScript, tp.keys, args...)
		if err != nil {
			return 0, nil, err
		}
		got, err := verdict(reply)
		if err != nil {
			return 0, nil, err
		}
		switch engine.Text(got, 0) {
		case "ok":
			tp.accepted(got)
			return engine.Number(got, 2), tp.whyFull(got, full, most), nil
		case "stale":
			now, err := decodeConfig(engine.Text(got, 1), engine.Text(got, 2))
			if err != nil {
				return 0, nil, engine.ErrBroken.Because(err)
			}
			tp.config.Store(now)
		case "idle":
			if entry, err = s.enter(ctx, tp.at.tenant, tp.uid, engine.Number(got, 1)); err != nil {
				return 0, nil, err
			}
		case "short":
			if engine.Text(got, 5) == "1" {
				how = tenants.DrawAll
			}
			draws++
			if err := tp.draw(ctx, most, how, got); tenants.IsStorageFull(err) {
				full, mode = err, "2"
			} else if err != nil {
				return 0, nil, err
			}
			if draws == maxDraws {
				mode = "2"
			}
		default:
			return 0, nil, unexpected(engine.Text(got, 0))
		}
	}
	return 0, nil, engine.ErrUnavailable
}

// accepted does what is to be done after messages have come: those who wait for them are told.
func (tp *topic) accepted(reply []any) {
	if engine.Number(reply, 3) > 0 {
		tp.readers.tell()
	}
	if engine.Text(reply, 4) == "1" {
		tp.store.carry(tp.at.tenant, tp.uid)
	}
}

// whyFull says why a topic did not take all messages; nil: it has.
func (tp *topic) whyFull(reply []any, full error, most int64) error {
	word := engine.Text(reply, 5)
	switch {
	case word == "":
		return nil
	case word == "refused":
		return refusedBy(engine.Text(reply, 6))
	case word != "stored":
		return tp.store.refused(word)
	case full != nil:
		return full
	}
	return tenants.LimitStored.Reached(tenants.ErrStorageFull, most, most) // others fill what is drawn
}

// Accept stores messages that a queue forwards; see queues.Topics. They are granted here whether anything is left or not: the
// queue gives back as much when they have arrived.
func (s *Store) Accept(ctx context.Context, t tenants.ID, name, source string, list []queues.Onward) (reached int64, err error) {
	reached, _, err = s.accept(ctx, t, name, source, list, list[len(list)-1].Number, tenants.DrawAll)
	return reached, err
}

// Forwardable refuses that a queue forwards to a topic which brings its messages back to it; see queues.Topics.
func (s *Store) Forwardable(ctx context.Context, t tenants.ID, queue, name string) error {
	if _, err := s.Get(ctx, t, name); err != nil {
		return err
	}
	way, err := s.walk(ctx, t, queues.TopicTarget(name), queue)
	if err != nil || way == "" {
		return err
	}
	e := errs.Invalidf("/forward_to", "Messages would go round, or on and on: %s → %s.", queue, way)
	e.Fix = fixRing
	return e
}

// quit has a topic forget a source that brings nothing any more.
func (s *Store) quit(ctx context.Context, t tenants.ID, name, source string) error {
	err := s.with(ctx, t, name, func(tp *topic) error {
		_, err := s.engine.Do(ctx, quitScript, tp.keys[:1], sourceField(source))
		return err
	})
	if errors.Is(err, ErrTopicNotFound) {
		return nil
	}
	return err
}

// bring stores a parcel in the queue or topic to which its subscription leads.
func (s *Store) bring(ctx context.Context, t tenants.ID, from *config, p *parcel) (queues.Delivered, error) {
	if account, queue, ok := cutAbroad(p.queue); ok {
		return s.bringAbroad(ctx, t, from.name, account, queue, p)
	}
	to, ok := queues.CutTopicTarget(p.queue)
	if !ok {
		ctx = queues.By(ctx, func() queues.Actor { return queues.Actor{Kind: queues.ByTopic, Name: from.name} })
		if p.settings.DeadLetterQueue != "" {
			return s.queues.DeliverFitting(ctx, t, p.queue, p.source, p.list, p.to)
		}
		return s.queues.Deliver(ctx, t, p.queue, p.source, p.list, p.to)
	}
	list, refused := p.onward(from, to)
	end := p.to
	if p.settings.DeadLetterQueue != "" && len(refused) > 0 { // it stops there; see deliverOrBury
		refused = refused[:1]
		end = refused[0] - 1
		list = slices.DeleteFunc(list, func(m queues.Onward) bool { return m.Number > end })
	}
	reached, full, err := s.accept(ctx, t, to, p.source, list, end, tenants.DrawSome)
	if end < p.to {
		if reached < end {
			refused = nil
		}
		return queues.Delivered{Reached: reached, Refused: refused, Full: full}, err
	}
	refused = slices.DeleteFunc(refused, func(n int64) bool { return n > reached })
	return queues.Delivered{Reached: reached, Refused: refused, Full: full}, err
}

// refusal is why a queue or topic never takes a message that bring has refused.
func refusal(target string) (code, message string) {
	if _, ok := queues.CutTopicTarget(target); ok {
		return ErrTooManyHops.Code, ErrTooManyHops.Message
	}
	return queues.ErrMessageTooLarge.Code, "A message is larger than the queue's max_message_size."
}

// onward returns the messages of a parcel as another topic stores them, and the numbers of those that go no further.
func (p *parcel) onward(from *config, to string) (list []queues.Onward, refused []int64) {
	for _, l := range p.messages() {
		m := l.Message
		if m.Hops >= MaxHops {
			refused = append(refused, l.Sequence)
			continue
		}
		m.Hops++
		switch {
		case !IsFIFOName(to):
			m.DeduplicationID = ""
		case m.DeduplicationID == "" && from.ContentBased:
			m.DeduplicationID = queues.ContentID(m.Body) // the other topic may derive none
		}
		list = append(list, queues.Onward{Number: l.Sequence, ID: l.ID, Record: m.Record()})
	}
	return list, refused
}

// findTarget refuses the settings of a new subscription that lead to what is not there, or from where messages come back to
// the topic. What it does not see, because it comes about at another place or at the same time, MaxHops ends.
func (s *Store) findTarget(ctx context.Context, t tenants.ID, topicName string, set SubscriptionSettings) error {
	if err := s.there(ctx, t, set); err != nil {
		return err
	}
	return s.refuseRing(ctx, t, topicName, set)
}

// refuseRing refuses the settings of a new subscription from which messages come back to the topic.
func (s *Store) refuseRing(ctx context.Context, t tenants.ID, topicName string, set SubscriptionSettings) error {
	if set.target() == "" {
		return nil
	}
	way, err := s.walk(ctx, t, set.target(), queues.TopicTarget(topicName))
	if err != nil || way == "" {
		return err
	}
	e := errs.Invalidf(set.pointer(), "Messages would go round, or on and on: topic %s → %s.", topicName, way)
	e.Fix = fixRing
	return e
}

// there refuses settings that lead to what is not there.
func (s *Store) there(ctx context.Context, t tenants.ID, set SubscriptionSettings) error {
	if set.target() == "" {
		return nil // there is none: it leads to an endpoint, or is refused for another reason
	}
	_, err := s.onwards(ctx, t, set.target())
	var e *errs.Error
	switch {
	case errors.Is(err, ErrTopicNotFound):
		e = errs.Invalidf(set.pointer(), "There is no topic %q.", set.Topic)
		e.Fix = "Create it: PUT /v1/topics/{topic}."
	case errors.Is(err, queues.ErrQueueNotFound):
		e = errs.Invalidf(set.pointer(), "There is no queue %q.", set.Queue)
		e.Fix = "Create it: PUT /v1/queues/{queue}."
	default:
		return err
	}
	return e
}

// walk follows where messages go on from a place, a queue or a topic, and returns the way when they come to the place home,
// or through more than MaxHops topics. Else it returns "", also after maxWalk places.
func (s *Store) walk(ctx context.Context, t tenants.ID, first, home string) (way string, err error) {
	type stop struct {
		place, way string
		hops       int
	}
	line, seen := []stop{{place: first}}, map[string]bool{}
	for n := 0; n < len(line) && n < maxWalk; n++ {
		at := line[n]
		at.way += strings.Replace(at.place, ":", " ", 1)
		if _, ok := queues.CutTopicTarget(at.place); ok {
			at.hops++
		}
		if at.place == home || at.hops > MaxHops {
			return at.way, nil
		}
		next, err := s.onwards(ctx, t, at.place)
		if err != nil && !errors.Is(err, ErrTopicNotFound) && !errors.Is(err, queues.ErrQueueNotFound) {
			return "", err
		}
		for _, place := range next {
			if !seen[place] {
				seen[place] = true
				line = append(line, stop{place, at.way + " → ", at.hops})
			}
		}
	}
	return "", nil
}

// onwards returns where messages go on from a place.
func (s *Store) onwards(ctx context.Context, t tenants.ID, place string) ([]string, error) {
	if _, _, abroad := cutAbroad(place); abroad {
		return nil, nil // what its owner does with it is not looked at
	}
	name, isTopic := queues.CutTopicTarget(place)
	if !isTopic {
		q, err := s.queues.Get(ctx, t, place)
		if err != nil || q.Settings.ForwardTo == "" {
			return nil, err
		}
		return []string{q.Settings.ForwardTo}, nil
	}
	var next []string
	err := s.with(ctx, t, name, func(tp *topic) error {
		snap, err := tp.subscriptions(ctx, "")
		if err != nil {
			return err
		}
		next = nil
		for _, r := range snap.list {
			if to := r.last().Queue; to != "" {
				next = append(next, to)
			}
		}
		return nil
	})
	return next, err
}
