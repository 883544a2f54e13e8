// Package tasks keeps a record of long work that was done for a tenant: what it was, how far it came, how it ended.
//
// A tenant's tasks lie in its own slot:
//
//	sl:<id>:{<id>}:tasks  HASH of task id to JSON, the newest 1,000
package tasks

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// MaxTasks is how many tasks of a tenant are kept: more than anybody looks back at, in some 250 KB.
const MaxTasks = 1000

// prefix starts the id of every task.
const prefix = "task_"

// Status is how far a task has come.
type Status string

// The states of a task.
const (
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
)

// Task is work that was asked for.
type Task struct {
	ID         string // task_ and 20 characters; sorts by the time at which it was made
	Type       string // such as "purge"
	Status     Status
	Queue      string // name of the queue that it works on, or ""
	Progress   Progress
	CreatedAt  time.Time
	FinishedAt time.Time // zero: not yet
}

// Progress counts the messages of a task.
type Progress struct {
	Total int64
	Done  int64
}

// The errors of this package, besides those of the engine.
var (
	ErrNotFound = &errs.Error{Kind: errs.NotFound, Code: "task_not_found",
		Message: fmt.Sprintf("There is no such task. The newest %d of a tenant are kept.", MaxTasks)}
	ErrTenantGone = &errs.Error{Kind: errs.NotFound, Code: "tenant_not_found", Message: "There is no such tenant."}

	errRecord = errors.New("the record of a task is damaged")
)

//go:embed lua/*.lua
var scripts embed.FS

var (
	saveScript   = engine.MustLoad(scripts, "save")
	getScript    = engine.MustLoad(scripts, "get")
	listScript   = engine.MustLoad(scripts, "list")
	forgetScript = engine.MustLoad(scripts, "forget")
)

func tenantKey(tenant string) string { return engine.TenantKey(tenant, "tenant") } // HASH, kept by tenants
func tasksKey(tenant string) string  { return engine.TenantKey(tenant, "tasks") }  // HASH id to JSON

// Store is the tasks of all tenants. Tenants are named by their ids.
type Store struct{ engine *engine.Engine }

// New returns the store of the tasks behind e, which has a started session.
func New(e *engine.Engine) *Store { return &Store{engine: e} }

// Add stores a task and returns its id: a new one for a task that has none. One that is there already is replaced.
func (s *Store) Add(ctx context.Context, tenant string, t Task) (string, error) {
	if t.ID == "" {
		t.ID = prefix + s.engine.NewID(0).String()
	}
	text, err := json.Marshal(newRecord(t))
	if err != nil {
		return "", err
	}
	reply, err := s.engine.Do(ctx, saveScript, []string{tenantKey(tenant), tasksKey(tenant)}, t.ID, string(text), MaxTasks)
	if err != nil {
		return "", fmt.Errorf("store task %s: %w", t.ID, err)
	}
	if reply == "no_tenant" {
		return "", ErrTenantGone
	}
	return t.ID, nil
}

// Get returns a task of a tenant.
func (s *Store) Get(ctx context.Context, tenant, id string) (Task, error) {
	if !validID(id) {
		return Task{}, ErrNotFound
	}
	reply, err := s.engine.Do(ctx, getScript, []string{tasksKey(tenant)}, id)
	if err != nil {
		return Task{}, fmt.Errorf("read task %s: %w", id, readOnly(err))
	}
	text, _ := reply.(string)
	if text == "" {
		return Task{}, ErrNotFound
	}
	return parse(text)
}

// List returns up to limit of a tenant's tasks, newest first, from the first one behind after on. next is the after of
// the following page, and "" on the last one.
func (s *Store) List(ctx context.Context, tenant string, limit int, after string) (page []Task, next string, err error) {
	reply, err := s.engine.Do(ctx, listScript, []string{tasksKey(tenant)})
	if err != nil {
		return nil, "", fmt.Errorf("list tasks: %w", readOnly(err))
	}
	list, _ := reply.([]any)
	page = make([]Task, 0, len(list))
	for _, v := range list {
		text, _ := v.(string)
		t, err := parse(text)
		if err != nil {
			return nil, "", err
		}
		if after == "" || t.ID < after {
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

// Forget deletes all tasks of a tenant. It is for the tenant's deletion and may be repeated.
func (s *Store) Forget(ctx context.Context, tenant string) error {
	if _, err := s.engine.Do(ctx, forgetScript, []string{tasksKey(tenant)}); err != nil {
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

// record is how a task lies in Redis. Times are milliseconds since 1970.
type record struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Status   Status `json:"status"`
	Queue    string `json:"queue,omitempty"`
	Total    int64  `json:"total,omitempty"`
	Done     int64  `json:"done,omitempty"`
	Created  int64  `json:"created"`
	Finished int64  `json:"finished,omitempty"`
}

func newRecord(t Task) record {
	r := record{ID: t.ID, Type: t.Type, Status: t.Status, Queue: t.Queue, Total: t.Progress.Total, Done: t.Progress.Done,
		Created: t.CreatedAt.UnixMilli()}
	if !t.FinishedAt.IsZero() {
		r.Finished = t.FinishedAt.UnixMilli()
	}
	return r
}

func parse(text string) (Task, error) {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Task{}, engine.ErrBroken.Because(fmt.Errorf("%w: %w", errRecord, err))
	}
	t := Task{ID: r.ID, Type: r.Type, Status: r.Status, Queue: r.Queue, Progress: Progress{Total: r.Total, Done: r.Done},
		CreatedAt: time.UnixMilli(r.Created).UTC()}
	if r.Finished != 0 {
		t.FinishedAt = time.UnixMilli(r.Finished).UTC()
	}
	return t, nil
}
