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
type waiters struct {
	desk  *desk
	count atomic.Int64

	mu          sync.Mutex
	first, last *receiveCall
	running     int       // receive scripts under way
	words       uint64    // wake-ups so far: a receive that was under way when one came must look again
	told        bool      // a word came while nobody waited but a receive was under way, which may not look again
	empty       bool      // the queue is known to be empty and this server is in its list
	emptyUntil  time.Time // for that long at most
	timer       clock.Timer
	timerAt     time.Time
	due         bool // when the timer goes off something becomes available, and no other server may know
}

func (w *waiters) init(d *desk) { w.desk = d }

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

// parkIfEmpty lets a receive wait without asking Redis, where that is known to be in vain.
func (w *waiters) parkIfEmpty(c *receiveCall) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.desk.store
	if !w.empty || !c.patient || s.draining.Load() || !s.hearing.Load() || !s.clock.Now().Before(w.emptyUntil) {
		return false
	}
	w.park(c)
	return true
}

// begin notes that a receive script starts, and returns how many wake-ups there were.
func (w *waiters) begin() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running++
	return w.words
}

// end deals with the callers of a receive script that has come back: those with messages are done, the others ask
// again, wait or go.
func (w *waiters) end(batch []*receiveCall, seen uint64, a receiveAnswer, hadOthers bool, err error) {
	var again []*receiveCall
	w.mu.Lock()
	w.running--
	missed := w.words != seen
	parked := false
	for _, c := range batch {
		c.patient = c.patient && !w.desk.store.draining.Load()
		switch {
		case err != nil || len(c.messages) > 0:
			c.finish(err)
		case c.patient && (missed || a.more > 0):
			again = append(again, c)
		case c.patient:
			w.park(c)
			parked = true
		case a.more > 0 && c.tries < maxTidy:
			// The call stopped at a bound before it found anything for this one.
			c.tries++
			again = append(again, c)
		default:
			c.finish(nil)
		}
	}
	now := w.desk.store.clock.Now()
	switch {
	case err != nil || missed || a.more > 0:
		w.empty = false
	case parked:
		w.empty, w.emptyUntil = true, now.Add(w.interval())
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

// wake is told that ready messages became available, or that the next does in due, or 0, both by this server's own
// calls and by other servers' words.
func (w *waiters) wake(ready int, due time.Duration) {
	w.mu.Lock()
	w.words++
	w.empty = false
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
func (w *waiters) giveUp(c *receiveCall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.patient = false
	if c.parked {
		w.unpark(c)
		c.finish(nil)
	}
}

// release ends all waits.
func (d *desk) release() {
	w := &d.waiters
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.first != nil {
		c := w.first
		w.unpark(c)
		c.finish(nil)
	}
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

func (c *receiveCall) finish(err error) {
	c.err = err
	close(c.done)
}

func (w *waiters) park(c *receiveCall) {
	c.parked, c.prev, c.next = true, w.last, nil
	if w.last == nil {
		w.first = c
	} else {
		w.last.next = c
	}
	w.last = c
	w.count.Add(1)
}

func (w *waiters) unpark(c *receiveCall) {
	if c.prev == nil {
		w.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		w.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.parked, c.next, c.prev = false, nil, nil
	w.count.Add(-1)
}

// takeParked removes the n that have waited longest. It is called locked.
func (w *waiters) takeParked(n int) []*receiveCall {
	var out []*receiveCall
	for n > len(out) && w.first != nil {
		c := w.first
		w.unpark(c)
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
