package aws_test

import (
	"strings"
	"testing"
	"time"
)

// deletes deletes a message by its receipt, which is JSON.
func (c client) deletes(address, handle string) *answer {
	c.Helper()
	return c.call("DeleteMessage", in(address, `"ReceiptHandle":`+handle))
}

// hides changes how long a message is hidden.
func (c client) hides(address, handle, seconds string) *answer {
	c.Helper()
	return c.call("ChangeMessageVisibility", in(address, `"VisibilityTimeout":`+seconds+`,"ReceiptHandle":`+handle))
}

func TestQ82_EachReceiveGivesAnotherReceipt(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		one, two := c.delivery(address, `"VisibilityTimeout":0`), c.delivery(address)
		if one == two || len(one) > 1024+len(`""`) || len(two) > 1024+len(`""`) {
			t.Errorf("handles %s and %s", one, two)
		}
	})
}

func TestQ83_WhatIsNoReceiptIsRefused(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		for _, bad := range []string{`"INVALID"`, handle[:len(handle)-2] + `-"`, quoted(strings.Repeat("x", 4096))} {
			for _, a := range []*answer{c.deletes(address, bad), c.hides(address, bad, "5")} {
				a.fails(400, "ReceiptHandleIsInvalid", "com.amazonaws.sqs#ReceiptHandleIsInvalid", "is not a valid receipt handle.")
			}
		}
		c.deletes(address, `"INVALID"`).fails(400, "ReceiptHandleIsInvalid", "", `The input receipt handle "INVALID" is not a valid receipt handle.`)
		c.deletes(c.queue(nil), handle).fails(400, "ReceiptHandleIsInvalid", "", "")
		c.call("DeleteMessage", in(address, "")).fails(400, "MissingParameter", "MissingRequiredParameterException", "ReceiptHandle")
	})
}

func TestQ84_AReceiptDeletesAfterItsTimeWhileNobodyElseHasTheMessage(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address, `"VisibilityTimeout":5`)
		c.clock.Advance(6 * time.Second)
		c.deletes(address, handle).ok(nil)
		diff(t, "gone", object{}, c.receive(address))
	})
}

func TestQ85_AnOldReceiptIsNoErrorAndHasNoEffect(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		old := c.delivery(address, `"VisibilityTimeout":5`)
		c.clock.Advance(5 * time.Second)
		c.delivery(address)
		c.deletes(address, old).ok(nil)
		diff(t, "still there", object{held: "1"}, c.attributesOf(address, held))
	})
}

func TestQ86_DeletingAgainSucceeds(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		for _, address := range []string{c.queue(nil), c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})} {
			c.send(address, "x", `"MessageGroupId":"g"`)
			handle := c.delivery(address)
			for range 3 {
				c.deletes(address, handle).ok(nil)
			}
		}
	})
}

func TestQ88_WhatIsDeletedCannotBeHidden(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		c.deletes(address, handle).ok(nil)
		c.hides(address, handle, "5").fails(400, invalid, invalidType, notInvisible)
		c.call("ChangeMessageVisibility", in(address, `"ReceiptHandle":`+handle)).fails(400, "MissingParameter", "MissingRequiredParameterException", "VisibilityTimeout")
	})
}

func TestQ89_ALeaseThatIsOverIsNoErrorAndStaysOver(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address, `"VisibilityTimeout":5`)
		c.clock.Advance(5 * time.Second)
		c.hides(address, handle, "30").ok(nil)
		c.hides(address, handle, "0").ok(nil)
		diff(t, "it can be received", []string{"x"}, bodies(c.receive(address)))
	})
}

func TestQ90_AnOldReceiptHidesNothing(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		old, newer := c.delivery(address, `"VisibilityTimeout":0`), c.delivery(address)
		c.hides(address, old, "0").fails(400, invalid, invalidType, notInvisible)
		diff(t, "it stays with who has it", object{}, c.receive(address))
		c.hides(address, newer, "0").ok(nil)
		diff(t, "until he returns it", []string{"x"}, bodies(c.receive(address)))
	})
}

func TestQ91_AMessageIsHiddenForTwelveHoursAtMost(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		for _, n := range []string{"-1", "43201"} {
			c.hides(address, handle, n).fails(400, invalid, invalidType, "VisibilityTimeout")
		}
		c.clock.Advance(time.Second)
		c.hides(address, handle, "43200").fails(400, invalid, invalidType, "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
		c.clock.Advance(28 * time.Second)
		diff(t, "the lease stayed as it was", object{}, c.receive(address))
		c.hides(address, handle, "43171").ok(nil)
	})
}

func TestQ92_ANewTimeCountsFromTheCallAndIsForgotten(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"VisibilityTimeout": "10"})
		c.send(address, "x")
		handle := c.delivery(address)
		c.clock.Advance(9 * time.Second)
		c.hides(address, handle, "5").ok(nil)
		c.clock.Advance(4 * time.Second)
		diff(t, "after 4 of 5 s", object{}, c.receive(address))
		c.clock.Advance(time.Second)
		c.delivery(address)
		c.clock.Advance(9 * time.Second)
		diff(t, "after 9 s of the queue's 10", object{}, c.receive(address))
		c.clock.Advance(time.Second)
		diff(t, "after 10 s", []string{"x"}, bodies(c.receive(address)))
	})
}

func TestQ94_AMessageIsDeletedThoughItIsHeld(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		other := client{c.doorTest, !c.query} // whoever has the receipt
		other.deletes(address, handle).ok(nil)
		c.clock.Advance(time.Hour)
		diff(t, "gone", object{}, c.receive(address))
	})
}

func TestQ95_WhatIsReturnedCountsAsReceived(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		for _, count := range []string{"1", "2", "3"} {
			m := messages(c.receive(address, `"AttributeNames":["ApproximateReceiveCount"]`))[0]
			diff(t, "count", object{"ApproximateReceiveCount": count}, m["Attributes"])
			c.hides(address, quoted(str(m, "ReceiptHandle")), "0").ok(nil)
		}
	})
}
