package queues

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// listen hears what other servers' scripts say; see lua/lib/wake.lua.
func (s *Store) listen(ctx context.Context) {
	defer s.hearing.Store(false)
	s.engine.Listen(ctx, engine.WakePrefix, func(up bool) {
		s.hearing.Store(up)
		if up {
			s.recheckAll() // what was said while nobody listened is lost
		}
	}, func(word string) {
		f := strings.Fields(word)
		if len(f) != 3 {
			return
		}
		if v, ok := s.byUID.Load(f[0]); ok {
			ready, _ := strconv.Atoi(f[1])
			due, _ := strconv.ParseInt(f[2], 10, 64)
			v.(*desk).waiters.wake(ready, time.Duration(due)*time.Millisecond)
		}
	})
}

// recheckAll lets one waiter of each queue look, spread over a second.
func (s *Store) recheckAll() {
	n := 0
	s.desks.Range(func(_, v any) bool {
		l := v.(*desk).waiters.lobby
		if l.count.Load() == 0 {
			return true
		}
		for _, w := range l.of {
			n++
			s.clock.AfterFunc(time.Duration(n%1000)*time.Millisecond, w.tick)
		}
		return true
	})
}

const (
	// idleDesk is how long a desk that nobody uses is kept.
	idleDesk = 10 * time.Minute
	// sweepRate bounds a walk through all queues, in queues a second.
	sweepRate = 20
)

// maintain says that this server lives, and forgets idle desks.
func (s *Store) maintain(ctx context.Context) {
	beat := time.NewTicker(engine.SessionBeat)
	defer beat.Stop()
	for {
		if alive, err := s.engine.Beat(ctx); err == nil {
			s.noteAlive(alive)
		}
		s.forgetIdle()
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
	}
}

// noteAlive keeps the numbers of living sessions in the form that stats.lua takes.
func (s *Store) noteAlive(alive []uint32) {
	var b strings.Builder
	b.WriteByte(',')
	slices.Sort(alive)
	for _, n := range alive {
		b.WriteString(strconv.FormatUint(uint64(n), 10))
		b.WriteByte(',')
	}
	list := b.String()
	s.alive.Store(&list)
}

func (s *Store) forgetIdle() {
	before := s.clock.Now().Add(-idleDesk).UnixMilli()
	s.desks.Range(func(_, v any) bool {
		d := v.(*desk)
		if d.used.Load() < before && d.waiters.count.Load() == 0 {
			s.forget(d)
		}
		return true
	})
}

// Sweep walks a tenant's queues: it finishes creations and deletions that a crash left half done, and brings every
// queue and the index of schedules up to date. It makes at most sweepRate calls a second.
func (s *Store) Sweep(ctx context.Context, t tenants.ID) error {
	if err := s.finish(ctx, t); err != nil {
		return err
	}
	pace := time.NewTicker(time.Second / sweepRate)
	defer pace.Stop()
	for after := ""; ; {
		found, err := s.registry().List(ctx, t, "", after, 100)
		if err != nil {
			return err
		}
		for _, q := range found {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pace.C:
			}
			after = q.Name
			_, err := s.Stats(ctx, t, after)
			if err == nil {
				err = s.relevel(ctx, t, after)
			}
			if err == nil {
				err = s.ReindexSchedules(ctx, t, after)
			}
			if err == nil {
				err = s.tidyTimelines(ctx, t, after)
			}
			if err != nil && !errors.Is(err, ErrQueueNotFound) && !errors.Is(err, ErrDataLost) {
				return err
			}
		}
		if len(found) < 100 {
			return nil
		}
	}
}

// finish completes what was begun and not ended.
func (s *Store) finish(ctx context.Context, t tenants.ID) error {
	for cursor := "0"; ; {
		found, next, err := s.registry().Unfinished(ctx, t, cursor)
		if err != nil {
			return err
		}
		for _, q := range found {
			if q.Name == "" {
				err = s.bury(ctx, t, "", q.UID)
			} else {
				err = s.finishCreation(ctx, t, q.Name, q.UID)
			}
			if err != nil {
				return err
			}
		}
		if cursor = next; cursor == "0" {
			return nil
		}
	}
}

// finishCreation makes a reserved queue live if its keys are there, and otherwise gives the name back. Whoever reserved it
// may make the keys just now: the name comes first, so that one of the two has his way.
func (s *Store) finishCreation(ctx context.Context, t tenants.ID, name, uid string) error {
	c, err := s.load(ctx, t, uid)
	if errors.Is(err, errGone) {
		if err := s.step("not made"); err != nil {
			return err
		}
		if given, err := s.registry().GiveUp(ctx, t, name, uid); err != nil || !given {
			return err
		}
		if err := s.discard(ctx, t, uid); err != nil {
			return err
		}
		return s.registry().Forget(ctx, t, uid)
	}
	if err != nil {
		return err
	}
	if err := s.makeRest(ctx, t, uid, c); err != nil {
		return err
	}
	_, err = s.confirm(ctx, t, name, uid)
	return err
}
