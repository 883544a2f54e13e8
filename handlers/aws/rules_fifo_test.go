package aws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fifo makes a FIFO queue that tells messages apart by their bodies, with more attributes as names and values in turn.
func (c client) fifo(more ...string) string {
	c.Helper()
	attributes := map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"}
	for i := 0; i < len(more); i += 2 {
		attributes[more[i]] = more[i+1]
	}
	return c.queue(attributes)
}

// sends sends a message of a group, with a deduplication id unless it is "".
func (c client) sends(address, body, group, dedup string) object {
	c.Helper()
	more := []string{`"MessageGroupId":` + quoted(group)}
	if dedup != "" {
		more = append(more, `"MessageDeduplicationId":`+quoted(dedup))
	}
	return c.send(address, body, more...)
}

func TestQ104_AMessageOfAFIFOQueueHasAGroup(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		c.call("SendMessage", in(c.fifo(), `"MessageBody":"x"`)).fails(400, "MissingParameter", "MissingRequiredParameterException", "The request must contain the parameter MessageGroupId.")
	})
}

func TestQ105_AMessageOfAFIFOQueueCanBeToldApart(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		c.refuses("SendMessage", in(c.queue(map[string]string{"FifoQueue": "true"}), `"MessageBody":"x","MessageGroupId":"g"`),
			"The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	})
}

func TestQ106_GroupsAndDeduplicationIDs(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, standard := c.fifo(), c.queue(nil)
		for _, bad := range []string{"", strings.Repeat("x", 129), "a b", "é", "\n"} {
			const words = " can only include alphanumeric and punctuation characters. 1 to 128 in length."
			for _, to := range []string{address, standard} {
				c.refuses("SendMessage", in(to, `"MessageBody":"x","MessageGroupId":`+quoted(bad)), "for parameter MessageGroupId is invalid. Reason: MessageGroupId"+words)
			}
			c.refuses("SendMessage", in(address, `"MessageBody":"x","MessageGroupId":"g","MessageDeduplicationId":`+quoted(bad)),
				"for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId"+words)
		}
		const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
		c.sends(address, "x", punctuation, punctuation)
		c.sends(address, "x", strings.Repeat("g", 128), strings.Repeat("d", 128))
	})
}

func TestQ107_StandardQueuesTakeNoDeduplicationID(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		c.refuses("SendMessage", in(c.queue(nil), `"MessageBody":"x","MessageDeduplicationId":"d"`), "The request includes a parameter that is not valid for this queue type.")
	})
}

func TestQ108_TheIDOfABodyIsItsDigest(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		const digest = "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25" // of Test
		first := c.send(address, "Test", `"MessageGroupId":"g"`, `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"}}`)
		diff(t, "attributes make no difference", first["MessageId"], c.sends(address, "Test", "g", "")["MessageId"])
		diff(t, "an id that is the digest is a duplicate", first["MessageId"], c.sends(address, "other", "g", digest)["MessageId"])
		if c.sends(address, "Test", "g", "own")["MessageId"] == first["MessageId"] {
			t.Error("an id that is given does not win")
		}
		m := messages(c.receive(address, `"AttributeNames":["MessageDeduplicationId"]`))
		diff(t, "ids", []any{object{"MessageDeduplicationId": digest}, object{"MessageDeduplicationId": "own"}}, []any{m[0]["Attributes"], m[1]["Attributes"]})
	})
}

func TestQ109_AnIDIsRememberedForFiveMinutes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		first := c.sends(address, "x", "g", "d")["MessageId"]
		c.deletes(address, c.delivery(address)).ok(nil)
		c.clock.Advance(5*time.Minute - time.Second)
		diff(t, "after it was deleted", first, c.sends(address, "x", "g", "d")["MessageId"])
		c.clock.Advance(time.Second)
		if c.sends(address, "x", "g", "d")["MessageId"] == first {
			t.Error("it is remembered for longer than five minutes from the first send on")
		}
	})
}

func TestQ110_ADuplicateIsAnsweredWithTheFirst(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		first, again := c.sends(address, "one", "g", "d"), c.sends(address, "two", "g", "d")
		diff(t, "answer", []any{first["MessageId"], first["SequenceNumber"]}, []any{again["MessageId"], again["SequenceNumber"]})
		diff(t, "stored once", []string{"one"}, bodies(c.receive(address)))
	})
}

func TestQ111_IDsAreUniqueInTheQueueOrInTheGroup(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		for scope, want := range map[string]int{"queue": 1, "messageGroup": 2} {
			address := c.fifo("DeduplicationScope", scope)
			for _, group := range []string{"g", "h", "g", "h"} {
				c.sends(address, group, group, "d")
			}
			diff(t, scope, want, len(bodies(c.receive(address))))
		}
	})
}

func TestQ112_AnotherScopeHoldsFromThenOn(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		c.set(address, `"DeduplicationScope":"messageGroup"`).ok(nil)
		diff(t, "shown", object{"DeduplicationScope": "messageGroup"}, c.attributesOf(address, "DeduplicationScope"))
		for _, group := range []string{"g", "h", "g"} {
			c.sends(address, group, group, "d")
		}
		diff(t, "stored", []string{"g", "h"}, slices.Sorted(slices.Values(bodies(c.receive(address)))))
	})
}

func TestQ113_SequenceNumbersGrow(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, last := c.fifo(), ""
		sent := map[string]string{}
		for i := range 3 {
			body := fmt.Sprint(i)
			n := str(c.sends(address, body, body, ""), "SequenceNumber")
			if len(n) != 20 || strings.Trim(n, "0123456789") != "" || n <= last {
				t.Errorf("%q comes after %q", n, last)
			}
			sent[body], last = n, n
		}
		for range 2 {
			got := map[string]string{}
			for _, m := range messages(c.receive(address, `"VisibilityTimeout":0`, `"AttributeNames":["SequenceNumber"]`)) {
				got[str(m, "Body")] = str(m["Attributes"].(object), "SequenceNumber")
			}
			diff(t, "received", sent, got)
		}
		if n, there := c.send(c.queue(nil), "x")["SequenceNumber"]; there {
			t.Errorf("a standard queue has the number %v", n)
		}
	})
}

func TestQ114_WhatOfAGroupCanBeReceived(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		for _, body := range []string{"1", "2", "3"} {
			c.sends(address, body, "g", "")
		}
		two := messages(c.out("ReceiveMessage", in(address, `"MaxNumberOfMessages":2,"VisibilityTimeout":60`)))
		handle := func(i int) string { return quoted(str(two[i], "ReceiptHandle")) }
		c.sends(address, "4", "g", "")
		diff(t, "behind what is in flight", object{}, c.receive(address))
		c.hides(address, handle(0), "0").ok(nil)
		first := messages(c.receive(address, `"VisibilityTimeout":60`))
		diff(t, "one that was returned, though the next is in flight", 1, len(first))
		diff(t, "it", "1", str(first[0], "Body"))
		c.deletes(address, quoted(str(first[0], "ReceiptHandle"))).ok(nil)
		diff(t, "while the second is in flight", object{}, c.receive(address))
		c.clock.Advance(time.Minute)
		diff(t, "after its time, in order", []string{"2", "3", "4"}, bodies(c.receive(address)))
	})
}

func TestQ115_OneReceiveEmptiesAGroupFirst(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		for _, body := range []string{"1a", "2a", "1b", "1c"} {
			c.sends(address, body, body[:1], "")
		}
		diff(t, "messages", []string{"1a", "1b", "1c", "2a"}, bodies(c.receive(address)))
	})
}

func TestQ116_AGroupThatWasServedIsBehindTheOthers(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		for _, body := range []string{"1a", "1b", "2a", "2b"} {
			c.sends(address, body, body[:1], "")
		}
		got := []string{}
		for range 4 {
			m := messages(c.out("ReceiveMessage", in(address, "")))[0]
			got = append(got, str(m, "Body"))
			c.clock.Advance(time.Millisecond)
			c.deletes(address, quoted(str(m, "ReceiptHandle"))).ok(nil)
		}
		diff(t, "messages", []string{"1a", "2a", "1b", "2b"}, got)
	})
}

func TestQ117_WhatIsNotHiddenBlocksNothing(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.fifo()
		for _, body := range []string{"1", "2"} {
			c.sends(address, body, "g", "")
		}
		for range 2 {
			diff(t, "messages", []string{"1", "2"}, bodies(c.receive(address, `"VisibilityTimeout":0`)))
		}
	})
}
