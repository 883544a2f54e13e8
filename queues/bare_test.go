package queues

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// BenchmarkBareAndStore measures what Redis spends on the scripts alone, driven in pipelines with batches of ten, and
// what it spends on the same work of 64 callers of the store: the ratio is the price of everything around the scripts.
// One operation is one message sent, received and acknowledged; "redis-ms/1000" is the CPU time of Redis.
func BenchmarkBareAndStore(b *testing.B) {
	client, s, t := bareStore(b)
	body := bytes.Repeat([]byte("x"), 256)
	const batch, workers = 10, 64

	b.Run("bare", func(b *testing.B) {
		d := benchDesk(b, s, t.ID, "bare")
		shas := bareScripts(b, client)
		before := redisCPU(b, client)
		for n := 0; n < b.N; {
			n += bareLifecycles(b, client, shas, d, body, batch, min(16, (b.N-n+batch-1)/batch))
		}
		b.ReportMetric((redisCPU(b, client)-before)*1e6/float64(b.N), "redis-ms/1000")
	})
	b.Run("store", func(b *testing.B) {
		benchDesk(b, s, t.ID, "store")
		before := redisCPU(b, client)
		var left atomic.Int64
		left.Store(int64(b.N))
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for left.Add(-batch) > -batch {
					storeLifecycle(b, s, t.ID, "store", body, batch)
				}
			})
		}
		wg.Wait()
		b.ReportMetric((redisCPU(b, client)-before)*1e6/float64(b.N), "redis-ms/1000")
	})
}

// What is measured is what is done: the arguments of the scripts are those that the store gives them.
func TestTheScriptsRunBare(t *testing.T) {
	t.Parallel()
	client, s, tn := bareStore(t)
	d := benchDesk(t, s, tn.ID, "bare")
	bareLifecycles(t, client, bareScripts(t, client), d, []byte("m"), 10, 2)
	st, err := s.Stats(t.Context(), tn.ID, "bare")
	if err != nil || st.Sent != 20 || st.Deleted != 20 {
		t.Errorf("%+v and %v, want 20 messages sent and deleted", st, err)
	}
}

func bareStore(tb testing.TB) (*redis.Client, *Store, tenants.Tenant) {
	tb.Helper()
	server := redistest.Start(tb, redistest.Options{Fsync: "always"})
	e, err := engine.Open(engine.Options{URL: server.URL()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	t, _, err := tenants.New(e, clock.Real{}).Put(tb.Context(), "bare", tenants.Settings{}, tenants.Condition{})
	if err != nil {
		tb.Fatal(err)
	}
	return server.Client(tb), New(Config{Engine: e, ReceiptKey: bytes.Repeat([]byte("k"), 32)}), t
}

func bareScripts(tb testing.TB, client *redis.Client) map[*engine.Script]string {
	shas := map[*engine.Script]string{}
	for _, script := range []*engine.Script{sendScript, receiveScript, settleScript} {
		shas[script] = client.ScriptLoad(tb.Context(), script.Text()).Val()
	}
	return shas
}

func benchDesk(b testing.TB, s *Store, t tenants.ID, name string) *desk {
	b.Helper()
	if _, _, err := s.Put(b.Context(), t, name, DefaultSettings(), Condition{}); err != nil {
		b.Fatal(err)
	}
	d, err := s.desk(b.Context(), t, name)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// bareLifecycles runs calls lifecycles of batch messages each, in three pipelines, and returns how many messages.
func bareLifecycles(b testing.TB, client *redis.Client, shas map[*engine.Script]string, d *desk, body []byte, batch, calls int) int {
	b.Helper()
	ctx := context.Background()
	c := d.config.Load()
	run := func(script *engine.Script, args func(i int) []any) []*redis.Cmd {
		pipe := client.Pipeline()
		out := make([]*redis.Cmd, calls)
		for i := range calls {
			ln := <-d.others
			ln.seq = d.store.calls.Add(1)
			list := []any{"evalsha", shas[script], len(d.keys)}
			for _, k := range d.keys {
				list = append(list, k)
			}
			list = append(list, 0, time.Now().UnixMilli(), c.version, ln.field, ln.seq)
			d.others <- ln
			out[i] = pipe.Do(ctx, append(list, args(i)...)...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			b.Fatal(err)
		}
		return out
	}
	run(sendScript, func(int) []any {
		args := []any{"0", dedupWindow.Milliseconds(), 0, maxDedupKeys, 0, "", "", ""}
		for range batch {
			id := d.store.engine.NewID(0)
			args = append(args, id[:], appendRecord(nil, &Outgoing{Body: body}, nil))
		}
		return args
	})
	got := run(receiveScript, func(int) []any {
		return []any{c.Retention.Milliseconds(), c.VisibilityTimeout.Milliseconds(), "0", "", dedupWindow.Milliseconds(), 0, batch, 30000}
	})
	run(settleScript, func(i int) []any {
		args := []any{"0"}
		reply, _ := got[i].Slice()
		for k := 2; k < len(reply); k += 2 {
			args = append(args, "a"+reply[k].(string)[:engine.IDSize]+string([]byte{0, byte(len(reply[k+1].(string)) >> 8), byte(len(reply[k+1].(string)))})+"1")
		}
		return args
	})
	return calls * batch
}

func storeLifecycle(b *testing.B, s *Store, t tenants.ID, queue string, body []byte, n int) {
	b.Helper()
	ctx := context.Background()
	batch := make([]Outgoing, n)
	for i := range batch {
		batch[i].Body = body
	}
	if _, err := s.SendBatch(ctx, t, queue, batch, false); err != nil {
		b.Error(err)
	}
	got, err := s.Receive(ctx, t, queue, ReceiveOptions{Max: n})
	if err != nil {
		b.Error(err)
	}
	acks := make([]Settlement, len(got))
	for i, m := range got {
		acks[i] = Settlement{Verb: Ack, ReceiptHandle: m.ReceiptHandle}
	}
	if _, err := s.Settle(ctx, t, queue, acks); err != nil {
		b.Error(err)
	}
}

// redisCPU returns the seconds of CPU that the server has used.
func redisCPU(b *testing.B, client *redis.Client) float64 {
	b.Helper()
	info, err := client.Info(context.Background(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	total := 0.0
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(fmt.Errorf("read %s: %w", line, err))
			}
			total += v
		}
	}
	return total
}
