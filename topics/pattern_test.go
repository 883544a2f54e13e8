package topics_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

func TestWhatAPatternStandsFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, matches, not string }{
		{"orders.*.created", "orders.eu.created orders.a_b-1.created", "orders.created orders.eu.x.created orders.eu.created.x orders.eu.deleted orders.eu.created.fifo"},
		{"*", "orders x", "orders.eu orders.fifo"},
		{"orders.#", "orders orders.eu orders.eu.created", "order ordersx orders.fifo orders.eu.fifo"},
		{"#", "orders orders.eu.created", "orders.fifo a.b.fifo"},
		{"*.eu.#", "orders.eu orders.eu.created", "orders eu orders.us"},
		{"orders.*.fifo", "orders.eu.fifo", "orders.eu orders.fifo orders.eu.x.fifo"},
		{"#.fifo", "orders.fifo orders.eu.fifo", "orders orders.eu"},
		{"*.*", "a.b", "a a.b.c a.b.fifo"},
	} {
		if err := topics.ValidPattern(c.pattern); err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		}
		for name := range strings.FieldsSeq(c.matches) {
			if !topics.Matches(c.pattern, name) {
				t.Errorf("%s does not stand for %s", c.pattern, name)
			}
		}
		for name := range strings.FieldsSeq(c.not) {
			if topics.Matches(c.pattern, name) {
				t.Errorf("%s stands for %s", c.pattern, name)
			}
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"", ".", "orders", "orders.created", "orders.fifo", "orders..*", ".*", "*.", "orders.*x", "o*", "orders.#.created", "#.*", "orders.##", "orders.#x", "a.>", "*.>", "a b.*", "a/b.*", ".fifo", "*..fifo",
		strings.Repeat("a", topics.MaxNameLength-1) + ".*"} {
		if err := topics.ValidPattern(p); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: got %v", p, err)
		}
	}
}

// wild makes a topic subscription of a queue, and has the topics that are there follow.
func (w *world) wild(tb testing.TB, name, pattern, queue string) topics.TopicSubscription {
	tb.Helper()
	sub, _, err := w.PutTopicSubscription(tb.Context(), w.tenant, name, pattern, topics.SubscriptionSettings{Queue: queue}, topics.Condition{})
	must(tb, err)
	w.spread(tb, sub, tasks.MaxItems)
	return sub
}

// spread does the task by which the topics follow, so many at a step, and each step twice, as when a server dies before it is saved.
func (w *world) spread(tb testing.TB, sub topics.TopicSubscription, most int) (res tasks.Result) {
	tb.Helper()
	n, needed, err := w.PlanSpread(tb.Context(), w.tenant, sub)
	must(tb, err)
	if !needed {
		return res
	}
	work := tasks.Work{Task: tasks.Task{ID: "task_x"}, Params: n.Params, Tenant: w.tenant.String(), Most: most}
	for range 1000 {
		first, err := w.Spreading().Step(tb.Context(), work)
		must(tb, err)
		again, err := w.Spreading().Step(tb.Context(), work)
		must(tb, err)
		if diff := cmp.Diff(first.State, again.State); diff != "" {
			tb.Errorf("a step that is made again (-first +again):\n%s", diff)
		}
		res.Looked, res.Done, res.Failed = res.Looked+first.Looked, res.Done+first.Done, res.Failed+first.Failed
		if work.State = first.State; first.Finished {
			return res
		}
	}
	tb.Fatal("the task does not end")
	return res
}

// subscribed returns the names of the subscriptions of a topic.
func (w *world) subscribed(tb testing.TB, topic string) []string {
	tb.Helper()
	list, _, err := w.ListSubscriptions(tb.Context(), w.tenant, topic, "", "", topics.MaxSubscriptions)
	must(tb, err)
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

func (w *world) wantSubscribed(tb testing.TB, topic string, want ...string) {
	tb.Helper()
	if diff := cmp.Diff(want, w.subscribed(tb, topic), emptyIsNil); diff != "" {
		tb.Errorf("subscriptions of %s (-want +got):\n%s", topic, diff)
	}
}

func (w *world) topicSubscription(tb testing.TB, name string) topics.TopicSubscription {
	tb.Helper()
	s, err := w.GetTopicSubscription(tb.Context(), w.tenant, name)
	must(tb, err)
	return s
}

func TestAPatternGetsFromTheTopicsThatAreThereAndFromLaterOnes(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, name := range []string{"orders.eu.created", "orders.us.created", "orders.eu.deleted"} {
			w.topicNamed(t, name, topics.Settings{})
		}
		q := w.queue(t, "", nil)
		sub, created, err := w.PutTopicSubscription(t.Context(), w.tenant, "audit", "orders.*.created", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		must(t, err)
		if !created || sub.State != topics.Applying {
			t.Errorf("got %+v, created %v", sub, created)
		}
		if res := w.spread(t, sub, 2); res.Looked != 3 || res.Done != 3 || res.Failed != 0 {
			t.Errorf("the task did %+v", res)
		}
		if got := w.topicSubscription(t, "audit"); got.State != topics.Applied || got.Failed != 0 || got.ETag != sub.ETag {
			t.Errorf("got %+v", got)
		}
		w.topicNamed(t, "orders.jp.created", topics.Settings{})
		w.topicNamed(t, "orders.jp.deleted", topics.Settings{})
		for _, name := range []string{"orders.eu.created", "orders.us.created", "orders.jp.created", "orders.eu.deleted", "orders.jp.deleted"} {
			w.publish(t, name, name)
		}
		for _, name := range []string{"orders.eu.created", "orders.us.created", "orders.jp.created"} {
			w.wantSubscribed(t, name, "pattern.audit")
			w.settled(t, name, "pattern.audit")
		}
		w.wantSubscribed(t, "orders.jp.deleted")
		got := bodies(w.drain(t, q))
		slices.Sort(got)
		if diff := cmp.Diff([]string{"orders.eu.created", "orders.jp.created", "orders.us.created"}, got); diff != "" {
			t.Errorf("the queue got (-want +got):\n%s", diff)
		}
		// The same once more changes nothing, and needs no task.
		again, created, err := w.PutTopicSubscription(t.Context(), w.tenant, "audit", "orders.*.created", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		must(t, err)
		if _, needed, err := w.PlanSpread(t.Context(), w.tenant, again); created || needed || err != nil || again.ETag != sub.ETag {
			t.Errorf("the same again: created %v, a task is needed %v, %v", created, needed, err)
		}
	})
}

func TestTopicsFollowAChangeOfAPattern(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.topicNamed(t, "a.x", topics.Settings{})
		w.topicNamed(t, "b.x", topics.Settings{})
		q := w.queue(t, "", nil)
		sub := w.wild(t, "wild", "a.*", q)
		before := w.subscription(t, "a.x", "pattern.wild")
		change := func(f func(string, topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error)) {
			t.Helper()
			next, err := w.UpdateTopicSubscription(t.Context(), w.tenant, "wild", topics.Condition{ETag: sub.ETag}, f)
			must(t, err)
			if next.ETag == sub.ETag {
				t.Error("the ETag is the same")
			}
			sub = next
			w.spread(t, sub, tasks.MaxItems)
		}
		// Settings change where the subscription is; it goes on where it was.
		change(func(p string, set topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
			set.Format = topics.Enveloped
			return p, set, nil
		})
		if after := w.subscription(t, "a.x", "pattern.wild"); after.Settings.Format != topics.Enveloped || !after.Created.Equal(before.Created) || after.Settings.Owner.UID != before.Settings.Owner.UID {
			t.Errorf("got %+v", after)
		}
		change(func(_ string, set topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
			return "b.#", set, nil
		})
		w.wantSubscribed(t, "a.x")
		w.wantSubscribed(t, "b.x", "pattern.wild")
		w.publish(t, "a.x", "no")
		w.publish(t, "b.x", "yes")
		w.settled(t, "b.x", "pattern.wild")
		if got := bodies(w.drain(t, q)); len(got) != 1 || !strings.Contains(got[0], "yes") {
			t.Errorf("the queue got %q", got)
		}
		if got := w.sources(t, q); len(got) != 1 {
			t.Errorf("the queue remembers %q", got)
		}
	})
}

func TestADeletedPatternLeavesNothingBehind(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.topicNamed(t, "a.x", topics.Settings{})
		q := w.queue(t, "", nil)
		w.wild(t, "wild", "a.*", q)
		gone, err := w.DeleteTopicSubscription(t.Context(), w.tenant, "wild", topics.Condition{})
		must(t, err)
		if gone.State != topics.Deleting {
			t.Errorf("got %+v", gone)
		}
		w.topicNamed(t, "a.y", topics.Settings{})
		w.wantSubscribed(t, "a.y")
		_, _, err = w.PutTopicSubscription(t.Context(), w.tenant, "wild", "a.*", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		if !errors.Is(err, topics.ErrTopicSubscriptionDeleting) {
			t.Errorf("another one of the name meanwhile: got %v", err)
		}
		w.spread(t, gone, tasks.MaxItems)
		w.wantSubscribed(t, "a.x")
		if _, err := w.GetTopicSubscription(t.Context(), w.tenant, "wild"); !errors.Is(err, topics.ErrTopicSubscriptionNotFound) {
			t.Errorf("got %v", err)
		}
		if got := w.sources(t, q); len(got) != 0 {
			t.Errorf("the queue remembers %q", got)
		}
		w.wild(t, "wild", "a.*", q)
		w.wantSubscribed(t, "a.x", "pattern.wild")
	})
}

// A server dies after each step of a change, and of the creation of a topic. Whoever comes next, a walk or the sweep, finishes it.
func TestWhatACrashLeavesOfAPatternIsFinished(t *testing.T) {
	for _, step := range []string{"pattern stored", "pattern spread", "conformed", "made", "pattern marked", "unsubscribed", "forgotten"} {
		t.Run("after "+step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				w.topicNamed(t, "a.x", topics.Settings{})
				q := w.queue(t, "", nil)
				var crashed atomic.Bool
				w.SetStep(func(done string) error {
					if done == step && crashed.CompareAndSwap(false, true) {
						return errCrash
					}
					return nil
				})
				// try does what a server does until it dies; the next one goes on by the sweep only.
				try := func(f func() error) {
					t.Helper()
					if err := f(); err == nil {
						return
					} else if !errors.Is(err, errCrash) {
						t.Fatal(err)
					}
					must(t, w.another(t).Sweep(t.Context(), w.tenant))
				}
				change := func(f func() (topics.TopicSubscription, error)) {
					t.Helper()
					try(func() error {
						sub, err := f()
						if err != nil {
							return err
						}
						n, needed, err := w.PlanSpread(t.Context(), w.tenant, sub)
						if err != nil || !needed {
							return err
						}
						_, err = w.Spreading().Step(t.Context(), tasks.Work{Params: n.Params, Tenant: w.tenant.String(), Most: tasks.MaxItems})
						return err
					})
				}
				change(func() (topics.TopicSubscription, error) {
					sub, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "wild", "a.*", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
					return sub, err
				})
				w.wantSubscribed(t, "a.x", "pattern.wild")
				try(func() error {
					_, _, err := w.Put(t.Context(), w.tenant, "a.y", topics.Settings{}, topics.Condition{})
					return err
				})
				w.wantSubscribed(t, "a.y", "pattern.wild")
				if got := w.topicSubscription(t, "wild"); got.State != topics.Applied {
					t.Errorf("got %+v", got)
				}
				change(func() (topics.TopicSubscription, error) {
					return w.DeleteTopicSubscription(t.Context(), w.tenant, "wild", topics.Condition{})
				})
				must(t, w.Sweep(t.Context(), w.tenant)) // what a subscription has left of itself is for the next one
				for _, name := range []string{"a.x", "a.y"} {
					w.wantSubscribed(t, name)
				}
				if _, err := w.GetTopicSubscription(t.Context(), w.tenant, "wild"); !errors.Is(err, topics.ErrTopicSubscriptionNotFound) {
					t.Errorf("got %v", err)
				}
				if got := w.sources(t, q); len(got) != 0 {
					t.Errorf("the queue remembers %q", got)
				}
				if !crashed.Load() {
					t.Errorf("no server came to the step")
				}
			})
		})
	}
}

// Another server changes a pattern, and has all topics follow, just when one is about to do what the pattern said before.
func TestNobodyWhoIsLateLeavesWhatAPatternSaidBefore(t *testing.T) {
	for _, c := range []struct {
		name, step string
		want       []string
		meanwhile  func(t *testing.T, other *world, q string)
	}{
		{"a topic is made while a pattern is", "conformed", []string{"pattern.wild"}, func(t *testing.T, other *world, q string) {
			other.wild(t, "wild", "a.*", q)
		}},
		{"a topic is made while its pattern goes", "pattern wanted", nil, func(t *testing.T, other *world, _ string) {
			gone, err := other.DeleteTopicSubscription(t.Context(), other.tenant, "there", topics.Condition{})
			must(t, err)
			other.spread(t, gone, tasks.MaxItems)
		}},
		{"a topic is made while its pattern becomes another", "pattern wanted", nil, func(t *testing.T, other *world, q string) {
			other.wild(t, "there", "b.*", q)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				q := w.queue(t, "", nil)
				if c.want == nil {
					w.wild(t, "there", "a.*", q)
				}
				other, once := w.another(t), true
				w.SetStep(func(done string) error {
					if done == c.step && once {
						once = false
						c.meanwhile(t, other, q)
					}
					return nil
				})
				w.topicNamed(t, "a.x", topics.Settings{})
				w.wantSubscribed(t, "a.x", c.want...)
				if once {
					t.Error("it did not come to the step")
				}
			})
		})
	}
}

// Three servers make and delete topics, change patterns and walk, all at once. In the end each topic has what the patterns say.
func TestTopicsFollowPatternsThatServersChangeAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		q := w.queue(t, "", nil)
		servers := []*world{w, w.another(t), w.another(t)}
		var all sync.WaitGroup
		var gaveWay atomic.Bool
		for i, s := range servers {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			all.Go(func() {
				for range 40 {
					err := s.shuffle(t.Context(), r, q)
					if errs.KindOf(err) == errs.Unavailable { // others came between again and again
						gaveWay.Store(true)
					} else if err != nil {
						t.Errorf("server %d: %v", i, err)
						return
					}
				}
			})
		}
		all.Wait()
		if gaveWay.Load() {
			must(t, w.Sweep(t.Context(), w.tenant))
		}
		// What was asked for last has its walk; a walk that was late has been made good by who was.
		list, _, err := w.ListTopicSubscriptions(t.Context(), w.tenant, "", "", 100)
		must(t, err)
		for _, sub := range list {
			w.spread(t, sub, 3)
		}
		list, _, err = w.ListTopicSubscriptions(t.Context(), w.tenant, "", "", 100)
		must(t, err)
		names, _, err := w.Names(t.Context(), w.tenant, "", "", 100)
		must(t, err)
		for _, name := range names {
			var want []string
			for _, sub := range list {
				if sub.State != topics.Applied {
					t.Errorf("%s is %s", sub.Name, sub.State)
				}
				if topics.Matches(sub.Pattern, name) {
					want = append(want, "pattern."+sub.Name)
				}
			}
			w.wantSubscribed(t, name, want...)
		}
	})
}

// shuffle does one thing by chance.
func (w *world) shuffle(ctx context.Context, r *rand.Rand, queue string) error {
	topic, name := fmt.Sprintf("%c.%d", "ab"[r.IntN(2)], r.IntN(4)), fmt.Sprintf("p%d", r.IntN(3))
	var err error
	var sub topics.TopicSubscription
	switch r.IntN(5) {
	case 0, 1:
		_, _, err = w.Put(ctx, w.tenant, topic, topics.Settings{}, topics.Condition{})
	case 2:
		err = w.Delete(ctx, w.tenant, topic, topics.Condition{})
	case 3:
		sub, _, err = w.PutTopicSubscription(ctx, w.tenant, name, []string{"a.*", "b.#", "*.1"}[r.IntN(3)], topics.SubscriptionSettings{Queue: queue}, topics.Condition{})
	default:
		sub, err = w.DeleteTopicSubscription(ctx, w.tenant, name, topics.Condition{})
	}
	if err == nil && sub.Name != "" {
		n, needed, planErr := w.PlanSpread(ctx, w.tenant, sub)
		if err = planErr; err == nil && needed {
			_, err = w.Spreading().Step(ctx, tasks.Work{Params: n.Params, Tenant: w.tenant.String(), Most: tasks.MaxItems})
		}
	}
	switch errs.KindOf(err) {
	case errs.NotFound, errs.Conflict:
		return nil
	}
	return err
}

func TestASubscriptionThatStemsFromAPatternChangesOnlyWithIt(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.topicNamed(t, "a.x", topics.Settings{})
		q := w.queue(t, "", nil)
		w.wild(t, "wild", "a.*", q)
		_, _, put := w.PutSubscription(t.Context(), w.tenant, "a.x", "pattern.wild", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		_, _, reserved := w.PutSubscription(t.Context(), w.tenant, "a.x", "pattern.other", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		_, patch := w.UpdateSubscription(t.Context(), w.tenant, "a.x", "pattern.wild", topics.Condition{}, func(s topics.SubscriptionSettings) topics.SubscriptionSettings {
			s.Format = topics.Enveloped
			return s
		})
		del := w.DeleteSubscription(t.Context(), w.tenant, "a.x", "pattern.wild", topics.Condition{})
		for what, err := range map[string]error{"put": put, "put of another": reserved, "patch": patch, "delete": del} {
			if !errors.Is(err, topics.ErrOwned) {
				t.Errorf("%s: got %v", what, err)
			}
		}
		if _, err := w.UpdateSubscription(t.Context(), w.tenant, "a.x", "pattern.wild", topics.Condition{}, func(s topics.SubscriptionSettings) topics.SubscriptionSettings { return s }); err != nil {
			t.Errorf("a change to what it is: %v", err)
		}
		// It can be held up, where it is.
		_, err := w.PauseSubscription(t.Context(), w.tenant, "a.x", "pattern.wild")
		must(t, err)
		w.publish(t, "a.x", "x")
		w.wantBodies(t, q, nil)
		_, err = w.ResumeSubscription(t.Context(), w.tenant, "a.x", "pattern.wild")
		must(t, err)
		w.settled(t, "a.x", "pattern.wild")
		w.wantBodies(t, q, []string{"x"})
		for _, name := range []string{"pattern.none", "pattern.", "pattern.a.b", "~x", ""} {
			if _, err := w.GetSubscription(t.Context(), w.tenant, "a.x", name); !errors.Is(err, topics.ErrSubscriptionNotFound) {
				t.Errorf("%q: got %v", name, err)
			}
		}
	})
}

func TestTopicsThatCannotFollowAreNamed(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		q := w.queue(t, "", nil)
		_, err := w.tenants.Update(t.Context(), w.name(t), tenants.Condition{}, func(s tenants.Settings) (tenants.Settings, error) {
			s.Limits[tenants.LimitSubscriptions] = 1
			return s, nil
		})
		must(t, err)
		w.topicNamed(t, "a.full", topics.Settings{})
		w.subscribe(t, "a.full", "own", topics.SubscriptionSettings{Queue: q})
		w.topicNamed(t, "a.room", topics.Settings{})
		sub, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "first", "a.*", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
		must(t, err)
		if res := w.spread(t, sub, tasks.MaxItems); res.Done != 1 || res.Failed != 1 {
			t.Errorf("the task did %+v", res)
		}
		w.wild(t, "second", "b.*", q)
		w.wild(t, "third", "b.#", q)
		w.topicNamed(t, "b.new", topics.Settings{}) // is made all the same
		for name, topic := range map[string]string{"first": "a.full", "third": "b.new"} {
			got := w.topicSubscription(t, name)
			if got.State != topics.Applied || got.Failed != 1 || len(got.Failures) != 1 || got.Failures[0].Topic != topic || got.Failures[0].Code != "quota_exceeded" {
				t.Errorf("%s: got %+v", name, got)
			}
		}
		w.wantSubscribed(t, "b.new", "pattern.second")
		// Once there is room, the sweep sees to it.
		must(t, w.DeleteSubscription(t.Context(), w.tenant, "a.full", "own", topics.Condition{}))
		must(t, w.Sweep(t.Context(), w.tenant))
		w.wantSubscribed(t, "a.full", "pattern.first")
		if got := w.topicSubscription(t, "first"); got.Failed != 0 || got.Failures != nil {
			t.Errorf("got %+v", got)
		}
	})
}

// name returns the name of the tenant.
func (w *world) name(tb testing.TB) string {
	tb.Helper()
	tn, err := w.tenants.ByID(tb.Context(), w.tenant)
	must(tb, err)
	return tn.Name
}

func TestAPatternToATopicLeadsNotRound(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, name := range []string{"audit", "orders", "users"} {
			w.topicNamed(t, name, topics.Settings{})
		}
		sub, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "all", "#", topics.SubscriptionSettings{Topic: "audit"}, topics.Condition{})
		must(t, err)
		w.spread(t, sub, tasks.MaxItems)
		w.wantSubscribed(t, "audit") // not from itself
		w.wantSubscribed(t, "orders", "pattern.all")
		other, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "ring", "*", topics.SubscriptionSettings{Topic: "orders"}, topics.Condition{})
		must(t, err)
		w.spread(t, other, tasks.MaxItems)
		w.wantSubscribed(t, "audit")
		w.wantSubscribed(t, "users", "pattern.all", "pattern.ring")
		got := w.topicSubscription(t, "ring")
		if got.Failed != 1 || got.Failures[0].Topic != "audit" || !strings.Contains(got.Failures[0].Message, "go round") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestTopicSubscriptionsThatAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		q, fifo := w.queue(t, "", nil), w.queue(t, ".fifo", nil)
		set := topics.SubscriptionSettings{Queue: q}
		for what, c := range map[string]struct {
			name, pattern string
			set           topics.SubscriptionSettings
			kind          errs.Kind
		}{
			"a name with a dot":                     {"a.b", "a.*", set, errs.Invalid},
			"no wildcard":                           {"a", "a.b", set, errs.Invalid},
			"nowhere":                               {"a", "a.*", topics.SubscriptionSettings{}, errs.Invalid},
			"a queue that is not there":             {"a", "a.*", topics.SubscriptionSettings{Queue: "none"}, errs.Invalid},
			"a topic that is not there":             {"a", "a.*", topics.SubscriptionSettings{Topic: "none"}, errs.Invalid},
			"a FIFO queue for standard topics":      {"a", "a.*", topics.SubscriptionSettings{Queue: fifo}, errs.Invalid},
			"a wrong filter":                        {"a", "a.*", topics.SubscriptionSettings{Queue: q, FilterPolicy: `{"a":1}`}, errs.Invalid},
			"a dead-letter queue that is not there": {"a", "a.*", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: "none"}, errs.Invalid},
		} {
			if _, _, err := w.PutTopicSubscription(t.Context(), w.tenant, c.name, c.pattern, c.set, topics.Condition{}); errs.KindOf(err) != c.kind {
				t.Errorf("%s: got %v", what, err)
			}
		}
		// FIFO topics may lead to both kinds of queues.
		w.topicNamed(t, "a.x.fifo", topics.Settings{})
		w.wild(t, "one", "a.*.fifo", fifo)
		w.wild(t, "two", "a.*.fifo", q)
		w.wantSubscribed(t, "a.x.fifo", "pattern.one", "pattern.two")
		w.publish(t, "a.x.fifo", "1", "2")
		w.settled(t, "a.x.fifo", "pattern.one", "pattern.two")
		w.wantBodies(t, q, []string{"1", "2"})
		for what, change := range map[string]func(string, topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error){
			"another queue": func(p string, s topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
				s.Queue = q
				return p, s, nil
			},
			"standard topics": func(_ string, s topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
				return "a.*", s, nil
			},
		} {
			if _, err := w.UpdateTopicSubscription(t.Context(), w.tenant, "one", topics.Condition{}, change); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: got %v", what, err)
			}
		}
		have := w.topicSubscription(t, "one")
		for what, cond := range map[string]topics.Condition{"another ETag": {ETag: "x"}, "none": {Missing: true}} {
			if _, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "one", have.Pattern, have.Settings, cond); !errors.Is(err, topics.ErrTopicSubscriptionPrecondition) {
				t.Errorf("with %s: got %v", what, err)
			}
		}
		if _, err := w.DeleteTopicSubscription(t.Context(), w.tenant, "one", topics.Condition{ETag: "x"}); !errors.Is(err, topics.ErrTopicSubscriptionPrecondition) {
			t.Errorf("a deletion of another: got %v", err)
		}
		if _, err := w.DeleteTopicSubscription(t.Context(), w.tenant, "none", topics.Condition{}); !errors.Is(err, topics.ErrTopicSubscriptionNotFound) {
			t.Errorf("a deletion of none: got %v", err)
		}
	})
}

func TestATenantHasAHundredTopicSubscriptions(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		q := w.queue(t, "", nil)
		put := func(i int) error {
			_, _, err := w.PutTopicSubscription(t.Context(), w.tenant, fmt.Sprintf("p%03d", i), "a.*", topics.SubscriptionSettings{Queue: q}, topics.Condition{})
			return err
		}
		for i := range topics.MaxTopicSubscriptions {
			must(t, put(i))
		}
		if err := put(topics.MaxTopicSubscriptions); !errors.Is(err, topics.ErrTopicSubscriptionQuota) {
			t.Errorf("one more: got %v", err)
		}
		must(t, put(7)) // what is there stays
		page, next, err := w.ListTopicSubscriptions(t.Context(), w.tenant, "p0", "p009", 10)
		must(t, err)
		if len(page) != 10 || page[0].Name != "p010" || next != "p019" {
			t.Errorf("a page of %d from %s on, then %q", len(page), page[0].Name, next)
		}
		w.topicNamed(t, "a.x", topics.Settings{})
		if n := len(w.subscribed(t, "a.x")); n != topics.MaxTopicSubscriptions {
			t.Errorf("the topic has %d subscriptions", n)
		}
		// Another tenant has none of it.
		other := *w
		other.tenant = w.newTenant(t)
		if list, _, err := other.ListTopicSubscriptions(t.Context(), other.tenant, "", "", 100); err != nil || len(list) != 0 {
			t.Errorf("the other tenant has %d, %v", len(list), err)
		}
		other.topicNamed(t, "a.x", topics.Settings{})
		other.wantSubscribed(t, "a.x")
		must(t, w.ForgetTopicSubscriptions(t.Context(), w.tenant))
		if n, err := w.engine.Single().Exists(t.Context(), engine.TenantKey(w.tenant.String(), "topic-subscriptions")).Result(); n != 0 || err != nil {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}

// A queue that is gone holds up nothing: the subscription is broken until there is one again.
func TestAPatternOutlivesItsQueue(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		q := w.queue(t, "", nil)
		w.wild(t, "wild", "a.*", q)
		must(t, w.queues.Delete(t.Context(), w.tenant, q, queues.Condition{}))
		w.topicNamed(t, "a.x", topics.Settings{})
		w.publish(t, "a.x", "lost")
		w.settled(t, "a.x", "pattern.wild")
		if s := w.subscription(t, "a.x", "pattern.wild"); s.State != topics.Broken || s.Dropped != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// What is stored of a topic subscription is damaged. Topics are made and follow the others all the same, what it has subscribed stays,
// who asks is told, and who deletes it and makes it again gets what is published again. Another tenant sees nothing of it.
func TestADamagedPatternStopsNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		db := w.engine.Single()
		for _, how := range []string{"{", "", `{"uid":"x","v":"one"}`, `{"uid":"u","version":1}`, `{}`} {
			w.tenant = w.newTenant(t)
			other := *w
			other.tenant = w.newTenant(t)
			before, q, sound := w.topicNamed(t, "a.before", topics.Settings{}), w.queue(t, "", nil), w.queue(t, "", nil)
			w.wild(t, "ill", "a.*", q)
			w.wild(t, "sound", "a.*", sound)
			must(t, db.HSet(t.Context(), topics.PatternsKey(w.tenant), "ill", how).Err())

			second := w.another(t)
			after := second.topicNamed(t, "a.after", topics.Settings{})
			must(t, second.Sweep(t.Context(), w.tenant))
			w.wantSubscribed(t, before, "pattern.ill", "pattern.sound")
			w.wantSubscribed(t, after, "pattern.sound")
			w.publish(t, before, "one")
			w.settled(t, before, "pattern.ill", "pattern.sound")
			if got := [2]int{len(w.drain(t, q)), len(w.drain(t, sound))}; got != [2]int{1, 1} {
				t.Errorf("%q: they got %v messages", how, got)
			}
			elsewhere := other.topicNamed(t, "a.x", topics.Settings{})
			other.wantSubscribed(t, elsewhere)

			list, _, err := w.ListTopicSubscriptions(t.Context(), w.tenant, "", "", 100)
			must(t, err)
			if len(list) != 2 || list[0].State != topics.Damaged || list[1].State != topics.Applied {
				t.Errorf("%q: it lists %+v", how, list)
			}
			set := topics.SubscriptionSettings{Queue: q}
			_, _, put := w.PutTopicSubscription(t.Context(), w.tenant, "ill", "a.*", set, topics.Condition{})
			_, update := w.UpdateTopicSubscription(t.Context(), w.tenant, "ill", topics.Condition{}, func(string, topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
				return "b.*", set, nil
			})
			_, _, matching := w.MatchingTopics(t.Context(), w.tenant, "ill", "", 10)
			_, signing := w.TopicSubscriptionSigning(t.Context(), w.tenant, "ill")
			_, rotated := w.RotateTopicSubscription(t.Context(), w.tenant, "ill", func(topics.Signing) (string, error) { return "s", nil })
			for what, err := range map[string]error{"replaced": put, "changed": update, "matched": matching, "shown": signing, "rotated": rotated} {
				if !errors.Is(err, topics.ErrTopicSubscriptionDamaged) {
					t.Errorf("%q is %s: %v", how, what, err)
				}
			}
			if _, err := w.DeleteTopicSubscription(t.Context(), w.tenant, "ill", topics.Condition{ETag: "another"}); !errors.Is(err, topics.ErrTopicSubscriptionPrecondition) {
				t.Errorf("%q is deleted beside its ETag: %v", how, err)
			}
			gone, err := w.DeleteTopicSubscription(t.Context(), w.tenant, "ill", topics.Condition{ETag: list[0].ETag})
			must(t, err)
			w.spread(t, gone, tasks.MaxItems)
			w.wantSubscribed(t, before, "pattern.sound")
			w.wild(t, "ill", "a.*", q)
			w.wantSubscribed(t, before, "pattern.ill", "pattern.sound")
			w.wantSubscribed(t, after, "pattern.ill", "pattern.sound")
		}
	})
}
