package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// refusing makes an answer that refuses these bodies.
func refusing(bodies ...string) func(received, http.ResponseWriter) {
	return func(r received, w http.ResponseWriter) {
		if slices.Contains(bodies, r.body) {
			w.WriteHeader(http.StatusBadRequest)
		}
	}
}

// gaps returns what came, each with what it says of skipped messages before it.
func (rc *receiver) gaps() []string {
	var out []string
	for _, r := range rc.got() {
		out = append(out, r.body+r.header.Get("Webhook-Gap"))
	}
	return out
}

// Messages are given up, the server dies, and another one says so with each attempt of the next one of the group, until that is taken.
func TestTheNextDeliveryOfAGroupSaysHowManyWereSkipped(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		dead := make(chan struct{})
		rc := newReceiver(t, func(r received, w http.ResponseWriter) {
			if refusing("x", "y")(r, w); r.body == "a" {
				<-dead
			}
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
		w.publishTo(t, tp, "one", "x", "y", "a", "b")
		w.publishTo(t, tp, "two", "A", "B")
		w.forward(t, 10*time.Minute, "two are skipped", func() bool {
			s := w.status(t, way)
			return s.Dead == 2 && s.Delivered == 2 && slices.Contains(rc.gaps(), "a2")
		})
		w.kill()
		close(dead)
		second := w.another(t)
		second.slowly(t, "all is done", func() bool { return w.status(t, way).Delivered == 4 })
		counted := map[string]bool{}
		for _, r := range rc.gaps() {
			counted[r] = true
		}
		want := map[string]bool{"x": true, "y1": true, "a2": true, "b": true, "A": true, "B": true}
		if diff := cmp.Diff(want, counted); diff != "" {
			t.Errorf("what came, with the gaps (-want +got):\n%s", diff)
		}
		if n, err := w.engine.Single().ZCard(t.Context(), webhook.Keys(way)[9]).Result(); err != nil || n != 1 { // the sentinel
			t.Errorf("a gap is still remembered: %v", err)
		}
	})
}

// What is sent again is no gap any more; what failed before the last delivery of the group never was one.
func TestAMessageThatIsSentAgainIsNoGap(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, refusing("x", "y", "z"))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
		w.publish(t, tp, "x", "a", "y", "z")
		w.forward(t, 10*time.Minute, "three failed", func() bool { s := w.status(t, way); return s.Dead == 3 && s.Delivered == 1 })
		failed, _, err := w.Attempts(t.Context(), way, 0, 10, func(a *webhook.Attempt) bool { return a.Outcome == webhook.Failed })
		must(t, err)
		rc.set(nil)
		must(t, w.Resend(t.Context(), way, failed[2].Entry)) // x
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 2 })
		rc.set(refusing("y", "z", "w"))
		w.publish(t, tp, "w")
		w.forward(t, 10*time.Minute, "it failed", func() bool { return w.status(t, way).Dead == 3 })
		before := rc.count()
		rc.set(nil)
		must(t, w.Resend(t.Context(), way, failed[0].Entry)) // z: before x was taken, so the gap is w
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 3 })
		w.publish(t, tp, "b")
		w.reaches(t, way, "the next one is delivered", func(s webhook.Status) bool { return s.Delivered == 4 })
		if diff := cmp.Diff([]string{"z1", "b"}, rc.gaps()[before:]); diff != "" {
			t.Errorf("what came last, with the gaps (-want +got):\n%s", diff)
		}
		for _, r := range rc.gaps()[:before] {
			if want := map[string]bool{"x": true, "a1": true, "y": true, "z1": true, "x2": true, "w": true}; !want[r] {
				t.Errorf("%q came", r)
			}
		}
	})
}

// Only groups have gaps.
func TestAStandardTopicHasNoGaps(t *testing.T) {
	w := newMemoryWorld(t)
	t.Parallel()
	tp := w.topic(t, "", topics.Settings{})
	rc := newReceiver(t, refusing("x"))
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
	w.publish(t, tp, "x")
	w.forward(t, 10*time.Minute, "it failed", func() bool { return w.status(t, way).Dead == 1 })
	w.publish(t, tp, "a")
	w.reaches(t, way, "the next one is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
	if got := rc.gaps(); got[len(got)-1] != "a" {
		t.Errorf("what came: %q", got)
	}
}

// A webhook remembers so many groups, those that were skipped last.
func TestGapsOfManyGroupsAreBounded(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		rc := newReceiver(t, refusing("x"))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
		key := webhook.Keys(way)[9]
		list := make([]redis.Z, webhook.Skips)
		for i := range list {
			list[i] = redis.Z{Score: float64(i*4096 + 1), Member: fmt.Sprintf("%016x", i)}
		}
		must(t, w.engine.Single().ZAdd(t.Context(), key, list...).Err())
		w.publish(t, tp, "x")
		w.forward(t, 10*time.Minute, "it failed", func() bool { return w.status(t, way).Dead == 1 })
		left, err := w.engine.Single().ZRange(t.Context(), key, 0, 0).Result()
		must(t, err)
		n, err := w.engine.Single().ZCard(t.Context(), key).Result()
		must(t, err)
		if n != webhook.Skips+1 || left[0] != fmt.Sprintf("%016x", 1) {
			t.Errorf("of %d groups it is remembered, the first is %q", n, left)
		}
		w.publish(t, tp, "a")
		w.reaches(t, way, "the next one is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		if got := rc.gaps(); got[len(got)-1] != "a1" {
			t.Errorf("what came: %q", got)
		}
	})
}

// The log loses a message while an earlier one of its group is between two attempts. That one keeps its time, and the gap is where
// it belongs.
func TestAMessageThatIsLostFailsWhenItsTurnComes(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Hour}})
		w.publish(t, tp, "a", "lost", "b")
		w.reaches(t, way, "the first one waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		w.kill()
		key := func(part string) string { return engine.Key(way.Tenant.String(), way.TopicUID, part) }
		entries, err := w.engine.Single().ZRange(t.Context(), key("ti"), 0, -1).Result() // the sentinel is the last one
		must(t, err)
		must(t, w.engine.Single().ZRem(t.Context(), key("ti"), entries[len(entries)-3]).Err())
		must(t, w.engine.Single().HDel(t.Context(), key("tl"), entries[len(entries)-3]).Err())
		second := w.another(t)
		second.forward(t, 10*time.Minute, "the log is not needed", func() bool {
			n, err := w.engine.Single().ZCard(t.Context(), webhook.Keys(way)[4]).Result()
			return err == nil && n == 1 // the sentinel
		})
		if s := w.status(t, way); s.Attempts != 1 || s.Dead != 0 || s.Pending != 3 {
			t.Errorf("while the first one waits: %+v", s)
		}
		rc.set(nil)
		second.forward(t, 3*time.Hour, "two are delivered", func() bool { return w.status(t, way).Delivered == 2 })
		if diff := cmp.Diff([]string{"a", "a", "b1"}, rc.gaps()); diff != "" {
			t.Errorf("what came, with the gaps (-want +got):\n%s", diff)
		}
		second.wantFailed(t, way, "not_retained")
	})
}
