package handlers_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

const ndjson = "application/x-ndjson"

// results returns the references, statuses and first faults of a batch's answer.
func (a *answer) results() (refs []string, statuses []int, faults []string) {
	a.Helper()
	var r handlers.Results
	a.into(&r)
	for _, one := range r.Results {
		refs, statuses = append(refs, one.Ref), append(statuses, one.Status)
		fault := ""
		if one.Error != nil {
			fault = one.Error.Code
			if len(one.Error.Errors) > 0 {
				fault += " " + one.Error.Errors[0].Pointer
			}
			if one.Status != one.Error.Status {
				a.Errorf("status %d of a result with the problem %+v", one.Status, one.Error)
			}
		}
		faults = append(faults, fault)
		if (one.ID == "") == (one.Status == 201) {
			a.Errorf("result %+v: an id and 201 belong together", one)
		}
	}
	return refs, statuses, faults
}

func TestABatchIsStoredInOrder(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	a := h.json("POST", path+"/messages/batch", `{"messages":[
		{"id":"a","body":"{\"order\":7}"},
		{"body":"caf\u00e9 \ud83d\ude00\n","content_type":"text/x","attributes":{"N":{"type":"Number","value":"7"}}},
		{"body_encoding":"base64","body":"AP8=","delay":60},
		{"id":"é","body":"x","body_encoding":"utf8","delay":"5m"}]}`).is(201)
	refs, statuses, _ := a.results()
	diff(t, "refs", []string{"a", "1", "2", "é"}, refs)
	diff(t, "statuses", []int{201, 201, 201, 201}, statuses)
	h.wantCounts(path, [3]int64{2, 0, 2})
	m := h.receive(path, 10)
	diff(t, "bodies", []string{`{"order":7}`, "café 😀\n"}, bodies(m))
	if m[0].ContentType != "application/json" || m[1].ContentType != "text/x" || m[1].Attributes["N"].Value != "7" {
		t.Errorf("received %+v", m)
	}
	h.clock.Advance(time.Minute)
	late := h.receive(path, 10)
	for _, one := range late {
		if one.BodyEncoding == "base64" && one.Body == base64.StdEncoding.EncodeToString([]byte{0, 0xff}) {
			return
		}
	}
	t.Errorf("the bytes did not come back after their delay: %+v", late)
}

func TestLinesAreMessages(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	a := h.do("POST", path+"/messages/batch", "{\"a\":1}\n\r\n plain \r\n[2]", "Content-Type", ndjson).is(201)
	refs, _, _ := a.results()
	diff(t, "refs", []string{"0", "1", "2"}, refs)
	m := h.receive(path, 10)
	diff(t, "bodies", []string{`{"a":1}`, " plain ", "[2]"}, bodies(m))
	if m[1].ContentType != "text/plain; charset=utf-8" || m[2].ContentType != "application/json" {
		t.Errorf("content types %q and %q", m[1].ContentType, m[2].ContentType)
	}
	a = h.do("POST", path+"/messages/batch?lines=envelope", `{"id":"x","body":"1"}`+"\n"+`{"body":"2"`+"\n"+`{"body":7}`+"\n"+`{"body":"3","dealy":1}`,
		"Content-Type", ndjson+"; charset=utf-8").is(207)
	refs, statuses, faults := a.results()
	diff(t, "refs", []string{"x", "1", "2", "3"}, refs)
	diff(t, "statuses", []int{201, 400, 422, 422}, statuses)
	diff(t, "faults", []string{"", "malformed_request", "validation_failed /2/body", "unknown_field /3/dealy"}, faults)
	diff(t, "bodies of envelopes", []string{"1"}, bodies(h.receive(path, 10)))
}

func TestABadItemHarmsNoOther(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"max_message_size":1024,"message_retention":60}`)
	body := `{"messages":[{"id":"ok","body":"1"},
		{"body":""}, {}, {"body":7}, {"body":"x","body_encoding":"hex"}, {"body":"!","body_encoding":"base64"}, {"body":"AP9=","body_encoding":"base64"},
		{"body":"x","delay":-1}, {"body":"x","delay":61}, {"body":"x","delay":"soon"}, {"body":"x","delay":1.5},
		{"body":"x","attributes":{"a..b":{"type":"String","value":"x"}}}, {"body":"x","attributes":{"a":{"type":"Foo","value":"x"}}},
		{"body":"x","attributes":{"a":{"type":"String","value":""}}}, {"body":"x","attributes":{"a":{"type":"Binary","value":"!"}}},
		{"body":"x","attributes":{"a":{"type":"String","value":"x","data":"y"}}}, {"body":"x","attributes":[]},
		{"body":"` + strings.Repeat("x", 1025) + `"}, {"body":"x","content_type":"a\u0001"}, {"body":"x","content_type":"` + strings.Repeat("x", 128) + `"},
		{"body":"x","Delay":1}, {"body":"x","group":"g"}, "x", null, {"id":"","body":"x"}, {"id":"` + strings.Repeat("x", 81) + `","body":"x"},
		{"id":"last","body":"2"}]}`
	a := h.json("POST", path+"/messages/batch", body).is(207)
	_, statuses, faults := a.results()
	want := []string{"",
		"validation_failed /messages/1/body", "validation_failed /messages/2/body", "validation_failed /messages/3/body",
		"validation_failed /messages/4/body_encoding", "validation_failed /messages/5/body", "validation_failed /messages/6/body",
		"validation_failed /messages/7/delay", "validation_failed /messages/8/delay", "validation_failed /messages/9/delay", "validation_failed /messages/10/delay",
		"validation_failed /messages/11/attributes/a..b", "validation_failed /messages/12/attributes/a",
		"validation_failed /messages/13/attributes/a", "validation_failed /messages/14/attributes/a",
		"unknown_field /messages/15/attributes/a/data", "validation_failed /messages/16/attributes",
		"message_too_large", "validation_failed /messages/18/content_type", "validation_failed /messages/19/content_type",
		"unknown_field /messages/20/Delay", "unknown_field /messages/21/group", "validation_failed /messages/22", "validation_failed /messages/23",
		"validation_failed /messages/24/id", "validation_failed /messages/25/id", "",
	}
	diff(t, "faults", want, faults)
	for i, s := range statuses {
		expect := 422
		switch want[i] {
		case "":
			expect = 201
		case "message_too_large":
			expect = 413
		}
		if s != expect {
			t.Errorf("item %d: status %d, want %d", i, s, expect)
		}
	}
	diff(t, "bodies", []string{"1", "2"}, bodies(h.receive(path, 10)))
}

func TestAnAtomicBatchIsStoredWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"max_message_size":2048}`)
	atomic := path + "/messages/batch?atomic=true"
	h.json("POST", atomic, `{"messages":[{"body":"1"},{"body":""}]}`).problem(422, "validation_failed")
	h.json("POST", atomic, `{"messages":[{"body":"1"},{"body":"`+strings.Repeat("x", 2049)+`"}]}`).problem(413, "message_too_large")
	h.json("POST", atomic, `{"messages":[{"body":"1"},{"body":"2","delay":9999999}]}`).problem(422, "validation_failed")
	h.do("POST", atomic, strings.Repeat("x\n", 101), "Content-Type", ndjson).problem(422, "atomic_too_large")
	h.wantCounts(path, [3]int64{})
	h.do("POST", atomic, strings.Repeat("x\n", 100), "Content-Type", ndjson).is(201)
	h.wantCounts(path, [3]int64{100, 0, 0})
}

func TestQ65_ABatchHasItsLimits(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	target := path + "/messages/batch"
	for _, c := range []struct {
		name, media, body string
		status            int
		code, place       string
	}{
		{"nothing", "application/json", "", 400, "malformed_request", ""},
		{"no messages", "application/json", "{}", 422, "validation_failed", ""},
		{"no message", "application/json", `{"messages":[]}`, 422, "validation_failed", "/messages"},
		{"no list", "application/json", `{"messages":{"body":"x"}}`, 422, "validation_failed", "/messages"},
		{"a list alone", "application/json", `[{"body":"x"}]`, 422, "validation_failed", ""},
		{"another member", "application/json", `{"messages":[{"body":"x"}],"atomic":true}`, 422, "unknown_field", "/atomic"},
		{"1,001 messages", "application/json", `{"messages":[` + strings.Repeat(`{"body":"x"},`, 1000) + `{"body":"x"}]}`, 422, "validation_failed", "/messages"},
		{"1,001 lines", ndjson, strings.Repeat("x\n", 1001), 422, "validation_failed", "/messages"},
		{"empty lines", ndjson, strings.Repeat("\n", 5000), 422, "validation_failed", "/messages"},
		{"the same id", "application/json", `{"messages":[{"id":"a","body":"x"},{"id":"a","body":"x"}]}`, 422, "validation_failed", "/messages/1/id"},
		{"an id that is an index", "application/json", `{"messages":[{"body":"x"},{"id":"0","body":"x"}]}`, 422, "validation_failed", "/messages/1/id"},
		{"over 16 MiB", "application/json", strings.Repeat(" ", 16<<20) + "{}", 413, "request_too_large", ""},
		{"text", "text/plain", "x", 415, "unsupported_media_type", "Content-Type"},
		{"no end", "application/json", `{"messages":[{"body":"x"}`, 400, "malformed_request", ""},
		{"half a character", "application/json", `{"messages":[{"body":"\ud800"}]}`, 400, "malformed_request", ""},
		{"no UTF-8", "application/json", "{\"messages\":[{\"body\":\"\xff\"}]}", 400, "malformed_request", ""},
		{"a member twice", "application/json", `{"messages":[{"body":"x","body":"y"}]}`, 400, "malformed_request", ""},
	} {
		p := h.do("POST", target, c.body, "Content-Type", c.media).problem(c.status, c.code)
		if place := firstPlace(p); place != c.place {
			t.Errorf("%s: the fault is at %q, want %q", c.name, place, c.place)
		}
	}
	h.do("POST", target+"?lines=all", "x", "Content-Type", ndjson).problem(422, "validation_failed")
	h.do("POST", target+"?atomic=1", "x", "Content-Type", ndjson).problem(422, "validation_failed")
	h.do("POST", "/v1/queues/nothing/messages/batch", "x", "Content-Type", ndjson).problem(404, "queue_not_found")
	h.wantCounts(path, [3]int64{})
	h.do("POST", target, strings.Repeat("x\n", 1000), "Content-Type", ndjson).is(201)
	h.do("POST", target, strings.Repeat("x\n", 3)+strings.Repeat("y", 1<<20)+"\n", "Content-Type", ndjson).is(201)
	h.wantCounts(path, [3]int64{1004, 0, 0})
}

func TestTheSameBatchIsStoredOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	send := func(body string) *answer {
		return h.do("POST", path+"/messages/batch", body, "Content-Type", ndjson, "Idempotency-Key", "k")
	}
	var first, again handlers.Results
	a := send("1\n2\n3\n").is(201)
	a.into(&first)
	if a.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first batch counts as a replay")
	}
	a = send("1\n2\n3\n").is(201)
	a.into(&again)
	diff(t, "results of the same batch", first, again)
	if a.header.Get("Idempotent-Replayed") != "true" {
		t.Error("a replay does not say so")
	}
	_, _, faults := send("1\nother\n3\n4\n").is(207).results()
	diff(t, "faults of a changed batch", []string{"", "idempotency_key_reused", "", ""}, faults)
	h.wantCounts(path, [3]int64{4, 0, 0})
	// A single send with the same key is another send.
	h.do("POST", path+"/messages", "1", "Idempotency-Key", "k").is(201)
	h.wantCounts(path, [3]int64{5, 0, 0})
}

func TestALargeBatchComesBackWhole(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, "%d %s\n", i, strings.Repeat("x", 200<<10))
	}
	_, statuses, _ := h.do("POST", path+"/messages/batch", lines.String(), "Content-Type", ndjson).is(201).results()
	if len(statuses) != 60 {
		t.Fatalf("%d results, want 60", len(statuses))
	}
	for i := 0; i < 60; {
		list := h.receive(path, 100)
		if len(list) == 0 {
			t.Fatalf("received %d messages, want 60", i)
		}
		for _, m := range list {
			if !strings.HasPrefix(m.Body, fmt.Sprintf("%d x", i)) || len(m.Body) < 200<<10 {
				t.Fatalf("message %d begins with %.20q and has %d bytes", i, m.Body, len(m.Body))
			}
			i++
		}
	}
}
