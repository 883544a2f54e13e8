package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Proxy is an HTTP proxy through which all connections go, by CONNECT. The zero value is none. It prints without its user and password.
type Proxy struct {
	Host               string // and port
	TLS                bool   // it is spoken to by TLS
	Username, Password string // "": none
}

// maxProxyCredential bounds the user name and the password, in bytes.
const maxProxyCredential = 256

var errProxy = errors.New("must be an address with a port, such as http://proxy.example.com:3128 or https://user:password@10.0.0.1:3129, with escapes in user and password where they have other characters")

// UnmarshalText reads an http or https URL. Its errors do not repeat the text, which may hold a password.
func (p *Proxy) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Proxy{}
		return nil
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return errProxy
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	a, notAddress := netip.ParseAddr(u.Hostname())
	if err != nil || port == 0 || notAddress != nil && !isName(strings.ToLower(u.Hostname())) || a.Zone() != "" {
		return errProxy
	}
	out := Proxy{Host: net.JoinHostPort(u.Hostname(), u.Port()), TLS: u.Scheme == "https"}
	if u.User != nil {
		out.Username = u.User.Username()
		out.Password, _ = u.User.Password()
		if out.Username == "" || strings.Contains(out.Username, ":") || max(len(out.Username), len(out.Password)) > maxProxyCredential {
			return fmt.Errorf("must have a user name without a colon, and %d bytes of it and of the password at most", maxProxyCredential)
		}
	}
	*p = out
	return nil
}

// String returns the URL with *** for user and password, and "" for none.
func (p Proxy) String() string {
	if p.Host == "" {
		return ""
	}
	text := "http://"
	if p.TLS {
		text = "https://"
	}
	if p.Username != "" {
		text += "***:***@"
	}
	return text + p.Host
}

// Format prints String for every verb.
func (p Proxy) Format(f fmt.State, _ rune) { io.WriteString(f, p.String()) }

// MarshalText keeps user and password out of JSON and of slog.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// maxTunnels bounds the addresses of a name that are tried.
const maxTunnels = 4

// tunnel connects to a host through the proxy. The name is looked up here and the proxy is told the address that the policy
// permits, so that it is no way round the guard: whatever the name leads to for the proxy, it is not asked.
func (c *Client) tunnel(ctx context.Context, host, port string) (net.Conn, error) {
	all, err := c.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	for i, to := range all {
		share := ctx
		if deadline, ok := ctx.Deadline(); ok {
			var stop context.CancelFunc
			share, stop = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(all)-i))
			defer stop()
		}
		conn, failed := c.through(share, to)
		switch {
		case failed == nil:
			return conn, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, ctx.Err()
		case KindOf(failed) == ProxyFailed:
			c.config.Logger.Warn("the proxy for outgoing requests failed", slog.String("proxy", c.config.Proxy.Host), slog.String("error", errors.Unwrap(failed).Error()))
			return nil, failed
		case err == nil:
			err = failed // that of the address which comes first
		}
	}
	return nil, err
}

// targets returns the addresses of a host to which requests may go.
func (c *Client) targets(ctx context.Context, host, port string) ([]netip.AddrPort, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{a}
	} else {
		resolver := c.config.Resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		if found, err = resolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+"."); err != nil {
			return nil, err
		}
	}
	var all []netip.AddrPort
	for _, a := range found {
		to, network := netip.AddrPortFrom(a.Unmap(), uint16(number)), "tcp6"
		if to.Addr().Is4() {
			network = "tcp4"
		}
		switch {
		case !c.permits(network, to.String()):
			c.refuse(host, to.String())
		case len(all) < maxTunnels:
			all = append(all, to)
		}
	}
	if len(all) == 0 {
		return nil, errNotAllowed
	}
	return all, nil
}

// through has the proxy connect to an address.
func (c *Client) through(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	p := c.config.Proxy
	conn, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, "tcp", p.Host)
	if err != nil {
		return nil, fail(ProxyFailed, err)
	}
	if p.TLS {
		host, _, _ := net.SplitHostPort(p.Host) // UnmarshalText has joined it
		secure := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.config.RootCAs, ServerName: host})
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fail(ProxyFailed, err)
		}
		conn = secure
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = p.connect(conn, to, c.config.UserAgent)
	if !stop() && err == nil {
		err = ctx.Err() // its deadline may be set on the connection
	}
	if err != nil {
		_ = conn.Close()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil, fail(Timeout, err) // it tries to reach the endpoint
		}
		return nil, err
	}
	return conn, nil
}

// connect asks the proxy for a connection to an address, and reads its answer.
func (p Proxy) connect(conn net.Conn, to netip.AddrPort, agent string) error {
	ask := "CONNECT " + to.String() + " HTTP/1.1\r\nHost: " + to.String() + "\r\nUser-Agent: " + agent + "\r\n"
	if p.Username != "" {
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.Username+":"+p.Password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, ask+"\r\n"); err != nil {
		return fail(ProxyFailed, err)
	}
	r := bufio.NewReader(io.LimitReader(conn, headerLimit))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // an answer to CONNECT has no body
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return err
	}
	if err != nil {
		return fail(ProxyFailed, fmt.Errorf("it does not answer as a proxy does: %w", err))
	}
	status := answer.StatusCode
	cause := fmt.Errorf("it answered %d", status)
	words := func(kind Kind, text string) error {
		return &Error{Kind: kind, Message: fmt.Sprintf("The proxy of this installation, through which requests go out, %s: it answered %d.", text, status), cause: cause}
	}
	switch {
	case status >= 200 && status < 300 && r.Buffered() > 0:
		return fail(ProxyFailed, errors.New("it sent something before it was asked to"))
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGatewayTimeout:
		return words(Timeout, "got no connection to the endpoint in time")
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable:
		return words(Connect, "got no connection to the endpoint")
	case status == http.StatusProxyAuthRequired || status >= 500:
		return fail(ProxyFailed, cause)
	}
	return words(ProxyRefused, "refuses the connection to the endpoint")
}
