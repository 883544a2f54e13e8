package webhook_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// waiting publishes messages to an endpoint that refuses them, and returns their entries: each has been tried once, and is
// stored by the webhook.
func (w *world) waiting(tb testing.TB, tp string, way topics.Way, bodies ...string) []string {
	tb.Helper()
	w.publish(tb, tp, bodies...)
	n := int64(len(bodies))
	w.reaches(tb, way, "all wait", func(s webhook.Status) bool { return s.Attempts == n && s.Sending == 0 && s.Pending == n })
	all, _, err := w.Attempts(tb.Context(), way, 0, len(bodies), nil)
	must(tb, err)
	var entries []string
	for _, a := range all {
		entries = append(entries, a.Entry)
	}
	slices.Sort(entries) // the order of the publish
	return entries
}

// damageLog spoils the message of a topic's log at a place.
func (w *world) damageLog(tb testing.TB, way topics.Way, place int) {
	tb.Helper()
	key := func(part string) string { return engine.Key(way.Tenant.String(), way.TopicUID, part) }
	all, err := w.engine.Single().ZRange(tb.Context(), key("ti"), 0, -1).Result() // the sentinel is the last one
	must(tb, err)
	must(tb, w.engine.Single().HSet(tb.Context(), key("tl"), all[place], "twelve bytes, and no record").Err())
}

// wantFailed compares the codes of what failed for good, the latest first, each of which must come with words.
func (w *world) wantFailed(tb testing.TB, way topics.Way, want ...string) {
	tb.Helper()
	all, _, err := w.Attempts(tb.Context(), way, 0, 100, func(a *webhook.Attempt) bool { return a.Outcome == webhook.Failed })
	must(tb, err)
	var got []string
	for _, a := range all {
		if a.Error == "" {
			tb.Errorf("no words for %+v", a)
		}
		got = append(got, a.Code)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("why it failed (-want +got):\n%s", diff)
	}
}

// wantBodies compares what came, in whatever order.
func wantBodies(tb testing.TB, got []string, want ...string) {
	tb.Helper()
	got = slices.Sorted(slices.Values(got))
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("what came (-want +got):\n%s", diff)
	}
}

// Records are damaged by hand, in every way in which a lent one is read; those beside them are delivered.
func TestADamagedRecordIsSetAsideAndStopsNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		sound := w.hook(t, tp, "sound", webhook.Endpoint{URL: newReceiver(t, nil).URL})
		entries := w.waiting(t, tp, way, numbered(4)...)
		keys, db := webhook.Keys(way), w.engine.Single()
		must(t, db.HSet(t.Context(), keys[5], entries[0], "no state at all", entries[1], "1,5,http_500|too short",
			entries[2], strings.Repeat("x", 50)+"|"+strings.Repeat("y", 50)).Err())
		must(t, db.Do(t.Context(), "ZADD", keys[2], w.clock.Now().UnixMilli(), "no entry").Err())
		must(t, db.HSet(t.Context(), keys[8], "1", "no attempt").Err())
		rc.set(nil)
		w.forward(t, 10*time.Minute, "the sound one is delivered", func() bool { s := w.status(t, way); return s.Delivered == 1 && s.Dead == 4 })
		if s := w.status(t, way); s.Pending != 0 || s.Sending != 0 || s.Failures != 0 || s.Attempts != 5 {
			t.Errorf("the webhook: %+v", s)
		}
		w.wantFailed(t, way, "damaged", "damaged", "damaged", "damaged")
		until(t, "they are counted", func() bool { return w.Outcomes().SetAside == 4 }) // after Redis has it
		w.reaches(t, sound, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 4 && s.Dead == 0 })
		// The log has three of them whole.
		_, err := w.ResendFailed(t.Context(), way, time.Time{})
		must(t, err)
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 4 && s.Dead == 1 && s.Pending == 0 })
		wantBodies(t, rc.bodies()[4:], numbered(4)...)
		if s := w.status(t, way); s.Bytes != 0 {
			t.Errorf("afterwards it stores %d bytes", s.Bytes)
		}
	})
}

// A message is damaged in the topic's log before it was sent. Another server finds that, or finds it when what waits for long
// is copied out of the log.
func TestADamagedMessageOfTheLogStopsNoOther(t *testing.T) {
	for _, copied := range []bool{false, true} {
		t.Run(fmt.Sprint("copied ", copied), func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, "", topics.Settings{})
				rc := newReceiver(t, nil)
				way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
				must(t, w.Suspend(t.Context(), way, true))
				w.publish(t, tp, numbered(3)...)
				w.reaches(t, way, "all wait", func(s webhook.Status) bool { return s.Pending == 3 })
				w.kill()
				w.damageLog(t, way, 1)
				second := w.another(t)
				if copied {
					until(t, "the log is free", func() bool {
						w.clock.Advance(time.Second)
						return w.kept(t, tp) == 0
					})
				}
				must(t, second.Suspend(t.Context(), way, false))
				second.forward(t, time.Minute, "the sound ones are delivered", func() bool { s := w.status(t, way); return s.Delivered == 2 && s.Dead == 1 })
				wantBodies(t, rc.bodies(), "m0", "m2")
				w.wantFailed(t, way, "damaged")
			})
		})
	}
}

// Whoever takes a message up ends, again and again: in the end it is set aside, which is no attempt, and says nothing of the
// endpoint. Another server counts on where the first one left off.
func TestAMessageThatNeverComesToAResultIsSetAside(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		var harmless atomic.Bool
		die := func(done string) error {
			if done == "leased" && !harmless.Load() {
				return errKilled
			}
			return nil
		}
		w.SetStep(die)
		w.publish(t, tp, "poison", "good")
		state := func() map[string]string {
			all, err := w.engine.Single().HGetAll(t.Context(), webhook.Keys(way)[5]).Result()
			must(t, err)
			delete(all, "") // the sentinel
			return all
		}
		hop := func(what string, ok func() bool) { // from lease to lease
			t.Helper()
			last := time.Now()
			for deadline := last.Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
				if time.Since(last) > time.Second/2 {
					w.clock.Advance(webhook.MaxTimeout + webhook.LeaseSlack + time.Second)
					last = time.Now()
				}
				if time.Now().After(deadline) {
					t.Fatalf("not in a minute: %s; %v", what, state())
				}
			}
		}
		hop("it is counted", func() bool { return len(state()) == 1 })
		w.kill()
		for entry, now := range state() {
			if !strings.HasPrefix(now, "0,0,lost_") {
				t.Errorf("the state is %q", now)
			}
			must(t, w.engine.Single().HSet(t.Context(), webhook.Keys(way)[5], entry, fmt.Sprintf("0,0,lost_%d|", webhook.MaxLost-2)).Err()) // what takes a while
		}
		second := w.another(t)
		second.SetStep(die)
		hop("it is set aside", func() bool { return w.status(t, way).Dead == 1 })
		harmless.Store(true)
		hop("the next one is delivered", func() bool { return w.status(t, way).Delivered == 1 })
		wantBodies(t, rc.bodies(), "good")
		if s := w.status(t, way); s.Attempts != 1 || s.Failures != 0 || s.Gate != webhook.Open {
			t.Errorf("the webhook: %+v", s)
		}
		w.wantFailed(t, way, "no_result")
		_, err := second.ResendFailed(t.Context(), way, time.Time{})
		must(t, err)
		second.reaches(t, way, "a resend begins anew", func(s webhook.Status) bool { return s.Delivered == 2 })
	})
}

// What is stored of webhooks is damaged in every way in which a server reads it. Those beside them get theirs, who looks is told,
// and once it is restored they get what waited.
func TestADamagedWebhookStopsNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, nil)
		ways, were := map[string]topics.Way{}, map[string]string{}
		for _, field := range []string{"set", "sec", "v", "cv"} {
			ways[field] = w.hook(t, tp, field, webhook.Endpoint{URL: rc.URL})
			must(t, w.Suspend(t.Context(), ways[field], true))
		}
		sound := w.hook(t, tp, "sound", webhook.Endpoint{URL: newReceiver(t, nil).URL})
		w.publish(t, tp, "before")
		w.reaches(t, sound, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		db := w.engine.Single()
		for field, way := range ways {
			w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Pending == 1 })
			was, err := db.HGet(t.Context(), webhook.Keys(way)[1], field).Result()
			must(t, err)
			were[field] = was
			must(t, db.HSet(t.Context(), webhook.Keys(way)[1], field, "{damaged").Err())
		}
		w.kill()
		second := w.another(t)
		for _, way := range ways {
			must(t, second.Suspend(t.Context(), way, false))
		}
		second.publish(t, tp, "after")
		second.forward(t, time.Minute, "the sound one has all", func() bool { return second.status(t, sound).Delivered == 2 })
		second.forward(t, time.Minute, "they are counted", func() bool { return second.Outcomes().Damaged == 2 })
		for field, way := range ways {
			st := second.status(t, way)
			if want := field == "set" || field == "sec"; st.Damaged != want || want && (st.Delivered > 0 || st.Failed > 0) {
				t.Errorf("with %s damaged: %+v", field, st)
			}
		}
		if list, _, err := second.topics.ListSubscriptions(t.Context(), w.tenant, tp, "", "", 100); err != nil || len(list) != len(ways)+1 {
			t.Errorf("it lists %d subscriptions, %v", len(list), err)
		}
		for field, way := range ways {
			must(t, db.HSet(t.Context(), webhook.Keys(way)[1], field, were[field]).Err())
		}
		for _, way := range ways {
			second.forward(t, 3*time.Minute, "it has all", func() bool { return second.status(t, way).Delivered == 2 })
		}
		if got := second.Outcomes(); got.Damaged != 2 || got.SetAside != 0 {
			t.Errorf("the server counts %+v", got)
		}
	})
}
