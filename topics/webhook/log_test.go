package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// kept returns how many messages a topic's log has.
func (w *world) kept(tb testing.TB, topic string) int64 {
	tb.Helper()
	got, err := w.topics.Get(tb.Context(), w.tenant, topic)
	must(tb, err)
	return got.Kept
}

// stored returns how many bytes a webhook's topic takes.
func (w *world) stored(tb testing.TB, way topics.Way) int64 {
	tb.Helper()
	h, err := w.topics.Holding(tb.Context(), w.tenant, way.TopicUID, false, 0)
	must(tb, err)
	return h.Used
}

// Webhooks store pointers; the log keeps what they point to, and no longer than they are slow for a minute.
func TestTheLogKeepsWhatWebhooksPointToAndNotForLong(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		fine := newReceiver(t, nil)
		slow := w.hook(t, tp, "slow", webhook.Endpoint{URL: rc.URL, MaxInFlight: 1})
		quick := w.hook(t, tp, "quick", webhook.Endpoint{URL: fine.URL})
		body := strings.Repeat("x", 10_000)
		for range 20 {
			w.publish(t, tp, body)
		}
		w.reaches(t, quick, "the quick one has all", func(s webhook.Status) bool { return s.Delivered == 20 && s.Bytes == 0 })
		w.reaches(t, slow, "the slow one is left alone", func(s webhook.Status) bool { return s.Gate == webhook.Tripped && s.Sending == 0 })
		s := w.status(t, slow)
		if s.Bytes < 5*10_000 || s.Bytes > 6*10_000 { // of what failed
			t.Errorf("the webhook stores %d bytes", s.Bytes)
		}
		if n := w.kept(t, tp); n < 15 {
			t.Errorf("the log keeps %d messages, but 15 are pointed to", n)
		}
		w.forward(t, 3*time.Minute, "the log is free", func() bool { return w.kept(t, tp) == 0 })
		if s = w.status(t, slow); s.Pending != 20 || s.Bytes < 20*10_000 {
			t.Errorf("what was in the log is in the webhook's store: %+v", s)
		}
		rc.set(nil)
		w.forward(t, time.Hour, "all comes in the end", func() bool { return w.status(t, slow).Delivered == 20 })
		for _, got := range rc.bodies() {
			if got != body {
				t.Fatal("a body is another one")
			}
		}
		if s = w.status(t, slow); s.Bytes != 0 {
			t.Errorf("afterwards it stores %d bytes", s.Bytes)
		}
	})
}

// A webhook that was paused has much to catch up with. The log lets go of all of that soon after it is delivered, also when nothing more
// is published.
func TestTheLogIsFreedAsFastAsAWebhookCatchesUp(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		empty := w.stored(t, way)
		must(t, w.Suspend(t.Context(), way, true))
		const backlog = 2_000
		for range backlog / 100 {
			w.publish(t, tp, numbered(100)...)
		}
		w.reaches(t, way, "it holds all", func(s webhook.Status) bool { return s.Pending == backlog })
		must(t, w.Suspend(t.Context(), way, false))
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == backlog && s.Sending == 0 })
		w.forward(t, 5*time.Second, "the log is free", func() bool { return w.stored(t, way) == empty })
	})
}

func TestADeletedWebhookLeavesNothing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		other := w.hook(t, tp, "b", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, "x")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		w.reaches(t, other, "it waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		must(t, w.topics.DeleteSubscription(t.Context(), w.tenant, tp, "a", topics.Condition{}))
		must(t, w.tenants.Delete(t.Context(), w.tenantName(t), tenants.Condition{}))
		for _, key := range append(webhook.Keys(way)[1:], webhook.Keys(other)[1:]...) {
			if n, err := w.engine.Single().Exists(t.Context(), key).Result(); err != nil || n != 0 {
				t.Errorf("%s is left: %v", key, err)
			}
		}
		for _, key := range []string{webhook.Keys(way)[0], webhook.Keys(other)[0]} {
			all, err := w.engine.Single().ZRange(t.Context(), key, 0, -1).Result()
			if err != nil || strings.Join(all, "") != "" {
				t.Errorf("the index has %q: %v", all, err)
			}
		}
	})
}

func TestAReplayGoesToAWebhookOnceMore(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, "one", "two")
		w.reaches(t, way, "both are delivered", func(s webhook.Status) bool { return s.Delivered == 2 })
		page, err := w.topics.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Limit: 10})
		must(t, err)
		for range 2 { // as a step that is made again
			_, err = w.Replay(t.Context(), way, page.Messages)
			must(t, err)
		}
		w.reaches(t, way, "they are delivered again", func(s webhook.Status) bool { return s.Delivered >= 4 && s.Pending == 0 })
		ids := map[string]bool{}
		for _, r := range rc.got() {
			ids[r.header.Get("Webhook-Id")] = true
		}
		if len(ids) != 2 || w.status(t, way).Bytes != 0 {
			t.Errorf("%d ids, want 2", len(ids))
		}
	})
}

// Messages wait as pointers to the log, and more cannot be brought to the webhook, whose slot cannot be written. The log keeps what it
// points to all the same.
func TestG14_TheLogKeepsWhatWebhooksPointToWhileMoreCannotBeBrought(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Suspend(t.Context(), way, true))
		w.publish(t, tp, "m0", "m1", "m2")
		w.reaches(t, way, "they wait", func(s webhook.Status) bool { return s.Pending == 3 })
		head, db := webhook.Keys(way)[1], w.engine.Single()
		all, err := db.HGetAll(t.Context(), head).Result()
		must(t, err)
		must(t, db.Del(t.Context(), head).Err())
		must(t, db.Set(t.Context(), head, "no hash", 0).Err())
		for i := range 3 { // it is tried again, and notes that each time
			w.publish(t, tp, fmt.Sprint("m", i+3))
			until(t, "that cannot be brought", func() bool {
				s, err := w.topics.GetSubscription(t.Context(), w.tenant, tp, "a")
				must(t, err)
				return s.State == topics.Retrying && s.Lag == int64(i+1)
			})
			w.clock.Advance(time.Minute)
		}
		if n := w.kept(t, tp); n != 6 {
			t.Errorf("the log keeps %d messages of 6", n)
		}
		must(t, db.Del(t.Context(), head).Err())
		must(t, db.HSet(t.Context(), head, all).Err())
		must(t, w.Suspend(t.Context(), way, false))
		w.slowly(t, "all is delivered", func() bool { return w.status(t, way).Delivered == 6 })
		wantBodies(t, rc.bodies(), numbered(6)...)
		w.slowly(t, "the log is free", func() bool { return w.kept(t, tp) == 0 })
	})
}

// A webhook may have sent everything before its topic has noted that it was brought. It says so until the topic has.
func TestTheLogIsFreeAlsoWhereAWebhookWasQuickerThanItsTopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: newReceiver(t, nil).URL})
		w.publish(t, tp, "first")
		w.slowly(t, "the log is free", func() bool { return w.kept(t, tp) == 0 })
		// A subscription that is paused is as far as one whose progress is not noted yet.
		_, err := w.topics.PauseSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.Through(way, w.publish(t, tp, "second")[0].Sequence)
		for range 3 {
			w.clock.Advance(time.Second)
			until(t, "it is to be told again", w.Telling)
		}
		if n := w.kept(t, tp); n != 1 {
			t.Errorf("the log keeps %d messages, want what was not brought yet", n)
		}
		_, err = w.topics.ResumeSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.slowly(t, "the log is free again", func() bool { return w.kept(t, tp) == 0 })
		w.slowly(t, "nothing is left to be told", func() bool { return !w.Telling() })
	})
}

// The log of attempts has so much of each answer, and no more than so much of all: then the oldest attempts make room.
func TestTheLogOfAttemptsIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		short, long := "no", strings.Repeat("<p>é</p>", 8_000)
		var answer atomic.Pointer[string]
		answer.Store(&short)
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) { _, _ = rw.Write([]byte(*answer.Load())) })
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 64})
		sent := int64(0)
		send := func(n int) {
			t.Helper()
			for ; n > 0; n -= 50 {
				w.publish(t, tp, numbered(50)...)
				sent += 50
				w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == sent && s.Pending == 0 })
			}
		}
		logged := func() (list []webhook.Attempt, bytes int64) {
			t.Helper()
			list, _, err := w.Attempts(t.Context(), way, 0, 1000, nil)
			must(t, err)
			for i := range list {
				if want := sent - int64(i); list[i].Number != want {
					t.Fatalf("attempt %d of the list has the number %d, want %d", i, list[i].Number, want)
				}
			}
			values, err := w.engine.Single().HVals(t.Context(), webhook.Keys(way)[8]).Result()
			must(t, err)
			for _, one := range values {
				bytes += int64(len(one))
			}
			return list, bytes
		}
		send(600)
		if list, _ := logged(); len(list) != webhook.Logged {
			t.Errorf("of 600 attempts %d are kept", len(list))
		}
		// A server that does not count bytes has noted these.
		must(t, w.engine.Single().HDel(t.Context(), webhook.Keys(way)[1], "lf", "lb", "lw").Err())
		answer.Store(&long)
		send(200)
		list, bytes := logged()
		if len(list) < 100 || len(list) >= 200 || bytes > webhook.LogBytes || bytes < webhook.LogBytes*9/10 {
			t.Errorf("%d attempts of %d bytes are kept, want as many as go into %d", len(list), bytes, webhook.LogBytes)
		}
		for _, a := range list {
			if !a.Truncated || len(a.Response) != webhook.Kept-1 || !strings.HasPrefix(long, a.Response) {
				t.Fatalf("an attempt has %d bytes of its answer", len(a.Response))
			}
		}
		binary := strings.Repeat("\x00\xff", 8_000)
		answer.Store(&binary)
		send(50)
		if list, _ = logged(); !list[0].Truncated || list[0].Response != strings.Repeat("\x00\uFFFD", 512) {
			t.Errorf("of an answer that is no text %d bytes are kept", len(list[0].Response))
		}
		answer.Store(&short)
		send(600)
		list, bytes = logged()
		head, err := w.engine.Single().HGet(t.Context(), webhook.Keys(way)[1], "lb").Int64()
		if must(t, err); len(list) != webhook.Logged || head != bytes {
			t.Errorf("%d attempts of %d bytes are kept; the webhook counts %d", len(list), bytes, head)
		}
	})
}

// Attempts are kept for fourteen days, of a webhook with nothing to send too, and so are those in the list of the tenant.
func TestTheLogOfAttemptsIsForgotten(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way, other := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL}), w.hook(t, tp, "b", webhook.Endpoint{URL: rc.URL})
		send := func(n int) {
			t.Helper()
			before := w.status(t, way).Delivered
			w.publish(t, tp, numbered(n)...)
			for _, one := range []topics.Way{way, other} {
				w.reaches(t, one, "they are delivered", func(s webhook.Status) bool { return s.Delivered == before+int64(n) && s.Pending == 0 })
			}
		}
		kept := func(of topics.Way) int {
			t.Helper()
			list, _, err := w.Attempts(t.Context(), of, 0, 1000, nil)
			must(t, err)
			return len(list)
		}
		recent := func() int {
			t.Helper()
			page, err := w.Recent(t.Context(), w.tenant, webhook.RecentFilter{Arrived: true, Others: true}, "", 1000)
			must(t, err)
			return len(page.List)
		}
		send(30)
		w.clock.Advance(10 * 24 * time.Hour)
		send(5)
		w.clock.Advance(webhook.LogKept - 10*24*time.Hour - time.Minute)
		must(t, w.Suspend(t.Context(), way, true)) // as whatever has somebody look at it
		if a, b, all := kept(way), kept(other), recent(); a != 35 || b != 35 || all != 70 {
			t.Errorf("just before 14 days are over %d and %d attempts are kept, and %d of all", a, b, all)
		}
		w.forward(t, 2*24*time.Hour, "the oldest are forgotten", func() bool { return kept(way) == 5 && kept(other) == 5 && recent() == 10 })
		w.forward(t, webhook.LogKept, "all are", func() bool { return kept(way) == 0 && kept(other) == 0 && recent() == 0 })
		if n, err := w.engine.Single().HLen(t.Context(), webhook.Keys(way)[8]).Result(); err != nil || n != 1 { // the sentinel
			t.Errorf("the log has %d fields: %v", n, err)
		}
		must(t, w.Suspend(t.Context(), way, false))
		send(1)
		if n := kept(way); n != 1 {
			t.Errorf("of a new one %d attempts are kept", n)
		}
		if s := w.status(t, way); s.Attempts != 36 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}
