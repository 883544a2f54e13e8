package embedded

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotRunning means that no embedded Redis runs in a data directory.
var ErrNotRunning = errors.New("no embedded redis runs here")

// Running is the Redis of another process.
type Running struct {
	files  layout
	socket string
}

// Find returns the Redis that a server has started in dataDir, as long as it answers. One that keeps everything in
// memory has no address outside its server.
func Find(dataDir string) (Running, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return Running{}, fmt.Errorf("resolve the data directory: %w", err)
	}
	r := Running{files: layout{dir: filepath.Join(dir, "redis")}}
	text, err := os.ReadFile(r.files.socket())
	if errors.Is(err, os.ErrNotExist) {
		return Running{}, fmt.Errorf("%w: %s", ErrNotRunning, dir)
	}
	if err != nil {
		return Running{}, fmt.Errorf("read where the redis socket is: %w", err)
	}
	r.socket = strings.TrimSpace(string(text))
	if err := ping(r.socket); err != nil {
		return Running{}, fmt.Errorf("%w: %s: %w", ErrNotRunning, dir, err)
	}
	return r, nil
}

// URL returns its address for clients on this machine.
func (r Running) URL() string {
	address := url.URL{Scheme: "unix", Path: r.socket}
	return address.String()
}

// DiskFull is described at Server.DiskFull.
func (r Running) DiskFull(used int64, full bool) string { return r.files.diskFull(used, full) }
