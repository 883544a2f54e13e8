package tasks

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
)

const (
	// LeaseTime is how long a server has a task after it last said so. When it dies, another one goes on at most
	// pollEvery later.
	LeaseTime = 10 * time.Second
	// beatEvery is how often a server renews its leases.
	beatEvery = 3 * time.Second
	// pollEvery is how often a server looks for tasks. It costs one call.
	pollEvery = time.Second
	// maxWorking bounds the tasks that a server works on at the same time. Their steps mostly wait for Redis, and must
	// leave room for the requests.
	maxWorking = 8
)

// Config is what a Runner needs.
type Config struct {
	Store *Store
	Kinds map[string]Kind // by type
	// Ready, when set, keeps the server from looking for tasks while it answers false.
	Ready  func() bool
	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
}

// Runner works on tasks of all tenants. Tenants take turns: who has fewer tasks under way on this server comes first.
type Runner struct {
	store  *Store
	kinds  map[string]Kind
	types  []string
	ready  func() bool
	clock  clock.Clock
	logger *slog.Logger
	wake   chan struct{}
	hook   func(done string, l *lease) error // between the steps of the work; for tests

	mu       sync.Mutex
	stopping bool
	stop     chan struct{} // closed when no new step begins any more
	waiting  []entry       // tasks that were due at the last look and that nobody here works on
	working  map[entry]*worker
	turns    map[string]int64 // tenant to when it last had its turn
	turn     int64
	counts   map[string]*Counts
	workers  sync.WaitGroup
}

// Counts are what a server did for tasks of one type since its start.
type Counts struct {
	Running  int64 // it works on now
	Steps    int64
	Failures int64 // steps that failed, also those that were tried again
}

// NewRunner returns the runner of a server, which its store tells of new tasks. Call Run.
func NewRunner(c Config) *Runner {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func() bool { return true }
	}
	r := &Runner{store: c.Store, kinds: c.Kinds, types: slices.Sorted(maps.Keys(c.Kinds)), ready: c.Ready, clock: c.Clock, logger: c.Logger,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), hook: func(string, *lease) error { return nil },
		working: map[entry]*worker{}, turns: map[string]int64{}, counts: map[string]*Counts{}}
	for _, t := range r.types {
		r.counts[t] = &Counts{}
	}
	c.Store.runner.Store(r)
	return r
}

// Run works on tasks until ctx ends, and returns when the last step is over and what was begun is given back.
func (r *Runner) Run(ctx context.Context) error {
	defer r.workers.Wait()
	defer r.Drain()
	var beats sync.WaitGroup
	defer beats.Wait()
	beats.Go(func() { r.beat(ctx) })
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-r.stop:
			<-ctx.Done() // leases are renewed until the workers have given them back
			return nil
		case <-r.wake:
		case <-r.after(pollEvery):
		}
	}
}

// Drain ends the work after the steps that are under way: each task is given back, for another server to go on at once.
func (r *Runner) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopping {
		r.stopping = true
		close(r.stop)
	}
}

// Counts returns what this server did, by type.
func (r *Runner) Counts() map[string]Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]Counts{}
	for t, c := range r.counts {
		all[t] = *c
	}
	return all
}

func (r *Runner) count(kind string, change func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.counts[kind])
}

// after returns a channel that is closed once d has passed.
func (r *Runner) after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	r.clock.AfterFunc(d, func() { close(over) })
	return over
}

// nudge has the runner look for tasks now.
func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// cancelled tells the worker on a task that its end was asked for, or has the runner look for it.
func (r *Runner) cancelled(e entry) {
	r.mu.Lock()
	w := r.working[e]
	r.mu.Unlock()
	if w != nil {
		w.cancel()
	} else {
		r.nudge()
	}
}

// look finds out which tasks are due and begins with those for which there is room.
func (r *Runner) look(ctx context.Context) {
	if !r.ready() {
		return
	}
	due, err := r.store.due(ctx, r.types)
	if err != nil {
		return // the engine has logged it, and the next look comes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = r.waiting[:0]
	for _, e := range due {
		if r.working[e] == nil {
			r.waiting = append(r.waiting, e)
		}
	}
	r.fill(ctx)
}

// fill begins with tasks that wait, while there is room. It is called locked.
func (r *Runner) fill(ctx context.Context) {
	for len(r.working) < maxWorking && len(r.waiting) > 0 && !r.stopping && ctx.Err() == nil {
		e := r.next()
		w := newWorker(r, e)
		r.working[e] = w
		r.workers.Go(func() {
			more := w.run(ctx)
			r.mu.Lock()
			delete(r.working, e)
			if w.turned {
				r.waiting = append(r.waiting, e)
			}
			r.fill(ctx)
			more = more && len(r.waiting) == 0
			r.mu.Unlock()
			if more {
				r.nudge()
			}
		})
	}
}

// next takes the task whose turn it is: of the tenant with the fewest tasks under way here, among those of the one that
// has waited longest for its turn, and of its tasks the one that has. It is called locked.
func (r *Runner) next() entry {
	busy := map[string]int{}
	for e := range r.working {
		busy[e.tenant]++
	}
	best := 0
	for i, e := range r.waiting[1:] {
		a, b := e.tenant, r.waiting[best].tenant
		if busy[a] < busy[b] || busy[a] == busy[b] && r.turns[a] < r.turns[b] {
			best = i + 1
		}
	}
	e := r.waiting[best]
	r.waiting = slices.Delete(r.waiting, best, best+1)
	if len(r.waiting) == 0 {
		clear(r.turns) // nobody waits, so nobody is owed a turn
	}
	r.turn++
	r.turns[e.tenant] = r.turn
	return e
}

// crowded reports whether tasks wait that there is no room for.
func (r *Runner) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) > 0
}

// beat renews the leases of this server until ctx ends.
func (r *Runner) beat(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.after(beatEvery):
		}
		r.renew(ctx)
	}
}

// renew renews the leases of this server.
func (r *Runner) renew(ctx context.Context) {
	var held []entry
	var workers []*worker
	r.mu.Lock()
	for e, w := range r.working {
		if w.fence.Load() != 0 {
			held, workers = append(held, e), append(workers, w)
		}
	}
	r.mu.Unlock()
	if len(held) == 0 {
		return
	}
	// The plan first: when the server dies in between, the task is looked at when its lease ends, not later.
	r.store.replan(ctx, LeaseTime, held...)
	for _, w := range workers {
		w.keep(ctx)
	}
}
