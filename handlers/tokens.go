package handlers

import (
	"encoding/base64"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
)

// TokenInput is what a caller says of an access token. What is left out is as it is with the key of the request, which
// gives no more than it has.
type TokenInput struct {
	// What the token may do: scopes such as messages:send, wildcards such as queues:* and *:read, or roles: owner,
	// developer, operator, viewer, viewer_without_bodies.
	Scopes []string `json:"scopes,omitempty" validate:"min=1,max=50" example:"messages:send"`
	// To which queues: names, in which * stands for any text. Not for operators' keys.
	Queues []string `json:"queues,omitempty" validate:"min=1,max=50" example:"orders-*"`
	// From where: addresses and networks.
	AllowedIPs []string `json:"allowed_ips,omitempty" validate:"min=1,max=50" example:"192.0.2.0/24"`
	// Seconds that it holds, or text such as "5m". Default: 15 minutes, or until the key ends if that is sooner.
	ExpiresIn int `json:"expires_in,omitempty" validate:"min=60,max=3600" example:"900"`
}

// AccessToken is a new access token, which nobody can show again.
type AccessToken struct {
	ID string `json:"id" example:"tok_0kq1zv3m5c8g02r4b7fg"`
	// The token itself.
	AccessToken string `json:"access_token" example:"eyJ…"`
	TokenType   string `json:"token_type" enums:"Bearer"`
	// Seconds that it holds.
	ExpiresIn int     `json:"expires_in" example:"900"`
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
	// Id of the key that it came from, and with which it ends.
	KeyID string `json:"key_id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	// As they were given: scopes, wildcards and roles.
	Scopes []string `json:"scopes" example:"messages:send"`
	// Patterns of the names of the queues that it reaches; null for all.
	Queues []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	// Addresses and networks from which it may be used; null for all.
	AllowedIPs []string `json:"allowed_ips" extensions:"x-nullable" example:"192.0.2.0/24"`
}

// createToken makes an access token.
//
//	@Summary		Get an access token
//	@Description	A JWT that may the same as the key of the request, or less, for minutes. It is shown as keys are: `Authorization: Bearer eyJ…`. It is kept nowhere and cannot be taken back: it ends with its time, or with the key that it came from. With a token in the place of the key one gets another one, which holds no longer than that.
//	@ID				createToken
//	@Tags			identity
//	@Accept			json
//	@Param			token	body		TokenInput	false	"The token"
//	@Success		201		{object}	AccessToken	"The token"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"The header Tenant names no tenant of this key"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/tokens [post]
func (a *API) createToken(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	n, err := a.readToken(c)
	if err != nil {
		return err
	}
	t, err := a.Auth.IssueToken(c.Request().Context(), n)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusCreated, AccessToken{
		ID: t.ID, AccessToken: t.Secret.Reveal(), TokenType: "Bearer", ExpiresIn: wholeSeconds(t.ExpiresAt.Sub(t.IssuedAt)), ExpiresAt: Instant{t.ExpiresAt},
		KeyID: t.KeyID, Scopes: t.Scopes, Queues: t.Queues, AllowedIPs: t.AllowedIPs,
	})
}

// readToken reads a TokenInput.
func (a *API) readToken(c echo.Context) (auth.NewToken, error) {
	n := auth.NewToken{By: RequestOf(c).Principal}
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"scopes", "queues", "allowed_ips", "expires_in"}, func(key []byte) {
			switch string(key) {
			case "scopes":
				n.Scopes = r.someTexts(auth.MaxScopes)
			case "queues":
				n.Queues = r.someTexts(auth.MaxQueuePatterns)
			case "allowed_ips":
				n.AllowedIPs = r.someTexts(auth.MaxAddresses)
			case "expires_in":
				d, ok := r.duration()
				if ok && (d < auth.MinTokenLifetime || d > auth.MaxTokenLifetime) {
					r.fault("out_of_range", "must be %d to %d seconds", wholeSeconds(auth.MinTokenLifetime), wholeSeconds(auth.MaxTokenLifetime))
				}
				n.Lifetime = d
			}
		})
	})
	return n, err
}

// KeySet are the keys with which access tokens can be verified: a JWK Set of RFC 7517.
type KeySet struct {
	Keys []PublicKey `json:"keys"`
}

// PublicKey is a key with which access tokens can be verified.
type PublicKey struct {
	KeyType   string `json:"kty" enums:"OKP"`
	Curve     string `json:"crv" enums:"Ed25519"`
	Algorithm string `json:"alg" enums:"EdDSA"`
	Use       string `json:"use" enums:"sig"`
	ID        string `json:"kid" example:"9Zc0Wg1b3m_Jx7Qd"`
	X         string `json:"x" example:"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
}

// keySetAge is for how long others may keep the keys. The next one is there for longer than that before it signs.
const keySetAge = "public, max-age=300"

// getSigningKeys shows the keys with which access tokens can be verified.
//
//	@Summary		Get the keys that verify access tokens
//	@Description	A JWK Set. A key signs for a day; the next one is here an hour before, and the last one until nothing holds any more that it signed. `iss` and `aud` of a token name the installation.
//	@ID				getSigningKeys
//	@Tags			identity
//	@Success		200	{object}	KeySet	"The keys"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/.well-known/jwks.json [get]
//	@x-public		true
func (a *API) getSigningKeys(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	keys, err := a.Auth.PublishedKeys(c.Request().Context())
	if err != nil {
		return err
	}
	set := KeySet{Keys: make([]PublicKey, len(keys))}
	for i, k := range keys {
		set.Keys[i] = PublicKey{KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", Use: "sig", ID: k.ID, X: base64.RawURLEncoding.EncodeToString(k.Public)}
	}
	c.Response().Header().Set("Cache-Control", keySetAge)
	return a.json(c, http.StatusOK, set)
}
