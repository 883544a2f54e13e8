package tenants_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

func (w *world) wantCalls(t *testing.T, when string, id tenants.ID, want ...int64) {
	t.Helper()
	keys := make([]string, len(want))
	for i := range keys {
		keys[i] = fmt.Sprint("key_", i)
	}
	got, err := w.KeyCalls(t.Context(), id, keys)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: calls of each key (-want +got):\n%s", when, diff)
	}
}

func TestTheCallsOfAKeyAreThoseOfTwentyFourHours(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme, beside := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("beside"), tenants.Settings{})
		meters := []*tenants.Meter{tenants.NewMeter(w.Store), tenants.NewMeter(w.another())}
		flush := func() {
			for _, m := range meters {
				m.Flush(t.Context())
			}
		}
		var wg sync.WaitGroup
		for _, m := range meters {
			wg.Go(func() {
				for i := range 50 {
					m.AddRequest(acme.ID, tenants.KindTenant, "", 0, 0)
					m.AddCall(acme.ID, fmt.Sprint("key_", i%2))
					m.AddCall(acme.ID, "") // who has signed in as a member
					m.AddCall(beside.ID, "key_0")
				}
			})
		}
		wg.Wait()
		flush()
		flush() // there is nothing more to say
		w.wantCalls(t, "of two servers", acme.ID, 50, 50, 0)
		w.wantCalls(t, "of the tenant beside it", beside.ID, 100, 0, 0)
		// What keys do is in no other sum, and is nobody's usage.
		if got := sums(w.usage(t, acme.ID, tenants.UsageQuery{})); got != (tenants.Counts{tenants.MetricRequests: 100}) {
			t.Errorf("in all: %v", got)
		}
		for _, by := range []tenants.Kind{tenants.KindQueue, tenants.KindTopic, tenants.KindKey} {
			if got := w.usage(t, acme.ID, tenants.UsageQuery{By: by}); len(got) != 0 {
				t.Errorf("by %c: %v", by, got)
			}
		}
		w.clock.Advance(23 * time.Hour)
		flush() // as it does at the end of an hour
		meters[0].AddCall(acme.ID, "key_1")
		flush()
		w.wantCalls(t, "in the 24th hour", acme.ID, 50, 51, 0)
		w.clock.Advance(time.Hour)
		w.wantCalls(t, "in the 25th hour", acme.ID, 0, 1, 0)
		if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		meters[0].AddCall(acme.ID, "key_0")
		flush()
		w.checkGone(t, acme)
	})
}

// An answer that is lost leaves it open whether the calls were heard. They are said again and count once.
func TestCallsWhoseAnswerIsLostCountOnce(t *testing.T) {
	t.Parallel()
	for _, opt := range []engine.Options{{URL: redistest.URL(t)}, {URL: redistest.Memory(t), Memory: true}} {
		opt.Budget = 500 * time.Millisecond
		w := newWorld(t, opt)
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		m := tenants.NewMeter(w.Store)
		m.AddCall(acme.ID, "key_0")
		m.Flush(t.Context())
		for range 3 {
			m.AddCall(acme.ID, "key_0")
			w.net.lose.Store(100)
			m.Flush(t.Context())
			w.net.lose.Store(0)
			m.Flush(t.Context())
		}
		w.wantCalls(t, "in the end", acme.ID, 4)
	}
}

// As many keys as a tenant may have are counted in an hour; they take nothing from its queues, and what they leave behind goes by itself.
func TestTheCallsOfSoManyKeysAreCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		m := tenants.NewMeter(w.Store)
		const most = 1000
		ids := make([]string, most+30)
		for range 2 {
			for i := range ids {
				ids[i] = fmt.Sprintf("key_%04d", i)
				m.AddCall(acme.ID, ids[i])
			}
			for i := range tenants.MaxUsageSeries {
				m.Add(acme.ID, tenants.KindQueue, fmt.Sprint("q", i), tenants.MetricSent, 1)
			}
			m.Flush(t.Context())
		}
		got, err := w.KeyCalls(t.Context(), acme.ID, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range got {
			if want := int64(2); i < most && n != want || i >= most && n != 0 {
				t.Fatalf("%s has %d calls", ids[i], n)
			}
		}
		if list := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindQueue}); len(list) != tenants.MaxUsageSeries || list[len(list)-1].Others {
			t.Errorf("there are %d queues, the last is %+v", len(list), list[len(list)-1])
		}
		n := 0
		for _, key := range w.keys(t, acme.ID) {
			if strings.Contains(key, ":calls-h") {
				n++
				if left := w.redis.PTTL(t.Context(), key).Val(); left <= 25*time.Hour || left > 26*time.Hour {
					t.Errorf("%s is kept for %s", key, left)
				}
			}
		}
		if n != 1 {
			t.Errorf("there are %d hours of calls", n)
		}
	})
}
