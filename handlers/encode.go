package handlers

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// What is sent and received most is written by hand: encoding/json would take longer than all else that a request costs
// the server. The types in messages.go, receive.go and batch.go say what comes out, and tests hold one against the
// other.

const hexDigits = "0123456789abcdef"

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendString writes s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// appendASCII writes s as a JSON string in ASCII only, as a header needs it.
func appendASCII(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r < 0x7f && plain[r]:
			b = append(b, byte(r))
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r > 0xffff:
			r -= 0x10000
			b = appendHex(appendHex(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			b = appendHex(b, r)
		}
	}
	return append(b, '"')
}

func appendHex(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendTime writes t as a JSON string, in UTC with milliseconds.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	b = t.AppendFormat(append(b, '"'), time.RFC3339) // this layout has a fast way, one with milliseconds has none
	ms := t.Nanosecond() / 1e6
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}

// appendTimeOrNull writes null for a time that is not set.
func appendTimeOrNull(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return appendTime(b, t)
}

// Instant is a time as answers show it: in UTC, always with three digits of milliseconds.
type Instant struct{ time.Time }

// MarshalJSON writes the time.
func (i Instant) MarshalJSON() ([]byte, error) { return appendTime(nil, i.Time), nil }

// instant returns a time for an answer, and nil for one that is not set.
func instant(t time.Time) *Instant {
	if t.IsZero() {
		return nil
	}
	return &Instant{t}
}

const messagePrefix = "msg_"

func messageID(id engine.ID) string { return messagePrefix + id.String() }

func appendMessageID(b []byte, id engine.ID) []byte {
	return append(append(append(b, '"'), messageID(id)...), '"')
}

// appendBody writes the members body and body_encoding: as text where the bytes are UTF-8, and in base64 otherwise.
func appendBody(b []byte, body string) []byte {
	if utf8.ValidString(body) {
		b = appendString(append(b, `"body":`...), body)
		return append(b, `,"body_encoding":"utf8"`...)
	}
	b = append(b, `"body":"`...)
	b = base64.StdEncoding.AppendEncode(b, []byte(body))
	return append(b, `","body_encoding":"base64"`...)
}

// appendAttributes writes attributes as an object, each of them by text.
func appendAttributes(b []byte, list []queues.Attribute, text func([]byte, string) []byte) []byte {
	b = append(b, '{')
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = text(b, a.Name)
		b = append(b, `:{"type":`...)
		b = text(b, a.Type)
		b = append(b, `,"value":`...)
		if isBinary(a.Type) {
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, []byte(a.Value))
			b = append(b, '"')
		} else {
			b = text(b, a.Value)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendContent writes the members that every view of a message has. Without bodies it leaves out what tells of the body:
// a deduplication id may be its digest.
func appendContent(b []byte, m *queues.Message, bodies bool) []byte {
	deduplication := m.DeduplicationID
	if bodies {
		b = appendBody(b, m.Body)
	} else {
		b = append(b, `"body":null,"body_encoding":"utf8"`...)
		deduplication = ""
	}
	b = append(b, `,"content_type":`...)
	b = appendString(b, contentType(m))
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, int64(len(m.Body)), 10)
	b = append(b, `,"attributes":`...)
	b = appendAttributes(b, m.Attributes, appendString)
	b = appendTextOrNull(append(b, `,"group_id":`...), m.GroupID)
	b = appendTextOrNull(append(b, `,"deduplication_id":`...), deduplication)
	b = appendTextOrNull(append(b, `,"sequence_number":`...), m.SequenceNumber)
	b = append(b, `,"receive_count":`...)
	b = strconv.AppendInt(b, int64(m.ReceiveCount), 10)
	b = append(b, `,"failure_count":`...)
	b = strconv.AppendInt(b, int64(m.FailureCount), 10)
	b = append(b, `,"priority":`...)
	b = strconv.AppendInt(b, int64(m.Priority), 10)
	b = appendRetry(append(b, `,"retry":`...), m.Retry)
	b = appendTimeOrNull(append(b, `,"expires_at":`...), m.ExpiresAt)
	b = append(b, `,"sent_at":`...)
	b = appendTime(b, m.SentAt)
	b = append(b, `,"first_received_at":`...)
	b = appendTimeOrNull(b, m.FirstReceivedAt)
	if m.TraceParent != "" {
		b = append(b, `,"traceparent":`...)
		b = appendString(b, m.TraceParent)
	}
	if m.LastError != "" {
		b = appendString(append(b, `,"last_error":`...), m.LastError)
	}
	if m.Origin != nil {
		b = appendOrigin(append(b, `,"origin":`...), m.Origin)
	}
	return b
}

// appendOrigin writes a MessageOrigin.
func appendOrigin(b []byte, o *queues.Origin) []byte {
	b = appendTextOrNull(append(b, `{"queue":`...), o.Queue)
	if o.Topic != "" {
		b = appendString(append(b, `,"topic":`...), o.Topic)
		b = appendString(append(b, `,"subscription":`...), o.Subscription)
	}
	b = appendString(append(b, `,"reason":`...), string(o.Reason))
	b = appendTextOrNull(append(b, `,"error":`...), o.Error)
	b = appendTime(append(b, `,"left_at":`...), o.At)
	b = appendMessageID(append(b, `,"id":`...), o.ID)
	b = strconv.AppendInt(append(b, `,"receive_count":`...), int64(o.Receives), 10)
	return append(b, '}')
}

// contentType returns the type of a message's body. One that came by another door may have none.
func contentType(m *queues.Message) string {
	if m.ContentType == "" {
		return binaryMedia
	}
	return m.ContentType
}

// appendReceived writes a ReceivedMessage. base is the address of the queue's receipts with a slash behind it.
func appendReceived(b []byte, m *queues.Message, base string, asJSON bool) []byte {
	b = appendMessageID(append(b, `{"id":`...), m.ID)
	if m.ReceiptHandle == "" {
		b = append(b, `,"receipt_handle":null,"ack_url":null,`...)
	} else {
		b = append(b, `,"receipt_handle":"`...)
		b = append(b, m.ReceiptHandle...)
		b = append(b, `","ack_url":"`...)
		b = append(b, base...)
		b = append(b, m.ReceiptHandle...)
		b = append(b, `",`...)
	}
	b = appendContent(b, m, true)
	b = append(b, `,"lease_expires_at":`...)
	b = appendTimeOrNull(b, m.LeaseExpiresAt)
	if asJSON && isJSON(m.Body) {
		b = append(b, `,"json":`...)
		b = append(b, m.Body...)
	}
	return append(b, '}')
}

// appendPeeked writes a Message, with its body or without.
func appendPeeked(b []byte, m *queues.Message, bodies bool) []byte {
	b = appendMessageID(append(b, `{"id":`...), m.ID)
	b = append(b, `,"state":"`...)
	b = append(b, m.State...)
	b = append(b, `",`...)
	b = appendContent(b, m, bodies)
	b = append(b, `,"available_at":`...)
	b = appendTimeOrNull(b, m.AvailableAt)
	b = append(b, `,"lease_expires_at":`...)
	b = appendTimeOrNull(b, m.LeaseExpiresAt)
	b = appendTimeOrNull(append(b, `,"held_since":`...), m.HeldSince)
	b = appendTextOrNull(append(b, `,"held_by":`...), m.HeldBy)
	return append(b, '}')
}

// appendFound writes a MessagePage, with bodies or without.
func appendFound(b []byte, f *queues.Found, next string, bodies bool) []byte {
	b = append(b, `{"data":[`...)
	for i := range f.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPeeked(b, &f.Messages[i], bodies)
	}
	b = append(b, `],"next_cursor":`...)
	if next == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, next)
	}
	b = append(b, `,"scanned":{"messages":`...)
	b = strconv.AppendInt(b, int64(f.Looked), 10)
	b = append(b, `,"complete":`...)
	b = strconv.AppendBool(b, next == "")
	return append(b, "}}"...)
}

// appendSent writes a SentMessage.
func appendSent(b []byte, s *queues.Sent, size int, md5 [16]byte) []byte {
	b = appendMessageID(append(b, `{"id":`...), s.ID)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, `,"md5_of_body":"`...)
	b = hex.AppendEncode(b, md5[:])
	b = append(b, `","available_at":`...)
	b = appendTime(b, s.AvailableAt)
	b = appendTextOrNull(append(b, `,"sequence_number":`...), s.SequenceNumber)
	return append(b, '}')
}

// appendTextOrNull writes s as a JSON string, and null when there is none.
func appendTextOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

// appendProblem writes a failure inside a list of results.
func appendProblem(b []byte, p *Problem) []byte {
	text, err := marshal(p)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text[:len(text)-1]...) // without the line end
}

// appendResult writes the beginning of a result: what it is about, and its status.
func appendResult(b []byte, ref string, status int) []byte {
	b = appendString(append(b, `{"ref":`...), ref)
	b = append(b, `,"status":`...)
	return strconv.AppendInt(b, int64(status), 10)
}

// results writes the results of many items, and knows whether any of them failed.
type results struct {
	b      []byte
	n      int
	failed bool
	retry  time.Duration // the longest advice to wait among the failures
}

// begin writes what stands before an item.
func (r *results) begin(ref string, status int) {
	if r.n > 0 {
		r.b = append(r.b, ',')
	}
	r.n++
	r.b = appendResult(r.b, ref, status)
}

// fail writes an item that failed.
func (r *results) fail(ref string, e *errs.Error, p *Problem) {
	r.failed = true
	r.retry = max(r.retry, e.RetryAfter)
	r.begin(ref, p.Status)
	if p.MessageID != "" {
		r.b = append(r.b, `,"id":`...)
		r.b = appendString(r.b, p.MessageID)
	}
	r.b = append(r.b, `,"error":`...)
	r.b = append(appendProblem(r.b, p), '}')
}
