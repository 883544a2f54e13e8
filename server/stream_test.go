package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// streamed is what a stream brings: a message, or a word about the stream.
type streamed struct {
	ID           string `json:"id"`
	AckURL       string `json:"ack_url"`
	Body         string `json:"body"`
	ReceiveCount int    `json:"receive_count"`
	Event        string `json:"event"`
	Op           string `json:"op"` // of a websocket, where it stands for event
	Reason       string `json:"reason"`
}

// openStream opens a stream and returns what it brings. The channel is closed when it ends.
func openStream(tb testing.TB, method, url, key string) (items <-chan streamed, hang func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.SetBasicAuth(key, "")
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, url, err)
	}
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	out := make(chan streamed, 1000)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			var s streamed
			if len(lines.Bytes()) > 0 && json.Unmarshal(lines.Bytes(), &s) == nil {
				out <- s
			}
		}
	}()
	return out, cancel
}

// openSocket is openStream for a websocket, which asks for credit messages.
func openSocket(tb testing.TB, url, key string, credit string) <-chan streamed {
	tb.Helper()
	conn, _, err := websocket.Dial(tb.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + key}}})
	if err != nil {
		tb.Fatalf("dial %s: %v", url, err)
	}
	tb.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(tb.Context(), websocket.MessageText, []byte(`{"op":"credit","n":`+credit+`}`)); err != nil {
		tb.Fatal(err)
	}
	out := make(chan streamed, 1000)
	go func() {
		defer close(out)
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			var s streamed
			if json.Unmarshal(text, &s) == nil {
				out <- s
			}
		}
	}()
	return out
}

// awaitItem returns the next item of a stream, within limit.
func awaitItem(tb testing.TB, items <-chan streamed, limit time.Duration) streamed {
	tb.Helper()
	select {
	case s, ok := <-items:
		if !ok {
			tb.Fatal("the stream has ended")
		}
		return s
	case <-time.After(limit):
		tb.Fatalf("nothing came within %s", limit)
	}
	return streamed{}
}

// awaitEnd reads a stream to its end, within limit, and returns the reason that it gave.
func awaitEnd(tb testing.TB, items <-chan streamed, limit time.Duration) (reason string) {
	tb.Helper()
	over := time.After(limit)
	for {
		select {
		case s, ok := <-items:
			if !ok {
				return reason
			}
			if s.Event == "end" || s.Op == "end" {
				reason = s.Reason
			}
		case <-over:
			tb.Fatalf("the stream did not end within %s", limit)
		}
	}
}

func TestG20_TheStreamsOfARevokedKeyEnd(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, id := newTenant(t, a, "streams-revoked")
	staying, _ := newTenant(t, a, "streams-staying")
	url := b.URL() + "/v1/queues/q"
	for _, k := range []string{key, staying} {
		must(t, http.StatusCreated, nil, http.MethodPut, url, k, "")
		must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", k, "held")
	}
	consume, _ := openStream(t, http.MethodPost, url+"/consume?visibility_timeout=600", key)
	if m := awaitItem(t, consume, patience); m.Body != "held" {
		t.Errorf("got %+v", m)
	}
	tail, _ := openStream(t, http.MethodGet, url+"/tail", key)
	socket := openSocket(t, url+"/ws", key, "1")
	other, _ := openStream(t, http.MethodPost, url+"/consume", staying)
	awaitItem(t, other, patience)

	begin := time.Now()
	must(t, http.StatusNoContent, nil, http.MethodDelete, a.URL()+"/v1/tenants/streams-revoked/keys/"+id, a.OperatorKey, "")
	for what, items := range map[string]<-chan streamed{"consume": consume, "tail": tail, "websocket": socket} {
		if why := awaitEnd(t, items, 5*time.Second); why != "unauthenticated" {
			t.Errorf("%s: the reason is %q", what, why)
		}
		took := time.Since(begin)
		t.Logf("%s ended %s after the revocation", what, took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("%s lasted for %s", what, took)
		}
	}
	var got struct{ Counts counts }
	until(t, "what it held is back", func() bool {
		must(t, http.StatusOK, &got, http.MethodGet, url, b.OperatorKey, "", "Tenant", "streams-revoked")
		return got.Counts == counts{Available: 1}
	})
	// Another tenant's goes on.
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", staying, "more")
	if m := awaitItem(t, other, patience); m.Body != "more" {
		t.Errorf("got %+v", m)
	}
}

func TestG21_StreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	other := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL()}})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, `{"visibility_timeout":600}`)
	url := p.URL + "/v1/queues/" + queue
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", p.Key, "1")
	holds, _ := openStream(t, http.MethodPost, url+"/consume?max_in_flight=1", p.Key)
	awaitItem(t, holds, patience)
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", p.Key, "2")
	keeps, _ := openStream(t, http.MethodPost, url+"/consume?max_in_flight=1&on_disconnect=keep", p.Key)
	m := awaitItem(t, keeps, patience)
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", p.Key, "3")
	socket := openSocket(t, url+"/ws", p.Key, "1")
	awaitItem(t, socket, patience)
	waits, _ := openStream(t, http.MethodPost, url+"/consume", p.Key)
	tail, _ := openStream(t, http.MethodGet, url+"/tail", p.Key)
	until(t, "one waits", func() bool { return metric(t, p.MetricsURL, "sluice_waiting_receives") == 1 })

	p.Signal(syscall.SIGTERM)
	for what, items := range map[string]<-chan streamed{"full": holds, "keeping": keeps, "waiting": waits, "websocket": socket, "tail": tail} {
		if why := awaitEnd(t, items, 10*time.Second); why != "shutting_down" {
			t.Errorf("%s: the reason is %q", what, why)
		}
	}
	state, err := p.Wait(10 * time.Second)
	if err != nil || state.ExitCode() != 0 {
		t.Errorf("it ended with %s, %v:\n%s", state, err, p.Log())
	}
	// What they held is back, except where the consumer wants to finish it on another server.
	if got := queueCounts(t, other.URL(), other.Key, queue); got != (counts{Available: 2, InFlight: 1}) {
		t.Errorf("afterwards the queue has %+v", got)
	}
	must(t, http.StatusNoContent, nil, http.MethodDelete, other.URL()+m.AckURL, other.Key, "")
}

func TestTheMessagesOfAKilledServersStreamComeBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	other := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redis.URL()}})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	path := "/v1/queues/" + queue
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+path+"/messages", p.Key, "m")
	first, _ := openStream(t, http.MethodPost, p.URL+path+"/consume?visibility_timeout=6", p.Key)
	m := awaitItem(t, first, patience)
	second, _ := openStream(t, http.MethodPost, other.URL()+path+"/consume", other.Key)
	// Longer than the lease: the stream keeps it, and nobody else gets the message.
	select {
	case s := <-second:
		t.Fatalf("a second consumer got %+v", s)
	case <-time.After(8 * time.Second):
	}
	p.Kill9()
	killed := time.Now()
	again := awaitItem(t, second, 7*time.Second)
	if again.ID != m.ID || again.ReceiveCount != 2 {
		t.Errorf("got %+v, want %s, received twice", again, m.ID)
	}
	t.Logf("it came to the other consumer %s after the kill", time.Since(killed).Round(time.Millisecond))
	must(t, http.StatusNoContent, nil, http.MethodDelete, other.URL()+again.AckURL, other.Key, "")
}

func TestAMessageOfAStreamComesAgainAfterARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	url := p.URL + "/v1/queues/" + queue
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", p.Key, "m")
	consume, _ := openStream(t, http.MethodPost, url+"/consume?visibility_timeout=2", p.Key)
	m := awaitItem(t, consume, patience)
	tail, _ := openStream(t, http.MethodGet, url+"/tail", p.Key)
	p.Restart() // kills it
	for what, items := range map[string]<-chan streamed{"consume": consume, "tail": tail} {
		if why := awaitEnd(t, items, patience); why != "" {
			t.Errorf("%s: a killed server has said %q", what, why)
		}
	}
	p.WaitReady()
	consume, _ = openStream(t, http.MethodPost, url+"/consume", p.Key)
	again := awaitItem(t, consume, patience)
	if again.ID != m.ID || again.ReceiveCount != 2 {
		t.Errorf("got %+v, want %s, received twice", again, m.ID)
	}
	must(t, http.StatusNoContent, nil, http.MethodDelete, p.URL+again.AckURL, p.Key, "")
}

func TestAStreamOutlivesItsRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	url := s.URL() + "/v1/queues/" + queue
	consume, _ := openStream(t, http.MethodPost, url+"/consume", s.Key)
	watched := s.URL() + "/v1/queues/" + newQueue(t, s.URL(), s.Key, "")
	tail, _ := openStream(t, http.MethodGet, watched+"/tail", s.Key)
	redis.Kill9()
	until(t, "the server has noticed", func() bool { status, _ := readiness(s.URL()); return status != http.StatusOK })
	redis.Restart()
	until(t, "the server is back", func() bool { status, _ := readiness(s.URL()); return status == http.StatusOK })
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", s.Key, "to the consumer")
	must(t, http.StatusCreated, nil, http.MethodPost, watched+"/messages", s.Key, "to the tail")
	for want, items := range map[string]<-chan streamed{"to the consumer": consume, "to the tail": tail} {
		if m := awaitItem(t, items, patience); m.Body != want {
			t.Errorf("got %+v, want %q", m, want)
		}
	}
}

// The listener gives an ordinary request half a minute to be read and a minute to be answered.
func TestAStreamOutlivesTheTimeoutsOfTheListener(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes more than a minute")
	}
	s := servertest.New(t, quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	url := s.URL() + "/v1/queues/" + queue
	consume, _ := openStream(t, http.MethodPost, url+"/consume", s.Key)
	watched := newQueue(t, s.URL(), s.Key, "")
	tail, _ := openStream(t, http.MethodGet, s.URL()+"/v1/queues/"+watched+"/tail", s.Key)
	socket := openSocket(t, s.URL()+"/v1/queues/"+newQueueWith(t, s, "for the socket", 65*time.Second)+"/ws", s.Key, "1")
	time.Sleep(64 * time.Second)
	must(t, http.StatusCreated, nil, http.MethodPost, url+"/messages", s.Key, "to the consumer")
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+watched+"/messages", s.Key, "to the tail")
	for want, items := range map[string]<-chan streamed{"to the consumer": consume, "to the tail": tail, "for the socket": socket} {
		if m := awaitItem(t, items, patience); m.Body != want {
			t.Errorf("got %+v, want %q", m, want)
		}
	}
}

// newQueueWith makes a queue with one message, which is available after delay.
func newQueueWith(tb testing.TB, s *servertest.Server, body string, delay time.Duration) string {
	tb.Helper()
	queue := newQueue(tb, s.URL(), s.Key, "")
	must(tb, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages?delay="+delay.String(), s.Key, body)
	return queue
}
