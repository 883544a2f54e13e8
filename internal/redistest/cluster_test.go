package redistest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/redistest"
)

func TestClusterServesAndMovesSlots(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c := redistest.Cluster(t, 3, 0)
	took(t, &start, "cluster of 3 masters up")
	client := c.Client(t)
	ctx := context.Background()
	const keys = 250 // more than one MIGRATE carries
	for i := range keys {
		set(t, client, fmt.Sprintf("{q}%d", i))
	}
	here := func() int {
		n := 0
		for i := range keys {
			n += int(exists(t, client, fmt.Sprintf("{q}%d", i)))
		}
		return n
	}
	from := c.MasterOf("{q}")
	to := other(t, c, from)
	if moved := to.Client(t).Get(ctx, "{q}0").Err(); moved == nil || !strings.HasPrefix(moved.Error(), "MOVED") {
		t.Errorf("GET at the wrong node: %v, want MOVED", moved)
	}

	start = time.Now()
	c.MoveSlot("{q}", from, to)
	took(t, &start, "slot with 250 keys moved")
	if got := c.MasterOf("{q}"); got != to {
		t.Errorf("MasterOf after the move = %s, want %s", got.URL(), to.URL())
	}
	if got := here(); got != keys {
		t.Errorf("%d of %d keys after the move", got, keys)
	}

	start = time.Now()
	m := c.BeginMigrate("{q}", to, from)
	if left := m.MigrateKeys(100); left != keys-100 {
		t.Errorf("MigrateKeys left %d, want %d", left, keys-100)
	}
	if got := here(); got != keys {
		t.Errorf("%d of %d keys in the middle of a move", got, keys)
	}
	err := client.MGet(ctx, "{q}0", "{q}1", "{q}2", "{q}none").Err()
	// Which keys have moved is chance: if all of these have, the source knows none and redirects. The client then asks the destination as
	// it should, and if that wants it to try again, as it should not, and is sent back.
	if err != nil && !slices.ContainsFunc([]string{"TRYAGAIN", "ASK ", "MOVED "}, func(word string) bool { return strings.HasPrefix(err.Error(), word) }) {
		t.Errorf("MGET in the middle of a move: %v, want nil, TRYAGAIN, ASK or MOVED", err)
	}
	m.FinishMigrate()
	took(t, &start, "slot moved back in steps")
	if got := c.MasterOf("{q}"); got != from {
		t.Errorf("MasterOf after the move back = %s, want %s", got.URL(), from.URL())
	}

	for _, moved := range []int{0, 30} {
		start = time.Now()
		m := c.BeginMigrate("{q}", from, to)
		if moved > 0 {
			m.MigrateKeys(moved)
		}
		m.Abort()
		took(t, &start, fmt.Sprintf("move aborted after %d keys", moved))
		if got := c.MasterOf("{q}"); got != from {
			t.Errorf("MasterOf after an abort = %s, want %s", got.URL(), from.URL())
		}
		if got := here(); got != keys {
			t.Errorf("%d of %d keys after an abort", got, keys)
		}
		if n, err := to.Client(t).ClusterCountKeysInSlot(ctx, c.Slot("{q}")).Result(); err != nil || n != 0 {
			t.Errorf("%d keys left at the other end (%v)", n, err)
		}
	}
}

func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c := redistest.Cluster(t, 3, 1)
	took(t, &start, "cluster of 3 masters and 3 replicas up")
	if opts, err := redis.ParseClusterURL(c.URL()); err != nil || len(opts.Addrs) != len(c.Nodes) {
		t.Errorf("URL %s: %v, want %d addresses", c.URL(), err, len(c.Nodes))
	}
	client := c.Client(t)
	set(t, client, "{q}a")
	master := c.MasterOf("{q}")
	replica := c.ReplicaOf(master)
	if replica == nil {
		t.Fatal("no replica")
	}

	start = time.Now()
	if got := c.Failover(master, redistest.Graceful); got != replica || c.MasterOf("{q}") != replica {
		t.Errorf("Failover went to %s, want %s", got.URL(), replica.URL())
	}
	took(t, &start, "graceful failover")
	if got := exists(t, client, "{q}a"); got != 1 {
		t.Errorf("EXISTS after the failover = %d, want 1", got)
	}

	// The first master follows now. A write counts as safe once it has arrived there.
	pipe := replica.Client(t).Pipeline()
	pipe.Set(context.Background(), "{q}b", "v", 0)
	arrived := pipe.Do(context.Background(), "WAIT", 1, 5000)
	if _, err := pipe.Exec(context.Background()); err != nil || arrived.Val() != int64(1) {
		t.Fatalf("SET and WAIT = %v, %v; want 1 replica", arrived.Val(), err)
	}
	start = time.Now()
	replica.Kill9()
	if got := c.MasterOf("{q}"); got != master {
		t.Errorf("MasterOf after the kill = %s, want %s", got.URL(), master.URL())
	}
	took(t, &start, "failover after kill -9")
	c.WaitOK()
	took(t, &start, "cluster whole again without the dead node")
	eventually(t, 10*time.Second, "the client finds the new master", func() bool {
		return client.Set(context.Background(), "{q}c", "v", 0).Err() == nil
	})
	if got := exists(t, client, "{q}b"); got != 1 {
		t.Errorf("EXISTS after the second failover = %d, want 1", got)
	}

	start = time.Now()
	replica.Restart()
	c.WaitOK()
	took(t, &start, "dead node back as a replica")
	if got := c.ReplicaOf(master); got != replica {
		t.Errorf("ReplicaOf = %v, want the node that came back", got)
	}
	master.Pause()
	start = time.Now()
	if got := c.MasterOf("{q}"); got != replica {
		t.Errorf("MasterOf after the pause = %s, want %s", got.URL(), replica.URL())
	}
	took(t, &start, "failover after SIGSTOP")
	master.Cont()
	c.WaitOK()
	took(t, &start, "paused node back as a replica")

	for _, mode := range []redistest.FailoverMode{redistest.Force, redistest.Takeover} {
		start = time.Now()
		if got := c.Failover(replica, mode); got != master {
			t.Errorf("failover %s went to %s, want %s", mode, got.URL(), master.URL())
		}
		took(t, &start, "failover "+string(mode))
		master, replica = replica, master
	}
}

// other returns a master that is not s.
func other(t *testing.T, c *redistest.ClusterSet, s *redistest.Server) *redistest.Server {
	t.Helper()
	for _, n := range c.Nodes {
		if n != s {
			return n
		}
	}
	t.Fatal("no other node")
	return nil
}
