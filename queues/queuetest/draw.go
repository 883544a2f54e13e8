package queuetest

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// WaitOf is the back-off after so many failures, told apart from the scripts.
func WaitOf(p queues.Retry, id engine.ID, failures int) time.Duration {
	wait := p.Delay
	switch p.Backoff {
	case queues.NoBackoff:
		return 0
	case queues.LinearBackoff:
		wait = p.Delay * time.Duration(failures)
	case queues.ExponentialBackoff:
		for range failures - 1 {
			if wait *= 2; wait > p.MaxDelay {
				break
			}
		}
	}
	wait = min(wait, p.MaxDelay)
	dice := int64(failures)
	for _, b := range id {
		dice = (dice*48271 + int64(b) + 1) % math.MaxInt32
	}
	dice = dice * 48271 % math.MaxInt32 / 8 % 4096
	return wait - time.Duration(wait.Milliseconds()*int64(math.Round(p.Jitter*1000))*dice/4_096_000)*time.Millisecond
}

// DrawRetry draws a retry policy, mostly none.
func DrawRetry(t *rapid.T) *queues.Retry {
	p := queues.DefaultRetry()
	if rapid.Bool().Draw(t, "back-off") {
		p.Backoff = rapid.SampledFrom([]queues.Backoff{queues.FixedBackoff, queues.LinearBackoff, queues.ExponentialBackoff}).Draw(t, "kind")
		p.Delay = time.Duration(rapid.SampledFrom([]int{1, 7, 60}).Draw(t, "first delay")) * time.Second
		p.MaxDelay = max(p.Delay, time.Duration(rapid.SampledFrom([]int{1, 20, 3600}).Draw(t, "longest"))*time.Second)
		p.Jitter = rapid.SampledFrom([]float64{0, 0, 0.125, 0.2, 1}).Draw(t, "jitter")
	}
	return &p
}

// Consumer draws a name under which to receive, mostly none.
func Consumer(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", "worker-1", "a, ,e \"x\""}).Draw(t, "consumer")
}
