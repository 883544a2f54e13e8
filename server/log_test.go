package server_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// A line of the size that requests have, as the logger hands it over.
func BenchmarkLogLine(b *testing.B) {
	w := server.NewLogWriter(io.Discard)
	line := []byte(strings.Repeat("x", 199) + "\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
}

// tailed is a line of the log of a server as its API shows it, or the end of the stream.
type tailed struct {
	Time                           *time.Time
	Level, Message, Server, Cursor string
	Fields                         map[string]string
	Skipped                        int
	Event, Reason                  string
	raw                            string
}

// tailLog follows the log of a server. The channel is closed when that has ended.
func tailLog(tb testing.TB, url, key, query string) (lines <-chan tailed, hang func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/system/log"+query, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.SetBasicAuth(key, "")
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		tb.Fatalf("follow the log: %v, %+v", err, resp)
	}
	out := make(chan tailed, 10_000)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
			l := tailed{raw: scanner.Text()}
			if l.raw == "" {
				continue
			}
			if err := json.Unmarshal([]byte(l.raw), &l); err != nil {
				tb.Errorf("%v in %q", err, l.raw)
			}
			out <- l
		}
	}()
	return out, cancel
}

// nextLine returns the next line that is so.
func nextLine(tb testing.TB, lines <-chan tailed, what string, so func(tailed) bool) tailed {
	tb.Helper()
	limit := time.After(patience)
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				tb.Fatalf("the stream has ended, and there was no %s", what)
			}
			if so(l) {
				return l
			}
		case <-limit:
			tb.Fatalf("no %s within %s", what, patience)
		}
	}
}

// of picks the line of a request by the Request-Id that its client sent.
func of(id string) func(tailed) bool {
	return func(l tailed) bool { return l.Message == "request" && l.Fields["client_request_id"] == id }
}

func TestTheLogOfAServerIsFollowed(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	redis := redistest.URL(t)
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			set := func(c *server.Config) { c.LogFormat = format }
			one, two := servertest.New(t, servertest.WithRedis(redis), set), servertest.New(t, servertest.WithRedis(redis), set)
			lines, _ := tailLog(t, one.URL(), one.OperatorKey, "")
			others, _ := tailLog(t, two.URL(), one.OperatorKey, "")
			nextLine(t, lines, "line of before", func(l tailed) bool { return l.Message == "ready" && l.Fields["url"] == one.URL() })
			nextLine(t, others, "line of before", func(l tailed) bool { return l.Message == "ready" && l.Fields["url"] == two.URL() })

			const hostile = `<img src=x> "a=b" \ end`
			id := rand.Text()
			must(t, http.StatusNotFound, nil, http.MethodGet, one.URL()+"/v1/queues/nowhere", one.Key, "", "Request-Id", hostile+id)
			got := nextLine(t, lines, "line of the request", of(hostile+id))
			if got.Level != "info" || got.Server != host || got.Time == nil || time.Since(*got.Time) > time.Hour || got.Skipped != 0 {
				t.Errorf("the line of a request is %s", got.raw)
			}
			for name, want := range map[string]string{"method": "GET", "route": "/v1/queues/:queue", "status": "404", "queue": "nowhere", "client": "127.0.0.1", "in": "0"} {
				if got.Fields[name] != want {
					t.Errorf("%s is %q, want %q in %s", name, got.Fields[name], want, got.raw)
				}
			}
			must(t, http.StatusOK, nil, http.MethodGet, two.URL()+"/v1/whoami", two.Key, "", "Request-Id", id+"-two")
			seen := false
			nextLine(t, others, "line of the other server", func(l tailed) bool {
				seen = seen || strings.Contains(l.raw, id+`"`)
				return of(id + "-two")(l)
			})
			if seen {
				t.Error("one server shows what another one has logged")
			}
			again, _ := tailLog(t, one.URL(), one.OperatorKey, "?level=info&q="+id+"&cursor="+got.Cursor)
			must(t, http.StatusOK, nil, http.MethodGet, one.URL()+"/v1/whoami", one.Key, "", "Request-Id", id+"-again")
			if l := nextLine(t, again, "line behind the cursor", func(tailed) bool { return true }); !of(id + "-again")(l) {
				t.Errorf("behind the cursor is %s", l.raw)
			}
			if err := one.Stop(); err != nil {
				t.Error(err)
			}
			end := nextLine(t, lines, "end", func(l tailed) bool { return l.Event != "" })
			if end.Reason != "shutting_down" {
				t.Errorf("the end is %s", end.raw)
			}
			if _, goesOn := <-lines; goesOn {
				t.Error("something follows the end")
			}
		})
	}
}

func TestTheTailOfTheLogDoesNotFeedItself(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, debug)
	lines, hang := tailLog(t, s.URL(), s.OperatorKey, "?limit=0")
	prefix := rand.Text()
	const requests = 20
	seen := 0
	for i := range requests {
		id := fmt.Sprintf("%s-%d", prefix, i)
		must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/whoami", s.Key, "", "Request-Id", id)
		nextLine(t, lines, "line of the request", func(l tailed) bool {
			seen++
			if strings.Contains(l.raw, "/v1/system/log") || strings.Contains(l.raw, "tail") {
				t.Errorf("the tail has logged %s", l.raw)
			}
			return of(id)(l)
		})
	}
	if seen > 2*requests {
		t.Errorf("%d lines for %d requests", seen, requests)
	}
	hang()
	after, _ := tailLog(t, s.URL(), s.OperatorKey, "")
	nextLine(t, after, "line of the tail that has ended", func(l tailed) bool { return l.Fields["route"] == "/v1/system/log" && l.Fields["status"] == "200" })
}

// Who may not see the server does not see its log, whatever else it may.
func TestTheLogIsForOperators(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, quiet)
	must(t, http.StatusForbidden, nil, http.MethodGet, s.URL()+"/v1/system/log", s.Key, "")
	var made struct{ Key string }
	must(t, http.StatusCreated, &made, http.MethodPost, s.URL()+"/v1/operator_keys", s.OperatorKey, `{"name":"tenants","scopes":["tenants:*"]}`)
	must(t, http.StatusForbidden, nil, http.MethodGet, s.URL()+"/v1/system/log", made.Key, "")
	must(t, http.StatusUnprocessableEntity, nil, http.MethodGet, s.URL()+"/v1/system/log?level=loud", s.OperatorKey, "")
}
