package webhook_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// A listener on this machine that no policy allows is never connected to: not by its address in any spelling, not by a name
// that leads to it, and not by a redirect of an endpoint that is allowed.
func TestG31_WebhooksReachNothingThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	var touched atomic.Int64
	trap := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	trap.Config.ConnState = func(net.Conn, http.ConnState) { touched.Add(1) }
	trap.Start()
	t.Cleanup(trap.Close)
	port := trap.URL[strings.LastIndexByte(trap.URL, ':'):]

	w := newWorldWith(t, engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}, egress.Policy{AllowHTTP: true})
	tp := w.topic(t, "", topics.Settings{})
	cases := []string{"http://127.0.0.1" + port, "http://[::ffff:127.0.0.1]" + port, "http://[::1]" + port, "http://0.0.0.0" + port, "http://2130706433" + port,
		"http://0x7f.1" + port, "http://127.1" + port, "http://localhost" + port, "http://localhost." + port, "http://1２7.0.0.1" + port, "https://127.0.0.1" + port,
		"http://127.0.0.1", "https://[::1]", "https://10.0.0.1", "https://192.168.1.1/", "https://169.254.169.254", "https://100.64.0.1", "https://redis.internal", "https://redis"}
	for _, url := range cases {
		_, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, "x", topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: url}.Encode()}, topics.Condition{})
		if err == nil {
			t.Errorf("%s was taken", url)
		}
	}
	// A URL that was allowed when it was given, and is not any more.
	allowed := &world{clock: w.clock, tenant: w.tenant, opt: w.opt, keys: w.keys, policy: policy}
	allowed.open(t)
	s, _, err := allowed.topics.PutSubscription(t.Context(), w.tenant, tp, "x", topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: trap.URL, Retries: []time.Duration{time.Second}}.Encode()}, topics.Condition{})
	must(t, err)
	allowed.kill()
	w.publish(t, tp, "secret")
	w.forward(t, time.Minute, "it is given up", func() bool { return w.status(t, s.Way).Dead == 1 })
	all, _, err := w.Attempts(t.Context(), s.Way, 0, 10, nil)
	must(t, err)
	for _, a := range all {
		if a.Code != "endpoint_not_allowed" && a.Code != "request_invalid" || strings.Contains(a.Error, "127") {
			t.Errorf("the log says %+v", a)
		}
	}
	if n := touched.Load(); n != 0 {
		t.Errorf("the trap was touched %d times", n)
	}
	t.Logf("%d cases, the trap was touched %d times", len(cases)+1, touched.Load())
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		target := newReceiver(t, nil)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
			rw.Header().Set("Location", target.URL)
			rw.WriteHeader(http.StatusFound)
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{}})
		w.publish(t, tp, "x")
		w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Dead == 1 })
		all, _, err := w.Attempts(t.Context(), way, 0, 10, nil)
		must(t, err)
		if target.count() != 0 || all[0].Code != "redirect_refused" || all[0].Status != http.StatusFound {
			t.Errorf("%d requests to the target, %+v", target.count(), all[0])
		}
	})
}
