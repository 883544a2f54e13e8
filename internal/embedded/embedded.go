// Package embedded runs the Redis that Sluice brings itself when none is configured.
//
// It starts valkey-server or redis-server from PATH as a supervised child that syncs every write to disk before it
// answers. With neither on PATH it runs an engine inside this process, which forgets everything at exit and says so.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// What Start and Ready refuse with. The wrapped text names the directory, the process or the version at fault and
// says what to do.
var (
	// ErrLocked means that another process uses the data directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrNotDurable means that Options.RequireDurable is set, but neither valkey-server nor redis-server is on PATH.
	ErrNotDurable = errors.New("no durable redis")
	// ErrWrongEngine means that no server on PATH may open the files in the data directory.
	ErrWrongEngine = errors.New("wrong redis for these files")
	// ErrDiskFull means that less than 64 MiB are free in the data directory.
	ErrDiskFull = errors.New("disk is almost full")
	// ErrClosed is what Ready returns after Close.
	ErrClosed = errors.New("embedded redis is closed")
)

// MemoryBanner is what every surface shows while Engine is "memory": the log, the terminal, /readyz, the console.
const MemoryBanner = "IN MEMORY: everything is lost at exit. To keep messages, " +
	"install the Debian package redis-server or set SLUICE_REDIS_URL, then start again."

// Options say where the embedded Redis lives and what it may cost. Only DataDir is required.
type Options struct {
	// DataDir is the directory that belongs to this server alone. It is made, with mode 0700, when it is not there.
	DataDir string
	// Logger receives starts, deaths and restarts of the child. Default: nothing is logged.
	Logger *slog.Logger
	// LookPath finds a program by its name. Default: exec.LookPath.
	LookPath func(file string) (string, error)
	// MaxMemory is the most that the child may use for data, in bytes; it refuses writes beyond that. It may use as
	// much again while it rewrites its log. Default (0): half of the cgroup's limit or of the machine's memory,
	// whichever is less. The in-memory engine ignores it.
	MaxMemory int64
	// RequireDurable makes Start fail where it would run the in-memory engine. Default: false.
	RequireDurable bool
}

// Server is a running Redis. Its methods may be called from any goroutine.
type Server struct {
	engine string
	url    string
	lock   *os.File
	child  *child  // nil for the in-memory engine
	memory *memory // nil for a child

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// Start locks the data directory and starts a Redis in it. It returns once that Redis answers, which takes about
// 100 ms when empty and up to minutes when it has much to load. ctx bounds this wait, at most 30 minutes, and nothing
// after it: the server runs until Close.
//
// The first of valkey-server and redis-server on PATH that may open the files in DataDir is used. Files are never
// opened by the other engine, by an older version than the one that wrote them, or passed over for the in-memory
// engine: that is ErrWrongEngine. A child that dies before it ever answered is an error as well, with the last lines
// of its log; one that dies later is restarted.
func Start(ctx context.Context, opt Options) (*Server, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	// Taken for the in-memory engine too: keys and the master key live in this directory.
	lock, err := lockDataDir(opt.DataDir)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, opt)
	if err != nil {
		return nil, errors.Join(err, unlock(lock))
	}
	s.lock = lock
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.DataDir == "" {
		return o, errors.New("embedded redis: Options.DataDir is empty")
	}
	if o.MaxMemory < 0 {
		return o, fmt.Errorf("embedded redis: Options.MaxMemory is %d, want 0 or more bytes", o.MaxMemory)
	}
	// The child works in another directory, and clients get the path of its socket.
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fmt.Errorf("resolve the data directory: %w", err)
	}
	o.DataDir = dir
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultMaxMemory(os.DirFS("/"))
	}
	return o, nil
}

// start runs the engine that PATH and the files in the data directory allow. The caller holds the lock.
func start(ctx context.Context, opt Options) (*Server, error) {
	files := layout{dir: filepath.Join(opt.DataDir, "redis")}
	wrote, err := readEngine(files.engine())
	if err != nil {
		return nil, err
	}
	bin, err := find(ctx, opt.LookPath, wrote, files.dir)
	switch {
	case err == nil:
		return startChild(ctx, opt, files, bin)
	case !errors.Is(err, errNotOnPath):
		return nil, err
	case opt.RequireDurable:
		return nil, fmt.Errorf("%w: %w: install the Debian package redis-server, set SLUICE_REDIS_URL, or drop --require-durable",
			ErrNotDurable, err)
	}
	return startMemory(opt.Logger)
}

// URL returns the address in the form that go-redis parses: unix:// for a child, redis:// with a password for the
// in-memory engine. Do not log it.
func (s *Server) URL() string { return s.url }

// Engine returns "valkey-server", "redis-server" or "memory".
func (s *Server) Engine() string { return s.engine }

// Durable reports whether an acknowledged write survives the end of this process and of the machine.
func (s *Server) Durable() bool { return s.child != nil }

// PID returns the process id of the child, 0 while it is down and for the in-memory engine.
func (s *Server) PID() int {
	if s.child == nil {
		return 0
	}
	return s.child.currentPID()
}

// Restarts returns how many times a dead child was started again, attempts that failed included.
func (s *Server) Restarts() int {
	if s.child == nil {
		return 0
	}
	return s.child.restartCount()
}

// Ready asks the engine whether it answers. It returns nil, the reason why it does not, or ErrClosed; after at most
// one second.
func (s *Server) Ready() error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.child == nil {
		return nil
	}
	return s.child.ready()
}

// DiskFull returns why nothing more should be stored while Redis uses so many bytes of memory, or "". full is whether it
// said so the last time.
func (s *Server) DiskFull(used int64, full bool) string {
	if s.child == nil {
		return ""
	}
	return s.child.files.diskFull(used, full)
}

// Close stops the engine and gives the data directory back. A child gets SIGTERM, and SIGKILL after 10 seconds, which
// is an error but loses nothing that was acknowledged. Close the clients first. Further calls return the same error.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.closed.Store(true)
		s.closeErr = errors.Join(s.stop(), unlock(s.lock))
	})
	return s.closeErr
}

func (s *Server) stop() error {
	if s.child != nil {
		return s.child.close()
	}
	s.memory.close()
	return nil
}
