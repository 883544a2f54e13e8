package queues_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

func TestMain(m *testing.M) {
	setModelChecks()
	os.Exit(redistest.Main(m))
}

// bench is one server's store with a fresh tenant, on a clock that the test moves.
type bench struct {
	*queues.Store
	engine  *engine.Engine
	tenants *tenants.Store
	storage *tenants.Storage
	clock   *clock.Fake
	tenant  tenants.ID
	opt     engine.Options
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var names atomic.Int64

// engines runs a test on real Redis and on the in-memory engine.
func engines(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: redistest.URL(t)}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

// newBench starts a server's store on a fake clock.
func newBench(tb testing.TB, opt engine.Options) *bench {
	tb.Helper()
	fake := clock.NewFake(start)
	opt.Clock = fake
	opt.TestNow = func() int64 { return fake.Now().UnixMilli() }
	b := &bench{clock: fake, opt: opt}
	b.open(tb, opt, fake)
	name := fmt.Sprintf("t%d-%d", os.Getpid(), names.Add(1))
	tn, _, err := b.tenants.Put(tb.Context(), name, tenants.Settings{}, tenants.Condition{})
	if err != nil {
		tb.Fatalf("create tenant: %v", err)
	}
	b.tenant = tn.ID
	return b
}

// another starts a second server on the same Redis and clock, for the same tenant.
func (b *bench) another(tb testing.TB) *bench {
	tb.Helper()
	other := &bench{clock: b.clock, tenant: b.tenant, opt: b.opt}
	other.open(tb, b.opt, b.clock)
	return other
}

func (b *bench) open(tb testing.TB, opt engine.Options, c clock.Clock) {
	tb.Helper()
	e, err := engine.Open(opt)
	if err != nil {
		tb.Fatalf("open engine: %v", err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatalf("start session: %v", err)
	}
	b.engine, b.tenants = e, tenants.New(e, c)
	b.storage = tenants.NewStorage(b.tenants)
	b.Store = queues.New(queues.Config{Engine: e, ReceiptKey: []byte("0123456789abcdef0123456789abcdef"), Clock: c, Terms: b.tenants.Terms, Storage: b.storage})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
	until(tb, b.Hearing) // what is not heard is looked for by a clock that stands still
}

// queue makes a queue and returns its name.
func (b *bench) queue(tb testing.TB, change func(*queues.Settings)) string {
	tb.Helper()
	set := queues.DefaultSettings()
	if change != nil {
		change(&set)
	}
	name := fmt.Sprintf("q%d", names.Add(1))
	if _, _, err := b.Put(tb.Context(), b.tenant, name, set, queues.Condition{}); err != nil {
		tb.Fatalf("create queue: %v", err)
	}
	return name
}

func (b *bench) send(tb testing.TB, queue, body string) queues.Sent {
	tb.Helper()
	sent, err := b.Send(tb.Context(), b.tenant, queue, queues.Outgoing{Body: []byte(body)})
	if err != nil {
		tb.Fatalf("send %q: %v", body, err)
	}
	return sent
}

func (b *bench) receive(tb testing.TB, queue string, most int) []queues.Message {
	tb.Helper()
	got, err := b.Receive(tb.Context(), b.tenant, queue, queues.ReceiveOptions{Max: most})
	if err != nil {
		tb.Fatalf("receive: %v", err)
	}
	return got
}

func (b *bench) settle(tb testing.TB, queue string, list ...queues.Settlement) []queues.Settled {
	tb.Helper()
	out, err := b.Settle(tb.Context(), b.tenant, queue, list)
	if err != nil {
		tb.Fatalf("settle: %v", err)
	}
	return out
}

// counts returns available, in flight and delayed.
func (b *bench) counts(tb testing.TB, queue string) [3]int64 {
	tb.Helper()
	st, err := b.Stats(tb.Context(), b.tenant, queue)
	if err != nil {
		tb.Fatalf("stats: %v", err)
	}
	return [3]int64{st.Available, st.InFlight, st.Delayed}
}

func bodies(list []queues.Message) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.Body
	}
	return out
}

// awaitParked returns once n receives wait at the queue.
func (b *bench) awaitParked(tb testing.TB, queue string, n int) {
	tb.Helper()
	until(tb, func() bool { return b.Parked(b.tenant, queue) == n })
}

// until polls a condition for at most a minute.
func until(tb testing.TB, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("the condition did not come true in ten seconds")
		}
	}
}

// List returns a part of a tenant's queues with their counts, by name, and the name after which the next part goes on.
func (b *bench) List(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]queues.Listing, string, error) {
	names, next, err := b.Names(ctx, t, prefix, after, limit)
	if err != nil {
		return nil, "", err
	}
	list, err := b.Listings(ctx, t, names)
	return list, next, err
}
