package webhook_test

import (
	"fmt"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

// A replica takes over from the master that has the webhook, the topic or the dead-letter queue, at each step of deliveries, while each
// write is confirmed by a replica.
func TestG14_AReplicaTakesOverAtEachStep(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	var tr hookTraffic
	tr.open(t, engine.Options{URL: clusterURL(c), Replicas: 1})
	places := tr.places()
	for i := range scaled(1, 5) {
		for k, step := range steps {
			key := places[(i+k)%len(places)]
			var down *redistest.Server
			tr.through(breaks{name: fmt.Sprintf("the master of %s dies for good when %s", key, step), step: step,
				meanwhile: func(*hookTraffic) {
					down = c.MasterOf(key)
					down.Kill9()
					c.MasterOf(key) // waits for the successor, which has no replica until the old master is back
				},
				afterward: func(*hookTraffic) { down.Restart(); c.WaitOK() }})
			if i > 0 || step == "requested" {
				key := places[(i+k+1)%len(places)]
				tr.through(breaks{name: fmt.Sprintf("the master of %s hands over when %s", key, step), step: step,
					meanwhile: func(*hookTraffic) { c.Failover(c.MasterOf(key), redistest.Graceful) }})
			}
		}
	}
	tr.check("cluster of three masters with replicas")
}

// The same with sentinels.
func TestG14_ASentinelPromotesAReplica(t *testing.T) {
	t.Parallel()
	set := redistest.Sentinel(t, 1, 3)
	var tr hookTraffic
	tr.open(t, engine.Options{URL: set.URL(), Replicas: 1})
	for range scaled(1, 5) {
		for _, step := range []string{"requested", "settling"} {
			var down *redistest.Server
			tr.through(breaks{name: "the master dies for good when " + step, step: step,
				meanwhile: func(*hookTraffic) {
					down = set.Master()
					down.Kill9()
					set.Master()
				},
				afterward: func(*hookTraffic) { down.Restart(); set.WaitOK() }})
		}
	}
	tr.check("sentinels")
}
