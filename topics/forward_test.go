package topics_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// forward has a topic forward to another one, by a subscription of the other's name without dots.
func (w *world) forward(tb testing.TB, from, to string) string {
	tb.Helper()
	name := strings.ReplaceAll(to, ".", "-")
	w.subscribe(tb, from, name, topics.SubscriptionSettings{Topic: to})
	return name
}

// collected makes a queue that gets what a topic does.
func (w *world) collected(tb testing.TB, topic, suffix string) string {
	tb.Helper()
	q := w.queue(tb, suffix, nil)
	w.subscribe(tb, topic, "collected", topics.SubscriptionSettings{Queue: q})
	return q
}

func (w *world) wholeLog(tb testing.TB, topic string) []topics.Logged {
	tb.Helper()
	page, err := w.Read(tb.Context(), w.tenant, topic, topics.ReadOptions{Limit: topics.MaxRead})
	must(tb, err)
	return page.Messages
}

func TestAForwardedMessageIsAsItWasPublished(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, to := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{Retention: time.Hour})
		name := w.forward(t, from, to)
		q := w.collected(t, to, "")
		m := queues.Outgoing{Body: []byte("\xff<b>"), ContentType: "image/png", GroupID: "g7", TraceParent: "00-1-2-01", Subject: "about", HTTP: "for http", HTTPS: "for https",
			Attributes: []queues.Attribute{{Name: "Kind", Type: "String", Value: "x"}}}
		sent, err := w.Publish(t.Context(), w.tenant, from, m)
		must(t, err)
		w.settled(t, from, name)
		w.settled(t, to, "collected")
		m.Hops = 1
		want := []topics.Logged{{ID: sent.ID, Message: m}}
		got := w.wholeLog(t, to)
		for i := range got {
			got[i].Sequence, got[i].PublishedAt = 0, time.Time{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in the other topic (-want +got):\n%s", diff)
		}
		if got := w.drain(t, q); len(got) != 1 || got[0].Body != "\xff<b>" || got[0].GroupID != "g7" || got[0].Hops != 1 {
			t.Errorf("its queue got %+v", got)
		}
		if s := w.subscription(t, from, name); s.Delivered != 1 || s.Settings.Topic != to || s.Settings.Queue != "" || s.LastError != nil {
			t.Errorf("the subscription says %+v", s)
		}
	})
}

func TestFiltersHoldOnEachStepOfTheWay(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, to := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
		policy := func(s topics.SubscriptionSettings, text string) topics.SubscriptionSettings {
			s.FilterScope, s.FilterPolicy = filter.Body, text
			return s
		}
		q := w.queue(t, "", nil)
		w.subscribe(t, from, "on", policy(topics.SubscriptionSettings{Topic: to}, `{"n":[{"numeric":[">",1]}]}`))
		w.subscribe(t, to, "q", policy(topics.SubscriptionSettings{Queue: q}, `{"n":[{"numeric":["<",4]}]}`))
		w.publish(t, from, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`)
		w.settled(t, from, "on")
		w.settled(t, to, "q")
		w.wantBodies(t, q, []string{`{"n":2}`, `{"n":3}`})
		if s := w.subscription(t, from, "on"); s.Delivered != 3 || s.FilteredOut != 1 {
			t.Errorf("the subscription says %+v", s)
		}
	})
}

// A FIFO topic keeps the order of each group on the way through other FIFO topics, and the deduplication ids, by which nobody
// looks a second time: two messages with one id, the second published after the time of the first, both arrive.
func TestG13_AForwardingFIFOTopicKeepsTheOrderOfEachGroup(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from := w.fifo(t, topics.Settings{ContentBased: true})
		middle, standard := w.fifo(t, topics.Settings{}), w.topic(t, topics.Settings{Retention: time.Hour})
		on, aside := w.forward(t, from, middle), w.forward(t, middle, standard)
		q := w.collected(t, middle, ".fifo")
		other := w.another(t)
		for _, server := range []*world{w, other} { // either may carry, and hears of what the other one publishes
			server.listen(t)
		}
		want := map[string][]string{}
		var ids []string
		for i := range 60 {
			server := []*world{w, other}[i%2]
			m := queues.Outgoing{Body: fmt.Append(nil, "m", i), GroupID: fmt.Sprint("g", i%5), DeduplicationID: fmt.Sprint("d", i%30)}
			if i%30 < 10 {
				m.DeduplicationID = ""
			}
			if i == 30 {
				w.clock.Advance(6 * time.Minute)
			}
			_, err := server.Publish(t.Context(), w.tenant, from, m)
			must(t, err)
			want[m.GroupID] = append(want[m.GroupID], string(m.Body))
			if ids = append(ids, m.DeduplicationID); m.DeduplicationID == "" {
				ids[i] = queues.ContentID(m.Body)
			}
		}
		must(t, other.Tend(t.Context()))
		w.settled(t, from, on)
		w.settled(t, middle, "collected", aside)
		got, gotIDs := map[string][]string{}, make([]string, len(ids))
		for _, m := range w.drain(t, q) {
			got[m.GroupID] = append(got[m.GroupID], m.Body)
			n := 0
			_, err := fmt.Sscanf(m.Body, "m%d", &n)
			must(t, err)
			gotIDs[n] = m.DeduplicationID
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("behind two topics (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(ids, gotIDs); diff != "" {
			t.Errorf("deduplication ids (-want +got):\n%s", diff)
		}
		for i, l := range w.wholeLog(t, standard) {
			if l.Message.DeduplicationID != "" || l.Message.GroupID == "" || string(l.Message.Body) != fmt.Sprint("m", i) {
				t.Errorf("message %d of the standard topic is %+v", i, l.Message)
			}
		}
	})
}

func TestForwardingToATopicThatIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		var chain []string // each forwards to the one before
		for i := range topics.MaxHops + 1 {
			chain = append(chain, w.topic(t, topics.Settings{}))
			if i > 0 {
				w.forward(t, chain[i], chain[i-1])
			}
		}
		fifo := w.fifo(t, topics.Settings{})
		q := w.queue(t, "", nil)
		stranger := *w
		stranger.tenant = w.newTenant(t)
		foreign := stranger.topic(t, topics.Settings{})
		for what, test := range map[string]struct {
			from    string
			set     topics.SubscriptionSettings
			pointer string
		}{
			"itself":                      {chain[0], topics.SubscriptionSettings{Topic: chain[0]}, "/target_topic"},
			"a ring of two":               {chain[0], topics.SubscriptionSettings{Topic: chain[1]}, "/target_topic"},
			"the longest ring":            {chain[0], topics.SubscriptionSettings{Topic: chain[topics.MaxHops]}, "/target_topic"},
			"a chain of nine":             {w.topic(t, topics.Settings{}), topics.SubscriptionSettings{Topic: chain[topics.MaxHops]}, "/target_topic"},
			"a FIFO topic":                {chain[0], topics.SubscriptionSettings{Topic: fifo}, "/target_topic"},
			"no topic":                    {chain[0], topics.SubscriptionSettings{Topic: "nowhere"}, "/target_topic"},
			"no name":                     {chain[0], topics.SubscriptionSettings{Topic: "a..b"}, "/target_topic"},
			"another tenant's":            {chain[0], topics.SubscriptionSettings{Topic: foreign}, "/target_topic"},
			"an envelope":                 {fifo, topics.SubscriptionSettings{Topic: chain[0], Format: topics.Enveloped}, "/format"},
			"both":                        {fifo, topics.SubscriptionSettings{Topic: chain[0], Queue: q}, "/target_topic"},
			"a queue with a topic's name": {fifo, topics.SubscriptionSettings{Queue: queues.TopicTarget(chain[0])}, "/queue"},
		} {
			_, _, err := w.PutSubscription(t.Context(), w.tenant, test.from, "refused", test.set, topics.Condition{})
			e, ok := errors.AsType[*errs.Error](err)
			if !ok || e.Code != "validation_failed" || len(e.Fields) != 1 || e.Fields[0].Pointer != test.pointer {
				t.Errorf("%s: got %v, want it refused at %s", what, err, test.pointer)
			}
			if _, err := w.GetSubscription(t.Context(), w.tenant, test.from, "refused"); !errors.Is(err, topics.ErrSubscriptionNotFound) {
				t.Errorf("%s was refused and is there: %v", what, err)
			}
		}
		// What leads to a topic stays so.
		name := w.forward(t, fifo, chain[0])
		for what, set := range map[string]topics.SubscriptionSettings{"a queue": {Queue: q}, "another topic": {Topic: chain[1]}} {
			if _, _, err := w.PutSubscription(t.Context(), w.tenant, fifo, name, set, topics.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("to %s instead: %v", what, err)
			}
		}
		// A message goes all the way along the longest chain.
		end := w.collected(t, chain[0], "")
		w.publish(t, chain[topics.MaxHops], "m")
		for i := topics.MaxHops; i > 0; i-- {
			w.settled(t, chain[i], chain[i-1])
		}
		w.settled(t, chain[0], "collected")
		w.wantBodies(t, end, []string{"m"})
	})
}

// A ring can come about by two changes at the same time.
func TestAMessageInARingOfTopicsComesToRest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		a, b := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
		for from, to := range map[string]string{a: b, b: a} {
			_, err := w.Subscribe(t.Context(), w.tenant, from, "on", topics.SubscriptionSettings{Topic: to}) // which looks at nothing
			must(t, err)
		}
		w.publish(t, a, "m")
		until(t, "the message goes no further", func() bool { return w.subscription(t, a, "on").Failed == 1 })
		s := w.subscription(t, a, "on")
		if s.Delivered != topics.MaxHops/2 || s.Lag != 0 || s.State != topics.Active || s.LastError == nil || s.LastError.Code != topics.ErrTooManyHops.Code {
			t.Errorf("the subscription says %+v", s)
		}
		w.settled(t, b, "on") // which says so after the message is there, and a may be quicker
		if s := w.subscription(t, b, "on"); s.Delivered != topics.MaxHops/2 || s.Failed != 0 {
			t.Errorf("the other says %+v", s)
		}
	})
}

// A topic that is deleted is as a queue that is: what is published meanwhile is dropped, and a new one of its name takes its
// place.
func TestForwardingToADeletedTopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, to := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
		q := w.queue(t, "", nil)
		w.subscribe(t, from, "q", topics.SubscriptionSettings{Queue: q})
		on := w.forward(t, from, to)
		must(t, w.Delete(t.Context(), w.tenant, to, topics.Condition{}))
		w.publish(t, from, "lost")
		w.settled(t, from, "q", on)
		if s := w.subscription(t, from, on); s.State != topics.Broken || s.Dropped != 1 || s.LastError.Code != "topic_not_found" {
			t.Errorf("without its topic the subscription says %+v", s)
		}
		w.topicNamed(t, to, topics.Settings{})
		end := w.collected(t, to, "")
		w.publish(t, from, "found")
		w.settled(t, from, "q", on)
		w.settled(t, to, "collected")
		w.wantBodies(t, end, []string{"found"})
		if s := w.subscription(t, from, on); s.State != topics.Active || s.LastError == nil {
			t.Errorf("with a new topic the subscription says %+v", s)
		}
		// A subscription that ends, and a topic that is deleted, leave nothing behind in the other topic.
		other := w.topic(t, topics.Settings{})
		w.forward(t, other, to)
		w.publish(t, other, "x")
		w.settled(t, other, to)
		if got := w.broughtTo(t, to); len(got) != 2 {
			t.Errorf("the topic remembers %q, want two sources", got)
		}
		must(t, w.DeleteSubscription(t.Context(), w.tenant, from, on, topics.Condition{}))
		must(t, w.Delete(t.Context(), w.tenant, other, topics.Condition{}))
		if got := w.broughtTo(t, to); len(got) != 0 {
			t.Errorf("the topic remembers %q", got)
		}
	})
}

// broughtTo are the sources that a topic remembers.
func (w *world) broughtTo(tb testing.TB, topic string) []string {
	tb.Helper()
	_, uid, err := w.Keys(tb.Context(), w.tenant, topic)
	must(tb, err)
	fields, err := w.engine.Single().HKeys(tb.Context(), engine.Key(w.tenant.String(), uid, "th")).Result()
	must(tb, err)
	return slices.DeleteFunc(fields, func(f string) bool { return f[0] != 'S' })
}

// The server that carries dies after each of its steps, and another one goes on: all arrives behind two topics, and nothing twice.
func TestG12_AServerDiesAfterEachStepOfForwarding(t *testing.T) {
	for _, step := range []string{"entered", "carrying", "delivered", "advanced", "rested"} {
		for _, time1 := range []int{1, 2, 3} { // in the first topic, in the second
			t.Run(fmt.Sprint(step, " ", time1), func(t *testing.T) {
				engines(t, func(t *testing.T, w *world) {
					from, to := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
					on, q := w.forward(t, from, to), w.collected(t, to, "")
					var died atomic.Bool
					var times atomic.Int32
					w.SetStep(func(done string) error {
						if done == step && times.Add(1) >= int32(time1) {
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
					if _, err := w.PublishBatch(t.Context(), w.tenant, from, list, true); err != nil {
						other.publish(t, from, want...)
					}
					all := func() bool {
						return w.subscription(t, from, on).Lag == 0 && w.subscription(t, to, "collected").Lag == 0 && w.subscription(t, to, "collected").Delivered > 0
					}
					for deadline := time.Now().Add(2 * time.Second); !died.Load() && (!all() || time.Now().Before(deadline)); time.Sleep(time.Millisecond) {
						w.clock.Advance(3 * time.Second)
						must(t, w.Tend(t.Context()))
					}
					until(t, "the other one has carried on", func() bool {
						w.clock.Advance(3 * time.Second)
						must(t, other.Tend(t.Context()))
						return all()
					})
					w.wantBodies(t, q, want)
				})
			})
		}
	}
}

// Two servers publish and carry through a topic in the middle, and one of them mostly fails between two steps.
func TestG12_AllIsForwardedOnceWhateverFailsBetween(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, middle := w.topic(t, topics.Settings{}), []string{w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})}
		end := w.topic(t, topics.Settings{})
		var ways [][2]string
		for _, m := range middle {
			ways = append(ways, [2]string{from, w.forward(t, from, m)}, [2]string{m, w.forward(t, m, end)})
		}
		q := w.collected(t, end, "")
		ways = append(ways, [2]string{end, "collected"})
		other := w.another(t)
		w.listen(t)
		other.listen(t)
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(3, 4))
		other.SetStep(func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if rng.IntN(3) == 0 {
				return errCrash
			}
			return nil
		})
		var want []string
		for i := range 150 {
			server := []*world{w, other}[i%2]
			for {
				if _, err := server.Publish(t.Context(), w.tenant, from, queues.Outgoing{Body: fmt.Append(nil, "m", i)}); err == nil {
					break
				}
			}
			want = append(want, fmt.Sprint("m", i), fmt.Sprint("m", i)) // it comes both ways
			w.clock.Advance(time.Duration(i%7) * 100 * time.Millisecond)
		}
		other.SetStep(func(string) error { return nil })
		until(t, "all is carried", func() bool {
			w.clock.Advance(time.Second)
			must(t, w.Tend(t.Context()))
			must(t, other.Tend(t.Context()))
			return !slices.ContainsFunc(ways, func(s [2]string) bool { return w.subscription(t, s[0], s[1]).Lag != 0 })
		})
		got := bodies(w.drain(t, q))
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("behind the last topic (-want +got):\n%s", diff)
		}
	})
}

// Where a tenant may store no more a message waits in the first topic, and arrives when there is room.
func TestForwardingWaitsForRoom(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.mayStore(t, 1<<20)
		from, to := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{})
		on, q := w.forward(t, from, to), w.collected(t, to, "")
		_, err := w.PauseSubscription(t.Context(), w.tenant, to, "collected")
		must(t, err)
		_, err = w.PauseSubscription(t.Context(), w.tenant, from, on)
		must(t, err)
		body := func(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", 20_000)) }
		var want []string
		for i := 0; ; i++ {
			_, err := w.Publish(t.Context(), w.tenant, from, queues.Outgoing{Body: []byte(body(i))})
			if tenants.IsStorageFull(err) {
				break
			}
			must(t, err)
			want = append(want, body(i))
		}
		_, err = w.ResumeSubscription(t.Context(), w.tenant, from, on)
		must(t, err)
		until(t, "the subscription waits for room", func() bool {
			w.clock.Advance(time.Minute)
			s := w.subscription(t, from, on)
			return s.State == topics.Retrying && s.LastError.Code == "storage_full" && s.Delivered > 0
		})
		_, err = w.ResumeSubscription(t.Context(), w.tenant, to, "collected")
		must(t, err)
		var got []string
		until(t, "all has arrived", func() bool {
			w.clock.Advance(time.Minute)
			got = append(got, bodies(w.drain(t, q))...)
			return len(got) >= len(want)
		})
		if !slices.Equal(got, want) {
			t.Errorf("got %d messages in another order than the %d that were published", len(got), len(want))
		}
	})
}

func TestAReplayToATopic(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		from, to := w.topic(t, topics.Settings{Retention: time.Hour}), w.topic(t, topics.Settings{})
		on, q := w.forward(t, from, to), w.collected(t, to, "")
		want := numbered(150)
		w.publish(t, from, want...)
		w.settled(t, from, on)
		w.settled(t, to, "collected")
		w.drain(t, q)
		n, err := w.PlanReplay(t.Context(), w.tenant, from, on, topics.ReplayOptions{})
		must(t, err)
		work := tasks.Work{Task: tasks.Task{ID: "task_x"}, Params: n.Params, Tenant: w.tenant.String(), Most: 100}
		kind := w.Replaying()
		for again := 0; ; again++ {
			got, err := kind.Step(t.Context(), work)
			must(t, err)
			if again == 0 {
				continue // a step that is made again stores nothing twice
			}
			if work.State = got.State; got.Finished {
				break
			}
		}
		must(t, kind.End(t.Context(), work))
		w.settled(t, to, "collected")
		w.wantBodies(t, q, want)
		if got := w.broughtTo(t, to); len(got) != 1 {
			t.Errorf("the topic remembers %q, want the subscription only", got)
		}
	})
}
