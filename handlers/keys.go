package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/tenants"
)

// KeyDetails is what anybody may know of an API key.
type KeyDetails struct {
	ID   string `json:"id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	Name string `json:"name" example:"ci"`
	Kind string `json:"kind" enums:"tenant,operator"`
	// What the key may do: scopes, wildcards and roles, as they were given.
	Scopes []string `json:"scopes" example:"messages:send"`
	// Patterns of the names of the queues that it reaches; null for all.
	Queues []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	// Addresses and networks from which it may be used; null for all.
	AllowedIPs []string `json:"allowed_ips" extensions:"x-nullable" example:"192.0.2.0/24"`
	CreatedAt  Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When it stops working; null for never.
	ExpiresAt *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// Key is an API key, without its text.
type Key struct {
	KeyDetails
	// When it was last used, up to a minute behind; null when nobody has used it.
	LastUsedAt *Instant `json:"last_used_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// From where; null when that is not known.
	LastUsedIP *string `json:"last_used_ip" extensions:"x-nullable" example:"192.0.2.7"`
	// Requests that were let in with it, its access tokens, its AWS pair or a session that it has opened, since the hour began that was
	// 23 hours ago; up to 10 seconds behind. Null for the key of an operator.
	Calls24h *int64 `json:"calls_24h" extensions:"x-nullable" example:"1200"`
	// Access key id of its AWS pair; null when it has none.
	AWSAccessKeyID *string `json:"aws_access_key_id" extensions:"x-nullable" example:"SLAKQ3ZV7M5C2GAXR4B7"`
	// Id of the key that has its place since it was rotated; null when it was not.
	ReplacedBy *string `json:"replaced_by" extensions:"x-nullable" example:"key_0kq1zv3m5c8g02r4b7fv"`
}

// CreatedKey is a new key with its text, which nobody can show again.
type CreatedKey struct {
	// The key itself.
	Key string `json:"key" example:"slk_…"`
	KeyDetails
	// What AWS SDKs want, of which nobody can show the secret again; null when it was not asked for.
	AWS *AWSCredentials `json:"aws" extensions:"x-nullable"`
}

// AWSCredentials let AWS SDKs sign requests.
type AWSCredentials struct {
	AccessKeyID     string `json:"access_key_id" example:"SLAKQ3ZV7M5C2GAXR4B7"`
	SecretAccessKey string `json:"secret_access_key" example:"…"`
	AccountID       string `json:"account_id" example:"482915073316"`
	Region          string `json:"region" example:"us-east-1"`
}

// RotatedKey is a new key with its text, which nobody can show again, in the place of another one.
type RotatedKey struct {
	CreatedKey
	Replaces ReplacedKey `json:"replaces"`
}

// ReplacedKey is a key that was rotated.
type ReplacedKey struct {
	ID string `json:"id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	// When it stops working.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

// KeyInput is what a caller says of a new key. What is left out is as it is with the key of the request, which gives no
// more than it has.
type KeyInput struct {
	// For people.
	Name string `json:"name,omitempty" validate:"max=128" example:"ci"`
	// What the key may do: scopes such as messages:send, wildcards such as queues:* and *:read, or roles: owner,
	// developer, operator, viewer, viewer_without_bodies.
	Scopes []string `json:"scopes,omitempty" validate:"min=1,max=50" example:"messages:send"`
	// To which queues: names, in which * stands for any text. Not for operators' keys.
	Queues []string `json:"queues,omitempty" validate:"min=1,max=50" example:"orders-*"`
	// From where: addresses and networks.
	AllowedIPs []string `json:"allowed_ips,omitempty" validate:"min=1,max=50" example:"192.0.2.0/24"`
	// When it stops working.
	ExpiresAt *Instant `json:"expires_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Whether it comes with an AWS pair: an access key id and a secret with which AWS SDKs sign requests. Not for operators' keys.
	AWS bool `json:"aws,omitempty" default:"false"`
}

// Rotation says how a key is replaced.
type Rotation struct {
	// Seconds that the old key goes on, or text such as "1h"; 0: not at all.
	GracePeriod *int `json:"grace_period,omitempty" validate:"min=0,max=2592000" default:"86400" example:"86400"`
	// When the new key stops working. Default: when the old one would have.
	ExpiresAt *Instant `json:"expires_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// defaultGrace is long enough for a deployment, and to notice who was forgotten.
const defaultGrace = 24 * time.Hour

func keyDetails(k auth.Key) KeyDetails {
	return KeyDetails{ID: k.ID, Name: k.Name, Kind: string(k.Kind), Scopes: append([]string{}, k.Scopes...), Queues: k.Queues,
		AllowedIPs: k.AllowedIPs, CreatedAt: Instant{k.CreatedAt}, ExpiresAt: instant(k.ExpiresAt)}
}

// createdKey shows a new key of a tenant; of an operator's the tenant is zero.
func (a *API) createdKey(c echo.Context, owner tenants.ID, k auth.Created) (CreatedKey, error) {
	out := CreatedKey{Key: k.Secret.Reveal(), KeyDetails: keyDetails(k.Key)}
	if k.AWSAccessKeyID == "" {
		return out, nil
	}
	account, err := a.account(c.Request().Context(), owner)
	out.AWS = &AWSCredentials{AccessKeyID: k.AWSAccessKeyID, SecretAccessKey: k.AWSSecret.Reveal(), AccountID: account, Region: a.Region}
	return out, err
}

func (a *API) answerCreated(c echo.Context, owner tenants.ID, k auth.Created) error {
	made(c, k.ID)
	shown, err := a.createdKey(c, owner, k)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusCreated, shown)
}

func newKey(k auth.Key) Key {
	return Key{KeyDetails: keyDetails(k), LastUsedAt: instant(k.LastUsedAt), LastUsedIP: textOrNull(k.LastUsedIP), ReplacedBy: textOrNull(k.ReplacedBy),
		AWSAccessKeyID: textOrNull(k.AWSAccessKeyID)}
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// keyOwner returns the tenant that a request is about: the one that the path names, else that of the caller.
func (a *API) keyOwner(c echo.Context) (tenants.ID, error) {
	if _, err := readQuery(c); err != nil {
		return tenants.ID{}, err
	}
	name := c.Param("tenant")
	if name == "" {
		return RequestOf(c).Tenant, nil
	}
	t, err := a.Tenants.Get(c.Request().Context(), name)
	return t.ID, err
}

// readKey reads a KeyInput.
func (a *API) readKey(c echo.Context) (auth.NewKey, error) {
	n := auth.NewKey{By: &RequestOf(c).Principal}
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"name", "scopes", "queues", "allowed_ips", "expires_at", "aws"}, func(key []byte) {
			switch string(key) {
			case "name":
				s, _ := r.str()
				n.Name = string(s)
			case "scopes":
				n.Scopes = r.someTexts(auth.MaxScopes)
			case "queues":
				n.Queues = r.someTexts(auth.MaxQueuePatterns)
			case "allowed_ips":
				n.AllowedIPs = r.someTexts(auth.MaxAddresses)
			case "expires_at":
				n.ExpiresAt = r.time()
			case "aws":
				n.AWS, _ = r.boolean()
			}
		})
	})
	return n, err
}

// someTexts reads a list of texts. An empty one is refused: left out it would mean everything, and who computed it meant
// nothing.
func (r *reader) someTexts(limit int) []string {
	var list []string
	n := 0
	r.array(limit, func(int) {
		n++
		if s, ok := r.str(); ok {
			list = append(list, string(s))
		}
	})
	if n == 0 {
		r.fault("out_of_range", "must have at least one item; leave it out to say nothing about it")
	}
	return list
}

// readRotation reads a Rotation.
func (a *API) readRotation(c echo.Context) (auth.Rotation, error) {
	how := auth.Rotation{Grace: defaultGrace, By: &RequestOf(c).Principal}
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"grace_period", "expires_at"}, func(key []byte) {
			switch string(key) {
			case "grace_period":
				if d, ok := r.duration(); ok {
					how.Grace = d
				}
			case "expires_at":
				how.ExpiresAt = r.time()
			}
		})
	})
	return how, err
}

// time reads an instant, or null for none.
func (r *reader) time() time.Time {
	if r.null() {
		return time.Time{}
	}
	s, ok := r.str()
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil {
		r.fault("wrong_type", "must be a time such as 2030-01-02T03:04:05Z")
	}
	return t
}

// createKey makes a key for the tenant of the request.
//
//	@Summary		Create a key
//	@Description	The answer is the only place that ever shows the key. It may no more than the key of the request: not more scopes, queues or addresses, and for no longer. What is left out is as it is with that one.
//	@ID				createKey
//	@Tags			keys
//	@Accept			json
//	@Param			key	body		KeyInput	false	"The key"
//	@Success		201	{object}	CreatedKey	"Created"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		404	{object}	Problem		"No such tenant"
//	@Failure		408	{object}	Problem		"The body did not arrive in time"
//	@Failure		413	{object}	Problem		"The body is too large"
//	@Failure		415	{object}	Problem		"The body is not JSON"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Failure		507	{object}	Problem		"The storage is full"
//	@Router			/v1/keys [post]
func (a *API) createKey(c echo.Context) error {
	n, err := a.readKey(c)
	if err != nil {
		return err
	}
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	k, err := a.Keys.CreateTenantKey(c.Request().Context(), owner, n)
	if err != nil {
		return err
	}
	return a.answerCreated(c, owner, k)
}

// createTenantKey makes a key that acts for a tenant.
//
//	@Summary		Create a key for a tenant
//	@Description	The answer is the only place that ever shows the key. It has no scope that the operator's key does not have.
//	@ID				createTenantKey
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant	path		string		true	"Name of the tenant"
//	@Param			key		body		KeyInput	false	"The key"
//	@Success		201		{object}	CreatedKey	"Created"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Failure		507		{object}	Problem		"The storage is full"
//	@Router			/v1/tenants/{tenant}/keys [post]
func (a *API) createTenantKey(c echo.Context) error { return a.createKey(c) }

// listKeys shows the keys of the tenant of the request.
//
//	@Summary		List keys
//	@Description	Oldest first, and all of them: there are at most 1,000. A key that is limited to some queues sees the keys that reach no others.
//	@ID				listKeys
//	@Tags			keys
//	@Success		200	{object}	Page[Key]	"The keys"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		404	{object}	Problem		"No such tenant"
//	@Failure		415	{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Router			/v1/keys [get]
func (a *API) listKeys(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	keys, err := a.Keys.List(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	data := a.manageable(c, keys)
	ids := make([]string, len(data))
	for i := range data {
		ids[i] = data[i].ID
	}
	calls, err := a.Tenants.KeyCalls(c.Request().Context(), owner, ids)
	if err != nil {
		return err
	}
	for i := range data {
		data[i].Calls24h = &calls[i]
	}
	return answerPage(a, c, data, "")
}

// manageable returns those keys that the caller may see.
func (a *API) manageable(c echo.Context, keys []auth.Key) []Key {
	caller := RequestOf(c).Principal
	data := make([]Key, 0, len(keys))
	for _, k := range keys {
		if caller.Manages(k) {
			data = append(data, newKey(k))
		}
	}
	return data
}

// listTenantKeys shows the keys of a tenant.
//
//	@Summary		List the keys of a tenant
//	@Description	Oldest first, and all of them: there are at most 1,000.
//	@ID				listTenantKeys
//	@Tags			tenants
//	@Param			tenant	path		string		true	"Name of the tenant"
//	@Success		200		{object}	Page[Key]	"The keys"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/keys [get]
func (a *API) listTenantKeys(c echo.Context) error { return a.listKeys(c) }

// managedKey returns whose key the path names, if the caller may deal with it. Others are not there for him.
func (a *API) managedKey(c echo.Context) (tenants.ID, error) {
	owner, err := a.keyOwner(c)
	if err != nil {
		return owner, err
	}
	k, err := a.Keys.Get(c.Request().Context(), owner, c.Param("id"))
	if err == nil && !RequestOf(c).Principal.Manages(k) {
		err = auth.ErrKeyNotFound
	}
	return owner, err
}

// rotateKey replaces a key.
//
//	@Summary		Rotate a key
//	@Description	The answer is the only place that ever shows the new key. It may what the old one may, which goes on for `grace_period`, and has an AWS pair of its own if that one has. A key is rotated once; then its successor is.
//	@ID				rotateKey
//	@Tags			keys
//	@Accept			json
//	@Param			id			path		string		true	"Id of the key"
//	@Param			rotation	body		Rotation	false	"How"
//	@Success		201			{object}	RotatedKey	"The new key"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such key"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		409			{object}	Problem		"The key was rotated before (`key_rotated`)"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Failure		507			{object}	Problem		"The storage is full"
//	@Router			/v1/keys/{id}/rotate [post]
func (a *API) rotateKey(c echo.Context) error {
	how, err := a.readRotation(c)
	if err != nil {
		return err
	}
	owner, err := a.managedKey(c)
	if err != nil {
		return err
	}
	k, err := a.Keys.Rotate(c.Request().Context(), owner, c.Param("id"), how)
	if err != nil {
		return err
	}
	return a.answerRotated(c, owner, k)
}

func (a *API) answerRotated(c echo.Context, owner tenants.ID, k auth.Rotated) error {
	shown, err := a.createdKey(c, owner, k.Created)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusCreated, RotatedKey{CreatedKey: shown, Replaces: ReplacedKey{ID: k.Old.ID, ExpiresAt: Instant{k.Old.ExpiresAt}}})
}

// rotateTenantKey replaces a key of a tenant.
//
//	@Summary		Rotate a key of a tenant
//	@Description	The answer is the only place that ever shows the new key. It may what the old one may, which goes on for `grace_period`, and has an AWS pair of its own if that one has. A key is rotated once; then its successor is.
//	@ID				rotateTenantKey
//	@Tags			tenants
//	@Accept			json
//	@Param			tenant		path		string		true	"Name of the tenant"
//	@Param			id			path		string		true	"Id of the key"
//	@Param			rotation	body		Rotation	false	"How"
//	@Success		201			{object}	RotatedKey	"The new key"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such key, or no such tenant"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		409			{object}	Problem		"The key was rotated before (`key_rotated`)"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Failure		507			{object}	Problem		"The storage is full"
//	@Router			/v1/tenants/{tenant}/keys/{id}/rotate [post]
func (a *API) rotateTenantKey(c echo.Context) error { return a.rotateKey(c) }

// revokeKey ends a key.
//
//	@Summary		Revoke a key
//	@Description	At once on the server that answers, within 5 seconds on all others. Also the key of the request itself.
//	@ID				revokeKey
//	@Tags			keys
//	@Param			id	path	string	true	"Id of the key"
//	@Success		204	"Revoked"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such key"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/keys/{id} [delete]
func (a *API) revokeKey(c echo.Context) error {
	owner, err := a.managedKey(c)
	if err != nil {
		return err
	}
	if err := a.Keys.Revoke(c.Request().Context(), owner, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// revokeTenantKey ends a key of a tenant.
//
//	@Summary		Revoke a key of a tenant
//	@Description	At once on the server that answers, within 5 seconds on all others.
//	@ID				revokeTenantKey
//	@Tags			tenants
//	@Param			tenant	path	string	true	"Name of the tenant"
//	@Param			id		path	string	true	"Id of the key"
//	@Success		204		"Revoked"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such key, or no such tenant"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/keys/{id} [delete]
func (a *API) revokeTenantKey(c echo.Context) error { return a.revokeKey(c) }
