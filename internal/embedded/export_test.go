package embedded

import (
	"io/fs"
	"time"
)

// SetTermWait makes Close lose patience sooner.
func (s *Server) SetTermWait(d time.Duration) { s.child.termWait = d }

// DefaultMaxMemory is defaultMaxMemory.
func DefaultMaxMemory(root fs.FS) int64 { return defaultMaxMemory(root) }

// CheckDisk is checkDisk.
func CheckDisk(dir string, least uint64) error { return checkDisk(dir, least) }

// DiskFull is diskFull.
func DiskFull(free uint64, used int64, full bool) string { return diskFull("data", free, used, full) }

// ParseVersion is parseVersion, in the form of the engine file.
func ParseVersion(line, name string) (string, error) {
	e, err := parseVersion(line, name)
	return e.String(), err
}
