package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errHeld is what tryLock returns when another open file holds the lock.
var errHeld = errors.New("lock is held")

// lockDataDir makes the data directory ours until unlock, or until this process ends in any way. The lock file stays:
// removing it would let two servers lock two files of the same name.
func lockDataDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := openLocked(path)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("%w: %s belongs to %s: stop it or choose another SLUICE_DATA_DIR", ErrLocked, dir, holder(path))
	}
	if err != nil {
		return nil, err
	}
	if err := writePID(path, os.Getpid()); err != nil {
		return nil, errors.Join(err, unlock(f))
	}
	return f, nil
}

// unlock lets go at once. Closing alone would not: a process that is just being forked by another part of the program
// has the file open too until it runs its own program. The lock of lockFiles is only closed, since there the processes
// that share it are the point.
func unlock(f *os.File) error {
	return errors.Join(releaseLock(f), f.Close())
}

// openLocked opens the file, makes it when it is missing, and locks it without waiting.
func openLocked(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// holder names the process in a pid file for people.
func holder(path string) string {
	if pid := readPID(path); pid > 0 {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}

// readPID returns 0 when the file holds no process id.
func readPID(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func writePID(path string, pid int) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the process id: %w", err)
	}
	return nil
}
