package redistest

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// migrateBatch is how many keys one MIGRATE carries.
	migrateBatch = 100
	// migrateTimeout is how long one MIGRATE may stand still, in milliseconds.
	migrateTimeout = 5000
	// migrateRounds bounds the emptying of one slot: a million keys, or as many writers in the way.
	migrateRounds = 10_000
)

// Migration is a slot on its way from one master to another, to be stopped and broken at any step.
// Between the steps the slot is half open, as a resharding tool that crashed would leave it.
type Migration struct {
	c        *ClusterSet
	slot     int
	from, to *Server
	moved    bool
}

// MoveSlot moves key's slot in one go.
func (c *ClusterSet) MoveSlot(key string, from, to *Server) {
	c.tb.Helper()
	c.BeginMigrate(key, from, to).FinishMigrate()
}

// BeginMigrate opens key's slot at both ends. From here on, from answers ASK for keys that it lacks, and
// TRYAGAIN for commands of which it has only some keys.
func (c *ClusterSet) BeginMigrate(key string, from, to *Server) *Migration {
	c.tb.Helper()
	m := &Migration{c: c, slot: c.Slot(key), from: from, to: to}
	c.text(to, "CLUSTER", "SETSLOT", m.slot, "IMPORTING", c.ids[from])
	c.text(from, "CLUSTER", "SETSLOT", m.slot, "MIGRATING", c.ids[to])
	return m
}

// MigrateKeys moves up to limit keys and returns how many are left at the source.
func (m *Migration) MigrateKeys(limit int) int {
	m.c.tb.Helper()
	n, err := m.carry(m.from, m.to, limit)
	if err != nil {
		m.c.tb.Fatalf("redistest: migrate slot %d: %v", m.slot, err)
	}
	m.moved = m.moved || n > 0
	return m.c.int(m.from, "CLUSTER", "COUNTKEYSINSLOT", m.slot)
}

// FinishMigrate moves the keys that are left, hands the slot over, and waits until all nodes agree.
func (m *Migration) FinishMigrate() {
	m.c.tb.Helper()
	m.empty(m.from, m.to)
	// The new owner first: should the old one fail in between, the slot has an owner all the same.
	for _, s := range []*Server{m.to, m.from} {
		m.c.text(s, "CLUSTER", "SETSLOT", m.slot, "NODE", m.c.ids[m.to])
	}
	m.c.WaitOK()
}

// Abort leaves the slot with its old owner. Keys that have moved go back, and for that moment a client
// finds them at neither end: Redis has no way to undo a migration under traffic once it has begun to
// move keys, it can only finish it.
func (m *Migration) Abort() {
	m.c.tb.Helper()
	m.c.text(m.from, "CLUSTER", "SETSLOT", m.slot, "STABLE")
	if m.moved {
		m.empty(m.to, m.from)
	}
	m.c.text(m.to, "CLUSTER", "SETSLOT", m.slot, "STABLE")
	m.c.WaitOK()
}

// empty carries all keys of the slot from one node to the other.
func (m *Migration) empty(from, to *Server) {
	m.c.tb.Helper()
	for range migrateRounds {
		n, err := m.carry(from, to, migrateBatch)
		if err != nil {
			m.c.tb.Fatalf("redistest: migrate slot %d: %v", m.slot, err)
		}
		if n == 0 {
			return
		}
	}
	m.c.tb.Fatalf("redistest: migrate slot %d: keys left after %d rounds", m.slot, migrateRounds)
}

// carry moves up to limit keys in one MIGRATE and returns how many it found. Nodes that have too little time for each other
// take the cluster to be down for a while: it waits for its end.
func (m *Migration) carry(from, to *Server, limit int) (int, error) {
	keys, err := from.do("CLUSTER", "GETKEYSINSLOT", m.slot, limit).StringSlice()
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	args := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, migrateTimeout, "KEYS"}
	for _, k := range keys {
		args = append(args, k)
	}
	reply, err := from.do(args...).Text()
	if err != nil && strings.Contains(err.Error(), "CLUSTERDOWN") {
		m.c.WaitOK()
		return m.carry(from, to, limit)
	}
	if err != nil {
		return 0, fmt.Errorf("from %s to %s: %w", from.addr, to.addr, err)
	}
	if !strings.HasPrefix(reply, "OK") && reply != "NOKEY" { // they may have expired meanwhile
		return 0, errors.New(reply)
	}
	return len(keys), nil
}
