package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// newSpreadTest returns an API whose topics follow topic subscriptions. It has a Redis of its own: a server works on the tasks of all.
func newSpreadTest(tb testing.TB) *apiTest {
	tb.Helper()
	h := newAPITest(tb, onServer(redistest.Start(tb, redistest.Options{})))
	h.spreading()
	return h
}

// spreading has topics follow topic subscriptions.
func (h *apiTest) spreading() {
	h.Helper()
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{topics.SpreadTask: h.topics.Spreading()}}).Run)
}

// followed waits until the topics follow a topic subscription.
func (h *apiTest) followed(path string) (s handlers.TopicSubscription) {
	h.Helper()
	until(h, "the topics follow", func() bool { h.do("GET", path, "").is(200).into(&s); return s.State == "active" })
	return s
}

func TestTopicSubscriptionsAreCreatedChangedListedAndDeleted(t *testing.T) {
	t.Parallel()
	h := newSpreadTest(t)
	q := h.queue(`{}`)
	const one = "/v1/topic_subscriptions/audit"
	h.json("PUT", "/v1/topics/orders.eu.created", `{}`).is(201)
	var s handlers.TopicSubscription
	a := h.json("PUT", one, `{"pattern":"orders.*.created","queue":"`+queueName(q)+`","filter_policy":{"tier":["gold"]}}`).is(201)
	a.into(&s)
	if !strings.HasSuffix(a.header.Get("Location"), one) || a.header.Get("ETag") != `"`+s.ETag+`"` {
		t.Errorf("the answer has %v", a.header)
	}
	name := queueName(q)
	want := handlers.TopicSubscription{Name: "audit", Pattern: "orders.*.created", Protocol: "queue", Queue: &name, Format: "raw", FilterPolicy: map[string]any{"tier": []any{"gold"}}, FilterScope: "attributes",
		State: "applying", Failures: []handlers.TopicFailure{}, CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: s.ETag}
	diff(t, "the new topic subscription", want, s)
	want.State = "active"
	diff(t, "once the topics follow", want, h.followed(one))
	var task handlers.Page[handlers.Task]
	until(t, "the task ends", func() bool {
		h.do("GET", "/v1/tasks?type=topic_subscription", "").is(200).into(&task)
		return len(task.Data) == 1 && task.Data[0].Status == "succeeded"
	})
	if got := task.Data[0]; got.Scope.TopicSubscription != "audit" || got.Progress.Done != 1 {
		t.Errorf("the task is %+v", got)
	}

	// A topic that comes later is subscribed with the first publish, and both show whose subscription it is.
	h.json("PUT", "/v1/topics/orders.us.created", `{}`).is(201)
	for _, topic := range []string{"eu", "us"} {
		h.do("POST", "/v1/topics/orders."+topic+".created/messages", topic, "Message-Attr-Tier", "gold").is(201)
		h.do("POST", "/v1/topics/orders."+topic+".created/messages", "filtered").is(201)
	}
	diff(t, "what the queue gets", []string{"eu", "us"}, sorted(h.carried(q, 2)))
	var sub handlers.Subscription
	const owned = "/v1/topics/orders.us.created/subscriptions/pattern.audit"
	h.do("GET", owned, "").is(200).into(&sub)
	if sub.TopicSubscription == nil || *sub.TopicSubscription != "audit" || sub.Name != "pattern.audit" {
		t.Errorf("the subscription is %+v", sub)
	}
	for method, body := range map[string]string{"PUT": `{"queue":"` + name + `"}`, "PATCH": `{"format":"envelope"}`, "DELETE": ""} {
		if p := h.json(method, owned, body).problem(409, "subscription_owned"); !strings.Contains(p.Detail, `"audit"`) {
			t.Errorf("%s says %q", method, p.Detail)
		}
	}

	h.json("PATCH", one, `{"filter_policy":null,"pattern":"orders.us.#"}`, "If-Match", `"no"`).problem(412, "precondition_failed")
	h.json("PATCH", one, `{"filter_policy":null,"pattern":"orders.us.#"}`, "If-Match", `"`+s.ETag+`"`).is(200).into(&s)
	if s.State != "applying" || s.FilterPolicy != nil || s.Pattern != "orders.us.#" || *s.Queue != name {
		t.Errorf("changed: %+v", s)
	}
	h.followed(one)
	h.do("GET", "/v1/topics/orders.eu.created/subscriptions/pattern.audit", "").problem(404, "subscription_not_found")
	h.do("GET", one, "", "If-None-Match", `"`+s.ETag+`"`).is(304)
	h.json("PUT", one, `{"pattern":"orders.us.#","queue":"`+name+`"}`).is(200).into(&s)
	if s.State != "active" {
		t.Errorf("the same again: %+v", s)
	}

	h.json("PUT", "/v1/topic_subscriptions/zz", `{"pattern":"none.*","target_topic":"orders.us.created"}`).is(201)
	var page handlers.Page[handlers.TopicSubscription]
	h.do("GET", "/v1/topic_subscriptions?limit=1", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Name != "audit" || page.NextCursor == nil {
		t.Fatalf("the first page: %+v", page)
	}
	h.do("GET", "/v1/topic_subscriptions?limit=1&cursor="+*page.NextCursor, "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Name != "zz" || page.Data[0].Protocol != "topic" || page.NextCursor != nil {
		t.Errorf("the second page: %+v", page)
	}

	h.do("DELETE", one, "").is(202).into(&s)
	if s.State != "deleting" {
		t.Errorf("deleted: %+v", s)
	}
	until(t, "it is gone", func() bool { return h.do("GET", one, "").status == 404 })
	h.do("GET", owned, "").problem(404, "subscription_not_found")
	h.do("DELETE", one, "").problem(404, "topic_subscription_not_found")
	h.json("PATCH", one, `{}`).problem(404, "topic_subscription_not_found")
	diff(t, "the audit log", []string{"deleteTopicSubscription", "updateTopicSubscription", "putTopicSubscription"}, func() (out []string) {
		for _, e := range h.audit("?target=audit") {
			if e.Target.Type == "topic_subscription" && e.Outcome == "done" {
				out = append(out, e.Operation)
			}
		}
		return out
	}())
}

func TestTopicSubscriptionsRefuse(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	name := queueName(h.queue(`{}`))
	for body, pointer := range map[string]string{
		`{"queue":"` + name + `"}`:                                                             "/pattern",
		`{"pattern":null,"queue":"` + name + `"}`:                                              "/pattern",
		`{"pattern":"orders.created","queue":"` + name + `"}`:                                  "/pattern",
		`{"pattern":"orders.*x","queue":"` + name + `"}`:                                       "/pattern",
		`{"pattern":"#.created","queue":"` + name + `"}`:                                       "/pattern",
		`{"pattern":7,"queue":"` + name + `"}`:                                                 "/pattern",
		`{"pattern":"#"}`:                                                                      "/queue",
		`{"pattern":"#","queue":"none"}`:                                                       "/queue",
		`{"pattern":"#","queue":"` + name + `","state":"active"}`:                              "/state",
		`{"pattern":"#","queue":"` + name + `","topic":"x"}`:                                   "/topic",
		`{"pattern":"#","endpoint":"http://127.0.0.1/","verification":"sns"}`:                  "/verification",
		`{"pattern":"#","queue":"` + name + `","secret":"x"}`:                                  "/secret",
		`{"pattern":"#.fifo","endpoint":"http://127.0.0.1/","batch":{},"format":"envelope"}`:   "/batch",
		`{"pattern":"#.fifo","endpoint":"http://127.0.0.1/","overflow":"drop_oldest"}`:         "/overflow",
		`{"pattern":"#","queue":"` + name + `","filter_policy":{"a":1}}`:                       "/filter_policy",
		`{"pattern":"#","target_topic":"none","format":"raw"}`:                                 "/target_topic",
		`{"pattern":"#","queue":"` + name + `","dead_letter_queue":"` + name + `"}`:            "/dead_letter_queue",
		`{"pattern":"#","queue":"` + name + `","endpoint":"http://127.0.0.1/","secret":"bad"}`: "/secret",
	} {
		p := h.json("PUT", "/v1/topic_subscriptions/x", body).is(422)
		if !strings.Contains(string(p.body), `"`+pointer+`"`) {
			t.Errorf("%s: got %s, want %s", body, p.body, pointer)
		}
	}
	h.json("PUT", "/v1/topic_subscriptions/a.b", `{"pattern":"#","queue":"`+name+`"}`).is(422)
	h.json("PUT", "/v1/topic_subscriptions/x", `{"pattern":"#","queue":"`+name+`"}`, "If-Match", "*").problem(412, "precondition_failed")
	h.do("GET", "/v1/topic_subscriptions/x", "").problem(404, "topic_subscription_not_found")
	// Who reaches only some queues reaches no topics.
	h.json("PUT", "/v1/topic_subscriptions/x", `{"pattern":"#","queue":"`+name+`"}`, h.keyFor(h.tenant.ID, auth.NewKey{Queues: []string{name}})...).problem(403, "permission_denied")
	h.json("PUT", "/v1/topic_subscriptions/x", `{"pattern":"#","queue":"`+name+`"}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})...).problem(403, "permission_denied")
}

// A webhook by a pattern signs with one secret for all topics, and each topic's is on its own otherwise.
func TestAPatternLeadsToAWebhook(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	h.spreading()
	e := newEndpoint(t, 200)
	h.json("PUT", "/v1/topics/a.x", `{}`).is(201)
	var s handlers.TopicSubscription
	a := h.json("PUT", "/v1/topic_subscriptions/hook", `{"pattern":"a.*","endpoint":"`+e.URL+`","headers":{"X-Team":"blue"}}`).is(201)
	if a.into(&s); !strings.HasPrefix(s.Secret, "whsec_") || a.header.Get("Cache-Control") != "no-store" || s.Headers["X-Team"] != "***" {
		t.Fatalf("the new webhook: %s", a.body)
	}
	h.followed("/v1/topic_subscriptions/hook")
	h.json("PUT", "/v1/topics/a.y", `{}`).is(201)
	for _, topic := range []string{"a.x", "a.y"} {
		path := "/v1/topics/" + topic + "/subscriptions/pattern.hook"
		var secrets handlers.WebhookSecrets
		h.do("GET", path+"/secret", "").is(200).into(&secrets)
		if len(secrets.Secrets) != 1 || secrets.Secrets[0].Secret != s.Secret {
			t.Errorf("%s signs with %+v", topic, secrets)
		}
		h.json("POST", path+"/rotate_secret", `{}`).problem(409, "subscription_owned")
		h.do("POST", path+"/disable", "").is(200)
		h.do("POST", path+"/enable", "").is(200)
		h.do("POST", "/v1/topics/"+topic+"/messages", topic).is(201)
	}
	until(t, "both are sent", func() bool { return len(e.got()) == 2 })
	diff(t, "what was sent", []string{"a.x", "a.y"}, sorted(e.got()))
	var again handlers.TopicSubscription
	if h.do("GET", "/v1/topic_subscriptions/hook", "").is(200).into(&again); again.Secret != "" {
		t.Error("the secret is shown again")
	}
	h.json("PATCH", "/v1/topic_subscriptions/hook", `{"secret":"`+s.Secret+`"}`).is(422)
	h.json("PATCH", "/v1/topic_subscriptions/hook", `{"timeout":3,"overflow":"drop_oldest","headers":{"X-Team":"***"}}`).is(200)
	h.followed("/v1/topic_subscriptions/hook")
	var sub handlers.Subscription
	if h.do("GET", "/v1/topics/a.x/subscriptions/pattern.hook", "").is(200).into(&sub); sub.Timeout != 3 || sub.Overflow != "drop_oldest" || sub.Headers["X-Team"] != "***" {
		t.Errorf("after the change: %+v", sub)
	}
	h.do("POST", "/v1/topics/a.x/messages", "again").is(201)
	until(t, "it is sent", func() bool { return len(e.got()) == 3 })
	e.mu.Lock()
	defer e.mu.Unlock()
	if got := e.heads[2].Get("X-Team"); got != "blue" {
		t.Errorf("the header is %q", got)
	}
}

func TestTheSecretOfAPatternIsRotatedForAllItsTopics(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	h.spreading()
	e := newEndpoint(t, 204)
	const one = "/v1/topic_subscriptions/hook"
	h.json("PUT", "/v1/topics/a.x", `{}`).is(201)
	var s handlers.TopicSubscription
	h.json("PUT", one, `{"pattern":"a.*","endpoint":"`+e.URL+`"}`).is(201).into(&s)
	h.followed(one)
	read := func(path string) (out []string) {
		var got handlers.WebhookSecrets
		h.do("GET", path, "").is(200).into(&got)
		for _, one := range got.Secrets {
			out = append(out, one.Secret)
		}
		return out
	}
	diff(t, "before", []string{s.Secret}, read(one+"/secret"))
	var made handlers.WebhookSecrets
	a := h.json("POST", one+"/rotate_secret", `{"grace_period":3600}`).is(201)
	a.into(&made)
	if len(made.Secrets) != 2 || a.header.Get("Cache-Control") != "no-store" || made.Secrets[0].ExpiresAt != nil {
		t.Fatalf("the rotation: %+v", made)
	}
	diff(t, "the old one ends", handlers.WebhookSecret{Secret: s.Secret, Type: "hmac", CreatedAt: *instant(0), ExpiresAt: instant(time.Hour)}, made.Secrets[1])
	h.followed(one)
	h.json("PUT", "/v1/topics/a.y", `{}`).is(201) // after the rotation
	both := []string{made.Secrets[0].Secret, s.Secret}
	for _, path := range []string{one, "/v1/topics/a.x/subscriptions/pattern.hook", "/v1/topics/a.y/subscriptions/pattern.hook"} {
		diff(t, "what signs for "+path, both, read(path+"/secret"))
	}
	for n, topic := range []string{"a.x", "a.y"} {
		h.do("POST", "/v1/topics/"+topic+"/messages", "x").is(201)
		until(t, "it is sent", func() bool { return len(e.got()) == n+1 })
		if got := e.heads[n].Get("Webhook-Signature"); len(strings.Fields(got)) != 2 {
			t.Errorf("%s is signed with %q, want two signatures", topic, got)
		}
	}
	// Another change of the topic subscription leaves them as they are.
	h.json("PATCH", one, `{"timeout":3}`).is(200)
	h.followed(one)
	diff(t, "after another change", both, read("/v1/topics/a.x/subscriptions/pattern.hook/secret"))
	h.clock.Advance(2 * time.Hour)
	for _, path := range []string{one, "/v1/topics/a.x/subscriptions/pattern.hook", "/v1/topics/a.y/subscriptions/pattern.hook"} {
		diff(t, "after the grace period, for "+path, both[:1], read(path+"/secret"))
	}
	own := "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="
	h.json("POST", one+"/rotate_secret", `{"grace_period":0,"secret":"`+own+`"}`).is(201)
	h.followed(one)
	diff(t, "one that is given, without grace", []string{own}, read("/v1/topics/a.y/subscriptions/pattern.hook/secret"))
	for range 4 {
		h.json("POST", one+"/rotate_secret", `{}`).is(201)
	}
	h.json("POST", one+"/rotate_secret", `{}`).problem(409, "too_many_secrets")
	h.json("POST", one+"/rotate_secret", `{"secret":"whsec_x"}`).problem(422, "validation_failed")
	h.json("POST", one+"/rotate_secret", `{"grace_period":700000}`).problem(422, "validation_failed")
	h.json("POST", "/v1/topic_subscriptions/none/rotate_secret", `{}`).problem(404, "topic_subscription_not_found")
	h.do("GET", "/v1/topic_subscriptions/none/secret", "").problem(404, "topic_subscription_not_found")
	h.json("PUT", "/v1/topic_subscriptions/q", `{"pattern":"b.*","queue":"`+queueName(h.queue(`{}`))+`"}`).is(201)
	h.json("POST", "/v1/topic_subscriptions/q/rotate_secret", `{}`).problem(409, "not_a_webhook")
	h.do("GET", "/v1/topic_subscriptions/q/secret", "").problem(409, "not_a_webhook")
	var page handlers.Page[handlers.MatchingTopic]
	for _, name := range []string{"a.z", "a", "ab.x", "a.x.y"} {
		h.json("PUT", "/v1/topics/"+name, `{}`).is(201)
	}
	h.do("GET", one+"/topics?limit=2", "").is(200).into(&page)
	diff(t, "the first topics", []handlers.MatchingTopic{{Topic: "a.x", Subscription: "pattern.hook"}, {Topic: "a.y", Subscription: "pattern.hook"}}, page.Data)
	h.do("GET", one+"/topics?limit=2&cursor="+*page.NextCursor, "").is(200).into(&page)
	diff(t, "the others", handlers.Page[handlers.MatchingTopic]{Data: []handlers.MatchingTopic{{Topic: "a.z", Subscription: "pattern.hook"}}}, page)
	h.do("GET", one+"/topics?cursor=x", "").problem(422, "validation_failed")
	h.do("GET", "/v1/topic_subscriptions/none/topics", "").problem(404, "topic_subscription_not_found")
	h.do("GET", one+"/secret", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})...).problem(403, "permission_denied")
}

// What stems from a pattern is no definition of its own.
func TestAnExportHasPatternsAndNotWhatStemsFromThem(t *testing.T) {
	t.Parallel()
	h := newSpreadTest(t)
	name := queueName(h.queue(`{}`))
	h.json("PUT", "/v1/topic_subscriptions/all", `{"pattern":"#","queue":"`+name+`"}`).is(201)
	h.json("PUT", "/v1/topics/t", `{}`).is(201)
	h.json("PUT", "/v1/topics/t/subscriptions/own", `{"queue":"`+name+`"}`).is(201)
	h.followed("/v1/topic_subscriptions/all")
	a, got := h.export(h.tenant.Name)
	diff(t, "the subscriptions", []string{"own"}, namesIn(got.Topics[0]["subscriptions"]))
	if text := string(a.body); !strings.Contains(text, `"topic_subscriptions":[{`) || !strings.Contains(text, `"pattern":"#"`) {
		t.Errorf("the export is %s", text)
	}
}

// A tenant with as many tasks as it may have can have topic subscriptions all the same: the sweep sees to them.
func TestATopicSubscriptionNeedsNoTask(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	q := h.queue(`{}`)
	h.json("PUT", "/v1/topics/t", `{}`).is(201)
	for i := range tasks.MaxUnfinished {
		_, err := h.api.Tasks.Start(t.Context(), h.tenant.ID.String(), tasks.NewTask{Type: "purge", Queue: fmt.Sprint("q", i)})
		h.must(err)
	}
	h.json("PUT", "/v1/topic_subscriptions/all", `{"pattern":"#","queue":"`+queueName(q)+`"}`).is(201)
	h.must(h.topics.Sweep(t.Context(), h.tenant.ID))
	h.followed("/v1/topic_subscriptions/all")
	h.do("POST", "/v1/topics/t/messages", "x").is(201)
	diff(t, "what the queue gets", []string{"x"}, h.carried(q, 1))
}

// Of a topic subscription that is damaged each method says so, and it is deleted like another one.
func TestATopicSubscriptionThatIsDamaged(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	h := newAPITest(t, onServer(redis))
	h.spreading()
	const one = "/v1/topic_subscriptions/ill"
	body := `{"pattern":"a.*","queue":"` + queueName(h.queue(`{}`)) + `"}`
	h.json("PUT", one, body).is(201)
	h.followed(one)
	h.json("PUT", "/v1/topics/a.x", `{}`).is(201)
	h.must(h.engine(redis).Single().HSet(t.Context(), engine.TenantKey(h.tenant.ID.String(), "topic-subscriptions"), "ill", "{").Err())
	h.json("PUT", "/v1/topics/a.y", `{}`).is(201)
	var s handlers.TopicSubscription
	h.do("GET", one, "").is(200).into(&s)
	if s.Name != "ill" || s.State != "broken" {
		t.Errorf("got %+v", s)
	}
	if list := h.do("GET", "/v1/topic_subscriptions", "").is(200); !strings.Contains(string(list.body), `"state":"broken"`) {
		t.Errorf("the list: %s", list.body)
	}
	h.json("PUT", one, body).problem(409, "topic_subscription_damaged")
	h.json("PATCH", one, `{"pattern":"b.*"}`).problem(409, "topic_subscription_damaged")
	h.do("GET", one+"/topics", "").problem(409, "topic_subscription_damaged")
	h.do("GET", one+"/secret", "").problem(409, "topic_subscription_damaged")
	h.json("POST", one+"/rotate_secret", `{}`).problem(409, "topic_subscription_damaged")
	h.do("DELETE", one, "", "If-Match", `"`+s.ETag+`"`).is(202)
	until(t, "it is gone", func() bool { return h.do("GET", one, "").status == 404 })
	h.do("GET", "/v1/topics/a.x/subscriptions/pattern.ill", "").problem(404, "subscription_not_found")
	h.json("PUT", one, body).is(201)
}
