package redistest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sentinelLimit bounds the wait for the sentinels to agree. A failover takes them two seconds, and one
	// that fails is tried again after twice sentinelFailover.
	sentinelLimit = 30 * time.Second
	// downAfter is how long a server may be silent before a sentinel calls it down.
	downAfter = 500 * time.Millisecond
	// sentinelFailover bounds each stage of a failover.
	sentinelFailover = 2 * time.Second
	// masterName is what the sentinels call the master.
	masterName = "sluice"
)

// SentinelSet is a master with replicas, and the sentinels that watch over them.
type SentinelSet struct {
	Nodes      []*Server // the first master, then its replicas
	Sentinels  []*Server
	MasterName string

	tb testing.TB
}

// Sentinel runs a master with replicas and sentinels, and waits until they know each other. A majority of
// the sentinels must agree that the master is down.
func Sentinel(tb testing.TB, replicas, sentinels int) *SentinelSet {
	tb.Helper()
	set := &SentinelSet{tb: tb, MasterName: masterName}
	master := start(tb, Options{Port: true}, followerConfig(nil))
	set.Nodes = append(set.Nodes, master)
	for range replicas {
		set.Nodes = append(set.Nodes, start(tb, Options{Port: true}, followerConfig(master)))
	}
	// A sentinel learns of the replicas from the master, and looks there seldom.
	if err := poll(sentinelLimit, set.replicated); err != nil {
		tb.Fatalf("redistest: sentinel: %v", err)
	}
	quorum := sentinels/2 + 1
	for range sentinels {
		opts := Options{Port: true, Extra: []string{"--sentinel"}}
		set.Sentinels = append(set.Sentinels, start(tb, opts, sentinelConfig(master, replicas, quorum)))
	}
	set.WaitOK()
	return set
}

// followerConfig configures a data server, as a replica if it is given a master.
func followerConfig(master *Server) configFunc {
	return func(s *Server, opts Options) []string {
		lines := append(serverConfig(s, opts), "repl-diskless-sync-delay 0", "repl-ping-replica-period 1")
		if master != nil {
			lines = append(lines, fmt.Sprintf("replicaof 127.0.0.1 %d", master.port))
		}
		return lines
	}
}

func sentinelConfig(master *Server, replicas, quorum int) configFunc {
	return func(s *Server, _ Options) []string {
		s.warm = s.hurry
		return append(s.listenConfig(),
			fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", masterName, master.port, quorum),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", masterName, downAfter.Milliseconds()),
			fmt.Sprintf("sentinel failover-timeout %s %d", masterName, sentinelFailover.Milliseconds()),
			fmt.Sprintf("sentinel parallel-syncs %s %d", masterName, max(1, replicas)),
		)
	}
}

// hurry makes a sentinel ask and tell more often, and not go into hiding for half a minute when a busy
// machine has stalled it. At the usual pace the first PING comes when a new link counts as down already,
// and one failover leads to the next. Two rules in Redis forbid more haste: while the master is down there
// is one INFO a second, and a replica is only good for promotion if its last is younger than five PINGs;
// and a sentinel that has not heard of a promotion for four publishing periods takes it back.
func (s *Server) hurry() error {
	return s.do("SENTINEL", "DEBUG", "PING-PERIOD", 300, "PUBLISH-PERIOD", 500, "INFO-PERIOD", 1000,
		"TILT-PERIOD", 1000).Err()
}

// Addrs returns the sentinels' addresses.
func (set *SentinelSet) Addrs() []string {
	addrs := make([]string, len(set.Sentinels))
	for i, s := range set.Sentinels {
		addrs[i] = s.addr
	}
	return addrs
}

// URL returns redis+sentinel://host:port,host:port/master-name. The form is our own: the one of go-redis
// starts with redis:// and could be mistaken for the address of a server.
func (set *SentinelSet) URL() string {
	return "redis+sentinel://" + strings.Join(set.Addrs(), ",") + "/" + set.MasterName
}

// Client returns a client that follows the master and never repeats a command. It is closed with tb.
func (set *SentinelSet) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: set.MasterName, SentinelAddrs: set.Addrs(), MaxRetries: -1,
	})
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Master returns the server that the sentinels agree on and that takes itself for the master too. After
// the old one died it waits for the new one.
func (set *SentinelSet) Master() *Server {
	set.tb.Helper()
	var master *Server
	err := poll(sentinelLimit, func() (err error) {
		master, err = set.agreed()
		return err
	})
	if err != nil {
		set.tb.Fatalf("redistest: sentinel: %v", err)
	}
	return master
}

// Failover makes the sentinels replace a master that is well, and returns the new one. The old one takes
// writes for a few seconds more, until the sentinels demote it; WaitOK waits for that.
func (set *SentinelSet) Failover() *Server {
	set.tb.Helper()
	old := set.Master()
	var asked time.Time
	var master *Server
	err := poll(sentinelLimit, func() (err error) {
		if time.Since(asked) > failoverRetry {
			// Refused until the sentinel has seen a good replica, or while it is at it already.
			if err := set.ask("SENTINEL", "FAILOVER", set.MasterName).Err(); err != nil {
				return err
			}
			asked = time.Now()
		}
		if master, err = set.agreed(); err == nil && master == old {
			err = errors.New("still the old master")
		}
		return err
	})
	if err != nil {
		set.tb.Fatalf("redistest: sentinel failover: %v", err)
	}
	return master
}

// WaitOK waits until all sentinels that run agree on a master that runs, none sees it in trouble, and all
// replicas that run are in step with it. Processes that are down or paused are left out.
func (set *SentinelSet) WaitOK() {
	set.tb.Helper()
	if err := poll(sentinelLimit, set.check); err != nil {
		set.tb.Fatalf("redistest: sentinel: %v", err)
	}
}

// ask sends a command to the first sentinel that runs.
func (set *SentinelSet) ask(args ...any) *redis.Cmd {
	for _, s := range set.Sentinels {
		if s.responsive() {
			return s.do(args...)
		}
	}
	return redis.NewCmdResult(nil, final{errors.New("no sentinel runs")})
}
