package aws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// logged returns the audit log, the oldest entry first.
func (h *doorTest) logged() []audit.Entry {
	h.Helper()
	list, _, err := h.audit.List(context.Background(), audit.Log(h.tenant.ID.String()), audit.Filter{}, 500, "")
	h.must(err)
	slices.Reverse(list)
	return list
}

// lines returns of each entry what is the same in every run.
func lines(list []audit.Entry) []string {
	out := []string{}
	for _, e := range list {
		out = append(out, strings.Join([]string{e.Operation, string(e.Outcome), e.Code, e.Target.Type, e.Target.Name, e.Target.Topic}, " "))
	}
	return out
}

func TestTheAuditLogHasWhatClientsOfSQSChange(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"VisibilityTimeout": "7"})
		name := nameOf(address)
		dead := c.queue(nil)
		c.out("SetQueueAttributes", in(address, `"Attributes":{"VisibilityTimeout":"9"}`))
		c.out("SetQueueAttributes", in(address, `"Attributes":{"VisibilityTimeout":"9"}`)) // changes nothing
		c.call("SetQueueAttributes", in(address, `"Attributes":{"VisibilityTimeout":"x"}`)).fails(400, "InvalidAttributeValue", "", "")
		c.call("DeleteQueue", in(address+"x", "")).fails(400, "AWS.SimpleQueueService.NonExistentQueue", "", "")
		c.out("TagQueue", in(address, `"Tags":{"a":"b"}`))
		c.out("UntagQueue", in(address, `"TagKeys":["a"]`))
		c.out("AddPermission", in(address, `"Label":"l","AWSAccountIds":["123456789012"],"Actions":["SendMessage"]`))
		c.out("RemovePermission", in(address, `"Label":"l"`))
		c.out("PurgeQueue", in(address, ""))
		c.send(address, "x")
		c.receive(address)
		c.out("DeleteQueue", in(address, ""))
		got := c.logged()
		diff(t, "log", []string{
			"sqs:CreateQueue done  queue " + name + " ",
			"sqs:CreateQueue done  queue " + nameOf(dead) + " ",
			"sqs:SetQueueAttributes done  queue " + name + " ",
			"sqs:TagQueue done  queue " + name + " ",
			"sqs:UntagQueue done  queue " + name + " ",
			"sqs:AddPermission done  queue " + name + " ",
			"sqs:RemovePermission done  queue " + name + " ",
			"sqs:PurgeQueue done  queue " + name + " ",
			"sqs:DeleteQueue done  queue " + name + " ",
		}, lines(got))
		var before, after map[string]string
		c.must(json.Unmarshal(got[2].Before, &before))
		c.must(json.Unmarshal(got[2].After, &after))
		diff(t, "change", []string{"7", "9"}, []string{before["VisibilityTimeout"], after["VisibilityTimeout"]})
		c.must(json.Unmarshal(got[3].After, &after))
		diff(t, "tag", "b", after["Tag a"])
		e := got[2]
		if e.Actor.Kind != "tenant" || !strings.HasPrefix(e.Actor.Key, "key_") || e.Address == "" || len(e.Request) != 36 || e.Tenant != c.tenant.Name {
			t.Errorf("the entry is %+v", e)
		}
		if got[0].Before != nil || got[8].After != nil {
			t.Errorf("what there was before the first is %s, after the last %s", got[0].Before, got[8].After)
		}
	})
}

func TestTheAuditLogHasWhatClientsOfSNSChange(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	name, endpoint := nameOfARN(topic), h.arn(q)
	sub := h.subscribe(topic, q, nil)
	h.subscribe(topic, q, nil) // changes nothing
	id := nameOfARN(sub)
	h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DisplayName", "AttributeValue", "x").ok(nil)
	h.refusesTo("SetTopicAttributes", "", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", "x")
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "true").ok(nil)
	h.ask("TagResource", "ResourceArn", topic, "Tags.member.1.Key", "a", "Tags.member.1.Value", "b").ok(nil)
	h.publish(topic, nil)
	h.next(q)
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "false").ok(nil)
	h.publish(topic, nil)
	_, link, _ := strings.Cut(h.notice(q).UnsubscribeURL, "?")
	h.unsigned(link).ok(nil)
	h.ask("DeleteTopic", "TopicArn", topic).ok(nil)
	h.ask("DeleteTopic", "TopicArn", topic).ok(nil) // changes nothing
	got := h.logged()[1:]
	got = slices.DeleteFunc(got, func(e audit.Entry) bool { return e.Target.Type == "queue" })
	diff(t, "log", []string{
		"sns:Subscribe done  subscription " + id + " " + name,
		"sns:SetTopicAttributes done  topic " + name + " ",
		"sns:SetSubscriptionAttributes done  subscription " + id + " " + name,
		"sns:TagResource done  topic " + name + " ",
		"sns:SetSubscriptionAttributes done  subscription " + id + " " + name,
		"sns:Unsubscribe done  subscription " + id + " " + name,
		"sns:DeleteTopic done  topic " + name + " ",
	}, lines(got))
	diff(t, "made", `{"Endpoint":"`+endpoint+`","RawMessageDelivery":"false"}`, string(got[0].After))
	diff(t, "who followed the link", audit.Actor{Kind: "link"}, got[5].Actor)
}

func TestTheAuditLogHasRefusals(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	before := len(h.logged())
	reader := *h
	reader.pair = h.newPair(auth.NewKey{Name: "reader", Scopes: []string{"viewer"}})
	reader.ask("DeleteTopic", "TopicArn", topic).fails(403, "AuthorizationError", "", "topics:write")
	reader.query("DeleteQueue", "QueueUrl", "/"+h.tenant.AccountNumber+"/q").fails(403, "AccessDenied", "", "queues:write")
	reader.ask("Publish", "TopicArn", topic, "Message", "m").fails(403, "AuthorizationError", "", "topics:publish")
	diff(t, "log", []string{"sns:DeleteTopic refused AuthorizationError topic " + nameOfARN(topic) + " ", "sqs:DeleteQueue refused AccessDenied queue q "}, lines(h.logged()[before:]))
}

// A change that cannot be written down is not made.
func TestNothingIsChangedWithoutTheAuditLog(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	h := open(t, func(_ *doorTest, opt *engine.Options) { opt.URL = redis.URL() })
	topic := h.topic(nil)
	h.door.Audit = audit.New(closedEngine(t, redis.URL()))
	h.ask("DeleteTopic", "TopicArn", topic).fails(503, "ServiceUnavailable", "", "")
	h.query("CreateQueue", "QueueName", "q").fails(503, "ServiceUnavailable", "", "")
	h.door.Audit = h.audit
	h.attributesOf(topic)
	h.query("GetQueueUrl", "QueueName", "q").fails(400, "AWS.SimpleQueueService.NonExistentQueue", "", "")
}

// closedEngine is one that reaches nothing.
func closedEngine(tb testing.TB, url string) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(engine.Options{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := e.Close(); err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestTopicsOfOneAccountAreNotThoseOfAnother(t *testing.T) {
	t.Parallel()
	a, b := open(t), open(t)
	topic, q := a.topic(nil), a.queue(nil)
	sub := a.subscribe(topic, q, nil)
	mine := b.topic(nil)
	for _, c := range []struct {
		action string
		params []string
	}{
		{"GetTopicAttributes", nil}, {"SetTopicAttributes", []string{"AttributeName", "DisplayName", "AttributeValue", "x"}},
		{"Publish", []string{"Message", "m"}}, {"PublishBatch", []string{"PublishBatchRequestEntries.member.1.Id", "1", "PublishBatchRequestEntries.member.1.Message", "m"}},
		{"Subscribe", []string{"Protocol", "sqs", "Endpoint", b.arn(b.queue(nil))}}, {"ListSubscriptionsByTopic", nil},
		{"AddPermission", []string{"Label", "l", "AWSAccountId.member.1", b.tenant.AccountNumber, "ActionName.member.1", "Publish"}}, {"RemovePermission", []string{"Label", "l"}},
	} {
		b.ask(c.action, append(c.params, "TopicArn", topic)...).fails(404, "NotFound", "", "Topic does not exist")
		same := strings.Replace(topic, a.tenant.AccountNumber, b.tenant.AccountNumber, 1)
		b.ask(c.action, append(c.params, "TopicArn", same)...).fails(404, "NotFound", "", "Topic does not exist")
	}
	for _, action := range []string{"TagResource", "UntagResource", "ListTagsForResource"} {
		b.ask(action, "ResourceArn", topic).fails(404, "ResourceNotFound", "", "")
	}
	for _, action := range []string{"GetSubscriptionAttributes", "SetSubscriptionAttributes"} {
		b.ask(action, "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "true").fails(404, "NotFound", "", "Subscription does not exist")
	}
	b.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	b.ask("DeleteTopic", "TopicArn", topic).ok(nil)
	b.subscribing(mine, a.arn(q)).ok(nil) // which nobody over there has allowed: see TestQ48
	b.publish(mine, nil)
	if got := b.ask("ListTopics").ok(nil).body; strings.Contains(got, topic) {
		t.Errorf("the list is %s", got)
	}
	diff(t, "all is as it was", "1", a.attributesOf(topic)["SubscriptionsConfirmed"])
	a.publish(topic, nil)
	diff(t, "message", "hello", a.notice(q).Message)
}

func TestKeysForSomeQueuesReachNoTopic(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	some := *h
	some.pair = h.newPair(auth.NewKey{Name: "some", Scopes: []string{"*"}, Queues: []string{"q*"}})
	some.ask("Publish", "TopicArn", topic, "Message", "m").fails(403, "AuthorizationError", "", "reaches only some queues")
	some.ask("ListTopics").fails(403, "AuthorizationError", "", "")
	some.query("ListQueues").ok(nil)
}

func TestASuspendedTenantDoesNotPublish(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	suspend := func(mode tenants.Mode) {
		t.Helper()
		_, err := h.tenants.Suspend(t.Context(), h.tenant.Name, mode, "unpaid", tenants.Condition{})
		h.must(err)
	}
	suspend(tenants.ModeSend)
	h.ask("Publish", "TopicArn", topic, "Message", "m").fails(403, "AuthorizationError", "", "unpaid")
	h.ask("ListTopics").ok(nil)
	suspend(tenants.ModeAll)
	h.ask("ListTopics").fails(403, "AuthorizationError", "", "unpaid")
	_, err := h.tenants.Resume(t.Context(), h.tenant.Name, tenants.Condition{})
	h.must(err)
	h.limited(tenants.Limits{tenants.LimitRequests: 1, tenants.LimitMessageSize: 2048})
	h.refusesTo("Publish", "Message too long", "TopicArn", topic, "Message", strings.Repeat("x", 2049))
	a := h.ask("Publish", "TopicArn", topic, "Message", "m")
	a.fails(429, "Throttled", "", "")
	diff(t, "Retry-After", "1", a.header.Get("Retry-After"))
}

// A signature that does not cover which action is asked for is taken, as some clients sign so, and the log tells.
func TestTheAuditLogTellsOfAnActionThatIsNotSigned(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	body := in(address, `"Tags":{"a":"b"}`)
	loose := h.signed("POST", "/", body, "Content-Type", "application/x-amz-json-1.0")
	loose.Header.Set("X-Amz-Target", "AmazonSQS.TagQueue")
	h.do(loose).ok(nil)
	form := "Action=UntagQueue&Version=2012-11-05&QueueUrl=" + url.QueryEscape(address) + "&TagKey.1=a"
	h.do(h.signed("POST", "/", form, "Content-Type", "application/x-www-form-urlencoded")).ok(nil) // the body is signed
	got := []string{}
	for _, e := range h.logged() {
		got = append(got, fmt.Sprint(e.Operation, " ", e.Unsigned))
	}
	diff(t, "log", []string{"sqs:CreateQueue false", "sqs:TagQueue true", "sqs:UntagQueue false"}, got)
}
