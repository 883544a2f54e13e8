package webhook_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// sink is an endpoint that costs little: it answers 204 to whatever comes.
func sink(tb testing.TB, came func(*http.Request)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					came(req)
					if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// BenchmarkPublishToAHundredWebhooks publishes batches of ten and waits until all hundred endpoints have got them. One
// operation is one delivered message; CPU/1000 is that of this process, the endpoints in it, and of Redis, in
// milliseconds per thousand delivered ones. p50 is the time from the answer to a single publish to its arrivals.
func BenchmarkPublishToAHundredWebhooks(b *testing.B) {
	redis := redistest.Start(b, redistest.Options{})
	keys, err := keyring.New(nil)
	must(b, err)
	w := &world{opt: engine.Options{URL: redis.URL()}, keys: keys, policy: policy}
	w.open(b)
	w.tenant = w.newTenant(b)
	const fan, together = 100, 10
	tp := w.topic(b, "", topics.Settings{})
	var came atomic.Int64
	var mu sync.Mutex
	var arrivals []time.Time
	single := atomic.Bool{}
	for i := range fan {
		url := sink(b, func(*http.Request) {
			came.Add(1)
			if single.Load() {
				mu.Lock()
				arrivals = append(arrivals, time.Now())
				mu.Unlock()
			}
		})
		w.hook(b, tp, fmt.Sprint("s", i), webhook.Endpoint{URL: url})
	}
	batch := make([]queues.Outgoing, together)
	for i := range batch {
		batch[i] = queues.Outgoing{Body: make([]byte, 1024), ContentType: "application/octet-stream"}
	}
	w.publish(b, tp, "warm up")
	until(b, "the first arrives", func() bool { return came.Load() == fan })
	before := cpu(b, redis)
	b.ResetTimer()
	sent := 0
	for sent*fan < b.N {
		_, err := w.topics.PublishBatch(b.Context(), w.tenant, tp, batch, false)
		must(b, err)
		sent += together
	}
	for deadline := time.Now().Add(5 * time.Minute); came.Load() < int64(sent*fan+fan); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d have arrived", came.Load(), sent*fan+fan)
		}
	}
	b.StopTimer()
	delivered := float64(sent * fan)
	b.ReportMetric(float64((cpu(b, redis)-before).Microseconds())/delivered, "CPU-ms/1000")
	b.ReportMetric(delivered/b.Elapsed().Seconds(), "delivered/s")

	time.Sleep(200 * time.Millisecond) // what is under way is noted
	single.Store(true)
	var waits []time.Duration
	for range 20 {
		mu.Lock()
		arrivals = nil
		mu.Unlock()
		n := came.Load()
		w.publish(b, tp, "one")
		answered := time.Now()
		until(b, "it arrives", func() bool { return came.Load() == n+fan })
		mu.Lock()
		for _, at := range arrivals {
			waits = append(waits, at.Sub(answered))
		}
		mu.Unlock()
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
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
