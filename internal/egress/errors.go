package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Kind says why there is no answer.
type Kind string

// The kinds. Their texts are stable: they may be stored and shown.
const (
	Invalid    Kind = "request_invalid"      // the URL or a header is not one that can be sent
	NotAllowed Kind = "endpoint_not_allowed" // the policy forbids the address, scheme or port
	NoSuchName Kind = "name_not_found"       // the host name does not exist
	DNS        Kind = "dns_failed"           // our resolver failed, which says nothing about the endpoint
	Connect    Kind = "connect_failed"       // refused, or no route
	TLS        Kind = "tls_failed"           // handshake or certificate
	Timeout    Kind = "timeout"              // the time for the whole exchange is over
	Closed     Kind = "connection_closed"    // the connection broke before the answer was whole
	TooLarge   Kind = "response_too_large"   // more headers than are read, or a body that was wanted whole
	Protocol   Kind = "response_invalid"     // what came is no HTTP answer
	Canceled   Kind = "canceled"             // the caller gave up

	ProxyFailed  Kind = "proxy_failed"  // the proxy did not do its part, which says nothing about the endpoint
	ProxyRefused Kind = "proxy_refused" // the proxy does not connect to the endpoint, by its own rules
)

// Error is why there is no answer. What Error returns can be shown to a tenant: it has neither address nor URL, and is the
// same for all that the policy forbids. The cause is for the operator's log.
type Error struct {
	Kind    Kind
	Message string
	cause   error
}

// Error returns a sentence for the one whose endpoint it is.
func (e *Error) Error() string { return e.Message }

// Cause returns what happened in detail, with addresses, for the operator's log. It is never nil.
func (e *Error) Cause() error {
	if e.cause == nil {
		return e
	}
	return e.cause
}

// Unwrap returns the cause, so that a caller recognises its own context's error.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of an error, and "" when it is none of this package.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// messages are what is shown where the cause adds nothing.
var messages = map[Kind]string{
	NotAllowed: "The endpoint is not allowed: requests go to public addresses only, over https on port 443 unless the operator allows more.",
	NoSuchName: "The host name of the endpoint does not exist.",
	DNS:        "The host name of the endpoint could not be looked up.",
	Connect:    "The endpoint did not accept the connection.",
	Timeout:    "The endpoint did not answer in time.",
	Closed:     "The endpoint closed the connection before its answer was complete.",
	TooLarge:   "The answer of the endpoint is too large.",
	Protocol:   "The answer of the endpoint is not a valid HTTP answer.",
	Canceled:   "The request was given up before the endpoint answered.",

	ProxyFailed: "The proxy of this installation, through which requests go out, does not work now.",
}

func fail(kind Kind, cause error) *Error {
	return &Error{Kind: kind, Message: messages[kind], cause: cause}
}

// errNotAllowed is what the guard of the dialer returns.
var errNotAllowed = errors.New("the policy forbids the address")

// classify turns what net/http returned into an Error. parent is the caller's own context.
func classify(parent context.Context, err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errNotAllowed):
		return fail(NotAllowed, err)
	case errors.Is(parent.Err(), context.Canceled):
		return fail(Canceled, parent.Err())
	case isDNS && dns.IsNotFound:
		return fail(NoSuchName, err)
	case isDNS:
		return fail(DNS, err)
	case errors.Is(err, context.DeadlineExceeded) || isNet && timeout.Timeout():
		return fail(Timeout, err)
	}
	if message := tlsMessage(err); message != "" {
		return &Error{Kind: TLS, Message: message, cause: err}
	}
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case isOp && op.Op == "dial":
		return fail(Connect, err)
	case strings.Contains(err.Error(), "server response headers exceeded"): // net/http has no value for it
		return fail(TooLarge, err)
	case isOp || isClosed(err):
		return fail(Closed, err)
	}
	return fail(Protocol, err)
}

// isClosed reports whether the other side ended the connection.
func isClosed(err error) bool {
	for _, one := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, one) {
			return true
		}
	}
	return strings.Contains(err.Error(), "server closed idle connection") // net/http has no value for it
}

// tlsMessage says what is wrong with the encryption, and "" if that is not what is wrong.
func tlsMessage(err error) string {
	_, isPlain := errors.AsType[tls.RecordHeaderError](err)
	if isPlain || strings.Contains(err.Error(), "HTTP response to HTTPS client") { // net/http has no value for it
		return "The endpoint does not speak TLS on this port."
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "The endpoint's certificate is for another host name."
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "The endpoint's certificate is signed by an authority that is not trusted."
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "The endpoint's certificate has expired or is not valid yet."
		}
		return "The endpoint's certificate is not valid."
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "The endpoint's certificate is not valid."
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return "The endpoint refused the TLS handshake."
	}
	if strings.Contains(err.Error(), "tls: ") { // handshake failures are plain errors
		return "The TLS handshake with the endpoint failed: it needs TLS 1.2 or later."
	}
	return ""
}
