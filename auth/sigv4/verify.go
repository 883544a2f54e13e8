package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// unsigned stands for the digest of a body that the signature does not cover.
const unsigned = "UNSIGNED-PAYLOAD"

// Payload is the body of a request.
type Payload struct {
	Body []byte
	// Guarded says that the body came over a connection which keeps others from changing it, so that a signature need not
	// cover it if it says so.
	Guarded bool
}

var canonicals = sync.Pool{New: func() any {
	b := make([]byte, 0, 1<<10)
	return &b
}}

// verify checks that whoever signed r knew the key.
func (s *Signature) verify(r *http.Request, p Payload, key key) error {
	buf := canonicals.Get().(*[]byte)
	defer canonicals.Put(buf)
	canonical, err := s.canonical((*buf)[:0], r, p)
	if err != nil {
		return err
	}
	*buf = canonical[:0]
	sum := sha256.Sum256(canonical)
	var room [160]byte
	text := append(room[:0], Algorithm+"\n"...)
	text = append(append(append(text, s.stamp...), '\n'), s.scope[len(s.AccessKeyID)+1:]...)
	text = hex.AppendEncode(append(text, '\n'), sum[:])
	want := key.sign(text)
	if subtle.ConstantTimeCompare([]byte(s.signature), want[:]) == 1 {
		return nil
	}
	// Who can read what was signed on this side finds the proxy that changed it.
	return fault(Mismatched, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method.\n\nThe Canonical String for this request should have been\n'%s'\n\n"+
		"The String-to-Sign should have been\n'%s'\n", canonical, text)
}

// canonical writes the request as it is signed.
func (s *Signature) canonical(b []byte, r *http.Request, p Payload) ([]byte, error) {
	payload, err := s.payload(r, p)
	if err != nil {
		return nil, err
	}
	b = append(append(b, r.Method...), '\n')
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = append(appendEscaped(b, path, true), '\n')
	if r.URL.RawQuery != "" {
		query, ok := parseQuery(r.URL.RawQuery)
		if !ok {
			return nil, fault(Mismatched, "The query string is not well formed.")
		}
		b = appendQuery(b, query, s.inQuery)
	}
	b = append(b, '\n')
	for name := range strings.SplitSeq(s.signed, ";") {
		b = appendHeader(append(append(b, name...), ':'), r, name)
		b = append(b, '\n')
	}
	b = append(append(append(b, '\n'), s.signed...), '\n')
	return append(b, payload...), nil
}

// payload returns the digest of the body as it was signed.
func (s *Signature) payload(r *http.Request, p Payload) (string, error) {
	said := r.Header.Get("X-Amz-Content-Sha256")
	if s.inQuery && said == "" {
		query, _ := parseQuery(r.URL.RawQuery)
		said, _ = first(query, "X-Amz-Content-Sha256")
	}
	if said == unsigned {
		if p.Guarded {
			return unsigned, nil
		}
		return "", fault(Mismatched, "UNSIGNED-PAYLOAD is accepted only over TLS that ends in this server.")
	}
	sum := sha256.Sum256(p.Body)
	digest := hex.EncodeToString(sum[:])
	if said != "" && said != digest {
		return "", fault(Mismatched, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return digest, nil
}

// appendHeader writes the values of a header: trimmed, with single spaces.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return append(b, r.Host...)
	case "content-length":
		return strconv.AppendInt(b, max(r.ContentLength, 0), 10)
	}
	for i, v := range r.Header[http.CanonicalHeaderKey(name)] {
		if i > 0 {
			b = append(b, ',')
		}
		space := false
		for _, c := range []byte(strings.Trim(v, " \t")) {
			if c == ' ' && space {
				continue
			}
			space = c == ' '
			b = append(b, c)
		}
	}
	return b
}
