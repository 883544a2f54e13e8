package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/server/servertest"
	"github.com/sluicemq/sluice/tenants"
)

// goal says when a run with faults has seen enough: both numbers, or the limit.
type goal struct {
	kills int64
	acked int64
	limit time.Duration
}

// goalFor returns the goal of a full run, or a small one with -short.
func goalFor(kills, acked int64) goal {
	if testing.Short() {
		return goal{2, 200, time.Minute}
	}
	return goal{kills, acked, 6 * time.Minute}
}

// reached waits until the goal is reached.
func (g goal) reached(tb testing.TB, kills *atomic.Int64, l *load) {
	tb.Helper()
	begin := time.Now()
	for kills.Load() < g.kills || l.acked.Load() < g.acked {
		if time.Since(begin) > g.limit {
			tb.Errorf("after %s only %d of %d kills and %d of %d confirmed sends", g.limit, kills.Load(), g.kills, l.acked.Load(), g.acked)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// between returns a random time, from the run's seed.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// seeded returns a source of chance whose seed is printed. SLUICE_TEST_REDIS_SEED repeats a run's schedule.
func seeded(tb testing.TB, number uint64) *rand.Rand {
	tb.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLUICE_TEST_REDIS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, number))
}

func TestG1a_NothingIsLostWhenServersAreKilled(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	env := []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL(), "SLUICE_LOG_REQUESTS=false"}
	var processes []*servertest.Process
	var urls []string
	for range 2 {
		p := servertest.StartProcess(t, servertest.ProcessOptions{Env: env})
		p.WaitReady()
		processes, urls = append(processes, p), append(urls, p.URL)
	}
	l := startLoad(t, processes[0].Key, urls, loadOptions{producers: 8, consumers: 6, pause: 10 * time.Millisecond})
	var kills, terms atomic.Int64
	over := make(chan struct{})
	var killers sync.WaitGroup
	for i, p := range processes {
		chance := seeded(t, uint64(i))
		killers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(between(chance, 500*time.Millisecond, 2*time.Second)):
				}
				if chance.IntN(5) == 0 { // told to stop, and killed while it does
					p.Signal(syscall.SIGTERM)
					time.Sleep(between(chance, 0, 50*time.Millisecond))
					terms.Add(1)
				}
				p.Kill9()
				kills.Add(1)
				p.Restart()
			}
		})
	}
	begin := time.Now()
	goalFor(20, 10_000).reached(t, &kills, l)
	took := time.Since(begin)
	close(over)
	killers.Wait()
	for _, p := range processes {
		p.WaitReady()
	}
	l.rest = func() { recount(t, redis.URL(), urls[0], processes[0].Key, l.queue) }
	l.check(fmt.Sprintf("%d kills of 2 servers (%d while they stopped) in %s", kills.Load(), terms.Load(), took.Round(time.Second)))
	for _, p := range processes {
		noFaultsInLog(t, p.Log())
	}
}

// noFaultsInLog fails the test when a server found damage or panicked.
func noFaultsInLog(tb testing.TB, log string) {
	tb.Helper()
	for line := range strings.Lines(log) {
		for _, word := range []string{"panic", "goroutine ", `"outcome":"broken"`, "DATA RACE", "data_lost", "is missing"} {
			if strings.Contains(line, word) {
				tb.Errorf("in the log: %.500s", line)
				return
			}
		}
	}
}

// recount reads a queue's keys in Redis and fails the test unless they keep to their rules and the API says the same.
func recount(tb testing.TB, redisURL, url, key, queue string) {
	tb.Helper()
	e, err := engine.Open(engine.Options{URL: redisURL})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tenant, err := tenants.New(e, clock.Real{}).Get(tb.Context(), tenants.Default)
	if err != nil {
		tb.Fatal(err)
	}
	store := queues.New(queues.Config{Engine: e, ReceiptKey: make([]byte, 32)})
	// What clients gave up may still be on its way, so this is repeated until nothing moves.
	var r queues.Report
	same := func() bool {
		api := queueCounts(tb, url, key, queue) // first: it also tidies up, which is use
		if r, err = store.Check(tb.Context(), tenant.ID, queue); err != nil {
			tb.Fatal(err)
		}
		// A lease may end between the two.
		return !r.Used && len(r.Violations) == 0 && int64(api.Available+api.InFlight+api.Delayed) == r.Available+r.InFlight+r.Delayed
	}
	begin := time.Now()
	for !same() {
		if time.Since(begin) > 10*time.Second {
			tb.Errorf("the API counts %+v; in the keys there are available %d, in flight %d, delayed %d, used %t, violations %q",
				queueCounts(tb, url, key, queue), r.Available, r.InFlight, r.Delayed, r.Used, r.Violations)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	tb.Logf("recount: available %d, in flight %d, delayed %d, violations 0", r.Available, r.InFlight, r.Delayed)
}

// furniture is what a tenant has besides messages: it must be there after any fault.
type furniture struct {
	url, key, operator string
	queue              string
	settings           string
	tenantKey          string
}

func furnish(tb testing.TB, url, key, operator string) furniture {
	tb.Helper()
	f := furniture{url: url, key: key, operator: operator}
	f.queue = newQueue(tb, url, key, `{"visibility_timeout":77,"message_retention":7777,"delay":7,"receive_wait":3,"max_message_size":7777,"labels":{"a":"b"}}`)
	f.settings = f.read(tb)
	must(tb, http.StatusCreated, nil, http.MethodPut, url+"/v1/tenants/furnished", operator, "")
	var made struct{ Key string }
	must(tb, http.StatusCreated, &made, http.MethodPost, url+"/v1/tenants/furnished/keys", operator, `{"name":"one"}`)
	f.tenantKey = made.Key
	must(tb, http.StatusCreated, nil, http.MethodPut, url+"/v1/queues/theirs", f.tenantKey, "")
	must(tb, http.StatusCreated, nil, http.MethodPost, url+"/v1/queues/theirs/messages", f.tenantKey, "one message")
	return f
}

// read returns the settings of the queue as the API shows them.
func (f furniture) read(tb testing.TB) string {
	tb.Helper()
	return must(tb, http.StatusOK, nil, http.MethodGet, f.url+"/v1/queues/"+f.queue, f.key, "").body
}

// check looks whether everything is as it was.
func (f furniture) check(tb testing.TB) {
	tb.Helper()
	if got := f.read(tb); got != f.settings {
		tb.Errorf("the settings of a queue: got %s, want %s", got, f.settings)
	}
	if got := queueCounts(tb, f.url, f.tenantKey, "theirs"); got != (counts{Available: 1}) {
		tb.Errorf("another tenant's queue has %+v, want one message", got)
	}
	for _, a := range []answer{
		call(tb, http.MethodGet, f.url+"/v1/tenants/furnished", f.operator, ""),
		call(tb, http.MethodGet, f.url+"/v1/whoami", f.tenantKey, ""),
	} {
		if a.status != http.StatusOK {
			tb.Errorf("a tenant or its key: %s", a)
		}
	}
}

// killRedis kills and restarts a Redis every one to three seconds under load from two servers until the goal is
// reached, and returns the load and the times of the kills.
func killRedis(t *testing.T, fsync string, g goal) (*load, []time.Time) {
	t.Helper()
	return killRedisUnder(t, fsync, g, loadOptions{producers: 8, consumers: 4, pause: 10 * time.Millisecond})
}

// killRedisUnder is killRedis with a load of the caller's choice.
func killRedisUnder(t *testing.T, fsync string, g goal, opt loadOptions) (*load, []time.Time) {
	t.Helper()
	redis := redistest.Start(t, redistest.Options{Fsync: fsync})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	f := furnish(t, a.URL(), a.Key, a.OperatorKey)
	l := startLoad(t, a.Key, []string{a.URL(), b.URL()}, opt)
	chance := seeded(t, 0)
	var kills atomic.Int64
	var at []time.Time
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(between(chance, time.Second, 3*time.Second)):
			}
			redis.Kill9()
			at = append(at, time.Now())
			time.Sleep(between(chance, 0, 300*time.Millisecond))
			redis.Restart()
			kills.Add(1)
		}
	}()
	g.reached(t, &kills, l)
	close(over)
	<-done
	until(t, "both servers are ready", func() bool { return isReady(a.URL()) && isReady(b.URL()) })
	f.check(t)
	noFaultsInLog(t, a.Log.String())
	noFaultsInLog(t, b.Log.String())
	l.rest = func() { recount(t, redis.URL(), a.URL(), a.Key, l.queue) }
	return l, at
}

func TestG18_CountsEqualARecountAfterFaults(t *testing.T) {
	t.Parallel()
	l, kills := killRedis(t, "always", goalFor(3, 1_000))
	l.check(fmt.Sprintf("%d kills of Redis", len(kills)))
}

func TestG1b_NothingIsLostWhenRedisIsKilled(t *testing.T) {
	t.Parallel()
	l, kills := killRedis(t, "always", goalFor(10, 2_000))
	l.check(fmt.Sprintf("%d kills of Redis, level fsync", len(kills)))
}

// Without a sync before each answer Redis holds back even the write while a sync is under way, so a kill at that moment
// loses what was confirmed meanwhile. The documentation says so; this keeps it true.
func TestG1b_AtEverysecAKillLosesOnlyTheLastTwoSeconds(t *testing.T) {
	t.Parallel()
	l, kills := killRedis(t, "everysec", goalFor(5, 2_000))
	r := l.print(fmt.Sprintf("%d kills of Redis, level everysec", len(kills)))
	const window = 2500 * time.Millisecond // two seconds, and how long an answer takes to be noted
	oldest := time.Duration(0)
	for _, e := range r.gone {
		age := time.Duration(-1)
		for _, k := range kills { // the answer to what was sent before a kill may be noted after it
			if k.After(e.begun) && (age < 0 || k.Sub(e.at) < age) {
				age = max(k.Sub(e.at), 0)
			}
		}
		if age < 0 || age > window {
			t.Errorf("a message was lost that was sent at %s and confirmed at %s, and the kills were at %s", e.begun, e.at, kills)
		}
		oldest = max(oldest, age)
	}
	t.Logf("lost %d of %d confirmed sends, the oldest of them %s before a kill", r.lost, r.acked, oldest.Round(time.Millisecond))
	if r.leaked+r.strays+r.copies > 0 {
		t.Errorf("leaked %d, strays %d, copies %d; for example %s", r.leaked, r.strays, r.copies, strings.Join(r.examples, "; "))
	}
}

func TestG1b_NothingIsLostWhenTheEmbeddedRedisIsKilled(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{"SLUICE_LOG_REQUESTS=false"}})
	p.WaitReady()
	if _, r := readiness(p.URL); r.Durability != "fsync" || !r.Verified {
		t.Fatalf("without settings: %+v, want the level fsync", r)
	}
	f := furnish(t, p.URL, p.Key, p.OperatorKey)
	l := startLoad(t, p.Key, []string{p.URL}, loadOptions{producers: 8, consumers: 4, pause: 10 * time.Millisecond})
	chance := seeded(t, 0)
	var kills atomic.Int64
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(between(chance, time.Second, 3*time.Second)):
			}
			// While the child is down there is none to kill: it comes back later and later.
			if pid, ok := childOf(p); ok && syscall.Kill(pid, syscall.SIGKILL) == nil {
				kills.Add(1)
			}
		}
	}()
	goalFor(5, 2_000).reached(t, &kills, l)
	close(over)
	<-done
	until(t, "the server is ready", func() bool { return isReady(p.URL) })
	l.check(fmt.Sprintf("%d kills of the embedded Redis", kills.Load()))
	f.check(t)
	noFaultsInLog(t, p.Log())
	if n := strings.Count(p.Log(), `"msg":"redis died"`); int64(n) != kills.Load() {
		t.Errorf("the log has %d deaths of Redis, want %d", n, kills.Load())
	}
}

// childOf returns the process id of the Redis that a server has started, while it runs.
func childOf(p *servertest.Process) (int, bool) {
	raw, err := os.ReadFile(filepath.Join(p.DataDir, "redis", "redis.pid"))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	return pid, err == nil && pid > 1
}
