package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// backUp copies the data of a Redis that is down, and returns what puts it back.
func backUp(tb testing.TB, r *redistest.Server) (restore func()) {
	tb.Helper()
	aof := filepath.Join(r.Dir(), "appendonlydir")
	saved := tb.TempDir()
	if err := os.CopyFS(saved, os.DirFS(aof)); err != nil {
		tb.Fatal(err)
	}
	return func() {
		tb.Helper()
		r.WipeData()
		if err := os.CopyFS(aof, os.DirFS(saved)); err != nil {
			tb.Fatal(err)
		}
	}
}

// commands returns how many commands a Redis has carried out.
func commands(tb testing.TB, r *redistest.Server) int64 {
	tb.Helper()
	for line := range strings.Lines(r.Client(tb).Info(tb.Context(), "stats").Val()) {
		if text, ok := strings.CutPrefix(line, "total_commands_processed:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Fatal("INFO does not count commands")
	return 0
}

func TestG32_ARedisThatLostItsDataIsNoticed(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"emptied", "replaced", "emptied under a server that starts"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, redistest.Options{})
			s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
			f := furnish(t, s.URL(), s.Key, s.OperatorKey)
			queue := newQueue(t, s.URL(), s.Key, "")
			must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, "precious")
			redis.Kill9()
			restore := backUp(t, redis)

			switch how {
			case "emptied":
				redis.Restart()
				until(t, "the server is ready", func() bool { return isReady(s.URL()) })
				if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			case "replaced":
				redis.WipeData()
				redis.Restart()
				other := servertest.New(t, servertest.WithRedis(redis.URL()), quiet) // founds another installation there
				if err := other.Stop(); err != nil {                                 // so that it asks Redis nothing more
					t.Fatal(err)
				}
			default:
				redis.WipeData()
				redis.Restart()
				status, out := servertest.RunBinary(t, filepath.Dir(s.DataDir), onFreePorts("SLUICE_REDIS_URL="+redis.URL(), "SLUICE_DATA_DIR="+s.DataDir, servertest.SharedKey()), "serve")
				if status != 2 || !strings.Contains(out, "empty") || !strings.Contains(out, filepath.Join(s.DataDir, "installation")) {
					t.Errorf("a start on the emptied Redis ended with status %d, want 2 and the way out:\n%s", status, out)
				}
				if known, err := os.ReadFile(filepath.Join(s.DataDir, "installation")); err != nil || len(known) == 0 {
					t.Errorf("the refused start has changed the installation file: %q, %v", known, err)
				}
			}
			red := within(t, 5*time.Second, "/readyz is red", func() bool {
				status, r := readiness(s.URL())
				return status == http.StatusServiceUnavailable && r.has("data_replaced")
			})

			// Clients go on, and learn that it is the server's trouble and not theirs. Redis hears little of that.
			begin := time.Now()
			var wg sync.WaitGroup
			var asked atomic.Int64
			for i := range 8 {
				wg.Go(func() {
					for n := 0; time.Since(begin) < 3*time.Second; n++ {
						method, path := http.MethodPost, "/v1/queues/"+queue+[]string{"/messages", "/receive", "/messages/batch"}[n%3]
						key := []string{s.Key, f.tenantKey, s.OperatorKey}[i%3]
						if i == 7 {
							method, path = http.MethodPut, "/v1/queues/fresh"
						}
						a := try(method, s.URL()+path, key, "x")
						if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
							t.Errorf("%s %s while the data is away: %s", method, path, a)
							return
						}
						asked.Add(1)
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
			// Commands within scripts count. One look a second, the beats of keys and sessions, pings of the listeners. A listener that
			// connects again looks at everything once, so it is the median of some rates that counts: 35 or so, of the 1,200 requests a second that are refused none asks.
			var rates []float64
			for range 5 {
				before, at := commands(t, redis), time.Now()
				time.Sleep(600 * time.Millisecond)
				rates = append(rates, float64(commands(t, redis)-before)/time.Since(at).Seconds())
			}
			wg.Wait()
			if slices.Sort(rates); rates[2] > 100 {
				t.Errorf("%.0f Redis commands a second while the data is away", rates)
			}
			if n := strings.Count(s.Log.String(), "data set in redis was replaced"); n != 1 {
				t.Errorf("the log says %d times that the data is away, want once", n)
			}

			redis.Kill9()
			restore()
			redis.Restart()
			green := within(t, 10*time.Second, "/readyz is green with the old data", func() bool { return isReady(s.URL()) })
			f.check(t)
			if got := drain(t, s.URL(), s.Key, queue); len(got) != 1 || got[0] != "precious" {
				t.Errorf("the queue has %q, want the one message", got)
			}
			t.Logf("red after %s, %d requests refused, %.1f Redis commands a second, green %s after the old data was back",
				red.Round(time.Millisecond), asked.Load(), rates[2], green.Round(time.Millisecond))
		})
	}
}

// Also before the next look at the data set nobody is told that a thing is not there, or that something was stored.
func TestG32_NothingIsStoredInTheWrongDataSet(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	var stop atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	var flushed atomic.Int64
	for range 4 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				begun := time.Now().UnixNano()
				a := try(http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, fmt.Sprint(n))
				if at := flushed.Load(); at == 0 || begun < at {
					continue
				}
				mu.Lock()
				codes[fmt.Sprint(a.status, " ", a.code())]++
				mu.Unlock()
				if a.status != http.StatusServiceUnavailable {
					t.Errorf("a send after the data was gone: %s", a)
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	flushed.Store(time.Now().UnixNano())
	within(t, 5*time.Second, "/readyz is red", func() bool { return !isReady(s.URL()) })
	stop.Store(true)
	wg.Wait()
	t.Logf("answers between the loss and its discovery: %v", codes)
}

func TestG32_ABackupOfAnotherInstallationIsRefused(t *testing.T) {
	t.Parallel()
	mine, other := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(mine.URL()))
	servertest.New(t, servertest.WithRedis(other.URL()))
	status, out := servertest.RunBinary(t, t.TempDir(), onFreePorts("SLUICE_REDIS_URL="+other.URL(), "SLUICE_DATA_DIR="+s.DataDir, servertest.SharedKey()), "serve")
	if status != 2 || !strings.Contains(out, "installation") {
		t.Errorf("exit status %d, want 2:\n%s", status, out)
	}
}
