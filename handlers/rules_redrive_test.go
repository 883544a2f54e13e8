package handlers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// redrive asks for a redrive of a queue.
func (h *apiTest) redrive(path, options string) handlers.Task {
	h.Helper()
	var task handlers.Task
	h.json("POST", path+"/redrive", options).is(202).into(&task)
	return task
}

// workOnRedrives lets the server work on redrives; see work.
func (h *apiTest) workOnRedrives() {
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{queues.RedriveTask: h.queues.Redriving()}}).Run)
}

// ended moves the clock until a task has ended, and returns it.
func (h *apiTest) ended(task handlers.Task) handlers.Task {
	h.Helper()
	until(h.TB, "the task has ended", func() bool {
		h.clock.Advance(100 * time.Millisecond)
		return h.getTask(task.ID).FinishedAt != nil
	})
	return h.getTask(task.ID)
}

func TestQ130_AnyQueueCanBeRedriven(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	plain, to := h.queue(""), h.queue("")
	h.sendText(plain, "m")
	h.workOnRedrives()
	task := h.ended(h.redrive(plain, "{}"))
	var p handlers.Page[handlers.TaskError]
	h.do("GET", task.ErrorsURL, "").is(200).into(&p)
	if task.Progress.Done != 0 || task.Progress.Failed != 1 || len(p.Data) != 1 || p.Data[0].Code != "no_source_queue" {
		t.Errorf("a message that came from nowhere: got %+v, %+v", task, p.Data)
	}
	h.wantCounts(plain, [3]int64{1})
	task = h.ended(h.redrive(plain, `{"to":"`+queueName(to)+`"}`))
	if task.Status != "succeeded" || task.Progress.Done != 1 {
		t.Errorf("to a queue that is named: got %+v", task)
	}
	h.arrived(to, 1)
	h.json("POST", "/v1/queues/nothing/redrive", "{}").problem(404, "queue_not_found")
	if p := h.json("POST", plain+"/redrive", `{"to":"nothing"}`).problem(422, "validation_failed"); firstPlace(p) != "/to" {
		t.Errorf("to nowhere: the fault is at %q", firstPlace(p))
	}
}

func TestQ131_OneRedriveOfAQueueIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	_, dead := h.deadLetters("1")
	_, other := h.deadLetters("2")
	first := h.redrive(dead, "{}")
	h.json("POST", dead+"/redrive", "{}").problem(409, "task_already_running")
	h.redrive(other, "{}")
	h.workOnRedrives()
	h.ended(first)
	h.redrive(dead, "{}")
}

func TestQ132_ARedriveKeepsToItsRate(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	path, dead := h.deadLetters("1", "2", "3", "4", "5", "6")
	for _, bad := range []string{"-1", "501", "1.5", `"fast"`} {
		if p := h.json("POST", dead+"/redrive", `{"max_rate":`+bad+`}`).problem(422, "validation_failed"); firstPlace(p) != "/max_rate" {
			t.Errorf("%s a second: the fault is at %q", bad, firstPlace(p))
		}
	}
	h.json("POST", dead+"/redrive?dry_run=true", `{"max_rate":500}`).is(200)
	task, began := h.redrive(dead, `{"max_rate":2}`), h.clock.Now()
	h.workOnRedrives()
	until(t, "all are moved", func() bool {
		// The most that may have been moved when the count is asked for, two of them at once.
		most := 2 + int64(2*h.clock.Now().Sub(began)/time.Second)
		moved := h.getTask(task.ID).Progress.Done
		if moved > most {
			t.Errorf("%d were moved after %s, want at most %d", moved, h.clock.Now().Sub(began), most)
		}
		h.clock.Advance(100 * time.Millisecond)
		return moved == 6
	})
	h.arrived(path, 6)
}

func TestQ135_ARedriveWithoutItsDestinationHasFailed(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	_, dead := h.deadLetters("1", "2")
	to := h.queue("")
	task := h.redrive(dead, `{"to":"`+queueName(to)+`"}`)
	if got := h.getTask(task.ID); got.Scope.To != queueName(to) || got.Scope.Queue != queueName(dead) || !got.CreatedAt.Equal(h.clock.Now()) {
		t.Errorf("before it begins: got %+v", got)
	}
	h.do("DELETE", to, "").is(204)
	h.workOnRedrives()
	got := h.ended(task)
	if got.Status != "failed" || got.Error == nil || got.Error.Code != "queue_not_found" || got.Progress.Done != 0 {
		t.Errorf("got %+v, error %+v; want it failed for want of its destination", got, got.Error)
	}
	h.wantCounts(dead, [3]int64{2})
}

func TestQ136_WhatWasMovedBeforeACancelStaysMoved(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	path, dead := h.deadLetters("1", "2", "3", "4", "5")
	task := h.redrive(dead, `{"max_rate":1}`)
	h.workOnRedrives()
	until(t, "some are moved", func() bool {
		h.clock.Advance(100 * time.Millisecond)
		return h.getTask(task.ID).Progress.Done >= 2
	})
	h.do("POST", "/v1/tasks/"+task.ID+"/cancel", "").is(200)
	got := h.ended(task)
	done := got.Progress.Done
	if got.Status != "cancelled" || done < 2 || done == 5 {
		t.Errorf("got %+v, want it cancelled after some", got)
	}
	h.arrived(path, int(done))
	h.wantCounts(dead, [3]int64{5 - done})
	diff(t, "moved", []string{"1", "2"}, bodies(h.receive(path, 2)))
	h.do("POST", "/v1/tasks/"+task.ID+"/cancel", "").problem(409, "task_finished")
	h.do("POST", fmt.Sprintf("/v1/tasks/%sx/cancel", task.ID), "").problem(404, "task_not_found")
}
