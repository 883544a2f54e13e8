package server_test

import (
	"net/http"
	"testing"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

func TestLimitsHoldOnEveryServer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "limited")
	must(t, http.StatusCreated, nil, http.MethodPut, b.URL()+"/v1/queues/one", key, "")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/plans/free", a.OperatorKey, `{"limits":{"queues":2}}`)
	must(t, http.StatusOK, nil, http.MethodPatch, a.URL()+"/v1/tenants/limited", a.OperatorKey, `{"plan":"free"}`)
	within(t, suspensionLimit, "the other server knows the limit", func() bool {
		var who struct {
			Limits struct {
				MaxQueues int `json:"max_queues"`
			}
		}
		must(t, http.StatusOK, &who, http.MethodGet, b.URL()+"/v1/whoami", key, "")
		return who.Limits.MaxQueues == 2
	})
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/two", key, "")
	for _, s := range []*servertest.Server{a, b} {
		must(t, http.StatusForbidden, nil, http.MethodPut, s.URL()+"/v1/queues/three", key, "")
	}
	must(t, http.StatusOK, nil, http.MethodPut, b.URL()+"/v1/plans/free", b.OperatorKey, `{"limits":{"queues":3}}`)
	within(t, suspensionLimit, "the first server knows the new limit", func() bool {
		return call(t, http.MethodPut, a.URL()+"/v1/queues/three", key, "").status == http.StatusCreated
	})
}

func TestLimitsOutliveARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/plans/default", p.OperatorKey, `{"limits":{"queues":1}}`)
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/queues/one", p.Key, "")
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusForbidden, nil, http.MethodPut, p.URL+"/v1/queues/two", p.Key, "")
}
