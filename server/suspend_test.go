package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// suspensionLimit is what docs/tenants.md promises.
const suspensionLimit = 5 * time.Second

func TestASuspensionHoldsOnEveryServer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	bad, _ := newTenant(t, a, "suspended")
	good, _ := newTenant(t, a, "staying")
	urls := []string{a.URL(), b.URL()}
	for _, key := range []string{bad, good} {
		must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/q", key, "")
		for _, url := range urls {
			must(t, http.StatusCreated, nil, http.MethodPost, url+"/v1/queues/q/messages", key, "before")
		}
	}
	owner := a.URL() + "/v1/tenants/suspended"
	must(t, http.StatusOK, nil, http.MethodPost, owner+"/suspend", a.OperatorKey, `{"mode":"send","reason":"unpaid"}`)
	sends := func(url string) answer { return call(t, http.MethodPost, url+"/v1/queues/q/messages", bad, "after") }
	if got := sends(a.URL()); got.status != http.StatusForbidden || !strings.Contains(got.body, "unpaid") {
		t.Errorf("a send at the server that suspended: %s", got)
	}
	took := within(t, suspensionLimit, "the other server refuses sends", func() bool { return sends(b.URL()).status == http.StatusForbidden })
	t.Logf("the other server refused %s later", took.Round(time.Millisecond))
	for _, url := range urls {
		must(t, http.StatusOK, nil, http.MethodPost, url+"/v1/queues/q/receive", bad, "")
		must(t, http.StatusCreated, nil, http.MethodPost, url+"/v1/queues/q/messages", good, "m")
	}
	must(t, http.StatusOK, nil, http.MethodPost, owner+"/suspend", a.OperatorKey, `{"mode":"all"}`)
	within(t, suspensionLimit, "the other server refuses all", func() bool {
		return call(t, http.MethodGet, b.URL()+"/v1/queues", bad, "").status == http.StatusForbidden
	})
	must(t, http.StatusOK, nil, http.MethodPost, owner+"/resume", a.OperatorKey, "")
	within(t, suspensionLimit, "the other server takes sends", func() bool { return sends(b.URL()).status == http.StatusCreated })
}

func TestASuspensionOutlivesARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	owner := p.URL + "/v1/tenants/default"
	must(t, http.StatusOK, nil, http.MethodPatch, owner, p.OperatorKey, `{"notes":"mind the gap"}`)
	must(t, http.StatusOK, nil, http.MethodPost, owner+"/suspend", p.OperatorKey, `{"mode":"send","reason":"unpaid"}`)
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/queues/q", p.Key, "")
	if got := call(t, http.MethodPost, p.URL+"/v1/queues/q/messages", p.Key, "m"); got.status != http.StatusForbidden || !strings.Contains(got.body, "unpaid") {
		t.Errorf("a send after the restart: %s", got)
	}
	var tn struct {
		State, Notes string
	}
	must(t, http.StatusOK, &tn, http.MethodGet, owner, p.OperatorKey, "")
	if tn.State != "suspended" || tn.Notes != "mind the gap" {
		t.Errorf("the tenant after the restart: %+v", tn)
	}
}
