package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// endpointWith returns the settings of an endpoint with a header and a credential.
func endpointWith(url, key string, auth *webhook.Auth) webhook.Endpoint {
	e := webhook.Endpoint{URL: url, Auth: auth}
	e.SetHeader("x-api-key", webhook.Hidden{Plain: key})
	return e
}

// hashes returns all that lies in hashes of Redis, where settings are.
func (w *world) hashes(tb testing.TB) string {
	tb.Helper()
	keys, err := w.engine.Single().Keys(tb.Context(), "*").Result()
	must(tb, err)
	all := ""
	for _, key := range keys {
		if h, err := w.engine.Single().HGetAll(tb.Context(), key).Result(); err == nil {
			all += fmt.Sprintln(key, h)
		}
	}
	return all
}

func TestHeadersAndCredentialsGoWithEachRequest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) { // it repeats what it got
			rw.Header().Set("X-Seen", r.header.Get("X-Api-Key")+" "+r.header.Get("Authorization"))
			rw.Header().Set("X-Long", strings.Repeat("x", 4096))
			http.SetCookie(rw, &http.Cookie{Name: "session", Value: "the-cookie"})
			fmt.Fprint(rw, r.header.Get("X-Api-Key"), " ", r.header.Get("Authorization"), " ", strings.Repeat("-", 990), "the-first-key")
		})
		basic := &webhook.Auth{Type: webhook.Basic, Username: "sluice", Secret: webhook.Hidden{Plain: "pass word:ü"}}
		way := w.hook(t, tp, "a", endpointWith(rc.URL, "the-first-key", basic))
		w.publish(t, tp, "one")
		rc.comes(t, 1)
		got := rc.got()[0]
		user, password, ok := (&http.Request{Header: got.header}).BasicAuth()
		if got.header.Get("X-Api-Key") != "the-first-key" || !ok || user != "sluice" || password != "pass word:ü" || got.header.Get("Webhook-Signature") == "" {
			t.Fatalf("the headers: %v", got.header)
		}
		w.reaches(t, way, "it is noted", func(s webhook.Status) bool { return s.Delivered == 1 })
		test, err := w.Test(t.Context(), way)
		must(t, err)
		log, _, err := w.Attempts(t.Context(), way, 0, 10, nil)
		must(t, err)
		for _, a := range append(log, test) {
			if !strings.HasPrefix(a.Response, "*** Basic *** ---") || strings.Contains(a.Response, "the-") {
				t.Errorf("the log has %q", a.Response)
			}
			if s := a.Sent; s["X-Api-Key"] != webhook.Masked || s["Authorization"] != webhook.Masked || !strings.HasPrefix(s["Webhook-Signature"], "v1,") || s["Webhook-Id"] != a.MessageID {
				t.Errorf("the log has these headers of the request: %v", s)
			}
			if p := a.Answered; p["X-Seen"] != "*** Basic ***" || p["Set-Cookie"] != webhook.Masked || p["X-Long"] != "" || p["Content-Length"] == "" {
				t.Errorf("the log has these headers of the answer: %v", p)
			}
		}
		if all := w.hashes(t); strings.Contains(all, "the-cookie") || strings.Contains(all, "the-first-key") || strings.Contains(all, "pass word") || !strings.Contains(all, rc.URL) {
			t.Errorf("what is hidden lies in Redis:\n%s", all)
		}

		// Another server gives it another credential, and sends what waits with it when the first one has died.
		rc.set(answering(500))
		w.publish(t, tp, "two")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 2 && s.Sending == 0 })
		other := w.another(t)
		other.change(t, tp, "a", func(e *webhook.Endpoint) {
			e.Auth = &webhook.Auth{Type: webhook.Bearer, Secret: webhook.Hidden{Plain: "t0ken.abc"}}
			e.SetHeader("X-API-KEY", webhook.Hidden{Plain: webhook.Masked})
		})
		w.kill()
		rc.set(nil)
		other.forward(t, 3*time.Minute, "the other one sends", func() bool { return rc.count() == 4 })
		if got = rc.got()[3]; got.body != "two" || got.header.Get("Authorization") != "Bearer t0ken.abc" || got.header.Get("X-Api-Key") != "the-first-key" {
			t.Errorf("after the change: %+v", got)
		}
	})
}

// change changes the settings of an endpoint.
func (w *world) change(tb testing.TB, topic, name string, f func(*webhook.Endpoint)) {
	tb.Helper()
	must(tb, w.tryChange(tb, topic, name, f))
}

func (w *world) tryChange(tb testing.TB, topic, name string, f func(*webhook.Endpoint)) error {
	tb.Helper()
	_, err := w.topics.UpdateSubscription(tb.Context(), w.tenant, topic, name, topics.Condition{}, func(set topics.SubscriptionSettings) topics.SubscriptionSettings {
		e, err := webhook.ParseEndpoint(set.Endpoint)
		must(tb, err)
		f(&e)
		set.Endpoint = e.Encode()
		return set
	})
	return err
}

// What is hidden stays where it was given for: to have it sent elsewhere one has to know it.
func TestWhatIsHiddenGoesToNoOtherHost(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		bearer := func(token string) *webhook.Auth {
			return &webhook.Auth{Type: webhook.Bearer, Secret: webhook.Hidden{Plain: token}}
		}
		first := endpointWith("https://a.example.com/one", "the-first-key", bearer("token-one"))
		w.hook(t, tp, "a", first)
		tag := func() string {
			s, err := w.topics.GetSubscription(t.Context(), w.tenant, tp, "a")
			must(t, err)
			return s.ETag
		}
		etag := tag()
		w.hook(t, tp, "a", first)
		w.hook(t, tp, "a", endpointWith("https://a.example.com/one", webhook.Masked, bearer(webhook.Masked)))
		if tag() != etag {
			t.Error("the same settings are a change")
		}
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL = "https://a.example.com/two" })
		etag = tag()
		for what, f := range map[string]func(*webhook.Endpoint){
			"host":   func(e *webhook.Endpoint) { e.URL = "https://evil.example.com/two" },
			"scheme": func(e *webhook.Endpoint) { e.URL = "http://a.example.com/two" },
			"header": func(e *webhook.Endpoint) { e.URL = "https://b.example.com/"; e.Auth = nil },
			"auth":   func(e *webhook.Endpoint) { e.URL = "https://b.example.com/"; e.Headers = nil },
			"masked": func(e *webhook.Endpoint) { *e = endpointWith("https://b.example.com/", webhook.Masked, nil) },
		} {
			err := w.tryChange(t, tp, "a", f)
			if e, ok := errors.AsType[*errs.Error](err); !ok || e.Code != "secrets_needed" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if tag() != etag {
			t.Error("what was refused has changed something")
		}
		w.change(t, tp, "a", func(e *webhook.Endpoint) {
			*e = endpointWith("https://b.example.com/", "the-first-key", bearer("token-one"))
		})
		w.change(t, tp, "a", func(e *webhook.Endpoint) { *e = webhook.Endpoint{URL: "https://c.example.com/"} })
	})
}

func TestCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	tp := w.topic(t, "", topics.Settings{})
	header := func(name, value string) webhook.Endpoint {
		var e webhook.Endpoint
		e.SetHeader(name, webhook.Hidden{Plain: value})
		return e
	}
	many := webhook.Endpoint{}
	for i := range 20 {
		many.SetHeader(fmt.Sprint("X-", i), webhook.Hidden{Plain: strings.Repeat("v", 300)})
	}
	tooMany := many
	tooMany.SetHeader("X-20", webhook.Hidden{})
	auth := func(kind webhook.AuthType, user, secret string) webhook.Endpoint {
		return webhook.Endpoint{Auth: &webhook.Auth{Type: kind, Username: user, Secret: webhook.Hidden{Plain: secret}}}
	}
	both := auth(webhook.Bearer, "", "abc")
	both.SetHeader("authorization", webhook.Hidden{Plain: "Basic abc"})
	for i, c := range []struct {
		e    webhook.Endpoint
		want string // a part of the error; "": it is taken
	}{
		{many, ""},
		{tooMany, "at most 20"},
		{header("X-A", strings.Repeat("v", 8190)), "at most 8192"},
		{header("X-A", strings.Repeat("v", 8189)), ""},
		{header("Authorization", "ApiKey abc"), ""},
		{header("User-Agent", "mine"), ""},
		{header("Host", "a"), "steers the connection"},
		{header("content-length", "1"), "steers the connection"},
		{header("Transfer-Encoding", "chunked"), "steers the connection"},
		{header("Proxy-Authorization", "x"), "steers the connection"},
		{header("Content-Type", "text/html"), "set by the service"},
		{header("Webhook-Signature", "v1,x"), "set by the service"},
		{header("WebHook-Request-Origin", "x"), "set by the service"},
		{header("Traceparent", "x"), "set by the service"},
		{header("ce-id", "x"), "set by the service"},
		{header("X-A", "a\r\nHost: b"), "line break"},
		{header("X A", "a"), "no name of a header"},
		{header("X-A", webhook.Masked), "there is none"},
		{auth(webhook.Basic, "user", ""), ""},
		{auth(webhook.Basic, "us:er", "pw"), "no colon"},
		{auth(webhook.Basic, strings.Repeat("u", 257), "pw"), "at most 256"},
		{auth(webhook.Basic, "", ""), "both empty"},
		{auth(webhook.Basic, "user", "a\nb"), "control characters"},
		{auth(webhook.Basic, "user", strings.Repeat("p", 4097)), "at most 4096"},
		{auth(webhook.Bearer, "", strings.Repeat("t", 4096)), ""},
		{auth(webhook.Bearer, "", "a b"), "visible ASCII"},
		{auth(webhook.Bearer, "", ""), "visible ASCII"},
		{auth("digest", "user", "pw"), "must be basic"},
		{both, "give one of the two"},
	} {
		c.e.URL = "https://example.com/"
		_, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, fmt.Sprint("s", i), topics.SubscriptionSettings{Endpoint: c.e.Encode()}, topics.Condition{})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v, want %q", i, err, c.want)
		}
		if c.want == "" {
			continue
		}
		if _, err := w.topics.GetSubscription(t.Context(), w.tenant, tp, fmt.Sprint("s", i)); !errors.Is(err, topics.ErrSubscriptionNotFound) && err == nil {
			t.Errorf("%d: it was made", i)
		}
	}
}
