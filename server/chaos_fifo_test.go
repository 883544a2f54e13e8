package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// groupsGoal is what runs with a FIFO queue see: its groups wait for the leases of the dead, so it takes less traffic.
func groupsGoal(kills int64) goal { return goal{kills, 300, time.Minute} }

func TestG6_GroupsKeepTheirOrderWhenServersAreKilled(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	env := []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL(), "SLUICE_LOG_REQUESTS=false"}
	var processes []*servertest.Process
	var urls []string
	for range 2 {
		p := servertest.StartProcess(t, servertest.ProcessOptions{Env: env})
		p.WaitReady()
		processes, urls = append(processes, p), append(urls, p.URL)
	}
	l := startLoad(t, processes[0].Key, urls, loadOptions{producers: 8, consumers: 6, pause: 40 * time.Millisecond, groups: true})
	var kills atomic.Int64
	over := make(chan struct{})
	var killers sync.WaitGroup
	for i, p := range processes {
		chance := seeded(t, uint64(i))
		killers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(between(chance, 500*time.Millisecond, 1500*time.Millisecond)):
				}
				p.Kill9()
				kills.Add(1)
				p.Restart()
			}
		})
	}
	groupsGoal(3).reached(t, &kills, l)
	close(over)
	killers.Wait()
	for _, p := range processes {
		p.WaitReady()
	}
	l.rest = func() { recount(t, redis.URL(), urls[0], processes[0].Key, l.queue) }
	l.check(fmt.Sprintf("%d kills of 2 servers, a FIFO queue", kills.Load()))
	for _, p := range processes {
		noFaultsInLog(t, p.Log())
	}
}

func TestG6_GroupsKeepTheirOrderWhenRedisIsKilled(t *testing.T) {
	t.Parallel()
	l, kills := killRedisUnder(t, "always", groupsGoal(3), loadOptions{producers: 8, consumers: 4, pause: 40 * time.Millisecond, groups: true})
	l.check(fmt.Sprintf("%d kills of Redis, a FIFO queue", len(kills)))
}
