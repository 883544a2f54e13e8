package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// topic makes a topic and returns its path.
func (h *apiTest) topic(suffix, settings string) string {
	h.Helper()
	path := fmt.Sprintf("/v1/topics/t%d%s", names.Add(1), suffix)
	h.json("PUT", path, settings).is(201)
	return path
}

// carried returns the bodies of all that comes to a queue, n messages.
func (h *apiTest) carried(queue string, n int) []string {
	h.Helper()
	until(h, "the messages are carried", func() bool { return h.counts(queue)[0] == int64(n) })
	return bodies(h.receive(queue, 100))
}

func TestTopicsAreCreatedChangedListedAndDeleted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const one = "/v1/topics/orders.created"
	var tp handlers.Topic
	a := h.json("PUT", one, `{"message_retention":86400,"labels":{"team":"a"}}`).is(201)
	a.into(&tp)
	want := handlers.Topic{Name: "orders.created", Type: "standard", MessageRetention: 86400, Labels: map[string]string{"team": "a"},
		ARN: "arn:aws:sns:us-east-1:" + h.tenant.AccountNumber + ":orders.created", CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: tp.ETag}
	diff(t, "the new topic", want, tp)
	if a.header.Get("Location") != one || a.header.Get("ETag") != `"`+tp.ETag+`"` {
		t.Errorf("headers: %v", a.header)
	}
	h.json("PUT", one, `{"message_retention":86400,"labels":{"team":"a"}}`).is(200)
	h.do("GET", one, "", "If-None-Match", `"`+tp.ETag+`"`).is(304)
	h.json("PATCH", one, `{"labels":{"team":null,"tier":"1"},"message_retention":null}`).is(200).into(&tp)
	if tp.MessageRetention != 0 || len(tp.Labels) != 1 || tp.ETag == want.ETag {
		t.Errorf("after the change: %+v", tp)
	}
	h.json("PUT", one, `{}`, "If-Match", `"`+want.ETag+`"`).problem(412, "precondition_failed")
	h.json("PUT", one, `{}`, "If-None-Match", "*").problem(412, "precondition_failed")
	h.json("PUT", "/v1/topics/orders.fifo", `{"fifo":{"content_based_deduplication":true}}`).is(201).into(&tp)
	if tp.Type != "fifo" || tp.FIFO == nil || !tp.FIFO.ContentBasedDeduplication {
		t.Errorf("a FIFO topic: %+v", tp)
	}
	var page handlers.Page[handlers.Topic]
	h.do("GET", "/v1/topics?prefix=orders&limit=1", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Name != "orders.created" || page.NextCursor == nil {
		t.Fatalf("the first page: %+v", page)
	}
	h.do("GET", "/v1/topics?prefix=orders&limit=1&cursor="+*page.NextCursor, "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Name != "orders.fifo" || page.NextCursor != nil {
		t.Errorf("the second page: %+v", page)
	}
	if p := h.do("GET", "/v1/topics/orders.creatd", "").problem(404, "topic_not_found"); !strings.Contains(p.Detail, `Did you mean "orders.created"?`) {
		t.Errorf("the detail is %q", p.Detail)
	}
	h.do("DELETE", one, "", "If-None-Match", "*").problem(412, "precondition_failed")
	h.do("DELETE", one, "").is(204)
	h.do("DELETE", one, "").problem(404, "topic_not_found")
}

func TestTopicsRefuse(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	fifo, standard := h.topic(".fifo", `{}`), h.topic("", `{}`)
	for _, c := range []struct{ path, body, code string }{
		{"/v1/topics/a..b", `{}`, "validation_failed"},
		{"/v1/topics/a%20b", `{}`, "validation_failed"},
		{"/v1/topics/" + strings.Repeat("x", 257), `{}`, "validation_failed"},
		{"/v1/topics/x", `{"type":"fifo"}`, "validation_failed"},
		{"/v1/topics/x.fifo", `{"type":"standard"}`, "validation_failed"},
		{"/v1/topics/x", `{"fifo":{}}`, "validation_failed"},
		{"/v1/topics/x", `{"message_retention":1296000}`, "validation_failed"},
		{"/v1/topics/x", `{"retention":1}`, "unknown_field"},
		{"/v1/topics/x", `{"published":1}`, "unknown_field"},
	} {
		h.json("PUT", c.path, c.body).problem(422, c.code)
	}
	for _, c := range []struct {
		path, code string
		headers    []string
	}{
		{standard, "validation_failed", []string{"Message-Delay", "5"}},
		{standard, "validation_failed", []string{"Message-TTL", "5"}},
		{standard, "validation_failed", []string{"Message-Priority", "5"}},
		{standard, "validation_failed", []string{"Message-Retry", "{}"}},
		{standard, "validation_failed", []string{"Message-Deduplication-Id", "x"}},
		{standard, "validation_failed", []string{"Message-Attributes", `{"a b":{"type":"String","value":"x"}}`}},
		{fifo, "message_group_id_required", nil},
		{fifo, "deduplication_id_required", []string{"Message-Group-Id", "g"}},
	} {
		h.do("POST", c.path+"/messages", "x", c.headers...).problem(422, c.code)
	}
	h.do("POST", standard+"/messages", "").problem(422, "validation_failed")
	h.do("POST", standard+"/messages", strings.Repeat("x", 256<<10+1)).problem(413, "message_too_large")
	h.do("POST", standard+"/messages", strings.Repeat("x", 256<<10), "Message-Attr-A", "b").problem(413, "message_too_large")
	h.do("POST", "/v1/topics/none/messages", "x").problem(404, "topic_not_found")
	var tp handlers.Topic
	h.do("GET", standard, "").is(200).into(&tp)
	if tp.Published != 0 {
		t.Errorf("after refusals: %+v", tp)
	}
	// Another tenant sees none of it.
	other := h.newKey(h.newTenant().ID)
	h.do("GET", standard, "", "Authorization", "Bearer "+other).problem(404, "topic_not_found")
	h.do("POST", standard+"/messages", "x", "Authorization", "Bearer "+other).problem(404, "topic_not_found")
	h.do("GET", standard+"/subscriptions", "", "Authorization", "Bearer "+other).problem(404, "topic_not_found")
}

func TestAPublishReachesTheQueuesThatSubscribe(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp, q, other := h.topic("", `{}`), h.queue(`{}`), h.queue(`{}`)
	var s handlers.Subscription
	a := h.json("PUT", tp+"/subscriptions/all", `{"queue":"`+queueName(q)+`"}`).is(201)
	a.into(&s)
	name := queueName(q)
	want := handlers.Subscription{Name: "all", Topic: queueName(tp), Protocol: "queue", Queue: &name, Format: "raw", FilterScope: "attributes", State: "active",
		CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: s.ETag}
	diff(t, "the new subscription", want, s)
	if a.header.Get("Location") != tp+"/subscriptions/all" {
		t.Errorf("headers: %v", a.header)
	}
	h.json("PUT", tp+"/subscriptions/some", `{"queue":"`+queueName(other)+`","format":"envelope","filter_policy":{"kind":["b"]}}`).is(201)
	var sent handlers.PublishedMessage
	h.do("POST", tp+"/messages", "one", "Message-Attr-Kind", "a", "Idempotency-Key", "k").is(201).into(&sent)
	if len(sent.SequenceNumber) != 20 || sent.Size != 3 || sent.PublishedAt.Time != start {
		t.Errorf("the answer to a publish: %+v", sent)
	}
	if again := h.do("POST", tp+"/messages", "one", "Message-Attr-Kind", "a", "Idempotency-Key", "k").is(201); again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same publish again: %v", again.header)
	}
	h.do("POST", tp+"/messages", "two", "Idempotency-Key", "k").problem(422, "idempotency_key_reused")
	h.json("POST", tp+"/messages/batch", `{"messages":[{"body":"two","attributes":{"kind":{"type":"String","value":"b"}}},{"body":""},{"body":"three","delay":5}]}`).is(207)
	h.json("POST", tp+"/messages/batch?atomic=true", `{"messages":[{"body":"x"},{"body":"y","priority":3}]}`).problem(422, "validation_failed")
	h.do("POST", tp+"/messages/batch", "four\nfive\n", "Content-Type", "application/x-ndjson").is(201)
	diff(t, "all", []string{"one", "two", "four", "five"}, h.carried(q, 4))
	got := h.carried(other, 1)
	if !strings.Contains(got[0], `"body":"two"`) || !strings.Contains(got[0], `"subscription":"some"`) {
		t.Errorf("the enveloped message is %s", got[0])
	}
	for _, name := range []string{"all", "some"} { // what has arrived is noted next
		until(t, name+" has noted it", func() bool {
			h.do("GET", tp+"/subscriptions/"+name, "").is(200).into(&s)
			return s.Lag == 0
		})
	}
	if s.Counts != (handlers.SubscriptionCounts{Delivered: 1, FilteredOut: 3}) || s.FilterPolicy == nil {
		t.Errorf("the subscription: %+v", s)
	}
	var page handlers.Page[handlers.Subscription]
	h.do("GET", tp+"/subscriptions?limit=1", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Name != "all" || page.NextCursor == nil {
		t.Errorf("the first page: %+v", page)
	}
	h.do("POST", tp+"/subscriptions/all/pause", "").is(200).into(&s)
	if s.State != "paused" || s.PausedAt == nil {
		t.Errorf("a paused subscription: %+v", s)
	}
	h.do("POST", tp+"/messages", "six").is(201)
	h.json("PATCH", tp+"/subscriptions/all", `{"format":"envelope","filter_scope":"body","filter_policy":{"n":[{"numeric":[">",6]}]}}`).is(200).into(&s)
	if s.Format != "envelope" || s.FilterScope != "body" || s.Lag != 1 {
		t.Errorf("after the change: %+v", s)
	}
	h.do("POST", tp+"/messages", `{"n":7}`).is(201)
	h.do("POST", tp+"/subscriptions/all/resume", "").is(200)
	rest := h.carried(q, 2)
	if rest[0] != "six" || !strings.Contains(rest[1], `"body":"{\"n\":7}"`) {
		t.Errorf("what came after the pause: %q", rest)
	}
	h.do("GET", tp+"/subscriptions/all", "").is(200).into(&s)
	h.do("GET", tp+"/subscriptions/all", "", "If-None-Match", `"`+s.ETag+`"`).is(304)
	h.do("DELETE", tp+"/subscriptions/all", "", "If-Match", `"other"`).problem(412, "precondition_failed")
	h.do("DELETE", tp+"/subscriptions/all", "").is(204)
	h.do("DELETE", tp+"/subscriptions/all", "").problem(404, "subscription_not_found")
	h.do("POST", tp+"/messages", "seven").is(201)
	h.clock.Advance(time.Second)
	h.wantCounts(q, [3]int64{0, 6, 0})
}

func TestASubscriptionMayHaveTheFormatOfSNS(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	sub := h.topic("", `{}`) + "/subscriptions/noted"
	var s handlers.Subscription
	h.json("PUT", sub, `{"queue":"`+queueName(h.queue(`{}`))+`","format":"sns"}`).is(201).into(&s)
	diff(t, "format", "sns", s.Format)
	h.json("PATCH", sub, `{"format":null}`).is(200).into(&s)
	diff(t, "format", "raw", s.Format)
}

func TestSubscriptionsRefuse(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp, q, other := h.topic("", `{}`), queueName(h.queue(`{}`)), queueName(h.queue(`{}`))
	h.json("PUT", "/v1/queues/s"+q+".fifo", `{}`).is(201)
	h.json("PUT", tp+"/subscriptions/there", `{"queue":"`+q+`"}`).is(201)
	for _, c := range []struct{ name, body, code string }{
		{"a.b", `{"queue":"` + q + `"}`, "validation_failed"},
		{"x", `{}`, "validation_failed"},
		{"x", `{"queue":"none"}`, "validation_failed"},
		{"x", `{"queue":"s` + q + `.fifo"}`, "validation_failed"},
		{"x", `{"queue":"` + q + `","format":"xml"}`, "validation_failed"},
		{"x", `{"queue":"` + q + `","filter_scope":"all"}`, "validation_failed"},
		{"x", `{"queue":"` + q + `","filter_policy":"a"}`, "validation_failed"},
		{"x", `{"queue":"` + q + `","filter_policy":{"a":[]}}`, "filter_policy_invalid"},
		{"x", `{"queue":"` + q + `","filter_policy":{"a":"b"}}`, "filter_policy_invalid"},
		{"x", `{"queue":"` + q + `","lag":1}`, "unknown_field"},
		{"there", `{"queue":"` + other + `"}`, "validation_failed"},
	} {
		h.json("PUT", tp+"/subscriptions/"+c.name, c.body).problem(422, c.code)
	}
	p := h.json("PUT", tp+"/subscriptions/x", `{"queue":"`+q+`","filter_policy":{"a":[{"numeric":[">"]}]}}`).problem(422, "filter_policy_invalid")
	if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Pointer, "/filter_policy") || p.Errors[0].Line == 0 {
		t.Errorf("the errors are %+v", p.Errors)
	}
	h.json("PUT", "/v1/topics/none/subscriptions/x", `{"queue":"`+q+`"}`).problem(404, "topic_not_found")
	h.json("PATCH", tp+"/subscriptions/x", `{}`).problem(404, "subscription_not_found")
	h.do("GET", tp+"/subscriptions/x", "").problem(404, "subscription_not_found")
	h.do("POST", tp+"/subscriptions/x/pause", "").problem(404, "subscription_not_found")
	h.json("PUT", tp+"/subscriptions/there", `{"queue":"`+q+`"}`, "If-None-Match", "*").problem(412, "precondition_failed")
}

func TestASubscriptionMayLeadToATopic(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	from, to, q := h.topic("", `{}`), h.topic("", `{"message_retention":3600}`), queueName(h.queue(`{}`))
	sub := from + "/subscriptions/on"
	var s handlers.Subscription
	h.json("PUT", sub, `{"protocol":"topic","target_topic":"`+queueName(to)+`"}`).is(201).into(&s)
	if s.Protocol != "topic" || s.TargetTopic == nil || *s.TargetTopic != queueName(to) || s.Queue != nil || s.Endpoint != "" {
		t.Errorf("made: %+v", s)
	}
	h.do("POST", from+"/messages", "m").is(201)
	got := h.do("GET", to+"/messages?wait=5", "").is(200)
	if !strings.Contains(string(got.body), `"body":"m"`) {
		t.Errorf("the other topic has %s", got.body)
	}
	for _, body := range []string{
		`{"target_topic":"` + queueName(from) + `"}`, `{"target_topic":"none"}`, `{"target_topic":7}`,
		`{"target_topic":"` + queueName(to) + `","queue":"` + q + `"}`, `{"target_topic":"` + queueName(to) + `","endpoint":"https://example.com"}`,
		`{"target_topic":"` + queueName(to) + `","format":"envelope"}`, `{"protocol":"topic"}`, `{"protocol":"topic","queue":"` + q + `"}`,
		`{"protocol":"queue","target_topic":"` + queueName(to) + `"}`, `{"queue":"topic:` + queueName(to) + `"}`,
	} {
		h.json("PUT", from+"/subscriptions/other", body).problem(422, "validation_failed")
	}
	p := h.json("PUT", to+"/subscriptions/back", `{"target_topic":"`+queueName(from)+`"}`).problem(422, "validation_failed")
	if p.Fix == "" || !strings.Contains(p.Detail, queueName(from)) {
		t.Errorf("a ring: %+v", p)
	}
	h.do("GET", sub+"/secret", "").problem(409, "not_a_webhook")
	h.json("PATCH", sub, `{"target_topic":null,"queue":"`+q+`"}`).problem(422, "validation_failed")
	stranger := h.newTenant()
	h.json("PUT", "/v1/topics/theirs", `{}`, as(h.newKey(stranger.ID))...).is(201)
	h.json("PUT", "/v1/topics/theirs/subscriptions/on", `{"target_topic":"`+queueName(to)+`"}`, as(h.newKey(stranger.ID))...).problem(422, "validation_failed")
}

func TestAFilterTestNamesWhatFails(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var got handlers.FilterTested
	h.json("POST", "/v1/filters/test", `{"filter_policy":{"tier":["pro"]},"message":{"body":"x","attributes":{"tier":{"type":"String","value":"free"}}}}`).is(200).into(&got)
	if got.Matched || len(got.Failures) != 1 || got.Failures[0].Path != "/tier" || fmt.Sprint(got.Failures[0].Want, got.Failures[0].Got) != "[pro] [free]" {
		t.Errorf("a policy that keeps the message out: %+v", got)
	}
	h.json("POST", "/v1/filters/test", `{"filter_policy":{"n":[{"numeric":["=",7]}]},"filter_scope":"body","message":{"body":"{\"n\":7}"}}`).is(200).into(&got)
	if !got.Matched || len(got.Failures) != 0 {
		t.Errorf("a policy that lets it through: %+v", got)
	}
	tp, q := h.topic("", `{}`), queueName(h.queue(`{}`))
	h.json("PUT", tp+"/subscriptions/all", `{"queue":"`+q+`"}`).is(201)
	h.json("PUT", tp+"/subscriptions/pro", `{"queue":"`+q+`","filter_policy":{"tier":["pro"]}}`).is(201)
	h.json("POST", "/v1/filters/test", `{"topic":"`+queueName(tp)+`","message":{"body":"x"}}`).is(200).into(&got)
	if !got.Matched || len(got.Subscriptions) != 2 || !got.Subscriptions[0].Matched || got.Subscriptions[1].Matched || len(got.Subscriptions[1].Failures) != 1 {
		t.Errorf("all subscriptions of a topic: %+v", got)
	}
	for _, body := range []string{`{}`, `{"filter_policy":{}}`, `{"message":{"body":"x"}}`, `{"filter_policy":{},"topic":"x","message":{"body":"x"}}`, `{"filter_policy":{},"message":{"body":""}}`} {
		h.json("POST", "/v1/filters/test", body).problem(422, "validation_failed")
	}
	h.json("POST", "/v1/filters/test", `{"filter_policy":{"a":[]},"message":{"body":"x"}}`).problem(422, "filter_policy_invalid")
	h.json("POST", "/v1/filters/test", `{"topic":"none","message":{"body":"x"}}`).problem(404, "topic_not_found")
}

func TestAPolicyIsCountedOverWhatWasPublished(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", `{"message_retention":3600}`)
	for i := range 3 {
		h.do("POST", tp+"/messages", fmt.Sprintf(`{"n":%d}`, i), "Message-Attr-Tier", []string{"free", "pro", "pro"}[i]).is(201)
	}
	var got handlers.FilterCounted
	h.json("POST", tp+"/filters/count", `{"filter_policy":{"tier":["pro"]}}`).is(200).into(&got)
	diff(t, "by an attribute", handlers.FilterCounted{Matched: 2, Scanned: handlers.Scanned{Messages: 3, Complete: true}, OldestAt: instant(0)}, got)
	h.json("POST", tp+"/filters/count", `{"filter_policy":{"n":[0]},"filter_scope":"body","last":2}`).is(200).into(&got)
	diff(t, "by the body, of the last two", handlers.FilterCounted{Scanned: handlers.Scanned{Messages: 2, Complete: true}, OldestAt: instant(0)}, got)
	h.json("POST", tp+"/filters/count", `{"filter_policy":null}`).is(200).into(&got)
	if got.Matched != 3 {
		t.Errorf("without a policy: %+v", got)
	}
	for _, wrong := range []string{`{}`, `{"filter_policy":1}`, `{"filter_policy":null,"last":0}`, `{"filter_policy":null,"last":1001}`, `{"filter_policy":null,"filter_scope":"x"}`} {
		h.json("POST", tp+"/filters/count", wrong).problem(422, "validation_failed")
	}
	p := h.json("POST", tp+"/filters/count", "{\"filter_policy\":{\n \"a\":[]}}").problem(422, "filter_policy_invalid")
	if p.Errors[0].Pointer != "/filter_policy" || p.Errors[0].Line != 2 || p.Errors[0].Column != 6 {
		t.Errorf("the place of the fault: %+v", p.Errors[0])
	}
	h.json("POST", "/v1/topics/none/filters/count", `{"filter_policy":null}`).problem(404, "topic_not_found")
	h.json("POST", tp+"/filters/count", `{"filter_policy":null}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})...).problem(403, "permission_denied")
	var log handlers.TopicMessages
	h.do("GET", tp+"/messages?last=2", "").is(200).into(&log)
	if len(log.Messages) != 2 || log.Messages[0].Body != `{"n":1}` {
		t.Errorf("the last two: %+v", log)
	}
	for _, wrong := range []string{"last=0", "last=1001", "last=2&after=1", "last=2&since=2026-03-01T12:00:00Z"} {
		h.do("GET", tp+"/messages?"+wrong, "").problem(422, "validation_failed")
	}
}

// sorted puts what comes in no order of its own, because some of it belongs to groups, into one.
func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func TestTheLogIsReadAndReplayed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onServer(redistest.Start(t, redistest.Options{})))
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{topics.ReplayTask: h.topics.Replaying()}}).Run)
	tp, q := h.topic("", `{"message_retention":3600}`), h.queue(`{}`)
	h.json("PUT", tp+"/subscriptions/s", `{"queue":"`+queueName(q)+`","filter_policy":{"odd":["true"]}}`).is(201)
	h.do("POST", tp+"/messages", "one", "Message-Attr-Odd", "true", "Message-Group-Id", "g").is(201)
	h.clock.Advance(time.Minute)
	h.do("POST", tp+"/messages", "\xff").is(201)
	h.do("POST", tp+"/messages", "three", "Message-Attr-Odd", "true").is(201)
	diff(t, "what came first", []string{"one", "three"}, sorted(h.carried(q, 2)))

	var page, rest handlers.TopicMessages
	h.do("GET", tp+"/messages?limit=1", "").is(200).into(&page)
	if len(page.Messages) != 1 {
		t.Fatalf("the first page: %+v", page)
	}
	group := "g"
	want := handlers.TopicMessage{ID: page.Messages[0].ID, SequenceNumber: page.NextAfter, PublishedAt: *instant(0), Body: "one", BodyEncoding: "utf8",
		ContentType: "text/plain; charset=utf-8", Size: 3, Attributes: map[string]handlers.MessageAttribute{"odd": {Type: "String", Value: "true"}}, GroupID: &group}
	diff(t, "the oldest message", want, page.Messages[0])
	h.do("GET", tp+"/messages?after="+page.NextAfter, "").is(200).into(&rest)
	if len(rest.Messages) != 2 || rest.Messages[0].BodyEncoding != "base64" || rest.Messages[1].Body != "three" || rest.NextAfter != rest.Messages[1].SequenceNumber {
		t.Errorf("the rest: %+v", rest)
	}
	h.do("GET", tp+"/messages?since=2026-03-01T12:00:30Z", "").is(200).into(&page)
	if len(page.Messages) != 2 {
		t.Errorf("since half a minute after the first: %+v", page)
	}
	waits := h.later(func() *answer { return h.do("GET", tp+"/messages?wait=20&after="+rest.NextAfter, "") })
	until(t, "the read waits", func() bool { return h.api.Waiting() == 1 })
	h.do("POST", tp+"/messages", "four").is(201)
	(<-waits).is(200).into(&page)
	if len(page.Messages) != 1 || page.Messages[0].Body != "four" {
		t.Errorf("who waited got %+v", page)
	}

	replay := func(body string) handlers.Task {
		var task handlers.Task
		h.json("POST", tp+"/subscriptions/s/replay", body).is(202).into(&task)
		until(t, "the replay ends", func() bool {
			h.do("GET", "/v1/tasks/"+task.ID, "").is(200).into(&task)
			return task.Status == "succeeded"
		})
		return task
	}
	task := replay(`{}`)
	if task.Type != "replay" || task.Scope != (handlers.TaskScope{Topic: queueName(tp), Subscription: "s"}) || task.Progress.Done != 2 || task.Progress.Looked != 4 {
		t.Errorf("the replay: %+v", task)
	}
	diff(t, "what came again", []string{"one", "three"}, sorted(bodies(h.receive(q, 10))))
	replay(`{"since":"2026-03-01T12:00:30Z"}`)
	diff(t, "what came again of the last minute", []string{"three"}, bodies(h.receive(q, 10)))
	if task = replay(`{"after":"` + page.NextAfter + `"}`); task.Progress.Done+task.Progress.Looked != 0 {
		t.Errorf("a replay of nothing: %+v", task)
	}
	var all handlers.Page[handlers.Task]
	h.do("GET", "/v1/tasks?type=replay", "").is(200).into(&all)
	if len(all.Data) != 3 {
		t.Errorf("%d replays are listed, want 3", len(all.Data))
	}

	h.clock.Advance(time.Hour - time.Second)
	p := h.do("GET", tp+"/messages?after=0", "").problem(409, "not_retained")
	if !strings.Contains(p.Fix, "after=0000") {
		t.Errorf("the fix is %q", p.Fix)
	}
	h.json("POST", tp+"/subscriptions/s/replay", `{"after":"0"}`).problem(409, "not_retained")
	h.do("GET", tp+"/messages?after=x", "").problem(422, "validation_failed")
	h.do("GET", tp+"/messages?since=x", "").problem(422, "validation_failed")
	h.do("GET", tp+"/messages?after=1&since=2026-03-01T12:00:30Z", "").problem(422, "validation_failed")
	h.do("GET", tp+"/messages?limit=101", "").problem(422, "validation_failed")
	h.do("GET", tp+"/messages?wait=21", "").problem(422, "validation_failed")
	h.json("POST", tp+"/subscriptions/s/replay", `{"after":"x"}`).problem(422, "validation_failed")
	h.json("POST", tp+"/subscriptions/s/replay", `{"after":"1","since":"2026-03-01T12:00:30Z"}`).problem(422, "validation_failed")
	h.json("POST", tp+"/subscriptions/none/replay", `{}`).problem(404, "subscription_not_found")
}

func TestATopicIsFollowed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, accept := range []string{"", "text/event-stream"} {
		tp := h.topic("", `{"message_retention":3600}`)
		h.do("POST", tp+"/messages", "before", "Message-Group-Id", "g").is(201)
		now, all := h.stream("GET", tp+"/tail", "Accept", accept), h.stream("GET", tp+"/tail?since=2026-01-01T00:00:00Z", "Accept", accept)
		group := h.stream("GET", tp+"/tail?group_id=g&after=0", "Accept", accept)
		h.do("POST", tp+"/messages", "1", "Message-Group-Id", "other").is(201)
		h.do("POST", tp+"/messages", "\xff\n\x00", "Message-Group-Id", "g").is(201)
		diff(t, "from the beginning", []string{"before", "1", "/woA"}, all.bodies(3))
		diff(t, "of a group", []string{"before", "/woA"}, group.bodies(2))
		first, second := now.next(), now.next()
		diff(t, "from now on", []string{"1", "/woA"}, []string{first.Body, second.Body})
		if first.SequenceNumber == nil || accept != "" && first.id != *first.SequenceNumber {
			t.Errorf("got %+v", first)
		}
		again := h.stream("GET", tp+"/tail?after="+*first.SequenceNumber, "Accept", accept)
		diff(t, "behind the first", []string{"/woA"}, again.bodies(1))
		again = h.stream("GET", tp+"/tail?after=0", "Last-Event-ID", *first.SequenceNumber, "Accept", accept)
		diff(t, "behind the last event", []string{"/woA"}, again.bodies(1))
		h.do("DELETE", tp, "").is(204)
		until(t, "the deleted topic's stream ends", func() bool {
			h.clock.Advance(500 * time.Millisecond)
			return len(now.items) > 0
		})
		if end := now.next(); end.Event != "end" || end.Reason != "topic_not_found" {
			t.Errorf("the end: %+v", end)
		}
	}
	tp := h.topic("", `{"message_retention":3600}`)
	if a := h.do("HEAD", tp+"/tail", ""); a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	for _, c := range []struct {
		query, header string
		status        int
		code          string
	}{
		{"?after=x", "", 422, "validation_failed"},
		{"?after=1&since=2026-01-01T00:00:00Z", "", 422, "validation_failed"},
		{"?since=yesterday", "", 422, "validation_failed"},
		{"?group_id=", "", 422, "validation_failed"},
		{"?group_id=" + strings.Repeat("g", 129), "", 422, "validation_failed"},
		{"?limit=3", "", 422, "validation_failed"},
		{"", "nonsense", 422, "validation_failed"},
	} {
		h.do("GET", tp+"/tail"+c.query, "", "Last-Event-ID", c.header).problem(c.status, c.code)
	}
	h.do("GET", tp+"/tail", "", "Authorization", stranger).problem(404, "topic_not_found")
	h.do("GET", tp+"/messages?group_id=", "").problem(422, "validation_failed")
}
