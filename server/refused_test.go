package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// drain receives and acknowledges all messages of a queue and returns their bodies.
func drain(tb testing.TB, url, key, queue string) []string {
	tb.Helper()
	var bodies []string
	ack := ""
	for {
		var got struct{ Messages []received }
		must(tb, http.StatusOK, &got, http.MethodPost, url+"/v1/queues/"+queue+"/receive?max=100", key, ack)
		if len(got.Messages) == 0 {
			return bodies
		}
		for _, m := range got.Messages {
			bodies = append(bodies, m.Body)
		}
		ack = ackList(got.Messages)
	}
}

func TestG2_ARefusedSendNeverAppears(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()))
	queue := newQueue(t, s.URL(), s.Key, `{"max_message_size":2048}`)
	path := s.URL() + "/v1/queues/" + queue + "/messages"
	large := strings.Repeat("x", 3000)
	refused := 0
	for _, c := range []struct {
		what    string
		path    string
		key     string
		body    string
		headers []string
		want    int
	}{
		{"no key", path, "", "leak", nil, 401},
		{"an unknown key", path, "slk_2vTMXST9k2ASPchKZT0et1hUB9sbfK0DKwKm", "leak", nil, 401},
		{"an operator without a tenant", path, s.OperatorKey, "leak", nil, 422},
		{"an unknown queue", s.URL() + "/v1/queues/nowhere/messages", s.Key, "leak", nil, 404},
		{"an unknown parameter", path + "?dealy=3", s.Key, "leak", nil, 422},
		{"a negative delay", path + "?delay=-1", s.Key, "leak", nil, 422},
		{"a delay that is too long", path, s.Key, "leak", []string{"Message-Delay", "15d"}, 422},
		{"an unknown header", path, s.Key, "leak", []string{"Message-Dealy", "3"}, 422},
		{"damaged attributes", path, s.Key, "leak", []string{"Message-Attributes", "{"}, 422},
		{"an encoding", path, s.Key, "leak", []string{"Content-Encoding", "gzip"}, 415},
		{"too large", path, s.Key, "leak" + large, nil, 413},
		{"a batch that is damaged", path + "/batch", s.Key, `{"messages":[{"body":"leak"},]}`, nil, 400},
		{"a batch with an unknown member", path + "/batch", s.Key, `{"messages":[{"body":"leak"}],"atomci":true}`, nil, 422},
		{"an atomic batch with one too large", path + "/batch?atomic=true", s.Key, `{"messages":[{"body":"leak"},{"body":"leak` + large + `"}]}`, nil, 413},
	} {
		a := call(t, http.MethodPost, c.path, c.key, c.body, c.headers...)
		if a.status != c.want {
			t.Errorf("%s: got %s, want %d", c.what, a, c.want)
		}
		refused++
	}

	// Redis is gone, so nothing is sent: a definite no, after the time that the server tries.
	redis.Kill9()
	answers := make(chan answer)
	for i := range 50 {
		go func() { answers <- try(http.MethodPost, path, s.Key, fmt.Sprintf("leak-%d", i)) }()
	}
	definite := 0
	for range 50 {
		switch a := <-answers; {
		case a.err == nil && a.status == http.StatusServiceUnavailable && a.code() == "not_ready":
			definite++
			if a.header.Get("Retry-After") == "" {
				t.Errorf("without Redis: %s has no Retry-After", a)
			}
		default:
			t.Errorf("without Redis: got %s, want 503 not_ready", a)
		}
	}
	redis.Restart()
	until(t, "the server is ready", func() bool { return isReady(s.URL()) })
	must(t, http.StatusCreated, nil, http.MethodPost, path, s.Key, "kept")
	if got := drain(t, s.URL(), s.Key, queue); len(got) != 1 || got[0] != "kept" {
		t.Errorf("the queue has %q, want only what was confirmed", got)
	}
	t.Logf("refused %d, of those %d without Redis; leaked 0", refused+definite, definite)
}

// A full Redis refuses what would fill it further, and everything else goes on: nothing would ever get better otherwise.
func TestG1f_AFullRedisRefusesSendsAndCanBeEmptied(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "12mb"})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, `{"visibility_timeout":600}`)
	path := s.URL() + "/v1/queues/" + queue
	other := newQueue(t, s.URL(), s.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+other+"/messages", s.Key, "purge me")

	filler := strings.Repeat("x", 20_000)
	confirmed, refused := map[string]bool{}, 0
	for n := 0; refused < 50; n++ {
		body := fmt.Sprintf("%d-%s", n, filler)
		switch a := call(t, http.MethodPost, path+"/messages", s.Key, body); {
		case a.status == http.StatusCreated:
			confirmed[body] = true
		case a.status == http.StatusInsufficientStorage && a.code() == "storage_full" && a.header.Get("Retry-After") != "":
			refused++
		default:
			t.Fatalf("send %d: %s", n, a)
		}
		if n > 10_000 {
			t.Fatal("Redis does not become full")
		}
	}
	// It stays in the balance: consumers must reach it.
	until(t, "the server says that it is full", func() bool {
		status, r := readiness(s.URL())
		if status != http.StatusOK {
			t.Fatalf("a full Redis makes the server not ready, so nobody can empty it: %+v", r)
		}
		return slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "sends are refused") })
	})
	var got struct{ Messages []received }
	must(t, http.StatusOK, &got, http.MethodPost, path+"/receive?max=3", s.Key, "")
	must(t, http.StatusOK, nil, http.MethodPatch, s.URL()+got.Messages[0].AckURL, s.Key, `{"visibility_timeout":0}`)
	must(t, http.StatusOK, nil, http.MethodPatch, s.URL()+got.Messages[1].AckURL, s.Key, `{"visibility_timeout":100}`)
	must(t, http.StatusOK, nil, http.MethodPatch, s.URL()+got.Messages[1].AckURL, s.Key, `{"visibility_timeout":0}`)
	must(t, http.StatusNoContent, nil, http.MethodDelete, s.URL()+got.Messages[2].AckURL, s.Key, "")
	delete(confirmed, got.Messages[2].Body)
	must(t, http.StatusOK, nil, http.MethodGet, path, s.Key, "")
	must(t, http.StatusOK, nil, http.MethodGet, path+"/messages", s.Key, "")
	must(t, http.StatusAccepted, nil, http.MethodPost, s.URL()+"/v1/queues/"+other+"/purge", s.Key, `{"confirm":"`+other+`"}`)

	// Even a server that starts now must be of use: a new one, and this one again.
	another := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	again := servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(s.DataDir), quiet)
	must(t, http.StatusOK, nil, http.MethodGet, another.URL()+"/v1/queues/"+queue, s.Key, "")
	drained := drain(t, again.URL(), again.Key, queue)
	for _, body := range drained {
		if !confirmed[body] {
			t.Errorf("a message of %d bytes was delivered that was refused, or twice", len(body))
		}
		delete(confirmed, body)
	}
	if len(confirmed) > 0 {
		t.Errorf("%d confirmed messages are lost", len(confirmed))
	}
	until(t, "there is room again", func() bool {
		return call(t, http.MethodPost, again.URL()+"/v1/queues/"+queue+"/messages", again.Key, "room again").status == http.StatusCreated
	})
	t.Logf("refused %d, drained %d, lost %d", refused, len(drained), len(confirmed))
}
