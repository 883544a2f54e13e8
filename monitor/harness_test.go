package monitor_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is one server's monitor and queues with a fresh tenant, on a clock that the test moves.
type world struct {
	*monitor.Monitor
	queues  *queues.Store
	tenants *tenants.Store
	engine  *engine.Engine
	clock   *clock.Fake
	tenant  tenants.ID
	opt     engine.Options
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var names atomic.Int64

// engines runs a test on real Redis and on the in-memory engine, each of its own: the sums of all tenants are the
// installation's.
func engines(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func newWorld(tb testing.TB, opt engine.Options) *world {
	tb.Helper()
	fake := clock.NewFake(start)
	opt.Clock = fake
	opt.TestNow = func() int64 { return fake.Now().UnixMilli() }
	w := &world{clock: fake, opt: opt}
	w.open(tb)
	w.tenant = w.newTenant(tb)
	return w
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
	other := &world{clock: w.clock, tenant: w.tenant, opt: w.opt}
	other.open(tb)
	return other
}

func (w *world) open(tb testing.TB) {
	tb.Helper()
	e, err := engine.Open(w.opt)
	must(tb, err)
	tb.Cleanup(func() { _ = e.Close() })
	must(tb, e.StartSession(tb.Context()))
	w.engine = e
	w.tenants = tenants.New(e, w.clock)
	w.queues = queues.New(queues.Config{Engine: e, ReceiptKey: []byte("0123456789abcdef0123456789abcdef"), Clock: w.clock})
	w.Monitor = monitor.New(monitor.Config{Engine: e, Queues: w.queues, Clock: w.clock})
	w.tenants.OnDelete(w.Forget)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// step lets a span pass and takes samples.
func (w *world) step(tb testing.TB) {
	tb.Helper()
	w.clock.Advance(monitor.Step)
	must(tb, w.Record(tb.Context()))
}

func (w *world) queue(tb testing.TB, name string) {
	tb.Helper()
	_, _, err := w.queues.Put(tb.Context(), w.tenant, name, queues.DefaultSettings(), queues.Condition{})
	must(tb, err)
}

func (w *world) send(tb testing.TB, name string, n int) {
	tb.Helper()
	for range n {
		_, err := w.queues.Send(tb.Context(), w.tenant, name, queues.Outgoing{Body: []byte("m")})
		must(tb, err)
	}
}

// take receives n messages and acknowledges those above held.
func (w *world) take(tb testing.TB, name string, n, held int) {
	tb.Helper()
	list, err := w.queues.Receive(tb.Context(), w.tenant, name, queues.ReceiveOptions{Max: n})
	must(tb, err)
	if len(list) != n {
		tb.Fatalf("received %d messages of %s, want %d", len(list), name, n)
	}
	for _, m := range list[held:] {
		out, err := w.queues.Settle(tb.Context(), w.tenant, name, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}})
		must(tb, err)
		must(tb, out[0].Err)
	}
}

func (w *world) series(tb testing.TB, name string, window, step time.Duration) monitor.Series {
	tb.Helper()
	s, err := w.Queue(tb.Context(), w.tenant, name, window, step)
	must(tb, err)
	return s
}

// column returns a value of all points.
func column(s monitor.Series, c int) []int64 {
	out := make([]int64, len(s.Points))
	for i := range s.Points {
		out[i] = s.Points[i][c]
	}
	return out
}
