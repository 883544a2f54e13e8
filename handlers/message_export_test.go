package handlers_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// exported reads the lines of an export.
func (a *answer) exported() (all []handlers.Message) {
	a.Helper()
	for line := range strings.Lines(string(a.body)) {
		var m handlers.Message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			a.Fatalf("%s: %v in %q", a.asked, err, line)
		}
		all = append(all, m)
	}
	return all
}

func TestMessagesAreExportedAsALookShowsThem(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			path := h.queue("")
			h.json("POST", path+"/messages", `{"n":1}`, "Message-Attr-Type", "order.1").is(201)
			id := h.sendText(path, "Grüße, \"x\"\n<b>").ID
			h.do("POST", path+"/messages", "\xff\xfe", "Message-Delay", "60").is(201)
			h.receive(path, 1)

			var page handlers.MessagePage
			h.do("GET", path+"/messages", "").is(200).into(&page)
			a := h.do("GET", path+"/export", "").is(200)
			diff(t, "all", page.Data, a.exported())
			if a.header.Get("Scanned-Messages") != "3" || a.header.Get("Link") != "" || a.header.Get("Content-Type") != "application/x-ndjson" {
				t.Errorf("headers of all: %v", a.header)
			}
			a = h.do("GET", path+"/export?filter="+url.QueryEscape("Grüße"), "").is(200)
			diff(t, "what matches", slices.DeleteFunc(slices.Clone(page.Data), func(m handlers.Message) bool { return m.ID != id }), a.exported())
			if got := h.do("GET", path+"/export?state=delayed", "").is(200).exported(); len(got) != 1 || got[0].State != "delayed" {
				t.Errorf("the delayed ones are %+v", got)
			}
			gone := "msg_00000000000000000000"
			if got := h.do("GET", path+"/export?ids="+gone+","+id, "").is(200).exported(); len(got) != 1 || got[0].ID != id {
				t.Errorf("by ids, of which one is gone: %+v", got)
			}
			if a = h.do("HEAD", path+"/export", "").is(200); len(a.body) > 0 || a.header.Get("Scanned-Messages") != "3" {
				t.Errorf("HEAD: %v %q", a.header, a.body)
			}
			h.wantCounts(path, [3]int64{1, 1, 1})
		})
	}
}

// A part says that there is more, and its link leads there.
func TestAnExportGoesOnBehindItsLimit(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 5 {
		h.sendText(path, fmt.Sprint("a", i))
	}
	h.sendText(path, "b")
	var got []string
	parts := 0
	for target := path + "/export?filter=a&limit=2"; target != ""; parts++ {
		a := h.do("GET", target, "").is(200)
		for _, m := range a.exported() {
			got = append(got, m.Body)
		}
		link := strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
		if target = ""; link != "" {
			target = path + "/export" + link
		}
	}
	slices.Sort(got)
	if diff(t, "all parts", []string{"a0", "a1", "a2", "a3", "a4"}, got); parts != 3 {
		t.Errorf("there were %d parts, want 3", parts)
	}
	h.do("GET", path+"/export?limit=10000", "").is(200)
	for query, where := range map[string]string{"limit=10001": "limit", "limit=0": "limit", "format=xml": "format", "state=gone": "state", "ids=x": "ids", "ids=": "ids",
		"ids=" + strings.Repeat("msg_00000000000000000000,", 100) + "msg_00000000000000000000": "ids", "ids=msg_00000000000000000000&filter=a": "ids", "sort=x": "sort", "cursor=eA": "cursor"} {
		if p := h.do("GET", path+"/export?"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != where {
			t.Errorf("%s: the fault is at %+v, want %s", query, p.Errors[0], where)
		}
	}
	h.do("GET", path+"/export?filter=reeson:x", "").problem(422, "filter_invalid")
	h.do("GET", "/v1/queues/nothing/export", "").problem(404, "queue_not_found")
	h.do("GET", "/v1/queues/nothing/export?ids=msg_00000000000000000000", "").problem(404, "queue_not_found")
}

// What somebody has sent is no formula in the table, and has as many cells as the names.
func TestATableOfMessagesRunsNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, dead := h.deadFor("=cmd()")
	for _, body := range []string{"=1+1", "+1", "-1", "@x", "\tx", "a,\"b\"\nc", "\xff"} {
		h.do("POST", dead+"/messages", body, "Content-Type", "text/plain", "Message-Attr-Kind", "=x").is(201)
	}
	a := h.do("GET", dead+"/export?format=csv", "").is(200)
	if media := a.header.Get("Content-Type"); media != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type is %s", media)
	}
	rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) (all []string) {
		at := slices.Index(rows[0], name)
		for _, row := range rows[1:] {
			all = append(all, row[at])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	diff(t, "bodies", []string{"'\tx", "'+1", "'-1", "'=1+1", "'@x", "/w==", "a,\"b\"\nc", "message 0"}, column("body"))
	diff(t, "encodings", []string{"base64", "utf8"}, column("body_encoding"))
	diff(t, "errors", []string{"", "'=cmd()"}, column("origin_error"))
	diff(t, "sources", []string{"", queueName(path)}, column("origin_queue"))
	diff(t, "attributes", []string{"", `{"kind":{"type":"String","value":"=x"}}`}, column("attributes"))
}

func TestWhoMayExportMessages(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	id := h.sendText(path, "secret").ID
	blind := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer_without_bodies"}})
	for _, query := range []string{"?", "?format=csv", "?ids=" + id, "?format=csv&ids=" + id} {
		if a := h.do("GET", path+"/export"+query, "", blind...).is(200); strings.Contains(string(a.body), "secret") || !strings.Contains(string(a.body), id) {
			t.Errorf("%s: who may not read bodies got %s", query, a.body)
		}
	}
	h.do("GET", path+"/export?filter=secret", "", blind...).problem(403, "permission_denied")
	h.do("GET", path+"/export", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:*"}})...).problem(403, "permission_denied")
	h.do("GET", path+"/export", "", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"*"}, Queues: []string{"else"}})...).problem(404, "queue_not_found")

	other := []string{"Authorization", "Bearer " + h.newKey(h.newTenant().ID)}
	h.do("GET", path+"/export?ids="+id, "", other...).problem(404, "queue_not_found")
	h.json("PUT", path, "", other...).is(201)
	if a := h.do("GET", path+"/export?ids="+id, "", other...).is(200); len(a.body) > 0 {
		t.Errorf("another tenant got %s", a.body)
	}
}
