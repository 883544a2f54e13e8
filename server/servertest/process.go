package servertest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
)

// patience bounds every wait of the kit. It is used up only when a test fails.
const patience = 30 * time.Second

// built is the program, compiled once for the test binary.
var built struct {
	once sync.Once
	dir  string
	path string
	took time.Duration
	err  error
}

// Main runs the tests of a package that uses Binary or the shared Redis, tidies up, and returns the exit code.
func Main(m *testing.M) int {
	defer func() {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
	}()
	return redistest.Main(m)
}

// Binary returns the path of the program, built as "make build" does, and how long that took.
func Binary(tb testing.TB) (path string, took time.Duration) {
	tb.Helper()
	built.once.Do(func() {
		//nolint:usetesting // it outlives the test that asks first
		if built.dir, built.err = os.MkdirTemp("", "sluice"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "sluice")
		begin := time.Now()
		cmd := exec.Command("go", "build", "-trimpath", "-o", built.path, "github.com/sluicemq/sluice")
		out, err := cmd.CombinedOutput()
		if built.took = time.Since(begin); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.path, built.took
}

// ProcessOptions say how the program is started.
type ProcessOptions struct {
	Args []string // behind "serve"
	// Env has variables as NAME=value, which win over those that StartProcess sets. No SLUICE_ variable of the test
	// binary reaches the program.
	Env []string
	Dir string // the working directory; default a new one
	// Program is another build of the program; default that of Binary.
	Program string
	// Ports of the API and of the metrics; default free ones. They stay the same over a Restart.
	Port, MetricsPort int
}

// Process is the program in a process of its own, which a test may kill and start again.
type Process struct {
	tb          testing.TB
	opt         ProcessOptions
	bin, dir    string
	URL         string
	MetricsURL  string
	DataDir     string
	log         *Buffer
	mu          sync.Mutex
	current     *life
	OperatorKey string // set by WaitReady
	Key         string // of the tenant "default"; set by WaitReady
}

// life is one run of the program.
type life struct {
	pid   int
	ended chan struct{} // closed once it is reaped
	state *os.ProcessState
}

// StartProcess starts the program with its data in the folder data of its working directory, and does not wait for it.
func StartProcess(tb testing.TB, opt ProcessOptions) *Process {
	tb.Helper()
	bin := opt.Program
	if bin == "" {
		bin, _ = Binary(tb)
	}
	if opt.Dir == "" {
		opt.Dir = tb.TempDir()
	}
	if opt.Port == 0 {
		opt.Port = FreePort(tb)
	}
	if opt.MetricsPort == 0 {
		opt.MetricsPort = FreePort(tb)
	}
	p := &Process{tb: tb, opt: opt, bin: bin, dir: opt.Dir, DataDir: filepath.Join(opt.Dir, "data"), log: &Buffer{}}
	p.URL = "http://" + loopback(opt.Port)
	p.MetricsURL = "http://" + loopback(opt.MetricsPort)
	tb.Cleanup(p.Kill9)
	p.Restart()
	return p
}

// environ returns what the program finds in its environment.
func (p *Process) environ() []string {
	env := CleanEnv()
	env = append(env, "SLUICE_LISTEN="+loopback(p.opt.Port), "SLUICE_METRICS_LISTEN="+loopback(p.opt.MetricsPort), "SLUICE_LOG_FORMAT=json")
	return append(env, p.opt.Env...)
}

// CleanEnv returns the environment of the test binary without the variables that Sluice reads.
func CleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SLUICE_") && !strings.HasPrefix(e, "GOGC=") {
			env = append(env, e)
		}
	}
	return env
}

// SharedKey is the variable that gives a process the master key of all servers of the test binary.
func SharedKey() string {
	return "SLUICE_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte(MasterKey))
}

// Restart starts the program again, on the same ports and data. One that still runs is killed first.
func (p *Process) Restart() {
	p.tb.Helper()
	p.Kill9()
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.bin, append([]string{"serve"}, p.opt.Args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.environ(), p.log, p.log
	cmd.SysProcAttr = diesWithUs()
	l := &life{ended: make(chan struct{})}
	started := make(chan error)
	go l.run(cmd, started)
	if err := <-started; err != nil {
		p.tb.Errorf("start sluice: %v", err)
		return
	}
	p.current = l
}

// Become starts another build of the program in place of what runs, or has run, on the same ports and data.
func (p *Process) Become(program string) {
	p.tb.Helper()
	p.bin = program
	p.Restart()
}

// run starts cmd and stays until it has ended: the death signal is tied to the thread that started it.
func (l *life) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.ended)
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	l.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // killed is how many of them end
	l.state = cmd.ProcessState
}

func (p *Process) life() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// PID returns the process id.
func (p *Process) PID() int { return p.life().pid }

// Signal sends a signal to the process, if it still runs.
func (p *Process) Signal(sig syscall.Signal) {
	l := p.life()
	select {
	case <-l.ended:
	default:
		_ = syscall.Kill(l.pid, sig)
	}
}

// Kill9 ends the process as a crash would, and waits until it is gone. It does nothing when it has ended.
func (p *Process) Kill9() {
	l := p.life()
	if l == nil {
		return
	}
	p.Signal(syscall.SIGKILL)
	<-l.ended
}

// Wait waits for at most limit until the process has ended by itself, and returns how.
func (p *Process) Wait(limit time.Duration) (*os.ProcessState, error) {
	l := p.life()
	select {
	case <-l.ended:
		return l.state, nil
	case <-time.After(limit):
		return nil, fmt.Errorf("process %d still runs after %s", l.pid, limit)
	}
}

// Log returns what the process has printed so far, over all its runs.
func (p *Process) Log() string { return p.log.String() }

// WaitReady waits until /readyz is green and reads the keys of the first start.
func (p *Process) WaitReady() {
	p.tb.Helper()
	deadline := time.Now().Add(patience)
	for {
		status, body, err := get(p.URL + "/readyz")
		if err == nil && status == http.StatusOK {
			break
		}
		l := p.life()
		select {
		case <-l.ended:
			p.tb.Fatalf("sluice ended (%s) before it was ready:\n%s", l.state, p.Log())
		default:
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("sluice is not ready after %s: %d %s %v\n%s", patience, status, body, err, p.Log())
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.OperatorKey = readKey(p.tb, p.DataDir, "operator-key")
	p.Key = readKey(p.tb, p.DataDir, "default-key")
}

// RunBinary runs the program until it ends by itself, for at most half a minute, and returns its exit status and what
// it printed.
func RunBinary(tb testing.TB, dir string, env []string, args ...string) (status int, output string) {
	tb.Helper()
	bin, _ := Binary(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir, cmd.Env = dir, append(CleanEnv(), env...)
	cmd.SysProcAttr = diesWithUs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		tb.Fatalf("sluice %s did not end within %s:\n%s", strings.Join(args, " "), patience, out)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		tb.Fatalf("sluice %s: %v", strings.Join(args, " "), err)
	}
	return 0, string(out)
}

func get(url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := readAll(resp.Body)
	return resp.StatusCode, raw, err
}

// Ports of processes lie above those of redistest and below those that Linux gives to outgoing connections, so that
// nothing takes the port of a process while it is down.
const (
	firstPort = 23_000
	lastPort  = 32_700
)

var taken struct {
	sync.Mutex
	ports map[int]bool
}

// FreePort returns a port of the loopback address that nothing listens on, and that no other call returns.
func FreePort(tb testing.TB) int {
	tb.Helper()
	taken.Lock()
	defer taken.Unlock()
	if taken.ports == nil {
		taken.ports = map[int]bool{}
	}
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if taken.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		taken.ports[port] = true
		return port
	}
	tb.Fatal("no free port")
	return 0
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
