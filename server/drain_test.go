package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// crowd are the clients of a server that is about to stop: receives that wait on an empty queue, and workers that call
// at a steady pace over connections that they keep. A worker goes when an answer tells it that its connection closes,
// as one that knows another server would.
type crowd struct {
	tb        testing.TB
	url, key  string
	wg        sync.WaitGroup
	polls     []time.Duration // how long each waited
	mu        sync.Mutex
	sent, got map[string]bool // bodies that were confirmed, and that came to a worker
	calls     atomic.Int64
	told      atomic.Int64 // workers that were told to go
	busy      string
	transport *http.Transport
}

const (
	crowdPolls   = 500
	crowdWorkers = 20
	crowdPace    = 100 * time.Millisecond // of each worker: 200 calls a second in all
)

// gather starts a crowd. It returns once all receives wait and the workers have begun.
func gather(tb testing.TB, url, metricsURL, key string) *crowd {
	tb.Helper()
	c := &crowd{tb: tb, url: url, key: key, sent: map[string]bool{}, got: map[string]bool{}, transport: &http.Transport{MaxIdleConnsPerHost: crowdPolls}}
	tb.Cleanup(c.transport.CloseIdleConnections)
	idle := newQueue(tb, url, key, "")
	c.busy = newQueue(tb, url, key, "")
	c.polls = make([]time.Duration, crowdPolls)
	for i := range crowdPolls {
		c.wg.Go(func() { c.poll(i, idle) })
	}
	for i := range crowdWorkers {
		c.wg.Go(func() { c.work(i) })
	}
	until(tb, "all receives wait", func() bool { return metric(tb, metricsURL, "sluice_waiting_receives") >= crowdPolls })
	until(tb, "the workers are at work", func() bool { return c.calls.Load() >= 10*crowdWorkers })
	return c
}

func (c *crowd) poll(i int, queue string) {
	begin := time.Now()
	a := ask(context.Background(), &http.Client{Transport: c.transport}, http.MethodPost, c.url+"/v1/queues/"+queue+"/receive?wait=20", c.key, "")
	c.polls[i] = time.Since(begin)
	if a.err != nil || a.status != http.StatusOK || strings.TrimSpace(a.body) != `{"messages":[]}` {
		c.tb.Errorf("a waiting receive ended with %s, want 200 and no messages", a)
	}
}

// work sends, receives and acknowledges over one connection.
func (c *crowd) work(number int) {
	t := &http.Transport{MaxConnsPerHost: 1}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t}
	ackURL := ""
	for n := 0; n < 600; n++ {
		method, path, body := http.MethodPost, "/v1/queues/"+c.busy+"/messages", fmt.Sprintf("w%d-%d", number, n)
		switch {
		case n%3 == 1:
			path, body = "/v1/queues/"+c.busy+"/receive", ""
		case n%3 == 2 && ackURL != "":
			method, path, body = http.MethodDelete, ackURL, ""
		}
		a := ask(context.Background(), client, method, c.url+path, c.key, body)
		c.calls.Add(1)
		if a.err != nil || a.status >= 300 {
			c.tb.Errorf("%s %s: %s", method, path, a)
			return
		}
		switch {
		case a.status == http.StatusCreated:
			c.mu.Lock()
			c.sent[body] = true
			c.mu.Unlock()
		case n%3 == 1:
			var got struct{ Messages []received }
			_ = json.Unmarshal([]byte(a.body), &got)
			for _, m := range got.Messages {
				ackURL = m.AckURL
				c.mu.Lock()
				c.got[m.Body] = true // it may be acknowledged next, or not: either way it was not lost
				c.mu.Unlock()
			}
		}
		if a.closes {
			c.told.Add(1)
			return
		}
		time.Sleep(crowdPace)
	}
	c.tb.Error("a worker was never told that its connection closes")
}

// check waits for the crowd and prints the figures. What was confirmed and not received must be in the queue of the
// server at url.
func (c *crowd) check(stop time.Duration, url, key string) {
	c.tb.Helper()
	c.wg.Wait()
	longest := time.Duration(0)
	for _, d := range c.polls {
		longest = max(longest, d)
	}
	c.tb.Logf("stopped in %s: %d calls of %d workers answered, %d told to go, %d waiting receives answered, the longest after %s",
		stop.Round(time.Millisecond), c.calls.Load(), crowdWorkers, c.told.Load(), len(c.polls), longest.Round(time.Millisecond))
	if stop > 10*time.Second {
		c.tb.Errorf("the stop took %s: it waited for the waits to end by themselves", stop)
	}
	left := map[string]bool{}
	for {
		var got struct{ Messages []received }
		must(c.tb, http.StatusOK, &got, http.MethodPost, url+"/v1/queues/"+c.busy+"/receive?max=100", key, "")
		if len(got.Messages) == 0 {
			break
		}
		for _, m := range got.Messages {
			if left[m.Body] {
				c.tb.Errorf("message %s is there twice", m.Body)
			}
			left[m.Body] = true
		}
	}
	for body := range c.sent {
		if !left[body] && !c.got[body] {
			c.tb.Errorf("message %s was confirmed and is lost", body)
		}
	}
}

func TestG21_AGracefulStopFailsNoRequest(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})

	t.Run("Stop", func(t *testing.T) {
		s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
		other := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
		c := gather(t, s.URL(), s.MetricsURL(), s.Key)
		begin := time.Now()
		if err := s.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
		c.check(time.Since(begin), other.URL(), other.Key)
	})

	t.Run("SIGTERM", func(t *testing.T) {
		other := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
		p := servertest.StartProcess(t, servertest.ProcessOptions{
			Env: []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL(), "SLUICE_LOG_REQUESTS=false"},
		})
		p.WaitReady()
		c := gather(t, p.URL, p.MetricsURL, p.Key)
		begin := time.Now()
		p.Signal(syscall.SIGTERM)
		red := within(t, time.Second, "/readyz is red", func() bool {
			status, r := readiness(p.URL)
			return status == http.StatusServiceUnavailable && r.has("draining")
		})
		t.Logf("/readyz was red after %s", red.Round(time.Millisecond))
		state, err := p.Wait(patience)
		if err != nil {
			t.Fatal(err)
		}
		if state.ExitCode() != 0 {
			t.Errorf("it ended with %s:\n%s", state, p.Log())
		}
		c.check(time.Since(begin), other.URL(), other.Key)
	})
}

// A client that does not listen when it is told to go finds the door closed, and never loses an answer that is on its
// way: it is connected and answered, or it is not connected.
func TestG21_AStoppedServerRefusesConnections(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{
		Env: []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redistest.URL(t), "SLUICE_LOG_REQUESTS=false"},
	})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	var answered, broken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for range 10_000 {
				a := ask(context.Background(), client, http.MethodPost, p.URL+"/v1/queues/"+queue+"/receive", p.Key, "")
				if op, ok := errors.AsType[*net.OpError](a.err); ok && op.Op == "dial" {
					return
				}
				if a.err != nil {
					broken.Add(1)
					t.Logf("broken off: %v", a.err)
					return
				}
				if a.status != http.StatusOK {
					t.Errorf("receive: %s", a)
				}
				answered.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	until(t, "clients are at work", func() bool { return answered.Load() > 100 })
	p.Signal(syscall.SIGTERM)
	if _, err := p.Wait(patience); err != nil {
		t.Error(err)
	}
	wg.Wait()
	t.Logf("%d answered, %d broken off where the listener closed, the others refused", answered.Load(), broken.Load())
	// The kernel may have accepted a connection that the server never saw. That can be one of each client at most, and
	// nothing of such a request was read.
	if broken.Load() > 8 {
		t.Errorf("%d requests were broken off", broken.Load())
	}
}

func TestG21_TheSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+queue+"/messages", p.Key, "kept")
	// A request that never ends would hold the stop for the whole drain timeout.
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/queues/%s/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\nhalf", queue, p.Key)
	p.Signal(syscall.SIGTERM)
	until(t, "it drains", func() bool { return strings.Contains(p.Log(), `"msg":"draining"`) })
	if _, err := p.Wait(1500 * time.Millisecond); err == nil {
		t.Fatal("it ended although a request was under way")
	}
	begin := time.Now()
	p.Signal(syscall.SIGTERM)
	state, err := p.Wait(2 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ended %s after the second signal: %s", time.Since(begin).Round(time.Millisecond), state)
	if ws, ok := state.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() {
		t.Errorf("it ended with %s, want by the signal", state)
	}
	p.Restart()
	p.WaitReady()
	if got := queueCounts(t, p.URL, p.Key, queue); got != (counts{Available: 1}) {
		t.Errorf("afterwards the queue has %+v, want the one message", got)
	}
}

func TestG21_TheDrainTimeoutEndsTheWait(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Args: []string{"--drain-timeout=2s"}})
	p.WaitReady()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /v1/queues/half HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\n{", p.Key)
	p.Signal(syscall.SIGTERM)
	begin := time.Now()
	state, err := p.Wait(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ended after %s: %s", time.Since(begin).Round(time.Millisecond), state)
	if state.ExitCode() != 1 || !strings.Contains(p.Log(), "drain_timeout") {
		t.Errorf("it ended with %s, want status 1 and a word on drain_timeout:\n%s", state, p.Log())
	}
}
