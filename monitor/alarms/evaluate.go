package alarms

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// lookers is how many tenants are looked at together.
	lookers = 4
	// maxStreaks bounds what an alarm remembers of things that are beyond its threshold, and names when it tells of them.
	maxStreaks = 20
	// maxShown bounds the tenants of a Summary.
	maxShown = 100
	// entering is how long the index keeps a tenant that has no alarms: longer than a Put may take that has entered it.
	entering = 10 * time.Minute
)

// Evaluate looks at all alarms whose period is over, of all tenants, and tells of changes. It goes on where one tenant's
// fail, and returns one of the errors. Two servers that do so at once change nothing twice.
func (s *Store) Evaluate(ctx context.Context) error {
	reply, err := s.Engine.Do(ctx, indexScript, index())
	if err != nil {
		return err
	}
	list, _ := reply.([]any)
	sum := &Summary{States: map[State]int64{OK: 0, Alarm: 0, Unknown: 0}, Active: map[tenants.ID]int64{}}
	var mu sync.Mutex
	var failed error
	var g errgroup.Group
	g.SetLimit(lookers)
	for i := 0; i+1 < len(list); i += 2 {
		id, ok := tenants.ParseID(engine.Text(list, i))
		if !ok {
			continue
		}
		g.Go(func() error {
			all, err := s.look(ctx, id, engine.Text(list, i+1))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			active := int64(0)
			for _, r := range all {
				sum.States[r.state.State]++
				if r.state.State == Alarm {
					active++
				}
			}
			if active > 0 && len(sum.Active) < maxShown {
				sum.Active[id] = active
			}
			return nil
		})
	}
	_ = g.Wait()
	s.last.Store(sum)
	return failed
}

// look looks at the alarms of a tenant, and returns them as they are then. entered is what the index has of it.
func (s *Store) look(ctx context.Context, t tenants.ID, entered string) ([]*record, error) {
	all, err := s.read(ctx, t, true)
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	if len(all) == 0 {
		if ms, err := strconv.ParseInt(entered, 10, 64); err != nil || now.Sub(time.UnixMilli(ms)) > entering {
			_, err := s.Engine.Do(ctx, leaveScript, index(), t.String(), entered)
			return nil, err
		}
		return nil, nil
	}
	terms, err := s.Terms(ctx, t)
	if err != nil {
		return all, err
	}
	if rests(terms) {
		return all, nil
	}
	v := &survey{store: s, tenant: t, terms: terms, now: now}
	var list []*saving
	var failed error
	for _, r := range all {
		if !r.due(now) {
			continue
		}
		readings, fresh, err := v.read(ctx, r)
		if err != nil {
			failed = err // the alarm stays due
			continue
		}
		list = append(list, &saving{record: r, fresh: fresh, change: r.judge(readings, now)})
	}
	changed, err := s.save(ctx, t, list)
	if err != nil {
		return all, err
	}
	for _, r := range all {
		// Of what somebody changed meanwhile it is not known what has been noted: the next look tells.
		if r.state.Told < r.state.Seq && !slices.ContainsFunc(changed, func(c *saving) bool { return c.record == r }) {
			if err := s.tell(ctx, t, r); err != nil {
				failed = err
			}
		}
	}
	return all, failed
}

// rests reports whether the alarms of a tenant do: one that is suspended may not publish either.
func rests(t *tenants.Terms) bool { return t.MaySend() != nil }

// due reports whether a period has begun in which nobody has looked. Periods are those of the clock: all servers agree when
// one begins.
func (r *record) due(now time.Time) bool {
	if r.def.Disabled {
		return false
	}
	n := func(ms int64) int64 { return ms / 1000 / max(r.def.Period, 1) }
	return r.state.Looked == 0 || n(now.UnixMilli()) > n(r.state.Looked)
}

// judge notes what was seen, and returns the change of state that follows, or nil.
func (r *record) judge(readings []reading, now time.Time) *storedChange {
	st := &r.state
	slices.SortFunc(readings, func(a, b reading) int {
		switch {
		case a.known != b.known:
			if a.known {
				return -1
			}
			return 1
		case a.value != b.value:
			if r.def.Comparison.worse(a.value, b.value) {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	st.Looked, st.Value, st.Name = now.UnixMilli(), nil, ""
	next := st.State
	var firing []streak
	switch {
	case len(readings) == 0:
		next, st.Streaks = Unknown, nil
	case readings[0].known:
		st.Value, st.Name = &readings[0].value, readings[0].name
		firing = r.streaks(readings)
		next = OK
		if len(firing) > 0 {
			next = Alarm
		}
	}
	// Otherwise there is nothing to say of any of them, such as of a webhook that had nothing to send: all stays as it is.
	if next == st.State {
		return nil
	}
	c := &storedChange{Seq: st.Seq + 1, At: now.UnixMilli(), From: st.State, To: next, Value: st.Value, Muted: st.muted(now)}
	for _, f := range firing {
		c.Names = append(c.Names, f.Name)
	}
	if len(firing) == 0 && st.Name != "" {
		c.Names = []string{st.Name}
	}
	c.Why = r.why(next, firing)
	st.State, st.Since, st.Seq, st.Trouble = next, now.UnixMilli(), c.Seq, nil
	return c
}

// streaks counts for how many periods in a row things have been beyond the threshold, and returns those of which it is enough,
// the worst first. Readings are sorted so.
func (r *record) streaks(readings []reading) (firing []streak) {
	before := map[string]int{}
	for _, k := range r.state.Streaks {
		before[k.Name] = k.Count
	}
	var list []streak
	for _, seen := range readings {
		if !seen.known {
			if n, ok := before[seen.name]; ok { // nothing new of it
				list = append(list, streak{seen.name, n, 0})
			}
			continue
		}
		if r.def.Comparison.holds(seen.value, r.def.Threshold) {
			list = append(list, streak{seen.name, min(before[seen.name]+1, r.def.Periods), seen.value})
		}
	}
	// Where there are too many, those are kept that have lasted.
	slices.SortStableFunc(list, func(a, b streak) int { return cmp.Compare(b.Count, a.Count) })
	r.state.Streaks = list[:min(len(list), maxStreaks)]
	for _, k := range r.state.Streaks {
		if k.Count >= r.def.Periods {
			firing = append(firing, k)
		}
	}
	return firing
}

// why says in a sentence why an alarm has its new state.
func (r *record) why(next State, firing []streak) string {
	d, value := &r.def, 0.0
	if next == Unknown {
		return "There is nothing that the alarm could look at."
	}
	name := r.state.Name
	if len(firing) > 0 {
		name, value = firing[0].Name, firing[0].Value
	} else if r.state.Value != nil {
		value = *r.state.Value
	}
	text := fmt.Sprintf("%s of %s is %s", d.Metric, name, number(value))
	if next == OK {
		return text + fmt.Sprintf(", which is not %s %s.", d.Comparison, number(d.Threshold))
	}
	text += fmt.Sprintf(", which is %s %s", d.Comparison, number(d.Threshold))
	if d.Periods > 1 {
		text += fmt.Sprintf(", for %d periods of %d seconds", d.Periods, d.Period)
	}
	if n := len(firing) - 1; n > 0 {
		text += fmt.Sprintf("; %d more as well", n)
	}
	return text + "."
}

// number writes a value for people.
func number(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 1, 64), "0"), ".")
}
