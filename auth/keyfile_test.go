package auth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// ensurers make a key file work, for either kind.
var ensurers = map[auth.Kind]func(*world, context.Context, string) (auth.Secret, bool, error){
	auth.KindOperator: func(w *world, ctx context.Context, file string) (auth.Secret, bool, error) {
		return w.EnsureOperatorKey(ctx, file)
	},
	auth.KindTenant: func(w *world, ctx context.Context, file string) (auth.Secret, bool, error) {
		return w.EnsureTenantKey(ctx, w.tenant.ID, file)
	},
}

// onBothKinds runs f with a key file of either kind, on both engines.
func onBothKinds(t *testing.T, f func(t *testing.T, w *world, kind auth.Kind, file string)) {
	t.Helper()
	for kind := range ensurers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) { f(t, w, kind, filepath.Join(t.TempDir(), "data", "key")) })
		})
	}
}

func TestTheFirstStartWritesAKeyThatTheNextFinds(t *testing.T) {
	t.Parallel()
	onBothKinds(t, func(t *testing.T, w *world, kind auth.Kind, file string) {
		key, created, err := ensurers[kind](w, t.Context(), file)
		if err != nil || !created {
			t.Fatalf("first start: created %v, %v", created, err)
		}
		if got, err := auth.ParseKey(key.Reveal()); got != kind || err != nil {
			t.Errorf("the key is of kind %q, %v", got, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
		if text, _ := os.ReadFile(file); string(text) != key.Reveal()+"\n" {
			t.Errorf("the file does not hold the key and a line end")
		}
		got, err := w.auth.Authenticate(t.Context(), key.Reveal(), home)
		want := auth.Principal{Kind: kind, KeyID: got.KeyID, Grants: auth.NewGrants(kind, "*")}
		if kind == auth.KindTenant {
			want.Tenant, want.TenantName = w.tenant.ID, w.tenant.Name
		}
		if diff := cmp.Diff(want, got, sameID); diff != "" || err != nil {
			t.Errorf("Authenticate: %v (-want +got):\n%s", err, diff)
		}
		w.clock.Advance(time.Hour)
		again, created, err := ensurers[kind](w.another(), t.Context(), file)
		if text := w.record(key.Reveal()); !strings.Contains(text, fmt.Sprintf(`"created_at":%d`, start.UnixMilli())) {
			t.Errorf("the next start changed the record: %s", text)
		}
		if again != key || created || err != nil {
			t.Errorf("next start: another key %v, created %v, %v", again != key, created, err)
		}
	})
}

func TestANewRedisIsToldTheKeyOfTheFile(t *testing.T) {
	t.Parallel()
	for kind, ensure := range ensurers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			old := newMemoryWorld(t)
			key, _, err := ensure(old, t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			fresh := newMemoryWorld(t)
			again, created, err := ensure(fresh, t.Context(), file)
			if again != key || created || err != nil {
				t.Errorf("another key %v, created %v, %v", again != key, created, err)
			}
			fresh.checkAuth(t, "on the new Redis", key.Reveal(), nil)
		})
	}
}

func TestARevokedKeyOfAFileStaysRevoked(t *testing.T) {
	t.Parallel()
	onBothKinds(t, func(t *testing.T, w *world, kind auth.Kind, file string) {
		key, _, err := ensurers[kind](w, t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		_, id := w.Digest(key.Reveal())
		if kind == auth.KindOperator {
			err = w.RevokeOperatorKey(t.Context(), id)
		} else {
			err = w.RevokeAll(t.Context(), w.tenant.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, _, err := ensurers[kind](w, t.Context(), file)
			if !errors.Is(err, auth.ErrFileRevoked) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), key.Reveal()) {
				t.Errorf("next start: got %v, want ErrFileRevoked with the path and without the key", err)
			}
		}
		w.checkAuth(t, "after its end", key.Reveal(), auth.ErrUnauthenticated)
		w.another().checkAuth(t, "after its end, elsewhere", key.Reveal(), auth.ErrUnauthenticated)
		if kind == auth.KindTenant {
			if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 0 || err != nil {
				t.Errorf("List: %v, %v; want none", keys, err)
			}
			if n := len(w.index(t, w.tenant.ID)); n != 0 {
				t.Errorf("%d keys are noted, want none", n)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, created, err := ensurers[kind](w, t.Context(), file); !created || err != nil {
			t.Errorf("without the file: created %v, %v; want a new key", created, err)
		}
	})
}

func TestAKeyFileOfADeletedTenantDoesNotOpenTheNext(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		file := filepath.Join(t.TempDir(), "key")
		key, _, err := w.EnsureTenantKey(t.Context(), w.tenant.ID, file)
		if err != nil {
			t.Fatal(err)
		}
		other := w.newTenant(t)
		if _, _, err := w.EnsureTenantKey(t.Context(), other.ID, file); !errors.Is(err, auth.ErrFileDamaged) {
			t.Errorf("for another tenant: got %v, want ErrFileDamaged", err)
		}
		if n := len(w.index(t, other.ID)); n != 0 {
			t.Errorf("%d keys are noted for another tenant, want none", n)
		}
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.EnsureTenantKey(t.Context(), w.tenant.ID, filepath.Join(t.TempDir(), "new")); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("for a deleted tenant: got %v, want tenants.ErrNotFound", err)
		}
		next, _, err := w.tenants.Put(t.Context(), w.tenant.Name, tenants.Settings{}, tenants.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.EnsureTenantKey(t.Context(), next.ID, file); !errors.Is(err, auth.ErrFileRevoked) {
			t.Errorf("for the next tenant of that name: got %v, want ErrFileRevoked", err)
		}
		w.checkAuth(t, "the old key", key.Reveal(), auth.ErrUnauthenticated)
	})
}

func TestDamagedKeyFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for kind, ensure := range ensurers {
		other := auth.KindTenant
		if kind == auth.KindTenant {
			other = auth.KindOperator
		}
		for _, text := range []string{"", "\n", "hello", auth.NewKeyText(kind)[:39], auth.NewKeyText(other), strings.Repeat("x", 1<<16)} {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, created, err := ensure(w, t.Context(), file)
			if !errors.Is(err, auth.ErrFileDamaged) || created || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %.20q: created %v, %v; want ErrFileDamaged with the path", kind, text, created, err)
			}
			if text != "" && len(text) > 10 && strings.Contains(err.Error(), text) {
				t.Errorf("the error repeats the file: %v", err)
			}
			if got, _ := os.ReadFile(file); string(got) != text {
				t.Errorf("%s: the file was changed to %.20q", kind, got)
			}
		}
	}
}

func TestAStartThatDiedHalfWayIsRepeated(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"written", "indexed", "registered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBothKinds(t, func(t *testing.T, w *world, kind auth.Kind, file string) {
				if kind == auth.KindOperator && step != "written" {
					t.Skip("an operator's key is made in one step")
				}
				dying := w.another()
				dying.SetStep(crashAfter(step))
				if _, _, err := ensurers[kind](dying, t.Context(), file); !errors.Is(err, errCrash) {
					t.Fatalf("got %v, want the crash", err)
				}
				key, created, err := ensurers[kind](w, t.Context(), file)
				if err != nil || created {
					t.Fatalf("next start: created %v, %v; want the key of the file", created, err)
				}
				w.checkAuth(t, "after the next start", key.Reveal(), nil)
				if kind == auth.KindTenant {
					if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 1 || err != nil {
						t.Errorf("List: %v, %v; want one key", keys, err)
					}
					d, id := w.Digest(key.Reveal())
					if got := w.index(t, w.tenant.ID)[id]; got != d {
						t.Errorf("the index says %q, want %q", got, d)
					}
				}
			})
		})
	}
}

func TestAStartThatLostRedisHalfWayIsRepeated(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"written", "indexed", "registered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true, Budget: 300 * time.Millisecond})
			file := filepath.Join(t.TempDir(), "key")
			w.SetStep(func(done string) error {
				if done == step {
					w.net.cut()
				}
				return nil
			})
			if _, _, err := w.EnsureTenantKey(t.Context(), w.tenant.ID, file); !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrUnknown) {
				t.Errorf("got %v, want ErrUnavailable or ErrUnknown", err)
			}
			w.net.back()
			key, created, err := w.another().EnsureTenantKey(t.Context(), w.tenant.ID, file)
			if err != nil || created {
				t.Fatalf("next start: created %v, %v; want the key of the file", created, err)
			}
			w.checkAuth(t, "after the next start", key.Reveal(), nil)
		})
	}
}

func TestAServerStartsWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: server.URL()})
	dir := t.TempDir()
	for kind, ensure := range ensurers {
		if _, _, err := ensure(w, t.Context(), filepath.Join(dir, string(kind))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for kind, ensure := range ensurers {
		if _, _, err := ensure(w.another(), t.Context(), filepath.Join(dir, string(kind))); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestServersThatStartTogetherShareTheKeyOfAFile(t *testing.T) {
	t.Parallel()
	onBothKinds(t, func(t *testing.T, w *world, kind auth.Kind, file string) {
		const n = 8
		var wg sync.WaitGroup
		keys, made := make([]auth.Secret, n), make([]bool, n)
		for i := range n {
			s := w.another()
			wg.Go(func() {
				var err error
				if keys[i], made[i], err = ensurers[kind](s, t.Context(), file); err != nil {
					t.Errorf("start: %v", err)
				}
			})
		}
		wg.Wait()
		creators := 0
		for i := range n {
			if keys[i] != keys[0] {
				t.Error("two servers have two keys of one file")
			}
			if made[i] {
				creators++
			}
		}
		if creators != 1 {
			t.Errorf("%d servers made the key, want 1", creators)
		}
		w.checkAuth(t, "afterwards", keys[0].Reveal(), nil)
	})
}

func TestWithoutRedisAKeyFileIsWrittenAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true, Budget: 300 * time.Millisecond})
	file := filepath.Join(t.TempDir(), "key")
	w.net.cut()
	if _, _, err := w.EnsureOperatorKey(t.Context(), file); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	w.net.back()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, created, err := w.EnsureOperatorKey(t.Context(), file)
	if err != nil || created || key.Reveal()+"\n" != string(text) {
		t.Errorf("next start: created %v, %v; want the key of the file", created, err)
	}
}

// reset returns the key in a file after ResetOperatorKey.
func (w *world) reset(t *testing.T, file string, want auth.Reset) string {
	t.Helper()
	got, err := w.ResetOperatorKey(t.Context(), file)
	if err != nil || got.Old != want.Old || got.ID == "" || got.ID == got.Old {
		t.Fatalf("reset: %+v, %v; want the old key to be %q", got, err, want.Old)
	}
	text, err := os.ReadFile(file)
	info, failed := os.Stat(file)
	if err := errors.Join(err, failed); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	key := strings.TrimSpace(string(text))
	if _, id := w.Digest(key); id != got.ID {
		t.Errorf("the file holds %s, want %s", id, got.ID)
	}
	return key
}

func TestG20_AnOperatorsKeyThatWasResetStops(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		file := filepath.Join(t.TempDir(), "operator-key")
		first, _, err := w.EnsureOperatorKey(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		other, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		server := w.another()
		server.checkAuth(t, "before", first.Reveal(), nil)
		_, old := w.Digest(first.Reveal())
		second := w.reset(t, file, auth.Reset{Old: old})
		w.clock.Advance(4 * time.Second)
		server.checkAuth(t, "the old key, 4 s later", first.Reveal(), auth.ErrUnauthenticated)
		server.checkAuth(t, "the new key", second, nil)
		server.checkAuth(t, "another operator's", other.Secret.Reveal(), nil)
		if _, created, err := server.EnsureOperatorKey(t.Context(), file); err != nil || created {
			t.Errorf("the next start: created %v, %v", created, err)
		}

		// Also when the key of the file is gone already, or the file, or what it held.
		_, old = w.Digest(second)
		if err := w.RevokeOperatorKey(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		w.reset(t, file, auth.Reset{Old: old})
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		w.reset(t, file, auth.Reset{})
		if err := os.WriteFile(file, []byte("slo_"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "the last one", w.reset(t, file, auth.Reset{}), nil)
	})
}

func TestAResetThatFailsLeavesAKeyThatWorks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		file := filepath.Join(t.TempDir(), "operator-key")
		first, _, err := w.EnsureOperatorKey(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		w.net.cut()
		got, err := w.ResetOperatorKey(ctx, file)
		w.net.back()
		if text, _ := os.ReadFile(file); err == nil || got.ID != "" || string(text) != first.Reveal()+"\n" {
			t.Errorf("without Redis: %+v, %v, and the file was changed: %v", got, err, string(text) != first.Reveal()+"\n")
		}
		w.clock.Advance(5 * time.Second)
		w.checkAuth(t, "without Redis", first.Reveal(), nil)

		// A file that cannot be written leaves no key behind. On real Redis other tests make some meanwhile.
		taken := filepath.Join(t.TempDir(), "no", "operator-key")
		keys, err := w.ListOperatorKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.ResetOperatorKey(t.Context(), taken); err == nil || got.ID != "" {
			t.Errorf("without a folder: %+v, %v", got, err)
		}
		after, err := w.ListOperatorKeys(t.Context())
		if err != nil || w.engine.Memory() && len(after) != len(keys) {
			t.Errorf("%d keys after that, want %d: %v", len(after), len(keys), err)
		}

		w.SetStep(crashAfter("written"))
		got, err = w.ResetOperatorKey(t.Context(), file)
		w.SetStep(func(string) error { return nil })
		text, _ := os.ReadFile(file)
		if !errors.Is(err, errCrash) || got.ID == "" || got.Old == "" {
			t.Errorf("a reset that died before the end: %+v, %v", got, err)
		}
		w.checkAuth(t, "the new key", strings.TrimSpace(string(text)), nil)
	})
}
