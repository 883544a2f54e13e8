package aws_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/topics"
)

// SNS has no subscriptions by patterns. What stems from one is shown, and changes only by REST; who subscribes gets a subscription
// that can be unsubscribed.
func TestASubscriptionThatStemsFromAPatternIsShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	q := h.queue(nil)
	_, _, err := h.topics.PutTopicSubscription(t.Context(), h.tenant.ID, "all", "#", topics.SubscriptionSettings{Queue: nameOf(q)}, topics.Condition{})
	h.must(err)
	topic := h.topic(nil)
	owned := topic + ":pattern.all"
	for _, list := range []string{h.ask("ListSubscriptionsByTopic", "TopicArn", topic).ok(nil).body, h.ask("ListSubscriptions").ok(nil).body} {
		if !strings.Contains(list, "<SubscriptionArn>"+owned+"</SubscriptionArn>") {
			t.Errorf("the list is %s", list)
		}
	}
	diff(t, "its queue", h.arn(q), h.attributesOf(owned)["Endpoint"])
	h.ask("Unsubscribe", "SubscriptionArn", owned).fails(400, "InvalidState", "", "stems from the topic subscription")
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", owned, "AttributeName", "RawMessageDelivery", "AttributeValue", "false").fails(400, "InvalidState", "", "stems from the topic subscription")
	own := h.subscribe(topic, q, nil)
	if own == owned {
		t.Fatal("who subscribes got what stems from a pattern")
	}
	h.ask("Unsubscribe", "SubscriptionArn", own).ok(nil)
	h.ask("Unsubscribe", "SubscriptionArn", topic+":pattern.none").ok(nil) // as of any that is not there
	h.ask("Unsubscribe", "SubscriptionArn", topic+":other.all").fails(400, "InvalidParameter", "", "SubscriptionArn")
}
