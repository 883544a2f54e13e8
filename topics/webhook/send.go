package webhook

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

const (
	// readAtMost is how many bytes of an answer are read, and keptAtMost how many of them are kept for people to see.
	readAtMost = 64 << 10
	keptAtMost = 1 << 10
	// leaseSlack is how much longer than an attempt may take an entry is lent, for the way to Redis and back.
	leaseSlack = 10 * time.Second
	// spread is by how much of itself a wait may get longer, so that what failed at the same time does not come back at the same time.
	spread = 0.25
)

// config is what a server knows of a webhook: its settings and what it signs with.
type config struct {
	number   int64 // grows with each change of either
	settings settings
	endpoint Endpoint // filled
	host     string   // of the URL
	secrets  []storedSecret
	keys     [][]byte // of secrets, opened
}

func (s *Store) parseConfig(number int64, set, secrets string) (*config, error) {
	c := &config{number: number}
	err := json.Unmarshal([]byte(set), &c.settings)
	if err == nil {
		c.endpoint, err = ParseEndpoint(string(c.settings.Endpoint))
	}
	if err == nil {
		err = json.Unmarshal([]byte(secrets), &c.secrets)
	}
	if err != nil {
		return nil, engine.ErrBroken.Because(err)
	}
	c.endpoint = c.endpoint.Filled()
	c.host = hostOf(c.endpoint.URL)
	for _, one := range c.secrets {
		key, err := s.unseal(one.Sealed)
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, key)
	}
	return c, nil
}

// hostOf returns host and port of a URL that Check has brought into its form.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// live returns what signs at an instant.
func (c *config) live(now time.Time) [][]byte {
	keys := make([][]byte, 0, len(c.keys))
	for i, one := range c.secrets {
		if one.Ends == 0 || one.Ends > now.UnixMilli() {
			keys = append(keys, c.keys[i])
		}
	}
	return keys
}

// Attempt is one request to an endpoint, as the log has it.
type Attempt struct {
	Number    int64     `json:"-"` // grows by one with each attempt of the webhook
	At        time.Time `json:"t"`
	Entry     string    `json:"e"` // "": a test
	MessageID string    `json:"m"`
	Try       int64     `json:"n"` // 1 for the first attempt of the message
	// Outcome is delivered, retrying, failed, or test for an event that somebody sent to see whether it comes.
	Outcome   string    `json:"o"`
	Status    int       `json:"s,omitempty"` // of the answer; 0: there was none
	Code      string    `json:"c,omitempty"`
	Error     string    `json:"w,omitempty"` // for people
	Millis    int64     `json:"d"`           // that it took
	Response  string    `json:"b,omitempty"` // the beginning of the answer
	Truncated bool      `json:"u,omitempty"` // there was more
	Resent    bool      `json:"r,omitempty"` // the endpoint had closed the connection, and a new one was made at once
	Next      time.Time `json:"x,omitzero"`  // of the next attempt; zero: there is none
}

// The outcomes of attempts.
const (
	Delivered = "delivered"
	Retrying  = "retrying"
	Failed    = "failed"
	Tested    = "test"
)

// request returns the request of an attempt.
func (c *config) request(l *topics.Logged, try int64, now time.Time) egress.Request {
	id, body, contentType := "msg_"+l.ID.String(), l.Message.Body, l.Message.ContentType
	if c.settings.Enveloped {
		body, contentType = topics.Wrap(c.settings.Topic, c.settings.Subscription, l), "application/json"
	}
	h := http.Header{
		"Content-Type":      {contentType},
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)},
		"Webhook-Signature": {sign(c.live(now), id, now, body)},
		"Webhook-Attempt":   {strconv.FormatInt(try, 10)},
	}
	if l.Message.TraceParent != "" {
		h.Set("Traceparent", l.Message.TraceParent)
	}
	return egress.Request{Method: http.MethodPost, URL: c.endpoint.URL, Header: h, Body: body, Timeout: c.endpoint.Timeout, MaxBody: readAtMost}
}

// attempt makes one request, and says what it means and what the log keeps of it.
func (s *Store) attempt(ctx context.Context, c *config, l *topics.Logged, try int64) (verdict, Attempt) {
	now, began := s.clock.Now(), time.Now()
	res, err := s.egress.Do(ctx, c.request(l, try, now))
	a := Attempt{At: now.UTC(), MessageID: "msg_" + l.ID.String(), Try: try, Millis: time.Since(began).Milliseconds()}
	v := judge(res, err, now)
	a.Code, a.Error = v.code, v.words
	if res != nil {
		a.Status, a.Resent = res.Status, res.Resent
		excerpt := res.Body[:min(len(res.Body), keptAtMost)]
		a.Response, a.Truncated = strings.ToValidUTF8(string(excerpt), "\uFFFD"), res.Truncated || len(res.Body) > keptAtMost
	}
	return v, a
}

// plan says when the next attempt is, if there is one, and completes what the log keeps.
func (c *config) plan(v *verdict, a *Attempt) {
	if v.outcome == retry {
		switch waits := c.endpoint.Retries; {
		case a.Try <= int64(len(waits)):
			v.wait = max(v.wait, waits[a.Try-1])
		case len(waits) > 0 && c.endpoint.OnExhausted == Block && queues.IsFIFOName(c.settings.Topic):
			v.wait = max(v.wait, waits[len(waits)-1])
		default:
			v.outcome = dead
		}
	}
	if v.wait > 0 {
		v.wait += time.Duration(rand.Float64() * spread * float64(v.wait))
	}
	switch v.outcome {
	case done:
		a.Outcome = Delivered
	case dead:
		a.Outcome = Failed
	default:
		a.Outcome, a.Next = Retrying, a.At.Add(time.Duration(a.Millis)*time.Millisecond+v.wait)
	}
}

func (a *Attempt) encode() string {
	text, _ := json.Marshal(a) // never fails
	return string(text)
}
