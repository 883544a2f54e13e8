package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// newTenant makes a tenant and a key for it.
func newTenant(tb testing.TB, s *servertest.Server, name string) (key, id string) {
	tb.Helper()
	must(tb, http.StatusCreated, nil, http.MethodPut, s.URL()+"/v1/tenants/"+name, s.OperatorKey, "")
	var made struct{ Key, ID string }
	must(tb, http.StatusCreated, &made, http.MethodPost, s.URL()+"/v1/tenants/"+name+"/keys", s.OperatorKey, `{"name":"test"}`)
	return made.Key, made.ID
}

func TestG19_TenantsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()))
	mine, _ := newTenant(t, s, "mine")
	theirs, _ := newTenant(t, s, "theirs")
	url := s.URL() + "/v1/queues/"
	must(t, http.StatusCreated, nil, http.MethodPut, url+"secrets", theirs, `{"labels":{"a":"secret-label"}}`)
	var sent struct{ ID string }
	must(t, http.StatusCreated, &sent, http.MethodPost, url+"secrets/messages", theirs, "secret-body")
	var got struct{ Messages []received }
	must(t, http.StatusOK, &got, http.MethodPost, url+"secrets/receive?visibility_timeout=600", theirs, "")
	handle := got.Messages[0].ReceiptHandle
	var purged task
	must(t, http.StatusAccepted, &purged, http.MethodPost, url+"secrets/purge", theirs, `{"confirm":"secrets","older_than":1}`)

	// A queue of the same name, which must not lead to the other one.
	for _, sameName := range []bool{false, true} {
		if sameName {
			must(t, http.StatusCreated, nil, http.MethodPut, url+"secrets", mine, "")
		}
		for _, c := range []struct{ method, path, body string }{
			{http.MethodGet, "/v1/queues", ""},
			{http.MethodGet, "/v1/queues/secrets", ""},
			{http.MethodPatch, "/v1/queues/secrets", `{"delay":3}`},
			{http.MethodPost, "/v1/queues/secrets/receive", ""},
			{http.MethodGet, "/v1/queues/secrets/messages", ""},
			{http.MethodGet, "/v1/queues/secrets/messages/" + sent.ID, ""},
			{http.MethodGet, "/v1/queues/secrets/messages/" + sent.ID + "/body", ""},
			{http.MethodDelete, "/v1/queues/secrets/messages/" + sent.ID, ""},
			{http.MethodDelete, "/v1/queues/secrets/receipts/" + handle, ""},
			{http.MethodPatch, "/v1/queues/secrets/receipts/" + handle, `{"visibility_timeout":0}`},
			{http.MethodPost, "/v1/queues/secrets/ack", `{"ack":["` + handle + `"]}`},
			{http.MethodPost, "/v1/queues/secrets/purge", `{"confirm":"secrets"}`},
			{http.MethodPost, "/v1/queues/secrets/purge", `{"confirm":"secrets","older_than":1}`},
			{http.MethodGet, "/v1/tasks", ""},
			{http.MethodGet, "/v1/tasks/" + purged.ID, ""},
			{http.MethodGet, "/v1/tasks/" + purged.ID + "/errors", ""},
			{http.MethodPost, "/v1/tasks/" + purged.ID + "/cancel", ""},
			{http.MethodGet, "/v1/tenants", ""},
			{http.MethodGet, "/v1/tenants/theirs", ""},
			{http.MethodDelete, "/v1/tenants/theirs", ""},
			{http.MethodPost, "/v1/tenants/theirs/keys", `{"name":"x"}`},
			{http.MethodGet, "/v1/tenants/theirs/keys", ""},
			{http.MethodDelete, "/v1/queues/secrets", ""},
		} {
			if sameName && c.method == http.MethodDelete && c.path == "/v1/queues/secrets" {
				continue // that one is mine
			}
			a := call(t, c.method, s.URL()+c.path, mine, c.body)
			if strings.Contains(a.body, "secret-") || strings.Contains(a.body, `"secrets"`) && !sameName && c.path == "/v1/queues" {
				t.Errorf("%s %s shows another tenant's: %s", c.method, c.path, a)
			}
			if !sameName && a.status < 300 && c.path != "/v1/queues" && c.path != "/v1/tasks" {
				t.Errorf("%s %s: %s, want a refusal", c.method, c.path, a)
			}
			// The header of operators is of no use to others.
			b := call(t, c.method, s.URL()+c.path, mine, c.body, "Tenant", "theirs")
			if b.status < 400 || strings.Contains(b.body, "secret-") {
				t.Errorf("%s %s with a Tenant header: %s, want a refusal", c.method, c.path, b)
			}
		}
	}
	if got := queueCounts(t, s.URL(), theirs, "secrets"); got != (counts{InFlight: 1}) {
		t.Errorf("the other tenant's queue has %+v, want its message in flight", got)
	}

	// An operator acts for whom it names.
	for tenant, want := range map[string]counts{"theirs": {InFlight: 1}, "mine": {}} {
		var q struct{ Counts counts }
		must(t, http.StatusOK, &q, http.MethodGet, url+"secrets", s.OperatorKey, "", "Tenant", tenant)
		if q.Counts != want {
			t.Errorf("as %s the operator sees %+v, want %+v", tenant, q.Counts, want)
		}
	}
	for _, headers := range [][]string{nil, {"Tenant", ""}, {"Tenant", "nobody"}} {
		if a := call(t, http.MethodGet, url+"secrets", s.OperatorKey, "", headers...); a.status != http.StatusUnprocessableEntity && a.status != http.StatusNotFound {
			t.Errorf("an operator with %q: %s", headers, a)
		}
	}

	// A deleted tenant's key stops, and a new tenant of that name begins with nothing.
	must(t, http.StatusNoContent, nil, http.MethodDelete, url+"secrets", theirs, "")
	until(t, "the tenant can be deleted", func() bool {
		return call(t, http.MethodDelete, s.URL()+"/v1/tenants/theirs", s.OperatorKey, "").status == http.StatusNoContent
	})
	within(t, 5*time.Second, "the deleted tenant's key stops working", func() bool {
		return call(t, http.MethodGet, url+"secrets", theirs, "").status == http.StatusUnauthorized
	})
	again, _ := newTenant(t, s, "theirs")
	if a := call(t, http.MethodGet, url+"secrets", again, ""); a.status != http.StatusNotFound {
		t.Errorf("a new tenant sees the queue of an old one of the same name: %s", a)
	}
}

func TestG20_ARevokedKeyStopsOnEveryServer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, id := newTenant(t, a, "revoked")
	staying, _ := newTenant(t, a, "staying")
	var lastAccepted [2]atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i, url := range []string{a.URL(), b.URL()} {
		for range 4 {
			wg.Go(func() {
				for !stop.Load() {
					begun := time.Now()
					switch got := try(http.MethodGet, url+"/v1/whoami", key, ""); got.status {
					case http.StatusOK:
						// When it was begun is the latest that is certain.
						if n := begun.UnixNano(); n > lastAccepted[i].Load() {
							lastAccepted[i].Store(n)
						}
					case http.StatusUnauthorized:
					default:
						t.Errorf("whoami: %s", got)
						return
					}
					time.Sleep(2 * time.Millisecond)
				}
			})
			wg.Go(func() {
				for !stop.Load() {
					if got := try(http.MethodGet, url+"/v1/whoami", staying, ""); got.status != http.StatusOK {
						t.Errorf("another key: %s", got)
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
	}
	until(t, "both servers know the key", func() bool { return lastAccepted[0].Load() > 0 && lastAccepted[1].Load() > 0 })
	must(t, http.StatusNoContent, nil, http.MethodDelete, a.URL()+"/v1/tenants/revoked/keys/"+id, a.OperatorKey, "")
	revoked := time.Now()
	for i, url := range []string{a.URL(), b.URL()} {
		within(t, 5*time.Second, "the key stops", func() bool {
			return call(t, http.MethodGet, url+"/v1/whoami", key, "").status == http.StatusUnauthorized
		})
		t.Logf("server %d refused it %s after the revocation", i, time.Since(revoked).Round(time.Millisecond))
	}
	// And for good.
	for time.Since(revoked) < 5*time.Second {
		time.Sleep(50 * time.Millisecond)
	}
	stop.Store(true)
	wg.Wait()
	for i := range lastAccepted {
		last := time.Unix(0, lastAccepted[i].Load()).Sub(revoked)
		t.Logf("server %d accepted it for the last time %s after the revocation", i, last.Round(time.Millisecond))
		if last > 5*time.Second-100*time.Millisecond {
			t.Errorf("server %d still accepted the key after %s", i, last)
		}
	}
}
