package alarms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is one server's alarms, and what they look at, with a fresh tenant, on a clock that the test moves.
type world struct {
	*alarms.Store
	monitor *monitor.Monitor
	queues  *queues.Store
	topics  *topics.Store
	tenants *tenants.Store
	engine  *engine.Engine
	clock   *clock.Fake
	tenant  tenants.ID
	opt     engine.Options
	hooks   map[string]webhook.Status // what webhooks say, by their subscription
	mail    *mail.Sender              // nil: there is none
	members map[tenants.ID][]string   // addresses
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var names atomic.Int64

// engines runs a test on real Redis and on the in-memory engine, each of its own: the index of alarms is the installation's.
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
	w := &world{clock: fake, opt: opt, hooks: map[string]webhook.Status{}, members: map[tenants.ID][]string{}}
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
	other := &world{clock: w.clock, tenant: w.tenant, opt: w.opt, hooks: w.hooks, mail: w.mail, members: w.members}
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
	w.topics = topics.New(topics.Config{Engine: e, Queues: w.queues, Clock: w.clock, Terms: w.tenants.Terms})
	w.topics.Connect(endpoints{})
	w.monitor = monitor.New(monitor.Config{Engine: e, Queues: w.queues, Clock: w.clock})
	w.Store = alarms.New(alarms.Config{Engine: e, Monitor: w.monitor, Topics: w.topics, Terms: w.tenants.Terms, Clock: w.clock, Mail: w.mail,
		Members: func(_ context.Context, id tenants.ID) (string, []string, error) { return "acme", w.members[id], nil },
		Webhook: func(_ context.Context, way topics.Way) (webhook.Status, error) { return w.hooks[way.Subscription], nil }})
	w.tenants.OnDelete(w.monitor.Forget)
	w.tenants.OnDelete(w.Forget)
	w.tenants.OnErase(w.topics.Erase)
	w.tenants.OnErase(w.queues.Erase)
}

// endpoints are webhooks that never send.
type endpoints struct{ topics.Webhooks }

func (endpoints) Check(_ string, set topics.SubscriptionSettings, _ string) (string, error) {
	return set.Endpoint, nil
}
func (endpoints) NewSecret() string                                               { return "s" }
func (endpoints) Configure(context.Context, topics.Way, topics.WaySettings) error { return nil }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// pass lets a minute go by and looks at everything.
func (w *world) pass(tb testing.TB) {
	tb.Helper()
	w.clock.Advance(time.Minute)
	must(tb, w.monitor.Record(tb.Context()))
	must(tb, w.Evaluate(tb.Context()))
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

// take receives n messages and acknowledges them.
func (w *world) take(tb testing.TB, name string, n int) {
	tb.Helper()
	list, err := w.queues.Receive(tb.Context(), w.tenant, name, queues.ReceiveOptions{Max: n})
	must(tb, err)
	if len(list) != n {
		tb.Fatalf("received %d messages of %s, want %d", len(list), name, n)
	}
	for _, m := range list {
		out, err := w.queues.Settle(tb.Context(), w.tenant, name, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}})
		must(tb, err)
		must(tb, out[0].Err)
	}
}

func (w *world) topic(tb testing.TB, name string) {
	tb.Helper()
	set := topics.Settings{Retention: 24 * time.Hour}
	_, _, err := w.topics.Put(tb.Context(), w.tenant, name, set, topics.Condition{})
	must(tb, err)
}

// told returns what alarms have published to a topic.
func (w *world) told(tb testing.TB, topic string) []alarms.Message {
	tb.Helper()
	page, err := w.topics.Read(tb.Context(), w.tenant, topic, topics.ReadOptions{Limit: 100})
	must(tb, err)
	out := make([]alarms.Message, len(page.Messages))
	for i, m := range page.Messages {
		must(tb, json.Unmarshal(m.Message.Body, &out[i]))
	}
	return out
}

// set makes an alarm of what differs from the defaults.
func (w *world) set(tb testing.TB, name string, set alarms.Settings) alarms.Entry {
	tb.Helper()
	d := alarms.Default()
	if set.Comparison == "" {
		set.Comparison = d.Comparison
	}
	set.Period, set.Periods = max(set.Period, d.Period), max(set.Periods, d.Periods)
	if set.NotifyOn == nil {
		set.NotifyOn = d.NotifyOn
	}
	e, _, err := w.Put(tb.Context(), w.tenant, name, set, queues.Condition{})
	must(tb, err)
	return e
}

// is compares the state of an alarm.
func (w *world) is(tb testing.TB, name string, want alarms.State) alarms.Entry {
	tb.Helper()
	e, err := w.Get(tb.Context(), w.tenant, name)
	must(tb, err)
	if e.State != want {
		tb.Errorf("the alarm %s is %s, want %s (%+v)", name, e.State, want, e)
	}
	return e
}
