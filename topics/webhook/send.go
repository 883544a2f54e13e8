package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

const (
	// readAtMost is how many bytes of an answer are read, and keptAtMost how many of them are kept for people to see; fewAtMost where it is
	// no text.
	readAtMost = 64 << 10
	keptAtMost = 16 << 10
	fewAtMost  = 1 << 10
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
	keys     []key            // of secrets, opened
	header   http.Header      // that goes with each request: what users add
	hidden   []string         // what of it may not be shown
	tokens   *tokens          // nil: it needs none
	identity *egress.Identity // nil: connections show no certificate
}

func (s *Store) parseConfig(id identity, number int64, set, secrets string) (*config, error) {
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
	if err := s.openCredentials(c); err != nil {
		return nil, err
	}
	return c, s.openTLS(id, c)
}

// configOf returns the settings that status.lua has told, the known ones where they are the same.
func (s *Store) configOf(id identity, list []any) (*config, error) {
	number := engine.Number(list, 21)
	if c := s.pusher.known(id); c != nil && c.number == number {
		return c, nil
	}
	return s.parseConfig(id, number, engine.Text(list, 22), engine.Text(list, 23))
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
func (c *config) live(now time.Time) []key {
	keys := make([]key, 0, len(c.keys))
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
	Outcome   string `json:"o"`
	Status    int    `json:"s,omitempty"` // of the answer; 0: there was none
	Code      string `json:"c,omitempty"`
	Error     string `json:"w,omitempty"` // for people
	Millis    int64  `json:"d"`           // that it took
	Response  string `json:"b,omitempty"` // the beginning of the answer
	Truncated bool   `json:"u,omitempty"` // there was more
	// Sent and Answered are the headers of the request and of the answer. What users hide has Masked in its place. Older attempts have none.
	Sent     map[string]string `json:"h,omitempty"`
	Answered map[string]string `json:"p,omitempty"`
	// Batch is the id of the request, where its body was a list, and Size how many messages that had.
	Batch  string    `json:"g,omitempty"`
	Size   int       `json:"k,omitempty"`
	Resent bool      `json:"r,omitempty"` // the endpoint had closed the connection, and a new one was made at once
	Next   time.Time `json:"x,omitzero"`  // of the next attempt; zero: there is none
	// Timing is how long the parts of the request took; nil: an older server made it, or there was no request.
	Timing *Timing `json:"i,omitempty"`
}

// Timing is how long the parts of a request took, in microseconds; nil where there was no such part.
type Timing struct {
	Lookup    *int64 `json:"d,omitempty"`
	Connect   *int64 `json:"c,omitempty"`
	TLS       *int64 `json:"s,omitempty"`
	FirstByte *int64 `json:"f,omitempty"`
}

// newTiming returns what was measured, and nil where there was nothing to measure.
func newTiming(t egress.Timing) *Timing {
	if t == (egress.Timing{}) {
		return nil
	}
	micros := func(d *time.Duration) *int64 {
		if d == nil {
			return nil
		}
		n := d.Microseconds()
		return &n
	}
	return &Timing{micros(t.Lookup), micros(t.Connect), micros(t.TLS), micros(t.FirstByte)}
}

// The outcomes of attempts.
const (
	Delivered = "delivered"
	Retrying  = "retrying"
	Failed    = "failed"
	Tested    = "test"
	// Challenged is for a request that verifies an endpoint.
	Challenged = "challenge"
)

// request returns the request of an attempt.
func (c *config) request(st *style, g cargo, try int64, now time.Time) egress.Request {
	if c.batches() {
		return c.list(g, try, now)
	}
	l := g.messages[0]
	if st.shapes(c) {
		return c.notified(st, l, try, now)
	}
	r := c.signed(c.settings.packed(l), try, now)
	if c.settings.Event == topics.EventBinary.String() {
		eventOf(c.settings.Topic, l).binary(r.Header)
	}
	return r
}

// own returns a message with what it says to endpoints of this scheme in the place of its body.
func (e *Endpoint) own(l *topics.Logged) *topics.Logged {
	text := l.Message.HTTP
	if strings.HasPrefix(e.URL, "https:") {
		text = l.Message.HTTPS
	}
	if text == "" {
		return l
	}
	out := *l
	out.Message.Body = []byte(text)
	return &out
}

// packed returns a message with the body that the format asks for.
func (set *settings) packed(l *topics.Logged) *topics.Logged {
	out := *l
	switch {
	case set.Enveloped:
		out.Message.Body, out.Message.ContentType = topics.Wrap(set.Topic, set.Subscription, l), "application/json"
	case set.Event == topics.EventStructured.String() || set.Event == topics.EventBatch.String():
		out.Message.Body, out.Message.ContentType = eventOf(set.Topic, l).structured(), structuredType
	default:
		return l
	}
	return &out
}

// signed returns a request with the body of a message as it is.
func (c *config) signed(l *topics.Logged, try int64, now time.Time) egress.Request {
	return c.signedAs("msg_"+l.ID.String(), l.Message.ContentType, l.Message.TraceParent, l.Message.Body, try, now)
}

func (c *config) signedAs(id, contentType, trace string, body []byte, try int64, now time.Time) egress.Request {
	h := make(http.Header, len(c.header)+6)
	maps.Copy(h, c.header)
	h["Content-Type"] = []string{contentType}
	h["Webhook-Id"] = []string{id}
	h["Webhook-Timestamp"] = []string{strconv.FormatInt(now.Unix(), 10)}
	h["Webhook-Signature"] = []string{sign(c.live(now), id, now, body)}
	h["Webhook-Attempt"] = []string{strconv.FormatInt(try, 10)}
	if trace != "" {
		h.Set("Traceparent", trace)
	}
	return egress.Request{Method: http.MethodPost, URL: c.endpoint.URL, Header: h, Body: body, Timeout: c.endpoint.Timeout, MaxBody: readAtMost}
}

// attempt makes one request, and says what it means, what the log keeps of it for each message, and whether there were too many.
func (s *Store) attempt(ctx context.Context, c *config, st *style, g cargo, try int64) (v verdict, a Attempt, tooMany bool) {
	now := s.clock.Now()
	r := c.request(st, g, try, now)
	g.hop(r.Header)
	if g.gap > 0 {
		r.Header["Webhook-Gap"] = []string{strconv.FormatInt(g.gap, 10)}
	}
	res, a, err := s.do(ctx, c, r, now)
	v = judge(res, err, c.endpoint.Terminal, now)
	s.excuse(ctx, c.host, err, &v)
	if c.endpoint.SNS != nil {
		v.asSNS(res)
	}
	if len(g.messages) > 1 {
		tooMany = v.asBatch(res)
	}
	if c.batches() {
		a.Batch, a.Size = r.Header.Get("Webhook-Id"), len(g.messages)
	}
	a.MessageID, a.Try, a.Code, a.Error = "msg_"+g.messages[0].ID.String(), try, v.code, v.words
	return v, a, tooMany
}

// do makes a request, and says what the log keeps of the answer, which is nil where there is an error.
func (s *Store) do(ctx context.Context, c *config, r egress.Request, now time.Time) (*egress.Response, Attempt, error) {
	began := time.Now()
	var timing egress.Timing
	r.Identity, r.Timing = c.identity, &timing
	res, err := s.send(ctx, c, r)
	a := Attempt{Timing: newTiming(timing), At: now.UTC(), Millis: time.Since(began).Milliseconds(), Sent: c.shown(r.Header, r.Header.Get("Authorization"))}
	if res != nil {
		a.Status, a.Resent = res.Status, res.Resent
		a.Answered = c.shown(res.Header, r.Header.Get("Authorization"))
		body := res.Body
		if len(c.hidden) > 0 {
			body = c.mask(body, r.Header.Get("Authorization"))
		}
		kept := excerpt(body)
		a.Response, a.Truncated = strings.ToValidUTF8(string(kept), "\uFFFD"), res.Truncated || len(body) > len(kept)
	}
	return res, a, err
}

// excerpt returns what is kept of an answer: of one that is no text nobody reads much, and it takes more room in JSON.
func excerpt(body []byte) []byte {
	kept := body[:min(len(body), keptAtMost)]
	for range utf8.UTFMax - 1 { // the last character may have been cut
		if r, size := utf8.DecodeLastRune(kept); len(kept) == len(body) || r != utf8.RuneError || size > 1 {
			break
		}
		kept = kept[:len(kept)-1]
	}
	if !utf8.Valid(kept) || bytes.ContainsFunc(kept, isControl) {
		kept = body[:min(len(body), fewAtMost)]
	}
	return kept
}

func isControl(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }

// shorten leaves the beginning of the answer: one that is about many messages is kept whole with the first of them.
func (a *Attempt) shorten() {
	if len(a.Response) > fewAtMost {
		a.Response, a.Truncated = strings.ToValidUTF8(a.Response[:fewAtMost], ""), true
	}
}

// keptHeaders is how many bytes of headers the log keeps of a request, and of an answer.
const keptHeaders = 2 << 10

// shown returns headers as the log keeps them, without those for which there is no room: what users add, credentials and cookies stay
// hidden.
func (c *config) shown(h http.Header, authorization string) map[string]string {
	out := make(map[string]string, len(h))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := strings.Join(h[name], ", ")
		switch _, own := c.header[name]; {
		case own, name == "Authorization", name == "Set-Cookie":
			value = Masked
		case len(c.hidden) > 0:
			value = string(c.mask([]byte(value), authorization))
		}
		if size+len(name)+len(value) > keptHeaders {
			continue
		}
		size += len(name) + len(value)
		out[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return out
}

// plan says when the next attempt is, if there is one, and completes what the log keeps. chance is a number from 0 to 1 by which that
// comes later.
func (c *config) plan(st *style, v *verdict, a *Attempt, chance float64) {
	if v.outcome == retry {
		switch waits := c.waits(st); {
		case a.Try <= int64(len(waits)):
			v.wait = max(v.wait, waits[a.Try-1])
		case len(waits) > 0 && c.endpoint.OnExhausted == Block && queues.IsFIFOName(c.settings.Topic):
			v.wait = max(v.wait, waits[len(waits)-1])
		default:
			v.outcome = dead
		}
	}
	if v.wait > 0 {
		v.wait += time.Duration(chance * spread * float64(v.wait))
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

// encode returns the attempt as the log has it. Many an answer is a page of HTML: escaped it would take three times the room.
func (a *Attempt) encode() string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(a) // never fails
	return strings.TrimSuffix(b.String(), "\n")
}
