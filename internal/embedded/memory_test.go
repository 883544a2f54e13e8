package embedded_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/embedded"
)

func TestWithoutARedisItRunsInMemoryAndSaysSo(t *testing.T) {
	t.Parallel()
	log, lines := newLog()
	s := start(t, embedded.Options{DataDir: t.TempDir(), LookPath: noRedis, Logger: log})

	type facts struct {
		Engine        string
		Durable       bool
		PID, Restarts int
		Ready         error
	}
	got := facts{s.Engine(), s.Durable(), s.PID(), s.Restarts(), s.Ready()}
	if diff := cmp.Diff(facts{Engine: "memory"}, got); diff != "" {
		t.Errorf("in-memory server (-want +got):\n%s", diff)
	}
	for _, want := range []string{"IN MEMORY: everything is lost at exit", "Debian package redis-server", "SLUICE_REDIS_URL"} {
		if !strings.Contains(embedded.MemoryBanner, want) {
			t.Errorf("MemoryBanner = %q, want it to contain %q", embedded.MemoryBanner, want)
		}
	}
	if !lines.has("level=WARN", embedded.MemoryBanner) {
		t.Error("the banner is not in the log")
	}

	client := connect(t, s.URL())
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{"k"}).Text(); got != "v" {
		t.Errorf("script = %q, %v, want %q", got, err, "v")
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Ready(); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("Ready() after Close = %v, want ErrClosed", err)
	}
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("the engine answers after Close")
	}
}

func TestMemoryEngineAsksForItsPassword(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Options{DataDir: t.TempDir(), LookPath: noRedis})
	address, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := address.Hostname(), "127.0.0.1"; got != want {
		t.Errorf("it listens on %q, want %q", got, want)
	}
	address.User = nil
	if err := connect(t, address.String()).Get(t.Context(), "k").Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("GET without the password = %v, want NOAUTH", err)
	}
}

func TestRequireDurableRefusesMemoryAndListsThreeRemedies(t *testing.T) {
	t.Parallel()
	err := refuse(t, embedded.Options{DataDir: t.TempDir(), LookPath: noRedis, RequireDurable: true})
	if !errors.Is(err, embedded.ErrNotDurable) {
		t.Errorf("Start = %v, want ErrNotDurable", err)
	}
	for _, want := range []string{"install the Debian package redis-server", "set SLUICE_REDIS_URL", "drop --require-durable"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v, want it to contain %q", err, want)
		}
	}
}

func TestRequireDurableTakesAChild(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Options{DataDir: t.TempDir(), LookPath: onlyRedis(redisPath(t)), RequireDurable: true})
	if !s.Durable() {
		t.Error("Durable() = false, want true")
	}
}
