package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/tenants"
)

// keyFor makes a key and returns the headers that show it.
func (h *apiTest) keyFor(id tenants.ID, n auth.NewKey) []string {
	h.Helper()
	k, err := h.keys.CreateTenantKey(h.Context(), id, n)
	h.must(err)
	return []string{"Authorization", "Bearer " + k.Secret.Reveal()}
}

// as returns the headers that show a key.
func as(key string) []string { return []string{"Authorization", "Bearer " + key} }

func TestATenantManagesItsKeys(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var made handlers.CreatedKey
	h.json("POST", "/v1/keys", `{"name":"worker","scopes":["messages:*","queues:read","keys:*"],"queues":["orders-*"],"allowed_ips":["127.0.0.0/8","::1"],"expires_at":"2026-03-01T13:00:00Z"}`).
		is(201).into(&made)
	details := handlers.KeyDetails{ID: made.ID, Name: "worker", Kind: "tenant", Scopes: []string{"messages:*", "queues:read", "keys:*"},
		Queues: []string{"orders-*"}, AllowedIPs: []string{"127.0.0.0/8", "::1"}, CreatedAt: *instant(0), ExpiresAt: instant(time.Hour)}
	diff(t, "created", handlers.CreatedKey{Key: made.Key, KeyDetails: details}, made)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", as(made.Key)...).is(200).into(&who)
	diff(t, "whoami", handlers.CallerKey{ID: made.ID, Kind: "tenant", Scopes: details.Scopes, Queues: details.Queues, ExpiresAt: details.ExpiresAt,
		Allowed: []string{"keys:read", "keys:write", "messages:change", "messages:consume", "messages:delete", "messages:peek", "messages:read_body", "messages:send", "queues:read"}}, who.Key)

	// It sees those keys that reach no more queues, and what it makes may no more than itself.
	var list handlers.Page[handlers.Key]
	h.do("GET", "/v1/keys", "").is(200).into(&list)
	if len(list.Data) != 2 || list.Data[0].ID == list.Data[1].ID {
		t.Fatalf("keys: %+v, want the first and the new one", list.Data)
	}
	first := list.Data[0].ID
	if first == made.ID {
		first = list.Data[1].ID
	}
	h.do("GET", "/v1/keys", "", as(made.Key)...).is(200).into(&list)
	diff(t, "the keys that it sees", []handlers.Key{{KeyDetails: details, Calls24h: new(int64)}}, list.Data)
	var inner handlers.CreatedKey
	h.json("POST", "/v1/keys", "", as(made.Key)...).is(201).into(&inner)
	want := details
	want.ID, want.Name = inner.ID, ""
	diff(t, "a key that says nothing", want, inner.KeyDetails)
	for _, body := range []string{`{"scopes":["*"]}`, `{"scopes":["queues:write"]}`, `{"queues":["*"]}`, `{"allowed_ips":["0.0.0.0/0"]}`, `{"expires_at":"2026-03-01T13:00:01Z"}`} {
		p := h.json("POST", "/v1/keys", body, as(made.Key)...).problem(403, "permission_denied")
		if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Pointer, "/"+body[2:4]) {
			t.Errorf("%s: %+v", body, p)
		}
	}
	h.do("DELETE", "/v1/keys/"+first, "", as(made.Key)...).problem(404, "key_not_found")
	h.do("POST", "/v1/keys/"+first+"/rotate", "", as(made.Key)...).problem(404, "key_not_found")
	h.do("GET", "/v1/whoami", "").is(200)

	// Another tenant's keys are not there, for whoever asks.
	other := h.newTenant()
	theirs := h.keyFor(other.ID, auth.NewKey{})
	h.do("DELETE", "/v1/keys/"+made.ID, "", theirs...).problem(404, "key_not_found")
	h.do("POST", "/v1/keys/"+made.ID+"/rotate", "", theirs...).problem(404, "key_not_found")
	h.asOperator("DELETE", "/v1/tenants/"+other.Name+"/keys/"+made.ID, "").problem(404, "key_not_found")
	h.asOperator("POST", "/v1/tenants/"+other.Name+"/keys/"+made.ID+"/rotate", "").problem(404, "key_not_found")

	h.do("DELETE", "/v1/keys/"+inner.ID, "", as(made.Key)...).is(204)
	h.do("GET", "/v1/whoami", "", as(inner.Key)...).problem(401, "unauthenticated")
	h.do("DELETE", "/v1/keys/"+made.ID, "", as(made.Key)...).is(204) // itself
	h.do("GET", "/v1/whoami", "", as(made.Key)...).problem(401, "unauthenticated")
}

func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner := "/v1/tenants/" + h.tenant.Name + "/keys"
	for _, c := range []struct {
		path, body string
		grace      time.Duration
		ask        func(method, path, body string, headers ...string) *answer
	}{
		{"/v1/keys", "", 24 * time.Hour, h.json},
		{"/v1/keys", `{"grace_period":0}`, 0, h.json},
		{owner, `{"grace_period":"5m"}`, 5 * time.Minute, h.asOperator},
		{"/v1/operator_keys", `{"grace_period":60}`, time.Minute, h.asOperator},
	} {
		var old handlers.CreatedKey
		var got handlers.RotatedKey
		c.ask("POST", c.path, `{"name":"worker","scopes":["queues:read"]}`).is(201).into(&old)
		h.do("GET", "/v1/whoami", "", as(old.Key)...).is(200)
		c.ask("POST", c.path+"/"+old.ID+"/rotate", c.body, "Content-Type", "application/json").is(201).into(&got)
		want := old.KeyDetails
		want.ID, want.CreatedAt = got.ID, handlers.Instant{Time: h.clock.Now()}
		diff(t, "rotated", want, got.KeyDetails)
		diff(t, "replaces", handlers.ReplacedKey{ID: old.ID, ExpiresAt: handlers.Instant{Time: h.clock.Now().Add(c.grace)}}, got.Replaces)
		var list handlers.Page[handlers.Key]
		c.ask("GET", c.path, "").is(200).into(&list)
		found := false
		for _, k := range list.Data {
			found = found || k.ID == old.ID && k.ReplacedBy != nil && *k.ReplacedBy == got.ID
		}
		if !found {
			t.Errorf("%s: the old key is not listed as replaced: %+v", c.path, list.Data)
		}
		c.ask("POST", c.path+"/"+old.ID+"/rotate", "").problem(409, "key_rotated")
		h.do("GET", "/v1/whoami", "", as(got.Key)...).is(200)
		if c.grace > 0 {
			h.do("GET", "/v1/whoami", "", as(old.Key)...).is(200)
		}
		h.clock.Advance(c.grace)
		h.do("GET", "/v1/whoami", "", as(old.Key)...).problem(401, "key_expired")
		h.do("GET", "/v1/whoami", "", as(got.Key)...).is(200)
		c.ask("DELETE", c.path+"/"+got.ID, "").is(204)
		h.do("GET", "/v1/whoami", "", as(got.Key)...).problem(401, "unauthenticated")
		c.ask("DELETE", c.path+"/"+old.ID, "").is(204)
		c.ask("DELETE", c.path+"/"+old.ID, "").problem(404, "key_not_found")
	}
	var k handlers.CreatedKey
	h.json("POST", "/v1/keys", "").is(201).into(&k)
	for body, place := range map[string]string{`{"grace_period":-1}`: "/grace_period", `{"grace_period":2592001}`: "/grace_period", `{"grace":1}`: "/grace",
		`{"expires_at":"2020-01-01T00:00:00Z"}`: "/expires_at", `{"grace_period":null}`: "/grace_period"} {
		code := "validation_failed"
		if place == "/grace" {
			code = "unknown_field"
		}
		if p := h.json("POST", "/v1/keys/"+k.ID+"/rotate", body).problem(422, code); firstPlace(p) != place {
			t.Errorf("%s: the fault is at %q", body, firstPlace(p))
		}
	}
	h.do("POST", "/v1/keys/"+k.ID+"/rotate", "", "Idempotency-Key", "k").problem(422, "idempotency_key_not_supported")
	h.do("GET", "/v1/whoami", "", as(k.Key)...).is(200)
}

func TestAKeyIsRefusedFromElsewhere(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	local := h.keyFor(h.tenant.ID, auth.NewKey{AllowedIPs: []string{"127.0.0.1", "::1"}})
	remote := h.keyFor(h.tenant.ID, auth.NewKey{AllowedIPs: []string{"192.0.2.0/24"}})
	for range 2 {
		h.do("GET", "/v1/whoami", "", local...).is(200)
		h.do("GET", "/v1/whoami", "", remote...).problem(403, "ip_not_allowed")
		// Whoever is no trusted proxy says in vain where he comes from.
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			value := "192.0.2.7"
			if name == "Forwarded" {
				value = "for=192.0.2.7"
			}
			h.do("GET", "/v1/whoami", "", append(remote, name, value)...).problem(403, "ip_not_allowed")
		}
	}
}

func TestOperatorsKeysAreManagedByOperatorsOnly(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var made, inner handlers.CreatedKey
	h.asOperator("POST", "/v1/operator_keys", `{"name":"readonly","scopes":["operator_keys:*","tenants:read"]}`).is(201).into(&made)
	if !strings.HasPrefix(made.Key, "slo_") || made.Kind != "operator" {
		t.Errorf("made %+v", made)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		h.do(method, "/v1/operator_keys", "").problem(403, "permission_denied")
	}
	h.do("DELETE", "/v1/operator_keys/"+made.ID, "").problem(403, "permission_denied")
	h.do("POST", "/v1/operator_keys/"+made.ID+"/rotate", "").problem(403, "permission_denied")
	h.json("POST", "/v1/operator_keys", `{"scopes":["*"]}`, as(made.Key)...).problem(403, "permission_denied")
	h.json("POST", "/v1/operator_keys", `{"queues":["x"]}`, as(made.Key)...).problem(422, "validation_failed")
	h.json("POST", "/v1/operator_keys", ``, as(made.Key)...).is(201).into(&inner)
	diff(t, "scopes", []string{"operator_keys:*", "tenants:read"}, inner.Scopes)
	for _, id := range []string{inner.ID, made.ID} {
		h.asOperator("DELETE", "/v1/operator_keys/"+id, "").is(204)
	}
	h.do("GET", "/v1/whoami", "", as(made.Key)...).problem(401, "unauthenticated")
	// A tenant's key is none of them.
	var list handlers.Page[handlers.Key]
	h.do("GET", "/v1/keys", "").is(200).into(&list)
	h.asOperator("DELETE", fmt.Sprint("/v1/operator_keys/", list.Data[0].ID), "").problem(404, "key_not_found")
	h.do("GET", "/v1/whoami", "").is(200)
}

func TestAKeyWithAnAWSPair(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var made handlers.CreatedKey
	h.json("POST", "/v1/keys", `{"name":"sdk","aws":true}`).is(201).into(&made)
	if made.AWS == nil {
		t.Fatal("there is no pair")
	}
	want := handlers.AWSCredentials{AccessKeyID: made.AWS.AccessKeyID, SecretAccessKey: made.AWS.SecretAccessKey, AccountID: h.tenant.AccountNumber, Region: "us-east-1"}
	diff(t, "the pair", want, *made.AWS)
	list := h.do("GET", "/v1/keys", "").is(200)
	if !strings.Contains(string(list.body), made.AWS.AccessKeyID) || strings.Contains(string(list.body), made.AWS.SecretAccessKey) {
		t.Errorf("the list shows a secret, or not the id: %s", list.body)
	}
	signer, err := h.api.Auth.AccessKey(t.Context(), made.AWS.AccessKeyID)
	h.must(err)
	if signer.Secret.Reveal() != made.AWS.SecretAccessKey {
		t.Error("the secret is another one")
	}
	var rotated handlers.RotatedKey
	h.json("POST", "/v1/keys/"+made.ID+"/rotate", "").is(201).into(&rotated)
	if rotated.AWS == nil || rotated.AWS.AccessKeyID == made.AWS.AccessKeyID {
		t.Errorf("the successor's pair: %+v", rotated.AWS)
	}
	h.asOperator("POST", "/v1/operator_keys", `{"aws":true}`).problem(422, "validation_failed")
	h.json("POST", "/v1/keys", `{"aws":"yes"}`).problem(422, "validation_failed")
	h.json("POST", "/v1/keys", `{"aws":false}`).is(201).into(&made)
	if made.AWS != nil {
		t.Errorf("nobody asked for %+v", made.AWS)
	}
	for _, secret := range []string{rotated.AWS.SecretAccessKey, rotated.Key} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

// The calls of a key are those of its tokens, its AWS pair and its sessions too, and what an operator does is nobody's.
func TestTheCallsOfKeysAreTold(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			var busy, idle handlers.CreatedKey
			h.json("POST", "/v1/keys", `{"name":"busy"}`).is(201).into(&busy)
			h.json("POST", "/v1/keys", `{"name":"idle","scopes":["keys:read"],"queues":["orders-*"]}`).is(201).into(&idle)
			ask := func(path string) *answer { return h.do("GET", path, "", "Authorization", "Bearer "+busy.Key) }
			ask("/v1/whoami").is(200)
			ask("/v1/queues/absent").problem(404, "queue_not_found")
			ask("/v1/tenants").problem(403, "permission_denied")
			token := h.token(`{}`, "Authorization", "Bearer "+busy.Key)
			h.do("GET", "/v1/whoami", "", "Authorization", "Bearer "+token.AccessToken).is(200)
			h.do("GET", "/v1/whoami", "", h.signIn(busy.Key).headers()...).is(200) // two: it signs in with the key
			h.asOperator("GET", "/v1/queues", "", "Tenant", h.tenant.Name).is(200)
			told := func(path string, ask func(method, path, body string, headers ...string) *answer, headers ...string) map[string]string {
				t.Helper()
				h.api.Meter.Flush(t.Context())
				var list handlers.Page[handlers.Key]
				ask("GET", path, "", headers...).is(200).into(&list)
				calls := map[string]string{}
				for _, k := range list.Data {
					calls[k.Name] = "null"
					if k.Calls24h != nil {
						calls[k.Name] = fmt.Sprint(*k.Calls24h)
					}
				}
				return calls
			}
			got := told("/v1/keys", h.do)
			diff(t, "told", map[string]string{"test": got["test"], "busy": "6", "idle": "0"}, got)
			got = told("/v1/tenants/"+h.tenant.Name+"/keys", h.asOperator)
			diff(t, "told to an operator", map[string]string{"test": got["test"], "busy": "6", "idle": "0"}, got)
			diff(t, "told to who reaches some queues", map[string]string{"idle": "0"}, told("/v1/keys", h.do, "Authorization", "Bearer "+idle.Key))
			for name, n := range told("/v1/operator_keys", h.asOperator) {
				if n != "null" {
					t.Errorf("%s of an operator has %s calls", name, n)
				}
			}
			h.clock.Advance(24 * time.Hour)
			if got := told("/v1/keys", h.do); got["busy"] != "0" {
				t.Errorf("a day later: %v", got)
			}
		})
	}
}
