package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/monitor/feed"
	"github.com/sluicemq/sluice/openapi"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/web"
)

// Time-outs and bounds of the listener. A receive waits for at most 20 seconds, so an answer has a minute.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = time.Minute
	idleTimeout       = 75 * time.Second
	maxHeaderBytes    = 16 << 10
)

func (s *Server) newHTTP() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: s.httpErrors(),
	}
}

// serve is the front door: what every request meets, whatever answers it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Done()
	s.hear(r)
	guard(w.Header(), r)
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	switch r.URL.Path {
	case "/healthz":
		s.health.serveLive(w, r)
		return
	case "/readyz":
		s.health.serveReady(w, r)
		return
	case "/":
		if !aws.Accepts(r) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			toConsole(w)
			return
		}
	case strings.TrimRight(web.Base, "/"):
		toConsole(w)
		return
	}
	if strings.HasPrefix(r.URL.Path, web.Base) {
		s.console.ServeHTTP(w, r) // also while there is no Redis: it shows why
		return
	}
	h := s.handler.Load()
	if h == nil || s.health.has("data_replaced") {
		s.refuse(w, r)
		return
	}
	(*h).ServeHTTP(w, r)
}

// toConsole sends a browser to the console. The address is relative, so that it keeps the prefix of a proxy.
func toConsole(w http.ResponseWriter) {
	w.Header().Set("Location", "."+web.Base)
	w.WriteHeader(http.StatusFound)
}

// refuse answers requests that come while the server has no Redis, or the wrong one.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request) {
	e := *engine.ErrUnavailable
	if why, _ := s.health.report(); len(why.Reasons) > 0 {
		e.Message = why.Reasons[0].Detail + " Nothing was changed."
	}
	turnAway(echo.New(), w, r, &e)
}

// turnAway answers a request that nobody looks at. It is not logged: there may be very many.
func turnAway(e *echo.Echo, w http.ResponseWriter, r *http.Request, err error) {
	if aws.Accepts(r) {
		aws.Refuse(w, r, err)
		return
	}
	var api handlers.API
	api.ErrorHandler(err, e.NewContext(r, w))
}

// routes builds the handler of everything that needs Redis.
func (s *Server) routes(p *parts) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(s.logOut)
	e.IPExtractor = s.clientAddress()
	contact, _ := contactURL(s.config.Contact) // New has seen that it is one
	api := &handlers.API{
		Queues: p.queues, Topics: p.topics, Webhooks: p.webhooks, Tenants: p.tenants, Limiter: p.limiter, Storage: p.storage, Meter: p.meter, Crowd: p.crowd, Keys: p.keys, Auth: p.auth, Tasks: p.tasks,
		Audit: p.audit, Monitor: p.monitor, Alarms: p.alarms, Feed: feed.New(feed.Config{Audit: p.audit, Tasks: p.tasks, Alarms: p.alarms}), NewID: p.engine.NewID, Answers: p.answers,
		Logger: s.logger, Region: s.config.Region, BasePath: s.basePath(), TestHeaders: s.config.TestHeaders,
		MaxWaitingReceives: s.config.MaxWaitingReceives, HTTPS: s.isHTTPS, Host: newHost(s, p), PublicURL: s.config.PublicURL, InsecureCookies: s.config.InsecureCookies, Contact: contact,
	}
	door := s.awsDoor(p)
	crowd := &crowd{
		most: int64(s.config.MaxInFlightRequests), trip: p.engine.FastestTrip, bodies: p.bodies,
		waiting: func() int64 { return api.Waiting() + door.Waiting() },
		moving:  func() int64 { return p.bodies.Moving() + p.answers.Moving() },
		warn: func(refused int64) {
			s.logger.Warn("more requests come than can be answered soon", "refused", refused)
		},
	}
	crowd.fit.Store(crowd.most)
	e.Use(s.observe(p.requests), s.doubt(p))
	api.Register(e)
	e.Any("/openapi.json", echo.WrapHandler(openapi.Handler()))
	docs := echo.WrapHandler(openapi.Docs("../openapi.json"))
	e.Any("/docs", docs)
	e.Any("/docs/*", docs)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		leave, err := crowd.enter(w, r, begin)
		defer leave()
		switch {
		case err != nil:
			s.metrics.request(r.Method, "refused", http.StatusServiceUnavailable, time.Since(begin))
			turnAway(e, w, r, err)
		case aws.Accepts(r):
			s.serveAWS(door, p.requests, w, r, begin)
		default:
			e.ServeHTTP(w, r)
		}
	})
}

// clientAddress takes the client's address from X-Forwarded-For only where a trusted proxy says so.
func (s *Server) clientAddress() echo.IPExtractor {
	if len(s.config.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range s.config.TrustedProxies {
		options = append(options, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// isHTTPS reports whether a client speaks TLS to a proxy: when one that is trusted says so, or when the client came by the
// public address and that is https.
func (s *Server) isHTTPS(r *http.Request) bool {
	if u := s.config.PublicURL; u != nil && u.Scheme == "https" && strings.EqualFold(r.Host, u.Host) {
		return true
	}
	if len(s.config.TrustedProxies) == 0 || !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(s.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
}

// basePath is the path of the public address, below which a proxy serves the API.
func (s *Server) basePath() string {
	if s.config.PublicURL == nil {
		return ""
	}
	return strings.TrimRight(s.config.PublicURL.Path, "/")
}

// observe counts each request, logs it in one line, and notes it for the log of its tenant. It never sees a body or a
// credential.
func (s *Server) observe(requests *tenants.RequestLog) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			begin := time.Now()
			if err := next(c); err != nil {
				c.Error(err)
			}
			took := time.Since(begin)
			s.metrics.request(c.Request().Method, c.Path(), c.Response().Status, took)
			if s.config.LogRequests {
				s.logRequest(c, took)
			}
			noteREST(requests, c, took)
			return nil
		}
	}
}

// logRequest writes what an operator asks of a request. The route stands for the path: paths hold receipt handles.
func (s *Server) logRequest(c echo.Context, took time.Duration) {
	r, w := c.Request(), c.Response()
	level := slog.LevelInfo
	if w.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !s.logger.Enabled(r.Context(), level) {
		return
	}
	who := handlers.RequestOf(c)
	if who == nil {
		who = &handlers.Request{}
	}
	s.logger.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method), slog.String("route", c.Path()), slog.Int("status", w.Status),
		slog.String("queue", c.Param("queue")), slog.String("tenant", who.Tenant.String()), slog.String("key", who.Principal.ID()),
		slog.String("client", c.RealIP()), slog.Int64("in", r.ContentLength), slog.Int64("out", w.Size),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("request_id", who.ID), slog.String("client_request_id", who.ClientID))
}
