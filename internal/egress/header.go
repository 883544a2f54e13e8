package egress

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// The limits of the headers that a user adds to requests.
const (
	MaxHeaders     = 20
	MaxHeaderBytes = 8 << 10 // names and values together
)

// CheckHeaders says what is wrong with headers that a user wants to add to requests. None may be one that steers the
// connection, or begin with one of the reserved prefixes, which the caller sets itself. The error is of kind Invalid.
func CheckHeaders(h http.Header, reserved ...string) error {
	total, count := 0, 0
	seen := map[string]bool{}
	for name, values := range h {
		lower := strings.ToLower(name)
		if seen[lower] {
			return invalid("The header %.100q stands twice, in different spellings.", name)
		}
		seen[lower] = true
		if err := checkHeader(name, values); err != nil {
			return err
		}
		for _, prefix := range reserved {
			if strings.HasPrefix(lower, strings.ToLower(prefix)) {
				return invalid("The header %.100q is set by the service.", name)
			}
		}
		for _, v := range values {
			count++
			total += len(name) + len(v)
		}
	}
	switch {
	case count > MaxHeaders:
		return invalid("There are %d headers, and at most %d are allowed.", count, MaxHeaders)
	case total > MaxHeaderBytes:
		return invalid("The headers have %d bytes, and at most %d are allowed.", total, MaxHeaderBytes)
	}
	return nil
}

// steering are headers by which a request could be made another one.
var steering = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true, "upgrade": true,
	"te": true, "trailer": true, "expect": true, "accept-encoding": true, "http2-settings": true,
}

func checkHeader(name string, values []string) error {
	lower := strings.ToLower(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return invalid("%.100q is no name of a header.", name)
	case steering[lower] || strings.HasPrefix(lower, "proxy-"):
		return invalid("The header %.100q cannot be set: it steers the connection.", name)
	}
	for _, v := range values {
		if !httpguts.ValidHeaderFieldValue(v) {
			return invalid("The value of the header %.100q has a line break or another control character in it.", name)
		}
	}
	return nil
}
