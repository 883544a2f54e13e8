package auth_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
)

func TestTheLastUseIsNotedOnceAMinuteAndNotByRequests(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, idle := w.newKey(t), w.newKey(t)
		key := made.Secret.Reveal()
		other := w.another()
		w.clock.Advance(time.Second)
		use := func(s *world, address string) {
			t.Helper()
			if _, err := s.auth.Authenticate(t.Context(), key, address); err != nil {
				t.Fatal(err)
			}
		}
		check := func(when string, id string, at time.Time, from string) {
			t.Helper()
			got, err := w.Get(t.Context(), w.tenant.ID, id)
			if err != nil || !got.LastUsedAt.Equal(at) || got.LastUsedIP != from {
				t.Errorf("%s: last used %s from %q, %v; want %s from %q", when, got.LastUsedAt, got.LastUsedIP, err, at, from)
			}
		}
		use(w, "192.0.2.7")
		first := w.clock.Now()
		w.auth.NoteUses(t.Context())
		check("after the first beat", made.ID, first, "192.0.2.7")
		check("a key that nobody used", idle.ID, time.Time{}, "")

		// Warm requests and the beats of the next minute cost nothing.
		before := w.calls()
		for range 29 {
			use(w, "192.0.2.8")
			w.clock.Advance(2 * time.Second)
			w.auth.Confirm(t.Context())
			w.auth.NoteUses(t.Context())
		}
		if n := w.calls() - before; n > 2*29 { // others on the same Redis make keys
			t.Errorf("%d calls in 29 beats", n)
		}
		check("within the minute", made.ID, first, "192.0.2.7")
		w.clock.Advance(2 * time.Second)
		use(w, "192.0.2.9")
		last := w.clock.Now()
		w.auth.NoteUses(t.Context())
		check("after the minute", made.ID, last, "192.0.2.8")

		// Another server that heard of an older use does not overrule a later one.
		w.clock.Advance(time.Minute)
		use(other, "192.0.2.10")
		older := w.clock.Now()
		w.clock.Advance(time.Second)
		use(w, "192.0.2.11")
		w.auth.NoteUses(t.Context())
		newest := w.clock.Now()
		other.auth.NoteUses(t.Context())
		if older.Equal(newest) {
			t.Fatal("the clock stands")
		}
		got, err := w.Get(t.Context(), w.tenant.ID, made.ID)
		if err != nil || !got.LastUsedAt.Equal(newest) {
			t.Errorf("after both: %s, %v; want %s", got.LastUsedAt, err, newest)
		}

		// What is refused is no use, and of an ended key nothing is left.
		w.clock.Advance(time.Hour)
		limited := w.create(t, auth.NewKey{AllowedIPs: []string{"10.0.0.1"}})
		w.checkAuth(t, "from elsewhere", limited.Secret.Reveal(), auth.ErrAddressNotAllowed)
		w.auth.NoteUses(t.Context())
		check("refused", limited.ID, time.Time{}, "")
		if err := w.Revoke(t.Context(), w.tenant.ID, made.ID); err != nil {
			t.Fatal(err)
		}
		d, _ := w.Digest(key)
		if text := w.redis.HGet(t.Context(), engine.SystemKey("key-uses"), d).Val(); text != "" {
			t.Errorf("Redis still holds %q", text)
		}
	})
}

func TestUsesThatRedisDidNotHearOfAreNotedLater(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	made := w.newKey(t)
	w.clock.Advance(time.Second)
	w.checkAuth(t, "once", made.Secret.Reveal(), nil)
	at := w.clock.Now()
	w.redis.Del(t.Context(), engine.SystemKey("key-uses"))
	w.redis.Set(t.Context(), engine.SystemKey("key-uses"), "of another type", 0) // so that the script fails
	w.auth.NoteUses(t.Context())
	w.redis.Del(t.Context(), engine.SystemKey("key-uses"))
	w.clock.Advance(2 * time.Second)
	w.auth.NoteUses(t.Context())
	if got, err := w.Get(t.Context(), w.tenant.ID, made.ID); err != nil || !got.LastUsedAt.Equal(at) || got.LastUsedIP != home {
		t.Errorf("got %s from %q, %v; want %s from %s", got.LastUsedAt, got.LastUsedIP, err, at, home)
	}
}
