package queues

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// Retry is how long a message waits after it has failed: after it was returned without a delay, or held for too long.
// It follows from how often the message has failed, which is not how often it was received.
type Retry struct {
	Backoff Backoff       // default NoBackoff
	Delay   time.Duration // after the first failure; 1 s to 14 d, default 5 s
	// MaxDelay bounds the wait however often the message failed; Delay to 14 d, default 1 h.
	MaxDelay time.Duration
	// Jitter is the share of the wait by which chance shortens it at most, so that messages that failed together do not
	// come back together; 0 to 1 with at most three decimals, default 0.
	Jitter float64
}

// Backoff says how the wait grows with the failures.
type Backoff string

// The kinds of back-off.
const (
	NoBackoff          Backoff = "none"        // no wait
	FixedBackoff       Backoff = "fixed"       // always Delay
	LinearBackoff      Backoff = "linear"      // Delay times the number of failures
	ExponentialBackoff Backoff = "exponential" // Delay, and twice as long after each further failure
)

// MaxRetryDelay is the longest back-off.
const MaxRetryDelay = MaxRetention

// DefaultRetry returns the policy of which nothing was said: a message that failed is available at once.
func DefaultRetry() Retry {
	return Retry{Backoff: NoBackoff, Delay: 5 * time.Second, MaxDelay: time.Hour}
}

// kinds are the letters of the kinds of back-off in lua/lib/retry.lua.
var kinds = map[Backoff]string{NoBackoff: "n", FixedBackoff: "f", LinearBackoff: "l", ExponentialBackoff: "e"}

// validate returns what is wrong with a policy, by JSON Pointers that begin with pointer.
func (r Retry) validate(pointer string) []errs.Field {
	var bad []errs.Field
	add := func(member, code, format string, args ...any) {
		bad = append(bad, errs.Field{Pointer: pointer + member, Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if kinds[r.Backoff] == "" {
		add("/backoff", "invalid", "must be none, fixed, linear or exponential, got %q", string(r.Backoff))
	}
	between := func(member string, got, low time.Duration) {
		if got < low || got > MaxRetryDelay || got%time.Second != 0 {
			add(member, "out_of_range", "must be a whole number of seconds from %d to %d, got %g", low/time.Second, MaxRetryDelay/time.Second, got.Seconds())
		}
	}
	between("/delay", r.Delay, time.Second)
	between("/max_delay", r.MaxDelay, min(max(r.Delay, time.Second), MaxRetryDelay))
	if thousandths := r.Jitter * 1000; !(r.Jitter >= 0 && r.Jitter <= 1) || math.Abs(thousandths-math.Round(thousandths)) > 1e-9 {
		add("/jitter", "out_of_range", "must be 0 to 1 with at most three decimals, got %g", r.Jitter)
	}
	return bad
}

// encode writes the policy as lua/lib/retry.lua reads it.
func (r Retry) encode() string {
	return fmt.Sprintf("%s:%d:%d:%d", kinds[r.Backoff], r.Delay.Milliseconds(), r.MaxDelay.Milliseconds(), int(math.Round(r.Jitter*1000)))
}

// head is the policy as the head of a queue has it.
func (r Retry) head() string {
	if r.Backoff == NoBackoff {
		return ""
	}
	return r.encode()
}

// parseRetry reads what encode has written.
func parseRetry(s string) (Retry, bool) {
	f := strings.Split(s, ":")
	if len(f) != 4 {
		return Retry{}, false
	}
	var n [3]int64
	for i := range n {
		v, err := strconv.ParseInt(f[i+1], 10, 64)
		if err != nil {
			return Retry{}, false
		}
		n[i] = v
	}
	for kind, letter := range kinds {
		if letter == f[0] {
			return Retry{Backoff: kind, Delay: time.Duration(n[0]) * time.Millisecond, MaxDelay: time.Duration(n[1]) * time.Millisecond, Jitter: float64(n[2]) / 1000}, true
		}
	}
	return Retry{}, false
}
