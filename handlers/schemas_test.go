package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

const orderSchema = `{"type":"object","required":["order"],"properties":{"order":{"type":"integer"}},"additionalProperties":false}`

func TestSchemasAreAddedShownChosenAndDeleted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", "")
	schemas := tp + "/schemas"
	var set handlers.TopicSchemas
	h.do("GET", schemas, "").is(200).into(&set)
	diff(t, "none", handlers.TopicSchemas{Compatibility: "backward", Versions: []handlers.SchemaVersion{}}, set)
	h.do("GET", schemas+"/current", "").problem(404, "schema_not_found")

	var one handlers.TopicSchema
	h.json("POST", schemas+"?dry_run=true", `{"schema":`+orderSchema+`}`).is(200).into(&one)
	if one.Version != 1 || one.Current {
		t.Errorf("a look: %+v", one)
	}
	a := h.json("POST", schemas, `{"schema":  `+strings.ReplaceAll(orderSchema, ",", " ,\n")+`}`).is(201)
	a.into(&one)
	if one.Version != 1 || !one.Current || string(one.Schema) != orderSchema || a.header.Get("Location") != schemas+"/1" {
		t.Errorf("added: %+v, %s at %s", one, one.Schema, a.header.Get("Location"))
	}
	h.json("POST", schemas, `{"schema":`+orderSchema+`}`).is(200)
	var shown handlers.TopicSchema
	h.do("GET", schemas+"/1", "").is(200).into(&shown)
	diff(t, "version 1", one, shown)
	var topic handlers.Topic
	h.do("GET", tp, "").is(200).into(&topic)
	if topic.SchemaVersion == nil || *topic.SchemaVersion != 1 {
		t.Errorf("the topic: %v", topic.SchemaVersion)
	}
	h.json("PUT", tp, `{"schema_version":1}`).problem(422, "unknown_field")

	p := h.json("POST", schemas, `{"schema":{"type":"string"}}`).problem(409, "schema_incompatible")
	if len(p.Errors) == 0 || p.Errors[0].Pointer != "/schema" || p.Errors[0].Code != "incompatible" {
		t.Errorf("incompatible: %+v", p.Errors)
	}
	p = h.json("POST", schemas, `{"schema":{"properties":{"a":{"type":"text"}}}}`).problem(422, "schema_invalid")
	if len(p.Errors) == 0 || p.Errors[0].Pointer != "/schema/properties/a/type" {
		t.Errorf("invalid: %+v", p.Errors)
	}
	h.json("POST", schemas, `{}`).problem(422, "validation_failed")
	h.json("POST", schemas, `{"schema":true}`).problem(422, "validation_failed")
	h.json("POST", schemas, `{"schema":{"$ref":"http://127.0.0.1:1/x"}}`).problem(422, "schema_invalid")
	h.json("PATCH", schemas, `{"compatibility":"sideways"}`).problem(422, "validation_failed")
	h.json("PATCH", schemas, `{"current":7}`).problem(422, "validation_failed")
	h.json("PATCH", schemas, `{"compatibility":"none"}`).is(200).into(&set)
	if set.Compatibility != "none" || set.Current == nil {
		t.Errorf("after the change: %+v", set)
	}
	h.json("POST", schemas, `{"schema":{"type":"string"}}`).is(201)
	h.do("DELETE", schemas+"/2", "").problem(409, "schema_current")
	h.json("PATCH", schemas, `{"current":1}`).is(200)
	h.do("DELETE", schemas+"/2", "").is(204)
	h.do("DELETE", schemas+"/2", "").problem(404, "schema_not_found")
	h.do("GET", schemas+"/first", "").problem(404, "schema_not_found")
	h.json("PATCH", schemas, `{"current":null}`).is(200)
	h.do("POST", tp+"/messages", "anything", "Content-Type", "text/plain").is(201)
	h.do("GET", "/v1/topics/nowhere/schemas", "").problem(404, "topic_not_found")

	want := "updateSchemas topic %[1]s done\ndeleteSchema topic %[1]s done\nupdateSchemas topic %[1]s done\naddSchema topic %[1]s done\n" +
		"updateSchemas topic %[1]s done\naddSchema topic %[1]s done\nputTopic topic %[1]s done\n"
	if got := toldOf(h.audit("")); got != fmt.Sprintf(want, strings.TrimPrefix(tp, "/v1/topics/")) {
		t.Errorf("the audit log says\n%s", got)
	}
}

func TestARefusalNamesEachPlaceOfTheBody(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", `{"message_retention":3600}`)
	h.json("POST", tp+"/schemas", `{"schema":`+orderSchema+`}`).is(201)
	p := h.do("POST", tp+"/messages", `{"order":"M4RKED","x":1}`, "Content-Type", "application/json").problem(422, "schema_mismatch")
	diff(t, "places", []string{"", "/order"}, []string{p.Errors[0].Pointer, p.Errors[1].Pointer})
	h.do("POST", tp+"/messages", "\xff\x00", "Content-Type", "application/octet-stream").problem(422, "schema_mismatch")
	h.do("POST", tp+"/messages", `{"order":1}`, "Content-Type", "text/plain").is(201)

	const batch = `{"messages":[{"id":"a","body":"{\"order\":2}"},{"id":"b","body":"{\"order\":{}}"},{"id":"c","body":"eyJvcmRlciI6M30=","body_encoding":"base64"}]}`
	var results handlers.Results
	h.json("POST", tp+"/messages/batch", batch).is(207).into(&results)
	if e := results.Results[1].Error; e == nil || e.Code != "schema_mismatch" || e.Errors[0].Pointer != "/messages/1/body/order" {
		t.Errorf("the second of a batch: %+v", e)
	}
	if results.Results[0].Error != nil || results.Results[2].Error != nil {
		t.Errorf("the others: %+v", results.Results)
	}
	h.json("POST", tp+"/messages/batch?atomic=true", batch).problem(422, "schema_mismatch")
	h.do("POST", tp+"/messages/batch", "{\"order\":4}\n[]\n", "Content-Type", "application/x-ndjson").is(207)

	page := string(h.do("GET", tp+"/messages", "").is(200).body)
	if n := strings.Count(page, `"Sluice-Schema-Version":{"type":"Number","value":"1"}`); n != 4 {
		t.Errorf("%d of 4 messages have their version: %s", n, page)
	}
	if strings.Contains(h.log.String(), "M4RKED") {
		t.Error("the log has a body")
	}
}

func TestASchemaIsTested(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", "")
	test := tp + "/schemas/test"
	h.json("POST", test, `{"message":{"body":"1"}}`).problem(404, "schema_not_found")
	h.json("POST", tp+"/schemas", `{"schema":`+orderSchema+`}`).is(201)
	var got handlers.SchemaTested
	h.json("POST", test, `{"message":{"body":"{\"order\":\"x\"}"}}`).is(200).into(&got)
	one := int64(1)
	diff(t, "the current version", handlers.SchemaTested{Version: &one, Failures: []handlers.SchemaFailure{{Path: "/order", Detail: "is string, must be integer"}}}, got)
	h.json("POST", test, `{"version":1,"message":{"body":"{\"order\":1}"}}`).is(200).into(&got)
	diff(t, "version 1", handlers.SchemaTested{Matched: true, Version: &one, Failures: []handlers.SchemaFailure{}}, got)
	got = handlers.SchemaTested{}
	h.json("POST", test, `{"schema":{"type":"string"},"message":{"body":"\"x\""}}`).is(200).into(&got)
	diff(t, "another schema", handlers.SchemaTested{Matched: true, Failures: []handlers.SchemaFailure{}}, got)
	h.json("POST", test, `{"schema":{"type":"x"},"message":{"body":"1"}}`).problem(422, "schema_invalid")
	h.json("POST", test, `{"version":9,"message":{"body":"1"}}`).problem(404, "schema_not_found")
	h.json("POST", test, `{"version":1,"schema":{},"message":{"body":"1"}}`).problem(422, "validation_failed")
	h.json("POST", test, `{}`).problem(422, "validation_failed")
}

func TestAScheduleSaysThatItsMessageIsRefusedByTheSchema(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp := h.topic("", "")
	h.json("PUT", tp+"/schedules/s", `{"every":3600,"message":{"body":"{}"}}`).is(201)
	h.json("POST", tp+"/schemas", `{"schema":`+orderSchema+`}`).is(201)
	h.do("POST", tp+"/schedules/s/run", "").problem(422, "schema_mismatch")
	h.json("PUT", tp+"/schedules/s", `{"every":3600,"message":{"body":"{\"order\":1}"}}`).is(200)
	h.do("POST", tp+"/schedules/s/run", "").is(201)
}
