package topics_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// damage spoils messages of a topic's log, in each way in which one is read: no record, one that is too short, and one that
// makes no sense.
func (w *world) damage(tb testing.TB, topic string, places ...int) {
	tb.Helper()
	keys, _, err := w.Keys(tb.Context(), w.tenant, topic)
	must(tb, err)
	all, err := w.engine.Single().ZRange(tb.Context(), keys[2], 0, -1).Result() // the sentinel is the last one
	must(tb, err)
	for i, place := range places {
		switch i % 3 {
		case 0:
			must(tb, w.engine.Single().HSet(tb.Context(), keys[1], all[place], "twelve bytes, and no record").Err())
		case 1:
			must(tb, w.engine.Single().HSet(tb.Context(), keys[1], all[place], "short").Err())
		default:
			must(tb, w.engine.Single().HDel(tb.Context(), keys[1], all[place]).Err())
		}
	}
}

// replay brings what a topic keeps once more, and returns when that has come to its end.
func (w *world) replay(tb testing.TB, topic, name string) {
	tb.Helper()
	n, err := w.PlanReplay(tb.Context(), w.tenant, topic, name, topics.ReplayOptions{})
	must(tb, err)
	work := tasks.Work{Task: tasks.Task{ID: "task_x"}, Params: n.Params, Tenant: w.tenant.String(), Most: 100}
	for range 10 {
		got, err := w.Replaying().Step(tb.Context(), work)
		must(tb, err)
		if work.State = got.State; got.Finished {
			return
		}
	}
	tb.Fatal("the replay does not end")
}

// Messages are damaged in the log before they were carried, by a server that is gone. Another one carries the others, whatever
// filter policy a subscription has, and says of each what it could not.
func TestADamagedMessageStopsNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: 24 * time.Hour})
		all, some, none := w.queue(t, "", nil), w.queue(t, "", nil), w.queue(t, "", nil)
		for _, name := range []string{"all", "some", "none"} {
			policy := map[string]string{"some": `{"n":[3,4]}`, "none": `{"n":[9]}`}[name]
			set := topics.SubscriptionSettings{Queue: map[string]string{"all": all, "some": some, "none": none}[name], FilterPolicy: policy}
			if policy != "" {
				set.FilterScope = filter.Body
			}
			w.subscribe(t, tp, name, set)
			_, err := w.PauseSubscription(t.Context(), w.tenant, tp, name)
			must(t, err)
		}
		published := w.publish(t, tp, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`)
		w.Stop()
		w.damage(t, tp, 0, 2, 4)
		second := w.another(t)
		for _, name := range []string{"all", "some", "none"} {
			_, err := second.ResumeSubscription(t.Context(), w.tenant, tp, name)
			must(t, err)
		}
		until(t, "all is carried", func() bool {
			w.clock.Advance(time.Second) // until the first server's lease is over
			must(t, second.Tend(t.Context()))
			return !slices.ContainsFunc([]string{"all", "some", "none"}, func(name string) bool { return second.subscription(t, tp, name).Lag > 0 })
		})
		for queue, want := range map[string][]string{all: {`{"n":2}`, `{"n":4}`}, some: {`{"n":4}`}, none: {}} {
			if got := bodies(second.drain(t, queue)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		for name, want := range map[string][2]int64{"all": {2, 0}, "some": {1, 1}, "none": {0, 2}} {
			s := second.subscription(t, tp, name)
			if got := [2]int64{s.Delivered, s.FilteredOut}; got != want || s.Failed != 3 || s.Dropped != 0 || s.State != topics.Active || s.LastError == nil || s.LastError.Code != "message_damaged" {
				t.Errorf("%s: %+v, last error %+v", name, s, s.LastError)
			}
		}
		if n := second.SetAside(); n != 9 {
			t.Errorf("%d were counted, want 9", n)
		}
		// Later ones are carried as ever, and what was noted stays until then.
		second.publish(t, tp, `{"n":3}`)
		second.settled(t, tp, "all", "some", "none")
		if got := bodies(second.drain(t, some)); !slices.Equal(got, []string{`{"n":3}`}) {
			t.Errorf("afterwards it got %q", got)
		}
		// Who reads the log gets the others, also in small steps, and so does a replay.
		var got []string
		after := published[0].Sequence - 1
		for range 10 {
			page, err := second.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{After: &after}, Limit: 1})
			must(t, err)
			for _, m := range page.Messages {
				got = append(got, string(m.Message.Body))
			}
			after = page.Next
		}
		if want := []string{`{"n":2}`, `{"n":4}`, `{"n":3}`}; !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
		second.replay(t, tp, "all")
		if got, want := bodies(second.drain(t, all)), []string{`{"n":3}`, `{"n":2}`, `{"n":4}`, `{"n":3}`}; !slices.Equal(got, want) {
			t.Errorf("with the replay %q, want %q", got, want)
		}
	})
}

// Pages of the log in which nothing can be read are passed by, too.
func TestDamagedPagesArePassedBy(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{Retention: time.Hour}), w.queue(t, "", nil)
		w.subscribe(t, tp, "a", topics.SubscriptionSettings{Queue: q})
		_, err := w.PauseSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		n := 2*topics.MaxRead + 1
		w.publish(t, tp, numbered(n)...)
		var places []int
		for i := range n - 1 {
			places = append(places, i)
		}
		w.damage(t, tp, places...)
		_, err = w.ResumeSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.settled(t, tp, "a")
		last := numbered(n)[n-1:]
		if got := bodies(w.drain(t, q)); !slices.Equal(got, last) {
			t.Errorf("got %q, want %q", got, last)
		}
		page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Limit: topics.MaxRead})
		must(t, err)
		if len(page.Messages) != 1 || string(page.Messages[0].Message.Body) != last[0] {
			t.Errorf("read %v", page.Messages)
		}
		w.replay(t, tp, "a")
		if got := bodies(w.drain(t, q)); !slices.Equal(got, last) {
			t.Errorf("the replay brought %q, want %q", got, last)
		}
	})
}

// What a queue refuses and what is damaged are told apart, and the dead-letter queue gets the one that can be read.
func TestADamagedMessageIsNoDeadLetter(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead := w.topic(t, topics.Settings{Retention: time.Hour}), w.queue(t, "", nil)
		q := w.queue(t, "", nil)
		w.subscribe(t, tp, "a", topics.SubscriptionSettings{Queue: q, DeadLetterQueue: dead})
		_, err := w.PauseSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.publish(t, tp, "one", "two", "three")
		w.damage(t, tp, 1)
		w.deleteQueue(t, q)
		_, err = w.ResumeSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.settled(t, tp, "a")
		if got := bodies(w.drain(t, dead)); !slices.Equal(got, []string{"one", "three"}) {
			t.Errorf("the dead-letter queue got %q", got)
		}
		if s := w.subscription(t, tp, "a"); s.Failed != 3 || s.Dropped != 0 || s.FilteredOut != 0 {
			t.Errorf("it counts %+v", s)
		}
	})
}
