package topics

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

const (
	// leaseTime is how long a server that carries a topic's messages is taken for the only one after it last said so.
	leaseTime = 10 * time.Second
	// lookAfter is when somebody looks at a topic that has got something to do, in case that nobody was told.
	lookAfter = 5 * time.Second
	// orphanAge is how old an entry is that leads to nothing before it goes: until then what it stands for may be on its way.
	orphanAge = time.Minute
	// lookEvery is how often the index is looked at. It costs one call, by one server of the installation.
	lookEvery = time.Second
	dueAtOnce = 100 // entries of one look
)

// entry stands in the index for a topic that has something to do. It has a number, by which the topic knows it: an entry
// is made before its number is written into the topic, so that the index may say more than there is and never less, and
// removed after the topic has gone to rest; see lua/lib/rouse.lua.
type entry struct {
	tenant tenants.ID
	uid    string
	number int64
}

func (e entry) String() string { return fmt.Sprintf("%s:%s:%d", e.tenant, e.uid, e.number) }

func parseEntry(s string) (entry, bool) {
	f := strings.Split(s, ":")
	if len(f) != 3 {
		return entry{}, false
	}
	t, ok := tenants.ParseID(f[0])
	n, err := strconv.ParseInt(f[2], 10, 64)
	return entry{t, f[1], n}, ok && err == nil && f[1] != ""
}

// enter makes the entry of a topic of which the last one had a number, and returns the number of the new one.
func (s *Store) enter(ctx context.Context, t tenants.ID, uid string, last int64) (int64, error) {
	e := entry{t, uid, last + 1}
	if err := s.index(ctx, "+", s.clock.Now().Add(lookAfter), e.String()); err != nil {
		return 0, err
	}
	return e.number, s.step("entered")
}

// index changes an entry of the index; see index.lua for the verbs.
func (s *Store) index(ctx context.Context, verb string, when time.Time, entry string) error {
	_, err := s.engine.Do(ctx, indexScript, []string{indexKey()}, verb, when.UnixMilli(), entry)
	return err
}
