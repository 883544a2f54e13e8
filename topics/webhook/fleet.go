package webhook

import (
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
)

const (
	// beatEvery is how often a server says that it sends, beatLife how long that counts. So the webhooks of a server that dies
	// are another's after ten seconds, and what it was sending is sent again when its lease ends.
	beatEvery = 3 * time.Second
	beatLife  = 10 * time.Second
	// lookEvery is how often a shard is looked at about which nobody said anything, and how long a look counts.
	lookEvery = 10 * time.Second
	// dueAtOnce bounds the webhooks of one look.
	dueAtOnce = 100
)

// fleet knows which server sends for which shard: each server that says that it sends has about the same number of them.
// Two that are of different opinions for a moment do no harm, because an entry is lent to one of them only.
type fleet struct {
	pusher *pusher

	mu      sync.Mutex
	senders [shards]uint32 // session of the server; 0: none is known
	own     uint32
	watches [shards]watch
	beats   clock.Timer
	over    bool
}

// watch is when this server looks at a shard of its own.
type watch struct {
	at    time.Time // zero: it does not
	timer clock.Timer
	busy  bool // a look is under way
	again bool // another one is to follow it
}

func (f *fleet) init(p *pusher) { f.pusher = p }

// mine reports whether this server sends for a shard.
func (f *fleet) mine(shard int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.own != 0 && f.senders[shard] == f.own
}

func (f *fleet) owned() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.senders {
		if f.own != 0 && s == f.own {
			n++
		}
	}
	return n
}

// senderFor returns the session of the server that is to be told of something to send, and 0 for this one or none.
func (p *pusher) senderFor(uid string) uint32 {
	f := &p.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.senders[shardOf(uid)]
	if s == f.own {
		return 0
	}
	return s
}

// due says in how many milliseconds a webhook has something to do, or -1.
func (p *pusher) due(id identity, in int64) {
	shard := shardOf(id.uid)
	switch {
	case in < 0 || !p.fleet.mine(shard):
	case in == 0:
		p.wake(id)
	default:
		p.fleet.arm(shard, in)
	}
}

// run keeps this server among those that send until ctx ends.
func (f *fleet) run(ctx context.Context) {
	s := f.pusher.store
	f.mu.Lock()
	f.own = s.engine.Session().Number()
	f.mu.Unlock()
	f.beat(ctx)
	s.engine.Listen(ctx, engine.HookPrefix, func(up bool) {
		if up {
			f.lookAtAll()
		}
	}, func(word string) {
		if id, ok := parseIdentity(word, " "); ok {
			f.pusher.wake(id)
		}
	})
	f.mu.Lock()
	f.over = true
	if f.beats != nil {
		f.beats.Stop()
	}
	for i := range f.watches {
		if f.watches[i].timer != nil {
			f.watches[i].timer.Stop()
		}
	}
	f.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), soon)
	defer cancel()
	_, _ = s.engine.Do(last, beatScript, []string{beatKey()}, f.own, 0) // the others need not wait
}

// beat says that this server sends, and learns which others do.
func (f *fleet) beat(ctx context.Context) {
	s := f.pusher.store
	reply, err := s.engine.Do(ctx, beatScript, []string{beatKey()}, f.own, beatLife.Milliseconds())
	if list, ok := reply.([]any); err == nil && ok {
		var alive []uint32
		for i := range list {
			alive = append(alive, uint32(engine.Number(list, i)))
		}
		for _, shard := range f.assign(alive) {
			f.arm(shard, 0)
		}
	}
	f.pusher.forgetIdle(s.clock.Now().Add(-idleHook).UnixMilli())
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && ctx.Err() == nil {
		f.beats = s.clock.AfterFunc(beatEvery, func() { f.beat(ctx) })
	}
}

// assign gives each shard to the server that suits it best, so that a server which comes or goes moves no others, and
// returns those that became this one's.
func (f *fleet) assign(alive []uint32) (fresh []int) {
	slices.Sort(alive)
	f.mu.Lock()
	defer f.mu.Unlock()
	for shard := range f.senders {
		best, most := uint32(0), uint32(0)
		for _, session := range alive {
			h := fnv.New32a()
			_, _ = h.Write([]byte(strconv.Itoa(shard) + "." + strconv.FormatUint(uint64(session), 10)))
			if sum := scatter(h.Sum32()); best == 0 || sum > most {
				best, most = session, sum
			}
		}
		if best == f.own && f.senders[shard] != f.own {
			fresh = append(fresh, shard)
		}
		f.senders[shard] = best
	}
	return fresh
}

// scatter mixes the bits of a hash of a few similar digits.
func scatter(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

func (f *fleet) lookAtAll() {
	for shard := range shards {
		if f.mine(shard) {
			f.arm(shard, 0)
		}
	}
}

// arm has a shard looked at in so many milliseconds, or earlier when that was said before. -1 is never.
func (f *fleet) arm(shard int, in int64) {
	if in < 0 || !f.mine(shard) {
		return
	}
	clk := f.pusher.store.clock
	wait := min(time.Duration(in)*time.Millisecond, lookEvery)
	at := clk.Now().Add(wait)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &f.watches[shard]
	if f.over || !w.at.IsZero() && !w.at.After(at) {
		return
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	w.at = at
	w.timer = clk.AfterFunc(wait, func() { f.look(shard) })
}

// look wakes the webhooks of a shard that have something due.
func (f *fleet) look(shard int) {
	s := f.pusher.store
	f.mu.Lock()
	w := &f.watches[shard]
	w.at, w.again = time.Time{}, w.busy
	if w.busy || f.over {
		f.mu.Unlock()
		return
	}
	w.busy = true
	f.mu.Unlock()
	next := lookEvery.Milliseconds()
	reply, err := s.engine.Do(s.life, dueScript, []string{readyKey(shard)}, dueAtOnce, lookEvery.Milliseconds())
	if list, ok := reply.([]any); err == nil && ok {
		for i := 1; i < len(list); i++ {
			if id, ok := parseIdentity(engine.Text(list, i), ":"); ok {
				f.pusher.wake(id)
			}
		}
		if in := engine.Number(list, 0); in >= 0 {
			next = min(next, max(in, 1))
		}
	} else {
		next = soon.Milliseconds()
	}
	f.mu.Lock()
	if w.busy = false; w.again {
		next = 0
	}
	f.mu.Unlock()
	f.arm(shard, next)
}
