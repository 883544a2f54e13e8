package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Do runs s on the slot of its keys and returns Redis' answer: a string, an int64, or a []any of those.
//
// A failed call is tried again inside the budget when it was certainly not run, and also when that is unknown, because
// running any script again with the same arguments is harmless (see Script). ctx ends the wait before the call is
// sent, never a call on its way: what a client gives up may be carried out all the same.
//
// Errors are ErrUnavailable, ErrUnknown, ErrFull and ErrBroken with their causes.
func (e *Engine) Do(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	deadline := time.Now().Add(e.opt.Budget)
	unknown, pause := error(nil), firstPause
	ask := ""
	for {
		reply, err := e.once(s, keys, args, ask, deadline)
		o := OutcomeOf(err)
		e.counts[o].Add(1)
		ask = ""
		switch o {
		case Done:
			return reply, nil
		case Full, Broken:
			e.opt.Logger.Error("redis refused a script", "script", s.Name, "outcome", o.String(), "error", err.Error())
			return nil, problem(o, err)
		case Unknown:
			unknown = err
			e.relearn()
		case Elsewhere:
			ask = e.follow(err)
		default:
			e.relearn()
		}
		if time.Now().Add(pause).After(deadline) {
			e.opt.Logger.Error("redis did not carry out a script in time", "script", s.Name, "outcome", o.String(), "error", err.Error())
			if unknown != nil {
				return nil, problem(Unknown, unknown)
			}
			return nil, problem(o, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, maxPause)
	}
}

// follow prepares for the next attempt after a redirection. For ASK it returns the address that the next attempt, and
// only that, must go to.
func (e *Engine) follow(err error) (ask string) {
	if e.clients.cluster == nil {
		return "" // READONLY: the old master of a Sentinel set; its client is told of the new one
	}
	if addr, ok := redis.IsAskError(err); ok {
		return addr
	}
	e.relearn()
	return ""
}

// relearn asks a Cluster which node has which slots now. The client does so by itself only from time to time, and not
// when a node cannot be reached. Frequent calls are joined by the client.
func (e *Engine) relearn() {
	if e.clients.cluster != nil {
		e.clients.cluster.ReloadState(context.Background())
	}
}

// once sends the call one time and waits for its answer.
func (e *Engine) once(s *Script, keys []string, args []any, ask string, deadline time.Time) (any, error) {
	ctx, cancel := context.WithDeadline(context.Background(), minTime(deadline, time.Now().Add(attemptTimeout)))
	defer cancel()
	var client *redis.Client
	var err error
	if ask != "" {
		client, err = e.clients.named(ctx, ask)
	} else {
		client, err = e.clients.owner(ctx, keys[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	c := &call{cmd: e.command(ctx, s, keys, args), writes: !s.ReadOnly, asking: ask != "", done: make(chan struct{})}
	e.node(client).send(c, int(e.wait.Load()))
	if c.err != nil && OutcomeOf(c.err) == Reload {
		text := s.real.text
		if e.opt.Memory {
			text = s.memory.text
		}
		if err := client.ScriptLoad(ctx, text).Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		c = &call{cmd: e.command(ctx, s, keys, args), writes: !s.ReadOnly, asking: ask != "", done: make(chan struct{})}
		e.node(client).send(c, int(e.wait.Load()))
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
	cmd    *redis.Cmd
	writes bool
	asking bool
	err    error
	done   chan struct{}
}

// node joins the calls to one Redis server. While fewer than maxFlushes round trips are under way a call leaves at
// once; otherwise it leaves together with all that gathered meanwhile, as soon as one of them is back.
type node struct {
	client  *redis.Client
	mu      sync.Mutex
	pending []*call
	flushes int
}

const (
	maxFlushes = 4
	// maxFlush bounds the calls of one round trip.
	maxFlush = 64
)

func (e *Engine) node(c *redis.Client) *node {
	if n, ok := e.nodes.Load(c); ok {
		return n.(*node)
	}
	n, _ := e.nodes.LoadOrStore(c, &node{client: c})
	return n.(*node)
}

// send returns when c has its answer.
func (n *node) send(c *call, replicas int) {
	n.mu.Lock()
	if n.flushes >= maxFlushes {
		n.pending = append(n.pending, c)
		n.mu.Unlock()
		<-c.done
		return
	}
	n.flushes++
	n.mu.Unlock()
	n.flush([]*call{c}, replicas)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pending) == 0 {
		n.flushes--
		return
	}
	go n.drain(replicas)
}

// drain sends what gathered, and gives its place back when nothing is left.
func (n *node) drain(replicas int) {
	for {
		n.mu.Lock()
		if len(n.pending) == 0 {
			n.flushes--
			n.mu.Unlock()
			return
		}
		k := min(len(n.pending), maxFlush)
		batch := n.pending[:k:k]
		n.pending = n.pending[k:]
		n.mu.Unlock()
		n.flush(batch, replicas)
	}
}

// flush sends calls in one round trip and hands each its answer. Where replicas must confirm, one WAIT follows the
// calls on the same connection: it covers all that was written on it.
func (n *node) flush(calls []*call, replicas int) {
	// The longest-lived call decides: the others' contexts have all but the same end.
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	wait := false
	for _, c := range calls {
		wait = wait || (c.writes && replicas > 0)
	}
	switch {
	case wait:
		n.flushWait(ctx, calls, replicas)
	case len(calls) == 1 && !calls[0].asking:
		_ = n.client.Process(ctx, calls[0].cmd)
	default:
		pipe := n.client.Pipeline()
		queue(ctx, pipe, calls)
		_, _ = pipe.Exec(ctx)
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
		if c.asking {
			pipe.Do(ctx, "asking")
		}
		_ = pipe.Process(ctx, c.cmd)
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
	_, _ = pipe.Exec(ctx)
	got, err := waited.Int()
	for err == nil && got < replicas && ctx.Err() == nil {
		got, err = conn.Do(ctx, "wait", replicas, once.Milliseconds()).Int()
	}
	if err == nil && got >= replicas {
		return
	}
	if err == nil || timedOut(err) {
		err = errWait
	}
	for _, c := range calls {
		if c.writes && (c.cmd.Err() == nil || errors.Is(c.cmd.Err(), redis.Nil)) {
			c.err = errWait
		}
	}
}
