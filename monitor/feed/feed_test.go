package feed_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/monitor/feed"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	names atomic.Int64
)

// world is a server with a tenant of the test's own, on a clock that the test moves.
type world struct {
	*feed.Store
	clock   *clock.Fake
	tenant  tenants.ID
	tenants *tenants.Store
	queues  *queues.Store
	opt     engine.Options
}

func worlds(t *testing.T, test func(t *testing.T, w *world)) {
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
	opt.Clock, opt.TestNow = fake, func() int64 { return fake.Now().UnixMilli() }
	w := &world{clock: fake, opt: opt}
	w.Store = w.server(tb)
	w.tenant = w.newTenant(tb)
	return w
}

func (w *world) newTenant(tb testing.TB) tenants.ID {
	tb.Helper()
	t, _, err := w.tenants.Put(tb.Context(), fmt.Sprintf("t%d", names.Add(1)), tenants.Settings{}, tenants.Condition{})
	must(tb, err)
	return t.ID
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// server returns the feeds of another server on the same Redis.
func (w *world) server(tb testing.TB) *feed.Store {
	tb.Helper()
	e, err := engine.Open(w.opt)
	must(tb, err)
	tb.Cleanup(func() { _ = e.Close() })
	must(tb, e.StartSession(tb.Context()))
	w.tenants = tenants.New(e, w.clock)
	w.queues = queues.New(queues.Config{Engine: e, ReceiptKey: make([]byte, 32), Clock: w.clock, Terms: w.tenants.Terms})
	m := monitor.New(monitor.Config{Engine: e, Queues: w.queues, Clock: w.clock})
	return feed.New(feed.Config{Audit: audit.New(e), Tasks: tasks.New(e, w.clock), Clock: w.clock,
		Alarms: alarms.New(alarms.Config{Engine: e, Monitor: m, Terms: w.tenants.Terms, Clock: w.clock})})
}

// follow begins to follow the test's tenant.
func (w *world) follow(tb testing.TB, s *feed.Store, owner tenants.ID, cursor string) *feed.Follower {
	tb.Helper()
	f, err := s.Follow(tb.Context(), owner, cursor)
	must(tb, err)
	tb.Cleanup(f.Close)
	return f
}

// take moves the clock as far as feeds look again, and returns what a follower hears of, without cursors.
func (w *world) take(tb testing.TB, f *feed.Follower) []feed.Change {
	tb.Helper()
	list := w.raw(tb, f)
	for i := range list {
		list[i].Cursor = ""
	}
	return list
}

func (w *world) raw(tb testing.TB, f *feed.Follower) []feed.Change {
	tb.Helper()
	w.clock.Advance(feed.Period)
	list, err := f.Take(tb.Context())
	must(tb, err)
	return list
}

func (w *world) log() audit.Log { return audit.Log(w.tenant.String()) }

// begin writes down that a change is about to be made.
func (w *world) begin(tb testing.TB, queue string) audit.Entry {
	tb.Helper()
	e := audit.Entry{ID: w.Audit.NewID(), Operation: "updateQueue", Target: audit.Target{Type: "queue", Name: queue}}
	must(tb, w.Audit.Begin(tb.Context(), w.log(), e))
	return e
}

func (w *world) end(tb testing.TB, e audit.Entry) {
	tb.Helper()
	e.Outcome = audit.Done
	must(tb, w.Audit.End(tb.Context(), w.log(), e))
}

func (w *world) change(tb testing.TB, queue string) {
	tb.Helper()
	w.end(tb, w.begin(tb, queue))
}

func changed(queues ...string) []feed.Change {
	out := make([]feed.Change, len(queues))
	for i, q := range queues {
		out[i] = feed.Change{Type: "queue", Name: q, Operation: "updateQueue"}
	}
	return out
}

func want(tb testing.TB, what string, want, got []feed.Change) {
	tb.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAChangeIsHeardOfOnceItIsMade(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		w.change(t, "before")
		early := w.begin(t, "early")
		here, there := w.follow(t, w.Store, w.tenant, ""), w.follow(t, w.server(t), w.tenant, "")
		stranger := w.follow(t, w.Store, w.newTenant(t), "")
		all := w.follow(t, w.Store, tenants.ID{}, "")
		slow, late := w.begin(t, "slow"), w.begin(t, "late")
		w.change(t, "a")
		w.end(t, late)
		for _, f := range []*feed.Follower{here, there} {
			want(t, "what was made", changed("late", "a"), sorted(w.take(t, f)))
		}
		w.end(t, slow)
		w.change(t, "b")
		w.end(t, early)
		for _, f := range []*feed.Follower{here, there} {
			want(t, "what was made then", changed("early", "slow", "b"), sorted(w.take(t, f)))
			want(t, "again", nil, w.take(t, f))
		}
		want(t, "another tenant", nil, w.take(t, stranger))
		want(t, "the installation", nil, w.take(t, all))

		// What was taken back was not made, and of what never ended nobody knows.
		dropped := w.begin(t, "dropped")
		w.begin(t, "lost")
		want(t, "under way", nil, w.take(t, here))
		must(t, w.Audit.Drop(t.Context(), w.log(), dropped.ID))
		w.clock.Advance(15 * time.Second)
		want(t, "what never ended", changed("lost"), w.take(t, here))
		want(t, "again", nil, w.take(t, here))
	})
}

// sorted puts changes into the order in which these tests name them: places of one millisecond stand in that of their ids.
func sorted(list []feed.Change) []feed.Change {
	order := []string{"early", "slow", "late", "a", "b"}
	slices.SortFunc(list, func(x, y feed.Change) int { return slices.Index(order, x.Name) - slices.Index(order, y.Name) })
	return list
}

func TestWhoComesBackMissesNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		first := w.follow(t, w.Store, w.tenant, "")
		w.change(t, "a")
		heard := w.raw(t, first)
		cursor := heard[len(heard)-1].Cursor
		first.Close()
		w.clock.Advance(time.Minute)
		w.change(t, "b")
		w.begin(t, "c")
		others := []feed.Change{{Type: "task"}, {Type: "alarm"}}
		for _, s := range []*feed.Store{w.Store, w.server(t)} { // also on another server
			back := w.follow(t, s, w.tenant, cursor)
			got := w.take(t, back)
			want(t, "since the cursor", append(changed("a", "b", "c"), others...), append(sorted(got[:2]), got[2:]...))
			back.Close()
		}
		for i := range 501 {
			w.change(t, fmt.Sprint("many", i))
			w.clock.Advance(time.Millisecond)
		}
		anything := []feed.Change{}
		for _, kind := range feed.Kinds {
			anything = append(anything, feed.Change{Type: kind})
		}
		back := w.follow(t, w.Store, w.tenant, cursor)
		want(t, "since long ago", anything, w.take(t, back))
		w.change(t, "after")
		want(t, "after that", changed("after"), w.take(t, back))
		for _, wrong := range []string{"x", "12", "17724384000000", "-772438400000"} {
			if _, err := w.Follow(t.Context(), w.tenant, wrong); !errors.Is(err, feed.ErrCursor) {
				t.Errorf("the cursor %s: got %v, want %v", wrong, err, feed.ErrCursor)
			}
		}
	})
}

func TestWhoIsSlowHearsThatAnythingMayHaveChanged(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		slow, quick := w.follow(t, w.Store, w.tenant, ""), w.follow(t, w.Store, w.tenant, "")
		for range 3 {
			for i := range 400 {
				w.change(t, fmt.Sprint(i))
				w.clock.Advance(time.Millisecond)
			}
			if got := w.take(t, quick); len(got) != 400 {
				t.Fatalf("heard of %d changes, want 400", len(got))
			}
		}
		if got := w.take(t, slow); len(got) != len(feed.Kinds) || got[0] != (feed.Change{Type: feed.Kinds[0]}) {
			t.Errorf("who was slow hears of %d changes, the first %+v", len(got), got[0])
		}
	})
}

func TestTasksAndAlarmsChangeByThemselves(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		owner := w.tenant.String()
		task, err := w.Tasks.Start(t.Context(), owner, tasks.NewTask{Type: "purge", Queue: "orders", Total: 5})
		must(t, err)
		set := alarms.Default()
		set.Metric, set.Queue, set.Threshold = alarms.Available, "orders", 1
		_, _, err = w.Alarms.Put(t.Context(), w.tenant, "deep", set, queues.Condition{})
		must(t, err)
		f := w.follow(t, w.Store, w.tenant, "")
		want(t, "nothing yet", nil, w.take(t, f))
		_, err = w.Tasks.Cancel(t.Context(), owner, task.ID)
		must(t, err)
		want(t, "a task", []feed.Change{{Type: "task", Name: task.ID, Queue: "orders", State: "cancelling"}}, w.take(t, f))

		_, _, err = w.queues.Put(t.Context(), w.tenant, "orders", queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		w.clock.Advance(time.Minute)
		must(t, w.Alarms.Evaluate(t.Context()))
		want(t, "an alarm", []feed.Change{{Type: "alarm", Name: "deep", State: "ok"}}, w.take(t, f))
		want(t, "again", nil, w.take(t, f))

		// A task that somebody has asked for since is followed, too.
		e := audit.Entry{ID: w.Audit.NewID(), Operation: "redriveQueue", Target: audit.Target{Type: "queue", Name: "orders"}}
		must(t, w.Audit.Begin(t.Context(), w.log(), e))
		other, err := w.Tasks.Start(t.Context(), owner, tasks.NewTask{Type: "redrive", Queue: "orders", Total: 5})
		must(t, err)
		w.end(t, e)
		want(t, "a new task", []feed.Change{{Type: "queue", Name: "orders", Operation: "redriveQueue"}, {Type: "task"}}, w.take(t, f))
		_, err = w.Tasks.Cancel(t.Context(), owner, other.ID)
		must(t, err)
		want(t, "it changes", []feed.Change{{Type: "task", Name: other.ID, Queue: "orders", State: "cancelling"}}, w.take(t, f))
	})
}
