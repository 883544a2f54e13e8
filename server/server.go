// Package server assembles the parts of Sluice from a Config and runs them until told to stop.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/web"
)

// Version is what `sluice version` and /readyz say. A release build sets it.
var Version = "dev"

// Server is one running Sluice. It listens from New on; until its Redis answers it says so.
type Server struct {
	config Config
	logger *slog.Logger
	logOut *logWriter
	master *keyring.Master
	clock  testClock
	greet  io.Writer

	started     time.Time
	api, admin  net.Listener
	certificate *certificate // nil without TLS
	health      *health
	metrics     *metrics
	http        *http.Server
	console     http.Handler
	handler     atomic.Pointer[http.Handler]
	draining    atomic.Bool
	running     sync.WaitGroup // requests being answered

	parts   atomic.Pointer[parts]
	booted  chan struct{}
	closers []func() error
}

// testClock, when set by a test, replaces the time of Redis in every script; see engine.Options.TestNow.
type testClock func() int64

// Option changes what a Config cannot say: only tests and main use them.
type Option func(*Server)

// WithLog sends the log to w instead of standard error.
func WithLog(w io.Writer) Option { return func(s *Server) { s.logOut = newLogWriter(w) } }

// WithGreeting writes the keys and commands for newcomers to w at the first start. Default: nowhere.
func WithGreeting(w io.Writer) Option { return func(s *Server) { s.greet = w } }

// WithTestNow replaces the time of Redis by now, in milliseconds, in every script.
func WithTestNow(now func() int64) Option { return func(s *Server) { s.clock = now } }

// New checks the configuration, opens the data directory and the listeners. It does not wait for Redis.
func New(c Config, options ...Option) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: c, started: time.Now(), booted: make(chan struct{}), greet: io.Discard, console: web.Handler()}
	for _, o := range options {
		o(s)
	}
	if s.logOut == nil {
		s.logOut = newLogWriter(os.Stderr)
	}
	s.logger = newLogger(c, s.logOut)
	// The Redis client writes a line of its own, and not in our form, for every connection that it fails to make:
	// hundreds a second while Redis is away. The engine logs what became of calls.
	logging.Disable()
	s.closers = append(s.closers, s.logOut.Close)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open() error {
	if err := os.MkdirAll(s.config.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	master, _, err := keyring.Open(s.config.DataDir, s.config.MasterKey.base64(), nil)
	if err != nil {
		return err
	}
	s.master = master
	for _, w := range append(s.config.Warnings(), master.Warnings()...) {
		s.logger.Warn(w) //nolint:sloglint // one of few sentences
	}
	if err = s.openTLS(); err != nil {
		return err
	}
	if s.api, err = net.Listen("tcp", s.config.Listen); err != nil { //nolint:noctx // it asks nobody
		return fmt.Errorf("listen: %w", err)
	}
	s.closers = append(s.closers, ignoreClosed(s.api.Close))
	if s.config.MetricsListen != "" {
		if s.admin, err = net.Listen("tcp", s.config.MetricsListen); err != nil { //nolint:noctx // as above
			return fmt.Errorf("metrics_listen: %w", err)
		}
		s.closers = append(s.closers, ignoreClosed(s.admin.Close))
	}
	s.health = newHealth()
	s.metrics = newMetrics(s)
	s.http = s.newHTTP()
	return nil
}

// URL returns the address of the API, such as http://127.0.0.1:8080.
func (s *Server) URL() string {
	scheme := "http"
	if s.HasTLS() {
		scheme = "https"
	}
	return scheme + "://" + s.api.Addr().String()
}

// MetricsURL returns the address of the metrics listener, or "".
func (s *Server) MetricsURL() string {
	if s.admin == nil {
		return ""
	}
	return "http://" + s.admin.Addr().String()
}

// Booted is closed once the server answers requests.
func (s *Server) Booted() <-chan struct{} { return s.booted }

// Run serves until ctx ends, then answers what it has accepted, for at most the drain timeout. It returns early with
// an error when the server refuses to start, for example on a Redis whose settings lose messages.
func (s *Server) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	// The workers outlive ctx: requests that drain still need them.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	admin := &http.Server{Handler: s.adminHandler(), ReadHeaderTimeout: readHeaderTimeout, ErrorLog: s.httpErrors()}
	if s.admin != nil {
		g.Go(func() error { return ignoreServerClosed(admin.Serve(s.admin)) })
	}
	g.Go(s.serveAPI)
	if s.HasTLS() {
		g.Go(func() error { return s.certificate.watch(running) })
	}
	g.Go(func() error {
		p, err := s.boot(running)
		if err != nil {
			if running.Err() != nil {
				return nil //nolint:nilerr // told to stop while it waited for Redis
			}
			return err
		}
		s.parts.Store(p)
		h := s.routes(p)
		s.handler.Store(&h)
		s.health.set("starting", "") // only now: who sees readiness sends requests
		close(s.booted)
		s.logger.Info("ready", "url", s.URL(), "version", Version, "durability", s.health.durabilityLevel())
		return p.run(work)
	})
	g.Go(func() error {
		<-running.Done()
		err := s.drain()
		stopWork()
		_ = admin.Close()
		return err
	})
	return g.Wait()
}

const (
	// lameDuck is how long a draining server still accepts requests, answering each with "Connection: close": clients
	// and load balancers that have not noticed yet get their answers.
	lameDuck = time.Second
)

// drain answers what was accepted, then ends the listener.
func (s *Server) drain() error {
	s.draining.Store(true)
	s.health.set("draining", "The server is stopping.")
	s.logger.Info("draining", "timeout", s.config.DrainTimeout.String())
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	p := s.parts.Load()
	if p != nil {
		p.queues.Drain()
		p.runner.Drain()
		select {
		case <-time.After(lameDuck):
		case <-ctx.Done():
		}
	}
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
		return fmt.Errorf("some requests did not end within drain_timeout: %w", err)
	}
	// Websockets are no longer requests to Shutdown; they have been told to end and give back what they hold.
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("some websockets did not end within drain_timeout: %w", ctx.Err())
	}
}

// Close releases everything. Call it after Run has returned.
func (s *Server) Close() error {
	var err error
	if p := s.parts.Load(); p != nil {
		err = p.close()
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

func ignoreClosed(f func() error) func() error {
	return func() error {
		if err := f(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func ignoreServerClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
