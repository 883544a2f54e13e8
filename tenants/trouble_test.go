package tenants_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// troubles returns what went wrong for one tenant, asked for by its id and among all.
func (w *world) troubles(t *testing.T, id tenants.ID) (one tenants.Trouble, known bool) {
	t.Helper()
	some, err := w.Troubles(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	all, err := w.Troubles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one, known = some[id]
	if other, ok := all[id]; other != one || ok != known {
		t.Errorf("asked for it is %+v, among all %+v", one, other)
	}
	return one, known
}

func TestTroubleOfADayIsThatOfAllServers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme, well := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("well"), tenants.Settings{})
		one, two := tenants.NewMeter(w.Store), tenants.NewMeter(w.another())
		refuse := func(m *tenants.Meter, n int) {
			for range n {
				m.Refused(acme.ID)
			}
			m.Flush(t.Context())
		}
		one.AddRequest(well.ID, tenants.KindTenant, "", 1, 1)
		refuse(one, 3)
		two.Add(acme.ID, tenants.KindTenant, "", tenants.MetricUndelivered, 5)
		refuse(two, 4)
		one.AddRequest(acme.ID, tenants.KindQueue, "q", 1, 1) // which is no trouble, and takes none away
		refuse(one, 0)
		got, _ := w.troubles(t, acme.ID)
		if diff := cmp.Diff(tenants.Trouble{Throttled: 7, Undelivered: 5}, got); diff != "" {
			t.Errorf("in the first hour (-want +got):\n%s", diff)
		}
		if got, known := w.troubles(t, well.ID); known {
			t.Errorf("a tenant that is well has %+v", got)
		}

		w.clock.Advance(23 * time.Hour)
		two.Flush(t.Context()) // the counting of this hour begins
		refuse(two, 10)
		if got, _ := w.troubles(t, acme.ID); got != (tenants.Trouble{Throttled: 17, Undelivered: 5}) {
			t.Errorf("in a day: %+v", got)
		}
		w.clock.Advance(time.Hour)
		if got, _ := w.troubles(t, acme.ID); got != (tenants.Trouble{Throttled: 10}) {
			t.Errorf("an hour later: %+v", got)
		}

		if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		refuse(two, 1) // of a request that was under way
		if got, known := w.troubles(t, acme.ID); known {
			t.Errorf("a tenant that is gone has %+v", got)
		}
	})
}

// What nobody knows whether it arrived is said again, and is no trouble twice.
func TestTroubleWhoseAnswerIsLostCountsOnce(t *testing.T) {
	t.Parallel()
	for _, opt := range []engine.Options{{URL: redistest.URL(t)}, {URL: redistest.Memory(t), Memory: true}} {
		opt.Budget = 500 * time.Millisecond
		w := newWorld(t, opt)
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		m := tenants.NewMeter(w.Store)
		for range 3 {
			m.Refused(acme.ID)
			w.net.lose.Store(100)
			m.Flush(t.Context())
			w.net.lose.Store(0)
			m.Flush(t.Context())
		}
		if got, _ := w.troubles(t, acme.ID); got.Throttled != 3 {
			t.Errorf("got %+v, want 3 refusals", got)
		}
	}
}
