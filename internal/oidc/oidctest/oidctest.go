// Package oidctest is an identity provider for tests: it speaks TLS on a loopback address, publishes keys, signs tokens, and lets
// people sign in without asking them anything.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/egress"
)

// Audience is for whom its tokens are, unless a test says otherwise.
const Audience = "sluice"

// Provider is an identity provider.
type Provider struct {
	// Issuer is its name in tokens, and where it is.
	Issuer string
	// Asked counts the requests for its keys.
	Asked atomic.Int64
	// Down makes it answer 503.
	Down atomic.Bool

	server *httptest.Server
	mu     sync.Mutex
	keys   []Key
	serve  func(w http.ResponseWriter, r *http.Request) bool
	logins logins
}

// Key is a key of a provider.
type Key struct {
	ID      string
	Method  jwt.SigningMethod
	Private crypto.Signer
	// Algorithm is what the provider says of it. Default: nothing.
	Algorithm string
}

// NewKey makes a key for an algorithm: RS256, ES256, ES384 or EdDSA, or another of RSA.
func NewKey(tb testing.TB, id, algorithm string) Key {
	tb.Helper()
	k := Key{ID: id, Method: jwt.GetSigningMethod(algorithm)}
	var err error
	switch algorithm {
	case "EdDSA":
		_, k.Private, err = ed25519.GenerateKey(nil)
	case "ES256":
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		tb.Fatal(err)
	}
	if algorithm != "RS256" {
		k.Algorithm = algorithm
	}
	return k
}

// Start starts a provider with these keys, or with one for EdDSA.
func Start(tb testing.TB, keys ...Key) *Provider {
	return start(tb, (*httptest.Server).StartTLS, keys)
}

// StartPlain starts one without TLS.
func StartPlain(tb testing.TB, keys ...Key) *Provider {
	return start(tb, (*httptest.Server).Start, keys)
}

func start(tb testing.TB, begin func(*httptest.Server), keys []Key) *Provider {
	tb.Helper()
	if len(keys) == 0 {
		keys = []Key{NewKey(tb, "first", "EdDSA")}
	}
	p := &Provider{keys: keys}
	p.server = httptest.NewUnstartedServer(p)
	begin(p.server)
	tb.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	return p
}

// Egress returns a client that reaches the provider and trusts its certificate.
func (p *Provider) Egress(tb testing.TB) *egress.Client {
	roots := x509.NewCertPool()
	if c := p.server.Certificate(); c != nil {
		roots.AddCert(c)
	}
	c := egress.New(egress.Config{RootCAs: roots, Policy: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true}})
	tb.Cleanup(c.Close)
	return c
}

// Rotate gives the provider other keys.
func (p *Provider) Rotate(keys ...Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// Serve has f answer requests, as long as it returns true; nil ends that.
func (p *Provider) Serve(f func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = f
}

// Keys returns its keys.
func (p *Provider) Keys() []Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys
}

// ServeHTTP answers with its two documents, and lets people in.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	serve := p.serve
	p.mu.Unlock()
	if r.URL.Path == "/keys" {
		p.Asked.Add(1)
	}
	switch {
	case p.Down.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
	case serve != nil && serve(w, r):
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.Issuer, "jwks_uri": p.Issuer + "/keys",
			"authorization_endpoint": p.Issuer + "/authorize?tab=1", "token_endpoint": p.Issuer + "/token", "authorization_response_iss_parameter_supported": true})
	case r.URL.Path == "/authorize":
		p.authorize(w, r)
	case r.URL.Path == "/token":
		p.token(w, r)
	case r.URL.Path == "/keys":
		set := []map[string]string{}
		for _, k := range p.Keys() {
			set = append(set, k.JWK())
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// JWK returns the public part of a key.
func (k Key) JWK() map[string]string {
	text := base64.RawURLEncoding.EncodeToString
	j := map[string]string{"kid": k.ID, "use": "sig"}
	if k.Algorithm != "" {
		j["alg"] = k.Algorithm
	}
	switch public := k.Private.Public().(type) {
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", text(public)
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		j["kty"], j["crv"], j["x"], j["y"] = "EC", public.Curve.Params().Name, text(point[1:1+half]), text(point[1+half:])
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", text(public.N.Bytes()), text(big.NewInt(int64(public.E)).Bytes())
	default:
		panic(fmt.Sprintf("a key of %T", public))
	}
	return j
}

// Claims returns good claims: of subject, for an hour from now. Others are added, and nil takes one away.
func (p *Provider) Claims(now time.Time, others map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{"iss": p.Issuer, "aud": Audience, "sub": "ana", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(c, others)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

// Token returns a token with these claims, signed with its first key.
func (p *Provider) Token(tb testing.TB, c jwt.MapClaims) string {
	tb.Helper()
	return p.Keys()[0].Sign(tb, c, nil)
}

// Sign signs claims, with these headers besides its own.
func (k Key) Sign(tb testing.TB, c jwt.MapClaims, header map[string]any) string {
	tb.Helper()
	j := jwt.NewWithClaims(k.Method, c)
	j.Header["kid"] = k.ID
	maps.Copy(j.Header, header)
	var private any = k.Private
	text, err := j.SignedString(private)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
