package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// previousRelease is the commit whose servers share a Redis with those of this one during an upgrade. Until there is a tag it is
// a commit of the main branch; with each release it becomes that of the release before.
const previousRelease = "ee0c3d1791843273d99b6808fa0b2cdd783619fe"

// previousProgram builds the program as it was in the previous release.
func previousProgram(tb testing.TB) string {
	tb.Helper()
	git := func(args ...string) ([]byte, error) {
		return exec.CommandContext(tb.Context(), "git", append([]string{"-C", ".."}, args...)...).Output()
	}
	if _, err := git("cat-file", "-e", previousRelease+"^{commit}"); err != nil {
		tb.Skipf("G22 IS NOT PROVED HERE: this is no clone with the commit %s, so there is no previous release to upgrade from: %v", previousRelease, err)
	}
	dir := tb.TempDir()
	archive := filepath.Join(dir, "source.tar")
	if _, err := git("archive", "--output="+archive, previousRelease); err != nil {
		tb.Fatalf("git archive: %v", err)
	}
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.CommandContext(tb.Context(), "tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		tb.Fatalf("tar: %v\n%s", err, out)
	}
	program := filepath.Join(dir, "sluice")
	build := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Dir = source
	begin := time.Now()
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", previousRelease, err, out)
	}
	tb.Logf("built the previous release, %.7s, in %s", previousRelease, time.Since(begin).Round(time.Second))
	return program
}

// balancer connects clients to the servers that are in use.
type balancer struct {
	mu  sync.Mutex
	use []string // host:port
}

// set puts a server into use, or takes it out.
func (b *balancer) set(url string, use bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	address := strings.TrimPrefix(url, "http://")
	b.use = slices.DeleteFunc(b.use, func(a string) bool { return a == address })
	if use {
		b.use = append(b.use, address)
	}
}

// transport returns connections to any server in use, whatever address is asked for. One that nobody has needed for a while is
// closed before a server that stops would.
func (b *balancer) transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: 300 * time.Millisecond, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		b.mu.Lock()
		if len(b.use) == 0 {
			b.mu.Unlock()
			return nil, errors.New("no server is in use")
		}
		address := b.use[rand.IntN(len(b.use))]
		b.mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

// route is messages that go from where they are sent to other queues by themselves: none may be lost or come twice.
type route struct {
	tb     testing.TB
	client *http.Client
	base   string
	key    string
	from   string   // path to which they are sent
	to     []string // queues in which each arrives once

	mu        sync.Mutex
	confirmed []string
	requests  atomic.Int64
	failed    atomic.Int64
}

// do makes a request, which must be answered with success.
func (r *route) do(method, path, body string) (a answer, ok bool) {
	a = ask(context.Background(), r.client, method, r.base+path, r.key, body)
	r.requests.Add(1)
	if a.err != nil || a.status >= 300 {
		r.failed.Add(1)
		r.tb.Errorf("%s %s: %s", method, path, a)
		return a, false
	}
	return a, true
}

// send sends until ctx ends.
func (r *route) send(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		body := fmt.Sprintf("%d", n)
		if _, ok := r.do(http.MethodPost, r.from+"/messages", body); ok {
			r.mu.Lock()
			r.confirmed = append(r.confirmed, body)
			r.mu.Unlock()
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// fail receives from a queue and has each message fail, until ctx ends.
func (r *route) fail(ctx context.Context, queue string) {
	for ctx.Err() == nil {
		a, ok := r.do(http.MethodPost, "/v1/queues/"+queue+"/receive?max=10&wait=1", "")
		var got struct{ Messages []received }
		if !ok || json.Unmarshal([]byte(a.body), &got) != nil || len(got.Messages) == 0 {
			pause(ctx, 10*time.Millisecond)
			continue
		}
		var handles []map[string]string
		for _, m := range got.Messages {
			handles = append(handles, map[string]string{"receipt_handle": m.ReceiptHandle})
		}
		list, _ := json.Marshal(map[string]any{"return": handles})
		r.do(http.MethodPost, "/v1/queues/"+queue+"/ack", string(list))
	}
}

// check takes what has arrived out of the queues, and returns how many were lost and how many came twice.
func (r *route) check() (lost, doubled int) {
	r.tb.Helper()
	for _, queue := range r.to {
		until(r.tb, "all that was sent to "+r.from+" has arrived in "+queue, func() bool {
			a, ok := r.do(http.MethodGet, "/v1/queues/"+queue, "")
			var q struct{ Counts counts }
			return ok && json.Unmarshal([]byte(a.body), &q) == nil && q.Counts.Available >= len(r.confirmed)
		})
		seen := map[string]int{}
		for {
			a, ok := r.do(http.MethodPost, "/v1/queues/"+queue+"/receive?max=100&visibility_timeout=600", "")
			var got struct{ Messages []received }
			if !ok || json.Unmarshal([]byte(a.body), &got) != nil || len(got.Messages) == 0 {
				break
			}
			for _, m := range got.Messages {
				if seen[m.Body]++; seen[m.Body] > 1 {
					doubled++
				}
			}
		}
		for _, body := range r.confirmed {
			if seen[body] == 0 {
				lost++
			}
		}
	}
	return lost, doubled
}

// written is what either release shows of a message.
type written struct {
	ID, State, Body string
	ContentType     string                       `json:"content_type"`
	Attributes      map[string]map[string]string `json:"attributes"`
	GroupID         string                       `json:"group_id"`
	Priority        int
	Retry           map[string]any
	SentAt          string `json:"sent_at"`
	ExpiresAt       string `json:"expires_at"`
	AvailableAt     string `json:"available_at"`
}

// write stores messages with all that messages can have, by one server.
func write(tb testing.TB, p *servertest.Process, queue string, n int) {
	tb.Helper()
	must(tb, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+queue+"/messages/batch", p.Key, fmt.Sprintf(`{"messages":[
		{"body":"plain %[1]d"}, {"body":"late %[1]d","delay":3600}, {"body":"AQID","body_encoding":"base64","content_type":"image/png"}, {"body":"group %[1]d","group_id":"g"},
		{"body":"rich %[1]d","priority":3,"ttl":7200,"retry":{"backoff":"linear","delay":7,"jitter":0.5},"attributes":{"a":{"type":"String","value":"ä"},"n":{"type":"Number","value":"7"},"b":{"type":"Binary","value":"AQID"}}}]}`, n))
}

// shown returns what a server shows of all messages of a queue, and of the settings of the queue.
func shown(tb testing.TB, p *servertest.Process, queue string) (list []written, settings map[string]any) {
	tb.Helper()
	var page struct {
		Data []written
		Next *string `json:"next_cursor"`
	}
	must(tb, http.StatusOK, &page, http.MethodGet, p.URL+"/v1/queues/"+queue+"/messages?limit=100", p.Key, "")
	if page.Next != nil {
		tb.Fatal("there are more messages than one page shows")
	}
	slices.SortFunc(page.Data, func(a, b written) int { return strings.Compare(a.ID, b.ID) })
	must(tb, http.StatusOK, &settings, http.MethodGet, p.URL+"/v1/queues/"+queue, p.Key, "")
	return page.Data, settings
}

// TestG22_ARollingUpgradeFailsNothing replaces two servers one after the other by those of another release, there and back,
// while clients do all that G1 to G12 promise.
func TestG22_ARollingUpgradeFailsNothing(t *testing.T) {
	t.Parallel()
	rounds := 2 // each an upgrade of both servers and the way back
	if testing.Short() {
		rounds = 1
	}
	old := previousProgram(t)
	now, _ := servertest.Binary(t)
	redis := redistest.Start(t, redistest.Options{})
	env := []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL(), "SLUICE_LOG_REQUESTS=false"}
	lb := &balancer{}
	var servers []*servertest.Process
	for range 2 {
		p := servertest.StartProcess(t, servertest.ProcessOptions{Env: env, Program: old})
		p.WaitReady()
		lb.set(p.URL, true)
		servers = append(servers, p)
	}
	a, b := servers[0], servers[1]
	f := furnish(t, a.URL, a.Key, a.OperatorKey)
	rich := newQueue(t, a.URL, a.Key, `{"receive_wait":3,"labels":{"a":"b"}}`)

	// Standard messages, FIFO groups, dead letters, and a topic with two queues.
	standard := startLoad(t, a.Key, []string{a.URL}, loadOptions{producers: 6, consumers: 4, pause: 20 * time.Millisecond, transport: lb.transport()})
	fifo := startLoad(t, a.Key, []string{a.URL}, loadOptions{producers: 6, consumers: 4, pause: 100 * time.Millisecond, transport: lb.transport(), groups: true})
	dlq := newQueue(t, a.URL, a.Key, "")
	failing := newQueue(t, a.URL, a.Key, fmt.Sprintf(`{"redrive":{"dead_letter_queue":%q,"max_receives":2}}`, dlq))
	one, two := newQueue(t, a.URL, a.Key, ""), newQueue(t, a.URL, a.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL+"/v1/topics/upgraded", a.Key, "")
	for _, q := range []string{one, two} {
		must(t, http.StatusCreated, nil, http.MethodPut, a.URL+"/v1/topics/upgraded/subscriptions/"+q, a.Key, fmt.Sprintf(`{"queue":%q}`, q))
	}
	newRoute := func(from string, to ...string) *route {
		client := &http.Client{Transport: lb.transport(), Timeout: patience}
		t.Cleanup(client.CloseIdleConnections)
		return &route{tb: t, client: client, base: a.URL, key: a.Key, from: from, to: to}
	}
	letters, topic := newRoute("/v1/queues/"+failing, dlq), newRoute("/v1/topics/upgraded", one, two)
	sending, stop := context.WithCancel(t.Context())
	failures, rest := context.WithCancel(t.Context())
	var senders, failers sync.WaitGroup
	senders.Go(func() { letters.send(sending) })
	senders.Go(func() { topic.send(sending) })
	failers.Go(func() { letters.fail(failures, failing) })
	t.Cleanup(func() {
		stop()
		rest()
		senders.Wait()
		failers.Wait()
	})

	swaps := 0
	begin := time.Now()
	for range rounds {
		for _, program := range []string{now, old} {
			for i, p := range servers {
				write(t, p, rich, swaps)
				lb.set(p.URL, false)
				p.Signal(syscall.SIGTERM)
				state, err := p.Wait(patience)
				if err != nil {
					t.Fatal(err)
				}
				if state.ExitCode() != 0 {
					t.Errorf("a server ended with %s:\n%s", state, p.Log())
				}
				p.Become(program)
				p.WaitReady()
				lb.set(p.URL, true)
				swaps++
				pause(t.Context(), time.Second) // with both, the old and the new
				mine, set := shown(t, p, rich)
				theirs, known := shown(t, servers[1-i], rich)
				if diff := cmp.Diff(theirs, mine); diff != "" {
					t.Errorf("after swap %d the servers show other messages (-other +swapped):\n%s", swaps, diff)
				}
				if len(mine) != 5*swaps {
					t.Errorf("after swap %d there are %d messages, want %d", swaps, len(mine), 5*swaps)
				}
				for try := 0; try < 3 && !cmp.Equal(known["rates"], set["rates"]); try++ { // they go on, every ten seconds
					_, set = shown(t, p, rich)
					_, known = shown(t, servers[1-i], rich)
				}
				for name, want := range known { // a release may show more than the one before
					if got, ok := set[name]; ok && name != "oldest_age" && !cmp.Equal(want, got) {
						t.Errorf("after swap %d: %s of the queue: got %v, the other server has %v", swaps, name, got, want)
					}
				}
			}
		}
	}
	took := time.Since(begin)
	stop()
	senders.Wait()
	f.check(t)

	what := fmt.Sprintf("%d swaps of 2 servers in %s", swaps, took.Round(time.Second))
	failed := 0
	for name, l := range map[string]*load{"standard": standard, "FIFO": fifo} {
		l.rest = func() { recount(t, redis.URL(), b.URL, a.Key, l.queue) }
		l.check(what + ", " + name)
		l.statuses.Range(func(how, n any) bool {
			if !strings.HasSuffix(how.(string), " ok") {
				failed += int(n.(*atomic.Int64).Load())
				t.Errorf("%s: %d calls ended with %q", name, n.(*atomic.Int64).Load(), how)
			}
			return true
		})
	}
	for name, r := range map[string]*route{"dead letters": letters, "topic": topic} {
		lost, doubled := r.check()
		t.Logf("%s, %s: %d confirmed, %d requests, failed %d, lost %d, doubled %d", what, name, len(r.confirmed), r.requests.Load(), r.failed.Load(), lost, doubled)
		if lost+doubled > 0 || len(r.confirmed) == 0 {
			t.Errorf("%s: %d confirmed, lost %d, doubled %d", name, len(r.confirmed), lost, doubled)
		}
	}
	rest()
	failers.Wait()
	t.Logf("%s: %d failed calls of the loads", what, failed)
	for _, p := range servers {
		noFaultsInLog(t, p.Log())
	}
}
