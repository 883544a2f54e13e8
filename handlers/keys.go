package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Key is what anybody may know of an API key.
type Key struct {
	ID   string `json:"id" example:"key_0kq1zv3m5c8g02r4b7ft"`
	Name string `json:"name" example:"ci"`
	Kind string `json:"kind" enums:"tenant,operator"`
	// What the key may do; not enforced yet.
	Scopes    []string `json:"scopes" example:"*"`
	CreatedAt Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	// When it stops working; null for never.
	ExpiresAt *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// CreatedKey is a new key with its text, which nobody can show again.
type CreatedKey struct {
	// The key itself.
	Key       string   `json:"key" example:"slk_…"`
	ID        string   `json:"id" example:"key_0kq1zv3m5c8g02r4b7ft"`
	Name      string   `json:"name" example:"ci"`
	Kind      string   `json:"kind" enums:"tenant,operator"`
	Scopes    []string `json:"scopes" example:"*"`
	CreatedAt Instant  `json:"created_at" swaggertype:"string" format:"date-time"`
	ExpiresAt *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// KeyInput is what an operator says of a new key.
type KeyInput struct {
	// For people.
	Name string `json:"name,omitempty" validate:"max=128" example:"ci"`
	// What the key may do; kept and shown, and not enforced yet. Default: everything.
	Scopes []string `json:"scopes,omitempty" validate:"max=50" example:"*"`
	// When it stops working. Default: never.
	ExpiresAt *Instant `json:"expires_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

func newKey(k auth.Key) Key {
	out := Key{ID: k.ID, Name: k.Name, Kind: string(k.Kind), Scopes: k.Scopes, CreatedAt: Instant{k.CreatedAt},
		ExpiresAt: instant(k.ExpiresAt)}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	return out
}

// keyOwner returns the id of the tenant that the path names.
func (a *API) keyOwner(c echo.Context) (tenants.ID, error) {
	if _, err := readQuery(c); err != nil {
		return tenants.ID{}, err
	}
	t, err := a.Tenants.Get(c.Request().Context(), c.Param("tenant"))
	return t.ID, err
}

// createTenantKey makes a key that acts for a tenant.
//
//	@Summary		Create a key for a tenant
//	@Description	The answer is the only place that ever shows the key.
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
func (a *API) createTenantKey(c echo.Context) error {
	var n auth.NewKey
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"name", "scopes", "expires_at"}, func(key []byte) {
			switch string(key) {
			case "name":
				s, _ := r.str()
				n.Name = string(s)
			case "scopes":
				r.array(auth.MaxScopes, func(int) {
					if s, ok := r.str(); ok {
						n.Scopes = append(n.Scopes, string(s))
					}
				})
			case "expires_at":
				n.ExpiresAt = r.time()
			}
		})
	})
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
	shown := newKey(k.Key)
	return a.json(c, http.StatusCreated, CreatedKey{
		Key: k.Secret.Reveal(), ID: shown.ID, Name: shown.Name, Kind: shown.Kind, Scopes: shown.Scopes,
		CreatedAt: shown.CreatedAt, ExpiresAt: shown.ExpiresAt,
	})
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

// listTenantKeys shows the keys of a tenant.
//
//	@Summary		List the keys of a tenant
//	@Description	Oldest first, and all of them: there are at most 1,000.
//	@ID				listTenantKeys
//	@Tags			tenants
//	@Param			tenant	path		string	true	"Name of the tenant"
//	@Success		200		{object}	Page[Key]	"The keys, oldest first"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such tenant"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/keys [get]
func (a *API) listTenantKeys(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	keys, err := a.Keys.List(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	data := make([]Key, len(keys))
	for i, k := range keys {
		data[i] = newKey(k)
	}
	return answerPage(a, c, data, "")
}

// revokeTenantKey ends a key.
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
func (a *API) revokeTenantKey(c echo.Context) error {
	owner, err := a.keyOwner(c)
	if err != nil {
		return err
	}
	if err := a.Keys.Revoke(c.Request().Context(), owner, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// Caller is who a request was made by.
type Caller struct {
	Key CallerKey `json:"key"`
	// The tenant that the key acts for; null for an operator's key without the header Tenant.
	Tenant *CallerTenant `json:"tenant" extensions:"x-nullable"`
	Limits Limits        `json:"limits"`
}

// CallerKey is the key of a request.
type CallerKey struct {
	ID     string   `json:"id" example:"key_0kq1zv3m5c8g02r4b7ft"`
	Kind   string   `json:"kind" enums:"tenant,operator"`
	Scopes []string `json:"scopes" example:"*"`
}

// CallerTenant is the tenant of a request.
type CallerTenant struct {
	Name          string `json:"name" example:"acme"`
	ID            string `json:"id" example:"4t1bq0zk7m"`
	AccountNumber string `json:"account_number" example:"482915073316"`
}

// Limits are what the server takes.
type Limits struct {
	// Bytes of a message with its attributes.
	MaxMessageSize int `json:"max_message_size" example:"1048576"`
	// Messages, and bytes, of a batch.
	MaxBatch      int `json:"max_batch" example:"1000"`
	MaxBatchBytes int `json:"max_batch_bytes" example:"16777216"`
	// Messages of a receive.
	MaxReceive int `json:"max_receive" example:"100"`
	// Seconds that a receive may wait.
	MaxWait int `json:"max_wait" example:"20"`
	// Queues of a tenant.
	MaxQueues int `json:"max_queues" example:"100000"`
	// Keys of a tenant.
	MaxKeys int `json:"max_keys" example:"1000"`
}

// whoami says who is calling.
//
//	@Summary		Who am I
//	@Description	The key of this request, the tenant that it acts for, and the limits.
//	@ID				whoami
//	@Tags			identity
//	@Success		200	{object}	Caller	"The caller"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"The header Tenant names no tenant of this key"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/whoami [get]
func (a *API) whoami(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	r := RequestOf(c)
	who := Caller{
		Key: CallerKey{ID: r.Principal.KeyID, Kind: string(r.Principal.Kind), Scopes: append([]string{}, r.Principal.Scopes...)},
		Limits: Limits{
			MaxMessageSize: queues.MaxMessageSize, MaxBatch: queues.MaxBatch, MaxBatchBytes: queues.MaxBatchBytes,
			MaxReceive: queues.MaxReceive, MaxWait: wholeSeconds(queues.MaxWait), MaxQueues: queues.MaxQueues, MaxKeys: auth.MaxKeys,
		},
	}
	if !r.Tenant.IsZero() {
		t, err := a.Tenants.ByID(c.Request().Context(), r.Tenant)
		if err != nil {
			return err
		}
		who.Tenant = &CallerTenant{Name: t.Name, ID: t.ID.String(), AccountNumber: t.AccountNumber}
	}
	return a.json(c, http.StatusOK, who)
}
