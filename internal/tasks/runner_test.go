package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
)

// resumeLimit is how long after the end of a dead server's lease another one must go on.
const resumeLimit = 5 * time.Second

// dieAt returns a hook that ends a server at the n-th time that something is done.
func dieAt(done string, n int) func(string, string) error {
	var mu sync.Mutex
	dead := false
	return func(what, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if what == done {
			n--
		}
		if dead = dead || n == 0; dead {
			return tasks.ErrDied
		}
		return nil
	}
}

func TestG11_AServerDiesBetweenAnyTwoSteps(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		kills := 0
		for _, done := range []string{"claimed", "planned", "stepped", "saved", "ended", "closed"} {
			for n := 1; n <= 4; n++ {
				if n > 1 && done != "stepped" && done != "saved" || done == "saved" && n == 4 {
					continue // it comes only so often
				}
				a, b := w.server(t), w.server(t)
				id := a.start("one", 350)
				a.SetHook(dieAt(done, n))
				a.look()
				before := a.get("one", id)
				if over := done == "ended" || done == "closed"; over != (before.Status == tasks.Succeeded) {
					t.Fatalf("after it died at %s %d: %+v", done, n, before)
				}
				died := w.clock.Now()
				w.clock.Advance(tasks.LeaseTime - time.Millisecond)
				b.look()
				if diff := cmp.Diff(before, b.get("one", id)); diff != "" {
					t.Errorf("died at %s %d: before the lease ended the task changed (-before +after):\n%s", done, n, diff)
				}
				w.clock.Set(died.Add(tasks.LeaseTime + resumeLimit))
				b.look()
				b.check("one", id, tasks.Succeeded, 350)
				if n := w.planned(t); n != 0 {
					t.Errorf("died at %s: %d entries are left of the plan", done, n)
				}
				kills++
			}
		}
		t.Logf("%d kills", kills)
	})
}

// Servers die all the time, at any point, and somebody cancels.
func TestG11_KillsAndACancelAtRandom(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		points := []string{"claimed", "planned", "stepped", "saved", "given", "ended", "closed"}
		kills, ends := 0, map[tasks.Status]int{}
		for seed := range uint64(60) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s := w.server(t)
			id := s.start("one", 1000)
			w.pile.fault = func(tasks.Work, int64) error { return nil }
			if rng.IntN(4) > 0 {
				var steps atomic.Int64
				after := rng.Int64N(14)
				w.pile.fault = func(tasks.Work, int64) error {
					if steps.Add(1) == after {
						if _, err := s.Cancel(context.Background(), "one", id); err != nil {
							t.Errorf("cancel: %v", err)
						}
					}
					return nil
				}
			}
			for range 40 {
				s = w.server(t)
				s.SetHook(dieAt(points[rng.IntN(len(points))], 1+rng.IntN(4)))
				s.look()
				kills++
				w.clock.Advance(tasks.LeaseTime + resumeLimit)
				if w.planned(t) == 0 {
					break
				}
			}
			got := s.get("one", id)
			ends[got.Status]++
			if got.Status != tasks.Succeeded && got.Status != tasks.Cancelled || got.Status == tasks.Succeeded && got.Progress.Done != 1000 {
				t.Errorf("seed %d: the task ended with %+v", seed, got)
			}
			s.check("one", id, got.Status, got.Progress.Looked)
		}
		t.Logf("%d servers, ends: %v", kills, ends)
		if ends[tasks.Cancelled] == 0 || ends[tasks.Succeeded] == 0 {
			t.Errorf("not both ends were seen: %v", ends)
		}
	})
}

// A server is paused for longer than its lease, wherever, and goes on as if nothing had happened.
func TestG11_APausedServerWakesLate(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		for _, at := range []string{"claimed", "stepped", "saved"} {
			a, b := w.server(t), w.server(t)
			id := a.start("one", 350)
			paused, wake := make(chan struct{}), make(chan struct{})
			var once sync.Once
			a.SetHook(func(done, _ string) error {
				if done == at {
					once.Do(func() {
						close(paused)
						<-wake
					})
				}
				return nil
			})
			over := make(chan struct{})
			go func() {
				defer close(over)
				a.look()
			}()
			<-paused
			w.clock.Advance(tasks.LeaseTime + time.Second)
			b.look()
			want := b.check("one", id, tasks.Succeeded, 350)
			close(wake)
			<-over
			if diff := cmp.Diff(want, b.check("one", id, tasks.Succeeded, 350)); diff != "" {
				t.Errorf("paused at %s: the server that woke late changed the task (-before +after):\n%s", at, diff)
			}
			w.clock.Advance(tasks.LeaseTime)
			b.look()
			if n := w.planned(t); n != 0 {
				t.Errorf("paused at %s: %d entries are left of the plan", at, n)
			}
		}
	})
}

func TestALeaseHasAFence(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := w.server(t), w.server(t)
		id := a.start("one", 10)
		first := a.Claim(t, "pile", "one", id)
		if b.Claim(t, "pile", "one", id) != nil {
			t.Fatal("two servers have the task")
		}
		if b.Claim(t, "pile", "two", id) != nil {
			t.Fatal("another tenant has the task")
		}
		// A renewed lease holds; one whose answer was lost is got again.
		w.clock.Advance(tasks.LeaseTime - time.Second)
		if err := first.Keep(ctx); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(tasks.LeaseTime - time.Second)
		if b.Claim(t, "pile", "one", id) != nil {
			t.Fatal("a renewed lease was taken away")
		}
		again := a.Claim(t, "pile", "one", id)
		if again == nil || again.Fence() <= first.Fence() {
			t.Fatalf("got %+v after fence %d, want a larger one", again, first.Fence())
		}
		if err := again.Save(ctx, 3, false, false); err != nil {
			t.Fatal(err)
		}
		if err := again.Save(ctx, 3, false, true); err != nil {
			t.Errorf("the same save once more: %v", err)
		}
		w.clock.Advance(tasks.LeaseTime)
		second := b.Claim(t, "pile", "one", id)
		if second == nil || second.Fence() <= again.Fence() {
			t.Fatalf("after the lease has ended: got %+v", second)
		}
		want := b.get("one", id)
		for what, err := range map[string]error{
			"renewal of the first": first.Keep(ctx), "renewal": again.Keep(ctx), "save of the first": first.Save(ctx, 1, false, false),
			"save": again.Save(ctx, 1, false, false), "end": again.Save(ctx, 1, true, false), "return": again.Give(ctx, 0),
		} {
			if !errors.Is(err, tasks.ErrLost) {
				t.Errorf("late %s: got %v, want %v", what, err, tasks.ErrLost)
			}
		}
		if diff := cmp.Diff(want, b.get("one", id)); diff != "" {
			t.Errorf("what came late changed the task (-before +after):\n%s", diff)
		}
		if err := second.Save(ctx, 4, true, false); err != nil {
			t.Fatal(err)
		}
		if err := second.Save(ctx, 0, true, true); err != nil {
			t.Errorf("the same end once more: %v", err)
		}
		if got := b.get("one", id); got.Progress.Done != 7 || got.Status != tasks.Succeeded {
			t.Errorf("in the end: %+v, want 7 done", got)
		}
		// A task that was given back can be claimed at once, or after its pause.
		id = a.start("one", 10)
		if err := a.Claim(t, "pile", "one", id).Give(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute - time.Second)
		if b.Claim(t, "pile", "one", id) != nil {
			t.Error("a task was claimed in its pause")
		}
		w.clock.Advance(time.Second)
		if b.Claim(t, "pile", "one", id) == nil {
			t.Error("a task cannot be claimed after its pause")
		}
	})
}

// Two servers share the tasks of two tenants. Nothing moves the clock: a new task begins at once.
func TestG11_TwoServersShareTheWork(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		servers := []*server{w.server(t), w.server(t)}
		for _, s := range servers {
			s.run()
		}
		type begun struct{ tenant, id string }
		var list []begun
		for i := range 30 {
			tenant := []string{"one", "two"}[i%2]
			list = append(list, begun{tenant, servers[i%3%2].start(tenant, 100+i*37)})
		}
		until(t, "all tasks have ended", func() bool {
			return w.planned(t) == 0 && servers[0].Counts()["pile"].Running+servers[1].Counts()["pile"].Running == 0
		})
		for i, b := range list {
			servers[i%2].check(b.tenant, b.id, tasks.Succeeded, int64(100+i*37))
			if _, err := servers[0].Get(t.Context(), map[string]string{"one": "two", "two": "one"}[b.tenant], b.id); !errors.Is(err, tasks.ErrNotFound) {
				t.Errorf("the other tenant sees task %s: %v", b.id, err)
			}
		}
		for _, s := range servers {
			if c := s.Counts()["pile"]; c.Failures != 0 {
				t.Errorf("counts in the end: %+v", c)
			}
		}
		if a, b := servers[0].Counts()["pile"].Steps, servers[1].Counts()["pile"].Steps; a == 0 || a+b < 30 {
			t.Errorf("steps: %d and %d", a, b)
		}
	})
}

func TestAServerThatStopsGivesItsTasksBack(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		a, b := w.server(t), w.server(t)
		begun, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		w.pile.fault = func(_ tasks.Work, step int64) error {
			if step == 2 {
				once.Do(func() {
					close(begun)
					<-goOn
				})
			}
			return nil
		}
		stop := a.run()
		id := a.start("one", 1000)
		<-begun
		a.Drain()
		close(goOn)
		stop()
		if got := a.get("one", id); got.Status != tasks.Running || got.Progress.Done != 200 {
			t.Errorf("after the stop: %+v, want two steps", got)
		}
		b.look() // at the same instant
		b.check("one", id, tasks.Succeeded, 1000)
	})
}

func TestTenantsTakeTurns(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		s := w.server(t)
		for range 60 {
			s.start("one", 3000)
		}
		id := s.start("two", 3000)
		s.look()
		last := 0
		for i, tenant := range w.pile.log {
			if tenant == "two" {
				last = i
			}
		}
		s.check("two", id, tasks.Succeeded, 3000)
		// The other tenant has 1,800 steps to make. All eight workers make ten steps at a time.
		if limit := 30 * tasks.MaxWorking * 2; last > limit {
			t.Errorf("the 30 steps of the tenant with one task took until step %d of %d, want %d at most", last, len(w.pile.log), limit)
		}
		for w.planned(t) > 0 {
			s.look()
		}
	})
}

// What becomes of a task whose steps fail.
func TestStepsFail(t *testing.T) {
	lasting := &errs.Error{Kind: errs.NotFound, Code: "queue_not_found", Message: "There is no such queue."}
	for _, c := range []struct {
		name     string
		fault    error
		times    int // that the second step fails; -1: always
		status   tasks.Status
		code     string
		failures int64
		atLeast  time.Duration // that it takes
	}{
		{"once", errors.New("odd"), 1, tasks.Succeeded, "", 1, time.Second},
		{"some times", errors.New("odd"), 5, tasks.Succeeded, "", 5, 31 * time.Second},
		{"always", errors.New("secret detail"), -1, tasks.Failed, "internal", tasks.MaxTries, 100 * time.Second},
		{"for a reason that lasts", lasting, -1, tasks.Failed, "queue_not_found", 1, 0},
		{"without Redis", engine.ErrUnavailable, 40, tasks.Succeeded, "", 0, 40 * time.Second},
		{"unknown", engine.ErrUnknown, 40, tasks.Succeeded, "", 0, 40 * time.Second},
		{"full", engine.ErrFull, 40, tasks.Succeeded, "", 0, 200 * time.Second},
		{"too fast", &errs.Error{Kind: errs.RateLimited, Code: "rate_limited", RetryAfter: 7 * time.Second}, 10, tasks.Succeeded, "", 0, 70 * time.Second},
		{"lost data", &errs.Error{Kind: errs.Unavailable, Code: "data_lost"}, -1, tasks.Failed, "internal", tasks.MaxTries, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w *world) {
				s := w.server(t)
				left := c.times
				w.pile.fault = func(_ tasks.Work, step int64) error {
					if step == 2 && left != 0 {
						left--
						return c.fault
					}
					return nil
				}
				id := s.start("one", 250)
				for s.look(); w.planned(t) > 0; s.look() {
					w.clock.Advance(time.Second)
					if w.clock.Now().Sub(made) > time.Hour {
						t.Fatal("the task does not end")
					}
				}
				took, want := w.clock.Now().Sub(made), int64(250)
				if c.status == tasks.Failed {
					want = 100
				}
				got := s.check("one", id, c.status, want)
				if c.code == "" != (got.Error == nil) || got.Error != nil && got.Error.Code != c.code {
					t.Errorf("got error %+v, want %q", got.Error, c.code)
				}
				if got.Error != nil && strings.Contains(got.Error.Message, "secret") {
					t.Errorf("a cause is shown: %+v", got.Error)
				}
				if n := s.Counts()["pile"].Failures; n != c.failures || took < c.atLeast || took > 2*c.atLeast+20*time.Second && c.atLeast > 0 {
					t.Errorf("%d failures in %s, want %d in at least %s", n, took, c.failures, c.atLeast)
				}
			})
		})
	}
}

// A task has ended as it has, whatever becomes of what is tidied up after it.
func TestAnEndThatFails(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		var ends atomic.Int64
		left := map[string]func() error{
			"one": func() error { panic("a bug") },
			"two": func() error {
				if ends.Add(1) < 3 {
					return engine.ErrUnavailable
				}
				return errors.New("odd")
			},
		}
		s := w.serving(t, map[string]tasks.Kind{"pile": {Step: w.pile.stepOf, End: func(_ context.Context, work tasks.Work) error { return left[work.Tenant]() }}})
		ids := map[string]string{"one": s.start("one", 10), "two": s.start("two", 10)}
		s.look()
		for tenant, id := range ids {
			if got := s.get(tenant, id); got.Status != tasks.Succeeded {
				t.Errorf("got %+v, want succeeded", got)
			}
		}
		for s.look(); w.planned(t) > 0; s.look() {
			w.clock.Advance(time.Second)
		}
		if n := ends.Load(); n != 3 {
			t.Errorf("the end was tried %d times while Redis was away and once more, want 3", n)
		}
	})
}

func TestAStepThatPanicsFails(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		s := w.server(t)
		w.pile.fault = func(work tasks.Work, _ int64) error {
			if work.Tenant == "one" {
				panic("a bug")
			}
			return nil
		}
		bad, good := s.start("one", 10), s.start("two", 10)
		for s.look(); w.planned(t) > 0; s.look() {
			w.clock.Advance(time.Minute)
		}
		s.check("one", bad, tasks.Failed, 0)
		s.check("two", good, tasks.Succeeded, 10)
	})
}

func TestLimitAndErrors(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		s := w.server(t)
		w.pile.bad = func(item int) bool { return item%2 == 1 }
		id := s.start("one", 5000, func(n *tasks.NewTask) { n.Limit = 130 })
		s.look()
		got := s.check("one", id, tasks.Succeeded, 259) // of which each second one fails
		if got.Progress.Done != 130 || got.Progress.Total != 259 {
			t.Errorf("with a limit of 130: %+v", got.Progress)
		}

		id = s.start("one", 2444)
		s.look()
		if got = s.check("one", id, tasks.Succeeded, 2444); got.Progress.Failed != 1222 {
			t.Errorf("got %+v, want 1,222 failed", got.Progress)
		}
		var items []string
		pages := 0
		for more := true; more; pages++ {
			list, next, err := s.Errors(t.Context(), "one", id, len(items), 300)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				if e.Code != "bad_item" || !e.At.Equal(made) || e.Message == "" {
					t.Errorf("got %+v", e)
				}
				items = append(items, e.Item)
			}
			more = next
		}
		if len(items) != tasks.MaxErrors || pages != 4 {
			t.Fatalf("%d errors in %d pages, want %d in 4", len(items), pages, tasks.MaxErrors)
		}
		for i, item := range items {
			if want := fmt.Sprint("item ", 2*i+1); item != want {
				t.Fatalf("error %d is of %s, want %s", i, item, want)
			}
		}
		if list, more, err := s.Errors(t.Context(), "one", id, 2000, 10); len(list) != 0 || more || err != nil {
			t.Errorf("behind the end: %v, %v, %v", list, more, err)
		}
		for _, c := range [][2]string{{"two", id}, {"one", "task_"}, {"one", "task_00000000000000000000"}} {
			if _, _, err := s.Errors(t.Context(), c[0], c[1], 0, 10); !errors.Is(err, tasks.ErrNotFound) {
				t.Errorf("errors of %v: got %v, want %v", c, err, tasks.ErrNotFound)
			}
		}
	})
}

// A task with a rate makes small steps and waits in between, also from one server to the next.
func TestARateIsKept(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		for rate, n := range map[int]int{1: 12, 3: 31, 50: 300, 5000: 8000} {
			s := w.server(t)
			stop := s.run()
			begin := w.clock.Now()
			id := s.start("one", n, func(n *tasks.NewTask) { n.MaxRate = rate })
			until(t, "the task has ended", func() bool {
				w.clock.Advance(50 * time.Millisecond)
				took := w.clock.Now().Sub(begin)
				// Before each step it has waited for the ones before; at most one step is ahead.
				if done, most := w.pile.done(t, id), int64(took.Seconds()*float64(rate))+int64(min(max(rate/5, 1), tasks.MaxItems)); done > most {
					t.Errorf("rate %d: %d items were done after %s, want %d at most", rate, done, took, most)
				}
				return w.planned(t) == 0
			})
			if got := s.check("one", id, tasks.Succeeded, int64(n)); got.Progress.Rate() > float64(rate)*1.01 {
				t.Errorf("rate %d: it says %.1f", rate, got.Progress.Rate())
			}
			stop()
		}
	})
}

// A step says when the next one may begin, and that holds whichever server makes it.
func TestAPauseIsKept(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		w.pile.pause = time.Minute
		a, b, mortal := w.server(t), w.server(t), w.server(t)
		mortal.SetHook(dieAt("given", 1))
		id := a.start("one", 350)
		for i, s := range []*server{a, mortal, b} {
			s.look()
			for _, s := range []*server{a, b} {
				w.clock.Advance(time.Minute/2 - time.Millisecond)
				s.look()
			}
			if got := s.get("one", id); got.Status != tasks.Running || got.Progress.Done != int64(100*(i+1)) {
				t.Fatalf("in pause %d: %+v", i+1, got)
			}
			w.clock.Advance(2 * time.Millisecond)
		}
		b.look()
		got := b.check("one", id, tasks.Succeeded, 350)
		if worked := got.Progress.Worked; worked < 3*time.Minute || worked > 4*time.Minute {
			t.Errorf("it was worked on for %s, want that the pauses count", worked)
		}
		// In a pause it can be cancelled.
		id = a.start("one", 350)
		a.look()
		if _, err := b.Cancel(t.Context(), "one", id); err != nil {
			t.Fatal(err)
		}
		b.look()
		b.check("one", id, tasks.Cancelled, 100)
	})
}

func TestAStepThatReturnsTooMuchFails(t *testing.T) {
	t.Parallel()
	for name, res := range map[string]tasks.Result{
		"items":  {Done: 60, Failed: 41},
		"errors": {Errors: make([]tasks.ItemError, tasks.MaxItems+1)},
		"state":  {State: strings.Repeat("x", tasks.MaxText+1)},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w *world) {
				s := w.serving(t, map[string]tasks.Kind{"pile": {Step: func(_ context.Context, work tasks.Work) (tasks.Result, error) {
					if work.Step == 1 {
						return tasks.Result{Looked: 100, Done: 50, Failed: 50, Errors: make([]tasks.ItemError, tasks.MaxItems), State: strings.Repeat("x", tasks.MaxText)}, nil
					}
					return res, nil
				}}})
				id := s.start("one", 200)
				for s.look(); w.planned(t) > 0; s.look() {
					w.clock.Advance(time.Minute)
				}
				if got := s.get("one", id); got.Status != tasks.Failed || got.Progress.Looked != 100 || got.Error.Code != "internal" {
					t.Errorf("got %+v, want only the first step", got)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := w.server(t)
		cancel := func(id string) tasks.Task {
			t.Helper()
			got, err := s.Cancel(context.Background(), "one", id)
			if err != nil || got.Status != tasks.Cancelling {
				t.Fatalf("cancel: got %+v, %v", got, err)
			}
			return got
		}
		// One that nobody has begun, twice.
		id := s.start("one", 500)
		cancel(id)
		cancel(id)
		if got := s.get("one", id); got.Status != tasks.Cancelling {
			t.Errorf("got %+v, want cancelling", got)
		}
		if list, _, err := s.List(ctx, "one", tasks.Filter{Status: tasks.Cancelling}, 10, ""); err != nil || len(list) != 1 {
			t.Errorf("list of those that are cancelling: %v, %v", list, err)
		}
		s.look()
		s.check("one", id, tasks.Cancelled, 0)
		// One that is under way.
		id = s.start("one", 500)
		w.pile.fault = func(_ tasks.Work, step int64) error {
			if step == 3 {
				cancel(id)
			}
			return nil
		}
		s.look()
		s.check("one", id, tasks.Cancelled, 300)
		// One that pauses after a failure.
		fail := true
		w.pile.fault = func(_ tasks.Work, step int64) error {
			if step == 2 && fail {
				return errors.New("odd")
			}
			return nil
		}
		id = s.start("one", 500)
		for range 5 {
			s.look()
			w.clock.Advance(16 * time.Second)
		}
		s.look()
		fail = false
		cancel(id)
		s.look() // at the same instant
		s.check("one", id, tasks.Cancelled, 100)
		// One whose step fails until the end.
		fail = true
		id = s.start("one", 500)
		s.look()
		cancel(id)
		for s.look(); w.planned(t) > 0; s.look() {
			w.clock.Advance(time.Second)
		}
		s.check("one", id, tasks.Cancelled, 100)
		// Refusals.
		if _, err := s.Cancel(ctx, "one", id); !errors.Is(err, tasks.ErrFinished) {
			t.Errorf("cancel of a task that has ended: got %v, want %v", err, tasks.ErrFinished)
		}
		other := s.start("two", 10)
		for _, id := range []string{other, "task_", "x", "task_00000000000000000000"} {
			if _, err := s.Cancel(ctx, "one", id); !errors.Is(err, tasks.ErrNotFound) {
				t.Errorf("cancel of %s: got %v, want %v", id, err, tasks.ErrNotFound)
			}
		}
		s.look()
		s.check("two", other, tasks.Succeeded, 10)
	})
}

// A worker that waits for its rate, and one on another server, notice that somebody cancels.
func TestAWorkerNoticesACancel(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		a, b := w.server(t), w.server(t)
		a.run()
		for _, by := range []*server{a, b} {
			id := a.start("one", 500, func(n *tasks.NewTask) { n.MaxRate = 1 })
			until(t, "the first step is saved", func() bool { return a.get("one", id).Progress.Done == 1 })
			if _, err := by.Cancel(t.Context(), "one", id); err != nil {
				t.Fatal(err)
			}
			until(t, "the task has ended", func() bool {
				if by == b {
					a.Beat(t.Context())
				}
				return a.get("one", id).Status == tasks.Cancelled
			})
			until(t, "its end is complete", func() bool { return w.planned(t) == 0 })
			a.check("one", id, tasks.Cancelled, 1)
		}
	})
}

func TestQuotaAndTasksThatAreAlone(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := w.server(t)
		alone := func(n *tasks.NewTask) { n.Alone = true }
		first := s.start("one", 10, alone)
		_, err := s.Start(ctx, "one", tasks.NewTask{Type: "pile", Queue: "orders", Params: "1", Alone: true})
		if e, ok := errors.AsType[*errs.Error](err); !errors.Is(err, tasks.ErrAlreadyRunning) || !ok || !strings.Contains(e.Fix, first) {
			t.Errorf("a second one: got %v, want %v with the first one's id", err, tasks.ErrAlreadyRunning)
		}
		s.start("two", 10, alone)
		s.start("one", 10, alone, func(n *tasks.NewTask) { n.Queue = "other" })
		s.start("one", 10)
		for range tasks.MaxUnfinished - 3 {
			s.start("one", 10)
		}
		_, err = s.Start(ctx, "one", tasks.NewTask{Type: "pile", Params: "1"})
		e, ok := errors.AsType[*errs.Error](err)
		if !errors.Is(err, tasks.ErrQuota) || !ok {
			t.Fatalf("one too many: got %v, want %v", err, tasks.ErrQuota)
		}
		if diff := cmp.Diff(&errs.Usage{Quota: "unfinished_tasks", Limit: 100, Used: 100}, e.Usage); diff != "" {
			t.Errorf("usage (-want +got):\n%s", diff)
		}
		s.start("two", 10)
		if n := w.planned(t); n != tasks.MaxUnfinished+2 {
			t.Errorf("the plan has %d entries, want %d: those of refused tasks are gone", n, tasks.MaxUnfinished+2)
		}
		for w.planned(t) > 0 {
			s.look()
		}
		s.start("one", 10, alone)
	})
}

func TestThoseThatHaveEndedAreForgottenFirst(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := w.server(t)
		w.pile.bad = func(int) bool { return true }
		ended := s.start("one", 150)
		s.look()
		var open []string
		for range 10 {
			open = append(open, s.start("one", 1))
		}
		for range tasks.MaxTasks - 11 {
			if _, err := s.Add(ctx, "one", tasks.Task{Type: "purge", Status: tasks.Succeeded, CreatedAt: made}); err != nil {
				t.Fatal(err)
			}
		}
		s.check("one", ended, tasks.Succeeded, 150)
		s.start("one", 1)
		if _, err := s.Get(ctx, "one", ended); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("the oldest that has ended: got %v, want %v", err, tasks.ErrNotFound)
		}
		for _, id := range open {
			if got := s.get("one", id); got.Status != tasks.Running {
				t.Errorf("an unfinished task: %+v", got)
			}
		}
		if n, err := w.client.HLen(ctx, engine.TenantKey("one", "task-errors")).Result(); n != 0 || err != nil {
			t.Errorf("%d errors of the forgotten task are left, %v", n, err)
		}
		list, _, err := s.List(ctx, "one", tasks.Filter{}, 2*tasks.MaxTasks, "")
		if len(list) != tasks.MaxTasks || err != nil {
			t.Errorf("%d tasks are kept, %v; want %d", len(list), err, tasks.MaxTasks)
		}
		list, _, err = s.List(ctx, "one", tasks.Filter{Type: "pile", Status: tasks.Running, Queue: "orders"}, 100, "")
		if len(list) != 11 || err != nil {
			t.Errorf("%d tasks of the type run, %v; want 11", len(list), err)
		}
		if list, _, err = s.List(ctx, "one", tasks.Filter{Queue: "none"}, 100, ""); len(list) != 0 || err != nil {
			t.Errorf("tasks on a queue that has none: %v, %v", list, err)
		}
	})
}

// A server dies while it starts a task: before it is stored, and after.
func TestG11_AStartIsCutShort(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := w.server(t), w.server(t)
		die := func(at string) {
			a.SetStep(func(done string) error {
				if done == at {
					return tasks.ErrDied
				}
				return nil
			})
			if _, err := a.Start(ctx, "one", tasks.NewTask{Type: "pile", Params: "10"}); !errors.Is(err, tasks.ErrDied) {
				t.Fatal(err)
			}
		}
		die("planned")
		b.look()
		if n := w.planned(t); n != 1 {
			t.Fatalf("the plan has %d entries, want that of the task that may still come", n)
		}
		w.clock.Advance(tasks.StartGrace)
		b.look()
		if n := w.planned(t); n != 0 {
			t.Errorf("the plan has %d entries, want none", n)
		}
		die("stored")
		w.clock.Advance(tasks.StartGrace)
		b.look()
		list, _, err := b.List(ctx, "one", tasks.Filter{}, 10, "")
		if err != nil || len(list) != 1 {
			t.Fatalf("got %v, %v; want the task that was stored", list, err)
		}
		b.check("one", list[0].ID, tasks.Succeeded, 10)

		// One that is so slow that its entry may be gone stores nothing.
		a.SetStep(func(done string) error {
			if done == "planned" {
				w.clock.Advance(tasks.StartLimit + time.Millisecond)
			}
			return nil
		})
		if _, err := a.Start(ctx, "one", tasks.NewTask{Type: "pile", Params: "10"}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("a start that took too long: got %v, want %v", err, engine.ErrUnavailable)
		}
		if n := w.planned(t); n != 0 {
			t.Errorf("the plan has %d entries, want none", n)
		}
	})
}

func TestATenantIsDeletedUnderItsTasks(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := w.server(t)
		id := s.start("one", 1000)
		w.pile.fault = func(work tasks.Work, step int64) error {
			if work.Tenant == "one" && step == 3 {
				w.state(t, "one", "deleting")
				if err := s.Forget(context.Background(), "one"); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		s.look()
		if done := w.pile.done(t, id); done != 300 {
			t.Errorf("%d items were done, want those of the step under way and no more", done)
		}
		if _, err := s.Start(ctx, "one", tasks.NewTask{Type: "pile", Params: "1"}); !errors.Is(err, tasks.ErrTenantGone) {
			t.Errorf("start: got %v, want %v", err, tasks.ErrTenantGone)
		}
		w.clock.Advance(tasks.LeaseTime)
		s.look()
		keys, err := w.client.Keys(ctx, engine.TenantKey("one", "task")+"*").Result()
		if err != nil || len(keys) != 0 || w.planned(t) != 0 {
			t.Errorf("left: %q and %d entries of the plan, %v", keys, w.planned(t), err)
		}
		id = s.start("two", 10)
		s.look()
		s.check("two", id, tasks.Succeeded, 10)
	})
}

// A server leaves tasks of types that it does not know to others, as during an upgrade.
func TestTypesThatAServerDoesNotKnow(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		old, s := w.serving(t, map[string]tasks.Kind{"other": {}}), w.server(t)
		id := s.start("one", 10)
		old.look()
		if got := old.get("one", id); !got.StartedAt.IsZero() {
			t.Errorf("got %+v, want it untouched", got)
		}
		s.look()
		s.check("one", id, tasks.Succeeded, 10)
		for _, kind := range []string{"", "Pile", "a b", "a:b"} {
			if _, err := s.Start(t.Context(), "one", tasks.NewTask{Type: kind}); !errors.Is(err, engine.ErrBroken) {
				t.Errorf("a task of type %q: got %v, want %v", kind, err, engine.ErrBroken)
			}
		}
	})
}

func TestALookCostsOneCall(t *testing.T) {
	t.Parallel()
	w := newWorldOfRedis(t)
	s := w.server(t)
	s.look() // loads the script
	calls := func() int64 {
		t.Helper()
		text, err := w.client.Info(t.Context(), "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		_, rest, _ := strings.Cut(text, "total_commands_processed:")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := calls()
	for range 50 {
		s.look()
	}
	// The commands of the script count too: the time, and the look itself. The last one is that of this count.
	if n := calls() - before; n > 50*2+1 {
		t.Errorf("50 looks cost %d commands", n)
	}
}

// A server looks each second by itself, and not while it is not ready.
func TestAServerLooksByItself(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		var ready atomic.Bool
		store := tasks.New(w.engine(t), w.clock)
		idle := &server{Store: store, TB: t, world: w, Runner: tasks.NewRunner(tasks.Config{Store: store, Kinds: w.pile.kinds(), Clock: w.clock, Ready: ready.Load})}
		idle.run()
		other := w.server(t)
		id := other.start("one", 100)
		for range 50 {
			w.clock.Advance(tasks.PollEvery)
		}
		if got := other.get("one", id); !got.StartedAt.IsZero() {
			t.Errorf("got %+v, want it untouched", got)
		}
		ready.Store(true)
		until(t, "the task has ended", func() bool {
			w.clock.Advance(tasks.PollEvery)
			return w.planned(t) == 0
		})
		other.check("one", id, tasks.Succeeded, 100)
	})
}

// The record of an unfinished task is gone, as when a server of an older version has forgotten it.
func TestATaskWithoutItsRecordIsCleanedUp(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		s := w.server(t)
		id := s.start("one", 10)
		if err := w.client.HDel(t.Context(), engine.TenantKey("one", "tasks"), id).Err(); err != nil {
			t.Fatal(err)
		}
		s.look()
		n, err := w.client.Exists(t.Context(), engine.TenantKey("one", "task-runs"), tasks.PlanKey).Result()
		if n != 0 || err != nil {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}
