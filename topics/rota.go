package topics

import (
	"sync"

	"github.com/sluicemq/sluice/tenants"
)

// rota says what is to be done next: something of the tenant of which the least is under way, and where there are several, of the
// one that has waited longest for its turn. So a tenant with much to do keeps nobody waiting for longer than one thing takes.
type rota[T any] struct {
	waiting map[tenants.ID][]T
	line    []tenants.ID // those in waiting, by whose turn it is
	busy    map[tenants.ID]int
}

func newRota[T any]() rota[T] {
	return rota[T]{waiting: map[tenants.ID][]T{}, busy: map[tenants.ID]int{}}
}

// add puts something behind what else waits of a tenant.
func (r *rota[T]) add(t tenants.ID, what T) {
	if len(r.waiting[t]) == 0 {
		r.line = append(r.line, t)
	}
	r.waiting[t] = append(r.waiting[t], what)
}

// next takes what is next, which is under way until done is called. ok is false when nothing waits.
func (r *rota[T]) next() (t tenants.ID, what T, ok bool) {
	if len(r.line) == 0 {
		return t, what, false
	}
	least := 0
	for i, one := range r.line {
		if r.busy[one] < r.busy[r.line[least]] {
			least = i
		}
		if r.busy[r.line[least]] == 0 {
			break // so few are passed by, however many wait: not more than are under way
		}
	}
	t = r.line[least]
	copy(r.line[1:], r.line[:least])
	r.line = r.line[1:]
	what = r.waiting[t][0]
	if rest := r.waiting[t][1:]; len(rest) > 0 {
		r.waiting[t] = rest
		r.line = append(r.line, t)
	} else {
		delete(r.waiting, t)
	}
	r.busy[t]++
	return t, what, true
}

// done says that something of a tenant is no longer under way.
func (r *rota[T]) done(t tenants.ID) {
	if r.busy[t]--; r.busy[t] == 0 {
		delete(r.busy, t)
	}
}

// turnstile has a bounded number of things done at the same time.
type turnstile struct {
	mu   sync.Mutex
	rota rota[func()]
	free int
}

func newTurnstile(most int) *turnstile { return &turnstile{rota: newRota[func()](), free: most} }

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

// work does what is next, until nothing waits.
func (s *turnstile) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, do, ok := s.rota.next(); ok; t, do, ok = s.rota.next() {
		s.mu.Unlock()
		do()
		s.mu.Lock()
		s.rota.done(t)
	}
	s.free++
}
