// Package egresstest has certificates for tests of outgoing requests.
package egresstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	PEM         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority returns an authority that nobody trusts but who is told to.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.PEM, _, a.certificate, a.key = issue(tb, template, nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	return a
}

// Issue returns a certificate and its key, both PEM, for clients of a name and for servers at a loopback address.
func (a *Authority) Issue(tb testing.TB, name string) (certificate, key string) {
	tb.Helper()
	return a.IssueFor(tb, name, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
}

// IssueFor does so for a time.
func (a *Authority) IssueFor(tb testing.TB, name string, begins, expires time.Time) (certificate, key string) {
	tb.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	certificate, key, _, _ = issue(tb, template, a, begins, expires)
	return certificate, key
}

// Serve starts an endpoint whose certificate the authority has issued, and which asks clients for theirs. l may be nil.
func (a *Authority) Serve(tb testing.TB, l net.Listener, ask tls.ClientAuthType, h http.HandlerFunc) *httptest.Server {
	tb.Helper()
	certificate, key := a.Issue(tb, "server")
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(a.certificate)
	s := httptest.NewUnstartedServer(h)
	if l != nil {
		s.Listener.Close()
		s.Listener = l
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: ask, ClientCAs: trusted}
	s.StartTLS()
	tb.Cleanup(s.Close)
	return s
}

func issue(tb testing.TB, template *x509.Certificate, by *Authority, begins, expires time.Time) (string, string, *x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template.NotBefore, template.NotAfter = begins, expires
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		tb.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), made, key
}
