package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

// deadLetters makes a queue and its dead-letter queue with dead letters, and returns their paths.
func (h *apiTest) deadLetters(bodies ...string) (path, dead string) {
	h.Helper()
	path = h.queue("")
	dead = path + "-dlq"
	h.json("PATCH", path, `{"redrive":{"dead_letter_queue":"`+queueName(dead)+`","max_receives":5}}`).is(200)
	for _, body := range bodies {
		h.do("POST", path+"/messages", body).is(201)
		h.json("PATCH", h.receive(path, 1)[0].AckURL, `{"dead_letter":true,"reason":"because of `+body+`"}`).is(200)
	}
	h.arrived(dead, len(bodies))
	return path, dead
}

func TestRedriveOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, dead := h.deadLetters("one", "two", "three")
	var count handlers.RedriveCount
	h.json("POST", dead+"/redrive?dry_run=true", `{"filter":"reason:*t*"}`).is(200).into(&count)
	diff(t, "dry run", handlers.RedriveCount{Matching: 2, Scanned: handlers.Scanned{Messages: 3, Complete: true}}, count)
	h.json("POST", dead+"/redrive?dry_run=true", `{"limit":1}`).is(200).into(&count)
	diff(t, "dry run with a limit", handlers.RedriveCount{Matching: 1, Scanned: handlers.Scanned{Messages: 3, Complete: true}}, count)

	var task handlers.Task
	h.json("POST", dead+"/redrive", `{"filter":"reason:*t*","max_rate":500,"limit":7}`).is(202).into(&task)
	diff(t, "scope", handlers.TaskScope{Queue: queueName(dead), To: "source", Filter: "reason:*t*", Limit: 7, MaxRate: 500}, task.Scope)
	if p := h.json("POST", dead+"/redrive", `{}`).problem(409, "task_already_running"); p.Fix == "" && p.Detail == "" {
		t.Error("the refusal of a second one says nothing")
	}

	for body, want := range map[string]string{
		`{"to":"nothing"}`: "/to", `{"to":"` + queueName(dead) + `"}`: "/to", `{"to":"x.fifo"}`: "/to", `{"filter":"reeson:x"}`: "/filter",
		`{"message_ids":["7"]}`: "/message_ids/0", `{"max_rate":501}`: "/max_rate", `{"limit":-1}`: "/limit",
		`{"filter":"a","message_ids":["msg_` + strings.Repeat("0", 20) + `"]}`: "",
	} {
		code := "validation_failed"
		if want == "/filter" {
			code = "filter_invalid"
		}
		p := h.json("POST", dead+"/redrive?dry_run=true", body).problem(422, code)
		if place := firstPlace(p); place != want {
			t.Errorf("%s: the fault is at %q, want %q", body, place, want)
		}
	}
	h.json("POST", "/v1/queues/nothing/redrive", `{}`).problem(404, "queue_not_found")
	_ = path
}

func TestEditAndRedriveOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, dead := h.deadLetters("bad", "other")
	var page handlers.MessagePage
	h.do("GET", dead+"/messages?filter=bad", "").is(200).into(&page)
	old := page.Data[0]
	var moved handlers.RedrivenMessage
	answer := h.do("POST", dead+"/messages/"+old.ID+"/redrive", `{"good":true}`).is(201)
	answer.into(&moved)
	diff(t, "moved", handlers.RedrivenMessage{ID: moved.ID, Queue: queueName(path), RedrivenFrom: old.ID}, moved)
	if loc := answer.header.Get("Location"); loc != path+"/messages/"+moved.ID {
		t.Errorf("Location: %s", loc)
	}
	got := h.receive(path, 1)[0]
	if got.Body != `{"good":true}` || got.ContentType != "application/json" || got.Origin.ID != old.ID || got.Origin.Reason != "moved" || got.ReceiveCount != 1 {
		t.Errorf("arrived as %+v from %+v", got, got.Origin)
	}
	h.do("POST", dead+"/messages/"+old.ID+"/redrive", "").problem(404, "message_not_found")
	h.do("GET", dead+"/messages?filter=other", "").is(200).into(&page)
	other := page.Data[0].ID
	if p := h.do("POST", dead+"/messages/"+other+"/redrive?to=nothing", "").problem(422, "validation_failed"); p.Errors[0].Query != "to" {
		t.Errorf("to a queue that is not there: %+v", p.Errors)
	}
	h.receive(dead, 1)
	h.do("POST", dead+"/messages/"+other+"/redrive", "").problem(409, "message_in_flight")
	plain := h.queue("")
	var sent handlers.SentMessage
	h.do("POST", plain+"/messages", "m").is(201).into(&sent)
	h.do("POST", plain+"/messages/"+sent.ID+"/redrive", "").problem(409, "no_source_queue")
}
