package topics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

func TestACreationOrDeletionThatWasCutShortIsFinished(t *testing.T) {
	for _, step := range []string{"reserved", "made", "retired", "unregistered", "erased"} {
		t.Run(step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				w.SetStep(func(done string) error {
					if done == step {
						return errCrash
					}
					return nil
				})
				_, _, err := w.Put(t.Context(), w.tenant, "orders", topics.Settings{}, topics.Condition{})
				other := w.another(t)
				if err == nil {
					if err = w.Delete(t.Context(), w.tenant, "orders", topics.Condition{}); !errors.Is(err, errCrash) {
						t.Fatalf("the deletion ended with %v", err)
					}
				}
				must(t, other.Sweep(t.Context(), w.tenant))
				if _, err := other.Get(t.Context(), w.tenant, "orders"); step == "made" {
					must(t, err) // its keys were there
				} else if !errors.Is(err, topics.ErrTopicNotFound) {
					t.Errorf("after the sweep: got %v, want no topic", err)
				}
				// Whoever asks for the name gets it.
				_, created, err := other.Put(t.Context(), w.tenant, "orders", topics.Settings{}, topics.Condition{})
				if err != nil || created == (step == "made") {
					t.Errorf("a put afterwards: created %t, %v", created, err)
				}
			})
		})
	}
}

// A sweep that finds a reservation without keys may be slow, and the creator come to the end meanwhile: what he has made stays.
func TestACreatorWhoIsFasterThanTheSweep(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		maker := w.another(t)
		reserved, goOn, made := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		maker.SetStep(func(done string) error {
			if done == "reserved" {
				close(reserved)
				<-goOn
			}
			return nil
		})
		go func() {
			_, _, err := maker.Put(t.Context(), w.tenant, "orders", topics.Settings{Retention: time.Hour}, topics.Condition{})
			made <- err
		}()
		<-reserved
		w.SetStep(func(done string) error {
			if done == "not made" {
				close(goOn)
				must(t, <-made)
				maker.publish(t, "orders", "x")
			}
			return nil
		})
		must(t, w.Sweep(t.Context(), w.tenant))
		got, err := w.another(t).Get(t.Context(), w.tenant, "orders")
		must(t, err)
		if got.Stats.Published != 1 {
			t.Errorf("got %+v, want the message that was published", got.Stats)
		}
	})
}

func TestATenantGoesWithItsTopics(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.newTenant(t)
		name := w.topic(t, topics.Settings{Retention: time.Hour})
		_, _, err := w.Put(t.Context(), other, name, topics.Settings{}, topics.Condition{})
		must(t, err)
		w.publish(t, name, "x")
		keys, _, err := w.Keys(t.Context(), w.tenant, name)
		must(t, err)
		page, _, err := w.tenants.List(t.Context(), "", 100, "")
		must(t, err)
		for _, tn := range page {
			if tn.ID == w.tenant {
				must(t, w.tenants.Delete(t.Context(), tn.Name, tenants.Condition{}))
			}
		}
		if n, _ := w.engine.Single().Exists(t.Context(), keys...).Result(); n != 0 {
			t.Errorf("%d keys of the topic are left", n)
		}
		if s, err := w.Get(t.Context(), other, name); err != nil || s.Published != 0 {
			t.Errorf("the topic of the same name of another tenant: %+v, %v", s, err)
		}
	})
}

func TestTheLogForgetsWhatIsOlderThanTheRetention(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		first := w.publish(t, tp, numbered(150)...)
		w.clock.Advance(time.Hour - time.Millisecond)
		last := w.publish(t, tp, "late")[0]
		got, err := w.Get(t.Context(), w.tenant, tp)
		must(t, err)
		if got.Kept != 151 || got.Oldest != first[0].Sequence || got.Last != last.Sequence || !got.OldestAt.Equal(start) {
			t.Errorf("just before: %+v", got)
		}
		w.clock.Advance(time.Millisecond)
		if got, err = w.Get(t.Context(), w.tenant, tp); err != nil || got.Kept != 1 || got.Oldest != last.Sequence {
			t.Errorf("at the hour: %+v, %v", got, err)
		}
		_, err = w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{After: &first[149].Sequence}, Limit: 10})
		must(t, err) // all behind that is kept
		if _, err = w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{After: &first[148].Sequence}, Limit: 10}); !errors.Is(err, topics.ErrNotRetained) {
			t.Errorf("a read from before: got %v, want %v", err, topics.ErrNotRetained)
		}
		must(t, w.Sweep(t.Context(), w.tenant))
		keys, _, err := w.Keys(t.Context(), w.tenant, tp)
		must(t, err)
		if n, _ := w.engine.Single().HLen(t.Context(), keys[1]).Result(); n != 2 {
			t.Errorf("after the sweep the log has %d entries, want one and the sentinel", n)
		}
		// A longer retention brings nothing back.
		_, err = w.Update(t.Context(), w.tenant, tp, topics.Condition{}, func(s topics.Settings) topics.Settings { s.Retention = 2 * time.Hour; return s })
		must(t, err)
		if got, err = w.Get(t.Context(), w.tenant, tp); err != nil || got.Kept != 1 {
			t.Errorf("with a longer retention: %+v, %v", got, err)
		}
	})
}

// A subscription that is paused for longer than the log waits misses what came first, and says so.
func TestTheLogWaitsForASubscriptionForTwoWeeks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q})
		_, err := w.PauseSubscription(t.Context(), w.tenant, tp, "s")
		must(t, err)
		w.publish(t, tp, numbered(120)...)
		w.clock.Advance(topics.Hold - time.Hour)
		w.publish(t, tp, "young")
		w.clock.Advance(2 * time.Hour)
		w.publish(t, tp, "new")
		_, err = w.ResumeSubscription(t.Context(), w.tenant, tp, "s")
		must(t, err)
		w.settled(t, tp, "s")
		w.wantBodies(t, q, []string{"young", "new"})
		got := w.subscription(t, tp, "s")
		if got.Dropped != 120 || got.Delivered != 2 || got.LastError == nil || got.LastError.Code != "message_expired" || got.State != topics.Active {
			t.Errorf("the subscription says %+v", got)
		}
	})
}

func TestTheLimitsOfATopicHold(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		big := queues.Outgoing{Body: []byte(strings.Repeat("x", topics.MaxMessageSize))}
		if _, err := w.Publish(t.Context(), w.tenant, tp, big); err != nil {
			t.Errorf("a message of the largest size: %v", err)
		}
		big.Attributes = []queues.Attribute{{Name: "a", Type: "String", Value: "b"}}
		if _, err := w.Publish(t.Context(), w.tenant, tp, big); !errors.Is(err, topics.ErrMessageTooLarge) {
			t.Errorf("a larger one: got %v", err)
		}
		big.Attributes = nil
		if _, err := w.PublishBatch(t.Context(), w.tenant, tp, []queues.Outgoing{big, big, big}, true); !errors.Is(err, topics.ErrAtomicTooLarge) {
			t.Errorf("an atomic batch that is too large: got %v", err)
		}
		keys, _, err := w.Keys(t.Context(), w.tenant, tp)
		must(t, err)
		// As if the log had so many bytes already.
		must(t, w.engine.Single().HSet(t.Context(), keys[0], "by", topics.MaxLogBytes-topics.MaxMessageSize).Err())
		if _, err := w.Publish(t.Context(), w.tenant, tp, big); !errors.Is(err, topics.ErrBytesFull) {
			t.Errorf("a publish for which the log has no room: got %v, want %v", err, topics.ErrBytesFull)
		}
		w.publish(t, tp, "a small one")
		small := topics.New(topics.Config{Engine: w.engine, Queues: w.queues, Clock: w.clock, Terms: func(context.Context, tenants.ID) (*tenants.Terms, error) {
			terms := *tenants.Unlimited()
			terms.Limits[tenants.LimitMessageSize] = 1024
			return &terms, nil
		}})
		if _, err := small.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: make([]byte, 1025)}); !errors.Is(err, topics.ErrMessageTooLarge) {
			t.Errorf("more than the tenant may publish: got %v", err)
		}
		q := w.queue(t, "", nil)
		for i := range topics.MaxSubscriptions {
			w.subscribe(t, tp, fmt.Sprint("s", i), topics.SubscriptionSettings{Queue: q})
		}
		if _, _, err := w.PutSubscription(t.Context(), w.tenant, tp, "more", topics.SubscriptionSettings{Queue: q}, topics.Condition{}); !errors.Is(err, topics.ErrSubscriptionQuota) {
			t.Errorf("one subscription more: got %v, want %v", err, topics.ErrSubscriptionQuota)
		}
	})
}

// The same publish again, on any server, stores nothing more and is answered the same, also while many ask at once.
func TestOnePublishIsStoredOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		servers := []*world{w, w.another(t)}
		m := queues.Outgoing{Body: []byte("x"), IdempotencyKey: "k"}
		var wg sync.WaitGroup
		answers := make([]topics.Published, 16)
		for i := range answers {
			wg.Go(func() {
				var err error
				if answers[i], err = servers[i%2].Publish(t.Context(), w.tenant, tp, m); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, a := range answers {
			a.Replayed = answers[0].Replayed
			if diff := cmp.Diff(answers[0], a); diff != "" {
				t.Errorf("two answers differ:\n%s", diff)
			}
		}
		other := m
		other.Body = []byte("y")
		if _, err := w.Publish(t.Context(), w.tenant, tp, other); !errors.Is(err, topics.ErrKeyReused) {
			t.Errorf("the key with another body: got %v, want %v", err, topics.ErrKeyReused)
		}
		if s, err := w.Get(t.Context(), w.tenant, tp); err != nil || s.Published != 1 || s.Kept != 1 {
			t.Errorf("the topic: %+v, %v", s, err)
		}
		w.clock.Advance(5*time.Minute - time.Millisecond)
		if again, err := w.Publish(t.Context(), w.tenant, tp, m); err != nil || !again.Replayed {
			t.Errorf("within five minutes: %+v, %v", again, err)
		}
		w.clock.Advance(time.Millisecond)
		if again, err := w.Publish(t.Context(), w.tenant, tp, m); err != nil || again.Replayed {
			t.Errorf("after five minutes: %+v, %v", again, err)
		}
	})
}

func TestAPublishKnowsSettingsThatChangedElsewhere(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.fifo(t, topics.Settings{})
		other := w.another(t)
		m := queues.Outgoing{Body: []byte("x"), GroupID: "g"}
		if _, err := other.Publish(t.Context(), w.tenant, tp, m); !errors.Is(err, topics.ErrDeduplicationRequired) {
			t.Errorf("without a deduplication id: got %v", err)
		}
		_, err := w.Update(t.Context(), w.tenant, tp, topics.Condition{}, func(s topics.Settings) topics.Settings { s.ContentBased = true; return s })
		must(t, err)
		first, err := other.Publish(t.Context(), w.tenant, tp, m)
		must(t, err)
		if again, err := w.Publish(t.Context(), w.tenant, tp, m); err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("the same body again: %+v, %v", again, err)
		}
		must(t, w.Delete(t.Context(), w.tenant, tp, topics.Condition{}))
		if _, err := other.Publish(t.Context(), w.tenant, tp, m); !errors.Is(err, topics.ErrTopicNotFound) {
			t.Errorf("after the deletion: got %v", err)
		}
		w.topicNamed(t, tp, topics.Settings{ContentBased: true})
		if again, err := other.Publish(t.Context(), w.tenant, tp, m); err != nil || again.Replayed {
			t.Errorf("to a new topic of that name: %+v, %v", again, err)
		}
	})
}

func TestAWaitingReadHearsOfAPublishElsewhere(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		sent := w.publish(t, tp, "one")[0]
		other := w.another(t)
		got := make(chan topics.Page, 1)
		go func() {
			page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{After: &sent.Sequence}, Limit: 10, Wait: time.Hour})
			if err != nil {
				t.Error(err)
			}
			got <- page
		}()
		until(t, "the read waits", func() bool { return w.Waiting(w.tenant, tp) == 1 })
		other.publish(t, tp, "two")
		w.clock.Advance(time.Second) // the next look, long before the end of the wait
		select {
		case page := <-got:
			if len(page.Messages) != 1 || string(page.Messages[0].Message.Body) != "two" {
				t.Errorf("got %+v", page)
			}
		case <-time.After(time.Minute):
			t.Fatal("the read does not hear of it")
		}
	})
}

// The in-memory engine has a limit of its own, and who is refused learns which.
func TestAFullLogInMemoryNamesItsLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	tp := w.topic(t, topics.Settings{Retention: time.Hour})
	first := w.publish(t, tp, "x")[0].Sequence
	keys, _, err := w.Keys(t.Context(), w.tenant, tp)
	must(t, err)
	list := make([]redis.Z, topics.MemoryMessages-1) // as entries of messages
	for i := range list {
		list[i] = redis.Z{Score: float64(first), Member: fmt.Sprintf("%011d", i)}
	}
	must(t, w.engine.Single().ZAdd(t.Context(), keys[2], list...).Err())
	_, err = w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("y")})
	if !errors.Is(err, topics.ErrLogFull) || !strings.Contains(err.Error(), fmt.Sprintf(" %d messages", topics.MemoryMessages)) {
		t.Errorf("a publish to a full log: %v", err)
	}
}
