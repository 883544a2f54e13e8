package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/queues"
)

func text(s string) *string { return &s }

func TestAScheduleIsMadeShownAndDeleted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	report := path + "/schedules/report"
	made := h.json("PUT", report, `{"cron":"0 9 * * 1-5","time_zone":"Europe/Berlin","missed":"run_once","ends_at":"2026-03-05T00:00:00+01:00",
		"message":{"body":"{\"a\":1}","delay":60,"attributes":{"Kind":{"type":"Number","value":"7"}}},"labels":{"team":"a"}}`).is(201)
	var s, again handlers.Schedule
	made.into(&s)
	delay, now := 60, handlers.Instant{Time: start}
	var next []handlers.LocalInstant
	for _, text := range []string{"2026-03-02T09:00:00+01:00", "2026-03-03T09:00:00+01:00", "2026-03-04T09:00:00+01:00"} {
		at, err := time.Parse(time.RFC3339, text)
		h.must(err)
		next = append(next, handlers.LocalInstant{Time: at})
		if !strings.Contains(string(made.body), `"`+text+`"`) {
			t.Errorf("%s is not shown in its time zone: %s", text, made.body)
		}
	}
	ends, err := time.Parse(time.RFC3339, "2026-03-04T23:00:00Z")
	h.must(err)
	diff(t, "schedule", handlers.Schedule{
		Name: "report", Queue: queueName(path), Cron: text("0 9 * * 1-5"), TimeZone: text("Europe/Berlin"),
		EndsAt: &handlers.Instant{Time: ends}, Missed: "run_once", Labels: map[string]string{"team": "a"}, NextRuns: next,
		Message: &handlers.ScheduledMessage{Body: `{"a":1}`, BodyEncoding: "utf8", ContentType: "application/json", Delay: &delay,
			Attributes: map[string]handlers.MessageAttribute{"Kind": {Type: "Number", Value: "7"}}},
		CreatedAt: now, UpdatedAt: now, ETag: s.ETag,
	}, s)
	if made.header.Get("ETag") != `"`+s.ETag+`"` || made.header.Get("Location") != report {
		t.Errorf("ETag %q, Location %q", made.header.Get("ETag"), made.header.Get("Location"))
	}
	h.do("GET", report, "").is(200).into(&again)
	diff(t, "schedule by GET", s, again)
	h.do("GET", report, "", "If-None-Match", `"`+s.ETag+`"`).is(304)

	h.json("PUT", report, `{"every":"5m","starts_at":null,"message":{"body":"/wA=","body_encoding":"base64"}}`, "If-Match", `"`+s.ETag+`"`).is(200).into(&again)
	if again.Every == nil || *again.Every != 300 || again.Cron != nil || again.TimeZone != nil || again.Missed != "skip" || len(again.Labels) != 0 ||
		again.Message.BodyEncoding != "base64" || again.Message.Body != "/wA=" || again.Message.ContentType != "application/octet-stream" {
		t.Errorf("replaced: %+v", again)
	}
	h.json("PUT", report, `{"every":60,"message":{"body":"x"}}`, "If-Match", `"`+s.ETag+`"`).problem(412, "precondition_failed")
	h.json("PUT", report, `{"every":60,"message":{"body":"x"}}`, "If-None-Match", "*").problem(412, "precondition_failed")
	h.json("PUT", report, `{"every":60,"message":{"body":"x"}}`, "If-None-Match", `"`+again.ETag+`"`).problem(412, "precondition_failed")
	h.json("PUT", path+"/schedules/other", `{"every":60,"message":{"body":"x"}}`, "If-None-Match", `"x"`).is(201)

	h.do("DELETE", report, "", "If-Match", `"`+s.ETag+`"`).problem(412, "precondition_failed")
	h.do("DELETE", report, "", "If-Match", `"`+again.ETag+`"`).is(204)
	h.do("DELETE", report, "").problem(404, "schedule_not_found")
	h.do("GET", report, "").problem(404, "schedule_not_found")
	h.do("GET", "/v1/queues/nowhere/schedules/report", "").problem(404, "queue_not_found")
}

func TestSchedulesAreListedInParts(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 5 {
		h.json("PUT", fmt.Sprintf("%s/schedules/s%d", path, i), `{"every":60,"message":{"body":"x"}}`).is(201)
	}
	h.json("PUT", path+"/schedules/other", `{"every":60,"message":{"body":"x"}}`).is(201)
	var got []string
	for query := "?limit=2&prefix=s"; query != ""; {
		var p handlers.Page[handlers.Schedule]
		h.do("GET", path+"/schedules"+query, "").is(200).into(&p)
		for _, s := range p.Data {
			got = append(got, s.Name)
		}
		if query = ""; p.NextCursor != nil {
			query = "?limit=2&prefix=s&cursor=" + *p.NextCursor
		}
	}
	diff(t, "names", []string{"s0", "s1", "s2", "s3", "s4"}, got)
	h.do("GET", path+"/schedules?cursor=eA", "").problem(422, "validation_failed")
	h.do("GET", path+"/schedules?limit=501", "").problem(422, "validation_failed")
}

func TestAScheduleIsPausedResumedAndRun(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	one := path + "/schedules/s"
	h.json("PUT", one, `{"every":3600,"message":{"body":"hello"}}`).is(201)
	var s handlers.Schedule
	h.json("POST", one+"/pause", `{"reason":"migration"}`).is(200).into(&s)
	if !s.Paused || s.PauseReason == nil || *s.PauseReason != "migration" || s.PausedAt == nil || len(s.NextRuns) != 0 {
		t.Errorf("paused: %+v", s)
	}
	var m, again handlers.SentMessage
	run := h.do("POST", one+"/run", "", "Idempotency-Key", "k").is(201)
	run.into(&m)
	if run.header.Get("Location") != path+"/messages/"+m.ID || m.Size != 5 {
		t.Errorf("run: Location %q, %+v", run.header.Get("Location"), m)
	}
	replay := h.do("POST", one+"/run", "", "Idempotency-Key", "k").is(201)
	replay.into(&again)
	if diff(t, "run with the same key", m, again); replay.header.Get("Idempotent-Replayed") != "true" {
		t.Error("the replay does not say that it is one")
	}
	h.wantCounts(path, [3]int64{1, 0, 0})
	h.do("POST", one+"/resume", "").is(200).into(&s)
	if s.Paused || s.PauseReason != nil || len(s.NextRuns) != 5 || s.Counts != (handlers.ScheduleCounts{Runs: 1}) ||
		s.LastRun == nil || s.LastRun.MessageID != m.ID || s.LastRun.ScheduledFor != nil {
		t.Errorf("resumed: %+v", s)
	}
	h.do("POST", one+"/pause", "").is(200).into(&s)
	if s.PauseReason != nil {
		t.Errorf("paused without a reason: %+v", s)
	}
	for _, verb := range []string{"pause", "resume", "run"} {
		h.do("POST", path+"/schedules/none/"+verb, "").problem(404, "schedule_not_found")
		h.do("POST", "/v1/queues/nowhere/schedules/s/"+verb, "").problem(404, "queue_not_found")
		h.do("POST", one+"/"+verb+"?x=1", "").problem(422, "validation_failed")
	}
	h.json("POST", one+"/pause", `{"why":"x"}`).problem(422, "unknown_field")
	h.json("POST", one+"/pause", `{"reason":"`+strings.Repeat("x", 256)+`"}`).problem(422, "validation_failed")
}

func TestAScheduleOfAFIFOQueueHasAGroup(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("") + ".fifo"
	h.do("PUT", path, "").is(201)
	one := path + "/schedules/s"
	for body, place := range map[string]string{
		`{"every":60,"message":{"body":"x"}}`:                                       "/message/group_id",
		`{"every":60,"message":{"body":"x","group_id":"a b"}}`:                      "/message/group_id",
		`{"every":60,"message":{"body":"x","group_id":"g","deduplication_id":"d"}}`: "/message/deduplication_id",
		`{"every":60,"message":{"body":"x","group_id":"g","delay":1}}`:              "/message/delay",
	} {
		p := h.json("PUT", one, body).problem(422, "validation_failed")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != place {
			t.Errorf("%s: got %+v, want a fault at %q", body, p.Errors, place)
		}
	}
	var s handlers.Schedule
	h.json("PUT", one, `{"every":60,"message":{"body":"x","group_id":"g"}}`).is(201).into(&s)
	if s.Message.GroupID != "g" {
		t.Errorf("schedule: %+v", s)
	}
	var m handlers.SentMessage
	h.do("POST", one+"/run", "").is(201).into(&m)
	if m.SequenceNumber == nil || len(*m.SequenceNumber) != 20 {
		t.Errorf("run: %+v", m)
	}
}

func TestASchedulesFaultsAreNamed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"max_message_size":1024}`)
	for _, c := range []struct{ body, code, place string }{
		{`{}`, "validation_failed", ""},
		{`{"every":60}`, "validation_failed", ""},
		{`{"message":{"body":"x"}}`, "validation_failed", "/cron"},
		{`{"every":0,"message":{"body":"x"}}`, "validation_failed", "/every"},
		{`{"every":"soon","message":{"body":"x"}}`, "validation_failed", "/every"},
		{`{"every":31622401,"message":{"body":"x"}}`, "validation_failed", "/every"},
		{`{"every":60,"cron":"@daily","message":{"body":"x"}}`, "validation_failed", "/every"},
		{`{"cron":"61 * * * *","message":{"body":"x"}}`, "validation_failed", "/cron"},
		{`{"cron":7,"message":{"body":"x"}}`, "validation_failed", "/cron"},
		{`{"cron":"@daily","time_zone":"Berlin","message":{"body":"x"}}`, "validation_failed", "/time_zone"},
		{`{"every":60,"missed":"all","message":{"body":"x"}}`, "validation_failed", "/missed"},
		{`{"every":60,"starts_at":"tomorrow","message":{"body":"x"}}`, "validation_failed", "/starts_at"},
		{`{"every":60,"ends_at":"3000-01-01T00:00:00Z","message":{"body":"x"}}`, "validation_failed", "/ends_at"},
		{`{"every":60,"message":{}}`, "validation_failed", "/message/body"},
		{`{"every":60,"message":{"body":""}}`, "validation_failed", "/message/body"},
		{`{"every":60,"message":"x"}`, "validation_failed", "/message"},
		{`{"every":60,"message":{"body":"x","body_encoding":"base64"}}`, "validation_failed", "/message/body"},
		{`{"every":60,"message":{"body":"` + strings.Repeat("x", 1025) + `"}}`, "validation_failed", "/message"},
		{`{"every":60,"message":{"body":"x","delay":9999999}}`, "validation_failed", "/message/delay"},
		{`{"every":60,"message":{"body":"x","attributes":{"a/b":{"type":"String","value":"x"}}}}`, "validation_failed", "/message/attributes/a~1b"},
		{`{"every":60,"message":{"id":"a","body":"x"}}`, "unknown_field", "/message"},
		{`{"every":60,"message":{"body":"x","retries":1}}`, "unknown_field", "/message/retries"},
		{`{"every":60,"message":{"body":"x"},"paused":true}`, "unknown_field", "/paused"},
		{`{"evry":60,"message":{"body":"x"}}`, "unknown_field", "/evry"},
		{`{"every":60,"message":{"body":"x"},"labels":{"":"x"}}`, "validation_failed", "/labels/"},
	} {
		p := h.json("PUT", path+"/schedules/s", c.body).problem(422, c.code)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != c.place {
			t.Errorf("%.80s: got %+v, want a fault at %q", c.body, p.Errors, c.place)
		}
	}
	h.json("PUT", path+"/schedules/a%20b", `{"every":60,"message":{"body":"x"}}`).problem(422, "validation_failed")
	h.json("PUT", path+"/schedules/s", `{"every":60,`).problem(400, "malformed_request")
	h.json("PUT", path+"/schedules/s", `{"every":60,"message":{"body":"`+strings.Repeat("x", 1<<20)+`"}}`).problem(413, "request_too_large")
	h.json("PUT", "/v1/queues/nowhere/schedules/s", `{"every":60,"message":{"body":"x"}}`).problem(404, "queue_not_found")
	h.do("GET", path+"/schedules/s", "").problem(404, "schedule_not_found")
}

func TestTheTimesOfAScheduleAreTested(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{}`)
	for _, when := range []string{`"cron":"0 9 * * MON-FRI","time_zone":"Europe/Berlin"`, `"cron":"@daily","starts_at":"2040-01-01T00:00:00Z"`, `"every":"5m","starts_at":"2040-01-01T00:00:00Z"`, `"cron":"@daily","ends_at":"1970-01-02T00:00:00Z"`} {
		var tested handlers.ScheduleTested
		var made handlers.Schedule
		h.json("POST", "/v1/schedules/test", "{"+when+"}").is(200).into(&tested)
		h.json("PUT", path+"/schedules/s", "{"+when+`,"message":{"body":"x"}}`).into(&made)
		if got, want := fmt.Sprint(tested.NextRuns), fmt.Sprint(made.NextRuns); got != want {
			t.Errorf("%s: its test says %s, and the schedule %s", when, got, want)
		}
	}
	h.do("DELETE", path+"/schedules/s", "").is(204)
	for _, c := range []struct{ body, code, place string }{
		{`{}`, "validation_failed", "/cron"},
		{`{"cron":"61 * * * *"}`, "validation_failed", "/cron"},
		{`{"cron":"@daily","every":60}`, "validation_failed", "/every"},
		{`{"every":0}`, "validation_failed", "/every"},
		{`{"every":60,"message":{"body":"x"}}`, "unknown_field", "/message"},
		{`{"every":60,"time_zone":"Europe/Berlin"}`, "validation_failed", "/time_zone"},
	} {
		p := h.json("POST", "/v1/schedules/test", c.body).problem(422, c.code)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != c.place {
			t.Errorf("%s: got %+v, want a fault at %q", c.body, p.Errors, c.place)
		}
	}
	h.json("POST", "/v1/schedules/test?x=1", `{"every":60}`).problem(422, "validation_failed")
	h.do("GET", path+"/schedules/s", "").problem(404, "schedule_not_found")
}

func TestTheNumberOfSchedulesIsRefusedWithItsLimit(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	path := h.queue("")
	set := queues.ScheduleSettings{Every: time.Hour, Missed: queues.MissedSkip, Message: queues.Outgoing{Body: []byte("x")}}
	for i := range queues.MaxSchedules {
		_, _, err := h.queues.PutSchedule(t.Context(), h.tenant.ID, queueName(path), fmt.Sprintf("s%d", i), set, queues.Condition{})
		h.must(err)
	}
	p := h.json("PUT", path+"/schedules/more", `{"every":60,"message":{"body":"x"}}`).problem(http.StatusForbidden, "quota_exceeded")
	if p.Fix == "" {
		t.Errorf("problem: %+v", p)
	}
}

func TestSchedulesOfATopicOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", `{"message_retention":3600}`)
	path := tp + "/schedules/report"
	var s handlers.Schedule
	a := h.json("PUT", path, `{"cron":"0 9 * * *","time_zone":"Europe/Berlin","message":{"body":"daily"}}`).is(201)
	a.into(&s)
	if s.Topic != queueName(tp) || s.Queue != "" || len(s.NextRuns) != 5 || s.Message == nil || s.Message.Body != "daily" {
		t.Errorf("made: %+v", s)
	}
	if a.header.Get("Location") != path {
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	var page handlers.Page[handlers.Schedule]
	h.do("GET", tp+"/schedules?prefix=rep", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Topic != queueName(tp) {
		t.Errorf("the list: %+v", page)
	}
	h.do("GET", path, "", "If-None-Match", `"`+s.ETag+`"`).is(304)
	h.do("POST", path+"/pause", "").is(200).into(&s)
	if !s.Paused {
		t.Errorf("a paused schedule: %+v", s)
	}
	h.do("POST", path+"/resume", "").is(200)
	var sent handlers.PublishedMessage
	h.do("POST", path+"/run", "", "Idempotency-Key", "k").is(201).into(&sent)
	if again := h.do("POST", path+"/run", "", "Idempotency-Key", "k").is(201); again.header.Get("Idempotent-Replayed") != "true" {
		t.Error("a second run with the same key was none of the first")
	}
	if got := string(h.do("GET", tp+"/messages", "").is(200).body); strings.Count(got, sent.ID) != 1 || !strings.Contains(got, sent.SequenceNumber) {
		t.Errorf("the topic has %s, want %s once", got, sent.ID)
	}
	h.json("PUT", path, `{"every":60,"message":{"body":"x","delay":5}}`).problem(422, "validation_failed")
	h.json("PUT", path, `{"every":60,"topic":"x","message":{"body":"x"}}`).problem(422, "unknown_field")
	h.json("PUT", "/v1/topics/none/schedules/s", `{"every":60,"message":{"body":"x"}}`).problem(404, "topic_not_found")
	h.json("PUT", path, `{"every":60,"message":{"body":"x"}}`, "If-None-Match", "*").problem(412, "precondition_failed")
	if p := h.do("GET", tp+"/schedules/none", "").problem(404, "schedule_not_found"); !strings.Contains(p.Fix, "/v1/topics/") {
		t.Errorf("the fix is %q", p.Fix)
	}
	h.do("GET", path, "", h.keyFor(h.tenant.ID, auth.NewKey{Queues: []string{"*-some"}})...).problem(403, "permission_denied")
	h.do("DELETE", path, "").is(204)
	h.do("DELETE", path, "").problem(404, "schedule_not_found")
}
