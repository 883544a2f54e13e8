package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// readyLimit bounds the wait for the first PONG. An empty server needs some 20 ms.
	readyLimit = 10 * time.Second
	// launchAttempts bounds how often a server is tried on another port when somebody was faster.
	launchAttempts = 5
	// maxSocketPath is what fits into a socket address on every Unix.
	maxSocketPath = 100
)

var errPortTaken = errors.New("port taken")

// configFunc returns the lines of the configuration file of a server that has its place already.
type configFunc func(s *Server, opts Options) []string

// serverConfig configures a data server. A file, not arguments, so that CONFIG REWRITE works and lasts
// over a restart, as Sentinel expects.
func serverConfig(s *Server, opts Options) []string {
	fsync := opts.Fsync
	if fsync == "" {
		fsync = "always"
	}
	lines := append(s.listenConfig(),
		`save ""`,
		"appendfsync "+fsync,
		"maxmemory-policy noeviction",
	)
	if opts.NoAOF {
		lines = append(lines, "appendonly no")
	} else {
		lines = append(lines, "appendonly yes")
	}
	if opts.MaxMemory != "" {
		lines = append(lines, "maxmemory "+opts.MaxMemory)
	}
	return lines
}

func (s *Server) listenConfig() []string {
	lines := []string{fmt.Sprintf("dir %q", s.dir), fmt.Sprintf("port %d", s.port), "bind 127.0.0.1"}
	if s.network == "unix" {
		lines = append(lines, fmt.Sprintf("unixsocket %q", s.addr))
	}
	return lines
}

// launch starts a server and waits until it answers.
func launch(opts Options, config configFunc) (*Server, error) {
	bin, err := findServer()
	if err != nil {
		return nil, err
	}
	for range launchAttempts {
		s := &Server{bin: bin, args: opts.Extra, env: environ(opts.Preload)}
		if err = s.settle(opts, config); err == nil {
			err = s.spawn()
		}
		if err == nil {
			return s, nil
		}
		s.discard()
		if !errors.Is(err, errPortTaken) {
			return nil, err
		}
	}
	return nil, err
}

// environ returns this program's environment with the libraries to load, and no others.
func environ(preload []string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "LD_PRELOAD=") {
			env = append(env, e)
		}
	}
	if len(preload) > 0 {
		env = append(env, "LD_PRELOAD="+strings.Join(preload, ":"))
	}
	return env
}

// settle gives the server its directories, its address and its configuration.
func (s *Server) settle(opts Options, config configFunc) error {
	var err error
	if s.run, err = shortDir(); err != nil {
		return err
	}
	s.dir = opts.Dir
	if s.dir == "" {
		s.dir = filepath.Join(s.run, "data")
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	s.network, s.addr = "unix", filepath.Join(s.run, "s")
	if opts.Port {
		if s.port, err = reservePort(); err != nil {
			return err
		}
		s.network, s.addr = "tcp", loopback(s.port)
	}
	text := strings.Join(config(s, opts), "\n") + "\n"
	return os.WriteFile(s.configPath(), []byte(text), 0o600)
}

// spawn runs the process and waits until it answers.
func (s *Server) spawn() error {
	if s.network == "unix" {
		_ = os.Remove(s.addr) // left by a kill
	}
	before := len(s.Log())
	p, err := spawn(s.bin, append([]string{s.configPath()}, s.args...), s.env, s.logPath())
	if err != nil {
		return err
	}
	s.proc = p
	if err := poll(readyLimit, func() error { return s.ready(before) }); err != nil {
		p.kill()
		return err
	}
	// The loader only warns about a library it cannot load, and then a test would break nothing.
	for line := range strings.Lines(s.Log()[before:]) {
		if strings.Contains(line, "cannot be preloaded") {
			p.kill()
			return errors.New(strings.TrimSpace(line))
		}
	}
	if s.warm == nil {
		return nil
	}
	if err := s.warm(); err != nil {
		p.kill()
		return err
	}
	return nil
}

// ready returns nil once the server answers a PING. A process that has ended is an answer as well.
func (s *Server) ready(before int) error {
	if !s.proc.alive() {
		log := s.Log()[before:]
		if strings.Contains(log, "Address already in use") {
			return final{fmt.Errorf("%w: %s", errPortTaken, tail(log))}
		}
		return final{fmt.Errorf("redis-server ended: %s", tail(log))}
	}
	return ping(s.network, s.addr)
}

// ping asks the way redis-cli would, but without a client's pool and retries.
func ping(network, addr string) error {
	conn, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(line, "+PONG"), strings.HasPrefix(line, "-NOAUTH"):
		return nil
	default:
		return errors.New(strings.TrimSpace(line)) // such as LOADING
	}
}

// shortDir makes a directory whose path leaves room for a socket. A test's own TempDir is too long.
func shortDir() (string, error) {
	base := os.TempDir()
	if len(base)+len("/redis0123456789/s") > maxSocketPath {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "redis")
}

// tail returns the last lines of a log.
func tail(log string) string {
	const lines = 10
	all := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
