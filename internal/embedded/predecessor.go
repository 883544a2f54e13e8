package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

const (
	lockPoll = 20 * time.Millisecond
	// termWait is how long a Redis may take to end after SIGTERM before it gets SIGKILL.
	termWait = 10 * time.Second
	// killWait is how long the kernel may take to end a process after SIGKILL. A process that waits for a broken
	// disk takes longer, and then we can only say so.
	killWait = 5 * time.Second
)

// lockFiles makes the child's directory ours. The lock is inherited by the child and its forks, so it tells for
// certain whether a child of an earlier run still lives. Such a child is ended, since the server that started it is
// gone: we hold the lock on the data directory.
func lockFiles(ctx context.Context, files layout, log *slog.Logger) (*os.File, error) {
	lock, err := openLocked(files.lock())
	if !errors.Is(err, errHeld) {
		return lock, err
	}
	pid := readPID(files.pid())
	log.Warn("a redis of an earlier run still lives; ending it", "pid", pid, "dir", files.dir)
	for _, step := range [...]struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, termWait}, {syscall.SIGKILL, killWait}} {
		signalOurs(pid, files.dir, step.signal)
		lock, err = waitLock(ctx, files.lock(), step.wait)
		if !errors.Is(err, errHeld) {
			return lock, err
		}
	}
	return nil, fmt.Errorf("%w: a redis of an earlier run, %s, still holds %s: end it by hand", ErrLocked, holder(files.pid()), files.dir)
}

// signalOurs signals the process if it is ours. FindProcess comes first: it pins the process, so that its id cannot
// pass to another between the check and the signal.
func signalOurs(pid int, dir string, sig syscall.Signal) {
	if pid <= 0 {
		return
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = p.Release() }() // gives a handle back, nothing to act on
	if isOurs(pid, dir) {
		_ = p.Signal(sig) // fails only when it has just ended, which is what we want
	}
}

// waitLock tries to take the lock until limit has passed; then it returns errHeld.
func waitLock(ctx context.Context, path string, limit time.Duration) (*os.File, error) {
	deadline := time.Now().Add(limit)
	for {
		f, err := openLocked(path)
		if !errors.Is(err, errHeld) || time.Now().After(deadline) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the redis of an earlier run to end: %w", context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}
