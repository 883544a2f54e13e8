package egresstest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Proxy is an HTTP proxy that does CONNECT.
type Proxy struct {
	Addr string

	mu     sync.Mutex
	asked  []*http.Request
	answer func(target string) string
}

// NewProxy starts a proxy on a listener. It ends with the test, and so do the connections through it.
func NewProxy(tb testing.TB, l net.Listener) *Proxy {
	tb.Helper()
	p := &Proxy{Addr: l.Addr().String()}
	var mu sync.Mutex
	var open []net.Conn
	over := false
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		if open = append(open, c); over {
			_ = c.Close()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			keep(conn)
			wg.Go(func() { p.serve(conn, keep) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		over = true
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return p
}

// Answer has the proxy write a text instead of connecting, where f returns one; nil for never.
func (p *Proxy) Answer(f func(target string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// Asked returns the requests that came.
func (p *Proxy) Asked() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.asked...)
}

func (p *Proxy) serve(conn net.Conn, keep func(net.Conn)) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req)
	text := ""
	if p.answer != nil {
		text = p.answer(req.Host)
	}
	p.mu.Unlock()
	if req.Method != http.MethodConnect {
		text = "HTTP/1.1 405 Method Not Allowed\r\n\r\n"
	}
	if text != "" {
		_, _ = io.WriteString(conn, text)
		return
	}
	to, err := (&net.Dialer{}).DialContext(req.Context(), "tcp", req.Host)
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer to.Close()
	keep(to)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(to, r)
		_ = to.Close()
	}()
	_, _ = io.Copy(conn, to)
}
