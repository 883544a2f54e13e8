package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func (w *world) queue(tb testing.TB, suffix string) string {
	tb.Helper()
	name := fmt.Sprintf("q%d%s", names.Add(1), suffix)
	_, _, err := w.queues.Put(tb.Context(), w.tenant, name, queues.DefaultSettings().For(name), queues.Condition{})
	must(tb, err)
	return name
}

// safeHook subscribes an endpoint with a dead-letter queue.
func (w *world) safeHook(tb testing.TB, topic, name, dead string, format topics.Format, e webhook.Endpoint) topics.Way {
	tb.Helper()
	s, _, err := w.topics.PutSubscription(tb.Context(), w.tenant, topic, name,
		topics.SubscriptionSettings{Endpoint: e.Encode(), DeadLetterQueue: dead, Format: format}, topics.Condition{})
	must(tb, err)
	return s.Way
}

// letters waits until so many messages are in a queue, and takes them.
func (w *world) letters(tb testing.TB, queue string, n int) []queues.Message {
	tb.Helper()
	var all []queues.Message
	until(tb, fmt.Sprint(n, " dead letters"), func() bool {
		got, err := w.queues.Receive(tb.Context(), w.tenant, queue, queues.ReceiveOptions{Max: 100})
		must(tb, err)
		all = append(all, got...)
		for _, m := range got {
			_, err := w.queues.Settle(tb.Context(), w.tenant, queue, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}})
			must(tb, err)
		}
		return len(all) >= n
	})
	return all
}

func bodiesOf(list []queues.Message) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Body)
	}
	slices.Sort(out)
	return out
}

func TestWhatAWebhookCannotDeliverGoesToTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			status int
			words  string
		}{
			{500, "The endpoint answered 500 Internal Server Error. 2 attempts were made."},
			{410, "The endpoint answered 410 Gone. 1 attempts were made."},
			{413, "The endpoint answered 413 Request Entity Too Large. 1 attempts were made."},
			{302, "It was not delivered: redirect_refused. 2 attempts were made."},
		} {
			tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
			rc := newReceiver(t, answering(c.status))
			way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
			m := queues.Outgoing{Body: []byte("\xff1"), ContentType: "image/png", TraceParent: "00-1-2-01", Attributes: []queues.Attribute{{Name: "Kind", Type: "String", Value: "x"}}}
			sent, err := w.topics.Publish(t.Context(), w.tenant, tp, m)
			must(t, err)
			w.forward(t, time.Minute, "it is given up", func() bool { return w.status(t, way).Failed == 1 })
			got := w.letters(t, dead, 1)[0]
			at := got.Origin.At
			got.Origin.At = time.Time{}
			if diff := cmp.Diff(&queues.Origin{Topic: tp, Subscription: "a", Reason: queues.Undelivered, Error: c.words, ID: sent.ID}, got.Origin); diff != "" {
				t.Errorf("%d: its origin (-want +got):\n%s", c.status, diff)
			}
			if got.Body != "\xff1" || got.ContentType != "image/png" || got.TraceParent != "00-1-2-01" || len(got.Attributes) != 1 || at.Before(start) {
				t.Errorf("%d: it arrived as %+v", c.status, got)
			}
			w.reaches(t, way, "nothing is left", func(s webhook.Status) bool { return s.Dead == 0 && s.Pending == 0 && s.Bytes == 0 })
		}
	})
}

func TestDeadLettersAreAsTheEndpointWouldHaveGotThem(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		rc := newReceiver(t, answering(413))
		for format, want := range map[topics.Format][2]string{
			topics.Enveloped: {"application/json", `"subscription":"a"`}, topics.EventStructured: {"application/cloudevents+json", `"specversion":"1.0"`}, topics.EventBinary: {"text/plain", "x"},
		} {
			tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
			w.safeHook(t, tp, "a", dead, format, webhook.Endpoint{URL: rc.URL})
			w.publish(t, tp, "x")
			if got := w.letters(t, dead, 1)[0]; !strings.HasPrefix(got.ContentType, want[0]) || !strings.Contains(got.Body, want[1]) {
				t.Errorf("%s: %s %s", format, got.ContentType, got.Body)
			}
		}
	})
}

// What is published while an endpoint is disabled, or its webhook full, is not dropped but goes to the dead-letter queue.
func TestWhatAWebhookDoesNotTakeGoesToTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
		rc := newReceiver(t, nil)
		way := w.safeHook(t, tp, "a", dead, topics.Enveloped, webhook.Endpoint{URL: rc.URL})
		must(t, w.Disable(t.Context(), way))
		w.publish(t, tp, numbered(150)...)
		got := w.letters(t, dead, 150)
		if o := got[0].Origin; len(got) != 150 || o.Error != "The endpoint is disabled." || o.Reason != queues.Undelivered || !strings.Contains(got[0].Body, `"body":"m0"`) {
			t.Errorf("%d dead letters, the first one %q from %+v", len(got), got[0].Body, got[0].Origin)
		}
		must(t, w.Enable(t.Context(), way))
		w.publish(t, tp, "y")
		rc.comes(t, 1)
		var s topics.Subscription
		until(t, "it is noted that it was brought", func() bool {
			var err error
			s, err = w.topics.GetSubscription(t.Context(), w.tenant, tp, "a")
			must(t, err)
			return s.Lag == 0
		})
		if s.Failed != 150 || s.Dropped != 0 || s.State != topics.Active {
			t.Errorf("the subscription says %+v", s)
		}
		if r, err := w.topics.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Limit: 10}); err != nil || len(r.Messages) > 1 {
			t.Errorf("the log keeps %d messages, %v", len(r.Messages), err)
		}
		// As full as it may be.
		keys := webhook.Keys(way)
		for i := range 100 {
			var list []redis.Z
			for k := range 1000 {
				list = append(list, redis.Z{Score: float64(w.clock.Now().UnixMilli()), Member: fmt.Sprintf("%014x", i*1000+k)})
			}
			must(t, w.engine.Single().ZAdd(t.Context(), keys[6], list...).Err())
		}
		must(t, w.engine.Single().HSet(t.Context(), keys[1], "df", w.clock.Now().UnixMilli()).Err())
		w.publish(t, tp, "full")
		if o := w.letters(t, dead, 1)[0].Origin; o.Error != "The webhook holds as many messages as it may." {
			t.Errorf("it came from %+v", o)
		}
	})
}

// Servers die before and behind each step, and others go on: each message that failed is in the dead-letter queue once.
func TestG12_DeadLettersOfAWebhookAreThereOnceWhereverAServerDies(t *testing.T) {
	for _, point := range []string{"settling", "posting", "posted"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
				rc := newReceiver(t, answering(413))
				way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: rc.URL})
				var killed atomic.Bool
				w.SetStep(func(done string) error {
					if done == point && rc.count() > 3 {
						killed.Store(true)
					}
					if killed.Load() {
						return errKilled
					}
					return nil
				})
				want := numbered(30)
				w.publish(t, tp, want...)
				until(t, "the server dies", killed.Load)
				second := w.another(t)
				w.kill()
				second.forward(t, 10*time.Minute, "all is done", func() bool {
					s := w.status(t, way)
					return s.Pending == 0 && s.Dead == 0
				})
				slices.Sort(want)
				if diff := cmp.Diff(want, bodiesOf(second.letters(t, dead, 30))); diff != "" {
					t.Errorf("in the dead-letter queue (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTwoServersBringEachDeadLetterOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		w.clock.Advance(4 * time.Second) // the next time that the first one looks who sends
		until(t, "both send", func() bool { return w.Outcomes().Shards+other.Outcomes().Shards == 64 })
		tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
		rc := newReceiver(t, answering(413))
		var ways []topics.Way
		var want []string
		const each = 8
		for _, name := range numbered(24) { // by chance one server has the shards of all, once in a million times
			ways = append(ways, w.safeHook(t, tp, name, dead, topics.Raw, webhook.Endpoint{URL: rc.URL}))
			for _, body := range numbered(each) {
				want = append(want, name+" "+body)
			}
		}
		for i, body := range numbered(each) {
			[]*world{w, other}[i%2].publish(t, tp, body)
		}
		w.forward(t, 5*time.Minute, "all is done", func() bool {
			for _, way := range ways {
				if s := w.status(t, way); s.Failed != each || s.Dead != 0 {
					return false
				}
			}
			return true
		})
		var got []string
		for _, m := range w.letters(t, dead, len(want)) {
			got = append(got, m.Origin.Subscription+" "+m.Body)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in the dead-letter queue (-want +got):\n%s", diff)
		}
		if a, b := w.Outcomes(), other.Outcomes(); a.Failed == 0 || b.Failed == 0 {
			t.Errorf("one server did it all: %+v and %+v", a, b)
		}
	})
}

// While there is no dead-letter queue of that name its letters stay with the webhook, also when the server is started again.
func TestDeadLettersWaitForTheirQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
		rc := newReceiver(t, answering(413))
		way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: rc.URL})
		must(t, w.queues.Delete(t.Context(), w.tenant, dead, queues.Condition{}))
		w.publish(t, tp, "a", "b", "c")
		w.reaches(t, way, "they failed", func(s webhook.Status) bool { return s.Dead == 3 })
		rc.set(nil)
		n, err := w.ResendFailed(t.Context(), way, time.Time{}) // as long as they are there
		must(t, err)
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return n == 3 && s.Delivered == 3 && s.Dead == 0 })
		rc.set(answering(413))
		w.publish(t, tp, "x", "y")
		w.reaches(t, way, "they failed", func(s webhook.Status) bool { return s.Dead == 2 })
		rc.set(nil)
		all, _, err := w.Attempts(t.Context(), way, 0, 1, nil)
		must(t, err)
		must(t, w.Resend(t.Context(), way, all[0].Entry))
		w.reaches(t, way, "one is delivered", func(s webhook.Status) bool { return s.Dead == 1 && s.Delivered == 4 })
		w.kill()
		second := w.another(t)
		_, _, err = second.queues.Put(t.Context(), w.tenant, dead, queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		second.forward(t, 3*time.Minute, "it is there", func() bool { return second.status(t, way).Dead == 0 })
		if got := second.letters(t, dead, 1); len(got) != 1 || "msg_"+got[0].Origin.ID.String() == all[0].MessageID {
			t.Errorf("in the dead-letter queue: %+v", got)
		}
	})
}

// A dead-letter queue holds for what fails from then on: what failed before stays with the webhook, and so it does again when
// there is none any more.
func TestADeadLetterQueueHoldsForWhatFailsFromThenOn(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
		rc := newReceiver(t, answering(413))
		e := webhook.Endpoint{URL: rc.URL}
		way := w.safeHook(t, tp, "a", "", topics.Raw, e)
		fails := func(body string, dead int64) {
			t.Helper()
			before := w.status(t, way).Failed
			w.publish(t, tp, body)
			w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Failed == before+1 && s.Dead == dead })
		}
		fails("before", 1)
		w.safeHook(t, tp, "a", dead, topics.Raw, e)
		fails("then", 1)
		w.safeHook(t, tp, "a", "", topics.Raw, e)
		fails("after", 2)
		w.safeHook(t, tp, "a", dead, topics.Raw, e)
		fails("again", 2)
		if diff := cmp.Diff([]string{"again", "then"}, bodiesOf(w.letters(t, dead, 2))); diff != "" {
			t.Errorf("in the dead-letter queue (-want +got):\n%s", diff)
		}
	})
}

func TestG15_AGroupGoesOnBehindItsDeadLetter(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead := w.topic(t, ".fifo", topics.Settings{}), w.queue(t, ".fifo")
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			if strings.HasPrefix(r.body, "bad") {
				rw.WriteHeader(413)
			}
		})
		way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, "bad1", "good1", "bad2", "good2")
		w.reaches(t, way, "the group goes on", func(s webhook.Status) bool { return s.Delivered == 2 && s.Dead == 0 })
		var got []string
		for _, m := range w.letters(t, dead, 2) {
			got = append(got, m.Body)
			if m.GroupID != "g" || m.DeduplicationID == "" {
				t.Errorf("it arrived as %+v", m)
			}
		}
		if diff := cmp.Diff([]string{"bad1", "bad2"}, got); diff != "" {
			t.Errorf("in the dead-letter queue (-want +got):\n%s", diff)
		}
		if _, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, "b", topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: rc.URL}.Encode(), DeadLetterQueue: w.queue(t, "")}, topics.Condition{}); err == nil || !strings.Contains(err.Error(), "needs a FIFO queue") {
			t.Errorf("a standard queue for a FIFO topic: %v", err)
		}
	})
}
