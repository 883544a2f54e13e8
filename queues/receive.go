package queues

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// ReceiveOptions say what a consumer wants.
type ReceiveOptions struct {
	Max               int            // 1 to MaxReceive; 0 means 1
	Wait              *time.Duration // 0 to MaxWait; nil: the queue's own
	VisibilityTimeout *time.Duration // 0 to MaxVisibilityTimeout; nil: the queue's own
	// AttemptID lets a consumer of a FIFO queue that did not get the answer receive the same messages again, with the same
	// receipt handles, within five minutes, or the deduplication window if that is shorter, while it holds them all and has
	// said nothing of any. "": no attempt.
	AttemptID string
	// AutoAck deletes the messages in the step that gives them: they come at most once. They have no receipt handle and no
	// lease. What is lost between Redis and the consumer is lost for good.
	AutoAck bool
	// Consumer is what the consumer calls itself, up to MaxConsumer printable ASCII characters. Whoever looks at messages in
	// flight sees it. "": no name, which costs the queue less.
	Consumer string
}

// MaxConsumer is how long the name of a consumer may be, in bytes.
const MaxConsumer = 128

// ValidConsumer reports whether a consumer may call itself so; "" is no name.
func ValidConsumer(name string) bool {
	return len(name) <= MaxConsumer && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })
}

func (o ReceiveOptions) validate() error {
	field := func(name, format string, args ...any) error {
		msg := fmt.Sprintf(format, args...)
		return &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Message: msg,
			Fields: []errs.Field{{Query: name, Code: "out_of_range", Message: msg}}}
	}
	if o.Max < 0 || o.Max > MaxReceive {
		return field("max", "max must be 1 to %d, got %d.", MaxReceive, o.Max)
	}
	if err := validateToken("", "attempt id", o.AttemptID); err != nil {
		return field("attempt_id", "%s", err.Error())
	}
	if o.Wait != nil && (*o.Wait < 0 || *o.Wait > MaxWait) {
		return field("wait", "wait must be 0 to %d seconds, got %g.", int(MaxWait.Seconds()), o.Wait.Seconds())
	}
	if !ValidConsumer(o.Consumer) {
		return field("consumer", "consumer must be 1 to %d printable ASCII characters.", MaxConsumer)
	}
	if o.AutoAck && o.Consumer != "" {
		return queryError("consumer", "What is acknowledged as it is given is not held, so nobody is noted as its consumer.")
	}
	if o.AutoAck && (o.AttemptID != "" || o.VisibilityTimeout != nil) {
		return &errs.Error{Kind: errs.Invalid, Code: "validation_failed",
			Message: "What is acknowledged as it is given is not held: there is neither a visibility timeout nor an attempt to repeat.",
			Fields:  []errs.Field{{Query: "ack", Code: "contradiction", Message: "must not be auto with visibility_timeout or attempt_id"}}}
	}
	if v := o.VisibilityTimeout; v != nil && (*v < 0 || *v > MaxVisibilityTimeout) {
		return field("visibility_timeout", "visibility_timeout must be 0 to %d seconds, got %g.", int(MaxVisibilityTimeout.Seconds()), v.Seconds())
	}
	return nil
}

// Receive lends out up to Max messages. Where there is none it waits until one comes, the wait is over, the server
// drains or ctx ends; then it returns none. A queue whose receives are paused is like an empty one. What a call that ctx ended was given goes back as if it had not been lent.
func (s *Store) Receive(ctx context.Context, t tenants.ID, queue string, opt ReceiveOptions) ([]Message, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	var messages []Message
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		messages, err = d.receive(ctx, opt)
		return err
	})
	s.meter.Add(t, tenants.KindQueue, queue, tenants.MetricReceived, int64(len(messages)))
	if opt.AutoAck {
		s.meter.Add(t, tenants.KindQueue, queue, tenants.MetricDeleted, int64(len(messages)))
	}
	return messages, err
}

func (d *desk) receive(ctx context.Context, opt ReceiveOptions) ([]Message, error) {
	c := d.config.Load()
	if opt.AttemptID != "" && !c.IsFIFO() {
		return nil, queryError("attempt_id", "Only FIFO queues know attempts.")
	}
	call := &receiveCall{max: max(opt.Max, 1), timeout: -1, attempt: opt.AttemptID, done: make(chan struct{})}
	call.auto, call.consumer, call.who = opt.AutoAck, opt.Consumer, callerOf(ctx)
	if opt.VisibilityTimeout != nil {
		call.timeout = *opt.VisibilityTimeout
	}
	wait := c.ReceiveWait
	if opt.Wait != nil {
		wait = *opt.Wait
	}
	if d.store.draining.Load() {
		wait = 0
	}
	if wait > 0 {
		call.patient = true
		timer := d.store.clock.AfterFunc(wait, func() { d.waiters.giveUp(call) })
		defer timer.Stop()
	}
	if wait > 0 || d.shards != nil {
		d.waiters.enter(call)
	} else {
		d.receives.add(call)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		d.waiters.giveUp(call)
		<-call.done
	}
	if ctx.Err() == nil { // asked again: both may have happened
		return call.messages, call.err
	}
	if call.err == nil && len(call.messages) > 0 {
		d.unreceive(call.messages)
	}
	return nil, engine.ErrUnavailable.Because(ctx.Err())
}

// receiveCall is one consumer's wish.
type receiveCall struct {
	max      int
	attempt  string
	auto     bool   // what it gets is deleted
	consumer string // what the caller calls itself, or ""
	who      caller
	timeout  time.Duration // negative: the queue's own
	messages []Message
	err      error
	done     chan struct{}

	// Guarded by lobby.mu.
	patient    bool   // waits when there is nothing
	tries      int    // how often it asked again at once
	asked      uint64 // the shards that had nothing for it, by their bits; unless it waits, it asks each once
	turn       int    // the shard at which it began
	parked     bool
	next, prev *receiveCall
}

// load says what the call adds to a script. An attempt travels alone.
func (c *receiveCall) load() (int, int) {
	if c.attempt != "" {
		return callMessages, 0
	}
	return c.max, 0
}

func (c *receiveCall) line() string { return c.who.line(1) }

// runReceives serves several consumers in one script call.
func (d *desk) runReceives(ln *lane, batch []*receiveCall) {
	seen := d.waiters.begin()
	var answer receiveAnswer
	hadOthers, err := false, errStale
	for try := 0; errors.Is(err, errStale) && try < maxStale; try++ {
		if d.config.Load().paused.Receive != nil {
			err = d.holdBack(ln, batch)
		} else {
			answer, hadOthers, err = d.lend(ln, batch)
		}
	}
	if errors.Is(err, errStale) {
		err = engine.ErrUnavailable // the settings never stood still
	}
	d.waiters.end(batch, seen, answer, hadOthers, err)
}

// lend serves several consumers, and reports whether others waited on this server. errStale: the queue is paused.
func (d *desk) lend(ln *lane, batch []*receiveCall) (answer receiveAnswer, hadOthers bool, err error) {
	waiting, asked := "0", *d.config.Load()
	ln.lines = linesOf(batch, (*receiveCall).line)
	defer func() { ln.lines = nil }() // nobody is asked who has his answer
	reply, err := d.call(context.Background(), receiveScript, ln, func(c *config) []any {
		if c.paused.Receive != nil {
			return nil
		}
		asked = *c
		waiting = d.waiters.waiting(batch)
		args := make([]any, 0, 6+2*len(batch))
		args = append(args, c.Retention.Milliseconds(), c.VisibilityTimeout.Milliseconds(), waiting, batch[0].digest(), c.window().Milliseconds(), d.maxReceives(c))
		for _, call := range batch {
			args = append(args, call.max, call.hold(c))
		}
		return args
	})
	if err == nil {
		answer, err = d.parseReceive(reply, batch, &asked)
	}
	if answer.moving {
		d.carrier.wake()
	}
	return answer, waiting == "2", err
}

// digest names the attempt in Redis.
func (c *receiveCall) digest() string {
	if c.attempt == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("a\x00" + c.attempt))
	return string(sum[:16])
}

// hold says for how long the call receives, and for whom, as receive.lua takes it.
func (c *receiveCall) hold(q *config) any {
	switch span := c.lasts(q).Milliseconds(); {
	case c.auto:
		return -1
	case c.consumer != "":
		return strconv.FormatInt(span, 10) + "," + base64.RawURLEncoding.EncodeToString([]byte(c.consumer))
	default:
		return span
	}
}

// lasts is how long what the call receives stays hidden.
func (c *receiveCall) lasts(q *config) time.Duration {
	if c.timeout >= 0 {
		return c.timeout
	}
	return q.VisibilityTimeout
}

// receiveAnswer is what a receive script says besides the messages.
type receiveAnswer struct {
	now  int64 // when the deliveries began by the queue clock, ms
	lent int64 // from when on their leases count
	more int   // messages left, as far as anyone asked
	due  int64 // in how many milliseconds the next message may become available by itself, or 0
	// moving says that messages are on their way to another queue.
	moving bool
}

// parseReceive hands each caller of the batch its messages.
func (d *desk) parseReceive(reply []any, batch []*receiveCall, c *config) (receiveAnswer, error) {
	head := strings.Fields(engine.Text(reply, 1))
	if engine.Text(reply, 0) != "ok" || len(head) < 5 {
		return receiveAnswer{}, unexpected(reply)
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(head[i], 10, 64); return n }
	a := receiveAnswer{now: num(0), lent: num(1), more: int(num(2)), due: num(3), moving: num(4) > 0}
	next := 2
	for i, call := range batch {
		count := 0
		if 5+i < len(head) {
			count = int(num(5 + i))
		}
		if count == 0 {
			continue
		}
		call.messages = make([]Message, 0, count)
		for range count {
			m := Message{State: InFlight, LeaseExpiresAt: at(a.lent).Add(call.lasts(c))}
			if err := d.parseDelivery(engine.Text(reply, next), engine.Text(reply, next+1), a.now, &m); err != nil {
				// One damaged record must not hold up the others. It stays hidden for its lease and is seen again.
				d.store.logger.Error("a stored message cannot be read", "queue", d.at.name, "uid", d.uid, "error", err.Error())
			} else {
				if call.auto {
					m.State, m.ReceiptHandle, m.LeaseExpiresAt = "", "", time.Time{}
				}
				call.messages = append(call.messages, m)
			}
			next += 2
		}
	}
	return a, nil
}

var errDelivery = errors.New("the delivery is damaged")

// parseDelivery reads one message of a receive: its id with what is known of earlier deliveries, and its record.
func (d *desk) parseDelivery(head, record string, now int64, m *Message) error {
	if len(head) < engine.IDSize {
		return errDelivery
	}
	copy(m.ID[:], head)
	f, err := parseRecord(record, m)
	if err != nil {
		return err
	}
	delivery := uint32(1)
	m.ReceiveCount, m.FirstReceivedAt = 1, at(now)
	if len(head) > engine.IDSize {
		side, err := parseSide(head[engine.IDSize:])
		if err != nil {
			return err
		}
		delivery = side.deliveries
		side.tell(m)
	}
	m.ReceiptHandle = d.sign.write(receipt{id: m.ID, place: f.place, delivery: delivery, received: at(now), size: len(record)})
	d.complete(m, f)
	return nil
}

// complete adds what follows from the record and the kind of the queue.
func (d *desk) complete(m *Message, f filed) {
	if o := m.Origin; o != nil {
		m.ReceiveCount += o.Receives
		if !o.FirstReceivedAt.IsZero() {
			m.FirstReceivedAt = o.FirstReceivedAt
		}
	}
	if f.place == "" || !IsFIFOName(d.at.name) {
		return
	}
	m.SequenceNumber = sequence(f.place)
	if !f.keyed {
		m.DeduplicationID = contentID([]byte(m.Body))
	}
}

// side is what a queue keeps of a message that was delivered before.
type side struct {
	deliveries uint32
	receives   int
	failures   int
	first      time.Time // zero: never received
	lastError  string    // what a consumer said when it returned the message last
	heldSince  time.Time // of a message that is held and was held before: since when
	heldBy     string    // of a message that is held: what its consumer calls itself, or ""
}

// tell adds what is known to a message.
func (s side) tell(m *Message) {
	m.ReceiveCount, m.FailureCount, m.FirstReceivedAt, m.LastError = s.receives, s.failures, s.first, s.lastError
}

func parseSide(s string) (side, error) {
	f := strings.SplitN(s, ",", 5)
	if len(f) < 4 {
		return side{}, errDelivery
	}
	var n [4]int64
	for i := range n {
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return side{}, errDelivery
		}
		n[i] = v
	}
	out := side{deliveries: uint32(n[0]), receives: int(n[1]), failures: int(n[2])}
	if n[3] > 0 {
		out.first = at(n[3])
	}
	rest := ""
	if len(f) == 5 {
		rest = f[4]
	}
	for rest != "" {
		if rest[0] == 'e' {
			out.lastError = rest[1:]
			break
		}
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		if mark, ok := strings.CutPrefix(part, "h"); ok {
			if err := out.readMark(mark); err != nil {
				return side{}, err
			}
		}
	}
	return out, nil
}

// readMark reads since when a message is held, and by whom.
func (s *side) readMark(mark string) error {
	since, name, _ := strings.Cut(mark, ":")
	ms, err := strconv.ParseInt(since, 10, 64)
	raw, bad := base64.RawURLEncoding.DecodeString(name)
	if err != nil || bad != nil {
		return errDelivery
	}
	s.heldSince, s.heldBy = at(ms), string(raw)
	return nil
}
