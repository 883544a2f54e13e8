package aws_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

func TestN35_SubscribingLeavesThePolicyOfTheQueueAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	other := h.neighbour()
	topic, near, far := h.topic(nil), h.queue(nil), other.queue(nil)
	const own = `{"Version":"2012-10-17","Statement":[]}`
	client{other, false}.set(far, `"Policy":`+quoted(own)).ok(nil)
	h.subscribe(topic, near, nil)
	sub := h.subscribing(topic, other.arn(far)).between("<SubscriptionArn>", "</SubscriptionArn>")
	diff(t, "of its own account", object(nil), client{h, false}.attributesOf(near, "Policy"))
	diff(t, "of another account", object{"Policy": own}, client{other, false}.attributesOf(far, "Policy"))
	// There is nothing to confirm: the queue of the other account gets nothing until its policy says so.
	diff(t, "pending", "false", h.attributesOf(sub)["PendingConfirmation"])
	h.publish(topic, nil)
	diff(t, "near", "hello", h.notice(near).Message)
	diff(t, "far", []string{}, other.arrivedAt(h, sub, far))
}

func TestN43_ARawMessageToAWebEndpointHasNoAttributes(t *testing.T) {
	t.Parallel()
	h := open(t, withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	h.confirmed(topic, e, map[string]string{"RawMessageDelivery": "true"})
	h.clock.Advance(time.Second)
	h.say(topic, said{"the body", []string{"color", "String", "mauve"}})
	got := e.nth(t, 2)
	diff(t, "body", "the body", got.body)
	diff(t, "raw", "true", got.header.Get("X-Amz-Sns-Rawdelivery"))
	for name, values := range got.header {
		if strings.Contains(strings.ToLower(name+strings.Join(values, " ")), "color") || strings.Contains(strings.Join(values, " "), "mauve") {
			t.Errorf("the header %s is %q", name, values)
		}
	}
}

func TestN48_TheDeclaredVersionIsTheOneThatWasUsed(t *testing.T) {
	t.Parallel()
	h := open(t)
	q := h.queue(nil)
	for version, want := range map[string]string{"": "1", "1": "1", "2": "2"} {
		topic := h.topic(nil)
		if version != "" {
			h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", version).ok(nil)
		}
		sub := h.subscribe(topic, q, nil)
		h.publish(topic, nil)
		n := h.notice(q)
		diff(t, "version of a topic with "+version, want, n.SignatureVersion)
		text := fmt.Sprintf("Message\n%s\nMessageId\n%s\nTimestamp\n%s\nTopicArn\n%s\nType\nNotification\n", n.Message, n.MessageId, n.Timestamp, topic)
		signature, err := base64.StdEncoding.DecodeString(n.Signature)
		h.must(err)
		key := h.certificate(n.SigningCertURL).PublicKey.(*rsa.PublicKey)
		one, two := sha1.Sum([]byte(text)), sha256.Sum256([]byte(text))
		verified := map[string]bool{"1": rsa.VerifyPKCS1v15(key, crypto.SHA1, one[:], signature) == nil, "2": rsa.VerifyPKCS1v15(key, crypto.SHA256, two[:], signature) == nil}
		diff(t, "verified by", map[string]bool{"1": want == "1", "2": want == "2"}, verified)
		h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	}
}

func TestN54_APolicyOfATopicHoldsUnlessASubscriptionHasItsOwn(t *testing.T) {
	t.Parallel()
	h := open(t, withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, nil)
	effective := func(arn string) string { return h.attributesOf(arn)["EffectiveDeliveryPolicy"] }
	shown := func(form string, least, most, retries int, overrides string) string {
		policy := fmt.Sprintf(`{"minDelayTarget":%d,"maxDelayTarget":%d,"numRetries":%d,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"}`, least, most, retries)
		return fmt.Sprintf(form, policy, overrides)
	}
	const ofTopic = `{"http":{"defaultHealthyRetryPolicy":%s,"disableSubscriptionOverrides":%s,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`
	const ofSubscription = `{"healthyRetryPolicy":%s,"sicklyRetryPolicy":null,"throttlePolicy":null,"requestPolicy":{"headerContentType":"text/plain; charset=UTF-8"},"guaranteed":%s}`
	set := func(policy string) {
		h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue", policy).ok(nil)
	}
	diff(t, "default of a topic", shown(ofTopic, 20, 20, 3, "false"), effective(topic))
	diff(t, "default of a subscription", shown(ofSubscription, 20, 20, 3, "false"), effective(sub))

	set(`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":7}}}`)
	diff(t, "of the topic", shown(ofTopic, 5, 6, 7, "false"), effective(topic))
	diff(t, "a subscription has it, too", shown(ofSubscription, 5, 6, 7, "false"), effective(sub))
	h.setSub(sub, "DeliveryPolicy", `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":2,"numRetries":9}}`)
	diff(t, "unless it has its own", shown(ofSubscription, 1, 2, 9, "false"), effective(sub))
	set(`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":7},"disableSubscriptionOverrides":true}}`)
	diff(t, "of the topic", shown(ofTopic, 5, 6, 7, "true"), effective(topic))
	diff(t, "which must not be", shown(ofSubscription, 5, 6, 7, "false"), effective(sub))
	set("")
	diff(t, "the own again", shown(ofSubscription, 1, 2, 9, "false"), effective(sub))
}

// pause has a queue refuse what is sent, until it is let go on.
func (h *doorTest) pause(address string) (goOn func()) {
	h.Helper()
	_, err := h.queues.Pause(h.Context(), h.tenant.ID, nameOf(address), queues.DirectionSend, "", queues.Condition{})
	h.must(err)
	return func() {
		h.Helper()
		_, err := h.queues.Resume(h.Context(), h.tenant.ID, nameOf(address), queues.DirectionSend, queues.Condition{})
		h.must(err)
	}
}

func TestN56_AQueueIsTriedForTwoWeeks(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options...)
			topic, q, dead := h.topic(nil), h.queue(nil), h.queue(nil)
			sub := h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "RedrivePolicy": h.redrivePolicy(dead)})
			h.refusesTo("SetSubscriptionAttributes", "DeliveryPolicy: is only for subscriptions of web endpoints", "SubscriptionArn", sub, "AttributeName", "DeliveryPolicy", "AttributeValue", `{"healthyRetryPolicy":{"numRetries":1}}`)
			goOn := h.pause(q)
			h.publish(topic, nil)
			h.clock.Advance(topics.Hold - 24*time.Hour)
			goOn()
			c := client{h, false}
			h.forward(5*time.Minute, "it arrives", func() bool { return len(bodies(c.receive(q))) == 1 })
			diff(t, "given up", object{}, c.receive(dead))
		})
	}
}

func TestN57_WhatCanNeverBeDeliveredIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, gone, small, dead := h.topic(nil), h.queue(nil), h.queue(map[string]string{"MaximumMessageSize": "1024"}), h.queue(nil)
	subs := []string{}
	for _, q := range []string{gone, small} {
		subs = append(subs, h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "RedrivePolicy": h.redrivePolicy(dead)}))
	}
	h.query("DeleteQueue", "QueueUrl", gone).ok(nil)
	long := strings.Repeat("x", 1025)
	h.publish(topic, func(in *sns.PublishInput) { in.Message = &long })
	// Nobody moves the clock, so nothing is tried again.
	for range subs {
		diff(t, "dead letter", long, *h.next(dead).Body)
	}
	for _, sub := range subs {
		diff(t, "left", []string{}, h.arrived(sub, dead))
	}
	diff(t, "delivered", object{}, client{h, false}.receive(small))
	// A policy that forbids is the third case, and there is nothing that could be too many attributes.
	other := h.neighbour()
	foreign := h.subscribing(topic, other.arn(other.queue(nil)), "RedrivePolicy", h.redrivePolicy(dead), "RawMessageDelivery", "true").between("<SubscriptionArn>", "</SubscriptionArn>")
	h.ask("Unsubscribe", "SubscriptionArn", subs[0]).ok(nil)
	h.ask("Unsubscribe", "SubscriptionArn", subs[1]).ok(nil)
	h.publish(topic, nil)
	diff(t, "forbidden", "hello", *h.next(dead).Body)
	diff(t, "left", []string{}, h.arrived(foreign, dead))
}

func TestN60_AQueueOfTheSameNameTakesThePlaceOfADeletedOne(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	h.query("DeleteQueue", "QueueUrl", q).ok(nil)
	h.query("CreateQueue", "QueueName", nameOf(q)).ok(nil)
	h.publish(topic, nil)
	diff(t, "message", "hello", h.notice(q).Message)
}

func TestN80_WhatCannotBeDeliveredYetHoldsUpItsGroup(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(map[string]string{"FifoTopic": "true"}), h.queue(map[string]string{"FifoQueue": "true"})
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	goOn := h.pause(q)
	for _, body := range []string{"a1", "b1", "a2"} {
		h.fifoPublish(topic, body, body[:1], body)
	}
	goOn()
	h.fifoPublish(topic, "a3", "a", "a3")
	got := []string{}
	h.forward(5*time.Minute, "all arrive", func() bool {
		out := client{h, false}.receive(q, `"VisibilityTimeout":43200`)
		got = append(got, bodies(out)...)
		for _, m := range messages(out) {
			client{h, false}.out("DeleteMessage", in(q, `"ReceiptHandle":`+quoted(str(m, "ReceiptHandle"))))
		}
		return len(got) == 4
	})
	diff(t, "messages", map[string][]string{"a": {"a1", "a2", "a3"}, "b": {"b1"}}, byGroup(got))
}

func byGroup(list []string) map[string][]string {
	groups := map[string][]string{}
	for _, body := range list {
		groups[body[:1]] = append(groups[body[:1]], body)
	}
	return groups
}
