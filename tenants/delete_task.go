package tenants

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
)

// DeleteTask is the type of the task that PlanDelete plans. It belongs to tasks.Installation, for it outlives its tenant.
const DeleteTask = "delete_tenant"

// doomed is the tenant of a task, as its steps know it.
type doomed struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// PlanDelete decides that a tenant is deleted with all that it has and returns the task that does so. The tenant must be
// suspended in mode "all": otherwise it is ErrNotSuspended. From here on it is not found, nothing can be added to it, and
// there is no way back: should the task not come about, whoever meets the tenant goes on, and so does a second call.
func (s *Store) PlanDelete(ctx context.Context, name string, cond Condition) (tasks.NewTask, error) {
	e, err := s.close(ctx, name, cond, true)
	if err != nil {
		return tasks.NewTask{}, err
	}
	total, err := s.erase(ctx, e.id, 0)
	if err != nil {
		return tasks.NewTask{}, err
	}
	params, err := json.Marshal(doomed{Name: e.name, ID: e.id.s})
	return tasks.NewTask{Type: DeleteTask, Params: string(params), Total: total, Alone: true, Of: e.id.s}, err
}

// Deleting is how the tasks of PlanDelete are worked on.
func (s *Store) Deleting() tasks.Kind { return tasks.Kind{Step: s.deleteStep} }

// deleteStep deletes up to a hundred queues or topics of a tenant, and in the end the tenant.
//
// What is gone cannot go again, so it may be repeated, and by several servers at once. It says how many are gone by how many
// are left, so that each is counted once.
func (s *Store) deleteStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	var t doomed
	if err := json.Unmarshal([]byte(w.Params), &t); err != nil {
		return tasks.Result{}, engine.ErrBroken.Because(fmt.Errorf("parameters of task %s: %w", w.Task.ID, err))
	}
	e, ok, err := s.find(ctx, t.Name, ID{})
	if err != nil {
		return tasks.Result{}, err
	}
	left := int64(0)
	if ok && e.id.s == t.ID {
		if left, err = s.finishDelete(ctx, e, w.Most); err != nil {
			return tasks.Result{}, err
		}
	}
	p := w.Task.Progress
	gone := min(max(p.Total-left-p.Looked, 0), tasks.MaxItems)
	// More than a step may do are gone when others did a part of it: then the next steps only say so.
	return tasks.Result{Looked: gone, Done: gone, Finished: left == 0 && p.Looked+gone >= p.Total}, s.step("erased")
}
