package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicemq/sluice/auth"
)

// owners returns how many owners of the test's tenant have a password.
func (w *world) owners(t *testing.T) (n int) {
	t.Helper()
	list, err := w.auth.Members(t.Context(), w.tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Role == "owner" && !m.Invited {
			n++
		}
	}
	return n
}

// demote takes the role from a member, whatever became of him since he was read.
func (w *world) demote(t *testing.T, m auth.Member, by auth.Principal) error {
	t.Helper()
	role := "viewer"
	for {
		now, err := w.auth.Member(t.Context(), w.tenant.ID, m.ID)
		if err != nil {
			return err
		}
		if _, err = w.auth.ChangeMember(t.Context(), now, nil, &role, by); !errors.Is(err, auth.ErrMemberChanged) {
			return err
		}
	}
}

func TestATenantKeepsItsLastOwner(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.owner(t)
		ana, session := w.join(t, w.address("ana"), "owner")
		w.invite(t, w.address("late"), "owner") // who has no password yet
		w.join(t, w.address("dev"), "developer")
		stranger := *w
		stranger.tenant = w.newTenant(t)
		stranger.join(t, w.address("stranger"), "owner")
		self, err := w.auth.Session(t.Context(), session, home)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []auth.Principal{self, key} {
			if err := w.demote(t, ana, by); !errors.Is(err, auth.ErrLastOwner) {
				t.Errorf("demoting the last owner: %v", err)
			}
			if err := w.auth.RemoveMember(t.Context(), ana, by); !errors.Is(err, auth.ErrLastOwner) {
				t.Errorf("removing the last owner: %v", err)
			}
		}
		w.checkSession(t, "of the last owner", session, nil)
		name := "Ana"
		if ana, err = w.auth.ChangeMember(t.Context(), ana, &name, nil, self); err != nil || ana.Role != "owner" {
			t.Errorf("another name: %+v, %v", ana, err)
		}

		bob, _ := w.join(t, w.address("bob"), "owner")
		if err := w.demote(t, ana, self); err != nil {
			t.Errorf("demoting one of two: %v", err)
		}
		w.net.lose.Store(1) // the answer to a removal that was made
		if err := w.auth.RemoveMember(t.Context(), ana, key); err != nil {
			t.Errorf("removing who is an owner no more: %v", err)
		}
		operator, err := w.CreateOperatorKey(t.Context(), auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		by, err := w.auth.Authenticate(t.Context(), operator.Secret.Reveal(), home)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.demote(t, bob, by); err != nil {
			t.Errorf("an operator demotes the last owner: %v", err)
		}
		carol, _ := w.join(t, w.address("carol"), "owner")
		if err := w.auth.RemoveMember(t.Context(), carol, by); err != nil {
			t.Errorf("an operator removes the last owner: %v", err)
		}
		if n := stranger.owners(t); n != 1 {
			t.Errorf("another tenant has %d owners, want 1", n)
		}
	})
}

// Two owners who put each other out at once, on two servers: one of them stays.
func TestOfTwoOwnersWhoRemoveEachOtherOneStays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		other := w.another()
		by := w.owner(t)
		for round := range 6 {
			ana, _ := w.join(t, w.address(fmt.Sprint("ana", round)), "owner")
			bob, _ := w.join(t, w.address(fmt.Sprint("bob", round)), "owner")
			var refused atomic.Int32
			var wg sync.WaitGroup
			for _, f := range []func() error{
				func() error { return w.auth.RemoveMember(t.Context(), ana, by) },
				func() error {
					if round%2 == 0 {
						return other.auth.RemoveMember(t.Context(), bob, by)
					}
					return other.demote(t, bob, by)
				},
			} {
				wg.Go(func() {
					switch err := f(); {
					case errors.Is(err, auth.ErrLastOwner):
						refused.Add(1)
					case err != nil:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := w.owners(t); n != 1 || refused.Load() != 1 {
				t.Fatalf("%d owners are left and %d requests were refused, want one of each", n, refused.Load())
			}
			// The next round begins without an owner.
			list, err := w.auth.Members(t.Context(), w.tenant.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				if err := w.auth.RemoveMember(t.Context(), m, auth.Principal{Kind: auth.KindOperator, Grants: auth.NewGrants(auth.KindOperator, "*")}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
