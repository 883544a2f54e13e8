package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// batched subscribes an endpoint whose requests carry several messages.
func (w *world) batched(tb testing.TB, topic string, format topics.Format, e webhook.Endpoint) topics.Way {
	tb.Helper()
	s, _, err := w.topics.PutSubscription(tb.Context(), w.tenant, topic, "a", topics.SubscriptionSettings{Endpoint: e.Encode(), Format: format}, topics.Condition{})
	must(tb, err)
	return s.Way
}

// ofTen is a batch of at most ten messages that wait for nothing.
func ofTen() *webhook.Batch { return &webhook.Batch{Messages: 10, Bytes: webhook.MaxBatchBytes} }

// carried returns the bodies of the messages of a request, in their order, and of what its list is made up.
func carried(tb testing.TB, r received) (bodies, ids []string) {
	tb.Helper()
	var list []struct{ ID, Body, Data string }
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		tb.Fatalf("%v: %q", err, r.body)
	}
	for _, one := range list {
		bodies, ids = append(bodies, one.Body+one.Data), append(ids, one.ID)
	}
	return bodies, ids
}

// all returns the bodies of all messages of all requests.
func (rc *receiver) all(tb testing.TB) []string {
	tb.Helper()
	var out []string
	for _, r := range rc.got() {
		bodies, _ := carried(tb, r)
		out = append(out, bodies...)
	}
	return out
}

// held makes messages wait, so that they are sent together.
func (w *world) held(tb testing.TB, topic string, way topics.Way, bodies ...string) {
	tb.Helper()
	must(tb, w.Suspend(tb.Context(), way, true))
	w.publish(tb, topic, bodies...)
	w.reaches(tb, way, "all wait", func(s webhook.Status) bool { return s.Pending == int64(len(bodies)) })
	must(tb, w.Suspend(tb.Context(), way, false))
}

func TestOneRequestCarriesSeveralMessages(t *testing.T) {
	for _, format := range []topics.Format{topics.Enveloped, topics.EventBatch} {
		t.Run(format.String(), func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
				way := w.batched(t, tp, format, webhook.Endpoint{URL: rc.URL, Batch: ofTen()})
				secrets, err := w.Secrets(t.Context(), way)
				must(t, err)
				w.held(t, tp, way, numbered(25)...)
				w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 25 && s.Pending == 0 && s.Sending == 0 })
				var sizes []int
				ids := map[string]string{}
				for _, r := range rc.got() {
					bodies, of := carried(t, r)
					sizes = append(sizes, len(bodies))
					for _, id := range of {
						ids[id] = r.header.Get("Webhook-Id")
					}
					want := "application/json"
					if format == topics.EventBatch {
						want = "application/cloudevents-batch+json; charset=utf-8"
					}
					if !verified(t, secrets[0].Secret, r) || r.header.Get("Content-Type") != want || !strings.HasPrefix(r.header.Get("Webhook-Id"), "batch_") || r.header.Get("Webhook-Attempt") != "1" {
						t.Errorf("what came: %v", r.header)
					}
				}
				slices.Sort(sizes)
				if diff := cmp.Diff([]int{5, 10, 10}, sizes); diff != "" {
					t.Errorf("messages of the requests (-want +got):\n%s", diff)
				}
				wantBodies(t, rc.all(t), sorted(numbered(25))...)
				// The log has each message for itself, and which request carried it.
				log, _, err := w.Attempts(t.Context(), way, 0, 100, nil)
				must(t, err)
				for _, a := range log {
					if a.Outcome != webhook.Delivered || ids[a.MessageID] != a.Batch || a.Batch == "" || a.Size != 10 && a.Size != 5 {
						t.Errorf("the log has %+v", a)
					}
				}
				if s := w.status(t, way); len(log) != 25 || s.Attempts != 25 || s.Failures != 0 {
					t.Errorf("%d attempts in the log; the webhook: %+v", len(log), s)
				}
			})
		})
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// A message that is alone waits for others, until there are as many as a request carries, or so many bytes, or it has waited for
// long. Until then nobody asks for it all the time.
func TestAMessageWaitsForOthers(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, Batch: &webhook.Batch{Messages: 3, Bytes: 2000, Wait: 5 * time.Second}})
		began := w.clock.Now()
		w.publish(t, tp, "one", "two")
		w.reaches(t, way, "they wait", func(s webhook.Status) bool { return s.Pending == 2 })
		if s := w.status(t, way); s.Sending != 0 || !s.Next.Equal(began.Add(5*time.Second)) {
			t.Errorf("they are to be sent at %v: %+v", s.Next.Sub(began), s)
		}
		w.publish(t, tp, "three") // as many as a request carries
		rc.comes(t, 1)
		w.publish(t, tp, "four")
		w.forward(t, time.Minute, "its time is over", func() bool { return rc.count() == 2 })
		if waited := w.clock.Now().Sub(began); waited < 5*time.Second {
			t.Errorf("the fourth was sent after %v", waited)
		}
		w.publish(t, tp, strings.Repeat("x", 2000)) // so many bytes
		rc.comes(t, 3)
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 5 })
		var got [][]string
		for _, r := range rc.got() {
			bodies, _ := carried(t, r)
			got = append(got, bodies)
		}
		if diff := cmp.Diff([][]string{{"one", "two", "three"}, {"four"}, {strings.Repeat("x", 2000)}}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// A request has at most so many bytes, unless it carries one message. What does not fit comes with the next one, in its order, and
// nothing of it counts as an attempt.
func TestARequestIsAsLargeAsItMayBe(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.batched(t, tp, topics.EventBatch, webhook.Endpoint{URL: rc.URL, MaxInFlight: 1, Batch: &webhook.Batch{Messages: 100, Bytes: 10_000, Wait: time.Minute}})
		var bodies []string
		for i := range 30 {
			bodies = append(bodies, fmt.Sprintf("%02d", i)+strings.Repeat("x", 2000))
		}
		bodies = append(bodies, strings.Repeat("y", 20_000))
		w.held(t, tp, way, bodies...)
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 31 && s.Pending == 0 })
		for _, r := range rc.got() {
			if got, _ := carried(t, r); len(r.body) > 10_000 && len(got) > 1 || len(got) > 4 {
				t.Errorf("a request of %d bytes and %d messages", len(r.body), len(got))
			}
		}
		if diff := cmp.Diff(bodies, rc.all(t)); diff != "" {
			t.Errorf("what came (-want +got):\n%s", diff)
		}
		if s := w.status(t, way); rc.count() > 10 || s.Attempts != 31 {
			t.Errorf("%d requests; %+v", rc.count(), s)
		}
	})
}

// What an answer means holds for each message of a request; for the endpoint it is one answer. Messages are tried as often as their
// own schedule says, with whatever others.
func TestTheAnswerHoldsForAllMessagesOfARequest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{Retention: time.Hour}), newReceiver(t, answering(500))
		dead := fmt.Sprintf("q%d", names.Add(1))
		_, _, err := w.queues.Put(t.Context(), w.tenant, dead, queues.DefaultSettings().For(dead), queues.Condition{})
		must(t, err)
		e := webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{10 * time.Second, 10 * time.Second}, Batch: ofTen()}
		s, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, "a", topics.SubscriptionSettings{Endpoint: e.Encode(), Format: topics.Enveloped, DeadLetterQueue: dead}, topics.Condition{})
		must(t, err)
		way := s.Way
		w.held(t, tp, way, "1", "2", "3")
		w.reaches(t, way, "they failed", func(s webhook.Status) bool { return s.Attempts == 3 && s.Sending == 0 })
		if s := w.status(t, way); s.Failures != 1 || s.Gate != webhook.Open || s.Pending != 3 {
			t.Errorf("after one request: %+v", s)
		}
		first := rc.got()[0]
		w.forward(t, time.Minute, "they are sent again", func() bool { return rc.count() >= 2 })
		// They have waited for the same time, so they come together again, as the same request.
		again := rc.got()[1]
		if again.body != first.body || again.header.Get("Webhook-Id") != first.header.Get("Webhook-Id") || again.header.Get("Webhook-Attempt") != "2" {
			t.Errorf("sent again: %s %v", again.body, again.header)
		}
		w.forward(t, 5*time.Minute, "they failed for good", func() bool { s := w.status(t, way); return s.Failed == 3 && s.Dead == 0 })
		var got []string
		until(t, "the dead letters came", func() bool {
			list, err := w.queues.Receive(t.Context(), w.tenant, dead, queues.ReceiveOptions{Max: 100})
			must(t, err)
			for _, m := range list {
				var one struct{ Body string }
				must(t, json.Unmarshal([]byte(m.Body), &one)) // one envelope, no list
				got = append(got, one.Body)
			}
			return len(got) == 3
		})
		wantBodies(t, got, "1", "2", "3")
		if s := w.status(t, way); s.Attempts != 9 {
			t.Errorf("attempts: %+v", s)
		}
		// A single one is sent again, as a list of one, and so is a test.
		rc.set(nil)
		must(t, w.Enable(t.Context(), way))
		log, _, err := w.Attempts(t.Context(), way, 0, 1, nil)
		must(t, err)
		n := rc.count()
		must(t, w.Resend(t.Context(), way, log[0].Entry))
		w.forward(t, time.Minute, "it is delivered", func() bool { return w.status(t, way).Delivered == 1 })
		_, err = w.Test(t.Context(), way)
		must(t, err)
		for i, r := range rc.got()[n:] {
			if bodies, ids := carried(t, r); len(bodies) != 1 || i == 0 && ids[0] != log[0].MessageID {
				t.Errorf("sent by hand: %q", r.body)
			}
		}
	})
}

// That a request is too large says nothing of its messages: they come in smaller ones, and only one that is too large alone fails.
func TestARequestThatIsTooLargeBecomesSmaller(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		var most atomic.Int64
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			got, _ := carried(t, r)
			if len(got) > 2 || slices.ContainsFunc(got, func(body string) bool { return len(body) > 100 }) {
				rw.WriteHeader(http.StatusRequestEntityTooLarge)
			}
			most.Store(max(most.Load(), int64(len(got))))
		})
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, Retries: slices.Repeat([]time.Duration{time.Second}, 30), Batch: ofTen()})
		w.held(t, tp, way, append(numbered(9), strings.Repeat("x", 200))...)
		w.forward(t, 10*time.Minute, "all but one are delivered", func() bool { s := w.status(t, way); return s.Delivered == 9 && s.Dead == 1 })
		w.wantFailed(t, way, "http_413")
		if s := w.status(t, way); most.Load() != 10 || s.Failures != 0 {
			t.Errorf("at most %d messages; %+v", most.Load(), s)
		}
		n := rc.count() // it is remembered
		w.held(t, tp, way, numbered(10)...)
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 19 })
		for _, r := range rc.got()[n:] {
			if got, _ := carried(t, r); len(got) > 2 {
				t.Errorf("%d messages in a request", len(got))
			}
		}
	})
}

// A damaged message is set aside, and those beside it are sent.
func TestADamagedMessageLeavesItsRequest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{Retention: time.Hour}), newReceiver(t, answering(500))
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, Batch: ofTen()})
		entries := w.waiting(t, tp, way, numbered(4)...)
		must(t, w.engine.Single().HSet(t.Context(), webhook.Keys(way)[5], entries[1], "1,5,http_500|too short").Err())
		rc.set(nil)
		n := rc.count()
		w.forward(t, 10*time.Minute, "the others are delivered", func() bool { s := w.status(t, way); return s.Delivered == 3 && s.Dead == 1 })
		w.wantFailed(t, way, "damaged")
		if got := rc.all(t); len(got)-len(got[:4]) < 3 || rc.count() <= n {
			t.Errorf("what came: %q", got)
		}
	})
}

// At most max_in_flight requests are under way, whatever they carry, and two servers send no message twice.
func TestRequestsAreCountedAndNotMessages(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		w.clock.Advance(4 * time.Second)
		until(t, "both send", func() bool { return w.Outcomes().Shards+other.Outcomes().Shards == 64 })
		tp := w.topic(t, "", topics.Settings{})
		var mu sync.Mutex
		under, most := 0, 0
		rc := newReceiver(t, func(received, http.ResponseWriter) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			defer func() {
				mu.Lock()
				under--
				mu.Unlock()
			}()
		})
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, MaxInFlight: 2, Batch: &webhook.Batch{Messages: 20, Bytes: webhook.MaxBatchBytes}})
		w.held(t, tp, way, numbered(300)...)
		w.slowly(t, "all is delivered", func() bool { s := w.status(t, way); return s.Delivered == 300 && s.Pending == 0 })
		wantBodies(t, rc.all(t), sorted(numbered(300))...)
		mu.Lock()
		defer mu.Unlock()
		if most > 2 || rc.count() != 15 {
			t.Errorf("%d requests, %d at once", rc.count(), most)
		}
	})
}

// A server dies before a request, after it, and while it notes what became of its messages. Another one sends what was not noted.
func TestAServerThatDiesLosesNothingOfARequest(t *testing.T) {
	for _, point := range []string{"leased", "requested", "settling"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
				way := w.batched(t, tp, topics.EventBatch, webhook.Endpoint{URL: rc.URL, Batch: ofTen()})
				w.held(t, tp, way) // it has been asked about
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
				want := numbered(30)
				w.publish(t, tp, want...)
				until(t, "the server dies", killed.Load)
				second := w.another(t)
				w.kill()
				second.forward(t, 3*time.Minute, "all is delivered", func() bool { s := w.status(t, way); return s.Pending == 0 && s.Delivered == 30 })
				got := sorted(rc.all(t))
				if diff := cmp.Diff(sorted(want), slices.Compact(got)); diff != "" {
					t.Errorf("what came (-want +got):\n%s", diff)
				}
				if s := w.status(t, way); s.Dead != 0 || s.Sending != 0 {
					t.Errorf("the webhook: %+v", s)
				}
			})
		})
	}
}

// What is said of batches is changed like all settings: it holds at the next attempt, also for what waits.
func TestBatchesBeginAndEnd(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, Batch: &webhook.Batch{Messages: 100, Bytes: webhook.MaxBatchBytes, Wait: time.Minute}})
		w.publish(t, tp, "1", "2", "3")
		w.reaches(t, way, "they wait", func(s webhook.Status) bool { return s.Pending == 3 })
		w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL})
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 3 })
		for _, r := range rc.got() {
			if !strings.HasPrefix(r.body, "{") || !strings.HasPrefix(r.header.Get("Webhook-Id"), "msg_") {
				t.Errorf("what came: %s", r.body)
			}
		}
		w.batched(t, tp, topics.EventBatch, webhook.Endpoint{URL: rc.URL}) // a list of one
		w.publish(t, tp, "4")
		rc.comes(t, 4)
		if got, _ := carried(t, rc.got()[3]); !slices.Equal(got, []string{"4"}) || rc.got()[3].header.Get("Content-Type") != "application/cloudevents-batch+json; charset=utf-8" {
			t.Errorf("what came: %s", rc.got()[3].body)
		}
	})
}

func TestWhatMayBeSaidOfBatches(t *testing.T) {
	w := newMemoryWorld(t)
	plain, fifo := w.topic(t, "", topics.Settings{}), w.topic(t, ".fifo", topics.Settings{})
	good := webhook.Batch{Messages: 1, Bytes: webhook.MinBatchBytes}
	for _, c := range []struct {
		topic  string
		format topics.Format
		batch  webhook.Batch
		at     string // "": it is allowed
	}{
		{plain, topics.Enveloped, good, ""},
		{plain, topics.EventBatch, webhook.Batch{Messages: webhook.MaxBatchMessages, Bytes: webhook.MaxBatchBytes, Wait: webhook.MaxBatchWait}, ""},
		{fifo, topics.Enveloped, good, "/batch"},
		{plain, topics.Raw, good, "/batch"},
		{plain, topics.Notified, good, "/batch"},
		{plain, topics.EventBinary, good, "/batch"},
		{plain, topics.EventStructured, good, "/batch"},
		{plain, topics.Enveloped, webhook.Batch{Bytes: good.Bytes}, "/batch/max_messages"},
		{plain, topics.Enveloped, webhook.Batch{Messages: webhook.MaxBatchMessages + 1, Bytes: good.Bytes}, "/batch/max_messages"},
		{plain, topics.Enveloped, webhook.Batch{Messages: 1, Bytes: webhook.MinBatchBytes - 1}, "/batch/max_bytes"},
		{plain, topics.Enveloped, webhook.Batch{Messages: 1, Bytes: webhook.MaxBatchBytes + 1}, "/batch/max_bytes"},
		{plain, topics.Enveloped, webhook.Batch{Messages: 1, Bytes: good.Bytes, Wait: -time.Second}, "/batch/max_wait"},
		{plain, topics.Enveloped, webhook.Batch{Messages: 1, Bytes: good.Bytes, Wait: webhook.MaxBatchWait + time.Second}, "/batch/max_wait"},
	} {
		e := webhook.Endpoint{URL: "https://example.com/", Batch: &c.batch}
		_, _, err := w.topics.PutSubscription(t.Context(), w.tenant, c.topic, fmt.Sprintf("s%d", names.Add(1)), topics.SubscriptionSettings{Endpoint: e.Encode(), Format: c.format}, topics.Condition{})
		got := ""
		if e, ok := errors.AsType[*errs.Error](err); ok && len(e.Fields) == 1 {
			got = e.Fields[0].Pointer
		} else {
			must(t, err)
		}
		if got != c.at {
			t.Errorf("%s %v %+v: %v, want an error at %q", c.topic, c.format, c.batch, err, c.at)
		}
	}
}

// An answer is about all messages of a request. The log has it whole with one of them.
func TestAnAnswerToSeveralMessagesIsKeptOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
			_, _ = rw.Write([]byte(strings.Repeat("x", webhook.Kept)))
		})
		way := w.batched(t, tp, topics.Enveloped, webhook.Endpoint{URL: rc.URL, Batch: &webhook.Batch{Messages: 100, Bytes: webhook.MaxBatchBytes}})
		w.held(t, tp, way, numbered(50)...)
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 50 })
		list, _, err := w.Attempts(t.Context(), way, 0, 100, nil)
		must(t, err)
		size, whole := 0, 0
		for _, a := range list {
			if size += len(a.Response); len(a.Response) == webhook.Kept && !a.Truncated {
				whole++
			} else if !a.Truncated {
				t.Errorf("%d bytes of the answer are not marked as its beginning", len(a.Response))
			}
		}
		if requests := rc.count(); len(list) != 50 || whole != requests || size > requests*webhook.Kept+50*1024 {
			t.Errorf("%d attempts of %d requests have %d bytes of answers, %d of them all of one", len(list), requests, size, whole)
		}
	})
}
