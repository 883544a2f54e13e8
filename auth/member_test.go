package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

const (
	password  = "correct horse battery staple"
	password2 = "a different battery staple"
)

// owner returns who may do everything for the test's tenant.
func (w *world) owner(t *testing.T) auth.Principal {
	t.Helper()
	p, err := w.auth.Authenticate(t.Context(), w.newKey(t).Secret.Reveal(), home)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// invite invites a member of the test's tenant.
func (w *world) invite(t *testing.T, email, role string) (auth.Member, auth.Invitation) {
	t.Helper()
	m, i, err := w.tryInvite(t, email, role)
	if err != nil {
		t.Fatalf("invite %s: %v", email, err)
	}
	return m, i
}

func (w *world) tryInvite(t *testing.T, email, role string) (auth.Member, auth.Invitation, error) {
	t.Helper()
	return w.auth.Invite(t.Context(), w.tenant.ID, w.tenant.Name, auth.NewMember{Email: email, Role: role, By: w.owner(t)})
}

// join makes a member with a password and a session.
func (w *world) join(t *testing.T, email, role string) (auth.Member, string) {
	t.Helper()
	_, i := w.invite(t, email, role)
	m, err := w.auth.Accept(t.Context(), i.Token.Reveal(), "", password)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	_, text, err := w.auth.OpenMemberSession(t.Context(), m, "browser", home)
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return m, text.Reveal()
}

// address returns an e-mail address that no other test uses.
func (w *world) address(name string) string { return name + "@" + w.tenant.Name + ".example" }

func TestG20_AMemberIsHeldToWhatHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		write := auth.MustScope("queues:write")
		may := func(server *world, text string) error {
			p, err := server.auth.Session(t.Context(), text, home)
			if err == nil && !p.Grants.May(write) {
				err = auth.ErrPermissionDenied
			}
			return err
		}
		owner := w.owner(t)
		for what, c := range map[string]struct {
			change func(auth.Member) error
			want   error
		}{
			"another role": {func(m auth.Member) error {
				role := "viewer"
				_, err := w.auth.ChangeMember(t.Context(), m, nil, &role, owner)
				return err
			}, auth.ErrPermissionDenied},
			"another password": {func(m auth.Member) error {
				_, err := w.auth.ChangePassword(t.Context(), m, password, password2, home)
				return err
			}, auth.ErrSessionEnded},
			"a removal": {func(m auth.Member) error { return w.auth.RemoveMember(t.Context(), m, owner) }, auth.ErrSessionEnded},
		} {
			m, text := w.join(t, w.address(strings.ReplaceAll(what, " ", "-")), "developer")
			beating, alone := w.another(), w.another()
			for _, server := range []*world{w, beating, alone} {
				if err := may(server, text); err != nil {
					t.Fatalf("before %s: %v", what, err)
				}
			}
			if err := c.change(m); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := may(w, text); !errors.Is(err, c.want) {
				t.Errorf("%s, on this server: %v, want %v", what, err, c.want)
			}
			for range 2 {
				w.clock.Advance(2 * time.Second)
				beating.auth.Confirm(t.Context())
			}
			for _, server := range []*world{beating, alone} {
				if err := may(server, text); !errors.Is(err, c.want) {
					t.Errorf("%s, 4 s later on another server: %v, want %v", what, err, c.want)
				}
			}
		}
	})
}

func TestAServerThatHasJustStartedSignsIn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, i := w.invite(t, w.address("ana"), "viewer")
		m, err := w.another().auth.Accept(t.Context(), i.Token.Reveal(), "", password)
		if err != nil {
			t.Fatal(err)
		}
		late := w.another()
		_, text, err := late.auth.OpenMemberSession(t.Context(), m, "", home)
		if err != nil {
			t.Fatal(err)
		}
		late.checkSession(t, "on the server itself", text.Reveal(), nil)
		w.checkSession(t, "on another one", text.Reveal(), nil)
	})
}

func TestWhatRedisHoldsOfMembersLetsNobodyIn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, text := w.join(t, w.address("ana"), "viewer")
		_, pending := w.invite(t, w.address("bob"), "viewer")
		all, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
		if err != nil {
			t.Fatal(err)
		}
		held := fmt.Sprint(all)
		for what, secret := range map[string]string{"a password": password, "a session": text, "an invitation": pending.Token.Reveal()} {
			if strings.Contains(held, secret) {
				t.Errorf("Redis holds %s", what)
			}
		}
		if !strings.Contains(held, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Error("the password is not kept by Argon2id")
		}
	})
}

func TestALostAnswerMakesOneMember(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		owner := w.owner(t)
		w.net.lose.Store(1)
		m, i, err := w.auth.Invite(t.Context(), w.tenant.ID, w.tenant.Name, auth.NewMember{Email: w.address("ana"), Role: "viewer", By: owner})
		if err != nil {
			t.Fatal(err)
		}
		invited, err := w.auth.Invited(t.Context(), i.Token.Reveal())
		if err != nil || invited.ID != m.ID {
			t.Fatalf("the invitation is for %s, %v", invited.ID, err)
		}
		w.net.lose.Store(1)
		if _, err = w.auth.Accept(t.Context(), i.Token.Reveal(), "", password); err != nil && !errors.Is(err, auth.ErrInvitationEnded) {
			t.Fatal(err)
		}
		if m, _, err = w.auth.SignIn(t.Context(), "", w.address("ana"), password, home); err != nil {
			t.Fatal(err)
		}
		w.net.lose.Store(1)
		if err := w.auth.RemoveMember(t.Context(), m, owner); err != nil {
			t.Fatal(err)
		}
		if list, err := w.auth.Members(t.Context(), w.tenant.ID); err != nil || len(list) != 0 {
			t.Errorf("members %v, %v", list, err)
		}
	})
}

func TestOneOfManyAccepts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, i := w.invite(t, w.address("ana"), "viewer")
		var done atomic.Int32
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				_, err := w.another().auth.Accept(context.Background(), i.Token.Reveal(), "", fmt.Sprintf("%s %d", password, n))
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, auth.ErrInvitationEnded) && !errors.Is(err, auth.ErrMemberChanged):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 {
			t.Errorf("%d accepted, want one", done.Load())
		}
	})
}

func TestMembersGoWithTheirTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		m, text := w.join(t, w.address("ana"), "owner")
		_, pending := w.invite(t, w.address("bob"), "viewer")
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.checkSession(t, "the tenant is gone", text, auth.ErrSessionEnded)
		if _, _, err := w.auth.SignIn(t.Context(), "", m.Email, password, home); !errors.Is(err, auth.ErrSignInFailed) {
			t.Errorf("sign in: %v", err)
		}
		if _, err := w.auth.Accept(t.Context(), pending.Token.Reveal(), "", password); !errors.Is(err, auth.ErrInvitationEnded) {
			t.Errorf("accept: %v", err)
		}
		for _, key := range []string{"keys", "key-uses"} {
			all, err := w.redis.HGetAll(t.Context(), engine.SystemKey(key)).Result()
			if err != nil || strings.Contains(fmt.Sprint(all), w.tenant.ID.String()) || strings.Contains(fmt.Sprint(all), w.tenant.Name) {
				t.Errorf("%s holds something of the tenant, %v", key, err)
			}
		}
		for _, key := range []string{"member-index", "member-emails", "session-index", "session-ends"} {
			all, err := w.redis.ZRange(t.Context(), engine.SystemKey(key), 0, -1).Result()
			if err != nil || strings.Contains(fmt.Sprint(all), w.tenant.ID.String()) {
				t.Errorf("%s holds something of the tenant, %v", key, err)
			}
		}
	})
}

func TestATenantHasALimitOfMembers(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	owner := w.owner(t)
	invite := func(email string) (auth.Member, error) {
		m, _, err := w.auth.Invite(t.Context(), w.tenant.ID, w.tenant.Name, auth.NewMember{Email: email, Role: "viewer", By: owner})
		return m, err
	}
	var last auth.Member
	for n := range auth.MaxMembers {
		var err error
		if last, err = invite(fmt.Sprintf("m%d@example.com", n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := invite("late@example.com"); !errors.Is(err, auth.ErrTooManyMembers) {
		t.Errorf("one more: %v, want %v", err, auth.ErrTooManyMembers)
	}
	if list, err := w.auth.Members(t.Context(), w.tenant.ID); err != nil || len(list) != auth.MaxMembers {
		t.Errorf("%d members, %v", len(list), err)
	}
	if err := w.auth.RemoveMember(t.Context(), last, owner); err != nil {
		t.Fatal(err)
	}
	if _, err := invite("late@example.com"); err != nil {
		t.Error(err)
	}
}

// However many sign in at once, the server hashes two passwords at a time and lets a few wait.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	var refused, failed atomic.Int32
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			_, _, err := w.auth.SignIn(context.Background(), "", fmt.Sprintf("x%d@example.com", n), password, fmt.Sprintf("192.0.2.%d", n))
			switch {
			case errs.KindOf(err) == errs.Unavailable:
				refused.Add(1)
			case errors.Is(err, auth.ErrSignInFailed):
				failed.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if refused.Load() == 0 || failed.Load() < 34 {
		t.Errorf("%d judged and %d sent away, want at least 34 judged and some sent away", failed.Load(), refused.Load())
	}
}

func TestGuessesTakeLittleMemory(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for n := range 30_000 {
		_ = w.auth.Guess(fmt.Sprint(n), fmt.Sprintf("2001:db8:%x:%x::1", n>>8, n&255))
	}
	if got := w.auth.Guesses(); got > 10_000 {
		t.Errorf("%d guesses are remembered, want at most 10,000", got)
	}
	// 64 bits of IPv6 are one person.
	w = newMemoryWorld(t)
	for n := range 10 {
		if err := w.auth.Guess("ana", fmt.Sprintf("2001:db8::%x", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.auth.Guess("ana", "2001:db8::ffff"); errs.KindOf(err) != errs.RateLimited {
		t.Errorf("the eleventh: %v", err)
	}
	if err := w.auth.Guess("ana", "2001:db8:0:1::1"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	// And from one network only so many about all accounts together.
	for n := range 50 {
		_ = w.auth.Guess(fmt.Sprint(n), "192.0.2.1")
	}
	if err := w.auth.Guess("new", "192.0.2.1"); errs.KindOf(err) != errs.RateLimited {
		t.Errorf("the 51st: %v", err)
	}
}

// BenchmarkSignIn is what a password costs.
func BenchmarkSignIn(b *testing.B) {
	w := newWorld(b, engine.Options{URL: redistest.Memory(b), Memory: true})
	for n := 0; b.Loop(); n++ {
		if _, _, err := w.auth.SignIn(b.Context(), "", "x@example.com", password, fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)); !errors.Is(err, auth.ErrSignInFailed) {
			b.Fatal(err)
		}
	}
}

// Who may guess no more gains nothing by going on with ever other names: what he has done is not pushed out of the memory.
func TestRefusedGuessesPushNothingOut(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for n := range 50 {
		if err := w.auth.Guess(fmt.Sprint(n), "192.0.2.7"); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	admitted := 0
	for n := range 60_000 {
		if w.auth.Guess(fmt.Sprint("other", n), "192.0.2.7") == nil {
			admitted++
		}
	}
	if admitted > 0 {
		t.Errorf("%d more guesses were admitted, want none", admitted)
	}
	if got := w.auth.Guesses(); got != 51 {
		t.Errorf("%d guesses are remembered, want 51", got)
	}
}

// Somebody is removed just as he is invited again, and another one gets his address. The invitation of the first is worth nothing.
func TestAnInvitationEndsWithItsMember(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		owner, address := w.owner(t), w.address("ana")
		seen, _ := w.invite(t, address, "viewer")
		_, theirs, err := w.auth.InviteAgain(t.Context(), seen, 0, owner)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.auth.RemoveMember(t.Context(), seen, owner); err != nil { // as it was read before
			t.Fatal(err)
		}
		_, mine := w.invite(t, address, "owner")
		if m, err := w.auth.Accept(t.Context(), theirs.Token.Reveal(), "", password); !errors.Is(err, auth.ErrInvitationEnded) {
			t.Errorf("the invitation of a viewer who was removed made an %s: %v", m.Role, err)
		}
		if _, err := w.auth.Accept(t.Context(), mine.Token.Reveal(), "", password2); err != nil {
			t.Errorf("the invitation that holds: %v", err)
		}
	})
}
