package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	restartMin = 100 * time.Millisecond
	restartMax = 5 * time.Second
	// healthyAfter is how long a child must have answered for its death to count as the first in a row.
	healthyAfter = 10 * time.Second

	pollMin = 5 * time.Millisecond
	pollMax = 200 * time.Millisecond
)

var errStarting = errors.New("it is starting")

// child is a Redis in a process of its own and the goroutine that keeps it alive.
type child struct {
	bin      binary
	files    layout
	socket   string
	args     []string
	lock     *os.File // inherited by the process; see lockFiles
	log      *slog.Logger
	termWait time.Duration

	stop  chan struct{} // closed by close
	done  chan struct{} // closed when supervise has returned
	first chan error    // how the first start went, once

	mu       sync.Mutex
	pid      int
	restarts int
	down     error // why it does not answer; nil once it has

	endErr error // how the last life ended after stop; read it after done
}

// life is what became of one process.
type life struct {
	answered bool          // it took commands
	healthy  time.Duration // for how long it lived after its first answer
	killed   bool          // it outlived SIGTERM
	err      error         // why it ended; nil for exit status 0
	tail     string        // the last lines of its log
}

func newChild(bin binary, files layout, socket string, maxMemory int64, lock *os.File, log *slog.Logger) *child {
	return &child{
		bin: bin, files: files, socket: socket, args: flags(files, socket, maxMemory), lock: lock, log: log, termWait: termWait,
		stop: make(chan struct{}), done: make(chan struct{}), first: make(chan error, 1),
		down: errStarting,
	}
}

// supervise starts the process again whenever it ends, until close is called or the very first start fails.
func (c *child) supervise() {
	defer close(c.done)
	// The death signal is sent when the thread that started the child ends, not when the process does
	// (golang/go#27505). This goroutine keeps its thread, and takes it along when it returns: by then there is
	// no child.
	runtime.LockOSThread()

	delay := restartMin
	for {
		l := c.live()
		if c.stopping() {
			c.endErr = c.judgeEnd(l)
			return
		}
		if c.failFirst(l) {
			return
		}
		if l.healthy >= healthyAfter {
			delay = restartMin
		}
		c.log.Error("redis died", "engine", c.bin.program(), "reason", l.reason(), "healthy", l.healthy,
			"restart_in", delay, "log", l.tail)
		c.setDown(fmt.Errorf("it died (%s) and is started again within %s", l.reason(), delay))
		select {
		case <-c.stop:
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, restartMax)
		c.countRestart()
	}
}

// live runs the process once, from start to end.
func (c *child) live() life {
	if err := c.files.removeHalfRewrites(); err != nil {
		c.log.Warn("cannot remove unfinished rewrites", "err", err)
	}
	out, size, err := c.files.openLog()
	if err != nil {
		return life{err: err}
	}
	defer out.Close()

	//nolint:gosec,noctx // the path comes from PATH, the arguments from flags; a context would kill it without SIGTERM
	cmd := exec.Command(c.bin.path, c.args...)
	cmd.Dir = c.files.dir
	cmd.Env = childEnv()
	// What it says before it has opened its log, or while it crashes.
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{c.lock}
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return life{err: err}
	}
	c.setPID(cmd.Process.Pid)
	ended := make(chan struct{})
	attended := make(chan life, 1)
	go func() { attended <- c.attend(cmd.Process, ended) }()
	err = cmd.Wait()
	close(ended)
	l := <-attended
	c.setPID(0)
	l.err, l.tail = err, logTail(c.files.log(), size)
	return l
}

// attend watches over a process until ended is closed: it finds out when the process answers first, and ends it when
// the server closes.
func (c *child) attend(p *os.Process, ended <-chan struct{}) life {
	l := life{answered: c.awaitAnswer(ended)}
	since := time.Now()
	select {
	case <-ended:
	case <-c.stop:
		l.killed = c.end(p, ended)
	}
	if l.answered {
		l.healthy = time.Since(since)
	}
	return l
}

// awaitAnswer returns true at the first answer, false when the process ends or the server closes before. It has no
// limit of its own: loading takes as long as it takes, and Ready says so.
func (c *child) awaitAnswer(ended <-chan struct{}) bool {
	for wait := pollMin; ; wait = min(2*wait, pollMax) {
		err := ping(c.socket)
		if err == nil {
			c.setUp()
			return true
		}
		if errors.Is(err, errLoading) {
			c.setDown(err)
		} else {
			c.setDown(errStarting)
		}
		select {
		case <-ended:
			return false
		case <-c.stop:
			return false
		case <-time.After(wait):
		}
	}
}

// end asks the process to end, and makes it end after termWait. It reports whether it had to.
func (c *child) end(p *os.Process, ended <-chan struct{}) (killed bool) {
	// A signal fails only when the process has ended already.
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return false
	case <-time.After(c.termWait):
	}
	_ = p.Kill()
	return true
}

// failFirst tells Start that the process ended before it ever answered. It reports whether that was so.
func (c *child) failFirst(l life) bool {
	c.mu.Lock()
	never := c.restarts == 0 && !l.answered
	c.mu.Unlock()
	if never {
		c.first <- fmt.Errorf("%s ended at its start: %s%s", c.bin.path, l.reason(), l.lastWords())
	}
	return never
}

// judgeEnd returns nil if the process ended as asked.
func (c *child) judgeEnd(l life) error {
	if l.killed {
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed; nothing acknowledged is lost%s",
			c.bin.program(), c.termWait, l.lastWords())
	}
	var exit *exec.ExitError
	if errors.As(l.err, &exit) {
		// A Redis that has just been started knows no SIGTERM yet and dies of it.
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if l.err != nil {
		return fmt.Errorf("%s did not end in order: %w%s", c.bin.program(), l.err, l.lastWords())
	}
	return nil
}

func (l life) reason() string {
	if l.err == nil {
		return "exit status 0"
	}
	return l.err.Error()
}

func (l life) lastWords() string {
	if l.tail == "" {
		return ""
	}
	return "; its log: " + l.tail
}

// close ends the process and removes what only a running one needs.
func (c *child) close() error {
	close(c.stop)
	select {
	case <-c.done:
	case <-time.After(c.termWait + killWait):
		// The lock stays with the process, so that no other can be started beside it.
		return errors.Join(fmt.Errorf("%s, process %d, does not end even when killed", c.bin.program(), c.currentPID()), c.lock.Close())
	}
	return errors.Join(c.endErr, remove(c.files.pid()), c.files.removeSocket(), c.lock.Close())
}

func (c *child) stopping() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// ready returns nil if the process answers now. The last known state would not do: a process may live and hang.
func (c *child) ready() error {
	err := c.reason()
	if err == nil {
		err = ping(c.socket)
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", c.bin.program(), err)
	}
	return nil
}
