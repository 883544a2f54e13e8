package topics_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
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
		until(t, "they are counted", func() bool { return second.SetAside() >= 9 }) // after Redis has it
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

// damageSubscription spoils what is stored of a subscription.
func (w *world) damageSubscription(tb testing.TB, topic, name, how string) {
	tb.Helper()
	keys, _, err := w.Keys(tb.Context(), w.tenant, topic)
	must(tb, err)
	db := w.engine.Single()
	text, err := db.HGet(tb.Context(), keys[5], name).Result()
	must(tb, err)
	_, rest, _ := strings.Cut(text, `"uid":"`)
	uid, _, _ := strings.Cut(rest, `"`)
	switch how {
	case "settings":
		must(tb, db.HSet(tb.Context(), keys[5], name, "no settings at all").Err())
	case "settings with uid":
		must(tb, db.HSet(tb.Context(), keys[5], name, text[:len(text)-1]).Err())
	case "progress":
		must(tb, db.HSet(tb.Context(), keys[6], uid, "1,2,three|").Err())
	case "no progress":
		must(tb, db.HDel(tb.Context(), keys[6], uid).Err())
	case "scope":
		must(tb, db.HSet(tb.Context(), keys[5], name, strings.Replace(text, `"uid"`, `"scope":"nowhere","uid"`, 1)).Err())
	case "policy":
		must(tb, db.HSet(tb.Context(), keys[5], name, strings.Replace(text, `"uid"`, `"policy":"{\"a\":[{\"unheard\":1}]}","uid"`, 1)).Err())
	}
}

// Of a topic's subscriptions one after another is damaged, in every way in which one is read. Those beside them get what is
// published, who looks is told, and who deletes them and makes them again gets messages again.
func TestADamagedSubscriptionStopsNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, again := w.topic(t, topics.Settings{}), w.queue(t, "", nil), w.queue(t, "", nil)
		w.subscribe(t, tp, "sound", topics.SubscriptionSettings{Queue: q})
		ways := []string{"no progress", "policy", "progress", "scope", "settings", "settings with uid"}
		for _, how := range ways {
			w.subscribe(t, tp, strings.ReplaceAll(how, " ", "-"), topics.SubscriptionSettings{Queue: w.queue(t, "", nil)})
		}
		for _, how := range ways {
			w.damageSubscription(t, tp, strings.ReplaceAll(how, " ", "-"), how)
		}
		second := w.another(t)
		second.publish(t, tp, "one", "two")
		second.settled(t, tp, "sound")
		if got := bodies(second.drain(t, q)); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("the sound one got %q", got)
		}
		until(t, "they are counted", func() bool { return w.Damaged()+second.Damaged() >= int64(len(ways)) })
		list, _, err := w.ListSubscriptions(t.Context(), w.tenant, tp, "", "", 100)
		must(t, err)
		for _, s := range list {
			wantCode, wantState := "subscription_damaged", topics.Broken
			if s.Name == "sound" {
				wantCode, wantState = "", topics.Active
			}
			code := ""
			if s.LastError != nil {
				code = s.LastError.Code
			}
			if code != wantCode || s.State != wantState {
				t.Errorf("%s: state %s, last error %+v", s.Name, s.State, s.LastError)
			}
		}
		if len(list) != len(ways)+1 {
			t.Errorf("it lists %d subscriptions", len(list))
		}
		if got, err := w.TestFilters(t.Context(), w.tenant, tp, &filter.Message{}); err != nil || len(got) != 1 || got[0].Subscription != "sound" {
			t.Errorf("filters of %+v were tested, %v", got, err)
		}
		for _, how := range ways {
			name := strings.ReplaceAll(how, " ", "-")
			set := topics.SubscriptionSettings{Queue: again}
			if _, _, err := w.PutSubscription(t.Context(), w.tenant, tp, name, set, topics.Condition{}); !errors.Is(err, topics.ErrSubscriptionDamaged) {
				t.Errorf("%s is changed: %v", name, err)
			}
			if _, err := w.PauseSubscription(t.Context(), w.tenant, tp, name); how != "policy" && !errors.Is(err, topics.ErrSubscriptionDamaged) {
				t.Errorf("%s is paused: %v", name, err)
			}
			must(t, w.DeleteSubscription(t.Context(), w.tenant, tp, name, topics.Condition{}))
			w.subscribe(t, tp, name, set)
		}
		second.publish(t, tp, "three") // it carries
		for _, how := range ways {
			w.settled(t, tp, strings.ReplaceAll(how, " ", "-"))
		}
		if got := w.drain(t, again); len(got) != len(ways) {
			t.Errorf("made anew they got %d messages", len(got))
		}
		w.settled(t, tp, "sound")
		keys, _, err := w.Keys(t.Context(), w.tenant, tp)
		must(t, err)
		progress, err := w.engine.Single().HLen(t.Context(), keys[6]).Result()
		must(t, err)
		marks, err := w.engine.Single().ZCard(t.Context(), keys[7]).Result()
		must(t, err)
		if want := int64(len(ways)) + 2; progress != want || marks != want { // with the sentinel
			t.Errorf("there is the progress of %d and the marks of %d, want %d", progress, marks, want)
		}
	})
}

// Nothing of a damaged subscription hinders that its topic is deleted.
func TestATopicWithADamagedSubscriptionIsDeleted(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		for i, how := range []string{"settings", "progress"} {
			name := strconv.Itoa(i)
			w.subscribe(t, tp, name, topics.SubscriptionSettings{Queue: q})
			w.damageSubscription(t, tp, name, how)
		}
		must(t, w.Delete(t.Context(), w.tenant, tp, topics.Condition{}))
		if _, err := w.Get(t.Context(), w.tenant, tp); !errors.Is(err, topics.ErrTopicNotFound) {
			t.Errorf("the topic is still there: %v", err)
		}
	})
}
