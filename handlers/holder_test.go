package handlers_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestWhoHoldsAMessageOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, body := range []string{"a", "b", "c", "d", "e"} {
		h.sendText(path, body)
	}
	h.clock.Advance(time.Second)
	h.do("POST", path+"/receive?consumer="+url.QueryEscape("worker 7, <b>\"x\""), "").is(200)
	h.do("POST", path+"/receive", "").is(200)
	stream := h.stream("POST", path+"/consume?max_in_flight=1&consumer=stream")
	stream.next()
	s := h.dial(path + "/ws?consumer=socket")
	s.say(`{"op":"credit","n":1}`)
	s.next("message")
	held := map[string]string{}
	var p handlers.MessagePage
	h.do("GET", path+"/messages", "").is(200).into(&p)
	for _, m := range p.Data {
		by := "nobody"
		if m.HeldBy != nil {
			by = *m.HeldBy
		}
		if m.HeldSince != nil {
			by += m.HeldSince.Sub(start).String()
		}
		held[m.Body] = by
	}
	diff(t, "held", map[string]string{"a": "worker 7, <b>\"x\"1s", "b": "nobody1s", "c": "stream1s", "d": "socket1s", "e": "nobody"}, held)
	for _, bad := range []string{"consumer=", "consumer=" + strings.Repeat("w", 129), "consumer=%0a", "consumer=w&ack=auto", "consumer=a&consumer=b"} {
		for _, to := range []string{"/receive", "/consume", "/ws"} {
			if strings.Contains(bad, "ack") && to != "/receive" {
				continue
			}
			method, headers := "POST", []string(nil)
			if to == "/ws" {
				method, headers = "GET", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="}
			}
			if p := h.do(method, path+to+"?"+bad, "", headers...).problem(422, "validation_failed"); p.Errors[0].Query != "consumer" {
				t.Errorf("%s?%s: %+v", to, bad, p.Errors)
			}
		}
	}
	h.wantCounts(path, [3]int64{1, 4, 0})
}
