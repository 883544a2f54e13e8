package webhook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// Content returns a message as the endpoint would get it, but for what goes into headers.
func (s *Store) Content(ctx context.Context, w topics.Way, set topics.WaySettings, l *topics.Logged) (queues.Outgoing, error) {
	known := settingsOf(w, set)
	return s.letter(ctx, w.Tenant, &known, l)
}

// letter returns a message for the dead-letter queue. What is in the body already is not beside it as well.
func (s *Store) letter(ctx context.Context, t tenants.ID, set *settings, l *topics.Logged) (queues.Outgoing, error) {
	if l.Message.HTTP != "" || l.Message.HTTPS != "" {
		e, err := ParseEndpoint(string(set.Endpoint))
		if err != nil {
			return queues.Outgoing{}, err
		}
		l = e.own(l)
	}
	packed := set.packed(l)
	m := packed.Message
	if packed != l {
		m.Attributes = nil
	}
	if set.Notified {
		sender, err := s.topics.Sender(ctx, t, set.Topic)
		if err != nil {
			return m, err
		}
		m.Body, m.ContentType, m.Attributes = s.notes.of(set.TopicUID, sender, l).For(set.Subscription, time.UnixMilli(set.Created)), "application/json", nil
	}
	return m, nil
}

// post brings dead letters to the dead-letter queue, and then forgets them. Several servers may do so at once, and one may go on
// where another one died: the queue takes each number once. What it does not take now is brought later; see lua/exchange.lua.
func (s *Store) post(id identity, c *config) {
	err := s.postSome(id, c)
	if err != nil && !errors.Is(err, topics.ErrNotConfigured) && s.life.Err() == nil {
		s.logger.Warn("dead letters of a webhook could not be brought to their queue; they are kept", "tenant", id.tenant.String(),
			"topic", c.settings.Topic, "subscription", c.settings.Subscription, "error", err.Error())
	}
}

func (s *Store) postSome(id identity, c *config) error {
	ctx := s.life
	list, err := s.call(ctx, lettersScript, id, callEntries)
	if err != nil || len(list) < 4 {
		return err
	}
	var found []lent
	var numbers []int64
	why := map[string]string{}
	for i := 1; i+2 < len(list); i += 3 {
		l := parseLent(engine.Text(list, i), "", engine.Text(list, i+2))
		found, numbers = append(found, l), append(numbers, engine.Number(list, i+1))
		why[l.entry] = whyOf(engine.Text(list, i+2), l.tries)
	}
	s.fill(ctx, id, c, found, math.MaxInt)
	var letters []topics.Letter
	end := int64(0)
	for i := range found {
		l := &found[i]
		if l.message == nil && l.lacks == "" {
			break // it could not be read now
		}
		if l.message != nil {
			m, err := s.letter(ctx, id.tenant, &c.settings, l.message)
			if err != nil {
				return err
			}
			letters = append(letters, topics.Letter{Number: numbers[i], ID: l.message.ID, Message: m, Why: why[l.entry]})
		}
		end = numbers[i]
	}
	if end == 0 {
		return engine.ErrUnavailable
	}
	if err := s.step("posting"); err != nil {
		return err
	}
	got := queues.Delivered{Reached: end}
	if len(letters) > 0 {
		w := topics.Way{Tenant: id.tenant, TopicUID: c.settings.TopicUID, UID: id.uid, Topic: c.settings.Topic, Subscription: c.settings.Subscription}
		if got, err = s.topics.DeadLetter(ctx, w, c.settings.DeadLetters, letters, end); err != nil {
			return err
		}
	}
	args := []any{min(got.Reached, end)}
	refused := map[int64]bool{}
	for _, n := range got.Refused {
		refused[n] = true
	}
	for i := range found {
		if n := numbers[i]; n <= got.Reached && n <= end && found[i].message != nil && !refused[n] {
			args = append(args, found[i].entry, n)
		}
	}
	if err := s.step("posted"); err != nil {
		return err
	}
	list, err = s.call(ctx, postedScript, id, args...)
	if err != nil {
		return err
	}
	s.pusher.due(id, engine.Number(list, 1))
	switch {
	case got.Reached >= end:
		return nil
	case got.Full != nil:
		return got.Full
	}
	return queues.ErrMessagesFull
}

// whyOf says for people why an entry with such a state is not sent any more.
func whyOf(state string, tries int64) string {
	head, _, _ := strings.Cut(state, "|")
	f := strings.SplitN(head, ",", 3)
	code := f[len(f)-1]
	words := "It was not delivered: " + code + "."
	if status, ok := strings.CutPrefix(code, "http_"); ok {
		n, _ := strconv.Atoi(status)
		words = "The endpoint answered " + strings.TrimSpace(status+" "+http.StatusText(n)) + "."
	}
	return fmt.Sprintf("%s %d attempts were made.", words, tries)
}
