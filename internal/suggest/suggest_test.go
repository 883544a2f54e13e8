package suggest

import (
	"strings"
	"testing"
)

func TestTheNearestNameIsMeant(t *testing.T) {
	t.Parallel()
	names := []string{"visibility_timeout", "delay", "orders", "orders-dlq", "a", "listen"}
	for _, c := range []struct{ got, want string }{
		{"dealy", "delay"}, {"Delay", "delay"}, {"visibilityTimeout", "visibility_timeout"}, {"ordres", "orders"}, {"order", "orders"},
		{"lisen", "listen"}, {"colour", ""}, {"x", ""}, {"", ""}, {"delay", ""}, {strings.Repeat("delay", 20), ""},
		{strings.Repeat("x", 1<<20), ""},
	} {
		if got := Nearest(c.got, names); got != c.want {
			t.Errorf("%.20q: got %q, want %q", c.got, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"listen", "lisen", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"A", "a", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
