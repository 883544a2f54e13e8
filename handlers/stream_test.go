package handlers_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// streaming is a stream that a test reads.
type streaming struct {
	testing.TB
	h     *apiTest
	path  string // of the operation, with its method
	media string
	res   *http.Response
	hang  context.CancelFunc
	items chan item
}

// item is a line or an event: one of the two, or nothing for a keepalive.
type item struct {
	handlers.ReceivedMessage
	Event  string `json:"event"`
	Reason string `json:"reason"`
	Cursor string `json:"cursor"`
	State  string `json:"state"`

	kind, id string // of a server-sent event
	text     string
}

// stream opens a stream with the tenant's key.
func (h *apiTest) stream(method, path string, headers ...string) *streaming {
	h.Helper()
	ctx, hang := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, method, h.url+path, nil)
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+h.key)
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	res, err := http.DefaultClient.Do(req)
	h.must(err)
	s := &streaming{TB: h.TB, h: h, res: res, hang: hang, items: make(chan item, 1000), media: res.Header.Get("Content-Type")}
	h.Cleanup(func() {
		hang()
		res.Body.Close()
	})
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		h.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	route, _, err := contract.router.FindRoute(req)
	h.must(err)
	s.path = method + " " + route.Path
	contract.touch(route.Operation.OperationID)
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"} {
		if got := res.Header.Get(name); got != want {
			h.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	go s.read()
	return s
}

func (d *described) touch(operation string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.touched[operation] = true
}

// read reads until the stream ends.
func (s *streaming) read() {
	defer close(s.items)
	scanner := bufio.NewScanner(s.res.Body)
	scanner.Buffer(nil, 4<<20)
	one := item{}
	for scanner.Scan() {
		line := scanner.Text()
		if s.media == "application/x-ndjson" {
			s.items <- s.parse(item{text: line})
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			s.items <- s.parse(one)
			one = item{}
		case name == "event":
			one.kind = value
		case name == "id":
			one.id = value
		case name == "data":
			one.text = value
		case line != ": keepalive":
			s.Errorf("a line that is no part of an event: %q", line)
		}
	}
}

func (s *streaming) parse(one item) item {
	if one.text == "" {
		return one
	}
	contract.checkItem(s.TB, s.path, "200", s.media, []byte(one.text))
	if err := json.Unmarshal([]byte(one.text), &one); err != nil {
		s.Errorf("%v in %q", err, one.text)
	}
	return one
}

// checkItem holds one item of a stream against the description.
func (d *described) checkItem(tb testing.TB, operation, status, media string, text []byte) {
	method, path, _ := strings.Cut(operation, " ")
	content := d.doc.Paths.Value(path).GetOperation(method).Responses.Value(status).Value.Content[media]
	if content == nil {
		tb.Errorf("%s: %s is not described", operation, media)
		return
	}
	raw, err := json.Marshal(content.Extensions["x-item-schema"])
	if err != nil {
		tb.Error(err)
		return
	}
	var either struct {
		OneOf []struct {
			Ref string `json:"$ref"`
		}
	}
	var value any
	if err := json.Unmarshal(raw, &either); err != nil || len(either.OneOf) == 0 {
		tb.Errorf("%s: no items are described: %s", operation, raw)
		return
	}
	if err := json.Unmarshal(text, &value); err != nil {
		tb.Errorf("%s: %v in %s", operation, err, text)
		return
	}
	matches, faults := 0, []error{}
	for _, one := range either.OneOf {
		schema := d.doc.Components.Schemas[strings.TrimPrefix(one.Ref, "#/components/schemas/")]
		known := map[string]bool{}
		for name := range schema.Value.Properties {
			known[name] = true
		}
		err := schema.Value.VisitJSON(value, openapi3.MultiErrors())
		for name := range value.(map[string]any) {
			if !known[name] {
				err = fmt.Errorf("%s is not described", name)
			}
		}
		if err == nil {
			matches++
		} else {
			faults = append(faults, err)
		}
	}
	if matches != 1 {
		tb.Errorf("%s: an item is described by %d types, want one: %v\n%s", operation, matches, faults, text)
	}
}

// next returns the next item that is no keepalive.
func (s *streaming) next() item {
	s.Helper()
	for {
		if one := s.any(); one.text != "" {
			return one
		}
	}
}

func (s *streaming) any() item {
	s.Helper()
	select {
	case one, ok := <-s.items:
		if !ok {
			s.Fatal("the stream has ended")
		}
		return one
	case <-time.After(time.Minute):
		s.Fatal("nothing in a minute")
	}
	return item{}
}

// bodies returns the bodies of the next n messages.
func (s *streaming) bodies(n int) []string {
	s.Helper()
	var list []string
	for range n {
		list = append(list, s.next().Body)
	}
	return list
}

// ends waits for the end of the stream and returns the reason that it gave.
func (s *streaming) ends() string {
	s.Helper()
	last := s.next()
	for last.Event != "end" {
		last = s.next()
	}
	select {
	case one, ok := <-s.items:
		if ok {
			s.Errorf("after the end there is %q", one.text)
		}
	case <-time.After(time.Minute):
		s.Fatal("the stream goes on after its end")
	}
	return last.Reason
}

// none fails when anything was there but signs of life.
func (s *streaming) none() {
	s.Helper()
	for {
		select {
		case one, ok := <-s.items:
			if ok && one.text == "" {
				continue
			}
			s.Errorf("got %q, want nothing", one.text)
		default:
		}
		return
	}
}

func TestAConsumeStreamLendsAsMuchAsItMay(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, accept := range []string{"", "*/*", "text/event-stream"} {
		path := h.queue("")
		for i := range 6 {
			h.sendText(path, fmt.Sprint(i))
		}
		s := h.stream("POST", path+"/consume?max_in_flight=2&visibility_timeout=1m", "Accept", accept)
		first, second := s.next(), s.next()
		diff(t, "the first two", []string{"0", "1"}, []string{first.Body, second.Body})
		if sse := accept == "text/event-stream"; sse != (first.kind == "message") || sse != (s.media == "text/event-stream") {
			t.Errorf("Accept %q: got type %q in %s", accept, first.kind, s.media)
		}
		diffTimes(t, "lease", *instant(time.Minute), first.LeaseExpiresAt)
		h.wantCounts(path, [3]int64{4, 2, 0})
		// Whatever settles one makes room for one.
		h.do("DELETE", first.AckURL, "").is(204)
		third := s.next()
		h.json("POST", path+"/ack", fmt.Sprintf(`{"return":[{"receipt_handle":%q,"delay":60}]}`, second.ReceiptHandle)).is(200)
		s.next()
		h.json("PATCH", third.AckURL, `{"delay":60}`).is(200)
		s.next()
		h.wantCounts(path, [3]int64{1, 2, 2})
		s.none()
		s.hang()
		until(t, "what it held is back", func() bool { return h.counts(path) == [3]int64{3, 0, 2} })
	}
	until(t, "no stream is counted", func() bool { return h.api.Waiting() == 0 })
}

func diffTimes(tb testing.TB, what string, want, got handlers.Instant) {
	tb.Helper()
	if !want.Equal(got.Time) {
		tb.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func TestAConsumeStreamWaits(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	s := h.stream("POST", path+"/consume")
	until(t, "it waits", func() bool { return h.queues.Waiting() == 1 && h.api.Waiting() == 1 })
	h.sendText(path, "a")
	diff(t, "bodies", []string{"a"}, s.bodies(1))
	h.sendText(path, "b")
	diff(t, "bodies", []string{"b"}, s.bodies(1))
}

func TestAnIdleStreamIsKeptAlive(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, s := range []*streaming{
		h.stream("POST", path+"/consume"), h.stream("POST", path+"/consume", "Accept", "text/event-stream"),
		h.stream("GET", path+"/tail"), h.stream("GET", path+"/tail", "Accept", "text/event-stream"),
	} {
		for range 2 {
			begin := h.clock.Now()
			until(t, "something comes", func() bool {
				h.clock.Advance(500 * time.Millisecond)
				return len(s.items) > 0
			})
			if one := s.any(); one.text != "" || one.kind != "" {
				t.Errorf("got %q, want a keepalive", one.text)
			}
			if waited := h.clock.Now().Sub(begin); waited < 10*time.Second {
				t.Logf("it came after %s", waited) // of a clock that runs ahead of the stream
			}
		}
	}
}

func TestAClientThatGoesGivesItsMessagesBack(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for query, want := range map[string][3]int64{"": {3, 0, 0}, "?on_disconnect=return": {3, 0, 0}, "?on_disconnect=keep": {0, 3, 0}} {
		path := h.queue("")
		s := h.stream("POST", path+"/consume"+query)
		for i := range 3 {
			h.sendText(path, fmt.Sprint(i))
		}
		s.bodies(3)
		s.hang()
		until(t, "it has gone", func() bool { return h.api.Waiting() == 0 })
		h.wantCounts(path, want)
		for _, m := range h.receive(path, 10) {
			if m.ReceiveCount != 2 {
				t.Errorf("%q: received %d times, want 2", query, m.ReceiveCount)
			}
		}
	}
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	h, other := newAPITest(t), newAPITest(t)
	other.key, other.tenant = h.key, h.tenant
	path := h.queue("")
	h.sendText(path, "held")
	held := h.stream("POST", path+"/consume?max_in_flight=1")
	held.next()
	h.sendText(path, "kept")
	keeps := h.stream("POST", path+"/consume?max_in_flight=1&on_disconnect=keep")
	m := keeps.next()
	waits, watches := h.stream("POST", path+"/consume", "Accept", "text/event-stream"), h.stream("GET", path+"/tail")
	until(t, "one waits", func() bool { return h.queues.Waiting() == 1 })
	h.queues.Drain()
	for _, s := range []*streaming{held, keeps, waits, watches} {
		if why := s.ends(); why != "shutting_down" {
			t.Errorf("the reason is %q", why)
		}
	}
	until(t, "all have gone", func() bool { return h.api.Waiting() == 0 })
	// What one client had is back, and what the other had it may finish, on another server.
	other.wantCounts(path, [3]int64{1, 1, 0})
	other.do("DELETE", m.AckURL, "").is(204)
	if got := other.receive(path, 10); len(got) != 1 || got[0].Body != "held" || got[0].ReceiveCount != 2 {
		t.Errorf("got %+v, want the message that was held, received twice", got)
	}
	// One that comes too late is told, and takes nothing.
	other.sendText(path, "later")
	if why := h.stream("POST", path+"/consume").ends(); why != "shutting_down" {
		t.Errorf("the reason is %q", why)
	}
	if got := other.receive(path, 1); len(got) != 1 || got[0].ReceiveCount != 1 {
		t.Errorf("got %+v, want the message, received once", got)
	}
}

func TestStreamsOfARevokedKeyEnd(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	key, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "short"})
	h.must(err)
	bearer := "Bearer " + key.Secret.Reveal()
	h.sendText(path, "held")
	consume := h.stream("POST", path+"/consume", "Authorization", bearer)
	consume.next()
	tail := h.stream("GET", path+"/tail", "Authorization", bearer)
	waits := h.stream("POST", path+"/consume", "Authorization", bearer)
	until(t, "both wait", func() bool { return h.queues.Waiting() == 2 })
	h.must(h.keys.Revoke(t.Context(), h.tenant.ID, key.ID))
	// A message that comes now goes to nobody who has that key.
	h.sendText(path, "secret")
	begin := h.clock.Now()
	for _, s := range []*streaming{tail, consume, waits} {
		until(t, "it ends", func() bool {
			if s != waits || h.clock.Now().Sub(begin) < 4*time.Second {
				h.clock.Advance(100 * time.Millisecond)
			}
			return len(s.items) > 0
		})
		if why := s.ends(); why != "unauthenticated" {
			t.Errorf("the reason is %q", why)
		}
	}
	until(t, "the messages are back", func() bool { return h.counts(path) == [3]int64{2, 0, 0} })
	counts := map[string]int{}
	for _, m := range h.receive(path, 10) {
		counts[m.Body] = m.ReceiveCount
	}
	diff(t, "receive counts", map[string]int{"held": 2, "secret": 1}, counts)
}

func TestAStreamOfADeletedQueueEnds(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	consume, tail := h.stream("POST", path+"/consume"), h.stream("GET", path+"/tail")
	until(t, "it waits", func() bool { return h.queues.Waiting() == 1 })
	h.do("DELETE", path, "").is(204)
	if why := consume.ends(); why != "queue_not_found" {
		t.Errorf("the reason is %q", why)
	}
	until(t, "the tail looks", func() bool {
		h.clock.Advance(time.Second)
		return len(tail.items) > 0
	})
	if why := tail.ends(); why != "queue_not_found" {
		t.Errorf("the reason is %q", why)
	}
}

func TestALeaseThatHasLastedTooLongIsTold(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "m")
	s := h.stream("POST", path+"/consume?max_in_flight=1&visibility_timeout=12h")
	m := s.next()
	h.clock.Advance(3 * time.Hour) // from now on twelve more would be too many
	told := s.next()
	if told.Event != "lease_ending" || told.ID != m.ID || told.ReceiptHandle != m.ReceiptHandle || told.LeaseExpiresAt.IsZero() {
		t.Errorf("got %s", told.text)
	}
	h.sendText(path, "next") // there is room for it
	diff(t, "bodies", []string{"next"}, s.bodies(1))
	h.wantCounts(path, [3]int64{0, 2, 0})
}

func TestWhatIsSettledOnAnotherServerMakesRoom(t *testing.T) {
	t.Parallel()
	h, other := newAPITest(t), newAPITest(t)
	other.key, other.tenant = h.key, h.tenant
	path := h.queue("")
	for i := range 3 {
		h.sendText(path, fmt.Sprint(i))
	}
	s := h.stream("POST", path+"/consume?max_in_flight=2")
	m := s.next()
	s.next()
	other.do("DELETE", m.AckURL, "").is(204)
	h.clock.Advance(time.Second)
	diff(t, "bodies", []string{"2"}, s.bodies(1))
	h.wantCounts(path, [3]int64{0, 2, 0})
}

func TestASlowReaderHoldsLittle(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.StreamStall = 300 * time.Millisecond }))
	path := h.queue("")
	// The connection takes some megabytes; the server keeps one message.
	const sent, size, most = 24, 900 << 10, 12
	for range sent {
		h.do("POST", path+"/messages", strings.Repeat("x", size)).is(201)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	h.must(err)
	defer conn.Close()
	h.must(conn.(*net.TCPConn).SetReadBuffer(4 << 10))
	_, err = fmt.Fprintf(conn, "POST %s/consume?max_in_flight=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", path, h.key)
	h.must(err)
	until(t, "it has got some", func() bool { return h.counts(path)[1] > 0 })
	until(t, "it is cut off", func() bool {
		c := h.counts(path)
		if c[1] > most {
			t.Errorf("it holds %d", c[1])
		}
		return h.api.Waiting() == 0
	})
	h.wantCounts(path, [3]int64{sent, 0, 0})
}

func TestStreamsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	zero := h.queue(`{"visibility_timeout":0}`)
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		{"POST", path + "/consume?max_in_flight=0", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?max_in_flight=101", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?max_in_flight=x", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?visibility_timeout=0", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?visibility_timeout=13h", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?heartbeat=yes", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?on_disconnect=drop", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume?max=3", "", nil, 422, "validation_failed"},
		{"POST", zero + "/consume", "", nil, 422, "validation_failed"},
		{"POST", path + "/consume", `{"ack":[]}`, nil, 422, "unknown_field"},
		{"POST", path + "/consume", `[`, nil, 400, "malformed_request"},
		{"POST", path + "/consume", "", []string{"Idempotency-Key", "k"}, 422, "idempotency_key_not_supported"},
		{"POST", path + "/consume", "", []string{"Authorization", stranger}, 404, "queue_not_found"},
		{"POST", "/v1/queues/nothing/consume", "", nil, 404, "queue_not_found"},
		{"GET", path + "/tail?since=yesterday", "", nil, 422, "validation_failed"},
		{"GET", path + "/tail?cursor=", "", nil, 422, "validation_failed"},
		{"GET", path + "/tail?cursor=0", "", nil, 422, "validation_failed"},
		{"GET", path + "/tail?cursor=nonsense", "", nil, 422, "validation_failed"},
		{"GET", path + "/tail?cursor=MXwyfA&since=now", "", nil, 422, "validation_failed"},
		{"GET", path + "/tail", "", []string{"Last-Event-ID", "nonsense"}, 422, "validation_failed"},
		{"GET", path + "/tail", "", []string{"Last-Event-ID", "0"}, 422, "validation_failed"},
		{"GET", path + "/tail", "", []string{"Authorization", stranger}, 404, "queue_not_found"},
		{"GET", "/v1/queues/nothing/tail", "", nil, 404, "queue_not_found"},
	} {
		headers := append([]string{"Content-Type", "application/json"}, c.headers...)
		p := h.do(c.method, c.path, c.body, headers...).problem(c.status, c.code)
		if c.path == path+"/tail" && len(p.Errors) > 0 && p.Errors[0].Header != "Last-Event-ID" {
			t.Errorf("a wrong header is blamed on %+v", p.Errors)
		}
	}
	if n := h.api.Waiting(); n != 0 {
		t.Errorf("%d refused streams are counted", n)
	}
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.MaxWaitingReceives = 2 }))
	path := h.queue("")
	one := h.stream("POST", path+"/consume")
	h.stream("GET", path+"/tail")
	for _, c := range [][2]string{{"POST", "/consume"}, {"GET", "/tail"}} {
		a := h.do(c[0], path+c[1], "")
		if a.problem(503, "too_many_streams"); a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	}
	// A receive is answered at once, as when too many of them wait.
	if a := h.do("POST", path+"/receive?wait=20", "").is(200); a.header.Get("Retry-After") != "1" {
		t.Error("a receive waits although too many do")
	}
	one.hang()
	until(t, "it has gone", func() bool { return h.api.Waiting() == 1 })
	h.stream("POST", path+"/consume")
}

func TestATailShowsAndTakesNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, accept := range []string{"", "text/event-stream"} {
		path := h.queue("")
		h.sendText(path, "before")
		now, all := h.stream("GET", path+"/tail", "Accept", accept), h.stream("GET", path+"/tail?since=beginning", "Accept", accept)
		h.sendText(path, "1")
		h.do("POST", path+"/messages", "\xff\n\x00").is(201)
		diff(t, "from the beginning", []string{"before"}, all.bodies(1))
		read := func(s *streaming, n int) []item {
			t.Helper()
			until(t, "they come", func() bool {
				h.clock.Advance(500 * time.Millisecond)
				return len(s.items) >= n
			})
			var list []item
			for len(list) < n {
				list = append(list, s.next())
			}
			return list
		}
		got := read(now, 2)
		diff(t, "from now on", []string{"1", "/woA"}, []string{got[0].Body, got[1].Body})
		read(all, 2)
		if got[0].State != "available" || got[0].Cursor == "" || accept != "" && got[0].id != got[0].Cursor {
			t.Errorf("got %+v", got[0])
		}
		h.wantCounts(path, [3]int64{3, 0, 0})

		again := h.stream("GET", path+"/tail?cursor="+got[0].Cursor, "Accept", accept)
		diff(t, "behind the cursor", []string{"/woA"}, again.bodies(1))
		again = h.stream("GET", path+"/tail?cursor="+got[1].Cursor, "Last-Event-ID", got[0].Cursor, "Accept", accept)
		diff(t, "behind the last event", []string{"/woA"}, again.bodies(1))
	}
	path := h.queue("")
	if a := h.do("HEAD", path+"/tail", ""); a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// A stream's end is the end of an answer as HTTP frames it, so that a client can tell it from a broken connection.
func TestAStreamEndsAsItShould(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	h.must(err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s/consume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", path, h.key)
	h.must(err)
	until(t, "it waits", func() bool { return h.queues.Waiting() == 1 })
	h.queues.Drain()
	var all bytes.Buffer
	h.must(conn.SetReadDeadline(time.Now().Add(10 * time.Second)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	h.must(err)
	_, err = all.ReadFrom(res.Body)
	h.must(err)
	if all.String() != `{"event":"end","reason":"shutting_down"}`+"\n" {
		t.Errorf("got %q", all.String())
	}
}
