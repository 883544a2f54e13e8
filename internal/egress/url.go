package egress

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// MaxURL is how long a URL may be, in bytes.
const MaxURL = 2048

// CheckURL returns a URL in the one form in which it is stored and requested: scheme and host in lower case, the host in
// ASCII. The error is of kind Invalid or NotAllowed, and its message is for the one who wrote the URL.
//
// What it refuses by address or name is a courtesy, so that a mistake shows at once. What keeps requests inside the policy
// is the check of the address that a connection is about to be made to.
func (p *Policy) CheckURL(raw string) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, invalid("The URL has %d bytes, and at most %d are allowed.", len(raw), MaxURL)
	}
	if i := strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f || r == '\ufffd' }); i >= 0 {
		return nil, invalid("The URL has a space, a backslash, a control character or one that is not UTF-8. Escape it, such as %%20.")
	}
	u, err := url.Parse(raw)
	if err != nil { // its text repeats the URL, which may hold a secret
		return nil, invalid("This is no URL. One looks like https://example.com/hooks.")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, invalid("The URL must begin with https://.")
	case u.Scheme == "http" && !p.AllowHTTP:
		return nil, &Error{Kind: NotAllowed, Message: "The URL must begin with https://: the operator does not allow plain http."}
	case u.Opaque != "" || u.Host == "":
		return nil, invalid("The URL has no host. One looks like https://example.com/hooks.")
	case u.User != nil:
		return nil, invalid("The URL has a user name or a password in it. Set them as a credential instead.")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, invalid("The URL has a part behind #, which is never sent.")
	}
	host, err := p.host(u)
	if err != nil {
		return nil, err
	}
	clean := &url.URL{Scheme: u.Scheme, Host: host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	again, err := url.Parse(clean.String())
	if err != nil || again.Host != clean.Host || again.Path != clean.Path || again.RawQuery != clean.RawQuery || again.User != nil {
		return nil, invalid("This is no URL. One looks like https://example.com/hooks.")
	}
	return again, nil
}

// host returns host and port of a URL in their one form, without the port that goes without saying.
func (p *Policy) host(u *url.URL) (string, error) {
	port := uint16(443)
	if u.Scheme == "http" {
		port = 80
	}
	if written := u.Port(); written != "" {
		n, err := strconv.ParseUint(written, 10, 16)
		if err != nil || n == 0 {
			return "", invalid("The port of the URL must be from 1 to 65535.")
		}
		port = uint16(n)
	} else if strings.HasSuffix(u.Host, ":") {
		return "", invalid("The URL has a : without a port behind it.")
	}
	name, err := p.name(u.Hostname(), strings.HasPrefix(u.Host, "["), port)
	if err != nil {
		return "", err
	}
	if u.Port() == "" || u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80 {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		return name, nil
	}
	return net.JoinHostPort(name, strconv.Itoa(int(port))), nil
}

func (p *Policy) name(host string, bracketed bool, port uint16) (string, error) {
	if !bracketed {
		host = strings.TrimSuffix(strings.ToLower(host), ".")
		if !isName(host) || strings.Contains(host, "xn--") {
			ascii, err := idna.Lookup.ToASCII(host)
			if err != nil || !isName(ascii) {
				return "", invalid("The host of the URL is no name and no address.")
			}
			host = ascii
		}
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && (a.Zone() != "" || a.Is4() == bracketed):
		return "", invalid("The host of the URL is no name and no address.")
	case err == nil && !p.Permits(netip.AddrPortFrom(a, port)):
		return "", fail(NotAllowed, fmt.Errorf("the URL is for %s, port %d", a, port))
	case err == nil:
		return a.String(), nil
	case bracketed || isNumber(host[strings.LastIndexByte(host, '.')+1:]): // some resolvers take 0x7f.1 for 127.0.0.1
		return "", invalid("The host of the URL is no name and no address. An IPv4 address is four decimal numbers.")
	case len(p.Allow) == 0 && (isLocal(host) || !p.permitsPort(port)): // else it may be one of the networks that are allowed
		return "", fail(NotAllowed, fmt.Errorf("the URL is for %s, port %d", host, port))
	}
	return host, nil
}

// isName reports whether s may be a host name or an IPv4 address in ASCII. Names of containers may have underscores.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// isNumber reports whether a label is decimal, octal or hexadecimal, which the last one of a name never is.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// isLocal reports whether a name is never one of the public internet.
func isLocal(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	switch host[dot+1:] {
	case "localhost", "local", "internal", "lan", "intranet", "corp", "home", "test", "invalid":
		return true
	}
	return dot < 0 || strings.HasSuffix(host, ".home.arpa")
}

func invalid(format string, args ...any) *Error {
	return &Error{Kind: Invalid, Message: fmt.Sprintf(format, args...)}
}
