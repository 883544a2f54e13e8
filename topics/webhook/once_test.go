package webhook_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// With an Idempotency-Key, by which Go's client would send a request again on its own, there are as many requests as attempts. One
// that met a connection which the endpoint had closed is made once more at once, which is no attempt, and the log says so.
func TestA8_ThereAreAsManyRequestsAsAttempts(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		var requests, stale atomic.Int64
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for n := 1; ; n++ {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = conn.Close() }()
					r := bufio.NewReader(conn)
					for served := 0; ; served++ {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						_, _ = io.Copy(io.Discard, req.Body)
						requests.Add(1)
						if req.Header.Get("Idempotency-Key") != "k" {
							t.Errorf("the header is %q", req.Header.Get("Idempotency-Key"))
						}
						switch {
						case n == 1 && served == 1: // it had closed the connection
							stale.Add(1)
							return
						case n == 2 && served > 0, n == 3: // it breaks on a connection that is new
							return
						}
						_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
						if n == 2 {
							return
						}
					}
				}()
			}
		}()
		tp := w.topic(t, "", topics.Settings{})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: "http://" + l.Addr().String(), Retries: []time.Duration{time.Second, time.Second},
			Headers: []webhook.Header{{Name: "Idempotency-Key", Value: webhook.Hidden{Plain: "k"}}}})
		for i := range 3 { // on a new connection, on one that was closed, and on one that breaks
			w.publish(t, tp, "x")
			w.slowly(t, "it is delivered", func() bool { s := w.status(t, way); return s.Delivered == int64(i+1) && s.Sending == 0 })
		}
		s := w.status(t, way)
		all, _, err := w.Attempts(t.Context(), way, 0, 10, nil)
		must(t, err)
		resent := 0
		for _, a := range all {
			if a.Resent {
				resent++
			}
		}
		if s.Attempts != 4 || len(all) != 4 || resent != 1 || stale.Load() != 1 || requests.Load() != s.Attempts+1 {
			t.Errorf("%d requests, %d attempts of which %d were resent: %+v", requests.Load(), s.Attempts, resent, s)
		}
		t.Logf("%d requests, %d attempts, %d of them made again at once", requests.Load(), s.Attempts, resent)
	})
}
