package tenants_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// node is a server that limits tenants.
type node struct {
	*tenants.Limiter
	store *tenants.Store
	eng   *engine.Engine
}

// nodes starts servers on the Redis of w, by its clock.
func (w *world) nodes(t testing.TB, opt engine.Options, n int) []*node {
	t.Helper()
	list := make([]*node, n)
	for i := range list {
		o := opt
		o.TestNow, o.Clock = func() int64 { return w.clock.Now().UnixMilli() }, w.clock
		e, err := engine.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		if err := e.StartSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		store := tenants.New(e, w.clock)
		list[i] = &node{Limiter: tenants.NewLimiter(store), store: store, eng: e}
	}
	for _, s := range list {
		s.Settle(t.Context()) // counts the servers
	}
	return list
}

// onServers runs f with n servers, on real Redis and in memory, each of their own: servers are counted.
func onServers(t *testing.T, n int, f func(t *testing.T, w *world, nodes []*node)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		opt := engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()}
		w := newWorld(t, opt)
		f(t, w, w.nodes(t, opt, n))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		opt := engine.Options{URL: redistest.Memory(t), Memory: true}
		w := newWorld(t, opt)
		f(t, w, w.nodes(t, opt, n))
	})
}

func (w *world) limited(t testing.TB, name string, l tenants.Limits) (tenants.ID, *tenants.Terms) {
	t.Helper()
	tn, _, err := w.Put(t.Context(), w.name(name), tenants.Settings{Limits: l}, tenants.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	terms, err := w.Terms(t.Context(), tn.ID)
	if err != nil {
		t.Fatal(err)
	}
	return tn.ID, terms
}

// drive lets time pass in steps of 10 ms. Each server gets so many requests a second, and settles every 200 ms, not all
// at the same time. It returns how many each let through.
func (w *world) drive(t *testing.T, nodes []*node, d time.Duration, ask func(*node) error, perSecond ...float64) (admitted []int, asked int) {
	t.Helper()
	admitted = make([]int, len(nodes))
	pending := make([]float64, len(nodes))
	for step := range int(d / (10 * time.Millisecond)) {
		w.clock.Advance(10 * time.Millisecond)
		for i, s := range nodes {
			for pending[i] += perSecond[i] / 100; pending[i] >= 1; pending[i]-- {
				asked++
				if err := ask(s); err == nil {
					admitted[i]++
				} else if !errors.Is(err, tenants.ErrRateLimited) {
					t.Fatalf("refused with %v", err)
				}
			}
			if step%20 == (3*i)%20 {
				s.Settle(t.Context())
			}
		}
	}
	return admitted, asked
}

func sum(list []int) (n int) {
	for _, i := range list {
		n += i
	}
	return n
}

func TestARateIsKeptOverAllServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		limit     int64
		perSecond []float64 // demand at each server
		want      float64   // a second
	}{
		{"one server far over it", 100, []float64{5000}, 100},
		{"two servers far over it", 100, []float64{5000, 5000}, 100},
		{"one of two servers over it", 100, []float64{2000, 0}, 100},
		{"most on one of two servers", 100, []float64{1000, 50}, 100},
		{"two servers, each below it", 100, []float64{80, 70}, 100},
		{"two servers, together below it", 100, []float64{60, 33}, 93},
		{"three servers", 50, []float64{400, 100, 30}, 50},
		{"a large rate", 3000, []float64{6000, 5000}, 3000},
		{"a small rate", 2, []float64{50, 50}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onServers(t, len(c.perSecond), func(t *testing.T, w *world, nodes []*node) {
				id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitRequests: c.limit})
				ask := func(s *node) error {
					_, err := s.Admit(id, terms, 0)
					return err
				}
				// At first the bucket is full: one second's worth more than the rate, and no more.
				first, _ := w.drive(t, nodes, 4*time.Second, ask, c.perSecond...)
				if most := 5.05*float64(c.limit) + float64(len(nodes)); float64(sum(first)) > most {
					t.Errorf("in the first 4 s: %v, more than %.0f", first, most)
				}
				const seconds = 20
				got, asked := w.drive(t, nodes, seconds*time.Second, ask, c.perSecond...)
				rate := float64(sum(got)) / seconds
				if math.Abs(rate-c.want) > c.want/20 {
					t.Errorf("%v of %d requests in %d s are %.1f a second, want %.0f within 5 %%", got, asked, seconds, rate, c.want)
				}
				if c.want < float64(c.limit) && sum(got) != asked {
					t.Errorf("below the limit %d of %d were refused", asked-sum(got), asked)
				}
				t.Logf("%.1f a second, %v", rate, got)
			})
		})
	}
}

func TestABurstOfOneSecondIsLetThrough(t *testing.T) {
	t.Parallel()
	onServers(t, 1, func(t *testing.T, w *world, nodes []*node) {
		s := nodes[0]
		id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitRequests: 10})
		other, others := w.limited(t, "other", tenants.Limits{tenants.LimitRequests: 10})
		free, unlimited := w.limited(t, "free", tenants.Limits{})
		for round := range 3 {
			for i := range 10 {
				r, err := s.Admit(id, terms, 0)
				if err != nil {
					t.Fatalf("round %d, request %d: %v", round, i, err)
				}
				if round == 0 && (r.Policy[0] != `"requests_per_second";q=10;w=1` || r.Left != int64(9-i) || r.Limit != tenants.LimitRequests) {
					t.Errorf("request %d: %+v", i, r)
				}
			}
			_, err := s.Admit(id, terms, 0)
			e, ok := errors.AsType[*errs.Error](err)
			if !ok || e.Kind != errs.RateLimited || e.RetryAfter < time.Second || e.Usage == nil || e.Usage.Limit != 10 {
				t.Fatalf("round %d: one more: %+v", round, err)
			}
			// Nobody else is concerned.
			if _, err := s.Admit(other, others, 0); err != nil {
				t.Errorf("another tenant: %v", err)
			}
			for range 100 {
				if r, err := s.Admit(free, unlimited, 0); err != nil || r.Policy != nil {
					t.Fatalf("a tenant without limits: %v, %+v", err, r)
				}
			}
			for range 10 {
				s.Settle(t.Context())
				w.clock.Advance(200 * time.Millisecond)
			}
		}
	})
}

func TestBytesAreChargedAfterwards(t *testing.T) {
	t.Parallel()
	onServers(t, 1, func(t *testing.T, w *world, nodes []*node) {
		s := nodes[0]
		id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitBytesIn: 2000, tenants.LimitBytesOut: 1024})
		admit := func(in int64) bool {
			_, err := s.Admit(id, terms, in)
			return err == nil
		}
		wait := func(d time.Duration) {
			for range d / (200 * time.Millisecond) {
				w.clock.Advance(200 * time.Millisecond)
				s.Settle(t.Context())
			}
		}
		if !admit(10_000) { // five seconds' worth
			t.Fatal("a large request is refused although nothing was used")
		}
		if admit(0) {
			t.Error("the next one is let through")
		}
		wait(3600 * time.Millisecond)
		if admit(0) {
			t.Error("after 3.6 s the next one is let through, of what takes 4")
		}
		wait(800 * time.Millisecond)
		if !admit(-1) {
			t.Error("after 4.4 s the next one is refused")
		}
		s.Charge(id, terms, 100, 4096)
		if admit(0) {
			t.Error("after an answer of four seconds' worth the next request is let through")
		}
		wait(4 * time.Second)
		if !admit(0) {
			t.Error("four seconds later it is refused")
		}
	})
}

func TestATenantThatRestsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	onServers(t, 2, func(t *testing.T, w *world, nodes []*node) {
		id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitRequests: 10, tenants.LimitBytesIn: 5000})
		for _, s := range nodes {
			if _, err := s.Admit(id, terms, 20_000); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 * 5 { // until its debt is paid
			w.clock.Advance(200 * time.Millisecond)
			for _, s := range nodes {
				s.Settle(t.Context())
			}
		}
		if left, err := w.redis.HGetAll(t.Context(), engine.SystemKey("rates")).Result(); err != nil || len(left) != 0 {
			t.Errorf("Redis holds %v, %v", left, err)
		}
		if n := nodes[0].Accounts() + nodes[1].Accounts(); n != 0 {
			t.Errorf("the servers hold %d accounts", n)
		}
		// And begins with a full bucket.
		got, _ := w.drive(t, nodes, 200*time.Millisecond, func(s *node) error {
			_, err := s.Admit(id, terms, 0)
			return err
		}, 1000, 1000)
		if sum(got) < 10 || sum(got) > 12 {
			t.Errorf("a burst after the rest: %v, want 10, and 2 for the time that it takes", got)
		}
	})
}

// A tenant that comes back at the very moment at which its shares are given back is let through, and that counts.
func TestATenantThatComesBackIsLetThrough(t *testing.T) {
	t.Parallel()
	onServers(t, 2, func(t *testing.T, w *world, nodes []*node) {
		id, terms := w.limited(t, "comes-back", tenants.Limits{tenants.LimitRequests: 10})
		s := nodes[0]
		ask := func() bool {
			_, err := s.Admit(id, terms, 0)
			return err == nil
		}
		for range 3 {
			if !ask() {
				t.Fatal("the first request is refused")
			}
			s.Settle(t.Context())
			w.clock.Advance(2 * time.Second)
			admitted := 0
			s.SettleMeanwhile(t.Context(), func() {
				for range 20 {
					if ask() {
						admitted++
					}
				}
			})
			if admitted != 5 {
				t.Errorf("%d of 20 requests are let through while shares are given back, want those of the advance, 5", admitted)
			}
			if ask() {
				t.Error("and then one more")
			}
			s.Settle(t.Context())
			for range 20 {
				if ask() {
					admitted++
				}
			}
			if admitted > 10 {
				t.Errorf("%d are let through at once, want at most the 10 of a second", admitted)
			}
			for range 5 { // until what was given is given back
				w.clock.Advance(2 * time.Second)
				s.Settle(t.Context())
			}
		}
		if s.Accounts() != 0 {
			t.Errorf("%d accounts are left", s.Accounts())
		}
	})
}

func TestALimitThatChangesHoldsFromThenOn(t *testing.T) {
	t.Parallel()
	onServers(t, 2, func(t *testing.T, w *world, nodes []*node) {
		id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitRequests: 100})
		ask := func(s *node) error {
			_, err := s.Admit(id, terms, 0)
			return err
		}
		w.drive(t, nodes, 3*time.Second, ask, 500, 500)
		for _, limit := range []int64{20, 400, 0} {
			terms = &tenants.Terms{Limits: tenants.Limits{tenants.LimitRequests: limit}}
			w.drive(t, nodes, 2*time.Second, ask, 500, 500)
			got, asked := w.drive(t, nodes, 10*time.Second, ask, 500, 500)
			want := float64(limit) * 10
			if limit == 0 {
				want = float64(asked)
			}
			if n := float64(sum(got)); math.Abs(n-want) > want/20 {
				t.Errorf("with a limit of %d: %v, want %.0f", limit, got, want)
			}
		}
	})
}

func TestWithoutRedisATenantHasWhatItsServersHave(t *testing.T) {
	t.Parallel()
	onServers(t, 1, func(t *testing.T, w *world, nodes []*node) {
		s := nodes[0]
		id, terms := w.limited(t, "acme", tenants.Limits{tenants.LimitRequests: 10})
		if err := s.eng.Close(); err != nil {
			t.Fatal(err)
		}
		got, _ := w.drive(t, nodes, 5*time.Second, func(s *node) error {
			_, err := s.Admit(id, terms, 0)
			return err
		}, 100)
		if sum(got) != 10 {
			t.Errorf("%v were let through, want the advance of 10", got)
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	opt := engine.Options{URL: redistest.URL(b)}
	w := newWorld(b, opt)
	s := w.nodes(b, opt, 1)[0]
	for _, c := range []struct {
		name string
		l    tenants.Limits
	}{{"without a limit", tenants.Limits{}}, {"three limits", tenants.Limits{tenants.LimitRequests: 1e6, tenants.LimitBytesIn: 1 << 40, tenants.LimitBytesOut: 1 << 40}}} {
		b.Run(c.name, func(b *testing.B) {
			id, _ := w.limited(b, fmt.Sprint("t", len(c.name)), c.l)
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				if n%500_000 == 0 { // before its tokens are spent
					w.clock.Advance(time.Second)
					s.Settle(b.Context())
				}
				terms, err := w.Terms(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Admit(id, terms, 256); err != nil {
					b.Fatal(err)
				}
				s.Charge(id, terms, 0, 100)
			}
		})
	}
}
