package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

func TestATenantsKeyActsForItsTenantOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p, err := w.auth.Authenticate(t.Context(), w.newKey(t).Secret.Reveal(), home)
		if err != nil {
			t.Fatal(err)
		}
		other := w.newTenant(t)
		before := w.calls()
		for _, header := range []string{"", w.tenant.Name} {
			if id, err := w.auth.Resolve(t.Context(), p, header); id != w.tenant.ID || err != nil {
				t.Errorf("Tenant: %q: %v, %v; want its own", header, id, err)
			}
		}
		_, existing := w.auth.Resolve(t.Context(), p, other.Name)
		for _, header := range []string{"nobody", strings.ToUpper(w.tenant.Name), " " + w.tenant.Name, w.tenant.ID.String(), strings.Repeat("x", 9000)} {
			id, err := w.auth.Resolve(t.Context(), p, header)
			if !id.IsZero() || !errors.Is(err, tenants.ErrNotFound) || err.Error() != existing.Error() {
				t.Errorf("Tenant: %.40q: %v, %v; want what another tenant's name gives: %v", header, id, err, existing)
			}
		}
		if n := w.calls() - before; n != 0 {
			t.Errorf("%d calls to Redis, want none: their time would tell which tenants exist", n)
		}
	})
}

func TestAnOperatorNamesTheTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.auth.Authenticate(t.Context(), made.Secret.Reveal(), home)
		if err != nil {
			t.Fatal(err)
		}
		before := w.calls()
		for range 100 {
			if id, err := w.auth.Resolve(t.Context(), p, w.tenant.Name); id != w.tenant.ID || err != nil {
				t.Fatalf("Resolve: %v, %v", id, err)
			}
		}
		if n := w.calls() - before; n != 2 {
			t.Errorf("%d calls to Redis, want the 2 of the first look-up", n)
		}
		_, err = w.auth.Resolve(t.Context(), p, "")
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Kind != errs.Invalid || e.Code != "tenant_required" || !strings.Contains(e.Fix, "Tenant: ") || e.Fields[0].Header != "Tenant" {
			t.Errorf("without the header: %+v", err)
		}
		for _, header := range []string{"nobody-of-that-name", "Not A Name", strings.Repeat("x", 9000)} {
			if _, err := w.auth.Resolve(t.Context(), p, header); !errors.Is(err, tenants.ErrNotFound) {
				t.Errorf("Tenant: %.40q: got %v, want tenants.ErrNotFound", header, err)
			}
		}
		if _, err := w.auth.Resolve(t.Context(), auth.Principal{}, w.tenant.Name); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("nobody: got %v, want ErrUnauthenticated", err)
		}
	})
}

func TestATenantThatWasDeletedIsNotResolvedForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true, Budget: 300 * time.Millisecond})
	operator := auth.Principal{Kind: auth.KindOperator}
	if _, err := w.auth.Resolve(t.Context(), operator, w.tenant.Name); err != nil {
		t.Fatal(err)
	}
	if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(4 * time.Second)
	if _, err := w.auth.Resolve(t.Context(), operator, w.tenant.Name); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("after 4 s: got %v, want tenants.ErrNotFound", err)
	}
	w.net.cut()
	if _, err := w.auth.Resolve(t.Context(), operator, w.tenant.Name); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("without Redis: got %v, want ErrUnavailable", err)
	}
}
