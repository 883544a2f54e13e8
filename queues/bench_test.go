package queues_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

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

func (s *bench) lifecycle(tb testing.TB, q string, batch []queues.Outgoing) {
	ctx := context.Background()
	if _, err := s.SendBatch(ctx, s.tenant, q, batch, false); err != nil {
		tb.Error(err)
	}
	got, err := s.Receive(ctx, s.tenant, q, queues.ReceiveOptions{Max: len(batch)})
	if err != nil {
		tb.Error(err)
	}
	acks := make([]queues.Settlement, len(got))
	for i, m := range got {
		acks[i] = queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
	}
	if _, err := s.Settle(ctx, s.tenant, q, acks); err != nil {
		tb.Error(err)
	}
}

// realClock replaces the store by one on the machine's clock.
func (s *bench) realClock(tb testing.TB) {
	s.open(tb, engine.Options{URL: redistest.URL(tb)}, clock.Real{})
}
