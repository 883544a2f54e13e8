package tenants

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
)

const (
	// trust is how long a server believes what it has read of a tenant: with the time that an answer may take, a
	// suspension holds everywhere within 5 s.
	trust = 4 * time.Second
	// beat is how often what was read is confirmed.
	beat = 2 * time.Second
	// idle is how long a tenant is remembered that does nothing.
	idle = time.Minute
	// reread is when a tenant is read again although nothing says that it has changed: whoever changed it may have died
	// before it could say so.
	reread = time.Minute
)

// Terms are what holds for a tenant: what it may do.
type Terms struct {
	Limits       Limits
	AnySignature bool // see Settings
	suspended    *Suspension
	clock        clock.Clock
}

// suspension returns the one that holds now, or nil: one with an end is over at that instant, with no word from anybody.
func (t *Terms) suspension() *Suspension {
	if t.suspended == nil || t.suspended.over(t.clock.Now()) {
		return nil
	}
	return t.suspended
}

// MayAct returns ErrSuspended, with the reason, when the tenant may do nothing.
func (t *Terms) MayAct() error {
	if s := t.suspension(); s != nil && s.Mode == ModeAll {
		return s.refusal()
	}
	return nil
}

// MaySend returns ErrSuspended, with the reason, when the tenant may not send.
func (t *Terms) MaySend() error {
	if s := t.suspension(); s != nil {
		return s.refusal()
	}
	return nil
}

// Unlimited are the terms of a tenant of which nobody says anything.
func Unlimited() *Terms { return &Terms{Limits: builtIn()} }

// termsCache is what a server knows of the tenants that call it, so that their requests cost no round trip.
//
// One mark in Redis changes after each change of a tenant. What was read under a mark is true for as long as the mark
// is the same, which Run asks for every two seconds, for all tenants in one call.
type termsCache struct {
	clock   clock.Clock
	started time.Time // all times here count from it, by the monotonic clock
	known   sync.Map  // ID → *known
	loading engine.Joined[*Terms]
	// confirmed says that the mark was this at some time, and what plans there were then.
	confirmed atomic.Pointer[confirmation]

	mu         sync.Mutex
	generation int // of what may be remembered: forget begins a new one
}

type confirmation struct {
	mark  string
	plans Plans
	at    time.Duration
}

// known is what a server knows of a tenant. All but used stays as it is.
type known struct {
	terms *Terms
	mark  string        // from before the reading
	read  time.Duration // when the reading began
	used  atomic.Int64  // time.Duration
}

func newTermsCache(c clock.Clock) *termsCache {
	return &termsCache{clock: c, started: c.Now()}
}

func (c *termsCache) now() time.Duration { return c.clock.Now().Sub(c.started) }

// fresh reports whether what is known may still be believed.
func (c *termsCache) fresh(k *known, now time.Duration) bool {
	at := k.read
	if f := c.confirmed.Load(); f != nil && f.at > at && f.mark == k.mark {
		at = f.at
	}
	return now-at < trust
}

// forget drops what is known of a tenant, or of all for the zero ID, and what is being read right now.
func (c *termsCache) forget(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	if id.IsZero() {
		c.known.Clear()
		c.confirmed.Store(nil) // its plans are old ones
	} else {
		c.known.Delete(id)
	}
}

// keep remembers what was read in a generation, unless something was forgotten since.
func (c *termsCache) keep(id ID, k *known, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		c.known.Store(id, k)
	}
}

func (c *termsCache) at() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// Terms returns what holds for a tenant, as it was at most 4 s ago. For a tenant that called this server before, and
// while Run runs, it asks nobody. Where Redis does not answer and what is known is older it is engine.ErrUnavailable.
func (s *Store) Terms(ctx context.Context, id ID) (*Terms, error) {
	c := s.terms
	now := c.now()
	if v, ok := c.known.Load(id); ok {
		if k := v.(*known); c.fresh(k, now) {
			if used := k.used.Load(); int64(now)-used > int64(time.Second) {
				k.used.Store(int64(now)) // seldom, so that cores do not fight for it
			}
			return k.terms, nil
		}
	}
	return c.loading.Do(ctx, id.s, func(ctx context.Context) (*Terms, error) { return s.readTerms(ctx, id) })
}

// readTerms reads what holds for a tenant and remembers it.
func (s *Store) readTerms(ctx context.Context, id ID) (*Terms, error) {
	c := s.terms
	generation, began := c.at(), c.now()
	f := c.confirmed.Load()
	if f == nil {
		var err error
		if f, err = s.readMark(ctx); err != nil {
			return nil, err
		}
	}
	t, err := s.ByID(ctx, id)
	if err != nil {
		c.known.Delete(id)
		return nil, err
	}
	k := &known{terms: &Terms{Limits: f.plans.Limits(t), AnySignature: t.AnySignature, suspended: t.Suspended, clock: c.clock}, mark: f.mark, read: began}
	k.used.Store(int64(began))
	c.keep(id, k, generation)
	return k.terms, nil
}

// readMark asks for the mark and remembers it, with the plans.
func (s *Store) readMark(ctx context.Context) (*confirmation, error) {
	c := s.terms
	generation, before, known := c.at(), c.confirmed.Load(), "?"
	if before != nil {
		known = before.mark
	}
	f, err := s.readPlans(ctx, known)
	if err != nil {
		return nil, err
	}
	if f.mark == known {
		f.plans = before.plans
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		c.confirmed.Store(f)
	}
	return f, nil
}

// announce tells all servers that what holds for a tenant has changed. The change itself is done, so a failure leaves the
// outcome unknown: until somebody repeats the change it may take a minute to be noticed.
func (s *Store) announce(ctx context.Context, t Tenant) error {
	_, err := s.run(ctx, announceScript, []string{termsKey, plansKey, planTenantsKey}, newETag(), t.ID.s, t.Plan)
	s.terms.forget(t.ID)
	if err != nil {
		return engine.ErrUnknown.Because(err)
	}
	return nil
}

// Run confirms, until ctx ends, what the server knows of tenants, so that requests need not wait for it.
func (s *Store) Run(ctx context.Context) error {
	tick := make(chan struct{}, 1)
	for {
		timer := s.terms.clock.AfterFunc(beat, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-tick:
		}
		s.confirm(ctx)
	}
}

// confirm asks for the mark, and reads those tenants again of which it may say something new. An error, which the engine
// has logged, leaves everything to grow old.
func (s *Store) confirm(ctx context.Context) {
	c := s.terms
	f, err := s.readMark(ctx)
	if err != nil {
		return
	}
	var group errgroup.Group
	group.SetLimit(maxReads)
	c.known.Range(func(key, value any) bool {
		id, k := key.(ID), value.(*known)
		switch {
		case f.at-time.Duration(k.used.Load()) > idle:
			c.known.CompareAndDelete(id, k)
		case k.mark != f.mark || f.at-k.read > reread:
			group.Go(func() error {
				used := k.used.Load()
				_, err := s.readTerms(ctx, id)
				if v, ok := c.known.Load(id); ok && err == nil {
					v.(*known).used.Store(used)
				}
				if errors.Is(err, ErrNotFound) {
					c.known.Delete(id)
				}
				return nil
			})
		}
		return true
	})
	_ = group.Wait() // what could not be read grows old
}
