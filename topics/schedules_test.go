package topics_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// every are the settings of a schedule that publishes each so often.
func every(d time.Duration, m queues.Outgoing) queues.ScheduleSettings {
	return queues.ScheduleSettings{Every: d, Missed: queues.MissedSkip, Message: m}
}

func (w *world) schedule(tb testing.TB, topic, name string) queues.Schedule {
	tb.Helper()
	s, err := w.GetSchedule(tb.Context(), w.tenant, topic, name)
	must(tb, err)
	return s
}

func TestAScheduleOfATopicPublishes(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, suffix := range []string{"", ".fifo"} {
			tp := w.topicNamed(t, fmt.Sprintf("t%d%s", names.Add(1), suffix), topics.Settings{Retention: time.Hour, ContentBased: suffix != ""})
			m := queues.Outgoing{Body: []byte("tick"), ContentType: "text/plain", GroupID: "g", Attributes: []queues.Attribute{{Name: "n", Type: "Number", Value: "1"}}}
			set := every(time.Minute, m)
			set.TimeZone, set.Cron, set.Every = "Europe/Berlin", "* * * * *", 0
			made, created, err := w.PutSchedule(t.Context(), w.tenant, tp, "s", set, queues.Condition{})
			must(t, err)
			if !created || made.Queue != tp || len(made.NextRuns) != queues.ShownRuns || !made.NextRuns[0].Equal(w.clock.Now().Truncate(time.Minute).Add(time.Minute)) {
				t.Errorf("made: %+v", made)
			}
			for range 3 {
				w.clock.Advance(time.Minute)
				must(t, w.TickOnce(t.Context()))
			}
			log := w.wholeLog(t, tp)
			ids := map[string]bool{}
			for i := range log {
				if got := log[i].Message; string(got.Body) != "tick" || got.GroupID != "g" || len(got.Attributes) != 1 || got.ContentType != "text/plain" {
					t.Errorf("published: %+v", got)
				}
				ids[log[i].Message.DeduplicationID] = true
			}
			if len(log) != 3 || suffix != "" && len(ids) != 3 {
				t.Errorf("%d messages with the deduplication ids %v, want 3", len(log), ids)
			}
			if s := w.schedule(t, tp, "s"); s.Runs != 3 || s.Missed+s.Errors != 0 || s.LastRun.MessageID != log[2].ID {
				t.Errorf("the schedule says %+v", s)
			}
			// Paused it publishes nothing, but by hand, once for a key.
			_, err = w.PauseSchedule(t.Context(), w.tenant, tp, "s", "holidays")
			must(t, err)
			w.clock.Advance(10 * time.Minute)
			must(t, w.TickOnce(t.Context()))
			for i := range 2 {
				sent, _, err := w.RunSchedule(t.Context(), w.tenant, tp, "s", "by hand")
				must(t, err)
				if sent.Replayed != (i > 0) || sent.SequenceNumber == "" {
					t.Errorf("run %d: %+v", i, sent)
				}
			}
			resumed, err := w.ResumeSchedule(t.Context(), w.tenant, tp, "s")
			must(t, err)
			w.clock.Advance(time.Minute)
			must(t, w.TickOnce(t.Context()))
			if n := len(w.wholeLog(t, tp)); n != 5 || resumed.Paused || resumed.Missed != 0 {
				t.Errorf("after a pause, a run and a tick there are %d messages, want 5; %+v", n, resumed)
			}
			must(t, w.DeleteSchedule(t.Context(), w.tenant, tp, "s", queues.Condition{}))
			w.clock.Advance(time.Hour)
			must(t, w.TickOnce(t.Context()))
			if _, err := w.GetSchedule(t.Context(), w.tenant, tp, "s"); !errors.Is(err, queues.ErrScheduleNotFound) {
				t.Errorf("a deleted schedule: %v", err)
			}
		}
	})
}

func TestSchedulesOfATopicThatAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, fifo := w.topic(t, topics.Settings{}), w.fifo(t, topics.Settings{})
		soon := time.Second
		for what, test := range map[string]struct {
			topic string
			set   queues.ScheduleSettings
		}{
			"a delay":                {tp, every(time.Minute, queues.Outgoing{Body: []byte("m"), Delay: &soon})},
			"no body":                {tp, every(time.Minute, queues.Outgoing{})},
			"a large message":        {tp, every(time.Minute, queues.Outgoing{Body: make([]byte, queues.MaxScheduledMessage+1)})},
			"no group":               {fifo, every(time.Minute, queues.Outgoing{Body: []byte("m")})},
			"a deduplication id":     {fifo, every(time.Minute, queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: "d"})},
			"no time":                {tp, every(0, queues.Outgoing{Body: []byte("m")})},
			"half a second in a day": {tp, every(500*time.Millisecond, queues.Outgoing{Body: []byte("m")})},
		} {
			if _, _, err := w.PutSchedule(t.Context(), w.tenant, test.topic, "s", test.set, queues.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: %v", what, err)
			}
		}
		good := every(time.Minute, queues.Outgoing{Body: []byte("m")})
		if _, _, err := w.PutSchedule(t.Context(), w.tenant, "nowhere", "s", good, queues.Condition{}); !errors.Is(err, topics.ErrTopicNotFound) {
			t.Errorf("of no topic: %v", err)
		}
		if _, err := w.GetSchedule(t.Context(), w.tenant, tp, "s"); !errors.Is(err, queues.ErrScheduleNotFound) {
			t.Errorf("none was made: %v", err)
		}
		// A queue of the same name is another owner.
		w.clock.Advance(time.Second)
		_, _, err := w.queues.Put(t.Context(), w.tenant, tp, queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		_, _, err = w.queues.PutSchedule(t.Context(), w.tenant, tp, "s", good, queues.Condition{})
		must(t, err)
		list, _, err := w.ListSchedules(t.Context(), w.tenant, tp, "", "", 10)
		if err != nil || len(list) != 0 {
			t.Errorf("schedules of the topic: %+v, %v", list, err)
		}
		w.clock.Advance(time.Minute)
		must(t, w.TickOnce(t.Context()))
		if s, err := w.queues.GetSchedule(t.Context(), w.tenant, tp, "s"); err != nil || s.Runs != 0 {
			t.Errorf("the topics' ticks ran a queue's schedule: %+v, %v", s, err)
		}
		for i := range queues.MaxSchedules {
			_, _, err := w.PutSchedule(t.Context(), w.tenant, fifo, fmt.Sprint("s", i), every(time.Hour, queues.Outgoing{Body: []byte("m"), GroupID: "g"}), queues.Condition{})
			must(t, err)
		}
		if _, _, err := w.PutSchedule(t.Context(), w.tenant, fifo, "more", every(time.Hour, queues.Outgoing{Body: []byte("m"), GroupID: "g"}), queues.Condition{}); errs.KindOf(err) != errs.Quota {
			t.Errorf("one more than a topic may have: %v", err)
		}
	})
}

// Ticks that were missed are treated as the schedule says, once.
func TestMissedTicksOfATopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: 24 * time.Hour})
		want := map[queues.MissedPolicy]int64{queues.MissedSkip: 2, queues.MissedRunOnce: 3, queues.MissedRunAll: 30}
		for policy := range want {
			set := every(time.Minute, queues.Outgoing{Body: []byte(policy)})
			set.Missed = policy
			_, _, err := w.PutSchedule(t.Context(), w.tenant, tp, string(policy), set, queues.Condition{})
			must(t, err)
		}
		w.clock.Advance(30 * time.Minute) // all servers are down
		other := w.another(t)
		must(t, other.TickOnce(t.Context()))
		must(t, w.TickOnce(t.Context()))
		got := map[queues.MissedPolicy]int64{}
		for _, l := range w.wholeLog(t, tp) {
			got[queues.MissedPolicy(l.Message.Body)]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
		for policy, runs := range want {
			if s := w.schedule(t, tp, string(policy)); s.Runs != runs || s.Runs+s.Missed != 30 {
				t.Errorf("%s: %d runs, %d missed", policy, s.Runs, s.Missed)
			}
		}
	})
}

// A server dies after each step of a tick, and another one finishes it; two servers run ticks at the same time. Each publishes once.
func TestATickOfATopicPublishesOnce(t *testing.T) {
	for _, step := range []string{"tick begun", "entered", "tick sent", "tick noted", "ticked"} {
		t.Run(step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, topics.Settings{Retention: time.Hour})
				_, _, err := w.PutSchedule(t.Context(), w.tenant, tp, "s", every(10*time.Second, queues.Outgoing{Body: []byte("m")}), queues.Condition{})
				must(t, err)
				w.SetStep(func(done string) error {
					if done == step {
						return engine.ErrUnavailable.Because(errCrash)
					}
					return nil
				})
				w.clock.Advance(10 * time.Second)
				_ = w.TickOnce(t.Context())
				w.Stop()
				others := []*world{w.another(t), w.another(t)}
				for range 4 { // what failed is looked at again
					var all sync.WaitGroup
					for _, other := range others {
						all.Go(func() { _ = other.TickOnce(t.Context()) })
					}
					all.Wait()
					w.clock.Advance(2 * time.Second)
				}
				if log := w.wholeLog(t, tp); len(log) != 1 {
					t.Errorf("one tick published %d messages", len(log))
				}
				if s := others[0].schedule(t, tp, "s"); s.Runs != 1 || s.Missed+s.Errors != 0 {
					t.Errorf("the schedule says %+v", s)
				}
			})
		})
	}
}

// A topic that is deleted takes its schedules along, whatever server dies meanwhile, and a lost index is made again.
func TestSchedulesGoWithTheirTopic(t *testing.T) {
	for _, step := range []string{"", "retired", "unregistered", "schedules left", "erased"} {
		t.Run("after "+step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp, stays := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{Retention: time.Hour})
				for _, name := range []string{tp, stays} {
					_, _, err := w.PutSchedule(t.Context(), w.tenant, name, "s", every(time.Minute, queues.Outgoing{Body: []byte("m")}), queues.Condition{})
					must(t, err)
				}
				w.SetStep(func(done string) error {
					if done == step {
						return errCrash
					}
					return nil
				})
				if err := w.Delete(t.Context(), w.tenant, tp, topics.Condition{}); err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				w.SetStep(func(string) error { return nil })
				index := engine.SystemKey("topic-schedules")
				if step == "" {
					must(t, w.engine.Single().Del(t.Context(), index).Err())
				}
				must(t, w.Sweep(t.Context(), w.tenant))
				entries, err := w.engine.Single().ZRange(t.Context(), index, 0, -1).Result()
				if err != nil || len(entries) != 1 {
					t.Errorf("the index has %q, %v; want the schedule of the other topic", entries, err)
				}
				keys, err := w.engine.Single().Keys(t.Context(), "*:schedules").Result()
				if err != nil || len(slices.DeleteFunc(keys, func(k string) bool { return k == index })) != 1 {
					t.Errorf("keys of schedules: %q, %v; want one", keys, err)
				}
				w.topicNamed(t, tp, topics.Settings{Retention: time.Hour})
				w.clock.Advance(time.Minute)
				must(t, w.TickOnce(t.Context()))
				if a, b := len(w.wholeLog(t, tp)), len(w.wholeLog(t, stays)); a != 0 || b != 1 {
					t.Errorf("the new topic has %d messages, the other one %d; want 0 and 1", a, b)
				}
			})
		})
	}
}
