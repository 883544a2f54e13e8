package queues

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// ConsumeOptions say how a consumer wants its messages.
type ConsumeOptions struct {
	MaxInFlight       int            // how many it holds at most, 1 to MaxReceive
	VisibilityTimeout *time.Duration // over 0; nil: the queue's own, as it is now
	Heartbeat         bool           // extend its leases for as long as it is there
	Metered           bool           // it gets as many as Grant allows, instead of as many as it can hold
	Consumer          string         // what it calls itself; see ReceiveOptions
}

const (
	// longestTick is how often a consumer looks after its leases at least, so that what was settled on another server
	// makes room soon, however long the leases are.
	longestTick = 20 * time.Second
	// firstLook is how soon a consumer that holds all it may looks whether another server has settled something. Each
	// look in vain doubles the time, up to the ordinary one.
	firstLook = time.Second
	// receivePause is how long a consumer waits after its receive failed.
	receivePause = time.Second
	// tooLong is an extension that the queue always refuses, and which changes nothing. The refusal says that the lease
	// is held, so it is a look at up to 100 leases in one call.
	tooLong = MaxVisibilityTimeout + time.Second
)

// Consumer receives messages of one queue and holds at most MaxInFlight of them: those that are neither settled nor
// lost. It learns at once what is settled on this server, and looks for the rest in the queue, in one call for all,
// when it extends its leases: each third of the visibility timeout, and sooner while it holds all it may.
//
// It is driven by one goroutine: Pull asks for messages, Changed says that there is something to Take, Written that
// they have reached their reader, and Close ends it.
type Consumer struct {
	store   *Store
	tenant  tenants.ID
	queue   string
	opt     ConsumeOptions
	timeout time.Duration
	who     caller
	changed chan struct{}
	working sync.WaitGroup // the receive and the look under way

	mu       sync.Mutex
	held     map[string]*holding // by receipt handle
	arrived  []Message           // received and not taken
	ending   []Message           // whose leases cannot be extended any more
	err      error               // why nothing more comes
	grant    int                 // how many more it may get, when Metered
	stop     context.CancelFunc  // of the receive under way; nil: none is
	timer    clock.Timer
	timerAt  time.Time
	patience time.Duration // until the next look while there is no room
	closed   bool
}

// holding is a message that a consumer has and that is not settled, as far as is known.
type holding struct {
	id      engine.ID
	until   time.Time // end of the lease
	renewed time.Time // when the lease began or was extended, by the clock of this server
	written bool
}

// message is what is known of a message that the reader has.
func (h *holding) message(handle string) Message {
	return Message{ID: h.id, ReceiptHandle: handle, LeaseExpiresAt: h.until, State: InFlight}
}

// Consume returns a consumer of a queue.
func (s *Store) Consume(ctx context.Context, t tenants.ID, queue string, opt ConsumeOptions) (*Consumer, error) {
	if opt.MaxInFlight < 1 || opt.MaxInFlight > MaxReceive {
		return nil, queryError("max_in_flight", "max_in_flight must be 1 to %d, got %d.", MaxReceive, opt.MaxInFlight)
	}
	if !ValidConsumer(opt.Consumer) {
		return nil, queryError("consumer", "consumer must be 1 to %d printable ASCII characters.", MaxConsumer)
	}
	c := &Consumer{store: s, tenant: t, queue: queue, opt: opt, changed: make(chan struct{}, 1), held: map[string]*holding{}, patience: firstLook}
	d, err := s.desk(ctx, t, queue)
	if err != nil {
		return nil, err
	}
	if who := callerOf(ctx); who != nil {
		known := who() // what it does comes after this call
		c.who = func() Actor { return known }
	}
	c.timeout = d.config.Load().VisibilityTimeout
	if opt.VisibilityTimeout != nil {
		c.timeout = *opt.VisibilityTimeout
	}
	if c.timeout <= 0 || c.timeout > MaxVisibilityTimeout {
		return nil, queryError("visibility_timeout", "visibility_timeout must be 1 to %d seconds here, got %g.",
			int(MaxVisibilityTimeout.Seconds()), c.timeout.Seconds())
	}
	return c, nil
}

// Changed says that there is something to Take, or room for more messages.
func (c *Consumer) Changed() <-chan struct{} { return c.changed }

func (c *Consumer) notify() {
	select {
	case c.changed <- struct{}{}:
	default: // it has been told already
	}
}

// Grant lets a Metered consumer get n messages more, up to most in all.
func (c *Consumer) Grant(n, most int) {
	c.mu.Lock()
	c.grant = min(c.grant+n, most)
	c.mu.Unlock()
	c.notify()
}

// room is how many messages the consumer may get. It is called locked.
func (c *Consumer) room() int {
	n := c.opt.MaxInFlight - len(c.held)
	if c.opt.Metered {
		n = min(n, c.grant)
	}
	return n
}

// Pull begins to wait for as many messages as there is room for, unless that is under way or none are wanted. A
// consumer whose reader is slow does not call it, and so holds at most the answer of one receive in memory.
func (c *Consumer) Pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.stop != nil || c.err != nil || len(c.arrived) > 0 || c.room() < 1 || c.store.draining.Load() {
		return
	}
	ctx, stop := context.WithCancel(c.who.context())
	c.stop = stop
	room := c.room()
	c.working.Go(func() { c.receive(ctx, room) })
}

// receive waits until there are messages or nothing more can come.
func (c *Consumer) receive(ctx context.Context, room int) {
	for {
		wait := MaxWait
		list, err := c.store.Receive(ctx, c.tenant, c.queue, ReceiveOptions{Max: room, Wait: &wait, VisibilityTimeout: &c.timeout, Consumer: c.opt.Consumer})
		kind := errs.KindOf(err)
		passing := (kind == errs.Unavailable || kind == errs.Unknown) && !errors.Is(err, ErrDataLost)
		switch {
		case err != nil && passing && ctx.Err() == nil:
			c.pause(ctx)
		case len(list) > 0 || err != nil || ctx.Err() != nil || c.store.draining.Load():
			c.arrive(list, err)
			return
		}
	}
}

// pause returns after receivePause, or when ctx ends.
func (c *Consumer) pause(ctx context.Context) {
	over := make(chan struct{})
	timer := c.store.clock.AfterFunc(receivePause, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// arrive notes what a receive brought. From here on a settlement of these messages is noticed.
func (c *Consumer) arrive(list []Message, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop()
	c.stop = nil
	for _, m := range list {
		c.held[m.ReceiptHandle] = &holding{id: m.ID, until: m.LeaseExpiresAt, renewed: c.store.clock.Now()}
		c.store.holders.add(m.ReceiptHandle, c)
	}
	if c.opt.Metered {
		c.grant -= len(list)
	}
	c.arrived = list
	if !c.closed {
		c.err = err
	}
	c.arm()
	c.notify()
}

// Taken is what a consumer has for its reader.
type Taken struct {
	Messages []Message
	// Ending are messages whose leases cannot be extended any more, because they have been held for as long as is
	// allowed. They count no longer, and are available again at LeaseExpiresAt.
	Ending []Message
	// Err says why no more messages come: the queue is gone, for example.
	Err error
}

// Take returns what has come since the last time.
func (c *Consumer) Take() Taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Taken{Messages: c.arrived, Ending: c.ending, Err: c.err}
	c.arrived, c.ending = nil, nil
	return t
}

// Written notes that messages have reached their reader. Until then they go back uncounted when the consumer ends.
func (c *Consumer) Written(list []Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		if h := c.held[list[i].ReceiptHandle]; h != nil {
			h.written = true
		}
	}
}

// drop notes that messages are held no longer.
func (c *Consumer) drop(handles ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, handle := range handles {
		if _, ok := c.held[handle]; ok {
			delete(c.held, handle)
			c.store.holders.remove(handle)
		}
	}
	c.patience = firstLook
	c.notify()
}

// arm sets the timer of the next look at the leases, unless it goes off before that anyway. It is called locked.
func (c *Consumer) arm() {
	if c.closed || len(c.held) == 0 {
		return
	}
	d := min(c.timeout/3, longestTick)
	if len(c.held) >= c.opt.MaxInFlight {
		d = min(d, c.patience)
	}
	at := c.store.clock.Now().Add(d)
	if c.timer != nil {
		if !at.Before(c.timerAt) {
			return
		}
		c.timer.Stop()
	}
	c.timerAt = at
	c.timer = c.store.clock.AfterFunc(d, c.tick)
}

// tick extends the leases that have lasted for a while, looks at the others, and drops those that are over: settled on
// another server, purged, deleted, or lost.
func (c *Consumer) tick() {
	c.mu.Lock()
	if c.closed || c.timer == nil { // nil: a look is under way, and this is a timer that it has replaced
		c.mu.Unlock()
		return
	}
	c.timer.Stop()
	c.timer = nil
	c.working.Add(1)
	defer c.working.Done()
	now := c.store.clock.Now()
	looks := make([]look, 0, len(c.held))
	for handle, h := range c.held {
		l := look{handle: handle, span: tooLong}
		if c.opt.Heartbeat && now.Sub(h.renewed) >= c.timeout/6 {
			l.span = c.timeout
		}
		looks = append(looks, l)
	}
	c.mu.Unlock()
	err := c.store.look(c.who, c.tenant, c.queue, looks)
	if errors.Is(err, ErrQueueNotFound) {
		for i := range looks {
			looks[i].result.Err = ErrReceiptInvalid
		}
	}
	c.judge(now, looks)
}

// judge deals with what a tick has found.
func (c *Consumer) judge(now time.Time, looks []look) {
	var over []string
	c.mu.Lock()
	for _, l := range looks {
		h, err := c.held[l.handle], l.result.Err
		switch {
		case h == nil:
		case err == nil:
			h.until, h.renewed = l.result.LeaseExpiresAt, now
		case errors.Is(err, ErrReceiptExpired), errors.Is(err, ErrReceiptInvalid): // invalid: the queue is a new one
			over = append(over, l.handle)
		case errs.KindOf(err) == errs.Invalid && l.span != tooLong:
			c.ending = append(c.ending, h.message(l.handle))
			over = append(over, l.handle)
		}
	}
	c.patience = min(2*c.patience, longestTick)
	c.mu.Unlock()
	if len(over) > 0 {
		c.drop(over...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm()
}

// look is a question about one lease.
type look struct {
	handle string
	span   time.Duration // extend it by so much from now on; tooLong changes nothing, and what is held is errs.Invalid
	result Settled
}

// look asks about at most 100 leases in one call.
func (s *Store) look(who caller, t tenants.ID, queue string, looks []look) error {
	return s.with(context.Background(), t, queue, func(d *desk) error {
		calls := make([]*settleCall, len(d.all()))
		for i := range looks {
			r, err := d.sign.read(looks[i].handle)
			if err != nil {
				looks[i].result.Err = err
				continue
			}
			k := d.of(r.id).index
			if calls[k] == nil {
				calls[k] = &settleCall{who: who, done: make(chan struct{})}
			}
			calls[k].items = append(calls[k].items, settleItem{verb: Extend, receipt: r, span: looks[i].span, result: &looks[i].result})
		}
		return d.each(func(shard *desk) error {
			call := calls[shard.index]
			if call == nil {
				return nil
			}
			shard.settles.add(call)
			<-call.done
			return call.err
		})
	})
}

// Close ends the consumer. What its reader has not got goes back as if it had not been lent. What it has got and not
// settled is returned when giveBack is set, and otherwise stays lent until the leases end. Where Redis does not answer
// all of it comes back when the leases end.
func (c *Consumer) Close(giveBack bool) {
	c.mu.Lock()
	c.closed = true
	if c.stop != nil {
		c.stop()
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.working.Wait()
	unseen, returned := c.letGo(giveBack)
	ctx := c.who.context()
	if len(unseen) > 0 {
		c.store.Unreceive(ctx, c.tenant, c.queue, unseen)
	}
	if len(returned) > 0 {
		if _, err := c.store.Settle(ctx, c.tenant, c.queue, returned); err != nil {
			c.store.logger.Warn("messages of a consumer that has gone could not be returned; they come back when their leases end",
				"queue", c.queue, "count", len(returned), "error", err.Error())
		}
	}
}

// letGo forgets all that the consumer holds, and returns what its reader has not got and what it has.
func (c *Consumer) letGo(giveBack bool) (unseen []Message, returned []Settlement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for handle, h := range c.held {
		c.store.holders.remove(handle)
		switch {
		case !h.written:
			unseen = append(unseen, h.message(handle))
		case giveBack:
			returned = append(returned, Settlement{Verb: Return, ReceiptHandle: handle})
		}
	}
	clear(c.held)
	return unseen, returned
}

// Holding returns how many messages the consumer has that are not settled, as far as it knows.
func (c *Consumer) Holding() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

// holders are the consumers of this server by the receipt handles that they hold, so that whoever settles one tells its
// consumer. Where there are no consumers that costs a look at a number.
type holders struct {
	count atomic.Int64
	of    sync.Map // receipt handle → *Consumer
}

func (h *holders) add(handle string, c *Consumer) {
	h.of.Store(handle, c)
	h.count.Add(1)
}

func (h *holders) remove(handle string) {
	if _, ok := h.of.LoadAndDelete(handle); ok {
		h.count.Add(-1)
	}
}

// tell tells the consumers of leases that have ended: those that were settled, and those that turned out to be over.
func (h *holders) tell(list []Settlement, results []Settled) {
	if h.count.Load() == 0 {
		return
	}
	for i := range list {
		ended := results[i].Err == nil && list[i].Verb != Extend || errors.Is(results[i].Err, ErrReceiptExpired)
		if !ended {
			continue
		}
		if c, ok := h.of.Load(list[i].ReceiptHandle); ok {
			c.(*Consumer).drop(list[i].ReceiptHandle)
		}
	}
}
