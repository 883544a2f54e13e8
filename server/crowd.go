package server

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/room"
)

// How many requests are let in while more come than can be answered: about as many as are answered in the time that a
// request then takes. More would only wait longer, and who waits for long has given up.
const (
	// soon is that time, unless Redis is so far away that requests take as long without a crowd: a call may wait for two
	// round trips before its own.
	soon       = 250 * time.Millisecond
	tripsASoon = 4
	// fewRequests are always let in. That many are needed for calls to join.
	fewRequests = 128
	// lookEvery is how often it is looked at, and lateLooks how often in a row there must be too many: a burst that is over
	// by then is let in whole.
	lookEvery = 100 * time.Millisecond
	lateLooks = 3
	// forgetAfter is for how long an earlier look says anything.
	forgetAfter = time.Second
)

// crowd counts the requests under way, and refuses those that the server would not get to.
type crowd struct {
	most    int64                // let in at once, without those that wait for a message
	waiting func() int64         // how many wait for one
	moving  func() int64         // how many others wait for their client to send or to read
	trip    func() time.Duration // the fastest round trip to Redis since the last call, 0 for none
	bodies  *room.Room           // which their bodies take
	warn    func(refused int64)  // says in the log that requests are refused, each second

	busy, done, refused atomic.Int64
	fit                 atomic.Int64 // how many are let in now
	next                atomic.Int64 // when to look again, Unix nanoseconds

	mu     sync.Mutex // for what follows
	at     time.Time  // of the last look
	doneAt int64
	late   int
	warned time.Time
}

// enter lets one more in, whose body takes room as it comes, unless there are too many or it says that it is larger than
// the room there is. Then nobody reads it, and the connection ends where much would come. leave must follow in any case.
func (c *crowd) enter(w http.ResponseWriter, r *http.Request, now time.Time) (leave func(), err error) {
	leave = func() { c.busy.Add(-1) }
	if all := c.busy.Add(1) - c.waiting(); all > min(c.most, fewRequests) {
		n := all - c.moving()
		if now.UnixNano() >= c.next.Load() {
			c.look(now, n)
		}
		if all > c.most || n > max(c.fit.Load(), fewRequests) {
			c.refused.Add(1)
			if r.ContentLength < 0 || r.ContentLength > room.Small {
				w.Header().Set("Connection", "close")
			}
			return leave, room.Overloaded()
		}
	}
	var body *room.Body
	if r.ContentLength != 0 {
		if !c.bodies.Has(r.ContentLength) {
			w.Header().Set("Connection", "close")
			return leave, room.Overloaded()
		}
		body = room.NewBody(r.Body, c.bodies)
		r.Body = body
	}
	return func() {
		if body != nil {
			body.Release()
		}
		c.done.Add(1)
		c.busy.Add(-1)
	}, nil
}

// look compares n requests under way with those that were answered since the last look. While none are answered nothing
// is said: Redis is away, and what came before is answered when it is back.
func (c *crowd) look(now time.Time, n int64) {
	if !c.mu.TryLock() {
		return // somebody else looks
	}
	defer c.mu.Unlock()
	since, done := now.Sub(c.at), c.done.Load()
	if since < lookEvery {
		return
	}
	answered, trip := done-c.doneAt, c.trip()
	c.at, c.doneAt = now, done
	c.next.Store(now.Add(lookEvery).UnixNano())
	if c.fit.Load() < c.most && now.Sub(c.warned) >= time.Second {
		c.warned = now
		c.warn(c.refused.Swap(0))
	}
	switch fit := c.fit.Load(); {
	case since > forgetAfter:
		c.late = 0
		c.fit.Store(c.most)
	case answered == 0:
	default:
		most := int64(float64(answered) * max(soon, tripsASoon*trip).Seconds() / since.Seconds())
		if most = min(max(most, fewRequests), c.most); n <= most {
			c.late = 0
			c.fit.Store(min(c.most, fit+fit/8))
		} else if c.late++; c.late >= lateLooks || fit < c.most {
			c.fit.Store(most)
		}
	}
}
