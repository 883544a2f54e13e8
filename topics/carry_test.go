package topics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("m", i)
	}
	return list
}

// wantBodies fails unless all that can be received of a queue are these messages.
func (w *world) wantBodies(t *testing.T, queue string, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, bodies(w.drain(t, queue)), emptyIsNil); diff != "" {
		t.Errorf("queue %s (-want +got):\n%s", queue, diff)
	}
}

var emptyIsNil = cmp.Transformer("nil", func(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
})

func TestEverySubscriptionGetsWhatIsPublished(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		a, b := w.queue(t, "", nil), w.queue(t, "", nil)
		w.publish(t, tp, "before anybody subscribed")
		w.subscribe(t, tp, "a", topics.SubscriptionSettings{Queue: a})
		w.subscribe(t, tp, "b", topics.SubscriptionSettings{Queue: b})
		want := numbered(250)
		w.publish(t, tp, want...)
		w.settled(t, tp, "a", "b")
		w.wantBodies(t, a, want)
		w.wantBodies(t, b, want)
		got := w.subscription(t, tp, "a")
		if got.State != topics.Active || got.Delivered != 250 || got.FilteredOut+got.Dropped+got.Failed+got.Lag != 0 || got.LastError != nil {
			t.Errorf("the subscription says %+v", got)
		}
		until(t, "the log is empty", func() bool {
			s, err := w.Get(t.Context(), w.tenant, tp)
			must(t, err)
			return s.Kept == 0 && s.Bytes == 0 && s.Published == 251
		})
	})
}

// A queue that keeps timelines says from which topic a message came.
func TestATimelineBeginsWithTheTopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		q := w.queue(t, "", func(s *queues.Settings) { s.TraceRetention = time.Hour })
		w.subscribe(t, tp, "q", topics.SubscriptionSettings{Queue: q})
		w.publish(t, tp, "m")
		w.settled(t, tp, "q")
		line, err := w.queues.Timeline(t.Context(), w.tenant, q, w.drain(t, q)[0].ID)
		must(t, err)
		if got := line.Steps[0]; got.Event != queues.EventSent || got.Actor != (queues.Actor{Kind: queues.ByTopic, Name: tp}) {
			t.Errorf("got %+v, want that topic %s sent it", got, tp)
		}
	})
}

func TestRawMessagesArriveAsPublishedAndEnvelopedOnesWithAllThatIsKnown(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		raw, enveloped := w.queue(t, "", nil), w.queue(t, "", nil)
		w.subscribe(t, tp, "raw", topics.SubscriptionSettings{Queue: raw})
		w.subscribe(t, tp, "enveloped", topics.SubscriptionSettings{Queue: enveloped, Format: topics.Enveloped})
		m := queues.Outgoing{Body: []byte("\xff<b>"), ContentType: "image/png", GroupID: "g7",
			Attributes: []queues.Attribute{{Name: "Kind", Type: "String", Value: "x"}, {Name: "Raw", Type: "Binary", Value: "\x00\x01"}}}
		sent, err := w.Publish(t.Context(), w.tenant, tp, m)
		must(t, err)
		w.settled(t, tp, "raw", "enveloped")
		got := w.drain(t, raw)[0]
		if got.Body != "\xff<b>" || got.ContentType != "image/png" || got.GroupID != "g7" || !slices.Equal(got.Attributes, m.Attributes) || got.ID == sent.ID {
			t.Errorf("the raw message is %+v", got)
		}
		other := w.drain(t, enveloped)[0]
		var e topics.Envelope
		must(t, json.Unmarshal([]byte(other.Body), &e))
		want := topics.Envelope{ID: "msg_" + sent.ID.String(), Topic: tp, Subscription: "enveloped", SequenceNumber: fmt.Sprintf("%020d", sent.Sequence),
			PublishedAt: start, ContentType: "image/png", GroupID: "g7", Body: "/zxiPg==", BodyEncoding: "base64",
			Attributes: map[string]topics.EnvelopeAttribute{"Kind": {Type: "String", Value: "x"}, "Raw": {Type: "Binary", Value: "AAE="}}}
		if diff := cmp.Diff(want, e); diff != "" || other.ContentType != "application/json" || other.GroupID != "g7" {
			t.Errorf("the envelope (-want +got):\n%s in %+v", diff, other)
		}
	})
}

func TestAFilterPolicyHoldsForWhatIsPublishedAfterIt(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		policy := func(kind string) topics.SubscriptionSettings {
			return topics.SubscriptionSettings{Queue: q, FilterScope: filter.Body, FilterPolicy: fmt.Sprintf(`{"kind":[%q]}`, kind)}
		}
		w.subscribe(t, tp, "s", policy("a"))
		_, err := w.PauseSubscription(t.Context(), w.tenant, tp, "s")
		must(t, err)
		var want []string
		for i := range topics.MaxVersions {
			kind := string(rune('a' + i))
			w.subscribe(t, tp, "s", policy(kind))
			for _, k := range "abcdefghij" {
				body := fmt.Sprintf(`{"kind":"%c","during":%q}`, k, kind)
				w.publish(t, tp, body)
				if string(k) == kind {
					want = append(want, body)
				}
			}
		}
		_, _, err = w.PutSubscription(t.Context(), w.tenant, tp, "s", policy("z"), topics.Condition{})
		if !errors.Is(err, topics.ErrSubscriptionBusy) {
			t.Errorf("the eleventh change of a subscription that is behind: got %v, want %v", err, topics.ErrSubscriptionBusy)
		}
		_, err = w.ResumeSubscription(t.Context(), w.tenant, tp, "s")
		must(t, err)
		w.settled(t, tp, "s")
		w.wantBodies(t, q, want)
		if got := w.subscription(t, tp, "s"); got.Delivered != 10 || got.FilteredOut != 90 {
			t.Errorf("the subscription counts %+v", got)
		}
		w.subscribe(t, tp, "s", policy("z")) // it is up to date again
	})
}

// A queue that is full, paused or missing, and a subscription that is paused, hold up no other one.
func TestG12_OneSubscriptionDoesNotHoldUpTheOthers(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		queue := map[string]string{
			"full":    w.queue(t, "", func(s *queues.Settings) { s.MaxMessages = 3 }),
			"stopped": w.queue(t, "", nil), "missing": w.queue(t, "", nil), "paused": w.queue(t, "", nil), "fine": w.queue(t, "", nil),
			"small": w.queue(t, "", func(s *queues.Settings) { s.MaxMessageSize = queues.MinMessageSize }),
		}
		for name, q := range queue {
			w.subscribe(t, tp, name, topics.SubscriptionSettings{Queue: q})
		}
		_, err := w.queues.Pause(t.Context(), w.tenant, queue["stopped"], queues.DirectionSend, "", queues.Condition{})
		must(t, err)
		must(t, w.queues.Delete(t.Context(), w.tenant, queue["missing"], queues.Condition{}))
		_, err = w.PauseSubscription(t.Context(), w.tenant, tp, "paused")
		must(t, err)
		want := numbered(10)
		w.publish(t, tp, want...)
		w.publish(t, tp, string(make([]byte, 2000)))
		w.settled(t, tp, "fine", "missing", "small")
		states := map[string]topics.State{"full": topics.Retrying, "stopped": topics.Retrying, "missing": topics.Broken, "paused": topics.Paused, "fine": topics.Active, "small": topics.Active}
		codes := map[string]string{"full": "storage_full", "stopped": "queue_paused", "missing": "queue_not_found", "small": "message_too_large"}
		for name, state := range states {
			until(t, name+" is "+string(state), func() bool {
				s := w.subscription(t, tp, name)
				code := ""
				if s.LastError != nil {
					code = s.LastError.Code
				}
				return s.State == state && code == codes[name]
			})
		}
		if s := w.subscription(t, tp, "full"); s.Delivered != 3 || s.Lag != 8 {
			t.Errorf("the subscription of a full queue says %+v, want 3 delivered and 8 to come", s)
		}
		if s := w.subscription(t, tp, "missing"); s.Dropped != 11 {
			t.Errorf("the subscription of a missing queue says %+v, want 11 dropped", s)
		}
		if s := w.subscription(t, tp, "small"); s.Delivered != 10 || s.Failed != 1 {
			t.Errorf("the subscription of a queue with small messages says %+v, want 10 delivered and 1 failed", s)
		}
		// Each goes on when it can.
		_, err = w.queues.Resume(t.Context(), w.tenant, queue["stopped"], queues.DirectionSend, queues.Condition{})
		must(t, err)
		_, err = w.ResumeSubscription(t.Context(), w.tenant, tp, "paused")
		must(t, err)
		var full []string
		until(t, "the full queue has got all", func() bool {
			full = append(full, bodies(w.drain(t, queue["full"]))...)
			w.clock.Advance(2 * time.Second)
			return len(full) == 11
		})
		w.settled(t, tp, "stopped", "paused", "full")
		for _, name := range []string{"stopped", "paused", "fine"} {
			if got := bodies(w.drain(t, queue[name])); len(got) != 11 || !slices.Equal(got[:10], want) {
				t.Errorf("%s got %q", name, got)
			}
		}
		if !slices.Equal(full[:10], want) {
			t.Errorf("the full queue got %q", full)
		}
		// A queue of the same name takes its place.
		_, _, err = w.queues.Put(t.Context(), w.tenant, queue["missing"], queues.DefaultSettings(), queues.Condition{})
		must(t, err)
		w.publish(t, tp, "again")
		w.settled(t, tp, "missing")
		w.wantBodies(t, queue["missing"], []string{"again"})
		if s := w.subscription(t, tp, "missing"); s.State != topics.Active || s.LastError == nil {
			t.Errorf("the subscription of a queue that is there again says %+v", s)
		}
	})
}

var errCrash = errors.New("the server died here")

// The server that carries dies after each of its steps, and another one goes on: all arrives, and nothing twice.
func TestG12_AServerDiesAfterEachStepOfCarrying(t *testing.T) {
	for _, step := range []string{"entered", "carrying", "delivered", "advanced", "rested"} {
		t.Run(step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, topics.Settings{})
				a, b := w.queue(t, "", nil), w.queue(t, "", nil)
				w.subscribe(t, tp, "a", topics.SubscriptionSettings{Queue: a})
				w.subscribe(t, tp, "b", topics.SubscriptionSettings{Queue: b})
				var died atomic.Bool
				w.SetStep(func(done string) error {
					if done == step {
						died.Store(true)
						w.Stop()
						return errCrash
					}
					return nil
				})
				other := w.another(t)
				want := numbered(5)
				list := make([]queues.Outgoing, len(want))
				for i := range list {
					list[i].Body = []byte(want[i])
				}
				_, err := w.PublishBatch(t.Context(), w.tenant, tp, list, true)
				if step == "entered" {
					if err == nil {
						t.Fatal("the publish did not notice that its server is dead")
					}
					other.publish(t, tp, want...)
				} else {
					must(t, err)
				}
				until(t, "the server is dead or has nothing to do", func() bool {
					w.clock.Advance(3 * time.Second)
					must(t, w.Tend(t.Context()))
					return died.Load()
				})
				until(t, "the other one has carried on", func() bool {
					w.clock.Advance(3 * time.Second)
					must(t, other.Tend(t.Context()))
					n, err := other.Indexed(t.Context(), w.tenant, tp)
					must(t, err)
					return n == 0
				})
				w.settled(t, tp, "a", "b")
				w.wantBodies(t, a, want)
				w.wantBodies(t, b, want)
			})
		})
	}
}

// Two servers publish and carry, one of them mostly fails between two steps, and filters change: each subscription has
// exactly what its filter let through when it was published.
func TestG12_AllArrivesOnceWhateverFailsBetween(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const subscriptions, rounds = 12, 40
		tp := w.topic(t, topics.Settings{})
		other := w.another(t)
		w.listen(t)
		other.listen(t)
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(1, 2))
		roll := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return rng.IntN(n)
		}
		other.SetStep(func(string) error {
			if roll(3) == 0 {
				return errCrash
			}
			return nil
		})
		queue, want := map[string]string{}, map[string][]string{}
		even := map[string]bool{}
		settings := func(name string) topics.SubscriptionSettings {
			set := topics.SubscriptionSettings{Queue: queue[name], FilterScope: filter.Body}
			if even[name] {
				set.FilterPolicy = `{"even":[true]}`
			}
			return set
		}
		for i := range subscriptions {
			name := fmt.Sprint("s", i)
			queue[name] = w.queue(t, "", nil)
			w.subscribe(t, tp, name, settings(name))
		}
		total := 0
		for range rounds {
			name := fmt.Sprint("s", roll(subscriptions))
			even[name] = !even[name]
			if _, _, err := w.PutSubscription(t.Context(), w.tenant, tp, name, settings(name), topics.Condition{}); err != nil {
				even[name] = !even[name] // it is too far behind
			}
			server := w
			if roll(2) == 0 {
				server = other
			}
			var list []string
			for range 1 + roll(9) {
				total++
				list = append(list, fmt.Sprintf(`{"n":%d,"even":%t}`, total, total%2 == 0))
			}
			for {
				// A server that dies between two steps of a publish has stored nothing.
				batch := make([]queues.Outgoing, len(list))
				for i := range batch {
					batch[i].Body = []byte(list[i])
				}
				if _, err := server.PublishBatch(t.Context(), w.tenant, tp, batch, true); err == nil {
					break
				}
			}
			for i, body := range list {
				for name := range queue {
					if !even[name] || (total-len(list)+i+1)%2 == 0 {
						want[name] = append(want[name], body)
					}
				}
			}
			w.clock.Advance(time.Duration(roll(3000)) * time.Millisecond)
		}
		other.SetStep(func(string) error { return nil })
		until(t, "all is carried", func() bool {
			w.clock.Advance(time.Second)
			must(t, w.Tend(t.Context()))
			must(t, other.Tend(t.Context()))
			for name := range queue {
				if w.subscription(t, tp, name).Lag != 0 {
					return false
				}
			}
			return true
		})
		for name, q := range queue {
			got := bodies(w.drain(t, q))
			slices.Sort(got)
			slices.Sort(want[name])
			if diff := cmp.Diff(want[name], got, emptyIsNil); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		t.Logf("%d messages to %d subscriptions", total, subscriptions)
	})
}

// What is published while the carrying server is dead, or did not hear of it, is found in the index.
func TestAMissedWakeIsMadeUpFor(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q})
		w.publish(t, tp, "first")
		w.settled(t, tp, "s")
		other := w.another(t)
		// w is the one that carries, and hears nothing.
		other.publish(t, tp, "second")
		w.Stop()
		other.publish(t, tp, "third")
		w.clock.Advance(11 * time.Second)
		must(t, other.Tend(t.Context()))
		other.settled(t, tp, "s")
		w.wantBodies(t, q, []string{"first", "second", "third"})
		until(t, "the topic is at rest", func() bool {
			w.clock.Advance(6 * time.Second)
			must(t, other.Tend(t.Context()))
			n, err := other.Indexed(t.Context(), w.tenant, tp)
			must(t, err)
			return n == 0
		})
	})
}

// A server is told of what another one has stored, while it is the one that carries.
func TestACarryingServerIsToldOfAPublishElsewhere(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q})
		w.listen(t)
		w.publish(t, tp, "first")
		w.settled(t, tp, "s")
		other := w.another(t)
		for i := range 20 {
			other.publish(t, tp, fmt.Sprint("m", i))
			w.settled(t, tp, "s")
		}
		if got := len(w.drain(t, q)); got != 21 {
			t.Errorf("got %d messages, want 21", got)
		}
	})
}

func TestG13_AFIFOTopicKeepsTheOrderOfEachGroup(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.fifo(t, topics.Settings{})
		fifo, standard := w.queue(t, ".fifo", func(s *queues.Settings) { s.Delay = 2 * time.Second }), w.queue(t, "", nil)
		full := w.queue(t, ".fifo", func(s *queues.Settings) { s.MaxMessages = 7 })
		for name, q := range map[string]string{"fifo": fifo, "standard": standard, "full": full} {
			w.subscribe(t, tp, name, topics.SubscriptionSettings{Queue: q})
		}
		other := w.another(t)
		want := map[string][]string{}
		for i := range 60 {
			group := fmt.Sprint("g", i%5)
			m := queues.Outgoing{Body: fmt.Append(nil, "m", i), GroupID: group, DeduplicationID: fmt.Sprint("d", i)}
			first, err := w.Publish(t.Context(), w.tenant, tp, m)
			must(t, err)
			again, err := other.Publish(t.Context(), w.tenant, tp, m)
			must(t, err)
			if !again.Replayed || again.ID != first.ID || again.Sequence != first.Sequence {
				t.Fatalf("the same message again: got %+v, want the first, %+v", again, first)
			}
			want[group] = append(want[group], string(m.Body))
		}
		w.settled(t, tp, "fifo", "standard")
		w.clock.Advance(2 * time.Second)
		got := map[string]map[string][]string{"fifo": {}, "full": {}}
		note := func(name, queue string) {
			for _, m := range w.drain(t, queue) {
				got[name][m.GroupID] = append(got[name][m.GroupID], m.Body)
			}
		}
		note("fifo", fifo)
		until(t, "the full queue has got all", func() bool {
			note("full", full)
			w.clock.Advance(2 * time.Second)
			return w.subscription(t, tp, "full").Lag == 0
		})
		note("full", full)
		for name := range got {
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if n := len(w.drain(t, standard)); n != 60 {
			t.Errorf("the standard queue got %d messages, want 60", n)
		}
	})
}

func TestDeletedSubscriptionsAndTopicsLeaveNothingBehind(t *testing.T) {
	for _, step := range []string{"", "unsubscribed", "forgotten", "retired", "unregistered", "erased"} {
		t.Run("after "+step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, topics.Settings{})
				q := w.queue(t, "", nil)
				w.subscribe(t, tp, "gone", topics.SubscriptionSettings{Queue: q})
				w.subscribe(t, tp, "stays", topics.SubscriptionSettings{Queue: q})
				w.publish(t, tp, "x")
				w.settled(t, tp, "gone", "stays")
				keys, _, err := w.Keys(t.Context(), w.tenant, tp)
				must(t, err)
				crash := func(done string) error {
					if done == step {
						return errCrash
					}
					return nil
				}
				w.SetStep(crash)
				if err := w.DeleteSubscription(t.Context(), w.tenant, tp, "gone", topics.Condition{}); err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				if _, err := w.GetSubscription(t.Context(), w.tenant, tp, "gone"); !errors.Is(err, topics.ErrSubscriptionNotFound) {
					t.Errorf("the subscription that was deleted: got %v", err)
				}
				w.publish(t, tp, "y")
				w.settled(t, tp, "stays")
				if err := w.Delete(t.Context(), w.tenant, tp, topics.Condition{}); err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				if _, err := w.another(t).Get(t.Context(), w.tenant, tp); !errors.Is(err, topics.ErrTopicNotFound) {
					t.Errorf("the topic that was deleted: got %v", err)
				}
				w.SetStep(func(string) error { return nil })
				must(t, w.Sweep(t.Context(), w.tenant))
				if n, _ := w.engine.Single().Exists(t.Context(), keys...).Result(); n != 0 {
					t.Errorf("%d keys of the topic are left", n)
				}
				if got := w.sources(t, q); len(got) != 0 {
					t.Errorf("the queue remembers %q", got)
				}
				if got := len(w.drain(t, q)); got != 3 {
					t.Errorf("the queue has %d messages, want x twice and y", got)
				}
			})
		})
	}
}

// sources are the sources that a queue remembers.
func (w *world) sources(t *testing.T, queue string) []string {
	t.Helper()
	uid, err := w.engine.Single().HGet(t.Context(), engine.TenantKey(w.tenant.String(), "queues"), queue).Result()
	must(t, err)
	fields, err := w.engine.Single().HKeys(t.Context(), engine.Key(w.tenant.String(), uid[1:], "h")).Result()
	must(t, err)
	return slices.DeleteFunc(fields, func(f string) bool { return f[0] != 'S' })
}
