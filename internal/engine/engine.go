// Package engine runs Lua scripts on Redis and says truthfully what became of them.
//
// Every change of state in Sluice is one script on one slot. The engine sends it, joins calls that are on their way to
// the same node into one round trip, waits for replicas where that was asked for, and sorts what can go wrong into
// done, not done and unknown. It is the only place that decides whether a call is sent again.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
)

// Options says which Redis to use and how.
type Options struct {
	// URL is redis://, rediss:// or unix:// for one server, redis+cluster://host:port,… for a Cluster and
	// redis+sentinel://host:port,…/name for Sentinel; with an s after redis for TLS.
	URL string
	// Memory says that URL leads to the in-memory engine, which knows no script flags and keeps nothing.
	Memory bool
	// Replicas is how many replicas must confirm each write before it counts as done. 0: none.
	Replicas int
	// Clock is the server's own clock, the witness of Redis' time. Default: the machine's.
	Clock clock.Clock
	// TestNow, when set, replaces Redis' time by its answer in milliseconds. For tests only.
	TestNow func() int64
	// Logger gets what an operator should see. Default: nothing.
	Logger *slog.Logger
	// Dialer, when set, makes the connections. Tests put broken ones here.
	Dialer Dialer
	// Budget is how long a call is tried in all before its caller is told. Default: 5 s.
	Budget time.Duration
}

const (
	defaultBudget = 5 * time.Second
	// attemptTimeout bounds one round trip. It is longer than any script and any fsync of a healthy disk.
	attemptTimeout = 2 * time.Second
	// firstPause and maxPause bound the back-off between two attempts at one call.
	firstPause = 10 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// Engine is a connection to Redis.
type Engine struct {
	opt     Options
	clients clients
	nodes   sync.Map     // *redis.Client → *node: the calls on their way to that node
	trip    atomic.Int64 // ns of the fastest round trip since FastestTrip, 0 for none
	wait    atomic.Int32
	session Session
	closed  atomic.Bool
	counts  [Unknown + 1]atomic.Int64
}

// Open prepares the connection. It sends nothing: use WaitReady to know that Redis answers.
func Open(opt Options) (*Engine, error) {
	if opt.Clock == nil {
		opt.Clock = clock.Real{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Budget == 0 {
		opt.Budget = defaultBudget
	}
	c, err := connect(opt)
	if err != nil {
		return nil, err
	}
	e := &Engine{opt: opt, clients: c}
	e.wait.Store(int32(opt.Replicas))
	return e, nil
}

// Close ends all connections. Calls that are on their way come back as unknown.
func (e *Engine) Close() error {
	e.closed.Store(true)
	return e.clients.close()
}

// Memory reports whether this is the in-memory engine.
func (e *Engine) Memory() bool { return e.opt.Memory }

// SetReplicas changes how many replicas must confirm each write from now on.
func (e *Engine) SetReplicas(n int) { e.wait.Store(int32(n)) }

// Ping asks every master whether it answers.
func (e *Engine) Ping(ctx context.Context) error {
	return e.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Ping(ctx).Err() })
}

// WaitReady returns once Redis answers. It tries until ctx ends and calls waiting with each reason why not.
func (e *Engine) WaitReady(ctx context.Context, waiting func(error)) error {
	pause := firstPause
	for {
		try, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := e.Ping(try)
		cancel()
		if err == nil {
			return nil
		}
		waiting(err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis does not answer: %w", err)
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		}
	}
}

// Outcomes returns how many calls ended in each outcome since the start, by its name.
func (e *Engine) Outcomes() map[string]int64 {
	m := map[string]int64{}
	for i := range e.counts {
		m[Outcome(i).String()] = e.counts[i].Load()
	}
	return m
}

// eachMaster calls f for every node that takes writes, at the same time in a Cluster.
func (e *Engine) eachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if e.clients.cluster != nil {
		return e.clients.cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, e.clients.single)
}

// Single returns the client of a lone Redis, and Cluster that of a Cluster; the other one is nil. They never repeat a
// command by themselves. Only what no script can do (CONFIG, INFO, PUBLISH) goes through them.
func (e *Engine) Single() *redis.Client { return e.clients.single }

// Cluster is described at Single.
func (e *Engine) Cluster() *redis.ClusterClient { return e.clients.cluster }
