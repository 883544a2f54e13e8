package aws_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

const noSuchQueue = "AWS.SimpleQueueService.NonExistentQueue"

// neighbour returns the same door for a tenant of its own.
func (h *doorTest) neighbour() *doorTest {
	h.Helper()
	n := *h
	var err error
	n.tenant, _, err = h.tenants.Put(h.Context(), fmt.Sprintf("b%d-%d", os.Getpid(), names.Add(1)), tenants.Settings{}, tenants.Condition{})
	h.must(err)
	n.pair = n.newPair(auth.NewKey{Name: "test"})
	n.sqs, n.sns = n.client(n.pair), n.snsClient(n.pair)
	return &n
}

// allow is a policy that lets somebody do something.
func allow(principal string, actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
}

func account(h *doorTest) string { return `{"AWS":"` + h.tenant.AccountNumber + `"}` }

func (c client) setPolicy(address, text string) { c.set(address, `"Policy":`+quoted(text)).ok(nil) }

// foreignActions are the actions on a queue that its owner can let others do, and what they say beside its address.
var foreignActions = []struct{ action, permission, more string }{
	{"SendMessage", "SendMessage", `"MessageBody":"x"`},
	{"SendMessageBatch", "SendMessage", `"Entries":[{"Id":"a","MessageBody":"x"}]`},
	{"ReceiveMessage", "ReceiveMessage", ""},
	{"DeleteMessage", "DeleteMessage", `"ReceiptHandle":%q`},
	{"DeleteMessageBatch", "DeleteMessage", `"Entries":[{"Id":"a","ReceiptHandle":%q}]`},
	{"ChangeMessageVisibility", "ChangeMessageVisibility", `"VisibilityTimeout":9,"ReceiptHandle":%q`},
	{"ChangeMessageVisibilityBatch", "ChangeMessageVisibility", `"Entries":[{"Id":"a","VisibilityTimeout":9,"ReceiptHandle":%q}]`},
	{"GetQueueAttributes", "GetQueueAttributes", `"AttributeNames":["All"]`},
	{"ListDeadLetterSourceQueues", "ListDeadLetterSourceQueues", ""},
	{"PurgeQueue", "PurgeQueue", ""},
}

var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func TestQ47_APolicyLetsOthersDoWhatItSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		other := client{c.neighbour(), c.query}
		third := client{c.neighbour(), c.query}
		address := c.queue(nil)
		handle := func() string {
			c.send(address, "mine")
			return str(messages(c.receive(address))[0], "ReceiptHandle")
		}
		input := func(to, more string) string {
			if strings.Contains(more, "%q") {
				more = fmt.Sprintf(more, handle())
			}
			return in(to, more)
		}
		refused := func(who client) {
			t.Helper()
			for _, f := range foreignActions {
				got := who.call(f.action, input(address, f.more))
				none := who.call(f.action, input(address+"x", f.more))
				got.fails(400, noSuchQueue, "QueueDoesNotExist", "")
				diff(t, f.action+": as for one that there is not", ids.ReplaceAllString(none.body, ""), ids.ReplaceAllString(got.body, ""))
			}
		}
		refused(other)
		for _, f := range foreignActions {
			c.setPolicy(address, allow(account(other.doorTest), "sqs:"+f.permission))
			for _, g := range foreignActions {
				if a := other.call(g.action, input(address, g.more)); (a.status == 200) != (g.permission == f.permission) {
					t.Errorf("with %s %s is answered %d %s", f.permission, g.action, a.status, a.body)
				}
			}
		}
		c.setPolicy(address, allow(account(other.doorTest), "sqs:*"))
		refused(third)
		for _, action := range []string{"DeleteQueue", "SetQueueAttributes", "TagQueue", "UntagQueue", "ListQueueTags", "AddPermission", "RemovePermission"} {
			other.call(action, in(address, `"Attributes":{"DelaySeconds":"1"},"Tags":{"a":"b"},"TagKeys":["a"],"Label":"l","AWSAccountIds":["123456789012"],"Actions":["SendMessage"]`)).
				fails(400, noSuchQueue, "QueueDoesNotExist", "")
		}
		other.call("StartMessageMoveTask", `{"SourceArn":`+quoted(c.arn(address))+`}`).fails(404, "ResourceNotFoundException", "", "")
		c.setPolicy(address, "")
		refused(other)
	})
}

func TestQ10_TheAddressOfAQueueOfAnotherAccount(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		other := client{c.neighbour(), c.query}
		address := c.queue(nil)
		ask := func(who client, owner string) *answer {
			return who.call("GetQueueUrl", `{"QueueName":"`+nameOf(address)+`","QueueOwnerAWSAccountId":"`+owner+`"}`)
		}
		mine := c.tenant.AccountNumber
		ask(c, mine).ok(nil)
		ask(other, mine).fails(400, noSuchQueue, "QueueDoesNotExist", "")
		c.setPolicy(address, allow(account(other.doorTest), "sqs:GetQueueUrl", "sqs:SendMessage"))
		got := other.out("GetQueueUrl", `{"QueueName":"`+nameOf(address)+`","QueueOwnerAWSAccountId":"`+mine+`"}`)
		diff(t, "address", address, str(got, "QueueUrl"))
		other.send(str(got, "QueueUrl"), "hello")
		diff(t, "received", []string{"hello"}, bodies(c.receive(address)))
		for _, owner := range []string{other.tenant.AccountNumber, "", "123456789012", "x", strings.Repeat("1", 3000)} {
			ask(other, owner).fails(400, noSuchQueue, "QueueDoesNotExist", "")
		}
	})
}

// What a policy allows is the part of the owner. The caller's key has to allow it, too.
func TestAPolicyIsNoKey(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := client{h, false}
	other := h.neighbour()
	address := c.queue(nil)
	c.setPolicy(address, allow(`"*"`, "sqs:*"))
	as := func(n auth.NewKey) client {
		one := *other
		n.Name = "some"
		one.pair = other.newPair(n)
		return client{&one, false}
	}
	send := in(address, `"MessageBody":"x"`)
	as(auth.NewKey{Scopes: []string{"messages:consume"}}).call("SendMessage", send).fails(403, "AccessDenied", "AccessDeniedException", "does not have the scope messages:send")
	as(auth.NewKey{Scopes: []string{"*"}, Queues: []string{"*"}}).call("SendMessage", send).fails(400, noSuchQueue, "QueueDoesNotExist", "")
	diff(t, "nothing was stored", object{}, c.receive(address))
	as(auth.NewKey{Scopes: []string{"messages:send"}}).out("SendMessage", send)
	diff(t, "stored", []string{"x"}, bodies(c.receive(address)))
}

func TestADenialBindsTheOwnerTooButLocksNobodyOut(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		other := client{c.neighbour(), c.query}
		address := c.queue(nil)
		const denial = `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}`
		c.setPolicy(address, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:*"},`+denial+`]}`)
		for _, f := range foreignActions {
			if strings.Contains(f.more, "%q") {
				f.more = fmt.Sprintf(f.more, "x")
			}
			c.call(f.action, in(address, f.more)).fails(403, "AccessDenied", "AccessDeniedException", "sqs:"+f.permission+" on resource: "+c.arn(address)+" with an explicit deny")
			other.call(f.action, in(address, f.more)).fails(400, noSuchQueue, "QueueDoesNotExist", "")
		}
		c.call("DeleteQueue", in(address, "")).fails(403, "AccessDenied", "AccessDeniedException", "explicit deny")
		c.setPolicy(address, `{"Statement":`+strings.ReplaceAll(denial, "127.0.0.0/8", "10.0.0.0/8")+`}`)
		c.send(address, "x")
		diff(t, "received", []string{"x"}, bodies(c.receive(address)))
	})
}

func TestQ47_WhatIsNoPolicyIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		good := allow(`"*"`, "sqs:SendMessage")
		c.setPolicy(address, good)
		for _, text := range []string{
			`{"Statement":[{"Effect":"Allow"}]}`, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"me"},"Action":"*"}]}`, `{"Version":"2008-10-17","Statements":[]}`,
			`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{"StringIs":{"a":"b"}}}}`, `{"Statement":{"Effect":"Allow","Effect":"Deny","Principal":"*","Action":"*"}}`,
			`{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*"},{"Sid":"a","Effect":"Deny","Principal":"*","Action":"*"}]}`,
			`{"Statement":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}`,
		} {
			c.set(address, `"Policy":`+quoted(text)).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter Policy.")
		}
		many := make([]string, 21)
		for i := range many {
			many[i] = `{"Effect":"Allow","Principal":"*","Action":"*"}`
		}
		accounts := make([]string, 51)
		for i := range accounts {
			accounts[i] = fmt.Sprintf("%012d", i)
		}
		for _, text := range []string{`{"Statement":[` + strings.Join(many, ",") + `]}`, allow(`{"AWS":["`+strings.Join(accounts, `","`)+`"]}`, "*")} {
			c.set(address, `"Policy":`+quoted(text)).fails(403, "OverLimit", "OverLimit", "maximum allowed is")
		}
		diff(t, "policy", object{"Policy": good}, c.attributesOf(address, "Policy"))
	})
}

// A policy that was stored by a server that did not know them yet opens nothing until its owner sets it again.
func TestAPolicyFromBeforeTheyHeldHasNoEffect(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := client{h, false}, client{h.neighbour(), false}
	address := c.queue(nil)
	old := allow(`"*"`, "sqs:*")
	_, err := h.queues.Update(t.Context(), h.tenant.ID, nameOf(address), queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
		s.AWS.Policy = old
		return s, nil
	})
	c.must(err)
	send := in(address, `"MessageBody":"x"`)
	other.call("SendMessage", send).fails(400, noSuchQueue, "QueueDoesNotExist", "")
	diff(t, "it is shown", object{"Policy": old}, c.attributesOf(address, "Policy"))
	c.setPolicy(address, old)
	other.out("SendMessage", send)
}

func TestAPolicyHoldsOnAllServersWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	h := open(t)
	second := open(t, asTenant(h))
	c, other := client{h, false}, client{second.neighbour(), false}
	address := c.queue(nil)
	send := in(address, `"MessageBody":"x"`)
	refused := func() {
		t.Helper()
		other.call("SendMessage", send).fails(400, noSuchQueue, "QueueDoesNotExist", "")
	}
	refused()
	lets := allow(account(other.doorTest), "sqs:SendMessage")
	c.setPolicy(address, lets)
	h.clock.Advance(4 * time.Second)
	other.out("SendMessage", send)
	c.setPolicy(address, "")
	h.clock.Advance(4 * time.Second)
	refused()
	c.setPolicy(address, lets)
	h.clock.Advance(4 * time.Second)
	other.out("SendMessage", send)
	// A server that uses the queue is told at once, by the first call that it makes with settings of before.
	client{second, false}.send(address, "own")
	c.setPolicy(address, "")
	client{second, false}.send(address, "own")
	refused()
	// Another one that has just begun knows what was said before.
	c.setPolicy(address, lets)
	third := *restarted(t, h)
	third.tenant, third.pair = other.tenant, other.pair
	client{&third, false}.out("SendMessage", send)
}

// restarted returns a door that knows nothing but what Redis does.
func restarted(t *testing.T, h *doorTest) *doorTest {
	t.Helper()
	return open(t, asTenant(h))
}

// Who may use a queue no more does not get what comes while he waits.
func TestAWaitingReceiveIsNoPolicy(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := client{h, false}, client{h.neighbour(), false}
	address := c.queue(nil)
	c.setPolicy(address, allow(account(other.doorTest), "sqs:ReceiveMessage"))
	got := make(chan *answer, 1)
	go func() { got <- other.call("ReceiveMessage", in(address, `"WaitTimeSeconds":20`)) }()
	until(t, "it waits", func() bool { return h.queues.Waiting() == 1 })
	c.setPolicy(address, "")
	h.clock.Advance(5 * time.Second)
	c.send(address, "x")
	(<-got).fails(403, "AccessDenied", "AccessDeniedException", "sqs:ReceiveMessage")
	diff(t, "received", []string{"x"}, bodies(c.receive(address)))
}

func TestASuspendedOwnerLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := client{h, false}, client{h.neighbour(), false}
	address := c.queue(nil)
	c.setPolicy(address, allow(account(other.doorTest), "sqs:*"))
	suspend := func(mode tenants.Mode) {
		t.Helper()
		_, err := h.tenants.Suspend(t.Context(), h.tenant.Name, mode, "a secret reason", tenants.Condition{})
		c.must(err)
	}
	suspend(tenants.ModeSend)
	a := other.call("SendMessage", in(address, `"MessageBody":"x"`))
	a.fails(403, "AccessDenied", "AccessDeniedException", "may not do so itself")
	if strings.Contains(a.body, "secret") {
		t.Errorf("it says why: %s", a.body)
	}
	other.out("ReceiveMessage", in(address, ""))
	suspend(tenants.ModeAll)
	other.call("ReceiveMessage", in(address, "")).fails(403, "AccessDenied", "AccessDeniedException", "may not do so itself")
}

// What others store counts for the owner of the queue.
func TestWhatOthersSendCountsForTheOwner(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, other := client{h, false}, client{h.neighbour(), false}
	address := c.queue(nil)
	c.setPolicy(address, allow(account(other.doorTest), "sqs:SendMessage"))
	c.limited(tenants.Limits{tenants.LimitStored: 1 << 20, tenants.LimitMessageSize: 700_000})
	half := strings.Repeat("x", 600_000)
	other.refuses("SendMessage", in(address, `"MessageBody":"`+half+half[:100_001]+`"`), "Message must be shorter than 700000 bytes.")
	other.send(address, half)
	other.call("SendMessage", in(address, `"MessageBody":"`+half+`"`)).fails(403, "OverLimit", "OverLimit", "")
	other.send(other.queue(nil), half)
}

func TestTheOwnersAuditLogNamesTheOtherAccount(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		other := client{c.neighbour(), c.query}
		address := c.queue(nil)
		purge := in(address, "")
		other.call("PurgeQueue", purge).fails(400, noSuchQueue, "QueueDoesNotExist", "")
		c.setPolicy(address, allow(account(other.doorTest), "sqs:PurgeQueue"))
		other.out("PurgeQueue", purge)
		got := c.logged()
		diff(t, "log", "sqs:PurgeQueue done  queue "+nameOf(address)+" ", lines(got)[len(got)-1])
		diff(t, "actor", audit.Actor{Kind: "account", Account: other.tenant.AccountNumber}, got[len(got)-1].Actor)
		diff(t, "address", "", got[len(got)-1].Address)
		diff(t, "the other log", []string{}, lines(other.logged()))
	})
}

func TestTopicsOfOthersByPolicy(t *testing.T) {
	t.Parallel()
	h := open(t)
	other, third := h.neighbour(), h.neighbour()
	topic := h.topic(nil)
	own := h.queue(nil)
	h.subscribe(topic, own, map[string]string{"RawMessageDelivery": "true"})
	mine := other.queue(nil)
	attempts := []struct {
		action, permission string
		params             []string
	}{
		{"Publish", "Publish", []string{"Message", "m"}},
		{"PublishBatch", "Publish", []string{"PublishBatchRequestEntries.member.1.Id", "1", "PublishBatchRequestEntries.member.1.Message", "m"}},
		{"Subscribe", "Subscribe", []string{"Protocol", "sqs", "Endpoint", other.arn(mine)}},
		{"GetTopicAttributes", "GetTopicAttributes", nil},
		{"ListSubscriptionsByTopic", "ListSubscriptionsByTopic", nil},
	}
	policy := func(text string) {
		t.Helper()
		h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "Policy", "AttributeValue", text).ok(nil)
	}
	try := func(who *doorTest, permission string) {
		t.Helper()
		for _, a := range attempts {
			got := who.ask(a.action, append(a.params, "TopicArn", topic)...)
			if a.permission == permission {
				got.ok(nil)
			} else {
				got.fails(404, "NotFound", "", "Topic does not exist")
			}
		}
	}
	try(other, "")
	// The policy that a topic has when nobody has said anything, written back, opens nothing.
	policy(h.attributesOf(topic)["Policy"])
	try(other, "")
	for _, a := range attempts {
		policy(allow(account(other), "sns:"+a.permission))
		try(other, a.permission)
		try(third, "")
	}
	h.ask("AddPermission", "TopicArn", topic, "Label", "l", "AWSAccountId.member.1", third.tenant.AccountNumber, "ActionName.member.1", "Publish").ok(nil)
	try(third, "Publish")
	policy(allow(`"*"`, "sns:*"))
	for _, action := range []string{"DeleteTopic", "SetTopicAttributes", "AddPermission", "RemovePermission"} {
		other.ask(action, "TopicArn", topic, "Label", "l", "AttributeName", "DisplayName", "AttributeValue", "x", "AWSAccountId.member.1", "123456789012", "ActionName.member.1", "Publish")
	}
	diff(t, "name", "", h.attributesOf(topic)["DisplayName"])
	other.refusesTo("Subscribe", "only queues of your own account", "TopicArn", topic, "Protocol", "sqs", "Endpoint", third.arn(third.queue(nil)))
	policy(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"sns:Publish"}}`)
	h.ask("Publish", "TopicArn", topic, "Message", "m").fails(403, "AuthorizationError", "", "explicit deny")
	for _, text := range []string{`{"Statement":[{}]}`, `{"Statement":{"Effect":"Allow","Principal":"me","Action":"*"}}`} {
		h.refusesTo("SetTopicAttributes", "Policy Reason:", "TopicArn", topic, "AttributeName", "Policy", "AttributeValue", text)
	}
	policy("")
	got := h.logged()
	subscribed := 0
	for _, e := range got {
		if e.Actor.Account == other.tenant.AccountNumber && e.Operation == "sns:Subscribe" && e.Outcome == audit.Done {
			subscribed++
		}
	}
	diff(t, "subscriptions of another account in the log", 1, subscribed)
}

// A topic's messages reach a queue of another account if, and as long as, the policy of the queue says so.
func TestQ48_AQueueOfAnotherAccountLetsTheTopicIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	other := h.neighbour()
	far := client{other, false}
	topic := h.topic(nil)
	near, address := h.queue(nil), other.queue(nil)
	h.subscribe(topic, near, map[string]string{"RawMessageDelivery": "true"})
	sub := h.subscribing(topic, other.arn(address)).between("<SubscriptionArn>", "</SubscriptionArn>")
	diff(t, "again", sub, h.subscribing(topic, other.arn(address)).between("<SubscriptionArn>", "</SubscriptionArn>"))
	diff(t, "endpoint", other.arn(address), h.attributesOf(sub)["Endpoint"])
	publish := func() {
		t.Helper()
		h.publish(topic, nil)
		h.next(near)
	}
	dropped := func() int64 {
		t.Helper()
		list, _, err := h.topics.ListSubscriptions(t.Context(), h.tenant.ID, topic[strings.LastIndexByte(topic, ':')+1:], "", "", 10)
		h.must(err)
		for _, s := range list {
			if s.Settings.Account != "" {
				return s.Dropped
			}
		}
		return -1
	}
	by := func(condition string) string {
		return `{"Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + other.arn(address) + `","Condition":` + condition + `}}`
	}
	want := int64(0)
	closed := func(what string) {
		t.Helper()
		want++
		publish()
		until(t, "dropped "+what, func() bool { return dropped() == want })
	}
	closed("without a policy")
	far.setPolicy(address, by(`{"ArnEquals":{"aws:SourceArn":"`+topic+`x"}}`))
	h.clock.Advance(4 * time.Second)
	closed("for another topic")
	far.setPolicy(address, allow(account(h), "sqs:*"))
	closed("for callers of the account only")
	for _, condition := range []string{`{"ArnEquals":{"aws:SourceArn":"` + topic + `"}}`, `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:` + h.tenant.AccountNumber + `:*"}}`,
		`{"StringEquals":{"aws:SourceAccount":"` + h.tenant.AccountNumber + `"}}`} {
		far.setPolicy(address, by(condition))
		publish()
		diff(t, "message", "hello", other.notice(address).Message)
	}
	far.setPolicy(address, "")
	closed("after it was taken back")
	far.out("DeleteQueue", in(address, ""))
	closed("for a queue that is gone")
	until(t, "it is broken, and does not say which", func() bool {
		s, err := h.topics.GetSubscription(t.Context(), h.tenant.ID, topic[strings.LastIndexByte(topic, ':')+1:], sub[strings.LastIndexByte(sub, ':')+1:])
		h.must(err)
		return s.State == "broken" && s.LastError.Code == "queue_not_found" && strings.Contains(s.LastError.Message, "or its policy does not let the topic send to it")
	})
	h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	// Nobody is there either.
	nobody := "arn:aws:sqs:" + region + ":123456789012:q"
	h.ask("Unsubscribe", "SubscriptionArn", h.subscribing(topic, nobody).between("<SubscriptionArn>", "</SubscriptionArn>")).ok(nil)
}
