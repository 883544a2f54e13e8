package handlers

import (
	"strconv"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// RetryPolicy is how long a message waits after it has failed: after it was returned without a delay, or its lease ended.
type RetryPolicy struct {
	// How the wait grows with the failures: not at all, by the delay with each, or twofold with each.
	Backoff string `json:"backoff" enums:"none,fixed,linear,exponential"`
	// Seconds to wait after the first failure.
	Delay int `json:"delay" example:"5"`
	// The longest wait, in seconds.
	MaxDelay int `json:"max_delay" example:"3600"`
	// The share of the wait by which chance shortens it at most.
	Jitter float64 `json:"jitter" example:"0.2"`
}

// RetryInput is what a client says of a retry policy.
type RetryInput struct {
	// How the wait grows with the failures: not at all, by the delay with each, or twofold with each.
	Backoff string `json:"backoff,omitempty" enums:"none,fixed,linear,exponential" default:"none"`
	// Seconds to wait after the first failure, or text such as "5s".
	Delay *int `json:"delay,omitempty" validate:"min=1,max=1209600" default:"5" extensions:"x-nullable"`
	// The longest wait, in seconds, or text such as "1h"; at least the delay.
	MaxDelay *int `json:"max_delay,omitempty" validate:"min=1,max=1209600" default:"3600" extensions:"x-nullable"`
	// The share of the wait by which chance shortens it at most, with at most three decimals.
	Jitter *float64 `json:"jitter,omitempty" validate:"min=0,max=1" default:"0" example:"0.2" extensions:"x-nullable"`
}

func retryPolicy(r queues.Retry) RetryPolicy {
	return RetryPolicy{Backoff: string(r.Backoff), Delay: wholeSeconds(r.Delay), MaxDelay: wholeSeconds(r.MaxDelay), Jitter: r.Jitter}
}

// retry reads the members of a RetryInput. Null brings back the defaults.
func (r *reader) retry(add func(func(*queues.Retry))) {
	usual := queues.DefaultRetry()
	if r.null() {
		add(func(p *queues.Retry) { *p = usual })
		return
	}
	r.object([]string{"backoff", "delay", "max_delay", "jitter"}, func(key []byte) {
		none := r.null()
		span := func(d time.Duration) (time.Duration, bool) {
			if none {
				return d, true
			}
			return r.duration()
		}
		switch string(key) {
		case "backoff":
			s, ok := []byte(usual.Backoff), true
			if !none {
				s, ok = r.str()
			}
			if kind := queues.Backoff(s); ok {
				add(func(p *queues.Retry) { p.Backoff = kind })
			}
		case "delay":
			if d, ok := span(usual.Delay); ok {
				add(func(p *queues.Retry) { p.Delay = d })
			}
		case "max_delay":
			if d, ok := span(usual.MaxDelay); ok {
				add(func(p *queues.Retry) { p.MaxDelay = d })
			}
		case "jitter":
			f, ok := usual.Jitter, true
			if !none {
				f, ok = r.fraction()
			}
			if ok {
				add(func(p *queues.Retry) { p.Jitter = f })
			}
		}
	})
}

// ownRetry reads the retry policy of a message. What it leaves out has its default, whatever the queue's policy; null is
// none of its own.
func (r *reader) ownRetry() *queues.Retry {
	if r.null() {
		return nil
	}
	own := queues.DefaultRetry()
	r.retry(func(change func(*queues.Retry)) { change(&own) })
	return &own
}

// appendRetry writes the retry policy of a message, and null where it has none of its own.
func appendRetry(b []byte, p *queues.Retry) []byte {
	if p == nil {
		return append(b, "null"...)
	}
	b = append(append(b, `{"backoff":"`...), p.Backoff...)
	b = strconv.AppendInt(append(b, `","delay":`...), int64(wholeSeconds(p.Delay)), 10)
	b = strconv.AppendInt(append(b, `,"max_delay":`...), int64(wholeSeconds(p.MaxDelay)), 10)
	b = strconv.AppendFloat(append(b, `,"jitter":`...), p.Jitter, 'f', -1, 64)
	return append(b, '}')
}
