package auth_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
)

func TestScopesWildcardsAndRolesMeanScopes(t *testing.T) {
	t.Parallel()
	of := func(scopes ...string) []string { return auth.NewGrants(auth.KindTenant, scopes...).Allowed().Names() }
	all, _ := auth.ScopeNames(auth.KindTenant)
	everything, roles := auth.ScopeNames(auth.KindOperator)
	for _, c := range []struct {
		given []string
		want  []string
	}{
		{nil, []string{}},
		{[]string{"messages:send"}, []string{"messages:send"}},
		{[]string{"tasks:*", "messages:send"}, []string{"messages:send", "tasks:read", "tasks:write"}},
		{[]string{"*:read"}, []string{"alarms:read", "audit:read", "keys:read", "members:read", "portal_links:read", "queues:read", "request_log:read", "schedules:read", "tasks:read", "topics:read", "usage:read"}},
		{[]string{"*"}, all}, {[]string{"*:*"}, all}, {[]string{"owner"}, all},
		{[]string{"of-a-later-version", "later:*", "messages:send"}, []string{"messages:send"}},
		{[]string{"tenants:write"}, []string{}}, // for operators
		{[]string{"viewer_without_bodies"}, []string{"alarms:read", "audit:read", "keys:read", "members:read", "messages:peek", "portal_links:read", "queues:read", "request_log:read", "schedules:read", "tasks:read", "topics:read", "usage:read"}},
	} {
		if diff := cmp.Diff(c.want, of(c.given...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.given, diff)
		}
	}
	if got := auth.NewGrants(auth.KindOperator, "*").Allowed().Names(); !slices.Equal(got, everything) || len(got) <= len(all) {
		t.Errorf("an operator with * has %q", got)
	}
	// Who may less on paper may less in fact.
	rank := []string{"viewer_without_bodies", "viewer", "operator", "owner"}
	for i := range rank[1:] {
		less, more := auth.NewGrants(auth.KindTenant, rank[i]), auth.NewGrants(auth.KindTenant, rank[i+1])
		if !more.May(less.Allowed()) || less.May(more.Allowed()) {
			t.Errorf("%s: %q; %s: %q", rank[i], less.Allowed().Names(), rank[i+1], more.Allowed().Names())
		}
	}
	for _, role := range roles {
		allowed := auth.NewGrants(auth.KindTenant, role).Allowed()
		if role != "owner" && allowed.Has(auth.MustScope("keys:write")) {
			t.Errorf("a %s may make keys", role)
		}
		if len(allowed.Names()) == 0 {
			t.Errorf("a %s may nothing", role)
		}
	}
	var nobody *auth.Grants
	if nobody.May(auth.MustScope("queues:read")) || nobody.Reaches("orders") || !nobody.Limited() || nobody.Allowed() != 0 {
		t.Error("no grants grant something")
	}
}

func TestQueuePatterns(t *testing.T) {
	t.Parallel()
	pieces := []string{"", "a", "b", "ab", "ba", "*", "**", "a*", "*a", "*a*", "a*b", "a*b*", "*ab*ba*", "aab", "aabab", "abba", "a*a", ".fifo", "*.fifo", "x.fifo", "xfifo"}
	for _, pattern := range pieces {
		slow := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		for _, name := range pieces {
			if got, want := auth.Matches(pattern, name), slow.MatchString(name); got != want {
				t.Errorf("%q and %q: got %v, want %v", pattern, name, got, want)
			}
		}
	}
	begin := time.Now()
	if auth.Matches(strings.Repeat("*a", 40), strings.Repeat("a", 79)+"b") {
		t.Error("a text that ends with b is not as a pattern that ends with a")
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the worst pattern took %s", took)
	}
	for want, queues := range map[string][]string{"orders-": {"orders-*"}, "or": {"orders-*", "organs"}, "": {"a", "b"}, "one": {"one"}, "o": {"o*", "one"}} {
		if got := (&auth.Grants{Queues: queues}).Prefix(); got != want {
			t.Errorf("prefix of %q: got %q, want %q", queues, got, want)
		}
	}
}

// create makes a key of the tenant's.
func (w *world) create(t *testing.T, n auth.NewKey) auth.Created {
	t.Helper()
	made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, n)
	if err != nil {
		t.Fatalf("create %+v: %v", n, err)
	}
	return made
}

// principal is who shows a key.
func (w *world) principal(t *testing.T, key auth.Created) *auth.Principal {
	t.Helper()
	p, err := w.auth.Authenticate(t.Context(), key.Secret.Reveal(), home)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestAKeyIsKeptWithAllThatItIsLimitedTo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ends := start.Add(time.Hour)
		made := w.create(t, auth.NewKey{Name: "worker", Scopes: []string{"messages:consume", "queues:read"}, Queues: []string{"orders-*", "mail"},
			AllowedIPs: []string{"10.1.2.3/8", "::ffff:192.0.2.1", "2001:db8::/32"}, ExpiresAt: ends})
		want := auth.Key{ID: made.ID, Name: "worker", Kind: auth.KindTenant, Scopes: []string{"messages:consume", "queues:read"},
			Queues: []string{"orders-*", "mail"}, AllowedIPs: []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"}, CreatedAt: start, ExpiresAt: ends}
		for name, got := range map[string]func() (auth.Key, error){
			"created": func() (auth.Key, error) { return made.Key, nil },
			"got":     func() (auth.Key, error) { return w.Get(t.Context(), w.tenant.ID, made.ID) },
			"listed": func() (auth.Key, error) {
				keys, err := w.List(t.Context(), w.tenant.ID)
				return append(keys, auth.Key{})[0], err
			},
		} {
			k, err := got()
			if diff := cmp.Diff(want, k); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
			}
		}
		g := w.another().principal(t, made).Grants
		for queue, want := range map[string]bool{"orders-1": true, "orders-": true, "orders": false, "mail": true, "mails": false, "": false} {
			if got := g.Reaches(queue); got != want {
				t.Errorf("reaches %q: got %v", queue, got)
			}
		}
		if !g.May(auth.MustScope("messages:consume")) || g.May(auth.MustScope("messages:send")) {
			t.Errorf("allowed: %q", g.Allowed().Names())
		}
		other := w.newTenant(t)
		if _, err := w.Get(t.Context(), other.ID, made.ID); !errors.Is(err, auth.ErrKeyNotFound) {
			t.Errorf("another tenant's look: %v", err)
		}
	})
}

func TestAKeyIsOnlyGoodFromItsAddresses(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		key := w.create(t, auth.NewKey{AllowedIPs: []string{"10.0.0.0/8", "2001:db8::1"}}).Secret.Reveal()
		anywhere := w.newKey(t).Secret.Reveal()
		for range 2 { // cold and warm
			for address, want := range map[string]error{
				"10.0.0.1": nil, "10.255.255.255": nil, "11.0.0.0": auth.ErrAddressNotAllowed, "2001:db8::1": nil, "::ffff:10.1.1.1": nil,
				"2001:db8::2": auth.ErrAddressNotAllowed, "": auth.ErrAddressNotAllowed, "10.0.0.1:80": auth.ErrAddressNotAllowed,
			} {
				if _, err := w.auth.Authenticate(t.Context(), key, address); !errors.Is(err, want) {
					t.Errorf("from %q: got %v, want %v", address, err, want)
				}
				if _, err := w.auth.Authenticate(t.Context(), anywhere, address); err != nil {
					t.Errorf("a key without addresses from %q: %v", address, err)
				}
			}
		}
	})
}

func TestAKeyGivesNoMoreThanItHas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ends := start.Add(time.Hour)
		narrow := w.principal(t, w.create(t, auth.NewKey{Scopes: []string{"keys:*", "messages:send", "queues:*"}, Queues: []string{"orders-*", "mail"},
			AllowedIPs: []string{"192.0.2.0/24", "2001:db8::/32"}, ExpiresAt: ends}))
		for name, c := range map[string]struct {
			key     auth.NewKey
			pointer string // "" when it is fine
		}{
			"the same":         {auth.NewKey{}, ""},
			"less":             {auth.NewKey{Scopes: []string{"messages:send", "queues:read"}, Queues: []string{"orders-eu-*"}, AllowedIPs: []string{"192.0.2.1", "192.0.2.128/25"}, ExpiresAt: ends.Add(-time.Second)}, ""},
			"two patterns":     {auth.NewKey{Queues: []string{"orders-*-x*", "mail"}}, ""},
			"another scope":    {auth.NewKey{Scopes: []string{"messages:send", "messages:consume"}}, "/scopes/1"},
			"a wider wildcard": {auth.NewKey{Scopes: []string{"messages:*"}}, "/scopes/0"},
			"everything":       {auth.NewKey{Scopes: []string{"*"}}, "/scopes/0"},
			"a role":           {auth.NewKey{Scopes: []string{"developer"}}, "/scopes/0"},
			"another queue":    {auth.NewKey{Queues: []string{"mail", "mails"}}, "/queues/1"},
			"all queues":       {auth.NewKey{Queues: []string{"*"}}, "/queues/0"},
			"a wider pattern":  {auth.NewKey{Queues: []string{"orders*"}}, "/queues/0"},
			"another address":  {auth.NewKey{AllowedIPs: []string{"192.0.3.1"}}, "/allowed_ips/0"},
			"a wider network":  {auth.NewKey{AllowedIPs: []string{"192.0.2.1", "192.0.0.0/16"}}, "/allowed_ips/1"},
			"everywhere":       {auth.NewKey{AllowedIPs: []string{"0.0.0.0/0"}}, "/allowed_ips/0"},
			"longer":           {auth.NewKey{ExpiresAt: ends.Add(time.Second)}, "/expires_at"},
		} {
			before, _ := w.List(t.Context(), w.tenant.ID)
			c.key.By = narrow
			made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, c.key)
			if c.pointer == "" {
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				g := w.principal(t, made).Grants
				if !narrow.Grants.May(g.Allowed()) || len(g.Queues) == 0 || len(g.Addresses) == 0 || g.ExpiresAt.IsZero() {
					t.Errorf("%s: got %+v", name, g)
				}
				continue
			}
			e, ok := errors.AsType[*errs.Error](err)
			if !ok || e.Kind != errs.Forbidden || e.Code != "permission_denied" || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer {
				t.Errorf("%s: got %+v, want permission_denied of %s", name, err, c.pointer)
			}
			if after, _ := w.List(t.Context(), w.tenant.ID); len(after) != len(before) {
				t.Errorf("%s: a key was made", name)
			}
		}
	})
}

// An operator's own limits are about him, not about the tenant whose key he makes; his scopes are what he may give.
func TestAnOperatorGivesATenantNoScopeThatHeDoesNotHave(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	of := func(scopes ...string) *auth.Principal {
		made, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Scopes: scopes, AllowedIPs: []string{home}, ExpiresAt: start.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return w.principal(t, made)
	}
	for _, c := range []struct {
		by   *auth.Principal
		key  []string
		want []string // nil: refused
	}{
		{of("*"), nil, []string{"*"}},
		{of("*"), []string{"developer"}, []string{"developer"}},
		{of("tenants:*", "keys:write", "messages:send"), []string{"messages:send"}, []string{"messages:send"}},
		{of("tenants:*", "keys:write", "messages:send"), nil, []string{"keys:write", "messages:send"}},
		{of("tenants:*", "keys:write"), []string{"owner"}, nil},
		{of("tenants:*"), nil, nil},
	} {
		made, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Scopes: c.key, By: c.by})
		switch {
		case c.want == nil && !errors.Is(err, auth.ErrPermissionDenied):
			t.Errorf("%q by one with %q: got %v, want ErrPermissionDenied", c.key, c.by.Grants.Scopes, err)
		case c.want != nil && (err != nil || !slices.Equal(made.Scopes, c.want) || len(made.AllowedIPs) > 0 || !made.ExpiresAt.IsZero()):
			t.Errorf("%q by one with %q: got %+v, %v, want %q", c.key, c.by.Grants.Scopes, made.Key, err, c.want)
		}
	}
	if _, err := w.CreateOperatorKey(t.Context(), auth.NewKey{By: of("operator_keys:write"), Scopes: []string{"*"}}); !errors.Is(err, auth.ErrPermissionDenied) {
		t.Errorf("an operator makes one who may more: %v", err)
	}
	if _, err := w.CreateTenantKey(t.Context(), w.tenant.ID, auth.NewKey{Scopes: []string{"tenants:read"}}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a tenant's key with a scope of operators: %v", err)
	}
	if _, err := w.CreateOperatorKey(t.Context(), auth.NewKey{Queues: []string{"a"}}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("an operator's key with queues: %v", err)
	}
}

func TestWhoManagesWhichKeys(t *testing.T) {
	t.Parallel()
	all, orders := auth.Principal{Grants: &auth.Grants{}}, auth.Principal{Grants: &auth.Grants{Queues: []string{"orders-*"}}}
	for _, c := range []struct {
		by     auth.Principal
		queues []string
		want   bool
	}{
		{all, nil, true}, {all, []string{"x"}, true},
		{orders, nil, false}, {orders, []string{"orders-1"}, true}, {orders, []string{"orders-*"}, true}, {orders, []string{"orders-1", "x"}, false},
	} {
		if got := c.by.Manages(auth.Key{Queues: c.queues}); got != c.want {
			t.Errorf("%q manages a key of %q: got %v", c.by.Grants.Queues, c.queues, got)
		}
	}
}

// What an older version wrote of scopes nobody checked.
func TestARecordOfAnOlderVersionGrantsWhatItNames(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for scopes, want := range map[string]string{`["*"]`: "queues:read", `["whatever"]`: "", `["whatever","queues:read"]`: "queues:read"} {
		made := w.newKey(t)
		d, _ := w.Digest(made.Secret.Reveal())
		w.redis.HSet(t.Context(), "sl:-:{sys}:keys", d, fmt.Sprintf(`{"id":%q,"kind":"tenant","tenant":%q,"tenant_name":%q,"scopes":%s,"created_at":1}`,
			made.ID, w.tenant.ID, w.tenant.Name, scopes))
		g := w.principal(t, made).Grants
		if got := g.May(auth.MustScope("queues:read")); got != (want != "") || g.Limited() {
			t.Errorf("%s: may read queues: %v, limited %v", scopes, got, g.Limited())
		}
	}
}
