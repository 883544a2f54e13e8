package handlers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
)

// newTaskTest starts a server on a Redis of its own, so that no other test's server works on its tasks.
func newTaskTest(t *testing.T) *apiTest {
	t.Helper()
	return newAPITest(t, onServer(redistest.Start(t, redistest.Options{})))
}

func (h *apiTest) purge(path, older string) *answer {
	h.Helper()
	return h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`","older_than":`+older+`}`)
}

func (h *apiTest) getTask(id string) handlers.Task {
	h.Helper()
	var task handlers.Task
	h.do("GET", "/v1/tasks/"+id, "").is(200).into(&task)
	return task
}

func TestPurgeByAge(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	path := h.queue("")
	for range 230 {
		h.sendText(path, "old")
	}
	h.do("POST", path+"/messages?delay=86400", "old, later").is(201)
	h.json("PATCH", path, `{"visibility_timeout":43200}`).is(200) // the clock goes on until the work is done
	held := h.receive(path, 10)
	h.clock.Advance(10 * time.Second)
	h.sendText(path, "new")
	h.wantCounts(path, [3]int64{221, 10, 1})

	// What is refused changes nothing.
	for _, older := range []string{"0", "-1", "1209601", "1.5", `"x"`, `"15d"`, "true", "[]"} {
		if f := h.purge(path, older).problem(422, "validation_failed").Errors[0]; f.Pointer != "/older_than" {
			t.Errorf("older_than %s: got %+v", older, f)
		}
	}
	h.json("POST", path+"/purge", `{"confirm":"x","older_than":5}`).problem(422, "confirmation_mismatch")
	h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`","olderthan":5}`).problem(422, "unknown_field")
	h.json("POST", "/v1/queues/nothing/purge", `{"confirm":"nothing","older_than":5}`).problem(404, "queue_not_found")

	a := h.purge(path, "10").is(202)
	var task handlers.Task
	a.into(&task)
	diff(t, "task", handlers.Task{ID: task.ID, Type: "purge", Status: "running", Scope: handlers.TaskScope{Queue: queueName(path), OlderThan: 10},
		Progress: handlers.TaskProgress{Total: 222}, CreatedBy: task.CreatedBy, CreatedAt: *instant(10 * time.Second),
		ErrorsURL: "/v1/tasks/" + task.ID + "/errors"}, task)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	if a.header.Get("Location") != "/v1/tasks/"+task.ID || task.CreatedBy != who.Key.ID {
		t.Errorf("Location %q, created by %q; want by %q", a.header.Get("Location"), task.CreatedBy, who.Key.ID)
	}
	// One at a time for a queue; also while nobody works on it.
	if p := h.purge(path, "5").problem(409, "task_already_running"); !strings.Contains(p.Fix, task.ID) {
		t.Errorf("the other task is not named: %+v", p)
	}
	other := h.queue("")
	h.purge(other, `"1h30m"`).is(202)

	h.work(h.queues.Purging())
	until(t, "both have ended", func() bool {
		h.clock.Advance(time.Second)
		var p handlers.Page[handlers.Task]
		h.do("GET", "/v1/tasks?status=succeeded", "").is(200).into(&p)
		return len(p.Data) == 2
	})
	task = h.getTask(task.ID)
	if p := task.Progress; p.Done != 221 || p.Failed != 0 || p.Total != p.Looked || p.ETA != nil || task.Error != nil || task.FinishedAt == nil || task.StartedAt == nil {
		t.Errorf("got %+v, want 221 done", task)
	}
	h.json("POST", path+"/ack", `{"ack":["`+held[0].ReceiptHandle+`"]}`).is(200)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if q.Totals.Deleted != 222 || q.Counts.Delayed != 0 {
		t.Errorf("the queue has %+v and counts %+v", q.Counts, q.Totals)
	}
	h.purge(path, "5").is(202) // the first one is over

	// Lists are by type, state and queue.
	for query, want := range map[string]int{
		"type=purge": 3, "queue=" + queueName(path): 2, "queue=" + queueName(other): 1, "queue=none": 0, "status=failed": 0, "status=cancelled": 0,
		"type=purge&status=succeeded&queue=" + queueName(other): 1,
	} {
		var p handlers.Page[handlers.Task]
		h.do("GET", "/v1/tasks?"+query, "").is(200).into(&p)
		if len(p.Data) != want {
			t.Errorf("%s: got %d tasks, want %d", query, len(p.Data), want)
		}
	}
	for query, parameter := range map[string]string{"type=x": "type", "status=done": "status", "type=Purge": "type", "type=": "type", "status=": "status"} {
		if f := h.do("GET", "/v1/tasks?"+query, "").problem(422, "validation_failed").Errors[0]; f.Query != parameter {
			t.Errorf("%s: got %+v", query, f)
		}
	}
	var p handlers.Page[handlers.Task]
	h.do("GET", "/v1/tasks?limit=1&type=purge", "").is(200).into(&p)
	h.do("GET", "/v1/tasks?limit=1&cursor="+*p.NextCursor, "").problem(422, "validation_failed")
	h.do("GET", "/v1/tasks?limit=1&type=purge&cursor="+*p.NextCursor, "").is(200)
}

func TestCancelATask(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	path := h.queue("")
	for range 5 {
		h.sendText(path, "old")
	}
	h.clock.Advance(time.Minute)
	var task handlers.Task
	h.purge(path, "1").is(202).into(&task)
	for range 2 {
		h.do("POST", "/v1/tasks/"+task.ID+"/cancel", "").is(200).into(&task)
		if task.Status != "cancelling" {
			t.Errorf("got %+v, want cancelling", task)
		}
	}
	h.work(h.queues.Purging())
	until(t, "it has ended", func() bool { return h.getTask(task.ID).Status == "cancelled" })
	if got := h.getTask(task.ID); got.Progress.Done != 0 || got.FinishedAt == nil || got.Error != nil {
		t.Errorf("got %+v", got)
	}
	h.wantCounts(path, [3]int64{5, 0, 0})
	h.do("POST", "/v1/tasks/"+task.ID+"/cancel", "").problem(409, "task_finished")

	stranger := h.newKey(h.newTenant().ID)
	for _, id := range []string{task.ID, "task_00000000000000000000", "x", "%00"} {
		for _, c := range [][2]string{{"GET", ""}, {"GET", "/errors"}, {"POST", "/cancel"}} {
			h.do(c[0], "/v1/tasks/"+id+c[1], "", "Authorization", "Bearer "+stranger).problem(404, "task_not_found")
		}
	}
	h.do("POST", "/v1/tasks/"+task.ID+"/cancel?x=1", "").problem(422, "validation_failed")
}

func TestErrorsAndFailuresOfATask(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	gone := h.queue("")
	h.sendText(gone, "m")
	h.clock.Advance(time.Minute)
	var lost, odd handlers.Task
	h.purge(gone, "1").is(202).into(&lost)
	h.do("DELETE", gone, "").is(204)
	path := h.queue("")
	h.purge(path, "1").is(202).into(&odd)
	h.work(tasks.Kind{Step: func(ctx context.Context, w tasks.Work) (tasks.Result, error) {
		if w.Task.ID == lost.ID {
			return h.queues.Purging().Step(ctx, w)
		}
		res := tasks.Result{Looked: 7, Done: 4, Failed: 3, Finished: true}
		for i := range 3 {
			res.Errors = append(res.Errors, tasks.ItemError{Item: fmt.Sprint("msg_", i), Code: "message_too_large", Message: "The message is too large."})
		}
		return res, nil
	}})
	until(t, "both have ended", func() bool { return h.getTask(lost.ID).FinishedAt != nil && h.getTask(odd.ID).FinishedAt != nil })
	got := h.getTask(lost.ID)
	if got.Status != "failed" || got.Error == nil || got.Error.Code != "queue_not_found" || got.Error.Detail == "" {
		t.Errorf("the queue was deleted: got %+v", got)
	}
	if got := h.getTask(odd.ID); got.Status != "succeeded" || got.Progress.Failed != 3 || got.Progress.Done != 4 {
		t.Errorf("got %+v", got)
	}
	var items []string
	for path := odd.ErrorsURL + "?limit=2"; path != ""; {
		var p handlers.Page[handlers.TaskError]
		h.do("GET", path, "").is(200).into(&p)
		for _, e := range p.Data {
			if e.Code != "message_too_large" || e.Detail == "" || !e.At.Equal(h.clock.Now()) {
				t.Errorf("got %+v", e)
			}
			items = append(items, e.Item)
		}
		if path = ""; p.NextCursor != nil {
			path = odd.ErrorsURL + "?limit=2&cursor=" + *p.NextCursor
			h.do("GET", lost.ErrorsURL+"?cursor="+*p.NextCursor, "").problem(422, "validation_failed")
		}
	}
	diff(t, "items", []string{"msg_0", "msg_1", "msg_2"}, items)
	h.do("GET", odd.ErrorsURL+"?limit=0", "").problem(422, "validation_failed")
	h.do("GET", odd.ErrorsURL+"?cursor=x", "").problem(422, "validation_failed")
}

func TestTooManyTasks(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	for i := range tasks.MaxUnfinished {
		if _, err := h.api.Tasks.Start(t.Context(), h.tenant.ID.String(), tasks.NewTask{Type: "purge", Queue: fmt.Sprint("q", i)}); err != nil {
			t.Fatal(err)
		}
	}
	path := h.queue("")
	p := h.purge(path, "1").problem(403, "quota_exceeded")
	if p.Quota != "unfinished_tasks" || p.Limit != 100 || p.Used != 100 || p.Fix == "" {
		t.Errorf("got %+v, want the quota with its limit and use", p)
	}
	// What is done at once is no unfinished task.
	h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`"}`).is(202)
	var other handlers.Task
	h.tenant = h.newTenant()
	h.key = h.newKey(h.tenant.ID)
	h.purge(h.queue(""), "1").is(202).into(&other)
}
