package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

// bad is a request that must be refused and change nothing.
type bad struct {
	name         string
	method, path string // Q is the queue, R a receipt handle, M the id of a message
	body         string
	headers      []string
	status       int
	code         string
	place        string // pointer, header or parameter of the first fault
}

// attributes returns n attributes as a header has them.
func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"a` + string(rune('a'+i)) + `":{"type":"String","value":"x"}`)
	}
	return "{" + b.String()[1:] + "}"
}

func typed(name, kind, value string) []string {
	return []string{"Message-Attributes", `{"` + name + `":{"type":"` + kind + `","value":"` + value + `"}}`}
}

var badInputs = []bad{
	// The address.
	{"two slashes", "POST", "/v1//queues/Q/messages", "x", nil, 404, "not_found", ""},
	{"two slashes at the start", "GET", "//v1/queues", "", nil, 404, "not_found", ""},
	{"a slash at the end", "GET", "/v1/queues/", "", nil, 404, "not_found", ""},
	{"no name", "POST", "/v1/queues//messages", "x", nil, 404, "not_found", ""},
	{"two dots", "POST", "/v1/queues/../queues/Q/messages", "x", nil, 404, "not_found", ""},
	{"two dots as a name", "GET", "/v1/queues/..", "", nil, 404, "queue_not_found", ""},
	{"escaped dots", "GET", "/v1/queues/%2e%2e/queues/Q", "", nil, 404, "not_found", ""},
	{"an escaped slash in a name", "GET", "/v1/queues/a%2Fb", "", nil, 404, "queue_not_found", ""},
	{"an escaped slash in a new name", "PUT", "/v1/queues/a%2Fb", "", nil, 422, "validation_failed", ""},
	{"a NUL in a name", "GET", "/v1/queues/a%00b", "", nil, 404, "queue_not_found", ""},
	{"a NUL in a new name", "PUT", "/v1/queues/a%00b", "", nil, 422, "validation_failed", ""},
	{"a slash behind a handle", "DELETE", "/v1/queues/Q/receipts/R/x", "", nil, 404, "not_found", ""},
	{"an escaped slash behind a handle", "DELETE", "/v1/queues/Q/receipts/R%2Fx", "", nil, 404, "receipt_handle_invalid", ""},
	{"an unknown resource", "GET", "/v1/nothing", "", nil, 404, "not_found", ""},
	{"an unknown resource without a key", "GET", "/v1/nothing", "", []string{"Authorization", ""}, 404, "not_found", ""},
	{"no version", "GET", "/queues", "", nil, 404, "not_found", ""},
	{"another case", "GET", "/V1/queues", "", nil, 404, "not_found", ""},
	{"an escaped letter in the route", "GET", "/v1/queue%2Fs", "", nil, 404, "not_found", ""},
	{"another method", "POST", "/v1/queues", "", nil, 405, "method_not_allowed", ""},
	{"GET that would receive", "GET", "/v1/queues/Q/receive", "", nil, 405, "method_not_allowed", ""},
	{"a method override", "GET", "/v1/queues/Q/receive", "", []string{"X-HTTP-Method-Override", "POST"}, 405, "method_not_allowed", ""},
	{"TRACE", "TRACE", "/v1/queues/Q", "", nil, 405, "method_not_allowed", ""},
	{"TRACE of nothing", "TRACE", "/v1/nothing", "", nil, 405, "method_not_allowed", ""},
	{"a method of nobody", "PURGE", "/v1/queues/Q", "", nil, 405, "method_not_allowed", ""},

	// The query.
	{"a key in the URL", "GET", "/v1/queues?key=slk_x", "", nil, 400, "credentials_in_url", ""},
	{"a token in the URL", "POST", "/v1/queues/Q/receive?max=1&Access_Token=x", "", nil, 400, "credentials_in_url", ""},
	{"a broken escape", "GET", "/v1/queues?prefix=%25zz%", "", nil, 400, "malformed_request", ""},
	{"an unknown parameter", "POST", "/v1/queues/Q/receive?vait=20", "", nil, 422, "validation_failed", "vait"},
	{"a parameter twice", "POST", "/v1/queues/Q/receive?max=1&max=2", "", nil, 422, "validation_failed", "max"},
	{"no limit", "GET", "/v1/queues?limit=0", "", nil, 422, "validation_failed", "limit"},
	{"a limit too high", "GET", "/v1/queues/Q/messages?limit=101", "", nil, 422, "validation_failed", "limit"},
	{"a limit that wraps", "GET", "/v1/queues?limit=18446744073709551617", "", nil, 422, "validation_failed", "limit"},
	{"an unknown state", "GET", "/v1/queues/Q/messages?state=ready", "", nil, 422, "validation_failed", "state"},

	{"an unknown field in a filter", "GET", "/v1/queues/Q/messages?filter=receeves%3E3", "", nil, 422, "filter_invalid", "filter"},
	{"a filter that ends early", "GET", "/v1/queues/Q/messages?filter=(a+OR", "", nil, 422, "filter_invalid", "filter"},
	{"a filter of no UTF-8", "GET", "/v1/queues/Q/messages?filter=%FF", "", nil, 422, "filter_invalid", "filter"},
	{"a filter of 4,097 bytes", "GET", "/v1/queues/Q/messages?filter=" + strings.Repeat("a", 4097), "", nil, 422, "filter_invalid", "filter"},
	{"a filter with 51 terms", "GET", "/v1/queues/Q/messages?filter=" + strings.Repeat("a+", 50) + "a", "", nil, 422, "filter_invalid", "filter"},
	{"a filter 11 deep", "GET", "/v1/queues/Q/messages?filter=" + strings.Repeat("(", 11) + "a", "", nil, 422, "filter_invalid", "filter"},
	{"two filters", "GET", "/v1/queues/Q/messages?filter=a&filter=b", "", nil, 422, "validation_failed", "filter"},

	// Names.
	{"a name of 81 letters", "PUT", "/v1/queues/" + strings.Repeat("n", 81), "", nil, 422, "validation_failed", ""},
	{"a space", "PUT", "/v1/queues/a%20b", "", nil, 422, "validation_failed", ""},
	{"a dot", "PUT", "/v1/queues/a.b", "", nil, 422, "validation_failed", ""},
	{"a letter beyond ASCII", "PUT", "/v1/queues/%C3%A9", "", nil, 422, "validation_failed", ""},
	{"no UTF-8", "PUT", "/v1/queues/%FF", "", nil, 422, "validation_failed", ""},
	{"an emoji", "PUT", "/v1/queues/%F0%9F%98%80", "", nil, 422, "validation_failed", ""},
	{"a hash tag", "PUT", "/v1/queues/%7Bx%7D", "", nil, 422, "validation_failed", ""},
	{"twice escaped", "PUT", "/v1/queues/a%252Fb", "", nil, 422, "validation_failed", ""},
	{"a name that is only a suffix", "PUT", "/v1/queues/.fifo", "", nil, 422, "validation_failed", ""},
	{"a fifo queue with a standard name", "PUT", "/v1/queues/Q", `{"type":"fifo"}`, nil, 422, "validation_failed", "/type"},
	{"a standard queue with a fifo name", "PUT", "/v1/queues/x.fifo", `{"type":"standard"}`, nil, 422, "validation_failed", "/type"},
	{"fifo settings of a standard queue", "PUT", "/v1/queues/Q", `{"fifo":{"scope":"group"}}`, nil, 422, "validation_failed", "/fifo"},
	{"an unknown scope", "PUT", "/v1/queues/x.fifo", `{"fifo":{"scope":"x"}}`, nil, 422, "validation_failed", "/fifo/scope"},
	{"a window of 19 s", "PUT", "/v1/queues/x.fifo", `{"fifo":{"deduplication_window":19}}`, nil, 422, "validation_failed", "/fifo/deduplication_window"},
	{"a window of no time", "PUT", "/v1/queues/x.fifo", `{"fifo":{"deduplication_window":0}}`, nil, 422, "validation_failed", "/fifo/deduplication_window"},
	{"content-based as text", "PUT", "/v1/queues/x.fifo", `{"fifo":{"content_based_deduplication":"yes"}}`, nil, 422, "validation_failed", "/fifo/content_based_deduplication"},
	{"another type", "PATCH", "/v1/queues/Q", `{"type":"topic"}`, nil, 422, "validation_failed", "/type"},

	// Settings.
	{"a negative timeout", "PUT", "/v1/queues/Q", `{"visibility_timeout":-1}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a timeout over 12 h", "PATCH", "/v1/queues/Q", `{"visibility_timeout":43201}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a timeout in letters", "PUT", "/v1/queues/Q", `{"visibility_timeout":"abc"}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a space behind it", "PUT", "/v1/queues/Q", `{"visibility_timeout":"30 "}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"hexadecimal", "PUT", "/v1/queues/Q", `{"visibility_timeout":"0x1e"}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"digits beyond ASCII", "PUT", "/v1/queues/Q", `{"visibility_timeout":"１０"}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a fraction", "PUT", "/v1/queues/Q", `{"visibility_timeout":1.5}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a unit without a number", "PUT", "/v1/queues/Q", `{"delay":"s"}`, nil, 422, "validation_failed", "/delay"},
	{"an unknown unit", "PUT", "/v1/queues/Q", `{"delay":"3w"}`, nil, 422, "validation_failed", "/delay"},
	{"a number that overflows", "PUT", "/v1/queues/Q", `{"delay":99999999999999999999}`, nil, 422, "validation_failed", "/delay"},
	{"a time that overflows", "PUT", "/v1/queues/Q", `{"delay":"9223372036854775807d"}`, nil, 422, "validation_failed", "/delay"},
	{"a huge exponent", "PUT", "/v1/queues/Q", `{"delay":1e999}`, nil, 422, "validation_failed", "/delay"},
	{"retention of 59 s", "PUT", "/v1/queues/Q", `{"message_retention":59}`, nil, 422, "validation_failed", "/message_retention"},
	{"retention over 14 d", "PUT", "/v1/queues/Q", `{"message_retention":1209601}`, nil, 422, "validation_failed", "/message_retention"},
	{"a small size", "PUT", "/v1/queues/Q", `{"max_message_size":1023}`, nil, 422, "validation_failed", "/max_message_size"},
	{"a large size", "PUT", "/v1/queues/Q", `{"max_message_size":1048577}`, nil, 422, "validation_failed", "/max_message_size"},
	{"a delay over the retention", "PATCH", "/v1/queues/Q", `{"message_retention":60,"delay":61}`, nil, 422, "validation_failed", "/delay"},
	{"a wait of 21 s", "PUT", "/v1/queues/Q", `{"receive_wait":21}`, nil, 422, "validation_failed", "/receive_wait"},
	{"51 labels", "PUT", "/v1/queues/Q", `{"labels":{` + strings.TrimSuffix(labels(51), ",") + `}}`, nil, 422, "validation_failed", "/labels"},
	{"a label without a name", "PUT", "/v1/queues/Q", `{"labels":{"":"x"}}`, nil, 422, "validation_failed", "/labels/"},
	{"a long label", "PUT", "/v1/queues/Q", `{"labels":{"` + strings.Repeat("k", 129) + `":"x"}}`, nil, 422, "validation_failed", "/labels/" + strings.Repeat("k", 129)},
	{"a long value", "PUT", "/v1/queues/Q", `{"labels":{"a/b~c":"` + strings.Repeat("v", 257) + `"}}`, nil, 422, "validation_failed", "/labels/a~1b~0c"},
	{"a label that is null", "PUT", "/v1/queues/Q", `{"labels":{"a":null}}`, nil, 422, "validation_failed", "/labels/a"},
	{"a label that is a number", "PATCH", "/v1/queues/Q", `{"labels":{"a":1}}`, nil, 422, "validation_failed", "/labels/a"},
	{"an unknown member", "PUT", "/v1/queues/Q", `{"visibility_timeut":1}`, nil, 422, "unknown_field", "/visibility_timeut"},
	{"another case of a member", "PUT", "/v1/queues/Q", `{"Delay":1}`, nil, 422, "unknown_field", "/Delay"},
	{"a read-only member", "PATCH", "/v1/queues/Q", `{"counts":{"available":0}}`, nil, 422, "unknown_field", "/counts"},
	{"its name", "PUT", "/v1/queues/Q", `{"name":"x"}`, nil, 422, "unknown_field", "/name"},
	{"a tenant", "PUT", "/v1/queues/Q", `{"tenant_id":"x","delay":1}`, nil, 422, "unknown_field", "/tenant_id"},
	{"when it was made", "PATCH", "/v1/queues/Q", `{"created_at":"2020-01-01T00:00:00Z"}`, nil, 422, "unknown_field", "/created_at"},
	{"a member of nobody", "PUT", "/v1/queues/Q", `{"__proto__":{"delay":1}}`, nil, 422, "unknown_field", "/__proto__"},

	// JSON.
	{"no object", "PUT", "/v1/queues/Q", `[]`, nil, 422, "validation_failed", ""},
	{"a string", "PUT", "/v1/queues/Q", `"x"`, nil, 422, "validation_failed", ""},
	{"null", "PATCH", "/v1/queues/Q", `null`, nil, 422, "validation_failed", ""},
	{"no JSON", "PUT", "/v1/queues/Q", `delay=1`, nil, 400, "malformed_request", ""},
	{"two values", "PUT", "/v1/queues/Q", `{}{}`, nil, 400, "malformed_request", ""},
	{"more behind it", "PUT", "/v1/queues/Q", `{} x`, nil, 400, "malformed_request", ""},
	{"a comma too many", "PUT", "/v1/queues/Q", `{"delay":1,}`, nil, 400, "malformed_request", ""},
	{"a comma too many in a list", "POST", "/v1/queues/Q/ack", `{"ack":["R",]}`, nil, 400, "malformed_request", ""},
	{"no end", "PUT", "/v1/queues/Q", `{"delay":1`, nil, 400, "malformed_request", ""},
	{"a member twice", "PUT", "/v1/queues/Q", `{"delay":1,"delay":2}`, nil, 400, "malformed_request", ""},
	{"a member twice, once escaped", "PUT", "/v1/queues/Q", `{"delay":1,"d\u0065lay":2}`, nil, 400, "malformed_request", ""},
	{"a label twice", "PUT", "/v1/queues/Q", `{"labels":{"a":"1","a":"2"}}`, nil, 400, "malformed_request", ""},
	{"an unknown member twice", "PUT", "/v1/queues/Q", `{"x":{"a":1,"a":2}}`, nil, 400, "malformed_request", ""},
	{"invalid UTF-8", "PUT", "/v1/queues/Q", "{\"labels\":{\"a\":\"\xff\"}}", nil, 400, "malformed_request", ""},
	{"half a surrogate pair", "PUT", "/v1/queues/Q", `{"labels":{"a":"\ud800"}}`, nil, 400, "malformed_request", ""},
	{"the other half", "PUT", "/v1/queues/Q", `{"labels":{"a":"\udc00\ud800"}}`, nil, 400, "malformed_request", ""},
	{"a raw control character", "PUT", "/v1/queues/Q", "{\"labels\":{\"a\":\"\n\"}}", nil, 400, "malformed_request", ""},
	{"a byte order mark", "PUT", "/v1/queues/Q", "\ufeff{}", nil, 400, "malformed_request", ""},
	{"UTF-16", "PUT", "/v1/queues/Q", "{\x00}\x00", nil, 400, "malformed_request", ""},
	{"a leading zero", "PUT", "/v1/queues/Q", `{"delay":01}`, nil, 400, "malformed_request", ""},
	{"a plus", "PUT", "/v1/queues/Q", `{"delay":+1}`, nil, 400, "malformed_request", ""},
	{"a comment", "PUT", "/v1/queues/Q", `{/**/}`, nil, 400, "malformed_request", ""},
	{"single quotes", "PUT", "/v1/queues/Q", `{'delay':1}`, nil, 400, "malformed_request", ""},
	{"10,001 deep", "PUT", "/v1/queues/Q", strings.Repeat(`{"a":`, 10001), nil, 400, "malformed_request", ""},
	{"65 deep", "PUT", "/v1/queues/Q", `{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, nil, 400, "malformed_request", ""},
	{"1,001 members", "PUT", "/v1/queues/Q", `{"labels":{` + strings.TrimSuffix(labels(1001), ",") + `}}`, nil, 400, "malformed_request", ""},
	{"over 1 MiB", "PUT", "/v1/queues/Q", strings.Repeat(" ", 1<<20) + "{}", nil, 413, "request_too_large", ""},
	{"XML", "PUT", "/v1/queues/Q", `{}`, []string{"Content-Type", "application/xml"}, 415, "unsupported_media_type", "Content-Type"},
	{"text", "POST", "/v1/queues/Q/ack", `{"ack":["R"]}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", "Content-Type"},
	{"a merge patch that is a PUT", "PUT", "/v1/queues/Q", `{}`, []string{"Content-Type", "application/merge-patch+json"}, 415, "unsupported_media_type", "Content-Type"},
	{"another charset", "PUT", "/v1/queues/Q", `{}`, []string{"Content-Type", "application/json; charset=utf-16"}, 415, "unsupported_media_type", "Content-Type"},
	{"a broken content type", "PUT", "/v1/queues/Q", `{}`, []string{"Content-Type", "application/json; ="}, 415, "unsupported_media_type", "Content-Type"},
	{"gzip", "POST", "/v1/queues/Q/messages", "x", []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type", "Content-Encoding"},
	{"gzip on JSON", "PUT", "/v1/queues/Q", "{}", []string{"Content-Encoding", "gzip, identity"}, 415, "unsupported_media_type", "Content-Encoding"},

	// Sending.
	{"to no queue", "POST", "/v1/queues/nothing/messages", "x", nil, 404, "queue_not_found", ""},
	{"nothing", "POST", "/v1/queues/Q/messages", "", nil, 422, "validation_failed", ""},
	{"over 1 MiB", "POST", "/v1/queues/Q/messages", strings.Repeat("x", 1<<20+1), nil, 413, "message_too_large", ""},
	{"over 1 MiB in bytes", "POST", "/v1/queues/Q/messages", strings.Repeat("é", 1<<19) + "x", nil, 413, "message_too_large", ""},
	{"over 1 MiB with attributes", "POST", "/v1/queues/Q/messages", strings.Repeat("x", 1<<20-4), []string{"Message-Attr-A", "x"}, 413, "message_too_large", ""},
	{"a misspelled header", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Dealy", "1"}, 422, "validation_failed", "Message-Dealy"},
	{"an unknown header", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Colour", "blue"}, 422, "validation_failed", "Message-Colour"},
	{"a group with a space", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Group-Id", "a b"}, 422, "validation_failed", "Message-Group-Id"},
	{"a deduplication id", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Deduplication-Id", "g"}, 422, "validation_failed", "Message-Deduplication-Id"},
	{"a negative delay", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Delay", "-1"}, 422, "validation_failed", "Message-Delay"},
	{"a negative delay in the query", "POST", "/v1/queues/Q/messages?delay=-1", "x", nil, 422, "validation_failed", "delay"},
	{"a delay over the retention", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Delay", "345601"}, 422, "validation_failed", "Message-Delay"},
	{"a delay in words", "POST", "/v1/queues/Q/messages?delay=soon", "x", nil, 422, "validation_failed", "delay"},
	{"two delays", "POST", "/v1/queues/Q/messages?delay=1", "x", []string{"Message-Delay", "2"}, 422, "validation_failed", "delay"},
	{"a delay with a plus", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Delay", "+1"}, 422, "validation_failed", "Message-Delay"},
	{"11 attributes", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", attributes(11)}, 422, "validation_failed", "Message-Attributes"},
	{"an attribute twice", "POST", "/v1/queues/Q/messages", "x", append(typed("a", "String", "x"), "Message-Attr-A", "y"), 422, "validation_failed", "Message-Attributes"},
	{"an attribute twice in JSON", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", `{"a":{"type":"String","value":"1"},"a":{"type":"String","value":"2"}}`}, 422, "validation_failed", "Message-Attributes"},
	{"attributes that are no JSON", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", "a=1"}, 422, "validation_failed", "Message-Attributes"},
	{"attributes in a list", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", "[]"}, 422, "validation_failed", "Message-Attributes"},
	{"the name aws.x", "POST", "/v1/queues/Q/messages", "x", typed("AWS.x", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"the name amazon.x", "POST", "/v1/queues/Q/messages", "x", typed("amazon.x", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"the name .a", "POST", "/v1/queues/Q/messages", "x", typed(".a", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"the name a.", "POST", "/v1/queues/Q/messages", "x", typed("a.", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"the name a..b", "POST", "/v1/queues/Q/messages", "x", typed("a..b", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"the name ^", "POST", "/v1/queues/Q/messages", "x", typed("^", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"no name", "POST", "/v1/queues/Q/messages", "x", typed("", "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"no name in a header", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attr-", "x"}, 422, "validation_failed", "Message-Attributes"},
	{"a name of 257 letters", "POST", "/v1/queues/Q/messages", "x", typed(strings.Repeat("a", 257), "String", "x"), 422, "validation_failed", "Message-Attributes"},
	{"an empty value", "POST", "/v1/queues/Q/messages", "x", typed("a", "String", ""), 422, "validation_failed", "Message-Attributes"},
	{"an unknown type", "POST", "/v1/queues/Q/messages", "x", typed("a", "Foo", "x"), 422, "validation_failed", "Message-Attributes"},
	{"a long type", "POST", "/v1/queues/Q/messages", "x", typed("a", "String."+strings.Repeat("x", 300), "x"), 422, "validation_failed", "Message-Attributes"},
	{"no type", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", `{"a":{"value":"x"}}`}, 422, "validation_failed", "Message-Attributes"},
	{"a number in letters", "POST", "/v1/queues/Q/messages", "x", typed("a", "Number", "abc"), 422, "validation_failed", "Message-Attributes"},
	{"a number too large", "POST", "/v1/queues/Q/messages", "x", typed("a", "Number", "1e400"), 422, "validation_failed", "Message-Attributes"},
	{"a number that is none", "POST", "/v1/queues/Q/messages", "x", typed("a", "Number", "NaN"), 422, "validation_failed", "Message-Attributes"},
	{"bytes that are no base64", "POST", "/v1/queues/Q/messages", "x", typed("a", "Binary", "!"), 422, "validation_failed", "Message-Attributes"},
	{"a value that is no text", "POST", "/v1/queues/Q/messages", "x", []string{"Message-Attributes", `{"a":{"type":"Number","value":7}}`}, 422, "validation_failed", "Message-Attributes"},
	{"a content type of 128 letters", "POST", "/v1/queues/Q/messages", "x", []string{"Content-Type", strings.Repeat("x", 128)}, 422, "validation_failed", "Content-Type"},
	{"a content type beyond ASCII", "POST", "/v1/queues/Q/messages", "x", []string{"Content-Type", "text/é"}, 422, "validation_failed", "Content-Type"},
	{"an idempotency key of 256 letters", "POST", "/v1/queues/Q/messages", "x", []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422, "validation_failed", "Idempotency-Key"},

	// Receiving.
	{"from no queue", "POST", "/v1/queues/nothing/receive", "", nil, 404, "queue_not_found", ""},
	{"none at all", "POST", "/v1/queues/Q/receive?max=0", "", nil, 422, "validation_failed", "max"},
	{"101 messages", "POST", "/v1/queues/Q/receive?max=101", "", nil, 422, "validation_failed", "max"},
	{"ten messages in letters", "POST", "/v1/queues/Q/receive?max=ten", "", nil, 422, "validation_failed", "max"},
	{"a negative wait", "POST", "/v1/queues/Q/receive?wait=-1", "", nil, 422, "validation_failed", "wait"},
	{"a wait of 21 s", "POST", "/v1/queues/Q/receive?wait=21", "", nil, 422, "validation_failed", "wait"},
	{"a wait in milliseconds", "POST", "/v1/queues/Q/receive?wait=500ms", "", nil, 422, "validation_failed", "wait"},
	{"a wait of 21 s with acks", "POST", "/v1/queues/Q/receive?wait=21", `{"ack":["R"]}`, nil, 422, "validation_failed", "wait"},
	{"a lease over 12 h with acks", "POST", "/v1/queues/Q/receive?visibility_timeout=43201", `{"ack":["R"]}`, nil, 422, "validation_failed", "visibility_timeout"},
	{"a lease over 12 h", "POST", "/v1/queues/Q/receive?visibility_timeout=43201", "", nil, 422, "validation_failed", "visibility_timeout"},
	{"raw and many", "POST", "/v1/queues/Q/receive?raw=true&max=2", "", nil, 422, "validation_failed", "max"},
	{"raw and parsed", "POST", "/v1/queues/Q/receive?raw=true&body=json", "", nil, 422, "validation_failed", "body"},
	{"raw with acks", "POST", "/v1/queues/Q/receive?raw=true", `{"ack":["R"]}`, nil, 422, "validation_failed", "/ack"},
	{"raw and nothing else", "POST", "/v1/queues/Q/receive?raw=yes", "", nil, 422, "validation_failed", "raw"},
	{"acks that are no list", "POST", "/v1/queues/Q/receive", `{"ack":"R"}`, nil, 422, "validation_failed", "/ack"},
	{"returns", "POST", "/v1/queues/Q/receive", `{"return":["R"]}`, nil, 422, "unknown_field", "/return"},
	{"options in the body", "POST", "/v1/queues/Q/receive", `{"max":10}`, nil, 422, "unknown_field", "/max"},
	{"1,001 acks", "POST", "/v1/queues/Q/receive", `{"ack":[` + strings.Repeat(`"R",`, 1000) + `"R"]}`, nil, 422, "validation_failed", "/ack"},

	// Receipts.
	{"a handle that is none", "DELETE", "/v1/queues/Q/receipts/INVALID", "", nil, 404, "receipt_handle_invalid", ""},
	{"a handle of 4 KiB", "DELETE", "/v1/queues/Q/receipts/rh_" + strings.Repeat("A", 4096), "", nil, 404, "receipt_handle_invalid", ""},
	{"a handle with a bit flipped", "DELETE", "/v1/queues/Q/receipts/F", "", nil, 404, "receipt_handle_invalid", ""},
	{"an id as a handle", "DELETE", "/v1/queues/Q/receipts/M", "", nil, 404, "receipt_handle_invalid", ""},
	{"a handle with a NUL", "PATCH", "/v1/queues/Q/receipts/R%00", `{"delay":0}`, nil, 404, "receipt_handle_invalid", ""},
	{"a change to nothing", "PATCH", "/v1/queues/Q/receipts/R", `{}`, nil, 422, "validation_failed", ""},
	{"two changes", "PATCH", "/v1/queues/Q/receipts/R", `{"visibility_timeout":1,"delay":1}`, nil, 422, "validation_failed", ""},
	{"a negative time", "PATCH", "/v1/queues/Q/receipts/R", `{"visibility_timeout":-1}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a time over 12 h", "PATCH", "/v1/queues/Q/receipts/R", `{"visibility_timeout":43201}`, nil, 422, "validation_failed", "/visibility_timeout"},
	{"a delay over the retention", "PATCH", "/v1/queues/Q/receipts/R", `{"delay":"5d"}`, nil, 422, "validation_failed", "/delay"},
	{"a dead letter without a queue for it", "PATCH", "/v1/queues/Q/receipts/R", `{"dead_letter":true}`, nil, 409, "no_dead_letter_queue", ""},
	{"a dead letter that is no flag", "PATCH", "/v1/queues/Q/receipts/R", `{"dead_letter":"yes"}`, nil, 422, "validation_failed", "/dead_letter"},
	{"no ack at all", "POST", "/v1/queues/Q/ack", `{}`, nil, 422, "validation_failed", ""},
	{"an empty list", "POST", "/v1/queues/Q/ack", `{"ack":[]}`, nil, 422, "validation_failed", ""},
	{"a return without a handle", "POST", "/v1/queues/Q/ack", `{"ack":["R"],"return":[{"delay":1}]}`, nil, 422, "validation_failed", "/return/0"},
	{"an extension without a time", "POST", "/v1/queues/Q/ack", `{"ack":["R"],"extend":[{"receipt_handle":"R"}]}`, nil, 422, "validation_failed", "/extend/0"},
	{"a number as a handle", "POST", "/v1/queues/Q/ack", `{"ack":["R",7]}`, nil, 422, "validation_failed", "/ack/1"},
	{"1,001 in all", "POST", "/v1/queues/Q/ack", `{"ack":[` + strings.Repeat(`"R",`, 999) + `"R"],"return":[{"receipt_handle":"R"}]}`, nil, 422, "validation_failed", ""},
}

func labels(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"k` + strings.Repeat("x", i/26) + string(rune('a'+i%26)) + `":"v",`)
	}
	return b.String()
}

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	name := queueName(path)
	h.sendText(path, "held")
	m := h.receive(path, 1)[0]
	h.sendText(path, "free")
	etag := h.do("GET", path, "").is(200).header.Get("ETag")
	flipped := []byte(m.ReceiptHandle)
	flipped[20] ^= 1
	fill := func(s string) string {
		if len(s) > 1<<17 {
			return s
		}
		return strings.NewReplacer("/Q", "/"+name, "/R", "/"+m.ReceiptHandle, `"R"`, `"`+m.ReceiptHandle+`"`, "/M", "/"+m.ID, "/F", "/"+string(flipped)).Replace(s)
	}
	for _, c := range badInputs {
		headers := append([]string{"Content-Type", "application/json"}, c.headers...)
		p := h.do(c.method, fill(c.path), fill(c.body), headers...).problem(c.status, c.code)
		if place := firstPlace(p); place != c.place {
			t.Errorf("%s: %s %s: the fault is at %q, want %q (%s)", c.name, c.method, c.path, place, c.place, p.Detail)
		}
		if got, want := h.counts(path), [3]int64{1, 1, 0}; got != want {
			t.Fatalf("%s: %s %s: counts are %v, want %v: it had an effect", c.name, c.method, c.path, got, want)
		}
	}
	if got := h.do("GET", path, "").is(200).header.Get("ETag"); got != etag {
		t.Errorf("the settings were changed: ETag %s, want %s", got, etag)
	}
	var list handlers.Page[handlers.Queue]
	if h.do("GET", "/v1/queues", "").is(200).into(&list); len(list.Data) != 1 {
		t.Errorf("there are %d queues, want 1", len(list.Data))
	}
	if log := h.log.String(); log != "" {
		t.Errorf("what clients do wrong is not worth a line in the log:\n%s", log)
	}
	h.do("DELETE", m.AckURL, "").is(204)
}

func TestMistakesAreAnsweredWithWhatWasMeant(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, c := range []struct {
		method, path, body, header string
		want                       string
	}{
		{"POST", path + "/messages", "x", "Message-Dealy", "Message-Delay"},
		{"POST", path + "/messages", "x", "Message-Attribute", "Message-Attributes"},
		{"POST", path + "/messages", "x", "Message-Colour", "Message-Attr-"},
		{"POST", path + "/receive?vait=1", "", "", `"wait"`},
		{"POST", path + "/receive?visibilityTimeout=1", "", "", `"visibility_timeout"`},
		{"PUT", path, `{"VisibilityTimeout":1}`, "", `"visibility_timeout"`},
		{"PUT", path, `{"retention":1}`, "", ""},
		{"PUT", path, "{\n  \"delay\": tru\n}", "", "line 2, column 12"},
	} {
		headers := []string{"Content-Type", "application/json"}
		if c.header != "" {
			headers = append(headers, c.header, "1")
		}
		var p handlers.Problem
		h.do(c.method, c.path, c.body, headers...).into(&p)
		if !strings.Contains(p.Detail, c.want) || c.want == "" && strings.Contains(p.Detail, "mean") {
			t.Errorf("%s %s %s %s: got %q, want %s", c.method, c.path, c.body, c.header, p.Detail, c.want)
		}
	}
}

func TestLenientWhereItIsSafe(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, media := range []string{"", "application/x-www-form-urlencoded", "application/json; charset=UTF-8", "APPLICATION/JSON"} {
		h.do("PUT", path, `{"delay":7}`, "Content-Type", media).is(200)
		h.do("PATCH", path, `{"delay":0}`, "Content-Type", media).is(200)
	}
	h.do("PATCH", path, `{"delay":"5m"}`, "Content-Type", "application/merge-patch+json").is(200)
	h.do("PUT", path, "", "Content-Type", "text/plain").is(200)
	h.do("PUT", path, " {\n} \t", "Content-Encoding", "Identity").is(200)
	h.do("POST", path+"/messages?delay=5m", "x", "Message-Delay", "300").is(201)
	h.do("POST", path+"/receive?&max=1&", "").is(200)
	for _, credential := range []string{"bearer " + h.key, "Basic " + basic(h.key, ""), "BASIC " + basic(h.key, "")} {
		h.do("GET", path, "", "Authorization", credential).is(200)
	}
	h.do("GET", path, "", "Tenant", h.tenant.Name).is(200)
}
