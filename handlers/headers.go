package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/suggest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// The headers of a send.
const (
	delayHeader      = "Message-Delay"
	attributesHeader = "Message-Attributes"
	attributePrefix  = "Message-Attr-"
	groupHeader      = "Message-Group-Id"
	dedupHeader      = "Message-Deduplication-Id"
	retryHeader      = "Message-Retry"
	priorityHeader   = "Message-Priority"
	ttlHeader        = "Message-TTL"
)

// wantTTL is what a TTL must be before the queue compares it with its retention.
var wantTTL = fmt.Sprintf("must be at least %d second", int(queues.MinTTL.Seconds()))

var messageHeaders = []string{delayHeader, attributesHeader, groupHeader, dedupHeader, retryHeader, priorityHeader, ttlHeader}

func headerFault(name, code, message string) error {
	return invalid([]errs.Field{{Header: name, Code: code, Message: message}})
}

// hops returns how often what a request brings has been sent on by webhooks. One that is refused for that is not to be tried again.
func hops(c echo.Context) (int, error) {
	n, err := webhook.Hops(c.Request().Header)
	if errors.Is(err, topics.ErrTooManyHops) {
		c.Response().Header().Set("Webhook-Delivery", "abort-message")
	}
	return n, err
}

// readMessageHeaders fills in what the headers say of a message: everything but its body and its type.
func readMessageHeaders(h http.Header, m *queues.Outgoing) error {
	for name, values := range h {
		if !strings.HasPrefix(name, "Message-") {
			continue
		}
		if len(values) > 1 {
			return headerFault(name, "duplicate", "must be given once")
		}
		if err := readMessageHeader(name, values[0], m); err != nil {
			return err
		}
	}
	// The order of headers means nothing, and must not make two sends of one message differ.
	slices.SortFunc(m.Attributes, func(a, b queues.Attribute) int { return strings.Compare(a.Name, b.Name) })
	if v := h["Idempotency-Key"]; len(v) == 1 {
		m.IdempotencyKey = v[0]
	}
	if v := h["Traceparent"]; len(v) == 1 && isTraceparent(v[0]) {
		m.TraceParent = v[0]
	}
	return nil
}

func readMessageHeader(name, value string, m *queues.Outgoing) error {
	switch {
	case name == delayHeader:
		d, ok := parseDuration(value)
		if !ok {
			return headerFault(name, "wrong_type", wantDuration)
		}
		m.Delay = &d
	case name == attributesHeader:
		var list []queues.Attribute
		err := readJSON([]byte(value), func(r *reader) { list = r.attributes() })
		if err != nil {
			return inHeader(name, err)
		}
		m.Attributes = append(m.Attributes, list...)
	case strings.EqualFold(name, ttlHeader):
		d, ok := parseDuration(value)
		if !ok {
			return headerFault(ttlHeader, "wrong_type", wantDuration)
		}
		if d <= 0 {
			return headerFault(ttlHeader, "out_of_range", wantTTL)
		}
		m.TTL = d
	case name == priorityHeader:
		n, ok := parseNumber(value)
		if !ok || n < 0 || n > queues.MaxPriority {
			return headerFault(name, "out_of_range", fmt.Sprintf("must be 0 to %d", queues.MaxPriority))
		}
		m.Priority = int(n)
	case name == retryHeader:
		if err := readJSON([]byte(value), func(r *reader) { m.Retry = r.ownRetry() }); err != nil {
			return inHeader(name, err)
		}
	case strings.HasPrefix(name, attributePrefix):
		if !utf8.ValidString(value) {
			return headerFault(name, "invalid", "must be UTF-8")
		}
		m.Attributes = append(m.Attributes, queues.Attribute{
			Name: strings.ToLower(strings.TrimPrefix(name, attributePrefix)), Type: "String", Value: value,
		})
	case name == groupHeader || name == dedupHeader:
		if value == "" {
			return headerFault(name, "invalid", "must not be empty")
		}
		if name == groupHeader {
			m.GroupID = value
		} else {
			m.DeduplicationID = value
		}
	default:
		message := "is not a header of a message"
		if meant := suggest.Nearest(name, messageHeaders); meant != "" {
			message += fmt.Sprintf("; did you mean %s?", meant)
		} else {
			message += fmt.Sprintf("; attributes begin with %s", attributePrefix)
		}
		return headerFault(name, "unknown_header", message)
	}
	return nil
}

// inHeader turns an error of JSON in a header into one of the header.
func inHeader(name string, err error) error {
	e := asError(err)
	if e.Kind == errs.Malformed {
		return headerFault(name, "invalid", strings.TrimSuffix(lowerFirst(e.Message), "."))
	}
	return relocate(e, func(f *errs.Field) {
		f.Message = strings.TrimSpace(f.Pointer + " " + f.Message)
		f.Pointer, f.Header = "", name
	})
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// placeInHeaders moves the faults that a queue found with a message to the headers that said so.
func placeInHeaders(err error, delayInQuery bool) error {
	return relocate(err, func(f *errs.Field) {
		member, isRetry := strings.CutPrefix(f.Pointer, "/retry")
		name, isAttribute := strings.CutPrefix(f.Pointer, "/attributes")
		inBody, isBody := strings.CutPrefix(f.Pointer, "/body")
		switch {
		case f.Pointer == "/delay" && delayInQuery:
			f.Query = "delay"
		case f.Pointer == "/delay":
			f.Header = delayHeader
		case f.Pointer == "/group_id":
			f.Header = groupHeader
		case f.Pointer == "/deduplication_id":
			f.Header = dedupHeader
		case f.Pointer == "/priority":
			f.Header = priorityHeader
		case f.Pointer == "/ttl":
			f.Header = ttlHeader
		case isRetry:
			f.Header, f.Message = retryHeader, member+" "+f.Message
		case isAttribute:
			f.Header = attributesHeader
			if name != "" {
				f.Message = name + ": " + f.Message
			}
		case isBody:
			f.Pointer = inBody // the body of the request is that of the message
			return
		default:
			return
		}
		f.Pointer = ""
	})
}

// isTraceparent reports whether s is a W3C trace context. One that is none is dropped, as that standard asks.
func isTraceparent(s string) bool {
	const longest = 55
	if len(s) < longest || len(s) > 2*longest || s[2] != '-' || s[35] != '-' || s[52] != '-' || len(s) > longest && s[55] != '-' {
		return false
	}
	for i := range longest {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// preferredWait returns the wait of a header "Prefer: wait=20", and nil where there is none. What is preferred and not
// understood is ignored, as RFC 7240 asks.
func preferredWait(h http.Header) *time.Duration {
	for _, line := range h["Prefer"] {
		for part := range strings.SplitSeq(line, ",") {
			part, _, _ = strings.Cut(part, ";")
			name, value, _ := strings.Cut(part, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, ok := parseNumber(strings.Trim(strings.TrimSpace(value), `"`))
			if !ok || n < 0 {
				return nil
			}
			d := min(time.Duration(min(n, maxSeconds))*time.Second, queues.MaxWait)
			return &d
		}
	}
	return nil
}

// condition is what If-Match and If-None-Match say.
type condition struct {
	match   []string // entity tags without quotes; "*" alone for any
	none    []string
	hasNone bool
	has     bool
}

// readCondition reads If-Match and If-None-Match.
func readCondition(h http.Header) (condition, error) {
	var c condition
	var err error
	c.has, c.hasNone = len(h["If-Match"]) > 0, len(h["If-None-Match"]) > 0
	if c.match, err = entityTags(h, "If-Match"); err != nil {
		return c, err
	}
	c.none, err = entityTags(h, "If-None-Match")
	return c, err
}

// readConditional reads the conditions of a request that has no query.
func readConditional(c echo.Context) (condition, error) {
	if _, err := readQuery(c); err != nil {
		return condition{}, err
	}
	return readCondition(c.Request().Header)
}

// notModified answers that the client has the thing with this entity tag already.
func notModified(c echo.Context, etag string) error {
	c.Response().Header().Set("ETag", quoteTag(etag))
	return c.NoContent(http.StatusNotModified)
}

// maxTags bounds the entity tags of one header.
const maxTags = 32

// entityTags reads a list of entity tags. A weak one never matches what is changed, so W/ is kept as part of it, and
// dropped for If-None-Match, where it is compared weakly.
func entityTags(h http.Header, name string) ([]string, error) {
	line := strings.Join(h[name], ",")
	if strings.TrimSpace(line) == "*" {
		return []string{"*"}, nil
	}
	var tags []string
	for part := range strings.SplitSeq(line, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		plain, weak := strings.CutPrefix(part, "W/")
		if len(plain) < 2 || plain[0] != '"' || plain[len(plain)-1] != '"' || len(tags) == maxTags {
			return nil, headerFault(name, "invalid", `must be * or entity tags in quotes, such as "5f3a…"`)
		}
		plain = plain[1 : len(plain)-1]
		if weak && name == "If-Match" {
			plain = "W/" + plain
		}
		tags = append(tags, plain)
	}
	return tags, nil
}

// unchanged reports whether the reader of a thing with this entity tag has it already.
func (c condition) unchanged(etag string) bool {
	return slices.Contains(c.none, etag) || slices.Contains(c.none, "*")
}

// one returns the single values by which a change is made conditional: "" for no condition. current finds the entity
// tag as it is, and is asked only when the client named several.
func (c condition) one(current func() (string, error)) (match, none string, err error) {
	if match, err = pick(c.match, c.has, "If-Match", current); err != nil {
		return "", "", err
	}
	none, err = pick(c.none, c.hasNone, "If-None-Match", current)
	return match, none, err
}

func pick(tags []string, has bool, name string, current func() (string, error)) (string, error) {
	switch {
	case !has:
		return "", nil
	case len(tags) == 0:
		return "", headerFault(name, "invalid", "must not be empty")
	case len(tags) == 1:
		return tags[0], nil
	}
	etag, err := current()
	if err != nil {
		return "", err
	}
	if slices.Contains(tags, etag) {
		return etag, nil
	}
	return tags[0], nil // none of them is the current one, so any of them says the same
}

func quoteTag(etag string) string { return `"` + etag + `"` }
