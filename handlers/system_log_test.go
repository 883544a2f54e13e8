package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/logtail"
)

// logs writes a line to the log that the API shows.
func (h *apiTest) logs(level, message string, fields ...string) {
	h.Helper()
	text := fmt.Sprintf(`{"time":"2026-03-01T12:00:00.5Z","level":%q,"msg":%q`, level, message)
	for i := 0; i < len(fields); i += 2 {
		text += fmt.Sprintf(",%q:%q", fields[i], fields[i+1])
	}
	h.serverLog.Write([]byte(text + "}\n"))
	h.serverLog.Tell()
}

// logLine is handlers.LogLine, whose fields are only written.
type logLine struct {
	handlers.LogLine
	Fields map[string]string `json:"fields"`
}

// line returns the next line of a stream of the log.
func (s *streaming) line() (l logLine) {
	s.Helper()
	one := s.next()
	s.h.must(json.Unmarshal([]byte(one.text), &l))
	if s.media == "text/event-stream" && (one.kind != "line" || one.id != l.Cursor) {
		s.Errorf("got the event %+v, want a line with its cursor as id", one)
	}
	return l
}

// says returns what the next n lines say.
func (s *streaming) says(n int) string {
	s.Helper()
	var list []string
	for range n {
		list = append(list, s.line().Message)
	}
	return strings.Join(list, " ")
}

func (h *apiTest) tailLog(query string, headers ...string) *streaming {
	h.Helper()
	return h.stream("GET", "/v1/system/log"+query, append(as(h.operator), headers...)...)
}

func TestTheLogIsShownAndFollowed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, accept := range []string{"", "text/event-stream"} {
		h.logs("INFO", "a", "status", "201", "queue", "orders")
		s, none, last := h.tailLog("", "Accept", accept), h.tailLog("?limit=0", "Accept", accept), h.tailLog("?limit=1", "Accept", accept)
		first := s.line()
		for first.Message != "a" || len(h.serverLogBehind(first.Cursor)) > 0 { // those of the first turn
			first = s.line()
		}
		at := instant(0)
		at.Time = at.Add(500e6)
		want := logLine{LogLine: handlers.LogLine{Time: at, Level: "info", Message: "a", Server: "here", Cursor: first.Cursor}, Fields: map[string]string{"status": "201", "queue": "orders"}}
		diff(t, "a line", want, first)
		if got := last.line(); got.Cursor != first.Cursor {
			t.Errorf("the latest line is %+v", got)
		}
		h.logs("DEBUG", "b")
		h.logs("WARN", "c")
		for _, s := range []*streaming{s, none, last} {
			if got := s.says(2); got != "b c" {
				t.Errorf("then come %q", got)
			}
		}
		// Who comes back misses nothing, and sees nothing twice.
		again := h.tailLog("?cursor="+first.Cursor, "Accept", accept)
		if got := again.says(2); got != "b c" {
			t.Errorf("behind the cursor are %q", got)
		}
		browser := h.tailLog("?limit=1", "Last-Event-ID", first.Cursor, "Accept", accept)
		if got := browser.says(2); got != "b c" {
			t.Errorf("behind the last event are %q", got)
		}
		elsewhere := h.tailLog("?cursor=run2-0", "Accept", accept)
		if first, got := elsewhere.line(), h.serverLogBehind(""); first.Cursor != got[0].Cursor {
			t.Errorf("the first line for a cursor of another run is %+v", first)
		}
		browser.none()
	}
	if a := h.asOperator("HEAD", "/v1/system/log", ""); a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// serverLogBehind returns the lines of the log behind a cursor.
func (h *apiTest) serverLogBehind(cursor string) []logtail.Line {
	h.Helper()
	f, err := h.serverLog.Follow(cursor)
	h.must(err)
	defer f.Close()
	lines, _ := f.Take()
	return lines
}

func TestTheLogIsFilteredByTheServer(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	write := func() {
		h.logs("DEBUG", "d")
		h.logs("INFO", "i", "queue", "Orders.EU", "status", "500")
		h.logs("WARN", "w", "queue", "mails")
		h.logs("ERROR", "e", "error", "no way to orders.eu")
		h.logs("ERROR+4", "f")
		h.serverLog.Write([]byte("panic: ORDERS.eu\n"))
		h.serverLog.Tell()
	}
	write()
	for _, c := range []struct{ query, want string }{
		{"", "d i w e f panic: ORDERS.eu"},
		{"?level=debug", "d i w e f panic: ORDERS.eu"},
		{"?level=info", "i w e f panic: ORDERS.eu"},
		{"?level=warn", "w e f panic: ORDERS.eu"},
		{"?level=error", "e f panic: ORDERS.eu"},
		{"?q=oRDERS.Eu", "i e panic: ORDERS.eu"},
		{"?q=queue%3Dorders", "i"},
		{"?q=status%3D500", "i"},
		{"?q=orders&level=error", "e panic: ORDERS.eu"},
		{"?q=orders&limit=1", "panic: ORDERS.eu i e panic: ORDERS.eu"},
		{"?q=%22", ""},
	} {
		s := h.tailLog(c.query)
		n := len(strings.Fields(strings.ReplaceAll(c.want, ": ", "")))
		if !strings.Contains(c.query, "limit") {
			if got := s.says(n); got != c.want {
				t.Errorf("%q shows %q, want %q", c.query, got, c.want)
			}
			continue
		}
		if got := s.says(1); got != "panic: ORDERS.eu" {
			t.Errorf("%q shows %q first", c.query, got)
		}
		write()
		if got := s.says(n - 1); "panic: ORDERS.eu "+got != c.want {
			t.Errorf("%q shows %q then", c.query, got)
		}
		s.none()
	}
	text := strings.Repeat("%C3%A4", 200)
	h.tailLog("?q=" + text)
	for query, at := range map[string]string{"level=fatal": "level", "level=": "level", "level=INFO": "level", "limit=1001": "limit", "limit=-1": "limit", "limit=x": "limit",
		"q=" + text + "a": "q", "q=a&q=b": "q", "cursor=x": "cursor", "cursor=": "cursor", "cursor=run1-99999": "cursor", "cursor=run1-0&limit=5": "limit", "lines=5": "lines"} {
		if p := h.asOperator("GET", "/v1/system/log?"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != at {
			t.Errorf("%s: the fault is at %+v", query, p.Errors)
		}
	}
	for _, id := range []string{"x", "run1-99999"} {
		if p := h.asOperator("GET", "/v1/system/log?cursor=run1-0", "", "Last-Event-ID", id).problem(422, "validation_failed"); p.Errors[0].Header != "Last-Event-ID" {
			t.Errorf("%s: the fault is at %+v", id, p.Errors)
		}
	}
}

func TestOnlyOperatorsWhoMaySeeTheServerSeeItsLog(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.logs("INFO", "a")
	h.do("GET", "/v1/system/log", "").problem(403, "permission_denied")
	h.do("GET", "/v1/system/log", "", h.operatorFor("tenants:read")...).problem(403, "permission_denied")
	h.do("GET", "/v1/system/log", "", "Authorization", "").problem(401, "unauthenticated")
	if got := h.stream("GET", "/v1/system/log", h.operatorFor("system:read")...).says(1); got != "a" {
		t.Errorf("who may sees %q", got)
	}
	until(t, "no stream that was refused is counted", func() bool { return h.api.Waiting() == 1 })
}

func TestTheLogIsAStreamAsOthersAre(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.MaxWaitingReceives = 2 }))
	one, two := h.tailLog(""), h.tailLog("", "Accept", "text/event-stream")
	h.asOperator("GET", "/v1/system/log", "").problem(503, "too_many_streams")
	for _, s := range []*streaming{one, two} {
		s.ticks(func() bool { return len(s.items) > 0 })
		if life := s.any(); life.text != "" {
			t.Errorf("got %q, want a sign of life", life.text)
		}
	}
	one.hang()
	until(t, "it has gone", func() bool { return h.api.Waiting() == 1 })
	key, err := h.keys.CreateOperatorKey(t.Context(), auth.NewKey{Name: "short"})
	h.must(err)
	revoked := h.stream("GET", "/v1/system/log", as(key.Secret.Reveal())...)
	h.must(h.keys.RevokeOperatorKey(t.Context(), key.ID))
	revoked.ticks(func() bool { return len(revoked.items) > 0 })
	if why := revoked.ends(); why != "unauthenticated" {
		t.Errorf("the reason is %q", why)
	}
	h.queues.Drain()
	if why := two.ends(); why != "shutting_down" {
		t.Errorf("the reason is %q", why)
	}
}

// slowReader takes a write only when it is told to.
type slowReader struct {
	header  http.Header
	writing chan string
	takes   chan struct{}
}

func (r *slowReader) Header() http.Header { return r.header }
func (r *slowReader) WriteHeader(int)     {}
func (r *slowReader) Flush()              {}

func (r *slowReader) Write(p []byte) (int, error) {
	r.writing <- string(p)
	<-r.takes
	return len(p), nil
}

func TestASlowReaderOfTheLogIsToldWhatItMissed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	r := &slowReader{header: http.Header{}, writing: make(chan string), takes: make(chan struct{})}
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/system/log?q=line", nil)
	req.Header.Set("Authorization", "Bearer "+h.operator)
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.echo.ServeHTTP(r, req)
	}()
	next := func() (l logLine) {
		h.must(json.Unmarshal([]byte(<-r.writing), &l))
		return l
	}
	h.logs("INFO", "line 0")
	if l := next(); l.Skipped != 0 {
		t.Errorf("before the first line %d were skipped", l.Skipped)
	}
	// It hangs in the first line, until there is no room for three of those that came meanwhile.
	for i := range logtail.MaxLines + 3 {
		message := fmt.Sprintf("line %d", i+1)
		if i < 5 {
			message = "something else"
		}
		h.logs("INFO", message)
	}
	r.takes <- struct{}{}
	if l := next(); l.Message != "line 6" || l.Skipped != 3 {
		t.Errorf("then comes %+v, want line 6, and that 3 are missing", l)
	}
	r.takes <- struct{}{}
	if l := next(); l.Message != "line 7" || l.Skipped != 0 {
		t.Errorf("then comes %+v, want line 7", l)
	}
	close(r.takes)
	h.queues.Drain()
	for text := range r.writing {
		if strings.Contains(text, "shutting_down") {
			break
		}
	}
	<-over
}

// What is logged when the answer has begun is new, also where nobody has looked at the log yet.
func TestNothingIsMissedBetweenTheAnswerAndTheFirstLook(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for i := range 100 {
		s := h.tailLog("?limit=0")
		h.logs("info", fmt.Sprint("new", i))
		if got := s.line().Message; got != fmt.Sprint("new", i) {
			t.Fatalf("stream %d begins with %q", i, got)
		}
		s.hang()
	}
}
