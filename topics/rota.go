package topics

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

const (
	// recently is after how long the time that a tenant has had counts for half as much, and after twice as long for a quarter. So one
	// that had all while nobody else wanted any waits for no longer than about that.
	recently = 100 * time.Millisecond
	// once is what each thing counts for at least, and as long as it is under way.
	once = time.Millisecond
	// forgotten is after how long a tenant is forgotten: what it has had counts for nothing by then.
	forgotten = 20 * recently
	// While another tenant that has had less time was there within rivalry, one has no more than a reserve-th of what there is at the same
	// time: so what the other one wants next is done at once.
	rivalry = time.Second
	reserve = 4
)

// rota says what is to be done next: something of the tenant that has had the least time lately, and where several had as much, of
// the one that has waited longest. So a tenant with little to do has all of it done at once, whatever others want, and those with
// much share what is left.
type rota[T any] struct {
	most  int                  // that is under way at the same time
	now   func() time.Duration // since any instant; it never goes back
	known map[tenants.ID]*entrant[T]
	line  []*entrant[T] // those of which something waits, by whose turn it is
	last  [2]*entrant[T]
	full  int // forget those that had no time lately as soon as so many are known
}

// entrant is a tenant of which something waits, is under way or was done lately.
type entrant[T any] struct {
	tenant  tenants.ID
	waiting []T
	busy    int
	came    time.Duration // when something of it was begun last
	// had is how much time its things have taken lately, as the logarithm to the base of 2 of milliseconds, with the number of times that
	// recently has passed added: so it stays as it is while what it stands for counts for less and less.
	had float64
}

func newRota[T any](most int) rota[T] {
	start := time.Now()
	return rota[T]{most: most, now: func() time.Duration { return time.Since(start) }, known: map[tenants.ID]*entrant[T]{}}
}

// add puts something behind what else waits of a tenant.
func (r *rota[T]) add(t tenants.ID, what T) {
	e := r.known[t]
	if e == nil {
		r.forget()
		e = &entrant[T]{tenant: t, had: math.Inf(-1)}
		r.known[t] = e
	}
	if len(e.waiting) == 0 {
		r.line = append(r.line, e)
	}
	e.waiting = append(e.waiting, what)
}

// next takes what is next, which is under way until done is called. ok is false when nothing may begin before that.
func (r *rota[T]) next() (t tenants.ID, what T, ok bool) {
	now, first := r.now(), -1
	for i, e := range r.line {
		if (first < 0 || e.had < r.line[first].had) && !r.sated(e, now) {
			first = i
		}
	}
	if first < 0 {
		return t, what, false
	}
	e := r.line[first]
	r.line = slices.Delete(r.line, first, first+1)
	if what, e.waiting = e.waiting[0], e.waiting[1:]; len(e.waiting) > 0 {
		r.line = append(r.line, e)
	} else {
		e.waiting = nil
	}
	if r.last[0] != e {
		r.last = [2]*entrant[T]{e, r.last[0]}
	}
	e.busy, e.came = e.busy+1, now
	e.charge(now, once)
	return e.tenant, what, true
}

// sated reports whether a tenant has as much under way as it may, because the last one beside it has had less time.
func (r *rota[T]) sated(e *entrant[T], now time.Duration) bool {
	other := r.last[0]
	if other == e {
		other = r.last[1]
	}
	return e.busy >= max(r.most/reserve, 1) && other != nil && other.had < e.had && now-other.came < rivalry
}

// done says that something of a tenant is no longer under way, and how much time it took.
func (r *rota[T]) done(t tenants.ID, took time.Duration) {
	e := r.known[t]
	e.busy--
	if took > once {
		e.charge(r.now(), took-once)
	}
}

// charge adds to the time that a tenant has had.
func (e *entrant[T]) charge(now, d time.Duration) {
	more := float64(now)/float64(recently) + math.Log2(float64(d)/float64(time.Millisecond))
	low, high := min(e.had, more), max(e.had, more)
	e.had = high + math.Log2(1+math.Exp2(low-high))
}

// forget drops tenants that had no time lately. It looks at all of them when there are twice as many as it left the last time.
func (r *rota[T]) forget() {
	if len(r.known) < r.full {
		return
	}
	now := r.now()
	for t, e := range r.known {
		if e.busy == 0 && len(e.waiting) == 0 && now-e.came > forgotten {
			delete(r.known, t)
		}
	}
	r.full = 2*len(r.known) + 64
}

// turnstile has a bounded number of things done at the same time.
type turnstile struct {
	mu   sync.Mutex
	rota rota[func()]
	free int
}

func newTurnstile(most int) *turnstile { return &turnstile{rota: newRota[func()](most), free: most} }

// pass has something of a tenant done in the background, when it is its turn.
func (s *turnstile) pass(t tenants.ID, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rota.add(t, do)
	if s.free > 0 {
		s.free--
		go s.work()
	}
}

// work does what is next, until nothing may begin.
func (s *turnstile) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, do, ok := s.rota.next(); ok; t, do, ok = s.rota.next() {
		s.mu.Unlock()
		start := time.Now()
		do()
		s.mu.Lock()
		s.rota.done(t, time.Since(start))
	}
	s.free++
}
