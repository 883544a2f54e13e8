package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestAQueueIsMadeShownChangedAndDeleted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.clock.Advance(120 * time.Millisecond)
	var q, again handlers.Queue
	made := h.json("PUT", "/v1/queues/orders", `{"visibility_timeout":60,"delay":"5m","labels":{"team":"a/b"}}`).is(201)
	made.into(&q)
	at := handlers.Instant{Time: start.Add(120 * time.Millisecond)}
	diff(t, "queue", handlers.Queue{
		Name: "orders", Type: "standard", VisibilityTimeout: 60, MessageRetention: 345600, Delay: 300, MaxMessageSize: 1 << 20, WhenFull: "reject",
		PriorityStep: 60, Retry: handlers.RetryPolicy{Backoff: "none", Delay: 5, MaxDelay: 3600}, Shards: 1,
		Labels: map[string]string{"team": "a/b"}, ARN: "arn:aws:sqs:us-east-1:" + h.tenant.AccountNumber + ":orders",
		CreatedAt: at, UpdatedAt: at, ETag: q.ETag,
	}, q)
	if made.header.Get("ETag") != `"`+q.ETag+`"` || made.header.Get("Location") != "/v1/queues/orders" {
		t.Errorf("ETag %q, Location %q of the queue %q", made.header.Get("ETag"), made.header.Get("Location"), q.ETag)
	}
	if !strings.Contains(string(made.body), `"created_at":"2026-03-01T12:00:00.120Z"`) {
		t.Errorf("times do not have milliseconds: %s", made.body)
	}
	h.json("PUT", "/v1/queues/orders", `{"labels":{"team":"a/b"},"visibility_timeout":60,"delay":300}`).is(200).into(&again)
	diff(t, "queue after the same PUT", q, again)

	h.clock.Advance(time.Minute)
	var changed handlers.Queue
	h.json("PATCH", "/v1/queues/orders", `{"delay":null,"labels":{"env":"x","team":null},"receive_wait":"20s"}`).is(200).into(&changed)
	want := q
	want.Delay, want.ReceiveWait, want.Labels = 0, 20, map[string]string{"env": "x"}
	want.UpdatedAt, want.ETag = handlers.Instant{Time: at.Add(time.Minute)}, changed.ETag
	diff(t, "queue after a PATCH", want, changed)
	if changed.ETag == q.ETag {
		t.Error("the ETag is the same after a change")
	}
	h.json("PATCH", "/v1/queues/orders", `{"labels":null}`).is(200).into(&changed)
	diff(t, "labels after null", map[string]string{}, changed.Labels)

	h.do("PUT", "/v1/queues/orders", "").is(200).into(&changed)
	if changed.VisibilityTimeout != 30 || changed.ReceiveWait != 0 {
		t.Errorf("PUT without a body: %+v, want defaults", changed)
	}
	h.do("DELETE", "/v1/queues/orders", "").is(204)
	h.do("DELETE", "/v1/queues/orders", "").problem(404, "queue_not_found")
	h.do("GET", "/v1/queues/orders", "").problem(404, "queue_not_found")
}

func TestAQueueShowsWhatIsInIt(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for range 3 {
		h.sendText(path, "m")
	}
	h.do("POST", path+"/messages?delay=5m", "later").is(201)
	h.clock.Advance(1500 * time.Millisecond)
	h.receive(path, 1)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	diff(t, "counts", handlers.Counts{Available: 2, InFlight: 1, Delayed: 1}, q.Counts)
	diff(t, "totals", handlers.QueueTotals{Sent: 4, Received: 1}, q.Totals)
	if q.OldestAge != 1.5 {
		t.Errorf("oldest_age: got %v, want 1.5", q.OldestAge)
	}
}

func TestChangesHoldToTheirConditions(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const path = "/v1/queues/orders"
	etag := func() string { return h.do("GET", path, "").is(200).header.Get("ETag") }

	h.do("PUT", path, "", "If-Match", "*").problem(412, "precondition_failed")
	h.do("PUT", path, "", "If-Match", `"x"`).problem(412, "precondition_failed")
	h.do("PUT", path, "", "If-None-Match", "*").is(201)
	h.do("PUT", path, "", "If-None-Match", "*").problem(412, "precondition_failed")
	first := etag()
	for _, method := range []string{"PUT", "PATCH"} {
		for _, cond := range [][2]string{
			{"If-Match", `"x"`}, {"If-Match", `"x", "y"`}, {"If-Match", "W/" + first}, {"If-None-Match", first}, {"If-None-Match", "*"},
			{"If-None-Match", "W/" + first}, {"If-None-Match", `"x", ` + first},
		} {
			h.json(method, path, `{"delay":7}`, cond[0], cond[1]).problem(412, "precondition_failed")
		}
		for _, bad := range []string{"x", `"x`, "", ",", strings.Repeat(`"x",`, 40)} {
			if bad == "" {
				continue
			}
			h.json(method, path, `{"delay":7}`, "If-Match", bad).problem(422, "validation_failed")
		}
	}
	if got := etag(); got != first {
		t.Fatalf("ETag after refused changes: got %s, want %s", got, first)
	}
	h.json("PATCH", path, `{"delay":7}`, "If-Match", first).is(200)
	h.json("PATCH", path, `{"delay":8}`, "If-Match", `"x", `+etag()).is(200)
	h.json("PUT", path, `{"delay":9}`, "If-None-Match", `"x"`).is(200)
	h.json("PATCH", path, `{"delay":10}`, "If-Match", "*").is(200)

	now := etag()
	h.do("GET", path, "", "If-None-Match", first).is(200)
	for _, same := range []string{now, "W/" + now, `"x", ` + now, "*"} {
		a := h.do("GET", path, "", "If-None-Match", same).is(304)
		if len(a.body) > 0 || a.header.Get("ETag") != now {
			t.Errorf("If-None-Match %s: got %d bytes and ETag %s, want none and %s", same, len(a.body), a.header.Get("ETag"), now)
		}
	}
	h.do("DELETE", path, "", "If-Match", first).problem(412, "precondition_failed")
	h.do("DELETE", path, "", "If-None-Match", "*").problem(412, "precondition_failed")
	h.do("DELETE", path, "", "If-None-Match", now).problem(412, "precondition_failed")
	h.do("DELETE", path, "", "If-Match", now).is(204)
	h.do("DELETE", path, "", "If-None-Match", "*").problem(404, "queue_not_found")
	h.do("PUT", path, "", "If-Match", now).problem(412, "precondition_failed")
}

func TestQueuesAreListedInPages(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("list-%d", i)
		h.do("PUT", "/v1/queues/"+name, "").is(201)
		want = append(want, name)
	}
	h.do("PUT", "/v1/queues/other", "").is(201)
	h.sendText("/v1/queues/list-3", "m")
	var got []string
	path := "/v1/queues?prefix=list-&limit=3"
	for pages := 1; path != ""; pages++ {
		a := h.do("GET", path, "").is(200)
		var p handlers.Page[handlers.Queue]
		a.into(&p)
		for _, q := range p.Data {
			got = append(got, q.Name)
			if want := int64(strings.Count(q.Name, "3")); q.Counts.Available != want {
				t.Errorf("%s has %d messages in the list, want %d", q.Name, q.Counts.Available, want)
			}
		}
		link := a.header.Get("Link")
		if path = ""; p.NextCursor != nil {
			query, _, _ := strings.Cut(strings.TrimPrefix(link, "<?"), ">")
			values, err := url.ParseQuery(query)
			if err != nil || values.Get("cursor") != *p.NextCursor || values.Get("prefix") != "list-" || !strings.HasSuffix(link, `; rel="next"`) {
				t.Fatalf("Link %q, error %v; want the cursor %q", link, err, *p.NextCursor)
			}
			path = "/v1/queues?" + query
		} else if link != "" || pages != 3 {
			t.Errorf("page %d is the last one and has the Link %q", pages, link)
		}
	}
	diff(t, "names", want, got)

	var p handlers.Page[handlers.Queue]
	h.do("GET", "/v1/queues?prefix=list-&limit=3", "").is(200).into(&p)
	for _, bad := range []string{"prefix=l&cursor=" + *p.NextCursor, "cursor=" + *p.NextCursor, "prefix=list-&cursor=x", "cursor=%21", "cursor="} {
		if f := h.do("GET", "/v1/queues?"+bad, "").problem(422, "validation_failed").Errors[0]; f.Query != "cursor" {
			t.Errorf("%s: got %+v, want a fault of cursor", bad, f)
		}
	}
	for prefix, n := range map[string]int{"*": 0, "%5B": 0, "l%2a": 0, "%7B": 0, "%00": 0, "%FF": 0, "": 8, "LIST": 0} {
		h.do("GET", "/v1/queues?prefix="+prefix, "").is(200).into(&p)
		if len(p.Data) != n {
			t.Errorf("prefix %q: got %d queues, want %d", prefix, len(p.Data), n)
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	other := h.queue("")
	for range 3 {
		h.sendText(path, "m")
	}
	h.do("POST", path+"/messages?delay=60", "later").is(201)
	h.receive(path, 1)
	for _, body := range []string{"", `{}`, `{"confirm":""}`, `{"confirm":"` + queueName(other) + `"}`} {
		p := h.json("POST", path+"/purge", body).problem(422, "confirmation_mismatch")
		if p.Errors[0].Pointer != "/confirm" || !strings.Contains(p.Fix, queueName(path)) {
			t.Errorf("purge with %s: got %+v", body, p)
		}
	}
	h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`"}`, "Idempotency-Key", "k").problem(422, "idempotency_key_not_supported")
	h.wantCounts(path, [3]int64{2, 1, 1})

	a := h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`"}`).is(202)
	var task, got handlers.Task
	a.into(&task)
	done := instant(0)
	diff(t, "task", handlers.Task{ID: task.ID, Type: "purge", Status: "succeeded", Scope: handlers.TaskScope{Queue: queueName(path)},
		Progress: handlers.TaskProgress{Total: 4, Looked: 4, Done: 4}, CreatedBy: task.CreatedBy, CreatedAt: *done, StartedAt: done,
		FinishedAt: done, ErrorsURL: "/v1/tasks/" + task.ID + "/errors"}, task)
	h.wantCounts(path, [3]int64{})
	if a.header.Get("Location") != "/v1/tasks/"+task.ID {
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	h.do("GET", a.header.Get("Location"), "").is(200).into(&got)
	diff(t, "task, read again", task, got)

	h.json("POST", other+"/purge", `{"confirm":"`+queueName(other)+`"}`).is(202).into(&got)
	var p handlers.Page[handlers.Task]
	h.do("GET", "/v1/tasks?limit=1", "").is(200).into(&p)
	diff(t, "newest task", []handlers.Task{got}, p.Data)
	h.do("GET", "/v1/tasks?limit=1&cursor="+*p.NextCursor, "").is(200).into(&p)
	diff(t, "oldest task", []handlers.Task{task}, p.Data)

	for _, id := range []string{"x", "task_", "task_00000000000000000000", "task_" + strings.Repeat("0", 300), "%00"} {
		h.do("GET", "/v1/tasks/"+id, "").problem(404, "task_not_found")
	}
	h.do("GET", "/v1/tasks?cursor=x", "").problem(422, "validation_failed")
	h.json("POST", "/v1/queues/nothing/purge", `{"confirm":"nothing"}`).problem(404, "queue_not_found")
}

func TestTheNameThatWasMeantIsTold(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.do("PUT", "/v1/queues/orders", "").is(201)
	p := h.do("GET", "/v1/queues/ordres", "").problem(404, "queue_not_found")
	if !strings.Contains(p.Detail, `Did you mean "orders"?`) {
		t.Errorf("got %q, want the name that was meant", p.Detail)
	}
	// A client that is lost in a loop does not make the server look each time.
	if p = h.do("GET", "/v1/queues/ordres", "").problem(404, "queue_not_found"); strings.Contains(p.Detail, "mean") {
		t.Errorf("at the same instant: got %q", p.Detail)
	}
	h.clock.Advance(time.Second)
	p = h.do("POST", "/v1/queues/Order/messages", "m").problem(404, "queue_not_found")
	if strings.Contains(p.Detail, "mean") {
		t.Errorf("a name without a common beginning: got %q", p.Detail)
	}
	h.clock.Advance(time.Second)
	other := newAPITest(t)
	if p = other.do("GET", "/v1/queues/ordres", "").problem(404, "queue_not_found"); strings.Contains(p.Detail, "orders") {
		t.Errorf("another tenant is told of the queue: %q", p.Detail)
	}
}

func TestOddNamesAreOrdinaryQueues(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	odd := []string{"meta", "clk", "h", "b", "tenant", "queues", "__proto__", "constructor", "batch", "-", "_", "0", strings.Repeat("q", 80)}
	for _, name := range odd {
		h.do("PUT", "/v1/queues/"+name, "").is(201)
		h.sendText("/v1/queues/"+name, name)
	}
	for _, name := range odd {
		diff(t, "bodies of "+name, []string{name}, bodies(h.receive("/v1/queues/"+name, 10)))
	}
}

func TestTheInMemoryEngineServesTheSame(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	path := h.queue(`{"visibility_timeout":60}`)
	for i := range 3 {
		h.sendText(path, fmt.Sprint(i))
	}
	m := h.receive(path, 2)
	h.do("DELETE", m[0].AckURL, "").is(204)
	h.json("PATCH", m[1].AckURL, `{"visibility_timeout":0}`).is(200)
	h.wantCounts(path, [3]int64{2, 0, 0})
	var p handlers.MessagePage
	h.do("GET", path+"/messages", "").is(200).into(&p)
	if len(p.Data) != 2 {
		t.Errorf("a look shows %d messages, want 2", len(p.Data))
	}
	h.json("POST", path+"/purge", `{"confirm":"`+queueName(path)+`"}`).is(202)
	h.wantCounts(path, [3]int64{})
	h.do("DELETE", path, "").is(204)
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	diff(t, "tenant", &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber}, who.Tenant)
	if who.Key.Kind != "tenant" || who.Limits.MaxBatch != 1000 || who.Limits.MaxWait != 20 {
		t.Errorf("got %+v", who)
	}
	diff(t, "scopes", []string{"*"}, who.Key.Scopes)

	op := []string{"Authorization", "Basic " + basic(h.operator, "")}
	h.do("GET", "/v1/whoami", "", op...).is(200).into(&who)
	if who.Tenant != nil || who.Key.Kind != "operator" {
		t.Errorf("operator: got %+v", who)
	}
	h.do("GET", "/v1/whoami", "", append(op, "Tenant", h.tenant.Name)...).is(200).into(&who)
	if who.Tenant == nil || who.Tenant.Name != h.tenant.Name {
		t.Errorf("operator for a tenant: got %+v", who)
	}
	h.do("GET", "/v1/whoami", "", append(op, "Tenant", "nobody")...).problem(404, "tenant_not_found")
}

// Whoever is told the limits is told where to ask for larger ones.
func TestWhoamiSaysWhereToAskForMore(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	op := []string{"Authorization", "Basic " + basic(h.operator, "")}
	callers := [][]string{nil, op, append(op, "Tenant", h.tenant.Name)}
	ask := func(want *string) {
		t.Helper()
		for _, headers := range callers {
			var who handlers.Caller
			h.do("GET", "/v1/whoami", "", headers...).is(200).into(&who)
			diff(t, "contact", want, who.Contact)
		}
	}
	ask(nil)
	h.api.Contact = "mailto:ops@example.com"
	ask(&h.api.Contact)
}

func TestHeadAndOptions(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	a := h.do("HEAD", path, "").is(200)
	if len(a.body) > 0 || a.header.Get("ETag") == "" || a.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: got %d bytes, headers %v", len(a.body), a.header)
	}
	h.do("HEAD", "/v1/queues/nothing", "").is(404)
	if a := h.do("OPTIONS", path, "").is(204); !strings.Contains(a.header.Get("Allow"), http.MethodPut) {
		t.Errorf("OPTIONS: Allow is %q", a.header.Get("Allow"))
	}
}
