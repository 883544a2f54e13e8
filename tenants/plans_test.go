package tenants_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// onOwn runs f on a Redis of its own: plans belong to the installation.
func onOwn(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		f(t, newWorld(t, engine.Options{URL: redistest.Start(t, redistest.Options{NoAOF: true}).URL()}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func queuesAnd(queues, size int64) tenants.Limits {
	return tenants.Limits{tenants.LimitQueues: queues, tenants.LimitMessageSize: size}
}

func (w *world) mustPlan(t *testing.T, name string, l tenants.Limits) tenants.Plan {
	t.Helper()
	p, _, err := w.PutPlan(t.Context(), name, l, tenants.Condition{})
	if err != nil {
		t.Fatalf("PutPlan(%s): %v", name, err)
	}
	return p
}

// limits asks a server what a tenant may have.
func limits(t *testing.T, s *tenants.Store, id tenants.ID) tenants.Limits {
	t.Helper()
	terms, err := s.Terms(t.Context(), id)
	if err != nil {
		t.Fatalf("terms: %v", err)
	}
	return terms.Limits
}

func TestPlansAreMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, w *world) {
		p, created, err := w.PutPlan(t.Context(), "free", queuesAnd(5, 0), tenants.Condition{IfNoneMatch: "*"})
		want := tenants.Plan{Name: "free", Limits: queuesAnd(5, 0), CreatedAt: start, UpdatedAt: start, ETag: p.ETag}
		if diff := cmp.Diff(want, p); diff != "" || !created || err != nil {
			t.Fatalf("PutPlan: created %v, %v (-want +got):\n%s", created, err, diff)
		}
		w.clock.Advance(time.Minute)
		if same, created, err := w.PutPlan(t.Context(), "free", queuesAnd(5, 0), tenants.Condition{}); err != nil || created || !cmp.Equal(same, p) {
			t.Errorf("the same limits: created %v, %v, %+v", created, err, same)
		}
		want.Limits, want.UpdatedAt = queuesAnd(6, 2048), start.Add(time.Minute)
		p = w.mustPlan(t, "free", queuesAnd(6, 2048))
		want.ETag = p.ETag
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("other limits (-want +got):\n%s", diff)
		}
		w.mustPlan(t, "big", tenants.Limits{})
		all, err := w.another().Plans(t.Context())
		if err != nil || len(all) != 2 || !cmp.Equal(all.List()[1], p) {
			t.Errorf("Plans: %v, %+v", err, all)
		}
		for what, cond := range map[string]tenants.Condition{"another ETag": {IfMatch: "x"}, "none": {IfNoneMatch: "*"}} {
			if _, _, err := w.PutPlan(t.Context(), "free", queuesAnd(7, 0), cond); !errors.Is(err, tenants.ErrPrecondition) {
				t.Errorf("PutPlan with %s: %v", what, err)
			}
			if err := w.DeletePlan(t.Context(), "free", cond); !errors.Is(err, tenants.ErrPrecondition) {
				t.Errorf("DeletePlan with %s: %v", what, err)
			}
		}
		if _, _, err := w.PutPlan(t.Context(), "new", queuesAnd(7, 0), tenants.Condition{IfMatch: "*"}); !errors.Is(err, tenants.ErrPrecondition) {
			t.Errorf("PutPlan of a plan that must be there: %v", err)
		}
		if err := w.DeletePlan(t.Context(), "free", tenants.Condition{IfMatch: p.ETag}); err != nil {
			t.Errorf("DeletePlan: %v", err)
		}
		if _, err := w.GetPlan(t.Context(), "free"); !errors.Is(err, tenants.ErrPlanNotFound) {
			t.Errorf("GetPlan of a deleted one: %v", err)
		}
		if err := w.DeletePlan(t.Context(), "free", tenants.Condition{}); !errors.Is(err, tenants.ErrPlanNotFound) {
			t.Errorf("DeletePlan of a deleted one: %v", err)
		}
	})
}

func TestPlansThatAreRefused(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, w *world) {
		for _, name := range []string{"", "Free", "a/b", "-a", "a b"} {
			if _, _, err := w.PutPlan(t.Context(), name, tenants.Limits{}, tenants.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("PutPlan(%q): %v", name, err)
			}
		}
		for _, l := range []tenants.Limits{queuesAnd(-1, 0), queuesAnd(100_001, 0), queuesAnd(0, 1023)} {
			if _, _, err := w.PutPlan(t.Context(), "p", l, tenants.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("PutPlan(%v): %v", l, err)
			}
			if _, _, err := w.Put(t.Context(), w.name("t"), tenants.Settings{Limits: l}, tenants.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("Put(%v): %v", l, err)
			}
		}
		for i := range tenants.MaxPlans {
			w.mustPlan(t, fmt.Sprint("p", i), tenants.Limits{})
		}
		if _, _, err := w.PutPlan(t.Context(), "more", tenants.Limits{}, tenants.Condition{}); errs.KindOf(err) != errs.Quota {
			t.Errorf("one more: %v, want a refusal", err)
		}
		w.mustPlan(t, "p0", queuesAnd(1, 0))
		if _, _, err := w.Put(t.Context(), w.name("t"), tenants.Settings{Plan: "nothing"}, tenants.Condition{}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a tenant with a plan that is not there: %v", err)
		}
		if _, err := w.Get(t.Context(), w.name("t")); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("it was made all the same: %v", err)
		}
	})
}

func TestWhatHoldsForATenant(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, w *world) {
		other := w.another()
		w.mustPlan(t, "free", queuesAnd(5, 2048))
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{Plan: "free", Limits: queuesAnd(0, 4096)})
		plain := w.mustPut(t, w.name("plain"), tenants.Settings{})
		check := func(what string, want, wantPlain tenants.Limits) {
			t.Helper()
			for i, n := range tenants.Unlimited().Limits { // of which nobody says anything here
				if tenants.Limit(i) > tenants.LimitMessageSize {
					want[i], wantPlain[i] = n, n
				}
			}
			w.clock.Advance(2 * time.Second)
			other.Confirm(t.Context())
			for who, s := range map[string]*tenants.Store{"the server that changed it": w.Store, "another server": other} {
				if got := limits(t, s, tn.ID); got != want {
					t.Errorf("%s, on %s: got %v, want %v", what, who, got, want)
				}
				if got := limits(t, s, plain.ID); got != wantPlain {
					t.Errorf("%s, on %s: the tenant without a plan has %v, want %v", what, who, got, wantPlain)
				}
			}
		}
		check("at first", queuesAnd(5, 4096), queuesAnd(100_000, 1<<20))
		w.mustPlan(t, "free", queuesAnd(6, 0))
		check("after the plan changed", queuesAnd(6, 4096), queuesAnd(100_000, 1<<20))
		w.mustPlan(t, tenants.DefaultPlan, queuesAnd(3, 1024))
		check("with a default plan", queuesAnd(6, 4096), queuesAnd(3, 1024))
		w.mustPut(t, tn.Name, tenants.Settings{Limits: queuesAnd(9, 0)})
		check("after the tenant changed", queuesAnd(9, 1024), queuesAnd(3, 1024))
		if err := w.DeletePlan(t.Context(), tenants.DefaultPlan, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		check("without the default plan", queuesAnd(9, 1<<20), queuesAnd(100_000, 1<<20))
	})
}

func TestAPlanThatTenantsHaveIsNotDeleted(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, w *world) {
		w.mustPlan(t, "free", tenants.Limits{})
		w.mustPlan(t, "free0", tenants.Limits{}) // whose name comes behind "free/"
		remove := func() error { return w.DeletePlan(t.Context(), "free", tenants.Condition{}) }
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{Plan: "free"})
		w.mustPut(t, w.name("acme"), tenants.Settings{Plan: "free"})
		w.mustPut(t, w.name("more"), tenants.Settings{Plan: "free0"})
		if err := remove(); !errors.Is(err, tenants.ErrPlanInUse) || err.Error() != "plan_in_use: Tenants have this plan: 1 of them." {
			t.Errorf("of one tenant: %v", err)
		}
		w.mustPut(t, tn.Name, tenants.Settings{Plan: "free0"})
		if err := remove(); err != nil {
			t.Errorf("of none any more: %v", err)
		}
		w.mustPlan(t, "free", tenants.Limits{})
		w.mustPut(t, tn.Name, tenants.Settings{Plan: "free"})
		if err := w.Delete(t.Context(), tn.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		if err := remove(); err != nil {
			t.Errorf("of a tenant that is gone: %v", err)
		}
		// One whose making was left half done has it, and has it still when somebody has finished it.
		w.mustPlan(t, "free", queuesAnd(4, 0))
		half := w.another()
		half.SetStep(crashAfter("reserved"))
		if _, _, err := half.Put(t.Context(), w.name("half"), tenants.Settings{Plan: "free"}, tenants.Condition{}); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if err := remove(); !errors.Is(err, tenants.ErrPlanInUse) {
			t.Errorf("of a tenant that is being made: %v", err)
		}
		got, err := w.Get(t.Context(), w.name("half"))
		if err != nil || got.Plan != "free" || limits(t, w.Store, got.ID)[tenants.LimitQueues] != 4 {
			t.Errorf("the tenant whose making was left half done: %v, %+v", err, got)
		}
	})
}
