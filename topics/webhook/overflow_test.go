package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// stuff adds so many entries to those of a webhook that wait, which are due in a hundred years. Their messages were published before all
// others, or with late after them.
func (w *world) stuff(tb testing.TB, way topics.Way, n int, late bool) {
	tb.Helper()
	first := 1
	if late {
		first = 1 << 53
	}
	var args []any
	for i := range n {
		args = append(args, w.clock.Now().AddDate(100, 0, 0).UnixMilli(), fmt.Sprintf("%014x", first+i))
	}
	for some := range slices.Chunk(args, 5000) { // a slow machine needs long for all at once
		must(tb, w.engine.Single().Do(tb.Context(), append([]any{"ZADD", webhook.Keys(way)[2]}, some...)...).Err())
	}
}

// order puts the late ones in order, as a webhook does whose oldest make room.
func (w *world) order(tb testing.TB, way topics.Way, n int) {
	tb.Helper()
	var args []any
	for i := range n {
		args = append(args, 0, fmt.Sprintf("%014x", 1<<53+i))
	}
	for some := range slices.Chunk(args, 5000) {
		must(tb, w.engine.Single().Do(tb.Context(), append([]any{"ZADD", webhook.Keys(way)[7]}, some...)...).Err())
	}
}

// unstuff takes them away.
func (w *world) unstuff(tb testing.TB, way topics.Way) {
	tb.Helper()
	last := fmt.Sprint(w.clock.Now().AddDate(200, 0, 0).UnixMilli())
	must(tb, w.engine.Single().ZRemRangeByScore(tb.Context(), webhook.Keys(way)[2], fmt.Sprint(w.clock.Now().AddDate(50, 0, 0).UnixMilli()), last).Err())
	for _, from := range []string{"[0000000", "[2"} {
		must(tb, w.engine.Single().ZRemRangeByLex(tb.Context(), webhook.Keys(way)[7], from, from+"z").Err())
	}
}

// holds has a webhook count so many bytes of messages.
func (w *world) holds(tb testing.TB, way topics.Way, bytes int) {
	tb.Helper()
	must(tb, w.engine.Single().HSet(tb.Context(), webhook.Keys(way)[1], "sg", bytes).Err())
}

func (w *world) overflows(tb testing.TB, tp, name string, o webhook.Overflow) {
	tb.Helper()
	_, err := w.topics.UpdateSubscription(tb.Context(), w.tenant, tp, name, topics.Condition{}, func(s topics.SubscriptionSettings) topics.SubscriptionSettings {
		e, err := webhook.ParseEndpoint(s.Endpoint)
		must(tb, err)
		e.Overflow = o
		s.Endpoint = e.Encode()
		return s
	})
	must(tb, err)
}

func (w *world) subscription(tb testing.TB, tp, name string) topics.Subscription {
	tb.Helper()
	s, err := w.topics.GetSubscription(tb.Context(), w.tenant, tp, name)
	must(tb, err)
	return s
}

// What comes pushes out what was published first, also of what the webhook held before it was to be so, and is counted.
func TestTheOldestThatWaitMakeRoom(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{Retention: time.Hour}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Suspend(t.Context(), way, true))
		w.publish(t, tp, "old 1", "old 2")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Pending == 2 })
		w.overflows(t, tp, "a", webhook.DropOldest)
		w.stuff(t, way, webhook.Entries-2, true)
		w.order(t, way, webhook.Entries-2)
		w.publish(t, tp, "new 1", "new 2")
		w.reaches(t, way, "the oldest went", func(s webhook.Status) bool { return s.Overflowed == 2 })
		w.publish(t, tp, "new 3")
		w.reaches(t, way, "the next oldest went", func(s webhook.Status) bool { return s.Overflowed == 3 })
		until(t, "all is noted", func() bool { return w.subscription(t, tp, "a").Lag == 0 })
		if s := w.status(t, way); s.Pending != webhook.Entries || len(s.Gaps) != 0 || s.Dead != 0 {
			t.Errorf("the webhook: %+v", s)
		}
		if s := w.subscription(t, tp, "a"); s.Delivered != 2 || s.Dropped != 3 || s.LastError == nil || s.LastError.Code != "storage_full" || !strings.Contains(s.LastError.Message, "oldest") {
			t.Errorf("the subscription: %+v", s)
		}
		w.unstuff(t, way)
		w.publish(t, tp, "new 4")
		must(t, w.Suspend(t.Context(), way, false))
		w.reaches(t, way, "the others come", func(s webhook.Status) bool { return s.Delivered == 3 && s.Pending == 0 })
		wantBodies(t, rc.bodies(), "new 2", "new 3", "new 4")
		if s := w.status(t, way); s.Overflowed != 3 || s.Bytes != 0 {
			t.Errorf("the webhook at last: %+v", s)
		}
		w.nothingIsLeft(t, way)
	})
}

// What a webhook holds when its oldest are to make room from now on is put in order by and by, and then goes as what came later does.
func TestWhatWaitedBeforeTheChangeMakesRoom(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const before = 5500
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Suspend(t.Context(), way, true))
		w.stuff(t, way, before, false)
		w.overflows(t, tp, "a", webhook.DropOldest)
		keys := webhook.Keys(way)
		count := func(key string) int64 {
			n, err := w.engine.Single().ZCard(t.Context(), key).Result()
			must(t, err)
			return n
		}
		var want []string
		for count(keys[7]) != count(keys[2]) {
			if len(want) == 20 {
				t.Fatalf("%d of %d are in order", count(keys[7]), count(keys[2]))
			}
			want = append(want, fmt.Sprintf("%02d", len(want)))
			w.publish(t, tp, want[len(want)-1])
			w.reaches(t, way, "it is taken", func(s webhook.Status) bool { return s.Pending == int64(before+len(want)) })
		}
		late := webhook.Entries - before - len(want)
		w.stuff(t, way, late, true)
		w.order(t, way, late)
		for i := range 3 {
			w.publish(t, tp, fmt.Sprint("more ", i))
			want = append(want, fmt.Sprint("more ", i))
			w.reaches(t, way, "another one went", func(s webhook.Status) bool { return s.Overflowed == int64(i+1) })
			if _, err := w.engine.Single().ZScore(t.Context(), keys[2], fmt.Sprintf("%014x", i+1)).Result(); err == nil {
				t.Errorf("the oldest but %d did not go", i)
			}
		}
		w.unstuff(t, way)
		must(t, w.Suspend(t.Context(), way, false))
		w.forward(t, time.Hour, "all that came is delivered", func() bool { return w.status(t, way).Delivered == int64(len(want)) })
		wantBodies(t, rc.bodies(), want...)
		w.nothingIsLeft(t, way)
	})
}

// nothingIsLeft wants only the sentinels in a webhook's keys of entries.
func (w *world) nothingIsLeft(tb testing.TB, way topics.Way) {
	tb.Helper()
	for i, key := range webhook.Keys(way)[2:8] {
		var n int64
		var err error
		if i == 3 { // states
			n, err = w.engine.Single().HLen(tb.Context(), key).Result()
		} else {
			n, err = w.engine.Single().ZCard(tb.Context(), key).Result()
		}
		if must(tb, err); n != 1 {
			tb.Errorf("%s holds %d, want the sentinel alone", key, n)
		}
	}
}

// What failed makes room before what waits, and what is being sent does not.
func TestWhatFailedMakesRoomFirst(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, hold := w.topic(t, "", topics.Settings{}), make(chan struct{})
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			switch r.body {
			case "bad":
				rw.WriteHeader(http.StatusRequestEntityTooLarge)
			case "slow":
				<-hold
			}
		})
		defer close(hold)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: webhook.DropOldest, Timeout: webhook.MaxTimeout})
		w.publish(t, tp, "bad")
		w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Dead == 1 })
		w.publish(t, tp, "slow")
		w.reaches(t, way, "it is being sent", func(s webhook.Status) bool { return s.Sending == 1 })
		must(t, w.Suspend(t.Context(), way, true))
		w.stuff(t, way, webhook.Entries-2, false) // which the webhook does not know for its own: none of them is in order
		w.publish(t, tp, "one")
		w.reaches(t, way, "what failed went", func(s webhook.Status) bool { return s.Dead == 0 && s.Overflowed == 1 && s.Pending == webhook.Entries })
		w.publish(t, tp, "two")
		w.reaches(t, way, "what waits went", func(s webhook.Status) bool {
			return s.Overflowed == 2 && s.Sending == 1 && s.Pending == webhook.Entries
		})
		w.unstuff(t, way)
		hold <- struct{}{}
		must(t, w.Suspend(t.Context(), way, false))
		w.reaches(t, way, "the rest is delivered", func(s webhook.Status) bool { return s.Delivered == 2 && s.Pending == 0 })
		wantBodies(t, rc.bodies(), "bad", "slow", "two")
		w.nothingIsLeft(t, way)
	})
}

// Where the bytes are what is full, the oldest that are stored make room: for what failed and is tried again, and for what is copied out of
// the topic's log.
func TestTheOldestMakeRoomForBytes(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const full = 256 << 20
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, answering(http.StatusInternalServerError))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: webhook.DropOldest, Retries: slices.Repeat([]time.Duration{24 * time.Hour}, 10)})
		size := func() int64 {
			w.publish(t, tp, strings.Repeat("x", 500))
			w.reaches(t, way, "it is stored", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 && s.Bytes > 500 })
			return w.status(t, way).Bytes
		}()
		w.holds(t, way, full)
		w.publish(t, tp, strings.Repeat("y", 500))
		w.reaches(t, way, "the second pushed out the first", func(s webhook.Status) bool { return s.Attempts == 2 && s.Sending == 0 && s.Overflowed == 1 })
		if s := w.status(t, way); s.Pending != 1 || s.Dead != 0 || s.Bytes != full {
			t.Errorf("the webhook: %+v, of messages of %d bytes", s, size)
		}
		must(t, w.Suspend(t.Context(), way, true))
		w.publish(t, tp, strings.Repeat("z", 500))
		w.reaches(t, way, "the third waits in the log", func(s webhook.Status) bool { return s.Pending == 2 })
		w.forward(t, 10*webhook.Stale, "the third is copied, for which the second went", func() bool { return w.status(t, way).Overflowed == 2 })
		if s := w.status(t, way); s.Pending != 1 || s.Dead != 0 || s.Bytes != full {
			t.Errorf("the webhook at last: %+v", s)
		}
		rc.set(nil)
		must(t, w.Suspend(t.Context(), way, false))
		w.forward(t, time.Hour, "the third is delivered", func() bool { return w.status(t, way).Delivered == 1 })
		if got := rc.bodies(); got[len(got)-1] != strings.Repeat("z", 500) {
			t.Errorf("%d came, at last %s", len(got), got[len(got)-1])
		}
	})
}

func TestOverflowIsRefusedWhereItCannotBe(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	dead := w.queue(t, "")
	standard, fifo := w.topic(t, "", topics.Settings{}), w.topic(t, ".fifo", topics.Settings{})
	put := func(tp, dead string, o webhook.Overflow) error {
		e := webhook.Endpoint{URL: "https://example.com/", Overflow: o}
		_, _, err := w.topics.PutSubscription(t.Context(), w.tenant, tp, "a", topics.SubscriptionSettings{Endpoint: e.Encode(), DeadLetterQueue: dead}, topics.Condition{})
		return err
	}
	for _, test := range []struct {
		topic, dead string
		overflow    webhook.Overflow
		ok          bool
	}{
		{standard, "", webhook.DropOldest, true},
		{standard, dead, webhook.DropOldest, false},
		{standard, dead, webhook.RejectPublish, true},
		{standard, dead, webhook.DropNewest, true},
		{standard, "", "drop", false},
		{fifo, "", webhook.DropOldest, false},
		{fifo, "", webhook.RejectPublish, true},
		{fifo, "", webhook.DropNewest, true},
	} {
		err := put(test.topic, test.dead, test.overflow)
		e, _ := errors.AsType[*errs.Error](err)
		if test.ok != (err == nil) || !test.ok && (e == nil || e.Kind != errs.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != "/overflow") {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// A webhook is full by its entries or by its bytes: publishes are refused, of its topic alone, until what was acknowledged has come.
func TestA24_AFullWebhookHasPublishesRefused(t *testing.T) {
	entries := func(t *testing.T, w *world, way topics.Way) (room func()) {
		w.stuff(t, way, webhook.Entries-1, false)
		return func() { w.unstuff(t, way) }
	}
	bytes := func(t *testing.T, w *world, way topics.Way) (room func()) {
		w.holds(t, way, 256<<20)
		return func() { w.holds(t, way, 0) }
	}
	for _, test := range []struct {
		name, suffix string
		fill         func(*testing.T, *world, topics.Way) (room func())
	}{{"entries", "", entries}, {"bytes", "", bytes}, {"bytes of a FIFO topic", ".fifo", bytes}} {
		t.Run(test.name, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				other := w.another(t)
				tp, rc := w.topic(t, test.suffix, topics.Settings{ContentBased: test.suffix != ""}), newReceiver(t, nil)
				way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: webhook.RejectPublish})
				beside, calm := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
				quiet := w.hook(t, beside, "a", webhook.Endpoint{URL: calm.URL, Overflow: webhook.RejectPublish})
				must(t, w.Suspend(t.Context(), way, true))
				w.publish(t, tp, "0")
				w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Pending == 1 })
				room, want := test.fill(t, w, way), []string{"0"}
				publish := func(server *world) error {
					body := fmt.Sprint(len(want))
					m := queues.Outgoing{Body: []byte(body)}
					if test.suffix != "" {
						m.GroupID = "g"
					}
					_, err := server.topics.Publish(t.Context(), w.tenant, tp, m)
					if err == nil {
						want = append(want, body)
					}
					return err
				}
				until(t, "publishes are refused", func() bool {
					err := publish(w)
					if err != nil && !errors.Is(err, topics.ErrSubscriptionFull) {
						t.Fatal(err)
					}
					return err != nil
				})
				if err := publish(other); !errors.Is(err, topics.ErrSubscriptionFull) {
					t.Errorf("a publish by the other server: %v", err)
				}
				w.publish(t, beside, "beside")
				w.reaches(t, quiet, "it comes", func(s webhook.Status) bool { return s.Delivered == 1 })
				if s := w.status(t, way); s.Overflowed != 0 || s.Dead != 0 || len(s.Gaps) != 0 {
					t.Errorf("the webhook: %+v", s)
				}
				must(t, w.Suspend(t.Context(), way, false))
				room()
				w.slowly(t, "all that was acknowledged has come", func() bool { return w.status(t, way).Delivered == int64(len(want)) })
				w.forward(t, time.Hour, "publishes are taken", func() bool { return publish(other) == nil })
				w.reaches(t, way, "the last one comes", func(s webhook.Status) bool { return s.Delivered == int64(len(want)) && s.Pending == 0 })
				if got := rc.bodies(); test.suffix != "" && !slices.Equal(got, want) {
					t.Errorf("the group came as %v, want %v", got, want)
				}
				slices.Sort(want)
				wantBodies(t, rc.bodies(), want...)
				t.Logf("%d messages were acknowledged, and all have come; of the others none", len(want))
			})
		})
	}
}

// With a dead-letter queue, what failed goes there, and what comes is refused all the same; without the policy it goes there as well.
func TestAFullWebhookWithADeadLetterQueueHasPublishesRefused(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, dead, rc := w.topic(t, "", topics.Settings{}), w.queue(t, ""), newReceiver(t, nil)
		way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: rc.URL, Overflow: webhook.RejectPublish})
		must(t, w.Suspend(t.Context(), way, true))
		w.holds(t, way, 256<<20)
		published := 0
		until(t, "publishes are refused", func() bool {
			_, err := w.topics.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("m")})
			if err == nil {
				published++
			}
			return errors.Is(err, topics.ErrSubscriptionFull)
		})
		if st, err := w.queues.Stats(t.Context(), w.tenant, dead); err != nil || st.Available != 0 {
			t.Errorf("the dead-letter queue: %+v, %v", st, err)
		}
		must(t, w.Disable(t.Context(), way)) // one that is disabled is not full
		w.forward(t, time.Hour, "all is in the dead-letter queue", func() bool {
			st, err := w.queues.Stats(t.Context(), w.tenant, dead)
			return err == nil && st.Available == int64(published)
		})
		w.forward(t, time.Hour, "publishes are taken", func() bool {
			_, err := w.topics.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("m")})
			return err == nil
		})
	})
}

// A server that is started anew refuses what the one before refused, and what was acknowledged comes.
func TestARestartedServerRefusesWhileAWebhookIsFull(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: webhook.RejectPublish})
		must(t, w.Suspend(t.Context(), way, true))
		w.holds(t, way, 256<<20)
		published := int64(0)
		publish := func(server *world) error {
			_, err := server.topics.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("m")})
			if err == nil {
				published++
			}
			return err
		}
		until(t, "publishes are refused", func() bool { return errors.Is(publish(w), topics.ErrSubscriptionFull) })
		w.kill()
		second := w.another(t)
		if err := publish(second); !errors.Is(err, topics.ErrSubscriptionFull) {
			t.Errorf("a publish to the server that was started: %v", err)
		}
		w.holds(t, way, 0)
		must(t, second.Suspend(t.Context(), way, false))
		second.forward(t, time.Hour, "all came", func() bool { return second.status(t, way).Delivered == published })
		second.forward(t, time.Hour, "publishes are taken", func() bool { return publish(second) == nil })
	})
}

// scripts returns how many scripts Redis has run.
func (w *world) scripts(tb testing.TB) (n int) {
	tb.Helper()
	text, err := w.engine.Single().Info(tb.Context(), "commandstats").Result()
	must(tb, err)
	for _, m := range regexp.MustCompile(`cmdstat_evalsha(?:_ro)?:calls=(\d+)`).FindAllStringSubmatch(text, -1) {
		calls, err := strconv.Atoi(m[1])
		must(tb, err)
		n += calls
	}
	return n
}

// What there is no room for waits in the topic's log. Nobody tries all the time whether there is some now.
func TestAFullWebhookIsNotAskedForRoomAllTheTime(t *testing.T) {
	t.Parallel()
	w, _ := onRedis(t)
	tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: webhook.RejectPublish})
	must(t, w.Suspend(t.Context(), way, true))
	w.publish(t, tp, numbered(5)...)
	w.reaches(t, way, "they wait in the log", func(s webhook.Status) bool { return s.Pending == 5 })
	w.holds(t, way, 256<<20)
	before := w.scripts(t)
	for range 20 {
		last := w.scripts(t)
		w.clock.Advance(webhook.Stale)
		until(t, "it was tried", func() bool { return w.scripts(t) > last && w.Idle() && !w.Keeping(way) })
	}
	if n := w.scripts(t) - before; n < 40 || n > 5_000 { // most are about who sends for which shard
		t.Errorf("%d scripts in 20 minutes", n)
	}
	w.holds(t, way, 0)
	w.forward(t, 5*time.Minute, "with room they leave the log", func() bool { return w.kept(t, tp) == 0 })
}

// What an endpoint does not take for good has failed also while the webhook is full: it is not sent again.
func TestWhatFailedForGoodIsNotSentAgainWhileItIsFull(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, overflow := range []webhook.Overflow{webhook.RejectPublish, webhook.DropOldest} {
			tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, answering(http.StatusRequestEntityTooLarge))
			way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Overflow: overflow})
			must(t, w.Suspend(t.Context(), way, true))
			w.publish(t, tp, "x")
			w.reaches(t, way, "it waits in the log", func(s webhook.Status) bool { return s.Pending == 1 })
			w.holds(t, way, 256<<20)
			must(t, w.Suspend(t.Context(), way, false))
			w.reaches(t, way, "it has failed", func(s webhook.Status) bool { return s.Dead == 1 && s.Pending == 0 })
			if s := w.status(t, way); s.Attempts != 1 || rc.count() != 1 {
				t.Errorf("%s: %+v", overflow, s)
			}
		}
	})
}
