package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// faults are what a fake Sluice does wrong.
type faults struct {
	loseEvery      int  // each n-th message is acknowledged and forgotten
	doubleEvery    int  // each n-th message is stored twice
	changeEvery    int  // each n-th message loses its last byte
	refuseEvery    int  // each n-th message is answered 429
	refuseAckEvery int  // each n-th ack fails
	reverse        bool // a receive answers with the newest message first

	refuseEndpoints bool
}

// fakeSluice is as much of a Sluice as the generator needs, in memory, with faults on demand.
type fakeSluice struct {
	faults
	url     string
	onFirst func() // called with the first message; may be nil

	mu       sync.Mutex
	queues   map[string]*fakeQueue
	topics   map[string]*fakeTopic
	stored   int // messages sent so far
	ackCount int
	requests map[string]int // by kind
}

type fakeQueue struct {
	ready    []fakeMessage
	inFlight map[string]fakeMessage
	arrival  chan struct{} // closed and renewed when something arrives
}

type fakeMessage struct{ id, body string }

// fakeSecond is what the fake takes for a second of waiting, so that a test of waiting is short.
const fakeSecond = 20 * time.Millisecond

const (
	fakeKey      = "slk_test"
	otherFakeKey = "slk_second" // whose messages are not counted
)

func startFake(t testing.TB, faults faults) *fakeSluice {
	t.Helper()
	fake := &fakeSluice{faults: faults, queues: map[string]*fakeQueue{}, topics: map[string]*fakeTopic{}, requests: map[string]int{}}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	fake.url = server.URL
	return fake
}

func (f *fakeSluice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		fmt.Fprint(w, `{"status":"ready","durability":"fsync"}`)
		return
	}
	if r.URL.Path == "/" {
		f.serveSQS(w, r)
		return
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if key != fakeKey && key != otherFakeKey {
		f.problem(w, http.StatusUnauthorized, "unauthenticated")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/v1/keys":
		f.count("POST keys", 1)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"key_1","aws":{"access_key_id":"`+fakeAccessKey+`","secret_access_key":"secret","account_id":"123456789012","region":"us-east-1"}}`)
		return
	case "/v1/keys/key_1":
		f.count("DELETE keys", 1)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if path, ok := strings.CutPrefix(r.URL.Path, "/v1/topics/"); ok {
		f.serveTopic(w, r.Method, strings.Split(path, "/"), body, key)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/queues/"), "/")
	kind := r.Method
	if len(parts) > 1 {
		kind += " " + strings.Join(parts[1:min(len(parts), 3)], "/")
	}
	if len(parts) > 1 && parts[1] == "receipts" {
		kind = r.Method + " receipts"
	}
	f.mu.Lock()
	f.requests[kind]++
	q := f.queues[parts[0]]
	f.mu.Unlock()
	if kind == http.MethodPut {
		f.mu.Lock()
		f.queues[parts[0]] = &fakeQueue{inFlight: map[string]fakeMessage{}, arrival: make(chan struct{})}
		f.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		return
	}
	if q == nil {
		f.problem(w, http.StatusNotFound, "queue_not_found")
		return
	}
	switch kind {
	case http.MethodDelete:
		f.mu.Lock()
		delete(f.queues, parts[0])
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet:
		f.mu.Lock()
		fmt.Fprintf(w, `{"name":%q,"counts":{"available":%d,"in_flight":%d,"delayed":0}}`, parts[0], len(q.ready), len(q.inFlight))
		f.mu.Unlock()
	case "POST messages":
		id, status := f.store(q, string(body))
		if status != http.StatusCreated {
			f.problem(w, status, "rate_limited")
			return
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"id":%q,"size":%d}`, id, len(body))
	case "POST messages/batch":
		f.batch(w, q, body)
	case "POST receive":
		f.receive(w, r.URL.Query(), q, body)
	case "GET ws":
		f.socket(w, r, q)
	case "POST ack":
		f.answerAcks(w, q, body)
	case "DELETE receipts":
		if f.ack(q, parts[2]) != http.StatusNoContent {
			f.problem(w, http.StatusGone, "receipt_handle_expired")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case "PATCH receipts":
		f.mu.Lock()
		defer f.mu.Unlock()
		q.ready = append(q.ready, q.inFlight[parts[2]])
		delete(q.inFlight, parts[2])
		fmt.Fprint(w, `{}`)
	default:
		f.problem(w, http.StatusMethodNotAllowed, "method_not_allowed")
	}
}

func (f *fakeSluice) count(kind string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[kind] += n
}

// seen returns how many messages were sent, the requests by kind, and how many queues there are.
func (f *fakeSluice) seen() (stored int, requests map[string]int, queues int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored, maps.Clone(f.requests), len(f.queues)
}

func (f *fakeSluice) problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"title":"no","status":%d,"code":%q}`, status, code)
}

// nth is true for the first and then for each n-th, so that however short the run, there is one.
func nth(n, every int) bool { return every > 0 && n%every == 1%every }

func (f *fakeSluice) store(q *fakeQueue, body string) (id string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored++
	if f.stored == 1 && f.onFirst != nil {
		f.onFirst()
	}
	m := fakeMessage{id: fmt.Sprintf("msg_%d", f.stored), body: body}
	switch {
	case nth(f.stored, f.refuseEvery):
		return "", http.StatusTooManyRequests
	case nth(f.stored, f.loseEvery):
		return m.id, http.StatusCreated
	case nth(f.stored, f.doubleEvery):
		q.ready = append(q.ready, fakeMessage{id: m.id + "-again", body: body})
	case nth(f.stored, f.changeEvery):
		m.body = body[:len(body)-1]
	}
	q.ready = append(q.ready, m)
	close(q.arrival)
	q.arrival = make(chan struct{})
	return m.id, http.StatusCreated
}

func (f *fakeSluice) batch(w http.ResponseWriter, q *fakeQueue, body []byte) {
	var request struct {
		Messages []struct{ ID, Body string }
	}
	if json.Unmarshal(body, &request) != nil {
		f.problem(w, http.StatusBadRequest, "malformed_request")
		return
	}
	status := http.StatusCreated
	var results []map[string]any
	for _, m := range request.Messages {
		id, one := f.store(q, m.Body)
		if one != http.StatusCreated {
			status = http.StatusMultiStatus
		}
		results = append(results, map[string]any{"ref": m.ID, "status": one, "id": id})
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

func (f *fakeSluice) receive(w http.ResponseWriter, query url.Values, q *fakeQueue, body []byte) {
	answer := map[string]any{}
	if len(body) > 0 {
		results, _ := f.acks(q, body)
		answer["acked"] = results
	}
	most, _ := strconv.Atoi(query.Get("max"))
	wait, _ := strconv.Atoi(query.Get("wait"))
	messages := []map[string]any{}
	for _, m := range f.take(q, most, wait) {
		handle := "rh_" + m.id
		messages = append(messages, map[string]any{
			"id": m.id, "receipt_handle": handle, "ack_url": "/v1/queues/q/receipts/" + handle,
			"body": m.body, "body_encoding": "utf8", "receive_count": 1,
		})
	}
	if f.reverse {
		slices.Reverse(messages)
	}
	answer["messages"] = messages
	_ = json.NewEncoder(w).Encode(answer)
}

// take lends up to most messages, and waits for one for some of its seconds.
func (f *fakeSluice) take(q *fakeQueue, most, wait int) []fakeMessage {
	over := time.After(time.Duration(wait) * fakeSecond)
	for {
		f.mu.Lock()
		n := min(most, len(q.ready))
		taken := slices.Clone(q.ready[:n])
		for _, m := range taken {
			q.inFlight["rh_"+m.id] = m
		}
		q.ready = q.ready[n:]
		arrival := q.arrival
		f.mu.Unlock()
		if n > 0 || wait == 0 {
			return taken
		}
		select {
		case <-arrival:
		case <-over:
			return nil
		}
	}
}

// socket sends messages while there is credit, and confirms acks.
func (f *fakeSluice) socket(w http.ResponseWriter, r *http.Request, q *fakeQueue) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for credit := 0; ; {
		_, frame, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var request struct {
			Op     string
			N      int
			Handle string `json:"receipt_handle"`
		}
		if json.Unmarshal(frame, &request) != nil {
			return
		}
		reply := map[string]any{"op": "acked", "receipt_handle": request.Handle}
		switch {
		case request.Op == "credit":
			credit, reply = credit+request.N, nil
		case f.ack(q, request.Handle) != http.StatusNoContent:
			reply["op"] = "error"
		}
		if reply != nil && wsjson.Write(r.Context(), conn, reply) != nil {
			return
		}
		f.mu.Lock()
		n := min(credit, 10-len(q.inFlight), len(q.ready))
		var batch []fakeMessage
		if n > 0 {
			batch = q.ready[:n]
			q.ready = q.ready[n:]
		}
		for _, m := range batch {
			q.inFlight["rh_"+m.id] = m
		}
		f.mu.Unlock()
		credit -= len(batch)
		for _, m := range batch {
			if wsjson.Write(r.Context(), conn, map[string]any{"op": "message", "id": m.id, "receipt_handle": "rh_" + m.id, "body": m.body}) != nil {
				return
			}
		}
	}
}

func (f *fakeSluice) answerAcks(w http.ResponseWriter, q *fakeQueue, body []byte) {
	results, status := f.acks(q, body)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
}

func (f *fakeSluice) acks(q *fakeQueue, body []byte) (results []map[string]any, status int) {
	var request struct{ Ack []string }
	if json.Unmarshal(body, &request) != nil {
		return nil, http.StatusBadRequest
	}
	status = http.StatusOK
	for _, handle := range request.Ack {
		one := f.ack(q, handle)
		if one != http.StatusNoContent {
			status = http.StatusMultiStatus
		}
		results = append(results, map[string]any{"receipt_handle": handle, "status": one})
	}
	return results, status
}

func (f *fakeSluice) ack(q *fakeQueue, handle string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ackCount++
	if _, ok := q.inFlight[handle]; !ok || nth(f.ackCount, f.refuseAckEvery) {
		return http.StatusGone
	}
	delete(q.inFlight, handle)
	return http.StatusNoContent
}
