package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

// TestMain fails if a call, a connection or a server leaves a goroutine behind.
func TestMain(m *testing.M) {
	logging.Disable()                  // the client prints every connection that a test breaks
	_ = flag.Set("test.parallel", "4") // most of these tests wait for servers, whatever the number of processors
	goleak.VerifyTestMain(redistest.Suite{M: m})
}

// countScript notes an operation once: what it returns the second time is what it returned the first time.
var countScript = mustLoad("count", `-- Notes an operation, and counts those that are new.
-- KEYS[1] HASH operation to its number; field "runs" counts the calls
-- ARGV[3] operation
-- ARGV[4] bytes to carry
-- Returns: the operation, its number and how often it was sent so far
-- Flags: none
-- Again: the hash remembers the operation.
local n = redis.call('HGET', KEYS[1], ARGV[3])
if not n then
  n = redis.call('HINCRBY', KEYS[1], 'count', 1)
  redis.call('HSET', KEYS[1], ARGV[3], n)
end
return { ARGV[3], tonumber(n), redis.call('HINCRBY', KEYS[1], 'runs:' .. ARGV[3], 1) }
`)

// readScript changes nothing.
var readScript = mustLoad("read", `-- Reads how many operations were noted.
-- KEYS[1] HASH as in count
-- Returns: the number
-- Flags: no-writes
-- Again: it only reads.
return tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
`)

// drainScript runs while Redis is out of memory.
var drainScript = mustLoad("drain", `-- Forgets an operation.
-- KEYS[1] HASH as in count
-- ARGV[3] operation
-- Returns: 1 or 0
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('HSET', KEYS[1], 'drained', ARGV[3])
return redis.call('HDEL', KEYS[1], ARGV[3])
`)

func mustLoad(name, text string) *engine.Script {
	return engine.MustLoad(fstest.MapFS{"lua/" + name + ".lua": {Data: []byte(text)}}, name)
}

var serial atomic.Int64

// key returns a key that no other test uses.
func key(part string) string {
	n := serial.Add(1)
	return engine.Key(fmt.Sprint("t", n), fmt.Sprint("u", n), part)
}

// open connects, and closes with the test.
func open(tb testing.TB, opt engine.Options) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(opt)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

// count calls countScript and returns the number it gave op.
func count(e *engine.Engine, k, op string) (int64, error) {
	reply, err := e.Do(context.Background(), countScript, []string{k}, op, "")
	if err != nil {
		return 0, err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 3 || list[0] != op {
		return 0, fmt.Errorf("the answer to %q is %v", op, reply)
	}
	return list[1].(int64), nil
}

func mustCount(tb testing.TB, e *engine.Engine, k, op string) int64 {
	tb.Helper()
	n, err := count(e, k, op)
	if err != nil {
		tb.Fatalf("count %q: %v", op, err)
	}
	return n
}

// total returns how many operations a key has noted.
func total(tb testing.TB, e *engine.Engine, k string) int64 {
	tb.Helper()
	reply, err := e.Do(tb.Context(), readScript, []string{k})
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	return reply.(int64)
}

// unsure reports whether err leaves open, or denies, that the call was carried out. These are the two errors that a
// broken Redis may cause.
func unsure(err error) bool {
	return errors.Is(err, engine.ErrUnknown) || errors.Is(err, engine.ErrUnavailable)
}

// limit bounds every wait of these tests.
const limit = 20 * time.Second

// until polls a condition.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
	}
}
