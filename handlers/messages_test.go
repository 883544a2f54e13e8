package handlers_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

const (
	jsonText = `{"order":12345678901234567890,"name":"é <b>&\u2028"}`
	trace    = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

func TestWhatIsSentIsWhatComesOut(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	const form, text = "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
	for _, c := range []struct{ name, body, given, kept string }{
		{"json", jsonText, "application/json", "application/json"},
		{"json of curl -d", jsonText, form, "application/json"},
		{"json of nobody", ` [1, 2] `, "", "application/json"},
		{"a number", "-12.5e3", form, "application/json"},
		{"nearly json", `{"a":1} x`, form, text},
		{"json with a wrong letter", "\"\xff\"", form, "application/octet-stream"},
		{"text of curl -d", "hello=1&x", form + "; charset=UTF-8", text},
		{"text with line ends", "a\r\nb\n\x00\x01\u2028", "", text},
		{"every byte", string(every), "", "application/octet-stream"},
		{"every byte as image", string(every), "image/png", "image/png"},
		{"a page", "<script>alert(1)</script>", "text/html", "text/html"},
		{"an odd type", "x", "foo", "foo"},
		{"one space", " ", "", text},
		{"a truncated character", "a\xc3", "", "application/octet-stream"},
		{"64 KiB", strings.Repeat("0123456789abcdef", 4096), "text/plain", "text/plain"},
		{"the largest", strings.Repeat("x", 1<<20), "text/plain", "text/plain"},
	} {
		path := h.queue("")
		a := h.do("POST", path+"/messages", c.body, "Content-Type", c.given).is(201)
		var sent handlers.SentMessage
		a.into(&sent)
		diff(t, c.name+": the answer", handlers.SentMessage{ID: sent.ID, Size: len(c.body), MD5OfBody: md5Of(c.body), AvailableAt: *instant(0)}, sent)
		where := path + "/messages/" + sent.ID
		if a.header.Get("Location") != where || a.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: headers %v, want the Location %s", c.name, a.header, where)
		}
		body, encoding := c.body, "utf8"
		want := handlers.MessageContent{ContentType: c.kept, Size: len(c.body),
			Attributes: map[string]handlers.MessageAttribute{}, SentAt: *instant(0)}
		if c.kept == "application/octet-stream" || c.kept == "image/png" {
			body, encoding = base64.StdEncoding.EncodeToString([]byte(c.body)), "base64"
		}
		var m handlers.Message
		h.do("GET", where, "").is(200).into(&m)
		diff(t, c.name+": a look", handlers.Message{ID: sent.ID, State: "available", Body: body, BodyEncoding: encoding, MessageContent: want}, m)

		raw := h.do("GET", where+"/body", "").is(200)
		inert(t, c.name, raw)
		if string(raw.body) != c.body || raw.header.Get("Content-Type") != c.kept ||
			raw.header.Get("Content-Disposition") != `attachment; filename="`+sent.ID+`"` {
			t.Errorf("%s: the body is not what was sent, or its headers are not: %v", c.name, raw.header)
		}

		got := h.receive(path, 1)[0]
		want.ReceiveCount, want.FirstReceivedAt = 1, instant(0)
		diff(t, c.name+": received", handlers.ReceivedMessage{ID: sent.ID, ReceiptHandle: got.ReceiptHandle,
			AckURL: path + "/receipts/" + got.ReceiptHandle, Body: body, BodyEncoding: encoding, MessageContent: want, LeaseExpiresAt: *instant(30 * time.Second)}, got)

		h.json("PATCH", got.AckURL, `{"visibility_timeout":0}`).is(200)
		lent := h.do("POST", path+"/receive?raw=true", "").is(200)
		inert(t, c.name, lent)
		if string(lent.body) != c.body || lent.header.Get("Content-Type") != c.kept {
			t.Errorf("%s: the raw body is not what was sent, or has type %q", c.name, lent.header.Get("Content-Type"))
		}
		h.do("DELETE", lent.header.Get("Location"), "").is(204)
		h.wantCounts(path, [3]int64{})
	}
}

// inert fails the test unless no browser would show or run an answer.
func inert(t *testing.T, name string, a *answer) {
	t.Helper()
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: a browser could run it: %v", name, a.header)
	}
}

func TestHeadersBecomeAttributes(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	sent := handlers.SentMessage{}
	h.do("POST", path+"/messages", "m", "Message-Delay", "5m", "Message-Attr-Type", "order.created", "Message-Attr-X-Y", "é",
		"Message-Attributes", `{"OrderId":{"type":"Number","value":"7"},"raw":{"type":"Binary.gif","value":"AP8="},"t":{"type":"String","value":"a\"\u00e9\n"}}`,
		"Traceparent", trace).is(201).into(&sent)
	if !sent.AvailableAt.Equal(start.Add(5 * time.Minute)) {
		t.Errorf("available at %s, want in 5 minutes", sent.AvailableAt)
	}
	h.clock.Advance(5 * time.Minute)
	m := h.receive(path, 1)[0]
	want := map[string]handlers.MessageAttribute{
		"type": {Type: "String", Value: "order.created"}, "x-y": {Type: "String", Value: "é"}, "OrderId": {Type: "Number", Value: "7"},
		"raw": {Type: "Binary.gif", Value: "AP8="}, "t": {Type: "String", Value: "a\"é\n"},
	}
	diff(t, "attributes", want, m.Attributes)
	if m.Traceparent != trace {
		t.Errorf("traceparent: got %q, want %q", m.Traceparent, trace)
	}
	h.json("PATCH", m.AckURL, `{"delay":0}`).is(200)
	a := h.do("POST", path+"/receive?raw=true", "").is(200)
	const header = `{"OrderId":{"type":"Number","value":"7"},"raw":{"type":"Binary.gif","value":"AP8="},"t":{"type":"String","value":"a\"\u00e9\u000a"},` +
		`"type":{"type":"String","value":"order.created"},"x-y":{"type":"String","value":"\u00e9"}}`
	if got := a.header.Get("Message-Attributes"); got != header {
		t.Errorf("Message-Attributes: got %s, want %s", got, header)
	}
	for name, want := range map[string]string{
		"Message-Id": m.ID, "Message-Receive-Count": "2", "Lease-Expires-At": "2026-03-01T12:05:30.000Z",
		"Message-Sent-At": "2026-03-01T12:00:00.000Z", "Traceparent": trace,
		"Location": path + "/receipts/" + a.header.Get("Receipt-Handle"),
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	// What goes in as headers may come out as headers and go in again.
	h.do("POST", path+"/messages", "m", "Message-Attributes", header).is(201)
	diff(t, "attributes after a round", want, h.receive(path, 1)[0].Attributes)

	long := strings.Repeat("x", 7000)
	h.do("POST", path+"/messages", "m", "Message-Attr-A", long, "Message-Attr-B", long).is(201)
	a = h.do("POST", path+"/receive?raw=true", "").is(200)
	if a.header.Get("Message-Attributes") != "" || a.header.Get("Message-Attributes-Omitted") == "" {
		t.Errorf("long attributes: got headers %v", a.header)
	}
	for _, bad := range []string{"x", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", strings.ToUpper(trace)} {
		h.do("POST", path+"/messages", "m", "Traceparent", bad).is(201)
		if got := h.receive(path, 1)[0].Traceparent; got != "" {
			t.Errorf("a traceparent that is none: got %q", got)
		}
	}
}

func TestTheSameKeyStoresOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	send := func(body string, headers ...string) *answer {
		return h.do("POST", path+"/messages", body, append([]string{"Idempotency-Key", "k"}, headers...)...)
	}
	headers := []string{"Message-Attr-A", "1", "Message-Attr-B", "2", "Message-Attr-C", "3", "Message-Attr-D", "4"}
	var first, again handlers.SentMessage
	if a := send("m", headers...).is(201); a.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first send counts as a replay")
	} else {
		a.into(&first)
	}
	for range 5 { // the order in which headers are looked at differs each time
		a := send("m", headers...).is(201)
		a.into(&again)
		if a.header.Get("Idempotent-Replayed") != "true" {
			t.Error("a replay does not say so")
		}
		diff(t, "answer to the same send", first, again)
	}
	send("other", headers...).problem(422, "idempotency_key_reused")
	send("m").problem(422, "idempotency_key_reused")
	h.wantCounts(path, [3]int64{1, 0, 0})
	h.clock.Advance(5*time.Minute + time.Second)
	send("other").is(201)
	h.wantCounts(path, [3]int64{2, 0, 0})
}

func TestPeekTakesNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 6 {
		h.sendText(path, fmt.Sprint("a", i))
	}
	h.do("POST", path+"/messages", "later", "Message-Delay", "60").is(201)
	h.receive(path, 2)
	peek := func(query string) (out []string) {
		t.Helper()
		for next := ""; ; {
			target := path + "/messages?" + query
			if next != "" {
				target += "&cursor=" + next
			}
			a := h.do("GET", target, "").is(200)
			var p handlers.MessagePage
			a.into(&p)
			if want := (handlers.Scanned{Messages: len(p.Data), Complete: p.NextCursor == nil}); p.Scanned != want {
				t.Errorf("%s: scanned %+v, want %+v", query, p.Scanned, want)
			}
			for _, m := range p.Data {
				line := m.Body + " " + m.State
				if m.LeaseExpiresAt != nil {
					line += " until " + m.LeaseExpiresAt.Format("05")
				}
				if m.AvailableAt != nil {
					line += " from " + m.AvailableAt.Format("04:05")
				}
				out = append(out, line)
			}
			if p.NextCursor == nil {
				if a.header.Get("Link") != "" {
					t.Errorf("the last page has the Link %q", a.header.Get("Link"))
				}
				return out
			}
			if next = *p.NextCursor; !strings.Contains(a.header.Get("Link"), next) {
				t.Errorf("Link %q without the cursor %s", a.header.Get("Link"), next)
			}
		}
	}
	free := []string{"a2 available", "a3 available", "a4 available", "a5 available"}
	held := []string{"a0 in_flight until 30", "a1 in_flight until 30"}
	late := []string{"later delayed from 01:00"}
	for range 2 {
		diff(t, "available", free, peek("state=available&limit=3"))
		diff(t, "in flight", held, peek("state=in_flight&limit=1"))
		diff(t, "delayed", late, peek("state=delayed"))
		diff(t, "all", append(append(append([]string{}, free...), held...), late...), peek("limit=2"))
	}
	h.wantCounts(path, [3]int64{4, 2, 1})

	var p handlers.MessagePage
	h.do("GET", path+"/messages?state=available&limit=1", "").is(200).into(&p)
	for _, bad := range []string{"state=all&cursor=" + *p.NextCursor, "state=available&cursor=AAAA", "cursor=" + strings.Repeat("A", 4000)} {
		if f := h.do("GET", path+"/messages?"+bad, "").problem(422, "validation_failed").Errors[0]; f.Query != "cursor" {
			t.Errorf("%s: got %+v, want a fault of cursor", bad, f)
		}
	}
}

func TestAMessageIsDeletedWhoeverHoldsIt(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	first, second := h.sendText(path, "1"), h.sendText(path, "2")
	held := h.receive(path, 1)[0]
	for _, id := range []string{first.ID, second.ID} {
		h.do("DELETE", path+"/messages/"+id, "").is(204)
		h.do("DELETE", path+"/messages/"+id, "").problem(404, "message_not_found")
		h.do("GET", path+"/messages/"+id, "").problem(404, "message_not_found")
		h.do("GET", path+"/messages/"+id+"/body", "").problem(404, "message_not_found")
	}
	h.do("DELETE", held.AckURL, "").is(204)
	h.wantCounts(path, [3]int64{})
	// Ids that nobody was given, and what only looks like one.
	for _, id := range []string{"x", "msg_", "msg_" + strings.Repeat("0", 20), "msg_" + strings.Repeat("z", 20), first.ID[4:], strings.ToUpper(first.ID),
		held.ReceiptHandle, "%00", "a%2Fb", "msg_%FF" + first.ID[6:], strings.Repeat("m", 3000)} {
		h.do("GET", path+"/messages/"+id, "").problem(404, "message_not_found")
		h.do("DELETE", path+"/messages/"+id, "").problem(404, "message_not_found")
	}
}

func TestBasePathIsPartOfAddresses(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, withAPI(func(a *handlers.API) { a.BasePath, a.Region = "/mq", "eu-1" }))
	a := h.do("PUT", "/v1/queues/q", "").is(201)
	var q handlers.Queue
	a.into(&q)
	if a.header.Get("Location") != "/mq/v1/queues/q" || !strings.HasPrefix(q.ARN, "arn:aws:sqs:eu-1:") {
		t.Errorf("Location %q, ARN %q", a.header.Get("Location"), q.ARN)
	}
	if got := h.do("POST", "/v1/queues/q/messages", "m").is(201).header.Get("Location"); !strings.HasPrefix(got, "/mq/v1/queues/q/messages/msg_") {
		t.Errorf("Location of a message: %q", got)
	}
	if got := h.receive("/v1/queues/q", 1)[0].AckURL; !strings.HasPrefix(got, "/mq/v1/queues/q/receipts/rh_") {
		t.Errorf("ack_url: %q", got)
	}
}

func TestRequestIDsAreTheServersOwn(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	seen := map[string]bool{}
	for _, sent := range []string{"mine", strings.Repeat("x", 300)} {
		a := h.do("GET", "/v1/whoami", "", "Request-Id", sent).is(http.StatusOK)
		id := a.header.Get("Request-Id")
		if seen[id] || id == sent {
			t.Errorf("Request-Id %q for %q", id, sent)
		}
		seen[id] = true
	}
}

func TestADelayedMessageIsDeliveredNowOrAtAnotherTime(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	var sent handlers.SentMessage
	h.do("POST", path+"/messages?delay=3600", "hello").is(201).into(&sent)
	one := path + "/messages/" + sent.ID
	change := func(body string, state string, at time.Time) {
		t.Helper()
		var got handlers.ChangedMessage
		h.json("PATCH", one, body).is(200).into(&got)
		diff(t, body, handlers.ChangedMessage{ID: sent.ID, State: state, AvailableAt: &handlers.Instant{Time: at}}, got)
	}
	change(`{"delay":"5m"}`, "delayed", start.Add(5*time.Minute))
	change(`{"delay":60}`, "delayed", start.Add(time.Minute))
	change(`{"available_at":"2026-03-01T13:30:00+01:00"}`, "delayed", start.Add(30*time.Minute))
	for body, want := range map[string]string{
		``: "", `{}`: "", `{"available_at":"now","delay":1}`: "", `{"delay":1,"visibility_timeout":1}`: "", `{"delay":-1}`: "/delay", `{"delay":"4d"}`: "/delay", `{"delay":null}`: "/delay",
		`{"available_at":"soon"}`: "/available_at", `{"available_at":7}`: "/available_at", `{"available_at":"2026-03-05T12:00:00Z"}`: "/available_at",
	} {
		p := h.json("PATCH", one, body).problem(422, "validation_failed")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != want {
			t.Errorf("%s: got %+v, want a fault at %q", body, p.Errors, want)
		}
	}
	h.json("PATCH", one, `{"body":"x"}`).problem(422, "unknown_field")
	h.json("PATCH", one+"?delay=1", `{"delay":1}`).problem(422, "validation_failed")
	h.json("PATCH", path+"/messages/msg_x", `{"delay":1}`).problem(404, "message_not_found")
	h.json("PATCH", "/v1/queues/nowhere/messages/"+sent.ID, `{"delay":1}`).problem(404, "queue_not_found")
	h.json("PATCH", h.queue("")+"/messages/"+sent.ID, `{"delay":1}`).problem(404, "message_not_found")
	stranger := h.newKey(h.newTenant().ID)
	h.json("PATCH", one, `{"delay":1}`, "Authorization", "Bearer "+stranger).problem(404, "queue_not_found")
	h.wantCounts(path, [3]int64{0, 0, 1})

	change(`{"available_at":"now"}`, "available", start)
	if p := h.json("PATCH", one, `{"available_at":"now"}`).problem(409, "message_not_delayed"); p.Fix == "" {
		t.Errorf("problem: %+v", p)
	}
	if got := h.receive(path, 1); len(got) != 1 || got[0].ID != sent.ID {
		t.Errorf("received %+v", got)
	}
	if p := h.json("PATCH", one, `{"delay":1}`).problem(409, "message_in_flight"); p.Fix == "" {
		t.Errorf("problem: %+v", p)
	}
	h.do("DELETE", one, "").is(204)
	h.json("PATCH", one, `{"delay":1}`).problem(404, "message_not_found")
}

func TestALeaseIsChangedByTheIdOfItsMessage(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	var sent handlers.SentMessage
	h.do("POST", path+"/messages", "hello").is(201).into(&sent)
	one := path + "/messages/" + sent.ID
	if p := h.json("PATCH", one, `{"visibility_timeout":60}`).problem(409, "message_not_in_flight"); p.Fix == "" {
		t.Errorf("problem: %+v", p)
	}
	held := h.receive(path, 1)[0]
	change := func(body string, want handlers.ChangedMessage) {
		t.Helper()
		var got handlers.ChangedMessage
		h.json("PATCH", one, body).is(200).into(&got)
		want.ID = sent.ID
		diff(t, body, want, got)
	}
	change(`{"visibility_timeout":600}`, handlers.ChangedMessage{State: "in_flight", LeaseExpiresAt: instant(10 * time.Minute)})
	change(`{"visibility_timeout":"5m"}`, handlers.ChangedMessage{State: "in_flight", LeaseExpiresAt: instant(5 * time.Minute)})
	for _, body := range []string{`{"visibility_timeout":-1}`, `{"visibility_timeout":43201}`, `{"visibility_timeout":"13h"}`, `{"visibility_timeout":null}`, `{"visibility_timeout":true}`} {
		if p := h.json("PATCH", one, body).problem(422, "validation_failed"); len(p.Errors) != 1 || p.Errors[0].Pointer != "/visibility_timeout" {
			t.Errorf("%s: got %+v", body, p.Errors)
		}
	}
	h.json("PATCH", path+"/messages/msg_x", `{"visibility_timeout":0}`).problem(404, "message_not_found")
	h.json("PATCH", h.queue("")+"/messages/"+sent.ID, `{"visibility_timeout":0}`).problem(404, "message_not_found")
	stranger := h.newKey(h.newTenant().ID)
	h.json("PATCH", one, `{"visibility_timeout":0}`, "Authorization", "Bearer "+stranger).problem(404, "queue_not_found")
	for _, scope := range []string{"messages:change", "operator"} {
		h.json("PATCH", one, `{"visibility_timeout":"5m"}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{scope}})...).is(200)
	}
	for _, scope := range []string{"messages:consume", "messages:delete", "viewer"} {
		h.json("PATCH", one, `{"visibility_timeout":"5m"}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{scope}})...).problem(403, "permission_denied")
	}
	h.wantCounts(path, [3]int64{0, 1, 0})

	change(`{"visibility_timeout":0}`, handlers.ChangedMessage{State: "available", AvailableAt: instant(0)})
	h.json("PATCH", held.AckURL, `{"visibility_timeout":60}`).problem(410, "receipt_handle_expired")
	if got := h.receive(path, 1); len(got) != 1 || got[0].ID != sent.ID || got[0].ReceiveCount != 2 {
		t.Errorf("received %+v", got)
	}
	h.do("DELETE", held.AckURL, "").problem(410, "receipt_handle_expired")
	h.do("DELETE", one, "").is(204)
	h.json("PATCH", one, `{"visibility_timeout":0}`).problem(404, "message_not_found")
	// Its own end came while it was held.
	h.do("POST", path+"/messages", "brief", "Message-TTL", "60").is(201).into(&sent)
	one = path + "/messages/" + sent.ID
	h.do("POST", path+"/receive?visibility_timeout=600", "").is(200)
	h.clock.Advance(time.Minute)
	change(`{"visibility_timeout":0}`, handlers.ChangedMessage{State: "expired"})
}
