package handlers_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

// search asks for all parts and returns the bodies that were found, and how many messages were looked at.
func (h *apiTest) search(path, filter, more string, headers ...string) (found []string, looked int) {
	h.Helper()
	for next := ""; ; {
		target := path + "/messages?filter=" + url.QueryEscape(filter) + more
		if next != "" {
			target += "&cursor=" + next
		}
		a := h.do("GET", target, "", headers...).is(200)
		var p handlers.MessagePage
		a.into(&p)
		for _, m := range p.Data {
			found = append(found, m.Body)
		}
		looked += p.Scanned.Messages
		if p.Scanned.Complete != (p.NextCursor == nil) {
			h.Errorf("%s: scanned %+v, next cursor %v", filter, p.Scanned, p.NextCursor)
		}
		if p.NextCursor == nil {
			slices.Sort(found)
			return found, looked
		}
		next = *p.NextCursor
		link, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`))
		if err != nil || link.Query().Get("cursor") != next || link.Query().Get("filter") != filter {
			h.Errorf("Link %q (%v), want one with the filter and the cursor %s", a.header.Get("Link"), err, next)
		}
	}
}

func TestMessagesAreFoundByAFilter(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			path := h.queue("")
			for i := range 5 {
				h.json("POST", path+"/messages", fmt.Sprintf(`{"n":%d}`, i), "Message-Attr-Type", fmt.Sprintf("order.%d", i%2)).is(201)
			}
			id := h.sendText(path, "Grüße & <b>").ID
			h.do("POST", path+"/messages", "later", "Message-Delay", "60").is(201)
			h.receive(path, 1)
			for filter, want := range map[string][]string{
				"body.n>=3": {`{"n":3}`, `{"n":4}`}, "attr.type:order.1": {`{"n":1}`, `{"n":3}`}, "id:" + id: {"Grüße & <b>"}, `GRÜSSE OR "& <"`: {"Grüße & <b>"},
				"state:delayed": {"later"}, "receives:1 -state:available": {`{"n":0}`}, "nothing": nil, "content_type:text/plain": {"Grüße & <b>"},
				"(body.n:* OR later) -attr.type:*0": {"later", `{"n":1}`, `{"n":3}`},
			} {
				for _, more := range []string{"", "&limit=1", "&state=all"} {
					got, looked := h.search(path, filter, more)
					if diff(t, filter+more, want, got); looked != 7 {
						t.Errorf("%s%s: looked at %d messages, want 7", filter, more, looked)
					}
				}
			}
			if got, looked := h.search(path, "body.n:* OR later", "&state=delayed"); len(got) != 1 || looked != 1 {
				t.Errorf("of the delayed ones: got %q, looked at %d", got, looked)
			}
			h.wantCounts(path, [3]int64{5, 1, 1})

			other := h.newTenant()
			key := []string{"Authorization", "Bearer " + h.newKey(other.ID)}
			h.do("GET", path+"/messages?filter=later", "", key...).problem(404, "queue_not_found")
			h.json("PUT", path, "", key...).is(201)
			if got, looked := h.search(path, "later", "", key...); len(got) != 0 || looked != 0 {
				t.Errorf("another tenant found %q, looked at %d", got, looked)
			}
		})
	}
}

func TestACursorHoldsForItsFilterOnly(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for i := range 4 {
		h.sendText(path, fmt.Sprint("a", i))
	}
	get := func(query string) *answer { return h.do("GET", path+"/messages?limit=1"+query, "") }
	var p, q handlers.MessagePage
	get("&filter=a").is(200).into(&p)
	get("").is(200).into(&q)
	get("&filter=+body~a&cursor=" + *p.NextCursor).is(200) // the same filter, written otherwise
	get("&filter=+&cursor=" + *q.NextCursor).is(200)
	for _, query := range []string{"&filter=b&cursor=" + *p.NextCursor, "&cursor=" + *p.NextCursor, "&filter=a&cursor=" + *q.NextCursor,
		"&filter=a&state=available&cursor=" + *p.NextCursor} {
		if f := get(query).problem(422, "validation_failed").Errors[0]; f.Query != "cursor" {
			t.Errorf("%s: the fault is at %+v, want cursor", query, f)
		}
	}
}

func TestAWrongFilterIsAnsweredWithThePlaceAndTheFix(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	p := h.do("GET", path+"/messages?filter="+url.QueryEscape("age>1h\n é receeves>3"), "").problem(422, "filter_invalid")
	want := handlers.Fault{Query: "filter", Code: "unknown_field", Detail: `there is no field "receeves"`, Line: 2, Column: 4}
	diff(t, "fault", []handlers.Fault{want}, p.Errors)
	if !strings.Contains(p.Detail, "line 2, column 4") || !strings.Contains(p.Fix, "Did you mean receives?") {
		t.Errorf("got %q and the fix %q", p.Detail, p.Fix)
	}
	if log := h.log.String(); log != "" {
		t.Errorf("a filter is in the log: %s", log)
	}
}
