package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// debug asks for everything that the log can say.
func debug(c *server.Config) { c.LogLevel = -4 }

func TestG30_BodiesAndSecretsNeverLeaveByASideDoor(t *testing.T) {
	t.Parallel()
	const mark = "M4RKED"
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), debug)
	tail, _ := tailLog(t, s.URL(), s.OperatorKey, "")
	tenantKey, _ := newTenant(t, s, "marked")
	var refusals strings.Builder // bodies of answers that say no, which have no business to repeat anything marked
	do := func(method, path, key, body string, headers ...string) answer {
		a := call(t, method, s.URL()+path, key, body, headers...)
		if a.status >= 400 {
			fmt.Fprintf(&refusals, "%s %s: %s %v\n", method, path, a, a.header)
		}
		return a
	}
	const q = "/v1/queues/orders"
	do(http.MethodPut, q, tenantKey, `{"labels":{"team":"`+mark+`-label"}}`)
	do(http.MethodPut, q+"-small", tenantKey, `{"max_message_size":1024}`)
	sends := [][]string{nil, {"Message-Attr-Type", mark + "-attribute"}, {"Idempotency-Key", mark + "-idempotency"},
		{"Message-Attributes", `{"A":{"type":"String","value":"` + mark + `-typed"}}`}, {"Content-Type", "text/" + mark}}
	for _, headers := range sends {
		if a := do(http.MethodPost, q+"/messages", tenantKey, mark+"-body", headers...); a.status != http.StatusCreated {
			t.Fatalf("send with %q: %s", headers, a)
		}
	}
	do(http.MethodPost, q+"/messages/batch", tenantKey, `{"messages":[{"body":"`+mark+`-batch"}]}`)
	var got struct{ Messages []received }
	raw := do(http.MethodPost, q+"/receive?max=10&visibility_timeout=100", tenantKey, "")
	if err := json.Unmarshal([]byte(raw.body), &got); err != nil || len(got.Messages) != len(sends)+1 {
		t.Fatalf("receive: %s", raw)
	}
	handle, late := got.Messages[0].ReceiptHandle, got.Messages[4].ReceiptHandle
	do(http.MethodGet, q+"/messages", tenantKey, "")
	do(http.MethodGet, q+"/messages/"+got.Messages[1].ID+"/body", tenantKey, "")
	do(http.MethodDelete, got.Messages[0].AckURL, tenantKey, "")
	do(http.MethodPatch, got.Messages[1].AckURL, tenantKey, `{"visibility_timeout":0}`)
	do(http.MethodPost, q+"/ack", tenantKey, ackList(got.Messages[2:4]))

	var pair, rotated struct {
		Key, ID string
		AWS     struct {
			AccessKeyID     string `json:"access_key_id"`
			SecretAccessKey string `json:"secret_access_key"`
		}
	}
	must(t, http.StatusCreated, &pair, http.MethodPost, s.URL()+"/v1/keys", tenantKey, `{"aws":true,"allowed_ips":["192.0.2.1"]}`)
	must(t, http.StatusCreated, &rotated, http.MethodPost, s.URL()+"/v1/keys/"+pair.ID+"/rotate", tenantKey, `{"grace_period":0}`)

	var token, lost struct {
		AccessToken string `json:"access_token"`
	}
	must(t, http.StatusCreated, &token, http.MethodPost, s.URL()+"/v1/tokens", tenantKey, "")
	must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/whoami", token.AccessToken, "")
	must(t, http.StatusCreated, &lost, http.MethodPost, s.URL()+"/v1/tokens", tenantKey, `{"allowed_ips":["192.0.2.1"]}`)

	// Everything wrong at once: what is refused is not repeated either.
	for _, c := range []struct {
		method, path, key, body string
		headers                 []string
	}{
		{http.MethodPost, q + "-small/messages", tenantKey, mark + strings.Repeat("x", 2<<10), nil},
		{http.MethodPost, q + "/messages", tenantKey, mark, []string{"Message-Attributes", mark}},
		{http.MethodPost, q + "/messages", tenantKey, mark, []string{"Content-Encoding", "gzip"}},
		{http.MethodPost, q + "/messages", tenantKey, mark + "-other", []string{"Idempotency-Key", mark + "-idempotency"}},
		{http.MethodPost, q + "/messages/batch", tenantKey, mark, nil},
		{http.MethodPost, q + "/messages/batch", tenantKey, `{"messages":"` + mark + `"}`, nil},
		{http.MethodPost, "/v1/queues/nowhere/messages", tenantKey, mark, nil},
		{http.MethodPut, q, tenantKey, `{"delay":"` + mark + `"}`, nil},
		{http.MethodPost, q + "/messages", "slk_" + mark, mark, nil},
		{http.MethodPost, q + "/messages", "", mark, []string{"Authorization", "Bearer slo_" + mark}},
		{http.MethodPost, q + "/messages", "", mark, []string{"Authorization", mark}},
		{http.MethodGet, q, "", "", []string{"Cookie", "session=" + mark}},
		{http.MethodGet, q + "?access_token=" + mark, tenantKey, "", nil},
		{http.MethodGet, q, pair.Key, "", nil},
		{http.MethodGet, q, rotated.Key, "", nil},
		{http.MethodGet, q, "", "", []string{"Authorization", "Bearer " + rotated.AWS.SecretAccessKey}},
		{http.MethodPost, "/v1/keys", tenantKey, `{"name":"` + rotated.AWS.SecretAccessKey + `","scopes":["` + rotated.Key + `"]}`, nil},
		{http.MethodGet, q, lost.AccessToken, "", nil},
		{http.MethodGet, q, token.AccessToken[:len(token.AccessToken)-9] + "AAAAAAAAA", "", nil},
		{http.MethodPost, "/v1/tokens", tenantKey, `{"scopes":["` + token.AccessToken + `"]}`, nil},
		{http.MethodPost, "/v1/keys", tenantKey, `{"allowed_ips":["` + mark + `"]}`, nil},
		{http.MethodPost, "/v1/keys", tenantKey, `{"queues":["` + mark + `/"]}`, nil},
		{http.MethodPost, "/v1/tenants/marked/keys", s.OperatorKey, `{"name":7,"` + mark + `":1}`, nil},
	} {
		if a := do(c.method, c.path, c.key, c.body, c.headers...); a.status < 400 {
			t.Errorf("%s %s with %.60q: %s, want a refusal", c.method, c.path, c.body, a)
		}
	}
	until(t, "the request log has what was refused", func() bool {
		return strings.Contains(call(t, http.MethodGet, s.URL()+"/v1/request_log/export", tenantKey, "").body, "message_too_large")
	})
	// An operator sees errors with their causes, and those too are without it: Redis is gone.
	redis.Kill9()
	do(http.MethodPost, q+"/messages", tenantKey, mark+"-lost", "Idempotency-Key", mark)
	do(http.MethodDelete, got.Messages[4].AckURL, tenantKey, "")
	do(http.MethodGet, q+"?access_token="+mark, tenantKey, "")
	redis.Restart()
	until(t, "the server is ready", func() bool { return isReady(s.URL()) })
	if err := s.Stop(); err != nil { // so that the log is whole
		t.Error(err)
	}

	log := s.Log.String()
	var shown strings.Builder
	for l := range tail {
		shown.WriteString(l.raw + "\n")
	}
	if n := strings.Count(shown.String(), `"message":"request"`); n < 30 {
		t.Errorf("the tail of the log has %d requests", n)
	}
	other := servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(s.DataDir))
	places := map[string]string{
		"the log": log, "the tail of the log": shown.String(), "an error's answer": refusals.String(),
		"the metrics": call(t, http.MethodGet, other.MetricsURL()+"/metrics", "", "").body,
		"/readyz":     call(t, http.MethodGet, other.URL()+"/readyz", "", "").body,

		"the request log": must(t, http.StatusOK, nil, http.MethodGet, other.URL()+"/v1/request_log/export", tenantKey, "").body,
	}
	secrets := map[string]string{"the tenant's key": tenantKey, "the operator's key": s.OperatorKey, "the default key": s.Key,
		"a rotated key": pair.Key, "its successor": rotated.Key, "an AWS secret": pair.AWS.SecretAccessKey, "its successor's": rotated.AWS.SecretAccessKey,
		"an access token": token.AccessToken, "the signature of one": token.AccessToken[len(token.AccessToken)-80 : len(token.AccessToken)-10],
		"a receipt handle": handle, "a receipt handle used without Redis": late, "what the client marked": mark}
	leaks := 0
	for place, text := range places {
		for what, secret := range secrets {
			text := text
			if place == "an error's answer" {
				// A name that is unknown is repeated so that its sender finds it, and so is the path.
				text = regexp.MustCompile(`"(pointer|instance|query)":"[^"]*"`).ReplaceAllString(text, "")
				text = strings.ReplaceAll(text, "access_token="+mark, "") // the test's own heading
				text = regexp.MustCompile(`(?m)^[A-Z]+ \S+: `).ReplaceAllString(text, "")
			}
			if i := strings.Index(text, secret); i >= 0 {
				leaks++
				t.Errorf("%s shows %s: …%s…", place, what, text[max(i-300, 0):min(i+100, len(text))])
			}
		}
	}
	t.Logf("%d lines of log and %d bytes of refusals, leaks %d", strings.Count(log, "\n"), refusals.Len(), leaks)
}

// line is a line of the log about a request.
type line struct {
	Time, Level, Msg, Method, Route, Queue, Tenant, Key, Client, Error string
	Status, In, Out                                                    int
	Ms                                                                 float64
	RequestID                                                          string `json:"request_id"`
	ClientRequestID                                                    string `json:"client_request_id"`
}

func TestEachRequestHasOneLineInTheLog(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	queue := newQueue(t, s.URL(), s.Key, "")
	var who struct {
		Key    struct{ ID string }
		Tenant struct{ ID string }
	}
	must(t, http.StatusOK, &who, http.MethodGet, s.URL()+"/v1/whoami", s.Key, "")
	path := s.URL() + "/v1/queues/" + queue
	ids := map[string]line{}
	expect := func(a answer, want line) {
		want.RequestID = a.header.Get("Request-Id")
		if want.RequestID == "" {
			t.Errorf("%s %s has no Request-Id", want.Method, want.Route)
		}
		want.Status, want.Out, want.Msg = a.status, len(a.body), "request"
		ids[want.RequestID] = want
	}
	tenant := line{Tenant: who.Tenant.ID, Key: who.Key.ID, Queue: queue, Level: "INFO", Client: "127.0.0.1"}
	with := func(l line, method, route string, in int) line {
		l.Method, l.Route, l.In = method, route, in
		return l
	}
	expect(call(t, "POST", path+"/messages", s.Key, "hello"), with(tenant, "POST", "/v1/queues/:queue/messages", 5))
	expect(call(t, "POST", path+"/receive?max=3", s.Key, ""), with(tenant, "POST", "/v1/queues/:queue/receive", 0))
	mine := with(tenant, "GET", "/v1/queues/:queue", 0)
	mine.ClientRequestID = "my-own-id"
	expect(call(t, "GET", path, s.Key, "", "Request-Id", "my-own-id"), mine)
	unknown := with(line{Queue: queue, Level: "INFO", Client: "127.0.0.1"}, "GET", "/v1/queues/:queue", 0)
	unknown.Error = "unauthenticated"
	expect(call(t, "GET", path, "slk_nothing", "", "X-Forwarded-For", "192.0.2.1"), unknown)
	nowhere := line{Level: "INFO", Client: "127.0.0.1", Method: "GET", Error: "not_found"}
	expect(call(t, "GET", s.URL()+"/v1/nowhere", s.Key, ""), nowhere)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}

	seen := map[string]int{}
	for text := range strings.Lines(s.Log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("a line of the log is not JSON: %s", text)
			continue
		}
		want, ok := ids[l.RequestID]
		if !ok || l.Msg != "request" {
			continue
		}
		seen[l.RequestID]++
		if l.Ms <= 0 || l.Time == "" {
			t.Errorf("no time in %s", text)
		}
		l.Ms, l.Time = 0, ""
		if want.Error == "" || l.Error == "" {
			want.Error = l.Error // which codes are noted is the handlers' affair
		}
		if diff := cmp.Diff(want, l); diff != "" {
			t.Errorf("the line of %s %s (-want +got):\n%s", want.Method, want.Route, diff)
		}
	}
	for id, want := range ids {
		if seen[id] != 1 {
			t.Errorf("%s %s has %d lines in the log, want 1", want.Method, want.Route, seen[id])
		}
	}
	if strings.Contains(s.Log.String(), "readyz") {
		t.Error("looks at /readyz are in the log")
	}
}

func TestRequestLinesCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, quiet)
	newQueue(t, s.URL(), s.Key, "")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.Log.String(), `"msg":"request"`) {
		t.Errorf("the log has lines of requests:\n%s", s.Log)
	}
}

func TestTheMetricsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	queue := newQueue(t, s.URL(), s.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, "x")
	for i := range 30 { // what strangers send makes no new series
		call(t, http.MethodGet, fmt.Sprintf("%s/v1/queues/%s%d", s.URL(), queue, i), s.Key, "")
		call(t, http.MethodGet, fmt.Sprintf("%s/nowhere/%d", s.URL(), i), "", "")
		call(t, fmt.Sprintf("MADEUP%d", i), s.URL()+"/v1/queues", s.Key, "")
	}
	text := must(t, http.StatusOK, nil, http.MethodGet, s.MetricsURL()+"/metrics", "", "").body
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[1], "sluice_") {
			have = append(have, m[1])
		} else if !strings.HasPrefix(m[1], "go_") && !strings.HasPrefix(m[1], "process_") {
			t.Errorf("metric %s has no name of ours", m[1])
		}
	}
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(sluice_\\w+)` \\|").FindAllStringSubmatch(string(docs), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(have)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, have); diff != "" {
		t.Errorf("metrics (-documented +there):\n%s", diff)
	}
	for _, m := range regexp.MustCompile(`(?m)^\w+\{([^}]*)\}`).FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], queue) || strings.Contains(m[1], "MADEUP") || strings.Contains(m[1], "nowhere") {
			t.Errorf("a label has what a client chose: %s", m[0])
		}
	}
	for _, name := range []string{"sluice_ready", "sluice_durability_level"} {
		if metric(t, s.MetricsURL(), name) < 1 {
			t.Errorf("%s is 0", name)
		}
	}

	// What operators see is on a listener of its own.
	if a := call(t, http.MethodGet, s.URL()+"/metrics", s.OperatorKey, ""); a.status != http.StatusNotFound {
		t.Errorf("the API's listener has /metrics: %s", a)
	}
	for _, path := range []string{"/v1/queues", "/docs", "/debug/pprof/"} {
		if a := call(t, http.MethodGet, s.MetricsURL()+path, s.Key, ""); a.status != http.StatusNotFound {
			t.Errorf("the metrics' listener has %s: %s", path, a)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		must(t, http.StatusOK, nil, http.MethodGet, s.MetricsURL()+path, "", "")
	}
	off := servertest.New(t, func(c *server.Config) { c.MetricsListen = "" })
	if off.MetricsURL() != "" {
		t.Errorf("a server without a metrics listener says it has one at %s", off.MetricsURL())
	}
}
