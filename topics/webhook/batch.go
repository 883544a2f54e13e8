package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
)

// Batch says how many messages one request carries.
type Batch struct {
	Messages int           // at most
	Bytes    int           // of the body, at most, unless it is one message
	Wait     time.Duration // for how long a message waits for others
}

// The limits of batches.
const (
	MaxBatchMessages = callEntries // what one call lends and settles
	MinBatchBytes    = 1 << 10
	MaxBatchBytes    = 1 << 20
	MaxBatchWait     = time.Minute
)

// DefaultBatch is what holds where the settings of a batch say nothing.
var DefaultBatch = Batch{Messages: 10, Bytes: 256 << 10, Wait: time.Second}

// storedBatch is a Batch as it lies in Redis.
type storedBatch struct {
	Messages int   `json:"messages"`
	Bytes    int   `json:"bytes"`
	Wait     int64 `json:"wait"` // ms
}

func (b *Batch) stored() *storedBatch {
	if b == nil {
		return nil
	}
	return &storedBatch{b.Messages, b.Bytes, b.Wait.Milliseconds()}
}

func (st *storedBatch) batch() *Batch {
	if st == nil {
		return nil
	}
	return &Batch{st.Messages, st.Bytes, time.Duration(st.Wait) * time.Millisecond}
}

// checkBatch checks what is said of batches for a webhook of a topic of this name.
func (e *Endpoint) checkBatch(topic string, format topics.Format) error {
	b := e.Batch
	switch {
	case b == nil:
	case topics.IsFIFOName(topic):
		return errs.Invalidf("/batch", "The webhook of a FIFO topic sends one message of a group after the other: the answer to one decides whether the next has its turn. Leave batch out.")
	case format != topics.Enveloped && format != topics.EventBatch:
		return errs.Invalidf("/batch", "A request carries several messages in envelopes or as CloudEvents, so that each keeps its id: set the format %s or %s.", topics.Enveloped, topics.EventBatch)
	case b.Messages < 1 || b.Messages > MaxBatchMessages:
		return errs.Invalidf("/batch/max_messages", "max_messages must be 1 to %d.", MaxBatchMessages)
	case b.Bytes < MinBatchBytes || b.Bytes > MaxBatchBytes:
		return errs.Invalidf("/batch/max_bytes", "max_bytes must be %d to %d.", MinBatchBytes, MaxBatchBytes)
	case b.Wait < 0 || b.Wait > MaxBatchWait:
		return errs.Invalidf("/batch/max_wait", "max_wait must be 0 to %d seconds.", int(MaxBatchWait.Seconds()))
	}
	return nil
}

// batches reports whether the body of a request is a list, also when that has one message.
func (c *config) batches() bool {
	return c.endpoint.Batch != nil || c.settings.Event == topics.EventBatch.String()
}

// several reports whether a request may carry more than one message.
func (c *config) several() bool { return c.endpoint.Batch != nil && c.endpoint.Batch.Messages > 1 }

// groups returns what is lent by the requests that carry it.
func (c *config) groups(list []lent) [][]lent {
	var out [][]lent
	for i := range list {
		if last := len(out) - 1; last >= 0 && c.several() && out[last][0].lease == list[i].lease {
			out[last] = append(out[last], list[i])
		} else {
			out = append(out, list[i:i+1:i+1])
		}
	}
	return out
}

// cargo is what one request carries.
type cargo struct {
	messages []*topics.Logged
	bodies   [][]byte // as the format asks for them; only where the body is a list
	gap      int64    // how many messages of the group were skipped before the one
}

// load puts together what one request carries of what is lent for it, as far as it fits. It returns how many of the lent ones it
// has looked at: those behind them go with a later request.
func (c *config) load(list []lent) (g cargo, looked int) {
	size := len("[]")
	for i := range list {
		l := &list[i]
		switch {
		case l.beyond:
			return g, i
		case l.lacks != "" || l.message == nil:
			continue
		}
		m := c.endpoint.own(l.message)
		if c.batches() {
			body := c.settings.packed(m).Message.Body
			if size += len(body) + len(","); len(g.messages) > 0 && size > c.endpoint.Batch.Bytes {
				return g, i
			}
			g.bodies = append(g.bodies, body)
		}
		g.messages, g.gap = append(g.messages, m), l.gap
	}
	return g, len(list)
}

const batchType = "application/cloudevents-batch+json; charset=utf-8"

// list returns the request whose body is a list of messages. Its id follows from theirs, so it is the same when the same are sent
// again; what has a receiver know a message that comes twice is the id in the list.
func (c *config) list(g cargo, try int64, now time.Time) egress.Request {
	kind := "application/json"
	if c.settings.Event != "" {
		kind = batchType
	}
	trace := g.messages[0].Message.TraceParent
	for _, l := range g.messages {
		if l.Message.TraceParent != trace {
			trace = "" // there is no header for several
		}
	}
	body := append(append([]byte{'['}, bytes.Join(g.bodies, []byte{','})...), ']')
	return c.signedAs(batchID(g.messages), kind, trace, body, try, now)
}

// batchID names a request by what it carries.
func batchID(list []*topics.Logged) string {
	sum := sha256.New()
	for _, l := range list {
		sum.Write(l.ID[:])
	}
	return "batch_" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum.Sum(nil)[:15]))
}

// asBatch changes what an answer means to what it means of several messages, and reports whether there were too many: that a
// request is too large does not say so of each of them.
func (v *verdict) asBatch(res *egress.Response) (tooMany bool) {
	if res == nil || res.Status != http.StatusRequestEntityTooLarge || res.Header.Get("Webhook-Delivery") != "" {
		return false
	}
	v.outcome, v.words = retry, "The endpoint answered 413: so many messages are too large for it. They are sent in smaller requests."
	return true
}
