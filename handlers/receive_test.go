package handlers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestReceiveLendsAndSettles(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 4 {
		h.sendText(path, fmt.Sprint(i))
	}
	list := h.receive(path, 3)
	diff(t, "bodies", []string{"0", "1", "2"}, bodies(list))
	h.do("DELETE", list[0].AckURL, "").is(204)
	h.do("DELETE", list[0].AckURL, "").is(204)

	h.clock.Advance(time.Second)
	change := func(m handlers.ReceivedMessage, body string) handlers.Receipt {
		t.Helper()
		var r handlers.Receipt
		h.json("PATCH", m.AckURL, body).is(200).into(&r)
		return r
	}
	diff(t, "extended", handlers.Receipt{ReceiptHandle: list[1].ReceiptHandle, State: "in_flight", LeaseExpiresAt: instant(time.Hour + time.Second)},
		change(list[1], `{"visibility_timeout":3600}`))
	diff(t, "returned later", handlers.Receipt{ReceiptHandle: list[2].ReceiptHandle, State: "delayed", AvailableAt: instant(31 * time.Second)},
		change(list[2], `{"delay":"30s"}`))
	h.wantCounts(path, [3]int64{1, 1, 1})
	h.json("PATCH", list[2].AckURL, `{"visibility_timeout":60}`).problem(410, "receipt_handle_expired")
	diff(t, "returned now", handlers.Receipt{ReceiptHandle: list[1].ReceiptHandle, State: "available", AvailableAt: instant(time.Second)},
		change(list[1], `{"visibility_timeout":0}`))

	again := h.receive(path, 10)
	diff(t, "bodies received again", []string{"3", "1"}, bodies(again))
	if again[1].ReceiveCount != 2 {
		t.Errorf("receive count of a returned message: got %d, want 2", again[1].ReceiveCount)
	}
	// The first receipt is worth nothing now that somebody else has the message.
	h.do("DELETE", list[1].AckURL, "").problem(410, "receipt_handle_expired")
	h.json("PATCH", list[1].AckURL, `{"delay":0}`).problem(410, "receipt_handle_expired")
	h.wantCounts(path, [3]int64{0, 2, 1})
}

func TestManyAreSettledAtOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 6 {
		h.sendText(path, fmt.Sprint(i))
	}
	m := h.receive(path, 6)
	body := fmt.Sprintf(`{"extend":[{"receipt_handle":%q,"visibility_timeout":"1h30m"},{"visibility_timeout":0,"receipt_handle":%q}],"ack":[%q,%q],"return":[{"receipt_handle":%q},{"receipt_handle":%q,"delay":7}]}`,
		m[0].ReceiptHandle, m[1].ReceiptHandle, m[2].ReceiptHandle, m[3].ReceiptHandle, m[4].ReceiptHandle, m[5].ReceiptHandle)
	want := []handlers.Result{
		{Ref: "/extend/0", Status: 200, LeaseExpiresAt: instant(90 * time.Minute)},
		{Ref: "/extend/1", Status: 200, AvailableAt: instant(0)},
		{Ref: "/ack/0", Status: 204}, {Ref: "/ack/1", Status: 204},
		{Ref: "/return/0", Status: 200, AvailableAt: instant(0)},
		{Ref: "/return/1", Status: 200, AvailableAt: instant(7 * time.Second)},
	}
	var got handlers.Results
	h.json("POST", path+"/ack", body).is(200).into(&got)
	diff(t, "results", want, got.Results)
	h.wantCounts(path, [3]int64{2, 1, 1})

	h.json("POST", path+"/ack", fmt.Sprintf(`{"ack":["rh_x",%q],"return":[{"receipt_handle":%q,"delay":"30d"}],"extend":[{"receipt_handle":%q,"visibility_timeout":43201}]}`,
		m[2].ReceiptHandle, m[0].ReceiptHandle, m[0].ReceiptHandle)).is(207).into(&got)
	status, codes, places := []int{}, []string{}, []string{}
	for _, r := range got.Results {
		status = append(status, r.Status)
		if r.Error != nil {
			codes = append(codes, r.Error.Code)
			if len(r.Error.Errors) > 0 {
				places = append(places, r.Error.Errors[0].Pointer)
			}
		}
	}
	diff(t, "statuses", []int{404, 204, 422, 422}, status)
	diff(t, "codes", []string{"receipt_handle_invalid", "validation_failed", "validation_failed"}, codes)
	diff(t, "places", []string{"/return/0/delay", "/extend/0/visibility_timeout"}, places)
	h.wantCounts(path, [3]int64{2, 1, 1})
}

func TestAReceiveCarriesAcks(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 5 {
		h.sendText(path, fmt.Sprint(i))
	}
	m := h.receive(path, 2)
	var r handlers.Received
	h.json("POST", path+"/receive?max=2", fmt.Sprintf(`{"ack":[%q,"rh_nonsense",%q]}`, m[0].ReceiptHandle, m[1].ReceiptHandle)).is(200).into(&r)
	diff(t, "bodies", []string{"2", "3"}, bodies(r.Messages))
	if len(r.Acked) != 3 || r.Acked[0].Status != 204 || r.Acked[1].Status != 404 || r.Acked[1].Error.Code != "receipt_handle_invalid" || r.Acked[2].Ref != "/ack/2" {
		t.Errorf("acked: got %+v", r.Acked)
	}
	h.wantCounts(path, [3]int64{1, 2, 0})
	for _, body := range []string{"", "{}", `{"ack":[]}`} {
		a := h.json("POST", path+"/receive?wait=0", body).is(200)
		if strings.Contains(string(a.body), "acked") {
			t.Errorf("without acks: got %s", a.body)
		}
	}
	if a := h.do("POST", path+"/receive", "").is(200); string(a.body) != `{"messages":[]}` {
		t.Errorf("an empty queue: got %s", a.body)
	}
}

func TestBodiesThatAreJSONComeParsed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for body, want := range map[string]string{
		"{\n \"big\": 12345678901234567890 }": "{\n \"big\": 12345678901234567890 }", "null": "null", "nonsense": "", "\xff": "", "1 2": "",
	} {
		h.do("POST", path+"/messages", body, "Content-Type", "application/json").is(201)
		a := h.do("POST", path+"/receive?body=json", "").is(200)
		_, got, _ := strings.Cut(string(a.body), `,"json":`)
		if got = strings.TrimSuffix(got, "}]}"); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
		var r handlers.Received
		a.into(&r)
	}
}

func TestAWaitingReceiveIsAnsweredByTheNextMessage(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, c := range []struct{ query, header, settings, applied string }{
		{"?wait=20", "", "", ""}, {"?wait=20s", "", "", ""}, {"", "wait=20", "", "wait=20"}, {"", `respond-async, WAIT="5"; x`, "", "wait=5"},
		{"?wait=20", "wait=1", "", ""}, {"", "wait=900", "", "wait=20"}, {"", "", `{"receive_wait":20}`, ""}, {"?raw&wait=20", "", "", ""},
	} {
		path := h.queue(c.settings)
		got := h.later(func() *answer { return h.do("POST", path+"/receive"+c.query, "", "Prefer", c.header) })
		until(t, "the receive waits", func() bool { return h.api.Waiting() == 1 })
		h.sendText(path, "m")
		a := <-got
		if a.is(200); !strings.Contains(string(a.body), "m") || a.header.Get("Preference-Applied") != c.applied {
			t.Errorf("%+v: got %s, Preference-Applied %q", c, a.body, a.header.Get("Preference-Applied"))
		}
		if n := h.api.Waiting(); n != 0 {
			t.Errorf("%d receives still wait", n)
		}
	}
}

func TestQ75_AReceiveThatFindsNothingIsNoError(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, query := range []string{"", "?wait=1", "?raw=true", "?wait=1&raw=true"} {
		got := h.later(func() *answer { return h.do("POST", path+"/receive"+query, "") })
		until(t, "the wait is over", func() bool {
			h.clock.Advance(time.Second) // the timer starts somewhat later than the request
			return len(got) == 1
		})
		switch a, raw := <-got, strings.Contains(query, "raw"); {
		case !raw && (a.status != 200 || string(a.body) != `{"messages":[]}`):
			t.Errorf("got %d %s, want no messages", a.status, a.body)
		case raw && (a.status != 204 || len(a.body) != 0):
			t.Errorf("raw: got %d %s, want 204", a.status, a.body)
		}
	}
	// So does one of a server that is about to stop.
	got := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "") })
	until(t, "the receive waits", func() bool { return h.api.Waiting() == 1 })
	h.queues.Drain()
	(<-got).is(200)
}

func TestTooManyWaitingReceivesAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.MaxWaitingReceives = 2 }))
	path := h.queue("")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	for range 2 {
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+path+"/receive?wait=20", nil)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+h.key)
				_, err = http.DefaultClient.Do(req)
			}
			done <- err
		}()
	}
	until(t, "two receives wait", func() bool { return h.api.Waiting() == 2 })
	for _, query := range []string{"?wait=20", "", "?wait=1&raw=true"} {
		a := h.do("POST", path+"/receive"+query, "")
		if a.header.Get("Retry-After") != "1" || a.status >= 300 {
			t.Errorf("%s: got %d, Retry-After %q; want an empty answer with 1", query, a.status, a.header.Get("Retry-After"))
		}
	}
	if a := h.do("POST", path+"/receive?wait=0", "").is(200); a.header.Get("Retry-After") != "" {
		t.Error("a receive that does not wait is told to come later")
	}
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("a waiting receive ended with %v", err)
		}
	}
	until(t, "nobody waits", func() bool { return h.api.Waiting() == 0 })
	h.sendText(path, "m")
	if got := h.receive(path, 1); len(got) != 1 || got[0].ReceiveCount != 1 {
		t.Errorf("after the consumers left: got %+v, want the message, received once", got)
	}
}

// gone is a connection that breaks when the answer is written, or a moment later.
type gone struct {
	http.ResponseWriter
	early bool
}

var errBroken = errors.New("connection reset by peer")

func (g gone) Write(b []byte) (int, error) {
	if g.early {
		return 0, errBroken
	}
	return len(b), nil
}

func (g gone) FlushError() error { return errBroken }

func TestQ76_MessagesThatNobodyGotAreBack(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "1")
	h.sendText(path, "2")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		left   bool // before the answer is written
		writer http.ResponseWriter
	}{
		{"the write fails", false, gone{httptest.NewRecorder(), true}},
		{"the flush fails", false, gone{httptest.NewRecorder(), false}},
		{"the client is gone before", true, httptest.NewRecorder()},
	} {
		ctx := t.Context()
		if c.left {
			ctx = ended
		}
		for _, query := range []string{"?max=10", "?raw=true"} {
			req := httptest.NewRequestWithContext(ctx, "POST", path+"/receive"+query, nil)
			req.Header.Set("Authorization", "Bearer "+h.key)
			h.echo.ServeHTTP(c.writer, req)
			if got := h.counts(path); got != [3]int64{2, 0, 0} {
				t.Fatalf("%s, %s: counts are %v, want both messages back", c.name, query, got)
			}
		}
	}
	got := h.receive(path, 10)
	diff(t, "bodies in their old order", []string{"1", "2"}, bodies(got))
	if got[0].ReceiveCount != 1 || got[1].ReceiveCount != 1 {
		t.Errorf("the deliveries that nobody got are counted: %+v", got)
	}
}

func TestQ76_AWaitingClientThatHangsUpTakesNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	h.must(err)
	_, err = fmt.Fprintf(conn, "POST %s/receive?wait=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", path, h.key)
	h.must(err)
	until(t, "the receive waits", func() bool { return h.api.Waiting() == 1 })
	h.must(conn.Close())
	until(t, "nobody waits", func() bool { return h.api.Waiting() == 0 })
	h.sendText(path, "m")
	if got := h.receive(path, 1); len(got) != 1 || got[0].ReceiveCount != 1 {
		t.Errorf("got %+v, want the message, received once", got)
	}
}

func TestAReceiveRefusesAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "m")
	p := h.do("POST", path+"/receive", "", "Idempotency-Key", "k").problem(422, "idempotency_key_not_supported")
	if p.Errors[0].Header != "Idempotency-Key" {
		t.Errorf("got %+v", p)
	}
	h.wantCounts(path, [3]int64{1, 0, 0})
	m := h.receive(path, 1)[0] // where it does no harm it is taken
	h.json("PATCH", m.AckURL, `{"visibility_timeout":60}`, "Idempotency-Key", "k").is(200)
	h.json("POST", path+"/ack", fmt.Sprintf(`{"ack":[%q]}`, m.ReceiptHandle), "Idempotency-Key", "k").is(200)
	h.do("DELETE", m.AckURL, "", "Idempotency-Key", "k").is(204)
	h.do("DELETE", m.AckURL, "", "Idempotency-Key", strings.Repeat("k", 256)).problem(422, "validation_failed")
}

func TestAPipelinedClientIsServed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "m")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	h.must(err)
	defer conn.Close()
	one := fmt.Sprintf("POST %s/receive HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", path, h.key)
	_, err = fmt.Fprint(conn, one, one)
	h.must(err)
	r := bufio.NewReader(conn)
	for i := range 2 {
		res, err := http.ReadResponse(r, nil)
		h.must(err)
		if res.StatusCode != 200 {
			t.Errorf("answer %d: %d", i, res.StatusCode)
		}
		var buf strings.Builder
		h.must(res.Write(&buf))
	}
	h.wantCounts(path, [3]int64{0, 1, 0})
}
