package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is one server's webhooks with a fresh tenant, on a clock that the test moves.
type world struct {
	*webhook.Store
	topics *topics.Store
	// notifier makes what SNS sends; its addresses begin with origin.
	notifier *topics.Notifier
	queues   *queues.Store
	tenants  *tenants.Store
	meter    *tenants.Meter
	engine   *engine.Engine
	clock    *clock.Fake
	tenant   tenants.ID
	opt      engine.Options
	keys     *keyring.Keyring
	policy   egress.Policy
	proxy    egress.Proxy
	names    *net.Resolver // nil: that of the system
	kill     func()        // ends the server as its death does
}

const origin = "https://sluice.example"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var names atomic.Int64

// engines runs a test on real Redis and on the in-memory engine, each of its own: the shards are the installation's.
func engines(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func newWorld(tb testing.TB, opt engine.Options) *world {
	tb.Helper()
	return newWorldWith(tb, opt, policy)
}

// newMemoryWorld is for what does not depend on the engine.
func newMemoryWorld(tb testing.TB) *world {
	tb.Helper()
	return newWorld(tb, engine.Options{URL: redistest.Memory(tb), Memory: true})
}

func newWorldWith(tb testing.TB, opt engine.Options, policy egress.Policy) *world {
	tb.Helper()
	w := &world{}
	w.start(tb, opt, policy)
	return w
}

// start makes a world of what may have been set of it.
func (w *world) start(tb testing.TB, opt engine.Options, policy egress.Policy) {
	tb.Helper()
	fake := clock.NewFake(start)
	opt.Clock = fake
	opt.TestNow = func() int64 { return fake.Now().UnixMilli() }
	keys, err := keyring.New(nil)
	must(tb, err)
	w.clock, w.opt, w.keys, w.policy = fake, opt, keys, policy
	w.open(tb)
	w.tenant = w.newTenant(tb)
}

func (w *world) newTenant(tb testing.TB) tenants.ID {
	tb.Helper()
	tn, _, err := w.tenants.Put(tb.Context(), fmt.Sprintf("p%d-%d", os.Getpid(), names.Add(1)), tenants.Settings{}, tenants.Condition{})
	must(tb, err)
	return tn.ID
}

// another starts a second server on the same Redis and clock, for the same tenant.
func (w *world) another(tb testing.TB) *world {
	tb.Helper()
	other := &world{clock: w.clock, tenant: w.tenant, opt: w.opt, keys: w.keys, policy: w.policy, names: w.names}
	other.open(tb)
	return other
}

// policy lets webhooks reach the receivers of tests.
var policy = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true}

func (w *world) open(tb testing.TB) {
	tb.Helper()
	e, err := engine.Open(w.opt)
	must(tb, err)
	tb.Cleanup(func() { _ = e.Close() })
	must(tb, e.StartSession(tb.Context()))
	w.engine = e
	clk := clock.Clock(w.clock)
	if w.clock == nil {
		clk = clock.Real{}
	}
	w.tenants = tenants.New(e, clk)
	q := queues.New(queues.Config{Engine: e, ReceiptKey: []byte("0123456789abcdef0123456789abcdef"), Clock: clk})
	w.queues = q
	notifier := topics.NewNotifier(topics.NotifierConfig{Engine: e, Keys: w.keys, Region: "eu-test-1", Origin: origin, Clock: clk,
		Account: func(ctx context.Context, id tenants.ID) (string, error) {
			t, err := w.tenants.ByID(ctx, id)
			return t.AccountNumber, err
		}})
	w.topics = topics.New(topics.Config{Engine: e, Queues: q, Clock: clk, Notifier: notifier})
	w.notifier = notifier
	client := egress.New(egress.Config{Policy: w.policy, Proxy: w.proxy, Resolver: w.names})
	tb.Cleanup(client.Close)
	w.meter = tenants.NewMeter(w.tenants)
	w.Store = webhook.New(webhook.Config{Engine: e, Topics: w.topics, Terms: w.tenants.Terms, Keys: w.keys, Egress: client, Meter: w.meter, Clock: clk})
	w.tenants.OnErase(w.topics.Erase)
	w.tenants.OnErase(w.EraseRecent)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	wg.Go(func() { _ = w.topics.Run(ctx) })
	w.kill = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	tb.Cleanup(w.kill)
	until(tb, "the server sends", func() bool { return w.Outcomes().Shards > 0 })
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// scaled returns how large a test is: small in each run, and with SLUICE_TEST_REDIS_FULL=1 as large as the acceptance of webhooks
// asks for; see docs/promises.md.
func scaled[N int | int64 | time.Duration](small, full N) N {
	if os.Getenv("SLUICE_TEST_REDIS_FULL") != "" {
		return full
	}
	return small
}

// scaled is the same for a test that runs on several engines: that in memory is for small ones.
func (w *world) scaled(small, full int) int {
	if w.opt.Memory {
		return small
	}
	return scaled(small, full)
}

// patience is for how long tests wait for what goes on in the background.
var patience = scaled(time.Minute, time.Hour)

// until polls a condition for as long as patience lasts.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// forward moves the clock in small steps, as it would go, until a condition holds; at most so far. What this server is sending has a
// third of a second for each step, so that on a busy machine no lease ends before what it is for was done.
func (w *world) forward(tb testing.TB, most time.Duration, what string, ok func() bool) {
	tb.Helper()
	for end := w.clock.Now().Add(most); !ok(); w.clock.Advance(max(time.Second, most/50)) {
		for try := 0; (try < 20 || try < 300 && w.Outcomes().Sending > 0) && !ok(); try++ {
			time.Sleep(time.Millisecond)
		}
		if w.clock.Now().After(end) {
			tb.Fatalf("not in %v: %s", most, what)
		}
	}
}

// slowly waits for a condition, with six times the patience, while the clock goes on by some twenty seconds in one: on a busy machine no
// lease ends before what it is for could be done.
func (w *world) slowly(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	last := time.Now()
	for deadline := last.Add(6 * patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in %v: %s", 6*patience, what)
		}
		if time.Since(last) > 50*time.Millisecond {
			w.clock.Advance(time.Second)
			last = time.Now()
		}
	}
}

// received is a request that came to a receiver.
type received struct {
	method string
	header http.Header
	body   string
	path   string
}

// receiver is an endpoint that remembers what came.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []received
	// answer says what to answer to a request; nil: 204.
	answer func(r received, w http.ResponseWriter)
}

func newReceiver(tb testing.TB, answer func(r received, w http.ResponseWriter)) *receiver {
	tb.Helper()
	rc := &receiver{answer: answer}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := received{method: r.Method, header: r.Header, body: string(body), path: r.URL.Path}
		rc.mu.Lock()
		rc.list = append(rc.list, got)
		f := rc.answer
		rc.mu.Unlock()
		if f == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		f(got, w)
	}))
	tb.Cleanup(rc.Close)
	return rc
}

// answering makes an answer of a status.
func answering(status int) func(received, http.ResponseWriter) {
	return func(_ received, w http.ResponseWriter) { w.WriteHeader(status) }
}

func (rc *receiver) set(answer func(received, http.ResponseWriter)) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.answer = answer
}

func (rc *receiver) got() []received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]received(nil), rc.list...)
}

func (rc *receiver) count() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return len(rc.list)
}

func (rc *receiver) bodies() []string {
	var out []string
	for _, r := range rc.got() {
		out = append(out, r.body)
	}
	return out
}

// comes waits until n requests have come.
func (rc *receiver) comes(tb testing.TB, n int) {
	tb.Helper()
	until(tb, fmt.Sprint(n, " requests"), func() bool { return rc.count() >= n })
}

func (w *world) topic(tb testing.TB, suffix string, set topics.Settings) string {
	tb.Helper()
	name := fmt.Sprintf("t%d%s", names.Add(1), suffix)
	_, _, err := w.topics.Put(tb.Context(), w.tenant, name, set, topics.Condition{})
	must(tb, err)
	return name
}

// hook subscribes an endpoint, and returns the way to it.
func (w *world) hook(tb testing.TB, topic, name string, e webhook.Endpoint) topics.Way {
	tb.Helper()
	s, _, err := w.topics.PutSubscription(tb.Context(), w.tenant, topic, name, topics.SubscriptionSettings{Endpoint: e.Encode()}, topics.Condition{})
	must(tb, err)
	return s.Way
}

func (w *world) publish(tb testing.TB, topic string, bodies ...string) []topics.PublishResult {
	tb.Helper()
	return w.publishTo(tb, topic, "g", bodies...)
}

func (w *world) publishTo(tb testing.TB, topic, group string, bodies ...string) []topics.PublishResult {
	tb.Helper()
	list := make([]queues.Outgoing, len(bodies))
	for i, b := range bodies {
		list[i] = queues.Outgoing{Body: []byte(b), ContentType: "text/plain"}
		if topics.IsFIFOName(topic) {
			list[i].GroupID, list[i].DeduplicationID = group, fmt.Sprintf("d%d", names.Add(1))
		}
	}
	out, err := w.topics.PublishBatch(tb.Context(), w.tenant, topic, list, false)
	must(tb, err)
	for _, r := range out {
		must(tb, r.Err)
	}
	return out
}

func (w *world) status(tb testing.TB, way topics.Way) webhook.Status {
	tb.Helper()
	s, err := w.Status(tb.Context(), way)
	must(tb, err)
	return s
}

// reaches waits until a webhook is as wanted.
func (w *world) reaches(tb testing.TB, way topics.Way, what string, ok func(webhook.Status) bool) {
	tb.Helper()
	until(tb, what, func() bool { return ok(w.status(tb, way)) })
}

// tenantName returns the name of the tenant.
func (w *world) tenantName(tb testing.TB) string {
	tb.Helper()
	list, _, err := w.tenants.List(tb.Context(), "", 500, "")
	must(tb, err)
	for _, one := range list {
		if one.ID == w.tenant {
			return one.Name
		}
	}
	tb.Fatal("the tenant is not there")
	return ""
}
