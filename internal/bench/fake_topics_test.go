package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// fakeTopic leads to queues at once, and to endpoints in the background.
type fakeTopic struct {
	subscriptions map[string]fakeSubscription
	sending       sync.WaitGroup
}

type fakeSubscription struct{ Queue, Endpoint string }

func (f *fakeSluice) serveTopic(w http.ResponseWriter, method string, path []string, body []byte, key string) {
	f.mu.Lock()
	t := f.topics[path[0]]
	f.mu.Unlock()
	switch kind := method + strings.Repeat(" x", len(path)-1); {
	case kind == "PUT":
		f.mu.Lock()
		f.topics[path[0]] = &fakeTopic{subscriptions: map[string]fakeSubscription{}}
		f.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	case t == nil:
		f.problem(w, http.StatusNotFound, "topic_not_found")
	case kind == "DELETE":
		t.sending.Wait()
		f.mu.Lock()
		delete(f.topics, path[0])
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case kind == "PUT x x":
		var s fakeSubscription
		if json.Unmarshal(body, &s) != nil || s.Endpoint != "" && f.refuseEndpoints {
			f.problem(w, http.StatusUnprocessableEntity, "endpoint_not_allowed")
			return
		}
		f.mu.Lock()
		t.subscriptions[path[2]] = s
		f.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
	case kind == "DELETE x x":
		f.mu.Lock()
		delete(t.subscriptions, path[2])
		f.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case kind == "POST x":
		f.publish(t, string(body), key)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"msg_1"}`)
	case kind == "POST x x":
		var request struct {
			Messages []struct{ ID, Body string }
		}
		_ = json.Unmarshal(body, &request)
		results := []map[string]any{}
		for _, m := range request.Messages {
			f.publish(t, m.Body, key)
			results = append(results, map[string]any{"ref": m.ID, "status": http.StatusCreated, "id": "msg_1"})
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	}
}

// publish stores a message in the queues of a topic, and sends it to its endpoints through a queue of each, so that the faults of
// queues are theirs too. What an endpoint has not taken, or one of another tenant has, does not count as stored.
func (f *fakeSluice) publish(t *fakeTopic, body, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range t.subscriptions {
		if q := f.queues[s.Queue]; q != nil {
			t.sending.Go(func() { f.store(q, body) })
			continue
		}
		t.sending.Go(func() {
			q := &fakeQueue{arrival: make(chan struct{})}
			f.store(q, body)
			counts := key == fakeKey
			for _, m := range q.ready {
				resp, err := http.Post(s.Endpoint, "text/plain", bytes.NewBufferString(m.body))
				if err != nil {
					counts = false
					continue
				}
				_ = resp.Body.Close()
			}
			if !counts {
				f.mu.Lock()
				f.stored--
				f.mu.Unlock()
			}
		})
	}
}
