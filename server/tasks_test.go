package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// task is a task as the API shows it.
type task struct {
	ID       string
	Status   string
	Progress struct{ Total, Looked, Done, Failed int64 }
}

func getTask(tb testing.TB, url, key, id string) task {
	tb.Helper()
	var got task
	must(tb, http.StatusOK, &got, http.MethodGet, url+"/v1/tasks/"+id, key, "")
	return got
}

// sendMany sends n messages.
func sendMany(tb testing.TB, url, key, queue string, n int) {
	tb.Helper()
	for ; n > 0; n -= 1000 {
		lines := strings.Repeat("m\n", min(n, 1000))
		must(tb, http.StatusCreated, nil, http.MethodPost, url+"/v1/queues/"+queue+"/messages/batch", key, lines, "Content-Type", "application/x-ndjson")
	}
}

// purgeAge is in seconds, and more than it takes to send a few messages and begin a purge on a busy machine.
const purgeAge = 5

// purgeOld waits until the messages that are there, however long it took to send them, are older than purgeAge, and
// begins a purge of them. It sends a few that are younger.
func purgeOld(tb testing.TB, url, key, queue string, n int64) task {
	tb.Helper()
	oldest := func() float64 {
		var q struct {
			OldestAge float64 `json:"oldest_age"`
		}
		must(tb, http.StatusOK, &q, http.MethodGet, url+"/v1/queues/"+queue, key, "")
		return q.OldestAge
	}
	span := oldest()
	until(tb, "the messages are old", func() bool { return oldest() > span+purgeAge+1 })
	sendMany(tb, url, key, queue, 7)
	var got task
	must(tb, http.StatusAccepted, &got, http.MethodPost, url+"/v1/queues/"+queue+"/purge", key, fmt.Sprintf(`{"confirm":%q,"older_than":%d}`, queue, purgeAge))
	if got.Status != "running" || got.Progress.Total != n+7 {
		tb.Fatalf("got %+v, want %d messages to look at", got, n+7)
	}
	return got
}

// The whole program is killed in the middle of a task and starts again; once the lease has ended it goes on.
func TestG11_ATaskOutlivesTheServer(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	sendMany(t, p.URL, p.Key, queue, n)
	begun := purgeOld(t, p.URL, p.Key, queue, n)
	until(t, "the task is under way", func() bool { return getTask(t, p.URL, p.Key, begun.ID).Progress.Done > 500 })
	p.Kill9()
	killed := time.Now()
	p.Restart()
	p.WaitReady()
	before := getTask(t, p.URL, p.Key, begun.ID)
	if before.Status != "running" {
		t.Fatalf("after the restart: %+v, want it unfinished", before)
	}
	until(t, "another server goes on", func() bool { return getTask(t, p.URL, p.Key, begun.ID).Progress.Done > before.Progress.Done })
	resumed := time.Since(killed)
	var got task
	until(t, "the task has ended", func() bool {
		got = getTask(t, p.URL, p.Key, begun.ID)
		return got.Status != "running"
	})
	if got.Status != "succeeded" || got.Progress.Done != n || got.Progress.Failed != 0 || got.Progress.Total != got.Progress.Looked {
		t.Errorf("in the end: %+v, want %d done", got, n)
	}
	var q struct {
		Counts counts
		Totals struct{ Sent, Deleted int64 }
	}
	must(t, http.StatusOK, &q, http.MethodGet, p.URL+"/v1/queues/"+queue, p.Key, "")
	if q.Counts != (counts{Available: 7}) || q.Totals.Deleted != n || q.Totals.Sent != n+7 {
		t.Errorf("the queue has %+v", q)
	}
	t.Logf("killed after %d of %d messages, resumed %s later", before.Progress.Done, n, resumed.Round(time.Millisecond))
	if resumed > 15*time.Second {
		t.Errorf("it went on after %s, want 15 s at most: ten for the lease and five", resumed)
	}
}

// A server that stops gives its tasks back, and another one goes on at once. Somebody cancels there.
func TestG11_AStoppedServerHandsItsTasksOver(t *testing.T) {
	t.Parallel()
	const n = 20_000
	redis := redistest.Start(t, redistest.Options{})
	a, b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet), servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, a.URL(), a.Key, "")
	sendMany(t, a.URL(), a.Key, queue, n)
	begun := purgeOld(t, a.URL(), a.Key, queue, n)
	until(t, "the task is under way", func() bool { return getTask(t, a.URL(), a.Key, begun.ID).Progress.Done > 0 })
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	before := getTask(t, b.URL(), b.Key, begun.ID)
	took := within(t, 8*time.Second, "the other server goes on without waiting for the end of the lease", func() bool {
		got := getTask(t, b.URL(), b.Key, begun.ID)
		return got.Status == "succeeded" || got.Progress.Done > before.Progress.Done
	})
	t.Logf("the other server went on within %s", took.Round(time.Millisecond))
	if metric(t, b.MetricsURL(), "sluice_task_steps_total") == 0 || metric(t, b.MetricsURL(), "sluice_task_failures_total") != 0 {
		t.Error("the other server counts no steps, or failures")
	}
	answered := call(t, http.MethodPost, b.URL()+"/v1/tasks/"+begun.ID+"/cancel", b.Key, "")
	if answered.status != http.StatusOK && answered.code() != "task_finished" {
		t.Fatalf("cancel: %s", answered)
	}
	var got task
	until(t, "the task has ended", func() bool {
		got = getTask(t, b.URL(), b.Key, begun.ID)
		return got.Status == "cancelled" || got.Status == "succeeded"
	})
	var q struct {
		Counts counts
		Totals struct{ Deleted int64 }
	}
	must(t, http.StatusOK, &q, http.MethodGet, b.URL()+"/v1/queues/"+queue, b.Key, "")
	if q.Totals.Deleted != got.Progress.Done || int64(q.Counts.Available) != n+7-got.Progress.Done {
		t.Errorf("the task says %+v, the queue %+v", got, q)
	}
}
