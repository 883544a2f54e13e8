package aws_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// set changes attributes of a queue, given as JSON without braces.
func (c client) set(address, attributes string) *answer {
	c.Helper()
	return c.call("SetQueueAttributes", in(address, `"Attributes":{`+attributes+`}`))
}

func TestQ12_WhatIsEmptyIsLeftOut(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, action := range []string{"ReceiveMessage", "ListQueueTags", "GetQueueAttributes", "ListDeadLetterSourceQueues"} {
			diff(t, action, object{}, c.out(action, in(address, "")))
		}
		c.send(address, "x")
		m := messages(c.receive(address))[0]
		diff(t, "message", []string{"Body", "MD5OfBody", "MessageId", "ReceiptHandle"}, keysOf(m))
		batch := c.out("SendMessageBatch", in(address, `"Entries":[{"Id":"a","MessageBody":"x"}]`))
		diff(t, "batch", []string{"Successful"}, keysOf(batch))
	})
}

func TestQ13_UnknownMembersAreIgnored(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := str(c.out("CreateQueue", fmt.Sprintf(`{"QueueName":"q%d","QueueUrl":"/","DefaultVisibilityTimeout":1800}`, names.Add(1))), "QueueUrl")
		c.send(address, "x", `"Later":"y"`)
	})
}

func TestQ14_AMissingQueueComesFirst(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		none := c.url + "/" + c.tenant.AccountNumber + "/none"
		c.call("SendMessage", in(none, "")).fails(400, noQueueCode, "QueueDoesNotExist", "")
		c.call("ReceiveMessage", in(none, `"MaxNumberOfMessages":11`)).fails(400, noQueueCode, "QueueDoesNotExist", "")
	})
}

func TestQ15_WhichAttributesAQueueHas(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		now := strconv.FormatInt(c.clock.Now().Unix(), 10)
		want := object{
			"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
			"CreatedTimestamp": now, "LastModifiedTimestamp": now, "QueueArn": c.arn(address), "DelaySeconds": "0", "MaximumMessageSize": "1048576",
			"MessageRetentionPeriod": "345600", "ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "30", "SqsManagedSseEnabled": "true",
		}
		diff(t, "none asked", object{}, c.out("GetQueueAttributes", in(address, "")))
		diff(t, "standard", want, c.attributesOf(address, "All"))
		diff(t, "some", object{"DelaySeconds": "0", "VisibilityTimeout": "30"}, c.attributesOf(address, "VisibilityTimeout", "DelaySeconds", "Policy"))
		fifo := c.queue(map[string]string{"FifoQueue": "true"})
		for k, v := range map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue", "QueueArn": c.arn(fifo)} {
			want[k] = v
		}
		diff(t, "FIFO", want, c.attributesOf(fifo, "All"))
	})
}

func TestQ17_AttributesThatAQueueDoesNotHave(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		standard, fifo := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		fails := func(a *answer, words string) {
			t.Helper()
			a.fails(400, "InvalidAttributeName", "com.amazonaws.sqs#InvalidAttributeName", words)
		}
		get := func(address, name string) *answer {
			return c.call("GetQueueAttributes", in(address, `"AttributeNames":["`+name+`"]`))
		}
		fails(get(standard, "Foo"), "Unknown Attribute Foo.")
		fails(c.set(standard, `"Foo":"x"`), "Unknown Attribute Foo.")
		fails(c.set(standard, `"QueueArn":"x"`), "Unknown Attribute QueueArn.")
		for _, name := range []string{"FifoQueue", "ContentBasedDeduplication"} {
			fails(get(standard, name), "Unknown Attribute "+name+".")
			fails(c.set(standard, `"`+name+`":"true"`), "Unknown Attribute "+name+".")
		}
		fails(c.call("CreateQueue", `{"QueueName":"x","Attributes":{"FifoQueue":"false"}}`), "Unknown Attribute FifoQueue.")
		for _, name := range []string{"DeduplicationScope", "FifoThroughputLimit"} {
			fails(c.set(standard, `"`+name+`":"queue"`), "You can specify the "+name+" only when FifoQueue is set to true.")
		}
		c.set(fifo, `"FifoQueue":"true"`).ok(nil)
		c.set(fifo, `"FifoQueue":"false"`).fails(400, "InvalidAttributeValue", "com.amazonaws.sqs#InvalidAttributeValue",
			"Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	})
}

func TestQ21_ValuesComeBack(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "TRUE", "ContentBasedDeduplication": "True"})
		diff(t, "truths", object{"FifoQueue": "true", "ContentBasedDeduplication": "true"}, c.attributesOf(address, "FifoQueue", "ContentBasedDeduplication"))
		policy := `{ "Version":"2012-10-17",  "Statement":[{"Sid":"é <&>\"","Effect":"Allow","Principal":"*","Action":"sqs:*","Condition":{"StringEquals":{"aws:PrincipalAccount":"000"}}}] }`
		c.set(address, `"Policy":`+quoted(policy)).ok(nil)
		c.set(address, `"DelaySeconds":"7"`).ok(nil)
		diff(t, "policy, as it was written", object{"Policy": policy, "DelaySeconds": "7"}, c.attributesOf(address, "Policy", "DelaySeconds"))
		for _, allow := range []string{`{"redrivePermission":"allowAll"}`, `{"redrivePermission":"denyAll"}`,
			`{"redrivePermission":"byQueue","sourceQueueArns":["` + c.arn(address) + `"]}`} {
			c.set(address, `"RedriveAllowPolicy":`+quoted(allow)).ok(nil)
			diff(t, "allow", object{"RedriveAllowPolicy": allow}, c.attributesOf(address, "RedriveAllowPolicy"))
		}
		c.set(address, `"Policy":"","RedriveAllowPolicy":"","RedrivePolicy":""`).ok(nil)
		diff(t, "cleared", object(nil), c.attributesOf(address, "Policy", "RedriveAllowPolicy", "RedrivePolicy"))
	})
}

func TestQ22_AnEmptyPolicyTakesTheAttributeAway(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, dead := c.queue(nil), c.queue(nil)
		policies := []string{"Policy", "RedrivePolicy", "RedriveAllowPolicy"}
		for name, value := range map[string]string{"Policy": `{"Version":"2012-10-17","Statement":[]}`, "RedrivePolicy": `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":3}`,
			"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`} {
			c.set(address, `"`+name+`":`+quoted(value)).ok(nil)
			diff(t, name, object{name: value}, c.attributesOf(address, policies...))
			c.set(address, `"`+name+`":""`).ok(nil)
			diff(t, name+" is gone", object(nil), c.attributesOf(address, policies...))
			c.set(address, `"`+name+`":""`).ok(nil) // which is no error where there is none
		}
		// A queue may be made so, too.
		made := c.out("CreateQueue", fmt.Sprintf(`{"QueueName":"q%d","Attributes":{"Policy":"","RedrivePolicy":"","RedriveAllowPolicy":""}}`, names.Add(1)))
		diff(t, "a new queue", object(nil), c.attributesOf(str(made, "QueueUrl"), policies...))
	})
}

func TestQ24_RedrivePolicies(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, dead, fifo := c.queue(nil), c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		redrive := func(text string) *answer { return c.set(address, `"RedrivePolicy":`+quoted(text)) }
		target := func(arn, count string) string {
			return `{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":` + count + `}`
		}
		for _, count := range []string{"1", `"1000"`, "3"} {
			redrive(target(c.arn(dead), count)).ok(nil)
		}
		want := object{"RedrivePolicy": target(c.arn(dead), "3")}
		for _, bad := range []struct{ text, words string }{
			{target(c.arn(dead), "0"), "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."},
			{target(c.arn(dead), "1001"), "maxReceiveCount: 1001"},
			{target(c.arn(dead), `"3.5"`), "maxReceiveCount"},
			{target(c.arn(dead), "1000000000"), "maxReceiveCount"},
			{`{"maxReceiveCount":3}`, "deadLetterTargetArn"},
			{`{"deadLetterTargetArn":"` + c.arn(dead) + `"}`, "maxReceiveCount"},
			{`nonsense`, "not a valid JSON map"},
			{`[]`, "not a valid JSON map"},
			{target("arn:aws:sqs:"+region+":123456789012:"+nameOf(dead), "3"), "Dead letter target does not exist."},
			{target(c.arn("none"), "3"), "Dead letter target does not exist."},
			{target(dead, "3"), "Dead letter target does not exist."},
			{target(c.arn(fifo), "3"), "same type"},
			{target(c.arn(address), "3"), "itself"},
		} {
			a := redrive(bad.text)
			a.fails(400, invalid, invalidType, "for parameter RedrivePolicy is invalid. Reason: ")
			a.fails(400, invalid, invalidType, bad.words)
		}
		diff(t, "policy", want, c.attributesOf(address, "RedrivePolicy"))
		// A mistyped name makes no queue.
		c.call("GetQueueUrl", `{"QueueName":"none"}`).fails(400, noQueueCode, "QueueDoesNotExist", "")
	})
}

func TestQ25_ADeadLetterQueueIsThereAndOfTheSameTypeAccountAndRegion(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		standard, fifo := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		dead, deadFIFO := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		abroad := client{c.neighbour(), c.query}
		for _, q := range []struct{ source, target, words string }{
			{standard, c.arn(dead), ""},
			{fifo, c.arn(deadFIFO), ""},
			{standard, c.arn(deadFIFO), "Dead-letter queue must be same type of queue as the source."},
			{fifo, c.arn(dead), "Dead-letter queue must be same type of queue as the source."},
			{standard, c.arn("none"), "Dead letter target does not exist."},
			{standard, abroad.arn(abroad.queue(nil)), "Dead letter target does not exist."},
			{standard, strings.Replace(c.arn(dead), region, "elsewhere-1", 1), "Dead letter target does not exist."},
			{standard, strings.Replace(c.arn(dead), ":sqs:", ":sns:", 1), "Dead letter target does not exist."},
		} {
			before := c.attributesOf(q.source, "RedrivePolicy")
			policy := `"RedrivePolicy":` + quoted(`{"deadLetterTargetArn":"`+q.target+`","maxReceiveCount":5}`)
			if q.words == "" {
				c.set(q.source, policy).ok(nil)
				continue
			}
			c.set(q.source, policy).fails(400, invalid, invalidType, q.words)
			diff(t, "it stays as it was", before, c.attributesOf(q.source, "RedrivePolicy"))
		}
	})
}

func TestQ26_WhoMayUseADeadLetterQueue(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, other, dead := c.queue(nil), c.queue(nil), c.queue(nil)
		c.set(dead, `"RedriveAllowPolicy":`+quoted(`{"redrivePermission":"byQueue","sourceQueueArns":["`+c.arn(address)+`"]}`)).ok(nil)
		redrive := `"RedrivePolicy":` + quoted(`{"deadLetterTargetArn":"`+c.arn(dead)+`","maxReceiveCount":3}`)
		c.set(address, redrive).ok(nil)
		c.set(other, redrive).fails(400, invalid, invalidType, "does not allow")
		for _, bad := range []string{`{"redrivePermission":"some"}`, `{"redrivePermission":"byQueue"}`, `{"redrivePermission":"allowAll","sourceQueueArns":["` + c.arn(address) + `"]}`,
			`{"redrivePermission":"byQueue","sourceQueueArns":["x"]}`, `{}`, `x`} {
			c.set(dead, `"RedriveAllowPolicy":`+quoted(bad)).fails(400, invalid, invalidType, "RedriveAllowPolicy")
		}
	})
}

func TestQ27_EncryptionIsALabel(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		names := []string{"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"}
		c.set(address, `"KmsDataKeyReusePeriodSeconds":"60"`).ok(nil)
		diff(t, "no key", object{"SqsManagedSseEnabled": "true"}, c.attributesOf(address, names...))
		c.set(address, `"KmsMasterKeyId":"alias/aws/sqs"`).ok(nil)
		diff(t, "key", object{"SqsManagedSseEnabled": "false", "KmsMasterKeyId": "alias/aws/sqs", "KmsDataKeyReusePeriodSeconds": "60"}, c.attributesOf(address, names...))
		c.set(address, `"KmsMasterKeyId":""`).ok(nil)
		diff(t, "key cleared", object{"SqsManagedSseEnabled": "false"}, c.attributesOf(address, names...))
		c.set(address, `"SqsManagedSseEnabled":"true","KmsMasterKeyId":"x"`).fails(400, "InvalidAttributeName", "InvalidAttributeName", "You can use one type of server-side encryption")
	})
}

func TestQ28_ALowerRetentionEndsMessages(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "old")
		c.clock.Advance(2 * time.Minute)
		c.send(address, "new")
		c.set(address, `"MessageRetentionPeriod":"60"`).ok(nil)
		diff(t, "left", []string{"new"}, bodies(c.receive(address)))
	})
}

func TestBoundsOfAttributes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		before := c.attributesOf(address, "All")
		for name, bad := range map[string][]string{
			"VisibilityTimeout":             {"-1", "43201", "abc", "30 ", "0x1e", "１０", "", "1e1", "99999999999999999999"},
			"MessageRetentionPeriod":        {"59", "1209601"},
			"MaximumMessageSize":            {"1023", "1048577"},
			"DelaySeconds":                  {"901"},
			"ReceiveMessageWaitTimeSeconds": {"21"},
			"KmsDataKeyReusePeriodSeconds":  {"59", "86401"},
			"SqsManagedSseEnabled":          {"yes"},
			"Policy":                        {"x", "[]", "1", `{"a":"` + strings.Repeat("x", 8192) + `"}`},
			"KmsMasterKeyId":                {strings.Repeat("x", 3000)},
		} {
			for _, value := range bad {
				c.set(address, `"`+name+`":`+quoted(value)).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", name)
			}
		}
		c.call("SetQueueAttributes", in(address, "")).fails(400, "MissingParameter", "MissingRequiredParameterException", "Attributes")
		diff(t, "nothing was changed", before, c.attributesOf(address, "All"))
		fifo := c.queue(map[string]string{"FifoQueue": "true"})
		c.set(fifo, `"FifoThroughputLimit":"perMessageGroupId"`).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", "FifoThroughputLimit")
		c.set(fifo, `"FifoThroughputLimit":"x"`).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", "FifoThroughputLimit")
		c.set(fifo, `"DeduplicationScope":"x"`).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", "DeduplicationScope")
		c.set(fifo, `"FifoThroughputLimit":"perMessageGroupId","DeduplicationScope":"messageGroup"`).ok(nil)
		diff(t, "high throughput", object{"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"},
			c.attributesOf(fifo, "FifoThroughputLimit", "DeduplicationScope"))
	})
}

func TestQ43_Permissions(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		add := func(label, accounts, actions string) *answer {
			return c.call("AddPermission", in(address, `"Label":"`+label+`","AWSAccountIds":[`+accounts+`],"Actions":[`+actions+`]`))
		}
		add("one", `"123456789012"`, `"SendMessage"`).ok(nil)
		diff(t, "one of each", object{"Policy": `{"Version":"2008-10-17","Id":"` + c.arn(address) + `/SQSDefaultPolicy","Statement":[{"Sid":"one","Effect":"Allow",` +
			`"Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"SQS:SendMessage","Resource":"` + c.arn(address) + `"}]}`}, c.attributesOf(address, "Policy"))
		add("two", `"123456789012","123456789013"`, `"SendMessage","ReceiveMessage"`).ok(nil)
		if got := str(c.attributesOf(address, "Policy"), "Policy"); !strings.Contains(got, `"Principal":{"AWS":["arn:aws:iam::123456789012:root","arn:aws:iam::123456789013:root"]},"Action":["SQS:SendMessage","SQS:ReceiveMessage"]`) {
			t.Errorf("got %s", got)
		}
		before := c.attributesOf(address, "Policy")
		add("one", `"123456789012"`, `"SendMessage"`).fails(400, invalid, invalidType, "Value one for parameter Label is invalid. Reason: Already exists.")
		add("x", `"123456789012"`, `"a","b","c","d","e","f","g","h"`).fails(403, "OverLimit", "com.amazonaws.sqs#OverLimit", "8 Actions were found, maximum allowed is 7.")
		for _, action := range []string{"Foo", "CreateQueue", "DeleteQueue", "ListQueues", "AddPermission", "SetQueueAttributes", "TagQueue", "SendMessageBatch"} {
			add("x", `"123456789012"`, `"`+action+`"`).fails(400, invalid, invalidType, "Value SQS:"+action+" for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions.")
		}
		add("x", `"12345"`, `"SendMessage"`).fails(400, invalid, invalidType, "")
		add(strings.Repeat("x", 81), `"123456789012"`, `"SendMessage"`).fails(400, invalid, invalidType, "Label")
		add("x", ``, `"SendMessage"`).fails(400, "MissingParameter", "", "")
		remove := func(label string) *answer { return c.call("RemovePermission", in(address, `"Label":"`+label+`"`)) }
		remove("none").fails(400, invalid, invalidType, "Value none for parameter Label is invalid. Reason: can't find label.")
		diff(t, "unchanged", before, c.attributesOf(address, "Policy"))
		remove("one").ok(nil)
		remove("two").ok(nil)
		diff(t, "no policy is left", object(nil), c.attributesOf(address, "Policy"))
	})
}

func TestQ46_WhatCanBePermitted(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		add := func(actions ...string) *answer {
			raw, err := json.Marshal(actions)
			c.must(err)
			return c.call("AddPermission", in(address, fmt.Sprintf(`"Label":"l%d","AWSAccountIds":["123456789012"],"Actions":%s`, names.Add(1), raw)))
		}
		seven := []string{"SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl", "PurgeQueue"}
		add(seven...).ok(nil)
		add("ListDeadLetterSourceQueues").ok(nil)
		add("*").ok(nil)
		before := c.attributesOf(address, "Policy")
		for n, list := range map[int][]string{8: append(slices.Clone(seven), "ListDeadLetterSourceQueues"), 9: append(slices.Clone(seven), "Foo", "Foo")} {
			add(list...).fails(403, "OverLimit", "com.amazonaws.sqs#OverLimit", fmt.Sprintf("%d Actions were found, maximum allowed is 7.", n))
		}
		for _, action := range []string{"AddPermission", "CreateQueue", "DeleteQueue", "ListQueues", "ListQueueTags", "RemovePermission", "SetQueueAttributes", "TagQueue", "UntagQueue",
			"StartMessageMoveTask", "CancelMessageMoveTask", "ListMessageMoveTasks", "Publish", "sendmessage", ""} {
			add("SendMessage", action).fails(400, invalid, invalidType,
				"Value SQS:"+action+" for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions.")
		}
		diff(t, "the policy", before, c.attributesOf(address, "Policy"))
	})
}

func TestQ48_APolicyThatSomebodySetKeepsItsStatements(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		const statement = `{"Effect":"Allow", "Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:x"}}}`
		for _, policy := range []string{`{"Version":"2012-10-17","Statement":[` + statement + `]}`, `{"Version":"2012-10-17","Statement":` + statement + `}`} {
			c.set(address, `"Policy":`+quoted(policy)).ok(nil)
			c.out("AddPermission", in(address, `"Label":"l","AWSAccountIds":["123456789012"],"Actions":["*"]`))
			got := str(c.attributesOf(address, "Policy"), "Policy")
			if !strings.Contains(got, strings.ReplaceAll(statement, ", ", ",")) || !strings.Contains(got, `"Sid":"l"`) {
				t.Errorf("got %s", got)
			}
		}
	})
}
