package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// logged is a request as the request log shows it, without what each request has for itself.
type logged struct {
	Door, Method, Route           string
	Operation, Queue, Topic, Code *string
	Status                        int
	Actor                         struct {
		Kind string
		Key  string `json:"key_id"`
	}
	SourceIP  string `json:"source_ip"`
	RequestID string `json:"request_id"`
}

func (l logged) String() string {
	text := l.Door + " " + l.Method + " " + l.Route
	for _, s := range []*string{l.Operation, l.Queue, l.Topic, l.Code} {
		if s == nil {
			text += " -"
		} else {
			text += " " + *s
		}
	}
	return text + " " + l.Actor.Kind
}

// requestLog returns a page of the request log, latest first.
func requestLog(tb testing.TB, url, key, query string, headers ...string) (list []logged) {
	tb.Helper()
	var page struct{ Data []logged }
	must(tb, http.StatusOK, &page, http.MethodGet, url+"/v1/request_log?limit=500&"+query, key, "", headers...)
	return page.Data
}

// Two tenants ask two servers, and an operator does for one of them. Each sees its own requests, at every server, also after
// the servers are others.
func TestTheRequestLogShowsWhatATenantAsked(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, id := newTenant(t, a, "mine")
	other, _ := newTenant(t, a, "other")
	var pair struct {
		ID  string
		AWS struct {
			AccessKeyID     string `json:"access_key_id"`
			SecretAccessKey string `json:"secret_access_key"`
		}
	}
	const q = "/v1/queues/orders"
	var ids []string
	ask := func(s *servertest.Server, method, path, key, body string, headers ...string) {
		ids = append(ids, call(t, method, s.URL()+path, key, body, headers...).header.Get("Request-Id"))
	}
	ask(a, http.MethodPut, q, key, "")
	ask(a, http.MethodPost, q+"/messages?delay=5", key, "secret-body")
	ask(a, http.MethodGet, "/v1/queues/absent", key, "")
	ask(a, http.MethodDelete, q+"/receipts/secret-receipt", key, "")
	ask(a, http.MethodGet, "/v1/plans", key, "") // for operators only
	ask(a, http.MethodGet, q, a.OperatorKey, "", "Tenant", "mine")
	must(t, http.StatusOK, nil, http.MethodGet, b.URL()+"/v1/queues", other, "")
	// Each server keeps a sample of a second; what follows comes in another one.
	until(t, "the first part is there", func() bool { return len(requestLog(t, b.URL(), key, "operation=getQueue")) == 2 })
	must(t, http.StatusCreated, &pair, http.MethodPost, b.URL()+"/v1/keys", key, `{"aws":true}`)
	signedJSON(t, b.URL(), pair.AWS.AccessKeyID, pair.AWS.SecretAccessKey, "SendMessage", `{"QueueUrl":"`+b.URL()+`/000000000000/none","MessageBody":"secret"}`)
	until(t, "the second part is there", func() bool { return len(requestLog(t, a.URL(), key, "operation=sqs:SendMessage")) == 1 })

	want := map[string]bool{
		"rest PUT /v1/queues/{queue} putQueue orders - - tenant":                                             true,
		"rest POST /v1/queues/{queue}/messages sendMessage orders - - tenant":                                true,
		"rest GET /v1/queues/{queue} getQueue absent - queue_not_found tenant":                               true,
		"rest DELETE /v1/queues/{queue}/receipts/{handle} ackMessage orders - receipt_handle_invalid tenant": true,
		"rest GET /v1/plans listPlans - - permission_denied tenant":                                          true,
		"rest GET /v1/queues/{queue} getQueue orders - - operator":                                           true,
	}
	check := func(s *servertest.Server) {
		t.Helper()
		all := requestLog(t, s.URL(), key, "")
		seen := map[string]bool{}
		for _, l := range all {
			if !slices.Contains(ids, l.RequestID) {
				continue
			}
			seen[l.String()] = true
			if l.SourceIP != "127.0.0.1" || l.Actor.Kind == "tenant" && l.Actor.Key != id {
				t.Errorf("%s of %s by %s", l, l.SourceIP, l.Actor.Key)
			}
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if list := requestLog(t, s.URL(), key, "actor="+pair.ID); len(list) != 1 || list[0].String() != "aws POST / sqs:SendMessage none - QueueDoesNotExist tenant" &&
			list[0].String() != "aws POST / sqs:SendMessage - - AWS.SimpleQueueService.NonExistentQueue tenant" {
			t.Errorf("by the AWS door: %v", list)
		}
		if n := len(requestLog(t, s.URL(), key, "status=4xx&route=/v1/queues/{queue}")); n != 1 {
			t.Errorf("%d refused requests of a route, want 1", n)
		}
		if list := requestLog(t, s.URL(), key, "request_id="+ids[0]); len(list) != 1 || list[0].RequestID != ids[0] {
			t.Errorf("by its id: %v, want one", list)
		}
		if list := requestLog(t, s.URL(), other, "request_id="+ids[0]); len(list) != 0 {
			t.Errorf("another tenant sees by its id %v", list)
		}
		export := must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/request_log/export?operation=sendMessage", key, "").body
		if strings.Count(export, "\n") != 1 || !strings.Contains(export, `"operation":"sendMessage"`) {
			t.Errorf("the export is %s", export)
		}
		whole := must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/request_log/export", key, "").body
		if strings.Contains(whole, "secret") || strings.Contains(whole, "delay=5") {
			t.Errorf("the log has bodies, receipts or queries: %s", whole)
		}
		for _, l := range requestLog(t, s.URL(), other, "") {
			if slices.Contains(ids, l.RequestID) {
				t.Errorf("another tenant sees %s", l)
			}
		}
	}
	check(a)
	check(b)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	check(servertest.New(t, servertest.WithRedis(redis.URL()), quiet))

	// Who may not read it, or asks for what there is not.
	var limited struct{ Key string }
	must(t, http.StatusCreated, &limited, http.MethodPost, a.URL()+"/v1/keys", key, `{"scopes":["messages:send"]}`)
	must(t, http.StatusForbidden, nil, http.MethodGet, a.URL()+"/v1/request_log", limited.Key, "")
	must(t, http.StatusCreated, &limited, http.MethodPost, a.URL()+"/v1/keys", key, `{"scopes":["*:read"],"queues":["orders"]}`)
	for _, l := range requestLog(t, a.URL(), limited.Key, "") {
		if l.Queue == nil || *l.Queue != "orders" {
			t.Errorf("a key for one queue sees %s", l)
		}
	}
	for _, query := range []string{"status=7xx", "status=0", "from=yesterday", "limit=501", "nothing=1"} {
		if got := call(t, http.MethodGet, a.URL()+"/v1/request_log?"+query, key, "").status; got != http.StatusUnprocessableEntity && got != http.StatusBadRequest {
			t.Errorf("%s: %d", query, got)
		}
	}

	// What a suspended tenant is refused is there too, for an operator.
	must(t, http.StatusOK, nil, http.MethodPost, a.URL()+"/v1/tenants/mine/suspend", a.OperatorKey, `{"mode":"all","reason":"test"}`)
	until(t, "the refusal is in the log", func() bool {
		call(t, http.MethodGet, a.URL()+q, key, "")
		return len(requestLog(t, a.URL(), a.OperatorKey, "status=403&operation=getQueue", "Tenant", "mine")) > 0
	})
}

// A server that keeps no log writes none, while another one of the installation does.
func TestTheRequestLogCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	off := servertest.New(t, servertest.WithRedis(redis.URL()), quiet, func(c *server.Config) { c.RequestLog = 0 })
	on := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, on, "mine")
	call(t, http.MethodGet, off.URL()+"/v1/queues/silent", key, "")
	for _, queue := range []string{"one", "two", "three"} { // each is a second behind the one before
		call(t, http.MethodGet, on.URL()+"/v1/queues/"+queue, key, "")
		until(t, "the other server's request is in the log", func() bool {
			for _, l := range requestLog(t, on.URL(), key, "operation=getQueue") {
				if l.Queue != nil && *l.Queue == "silent" {
					t.Fatalf("it has %s", l)
				}
				if l.Queue != nil && *l.Queue == queue {
					return true
				}
			}
			return false
		})
	}
}
