package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/egress"
)

const (
	// tokenLife is how long a token is used of which nobody said how long it lives, longestToken how long any is.
	tokenLife    = 5 * time.Minute
	longestToken = 24 * time.Hour
	// tokenSlack is how long before its end a token is not used any more; of short ones it is a tenth of their life.
	tokenSlack = 30 * time.Second
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
)

// tokens gets the tokens of an endpoint by OAuth 2.0's client credentials grant, and keeps the last one. There is one for each
// version of the settings of a webhook on a server: a token is never used with other settings.
type tokens struct {
	store  *Store
	auth   Auth
	secret string

	turn  chan struct{} // whoever has put something in may ask for a token, and change what follows
	token string
	until time.Time // that it is used
}

func newTokens(s *Store, a *Auth, secret string) *tokens {
	return &tokens{store: s, auth: *a, secret: secret, turn: make(chan struct{}, 1)}
}

// get returns a token that is not the one that the endpoint refused, or "".
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", &tokenError{cause: ctx.Err(), words: "The token did not come in time."}
	}
	if t.token != "" && t.token != refused && t.store.clock.Now().Before(t.until) {
		return t.token, nil
	}
	t.token = ""
	token, life, err := t.ask(ctx)
	if err != nil {
		return "", err
	}
	t.token, t.until = token, t.store.clock.Now().Add(life-min(tokenSlack, life/10))
	return token, nil
}

// ask requests a token, and says how long it lives.
func (t *tokens) ask(ctx context.Context) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.auth.Scope != "" {
		form.Set("scope", t.auth.Scope)
	}
	if t.auth.Audience != "" {
		form.Set("audience", t.auth.Audience)
	}
	client := url.QueryEscape(t.auth.ClientID) + ":" + url.QueryEscape(t.secret) // as RFC 6749, 2.3.1 says
	res, err := t.store.egress.Do(ctx, egress.Request{Method: http.MethodPost, URL: t.auth.TokenURL, Body: []byte(form.Encode()), MaxBody: readAtMost, Whole: true, Header: http.Header{
		"Accept":        {"application/json"},
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(client))},
		"Content-Type":  {"application/x-www-form-urlencoded"},
	}})
	if err != nil {
		first, size := utf8.DecodeRuneInString(err.Error())
		return "", 0, &tokenError{cause: err, words: "There is no token from the token URL: " + string(unicode.ToLower(first)) + err.Error()[size:]}
	}
	var answer struct {
		Token string          `json:"access_token"`
		Type  string          `json:"token_type"`
		Life  json.RawMessage `json:"expires_in"`
		Error string          `json:"error"`
	}
	bad := json.Unmarshal(res.Body, &answer)
	switch {
	case res.Status != http.StatusOK:
		words := "There is no token from the token URL, which answered " + statusText(res.Status)
		if known := strings.Trim(answer.Error, "abcdefghijklmnopqrstuvwxyz_") == "" && len(answer.Error) <= 40 && answer.Error != ""; known {
			words += ", " + answer.Error
		}
		return "", 0, &tokenError{words: words + "."}
	case bad != nil || !isToken(answer.Token) || len(answer.Token) > maxToken || answer.Type != "" && !strings.EqualFold(answer.Type, "bearer"):
		return "", 0, &tokenError{words: "What the token URL answered is no bearer token."}
	}
	life := tokenLife
	if seconds, err := strconv.ParseFloat(strings.Trim(string(answer.Life), `"`), 64); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, longestToken.Seconds()) * float64(time.Second))
	}
	return answer.Token, life, nil
}

// tokenError is why there is no token. What Error returns can be shown: it repeats nothing of the answer but the name of an error.
type tokenError struct {
	words string
	cause error // nil: there was an answer
}

func (e *tokenError) Error() string { return e.words }

// judge says what it means for an attempt: it failed, unless it is our fault that there is no token.
func (e *tokenError) judge() verdict {
	v := verdict{outcome: retry, charged: true, health: failing}
	switch {
	case errors.Is(e.cause, context.Canceled):
		return judgeError(&egress.Error{Kind: egress.Canceled, Message: e.words})
	case egress.KindOf(e.cause) == egress.DNS, egress.KindOf(e.cause) == egress.ProxyFailed:
		v = judgeError(e.cause)
	}
	v.code, v.words = "token_failed", e.words
	return v
}

// send makes a request of a webhook. With OAuth it has a token, and one that the endpoint refuses is replaced once, which is
// still the same attempt and within its time.
func (s *Store) send(ctx context.Context, c *config, r egress.Request) (*egress.Response, error) {
	if c.tokens == nil {
		return s.egress.Do(ctx, r)
	}
	ctx, cancel := context.WithTimeout(ctx, c.endpoint.Timeout)
	defer cancel()
	token, err := c.tokens.get(ctx, "")
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := s.egress.Do(ctx, r)
	if err != nil || res.Status != http.StatusUnauthorized {
		return res, err
	}
	if token, err = c.tokens.get(ctx, token); err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return s.egress.Do(ctx, r)
}
