package feed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor/alarms"
)

// begin is for the operations after which there may be a new task.
var begin = map[string]bool{"purgeQueue": true, "redriveQueue": true, "replaySubscription": true, "resendDeliveries": true, "deleteTenant": true,
	"sqs:PurgeQueue": true, "sqs:StartMessageMoveTask": true}

// look reads what has changed, unless that was done just now. It is called locked.
func (f *feed) look(ctx context.Context) error {
	now := f.Clock.Now()
	if now.Before(f.next) {
		return nil
	}
	if !f.begun {
		if err := f.start(ctx, now); err != nil {
			return err
		}
	}
	from := f.low
	found, err := f.audited(ctx, now)
	if err == nil {
		err = f.worked(ctx, &found)
	}
	if err == nil {
		err = f.alarmed(ctx, &found)
	}
	// What was found is told, also where the rest could not be read.
	place(found, from, f.low)
	f.events = append(f.events, found...)
	if over := len(f.events) - kept; over > 0 {
		f.events = slices.Clone(f.events[over:])
		f.base += over
	}
	if err == nil {
		f.next = now.Add(Period)
	}
	return err
}

// start reads how things are, so that what changes from then on is told.
func (f *feed) start(ctx context.Context, now time.Time) error {
	f.told, f.begins, f.open, f.alarms = map[string]time.Time{}, map[string]time.Time{}, map[string]progress{}, map[string]alarms.State{}
	latest, _, err := f.Audit.List(ctx, f.log(), audit.Filter{}, 1, "")
	if err != nil {
		return err
	}
	if len(latest) > 0 {
		// What has begun of late and is not done is still to be told.
		f.low = latest[0].At.Add(-patience)
		entries, all, err := f.Audit.Since(ctx, f.log(), f.low, maxChanges)
		if err != nil {
			return err
		}
		if !all {
			f.low = latest[0].At
		}
		for i := range entries {
			if e := &entries[i]; underWay(e) {
				f.begins[e.ID] = now
			} else {
				f.told[e.ID] = e.At
			}
		}
	}
	if err := f.learn(ctx); err != nil {
		return err
	}
	if err := f.alarmed(ctx, nil); err != nil {
		return err
	}
	f.begun = true
	return nil
}

func underWay(e *audit.Entry) bool { return e.Outcome == audit.Unknown && e.Code == "" }

// audited returns what the audit log has that was not told.
func (f *feed) audited(ctx context.Context, now time.Time) (found []Change, err error) {
	entries, all, err := f.Audit.Since(ctx, f.log(), f.low, maxChanges)
	if err != nil {
		return nil, err
	}
	if !all {
		found = f.anything()
	}
	low, waits, learns := f.low, false, !all
	for i := range entries {
		e := &entries[i]
		if !waits {
			low = e.At
		}
		if _, known := f.told[e.ID]; known {
			continue
		}
		if all && underWay(e) {
			first, known := f.begins[e.ID]
			if !known {
				first = now
				f.begins[e.ID] = now
			}
			if now.Sub(first) < patience {
				waits = true
				continue
			}
		}
		f.told[e.ID] = e.At
		learns = learns || begin[e.Operation]
		if all {
			found = append(found, changeOf(e))
		}
	}
	f.low = low
	maps.DeleteFunc(f.told, func(_ string, at time.Time) bool { return at.Before(low) })
	maps.DeleteFunc(f.begins, func(id string, first time.Time) bool {
		return f.told[id] != (time.Time{}) || now.Sub(first) > 2*patience // it was taken back
	})
	if learns {
		found = append(found, Change{Type: "task"})
		err = f.learn(ctx)
	}
	return found, err
}

// learn finds the unfinished tasks.
func (f *feed) learn(ctx context.Context) error {
	list, _, err := f.Tasks.List(ctx, f.taskOwner(), tasks.Filter{}, tasks.MaxTasks, "")
	if err != nil {
		return err
	}
	for i := range list {
		if t := &list[i]; t.FinishedAt.IsZero() {
			if _, known := f.open[t.ID]; !known {
				f.open[t.ID] = progressOf(t)
				f.turn = append(f.turn, t.ID)
			}
		}
	}
	return nil
}

func progressOf(t *tasks.Task) progress {
	return progress{t.Status, t.Progress.Looked, t.Progress.Done}
}

// worked adds what has become of unfinished tasks.
func (f *feed) worked(ctx context.Context, found *[]Change) error {
	for range min(len(f.turn), maxTasks) {
		id := f.turn[0]
		t, err := f.Tasks.Get(ctx, f.taskOwner(), id)
		gone := errors.Is(err, tasks.ErrNotFound)
		if err != nil && !gone {
			return err
		}
		f.turn = f.turn[1:]
		if p := progressOf(&t); gone || p != f.open[id] {
			f.open[id] = p
			*found = append(*found, Change{Type: "task", Name: id, Queue: t.Queue, State: string(t.Status)})
		}
		if gone || !t.FinishedAt.IsZero() {
			delete(f.open, id)
		} else {
			f.turn = append(f.turn, id)
		}
	}
	return nil
}

// alarmed adds what has become of alarms; found is nil to see only how they are.
func (f *feed) alarmed(ctx context.Context, found *[]Change) error {
	if f.owner.IsZero() {
		return nil
	}
	list, err := f.Alarms.List(ctx, f.owner)
	if err != nil {
		return err
	}
	states := make(map[string]alarms.State, len(list))
	for i := range list {
		e := &list[i]
		states[e.Name] = e.State
		if before, known := f.alarms[e.Name]; found != nil && known && before != e.State {
			*found = append(*found, Change{Type: "alarm", Name: e.Name, State: string(e.State)})
		}
	}
	f.alarms = states
	return nil
}
