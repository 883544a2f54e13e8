package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

// limited gives the tenant limits of its own, at once on this server.
func (h *apiTest) limited(limits string) {
	h.Helper()
	h.asOperator("PATCH", "/v1/tenants/"+h.tenant.Name, `{"limits":`+limits+`}`).is(200)
}

func TestATenantThatDoesTooMuchIsToldToWait(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	if a := h.do("GET", path, "").is(200); a.header.Get("RateLimit") != "" || a.header.Get("RateLimit-Policy") != "" {
		t.Errorf("a tenant without limits is told %v", a.header)
	}
	h.limited(`{"requests_per_second":5,"bytes_in_per_second":1048576}`)
	const policy = `"requests_per_second";q=5;w=1, "bytes_in_per_second";q=1048576;w=1;qu="content-bytes"`
	for i, want := range []string{"4", "3", "2", "1", "0"} {
		a := h.do("POST", path+"/messages", "m").is(201)
		if got := a.header.Get("RateLimit"); got != `"requests_per_second";r=`+want+`;t=1` || a.header.Get("RateLimit-Policy") != policy {
			t.Errorf("request %d: RateLimit %s, RateLimit-Policy %s", i, got, a.header.Get("RateLimit-Policy"))
		}
	}
	for _, r := range handlers.Routes() {
		if r.Needs == "operator" || r.Needs == "public" {
			continue
		}
		a := h.do(r.Method, at(r, queueName(path), h.tenant.Name), "")
		p := a.problem(429, "rate_limited")
		if a.header.Get("Retry-After") != "1" || a.header.Get("RateLimit") != `"requests_per_second";r=0;t=1` || p.Quota != "requests_per_second" ||
			p.Limit != 5 || len(p.ViolatedPolicies) != 1 || p.ViolatedPolicies[0] != "requests_per_second" || p.Fix == "" {
			t.Errorf("%s %s: %v, %+v", r.Method, r.Path, a.header, p)
		}
	}
	// Nothing was done, and nobody else is concerned.
	h.wantCounts(path, [3]int64{5, 0, 0})
	h.asOperator("GET", path, "", "Tenant", h.tenant.Name).is(200)
	h.do("GET", "/v1/whoami", "", "Authorization", "Bearer "+h.newKey(h.newTenant().ID)).is(200)
	h.limited(`{"requests_per_second":null}`)
	h.do("GET", path, "").is(200)
}

func TestBytesOfATenantAreCounted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.limited(`{"bytes_in_per_second":1024}`)
	h.do("POST", path+"/messages", strings.Repeat("x", 5000)).is(201)
	p := h.do("POST", path+"/messages", "x").problem(429, "rate_limited")
	if p.Quota != "bytes_in_per_second" {
		t.Errorf("refused because of %s", p.Quota)
	}

	// A body whose length nobody said before counts too.
	h.tenant = h.newTenant()
	h.key = h.newKey(h.tenant.ID)
	h.do("PUT", path, "").is(201)
	h.limited(`{"bytes_in_per_second":1024}`)
	body := strings.Repeat("x", 5000)
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+path+"/messages", struct{ *strings.Reader }{strings.NewReader(body)})
	h.must(err)
	h.send(req, body).is(201)
	h.do("POST", path+"/messages", "x").problem(429, "rate_limited")

	// So do answers.
	h.limited(`{"bytes_in_per_second":null,"bytes_out_per_second":1024}`)
	h.receive(path, 1)
	if p := h.do("GET", path, "").problem(429, "rate_limited"); p.Quota != "bytes_out_per_second" {
		t.Errorf("refused because of %s", p.Quota)
	}

	// And streams, as they go.
	h.tenant = h.newTenant()
	h.key = h.newKey(h.tenant.ID)
	h.do("PUT", path, "").is(201)
	h.sendText(path, body)
	h.limited(`{"bytes_out_per_second":2048}`)
	stream := h.stream("POST", path+"/consume")
	stream.next()
	h.do("GET", path, "").problem(429, "rate_limited")
}
