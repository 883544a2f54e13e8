package webhook_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
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

// issuer gives out tokens: token-1, token-2 and so on, each for an hour.
type issuer struct {
	*httptest.Server
	asked  atomic.Int64
	answer atomic.Pointer[string] // instead; nil: a token
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	is := &issuer{}
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := is.asked.Add(1)
		user, password, _ := r.BasicAuth()
		switch own := is.answer.Load(); {
		case own != nil:
			status, body, _ := strings.Cut(*own, " ")
			code := 0
			_, _ = fmt.Sscan(status, &code)
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		case user != "client%3A1" || password != "s3cret+%2F" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "hooks write" || r.FormValue("audience") != "api":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"s3cret"}`)
		default:
			fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, n)
		}
	}))
	tb.Cleanup(is.Close)
	return is
}

// says has it answer by a status and a body instead of a token; "" ends that.
func (is *issuer) says(answer string) {
	is.answer.Store(nil)
	if answer != "" {
		is.answer.Store(&answer)
	}
}

func (is *issuer) auth() *webhook.Auth {
	return &webhook.Auth{Type: webhook.OAuth2, TokenURL: is.URL + "/token", ClientID: "client:1", Secret: webhook.Hidden{Plain: "s3cret /"}, Scope: "hooks write", Audience: "api"}
}

func TestATokenIsGotOnceAndReplacedWhenItIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		is := newIssuer(t)
		var refused atomic.Pointer[string] // the token that the endpoint does not take
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			if bad := refused.Load(); bad != nil && (*bad == "*" || r.header.Get("Authorization") == *bad) {
				rw.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprint(rw, "seen ", r.header.Get("Authorization"))
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Auth: is.auth(), Retries: []time.Duration{time.Minute}})
		w.publish(t, tp, numbered(30)...)
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 30 })
		for _, r := range rc.got() {
			if r.header.Get("Authorization") != "Bearer token-1" {
				t.Errorf("it came with %q", r.header.Get("Authorization"))
			}
		}
		if n := is.asked.Load(); n != 1 {
			t.Errorf("%d tokens were asked for", n)
		}
		log, _, err := w.Attempts(t.Context(), way, 0, 1, nil)
		if must(t, err); log[0].Response != "seen Bearer ***" {
			t.Errorf("the log has %q", log[0].Response)
		}
		if all := w.hashes(t); strings.Contains(all, "token-1") || strings.Contains(all, "s3cret") {
			t.Errorf("what is hidden lies in Redis:\n%s", all)
		}
		// The endpoint does not take it any more: the same attempt goes on with another one.
		bad := "Bearer token-1"
		refused.Store(&bad)
		w.publish(t, tp, "x")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 31 })
		if s := w.status(t, way); is.asked.Load() != 2 || s.Attempts != 31 || rc.count() != 32 {
			t.Errorf("%d tokens, %d requests, %+v", is.asked.Load(), rc.count(), s)
		}
		// Shortly before its end it is not used any more.
		w.clock.Advance(time.Hour - 29*time.Second)
		w.publish(t, tp, "y")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 32 })
		if is.asked.Load() != 3 {
			t.Errorf("%d tokens after an hour", is.asked.Load())
		}
		// One that takes none gets two requests in an attempt, which failed.
		all := "*"
		refused.Store(&all)
		before := rc.count()
		w.publish(t, tp, "z")
		w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Attempts == 33 && s.Sending == 0 })
		if log, _, err = w.Attempts(t.Context(), way, 0, 1, nil); err != nil || log[0].Code != "http_401" || rc.count() != before+2 || is.asked.Load() != 4 {
			t.Errorf("%+v, %d requests, %d tokens", log, rc.count()-before, is.asked.Load())
		}
		// Another server gets a token of its own, also for a webhook that is the same on both.
		refused.Store(nil)
		other := w.another(t)
		w.kill()
		other.forward(t, 3*time.Minute, "the other server sends", func() bool { return other.status(t, way).Delivered == 33 })
		if is.asked.Load() != 5 {
			t.Errorf("%d tokens, on two servers", is.asked.Load())
		}
	})
}

func TestWithoutATokenAnAttemptFails(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		is, rc := newIssuer(t), newReceiver(t, nil)
		tp := w.topic(t, "", topics.Settings{})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Auth: is.auth(), Timeout: time.Second})
		for answer, want := range map[string]string{
			`401 {"error":"invalid_client","error_description":"s3cret"}`: "which answered 401 Unauthorized, invalid_client.",
			`500 s3cret`:                 "which answered 500 Internal Server Error.",
			`302 {}`:                     "which answered 302 Found.",
			`200 s3cret`:                 "is no bearer token.",
			`200 {"access_token":"a b"}`: "is no bearer token.",
			`200 {"access_token":"` + strings.Repeat("x", 8193) + `"}`:            "is no bearer token.",
			`200 {"access_token":"s3cret","token_type":"mac"}`:                    "is no bearer token.",
			`200 ` + strings.Repeat(" ", 65<<10) + `{"access_token":"a"}`:         "the answer of the endpoint is too large.",
			`400 {"error":"s3cret is a text that does not belong into an error"}`: "which answered 400 Bad Request.",
		} {
			is.says(answer)
			a, err := w.Test(t.Context(), way)
			if must(t, err); a.Code != "token_failed" || !strings.HasSuffix(a.Error, want) || strings.Contains(a.Error, "s3cret") || a.Status != 0 {
				t.Errorf("%.80s: %q %q, want %q", answer, a.Code, a.Error, want)
			}
		}
		w.publish(t, tp, "x")
		w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Attempts == 1 && s.Failures == 1 && s.Sending == 0 })
		if rc.count() != 0 {
			t.Errorf("the endpoint got %q without a token", rc.bodies())
		}
		is.says("")
		w.forward(t, time.Minute, "it is delivered", func() bool { return w.status(t, way).Delivered == 1 })
		// The time of an attempt is for the token as well.
		is.says("200 {}")
		hang := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
		t.Cleanup(slow.Close)
		t.Cleanup(func() { close(hang) })
		e := webhook.Endpoint{URL: rc.URL, Auth: is.auth(), Timeout: time.Second}
		e.Auth.TokenURL = slow.URL
		hung := w.hook(t, tp, "b", e)
		began := time.Now()
		a, err := w.Test(t.Context(), hung)
		if must(t, err); a.Code != "token_failed" || time.Since(began) > 5*time.Second {
			t.Errorf("%+v after %v", a, time.Since(began))
		}
	})
}

// The token URL is under the rules of all outgoing requests, and the client's secret stays with its host.
func TestG31_ATokenURLReachesWhatWebhooksMayReach(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	tp, is := w.topic(t, "", topics.Settings{}), newIssuer(t)
	e := webhook.Endpoint{URL: "https://example.com/", Auth: is.auth()}
	w.hook(t, tp, "a", e)
	for url, want := range map[string]string{
		"":                               "must begin with https://",
		"https://10.0.0.1/token":         "not allowed",
		"https://169.254.169.254/latest": "not allowed",
		"https://u:p@example.com/":       "user name or a password",
		"https://evil.example.com/token": "has to be given",
	} {
		err := w.tryChange(t, tp, "a", func(e *webhook.Endpoint) { e.Auth.TokenURL = url })
		if want == "has to be given" {
			want = "another host"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
	w.change(t, tp, "a", func(e *webhook.Endpoint) { e.Auth.TokenURL = is.URL + "/other" })
	for what, f := range map[string]func(*webhook.Auth){
		"client_id":     func(a *webhook.Auth) { a.ClientID = "" },
		"client_secret": func(a *webhook.Auth) { a.Secret = webhook.Hidden{} },
		"scope":         func(a *webhook.Auth) { a.Scope = strings.Repeat("s", 1025) },
		"audience":      func(a *webhook.Auth) { a.Audience = "a\nb" },
	} {
		if err := w.tryChange(t, tp, "a", func(e *webhook.Endpoint) { f(e.Auth) }); err == nil {
			t.Errorf("a bad %s is taken", what)
		}
	}
	// A name that leads to where nothing may go is refused when the connection is made.
	strict := newWorldWith(t, engine.Options{URL: redistest.Memory(t), Memory: true}, egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}, AllowHTTP: true})
	tp = strict.topic(t, "", topics.Settings{})
	e.Auth = is.auth()
	e.Auth.TokenURL = strings.Replace(is.URL, "127.0.0.1", "localhost", 1)
	way := strict.hook(t, tp, "a", e)
	before := is.asked.Load()
	a, err := strict.Test(t.Context(), way)
	if must(t, err); a.Code != "token_failed" || is.asked.Load() != before {
		t.Errorf("%+v", a)
	}
}
