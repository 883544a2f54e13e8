package queues

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// PurgeTask is the type of the task that PlanPurge plans.
const PurgeTask = "purge"

// PurgeOptions say which messages a purge deletes: those of which both hold.
type PurgeOptions struct {
	OlderThan time.Duration // they were sent at least so long ago
	Filter    *Filter       // nil: all match
}

// purgeView is the order in which a purge looks at the places of messages; see peek.lua. Messages only ever move to
// places that it has still to come to, except through the hands of a consumer: so it meets all that nobody holds. In
// each place it meets the oldest first, delayed ones by when they become available, those of groups group by group.
const purgeView = "Ddrfam"

// PlanPurge returns the task that deletes the messages of a queue which are available or delayed and are meant by opt.
// Those that somebody holds when it comes to them stay.
func (s *Store) PlanPurge(ctx context.Context, t tenants.ID, queue string, opt PurgeOptions) (tasks.NewTask, error) {
	n := tasks.NewTask{Type: PurgeTask, Queue: queue, Alone: true}
	err := s.with(ctx, t, queue, func(d *desk) error {
		st, err := d.stats(ctx)
		if err != nil {
			return err
		}
		params, err := json.Marshal(selection{UID: d.uid, Before: st.Now.Add(-opt.OlderThan).UnixMilli(), Filter: opt.Filter.String()})
		n.Params, n.Total = string(params), st.Available+st.Delayed
		return err
	})
	return n, err
}

// Purging is how the tasks of PlanPurge are worked on.
func (s *Store) Purging() tasks.Kind { return tasks.Kind{Step: s.purgeStep, End: s.endTask} }

// purgeStep looks at a page of messages and deletes those that are wanted.
//
// The queue remembers the step with its effect: how many were deleted, and where the next one goes on. Doing it again, or
// doing it late, therefore deletes nothing and answers the same, whatever the queue looks like by then.
func (s *Store) purgeStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	t, sel, filter, from, err := readTask(w, purgeView)
	if err != nil {
		return tasks.Result{}, err
	}
	wants := func(m *Message, now time.Time) bool {
		return m.SentAt.UnixMilli() <= sel.Before && filter.Match(m, now)
	}
	ctx = by(ctx, Actor{Kind: ByTask, Name: w.Task.ID})
	var res tasks.Result
	err = s.with(ctx, t, w.Task.Queue, func(d *desk) error {
		if d.uid != sel.UID {
			return notFound(w.Task.Queue)
		}
		next, ids := round{at: from.at}, []engine.ID(nil)
		if w.Most > 0 {
			page, shown, err := d.roundPage(ctx, purgeView, from.at, w.Most, wants)
			if err != nil {
				return err
			}
			next = page
			for i := range shown {
				ids = append(ids, shown[i].ID)
			}
		}
		// All messages of a page are in one shard, and so a step has one queue that remembers it.
		done, remembered, err := d.all()[from.at.shard].discard(ctx, w, next.String(), ids)
		if err != nil {
			return err
		}
		if next, err = parseRound(remembered, purgeView); err != nil {
			return err
		}
		res = tasks.Result{State: remembered, Looked: int64(next.looked), Done: done, Finished: next.over}
		return nil
	})
	return res, err
}

// discard deletes messages that nobody holds, as a step of a task that goes on at next; those of one page of peek.lua,
// which has no more bytes than delete.lua looks at. If that step was done before it deletes nothing, and returns how many
// it deleted then and where it went on.
func (d *desk) discard(ctx context.Context, w tasks.Work, next string, ids []engine.ID) (done int64, remembered string, err error) {
	reply, err := d.numbered(ctx, deleteScript, &lane{field: taskLane(w), seq: w.Step}, func(c *config) []any {
		args := []any{c.Retention.Milliseconds(), w.Until.UnixMilli(), next}
		for i := range ids {
			args = append(args, ids[i][:])
		}
		return args
	})
	if err != nil {
		return 0, "", err
	}
	return int64(strings.Count(engine.Text(reply, 2), "k")), engine.Text(reply, 3), nil
}
