package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// instant is the example of each point in time.
const instant = "2026-03-02T08:00:00Z"

// fieldExamples are examples of fields whose tag has none, because swag cannot express it or because a field of this name
// means the same everywhere.
var fieldExamples = map[string]any{
	"ack":                  list("rh_AgN4gGvhgAAAAQAABAAAAAEBogErM5gAABQ"),
	"after":                map[string]any{"delay": 10},
	"alarms":               list(map[string]any{"name": "orders-deep"}),
	"attributes":           map[string]any{"type": map[string]any{"type": "String", "value": "order.paid"}},
	"before":               map[string]any{"delay": 5},
	"deduplication_id":     "order-7",
	"deduplication_window": 300,
	"delay":                30,
	"delivery_policy":      map[string]any{"healthyRetryPolicy": map[string]any{"numRetries": 5}},
	"request_headers":      map[string]any{"Webhook-Id": "msg_0603hz5c0c01g0003w50", "Webhook-Attempt": "1"},
	"response_headers":     map[string]any{"Content-Type": "text/plain"},
	"replay_policy":        map[string]any{"PointType": "Timestamp", "StartingPoint": "2026-01-31T12:00:00.000Z"},
	"every":                300,
	"failures":             list(map[string]any{"topic": "orders.eu.created", "code": "quota_exceeded", "detail": "The topic has as many subscriptions as it may have."}),
	"filter_policy":        map[string]any{"type": list("order.paid")},
	"fields":               map[string]any{"method": "POST", "route": "/v1/queues/:queue/messages", "status": "201"},
	"got":                  list("order.new"),
	"json":                 map[string]any{"order": 7},
	"keys":                 list(map[string]any{"name": "worker"}),
	"labels":               map[string]any{"team": "billing"},
	"max_delay":            900,
	"message_ids":          list("msg_0dw80tz1g00000800020"),
	"queues":               list(map[string]any{"name": "orders"}),
	"retry_schedule":       list(5, 300, 1800),
	"terminal_statuses":    list(410, 413, 422),
	"schema":               map[string]any{"type": "object", "required": list("order"), "properties": map[string]any{"order": map[string]any{"type": "integer"}}},
	"sources":              list("orders"),
	"tenant":               map[string]any{"name": "acme"},
	"topic_subscriptions":  list(map[string]any{"name": "audit", "pattern": "orders.#"}),
	"topics":               list(map[string]any{"name": "events"}),
	"traceparent":          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	"want":                 list("order.paid"),
}

// counts are the fields that count messages, bytes or seconds: one number, or one for each step of a series.
var counts = []string{"available", "bytes", "dead_lettered", "delayed", "deleted", "dropped", "expired", "in_flight", "moved", "oldest_age", "received", "sent"}

func list(values ...any) []any { return values }

// addExamples gives each field an example, and refuses one that shows neither an example nor a default nor what there is to
// choose from.
func addExamples(doc *openapi3.T) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		fields := doc.Components.Schemas[name].Value.Properties
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if ref := fields[field]; ref.Ref == "" && !addExample(field, ref.Value) {
				faults = append(faults, fmt.Errorf("%s.%s: give it an example:\"…\", or a row in fieldExamples", name, field))
			}
		}
	}
	return errors.Join(faults...)
}

func addExample(field string, s *openapi3.Schema) bool {
	if shows(s) || s.Items != nil && (s.Items.Ref != "" || shows(s.Items.Value)) {
		return true
	}
	switch counted := slices.Contains(counts, field); {
	case s.Format == "date-time":
		s.Example = instant
	case fieldExamples[field] != nil:
		s.Example = fieldExamples[field]
	case counted && s.Type.Is(openapi3.TypeArray):
		s.Example = list(12, 0, 7)
	case counted:
		s.Example = 12
	}
	return s.Example != nil
}

// shows reports whether a schema says by itself what a value looks like, or refers to one that does.
func shows(s *openapi3.Schema) bool {
	return s.Example != nil || s.Default != nil || len(s.Enum) > 0 || len(s.AllOf) > 0 || len(s.Properties) > 0 || s.Type.Is(openapi3.TypeBoolean)
}
