package handlers_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// session is a browser that is signed in.
type session struct {
	handlers.Session
	cookie *http.Cookie
}

// signIn signs in with a key.
func (h *apiTest) signIn(key string) session {
	h.Helper()
	return h.signInWith(fmt.Sprintf(`{"key":%q}`, key))
}

func (h *apiTest) signInWith(body string) (s session) {
	h.Helper()
	a := h.json("POST", "/v1/session", body, "Authorization", "").is(201)
	a.into(&s.Session)
	s.cookie = a.cookie()
	return s
}

// cookie returns the one cookie that an answer sets.
func (a *answer) cookie() *http.Cookie {
	a.Helper()
	list := (&http.Response{Header: a.header}).Cookies()
	if len(list) != 1 {
		a.Fatalf("%s: sets %d cookies, want one", a.asked, len(list))
	}
	return list[0]
}

// headers show the session, and no key.
func (s session) headers(more ...string) []string {
	return append([]string{"Authorization", "", "Cookie", s.cookie.Name + "=" + s.cookie.Value}, more...)
}

func TestASessionDoesWhatItsKeyMay(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	orders, mail := h.queue(""), h.queue("")
	made, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "ana", Scopes: []string{"viewer", "messages:send"}, Queues: []string{queueName(orders)}})
	h.must(err)
	a := h.json("POST", "/v1/session", fmt.Sprintf(`{"key":%q}`, made.Secret.Reveal()), "Authorization", "", "User-Agent", "browser").is(201)
	var s session
	a.into(&s.Session)
	s.cookie = a.cookie()
	want := handlers.Session{ID: s.ID, Kind: "tenant", Tenant: &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber},
		Key: &handlers.SessionKey{ID: made.ID, Name: "ana"}, Scopes: []string{"viewer", "messages:send"}, Allowed: s.Allowed, Queues: []string{queueName(orders)},
		CreatedAt: *instant(0), ExpiresAt: *instant(auth.SessionLife), IdleTimeout: 43200}
	diff(t, "the session", want, s.Session)
	diff(t, "the cookie", &http.Cookie{Name: "__Host-sluice-session", Value: s.cookie.Value, Path: "/", MaxAge: 604800, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Raw: s.cookie.Raw}, s.cookie)
	if strings.Contains(string(a.body), s.cookie.Value) {
		t.Error("scripts can read the session")
	}

	text := s.headers("Content-Type", "text/plain")
	h.do("POST", orders+"/messages", "x", text...).is(201)
	h.do("POST", mail+"/messages", "x", text...).problem(404, "queue_not_found")
	h.do("POST", orders+"/receive", "", s.headers()...).problem(403, "permission_denied")
	h.do("GET", orders+"/messages", "", s.headers()...).is(200)
	h.wantCounts(orders, [3]int64{1, 0, 0})
	h.wantCounts(mail, [3]int64{0, 0, 0})
	var got handlers.Session
	h.do("GET", "/v1/session", "", s.headers()...).is(200).into(&got)
	diff(t, "the session later", want, got)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", s.headers()...).is(200).into(&who)
	diff(t, "the session of whoami", &handlers.CallerSession{ID: s.ID}, who.Session)
	diff(t, "the key of whoami", made.ID, who.Key.ID)

	out := h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	if c := out.cookie(); c.Name != s.cookie.Name || c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("after the end the browser keeps %+v", c)
	}
	h.do("GET", "/v1/session", "", s.headers()...).problem(401, "session_ended")
	h.do("POST", orders+"/messages", "x", text...).problem(401, "session_ended")
	h.wantCounts(orders, [3]int64{1, 0, 0})
	h.do("GET", "/v1/session", "", "Authorization", "").problem(401, "unauthenticated")
	h.do("GET", "/v1/session", "").problem(404, "session_not_found")
	h.do("DELETE", "/v1/session", "").problem(404, "session_not_found")
}

func TestASessionIsOnlyForWhomItIs(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	s := h.signIn(h.key)
	text := []string{"Content-Type", "text/plain"}
	for _, c := range []struct {
		what    string
		headers []string
		refused bool
	}{
		{"a program", nil, false},
		{"the console", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://proxied.example"}, false},
		{"somebody who typed the address", []string{"Sec-Fetch-Site", "none"}, false},
		{"an old browser", []string{"Origin", h.url}, false},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
		{"a sibling", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example"}, true},
		{"an old browser, from another site", []string{"Origin", "https://evil.example"}, true},
		{"an old browser, from nowhere", []string{"Origin", "null"}, true},
		{"an old browser, from another port", []string{"Origin", "http://127.0.0.1:1"}, true},
	} {
		before := h.counts(path)
		send := h.do("POST", path+"/messages", "x", s.headers(append(c.headers, text...)...)...)
		read := h.do("GET", path, "", s.headers(c.headers...)...)
		pause := h.do("POST", path+"/pause", "", s.headers(c.headers...)...)
		signIn := h.json("POST", "/v1/session", fmt.Sprintf(`{"key":%q}`, h.key), append(c.headers, "Authorization", "")...)
		if !c.refused {
			send.is(201)
			read.is(200)
			pause.is(200)
			h.do("POST", path+"/resume", "", s.headers()...).is(200)
			h.do("DELETE", "/v1/session", "", session{cookie: signIn.is(201).cookie()}.headers()...).is(204)
			continue
		}
		for _, a := range []*answer{send, read, pause, signIn} {
			a.problem(403, "cross_origin")
		}
		if got := h.counts(path); got != before {
			t.Errorf("%s has sent a message", c.what)
		}
		// Whoever has a key needs no browser's word.
		h.do("POST", path+"/messages", "x", append(c.headers, text...)...).is(201)
	}
	// A stream reads with GET, and so does what opens a websocket.
	for _, target := range []string{path + "/tail", path + "/ws"} {
		h.do("GET", target, "", s.headers("Origin", "https://evil.example", "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")...).problem(403, "cross_origin")
	}
}

func TestWithASessionNoFormIsRead(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	s := h.signIn(h.key)
	for _, media := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "TEXT/PLAIN; charset=utf-8", "?", ""} {
		for _, c := range []struct{ method, path, body string }{
			{"PATCH", path, `{"delay":7}`},
			{"POST", "/v1/keys", `{"name":"x"}`},
			{"POST", "/v1/session", fmt.Sprintf(`{"key":%q}`, h.key)},
		} {
			h.do(c.method, c.path, c.body, s.headers("Content-Type", media)...).problem(415, "unsupported_media_type")
		}
	}
	h.do("POST", path+"/pause", "", s.headers("Content-Type", "application/x-www-form-urlencoded")...).problem(415, "unsupported_media_type")
	h.do("PATCH", path, `{"delay":7}`, s.headers("Content-Type", "application/merge-patch+json")...).is(200)
	var q handlers.Queue
	h.do("GET", path, "", s.headers()...).is(200).into(&q)
	if q.Delay != 7 || q.Paused != nil {
		t.Errorf("the queue is %+v, want a delay of 7 and no pause", q)
	}
}

func TestASessionIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	s := h.signIn(h.key)
	suspended := h.newTenant()
	key := h.newKey(suspended.ID)
	h.asOperator("POST", "/v1/tenants/"+suspended.Name+"/suspend", `{"reason":"unpaid"}`).is(200)
	expiring, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{ExpiresAt: start.Add(auth.SessionIdle)})
	h.must(err)
	token := h.token(`{}`)
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{``, 422, "validation_failed"},
		{`{}`, 422, "validation_failed"},
		{`{"key":""}`, 422, "validation_failed"},
		{`{"key":7}`, 422, "validation_failed"},
		{`{"kye":"x"}`, 422, "unknown_field"},
		{`{"key":"x","key":"y"}`, 400, "malformed_request"},
		{`{"key":"slk_x"}`, 401, "sign_in_failed"},
		{`{"key":"slk_` + strings.Repeat("0", 36) + `"}`, 401, "sign_in_failed"},
		{`{"key":"` + h.unknownKey() + `"}`, 401, "sign_in_failed"},
		{`{"key":"` + s.cookie.Value + `"}`, 401, "sign_in_failed"},
		{`{"key":"` + token.AccessToken + `"}`, 401, "sign_in_failed"},
		{`{"key":"` + key + `"}`, 403, "tenant_suspended"},
	} {
		a := h.json("POST", "/v1/session", c.body, "Authorization", "")
		a.problem(c.status, c.code)
		if got := a.header.Get("Set-Cookie"); got != "" {
			t.Errorf("%s: sets the cookie %s", c.body, got)
		}
	}
	h.clock.Advance(auth.SessionIdle)
	h.json("POST", "/v1/session", fmt.Sprintf(`{"key":%q}`, expiring.Secret.Reveal()), "Authorization", "").problem(401, "key_expired")
	for _, c := range []struct {
		cookie string
		status int
		code   string
	}{
		{"", 401, "unauthenticated"},
		{"other=x; more=y", 401, "unauthenticated"},
		{"sluice-session=" + s.cookie.Value, 401, "unauthenticated"}, // the name for networks without TLS
		{s.cookie.Name + "=", 401, "unauthenticated"},
		{s.cookie.Name + "=" + s.cookie.Value + "x", 401, "session_ended"},
		{s.cookie.Name + "=" + strings.Repeat("x", 10_000), 401, "session_ended"},
		{s.cookie.Name + "=" + s.cookie.Value + "; " + s.cookie.Name + "=x", 400, "malformed_request"},
		{s.cookie.Name + "=" + s.cookie.Value, 401, "session_ended"}, // 12 hours later
	} {
		h.do("GET", "/v1/session", "", "Authorization", "", "Cookie", c.cookie).problem(c.status, c.code)
	}
}

func TestASessionNeedsAConnectionThatNobodyReads(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	body := fmt.Sprintf(`{"key":%q}`, h.key)
	ask := func(host string) *answer {
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/v1/session", strings.NewReader(body))
		h.must(err)
		req.Host = host
		return h.send(req, body, "Content-Type", "application/json", "Authorization", "")
	}
	secure := func(a *answer) {
		t.Helper()
		if c := a.is(201).cookie(); c.Name != "__Host-sluice-session" || !c.Secure {
			t.Errorf("the cookie is %+v", c)
		}
	}
	for _, host := range []string{"localhost", "localhost:8080", "sluice.localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:8080"} {
		secure(ask(host))
	}
	for _, host := range []string{"queues.example.com", "10.0.0.7:8080", "localhost.example.com", "[2001:db8::1]:80"} {
		if p := ask(host).problem(403, "insecure_connection"); !strings.Contains(p.Fix, "SLUICE_INSECURE_COOKIES") {
			t.Errorf("the advice is %q", p.Fix)
		}
	}
	h.api.HTTPS = func(r *http.Request) bool { return r.Host == "queues.example.com" }
	secure(ask("queues.example.com"))
	ask("10.0.0.7").problem(403, "insecure_connection")

	h.api.InsecureCookies = true
	secure(ask("queues.example.com"))
	c := ask("10.0.0.7").is(201).cookie()
	if c.Name != "sluice-session" || c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %+v", c)
	}
	h.do("GET", "/v1/session", "", session{cookie: c}.headers()...).is(200)
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	viewer := h.keyFor(h.tenant.ID, auth.NewKey{Name: "viewer", Scopes: []string{"keys:read"}})
	sender := h.keyFor(h.tenant.ID, auth.NewKey{Name: "sender", Scopes: []string{"messages:send"}})
	limited := h.keyFor(h.tenant.ID, auth.NewKey{Name: "limited", Queues: []string{"a"}})
	by := map[string]session{"owner": h.signIn(h.key)}
	for name, headers := range map[string][]string{"viewer": viewer, "sender": sender, "limited": limited} {
		h.clock.Advance(time.Second)
		by[name] = h.signIn(strings.TrimPrefix(headers[1], "Bearer "))
	}
	foreign := h.signIn(h.newKey(h.newTenant().ID))
	operator := h.signIn(h.operator)
	list := func(headers ...string) (ids []string) {
		var page handlers.Page[handlers.OpenSession]
		h.do("GET", "/v1/sessions", "", headers...).is(200).into(&page)
		for _, s := range page.Data {
			ids = append(ids, s.ID)
		}
		return ids
	}
	for _, headers := range [][]string{nil, by["owner"].headers(), viewer, by["viewer"].headers(), append(as(h.operator), "Tenant", h.tenant.Name)} {
		if got := list(headers...); len(got) != 4 {
			t.Errorf("%v: lists %v, want those of the tenant", headers, got)
		}
	}
	for _, name := range []string{"sender", "limited"} {
		diff(t, "sessions for "+name, []string{by[name].ID}, list(by[name].headers()...))
	}
	diff(t, "sessions for another operator", []string(nil), list(append(h.operatorFor("tenants:read"), "Tenant", h.tenant.Name)...))
	if got := list(operator.headers()...); !slices.Contains(got, operator.ID) || slices.Contains(got, by["owner"].ID) {
		t.Errorf("an operator's: %v", got)
	}
	diff(t, "sessions for another tenant", []string{foreign.ID}, list(foreign.headers()...))

	var page handlers.Page[handlers.OpenSession]
	h.do("GET", "/v1/sessions", "", by["sender"].headers()...).is(200).into(&page)
	now := page.Data[0].CreatedAt
	diff(t, "one session", handlers.OpenSession{ID: by["sender"].ID, Kind: "tenant", Key: by["sender"].Key, UserAgent: "Go-http-client/1.1", SourceIP: "127.0.0.1",
		CreatedAt: now, LastUsedAt: now, ExpiresAt: handlers.Instant{Time: now.Add(auth.SessionLife)}, Current: true}, page.Data[0])

	remove := func(s session, headers ...string) *answer {
		return h.do("DELETE", "/v1/sessions/"+s.ID, "", headers...)
	}
	for _, headers := range [][]string{foreign.headers(), by["sender"].headers(), by["limited"].headers(), viewer, operator.headers(), as(h.operator)} {
		remove(by["owner"], headers...).problem(404, "session_not_found")
	}
	h.do("GET", "/v1/session", "", by["owner"].headers()...).is(200)
	remove(by["sender"], by["sender"].headers()...).is(204) // its own
	remove(by["limited"]).is(204)                           // by the owner's key
	remove(by["viewer"], append(as(h.operator), "Tenant", h.tenant.Name)...).is(204)
	for _, name := range []string{"sender", "limited", "viewer"} {
		h.do("GET", "/v1/session", "", by[name].headers()...).problem(401, "session_ended")
		remove(by[name]).problem(404, "session_not_found")
	}
	diff(t, "what is left", []string{by["owner"].ID}, list())
}

func TestAnOperatorsSessionActsForTenants(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	s := h.signIn(h.operator)
	if s.Kind != "operator" || s.Tenant != nil {
		t.Errorf("the session is %+v", s.Session)
	}
	h.do("GET", "/v1/tenants/"+h.tenant.Name, "", s.headers()...).is(200)
	h.do("GET", path, "", s.headers()...).problem(422, "tenant_required")
	h.do("GET", path, "", s.headers("Tenant", h.tenant.Name)...).is(200)
	h.do("GET", path, "", s.headers("Tenant", h.newTenant().Name)...).problem(404, "queue_not_found")
	h.do("GET", "/v1/tenants", "", h.signIn(h.key).headers()...).problem(403, "permission_denied")
}

func TestTheAuditLogTellsOfSessions(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	first, second := h.signIn(h.key), h.signIn(h.key)
	path := fmt.Sprintf("/v1/queues/q%d", names.Add(1))
	h.json("PUT", path, "{}", first.headers()...).is(201)
	h.do("DELETE", "/v1/sessions/"+second.ID, "", first.headers()...).is(204)
	h.do("DELETE", "/v1/session", "", first.headers()...).is(204)
	var got []string
	var page handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit", "").is(200).into(&page)
	for _, e := range page.Data {
		by := "the key"
		if e.Actor.SessionID != nil {
			by = strings.ReplaceAll(*e.Actor.SessionID, first.ID, "first")
		}
		got = append(got, strings.NewReplacer(first.ID, "first", second.ID, "second").Replace(fmt.Sprint(e.Operation, " ", *e.Target.Name, " by ", by, " ", e.Outcome)))
	}
	diff(t, "the log", []string{"endSession first by first done", "revokeSession second by first done", "putQueue " + queueName(path) + " by first done",
		"createSession second by the key done", "createSession first by the key done"}, got)
	h.do("GET", "/v1/audit?actor="+first.ID, "").is(200).into(&page)
	if len(page.Data) != 3 {
		t.Errorf("%d entries of the session, want 3", len(page.Data))
	}
	if log := h.log.String(); strings.Contains(log, first.cookie.Value) || strings.Contains(log, h.key) {
		t.Error("the log of the server holds a secret")
	}
}

func TestG20_AStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	s := h.signIn(h.key)
	stream := h.stream("POST", path+"/consume", s.headers()...)
	until(t, "the stream waits", func() bool { return h.queues.Waiting() == 1 })
	reason := make(chan string, 1)
	go func() { reason <- stream.ends() }()
	h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	ended := h.clock.Now()
	until(t, "the stream ends", func() bool {
		h.clock.Advance(time.Second)
		return len(reason) > 0
	})
	diff(t, "the reason", "session_ended", <-reason)
	if after := h.clock.Now().Sub(ended); after > time.Minute {
		t.Errorf("the stream ended %s later", after)
	}
}

// unknownKey returns a well-formed key that nobody has any more.
func (h *apiTest) unknownKey() string {
	h.Helper()
	k, err := h.keys.CreateTenantKey(h.Context(), h.tenant.ID, auth.NewKey{})
	h.must(err)
	h.must(h.keys.Revoke(h.Context(), h.tenant.ID, k.ID))
	return k.Secret.Reveal()
}
