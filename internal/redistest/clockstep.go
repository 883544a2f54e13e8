package redistest

import (
	"testing"
	"time"
)

// SteppedClock shifts a server's wall clock, and with it TIME and the expiry of keys.
type SteppedClock struct{ *library }

// ClockStep builds the library that steps the clock. It does nothing until Set or Step.
func ClockStep(tb testing.TB) *SteppedClock {
	tb.Helper()
	return &SteppedClock{compile(tb, "clock_step", 1)}
}

// Set puts the server's clock off by offset, which may be negative. It holds from the server's next
// look at its clock; a cached time may be one turn of its event loop older.
func (c *SteppedClock) Set(offset time.Duration) { c.word(0).Store(int64(offset)) }

// Step moves the server's clock by d from where it is.
func (c *SteppedClock) Step(d time.Duration) { c.word(0).Add(int64(d)) }

// Offset returns how far the server's clock is off.
func (c *SteppedClock) Offset() time.Duration { return time.Duration(c.word(0).Load()) }
