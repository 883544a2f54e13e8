package queues

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
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
			if errors.Is(err, errWaits) {
				c.failed = 1 // there may be room at any moment
			}
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

// errWaits says that a queue takes no forwarded messages for the moment: it is full, or sends to it are paused.
var errWaits = errors.New("the queue takes no messages now")

// forwarded is the letter of a message that goes on because its queue forwards; see lua/outbox.lua.
const forwarded = 'f'

// parcel is a message on its way.
type parcel struct {
	number string
	letter byte // see lua/outbox.lua
	to     string
	id     engine.ID // at the destination
	sent   time.Time // zero: when it arrives
	group  []byte    // its group's digest there, or nil
	parts  string    // what a forwarded one took along, see lua/lib/enter.lua
	record []byte    // as it is stored there, without the stamp
	hops   int       // of one that goes on to a topic: through how many it came
	from   string    // the queue that it left
	was    engine.ID // its id there
}

// carry brings all messages that are on their way to where they belong. It returns an error when some could not be
// brought; the others were.
func (d *desk) carry(ctx context.Context) error {
	var failed error
	blocked := map[string]bool{} // what is behind a message that could not be brought must not overtake it
	arrived, from, stuck := []any{}, "0", false
	for {
		reply, err := d.alone(ctx, outboxScript, func(*config) []any { return append([]any{from}, arrived...) })
		if err != nil {
			return err
		}
		if err := d.store.step("carrying"); err != nil {
			return err
		}
		arrived, from = arrived[:0], engine.Text(reply, 4)
		d.gaveBack(ctx, engine.Text(reply, 6))
		for _, group := range d.sort(reply) {
			to := group[0].to
			if blocked[to] {
				continue
			}
			here, err := d.bring(ctx, engine.Number(reply, 2), engine.Number(reply, 3), group)
			for i := range here {
				arrived = append(arrived, here[i].number)
			}
			switch {
			case errors.Is(err, errLate):
				return nil // another server carries them
			case err != nil:
				if !errors.Is(err, errWaits) {
					d.store.logger.Warn("messages on their way to another queue could not be brought there; they are kept",
						"queue", d.at.name, "to", to, "count", len(group), "error", err.Error())
				}
				blocked[to], failed = true, err
				stuck = stuck || group[0].letter == forwarded
			case len(here) < len(group):
				n := 0
				for n < len(here) && here[n].number == group[n].number {
					n++
				}
				from = earlier(from, group[n].number)
			}
		}
		if err := d.store.step("brought"); err != nil {
			return err
		}
		// Behind forwarded messages that have to wait there are mostly more of them, and there may be any number.
		if len(arrived) == 0 && (stuck || engine.Text(reply, 5) == "0") {
			return failed
		}
	}
}

// earlier returns the smaller of two numbers of messages.
func earlier(a, b string) string {
	if len(a) != len(b) && len(a) < len(b) || len(a) == len(b) && a < b {
		return a
	}
	return b
}

// sort reads what outbox.lua shows and puts together what goes to one queue, in the order in which it left.
func (d *desk) sort(reply []any) [][]parcel {
	var groups [][]parcel
	index := map[string]int{}
	for i := 7; i+1 < len(reply); i += 2 {
		p, err := d.parseParcel(engine.Text(reply, i+1))
		if err != nil {
			d.store.logger.Error("a message on its way to another queue cannot be read", "queue", d.at.name, "uid", d.uid, "error", err.Error())
			continue
		}
		p.number = engine.Text(reply, i)
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
	p := parcel{letter: f[0][0], from: d.at.name}
	var m Message
	copy(m.ID[:], r.take(engine.IDSize))
	copy(p.id[:], r.take(engine.IDSize))
	p.was = m.ID
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
	if len(filed.place) > 0 && (p.letter == forwarded || IsFIFOName(d.at.name)) {
		p.group = []byte(filed.place[:groupSize])
	}
	if _, ok := CutTopicTarget(p.to); ok && p.letter == forwarded {
		p.published(m)
		return p, nil
	}
	if p.letter == forwarded {
		p.sent, p.parts, p.record = m.SentAt, nextHop(sideRecord), []byte(r.rest[stampSize+len(filed.place):])
		return p, nil
	}
	if sideRecord != "" {
		known, err := parseSide(sideRecord)
		if err != nil {
			return parcel{}, err
		}
		known.tell(&m)
	}
	d.complete(&m, filed)
	origin := Origin{Queue: d.at.name, Reason: reasons[p.letter], Error: said, At: at(n[1]), ID: m.ID}
	out := m.outgoing()
	if p.letter == 'm' {
		if out.GroupID != "" {
			p.group = groupDigest(out.GroupID)
		}
		p.record = appendRecord(nil, &out, &origin)
		return p, nil
	}
	if origin.Error == "" {
		origin.Error = m.LastError
	}
	origin.Receives, origin.FirstReceivedAt, p.sent = m.ReceiveCount, m.FirstReceivedAt, m.SentAt
	p.to = d.config.Load().Redrive.DeadLetterQueue
	if m.SequenceNumber != "" {
		// Two messages with one deduplication id, the second sent after the time of the first, both arrive.
		out.DeduplicationID = m.ID.String()
	}
	p.record = appendRecord(nil, &out, &origin)
	return p, nil
}

// bring brings messages to the queue where they go, or back where there is no such queue. It returns those that need not
// be brought again, in their order.
func (d *desk) bring(ctx context.Context, journey, low int64, group []parcel) (here []parcel, err error) {
	to, s := group[0].to, d.store
	if topic, ok := CutTopicTarget(to); ok {
		return d.bringToTopic(ctx, topic, journey, group)
	}
	err = s.with(ctx, d.at.tenant, to, func(there *desk) error {
		if there.uid == d.first().uid {
			return notFound(to) // a message leaves for another queue
		}
		var err error
		here, err = there.acceptSpread(ctx, d.uid, journey, low, group)
		return err
	})
	if !errors.Is(err, ErrQueueNotFound) {
		return here, err
	}
	return d.takeBack(ctx, journey, group, err)
}

// acceptSpread is accept for a queue with any number of shards.
func (d *desk) acceptSpread(ctx context.Context, from string, journey, low int64, group []parcel) ([]parcel, error) {
	if d.shards == nil {
		return d.accept(ctx, from, journey, low, group)
	}
	var mu sync.Mutex
	arrived := map[string]bool{}
	err := d.spread(len(group), func(i int) int { return d.of(group[i].id).index }, func(shard *desk, which []int) error {
		here, err := shard.accept(ctx, from, journey, low, choose(group, which))
		mu.Lock()
		defer mu.Unlock()
		for i := range here {
			arrived[here[i].number] = true
		}
		return err
	})
	return slices.DeleteFunc(slices.Clone(group), func(p parcel) bool { return !arrived[p.number] }), err
}

// takeBack takes messages back whose destination is missing, and returns them. What was forwarded waits for a queue of that
// name as long as the settings say so; then the error is that there is none.
func (d *desk) takeBack(ctx context.Context, journey int64, group []parcel, missing error) ([]parcel, error) {
	c, s, to := d.config.Load(), d.store, group[0].to
	back := slices.DeleteFunc(slices.Clone(group), func(p parcel) bool { return p.letter == forwarded && c.ForwardTo == to })
	if len(back) == 0 {
		return nil, missing
	}
	if slices.ContainsFunc(back, func(p parcel) bool { return p.letter != forwarded && p.letter != 'm' }) {
		d.orphaned.Store(s.clock.Now().Add(orphanPause).UnixMilli())
		s.logger.Warn("the dead-letter queue is missing: messages stay where they are", "queue", d.at.name, "dead_letter_queue", to)
	}
	err := d.restore(ctx, journey, back)
	if err == nil && len(back) < len(group) {
		err = missing
	}
	return back, err
}

// restore takes messages back into the queue that were on their way.
func (d *desk) restore(ctx context.Context, journey int64, back []parcel) error {
	flag := d.waiters.flag()
	reply, err := d.alone(ctx, restoreScript, func(*config) []any {
		args := []any{flag, journey}
		for i := range back {
			args = append(args, back[i].number)
		}
		return args
	})
	d.wakeOwn(flag, reply)
	return err
}

// nextHop returns what a forwarded message takes along, one hop further than its side record says.
func nextHop(sideRecord string) string {
	parts, hops := "", 1
	if f := strings.SplitN(sideRecord, ",", 5); len(f) == 5 {
		for part := range strings.SplitSeq(f[4], ",") {
			if n, ok := strings.CutPrefix(part, "n"); ok {
				before, _ := strconv.Atoi(n)
				hops += before
			} else {
				parts += "," + part
			}
		}
	}
	return parts + ",n" + strconv.Itoa(hops)
}

// wakeOwn wakes this server's receives when a script says that messages became available, as its third answer, or will be,
// as its fourth. flag: what it was told.
func (d *desk) wakeOwn(flag string, reply []any) {
	if ready, due := engine.Number(reply, 2), engine.Number(reply, 3); flag == "1" && (ready > 0 || due > 0) {
		d.waiters.wake(int(ready), time.Duration(due)*time.Millisecond)
	}
}

// accept takes messages that come from the queue with the given uid, and returns those that are here now: the first ones, as
// many as go in one step. With errWaits there is no room for some of the others.
func (d *desk) accept(ctx context.Context, from string, journey, low int64, group []parcel) ([]parcel, error) {
	most, err := d.most(ctx)
	if err != nil {
		return nil, err
	}
	flag, w := d.waiters.flag(), drawer{desk: d, most: most, how: tenants.DrawAll}
	args := func(c *config) []any {
		group = group[:min(len(group), c.together())]
		room := d.caps(c)
		if c.paused.Send != nil {
			room = "paused"
		}
		args := make([]any, 0, 5+3*len(group))
		args = append(args, flag, low, room, c.ForwardTo, w.mode())
		for i := range group {
			p := &group[i]
			sent := int64(0)
			if !p.sent.IsZero() {
				sent = p.sent.UnixMilli()
			}
			head := strconv.AppendInt(append(make([]byte, 0, 64), p.id[:]...), sent, 10)
			head = append(append(append(head, p.parts...), '|'), p.group...)
			args = append(args, p.number, head, p.record)
		}
		return args
	}
	ln := &lane{field: "M" + from, seq: journey, lines: func() string { return linesOf(group, parcel.arrival)() }} // args shorten group
	reply, err := w.run(ctx, 4, func() ([]any, error) { return d.numbered(ctx, acceptScript, ln, args) })
	if err != nil {
		return nil, err
	}
	d.pushedOut(reply, 4)
	d.wakeOwn(flag, reply)
	verdicts := engine.Text(reply, 6)
	var here []parcel
	for i := range min(len(group), len(verdicts)) {
		if verdicts[i] == 'k' {
			here = append(here, group[i])
		}
	}
	if len(here) < len(group) {
		return here, errWaits
	}
	return here, nil
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
