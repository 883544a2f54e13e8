package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// What one server changes holds for the next request of the other, which has sent to the endpoint before; the clock stands still
// meanwhile. A webhook that is deleted sends nothing more and leaves nothing, and one that is disabled leaves a gap that a replay
// brings.
func TestA14_ChangesHoldForTheNextRequest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		w.clock.Advance(4 * time.Second) // the next time that the first one looks who sends
		until(t, "both send", func() bool { return w.Outcomes().Shards+other.Outcomes().Shards == 64 })
		for _, servers := range [][2]*world{{w, other}, {other, w}} { // one of them sends, and which one depends on the webhook
			one, two := servers[0], servers[1]
			tp := one.topic(t, "", topics.Settings{Retention: time.Hour})
			old, now := newReceiver(t, nil), newReceiver(t, nil)
			way := one.hook(t, tp, "a", webhook.Endpoint{URL: old.URL, Retries: []time.Duration{time.Second, time.Second}})
			one.publish(t, tp, "one")
			one.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
			secrets, err := two.Rotate(t.Context(), way, webhook.Given{}, 0)
			must(t, err)
			two.change(t, tp, "a", func(e *webhook.Endpoint) {
				e.URL, e.Headers = now.URL, []webhook.Header{{Name: "X-Env", Value: webhook.Hidden{Plain: "new"}}}
			})
			at := w.clock.Now()
			one.publish(t, tp, "two")
			one.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 2 })
			if r := now.got(); old.count() != 1 || len(r) != 1 || r[0].header.Get("X-Env") != "new" || !verified(t, secrets[0].Secret, r[0]) || w.clock.Now() != at {
				t.Errorf("%d requests to the old URL, and to the new one %+v", old.count(), r)
			}

			must(t, two.Disable(t.Context(), way))
			one.publish(t, tp, "missed", "missed too")
			one.reaches(t, way, "they are missed", func(s webhook.Status) bool { return s.Missed == 2 && len(s.Gaps) == 1 && s.Gaps[0].Count == 2 })
			must(t, one.Enable(t.Context(), way))
			if n := two.replays(t, way, topics.ReplayOptions{What: topics.Missing}).runs(t); n != 2 {
				t.Errorf("%d messages were missing, want 2", n)
			}
			one.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 4 && len(s.Gaps) == 0 })
			wantBodies(t, now.bodies(), "missed", "missed too", "two")

			now.set(answering(http.StatusInternalServerError))
			one.publish(t, tp, "waits")
			one.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 5 && s.Sending == 0 })
			must(t, two.topics.DeleteSubscription(t.Context(), w.tenant, tp, "a", topics.Condition{}))
			for _, key := range webhook.Keys(way)[1:] {
				if n, err := w.engine.Single().Exists(t.Context(), key).Result(); err != nil || n != 0 {
					t.Errorf("%s is left: %v", key, err)
				}
			}
			// Another endpoint of the topic shows that what is published is carried, and its retries that time goes by.
			fence := newReceiver(t, func(r received, rw http.ResponseWriter) {
				if r.header.Get("Webhook-Attempt") != "3" {
					rw.WriteHeader(http.StatusInternalServerError)
				}
			})
			behind := one.hook(t, tp, "b", webhook.Endpoint{URL: fence.URL, Retries: []time.Duration{time.Second, time.Second}})
			one.publish(t, tp, "later")
			one.slowly(t, "the other endpoint has it", func() bool { return one.status(t, behind).Delivered == 1 })
			if now.count() != 4 || old.count() != 1 {
				t.Errorf("the deleted webhook sent: %q", now.bodies())
			}
		}
	})
}
