package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// exitLimit bounds the wait for a process that was told to end. Redis needs milliseconds; a shared
// machine may need seconds.
const exitLimit = 10 * time.Second

// process is one redis-server that this test binary started.
type process struct {
	pid  int
	done chan struct{} // closed once the process has ended and has been reaped
}

// findServer returns the path of redis-server.
func findServer() (string, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w; tests need a real Redis: apt-get install redis-server", err)
	}
	return bin, nil
}

// spawn starts bin and sends what it prints to the end of the file named log.
func spawn(bin string, args, env []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own copy
	cmd := exec.Command(bin, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	cmd.SysProcAttr = ownGroup()
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(cmd, started)
	return p, <-started
}

// run starts cmd and stays until it ends. The kernel sends the death signal when the thread that
// forked ends, not when the program does, so that thread is kept for as long as the process lives.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // killed is how most of them end
}

// alive reports whether the process has not been reaped yet.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig to the process and to the children that Redis forks for rewrites: a crash of the
// machine does not spare those either.
func (p *process) signal(sig syscall.Signal) {
	if p.alive() {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// wait returns whether the process ended in time.
func (p *process) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// kill ends the process and its children at once.
func (p *process) kill() bool {
	p.signal(syscall.SIGKILL)
	return p.wait(exitLimit)
}
