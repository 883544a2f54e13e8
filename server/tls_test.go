package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// pairs writes certificates that sign themselves.
type pairs struct{ cert, key string }

func newPairs(tb testing.TB) pairs {
	dir := tb.TempDir()
	return pairs{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

// write replaces the files by a certificate with a serial number.
func (p pairs) write(tb testing.TB, serial int64, change ...func(*x509.Certificate)) *x509.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"queues.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	for _, f := range change {
		f(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	put(tb, p.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	put(tb, p.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

// put replaces a file, so that nobody sees half of it.
func put(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func (p pairs) use(c *server.Config) { c.TLSCert, c.TLSKey = p.cert, p.key }

// trusting returns a client of its own that trusts some certificates.
func trusting(tb testing.TB, roots ...*x509.Certificate) *http.Client {
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// serialOf returns which certificate a new connection is shown.
func serialOf(tb testing.TB, url string) int64 {
	tb.Helper()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := d.DialContext(tb.Context(), "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTheListenerSpeaksTLS(t *testing.T) {
	t.Parallel()
	p := newPairs(t)
	root := p.write(t, 1)
	s := servertest.New(t, p.use)
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Fatalf("the server is at %s", s.URL())
	}
	c := trusting(t, root)
	a := ask(t.Context(), c, http.MethodGet, s.URL()+"/v1/queues", s.Key, "")
	if a.err != nil || a.status != http.StatusOK {
		t.Errorf("got %s, %v", a, a.err)
	}
	if got := a.header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("an address is pinned to TLS: %s", got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "queues.example.com"
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Proto != "HTTP/1.1" || resp.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("got %s with %v", resp.Proto, resp.Header)
	}
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}}
		conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "https://"))
		if err == nil {
			conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: got %v", tls.VersionName(version), err)
		}
	}
	config := server.DefaultConfig()
	config.Listen, config.DataDir = strings.TrimPrefix(s.URL(), "https://"), s.DataDir
	p.use(&config)
	for _, f := range server.Doctor(t.Context(), config) {
		if f.Check == "server" && f.Verdict != server.VerdictOK {
			t.Errorf("the doctor finds %+v", f)
		}
	}
	plain := call(t, http.MethodGet, strings.Replace(s.URL(), "https://", "http://", 1), "", "")
	if plain.status != http.StatusBadRequest || !strings.Contains(plain.body, "HTTPS") {
		t.Errorf("plain HTTP is answered with %s", plain)
	}
	if s.MetricsURL() == "" || call(t, http.MethodGet, s.MetricsURL()+"/readyz", "", "").status != http.StatusOK {
		t.Error("the metrics listener does not speak plain HTTP")
	}
	conn := dial(t, strings.Replace(s.URL(), "https://", "http://", 1)) // says nothing
	if _, took := ended(t, conn, 15*time.Second); took > 10*time.Second {
		t.Errorf("a handshake that never comes held a connection for %s", took)
	}
}

// A new certificate is for new connections; those that are there go on, and so does a receive that waits.
func TestACertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	p := newPairs(t)
	first := p.write(t, 1)
	s := servertest.New(t, p.use)
	c := trusting(t, first)
	queue := ""
	if a := ask(t.Context(), c, http.MethodPut, s.URL()+"/v1/queues/tls", s.Key, "{}"); a.status/100 == 2 {
		queue = s.URL() + "/v1/queues/tls"
	} else {
		t.Fatalf("got %s, %v", a, a.err)
	}
	waiting := make(chan answer, 1)
	go func() {
		waiting <- ask(context.WithoutCancel(t.Context()), c, http.MethodPost, queue+"/receive?wait=20", s.Key, "")
	}()
	until(t, "the receive waits", func() bool {
		return strings.Contains(call(t, http.MethodGet, s.MetricsURL()+"/metrics", "", "").body, "sluice_waiting_receives 1")
	})
	ask(t.Context(), c, http.MethodGet, s.URL()+"/healthz", "", "") // a connection that is idle from here on

	p.write(t, 2)
	s.Reload()
	if got := serialOf(t, s.URL()); got != 2 {
		t.Errorf("a new connection is shown certificate %d, want 2", got)
	}
	reused := false
	traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	if a := ask(traced, c, http.MethodPost, queue+"/messages", s.Key, "hello"); a.status/100 != 2 || !reused {
		t.Errorf("on the connection from before: %s, %v, the same connection: %t", a, a.err, reused)
	}
	if a := <-waiting; a.err != nil || !strings.Contains(a.body, "hello") {
		t.Errorf("the receive that waited: %s, %v", a, a.err)
	}

	// What cannot be used changes nothing, and is said in the log.
	good, err := os.ReadFile(p.cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "nonsense", strings.Replace(string(good), "M", "N", 5)} {
		put(t, p.cert, bad)
		s.Reload()
		if got := serialOf(t, s.URL()); got != 2 {
			t.Errorf("with a bad file a connection is shown certificate %d", got)
		}
	}
	if err := os.Remove(p.key); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	until(t, "the log says so", func() bool { return strings.Contains(s.Log.String(), "the old one stays") })

	p.write(t, 3) // found without being told
	until(t, "the new certificate is shown", func() bool { return serialOf(t, s.URL()) == 3 })
}

func TestCertificatesThatAreOfNoUse(t *testing.T) {
	t.Parallel()
	good, other := newPairs(t), newPairs(t)
	good.write(t, 1)
	other.write(t, 2)
	empty := filepath.Join(t.TempDir(), "empty")
	put(t, empty, "")
	for name, c := range map[string]struct {
		pair pairs
		want string
	}{
		"no certificate": {pairs{good.cert + "x", good.key}, "no such file"}, "no key": {pairs{good.cert, good.key + "x"}, "no such file"},
		"swapped": {pairs{good.key, good.cert}, "PEM"}, "empty": {pairs{empty, empty}, "PEM"}, "another key": {pairs{good.cert, other.key}, "does not match"},
		"only a certificate": {pairs{good.cert, ""}, "needs tls_key"}, "only a key": {pairs{"", good.key}, "tls_cert must be set"},
	} {
		config := server.DefaultConfig()
		config.DataDir, config.Listen, config.MetricsListen = t.TempDir(), "127.0.0.1:0", ""
		c.pair.use(&config)
		s, err := server.New(config, server.WithLog(io.Discard))
		if s != nil {
			_ = s.Close()
		}
		if !errors.Is(err, server.ErrUsage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		} else if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v shows the key", name, err)
		}
	}

	for want, c := range map[string]struct {
		change func(*x509.Certificate)
		host   string
	}{
		"it expired at":           {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, ""},
		"it is not valid before":  {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, ""},
		"it is not for other.com": {func(*x509.Certificate) {}, "https://other.com"},
	} {
		p := newPairs(t)
		p.write(t, 1, c.change)
		var log servertest.Buffer
		config, err := server.LoadConfig([]string{"--public-url=" + c.host}, nil)
		if err != nil {
			t.Fatal(err)
		}
		config.DataDir, config.Listen, config.MetricsListen, config.LogFormat = t.TempDir(), "127.0.0.1:0", "", "text"
		p.use(&config)
		s, err := server.New(config, server.WithLog(&log))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil || !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log (%v): %s", want, err, log.String())
		}
	}
}

// The program reads its certificate again when it gets a SIGHUP, and without one a SIGHUP ends it, as that of a terminal
// that closes should.
func TestHangupReadsTheCertificateAgain(t *testing.T) {
	t.Parallel()
	p := newPairs(t)
	p.write(t, 1)
	secure := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{"SLUICE_TLS_CERT=" + p.cert, "SLUICE_TLS_KEY=" + p.key}})
	url := strings.Replace(secure.URL, "http://", "https://", 1)
	until(t, "it is ready", func() bool { return isReady(secure.MetricsURL) })
	if got := serialOf(t, url); got != 1 {
		t.Fatalf("certificate %d is shown", got)
	}
	p.write(t, 2)
	secure.Signal(syscall.SIGHUP)
	within(t, 4*time.Second, "the new certificate is shown", func() bool { return serialOf(t, url) == 2 })

	if signal.Ignored(syscall.SIGHUP) {
		return // so it is for the programs that this one starts
	}
	plain := servertest.StartProcess(t, servertest.ProcessOptions{})
	plain.WaitReady()
	plain.Signal(syscall.SIGHUP)
	if _, err := plain.Wait(patience); err != nil {
		t.Errorf("it still runs: %v", err)
	}
}
