package auth_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is one server on an engine whose time stands still.
type world struct {
	*auth.KeyStore
	auth    *auth.Authenticator
	tenants *tenants.Store
	clock   *clock.Fake
	engine  *engine.Engine
	redis   *redis.Client
	net     *network
	ring    *keyring.Keyring
	tenant  tenants.Tenant // that no other test uses

	providers *auth.Providers // nil for none
}

// home is where requests come from.
const home = "192.0.2.1"

// masterKey is that of all servers on real Redis, because they share one.
var masterKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

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

func newWorld(tb testing.TB, opt engine.Options) *world {
	tb.Helper()
	w := &world{clock: clock.NewFake(start), net: &network{}}
	if wrong, ok := opt.Clock.(*clock.Fake); ok {
		w.clock = wrong // of the server; Redis has its own
	} else {
		opt.Clock = w.clock
		opt.TestNow = func() int64 { return w.clock.Now().UnixMilli() }
	}
	opt.Dialer = w.net.dial
	e, err := engine.Open(opt)
	if err != nil {
		tb.Fatalf("open the engine: %v", err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	secret := ""
	if !opt.Memory {
		secret = masterKey
	}
	master, _, err := keyring.Open(tb.TempDir(), secret, nil)
	if err != nil {
		tb.Fatalf("open the keyring: %v", err)
	}
	w.ring = master.Keyring()
	w.engine, w.redis, w.tenants = e, e.Single(), tenants.New(e, w.clock)
	w.KeyStore = auth.NewKeyStore(e, w.ring, w.tenants, w.clock)
	w.auth = auth.NewAuthenticator(w.KeyStore, nil)
	w.tenant = w.newTenant(tb)
	return w
}

// another returns a second server of the same installation.
func (w *world) another() *world {
	other := *w
	other.tenants = tenants.New(w.engine, w.clock)
	other.KeyStore = auth.NewKeyStore(w.engine, w.ring, other.tenants, w.clock)
	other.auth = auth.NewAuthenticator(other.KeyStore, w.providers)
	return &other
}

func (w *world) newTenant(tb testing.TB) tenants.Tenant {
	tb.Helper()
	t, _, err := w.tenants.Put(context.Background(), strings.ToLower(rand.Text()), tenants.Settings{}, tenants.Condition{})
	if err != nil {
		tb.Fatalf("put a tenant: %v", err)
	}
	return t
}

func (w *world) newKey(tb testing.TB) auth.Created {
	tb.Helper()
	c, err := w.CreateTenantKey(context.Background(), w.tenant.ID, auth.NewKey{Name: "test"})
	if err != nil {
		tb.Fatalf("create a key: %v", err)
	}
	return c
}

// calls returns how many scripts Redis has been sent so far.
func (w *world) calls() int64 {
	n := int64(0)
	for _, c := range w.engine.Outcomes() {
		n += c
	}
	return n
}

// checkAuth fails unless the key gives want, nil for success.
func (w *world) checkAuth(t *testing.T, when, key string, want error) {
	t.Helper()
	w.checkAuthFrom(t, home, when, key, want)
}

func (w *world) checkAuthFrom(t *testing.T, address, when, key string, want error) {
	t.Helper()
	if _, err := w.auth.Authenticate(t.Context(), key, address); !errors.Is(err, want) {
		t.Errorf("%s: Authenticate gives %v, want %v", when, err, want)
	}
}

// index returns the fields of a tenant's index of keys.
func (w *world) index(t *testing.T, id tenants.ID) map[string]string {
	t.Helper()
	m, err := w.redis.HGetAll(t.Context(), engine.TenantKey(id.String(), "keys")).Result()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// record returns what Redis holds of a key, "" for nothing.
func (w *world) record(key string) string {
	d, _ := w.Digest(key)
	text, _ := w.redis.HGet(context.Background(), engine.SystemKey("keys"), d).Result()
	return text
}

// network makes connections that a test can break.
type network struct {
	lose  atomic.Int32 // so many answers are lost: Redis has done what it was asked
	down  atomic.Bool  // nothing gets through
	held  atomic.Pointer[chan struct{}]
	slow  atomic.Pointer[slowAnswer]
	conns sync.Map
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if n.down.Load() {
		return nil, &net.OpError{Op: "dial", Err: errors.New("the network is down")}
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	b := &brokenConn{Conn: c, from: n}
	n.conns.Store(b, true)
	return b, nil
}

// cut ends all connections and lets no new one through until back.
func (n *network) cut() {
	n.down.Store(true)
	n.conns.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
}

func (n *network) back() { n.down.Store(false) }

// hold keeps all scripts from Redis until the returned function is called.
func (n *network) hold() (release func()) {
	gate := make(chan struct{})
	n.held.Store(&gate)
	return func() {
		n.held.Store(nil)
		close(gate)
	}
}

// slowAnswer is the answer to a call that contains a text. Redis gives it at once, and it arrives when gate is closed.
type slowAnswer struct {
	to    string
	given chan struct{}
	gate  chan struct{}
}

// holdAnswer delays the answer to the next call that contains text. given is closed when Redis has given it.
func (n *network) holdAnswer(text string) (given <-chan struct{}, release func()) {
	s := &slowAnswer{to: text, given: make(chan struct{}), gate: make(chan struct{})}
	n.slow.Store(s)
	return s.given, func() { close(s.gate) }
}

type brokenConn struct {
	net.Conn
	from   *network
	doomed bool
	slow   *slowAnswer
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "evalsha") {
		if gate := c.from.held.Load(); gate != nil {
			<-*gate
		}
		if s := c.from.slow.Load(); s != nil && strings.Contains(string(b), s.to) && c.from.slow.CompareAndSwap(s, nil) {
			c.slow = s
		}
		for n := c.from.lose.Load(); n > 0 && !c.doomed; n = c.from.lose.Load() {
			c.doomed = c.from.lose.CompareAndSwap(n, n-1)
		}
	}
	return c.Conn.Write(b)
}

func (c *brokenConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.doomed {
		_ = c.Close()
		return 0, fmt.Errorf("the answer was lost")
	}
	if s := c.slow; s != nil {
		c.slow = nil
		close(s.given)
		<-s.gate
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
