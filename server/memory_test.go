package server_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

var peakPattern = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak returns the most memory that a process ever had, in bytes.
func peak(tb testing.TB, pid int) int64 {
	tb.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Skipf("there is no /proc: %v", err)
	}
	m := peakPattern.FindSubmatch(raw)
	if m == nil {
		tb.Skip("the kernel does not tell the peak of a process")
	}
	kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10
}

// Clients of all bad kinds at once: headers and bodies that never come, far more large sends than there is room for, large
// batches, receives whose answers nobody reads, and a crowd that waits. Memory stays below a bound, what was confirmed is
// there, others are served, and nothing is left of it.
func TestG25_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	// Room for 32 MiB of bodies and as much of answers. Of each the program holds a few copies: as JSON, as it is stored,
	// and on its way to or from Redis.
	const room, limit, bound = 32, 256 << 20, 256 << 20 * 11 / 10
	waiters, sends, receives := 2000, 200, 30
	if testing.Short() {
		waiters, sends, receives = 300, 100, 15
	}
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{"SLUICE_LOG_REQUESTS=false",
		fmt.Sprint("SLUICE_MAX_IN_FLIGHT_MIB=", room), fmt.Sprint("GOMEMLIMIT=", limit),
		"SLUICE_REDIS_URL=" + redistest.Start(t, redistest.Options{NoAOF: true}).URL()}})
	p.WaitReady()
	goroutines := func() float64 { return metric(t, p.MetricsURL, "go_goroutines") }
	files := func() float64 { return metric(t, p.MetricsURL, "process_open_fds") }
	idle := newQueue(t, p.URL, p.Key, "")
	large := newQueue(t, p.URL, p.Key, "")
	full := newQueue(t, p.URL, p.Key, `{"visibility_timeout":43200}`)
	megabyte := strings.Repeat("x", 1<<20)
	for range 12 { // each receive gets these again: it lends them for no time
		must(t, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+full+"/messages", p.Key, megabyte)
	}
	client.CloseIdleConnections()
	baseline, open := goroutines(), files()

	var mu sync.Mutex
	var conns []net.Conn
	raw := func(format string, args ...any) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		conns = append(conns, conn)
		mu.Unlock()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = fmt.Fprintf(conn, format, args...)
	}
	const head = " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
	var wg sync.WaitGroup
	for range waiters {
		raw("POST /v1/queues/"+idle+"/receive?wait=20"+head, p.Key, 0)
	}
	for range 100 {
		raw("GET /v1/queues HTTP/1.1\r\nX-Slow: ")
		raw("POST /v1/queues/"+large+"/messages"+head+strings.Repeat("x", 200_000), p.Key, 1<<20)
		raw("POST /v1/queues/"+large+"/messages/batch"+head, p.Key, 16<<20)
	}
	for range receives {
		raw("POST /v1/queues/"+full+"/receive?max=12&visibility_timeout=0"+head, p.Key, 0)
	}
	var stored, refused atomic.Int64
	send := func(path, body string, n int64) {
		switch a := try(http.MethodPost, p.URL+"/v1/queues/"+large+path, p.Key, body); {
		case a.status == http.StatusCreated || a.status == http.StatusOK:
			stored.Add(n)
		case a.status == http.StatusServiceUnavailable && a.code() == "overloaded" && a.header.Get("Retry-After") != "":
			refused.Add(1)
		case a.err != nil: // the server has closed the connection without reading the body
			refused.Add(1)
		default:
			t.Errorf("a large send: %s", a)
		}
	}
	for range sends {
		wg.Go(func() { send("/messages", megabyte, 1) })
	}
	batch := `{"messages":[` + strings.Repeat(`{"body":"`+megabyte[:500_000]+`"},`, 19) + `{"body":"x"}]}`
	for range 8 {
		wg.Go(func() { send("/messages/batch", batch, 20) })
	}
	// Others are served meanwhile: small requests need no room.
	for range 20 {
		must(t, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+full+"/messages", p.Key, "small")
	}
	wg.Wait()
	if got := queueCounts(t, p.URL, p.Key, large); int64(got.Available) != stored.Load() {
		t.Errorf("%d messages were confirmed, and the queue has %+v", stored.Load(), got)
	}
	high := peak(t, p.PID())
	for _, c := range conns {
		_ = c.Close()
	}
	client.CloseIdleConnections()
	took := within(t, 20*time.Second, "goroutines and files are back to where they were", func() bool {
		client.CloseIdleConnections()
		return goroutines() <= baseline+10 && files() <= open+10
	})
	send("/messages", megabyte, 1) // there is room again
	t.Logf("%d messages stored, %d requests refused; peak %d MiB of %d; all gone %s after the clients", stored.Load(), refused.Load(), high>>20, bound>>20, took.Round(time.Millisecond))
	if high > bound {
		t.Errorf("the server had %d MiB, at most %d are allowed", high>>20, bound>>20)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused: the test does not show that memory is bounded")
	}
}
