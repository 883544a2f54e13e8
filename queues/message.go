package queues

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// State is where a message is.
type State string

// The states that a consumer can tell apart.
const (
	Available State = "available" // a receive can return it
	InFlight  State = "in_flight" // someone holds it
	Delayed   State = "delayed"   // it waits for its time
)

// Outgoing is a message to be stored. The queue does not keep the slices.
type Outgoing struct {
	Body        []byte
	ContentType string // as the sender gave it, or ""
	Attributes  []Attribute
	TraceParent string         // W3C trace context, or ""
	Delay       *time.Duration // nil: the queue's own
	// IdempotencyKey makes a second send of the same message within five minutes return the first one. "": no key.
	IdempotencyKey string
	// GroupID names the group that the message belongs to. A FIFO queue needs one; in a standard queue groups take turns.
	GroupID string
	// DeduplicationID makes a FIFO queue take a second message with the same one for the first.
	DeduplicationID string
	// Retry is the message's own retry policy. nil: the queue's.
	Retry *Retry
	// Priority is 0 to 9. In a standard queue each step gives the message a head start; see Settings.PriorityStep.
	Priority int
	// TTL is how long the message lives; 1 s to the queue's retention. 0: as long as the retention. It ends then unless
	// somebody holds it, and in that case when the lease does, unless it is acknowledged.
	TTL time.Duration
	// Subject is what the log of a topic keeps for subscriptions whose format has one. No queue keeps it.
	Subject string
	// HTTP and HTTPS are what the log of a topic keeps for web endpoints with URLs of these schemes in the place of the body. "": the
	// body. No queue keeps them.
	HTTP, HTTPS string
	// Hops is how many topics have got the message from another topic or a queue; see package topics. Clients do not set it.
	Hops int
}

// Attribute is a typed value beside the body.
type Attribute struct {
	Name  string
	Type  string // String, Number or Binary, also with a label behind a dot as in "Number.int"
	Value string // of Binary the bytes themselves
}

// Message is a message as it is stored.
type Message struct {
	ID              engine.ID
	Body            string // the bytes that were sent
	ContentType     string
	Attributes      []Attribute
	TraceParent     string
	State           State
	SentAt          time.Time
	ReceiveCount    int       // how often it was received and not returned unseen
	FailureCount    int       // how often it came back, returned or timed out
	FirstReceivedAt time.Time // zero: never
	AvailableAt     time.Time // of a delayed message
	LeaseExpiresAt  time.Time // of one in flight
	HeldSince       time.Time // of one in flight, as a look at it shows it: when it was received
	HeldBy          string    // likewise: what its consumer calls itself; "": it gave no name
	ReceiptHandle   string    // only as the answer of a receive that lends
	GroupID         string    // "": it belongs to none
	// DeduplicationID and SequenceNumber, 20 digits, are those of a message in a FIFO queue. Sequence numbers grow with
	// each message of the queue.
	DeduplicationID string
	SequenceNumber  string
	// Origin says where the message came from; nil for one that was sent to this queue.
	Origin *Origin
	// LastError is what a consumer said of the message when it returned it last, or "".
	LastError string
	Retry     *Retry    // its own retry policy; nil: the queue's
	Priority  int       // 0 to 9
	ExpiresAt time.Time // its own end; zero: it has none
	Hops      int       // as in Outgoing
}

// outgoing returns the message as it would be sent again. A deduplication id that follows from the body stays out.
func (m *Message) outgoing() Outgoing {
	o := Outgoing{Body: []byte(m.Body), ContentType: m.ContentType, Attributes: m.Attributes, TraceParent: m.TraceParent, GroupID: m.GroupID, Hops: m.Hops}
	if m.DeduplicationID != "" && m.DeduplicationID != contentID([]byte(m.Body)) {
		o.DeduplicationID = m.DeduplicationID
	}
	return o
}

// Formats of a record, its first byte. What follows the stamp of a plain record is, in this order: a byte that says
// which parts there are, the parts, the body.
const (
	partContentType = 1 << iota // a byte below 128 of a known type, or 128 + length and the text
	partAttributes              // count, then name, type and value of each, with their lengths
	partTrace                   // length and text
	partGroup                   // length and text
	partDedup                   // length and text of the deduplication id, where it was not derived from the body
	partOrigin                  // see appendOrigin
	partMore        = 1 << 7    // a byte that says which of the options there are, and those
)

// The options of a message, in this order.
const (
	optionRetry    = 1 << iota // length and text of its own retry policy
	optionPriority             // a byte
	optionTTL                  // milliseconds that it lives
	optionSubject              // length and text, only in the log of a topic
	optionHops                 // a byte: how many topics have got it from another topic or a queue
	optionWeb                  // length and text for HTTP, and those for HTTPS; only in the log of a topic
)

const (
	stampSize   = 7 // written by the scripts: format and time sent
	placedStamp = stampSize + groupSize + placeSize
)

// knownTypes are content types that take one byte. Append only: their numbers are stored.
var knownTypes = []string{
	"application/json", "text/plain; charset=utf-8", "application/octet-stream", "text/plain", "application/xml",
}

// appendRecord packs m behind dst, without the stamp. origin is that of a message from another queue, or nil.
func appendRecord(dst []byte, m *Outgoing, origin *Origin) []byte {
	flags := byte(0)
	if m.ContentType != "" {
		flags |= partContentType
	}
	if len(m.Attributes) > 0 {
		flags |= partAttributes
	}
	if m.TraceParent != "" {
		flags |= partTrace
	}
	if m.GroupID != "" {
		flags |= partGroup
	}
	if m.DeduplicationID != "" || m.GroupID != "" && m.IdempotencyKey != "" {
		flags |= partDedup
	}
	if origin != nil {
		flags |= partOrigin
	}
	options := m.options()
	if options != 0 {
		flags |= partMore
	}
	dst = append(dst, flags)
	if m.ContentType != "" {
		dst = appendType(dst, m.ContentType)
	}
	if len(m.Attributes) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(m.Attributes)))
		for _, a := range m.Attributes {
			dst = appendText(appendText(appendText(dst, a.Name), a.Type), a.Value)
		}
	}
	if m.TraceParent != "" {
		dst = appendText(dst, m.TraceParent)
	}
	if flags&partGroup != 0 {
		dst = appendText(dst, m.GroupID)
	}
	if flags&partDedup != 0 {
		dst = appendText(dst, m.DeduplicationID)
	}
	if origin != nil {
		dst = appendOrigin(dst, origin)
	}
	if options != 0 {
		dst = append(dst, options)
	}
	if m.Retry != nil {
		dst = appendText(dst, m.Retry.encode())
	}
	if m.Priority != 0 {
		dst = append(dst, byte(m.Priority))
	}
	if m.TTL != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.TTL.Milliseconds()))
	}
	if m.Subject != "" {
		dst = appendText(dst, m.Subject)
	}
	if m.Hops != 0 {
		dst = append(dst, byte(m.Hops))
	}
	if options&optionWeb != 0 {
		dst = appendText(appendText(dst, m.HTTP), m.HTTPS)
	}
	return append(dst, m.Body...)
}

// options says which options a message has.
func (m *Outgoing) options() byte {
	options := byte(0)
	if m.Retry != nil {
		options |= optionRetry
	}
	if m.Priority != 0 {
		options |= optionPriority
	}
	if m.TTL != 0 {
		options |= optionTTL
	}
	if m.Subject != "" {
		options |= optionSubject
	}
	if m.Hops != 0 {
		options |= optionHops
	}
	if m.HTTP != "" || m.HTTPS != "" {
		options |= optionWeb
	}
	return options
}

// extra is what the scripts must know of a message and do not look for in its record: as in a side record, see
// docs/redis.md.
func (m *Outgoing) extra() string {
	extra := ""
	if m.Retry != nil {
		extra = ",r" + m.Retry.encode()
	}
	if m.Priority != 0 {
		extra += ",p" + strconv.Itoa(m.Priority)
	}
	return extra
}

func appendType(dst []byte, t string) []byte {
	for i, known := range knownTypes {
		if t == known {
			return append(dst, byte(i))
		}
	}
	return append(append(dst, 128+byte(len(t))), t...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errRecord = errors.New("the record is damaged")

// filed is what a record says besides the message.
type filed struct {
	place string // group and place, as lua/lib/groups.lua packs them; "" for a message that belongs to no group
	keyed bool   // the deduplication id was not derived from the body
	// Those of a message in the log of a topic; see Outgoing.
	subject, http, https string
}

// parseRecord unpacks a stored record with its stamp. The texts share its memory.
func parseRecord(rec string, m *Message) (filed, error) {
	var f filed
	size := stampSize
	if rec != "" && rec[0] == 1 {
		size = placedStamp
	}
	if len(rec) <= size || rec[0] > 1 {
		return f, errRecord
	}
	ms := int64(0)
	for i := 1; i < stampSize; i++ {
		ms = ms<<8 | int64(rec[i])
	}
	m.SentAt = time.UnixMilli(ms).UTC()
	f.place = rec[stampSize:size]
	flags, r := rec[size], recordReader{rest: rec[size+1:]}
	if flags&partContentType != 0 {
		m.ContentType = r.contentType()
	}
	if flags&partAttributes != 0 {
		n := r.number()
		if n > MaxAttributes {
			return f, errRecord
		}
		m.Attributes = make([]Attribute, n)
		for i := range m.Attributes {
			m.Attributes[i] = Attribute{Name: r.text(), Type: r.text(), Value: r.text()}
		}
	}
	if flags&partTrace != 0 {
		m.TraceParent = r.text()
	}
	if flags&partGroup != 0 {
		m.GroupID = r.text()
	}
	if flags&partDedup != 0 {
		m.DeduplicationID, f.keyed = r.text(), true
	}
	if flags&partOrigin != 0 {
		m.Origin = r.origin()
	}
	if flags&partMore != 0 {
		r.options(m, &f)
	}
	m.Body = r.rest
	if r.failed {
		return f, errRecord
	}
	return f, nil
}

// options reads the options of a message.
func (r *recordReader) options(m *Message, f *filed) {
	b := r.take(1)
	if b == "" {
		return
	}
	if b[0]&optionRetry != 0 {
		policy, ok := parseRetry(r.text())
		r.failed = r.failed || !ok
		m.Retry = &policy
	}
	if b[0]&optionPriority != 0 {
		if p := r.take(1); p != "" {
			m.Priority = int(p[0])
		}
	}
	if b[0]&optionTTL != 0 {
		m.ExpiresAt = m.SentAt.Add(time.Duration(r.number()) * time.Millisecond)
	}
	if b[0]&optionSubject != 0 {
		f.subject = r.text()
	}
	if b[0]&optionHops != 0 {
		if n := r.take(1); n != "" {
			m.Hops = int(n[0])
		}
	}
	if b[0]&optionWeb != 0 {
		f.http, f.https = r.text(), r.text()
	}
}

type recordReader struct {
	rest   string
	failed bool
}

func (r *recordReader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.failed, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *recordReader) contentType() string {
	b := r.take(1)
	switch {
	case b == "":
		return ""
	case b[0] >= 128:
		return r.take(int(b[0]) - 128)
	case int(b[0]) < len(knownTypes):
		return knownTypes[b[0]]
	}
	r.failed = true
	return ""
}

func (r *recordReader) number() int {
	n, shift := 0, 0
	for {
		b := r.take(1)
		if b == "" || shift > 28 {
			r.failed = true
			return 0
		}
		n |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return n
		}
		shift += 7
	}
}

func (r *recordReader) text() string { return r.take(r.number()) }

// long reads a number that may be a time in milliseconds.
func (r *recordReader) long() int64 {
	n, shift := int64(0), 0
	for {
		b := r.take(1)
		if b == "" || shift > 56 {
			r.failed = true
			return 0
		}
		n |= int64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return n
		}
		shift += 7
	}
}

const maxContentType = 127

// The rules for attributes are those of SQS, so that a message that came by one door can leave by the other.
var (
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	attributeType = regexp.MustCompile(`^(String|Number|Binary)(\.[^\x00-\x1f]{1,249})?$`)
	numberValue   = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$`)
)

const (
	maxAttributeName = 256
	maxNumberDigits  = 38
	minNumber        = 1e-128 // of what is not zero, without its sign
	maxNumber        = 1e126
)

// size is how many bytes a message has with its attributes.
func (m *Outgoing) size() int {
	size := len(m.Body)
	for _, a := range m.Attributes {
		size += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return size
}

// Validate checks a message against a queue's settings. Errors point at the part at fault.
func (m *Outgoing) Validate(s Settings) error {
	if err := m.validateGroup(s); err != nil {
		return err
	}
	return m.validateContent(s)
}

// validateContent is Validate without what concerns groups and deduplication.
func (m *Outgoing) validateContent(s Settings) error {
	size := m.size()
	seen := map[string]bool{}
	if len(m.Attributes) > MaxAttributes {
		return errs.Invalidf("/attributes", "A message has at most %d attributes, got %d.", MaxAttributes, len(m.Attributes))
	}
	for _, a := range m.Attributes {
		pointer := "/attributes/" + pointerEscape(a.Name)
		if err := a.validate(pointer); err != nil {
			return err
		}
		if seen[a.Name] {
			return errs.Invalidf(pointer, "Attribute %q is given twice.", a.Name)
		}
		seen[a.Name] = true
	}
	if size > s.MaxMessageSize {
		e := *ErrMessageTooLarge
		e.Message = fmt.Sprintf("The message has %d bytes with its attributes; this queue takes at most %d.", size, s.MaxMessageSize)
		return &e
	}
	if len(m.ContentType) > maxContentType {
		return errs.Invalidf("", "The content type has %d characters, at most %d are kept.", len(m.ContentType), maxContentType)
	}
	if len(m.TraceParent) > 256 {
		return errs.Invalidf("", "The traceparent has %d characters, at most 256 are kept.", len(m.TraceParent))
	}
	if len(m.IdempotencyKey) > 255 {
		return errs.Invalidf("", "An Idempotency-Key has at most 255 characters, got %d.", len(m.IdempotencyKey))
	}
	if m.Retry != nil {
		if bad := m.Retry.validate("/retry"); len(bad) > 0 {
			return &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Fields: bad,
				Message: "The retry policy of the message is not allowed: " + bad[0].Pointer + " " + bad[0].Message + "."}
		}
	}
	if err := m.validateTTL(s); err != nil {
		return err
	}
	if err := m.validateForTopic(s); err != nil {
		return err
	}
	switch {
	case m.Priority < 0 || m.Priority > MaxPriority:
		return errs.Invalidf("/priority", "A priority is 0 to %d, got %d.", MaxPriority, m.Priority)
	case m.Priority > 0 && s.IsFIFO():
		return errs.Invalidf("/priority", "The messages of a FIFO queue are received in the order of their sends; they have no priority.")
	case m.Priority > 0 && m.GroupID != "":
		return errs.Invalidf("/priority", "A message that belongs to a group has no priority: groups take turns. Give it a group or a priority.")
	}
	if m.Delay != nil && (*m.Delay < 0 || *m.Delay > s.Retention) {
		return errs.Invalidf("/delay", "The delay must be 0 to %d seconds, the queue's retention, got %g.",
			int(s.Retention.Seconds()), m.Delay.Seconds())
	}
	return nil
}

// validateTTL refuses an end that retention would not let a message reach, and one before it could be received.
func (m *Outgoing) validateTTL(s Settings) error {
	delay := s.Delay
	if m.Delay != nil {
		delay = *m.Delay
	}
	switch {
	case m.TTL == 0:
		return nil
	case m.TTL < MinTTL || m.TTL > s.Retention:
		return errs.Invalidf("/ttl", "A message lives for %d to %d seconds, the queue's retention, got %g.",
			int(MinTTL.Seconds()), int(s.Retention.Seconds()), m.TTL.Seconds())
	case delay >= m.TTL:
		return errs.Invalidf("/ttl", "A message that lives for %g seconds and is delayed for %g could never be received.", m.TTL.Seconds(), delay.Seconds())
	}
	return nil
}

func (a Attribute) validate(pointer string) error {
	lower := strings.ToLower(a.Name)
	switch {
	case !IsAttributeName(a.Name):
		return errs.Invalidf(pointer, "An attribute's name has 1 to %d letters, digits, - and _, and single dots inside it; got %q.", maxAttributeName, a.Name)
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return errs.Invalidf(pointer, "Attribute names must not start with AWS. or Amazon.; got %q.", a.Name)
	case !attributeType.MatchString(a.Type):
		return errs.Invalidf(pointer, "An attribute's type is String, Number or Binary, with a label behind a dot if you like; got %q.", a.Type)
	case a.Value == "":
		return errs.Invalidf(pointer, "Attribute %q must have a value that is not empty.", a.Name)
	case strings.HasPrefix(a.Type, "Number") && !isNumber(a.Value):
		return errs.Invalidf(pointer, "Attribute %q is of type Number; its value must be a decimal number with at most %d digits, zero or from %g to %g without its sign.",
			a.Name, maxNumberDigits, minNumber, maxNumber)
	}
	return nil
}

// IsAttributeName reports whether an attribute can have a name: 1 to 256 letters, digits, - and _, and single dots inside it.
func IsAttributeName(s string) bool {
	return len(s) <= maxAttributeName && attributeName.MatchString(s)
}

func isNumber(s string) bool {
	if !numberValue.MatchString(s) {
		return false
	}
	digits, zero := 0, true
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	for _, c := range mantissa {
		if c >= '0' && c <= '9' {
			digits++
			zero = zero && c == '0'
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	v = math.Abs(v)
	return digits <= maxNumberDigits && (zero || err == nil && v >= minNumber && v <= maxNumber)
}
