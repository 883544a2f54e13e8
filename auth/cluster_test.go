package auth_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// Every script touches one slot: on a Cluster Redis refuses the others.
func TestTenantsAndKeysLiveOnACluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a cluster takes seconds to start")
	}
	var nodes []string
	for _, n := range redistest.Cluster(t, 3, 0).Nodes {
		nodes = append(nodes, n.Addr())
	}
	w := newWorld(t, engine.Options{URL: "redis+cluster://" + strings.Join(nodes, ",")})
	key := w.newKey(t)
	for range 10 { // tenants in many slots
		tenant := w.newTenant(t)
		made, err := w.CreateTenantKey(t.Context(), tenant.ID, auth.NewKey{})
		if err != nil {
			t.Fatal(err)
		}
		w.checkAuth(t, "a key", made.Secret.Reveal(), nil)
		if _, _, err := w.tenants.Put(t.Context(), tenant.Name, tenants.Settings{Labels: map[string]string{"a": "b"}}, tenants.Condition{}); err != nil {
			t.Error(err)
		}
		if err := w.tenants.Delete(t.Context(), tenant.Name, tenants.Condition{}); err != nil {
			t.Error(err)
		}
		w.checkAuth(t, "a key of a deleted tenant", made.Secret.Reveal(), auth.ErrUnauthenticated)
	}
	page, _, err := w.tenants.List(t.Context(), "", 0, "")
	if len(page) != 1 || err != nil || page[0].ID != w.tenant.ID {
		t.Errorf("List: %v, %v; want one tenant", page, err)
	}
	operator, _, err := w.EnsureOperatorKey(t.Context(), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.auth.Authenticate(t.Context(), operator.Reveal(), home)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := w.auth.Resolve(t.Context(), p, w.tenant.Name); id != w.tenant.ID || err != nil {
		t.Errorf("Resolve: %v, %v", id, err)
	}
	if _, err := w.auth.Resolve(t.Context(), p, "nobody"); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("Resolve: got %v, want tenants.ErrNotFound", err)
	}
	w.auth.Confirm(t.Context())
	if keys, err := w.List(t.Context(), w.tenant.ID); len(keys) != 1 || keys[0].ID != key.ID || err != nil {
		t.Errorf("List: %v, %v; want one key", keys, err)
	}
	if err := w.Revoke(t.Context(), w.tenant.ID, key.ID); err != nil {
		t.Error(err)
	}
	if keys, err := w.ListOperatorKeys(t.Context()); len(keys) != 1 || err != nil {
		t.Errorf("ListOperatorKeys: %v, %v; want one", keys, err)
	}
}
