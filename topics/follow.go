package topics

import (
	"context"
	"sync"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

const (
	// followWait is how long one read of a follower waits. Nothing is asked of Redis meanwhile but the look of readers.
	followWait = 5 * time.Minute
	// followPause is when a follower tries again that could not read.
	followPause = time.Second
)

// Follower shows what is published to a topic from a place on, each message once and in the order of the log. It reads on
// only when what it has read was taken, so it holds one read's answer, however slow its user is.
//
// It is driven by one goroutine: Changed says that there is something to Take.
type Follower struct {
	store   *Store
	tenant  tenants.ID
	topic   string
	opt     ReadOptions
	changed chan struct{}
	taken   chan struct{}
	stop    context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex
	list []Logged
	err  error
}

// Follow begins to follow a topic. opt.Limit and opt.Wait count for nothing. The errors are those of Read.
func (s *Store) Follow(ctx context.Context, t tenants.ID, name string, opt ReadOptions) (*Follower, error) {
	opt.Limit, opt.Wait = MaxRead, 0
	page, err := s.Read(ctx, t, name, opt)
	if err != nil {
		return nil, err
	}
	f := &Follower{store: s, tenant: t, topic: name, opt: opt, changed: make(chan struct{}, 1), taken: make(chan struct{}, 1), done: make(chan struct{})}
	ctx, f.stop = context.WithCancel(ctx)
	go f.run(ctx, page)
	return f, nil
}

// Changed says that there is something to Take.
func (f *Follower) Changed() <-chan struct{} { return f.changed }

// Take returns what has come since the last time, or why nothing can be read. It tries again a moment after that.
func (f *Follower) Take() ([]Logged, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, err := f.list, f.err
	if f.list, f.err = nil, nil; len(list) > 0 || err != nil {
		f.taken <- struct{}{}
	}
	return list, err
}

// Close ends the follower.
func (f *Follower) Close() {
	f.stop()
	<-f.done
}

func (f *Follower) run(ctx context.Context, page Page) {
	defer close(f.done)
	var err error
	f.opt.Wait = followWait
	for {
		if len(page.Messages) > 0 || err != nil {
			f.give(page.Messages, err)
			select {
			case <-f.taken:
			case <-ctx.Done():
				return
			}
		}
		if err == nil {
			next := page.Next
			f.opt.Place = Place{After: &next}
		} else {
			f.pause(ctx)
		}
		page, err = f.store.Read(ctx, f.tenant, f.topic, f.opt)
		if ctx.Err() != nil || f.draining() {
			return
		}
	}
}

// give shows what was read, or why nothing was.
func (f *Follower) give(list []Logged, err error) {
	f.mu.Lock()
	f.list, f.err = list, err
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default: // it has been told already
	}
}

func (f *Follower) pause(ctx context.Context) {
	over := make(chan struct{})
	timer := f.store.clock.AfterFunc(followPause, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

func (f *Follower) draining() bool {
	select {
	case <-f.store.queues.Draining():
		return true
	default:
		return false
	}
}
