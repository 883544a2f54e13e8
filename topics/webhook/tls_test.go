package webhook_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress/egresstest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// certified returns settings with a certificate of an authority, valid on the clock of tests and on that of the machine.
func certified(tb testing.TB, ca *egresstest.Authority, url, name string) webhook.Endpoint {
	tb.Helper()
	certificate, key := ca.IssueFor(tb, name, start.Add(-time.Hour), time.Now().Add(time.Hour))
	return webhook.Endpoint{URL: url, TLS: &webhook.TLS{Certificate: certificate, Key: webhook.Hidden{Plain: key}, CA: ca.PEM}}
}

func TestAWebhookShowsItsCertificate(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		ca := egresstest.NewAuthority(t)
		var mu sync.Mutex
		var came []string                  // path and whose certificate it was
		connections := map[string]string{} // to whose they are
		fails := false
		s := ca.Serve(t, nil, tls.RequireAndVerifyClientCert, func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			name := r.TLS.PeerCertificates[0].Subject.CommonName
			came = append(came, r.URL.Path+" "+name)
			if before, ok := connections[r.RemoteAddr]; ok && before != r.URL.Path {
				t.Errorf("%s came by a connection of %s", r.URL.Path, before)
			}
			connections[r.RemoteAddr] = r.URL.Path
			if fails {
				rw.WriteHeader(http.StatusInternalServerError)
			}
		})
		got := func() string {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(came)
		}
		tp := w.topic(t, "", topics.Settings{})
		e := certified(t, ca, s.URL+"/one", "first")
		key := e.TLS.Key.Plain
		way := w.hook(t, tp, "a", e)
		w.publish(t, tp, "one")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		if all := w.hashes(t); strings.Contains(all, "PRIVATE KEY") || strings.Contains(all, strings.Split(key, "\n")[1]) {
			t.Error("the key lies in Redis")
		}
		// Another tenant at the same endpoint has a certificate, and connections, of its own; also where it has the same certificate.
		other := *w
		other.tenant = w.newTenant(t)
		theirs := other.topic(t, "", topics.Settings{})
		mine := other.hook(t, theirs, "a", certified(t, ca, s.URL+"/other", "theirs"))
		e.URL = s.URL + "/copy"
		copied := other.hook(t, theirs, "b", e)
		other.publish(t, theirs, "two")
		for _, way := range []topics.Way{mine, copied} {
			other.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		}
		for _, want := range []string{"/one first", "/other theirs", "/copy first"} {
			if !strings.Contains(got(), want) {
				t.Errorf("what came: %s, want %s", got(), want)
			}
		}
		// One without a certificate is refused, and it is said why.
		none := w.hook(t, tp, "none", webhook.Endpoint{URL: s.URL, TLS: &webhook.TLS{CA: ca.PEM}})
		a, err := w.Test(t.Context(), none)
		if must(t, err); a.Code != "tls_failed" {
			t.Errorf("without a certificate: %+v", a)
		}
		stranger := w.hook(t, tp, "stranger", webhook.Endpoint{URL: s.URL})
		if a, err = w.Test(t.Context(), stranger); err != nil || a.Code != "tls_failed" || !strings.Contains(a.Error, "not trusted") {
			t.Errorf("without the authority: %+v, %v", a, err)
		}
		// A server that is started again shows the one of now.
		mu.Lock()
		fails = true
		mu.Unlock()
		w.publish(t, tp, "three")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 2 && s.Sending == 0 })
		second := w.another(t)
		renewed := certified(t, ca, s.URL+"/renewed", "second").TLS
		second.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL, e.TLS = s.URL+"/renewed", renewed })
		w.kill()
		mu.Lock()
		fails = false
		mu.Unlock()
		second.forward(t, 3*time.Minute, "it is delivered", func() bool { return second.status(t, way).Delivered == 2 })
		if !strings.HasSuffix(got(), "/renewed second]") {
			t.Errorf("what came: %s", got())
		}
	})
}

func TestCertificatesOfWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	ca := egresstest.NewAuthority(t)
	tp := w.topic(t, "", topics.Settings{})
	const url = "https://example.com/"
	good := certified(t, ca, url, "a")
	w.hook(t, tp, "a", good)
	kept := good
	kept.TLS = &webhook.TLS{Certificate: good.TLS.Certificate, Key: webhook.Hidden{Plain: webhook.Masked}, CA: ca.PEM}
	w.hook(t, tp, "a", kept)
	w.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL = "https://elsewhere.example.com/" })
	_, otherKey := ca.Issue(t, "b")
	old, oldKey := ca.IssueFor(t, "old", start.Add(-2*time.Hour), start.Add(-time.Hour))
	early, earlyKey := ca.IssueFor(t, "early", start.Add(time.Hour), start.Add(2*time.Hour))
	for name, c := range map[string]struct {
		url  string
		tls  webhook.TLS
		want string
	}{
		"http":        {"http://127.0.0.1:1/", *good.TLS, "with https://"},
		"empty":       {url, webhook.TLS{}, "neither"},
		"no key":      {url, webhook.TLS{Certificate: old}, "belong together"},
		"kept none":   {url, webhook.TLS{Certificate: old, Key: webhook.Hidden{Plain: webhook.Masked}}, "there is none"},
		"another key": {url, webhook.TLS{Certificate: old, Key: webhook.Hidden{Plain: otherKey}}, "belongs to another certificate"},
		"ended":       {url, webhook.TLS{Certificate: old, Key: webhook.Hidden{Plain: oldKey}}, "ended at"},
		"not yet":     {url, webhook.TLS{Certificate: early, Key: webhook.Hidden{Plain: earlyKey}}, "not valid before"},
		"large":       {url, webhook.TLS{CA: strings.Repeat(" ", 8193)}, "at most"},
		"no PEM":      {url, webhook.TLS{CA: "authority"}, "must be PEM"},
	} {
		_, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, "x", topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: c.url, TLS: &c.tls}.Encode()}, topics.Condition{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// One that has ended since keeps nobody from changing the rest.
	w.clock.Set(time.Now().Add(2 * time.Hour))
	w.change(t, tp, "a", func(e *webhook.Endpoint) { e.Timeout = time.Second })
}
