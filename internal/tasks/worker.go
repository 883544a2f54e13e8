package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// stepTime bounds one step. It is far longer than a hundred items take.
	stepTime = 30 * time.Second
	// turnSteps is after how many steps a task makes room for one that waits.
	turnSteps = 10
	// maxTries is after how many failures in a row a task fails; with the pauses between them that takes two minutes.
	maxTries = 8
	// firstPause and longestPause bound the pause after a failure, which doubles each time.
	firstPause   = time.Second
	longestPause = time.Minute
	// roomPause is the pause while Redis is out of memory, and outagePause while it is not there.
	roomPause   = 5 * time.Second
	outagePause = time.Second
	// closePause is when the end of a task is looked at again that could not be completed.
	closePause = 5 * time.Second
	// longestWait is how long a server keeps a task that pauses. In a longer pause others have their turn.
	longestWait = time.Second
	// ratesPerSecond is how many steps a second a task with a rate makes, if its rate is higher than that.
	ratesPerSecond = 5
)

// errDied is how tests end a server.
var errDied = errors.New("the server died")

// worker works on one task for a while.
type worker struct {
	entry
	runner *Runner
	kind   Kind
	fence  atomic.Int64 // of the lease; 0: none yet, or no more
	asked  chan struct{}
	lost   atomic.Bool
	turned bool // it gave the task back for others to have their turn
}

func newWorker(r *Runner, e entry) *worker {
	return &worker{entry: e, runner: r, kind: r.kinds[e.taskType], asked: make(chan struct{}, 1)}
}

// cancel tells the worker that the end of the task was asked for.
func (w *worker) cancel() {
	select {
	case w.asked <- struct{}{}:
	default:
	}
}

// keep renews the lease. What is not reached now is tried again at the next beat; meanwhile the fence guards the task.
func (w *worker) keep(ctx context.Context) {
	fence := w.fence.Load()
	if fence == 0 {
		return
	}
	cancel, err := w.runner.store.keep(ctx, w.entry, fence, LeaseTime)
	switch {
	case errors.Is(err, ErrLost):
		w.lost.Store(true)
	case err == nil && cancel:
		w.cancel()
	}
}

// run claims the task and works on it until it has ended, another one has it, or others want their turn. It reports
// whether the runner should look for more at once.
func (w *worker) run(ctx context.Context) bool {
	r := w.runner
	got, err := r.store.claim(ctx, w.entry, LeaseTime)
	switch {
	case errors.Is(err, engine.ErrBroken):
		r.logger.Error("a task cannot be read", "task", w.id, "tenant", w.tenant, "error", err.Error())
		r.store.replan(ctx, longestPause, w.entry)
		return false
	case err != nil:
		return false
	case got.over:
		return w.close(ctx, got.done)
	case got.lease == nil:
		return false // whoever has it is about to plan it anew, or has died; a few looks in vain cost little
	}
	w.fence.Store(got.lease.fence)
	defer w.fence.Store(0)
	r.count(w.taskType, func(c *Counts) { c.Running++ })
	defer r.count(w.taskType, func(c *Counts) { c.Running-- })
	// What is under way is saved even when the server stops.
	saving := context.WithoutCancel(ctx)
	err = r.hook("claimed", got.lease)
	if err == nil {
		r.store.replan(saving, LeaseTime, w.entry)
		err = r.hook("planned", got.lease)
	}
	if err == nil {
		err = w.work(ctx, saving, got.lease)
	}
	if err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, errDied) {
		r.logger.Warn("a task is left to the next server", "task", w.id, "tenant", w.tenant, "error", err.Error())
	}
	return err == nil
}

// work makes steps. An error says that the lease is left as it is: lost, or to end by itself.
func (w *worker) work(ctx, saving context.Context, l *lease) error {
	r := w.runner
	for steps := 1; ; steps++ {
		if w.stopped() {
			return w.give(saving, l, l.record, nil, 0)
		}
		begin := r.clock.Now()
		most := w.most(l)
		ending := l.cancel
		res, err := w.step(ctx, l, most)
		if w.lost.Load() {
			return ErrLost
		}
		if err == nil {
			err = tooMuch(res)
		}
		if err != nil {
			return w.failed(saving, l, err)
		}
		if err := r.hook("stepped", l); err != nil {
			return err
		}
		next := l.record.with(res)
		now := r.clock.Now()
		if next.Started == 0 {
			next.Started = begin.UnixMilli()
		}
		pause := res.Pause
		if next.MaxRate > 0 {
			pause = max(pause, time.Duration(float64(res.Done+res.Failed)/float64(next.MaxRate)*float64(time.Second)))
		}
		next.Worked += max(now.Sub(begin)+pause, 0).Milliseconds()
		parts, err := next.keepErrors(res.Errors, now)
		if err != nil {
			return err
		}
		switch {
		case ending:
			return w.finish(saving, l, next, Cancelled, parts)
		case res.Finished || next.Limit > 0 && next.Done >= next.Limit:
			next.Total = next.Looked
			return w.finish(saving, l, next, Succeeded, parts)
		case pause > longestWait, r.crowded() && (steps >= turnSteps || pause > 0):
			err := w.give(saving, l, next, parts, pause)
			w.turned = err == nil && pause == 0
			return err
		}
		if err := r.store.advance(saving, l, next, parts, keepLease, LeaseTime); err != nil {
			return err
		}
		if err := r.hook("saved", l); err != nil {
			return err
		}
		w.wait(l, pause)
	}
}

func (w *worker) stopped() bool {
	select {
	case <-w.runner.stop:
		return true
	default:
		return false
	}
}

// most returns how many items the next step may do.
func (w *worker) most(l *lease) int {
	select {
	case <-w.asked:
		l.cancel = true
	default:
	}
	if l.cancel {
		return 0
	}
	most := int64(MaxItems)
	if rate := l.record.MaxRate; rate > 0 {
		most = min(most, max(int64(rate)/ratesPerSecond, 1))
	}
	if limit := l.record.Limit; limit > 0 {
		most = min(most, limit-l.record.Done)
	}
	return int(most)
}

// step makes one step.
func (w *worker) step(ctx context.Context, l *lease, most int) (res Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	w.runner.count(w.taskType, func(c *Counts) { c.Steps++ })
	err = guarded(func() error {
		res, err = w.kind.Step(ctx, l.work(most))
		return err
	})
	return res, err
}

// guarded calls f and makes a panic an error: a single task must not end servers.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func tooMuch(res Result) error {
	if n := res.Done + res.Failed; n > MaxItems || len(res.Errors) > MaxItems || len(res.State) > maxText {
		return fmt.Errorf("a step did %d items, has %d errors and remembers %d bytes; at most %d, %[4]d and %[5]d are allowed",
			n, len(res.Errors), len(res.State), MaxItems, maxText)
	}
	return nil
}

// wait waits for d, or until the end of the task is asked for or the server stops.
func (w *worker) wait(l *lease, d time.Duration) {
	if d <= 0 {
		return
	}
	over := make(chan struct{})
	timer := w.runner.clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
	case <-w.runner.stop:
	case <-w.asked:
		l.cancel = true
	}
}

// give saves the task and lets any server go on after a pause.
func (w *worker) give(ctx context.Context, l *lease, r record, parts []any, pause time.Duration) error {
	if err := w.runner.store.advance(ctx, l, r, parts, giveBack, pause); err != nil {
		return err
	}
	w.fence.Store(0)
	if err := w.runner.hook("given", l); err != nil {
		return err
	}
	if l.cancel {
		pause = min(pause, firstPause) // as advance.lua does
	}
	w.runner.store.replan(ctx, pause, w.entry)
	return nil
}

// failed decides what becomes of a task whose step failed.
func (w *worker) failed(ctx context.Context, l *lease, cause error) error {
	r := w.runner
	e, known := errors.AsType[*errs.Error](cause)
	switch {
	case w.stopped() && (errors.Is(cause, engine.ErrUnavailable) || errors.Is(cause, context.Canceled)):
		return w.give(ctx, l, l.record, nil, 0) // it was cut short
	case errors.Is(cause, engine.ErrFull):
		return w.give(ctx, l, l.record, nil, roomPause)
	case errors.Is(cause, engine.ErrUnavailable), errors.Is(cause, engine.ErrUnknown), errors.Is(cause, context.Canceled):
		return w.give(ctx, l, l.record, nil, outagePause)
	case known && e.Kind == errs.RateLimited:
		return w.give(ctx, l, l.record, nil, max(min(e.RetryAfter, longestPause), firstPause))
	}
	r.count(w.taskType, func(c *Counts) { c.Failures++ })
	r.logger.Warn("a step of a task failed", "task", w.id, "type", w.taskType, "tenant", w.tenant, "error", cause.Error())
	next := l.record
	next.Tries++
	why := &Failure{Code: engine.ErrBroken.Code, Message: fmt.Sprintf("A step failed %d times in a row. The server's log says why.", next.Tries)}
	if lasting := known && !passes[e.Kind]; lasting {
		why = &Failure{Code: e.Code, Message: e.Message}
	} else if next.Tries < maxTries {
		return w.give(ctx, l, next, nil, min(firstPause<<(next.Tries-1), longestPause))
	}
	if l.cancel {
		return w.finish(ctx, l, next, Cancelled, nil)
	}
	next.Error = why
	return w.finish(ctx, l, next, Failed, nil)
}

// passes are the kinds of errors after which a step may go well another time.
var passes = map[errs.Kind]bool{errs.Internal: true, errs.Unavailable: true, errs.Unknown: true, errs.StorageFull: true}

// finish ends the task.
func (w *worker) finish(ctx context.Context, l *lease, r record, as Status, parts []any) error {
	r.Status, r.Finished = as, w.runner.clock.Now().UnixMilli()
	if r.Started == 0 {
		r.Started = r.Finished
	}
	if err := w.runner.store.advance(ctx, l, r, parts, endTask, 0); err != nil {
		return err
	}
	w.fence.Store(0)
	if err := w.runner.hook("ended", l); err != nil {
		return err
	}
	w.close(ctx, l.record)
	return nil
}

// close completes the end of a task: it removes what its steps left behind, and its entry of the plan. It reports
// whether that is done. Done may be empty, for a task that is gone.
func (w *worker) close(ctx context.Context, done record) bool {
	r := w.runner
	if done.ID != "" && w.kind.End != nil {
		err := guarded(func() error { return w.kind.End(ctx, (&lease{entry: w.entry, record: done}).work(0)) })
		if errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrUnknown) {
			r.store.replan(ctx, closePause, w.entry)
			return false
		}
		if err != nil {
			r.logger.Warn("a task left something behind", "task", w.id, "tenant", w.tenant, "error", err.Error())
		}
		if err := r.hook("closed", &lease{entry: w.entry, record: done}); err != nil {
			return false
		}
	}
	return r.store.unplan(ctx, w.entry) == nil
}
