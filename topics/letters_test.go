package topics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// small makes a queue that takes messages of a few bytes only.
func small(bytes int) func(*queues.Settings) {
	return func(s *queues.Settings) { s.MaxMessageSize = bytes }
}

func (w *world) deleteQueue(tb testing.TB, name string) {
	tb.Helper()
	must(tb, w.queues.Delete(tb.Context(), w.tenant, name, queues.Condition{}))
}

func TestWhatAQueueNeverTakesGoesToTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, dead := w.topic(t, topics.Settings{}), w.queue(t, "", small(1024)), w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead})
		long := strings.Repeat("x", 1025)
		at := w.clock.Now()
		sent := w.publish(t, tp, "a", long+"1", "b", long+"2", long+"3", "c")
		w.settled(t, tp, "s")
		w.wantBodies(t, q, []string{"a", "b", "c"})
		got := w.drain(t, dead)
		if !slices.Equal(bodies(got), []string{long + "1", long + "2", long + "3"}) {
			t.Fatalf("in the dead-letter queue: %d messages", len(got))
		}
		want := &queues.Origin{Topic: tp, Subscription: "s", Reason: queues.Undelivered, Error: "A message is larger than the queue's max_message_size.", At: at, ID: sent[1].ID}
		if diff := cmp.Diff(want, got[0].Origin); diff != "" {
			t.Errorf("its origin (-want +got):\n%s", diff)
		}
		if got[0].ContentType != "text/plain" || got[0].ReceiveCount != 1 {
			t.Errorf("it arrived as %+v", got[0])
		}
		s := w.subscription(t, tp, "s")
		if s.Delivered != 3 || s.Failed != 3 || s.Dropped != 0 || s.State != topics.Active || s.LastError == nil || !strings.Contains(s.LastError.Message, dead) {
			t.Errorf("the subscription says %+v, %+v", s, s.LastError)
		}
	})
}

func TestWhatHasNoQueueAnyMoreGoesToTheDeadLetterQueueAsItWouldHaveArrived(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, dead := w.topic(t, topics.Settings{}), w.queue(t, "", nil), w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead, Format: topics.Enveloped, FilterScope: filter.Body, FilterPolicy: `{"n":[1]}`})
		w.deleteQueue(t, q)
		w.publish(t, tp, `{"n":1}`, `{"n":2}`)
		w.settled(t, tp, "s")
		s := w.subscription(t, tp, "s")
		if s.Failed != 1 || s.FilteredOut != 1 || s.Dropped != 0 || s.State != topics.Broken {
			t.Errorf("the subscription says %+v", s)
		}
		got := w.drain(t, dead)
		if len(got) != 1 || got[0].ContentType != "application/json" || !strings.Contains(got[0].Body, `"subscription":"s"`) || got[0].Origin.Error != fmt.Sprintf("There is no queue %q.", q) {
			t.Fatalf("in the dead-letter queue: %+v", got)
		}
		// It goes on once there is a queue again.
		_, _, err := w.queues.Put(t.Context(), w.tenant, q, queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		w.publish(t, tp, `{"n":1}`)
		w.settled(t, tp, "s")
		if got := w.drain(t, q); len(got) != 1 {
			t.Errorf("the queue got %d messages", len(got))
		}
		if s := w.subscription(t, tp, "s"); s.State != topics.Active || s.Delivered != 1 {
			t.Errorf("the subscription says %+v", s)
		}
	})
}

func TestWhatATopicCannotTakeGoesToTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, to, dead := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		w.subscribe(t, from, "on", topics.SubscriptionSettings{Topic: to, DeadLetterQueue: dead})
		q := w.collected(t, to, "")
		var list []queues.Onward
		for i, hops := range []int{0, topics.MaxHops, 1, topics.MaxHops} {
			m := queues.Outgoing{Body: fmt.Append(nil, "m", i), Hops: hops}
			list = append(list, queues.Onward{Number: int64(i + 1), ID: w.engine.NewID(0), Record: m.Record()})
		}
		_, err := w.Accept(t.Context(), w.tenant, from, "somewhere", list)
		must(t, err)
		w.settled(t, from, "on")
		w.settled(t, to, "collected")
		w.wantBodies(t, q, []string{"m0", "m2"})
		got := w.drain(t, dead)
		if !slices.Equal(bodies(got), []string{"m1", "m3"}) || !strings.Contains(got[0].Origin.Error, "8 times") || got[0].Hops != topics.MaxHops {
			t.Errorf("in the dead-letter queue: %+v", got)
		}
		must(t, w.Delete(t.Context(), w.tenant, to, topics.Condition{}))
		w.publish(t, from, "late")
		w.settled(t, from, "on")
		w.wantBodies(t, dead, []string{"late"})
	})
}

// A dead-letter queue that is missing changes nothing, one that is full or paused has its messages wait.
func TestADeadLetterQueueThatTakesNothing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{}), w.queue(t, "", small(1024))
		dead := w.queue(t, "", func(s *queues.Settings) { s.MaxMessages = 1 })
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead})
		long := strings.Repeat("x", 1025)
		w.publish(t, tp, long+"1", long+"2", "a")
		until(t, "it waits", func() bool {
			s := w.subscription(t, tp, "s")
			return s.State == topics.Retrying && s.Failed == 1 && s.Lag == 2
		})
		if e := w.subscription(t, tp, "s").LastError; e == nil || !strings.Contains(e.Message, "does not take it now") {
			t.Errorf("the last error is %+v", e)
		}
		w.wantBodies(t, dead, []string{long + "1"})
		until(t, "it has got all", func() bool {
			w.clock.Advance(time.Second)
			return w.subscription(t, tp, "s").Lag == 0
		})
		w.wantBodies(t, dead, []string{long + "2"})
		w.wantBodies(t, q, []string{"a"})

		w.deleteQueue(t, dead)
		w.publish(t, tp, long)
		w.settled(t, tp, "s")
		if s := w.subscription(t, tp, "s"); s.Dropped != 1 || s.Failed != 2 || s.State != topics.Active {
			t.Errorf("the subscription says %+v, %+v", s, s.LastError)
		}

		_, _, err := w.queues.Put(t.Context(), w.tenant, dead, queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		set := queues.DefaultSettings()
		set.MaxMessageSize = 1024
		_, _, err = w.queues.Put(t.Context(), w.tenant, dead, set, queues.Condition{})
		must(t, err)
		w.publish(t, tp, long)
		w.settled(t, tp, "s")
		if s := w.subscription(t, tp, "s"); s.Failed != 3 || !strings.Contains(s.LastError.Message, "too large for the dead-letter queue") {
			t.Errorf("the subscription says %+v, %+v", s, s.LastError)
		}
	})
}

// A FIFO subscription keeps its order into the dead-letter queue, in each group.
func TestG13_DeadLettersOfAFIFOSubscriptionKeepTheirOrder(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, dead := w.fifo(t, topics.Settings{}), w.queue(t, ".fifo", nil), w.queue(t, ".fifo", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead})
		w.deleteQueue(t, q)
		var want []string
		for i := range 250 {
			want = append(want, fmt.Sprint("m", i))
		}
		w.publish(t, tp, want...)
		w.settled(t, tp, "s")
		if got := w.drain(t, dead); !slices.Equal(bodies(got), want) || got[0].GroupID != "g" || got[0].DeduplicationID == "" {
			t.Errorf("the dead-letter queue has %d messages, want %d in their order", len(got), len(want))
		}
	})
}

// Servers die behind each step of bringing a message to the dead-letter queue, and others go on: each is there once.
func TestG12_DeadLettersAreThereOnceWhereverAServerDies(t *testing.T) {
	for _, point := range []string{"carrying", "dead lettered", "delivered", "advanced"} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp, q, dead := w.topic(t, topics.Settings{}), w.queue(t, "", small(1024)), w.queue(t, "", nil)
				w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead})
				other := w.another(t)
				var killed atomic.Bool
				w.SetStep(func(done string) error {
					if done == point && killed.CompareAndSwap(false, true) {
						go w.Stop()
					}
					if killed.Load() {
						return errors.New("killed")
					}
					return nil
				})
				var list, taken, buried []string
				for i := range 40 {
					body := fmt.Sprint("m", i)
					if i%3 == 1 {
						body += strings.Repeat("x", 1025)
						buried = append(buried, body)
					} else {
						taken = append(taken, body)
					}
					list = append(list, body)
				}
				w.publish(t, tp, list...)
				until(t, "the server dies", killed.Load)
				until(t, "another one goes on", func() bool {
					w.clock.Advance(time.Minute)
					_ = other.Tend(t.Context())
					return other.subscription(t, tp, "s").Lag == 0
				})
				slices.Sort(taken)
				got := bodies(other.drain(t, q))
				slices.Sort(got)
				if !slices.Equal(got, taken) {
					t.Errorf("the queue has %d messages, want %d, each once", len(got), len(taken))
				}
				if got := bodies(other.drain(t, dead)); !slices.Equal(got, buried) {
					t.Errorf("the dead-letter queue has %d messages, want %d, each once", len(got), len(buried))
				}
				if s := other.subscription(t, tp, "s"); s.Failed != int64(len(buried)) {
					t.Errorf("%d failed, want %d", s.Failed, len(buried))
				}
			})
		})
	}
}

// The dead-letter queue of another tenant, of the same name, gets nothing.
func TestDeadLettersStayWithTheirTenant(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		dead := w.queue(t, "", nil)
		theirs := w.newTenant(t)
		_, _, err := w.Put(t.Context(), theirs, "t", topics.Settings{}, topics.Condition{})
		must(t, err)
		_, _, err = w.queues.Put(t.Context(), theirs, "q", queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		_, _, err = w.PutSubscription(t.Context(), theirs, "t", "s", topics.SubscriptionSettings{Queue: "q", DeadLetterQueue: dead}, topics.Condition{})
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("another tenant's queue: %v, want a refusal", err)
		}
	})
}

func TestDeadLetterQueuesThatAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		standard, fifo := w.topic(t, topics.Settings{}), w.fifo(t, topics.Settings{})
		q, ordered, dead, deadFIFO := w.queue(t, "", nil), w.queue(t, ".fifo", nil), w.queue(t, "", nil), w.queue(t, ".fifo", nil)
		for _, c := range []struct{ topic, queue, dead, words string }{
			{standard, q, "missing", "There is no queue"},
			{standard, q, "no name", "There is no queue"},
			{standard, q, q, "its own subscription"},
			{standard, q, deadFIFO, "for a standard topic"},
			{fifo, ordered, dead, "needs a FIFO queue"},
		} {
			_, _, err := w.PutSubscription(t.Context(), w.tenant, c.topic, "s", topics.SubscriptionSettings{Queue: c.queue, DeadLetterQueue: c.dead}, topics.Condition{})
			var e *errs.Error
			if !errors.As(err, &e) || e.Kind != errs.Invalid || !strings.Contains(e.Message, c.words) || e.Fields[0].Pointer != "/dead_letter_queue" {
				t.Errorf("%s for %s: %v, want a refusal with %q", c.dead, c.queue, err, c.words)
			}
			if _, err := w.GetSubscription(t.Context(), w.tenant, c.topic, "s"); !errors.Is(err, topics.ErrSubscriptionNotFound) {
				t.Errorf("%s for %s: it is there: %v", c.dead, c.queue, err)
			}
		}
		for _, c := range []struct{ queue, dead string }{{q, dead}, {q, deadFIFO}, {ordered, deadFIFO}} {
			w.subscribe(t, fifo, "s"+c.queue[:2]+c.dead[:2], topics.SubscriptionSettings{Queue: c.queue, DeadLetterQueue: c.dead})
			must(t, w.DeleteSubscription(t.Context(), w.tenant, fifo, "s"+c.queue[:2]+c.dead[:2], topics.Condition{}))
		}
	})
}

// Another dead-letter queue holds for what fails from then on, and the old one forgets the subscription, also where the server
// dies meanwhile.
func TestADeadLetterQueueThatIsLeftForgetsTheSubscription(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, a, b := w.topic(t, topics.Settings{}), w.queue(t, "", small(1024)), w.queue(t, "", nil), w.queue(t, "", nil)
		long := strings.Repeat("x", 1025)
		set := topics.SubscriptionSettings{Queue: q, DeadLetterQueue: a}
		w.subscribe(t, tp, "s", set)
		w.publish(t, tp, long+"1")
		w.settled(t, tp, "s")
		uid := w.uidOf(t, tp, "s")
		source := func(queue string) bool { return w.remembers(t, queue, uid+".dead") }
		if !source(a) {
			t.Fatal("the dead-letter queue does not remember how far it was brought")
		}
		w.SetStep(func(done string) error {
			if done == "forgotten" {
				return errors.New("killed")
			}
			return nil
		})
		set.DeadLetterQueue = b
		if _, _, err := w.PutSubscription(t.Context(), w.tenant, tp, "s", set, topics.Condition{}); err == nil {
			t.Fatal("the server did not die")
		}
		w.SetStep(func(string) error { return nil })
		must(t, w.Sweep(t.Context(), w.tenant))
		if source(a) {
			t.Error("the dead-letter queue of before remembers the subscription")
		}
		w.publish(t, tp, long+"2")
		w.settled(t, tp, "s")
		w.wantBodies(t, a, []string{long + "1"})
		w.wantBodies(t, b, []string{long + "2"})
		must(t, w.DeleteSubscription(t.Context(), w.tenant, tp, "s", topics.Condition{}))
		if source(b) {
			t.Error("the dead-letter queue remembers a subscription that is deleted")
		}
	})
}

// uidOf returns the name by which queues know a subscription.
func (w *world) uidOf(tb testing.TB, topic, name string) string {
	tb.Helper()
	keys, topicUID, err := w.Keys(tb.Context(), w.tenant, topic)
	must(tb, err)
	text, err := w.engine.Single().HGet(tb.Context(), keys[5], name).Result()
	must(tb, err)
	_, rest, _ := strings.Cut(text, `"uid":"`)
	uid, _, _ := strings.Cut(rest, `"`)
	return topics.Source(topicUID, uid)
}

// remembers reports whether a queue remembers a source.
func (w *world) remembers(tb testing.TB, queue, source string) bool {
	tb.Helper()
	registered, err := w.engine.Single().HGet(tb.Context(), engine.TenantKey(w.tenant.String(), "queues"), queue).Result()
	must(tb, err)
	there, err := w.engine.Single().HExists(tb.Context(), queues.HeadKey(w.tenant, registered[1:]), "S"+source).Result()
	must(tb, err)
	return there
}
