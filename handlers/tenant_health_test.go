package handlers_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/tenants"
)

func (h *apiTest) fares(query string) []handlers.TenantHealth {
	h.Helper()
	var out handlers.TenantHealthList
	h.asOperator("GET", "/v1/tenant_health?tenants="+query, "").is(200).into(&out)
	return out.Data
}

func TestHowSeveralTenantsFareIsOneAnswer(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	good, bad := newEndpoint(t, 204), newEndpoint(t, 500)
	idle := h.newTenant()
	prefix := fmt.Sprintf("fares%d-", os.Getpid())
	waits := prefix + "waits"
	h.asOperator("PUT", "/v1/tenants/"+waits, "").is(201)
	for _, queue := range []string{"new", "old", "empty"} {
		h.asOperator("PUT", "/v1/queues/"+queue, "", "Tenant", waits).is(201)
	}
	send := func(queue string) {
		h.asOperator("POST", "/v1/queues/"+queue+"/messages", "x", "Tenant", waits, "Content-Type", "text/plain").is(201)
	}
	send("old")
	h.span()
	send("new")
	send("empty")
	h.asOperator("POST", "/v1/queues/empty/receive?ack=auto", "", "Tenant", waits).is(200)
	h.span()

	topic := h.topic("", `{}`)
	for name, url := range map[string]string{"good": good.URL, "bad": bad.URL, "worse": bad.URL} {
		h.json("PUT", topic+"/subscriptions/"+name, `{"endpoint":"`+url+`"}`).is(201)
	}
	h.do("POST", topic+"/messages", "x").is(201)
	names := strings.Join([]string{waits, "nothing", h.tenant.Name, "NO%20NAME", idle.Name}, ",")
	until(h, "both endpoints have failed", func() bool {
		h.api.Meter.Flush(t.Context())
		got := h.fares(names)
		return len(got) == 3 && got[1].FailingEndpoints == 2
	})
	got := h.fares(names)
	want := []handlers.TenantHealth{
		{Tenant: waits, OldestAge: 20, Complete: true},
		{Tenant: h.tenant.Name, FailingEndpoints: 2, Complete: true},
		{Tenant: idle.Name, Complete: true},
	}
	diff(t, "three tenants", want, got)
	h.asOperator("POST", "/v1/queues/old/receive?ack=auto", "", "Tenant", waits).is(200)
	h.span()
	if got := h.fares(waits); got[0].OldestAge != 20 { // what was sent to new
		t.Errorf("when the oldest is received: %+v", got)
	}
	h.do("DELETE", topic+"/subscriptions/worse", "").is(204)
	if got := h.fares(h.tenant.Name); got[0].FailingEndpoints != 1 {
		t.Errorf("when one of them is deleted: %+v", got)
	}
}

func TestHowTenantsFareIsBounded(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	for _, query := range []string{"", "?tenants=", "?tenants=" + strings.Join(slices.Repeat([]string{"t"}, 101), ",")} {
		if p := h.asOperator("GET", "/v1/tenant_health"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != "tenants" {
			t.Errorf("%.20s: the fault is at %+v, want tenants", query, p.Errors[0])
		}
	}
	h.do("GET", "/v1/tenant_health?tenants="+h.tenant.Name, "").problem(403, "permission_denied")

	for i := range 1001 {
		h.json("PUT", fmt.Sprintf("/v1/topics/t%d", i), `{}`).is(201)
	}
	if got := h.fares(h.tenant.Name); !got[0].Complete {
		t.Errorf("without failed attempts nothing need be looked at: %+v", got)
	}
	later := h.newTenant()
	for _, id := range []tenants.ID{h.tenant.ID, later.ID} {
		h.api.Meter.Add(id, tenants.KindTenant, "", tenants.MetricUndelivered, 1)
	}
	h.api.Meter.Flush(t.Context())
	for _, one := range h.fares(h.tenant.Name + "," + later.Name) {
		if one.Complete {
			t.Errorf("1,001 topics were looked at: %+v", one)
		}
	}
	h.clock.Advance(25 * time.Hour)
	if got := h.fares(h.tenant.Name); !got[0].Complete {
		t.Errorf("a day later: %+v", got)
	}
}
