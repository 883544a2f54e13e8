package queues

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
)

// recheck is how often a server with waiting receives asks the queue although nobody told it to, in case a wake-up was
// lost. deafRecheck is the same while it cannot hear wake-ups.
const (
	recheck     = 10 * time.Second
	deafRecheck = time.Second
)

// waiters are the receives that wait at a desk. Waiting costs nothing: the receive that found nothing has entered this
// server in the queue's list, and whoever makes a message available tells one server of that list, through pub/sub or,
// on this server, directly. A server that is told either receives or passes it on, so no message is left lying while
// someone waits, and each message wakes at most one waiter.
//
// The shards of a queue share their lobby, and each has waiters of its own, which know what became of it. A receive goes
// from shard to shard until it finds something or all are known to be empty. Then it waits for a word of any of them.
type waiters struct {
	desk *desk
	*lobby

	// Guarded by lobby.mu.
	running    int       // receive scripts under way
	words      uint64    // wake-ups so far: a receive that was under way when one came must look again
	told       bool      // a word came while nobody waited but a receive was under way, which may not look again
	empty      bool      // the shard is known to be empty and this server is in its list
	emptyUntil time.Time // for that long at most
	dryUntil   time.Time // the last receive found nothing: others are asked first
	timer      clock.Timer
	timerAt    time.Time
	due        bool // when the timer goes off something becomes available, and no other server may know
}

// dry is how long a shard that had nothing is asked after the others.
const dry = time.Second

// lobby is where the receives of a queue wait.
type lobby struct {
	count atomic.Int64

	mu          sync.Mutex
	first, last *receiveCall
	of          []*waiters // those of each shard
	turn        int        // the shard at which the next receive begins
}

func (w *waiters) init(d *desk, l *lobby) {
	w.desk, w.lobby = d, l
	l.of = append(l.of, w)
}

// knownEmpty says that nobody need ask. It is called locked.
func (w *waiters) knownEmpty(now time.Time) bool { return w.empty && now.Before(w.emptyUntil) }

// next returns the shard that a receive asks next, nil where there is none left: one of which something was heard, or which
// nobody has found empty of late; else another. The shards take turns, so that none is left lying behind a busy one. It is
// called locked.
func (l *lobby) next(c *receiveCall, now time.Time) *waiters {
	var second *waiters
	for i := range l.of {
		n := (c.turn + i) % len(l.of)
		w := l.of[n]
		switch {
		case c.patient && w.knownEmpty(now), !c.patient && c.asked>>n&1 != 0:
		case !now.Before(w.dryUntil):
			return w
		case second == nil:
			second = w
		}
	}
	return second
}

// enter has a receive ask the first shard, or wait where asking is known to be in vain.
func (l *lobby) enter(c *receiveCall) {
	l.mu.Lock()
	s := l.of[0].desk.store
	now := s.clock.Now()
	c.turn = l.turn
	l.turn = (l.turn + 1) % len(l.of)
	ask := l.next(c, now)
	if ask == nil && (s.draining.Load() || !s.hearing.Load()) {
		ask = l.of[c.turn] // what is known may be wrong by now
	}
	if ask == nil {
		l.park(c, now)
	}
	l.mu.Unlock()
	if ask != nil {
		ask.desk.receives.add(c)
	}
}

// flag tells a script that makes messages available whether this server will wake its own waiters.
func (w *waiters) flag() string {
	if w.count.Load() > 0 {
		return "1"
	}
	return "0"
}

// waiting is the flag of receive.lua.
func (w *waiters) waiting(batch []*receiveCall) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first != nil {
		return "2"
	}
	for _, c := range batch {
		if c.patient {
			return "1"
		}
	}
	return "0"
}

// begin notes that a receive script starts, and returns how many wake-ups there were.
func (w *waiters) begin() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running++
	return w.words
}

// end deals with the callers of a receive script that has come back: those with messages are done, the others ask
// again or another shard, wait or go.
func (w *waiters) end(batch []*receiveCall, seen uint64, a receiveAnswer, hadOthers bool, err error) {
	var again []*receiveCall
	w.mu.Lock()
	w.running--
	now := w.desk.store.clock.Now()
	missed := w.words != seen
	w.note(batch, err != nil, missed || a.more > 0, now)
	for _, c := range batch {
		switch {
		case err != nil || len(c.messages) > 0:
			c.finish(err)
		case c.patient && (missed || a.more > 0):
			again = append(again, c)
		case !c.patient && a.more > 0 && c.tries < maxTidy:
			// The call stopped at a bound before it found anything for this one.
			c.tries++
			again = append(again, c)
		default:
			c.asked |= 1 << w.desk.index
			other := w.next(c, now)
			switch {
			case other != nil:
				go other.desk.receives.add(c)
			case c.patient:
				w.park(c, now)
			default:
				c.finish(nil)
			}
		}
	}
	if w.first != nil {
		w.arm(now, w.interval())
	}
	if a.due > 0 {
		w.due = true
		w.arm(now, time.Duration(a.due+1)*time.Millisecond)
	}
	if err == nil && a.more > 0 {
		again = append(again, w.takeParked(a.more-len(again))...)
	}
	pass := len(again) == 0 && (err == nil && a.more > 0 && hadOthers || w.told && w.running == 0)
	w.told = w.told && w.running > 0 && len(again) == 0
	w.mu.Unlock()
	if len(again) > 0 {
		go w.desk.receives.addAll(again)
	}
	if pass {
		go w.pass()
	}
	if errors.Is(err, errGone) {
		w.desk.store.forget(w.desk)
	}
}

// note keeps what an answer says of the shard. It is called locked.
func (w *waiters) note(batch []*receiveCall, failed, more bool, now time.Time) {
	waits, none := false, false
	for _, c := range batch {
		c.patient = c.patient && !w.desk.store.draining.Load()
		none = none || len(c.messages) == 0
		waits = waits || c.patient && len(c.messages) == 0
	}
	switch {
	case failed || more:
		w.empty = false
	case waits:
		w.empty, w.emptyUntil = true, now.Add(w.interval())
	}
	w.dryUntil = time.Time{}
	if failed || none && !more {
		w.dryUntil = now.Add(dry)
	}
}

// hint notes that messages came to the shard from this server.
func (w *waiters) hint() {
	w.mu.Lock()
	w.dryUntil = time.Time{}
	w.mu.Unlock()
}

// wake is told that ready messages became available, or that the next does in due, or 0, both by this server's own
// calls and by other servers' words.
func (w *waiters) wake(ready int, due time.Duration) {
	w.mu.Lock()
	w.words++
	w.empty, w.dryUntil = false, time.Time{}
	again := w.takeParked(ready)
	if due > 0 {
		w.due = true
		w.arm(w.desk.store.clock.Now(), due+time.Millisecond)
	}
	// Nobody here waits any more. If a receive is under way it may look again; otherwise another server may want to know.
	idle := ready > 0 && len(again) == 0
	pass := idle && w.running == 0
	w.told = w.told || idle && !pass
	w.mu.Unlock()
	if len(again) > 0 {
		go w.desk.receives.addAll(again)
	} else if pass {
		go w.pass()
	}
}

// pass tells the next server in the queue's list.
func (w *waiters) pass() {
	d := w.desk
	_, err := d.alone(context.Background(), passScript, func(*config) []any { return []any{} })
	if err != nil && !errors.Is(err, errGone) {
		d.store.logger.Warn("a wake-up was not passed on; the next check finds the message", "queue", d.at.name, "error", err.Error())
	}
	// This server has left the list. Whoever began to wait meanwhile must enter it again.
	w.mu.Lock()
	w.words++
	w.empty = false
	again := w.takeParked(1)
	w.mu.Unlock()
	if len(again) > 0 {
		d.receives.addAll(again)
	}
}

// arm sets the timer to go off in d, unless it goes off before that anyway. It is called locked.
func (w *waiters) arm(now time.Time, d time.Duration) {
	at := now.Add(d)
	if w.timer != nil {
		if !at.Before(w.timerAt) {
			return
		}
		w.timer.Stop()
	}
	w.timerAt = at
	w.timer = w.desk.store.clock.AfterFunc(d, w.tick)
}

// tick lets one waiter look. If it finds more than it wants the others follow. If nobody waits here any more another
// server may.
func (w *waiters) tick() {
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Stop() // it may be another one that has gone off
		w.timer = nil
	}
	w.empty = false
	w.dryUntil = time.Time{}
	again := w.takeParked(1)
	pass := w.due && len(again) == 0
	w.due = false
	w.mu.Unlock()
	if pass {
		w.pass()
		return
	}
	w.desk.receives.addAll(again)
}

func (w *waiters) interval() time.Duration {
	if w.desk.store.hearing.Load() {
		return recheck
	}
	return deafRecheck
}

// giveUp ends the wait of a call. One whose script is under way is done when that is back.
func (l *lobby) giveUp(c *receiveCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.patient, c.asked = false, ^uint64(0)
	if c.parked {
		l.unpark(c)
		c.finish(nil)
	}
}

// release ends all waits.
func (l *lobby) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.first != nil {
		c := l.first
		l.unpark(c)
		c.finish(nil)
	}
	for _, w := range l.of {
		if w.timer != nil {
			w.timer.Stop()
			w.timer = nil
		}
	}
}

func (c *receiveCall) finish(err error) {
	c.err = err
	close(c.done)
}

// park lets a receive wait, and has every shard looked at from time to time. It is called locked.
func (l *lobby) park(c *receiveCall, now time.Time) {
	c.parked, c.prev, c.next = true, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.count.Add(1)
	for _, w := range l.of {
		w.arm(now, w.interval())
	}
}

func (l *lobby) unpark(c *receiveCall) {
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.parked, c.next, c.prev = false, nil, nil
	l.count.Add(-1)
}

// takeParked removes the n that have waited longest. It is called locked.
func (l *lobby) takeParked(n int) []*receiveCall {
	var out []*receiveCall
	for n > len(out) && l.first != nil {
		c := l.first
		l.unpark(c)
		out = append(out, c)
	}
	return out
}

// Waiting returns how many receives wait on this server.
func (s *Store) Waiting() int {
	n := int64(0)
	s.desks.Range(func(_, v any) bool {
		n += v.(*desk).waiters.count.Load()
		return true
	})
	return int(n)
}
