package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// Store is the tasks of all tenants. Tenants are named by their ids.
type Store struct {
	engine *engine.Engine
	clock  clock.Clock
	runner atomic.Pointer[Runner]  // of this server, told of what happens here; nil: none
	step   func(done string) error // between the steps of a start; for tests
}

// New returns the store of the tasks behind e, which has a started session.
func New(e *engine.Engine, c clock.Clock) *Store {
	return &Store{engine: e, clock: c, step: func(string) error { return nil }}
}

// Add stores a task that has ended, and returns the id that it gives it, also with an error.
func (s *Store) Add(ctx context.Context, tenant string, t Task) (string, error) {
	t.ID = s.newID()
	text, err := newRecord(t).text()
	if err != nil {
		return t.ID, err
	}
	reply, err := s.engine.Do(ctx, addScript, s.keys(tenant), t.ID, text, MaxTasks)
	if err != nil {
		return t.ID, fmt.Errorf("store task %s: %w", t.ID, err)
	}
	if reply == "no_tenant" {
		return t.ID, ErrTenantGone
	}
	return t.ID, nil
}

func (s *Store) newID() string { return prefix + s.engine.NewID(0).String() }

// keys are those of a tenant's tasks in the order of start.lua.
func (s *Store) keys(tenant string) []string {
	return []string{ownerKey(tenant), tasksKey(tenant), runsKey(tenant), errorsKey(tenant)}
}

const (
	// startGrace is how long an entry of the plan without a task is kept, and startLimit until when the task must be
	// there: the nodes of a Cluster may disagree on the time by the difference.
	startGrace = time.Minute
	startLimit = 30 * time.Second
)

// Start stores a task that is to be worked on, and lets a server begin: this one if it has room. Errors are
// ErrAlreadyRunning, ErrQuota, ErrTenantGone and those of the engine.
//
// The entry of the plan comes first. Nobody looks at it before the task can be there; and after that no task is stored
// any more, so an entry without one is of no use and removed.
func (s *Store) Start(ctx context.Context, tenant string, n NewTask) (Task, error) {
	if !typePattern.MatchString(n.Type) || len(n.Params)+len(n.Scope) > maxParams {
		return Task{}, engine.ErrBroken.Because(fmt.Errorf("a task of type %q with %d bytes of parameters cannot be stored", n.Type, len(n.Params)+len(n.Scope)))
	}
	r := record{ID: s.newID(), Type: n.Type, Status: Running, Queue: n.Queue, Scope: n.Scope, Total: n.Total, By: n.CreatedBy,
		Created: s.clock.Now().UnixMilli(), Params: n.Params, Limit: n.Limit, MaxRate: n.MaxRate}
	text, err := r.text()
	if err != nil {
		return Task{}, err
	}
	e := entry{taskType: n.Type, tenant: tenant, id: r.ID}
	now, err := s.plan(ctx, e, startGrace)
	if err != nil {
		return Task{}, err
	}
	if err := s.step("planned"); err != nil {
		return Task{}, err
	}
	alone := ""
	if n.Alone {
		alone = n.Type + " " + n.Queue + n.Of
	}
	reply, err := s.engine.Do(ctx, startScript, s.keys(tenant), r.ID, text, MaxTasks, MaxUnfinished, alone, now.Add(startLimit).UnixMilli())
	if err != nil {
		return Task{}, fmt.Errorf("start task %s: %w", r.ID, err)
	}
	if err := started(reply); err != nil {
		_ = s.unplan(ctx, e) // or whoever finds the entry does it
		return Task{}, err
	}
	if err := s.step("stored"); err != nil {
		return Task{}, err
	}
	_, _ = s.plan(ctx, e, 0) // or it begins when the grace is over
	if runner := s.runner.Load(); runner != nil {
		runner.nudge()
	}
	return r.task(), nil
}

// started reads the answer of start.lua.
func started(reply any) error {
	switch word(reply, 0) {
	case "ok":
		return nil
	case "no_tenant":
		return ErrTenantGone
	case "late":
		return engine.ErrUnavailable.Because(errLate)
	case "full":
		e := *ErrQuota
		e.Usage = &errs.Usage{Quota: "unfinished_tasks", Limit: MaxUnfinished, Used: number(reply, 1)}
		return &e
	case "taken":
		return ErrAlreadyRunning.WithFix("Wait until task %[1]s has ended, or end it: POST /v1/tasks/%[1]s/cancel", word(reply, 1))
	}
	return unexpected(reply)
}

// Get returns a task of a tenant.
func (s *Store) Get(ctx context.Context, tenant, id string) (Task, error) {
	if !validID(id) {
		return Task{}, ErrNotFound
	}
	reply, err := s.engine.Do(ctx, getScript, []string{tasksKey(tenant), runsKey(tenant)}, id)
	if err != nil {
		return Task{}, fmt.Errorf("read task %s: %w", id, readOnly(err))
	}
	if word(reply, 0) == "" {
		return Task{}, ErrNotFound
	}
	return shown(word(reply, 0), word(reply, 1))
}

// Filter says which tasks of a list are wanted. A zero value means all.
type Filter struct {
	Type   string
	Status Status
	Queue  string
	Shows  func(queue string) bool // nil: those of all queues
}

func (f Filter) wants(t Task) bool {
	if f.Shows != nil && !f.Shows(t.Queue) {
		return false
	}
	return (f.Type == "" || f.Type == t.Type) && (f.Status == "" || f.Status == t.Status) && (f.Queue == "" || f.Queue == t.Queue)
}

// List returns up to limit of a tenant's tasks, newest first, from the first one behind after on. next is the after of
// the following page, and "" on the last one.
func (s *Store) List(ctx context.Context, tenant string, f Filter, limit int, after string) (page []Task, next string, err error) {
	reply, err := s.engine.Do(ctx, listScript, []string{tasksKey(tenant), runsKey(tenant)})
	if err != nil {
		return nil, "", fmt.Errorf("list tasks: %w", readOnly(err))
	}
	list, _ := reply.([]any)
	page = make([]Task, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		t, err := shown(word(reply, i), word(reply, i+1))
		if err != nil {
			return nil, "", err
		}
		if f.wants(t) && (after == "" || t.ID < after) {
			page = append(page, t)
		}
	}
	slices.SortFunc(page, func(a, b Task) int { return strings.Compare(b.ID, a.ID) })
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return page, next, nil
}

// Errors returns up to limit errors of single items of a task, in the order in which they came, behind the first skip.
// It reports whether there are more.
func (s *Store) Errors(ctx context.Context, tenant, id string, skip, limit int) ([]ItemError, bool, error) {
	if !validID(id) {
		return nil, false, ErrNotFound
	}
	reply, err := s.engine.Do(ctx, errorsScript, []string{tasksKey(tenant), errorsKey(tenant)}, id)
	if err != nil {
		return nil, false, fmt.Errorf("read the errors of task %s: %w", id, readOnly(err))
	}
	parts, _ := reply.([]any)
	if word(reply, 0) != "1" {
		return nil, false, ErrNotFound
	}
	list, err := parseErrors(parts[1:])
	if err != nil {
		return nil, false, err
	}
	list = list[min(skip, len(list)):]
	return list[:min(limit, len(list))], len(list) > limit, nil
}

// Cancel asks for the end of a task and returns it as it is then: cancelling, until whoever works on it has noticed. A
// task that has ended is ErrFinished.
func (s *Store) Cancel(ctx context.Context, tenant, id string) (Task, error) {
	if !validID(id) {
		return Task{}, ErrNotFound
	}
	reply, err := s.engine.Do(ctx, cancelScript, []string{tasksKey(tenant), runsKey(tenant)}, id)
	if err != nil {
		return Task{}, fmt.Errorf("cancel task %s: %w", id, err)
	}
	switch word(reply, 0) {
	case "none":
		return Task{}, ErrNotFound
	case "over":
		return Task{}, ErrFinished
	case "ok":
	default:
		return Task{}, unexpected(reply)
	}
	t, err := shown(word(reply, 1), "1")
	if err != nil {
		return Task{}, err
	}
	e := entry{taskType: t.Type, tenant: tenant, id: id}
	s.replan(ctx, 0, e)
	if runner := s.runner.Load(); runner != nil {
		runner.cancelled(e)
	}
	return t, nil
}

// Forget deletes all tasks of a tenant. It is for the tenant's deletion and may be repeated.
func (s *Store) Forget(ctx context.Context, tenant string) error {
	if _, err := s.engine.Do(ctx, forgetScript, s.keys(tenant)[1:]); err != nil {
		return fmt.Errorf("delete the tasks of tenant %s: %w", tenant, err)
	}
	return nil
}

// readOnly says of a read without an answer that nothing was changed.
func readOnly(err error) error {
	if errors.Is(err, engine.ErrUnknown) {
		return engine.ErrUnavailable.Because(err)
	}
	return err
}

func validID(id string) bool {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return false
	}
	_, ok = engine.ParseID(text)
	return ok
}
