package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sluicemq/sluice/internal/addr"
)

// isForwarded reports whether a header is one by which proxies say for whom they ask. Further inside they are believed
// without a question.
func isForwarded(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Url-Scheme":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// hear removes what a request says of its way here, unless a trusted proxy says so. Only X-Forwarded-For and
// X-Forwarded-Proto are ever believed. Of several schemes the last counts, which is the one that our proxy has added.
func (s *Server) hear(r *http.Request) {
	trusted, passed := s.isTrusted(r.RemoteAddr), false
	for name := range r.Header {
		passed = passed || isForwarded(name)
		if isForwarded(name) && (!trusted || name != "X-Forwarded-For" && name != "X-Forwarded-Proto") {
			delete(r.Header, name)
		}
	}
	if passed {
		*r = *r.WithContext(context.WithValue(r.Context(), passedOn{}, true))
	}
	if said := r.Header["X-Forwarded-Proto"]; len(said) > 0 {
		last := said[len(said)-1]
		last = strings.ToLower(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
		if last != "http" && last != "https" {
			delete(r.Header, "X-Forwarded-Proto")
			return
		}
		r.Header["X-Forwarded-Proto"] = []string{last}
	}
}

// passedOn is the key in the context of a request that has come with headers of a proxy, whether they are believed or not.
type passedOn struct{}

// isLocal reports whether a request was made by a program on this machine, and passed on by nobody. A page in a browser is no
// such program: what it does there it was told elsewhere.
func isLocal(r *http.Request) bool {
	if passed, _ := r.Context().Value(passedOn{}).(bool); passed || !addr.IsLoopback(r.RemoteAddr) {
		return false
	}
	for name := range r.Header {
		if name == "Via" || name == "Origin" || name == "Referer" || name == "Cookie" || strings.HasPrefix(name, "Sec-Fetch-") {
			return false
		}
	}
	return true
}

// isTrusted reports whether an address is one of a proxy that may speak for clients.
func (s *Server) isTrusted(remote string) bool {
	if len(s.config.TrustedProxies) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range s.config.TrustedProxies {
		if p.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// isSecure reports whether a request came over TLS, here or at a trusted proxy.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// Headers of every answer. A handler with something to show sets a policy of its own. They are shared: nobody may change
// the slices.
var (
	noSniff     = []string{"nosniff"}
	noReferrer  = []string{"no-referrer"}
	inertPolicy = []string{"default-src 'none'; frame-ancestors 'none'"}
	onlyTLS     = []string{"max-age=31536000"} // a year
)

// guard sets the headers by which browsers treat answers as data, and come back over TLS. What is reached by an address
// or as localhost is not pinned: other programs have the same name there.
func guard(h http.Header, r *http.Request) {
	h["X-Content-Type-Options"] = noSniff
	h["Referrer-Policy"] = noReferrer
	h["Content-Security-Policy"] = inertPolicy
	if isSecure(r) && !isLocalName(r.Host) {
		h["Strict-Transport-Security"] = onlyTLS
	}
}

func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
