package auth_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
)

func TestAViewHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		operator, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.RevokeOperatorKey(t.Context(), operator.ID) }() // they are few and belong to all
		s, text := w.open(t, operator.Secret)
		beating, alone := w.another(), w.another()
		check := func(when string, server *world, want bool) {
			t.Helper()
			p, err := server.auth.Session(t.Context(), text, home)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			kind := auth.KindOperator
			if want {
				kind = auth.KindTenant
			}
			if p.Viewing != want || p.Kind != kind || (p.Tenant == w.tenant.ID) != want || p.KeyID != operator.ID || p.Grants.May(auth.MustScope("queues:write")) == want {
				t.Errorf("%s: %+v", when, p)
			}
		}
		everywhere := func(when string, want bool) {
			t.Helper()
			check(when, w, want)
			for range 2 {
				w.clock.Advance(2 * time.Second)
				beating.auth.Confirm(t.Context())
			}
			check(when+", on another server", beating, want)
			check(when+", on one that confirms nothing", alone, want)
		}
		everywhere("before", false)
		w.net.lose.Store(1)
		if s, err = w.auth.ViewAs(t.Context(), s, w.tenant.ID, w.tenant.Name); err != nil {
			t.Fatal(err)
		}
		everywhere("a view", true)
		check("a server that has just started", w.another(), true)
		if _, err = w.auth.EndView(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		everywhere("after the view", false)
		if _, err := w.auth.ViewAs(t.Context(), s, w.tenant.ID, w.tenant.Name); errs.KindOf(err) != errs.Conflict {
			t.Errorf("a change of what the session was before: %v", err)
		}
	})
}
