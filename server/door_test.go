package server_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// clientOf returns whom the log names as the client of a request.
func clientOf(tb testing.TB, s *servertest.Server, id string) (client string) {
	tb.Helper()
	until(tb, "the request "+id+" is in the log", func() bool {
		for text := range strings.Lines(s.Log.String()) {
			var l struct {
				Client string
				ID     string `json:"client_request_id"`
			}
			if json.Unmarshal([]byte(text), &l) == nil && l.ID == id {
				client = l.Client
				return true
			}
		}
		return false
	})
	return client
}

// The client is the one that the last of our proxies did not know, and who is no proxy of ours names nobody else.
func TestOnlyTrustedProxiesSayForWhomTheyAsk(t *testing.T) {
	t.Parallel()
	behind := servertest.New(t, func(c *server.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	})
	open := servertest.New(t)
	other := servertest.New(t, func(c *server.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for id, c := range map[string]struct {
		server  *servertest.Server
		headers []string
		want    string
	}{
		"direct":      {behind, nil, "127.0.0.1"},
		"one":         {behind, []string{"X-Forwarded-For", "203.0.113.9"}, "203.0.113.9"},
		"forged":      {behind, []string{"X-Forwarded-For", "198.51.100.66, 203.0.113.9"}, "203.0.113.9"},
		"two-proxies": {behind, []string{"X-Forwarded-For", "198.51.100.66, 203.0.113.9, 127.0.0.5, 2001:db8::1"}, "203.0.113.9"},
		"private":     {behind, []string{"X-Forwarded-For", "10.0.0.7"}, "10.0.0.7"},
		"nonsense":    {behind, []string{"X-Forwarded-For", "203.0.113.9, nonsense"}, "127.0.0.1"},
		"other-name":  {behind, []string{"X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9"}, "127.0.0.1"},
		"no-proxies":  {open, []string{"X-Forwarded-For", "203.0.113.9"}, "127.0.0.1"},
		"not-ours":    {other, []string{"X-Forwarded-For", "203.0.113.9"}, "127.0.0.1"},
	} {
		call(t, http.MethodGet, c.server.URL()+"/v1/queues", c.server.Key, "", append(c.headers, "Request-Id", id)...)
		if got := clientOf(t, c.server, id); got != c.want {
			t.Errorf("%s: the client is %s, want %s", id, got, c.want)
		}
	}

	// Whether the client came over TLS is for the proxy to say as well.
	for name, c := range map[string]struct {
		server  *servertest.Server
		headers []string
		want    string
	}{
		"https":            {behind, []string{"X-Forwarded-Proto", "https"}, "max-age=31536000"},
		"upper case":       {behind, []string{"X-Forwarded-Proto", "HTTPS"}, "max-age=31536000"},
		"http":             {behind, []string{"X-Forwarded-Proto", "http"}, ""},
		"forged":           {behind, []string{"X-Forwarded-Proto", "https, http"}, ""},
		"corrected":        {behind, []string{"X-Forwarded-Proto", "http, https"}, "max-age=31536000"},
		"nonsense":         {behind, []string{"X-Forwarded-Proto", "gopher"}, ""},
		"another header":   {behind, []string{"X-Forwarded-Ssl", "on", "X-Url-Scheme", "https", "X-Forwarded-Protocol", "https"}, ""},
		"nothing":          {behind, nil, ""},
		"who may not":      {open, []string{"X-Forwarded-Proto", "https"}, ""},
		"whom we know not": {other, []string{"X-Forwarded-Proto", "https"}, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.server.URL()+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "queues.example.com"
		for i := 0; i < len(c.headers); i += 2 {
			req.Header.Set(c.headers[i], c.headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Strict-Transport-Security"); got != c.want {
			t.Errorf("%s: Strict-Transport-Security is %q, want %q", name, got, c.want)
		}
	}
}

// Whatever a server answers, a browser takes it for data and not for a page, unless it is one of ours.
func TestAnswersAreGuarded(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	queue := newQueue(t, s.URL(), s.Key, "")
	const inert = "default-src 'none'; frame-ancestors 'none'"
	for path, policy := range map[string]string{
		"/v1/queues": inert, "/v1/queues/" + queue: inert, "/v1/nowhere": inert, "/nowhere": inert, "/healthz": inert, "/readyz": inert, "/openapi.json": inert,
		"/docs/": "default-src 'none'; script-src 'self' 'sha256-",
	} {
		a := call(t, http.MethodGet, s.URL()+path, s.Key, "")
		got := a.header.Get("Content-Security-Policy")
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" || !strings.HasPrefix(got, policy) {
			t.Errorf("%s: the headers are %v", path, a.header)
		}
		if a.header.Get("Strict-Transport-Security") != "" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers that do not belong here: %v", path, a.header)
		}
		for name, values := range a.header {
			if len(values) > 1 && name != "Vary" {
				t.Errorf("%s: %s stands %d times", path, name, len(values))
			}
		}
	}
}

// A browser that knows only the address gets to the console, below whatever prefix a proxy has cut off. Programs do not.
func TestBrowsersAreLedToTheConsole(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct{ path, accept, want string }{
		{"/", "text/html,*/*;q=0.8", "./console/"},
		{"/console", "text/html", "./console/"},
		{"/", "*/*", ""},
		{"/?Action=ListQueues", "text/html", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", c.accept)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Location"); got != c.want {
			t.Errorf("GET %s as %s leads to %q, want %q", c.path, c.accept, got, c.want)
		}
	}
}
