package handlers_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/tenants"
)

// What a schedule sends counts as what anybody else sends, a repeated run once.
func TestSchedulesAreUsage(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.json("PUT", path+"/schedules/s", `{"every":60,"message":{"body":"tick"}}`).is(201)
	for range 2 {
		h.do("POST", path+"/schedules/s/run", "", "Idempotency-Key", "k").is(201)
	}
	h.do("POST", path+"/schedules/s/run", "").is(201)
	h.api.Meter.Flush(t.Context())
	var page handlers.Page[handlers.Usage]
	h.do("GET", "/v1/usage?by=queue&name="+queueName(path), "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].MessagesSent != 2 {
		t.Errorf("after two runs of a schedule: %+v", page.Data)
	}
}

func TestUsageIsTold(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	other := h.queue("")
	h.sendText(path, "hello")
	h.sendText(other, "hello")
	h.do("GET", "/v1/queues/absent", "").problem(404, "queue_not_found")
	if got := h.receive(path, 1); len(got) != 1 {
		t.Fatalf("received %v", got)
	}
	h.api.Meter.Flush(t.Context())
	h.clock.Advance(time.Hour)
	h.api.Meter.Flush(t.Context()) // as it does at the end of an hour
	h.sendText(path, "later")
	h.api.Meter.Flush(t.Context())

	told := func(query string, headers ...string) (page handlers.Page[handlers.Usage]) {
		t.Helper()
		h.do("GET", "/v1/usage?"+query, "", headers...).is(200).into(&page)
		return page
	}
	q1, first := queueName(path), start.Truncate(time.Hour)
	all := told("").Data
	if len(all) != 2 || all[0].Requests != 6 || all[0].MessagesSent != 2 || all[0].BytesIn != 10 || all[0].MessagesReceived != 1 || all[1].Requests != 1 {
		t.Errorf("in all: %+v", all)
	}
	of := told("by=queue&name=" + q1).Data
	if len(of) != 2 || of[0].Requests != 3 || *of[0].Queue != q1 || of[0].Topic != nil || !of[0].Start.Equal(first) || of[1].MessagesSent != 1 {
		t.Errorf("of one queue: %+v", of)
	}
	if got := told("by=queue&name=absent").Data; len(got) != 0 {
		t.Errorf("of a queue that there is not: %+v", got)
	}
	day := told("granularity=day&by=queue").Data
	if len(day) != 2 || day[0].MessagesSent+day[1].MessagesSent != 3 {
		t.Errorf("by day and queue: %+v", day)
	}
	only := told("by=queue&from=" + first.Format(time.RFC3339) + "&to=" + first.Add(time.Hour).Format(time.RFC3339)).Data
	if len(only) != 2 {
		t.Errorf("of the first hour: %+v", only)
	}
	part := told("by=queue&limit=1")
	rest := told("by=queue&limit=500&cursor=" + *part.NextCursor)
	if len(part.Data) != 1 || len(rest.Data) != 2 || rest.NextCursor != nil {
		t.Errorf("in parts: %+v, %+v", part, rest)
	}
	h.do("GET", "/v1/usage?by=topic&cursor="+*part.NextCursor, "").problem(422, "validation_failed")

	// Operators, another tenant, and keys that may see less.
	var page handlers.Page[handlers.Usage]
	h.asOperator("GET", "/v1/tenants/"+h.tenant.Name+"/usage?by=queue", "").is(200).into(&page)
	if len(page.Data) != 3 {
		t.Errorf("the operator is told %+v", page.Data)
	}
	h.asOperator("GET", "/v1/tenants/absent/usage", "").problem(404, "tenant_not_found")
	h.do("GET", "/v1/tenants/"+h.tenant.Name+"/usage", "").problem(403, "permission_denied")
	stranger := h.newTenant()
	if got := told("by=queue", "Authorization", "Bearer "+h.newKey(stranger.ID)).Data; len(got) != 0 {
		t.Errorf("another tenant is told %+v", got)
	}
	few, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Scopes: []string{"usage:read"}, Queues: []string{q1}})
	h.must(err)
	asFew := []string{"Authorization", "Bearer " + few.Secret.Reveal()}
	if got := told("by=queue", asFew...).Data; len(got) != 2 || *got[0].Queue != q1 {
		t.Errorf("a key that reaches one queue is told %+v", got)
	}
	for _, query := range []string{"", "?by=topic"} {
		h.do("GET", "/v1/usage"+query, "", asFew...).problem(403, "permission_denied")
	}
	sender, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Scopes: []string{"messages:send"}})
	h.must(err)
	h.do("GET", "/v1/usage", "", "Authorization", "Bearer "+sender.Secret.Reveal()).problem(403, "permission_denied")

	for _, query := range []string{"granularity=minute", "by=key", "name=x", "from=yesterday", "to=1", "limit=0", "limit=501", "cursor=x",
		"from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z", "from=2030-01-01T00:00:00Z", "unknown=1"} {
		h.do("GET", "/v1/usage?"+query, "").problem(422, "validation_failed")
	}
}

// What is refused before anything is looked at does not count.
func TestRefusalsAreNoUsage(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.do("GET", "/v1/queues", "", "Authorization", "Bearer slk_wrong").is(401)
	h.do("GET", "/v1/tenants", "").problem(403, "permission_denied")
	_, err := h.tenants.Update(t.Context(), h.tenant.Name, tenants.Condition{}, func(s tenants.Settings) (tenants.Settings, error) {
		s.Limits[tenants.LimitRequests] = 1
		return s, nil
	})
	h.must(err)
	served := int64(0)
	for range 5 {
		if a := h.do("GET", "/v1/queues", ""); a.status == 200 {
			served++
		} else {
			a.problem(429, "rate_limited")
		}
	}
	h.api.Meter.Flush(t.Context())
	list, _, err := h.tenants.Usage(t.Context(), h.tenant.ID, tenants.UsageQuery{Granularity: tenants.ByHour, To: start.Add(time.Hour)}, 10, "")
	if err != nil || served == 5 || len(list) != 1 || list[0].Counts[tenants.MetricRequests] != served {
		t.Errorf("%d of 5 requests were served; usage is %+v, %v", served, list, err)
	}
	h.limited(`{"requests_per_second":null}`)
	var page handlers.Page[handlers.Usage]
	h.do("GET", "/v1/usage", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Throttled != 5-served || page.Data[0].Requests != served {
		t.Errorf("%d of 5 requests were throttled; told is %+v", 5-served, page.Data)
	}
}
