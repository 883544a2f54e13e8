package handlers

import (
	"strconv"
	"time"
)

const (
	// maxSeconds bounds what is read as a duration: 100 years, far from where a time.Duration overflows.
	maxSeconds = 100 * 365 * 24 * 3600

	wantDuration = "must be whole seconds, or a duration such as 30s, 5m, 12h or 4d"
)

var units = map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 24 * 3600}

// parseDuration reads whole seconds ("30") or numbers with the units s, m, h and d ("5m", "1h30m"). Whoever uses it
// checks its bounds, so "-1" is read too.
func parseDuration(s string) (time.Duration, bool) {
	if n, ok := parseNumber(s); ok {
		return time.Duration(n) * time.Second, n <= maxSeconds && n >= -maxSeconds
	}
	if s == "" {
		return 0, false
	}
	total := int64(0)
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == 0 || i == len(s) {
			return 0, false
		}
		n, ok := parseNumber(s[:i])
		unit := units[s[i]]
		if !ok || unit == 0 || n > maxSeconds {
			return 0, false
		}
		if total += n * unit; total > maxSeconds {
			return 0, false
		}
		s = s[i+1:]
	}
	return time.Duration(total) * time.Second, true
}

// parseNumber reads a whole number in ASCII digits, with a minus at most in front.
func parseNumber(s string) (int64, bool) {
	if s == "" || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
