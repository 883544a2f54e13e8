package handlers_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestAnAlarmFromItsMakingToItsEnd(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	queue := h.queue("")
	h.json("PUT", "/v1/topics/alerts", `{"message_retention":3600}`).is(201)
	const path = "/v1/alarms/deep"
	const body = `{"metric":"available","target":{"queue":"*","except":["*-dlq"]},"comparison":">=","threshold":2,"notify":{"topic":"alerts"},"description":"See the runbook."}`
	a := h.json("PUT", path, body).is(201)
	if got := a.header.Get("Location"); got != path {
		t.Errorf("it is at %q", got)
	}
	var one handlers.Alarm
	a.into(&one)
	topic := "alerts"
	diff(t, "the alarm", handlers.Alarm{Name: "deep", Description: "See the runbook.", Metric: "available", Target: handlers.AlarmTarget{Queue: "*", Except: []string{"*-dlq"}},
		Comparison: ">=", Threshold: 2, Period: 60, Periods: 1, Notify: handlers.AlarmNotify{Topic: &topic, Email: []string{}, On: []string{"alarm", "ok"}}, Enabled: true,
		State: "no_data", Since: *instant(0), CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: one.ETag}, one)
	h.json("PUT", path, body).is(200)
	h.json("PUT", path, body, "If-None-Match", "*").problem(412, "precondition_failed")
	h.json("PUT", path, body, "If-Match", `"other"`).problem(412, "precondition_failed")
	h.do("GET", path, "", "If-None-Match", `"`+one.ETag+`"`).is(304)

	h.sendText(queue, "a")
	h.sendText(queue, "b")
	h.clock.Advance(time.Minute)
	h.must(h.api.Monitor.Record(t.Context()))
	h.must(h.api.Alarms.Evaluate(t.Context()))
	h.do("GET", path, "").is(200).into(&one)
	if one.State != "alarm" || one.Value == nil || *one.Value != 2 || one.Seen == nil || *one.Seen != queueName(queue) || one.EvaluatedAt == nil {
		t.Errorf("it has seen %+v", one)
	}
	var list handlers.Page[handlers.Alarm]
	h.do("GET", "/v1/alarms?state=alarm", "").is(200).into(&list)
	if len(list.Data) != 1 {
		t.Errorf("in state alarm: %+v", list.Data)
	}
	h.do("GET", "/v1/alarms?state=ok", "").is(200).into(&list)
	if len(list.Data) != 0 {
		t.Errorf("in state ok: %+v", list.Data)
	}
	var history handlers.Page[handlers.AlarmChange]
	h.do("GET", path+"/history", "").is(200).into(&history)
	if len(history.Data) != 1 || history.Data[0].To != "alarm" || history.Data[0].Names[0] != queueName(queue) {
		t.Errorf("history: %+v", history.Data)
	}
	var log handlers.TopicMessages
	h.do("GET", "/v1/topics/alerts/messages", "").is(200).into(&log)
	if len(log.Messages) != 1 {
		t.Errorf("told: %+v", log.Messages)
	}

	h.json("POST", path+"/mute", `{"for":"4d","reason":"migration"}`).is(200).into(&one)
	if one.MutedUntil == nil || !one.MutedUntil.Equal(h.clock.Now().Add(4*24*time.Hour)) || *one.MuteReason != "migration" {
		t.Errorf("muted: %+v", one)
	}
	h.json("POST", path+"/mute", `{}`).problem(422, "validation_failed")
	h.json("POST", path+"/mute", `{"for":0}`).problem(422, "validation_failed")
	h.json("POST", path+"/mute", `{"for":"31d"}`).problem(422, "validation_failed")
	h.do("POST", path+"/unmute", "").is(200)
	h.do("DELETE", path, "").is(204)
	for _, r := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"GET", "/history"}, {"POST", "/unmute"}} {
		h.do(r[0], path+r[1], "").problem(404, "alarm_not_found")
	}
	h.json("POST", path+"/mute", `{"for":60}`).problem(404, "alarm_not_found")
}

func TestAnAlarmThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for body, pointer := range map[string]string{
		`{}`:                     "/metric",
		`{"metric":"cpu"}`:       "/metric",
		`{"metric":"available"}`: "/target/queue",
		`{"metric":"quota_used","target":{"queue":"q"}}`:                                 "/target/queue",
		`{"metric":"quota_used","threshold":-1}`:                                         "/threshold",
		`{"metric":"quota_used","threshold":"9"}`:                                        "/threshold",
		`{"metric":"quota_used","threshold":1e300}`:                                      "/threshold",
		`{"metric":"quota_used","period":61}`:                                            "/period",
		`{"metric":"quota_used","periods":0}`:                                            "/periods",
		`{"metric":"quota_used","comparison":"=="}`:                                      "/comparison",
		`{"metric":"quota_used","notify":{"on":["fire"]}}`:                               "/notify/on/0",
		`{"metric":"quota_used","notify":{"topic":"none"}}`:                              "/notify/topic",
		`{"metric":"available","target":{"queue":"q","except":["a b"]}}`:                 "/target/except/0",
		`{"metric":"webhook_failure_rate","target":{"topic":"*","subscription":"\r\n"}}`: "/target/subscription",
	} {
		p := h.json("PUT", "/v1/alarms/a", body).problem(422, "validation_failed")
		if !slices.ContainsFunc(p.Errors, func(f handlers.Fault) bool { return f.Pointer == pointer }) {
			t.Errorf("%s: %+v", body, p.Errors)
		}
	}
	h.json("PUT", "/v1/alarms/a", `{"metric":"quota_used","notify":{"mail":"a@example.com"}}`).problem(422, "unknown_field")
	h.json("PUT", "/v1/alarms/a", `{"metric":"quota_used","state":"ok"}`).problem(422, "unknown_field")
	h.json("PUT", "/v1/alarms/a.b", `{"metric":"quota_used"}`).problem(422, "validation_failed")
	h.do("GET", "/v1/alarms?state=fire", "").problem(422, "validation_failed")
	var list handlers.Page[handlers.Alarm]
	h.do("GET", "/v1/alarms", "").is(200).into(&list)
	if len(list.Data) != 0 {
		t.Errorf("left behind: %+v", list.Data)
	}
}

func TestSuggestedAlarmsLeaveAloneWhatIsThere(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.json("PUT", "/v1/alarms/dead-letters", `{"metric":"dead_lettered","target":{"queue":"orders"},"threshold":7}`).is(201)
	h.json("POST", "/v1/suggested_alarms", `{"topic":"none"}`).problem(422, "validation_failed")
	h.json("PUT", "/v1/topics/alerts", "").is(201)
	var list handlers.Page[handlers.Alarm]
	h.json("POST", "/v1/suggested_alarms", `{"topic":"alerts"}`).is(200).into(&list)
	got := map[string]float64{}
	for _, e := range list.Data {
		got[e.Name] = e.Threshold
	}
	diff(t, "the alarms", map[string]float64{"dead-letters": 7, "nobody-receives": 900, "oldest-message": 3600, "quota-80-percent": 80, "quota-95-percent": 95, "webhook-failing": 50}, got)
	h.json("POST", "/v1/suggested_alarms", "").is(200)
	var part handlers.Page[handlers.Alarm]
	h.do("GET", "/v1/alarms?prefix=quota&limit=1", "").is(200).into(&part)
	if len(part.Data) != 1 || part.NextCursor == nil {
		t.Fatalf("a part: %+v", part)
	}
	h.do("GET", "/v1/alarms?prefix=quota&limit=1&cursor="+*part.NextCursor, "").is(200).into(&part)
	if len(part.Data) != 1 || part.Data[0].Name != "quota-95-percent" || part.NextCursor != nil {
		t.Errorf("the last part: %+v", part)
	}
}

// A key that reaches only some queues would learn of others by alarms. One that may only mute changes nothing else.
func TestWhoMayDoWhatWithAlarms(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.json("PUT", "/v1/alarms/a", `{"metric":"quota_used"}`).is(201)
	key := func(k auth.NewKey) []string {
		made, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, k)
		h.must(err)
		return as(made.Secret.Reveal())
	}
	some := key(auth.NewKey{Name: "some", Queues: []string{"orders-*"}})
	h.do("GET", "/v1/alarms", "", some...).problem(403, "permission_denied")
	h.json("PUT", "/v1/alarms/b", `{"metric":"quota_used"}`, some...).problem(403, "permission_denied")
	mutes := key(auth.NewKey{Name: "mutes", Scopes: []string{"operator"}})
	h.json("POST", "/v1/alarms/a/mute", `{"for":60}`, mutes...).is(200)
	h.json("PUT", "/v1/alarms/a", `{"metric":"quota_used","threshold":1}`, mutes...).problem(403, "permission_denied")
	h.do("DELETE", "/v1/alarms/a", "", mutes...).problem(403, "permission_denied")
}
