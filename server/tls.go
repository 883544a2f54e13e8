package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificateInterval is how often the files of the certificate are looked at. Whoever renews it does so days ahead.
const certificateInterval = 5 * time.Second

// certificate is what the listener shows to clients. It is read again while connections go on.
type certificate struct {
	certFile, keyFile string
	name              string // that clients use, or ""
	logger            *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu    sync.Mutex
	seen  []byte // both files as they were read last, good or not
	fault string // that was logged last
}

// openCertificate reads the files. name is the host of the public address, or "".
func openCertificate(certFile, keyFile, name string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, name: name, logger: logger}
	if _, err := c.reload(); err != nil {
		return nil, fmt.Errorf("%w: tls_cert, tls_key: %w", ErrUsage, err)
	}
	return c, nil
}

// reload reads the files again, if they are not what they were. When they are of no use the certificate stays.
func (c *certificate) reload() (changed bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, err
	}
	both := bytes.Join([][]byte{cert, key}, []byte{0})
	if bytes.Equal(both, c.seen) {
		return false, nil
	}
	c.seen = both
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	for _, w := range doubts(pair.Leaf, c.name, time.Now()) {
		c.logger.Warn("tls certificate: clients may refuse it", "why", w, "file", c.certFile)
	}
	c.current.Store(&pair)
	return true, nil
}

// doubts says why clients may refuse a certificate.
func doubts(leaf *x509.Certificate, name string, now time.Time) (all []string) {
	switch {
	case now.After(leaf.NotAfter):
		all = append(all, "it expired at "+leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		all = append(all, "it is not valid before "+leaf.NotBefore.Format(time.RFC3339))
	}
	if name != "" && leaf.VerifyHostname(name) != nil {
		all = append(all, "it is not for "+name+", the host of public_url")
	}
	return all
}

// update is reload for a server that runs: it logs what came of it, and a fault that lasts once.
func (c *certificate) update() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch changed, err := c.reload(); {
	case err != nil:
		if c.fault != err.Error() {
			c.logger.Error("tls certificate: the new one cannot be used, the old one stays", "error", err)
		}
		c.fault = err.Error()
	case changed:
		c.fault = ""
		c.logger.Info("tls certificate: read again", "expires", c.current.Load().Leaf.NotAfter.Format(time.RFC3339))
	}
}

// watch updates the certificate when its files change, until ctx ends.
func (c *certificate) watch(ctx context.Context) error {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.update()
		}
	}
}

// config is that of a listener. The listener speaks HTTP/1.1 only: streams and websockets need it, and clients of a queue
// gain nothing by HTTP/2.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// openTLS reads the certificate, if there is one.
func (s *Server) openTLS() error {
	if s.config.TLSCert == "" {
		return nil
	}
	var err error
	s.certificate, err = openCertificate(s.config.TLSCert, s.config.TLSKey, s.config.publicHost(), s.logger)
	return err
}

// publicHost is what clients call the server, or "".
func (c Config) publicHost() string {
	if c.PublicURL == nil {
		return ""
	}
	return c.PublicURL.Hostname()
}

// HasTLS reports whether the listener speaks TLS, so that Reload has something to do.
func (s *Server) HasTLS() bool { return s.certificate != nil }

// Reload reads the certificate of the listener again. Connections go on; new ones get the new certificate.
func (s *Server) Reload() {
	if s.HasTLS() {
		s.certificate.update()
	}
}

// serveAPI answers requests until the listener is closed.
func (s *Server) serveAPI() error {
	if !s.HasTLS() {
		return ignoreServerClosed(s.http.Serve(s.api))
	}
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	return ignoreServerClosed(s.http.Serve(tls.NewListener(s.api, s.certificate.config())))
}
