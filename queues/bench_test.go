package queues_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// BenchmarkLifecycle sends, receives and acknowledges through the store, without HTTP. One operation is one message.
func BenchmarkLifecycle(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		for _, n := range []int{1, 10} {
			b.Run(fmt.Sprintf("workers=%d/batch=%d", workers, n), func(b *testing.B) {
				s := newBench(b, engine.Options{URL: redistest.URL(b)})
				s.realClock(b)
				q := s.queue(b, nil)
				body := bytes.Repeat([]byte("x"), 256)
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						batch := make([]queues.Outgoing, n)
						for i := range batch {
							batch[i].Body = body
						}
						for left.Add(-int64(n)) > int64(-n) {
							s.lifecycle(b, q, batch)
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func (b *bench) lifecycle(tb testing.TB, q string, batch []queues.Outgoing) {
	ctx := context.Background()
	if _, err := b.SendBatch(ctx, b.tenant, q, batch, false); err != nil {
		tb.Error(err)
	}
	got, err := b.Receive(ctx, b.tenant, q, queues.ReceiveOptions{Max: len(batch)})
	if err != nil {
		tb.Error(err)
	}
	acks := make([]queues.Settlement, len(got))
	for i, m := range got {
		acks[i] = queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
	}
	if _, err := b.Settle(ctx, b.tenant, q, acks); err != nil {
		tb.Error(err)
	}
}

// BenchmarkTimelines is the life of messages in a queue that keeps timelines, and in one that does not: "redis-ms/1000" is
// the CPU time that Redis spends on a thousand messages, and "bytes" what a timeline takes of its memory.
func BenchmarkTimelines(b *testing.B) {
	for _, keep := range []time.Duration{0, time.Hour} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("keep=%s/batch=%d", keep, size), func(b *testing.B) {
				server := redistest.Start(b, redistest.Options{NoAOF: true})
				s := serve(b, engine.Options{URL: server.URL()})
				q := s.queue(b, func(set *queues.Settings) { set.TraceRetention = keep })
				batch := make([]queues.Outgoing, size)
				for i := range batch {
					batch[i].Body = bytes.Repeat([]byte("x"), 256)
				}
				s.lifecycle(b, q, batch)
				memory := usedMemory(b, server)
				cpu := redisTime(b, server)
				b.ReportAllocs()
				b.ResetTimer()
				for n := 0; n < b.N; n += size {
					s.lifecycle(b, q, batch)
				}
				b.StopTimer()
				b.ReportMetric((redisTime(b, server)-cpu)*1e6/float64(b.N), "redis-ms/1000")
				b.ReportMetric(float64(usedMemory(b, server)-memory)/float64(b.N), "bytes")
			})
		}
	}
}

// usedMemory returns how many bytes of memory a Redis has in use.
func usedMemory(tb testing.TB, s *redistest.Server) int64 {
	tb.Helper()
	n, err := strconv.ParseInt(s.Client(tb).InfoMap(tb.Context(), "memory").Item("Memory", "used_memory"), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// realClock replaces the store by one on the machine's clock.
func (b *bench) realClock(tb testing.TB) {
	b.open(tb, engine.Options{URL: redistest.URL(tb)}, clock.Real{})
}

// BenchmarkShards is the life of messages in a queue spread over a Cluster of three masters: "busiest-%" is which part of the
// CPU time of Redis the busiest of them spends, and "redis-ms/1000" what all of them spend on a thousand messages.
func BenchmarkShards(b *testing.B) {
	c := redistest.Cluster(b, 3, 0)
	for _, shards := range []int{1, 3, 6, 24} {
		b.Run(fmt.Sprint("shards=", shards), func(b *testing.B) {
			s := serve(b, engine.Options{URL: clusterURL(c)})
			q := s.sharded(b, shards)
			batch := make([]queues.Outgoing, 10)
			for i := range batch {
				batch[i].Body = bytes.Repeat([]byte("x"), 256)
			}
			cpu := func() (each []float64) {
				for _, n := range c.Nodes {
					each = append(each, redisTime(b, n))
				}
				return each
			}
			before := cpu()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for left.Add(-10) > -10 {
						s.lifecycle(b, q, batch)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all, most := 0.0, 0.0
			for i, spent := range cpu() {
				all += spent - before[i]
				most = max(most, spent-before[i])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(100*most/all, "busiest-%")
			b.ReportMetric(all*1e6/float64(b.N), "redis-ms/1000")
		})
	}
}

// redisTime returns how much CPU time a Redis has spent, in seconds.
func redisTime(tb testing.TB, s *redistest.Server) float64 {
	tb.Helper()
	info := s.Client(tb).InfoMap(tb.Context(), "cpu").Item("CPU", "used_cpu_user")
	system := s.Client(tb).InfoMap(tb.Context(), "cpu").Item("CPU", "used_cpu_sys")
	var user, sys float64
	_, err := fmt.Sscan(info+" "+system, &user, &sys)
	if err != nil {
		tb.Fatal(err)
	}
	return user + sys
}
