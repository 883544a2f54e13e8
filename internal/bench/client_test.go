package bench

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serveBytes answers each request of one connection with one of the texts, in pieces of that many bytes, and hangs up.
func serveBytes(t *testing.T, piece int, answers ...string) *conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		nc, err := listener.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		r := bufio.NewReader(nc)
		for _, answer := range answers {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = r.Discard(int(req.ContentLength))
			for len(answer) > 0 {
				n := min(piece, len(answer))
				if _, err := nc.Write([]byte(answer[:n])); err != nil {
					return
				}
				answer = answer[n:]
			}
		}
	}()
	target, err := newTarget("http://"+listener.Addr().String(), fakeKey)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(target)
	t.Cleanup(c.close)
	return c
}

func (c *conn) get(body string) (response, error) {
	return c.call(c.target.head(http.MethodPost, "/x", "text/plain"), []byte(body), time.Second)
}

func TestAnswersAreReadWhateverTheirFraming(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 2000) // 32,000 bytes, above the first buffer
	for _, test := range []struct {
		name, answer string
		status       int
		body         string
		open         bool // the connection is kept
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"length in other case", "HTTP/1.1 201 Created\r\ncontent-length:5\r\nX: y\r\n\r\nhello", 201, "hello", true},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		{"no content", "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n", 204, "", true},
		{"no reason", "HTTP/1.1 204\r\n\r\n", 204, "", true},
		{"long", "HTTP/1.1 200 OK\r\nContent-Length: 32000\r\n\r\n" + long, 200, long, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n", 200, "hello", true},
		{"chunks and trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", 200, "hello", true},
		{"long chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7D00\r\n" + long + "\r\n0\r\n\r\n", 200, long, true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true},
		{"closing", "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 503, "no", false},
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			if piece == 1 && len(test.answer) > 1000 {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				c := serveBytes(t, piece, test.answer, test.answer)
				for range 2 {
					resp, err := c.get("question")
					if err != nil || resp.status != test.status || string(resp.body) != test.body {
						t.Fatalf("pieces of %d: got %d %.60q %v", piece, resp.status, resp.body, err)
					}
					if c.connected() != test.open {
						t.Errorf("connected: got %t, want %t", c.connected(), test.open)
					}
					if !test.open {
						return
					}
				}
			})
		}
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"not HTTP":        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"no length":       "HTTP/1.1 200 OK\r\n\r\nhello",
		"too much":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
		"too little":      "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"huge":            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"bad status":      "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"bad chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"huge chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
		"odd line ends":   "HTTP/1.1 200 OK\n\r\n\r\n",
		"hung up":         "",
		"head never ends": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2*maxHead),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serveBytes(t, 1<<20, answer)
			if resp, err := c.get("question"); err == nil {
				t.Errorf("got %d %.40q, want an error", resp.status, resp.body)
			}
			if c.connected() {
				t.Error("the connection was kept")
			}
		})
	}
}

func TestAbortEndsAWaitAtOnce(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-over
	}))
	defer server.Close()
	defer close(over)
	target, err := newTarget(server.URL+"/below/", fakeKey)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(target)
	go func() {
		<-asked
		c.abort()
	}()
	for range 2 { // and stays so
		if _, err := c.call(target.head(http.MethodPost, "/v1/x", ""), nil, time.Minute); !errors.Is(err, errAborted) {
			t.Errorf("got %v", err)
		}
	}
}

func TestHTTPSIsSpoken(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Proto))
	}))
	defer server.Close()
	target, err := newTarget(server.URL, fakeKey)
	if err != nil {
		t.Fatal(err)
	}
	target.tls.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := newConn(target)
	defer c.close()
	resp, err := c.get("")
	if err != nil || string(resp.body) != "HTTP/1.1" {
		t.Errorf("got %q, %v", resp.body, err)
	}
}

func TestTargetRefusesWhatItCannotSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, key string }{
		{"", "k"}, {"127.0.0.1:8080", "k"}, {"ftp://host", "k"}, {"http://host", "a\r\nX: y"}, {"http://host", "a b"},
	} {
		if _, err := newTarget(test.url, test.key); err == nil {
			t.Errorf("%q %q: no error", test.url, test.key)
		}
	}
	target, err := newTarget("http://user:secret@host/sub/path/", "k")
	if err != nil || target.address != "host:80" || target.prefix != "/sub/path" || strings.Contains(target.shown, "secret") {
		t.Errorf("got %+v, %v", target, err)
	}
}

// BenchmarkExchange shows what a send takes, together with a peer that answers without looking.
func BenchmarkExchange(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		nc, err := listener.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		question := make([]byte, 64<<10)
		answer := []byte("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nRequest-Id: req_01\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 21\r\n\r\n" + `{"id":"msg_01234567"}`)
		for {
			if _, err := nc.Read(question); err != nil { // a request is one packet here
				return
			}
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	}()
	target, err := newTarget("http://"+listener.Addr().String(), fakeKey)
	if err != nil {
		b.Fatal(err)
	}
	r := &rig{target: target, spec: Spec{Size: 256}, paths: newPaths(target, queuePath("q"))}
	r.addWorkers(1)
	defer r.workers[0].close()
	b.ReportAllocs()
	for b.Loop() {
		if r.workers[0].sendOne() != 1 {
			b.Fatal(r.workers[0].errors)
		}
	}
}
