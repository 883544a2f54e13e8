package queues

import (
	"time"

	"github.com/sluicemq/sluice/internal/cron"
)

const (
	// missedAfter is how late a tick may begin without being missed: several times what it takes until another server
	// does the work of one that died.
	missedAfter = time.Minute
	// maxMissed bounds the missed ticks that are counted for one outage.
	maxMissed = 10_000
)

// timing is when a schedule is due.
type timing struct {
	cron         cron.Expression
	zone         *time.Location
	every        time.Duration // 0: cron
	first        time.Time     // of every
	starts, ends time.Time     // zero: none
	missed       MissedPolicy
}

// timing reads when the schedule is due. anchor is the instant from which Every counts when nothing else is said.
func (s *ScheduleSettings) timing(anchor time.Time) (timing, error) {
	t := timing{zone: time.UTC, every: s.Every, starts: s.StartsAt, ends: s.EndsAt, missed: s.Missed}
	if s.Every > 0 {
		if t.first = s.StartsAt; t.first.IsZero() {
			t.first = anchor.Add(s.Every)
		}
		return t, nil
	}
	var err error
	if t.cron, err = cron.Parse(s.Cron); err != nil {
		return t, err
	}
	t.zone, err = cron.Zone(s.TimeZone)
	return t, err
}

// after returns the first tick after an instant, and the zero time for none.
func (t *timing) after(at time.Time) time.Time {
	var next time.Time
	switch {
	case t.every == 0:
		if at.Before(t.starts) {
			at = t.starts.Add(-1)
		}
		next = t.cron.Next(at, t.zone)
	case at.Before(t.first):
		next = t.first
	default:
		next = at.Add(t.every - at.Sub(t.first)%t.every)
	}
	if !t.ends.IsZero() && next.After(t.ends) {
		return time.Time{}
	}
	return next
}

// from is after for the first tick at an instant or after it.
func (t *timing) from(at time.Time) time.Time { return t.after(at.Add(-1)) }

// coming returns the next n ticks after an instant.
func (t *timing) coming(at time.Time, n int) []time.Time {
	var list []time.Time
	for next := t.after(at); !next.IsZero() && len(list) < n; next = t.after(next) {
		list = append(list, next.In(t.zone))
	}
	return list
}

// plan is what is to be done at an instant about the ticks that are due.
type plan struct {
	sends  []time.Time // the ticks to send for, the earliest first
	missed int64       // ticks that are left out
	next   time.Time   // the first tick after that; zero: none
}

// plan decides about the ticks from next on, which is due, up to at. The same arguments give the same plan, so that
// whoever finishes what another server began sends for the same ticks.
func (t *timing) plan(next, at time.Time) plan {
	p := plan{next: t.after(at)}
	late := at.Add(-missedAfter)
	for tick := next; tick.Before(late) && !tick.IsZero() && p.missed < maxMissed; tick = t.after(tick) {
		p.missed++
	}
	switch t.missed {
	case MissedRunOnce:
		p.sends = t.latest(next, late, 1)
	case MissedRunAll:
		p.sends = t.latest(next, late, MaxCatchUp)
	}
	p.missed = max(p.missed-int64(len(p.sends)), 0)
	if next.Before(late) {
		next = t.from(late)
	}
	for tick := next; !tick.IsZero() && !tick.After(at); tick = t.after(tick) {
		p.sends = append(p.sends, tick) // at most one a second of missedAfter
	}
	return p
}

// latest returns the last n ticks from one instant on and before another. It looks back in growing steps, so that a
// clock that jumped by years costs no walk through all of them.
func (t *timing) latest(from, before time.Time, n int) []time.Time {
	if !from.Before(before) {
		return nil
	}
	for span := time.Duration(n) * time.Second; ; span *= 2 {
		begin := before.Add(-span)
		whole := !begin.After(from)
		if whole {
			begin = from
		}
		var list []time.Time
		for tick := t.from(begin); !tick.IsZero() && tick.Before(before); tick = t.after(tick) {
			if list = append(list, tick); len(list) == 2*n {
				list = append(list[:0], list[n:]...)
			}
		}
		if whole || len(list) >= n {
			return list[max(len(list)-n, 0):]
		}
	}
}
