package queues

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of one script call; see lua/lib/queue.lua.
const (
	callMessages = 100
	callBytes    = 512 << 10
	// aloneBytes is the size from which a message is not joined with others: its transfer would delay theirs.
	aloneBytes = 64 << 10
)

// What comes to a queue faster than it goes is refused, or it would wait ever longer, and keep others from being let in: once
// lateCalls calls in a row have left behind what would wait longer than maxBehind. While Redis does not answer no call
// leaves, so that refuses nothing.
const (
	maxBehind = 500 * time.Millisecond
	lateCalls = 3
)

// merger joins callers. While a lane is free a call leaves at once, so a lone caller waits for nobody; calls that come
// while all lanes are under way gather, and leave together on the first lane that comes back. This turns the cost of a
// script and of an fsync per call into one per round trip.
type merger[T any] struct {
	run  func(*lane, []T)             // carries out a batch and tells each of its callers
	load func(T) (messages, size int) // what an item adds to a call; an item over a bound travels alone

	mu      sync.Mutex
	pending []T
	free    []*lane
	left    time.Time    // when the last call left
	late    atomic.Int32 // calls in a row that left behind more than goes in maxBehind
}

// crowded reports whether what is added now would wait for long.
func (m *merger[T]) crowded() bool { return m.late.Load() >= lateCalls }

// add carries out item, in this goroutine or another. It may return before or after the item is done.
func (m *merger[T]) add(item T) {
	m.mu.Lock()
	m.pending = append(m.pending, item)
	m.leave()
}

// addAll is add for many. Those that travel do so together.
func (m *merger[T]) addAll(items []T) {
	if len(items) == 0 {
		return
	}
	m.mu.Lock()
	m.pending = append(m.pending, items...)
	m.leave()
}

// leave sends what is pending if a lane is free. It is called locked and returns unlocked.
func (m *merger[T]) leave() {
	if len(m.free) == 0 || len(m.pending) == 0 {
		m.mu.Unlock()
		return
	}
	ln := m.free[len(m.free)-1]
	m.free = m.free[:len(m.free)-1]
	batch := m.take()
	m.mu.Unlock()
	m.run(ln, batch)
	m.mu.Lock()
	if len(m.pending) == 0 {
		m.free = append(m.free, ln)
		m.mu.Unlock()
		return
	}
	batch = m.take()
	m.mu.Unlock()
	go m.keepOn(ln, batch)
}

// keepOn uses a lane for as long as there is work, so that the caller who got it first may go.
func (m *merger[T]) keepOn(ln *lane, batch []T) {
	for {
		m.run(ln, batch)
		m.mu.Lock()
		if len(m.pending) == 0 {
			m.free = append(m.free, ln)
			m.mu.Unlock()
			return
		}
		batch = m.take()
		m.mu.Unlock()
	}
}

// take removes the next call's items from pending: at least one, then as many as fit.
func (m *merger[T]) take() []T {
	messages, size, n := 0, 0, 0
	for _, item := range m.pending {
		c, b := m.load(item)
		if n > 0 && (messages+c > callMessages || size+b > callBytes || b > aloneBytes) {
			break
		}
		messages, size, n = messages+c, size+b, n+1
		if b > aloneBytes {
			break
		}
	}
	batch := m.pending[:n:n]
	m.pending = m.pending[n:]
	if len(m.pending) == 0 {
		m.pending = nil
	}
	now := time.Now()
	if behind := now.Sub(m.left) * time.Duration(len(m.pending)) / time.Duration(n); behind > maxBehind {
		m.late.Add(1)
	} else if m.late.Load() > 0 {
		m.late.Store(0)
	}
	m.left = now
	return batch
}
