package tenants_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// calls returns the ids of all requests in a tenant's log that a filter wants, in small parts.
func (w *world) calls(t *testing.T, id tenants.ID, f tenants.CallFilter) string {
	t.Helper()
	var ids []string
	for after, pages := "", 0; ; pages++ {
		page, next, err := w.Calls(t.Context(), id, f, 3, after)
		if err != nil || len(page) > 3 || pages > 5000 {
			t.Fatalf("Calls: %d of a page, %v", len(page), err)
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
		if next == "" {
			return strings.Join(ids, " ")
		}
		after = next
	}
}

func TestRequestsAreListedLatestFirst(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme, beside := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("beside"), tenants.Settings{})
		a, b := tenants.NewRequestLog(w.Store, 5), tenants.NewRequestLog(w.another(), 5)
		note := func(l *tenants.RequestLog, id tenants.ID, c tenants.Call) {
			l.Note(id, c.Status, func() tenants.Call { return c })
			w.clock.Advance(100 * time.Millisecond)
		}
		alice, bob := audit.Actor{Kind: "tenant", Key: "key_alice"}, audit.Actor{Kind: "tenant", Key: "key_bob", Token: "tok_bob"}
		first := tenants.Call{ID: "1", Door: "rest", Method: "POST", Route: "/v1/queues/{queue}/messages", Operation: "sendMessage", Queue: "orders", Status: 201,
			Micros: 1500, Actor: alice, Address: "192.0.2.7"}
		began := w.clock.Now()
		note(a, acme.ID, first)
		note(a, acme.ID, tenants.Call{ID: "2", Operation: "getQueue", Route: "/v1/queues/{queue}", Status: 404, Code: "queue_not_found", Actor: bob})
		note(a, acme.ID, tenants.Call{ID: "3", Operation: "sqs:SendMessage", Route: "/", Queue: "other", Status: 200, Actor: alice})
		note(a, beside.ID, tenants.Call{ID: "x", Status: 200})
		if got := w.calls(t, acme.ID, tenants.CallFilter{}); got != "" {
			t.Errorf("before anything is written: %q", got)
		}
		a.Flush(t.Context())
		a.Flush(t.Context())
		note(b, acme.ID, tenants.Call{ID: "4", Operation: "sendMessage", Status: 503, Code: "not_ready", Actor: bob})
		note(b, acme.ID, tenants.Call{ID: "5", Operation: "sendMessage", Queue: "orders", Status: 201, Actor: bob})
		b.Flush(t.Context())
		for _, test := range []struct {
			filter tenants.CallFilter
			want   string
		}{
			{tenants.CallFilter{}, "5 4 3 2 1"},
			{tenants.CallFilter{RequestID: "2"}, "2"},
			{tenants.CallFilter{RequestID: "x"}, ""}, // the other tenant's
			{tenants.CallFilter{Status: 2}, "5 3 1"},
			{tenants.CallFilter{Status: 201}, "5 1"},
			{tenants.CallFilter{Status: 4}, "2"},
			{tenants.CallFilter{Actor: "key_bob"}, "5 4 2"},
			{tenants.CallFilter{Actor: "tok_bob", Operation: "sendMessage"}, "5 4"},
			{tenants.CallFilter{Route: "/v1/queues/{queue}"}, "2"},
			{tenants.CallFilter{From: began.Add(50 * time.Millisecond), To: began.Add(250 * time.Millisecond)}, "3 2"},
			{tenants.CallFilter{Sees: func(q string) bool { return q == "orders" }}, "5 1"},
		} {
			if got := w.calls(t, acme.ID, test.filter); got != test.want {
				t.Errorf("%+v: got %q, want %q", test.filter, got, test.want)
			}
		}
		page, _, err := w.Calls(t.Context(), acme.ID, tenants.CallFilter{Operation: "sendMessage", Status: 201, Actor: "key_alice"}, 10, "")
		first.At = began
		if diff := cmp.Diff([]tenants.Call{first}, page); diff != "" || err != nil {
			t.Errorf("the first one (-want +got), %v:\n%s", err, diff)
		}
		if got := w.calls(t, beside.ID, tenants.CallFilter{}); got != "x" {
			t.Errorf("the tenant beside it: %q", got)
		}
		w.clock.Advance(25 * time.Hour)
		if got := w.calls(t, acme.ID, tenants.CallFilter{}); got != "" {
			t.Errorf("after a day: %q", got)
		}
	})
}

func TestTheRequestLogIsASampleWithinItsBounds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		l := tenants.NewRequestLog(w.Store, 5)
		count := func(f tenants.CallFilter) int { return len(strings.Fields(w.calls(t, acme.ID, f))) }
		for i := range 1000 {
			l.Note(acme.ID, 200, func() tenants.Call { return tenants.Call{ID: fmt.Sprint("ok", i)} })
			l.Note(acme.ID, 422, func() tenants.Call { return tenants.Call{ID: fmt.Sprint("bad", i)} })
		}
		l.Flush(t.Context())
		if good, bad := count(tenants.CallFilter{Status: 2}), count(tenants.CallFilter{Status: 4}); good != 5 || bad != 20 {
			t.Errorf("of 1,000 each %d and %d are kept, want 5 and 20", good, bad)
		}
		if got := w.calls(t, acme.ID, tenants.CallFilter{Status: 2}); got == "ok4 ok3 ok2 ok1 ok0" {
			t.Error("the first ones were kept, not a sample")
		}
		for range 60 { // parts of about 20 KiB
			w.clock.Advance(time.Second)
			for i := range 20 {
				l.Note(acme.ID, 500, func() tenants.Call { return tenants.Call{ID: fmt.Sprint(i, strings.Repeat("x", 1000))} })
			}
			l.Flush(t.Context())
		}
		all, err := w.redis.HGetAll(t.Context(), engine.TenantKey(acme.ID.String(), "request-log")).Result()
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for id, part := range all {
			if id != "" {
				size += len(part) - 13 + 100
			}
		}
		if parts, _ := w.redis.ZCard(t.Context(), engine.TenantKey(acme.ID.String(), "request-log-order")).Result(); int(parts) != len(all)-1 ||
			all[""] != fmt.Sprint(size) || size > 1<<20 || size < 900<<10 {
			t.Errorf("%d bytes are kept, %s counted, in %d parts of which %d are in order", size, all[""], len(all)-1, parts)
		}
		if n := count(tenants.CallFilter{Status: 200}) + count(tenants.CallFilter{Status: 422}); n != 0 {
			t.Errorf("%d of the oldest ones are still there", n)
		}
		off := tenants.NewRequestLog(w.Store, 0)
		off.Note(acme.ID, 500, func() tenants.Call { t.Error("asked for a request that nobody keeps"); return tenants.Call{} })
		off.Flush(t.Context())
	})
}

// An answer that is lost leaves it open whether a part was stored. It is stored once.
func TestAPartWhoseAnswerIsLostIsThereOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		l := tenants.NewRequestLog(w.Store, 5)
		l.Note(acme.ID, 200, func() tenants.Call { return tenants.Call{ID: "1"} })
		w.net.lose.Store(1)
		l.Flush(t.Context())
		if got := w.calls(t, acme.ID, tenants.CallFilter{}); got != "1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTheRequestLogGoesWithItsTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		l := tenants.NewRequestLog(w.Store, 5)
		note := func() { l.Note(acme.ID, 200, func() tenants.Call { return tenants.Call{ID: "1"} }) }
		note()
		l.Flush(t.Context())
		note()
		if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		l.Flush(t.Context()) // what comes late leaves nothing
		w.checkGone(t, acme)
	})
}
