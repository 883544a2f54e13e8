package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// Verification says how an endpoint shows that it wants what it is sent, before it gets anything else. It holds for one URL.
type Verification string

// The ways of verification, beside "" for none.
const (
	ByEcho        Verification = "challenge"   // it repeats a text that it is sent
	ByCloudEvents Verification = "cloudevents" // it answers OPTIONS as the webhook specification of CloudEvents says
	BySNS         Verification = "sns"         // it visits, when it likes, an address that it is sent as SNS does it
)

// ToVerify names what has to be verified of an endpoint; "" is nothing.
func (e *Endpoint) ToVerify() string {
	if e.Verify == "" {
		return ""
	}
	return string(e.Verify) + " " + e.URL
}

// The errors of verification.
var (
	ErrUnverified = &errs.Error{Kind: errs.Conflict, Code: "endpoint_unverified", Message: "The endpoint is not verified, and gets nothing but challenges.",
		Fix: "Have it answer the challenge, and ask for one: POST /v1/topics/{topic}/subscriptions/{subscription}/confirm."}
	ErrNoVerification = &errs.Error{Kind: errs.Conflict, Code: "no_verification", Message: "The endpoint need not be verified.",
		Fix: "To have it verified, set verification to challenge, cloudevents or sns."}
	ErrChallenged = &errs.Error{Kind: errs.RateLimited, Code: "too_many_challenges", Message: "The endpoint was challenged just now."}
)

// maxRate is from how many requests a minute on a rate is none.
const maxRate = 1_000_000

// challenge verifies the endpoint of a webhook, which Redis has said that it is time for.
func (p *pusher) challenge(h *hook, c *config) {
	s := p.store
	if _, err := s.verify(s.life, h.id, c); err != nil && !errors.Is(err, topics.ErrNotConfigured) {
		s.logger.Warn("what came of a challenge could not be noted", "tenant", h.id.tenant.String(), "uid", h.id.uid, "error", err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserve(h, -1)
	p.onHost(c.host, -1)
	if h.again && !h.gone {
		p.enter(h)
	}
	p.hire()
}

// Confirm challenges an endpoint now, and says what came of it. One that is verified stays so, whatever it answers.
func (s *Store) Confirm(ctx context.Context, w topics.Way) (Attempt, error) {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, statusScript, id)
	if err != nil {
		return Attempt{}, gone(err)
	}
	c, err := s.configOf(id, list)
	if err != nil {
		return Attempt{}, err
	}
	if c.endpoint.Verify == "" {
		return Attempt{}, ErrNoVerification
	}
	if !s.pusher.beginTest(id.tenant, c.host) {
		return Attempt{}, ErrBusy
	}
	defer s.pusher.endTest(id.tenant, c.host)
	if list, err = s.call(ctx, challengeScript, id); err != nil {
		return Attempt{}, gone(err)
	}
	if engine.Text(list, 0) == "early" {
		e := *ErrChallenged
		e.RetryAfter = time.Duration(engine.Number(list, 1)) * time.Millisecond
		return Attempt{}, &e
	}
	a, err := s.verify(ctx, id, c)
	return a, gone(err)
}

// verify challenges an endpoint and notes what came of it.
func (s *Store) verify(ctx context.Context, id identity, c *config) (Attempt, error) {
	now, l := s.clock.Now(), topics.Logged{ID: s.engine.NewID(0)}
	if c.endpoint.Verify == BySNS {
		return s.ask(ctx, id, c)
	}
	challenge := rand.Text()
	var r egress.Request
	if c.endpoint.Verify == ByCloudEvents {
		r = c.ask(s.origin)
	} else {
		l.Message = queues.Outgoing{ContentType: "application/json",
			Body: fmt.Appendf(nil, `{"type":"sluice.challenge","challenge":%q,"topic":%q,"subscription":%q}`, challenge, c.settings.Topic, c.settings.Subscription)}
		r = c.signed(&l, 1, now)
	}
	res, a, err := s.do(ctx, c, r, now)
	a.MessageID, a.Try, a.Outcome = "msg_"+l.ID.String(), 1, Challenged
	rate := int64(0)
	v := judge(res, err, c.endpoint.Terminal, now)
	switch a.Code, a.Error = v.code, v.words; {
	case err != nil:
	case v.outcome != done:
		a.Error = "The endpoint answered " + statusText(res.Status) + "."
	default:
		if c.endpoint.Verify == ByCloudEvents {
			rate, a.Error = allowance(res.Header, s.origin)
		} else if !echoes(res.Body, challenge) {
			a.Error = "The endpoint did not answer with the challenge."
		}
		if a.Error != "" {
			a.Code = "challenge_failed"
		}
	}
	ctx = context.WithoutCancel(ctx) // what was answered is noted also when nobody waits for it
	if a.Code != "" {
		_, err = s.call(ctx, noteScript, id, a.encode(), c.short(nil, &a))
		return a, err
	}
	list, err := s.call(ctx, verifiedScript, id, c.endpoint.ToVerify(), rate, s.pusher.senderFor(id.uid), a.encode(), c.short(nil, &a))
	if err == nil && engine.Text(list, 0) == "changed" {
		a.Code, a.Error = "endpoint_changed", "The settings of the endpoint have changed meanwhile."
		return a, nil
	}
	if err == nil {
		s.pusher.due(id, engine.Number(list, 1))
	}
	return a, err
}

// echoes reports whether an answer is the challenge, as text or as the one member of a JSON object. One that repeats the whole
// request does not count: whatever repeats what it gets has not asked for it.
func echoes(answer []byte, challenge string) bool {
	answer = bytes.TrimSpace(answer)
	if string(answer) == challenge {
		return true
	}
	var object map[string]string
	return json.Unmarshal(answer, &object) == nil && len(object) == 1 && object["challenge"] == challenge
}

// ask returns the request by which CloudEvents asks an endpoint for its permission.
func (c *config) ask(origin string) egress.Request {
	h := c.header.Clone()
	h.Set("WebHook-Request-Origin", origin)
	return egress.Request{Method: http.MethodOptions, URL: c.endpoint.URL, Header: h, Timeout: c.endpoint.Timeout, MaxBody: readAtMost}
}

// allowance reads the answer: how many requests a minute are allowed, 0 for as many as there are, and otherwise why there is
// no permission.
func allowance(h http.Header, origin string) (perMinute int64, why string) {
	allowed := strings.TrimSpace(h.Get("WebHook-Allowed-Origin"))
	rate := strings.TrimSpace(h.Get("WebHook-Allowed-Rate"))
	if allowed != "*" && !strings.EqualFold(allowed, origin) {
		return 0, fmt.Sprintf("The endpoint did not answer with WebHook-Allowed-Origin: %s, or *.", origin)
	}
	if rate == "" || rate == "*" {
		return 0, ""
	}
	n, err := strconv.ParseInt(rate, 10, 64)
	switch {
	case err != nil || n < 1:
		return 0, "The WebHook-Allowed-Rate of the endpoint is no number of requests a minute."
	case n >= maxRate:
		return 0, ""
	}
	return n, ""
}
