package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// body is a media type for which Swagger 2.0, or swag, has no words.
type body string

const (
	raw    body = "*/*"                  // bytes of any type, kept as they are
	lines  body = "application/x-ndjson" // one value a line
	table  body = "text/csv"             // a line of names, and one value a line
	events body = "text/event-stream"    // one value an event
	frames body = "application/json"     // one value a frame of a websocket
)

// form says how else the bodies of one operation are written.
type form struct {
	operation string // method and path
	request   []body // for the request
	response  []body // for the answer 200, or for status
	status    string // of the answer, when it is another one
	sole      bool   // these stand instead of what the comment says, not beside it
	either    bool   // the comment's type lists what an item may be: it is one of its members
	example   string // of such a body; of one item, for events
}

// forms is the one place that names the media types which comments cannot express.
var forms = []form{
	{operation: "POST /v1/queues/{queue}/messages", request: []body{raw}, sole: true, example: `{"order":7}`},
	{operation: "POST /v1/queues/{queue}/messages/batch", request: []body{lines}, example: `{"body":"first"}`},
	{operation: "GET /v1/queues/{queue}/messages/{id}/body", response: []body{raw}, sole: true},
	{operation: "POST /v1/queues/{queue}/messages/{id}/redrive", request: []body{raw}, sole: true},
	{operation: "GET /v1/queues/{queue}/receipts/{handle}/group-state", response: []body{raw}, sole: true, example: `{"step":3}`},
	{operation: "PUT /v1/queues/{queue}/receipts/{handle}/group-state", request: []body{raw}, sole: true, example: `{"step":3}`},
	{operation: "POST /v1/queues/{queue}/receive", response: []body{raw}},
	{operation: "POST /v1/queues/{queue}/consume", response: []body{lines, events}, sole: true, either: true, example: `{"id":"msg_0dw80tz1g00000800020","receipt_handle":"rh_AgN4gGvhgAAAAQAABAAAAAEBogErM5gAABQ","ack_url":"/v1/queues/orders/receipts/rh_AgN4gGvhgAAAAQAABAAAAAEBogErM5gAABQ","body":"{\"order\":7}","body_encoding":"utf8","content_type":"application/json","size":11,"attributes":{},"group_id":null,"deduplication_id":null,"sequence_number":null,"receive_count":1,"failure_count":0,"priority":0,"retry":null,"expires_at":null,"sent_at":"2026-03-01T12:00:00.000Z","first_received_at":"2026-03-01T12:00:02.000Z","lease_expires_at":"2026-03-01T12:00:32.000Z"}`},
	{operation: "GET /v1/queues/{queue}/tail", response: []body{lines, events}, sole: true, either: true, example: `{"id":"msg_0dw80tz1g00000800020","state":"available","body":"{\"order\":7}","body_encoding":"utf8","content_type":"application/json","size":11,"attributes":{},"group_id":null,"deduplication_id":null,"sequence_number":null,"receive_count":0,"failure_count":0,"priority":0,"retry":null,"expires_at":null,"sent_at":"2026-03-01T12:00:00.000Z","first_received_at":null,"available_at":null,"lease_expires_at":null,"held_since":null,"held_by":null,"cursor":"MXwwfDB8MHw"}`},
	{operation: "GET /v1/queues/{queue}/ws", response: []body{frames}, status: "101", sole: true, either: true},
	{operation: "GET /v1/events", response: []body{lines, events}, sole: true, either: true, example: `{"type":"queue","name":"orders","queue":null,"topic":null,"operation":"updateQueue","state":null,"cursor":"1772438400000"}`},
	{operation: "GET /v1/system/log", response: []body{lines, events}, sole: true, either: true, example: `{"time":"2026-03-02T08:00:00.000Z","level":"info","message":"request","fields":{"method":"POST","route":"/v1/queues/:queue/messages","status":"201","queue":"orders"},"truncated":false,"server":"sluice-1","skipped":0,"cursor":"QK3ZT5XA-1042"}`},
	{operation: "GET /v1/queues/{queue}/export", response: []body{lines, table}, sole: true},
	{operation: "GET /v1/audit/export", response: []body{lines}, sole: true},
	{operation: "GET /v1/request_log/export", response: []body{lines}, sole: true},
	{operation: "GET /v1/operator_audit/export", response: []body{lines}, sole: true},
	{operation: "POST /v1/topics/{topic}/messages", request: []body{raw}, sole: true, example: `{"order":7}`},
	{operation: "GET /v1/topics/{topic}/tail", response: []body{lines, events}, sole: true, either: true, example: `{"id":"msg_0dw80tz1g00000800020","sequence_number":"00000151018143744000","published_at":"2026-03-01T12:00:00.000Z","body":"{\"order\":7}","body_encoding":"utf8","content_type":"application/json","size":11,"attributes":{},"group_id":"customer-42"}`},
	{operation: "POST /v1/topics/{topic}/messages/batch", request: []body{lines}, example: `{"body":"first"}`},
}

// addForms applies table to doc. A row whose operation is not described yields a note: either it is still to come, or
// its path is spelled otherwise and the row does nothing.
func addForms(doc *openapi3.T, table []form) (notes []string, err error) {
	all := operations(doc)
	for _, f := range table {
		op := all[f.operation]
		if op == nil {
			notes = append(notes, fmt.Sprintf("no comment describes %s, which media.go names", f.operation))
			continue
		}
		if len(f.request) > 0 {
			if op.RequestBody == nil || op.RequestBody.Value == nil {
				return nil, fmt.Errorf("%s: media.go names a request body; add a @Param with \"body\"", f.operation)
			}
			b := op.RequestBody.Value
			b.Content = f.content(b.Content, f.request)
		}
		if len(f.response) > 0 {
			status := cmp.Or(f.status, "200")
			r := op.Responses.Value(status)
			if r == nil || r.Value == nil {
				return nil, fmt.Errorf("%s: media.go names an answer %s; add a @Success %[2]s", f.operation, status)
			}
			r.Value.Content = f.content(r.Value.Content, f.response)
			if f.either {
				if err := oneOf(doc, r.Value.Content); err != nil {
					return nil, fmt.Errorf("%s: %w", f.operation, err)
				}
			}
		}
	}
	return notes, nil
}

// oneOf makes the items of a stream one of the members of the type that lists them. The type itself, which only stands
// for this list, is dropped.
func oneOf(doc *openapi3.T, content openapi3.Content) error {
	name := ""
	for _, media := range content {
		item, _ := media.Extensions["x-item-schema"].(*openapi3.SchemaRef)
		if item == nil || item.Ref == "" || item.Value == nil || len(item.Value.Properties) == 0 {
			return errNoList
		}
		name = strings.TrimPrefix(item.Ref, "#/components/schemas/")
		either := openapi3.NewSchema()
		for _, key := range slices.Sorted(maps.Keys(item.Value.Properties)) {
			one := item.Value.Properties[key]
			if one.Ref == "" {
				return errNoList
			}
			either.OneOf = append(either.OneOf, one)
		}
		media.Extensions["x-item-schema"] = either.NewRef()
	}
	delete(doc.Components.Schemas, name)
	return nil
}

var errNoList = errors.New("media.go says that an item is one of several: its @Success needs a type whose members are those types")

// content returns old with bodies added. What the comment says about a stream is true of each of its items, so it
// goes to "x-item-schema", by which tests check a stream event by event.
func (f form) content(old openapi3.Content, bodies []body) openapi3.Content {
	var item *openapi3.SchemaRef
	if media := old[mediaJSON]; media != nil {
		item = media.Schema
	}
	content := openapi3.Content{}
	if !f.sole {
		maps.Copy(content, old)
	}
	for _, b := range bodies {
		media := openapi3.NewMediaType().WithSchema(b.schema())
		if f.sole && item != nil && b != raw && b != table {
			media.Extensions = map[string]any{"x-item-schema": item}
		}
		if f.example != "" {
			media.Example = b.example(f.example)
		}
		content[string(b)] = media
	}
	return content
}

// example returns a body with one value.
func (b body) example(value string) string {
	switch b {
	case lines:
		return value + "\n"
	case events:
		return "data: " + value + "\n\n"
	}
	return value
}

func (b body) schema() *openapi3.Schema {
	switch b {
	case raw:
		s := openapi3.NewStringSchema().WithFormat("binary")
		s.Description = "Any bytes, in any content type."
		return s
	case lines:
		s := openapi3.NewStringSchema()
		s.Description = "One value a line."
		return s
	case table:
		s := openapi3.NewStringSchema()
		s.Description = "A line of names, then one value a line, with commas between its cells."
		return s
	case frames:
		s := openapi3.NewStringSchema()
		s.Description = "One value a frame of a websocket."
		return s
	default:
		s := openapi3.NewStringSchema()
		s.Description = "One value an event, in its `data`."
		return s
	}
}
