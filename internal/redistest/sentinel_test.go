package redistest_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/redistest"
)

func TestSentinelsReplaceTheMaster(t *testing.T) {
	t.Parallel()
	start := time.Now()
	rs := redistest.Sentinel(t, 2, 3)
	took(t, &start, "master, 2 replicas, 3 sentinels up")
	u, err := url.Parse(rs.URL())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rs.Addrs(), strings.Split(u.Host, ",")); diff != "" || u.Scheme != "redis+sentinel" ||
		u.Path != "/"+rs.MasterName {
		t.Errorf("URL %s does not hold the addresses and the name:\n%s", rs.URL(), diff)
	}
	client := rs.Client(t)
	ctx := context.Background()
	set(t, client, "a")

	first := rs.Master()
	if first != rs.Nodes[0] {
		t.Errorf("Master = %s, want the first node", first.URL())
	}
	start = time.Now()
	first.Kill9()
	second := rs.Master()
	took(t, &start, "failover after kill -9")
	if second == first {
		t.Error("Master is the dead one still")
	}
	eventually(t, 10*time.Second, "the client finds the new master", func() bool {
		return client.Set(ctx, "b", "v", 0).Err() == nil
	})
	took(t, &start, "client writes again")
	if got := exists(t, second.Client(t), "b"); got != 1 {
		t.Errorf("EXISTS at the new master = %d, want 1", got)
	}
	first.Restart()
	rs.WaitOK()
	took(t, &start, "old master back as a replica")

	third := rs.Failover()
	took(t, &start, "failover on demand")
	if third == second {
		t.Error("Failover kept the master")
	}
	if got := exists(t, third.Client(t), "b"); got != 1 {
		t.Errorf("EXISTS at the third master = %d, want 1", got)
	}
}
