package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// open opens a session with a key.
func (w *world) open(t *testing.T, key auth.Secret) (auth.Session, string) {
	t.Helper()
	s, text, err := w.tryOpen(t, key)
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return s, text
}

func (w *world) tryOpen(t *testing.T, key auth.Secret) (auth.Session, string, error) {
	t.Helper()
	p, err := w.auth.Authenticate(t.Context(), key.Reveal(), home)
	if err != nil {
		t.Fatal(err)
	}
	s, text, err := w.auth.OpenSession(t.Context(), key.Reveal(), p, "browser", home)
	return s, text.Reveal(), err
}

// checkSession fails unless the session gives want, nil for success.
func (w *world) checkSession(t *testing.T, when, text string, want error) {
	t.Helper()
	if _, err := w.auth.Session(t.Context(), text, home); !errors.Is(err, want) {
		t.Errorf("%s: Session gives %v, want %v", when, err, want)
	}
}

// sessions returns the ids of the sessions of the test's tenant, or of one key.
func (w *world) sessions(t *testing.T, owner string) []string {
	t.Helper()
	list, err := w.auth.Sessions(t.Context(), w.tenant.ID, owner)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// entries returns what the set of sessions has of the test's tenant.
func (w *world) entries(t *testing.T) []string {
	t.Helper()
	id := w.tenant.ID.String()
	list, err := w.redis.ZRangeArgs(t.Context(), redis.ZRangeArgs{Key: engine.SystemKey("session-index"), Start: "[" + id + "/", Stop: "(" + id + "0", ByLex: true}).Result()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestASessionGivesWhatItsKeyGives(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t)
		s, text := w.open(t, key.Secret)
		if !auth.IsSession(text) || auth.IsSession(key.Secret.Reveal()) || auth.IsSession(text[:39]+"!") {
			t.Errorf("the form of %q", text)
		}
		got, err := w.auth.Session(t.Context(), text, home)
		if err != nil {
			t.Fatal(err)
		}
		want, err := w.auth.Authenticate(t.Context(), key.Secret.Reveal(), home)
		if err != nil {
			t.Fatal(err)
		}
		want.SessionID = s.ID
		if got != want {
			t.Errorf("a session gives %+v, want %+v", got, want)
		}
		w.checkAuth(t, "a session is no key", text, auth.ErrUnauthenticated)
		w.checkSession(t, "a key is no session", key.Secret.Reveal(), auth.ErrSessionEnded)
		w.checkSession(t, "nobody's", strings.ToUpper(text), auth.ErrSessionEnded)
		list, err := w.auth.Sessions(t.Context(), w.tenant.ID, "")
		if err != nil || len(list) != 1 {
			t.Fatalf("sessions: %+v, %v", list, err)
		}
		l := list[0]
		wantSession := auth.Session{ID: s.ID, Kind: auth.KindTenant, Tenant: w.tenant.ID, OwnerID: key.ID, OwnerName: "test", Agent: "browser", Address: home,
			CreatedAt: start.UTC(), LastUsedAt: start.UTC(), ExpiresAt: start.Add(auth.SessionLife).UTC()}
		if d := cmp.Diff(fmt.Sprintf("%+v", wantSession), fmt.Sprintf("%+v", l.Bare())); d != "" {
			t.Errorf("the session (-want +got):\n%s", d)
		}
		all, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
		if err != nil || strings.Contains(fmt.Sprint(all), text) {
			t.Errorf("Redis holds the session itself, %v", err)
		}
	})
}

func TestAWarmSessionCostsNoCallToRedis(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	_, text := w.open(t, w.newKey(t).Secret)
	w.checkSession(t, "the first time", text, nil)
	w.auth.Confirm(t.Context()) // opening it changed the mark
	before := w.calls()
	const beats = 30
	for range beats {
		for range 100 {
			w.checkSession(t, "warm", text, nil)
		}
		w.clock.Advance(2 * time.Second)
		w.auth.Confirm(t.Context())
	}
	if n := w.calls() - before; n > beats+1 {
		t.Errorf("%d calls to Redis for %d requests, want one for each of %d beats", n, 100*beats, beats)
	}
}

func TestG20_ASessionThatEndedStopsWithinFiveSecondsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ends := map[string]func(auth.Session, auth.Created) error{
			"the session": func(s auth.Session, _ auth.Created) error { return w.EndSessions(t.Context(), s) },
			"its key":     func(_ auth.Session, k auth.Created) error { return w.Revoke(t.Context(), w.tenant.ID, k.ID) },
			"its key, by a rotation": func(_ auth.Session, k auth.Created) error {
				_, err := w.Rotate(t.Context(), w.tenant.ID, k.ID, auth.Rotation{})
				return err
			},
		}
		for what, end := range ends {
			key := w.newKey(t)
			s, text := w.open(t, key.Secret)
			_, other := w.open(t, w.newKey(t).Secret)
			beating, alone := w.another(), w.another() // one confirms what it knows, one does not
			for _, server := range []*world{w, beating, alone} {
				server.checkSession(t, "before", text, nil)
				server.checkSession(t, "before", other, nil)
			}
			if err := end(s, key); err != nil {
				t.Fatal(err)
			}
			w.checkSession(t, what+" ended, on this server", text, auth.ErrSessionEnded)
			for range 2 {
				w.clock.Advance(2 * time.Second)
				beating.auth.Confirm(t.Context())
			}
			for _, server := range []*world{beating, alone} {
				server.checkSession(t, what+" ended 4 s ago", text, auth.ErrSessionEnded)
				server.checkSession(t, "another's", other, nil)
			}
			for _, id := range w.sessions(t, "") {
				if id == s.ID {
					t.Errorf("%s ended, and the session is still listed", what)
				}
			}
		}
	})
}

func TestASessionEndsByItself(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t)
		_, idle := w.open(t, key.Secret)
		_, used := w.open(t, key.Secret)
		brief, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{ExpiresAt: start.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		_, ofBrief := w.open(t, brief.Secret)
		here, there := w, w.another() // uses on one server count on the other
		for hours := 1; hours < int(auth.SessionLife.Hours()); hours++ {
			w.clock.Advance(time.Hour)
			server := here
			if hours%2 == 0 {
				server = there
			}
			server.checkSession(t, fmt.Sprintf("after %d h of use", hours), used, nil)
			server.auth.NoteUses(t.Context())
			server.auth.Confirm(t.Context())
			switch hours {
			case 1:
				here.checkSession(t, "its key has expired", ofBrief, auth.ErrSessionEnded)
			case 12:
				here.checkSession(t, "nobody used it for 12 h", idle, auth.ErrSessionEnded)
				if got := w.sessions(t, key.ID); len(got) != 1 {
					t.Errorf("sessions after 12 h: %v, want the one in use", got)
				}
			}
		}
		w.clock.Advance(time.Hour)
		here.checkSession(t, "after 7 days of use", used, auth.ErrSessionEnded)
		there.checkSession(t, "after 7 days of use", used, auth.ErrSessionEnded)
	})
}

func TestAKeyHasALimitOfSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key, other := w.newKey(t), w.newKey(t)
		_, theirs := w.open(t, other.Secret)
		_, first := w.open(t, key.Secret)
		var last string
		for range auth.MaxSessionsOfOne {
			w.clock.Advance(time.Second)
			_, last = w.open(t, key.Secret)
		}
		w.clock.Advance(4 * time.Second)
		w.checkSession(t, "the oldest", first, auth.ErrSessionEnded)
		w.checkSession(t, "the latest", last, nil)
		w.checkSession(t, "another key's", theirs, nil)
		if got := len(w.sessions(t, key.ID)); got != auth.MaxSessionsOfOne {
			t.Errorf("%d sessions, want %d", got, auth.MaxSessionsOfOne)
		}
	})
}

func TestATenantHasALimitOfSessions(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	var keys []auth.Created
	for range auth.MaxSessions / auth.MaxSessionsOfOne {
		keys = append(keys, w.newKey(t))
		for range auth.MaxSessionsOfOne {
			w.open(t, keys[len(keys)-1].Secret)
		}
	}
	late := w.newKey(t)
	if _, _, err := w.tryOpen(t, late.Secret); !errors.Is(err, auth.ErrTooManySessions) {
		t.Errorf("one more: %v, want %v", err, auth.ErrTooManySessions)
	}
	if got := len(w.sessions(t, "")); got != auth.MaxSessions {
		t.Errorf("%d sessions, want %d", got, auth.MaxSessions)
	}
	w.open(t, keys[0].Secret) // in the place of his oldest
	operator, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	w.open(t, operator.Secret) // who is in no tenant
	if _, _, err := w.tryOpen(t, late.Secret); !errors.Is(err, auth.ErrTooManySessions) {
		t.Errorf("one more: %v, want %v", err, auth.ErrTooManySessions)
	}
	// Those of a key that is revoked make room, and no others.
	if err := w.Revoke(t.Context(), w.tenant.ID, keys[1].ID); err != nil {
		t.Fatal(err)
	}
	w.open(t, late.Secret)
	if got, want := len(w.entries(t)), auth.MaxSessions-auth.MaxSessionsOfOne+1; got != want {
		t.Errorf("Redis keeps %d sessions, want %d", got, want)
	}
	w.clock.Advance(auth.SessionLife)
	for range auth.MaxSessionsOfOne {
		w.open(t, late.Secret) // all others are over
	}
}

// More than one call of the sweep forgets, of two tenants, on two servers at once.
func TestSessionsThatAreOverLeaveRedis(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]engine.Options{
		"redis":  {URL: redistest.Start(t, redistest.Options{}).URL()}, // of its own, because its time runs ahead
		"memory": {URL: redistest.Memory(t), Memory: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opt)
			others := w.another()
			others.tenant = w.newTenant(t)
			for _, server := range []*world{w, others} {
				for range 4 {
					key := server.newKey(t)
					for range auth.MaxSessionsOfOne {
						server.open(t, key.Secret)
					}
				}
			}
			w.clock.Advance(auth.SessionLife - time.Second)
			_, late := w.open(t, w.newKey(t).Secret)
			w.auth.Sweep(t.Context())
			if a, b := len(w.entries(t)), len(others.entries(t)); a != 81 || b != 80 {
				t.Errorf("a second before the end there are %d and %d, want 81 and 80", a, b)
			}
			w.clock.Advance(time.Second)
			var over sync.WaitGroup
			for _, server := range []*world{w, others} {
				over.Go(func() { server.auth.Sweep(t.Context()) })
			}
			over.Wait()
			if a, b := len(w.entries(t)), len(others.entries(t)); a != 1 || b != 0 {
				t.Errorf("after the sweep there are %d and %d, want 1 and none", a, b)
			}
			w.checkSession(t, "after the sweep", late, nil)
		})
	}
}

func TestALostAnswerOpensOneSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.newKey(t)
		w.checkAuth(t, "before", key.Secret.Reveal(), nil)
		w.net.lose.Store(1)
		s, text := w.open(t, key.Secret)
		w.checkSession(t, "after a lost answer", text, nil)
		if got := w.sessions(t, key.ID); len(got) != 1 {
			t.Errorf("sessions %v, want one", got)
		}
		w.net.lose.Store(1)
		if err := w.EndSessions(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.checkSession(t, "ended with a lost answer", text, auth.ErrSessionEnded)
	})
}

func TestSessionsGoWithTheirTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, text := w.open(t, w.newKey(t).Secret)
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.checkSession(t, "the tenant is gone", text, auth.ErrSessionEnded)
		if left := w.entries(t); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// Nobody is let in on old knowledge, and a session is not ended because Redis is away.
func TestWithoutRedisNoSessionIsBelievedForLong(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	_, text := w.open(t, w.newKey(t).Secret)
	w.checkSession(t, "before", text, nil)
	w.net.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.clock.Advance(3 * time.Second)
	w.checkSession(t, "3 s later", text, nil)
	w.clock.Advance(2 * time.Second)
	if _, err := w.auth.Session(ctx, text, home); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("5 s later: %v, want %v", err, engine.ErrUnavailable)
	}
	w.net.back()
	w.checkSession(t, "Redis is back", text, nil)
}
