package topics_test

import (
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// BenchmarkPublishToTenQueues publishes batches of ten and waits until all ten queues have got them. One operation is one
// delivered message; CPU/1000 is that of this process and of Redis in milliseconds per thousand delivered ones.
func BenchmarkPublishToTenQueues(b *testing.B) {
	redis := redistest.Start(b, redistest.Options{})
	w := newWorld(b, engine.Options{URL: redis.URL()})
	const fan, together = 10, 10
	tp := w.topic(b, topics.Settings{})
	for i := range fan {
		w.subscribe(b, tp, fmt.Sprint("s", i), topics.SubscriptionSettings{Queue: w.queue(b, "", nil)})
	}
	batch := make([]queues.Outgoing, together)
	for i := range batch {
		batch[i] = queues.Outgoing{Body: make([]byte, 256), ContentType: "application/octet-stream"}
	}
	before := cpu(b, redis)
	b.ResetTimer()
	sent := 0
	for sent*fan < b.N {
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				if _, err := w.PublishBatch(b.Context(), w.tenant, tp, batch, false); err != nil {
					b.Error(err)
				}
			})
			sent += together
		}
		callers.Wait()
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, _, err := w.ListSubscriptions(b.Context(), w.tenant, tp, "", "", fan)
		must(b, err)
		lag := int64(0)
		for _, s := range list {
			lag += s.Lag
		}
		if lag == 0 {
			break
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d messages have not arrived", lag)
		}
	}
	b.StopTimer()
	delivered := float64(sent * fan)
	b.ReportMetric(float64((cpu(b, redis)-before).Microseconds())/delivered, "CPU-ms/1000")
	b.ReportMetric(delivered/b.Elapsed().Seconds(), "delivered/s")
}

// cpu returns what this process and Redis have used so far.
func cpu(tb testing.TB, s *redistest.Server) time.Duration {
	tb.Helper()
	info := s.Client(tb).InfoMap(tb.Context(), "cpu")
	total := time.Duration(0)
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(info.Item("CPU", field), 64)
		must(tb, err)
		total += time.Duration(seconds * float64(time.Second))
	}
	var own syscall.Rusage
	must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return total + time.Duration(own.Utime.Nano()+own.Stime.Nano())
}

// BenchmarkPublishWithSchema publishes messages one by one from many callers, to a topic without a schema and to one with.
func BenchmarkPublishWithSchema(b *testing.B) {
	redis := redistest.Start(b, redistest.Options{})
	w := newWorld(b, engine.Options{URL: redis.URL()})
	const order = `{"type":"object","required":["id","items"],"additionalProperties":false,"properties":{"id":{"type":"string","pattern":"^[a-z0-9-]+$"},
		"total":{"type":"number","minimum":0},"items":{"type":"array","items":{"type":"object","required":["sku"],"properties":{"sku":{"type":"string"},"count":{"type":"integer"}}}}}}`
	body := []byte(`{"id":"order-12345","total":99.5,"items":[{"sku":"lamp","count":2},{"sku":"chair","count":4},{"sku":"table","count":1}]}`)
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			tp := w.topic(b, topics.Settings{})
			if name == "with" {
				w.schema(b, tp, order)
			}
			before := cpu(b, redis)
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := w.Publish(b.Context(), w.tenant, tp, queues.Outgoing{Body: body}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64((cpu(b, redis)-before).Microseconds())/float64(b.N), "CPU-ms/1000")
		})
	}
}
