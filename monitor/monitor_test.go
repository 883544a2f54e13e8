package monitor_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

func TestASeriesSaysWhatAQueueHadAndDid(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.step(t)
		w.send(t, "orders", 5)
		w.step(t)
		w.take(t, "orders", 3, 1)
		w.step(t)
		w.step(t)
		got := w.series(t, "orders", 6*monitor.Step, monitor.Step)
		if !got.To.Equal(w.clock.Now().Add(monitor.Step)) || got.To.Sub(got.From) != 4*monitor.Step {
			t.Errorf("from %s to %s at %s", got.From, got.To, w.clock.Now())
		}
		for _, c := range []struct {
			name   string
			column int
			want   []int64
		}{
			{"available", monitor.Available, []int64{0, 5, 2, 2}},
			{"in flight", monitor.InFlight, []int64{0, 0, 1, 1}},
			{"sent", monitor.Sent, []int64{0, 5, 0, 0}},
			{"received", monitor.Received, []int64{0, 0, 3, 0}},
			{"deleted", monitor.Deleted, []int64{0, 0, 2, 0}},
		} {
			if diff := cmp.Diff(c.want, column(got, c.column)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
		if oldest := got.Points[3][monitor.Oldest]; oldest != start.Add(monitor.Step).UnixMilli() {
			t.Errorf("the oldest message is of %s", time.UnixMilli(oldest).UTC())
		}
		coarse := w.series(t, "orders", 60*time.Second, 60*time.Second)
		if diff := cmp.Diff([]int64{5}, column(coarse, monitor.Sent)); diff != "" {
			t.Errorf("in one minute (-want +got):\n%s", diff)
		}
	})
}

func TestOtherQueuesAndTenantsHaveSeriesOfTheirOwn(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "a")
		w.queue(t, "b")
		w.send(t, "a", 2)
		mine, theirs := w.tenant, w.newTenant(t)
		w.tenant = theirs
		w.queue(t, "a")
		w.send(t, "a", 7)
		w.step(t)
		last := func(tenant tenants.ID) int64 {
			s, err := w.Tenant(t.Context(), tenant, monitor.Step, monitor.Step)
			must(t, err)
			return s.Points[0][monitor.Available]
		}
		if a, b := last(mine), last(theirs); a != 2 || b != 7 {
			t.Errorf("tenants have %d and %d, want 2 and 7", a, b)
		}
		all, err := w.Installation(t.Context(), monitor.Step, monitor.Step)
		must(t, err)
		if n := all.Points[0][monitor.Sent]; n != 9 {
			t.Errorf("all have sent %d, want 9", n)
		}
		w.tenant = mine
		if n := w.series(t, "b", monitor.Step, monitor.Step).Points[0][monitor.Sent]; n != 0 {
			t.Errorf("a quiet queue has sent %d", n)
		}
		if _, err := w.Queue(t.Context(), theirs, "b", monitor.Step, monitor.Step); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("a queue of another tenant: got %v", err)
		}
	})
}

// calls counts what the engine did.
func (w *world) calls() (n int64) {
	for _, c := range w.engine.Outcomes() {
		n += c
	}
	return n
}

func TestAQueueThatRestsCostsNothing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.send(t, "orders", 3)
		w.step(t)
		w.step(t) // as before, so that is that
		before := w.calls()
		for range 10 {
			w.step(t)
		}
		if n := w.calls() - before; n != 0 {
			t.Errorf("%d calls for a queue that nobody uses", n)
		}
	})
}

// A lease ends without a call, and the series shows it, looked at less and less often.
func TestAQueueThatChangesWithTheTimeIsWatched(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.send(t, "orders", 1)
		w.take(t, "orders", 1, 1)
		w.step(t)
		before := w.calls()
		for range 12 {
			w.step(t)
		}
		got := column(w.series(t, "orders", 12*monitor.Step, 12*monitor.Step), monitor.Available)
		if got[0] != 1 {
			t.Errorf("after the end of the lease %d are available, want 1", got)
		}
		if n := w.calls() - before; n > 20 {
			t.Errorf("%d calls in two minutes", n)
		}
	})
}

// Two servers see the same queue: what they note is not counted twice, and each goes on where the other one stops.
func TestTwoServersNoteOneQueueOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		w.queue(t, "orders")
		for range 3 {
			w.send(t, "orders", 2)
			other.send(t, "orders", 3)
			w.clock.Advance(monitor.Step)
			must(t, w.Record(t.Context()))
			must(t, other.Record(t.Context()))
			must(t, w.Record(t.Context()))
		}
		for _, s := range []*world{w, other, w.another(t)} {
			if diff := cmp.Diff([]int64{5, 5, 5}, column(s.series(t, "orders", 3*monitor.Step, monitor.Step), monitor.Sent)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			all, err := s.Tenant(t.Context(), w.tenant, 3*monitor.Step, monitor.Step)
			must(t, err)
			if diff := cmp.Diff([]int64{5, 10, 15}, column(all, monitor.Available)); diff != "" {
				t.Errorf("of the tenant (-want +got):\n%s", diff)
			}
		}
	})
}

// A server that is killed is followed by one that knows nothing; what was noted stays and nothing is counted again.
func TestSeriesOutliveTheServer(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		for range 80 { // more than lie unpacked
			w.send(t, "orders", 1)
			w.step(t)
		}
		next := w.another(t)
		next.send(t, "orders", 1)
		next.step(t)
		want := slices.Repeat([]int64{1}, 81)
		if diff := cmp.Diff(want, column(next.series(t, "orders", 81*monitor.Step, monitor.Step), monitor.Sent)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		all, err := next.Tenant(t.Context(), w.tenant, 81*monitor.Step, monitor.Step)
		must(t, err)
		if diff := cmp.Diff(want, column(all, monitor.Sent)); diff != "" {
			t.Errorf("of the tenant (-want +got):\n%s", diff)
		}
	})
}

func TestADeletedQueueLeavesNothing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.queue(t, "stays")
		w.send(t, "orders", 3)
		w.send(t, "stays", 4)
		w.step(t)
		must(t, w.queues.Delete(t.Context(), w.tenant, "orders", queues.Condition{}))
		must(t, w.Sweep(t.Context(), w.tenant))
		must(t, w.Sweep(t.Context(), w.tenant)) // again: nothing is taken off twice
		w.step(t)
		all, err := w.Tenant(t.Context(), w.tenant, monitor.Step, monitor.Step)
		must(t, err)
		if n := all.Points[0][monitor.Available]; n != 4 {
			t.Errorf("%d messages, want 4", n)
		}
		w.queue(t, "orders") // another one of that name
		w.send(t, "orders", 1)
		w.step(t)
		if diff := cmp.Diff([]int64{1}, column(w.series(t, "orders", 3*monitor.Step, monitor.Step), monitor.Available)); diff != "" {
			t.Errorf("the new queue (-want +got):\n%s", diff)
		}
		for _, q := range []string{"orders", "stays"} {
			must(t, w.queues.Delete(t.Context(), w.tenant, q, queues.Condition{}))
		}
		must(t, w.Forget(t.Context(), w.tenant))
		must(t, w.Forget(t.Context(), w.tenant))
		if w.opt.Memory {
			return
		}
		keys, err := w.engine.Single().Keys(t.Context(), "*series*").Result()
		must(t, err)
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == engine.SystemKey("series") })
		if len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
		all, err = w.Installation(t.Context(), monitor.Step, monitor.Step)
		must(t, err)
		if n := all.Points[0][monitor.Available]; n != 0 {
			t.Errorf("the installation has %d messages, want 0", n)
		}
	})
}

// While Redis refuses new things the samples are missing, and sends and the next samples are not.
func TestAFullRedisLeavesAGap(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: s.URL()})
	w.queue(t, "orders")
	w.send(t, "orders", 1)
	w.step(t)
	must(t, w.engine.Single().ConfigSet(t.Context(), "maxmemory", "1").Err())
	w.take(t, "orders", 1, 0)
	w.clock.Advance(monitor.Step)
	if err := w.Record(t.Context()); !errors.Is(err, engine.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	must(t, w.engine.Single().ConfigSet(t.Context(), "maxmemory", "0").Err())
	w.step(t)
	if diff := cmp.Diff([]int64{1, 1, 0}, column(w.series(t, "orders", 3*monitor.Step, monitor.Step), monitor.Available)); diff != "" {
		t.Errorf("available (-want +got):\n%s", diff)
	}
}

func TestQueuesAreSortedByWhatTheyHave(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for i, name := range []string{"c", "a", "e", "b", "d"} {
			w.queue(t, name)
			w.send(t, name, []int{2, 5, 0, 5, 1}[i])
			w.clock.Advance(time.Second)
		}
		w.step(t)
		for _, tc := range []struct {
			order monitor.Order
			want  []string
		}{
			{monitor.Order{Column: "name"}, []string{"a", "b", "c", "d", "e"}},
			{monitor.Order{Column: "name", Descending: true}, []string{"e", "d", "c", "b", "a"}},
			{monitor.Order{Column: "available"}, []string{"e", "d", "c", "a", "b"}},
			{monitor.Order{Column: "available", Descending: true}, []string{"a", "b", "c", "d", "e"}},
			{monitor.Order{Column: "oldest_age", Descending: true}, []string{"c", "a", "b", "d", "e"}},
			{monitor.Order{Column: "available", Descending: true, Keep: func(n string) bool { return n != "b" }}, []string{"a", "c", "d", "e"}},
		} {
			for limit := 1; limit <= 6; limit++ {
				var got []string
				o := tc.order
				o.Limit = limit
				for {
					names, next, err := w.Sort(t.Context(), w.tenant, o)
					must(t, err)
					got = append(got, names...)
					if o.After = next; next == "" {
						break
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%+v in parts of %d (-want +got):\n%s", tc.order, limit, diff)
				}
			}
		}
		if _, _, err := w.Sort(t.Context(), w.tenant, monitor.Order{Column: "name", After: "x", Limit: 1}); !errors.Is(err, monitor.ErrPlace) {
			t.Errorf("a bad place: got %v", err)
		}
		w.clock.Advance(2 * time.Second)
		must(t, w.queues.Delete(t.Context(), w.tenant, "a", queues.Condition{}))
		names, _, err := w.Sort(t.Context(), w.tenant, monitor.Order{Column: "available", Descending: true, Limit: 2})
		must(t, err)
		if diff := cmp.Diff([]string{"b", "c"}, names); diff != "" {
			t.Errorf("after a deletion (-want +got):\n%s", diff)
		}
	})
}

func TestRatesAreThoseOfTheLastSpan(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.queue(t, "orders")
		w.queue(t, "rests")
		w.step(t)
		w.send(t, "orders", 20)
		w.take(t, "orders", 10, 0)
		w.step(t)
		got, err := w.Rates(t.Context(), w.tenant, "orders", "rests", "none")
		must(t, err)
		if diff := cmp.Diff([]monitor.Rates{{Sent: 2, Received: 1}, {}, {}}, got); diff != "" {
			t.Errorf("rates (-want +got):\n%s", diff)
		}
		for range 3 {
			w.step(t)
		}
		got, err = w.Rates(t.Context(), w.tenant, "orders")
		must(t, err)
		if got[0] != (monitor.Rates{}) {
			t.Errorf("half a minute later: %+v", got[0])
		}
	})
}

func TestTenantsAreSortedByTheirNewestSums(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := *w
		other.tenant = w.newTenant(t)
		w.queue(t, "one")
		w.queue(t, "two")
		other.queue(t, "one")
		w.send(t, "one", 2)
		w.send(t, "two", 3)
		other.send(t, "one", 4)
		w.step(t)
		rests := w.newTenant(t)
		got, err := w.Activity(t.Context(), other.tenant, rests, w.tenant)
		must(t, err)
		if got[0].Values[monitor.Available] != 4 || got[1] != (monitor.Activity{}) || got[2].Values[monitor.Available] != 5 || got[2].At != start.Add(monitor.Step) {
			t.Errorf("activity: %+v", got)
		}
		refs, err := w.tenants.Refs(t.Context(), "")
		must(t, err)
		var ids []tenants.ID
		for o := (monitor.Order{Column: "available", Descending: true, Limit: 2}); ; {
			part, next, err := w.SortTenants(t.Context(), refs, o)
			must(t, err)
			for _, r := range part {
				ids = append(ids, r.ID)
			}
			if o.After = next; next == "" {
				break
			}
		}
		if len(ids) != 3 || ids[0] != w.tenant || ids[1] != other.tenant || ids[2] != rests {
			t.Errorf("the order: %v", ids)
		}
		if _, _, err := w.SortTenants(t.Context(), refs, monitor.Order{Column: "name", After: "x", Limit: 1}); !errors.Is(err, monitor.ErrPlace) {
			t.Errorf("a bad place: got %v", err)
		}
	})
}

// A server that makes a thousand queues for the benchmark of a list.
func BenchmarkSort(b *testing.B) {
	w := newWorld(b, engine.Options{URL: redistest.Start(b, redistest.Options{NoAOF: true}).URL()})
	const n = 10_000
	for i := range n {
		w.queue(b, fmt.Sprintf("queue-%05d", i))
	}
	w.step(b)
	for b.Loop() {
		w.clock.Advance(3 * time.Second) // so that it is read again
		if _, _, err := w.Sort(b.Context(), w.tenant, monitor.Order{Column: "oldest_age", Descending: true, Limit: 50}); err != nil {
			b.Fatal(err)
		}
	}
}
