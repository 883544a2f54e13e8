package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// ClientID and ClientSecret are as what a provider knows whoever has people sign in. A secret may have any signs.
const (
	ClientID     = "console"
	ClientSecret = "s3cret +&%=/:ü" //nolint:gosec // of tests
)

// logins are the people of a provider.
type logins struct {
	claims func() jwt.MapClaims // of the next ID token
	denies string
	public bool
	codes  map[string]url.Values // what was asked for
}

// LetIn has the provider let everybody in as whom claims describe, which it asks for with each code. The audience and the nonce of
// a sign-in are added to those that have none.
func (p *Provider) LetIn(claims func() jwt.MapClaims) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins.claims, p.logins.denies = claims, ""
}

// Deny has it let nobody in, with an error of RFC 6749.
func (p *Provider) Deny(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins.denies = code
}

// Public has it know the client without a secret.
func (p *Provider) Public() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins.public = true
}

// Visit goes where somebody signs in, as his browser does, and returns the address to which the provider sends him back.
func (p *Provider) Visit(tb testing.TB, address string) string {
	tb.Helper()
	client := *p.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, nil)
	if err != nil {
		tb.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	back := res.Header.Get("Location")
	if res.StatusCode != http.StatusFound || back == "" {
		tb.Fatalf("%s: %d %s", address, res.StatusCode, text)
	}
	return back
}

// authorize sends a browser back with a code.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	to, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || to.Host == "" || q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" ||
		q.Get("state") == "" || q.Get("nonce") == "" || q.Get("tab") != "1" {
		http.Error(w, "not asked as it should be: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	back := url.Values{"state": {q.Get("state")}, "iss": {p.Issuer}, "session_state": {"of no interest"}}
	if p.logins.denies != "" {
		back.Set("error", p.logins.denies)
		back.Set("error_description", "<b>go away</b>")
	} else {
		code := "code-" + rand.Text()
		if p.logins.codes == nil {
			p.logins.codes = map[string]url.Values{}
		}
		p.logins.codes[code] = q
		back.Set("code", code)
	}
	to.RawQuery = back.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound) //nolint:gosec // a provider knows its clients; this one takes any
}

// token answers to a code, once.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "authorization_code":
		refuse("unsupported_grant_type")
		return
	case p.logins.public && (basic || r.PostFormValue("client_id") != ClientID),
		!p.logins.public && (id != url.QueryEscape(ClientID) || secret != url.QueryEscape(ClientSecret)):
		refuse("invalid_client")
		return
	}
	code := r.PostFormValue("code")
	asked := p.logins.codes[code]
	delete(p.logins.codes, code)
	proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if asked == nil || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(proof[:]) {
		refuse("invalid_grant")
		return
	}
	c := p.logins.claims()
	if c["aud"] == Audience {
		c["aud"] = ClientID
	}
	if _, there := c["nonce"]; !there {
		c["nonce"] = asked.Get("nonce")
	}
	k := p.keys[0]
	j := jwt.NewWithClaims(k.Method, c)
	j.Header["kid"] = k.ID
	text, err := j.SignedString(k.Private)
	if err != nil {
		refuse("server_error")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "id_token": text, "access_token": "at-" + rand.Text(), "refresh_token": "rt-" + rand.Text(), "expires_in": 300})
}
