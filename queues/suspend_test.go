package queues_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

func TestSchedulesOfASuspendedTenantSendNothing(t *testing.T) {
	scheduleEngines(t, func(t *testing.T, b *bench) {
		store := tenants.New(b.engine, b.clock)
		tn, err := store.ByID(t.Context(), b.tenant)
		if err != nil {
			t.Fatal(err)
		}
		q := b.queue(t, nil)
		b.schedule(t, q, "s", every(time.Minute))
		for i, mode := range []tenants.Mode{tenants.ModeSend, tenants.ModeAll} {
			if _, err := store.Suspend(t.Context(), tn.Name, mode, "unpaid", tenants.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Minute)
			b.tick(t)
			same(t, "while it is suspended", tally{Errors: int64(i) + 1}, b.tally(t, q, "s"))
		}
		if e := b.look(t, q, "s").LastError; e.Code != "tenant_suspended" {
			t.Errorf("the last error is %+v", e)
		}
		if _, err := store.Resume(t.Context(), tn.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
		b.tick(t)
		same(t, "after the end", tally{Runs: 1, Errors: 2, Sent: 1}, b.tally(t, q, "s"))
	})
}
