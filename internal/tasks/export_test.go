package tasks

import (
	"context"
	"testing"
	"time"
)

// What the tests look at.
const (
	MaxWorking = maxWorking
	MaxTries   = maxTries
	StartGrace = startGrace
	StartLimit = startLimit
	PollEvery  = pollEvery
	MaxText    = maxText
)

// PlanKey is the key of the plan.
var PlanKey = planKey

// ErrDied ends a server where a hook returns it: it does not even say goodbye.
var ErrDied = errDied

// SetStep has f called between the steps of a start; its error ends the call there.
func (s *Store) SetStep(f func(done string) error) { s.step = f }

// SetHook has f called between the steps of the work; its error ends the work there.
func (r *Runner) SetHook(f func(done, task string) error) {
	r.hook = func(done string, l *lease) error { return f(done, l.id) }
}

// Look looks for tasks once, works on them, and returns when nothing of that is under way any more.
func (r *Runner) Look(ctx context.Context) {
	r.look(ctx)
	r.workers.Wait()
}

// Beat renews the leases of this server, as it does every few seconds.
func (r *Runner) Beat(ctx context.Context) { r.renew(ctx) }

// Lease is the lease on a task.
type Lease struct {
	store *Store
	lease *lease
}

// Claim takes the lease on a task. It is nil where another server has it.
func (s *Store) Claim(tb testing.TB, kind, tenant, id string) *Lease {
	tb.Helper()
	got, err := s.claim(tb.Context(), entry{kind, tenant, id}, LeaseTime)
	if err != nil {
		tb.Fatal(err)
	}
	if got.lease == nil {
		return nil
	}
	return &Lease{s, got.lease}
}

// Fence returns the lease's number.
func (l *Lease) Fence() int64 { return l.lease.fence }

// Keep renews the lease.
func (l *Lease) Keep(ctx context.Context) error {
	_, err := l.store.keep(ctx, l.lease.entry, l.lease.fence, LeaseTime)
	return err
}

// Save saves that so many more items are done. Again has it sent with the number of the save before.
func (l *Lease) Save(ctx context.Context, done int64, end, again bool) error {
	next, how := l.lease.record.with(Result{Looked: done, Done: done}), keepLease
	if end {
		how, next.Status = endTask, Succeeded
	}
	if again {
		next, l.lease.save = l.lease.record, l.lease.save-1
	}
	return l.store.advance(ctx, l.lease, next, nil, how, LeaseTime)
}

// Give gives the lease back.
func (l *Lease) Give(ctx context.Context, pause time.Duration) error {
	return l.store.advance(ctx, l.lease, l.lease.record, nil, giveBack, pause)
}
