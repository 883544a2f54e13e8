package webhook_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// suspend keeps the tenant of a world from acting, or with "" ends that.
func (w *world) suspend(t *testing.T, mode tenants.Mode) {
	t.Helper()
	tn, err := w.tenants.ByID(t.Context(), w.tenant)
	must(t, err)
	if mode == "" {
		_, err = w.tenants.Resume(t.Context(), tn.Name, tenants.Condition{})
	} else {
		_, err = w.tenants.Suspend(t.Context(), tn.Name, mode, "", tenants.Condition{})
	}
	must(t, err)
}

func TestNothingLeavesForASuspendedTenantAndAllOfItWhenItIsResumed(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 1})
		w.publish(t, tp, "waits for its second attempt")
		w.reaches(t, way, "an attempt", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		rc.set(nil)

		w.suspend(t, tenants.ModeAll)
		w.publish(t, tp, numbered(20)...) // as an operator can, and as what was published just before comes
		w.reaches(t, way, "they wait", func(s webhook.Status) bool { return s.Pending == 21 })
		other := newReceiver(t, nil)
		mine := w.tenant
		w.tenant = w.newTenant(t)
		theirs := w.hook(t, w.topic(t, "", topics.Settings{}), "a", webhook.Endpoint{URL: other.URL})
		w.publish(t, theirs.Topic, "for another tenant")
		other.comes(t, 1)
		w.tenant = mine

		var asked atomic.Int64
		w.SetStep(func(done string) error {
			if done == "settling" {
				asked.Add(1)
			}
			return nil
		})
		end := w.clock.Now().Add(2 * time.Minute)
		w.forward(t, 3*time.Minute, "two minutes", func() bool { return w.clock.Now().After(end) })
		w.SetStep(func(string) error { return nil })
		if n := asked.Load(); n > 20 { // one each ten seconds, and what moved the clock
			t.Errorf("Redis was asked %d times in two minutes", n)
		}
		if s := w.status(t, way); rc.count() != 1 || s.Pending != 21 || s.Attempts != 1 || s.Dead != 0 {
			t.Fatalf("%d requests while it is suspended, %+v", rc.count(), s)
		}

		w.suspend(t, "")
		w.forward(t, 15*time.Second, "all is delivered", func() bool { return w.status(t, way).Delivered == 21 })
		if rc.count() != 22 {
			t.Errorf("%d requests in all", rc.count())
		}
	})
}

func TestATenantThatMayNotSendHasItsWebhooksAllTheSame(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.suspend(t, tenants.ModeSend)
		w.publish(t, tp, "published before")
		rc.comes(t, 1)
	})
}

func TestEveryServerStopsSendingForASuspendedTenant(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.another(t)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		var ways []topics.Way
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			ways = append(ways, w.hook(t, tp, name, webhook.Endpoint{URL: rc.URL}))
		}
		w.publish(t, tp, "one")
		rc.comes(t, len(ways))
		w.suspend(t, tenants.ModeAll)
		w.clock.Advance(5 * time.Second) // for which the other server may believe what it knew
		w.publish(t, tp, "two")
		for _, way := range ways {
			w.slowly(t, "it waits", func() bool { return w.status(t, way).Pending == 1 })
		}
		end := w.clock.Now().Add(time.Minute)
		w.forward(t, 2*time.Minute, "a minute", func() bool { return w.clock.Now().After(end) })
		if n := rc.count(); n != len(ways) {
			t.Errorf("%d requests while it is suspended", n-len(ways))
		}
		w.suspend(t, "")
		w.slowly(t, "all is delivered", func() bool { return rc.count() == 2*len(ways) })
	})
}

func TestWhatWaitedLeavesWhenASuspensionEndsByItself(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.another(t)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		var ways []topics.Way
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			ways = append(ways, w.hook(t, tp, name, webhook.Endpoint{URL: rc.URL}))
		}
		tn, err := w.tenants.ByID(t.Context(), w.tenant)
		must(t, err)
		end := w.clock.Now().Add(10 * time.Minute)
		_, err = w.tenants.SuspendUntil(t.Context(), tn.Name, tenants.ModeAll, "", end, tenants.Condition{})
		must(t, err)
		w.clock.Advance(5 * time.Second) // for which the other server may believe what it knew
		w.publish(t, tp, "waits")
		for _, way := range ways {
			w.slowly(t, "it waits", func() bool { return w.status(t, way).Pending == 1 })
		}
		if n := rc.count(); n != 0 || !w.clock.Now().Before(end) {
			t.Fatalf("%d requests before the end, %v before it", n, end.Sub(w.clock.Now()))
		}
		w.clock.Advance(end.Sub(w.clock.Now()))
		w.slowly(t, "all is delivered", func() bool { return rc.count() == len(ways) })
		for _, way := range ways {
			w.reaches(t, way, "no attempt was lost", func(s webhook.Status) bool { return s.Delivered == 1 && s.Attempts == 1 })
		}
	})
}
