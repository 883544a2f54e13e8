package queues

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Verb says what a consumer wants done with a message that it holds.
type Verb byte

// The verbs. Their letters are those of lua/settle.lua.
const (
	Ack    Verb = 'a' // it is done: delete it
	Extend Verb = 'e' // hide it for For, from now on
	Return Verb = 'r' // make it available again, after For
	// DeadLetter gives it up: it leaves for the queue's dead-letter queue at once.
	DeadLetter Verb = 'd'
	Fail       Verb = 'b' // make it available again, after the wait of its retry policy

	unseen Verb = 'u' // it never reached the consumer: put it back as if it had not been lent
)

// Settlement is one verb on one lease.
type Settlement struct {
	Verb          Verb
	ReceiptHandle string
	For           time.Duration // Extend: the new visibility timeout, over 0; Return: the delay, 0 or more
	// Reason is what the consumer says of the message that it returns or gives up, up to MaxReason bytes of UTF-8; it is
	// kept as the message's last error. "": nothing.
	Reason string
}

// MaxReason is how long a consumer's reason may be, in bytes.
const MaxReason = 1024

// Settled is what became of a settlement.
type Settled struct {
	// LeaseExpiresAt is when an extended lease ends, and AvailableAt when a returned message is available.
	LeaseExpiresAt time.Time
	AvailableAt    time.Time
	Wait           time.Duration // of a returned message: how long it is hidden until then
	Expired        bool          // a returned message is gone: its own end came while it was held
	Unheld         bool          // it is not done because the lease is over, and nobody else has the message
	// Err is nil when it is done, and for the ack of a message that is gone already, so that an ack can be repeated.
	Err error
}

// Settle ends, prolongs or returns up to MaxSettle leases and says of each what became of it.
func (s *Store) Settle(ctx context.Context, t tenants.ID, queue string, list []Settlement) ([]Settled, error) {
	var results []Settled
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		results, err = d.settle(callerOf(ctx), list)
		return err
	})
	if err == nil {
		s.holders.tell(list, results)
	}
	return results, err
}

func (d *desk) settle(who caller, list []Settlement) ([]Settled, error) {
	if d.shards != nil {
		return d.settleSpread(who, list)
	}
	return d.settleHere(who, list)
}

// settleHere is settle for leases of this shard.
func (d *desk) settleHere(who caller, list []Settlement) ([]Settled, error) {
	results := make([]Settled, len(list))
	call := &settleCall{who: who, done: make(chan struct{})}
	flush := func() error {
		if len(call.items) == 0 {
			return nil
		}
		d.settles.add(call)
		<-call.done
		if errors.Is(call.err, errGone) {
			return call.err
		}
		// What the script had no room for goes with the next call.
		rest := call.items[:0]
		for i := range call.items {
			if call.items[i].again {
				call.items[i].again = false
				rest = append(rest, call.items[i])
			}
		}
		call = &settleCall{who: who, items: rest, done: make(chan struct{})}
		return nil
	}
	c, renewed, sure := d.config.Load(), false, false
	for i, one := range list {
		r, err := d.sign.read(one.ReceiptHandle)
		if err != nil && !sure {
			if err := d.replaced(context.Background()); err != nil {
				return nil, err // nothing is done: no call before has found the queue
			}
			sure = true
		}
		if err == nil && one.Verb == DeadLetter && c.Redrive.DeadLetterQueue == "" && !renewed {
			// Make sure that these are the settings of now.
			renewed = true
			if now, lost := d.store.load(context.Background(), d.at.tenant, d.uid); lost == nil {
				d.config.Store(now)
				c = now
			}
		}
		if err == nil {
			err = one.validate(c)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		call.items = append(call.items, settleItem{verb: one.Verb, receipt: r, span: one.For, said: one.Reason, result: &results[i]})
		if len(call.items) == callMessages {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	for len(call.items) > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (one Settlement) validate(c *config) error {
	switch {
	case one.Verb == DeadLetter && c.Redrive.DeadLetterQueue == "":
		return ErrNoDeadLetterQueue
	case len(one.Reason) > MaxReason || !utf8.ValidString(one.Reason):
		return errs.Invalidf("/reason", "reason must be UTF-8 of at most %d bytes, got %d.", MaxReason, len(one.Reason))
	case one.Verb == Extend && (one.For <= 0 || one.For > MaxVisibilityTimeout):
		return errs.Invalidf("/visibility_timeout", "visibility_timeout must be 0 to %d seconds, got %g.", int(MaxVisibilityTimeout.Seconds()), one.For.Seconds())
	case one.Verb == Return && (one.For < 0 || one.For > c.Retention):
		return errs.Invalidf("/delay", "delay must be 0 to %d seconds, the queue's retention, got %g.", int(c.Retention.Seconds()), one.For.Seconds())
	}
	return nil
}

// unreceive puts messages back that their consumer did not get. What fails comes back by itself when the leases end.
func (d *desk) unreceive(messages []Message) {
	if d.shards == nil {
		d.unreceiveHere(messages)
		return
	}
	_ = d.spread(len(messages), func(i int) int { return d.of(messages[i].ID).index }, func(shard *desk, which []int) error {
		shard.unreceiveHere(choose(messages, which))
		return nil
	})
}

// unreceiveHere is unreceive for messages of this shard.
func (d *desk) unreceiveHere(messages []Message) {
	call := &settleCall{done: make(chan struct{})}
	for i := range messages {
		r, err := d.sign.read(messages[i].ReceiptHandle)
		if err != nil {
			continue
		}
		call.items = append(call.items, settleItem{verb: unseen, receipt: r, result: &Settled{}})
	}
	if len(call.items) == 0 {
		return
	}
	d.settles.add(call)
	<-call.done
	if call.err != nil {
		d.store.logger.Warn("messages whose consumer has gone could not be put back; they come back when their leases end",
			"queue", d.at.name, "count", len(call.items), "error", call.err.Error())
	}
}

// Unreceive puts messages back whose answer never reached the consumer, as if they had not been lent. Only their
// deliveries are counted.
func (s *Store) Unreceive(ctx context.Context, t tenants.ID, queue string, messages []Message) {
	_ = s.with(ctx, t, queue, func(d *desk) error {
		d.unreceive(messages)
		return nil
	})
	s.meter.Add(t, tenants.KindQueue, queue, tenants.MetricReceived, -int64(len(messages)))
}

// settleCall is one caller's settlements for one script call.
type settleCall struct {
	who   caller
	items []settleItem
	err   error
	done  chan struct{}
}

type settleItem struct {
	verb    Verb
	receipt receipt
	span    time.Duration
	said    string
	result  *Settled
	again   bool // the script has not looked at it
}

func (c *settleCall) load() (int, int) { return len(c.items), 0 }

func (c *settleCall) line() string { return c.who.line(len(c.items)) }

// runSettles carries out the settlements of several callers in one script call.
func (d *desk) runSettles(ln *lane, batch []*settleCall) {
	flag := "0"
	ln.lines = linesOf(batch, (*settleCall).line)
	defer func() { ln.lines = nil }() // nobody is asked who has his answer
	reply, err := d.call(context.Background(), settleScript, ln, func(*config) []any {
		flag = d.waiters.flag()
		args := make([]any, 0, 1+len(batch)*len(batch[0].items))
		args = append(args, flag)
		for _, c := range batch {
			for i := range c.items {
				args = append(args, c.items[i].encode())
			}
		}
		return args
	})
	if err == nil && engine.Text(reply, 0) != "ok" {
		err = refused(engine.Text(reply, 0))
	}
	now, verdicts := engine.Number(reply, 1), engine.Text(reply, 2)
	waits := strings.Fields(engine.Text(reply, 5))
	n, gaveUp, acked := 0, false, int64(0)
	for _, c := range batch {
		for i := range c.items {
			item := &c.items[i]
			switch {
			case err != nil:
				item.result.Err = err
			case n >= len(verdicts):
				item.result.Err = unexpected(reply)
			default:
				if item.verb == Fail && verdicts[n] == 'k' && len(waits) > 0 {
					ms, _ := strconv.ParseInt(waits[0], 10, 64)
					item.span, waits = time.Duration(ms)*time.Millisecond, waits[1:]
				}
				item.judge(verdicts[n], at(now))
				if item.verb == Ack && verdicts[n] == 'k' {
					acked++
				}
			}
			gaveUp = gaveUp || item.verb == DeadLetter
			n++
		}
		c.err = err
		close(c.done)
	}
	d.store.meter.Add(d.at.tenant, tenants.KindQueue, d.at.name, tenants.MetricDeleted, acked)
	if gaveUp {
		d.carrier.wake()
	}
	if ready, due := engine.Number(reply, 3), engine.Number(reply, 4); err == nil && flag == "1" && (ready > 0 || due > 0) {
		d.waiters.wake(int(ready), time.Duration(due)*time.Millisecond)
	}
}

// encode writes the item as settle.lua takes it.
func (item *settleItem) encode() []byte {
	b := make([]byte, 0, 64)
	verb := byte(item.verb)
	if item.receipt.place != "" {
		verb -= 'a' - 'A'
	}
	b = append(append(append(b, verb), item.receipt.id[:]...), item.receipt.place...)
	if item.verb == Ack {
		n := item.receipt.size
		return strconv.AppendUint(append(b, byte(n>>16), byte(n>>8), byte(n)), uint64(item.receipt.delivery), 10)
	}
	b = strconv.AppendUint(b, uint64(item.receipt.delivery), 10)
	b = append(strconv.AppendInt(append(b, ','), item.receipt.received.UnixMilli(), 10), ',')
	b = append(strconv.AppendInt(b, item.span.Milliseconds(), 10), ',')
	return append(b, item.said...)
}

func (item *settleItem) judge(verdict byte, now time.Time) {
	switch verdict {
	case 'k':
		switch item.verb {
		case Extend:
			item.result.LeaseExpiresAt = now.Add(item.span)
		case Return, Fail:
			item.result.AvailableAt, item.result.Wait = now.Add(item.span), item.span
		}
	case 'o':
		item.result.Expired = true
	case 'g':
		if item.verb != Ack {
			item.result.Err = ErrReceiptExpired
		}
	case 'x', 'n':
		item.result.Err, item.result.Unheld = ErrReceiptExpired, verdict == 'x'
	case 'm':
		item.again = true
	case 'l':
		item.result.Err = errs.Invalidf("/visibility_timeout", "A message may be held for at most %d seconds since it was received.", int(MaxVisibilityTimeout.Seconds()))
	default:
		item.result.Err = unexpected(fmt.Sprintf("verdict %q", verdict))
	}
}
