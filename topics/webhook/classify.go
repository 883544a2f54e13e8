package webhook

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
)

// What may become of an attempt.
const (
	done  = "done"
	retry = "retry" // later
	dead  = "dead"  // never again by itself
	free  = "free"  // at once, or soon, as if nothing had been tried
)

// What an attempt says of its endpoint.
const (
	healthy   = "+"
	failing   = "-"
	disabling = "x"
	neutral   = ""
)

// verdict is what an attempt means: for its message, and for its endpoint.
type verdict struct {
	outcome string
	charged bool // it counts as an attempt
	health  string
	code    string        // why it is not done, a stable snake_case name
	words   string        // the same for people
	wait    time.Duration // before the next one, at least
	peace   time.Duration // that the endpoint asked for
}

const (
	// throttled is how long an endpoint is left alone that answers 429 and does not say for how long.
	throttled = 10 * time.Second
	// ourFault is when something is tried again that our side could not do.
	ourFault = 30 * time.Second
)

// judge says what an answer means, or an error where there is none. After a status of terminal a message is not tried again.
func judge(res *egress.Response, err error, terminal []int, now time.Time) verdict {
	if e, ok := errors.AsType[*tokenError](err); ok {
		return e.judge()
	}
	if err != nil {
		return judgeError(err)
	}
	v := verdict{outcome: retry, charged: true, health: failing, code: "http_" + strconv.Itoa(res.Status),
		words: "The endpoint answered " + statusText(res.Status) + "."}
	switch {
	case res.Status >= 200 && res.Status < 300:
		return verdict{outcome: done, charged: true, health: healthy}
	case res.Status == http.StatusGone:
		v.health = disabling
		v.words = "The endpoint answered 410 Gone, which ends its subscription until it is enabled again."
	case res.Status == http.StatusRequestEntityTooLarge:
		v.health = neutral
		v.words = "The endpoint answered 413: the message is too large for it."
	case res.Status == http.StatusTooManyRequests:
		v.health, v.peace = neutral, throttled
	case res.Status >= 300 && res.Status < 400:
		v.code = "redirect_refused"
		v.words = "The endpoint answered " + statusText(res.Status) + ": redirects are not followed. Set the URL to which it redirects."
	}
	if slices.Contains(terminal, res.Status) {
		v.outcome = dead
		if v.health == failing && res.Status < 500 { // it says so of the message, not of itself
			v.health = neutral
		}
	}
	if wait, ok := retryAfter(res.Header.Get("Retry-After"), now); ok && (res.Status == http.StatusTooManyRequests || res.Status == http.StatusServiceUnavailable) {
		v.wait, v.peace = wait, wait
	}
	switch strings.TrimSpace(res.Header.Get("Webhook-Delivery")) {
	case "abort-message":
		v.outcome, v.words = dead, "The endpoint asked not to send this message again."
	case "disable":
		v.health, v.words = disabling, "The endpoint asked to be disabled."
	}
	return v
}

func judgeError(err error) verdict {
	kind := egress.KindOf(err)
	v := verdict{outcome: retry, charged: true, health: failing, code: string(kind), words: err.Error()}
	switch kind {
	case egress.Canceled: // this server is about to end
		v.outcome, v.charged, v.health = free, false, neutral
	case egress.DNS, egress.ProxyFailed: // our resolver's fault, or our network's
		v.outcome, v.charged, v.health, v.wait = free, false, neutral, ourFault
		v.peace = ourFault // or all that waits would be looked up in turn, as fast as it goes
	case egress.NotAllowed, egress.Invalid: // nothing was sent
		v.charged = true
	}
	return v
}

// retryAfter reads the header of this name: seconds, or a date. It is at most MaxRetryWait.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryWait/time.Second) {
			return MaxRetryWait, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil || !at.After(now) {
		return 0, false
	}
	return min(at.Sub(now), MaxRetryWait), true
}

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}
