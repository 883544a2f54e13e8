package auth

import (
	"encoding/base64"
	"strings"
)

// maxHeader bounds the Authorization header. A key needs 47 bytes; tokens of identity providers may be long.
const maxHeader = 8 << 10

// FromHeader returns the credential in an Authorization header: "Bearer <credential>", or Basic with the credential as
// the user name and no password, which is what curl -u KEY: sends. Anything else is ErrUnauthenticated.
func FromHeader(authorization string) (credential string, err error) {
	if len(authorization) > maxHeader {
		return "", ErrUnauthenticated
	}
	scheme, rest, ok := strings.Cut(authorization, " ")
	switch {
	case !ok:
		return "", ErrUnauthenticated
	case strings.EqualFold(scheme, "Bearer"):
		credential = rest
	case strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.Strict().DecodeString(rest)
		if err != nil || !isToken(rest) { // the decoder passes over line ends
			return "", ErrUnauthenticated
		}
		user, password, ok := strings.Cut(string(raw), ":")
		if !ok || password != "" {
			return "", ErrUnauthenticated
		}
		credential = user
	}
	if !isToken(credential) {
		return "", ErrUnauthenticated
	}
	return credential, nil
}

// isToken reports whether s is a token68 of RFC 9110, the form of every credential: no space, no comma.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if !tokenCharacters[s[i]] {
			return false
		}
	}
	return s != ""
}

// tokenCharacters is a table, because access tokens are long.
var tokenCharacters = func() (table [256]bool) {
	for _, c := range []byte(base62 + "-._~+/") {
		table[c] = true
	}
	return table
}()
