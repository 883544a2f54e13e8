package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// clusterLimit bounds the wait for a cluster to agree. Redis itself waits two seconds before a new
	// cluster serves, and a failover takes two to three.
	clusterLimit = 20 * time.Second
	// nodeTimeout is how long a node may be silent before it counts as failed. At 500 ms a busy machine
	// sees failures that are none.
	nodeTimeout = time.Second
	// clientReload is how often a client of the kit may ask who owns what.
	clientReload = 100 * time.Millisecond
)

// ClusterSet is a Redis Cluster whose nodes a test may break one by one.
type ClusterSet struct {
	Nodes []*Server // masters as they were at the start, then their replicas in turn

	tb      testing.TB
	masters int
	ids     map[*Server]string
}

// Cluster runs a cluster of masters with as many replicas each, and waits until every node serves and
// every replica is in step. Each node fsyncs its AOF before it replies.
func Cluster(tb testing.TB, masters, replicas int) *ClusterSet {
	tb.Helper()
	c := &ClusterSet{tb: tb, masters: masters, ids: map[*Server]string{}}
	for range masters * (1 + replicas) {
		s := start(tb, Options{Port: true}, clusterConfig)
		c.Nodes = append(c.Nodes, s)
		c.ids[s] = c.text(s, "CLUSTER", "MYID")
	}
	c.meet()
	c.spread()
	c.attach()
	c.WaitOK()
	return c
}

func clusterConfig(s *Server, opts Options) []string {
	return append(serverConfig(s, opts),
		"cluster-enabled yes",
		fmt.Sprintf("cluster-node-timeout %d", nodeTimeout.Milliseconds()),
		"cluster-replica-validity-factor 10",
		"repl-diskless-sync-delay 0",
		"repl-ping-replica-period 1",
	)
}

// meet introduces the nodes to each other. Epochs come first: given out by hand they need no election.
func (c *ClusterSet) meet() {
	c.tb.Helper()
	for i, s := range c.Nodes {
		c.text(s, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, s := range c.Nodes[1:] {
		c.text(c.Nodes[0], "CLUSTER", "MEET", "127.0.0.1", s.port)
	}
}

// spread gives each master an equal share of the slots.
func (c *ClusterSet) spread() {
	c.tb.Helper()
	for i, s := range c.Nodes[:c.masters] {
		c.text(s, "CLUSTER", "ADDSLOTSRANGE", i*slots/c.masters, (i+1)*slots/c.masters-1)
	}
}

// attach makes each replica follow its master, as soon as it has heard of it.
func (c *ClusterSet) attach() {
	c.tb.Helper()
	for i, s := range c.Nodes[c.masters:] {
		master := c.ids[c.Nodes[i%c.masters]]
		err := poll(clusterLimit, func() error { return s.do("CLUSTER", "REPLICATE", master).Err() })
		if err != nil {
			c.tb.Fatalf("redistest: replicate node %d: %v", i%c.masters, err)
		}
	}
}

// URL returns the cluster's address as go-redis's ParseClusterURL takes it.
func (c *ClusterSet) URL() string {
	var b strings.Builder
	fmt.Fprintf(&b, "redis://%s", c.Nodes[0].addr)
	for i, s := range c.Nodes[1:] {
		fmt.Fprintf(&b, "%caddr=%s", "?&"[min(i, 1)], s.addr)
	}
	return b.String()
}

// Client returns a client that follows redirections. MaxRetries is off, but go-redis counts redirections
// and repetitions in one number: a command whose reply was lost is still sent up to three times more. It
// is closed with tb.
func (c *ClusterSet) Client(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	opts, err := redis.ParseClusterURL(c.URL())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	opts.MaxRetries = -1
	// By default a client knocks at a dead master's door for a minute before it asks who took over.
	opts.ClusterStateReloadInterval = clientReload
	client := redis.NewClusterClient(opts)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// text sends a command that must succeed.
func (c *ClusterSet) text(s *Server, args ...any) string {
	c.tb.Helper()
	reply, err := s.do(args...).Text()
	if err != nil {
		c.tb.Fatalf("redistest: node %s: %v: %v", s.addr, args, err)
	}
	return reply
}

func (c *ClusterSet) int(s *Server, args ...any) int {
	c.tb.Helper()
	reply, err := s.do(args...).Int()
	if err != nil {
		c.tb.Fatalf("redistest: node %s: %v: %v", s.addr, args, err)
	}
	return reply
}
