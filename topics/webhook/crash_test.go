package webhook_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

var errKilled = errors.New("killed")

// A server dies between the lease and the request, between the request and its note, and at the note. Another one takes
// over: nothing is lost, and each message keeps its id.
func TestG14_AServerThatDiesLosesNothing(t *testing.T) {
	for _, point := range []string{"leased", "requested", "settling"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, "", topics.Settings{})
				rc := newReceiver(t, nil)
				way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
				var killed atomic.Bool
				w.SetStep(func(done string) error {
					if done == point && w.Outcomes().Delivered+w.Outcomes().Sending > 0 {
						killed.Store(true)
					}
					if killed.Load() {
						return errKilled
					}
					return nil
				})
				want := numbered(10)
				w.publish(t, tp, want...)
				until(t, "the server dies", killed.Load)
				second := w.another(t)
				w.kill()
				second.forward(t, 3*time.Minute, "all is delivered", func() bool { return w.status(t, way).Pending == 0 })
				got := rc.bodies()
				slices.Sort(got)
				if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
					t.Errorf("what came (-want +got):\n%s", diff)
				}
				ids := map[string]string{}
				for _, r := range rc.got() {
					if id, ok := ids[r.body]; ok && id != r.header.Get("Webhook-Id") {
						t.Errorf("%s came as %s and as %s", r.body, id, r.header.Get("Webhook-Id"))
					}
					ids[r.body] = r.header.Get("Webhook-Id")
				}
				if s := w.status(t, way); s.Delivered != 10 || s.Dead != 0 || s.Sending != 0 {
					t.Errorf("the webhook: %+v", s)
				}
			})
		})
	}
}

func TestTwoServersShareTheWebhooksAndSendEachMessageOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		w.clock.Advance(4 * time.Second) // the next time that the first one looks who sends
		until(t, "both send", func() bool { return w.Outcomes().Shards+other.Outcomes().Shards == 64 })
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		var ways []topics.Way
		for _, name := range numbered(12) {
			ways = append(ways, w.hook(t, tp, name, webhook.Endpoint{URL: rc.URL + "/" + name}))
		}
		w.publish(t, tp, "x")
		other.publish(t, tp, "y")
		w.slowly(t, "all came", func() bool { return rc.count() >= 24 })
		for _, way := range ways {
			w.reaches(t, way, "all is noted", func(s webhook.Status) bool { return s.Delivered == 2 })
		}
		until(t, "all is counted", func() bool { return w.Outcomes().Delivered+other.Outcomes().Delivered >= 24 }) // after Redis has it
		if a, b := w.Outcomes(), other.Outcomes(); rc.count() != 24 || a.Delivered == 0 || b.Delivered == 0 || a.Delivered+b.Delivered != 24 {
			t.Errorf("%d came, sent by %+v and %+v", rc.count(), a, b)
		}
	})
}

func TestARestartedServerGoesOn(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, "x")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		w.kill()
		rc.set(nil)
		w.clock.Advance(time.Minute)
		second := w.another(t)
		second.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		if got := rc.got(); len(got) != 2 || got[1].header.Get("Webhook-Attempt") != "2" {
			t.Errorf("what came: %+v", got)
		}
	})
}

// A server dies after it has stored a subscription and before its webhook knows of it: whoever carries makes it, with the
// secret that the subscription was given.
func TestAHalfMadeWebhookIsMadeByWhoCarries(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		secrets, err := w.Secrets(t.Context(), way)
		must(t, err)
		must(t, w.engine.Single().Del(t.Context(), webhook.Keys(way)[1:]...).Err())
		if _, err := w.Status(t.Context(), way); err == nil {
			t.Error("a webhook that is not there has a status")
		}
		w.publish(t, tp, "x")
		rc.comes(t, 1)
		if !verified(t, secrets[0].Secret, rc.got()[0]) {
			t.Error("it signs with another secret")
		}
	})
}

// Servers are killed one after another, each at another moment of a delivery, while an endpoint is sent to. Nothing is lost, each
// message keeps its id, and what comes twice was in flight at a kill.
func TestA4_NothingIsLostHoweverOftenServersAreKilled(t *testing.T) {
	for _, point := range []string{"leased", "requested", "settling"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				kills := w.scaled(3, 100)
				tp := w.topic(t, "", topics.Settings{})
				rc := newReceiver(t, nil)
				way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
				published, inFlight := 0, int64(0)
				for kill := range kills {
					var passed atomic.Int64
					var killed atomic.Bool
					w.SetStep(func(done string) error {
						if done == point && passed.Add(1) > int64(kill%2) {
							killed.Store(true)
						}
						if killed.Load() {
							return errKilled
						}
						return nil
					})
					var bodies []string
					for range 20 {
						bodies = append(bodies, fmt.Sprint("m", published))
						published++
					}
					w.publish(t, tp, bodies...)
					w.slowly(t, "the server dies", killed.Load)
					second := w.another(t)
					w.kill()
					inFlight += second.status(t, way).Sending
					second.slowly(t, "all is delivered", func() bool { return second.status(t, way).Delivered == int64(published) })
					w = second
				}
				ids := map[string]string{}
				for _, r := range rc.got() {
					if id, ok := ids[r.body]; ok && id != r.header.Get("Webhook-Id") {
						t.Errorf("%s came as %s and as %s", r.body, id, r.header.Get("Webhook-Id"))
					}
					ids[r.body] = r.header.Get("Webhook-Id")
				}
				twice := int64(rc.count() - len(ids))
				t.Logf("%d kills, %d messages, missing %d, more than once %d of %d in flight at a kill", kills, published, published-len(ids), twice, inFlight)
				if len(ids) != published || twice > inFlight {
					t.Errorf("%d of %d messages came, %d of them more than once, but %d were in flight", len(ids), published, twice, inFlight)
				}
			})
		})
	}
}
