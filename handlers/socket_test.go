package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// socket is a websocket that a test talks by.
type socket struct {
	testing.TB
	h      *apiTest
	conn   *websocket.Conn
	frames chan frame
	closed error // why it ended; read it when frames is closed
}

// frame is one that came: a message or a reply.
type frame struct {
	handlers.ReceivedMessage
	Op          string            `json:"op"`
	AvailableAt *handlers.Instant `json:"available_at"`
	Reason      string            `json:"reason"`
	Error       *handlers.Problem `json:"error"`
}

const socketOperation = "GET /v1/queues/{queue}/ws"

// dial opens a websocket with the tenant's key.
func (h *apiTest) dial(path string, headers ...string) *socket {
	h.Helper()
	header := http.Header{"Authorization": {"Bearer " + h.key}}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	conn, res, err := websocket.Dial(h.Context(), h.url+path, &websocket.DialOptions{HTTPHeader: header})
	h.must(err)
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Request-Id") == "" {
		h.Errorf("%s: got %d %v", path, res.StatusCode, res.Header)
	}
	contract.touch("openSocket")
	conn.SetReadLimit(4 << 20)
	s := &socket{TB: h.TB, h: h, conn: conn, frames: make(chan frame, 1000)}
	h.Cleanup(func() { _ = conn.CloseNow() })
	go func() {
		defer close(s.frames)
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				s.closed = err
				return
			}
			contract.checkItem(h.TB, socketOperation, "101", "application/json", text)
			var f frame
			if err := json.Unmarshal(text, &f); err != nil {
				h.Errorf("%v in %s", err, text)
			}
			s.frames <- f
		}
	}()
	return s
}

func (s *socket) say(format string, args ...any) {
	s.Helper()
	if err := s.conn.Write(s.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		s.Fatal(err)
	}
}

// next returns the next frame, which must be of the given op.
func (s *socket) next(op string) frame {
	s.Helper()
	select {
	case f, ok := <-s.frames:
		if !ok || f.Op != op {
			s.Fatalf("got %+v (open: %t), want %s", f, ok, op)
		}
		return f
	case <-time.After(time.Minute):
		s.Fatalf("no %s in a minute", op)
	}
	return frame{}
}

// ends waits for the end of the connection, and returns the status with which it was closed.
func (s *socket) ends() websocket.StatusCode {
	s.Helper()
	select {
	case f, ok := <-s.frames:
		if ok {
			s.Fatalf("got %+v, want the end", f)
		}
	case <-time.After(time.Minute):
		s.Fatal("it did not end in a minute")
	}
	return websocket.CloseStatus(s.closed)
}

func TestASocketBringsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 6 {
		h.sendText(path, fmt.Sprint(i))
	}
	s := h.dial(path + "/ws?visibility_timeout=60")
	s.say(`{"op":"credit","n":3}`)
	var got []frame
	for i := range 3 {
		got = append(got, s.next("message"))
		if got[i].Body != fmt.Sprint(i) || !strings.HasSuffix(got[i].AckURL, got[i].ReceiptHandle) {
			t.Errorf("message %d: %+v", i, got[i])
		}
	}
	s.say(`{"op":"ack","receipt_handle":%q}`, got[0].ReceiptHandle)
	if f := s.next("acked"); f.ReceiptHandle != got[0].ReceiptHandle {
		t.Errorf("acked: %+v", f)
	}
	h.wantCounts(path, [3]int64{3, 2, 0}) // to settle one is not to ask for one
	s.say(`{"op":"return","receipt_handle":%q,"delay":"5m"}`, got[1].ReceiptHandle)
	if f := s.next("returned"); f.AvailableAt == nil || !f.AvailableAt.Equal(start.Add(5*time.Minute)) {
		t.Errorf("returned: %+v", f)
	}
	s.say(`{"op":"extend","receipt_handle":%q,"visibility_timeout":600}`, got[2].ReceiptHandle)
	if f := s.next("extended"); !f.LeaseExpiresAt.Equal(start.Add(10 * time.Minute)) {
		t.Errorf("extended: %+v", f)
	}
	s.say(`{"op":"extend","receipt_handle":%q,"visibility_timeout":0}`, got[2].ReceiptHandle)
	s.next("returned")
	h.wantCounts(path, [3]int64{4, 0, 1})

	// What it cannot hold it does not get, whatever it asks for.
	few := h.dial(path + "/ws?max_in_flight=1")
	few.say(`{"op":"credit","n":1000}`)
	m := few.next("message")
	few.say(`{"op":"ack","receipt_handle":%q}`, m.ReceiptHandle)
	// The confirmation and the next message cross each other.
	ops := map[string]bool{}
	for range 2 {
		select {
		case f := <-few.frames:
			ops[f.Op] = true
		case <-time.After(time.Minute):
			t.Fatal("nothing in a minute")
		}
	}
	diff(t, "what came", map[string]bool{"acked": true, "message": true}, ops)
	h.wantCounts(path, [3]int64{2, 1, 1})
	h.must(few.conn.Close(websocket.StatusNormalClosure, ""))
	until(t, "what it held is back", func() bool { return h.counts(path) == [3]int64{3, 0, 1} })
}

func TestASocketSurvivesBadFrames(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "m")
	s := h.dial(path + "/ws")
	for text, want := range map[string]string{
		`{`: "malformed_request", `{}`: "validation_failed", `[]`: "validation_failed", `{"op":"ack"}{}`: "malformed_request",
		`{"op":"ACK","receipt_handle":"rh_x"}`:                   "validation_failed",
		`{"op":"ack"}`:                                           "validation_failed",
		`{"op":"ack","receipt_handle":7}`:                        "validation_failed",
		`{"op":"ack","receipt_handle":"rh_x"}`:                   "receipt_handle_invalid",
		`{"op":"ack","receipt_handle":"rh_x","n":1}`:             "validation_failed",
		`{"op":"ack","receipt_handle":"rh_x","delay":1}`:         "validation_failed",
		`{"op":"ack","receipt_handel":"rh_x"}`:                   "unknown_field",
		`{"op":"ack","op":"ack"}`:                                "malformed_request",
		`{"op":"extend","receipt_handle":"rh_x"}`:                "validation_failed",
		`{"op":"return","receipt_handle":"rh_x","delay":"x"}`:    "validation_failed",
		`{"op":"return","visibility_timeout":1}`:                 "validation_failed",
		`{"op":"credit"}`:                                        "validation_failed",
		`{"op":"credit","n":0}`:                                  "validation_failed",
		`{"op":"credit","n":1001}`:                               "validation_failed",
		`{"op":"credit","n":1,"receipt_handle":"rh_x"}`:          "validation_failed",
		`{"op":"credit","n":1.5}`:                                "validation_failed",
		"\"\xff\"":                                               "malformed_request",
		`{"op":"credit","n":1,"visibility_timeout":60}`:          "validation_failed",
		`{"op":"credit","n":1` + strings.Repeat(" ", 4000) + `,`: "malformed_request",
	} {
		s.say("%s", text)
		if f := s.next("error"); f.Error == nil || f.Error.Code != want || f.Error.Detail == "" {
			t.Errorf("%.60s: got %+v, want %s", text, f.Error, want)
		}
	}
	h.must(s.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"op":"credit","n":1}`)))
	s.next("error")
	h.wantCounts(path, [3]int64{1, 0, 0})
	s.say(`{"op":"credit","n":1}`)
	m := s.next("message")
	// What is too long to hold is refused by the queue, and points at the member.
	s.say(`{"op":"extend","receipt_handle":%q,"visibility_timeout":43201}`, m.ReceiptHandle)
	if f := s.next("error"); f.ReceiptHandle != m.ReceiptHandle || f.Error.Code != "validation_failed" || f.Error.Errors[0].Pointer != "/visibility_timeout" {
		t.Errorf("got %+v", f)
	}
	// Good and bad ones in a row keep their order.
	s.say(`{"op":"ack","receipt_handle":"rh_x"}`)
	s.say(`{"op":"ack","receipt_handle":%q}`, m.ReceiptHandle)
	s.say(`{`)
	s.say(`{"op":"return","receipt_handle":%q}`, m.ReceiptHandle)
	s.next("error")
	s.next("acked")
	s.next("error")
	if f := s.next("error"); f.Error.Code != "receipt_handle_expired" {
		t.Errorf("got %+v", f.Error)
	}
	// A frame that is too long is not read to its end, so nothing behind it can be.
	s.say("%s", strings.Repeat("x", 5000))
	if status := s.ends(); status != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", status)
	}
	until(t, "it has gone", func() bool { return h.api.Waiting() == 0 })
}

func TestSocketsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.MaxWaitingReceives = 1 }))
	path := h.queue("")
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="}
	with := func(headers ...string) []string { return append(append([]string{}, upgrade...), headers...) }
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	for _, c := range []struct {
		path    string
		headers []string
		status  int
		code    string
	}{
		{path + "/ws", nil, 426, "websocket_required"},
		{path + "/ws", with("Sec-WebSocket-Version", "8"), 426, "websocket_required"},
		{path + "/ws", with("Sec-WebSocket-Key", "short"), 426, "websocket_required"},
		{path + "/ws", with("Upgrade", "h2c"), 426, "websocket_required"},
		{path + "/ws", with("Origin", "https://evil.example"), 403, "origin_not_allowed"},
		{path + "/ws", with("Origin", "null"), 403, "origin_not_allowed"},
		{path + "/ws?max_in_flight=0", with(), 422, "validation_failed"},
		{path + "/ws?token=x", with(), 400, "credentials_in_url"},
		{path + "/ws", with("Authorization", stranger), 404, "queue_not_found"},
		{path + "/ws", with("Authorization", ""), 401, "unauthenticated"},
		{"/v1/queues/nothing/ws", with(), 404, "queue_not_found"},
	} {
		a := h.do("GET", c.path, "", c.headers...)
		a.problem(c.status, c.code)
		if c.status == 426 && a.header.Get("Upgrade") != "websocket" {
			t.Errorf("426 without Upgrade: %v", a.header)
		}
	}
	if n := h.api.Waiting(); n != 0 {
		t.Errorf("%d refused sockets are counted", n)
	}
	h.dial(path+"/ws", "Origin", h.url) // a page of this host
	h.do("GET", path+"/ws", "", with()...).problem(503, "too_many_streams")
}

func TestASocketEndsWithTheServerAndWithItsKey(t *testing.T) {
	t.Parallel()
	h, other := newAPITest(t), newAPITest(t)
	other.key, other.tenant = h.key, h.tenant
	path := h.queue("")
	key, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "short"})
	h.must(err)
	h.sendText(path, "revoked")
	s := h.dial(path+"/ws", "Authorization", "Bearer "+key.Secret.Reveal())
	s.say(`{"op":"credit","n":1}`)
	s.next("message")
	h.must(h.keys.Revoke(t.Context(), h.tenant.ID, key.ID))
	begin := h.clock.Now()
	until(t, "it ends", func() bool {
		if h.clock.Now().Sub(begin) < 4*time.Second {
			h.clock.Advance(100 * time.Millisecond)
		}
		return len(s.frames) > 0
	})
	if f := s.next("end"); f.Reason != "unauthenticated" {
		t.Errorf("the reason is %q", f.Reason)
	}
	if status := s.ends(); status != websocket.StatusPolicyViolation {
		t.Errorf("closed with %d", status)
	}
	until(t, "the message is back", func() bool { return h.counts(path) == [3]int64{1, 0, 0} })

	s = h.dial(path + "/ws?on_disconnect=keep")
	s.say(`{"op":"credit","n":2}`)
	m := s.next("message")
	until(t, "it waits for another one", func() bool { return h.queues.Waiting() == 1 })
	h.queues.Drain()
	if f := s.next("end"); f.Reason != "shutting_down" {
		t.Errorf("the reason is %q", f.Reason)
	}
	if status := s.ends(); status != websocket.StatusGoingAway {
		t.Errorf("closed with %d", status)
	}
	until(t, "it has gone", func() bool { return h.api.Waiting() == 0 })
	other.wantCounts(path, [3]int64{0, 1, 0})
	other.do("DELETE", m.AckURL, "").is(204)
}

func TestAnIdleSocketIsPinged(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	pinged := make(chan struct{}, 1)
	conn, _, err := websocket.Dial(t.Context(), h.url+path+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + h.key}},
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pinged <- struct{}{}:
			default:
			}
			return true
		},
	})
	h.must(err)
	defer func() { _ = conn.CloseNow() }()
	ended := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(context.Background())
		ended <- err
	}()
	until(t, "a ping comes", func() bool {
		h.clock.Advance(500 * time.Millisecond)
		return len(pinged) > 0
	})
	h.must(conn.CloseNow())
	if err := <-ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the read ended with %v", err)
	}
	until(t, "it has gone", func() bool { return h.api.Waiting() == 0 })
}

func TestASocketCarriesOutWhatWasAskedBeforeItsClientWent(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const n = 30
	path := h.queue("")
	for i := range n {
		h.sendText(path, fmt.Sprint(i))
	}
	s := h.dial(path + "/ws")
	s.say(`{"op":"credit","n":%d}`, n)
	var handles []string
	for range n {
		handles = append(handles, s.next("message").ReceiptHandle)
	}
	for _, handle := range handles[:n-1] {
		s.say(`{"op":"ack","receipt_handle":%q}`, handle)
	}
	h.must(s.conn.Close(websocket.StatusNormalClosure, ""))
	until(t, "it has gone", func() bool { return h.api.Waiting() == 0 })
	h.wantCounts(path, [3]int64{1, 0, 0})
	if got := h.receive(path, 1); got[0].Body != fmt.Sprint(n-1) || got[0].ReceiveCount != 2 {
		t.Errorf("got %+v, want the one that was not acked", got)
	}
}

func TestASocketThatIsNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.StreamStall = 300 * time.Millisecond }))
	path := h.queue("")
	const sent, size, most = 24, 900 << 10, 12
	for range sent {
		h.do("POST", path+"/messages", strings.Repeat("x", size)).is(201)
	}
	conn, _, err := websocket.Dial(t.Context(), h.url+path+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + h.key}},
	})
	h.must(err)
	defer func() { _ = conn.CloseNow() }()
	h.must(conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"credit","n":100}`)))
	until(t, "it has got some", func() bool { return h.counts(path)[1] > 0 })
	until(t, "it is cut off", func() bool {
		if c := h.counts(path); c[1] > most {
			t.Errorf("it holds %d", c[1])
		}
		return h.api.Waiting() == 0
	})
	h.wantCounts(path, [3]int64{sent, 0, 0})
}
