package topics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// mayStore gives the tenant a limit of stored bytes.
func (w *world) mayStore(tb testing.TB, most int64) {
	tb.Helper()
	tn, err := w.tenants.ByID(tb.Context(), w.tenant)
	must(tb, err)
	_, err = w.tenants.Update(tb.Context(), tn.Name, tenants.Condition{}, func(set tenants.Settings) (tenants.Settings, error) {
		set.Limits[tenants.LimitStored] = most
		return set, nil
	})
	must(tb, err)
}

// A tenant that is full publishes nothing more. What was published waits in the log for room in the queues, and all of it
// arrives, in its order, when they are emptied.
func TestWhatIsPublishedCountsAndArrives(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.mayStore(t, 1<<20)
		tp := w.topic(t, topics.Settings{})
		names := []string{w.queue(t, "", nil), w.queue(t, "", nil), w.queue(t, "", nil)}
		for _, name := range names {
			w.subscribe(t, tp, name, topics.SubscriptionSettings{Queue: name})
		}
		body := func(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", 20_000)) }
		n := 0
		for ; ; n++ {
			_, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body(n))})
			if tenants.IsStorageFull(err) {
				break
			}
			must(t, err)
			if n > 60 {
				t.Fatal("a tenant that may store 1 MiB has published more")
			}
		}
		got := map[string][]string{}
		until(t, "all has arrived", func() bool {
			w.clock.Advance(time.Minute)
			done := true
			for _, name := range names {
				list, err := w.queues.Receive(t.Context(), w.tenant, name, queues.ReceiveOptions{Max: 10, AutoAck: true})
				must(t, err)
				for _, m := range list {
					got[name] = append(got[name], m.Body)
				}
				done = done && len(got[name]) >= n
			}
			return done
		})
		for _, name := range names {
			for i, b := range got[name] {
				if b != body(i) {
					t.Fatalf("queue %s got %q as message %d of %d", name, b[:5], i, n)
				}
			}
		}
		until(t, "there is room again", func() bool {
			w.clock.Advance(time.Minute)
			_, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body(n))})
			return err == nil
		})
		must(t, w.Delete(t.Context(), w.tenant, tp, topics.Condition{}))
		granted, err := w.engine.Single().HKeys(t.Context(), engine.TenantKey(w.tenant.String(), "stored")).Result()
		if err != nil || strings.Contains(strings.Join(granted, " "), "t/") {
			t.Errorf("after the topic was deleted there are grants of %q, %v", granted, err)
		}
	})
}
