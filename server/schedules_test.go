package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// On the machine's clock, through the whole program: two servers run a schedule, one of them goes, and each tick that the
// schedule counts is one message.
func TestSchedulesRunOnWhicheverServerThereIs(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	servers = append(servers, servertest.New(t, servertest.WithRedis(redis.URL()), quiet))
	key, _ := newTenant(t, servers[0], "scheduled")
	const q, one = "/v1/queues/orders", "/v1/queues/orders/schedules/s"
	must(t, http.StatusCreated, nil, http.MethodPut, servers[0].URL()+q, key, "")
	must(t, http.StatusCreated, nil, http.MethodPut, servers[1].URL()+one, key, `{"every":1,"message":{"body":"tick"}}`)
	type schedule struct {
		Counts struct{ Runs, Missed, Errors int }
	}
	runs := func(url string) int {
		var s schedule
		must(t, http.StatusOK, &s, http.MethodGet, url+one, key, "")
		return s.Counts.Runs
	}
	until(t, "two ticks", func() bool { return runs(servers[1].URL()) >= 2 })
	until(t, "the servers count the two that were run", func() bool { // each a moment after Redis does
		return metric(t, servers[0].MetricsURL(), "sluice_schedule_ticks_total")+metric(t, servers[1].MetricsURL(), "sluice_schedule_ticks_total") >= 2
	})
	if err := servers[0].Stop(); err != nil {
		t.Fatal(err)
	}
	seen := runs(servers[1].URL())
	until(t, "two ticks on the other server", func() bool { return runs(servers[1].URL()) >= seen+2 })
	must(t, http.StatusOK, nil, http.MethodPost, servers[1].URL()+one+"/pause", key, "")
	var s schedule
	until(t, "each counted tick is one message", func() bool { // one may have been on its way when the pause came
		must(t, http.StatusOK, &s, http.MethodGet, servers[1].URL()+one, key, "")
		return queueCounts(t, servers[1].URL(), key, "orders").Available == s.Counts.Runs
	})
	if s.Counts.Missed+s.Counts.Errors != 0 {
		t.Errorf("counts: %+v", s.Counts)
	}
}

// The program is killed and started again, and ticks were due meanwhile: they are made up for, each once.
func TestSchedulesOutliveTheProgram(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	const q, one = "/v1/queues/orders", "/v1/queues/orders/schedules/s"
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+q, p.Key, "")
	var made, s struct {
		NextRuns []time.Time `json:"next_runs"`
		LastRun  *struct {
			ScheduledFor time.Time `json:"scheduled_for"`
		} `json:"last_run"`
		Counts struct{ Runs, Missed, Errors int }
	}
	must(t, http.StatusCreated, &made, http.MethodPut, p.URL+one, p.Key, `{"every":1,"message":{"body":"tick"}}`)
	ran := func(tick time.Time) func() bool {
		return func() bool {
			must(t, http.StatusOK, &s, http.MethodGet, p.URL+one, p.Key, "")
			return s.LastRun != nil && !s.LastRun.ScheduledFor.Before(tick)
		}
	}
	until(t, "the first tick", ran(made.NextRuns[0]))
	p.Kill9()
	due := s.NextRuns[1]
	until(t, "ticks are due while nothing runs", func() bool { return time.Now().After(due) })
	p.Restart()
	p.WaitReady()
	until(t, "a tick after the restart", ran(due.Add(time.Second)))
	must(t, http.StatusOK, nil, http.MethodPost, p.URL+one+"/pause", p.Key, "")
	until(t, "each counted tick is one message", func() bool { // one may have been on its way when the pause came
		must(t, http.StatusOK, &s, http.MethodGet, p.URL+one, p.Key, "")
		return queueCounts(t, p.URL, p.Key, "orders").Available == s.Counts.Runs
	})
	if ticks := int(s.LastRun.ScheduledFor.Sub(made.NextRuns[0])/time.Second) + 1; s.Counts.Runs != ticks || s.Counts.Missed+s.Counts.Errors != 0 {
		t.Errorf("counts: %+v, want a run for each of the %d ticks", s.Counts, ticks)
	}
}
