package queues

import (
	"context"
	"crypto/sha1"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Parked returns how many receives wait at a queue's desk on this server.
func (s *Store) Parked(t tenants.ID, queue string) int {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return 0
	}
	w := &v.(*desk).waiters
	w.mu.Lock() // whoever is counted has its timers set
	defer w.mu.Unlock()
	return int(w.count.Load())
}

// Keys returns the keys of a queue by their letters; see lua/lib/queue.lua.
func (s *Store) Keys(t tenants.ID, queue string) map[string]string {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return nil
	}
	keys := map[string]string{}
	for i, p := range parts {
		keys[p] = v.(*desk).keys[i]
	}
	return keys
}

// TimelineKeys returns the keys in which a queue keeps timelines.
func (s *Store) TimelineKeys(t tenants.ID, queue string) (lives, steps string) {
	v, _ := s.desks.Load(address{t, queue})
	keys := timelineKeys(t, v.(*desk).uid)
	return keys[0], keys[1]
}

// SetTimelineRoom changes how many bytes of timelines a queue keeps.
func (s *Store) SetTimelineRoom(bytes int64) { s.timelineRoom = bytes }

// ForgetDesks drops what this server knows of all queues, as it does of those that nobody used for ten minutes.
func (s *Store) ForgetDesks() {
	s.desks.Range(func(_, v any) bool {
		s.forget(v.(*desk))
		return true
	})
}

// SetStep has f called between the steps of a creation or deletion; its error ends the call there.
func (s *Store) SetStep(f func(done string) error) { s.step = f }

// TenantKeys returns the prefix of all keys of a tenant, and the keys of its registry.
func TenantKeys(t tenants.ID) (prefix, registry, names string) {
	return engine.Prefix + t.String() + ":", engine.TenantKey(t.String(), registryPart), engine.TenantKey(t.String(), namesPart)
}

// Beat says that this server lives, as it does every ten seconds.
func (s *Store) Beat(tb testing.TB) {
	tb.Helper()
	alive, err := s.engine.Beat(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	s.noteAlive(alive)
}

// FillKeys fills a queue's memory of idempotency keys up to its bound, as of now.
func (s *Store) FillKeys(tb testing.TB, t tenants.ID, queue string) {
	tb.Helper()
	keys, now := s.Keys(t, queue), strconv.FormatInt(s.clock.Now().UnixMilli(), 10)
	for i := 0; i < maxDedupKeys; i += 1000 {
		var fields, order []any
		for j := i; j < i+1000; j++ {
			digest := fmt.Sprintf("%016d", j)
			fields = append(fields, digest, now+"|"+strings.Repeat("i", engine.IDSize)+"printed!")
			order = append(order, digest+now)
		}
		pipe := s.engine.Single().Pipeline() // one for all would write for longer than a busy machine allows
		pipe.HSet(tb.Context(), keys["i"], fields...)
		pipe.RPush(tb.Context(), keys["j"], order...)
		if _, err := pipe.Exec(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

// FillStates gives a queue as many groups with a state as it may have, each until then.
func (s *Store) FillStates(tb testing.TB, t tenants.ID, queue string, until time.Time) {
	tb.Helper()
	keys := s.Keys(t, queue)
	for i := 0; i < MaxGroupStates; i += 1000 {
		var fields, ends []any
		for j := i; j < i+1000; j++ {
			group := fmt.Sprintf("g%07d", j)
			fields = append(fields, group, "\x01x")
			ends = append(ends, until.UnixMilli(), group)
		}
		pipe := s.engine.Single().Pipeline()
		pipe.HSet(tb.Context(), keys["g"], fields...)
		pipe.Do(tb.Context(), append([]any{"zadd", keys["e"]}, ends...)...)
		pipe.HSet(tb.Context(), keys["h"], "tt", 1, "gb", 2*(i+1000))
		if _, err := pipe.Exec(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

// Stamp is what the scripts write before a record: its format, and the time sent in six bytes.
func Stamp(ms uint64) string {
	return string([]byte{0, byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)})
}

// Pack packs a message as it is stored, without the stamp, and Parse reads it with one.
func Pack(m *Outgoing) string { return string(appendRecord(nil, m, nil)) }

// Parse reads a stored record.
func Parse(record string) (Message, error) {
	var m Message
	_, err := parseRecord(record, &m)
	return m, err
}

// Receipts signs and reads the receipt handles of a queue.
type Receipts struct{ s *signer }

// NewReceipts returns the receipts of one queue of one installation.
func NewReceipts(master []byte, tenant, uid string) Receipts {
	return Receipts{newSigner(queueKey(master, tenant, uid))}
}

// Write returns the handle of a delivery, and Read what a handle says.
func (r Receipts) Write(id engine.ID, delivery uint32, received time.Time, size int) string {
	return r.s.write(receipt{id: id, delivery: delivery, received: received, size: size})
}

// Read returns what a handle says.
func (r Receipts) Read(handle string) (engine.ID, uint32, time.Time, int, error) {
	got, err := r.s.read(handle)
	return got.id, got.delivery, got.received, got.size, err
}

// ParseSide reads a side record.
func ParseSide(s string) error {
	_, err := parseSide(s)
	return err
}

// ScriptNames returns the name of each script by its digest, as it stands in SLOWLOG.
func ScriptNames() map[string]string {
	names := map[string]string{}
	for _, s := range []*engine.Script{
		sendScript, receiveScript, settleScript, outboxScript, acceptScript, deliverScript, restoreScript, departScript, deleteScript, delayScript, peekScript, tailScript, messageScript, statsScript, passScript, pausedScript,
		waitScript, waitsScript, purgeScript, initScript, settingsScript, configureScript, followScript, retireScript, eraseScript, seriesDropScript, registerScript,
		confirmScript, unregisterScript, forgetScript, lookupScript, listScript, unfinishedScript, checkScript, fieldsScript, quitScript, stateReadScript, statePutScript, stateDropScript,
		scheduleReadScript, scheduleNamesScript, schedulePutScript, scheduleSaveScript, scheduleDropScript,
		scheduleIndexScript, scheduleDueScript,
	} {
		names[fmt.Sprintf("%x", sha1.Sum([]byte(s.Text())))] = s.Name
	}
	return names
}

// Delivery returns the number of the delivery that a receipt handle of a queue stands for.
func (s *Store) Delivery(tb testing.TB, t tenants.ID, queue, handle string) uint32 {
	tb.Helper()
	d, err := s.desk(tb.Context(), t, queue)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := d.sign.read(handle)
	if err != nil {
		tb.Fatal(err)
	}
	return r.delivery
}

// Running returns how many receive scripts of a queue are under way on this server.
func (s *Store) Running(t tenants.ID, queue string) int {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return 0
	}
	w := &v.(*desk).waiters
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// Cursor returns the cursor of a peek that goes on at a position of one of its views; see peek.lua.
func Cursor(view, position string) string { return cursor{view: view, position: position}.String() }

// Disconnect has Redis close all connections, so that the next call makes a new one.
func (s *Store) Disconnect(ctx context.Context) {
	_ = s.engine.Single().Do(ctx, "client", "kill", "type", "normal", "skipme", "no").Err() // its own too
}

// Carry brings what has left a queue to its destinations, as its carrier does in the background.
func (s *Store) Carry(tb testing.TB, t tenants.ID, queue string) {
	tb.Helper()
	d, err := s.desk(tb.Context(), t, queue)
	if err != nil {
		tb.Fatal(err)
	}
	for _, shard := range d.all() {
		_ = shard.carry(tb.Context())
	}
}

// Carrying reports whether this server brings what has left a queue to its destinations just now.
func (s *Store) Carrying(t tenants.ID, queue string) bool {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return false
	}
	c := &v.(*desk).carrier
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// Journey begins to carry what has left a queue, and returns how to bring one message, which is made up, to another queue.
func (s *Store) Journey(tb testing.TB, t tenants.ID, queue string) func(to string) error {
	tb.Helper()
	d, err := s.desk(tb.Context(), t, queue)
	if err != nil {
		tb.Fatal(err)
	}
	reply, err := d.alone(tb.Context(), outboxScript, func(*config) []any { return []any{"0"} })
	if err != nil {
		tb.Fatal(err)
	}
	return func(to string) error {
		load := []parcel{{number: "1", letter: 'x', record: appendRecord(nil, &Outgoing{Body: []byte("again")}, nil), id: s.engine.NewID(0), sent: s.clock.Now()}}
		return s.with(tb.Context(), t, to, func(there *desk) error {
			_, err := there.accept(tb.Context(), d.uid, engine.Number(reply, 2), engine.Number(reply, 3), load)
			return err
		})
	}
}

// Armed reports whether the consumer's next look at its leases is set.
func (c *Consumer) Armed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timer != nil
}

// TickDue does what is due of all schedules, in as many steps as that takes.
func (s *Store) TickDue(ctx context.Context) error {
	for {
		wait, err := s.RunDue(ctx)
		if err != nil {
			return err
		}
		reply, err := s.engine.Do(ctx, scheduleDueScript, []string{scheduleIndexKey("schedules")}, 1)
		if list, _ := reply.([]any); err != nil || len(list) <= 2 {
			return err
		}
		if wait > scheduleGather {
			return fmt.Errorf("it would wait for %s although something is due", wait)
		}
	}
}

// IndexSize returns how many schedules the index has.
func (s *Store) IndexSize(tb testing.TB) int64 {
	tb.Helper()
	n, err := s.engine.Single().ZCard(tb.Context(), scheduleIndexKey("schedules")).Result()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// LoseIndex removes the index of schedules.
func (s *Store) LoseIndex(tb testing.TB) {
	tb.Helper()
	if err := s.engine.Single().Del(tb.Context(), scheduleIndexKey("schedules")).Err(); err != nil {
		tb.Fatal(err)
	}
}

// SetSide replaces what a queue keeps of a message's earlier deliveries, and makes it one that came back.
func (s *Store) SetSide(tb testing.TB, t tenants.ID, queue string, id engine.ID, side string) error {
	tb.Helper()
	keys := s.Keys(t, queue)
	pipe := s.engine.Single().TxPipeline()
	pipe.LRem(tb.Context(), keys["r"], 1, id[:])
	pipe.HSet(tb.Context(), keys["s"], id[:], side)
	pipe.Do(tb.Context(), "zadd", keys["a"], id.Time().UnixMilli(), id[:])
	pipe.Do(tb.Context(), "zadd", keys["x"], id.Time().UnixMilli(), id[:])
	pipe.HSet(tb.Context(), keys["h"], "ag", 1)
	_, err := pipe.Exec(tb.Context())
	return err
}

// SetForward has a queue forward to another one, without a look at what that one does.
func (s *Store) SetForward(tb testing.TB, t tenants.ID, queue, to string) {
	tb.Helper()
	if err := s.with(tb.Context(), t, queue, func(d *desk) error {
		c, err := s.load(tb.Context(), t, d.uid)
		if err != nil {
			return err
		}
		want := *c
		want.ForwardTo = to
		_, err = s.configure(tb.Context(), d, c, &want)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
}

// ShardKeys returns the keys of a shard of a queue by their letters.
func (s *Store) ShardKeys(tb testing.TB, t tenants.ID, queue string, k int) map[string]string {
	tb.Helper()
	d, err := s.desk(tb.Context(), t, queue)
	if err != nil {
		tb.Fatal(err)
	}
	keys := map[string]string{}
	for i, p := range parts {
		keys[p] = d.all()[k].keys[i]
	}
	return keys
}

// ShardUID returns the name of the keys of shard k of n.
func ShardUID(uid string, k, n int) string { return shardUID(uid, k, n) }

// ShardCursor returns the cursor of a peek that begins at a shard.
func ShardCursor(k int) string { return cursor{shard: k}.String() }

// EndWaits ends the waits of all receives at a queue on this server, as their timers do.
func (s *Store) EndWaits(t tenants.ID, queue string) {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return
	}
	l := v.(*desk).waiters.lobby
	l.mu.Lock()
	waiting := l.takeParked(int(l.count.Load()))
	l.mu.Unlock()
	for _, c := range waiting {
		c.finish(nil)
	}
}

// Hearing reports whether words of other servers arrive.
func (s *Store) Hearing() bool { return s.hearing.Load() }
