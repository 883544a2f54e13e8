package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
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

func TestAServerSaysWhereToAskForMore(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, func(c *server.Config) { c.Contact = "ops@example.com" }, quiet)
	for _, key := range []string{s.Key, s.OperatorKey} {
		var who struct{ Contact string }
		must(t, http.StatusOK, &who, http.MethodGet, s.URL()+"/v1/whoami", key, "")
		if who.Contact != "mailto:ops@example.com" {
			t.Errorf("the contact is %q", who.Contact)
		}
	}
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

// What a tenant may have so many of it has once, on whichever servers it was made, also after a Redis that was killed.
func TestQuotasAreCountedOnceForAllServers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), quiet), servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	a, b := servers[0], servers[1]
	key, _ := newTenant(t, a, "limited")
	stranger, _ := newTenant(t, a, "other")
	quotas := []struct{ path, body string }{ // %d: which one
		{"/v1/queues/q%d", ""},
		{"/v1/topics/t%d", ""},
		{"/v1/topics/t0/subscriptions/s%d", `{"queue":"q0"}`},
		{"/v1/queues/q0/schedules/s%d", `{"every":3600,"message":{"body":"x"}}`},
		{"/v1/topics/t0/schedules/s%d", `{"every":3600,"message":{"body":"x"}}`},
	}
	put := func(s *servertest.Server, key string, i, which int) answer {
		return call(t, http.MethodPut, s.URL()+fmt.Sprintf(quotas[i].path, which), key, quotas[i].body, "Content-Type", "application/json")
	}
	must(t, http.StatusOK, nil, http.MethodPatch, a.URL()+"/v1/tenants/limited", a.OperatorKey,
		`{"limits":{"queues":2,"topics":2,"topic_subscriptions":2,"queue_schedules":2,"keys":2}}`)
	within(t, suspensionLimit, "the other server knows the limits", func() bool {
		var who struct {
			Limits struct {
				MaxKeys int `json:"max_keys"`
			}
		}
		must(t, http.StatusOK, &who, http.MethodGet, b.URL()+"/v1/whoami", key, "")
		return who.Limits.MaxKeys == 2
	})
	for which, s := range servers {
		for i := range quotas {
			for _, key := range []string{key, stranger} {
				if got := put(s, key, i, which); got.status != http.StatusCreated {
					t.Fatalf("%s, %d: %s", quotas[i].path, which, got)
				}
			}
		}
	}
	must(t, http.StatusCreated, nil, http.MethodPost, b.URL()+"/v1/keys", key, `{"name":"second"}`) // the first came with the tenant
	full := func(when string) {
		t.Helper()
		for _, s := range servers {
			for i := range quotas {
				if got := put(s, key, i, 2); got.status != http.StatusForbidden || got.code() != "quota_exceeded" {
					t.Errorf("%s a third one of %s: %s", when, quotas[i].path, got)
				}
			}
			if got := call(t, http.MethodPost, s.URL()+"/v1/keys", key, `{"name":"third"}`); got.code() != "quota_exceeded" {
				t.Errorf("%s a third key: %s", when, got)
			}
		}
	}
	full("at first")
	redis.Kill9()
	redis.Restart()
	for _, s := range servers {
		until(t, "the server is ready", func() bool { return isReady(s.URL()) })
	}
	full("after the restart")
	for i := len(quotas) - 1; i >= 0; i-- {
		must(t, http.StatusNoContent, nil, http.MethodDelete, a.URL()+fmt.Sprintf(quotas[i].path, 1), key, "")
		if got := put(b, key, i, 3); got.status != http.StatusCreated {
			t.Errorf("in the place of one that is deleted, of %s: %s", quotas[i].path, got)
		}
	}
	if got := put(b, stranger, 0, 2); got.status != http.StatusCreated {
		t.Errorf("another tenant: %s", got)
	}
}

// One tenant asks for a hundred times its rate at two servers, and another one goes on as before.
func TestG24_ANoisyTenantDoesNotDisturbOthers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	noisy, _ := newTenant(t, a, "noisy")
	calm, _ := newTenant(t, a, "calm")
	const limit, factor = 10, 100
	must(t, http.StatusOK, nil, http.MethodPatch, a.URL()+"/v1/tenants/noisy", a.OperatorKey, fmt.Sprintf(`{"limits":{"requests_per_second":%d}}`, limit))
	urls := []string{a.URL(), b.URL()}
	for _, key := range []string{noisy, calm} {
		must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/q", key, "")
	}
	duration := 5 * time.Second
	if testing.Short() {
		duration = 2 * time.Second
	}
	// run has the calm tenant send for a while, and returns how long each of its requests took, in order of that.
	run := func() (took []time.Duration) {
		for begin := time.Now(); time.Since(begin) < duration; {
			sent := time.Now()
			if got := try(http.MethodPost, urls[len(took)%2]+"/v1/queues/q/messages", calm, "m"); got.status != http.StatusCreated {
				t.Errorf("the calm tenant: %s", got)
			}
			took = append(took, time.Since(sent))
			time.Sleep(max(20*time.Millisecond-time.Since(sent), 0))
		}
		slices.Sort(took)
		return took
	}
	before := run()

	var stop atomic.Bool
	var asked, admitted atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range 10 {
		wg.Go(func() {
			for n := 1; !stop.Load(); n++ {
				got := try(http.MethodPost, urls[i%2]+"/v1/queues/q/messages", noisy, "m")
				asked.Add(1)
				switch {
				case got.status == http.StatusCreated:
					admitted.Add(1)
				case got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "":
					t.Errorf("the noisy tenant: %s, %v", got, got.header)
					return
				}
				time.Sleep(max(time.Until(begin.Add(time.Duration(n)*10*time.Second/(limit*factor))), 0))
			}
		})
	}
	during := run()
	stop.Store(true)
	wg.Wait()
	seconds := time.Since(begin).Seconds()
	after := run()

	at := func(list []time.Duration, share float64) time.Duration { return list[int(share*float64(len(list)-1))] }
	usual := max(at(before, .99), at(after, .99)) // what else the machine does counts for both
	t.Logf("the noisy tenant: %d of %d in %.1f s; the calm one: p50 %s before and %s during, p99 %s and %s", admitted.Load(), asked.Load(), seconds,
		at(before, .5), at(during, .5), usual, at(during, .99))
	// A bucket holds one second's worth.
	if most := limit * (seconds + 1) * 1.05; float64(admitted.Load()) > most+1 {
		t.Errorf("%d requests of the noisy tenant were let through in %.1f s, more than %.0f", admitted.Load(), seconds, most)
	}
	// All share the cores with the test itself, whose own requests take most of the time: this only finds who waits for others.
	if p := at(during, .99); p > 5*usual+time.Second {
		t.Errorf("the calm tenant's p99 rose from %s to %s", usual, p)
	}
}
