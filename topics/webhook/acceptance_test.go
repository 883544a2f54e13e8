package webhook_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// Tests of the acceptance of webhooks that print a figure; scaled says at which size.

// onRedis makes a world on a Redis of its own, for what is measured there.
func onRedis(tb testing.TB) (*world, *redistest.Server) {
	tb.Helper()
	redis := redistest.Start(tb, redistest.Options{})
	return newWorld(tb, engine.Options{URL: redis.URL()}), redis
}

// Three servers, and an endpoint that takes 10 of its 15 seconds for each message: nobody sends what another is sending.
func TestA5_AMessageIsNeverSentTwiceAtTheSameTime(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		w.another(t)
		w.another(t)
		tp := w.topic(t, "", topics.Settings{})
		var mu sync.Mutex
		under, most, hanging := map[string]int{}, 0, 0
		release := make(chan struct{})
		rc := newReceiver(t, func(r received, _ http.ResponseWriter) {
			mu.Lock()
			id, wait := r.header.Get("Webhook-Id"), release
			under[id]++
			hanging++
			most = max(most, under[id])
			mu.Unlock()
			<-wait
			mu.Lock()
			under[id]--
			hanging--
			mu.Unlock()
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Timeout: webhook.MaxTimeout})
		w.publish(t, tp, numbered(10)...)
		for w.status(t, way).Delivered < 10 {
			w.slowly(t, "some are being sent", func() bool {
				s := w.status(t, way)
				mu.Lock()
				defer mu.Unlock()
				return hanging > 0 && s.Sending == int64(hanging) || s.Delivered == 10 // what came before is noted
			})
			w.clock.Advance(10 * time.Second)
			time.Sleep(5 * time.Millisecond) // for whoever would send it a second time
			mu.Lock()
			close(release)
			release = make(chan struct{})
			mu.Unlock()
		}
		t.Logf("%d requests for 10 messages, %d at the same time for one", rc.count(), most)
		if rc.count() != 10 || most != 1 {
			t.Errorf("%d requests, %d at the same time for one message", rc.count(), most)
		}
	})
}

// Answers of 5 MiB, or of 40 MiB that were compressed, or with too many headers. Each attempt ends, what was a success
// is settled once, and nothing of it stays in memory.
func TestA7_BombsCostNothing(t *testing.T) {
	const bombs = 1_000 // as many as are asked for
	w, _ := onRedis(t)
	tp := w.topic(t, "", topics.Settings{})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 40<<20))
	_ = z.Close()
	large := make([]byte, 5<<20)
	rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
		switch r.path {
		case "/large":
			_, _ = rw.Write(large)
		case "/packed":
			rw.Header().Set("Content-Encoding", "gzip")
			_, _ = rw.Write(packed.Bytes())
		default:
			for i := range 1000 {
				rw.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		}
	})
	w.publish(t, tp, "warm up")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	var ways []topics.Way
	for _, name := range []string{"large", "packed"} {
		ways = append(ways, w.hook(t, tp, name, webhook.Endpoint{URL: rc.URL + "/" + name, MaxInFlight: 32}))
	}
	headers := w.hook(t, tp, "headers", webhook.Endpoint{URL: rc.URL + "/headers", Retries: []time.Duration{}})
	for n := int64(100); n <= bombs/2; n += 100 {
		w.publish(t, tp, numbered(100)...)
		for _, way := range ways {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == n && s.Attempts == n && s.Pending == 0 })
		}
	}
	w.reaches(t, headers, "its breaker opens", func(s webhook.Status) bool { return s.Gate == webhook.Tripped && s.Sending == 0 })
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 10
	t.Logf("%d bombs in %v: the heap grew by %d KiB", bombs, took, grown)
	if grown > 5<<10 {
		t.Errorf("the heap grew by %d KiB", grown)
	}
	all, _, err := w.Attempts(t.Context(), headers, 0, 1, nil)
	must(t, err)
	if all[0].Code != "response_too_large" {
		t.Errorf("too many headers: %+v", all[0])
	}
}

// 429 with Retry-After: 120 holds for all that waits.
func TestA10_ABacklogWaitsAsLongAsItsEndpointAsks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		backlog := w.scaled(1_000, 50_000)
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
			rw.Header().Set("Retry-After", "120")
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, "first")
		w.reaches(t, way, "peace", func(s webhook.Status) bool { return s.Gate == webhook.Throttled && s.Sending == 0 })
		for range backlog / 100 {
			w.publish(t, tp, numbered(100)...)
		}
		w.reaches(t, way, "all waits", func(s webhook.Status) bool { return s.Pending == int64(backlog)+1 })
		for range 118 {
			w.clock.Advance(time.Second)
			time.Sleep(time.Millisecond)
		}
		t.Logf("%d requests of %d messages in 118 s", rc.count(), backlog+1)
		if rc.count() != 1 {
			t.Errorf("%d requests before the time", rc.count())
		}
		rc.set(nil)
		w.forward(t, 10*time.Minute, "it goes on", func() bool { return w.status(t, way).Delivered > 0 })
	})
}

// Webhooks that have nothing to send cost nothing.
func TestA20_IdleWebhooksCostNothing(t *testing.T) {
	const minutes, each = 10, 100 // webhooks of a topic
	hooks := scaled(200, 100_000)
	w, redis := onRedis(t)
	rc := newReceiver(t, nil)
	var ways []topics.Way
	tp := ""
	for i := range hooks {
		if i%each == 0 {
			tp = w.topic(t, "", topics.Settings{})
		}
		ways = append(ways, w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL}))
		if i%each == each-1 {
			w.publish(t, tp, "one")
		}
	}
	for _, way := range ways {
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
	}
	w.forward(t, 5*time.Minute, "all is at rest", func() bool { return w.kept(t, tp) == 0 })
	calls := func() int64 {
		n := int64(0)
		for _, one := range redis.Client(t).InfoMap(t.Context(), "commandstats").Item("Commandstats", "cmdstat_evalsha")[len("calls="):] {
			if one < '0' || one > '9' {
				break
			}
			n = n*10 + int64(one-'0')
		}
		return n
	}
	goroutines := runtime.NumGoroutine()
	before := calls()
	for range minutes * 60 {
		w.clock.Advance(time.Second)
		time.Sleep(time.Millisecond)
	}
	rate := float64(calls()-before) / (minutes * 60)
	t.Logf("%d idle webhooks: %.1f script calls a second, %d goroutines", hooks, rate, goroutines)
	if rate > 20 { // what 64 shards and a server cost, whatever the number of webhooks
		t.Errorf("%.1f script calls a second", rate)
	}
	if most := 100 + 2*webhook.Host; goroutines > most { // connections to the one host, not webhooks
		t.Errorf("%d goroutines, want at most %d", goroutines, most)
	}
}

// After many deliveries all is as before: goroutines, open files, and what Redis stores.
func TestA22_DeliveriesLeaveNothingBehind(t *testing.T) {
	deliveries := scaled(2_000, 1_000_000)
	w, redis := onRedis(t)
	tp := w.topic(t, "", topics.Settings{})
	url := sink(t, func(*http.Request) {})
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: url, MaxInFlight: webhook.MaxMaxInFlight})
	empty := w.stored(t, way)
	client := redis.Client(t) // one for all looks: each would leave a connection behind
	state := func() (goroutines, files int, keys, memory int64) {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		n, err := client.DBSize(t.Context()).Result()
		must(t, err)
		used, err := strconv.ParseInt(client.InfoMap(t.Context(), "memory").Item("Memory", "used_memory"), 10, 64)
		must(t, err)
		return runtime.NumGoroutine(), len(list), n, used
	}
	send := func(n int) {
		for ; n > 0; n -= 5_000 { // Redis does not soon give back what room there was for a long log
			part := min(n, 5_000)
			want := w.status(t, way).Delivered + int64(part)
			for range part / 100 {
				w.publish(t, tp, numbered(100)...)
			}
			w.slowly(t, "all is delivered", func() bool {
				s := w.status(t, way)
				return s.Delivered == want && s.Bytes == 0
			})
		}
		w.slowly(t, "the log is free", func() bool { return w.stored(t, way) == empty })
	}
	send(1_000) // the log of attempts is full, and connections are there
	goroutines, files, keys, memory := state()
	send(deliveries)
	var nowGoroutines, nowFiles int
	var nowKeys, nowMemory int64
	until(t, "all is as before", func() bool {
		nowGoroutines, nowFiles, nowKeys, nowMemory = state()
		return nowGoroutines <= goroutines+8 && nowFiles <= files+8 && nowKeys <= keys && nowMemory <= memory+1<<20 // buffers of connections
	})
	t.Logf("%d deliveries: goroutines %d to %d, files %d to %d, keys %d to %d, memory of Redis %d to %d KiB",
		deliveries, goroutines, nowGoroutines, files, nowFiles, keys, nowKeys, memory>>10, nowMemory>>10)
}
