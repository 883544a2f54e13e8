package handlers

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/oidc"
)

const (
	// consolePath is where the console lives, and where it is a page itself that says why somebody could not sign in.
	consolePath  = "/console/"
	callbackPath = "/v1/session/oidc/callback"
	// failedMark stands in the fragment of an address of the console, and behind it the code of why nobody has signed in.
	failedMark = "sign_in_failed="
	// maxTo bounds where somebody goes once he has signed in, in bytes. It is kept in a cookie meanwhile.
	maxTo = 1024
)

// SignInProviders are the identity providers with which people sign in.
type SignInProviders struct {
	Data []SignInProvider `json:"data"`
}

// SignInProvider is one of them.
type SignInProvider struct {
	Issuer string `json:"issuer" example:"https://login.example.com"`
	// For people.
	Name string `json:"name" example:"Example login"`
}

// listSignInProviders shows identity providers.
//
//	@Summary		List the identity providers with which people sign in
//	@Description	For `GET /v1/session/oidc`. There are at most 8, and none unless the operator has given Sluice a client there.
//	@ID				listSignInProviders
//	@Tags			sessions
//	@Success		200	{object}	SignInProviders	"The providers"
//	@Failure		400	{object}	Problem			"The request is malformed"
//	@Failure		415	{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem			"A value is not allowed"
//	@Router			/v1/session/oidc/providers [get]
//	@x-public		true
func (a *API) listSignInProviders(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	out := SignInProviders{Data: []SignInProvider{}}
	for _, p := range a.Auth.SignInProviders() {
		out.Data = append(out.Data, SignInProvider{Issuer: p.Issuer, Name: p.Name})
	}
	return a.json(c, http.StatusOK, out)
}

// beginSignIn sends a browser to an identity provider.
//
//	@Summary		Sign in with an identity provider
//	@Description	For browsers: leads to the provider, which leads back to `/v1/session/oidc/callback` within 10 minutes, on whatever server, in the same browser. What the browser keeps for that long is a cookie that no script can read, `__Host-sluice-sign-in`.
//	@Description
//	@Description	Where the provider does not answer, or a session cannot be had over this connection, it leads back to `to`, with `#sign_in_failed=` and the code of the problem.
//	@ID				beginSignIn
//	@Tags			sessions
//	@Param			issuer	query	string	true	"The provider, as `GET /v1/session/oidc/providers` names it"
//	@Param			to		query	string	false	"Where the browser goes in the end: an address of the console"	default(/console/)	maxlength(1024)
//	@Success		303		"On to the provider"
//	@Header			303		{string}	Location	"Where to go"
//	@Header			303		{string}	Set-Cookie	"What the browser keeps meanwhile"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		403		{object}	Problem	"A page of another site asks for it (`cross_origin`)"
//	@Failure		404		{object}	Problem	"Nobody signs in with such a provider (`identity_provider_not_found`)"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/session/oidc [get]
//	@x-public		true
func (a *API) beginSignIn(c echo.Context) error {
	r := c.Request()
	q, err := readQuery(c, "issuer", "to")
	if err != nil {
		return err
	}
	if !q.has("issuer") {
		return queryFault("issuer", "required", "must be there")
	}
	to := consolePath
	if q.has("to") {
		if to, err = consoleAddress(q.text("to")); err != nil {
			return err
		}
	}
	if a.crossOrigin(r) {
		return errCrossOrigin
	}
	address, kept, ends, err := a.Auth.BeginSignIn(r.Context(), q.text("issuer"), a.callbackURL(r), to)
	if errors.Is(err, auth.ErrProviderNotFound) {
		return err
	}
	var pending *http.Cookie
	if err == nil {
		pending, err = a.makeCookie(r, pendingCookie, kept.Reveal(), ends)
	}
	if err != nil {
		return a.notSignedIn(c, to, err)
	}
	c.SetCookie(pending)
	return c.Redirect(http.StatusSeeOther, address)
}

// consoleAddress returns an address of the console, as path and query, and refuses all others: a browser that has just signed in
// goes where it says.
func consoleAddress(to string) (string, error) {
	u, err := url.Parse(to)
	outside := err != nil || len(to) > maxTo || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == '\\' || r == '#' || r > '~' }) ||
		!strings.HasPrefix(to, consolePath) || strings.Contains(u.Path, "\\") || !strings.HasPrefix(path.Clean(u.Path)+"/", consolePath)
	if outside {
		return "", queryFault("to", "not_allowed", "must be an address of the console, such as /console/t/default/queues, of at most 1024 bytes")
	}
	return to, nil
}

// callbackURL is where an identity provider sends people back to.
func (a *API) callbackURL(r *http.Request) string {
	if u := a.PublicURL; u != nil {
		return u.Scheme + "://" + u.Host + a.link(callbackPath)
	}
	scheme := "http"
	if a.isHTTPS(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + a.link(callbackPath)
}

// finishSignIn signs in who comes back from an identity provider.
//
//	@Summary		Come back from an identity provider
//	@Description	For browsers, which the provider sends here. Leads on to where `GET /v1/session/oidc` was told, with a session as of `POST /v1/session`. It may what the claims say at this time, holds for 12 hours unless the operator says otherwise, and ends as others do.
//	@Description
//	@Description	When nobody could be signed in, it leads to the console with `#sign_in_failed=` and a code: `sign_in_expired` (this browser has begun no such sign-in within 10 minutes), `sign_in_cancelled`, `sign_in_refused`, `token_refused` (the claims name no tenant or no role), `token_too_long`, `issuer_unavailable`, `tenant_suspended` and those of all operations. The log of the server says more.
//	@ID				finishSignIn
//	@Tags			sessions
//	@Param			state				query	string	false	"As it was given to the provider"
//	@Param			code				query	string	false	"What the provider gives a token for, once"
//	@Param			iss					query	string	false	"The provider"
//	@Param			error				query	string	false	"Why there is no code"
//	@Success		303		"On to the console"
//	@Header			303		{string}	Location	"Where to go"
//	@Header			303		{string}	Set-Cookie	"The session, and that the browser is to forget what it has kept"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Router			/v1/session/oidc/callback [get]
//	@x-public		true
func (a *API) finishSignIn(c echo.Context) error {
	to, err := a.arrive(c)
	if err != nil {
		return a.notSignedIn(c, to, err)
	}
	return nil
}

// arrive signs in who comes back, and leads him on. Or else it returns where he is to learn why not.
func (a *API) arrive(c echo.Context) (to string, err error) {
	r, ctx := c.Request(), c.Request().Context()
	q, err := url.ParseQuery(r.URL.RawQuery)
	for _, name := range []string{"state", "code", "iss", "error"} { // providers say more than that
		if err != nil || len(q[name]) > 1 {
			return consolePath, auth.ErrSignInExpired
		}
	}
	kept, err := a.readCookie(r.Header, pendingCookie)
	if err != nil {
		return consolePath, auth.ErrSignInExpired.Because(err)
	}
	p, err := a.Auth.Pending(ctx, kept, q.Get("state"))
	if err != nil {
		return consolePath, err // and the cookie stays: a stranger's answer ends nobody's sign-in
	}
	forgotten, err := a.makeCookie(r, pendingCookie, "", time.Time{})
	if err != nil {
		return p.To, err
	}
	c.SetCookie(forgotten)
	who, err := a.Auth.Arrive(ctx, p, oidc.Answer{Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error")}, c.RealIP())
	if errors.Is(err, auth.ErrSignInExpired) || errors.Is(err, auth.ErrSignInCancelled) {
		return p.To, err
	}
	if err != nil {
		return p.To, a.missed(c, err, nil)
	}
	return p.To, a.enterBy(c, who.Principal, func() (auth.Session, auth.Secret, error) {
		return a.Auth.OpenIdentitySession(ctx, who, agentOf(c), c.RealIP())
	}, func(s auth.Session, text auth.Secret) error {
		session, err := a.newCookie(r, text.Reveal(), s.ExpiresAt)
		if err != nil {
			return err
		}
		c.SetCookie(session)
		return c.Redirect(http.StatusSeeOther, a.link(p.To))
	})
}

// notSignedIn leads a browser to a page of the console that says in words why nobody has signed in. Of the reason it gets the code
// only: addresses are written by anybody.
func (a *API) notSignedIn(c echo.Context, to string, err error) error {
	e := asError(err)
	if e.Code != auth.ErrSignInExpired.Code && e.Code != auth.ErrSignInCancelled.Code {
		a.Logger.Warn("somebody could not sign in with an identity provider", slog.String("request", RequestOf(c).ID), slog.String("error", err.Error()))
	}
	return c.Redirect(http.StatusSeeOther, a.link(to)+"#"+failedMark+e.Code)
}
