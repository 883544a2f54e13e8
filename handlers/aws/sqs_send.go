package aws

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Limits of SQS where they are narrower than those of queues.
const (
	maxEntries    = 10
	maxBatchBytes = 1 << 20
	maxEntryID    = 80
	maxDelay      = 900 // seconds
	maxToken      = 128 // characters of a group id or deduplication id
)

const (
	noGroup         = "The request must contain the parameter MessageGroupId."
	noDeduplication = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
	wrongType       = "The request includes a parameter that is not valid for this queue type."

	traceHeader = "AWSTraceHeader"
)

// outgoing is a message on its way in, with the digests by which the client sees that it has arrived whole.
type outgoing struct {
	queues.Outgoing
	system []attribute
	size   int // as SQS counts it, bytes
}

func (c *call) sendMessage() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	m, err := c.message(c.in, name)
	if err != nil {
		return err
	}
	if queues.IsFIFOName(name) && m.GroupID == "" {
		return errMissingParameter.with(noGroup)
	}
	sent, err := c.door.Queues.Send(c.ctx, c.owner, name, m.Outgoing)
	if err != nil {
		return c.sendFault(err, name, "One or more parameters are invalid.")
	}
	c.sent(&m, &sent)
	return nil
}

// sent writes what a client is told of a message that is stored.
func (c *call) sent(m *outgoing, s *queues.Sent) {
	sum := md5.Sum(m.Body)
	c.out.plainText("MD5OfMessageBody", hex.EncodeToString(sum[:]))
	if len(m.Attributes) > 0 {
		c.out.plainText("MD5OfMessageAttributes", digest(m.Attributes))
	}
	if len(m.system) > 0 {
		c.out.plainText("MD5OfMessageSystemAttributes", digest(stored(m.system)))
	}
	c.out.plainText("MessageId", s.ID.UUID())
	if s.SequenceNumber != "" {
		c.out.plainText("SequenceNumber", s.SequenceNumber)
	}
}

// sendFault returns why a message was not stored. begins is how a text about its size begins.
func (c *call) sendFault(err error, name, begins string) error {
	if !errors.Is(err, queues.ErrMessageTooLarge) {
		return err
	}
	most := queues.MaxMessageSize
	if set, err := c.door.Queues.Known(c.ctx, c.owner, name); err == nil {
		most = min(set.MaxMessageSize, int(c.ownerTerms.Limits[tenants.LimitMessageSize]))
	}
	return errInvalidParameter.with("%s Reason: Message must be shorter than %d bytes.", begins, most)
}

// message reads a message for the queue of the given name.
func (c *call) message(in input, name string) (outgoing, error) {
	var m outgoing
	body, ok := in.text("MessageBody")
	group, hasGroup := in.text("MessageGroupId")
	dedup, hasDedup := in.text("MessageDeduplicationId")
	delay, hasDelay := in.number("DelaySeconds")
	attributes := in.attributes(fieldMessageAttribute)
	m.system = in.attributes(fieldSystemAttribute)
	fifo := queues.IsFIFOName(name)
	err := c.flaw()
	switch {
	case err != nil:
	case !ok || body == "":
		err = errMissingParameter.with("The request must contain the parameter MessageBody.")
	case !isText(body):
		err = errContents.with("Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case hasGroup && !isToken(group):
		err = badToken(group, "MessageGroupId")
	case hasDedup && !isToken(dedup):
		err = badToken(dedup, "MessageDeduplicationId")
	case hasDedup && !fifo:
		err = invalidValue(dedup, "MessageDeduplicationId", wrongType)
	case hasDelay && (delay < 0 || delay > maxDelay):
		err = invalidValue(strconv.FormatInt(delay, 10), "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	case hasDelay && delay > 0 && fifo:
		err = invalidValue(strconv.FormatInt(delay, 10), "DelaySeconds", "The request include parameter that is not valid for this queue type.")
	}
	if err != nil {
		return m, err
	}
	m.Body, m.GroupID, m.DeduplicationID = []byte(body), group, dedup
	if hasDelay {
		d := time.Duration(delay) * time.Second
		m.Delay = &d
	}
	if err := checkAttributes(attributes); err != nil {
		return m, err
	}
	m.Attributes = stored(attributes)
	m.size = len(body)
	for _, a := range m.Attributes {
		m.size += len(a.Name) + len(a.Type) + len(a.Value)
	}
	if m.TraceParent, err = c.trace(m.system); err != nil {
		return m, err
	}
	return m, nil
}

// trace returns what connects the message with the trace of its sender: a system attribute, or the header of the request.
func (c *call) trace(system []attribute) (string, error) {
	trace := ""
	for i := range system {
		a := &system[i]
		if a.name != traceHeader {
			return "", invalidValue(a.name, "MessageSystemAttributes", "Only "+traceHeader+" is supported.")
		}
		if a.kind != "String" || a.text == "" || !isText(a.text) || len(a.text) > maxTrace {
			return "", invalidValue(a.text, traceHeader, "Must be a non-empty String of at most 256 characters.")
		}
		trace = a.text
	}
	if trace != "" {
		return trace, nil
	}
	if h := c.r.Header.Get("X-Amzn-Trace-Id"); len(h) <= maxTrace && isText(h) {
		return h, nil
	}
	return "", nil
}

const maxTrace = 256 // bytes, as queues keeps them

// checkAttributes refuses attributes in the words of SQS where clients know them. Queues checks the rest.
func checkAttributes(list []attribute) error {
	if len(list) > queues.MaxAttributes {
		return errInvalidParameter.with("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(list), queues.MaxAttributes)
	}
	for i := range list {
		a := &list[i]
		base, _, _ := strings.Cut(a.kind, ".")
		switch {
		case a.lists:
			return errUnsupported.with("Message attribute list values in SendMessage operation are not supported.")
		case a.kind == "":
			return errInvalidParameter.with("The message attribute '%s' must contain a non-empty message attribute type.", clip(a.name))
		case base == "Binary" && (a.hasText || a.binary == ""), base != "Binary" && (a.hasData || a.text == ""):
			return errInvalidParameter.with("Message (user) attribute '%s' must contain a non-empty value of type '%s'.", clip(a.name), clip(base))
		case base != "Binary" && !isText(a.text):
			return errInvalidParameter.with("The value of message (user) attribute '%s' contains invalid characters.", clip(a.name))
		}
	}
	return nil
}

// stored returns attributes as queues keeps them.
func stored(list []attribute) []queues.Attribute {
	if len(list) == 0 {
		return nil
	}
	out := make([]queues.Attribute, len(list))
	for i := range list {
		a := &list[i]
		out[i] = queues.Attribute{Name: a.name, Type: a.kind, Value: a.text}
		if a.hasData {
			out[i].Value = a.binary
		}
	}
	return out
}

// isToken reports whether s can be a group id or a deduplication id.
func isToken(s string) bool {
	ok := s != "" && len(s) <= maxToken
	for i := range len(s) {
		ok = ok && s[i] > ' ' && s[i] <= '~'
	}
	return ok
}

func badToken(s, name string) error {
	return invalidValue(s, name, name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
}

func invalidValue(s, name, reason string) *Fault {
	return errInvalidParameter.with("Value %s for parameter %s is invalid. Reason: %s", clip(s), name, reason)
}

func (c *call) sendMessageBatch() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	entries, ids, err := c.entries(fieldSends, "SendMessageBatch")
	if err != nil {
		return err
	}
	results := make([]failure, len(entries))
	messages := make([]outgoing, len(entries))
	batch := make([]queues.Outgoing, 0, len(entries))
	size, unkeyed := 0, false
	for i, in := range entries {
		m, err := c.message(in, name)
		if c.flaws.first != nil {
			return c.flaws.first // of the whole request
		}
		messages[i], results[i].id = m, ids[i]
		size += m.size
		if err != nil {
			results[i].fault = fault(err)
			continue
		}
		if queues.IsFIFOName(name) && m.GroupID == "" {
			return errInvalidParameter.with(noGroup)
		}
		unkeyed = unkeyed || m.DeduplicationID == ""
		batch = append(batch, m.Outgoing)
	}
	if size > maxBatchBytes {
		return errBatchTooLong.with("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBatchBytes, size)
	}
	if unkeyed && queues.IsFIFOName(name) {
		if err := c.canDerive(name); err != nil {
			return err
		}
	}
	var sent []queues.SendResult
	if len(batch) > 0 {
		if sent, err = c.door.Queues.SendBatch(c.ctx, c.owner, name, batch, false); err != nil {
			return err
		}
	} else if _, err := c.door.Queues.Known(c.ctx, c.owner, name); err != nil {
		return err
	}
	next := 0
	for i := range results {
		if results[i].fault != nil {
			continue
		}
		results[i].sent = &sent[next]
		if err := sent[next].Err; err != nil {
			results[i].fault = fault(c.sendFault(err, name, "One or more parameters cannot be validated."))
		}
		next++
	}
	c.results("SendMessageBatchResultEntry", results, func(i int) { c.sent(&messages[i], &results[i].sent.Sent) })
	return nil
}

// canDerive refuses a batch for a FIFO queue that has messages without a deduplication id and does not derive one from
// their bodies. In SQS all of such a batch fails.
func (c *call) canDerive(name string) error {
	set, err := c.door.Queues.Known(c.ctx, c.owner, name)
	if err != nil || set.FIFO.ContentBased {
		return err
	}
	q, err := c.door.Queues.Get(c.ctx, c.owner, name) // it may have changed
	if err != nil || q.Settings.FIFO.ContentBased {
		return err
	}
	return errInvalidParameter.with(noDeduplication)
}

// failure is what became of an entry of a batch: fault is nil if it is done.
type failure struct {
	id    string
	fault *Fault
	sent  *queues.SendResult // of a send
}

// entries reads the entries of a batch, and their ids.
func (c *call) entries(f field, action string) ([]input, []string, error) {
	list := c.in.list(f)
	if err := c.flaw(); err != nil {
		return nil, nil, err
	}
	switch n := len(list); {
	case n == 0:
		return nil, nil, errEmptyBatch.with("There should be at least one %sRequestEntry in the request.", action)
	case n > maxEntries:
		return nil, nil, errTooManyEntries.with("Maximum number of entries per request are %d. You have sent %d.", maxEntries, n)
	}
	ids := make([]string, len(list))
	for i, in := range list {
		id, ok := in.text("Id")
		switch {
		case !ok && c.flaws.first == nil:
			return nil, nil, errMissingParameter.with("The request must contain the parameter %sRequestEntry.%d.Id.", action, i+1)
		case !isEntryID(id):
			return nil, nil, errBatchEntryID.with("A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		for _, before := range ids[:i] {
			if before == id {
				return nil, nil, errIDsNotDistinct.with("Id %s repeated.", id)
			}
		}
		ids[i] = id
	}
	return list, ids, c.flaw()
}

func isEntryID(s string) bool {
	ok := s != "" && len(s) <= maxEntryID
	for i := range len(s) {
		ok = ok && (letter(s[i]) || s[i] >= '0' && s[i] <= '9' || s[i] == '-' || s[i] == '_')
	}
	return ok
}

// results writes what became of the entries of a batch; more writes more of one that is done.
func (c *call) results(element string, list []failure, more func(i int)) {
	var done, failed []int
	for i := range list {
		if list[i].fault == nil {
			done = append(done, i)
		} else {
			failed = append(failed, i)
		}
	}
	c.out.list("Successful", element, len(done), func(i int) {
		c.out.text("Id", list[done[i]].id)
		if more != nil {
			more(done[i])
		}
	})
	c.out.list("Failed", "BatchResultErrorEntry", len(failed), func(i int) {
		f := &list[failed[i]]
		c.out.text("Id", f.id)
		c.out.text("Code", f.fault.code)
		c.out.text("Message", f.fault.message)
		c.out.flag("SenderFault", f.fault.bySender())
	})
}
