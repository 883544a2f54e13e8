package handlers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestAnEndpointIsVerifiedBeforeItIsSentTo(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	var agrees atomic.Bool
	var came atomic.Int64
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var asked struct{ Type, Challenge string }
		if json.Unmarshal(body, &asked) == nil && asked.Type == "sluice.challenge" {
			if agrees.Load() {
				fmt.Fprint(w, asked.Challenge)
			}
			return
		}
		came.Add(1)
	}))
	t.Cleanup(e.Close)
	tp := h.topic("", `{}`)
	one := tp + "/subscriptions/customer"
	var s handlers.Subscription
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","verification":"challenge"}`).is(201).into(&s)
	if s.Verification != "challenge" || s.State != "unverified" || s.Delivery.Gate != "unverified" || s.Delivery.VerifiedAt != nil || s.Delivery.Until == nil {
		t.Errorf("a new one: %+v %+v", s, s.Delivery)
	}
	h.do("POST", tp+"/messages", "one").is(201)
	var page handlers.Page[handlers.Delivery]
	until(h, "it is challenged", func() bool {
		h.do("GET", one+"/deliveries?status=challenge", "").is(200).into(&page)
		return len(page.Data) == 1 && page.Data[0].Error != nil && page.Data[0].Error.Code == "challenge_failed"
	})
	early := h.do("POST", one+"/confirm", "")
	if early.problem(429, "too_many_challenges"); early.header.Get("Retry-After") != "10" {
		t.Errorf("it may be asked for again in %q", early.header.Get("Retry-After"))
	}
	h.do("POST", one+"/test", "").problem(409, "endpoint_unverified")
	if came.Load() != 0 {
		t.Error("an endpoint that is not verified got something")
	}
	agrees.Store(true)
	h.clock.Advance(10 * time.Second)
	var got handlers.Delivery
	h.do("POST", one+"/confirm", "").is(200).into(&got)
	if got.Status != "challenge" || got.Error != nil {
		t.Errorf("confirmed: %+v", got)
	}
	until(h, "what waited comes", func() bool { return came.Load() == 1 })
	h.do("GET", one, "").is(200).into(&s)
	if s.State != "active" || s.Delivery.Gate != "open" || s.Delivery.VerifiedAt == nil || s.Delivery.AllowedRate != nil {
		t.Errorf("verified: %+v %+v", s, s.Delivery)
	}
	h.json("PATCH", one, `{"endpoint":"`+e.URL+`/other"}`).is(200).into(&s)
	if s.State != "unverified" {
		t.Errorf("at another URL: %+v", s)
	}
	other := "Bearer " + h.newKey(h.newTenant().ID)
	h.do("POST", one+"/confirm", "", "Authorization", other).problem(404, "topic_not_found")
	h.json("PATCH", one, `{"verification":null}`).is(200).into(&s)
	if s.State != "active" || s.Verification != "none" {
		t.Errorf("without verification: %+v", s)
	}
	h.do("POST", one+"/confirm", "").problem(409, "no_verification")
	h.json("PATCH", one, `{"verification":"mail"}`).problem(422, "validation_failed")
}
