package auth

import (
	"sync"
	"sync/atomic"
	"time"
)

// cache remembers up to max keys by their digests.
type cache struct {
	max int

	mu        sync.RWMutex
	entries   map[digest]*entry
	forgotten uint64 // how often forget was called
}

// entry is what a server knows of a key. All but used stays as it is. Times count from the start of the server.
type entry struct {
	principal Principal     // zero for a key that does not exist
	expires   int64         // by the clock of Redis, in milliseconds since 1970; 0: never
	mark      string        // of the records when this was read
	read      time.Duration // when the reading began
	used      atomic.Int64  // time.Duration
}

// sample is how many entries are compared to find an old one to forget: like Redis, which forgets one that is old, not
// the oldest.
const sample = 8

func newCache(limit int) *cache { return &cache{max: limit, entries: map[digest]*entry{}} }

func (c *cache) get(d digest) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[d]
}

// generation changes when keys are forgotten.
func (c *cache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.forgotten
}

// put remembers a key that was read after generation returned g, unless keys were forgotten since: it may be one of
// them.
func (c *cache) put(d digest, e *entry, g uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != g {
		return
	}
	if _, there := c.entries[d]; !there && len(c.entries) >= c.max {
		c.forgetOne()
	}
	c.entries[d] = e
}

// forgetOne drops one of the entries that were not used for long. A map begins its walk at a random place.
func (c *cache) forgetOne() {
	var victim digest
	seen, oldest := 0, int64(0)
	for d, e := range c.entries {
		if used := e.used.Load(); seen == 0 || used < oldest {
			victim, oldest = d, used
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(c.entries, victim)
}

// forget drops keys, and what is being read of any key right now.
func (c *cache) forget(digests ...digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	for _, d := range digests {
		delete(c.entries, d)
	}
}

// remove drops keys.
func (c *cache) remove(digests ...digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range digests {
		delete(c.entries, d)
	}
}

// usedSince returns the keys that were used after t and forgets all others.
func (c *cache) usedSince(t time.Duration) []digest {
	c.mu.RLock()
	var used, idle []digest
	for d, e := range c.entries {
		if e.used.Load() > int64(t) {
			used = append(used, d)
		} else {
			idle = append(idle, d)
		}
	}
	c.mu.RUnlock()
	if len(idle) > 0 {
		c.remove(idle...)
	}
	return used
}

func (c *cache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}
