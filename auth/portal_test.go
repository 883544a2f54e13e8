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

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// link makes a portal link of the test's tenant.
func (w *world) link(t *testing.T, n auth.NewPortalLink) (auth.PortalLink, string) {
	t.Helper()
	l, text, err := w.tryLink(t, n)
	if err != nil {
		t.Fatalf("make a portal link: %v", err)
	}
	return l, text
}

func (w *world) tryLink(t *testing.T, n auth.NewPortalLink) (auth.PortalLink, string, error) {
	t.Helper()
	if n.By.Kind == "" {
		n.By = w.owner(t)
	}
	l, text, err := w.auth.CreatePortalLink(t.Context(), w.tenant.ID, n)
	return l, text.Reveal(), err
}

// follow opens the session of a link.
func (w *world) follow(t *testing.T, text string) (auth.Session, string, error) {
	t.Helper()
	l, err := w.auth.PortalLink(t.Context(), text, home)
	if err != nil {
		return auth.Session{}, "", err
	}
	s, session, err := w.auth.OpenPortalSession(t.Context(), l, "browser", home)
	return s, session.Reveal(), err
}

// checkLink fails unless following a link gives want, nil for success.
func (w *world) checkLink(t *testing.T, when, text string, want error) (session string) {
	t.Helper()
	_, session, err := w.follow(t, text)
	if !errors.Is(err, want) {
		t.Errorf("%s: following the link gives %v, want %v", when, err, want)
	}
	return session
}

func (w *world) links(t *testing.T) []string {
	t.Helper()
	id := w.tenant.ID.String()
	list, err := w.redis.ZRangeArgs(t.Context(), redis.ZRangeArgs{Key: engine.SystemKey("portal-links"), Start: "[" + id + "/", Stop: "(" + id + "0", ByLex: true}).Result()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAPortalLinkOpensOneSessionOnAnyServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made, text := w.link(t, auth.NewPortalLink{Role: "viewer", Name: "ana"})
		all, err := w.redis.HGetAll(t.Context(), engine.SystemKey("keys")).Result()
		if err != nil || strings.Contains(fmt.Sprint(all), text) {
			t.Errorf("Redis holds the link itself, %v", err)
		}
		w.checkAuth(t, "a link is no key", text, auth.ErrUnauthenticated)
		w.checkSession(t, "a link is no session", text, auth.ErrSessionEnded)
		late := w.another() // which has asked Redis nothing yet
		s, session, err := late.follow(t, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, server := range []*world{w, late, w.another()} {
			p, err := server.auth.Session(t.Context(), session, home)
			if err != nil || p.ID() != made.ID || p.LinkID != made.ID || p.Kind != auth.KindTenant || p.Tenant != w.tenant.ID || p.TenantName != w.tenant.Name || p.SessionID != s.ID {
				t.Errorf("the session gives %+v, %v", p, err)
			}
			if !p.Grants.May(auth.MustScope("queues:read")) || p.Grants.May(auth.MustScope("queues:write")) {
				t.Errorf("the session may %v", p.Grants.Allowed().Names())
			}
			server.checkLink(t, "once more", text, auth.ErrPortalLinkEnded)
		}
		if want := (auth.Session{ID: s.ID, Kind: auth.KindTenant, Tenant: w.tenant.ID, OwnerID: made.ID, OwnerName: "ana", Linked: true, Agent: "browser", Address: home,
			CreatedAt: start.UTC(), LastUsedAt: start.UTC(), ExpiresAt: start.Add(auth.PortalSessionLife).UTC()}); fmt.Sprintf("%+v", want) != fmt.Sprintf("%+v", s.Bare()) {
			t.Errorf("the session is %+v, want %+v", s.Bare(), want)
		}
		if left := w.links(t); len(left) > 0 {
			t.Errorf("the link is still there: %v", left)
		}
		w.clock.Advance(auth.PortalSessionLife - time.Second)
		w.checkSession(t, "in its last second", session, nil)
		w.clock.Advance(time.Second)
		w.checkSession(t, "after an hour", session, auth.ErrSessionEnded)
	})
}

func TestOfTwoWhoFollowALinkOneWins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, text := w.link(t, auth.NewPortalLink{Role: "viewer"})
		servers := []*world{w, w.another(), w.another(), w.another()}
		var found []auth.PortalLink
		for _, server := range servers { // all have seen that it holds
			l, err := server.auth.PortalLink(t.Context(), text, home)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, l)
		}
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i, server := range servers {
			wg.Go(func() {
				switch _, _, err := server.auth.OpenPortalSession(t.Context(), found[i], "", home); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, auth.ErrPortalLinkEnded):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || int(lost.Load()) != len(servers)-1 {
			t.Errorf("%d have won and %d lost, want 1 and %d", won.Load(), lost.Load(), len(servers)-1)
		}
		if got := w.sessions(t, ""); len(got) != 1 {
			t.Errorf("sessions %v, want one", got)
		}
	})
}

func TestALostAnswerOpensThePortalOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.owner(t)
		l, text := w.link(t, auth.NewPortalLink{Role: "viewer"})
		found, err := w.auth.PortalLink(t.Context(), text, home)
		if err != nil {
			t.Fatal(err)
		}
		w.net.lose.Store(1)
		_, session, err := w.auth.OpenPortalSession(t.Context(), found, "", home)
		if err != nil {
			t.Fatalf("open with a lost answer: %v", err)
		}
		w.checkSession(t, "after a lost answer", session.Reveal(), nil)
		if got := w.sessions(t, l.ID); len(got) != 1 {
			t.Errorf("sessions %v, want one", got)
		}
	})
}

func TestAPortalLinkEnds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		_, usual := w.link(t, auth.NewPortalLink{Role: "viewer"})
		_, brief := w.link(t, auth.NewPortalLink{Role: "viewer", Lifetime: auth.MinPortalLink})
		_, other := w.link(t, auth.NewPortalLink{Role: "viewer", Lifetime: auth.MaxPortalLink})
		for _, text := range []string{"", "x", strings.ToUpper(usual), usual[:len(usual)-1] + "!", "sli_" + usual[4:], auth.NewKeyText(auth.KindTenant)} {
			w.checkLink(t, text, text, auth.ErrPortalLinkEnded)
		}
		w.clock.Advance(auth.MinPortalLink)
		w.checkLink(t, "after a minute", brief, auth.ErrPortalLinkEnded)
		w.clock.Advance(auth.DefaultPortalLink - auth.MinPortalLink)
		w.checkLink(t, "after 15 minutes", usual, auth.ErrPortalLinkEnded)
		if err := w.EndPortalLinks(t.Context(), w.newTenant(t).ID); err != nil {
			t.Fatal(err)
		}
		w.checkLink(t, "the links of another tenant ended", other, nil)
		_, suspended := w.link(t, auth.NewPortalLink{Role: "viewer"})
		if err := w.EndPortalLinks(t.Context(), w.tenant.ID); err != nil {
			t.Fatal(err)
		}
		w.checkLink(t, "all have ended", suspended, auth.ErrPortalLinkEnded)
		_, orphan := w.link(t, auth.NewPortalLink{Role: "viewer"})
		_, followed := w.link(t, auth.NewPortalLink{Role: "viewer"})
		session := w.checkLink(t, "before the tenant goes", followed, nil)
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.checkLink(t, "the tenant is gone", orphan, auth.ErrPortalLinkEnded)
		w.checkSession(t, "the tenant is gone", session, auth.ErrSessionEnded)
		if left := append(w.links(t), w.entries(t)...); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestAPortalLinkGivesNoMoreThanItsMakerHas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		k, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Scopes: []string{"viewer", "portal_links:write"}, Queues: []string{"a-*"},
			AllowedIPs: []string{home}, ExpiresAt: start.Add(auth.PortalSessionLife / 2)})
		if err != nil {
			t.Fatal(err)
		}
		by, err := w.auth.Authenticate(t.Context(), k.Secret.Reveal(), home)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.tryLink(t, auth.NewPortalLink{Role: "developer", By: by}); !errors.Is(err, auth.ErrPermissionDenied) || !strings.Contains(err.Error(), "/role") {
			t.Errorf("a role that may more: %v", err)
		}
		_, text := w.link(t, auth.NewPortalLink{Role: "viewer", By: by})
		if _, err := w.auth.PortalLink(t.Context(), text, "198.51.100.1"); !errors.Is(err, auth.ErrAddressNotAllowed) {
			t.Errorf("from elsewhere: %v", err)
		}
		s, session, err := w.follow(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if want := start.Add(auth.PortalSessionLife / 2).UTC(); !s.ExpiresAt.Equal(want) {
			t.Errorf("the session ends at %v, want %v as the key does", s.ExpiresAt, want)
		}
		p, err := w.auth.Session(t.Context(), session, home)
		if err != nil || !p.Grants.Reaches("a-1") || p.Grants.Reaches("b") {
			t.Errorf("the session reaches %v, %v", p.Grants.Queues, err)
		}
		if _, err := w.auth.Session(t.Context(), session, "198.51.100.1"); !errors.Is(err, auth.ErrAddressNotAllowed) {
			t.Errorf("the session from elsewhere: %v", err)
		}

		// What is made by such a session ends with it.
		_, text = w.link(t, auth.NewPortalLink{Role: "owner"})
		_, session, err = w.follow(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = w.auth.Session(t.Context(), session, home); err != nil {
			t.Fatal(err)
		}
		made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{By: &p})
		if want := start.Add(auth.PortalSessionLife).UTC(); err != nil || !made.ExpiresAt.Equal(want) {
			t.Errorf("its key ends at %v, want %v: %v", made.ExpiresAt, want, err)
		}
		if _, err := w.auth.IssueToken(t.Context(), auth.NewToken{By: p}); !errors.Is(err, auth.ErrPermissionDenied) {
			t.Errorf("an access token: %v", err)
		}
		if _, _, err := w.auth.Invite(t.Context(), w.tenant.ID, w.tenant.Name, auth.NewMember{Email: w.address("ana"), Role: "viewer", By: p}); !errors.Is(err, auth.ErrPermissionDenied) {
			t.Errorf("a member: %v", err)
		}

		operator, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Scopes: []string{"viewer", "portal_links:write"}})
		if err != nil {
			t.Fatal(err)
		}
		if by, err = w.auth.Authenticate(t.Context(), operator.Secret.Reveal(), home); err != nil {
			t.Fatal(err)
		}
		w.link(t, auth.NewPortalLink{Role: "viewer", By: by})
		if _, _, err := w.tryLink(t, auth.NewPortalLink{Role: "operator", By: by}); !errors.Is(err, auth.ErrPermissionDenied) {
			t.Errorf("an operator who may less: %v", err)
		}
	})
}

func TestPortalLinksAndTheirSessionsHaveLimits(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		by := w.owner(t)
		var texts []string
		for range auth.MaxPortalLinks {
			_, text := w.link(t, auth.NewPortalLink{Role: "viewer", By: by})
			texts = append(texts, text)
		}
		if _, _, err := w.tryLink(t, auth.NewPortalLink{Role: "viewer", By: by}); !errors.Is(err, auth.ErrTooManyPortalLinks) {
			t.Errorf("one more: %v", err)
		}
		w.checkLink(t, "one of them", texts[0], nil)
		w.link(t, auth.NewPortalLink{Role: "viewer", By: by}) // in its place
		w.clock.Advance(auth.DefaultPortalLink)
		w.link(t, auth.NewPortalLink{Role: "viewer", By: by}) // all others are over
		if got := w.links(t); len(got) != 1 {
			t.Errorf("%d links are kept, want 1", len(got))
		}
		if w.record(texts[1]) != "" {
			t.Error("the record of a link that is over is kept")
		}
	})
}

func TestPortalSessionsLeaveRoomForMembers(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	by := w.owner(t)
	for range auth.MaxPortalSessions {
		_, text := w.link(t, auth.NewPortalLink{Role: "viewer", By: by})
		w.checkLink(t, "within the limit", text, nil)
	}
	_, text := w.link(t, auth.NewPortalLink{Role: "viewer", By: by, Lifetime: auth.MaxPortalLink})
	w.checkLink(t, "one more", text, auth.ErrTooManySessions)
	w.open(t, w.newKey(t).Secret)
	list, err := w.auth.Sessions(t.Context(), w.tenant.ID, "")
	if err != nil || len(list) != auth.MaxPortalSessions+1 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	for _, s := range list {
		if s.Linked {
			if err := w.EndSessions(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	w.checkLink(t, "after one has ended", text, nil) // what was refused did not use it up
}

func TestPortalLinksAreListedAndEndedOnAnyServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		other := w.another()
		ids := func(of *world) (ids []string) {
			t.Helper()
			list, err := of.auth.PortalLinks(t.Context(), of.tenant.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range list {
				ids = append(ids, l.ID)
			}
			return ids
		}
		first, text := w.link(t, auth.NewPortalLink{Role: "viewer", Name: "ana", Lifetime: auth.MaxPortalLink})
		w.clock.Advance(time.Second)
		brief, _ := w.link(t, auth.NewPortalLink{Role: "developer", Lifetime: auth.MinPortalLink})
		used, way := w.link(t, auth.NewPortalLink{Role: "viewer"})
		session := w.checkLink(t, "before the end", way, nil)
		stranger := *w
		stranger.tenant = w.newTenant(t)
		foreign, foreignText := stranger.link(t, auth.NewPortalLink{Role: "viewer", By: w.owner(t)})
		if got, want := fmt.Sprint(ids(other)), fmt.Sprint([]string{first.ID, brief.ID}); got != want {
			t.Errorf("the links are %v, want %v", got, want)
		}
		list, err := other.auth.PortalLinks(t.Context(), w.tenant.ID)
		if err != nil || list[0].Name != "ana" || list[0].Role != "viewer" || !list[0].ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("the first link is listed as %+v, %v", list[0], err)
		}
		for range 2 { // the second time there is nothing to end
			if err := other.auth.EndPortalLink(t.Context(), list[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.auth.EndPortalLink(t.Context(), used); err != nil {
			t.Fatal(err)
		}
		w.checkLink(t, "after its end on another server", text, auth.ErrPortalLinkEnded)
		w.checkSession(t, "a session goes on when its link is ended too late", session, nil)
		w.clock.Advance(auth.MinPortalLink)
		if got := ids(w); len(got) != 0 {
			t.Errorf("links that are over are listed: %v", got)
		}
		if got := ids(&stranger); len(got) != 1 || got[0] != foreign.ID {
			t.Errorf("the links of another tenant are %v, want %s", got, foreign.ID)
		}
		stranger.checkLink(t, "of another tenant", foreignText, nil)
	})
}

func TestPortalLinksThatAreOverLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	by := w.owner(t)
	records := func() int64 { return w.redis.HLen(t.Context(), engine.SystemKey("keys")).Val() }
	before := records()
	for range 3 { // tenants, of which none makes another link
		of := *w
		of.tenant = w.newTenant(t)
		for range 80 {
			of.link(t, auth.NewPortalLink{Role: "viewer", By: by, Lifetime: auth.MinPortalLink})
		}
	}
	_, holds := w.link(t, auth.NewPortalLink{Role: "viewer", By: by})
	w.clock.Advance(auth.MinPortalLink)
	w.net.lose.Store(1)
	w.auth.Sweep(t.Context())
	if got := records() - before; got != 1 {
		t.Errorf("%d records are left, want that of the link that holds", got)
	}
	for _, key := range []string{"portal-links", "portal-link-ends"} {
		if n := w.redis.ZCard(t.Context(), engine.SystemKey(key)).Val(); n != 1 {
			t.Errorf("%s has %d entries, want 1", key, n)
		}
	}
	w.checkLink(t, "one that holds", holds, nil)
	if n := w.redis.Exists(t.Context(), engine.SystemKey("portal-links"), engine.SystemKey("portal-link-ends")).Val(); n != 0 {
		t.Errorf("%d sets are left when there is no link", n)
	}
}

func TestARunningServerForgetsPortalLinks(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.link(t, auth.NewPortalLink{Role: "viewer", Lifetime: auth.MinPortalLink})
	c := &watched{Fake: w.clock, asked: make(chan struct{}, 1)}
	a := auth.NewAuthenticator(auth.NewKeyStore(w.engine, w.ring, w.tenants, c), nil)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- a.Run(ctx) }()
	<-c.asked
	for range 30 { // a minute of beats
		w.clock.Advance(2 * time.Second)
		<-c.asked // the beat is over
	}
	if left := w.links(t); len(left) > 0 {
		t.Errorf("after a minute there are %v", left)
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
