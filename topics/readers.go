package topics

import (
	"sync"
	"time"
)

// readPace is how often a server looks whether something was published elsewhere to a topic at which reads wait here.
const readPace = time.Second

// readers are the reads that wait at a topic on this server. They are told of publishes here at once, and of others by
// one look a second, however many they are.
type readers struct {
	mu      sync.Mutex
	count   int
	changed chan struct{} // closed when there is, or may be, something new
	looking bool
	last    int64 // the last sequence number at the last look
}

func (r *readers) join(tp *topic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if !r.looking {
		// What is published before the first look is new as well.
		r.looking, r.last = true, -1
		tp.store.clock.AfterFunc(readPace, func() { r.look(tp) })
	}
}

func (r *readers) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count--
}

// next returns a channel that is closed when there may be something that was not there yet.
func (r *readers) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// tell wakes all.
func (r *readers) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// look tells all when something was published since the last look, or the topic is gone.
func (r *readers) look(tp *topic) {
	r.mu.Lock()
	if r.count == 0 {
		r.looking = false
		r.mu.Unlock()
		return
	}
	was := r.last
	r.mu.Unlock()
	_, st, err := tp.store.load(tp.store.life, tp.keys, tp.config.Load())
	if err != nil || st.Last != was {
		r.tell()
	}
	if err == nil {
		r.mu.Lock()
		r.last = st.Last
		r.mu.Unlock()
	}
	tp.store.clock.AfterFunc(readPace, func() { r.look(tp) })
}
