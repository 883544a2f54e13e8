package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
)

func TestAWarmKeyCostsNoCallToRedis(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t).Secret.Reveal()
		w.checkAuth(t, "the first time", key, nil)
		before := w.calls()
		const beats = 30
		for range beats { // a minute of use
			for range 100 {
				w.checkAuth(t, "warm", key, nil)
			}
			w.clock.Advance(2 * time.Second)
			w.auth.Confirm(t.Context())
		}
		// Other tests on the same Redis make keys, so a beat may have to look at this one again.
		if n := w.calls() - before; n > 2*beats {
			t.Errorf("%d calls to Redis for %d requests, want at most 2 for each of %d beats", n, 100*beats, beats)
		}
	})
}

func TestAConfirmationIsOneCallWhileNothingChanges(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for range 50 {
		w.checkAuth(t, "the first time", w.newKey(t).Secret.Reveal(), nil)
	}
	last := w.newKey(t)
	w.clock.Advance(2 * time.Second)
	for i, want := range []int64{2, 1, 1} { // all 50 are read again once, because the last key changed the mark
		before := w.calls()
		w.auth.Confirm(t.Context())
		if n := w.calls() - before; n != want {
			t.Errorf("beat %d: %d calls, want %d", i, n, want)
		}
	}
	if err := w.another().Revoke(t.Context(), w.tenant.ID, last.ID); err != nil {
		t.Fatal(err)
	}
	before := w.calls()
	w.auth.Confirm(t.Context())
	if n := w.calls() - before; n != 2 {
		t.Errorf("after a change: %d calls, want 2", n)
	}
}

func TestG20_ARevokedKeyStopsWithinFiveSecondsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t)
		beating, alone := w.another(), w.another() // one confirms what it knows, one does not
		for _, s := range []*world{w, beating, alone} {
			s.checkAuth(t, "before", key.Secret.Reveal(), nil)
		}
		if err := w.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		revoked := w.clock.Now()
		w.checkAuth(t, "on the server that revoked it", key.Secret.Reveal(), auth.ErrUnauthenticated)
		for !errors.Is(authError(t, beating, key), auth.ErrUnauthenticated) {
			w.clock.Advance(2 * time.Second)
			beating.auth.Confirm(t.Context())
			if w.clock.Now().Sub(revoked) > 2*time.Second {
				t.Fatal("a server that confirms still lets the key in after its beat")
			}
		}
		for !errors.Is(authError(t, alone, key), auth.ErrUnauthenticated) {
			w.clock.Advance(100 * time.Millisecond)
			if w.clock.Now().Sub(revoked) > 4*time.Second {
				t.Fatal("a server that does not confirm still lets the key in after 4 s")
			}
		}
	})
}

func authError(t *testing.T, w *world, key auth.Created) error {
	t.Helper()
	_, err := w.auth.Authenticate(t.Context(), key.Secret.Reveal(), home)
	return err
}

func TestG20_AKeyStopsWhenItExpires(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{ExpiresAt: start.Add(10 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		key := made.Secret.Reveal()
		w.checkAuth(t, "at once", key, nil)
		for _, c := range []struct {
			at   time.Duration
			want error
		}{{3 * time.Second, nil}, {9999 * time.Millisecond, nil}, {10 * time.Second, auth.ErrKeyExpired}, {time.Hour, auth.ErrKeyExpired}} {
			w.clock.Set(start.Add(c.at - time.Millisecond))
			_, _ = w.auth.Authenticate(t.Context(), key, home) // known from just before
			w.clock.Set(start.Add(c.at))
			w.checkAuth(t, "warm after "+c.at.String(), key, c.want)
			w.another().checkAuth(t, "cold after "+c.at.String(), key, c.want)
		}
		before := w.calls()
		w.checkAuth(t, "again", key, auth.ErrKeyExpired)
		if n := w.calls() - before; n != 0 {
			t.Errorf("an expired key costs %d calls each time, want none", n)
		}
	})
}

// The clock of Redis decides, because all servers share it.
func TestAServerWhoseClockIsWrongJudgesExpiryLikeTheOthers(t *testing.T) {
	t.Parallel()
	url, memory := redistest.URL(t), redistest.Memory(t)
	for name, opt := range map[string]engine.Options{"redis": {URL: url}, "memory": {URL: memory, Memory: true}} {
		for _, skew := range []time.Duration{-time.Hour, time.Hour} {
			t.Run(name+", "+skew.String(), func(t *testing.T) {
				t.Parallel()
				opt.Clock = clock.NewFake(time.Now().Add(skew))
				w := newWorld(t, opt)
				for expires, want := range map[time.Duration]error{-time.Minute: auth.ErrKeyExpired, time.Minute: nil} {
					made := w.newKey(t)
					d, _ := w.Digest(made.Secret.Reveal())
					text := strings.Replace(w.record(made.Secret.Reveal()), `"created_at"`,
						fmt.Sprintf(`"expires_at":%d,"created_at"`, time.Now().Add(expires).UnixMilli()), 1)
					w.redis.HSet(t.Context(), engine.SystemKey("keys"), d, text)
					w.checkAuth(t, "expires in "+expires.String(), made.Secret.Reveal(), want)
				}
			})
		}
	}
}

func TestWithoutRedisNobodyIsLetInOnOldKnowledge(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]engine.Options{
		"redis": {URL: redistest.URL(t)}, "memory": {URL: redistest.Memory(t), Memory: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt.Budget = 300 * time.Millisecond
			w := newWorld(t, opt)
			key := w.newKey(t).Secret.Reveal()
			w.checkAuth(t, "before", key, nil)
			w.net.cut()
			w.clock.Advance(3999 * time.Millisecond)
			w.auth.Confirm(t.Context()) // fails
			w.checkAuth(t, "after 3.999 s without Redis", key, nil)
			w.clock.Advance(time.Millisecond)
			w.checkAuth(t, "after 4 s without Redis", key, engine.ErrUnavailable)
			w.checkAuth(t, "an unknown key", auth.NewKeyText(auth.KindTenant), engine.ErrUnavailable)
			w.checkAuth(t, "no key at all", "slk_", auth.ErrUnauthenticated)
			w.net.back()
			w.checkAuth(t, "with Redis again", key, nil)
		})
	}
}

func TestALostAnswerToALookUpChangesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t).Secret.Reveal()
		w.net.lose.Store(1)
		w.checkAuth(t, "one answer lost", key, nil)
	})
	w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true, Budget: 300 * time.Millisecond})
	key := w.newKey(t).Secret.Reveal()
	w.net.lose.Store(1 << 20)
	w.checkAuth(t, "every answer lost", key, engine.ErrUnavailable)
}

func TestAnUnknownKeyIsAskedForOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		unknown := auth.NewKeyText(auth.KindTenant)
		before := w.calls()
		for range 100 {
			w.checkAuth(t, "unknown", unknown, auth.ErrUnauthenticated)
		}
		if n := w.calls() - before; n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		w.clock.Advance(2 * time.Second)
		w.checkAuth(t, "later", unknown, auth.ErrUnauthenticated)
		if n := w.calls() - before; n != 2 {
			t.Errorf("%d calls after 2 s, want 2", n)
		}
	})
}

// Whoever tries keys is told to wait. Keys that exist work from the same address, which others may share, and a client with a
// key that was revoked goes on to hear that.
func TestWhoTriesManyKeysWaits(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key, revoked := w.newKey(t).Secret.Reveal(), auth.NewKeyText(auth.KindTenant)
		for range 40 {
			w.checkAuth(t, "one wrong key", revoked, auth.ErrUnauthenticated)
			w.clock.Advance(time.Second)
		}
		w.clock.Advance(time.Minute)
		for n := range 20 {
			w.checkAuth(t, fmt.Sprint("wrong key ", n), auth.NewKeyText(auth.KindTenant), auth.ErrUnauthenticated)
		}
		w.clock.Advance(15 * time.Second)
		for n := range 100 {
			_, err := w.auth.Authenticate(t.Context(), auth.NewKeyText(auth.KindTenant), home)
			var e *errs.Error
			if !errors.As(err, &e) || e.Code != "too_many_attempts" || e.Kind != errs.RateLimited || e.RetryAfter != 45*time.Second {
				t.Fatalf("wrong key %d: %v, want too_many_attempts for 45 s", 20+n, err)
			}
		}
		w.checkAuth(t, "a good key meanwhile", key, nil)
		s := w.another()
		s.checkAuth(t, "on a server that does not know it yet", key, nil)
		w.checkAuthFrom(t, "192.0.2.200", "from elsewhere", auth.NewKeyText(auth.KindTenant), auth.ErrUnauthenticated)
		for _, text := range []string{"slk_x", "", "Bearer"} { // no key, so none that is tried
			w.checkAuth(t, text, text, auth.ErrUnauthenticated)
		}
		w.clock.Advance(45 * time.Second)
		w.checkAuth(t, "a minute later", auth.NewKeyText(auth.KindTenant), auth.ErrUnauthenticated)
	})
}

// What a caller is told of a revoked key is what he is told of one that never was.
func TestRevokedAndUnknownKeysLookTheSame(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t)
		if err := w.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		s := w.another()
		before := s.calls()
		_, unknown := s.auth.Authenticate(t.Context(), auth.NewKeyText(auth.KindTenant), home)
		between := s.calls()
		_, revoked := s.auth.Authenticate(t.Context(), key.Secret.Reveal(), home)
		if unknown.Error() != revoked.Error() || between-before != s.calls()-between {
			t.Errorf("unknown: %v after %d calls; revoked: %v after %d calls", unknown, between-before, revoked, s.calls()-between)
		}
	})
}

func TestOneLookUpServesAllWhoWait(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t).Secret.Reveal()
		before := w.calls()
		release := w.net.hold()
		const n = 50
		var begun, over sync.WaitGroup
		begun.Add(n)
		for range n {
			over.Go(func() {
				begun.Done()
				w.checkAuth(t, "together", key, nil)
			})
		}
		begun.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.auth.Authenticate(gone, key, home); !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who left: got %v, want ErrUnavailable because of him", err)
		}
		release()
		over.Wait()
		// Some may have come after the answer, and found it.
		if calls := w.calls() - before; calls != 1 {
			t.Errorf("%d calls for %d callers, want 1", calls, n)
		}
	})
}

func TestAnAnswerFromBeforeARevocationIsNotKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.checkAuth(t, "so that Redis has the script", auth.NewKeyText(auth.KindTenant), auth.ErrUnauthenticated)
		for _, here := range []bool{true, false} { // whether this server revokes it, or another one
			key := w.newKey(t)
			d, _ := w.Digest(key.Secret.Reveal())
			given, release := w.net.holdAnswer(d)
			over := make(chan error)
			go func() {
				_, err := w.auth.Authenticate(t.Context(), key.Secret.Reveal(), home)
				over <- err
			}()
			<-given
			revoker := w
			if !here {
				revoker = w.another()
			}
			if err := revoker.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(2 * time.Second)
			w.auth.Confirm(t.Context())
			release()
			if err := <-over; err != nil {
				t.Errorf("a call from before: %v", err)
			}
			if !here {
				w.clock.Advance(2 * time.Second) // since the answer; and 2 s since the beat
			}
			w.checkAuth(t, fmt.Sprintf("afterwards, revoked here %v", home), key.Secret.Reveal(), auth.ErrUnauthenticated)
		}
	})
}

func TestAKeyInUseIsNeverReadAgain(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	key := w.newKey(t).Secret.Reveal()
	w.checkAuth(t, "the first time", key, nil)
	before := w.calls()
	const beats = 100
	for range beats {
		w.clock.Advance(2 * time.Second)
		w.auth.Confirm(t.Context())
		w.checkAuth(t, "warm", key, nil)
	}
	if n := w.calls() - before; n != beats {
		t.Errorf("%d calls to Redis in %d beats, want one for each", n, beats)
	}
}

func TestTheCachesAreBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.auth.SetLimits(20, 30)
	hot := w.newKey(t).Secret.Reveal()
	w.checkAuth(t, "hot", hot, nil)
	for i := range 100 {
		w.clock.Advance(time.Millisecond)
		w.checkAuth(t, fmt.Sprint("key ", i), w.newKey(t).Secret.Reveal(), nil)
		w.checkAuthFrom(t, fmt.Sprint("192.0.2.", i), "unknown", auth.NewKeyText(auth.KindOperator), auth.ErrUnauthenticated)
		w.clock.Advance(time.Millisecond)
		before := w.calls()
		w.checkAuth(t, "hot", hot, nil)
		if n := w.calls() - before; n != 0 {
			t.Errorf("after %d others the key in use was forgotten", i)
		}
	}
	if known, unknown := w.auth.Sizes(); known != 20 || unknown != 30 {
		t.Errorf("%d known and %d unknown keys, want 20 and 30", known, unknown)
	}
	w.clock.Advance(2 * time.Minute)
	w.auth.Confirm(t.Context())
	if known, unknown := w.auth.Sizes(); known != 0 || unknown != 0 {
		t.Errorf("%d known and %d unknown keys after two idle minutes, want none", known, unknown)
	}
}

func TestARedisThatLostItsKeysLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	key := w.newKey(t).Secret.Reveal()
	w.checkAuth(t, "before", key, nil)
	w.auth.Confirm(t.Context())
	w.redis.FlushAll(t.Context())
	w.clock.Advance(2 * time.Second)
	w.auth.Confirm(t.Context())
	w.checkAuth(t, "after Redis came back empty", key, auth.ErrUnauthenticated)
}

// A failover may undo the last changes, and others may follow that the lost ones never knew.
func TestARedisThatWentBackIsNoticed(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	old := w.newKey(t)
	before, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
	if err != nil {
		t.Fatal(err)
	}
	lost := w.newKey(t)
	for _, k := range []auth.Created{old, lost} {
		w.checkAuth(t, "before", k.Secret.Reveal(), nil)
	}
	w.auth.Confirm(t.Context())
	w.redis.Del(t.Context(), engine.SystemKey("keys"))
	w.redis.HSet(t.Context(), engine.SystemKey("keys"), before)
	w.clock.Advance(2 * time.Second)
	w.auth.Confirm(t.Context())
	w.checkAuth(t, "a key that is still there", old.Secret.Reveal(), nil)
	w.checkAuth(t, "a key that was undone", lost.Secret.Reveal(), auth.ErrUnauthenticated)
}

func TestADamagedRecordLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for _, text := range []string{"{", `{}`, `[]`, `{"id":"key_x","kind":"tenant"}`, `{"id":"key_x","kind":"tenant","tenant":"../x"}`,
		`{"id":"key_x","kind":"operator","tenant":"` + w.tenant.ID.String() + `"}`, `{"id":"key_x","kind":"root","tenant":""}`} {
		key := auth.NewKeyText(auth.KindTenant)
		d, _ := w.Digest(key)
		w.redis.HSet(t.Context(), engine.SystemKey("keys"), d, text)
		w.checkAuth(t, text, key, engine.ErrBroken)
	}
}

// watched is a clock that says when somebody asks to be called back.
type watched struct {
	*clock.Fake
	asked chan struct{}
}

func (c *watched) AfterFunc(d time.Duration, f func()) clock.Timer {
	defer func() { c.asked <- struct{}{} }()
	return c.Fake.AfterFunc(d, f)
}

func TestRunConfirmsWhatIsInUse(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		c := &watched{Fake: w.clock, asked: make(chan struct{}, 1)}
		keys := auth.NewKeyStore(w.engine, w.ring, w.tenants, c)
		a := auth.NewAuthenticator(keys, nil)
		key := w.newKey(t)
		check := func(when string, want error) {
			t.Helper()
			if _, err := a.Authenticate(t.Context(), key.Secret.Reveal(), home); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", when, err, want)
			}
		}
		check("before", nil)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- a.Run(ctx) }()
		<-c.asked
		for range 5 { // ten seconds of beats
			w.clock.Advance(2 * time.Second)
			<-c.asked // the beat is over
			before := w.calls()
			check("while it works", nil)
			if n := w.calls() - before; n != 0 {
				t.Errorf("%d calls to Redis by a request, want none", n)
			}
		}
		if err := w.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		check("before the beat", nil)
		w.clock.Advance(2 * time.Second)
		<-c.asked
		check("after the beat", auth.ErrUnauthenticated)
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestManyCallersRevokersAndBeats(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.auth.SetLimits(10, 10)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				address := fmt.Sprint("192.0.2.", n) // each shows few keys that do not exist
				for range 15 {
					key := w.newKey(t)
					w.checkAuth(t, "new", key.Secret.Reveal(), nil)
					if err := w.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
						t.Errorf("Revoke: %v", err)
					}
					w.checkAuthFrom(t, address, "revoked here", key.Secret.Reveal(), auth.ErrUnauthenticated)
				}
			})
			wg.Go(func() {
				for range 15 {
					w.auth.Confirm(t.Context())
				}
			})
		}
		wg.Wait()
	})
}
