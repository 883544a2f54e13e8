package redistest

import (
	"testing"
	"time"
)

// SlowDisk makes a server's fsync wait.
type SlowDisk struct{ *library }

// SlowFsync builds the library that slows the disk down. It does nothing until Set.
func SlowFsync(tb testing.TB) *SlowDisk {
	tb.Helper()
	return &SlowDisk{compile(tb, "slow_fsync", 2)}
}

// Set makes each fsync wait for d, those that wait already included: Set(0) lets them go.
func (s *SlowDisk) Set(d time.Duration) { s.word(0).Store(int64(d)) }

// Waiting returns how many fsyncs wait now.
func (s *SlowDisk) Waiting() int { return int(s.word(1).Load()) }
