package aws_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
)

// redrivePolicy is one that leads to a queue.
func (h *doorTest) redrivePolicy(queue string) string {
	return `{"deadLetterTargetArn":"` + h.arn(queue) + `"}`
}

func TestN58_ASubscriptionHasADeadLetterQueue(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q, dead := h.topic(nil), h.queue(nil), h.queue(nil)
	sub := h.subscribe(topic, q, map[string]string{"RedrivePolicy": h.redrivePolicy(dead)})
	shown := func(want string) {
		t.Helper()
		diff(t, "what is shown", want, h.attributesOf(sub)["RedrivePolicy"])
	}
	set := func(value string) *answer {
		return h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RedrivePolicy", "AttributeValue", value)
	}
	shown(h.redrivePolicy(dead))
	diff(t, "the same again", sub, h.subscribing(topic, h.arn(q), "RedrivePolicy", ` { "deadLetterTargetArn" : "`+h.arn(dead)+`" } `).between("<SubscriptionArn>", "</SubscriptionArn>"))
	other := h.queue(nil)
	h.subscribing(topic, h.arn(q), "RedrivePolicy", h.redrivePolicy(other)).fails(400, "InvalidParameter", "", "exists with different attributes")
	set("").ok(nil)
	if _, there := h.attributesOf(sub)["RedrivePolicy"]; there {
		t.Error("it is shown, and there is none")
	}
	set(h.redrivePolicy(other)).ok(nil)
	for value, words := range map[string]string{
		`{"deadLetterTargetArn":"` + strings.Replace(h.arn(dead), h.tenant.AccountNumber, "123456789012", 1) + `"}`: "RedrivePolicy: deadLetterTargetArn is an invalid arn",
		`{"deadLetterTargetArn":7}`: "RedrivePolicy: deadLetterTargetArn is an invalid arn",
		`"x"`:                       "RedrivePolicy: ",
		h.redrivePolicy(q):          "its own subscription",
		`{"deadLetterTargetArn":"` + h.arn("/"+h.newName()) + `"}`:       "There is no queue",
		h.redrivePolicy(h.queue(map[string]string{"FifoQueue": "true"})): "for a standard topic",
	} {
		set(value).fails(400, "InvalidParameter", "", words)
	}
	shown(h.redrivePolicy(other))
	fifo, ordered := h.topic(map[string]string{"FifoTopic": "true"}), h.queue(map[string]string{"FifoQueue": "true"})
	const words = "Invalid parameter: Attributes Reason: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
	h.subscribing(fifo, h.arn(ordered), "RedrivePolicy", h.redrivePolicy(dead)).fails(400, "InvalidParameter", "", words)
	h.subscribing(fifo, h.arn(ordered), "RedrivePolicy", h.redrivePolicy(h.queue(map[string]string{"FifoQueue": "true"}))).ok(nil)
	h.subscribing(fifo, h.arn(q), "RedrivePolicy", h.redrivePolicy(dead)).ok(nil)
}

func TestN59_ADeadLetterIsWhatWouldHaveBeenDelivered(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, raw, wrapped, dead, deadRaw := h.topic(nil), h.queue(nil), h.queue(nil), h.queue(nil), h.queue(nil)
	h.subscribe(topic, raw, map[string]string{"RedrivePolicy": h.redrivePolicy(deadRaw), "RawMessageDelivery": "true"})
	h.subscribe(topic, wrapped, map[string]string{"RedrivePolicy": h.redrivePolicy(dead)})
	for _, q := range []string{raw, wrapped} {
		h.query("DeleteQueue", "QueueUrl", q).ok(nil)
	}
	h.publish(topic, func(in *sns.PublishInput) {
		in.Message = sdk.String("lost")
		in.MessageAttributes = map[string]types.MessageAttributeValue{"n": {DataType: sdk.String("Number"), StringValue: sdk.String("007")}}
	})
	m := h.next(deadRaw)
	if *m.Body != "lost" || *m.MessageAttributes["n"].StringValue != "007" {
		t.Errorf("the raw one is %s with %v", *m.Body, m.MessageAttributes)
	}
	if from, there := m.Attributes["DeadLetterQueueSourceArn"]; there {
		t.Errorf("it says that it comes from the queue %q", from)
	}
	n := h.notice(dead)
	diff(t, "the message of the notification", "lost", n.Message)
	h.verify(n)
}
