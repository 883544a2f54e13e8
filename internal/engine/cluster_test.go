package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

func clusterURL(c *redistest.ClusterSet) string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// other returns a master that is not s.
func other(t *testing.T, c *redistest.ClusterSet, s *redistest.Server) *redistest.Server {
	t.Helper()
	for i := range 1000 {
		if m := c.MasterOf(fmt.Sprint("k", i)); m != s {
			return m
		}
	}
	t.Fatal("one node has all slots")
	return nil
}

// pairScript has two keys, so that it cannot run while only one of them has moved.
var pairScript = mustLoad("pair", `-- Notes an operation in two places.
-- KEYS[1] HASH operations
-- KEYS[2] HASH as KEYS[1]
-- ARGV[3] operation
-- Returns: how many operations each knows
-- Flags: none
-- Again: what is noted stays noted.
redis.call('HSET', KEYS[1], ARGV[3], '1')
redis.call('HSET', KEYS[2], ARGV[3], '1')
return { redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]) }
`)

func TestCallsGoToTheOwnerOfTheirSlot(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	var wg sync.WaitGroup
	for i := range 300 {
		k := key("k")
		wg.Go(func() {
			if n, err := count(e, k, "op"); err != nil || n != 1 {
				t.Errorf("key %d: got %d, %v", i, n, err)
			}
		})
	}
	wg.Wait()
	if got := e.Outcomes(); got["elsewhere"] != 0 {
		t.Errorf("outcomes %v: calls went to the wrong node", got)
	}
	for _, n := range c.Nodes {
		if keys := n.Client(t).DBSize(t.Context()).Val(); keys < 50 {
			t.Errorf("node %s has %d keys", n.Addr(), keys)
		}
	}
}

func TestAMovedSlotIsFollowed(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	k := key("k")
	mustCount(t, e, k, "before")
	from := c.MasterOf(k)
	to := other(t, c, from)
	c.MoveSlot(k, from, to)
	began := time.Now()
	if n := mustCount(t, e, k, "after"); n != 2 {
		t.Errorf("the operation has number %d, want 2", n)
	}
	took := time.Since(began)
	if got := e.Outcomes(); got["elsewhere"] != 1 || got["unknown"] != 0 {
		t.Errorf("outcomes %v, want one redirection", got)
	}
	until(t, "the new owner is known", func() bool {
		before := e.Outcomes()["elsewhere"]
		mustCount(t, e, k, "later")
		return e.Outcomes()["elsewhere"] == before
	})
	t.Logf("the first call took %v, the topology was known after %v", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

func TestTheImportingNodeIsAsked(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	k := key("k")
	mustCount(t, e, k, "before")
	from := c.MasterOf(k)
	m := c.BeginMigrate(k, from, other(t, c, from))
	mustCount(t, e, k, "at the source")
	if left := m.MigrateKeys(10); left != 0 {
		t.Fatalf("%d keys are left", left)
	}
	// Alone and together with others: each needs its own ASKING.
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := count(e, k, fmt.Sprint("asked", i)); err != nil {
				t.Errorf("during the migration: %v", err)
			}
		})
	}
	wg.Wait()
	if n := mustCount(t, e, k, "at last"); n != 103 {
		t.Errorf("the operation has number %d, want 103", n)
	}
	if e.Outcomes()["elsewhere"] < 101 {
		t.Errorf("outcomes %v: nobody was redirected", e.Outcomes())
	}
	m.FinishMigrate()
	if n := mustCount(t, e, k, "after"); n != 104 {
		t.Errorf("the operation has number %d, want 104", n)
	}
}

// A node that is given its first slots is in nobody's list of masters yet.
func TestANodeWithoutSlotsIsAsked(t *testing.T) {
	t.Parallel()
	fresh := newFake(t, func(_ int, c *fakeConn, _ []string) string {
		if !c.asking {
			return "-MOVED 1 127.0.0.1:1\r\n"
		}
		return fakeOK
	})
	owner := newFake(t, func(int, *fakeConn, []string) string { return "-ASK 1 " + fresh.addr + "\r\n" })
	owner.other = func(_ *fakeConn, args []string) string {
		if strings.EqualFold(args[0], "cluster") {
			return slots(owner.addr)
		}
		return ""
	}
	e := open(t, engine.Options{URL: "redis+cluster://" + owner.addr, Budget: time.Second})
	if got, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", ""); err != nil || got != "done" {
		t.Errorf("got %v, %v; want done", got, err)
	}
	if owner.attempts() != 1 || fresh.attempts() != 1 {
		t.Errorf("%d attempts at the owner and %d at the new node, want one each", owner.attempts(), fresh.attempts())
	}
}

// MOVED is followed to where it points, whatever the rest of the Cluster still believes.
func TestMovedIsBelieved(t *testing.T) {
	t.Parallel()
	successor := newFake(t, func(int, *fakeConn, []string) string { return fakeOK })
	old := newFake(t, func(int, *fakeConn, []string) string { return "-MOVED 1 " + successor.addr + "\r\n" })
	old.other = func(_ *fakeConn, args []string) string {
		if strings.EqualFold(args[0], "cluster") {
			return slots(old.addr)
		}
		return ""
	}
	e := open(t, engine.Options{URL: "redis+cluster://" + old.addr, Budget: time.Second})
	if got, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", ""); err != nil || got != "done" {
		t.Errorf("got %v, %v; want done", got, err)
	}
}

func TestTryAgainEndsWithTheMigration(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	impatient := open(t, engine.Options{URL: clusterURL(c), Budget: 100 * time.Millisecond})
	keys := []string{"sl:t:{tryagain}:a", "sl:t:{tryagain}:b"}
	if _, err := e.Do(t.Context(), pairScript, keys, "before"); err != nil {
		t.Fatal(err)
	}
	from := c.MasterOf(keys[0])
	m := c.BeginMigrate(keys[0], from, other(t, c, from))
	if left := m.MigrateKeys(1); left != 1 {
		t.Fatalf("%d keys are left, want 1", left)
	}
	_, err := impatient.Do(t.Context(), pairScript, keys, "refused")
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("half way: got %v, want %v", err, engine.ErrUnavailable)
	}
	done := make(chan error, 1)
	go func() {
		reply, err := e.Do(context.Background(), pairScript, keys, "during")
		if err == nil && fmt.Sprint(reply) != "[2 2]" {
			err = fmt.Errorf("got %v, want two operations in both places", reply)
		}
		done <- err
	}()
	until(t, "the call has been put off", func() bool { return e.Outcomes()["not_done"] >= 2 })
	m.FinishMigrate()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// ledger is what callers were told of their operations.
type ledger struct {
	mu      sync.Mutex
	done    map[string][]string // key → operations that were acknowledged
	unsure  int
	refused int
	last    map[string]time.Time
	gap     time.Duration // the longest time in which one key had nothing acknowledged
}

func (l *ledger) note(t *testing.T, k, op string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.done[k] = append(l.done[k], op)
		now := time.Now()
		if last, ok := l.last[k]; ok {
			l.gap = max(l.gap, now.Sub(last))
		}
		l.last[k] = now
	case errors.Is(err, engine.ErrUnknown):
		l.unsure++
	case errors.Is(err, engine.ErrUnavailable):
		l.refused++
	default:
		t.Errorf("%s: %v", op, err)
	}
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, ops := range l.done {
		n += len(ops)
	}
	return n
}

// under runs fault while callers write to so many keys, and then looks for every operation that was acknowledged.
func under(t *testing.T, e *engine.Engine, keys []string, fault func(*ledger)) *ledger {
	t.Helper()
	l := &ledger{done: map[string][]string{}, last: map[string]time.Time{}}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i, k := range keys {
		for j := range 4 {
			wg.Go(func() {
				for n := 0; !stop.Load(); n++ {
					op := fmt.Sprint("op", i, ".", j, ".", n)
					_, err := count(e, k, op)
					l.note(t, k, op, err)
				}
			})
		}
	}
	until(t, "the load runs", func() bool { return l.total() > 200 })
	fault(l)
	stop.Store(true)
	wg.Wait()
	return l
}

// lost counts acknowledged operations that are not stored.
func (l *ledger) lost(t *testing.T, e *engine.Engine) int {
	t.Helper()
	lost := 0
	for k, ops := range l.done {
		reply, err := e.Do(t.Context(), allScript, []string{k})
		if err != nil {
			t.Fatalf("read %s: %v", k, err)
		}
		stored := map[string]bool{}
		for _, op := range reply.([]any) {
			stored[op.(string)] = true
		}
		for _, op := range ops {
			if !stored[op] {
				lost++
			}
		}
	}
	return lost
}

var allScript = mustLoad("all", `-- Lists the operations that were noted.
-- KEYS[1] HASH as in count
-- Returns: the fields of the hash
-- Flags: no-writes
-- Again: it only reads.
return redis.call('HKEYS', KEYS[1])
`)

func someKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key("k")
	}
	return keys
}

func TestAKilledMasterIsReplaced(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	e := open(t, engine.Options{URL: clusterURL(c), Replicas: 1})
	keys := someKeys(6)
	victim := c.MasterOf(keys[0])
	l := under(t, e, keys, func(l *ledger) {
		victim.Kill9()
		c.MasterOf(keys[0]) // waits for the successor
		victim.Restart()    // which then has a replica again
		c.WaitOK()
		n := l.total()
		until(t, "writes go on", func() bool { return l.total() > n+200 })
	})
	lost := l.lost(t, e)
	t.Logf("kill -9: acknowledged %d, unknown %d, refused %d, lost %d, %v without writes", l.total(), l.unsure, l.refused, lost, l.gap.Round(time.Millisecond))
	if lost > 0 {
		t.Errorf("%d acknowledged operations are lost", lost)
	}
}

// After the kill nobody tells the engine where the slot has gone: it has to ask by itself.
func TestTheSuccessorIsFoundWithinTheBudget(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	e := open(t, engine.Options{URL: clusterURL(c)})
	k := key("k")
	mustCount(t, e, k, "before")
	c.MasterOf(k).Kill9()
	began := time.Now()
	c.MasterOf(k) // waits for the successor
	elected := time.Since(began)
	n := mustCount(t, e, k, "after")
	t.Logf("successor after %v, first write after %v", elected.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if n < 1 || n > 2 {
		t.Errorf("the operation has number %d", n)
	}
}

func TestAGracefulFailoverIsFollowed(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 1)
	e := open(t, engine.Options{URL: clusterURL(c)})
	keys := someKeys(6)
	l := under(t, e, keys, func(l *ledger) {
		c.Failover(c.MasterOf(keys[0]), redistest.Graceful)
		n := l.total()
		until(t, "writes go on", func() bool { return l.total() > n+200 })
	})
	lost := l.lost(t, e)
	t.Logf("graceful: acknowledged %d, unknown %d, refused %d, lost %d, %v without writes", l.total(), l.unsure, l.refused, lost, l.gap.Round(time.Millisecond))
	if lost > 0 || l.unsure > 0 || l.refused > 0 {
		t.Errorf("lost %d, unknown %d, refused %d; a graceful failover costs nothing", lost, l.unsure, l.refused)
	}
}

func TestSlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	keys := someKeys(3)
	moves := 0
	l := under(t, e, keys, func(*ledger) {
		for range 6 {
			from := c.MasterOf(keys[0])
			m := c.BeginMigrate(keys[0], from, other(t, c, from))
			m.MigrateKeys(1)
			m.FinishMigrate()
			moves++
		}
	})
	lost := l.lost(t, e)
	t.Logf("%d moves: acknowledged %d, unknown %d, refused %d, lost %d, %v without writes, outcomes %v",
		moves, l.total(), l.unsure, l.refused, lost, l.gap.Round(time.Millisecond), e.Outcomes())
	if lost > 0 || l.unsure > 0 || l.refused > 0 {
		t.Errorf("lost %d, unknown %d, refused %d; a move costs nothing but time", lost, l.unsure, l.refused)
	}
}

func TestACloseOfAClusterEndsIt(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	if err := e.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.Single() != nil || e.Cluster() == nil {
		t.Error("a Cluster has no single client")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := count(e, key("k"), "op"); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a call after Close: got %v, want %v", err, engine.ErrUnavailable)
	}
}
