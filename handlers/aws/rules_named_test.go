package aws_test

import (
	"slices"
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
