package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// work is a task that the test works on itself, step by step.
type work struct {
	w    *world
	kind tasks.Kind
	tasks.Work
}

// replays plans a replay to a webhook.
func (w *world) replays(tb testing.TB, way topics.Way, opt topics.ReplayOptions) *work {
	tb.Helper()
	n, err := w.topics.PlanReplay(tb.Context(), w.tenant, way.Topic, way.Subscription, opt)
	must(tb, err)
	kinds := map[string]tasks.Kind{topics.ReplayTask: w.topics.Replaying(), topics.FailedTask: w.topics.Reviving(), topics.MissingTask: w.topics.Restoring()}
	k := &work{w: w, kind: kinds[n.Type], Work: tasks.Work{Tenant: w.tenant.String(), Params: n.Params, Most: 100}}
	k.Task.ID, k.Task.Progress.Total = fmt.Sprint("task", names.Add(1)), n.Total
	return k
}

// step takes a step. One that is not kept is as one whose server died before it could save it.
func (k *work) step(tb testing.TB, keep bool) (finished bool) {
	tb.Helper()
	res, err := k.kind.Step(tb.Context(), k.Work)
	must(tb, err)
	if !keep {
		return false
	}
	k.State = res.State
	k.Task.Progress.Looked += res.Looked
	k.Task.Progress.Done += res.Done
	if res.Pause > 0 {
		time.Sleep(10 * time.Millisecond) // it is full: what it holds is being sent
	}
	return res.Finished
}

// runs works on a task until it has ended, and returns what it says to have done.
func (k *work) runs(tb testing.TB) int64 {
	tb.Helper()
	for end := time.Now().Add(12 * patience); !k.step(tb, true); {
		if time.Now().After(end) {
			tb.Fatalf("the task does not end: %+v", k.Task.Progress)
		}
	}
	return k.Task.Progress.Done
}

func TestAReplayOfWhatIsMissingBringsTheGapsAndNothingElse(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		other := w.hook(t, tp, "other", webhook.Endpoint{URL: newReceiver(t, nil).URL})
		w.publish(t, tp, "a0")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		var bounds []time.Time
		for i, gap := range [][]string{{"b0", "b1"}, {"d0"}} { // two gaps, and something between them
			must(t, w.Disable(t.Context(), way))
			w.clock.Advance(time.Minute)
			bounds = append(bounds, w.clock.Now())
			w.publish(t, tp, gap...)
			w.reaches(t, way, "it is missed", func(s webhook.Status) bool { return s.Missed == int64(len(gap)) })
			must(t, w.Enable(t.Context(), way))
			w.clock.Advance(time.Minute)
			w.publish(t, tp, fmt.Sprint("c", i))
			w.reaches(t, way, "it goes on", func(s webhook.Status) bool { return s.Delivered == int64(i+2) })
		}
		gaps := w.status(t, way).Gaps
		if len(gaps) != 2 || gaps[0].Count != 2 || gaps[1].Count != 1 || gaps[1].First != gaps[1].Last || gaps[0].Last >= gaps[1].First {
			t.Fatalf("the gaps: %+v", gaps)
		}
		if at := topics.PublishedAt(gaps[0].First); !at.Equal(bounds[0]) {
			t.Errorf("the first gap begins at %v, want %v", at, bounds[0])
		}
		// Another server brings it, and both go on after a restart: it says that there is nothing twice.
		second := w.another(t)
		w.kill()
		if n := second.replays(t, way, topics.ReplayOptions{What: topics.Missing, Until: bounds[1]}).runs(t); n != 2 {
			t.Errorf("%d messages up to the second gap, want 2", n)
		}
		if got := second.status(t, way).Gaps; len(got) != 1 || got[0] != gaps[1] {
			t.Errorf("what is left: %+v", got)
		}
		k := second.replays(t, way, topics.ReplayOptions{What: topics.Missing})
		k.step(t, false)
		k.runs(t)
		if n := second.replays(t, way, topics.ReplayOptions{What: topics.Missing}).runs(t); n != 0 || len(second.status(t, way).Gaps) != 0 {
			t.Errorf("%d messages are left, and %+v", n, second.status(t, way).Gaps)
		}
		second.forward(t, time.Minute, "all is delivered", func() bool { return second.status(t, way).Delivered == 6 })
		wantBodies(t, rc.bodies(), "a0", "b0", "b1", "c0", "c1", "d0")
		second.forward(t, time.Minute, "the webhook beside it has all", func() bool { return second.status(t, other).Delivered == 6 })
		if s := second.status(t, other); s.Delivered != 6 || len(s.Gaps) != 0 {
			t.Errorf("the webhook beside it: %+v", s)
		}
	})
}

// What is brought by a replay of all is missing no more, and what a disabled endpoint refuses is missing still.
func TestWhatIsReplayedIsNotMissing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Disable(t.Context(), way))
		w.publish(t, tp, numbered(3)...)
		w.reaches(t, way, "all is missed", func(s webhook.Status) bool { return s.Missed == 3 })
		k := w.replays(t, way, topics.ReplayOptions{What: topics.Missing})
		if _, err := k.kind.Step(t.Context(), k.Work); !errors.Is(err, webhook.ErrDisabled) {
			t.Errorf("to a disabled endpoint: %v", err)
		}
		if s := w.status(t, way); s.Missed != 3 || len(s.Gaps) != 1 || s.Gaps[0].Count != 3 {
			t.Fatalf("the gap: %+v", s)
		}
		must(t, w.Enable(t.Context(), way))
		if n := w.replays(t, way, topics.ReplayOptions{}).runs(t); n != 3 {
			t.Errorf("a replay of all brought %d", n)
		}
		if n := w.replays(t, way, topics.ReplayOptions{What: topics.Missing}).runs(t); n != 0 {
			t.Errorf("%d are missing still", n)
		}
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 3 && len(s.Gaps) == 0 })
		wantBodies(t, rc.bodies(), numbered(3)...)
	})
}

// What is dropped because too much waits is a gap as well. What the topic does not keep any more ends the gap.
func TestWhatDoesNotFitIsMissing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		var args []any // as many that failed as leave room for three
		for i := range webhook.Entries - 3 {
			args = append(args, w.clock.Now().UnixMilli(), fmt.Sprintf("%014x", i))
		}
		for some := range slices.Chunk(args, 5000) { // a slow machine needs long for all at once
			must(t, w.engine.Single().Do(t.Context(), append([]any{"ZADD", webhook.Keys(way)[6]}, some...)...).Err())
		}
		must(t, w.Suspend(t.Context(), way, true))
		w.publish(t, tp, numbered(5)...)
		until(t, "all is brought", func() bool { return len(w.status(t, way).Gaps) == 1 && w.status(t, way).Overflowed > 0 })
		s := w.status(t, way)
		taken := s.Pending
		if taken != 3 || s.Overflowed != 2 || s.Gaps[0].Count != 2 {
			t.Fatalf("what did not fit: %+v", s)
		}
		must(t, w.engine.Single().ZRemRangeByRank(t.Context(), webhook.Keys(way)[6], 0, webhook.Entries-4).Err())
		must(t, w.Suspend(t.Context(), way, false))
		if n := w.replays(t, way, topics.ReplayOptions{What: topics.Missing}).runs(t); n != 5-taken {
			t.Errorf("%d were missing, want %d", n, 5-taken)
		}
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 5 && len(s.Gaps) == 0 })
		wantBodies(t, rc.bodies(), numbered(5)...)

		must(t, w.Disable(t.Context(), way))
		w.publish(t, tp, "too old")
		w.reaches(t, way, "it is missed", func(s webhook.Status) bool { return len(s.Gaps) == 1 })
		must(t, w.Enable(t.Context(), way))
		w.clock.Advance(2 * time.Hour)
		w.publish(t, tp, "later")
		w.reaches(t, way, "it goes on", func(s webhook.Status) bool { return s.Delivered == 6 })
		if n := w.replays(t, way, topics.ReplayOptions{What: topics.Missing}).runs(t); n != 0 || len(w.status(t, way).Gaps) != 0 {
			t.Errorf("%d came of what is not kept, and %+v is left", n, w.status(t, way).Gaps)
		}
	})
}

func TestAReplayOfWhatFailedSendsThatOfATime(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(http.StatusRequestEntityTooLarge))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		var bounds []time.Time
		for i, n := range []int{10, 150, 20} {
			w.clock.Advance(time.Minute)
			bounds = append(bounds, w.clock.Now())
			w.publish(t, tp, numbered(n)...)
			total := []int64{10, 160, 180}[i]
			w.reaches(t, way, "all failed", func(s webhook.Status) bool { return s.Dead == total })
		}
		w.clock.Advance(time.Minute)
		rc.set(nil)
		k := w.replays(t, way, topics.ReplayOptions{What: topics.Failed, From: topics.Place{Since: bounds[1]}, Until: bounds[2]})
		if k.Task.Progress.Total != 150 {
			t.Errorf("%d are to be sent, want 150", k.Task.Progress.Total)
		}
		k.step(t, false) // a server dies; what it did is counted by the next one
		if n := k.runs(t); n != 150 || k.Task.Progress.Looked != 150 {
			t.Errorf("%d were sent, want 150: %+v", n, k.Task.Progress)
		}
		w.reaches(t, way, "they are delivered", func(s webhook.Status) bool { return s.Delivered == 150 && s.Dead == 30 })
		if n := w.replays(t, way, topics.ReplayOptions{What: topics.Failed}).runs(t); n != 30 {
			t.Errorf("%d of the rest, want 30", n)
		}
		w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 180 && s.Dead == 0 })

		n := int64(1)
		_, err := w.topics.PlanReplay(t.Context(), w.tenant, tp, "a", topics.ReplayOptions{What: topics.Failed, From: topics.Place{After: &n}})
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("a place for what failed: %v", err)
		}
	})
}

// An endpoint was disabled, and all that it missed is brought, by a replay that is cancelled
// on the way and by another one; no message is skipped and none comes twice.
func recoversAll(tb testing.TB, w *world, n int) time.Duration {
	tb.Helper()
	tp := w.topic(tb, "", topics.Settings{Retention: 24 * time.Hour})
	var mu sync.Mutex
	came := map[string]int{}
	url := sink(tb, func(r *http.Request) {
		mu.Lock()
		came[r.Header.Get("Webhook-Id")]++
		mu.Unlock()
	})
	way := w.hook(tb, tp, "a", webhook.Endpoint{URL: url, MaxInFlight: webhook.MaxMaxInFlight})
	must(tb, w.Disable(tb.Context(), way))
	want := map[string]int{}
	for first := 0; first < n; first += 100 {
		batch := make([]queues.Outgoing, min(100, n-first))
		for i := range batch {
			batch[i] = queues.Outgoing{Body: fmt.Append(nil, first+i), ContentType: "text/plain"}
		}
		out, err := w.topics.PublishBatch(tb.Context(), w.tenant, tp, batch, false)
		must(tb, err)
		for _, r := range out {
			must(tb, r.Err)
			want["msg_"+r.ID.String()] = 1
		}
	}
	for end := time.Now().Add(6 * patience); w.status(tb, way).Missed != int64(n); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("it missed %d of %d", w.status(tb, way).Missed, n)
		}
	}
	must(tb, w.Enable(tb.Context(), way))
	began := time.Now()
	cancelled := w.replays(tb, way, topics.ReplayOptions{What: topics.Missing})
	for range n / 200 { // about half of it
		cancelled.step(tb, true)
	}
	rest := w.replays(tb, way, topics.ReplayOptions{What: topics.Missing}).runs(tb)
	if done := cancelled.Task.Progress.Done; done == 0 || done+rest != int64(n) {
		tb.Errorf("%d messages before it was cancelled and %d after it, want %d together", done, rest, n)
	}
	for end := time.Now().Add(12 * patience); w.status(tb, way).Pending > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not delivered: %+v", w.status(tb, way))
		}
	}
	took := time.Since(began)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, came); diff != "" {
		tb.Errorf("%d messages came, want %d, each once", len(came), len(want))
	}
	return took
}

func TestA15_ARecoveryBringsAllAndNothingTwice(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		n := w.scaled(1_001, 100_001)
		took := recoversAll(t, w, n)
		t.Logf("%d messages in %v", n, took)
	})
}
