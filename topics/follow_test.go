package topics_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

func (w *world) follow(tb testing.TB, topic string, opt topics.ReadOptions) *topics.Follower {
	tb.Helper()
	f, err := w.Follow(tb.Context(), w.tenant, topic, opt)
	must(tb, err)
	tb.Cleanup(f.Close)
	return f
}

// shown takes n messages from a follower, or all until it is over.
func (w *world) shown(tb testing.TB, f *topics.Follower, n int) (all []string, over error) {
	tb.Helper()
	var last int64
	until(tb, fmt.Sprintf("%d messages are shown", n), func() bool {
		w.clock.Advance(100 * time.Millisecond)
		select {
		case <-f.Changed():
		default:
			return false
		}
		list, err := f.Take()
		for _, m := range list {
			if m.Sequence <= last {
				tb.Errorf("%s comes after a later one", m.Message.Body)
			}
			last = m.Sequence
			all = append(all, string(m.Message.Body))
		}
		if errs.KindOf(err) != errs.Unavailable {
			over = err
		}
		return len(all) >= n || over != nil
	})
	return all, over
}

func (w *world) wantShown(tb testing.TB, what string, f *topics.Follower, want ...string) {
	tb.Helper()
	if got, err := w.shown(tb, f, len(want)); err != nil || !slices.Equal(got, want) {
		tb.Errorf("%s: shown %q, %v; want %q", what, got, err, want)
	}
}

// Who follows a topic is shown what is published on any server, each message once and in order, from where it begins.
func TestAFollowerShowsWhatIsPublished(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		before := w.publish(t, tp, numbered(2*topics.MaxRead+1)...)
		second := before[1].Sequence
		all, end := w.follow(t, tp, topics.ReadOptions{}), w.follow(t, tp, topics.ReadOptions{Place: topics.Place{End: true}})
		behind := other.follow(t, tp, topics.ReadOptions{Place: topics.Place{After: &second}})
		w.wantShown(t, "from the oldest on", all, numbered(2*topics.MaxRead+1)...)
		w.wantShown(t, "behind the second", behind, numbered(2*topics.MaxRead + 1)[2:]...)
		w.clock.Advance(time.Minute)
		since := w.follow(t, tp, topics.ReadOptions{Place: topics.Place{Since: w.clock.Now()}})
		other.publish(t, tp, "one", "two")
		w.publish(t, tp, "three")
		for what, f := range map[string]*topics.Follower{"from the end on": end, "since then": since, "after all others": all, "on another server": behind} {
			w.wantShown(t, what, f, "one", "two", "three")
		}
		empty := w.follow(t, w.topic(t, topics.Settings{Retention: time.Hour}), topics.ReadOptions{Place: topics.Place{End: true}})
		if list, err := empty.Take(); len(list) > 0 || err != nil {
			t.Errorf("of an empty topic: %v, %v", list, err)
		}
	})
}

// Of a group its messages come alone, however many of others lie between.
func TestAGroupIsReadAndFollowed(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		f := w.follow(t, tp, topics.ReadOptions{Group: "customer-7"})
		post := func(group, body string) {
			_, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body), GroupID: group})
			must(t, err)
		}
		post("customer-7", "made")
		w.publish(t, tp, numbered(3*topics.MaxRead)...)
		post("customer-8", "other")
		post("customer-7", "paid")
		post("customer-7", "sent")
		w.wantShown(t, "of the group", f, "made", "paid", "sent")
		var got []string
		place := topics.Place{}
		for range 3 {
			page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: place, Group: "customer-7", Limit: 1})
			must(t, err)
			for _, m := range page.Messages {
				got = append(got, string(m.Message.Body))
			}
			place = topics.Place{After: &page.Next}
		}
		if want := []string{"made", "paid", "sent"}; !slices.Equal(got, want) {
			t.Errorf("read one by one: %q, want %q", got, want)
		}
		page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: place, Group: "customer-7", Limit: 1})
		if err != nil || len(page.Messages) > 0 || page.Next != *place.After {
			t.Errorf("behind the last: %+v, %v", page, err)
		}
	})
}

// One read goes through a part of the log only, and says how far it has come.
func TestAReadOfAGroupIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		for range 3 {
			w.publish(t, tp, numbered(1000)...)
		}
		_, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("found"), GroupID: "g"})
		must(t, err)
		opt, reads := topics.ReadOptions{Group: "g", Limit: 10}, 0
		for {
			page, err := w.Read(t.Context(), w.tenant, tp, opt)
			must(t, err)
			if reads++; len(page.Messages) == 1 {
				break
			}
			if reads > 3 || opt.After != nil && page.Next <= *opt.After {
				t.Fatalf("read %d ends at %d and has found nothing", reads, page.Next)
			}
			opt.Place = topics.Place{After: &page.Next}
		}
		if reads != 2 {
			t.Errorf("3,000 messages of others were read in %d reads, want 2", reads)
		}
	})
}

// Who follows learns that the topic is gone, or does not keep any more what comes next.
func TestAFollowerLearnsWhyItIsOver(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Minute})
		slow := w.follow(t, tp, topics.ReadOptions{})
		w.publish(t, tp, "one")
		until(t, "it has read the first", func() bool { return len(slow.Changed()) == 1 })
		w.publish(t, tp, "two")
		w.clock.Advance(time.Hour)
		if got, err := w.shown(t, slow, 2); !errors.Is(err, topics.ErrNotRetained) || !slices.Equal(got, []string{"one"}) {
			t.Errorf("a slow follower is shown %q, %v", got, err)
		}
		f := w.follow(t, tp, topics.ReadOptions{Place: topics.Place{End: true}})
		must(t, w.another(t).Delete(t.Context(), w.tenant, tp, topics.Condition{}))
		if got, err := w.shown(t, f, 1); !errors.Is(err, topics.ErrTopicNotFound) {
			t.Errorf("of a deleted topic: %q, %v", got, err)
		}
		for place, want := range map[string]error{tp: topics.ErrTopicNotFound, "none": topics.ErrTopicNotFound} {
			if _, err := w.Follow(t.Context(), w.tenant, place, topics.ReadOptions{}); !errors.Is(err, want) {
				t.Errorf("follow %s: %v", place, err)
			}
		}
	})
}

// A Redis that is killed and comes back is no end: nothing is left out or shown twice.
func TestAFollowerOutlivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	w := newWorld(t, engine.Options{URL: r.URL()})
	tp := w.topic(t, topics.Settings{Retention: time.Hour})
	f := w.follow(t, tp, topics.ReadOptions{Place: topics.Place{End: true}})
	w.publish(t, tp, "one")
	w.wantShown(t, "before", f, "one")
	r.Kill9()
	until(t, "it has noticed", func() bool {
		w.clock.Advance(time.Second)
		select {
		case <-f.Changed():
			_, err := f.Take()
			return errs.KindOf(err) == errs.Unavailable
		default:
			return false
		}
	})
	r.Restart()
	w.another(t).publish(t, tp, "two", "three")
	w.wantShown(t, "after the restart", f, "two", "three")
}
