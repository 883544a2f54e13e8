package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

const (
	tooLong              = "Invalid parameter: Message too long"
	noTopicGroup         = "Invalid parameter: The MessageGroupId parameter is required for FIFO topics"
	noTopicDeduplication = "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"

	maxSubject = 100 // characters, and there must be fewer

	// protocolDefault is the key of a message by protocols for those that it does not name.
	protocolDefault = "default"
)

// publication is a message on its way to a topic.
type publication struct {
	queues.Outgoing
	size int // as SNS counts it, bytes
}

func (c *call) publish() error {
	name, err := c.target()
	if err != nil {
		return err
	}
	p, err := c.publication(c.in, name)
	if err == nil && p.size > topics.MaxMessageSize {
		err = errParameter.with(tooLong)
	}
	if err != nil {
		return err
	}
	sent, err := c.door.Topics.Publish(c.ctx, c.owner, name, p.Outgoing)
	if err != nil {
		return err
	}
	c.published(name, &sent)
	return nil
}

// target returns the topic to which to publish.
func (c *call) target() (string, error) {
	if _, ok := c.in.text("PhoneNumber"); ok {
		return "", parameter("PhoneNumber Reason: SMS is not supported here")
	}
	if arn, _ := c.in.text("TargetArn"); arn != "" {
		if topic, _ := c.in.text("TopicArn"); topic != "" {
			return "", parameter("TopicArn Reason: a message has either a TopicArn or a TargetArn")
		}
		if strings.Contains(arn, ":endpoint/") {
			return "", parameter("TargetArn Reason: No endpoint found for the target arn specified")
		}
		return c.topicIn("TargetArn")
	}
	return c.topicIn("TopicArn")
}

func (c *call) published(name string, p *topics.Published) {
	c.out.text("MessageId", p.ID.UUID())
	if topics.IsFIFOName(name) {
		c.out.text("SequenceNumber", fmt.Sprintf("%020d", p.Sequence))
	}
}

// publication reads a message for the topic of the given name.
func (c *call) publication(in input, name string) (publication, error) {
	var p publication
	message, _ := in.text("Message")
	subject, hasSubject := in.text("Subject")
	structure, _ := in.text("MessageStructure")
	group, hasGroup := in.text("MessageGroupId")
	dedup, hasDedup := in.text("MessageDeduplicationId")
	attributes := in.attributes(fieldMessageEntries)
	fifo := topics.IsFIFOName(name)
	err := c.flaw()
	switch {
	case err != nil:
	case message == "":
		err = parameter("Empty message")
	case !isText(message):
		err = parameter("Message Reason: it has characters that XML cannot carry")
	case hasSubject && !isSubject(subject):
		err = parameter("Subject")
	case fifo && !hasGroup:
		err = errParameter.with(noTopicGroup)
	case hasGroup && !isToken(group):
		err = badTopicToken("MessageGroupId")
	case hasDedup && !fifo:
		err = parameter("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case hasDedup && !isToken(dedup):
		err = badTopicToken("MessageDeduplicationId")
	case structure != "" && structure != "json":
		err = parameter("MessageStructure")
	}
	if err == nil {
		err = checkPublished(attributes)
	}
	if err != nil {
		return p, err
	}
	p.Attributes, p.Subject, p.GroupID, p.DeduplicationID = stored(attributes), subject, group, dedup
	p.size = len(message)
	for _, a := range p.Attributes {
		p.size += len(a.Name) + len(a.Type) + len(a.Value)
	}
	if h := c.r.Header.Get("X-Amzn-Trace-Id"); len(h) <= maxTrace && isText(h) {
		p.TraceParent = h
	}
	if structure == "json" {
		return p, p.byProtocol(message)
	}
	p.Body = []byte(message)
	return p, nil
}

// byProtocol reads a message that says something else to each protocol. What web endpoints get is kept only where it is not what
// queues get.
func (p *publication) byProtocol(message string) error {
	var all map[string]any
	if json.Unmarshal([]byte(message), &all) != nil || all == nil {
		return parameter("Message Structure - JSON message body failed to parse")
	}
	usual, ok := all[protocolDefault].(string)
	if !ok {
		return parameter("Message Structure - No default entry in JSON message body")
	}
	texts := map[string]string{}
	for _, protocol := range []string{"sqs", "http", "https"} {
		text, ok := all[protocol].(string)
		if !ok {
			text = usual
		}
		if text == "" || !isText(text) {
			return parameter("Empty message")
		}
		texts[protocol] = text
	}
	p.Body = []byte(texts["sqs"])
	if texts["http"] != texts["sqs"] {
		p.HTTP = texts["http"]
	}
	if texts["https"] != texts["sqs"] {
		p.HTTPS = texts["https"]
	}
	return nil
}

func badTopicToken(name string) error {
	return parameter("The %s parameter can only include alphanumeric and punctuation characters. 1 to 128 in length.", name)
}

func isSubject(s string) bool {
	return s != "" && utf8.RuneCountInString(s) < maxSubject && isText(s) && !strings.ContainsAny(s, "\r\n")
}

// checkPublished refuses attributes in the words of SNS where clients know them. Queues checks the rest.
func checkPublished(list []attribute) error {
	if len(list) > queues.MaxAttributes {
		return parameter("MessageAttributes Reason: a message has at most %d attributes here", queues.MaxAttributes)
	}
	for i := range list {
		a := &list[i]
		base, _, _ := strings.Cut(a.kind, ".")
		switch {
		case !queues.IsAttributeName(a.name):
			return errParameterValue.with("The name of message attribute '%s' has to be 1 to 256 letters, digits, hyphens, underscores and single dots inside it.", clip(a.name))
		case a.kind == "":
			return errValidation.with("1 validation error detected: Value null at 'messageAttributes.%s.member.dataType' failed to satisfy constraint: Member must not be null", clip(a.name))
		case !slices.Contains([]string{"String", "Number", "Binary"}, base):
			return parameter("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", clip(a.name))
		case base == "Binary" && (a.hasText || a.binary == ""), base != "Binary" && (a.hasData || a.text == ""):
			return errParameterValue.with("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", clip(a.name), clip(a.kind))
		case base != "Binary" && !isText(a.text):
			return errParameterValue.with("The value of message attribute '%s' contains invalid characters.", clip(a.name))
		}
	}
	return nil
}

// publishBatch publishes up to ten messages, all or none: what is wrong with one is wrong with the request, as in SNS.
func (c *call) publishBatch() error {
	name, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	entries, ids, err := c.publishEntries()
	if err != nil {
		return err
	}
	batch, size := make([]queues.Outgoing, len(entries)), 0
	for i, in := range entries {
		p, err := c.publication(in, name)
		if err != nil {
			return err
		}
		batch[i] = p.Outgoing
		size += p.size
	}
	if size > topics.MaxMessageSize {
		return errBatchTooLong.with("The length of all the messages put together is more than the limit.")
	}
	sent, err := c.door.Topics.PublishBatch(c.ctx, c.owner, name, batch, true)
	for i := range sent {
		if err == nil {
			err = sent[i].Err
		}
	}
	if err != nil {
		return err
	}
	c.out.members("Successful", len(sent), func(i int) {
		c.out.text("Id", ids[i])
		c.published(name, &sent[i].Published)
	})
	c.out.members("Failed", 0, nil)
	return nil
}

// publishEntries reads the entries of a batch, and their ids.
func (c *call) publishEntries() ([]input, []string, error) {
	list := c.in.list(fieldPublishes)
	if err := c.flaw(); err != nil {
		return nil, nil, err
	}
	switch n := len(list); {
	case n == 0:
		return nil, nil, errEmptyBatch.with("The batch request doesn't contain any entries.")
	case n > maxEntries:
		return nil, nil, errTooManyEntries.with("The batch request contains more entries than permissible.")
	}
	ids := make([]string, len(list))
	for i, in := range list {
		id, _ := in.text("Id")
		switch {
		case len(id) > maxEntryID:
			return nil, nil, errBatchEntryID.with("The Id of a batch entry in a batch request is too long: %s", clip(id))
		case !isEntryID(id):
			return nil, nil, errBatchEntryID.with("The Id of a batch entry in a batch request contains an impermissible character: %s", clip(id))
		case slices.Contains(ids[:i], id):
			return nil, nil, errIDsNotDistinct.with("Two or more batch entries in the request have the same Id.")
		}
		ids[i] = id
	}
	return list, ids, nil
}
