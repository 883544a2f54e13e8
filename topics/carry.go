package topics

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// maxCarrying is how many topics a server deals with at the same time. Each takes a turn of one round and goes to the
	// end of its tenant's line when there is more to do; see rota for whose turn it is.
	maxCarrying = 16
	// maxDelivering bounds the calls to queues and webhooks that are under way for topics. A call waits in Redis for those that were made
	// before, whoever's they are: more of them at once do not get done sooner, only others later.
	maxDelivering = 16
	// firstPause is how long a subscription rests whose queue is full or paused: there may be room at any moment. Where
	// something is wrong the pause is doubled each time, up to longestPause.
	firstPause   = time.Second
	longestPause = time.Minute
)

// carriers are what brings messages from the logs of topics to their subscriptions. Where each subscription is lies in
// Redis, so any server may go on where another one stopped, and two may do the same at once: what a queue has got it does
// not take again, and only one of them moves the subscription on.
type carriers struct {
	store      *Store
	delivering *turnstile

	mu      sync.Mutex
	jobs    map[string]*job // by the topic's uid
	ready   rota[*job]
	working int
}

func newCarriers(s *Store) *carriers {
	return &carriers{store: s, delivering: newTurnstile(maxDelivering), jobs: map[string]*job{}, ready: newRota[*job](maxCarrying)}
}

// job is a topic whose messages this server carries.
type job struct {
	carriers *carriers
	tenant   tenants.ID
	uid      string

	// Guarded by carriers.mu.
	queued, running, again bool
	timer                  clock.Timer
	used                   int64 // when it last had its turn, ms

	round // of the turn that is under way
}

// carry has this server carry what there is of a topic, in the background.
func (s *Store) carry(t tenants.ID, uid string) {
	if s.life.Err() != nil {
		return
	}
	c := s.carriers
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[uid]
	if j == nil {
		j = &job{carriers: c, tenant: t, uid: uid}
		j.round.init(s, t, uid, func() { s.carry(t, uid) })
		c.jobs[uid] = j
	}
	c.wake(j)
}

// wake puts a job into the line. It is called locked.
func (c *carriers) wake(j *job) {
	switch {
	case j.running:
		j.again = true
		return
	case j.queued:
		return
	}
	j.queued = true
	c.ready.add(j.tenant, j)
	if c.working < maxCarrying {
		c.working++
		go c.work()
	}
}

// next takes the job whose turn it is, and nil when there is none: then the worker ends.
func (c *carriers) next() *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store.life.Err() == nil {
		if _, j, ok := c.ready.next(); ok {
			j.queued, j.running = false, true
			return j
		}
	}
	c.working--
	return nil
}

func (c *carriers) work() {
	for j := c.next(); j != nil; j = c.next() {
		start := time.Now()
		more, err := j.turn(c.store.life)
		c.mu.Lock()
		c.ready.done(j.tenant, time.Since(start))
		j.running = false
		again := j.again
		j.again = false
		j.used = c.store.clock.Now().UnixMilli()
		switch {
		case errors.Is(err, errTheirs), errors.Is(err, errGone):
			if !again {
				c.drop(j)
				break
			}
			c.wake(j) // it was told of something since
		case err != nil:
			c.store.logger.Warn("messages of a topic could not be carried on; they are kept", "tenant", j.tenant.String(), "uid", j.uid, "error", err.Error())
			c.later(j, firstPause)
		case more || again:
			c.wake(j)
		}
		c.mu.Unlock()
	}
}

// later wakes a job after a pause, or earlier when that was asked for. It is called locked.
func (c *carriers) later(j *job, pause time.Duration) {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.timer = c.store.clock.AfterFunc(pause, func() { c.store.carry(j.tenant, j.uid) })
}

// drop forgets a job. It is called locked.
func (c *carriers) drop(j *job) {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.round.stop()
	delete(c.jobs, j.uid)
}

// forgetIdle drops jobs that had nothing to do for long.
func (c *carriers) forgetIdle(before int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if j.used < before && !j.queued && !j.running {
			c.drop(j)
		}
	}
}

// errTheirs says that another server carries a topic's messages.
var errTheirs = errors.New("another server carries the topic's messages")

// Run carries what was published until ctx ends, also what other servers have left behind.
func (s *Store) Run(ctx context.Context) error {
	defer s.end()
	var wg sync.WaitGroup
	wg.Go(func() { s.listen(ctx) })
	wg.Go(func() { s.watch(ctx) })
	wg.Wait()
	return nil
}

// listen hears what other servers' scripts say; see lua/lib/rouse.lua. What is lost while it does not is found in the index.
func (s *Store) listen(ctx context.Context) {
	s.engine.Listen(ctx, engine.TopicPrefix, func(bool) {}, s.heard)
}

// heard is told the tenant and the uid of a topic to which something was published.
func (s *Store) heard(word string) {
	f := strings.Fields(word)
	if len(f) != 2 {
		return
	}
	if t, ok := tenants.ParseID(f[0]); ok {
		s.carry(t, f[1])
	}
}

// watch looks at the index, which one server of the installation does at a time.
func (s *Store) watch(ctx context.Context) {
	mine, asked := false, time.Time{}
	for {
		if time.Since(asked) >= leaseTime/2 {
			asked = time.Now()
			got, err := s.engine.Lease(ctx, "topics", leaseTime)
			mine = err == nil && got
		}
		if mine {
			if err := s.tend(ctx); err != nil && ctx.Err() == nil {
				s.logger.Warn("the index of topics could not be read", "error", err.Error())
			}
		}
		before := s.clock.Now().Add(-idleTopic).UnixMilli()
		s.forgetIdle(before)
		s.carriers.forgetIdle(before)
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			if mine { // another server need not wait for the lease to end
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_, _ = s.engine.Lease(last, "topics", 0)
			}
			return
		}
	}
}

// tend sees to the topics at which it is time to look.
func (s *Store) tend(ctx context.Context) error {
	reply, err := s.engine.Do(ctx, dueScript, []string{indexKey()}, dueAtOnce)
	if err != nil {
		return err
	}
	list, _ := reply.([]any)
	for i := 1; i < len(list); i++ {
		if err := s.attend(ctx, engine.Text(list, i), at(engine.Number(list, 0))); err != nil {
			return err
		}
	}
	return nil
}

// attend sees to the topic behind an entry of the index, and says when to look at it again.
func (s *Store) attend(ctx context.Context, raw string, now time.Time) error {
	e, ok := parseEntry(raw)
	if !ok {
		s.logger.Error("an entry of the index of topics is damaged", "entry", raw)
		return s.index(ctx, "-", now, raw)
	}
	reply, err := s.engine.Do(ctx, watchScript, topicKeys(e.tenant, e.uid), s.engine.Session().Number(), e.number)
	if err != nil {
		return err
	}
	list, _ := reply.([]any)
	switch engine.Text(list, 0) {
	case "mine":
		s.carry(e.tenant, e.uid)
		return s.index(ctx, "=", now.Add(lookAfter), raw)
	case "theirs":
		return s.index(ctx, "=", at(engine.Number(list, 1)).Add(lookEvery), raw)
	case "early":
		// The topic is about to have it, or the server died before that and the next one to come makes the same entry.
		return s.index(ctx, "=", now.Add(orphanAge), raw)
	}
	return s.index(ctx, "-", now, raw)
}
