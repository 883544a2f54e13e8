package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
)

// proxied returns a client whose requests go through a proxy, which listens where no request may go.
func proxied(tb testing.TB, change ...func(*egress.Config)) (*egress.Client, *egresstest.Proxy) {
	tb.Helper()
	p := egresstest.NewProxy(tb, listen(tb, "127.0.0.1", 0))
	return client(tb, append([]func(*egress.Config){func(c *egress.Config) {
		c.Proxy = egress.Proxy{Host: p.Addr, Username: "me", Password: "s3cret:+"}
	}}, change...)...), p
}

func targets(p *egresstest.Proxy) (all []string) {
	for _, r := range p.Asked() {
		all = append(all, r.Host)
	}
	return all
}

// All requests go through the proxy, over http and https. It is told an address that the policy permits and never a name; the endpoint
// is told the name and nothing of the proxy.
func TestRequestsGoThroughAProxy(t *testing.T) {
	t.Parallel()
	var heads atomic.Pointer[http.Request]
	answer := func(_ http.ResponseWriter, r *http.Request) { heads.Store(r) }
	plain := serve(t, answer)
	ca := egresstest.NewAuthority(t)
	secure := ca.Serve(t, listen(t, endpoint, 0), tls.NoClientCert, answer)
	trap := trap(t, "127.0.0.3", portOf(plain.Listener))
	resolver := nameServer(t, proxiedNames)
	var log bytes.Buffer
	c, p := proxied(t, func(c *egress.Config) {
		c.Resolver, c.Logger = resolver, slog.New(slog.NewTextHandler(&log, nil))
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM([]byte(ca.PEM))
	})
	plainPort, securePort := portOf(plain.Listener), portOf(secure.Listener)
	for _, url := range []string{
		fmt.Sprintf("http://good.example.org:%d/", plainPort), fmt.Sprintf("http://%s:%d/", endpoint, plainPort), fmt.Sprintf("https://%s:%d/", endpoint, securePort),
		fmt.Sprintf("http://mixed.example.org:%d/", plainPort),
	} {
		heads.Store(nil)
		if answer, err := c.Do(t.Context(), post(url, "x")); err != nil || answer.Status != 200 {
			t.Fatalf("%s: %v, %v", url, answer, err)
		}
		if r := heads.Load(); r == nil || r.Host != strings.TrimSuffix(strings.SplitAfterN(url, "//", 2)[1], "/") || r.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("%s: the endpoint saw %v", url, r)
		}
	}
	first := fmt.Sprintf("%s:%d", endpoint, plainPort)
	if diff := cmp.Diff([]string{first, first, fmt.Sprintf("%s:%d", endpoint, securePort), first}, targets(p)); diff != "" {
		t.Errorf("the proxy was asked for (-want +got):\n%s", diff)
	}
	for _, r := range p.Asked() {
		if user, password, ok := basic(r); r.Method != http.MethodConnect || !ok || user != "me" || password != "s3cret:+" {
			t.Errorf("the proxy was asked by %s %v", r.Method, r.Header)
		}
	}
	// Where a name leads that it may not, the proxy is not asked.
	for name, want := range map[string]egress.Kind{"trap": egress.NotAllowed, "meta": egress.NotAllowed, "nothing": egress.NoSuchName, "broken": egress.DNS} {
		_, err := c.Do(t.Context(), post(fmt.Sprintf("http://%s.example.org:%d/", name, plainPort), "x"))
		wantKind(t, name, err, want)
	}
	if n := len(p.Asked()); n != 4 || trap.Load() != 0 || c.Refused() < 3 || !strings.Contains(log.String(), "host=trap.example.org") {
		t.Errorf("%d questions to the proxy, %d connections to the trap, %d refusals, and the log says %s", n, trap.Load(), c.Refused(), log.String())
	}
	// Connections are used again, and a certificate is for the name.
	_, err := c.Do(t.Context(), post(fmt.Sprintf("https://good.example.org:%d/", securePort), "x"))
	wantKind(t, "another name", err, egress.TLS)
}

func proxiedNames(name string) answer {
	switch host, _, _ := strings.Cut(name, "."); host {
	case "good":
		return answer{addresses: []string{endpoint}}
	case "mixed":
		return answer{addresses: []string{"127.0.0.3", "::1", endpoint}}
	case "two":
		return answer{addresses: []string{"127.0.0.4", endpoint}}
	case "trap":
		return answer{addresses: []string{"127.0.0.3"}}
	case "meta":
		return answer{addresses: []string{"169.254.169.254"}}
	case "broken":
		return answer{code: dnsmessage.RCodeServerFailure}
	}
	return answer{code: dnsmessage.RCodeNameError}
}

// basic returns what a request says to the proxy.
func basic(r *http.Request) (user, password string, ok bool) {
	as := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return as.BasicAuth()
}

// What a proxy answers says whose fault it is, in words that have no address and no password.
func TestWhatAProxyAnswersIsToldInWords(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	var log bytes.Buffer
	c, p := proxied(t, func(c *egress.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for text, want := range map[string]egress.Kind{
		"HTTP/1.1 403 Forbidden\r\n\r\nno": egress.ProxyRefused, "HTTP/1.1 405 Method Not Allowed\r\n\r\n": egress.ProxyRefused, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n": egress.ProxyRefused,
		"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n": egress.ProxyFailed, "HTTP/1.1 500 Internal Server Error\r\n\r\n": egress.ProxyFailed,
		"HTTP/1.1 502 Bad Gateway\r\n\r\n": egress.Connect, "HTTP/1.1 503 Service Unavailable\r\n\r\n": egress.Connect, "HTTP/1.1 504 Gateway Timeout\r\n\r\n": egress.Timeout,
		"SSH-2.0-x\r\n": egress.ProxyFailed, "HTTP/1.1 200 OK\r\n\r\nmore": egress.ProxyFailed, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10): egress.ProxyFailed,
	} {
		p.Answer(func(string) string { return text })
		_, err := c.Do(t.Context(), post(s.URL, "x"))
		wantKind(t, fmt.Sprintf("%.40q", text), err, want)
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "127.0.0") || err.Error() == "" {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	p.Answer(nil)
	if _, err := c.Do(t.Context(), post(s.URL, "x")); err != nil {
		t.Errorf("when it works again: %v", err)
	}
	if text := log.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, p.Addr) || !strings.Contains(text, "407") {
		t.Errorf("the log says %s", text)
	}
	// Nobody listens there.
	_, err := client(t, func(c *egress.Config) { c.Proxy.Host = "127.0.0.1:1" }).Do(t.Context(), post(s.URL, "x"))
	wantKind(t, "no proxy", err, egress.ProxyFailed)
	// It does not answer: the time of the request ends, or the caller gives up.
	silent := client(t, func(c *egress.Config) { c.Proxy.Host = listen(t, "127.0.0.1", 0).Addr().String() })
	r := post(s.URL, "x")
	r.Timeout = 1 // over before it begins
	_, err = silent.Do(t.Context(), r)
	wantKind(t, "silence", err, egress.Timeout)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = silent.Do(ctx, post(s.URL, "x"))
	wantKind(t, "given up", err, egress.Canceled)
}

// Of a name with several addresses the next one is tried.
func TestAProxyIsAskedForTheNextAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	c, p := proxied(t, func(c *egress.Config) {
		c.Resolver = nameServer(t, proxiedNames)
		c.Policy.Allow = prefixes(endpoint+"/32", "127.0.0.4/32")
	})
	p.Answer(func(target string) string {
		if strings.HasPrefix(target, "127.0.0.4:") {
			return "HTTP/1.1 503 Service Unavailable\r\n\r\n"
		}
		return ""
	})
	_, err := c.Do(t.Context(), post(fmt.Sprintf("http://two.example.org:%d/", portOf(s.Listener)), "x"))
	if all := targets(p); err != nil || !slices.Contains(all, fmt.Sprintf("%s:%d", endpoint, portOf(s.Listener))) {
		t.Errorf("got %v; the proxy was asked for %v", err, all)
	}
}

func TestAProxyIsSpokenToByTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	ca := egresstest.NewAuthority(t)
	certificate, key := ca.Issue(t, "proxy")
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	p := egresstest.NewProxy(t, tls.NewListener(listen(t, "127.0.0.1", 0), &tls.Config{Certificates: []tls.Certificate{pair}}))
	for _, trusted := range []bool{true, false} {
		c := client(t, func(c *egress.Config) {
			c.Proxy = egress.Proxy{Host: p.Addr, TLS: true}
			if trusted {
				c.RootCAs = x509.NewCertPool()
				c.RootCAs.AppendCertsFromPEM([]byte(ca.PEM))
			}
		})
		want := egress.ProxyFailed
		if trusted {
			want = ""
		}
		_, err := c.Do(t.Context(), post(s.URL, "x"))
		wantKind(t, fmt.Sprint("trusted ", trusted), err, want)
	}
}

func TestAProxyIsReadAndNeverShown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]egress.Proxy{
		"":                              {},
		"http://proxy.example.com:3128": {Host: "proxy.example.com:3128"},
		"https://proxy:443/":            {Host: "proxy:443", TLS: true},
		"http://me:s%3Acret%2F@[2001:db8::1]:8080": {Host: "[2001:db8::1]:8080", Username: "me", Password: "s:cret/"},
		"http://me@10.0.0.1:3128":                  {Host: "10.0.0.1:3128", Username: "me"},
	} {
		var p egress.Proxy
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%s: %#v, %v", text, [...]any{p.Host, p.TLS, p.Username, p.Password}, err)
		}
		raw, _ := json.Marshal(p)
		for _, shown := range []string{p.String(), fmt.Sprintf("%v %+v %#v %q %x", p, p, p, p, p), string(raw)} {
			if strings.Contains(shown, "cret") || strings.Contains(shown, "me:") || strings.Contains(shown, "//me@") {
				t.Errorf("%s is shown as %s", text, shown)
			}
		}
	}
	for _, text := range []string{
		"proxy:3128", "socks5://proxy:1080", "http://proxy", "http://proxy:0", "http://proxy:65536", "http://:3128", "http://proxy:3128/path", "http://proxy:3128?x=s3cret", "http://proxy:3128#x",
		"http://me:s3cret@/", "http://:s3cret@proxy:3128", "http://a%3Ab:s3cret@proxy:3128", "http://me:s3cret" + strings.Repeat("x", 256) + "@proxy:3128", "http://[fe80::1%25eth0]:3128", "http://pro xy:3128",
	} {
		p := egress.Proxy{Host: "before:1"}
		if err := p.UnmarshalText([]byte(text)); err == nil || strings.Contains(err.Error(), "s3cret") || p.Host != "before:1" {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}
