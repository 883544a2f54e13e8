package queues

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/tenants"
)

// Sent is the answer to a send.
type Sent struct {
	ID          engine.ID
	AvailableAt time.Time
	Replayed    bool // an earlier send with the same idempotency key or deduplication id stored it
	// SequenceNumber is the message's in a FIFO queue, 20 digits.
	SequenceNumber string
	Now            time.Time
}

// SendResult is what became of one message of a batch: Sent, or Err.
type SendResult struct {
	Sent
	Err error
}

const (
	// dedupWindow is how long an idempotency key of a send is remembered.
	dedupWindow = 5 * time.Minute
	// maxDedupKeys bounds the keys that one queue remembers, about 16 MB. In a FIFO queue each message has one, so there are
	// ten times as many: they bound what it takes in a window, 3,300 messages a second with the usual one.
	maxDedupKeys = 100_000
	maxFIFOKeys  = 1_000_000
	// memoryMessages bounds a queue of the in-memory engine, which has no maxmemory.
	memoryMessages = 100_000
)

// Send stores one message. When the outcome is unknown the error has the id that the message has if it was stored.
func (s *Store) Send(ctx context.Context, t tenants.ID, queue string, m Outgoing) (Sent, error) {
	results, err := s.SendBatch(ctx, t, queue, []Outgoing{m}, false)
	if err != nil {
		return Sent{}, err
	}
	return results[0].Sent, results[0].Err
}

// SendBatch stores messages in their order, as many as go in one step at a time, and says of each what became of it.
// With atomic all are stored in one step or none; then an error of one is the error of all.
func (s *Store) SendBatch(ctx context.Context, t tenants.ID, queue string, batch []Outgoing, atomic bool) ([]SendResult, error) {
	var results []SendResult
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		results, err = d.sendBatch(callerOf(ctx), batch, atomic)
		return err
	})
	return results, err
}

// sendBatch stores messages and counts those that were for the usage of the tenant.
func (d *desk) sendBatch(who caller, batch []Outgoing, atomic bool) (results []SendResult, err error) {
	if d.shards != nil {
		results, err = d.sendSpread(who, batch, atomic)
	} else {
		results, err = d.sendHere(who, batch, atomic)
	}
	stored := int64(0)
	for i := range results {
		if err == nil && results[i].Err == nil && !results[i].Replayed {
			stored++
		}
	}
	d.store.meter.Add(d.at.tenant, tenants.KindQueue, d.at.name, tenants.MetricSent, stored)
	return results, err
}

// sendHere stores messages in this shard.
func (d *desk) sendHere(who caller, batch []Outgoing, atomic bool) ([]SendResult, error) {
	if d.sends.crowded() {
		return nil, room.Overloaded()
	}
	terms, err := d.store.terms(context.Background(), d.at.tenant)
	if err != nil {
		return nil, err
	}
	most := int(terms.Limits[tenants.LimitMessageSize])
	storable := d.store.storage.Most(context.Background(), d.at.tenant, terms)
	results := make([]SendResult, len(batch))
	c, renewed := d.config.Load(), false
	// check judges a message by the settings and by what is paused. Before it refuses it makes sure once that they are those of now.
	check := func(m *Outgoing) error {
		if size := m.size(); size > most {
			e := *ErrMessageTooLarge
			e.Message = fmt.Sprintf("The message has %d bytes with its attributes; this tenant may send at most %d.", size, most)
			return &e
		}
		err := c.admit(m)
		if err == nil || renewed {
			return err
		}
		renewed = true
		now, lost := d.store.load(context.Background(), d.at.tenant, d.uid)
		if lost != nil || now.version == c.version {
			return err
		}
		d.config.Store(now)
		c = now
		return c.admit(m)
	}
	// broken is why a part of a FIFO batch was not stored. What comes behind it must not overtake it.
	var broken error
	for from, try := 0, 1; from < len(batch); try++ {
		call, next := &sendCall{who: who, config: c, most: storable, atomic: atomic, done: make(chan struct{})}, from
		for ; next < len(batch) && (atomic || len(call.items) == 0 || len(call.items) < c.together()); next++ {
			m, result := &batch[next], &results[next]
			if *result = (SendResult{Err: check(m)}); result.Err != nil {
				if atomic {
					return nil, result.Err
				}
				continue
			}
			if result.Err = broken; broken != nil {
				continue
			}
			item := d.pack(m, c, result)
			if !atomic && len(call.items) > 0 && call.size+len(item.record) > callBytes {
				break
			}
			call.add(item)
		}
		if atomic && (len(call.items) > MaxAtomicBatch || call.size > MaxAtomicBytes) {
			return nil, ErrAtomicTooLarge
		}
		if len(call.items) > 0 {
			d.sends.add(call)
			<-call.done
		}
		if errors.Is(call.err, errStale) && try < maxStale {
			c = d.config.Load() // by which they are prepared anew: not as many may go together
			continue
		}
		if errors.Is(call.err, errStale) {
			call.fail(engine.ErrUnavailable) // the settings never stood still
		}
		if atomic || errors.Is(call.err, errGone) {
			return results, call.err
		}
		if c.IsFIFO() {
			broken = cmp.Or(broken, call.refusal())
		}
		from, try = next, 0
	}
	return results, nil
}

// sendCall is one caller's messages for one script call.
type sendCall struct {
	who    caller
	config *config // by which they were prepared
	most   int64   // bytes that the tenant may store; 0: any number
	items  []sendItem
	size   int
	atomic bool
	err    error
	done   chan struct{}
}

// sendItem is one message on its way.
type sendItem struct {
	message      *Outgoing
	head, record []byte
	delay        time.Duration
	result       *SendResult
}

func (c *sendCall) add(item sendItem) {
	c.items = append(c.items, item)
	c.size += len(item.record)
}

func (c *sendCall) line() string { return c.who.line(len(c.items)) }

// fail says of all its messages that err became of them.
func (c *sendCall) fail(err error) {
	c.err = err
	for i := range c.items {
		c.items[i].result.Err = err
	}
}

// refusal is why some of the messages were not stored, whom none that comes later may overtake in a FIFO queue.
func (c *sendCall) refusal() error {
	if c.err != nil {
		return c.err
	}
	for i := range c.items {
		if err := c.items[i].result.Err; errors.Is(err, ErrMessagesFull) {
			return err
		}
	}
	return nil
}

// load says what the call adds to a script. An atomic one travels alone.
func (c *sendCall) load() (int, int) {
	if c.atomic || c.config.together() == 1 {
		return callMessages, c.size
	}
	return len(c.items), c.size
}

// pack prepares a message as send.lua takes it. Its id is made here, before the call, so that a call that is repeated
// stores the same message.
func (d *desk) pack(m *Outgoing, c *config, result *SendResult) sendItem {
	item := sendItem{message: m, result: result, delay: c.Delay}
	if m.Delay != nil && !c.IsFIFO() {
		item.delay = *m.Delay
	}
	id := d.store.engine.NewID(d.index)
	result.ID = id
	item.head = append(make([]byte, 0, 64), id[:]...)
	item.record = appendRecord(make([]byte, 0, len(m.Body)+64), m, nil)
	key, extra := m.dedupKey(c.Settings), m.extra()
	if item.delay > 0 || key != nil || m.GroupID != "" || extra != "" || m.TTL > 0 {
		item.head = strconv.AppendInt(item.head, item.delay.Milliseconds(), 10)
		if m.TTL > 0 {
			item.head = strconv.AppendInt(append(item.head, 'e'), m.TTL.Milliseconds(), 10)
		}
		item.head = append(append(append(item.head, extra...), '|'), key...)
	}
	if m.GroupID != "" {
		item.head = append(item.head, groupDigest(m.GroupID)...)
	}
	return item
}

// fingerprint tells one message from another under the same idempotency key. Who sends a message again may begin a new
// trace and may list the attributes in another order.
func (m *Outgoing) fingerprint() [sha256.Size]byte {
	same := *m
	same.TraceParent = ""
	same.Attributes = slices.SortedFunc(slices.Values(m.Attributes), func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	delay := int64(-1) // the queue's
	if m.Delay != nil {
		delay = m.Delay.Milliseconds()
	}
	return sha256.Sum256(binary.AppendVarint(appendRecord(nil, &same, nil), delay))
}

// runSends stores the messages of several callers in one script call.
func (d *desk) runSends(ln *lane, batch []*sendCall) {
	flag, fifo, forward := "0", false, false
	w := drawer{desk: d, most: batch[len(batch)-1].most}
	if !batch[0].atomic && len(batch)+len(batch[0].items) > 2 {
		w.how = tenants.DrawSome // of several messages those are stored that fit
	}
	args := func(now *config) []any {
		for _, c := range batch {
			if c.config.version != now.version {
				return nil
			}
		}
		atomic, most := 0, 0
		if batch[0].atomic {
			atomic = 1
		}
		if d.store.engine.Memory() {
			most = memoryMessages / now.Shards
		}
		args := make([]any, 0, 8+2*len(batch)*len(batch[0].items))
		flag = d.waiters.flag()
		fifo, forward = now.IsFIFO(), now.ForwardTo != ""
		args = append(args, flag, now.window().Milliseconds(), most, now.maxKeys(), atomic, d.caps(now), now.ForwardTo, w.mode())
		for _, c := range batch {
			for i := range c.items {
				args = append(args, c.items[i].head, c.items[i].record)
			}
		}
		return args
	}
	ln.lines = linesOf(batch, (*sendCall).line)
	defer func() { ln.lines = nil }() // nobody is asked who has his answer
	reply, err := w.run(context.Background(), 1, func() ([]any, error) { return d.call(context.Background(), sendScript, ln, args) })
	if engine.Text(reply, 0) == "ok" {
		d.pushedOut(reply, 4)
	} else {
		d.pushedOut(reply, 1)
	}
	switch word := engine.Text(reply, 0); {
	case err != nil, word == "ok":
	case word == "full_tenant":
		err = w.err()
	default:
		err = refused(word)
	}
	now, verdicts := engine.Number(reply, 1), engine.Text(reply, 2)
	ready, due := 0, time.Duration(0)
	n := 0
	for _, c := range batch {
		for i := range c.items {
			item := &c.items[i]
			item.result.Now = at(now)
			item.result.AvailableAt = at(now).Add(item.delay)
			stored := false
			if err != nil {
				item.result.Err = err
			} else {
				stored = item.judge(verdicts, n, fifo, &w)
			}
			n++
			switch {
			case !stored:
			case item.delay == 0:
				ready++
			case due == 0 || item.delay < due:
				due = item.delay
			}
		}
		c.err = err
		close(c.done)
	}
	if forward {
		if ready > 0 || due > 0 {
			d.carrier.wake()
		}
		return
	}
	if fifo {
		ready = int(engine.Number(reply, 3)) // groups, not messages
	}
	switch {
	case flag == "1" && (ready > 0 || due > 0):
		d.waiters.wake(ready, due)
	case ready > 0 && d.first().shards != nil:
		d.waiters.hint()
	}
}

// pushedOut counts the messages that a send has deleted to make room, and has those brought on that it has sent off. From
// element i on the reply says how many there are of each.
func (d *desk) pushedOut(reply []any, i int) {
	d.store.dropped.Add(engine.Number(reply, i))
	if engine.Number(reply, i+1) > 0 {
		d.carrier.wake()
	}
}

// caps are the caps as send.lua takes them. While the dead-letter queue is missing nothing can go there.
func (d *desk) caps(c *config) string {
	s := c.Settings
	if s.WhenFull == DeadLetterOldest && d.isOrphaned() {
		s.WhenFull = Reject
	}
	return s.caps()
}

const verdictSize = 1 + engine.IDSize

// judge reads the verdict on message n and reports whether it was stored by this call.
func (item *sendItem) judge(verdicts string, n int, fifo bool, w *drawer) bool {
	if verdicts == "" {
		return true
	}
	size := verdictSize
	if fifo {
		size += placeSize
	}
	if len(verdicts) < (n+1)*size {
		item.result.Err = unexpected(verdicts)
		return false
	}
	v := verdicts[n*size : (n+1)*size]
	item.result.SequenceNumber = sequence(v[verdictSize:])
	switch v[0] {
	case 'd':
		copy(item.result.ID[:], v[1:])
		item.result.Replayed = true
		return false
	case 'c':
		item.result.Err = ErrKeyReused
		return false
	case 'f':
		item.result.Err = ErrKeysFull
		return false
	case 'm', 'b', 't':
		item.result.Err, item.result.SequenceNumber = ErrMessagesFull, ""
		switch v[0] {
		case 'b':
			item.result.Err = ErrBytesFull
		case 't':
			item.result.Err = w.err()
		}
		return false
	}
	return true
}
