package tenants_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// usage returns all usage that a query asks for, in small parts.
func (w *world) usage(t *testing.T, id tenants.ID, q tenants.UsageQuery) []tenants.Usage {
	t.Helper()
	if q.Granularity == "" {
		q.Granularity = tenants.ByHour
	}
	if q.To.IsZero() {
		q.To = w.clock.Now().Add(time.Hour)
	}
	var all []tenants.Usage
	for after := ""; ; {
		list, next, err := w.Usage(t.Context(), id, q, 3, after)
		if err != nil {
			t.Fatalf("Usage: %v", err)
		}
		all = append(all, list...)
		if next == "" {
			return all
		}
		after = next
	}
}

func sums(list []tenants.Usage) (c tenants.Counts) {
	for _, u := range list {
		for i, n := range u.Counts {
			c[i] += n
		}
	}
	return c
}

func TestUsageOfManyServersIsExact(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme, beside := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("beside"), tenants.Settings{})
		meters := []*tenants.Meter{tenants.NewMeter(w.Store), tenants.NewMeter(w.another())}
		var wg sync.WaitGroup
		const rounds = 50
		for _, m := range meters {
			for range 4 {
				wg.Go(func() {
					for i := range rounds {
						m.AddRequest(acme.ID, tenants.KindQueue, fmt.Sprint("q", i%5), 3, 7)
						m.Add(acme.ID, tenants.KindQueue, fmt.Sprint("q", i%5), tenants.MetricSent, 2)
						m.Add(acme.ID, tenants.KindTopic, "news", tenants.MetricPublished, 1)
						m.AddRequest(acme.ID, tenants.KindTenant, "", 0, 1)
						m.Add(beside.ID, tenants.KindQueue, "q1", tenants.MetricReceived, 1)
						if i%10 == 0 {
							m.Flush(t.Context())
						}
					}
				})
			}
		}
		wg.Wait()
		for _, m := range meters {
			m.Flush(t.Context())
			m.Flush(t.Context()) // there is nothing more to say
		}
		const n = 8 * rounds
		var want tenants.Counts
		want[tenants.MetricRequests], want[tenants.MetricBytesIn], want[tenants.MetricBytesOut] = 2*n, 3*n, 8*n
		want[tenants.MetricSent], want[tenants.MetricPublished] = 2*n, n
		for _, g := range []tenants.Granularity{tenants.ByHour, tenants.ByDay} {
			if diff := cmp.Diff(want, sums(w.usage(t, acme.ID, tenants.UsageQuery{Granularity: g}))); diff != "" {
				t.Errorf("by %s (-want +got):\n%s", g, diff)
			}
		}
		queues := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindQueue})
		if got := sums(queues); len(queues) != 5 || got[tenants.MetricSent] != 2*n || got[tenants.MetricRequests] != n || got[tenants.MetricPublished] != 0 {
			t.Errorf("by queue: %v", queues)
		}
		one := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindQueue, Name: "q3"})
		if len(one) != 1 || one[0].Name != "q3" || one[0].Counts[tenants.MetricSent] != 2*n/5 || !one[0].Start.Equal(start.Truncate(time.Hour)) {
			t.Errorf("of one queue: %v", one)
		}
		topics := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindTopic})
		if len(topics) != 1 || topics[0].Counts[tenants.MetricPublished] != n {
			t.Errorf("by topic: %v", topics)
		}
		seen := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindQueue, Sees: func(name string) bool { return name == "q2" }})
		if len(seen) != 1 || seen[0].Name != "q2" {
			t.Errorf("by queue, as who sees one: %v", seen)
		}
		if got := sums(w.usage(t, beside.ID, tenants.UsageQuery{})); got != (tenants.Counts{tenants.MetricReceived: n}) {
			t.Errorf("the tenant beside it: %v", got)
		}
	})
}

// An answer that is lost leaves it open whether a statement was heard. It is made again and counts once.
func TestUsageWhoseAnswerIsLostCountsOnce(t *testing.T) {
	t.Parallel()
	for _, opt := range []engine.Options{{URL: redistest.URL(t)}, {URL: redistest.Memory(t), Memory: true}} {
		opt.Budget = 500 * time.Millisecond
		w := newWorld(t, opt)
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		m := tenants.NewMeter(w.Store)
		add := func() { m.AddRequest(acme.ID, tenants.KindQueue, "q", 1, 1) }
		add()
		m.Flush(t.Context())
		for range 3 {
			add()
			w.net.lose.Store(100)
			m.Flush(t.Context())
			add() // it belongs to the next statement
			m.Flush(t.Context())
			w.net.lose.Store(0)
			m.Flush(t.Context())
		}
		if got := sums(w.usage(t, acme.ID, tenants.UsageQuery{})); got[tenants.MetricRequests] != 7 || got[tenants.MetricBytesIn] != 7 {
			t.Errorf("got %v, want 7 requests", got)
		}
	}
}

func TestUsageIsKeptByTheServerWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	w := newWorld(t, engine.Options{URL: server.URL(), Budget: 500 * time.Millisecond})
	acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
	m := tenants.NewMeter(w.Store)
	m.Add(acme.ID, tenants.KindQueue, "q", tenants.MetricSent, 1)
	server.Stop()
	m.Flush(t.Context())
	w.clock.Advance(time.Hour)
	m.Flush(t.Context())
	m.Add(acme.ID, tenants.KindQueue, "q", tenants.MetricSent, 10)
	m.Flush(t.Context())
	server.Restart()
	until(t, "what was counted has arrived", func() bool {
		m.Flush(t.Context())
		list, _, err := w.Usage(t.Context(), acme.ID, tenants.UsageQuery{Granularity: tenants.ByHour, To: w.clock.Now().Add(time.Hour)}, 10, "")
		return err == nil && len(list) == 2
	})
	list := w.usage(t, acme.ID, tenants.UsageQuery{})
	if list[0].Counts[tenants.MetricSent] != 1 || list[1].Counts[tenants.MetricSent] != 10 || list[1].Start.Sub(list[0].Start) != time.Hour {
		t.Errorf("got %v, want 1 in the first hour and 10 in the second", list)
	}
}

// until polls a condition for at most a minute.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in a minute: %s", what)
		}
	}
}

func TestUsageBelongsToItsHourAndIsForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		m := tenants.NewMeter(w.Store)
		const days = 410
		for range days {
			m.Add(acme.ID, tenants.KindQueue, "q", tenants.MetricSent, 1)
			m.Flush(t.Context())
			w.clock.Advance(24 * time.Hour)
			m.Flush(t.Context())
		}
		if err := w.PruneUsage(t.Context(), acme.ID); err != nil {
			t.Fatal(err)
		}
		now := w.clock.Now()
		for g, want := range map[tenants.Granularity]int{tenants.ByHour: 6, tenants.ByDay: 399} { // nothing was done today
			got := w.usage(t, acme.ID, tenants.UsageQuery{Granularity: g})
			if len(got) < want || len(got) > want+1 || !got[len(got)-1].Start.After(now.Add(-49*time.Hour)) {
				t.Errorf("by %s there are %d entries, want %d", g, len(got), want)
			}
		}
		if keys := w.keys(t, acme.ID); len(keys) > 420 {
			t.Errorf("the tenant has %d keys", len(keys))
		}
		week := w.usage(t, acme.ID, tenants.UsageQuery{Granularity: tenants.ByDay, From: now.Add(-8 * 24 * time.Hour), To: now.Add(-24 * time.Hour)})
		if len(week) != 7 {
			t.Errorf("of a week there are %d days", len(week))
		}
		if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		m.Add(acme.ID, tenants.KindQueue, "q", tenants.MetricSent, 1)
		m.Flush(t.Context())
		w.checkGone(t, acme)
	})
}

func TestUsageIsCountedForSoManyQueues(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		meters := []*tenants.Meter{tenants.NewMeter(w.Store), tenants.NewMeter(w.another())}
		const n = tenants.MaxUsageSeries + 30
		for range 2 {
			for _, m := range meters {
				for i := range n {
					m.Add(acme.ID, tenants.KindQueue, fmt.Sprintf("q%04d", i), tenants.MetricSent, 1)
				}
				m.Flush(t.Context())
			}
		}
		list := w.usage(t, acme.ID, tenants.UsageQuery{By: tenants.KindQueue})
		last := list[len(list)-1]
		if len(list) != tenants.MaxUsageSeries+1 || !last.Others || last.Name != "" || last.Counts[tenants.MetricSent] != 4*30 {
			t.Errorf("there are %d queues, the last is %+v", len(list), last)
		}
		if got := sums(list); got[tenants.MetricSent] != 4*n {
			t.Errorf("the queues have %v in all, want %d", got, 4*n)
		}
		if got := sums(w.usage(t, acme.ID, tenants.UsageQuery{})); got[tenants.MetricSent] != 4*n {
			t.Errorf("the tenant has %v in all, want %d", got, 4*n)
		}
	})
}

func TestUsageSaysWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: server.URL(), Budget: 500 * time.Millisecond})
	acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
	server.Kill9()
	_, _, err := w.Usage(t.Context(), acme.ID, tenants.UsageQuery{Granularity: tenants.ByHour, To: w.clock.Now()}, 1, "")
	if errs.KindOf(err) != errs.Unavailable || errors.Is(err, engine.ErrUnknown) {
		t.Errorf("got %v, want that Redis is away", err)
	}
}

func BenchmarkMeter(b *testing.B) {
	w := newWorld(b, engine.Options{URL: redistest.URL(b)})
	m := tenants.NewMeter(w.Store)
	id := tenants.ID{}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.AddRequest(id, tenants.KindQueue, "orders", 100, 200)
		}
	})
}
