package handlers

import (
	"maps"
	"slices"

	"github.com/sluicemq/sluice/queues"
)

// TestRoute is a row of the table of routes, for tests.
type TestRoute struct {
	Method, Path, Operation, Scope string
	Needs                          string
	RefusesKeys                    bool
}

// Routes returns the table of routes.
func Routes() []TestRoute {
	names := map[needs]string{public: "public", anyKey: "key", tenant: "tenant", operator: "operator"}
	var list []TestRoute
	for _, r := range (&API{}).routes() {
		list = append(list, TestRoute{
			Method: r.method, Path: r.path, Operation: r.operation, Scope: r.scope, Needs: names[r.needs], RefusesKeys: r.repeats == refused,
		})
	}
	return list
}

// Audited reports whether the audit log has an operation, and whether somebody decided that it has not.
func Audited(operation string) (has, hasNot bool) {
	_, has = changes[operation]
	return has, messaging[operation]
}

// The encoders, for benchmarks and tests.
var (
	AppendString   = appendString
	AppendASCII    = appendASCII
	AppendTime     = appendTime
	AppendReceived = appendReceived
	AppendPeeked   = appendPeeked
	AppendSent     = appendSent
	ParseDuration  = parseDuration
)

// ReadBatch reads a batch from JSON and returns how many items it has, and how many of them are wrong.
func ReadBatch(body []byte) (items, wrong int, err error) {
	b, err := readEnvelope(body)
	for _, e := range b.errs {
		if e != nil {
			wrong++
		}
	}
	return len(b.items), wrong, err
}

// ReadBatchMessages returns the messages of a batch in JSON.
func ReadBatchMessages(body []byte) ([]queues.Outgoing, error) {
	b, err := readEnvelope(body)
	return b.items, err
}

// CheckJSON reads any value, as strictly as every body is read.
func CheckJSON(text []byte) error { return readJSON(text, func(r *reader) { r.skip() }) }

// UnquoteJSON reads a string.
func UnquoteJSON(text []byte) (string, error) {
	out := ""
	err := readJSON(text, func(r *reader) {
		s, _ := r.str()
		out = string(s)
	})
	return out, err
}

// AuditedOperations returns all that somebody decided about.
func AuditedOperations() []string {
	return slices.Concat(slices.Collect(maps.Keys(changes)), slices.Collect(maps.Keys(messaging)))
}
