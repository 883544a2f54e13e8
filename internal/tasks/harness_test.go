package tasks_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
)

// world is a Redis of the test's own, on a clock that the test moves, with any number of servers.
type world struct {
	opt    engine.Options
	clock  *clock.Fake
	client *redis.Client
	pile   *pile
}

// worlds runs a test on real Redis and on the in-memory engine.
func worlds(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOfRedis(t))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func newWorldOfRedis(tb testing.TB) *world {
	tb.Helper()
	return newWorld(tb, engine.Options{URL: redistest.Start(tb, redistest.Options{}).URL()})
}

func newWorld(tb testing.TB, opt engine.Options) *world {
	tb.Helper()
	fake := clock.NewFake(made)
	opt.Clock, opt.TestNow = fake, func() int64 { return fake.Now().UnixMilli() }
	w := &world{opt: opt, clock: fake, pile: newPile()}
	w.client = w.engine(tb).Single()
	for _, name := range []string{"one", "two"} {
		w.state(tb, name, "active")
	}
	return w
}

func (w *world) engine(tb testing.TB) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(w.opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return e
}

func (w *world) state(tb testing.TB, tenant, state string) {
	tb.Helper()
	if err := w.client.HSet(tb.Context(), engine.TenantKey(tenant, "tenant"), "state", state).Err(); err != nil {
		tb.Fatal(err)
	}
}

// server is one of the servers.
type server struct {
	*tasks.Store
	*tasks.Runner
	testing.TB
	world *world
}

// server starts a server that works on the pile. It works when it is told to look.
func (w *world) server(tb testing.TB) *server { return w.serving(tb, w.pile.kinds()) }

func (w *world) serving(tb testing.TB, kinds map[string]tasks.Kind) *server {
	tb.Helper()
	store := tasks.New(w.engine(tb), w.clock)
	return &server{Store: store, Runner: tasks.NewRunner(tasks.Config{Store: store, Kinds: kinds, Clock: w.clock}), TB: tb, world: w}
}

// run lets the server work by itself until the test ends, or the returned function has.
func (s *server) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	s.Cleanup(stop)
	return stop
}

// start begins a task over n items.
func (s *server) start(tenant string, n int, change ...func(*tasks.NewTask)) string {
	s.Helper()
	in := tasks.NewTask{Type: "pile", Queue: "orders", Params: strconv.Itoa(n), Total: int64(n)}
	for _, f := range change {
		f(&in)
	}
	t, err := s.Start(s.Context(), tenant, in)
	if err != nil {
		s.Fatalf("start: %v", err)
	}
	return t.ID
}

func (s *server) get(tenant, id string) tasks.Task {
	s.Helper()
	t, err := s.Get(s.Context(), tenant, id)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

// look has the server look, and work on what it finds.
func (s *server) look() {
	s.Helper()
	s.Look(s.Context())
}

// planned returns how many entries the plan has.
func (w *world) planned(tb testing.TB) int64 {
	tb.Helper()
	n, err := w.client.ZCard(tb.Context(), tasks.PlanKey).Result()
	if err != nil {
		tb.Fatal(err)
	}
	return n
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

// pile is what the tasks of these tests work on: it does numbered items, counts how often each was done, and remembers
// the last step of each task with its result, as a queue does.
type pile struct {
	mu    sync.Mutex
	tasks map[string]*piled
	log   []string                             // tenant of each step, in their order
	fault func(w tasks.Work, step int64) error // before a step takes effect
	bad   func(item int) bool                  // items that fail
	pause time.Duration                        // after each step
}

type piled struct {
	times  map[int]int // item to how often it was done
	step   int64
	result tasks.Result
	ended  int // calls of End
}

func newPile() *pile {
	return &pile{tasks: map[string]*piled{}, fault: func(tasks.Work, int64) error { return nil }, bad: func(int) bool { return false }}
}

func (p *pile) kinds() map[string]tasks.Kind {
	return map[string]tasks.Kind{"pile": {Step: p.stepOf, End: p.endOf}}
}

// of returns what is known of a task. It is called locked.
func (p *pile) of(id string) *piled {
	if p.tasks[id] == nil {
		p.tasks[id] = &piled{times: map[int]int{}}
	}
	return p.tasks[id]
}

var errLateStep = engine.ErrUnknown.Because(errors.New("a later step was done"))

func (p *pile) stepOf(_ context.Context, w tasks.Work) (tasks.Result, error) {
	step, at := w.Step, 0
	if w.State != "" {
		var err error
		if at, err = strconv.Atoi(w.State); err != nil {
			return tasks.Result{}, err
		}
	}
	n, err := strconv.Atoi(w.Params)
	if err != nil {
		return tasks.Result{}, err
	}
	if err := p.fault(w, step); err != nil {
		return tasks.Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, w.Tenant)
	t := p.of(w.Task.ID)
	switch {
	case step == t.step:
		return t.result, nil
	case step < t.step:
		return tasks.Result{}, errLateStep
	}
	res := tasks.Result{Pause: p.pause}
	for ; at < n && res.Done+res.Failed < int64(w.Most); at++ {
		res.Looked++
		if p.bad(at) {
			res.Failed++
			res.Errors = append(res.Errors, tasks.ItemError{Item: "item " + strconv.Itoa(at), Code: "bad_item", Message: "This one cannot be done."})
			continue
		}
		res.Done++
		t.times[at]++
	}
	res.State, res.Finished = strconv.Itoa(at), at == n
	t.step, t.result = step, res
	return res, nil
}

func (p *pile) endOf(_ context.Context, w tasks.Work) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(w.Task.ID).ended++
	return nil
}

// done returns how many items of a task were done, and fails when one was done twice.
func (p *pile) done(tb testing.TB, id string) int64 {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.of(id)
	for item, times := range t.times {
		if times != 1 {
			tb.Errorf("task %s: item %d was done %d times", id, item, times)
		}
	}
	return int64(len(t.times))
}

// check holds a task that has ended against what was really done.
func (s *server) check(tenant, id string, status tasks.Status, looked int64) tasks.Task {
	s.Helper()
	t := s.get(tenant, id)
	p := t.Progress
	if t.Status != status || p.Looked != looked || p.Done+p.Failed != looked || t.FinishedAt.IsZero() || t.StartedAt.IsZero() {
		s.Errorf("task %s: got %+v, want %s after %d items", id, t, status, looked)
	}
	if done := s.world.pile.done(s, id); done != p.Done {
		s.Errorf("task %s says that %d items are done, and %d are", id, p.Done, done)
	}
	s.world.pile.mu.Lock()
	defer s.world.pile.mu.Unlock()
	if s.world.pile.of(id).ended == 0 {
		s.Errorf("task %s has left something behind", id)
	}
	return t
}
