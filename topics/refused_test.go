package topics_test

import (
	"context"
	"errors"
	"fmt"
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
)

// narrow are webhooks that take so many messages each, and have publishes refused as long as there is no room. What they have they keep.
type narrow struct {
	hooks

	mu       sync.Mutex
	room     map[string]int // by the name of the subscription
	disabled bool
	taken    map[string][]string // by uid
	upTo     map[string]int64
}

func newNarrow(room int) *narrow {
	return &narrow{room: map[string]int{"tight": room, "wide": room}, taken: map[string][]string{}, upTo: map[string]int64{}}
}

func (n *narrow) Suspend(context.Context, topics.Way, bool) error { return nil }
func (n *narrow) Forget(context.Context, topics.Way) error        { return nil }

func (n *narrow) Deliver(_ context.Context, w topics.Way, _ topics.WaySettings, list []topics.Logged, to int64) (topics.Handed, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range list {
		switch l := &list[i]; {
		case l.Sequence <= n.upTo[w.UID] || n.disabled:
			continue
		case n.room[w.Subscription] == 0:
			n.upTo[w.UID] = l.Sequence - 1
			return topics.Handed{Reached: l.Sequence - 1, Mark: l.Sequence - 1, Refused: true}, nil
		default:
			n.room[w.Subscription]--
			n.taken[w.UID] = append(n.taken[w.UID], string(l.Message.Body))
		}
	}
	n.upTo[w.UID] = max(to, n.upTo[w.UID])
	return topics.Handed{Reached: n.upTo[w.UID], Mark: to, Disabled: n.disabled}, nil
}

func (n *narrow) set(f func(*narrow)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n)
}

// got returns what one subscription has taken.
func (n *narrow) got(uid string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.taken[uid])
}

// refused publishes until that is refused, and returns what was not.
func (w *world) refused(tb testing.TB, topic string) (published []string) {
	tb.Helper()
	until(tb, "publishes are refused", func() bool {
		body := fmt.Sprint("m", len(published))
		_, err := w.Publish(tb.Context(), w.tenant, topic, queues.Outgoing{Body: []byte(body)})
		switch {
		case err == nil:
			published = append(published, body)
		case !errors.Is(err, topics.ErrSubscriptionFull) || errs.KindOf(err) != errs.RateLimited || !strings.Contains(err.Error(), `"tight"`):
			tb.Fatalf("the refusal: %v", err)
		}
		return err != nil
	})
	return published
}

// tight makes a topic with a subscription that has no room, to which nothing more can be published.
func (w *world) tight(tb testing.TB) (topic string, sub topics.Subscription, published []string) {
	tb.Helper()
	topic = w.topic(tb, topics.Settings{})
	w.subscribe(tb, topic, "tight", topics.SubscriptionSettings{Endpoint: "https://tight"})
	published = w.refused(tb, topic)
	return topic, w.subscription(tb, topic, "tight"), published
}

func (w *world) accepts(tb testing.TB, topic, body string) {
	tb.Helper()
	if _, err := w.Publish(tb.Context(), w.tenant, topic, queues.Outgoing{Body: []byte(body)}); err != nil {
		tb.Errorf("a publish to %s: %v", topic, err)
	}
}

// refusesOn reports whether a publish is refused, and the topic has stored nothing then.
func (w *world) refusesOn(tb testing.TB, topic string) {
	tb.Helper()
	if _, err := w.Publish(tb.Context(), w.tenant, topic, queues.Outgoing{Body: []byte("refused")}); !errors.Is(err, topics.ErrSubscriptionFull) {
		tb.Errorf("a publish to %s: got %v, want it refused", topic, err)
	}
}

// As long as a subscription is full, publishes to its topic are refused by all servers, and those to others are not. What was acknowledged
// arrives once there is room, and then publishes go on.
func TestASubscriptionThatIsFullHasPublishesRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		n := newNarrow(2)
		w.Connect(n)
		other := w.another(t)
		other.Connect(n)
		beside := w.topic(t, topics.Settings{})
		w.subscribe(t, beside, "q", topics.SubscriptionSettings{Queue: w.queue(t, "", nil)})
		tp, sub, published := w.tight(t)
		other.refusesOn(t, tp)
		list := []queues.Outgoing{{Body: []byte("refused")}, {Body: []byte("refused")}}
		if _, err := w.PublishBatch(t.Context(), w.tenant, tp, list, true); !errors.Is(err, topics.ErrSubscriptionFull) {
			t.Errorf("an atomic batch: %v", err)
		}
		results, err := other.PublishBatch(t.Context(), w.tenant, tp, list, false)
		must(t, err)
		for i, r := range results {
			if !errors.Is(r.Err, topics.ErrSubscriptionFull) {
				t.Errorf("message %d of a batch: %v", i, r.Err)
			}
		}
		w.accepts(t, beside, "beside")
		elsewhere := *w
		elsewhere.tenant = w.newTenant(t)
		elsewhere.topicNamed(t, tp, topics.Settings{})
		elsewhere.accepts(t, tp, "of another tenant")
		if s := w.subscription(t, tp, "tight"); s.State != topics.Retrying || s.LastError == nil || s.LastError.Code != "subscription_full" || s.Lag == 0 || s.Dropped+s.Failed != 0 {
			t.Errorf("the subscription: %+v", s)
		}
		n.set(func(n *narrow) { n.room["tight"] = 100 })
		until(t, "there is room", func() bool {
			w.clock.Advance(time.Second)
			return w.subscription(t, tp, "tight").Lag == 0
		})
		if diff := cmp.Diff(published, n.got(sub.Way.UID)); diff != "" {
			t.Errorf("what came (-want +got):\n%s", diff)
		}
		other.accepts(t, tp, "on")
		w.accepts(t, tp, "and on")
		w.settled(t, tp, "tight")
		if diff := cmp.Diff(append(published, "on", "and on"), n.got(sub.Way.UID)); diff != "" {
			t.Errorf("what came at last (-want +got):\n%s", diff)
		}
		if s := w.subscription(t, tp, "tight"); s.State != topics.Active || s.Dropped+s.Failed != 0 {
			t.Errorf("the subscription at last: %+v", s)
		}
	})
}

// A message that is known again is answered as before, for nothing is stored.
func TestARepeatedPublishIsNotRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		n := newNarrow(1)
		w.Connect(n)
		tp := w.topic(t, topics.Settings{})
		w.subscribe(t, tp, "tight", topics.SubscriptionSettings{Endpoint: "https://tight"})
		m := queues.Outgoing{Body: []byte("once"), IdempotencyKey: "k"}
		first, err := w.Publish(t.Context(), w.tenant, tp, m)
		must(t, err)
		w.refused(t, tp)
		if again, err := w.Publish(t.Context(), w.tenant, tp, m); err != nil || again.ID != first.ID || !again.Replayed {
			t.Errorf("the same once more: %+v, %v", again, err)
		}
	})
}

func TestARefusalEndsWithWhatItIsFor(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *world, *narrow, string){
		"deleted": func(t *testing.T, w *world, _ *narrow, tp string) {
			must(t, w.DeleteSubscription(t.Context(), w.tenant, tp, "tight", topics.Condition{}))
		},
		"other settings": func(t *testing.T, w *world, n *narrow, tp string) {
			n.set(func(n *narrow) { n.room["tight"] = 1000 })
			w.subscribe(t, tp, "tight", topics.SubscriptionSettings{Endpoint: "https://tight/2"})
		},
		"paused": func(t *testing.T, w *world, _ *narrow, tp string) {
			_, err := w.PauseSubscription(t.Context(), w.tenant, tp, "tight")
			must(t, err)
		},
		"disabled": func(t *testing.T, w *world, n *narrow, tp string) {
			n.set(func(n *narrow) { n.disabled = true })
			until(t, "it is noticed", func() bool {
				w.clock.Advance(time.Second)
				return w.subscription(t, tp, "tight").Lag == 0
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				n := newNarrow(1)
				w.Connect(n)
				tp, _, _ := w.tight(t)
				end(t, w, n, tp)
				for i := range 3 {
					w.accepts(t, tp, fmt.Sprint("after ", i))
				}
			})
		})
	}
}

// Two subscriptions are full: it takes room for both.
func TestTheLastOfTwoEndsTheRefusal(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		n := newNarrow(1)
		w.Connect(n)
		tp := w.topic(t, topics.Settings{})
		for _, name := range []string{"tight", "wide"} {
			w.subscribe(t, tp, name, topics.SubscriptionSettings{Endpoint: "https://" + name})
		}
		until(t, "both are full", func() bool {
			_, _ = w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("m")})
			w.clock.Advance(time.Second)
			return w.subscription(t, tp, "tight").State == topics.Retrying && w.subscription(t, tp, "wide").State == topics.Retrying
		})
		w.refusesOn(t, tp)
		must(t, w.DeleteSubscription(t.Context(), w.tenant, tp, "tight", topics.Condition{}))
		if _, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("m")}); !errors.Is(err, topics.ErrSubscriptionFull) || !strings.Contains(err.Error(), `"wide"`) {
			t.Errorf("with one of them: %v", err)
		}
		must(t, w.DeleteSubscription(t.Context(), w.tenant, tp, "wide", topics.Condition{}))
		w.accepts(t, tp, "with none")
	})
}

// What another topic, a queue or a schedule brings is refused as well: it waits where it is, and comes when there is room. A schedule
// shows that it failed.
func TestWhatIsForwardedWaitsForAFullSubscription(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		n := newNarrow(1)
		w.Connect(n)
		tp, sub, published := w.tight(t)
		from := w.topic(t, topics.Settings{})
		name := w.forward(t, from, tp)
		w.publish(t, from, "by a topic")
		queue := w.onTo(t, tp, "")
		w.send(t, queue, queues.Outgoing{Body: []byte("by a queue")})
		_, _, err := w.PutSchedule(t.Context(), w.tenant, tp, "s", every(10*time.Second, queues.Outgoing{Body: []byte("by a schedule")}), queues.Condition{})
		must(t, err)
		w.clock.Advance(10 * time.Second)
		must(t, w.TickOnce(t.Context()))
		if s := w.schedule(t, tp, "s"); s.Runs != 0 || s.Errors != 1 || s.LastError.Code != "subscription_full" {
			t.Errorf("the schedule says %+v", s)
		}
		until(t, "the other topic waits", func() bool {
			s := w.subscription(t, from, name)
			return s.State == topics.Retrying && s.LastError.Code == "subscription_full"
		})
		for range 3 {
			w.clock.Advance(time.Second)
			must(t, w.Tend(t.Context()))
		}
		if n := w.moving(t, queue); n != 1 {
			t.Errorf("%d messages of the queue are on their way, want one", n)
		}
		n.set(func(n *narrow) { n.room["tight"] = 100 })
		until(t, "all came", func() bool {
			w.clock.Advance(time.Second)
			return len(n.got(sub.Way.UID)) == len(published)+2
		})
		w.arrived(t, queue)
		got := n.got(sub.Way.UID)
		slices.Sort(got[len(published):])
		if diff := cmp.Diff(append(published, "by a queue", "by a topic"), got); diff != "" {
			t.Errorf("what came (-want +got):\n%s", diff)
		}
		w.settled(t, from, name)
		if s := w.subscription(t, from, name); s.Delivered != 1 || s.Dropped+s.Failed != 0 {
			t.Errorf("the subscription of the other topic: %+v", s)
		}
	})
}

// The server that carries dies at each of its steps around a refusal, and another one goes on: publishes are refused until there is room,
// what was acknowledged comes once, and nobody is refused for ever.
func TestG12_AServerDiesWhileASubscriptionIsFull(t *testing.T) {
	for _, step := range []string{"carrying", "delivered", "advanced", "subscribed", "unsubscribed"} {
		t.Run(step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				n := newNarrow(2)
				w.Connect(n)
				other := w.another(t)
				other.Connect(n)
				tp := w.topic(t, topics.Settings{})
				w.subscribe(t, tp, "tight", topics.SubscriptionSettings{Endpoint: "https://tight"})
				uid := w.subscription(t, tp, "tight").Way.UID
				w.publish(t, tp, "a", "b")
				w.settled(t, tp, "tight")
				published := []string{"a", "b"}
				var died atomic.Bool
				w.SetStep(func(done string) error {
					if done == step {
						died.Store(true)
						w.Stop()
						return errCrash
					}
					return nil
				})
				if _, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("c")}); err == nil {
					published = append(published, "c")
				}
				switch step {
				case "subscribed":
					set := topics.SubscriptionSettings{Endpoint: "https://tight/2"}
					if _, _, err := w.PutSubscription(t.Context(), w.tenant, tp, "tight", set, topics.Condition{}); !errors.Is(err, errCrash) {
						t.Fatalf("the change: %v", err)
					}
				case "unsubscribed":
					if err := w.DeleteSubscription(t.Context(), w.tenant, tp, "tight", topics.Condition{}); !errors.Is(err, errCrash) {
						t.Fatalf("the deletion: %v", err)
					}
					other.accepts(t, tp, "nobody is full")
					return
				}
				until(t, "the server is dead", died.Load)
				until(t, "the other one refuses", func() bool {
					w.clock.Advance(3 * time.Second)
					must(t, other.Tend(t.Context()))
					body := fmt.Sprint("m", len(published))
					_, err := other.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body)})
					if err == nil {
						published = append(published, body)
					}
					return errors.Is(err, topics.ErrSubscriptionFull)
				})
				n.set(func(n *narrow) { n.room["tight"] = 1000 })
				until(t, "the other one takes messages again", func() bool {
					w.clock.Advance(3 * time.Second)
					must(t, other.Tend(t.Context()))
					body := fmt.Sprint("m", len(published))
					_, err := other.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body)})
					if err == nil {
						published = append(published, body)
					}
					return err == nil
				})
				until(t, "all came", func() bool { return len(n.got(uid)) >= len(published) })
				if diff := cmp.Diff(published, n.got(uid)); diff != "" {
					t.Errorf("what came (-want +got):\n%s", diff)
				}
			})
		})
	}
}
