package topics_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is one server's topics and queues with a fresh tenant, on a clock that the test moves.
type world struct {
	*topics.Store
	queues   *queues.Store
	tenants  *tenants.Store
	notifier *topics.Notifier
	engine   *engine.Engine
	clock    *clock.Fake
	tenant   tenants.ID
	opt      engine.Options
}

// masterKey is the secret of the installation.
var masterKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var names atomic.Int64

// engines runs a test on real Redis and on the in-memory engine, each of its own: the index of topics is the
// installation's, and a test moves the clock by which it is read.
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
	if err != nil {
		tb.Fatalf("create tenant: %v", err)
	}
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
	storage := tenants.NewStorage(w.tenants)
	w.queues = queues.New(queues.Config{Engine: e, ReceiptKey: []byte("0123456789abcdef0123456789abcdef"), Clock: w.clock, Terms: w.tenants.Terms, Storage: storage})
	w.notifier = w.newNotifier(tb, masterKey)
	w.Store = topics.New(topics.Config{Engine: e, Queues: w.queues, Clock: w.clock, Terms: w.tenants.Terms, Storage: storage, Notifier: w.notifier})
	w.tenants.OnErase(w.Erase)
	tb.Cleanup(w.Stop)
}

// newNotifier returns what makes notifications on a server with a master key.
func (w *world) newNotifier(tb testing.TB, key string) *topics.Notifier {
	tb.Helper()
	master, _, err := keyring.Open(tb.TempDir(), key, nil)
	must(tb, err)
	return topics.NewNotifier(topics.NotifierConfig{Engine: w.engine, Keys: master.Keyring(), Region: "eu-test-1", Origin: "https://sluice.example", Clock: w.clock,
		Account: func(ctx context.Context, id tenants.ID) (string, error) {
			t, err := w.tenants.ByID(ctx, id)
			return t.AccountNumber, err
		}})
}

// listen has the server hear what others tell it.
func (w *world) listen(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	up := make(chan struct{})
	go func() {
		defer close(done)
		w.Listen(ctx, func() { close(up) })
	}()
	<-up
	tb.Cleanup(func() {
		cancel()
		<-done
	})
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// topic makes a topic and returns its name.
func (w *world) topic(tb testing.TB, set topics.Settings) string {
	tb.Helper()
	return w.topicNamed(tb, fmt.Sprintf("t%d", names.Add(1)), set)
}

func (w *world) fifo(tb testing.TB, set topics.Settings) string {
	tb.Helper()
	return w.topicNamed(tb, fmt.Sprintf("t%d.fifo", names.Add(1)), set)
}

func (w *world) topicNamed(tb testing.TB, name string, set topics.Settings) string {
	tb.Helper()
	_, _, err := w.Put(tb.Context(), w.tenant, name, set, topics.Condition{})
	must(tb, err)
	return name
}

// queue makes a queue and returns its name.
func (w *world) queue(tb testing.TB, suffix string, change func(*queues.Settings)) string {
	tb.Helper()
	name := fmt.Sprintf("q%d%s", names.Add(1), suffix)
	set := queues.DefaultSettings().For(name)
	if change != nil {
		change(&set)
	}
	_, _, err := w.queues.Put(tb.Context(), w.tenant, name, set, queues.Condition{})
	must(tb, err)
	return name
}

func (w *world) subscribe(tb testing.TB, topic, name string, set topics.SubscriptionSettings) {
	tb.Helper()
	_, _, err := w.PutSubscription(tb.Context(), w.tenant, topic, name, set, topics.Condition{})
	must(tb, err)
}

func (w *world) publish(tb testing.TB, topic string, bodies ...string) []topics.PublishResult {
	tb.Helper()
	list := make([]queues.Outgoing, len(bodies))
	for i, b := range bodies {
		list[i] = queues.Outgoing{Body: []byte(b), ContentType: "text/plain"}
		if topics.IsFIFOName(topic) {
			list[i].GroupID, list[i].DeduplicationID = "g", fmt.Sprintf("d%d", names.Add(1))
		}
	}
	out, err := w.PublishBatch(tb.Context(), w.tenant, topic, list, false)
	must(tb, err)
	for _, r := range out {
		must(tb, r.Err)
	}
	return out
}

// drain receives and acknowledges all that can be received of a queue.
func (w *world) drain(tb testing.TB, queue string) []queues.Message {
	tb.Helper()
	var all []queues.Message
	for {
		got, err := w.queues.Receive(tb.Context(), w.tenant, queue, queues.ReceiveOptions{Max: 100})
		must(tb, err)
		if len(got) == 0 {
			return all
		}
		list := make([]queues.Settlement, len(got))
		for i, m := range got {
			list[i] = queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
		}
		_, err = w.queues.Settle(tb.Context(), w.tenant, queue, list)
		must(tb, err)
		all = append(all, got...)
	}
}

func bodies(list []queues.Message) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.Body
	}
	return out
}

// subscription returns a subscription as it is.
func (w *world) subscription(tb testing.TB, topic, name string) topics.Subscription {
	tb.Helper()
	s, err := w.GetSubscription(tb.Context(), w.tenant, topic, name)
	must(tb, err)
	return s
}

// settled returns once a subscription has all that was published.
func (w *world) settled(tb testing.TB, topic string, subscriptions ...string) {
	tb.Helper()
	for _, name := range subscriptions {
		until(tb, name+" has all", func() bool { return w.subscription(tb, topic, name).Lag == 0 })
	}
}

// until polls a condition for at most a minute.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in a minute: %s", what)
		}
	}
}
