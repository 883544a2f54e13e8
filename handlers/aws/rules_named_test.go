package aws_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestQ3_ARNs(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		diff(t, "ARN", object{"QueueArn": "arn:aws:sqs:" + region + ":" + c.tenant.AccountNumber + ":" + nameOf(address)}, c.attributesOf(address, "QueueArn"))
	})
}

func TestQ8_ANameIsTheAddressOfAQueueOfOnesOwn(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := nameOf(c.queue(nil))
		for _, address := range []string{name, name + "/"} {
			c.send(address, address)
			diff(t, "received", []string{address}, bodies(c.receive(name)))
		}
		client{c.neighbour(), c.query}.call("SendMessage", in(name, `"MessageBody":"x"`)).fails(400, noSuchQueue, "QueueDoesNotExist", "")
	})
}

func TestQ16_AFreshQueueHasTwelveAttributes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		standard := []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible", "CreatedTimestamp",
			"DelaySeconds", "LastModifiedTimestamp", "MaximumMessageSize", "MessageRetentionPeriod", "QueueArn", "ReceiveMessageWaitTimeSeconds",
			"SqsManagedSseEnabled", "VisibilityTimeout"}
		named := func(o object) []string {
			list := []string{}
			for name := range o {
				list = append(list, name)
			}
			slices.Sort(list)
			return list
		}
		diff(t, "standard", standard, named(c.attributesOf(c.queue(nil), "All")))
		fifo := append(slices.Clone(standard), "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
		slices.Sort(fifo)
		diff(t, "FIFO", fifo, named(c.attributesOf(c.queue(map[string]string{"FifoQueue": "true"}), "All")))
	})
}

func TestQ18_AStandardQueueKnowsNoAttributeOfFIFOQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, name := range []string{"FifoQueue", "ContentBasedDeduplication"} {
			c.call("GetQueueAttributes", in(address, `"AttributeNames":["`+name+`"]`)).fails(400, "InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
			c.set(address, `"`+name+`":"false"`).fails(400, "InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
			c.call("CreateQueue", `{"QueueName":"`+nameOf(address)+`x","Attributes":{"`+name+`":"false"}}`).fails(400, "InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
		}
	})
}

func TestQ19_WhatOnlyFIFOQueuesCanBeTold(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for name, value := range map[string]string{"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"} {
			c.set(address, `"`+name+`":"`+value+`"`).fails(400, "InvalidAttributeName", "InvalidAttributeName", "You can specify the "+name+" only when FifoQueue is set to true.")
		}
	})
}

func TestQ20_AQueueKeepsItsType(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true"})
		c.set(address, `"FifoQueue":"true"`).ok(nil)
		c.set(address, `"FifoQueue":"false"`).fails(400, "InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
		diff(t, "type", object{"FifoQueue": "true"}, c.attributesOf(address, "FifoQueue"))
	})
}

func TestQ29_ANewDelayIsForWhatIsSentFromThenOn(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"DelaySeconds": "60"})
		c.send(address, "before")
		c.set(address, `"DelaySeconds":"0","VisibilityTimeout":"5"`).ok(nil)
		c.send(address, "after")
		diff(t, "at once", []string{"after"}, bodies(c.receive(address)))
		c.set(address, `"VisibilityTimeout":"500"`).ok(nil)
		c.clock.Advance(6 * time.Second)
		diff(t, "held as it was when it was received", []string{"after"}, bodies(c.receive(address)))
		c.clock.Advance(55 * time.Second)
		diff(t, "the delay that it was sent with", []string{"before"}, bodies(c.receive(address)))
	})
}

func TestQ44_LabelsStandOnceAndCanBeFound(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		add := in(address, `"Label":"l","AWSAccountIds":["123456789012"],"Actions":["SendMessage"]`)
		c.out("AddPermission", add)
		c.refuses("AddPermission", add, "Value l for parameter Label is invalid. Reason: Already exists.")
		c.refuses("RemovePermission", in(address, `"Label":"m"`), "Value m for parameter Label is invalid. Reason: can't find label.")
	})
}

func TestQ45_TheLastPermissionTakesThePolicyWithIt(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.out("AddPermission", in(address, `"Label":"l","AWSAccountIds":["123456789012"],"Actions":["*"]`))
		if got := str(c.attributesOf(address, "Policy"), "Policy"); !strings.Contains(got, `"Action":"SQS:*"`) {
			t.Errorf("the policy is %s", got)
		}
		c.out("RemovePermission", in(address, `"Label":"l"`))
		diff(t, "policy", object(nil), c.attributesOf(address, "Policy"))
	})
}

func TestQ58_EachMessageHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		form, seen := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`), map[string]bool{}
		for range 3 {
			id := str(c.send(address, "x"), "MessageId")
			if !form.MatchString(id) || seen[id] {
				t.Errorf("the id is %s", id)
			}
			seen[id] = true
		}
		for _, m := range messages(c.receive(address)) {
			if !seen[str(m, "MessageId")] {
				t.Errorf("received is %s", m["MessageId"])
			}
		}
	})
}

func TestQ78_WhatAMessageSaysOfItself(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		sent := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		address, fifo := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		c.send(address, "x", `"MessageGroupId":"g"`)
		number := str(c.send(fifo, "x", `"MessageGroupId":"g"`, `"MessageDeduplicationId":"d"`), "SequenceNumber")
		c.clock.Advance(time.Second)
		first := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		want := object{"SenderId": c.tenant.AccountNumber, "SentTimestamp": sent, "ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": first, "MessageGroupId": "g"}
		received := func(address string) any {
			return messages(c.receive(address, `"VisibilityTimeout":0`, `"MessageSystemAttributeNames":["All"]`))[0]["Attributes"]
		}
		diff(t, "standard", any(want), received(address))
		c.clock.Advance(time.Second)
		want["ApproximateReceiveCount"] = "2"
		diff(t, "again", any(want), received(address))
		want["ApproximateReceiveCount"], want["MessageDeduplicationId"], want["SequenceNumber"] = "1", "d", number
		want["ApproximateFirstReceiveTimestamp"] = strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		diff(t, "FIFO", any(want), received(fifo))
	})
}

func TestQ81_WhatIsHeldIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, seen := c.queue(nil), map[string]bool{}
		for i := range 25 {
			c.send(address, strconv.Itoa(i))
		}
		for range 3 {
			for _, body := range bodies(c.receive(address)) {
				if seen[body] {
					t.Errorf("%s came twice", body)
				}
				seen[body] = true
			}
		}
		diff(t, "messages", 25, len(seen))
	})
}

func TestQ121_AGroupWithMuchWaitingHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for range 15 {
			c.send(address, "busy", `"MessageGroupId":"busy"`)
		}
		c.send(address, "quiet", `"MessageGroupId":"quiet"`)
		if got := bodies(c.out("ReceiveMessage", in(address, `"MaxNumberOfMessages":2`))); !slices.Contains(got, "quiet") {
			t.Errorf("got %v", got)
		}
	})
}
