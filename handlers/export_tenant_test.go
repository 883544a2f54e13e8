package handlers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// exported is an export as a reader sees it.
type exported struct {
	Format int              `json:"format"`
	Tenant map[string]any   `json:"tenant"`
	Queues []map[string]any `json:"queues"`
	Topics []map[string]any `json:"topics"`
	Keys   []map[string]any `json:"keys"`
}

func (h *apiTest) export(tenant string, headers ...string) (*answer, exported) {
	h.Helper()
	var e exported
	a := h.do("GET", "/v1/tenants/"+tenant+"/export", "", append(as(h.operator), headers...)...).is(200)
	d := json.NewDecoder(strings.NewReader(string(a.body)))
	if err := d.Decode(&e); err != nil || d.More() {
		h.Fatalf("the export is no single JSON document: %v", err)
	}
	return a, e
}

func namesIn(list any) (out []string) {
	raw, _ := json.Marshal(list)
	var all []struct{ Name string }
	_ = json.Unmarshal(raw, &all)
	for _, one := range all {
		out = append(out, one.Name)
	}
	return out
}

func TestATenantsDefinitionsAreExported(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner := "/v1/tenants/" + h.tenant.Name
	_, empty := h.export(h.tenant.Name)
	if empty.Format != 1 || empty.Tenant["name"] != h.tenant.Name || len(empty.Queues)+len(empty.Topics) != 0 || len(empty.Keys) != 1 {
		t.Errorf("the export of a new tenant is %+v", empty)
	}
	h.asOperator("PATCH", owner, `{"notes":"a note","labels":{"team":"blue"}}`).is(200)
	for i := range 3 {
		h.json("PUT", fmt.Sprint("/v1/queues/q", i), `{"visibility_timeout":77,"labels":{"a":"<b>"}}`).is(201)
	}
	h.json("PUT", "/v1/queues/q0/schedules/nightly", `{"cron":"0 3 * * *","message":{"body":"SCHEDULED"}}`).is(201)
	h.json("PUT", "/v1/queues/q0/schedules/hourly", `{"every":3600,"message":{"body":"x"}}`).is(201)
	h.do("POST", "/v1/queues/q0/messages", "M4RKED", "Content-Type", "text/plain").is(201)
	h.json("PUT", "/v1/alarms/deep", `{"metric":"available","target":{"queue":"q*"},"threshold":9}`).is(201)
	h.json("PUT", "/v1/topics/t", `{"message_retention":60}`).is(201)
	h.json("PUT", "/v1/topics/t/subscriptions/s", `{"queue":"q1","filter_policy":{"tier":["pro"]}}`).is(201)
	a := h.json("PUT", "/v1/topics/t/subscriptions/hook", `{"endpoint":"http://127.0.0.1:1/hook"}`).is(201)
	var hook handlers.Subscription
	a.into(&hook)
	made := h.keyFor(h.tenant.ID, auth.NewKey{Name: "worker", Scopes: []string{"messages:consume"}, Queues: []string{"q*"}})

	a, got := h.export(h.tenant.Name)
	diff(t, "the queues", []string{"q0", "q1", "q2"}, namesIn(got.Queues))
	diff(t, "the schedules", []string{"hourly", "nightly"}, namesIn(got.Queues[0]["schedules"]))
	diff(t, "no schedules", 0, len(got.Queues[1]["schedules"].([]any)))
	diff(t, "the topics", []string{"t"}, namesIn(got.Topics))
	diff(t, "the subscriptions", []string{"hook", "s"}, namesIn(got.Topics[0]["subscriptions"]))
	diff(t, "the settings of a queue", float64(77), got.Queues[2]["visibility_timeout"].(float64))
	diff(t, "the notes", "a note", got.Tenant["notes"].(string))
	if list := namesIn(got.Keys); len(list) != 2 || !strings.Contains(fmt.Sprint(list), "worker") {
		t.Errorf("the keys are %v", list)
	}
	text := string(a.body)
	for _, secret := range []string{"M4RKED", h.key, strings.TrimPrefix(made[1], "Bearer "), "slk_", "whsec_"} {
		if strings.Contains(text, secret) {
			t.Errorf("the export has %q", secret)
		}
	}
	if !strings.Contains(text, `"name":"deep"`) || strings.Contains(text, "no_data") {
		t.Error("the export lacks an alarm, or has its state")
	}
	if hook.Secret == "" || strings.Contains(text, hook.Secret) {
		t.Error("the export has the secret of a webhook, or there was none")
	}
	if !strings.Contains(text, "SCHEDULED") || !strings.Contains(text, `"tier":["pro"]`) {
		t.Error("the export lacks a definition")
	}
	if _, again := h.export(h.tenant.Name); fmt.Sprint(again.Queues, again.Topics) != fmt.Sprint(got.Queues, got.Topics) {
		t.Error("two exports of the same differ")
	}
	other := h.newTenant()
	if a, e := h.export(other.Name); len(e.Queues)+len(e.Topics)+len(e.Keys) != 0 || strings.Contains(string(a.body), "q0") {
		t.Errorf("the export of another tenant is %s", a.body)
	}
	h.do("HEAD", owner+"/export", "", as(h.operator)...).is(200)
}

func TestAnExportIsForWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := "/v1/tenants/" + h.tenant.Name + "/export"
	h.json("PUT", "/v1/queues/q", "").is(201)
	h.json("PUT", "/v1/queues/q/schedules/s", `{"every":3600,"message":{"body":"M4RKED"}}`).is(201)
	h.do("GET", path, "").problem(403, "permission_denied")
	h.do("GET", path, "", h.operatorFor("tenants:read")...).problem(403, "permission_denied")
	h.do("GET", path, "", h.operatorFor("tenants:read", "queues:read", "schedules:read", "topics:read")...).problem(403, "permission_denied")
	a := h.do("GET", path, "", h.operatorFor("viewer_without_bodies")...).is(200)
	if !strings.Contains(string(a.body), `"every":3600`) || strings.Contains(string(a.body), "M4RKED") {
		t.Errorf("who may not read bodies is shown %s", a.body)
	}
	h.asOperator("GET", "/v1/tenants/nobody/export", "").problem(404, "tenant_not_found")
	h.asOperator("GET", path+"?format=2", "").problem(422, "validation_failed")
}

// An export of many things comes in pieces, none of which is lost.
func TestALargeExportIsWhole(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	h.json("PUT", "/v1/queues/q", "").is(201)
	body := strings.Repeat("x", 64<<10)
	for i := range 100 { // 6 MB, which is more than a page of schedules has
		h.json("PUT", fmt.Sprintf("/v1/queues/q/schedules/s%03d", i), fmt.Sprintf(`{"every":3600,"message":{"body":%q}}`, body)).is(201)
	}
	h.json("PUT", "/v1/queues/r", "").is(201)
	a, got := h.export(h.tenant.Name)
	if n := len(got.Queues[0]["schedules"].([]any)); n != 100 || len(got.Queues) != 2 || len(a.body) < 100*len(body) {
		t.Errorf("%d schedules, %d queues and %d bytes, want 100 and 2", n, len(got.Queues), len(a.body))
	}
}
