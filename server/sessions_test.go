package server_test

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// browse asks as a browser does that has a cookie, and returns the status and the cookie that the answer sets.
func browse(tb testing.TB, method, url, cookie, body string, headers ...string) (int, *http.Cookie) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if cookie != "" {
		req.Header.Set("Cookie", "__Host-sluice-session="+cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	for _, c := range res.Cookies() {
		return res.StatusCode, c
	}
	return res.StatusCode, nil
}

// signIn signs in with a key and returns the session.
func signIn(tb testing.TB, s *servertest.Server, key string) string {
	tb.Helper()
	status, c := browse(tb, http.MethodPost, s.URL()+"/v1/session", "", `{"key":"`+key+`"}`)
	if status != http.StatusCreated || c == nil {
		tb.Fatalf("sign in: %d %v", status, c)
	}
	return c.Value
}

func TestG20_ASessionHoldsOnEveryServerUntilItEnds(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "sessions")
	ended := signIn(t, a, key)
	var made struct{ Key, ID string }
	must(t, http.StatusCreated, &made, http.MethodPost, a.URL()+"/v1/keys", key, `{"name":"ana"}`)
	ofRevoked := signIn(t, a, made.Key)
	// Also after all servers and Redis have started anew.
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Kill9()
	redis.Restart()
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(a.DataDir), quiet),
		servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	for _, s := range servers {
		for _, session := range []string{ended, ofRevoked} {
			if status, _ := browse(t, http.MethodGet, s.URL()+"/v1/session", session, ""); status != http.StatusOK {
				t.Fatalf("after a restart: %d", status)
			}
		}
	}
	if status, _ := browse(t, http.MethodDelete, servers[0].URL()+"/v1/session", ended, ""); status != http.StatusNoContent {
		t.Fatalf("sign out: %d", status)
	}
	must(t, http.StatusNoContent, nil, http.MethodDelete, servers[0].URL()+"/v1/keys/"+made.ID, key, "")
	over := time.Now()
	for i, s := range servers {
		for _, session := range []string{ended, ofRevoked} {
			within(t, 5*time.Second, "the session stops", func() bool {
				status, _ := browse(t, http.MethodGet, s.URL()+"/v1/session", session, "")
				return status == http.StatusUnauthorized
			})
		}
		t.Logf("server %d refused both %s after their ends", i, time.Since(over).Round(time.Millisecond))
	}
}

func TestAProxyThatSpeaksTLSLetsBrowsersSignIn(t *testing.T) {
	t.Parallel()
	const host = "queues.example.com"
	for _, c := range []struct {
		what    string
		set     func(*server.Config)
		headers []string
		cookie  string // "": refused
	}{
		{"plain", func(*server.Config) {}, []string{"Host", host}, ""},
		{"a header of anybody", func(*server.Config) {}, []string{"Host", host, "X-Forwarded-Proto", "https"}, ""},
		{"a trusted proxy", func(c *server.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} },
			[]string{"Host", host, "X-Forwarded-Proto", "https"}, "__Host-sluice-session"},
		{"a trusted proxy without TLS", func(c *server.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} },
			[]string{"Host", host, "X-Forwarded-Proto", "http"}, ""},
		{"the public address", func(c *server.Config) { c.PublicURL = mustURL(t, "https://"+host) }, []string{"Host", host}, "__Host-sluice-session"},
		{"another name than the public one", func(c *server.Config) { c.PublicURL = mustURL(t, "https://"+host) }, []string{"Host", "10.0.0.7"}, ""},
		{"a page of the public address", func(c *server.Config) { c.PublicURL = mustURL(t, "https://"+host) },
			[]string{"Host", "127.0.0.1:8080", "Origin", "https://" + host}, "__Host-sluice-session"},
		{"an insecure network", func(c *server.Config) { c.InsecureCookies = true }, []string{"Host", host}, "sluice-session"},
	} {
		s := servertest.New(t, c.set, quiet)
		status, got := browse(t, http.MethodPost, s.URL()+"/v1/session", "", `{"key":"`+s.Key+`"}`, c.headers...)
		if c.cookie == "" && (status != http.StatusForbidden || got != nil) || c.cookie != "" && (status != http.StatusCreated || got == nil || got.Name != c.cookie) {
			t.Errorf("%s: %d and the cookie %v, want %q", c.what, status, got, c.cookie)
		}
	}
}

func mustURL(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func TestG20_AMemberHoldsOnEveryServerUntilHeIsRemoved(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "members")
	var invited struct {
		ID         string
		Invitation struct{ Token string }
	}
	must(t, http.StatusCreated, &invited, http.MethodPost, a.URL()+"/v1/members", key, `{"email":"ana@example.com","role":"viewer"}`)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	const password = "correct horse battery staple"
	status, c := browse(t, http.MethodPost, b.URL()+"/v1/invitations/accept", "", `{"token":"`+invited.Invitation.Token+`","password":"`+password+`"}`)
	if status != http.StatusCreated {
		t.Fatalf("accept on another server: %d", status)
	}
	for _, s := range []*servertest.Server{a, b} {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	redis.Kill9()
	redis.Restart()
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(a.DataDir), quiet),
		servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(b.DataDir), quiet)}
	for _, s := range servers {
		if status, _ := browse(t, http.MethodGet, s.URL()+"/v1/queues", c.Value, ""); status != http.StatusOK {
			t.Fatalf("after a restart: %d", status)
		}
		if status, _ := browse(t, http.MethodPost, s.URL()+"/v1/session", "", `{"email":"ana@example.com","password":"`+password+`"}`); status != http.StatusCreated {
			t.Fatalf("sign in after a restart: %d", status)
		}
	}
	must(t, http.StatusNoContent, nil, http.MethodDelete, servers[0].URL()+"/v1/members/"+invited.ID, key, "")
	for _, s := range servers {
		within(t, 5*time.Second, "the session stops", func() bool {
			status, _ := browse(t, http.MethodGet, s.URL()+"/v1/queues", c.Value, "")
			return status == http.StatusUnauthorized
		})
		if status, _ := browse(t, http.MethodPost, s.URL()+"/v1/session", "", `{"email":"ana@example.com","password":"`+password+`"}`); status != http.StatusUnauthorized {
			t.Errorf("sign in after the removal: %d", status)
		}
	}
}

func TestAPortalLinkOpensOneSessionOnAllServers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "portal")
	var link struct {
		Text string `json:"portal_link"`
	}
	must(t, http.StatusCreated, &link, http.MethodPost, a.URL()+"/v1/portal_links", key, `{"role":"viewer"}`)
	// Also after all servers and Redis have started anew.
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Kill9()
	redis.Restart()
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(a.DataDir), quiet),
		servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	type answer struct {
		status int
		cookie *http.Cookie
	}
	answers := make(chan answer)
	for _, s := range servers {
		go func() {
			status, c := browse(t, http.MethodPost, s.URL()+"/v1/session", "", `{"portal_link":"`+link.Text+`"}`)
			answers <- answer{status, c}
		}()
	}
	won, lost := <-answers, <-answers
	if won.status != http.StatusCreated {
		won, lost = lost, won
	}
	if won.status != http.StatusCreated || lost.status != http.StatusUnauthorized {
		t.Fatalf("two who followed one link at the same instant: %d and %d, want 201 and 401", won.status, lost.status)
	}
	for _, s := range servers {
		if status, _ := browse(t, http.MethodGet, s.URL()+"/v1/queues", won.cookie.Value, ""); status != http.StatusOK {
			t.Errorf("the session: %d", status)
		}
	}
}
