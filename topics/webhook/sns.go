package webhook

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// SNS is what an endpoint has that was subscribed as SNS does it: it has to confirm that within three days, gets nothing that was
// published before, and is tried by the delivery policies of its topic and its own.
type SNS struct {
	Policy string `json:"policy,omitempty"` // its own delivery policy, as it was given
	Signed bool   `json:"signed,omitempty"` // it was confirmed by a signed request
	Locked bool   `json:"locked,omitempty"` // only a signed request ends it, not a link
}

// checkSNS checks what only such an endpoint has. Who replaces the settings of one keeps that, unless it is to be verified in
// another way.
func (e *Endpoint) checkSNS(before Endpoint) error {
	switch {
	case e.Verify != BySNS:
		e.SNS = nil
	case e.SNS == nil && before.SNS != nil:
		e.SNS = before.SNS
	}
	switch {
	case e.SNS == nil:
	case e.Retries != nil:
		return errs.Invalidf("/retry_schedule", "The subscription was made as SNS does it: its delivery policy says when it is tried again. Leave retry_schedule out, or set another verification.")
	case CheckPolicy(e.SNS.Policy) != nil:
		return errs.Invalidf("/delivery_policy", "DeliveryPolicy: %s", CheckPolicy(e.SNS.Policy))
	}
	return nil
}

// confirmTime is after which time a subscription ends that nobody confirms; 0: it does not.
func (e *Endpoint) confirmTime() time.Duration {
	if e.SNS == nil {
		return 0
	}
	return topics.ConfirmTime
}

// style is what a server has to know of a topic to send as SNS does; nil for a webhook that does not.
type style struct {
	sender *topics.Sender
	policy DeliveryPolicy
	note   func(l *topics.Logged) *topics.Notification
}

// styleOf returns how a webhook sends.
func (s *Store) styleOf(ctx context.Context, t tenants.ID, c *config) (*style, error) {
	if !c.settings.Notified && c.endpoint.Verify != BySNS {
		return nil, nil
	}
	sender, err := s.topics.Sender(ctx, t, c.settings.Topic)
	if err != nil {
		return nil, err
	}
	st := &style{sender: sender, policy: usualPolicy, note: func(l *topics.Logged) *topics.Notification { return s.notes.of(c.settings.TopicUID, sender, l) }}
	if c.endpoint.SNS != nil {
		st.policy = Effective(sender.DeliveryPolicy(), c.endpoint.SNS.Policy)
	}
	return st, nil
}

// shapes reports whether a webhook's messages are sent as SNS does it. What is verified as SNS does it may still be an envelope,
// or CloudEvents.
func (st *style) shapes(c *config) bool {
	return st != nil && !c.settings.Enveloped && c.settings.Event == ""
}

// waits returns the times before the second attempt, the third and so on.
func (c *config) waits(st *style) []time.Duration {
	if c.endpoint.SNS != nil {
		return st.policy.Retry.waits()
	}
	return c.endpoint.Retries
}

// agent is what SNS calls itself. Some receivers look for it.
const agent = "Amazon Simple Notification Service Agent"

// notified returns the request for a message: its notification, or with raw delivery its body. Both are also signed as all
// others are.
func (c *config) notified(st *style, l *topics.Logged, try int64, now time.Time) egress.Request {
	sent := *l
	if c.settings.Notified {
		sent.Message.Body = st.note(l).For(c.settings.Subscription, time.UnixMilli(c.settings.Created))
	}
	sent.Message.ContentType = st.policy.ContentType
	r := c.signed(&sent, try, now)
	st.mark(r.Header, "Notification", l.ID)
	r.Header["X-Amz-Sns-Subscription-Arn"] = []string{st.sender.SubscriptionARN(c.settings.Subscription)}
	if !c.settings.Notified {
		r.Header["X-Amz-Sns-Rawdelivery"] = []string{"true"}
	}
	return r
}

// mark sets the headers that all requests of SNS have.
func (st *style) mark(h http.Header, kind string, id engine.ID) {
	h["X-Amz-Sns-Message-Type"] = []string{kind}
	h["X-Amz-Sns-Message-Id"] = []string{id.UUID()}
	h["X-Amz-Sns-Topic-Arn"] = []string{st.sender.TopicARN()}
	if h.Get("User-Agent") == "" {
		h["User-Agent"] = []string{agent}
	}
}

// asSNS changes what an answer means to what it means to SNS: by a status that is neither 429 nor one from 500 on the endpoint says
// that it does not want the message, and nothing of itself.
func (v *verdict) asSNS(res *egress.Response) {
	if res != nil && res.Status >= 300 && res.Status < 500 && res.Status != http.StatusTooManyRequests {
		v.outcome, v.health = dead, neutral
	}
}

// pace has Redis know how many requests a second a webhook's delivery policy allows.
func (p *pusher) pace(h *hook, c *config, st *style) error {
	if c.endpoint.SNS == nil {
		return nil
	}
	p.mu.Lock()
	known := h.paced
	p.mu.Unlock()
	if known == st.policy.PerSecond {
		return nil
	}
	if _, err := p.store.call(p.store.life, paceScript, h.id, 60*st.policy.PerSecond); err != nil {
		return err
	}
	p.mu.Lock()
	h.paced = st.policy.PerSecond
	p.mu.Unlock()
	return nil
}

// way names a webhook to package topics.
func (c *config) way(id identity) topics.Way {
	return topics.Way{Tenant: id.tenant, TopicUID: c.settings.TopicUID, UID: id.uid, Topic: c.settings.Topic, Subscription: c.settings.Subscription}
}

// ask sends an endpoint the question whether it wants to be sent to, and notes what became of that. The answer comes by another
// way: see Accept.
func (s *Store) ask(ctx context.Context, id identity, c *config) (Attempt, error) {
	w := c.way(id)
	how, err := s.Status(ctx, w)
	if err != nil {
		return Attempt{}, err
	}
	st, err := s.styleOf(ctx, id.tenant, c)
	if err != nil {
		return Attempt{}, err
	}
	now, l := s.clock.Now(), topics.Logged{ID: s.engine.NewID(0)}
	q := st.sender.Ask(l.ID, w, c.endpoint.ToVerify(), now, !how.Ended.IsZero())
	l.Message = queues.Outgoing{Body: q.Body, ContentType: notifiedType}
	r := c.signed(&l, 1, now)
	st.mark(r.Header, q.Type, l.ID)
	if !how.Ended.IsZero() {
		r.Header["X-Amz-Sns-Subscription-Arn"] = []string{st.sender.SubscriptionARN(w.Subscription)}
	}
	res, a, err := s.do(ctx, c, r, now)
	v := judge(res, err, c.endpoint.Terminal, now)
	a.MessageID, a.Try, a.Outcome, a.Code, a.Error = "msg_"+l.ID.String(), 1, Challenged, v.code, v.words
	a.Response, a.Truncated = "", false // it may repeat the token, which is for nobody else
	arrived, waits := "0", ""
	if v.outcome == done {
		arrived = "1"
	} else if c.endpoint.SNS != nil {
		if v.asSNS(res); v.outcome != dead {
			waits = listed(st.policy.Retry.waits())
		}
		waits += "," // no waits are not the usual ones
	}
	list, err := s.call(context.WithoutCancel(ctx), askedScript, id, c.endpoint.ToVerify(), arrived, waits, a.encode(), c.short(nil, &a))
	if err == nil {
		s.pusher.due(id, engine.Number(list, 1))
	}
	return a, err
}

// listed returns waits in milliseconds, with "," between.
func listed(waits []time.Duration) string {
	var b strings.Builder
	for i, w := range waits {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(w.Milliseconds(), 10))
	}
	return b.String()
}

// Accept notes that an endpoint has confirmed that it wants what is named. It reports false when something else is to be confirmed
// by now, or the subscription has ended.
func (s *Store) Accept(ctx context.Context, w topics.Way, wanted string) (bool, error) {
	return s.answered(ctx, w, confirmScript, wanted, s.pusher.senderFor(w.UID))
}

// AskAgain has an endpoint asked once more, and gives it another three days. It reports false where it has confirmed already.
func (s *Store) AskAgain(ctx context.Context, w topics.Way) (bool, error) {
	return s.answered(ctx, w, askScript, "subscribe", topics.ConfirmTime.Milliseconds(), s.pusher.senderFor(w.UID))
}

// Deactivate ends a subscription in such a way that its endpoint may restore it: it gets nothing more and is asked whether that is
// right. When it does not answer for three days, the subscription is deleted. It reports false where nobody has confirmed it: then
// it has to be deleted at once.
func (s *Store) Deactivate(ctx context.Context, w topics.Way) (bool, error) {
	return s.answered(ctx, w, askScript, "unsubscribe", topics.ConfirmTime.Milliseconds(), s.pusher.senderFor(w.UID))
}

// ErrOver says that a subscription is about to be deleted because nobody has confirmed it.
var ErrOver = errors.New("the subscription is over")

func (s *Store) answered(ctx context.Context, w topics.Way, script *engine.Script, args ...any) (bool, error) {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, script, id, args...)
	if err != nil {
		return false, gone(err)
	}
	switch engine.Text(list, 0) {
	case "ok":
		s.pusher.due(id, engine.Number(list, 1))
		return true, nil
	case "over":
		return false, ErrOver
	}
	return false, nil
}

// expire deletes a subscription that nobody has confirmed in time. When that fails, Redis says so again after a while.
func (s *Store) expire(id identity, c *config) {
	err := s.topics.EndSubscription(s.life, c.way(id))
	if err != nil {
		s.logger.Warn("a subscription that was not confirmed could not be deleted", "tenant", id.tenant.String(), "topic", c.settings.Topic,
			"subscription", c.settings.Subscription, "error", err.Error())
		return
	}
	s.logger.Info("a subscription was deleted, because its endpoint did not confirm it in time", "tenant", id.tenant.String(), "topic", c.settings.Topic,
		"subscription", c.settings.Subscription)
}
