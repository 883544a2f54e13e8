package handlers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/monitor"
)

// span lets ten seconds pass and takes samples.
func (h *apiTest) span() {
	h.Helper()
	h.clock.Advance(monitor.Step)
	h.must(h.api.Monitor.Record(h.Context()))
}

func TestTheHistoryOfAQueue(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	q, other := h.queue(""), h.queue("")
	h.do("POST", q+"/messages", "hello", "Content-Type", "text/plain").is(201)
	h.do("POST", other+"/messages", "hello", "Content-Type", "text/plain").is(201)
	h.span()
	h.do("POST", q+"/messages", "hello", "Content-Type", "text/plain").is(201)
	h.do("POST", q+"/receive", "").is(200)
	h.span()
	var got handlers.QueueSeries
	h.do("GET", q+"/stats?window=30s", "").is(200).into(&got)
	want := handlers.QueueSeries{Series: handlers.Series{
		From: *instant(monitor.Step), To: *instant(3 * monitor.Step), Step: 10,
		Available: []int64{1, 1}, InFlight: []int64{0, 1}, Delayed: []int64{0, 0}, Bytes: got.Bytes,
		Sent: []int64{1, 1}, Received: []int64{0, 1}, Deleted: []int64{0, 0}, Expired: []int64{0, 0}, DeadLettered: []int64{0, 0},
	}, OldestAge: []int64{20, 10}}
	diff(t, "the series", want, got)

	var all handlers.Series
	h.do("GET", "/v1/stats?window=20s&step=20s", "").is(200).into(&all)
	if len(all.Sent) == 0 || all.Sent[len(all.Sent)-1] == 0 {
		t.Errorf("of the tenant: %+v", all)
	}
	h.asOperator("GET", "/v1/stats", "", "Tenant", h.tenant.Name).is(200)
	h.asOperator("GET", "/v1/system/stats?window=7d", "").is(200).into(&all)
	if all.Step != 600 {
		t.Errorf("a week has steps of %d s", all.Step)
	}

	var one handlers.Queue
	h.do("GET", q, "").is(200).into(&one)
	diff(t, "rates", handlers.Rates{Sent: 0.1, Received: 0.1}, one.Rates)
}

func TestWhoMaySeeTheHistory(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	q, other := h.queue(""), h.queue("")
	h.do("GET", "/v1/system/stats", "").problem(403, "permission_denied")
	h.do("GET", "/v1/queues/nothing/stats", "").problem(404, "queue_not_found")
	k, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "narrow", Scopes: []string{"queues:read"}, Queues: []string{queueName(q)}})
	h.must(err)
	narrow := as(k.Secret.Reveal())
	h.do("GET", q+"/stats", "", narrow...).is(200)
	h.do("GET", other+"/stats", "", narrow...).problem(404, "queue_not_found")
	h.do("GET", "/v1/stats", "", narrow...).problem(403, "permission_denied")
	h.do("GET", "/v1/queues?sort=-available", "", narrow...).is(200)
	h.wantNames("?sort=-available", []string{queueName(q)}, narrow...)
}

func TestABadWindowIsRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	q := h.queue("")
	for _, query := range []string{"window=9s", "window=8d", "window=x", "step=15s", "step=5s", "window=24h&step=10s", "window=-1h", "step=0", "windw=1h", "window=1h&window=2h"} {
		h.do("GET", q+"/stats?"+query, "").is(422)
	}
	for _, query := range []string{"window=10s", "window=7d&step=10m", "window=24h", "step=1h", "window=2h&step=120"} {
		h.do("GET", q+"/stats?"+query, "").is(200)
	}
}

// wantNames fails the test unless a list, read in parts of two, has these names.
func (h *apiTest) wantNames(query string, want []string, headers ...string) {
	h.Helper()
	var got []string
	for cursor := ""; ; {
		var page handlers.Page[handlers.Queue]
		h.do("GET", "/v1/queues"+query+"&limit=2"+cursor, "", headers...).is(200).into(&page)
		for _, q := range page.Data {
			got = append(got, q.Name)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	diff(h, query, want, got)
}

func TestListsOfQueuesAreSortedAndSearched(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for i, name := range []string{"orders-eu", "Orders-us", "mail", "late"} {
		h.json("PUT", "/v1/queues/"+name, "").is(201)
		for range i {
			h.do("POST", "/v1/queues/"+name+"/messages", "x", "Content-Type", "text/plain").is(201)
		}
		h.clock.Advance(time.Second)
	}
	h.span()
	h.wantNames("?sort=-available", []string{"late", "mail", "Orders-us", "orders-eu"})
	h.wantNames("?sort=available", []string{"orders-eu", "Orders-us", "mail", "late"})
	h.wantNames("?sort=-oldest_age", []string{"Orders-us", "mail", "late", "orders-eu"})
	h.wantNames("?sort=-name", []string{"orders-eu", "mail", "late", "Orders-us"})
	h.wantNames("?q=ORDERS", []string{"Orders-us", "orders-eu"})
	h.wantNames("?q=ORDERS&sort=-available&prefix=o", []string{"orders-eu"})
	h.wantNames("?q=nothing", nil)
	h.wantNames("?prefix=l", []string{"late"})

	var page handlers.Page[handlers.Queue]
	h.do("GET", "/v1/queues?sort=-available&limit=1", "").is(200).into(&page)
	for _, query := range []string{"?sort=age", "?sort=--name", "?sort=", "?sort=available&cursor=" + *page.NextCursor, "?cursor=" + *page.NextCursor} {
		h.do("GET", "/v1/queues"+query, "").is(422)
	}
}

func TestQueuesAreListedByWhereTheirDeadLettersGo(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, name := range []string{"a", "b", "c"} {
		h.json("PUT", "/v1/queues/"+name, `{"labels":{"team":"`+name+`"},"redrive":{"dead_letter_queue":"dead","max_receives":3}}`).is(201)
	}
	h.json("PUT", "/v1/queues/other", `{"redrive":{"dead_letter_queue":"dead-too","max_receives":3}}`).is(201)
	h.do("POST", "/v1/queues/b/messages", "x", "Content-Type", "text/plain").is(201)
	h.span()
	h.wantNames("?dead_letter_queue=dead", []string{"a", "b", "c"})
	h.wantNames("?dead_letter_queue=dead&sort=-available", []string{"b", "a", "c"})
	h.wantNames("?dead_letter_queue=dead&label=team=c", []string{"c"})
	h.wantNames("?dead_letter_queue=dea", nil)
	h.wantNames("?dead_letter_queue=", nil)

	k, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "narrow", Scopes: []string{"queues:read"}, Queues: []string{"b", "dead"}})
	h.must(err)
	h.wantNames("?dead_letter_queue=dead", []string{"b"}, as(k.Secret.Reveal())...)
	h.wantNames("?dead_letter_queue=dead", nil, as(h.newKey(h.newTenant().ID))...)
	var page handlers.Page[handlers.Queue]
	h.do("GET", "/v1/queues?dead_letter_queue=dead&limit=1", "").is(200).into(&page)
	h.do("GET", "/v1/queues?dead_letter_queue=dead-too&cursor="+*page.NextCursor, "").is(422)
}

func TestQueuesAreListedByLabel(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for i, labels := range []string{`{"team":"shop"}`, `{"team":"mail"}`, `{"team":"shop","tier":"1"}`, `{}`, `{"team":"shop"}`} {
		h.json("PUT", fmt.Sprintf("/v1/queues/q%d", i), `{"labels":`+labels+`}`).is(201)
	}
	h.do("POST", "/v1/queues/q2/messages", "x", "Content-Type", "text/plain").is(201)
	h.span()
	h.wantNames("?label=team", []string{"q0", "q1", "q2", "q4"})
	h.wantNames("?label=team=shop", []string{"q0", "q2", "q4"})
	h.wantNames("?label=team%3Dshop&sort=-available", []string{"q2", "q0", "q4"})
	h.wantNames("?label=team=shop&q=Q4", []string{"q4"})
	h.wantNames("?label=team=shop&prefix=q4", []string{"q4"})
	h.wantNames("?label=shop", nil)
	h.wantNames("?label=team=", nil)
	h.wantNames("?label=", nil)

	k, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "narrow", Scopes: []string{"queues:read"}, Queues: []string{"q2", "q3"}})
	h.must(err)
	narrow := as(k.Secret.Reveal())
	h.wantNames("?label=team=shop", []string{"q2"}, narrow...)
	h.wantNames("?label=team=shop&sort=name", []string{"q2"}, narrow...)
	h.wantNames("?label=team", nil, as(h.newKey(h.newTenant().ID))...)
}

func BenchmarkListOf10000Queues(b *testing.B) {
	h := newAPITest(b)
	for i := range 10_000 {
		h.json("PUT", fmt.Sprintf("/v1/queues/queue-%05d", i), fmt.Sprintf(`{"labels":{"team":"%d"}}`, i%100)).is(201)
	}
	h.span()
	for _, query := range []string{"sort=-oldest_age", "label=team=7", "label=team=7&sort=-oldest_age"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				h.clock.Advance(3 * time.Second) // so that the board is read again
				h.do("GET", "/v1/queues?limit=50&"+query, "").is(200)
			}
		})
	}
}
