package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestHeadersAndAuthOfAWebhookAreWriteOnly(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{}`), newEndpoint(t, 200)
	one := tp + "/subscriptions/customer"
	body := `{"endpoint":"` + e.URL + `","headers":{"x-api-key":"s3cret-key","X-Team":"payments"},"auth":{"type":"basic","username":"sluice","password":"s3cret-pw"}}`
	var s handlers.Subscription
	h.json("PUT", one, body).is(201).into(&s)
	etag := s.ETag
	diff(t, "headers", map[string]string{"X-Api-Key": "***", "X-Team": "***"}, s.Headers)
	diff(t, "auth", &handlers.WebhookAuth{Type: "basic", Username: "sluice", Password: "***"}, s.Auth)
	// The same once more, and what was shown given back, change nothing.
	shown := `{"endpoint":"` + e.URL + `","headers":{"X-Api-Key":"***","X-Team":"***"},"auth":{"type":"basic","username":"sluice","password":"***"}}`
	for _, again := range []string{body, shown} {
		if h.json("PUT", one, again).is(200).into(&s); s.ETag != etag {
			t.Errorf("a change by %s", again)
		}
	}
	h.json("PATCH", one, `{"headers":{"X-Team":null,"X-Env":"test"}}`).is(200).into(&s)
	diff(t, "headers after a patch", map[string]string{"X-Api-Key": "***", "X-Env": "***"}, s.Headers)
	h.do("POST", tp+"/messages", "one").is(201)
	until(h, "it came", func() bool { return len(e.got()) == 1 })
	got := e.heads[0]
	user, password, _ := (&http.Request{Header: got}).BasicAuth()
	if got.Get("X-Api-Key") != "s3cret-key" || got.Get("X-Env") != "test" || got.Get("X-Team") != "" || user+password != "sluices3cret-pw" {
		t.Errorf("what came: %v", got)
	}
	h.json("PATCH", one, `{"headers":null,"auth":{"type":"bearer","token":"s3cret-token"}}`).is(200).into(&s)
	diff(t, "auth after a patch", &handlers.WebhookAuth{Type: "bearer", Token: "***"}, s.Auth)
	if s.Headers != nil {
		t.Errorf("headers %v are left", s.Headers)
	}
	var all string
	for _, path := range []string{one, tp + "/subscriptions", one + "/deliveries", "/v1/audit"} {
		all += string(h.do("GET", path, "").is(200).body)
	}
	if strings.Contains(all, "s3cret") || !strings.Contains(all, `"token":"***"`) {
		t.Errorf("what is hidden is shown: %s", all)
	}
	h.json("PATCH", one, `{"endpoint":"http://127.0.0.1:1/"}`).problem(422, "secrets_needed")
	client := `"type":"oauth2","token_url":"https://id.example.com/token","client_id":"me","scope":"a b","audience":"api"`
	h.json("PATCH", one, `{"auth":{`+client+`,"client_secret":"s3cret-of-client"}}`).is(200).into(&s)
	diff(t, "oauth", &handlers.WebhookAuth{Type: "oauth2", TokenURL: "https://id.example.com/token", ClientID: "me", ClientSecret: "***", Scope: "a b", Audience: "api"}, s.Auth)
	etag = s.ETag
	if h.json("PATCH", one, `{"auth":{`+client+`,"client_secret":"***"}}`).is(200).into(&s); s.ETag != etag {
		t.Error("what was shown, given back, is a change")
	}
	h.json("PATCH", one, `{"auth":{"type":"oauth2","token_url":"https://evil.example.com/","client_id":"me","client_secret":"***"}}`).problem(422, "secrets_needed")
	h.json("PATCH", one, `{"auth":{"type":"oauth2","token_url":"https://10.0.0.1/","client_id":"me","client_secret":"a"}}`).problem(422, "endpoint_not_allowed")
	h.json("PATCH", one, `{"auth":null}`).is(200)
	h.json("PATCH", one, `{"endpoint":"http://127.0.0.1:1/"}`).is(200)
	// Another tenant has a webhook of the same name, without any of it.
	other := "Bearer " + h.newKey(h.newTenant().ID)
	h.do("PUT", tp, `{}`, "Authorization", other, "Content-Type", "application/json").is(201)
	h.do("PUT", one, `{"endpoint":"`+e.URL+`","headers":{"X-Api-Key":"***"}}`, "Authorization", other, "Content-Type", "application/json").problem(422, "validation_failed")
	for _, wrong := range []string{
		`{"headers":{"Host":"a"}}`, `{"headers":{"webhook-id":"a"}}`, `{"headers":{"X-A":"a","x-a":"b"}}`, `{"headers":{"X-A":1}}`, `{"headers":[]}`, `{"headers":{"X-A":"***"}}`,
		`{"auth":{"type":"digest"}}`, `{"auth":{"type":"basic","token":"a"}}`, `{"auth":{"type":"bearer","password":"a"}}`, `{"auth":{"username":"a"}}`, `{"auth":{"type":"bearer","token":"a b"}}`,
		`{"auth":{"type":"bearer","token":"***"}}`, `{"auth":{"type":"oauth2","token_url":"https://id.example.com/","client_id":"me","client_secret":""}}`,
		`{"auth":{"type":"oauth2","token_url":"https://id.example.com/","client_id":"me","client_secret":"a","password":"b"}}`,
	} {
		h.json("PATCH", one, wrong).problem(422, "validation_failed")
	}
	h.json("PATCH", one, `{"auth":{"type":"basic","user":"a"}}`).problem(422, "unknown_field")
}
