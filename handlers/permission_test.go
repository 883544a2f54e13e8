package handlers_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/queues"
)

// operatorFor makes an operator's key with these scopes and returns the headers that show it.
func (h *apiTest) operatorFor(scopes ...string) []string {
	h.Helper()
	k, err := h.keys.CreateOperatorKey(h.Context(), auth.NewKey{Scopes: scopes})
	h.must(err)
	h.Cleanup(func() { _ = h.keys.RevokeOperatorKey(context.Background(), k.ID) })
	return []string{"Authorization", "Bearer " + k.Secret.Reveal()}
}

// refused is a query that every operation refuses with 422, but only to those who may ask it.
const refused = "?no_such_parameter=1"

func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	all := auth.NewKey{Scopes: []string{"*"}}
	everything := map[string][]string{}
	for kind, headers := range map[string][]string{"tenant": h.keyFor(h.tenant.ID, all), "operator": as(h.operator)} {
		var who handlers.Caller
		h.do("GET", "/v1/whoami", "", headers...).is(200).into(&who)
		everything[kind] = who.Key.Allowed
	}
	type pair struct{ with, without []string }
	keys := map[string]pair{}
	for _, r := range handlers.Routes() {
		if r.Scope == "" {
			continue
		}
		kind := "tenant"
		if r.Needs == "operator" {
			kind = "operator"
		}
		p, ok := keys[kind+r.Scope]
		if !ok {
			if !slices.Contains(everything[kind], r.Scope) {
				t.Errorf("%s needs %s, which no %s's key can have", r.Operation, r.Scope, kind)
				continue
			}
			others := slices.DeleteFunc(slices.Clone(everything[kind]), func(s string) bool { return s == r.Scope })
			if kind == "operator" {
				p = pair{h.operatorFor(r.Scope), h.operatorFor(others...)}
			} else {
				p = pair{h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{r.Scope}}), h.keyFor(h.tenant.ID, auth.NewKey{Scopes: others})}
			}
			keys[kind+r.Scope] = p
		}
		target := at(r, queueName(path), h.tenant.Name)
		before := h.counts(path)
		denied := h.do(r.Method, target, "", p.without...).problem(403, "permission_denied")
		if !strings.Contains(denied.Detail, r.Scope) || denied.Fix == "" {
			t.Errorf("%s: %q does not name %s", r.Operation, denied.Detail, r.Scope)
		}
		if got := h.do(r.Method, target+refused, "", p.with...); got.status == 401 || got.status == 403 {
			t.Errorf("%s with the scope %s: %d %s", r.Operation, r.Scope, got.status, got.body)
		}
		if kind == "tenant" { // an operator who acts for a tenant needs the scope too
			h.do(r.Method, target, "", append(h.operatorFor("tenants:read"), "Tenant", h.tenant.Name)...).problem(403, "permission_denied")
		}
		diff(t, "counts after "+r.Operation, before, h.counts(path))
	}
	// Each scope is good for something.
	for kind, scopes := range everything {
		for _, s := range scopes {
			if _, ok := keys[kind+s]; !ok && kind == "tenant" {
				t.Errorf("no route needs %s", s)
			}
		}
	}
}

var volatile = regexp.MustCompile(`"(request_id|instance)":"[^"]*"`)

// same returns what of an answer does not depend on which request it was.
func same(a *answer, names ...string) string {
	text := volatile.ReplaceAllString(string(a.body), "")
	for _, n := range names {
		text = strings.ReplaceAll(text, n, "NAME")
	}
	return fmt.Sprint(a.status, text)
}

func TestAKeyReachesItsQueuesOnly(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.json("PUT", "/v1/queues/mine-1", "").is(201)
	h.json("PUT", "/v1/queues/other-1", "").is(201)
	h.sendText("/v1/queues/other-1", "secret")
	mine := h.keyFor(h.tenant.ID, auth.NewKey{Queues: []string{"mine-*", "mine"}})
	for _, r := range handlers.Routes() {
		if !strings.Contains(r.Path, ":queue") {
			continue
		}
		there := h.do(r.Method, at(r, "other-1", ""), "", mine...)
		absent := h.do(r.Method, at(r, "other-2", ""), "", mine...)
		if got, want := same(there, "other-1"), same(absent, "other-2"); got != want {
			t.Errorf("%s tells whether there is a queue: %s and %s", r.Operation, got, want)
		}
		if r.Operation == "putQueue" {
			there.problem(403, "permission_denied")
		} else {
			there.problem(404, "queue_not_found")
		}
		if got := h.do(r.Method, at(r, "mine-1", "")+refused, "", mine...); got.status == 403 || got.status == 404 {
			t.Errorf("%s at a queue that it reaches: %d %s", r.Operation, got.status, got.body)
		}
	}
	h.wantCounts("/v1/queues/other-1", [3]int64{1, 0, 0})

	// Queues that requests name elsewhere.
	for _, c := range []struct{ method, path, body, place string }{
		{"PUT", "/v1/queues/mine-2", `{"redrive":{"dead_letter_queue":"other-1","max_receives":1}}`, "/redrive/dead_letter_queue"},
		{"PUT", "/v1/queues/mine-2", `{"redrive":{"dead_letter_queue":"other-9","max_receives":1}}`, "/redrive/dead_letter_queue"},
		{"PATCH", "/v1/queues/mine-1", `{"redrive":{"dead_letter_queue":"other-1","max_receives":1}}`, "/redrive/dead_letter_queue"},
		{"PUT", "/v1/queues/mine-2", `{"forward_to":"other-1"}`, "/forward_to"},
		{"PATCH", "/v1/queues/mine-1", `{"forward_to":"other-9"}`, "/forward_to"},
		{"PATCH", "/v1/queues/mine-1", `{"forward_to":"topic:any"}`, ""},
		{"POST", "/v1/queues/mine-1/redrive", `{"to":"other-1"}`, "/to"},
		{"POST", "/v1/queues/mine-1/redrive", `{"to":"other-9"}`, "/to"},
		{"POST", "/v1/queues/mine-1/redrive", `{"to":"source"}`, "/to"},
		{"POST", "/v1/queues/mine-1/redrive", ``, "/to"},
		{"POST", "/v1/queues/mine-1/redrive?dry_run=true", ``, "/to"},
		{"POST", "/v1/queues/mine-1/messages/msg_00000000000000000000/redrive?to=other-1", ``, "to"},
		{"POST", "/v1/queues/mine-1/messages/msg_00000000000000000000/redrive", ``, "to"},
	} {
		if p := h.json(c.method, c.path, c.body, mine...).problem(403, "permission_denied"); firstPlace(p) != c.place {
			t.Errorf("%s %s %s: the fault is at %q, want %q", c.method, c.path, c.body, firstPlace(p), c.place)
		}
	}
	h.do("GET", "/v1/queues/mine-2", "", mine...).problem(404, "queue_not_found")
	h.do("GET", "/v1/queues/other-9", "").problem(404, "queue_not_found")
	h.json("PUT", "/v1/queues/mine-3", `{"redrive":{"dead_letter_queue":"mine-dead","max_receives":1}}`, mine...).is(201)
	h.json("POST", "/v1/queues/mine-dead/redrive?dry_run=true", `{"to":"mine-3"}`, mine...).is(200)

	// Lists, tasks and hints.
	var page handlers.Page[handlers.Queue]
	list := func(query string) (names []string) {
		h.do("GET", "/v1/queues"+query, "", mine...).is(200).into(&page)
		for _, q := range page.Data {
			names = append(names, q.Name)
		}
		return names
	}
	diff(t, "all queues", []string{"mine-1", "mine-3", "mine-dead"}, list(""))
	diff(t, "with a longer prefix", []string{"mine-dead"}, list("?prefix=mine-d"))
	diff(t, "with a shorter prefix", []string{"mine-1", "mine-3", "mine-dead"}, list("?prefix=m"))
	diff(t, "with another prefix", []string(nil), list("?prefix=other"))
	var task, shown handlers.Task
	h.json("POST", "/v1/queues/other-1/purge", `{"confirm":"other-1","older_than":1}`).is(202).into(&task)
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"GET", "/errors"}, {"POST", "/cancel"}} {
		h.do(c.method, "/v1/tasks/"+task.ID+c.path, "", mine...).problem(404, "task_not_found")
	}
	h.do("GET", "/v1/tasks/"+task.ID, "").is(200).into(&shown)
	diff(t, "the task", "running", shown.Status)
	var tasks handlers.Page[handlers.Task]
	h.do("GET", "/v1/tasks", "", mine...).is(200).into(&tasks)
	diff(t, "tasks", 0, len(tasks.Data))
	h.json("POST", "/v1/queues/mine-1/purge", `{"confirm":"mine-1","older_than":1}`, mine...).is(202).into(&task)
	h.do("GET", "/v1/tasks", "", mine...).is(200).into(&tasks)
	diff(t, "tasks", 1, len(tasks.Data))
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"GET", "/errors"}, {"POST", "/cancel"}} {
		h.do(c.method, "/v1/tasks/"+task.ID+c.path, "", mine...).is(200)
	}
	for _, near := range []string{"other-", "other1"} {
		h.clock.Advance(time.Second)
		if p := h.do("GET", "/v1/queues/"+near, "", mine...).problem(404, "queue_not_found"); strings.Contains(p.Detail, "other-1") {
			t.Errorf("the hint shows a queue: %q", p.Detail)
		}
	}
}

func TestWhoMayNotReadBodiesSeesNone(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	viewer := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer_without_bodies"}})
	full := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer"}})
	path := "/v1/queues/q" + fmt.Sprint(names.Add(1)) + ".fifo"
	h.json("PUT", path, `{"fifo":{"content_based_deduplication":true}}`).is(201)
	sent := handlers.SentMessage{}
	h.do("POST", path+"/messages", "s3cret", "Content-Type", "text/plain", "Message-Group-Id", "g").is(201).into(&sent)
	h.json("PUT", path+"/schedules/s", `{"every":3600,"message":{"body":"s3cret","group_id":"g"}}`).is(201)
	looks := []string{path + "/messages", path + "/messages/" + sent.ID, path + "/messages?filter=size%3E1", path + "/schedules", path + "/schedules/s"}
	for _, look := range looks {
		hidden, open := h.do("GET", look, "", viewer...).is(200), h.do("GET", look, "", full...).is(200)
		if strings.Contains(string(hidden.body), "s3cret") || !strings.Contains(string(open.body), "s3cret") {
			t.Errorf("%s: without bodies %s, with them %s", look, hidden.body, open.body)
		}
	}
	var m, whole handlers.Message
	h.do("GET", looks[1], "", viewer...).is(200).into(&m)
	h.do("GET", looks[1], "").is(200).into(&whole)
	if whole.DeduplicationID == nil {
		t.Fatal("a message of a FIFO queue has no deduplication id")
	}
	whole.Body, whole.DeduplicationID = "", nil
	diff(t, "a message without its body", whole, m)
	h.do("GET", looks[1]+"/body", "", viewer...).problem(403, "permission_denied")
	h.do("GET", looks[1]+"/body", "", full...).is(200)
	for _, filter := range []string{"s3cret", "body~s3", "body.a=1", "-body:*", "size>1 OR (age>1h body.x:*)", "deduplication_id:a*"} {
		p := h.do("GET", path+"/messages?filter="+strings.NewReplacer(" ", "+", ">", "%3E", "=", "%3D").Replace(filter), "", viewer...).problem(403, "permission_denied")
		if !strings.Contains(p.Detail, "messages:read_body") {
			t.Errorf("%s: %q", filter, p.Detail)
		}
	}
	// Nor does it learn of them by what would be moved or deleted.
	mover := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:*", "messages:peek"}})
	h.json("POST", path+"/redrive?dry_run=true", `{"filter":"s3cret"}`, mover...).problem(403, "permission_denied")
	h.json("POST", path+"/purge", fmt.Sprintf(`{"confirm":%q,"filter":"s3cret"}`, queueName(path)), mover...).problem(403, "permission_denied")
	h.json("POST", path+"/redrive?dry_run=true", `{"filter":"size>1"}`, mover...).is(200)
	h.wantCounts(path, [3]int64{1, 0, 0})
}

func TestG20_AStreamEndsWithItsRotatedKey(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	k, err := h.keys.CreateTenantKey(h.Context(), h.tenant.ID, auth.NewKey{Scopes: []string{"messages:consume"}, Queues: []string{queueName(path)}})
	h.must(err)
	stream := h.stream("POST", path+"/consume", as(k.Secret.Reveal())...)
	until(t, "the stream waits", func() bool { return h.queues.Waiting() == 1 })
	_, err = h.keys.Rotate(h.Context(), h.tenant.ID, k.ID, auth.Rotation{})
	h.must(err)
	begin := h.clock.Now()
	until(t, "the stream ends", func() bool {
		if h.clock.Now().Sub(begin) < 4*time.Second {
			h.clock.Advance(100 * time.Millisecond)
		}
		return len(stream.items) > 0
	})
	diff(t, "the reason", "key_expired", stream.ends())
}

func TestFiltersSayWhatTheyAskAbout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "state:delayed": false, "attr.body=1": false, "x": true, "body:x": true, "-(age>1h OR body.a.b=1)": true} {
		f, err := queues.ParseFilter(text)
		if err != nil || f.Asks("body") != want {
			t.Errorf("%q: asks about the body: %v, %v", text, f.Asks("body"), err)
		}
	}
}
