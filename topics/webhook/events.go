package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// EventsTopic is the topic that gets what befalls the webhooks of its tenant. Where a tenant has none of this name nobody is told.
const EventsTopic = "sluice.events"

const (
	// tellFirst is after which time an event is told again that the topic did not take, and tellMost the longest such time: it grows
	// with the age of the event.
	tellFirst = 30 * time.Second
	tellMost  = 15 * time.Minute
	// tellFor is for how long that goes on.
	tellFor = 24 * time.Hour
)

// incident is something that befell a webhook, as the topic gets it: in the form that Standard Webhooks recommends.
type incident struct {
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	ID        string       `json:"event_id"` // the same however often it is told
	Data      incidentData `json:"data"`
}

type incidentData struct {
	Topic        string    `json:"topic"`
	Subscription string    `json:"subscription"`
	Endpoint     string    `json:"endpoint"`         // scheme, host and port of its URL: the rest may be a secret
	Reason       string    `json:"reason,omitempty"` // why the last attempt failed, or why it is disabled
	FailingSince time.Time `json:"failing_since,omitzero"`
	FailingFor   int64     `json:"failing_for,omitempty"` // seconds, at least; of webhook.failing only
	Failures     int64     `json:"failures,omitempty"`    // in a row
}

// parseIncident reads what befall of lua/lib/events.lua has written.
func (c *config) parseIncident(id identity, number int64, text string) (incident, error) {
	f := strings.Split(text, " ")
	if len(f) != 6 {
		return incident{}, engine.ErrBroken.Because(fmt.Errorf("event %d of a webhook is damaged", number))
	}
	var n [4]int64 // when, since when, how many failures, for how long
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(f[i+1], 10, 64); err != nil {
			return incident{}, engine.ErrBroken.Because(err)
		}
	}
	scheme, _, _ := strings.Cut(c.endpoint.URL, "://")
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%d.%d", id.uid, number, n[0]))
	return incident{Type: "webhook." + f[0], Timestamp: moment(n[0]), ID: "evt_" + hex.EncodeToString(sum[:12]),
		Data: incidentData{Topic: c.settings.Topic, Subscription: c.settings.Subscription, Endpoint: scheme + "://" + c.host, Reason: f[5],
			FailingSince: moment(n[1]), Failures: n[2], FailingFor: n[3] / 1000}}, nil
}

// message returns an event as it is published. What is published again within five minutes, by whomever, is there once.
func (e *incident) message() queues.Outgoing {
	body, _ := json.Marshal(e) // never fails
	m := queues.Outgoing{Body: body, ContentType: "application/json", IdempotencyKey: e.ID}
	for _, a := range [][2]string{{"type", e.Type}, {"event_id", e.ID}, {"topic", e.Data.Topic}, {"subscription", e.Data.Subscription}} {
		m.Attributes = append(m.Attributes, queues.Attribute{Name: a[0], Type: "String", Value: a[1]})
	}
	return m
}

// announce tells what befell a webhook, and then forgets it. Where a server dies in between another one tells it again; see
// lua/exchange.lua.
func (s *Store) announce(id identity, c *config) {
	err := s.announceSome(s.life, id, c)
	if err != nil && !errors.Is(err, topics.ErrNotConfigured) && s.life.Err() == nil {
		s.logger.Warn("what befell a webhook could not be told now", "tenant", id.tenant.String(), "topic", c.settings.Topic,
			"subscription", c.settings.Subscription, "error", err.Error())
	}
}

func (s *Store) announceSome(ctx context.Context, id identity, c *config) error {
	list, err := s.call(ctx, untoldScript, id)
	if err != nil || len(list) == 1 {
		return err
	}
	var events []incident
	var numbers []int64
	var messages []queues.Outgoing
	last := int64(0)
	for i := 1; i+1 < len(list); i += 2 {
		last = engine.Number(list, i)
		e, err := c.parseIncident(id, last, engine.Text(list, i+1))
		if err != nil {
			s.forgo(id, c, "", err)
			continue
		}
		events, numbers, messages = append(events, e), append(numbers, last), append(messages, e.message())
	}
	if err := s.step("telling"); err != nil {
		return err
	}
	results, err := s.topics.PublishBatch(ctx, id.tenant, EventsTopic, messages, false)
	if err := s.step("told"); err != nil {
		return err
	}
	var refused error
	wait := time.Duration(0)
	for i := range events {
		why := err
		if why == nil {
			why = results[i].Err
		}
		age := s.clock.Now().Sub(events[i].Timestamp)
		switch {
		case why == nil:
			s.counted.told.Add(1)
		case errors.Is(why, topics.ErrTopicNotFound), errors.Is(why, topics.ErrKeyReused): // nobody wants to know, or does already
		case refusedForGood(why) || age >= tellFor:
			s.forgo(id, c, events[i].Type, why)
		default:
			refused, wait = why, min(max(age, tellFirst), tellMost)
		}
		if refused != nil {
			last = numbers[i] - 1
			break
		}
	}
	list, err = s.call(ctx, toldScript, id, last, wait.Milliseconds())
	if err != nil {
		return err
	}
	s.pusher.due(id, engine.Number(list, 1))
	return refused
}

// refusedForGood reports whether the topic never takes an event: its schema has no room for it, or the tenant may publish nothing so large.
func refusedForGood(err error) bool {
	kind := errs.KindOf(err)
	return kind == errs.Invalid || kind == errs.TooLarge
}

// forgo gives up an event.
func (s *Store) forgo(id identity, c *config, what string, why error) {
	s.counted.untold.Add(1)
	s.logger.Warn("what befell a webhook is not told", "tenant", id.tenant.String(), "topic", c.settings.Topic, "subscription", c.settings.Subscription,
		"event", what, "error", why.Error())
}
