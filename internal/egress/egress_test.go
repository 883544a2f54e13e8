package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sluicemq/sluice/internal/egress"
)

// endpoint is the one address of this machine that the clients of tests may reach: it plays the public internet. Others
// of the machine play the network behind.
const endpoint = "127.0.0.2"

func client(tb testing.TB, change ...func(*egress.Config)) *egress.Client {
	tb.Helper()
	c := egress.Config{Policy: egress.Policy{Allow: prefixes(endpoint + "/32"), AllowHTTP: true}}
	for _, f := range change {
		f(&c)
	}
	made := egress.New(c)
	tb.Cleanup(made.Close)
	return made
}

// listen listens on an address of this machine; port 0 picks one.
func listen(tb testing.TB, host string, port uint16) net.Listener {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		tb.Skipf("this machine cannot listen on %s: %v", host, err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

func portOf(l net.Listener) uint16 { return l.Addr().(*net.TCPAddr).AddrPort().Port() }

// serve starts an endpoint.
func serve(tb testing.TB, h http.HandlerFunc) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = listen(tb, endpoint, 0)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// trap counts the connections to an address that nobody may reach.
func trap(tb testing.TB, host string, port uint16) *atomic.Int64 {
	tb.Helper()
	l := listen(tb, host, port)
	var hits atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			conn.Close()
		}
	}()
	return &hits
}

// raw starts an endpoint that speaks for itself on each connection.
func raw(tb testing.TB, talk func(n int, conn net.Conn, r *bufio.Reader)) string {
	tb.Helper()
	l := listen(tb, endpoint, 0)
	var wg sync.WaitGroup
	tb.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				talk(n, conn, bufio.NewReader(conn))
			})
		}
	})
	return "http://" + l.Addr().String() + "/"
}

// readRequest reads one request to its end.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

func post(url, body string) egress.Request {
	return egress.Request{Method: http.MethodPost, URL: url, Body: []byte(body), Timeout: 10 * time.Second}
}

func wantKind(tb testing.TB, what string, err error, want egress.Kind) {
	tb.Helper()
	if got := egress.KindOf(err); got != want {
		cause := err
		if e, ok := err.(*egress.Error); ok { //nolint:errorlint // exactly this type
			cause = e.Cause()
		}
		tb.Errorf("%s: got %q (%v: %v), want %q", what, got, err, cause, want)
	}
}

func TestARequestArrivesAsItIsAndItsAnswerComesBack(t *testing.T) {
	t.Parallel()
	type seen struct{ method, uri, host, agent, body, encoding, key string }
	got := make(chan seen, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, r.Host, r.UserAgent(), string(body), r.Header.Get("Accept-Encoding"), r.Header.Get("X-Key")}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	r := post(s.URL+"/a%2Fb?c=d", "pour")
	r.Header = http.Header{"X-Key": {"s3cret"}}
	answer, err := client(t).Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if want := (seen{"POST", "/a%2Fb?c=d", s.Listener.Addr().String(), "Sluice", "pour", "", "s3cret"}); <-got != want {
		t.Errorf("want %+v", want)
	}
	if answer.Status != http.StatusTeapot || string(answer.Body) != "short and stout" || answer.Header.Get("X-Answer") != "yes" || answer.Truncated || answer.Resent {
		t.Errorf("got %+v", answer)
	}
	if len(r.Header) != 1 {
		t.Errorf("the caller's headers are now %v", r.Header)
	}
}

// Whatever a name leads to, nothing is sent to an address that is not open.
func TestA6_NamesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := portOf(s.Listener)
	traps := map[string]*atomic.Int64{}
	for _, host := range []string{"127.0.0.1", "127.0.0.3", "::1"} {
		traps[host] = trap(t, host, port)
	}
	var log bytes.Buffer
	resolver := nameServer(t, func(name string) answer {
		switch host, _, _ := strings.Cut(name, "."); host {
		case "good":
			return answer{addresses: []string{endpoint}}
		case "mixed":
			return answer{addresses: []string{"127.0.0.1", "::1", endpoint, "127.0.0.3"}}
		case "chain":
			return answer{cname: "metadata.google.internal", addresses: []string{"127.0.0.1"}}
		case "broken":
			return answer{code: dnsmessage.RCodeServerFailure}
		case "nothing", "127", "example":
			return answer{code: dnsmessage.RCodeNameError}
		case "empty":
			return answer{}
		}
		return answer{addresses: []string{strings.NewReplacer("x", ".", "y", ":").Replace(strings.TrimSuffix(name, ".example.org"))}}
	})
	c := client(t, func(c *egress.Config) {
		c.Resolver, c.Logger = resolver, slog.New(slog.NewTextHandler(&log, nil))
	})
	for name, want := range map[string]egress.Kind{
		"good.example.org": "", "mixed.example.org": "", "GOOD.example.org.": "",
		"127x0x0x1.example.org": egress.NotAllowed, "127x0x0x3.example.org": egress.NotAllowed, "0x0x0x0.example.org": egress.NotAllowed, "yy1.example.org": egress.NotAllowed, "yy.example.org": egress.NotAllowed,
		"yyffffy127x0x0x1.example.org": egress.NotAllowed, "10x0x0x1.example.org": egress.NotAllowed, "169x254x169x254.example.org": egress.NotAllowed, "100x64x0x1.example.org": egress.NotAllowed,
		"fe80yy1.example.org": egress.NotAllowed, "fd00yy1.example.org": egress.NotAllowed, "64yff9byy7f00y1.example.org": egress.NotAllowed, "1x1x1x1.example.org": egress.NotAllowed, // on this port
		"chain.example.org": egress.NotAllowed, "broken.example.org": egress.DNS, "nothing.example.org": egress.NoSuchName, "empty.example.org": egress.NoSuchName,
	} {
		_, err := c.Do(t.Context(), post(fmt.Sprintf("http://%s:%d/", name, port), "x"))
		wantKind(t, name, err, want)
	}
	for host, hits := range traps {
		if n := hits.Load(); n > 0 {
			t.Errorf("%d connections to %s", n, host)
		}
	}
	if n := c.Refused(); n < 12 {
		t.Errorf("%d refusals are counted", n)
	}
	if !strings.Contains(log.String(), "host=chain.example.org") || !strings.Contains(log.String(), "address=169.254.169.254:") {
		t.Errorf("the log says %s", log.String())
	}
}

// A name whose address changes between any two looks never gets past the check, because there is only one look.
func TestA6_NamesThatChangeTheirAddress(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	hits := trap(t, "127.0.0.1", portOf(s.Listener))
	var asked atomic.Int64
	resolver := nameServer(t, func(string) answer {
		if asked.Add(1)%3 == 0 {
			return answer{addresses: []string{endpoint}}
		}
		return answer{addresses: []string{"127.0.0.1"}}
	})
	c := client(t, func(c *egress.Config) { c.Resolver = resolver })
	refused := 0
	for range 200 {
		r := egress.Request{Method: http.MethodPut, URL: fmt.Sprintf("http://rebind.example.org:%d/", portOf(s.Listener))} // each on a new connection
		if _, err := c.Do(t.Context(), r); err != nil {
			wantKind(t, "rebinding", err, egress.NotAllowed)
			refused++
		}
	}
	if n := hits.Load(); n > 0 || refused == 0 || arrived.Load() == 0 {
		t.Errorf("%d connections to the trap, %d refused, %d arrived", n, refused, arrived.Load())
	}
}

func TestA6_RedirectsAreAnswersLikeOthers(t *testing.T) {
	t.Parallel()
	hits := trap(t, "127.0.0.1", 0)
	var arrived atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Location", "/200")
		if r.URL.RawQuery != "" {
			w.Header().Set("Location", "http://127.0.0.1:"+r.URL.RawQuery)
		}
		w.WriteHeader(code)
	})
	for _, code := range []int{300, 301, 302, 303, 305, 307, 308} {
		for _, query := range []string{"", "?80"} {
			answer, err := client(t).Do(t.Context(), post(fmt.Sprintf("%s/%d%s", s.URL, code, query), "x"))
			if err != nil || answer.Status != code {
				t.Errorf("%d: got %+v and %v", code, answer, err)
			}
		}
	}
	if hits.Load() != 0 || arrived.Load() != 14 {
		t.Errorf("%d requests arrived, %d in the trap", arrived.Load(), hits.Load())
	}
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	hits := trap(t, "127.0.0.1", 0)
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	if _, err := client(t).Do(t.Context(), post(s.URL, "x")); err != nil || hits.Load() != 0 {
		t.Errorf("got %v, and %d connections to the proxy", err, hits.Load())
	}
}

// The time is for the whole exchange: a slow answer ends it as surely as none.
func TestA7_TheTimeIsForTheWholeExchange(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	drip := func(conn net.Conn, one string) {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if _, err := io.WriteString(conn, one); err != nil {
					return
				}
			}
		}
	}
	silent := listen(t, endpoint, 0) // accepts, and never reads
	for name, url := range map[string]string{
		"silence": "http://" + silent.Addr().String(), "silent handshake": "https://" + silent.Addr().String(),
		"headers": raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			drip(conn, "x")
		}),
		"body": raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			drip(conn, "x")
		}),
		"continue": raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
			<-stop
		}),
	} {
		r := post(url, "x")
		r.Timeout = 300 * time.Millisecond
		begin := time.Now()
		_, err := client(t).Do(t.Context(), r)
		wantKind(t, name, err, egress.Timeout)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: ended after %s", name, took)
		}
	}
	resolver := nameServer(t, func(string) answer { return answer{silent: true} })
	r := post("http://slow.example.org/", "x")
	r.Timeout = 300 * time.Millisecond
	_, err := client(t, func(c *egress.Config) { c.Resolver = resolver }).Do(t.Context(), r)
	if kind := egress.KindOf(err); kind != egress.DNS && kind != egress.Timeout {
		t.Errorf("a silent name server: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client(t).Do(ctx, post("http://"+silent.Addr().String(), "x"))
	wantKind(t, "a caller who gave up", err, egress.Canceled)
	close(stop)
}

func TestA7_AnswersAreBounded(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 10<<20))
	_ = z.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		case "/headers":
			for i := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		case "/exact":
			_, _ = w.Write(make([]byte, 1000))
		}
	})
	c := client(t)
	get := func(path string, most int, whole bool) (*egress.Response, error) {
		return c.Do(t.Context(), egress.Request{URL: s.URL + path, MaxBody: most, Whole: whole})
	}
	if answer, err := get("/endless", 0, false); err != nil || len(answer.Body) != egress.DefaultMaxBody || !answer.Truncated {
		t.Errorf("an endless answer: %v", err)
	}
	if answer, err := get("/exact", 1000, true); err != nil || len(answer.Body) != 1000 || answer.Truncated {
		t.Errorf("an answer that just fits: %v", err)
	}
	if answer, err := get("/exact", 999, false); err != nil || len(answer.Body) != 999 || !answer.Truncated {
		t.Errorf("an answer that just does not fit: %v", err)
	}
	_, err := get("/exact", 999, true)
	wantKind(t, "an answer that is wanted whole", err, egress.TooLarge)
	answer, err := get("/gzip", 0, false)
	if err != nil || !bytes.Equal(answer.Body, bomb.Bytes()) || answer.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("a compressed answer is not what was sent: %v", err)
	}
	_, err = get("/headers", 0, false)
	wantKind(t, "large headers", err, egress.TooLarge)

	for name, says := range map[string]string{
		"no HTTP": "SSH-2.0-OpenSSH_9.6\r\n\r\n", "a bad status": "HTTP/1.1 abc OK\r\n\r\n", "a bad length": "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"another protocol": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "a bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"provisional answers": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 4000)+"\r\n\r\n", 100),
	} {
		url := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(conn, says)
		})
		_, err := c.Do(t.Context(), post(url, "x"))
		want := egress.Protocol
		if name == "provisional answers" {
			want = egress.TooLarge
		}
		wantKind(t, name, err, want)
	}
	url := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		readRequest(r)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
	})
	_, err = c.Do(t.Context(), post(url, "x"))
	wantKind(t, "half an answer", err, egress.Closed)
}

// Answers that are too large cost no memory, nor do connections stay behind.
func TestNothingStaysBehind(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	})
	c := client(t)
	use := func(n int) {
		for i := range n {
			path := "/"
			if i%4 == 0 {
				path = "/large"
			}
			if _, err := c.Do(t.Context(), post(s.URL+path, "x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	use(20)
	before := runtime.NumGoroutine()
	use(400)
	c.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // connections end in the background
		if now := runtime.NumGoroutine(); now <= before+4 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before 400 requests, %d after them", before, now)
		}
	}
}

// An endpoint that closes idle connections sees each request once, and a request that met such a connection is sent again
// on a new one: once, whatever its headers.
func TestA8_ConnectionsThatWereClosedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{nil, {"Idempotency-Key": {"k"}}, {"X-Idempotency-Key": {"k"}}} {
		var requests atomic.Int64
		closed := make(chan struct{}, 1)
		url := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
			for readRequest(r) {
				requests.Add(1)
				if n == 1 && requests.Load() == 2 {
					closed <- struct{}{}
					return // the second request on the first connection gets no answer
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		c := client(t)
		r := post(url, "x")
		r.Header = header
		for i, wantResent := range []bool{false, true} {
			answer, err := c.Do(t.Context(), r)
			if err != nil || answer.Resent != wantResent {
				t.Errorf("%v: request %d: got %+v and %v, want resent: %t", header, i+1, answer, err, wantResent)
			}
		}
		<-closed
		if n := requests.Load(); n != 3 {
			t.Errorf("%v: the endpoint saw %d requests, want 3", header, n)
		}
	}
}

// What an endpoint has begun to answer it may have done, so it is not asked again.
func TestWhatWasBegunIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	url := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for readRequest(r) {
			if requests.Add(1) > 1 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := client(t)
	if _, err := c.Do(t.Context(), post(url, "x")); err != nil {
		t.Fatal(err)
	}
	_, err := c.Do(t.Context(), post(url, "x"))
	wantKind(t, "half of the headers", err, egress.Closed)
	if n := requests.Load(); n != 2 {
		t.Errorf("2 requests were seen as %d", n)
	}
}

// A new connection that breaks is an error, and nothing is sent twice behind the caller's back.
func TestA8_NothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, r := range []egress.Request{
		{Method: http.MethodPost, Body: []byte("x"), Header: http.Header{"Idempotency-Key": {"k"}}},
		{Method: http.MethodPost, Header: http.Header{"Idempotency-Key": {"k"}}}, {Method: http.MethodDelete}, {Method: http.MethodPost}, {},
	} {
		var requests atomic.Int64
		r.URL = raw(t, func(_ int, _ net.Conn, r *bufio.Reader) {
			if readRequest(r) {
				requests.Add(1)
			}
		})
		c := client(t)
		for range 3 {
			_, err := c.Do(t.Context(), r)
			wantKind(t, r.Method, err, egress.Closed)
		}
		if n := requests.Load(); n != 3 {
			t.Errorf("%s with %v: 3 requests were seen as %d", r.Method, r.Header, n)
		}
	}
}

// Without a body net/http would send a request again on its own, if it has the key and its connection is an old one.
func TestA8_NothingWithoutABodyIsSentTwice(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut} {
		var requests atomic.Int64
		url := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				if req.Method != http.MethodGet {
					requests.Add(1)
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		c := client(t)
		if _, err := c.Do(t.Context(), egress.Request{URL: url}); err != nil { // leaves a connection behind
			t.Fatal(err)
		}
		_, err := c.Do(t.Context(), egress.Request{Method: method, URL: url, Header: http.Header{"Idempotency-Key": {"k"}}})
		wantKind(t, method, err, egress.Closed)
		if n := requests.Load(); n != 1 {
			t.Errorf("one %s was seen as %d", method, n)
		}
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	t.Parallel()
	secure := func(change func(*tls.Config)) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, " ", len(r.TLS.PeerCertificates))
		}))
		s.Listener.Close()
		s.Listener = listen(t, endpoint, 0)
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{}
		change(s.TLS)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	modern := secure(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	old := secure(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	roots := x509.NewCertPool()
	roots.AddCert(modern.Certificate())
	resolver := nameServer(t, func(string) answer { return answer{addresses: []string{endpoint}} })
	trusting := func(c *egress.Config) { c.RootCAs, c.Resolver = roots, resolver }
	named := func(s *httptest.Server, name string) string {
		return fmt.Sprintf("https://%s:%d/", name, portOf(s.Listener))
	}
	for name, c := range map[string]struct {
		client *egress.Client
		url    string
		want   string // the body, or the message
		kind   egress.Kind
	}{
		"trusted":         {client(t, trusting), named(modern, "example.com"), "HTTP/1.1 0", ""},
		"own certificate": {client(t, trusting, func(c *egress.Config) { c.Certificates = modern.TLS.Certificates }), named(modern, "example.com"), "HTTP/1.1 1", ""},
		"not trusted":     {client(t, func(c *egress.Config) { c.Resolver = resolver }), named(modern, "example.com"), "not trusted", egress.TLS},
		"another name":    {client(t, trusting), named(modern, "example.org"), "another host name", egress.TLS},
		"old version":     {client(t, trusting), named(old, "example.com"), "TLS", egress.TLS},
		"no TLS":          {client(t, trusting), named(plain, "example.com"), "does not speak TLS", egress.TLS},
	} {
		answer, err := c.client.Do(t.Context(), egress.Request{URL: c.url, Timeout: 10 * time.Second})
		wantKind(t, name, err, c.kind)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: got %q, want %q", name, err, c.want)
		case err == nil && string(answer.Body) != c.want:
			t.Errorf("%s: got %q, want %q", name, answer.Body, c.want)
		}
	}
}

// Two clients have no connection in common, so that one tenant's certificate never speaks for another.
func TestClientsShareNoConnections(t *testing.T) {
	t.Parallel()
	from := make(chan string, 3)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { from <- r.RemoteAddr })
	one, other := client(t), client(t)
	for _, c := range []*egress.Client{one, one, other} {
		if _, err := c.Do(t.Context(), post(s.URL, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if a, b, c := <-from, <-from, <-from; a != b || a == c {
		t.Errorf("one client came from %s and %s, the other from %s", a, b, c)
	}
}

func TestConnectionsToAHostAreBounded(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	entered, leave := make(chan struct{}, 20), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		entered <- struct{}{}
		<-leave
		now.Add(-1)
	})
	c := client(t, func(c *egress.Config) { c.ConnsPerHost = 2 })
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), post(s.URL, "x")); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	<-entered
	r := post(s.URL, "x")
	r.Timeout = 50 * time.Millisecond
	_, err := c.Do(t.Context(), r)
	wantKind(t, "one more", err, egress.Timeout)
	close(leave)
	wg.Wait()
	if n := most.Load(); n != 2 {
		t.Errorf("%d connections at once, want 2", n)
	}
}

// What a tenant is told has no address, name or secret in it, and is the same for all that is forbidden.
func TestErrorsTellNothingOfTheNetwork(t *testing.T) {
	t.Parallel()
	gone := endpoint + ":1" // where nobody listens
	resolver := nameServer(t, func(name string) answer {
		switch name {
		case "private.example.org":
			return answer{addresses: []string{"10.0.0.1"}}
		case "loopback.example.org":
			return answer{addresses: []string{"127.0.0.1"}}
		}
		return answer{code: dnsmessage.RCodeNameError}
	})
	c := client(t, func(c *egress.Config) { c.Resolver = resolver })
	forbidden := map[string]bool{}
	for _, url := range []string{
		"https://private.example.org/?token=SECRET", "https://loopback.example.org/?token=SECRET", "https://10.0.0.1/?token=SECRET", "https://127.0.0.1/?token=SECRET", "https://169.254.169.254/?token=SECRET", "https://1.1.1.1:22/?token=SECRET",
		"http://" + gone + "/?token=SECRET", "https://none.example.org/?token=SECRET", "https://user:SECRET@example.org/", "https://example.org:SECRET/",
	} {
		_, err := c.Do(t.Context(), post(url, "SECRET"))
		if err == nil {
			t.Errorf("%s: no error", url)
			continue
		}
		for _, word := range []string{"SECRET", "10.0.0.1", "127.0.0", "169.254", "example.org", "dial", "tcp"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q holds %s", url, err, word)
			}
		}
		e := err.(*egress.Error) //nolint:errorlint,forcetypeassert // exactly this type
		if strings.Contains(e.Cause().Error(), "SECRET") {
			t.Errorf("%s: the cause %q holds the secret", url, e.Cause())
		}
		if e.Kind == egress.NotAllowed {
			forbidden[err.Error()] = true
		}
	}
	_, err := c.Do(t.Context(), post("http://"+gone, "x"))
	wantKind(t, "nobody listens", err, egress.Connect)
	if len(forbidden) != 1 {
		t.Errorf("what is forbidden is said in %d ways: %v", len(forbidden), forbidden)
	}
}

func TestRequestsThatCannotBeSentAreRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]egress.Request{
		"value": {Header: http.Header{"X": {"a\r\nHost: b"}}}, "name": {Header: http.Header{"X: a\r\nY": {"b"}}}, "host": {Header: http.Header{"Host": {"b"}}}, "method": {Method: "GET / HTTP/1.1\r\nX: "},
	} {
		r.URL = "http://" + endpoint + ":1/" // where nobody listens: it is refused before it is sent
		_, err := client(t).Do(t.Context(), r)
		wantKind(t, name, err, egress.Invalid)
	}
}
