package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// dial connects to a server without HTTP.
func dial(tb testing.TB, url string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ended waits until the server has closed the connection, and returns what it has sent before.
func ended(tb testing.TB, conn net.Conn, limit time.Duration) (sent string, took time.Duration) {
	tb.Helper()
	begin := time.Now()
	_ = conn.SetReadDeadline(begin.Add(limit))
	raw, err := io.ReadAll(conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		tb.Fatalf("the connection is open after %s; so far it has sent %q", limit, raw)
	}
	return string(raw), time.Since(begin)
}

func TestHeadersThatNeverEndCostAConnectionForFiveSeconds(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	var wg sync.WaitGroup
	for _, start := range []string{"", "GET", "GET /v1/queues HTTP/1.1\r\n", "POST /v1/queues/x/messages HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		wg.Go(func() {
			conn := dial(t, s.URL())
			fmt.Fprint(conn, start)
			stop := make(chan struct{})
			defer close(stop)
			go func() { // one byte more each second does not help
				for start != "" {
					select {
					case <-stop:
						return
					case <-time.After(time.Second):
						fmt.Fprint(conn, "x")
					}
				}
			}()
			sent, took := ended(t, conn, 15*time.Second)
			if took < 3*time.Second || took > 10*time.Second {
				t.Errorf("after %q the connection was closed after %s", start, took)
			}
			t.Logf("after %q closed in %s with %.40q", start, took.Round(time.Millisecond), sent)
		})
	}
	wg.Wait()
}

// A client that promises a body and does not send it holds one of the places for requests until its time is over.
func TestABodyThatNeverComesFreesItsPlace(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := servertest.New(t, func(c *server.Config) { c.MaxInFlightRequests = 3 })
	queue := newQueue(t, s.URL(), s.Key, "")
	path := s.URL() + "/v1/queues/" + queue
	var slow []net.Conn
	until(t, "all places are taken", func() bool {
		if call(t, http.MethodGet, path, s.Key, "").code() == "overloaded" {
			return true
		}
		conn := dial(t, s.URL())
		fmt.Fprintf(conn, "POST /v1/queues/%s/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\nhalf", queue, s.Key)
		slow = append(slow, conn)
		return false
	})
	if a := call(t, http.MethodGet, path, s.Key, ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("without a place: %s", a)
	}
	if !isReady(s.URL()) {
		t.Error("/readyz waits for a place")
	}
	held := 0
	for _, conn := range slow {
		switch sent, took := ended(t, conn, 45*time.Second); {
		case strings.HasPrefix(sent, "HTTP/1.1 503 ") && strings.Contains(sent, "overloaded"): // it found no place
		case strings.HasPrefix(sent, "HTTP/1.1 408 ") && strings.Contains(sent, "request_timeout"):
			held++
			t.Logf("closed in %s with %.30q", took.Round(time.Millisecond), sent)
		default:
			t.Errorf("after %s: %q, want 408", took, sent)
		}
	}
	if held != 3 {
		t.Errorf("%d slow requests had a place, want 3", held)
	}
	until(t, "the places are free", func() bool { return call(t, http.MethodGet, path, s.Key, "").status == http.StatusOK })
	if got := queueCounts(t, s.URL(), s.Key, queue); got != (counts{}) {
		t.Errorf("half a message was stored: %+v", got)
	}
}

func TestABodyThatEndsEarlyIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	queue := newQueue(t, s.URL(), s.Key, "")
	conn := dial(t, s.URL())
	fmt.Fprintf(conn, "POST /v1/queues/%s/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\nhalf", queue, s.Key)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if sent, _ := ended(t, conn, 5*time.Second); !strings.HasPrefix(sent, "HTTP/1.1 400 ") {
		t.Errorf("got %q, want 400", sent)
	}
	if got := queueCounts(t, s.URL(), s.Key, queue); got != (counts{}) {
		t.Errorf("half a message was stored: %+v", got)
	}
}

// A consumer that takes messages and does not read its answers gets as much as fits into the buffers of the kernel. What
// does not fit it has not got: that goes back when its connection is given up, long before the lease ends, and the
// receive is not counted.
func TestAClientThatNeverReadsIsGivenUp(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := servertest.New(t, servertest.WithRedis(redistest.Start(t, redistest.Options{}).URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, `{"visibility_timeout":600}`)
	path := s.URL() + "/v1/queues/" + queue
	body := strings.Repeat("x", 1<<20)
	const messages = 20
	for range messages {
		must(t, http.StatusCreated, nil, http.MethodPost, path+"/messages", s.Key, body)
	}
	conn := dial(t, s.URL())
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	for range messages { // one after the other on one connection, of which the server does the next when the last is written
		fmt.Fprintf(conn, "POST /v1/queues/%s/receive HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", queue, s.Key)
	}
	begin, stuck, same := time.Now(), 0, 0
	for same < 20 { // a second without another message
		n := queueCounts(t, s.URL(), s.Key, queue).InFlight
		if same++; n != stuck || n == 0 {
			stuck, same = n, 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	if stuck == messages {
		t.Skipf("the kernel's buffers hold %d MiB", messages)
	}
	other := newQueue(t, s.URL(), s.Key, "")
	longest := time.Duration(0)
	for queueCounts(t, s.URL(), s.Key, queue).InFlight == stuck {
		if time.Since(begin) > 90*time.Second {
			t.Fatalf("the server still waits for its client after %s", time.Since(begin))
		}
		one := time.Now() // others do not feel it
		must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+other+"/messages", s.Key, "x")
		longest = max(longest, time.Since(one))
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%d MiB fitted into buffers; what did not was back after %s; the slowest send of others took %s",
		stuck-1, time.Since(begin).Round(time.Millisecond), longest.Round(time.Millisecond))
	if got, want := queueCounts(t, s.URL(), s.Key, queue), (counts{Available: messages - stuck + 1, InFlight: stuck - 1}); got != want {
		t.Errorf("the queue has %+v, want %+v", got, want)
	}
	for range messages - stuck + 1 {
		var got struct{ Messages []received }
		must(t, http.StatusOK, &got, http.MethodPost, path+"/receive", s.Key, "")
		if len(got.Messages) != 1 || got.Messages[0].ReceiveCount != 1 {
			t.Errorf("a message was counted as received that nobody got")
		}
	}
}

// One that hangs up while it waits must not be given what comes later.
func TestAClientThatHungUpGetsNothing(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, quiet)
	queue := newQueue(t, s.URL(), s.Key, `{"visibility_timeout":600}`)
	var conns []net.Conn
	for range 20 {
		conn := dial(t, s.URL())
		fmt.Fprintf(conn, "POST /v1/queues/%s/receive?wait=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", queue, s.Key)
		conns = append(conns, conn)
	}
	waiting := func() int { return int(metric(t, s.MetricsURL(), "sluice_waiting_receives")) }
	until(t, "they wait", func() bool { return waiting() == len(conns) })
	for _, conn := range conns {
		_ = conn.Close()
	}
	for i := range 20 { // at once: the server may not have noticed yet
		must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, fmt.Sprint(i))
	}
	within(t, 5*time.Second, "nobody waits and all messages are available", func() bool {
		return waiting() == 0 && queueCounts(t, s.URL(), s.Key, queue) == counts{Available: 20}
	})
	var got struct{ Messages []received }
	must(t, http.StatusOK, &got, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/receive?max=100", s.Key, "")
	for _, m := range got.Messages {
		if m.ReceiveCount != 1 {
			t.Errorf("message %s was received %d times, want 1: nobody had it before", m.Body, m.ReceiveCount)
		}
	}
}

func TestG25_WaitingReceivesAreCheap(t *testing.T) {
	t.Parallel()
	waiters := 2000
	if testing.Short() {
		waiters = 300
	}
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{"GOGC=20", "SLUICE_LOG_REQUESTS=false"}})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	memory := func() float64 {
		return metric(t, p.MetricsURL, "go_memstats_heap_inuse_bytes") + metric(t, p.MetricsURL, "go_memstats_stack_inuse_bytes")
	}
	goroutines := func() float64 { return metric(t, p.MetricsURL, "go_goroutines") }
	// Once there and back, so that what stays for good is not counted.
	crowd := func(n int) []net.Conn {
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = dial(t, p.URL)
			fmt.Fprintf(conns[i], "POST /v1/queues/%s/receive?wait=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", queue, p.Key)
		}
		until(t, "all wait", func() bool { return int(metric(t, p.MetricsURL, "sluice_waiting_receives")) == n })
		return conns
	}
	leave := func(conns []net.Conn) {
		for _, c := range conns {
			_ = c.Close()
		}
		within(t, 10*time.Second, "all are gone", func() bool { return metric(t, p.MetricsURL, "sluice_waiting_receives") == 0 })
	}
	leave(crowd(50))
	base, baseline := memory(), goroutines()
	conns := crowd(waiters)
	each := (memory() - base) / float64(waiters)
	perWaiter := (goroutines() - baseline) / float64(waiters)

	// They are alive: messages reach as many of them, once each.
	const wanted = 20
	for i := range wanted {
		must(t, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+queue+"/messages", p.Key, fmt.Sprint("wake-", i))
	}
	woken := make(chan string, waiters)
	for _, c := range conns {
		go func() {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return
			}
			raw, _ := io.ReadAll(resp.Body)
			woken <- string(raw)
		}()
	}
	seen := map[string]bool{}
	for len(seen) < wanted {
		select {
		case body := <-woken:
			if i := strings.Index(body, "wake-"); i >= 0 { // a wait may have ended before
				seen[body[i:][:7]] = true
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("only %d of %d messages woke somebody", len(seen), wanted)
		}
	}
	leave(conns)
	took := within(t, 10*time.Second, "the goroutines are back to where they were", func() bool { return goroutines() <= baseline+5 })
	t.Logf("%d waiting receives: %.1f KiB and %.1f goroutines each; all gone %s after they hung up", waiters, each/1024, perWaiter, took.Round(time.Millisecond))
	if each > 40<<10 {
		t.Errorf("a waiting receive costs %.1f KiB, want at most 40", each/1024)
	}
}
