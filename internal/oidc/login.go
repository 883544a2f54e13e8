package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// exchangeTimeout bounds how long a provider may take over a code. Somebody waits for it before an empty page.
	exchangeTimeout = 10 * time.Second
	// maxExchanges bounds how many codes a server shows to a provider at the same time. Anybody can bring one that is none.
	maxExchanges = 32
	// maxAnswer bounds an answer with tokens, in bytes.
	maxAnswer = 64 << 10
	// maxCode bounds a code, in bytes.
	maxCode = 4 << 10
)

// ErrSignInRefused is somebody whom the provider does not let in, or a code that it does not take.
var ErrSignInRefused = &errs.Error{Kind: errs.Unauthenticated, Code: "sign_in_refused",
	Message: "The identity provider has refused this sign-in.",
	Fix:     "Begin again. If it stays so, the log of the server says what the provider has answered."}

// Client is what a provider knows the installation as.
type Client struct {
	Issuer string
	ID     string
	// Secret is "" for a public client, which has none.
	Secret string
}

// endpoints are where a provider says that people and codes go.
type endpoints struct {
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	// SaysIssuer is whether each answer names it, so that one which does not is not its own.
	SaysIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// Trip is one way through a provider: what binds the beginning to the end. All but the first are secrets of one browser.
type Trip struct {
	RedirectURI string // to which the provider sends the browser back
	State       string // that the answer of the provider repeats
	Nonce       string // that its token repeats
	Proof       string // the code verifier of PKCE, of which the provider learns first the digest and then the text
}

// Answer is with what a browser comes back from a provider.
type Answer struct {
	Code   string
	Issuer string // that sent it, or "" when it did not say so
	Error  string // of RFC 6749, or ""
}

// Departure returns the address at a provider where somebody signs in.
func (v *Verifier) Departure(ctx context.Context, issuer string, t Trip) (string, error) {
	p, where, err := v.door(ctx, issuer)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(where.Authorization)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !strings.HasPrefix(issuer, "http://")) {
		return "", ErrUnavailable.Because(fmt.Errorf("%s says that people sign in at %.200q", issuer, where.Authorization))
	}
	challenge := sha256.Sum256([]byte(t.Proof))
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": p.client.ID, "redirect_uri": t.RedirectURI, "scope": v.scopes, "state": t.State, "nonce": t.Nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	u.RawQuery, u.Fragment = q.Encode(), ""
	return u.String(), nil
}

// door returns a provider with which people sign in, and where they do.
func (v *Verifier) door(ctx context.Context, issuer string) (*provider, *endpoints, error) {
	p := v.providers[issuer]
	if p == nil || p.client == nil {
		return nil, nil, ErrSignInRefused.Because(fmt.Errorf("nobody signs in with %.200q", issuer))
	}
	if p.known() == nil || p.age() >= refreshAfter {
		if err := p.ask(ctx); err != nil {
			return nil, nil, err
		}
	}
	if p.known() == nil {
		return nil, nil, ErrUnavailable
	}
	return p, p.endpoints.Load(), nil
}

// Arrival returns who came back from a provider with an answer, at a time by the clock of the installation.
func (v *Verifier) Arrival(ctx context.Context, issuer string, t Trip, a Answer, now time.Time) (*Token, error) {
	p, where, err := v.door(ctx, issuer)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Issuer != issuer && (a.Issuer != "" || where.SaysIssuer):
		return nil, ErrSignInRefused.Because(fmt.Errorf("the answer is from %.200q", a.Issuer))
	case a.Error == "server_error" || a.Error == "temporarily_unavailable":
		return nil, ErrUnavailable.Because(fmt.Errorf("it answers %s", a.Error))
	case a.Error != "":
		return nil, ErrSignInRefused.Because(fmt.Errorf("it answers %.200q", a.Error))
	case a.Code == "" || len(a.Code) > maxCode:
		return nil, ErrSignInRefused.Because(fmt.Errorf("its code has %d bytes, and not 1 to %d", len(a.Code), maxCode))
	}
	text, err := p.exchange(ctx, where.Token, t, a.Code)
	if err != nil {
		return nil, err
	}
	token, err := v.verify(ctx, text, p.client.ID, now)
	if err != nil {
		return nil, err
	}
	return token, token.belongs(issuer, p.client.ID, t.Nonce)
}

// belongs holds a token that verifies to the sign-in for which it was made.
func (t *Token) belongs(issuer, client, nonce string) error {
	party := t.Text("azp")
	_, named := t.claims.all["azp"]
	switch {
	case t.Issuer != issuer:
		return ErrInvalid // another one, although we trust that too
	case subtle.ConstantTimeCompare([]byte(t.Text("nonce")), []byte(nonce)) != 1:
		return Refused("belongs to another sign-in: its nonce is another one")
	case named && party != client, !named && len(t.Texts("aud")) > 1:
		return Refused("is for another party: its azp is not %q", client)
	}
	return nil
}

// exchange returns the ID token for a code, which the provider takes once.
func (p *provider) exchange(ctx context.Context, endpoint string, t Trip, code string) (string, error) {
	select {
	case p.exchanging <- struct{}{}:
		defer func() { <-p.exchanging }()
	default:
		return "", ErrUnavailable.Because(fmt.Errorf("%d sign-ins wait for it already", maxExchanges))
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {t.RedirectURI}, "code_verifier": {t.Proof}}
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if p.client.Secret == "" {
		form.Set("client_id", p.client.ID)
	} else {
		basic := url.QueryEscape(p.client.ID) + ":" + url.QueryEscape(p.client.Secret) // as RFC 6749 wants it
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(basic)))
	}
	answer, err := p.egress.Do(ctx, egress.Request{Method: http.MethodPost, URL: endpoint, Header: header, Body: []byte(form.Encode()),
		MaxBody: maxAnswer, Whole: true, Timeout: exchangeTimeout})
	if err != nil {
		return "", ErrUnavailable.Because(errors.New(causeOf(err)))
	}
	var said struct {
		IDToken string `json:"id_token"`
		Error   string `json:"error"`
	}
	err = json.Unmarshal(answer.Body, &said)
	switch {
	case answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests:
		return "", ErrUnavailable.Because(fmt.Errorf("it answers %d to a code", answer.Status))
	case answer.Status != http.StatusOK:
		return "", ErrSignInRefused.Because(fmt.Errorf("it answers %d %.200q to a code", answer.Status, said.Error))
	case err != nil || said.IDToken == "":
		return "", ErrSignInRefused.Because(errors.New("its answer to a code has no id_token"))
	}
	return said.IDToken, nil
}
