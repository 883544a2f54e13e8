package tenants_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is a store of tenants on an engine whose time stands still.
type world struct {
	*tenants.Store
	clock  *clock.Fake
	engine *engine.Engine
	redis  *redis.Client
	net    *lossy
	prefix string // of names that no other test uses
}

var start = time.Date(2026, 5, 4, 3, 2, 1, int(500*time.Millisecond), time.UTC)

// onBoth runs f on real Redis, which all tests share, and on the in-memory engine.
func onBoth(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		f(t, newWorld(t, engine.Options{URL: redistest.URL(t)}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func newWorld(t testing.TB, opt engine.Options) *world {
	t.Helper()
	w := &world{clock: clock.NewFake(start), net: &lossy{}, prefix: strings.ToLower(rand.Text()[:10]) + "-"}
	opt.TestNow = func() int64 { return w.clock.Now().UnixMilli() }
	opt.Clock = w.clock
	opt.Dialer = w.net.dial
	e, err := engine.Open(opt)
	if err != nil {
		t.Fatalf("open the engine: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	w.engine, w.redis, w.Store = e, e.Single(), tenants.New(e, w.clock)
	return w
}

// another returns a second server's store on the same Redis.
func (w *world) another() *tenants.Store { return tenants.New(w.engine, w.clock) }

func (w *world) name(s string) string { return w.prefix + s }

func (w *world) mustPut(t *testing.T, name string, set tenants.Settings) tenants.Tenant {
	t.Helper()
	got, _, err := w.Put(t.Context(), name, set, tenants.Condition{})
	if err != nil {
		t.Fatalf("Put(%s): %v", name, err)
	}
	return got
}

// keys returns the names of the keys of a tenant.
func (w *world) keys(t *testing.T, id tenants.ID) []string {
	t.Helper()
	var found []string
	all := w.redis.Scan(t.Context(), 0, engine.TenantKey(id.String(), "*"), 1000).Iterator()
	for all.Next(t.Context()) {
		found = append(found, all.Val())
	}
	if err := all.Err(); err != nil {
		t.Fatalf("scan: %v", err)
	}
	return found
}

// checkGone fails unless neither the registry nor the tenant's own slot holds anything of a tenant.
func (w *world) checkGone(t *testing.T, gone tenants.Tenant) {
	t.Helper()
	if keys := w.keys(t, gone.ID); len(keys) != 0 {
		t.Errorf("tenant %s left keys behind: %q", gone.Name, keys)
	}
	if _, err := w.ByID(t.Context(), gone.ID); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("ByID of a deleted tenant: got %v, want ErrNotFound", err)
	}
	if has, _ := w.redis.HExists(t.Context(), engine.SystemKey("tenant-ids"), gone.ID.String()).Result(); has {
		t.Errorf("the id of %s is still registered", gone.Name)
	}
	if id, _ := w.redis.HGet(t.Context(), engine.SystemKey("tenant-accounts"), gone.AccountNumber).Result(); id == gone.ID.String() {
		t.Errorf("the account of %s is still registered", gone.Name)
	}
}

// lossy makes connections on which a test can lose answers: Redis has done what it was asked, and nobody is told.
type lossy struct {
	lose atomic.Int32
	of   atomic.Pointer[string] // only of calls that contain this; nil for all
}

func (l *lossy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, from: l}, nil
}

type lossyConn struct {
	net.Conn
	from   *lossy
	doomed bool
}

func (c *lossyConn) Write(b []byte) (int, error) {
	if of := c.from.of.Load(); strings.Contains(string(b), "evalsha") && (of == nil || strings.Contains(string(b), *of)) {
		for n := c.from.lose.Load(); n > 0 && !c.doomed; n = c.from.lose.Load() {
			c.doomed = c.from.lose.CompareAndSwap(n, n-1)
		}
	}
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.doomed {
		_ = c.Close()
		return 0, fmt.Errorf("the answer was lost")
	}
	return n, err
}

var errCrash = errors.New("the server died here")

// crashAfter returns a hook that ends a call after a step.
func crashAfter(step string) func(string) error {
	return func(done string) error {
		if done == step {
			return errCrash
		}
		return nil
	}
}
