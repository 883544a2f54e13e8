package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// maxSocketPath is the longest path that every kernel takes for a unix socket: Linux has room for 107 bytes,
	// macOS for 103.
	maxSocketPath = 100
	socketName    = "redis.sock"
	tempPrefix    = "sluice-"
	// maxLogBytes is the size beyond which a log is set aside at the next start of the child. Two logs are kept, so
	// that a child that dies every five seconds for weeks does not fill the disk.
	maxLogBytes = 16 << 20
)

// layout names the files in <data>/redis, the child's working directory. Beside them are Redis's own appendonlydir.
type layout struct {
	dir string
}

func (l layout) engine() string { return filepath.Join(l.dir, "engine") }    // who wrote the files: "redis 7.0.15"
func (l layout) lock() string   { return filepath.Join(l.dir, "lock") }      // held by the child and its forks
func (l layout) pid() string    { return filepath.Join(l.dir, "redis.pid") } // the running child
func (l layout) log() string    { return filepath.Join(l.dir, "redis.log") }
func (l layout) socket() string { return filepath.Join(l.dir, "socket") } // where the socket is, for redis-cli -s

// placeSocket returns a path for the socket and notes it in the socket file. A path in the data directory is best:
// its owner and mode guard it, and it goes when the directory goes. Where that is too long for the kernel, the socket
// lives in a new directory of mode 0700 under the temporary directory. A relative path would spare us that, but it
// would hold only for clients with our own working directory.
func (l layout) placeSocket() (string, error) {
	path := filepath.Join(l.dir, socketName)
	if len(path) > maxSocketPath {
		dir, err := os.MkdirTemp(shortTempDir(), tempPrefix)
		if err != nil {
			return "", fmt.Errorf("make a directory for the redis socket, %s is longer than %d bytes: %w", path, maxSocketPath, err)
		}
		path = filepath.Join(dir, socketName)
	}
	if err := os.WriteFile(l.socket(), []byte(path+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("note the path of the redis socket: %w", err)
	}
	return path, nil
}

func shortTempDir() string {
	dir := os.TempDir()
	if len(filepath.Join(dir, tempPrefix+"0123456789", socketName)) > maxSocketPath {
		return "/tmp"
	}
	return dir
}

// removeSocket removes the socket that the socket file names, and its directory if we made one for it. It does
// nothing when the file is missing or names anything else.
func (l layout) removeSocket() error {
	text, err := os.ReadFile(l.socket())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read where the redis socket was: %w", err)
	}
	path := strings.TrimSpace(string(text))
	dir := filepath.Dir(path)
	if filepath.Base(path) != socketName {
		return nil
	}
	errs := []error{remove(path)}
	if dir != l.dir && strings.HasPrefix(filepath.Base(dir), tempPrefix) {
		errs = append(errs, remove(dir)) // refuses to remove a directory that holds anything
	}
	return errors.Join(append(errs, remove(l.socket()))...)
}

// removeHalfRewrites removes what a log rewrite leaves behind when Redis is killed in the middle of it. Redis itself
// never does, and the usual killer, the kernel short of memory, comes just then and comes again.
func (l layout) removeHalfRewrites() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("look for unfinished rewrites: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "temp-rewriteaof-") {
			err = errors.Join(err, remove(filepath.Join(l.dir, e.Name())))
		}
	}
	return err
}

// openLog opens the log for appending. It returns its size too: what comes after is the next child's.
func (l layout) openLog() (*os.File, int64, error) {
	if info, err := os.Stat(l.log()); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(l.log(), l.log()+".1"); err != nil {
			return nil, 0, fmt.Errorf("set the redis log aside: %w", err)
		}
	}
	f, err := os.OpenFile(l.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open the redis log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("size of the redis log: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// remove removes a file or an empty directory that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
