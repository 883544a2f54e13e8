package webhook_test

import (
	"net"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// A proxy that does not work costs no message an attempt; one that refuses an endpoint does, and the log says so.
func TestWhatAProxyDoesToMessages(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	p := egresstest.NewProxy(t, l)
	w := &world{proxy: egress.Proxy{Host: p.Addr, Username: "me", Password: "s3cret"}}
	w.start(t, engine.Options{URL: redistest.Memory(t), Memory: true}, policy)
	tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
	p.Answer(func(string) string { return "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n" })
	w.publish(t, tp, "one")
	logged := func(code string) webhook.Attempt {
		t.Helper()
		var last webhook.Attempt
		until(t, code, func() bool {
			all, _, err := w.Attempts(t.Context(), way, 0, 1, nil)
			must(t, err)
			if len(all) > 0 {
				last = all[0]
			}
			return last.Code == code
		})
		return last
	}
	logged("proxy_failed")
	if s := w.status(t, way); s.Attempts != 0 || s.Failures != 0 || s.Gate != webhook.Throttled || s.Pending != 1 {
		t.Errorf("while it does not work: %+v", s)
	}
	p.Answer(nil)
	w.forward(t, 2*time.Minute, "it is delivered", func() bool { return w.status(t, way).Delivered == 1 })
	p.Answer(func(string) string { return "HTTP/1.1 403 Forbidden\r\n\r\n" })
	rc.CloseClientConnections() // the next request needs another one
	w.publish(t, tp, "two")
	a := logged("proxy_refused")
	if s := w.status(t, way); s.Failures != 1 || a.Outcome != webhook.Retrying || a.Error == "" || len(p.Asked()) != 3 {
		t.Errorf("%d questions, %+v; %+v", len(p.Asked()), a, s)
	}
	w.forward(t, time.Minute, "it failed", func() bool { return w.status(t, way).Dead == 1 })
	if rc.count() != 1 {
		t.Errorf("%d requests came", rc.count())
	}
}
