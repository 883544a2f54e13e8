// Package sigv4 verifies requests that are signed with AWS Signature Version 4, in a header or in the query. It knows
// neither keys nor what a request asks for: Parse says who claims to have signed what, and Verify whether that holds.
//
// A signature covers the method, the path, the query, the headers that it names, the time and the body. It covers neither a
// header that it does not name nor how often a request is sent: within 15 minutes the same request may come again.
package sigv4

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// Algorithm begins the Authorization header of a signed request.
	Algorithm = "AWS4-HMAC-SHA256"
	// MaxSkew is how far the time of a request may be from that of the server, either way.
	MaxSkew = 15 * time.Minute
	// MaxExpires is how long a query may be valid that is signed beforehand.
	MaxExpires = 7 * 24 * time.Hour

	terminator = "aws4_request"
	timeForm   = "20060102T150405Z"
	dayForm    = "20060102"
	// maxSigned bounds the headers that a signature names. SDKs name ten at most.
	maxSigned = 100
)

// Fault says what is wrong with a signature.
type Fault uint8

// The faults.
const (
	Missing    Fault = iota // the request is not signed
	Ambiguous               // it is signed twice
	Incomplete              // parts of the signature are missing or malformed
	Expired                 // the time lies too far in the past, or in the future
	Misscoped               // it was signed for another service, or for another day than it says
	Mismatched              // the signature is not that of this request with this secret
)

// Error is why a request is not taken for signed. Its message is for who signed it, and has no secret.
type Error struct {
	Fault   Fault
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func fault(f Fault, format string, args ...any) *Error {
	return &Error{Fault: f, Message: fmt.Sprintf(format, args...)}
}

// Signature is what a request says of how it was signed. Nothing of it is known to be true before Verify.
type Signature struct {
	AccessKeyID  string
	Service      string // for which it was signed, as sqs
	Region       string // any: it is part of the scope only
	Time         time.Time
	Expires      time.Duration // of a signature in the query: how long it is valid; else 0
	SessionToken string        // "": none

	scope     string // access key id, day, region, service and terminator, with slashes
	signed    string // the names of the headers, with semicolons
	signature string
	stamp     string // Time as it was written in the text that was signed
	inQuery   bool
}

// IsSigned reports whether a request says that it is signed, well or not.
func IsSigned(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") ||
		strings.Contains(r.URL.RawQuery, "X-Amz-Credential=")
}

// Parse reads how a request is signed. It does not look at the body.
func Parse(r *http.Request) (*Signature, error) {
	headers := r.Header["Authorization"]
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-")
	var query []pair
	if inQuery {
		query, _ = parseQuery(r.URL.RawQuery)
		inQuery = has(query, "X-Amz-Algorithm") || has(query, "X-Amz-Credential") || has(query, "X-Amz-Signature")
	}
	switch {
	case len(headers) > 1, len(headers) == 1 && inQuery:
		return nil, fault(Ambiguous, "Found both 'X-Amz-Algorithm' as a query-string parameter and 'Authorization' as a header, or two of either.")
	case inQuery:
		return parsePresigned(query)
	case len(headers) == 0 || headers[0] == "":
		return nil, fault(Missing, "Request is missing Authentication Token")
	}
	return parseHeader(r, headers[0])
}

func parseHeader(r *http.Request, header string) (*Signature, error) {
	rest, ok := strings.CutPrefix(header, Algorithm)
	if !ok || rest != "" && rest[0] != ' ' {
		return nil, fault(Incomplete, "Authorization header requires the algorithm %s; no other one is supported.", Algorithm)
	}
	s := &Signature{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			s.scope = value
		case "SignedHeaders":
			s.signed = value
		case "Signature":
			s.signature = value
		}
	}
	var missing []string
	for _, part := range []struct{ name, value string }{{"Credential", s.scope}, {"Signature", s.signature}, {"SignedHeaders", s.signed}} {
		if part.value == "" {
			missing = append(missing, "Authorization header requires '"+part.name+"' parameter.")
		}
	}
	s.stamp = r.Header.Get("X-Amz-Date")
	if s.stamp == "" {
		s.stamp = stampOf(r.Header.Get("Date"))
	}
	if s.stamp == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(missing) > 0 {
		return nil, &Error{Fault: Incomplete, Message: strings.Join(missing, " ")}
	}
	s.SessionToken = r.Header.Get("X-Amz-Security-Token")
	return s, s.complete()
}

// stampOf writes the time of a Date header as X-Amz-Date does, and "" for what is no time.
func stampOf(date string) string {
	if t, err := http.ParseTime(date); err == nil {
		return t.UTC().Format(timeForm)
	}
	if _, err := time.Parse(timeForm, date); err == nil {
		return date
	}
	return ""
}

func parsePresigned(query []pair) (*Signature, error) {
	s := &Signature{inQuery: true}
	var missing []string
	take := func(name string) string {
		value, ok := first(query, name)
		if !ok || value == "" {
			missing = append(missing, "AWS query-string parameters must include '"+name+"'.")
		}
		return value
	}
	algorithm := take("X-Amz-Algorithm")
	s.scope, s.signature, s.signed = take("X-Amz-Credential"), take("X-Amz-Signature"), take("X-Amz-SignedHeaders")
	s.stamp = take("X-Amz-Date")
	expires := take("X-Amz-Expires")
	if len(missing) > 0 {
		return nil, &Error{Fault: Incomplete, Message: strings.Join(missing, " ") + " Re-examine the query-string parameters."}
	}
	if algorithm != Algorithm {
		return nil, fault(Incomplete, "X-Amz-Algorithm must be %s; no other one is supported.", Algorithm)
	}
	seconds := 0
	for i := range len(expires) {
		if expires[i] < '0' || expires[i] > '9' || len(expires) > 6 {
			return nil, fault(Incomplete, "X-Amz-Expires must be a number of seconds from 1 to %d.", int(MaxExpires.Seconds()))
		}
		seconds = seconds*10 + int(expires[i]-'0')
	}
	if s.Expires = time.Duration(seconds) * time.Second; s.Expires < time.Second || s.Expires > MaxExpires {
		return nil, fault(Incomplete, "X-Amz-Expires must be a number of seconds from 1 to %d.", int(MaxExpires.Seconds()))
	}
	s.SessionToken, _ = first(query, "X-Amz-Security-Token")
	return s, s.complete()
}

// complete takes the parts apart, and checks what can be checked without a key.
func (s *Signature) complete() error {
	parts := strings.Split(s.scope, "/")
	if len(parts) != 5 || parts[0] == "" || parts[2] == "" {
		return fault(Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	s.AccessKeyID, s.Region, s.Service = parts[0], parts[2], parts[3]
	if parts[4] != terminator {
		return fault(Misscoped, "Credential should be scoped with a valid terminator: '%s'.", terminator)
	}
	var err error
	if s.Time, err = time.Parse(timeForm, s.stamp); err != nil {
		return fault(Incomplete, "Date must be in ISO-8601 'basic format', as 20260301T120000Z.")
	}
	if day := s.stamp[:len(dayForm)]; parts[1] != day {
		return fault(Misscoped, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' should be '%s'.", printable(parts[1]), day)
	}
	if strings.Count(s.signed, ";") >= maxSigned {
		return fault(Incomplete, "SignedHeaders may name %d headers at most.", maxSigned)
	}
	for name := range strings.SplitSeq(s.signed, ";") {
		if name == "host" {
			return nil
		}
	}
	return fault(Mismatched, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
}

// InTime refuses a request that was signed too long ago, or in the future.
func (s *Signature) InTime(now time.Time) error {
	now = now.UTC()
	from, until, why := s.Time.Add(-MaxSkew), s.End(), "15 min."
	switch {
	case now.Before(from):
		return fault(Expired, "Signature not yet current: %s is still later than %s (%s + %s)",
			s.stamp, now.Add(MaxSkew).Format(timeForm), now.Format(timeForm), why)
	case now.After(until) && s.inQuery:
		return fault(Expired, "Signature expired: %s is now earlier than %s", until.Format(timeForm), now.Format(timeForm))
	case now.After(until):
		return fault(Expired, "Signature expired: %s is now earlier than %s (%s - %s)",
			s.stamp, now.Add(-MaxSkew).Format(timeForm), now.Format(timeForm), why)
	}
	return nil
}

// End is until when the request may come.
func (s *Signature) End() time.Time {
	if s.inQuery {
		return s.Time.Add(s.Expires)
	}
	return s.Time.Add(MaxSkew)
}

// Covers reports whether the signature covers a header, by its name in lower case.
func (s *Signature) Covers(header string) bool {
	for name := range strings.SplitSeq(s.signed, ";") {
		if name == header {
			return true
		}
	}
	return false
}

// Text is the signature itself, 64 hexadecimal digits once Verify has said that it holds. No other request has the same, unless it
// was signed in the same second and differs in nothing that is signed.
func (s *Signature) Text() string { return s.signature }

// For refuses a request that was signed for another service than the one it asks.
func (s *Signature) For(service string) error {
	if s.Service == service {
		return nil
	}
	return fault(Misscoped, "Credential should be scoped to correct service: '%s'.", service)
}

// printable returns s for a message, without what could deceive whoever reads it.
func printable(s string) string {
	const most = 40
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
}
