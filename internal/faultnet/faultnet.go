// Package faultnet stands between a client and a server and breaks the connection where a test says.
//
// A Proxy forwards byte for byte until a fault is set. Requests are what the client sends, replies what
// the server sends; the proxy knows nothing of the protocol, so a cut can fall on any byte. Faults may be
// set and healed at any time, from any goroutine, and act on connections that are open already.
package faultnet

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// maxLinks bounds the connections through one proxy. Those beyond it are reset.
	maxLinks = 4096
	// dialLimit bounds the way to the server, which is on this machine.
	dialLimit = 5 * time.Second
)

// direction is the way a byte travels.
type direction int

const (
	requests direction = iota // from the client to the server
	replies                   // from the server to the client
)

// Proxy forwards connections to one server.
type Proxy struct {
	tb       testing.TB
	upstream string
	front    *front
	wg       sync.WaitGroup

	connections, cutsFired atomic.Int64
	bytes                  [2]atomic.Int64

	mu      sync.Mutex
	closed  bool
	links   map[*link]struct{}
	healed  chan struct{} // closed by each Heal, and replaced
	holding bool
	swallow bool
	latency time.Duration
	cuts    [2]*cut
}

// New starts a proxy to the server at upstreamAddr, which ends with the test. It listens on the network
// of the server: a port of 127.0.0.1 for "tcp", or a socket in a new directory for "unix".
func New(tb testing.TB, network, upstreamAddr string) *Proxy {
	tb.Helper()
	f, err := newFront(network)
	if err != nil {
		tb.Fatalf("faultnet: %v", err)
	}
	p := &Proxy{
		tb: tb, upstream: upstreamAddr, front: f,
		links: map[*link]struct{}{}, healed: make(chan struct{}),
	}
	tb.Cleanup(p.Close)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open()
	return p
}

// Network returns "tcp" or "unix".
func (p *Proxy) Network() string { return p.front.network }

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.front.addr }

// Upstream returns the address of the server behind the proxy.
func (p *Proxy) Upstream() string { return p.upstream }

// Dialer returns a function for go-redis's Options.Dialer that dials the proxy, whatever the address.
func (p *Proxy) Dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
}

// Route returns a function for go-redis's ClusterOptions.Dialer that goes through the proxy of each
// address that has one, and straight to all others.
func Route(proxies ...*Proxy) func(ctx context.Context, network, addr string) (net.Conn, error) {
	byAddr := map[string]*Proxy{}
	for _, p := range proxies {
		byAddr[p.upstream] = p
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if p := byAddr[addr]; p != nil {
			return p.dial(ctx)
		}
		return (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, network, addr)
	}
}

func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, p.front.network, p.front.addr)
}

// Stats is what went through a proxy since it was started.
type Stats struct {
	Connections  int64 // accepted
	Cuts         int64 // that have fired
	RequestBytes int64 // handed on to the server
	ReplyBytes   int64 // handed on to the client
}

// Stats returns the counters as they are now.
func (p *Proxy) Stats() Stats {
	return Stats{
		Connections:  p.connections.Load(),
		Cuts:         p.cutsFired.Load(),
		RequestBytes: p.bytes[requests].Load(),
		ReplyBytes:   p.bytes[replies].Load(),
	}
}

// Close ends the proxy and everything that goes through it, and waits until that is so.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.front.discard()
	for l := range p.links {
		l.end(false)
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// open lets connections in. The caller holds p.mu.
func (p *Proxy) open() {
	p.tb.Helper()
	l, err := p.front.listen()
	if err != nil {
		p.tb.Errorf("faultnet: %v", err)
		return
	}
	if l != nil {
		p.wg.Go(func() { p.accept(l) })
	}
}

// accept ends when its listener is closed.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.tb.Errorf("faultnet: accept: %v", err)
			}
			return
		}
		p.connections.Add(1)
		if l := p.join(client); l != nil {
			p.wg.Go(l.run)
		} else {
			abort(client)
		}
	}
}

// join makes a link for a new client, unless there is no room.
func (p *Proxy) join(client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.links) >= maxLinks {
		return nil
	}
	l := &link{p: p, client: client, done: make(chan struct{}), answered: make(chan struct{})}
	p.links[l] = struct{}{}
	return l
}

// leave forgets a link. A cut that was waiting for its next byte waits for another link's first.
func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	for _, c := range p.cuts {
		if c != nil {
			delete(c.left, l)
		}
	}
}
