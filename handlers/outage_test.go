package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
)

// hurried gives up on Redis early.
func hurried(_ *apiTest, opt *engine.Options) { opt.Budget = 300 * time.Millisecond }

func TestAnUnknownOutcomeTellsTheIDOfTheMessage(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	h := newAPITest(t, onServer(redis), hurried)
	path := h.queue("")
	h.sendText(path, "held")
	held := h.receive(path, 1)[0]
	redis.Pause()
	// The first one finds a connection that is open, so it is certainly sent. The others may not get that far.
	p := h.do("POST", path+"/messages", "m").problem(503, "outcome_unknown")
	batch := h.later(func() *answer { return h.do("POST", path+"/messages/batch", "1\n2\n", "Content-Type", ndjson) })
	extend := h.later(func() *answer { return h.json("PATCH", held.AckURL, `{"visibility_timeout":60}`) })
	get := h.later(func() *answer { return h.do("GET", path, "") })
	if !strings.HasPrefix(p.MessageID, "msg_") {
		t.Errorf("message_id is %q", p.MessageID)
	}
	var r handlers.Results
	a := (<-batch).is(207)
	a.into(&r)
	for _, one := range r.Results {
		if one.Status != 503 || (one.Error.Code == "outcome_unknown") != (one.ID != "") || one.ID != one.Error.MessageID {
			t.Errorf("result of an item: %+v", one)
		}
	}
	if a.header.Get("Retry-After") == "" {
		t.Error("207 with items to send again, without Retry-After")
	}
	(<-extend).is(503)
	(<-get).problem(503, "not_ready") // a read changes nothing, so nothing about it is unknown
	redis.Cont()
	until(t, "the message is there", func() bool { return h.do("GET", path+"/messages/"+p.MessageID, "").status == 200 })
	if log := h.log.String(); !strings.Contains(log, `"code":"outcome_unknown"`) || !strings.Contains(log, p.RequestID) {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
}

func TestWhileRedisIsAwayNothingIsDone(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	h := newAPITest(t, onServer(redis), hurried)
	path := h.queue("")
	h.sendText(path, "m")
	redis.Kill9()
	until(t, "the connections are known to be broken", func() bool {
		var p handlers.Problem
		h.do("POST", path+"/messages/batch", "x", "Content-Type", ndjson)
		h.do("POST", path+"/receive", "").is(503).into(&p)
		return p.Code == "not_ready"
	})
	p := h.do("POST", path+"/messages", "m").problem(503, "not_ready")
	if p.MessageID != "" || !strings.Contains(p.Detail, "Nothing was changed") {
		t.Errorf("got %+v", p)
	}
	redis.Restart()
	until(t, "sends are taken again", func() bool { return h.do("POST", path+"/messages", "back").status == 201 })
}

func TestAFullStorageTakesNoMessagesAndGivesThemOut(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "12mb"})
	h := newAPITest(t, onServer(redis))
	path := h.queue("")
	body := strings.Repeat("x", 512<<10)
	stored := int64(0)
	for ; stored < 100; stored++ {
		a := h.do("POST", path+"/messages", body)
		if a.status == 507 {
			a.problem(507, "storage_full")
			if a.header.Get("Retry-After") != "5" {
				t.Errorf("Retry-After: got %q, want 5", a.header.Get("Retry-After"))
			}
			break
		}
		a.is(201)
	}
	if stored == 100 {
		t.Fatal("50 MB went into 12")
	}
	_, statuses, faults := h.do("POST", path+"/messages/batch", body+"\n"+body, "Content-Type", ndjson).is(207).results()
	diff(t, "statuses", []int{507, 507}, statuses)
	diff(t, "faults", []string{"storage_full", "storage_full"}, faults)
	h.do("POST", path+"/messages/batch?atomic=true", body, "Content-Type", ndjson).problem(507, "storage_full")
	h.wantCounts(path, [3]int64{stored, 0, 0})
	m := h.receive(path, 1)[0]
	h.json("PATCH", m.AckURL, `{"visibility_timeout":60}`).is(200)
	h.do("DELETE", m.AckURL, "").is(204)
	h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`"}`).is(202)
	until(t, "sends are taken again", func() bool { return h.do("POST", path+"/messages", "m").status == 201 })
}

// An API that nobody registered answers while a server starts.
func TestAnUnregisteredAPIAnswersFailures(t *testing.T) {
	t.Parallel()
	a := handlers.API{}
	w := httptest.NewRecorder()
	c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/queues/q/messages", nil), w)
	a.ErrorHandler(engine.ErrUnavailable, c)
	var p handlers.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Code != 503 || p.Code != "not_ready" || w.Header().Get("Retry-After") != "1" || !requestID.MatchString(p.RequestID) ||
		w.Header().Get("Request-Id") != p.RequestID {
		t.Errorf("got %d %s with headers %v", w.Code, w.Body, w.Header())
	}
}

func TestAdviceToWaitIsInSecondsAndBounded(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		0: "", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 1000 * time.Hour: "86400",
	} {
		w := httptest.NewRecorder()
		c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), w)
		a := handlers.API{}
		a.ErrorHandler(fmt.Errorf("read: %w", &errs.Error{Kind: errs.RateLimited, Code: "rate_limited", Message: "Too many.", RetryAfter: wait}), c)
		if got := w.Header().Get("Retry-After"); got != want || w.Code != 429 {
			t.Errorf("%s: got %d, Retry-After %q; want 429 and %q", wait, w.Code, got, want)
		}
	}
}
