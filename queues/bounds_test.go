package queues_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// fillScript stores messages as send.lua, receive.lua and time would have left them, ten thousand a call.
const fillScript = `
local head, body, place, side = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local from, n, prefix, record, kind, score = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
for i = from, from + n - 1, 1000 do
  local bodies, ids, scored = {}, {}, {}
  for k = i, i + 999 do
    local id = prefix .. string.char(math.floor(k / 16777216) % 256, math.floor(k / 65536) % 256, math.floor(k / 256) % 256, k % 256)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = record
    ids[#ids + 1] = id
    scored[#scored + 1] = string.format('%.0f', score)
    scored[#scored + 1] = id
  end
  redis.call('HSET', body, unpack(bodies))
  if kind == 'r' then redis.call('RPUSH', place, unpack(ids)) else redis.call('ZADD', place, unpack(scored)) end
end
redis.call('HINCRBY', head, 'in', n)
redis.call('HINCRBY', head, 'by', n * #record)
redis.call('HSET', head, 'mx', math.max(#record, tonumber(redis.call('HGET', head, 'mx') or 0)), 'nd', 0)
`

// fill puts n messages of 100 bytes into one place of a queue: "r" new, "f" in flight, or "d" delayed, with a score.
func (b *bench) fill(t *testing.T, q, place string, n, from int, score int64) {
	t.Helper()
	keys, now := b.Keys(b.tenant, q), b.clock.Now()
	prefix := b.engine.NewID(0)
	record := queues.Stamp(uint64(now.UnixMilli())) + queues.Pack(&queues.Outgoing{Body: []byte(strings.Repeat("x", 100))})
	for i := 0; i < n; i += 10_000 {
		err := b.engine.Single().Eval(t.Context(), fillScript, []string{keys["h"], keys["b"], keys[place], keys["s"]},
			from+i, min(10_000, n-i), string(prefix[:8]), record, place, score).Err()
		if err != nil && err.Error() != "redis: nil" {
			t.Fatal(err)
		}
	}
}

// inFlight returns the score of a first lease that ends at an instant; see lua/lib/index.lua.
func inFlight(end time.Time) int64 { return (end.UnixMilli()-1735689600000)*4096 + 1 }

// Not parallel: it measures time.
func TestG29_NoScriptIsSlow(t *testing.T) {
	const limit = 5 * time.Millisecond
	total := 1_000_000
	if testing.Short() {
		total = 100_000
	}
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	b := newBench(t, engine.Options{URL: s.URL()})
	ctx := t.Context()
	runs, slow, longest := map[string]int{}, map[string]int{}, map[string]time.Duration{}
	count := countScripts(t, s)
	// Only what takes a fifth of a millisecond: to log each command of each script would take longer than they do.
	if err := count.redis.ConfigSet(t.Context(), "slowlog-log-slower-than", "200").Err(); err != nil {
		t.Fatal(err)
	}
	take := func() {
		ran, took := count.durations(t)
		for name, list := range took {
			runs[name] += ran[name]
			for _, d := range list {
				longest[name] = max(longest[name], d)
				if d > limit {
					slow[name]++
				}
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	verbs := func(q string, verb queues.Verb, d time.Duration) []queues.Message {
		t.Helper()
		got := b.receive(t, q, 100)
		list := make([]queues.Settlement, len(got))
		for i, m := range got {
			list[i] = queues.Settlement{Verb: verb, ReceiptHandle: m.ReceiptHandle, For: d}
		}
		b.settle(t, q, list...)
		return got
	}

	began := time.Now()
	q := b.queue(t, func(set *queues.Settings) { set.VisibilityTimeout = time.Hour })
	b.counts(t, q)
	later := b.clock.Now().Add(10 * time.Minute)
	b.fill(t, q, "r", total*8/10, 0, 0)
	b.fill(t, q, "f", total/10, total*8/10, inFlight(later))
	b.fill(t, q, "d", total/10, total*9/10, later.UnixMilli())
	filled := time.Since(began)
	count.reset(t)
	if got, want := b.counts(t, q), [3]int64{int64(total * 8 / 10), int64(total / 10), int64(total / 10)}; got != want {
		t.Fatalf("counts: got %v, want %v", got, want)
	}

	batch := make([]queues.Outgoing, 100)
	for i := range batch {
		batch[i].Body = []byte(strings.Repeat("y", 1000))
	}
	delay := time.Hour
	operate := func() {
		for i := range 20 {
			b.send(t, q, "one")
			b.batch(t, q, true, batch...)
			for k := range batch {
				batch[k].Delay, batch[k].IdempotencyKey = &delay, fmt.Sprint(i, "-", k)
			}
			b.batch(t, q, false, batch...)
			for k := range batch {
				batch[k].Delay, batch[k].IdempotencyKey = nil, ""
			}
			verbs(q, queues.Ack, 0)
			verbs(q, queues.Extend, time.Hour)
			verbs(q, queues.Return, 0)
			verbs(q, queues.Return, time.Hour)
			b.Unreceive(ctx, b.tenant, q, b.receive(t, q, 100))
			for _, state := range []queues.State{"", queues.Available, queues.InFlight, queues.Delayed} {
				page, err := b.Peek(ctx, b.tenant, q, queues.PeekOptions{State: state, Limit: 100})
				must(err)
				page, err = b.Peek(ctx, b.tenant, q, queues.PeekOptions{State: state, Limit: 100, Cursor: page.Next})
				must(err)
				for _, m := range page.Messages[:min(3, len(page.Messages))] {
					_, err := b.Message(ctx, b.tenant, q, m.ID)
					must(err)
					must(b.DeleteMessage(ctx, b.tenant, q, m.ID))
				}
			}
			// Deep into the list and into the ordered sets.
			for view, position := range map[string]string{
				"r": strconv.Itoa(total / 2), "F": strconv.FormatInt(inFlight(later)-1, 10), "D": strconv.FormatInt(later.UnixMilli(), 10),
			} {
				_, err := b.Peek(ctx, b.tenant, q, queues.PeekOptions{Limit: 100, Cursor: queues.Cursor(view, position)})
				must(err)
			}
			b.counts(t, q)
			_, err := b.Update(ctx, b.tenant, q, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
				set.MaxMessageSize--
				return set, nil
			})
			must(err)
			_, _, err = b.List(ctx, b.tenant, "", "", 10)
			must(err)
		}
	}
	operate()
	take()
	b.clock.Advance(10 * time.Minute) // a fifth of all becomes due at once
	operate()
	take()
	// Retention ends nearly all of them.
	_, err := b.Update(ctx, b.tenant, q, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
		set.Retention = time.Minute
		return set, nil
	})
	must(err)
	for range 20 {
		b.receive(t, q, 100)
		b.counts(t, q)
	}
	take()
	for try := 1; ; try++ {
		n, err := b.Purge(ctx, b.tenant, q)
		must(err)
		_, took := count.durations(t)
		once := slices.Max(append(took["purge"], 0))
		longest["purge"] = max(longest["purge"], once)
		if once <= limit {
			t.Logf("purge of %d messages: below %s", n, limit)
			break
		}
		if try == 3 {
			t.Errorf("a purge of %d messages took %s, three times", n, once)
			break
		}
		b.fill(t, q, "r", total, 0, 0)
		count.reset(t)
	}
	b.healthy(t, q)
	b.fill(t, q, "r", 100_000, 0, 0)
	must(b.Delete(ctx, b.tenant, q, queues.Condition{}))
	take()

	names := []string{"purge"}
	for name := range runs {
		if slices.Contains(slices.Collect(maps.Values(count.names)), name) && name != "purge" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(longest[b] - longest[a]) })
	var figures strings.Builder
	for _, name := range names {
		fmt.Fprintf(&figures, " %s %.2f", name, float64(longest[name].Microseconds())/1000)
		// The time includes what else the machine does meanwhile, so only the middle of the runs judges the script.
		if slow[name] >= 3 && slow[name]*2 > runs[name] {
			t.Errorf("%s took more than %s in %d of its %d slower runs, %s at most", name, limit, slow[name], runs[name], longest[name])
		}
	}
	t.Logf("G29: %d messages (filled in %s); max ms per script (others below 0.2):%s; all in %s", total, filled.Round(time.Millisecond), figures.String(), time.Since(began).Round(time.Millisecond))
}

// durations returns how often each script ran since the last call and how long each run took.
func (c scripts) durations(t *testing.T) (map[string]int, map[string][]time.Duration) {
	t.Helper()
	log, err := c.redis.SlowLogGet(t.Context(), -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	c.reset(t)
	ran, took := map[string]int{}, map[string][]time.Duration{}
	for _, e := range log {
		name := strings.ToLower(e.Args[0])
		if name == "evalsha" {
			if name = c.names[e.Args[1]]; name == "" {
				name = "other"
			}
		}
		ran[name]++
		took[name] = append(took[name], e.Duration)
	}
	return ran, took
}

// However much has become due or is over, one script deals with a hundred of it.
func TestG29_NoScriptTouchesMoreThanAHundred(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const n = 1000
		keys := func(q string) map[string]string { return b.Keys(b.tenant, q) }
		stored := func(q string) int64 { return b.engine.Single().HLen(t.Context(), keys(q)["b"]).Val() - 1 }
		q := b.queue(t, func(set *queues.Settings) { set.Retention = time.Hour })
		b.send(t, q, "first")
		b.settleAll(t, q)
		soon := b.clock.Now().Add(time.Minute)
		b.fill(t, q, "f", n, 0, inFlight(soon))
		b.fill(t, q, "d", n, n, soon.UnixMilli())
		b.clock.Advance(time.Minute)
		r := b.engine.Single()
		left := func() int64 {
			return r.ZCard(t.Context(), keys(q)["f"]).Val() + r.ZCard(t.Context(), keys(q)["d"]).Val() - 2
		}
		before := left()
		b.receive(t, q, 1)
		if moved := before - left() + 1; moved != 100 { // the one that was received is in flight again
			t.Errorf("a receive moved %d of what was due, want 100", moved)
		}
		// A receive that finds nothing but what is over asks again, a hundred at a time, until it finds something.
		q = b.queue(t, func(set *queues.Settings) { set.Retention = time.Hour })
		b.send(t, q, "first")
		b.settleAll(t, q)
		b.fill(t, q, "r", n, 0, 0)
		b.clock.Advance(time.Hour)
		b.send(t, q, "alive")
		if got := b.receive(t, q, 10); len(got) != 1 || got[0].Body != "alive" {
			t.Errorf("behind %d messages that are over: received %q", n, bodies(got))
		}
		if got := stored(q); got != 1 {
			t.Errorf("%d messages are stored, want 1", got)
		}
		b.healthy(t, q)
	})
}
