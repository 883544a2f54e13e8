package handlers_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// deadFor makes a queue with a dead-letter queue that has a dead letter for each reason, and returns their paths.
func (h *apiTest) deadFor(reasons ...string) (path, dead string) {
	h.Helper()
	path, dead = h.deadLetters()
	for i, reason := range reasons {
		h.sendText(path, fmt.Sprint("message ", i))
		h.json("PATCH", h.receive(path, 1)[0].AckURL, fmt.Sprintf(`{"dead_letter":true,"reason":%q}`, reason)).is(200)
		h.arrived(dead, i+1)
		h.clock.Advance(time.Second)
	}
	return path, dead
}

func TestDeadLettersAreCountedByReason(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			path, dead := h.deadFor("price: null", "closed", "price: null")
			var page handlers.ReasonPage
			h.do("GET", dead+"/reasons", "").is(200).into(&page)
			closed := handlers.ReasonCount{Reason: text("closed"), Count: 1, FirstAt: *instant(time.Second), LastAt: *instant(time.Second),
				Sources: []string{queueName(path)}, Filter: text("reason=closed")}
			price := handlers.ReasonCount{Reason: text("price: null"), Count: 2, FirstAt: *instant(0), LastAt: *instant(2 * time.Second),
				Sources: []string{queueName(path)}, Filter: text(`reason="price: null"`)}
			all := handlers.Scanned{Messages: 3, Complete: true}
			diff(t, "all", handlers.ReasonPage{Data: []handlers.ReasonCount{price, closed}, Matching: 3, Scanned: all}, page)
			h.do("GET", dead+"/reasons?limit=1", "").is(200).into(&page)
			diff(t, "the first", handlers.ReasonPage{Data: []handlers.ReasonCount{price}, Others: 1, Matching: 3, Scanned: all}, page)
			h.do("GET", dead+"/reasons?filter=reason:c*", "").is(200).into(&page)
			closed.Filter = text("reason:c* reason=closed")
			diff(t, "with a filter", handlers.ReasonPage{Data: []handlers.ReasonCount{closed}, Matching: 1, Scanned: all}, page)

			h.sendText(path, "nothing was said")
			h.do("GET", path+"/reasons", "").is(200).into(&page)
			none := handlers.ReasonCount{Count: 1, FirstAt: *instant(3 * time.Second), LastAt: *instant(3 * time.Second), Sources: []string{}, Filter: text("-reason:*")}
			diff(t, "of which nothing is said", handlers.ReasonPage{Data: []handlers.ReasonCount{none}, Matching: 1, Scanned: handlers.Scanned{Messages: 1, Complete: true}}, page)

			other := []string{"Authorization", "Bearer " + h.newKey(h.newTenant().ID)}
			h.do("GET", dead+"/reasons", "", other...).problem(404, "queue_not_found")
			h.json("PUT", dead, "", other...).is(201)
			h.do("GET", dead+"/reasons", "", other...).is(200).into(&page)
			diff(t, "another tenant's queue of that name", handlers.ReasonPage{Data: []handlers.ReasonCount{}, Scanned: handlers.Scanned{Complete: true}}, page)
			h.wantCounts(dead, [3]int64{3})
		})
	}
}

// The filter of a reason moves and deletes its messages and no others.
func TestMessagesOfAReasonGoBackOrAway(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t)
	path, dead := h.deadFor(`a "quoted" one`, "closed", "closed", "late")
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{
		queues.RedriveTask: h.queues.Redriving(), queues.PurgeTask: h.queues.Purging()}}).Run)
	filter := func(reason int) string {
		var page handlers.ReasonPage
		h.do("GET", dead+"/reasons", "").is(200).into(&page)
		return *page.Data[reason].Filter
	}
	if task := h.ended(h.redrive(dead, fmt.Sprintf(`{"filter":%q}`, filter(1)))); task.Progress.Done != 1 {
		t.Errorf("redriven: %+v, want one message", task.Progress)
	}
	if m := h.arrived(path, 1)[0]; m.Body != "message 0" {
		t.Errorf("back is %q, want message 0", m.Body)
	}
	var task handlers.Task
	h.json("POST", dead+"/purge", fmt.Sprintf(`{"confirm":%q,"filter":%q}`, queueName(dead), filter(0))).is(202).into(&task)
	if task = h.ended(task); task.Progress.Done != 2 {
		t.Errorf("deleted: %+v, want two messages", task.Progress)
	}
	if m := h.arrived(dead, 1)[0]; m.Body != "message 3" {
		t.Errorf("left is %q, want message 3", m.Body)
	}
}

func TestWhoMayCountReasons(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	_, dead := h.deadFor("closed")
	blind := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer_without_bodies"}})
	h.do("GET", dead+"/reasons", "", blind...).is(200)
	h.do("GET", dead+"/reasons?filter=body~message", "", blind...).problem(403, "permission_denied")
	h.do("GET", dead+"/reasons", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:*"}})...).problem(403, "permission_denied")
	h.do("GET", dead+"/reasons", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"*"}, Queues: []string{"else"}})...).problem(404, "queue_not_found")

	var page handlers.MessagePage
	for range 2 {
		h.sendText(dead, "x")
	}
	h.do("GET", dead+"/messages?limit=1", "").is(200).into(&page)
	for query, where := range map[string]string{"cursor=" + url.QueryEscape(*page.NextCursor): "cursor", "limit=101": "limit", "limit=0": "limit", "state=gone": "state", "sort=x": "sort"} {
		if p := h.do("GET", dead+"/reasons?"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != where {
			t.Errorf("%s: the fault is at %+v, want %s", query, p.Errors[0], where)
		}
	}
	if p := h.do("GET", dead+"/reasons?filter=reeson:x", "").problem(422, "filter_invalid"); p.Errors[0].Query != "filter" {
		t.Errorf("the fault is at %+v, want filter", p.Errors[0])
	}
}
