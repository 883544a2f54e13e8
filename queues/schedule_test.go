package queues_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// The index of schedules belongs to the installation, so each of these tests has a Redis of its own.

// scheduleEngines runs a test on real Redis and on the in-memory engine.
func scheduleEngines(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, ownRedis(t))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func ownRedis(t *testing.T) *bench {
	t.Helper()
	return newBench(t, engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()})
}

// every returns settings for a message each so often.
func every(d time.Duration, change ...func(*queues.ScheduleSettings)) queues.ScheduleSettings {
	s := queues.ScheduleSettings{Every: d, Missed: queues.MissedSkip, Message: queues.Outgoing{Body: []byte("tick")}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func cronAt(expression, zone string) queues.ScheduleSettings {
	s := every(0)
	s.Cron, s.TimeZone = expression, zone
	return s
}

func missed(p queues.MissedPolicy) func(*queues.ScheduleSettings) {
	return func(s *queues.ScheduleSettings) { s.Missed = p }
}

func (b *bench) schedule(tb testing.TB, queue, name string, set queues.ScheduleSettings) queues.Schedule {
	tb.Helper()
	s, _, err := b.PutSchedule(tb.Context(), b.tenant, queue, name, set, queues.Condition{})
	if err != nil {
		tb.Fatalf("put schedule %s: %v", name, err)
	}
	return s
}

func (b *bench) look(tb testing.TB, queue, name string) queues.Schedule {
	tb.Helper()
	s, err := b.GetSchedule(tb.Context(), b.tenant, queue, name)
	if err != nil {
		tb.Fatalf("get schedule %s: %v", name, err)
	}
	return s
}

// tick does what is due now, until nothing is.
func (b *bench) tick(tb testing.TB) {
	tb.Helper()
	if err := b.TickDue(tb.Context()); err != nil {
		tb.Fatalf("tick: %v", err)
	}
}

// sent returns how many messages were ever stored in a queue.
func (b *bench) sent(tb testing.TB, queue string) int64 {
	tb.Helper()
	st, err := b.Stats(tb.Context(), b.tenant, queue)
	if err != nil {
		tb.Fatal(err)
	}
	return st.Sent
}

// tally is what is compared of a schedule after ticks.
type tally struct{ Runs, Missed, Errors, Sent int64 }

func (b *bench) tally(tb testing.TB, queue, name string) tally {
	tb.Helper()
	s := b.look(tb, queue, name)
	return tally{s.Runs, s.Missed, s.Errors, b.sent(tb, queue)}
}

func same(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// runs shows instants as text.
func runs(list []time.Time) []string {
	out := make([]string, len(list))
	for i, at := range list {
		out[i] = at.Format("01-02 15:04:05Z07:00")
	}
	return out
}

func TestAScheduleSendsAtEachTick(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		delay := time.Duration(0)
		set := every(5*time.Minute, func(s *queues.ScheduleSettings) {
			s.Message = queues.Outgoing{Body: []byte{0xff, 0}, ContentType: "application/x-report", Delay: &delay,
				Attributes: []queues.Attribute{{Name: "Kind", Type: "Binary", Value: "\x00\xfe"}}}
			s.Labels = map[string]string{"team": "a"}
		})
		got, created, err := b.PutSchedule(t.Context(), b.tenant, q, "report", set, queues.Condition{})
		want := queues.Schedule{Name: "report", Queue: q, Settings: set, Created: start, Updated: start, ETag: got.ETag, NextRuns: []time.Time{
			start.Add(5 * time.Minute), start.Add(10 * time.Minute), start.Add(15 * time.Minute), start.Add(20 * time.Minute), start.Add(25 * time.Minute)}}
		if err != nil || !created || got.ETag == "" {
			t.Fatalf("put: %+v, created %v, %v", got, created, err)
		}
		same(t, "new schedule", want, got)
		same(t, "schedule", want, b.look(t, q, "report"))

		b.clock.Advance(5*time.Minute - time.Millisecond)
		b.tick(t)
		same(t, "before the tick", tally{}, b.tally(t, q, "report"))
		b.clock.Advance(time.Millisecond)
		b.tick(t)
		b.tick(t)
		same(t, "after the tick", tally{Runs: 1, Sent: 1}, b.tally(t, q, "report"))
		m := b.receive(t, q, 10)
		if len(m) != 1 || m[0].Body != "\xff\x00" || m[0].ContentType != "application/x-report" || !cmp.Equal(m[0].Attributes, set.Message.Attributes) {
			t.Errorf("received %+v", m)
		}
		s := b.look(t, q, "report")
		same(t, "last run", queues.ScheduleRun{For: start.Add(5 * time.Minute), At: start.Add(5 * time.Minute), MessageID: m[0].ID}, s.LastRun)
		for range 20 {
			b.clock.Advance(30 * time.Second)
			b.tick(t)
		}
		same(t, "ten minutes later", tally{Runs: 3, Sent: 3}, b.tally(t, q, "report"))
		runs, missed, errors := b.ScheduleCounts()
		same(t, "counts of the server", [3]int64{3, 0, 0}, [3]int64{runs, missed, errors})
	})
}

func TestSchedulesKeepTheLocalTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	q := b.queue(t, nil)
	b.clock.Set(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC))
	for _, c := range []struct {
		name, expression, zone string
		want                   []string
	}{
		{"berlin", "30 2 * * *", "Europe/Berlin", []string{"03-28 02:30:00+01:00", "03-29 03:00:00+02:00", "03-30 02:30:00+02:00", "03-31 02:30:00+02:00", "04-01 02:30:00+02:00"}},
		{"newyork", "0 9 * * MON-FRI", "America/New_York", []string{"03-27 09:00:00-04:00", "03-30 09:00:00-04:00", "03-31 09:00:00-04:00", "04-01 09:00:00-04:00", "04-02 09:00:00-04:00"}},
		{"kolkata", "@daily", "Asia/Kolkata", []string{"03-28 00:00:00+05:30", "03-29 00:00:00+05:30", "03-30 00:00:00+05:30", "03-31 00:00:00+05:30", "04-01 00:00:00+05:30"}},
		{"lordhowe", "45 1 4-6 4 *", "Australia/Lord_Howe", []string{"04-04 01:45:00+11:00", "04-05 01:45:00+11:00", "04-06 01:45:00+10:30", "04-04 01:45:00+11:00", "04-05 01:45:00+10:30"}},
		{"utc", "0 0 29 2 *", "", []string{"02-29 00:00:00Z", "02-29 00:00:00Z", "02-29 00:00:00Z", "02-29 00:00:00Z", "02-29 00:00:00Z"}},
	} {
		same(t, c.name, c.want, runs(b.schedule(t, q, c.name, cronAt(c.expression, c.zone)).NextRuns))
	}
	// The night in which the clocks of Berlin are put forward.
	for range 96 {
		b.clock.Advance(30 * time.Minute)
		b.tick(t)
	}
	s := b.look(t, q, "berlin")
	if s.Runs != 2 || s.LastRun.For != time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC) {
		t.Errorf("Berlin has run %d times, the last time for %s", s.Runs, s.LastRun.For)
	}
}

func TestASchedulesTimeIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	q := b.queue(t, nil)
	begin := start.Add(90*time.Second + 250*time.Millisecond)
	s := b.schedule(t, q, "window", every(time.Minute, func(s *queues.ScheduleSettings) {
		s.StartsAt, s.EndsAt = begin, begin.Add(2*time.Minute)
	}))
	same(t, "ticks", []time.Time{begin, begin.Add(time.Minute), begin.Add(2 * time.Minute)}, s.NextRuns)
	late := cronAt("*/5 * * * *", "")
	late.StartsAt, late.EndsAt = start.Add(5*time.Minute), start.Add(time.Hour)
	same(t, "cron from its start on", start.Add(5*time.Minute), b.schedule(t, q, "late", late).NextRuns[0])
	past := b.schedule(t, q, "past", every(time.Minute, func(s *queues.ScheduleSettings) { s.EndsAt = start.Add(-time.Minute) }))
	if len(past.NextRuns) != 0 {
		t.Errorf("a schedule that has ended shows %s", past.NextRuns)
	}
	for range 10 {
		b.clock.Advance(30 * time.Second)
		b.tick(t)
	}
	s = b.look(t, q, "window")
	if s.Runs != 3 || len(s.NextRuns) != 0 {
		t.Errorf("after its end: %+v", s)
	}
	if n := b.IndexSize(t); n != 1 {
		t.Errorf("the index has %d entries, want that of the one schedule that goes on", n)
	}
}

func TestWhatBecomesOfMissedTicks(t *testing.T) {
	for _, c := range []struct {
		policy queues.MissedPolicy
		outage time.Duration
		want   tally
		last   time.Duration // of the tick that was run last
	}{
		{queues.MissedSkip, 59 * time.Second, tally{Runs: 5, Sent: 5}, 50 * time.Second},
		{queues.MissedSkip, 10*time.Minute + 5*time.Second, tally{Runs: 6, Missed: 54, Sent: 6}, 10 * time.Minute},
		{queues.MissedRunOnce, 10*time.Minute + 5*time.Second, tally{Runs: 7, Missed: 53, Sent: 7}, 10 * time.Minute},
		{queues.MissedRunAll, 10*time.Minute + 5*time.Second, tally{Runs: 60, Sent: 60}, 10 * time.Minute},
		{queues.MissedRunAll, time.Hour + 5*time.Second, tally{Runs: 106, Missed: 254, Sent: 106}, time.Hour},
		// A clock that jumps by years.
		{queues.MissedSkip, 20000 * time.Hour, tally{Runs: 7, Missed: 10_000, Sent: 7}, 20000 * time.Hour},
		{queues.MissedRunOnce, 20000 * time.Hour, tally{Runs: 8, Missed: 9_999, Sent: 8}, 20000 * time.Hour},
		{queues.MissedRunAll, 20000 * time.Hour, tally{Runs: 107, Missed: 9_900, Sent: 107}, 20000 * time.Hour},
	} {
		t.Run(fmt.Sprintf("%s %s", c.policy, c.outage), func(t *testing.T) {
			scheduleEngines(t, func(t *testing.T, b *bench) {
				q := b.queue(t, nil)
				b.schedule(t, q, "s", every(10*time.Second, missed(c.policy)))
				b.clock.Advance(c.outage)
				b.tick(t)
				same(t, "after the outage", c.want, b.tally(t, q, "s"))
				s := b.look(t, q, "s")
				same(t, "last tick", start.Add(c.last), s.LastRun.For)
				if next := s.NextRuns[0]; !next.After(b.clock.Now()) || next.Sub(b.clock.Now()) > 10*time.Second {
					t.Errorf("the next tick is %s after now", next.Sub(b.clock.Now()))
				}
				b.clock.Advance(10 * time.Second)
				b.tick(t)
				want := c.want
				want.Runs, want.Sent = want.Runs+1, want.Sent+1
				same(t, "one tick later", want, b.tally(t, q, "s"))
			})
		})
	}
}

func TestMissedTicksOfCronAreFound(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	q := b.queue(t, nil)
	for name, expression := range map[string]string{"yearly": "@yearly", "minutes": "* 3 * 1 *", "daily": "0 9 * * *"} {
		set := cronAt(expression, "Europe/Berlin")
		set.Missed = queues.MissedRunAll
		b.schedule(t, q, name, set)
	}
	b.clock.Set(time.Date(2036, 3, 1, 12, 0, 0, 0, time.UTC))
	b.tick(t)
	want := map[string]tally{"yearly": {Runs: 10}, "minutes": {Runs: 100, Missed: 9_900}, "daily": {Runs: 100, Missed: 3553}}
	for name, w := range want {
		s := b.look(t, q, name)
		same(t, name, w, tally{Runs: s.Runs, Missed: s.Missed})
	}
}

func TestPauseAndResume(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute, missed(queues.MissedRunAll)))
		b.clock.Advance(time.Minute)
		b.tick(t)
		if _, err := b.PauseSchedule(t.Context(), b.tenant, q, "s", strings.Repeat("x", 256)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a long reason: got %v, want a refusal", err)
		}
		paused, err := b.PauseSchedule(t.Context(), b.tenant, q, "s", "migration")
		if err != nil || !paused.Paused || paused.PauseReason != "migration" || !paused.PausedAt.Equal(b.clock.Now()) || len(paused.NextRuns) != 0 {
			t.Fatalf("paused: %+v, %v", paused, err)
		}
		same(t, "paused", paused, b.look(t, q, "s"))
		at := b.clock.Now()
		b.clock.Advance(time.Hour)
		b.tick(t)
		same(t, "during the pause", tally{Runs: 1, Sent: 1}, b.tally(t, q, "s"))
		again, err := b.PauseSchedule(t.Context(), b.tenant, q, "s", "still")
		if err != nil || again.PauseReason != "still" || !again.PausedAt.Equal(at) {
			t.Errorf("paused again: %+v, %v", again, err)
		}
		// A new message does not end the pause, and one can be sent by hand.
		if s := b.schedule(t, q, "s", every(2*time.Minute)); !s.Paused || len(s.NextRuns) != 0 {
			t.Errorf("changed while it is paused: %+v", s)
		}
		if _, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", ""); err != nil {
			t.Error(err)
		}
		b.clock.Advance(time.Hour)
		b.tick(t)
		same(t, "still during the pause", tally{Runs: 2, Sent: 2}, b.tally(t, q, "s"))
		for range 2 {
			s, err := b.ResumeSchedule(t.Context(), b.tenant, q, "s")
			if err != nil || s.Paused || len(s.NextRuns) != 5 || !s.NextRuns[0].After(b.clock.Now()) {
				t.Errorf("resumed: %+v, %v", s, err)
			}
		}
		b.tick(t)
		same(t, "the ticks of the pause do not happen", tally{Runs: 2, Sent: 2}, b.tally(t, q, "s"))
		b.clock.Advance(2 * time.Minute)
		b.tick(t)
		same(t, "it goes on", tally{Runs: 3, Sent: 3}, b.tally(t, q, "s"))
		if n := b.IndexSize(t); n != 1 {
			t.Errorf("the index has %d entries, want 1", n)
		}
	})
}

func TestRunNow(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		before := b.schedule(t, q, "s", every(time.Hour))
		first, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", "key")
		if err != nil || first.Replayed {
			t.Fatalf("run: %+v, %v", first, err)
		}
		again, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", "key")
		if err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("run with the same key: %+v, %v", again, err)
		}
		same(t, "after two runs with one key", tally{Runs: 1, Sent: 1}, b.tally(t, q, "s"))
		s := b.look(t, q, "s")
		same(t, "last run", queues.ScheduleRun{At: start, MessageID: first.ID}, s.LastRun)
		same(t, "next runs", before.NextRuns, s.NextRuns)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := b.tally(t, q, "s"); got.Sent != 9 {
			t.Errorf("after eight runs more: %+v", got)
		}
		if _, _, err := b.RunSchedule(t.Context(), b.tenant, q, "none", ""); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("run of no schedule: %v", err)
		}
	})
}

func TestAScheduleIsChangedByItsConditions(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		put := func(set queues.ScheduleSettings, c queues.Condition) (queues.Schedule, bool, error) {
			return b.PutSchedule(t.Context(), b.tenant, q, "s", set, c)
		}
		for _, c := range []queues.Condition{{ETag: "*"}, {ETag: "x"}} {
			if _, _, err := put(every(time.Minute), c); !errors.Is(err, queues.ErrSchedulePrecondition) {
				t.Errorf("%+v where there is none: %v", c, err)
			}
		}
		made, created, err := put(every(time.Minute), queues.Condition{Missing: true})
		if err != nil || !created {
			t.Fatal(created, err)
		}
		if _, _, err := put(every(time.Hour), queues.Condition{Missing: true}); !errors.Is(err, queues.ErrSchedulePrecondition) {
			t.Errorf("create only: %v", err)
		}
		b.clock.Advance(30 * time.Second)
		kept, created, err := put(every(time.Minute), queues.Condition{ETag: made.ETag})
		if err != nil || created || kept.ETag != made.ETag || !kept.Updated.Equal(made.Updated) {
			t.Errorf("the same again: %+v, %v, %v", kept, created, err)
		}
		other := every(time.Minute, func(s *queues.ScheduleSettings) { s.Message.Body = []byte("other") })
		changed, _, err := put(other, queues.Condition{ETag: made.ETag})
		if err != nil || changed.ETag == made.ETag || !changed.Updated.Equal(b.clock.Now()) || !changed.Created.Equal(made.Created) {
			t.Errorf("changed: %+v, %v", changed, err)
		}
		same(t, "another message keeps the rhythm", made.NextRuns[0], changed.NextRuns[0])
		if _, _, err := put(every(time.Hour), queues.Condition{ETag: made.ETag}); !errors.Is(err, queues.ErrSchedulePrecondition) {
			t.Errorf("with the ETag of before: %v", err)
		}
		faster, _, err := put(every(time.Second), queues.Condition{ETag: "*"})
		if err != nil || !faster.NextRuns[0].Equal(b.clock.Now().Add(time.Second)) {
			t.Errorf("faster: %+v, %v", faster, err)
		}
		b.clock.Advance(time.Second)
		b.tick(t)
		same(t, "faster", tally{Runs: 1, Sent: 1}, b.tally(t, q, "s"))
		if err := b.DeleteSchedule(t.Context(), b.tenant, q, "s", queues.Condition{ETag: changed.ETag}); !errors.Is(err, queues.ErrSchedulePrecondition) {
			t.Errorf("delete with the ETag of before: %v", err)
		}
		if err := b.DeleteSchedule(t.Context(), b.tenant, q, "s", queues.Condition{ETag: faster.ETag}); err != nil {
			t.Error(err)
		}
		if err := b.DeleteSchedule(t.Context(), b.tenant, q, "s", queues.Condition{}); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("delete twice: %v", err)
		}
		again := b.schedule(t, q, "s", every(time.Minute))
		if again.Runs != 0 || again.ETag == made.ETag {
			t.Errorf("made again: %+v", again)
		}
		if n := b.IndexSize(t); n != 1 {
			t.Errorf("the index has %d entries, want 1", n)
		}
	})
}

func TestAScheduleThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	q := b.queue(t, func(s *queues.Settings) { s.MaxMessageSize, s.Retention = 2048, time.Hour })
	roomy, fifo := b.queue(t, nil), b.fifo(t, nil)
	week := 7 * 24 * time.Hour
	for what, c := range map[string]struct {
		change  func(*queues.ScheduleSettings)
		queue   string
		pointer string
	}{
		"no time":              {func(s *queues.ScheduleSettings) { s.Every = 0 }, q, "/cron"},
		"two times":            {func(s *queues.ScheduleSettings) { s.Cron = "* * * * *" }, q, "/every"},
		"no cron":              {func(s *queues.ScheduleSettings) { s.Every, s.Cron = 0, "* * * * * *" }, q, "/cron"},
		"no such day":          {func(s *queues.ScheduleSettings) { s.Every, s.Cron = 0, "0 0 31 2 *" }, q, "/cron"},
		"no zone":              {func(s *queues.ScheduleSettings) { s.Every, s.Cron, s.TimeZone = 0, "@daily", "Europe/Nowhere" }, q, "/time_zone"},
		"the server's zone":    {func(s *queues.ScheduleSettings) { s.Every, s.Cron, s.TimeZone = 0, "@daily", "Local" }, q, "/time_zone"},
		"a zone for seconds":   {func(s *queues.ScheduleSettings) { s.TimeZone = "UTC" }, q, "/time_zone"},
		"too often":            {func(s *queues.ScheduleSettings) { s.Every = time.Second / 2 }, q, "/every"},
		"half seconds":         {func(s *queues.ScheduleSettings) { s.Every = 3 * time.Second / 2 }, q, "/every"},
		"backwards":            {func(s *queues.ScheduleSettings) { s.Every = -time.Second }, q, "/every"},
		"too seldom":           {func(s *queues.ScheduleSettings) { s.Every = 367 * 24 * time.Hour }, q, "/every"},
		"before time":          {func(s *queues.ScheduleSettings) { s.StartsAt = time.Unix(-1, 0) }, q, "/starts_at"},
		"after time":           {func(s *queues.ScheduleSettings) { s.EndsAt = time.Date(2201, 1, 1, 0, 0, 0, 0, time.UTC) }, q, "/ends_at"},
		"the end first":        {func(s *queues.ScheduleSettings) { s.StartsAt, s.EndsAt = start, start.Add(-1) }, q, "/ends_at"},
		"no policy":            {func(s *queues.ScheduleSettings) { s.Missed = "" }, q, "/missed"},
		"no body":              {func(s *queues.ScheduleSettings) { s.Message.Body = nil }, q, "/message/body"},
		"too large":            {func(s *queues.ScheduleSettings) { s.Message.Body = make([]byte, 2049) }, q, "/message"},
		"too large for a tick": {func(s *queues.ScheduleSettings) { s.Message.Body = make([]byte, 64<<10+1) }, roomy, "/message"},
		"delay over retention": {func(s *queues.ScheduleSettings) { s.Message.Delay = &week }, q, "/message/delay"},
		"an attribute's number": {func(s *queues.ScheduleSettings) {
			s.Message.Attributes = []queues.Attribute{{Name: "n", Type: "Number", Value: "x"}}
		}, q, "/message/attributes/n"},
		"a deduplication id":   {func(s *queues.ScheduleSettings) { s.Message.DeduplicationID = "d" }, roomy, "/message/deduplication_id"},
		"a group with spaces":  {func(s *queues.ScheduleSettings) { s.Message.GroupID = "a b" }, roomy, "/message/group_id"},
		"FIFO without a group": {func(*queues.ScheduleSettings) {}, fifo, "/message/group_id"},
		"FIFO with its own id": {func(s *queues.ScheduleSettings) { s.Message.GroupID, s.Message.DeduplicationID = "g", "d" }, fifo, "/message/deduplication_id"},
		"FIFO with a delay":    {func(s *queues.ScheduleSettings) { s.Message.GroupID, s.Message.Delay = "g", &week }, fifo, "/message/delay"},
		"labels":               {func(s *queues.ScheduleSettings) { s.Labels = map[string]string{"": "x"} }, q, "/labels/"},
	} {
		_, _, err := b.PutSchedule(t.Context(), b.tenant, c.queue, "s", every(time.Minute, c.change), queues.Condition{})
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Kind != errs.Invalid || e.Code != "validation_failed" || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer || e.Fields[0].Code == "" {
			t.Errorf("%s: got %+v, want a refusal at %s", what, err, c.pointer)
		}
	}
	for _, name := range []string{"", "a b", "ä", "a:b", strings.Repeat("x", 81), "../s", "s.fifo"} {
		if _, _, err := b.PutSchedule(t.Context(), b.tenant, q, name, every(time.Minute), queues.Condition{}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("name %q: %v", name, err)
		}
		if _, err := b.GetSchedule(t.Context(), b.tenant, q, name); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("get name %q: %v", name, err)
		}
	}
	if _, _, err := b.PutSchedule(t.Context(), b.tenant, "nowhere", "s", every(time.Minute), queues.Condition{}); !errors.Is(err, queues.ErrQueueNotFound) {
		t.Errorf("on no queue: %v", err)
	}
	if n := b.IndexSize(t); n != 0 {
		t.Errorf("refusals left %d entries in the index", n)
	}
	b.schedule(t, roomy, "s", every(time.Second, func(s *queues.ScheduleSettings) { s.Message.Body = make([]byte, 64<<10) }))
}

func TestAQueueThatRefusesIsRecordedAndTheScheduleGoesOn(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute, func(s *queues.ScheduleSettings) { s.Message.Body = make([]byte, 2048) }))
		size := func(n int) {
			_, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.MaxMessageSize = n
				return s, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		size(1024)
		b.clock.Advance(time.Minute)
		b.tick(t)
		same(t, "refused", tally{Errors: 1}, b.tally(t, q, "s"))
		same(t, "last error", queues.ScheduleError{For: start.Add(time.Minute), At: start.Add(time.Minute), Code: "message_too_large",
			Message: "The message has 2048 bytes with its attributes; this queue takes at most 1024."}, b.look(t, q, "s").LastError)
		if _, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", ""); !errors.Is(err, queues.ErrMessageTooLarge) {
			t.Errorf("by hand: %v", err)
		}
		size(4096)
		b.clock.Advance(time.Minute)
		b.tick(t)
		same(t, "one tick later", tally{Runs: 1, Errors: 1, Sent: 1}, b.tally(t, q, "s"))
		_, _, errors := b.ScheduleCounts()
		same(t, "refusals of the server", int64(1), errors)
	})
}

func TestTicksWithNoRoomForAnotherKey(t *testing.T) {
	t.Parallel()
	b := ownRedis(t)
	q := b.queue(t, nil)
	b.schedule(t, q, "s", every(time.Minute))
	b.FillKeys(t, b.tenant, q)
	b.clock.Advance(time.Minute)
	b.tick(t)
	same(t, "refused", tally{Errors: 1}, b.tally(t, q, "s"))
	if code := b.look(t, q, "s").LastError.Code; code != "storage_full" {
		t.Errorf("last error: %s", code)
	}
	b.clock.Advance(5 * time.Minute)
	b.tick(t)
	same(t, "five minutes later", tally{Runs: 2, Missed: 3, Errors: 1, Sent: 2}, b.tally(t, q, "s"))
}

func TestTheNumberOfSchedulesIsBounded(t *testing.T) {
	t.Parallel()
	b := ownRedis(t)
	q := b.queue(t, nil)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for n := range queues.MaxSchedules / 10 {
				b.schedule(t, q, fmt.Sprintf("s%04d", n*10+i), every(time.Hour))
			}
		})
	}
	wg.Wait()
	_, _, err := b.PutSchedule(t.Context(), b.tenant, q, "one-more", every(time.Hour), queues.Condition{})
	if !errors.Is(err, queues.ErrScheduleQuota) {
		t.Fatalf("one more: %+v", err)
	}
	b.schedule(t, q, "s0500", every(time.Hour, missed(queues.MissedRunOnce))) // to replace one is fine
	b.schedule(t, b.queue(t, nil), "other", every(time.Hour))

	var names []string
	pages := 0
	for after := ""; ; pages++ {
		page, next, err := b.ListSchedules(t.Context(), b.tenant, q, "", after, 400)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page {
			names = append(names, s.Name)
		}
		if after = next; after == "" {
			break
		}
	}
	if len(names) != 1000 || !slices.IsSorted(names) || pages != 2 {
		t.Errorf("listed %d names on %d pages, sorted %v", len(names), pages+1, slices.IsSorted(names))
	}
	page, next, err := b.ListSchedules(t.Context(), b.tenant, q, "s099", "s0991", 5)
	if err != nil || len(page) != 5 || page[0].Name != "s0992" || next != "s0996" {
		t.Errorf("from a name on: %d from %v, next %q, %v", len(page), page[0].Name, next, err)
	}
	// All of them at once, and with the queue all of them go.
	b.clock.Advance(time.Hour)
	b.tick(t)
	if n := b.sent(t, q); n != 1000 {
		t.Errorf("%d messages after one tick of each", n)
	}
	if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
		t.Fatal(err)
	}
	if n := b.IndexSize(t); n != 1 {
		t.Errorf("the index has %d entries, want that of the other queue", n)
	}
}

func TestALongListComesInParts(t *testing.T) {
	t.Parallel()
	b := ownRedis(t)
	q := b.queue(t, nil)
	for i := range 80 {
		b.schedule(t, q, fmt.Sprintf("s%02d", i), every(time.Hour, func(s *queues.ScheduleSettings) { s.Message.Body = make([]byte, 64<<10) }))
	}
	first, next, err := b.ListSchedules(t.Context(), b.tenant, q, "", "", 100)
	if err != nil || len(first) >= 80 || len(first) < 60 || next != first[len(first)-1].Name {
		t.Fatalf("first part: %d, next %q, %v", len(first), next, err)
	}
	rest, next, err := b.ListSchedules(t.Context(), b.tenant, q, "", next, 100)
	if err != nil || len(first)+len(rest) != 80 || next != "" {
		t.Errorf("second part: %d after %d, next %q, %v", len(rest), len(first), next, err)
	}
}

// On a FIFO queue, whose ticks have the same body: each is stored, in its group, under an id made of schedule and tick.
func TestSchedulesOfAFIFOQueue(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.FIFO.ContentBased, s.FIFO.Window = true, 7*24*time.Hour })
		set := every(time.Minute, func(s *queues.ScheduleSettings) { s.Message.GroupID = "g" })
		same(t, "settings", set, b.schedule(t, q, "s", set).Settings)
		servers := []*bench{b, b.another(t), b.another(t)}
		for range 3 {
			b.clock.Advance(time.Minute)
			var wg sync.WaitGroup
			for _, s := range servers {
				wg.Go(func() { s.tick(t) })
			}
			wg.Wait()
		}
		if _, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", ""); err != nil {
			t.Error(err)
		}
		first, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", "a key with spaces")
		if err != nil || first.SequenceNumber == "" {
			t.Errorf("run: %+v, %v", first, err)
		}
		if again, _, err := b.RunSchedule(t.Context(), b.tenant, q, "s", "a key with spaces"); err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("run with the same key: %+v, %v", again, err)
		}
		same(t, "three ticks and two runs", tally{Runs: 5, Sent: 5}, b.tally(t, q, "s"))
		var ids []string
		for _, m := range b.receive(t, q, 10) {
			ids = append(ids, m.DeduplicationID)
			if m.GroupID != "g" {
				t.Errorf("a tick is in the group %q", m.GroupID)
			}
		}
		if len(ids) != 5 || !strings.HasPrefix(ids[3], "s/run-") || ids[3] == ids[4] {
			t.Fatalf("deduplication ids: %q", ids)
		}
		same(t, "ids of the ticks", []string{"s/2026-03-01T12:01:00Z", "s/2026-03-01T12:02:00Z", "s/2026-03-01T12:03:00Z"}, ids[:3])
	})
}

// A FIFO queue that remembers ids for 20 seconds: a tick is tried again for 16, and then is missed, even where it is not
// a minute old.
func TestTicksOfAFIFOQueueThatForgetsSoon(t *testing.T) {
	for _, c := range []struct {
		step   string
		after  time.Duration
		policy queues.MissedPolicy
		want   tally
	}{
		{"tick sent", 15 * time.Second, queues.MissedSkip, tally{Runs: 1, Sent: 1}},
		{"tick begun", 15 * time.Second, queues.MissedSkip, tally{Runs: 1, Sent: 1}},
		{"tick sent", 21 * time.Second, queues.MissedSkip, tally{Missed: 1, Sent: 1}},
		{"tick begun", 21 * time.Second, queues.MissedSkip, tally{Missed: 1}},
		{"tick sent", 21 * time.Second, queues.MissedRunOnce, tally{Runs: 1, Sent: 2}},
		{"tick begun", 21 * time.Second, queues.MissedRunAll, tally{Runs: 1, Sent: 1}},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.step, c.after, c.policy), func(t *testing.T) {
			scheduleEngines(t, func(t *testing.T, b *bench) {
				q := b.fifo(t, func(s *queues.Settings) { s.FIFO.Window = 20 * time.Second })
				b.schedule(t, q, "s", every(time.Minute, missed(c.policy), func(s *queues.ScheduleSettings) { s.Message.GroupID = "g" }))
				b.clock.Advance(time.Minute)
				_ = b.dying(t, c.step).TickDue(t.Context())
				b.clock.Advance(c.after)
				b.tick(t)
				same(t, "after the outage", c.want, b.tally(t, q, "s"))
				b.clock.Advance(time.Minute - c.after)
				b.tick(t)
				want := c.want
				want.Runs, want.Sent = want.Runs+1, want.Sent+1
				same(t, "the next tick", want, b.tally(t, q, "s"))
			})
		})
	}
}

func TestAPurgeLeavesSchedules(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute))
		b.clock.Advance(time.Minute)
		b.tick(t)
		before := b.look(t, q, "s")
		if n, err := b.Purge(t.Context(), b.tenant, q); err != nil || n != 1 {
			t.Fatalf("purged %d, %v", n, err)
		}
		same(t, "after the purge", before, b.look(t, q, "s"))
		b.clock.Advance(time.Minute)
		b.tick(t)
		same(t, "the next tick", tally{Runs: 2, Sent: 2}, b.tally(t, q, "s"))
	})
}

func TestTenantsHaveSchedulesOfTheirOwn(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		tn, _, err := tenants.New(b.engine, b.clock).Put(t.Context(), "other", tenants.Settings{}, tenants.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		other.tenant = tn.ID
		q := b.queue(t, nil)
		if _, _, err := other.Put(t.Context(), other.tenant, q, queues.DefaultSettings(), queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.schedule(t, q, "s", every(time.Minute))
		if _, err := other.GetSchedule(t.Context(), other.tenant, q, "s"); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("the other tenant sees %v", err)
		}
		if err := other.DeleteSchedule(t.Context(), other.tenant, q, "s", queues.Condition{}); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("the other tenant deletes: %v", err)
		}
		other.schedule(t, q, "s", every(2*time.Minute))
		for range 4 {
			b.clock.Advance(time.Minute)
			b.tick(t)
		}
		same(t, "one", tally{Runs: 4, Sent: 4}, b.tally(t, q, "s"))
		same(t, "the other", tally{Runs: 2, Sent: 2}, other.tally(t, q, "s"))
	})
}

func TestADeletedQueueTakesItsSchedulesAlong(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute))
		b.schedule(t, q, "paused", every(time.Minute))
		if _, err := b.PauseSchedule(t.Context(), b.tenant, q, "paused", ""); err != nil {
			t.Fatal(err)
		}
		other := b.another(t)
		other.look(t, q, "s") // it knows the queue
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := other.ListSchedules(t.Context(), b.tenant, q, "", "", 10); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("list on a server that knew the queue: %v", err)
		}
		if _, _, err := other.PutSchedule(t.Context(), b.tenant, q, "s", every(time.Minute), queues.Condition{}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("put on a server that knew the queue: %v", err)
		}
		if n := b.IndexSize(t); n != 0 {
			t.Errorf("the index has %d entries", n)
		}
		if _, _, err := b.Put(t.Context(), b.tenant, q, queues.DefaultSettings(), queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		list, _, err := b.ListSchedules(t.Context(), b.tenant, q, "", "", 10)
		if err != nil || len(list) != 0 {
			t.Errorf("the new queue has schedules: %+v, %v", list, err)
		}
		b.clock.Advance(time.Hour)
		b.tick(t)
		if n := b.sent(t, q); n != 0 {
			t.Errorf("the new queue got %d messages of the old one's schedules", n)
		}
	})
}

var errKilled = errors.New("killed")

// dying returns a server that stops dead behind a step, once.
func (b *bench) dying(t *testing.T, step string) *bench {
	t.Helper()
	victim := b.another(t)
	killed := victim.dies(step)
	t.Cleanup(func() {
		if !killed() {
			t.Errorf("no step %q came by", step)
		}
	})
	return victim
}

// dies has a server stop dead behind a step, and returns whether it has.
func (b *bench) dies(step string) (killed func() bool) {
	var dead atomic.Bool
	b.SetStep(func(done string) error {
		if done == step {
			dead.Store(true)
		}
		if dead.Load() {
			return errKilled
		}
		return nil
	})
	return dead.Load
}

// A server that dies between any two steps of a tick: another one finishes it, and the message is there once.
func TestATickOutlivesItsServer(t *testing.T) {
	for _, step := range []string{"tick begun", "tick sent", "tick noted", "ticked"} {
		for _, c := range []struct {
			after  time.Duration
			policy queues.MissedPolicy
		}{{15 * time.Second, queues.MissedSkip}, {3*time.Minute + 57*time.Second, queues.MissedSkip}, {3*time.Minute + 57*time.Second, queues.MissedRunAll}} {
			t.Run(fmt.Sprintf("%s %s %s", step, c.after, c.policy), func(t *testing.T) {
				scheduleEngines(t, func(t *testing.T, b *bench) {
					q := b.queue(t, nil)
					b.schedule(t, q, "s", every(time.Hour, missed(c.policy)))
					victim := b.dying(t, step)
					b.clock.Advance(time.Hour)
					_ = victim.TickDue(t.Context())
					b.clock.Advance(c.after)
					b.tick(t)
					same(t, "finished by another", tally{Runs: 1, Sent: 1}, b.tally(t, q, "s"))
					b.clock.Advance(time.Hour - c.after)
					b.tick(t)
					same(t, "the next tick", tally{Runs: 2, Sent: 2}, b.tally(t, q, "s"))
				})
			})
		}
	}
}

// After four minutes nobody can know whether a tick that was begun was sent, and it counts as missed.
func TestATickThatWasBegunTooLongAgo(t *testing.T) {
	for _, c := range []struct {
		step   string
		policy queues.MissedPolicy
		want   tally
	}{
		{"tick begun", queues.MissedSkip, tally{Missed: 1}},
		{"tick begun", queues.MissedRunOnce, tally{Runs: 1, Sent: 1}},
		{"tick begun", queues.MissedRunAll, tally{Runs: 1, Sent: 1}},
		{"tick sent", queues.MissedSkip, tally{Missed: 1, Sent: 1}},
		{"tick sent", queues.MissedRunOnce, tally{Runs: 1, Sent: 2}},
		{"tick noted", queues.MissedRunOnce, tally{Runs: 1, Sent: 1}},
	} {
		t.Run(c.step+" "+string(c.policy), func(t *testing.T) {
			scheduleEngines(t, func(t *testing.T, b *bench) {
				q := b.queue(t, nil)
				b.schedule(t, q, "s", every(time.Hour, missed(c.policy)))
				b.clock.Advance(time.Hour)
				_ = b.dying(t, c.step).TickDue(t.Context())
				b.clock.Advance(6 * time.Minute)
				b.tick(t)
				same(t, "after six minutes", c.want, b.tally(t, q, "s"))
			})
		})
	}
}

// A server that dies between any two steps of a change leaves what others finish, and the schedule as it was or as it
// shall be.
func TestAChangeOfAScheduleOutlivesItsServer(t *testing.T) {
	change := every(time.Minute, func(s *queues.ScheduleSettings) { s.Message.Body = []byte("new") })
	for _, c := range []struct {
		step string
		act  func(*bench, context.Context, string) error
		want int64 // ticks in the hour after it
	}{
		{"schedule entered", func(b *bench, ctx context.Context, q string) error {
			_, _, err := b.PutSchedule(ctx, b.tenant, q, "s", change, queues.Condition{})
			return err
		}, 30},
		{"schedule stored", func(b *bench, ctx context.Context, q string) error {
			_, _, err := b.PutSchedule(ctx, b.tenant, q, "s", change, queues.Condition{})
			return err
		}, 60},
		{"schedule removed", func(b *bench, ctx context.Context, q string) error {
			return b.DeleteSchedule(ctx, b.tenant, q, "s", queues.Condition{})
		}, 0},
		{"schedule paused", func(b *bench, ctx context.Context, q string) error {
			_, err := b.PauseSchedule(ctx, b.tenant, q, "s", "")
			return err
		}, 0},
	} {
		t.Run(c.step, func(t *testing.T) {
			scheduleEngines(t, func(t *testing.T, b *bench) {
				q := b.queue(t, nil)
				b.schedule(t, q, "s", every(2*time.Minute))
				if err := c.act(b.dying(t, c.step), t.Context(), q); !errors.Is(err, errKilled) {
					t.Fatalf("got %v", err)
				}
				for range 60 {
					b.clock.Advance(time.Minute)
					b.tick(t)
				}
				if n := b.sent(t, q); n != c.want {
					t.Errorf("%d messages in an hour, want %d", n, c.want)
				}
				if n, want := b.IndexSize(t), min(c.want, 1); n != want {
					t.Errorf("the index has %d entries, want %d", n, want)
				}
				b.schedule(t, q, "s", change)
				_, err := b.ResumeSchedule(t.Context(), b.tenant, q, "s")
				if err != nil {
					t.Fatal(err)
				}
				b.clock.Advance(time.Minute)
				b.tick(t)
				if n := b.sent(t, q); n != c.want+1 {
					t.Errorf("%d messages a minute later, want %d", n, c.want+1)
				}
			})
		})
	}
}

// A new schedule whose server dies before it is stored never was, and its entry goes.
func TestAScheduleThatWasNeverStored(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		_, _, err := b.dying(t, "schedule entered").PutSchedule(t.Context(), b.tenant, q, "s", every(time.Second), queues.Condition{})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		b.clock.Advance(time.Second)
		b.tick(t)
		if n := b.IndexSize(t); n != 1 {
			t.Errorf("the index has %d entries, want that of a schedule that may still be on its way", n)
		}
		b.clock.Advance(2 * time.Minute)
		b.tick(t)
		if n := b.IndexSize(t); n != 0 {
			t.Errorf("the index has %d entries", n)
		}
		same(t, "messages", int64(0), b.sent(t, q))
	})
}

// A deletion of a queue that dies on its way is finished by the sweep, with the schedules.
func TestADeletionWithSchedulesIsFinished(t *testing.T) {
	for _, step := range []string{"retired", "unregistered", "schedules left", "erased"} {
		t.Run(step, func(t *testing.T) {
			scheduleEngines(t, func(t *testing.T, b *bench) {
				q := b.queue(t, nil)
				for i := range 150 {
					b.schedule(t, q, fmt.Sprintf("s%d", i), every(time.Minute))
				}
				if err := b.dying(t, step).Delete(t.Context(), b.tenant, q, queues.Condition{}); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				b.clock.Advance(time.Minute)
				b.tick(t)
				if _, err := b.GetSchedule(t.Context(), b.tenant, q, "s1"); !errors.Is(err, queues.ErrQueueNotFound) {
					t.Errorf("get: %v", err)
				}
				if err := b.Sweep(t.Context(), b.tenant); err != nil {
					t.Fatal(err)
				}
				if n := b.IndexSize(t); n != 0 {
					t.Errorf("the index has %d entries", n)
				}
			})
		})
	}
}

// The sweep puts schedules back into an index that lost them.
func TestALostIndexIsMended(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute))
		b.schedule(t, q, "paused", every(time.Minute))
		if _, err := b.PauseSchedule(t.Context(), b.tenant, q, "paused", ""); err != nil {
			t.Fatal(err)
		}
		b.LoseIndex(t)
		b.clock.Advance(time.Minute)
		b.tick(t)
		same(t, "without the index", int64(0), b.sent(t, q))
		if err := b.Sweep(t.Context(), b.tenant); err != nil {
			t.Fatal(err)
		}
		b.tick(t)
		same(t, "after the sweep", int64(1), b.sent(t, q))
	})
}

// Two servers that both tick all the time, and owners who change things meanwhile: each tick is sent once.
func TestServersThatRaceSendEachTickOnce(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t), b.another(t)}
		q := b.queue(t, nil)
		const rounds = 40
		for i := range 5 {
			b.schedule(t, q, fmt.Sprintf("s%d", i), every(time.Second, missed(queues.MissedRunAll)))
		}
		b.schedule(t, q, "changed", every(time.Second, missed(queues.MissedRunAll)))
		for round := range rounds {
			b.clock.Advance(time.Second)
			var wg sync.WaitGroup
			for _, s := range servers {
				wg.Go(func() {
					if err := s.TickDue(t.Context()); err != nil {
						t.Errorf("tick: %v", err)
					}
				})
			}
			wg.Go(func() { // the rhythm stays
				set := every(time.Second, missed(queues.MissedRunAll))
				set.Message.Body = fmt.Append(nil, "changed ", round)
				servers[1].schedule(t, q, "changed", set)
			})
			wg.Wait()
		}
		b.clock.Advance(500 * time.Millisecond)
		b.tick(t)
		for _, name := range []string{"s0", "s1", "s2", "s3", "s4", "changed"} {
			s := b.look(t, q, name)
			same(t, name, tally{Runs: rounds}, tally{s.Runs, s.Missed, s.Errors, 0})
		}
		same(t, "messages", int64(6*rounds), b.sent(t, q))
		total := int64(0)
		for _, s := range servers {
			n, _, _ := s.ScheduleCounts()
			total += n
		}
		same(t, "runs of all servers", int64(6*rounds), total)
	})
}

// A pause or a deletion that comes while a tick is under way neither fails nor brings the schedule back.
func TestChangesDuringATick(t *testing.T) {
	for _, step := range []string{"tick begun", "tick sent", "tick noted", "ticked"} {
		for what, c := range map[string]struct {
			act         func(*bench, context.Context, string) error
			want, later tally
		}{
			"pause": {func(b *bench, ctx context.Context, q string) error {
				_, err := b.PauseSchedule(ctx, b.tenant, q, "s", "")
				return err
			}, tally{Runs: 1, Sent: 1}, tally{Runs: 1, Sent: 1}},
			"replace": {func(b *bench, ctx context.Context, q string) error {
				_, _, err := b.PutSchedule(ctx, b.tenant, q, "s", every(time.Hour, func(s *queues.ScheduleSettings) { s.Message.Body = []byte("new") }), queues.Condition{})
				return err
			}, tally{Runs: 1, Sent: 1}, tally{Runs: 1, Sent: 1}},
			"run": {func(b *bench, ctx context.Context, q string) error {
				_, _, err := b.RunSchedule(ctx, b.tenant, q, "s", "")
				return err
			}, tally{Runs: 2, Sent: 2}, tally{Runs: 22, Sent: 22}},
			"make again": {func(b *bench, ctx context.Context, q string) error {
				if err := b.DeleteSchedule(ctx, b.tenant, q, "s", queues.Condition{}); err != nil {
					return err
				}
				_, _, err := b.PutSchedule(ctx, b.tenant, q, "s", every(time.Hour), queues.Condition{})
				return err
			}, tally{Sent: 1}, tally{Sent: 1}},
		} {
			t.Run(step+" "+what, func(t *testing.T) {
				scheduleEngines(t, func(t *testing.T, b *bench) {
					q := b.queue(t, nil)
					b.schedule(t, q, "s", every(time.Minute))
					other := b.another(t)
					acted := false
					b.SetStep(func(done string) error {
						if done == step && !acted {
							acted = true
							return c.act(other, t.Context(), q)
						}
						return nil
					})
					b.clock.Advance(time.Minute)
					b.tick(t)
					if !acted {
						t.Fatal("the step did not come by")
					}
					same(t, "after it", c.want, b.tally(t, q, "s"))
					for range 20 {
						b.clock.Advance(time.Minute)
						b.tick(t)
					}
					same(t, "later", c.later, b.tally(t, q, "s"))
				})
			})
		}
	}
}

// What the queue does not take now is an error of the tick and is not sent later; the next one goes on.
func TestTheTallyOfAScheduleWhoseQueueTakesNothing(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for code, shut := range map[string]func(q string) (open func()){
			queues.ErrQueuePaused.Code: func(q string) func() {
				if _, err := b.Pause(t.Context(), b.tenant, q, queues.DirectionSend, "", queues.Condition{}); err != nil {
					t.Fatal(err)
				}
				return func() {
					if _, err := other.Resume(t.Context(), b.tenant, q, queues.DirectionSend, queues.Condition{}); err != nil {
						t.Fatal(err)
					}
				}
			},
			queues.ErrMessagesFull.Code: func(q string) func() {
				if err := b.alter(t, q, func(s *queues.Settings) { s.MaxMessages = 1 }); err != nil {
					t.Fatal(err)
				}
				return func() { other.ack(t, q, other.receive(t, q, 1)...) }
			},
		} {
			q := b.queue(t, nil)
			b.schedule(t, q, "s", every(time.Minute))
			b.clock.Advance(time.Minute)
			b.tick(t)
			same(t, code+": before", tally{Runs: 1, Sent: 1}, b.tally(t, q, "s"))
			open := shut(q)
			for i := range 3 {
				b.clock.Advance(time.Minute)
				[]*bench{other, b}[i%2].tick(t)
			}
			refused := tally{Runs: 1, Errors: 3, Sent: 1}
			same(t, code+": three ticks later", refused, b.tally(t, q, "s"))
			if s := b.look(t, q, "s"); s.LastError.Code != code || !s.LastError.For.Equal(b.clock.Now()) {
				t.Errorf("%s: the last error is %+v", code, s.LastError)
			}
			open()
			other.tick(t)
			same(t, code+": open again", refused, b.tally(t, q, "s"))
			b.clock.Advance(time.Minute)
			other.tick(t)
			same(t, code+": the next tick", tally{Runs: 2, Errors: 3, Sent: 2}, b.tally(t, q, "s"))
			if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The death and the restart of Redis cost no tick, and double none.
func TestSchedulesOutliveARestartOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	q := b.queue(t, nil)
	b.schedule(t, q, "s", every(time.Minute))
	b.SetStep(func(done string) error {
		if done == "tick sent" {
			return errKilled
		}
		return nil
	})
	b.clock.Advance(time.Minute)
	_ = b.TickDue(t.Context())
	r.Kill9()
	r.Restart()
	other := b.another(t)
	b.clock.Advance(5 * time.Second)
	other.tick(t)
	same(t, "after the restart", tally{Runs: 1, Sent: 1}, other.tally(t, q, "s"))
	b.clock.Advance(55 * time.Second)
	other.tick(t)
	same(t, "the next tick", tally{Runs: 2, Sent: 2}, other.tally(t, q, "s"))
}

// On the machine's clock: one of two servers does the work, and another one goes on when it stops.
func TestTickersTakeTurns(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{NoAOF: true}).URL()
	first := real(t, engine.Options{URL: url}, nil)
	second := real(t, engine.Options{URL: url}, first)
	q := first.queue(t, nil)
	first.schedule(t, q, "s", every(time.Second))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = first.TickSchedules(ctx) })
	until(t, func() bool { return first.look(t, q, "s").Runs >= 2 })
	all, stopAll := context.WithCancel(t.Context())
	defer stopAll()
	wg.Go(func() { _ = second.TickSchedules(all) })
	until(t, func() bool { return first.look(t, q, "s").Runs >= 4 })
	if n, _, _ := second.ScheduleCounts(); n != 0 {
		t.Errorf("the second server sent %d messages while the first one had the lease", n)
	}
	stop()
	until(t, func() bool { n, _, _ := second.ScheduleCounts(); return n >= 1 })
	stopAll()
	wg.Wait()
	first.tick(t) // and finishes what the second one had begun
	s := first.look(t, q, "s")
	same(t, "each tick once", tally{Runs: s.Runs, Sent: s.Runs}, first.tally(t, q, "s"))
	if late := s.LastRun.At.Sub(s.LastRun.For); late > 5*time.Second {
		t.Errorf("the last tick was %s late", late)
	}
}

// A clock of Redis that jumps ahead by months sends nothing early, and one that comes back repeats nothing. A server
// whose clock is wrong changes neither.
func TestSchedulesAndClocksThatAreWrong(t *testing.T) {
	t.Parallel()
	k := newSkies(t, 0, time.Hour)
	b, fast := k.servers[0], k.servers[1]
	q := b.queue(t, nil)
	b.schedule(t, q, "s", every(10*time.Minute, missed(queues.MissedRunAll)))
	ticks := func(want int64, when string) {
		t.Helper()
		for _, s := range k.servers {
			s.tick(t)
		}
		if got := b.look(t, q, "s"); got.Runs != want || got.Missed != 0 {
			t.Errorf("%s: %d runs and %d missed, want %d and none", when, got.Runs, got.Missed, want)
		}
	}
	ticks(0, "at the beginning, with a server whose clock is an hour fast")
	k.stepRedis(90 * 24 * time.Hour)
	b.tick(t)
	if n := b.look(t, q, "s").Runs; n != 0 {
		t.Errorf("a clock of Redis that jumps ahead sent %d messages", n)
	}
	k.stepRedis(0)
	k.pass(11 * time.Minute)
	ticks(1, "after the first tick")
	k.stepRedis(-time.Hour)
	fast.tick(t)
	k.stepRedis(0)
	ticks(1, "after Redis was an hour slow")
	k.pass(10 * time.Minute)
	ticks(2, "after the second tick")
}
