package webhook

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/errs"
)

// Header is one that a user adds to each request. Its name is in canonical form.
type Header struct {
	Name  string `json:"name"`
	Value Hidden `json:"value"`
}

// reserved are the beginnings of the names of headers that the service sets itself.
var reserved = []string{"webhook-", "content-", "traceparent", "ce-", "sluice-"}

// SetHeader adds a header, or gives it another value.
func (e *Endpoint) SetHeader(name string, value Hidden) {
	e.DropHeader(name)
	e.Headers = append(e.Headers, Header{Name: http.CanonicalHeaderKey(name), Value: value})
	slices.SortFunc(e.Headers, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
}

// DropHeader takes a header away.
func (e *Endpoint) DropHeader(name string) {
	name = http.CanonicalHeaderKey(name)
	kept := slices.Clone(e.Headers)
	if e.Headers = slices.DeleteFunc(kept, func(h Header) bool { return h.Name == name }); len(e.Headers) == 0 {
		e.Headers = nil
	}
}

// AuthType says by what a webhook proves to its endpoint who it is, beside the signature.
type AuthType string

// The types of auth.
const (
	Basic  AuthType = "basic"
	Bearer AuthType = "bearer"
	OAuth2 AuthType = "oauth2" // a token that is got by the client credentials grant
)

// Auth is a credential that goes into the header Authorization.
type Auth struct {
	Type     AuthType `json:"type"`
	Username string   `json:"username,omitempty"` // of Basic
	Secret   Hidden   `json:"secret"`             // the password, the token, or the secret of the client
	// Of OAuth2.
	TokenURL string `json:"token_url,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`    // "": what the client has by itself
	Audience string `json:"audience,omitempty"` // "": none is asked for
}

const (
	maxUsername = 256     // bytes
	maxSecretOf = 4 << 10 // bytes of a password, a token or a client's secret
	maxScope    = 1 << 10 // bytes of a scope or an audience
)

// checkCredentials checks headers and auth, and seals them. was are the settings that are there, or the zero value.
func (s *Store) checkCredentials(e *Endpoint, was Endpoint) error {
	moved := was.URL != "" && originOf(was.URL) != originOf(e.URL)
	plain := http.Header{}
	for i := range e.Headers {
		h := &e.Headers[i]
		var before *Hidden
		if at := slices.IndexFunc(was.Headers, func(o Header) bool { return o.Name == h.Name }); at >= 0 {
			before = &was.Headers[at].Value
		}
		if err := s.hide(&h.Value, before, moved, "/headers/"+h.Name); err != nil {
			return err
		}
		value, err := s.reveal(h.Value)
		if err != nil {
			return err
		}
		plain[h.Name] = append(plain[h.Name], value)
	}
	if err := egress.CheckHeaders(plain, reserved...); err != nil {
		return errs.Invalidf("/headers", "%s", err.Error())
	}
	if e.Auth == nil {
		return nil
	}
	if plain.Get("Authorization") != "" {
		return errs.Invalidf("/headers/Authorization", "The header Authorization is set by auth: give one of the two.")
	}
	auth := e.Auth
	var before *Hidden
	if was.Auth != nil && was.Auth.Type == auth.Type {
		before = &was.Auth.Secret
	}
	if auth.Type == OAuth2 {
		url, err := s.checkURL("/auth/token_url", auth.TokenURL)
		if err != nil {
			return err
		}
		auth.TokenURL = url
		moved = moved || before != nil && originOf(was.Auth.TokenURL) != originOf(url)
	}
	if err := s.hide(&auth.Secret, before, moved, "/auth/"+auth.secretName()); err != nil {
		return err
	}
	secret, err := s.reveal(auth.Secret)
	if err != nil {
		return err
	}
	return auth.check(secret)
}

// secretName is how the API calls what is secret of a credential.
func (a *Auth) secretName() string {
	switch a.Type {
	case Basic:
		return "password"
	case OAuth2:
		return "client_secret"
	}
	return "token"
}

func (a *Auth) check(secret string) error {
	name := a.secretName()
	switch {
	case len(secret) > maxSecretOf:
		return errs.Invalidf("/auth/"+name, "The %s has %d bytes, and at most %d are allowed.", name, len(secret), maxSecretOf)
	case a.Type == Bearer && !isToken(secret):
		return errs.Invalidf("/auth/token", "The token must be of visible ASCII signs, without blanks.")
	case a.Type == Bearer:
	case a.Type == OAuth2 && (secret == "" || hasControl(secret)):
		return errs.Invalidf("/auth/client_secret", "The client's secret must not be empty, and have no control characters.")
	case a.Type == OAuth2 && (a.ClientID == "" || len(a.ClientID) > maxUsername || hasControl(a.ClientID)):
		return errs.Invalidf("/auth/client_id", "The client's id must have 1 to %d bytes, and no control characters.", maxUsername)
	case a.Type == OAuth2 && (len(a.Scope) > maxScope || hasControl(a.Scope)):
		return errs.Invalidf("/auth/scope", "The scope must have at most %d bytes, and no control characters.", maxScope)
	case a.Type == OAuth2 && (len(a.Audience) > maxScope || hasControl(a.Audience)):
		return errs.Invalidf("/auth/audience", "The audience must have at most %d bytes, and no control characters.", maxScope)
	case a.Type == OAuth2:
	case a.Type != Basic:
		return errs.Invalidf("/auth/type", "The type of auth must be %s, %s or %s.", Basic, Bearer, OAuth2)
	case len(a.Username) > maxUsername || strings.Contains(a.Username, ":") || hasControl(a.Username):
		return errs.Invalidf("/auth/username", "The user name must have at most %d bytes, no colon and no control characters.", maxUsername)
	case hasControl(secret):
		return errs.Invalidf("/auth/password", "The password must have no control characters.")
	case a.Username == "" && secret == "":
		return errs.Invalidf("/auth", "User name and password are both empty.")
	}
	return nil
}

// isToken reports whether a text may be a token in a header.
func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

func hasControl(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// authorization returns the value of the header of this name, of what is not OAuth2.
func (a *Auth) authorization(secret string) string {
	if a.Type == Basic {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+secret))
	}
	return "Bearer " + secret
}

// openCredentials makes the headers that go with each request of a webhook, once for all of them.
func (s *Store) openCredentials(c *config) error {
	c.header = make(http.Header, len(c.endpoint.Headers)+1)
	for _, h := range c.endpoint.Headers {
		value, err := s.reveal(h.Value)
		if err != nil {
			return err
		}
		c.header[h.Name] = []string{value}
		c.hidden = append(c.hidden, value)
	}
	a := c.endpoint.Auth
	if a == nil {
		return nil
	}
	secret, err := s.reveal(a.Secret)
	if err != nil {
		return err
	}
	if c.hidden = append(c.hidden, secret); a.Type == OAuth2 {
		c.tokens = newTokens(s, a, secret)
		return nil
	}
	c.header["Authorization"] = []string{a.authorization(secret)}
	return nil
}

// leastMasked is how many bytes a text has at least that is looked for in answers: a shorter one stands in many by chance.
const leastMasked = 6

// mask takes what is hidden out of an answer, so that an endpoint that repeats what it got does not bring it into the log.
func (c *config) mask(answer []byte, authorization string) []byte {
	text := string(answer)
	_, credential, _ := strings.Cut(authorization, " ")
	for _, one := range append([]string{credential}, c.hidden...) {
		if len(one) >= leastMasked {
			text = strings.ReplaceAll(text, one, Masked)
		}
	}
	return []byte(text)
}

// originOf returns scheme, host and port of a URL that Check has brought into its form.
func originOf(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return scheme + "://" + hostOf(url)
}
