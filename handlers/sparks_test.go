package handlers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestSeveralQueuesHaveOneAnswer(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			busy, idle, hidden := queueName(h.queue("")), queueName(h.queue("")), queueName(h.queue(""))
			for _, q := range []string{busy, hidden} {
				h.sendText("/v1/queues/"+q, "hello")
			}
			h.span()
			h.sendText("/v1/queues/"+busy, "hello")
			h.clock.Advance(2 * time.Minute)
			h.span()
			ask := func(names string, headers ...string) (s handlers.Sparks) {
				h.do("GET", "/v1/sparks?queues="+names, "", headers...).is(200).into(&s)
				return s
			}
			got := ask(strings.Join([]string{busy, "nothing", idle, "no%20name"}, ","))
			want := []handlers.Spark{{Queue: busy, Available: []int64{1, 2}}, {Queue: idle, Available: []int64{0, 0}}}
			diff(t, "the last hour", want, got.Data)
			if got.Step != 120 || got.To.Sub(got.From.Time) != time.Hour || h.clock.Now().After(got.To.Time) {
				t.Errorf("from %s to %s in steps of %d s, want the last hour in steps of 120", got.From, got.To, got.Step)
			}

			narrow := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:read"}, Queues: []string{busy}})
			diff(t, "what a key does not reach", want[:1], ask(busy+","+hidden, narrow...).Data)
			other := []string{"Authorization", "Bearer " + h.newKey(h.newTenant().ID)}
			diff(t, "another tenant", []handlers.Spark{}, ask(busy, other...).Data)

			h.clock.Advance(time.Hour + time.Minute)
			diff(t, "after an hour in which nobody used it", []handlers.Spark{{Queue: busy, Available: []int64{}}}, ask(busy).Data)
			h.do("DELETE", "/v1/queues/"+busy, "").is(204)
			diff(t, "a queue that was deleted", []handlers.Spark{}, ask(busy).Data)
		})
	}
}

func TestSparksAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, query := range []string{"", "?queues=", "?queues=" + strings.Join(slices.Repeat([]string{"q"}, 101), ",")} {
		if p := h.do("GET", "/v1/sparks"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != "queues" {
			t.Errorf("%.20s: the fault is at %+v, want queues", query, p.Errors[0])
		}
	}
	h.do("GET", "/v1/sparks?queues=q", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})...).problem(403, "permission_denied")
}

func TestTheUseOfQuotasIsTold(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			ask := func(headers ...string) []handlers.QuotaUse {
				var out handlers.Quotas
				h.do("GET", "/v1/quotas", "", headers...).is(200).into(&out)
				return out.Data
			}
			want := []handlers.QuotaUse{{Quota: "queues", Limit: 100_000}, {Quota: "topics", Limit: 10_000}, {Quota: "keys", Used: 1, Limit: 1000}, {Quota: "alarms", Limit: 100}}
			diff(t, "of a new tenant", want, ask())
			q := h.queue("")
			h.queue("")
			h.json("PUT", "/v1/topics/t", "").is(201)
			h.json("PUT", "/v1/alarms/a", `{"metric":"available","target":{"queue":"`+queueName(q)+`"}}`).is(201)
			viewer := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer"}})
			h.asOperator("PATCH", "/v1/tenants/"+h.tenant.Name, `{"limits":{"queues":3,"stored_bytes":1048576}}`).is(200)
			h.clock.Advance(10 * time.Second)
			want = []handlers.QuotaUse{{Quota: "queues", Used: 2, Limit: 3}, {Quota: "topics", Used: 1, Limit: 10_000}, {Quota: "keys", Used: 2, Limit: 1000},
				{Quota: "alarms", Used: 1, Limit: 100}, {Quota: "stored_bytes", Limit: 1 << 20}}
			diff(t, "of one that has something", want, ask(viewer...))
			other := h.newTenant()
			if got := ask("Authorization", "Bearer "+h.newKey(other.ID)); got[0].Used != 0 {
				t.Errorf("another tenant has used %+v", got[0])
			}
			h.asOperator("GET", "/v1/quotas", "", "Tenant", h.tenant.Name).is(200)
			h.do("GET", "/v1/quotas", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:*"}})...).problem(403, "permission_denied")
			h.do("GET", "/v1/quotas", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"*"}, Queues: []string{"q"}})...).problem(403, "permission_denied")
		})
	}
}
