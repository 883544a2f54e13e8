package handlers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// posted is what an endpoint of SNS got.
type posted struct {
	Type, Message, Token, Signature string
	kind                            string // as the header says it
}

func TestAWebhookMaySendAsSNSDoes(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	var mu sync.Mutex
	var list []posted
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		p := posted{kind: r.Header.Get("x-amz-sns-message-type")}
		_ = json.Unmarshal(body, &p)
		mu.Lock()
		list = append(list, p)
		mu.Unlock()
	}))
	t.Cleanup(e.Close)
	nth := func(n int) posted {
		t.Helper()
		until(h, "a request", func() bool { mu.Lock(); defer mu.Unlock(); return len(list) >= n })
		mu.Lock()
		defer mu.Unlock()
		return list[n-1]
	}
	tp := h.topic("", `{}`)
	one := tp + "/subscriptions/customer"
	var s handlers.Subscription
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","verification":"sns","format":"sns"}`).is(201).into(&s)
	if s.Verification != "sns" || s.Format != "sns" || s.State != "unverified" || s.DeliveryPolicy != nil || len(s.RetrySchedule) == 0 {
		t.Errorf("a new one: %+v", s)
	}
	asked := nth(1)
	if asked.Type != "SubscriptionConfirmation" || asked.kind != asked.Type || asked.Signature == "" {
		t.Errorf("it is asked %+v", asked)
	}
	h.do("POST", tp+"/messages", "one").is(201) // which waits
	h.do("POST", one+"/test", "").problem(409, "endpoint_unverified")
	early := h.do("POST", one+"/confirm", "")
	early.problem(429, "too_many_challenges")
	h.clock.Advance(10 * time.Second)
	var got handlers.Delivery
	h.do("POST", one+"/confirm", "").is(200).into(&got)
	if got.Status != "challenge" || got.Error != nil || got.Response != "" { // what repeats the token is not kept
		t.Errorf("asked again: %+v", got)
	}
	h.do("GET", one, "").is(200).into(&s)
	if s.State != "unverified" || s.Delivery.Until != nil {
		t.Errorf("an answer of 200 confirms nothing: %+v", s.Delivery)
	}
	h.clock.Advance(2 * topics.ConfirmTime) // nobody deletes it
	h.do("POST", one+"/confirm", "").is(200)
	token, ok := h.notifier.OpenConfirmToken(nth(3).Token)
	if !ok || token.Subscription != "customer" {
		t.Fatalf("the token is for %+v", token)
	}
	way, err := h.topics.Of(t.Context(), h.tenant.ID, token.Topic, token.Subscription)
	h.must(err)
	end := webhook.Endpoint{URL: e.URL, Verify: webhook.BySNS}
	if !token.Confirms(way, end.ToVerify(), h.clock.Now()) {
		t.Error("the token does not confirm")
	}
	accepted, err := h.api.Webhooks.Accept(t.Context(), way, end.ToVerify())
	if h.must(err); !accepted {
		t.Error("not accepted")
	}
	if note := nth(4); note.Type != "Notification" || note.Message != "one" || note.kind != note.Type || note.Signature == "" {
		t.Errorf("what waited comes as %+v", note)
	}
	h.do("GET", one, "").is(200).into(&s)
	if s.State != "active" || s.Delivery.VerifiedAt == nil {
		t.Errorf("confirmed: %+v", s)
	}
	h.json("PATCH", one, `{"format":"raw"}`).is(200)
	h.do("POST", tp+"/messages", "two").is(201)
	if raw := nth(5); raw.Type != "" || raw.kind != "Notification" {
		t.Errorf("raw: %+v", raw)
	}
	h.json("PATCH", one, `{"delivery_policy":{}}`).problem(422, "unknown_field")
	h.json("PUT", tp+"/subscriptions/other", `{"endpoint":"https://10.0.0.1/","verification":"sns","format":"sns"}`).problem(422, "endpoint_not_allowed")
	h.json("PATCH", one, `{"verification":"none"}`).is(200)
	h.do("POST", one+"/confirm", "").problem(409, "no_verification")
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	h.do("POST", one+"/confirm", "", "Authorization", stranger).problem(404, "topic_not_found")
}

// What a client of SNS has subscribed is shown and changed by REST, and stays what it is unless it is to be verified otherwise.
func TestASubscriptionOfSNSIsKeptByREST(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	e := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(e.Close)
	tp := h.topic("", `{}`)
	name := tp[len("/v1/topics/"):]
	set := topics.SubscriptionSettings{Format: topics.Notified, Endpoint: webhook.Endpoint{URL: e.URL, Verify: webhook.BySNS,
		SNS: &webhook.SNS{Policy: `{"healthyRetryPolicy":{"numRetries":7}}`}}.Encode()}
	_, err := h.topics.Subscribe(t.Context(), h.tenant.ID, name, "s", set)
	h.must(err)
	one := tp + "/subscriptions/s"
	keeps := func(what string) {
		t.Helper()
		var s handlers.Subscription
		h.do("GET", one, "").is(200).into(&s)
		retry, _ := s.DeliveryPolicy["healthyRetryPolicy"].(map[string]any)
		if retry["numRetries"] != 7.0 || s.RetrySchedule != nil || s.State != "unverified" {
			t.Errorf("%s: %+v", what, s)
		}
	}
	keeps("made")
	h.json("PATCH", one, `{"timeout":5}`).is(200)
	keeps("changed")
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","format":"sns","verification":"sns"}`).is(200)
	keeps("replaced")
	h.json("PATCH", one, `{"retry_schedule":["5s"]}`).problem(422, "validation_failed")
	keeps("refused")
	var s handlers.Subscription
	h.json("PUT", one, `{"endpoint":"`+e.URL+`"}`).is(200).into(&s)
	if s.DeliveryPolicy != nil || len(s.RetrySchedule) == 0 || s.State != "active" {
		t.Errorf("as another webhook: %+v", s)
	}
}
