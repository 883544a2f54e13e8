package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
)

// parts says of which parts of a request there is a time.
func parts(tb testing.TB, timing egress.Timing) (out string) {
	tb.Helper()
	for _, p := range []struct {
		name string
		took *time.Duration
	}{{"lookup ", timing.Lookup}, {"connect ", timing.Connect}, {"tls ", timing.TLS}, {"first byte ", timing.FirstByte}} {
		if p.took == nil {
			continue
		}
		if *p.took < 0 || *p.took > 10*time.Second {
			tb.Errorf("%stook %v", p.name, *p.took)
		}
		out += p.name
	}
	return out
}

func TestThePartsOfARequestAreTimed(t *testing.T) {
	t.Parallel()
	authority := egresstest.NewAuthority(t)
	hold := make(chan struct{})
	l := listen(t, endpoint, 0)
	authority.Serve(t, l, tls.NoClientCert, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			<-hold
		}
	})
	t.Cleanup(func() { close(hold) })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.PEM))
	resolver := nameServer(t, func(string) answer { return answer{addresses: []string{endpoint}} })
	c := client(t, func(c *egress.Config) { c.RootCAs, c.Resolver = roots, resolver })
	var timing egress.Timing
	ask := func(url string, timeout time.Duration) error {
		timing = egress.Timing{}
		_, err := c.Do(t.Context(), egress.Request{Method: http.MethodPost, URL: url, Body: []byte("x"), Timeout: timeout, Timing: &timing})
		return err
	}
	host := "https://" + l.Addr().String()
	if err := ask(host+"/", 10*time.Second); err != nil || parts(t, timing) != "connect tls first byte " {
		t.Errorf("the first request: %s, %v", parts(t, timing), err)
	}
	if err := ask(host+"/", 10*time.Second); err != nil || parts(t, timing) != "first byte " {
		t.Errorf("the second one on the connection: %s, %v", parts(t, timing), err)
	}
	if err := ask(host+"/hangs", 3*time.Second); egress.KindOf(err) != egress.Timeout || parts(t, timing) != "first byte " || *timing.FirstByte < 500*time.Millisecond {
		t.Errorf("one that is not answered: %s, %v", parts(t, timing), err)
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	if err := ask(fmt.Sprintf("http://example.com:%d/", portOf(plain.Listener)), 10*time.Second); err != nil || parts(t, timing) != "lookup connect first byte " {
		t.Errorf("by name: %s, %v", parts(t, timing), err)
	}
	mute := listen(t, endpoint, 0) // nobody speaks TLS there
	go func() {
		for {
			conn, err := mute.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn); conn.Close() }(conn)
		}
	}()
	if err := ask(fmt.Sprintf("https://%s/", mute.Addr()), 3*time.Second); err == nil || parts(t, timing) != "connect tls " || *timing.TLS < 500*time.Millisecond {
		t.Errorf("where nobody speaks TLS: %s, %v", parts(t, timing), err)
	}
}
