package queues_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// How many random histories TestScheduleModel plays of each kind of queue. The index of schedules belongs to the
// installation, so each has a Redis of its own.
const (
	scheduleChecks       = 40
	scheduleMemoryChecks = 6
)

// planned is a schedule of the model, which finds its ticks by trying each second.
type planned struct {
	set     queues.ScheduleSettings
	first   time.Time // with Every the instant from which ticks are counted
	reached time.Time // what was due until then is dealt with
	paused  bool
	shown   scheduleView
}

// scheduleView is what the model says of a schedule.
type scheduleView struct {
	Runs, Missed, Errors int64
	Paused               bool
	LastRun, LastError   time.Time // the ticks of them
	Next                 []time.Time
}

// on reports whether there is a tick at an instant.
func (p *planned) on(at time.Time) bool {
	switch {
	case at.Nanosecond() != 0 || at.Before(p.set.StartsAt):
		return false
	case p.set.Cron != "": // every ten minutes
		return at.Second() == 0 && at.Minute()%10 == 0
	}
	return !at.Before(p.first) && at.Sub(p.first)%p.set.Every == 0
}

// ticks calls f for each second behind an instant at which there is a tick, until f returns false or no more can come.
func (p *planned) ticks(behind, until time.Time, f func(time.Time) bool) {
	if ends := p.set.EndsAt; !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	for at := behind.Truncate(time.Second).Add(time.Second); !at.After(until); at = at.Add(time.Second) {
		if p.on(at) && !f(at) {
			return
		}
	}
}

// due does what is due by now, and returns how many messages that sends. refused says that the queue takes none.
func (p *planned) due(now time.Time, refused bool) int64 {
	if p.paused {
		return 0
	}
	var late, sends []time.Time
	p.ticks(p.reached, now, func(at time.Time) bool {
		if at.Before(now.Add(-time.Minute)) {
			late = append(late, at)
		} else {
			sends = append(sends, at)
		}
		return true
	})
	p.reached = now
	made := map[queues.MissedPolicy]int{queues.MissedSkip: 0, queues.MissedRunOnce: 1, queues.MissedRunAll: queues.MaxCatchUp}[p.set.Missed]
	made = min(made, len(late))
	p.shown.Missed += int64(min(len(late), 10_000) - made)
	if sends = append(late[len(late)-made:], sends...); len(sends) == 0 {
		return 0
	}
	n, last := int64(len(sends)), sends[len(sends)-1]
	if refused {
		p.shown.Errors, p.shown.LastError = p.shown.Errors+n, last
		return 0
	}
	p.shown.Runs, p.shown.LastRun = p.shown.Runs+n, last
	return n
}

// view returns what is to be seen now.
func (p *planned) view(now time.Time) scheduleView {
	v := p.shown
	if v.Paused = p.paused; !v.Paused {
		p.ticks(now, now.Add(4*time.Hour), func(at time.Time) bool {
			v.Next = append(v.Next, at)
			return len(v.Next) < queues.ShownRuns
		})
	}
	return v
}

// scheduleMachine plays the same history on the schedules of a queue and on the model.
type scheduleMachine struct {
	servers []*bench
	queue   string
	fifo    bool
	closed  bool // the queue takes no messages
	all     map[string]*planned
	sent    int64
}

func (s *scheduleMachine) server(t *rapid.T) *bench {
	return s.servers[rapid.IntRange(0, len(s.servers)-1).Draw(t, "server")]
}

func (s *scheduleMachine) now() time.Time { return s.servers[0].clock.Now() }

// draw draws the name of a schedule, which may not be there.
func (s *scheduleMachine) draw(t *rapid.T) (string, *planned) {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	return name, s.all[name]
}

// want fails the test unless a call on the schedule p ended as it must.
func (s *scheduleMachine) want(t *rapid.T, what string, p *planned, err error) bool {
	if p == nil != errors.Is(err, queues.ErrScheduleNotFound) || p != nil && err != nil {
		t.Fatalf("%s: %v; is there: %v", what, err, p != nil)
	}
	return p != nil
}

func (s *scheduleMachine) Put(t *rapid.T) {
	name, old := s.draw(t)
	set := queues.ScheduleSettings{Missed: rapid.SampledFrom([]queues.MissedPolicy{queues.MissedSkip, queues.MissedRunOnce, queues.MissedRunAll}).Draw(t, "missed")}
	if every := rapid.SampledFrom([]int{1, 7, 30, 90, 600, 0}).Draw(t, "every"); every > 0 {
		set.Every = time.Duration(every) * time.Second
	} else {
		set.Cron = "*/10 * * * *"
	}
	now := s.now()
	if rapid.IntRange(0, 3).Draw(t, "with a start") == 0 {
		set.StartsAt = now.Truncate(time.Second).Add(time.Duration(rapid.IntRange(-500, 500).Draw(t, "starts")) * time.Second)
	}
	if rapid.IntRange(0, 3).Draw(t, "with an end") == 0 {
		set.EndsAt = now.Truncate(time.Second).Add(time.Duration(rapid.IntRange(501, 3000).Draw(t, "ends")) * time.Second)
	}
	set.Message = queues.Outgoing{Body: []byte(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "body"))}
	if s.fifo {
		set.Message.GroupID = "g"
	}
	b := s.server(t)
	got, created, err := b.PutSchedule(context.Background(), b.tenant, s.queue, name, set, queues.Condition{})
	if err != nil || created != (old == nil) {
		t.Fatalf("put %s: created %v, %v", name, created, err)
	}
	if old != nil && gocmp.Equal(got.Settings, old.set) && gocmp.Equal(set, old.set) {
		return // nothing has changed
	}
	p := &planned{set: set, reached: now, first: set.StartsAt}
	if set.StartsAt.IsZero() {
		p.first = now.Truncate(time.Second).Add(set.Every)
	}
	if old != nil { // what is due is dealt with as it was
		s.sent += old.due(now, s.closed)
		p.shown, p.paused = old.shown, old.paused
		if set.Every == old.set.Every && set.StartsAt.IsZero() && old.set.StartsAt.IsZero() {
			p.first = old.first // another message does not break the rhythm
		}
	}
	s.all[name] = p
}

func (s *scheduleMachine) Delete(t *rapid.T) {
	name, p := s.draw(t)
	b := s.server(t)
	if s.want(t, "delete", p, b.DeleteSchedule(context.Background(), b.tenant, s.queue, name, queues.Condition{})) {
		delete(s.all, name)
	}
}

func (s *scheduleMachine) Pause(t *rapid.T) {
	name, p := s.draw(t)
	b := s.server(t)
	_, err := b.PauseSchedule(context.Background(), b.tenant, s.queue, name, "")
	if s.want(t, "pause", p, err) {
		p.paused = true
	}
}

func (s *scheduleMachine) Resume(t *rapid.T) {
	name, p := s.draw(t)
	b := s.server(t)
	_, err := b.ResumeSchedule(context.Background(), b.tenant, s.queue, name)
	if s.want(t, "resume", p, err) && p.paused {
		p.paused, p.reached = false, s.now()
	}
}

// Run runs a schedule by hand, once or twice with the same key.
func (s *scheduleMachine) Run(t *rapid.T) {
	name, p := s.draw(t)
	key := rapid.SampledFrom([]string{"", fmt.Sprint("k", names.Add(1))}).Draw(t, "key")
	for i := range 2 {
		b := s.server(t)
		_, _, err := b.RunSchedule(context.Background(), b.tenant, s.queue, name, key)
		if p != nil && s.closed {
			if !errors.Is(err, queues.ErrQueuePaused) {
				t.Fatalf("run %s while the queue takes nothing: %v", name, err)
			}
			continue
		}
		if s.want(t, "run", p, err) && (i == 0 || key == "") {
			s.sent++
			p.shown.Runs, p.shown.LastRun = p.shown.Runs+1, time.Time{}
		}
	}
}

// Close has the queue take no messages, or take them again.
func (s *scheduleMachine) Close(t *rapid.T) {
	b := s.servers[0]
	var err error
	if s.closed = !s.closed; s.closed {
		_, err = b.Pause(context.Background(), b.tenant, s.queue, queues.DirectionSend, "", queues.Condition{})
	} else {
		_, err = b.Resume(context.Background(), b.tenant, s.queue, queues.DirectionSend, queues.Condition{})
	}
	if err != nil {
		t.Fatalf("closed %v: %v", s.closed, err)
	}
}

func (s *scheduleMachine) Advance(t *rapid.T) {
	s.servers[0].clock.Advance(time.Duration(rapid.SampledFrom([]int{1, 999, 1000, 30_000, 61_000, 600_000, 3 * 3600_000}).Draw(t, "ms")) * time.Millisecond)
}

// ticked plays what is due now on the model.
func (s *scheduleMachine) ticked() {
	for _, p := range s.all {
		s.sent += p.due(s.now(), s.closed)
	}
}

// Tick does what is due, on one server or on both at once.
func (s *scheduleMachine) Tick(t *rapid.T) {
	both := s.servers
	if rapid.Bool().Draw(t, "one") {
		both = []*bench{s.server(t)}
	}
	var g errgroup.Group
	for _, b := range both {
		g.Go(func() error { return b.TickDue(context.Background()) })
	}
	if err := g.Wait(); err != nil {
		t.Fatalf("tick: %v", err)
	}
	s.ticked()
}

// Kill has a server die behind one of its steps, and one finish within four minutes what it began.
func (s *scheduleMachine) Kill(t *rapid.T) {
	step := rapid.SampledFrom([]string{"tick begun", "tick sent", "tick noted", "ticked"}).Draw(t, "step")
	died := s.servers[1].dies(step)
	err := s.servers[1].TickDue(context.Background())
	s.servers[1].SetStep(func(string) error { return nil })
	if died() != (err != nil) {
		t.Fatalf("killed behind %q: %v, and the call says %v", step, died(), err)
	}
	s.ticked()
	s.servers[0].clock.Advance(time.Duration(rapid.IntRange(0, 239_000).Draw(t, "ms later")) * time.Millisecond)
	s.Tick(t)
}

// Check compares all schedules and the number of messages with the model.
func (s *scheduleMachine) Check(t *rapid.T) {
	b, ctx := s.servers[0], context.Background()
	for name, p := range s.all {
		got, err := b.GetSchedule(ctx, b.tenant, s.queue, name)
		if err != nil {
			t.Fatalf("get %s: %v", name, err)
		}
		seen := scheduleView{Runs: got.Runs, Missed: got.Missed, Errors: got.Errors, Paused: got.Paused, LastRun: got.LastRun.For, LastError: got.LastError.For, Next: got.NextRuns}
		if diff := gocmp.Diff(p.view(s.now()), seen); diff != "" {
			t.Fatalf("%s at %s (-want +got):\n%s", name, s.now(), diff)
		}
	}
	st, err := b.Stats(ctx, b.tenant, s.queue)
	if err != nil || st.Sent != s.sent {
		t.Fatalf("%d messages were sent, want %d; %v", st.Sent, s.sent, err)
	}
}

// TestScheduleModel plays random histories on the schedules of a queue, with two servers, and on a model.
func TestScheduleModel(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"standard", "FIFO", "shards"} {
		t.Run("redis, "+kind, func(t *testing.T) {
			t.Parallel()
			playSchedules(t, ownRedis(t), kind)
		})
		t.Run("memory, "+kind, func(t *testing.T) {
			t.Parallel()
			playSchedules(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}), kind)
		})
	}
}

func playSchedules(t *testing.T, b *bench, kind string) {
	servers := []*bench{b, b.another(t)}
	play(t, b, scheduleChecks, scheduleMemoryChecks, []string{"Put", "Advance", "Tick", "Put", "Advance", "Tick", "Kill"}, func(rt *rapid.T) (rapid.StateMachine, []string) {
		s := &scheduleMachine{servers: servers, fifo: kind == "FIFO", all: map[string]*planned{}}
		switch kind {
		case "FIFO":
			s.queue = b.fifo(t, nil)
		case "shards":
			s.queue = b.sharded(t, 3)
		default:
			s.queue = b.queue(t, nil)
		}
		return s, []string{s.queue}
	})
}
