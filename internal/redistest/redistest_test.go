package redistest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/redistest"
)

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestURLNamesOneServerForAllTests(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var wg sync.WaitGroup
	urls := make([]string, 8)
	for i := range urls {
		wg.Go(func() { urls[i] = redistest.URL(t) })
	}
	wg.Wait()
	took(t, &start, "shared server ready")
	for _, url := range urls {
		if url != urls[0] {
			t.Errorf("URL = %s, want %s as before", url, urls[0])
		}
	}
	if !strings.HasPrefix(urls[0], "unix://") {
		t.Skipf("%s is not ours to look into", urls[0])
	}
	got, err := client(t, urls[0]).ConfigGet(context.Background(), "[am][pa][px]*[cy]").Result()
	if err != nil {
		t.Fatal(err)
	}
	if got["appendfsync"] != "always" || got["maxmemory-policy"] != "noeviction" {
		t.Errorf("configuration = %v, want appendfsync always and noeviction", got)
	}
}

func TestURLGivesWayToTheEnvironment(t *testing.T) {
	t.Setenv(redistest.EnvURL, "redis://elsewhere:1")
	if got := redistest.URL(t); got != "redis://elsewhere:1" {
		t.Errorf("URL = %s, want what %s says", got, redistest.EnvURL)
	}
}

func TestMemoryIsFreshEachTime(t *testing.T) {
	t.Parallel()
	a, b := client(t, redistest.Memory(t)), client(t, redistest.Memory(t))
	set(t, a, "k")
	if got := exists(t, a, "k"); got != 1 {
		t.Errorf("EXISTS in the same one = %d, want 1", got)
	}
	if got := exists(t, b, "k"); got != 0 {
		t.Errorf("EXISTS in another = %d, want 0", got)
	}
}

// stubTB records how a helper ends a test.
type stubTB struct {
	testing.TB
	fatal, skip string
}

func (s *stubTB) Helper() {}

func (s *stubTB) Fatalf(format string, args ...any) {
	s.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (s *stubTB) Skipf(format string, args ...any) {
	s.skip = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ends runs f with a stub that stops at Fatalf and Skipf as a test would.
func ends(t *testing.T, f func(testing.TB)) *stubTB {
	t.Helper()
	s := &stubTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(s)
	}()
	<-done
	return s
}

func TestWithoutRedisTheTestFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := ends(t, func(tb testing.TB) { redistest.Start(tb, redistest.Options{}) })
	if !strings.Contains(s.fatal, "apt-get install redis-server") || s.skip != "" {
		t.Errorf("Start: fatal %q, skip %q; want fatal with the remedy", s.fatal, s.skip)
	}
}

func TestWithoutCompilerTheTestSkipsButNotInCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "")
	s := ends(t, func(tb testing.TB) { redistest.SlowFsync(tb) })
	if s.skip == "" || s.fatal != "" {
		t.Errorf("at home: fatal %q, skip %q; want skip", s.fatal, s.skip)
	}
	t.Setenv("CI", "true")
	s = ends(t, func(tb testing.TB) { redistest.SlowFsync(tb) })
	if !strings.Contains(s.fatal, "apt-get install gcc") || s.skip != "" {
		t.Errorf("in CI: fatal %q, skip %q; want fatal with the remedy", s.fatal, s.skip)
	}
}
