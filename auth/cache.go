package auth

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/oidc"
)

// cache remembers up to max keys by their digests.
type cache struct {
	max int

	mu        sync.RWMutex
	entries   map[digest]*entry
	forgotten uint64 // how often forget was called
}

// entry is what a server knows of a key, an access token, a session or a member. All but the atomic ones stays as it is.
// Times count from the start of the server.
type entry struct {
	principal Principal      // zero for a key that does not exist
	key       digest         // of the key whose uses these are: not that of its AWS pair
	secret    Secret         // of an AWS pair, "" for other keys
	session   *sessionState  // nil for what is no session
	standing  *oidc.Standing // of the token of an identity provider, nil for others
	epoch     string         // of the password of a member, "" for others
	expires   int64          // by the clock of Redis, in milliseconds since 1970; 0: never
	mark      string         // of the records when this was read
	read      time.Duration  // when the reading began

	asked atomic.Int64           // time.Duration: when somebody last showed the key, let in or not
	used  atomic.Int64           // time.Duration: when somebody was last let in; 0 for never
	noted atomic.Int64           // time.Duration: of the use that Redis was told of last
	from  atomic.Pointer[string] // address of the first use since then
}

// cameFrom notes an address. Only here it is moved to the heap.
func (e *entry) cameFrom(address string) { e.from.Store(&address) }

// heir gives e, which was read anew, what is known of the uses of the key.
func (e *entry) heir(old *entry) {
	e.asked.Store(old.asked.Load())
	e.used.Store(old.used.Load())
	e.noted.Store(old.noted.Load())
	e.from.Store(old.from.Load())
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
		if asked := e.asked.Load(); seen == 0 || asked < oldest {
			victim, oldest = d, asked
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(c.entries, victim)
}

// forget drops keys with their AWS pairs, and what is being read of any key right now. It walks through all entries, which
// is fine for what happens when somebody ends a key.
func (c *cache) forget(digests ...digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	ended := make(map[digest]bool, len(digests))
	for _, d := range digests {
		ended[d] = true
	}
	maps.DeleteFunc(c.entries, func(_ digest, e *entry) bool { return ended[e.key] })
}

// remove drops keys.
func (c *cache) remove(digests ...digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range digests {
		delete(c.entries, d)
	}
}

// askedSince returns the keys that were shown after t and forgets all others.
func (c *cache) askedSince(t time.Duration) []digest {
	c.mu.RLock()
	var asked, idle []digest
	for d, e := range c.entries {
		if e.asked.Load() > int64(t) {
			asked = append(asked, d)
		} else {
			idle = append(idle, d)
		}
	}
	c.mu.RUnlock()
	if len(idle) > 0 {
		c.remove(idle...)
	}
	return asked
}

// unnoted returns the keys of whose uses Redis is to be told: those used since it was told, unless that was after t.
func (c *cache) unnoted(t time.Duration) map[digest]*entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := map[digest]*entry{}
	for d, e := range c.entries {
		if noted := e.noted.Load(); e.used.Load() > noted && (noted == 0 || noted <= int64(t)) {
			list[d] = e
		}
	}
	return list
}

func (c *cache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}
