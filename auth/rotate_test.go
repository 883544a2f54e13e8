package auth_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

func TestG20_ARotatedKeyGoesOnForItsGraceOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		for _, grace := range []time.Duration{0, time.Minute} {
			old := w.create(t, auth.NewKey{Name: "worker", Scopes: []string{"messages:*"}, Queues: []string{"orders-*"}, AllowedIPs: []string{home}})
			beating, alone := w.another(), w.another() // one confirms what it knows, one does not
			for _, s := range []*world{w, beating, alone} {
				s.checkAuth(t, "before", old.Secret.Reveal(), nil)
			}
			begin := w.clock.Now()
			got, err := w.Rotate(t.Context(), w.tenant.ID, old.ID, auth.Rotation{Grace: grace})
			if err != nil {
				t.Fatal(err)
			}
			want := old.Key
			want.ID, want.CreatedAt = got.ID, begin
			if diff := cmp.Diff(want, got.Key); diff != "" {
				t.Errorf("the new key (-want +got):\n%s", diff)
			}
			want = old.Key
			want.ExpiresAt, want.ReplacedBy = begin.Add(grace), got.ID
			if listed, err := w.Get(t.Context(), w.tenant.ID, old.ID); !cmp.Equal(listed, want) || !cmp.Equal(got.Old, want) || err != nil {
				t.Errorf("the old key: %+v and %+v, %v, want %+v", got.Old, listed, err, want)
			}
			for _, s := range []*world{w, beating, alone} {
				s.checkAuth(t, "the new key", got.Secret.Reveal(), nil)
			}
			for at := time.Duration(0); at < grace; at += 2 * time.Second {
				for _, s := range []*world{w, beating, alone} {
					s.checkAuth(t, "within the grace", old.Secret.Reveal(), nil)
				}
				w.clock.Advance(2 * time.Second)
				beating.auth.Confirm(t.Context())
			}
			w.checkAuth(t, "on the server that rotated it, after the grace", old.Secret.Reveal(), auth.ErrKeyExpired)
			for !errors.Is(authError(t, beating, old), auth.ErrKeyExpired) || !errors.Is(authError(t, alone, old), auth.ErrKeyExpired) {
				w.clock.Advance(100 * time.Millisecond)
				if w.clock.Now().Sub(begin) > grace+4*time.Second {
					t.Fatal("some server still lets the old key in 4 s after the grace")
				}
			}
			for _, s := range []*world{w, beating, alone} {
				s.checkAuth(t, "the new key afterwards", got.Secret.Reveal(), nil)
			}
		}
	})
}

func TestRotationIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		all := w.newKey(t)
		narrow := w.create(t, auth.NewKey{Scopes: []string{"keys:write", "queues:read"}, Queues: []string{"orders-*"}})
		rotated := w.newKey(t)
		if _, err := w.Rotate(t.Context(), w.tenant.ID, rotated.ID, auth.Rotation{Grace: time.Hour}); err != nil {
			t.Fatal(err)
		}
		other := w.newTenant(t)
		for name, c := range map[string]struct {
			tenant tenants.ID
			id     string
			how    auth.Rotation
			want   error
		}{
			"no such key":      {w.tenant.ID, "key_x", auth.Rotation{}, auth.ErrKeyNotFound},
			"another tenant's": {other.ID, all.ID, auth.Rotation{}, auth.ErrKeyNotFound},
			"once more":        {w.tenant.ID, rotated.ID, auth.Rotation{}, auth.ErrKeyRotated},
			"one who may less": {w.tenant.ID, all.ID, auth.Rotation{By: w.principal(t, narrow)}, auth.ErrPermissionDenied},
			"a long grace":     {w.tenant.ID, all.ID, auth.Rotation{Grace: auth.MaxGrace + time.Second}, errs.Invalidf("", "")},
			"a past end":       {w.tenant.ID, all.ID, auth.Rotation{ExpiresAt: start.Add(-time.Hour)}, errs.Invalidf("", "")},
		} {
			before := w.index(t, w.tenant.ID)
			if _, err := w.Rotate(t.Context(), c.tenant, c.id, c.how); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			if diff := cmp.Diff(before, w.index(t, w.tenant.ID)); diff != "" {
				t.Errorf("%s: keys changed (-before +after):\n%s", name, diff)
			}
		}
		for _, key := range []auth.Created{all, narrow, rotated} {
			w.checkAuth(t, "after the refusals", key.Secret.Reveal(), nil)
		}
		if _, err := w.Rotate(t.Context(), w.tenant.ID, narrow.ID, auth.Rotation{By: w.principal(t, narrow)}); err != nil {
			t.Errorf("a key rotates itself: %v", err)
		}
	})
}

func TestAnOperatorsKeyIsRotated(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	old, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Name: "ops"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.RotateOperatorKey(t.Context(), old.ID, auth.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	w.checkAuth(t, "the old one", old.Secret.Reveal(), auth.ErrKeyExpired)
	w.checkAuth(t, "the new one", got.Secret.Reveal(), nil)
	if _, err := w.Rotate(t.Context(), w.tenant.ID, got.ID, auth.Rotation{}); !errors.Is(err, auth.ErrKeyNotFound) {
		t.Errorf("as if it were a tenant's: %v", err)
	}
}

func TestOfManyRotationsOneHappens(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		old := w.newKey(t)
		var wg sync.WaitGroup
		var made, refused atomic.Int64
		for range 10 {
			wg.Go(func() {
				switch _, err := w.another().Rotate(t.Context(), w.tenant.ID, old.ID, auth.Rotation{Grace: time.Hour}); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, auth.ErrKeyRotated):
					refused.Add(1)
				default:
					t.Errorf("Rotate: %v", err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || refused.Load() != 9 {
			t.Errorf("%d rotations and %d refusals, want 1 and 9", made.Load(), refused.Load())
		}
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 2 || err != nil {
			t.Errorf("%d keys, %v; want the old and the new one", len(keys), err)
		}
	})
}

// A rotation that died, or whose answer was lost, left both keys or one.
func TestACrashWhileAKeyIsRotatedLeavesTheOldOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		old := w.newKey(t)
		w.SetStep(crashAfter("indexed"))
		if _, err := w.Rotate(t.Context(), w.tenant.ID, old.ID, auth.Rotation{}); !errors.Is(err, errCrash) {
			t.Fatalf("got %v, want the crash", err)
		}
		s := w.another()
		s.checkAuth(t, "the old key", old.Secret.Reveal(), nil)
		w.net.lose.Store(1)
		got, err := s.Rotate(t.Context(), w.tenant.ID, old.ID, auth.Rotation{Grace: time.Hour})
		if err != nil {
			t.Fatalf("with a lost answer: %v", err)
		}
		s.checkAuth(t, "the new key", got.Secret.Reveal(), nil)
		if keys, err := s.List(t.Context(), w.tenant.ID); len(keys) != 2 || err != nil {
			t.Errorf("%d keys, %v; want two", len(keys), err)
		}
	})
}

func TestKeysThatWereRotatedMakeRoomOnceTheyHaveEnded(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		old := w.newKey(t)
		if _, err := w.Rotate(t.Context(), w.tenant.ID, old.ID, auth.Rotation{Grace: time.Minute}); err != nil {
			t.Fatal(err)
		}
		w.fill(t, engine.TenantKey(w.tenant.ID.String(), "keys"), auth.MaxKeys-2, true)
		if _, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{}); !errors.Is(err, auth.ErrTooManyKeys) {
			t.Errorf("within the grace: got %v, want ErrTooManyKeys", err)
		}
		w.clock.Advance(time.Minute)
		w.newKey(t)
		w.checkAuth(t, "the old key", old.Secret.Reveal(), auth.ErrUnauthenticated)
	})
}
