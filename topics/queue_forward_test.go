package topics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// onTo makes a queue that forwards to a topic.
func (w *world) onTo(tb testing.TB, topic, suffix string) string {
	tb.Helper()
	return w.queue(tb, suffix, func(s *queues.Settings) { s.ForwardTo = queues.TopicTarget(topic) })
}

func (w *world) send(tb testing.TB, queue string, m queues.Outgoing) queues.Sent {
	tb.Helper()
	sent, err := w.queues.Send(tb.Context(), w.tenant, queue, m)
	must(tb, err)
	return sent
}

// moving returns how many messages of a queue are on their way.
func (w *world) moving(tb testing.TB, queue string) int64 {
	tb.Helper()
	st, err := w.queues.Stats(tb.Context(), w.tenant, queue)
	must(tb, err)
	return st.Moving
}

// arrived returns once all that has left a queue has come to where it goes.
func (w *world) arrived(tb testing.TB, queue string) {
	tb.Helper()
	until(tb, "all has arrived", func() bool {
		w.clock.Advance(time.Second)
		return w.moving(tb, queue) == 0
	})
}

func TestAQueueForwardsToATopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, suffix := range []string{"", ".fifo"} {
			to := w.topicNamed(t, fmt.Sprintf("t%d%s", names.Add(1), suffix), topics.Settings{Retention: time.Hour})
			m := queues.Outgoing{Body: []byte("m"), ContentType: "text/plain", GroupID: "g", TraceParent: "00-1-2-01",
				Attributes: []queues.Attribute{{Name: "n", Type: "Number", Value: "1"}}}
			if suffix != "" {
				m.DeduplicationID = "d1"
			}
			from, end := w.onTo(t, to, suffix), w.collected(t, to, suffix)
			sent := w.send(t, from, m)
			w.arrived(t, from)
			got := w.wholeLog(t, to)
			for i := range got {
				got[i].Sequence, got[i].PublishedAt = 0, time.Time{}
			}
			m.Hops = 1
			if diff := cmp.Diff([]topics.Logged{{ID: sent.ID, Message: m}}, got); diff != "" {
				t.Errorf("in the topic (-want +got):\n%s", diff)
			}
			w.settled(t, to, "collected")
			w.wantBodies(t, end, []string{"m"})
		}
	})
}

// Rings are refused at both ends, also through other queues and topics, and another tenant's topic is none.
func TestForwardingFromAQueueThatIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		stranger := *w
		stranger.tenant = w.newTenant(t)
		foreign, ring, round := stranger.topic(t, topics.Settings{}), w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		back := w.queue(t, "", func(s *queues.Settings) { s.ForwardTo = q })
		w.subscribe(t, ring, "back", topics.SubscriptionSettings{Queue: back})
		w.forward(t, round, ring)
		for _, test := range []struct{ q, to string }{
			{q, ring}, {q, round}, {back, round}, {q, foreign}, {q, "nowhere"}, {q, "a..b"}, {q, ""},
			{q, w.fifo(t, topics.Settings{})}, {w.queue(t, ".fifo", nil), ring},
		} {
			before, err := w.queues.Get(t.Context(), w.tenant, test.q)
			must(t, err)
			_, err = w.queues.Update(t.Context(), w.tenant, test.q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.ForwardTo = queues.TopicTarget(test.to)
				return s, nil
			})
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s to %s: %v", test.q, test.to, err)
			}
			after, err := w.queues.Get(t.Context(), w.tenant, test.q)
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%s after it was refused: %v\n%s", test.q, err, diff)
			}
		}
		to := w.topic(t, topics.Settings{})
		from := w.onTo(t, to, "")
		_, _, err := w.PutSubscription(t.Context(), w.tenant, to, "back", topics.SubscriptionSettings{Queue: from}, topics.Condition{})
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("a ring that is closed by a subscription: %v", err)
		}
	})
}

// A ring through a topic comes about by two changes at the same time.
func TestAMessageInARingOfAQueueAndATopicComesToRest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		to := w.topic(t, topics.Settings{Retention: 24 * time.Hour})
		q := w.onTo(t, to, "")
		_, err := w.Subscribe(t.Context(), w.tenant, to, "back", topics.SubscriptionSettings{Queue: q}) // which looks at nothing
		must(t, err)
		w.send(t, q, queues.Outgoing{Body: []byte("m")})
		var got []queues.Message
		until(t, "it has come to rest", func() bool {
			w.clock.Advance(time.Second)
			got = append(got, w.drain(t, q)...)
			return len(got) == 1
		})
		if n := len(w.wholeLog(t, to)); n != queues.MaxHops || got[0].Body != "m" {
			t.Errorf("it came through the topic %d times, want %d; received: %+v", n, queues.MaxHops, got)
		}
	})
}

// A topic that is deleted has the messages wait for one of that name, also across the death of the server.
func TestAQueueWaitsForADeletedTopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		to := w.topic(t, topics.Settings{})
		q := w.onTo(t, to, "")
		must(t, w.Delete(t.Context(), w.tenant, to, topics.Condition{}))
		w.send(t, q, queues.Outgoing{Body: []byte("1")})
		w.send(t, q, queues.Outgoing{Body: []byte("2")})
		if n := w.moving(t, q); n != 2 {
			t.Errorf("%d messages are on their way, want 2", n)
		}
		w.Stop()
		other := w.another(t)
		other.topicNamed(t, to, topics.Settings{Retention: time.Hour})
		other.arrived(t, q)
		var got []string
		for _, l := range other.wholeLog(t, to) {
			got = append(got, string(l.Message.Body))
		}
		if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" {
			t.Errorf("in the new topic (-want +got):\n%s", diff)
		}
	})
}

// What a full tenant has on its way goes on: it takes no more room in the topic than in the queue.
func TestAQueueOfAFullTenantForwardsToATopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.mayStore(t, 1<<20)
		to := w.topic(t, topics.Settings{Retention: 24 * time.Hour})
		q := w.onTo(t, to, "")
		body, sent := strings.Repeat("x", 50_000), 0
		for ; sent < 100; sent++ {
			_, err := w.queues.Send(t.Context(), w.tenant, q, queues.Outgoing{Body: []byte(body)})
			if tenants.IsStorageFull(err) {
				break
			}
			must(t, err)
		}
		if sent < 5 || sent > 25 {
			t.Fatalf("a tenant that may store 1 MiB has sent %d messages of 50 KB", sent)
		}
		w.arrived(t, q)
		if s, err := w.Get(t.Context(), w.tenant, to); err != nil || s.Kept != int64(sent) {
			t.Errorf("the topic keeps %d, %v; want %d", s.Kept, err, sent)
		}
	})
}
