package faultnet

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunk is the most that is forwarded in one piece.
	chunk = 16 << 10
	// severLimit bounds how long a cut waits for the server to close its end.
	severLimit = time.Second
)

// link is one connection of a client with the one to the server that belongs to it. Two goroutines serve
// it, one for each direction.
type link struct {
	p      *Proxy
	client net.Conn
	server net.Conn      // set before the goroutines start; under p.mu
	lossy  bool          // replies were dropped; under p.mu
	muted  atomic.Bool   // no reply may pass any more
	done   chan struct{} // closed when the link has been ended
	once   sync.Once

	answered chan struct{} // closed when the server has said its last
}

// run forwards until both directions have ended.
func (l *link) run() {
	defer l.p.leave(l)
	defer l.end(false)
	if !l.wait() || !l.connect() {
		return
	}
	var other sync.WaitGroup
	other.Go(func() {
		defer close(l.answered)
		l.pump(replies, l.server, l.client)
	})
	l.pump(requests, l.client, l.server)
	other.Wait()
}

// connect dials the server. A server that is not there resets the client, who has been accepted already.
func (l *link) connect() bool {
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	server, err := (&net.Dialer{}).DialContext(ctx, l.p.front.network, l.p.upstream)
	if err != nil {
		l.end(true)
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	select {
	case <-l.done: // ended while we dialed: nobody else knows this end
		_ = server.Close()
		return false
	default:
		l.server = server
		return true
	}
}

// pump forwards one direction until it ends.
func (l *link) pump(d direction, from, to net.Conn) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.pass(d, to, buf[:n]) {
			return
		}
		switch {
		case err == nil:
		case l.muted.Load(): // cut, and the cut sees to the end
			return
		case errors.Is(err, io.EOF):
			if l.wait() {
				closeWrite(to)
			}
			return
		default: // reset by its peer; or ended by us, and then there is nothing left to do
			if l.wait() {
				l.end(true)
			}
			return
		}
	}
}

// pass hands one piece on, as far as the faults let it, and reports whether the direction goes on.
func (l *link) pass(d direction, to net.Conn, b []byte) bool {
	if !l.delay() || !l.wait() {
		return false
	}
	n, c := l.allow(d, len(b))
	if c != nil && d == requests {
		l.muted.Store(true) // before the server can answer the last byte
	}
	if n > 0 {
		l.p.bytes[d].Add(int64(n)) // before the peer can act on them
		if _, err := to.Write(b[:n]); err != nil && c == nil {
			l.end(true)
			return false
		}
	}
	if c == nil {
		return true
	}
	l.sever(d, c)
	return false
}

// allow returns how many of n bytes may pass now, and the cut that ends the link after them, if one does.
func (l *link) allow(d direction, n int) (int, *cut) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if d == replies && (l.p.swallow || l.muted.Load()) {
		l.lossy = true
		return 0, nil
	}
	c := l.p.cuts[d]
	if c == nil {
		return n, nil
	}
	n, ends := c.take(l, n)
	if !ends {
		return n, nil
	}
	if !c.every {
		l.p.cuts[d] = nil
	}
	return n, c
}

// fire counts the cut and tells the test, just before the client can see it.
func (p *Proxy) fire(c *cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutsFired.Add(1)
	select {
	case <-c.fired:
	default:
		close(c.fired)
	}
}

// sever ends the link at a cut. After a cut request the server first gets the time to read what it was
// sent, act on it, and close.
func (l *link) sever(d direction, c *cut) {
	if d == requests {
		closeWrite(l.server)
		timer := time.NewTimer(severLimit)
		defer timer.Stop()
		select {
		case <-l.answered:
		case <-l.done:
		case <-timer.C:
		}
	}
	l.p.fire(c)
	l.end(false)
}

// delay waits for the latency or for Heal, and reports whether the link is still there.
func (l *link) delay() bool {
	l.p.mu.Lock()
	d, healed := l.p.latency, l.p.healed
	l.p.mu.Unlock()
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-healed:
		return true
	case <-l.done:
		return false
	}
}

// wait blocks in a black hole until Heal, and reports whether the link is still there.
func (l *link) wait() bool {
	for {
		l.p.mu.Lock()
		holding, healed := l.p.holding, l.p.healed
		l.p.mu.Unlock()
		if !holding {
			return true
		}
		select {
		case <-healed:
		case <-l.done:
			return false
		}
	}
}

// end closes both ends, with a RST if it is a reset. Only the first call counts.
func (l *link) end(reset bool) {
	l.once.Do(func() {
		close(l.done)
		for _, c := range []net.Conn{l.client, l.server} {
			if c == nil {
				continue
			}
			if reset {
				abort(c)
			} else {
				_ = c.Close()
			}
		}
	})
}

// abort closes with a RST: what the kernel still holds is thrown away.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// closeWrite tells the peer that no more will come.
func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}
