package handlers_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
)

func TestTheCertificateOfAWebhookIsShownAndItsKeyIsNot(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	ca := egresstest.NewAuthority(t)
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	certificate, key := ca.IssueFor(t, "me", start.Add(-time.Hour), expires)
	quote := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text)
	}
	tp := h.topic("", `{}`)
	one := tp + "/subscriptions/customer"
	body := func(key string) string {
		return `{"endpoint":"https://example.com/","tls":{"client_certificate":` + quote(certificate) + `,"client_key":` + quote(key) + `,"ca":` + quote(ca.PEM) + `}}`
	}
	var s handlers.Subscription
	h.json("PUT", one, body(key)).is(201).into(&s)
	diff(t, "tls", &handlers.WebhookTLS{ClientCertificate: certificate, ClientKey: "***", CA: ca.PEM, ExpiresAt: &handlers.Instant{Time: expires.UTC()}}, s.TLS)
	etag := s.ETag
	shown, _ := json.Marshal(s.TLS)
	for _, again := range []string{body(key), body("***"), `{"endpoint":"https://example.com/","tls":` + string(shown) + `}`} {
		if h.json("PUT", one, again).is(200).into(&s); s.ETag != etag {
			t.Errorf("a change by %.200s", again)
		}
	}
	all := ""
	for _, path := range []string{one, tp + "/subscriptions", "/v1/audit"} {
		all += string(h.do("GET", path, "").is(200).body)
	}
	if strings.Contains(all, "PRIVATE") || !strings.Contains(all, `"client_key":"***"`) {
		t.Errorf("the key is shown: %s", all)
	}
	_, otherKey := ca.Issue(t, "other")
	for _, wrong := range []string{
		`{"tls":{}}`, `{"tls":[]}`, `{"tls":{"client_key":` + quote(key) + `}}`, `{"tls":{"ca":"x"}}`, `{"endpoint":"http://127.0.0.1:1/"}`,
		`{"tls":{"client_certificate":` + quote(certificate) + `,"client_key":` + quote(otherKey) + `}}`,
		`{"tls":{"client_certificate":` + quote(certificate+key) + `,"client_key":` + quote(key) + `}}`,
	} {
		p := h.json("PATCH", one, wrong).problem(422, "validation_failed")
		if strings.Contains(p.Detail, "BEGIN") {
			t.Errorf("the problem repeats what was given: %s", p.Detail)
		}
	}
	h.json("PATCH", one, `{"tls":{"cert":"x"}}`).problem(422, "unknown_field")
	h.json("PATCH", one, `{"tls":null}`).is(200).into(&s)
	if s.TLS != nil {
		t.Errorf("without tls: %+v", s.TLS)
	}
}
