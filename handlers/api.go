package handlers

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/monitor/feed"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// API is the REST door. Fill its fields in, then call Register once.
type API struct {
	Queues   *queues.Store
	Topics   *topics.Store
	Webhooks *webhook.Store
	Tenants  *tenants.Store
	Keys     *auth.KeyStore
	Auth     *auth.Authenticator
	Tasks    *tasks.Store
	// Limiter holds the rates of tenants. Default: tenants do as much as they like.
	Limiter *tenants.Limiter
	// Answers is the room that large answers take while they are sent. Default: as much as they need.
	Answers *room.Room
	// Storage knows how much tenants have stored. Default: nobody says.
	Storage *tenants.Storage
	// Crowd bounds what waits for each tenant. Default: nothing does.
	Crowd *tenants.Waiting
	// Meter counts requests and their bytes. Default: nothing is counted.
	Meter   *tenants.Meter
	Audit   *audit.Store
	Monitor *monitor.Monitor
	Alarms  *alarms.Store
	Feed    *feed.Store
	// Host tells operators of the server itself.
	Host Host
	// NewID makes the ids of requests: engine.Engine.NewID.
	NewID func(shard int) engine.ID

	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
	// Region is part of the ARNs of queues. Default: us-east-1.
	Region string
	// BasePath is where the API lives on the public address, such as "/queues". Addresses in answers begin with it; the
	// paths that arrive here do not. Default: none.
	BasePath string
	// HTTPS reports whether a client speaks TLS, perhaps to a proxy. Default: whether it does to this server.
	HTTPS func(*http.Request) bool
	// PublicURL is the public address, so that a page from there is no other site, and identity providers send people back to it.
	// Default: that of each request.
	PublicURL *url.URL
	// Contact is where tenants ask for larger limits: a mailto:, https: or http: URL. Default: nowhere.
	Contact string
	// InsecureCookies lets browsers have sessions over connections without TLS. Default: only on the machine itself.
	InsecureCookies bool
	// MaxWaitingReceives bounds the receives that wait for a message at the same time, with the open streams. One more
	// receive is answered at once, one more stream refused.
	// Default: 20,000.
	MaxWaitingReceives int
	// StreamStall is how long one write to a stream may take. A reader that is slower is gone. Default: 20 s.
	StreamStall time.Duration
	// TestHeaders adds Sluice-Now to every answer. For tests.
	TestHeaders bool

	waiting  atomic.Int64
	guessed  atomic.Int64 // when a name was last guessed, ms
	misses   misses
	accounts sync.Map // tenants.ID → account number, which never changes
}

const (
	defaultRegion     = "us-east-1"
	defaultMaxWaiting = 20_000
)

// Register adds the routes to e, makes a.ErrorHandler its error handler and gives every answer of e, also those of
// other routes, a Request-Id. Middleware that e has already runs before that and sees it when the handler is done.
func (a *API) Register(e *echo.Echo) {
	if a.Clock == nil {
		a.Clock = clock.Real{}
	}
	if a.Logger == nil {
		a.Logger = slog.New(slog.DiscardHandler)
	}
	if a.Region == "" {
		a.Region = defaultRegion
	}
	if a.MaxWaitingReceives == 0 {
		a.MaxWaitingReceives = defaultMaxWaiting
	}
	if a.StreamStall == 0 {
		a.StreamStall = defaultStreamStall
	}
	if e.IPExtractor == nil {
		e.IPExtractor = echo.ExtractIPDirect() // echo's own choice believes whatever a header says
	}
	e.HTTPErrorHandler = a.ErrorHandler
	e.Use(a.identify)
	for _, r := range a.routes() {
		h := a.guard(r)
		e.Add(r.method, r.path, h)
		if r.method == http.MethodGet {
			e.HEAD(r.path, h)
		}
	}
}

// Waiting returns how many receives wait for a message, or are about to, and how many streams are open.
func (a *API) Waiting() int64 { return a.waiting.Load() }

// Request is what is known of a request while it is handled: what the one line in the log says of it.
type Request struct {
	ID        string         // sent back as Request-Id
	ClientID  string         // the Request-Id that the client sent, or ""
	Operation string         // its id in the description of the API, or "" for none
	Principal auth.Principal // zero until the caller is known
	Tenant    tenants.ID     // zero for what belongs to no tenant
	Code      string         // of the problem with which it was answered, or ""

	route   *guarded
	terms   *tenants.Terms // nil for what an operator asks
	charged int64          // bytes of the answer, to the limits and the usage of the tenant
	read    int64          // bytes of a body that did not say how long it is
	record  *record        // nil for what the audit log does not have
}

const requestKey = "sluice.request"

// RequestOf returns what is known of the request of c. It is nil for one that never came to Register's middleware.
func RequestOf(c echo.Context) *Request {
	r, _ := c.Get(requestKey).(*Request)
	return r
}

// maxClientID bounds the Request-Id of a client that is kept.
const maxClientID = 128

// identify gives a request its id, and refuses methods that no address takes.
func (a *API) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		a.ensureID(c)
		h := c.Response().Header()
		if a.TestHeaders {
			c.Response().Before(func() {
				if h.Get(nowHeader) == "" {
					h.Set(nowHeader, strconv.FormatInt(a.Clock.Now().UnixMilli(), 10))
				}
			})
		}
		if m := c.Request().Method; m == http.MethodTrace || m == http.MethodConnect {
			h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			return echo.ErrMethodNotAllowed
		}
		return next(c)
	}
}

// ensureID gives an id to a request that was refused before identify saw it.
func (a *API) ensureID(c echo.Context) {
	if RequestOf(c) != nil {
		return
	}
	var id engine.ID
	if a.NewID != nil {
		id = a.NewID(0)
	} else {
		_, _ = rand.Read(id[:]) // never fails
	}
	r := &Request{ID: "req_" + id.String(), ClientID: printable(c.Request().Header.Get("Request-Id"), maxClientID)}
	c.Set(requestKey, r)
	c.Response().Header()["Request-Id"] = []string{r.ID}
}

const nowHeader = "Sluice-Now"

// printable returns the start of s if it is printable ASCII, and "" otherwise: it goes into a log.
func printable(s string, limit int) string {
	if len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}

// guard lets those requests through to a route's handler that may go there.
func (a *API) guard(r route) echo.HandlerFunc {
	rt := guarded{route: r, need: auth.MustScope(r.scope)}
	if what, ok := changes[r.operation]; ok {
		rt.change = &what
	}
	return func(c echo.Context) (err error) {
		req, hr := RequestOf(c), c.Request()
		req.Operation, req.route = rt.operation, &rt
		if err := unescapeParams(c); err != nil {
			return err
		}
		if hr.URL.RawQuery != "" {
			if credential, ok := credentialIn(hr.URL.RawQuery); ok {
				return a.refuseExposed(c, rt, credential)
			}
		}
		c.Response().Header()["Cache-Control"] = noStore
		if rt.needs != public {
			if err := a.authenticate(c, req, &rt); err != nil {
				a.refusedChange(c, &rt, err)
				return err
			}
			if err := a.admit(c, req); err != nil {
				return err
			}
			defer func() { a.countRequest(c, req, err) }()
		}
		if e := hr.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
			return errEncoding
		}
		if err := rt.checkIdempotencyKey(hr.Header); err != nil {
			return err
		}
		if rt.change != nil {
			return a.audited(c, &rt)
		}
		return rt.handler(c)
	}
}

var noStore = []string{"no-store"}

// unescapeParams makes the parameters of the path what their sender meant. An empty one, and one that reaches over a
// slash, is no path of ours.
func unescapeParams(c echo.Context) error {
	values := c.ParamValues()
	raw := c.Request().URL.RawPath != "" // otherwise the router has seen the unescaped path
	for i, v := range values {
		if v == "" || strings.IndexByte(v, '/') >= 0 {
			return echo.ErrNotFound
		}
		if raw {
			plain, err := url.PathUnescape(v)
			if err != nil {
				return echo.ErrNotFound
			}
			values[i] = plain
		}
	}
	if raw && len(values) > 0 {
		c.SetParamValues(values...)
	}
	return nil
}

// authenticate finds out who calls, for which tenant, and whether he may.
func (a *API) authenticate(c echo.Context, req *Request, rt *guarded) error {
	ctx := c.Request().Context()
	p, err := a.caller(c, rt)
	if err != nil {
		return err
	}
	req.Principal = p
	if err := rt.admits(p); err != nil {
		return err
	}
	name := c.Request().Header.Get("Tenant")
	if rt.needs == operator || rt.needs == anyKey && p.Kind == auth.KindOperator && name == "" {
		return nil
	}
	if req.Tenant, err = a.Auth.Resolve(ctx, p, name); err != nil {
		return err
	}
	if err := a.checkTenant(ctx, req, rt.scope); err != nil {
		return err
	}
	return rt.reaches(c, p)
}

// caller returns who shows the credential of a request: a key or a token, or else the cookie of a session.
func (a *API) caller(c echo.Context, rt *guarded) (auth.Principal, error) {
	r := c.Request()
	header := r.Header["Authorization"]
	switch {
	case len(header) == 0:
		text, err := a.cookieOf(r.Header)
		if err == nil && text == "" {
			err = auth.ErrUnauthenticated
		}
		if err == nil {
			err = a.refuseForged(r, rt.operation)
		}
		if err != nil {
			return auth.Principal{}, err
		}
		return a.Auth.Session(r.Context(), text, c.RealIP())
	case len(header) > 1:
		return auth.Principal{}, errTwoCredentials
	}
	credential, err := auth.FromHeader(header[0])
	if err != nil {
		return auth.Principal{}, err
	}
	return a.Auth.Authenticate(r.Context(), credential, c.RealIP())
}

var (
	errTwoCredentials = &errs.Error{Kind: errs.Unauthenticated, Code: "unauthenticated",
		Message: "The request carries two Authorization headers.",
		Fix:     "Send one key, in one way."}
	errEncoding = &errs.Error{Kind: errs.Malformed, Code: codeMediaType,
		Message: "Bodies are taken as they are: no Content-Encoding but identity is understood.",
		Fix:     "Send the body uncompressed; to store compressed bytes say so in Content-Type only.",
		Fields:  []errs.Field{{Header: "Content-Encoding", Code: "not_supported", Message: "must be identity or absent"}}}
)

// link returns the address of a thing of the API, for answers.
func (a *API) link(path string) string { return a.BasePath + path }

// account returns the account number of a tenant.
func (a *API) account(ctx context.Context, id tenants.ID) (string, error) {
	if n, ok := a.accounts.Load(id); ok {
		return n.(string), nil
	}
	t, err := a.Tenants.ByID(ctx, id)
	if err != nil {
		return "", err
	}
	a.accounts.Store(id, t.AccountNumber)
	return t.AccountNumber, nil
}
