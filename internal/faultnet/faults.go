package faultnet

import "time"

// CutRequestAfter lets n more bytes of requests through on the first connection that sends any, then
// closes both ends. No reply comes back once the last of them has been sent on, and the client's end is
// closed after the server has closed its own, so a client that sees the cut can look at once at what the
// server made of the bytes. It fires once, then closes the channel it returns; until then it stays set,
// also when a connection ends before its nth byte. A later cut of requests takes its place.
func (p *Proxy) CutRequestAfter(n int64) <-chan struct{} {
	return p.cut(requests, newCut(n, false))
}

// CutReplyAfter lets n more bytes of replies through on the first connection that gets any, drops the
// rest, and closes both ends. With n = 0 it waits for the reply's first byte, so the server has acted in
// any case. It fires once, then closes the channel it returns; until then it stays set, also when a
// connection ends before its nth byte. A later cut of replies takes its place.
func (p *Proxy) CutReplyAfter(n int64) <-chan struct{} {
	return p.cut(replies, newCut(n, false))
}

// CutEveryRequestAfter cuts every connection after n more bytes of requests, until Heal.
func (p *Proxy) CutEveryRequestAfter(n int64) { p.cut(requests, newCut(n, true)) }

// CutEveryReplyAfter cuts every connection after n more bytes of replies, until Heal.
func (p *Proxy) CutEveryReplyAfter(n int64) { p.cut(replies, newCut(n, true)) }

func (p *Proxy) cut(d direction, c *cut) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts[d] = c
	return c.fired
}

// SwallowReplies drops all replies until Heal. Requests go through and connections stay open.
func (p *Proxy) SwallowReplies() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = true
}

// Latency holds each piece back for d, in both directions, so that a round trip takes 2d longer.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// BlackHole lets nothing through until Heal, not even the end of a connection. Then what was held goes on
// its way, late, as after a lost route: a request whose client has given up is still carried out. New
// connections are accepted, as by a host whose program hangs, and held too.
func (p *Proxy) BlackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = true
}

// Refuse makes the kernel refuse new connections until Heal. Those that are open stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.front.refuse()
}

// Reset closes all connections at once and at both ends, with a RST where the network knows one.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end(true)
	}
}

// Heal takes all faults back. Connections of which bytes were dropped are reset: what came next on them
// would pass for the answer to another request.
func (p *Proxy) Heal() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow, p.latency, p.holding, p.cuts = false, 0, false, [2]*cut{}
	for l := range p.links {
		if l.lossy {
			l.end(true)
		}
	}
	close(p.healed)
	p.healed = make(chan struct{})
	if !p.closed {
		p.open()
	}
}
