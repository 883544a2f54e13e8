package alarms

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// errChanged says that another change of an alarm came first.
var errChanged = errors.New("the alarm has changed")

// attempts bounds how often a change is tried that others are in the way of.
const attempts = 5

// read returns alarms of a tenant by name: those of the names, or all.
func (s *Store) read(ctx context.Context, t tenants.ID, withMarks bool, names ...string) ([]*record, error) {
	args := []any{"0"}
	if withMarks {
		args[0] = "1"
	}
	for _, name := range names {
		args = append(args, name)
	}
	reply, err := s.Engine.Do(ctx, readScript, keys(t)[:2], args...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	out := make([]*record, 0, len(list)/4)
	for i := 0; i+3 < len(list); i += 4 {
		r, err := parseRecord(list, i)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *record) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// Put creates an alarm or replaces its settings, and reports whether it was created. The state stays; what was seen for some
// periods begins anew.
func (s *Store) Put(ctx context.Context, t tenants.ID, name string, set Settings, cond queues.Condition) (Entry, bool, error) {
	if err := ValidName(name); err != nil {
		return Entry{}, false, err
	}
	if err := set.Validate(); err != nil {
		return Entry{}, false, err
	}
	if err := s.checkTopic(ctx, t, set.NotifyTopic); err != nil {
		return Entry{}, false, err
	}
	if err := s.checkEmail(ctx, t, set.NotifyEmail); err != nil {
		return Entry{}, false, err
	}
	var out Entry
	created := false
	err := s.change(ctx, t, name, cond, func(r *record, now time.Time) error {
		def := define(&set)
		next := &record{name: name, state: state{State: Unknown, Since: now.UnixMilli()}}
		if r != nil {
			if def.says(r.def) {
				out, created = r.entry(now), false
				return nil
			}
			next.was, next.state = r.was, r.state
			next.state.Looked, next.state.Streaks = 0, nil
			def.UID, def.Created = r.def.UID, r.def.Created
		} else {
			def.UID, def.Created = s.Engine.NewID(0).String(), now.UnixMilli()
		}
		def.Version, def.Updated = s.Engine.NewID(0).String(), now.UnixMilli()
		next.def = def
		text, err := json.Marshal(def)
		if err != nil {
			return engine.ErrBroken.Because(err)
		}
		// The index is in another slot and gets its entry first: one without an alarm does nothing and goes.
		if _, err := s.Engine.Do(ctx, enterScript, index(), t.String(), now.UnixMilli()); err != nil {
			return err
		}
		reply, err := s.Engine.Do(ctx, putScript, []string{engine.TenantKey(t.String(), "tenant"), keys(t)[0]}, name, next.was, string(text), s.encode(&next.state), MaxAlarms)
		if err != nil {
			return err
		}
		switch reply {
		case "changed":
			return errChanged
		case "full":
			return ErrQuota
		case "absent":
			return queues.ErrTenantGone
		}
		out, created = next.entry(now), r == nil
		return nil
	})
	return out, created, err
}

// checkTopic refuses a topic that is not there.
func (s *Store) checkTopic(ctx context.Context, t tenants.ID, name string) error {
	if name == "" {
		return nil
	}
	_, err := s.Topics.Get(ctx, t, name)
	if errors.Is(err, topics.ErrTopicNotFound) {
		return errs.Invalidf("/notify/topic", "there is no topic %q", name)
	}
	return err
}

// change calls f with an alarm that is as cond asks, nil for one that is not there, until nothing comes between.
func (s *Store) change(ctx context.Context, t tenants.ID, name string, cond queues.Condition, f func(r *record, now time.Time) error) error {
	for range attempts {
		list, err := s.read(ctx, t, false, name)
		if err != nil {
			return err
		}
		var r *record
		if len(list) > 0 {
			r = list[0]
		}
		if cond.Missing && r != nil || cond.ETag != "" && (r == nil || cond.ETag != "*" && cond.ETag != r.def.Version) {
			return ErrPrecondition
		}
		if err := f(r, s.Clock.Now()); !errors.Is(err, errChanged) {
			return err
		}
	}
	return errBusy
}

// Get returns an alarm.
func (s *Store) Get(ctx context.Context, t tenants.ID, name string) (Entry, error) {
	list, err := s.read(ctx, t, false, name)
	if err != nil {
		return Entry{}, err
	}
	if len(list) == 0 {
		return Entry{}, notFound(name)
	}
	return list[0].entry(s.Clock.Now()), nil
}

// List returns all alarms of a tenant, by name.
func (s *Store) List(ctx context.Context, t tenants.ID) ([]Entry, error) {
	list, err := s.read(ctx, t, false)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(list))
	for i, r := range list {
		out[i] = r.entry(s.Clock.Now())
	}
	return out, nil
}

// Delete deletes an alarm with its history.
func (s *Store) Delete(ctx context.Context, t tenants.ID, name string, cond queues.Condition) error {
	return s.change(ctx, t, name, cond, func(r *record, _ time.Time) error {
		if r == nil {
			return notFound(name)
		}
		args := []any{name, r.was}
		for seq := range int64(Kept) {
			args = append(args, r.place(seq))
		}
		return s.settled(s.Engine.Do(ctx, dropScript, keys(t), args...))
	})
}

// settled turns the answer of a script that compares into an error.
func (s *Store) settled(reply any, err error) error {
	if err == nil && reply == "changed" {
		return errChanged
	}
	return err
}

// Mute keeps an alarm from telling anybody for a while; its state and history go on. A duration of 0 ends that.
func (s *Store) Mute(ctx context.Context, t tenants.ID, name string, d time.Duration, reason string) (Entry, error) {
	switch {
	case d < 0 || d > MaxMute:
		return Entry{}, errs.Invalidf("/for", "must be 1 to %.0f seconds", MaxMute.Seconds())
	case len(reason) > MaxMuteReason:
		return Entry{}, errs.Invalidf("/reason", "A reason has at most %d bytes, got %d.", MaxMuteReason, len(reason))
	}
	var out Entry
	err := s.change(ctx, t, name, queues.Condition{}, func(r *record, now time.Time) error {
		if r == nil {
			return notFound(name)
		}
		r.state.Muted, r.state.MutedFor = 0, ""
		if d > 0 {
			r.state.Muted, r.state.MutedFor = now.Add(d).UnixMilli(), reason
		}
		changed, err := s.save(ctx, t, []*saving{{record: r}})
		if err == nil && len(changed) > 0 {
			err = errChanged
		}
		out = r.entry(now)
		return err
	})
	return out, err
}

// History returns the last changes of an alarm's state, up to Kept, the last one first.
func (s *Store) History(ctx context.Context, t tenants.ID, name string) ([]Change, error) {
	list, err := s.read(ctx, t, false, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound(name)
	}
	r := list[0]
	found, err := s.changes(ctx, t, r, max(r.state.Seq-Kept, 0), r.state.Seq)
	if err != nil {
		return nil, err
	}
	out := make([]Change, 0, len(found))
	for _, c := range slices.Backward(found) {
		out = append(out, Change{At: at(c.At), From: c.From, To: c.To, Value: c.Value, Names: c.Names, Why: c.Why, Muted: c.Muted})
	}
	return out, nil
}

// changes reads the changes of an alarm after one number up to another, at most Kept.
func (s *Store) changes(ctx context.Context, t tenants.ID, r *record, after, last int64) ([]storedChange, error) {
	var fields []any
	for seq := after + 1; seq <= last; seq++ {
		fields = append(fields, r.place(seq))
	}
	if len(fields) == 0 {
		return nil, nil
	}
	reply, err := s.Engine.Do(ctx, historyScript, keys(t)[2:], fields...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	var out []storedChange
	for i := range list {
		var c storedChange
		// A later change may have taken the place since the alarm was read.
		if text := engine.Text(list, i); text != "" && json.Unmarshal([]byte(text), &c) == nil && c.Seq == after+1+int64(i) {
			out = append(out, c)
		}
	}
	return out, nil
}

// saving is an alarm whose state is to be noted.
type saving struct {
	*record
	fresh  marks // nil: as they are
	change *storedChange
}

// save notes states in one call, with marks and changes. It returns those that somebody has changed since they were read.
func (s *Store) save(ctx context.Context, t tenants.ID, list []*saving) (changed []*saving, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	var args []any
	texts := make([]string, len(list))
	for i, v := range list {
		marks, field, change := "", "", ""
		if v.fresh != nil {
			text, _ := json.Marshal(v.fresh)
			marks = string(text)
		}
		if v.change != nil {
			text, _ := json.Marshal(v.change)
			field, change = v.place(v.change.Seq), string(text)
		}
		texts[i] = s.encode(&v.state)
		args = append(args, v.name, v.was, texts[i], marks, field, change)
	}
	reply, err := s.Engine.Do(ctx, saveScript, keys(t), args...)
	if err != nil {
		return nil, err
	}
	answers, _ := reply.([]any)
	for i, v := range list {
		if engine.Text(answers, i) != "ok" {
			changed = append(changed, v)
			continue
		}
		v.was = texts[i]
	}
	return changed, nil
}
