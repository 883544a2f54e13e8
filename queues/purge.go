package queues

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// PurgeTask is the type of the task that PlanPurge plans.
const PurgeTask = "purge"

// purge says which messages a task deletes. It is written down when the task is made.
type purge struct {
	UID    string `json:"uid"`    // of the queue, so that one that is made anew under the same name is left alone
	Before int64  `json:"before"` // ms: until when they were sent, by the queue clock
}

// wants reports whether m is to be deleted, if nobody holds it.
func (p purge) wants(m *Message) bool { return m.SentAt.UnixMilli() <= p.Before }

// purgeView is the order in which a purge looks at the places of messages; see peek.lua. Messages only ever move to
// places that it has still to come to, except through the hands of a consumer: so it meets all that nobody holds. In
// each place it meets the oldest first, delayed ones by when they become available, those of groups group by group.
const purgeView = "Ddrfam"

// PlanPurge returns the task that deletes the messages of a queue which are available or delayed and were sent at least
// older ago. Those that somebody holds when it comes to them stay.
func (s *Store) PlanPurge(ctx context.Context, t tenants.ID, queue string, older time.Duration) (tasks.NewTask, error) {
	n := tasks.NewTask{Type: PurgeTask, Queue: queue, Alone: true}
	err := s.with(ctx, t, queue, func(d *desk) error {
		st, err := d.stats(ctx)
		if err != nil {
			return err
		}
		params, err := json.Marshal(purge{UID: d.uid, Before: st.Now.Add(-older).UnixMilli()})
		n.Params, n.Total = string(params), st.Available+st.Delayed
		return err
	})
	return n, err
}

// Purging is how the tasks of PlanPurge are worked on.
func (s *Store) Purging() tasks.Kind { return tasks.Kind{Step: s.purgeStep, End: s.purgeEnd} }

// purgeStep looks at a page of messages and deletes those that are wanted.
//
// The queue remembers the step with its effect: how many were deleted, and where the next one goes on. Doing it again, or
// doing it late, therefore deletes nothing and answers the same, whatever the queue looks like by then.
func (s *Store) purgeStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	t, p, err := readPurge(w)
	if err != nil {
		return tasks.Result{}, err
	}
	from, err := parsePurgeState(w.State)
	if err != nil {
		return tasks.Result{}, err
	}
	var res tasks.Result
	err = s.with(ctx, t, w.Task.Queue, func(d *desk) error {
		if d.uid != p.UID {
			return notFound(w.Task.Queue)
		}
		next, ids := purgeState{at: from.at}, []engine.ID(nil)
		if w.Most > 0 {
			var err error
			if next, ids, err = d.purgePage(ctx, p, from.at, w.Most); err != nil {
				return err
			}
		}
		done, remembered, err := d.discard(ctx, w, next.String(), ids)
		if err != nil {
			return err
		}
		if next, err = parsePurgeState(remembered); err != nil {
			return err
		}
		res = tasks.Result{State: remembered, Looked: int64(next.looked), Done: done, Finished: next.over}
		return nil
	})
	return res, err
}

// purgePage returns up to most messages that are wanted, and where the next page begins.
func (d *desk) purgePage(ctx context.Context, p purge, from cursor, most int) (purgeState, []engine.ID, error) {
	page, err := d.peek(ctx, purgeView, from, MaxPeek)
	next := purgeState{looked: page.looked, at: page.next}
	var ids []engine.ID
	for i, m := range page.shown {
		if p.wants(&m.Message) {
			ids = append(ids, m.ID)
		}
		if len(ids) == most && i+1 < len(page.shown) {
			next.looked, next.at = i+1, m.at
			break
		}
	}
	next.over = next.at.view == ""
	return next, ids, err
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
	return int64(strings.Count(text(reply, 2), "k")), text(reply, 3), nil
}

// taskLane is the lane of a task among those of servers, which begin with L. Its calls have the numbers of the steps.
func taskLane(w tasks.Work) string { return "T" + w.Task.ID }

// purgeEnd removes the lane.
func (s *Store) purgeEnd(ctx context.Context, w tasks.Work) error {
	t, p, err := readPurge(w)
	if err != nil {
		return err
	}
	err = s.with(ctx, t, w.Task.Queue, func(d *desk) error {
		if d.uid != p.UID {
			return nil
		}
		_, err := s.engine.Do(ctx, quitScript, d.keys[:1], taskLane(w))
		return err
	})
	if errors.Is(err, ErrQueueNotFound) {
		return nil
	}
	return err
}

func readPurge(w tasks.Work) (tenants.ID, purge, error) {
	var p purge
	t, ok := tenants.ParseID(w.Tenant)
	if err := json.Unmarshal([]byte(w.Params), &p); err != nil || !ok || p.UID == "" {
		return t, p, engine.ErrBroken.Because(fmt.Errorf("the parameters of task %s are damaged", w.Task.ID))
	}
	return t, p, nil
}

// purgeState is how far a purge has come, and what its last step looked at.
type purgeState struct {
	looked int    // messages that the step looked at
	over   bool   // it was the last one
	at     cursor // the zero value: the beginning
}

// The places of a purge that are no place in the queue.
const purgeStart, purgeOver = ".", "-"

func (c purgeState) String() string {
	place := purgeStart
	switch {
	case c.over:
		place = purgeOver
	case c.at.view != "":
		place = c.at.String()
	}
	return fmt.Sprintf("%d %s", c.looked, place)
}

func parsePurgeState(s string) (purgeState, error) {
	var c purgeState
	if s == "" {
		return c, nil
	}
	var place string
	_, err := fmt.Sscanf(s, "%d %s", &c.looked, &place)
	if err == nil && place != purgeStart && place != purgeOver {
		c.at, err = parseCursor(place, purgeView)
	}
	c.over = place == purgeOver
	if err != nil {
		return c, engine.ErrBroken.Because(fmt.Errorf("a purge is at %q, which is no place: %w", s, err))
	}
	return c, nil
}
