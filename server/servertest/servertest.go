// Package servertest starts whole servers for tests: the program as it is shipped, on free ports.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
)

// Server is a running server with the keys of its first start.
type Server struct {
	*server.Server
	OperatorKey string
	Key         string // of the tenant "default"
	Log         *Buffer
	DataDir     string

	stop  func()
	ended chan struct{} // closed when Run has returned
	err   error         // what it returned
	once  sync.Once
	close error
}

// Option changes the configuration before the start.
type Option func(*server.Config)

// WithRedis uses the Redis at url instead of the test binary's shared one.
func WithRedis(url string) Option {
	return func(c *server.Config) { c.RedisURL = must(addr.ParseRedis(url)) }
}

// WithEmbedded lets the server start its own Redis.
func WithEmbedded() Option { return func(c *server.Config) { c.RedisURL = addr.Redis{} } }

// WithDataDir uses a data directory that another server had before.
func WithDataDir(dir string) Option { return func(c *server.Config) { c.DataDir = dir } }

// MasterKey is the one that all servers of a test binary share, so that they may share a Redis.
var MasterKey = server.SecretKey("servertest-master-key-of-32-bytes!")

// New starts a server, waits until it answers requests, and stops it when the test ends.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s := Start(tb, options...)
	select {
	case <-s.Booted():
	case <-s.ended:
		tb.Fatalf("the server ended: %v\n%s", s.err, s.Log)
	case <-time.After(30 * time.Second):
		tb.Fatalf("the server did not start in 30 s\n%s", s.Log)
	}
	s.OperatorKey = readKey(tb, s.DataDir, "operator-key")
	s.Key = readKey(tb, s.DataDir, "default-key")
	return s
}

// Start starts a server and does not wait for it.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	c := server.DefaultConfig()
	c.Listen, c.MetricsListen = "127.0.0.1:0", "127.0.0.1:0"
	c.DataDir = tb.TempDir()
	c.MasterKey = MasterKey
	c.LogFormat = "json"
	c.RedisURL = must(addr.ParseRedis(redistest.URL(tb)))
	for _, o := range options {
		o(&c)
	}
	s := &Server{Log: &Buffer{}, DataDir: c.DataDir, ended: make(chan struct{})}
	srv, err := server.New(c, server.WithLog(s.Log))
	if err != nil {
		tb.Fatalf("new server: %v", err)
	}
	s.Server = srv
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.ended)
		s.err = srv.Run(ctx)
	}()
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Errorf("stop the server: %v\n%s", err, s.Log)
		}
	})
	return s
}

// Stop ends the server as SIGTERM does and returns what Run and Close returned. Later calls return the same.
func (s *Server) Stop() error {
	s.stop()
	<-s.ended
	s.once.Do(func() { s.close = s.Close() })
	return errors.Join(s.err, s.close)
}

// Do sends a request with the tenant's key and returns status and body. A body of nil sends none.
func (s *Server) Do(tb testing.TB, method, path string, body []byte) (int, string) {
	tb.Helper()
	return s.As(tb, s.Key, method, path, body)
}

// As is Do with another key.
func (s *Server) As(tb testing.TB, key, method, path string, body []byte) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, s.URL()+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.SetBasicAuth(key, "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := readAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, out
}

// JSON is Do, and reads the answer into v. It fails unless the status is want.
func (s *Server) JSON(tb testing.TB, want int, method, path string, body []byte, v any) {
	tb.Helper()
	status, out := s.Do(tb, method, path, body)
	if status != want {
		tb.Fatalf("%s %s: got %d %s, want %d", method, path, status, out, want)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(out), v); err != nil {
			tb.Fatalf("%s %s: %v in %s", method, path, err, out)
		}
	}
}

func readAll(r io.Reader) (string, error) {
	out, err := io.ReadAll(r)
	return string(out), err
}

func readKey(tb testing.TB, dir, name string) string {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Buffer collects a log that is still being written.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the log.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns the log so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
