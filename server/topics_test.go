package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// On the machine's clock, through the whole program: two servers take publishes for one topic, one of them goes, and each
// message arrives once at each subscription.
func TestTopicsAreCarriedByWhicheverServerThereIs(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	servers = append(servers, servertest.New(t, servertest.WithRedis(redis.URL()), quiet))
	key, _ := newTenant(t, servers[0], "publisher")
	const topic = "/v1/topics/orders.created"
	must(t, http.StatusCreated, nil, http.MethodPut, servers[0].URL()+topic, key, "")
	for i, q := range []string{"a", "b"} {
		must(t, http.StatusCreated, nil, http.MethodPut, servers[i].URL()+"/v1/queues/"+q, key, "")
		must(t, http.StatusCreated, nil, http.MethodPut, servers[1-i].URL()+topic+"/subscriptions/"+q, key, fmt.Sprintf(`{"queue":%q}`, q))
	}
	arrived := func(n int) func() bool {
		return func() bool {
			a, b := queueCounts(t, servers[1].URL(), key, "a").Available, queueCounts(t, servers[1].URL(), key, "b").Available
			if a > n || b > n {
				t.Fatalf("%d and %d messages arrived of %d", a, b, n)
			}
			return a == n && b == n
		}
	}
	for i := range 20 {
		must(t, http.StatusCreated, nil, http.MethodPost, servers[i%2].URL()+topic+"/messages", key, "m")
	}
	until(t, "all messages have arrived", arrived(20))
	if err := servers[0].Stop(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		must(t, http.StatusCreated, nil, http.MethodPost, servers[1].URL()+topic+"/messages", key, "m")
	}
	until(t, "those that one server took as well", arrived(25))
}

// The program is killed in the middle of its work and started again: all that was acknowledged arrives, once.
func TestG12_TopicsOutliveTheProgram(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	const topic = "/v1/topics/orders.created"
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic, p.Key, `{"message_retention":3600}`)
	for _, q := range []string{"a", "b"} {
		must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/queues/"+q, p.Key, "")
		must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic+"/subscriptions/"+q, p.Key, fmt.Sprintf(`{"queue":%q}`, q))
	}
	batch := ""
	for range 500 {
		batch += "m\n"
	}
	for range 3 {
		must(t, http.StatusCreated, nil, http.MethodPost, p.URL+topic+"/messages/batch", p.Key, batch, "Content-Type", "application/x-ndjson")
	}
	p.Kill9()
	p.Restart()
	p.WaitReady()
	until(t, "all that was acknowledged has arrived", func() bool {
		return queueCounts(t, p.URL, p.Key, "a").Available >= 1500 && queueCounts(t, p.URL, p.Key, "b").Available >= 1500
	})
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+topic+"/messages", p.Key, "last")
	until(t, "a publish after the restart has arrived", func() bool {
		return queueCounts(t, p.URL, p.Key, "a").Available == 1501 && queueCounts(t, p.URL, p.Key, "b").Available == 1501
	})
}
