package queues

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// scheduleLease is how long a server that died keeps others from its work. missedAfter is longer.
	scheduleLease = 10 * time.Second
	// schedulePoll is how often the index is looked at when nothing is due, and so how late the first tick of a new
	// schedule may be.
	schedulePoll = time.Second
	// scheduleGather is the least time between two looks, so that ticks which are close together share one.
	scheduleGather = 20 * time.Millisecond
	// scheduleRetry is when a schedule is looked at again whose queue could not be reached.
	scheduleRetry = 2 * time.Second
	// orphanAge is how old an entry is that leads to no schedule before it goes: until then the schedule may be on its
	// way, because entries are made first. It is far longer than any call takes.
	orphanAge = time.Minute

	dueAtOnce  = 100 // entries of one look
	dueWorkers = 16  // schedules that one server deals with at the same time
)

// scheduleCounts are what this server did for schedules since it started.
type scheduleCounts struct{ runs, missed, errors atomic.Int64 }

// ScheduleCounts returns how many messages this server has sent for schedules, how many ticks it left out because they
// were missed, and how many messages queues refused.
func (s *Schedules) ScheduleCounts() (runs, missed, errors int64) {
	c := &s.counts
	return c.runs.Load(), c.missed.Load(), c.errors.Load()
}

// TickSchedules sends what schedules ask for until ctx ends. One server of the installation does it at a time; two that
// believe so at once do each tick once all the same.
func (s *Schedules) TickSchedules(ctx context.Context) error {
	mine, asked := false, time.Time{}
	for {
		wait := schedulePoll
		if time.Since(asked) >= scheduleLease/2 {
			asked = time.Now()
			got, err := s.engine.Lease(ctx, s.part, scheduleLease)
			mine = err == nil && got
		}
		if mine {
			if next, err := s.RunDue(ctx); err == nil {
				wait = next
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if mine { // another server need not wait for the lease to end
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_, _ = s.engine.Lease(last, s.part, 0)
			}
			return nil
		}
	}
}

// RunDue deals with schedules that are due, at most a hundred, and returns how long nothing more is.
func (s *Schedules) RunDue(ctx context.Context) (time.Duration, error) {
	reply, err := s.engine.Do(ctx, scheduleDueScript, []string{scheduleIndexKey(s.part)}, dueAtOnce)
	if err != nil {
		return 0, err
	}
	list, _ := reply.([]any)
	if len(list) < 2 {
		return 0, unexpected(reply)
	}
	due := list[2:]
	if len(due) == 0 {
		if next := engine.Number(list, 1); next != 0 {
			return max(min(at(next).Sub(at(engine.Number(list, 0))), schedulePoll), scheduleGather), nil
		}
		return schedulePoll, nil
	}
	var g errgroup.Group
	g.SetLimit(dueWorkers)
	var mu sync.Mutex
	var changes []indexChange
	for i := range due {
		g.Go(func() error {
			change := s.dealWith(ctx, engine.Text(due, i), at(engine.Number(list, 0)))
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, change)
			return nil
		})
	}
	_ = g.Wait() // dealWith has noted what failed
	if err := s.step("ticked"); err != nil {
		return 0, err
	}
	return scheduleGather, s.index(ctx, changes...)
}

// dealWith does what is due of the schedule behind an entry, and says what becomes of the entry.
func (s *Schedules) dealWith(ctx context.Context, raw string, now time.Time) indexChange {
	e, ok := parseEntry(raw)
	if !ok {
		s.logger.Error("an entry of the index of schedules is damaged", "entry", raw)
		return indexChange{verb: "-", entry: raw}
	}
	next, err := s.tick(ctx, e)
	switch {
	case err == nil && next.IsZero():
		return leave(e)
	case err == nil:
		return move(e, next)
	case errors.Is(err, errNoSchedule):
		if s.clock.Now().Sub(e.born()) > orphanAge {
			return leave(e)
		}
		return move(e, now.Add(orphanAge))
	}
	s.logger.Warn("a schedule could not be run and is tried again", "tenant", e.tenant.String(), "uid", e.uid, "schedule", e.name, "error", err.Error())
	return move(e, now.Add(scheduleRetry))
}

// catchUp is tick for whoever is about to change a schedule that is due.
func (s *Schedules) catchUp(ctx context.Context, e entry) error {
	next, err := s.tick(ctx, e)
	if errors.Is(err, errNoSchedule) {
		return nil // it has changed already
	}
	if err != nil {
		return err
	}
	if next.IsZero() {
		return s.index(ctx, leave(e))
	}
	return s.index(ctx, move(e, next))
}

// triedFor is how long a tick that was begun is tried again. It ends before the queue forgets the keys of its messages,
// also where the clocks of two Redis nodes are a little apart, so nothing is stored twice: after four minutes, or, in a
// FIFO queue that remembers for less than five, after four fifths of that.
func (s Settings) triedFor() time.Duration { return min(dedupWindow, s.window()) * 4 / 5 }

// errNoSchedule says that an entry of the index leads to no schedule of its life.
var errNoSchedule = errors.New("there is no such schedule")

// tick deals with all that is due of a schedule and returns when it is due next, or the zero time for never.
//
// It notes that it begins, sends, and notes what became of it. Whoever finds a tick that was begun and not finished does
// the same again: the messages have keys made of the schedule and the tick, so those that are stored are not stored
// twice. After triedFor that is not certain any more, and the tick is missed.
func (s *Schedules) tick(ctx context.Context, e entry) (time.Time, error) {
	keys := s.keys(e.tenant, e.uid)
	for range maxStale {
		list, now, err := s.read(ctx, keys, e.name)
		if errors.Is(err, errGone) || err == nil && (list[0] == nil || list[0].state.Life != e.life) {
			return time.Time{}, errNoSchedule
		}
		if err != nil {
			return time.Time{}, err
		}
		r := list[0]
		if !r.due(now) {
			return at(r.state.Next), nil
		}
		doubtful, err := s.doubtful(ctx, e, r, now)
		if err != nil {
			return time.Time{}, err
		}
		// Begin, or begin anew what is to be made up for.
		if r.state.Tried == 0 || doubtful && r.def.Missed != MissedSkip {
			r.state.Tried, doubtful = now.UnixMilli(), false
			if err := s.saveSchedule(ctx, keys, r); errors.Is(err, errScheduleChanged) {
				continue
			} else if err != nil {
				return time.Time{}, err
			}
		}
		if err := s.step("tick begun"); err != nil {
			return time.Time{}, err
		}
		if err := s.carryOut(ctx, e, keys, r, now, doubtful); err != nil {
			return time.Time{}, err
		}
		switch {
		case r.state.Life != e.life:
			return time.Time{}, nil // it was the last tick, or the schedule was paused or changed meanwhile
		case !r.due(now):
			return at(r.state.Next), nil
		}
	}
	return time.Time{}, engine.ErrUnavailable
}

// doubtful reports whether a tick was begun so long ago that nobody can know whether it was sent.
func (s *Schedules) doubtful(ctx context.Context, e entry, r *scheduleRecord, now time.Time) (bool, error) {
	if r.state.Tried == 0 {
		return false, nil
	}
	var rules Settings
	err := s.withOwner(ctx, e, r, func(o ScheduleOwner) (err error) {
		rules, err = o.Rules(ctx)
		return err
	})
	return err == nil && now.Sub(at(r.state.Tried)) >= rules.triedFor(), err
}

// withOwner calls f with the owner of a schedule, or returns errNoSchedule where it is being deleted, or is another one by now.
func (s *Schedules) withOwner(ctx context.Context, e entry, r *scheduleRecord, f func(ScheduleOwner) error) error {
	err := s.owners.WithOwner(ctx, e.tenant, r.def.Queue, func(o ScheduleOwner) error {
		if o.UID != e.uid {
			return errNoSchedule
		}
		return f(o)
	})
	if errs.KindOf(err) == errs.NotFound {
		return errNoSchedule
	}
	return err
}

// carryOut sends for the ticks of a schedule that were begun, and notes it. Doubtful ones are only counted as missed.
func (s *Schedules) carryOut(ctx context.Context, e entry, keys []string, r *scheduleRecord, now time.Time, doubtful bool) error {
	first, tried := r.state.Next, r.state.Tried
	p := r.timing.plan(at(first), at(tried))
	if doubtful {
		p.missed, p.sends = p.missed+int64(len(p.sends)), nil
	}
	done, err := s.sendScheduled(ctx, e, r, p.sends, now)
	if err != nil {
		return err
	}
	if err := s.step("tick sent"); err != nil {
		return err
	}
	noted := false
	err = s.amend(ctx, keys, r, func(st *scheduleState) bool {
		if noted = st.Next == first && st.Tried == tried; !noted {
			return false // another server has noted it
		}
		st.Tried, st.Runs, st.Missed, st.Errors = 0, st.Runs+done.runs, st.Missed+p.missed, st.Errors+done.errors
		if done.last != nil {
			st.LastRun = done.last
		}
		if done.failure != nil {
			st.LastFail = done.failure
		}
		if st.Paused == nil {
			if st.Next = unixMilli(p.next); st.Next == 0 {
				st.Life = ""
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if noted {
		s.counts.runs.Add(done.runs)
		s.counts.missed.Add(p.missed)
		s.counts.errors.Add(done.errors)
	}
	return s.step("tick noted")
}

// sentTicks is what became of the messages of ticks.
type sentTicks struct {
	runs, errors int64
	last         *storedRun
	failure      *storedFailure
}

// sendScheduled sends a schedule's message for each of the ticks. What the queue refuses is part of the result; an error
// says that the ticks are to be tried again.
func (s *Schedules) sendScheduled(ctx context.Context, e entry, r *scheduleRecord, ticks []time.Time, now time.Time) (sentTicks, error) {
	var out sentTicks
	if len(ticks) == 0 {
		return out, nil
	}
	terms, err := s.terms(ctx, e.tenant)
	if err != nil {
		return out, err
	}
	if err := terms.MaySend(); err != nil {
		out.errors, out.failure = int64(len(ticks)), failure(err, ticks[len(ticks)-1], now)
		return out, nil
	}
	batch := make([]Outgoing, len(ticks))
	for i, tick := range ticks {
		batch[i] = r.message(tickName(tick))
	}
	var results []SendResult
	err = s.withOwner(ctx, e, r, func(o ScheduleOwner) (err error) {
		results, err = o.Send(By(ctx, func() Actor { return Actor{Kind: BySchedule, Name: r.name} }), batch)
		return err
	})
	if err != nil {
		return out, err
	}
	for i := range results {
		one := &results[i]
		switch kind := errs.KindOf(one.Err); {
		case one.Err == nil:
			out.runs++
			out.last = &storedRun{For: ticks[i].UnixMilli(), At: now.UnixMilli(), ID: one.ID.String()}
		case kind == errs.Unavailable || kind == errs.Unknown:
			return sentTicks{}, one.Err
		default:
			out.errors++
			out.failure = failure(one.Err, ticks[i], now)
		}
	}
	return out, nil
}

// failure is what a schedule shows of a refusal.
func failure(err error, tick, now time.Time) *storedFailure {
	f := &storedFailure{For: tick.UnixMilli(), At: now.UnixMilli(), Code: engine.ErrBroken.Code, Message: engine.ErrBroken.Message}
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind != errs.Internal {
		f.Code, f.Message = e.Code, e.Message
	}
	return f
}

// indexChange is a change of one entry of the index; see schedule_index.lua.
type indexChange struct {
	verb  string
	at    int64 // milliseconds
	entry string
}

func enter(e entry, next int64) indexChange    { return indexChange{"+", next, e.String()} }
func move(e entry, next time.Time) indexChange { return indexChange{"=", next.UnixMilli(), e.String()} }
func leave(e entry) indexChange                { return indexChange{"-", 0, e.String()} }

// index changes at most dueAtOnce entries of the index.
func (s *Schedules) index(ctx context.Context, changes ...indexChange) error {
	if len(changes) == 0 {
		return nil
	}
	args := make([]any, 0, 3*len(changes))
	for _, c := range changes {
		args = append(args, c.verb, c.at, c.entry)
	}
	_, err := s.engine.Do(ctx, scheduleIndexScript, []string{scheduleIndexKey(s.part)}, args...)
	return err
}
