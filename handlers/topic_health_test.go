package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestHowSeveralTopicsFareIsOneAnswer(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	good, bad := newEndpoint(t, 204), newEndpoint(t, 410)
	busy, idle := h.topic("", `{}`), h.topic("", `{}`)
	queue := queueName(h.queue(""))
	for name, set := range map[string]string{
		"all":     `{"queue":"` + queue + `"}`,
		"few":     `{"queue":"` + queue + `","filter_policy":{"kind":["rare"]}}`,
		"resting": `{"queue":"` + queue + `"}`,
		"good":    `{"endpoint":"` + good.URL + `"}`,
		"gone":    `{"endpoint":"` + bad.URL + `"}`,
	} {
		h.json("PUT", busy+"/subscriptions/"+name, set).is(201)
	}
	h.do("POST", busy+"/subscriptions/resting/pause", "").is(200)
	h.do("POST", busy+"/messages", "x").is(201)
	ask := func(names string, headers ...string) []handlers.TopicHealth {
		var out handlers.TopicHealthList
		h.do("GET", "/v1/topic_health?topics="+names, "", headers...).is(200).into(&out)
		return out.Data
	}
	want := []handlers.TopicHealth{
		{Topic: queueName(idle), Complete: true},
		{Topic: queueName(busy), States: handlers.SubscriptionStates{Active: 3, Paused: 1, Disabled: 1},
			Counts: handlers.SubscriptionCounts{Delivered: 2, FilteredOut: 1}, Complete: true},
	}
	names := strings.Join([]string{queueName(idle), "nothing", queueName(busy), "no%20name"}, ",")
	until(h, "all is brought, and the endpoint that is gone is disabled", func() bool {
		got := ask(names)
		return len(got) == 2 && got[1].States.Disabled == 1 && got[1].Counts.Delivered == 2 && got[1].Counts.FilteredOut == 1
	})
	got := ask(names)
	got[1].Counts.Failed = 0 // whether what was gone counts as failed yet is a matter of its endpoint
	diff(t, "two topics", want, got)
	other := []string{"Authorization", "Bearer " + h.newKey(h.newTenant().ID)}
	diff(t, "another tenant", []handlers.TopicHealth{}, ask(names, other...))
	h.do("DELETE", idle, "").is(204)
	diff(t, "one was deleted", 1, len(ask(names)))
}

func TestHowTopicsFareIsBounded(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	queue := queueName(h.queue(""))
	for _, query := range []string{"", "?topics=", "?topics=" + strings.Join(slices.Repeat([]string{"t"}, 101), ",")} {
		if p := h.do("GET", "/v1/topic_health"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != "topics" {
			t.Errorf("%.20s: the fault is at %+v, want topics", query, p.Errors[0])
		}
	}
	h.do("GET", "/v1/topic_health?topics=t", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:read"}})...).problem(403, "permission_denied")

	one, two := h.topic("", `{}`), h.topic("", `{}`)
	const each = 501 // two of them are more than a request looks at
	for i := range each {
		for _, topic := range []string{one, two} {
			h.json("PUT", fmt.Sprintf("%s/subscriptions/s%d", topic, i), `{"queue":"`+queue+`"}`).is(201)
		}
	}
	var out handlers.TopicHealthList
	h.do("GET", "/v1/topic_health?topics="+queueName(one)+","+queueName(two), "").is(200).into(&out)
	diff(t, "more than are looked at", []handlers.TopicHealth{
		{Topic: queueName(one), States: handlers.SubscriptionStates{Active: each}, Complete: true},
		{Topic: queueName(two), States: handlers.SubscriptionStates{Active: 1000 - each}},
	}, out.Data)
}
