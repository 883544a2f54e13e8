package server_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/sluicemq/sluice/server/servertest"
)

// What people decided about a queue holds after the program was killed and started again.
func TestPausesOutliveARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/orders"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "m")
	must(t, http.StatusOK, nil, http.MethodPost, queue+"/pause", p.Key, `{"reason":"upgrade"}`)
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusConflict, nil, http.MethodPost, queue+"/messages", p.Key, "m")
	var got struct {
		Paused   bool
		Messages []struct{ Body string }
	}
	must(t, http.StatusOK, &got, http.MethodPost, queue+"/receive", p.Key, "")
	if !got.Paused || len(got.Messages) != 0 {
		t.Errorf("received %+v, want nothing, paused", got)
	}
	must(t, http.StatusOK, nil, http.MethodPost, queue+"/resume", p.Key, "")
	must(t, http.StatusOK, &got, http.MethodPost, queue+"/receive", p.Key, "")
	if len(got.Messages) != 1 {
		t.Errorf("received %+v after the pause, want a message", got)
	}
}

// So do caps, and the count of what a queue holds.
func TestCapsOutliveARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/latest"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, `{"max_messages":2}`)
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "a")
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "b")
	var before, after struct{ Bytes int64 }
	must(t, http.StatusOK, &before, http.MethodGet, queue, p.Key, "")
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusInsufficientStorage, nil, http.MethodPost, queue+"/messages", p.Key, "c")
	must(t, http.StatusOK, &after, http.MethodGet, queue, p.Key, "")
	if before != after || after.Bytes == 0 {
		t.Errorf("the queue held %d bytes and holds %d", before.Bytes, after.Bytes)
	}
}

// So does the state of a group, which its holder reads on.
func TestGroupStatesOutliveARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/orders.fifo"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages/batch", p.Key, `{"messages":[{"body":"m","group_id":"g","deduplication_id":"1"}]}`)
	var got struct {
		Messages []struct {
			AckURL string `json:"ack_url"`
		}
	}
	must(t, http.StatusOK, &got, http.MethodPost, queue+"/receive", p.Key, "")
	state := p.URL + got.Messages[0].AckURL + "/group-state"
	must(t, http.StatusOK, nil, http.MethodPut, state, p.Key, `{"step":3}`)
	p.Kill9()
	p.Restart()
	p.WaitReady()
	var read struct{ Step int }
	must(t, http.StatusOK, &read, http.MethodGet, state, p.Key, "")
	if read.Step != 3 {
		t.Errorf("read %+v", read)
	}
}

// So does what a full queue has pushed out.
func TestOverflowOutlivesARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/latest"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, `{"max_messages":1,"when_full":"dead_letter","redrive":{"dead_letter_queue":"older","max_receives":3}}`)
	for _, body := range []string{"a", "b", "c"} {
		must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, body)
	}
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "d")
	until(t, "all but the last have come to the dead-letter queue", func() bool {
		return queueCounts(t, p.URL, p.Key, "older") == counts{Available: 3} && queueCounts(t, p.URL, p.Key, "latest") == counts{Available: 1}
	})
}

// So does who holds what.
func TestHoldersOutliveARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/jobs"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "m")
	must(t, http.StatusOK, nil, http.MethodPost, queue+"/receive?consumer=worker-7", p.Key, "")
	var before, after struct {
		Data []struct {
			HeldBy    string    `json:"held_by"`
			HeldSince time.Time `json:"held_since"`
		}
	}
	must(t, http.StatusOK, &before, http.MethodGet, queue+"/messages?state=in_flight", p.Key, "")
	p.Kill9()
	p.Restart()
	p.WaitReady()
	must(t, http.StatusOK, &after, http.MethodGet, queue+"/messages?state=in_flight", p.Key, "")
	if !reflect.DeepEqual(before, after) || len(after.Data) != 1 || after.Data[0].HeldBy != "worker-7" || after.Data[0].HeldSince.IsZero() {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// What was received at most once does not come back.
func TestAtMostOnceOutlivesARestart(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := p.URL + "/v1/queues/samples"
	must(t, http.StatusCreated, nil, http.MethodPut, queue, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, queue+"/messages", p.Key, "m")
	var got struct{ Messages []struct{ Body string } }
	must(t, http.StatusOK, &got, http.MethodPost, queue+"/receive?ack=auto", p.Key, "")
	p.Kill9()
	p.Restart()
	p.WaitReady()
	if all := queueCounts(t, p.URL, p.Key, "samples"); len(got.Messages) != 1 || all != (counts{}) {
		t.Errorf("received %+v; after a restart there are %+v", got, all)
	}
}
