package aws

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// bodyEncoding is the attribute of a message whose body the protocols cannot carry as text: it comes as base64.
const bodyEncoding = "Sluice-Body-Encoding"

// letInFor is how long a receive may wait before it is asked again, with its messages in hand, whether its key and its
// tenant may still act.
const letInFor = time.Second

// systemAttributes are the attributes of a received message that a client may ask for.
var systemAttributes = []string{
	"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "MessageGroupId",
	"MessageDeduplicationId", "SequenceNumber", traceHeader, "DeadLetterQueueSourceArn",
}

// wanted is what of a message a client asks for.
type wanted struct {
	system     []string
	attributes []string
}

func (c *call) receiveMessage() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	opt, want, err := c.receiveOptions(name)
	if err != nil {
		return err
	}
	if opt.Wait == nil || *opt.Wait > 0 { // without a word the queue decides, which may mean to wait
		defer c.door.waiting.Add(-1)
		leave, err := c.door.Crowd.Enter(c.who.Tenant, c.terms)
		defer leave()
		if err != nil || c.door.waiting.Add(1) > int64(c.door.MaxWaitingReceives) {
			none := time.Duration(0)
			opt.Wait = &none
		}
	}
	begun := c.door.Clock.Now()
	messages, err := c.door.Queues.Receive(c.ctx, c.owner, name, opt)
	if err != nil {
		return err
	}
	if len(messages) > 0 && c.door.Clock.Now().Sub(begun) >= letInFor {
		t := c.owner
		if err := c.recheck(); err != nil {
			c.door.Queues.Unreceive(context.WithoutCancel(c.ctx), t, name, messages)
			return err
		}
	}
	c.out.list("Messages", "Message", len(messages), func(i int) { c.received(&messages[i], want) })
	if len(messages) > 0 {
		c.deliver = func(sent bool) {
			if !sent {
				c.door.Queues.Unreceive(context.WithoutCancel(c.ctx), c.owner, name, messages)
				c.door.Logger.Debug("a consumer has gone; its messages are back", "queue", name, "count", len(messages))
			}
		}
	}
	return nil
}

func (c *call) receiveOptions(name string) (queues.ReceiveOptions, wanted, error) {
	opt := queues.ReceiveOptions{Max: 1}
	most, hasMax := c.in.number("MaxNumberOfMessages")
	wait, hasWait := c.in.number("WaitTimeSeconds")
	visibility, hasVisibility := c.in.number("VisibilityTimeout")
	attempt, hasAttempt := c.in.text("ReceiveRequestAttemptId")
	want := wanted{
		system:     append(c.in.texts(fieldAttributeNames), c.in.texts(fieldSystemNames)...),
		attributes: c.in.texts(fieldMessageNames),
	}
	err := c.flaw()
	switch {
	case err != nil:
	case hasMax && (most < 1 || most > maxEntries):
		err = invalidValue(strconv.FormatInt(most, 10), "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	case hasWait && (wait < 0 || wait > int64(queues.MaxWait.Seconds())):
		err = invalidValue(strconv.FormatInt(wait, 10), "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	case hasVisibility && !isVisibility(visibility):
		err = badVisibility(visibility)
	case hasAttempt && !queues.IsFIFOName(name):
		err = invalidValue(attempt, "ReceiveRequestAttemptId", wrongType)
	case hasAttempt && !isToken(attempt):
		err = badToken(attempt, "ReceiveRequestAttemptId")
	}
	if err != nil {
		return opt, want, err
	}
	for _, n := range want.system {
		if !slices.Contains(systemAttributes, n) && !isQueueAttribute(n) {
			return opt, want, errAttributeName.with("Unknown Attribute %s.", clip(n))
		}
	}
	if hasMax {
		opt.Max = int(most)
	}
	opt.Wait, opt.VisibilityTimeout = seconds(wait, hasWait), seconds(visibility, hasVisibility)
	opt.AttemptID, opt.Consumer = attempt, appOf(c.r.UserAgent())
	return opt, want, nil
}

// appOf returns what a client calls its application: SDKs write "app/" and the name into User-Agent where AWS_SDK_UA_APP_ID or the
// option of that name says it. "": it does not say, or not in a way that a consumer may call itself.
func appOf(agent string) string {
	for part := range strings.FieldsSeq(agent) {
		if name, ok := strings.CutPrefix(part, "app/"); ok && queues.ValidConsumer(name) {
			return name
		}
	}
	return ""
}

func seconds(n int64, given bool) *time.Duration {
	if !given {
		return nil
	}
	d := time.Duration(n) * time.Second
	return &d
}

func isVisibility(n int64) bool { return n >= 0 && n <= int64(queues.MaxVisibilityTimeout.Seconds()) }

func badVisibility(n int64) error {
	return invalidValue(strconv.FormatInt(n, 10), "VisibilityTimeout", "Must be between 0 and 43200.")
}

// received writes a message.
func (c *call) received(m *queues.Message, want wanted) {
	body, attributes := m.Body, want.of(m.Attributes)
	if !isText(body) {
		body = base64.StdEncoding.EncodeToString([]byte(body))
		attributes = append(attributes, queues.Attribute{Name: bodyEncoding, Type: "String", Value: "base64"})
	}
	sum := md5.Sum([]byte(body))
	c.out.plainText("MessageId", m.ID.UUID())
	c.out.plainText("ReceiptHandle", m.ReceiptHandle)
	c.out.plainText("MD5OfBody", hex.EncodeToString(sum[:]))
	c.out.text("Body", body)
	c.out.table(fieldAttributes, c.system(m, want.system))
	if len(attributes) > 0 {
		shown := make([]attribute, len(attributes))
		for i, a := range attributes {
			shown[i] = attribute{name: a.Name, kind: a.Type, text: a.Value}
			if isBinary(a.Type) {
				shown[i].binary, shown[i].hasData = a.Value, true
			}
		}
		c.out.attributes(shown)
		c.out.plainText("MD5OfMessageAttributes", digest(attributes))
	}
}

// of returns those of a message's attributes that are asked for. One that was sent as text and is none, which REST allows,
// is shown as the bytes that it is.
func (w wanted) of(list []queues.Attribute) []queues.Attribute {
	if len(w.attributes) == 0 {
		return nil
	}
	var out []queues.Attribute
	for _, a := range list {
		if !slices.ContainsFunc(w.attributes, func(name string) bool { return asksFor(name, a.Name) }) {
			continue
		}
		if !isBinary(a.Type) && !isText(a.Value) {
			a.Type = "Binary"
		}
		out = append(out, a)
	}
	return out
}

// asksFor reports whether what a client named means an attribute: All, .*, *, its name, or how it begins with .* behind.
func asksFor(wanted, name string) bool {
	if wanted == "All" || wanted == "*" || wanted == name {
		return true
	}
	begin, ok := strings.CutSuffix(wanted, ".*")
	return ok && strings.HasPrefix(name, begin)
}

// system returns the attributes of a message that the service gave it, as far as they are asked for.
func (c *call) system(m *queues.Message, asked []string) []pair {
	if len(asked) == 0 {
		return nil
	}
	all := slices.Contains(asked, "All")
	list := make([]pair, 0, 8)
	add := func(name, value string) {
		if value != "" && (all || slices.Contains(asked, name)) {
			list = append(list, pair{name, value})
		}
	}
	add("SenderId", c.ownerAccount)
	add("SentTimestamp", millis(m.SentAt))
	add("ApproximateReceiveCount", strconv.Itoa(m.ReceiveCount))
	add("ApproximateFirstReceiveTimestamp", millis(m.FirstReceivedAt))
	add("MessageGroupId", m.GroupID)
	add("MessageDeduplicationId", m.DeduplicationID)
	add("SequenceNumber", m.SequenceNumber)
	if !isTraceParent(m.TraceParent) {
		add(traceHeader, m.TraceParent)
	}
	if o := m.Origin; o != nil && o.Queue != "" && o.Reason != queues.Moved {
		add("DeadLetterQueueSourceArn", c.arn(o.Queue))
	}
	return list
}

// isTraceParent reports whether s is a trace context as REST takes it, which no client of SQS knows.
func isTraceParent(s string) bool { return len(s) > 2 && s[2] == '-' }

func millis(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
