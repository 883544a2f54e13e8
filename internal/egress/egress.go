// Package egress makes the requests that leave an installation: deliveries of webhooks, the documents of identity providers,
// alarms. Their URLs come from tenants, so it holds that an address is checked when a connection to it is about to be
// made, by us or by the proxy through which they all go, whatever name, redirect or trick led there; that an exchange ends in time, its answer included; and that what
// comes back is bounded.
//
// A request is sent once. net/http itself sends some a second time when a connection breaks; here that happens only to
// one that met a connection which the other side had closed while it was idle, and the answer says so.
package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// The limits of an exchange, where a Config or a Request says nothing.
const (
	DefaultTimeout      = 15 * time.Second // of the whole exchange
	MaxTimeout          = 30 * time.Second
	DefaultMaxBody      = 64 << 10 // bytes of the answer
	DefaultConnsPerHost = 64

	connectTimeout   = 5 * time.Second // with the lookup of the name, over all of its addresses
	handshakeTimeout = 5 * time.Second
	// idleTimeout is shorter than that of common servers, so that seldom a connection is closed just as it is used.
	idleTimeout = 4 * time.Second
	// idleConnsPerHost is as many as one webhook uses at the same time: with fewer, most of its requests would need a new one.
	idleConnsPerHost = 16
	headerLimit      = 32 << 10
	keepAlive        = 15 * time.Second
)

// Config is how a client works. The zero value is a good one.
type Config struct {
	Policy Policy
	// UserAgent of requests that have none. Default "Sluice".
	UserAgent string
	// ConnsPerHost bounds the connections to one host; further requests wait for one, in their own time. Default 64.
	ConnsPerHost int
	// RootCAs are trusted instead of those of the system. Default nil.
	RootCAs *x509.CertPool
	// Certificates are shown to endpoints that ask for one. A client with a certificate must not serve two tenants, because
	// connections are used again. Default none.
	Certificates []tls.Certificate
	// Proxy is through which all connections go. Default none, also where the environment names one.
	Proxy Proxy
	// Resolver looks names up. Default: that of the system.
	Resolver *net.Resolver
	// Logger learns of addresses that were refused, with the name that led there. Default: nobody.
	Logger *slog.Logger
}

// Client makes requests. It may be used by many goroutines; connections are its own and are used again.
type Client struct {
	config Config
	common transports // of requests without an identity
	owned  identities

	refused atomic.Uint64
	// own returns the addresses of this machine's interfaces.
	own func() ([]net.Addr, error)
}

// New returns a client. Close it when it is no longer needed.
func New(c Config) *Client {
	if c.UserAgent == "" {
		c.UserAgent = "Sluice"
	}
	if c.ConnsPerHost == 0 {
		c.ConnsPerHost = DefaultConnsPerHost
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	client := &Client{config: c, own: net.InterfaceAddrs}
	client.common = client.transports(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs, Certificates: c.Certificates})
	return client
}

// transports make connections that show the same certificate and trust the same authorities.
type transports struct {
	pooled *http.Transport
	fresh  *http.Transport // never uses a connection twice
}

func (c *Client) transports(secure *tls.Config) transports {
	t := transports{pooled: c.transport(secure), fresh: c.transport(secure)}
	t.fresh.DisableKeepAlives = true
	return t
}

func (c *Client) transport(secure *tls.Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 brings floods of frames, and nothing to single requests
	return &http.Transport{
		Proxy:                  nil, // one from the environment would make the connections, past the guard
		DialContext:            c.dial,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    handshakeTimeout,
		DisableCompression:     true, // a small answer could become a large one
		MaxResponseHeaderBytes: headerLimit,
		MaxConnsPerHost:        c.config.ConnsPerHost,
		MaxIdleConnsPerHost:    idleConnsPerHost,
		IdleConnTimeout:        idleTimeout,
		Protocols:              protocols,
	}
}

// Close closes connections that are idle. Requests that are under way end as they would.
func (c *Client) Close() {
	c.common.pooled.CloseIdleConnections()
	c.owned.close()
}

// Refused returns how many connections the policy has forbidden.
func (c *Client) Refused() uint64 { return c.refused.Load() }

// Policy returns where requests may go.
func (c *Client) Policy() *Policy { return &c.config.Policy }

// dial connects to a host. A name is looked up as it stands, without the search domains of this machine.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if c.config.Proxy.Host != "" {
		limited, stop := context.WithTimeout(ctx, connectTimeout)
		defer stop()
		return c.tunnel(limited, host, port)
	}
	if _, err := netip.ParseAddr(host); err != nil && !strings.HasSuffix(host, ".") {
		address = net.JoinHostPort(host+".", port)
	}
	d := net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive, Resolver: c.config.Resolver, Control: func(network, to string, _ syscall.RawConn) error {
		if c.permits(network, to) {
			return nil
		}
		c.refuse(host, to)
		return errNotAllowed
	}}
	return d.DialContext(ctx, network, address)
}

// refuse notes that an address is forbidden to which a host has led.
func (c *Client) refuse(host, address string) {
	c.refused.Add(1)
	c.config.Logger.Warn("outgoing connection refused", slog.String("host", host), slog.String("address", address))
}

// permits judges the address that a socket is about to connect to.
func (c *Client) permits(network, address string) bool {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" || !c.config.Policy.Permits(to) {
		return false
	}
	a := to.Addr().Unmap()
	return contains(c.config.Policy.Allow, a) || !c.isOwn(a)
}

// isOwn reports whether an address, which is public, is one of this machine. What cannot be found out counts as one.
func (c *Client) isOwn(a netip.Addr) bool {
	all, err := c.own()
	if err != nil {
		return true
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err != nil || p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

// Request is a request to be made.
type Request struct {
	Method string // default GET
	URL    string
	// Header is sent as it is. It is the caller's own: what users add goes through CheckHeaders first.
	Header http.Header
	Body   []byte
	// Timeout of the whole exchange, with the reading of the answer; at most MaxTimeout. Default DefaultTimeout.
	Timeout time.Duration
	// MaxBody is how many bytes of the answer's body are read. Default DefaultMaxBody.
	MaxBody int
	// Identity is what the connection shows and trusts. Default: the client's own.
	Identity *Identity
	// Timing gets how long the parts of the request took, also when it failed; of one that was sent again those of the last time. Default:
	// nobody measures.
	Timing *Timing
	// Whole makes a longer body an error of kind TooLarge. Otherwise it is cut, and the answer says so.
	Whole bool
}

// Response is an answer, whatever its status: redirects are not followed.
type Response struct {
	Status    int
	Header    http.Header
	Body      []byte // as it came, perhaps compressed
	Truncated bool   // the body was longer
	// Resent says that the request met a connection which the endpoint had closed, and was sent again on a new one.
	Resent bool
}

// Do makes a request. The error is always an *Error.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	req, err := c.request(r)
	if err != nil {
		return nil, err
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, min(timeout, MaxTimeout))
	defer cancel() // after the body has been read

	t := c.common
	if r.Identity != nil {
		t = c.owned.of(c, r.Identity)
	}
	answer, stale, err := c.send(limited, t.pick(r), req, r)
	if stale {
		if answer, _, err = c.send(limited, t.fresh, req, r); err == nil {
			answer.Resent = true
		}
	}
	if err != nil {
		return nil, classify(ctx, err)
	}
	return answer, nil
}

// request checks what is asked for.
func (c *Client) request(r Request) (*http.Request, error) {
	u, err := c.config.Policy.CheckURL(r.URL)
	if err != nil {
		return nil, err
	}
	if r.Method != "" && !httpguts.ValidHeaderFieldName(r.Method) { // the same signs
		return nil, invalid("%.20q is no method.", r.Method)
	}
	for name, values := range r.Header {
		if err := checkHeader(name, values); err != nil {
			return nil, err
		}
	}
	req := &http.Request{Method: r.Method, URL: u, Host: u.Host, Header: r.Header.Clone()}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.config.UserAgent)
	}
	return req, nil
}

// pick returns the transport for a request. One without a body is sent again by net/http on its own if it has an
// Idempotency-Key, unless its connection is new.
func (t transports) pick(r Request) *http.Transport {
	if len(r.Body) == 0 && r.Method != "" && r.Method != http.MethodGet {
		return t.fresh
	}
	return t.pooled
}

// send sends a request and reads the answer. stale reports that the connection had been used before and turned out to be
// closed, without a byte of an answer.
func (c *Client) send(ctx context.Context, t *http.Transport, req *http.Request, r Request) (answer *Response, stale bool, err error) {
	var reused, begun atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused.Store(info.Reused) }}
	var w stopwatch
	if r.Timing != nil {
		w.watch(trace)
		defer func() { *r.Timing = w.read(reused.Load()) }()
	}
	trace.GotFirstResponseByte = func() {
		begun.Store(true)
		w.end(firstByte)
	}
	req = req.WithContext(httptrace.WithClientTrace(ctx, trace))
	if len(r.Body) > 0 { // without GetBody, so that net/http cannot send it again
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.Body)), int64(len(r.Body))
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, reused.Load() && !begun.Load() && isClosed(err), err
	}
	defer res.Body.Close() // what was not read is not read now either: the connection is closed
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil, false, fail(Protocol, errors.New("the endpoint switched protocols"))
	}
	answer = &Response{Status: res.StatusCode, Header: res.Header}
	limit := r.MaxBody
	if limit <= 0 {
		limit = DefaultMaxBody
	}
	if answer.Body, err = io.ReadAll(io.LimitReader(res.Body, int64(limit)+1)); err != nil {
		return nil, false, fmt.Errorf("read the answer: %w", err)
	}
	if len(answer.Body) > limit {
		answer.Body, answer.Truncated = answer.Body[:limit], true
		if r.Whole {
			return nil, false, fail(TooLarge, fmt.Errorf("more than %d bytes", limit))
		}
	}
	return answer, false, nil
}
