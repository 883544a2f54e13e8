package egress

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timing is how long the parts of a request took, until they failed or the request ended. A part that there was not has nil: a connection
// that was used before is neither looked up nor made, and an address is not looked up.
type Timing struct {
	Lookup, Connect, TLS *time.Duration
	// FirstByte is from the end of the request to the beginning of the answer.
	FirstByte *time.Duration
}

// stopwatch measures the parts of a request. A connection may still be made when the request has ended.
type stopwatch struct {
	mu    sync.Mutex
	parts [4]struct{ began, ended time.Time }
}

const (
	lookup = iota
	connect
	handshake
	firstByte
)

// begin notes that a part begins, unless it did already: of several addresses that are tried, the first one counts.
func (w *stopwatch) begin(part int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := &w.parts[part]; p.began.IsZero() {
		p.began = time.Now()
	}
}

func (w *stopwatch) end(part int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts[part].ended = time.Now()
}

// watch has a trace tell of the parts.
func (w *stopwatch) watch(t *httptrace.ClientTrace) {
	t.DNSStart = func(httptrace.DNSStartInfo) { w.begin(lookup) }
	t.DNSDone = func(httptrace.DNSDoneInfo) { w.end(lookup) }
	t.ConnectStart = func(string, string) { w.begin(connect) }
	t.ConnectDone = func(string, string, error) { w.end(connect) }
	t.TLSHandshakeStart = func() { w.begin(handshake) }
	t.TLSHandshakeDone = func(tls.ConnectionState, error) { w.end(handshake) }
	t.WroteRequest = func(httptrace.WroteRequestInfo) { w.begin(firstByte) }
}

// read returns what was measured until now. What it took to make a connection is left out where another one was used.
func (w *stopwatch) read(reused bool) Timing {
	w.mu.Lock()
	defer w.mu.Unlock()
	var took [4]*time.Duration
	now := time.Now()
	for i, p := range w.parts {
		if p.began.IsZero() || reused && i != firstByte {
			continue
		}
		end := p.ended
		if end.Before(p.began) { // it has not ended
			end = now
		}
		d := end.Sub(p.began)
		took[i] = &d
	}
	return Timing{took[lookup], took[connect], took[handshake], took[firstByte]}
}
