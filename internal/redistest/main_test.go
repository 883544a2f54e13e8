package redistest_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/redistest"
)

func TestMain(m *testing.M) {
	if os.Getenv(envOrphan) != "" {
		orphanMain()
	}
	os.Exit(redistest.Main(m))
}

// took logs how long the step since start lasted, and begins the next one.
func took(t *testing.T, start *time.Time, what string) {
	t.Helper()
	t.Logf("%-45s %v", what, time.Since(*start).Round(time.Millisecond))
	*start = time.Now()
}

// fill sets n keys, one acknowledged write each.
func fill(t *testing.T, c redis.Cmdable, prefix string, n int) {
	t.Helper()
	for i := range n {
		set(t, c, fmt.Sprint(prefix, i))
	}
}

func set(t *testing.T, c redis.Cmdable, key string) {
	t.Helper()
	if err := c.Set(context.Background(), key, "v", 0).Err(); err != nil {
		t.Fatalf("SET %s: %v", key, err)
	}
}

// count returns how many of the keys that fill set are there.
func count(t *testing.T, c redis.Cmdable, prefix string, n int) int {
	t.Helper()
	found := 0
	for i := range n {
		found += int(exists(t, c, fmt.Sprint(prefix, i)))
	}
	return found
}

func exists(t *testing.T, c redis.Cmdable, key string) int64 {
	t.Helper()
	n, err := c.Exists(context.Background(), key).Result()
	if err != nil {
		t.Fatalf("EXISTS %s: %v", key, err)
	}
	return n
}

// eventually polls until ok holds.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
