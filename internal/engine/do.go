package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Do runs s on the slot of its keys and returns Redis' answer: a string, an int64, or a []any of those.
//
// A failed call is tried again inside the budget when it was certainly not run, and also when that is unknown, because
// running any script again with the same arguments is harmless (see Script). ctx ends the wait while the call is
// certainly not carried out, never a call on its way: what a client gives up may be carried out all the same.
//
// Errors are ErrUnavailable, ErrUnknown, ErrFull and ErrBroken with their causes.
func (e *Engine) Do(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	if e.closed.Load() {
		return nil, ErrUnavailable.Because(redis.ErrClosed)
	}
	deadline := time.Now().Add(e.opt.Budget)
	unknown, pause := error(nil), firstPause
	var to redirection
	for {
		reply, err := e.once(s, keys, args, attempt{to: to, again: unknown != nil, deadline: deadline})
		o := OutcomeOf(err)
		e.counts[o].Add(1)
		to = redirection{}
		switch o {
		case Done:
			return reply, nil
		case Full:
			if unknown != nil {
				return nil, problem(Unknown, unknown) // this attempt was refused, but an earlier one may have run
			}
			return nil, problem(o, err)
		case Broken:
			e.opt.Logger.Error("redis refused a script", "script", s.Name, "error", err.Error())
			return nil, problem(o, err)
		case Unknown:
			unknown = err
			e.relearn()
		case Elsewhere:
			to = e.follow(err)
		default:
			e.relearn()
		}
		if time.Now().Add(pause).After(deadline) || e.closed.Load() {
			e.opt.Logger.Error("redis did not carry out a script in time", "script", s.Name, "outcome", o.String(), "error", err.Error())
			if unknown != nil && !s.ReadOnly { // what only reads has certainly changed nothing
				return nil, problem(Unknown, unknown)
			}
			return nil, problem(NotDone, err)
		}
		left := ctx.Done()
		if unknown != nil {
			left = nil
		}
		select {
		case <-time.After(pause):
		case <-left:
			return nil, ErrUnavailable.Because(ctx.Err())
		}
		pause = min(2*pause, maxPause)
	}
}

// attempt says how a call is sent this time.
type attempt struct {
	to       redirection
	again    bool // an earlier attempt may have been carried out
	deadline time.Time
}

// redirection is a node that the next attempt, and only that, must go to. The zero value: to the owner of the slot.
type redirection struct {
	addr   string
	asking bool // the node does not own the slot yet
}

// follow prepares for the next attempt after a redirection.
func (e *Engine) follow(err error) redirection {
	if e.clients.cluster == nil {
		return redirection{} // READONLY: the old master of a Sentinel set; its client is told of the new one
	}
	if addr, ok := redis.IsAskError(err); ok {
		return redirection{addr: addr, asking: true}
	}
	e.relearn()
	addr, _ := redis.IsMovedError(err)
	return redirection{addr: addr}
}

// relearn asks a Cluster which node has which slots now. The client does so by itself only from time to time, and not
// when a node cannot be reached. Frequent calls are joined by the client.
func (e *Engine) relearn() {
	if e.clients.cluster != nil {
		e.clients.cluster.ReloadState(context.Background())
	}
}

// once sends the call one time and waits for its answer.
func (e *Engine) once(s *Script, keys []string, args []any, a attempt) (any, error) {
	ctx, cancel := context.WithDeadline(context.Background(), minTime(a.deadline, time.Now().Add(attemptTimeout)))
	defer cancel()
	var client *redis.Client
	var err error
	if a.to.addr != "" {
		client = e.clients.named(a.to.addr)
	} else if client, err = e.clients.owner(ctx, keys[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	n := e.node(client)
	if !a.again { // a call that may have been carried out must learn whether it was
		if err := n.room(s); err != nil {
			return nil, err
		}
	}
	c := e.call(ctx, s, keys, args, a)
	n.send(c)
	if c.err != nil && OutcomeOf(c.err) == Reload {
		text := s.real.text
		if e.opt.Memory {
			text = s.memory.text
		}
		if err := client.ScriptLoad(ctx, text).Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		c = e.call(ctx, s, keys, args, a)
		n.send(c)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.cmd.Val(), nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// command builds the EVALSHA. The two clocks come first among the arguments.
func (e *Engine) command(ctx context.Context, s *Script, keys []string, args []any) *redis.Cmd {
	list := make([]any, 0, 5+len(keys)+len(args))
	sha := s.real.sha
	if e.opt.Memory {
		sha = s.memory.sha
	}
	list = append(list, "evalsha", sha, len(keys))
	for _, k := range keys {
		list = append(list, k)
	}
	now := int64(0)
	if e.opt.TestNow != nil {
		now = e.opt.TestNow()
	}
	list = append(list, now, e.opt.Clock.Now().UnixMilli())
	list = append(list, args...)
	return redis.NewCmd(ctx, list...)
}

// call is one script on its way.
type call struct {
	cmd      *redis.Cmd
	asking   bool
	replicas int        // that must confirm what it writes
	mark     *redis.Cmd // see marked; nil for none
	deadline time.Time  // a call that could not be sent by then is not
	err      error
	done     chan struct{}
}

func (e *Engine) call(ctx context.Context, s *Script, keys []string, args []any, a attempt) *call {
	c := &call{cmd: e.command(ctx, s, keys, args), asking: a.to.asking, deadline: a.deadline, done: make(chan struct{})}
	if !s.ReadOnly {
		c.replicas = int(e.wait.Load())
	}
	if a.again && c.replicas > 0 {
		c.mark = redis.NewCmd(ctx, "eval", marked, 1, keys[0]+":mark")
	}
	return c
}

// marked is a write that leaves nothing behind. A call that is sent again may find its work done and write nothing.
// Valkey and newer Redis then take a WAIT on another connection to ask about nothing, and answer at once. Behind a mark
// it asks about all that came before on that node.
const marked = "#!lua flags=allow-oom\nredis.call('SET', KEYS[1], '') redis.call('DEL', KEYS[1])"

// node joins the calls to one Redis server. While fewer than maxFlushes round trips are under way a call leaves at
// once; otherwise it leaves together with all that gathered meanwhile, as soon as one of them is back.
type node struct {
	client  *redis.Client
	trip    *atomic.Int64          // see FastestTrip
	full    atomic.Pointer[string] // why it takes nothing more; nil while it has room
	mu      sync.Mutex
	pending []*call
	flushes int
}

const (
	maxFlushes = 2
	// maxFlush bounds the calls of one round trip.
	maxFlush = 64
)

func (e *Engine) node(c *redis.Client) *node {
	if n, ok := e.nodes.Load(c); ok {
		return n.(*node)
	}
	n, _ := e.nodes.LoadOrStore(c, &node{client: c, trip: &e.trip})
	return n.(*node)
}

// FastestTrip returns what the fastest round trip to Redis since the last call of FastestTrip took, with its fsync and its
// replicas where these are waited for, and 0 when there was none. Failed ones count too.
func (e *Engine) FastestTrip() time.Duration { return time.Duration(e.trip.Swap(0)) }

// send returns when c has its answer.
func (n *node) send(c *call) {
	n.mu.Lock()
	if n.flushes >= maxFlushes {
		n.pending = append(n.pending, c)
		n.mu.Unlock()
		<-c.done
		return
	}
	n.flushes++
	n.mu.Unlock()
	n.flush([]*call{c})
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) == 0 {
		n.flushes--
		return
	}
	go n.drain()
}

// drain sends what gathered, and gives its place back when nothing is left.
func (n *node) drain() {
	for {
		n.mu.Lock()
		batch := n.take(time.Now())
		if len(batch) == 0 {
			n.flushes--
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		n.flush(batch)
	}
}

var errCrowded = fmt.Errorf("%w: no round trip to redis was free in time", errNotSent)

// take removes the calls of the next round trip from pending. Those whose time is over are told so: while Redis hangs,
// each round trip takes long, and nobody shall wait for many. It is called locked.
func (n *node) take(now time.Time) []*call {
	var batch []*call
	taken := 0
	for _, c := range n.pending {
		if len(batch) == maxFlush {
			break
		}
		taken++
		if now.After(c.deadline) {
			c.err = errCrowded
			close(c.done)
			continue
		}
		batch = append(batch, c)
	}
	n.pending = n.pending[taken:]
	if len(n.pending) == 0 {
		n.pending = nil // or the array would keep finished calls
	}
	return batch
}

// flush sends calls in one round trip and hands each its answer. Where replicas must confirm, one WAIT follows the
// calls on the same connection: it covers all that was written on it.
func (n *node) flush(calls []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	replicas := 0
	for _, c := range calls {
		replicas = max(replicas, c.replicas)
	}
	begun := time.Now()
	switch {
	case replicas > 0:
		n.flushWait(ctx, calls, replicas)
	case len(calls) == 1 && !calls[0].asking:
		_ = n.client.Process(ctx, calls[0].cmd)
	default:
		pipe := n.client.Pipeline()
		queue(ctx, pipe, calls)
		exec(ctx, pipe, calls)
	}
	took := int64(time.Since(begun))
	if fastest := n.trip.Load(); fastest == 0 || took < fastest {
		n.trip.Store(took) // of two at once either may win: it is one of the fastest
	}
	for _, c := range calls {
		if c.err == nil {
			c.err = c.cmd.Err()
		}
		if errors.Is(c.err, redis.Nil) {
			c.err = nil
		}
		close(c.done)
	}
}

func queue(ctx context.Context, pipe redis.Pipeliner, calls []*call) {
	for _, c := range calls {
		for _, cmd := range []*redis.Cmd{c.cmd, c.mark} {
			if cmd == nil {
				continue
			}
			if c.asking {
				pipe.Do(ctx, "asking")
			}
			_ = pipe.Process(ctx, cmd)
		}
	}
}

// exec sends what was queued. When Redis refuses the client that connects, a wrong password for example, the commands
// were never sent and go-redis tells only the caller of Exec: a command without answer and error has that error.
func exec(ctx context.Context, pipe redis.Pipeliner, calls []*call) {
	_, err := pipe.Exec(ctx)
	for _, c := range calls {
		if c.cmd.Val() == nil && c.cmd.Err() == nil {
			c.err = cmp.Or(err, errNotSent)
		}
	}
}

// flushWait sends calls and a WAIT on one connection. A WAIT that comes back short is repeated on that connection, for
// another one would only speak of its own writes.
func (n *node) flushWait(ctx context.Context, calls []*call, replicas int) {
	conn := n.client.Conn()
	defer func() { _ = conn.Close() }()
	pipe := conn.Pipeline()
	queue(ctx, pipe, calls)
	const once = 500 * time.Millisecond
	waited := pipe.Do(ctx, "wait", replicas, once.Milliseconds())
	exec(ctx, pipe, calls)
	got, err := waited.Int()
	for err == nil && got < replicas && ctx.Err() == nil {
		got, err = conn.Do(ctx, "wait", replicas, once.Milliseconds()).Int()
	}
	confirmed := err == nil && got >= replicas
	for _, c := range calls {
		proven := confirmed && (c.mark == nil || c.mark.Err() == nil || errors.Is(c.mark.Err(), redis.Nil))
		if c.err == nil && c.replicas > 0 && !proven && (c.cmd.Err() == nil || errors.Is(c.cmd.Err(), redis.Nil)) {
			c.err = errWait
		}
	}
}
