package tenants_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// may asks a server what a tenant may do.
func may(t *testing.T, s *tenants.Store, id tenants.ID) (act, send error) {
	t.Helper()
	terms, err := s.Terms(t.Context(), id)
	if err != nil {
		t.Fatalf("terms: %v", err)
	}
	return terms.MayAct(), terms.MaySend()
}

func TestASuspensionIsStoredWithTheTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		name := w.name("acme")
		first := w.mustPut(t, name, tenants.Settings{Labels: map[string]string{"a": "1"}, Notes: "n"})
		w.clock.Advance(time.Minute)
		got, err := w.Suspend(t.Context(), name, tenants.ModeSend, "unpaid", tenants.Condition{IfMatch: first.ETag})
		want := first
		want.State, want.UpdatedAt, want.ETag = tenants.StateSuspended, start.Add(time.Minute), got.ETag
		want.Suspended = &tenants.Suspension{Mode: tenants.ModeSend, Reason: "unpaid", Since: start.Add(time.Minute)}
		if diff := cmp.Diff(want, got, sameTenant); diff != "" || err != nil {
			t.Fatalf("Suspend: %v (-want +got):\n%s", err, diff)
		}
		again, err := w.another().Get(t.Context(), name)
		if diff := cmp.Diff(want, again, sameTenant); diff != "" || err != nil {
			t.Errorf("Get: %v (-want +got):\n%s", err, diff)
		}
		if state, _ := w.redis.HGet(t.Context(), engine.TenantKey(got.ID.String(), "tenant"), "state").Result(); state != "active" {
			t.Errorf(`field "state" of the record is %q, want "active": other packages rely on it`, state)
		}
		// The same once more is nothing; another mode leaves the beginning.
		if same, err := w.Suspend(t.Context(), name, tenants.ModeSend, "unpaid", tenants.Condition{}); err != nil || same.ETag != got.ETag {
			t.Errorf("the same suspension: %v, %+v", err, same)
		}
		w.clock.Advance(time.Minute)
		got, err = w.Suspend(t.Context(), name, tenants.ModeAll, "", tenants.Condition{})
		if err != nil || *got.Suspended != (tenants.Suspension{Mode: tenants.ModeAll, Since: start.Add(time.Minute)}) {
			t.Errorf("another mode: %v, %+v", err, got.Suspended)
		}
		// Settings leave a suspension as it is, and the reverse.
		got = w.mustPut(t, name, tenants.Settings{Notes: "other"})
		if got.Suspended == nil || got.Notes != "other" || len(got.Labels) != 0 {
			t.Errorf("Put on a suspended tenant: %+v", got)
		}
		got, err = w.Resume(t.Context(), name, tenants.Condition{})
		if err != nil || got.Suspended != nil || got.State != tenants.StateActive || got.Notes != "other" {
			t.Errorf("Resume: %v, %+v", err, got)
		}
		if same, err := w.Resume(t.Context(), name, tenants.Condition{}); err != nil || same.ETag != got.ETag {
			t.Errorf("Resume of an active tenant: %v, %+v", err, same)
		}
		w.clock.Advance(time.Minute)
		got, err = w.Suspend(t.Context(), name, tenants.ModeAll, "", tenants.Condition{})
		if err != nil || !got.Suspended.Since.Equal(w.clock.Now()) {
			t.Errorf("suspended anew: %v, since %v, want now", err, got.Suspended.Since)
		}
	})
}

func TestSuspensionsThatAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{})
		for what, try := range map[string]func() error{
			"another mode": func() error {
				_, err := w.Suspend(t.Context(), tn.Name, "sends", "", tenants.Condition{})
				return err
			},
			"a long reason": func() error {
				_, err := w.Suspend(t.Context(), tn.Name, tenants.ModeAll, strings.Repeat("x", tenants.MaxReason+1), tenants.Condition{})
				return err
			},
			"a reason of two lines": func() error {
				_, err := w.Suspend(t.Context(), tn.Name, tenants.ModeAll, "a\nb", tenants.Condition{})
				return err
			},
			"long notes": func() error {
				_, err := w.Update(t.Context(), tn.Name, tenants.Condition{}, func(set tenants.Settings) (tenants.Settings, error) {
					set.Notes = strings.Repeat("x", tenants.MaxNotes+1)
					return set, nil
				})
				return err
			},
		} {
			if err := try(); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: got %v, want a refusal", what, err)
			}
		}
		if _, err := w.Suspend(t.Context(), tn.Name, tenants.ModeAll, "", tenants.Condition{IfMatch: "x"}); !errors.Is(err, tenants.ErrPrecondition) {
			t.Errorf("with another ETag: got %v, want ErrPrecondition", err)
		}
		if _, err := w.Suspend(t.Context(), w.name("nobody"), tenants.ModeAll, "", tenants.Condition{}); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("nobody: got %v, want ErrNotFound", err)
		}
		if got, err := w.Get(t.Context(), tn.Name); err != nil || got.ETag != tn.ETag {
			t.Errorf("refused calls changed the tenant: %v, %+v", err, got)
		}
	})
}

func TestASuspensionHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		other := w.another()
		tn, free := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("free"), tenants.Settings{})
		for _, s := range []*tenants.Store{w.Store, other} {
			for _, id := range []tenants.ID{tn.ID, free.ID} {
				if act, send := may(t, s, id); act != nil || send != nil {
					t.Fatalf("before: %v, %v", act, send)
				}
			}
		}
		if _, err := w.Suspend(t.Context(), tn.Name, tenants.ModeSend, "unpaid", tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		if act, send := may(t, w.Store, tn.ID); act != nil || !errors.Is(send, tenants.ErrSuspended) || !strings.Contains(send.Error(), "unpaid") {
			t.Errorf("on the server that suspended: %v, %v; want sends refused with the reason", act, send)
		}
		w.clock.Advance(2 * time.Second)
		other.Confirm(t.Context())
		if act, send := may(t, other, tn.ID); act != nil || !errors.Is(send, tenants.ErrSuspended) {
			t.Errorf("on another server: %v, %v; want sends refused", act, send)
		}
		if _, err := other.Suspend(t.Context(), tn.Name, tenants.ModeAll, "", tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(4 * time.Second) // without anybody who confirms
		if act, send := may(t, w.Store, tn.ID); !errors.Is(act, tenants.ErrSuspended) || !errors.Is(send, tenants.ErrSuspended) {
			t.Errorf("all is refused: got %v, %v", act, send)
		}
		if act, send := may(t, other, free.ID); act != nil || send != nil {
			t.Errorf("another tenant: %v, %v", act, send)
		}
		if _, err := w.Resume(t.Context(), tn.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(2 * time.Second)
		other.Confirm(t.Context())
		if act, send := may(t, other, tn.ID); act != nil || send != nil {
			t.Errorf("after the end: %v, %v", act, send)
		}
	})
}

// Whoever changes a tenant may die before it can tell others.
func TestAChangeThatNobodyAnnouncedIsNoticedWithinAMinute(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		other := w.another()
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{})
		_, _ = may(t, other, tn.ID)
		if err := w.redis.HSet(t.Context(), engine.TenantKey(tn.ID.String(), "tenant"), "suspended", `{"mode":"all"}`, "since", "1000").Err(); err != nil {
			t.Fatal(err)
		}
		var act error
		for waited := time.Duration(0); act == nil; waited += 2 * time.Second {
			if waited > 62*time.Second {
				t.Fatal("it was not noticed")
			}
			w.clock.Advance(2 * time.Second)
			other.Confirm(t.Context())
			act, _ = may(t, other, tn.ID)
		}
	})
}

func TestTermsCostNoRoundTripWhileTheyAreConfirmed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{})
		_, _ = may(t, w.Store, tn.ID)
		for range 10 {
			w.clock.Advance(2 * time.Second)
			w.Confirm(t.Context())
		}
		w.clock.Advance(3 * time.Second)
		if err := w.engine.Close(); err != nil {
			t.Fatal(err)
		}
		if act, send := may(t, w.Store, tn.ID); act != nil || send != nil {
			t.Errorf("without Redis: %v, %v", act, send)
		}
		w.clock.Advance(time.Second)
		if _, err := w.Terms(t.Context(), tn.ID); err == nil {
			t.Error("what is older than 4 s is still believed")
		}
	})
}

func TestTermsOfATenantThatIsGone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		tn := w.mustPut(t, w.name("acme"), tenants.Settings{})
		_, _ = may(t, w.Store, tn.ID)
		if err := w.Delete(t.Context(), tn.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(4 * time.Second)
		if _, err := w.Terms(t.Context(), tn.ID); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func BenchmarkTerms(b *testing.B) {
	w := newWorld(b, engine.Options{URL: redistest.URL(b)})
	tn, _, err := w.Put(b.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		terms, err := w.Terms(b.Context(), tn.ID)
		if err != nil || terms.MaySend() != nil {
			b.Fatal(err)
		}
	}
}

func TestASuspensionEndsByItself(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		name, end := w.name("acme"), w.clock.Now().Add(time.Hour)
		w.redis.HSet(t.Context(), engine.TenantKey(w.mustPut(t, name, tenants.Settings{}).ID.String(), "queues"), "orders", "uid")
		got, err := w.SuspendUntil(t.Context(), name, tenants.ModeAll, `"until":1}`, end, tenants.Condition{})
		want := &tenants.Suspension{Mode: tenants.ModeAll, Reason: `"until":1}`, Since: start, Until: end}
		if diff := cmp.Diff(want, got.Suspended); diff != "" || err != nil {
			t.Fatalf("SuspendUntil: %v (-want +got):\n%s", err, diff)
		}
		other := w.another()
		w.clock.Advance(time.Hour - time.Millisecond)
		for what, s := range map[string]*tenants.Store{"this server": w.Store, "another": other, "one that was restarted": w.another()} {
			act, send := may(t, s, got.ID)
			if !errors.Is(act, tenants.ErrSuspended) || !errors.Is(send, tenants.ErrSuspended) || !strings.Contains(act.Error(), "ends at "+end.Format(time.RFC3339)) {
				t.Errorf("%s, before the end: act %v, send %v", what, act, send)
			}
			if tn, err := s.Get(t.Context(), name); err != nil || tn.State != tenants.StateSuspended || tn.ETag != got.ETag {
				t.Errorf("%s, before the end: %v, %+v", what, err, tn)
			}
		}
		w.clock.Advance(time.Millisecond) // what they know is still believed
		for what, s := range map[string]*tenants.Store{"this server": w.Store, "another": other, "one that was restarted": w.another()} {
			if act, send := may(t, s, got.ID); act != nil || send != nil {
				t.Errorf("%s, at the end: act %v, send %v", what, act, send)
			}
			if tn, err := s.Get(t.Context(), name); err != nil || tn.State != tenants.StateActive || tn.Suspended != nil || tn.ETag != got.ETag {
				t.Errorf("%s, at the end: %v, %+v", what, err, tn)
			}
		}
		if _, err := w.PlanDelete(t.Context(), name, tenants.Condition{}); !errors.Is(err, tenants.ErrNotSuspended) {
			t.Errorf("to delete it with all that it has: got %v, want ErrNotSuspended", err)
		}
		// It begins anew, without an end, and with one once more.
		again, err := w.Suspend(t.Context(), name, tenants.ModeAll, "", tenants.Condition{})
		if err != nil || *again.Suspended != (tenants.Suspension{Mode: tenants.ModeAll, Since: end}) {
			t.Errorf("suspended anew: %v, %+v", err, again.Suspended)
		}
		w.clock.Advance(time.Minute)
		again, err = w.SuspendUntil(t.Context(), name, tenants.ModeAll, "", end.Add(time.Hour), tenants.Condition{})
		if err != nil || *again.Suspended != (tenants.Suspension{Mode: tenants.ModeAll, Since: end, Until: end.Add(time.Hour)}) {
			t.Errorf("with an end: %v, %+v", err, again.Suspended)
		}
		for _, past := range []time.Time{w.clock.Now(), w.clock.Now().Add(-time.Hour)} {
			var refused *errs.Error
			if _, err := w.SuspendUntil(t.Context(), name, tenants.ModeAll, "", past, tenants.Condition{}); !errors.As(err, &refused) || refused.Code != "validation_failed" {
				t.Errorf("until %v: got %v", past, err)
			}
		}
		if tn, err := w.Get(t.Context(), name); err != nil || tn.ETag != again.ETag {
			t.Errorf("what was refused has changed it: %v, %+v", err, tn)
		}
		w.clock.Advance(2 * time.Hour)
		if tn, err := w.Resume(t.Context(), name, tenants.Condition{}); err != nil || tn.State != tenants.StateActive {
			t.Errorf("to resume what has ended: %v, %+v", err, tn)
		}
	})
}
