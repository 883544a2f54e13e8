package queues

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// errScheduleChanged says that another change of a schedule came first.
var errScheduleChanged = errors.New("the schedule has changed")

// PutSchedule creates a schedule of an owner or replaces its settings, and reports whether it was created. A tick that is
// due already is dealt with first, by the settings as they were.
//
// A schedule lies in the slot of its owner and the index of what is due in another. The index gets its entry first: one
// without a schedule does nothing and goes.
func (s *Schedules) PutSchedule(ctx context.Context, t tenants.ID, owner, name string, set ScheduleSettings, cond Condition) (Schedule, bool, error) {
	var out Schedule
	created := false
	if err := ValidScheduleName(name); err != nil {
		return out, false, err
	}
	err := s.changeSchedule(ctx, t, owner, name, cond, func(o ScheduleOwner, r *scheduleRecord, now time.Time) error {
		rules, err := o.Rules(ctx)
		if err != nil {
			return err
		}
		if err := set.Validate(rules); err != nil {
			return err
		}
		def := define(&set)
		if r != nil && def.says(r.def) {
			out, created = r.schedule(now), false
			return nil
		}
		if r != nil && r.due(now) {
			if err := s.catchUp(ctx, o.entryOf(r)); err != nil {
				return err
			}
			return errScheduleChanged
		}
		out, created, err = s.putSchedule(ctx, o, name, r, def, now)
		return err
	})
	return out, created, err
}

// putSchedule stores a definition in place of the schedule old, or nil for none.
func (s *Schedules) putSchedule(ctx context.Context, o ScheduleOwner, name string, old *scheduleRecord, def definition, now time.Time) (Schedule, bool, error) {
	def.Queue, def.UID, def.Created, def.Updated = o.Name, newUID(), now.UnixMilli(), now.UnixMilli()
	if def.Every != 0 && def.Starts == nil {
		def.Anchor = now.Truncate(time.Second).UnixMilli()
	}
	state, was := scheduleState{}, ""
	if old != nil {
		def.UID, def.Created = old.def.UID, old.def.Created
		if def.Every == old.def.Every && def.Starts == nil && old.def.Starts == nil {
			def.Anchor = old.def.Anchor // another message does not break the rhythm
		}
		state, was = old.state, old.was
	}
	raw, err := json.Marshal(def)
	if err != nil {
		return Schedule{}, false, err
	}
	state.Version = s.engine.NewID(0).String()
	next, err := parseSchedule(name, string(raw), "{}")
	if err != nil {
		return Schedule{}, false, engine.ErrBroken.Because(err)
	}
	terms, err := s.terms(ctx, o.Tenant)
	if err != nil {
		return Schedule{}, false, err
	}
	most := terms.Limits[tenants.LimitSchedules]
	next.state = state
	s.revive(next, now)
	if err := s.announce(ctx, o, next); err != nil {
		return Schedule{}, false, err
	}
	reply, err := s.engine.Do(ctx, schedulePutScript, s.keys(o.Tenant, o.UID), name, was, string(raw), next.encode(s), most)
	if err != nil {
		return Schedule{}, false, err
	}
	err = verdict(reply)
	if errors.Is(err, ErrScheduleQuota) {
		err = s.quota(most)
	}
	if err != nil {
		return Schedule{}, false, err
	}
	if err := s.step("schedule stored"); err != nil {
		return Schedule{}, false, err
	}
	if old != nil && old.state.Life != "" {
		if err := s.index(ctx, leave(o.entryOf(old))); err != nil {
			return Schedule{}, false, err
		}
	}
	return next.schedule(now), old == nil, nil
}

// GetSchedule returns a schedule of an owner.
func (s *Schedules) GetSchedule(ctx context.Context, t tenants.ID, owner, name string) (Schedule, error) {
	var out Schedule
	err := s.owners.WithOwner(ctx, t, owner, func(o ScheduleOwner) error {
		list, now, err := s.read(ctx, s.keys(o.Tenant, o.UID), name)
		if err != nil {
			return err
		}
		if list[0] == nil {
			return s.notFound(owner, name)
		}
		out = list[0].schedule(now)
		return nil
	})
	return out, err
}

// maxListBytes bounds the definitions that one list reads.
const maxListBytes = 4 << 20

// ListSchedules returns up to limit schedules of an owner whose names begin with prefix and come after the name after, by
// name, and the name after which the next page goes on, or "". A page may be short because schedules are large.
func (s *Schedules) ListSchedules(ctx context.Context, t tenants.ID, owner, prefix, after string, limit int) ([]Schedule, string, error) {
	var out []Schedule
	next := ""
	err := s.owners.WithOwner(ctx, t, owner, func(o ScheduleOwner) error {
		out, next = []Schedule{}, ""
		names, err := s.names(ctx, o.Tenant, o.UID)
		if err != nil {
			return err
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n <= after || !strings.HasPrefix(n, prefix) })
		slices.Sort(names)
		if len(names) > limit {
			names, next = names[:limit], names[limit-1]
		}
		bytes := 0
		for first := true; first || len(names) > 0; first = false {
			list, now, err := s.read(ctx, s.keys(o.Tenant, o.UID), names[:min(len(names), callMessages)]...)
			if err != nil {
				return err
			}
			for _, r := range list {
				if r != nil { // it may have been deleted meanwhile
					out = append(out, r.schedule(now))
					bytes += len(r.def.Message)
				}
			}
			last := ""
			if len(list) > 0 {
				last = names[len(list)-1]
			}
			if names = names[len(list):]; len(names) > 0 && bytes > maxListBytes {
				next = last
				break
			}
		}
		return nil
	})
	return out, next, err
}

// DeleteSchedule deletes a schedule of an owner.
func (s *Schedules) DeleteSchedule(ctx context.Context, t tenants.ID, owner, name string, cond Condition) error {
	return s.changeSchedule(ctx, t, owner, name, cond, func(o ScheduleOwner, r *scheduleRecord, _ time.Time) error {
		if r == nil {
			return s.notFound(owner, name)
		}
		if err := s.storeState(ctx, s.keys(o.Tenant, o.UID), r, ""); err != nil {
			return err
		}
		if err := s.step("schedule removed"); err != nil {
			return err
		}
		return s.index(ctx, leave(o.entryOf(r)))
	})
}

// PauseSchedule ends the ticks of a schedule until it is resumed. A pause of one that is paused replaces the reason.
func (s *Schedules) PauseSchedule(ctx context.Context, t tenants.ID, owner, name, reason string) (Schedule, error) {
	if len(reason) > MaxPauseReason {
		return Schedule{}, errs.Invalidf("/reason", "A reason has at most %d bytes, got %d.", MaxPauseReason, len(reason))
	}
	var out Schedule
	err := s.changeSchedule(ctx, t, owner, name, Condition{}, func(o ScheduleOwner, r *scheduleRecord, now time.Time) error {
		if r == nil {
			return s.notFound(owner, name)
		}
		entry := o.entryOf(r)
		pause := storedPause{At: now.UnixMilli(), Reason: reason}
		if r.state.Paused != nil {
			pause.At = r.state.Paused.At
		}
		r.state.Paused, r.state.Life = &pause, ""
		out = r.schedule(now)
		if err := s.saveSchedule(ctx, s.keys(o.Tenant, o.UID), r); err != nil {
			return err
		}
		if err := s.step("schedule paused"); err != nil {
			return err
		}
		return s.index(ctx, leave(entry))
	})
	return out, err
}

// ResumeSchedule lets the ticks of a paused schedule go on with the next one from now. Those of the pause do not happen.
func (s *Schedules) ResumeSchedule(ctx context.Context, t tenants.ID, owner, name string) (Schedule, error) {
	var out Schedule
	err := s.changeSchedule(ctx, t, owner, name, Condition{}, func(o ScheduleOwner, r *scheduleRecord, now time.Time) error {
		if r == nil {
			return s.notFound(owner, name)
		}
		if r.state.Paused != nil {
			r.state.Paused = nil
			s.revive(r, now)
			if err := s.announce(ctx, o, r); err != nil {
				return err
			}
			if err := s.saveSchedule(ctx, s.keys(o.Tenant, o.UID), r); err != nil {
				return err
			}
		}
		out = r.schedule(now)
		return nil
	})
	return out, err
}

// RunSchedule sends the message of a schedule once, now. Its ticks stay as they are. The same key sends nothing twice as
// long as the queue remembers it: five minutes, or a FIFO queue's deduplication window; "": no key.
func (s *Schedules) RunSchedule(ctx context.Context, t tenants.ID, owner, name, key string) (Sent, Outgoing, error) {
	var sent Sent
	var m Outgoing
	err := s.owners.WithOwner(ctx, t, owner, func(o ScheduleOwner) error {
		list, now, err := s.read(ctx, s.keys(o.Tenant, o.UID), name)
		if err != nil {
			return err
		}
		r := list[0]
		if r == nil {
			return s.notFound(owner, name)
		}
		name := s.engine.NewID(0).String()
		if key != "" {
			sum := sha256.Sum256([]byte(key)) // it may be long, and hold what a deduplication id may not
			name = hex.EncodeToString(sum[:16])
		}
		m = r.message("run-" + name)
		results, err := o.Send(ctx, []Outgoing{m})
		if err != nil {
			return err
		}
		if sent = results[0].Sent; results[0].Err != nil {
			return results[0].Err
		}
		if sent.Replayed {
			return nil
		}
		s.counts.runs.Add(1)
		err = s.amend(ctx, s.keys(o.Tenant, o.UID), r, func(st *scheduleState) bool {
			st.Runs++
			st.LastRun = &storedRun{At: now.UnixMilli(), ID: sent.ID.String()}
			return true
		})
		if err != nil { // the message is sent all the same
			s.logger.Warn("a run of a schedule was not recorded", "tenant", t.String(), s.kind, owner, "error", err.Error())
		}
		return nil
	})
	return sent, m, err
}

// changeSchedule calls f with a schedule as it is, or nil for none, until no other change comes between.
func (s *Schedules) changeSchedule(ctx context.Context, t tenants.ID, owner, name string, cond Condition, f func(ScheduleOwner, *scheduleRecord, time.Time) error) error {
	return s.owners.WithOwner(ctx, t, owner, func(o ScheduleOwner) error {
		for range maxStale {
			list, now, err := s.read(ctx, s.keys(o.Tenant, o.UID), name)
			if err != nil {
				return err
			}
			r := list[0]
			switch {
			case cond.Missing && r != nil, cond.ETag == "*" && r == nil,
				cond.ETag != "" && cond.ETag != "*" && (r == nil || cond.ETag != etag(r.def.UID, r.state.Version)):
				return ErrSchedulePrecondition
			}
			if err := f(o, r, now); !errors.Is(err, errScheduleChanged) {
				return err
			}
		}
		return engine.ErrUnavailable
	})
}

// revive sets when a schedule is due next, and gives it a new life in the index. A paused one has neither.
func (s *Schedules) revive(r *scheduleRecord, now time.Time) {
	r.state.Next, r.state.Tried, r.state.Life = 0, 0, ""
	if r.state.Paused != nil {
		return
	}
	if r.state.Next = unixMilli(r.timing.after(now)); r.state.Next != 0 {
		r.state.Life = s.engine.NewID(0).String()
	}
}

// announce puts a schedule that is about to be stored into the index.
func (s *Schedules) announce(ctx context.Context, o ScheduleOwner, r *scheduleRecord) error {
	if r.state.Life == "" {
		return nil
	}
	if err := s.index(ctx, enter(o.entryOf(r), r.state.Next)); err != nil {
		return err
	}
	return s.step("schedule entered")
}

// encode returns the state as it is to be stored, a text that was never stored before.
func (r *scheduleRecord) encode(s *Schedules) string {
	r.state.Rev = s.engine.NewID(0).String()
	text, _ := json.Marshal(r.state) // never fails
	return string(text)
}

// saveSchedule stores the state of a schedule.
func (s *Schedules) saveSchedule(ctx context.Context, keys []string, r *scheduleRecord) error {
	return s.storeState(ctx, keys, r, r.encode(s))
}

// storeState stores a state in place of the one that was read, or with "" deletes the schedule.
func (s *Schedules) storeState(ctx context.Context, keys []string, r *scheduleRecord, text string) error {
	reply, err := s.engine.Do(ctx, scheduleSaveScript, keys, r.name, r.was, text)
	if err == nil {
		err = verdict(reply)
	}
	if err == nil {
		r.was = text
	}
	return err
}

// amend changes the state of a schedule by a function of it, whatever others change meanwhile. f returns false where
// there is nothing to do. A schedule that is gone is left so.
func (s *Schedules) amend(ctx context.Context, keys []string, r *scheduleRecord, f func(*scheduleState) bool) error {
	for range maxStale {
		if !f(&r.state) {
			return nil
		}
		err := s.saveSchedule(ctx, keys, r)
		if !errors.Is(err, errScheduleChanged) {
			return err
		}
		list, _, err := s.read(ctx, keys, r.name)
		if err != nil {
			return err
		}
		if list[0] == nil || list[0].def.UID != r.def.UID {
			return nil
		}
		*r = *list[0]
	}
	return engine.ErrUnavailable
}

// verdict reads what a script says that changes a schedule.
func verdict(reply any) error {
	list, _ := reply.([]any)
	switch engine.Text(list, 0) {
	case "ok":
		return nil
	case "changed":
		return errScheduleChanged
	case "full":
		return ErrScheduleQuota
	case "gone":
		return errRetired
	case "absent":
		return errGone
	}
	return unexpected(reply)
}

// read returns schedules, nil for names that have none, and the time. There may be fewer than names when they are large, but
// at least one.
func (s *Schedules) read(ctx context.Context, keys []string, names ...string) ([]*scheduleRecord, time.Time, error) {
	args := make([]any, len(names))
	for i, n := range names {
		args[i] = n
	}
	reply, err := s.engine.Do(ctx, scheduleReadScript, keys, args...)
	if err != nil {
		return nil, time.Time{}, err
	}
	list, _ := reply.([]any)
	if err := verdict(reply); err != nil {
		return nil, time.Time{}, err
	}
	records := make([]*scheduleRecord, 0, len(names))
	for i := 2; i+1 < len(list); i += 2 {
		var r *scheduleRecord
		if engine.Text(list, i) != "" {
			if r, err = parseSchedule(names[i/2-1], engine.Text(list, i), engine.Text(list, i+1)); err != nil {
				return nil, time.Time{}, engine.ErrBroken.Because(err)
			}
		}
		records = append(records, r)
	}
	return records, at(engine.Number(list, 1)), nil
}

func (s *Schedules) names(ctx context.Context, t tenants.ID, uid string) ([]string, error) {
	reply, err := s.engine.Do(ctx, scheduleNamesScript, s.keys(t, uid)[1:])
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	names := make([]string, len(list))
	for i := range list {
		names[i] = engine.Text(list, i)
	}
	return names, nil
}

// DropSchedules deletes the schedules of an owner that is retired: out of the index first, so that whoever finds the
// deletion half done finds those whose entries are left. It can be repeated.
func (s *Schedules) DropSchedules(ctx context.Context, t tenants.ID, uid string) error {
	var gone []any
	for {
		reply, err := s.engine.Do(ctx, scheduleDropScript, []string{schedulesKey(t, uid)}, gone...)
		if err != nil {
			return err
		}
		list, _ := reply.([]any)
		if len(list) == 0 {
			return nil
		}
		gone = nil
		var changes []indexChange
		for i := 0; i+1 < len(list); i += 2 {
			name := engine.Text(list, i)
			var state scheduleState
			if err := json.Unmarshal([]byte(engine.Text(list, i+1)), &state); err != nil {
				return engine.ErrBroken.Because(fmt.Errorf("read schedule: %w", err))
			}
			gone = append(gone, name)
			changes = append(changes, leave(entry{t, uid, name, state.Life}))
		}
		if err := s.index(ctx, changes...); err != nil {
			return err
		}
		if err := s.step("schedules left"); err != nil {
			return err
		}
	}
}

// ReindexSchedules puts the schedules of an owner back into the index where their entries were lost: when Redis lost one slot and
// not the other.
func (s *Schedules) ReindexSchedules(ctx context.Context, t tenants.ID, owner string) error {
	return s.owners.WithOwner(ctx, t, owner, func(o ScheduleOwner) error {
		names, err := s.names(ctx, o.Tenant, o.UID)
		if err != nil {
			return err
		}
		for len(names) > 0 {
			list, _, err := s.read(ctx, s.keys(o.Tenant, o.UID), names[:min(len(names), callMessages)]...)
			if err != nil {
				return err
			}
			var changes []indexChange
			for _, r := range list {
				if r != nil && r.state.Life != "" {
					changes = append(changes, enter(o.entryOf(r), r.state.Next))
				}
			}
			if err := s.index(ctx, changes...); err != nil {
				return err
			}
			names = names[len(list):]
		}
		return nil
	})
}
