package server_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// Five times what a server can do arrives, whether or not it answers. Its capacity is that of the way to Redis, so that the
// test needs little of the machine.
func TestG23_OverloadIsRefusedAndTheRestIsServed(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Port: true})
	proxy := faultnet.New(t, "tcp", redis.Addr())
	s := servertest.New(t, servertest.WithRedis("redis://"+proxy.Addr()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	const latency = 15 * time.Millisecond
	proxy.Latency(latency)

	const batch, excess = 100, 5 // a batch as large as a script takes is joined with no other
	const most = float64(time.Second / (2 * latency))
	body := `{"messages":[` + strings.Repeat(`{"body":"m"},`, batch-1) + `{"body":"m"}]}`
	var stored atomic.Int64
	send := func() (status int) {
		a := try(http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages/batch", s.Key, body, "Content-Type", "application/json")
		switch after, _ := strconv.Atoi(a.header.Get("Retry-After")); {
		case a.status == http.StatusCreated:
			stored.Add(batch)
		case a.status != http.StatusServiceUnavailable || a.code() != "overloaded" || after < 1 || after > 3:
			t.Errorf("under overload: %s, %v", a, a.header)
		}
		return a.status
	}
	// open has requests arrive at a constant rate. Times are from when each should have arrived.
	open := func(perSecond float64, lasts time.Duration) (took map[int][]time.Duration) {
		took = map[int][]time.Duration{}
		var mu sync.Mutex
		var all sync.WaitGroup
		begin := time.Now()
		for i := range int(perSecond * lasts.Seconds()) {
			due := begin.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			time.Sleep(time.Until(due))
			all.Go(func() {
				status := send()
				mu.Lock()
				defer mu.Unlock()
				took[status] = append(took[status], time.Since(due))
			})
		}
		all.Wait()
		for _, list := range took {
			slices.Sort(list)
		}
		return took
	}
	at := func(list []time.Duration, share float64) time.Duration {
		if len(list) == 0 {
			return 0
		}
		return list[int(share*float64(len(list)-1))].Round(time.Millisecond)
	}

	calibrate, lasts := 2*time.Second, 6*time.Second
	if testing.Short() {
		calibrate, lasts = time.Second, 3*time.Second
	}
	var done atomic.Int64
	var closed sync.WaitGroup
	begin := time.Now()
	for range 16 {
		closed.Go(func() {
			for time.Since(begin) < calibrate {
				if send() == http.StatusCreated {
					done.Add(1)
				}
			}
		})
	}
	closed.Wait()
	capacity := float64(done.Load()) / time.Since(begin).Seconds()

	begin = time.Now()
	during := open(excess*max(capacity, most), lasts)
	goodput := float64(len(during[http.StatusCreated])) / time.Since(begin).Seconds() / capacity
	accepted, refused := during[http.StatusCreated], during[http.StatusServiceUnavailable]
	begin = time.Now()
	var after map[int][]time.Duration
	within(t, 20*time.Second, "all that comes is served again", func() bool {
		after = open(capacity/2, time.Second)
		return len(after[http.StatusServiceUnavailable]) == 0
	})
	t.Logf("%.0f requests/s can be done; of %d times that arrived, %.0f %% of it were served (p50 %s, p99 %s) and %d refused (p50 %s, p99 %s); then p50 %s, p99 %s, recovered in %s",
		capacity, excess, 100*goodput, at(accepted, .5), at(accepted, .99), len(refused), at(refused, .5), at(refused, .99),
		at(after[http.StatusCreated], .5), at(after[http.StatusCreated], .99), time.Since(begin).Round(time.Millisecond))
	// The strict numbers are those of sluice bench, on a machine that does nothing else.
	if goodput < 0.4 {
		t.Errorf("under overload %.0f %% of the capacity were served", 100*goodput)
	}
	if len(refused) == 0 || at(refused, .5) >= at(accepted, .5) {
		t.Errorf("%d were refused, half of them after %s; %d were served, half of them after %s", len(refused), at(refused, .5), len(accepted), at(accepted, .5))
	}
	proxy.Heal()
	if got := queueCounts(t, s.URL(), s.Key, queue); int64(got.Available) != stored.Load() {
		t.Errorf("%d messages were confirmed, and the queue has %+v", stored.Load(), got)
	}
}
