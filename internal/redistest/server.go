package redistest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options says how a server of one's own is started. The zero value is the safest server: an AOF that
// is fsynced before each reply, on a unix socket.
type Options struct {
	Fsync     string   // appendfsync: always (default), everysec, or no
	NoAOF     bool     // keep nothing on disk
	MaxMemory string   // as Redis writes it, such as 10mb; default no limit. The policy is noeviction
	Dir       string   // where the data lies; default a new directory that goes with the test
	Port      bool     // listen on a TCP port of 127.0.0.1 in place of a unix socket
	Preload   []string // libraries to load first, from SlowFsync, ClockStep and PowerLoss
	Extra     []string // further arguments, which win over all of the above
}

// Server is a redis-server process that a test may break. Its methods may be called from several
// goroutines; those that can fail end the test, so call them from the test's own.
type Server struct {
	tb      testing.TB // nil for the shared server, which is never broken
	bin     string
	args    []string
	env     []string
	run     string // holds the socket, the configuration and the log
	dir     string
	network string
	addr    string
	port    int
	warm    func() error // what a process must be told after each start; nil for nothing

	mu     sync.Mutex
	proc   *process
	paused bool
}

// Start runs a redis-server of the test's own and waits until it answers. It ends with the test.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	return start(tb, opts, serverConfig)
}

func start(tb testing.TB, opts Options, config configFunc) *Server {
	tb.Helper()
	s, err := launch(opts, config)
	if err != nil {
		tb.Fatalf("redistest: start redis-server: %v", err)
	}
	s.tb = tb
	tb.Cleanup(s.discard)
	return s
}

// Network returns "unix" or "tcp".
func (s *Server) Network() string { return s.network }

// Addr returns the socket's path, or host and port.
func (s *Server) Addr() string { return s.addr }

// URL returns the address as go-redis's ParseURL takes it.
func (s *Server) URL() string {
	if s.network == "unix" {
		return "unix://" + s.addr
	}
	return "redis://" + s.addr
}

// Dir returns the directory that holds the data.
func (s *Server) Dir() string { return s.dir }

// Log returns what the server has printed so far.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.logPath()) // no log yet is an empty log
	return string(b)
}

// PID returns the process id, also after the process has ended.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.pid
}

// Running reports whether the process lives. A paused one does.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.alive()
}

// Kill9 ends the process as a crash would: without a last write.
func (s *Server) Kill9() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
	if !s.proc.kill() {
		s.tb.Errorf("redistest: process %d outlived SIGKILL for %v", s.proc.pid, exitLimit)
	}
}

// Stop ends the process as an operator would, and waits. One that does not end is killed, and the test fails.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

func (s *Server) stop() {
	s.cont()
	if !s.proc.alive() {
		return
	}
	_ = syscall.Kill(s.proc.pid, syscall.SIGTERM)
	if !s.proc.wait(exitLimit) {
		s.tb.Errorf("redistest: process %d outlived SIGTERM for %v", s.proc.pid, exitLimit)
		s.proc.kill()
	}
}

// Pause freezes the process. Once it returns nothing is answered, while connections stay open.
func (s *Server) Pause() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proc.alive() {
		s.tb.Fatalf("redistest: pause a server that is not running")
	}
	s.proc.signal(syscall.SIGSTOP)
	s.paused = true
	if err := poll(exitLimit, func() error { return frozen(s.proc.pid) }); err != nil {
		s.tb.Fatalf("redistest: pause process %d: %v", s.proc.pid, err)
	}
}

// Cont lets a paused process go on.
func (s *Server) Cont() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cont()
}

func (s *Server) cont() {
	if s.paused {
		s.proc.signal(syscall.SIGCONT)
		s.paused = false
	}
}

// Restart starts the server again on the same directory and address, and waits until it answers. One
// that still runs is stopped first.
func (s *Server) Restart() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	if err := s.spawn(); err != nil {
		s.tb.Fatalf("redistest: restart redis-server: %v", err)
	}
}

// Client returns a client that never repeats a command, so that a test sees each failure once. It is
// closed with tb.
func (s *Server) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	opts, err := redis.ParseURL(s.URL())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	opts.MaxRetries = -1
	c := redis.NewClient(opts)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// responsive reports whether the server can answer: it runs and is not paused.
func (s *Server) responsive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.alive() && !s.paused
}

// adminTimeout bounds one command of the kit to a server.
const adminTimeout = 5 * time.Second

// do sends one command over a connection of its own: servers come and go, and no pool should remember.
func (s *Server) do(args ...any) *redis.Cmd {
	c := redis.NewClient(&redis.Options{
		Network: s.network, Addr: s.addr, Protocol: 2, MaxRetries: -1, DialerRetries: 1,
		PoolSize: 1, PipelinePoolSize: -1, DisableIdentity: true,
		DialTimeout: adminTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
	})
	defer func() { _ = c.Close() }()
	return c.Do(context.Background(), args...)
}

// discard ends the process and removes what it left.
func (s *Server) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
	}
	if s.port != 0 {
		releasePort(s.port)
	}
	_ = os.RemoveAll(s.run)
}

func (s *Server) logPath() string    { return filepath.Join(s.run, "log") }
func (s *Server) configPath() string { return filepath.Join(s.run, "conf") }
