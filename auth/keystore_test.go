package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

var sameID = cmp.Options{cmp.Comparer(func(a, b tenants.ID) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.AllowUnexported(auth.Grants{})}

func newMemoryWorld(tb testing.TB) *world {
	tb.Helper()
	return newWorld(tb, engine.Options{URL: redistest.Memory(tb), Memory: true})
}

func TestACreatedKeyAuthenticatesItsTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Name: "backend é"})
		if err != nil {
			t.Fatal(err)
		}
		want := auth.Created{Secret: made.Secret, Key: auth.Key{
			ID: made.ID, Name: "backend é", Kind: auth.KindTenant, Scopes: []string{"*"}, CreatedAt: start}}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if !strings.HasPrefix(made.ID, "key_") || len(made.ID) != 24 {
			t.Errorf("id %q, want key_ and 20 characters", made.ID)
		}
		got, err := w.another().auth.Authenticate(t.Context(), made.Secret.Reveal(), home)
		principal := auth.Principal{Kind: auth.KindTenant, KeyID: made.ID, Tenant: w.tenant.ID, TenantName: w.tenant.Name,
			Grants: auth.NewGrants(auth.KindTenant, "*")}
		if diff := cmp.Diff(principal, got, sameID); diff != "" || err != nil {
			t.Errorf("Authenticate: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAnOperatorsKeyBelongsToNoTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Name: "ops", Scopes: []string{"tenants:write", "viewer"}, ExpiresAt: start.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.auth.Authenticate(t.Context(), made.Secret.Reveal(), home)
		grants := auth.NewGrants(auth.KindOperator, "tenants:write", "viewer")
		grants.ExpiresAt = start.Add(time.Hour)
		want := auth.Principal{Kind: auth.KindOperator, KeyID: made.ID, Grants: grants}
		if diff := cmp.Diff(want, got, sameID); diff != "" || err != nil {
			t.Errorf("Authenticate: %v (-want +got):\n%s", err, diff)
		}
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 0 || err != nil {
			t.Errorf("a tenant's keys: %v, %v; want none", keys, err)
		}
		found := false
		keys, err := w.ListOperatorKeys(t.Context())
		for _, k := range keys {
			found = found || cmp.Equal(k, made.Key)
		}
		if !found || err != nil {
			t.Errorf("ListOperatorKeys: %+v, %v; want %+v among them", keys, err, made.Key)
		}
		if err := w.Revoke(t.Context(), w.tenant.ID, made.ID); !errors.Is(err, auth.ErrKeyNotFound) {
			t.Errorf("a tenant revokes an operator's key: got %v, want ErrKeyNotFound", err)
		}
		if err := w.RevokeOperatorKey(t.Context(), made.ID); err != nil {
			t.Errorf("RevokeOperatorKey: %v", err)
		}
		w.checkAuth(t, "after its end", made.Secret.Reveal(), auth.ErrUnauthenticated)
	})
}

func TestRedisNeverHoldsAKey(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	secrets := []string{w.newKey(t).Secret.Reveal()}
	op, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, op.Secret.Reveal())
	names, err := w.redis.Keys(t.Context(), "*").Result()
	if err != nil || len(names) == 0 {
		t.Fatalf("keys: %v, %v", names, err)
	}
	for _, name := range names {
		fields, _ := w.redis.HGetAll(t.Context(), name).Result()
		for _, secret := range secrets {
			if all := name + fmt.Sprint(fields); strings.Contains(all, secret[4:34]) {
				t.Errorf("a key lies in %s", all)
			}
		}
	}
}

func TestListShowsTheTenantsKeysInTheOrderOfTheirMaking(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		other := w.newTenant(t)
		if _, err := w.CreateTenantKey(t.Context(), other.ID, auth.NewKey{Name: "not ours"}); err != nil {
			t.Fatal(err)
		}
		var want []auth.Key
		for i := range 5 {
			n := auth.NewKey{Name: fmt.Sprint(i)}
			if i == 3 {
				n.ExpiresAt = start.Add(time.Hour)
			}
			made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, n)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, made.Key)
			w.clock.Advance(time.Minute)
		}
		got, err := w.another().List(t.Context(), w.tenant.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("List: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestARevokedKeyIsGoneForItsTenantOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		mine, kept := w.newKey(t), w.newKey(t)
		other := w.newTenant(t)
		if err := w.Revoke(t.Context(), other.ID, mine.ID); !errors.Is(err, auth.ErrKeyNotFound) {
			t.Errorf("another tenant revokes it: got %v, want ErrKeyNotFound", err)
		}
		for _, id := range []string{"", "key_", "key_00000000000000000000", "*"} {
			if err := w.Revoke(t.Context(), w.tenant.ID, id); !errors.Is(err, auth.ErrKeyNotFound) {
				t.Errorf("Revoke(%q): got %v, want ErrKeyNotFound", id, err)
			}
		}
		w.checkAuth(t, "before", mine.Secret.Reveal(), nil)
		if err := w.Revoke(t.Context(), w.tenant.ID, mine.ID); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		w.checkAuth(t, "at once on the same server", mine.Secret.Reveal(), auth.ErrUnauthenticated)
		w.checkAuth(t, "the other key", kept.Secret.Reveal(), nil)
		if err := w.Revoke(t.Context(), w.tenant.ID, mine.ID); !errors.Is(err, auth.ErrKeyNotFound) {
			t.Errorf("second Revoke: got %v, want ErrKeyNotFound", err)
		}
		keys, err := w.List(t.Context(), w.tenant.ID)
		if diff := cmp.Diff([]auth.Key{kept.Key}, keys); diff != "" || err != nil {
			t.Errorf("List: %v (-want +got):\n%s", err, diff)
		}
		if text := w.record(mine.Secret.Reveal()); text != "" {
			t.Errorf("Redis still holds %s", text)
		}
	})
}

func TestWhatAKeyIsDescribedWithIsBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for name, c := range map[string]struct {
		key     auth.NewKey
		pointer string // "" when it is fine
	}{
		"nothing":        {auth.NewKey{}, ""},
		"longest name":   {auth.NewKey{Name: strings.Repeat("n", 128)}, ""},
		"long name":      {auth.NewKey{Name: strings.Repeat("n", 129)}, "/name"},
		"control":        {auth.NewKey{Name: "a\nb"}, "/name"},
		"no UTF-8":       {auth.NewKey{Name: "\xff"}, "/name"},
		"many scopes":    {auth.NewKey{Scopes: make([]string, 51)}, "/scopes"},
		"empty scope":    {auth.NewKey{Scopes: []string{"queues:*", ""}}, "/scopes/1"},
		"no such scope":  {auth.NewKey{Scopes: []string{"queues:reed"}}, "/scopes/0"},
		"no such thing":  {auth.NewKey{Scopes: []string{"queue:*"}}, "/scopes/0"},
		"half a name":    {auth.NewKey{Scopes: []string{"queues"}}, "/scopes/0"},
		"part of a name": {auth.NewKey{Scopes: []string{"queues:re*"}}, "/scopes/0"},
		"all scopes":     {auth.NewKey{Scopes: []string{"*:read", "queues:*", "developer", "*"}}, ""},
		"addresses":      {auth.NewKey{AllowedIPs: []string{"10.0.0.0/8", "2001:db8::1", "::ffff:192.0.2.1"}}, ""},
		"no address":     {auth.NewKey{AllowedIPs: []string{"10.0.0.0/8", "10.0.0"}}, "/allowed_ips/1"},
		"a zone":         {auth.NewKey{AllowedIPs: []string{"fe80::1%eth0"}}, "/allowed_ips/0"},
		"no network":     {auth.NewKey{AllowedIPs: []string{"10.0.0.0/33"}}, "/allowed_ips/0"},
		"many addresses": {auth.NewKey{AllowedIPs: make([]string, 51)}, "/allowed_ips"},
		"past":           {auth.NewKey{ExpiresAt: start}, "/expires_at"},
		"near":           {auth.NewKey{ExpiresAt: start.Add(time.Millisecond)}, ""},
		"never":          {auth.NewKey{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "/expires_at"},
	} {
		_, err := w.CreateTenantKey(t.Context(), w.tenant.ID, c.key)
		_, opErr := w.CreateOperatorKey(t.Context(), c.key)
		for who, err := range map[string]error{"tenant": err, "operator": opErr} {
			e, ok := errors.AsType[*errs.Error](err)
			switch {
			case c.pointer == "" && err != nil:
				t.Errorf("%s, %s: %v", name, who, err)
			case c.pointer != "" && (!ok || e.Kind != errs.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer):
				t.Errorf("%s, %s: got %+v, want validation_failed of %s", name, who, err, c.pointer)
			}
		}
	}
}

// fill notes n keys in an index, with records or without.
func (w *world) fill(t *testing.T, index string, n int, records bool) {
	t.Helper()
	pipe := w.redis.Pipeline()
	for range n {
		d, id := w.Digest(auth.NewKeyText(auth.KindTenant))
		if !records {
			pipe.HSet(t.Context(), index, id, "?"+d)
			continue
		}
		pipe.HSet(t.Context(), index, id, d)
		pipe.HSet(t.Context(), engine.SystemKey("keys"), d, `{"id":"`+id+`","kind":"tenant","tenant":"`+w.tenant.ID.String()+`","created_at":1}`)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestATenantHasAtMostAThousandKeys(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		index := engine.TenantKey(w.tenant.ID.String(), "keys")
		w.fill(t, index, auth.MaxKeys-1, true)
		last := w.newKey(t)
		if _, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{}); !errors.Is(err, auth.ErrTooManyKeys) || errs.KindOf(err) != errs.Quota {
			t.Errorf("key 1,001: got %v, want ErrTooManyKeys", err)
		}
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != auth.MaxKeys || err != nil {
			t.Errorf("List: %d keys, %v; want 1,000", len(keys), err)
		}
		if err := w.Revoke(t.Context(), w.tenant.ID, last.ID); err != nil {
			t.Fatal(err)
		}
		w.newKey(t)
		if err := w.RevokeAll(t.Context(), w.tenant.ID); err != nil {
			t.Fatal(err)
		}
		if n := len(w.index(t, w.tenant.ID)); n != 0 {
			t.Errorf("RevokeAll left %d keys in the index", n)
		}
	})
}

func TestNotesOfKeysThatNeverWorkedMakeRoom(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		first := w.newKey(t)
		w.fill(t, engine.TenantKey(w.tenant.ID.String(), "keys"), auth.MaxKeys-1, false)
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 1 || err != nil {
			t.Errorf("List: %v, %v; want the one key that works", keys, err)
		}
		second := w.newKey(t)
		w.checkAuth(t, "the first", first.Secret.Reveal(), nil)
		w.checkAuth(t, "the second", second.Secret.Reveal(), nil)
		if n := len(w.index(t, w.tenant.ID)); n != 2 {
			t.Errorf("%d keys in the index, want 2", n)
		}
	})
}

func TestOperatorsHaveAtMostAThousandKeys(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.fill(t, engine.SystemKey("operator-keys"), auth.MaxKeys-1, true)
	if _, err := w.CreateOperatorKey(t.Context(), auth.NewKey{}); err != nil {
		t.Errorf("key 1,000: %v", err)
	}
	if _, err := w.CreateOperatorKey(t.Context(), auth.NewKey{}); !errors.Is(err, auth.ErrTooManyKeys) {
		t.Errorf("key 1,001: got %v, want ErrTooManyKeys", err)
	}
}

func TestADeletedTenantHasNoKeys(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		here, there := w.newKey(t), w.newKey(t)
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		for _, k := range []auth.Created{here, there} {
			w.checkAuth(t, "after the deletion", k.Secret.Reveal(), auth.ErrUnauthenticated)
			if text := w.record(k.Secret.Reveal()); text != "" {
				t.Errorf("Redis still holds %s", text)
			}
		}
		if n := len(w.index(t, w.tenant.ID)); n != 0 {
			t.Errorf("%d keys are left in the index", n)
		}
		if _, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{}); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("a new key for it: got %v, want tenants.ErrNotFound", err)
		}
	})
}

// Whatever a tenant's deletion and the making of a key do to each other, no key of a deleted tenant works.
func TestNoKeyOutlivesItsTenant(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"indexed", "registered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				late := w.another()
				late.SetStep(func(done string) error {
					if done != step {
						return nil
					}
					return w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{})
				})
				if _, err := late.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{}); !errors.Is(err, tenants.ErrNotFound) {
					t.Errorf("CreateTenantKey: got %v, want tenants.ErrNotFound", err)
				}
				w.checkNoKeys(t)
			})
		})
	}
}

// checkNoKeys fails if Redis holds anything of a key of the tenant.
func (w *world) checkNoKeys(t *testing.T) {
	t.Helper()
	if n := len(w.index(t, w.tenant.ID)); n != 0 {
		t.Errorf("%d keys are left in the index", n)
	}
	records, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range records {
		if strings.Contains(text, w.tenant.ID.String()) {
			t.Errorf("a key works: %s", text)
		}
	}
}

func TestAKeyMadeDuringRevokeAllIsInTheIndex(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"indexed", "registered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				late := w.another()
				late.SetStep(func(done string) error {
					if done != step {
						return nil
					}
					return w.RevokeAll(t.Context(), w.tenant.ID)
				})
				made, err := late.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{})
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := w.index(t, w.tenant.ID)[made.ID]; !ok {
					t.Errorf("the key is not in the index: nobody could revoke it")
				}
				if err := w.RevokeAll(t.Context(), w.tenant.ID); err != nil {
					t.Fatal(err)
				}
				w.checkNoKeys(t)
			})
		})
	}
}

func TestAKeyThatComesToWorkWhileOthersEndIsInTheIndex(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		revoker, maker := w.another(), w.another()
		ended, made := make(chan struct{}), make(chan struct{})
		revoker.SetStep(func(done string) error {
			if done == "dropped" {
				close(ended)
				<-made
			}
			return nil
		})
		over := make(chan error)
		maker.SetStep(func(done string) error {
			if done == "indexed" {
				go func() { over <- revoker.RevokeAll(t.Context(), w.tenant.ID) }()
				<-ended
			}
			return nil
		})
		key, err := maker.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{})
		close(made)
		if err := errors.Join(err, <-over); err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "a key made after the others ended", key.Secret.Reveal(), nil)
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 1 || err != nil {
			t.Errorf("List: %v, %v; want the key that works", keys, err)
		}
	})
}

func TestAKeyThatIsBeingMadeWhileRoomIsMadeIsInTheIndex(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.fill(t, engine.TenantKey(w.tenant.ID.String(), "keys"), auth.MaxKeys-1, false)
		slow := w.another()
		slow.SetStep(func(done string) error {
			if done == "indexed" {
				w.newKey(t) // there is no room: what does not work goes
			}
			return nil
		})
		key, err := slow.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "the key", key.Secret.Reveal(), nil)
		if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 2 || err != nil {
			t.Errorf("List: %v, %v; want both keys that work", keys, err)
		}
	})
}

func TestAKeyThatFindsNoRoomInTheEndDoesNotWork(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		slow := w.another()
		slow.SetStep(func(done string) error {
			if done != "registered" {
				return nil
			}
			index := engine.TenantKey(w.tenant.ID.String(), "keys")
			w.redis.Del(t.Context(), index) // as if others had made room
			w.fill(t, index, auth.MaxKeys, true)
			return nil
		})
		if _, err := slow.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Name: "too many"}); !errors.Is(err, auth.ErrTooManyKeys) {
			t.Errorf("got %v, want ErrTooManyKeys", err)
		}
		records, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range records {
			if strings.Contains(text, "too many") && strings.Contains(text, w.tenant.ID.String()) {
				t.Errorf("the key works: %s", text)
			}
		}
	})
}

func TestACrashWhileAKeyIsMadeOrRevokedLeavesNoKeyBehind(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"indexed", "registered", "dropped"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				old := w.newKey(t)
				dying := w.another()
				dying.SetStep(crashAfter(step))
				err := dying.Revoke(t.Context(), w.tenant.ID, old.ID)
				if step != "dropped" {
					_, err = dying.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{})
				}
				if !errors.Is(err, errCrash) {
					t.Fatalf("got %v, want the crash", err)
				}
				if step == "dropped" {
					w.another().checkAuth(t, "a key that was being revoked", old.Secret.Reveal(), auth.ErrUnauthenticated)
					if err := w.Revoke(t.Context(), w.tenant.ID, old.ID); err != nil {
						t.Errorf("to revoke it again: %v", err)
					}
				}
				keys, err := w.List(t.Context(), w.tenant.ID)
				if err != nil || (len(keys) == 1) != (step == "registered") {
					t.Errorf("List: %v, %v; want a key only if it works", keys, err)
				}
				if err := w.RevokeAll(t.Context(), w.tenant.ID); err != nil {
					t.Fatal(err)
				}
				w.checkNoKeys(t)
			})
		})
	}
}

func TestALostAnswerMakesNoSecondKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		for n := range 3 { // the nth call loses its answer
			steps := 0
			s := w.another()
			lose := func(string) error {
				if steps == n {
					w.net.lose.Store(1)
				}
				steps++
				return nil
			}
			_ = lose("")
			s.SetStep(lose)
			made, err := s.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{})
			if err != nil {
				t.Fatalf("answer %d lost: %v", n, err)
			}
			w.checkAuth(t, "after a lost answer", made.Secret.Reveal(), nil)
			if left := w.net.lose.Load(); left != 0 {
				t.Errorf("answer %d was to be lost and was not", n)
			}
			if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 1 || err != nil {
				t.Errorf("answer %d lost: List gives %v, %v; want one key", n, keys, err)
			}
			w.net.lose.Store(1)
			if err := w.Revoke(t.Context(), w.tenant.ID, made.ID); err != nil {
				t.Errorf("answer of Revoke lost: %v", err)
			}
		}
	})
}

func TestKeysAreRevokedWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: server.URL()})
	made := w.newKey(t)
	if err := w.redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{}); !errors.Is(err, engine.ErrFull) {
		t.Errorf("CreateTenantKey: got %v, want ErrFull", err)
	}
	w.checkAuth(t, "while Redis is full", made.Secret.Reveal(), nil)
	if err := w.Revoke(t.Context(), w.tenant.ID, made.ID); err != nil {
		t.Errorf("Revoke: %v", err)
	}
	w.another().checkAuth(t, "after its end", made.Secret.Reveal(), auth.ErrUnauthenticated)
}

func TestManyMakeAndRevokeAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		for i := range 8 {
			s := w.another()
			wg.Go(func() {
				for range 5 {
					if i == 0 {
						if err := s.RevokeAll(context.Background(), w.tenant.ID); err != nil {
							t.Errorf("RevokeAll: %v", err)
						}
						continue
					}
					if _, err := s.CreateTenantKey(context.Background(), w.tenant.ID, auth.NewKey{}); err != nil {
						t.Errorf("CreateTenantKey: %v", err)
					}
				}
			})
		}
		wg.Wait()
		// Every key that works is in the index, so this ends them all.
		if err := w.RevokeAll(t.Context(), w.tenant.ID); err != nil {
			t.Fatal(err)
		}
		w.checkNoKeys(t)
	})
}
