package handlers

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// cookie is a kind of cookie. Browsers take its first name only with Secure, for this host alone and from nobody else. The second
// one is for networks where there is no TLS and whose operator has said that this is fine.
type cookie struct {
	name, insecureName string
	sameSite           http.SameSite
}

var (
	sessionCookie = cookie{"__Host-sluice-session", "sluice-session", http.SameSiteStrictMode}
	// pendingCookie is that of who is on the way through an identity provider, from where his browser comes back with it.
	pendingCookie = cookie{"__Host-sluice-sign-in", "sluice-sign-in", http.SameSiteLaxMode}
)

var (
	errInsecureConnection = &errs.Error{Kind: errs.Forbidden, Code: "insecure_connection",
		Message: "This connection is not encrypted, so whoever is on the way could take the session.",
		Fix:     "Use https, or http://localhost on the machine itself. Behind a proxy that speaks TLS, set SLUICE_PUBLIC_URL to its https address. On a network where nobody listens, set SLUICE_INSECURE_COOKIES=true."}
	errCrossOrigin = &errs.Error{Kind: errs.Forbidden, Code: "cross_origin",
		Message: "A page of another site asked a browser for this.",
		Fix:     "Programs use a key, as \"Authorization: Bearer slk_…\", and no cookie."}
	errTwoCookies = &errs.Error{Kind: errs.Malformed, Code: errMalformed.Code,
		Message: "The request carries two cookies of sessions.",
		Fix:     "Delete the cookies of this address and sign in again."}
	errFormMedia = &errs.Error{Kind: errs.Malformed, Code: codeMediaType,
		Message: "Pages of other sites can send bodies of this content type, so with a session none is taken.",
		Fix:     "Send JSON, as application/json.",
		Fields:  []errs.Field{{Header: "Content-Type", Code: "not_supported", Message: "must be application/json"}}}
)

// cookieOf returns the session in the cookies of a request, "" for none.
func (a *API) cookieOf(h http.Header) (text string, err error) { return a.readCookie(h, sessionCookie) }

// readCookie returns what one kind of cookie of a request holds, "" for none.
func (a *API) readCookie(h http.Header, kind cookie) (text string, err error) {
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if name != kind.name && (name != kind.insecureName || !a.InsecureCookies) {
				continue
			}
			if text != "" {
				return "", errTwoCookies
			}
			text = value
		}
	}
	return text, nil
}

// newCookie returns the cookie for a session that ends at a time, as the connection of a request allows it.
func (a *API) newCookie(r *http.Request, text string, ends time.Time) (*http.Cookie, error) {
	return a.makeCookie(r, sessionCookie, text, ends)
}

// makeCookie returns a cookie that ends at a time, or has the browser forget one that has no text.
func (a *API) makeCookie(r *http.Request, kind cookie, text string, ends time.Time) (*http.Cookie, error) {
	//nolint:gosec // Secure is taken away below only where the operator allows it
	c := &http.Cookie{Name: kind.name, Value: text, Path: "/", Secure: true, HttpOnly: true, SameSite: kind.sameSite}
	switch {
	case a.isHTTPS(r) || isLoopback(r.Host):
	case a.InsecureCookies:
		c.Name, c.Secure = kind.insecureName, false
	default:
		return nil, errInsecureConnection
	}
	c.MaxAge = wholeSeconds(ends.Sub(a.Clock.Now()))
	if text == "" {
		c.MaxAge = -1
	}
	return c, nil
}

func (a *API) isHTTPS(r *http.Request) bool {
	return r.TLS != nil || a.HTTPS != nil && a.HTTPS(r)
}

// isLoopback reports whether a browser takes a host for its own machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// takesAnyBody are the operations whose body is a message or a value, of whatever content type.
var takesAnyBody = map[string]bool{"sendMessage": true, "publishMessage": true, "putGroupState": true, "redriveMessage": true}

// refuseForged refuses what a page of another site may have made a browser send, with the cookie of somebody who is signed
// in. Browsers say in a header from where a request comes; programs say nothing. What only reads is refused too: it may be a
// stream. Beside that no body is taken that a plain form of another site could send.
func (a *API) refuseForged(r *http.Request, operation string) error {
	if a.crossOrigin(r) {
		return errCrossOrigin
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || takesAnyBody[operation] {
		return nil
	}
	value := r.Header.Get("Content-Type")
	if value == "" && r.ContentLength == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(value)
	if err != nil || media == formMedia || media == "multipart/form-data" || media == "text/plain" {
		return errFormMedia
	}
	return nil
}

func (a *API) crossOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
	case "same-origin", "none":
		return false
	default:
		return true
	}
	origin := r.Header.Get("Origin") // of browsers without the other header, and where there is no TLS
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || u.Host != r.Host && (a.PublicURL == nil || u.Host != a.PublicURL.Host)
}
