package alarms_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestAnAlarmSaysWhenAQueueIsTooFull(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 2, Periods: 2, NotifyTopic: "alerts", Description: "see the runbook"})
		w.is(t, "deep", alarms.Unknown)
		w.pass(t)
		w.is(t, "deep", alarms.OK)
		w.send(t, "orders", 3)
		w.pass(t)
		w.is(t, "deep", alarms.OK) // once is not enough
		w.pass(t)
		e := w.is(t, "deep", alarms.Alarm)
		if e.Value == nil || *e.Value != 3 || e.Seen != "orders" || !e.Since.Equal(w.clock.Now()) || !e.Looked.Equal(w.clock.Now()) {
			t.Errorf("it has seen %+v", e)
		}
		w.pass(t)
		w.is(t, "deep", alarms.Alarm)
		w.take(t, "orders", 1)
		w.pass(t)
		w.is(t, "deep", alarms.OK)

		three, two := 3.0, 2.0
		base := alarms.Message{Type: alarms.MessageType, Alarm: "deep", Metric: alarms.Available, Comparison: ">", Threshold: 2, Period: 60, Periods: 2,
			Names: []string{"orders"}, Description: "see the runbook"}
		raised, over := base, base
		raised.State, raised.Previous, raised.Value = alarms.Alarm, alarms.OK, &three
		raised.At, raised.Reason = "2026-03-01T12:03:00.000Z", "available of orders is 3, which is > 2, for 2 periods of 60 seconds."
		over.State, over.Previous, over.Value = alarms.OK, alarms.Alarm, &two
		over.At, over.Reason = "2026-03-01T12:05:00.000Z", "available of orders is 2, which is not > 2."
		if diff := cmp.Diff([]alarms.Message{raised, over}, w.told(t, "alerts")); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		list, err := w.History(t.Context(), w.tenant, "deep")
		must(t, err)
		var states []alarms.State
		for _, c := range list {
			states = append(states, c.To)
		}
		if diff := cmp.Diff([]alarms.State{alarms.OK, alarms.Alarm, alarms.OK}, states); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// One row for each metric: what raises it, and what ends that.
func TestWhatAlarmsLookAt(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   alarms.Settings
		raise func(t *testing.T, w *world)
		end   func(t *testing.T, w *world)
	}{
		{"in flight", alarms.Settings{Metric: alarms.InFlight, Queue: "q*", Comparison: ">=", Threshold: 1},
			func(t *testing.T, w *world) {
				w.send(t, "q1", 1)
				long := 90 * time.Second
				_, err := w.queues.Receive(t.Context(), w.tenant, "q1", queues.ReceiveOptions{Max: 1, VisibilityTimeout: &long})
				must(t, err)
			},
			func(t *testing.T, w *world) { w.clock.Advance(time.Minute) }},
		{"delayed", alarms.Settings{Metric: alarms.Delayed, Queue: "*", Threshold: 0},
			func(t *testing.T, w *world) {
				wait := 90 * time.Second
				_, err := w.queues.Send(t.Context(), w.tenant, "q2", queues.Outgoing{Body: []byte("m"), Delay: &wait})
				must(t, err)
			},
			func(t *testing.T, w *world) { w.clock.Advance(time.Minute) }},
		{"age", alarms.Settings{Metric: alarms.OldestAge, Queue: "q1", Threshold: 59},
			func(t *testing.T, w *world) { w.send(t, "q1", 1) },
			func(t *testing.T, w *world) { w.take(t, "q1", 1) }},
		{"nobody receives", alarms.Settings{Metric: alarms.Unreceived, Queue: "q1", Threshold: 119},
			func(t *testing.T, w *world) {
				w.send(t, "q1", 2)
				w.pass(t)
				w.pass(t)
				w.is(t, "a", alarms.OK)
			},
			func(t *testing.T, w *world) { w.take(t, "q1", 1) }},
		{"dead letters", alarms.Settings{Metric: alarms.DeadLettered, Queue: "q1"},
			func(t *testing.T, w *world) {
				w.send(t, "q1", 1)
				for range 2 {
					list, err := w.queues.Receive(t.Context(), w.tenant, "q1", queues.ReceiveOptions{Max: 1})
					must(t, err)
					for _, m := range list {
						_, err = w.queues.Settle(t.Context(), w.tenant, "q1", []queues.Settlement{{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle}})
						must(t, err)
					}
				}
			},
			func(*testing.T, *world) {}},
		{"too few", alarms.Settings{Metric: alarms.Available, Queue: "q1", Comparison: "<", Threshold: 1},
			func(t *testing.T, w *world) { w.take(t, "q1", 1) },
			func(t *testing.T, w *world) { w.send(t, "q1", 1) }},
		{"webhook", alarms.Settings{Metric: alarms.FailureRate, Topic: "*", Subscription: "*", Threshold: 50},
			func(_ *testing.T, w *world) {
				w.hooks["hook"] = webhook.Status{Gate: webhook.Open, Attempts: 20, Delivered: 14}
			},
			func(_ *testing.T, w *world) {
				w.hooks["hook"] = webhook.Status{Gate: webhook.Open, Attempts: 30, Delivered: 24}
			}},
		{"webhook that was disabled", alarms.Settings{Metric: alarms.FailureRate, Topic: "*", Subscription: "h*", Threshold: 99},
			func(_ *testing.T, w *world) {
				w.hooks["hook"] = webhook.Status{Gate: webhook.Off, Reason: "failing", Attempts: 11, Delivered: 11}
			},
			func(_ *testing.T, w *world) {
				w.hooks["hook"] = webhook.Status{Gate: webhook.Open, Attempts: 13, Delivered: 13}
			}},
		{"quota", alarms.Settings{Metric: alarms.QuotaUsed, Threshold: 80},
			func(t *testing.T, w *world) { w.limit(t, tenants.LimitTopics, 1) },
			func(t *testing.T, w *world) { w.limit(t, tenants.LimitTopics, 10) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				w.queue(t, "dead")
				set := queues.DefaultSettings()
				set.Redrive = queues.Redrive{DeadLetterQueue: "dead", MaxReceives: 1}
				_, _, err := w.queues.Put(t.Context(), w.tenant, "q1", set, queues.Condition{})
				must(t, err)
				w.queue(t, "q2")
				w.topic(t, "events")
				_, _, err = w.topics.PutSubscription(t.Context(), w.tenant, "events", "hook", topics.SubscriptionSettings{Endpoint: "{}"}, topics.Condition{})
				must(t, err)
				w.hooks["hook"] = webhook.Status{Gate: webhook.Open, Attempts: 10, Delivered: 10}
				if c.name == "too few" {
					w.send(t, "q1", 1)
				}
				w.set(t, "a", c.set)
				w.pass(t)
				if c.set.Metric == alarms.FailureRate {
					w.is(t, "a", alarms.Unknown) // there is nothing to compare with
				} else {
					w.is(t, "a", alarms.OK)
				}
				c.raise(t, w)
				w.pass(t)
				w.is(t, "a", alarms.Alarm)
				c.end(t, w)
				w.pass(t)
				w.is(t, "a", alarms.OK)
				if c.set.Metric == alarms.FailureRate {
					w.pass(t)
					w.is(t, "a", alarms.OK) // nothing was sent: all stays
				}
			})
		})
	}
}

// limit gives the tenant a limit.
func (w *world) limit(tb testing.TB, l tenants.Limit, n int64) {
	tb.Helper()
	tn, err := w.tenants.ByID(tb.Context(), w.tenant)
	must(tb, err)
	var set tenants.Settings
	set.Limits[l] = n
	_, _, err = w.tenants.Put(tb.Context(), tn.Name, set, tenants.Condition{})
	must(tb, err)
	w.clock.Advance(2 * time.Minute) // what was known of the tenant is read again
}

func TestAnAlarmOfManyQueuesNamesThoseAtFault(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.topic(t, "alerts")
		for _, name := range []string{"orders-a", "orders-b", "orders-dlq", "mail"} {
			w.queue(t, name)
			w.send(t, name, 2)
		}
		w.send(t, "orders-b", 1)
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders-*", Except: []string{"*-dlq"}, Threshold: 1, NotifyTopic: "alerts"})
		w.pass(t)
		got := w.told(t, "alerts")
		if len(got) != 1 || *got[0].Value != 3 {
			t.Fatalf("told %+v", got)
		}
		if diff := cmp.Diff([]string{"orders-b", "orders-a"}, got[0].Names); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		// Each queue has to be beyond the threshold long enough, not one after the other.
		w.set(t, "long", alarms.Settings{Metric: alarms.Available, Queue: "orders-*", Threshold: 4, Periods: 2})
		w.send(t, "orders-a", 4)
		w.pass(t)
		w.take(t, "orders-a", 6)
		w.send(t, "orders-b", 4)
		w.pass(t)
		w.is(t, "long", alarms.OK)
		w.pass(t)
		w.is(t, "long", alarms.Alarm)
	})
}

func TestAnAlarmOfWhatIsGoneHasNoData(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.send(t, "orders", 5)
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 1})
		w.pass(t)
		w.is(t, "deep", alarms.Alarm)
		must(t, w.queues.Delete(t.Context(), w.tenant, "orders", queues.Condition{}))
		w.pass(t)
		if e := w.is(t, "deep", alarms.Unknown); e.Value != nil {
			t.Errorf("it has seen %v", *e.Value)
		}
		w.queue(t, "orders")
		w.pass(t)
		w.is(t, "deep", alarms.OK)
	})
}

// Two servers look at once, one dies between the change and its message: each change is noted and told once.
func TestEachChangeIsToldOnceWhateverServersDo(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 0, NotifyTopic: "alerts"})
		other := w.another(t)
		want := 0
		for range 3 {
			for _, n := range []int{1, 0} {
				if n == 1 {
					w.send(t, "orders", 1)
				} else {
					w.take(t, "orders", 1)
				}
				w.clock.Advance(time.Minute)
				must(t, w.monitor.Record(t.Context()))
				done := make(chan error, 2)
				for _, s := range []*world{w, other} {
					go func() { done <- s.Evaluate(t.Context()) }()
				}
				must(t, <-done)
				must(t, <-done)
				want++
			}
		}
		must(t, other.Evaluate(t.Context()))
		if got := w.told(t, "alerts"); len(got) != want {
			t.Errorf("told %d times, want %d: %+v", len(got), want, got)
		}
		list, err := w.History(t.Context(), w.tenant, "deep")
		must(t, err)
		if len(list) != want {
			t.Errorf("%d changes, want %d", len(list), want)
		}
	})
}

// While a topic takes nothing the message waits, and another server sends it, also after a restart.
func TestAMessageThatCouldNotBePublishedIsPublishedLater(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.send(t, "orders", 1)
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 0, NotifyTopic: "alerts"})
		died := errors.New("the server died")
		w.DieBeforeTelling(died)
		w.clock.Advance(time.Minute)
		must(t, w.monitor.Record(t.Context()))
		if err := w.Evaluate(t.Context()); !errors.Is(err, died) {
			t.Fatalf("got %v", err)
		}
		w.is(t, "deep", alarms.Alarm)
		if got := w.told(t, "alerts"); len(got) != 0 {
			t.Fatalf("told %+v", got)
		}
		other := w.another(t)
		other.pass(t)
		other.pass(t)
		if got := other.told(t, "alerts"); len(got) != 1 || got[0].State != alarms.Alarm || got[0].At != "2026-03-01T12:01:00.000Z" {
			t.Errorf("told %+v", got)
		}
	})
}

func TestATopicThatIsGoneIsSaid(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.send(t, "orders", 1)
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 0, NotifyTopic: "alerts"})
		must(t, w.topics.Delete(t.Context(), w.tenant, "alerts", topics.Condition{}))
		w.pass(t)
		if e := w.is(t, "deep", alarms.Alarm); e.Trouble == nil || e.Trouble.Code != "topic_not_found" {
			t.Errorf("trouble: %+v", e.Trouble)
		}
		w.topic(t, "alerts")
		w.pass(t)
		if got := w.told(t, "alerts"); len(got) != 0 {
			t.Errorf("what was given up is told: %+v", got)
		}
		w.take(t, "orders", 1)
		w.pass(t)
		if e := w.is(t, "deep", alarms.OK); e.Trouble != nil || len(w.told(t, "alerts")) != 1 {
			t.Errorf("trouble: %+v", e.Trouble)
		}
	})
}

func TestAMutedAlarmTellsNobody(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 0, NotifyTopic: "alerts"})
		w.set(t, "off", alarms.Settings{Metric: alarms.Available, Queue: "orders", Threshold: 0, NotifyTopic: "alerts", Disabled: true})
		e, err := w.Mute(t.Context(), w.tenant, "deep", 90*time.Second, "migration")
		must(t, err)
		if !e.Muted.Equal(w.clock.Now().Add(90*time.Second)) || e.MutedFor != "migration" {
			t.Errorf("muted: %+v", e)
		}
		w.send(t, "orders", 1)
		w.pass(t)
		w.is(t, "deep", alarms.Alarm)
		w.take(t, "orders", 1)
		w.pass(t)
		if got := w.told(t, "alerts"); len(got) != 1 || got[0].State != alarms.OK {
			t.Errorf("told %+v, want what came after the end", got)
		}
		w.is(t, "off", alarms.Unknown)
		if _, err := w.Mute(t.Context(), w.tenant, "deep", alarms.MaxMute+time.Second, ""); errs.KindOf(err) != errs.Invalid {
			t.Errorf("for too long: %v", err)
		}
		if _, err := w.Mute(t.Context(), w.tenant, "none", time.Second, ""); !errors.Is(err, alarms.ErrNotFound) {
			t.Errorf("an alarm that is not there: %v", err)
		}
		_, err = w.Mute(t.Context(), w.tenant, "deep", time.Hour, "")
		must(t, err)
		e, err = w.Mute(t.Context(), w.tenant, "deep", 0, "")
		must(t, err)
		if !e.Muted.IsZero() {
			t.Errorf("muted: %+v", e)
		}
	})
}

func TestTenantsHaveAlarmsOfTheirOwn(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		mine, theirs := w.tenant, w.newTenant(t)
		for _, tn := range []tenants.ID{mine, theirs} {
			w.tenant = tn
			w.queue(t, "orders")
			w.topic(t, "alerts")
			w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "*", Threshold: 0, NotifyTopic: "alerts"})
		}
		w.tenant = mine
		w.send(t, "orders", 1)
		w.pass(t)
		w.is(t, "deep", alarms.Alarm)
		if n := len(w.told(t, "alerts")); n != 1 {
			t.Errorf("told %d times", n)
		}
		if diff := cmp.Diff(map[tenants.ID]int64{mine: 1}, w.Last().Active, cmp.AllowUnexported(tenants.ID{})); diff != "" {
			t.Errorf("active (-want +got):\n%s", diff)
		}
		w.tenant = theirs
		w.is(t, "deep", alarms.OK)

		// One that is suspended rests, and goes on after that.
		suspend := func(id tenants.ID, on bool) string {
			tn, err := w.tenants.ByID(t.Context(), id)
			must(t, err)
			if on {
				_, err = w.tenants.Suspend(t.Context(), tn.Name, tenants.ModeAll, "unpaid", tenants.Condition{})
			} else {
				_, err = w.tenants.Resume(t.Context(), tn.Name, tenants.Condition{})
			}
			must(t, err)
			w.clock.Advance(2 * time.Minute)
			return tn.Name
		}
		w.tenant = mine
		w.take(t, "orders", 1)
		name := suspend(mine, true)
		w.pass(t)
		w.is(t, "deep", alarms.Alarm)
		suspend(mine, false)
		w.pass(t)
		w.is(t, "deep", alarms.OK)

		// With the tenant its alarms go.
		must(t, w.queues.Delete(t.Context(), mine, "orders", queues.Condition{}))
		must(t, w.topics.Delete(t.Context(), mine, "alerts", topics.Condition{}))
		must(t, w.tenants.Delete(t.Context(), name, tenants.Condition{}))
		if list, err := w.List(t.Context(), mine); err != nil || len(list) != 0 {
			t.Errorf("left behind: %v %v", list, err)
		}
		if _, _, err := w.Put(t.Context(), mine, "late", alarms.Settings{Metric: alarms.QuotaUsed, Comparison: ">", Period: time.Minute, Periods: 1}, queues.Condition{}); !errors.Is(err, queues.ErrTenantGone) {
			t.Errorf("an alarm of a tenant that is gone: %v", err)
		}
	})
}

func TestAlarmsAreLimitedAndConditional(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		set := alarms.Default()
		set.Metric, set.Queue = alarms.Available, "orders"
		var first alarms.Entry
		for i := range alarms.MaxAlarms {
			e, created, err := w.Put(t.Context(), w.tenant, fmt.Sprintf("a%03d", i), set, queues.Condition{})
			must(t, err)
			if !created {
				t.Errorf("a%03d was there", i)
			}
			if i == 0 {
				first = e
			}
		}
		if _, _, err := w.Put(t.Context(), w.tenant, "more", set, queues.Condition{}); !errors.Is(err, alarms.ErrQuota) {
			t.Errorf("one too many: %v", err)
		}
		same, created, err := w.Put(t.Context(), w.tenant, "a000", set, queues.Condition{})
		must(t, err)
		if created || same.ETag != first.ETag {
			t.Errorf("the same once more: created %t, %s, was %s", created, same.ETag, first.ETag)
		}
		set.Threshold = 5
		if _, _, err := w.Put(t.Context(), w.tenant, "a000", set, queues.Condition{ETag: "other"}); !errors.Is(err, alarms.ErrPrecondition) {
			t.Errorf("another version: %v", err)
		}
		if _, _, err := w.Put(t.Context(), w.tenant, "a000", set, queues.Condition{Missing: true}); !errors.Is(err, alarms.ErrPrecondition) {
			t.Errorf("it is there: %v", err)
		}
		next, _, err := w.Put(t.Context(), w.tenant, "a000", set, queues.Condition{ETag: first.ETag})
		must(t, err)
		if next.ETag == first.ETag || next.Settings.Threshold != 5 || !next.Created.Equal(first.Created) {
			t.Errorf("changed: %+v", next)
		}
		must(t, w.Delete(t.Context(), w.tenant, "a000", queues.Condition{}))
		if err := w.Delete(t.Context(), w.tenant, "a000", queues.Condition{}); !errors.Is(err, alarms.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		list, err := w.List(t.Context(), w.tenant)
		must(t, err)
		if len(list) != alarms.MaxAlarms-1 || list[0].Name != "a001" {
			t.Errorf("%d alarms, the first is %s", len(list), list[0].Name)
		}
	})
}

func TestWhatAnAlarmMayNotSay(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		good := alarms.Default()
		good.Metric, good.Queue = alarms.Available, "orders"
		for pointer, bad := range map[string]func(s *alarms.Settings){
			"/metric":              func(s *alarms.Settings) { s.Metric = "cpu" },
			"/target/queue":        func(s *alarms.Settings) { s.Queue = "" },
			"/target/topic":        func(s *alarms.Settings) { s.Topic = "t" },
			"/target/subscription": func(s *alarms.Settings) { s.Metric, s.Queue, s.Topic = alarms.FailureRate, "", "t" },
			"/target/except/0":     func(s *alarms.Settings) { s.Except = []string{"a\r\nb"} },
			"/comparison":          func(s *alarms.Settings) { s.Comparison = "!=" },
			"/threshold":           func(s *alarms.Settings) { s.Threshold = -1 },
			"/period":              func(s *alarms.Settings) { s.Period = 90 * time.Second },
			"/periods":             func(s *alarms.Settings) { s.Periods = alarms.MaxPeriods + 1 },
			"/notify/on/1":         func(s *alarms.Settings) { s.NotifyOn = []alarms.State{alarms.OK, alarms.OK} },
			"/notify/topic":        func(s *alarms.Settings) { s.NotifyTopic = "none" },
			"/description":         func(s *alarms.Settings) { s.Description = strings.Repeat("x", alarms.MaxDescription+1) },
		} {
			set := good
			bad(&set)
			_, _, err := w.Put(t.Context(), w.tenant, "a", set, queues.Condition{})
			e, _ := errors.AsType[*errs.Error](err)
			if e == nil || e.Kind != errs.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != pointer {
				t.Errorf("%s: got %+v", pointer, e)
			}
		}
		if _, _, err := w.Put(t.Context(), w.tenant, "a b", good, queues.Condition{}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a name: %v", err)
		}
		if list, err := w.List(t.Context(), w.tenant); err != nil || len(list) != 0 {
			t.Errorf("left behind: %v %v", list, err)
		}
		for name, set := range alarms.Suggested("") {
			if _, _, err := w.Put(t.Context(), w.tenant, name, set, queues.Condition{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// calls counts what the engine did.
func (w *world) calls() (n int64) {
	for _, c := range w.engine.Outcomes() {
		n += c
	}
	return n
}

// Ten alarms cost what one does, and an installation without any costs one call. Two of the seven ask for the tenant's terms,
// which a running server knows.
func TestWhatALookCosts(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		cost := func() int64 {
			w.clock.Advance(time.Minute)
			must(t, w.monitor.Record(t.Context()))
			before := w.calls()
			must(t, w.Evaluate(t.Context()))
			return w.calls() - before
		}
		if n := cost(); n != 1 {
			t.Errorf("%d calls without alarms", n)
		}
		for i := range 50 {
			w.queue(t, fmt.Sprintf("q%d", i))
		}
		w.set(t, "a", alarms.Settings{Metric: alarms.Available, Queue: "*", Threshold: 1})
		cost()
		one := cost()
		for i := range 9 {
			w.set(t, fmt.Sprintf("a%d", i), alarms.Settings{Metric: alarms.OldestAge, Queue: fmt.Sprintf("q%d", i), Threshold: 1})
		}
		cost()
		if ten := cost(); ten != one || one > 7 {
			t.Errorf("%d calls for one alarm, %d for ten", one, ten)
		}
		t.Logf("%d calls for one alarm", one)
		// A tenant without alarms leaves the index, in the end.
		list, err := w.List(t.Context(), w.tenant)
		must(t, err)
		for _, e := range list {
			must(t, w.Delete(t.Context(), w.tenant, e.Name, queues.Condition{}))
		}
		w.clock.Advance(time.Hour)
		cost()
		if n := cost(); n != 1 {
			t.Errorf("%d calls when all alarms are deleted", n)
		}
	})
}
