package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

func TestTheAuditLogOfAllServersIsOneAndStays(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "audited")
	other, _ := newTenant(t, a, "other")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/orders", key, "")
	must(t, http.StatusOK, nil, http.MethodPatch, b.URL()+"/v1/queues/orders", key, `{"delay":5}`)
	must(t, http.StatusNoContent, nil, http.MethodDelete, a.URL()+"/v1/queues/orders", key, "")
	export := call(t, http.MethodGet, a.URL()+"/v1/audit/export", key, "").body
	if n := strings.Count(export, "\n"); n < 3 {
		t.Fatalf("the log has %d lines: %s", n, export)
	}
	redis.Kill9()
	redis.Restart()
	c := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	until(t, "the second server is ready", func() bool { return isReady(b.URL()) })
	for _, s := range []*servertest.Server{b, c} {
		if got := call(t, http.MethodGet, s.URL()+"/v1/audit/export", key, "").body; got != export {
			t.Errorf("the log is %s\nwant %s", got, export)
		}
		if got := call(t, http.MethodGet, s.URL()+"/v1/audit/export", other, "").body; strings.Contains(got, "orders") {
			t.Errorf("another tenant's log is %s", got)
		}
	}
}
