package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Caller is who a request was made by.
type Caller struct {
	Key CallerKey `json:"key"`
	// The access token of the request; null when it carries the key itself.
	Token *CallerToken `json:"token" extensions:"x-nullable"`
	// Who an identity provider says that it is; null when the request came without a token of one, and without a session that was opened so.
	Identity *CallerIdentity `json:"identity" extensions:"x-nullable"`
	// The session of a browser by which the request came; null when it came with the key.
	Session *CallerSession `json:"session" extensions:"x-nullable"`
	// The tenant that the key acts for; null for an operator's key without the header Tenant.
	Tenant *CallerTenant `json:"tenant" extensions:"x-nullable"`
	Limits Limits        `json:"limits"`
	// Where to ask whoever runs the installation for larger limits: a mailto:, https: or http: URL; null where nobody is named.
	Contact *string `json:"contact" extensions:"x-nullable" example:"mailto:ops@example.com"`
}

// CallerKey is the key of a request. Of an access token it is the key that it came from, with what the token may.
type CallerKey struct {
	// Of the session of a member it is the member's, of one that was opened with a portal link the link's, and of an identity provider's token or session that of the identity.
	ID   string `json:"id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	Kind string `json:"kind" enums:"tenant,operator"`
	// As they were given: scopes, wildcards and roles.
	Scopes []string `json:"scopes" example:"developer"`
	// Each scope that they mean.
	Allowed []string `json:"allowed" example:"messages:send"`
	// Patterns of the names of the queues that the key reaches; null for all.
	Queues []string `json:"queues" extensions:"x-nullable" example:"orders-*"`
	// When it stops working, or the access token does; null for never.
	ExpiresAt *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// CallerToken is the access token of a request.
type CallerToken struct {
	ID string `json:"id" example:"tok_0kq1zv3m5c8g02r4b7fg"`
}

// CallerIdentity is who an identity provider says that somebody is.
type CallerIdentity struct {
	ID string `json:"id" example:"oid_0kq1zv3m5c8g02r4b7fg"`
	// The provider.
	Issuer string `json:"issuer" example:"https://login.example.com"`
	// What it calls somebody.
	Subject string `json:"subject" example:"248289761001"`
}

func newCallerIdentity(i *auth.Identity) CallerIdentity {
	return CallerIdentity{ID: i.ID, Issuer: i.Issuer, Subject: i.Subject}
}

// CallerSession is the session of a request.
type CallerSession struct {
	ID string `json:"id" example:"ses_0kq1zv3m5c8g02r4b7fg"`
}

// CallerTenant is the tenant of a request.
type CallerTenant struct {
	Name          string `json:"name" example:"acme"`
	ID            string `json:"id" example:"4t1bq0zk7m"`
	AccountNumber string `json:"account_number" example:"482915073316"`
}

// Limits are what the server takes.
type Limits struct {
	// Bytes of a message with its attributes. This and the number of queues are the tenant's own.
	MaxMessageSize int `json:"max_message_size" example:"1048576"`
	// Messages, and bytes, of a batch.
	MaxBatch      int `json:"max_batch" example:"1000"`
	MaxBatchBytes int `json:"max_batch_bytes" example:"16777216"`
	// Messages of a receive.
	MaxReceive int `json:"max_receive" example:"100"`
	// Seconds that a receive may wait.
	MaxWait int `json:"max_wait" example:"20"`
	// Requests a second of the tenant, bytes of its requests, and bytes of its answers; null for any number.
	RequestsPerSecond *int64 `json:"requests_per_second" extensions:"x-nullable" example:"500"`
	BytesInPerSecond  *int64 `json:"bytes_in_per_second" extensions:"x-nullable" example:"10000000"`
	BytesOutPerSecond *int64 `json:"bytes_out_per_second" extensions:"x-nullable" example:"10000000"`
	// Queues of a tenant.
	MaxQueues int `json:"max_queues" example:"100000"`
	// Keys of a tenant.
	MaxKeys int `json:"max_keys" example:"1000"`
	// Topics of a tenant.
	MaxTopics int `json:"max_topics" example:"10000"`
	// Subscriptions of a topic.
	MaxTopicSubscriptions int `json:"max_topic_subscriptions" example:"1000"`
	// Schedules of a queue or a topic.
	MaxQueueSchedules int `json:"max_queue_schedules" example:"1000"`
	// Receives of the tenant that wait at the same time on one server, with open streams; null for any number.
	WaitingReceives *int64 `json:"waiting_receives" extensions:"x-nullable" example:"100"`
	// Bytes that the tenant's queues and topics may hold, with 100 for each message; null for any number.
	StoredBytes *int64 `json:"stored_bytes" extensions:"x-nullable" example:"10737418240"`
	// How many they hold, as of at most a few seconds ago; null where any number may be stored.
	StoredBytesUsed *int64 `json:"stored_bytes_used" extensions:"x-nullable" example:"73400320"`
}

// whoami says who is calling.
//
//	@Summary		Who am I
//	@Description	The key of this request, or its access token, the tenant that it acts for, the limits, and where to ask for larger ones.
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
	g := r.Principal.Grants
	who := Caller{
		Key: CallerKey{ID: r.Principal.ID(), Kind: string(r.Principal.Kind), Scopes: append([]string{}, g.Scopes...),
			Allowed: g.Allowed().Names(), Queues: g.Queues, ExpiresAt: instant(g.ExpiresAt)},
		Limits: Limits{
			MaxMessageSize: queues.MaxMessageSize, MaxBatch: queues.MaxBatch, MaxBatchBytes: queues.MaxBatchBytes,
			MaxReceive: queues.MaxReceive, MaxWait: wholeSeconds(queues.MaxWait),
		},
		Contact: textOrNull(a.Contact),
	}
	who.Limits.of(tenants.Unlimited().Limits)
	if id := r.Principal.TokenID; id != "" {
		who.Token = &CallerToken{ID: id}
	}
	if i := r.Principal.Identity; i != nil {
		identity := newCallerIdentity(i)
		who.Identity = &identity
	}
	if id := r.Principal.SessionID; id != "" {
		who.Session = &CallerSession{ID: id}
	}
	if !r.Tenant.IsZero() {
		t, err := a.Tenants.ByID(c.Request().Context(), r.Tenant)
		if err != nil {
			return err
		}
		terms, err := a.Tenants.Terms(c.Request().Context(), r.Tenant)
		if err != nil {
			return err
		}
		who.Limits.of(terms.Limits)
		if who.Limits.StoredBytesUsed, err = a.storedBytes(c, r.Tenant, terms.Limits); err != nil {
			return err
		}
		who.Tenant = &CallerTenant{Name: t.Name, ID: t.ID.String(), AccountNumber: t.AccountNumber}
	}
	return a.json(c, http.StatusOK, who)
}

// of takes over what holds for a tenant.
func (l *Limits) of(t tenants.Limits) {
	l.MaxMessageSize, l.MaxQueues, l.MaxKeys = int(t[tenants.LimitMessageSize]), int(t[tenants.LimitQueues]), int(t[tenants.LimitKeys])
	l.MaxTopics, l.MaxTopicSubscriptions = int(t[tenants.LimitTopics]), int(t[tenants.LimitSubscriptions])
	l.MaxQueueSchedules = int(t[tenants.LimitSchedules])
	all := newLimits(t)
	l.RequestsPerSecond, l.BytesInPerSecond, l.BytesOutPerSecond = all.RequestsPerSecond, all.BytesInPerSecond, all.BytesOutPerSecond
	l.WaitingReceives, l.StoredBytes = all.WaitingReceives, all.StoredBytes
}

// storedBytes returns how many bytes a tenant holds that has a limit of them, and otherwise nil.
func (a *API) storedBytes(c echo.Context, id tenants.ID, l tenants.Limits) (*int64, error) {
	if a.Storage == nil || l[tenants.LimitStored] == 0 {
		return nil, nil
	}
	used, err := a.Storage.Used(c.Request().Context(), id)
	return &used, err
}
