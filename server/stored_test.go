package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// What a tenant has stored counts on all servers, outlives them, and is forgotten with the tenant.
func TestStoredBytesCountOnAllServers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "full")
	other, _ := newTenant(t, a, "other")
	const body, limit = 50_000, 1 << 20
	must(t, http.StatusOK, nil, http.MethodPatch, a.URL()+"/v1/tenants/full", a.OperatorKey, `{"limits":{"stored_bytes":1048576}}`)
	urls := []string{a.URL(), b.URL()}
	for _, q := range []string{"one", "two"} {
		must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/"+q, key, "")
	}
	send := func(url, queue, key string) answer {
		return call(t, http.MethodPost, url+"/v1/queues/"+queue+"/messages", key, strings.Repeat("x", body))
	}
	within(t, suspensionLimit, "the second server knows the limit", func() bool {
		var who struct {
			Limits struct {
				StoredBytes *int64 `json:"stored_bytes"`
			}
		}
		must(t, http.StatusOK, &who, http.MethodGet, b.URL()+"/v1/whoami", key, "")
		return who.Limits.StoredBytes != nil
	})
	stored := 0
	for refused := 0; refused < 4; {
		switch got := send(urls[stored%2], []string{"one", "two"}[refused/2], key); {
		case got.status == http.StatusCreated:
			stored++
		case got.status == http.StatusInsufficientStorage && got.code() == "storage_full":
			refused++
		default:
			t.Fatalf("send %d: %s", stored, got)
		}
		if stored > limit/body {
			t.Fatal("more was stored than the tenant may")
		}
	}
	if stored < limit/body-2 {
		t.Errorf("%d messages were stored, and there was room for %d", stored, limit/body)
	}
	must(t, http.StatusCreated, nil, http.MethodPut, b.URL()+"/v1/queues/q", other, "")
	if got := send(b.URL(), "q", other); got.status != http.StatusCreated {
		t.Errorf("another tenant: %s", got)
	}

	// A server that starts now knows the same.
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	c := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	if got := send(c.URL(), "one", key); got.status != http.StatusInsufficientStorage {
		t.Errorf("a server that has just started: %s", got)
	}
	for _, q := range []string{"one", "two"} {
		drain(t, c.URL(), key, q)
	}
	until(t, "there is room again", func() bool { return send(b.URL(), "two", key).status == http.StatusCreated })
	var tn struct {
		ID   string
		Used int64 `json:"stored_bytes_used"`
	}
	until(t, "it is counted again", func() bool {
		must(t, http.StatusOK, &tn, http.MethodGet, c.URL()+"/v1/tenants/full", c.OperatorKey, "")
		return tn.Used >= body && tn.Used < 2*body
	})
	must(t, http.StatusOK, nil, http.MethodPost, c.URL()+"/v1/tenants/full/suspend", c.OperatorKey, `{"mode":"all"}`)
	must(t, http.StatusAccepted, nil, http.MethodDelete, c.URL()+"/v1/tenants/full?confirm=full", c.OperatorKey, "")
	until(t, "the tenant is gone", func() bool {
		return call(t, http.MethodGet, c.URL()+"/v1/tenants/full", c.OperatorKey, "").status == http.StatusNotFound
	})
	until(t, "nothing of it is left", func() bool {
		keys, err := redis.Client(t).Keys(t.Context(), "sl:"+tn.ID+":*").Result()
		return err == nil && len(keys) == 0
	})
}
