package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

var everything = webhook.RecentFilter{Arrived: true, Others: true}

// recent returns all pages of a list, and how many attempts all of them have looked at.
func (w *world) recent(tb testing.TB, t tenants.ID, f webhook.RecentFilter, limit int) (all []webhook.Recent, looked int) {
	tb.Helper()
	for after := ""; ; {
		page, err := w.Recent(tb.Context(), t, f, after, limit)
		must(tb, err)
		if len(page.List) > limit || page.Looked > webhook.MaxRecentLooked {
			tb.Fatalf("a page of %d attempts, for which %d were looked at", len(page.List), page.Looked)
		}
		all, looked = append(all, page.List...), looked+page.Looked
		if after = page.Next; after == "" {
			return all, looked
		}
	}
}

// told is what an attempt is told by.
func told(list []webhook.Recent) []string {
	var out []string
	for _, r := range list {
		out = append(out, fmt.Sprintf("%s/%s %d %s %s %d of %d", r.Topic, r.Subscription, r.Number, r.MessageID, r.Outcome, r.Try, r.Most))
	}
	return out
}

func TestTheListOfATenantHasTheAttemptsOfAllItsWebhooks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		good, bad := newReceiver(t, nil), newReceiver(t, answering(http.StatusInternalServerError))
		const hooks = 20 // some of them share a shard
		var failing topics.Way
		for i := range hooks {
			tp := w.topic(t, "", topics.Settings{})
			url := good.URL
			if i == 7 {
				url = bad.URL
			}
			way := w.hook(t, tp, "a", webhook.Endpoint{URL: url, Retries: []time.Duration{time.Hour}})
			if i == 7 {
				failing = way
			}
			w.publish(t, tp, "x", "y")
			w.reaches(t, way, "it was tried", func(s webhook.Status) bool { return s.Attempts == 2 && s.Sending == 0 })
			w.clock.Advance(time.Second)
		}
		all, _ := w.recent(t, w.tenant, everything, 500)
		if len(all) != 2*hooks {
			t.Fatalf("%d attempts, want %d", len(all), 2*hooks)
		}
		if !slices.IsSortedFunc(all, func(a, b webhook.Recent) int { return b.At.Compare(a.At) }) {
			t.Error("the latest are not first")
		}
		for i := range all {
			one := &all[i]
			own, _, err := w.Attempts(t.Context(), topics.Way{Tenant: w.tenant, UID: one.UID}, one.Number+1, 1, nil)
			must(t, err)
			short := own[0]
			short.Error, short.Response, short.Truncated, short.Sent, short.Answered, short.Timing = "", "", false, nil, nil, nil
			if diff := cmp.Diff(short, one.Attempt); diff != "" {
				t.Errorf("the attempt of the webhook's own log is another one (-own +list):\n%s", diff)
			}
		}
		for _, limit := range []int{1, 7, 2 * hooks} {
			pages, looked := w.another(t).recent(t, w.tenant, everything, limit)
			if diff := cmp.Diff(told(all), told(pages)); diff != "" || looked != 2*hooks {
				t.Errorf("with pages of %d, for which %d were looked at, another server has (-want +got):\n%s", limit, looked, diff)
			}
		}
		failed, looked := w.recent(t, w.tenant, webhook.RecentFilter{Others: true}, 10)
		if len(failed) != 2 || looked != 2 || failed[0].Topic != failing.Topic || failed[0].Outcome != webhook.Retrying || failed[0].Most != 2 || failed[0].Status != 500 {
			t.Errorf("those that did not arrive: %v, looked at %d", told(failed), looked)
		}
		since := webhook.RecentFilter{Arrived: true, Others: true, Since: start.Add((hooks - 3) * time.Second)}
		if some, _ := w.recent(t, w.tenant, since, 10); len(some) != 6 {
			t.Errorf("since three seconds before the end: %v", told(some))
		}
		one := everything
		one.Wanted = func(r *webhook.Recent) bool { return r.Topic == failing.Topic }
		if some, looked := w.recent(t, w.tenant, one, 10); len(some) != 2 || looked != 2*hooks {
			t.Errorf("of one topic: %v, looked at %d", told(some), looked)
		}
		if some, _ := w.recent(t, w.newTenant(t), everything, 10); len(some) != 0 {
			t.Errorf("another tenant sees %v", told(some))
		}
		_, err := w.Test(t.Context(), failing)
		must(t, err)
		if some, _ := w.recent(t, w.tenant, everything, 500); len(some) != 2*hooks+1 || some[0].Outcome != webhook.Tested || some[0].Most != 0 {
			t.Errorf("behind a test event: %v", told(some[:1]))
		}
		must(t, w.tenants.Delete(t.Context(), w.tenantName(t), tenants.Condition{}))
		for shard := range webhook.Shards {
			n, err := w.engine.Single().Exists(t.Context(), webhook.RecentKeys(w.tenant, shard)...).Result()
			if err != nil || n != 0 {
				t.Fatalf("of the deleted tenant %d keys are left: %v", n, err)
			}
		}
	})
}

func TestWhatFailedIsNotDrivenOutByWhatArrived(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(http.StatusGone+3)) // 413
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 64})
		w.publish(t, tp, "large")
		w.reaches(t, way, "one failed", func(s webhook.Status) bool { return s.Failed == 1 && s.Sending == 0 })
		page, err := w.Recent(t.Context(), w.tenant, everything, "", 10)
		if must(t, err); !page.CompleteSince.IsZero() {
			t.Errorf("after one attempt the list is complete since %v only", page.CompleteSince)
		}
		rc.set(nil)
		for range 6 {
			w.clock.Advance(time.Second)
			bodies := make([]string, 100)
			w.publish(t, tp, bodies...)
		}
		w.slowly(t, "the others arrived", func() bool { return w.status(t, way).Delivered == 600 })
		list, _ := w.recent(t, w.tenant, everything, 100)
		if len(list) != webhook.MaxRecent+1 || list[len(list)-1].Outcome != webhook.Failed {
			t.Errorf("the list has %d attempts, the first of them %s", len(list), list[len(list)-1].Outcome)
		}
		page, err = w.Recent(t.Context(), w.tenant, everything, "", 10)
		if must(t, err); page.CompleteSince.Before(start.Add(time.Second)) {
			t.Errorf("the list is said to be complete since %v", page.CompleteSince)
		}
		page, err = w.Recent(t.Context(), w.tenant, webhook.RecentFilter{Others: true}, "", 10)
		if must(t, err); !page.CompleteSince.IsZero() || len(page.List) != 1 {
			t.Errorf("those that failed: %v, complete since %v", told(page.List), page.CompleteSince)
		}
		own, _, err := w.Attempts(t.Context(), way, 0, 1000, func(a *webhook.Attempt) bool { return a.Outcome == webhook.Failed })
		if must(t, err); len(own) != 0 {
			t.Errorf("the webhook's own log has it still: the test shows nothing")
		}
	})
}

// However many attempts there are, at the same instant too, a page looks at a bounded part, and the pages together have each once.
func TestPagesOfAFullListAreBoundedAndHaveEachAttemptOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		want := w.fillRecent(t, 12)
		list, looked := w.recent(t, w.tenant, everything, 500)
		got := map[string]bool{}
		for _, r := range list {
			got[r.MessageID] = true
		}
		if len(list) != len(want) || len(got) != len(want) || looked != len(want) {
			t.Errorf("%d attempts, %d of them different, %d looked at, want %d", len(list), len(got), looked, len(want))
		}
		none := everything
		none.Wanted = func(*webhook.Recent) bool { return false }
		page, err := w.Recent(t.Context(), w.tenant, none, "", 10)
		if must(t, err); page.Looked != webhook.MaxRecentLooked || page.Next == "" || len(page.List) != 0 {
			t.Errorf("a page of what is not there looked at %d attempts, and goes on at %q", page.Looked, page.Next)
		}
		if _, looked := w.recent(t, w.tenant, none, 10); looked != len(want) {
			t.Errorf("all of its pages looked at %d attempts", looked)
		}
	})
}

// fillRecent fills the lists of some shards, and returns the ids of the messages.
func (w *world) fillRecent(tb testing.TB, shards int) map[string]bool {
	tb.Helper()
	ids := map[string]bool{}
	for shard := range shards {
		pipe := w.engine.Single().Pipeline()
		for i, key := range webhook.RecentKeys(w.tenant, shard) {
			for n := range webhook.MaxRecent {
				at := start.Add(time.Duration(n/130) * time.Millisecond).UnixMilli() // more at one instant than a read has
				id := fmt.Sprintf("msg_%d.%d.%d", shard, i, n)
				ids[id] = true
				pipe.ZAdd(tb.Context(), key, redis.Z{Score: float64(at), Member: fmt.Sprintf(`u%dx%d %d {"m":%q,"o":"delivered"}`, shard, i, n, id)})
			}
		}
		_, err := pipe.Exec(tb.Context())
		must(tb, err)
	}
	return ids
}

// BenchmarkPageOfAllAttempts is the first page of a tenant whose lists are all full, as with 10,000 webhooks.
func BenchmarkPageOfAllAttempts(b *testing.B) {
	w := newWorld(b, engine.Options{URL: redistest.Start(b, redistest.Options{}).URL()})
	w.fillRecent(b, webhook.Shards)
	for b.Loop() {
		_, err := w.Recent(b.Context(), w.tenant, everything, "", 50)
		must(b, err)
	}
}

func TestWhatMatchesIsSentAgain(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		rc := newReceiver(t, answering(http.StatusGone+3)) // 413
		var ways []topics.Way
		for range 3 {
			tp := w.topic(t, "", topics.Settings{})
			ways = append(ways, w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL}))
			w.publish(t, tp, "x", "y")
		}
		for _, way := range ways {
			w.reaches(t, way, "both failed", func(s webhook.Status) bool { return s.Failed == 2 && s.Sending == 0 })
		}
		rc.set(nil)
		f := webhook.RecentFilter{Others: true, Wanted: func(r *webhook.Recent) bool { return r.Topic != ways[1].Topic }}
		total, pages := int64(0), 0
		for after := ""; pages == 0 || after != ""; pages++ {
			n, next, err := w.ResendRecent(t.Context(), w.tenant, f, after, 3)
			must(t, err)
			total, after = total+n, next
		}
		if total != 4 || pages < 2 {
			t.Errorf("%d messages are sent again in %d pages, want 4 in several", total, pages)
		}
		for i, want := range []int64{2, 0, 2} {
			w.reaches(t, ways[i], "they arrived", func(s webhook.Status) bool { return s.Delivered == want && s.Sending == 0 })
		}
		if n, _, err := w.ResendRecent(t.Context(), w.tenant, f, "", 100); err != nil || n != 0 {
			t.Errorf("what arrived meanwhile was sent again: %d, %v", n, err)
		}
		must(t, w.topics.DeleteSubscription(t.Context(), w.tenant, ways[1].Topic, "a", topics.Condition{}))
		if n, _, err := w.ResendRecent(t.Context(), w.tenant, webhook.RecentFilter{Others: true}, "", 100); err != nil || n != 0 {
			t.Errorf("of a webhook that has ended %d messages were sent again: %v", n, err)
		}
	})
}
