package queues

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
)

// carrier brings the messages that have left a queue to their destinations. Where they are lies in Redis, so any server
// may go on where another one stopped, and several may do the same at once: outbox.lua numbers the journeys, and a
// destination refuses those that are older than the last one it has seen; see lua/accept.lua.
type carrier struct {
	desk *desk

	mu      sync.Mutex
	running bool
	again   bool // woken while it ran
	failed  int  // journeys in a row that could not be finished
	timer   clock.Timer
}

const (
	// firstPause and longestPause are how long a carrier rests when a destination cannot take messages, doubled each time.
	firstPause   = time.Second
	longestPause = time.Minute
	// orphanPause is how long a queue whose dead-letter queue is missing keeps its messages to itself before this server
	// looks again.
	orphanPause = 30 * time.Second
)

// wake has the carrier look, in the background.
func (c *carrier) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		return // it looks when it has rested
	}
	if c.running {
		c.again = true
		return
	}
	c.running = true
	go c.run()
}

// run carries until nothing is left or a destination cannot take more for the moment.
func (c *carrier) run() {
	for {
		life := c.desk.store.life
		err := c.desk.carry(life)
		c.mu.Lock()
		if err != nil && !errors.Is(err, errGone) && life.Err() == nil {
			c.failed++
			pause := min(firstPause<<min(c.failed-1, 10), longestPause)
			c.running, c.again = false, false
			c.timer = c.desk.store.clock.AfterFunc(pause, c.resume)
			c.mu.Unlock()
			return
		}
		c.failed = 0
		if !c.again || err != nil {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.again = false
		c.mu.Unlock()
	}
}

func (c *carrier) resume() {
	c.mu.Lock()
	c.timer = nil
	c.mu.Unlock()
	c.wake()
}

// parcel is a message on its way.
type parcel struct {
	number string
	letter byte // see lua/outbox.lua
	to     string
	out    Outgoing
	origin Origin
	id     engine.ID // at the destination
	sent   time.Time
}

// carry brings all messages that are on their way to where they belong. It returns an error when some could not be
// brought; the others were.
func (d *desk) carry(ctx context.Context) error {
	var failed error
	blocked := map[string]bool{} // what is behind a message that could not be brought must not overtake it
	arrived, from := []any{}, "0"
	for {
		reply, err := d.alone(ctx, outboxScript, func(*config) []any { return append([]any{from}, arrived...) })
		if err != nil {
			return err
		}
		if err := d.store.step("carrying"); err != nil {
			return err
		}
		arrived = arrived[:0]
		for _, group := range d.sort(reply) {
			to := group[0].to
			if blocked[to] {
				continue
			}
			err := d.bring(ctx, number(reply, 2), number(reply, 3), group)
			switch {
			case errors.Is(err, errLate):
				return nil // another server carries them
			case err != nil:
				d.store.logger.Warn("messages on their way to another queue could not be brought there; they are kept",
					"queue", d.at.name, "to", to, "count", len(group), "error", err.Error())
				blocked[to], failed = true, err
				continue
			}
			for i := range group {
				arrived = append(arrived, group[i].number)
			}
		}
		if err := d.store.step("brought"); err != nil {
			return err
		}
		from = text(reply, 4)
		if len(arrived) == 0 && text(reply, 5) == "0" {
			return failed
		}
	}
}

// sort reads what outbox.lua shows and puts together what goes to one queue, in the order in which it left.
func (d *desk) sort(reply []any) [][]parcel {
	var groups [][]parcel
	index := map[string]int{}
	for i := 6; i+1 < len(reply); i += 2 {
		p, err := d.parseParcel(text(reply, i+1))
		if err != nil {
			d.store.logger.Error("a message on its way to another queue cannot be read", "queue", d.at.name, "uid", d.uid, "error", err.Error())
			continue
		}
		p.number = text(reply, i)
		n, ok := index[p.to]
		if !ok {
			n = len(groups)
			index[p.to] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], p)
	}
	return groups
}

// parseParcel reads a message as lua/lib/transfer.lua writes it.
func (d *desk) parseParcel(value string) (parcel, error) {
	head, rest, _ := strings.Cut(value, "|")
	f := strings.Split(head, ",")
	if len(f) != 5 || f[0] == "" {
		return parcel{}, errRecord
	}
	var n [5]int64
	for i := 1; i < len(f); i++ {
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil || v < 0 {
			return parcel{}, errRecord
		}
		n[i] = v
	}
	r := recordReader{rest: rest}
	p := parcel{letter: f[0][0]}
	var m Message
	copy(m.ID[:], r.take(engine.IDSize))
	copy(p.id[:], r.take(engine.IDSize))
	sideRecord := r.take(int(n[2]))
	p.to = r.take(int(n[3]))
	said := r.take(int(n[4]))
	if r.failed {
		return parcel{}, errRecord
	}
	filed, err := parseRecord(r.rest, &m)
	if err != nil {
		return parcel{}, err
	}
	if sideRecord != "" {
		s, err := parseSide(sideRecord)
		if err != nil {
			return parcel{}, err
		}
		s.tell(&m)
	}
	d.complete(&m, filed)
	o := &p.origin
	*o = Origin{Queue: d.at.name, Reason: reasons[p.letter], Error: said, At: at(n[1]), ID: m.ID}
	p.out = m.outgoing()
	if p.letter == 'm' {
		return p, nil
	}
	if o.Error == "" {
		o.Error = m.LastError
	}
	o.Receives, o.FirstReceivedAt, p.sent = m.ReceiveCount, m.FirstReceivedAt, m.SentAt
	p.to = d.config.Load().Redrive.DeadLetterQueue
	if m.SequenceNumber != "" {
		// Two messages with one deduplication id, the second sent after the time of the first, both arrive.
		p.out.DeduplicationID = m.ID.String()
	}
	return p, nil
}

// bring brings messages to the queue where they go, or back where there is no such queue.
func (d *desk) bring(ctx context.Context, journey, low int64, group []parcel) error {
	to, s := group[0].to, d.store
	err := s.with(ctx, d.at.tenant, to, func(there *desk) error {
		if there.uid == d.uid {
			return notFound(to) // a dead-letter queue is another one
		}
		return there.accept(ctx, d.uid, journey, low, group)
	})
	if !errors.Is(err, ErrQueueNotFound) {
		return err
	}
	if group[0].letter != 'm' {
		d.orphaned.Store(s.clock.Now().Add(orphanPause).UnixMilli())
		s.logger.Warn("the dead-letter queue is missing: messages stay where they are", "queue", d.at.name, "dead_letter_queue", to)
	}
	flag := d.waiters.flag()
	reply, err := d.alone(ctx, restoreScript, func(*config) []any {
		args := []any{flag}
		for i := range group {
			args = append(args, group[i].number)
		}
		return args
	})
	d.wakeOwn(flag, reply)
	return err
}

// wakeOwn wakes this server's receives when a script says that messages became available, as its third answer. flag: what
// it was told.
func (d *desk) wakeOwn(flag string, reply []any) {
	if ready := number(reply, 2); flag == "1" && ready > 0 {
		d.waiters.wake(int(ready), 0)
	}
}

// accept takes messages that come from the queue with the given uid.
func (d *desk) accept(ctx context.Context, from string, journey, low int64, group []parcel) error {
	flag := d.waiters.flag()
	reply, err := d.numbered(ctx, acceptScript, &lane{field: "M" + from, seq: journey}, func(*config) []any {
		args := make([]any, 0, 2+3*len(group))
		args = append(args, flag, low)
		for i := range group {
			p := &group[i]
			head, sent := append(make([]byte, 0, 48), p.id[:]...), int64(0)
			if p.letter != 'm' {
				sent = p.sent.UnixMilli()
			}
			head = append(strconv.AppendInt(head, sent, 10), '|')
			if p.out.GroupID != "" && (sent == 0 || IsFIFOName(d.at.name)) {
				head = append(head, groupDigest(p.out.GroupID)...)
			}
			args = append(args, p.number, head, appendRecord(nil, &p.out, &p.origin))
		}
		return args
	})
	d.wakeOwn(flag, reply)
	return err
}

// maxReceives is how often a message of the queue is received before it leaves for the dead-letter queue, 0 for any
// number.
func (d *desk) maxReceives(c *config) int {
	if c.Redrive.DeadLetterQueue == "" || d.isOrphaned() {
		return 0
	}
	return c.Redrive.MaxReceives
}

// isOrphaned reports whether the dead-letter queue was not there a short while ago.
func (d *desk) isOrphaned() bool { return d.store.clock.Now().UnixMilli() < d.orphaned.Load() }
