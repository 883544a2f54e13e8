package webhook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// incident is an event as a subscriber gets it.
type incident struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	EventID   string    `json:"event_id"`
	Data      struct {
		Topic        string     `json:"topic"`
		Subscription string     `json:"subscription"`
		Endpoint     string     `json:"endpoint"`
		Reason       string     `json:"reason"`
		FailingSince *time.Time `json:"failing_since"`
		FailingFor   int64      `json:"failing_for"`
		Failures     int64      `json:"failures"`
	} `json:"data"`
}

func (e *incident) String() string {
	s := e.Data.Subscription + " " + strings.TrimPrefix(e.Type, "webhook.")
	if e.Data.FailingFor != 0 {
		s += fmt.Sprint(" ", e.Data.FailingFor/3600, "h")
	}
	if e.Data.Reason != "" {
		s += " " + e.Data.Reason
	}
	return s
}

// eventsTopic makes the topic that gets what befalls webhooks.
func (w *world) eventsTopic(tb testing.TB) {
	tb.Helper()
	_, _, err := w.topics.Put(tb.Context(), w.tenant, webhook.EventsTopic, topics.Settings{Retention: 14 * 24 * time.Hour}, topics.Condition{})
	must(tb, err)
}

// events returns what the tenant was told, in its order.
func (w *world) events(tb testing.TB) []incident {
	tb.Helper()
	r, err := w.topics.Read(tb.Context(), w.tenant, webhook.EventsTopic, topics.ReadOptions{Limit: topics.MaxRead})
	must(tb, err)
	var out []incident
	for _, m := range r.Messages {
		var e incident
		must(tb, json.Unmarshal(m.Message.Body, &e))
		out = append(out, e)
	}
	return out
}

// stories returns the same in short, each event once: it may come twice where the clock went on while it was told.
func (w *world) stories(tb testing.TB) []string {
	tb.Helper()
	var out []string
	seen := map[string]bool{}
	for _, e := range w.events(tb) {
		if !seen[e.EventID] {
			seen[e.EventID] = true
			out = append(out, e.String())
		}
	}
	return out
}

// quiet waits until all that befell a webhook is done with, and returns how many events that were.
func (w *world) quiet(tb testing.TB, way topics.Way) int64 {
	tb.Helper()
	var n []int64
	until(tb, "all is told", func() bool {
		n = w.untold(tb, way)
		return n[0] == n[1]
	})
	return n[0]
}

// untold returns the numbers of the last event of a webhook and of the last one that is done with.
func (w *world) untold(tb testing.TB, way topics.Way) []int64 {
	tb.Helper()
	list, err := w.engine.Single().HMGet(tb.Context(), webhook.Keys(way)[1], "en", "eo").Result()
	must(tb, err)
	out := make([]int64, len(list))
	for i, v := range list {
		if v != nil {
			_, err := fmt.Sscan(v.(string), &out[i])
			must(tb, err)
		}
	}
	return out
}

// failsOnce publishes a message, which a webhook that has failed for so long does not take.
func (w *world) failsOnce(tb testing.TB, way topics.Way, failures int, by time.Duration) {
	tb.Helper()
	n := w.status(tb, way).Attempts
	must(tb, w.Age(tb.Context(), way, failures, by))
	w.publish(tb, way.Topic, "x")
	w.reaches(tb, way, "it fails", func(s webhook.Status) bool { return s.Attempts == n+1 && s.Sending == 0 })
	w.quiet(tb, way)
}

// hourly moves the clock by an hour whenever nothing is under way, until a condition holds.
func (w *world) hourly(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	until(tb, what, func() bool {
		if !w.Idle() || w.Outcomes().Sending > 0 {
			return false
		}
		w.clock.Advance(time.Hour)
		return ok()
	})
}

// rarely tries a message again so late that nothing of it falls into a test.
var rarely = []time.Duration{24 * time.Hour}

func TestWhatBefallsAWebhookIsTold(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL + "/secret?token=1", Retries: rarely})
		for _, by := range []time.Duration{time.Minute, time.Hour - time.Second, time.Hour, 2 * time.Hour, 25 * time.Hour, 71 * time.Hour, 72 * time.Hour, 100 * time.Hour} {
			w.failsOnce(t, way, 1, by)
		}
		w.failsOnce(t, way, 19, 5*24*time.Hour)
		w.reaches(t, way, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off })
		rc.set(nil)
		must(t, w.Enable(t.Context(), way))
		w.publish(t, tp, "well", "well again")
		w.reaches(t, way, "it is well", func(s webhook.Status) bool { return s.Delivered >= 2 })
		w.quiet(t, way)
		want := []string{"a failing 1h http_500", "a failing 24h http_500", "a failing 72h http_500", "a disabled failing", "a recovered"}
		if diff := cmp.Diff(want, w.stories(t)); diff != "" || len(w.events(t)) != len(want) {
			t.Errorf("what was told, in %d messages (-want +got):\n%s", len(w.events(t)), diff)
		}
		e := w.events(t)[0]
		if e.Type != "webhook.failing" || !e.Timestamp.Equal(start) || e.Data.Topic != tp || e.Data.Endpoint != rc.URL || e.Data.Failures != 2 || !e.Data.FailingSince.Equal(start.Add(-time.Hour)) {
			t.Errorf("the first event: %+v", e)
		}
		r, err := w.topics.Read(t.Context(), w.tenant, webhook.EventsTopic, topics.ReadOptions{Limit: 1})
		must(t, err)
		attributes := map[string]string{}
		for _, a := range r.Messages[0].Message.Attributes {
			attributes[a.Name] = a.Value
		}
		if diff := cmp.Diff(map[string]string{"type": e.Type, "event_id": e.EventID, "topic": tp, "subscription": "a"}, attributes); diff != "" || r.Messages[0].Message.ContentType != "application/json" {
			t.Errorf("its attributes (-want +got):\n%s", diff)
		}
		until(t, "it is counted", func() bool { return w.Outcomes().Told == 5 }) // after the topic has it
		if n := w.Outcomes().Untold; n != 0 {
			t.Errorf("%d events were given up", n)
		}
	})
}

// An endpoint fails for five days, as its schedule goes, and is told of at each time once.
func TestAnEndpointThatFailsForDaysIsToldOfFourTimes(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(503))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: slices.Repeat([]time.Duration{5 * time.Hour}, webhook.MaxRetries)})
		w.publish(t, tp, "x")
		for n := int64(1); ; n++ {
			w.reaches(t, way, "an attempt", func(s webhook.Status) bool { return s.Attempts == n && s.Sending == 0 })
			s := w.status(t, way)
			if s.Gate == webhook.Off {
				break
			}
			w.quiet(t, way)
			w.clock.Advance(s.Next.Sub(w.clock.Now()))
		}
		w.quiet(t, way)
		want := []string{"a failing 1h http_503", "a failing 24h http_503", "a failing 72h http_503", "a disabled failing"}
		if diff := cmp.Diff(want, w.stories(t)); diff != "" || len(w.events(t)) != len(want) {
			t.Errorf("what was told, in %d messages (-want +got):\n%s", len(w.events(t)), diff)
		}
	})
}

func TestItIsToldWhyAWebhookIsDisabled(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		for _, c := range []struct {
			want    string
			disable func(way topics.Way, rc *receiver)
		}{
			{"http_410", func(way topics.Way, rc *receiver) {
				rc.set(answering(http.StatusGone))
				w.publish(t, way.Topic, "x")
			}},
			{"http_500", func(way topics.Way, rc *receiver) {
				rc.set(func(_ received, rw http.ResponseWriter) {
					rw.Header().Set("Webhook-Delivery", "disable")
					rw.WriteHeader(500)
				})
				w.publish(t, way.Topic, "x")
			}},
			{"by_request", func(way topics.Way, _ *receiver) {
				must(t, w.Disable(t.Context(), way))
				must(t, w.Disable(t.Context(), way)) // which it is
			}},
		} {
			tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
			way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: rarely})
			before := len(w.stories(t))
			c.disable(way, rc)
			w.reaches(t, way, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off && s.Sending == 0 })
			w.quiet(t, way)
			rc.set(nil)
			must(t, w.Enable(t.Context(), way))
			w.publish(t, tp, "y", "z")
			w.reaches(t, way, "it is well", func(s webhook.Status) bool { return s.Delivered >= 2 })
			w.quiet(t, way)
			if diff := cmp.Diff([]string{"a disabled " + c.want, "a recovered"}, w.stories(t)[before:]); diff != "" {
				t.Errorf("what was told (-want +got):\n%s", diff)
			}
		}
	})
}

// One that is enabled and fails again for an hour is told of again.
func TestItIsToldAgainAfterAWebhookWasEnabled(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: rarely})
		w.failsOnce(t, way, 1, 80*time.Hour)
		must(t, w.Disable(t.Context(), way))
		must(t, w.Enable(t.Context(), way))
		w.quiet(t, way)
		w.failsOnce(t, way, 1, time.Hour)
		if diff := cmp.Diff([]string{"a failing 72h http_500", "a disabled by_request", "a failing 1h http_500"}, w.stories(t)); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
	})
}

func TestMessagesThatFailAreNoEvents(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, answering(413))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, numbered(200)...)
		w.reaches(t, way, "all failed", func(s webhook.Status) bool { return s.Dead == 200 })
		if n := w.quiet(t, way); n != 0 || len(w.stories(t)) != 0 {
			t.Errorf("%d events: %v", n, w.stories(t))
		}
	})
}

// Two tenants have the same names, and one of them has the topic.
func TestEachTenantIsToldOfItsOwnWebhooks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		other := *w
		other.tenant = w.newTenant(t)
		rc := newReceiver(t, answering(http.StatusGone))
		for _, one := range []*world{w, &other} {
			_, _, err := one.topics.Put(t.Context(), one.tenant, "orders", topics.Settings{}, topics.Condition{})
			must(t, err)
		}
		mine := w.hook(t, "orders", "mine", webhook.Endpoint{URL: rc.URL})
		theirs := other.hook(t, "orders", "theirs", webhook.Endpoint{URL: rc.URL})
		other.publish(t, "orders", "x")
		other.reaches(t, theirs, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off })
		if n := other.quiet(t, theirs); n != 1 {
			t.Errorf("%d events befell the other one", n)
		}
		if got := w.stories(t); len(got) != 0 {
			t.Errorf("told of another tenant's: %v", got)
		}
		other.eventsTopic(t)
		w.publish(t, "orders", "x")
		w.reaches(t, mine, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off })
		w.quiet(t, mine)
		if diff := cmp.Diff([]string{"mine disabled http_410"}, w.stories(t)); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
		if got := other.stories(t); len(got) != 0 {
			t.Errorf("told of another tenant's, or of what was before the topic: %v", got)
		}
	})
}

// Without the topic nobody is told, which is not tried again; with it, and when it was deleted and made again, of what befalls then.
func TestWithoutTheTopicNobodyIsTold(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		var asked atomic.Int64
		w.SetStep(func(done string) error {
			if done == "telling" {
				asked.Add(1)
			}
			return nil
		})
		toggle := func(want int64) {
			t.Helper()
			must(t, w.Disable(t.Context(), way))
			if n := w.quiet(t, way); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
			must(t, w.Enable(t.Context(), way))
		}
		toggle(1)
		before := asked.Load()
		end := w.clock.Now().Add(10 * time.Minute)
		w.forward(t, 11*time.Minute, "ten minutes", func() bool { return w.clock.Now().After(end) })
		if n := asked.Load(); n != before || n != 1 {
			t.Errorf("it was tried %d times", n)
		}
		w.eventsTopic(t)
		if got := w.stories(t); len(got) != 0 {
			t.Errorf("told of what was before the topic: %v", got)
		}
		toggle(2)
		if got := w.stories(t); len(got) != 1 {
			t.Errorf("told: %v", got)
		}
		must(t, w.topics.Delete(t.Context(), w.tenant, webhook.EventsTopic, topics.Condition{}))
		toggle(3)
		w.eventsTopic(t)
		toggle(4)
		if got := w.stories(t); len(got) != 1 {
			t.Errorf("told after it was made again: %v", got)
		}
	})
}

// Servers die before and behind each step, and others go on: all is told.
func TestA23_WhatBefellIsToldWhereverAServerDies(t *testing.T) {
	for _, point := range []string{"settling", "telling", "told"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				w.eventsTopic(t)
				rc := newReceiver(t, answering(http.StatusGone))
				var ways []topics.Way
				var want []string
				for _, name := range numbered(w.scaled(5, 100)) {
					way := w.hook(t, w.topic(t, "", topics.Settings{}), name, webhook.Endpoint{URL: rc.URL})
					ways, want = append(ways, way), append(want, name+" disabled http_410")
				}
				var killed atomic.Bool
				w.SetStep(func(done string) error {
					if done == point && rc.count() > 1 {
						killed.Store(true)
					}
					if killed.Load() {
						return errKilled
					}
					return nil
				})
				for _, way := range ways {
					w.publish(t, way.Topic, "x")
				}
				until(t, "the server dies", killed.Load)
				second := w.another(t)
				w.kill()
				for _, way := range ways {
					second.slowly(t, "it is disabled and told", func() bool {
						n := second.untold(t, way)
						return n[0] > 0 && n[0] == n[1]
					})
				}
				got := second.stories(t)
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("what was told (-want +got):\n%s", diff)
				}
				t.Logf("%d events, told %d times", len(got), len(second.events(t)))
			})
		})
	}
}

func TestWhatBefellIsToldAfterARestart(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.kill()
		must(t, w.Disable(t.Context(), way)) // as a server that sends for nobody does
		if n := w.untold(t, way); n[0] != 1 || n[1] != 0 {
			t.Errorf("told by nobody: %v", n)
		}
		second := w.another(t)
		second.slowly(t, "it is told", func() bool { return len(second.stories(t)) > 0 })
		if diff := cmp.Diff([]string{"a disabled by_request"}, second.stories(t)); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
	})
}

func TestASuspendedTenantIsToldWhenItIsResumed(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.suspend(t, tenants.ModeAll)
		var asked atomic.Int64
		w.SetStep(func(done string) error {
			if done == "settling" {
				asked.Add(1)
			}
			return nil
		})
		must(t, w.Disable(t.Context(), way)) // as an operator can
		end := w.clock.Now().Add(2 * time.Minute)
		w.forward(t, 3*time.Minute, "two minutes", func() bool { return w.clock.Now().After(end) })
		if n := asked.Load(); n > 20 { // one each ten seconds, and what moved the clock
			t.Errorf("Redis was asked %d times in two minutes", n)
		}
		if got := w.stories(t); len(got) != 0 {
			t.Errorf("told while it is suspended: %v", got)
		}
		w.suspend(t, "")
		w.slowly(t, "it is told", func() bool { return len(w.stories(t)) == 1 })
	})
}

// Of more than eight events that cannot be told the oldest are forgotten.
func TestOfWhatWaitsToBeToldTheOldestIsForgotten(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		way := w.hook(t, w.topic(t, "", topics.Settings{}), "a", webhook.Endpoint{URL: newReceiver(t, nil).URL})
		w.suspend(t, tenants.ModeAll)
		for range 12 {
			w.clock.Advance(time.Second)
			must(t, w.Disable(t.Context(), way))
			must(t, w.Enable(t.Context(), way))
		}
		if n := w.untold(t, way); n[0] != 12 || n[1] != 4 {
			t.Errorf("the last event has number %d, and those up to %d are done with", n[0], n[1])
		}
		w.suspend(t, "")
		w.slowly(t, "all is told", func() bool { n := w.untold(t, way); return n[0] == n[1] })
		got := w.events(t)
		if n := len(w.stories(t)); n != 8 || !got[0].Timestamp.Equal(start.Add(5*time.Second)) {
			t.Errorf("%d events, the first of %v", n, got[0].Timestamp)
		}
		fields, err := w.engine.Single().HKeys(t.Context(), webhook.Keys(way)[1]).Result()
		must(t, err)
		for _, f := range fields {
			if len(f) == 2 && f[0] == 'e' && f[1] >= '0' && f[1] <= '9' {
				t.Errorf("%s is left", f)
			}
		}
	})
}

// A topic that refuses events for good, by its schema, is told no more of them; the webhook goes on.
func TestAnEventThatTheSchemaRefusesIsSkipped(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		_, _, err := w.topics.AddSchema(t.Context(), w.tenant, webhook.EventsTopic, `{"properties":{"type":{"const":"webhook.recovered"}}}`, false)
		must(t, err)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Disable(t.Context(), way))
		w.quiet(t, way)
		must(t, w.Enable(t.Context(), way))
		w.publish(t, tp, "x")
		rc.comes(t, 1)
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		w.quiet(t, way)
		if diff := cmp.Diff([]string{"a recovered"}, w.stories(t)); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
		if o := w.Outcomes(); o.Untold != 1 {
			t.Errorf("%d events were given up", o.Untold)
		}
	})
}

// What the topic cannot take now it gets later, and the webhook goes on meanwhile; after a day it is given up.
func TestWhatTheTopicCannotTakeNowIsToldLater(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		head := engine.Key(w.tenant.String(), w.hook(t, webhook.EventsTopic, "gone", webhook.Endpoint{URL: rc.URL}).TopicUID, "th")
		must(t, w.topics.DeleteSubscription(t.Context(), w.tenant, webhook.EventsTopic, "gone", topics.Condition{}))
		var asked atomic.Int64
		w.SetStep(func(done string) error {
			if done == "telling" {
				asked.Add(1)
			}
			return nil
		})
		lost := func(lost bool) {
			t.Helper()
			from, to := head, head+"-away"
			if !lost {
				from, to = to, from
			}
			must(t, w.engine.Single().Rename(t.Context(), from, to).Err())
		}
		lost(true)
		must(t, w.Disable(t.Context(), way))
		must(t, w.Enable(t.Context(), way))
		w.publish(t, tp, "x")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		end := w.clock.Now().Add(2 * time.Hour)
		w.forward(t, 3*time.Hour, "two hours", func() bool { return w.clock.Now().After(end) })
		if n := asked.Load(); n < 2 || n > 20 {
			t.Errorf("it was tried %d times in two hours", n)
		}
		if n := w.untold(t, way); n[0] != 2 || n[1] != 0 {
			t.Errorf("events of which the topic got none: %v", n)
		}
		lost(false)
		w.forward(t, time.Hour, "it is told", func() bool { return len(w.stories(t)) == 2 })
		if diff := cmp.Diff([]string{"a disabled by_request", "a recovered"}, w.stories(t)); diff != "" {
			t.Errorf("what was told (-want +got):\n%s", diff)
		}
		lost(true)
		must(t, w.Disable(t.Context(), way))
		w.hourly(t, "it is given up", func() bool { n := w.untold(t, way); return n[0] == n[1] })
		if o := w.Outcomes(); o.Untold == 0 || o.Told < 2 {
			t.Errorf("%d told, %d given up", o.Told, o.Untold)
		}
	})
}

// The webhooks that are told of failures fail themselves, and are told of that: it comes to an end.
func TestWebhooksOfTheTopicItselfMakeFewEvents(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.eventsTopic(t)
		rc := newReceiver(t, answering(500))
		var ways []topics.Way
		for _, name := range []string{"a", "b"} {
			ways = append(ways, w.hook(t, webhook.EventsTopic, name, webhook.Endpoint{URL: rc.URL, Retries: slices.Repeat([]time.Duration{5 * time.Hour}, webhook.MaxRetries)}))
		}
		w.publish(t, webhook.EventsTopic, `{}`)
		off := func() bool {
			for _, way := range ways {
				if w.status(t, way).Gate != webhook.Off {
					return false
				}
			}
			return true
		}
		w.hourly(t, "both are disabled", off)
		for _, way := range ways {
			if n := w.quiet(t, way); n != 4 {
				t.Errorf("%s: %d events", way.Subscription, n)
			}
		}
		if n := len(w.stories(t)); n != 9 {
			t.Errorf("%d events: %v", n, w.stories(t))
		}
		rc.set(nil)
		for _, way := range ways {
			must(t, w.Enable(t.Context(), way))
		}
		w.hourly(t, "all is delivered", func() bool {
			for _, way := range ways {
				if s := w.status(t, way); s.Pending != 0 || s.Gate != webhook.Open {
					return false
				}
			}
			return true
		})
		for _, way := range ways {
			if n := w.quiet(t, way); n != 5 {
				t.Errorf("%s: %d events", way.Subscription, n)
			}
		}
	})
}
