package aws_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestQ11_WhatASendIsTold(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		ids := map[string]bool{}
		for body, sum := range map[string]string{"a": "0cc175b9c0f1b6a831c399e269772661", "test": "098f6bcd4621d373cade4e832627b4f6",
			"ü": "c03410a5204b21cd8229ff754688d743", "☃": "48856faf4534a876adeadc72aec53cb2"} {
			sent := c.send(address, body)
			diff(t, "members", []string{"MD5OfMessageBody", "MessageId"}, keysOf(sent))
			diff(t, "digest of "+body, sum, str(sent, "MD5OfMessageBody"))
			id := str(sent, "MessageId")
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || ids[id] {
				t.Errorf("id %s", id)
			}
			ids[id] = true
			m := messages(c.receive(address))[0]
			diff(t, "received", []string{body, sum, id}, []string{str(m, "Body"), str(m, "MD5OfBody"), str(m, "MessageId")})
		}
	})
}

func TestQ49_AMessageHasABody(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, missing := range []string{in(address, ""), in(address, `"MessageBody":""`)} {
			c.call("SendMessage", missing).fails(400, "MissingParameter", "MissingRequiredParameterException", "The request must contain the parameter MessageBody.")
		}
	})
}

func TestQ50_BodiesAreTextThatXMLCanCarry(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, bad := range []string{`\u0000`, `\u0001`, `\u000b`, `\ufffe`, `\uffff`} {
			c.call("SendMessage", in(address, `"MessageBody":"x`+bad+`"`)).fails(400, "InvalidMessageContents", "com.amazonaws.sqs#InvalidMessageContents", "Invalid characters")
		}
		for _, body := range []string{"\t\n\r", " ", "\r\n", "<a href=\"x\">&amp;</a>\r\n", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", `"\`, "\u2028"} {
			c.send(address, body)
			if got := bodies(c.receive(address)); len(got) != 1 || got[0] != body {
				t.Errorf("got %q, want %q", got, body)
			}
		}
	})
}

func TestQ51_Sizes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"MaximumMessageSize": "1024"})
		const system = `"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}`
		c.send(address, strings.Repeat("x", 1024))
		c.send(address, strings.Repeat("x", 1024), system)
		c.send(address, strings.Repeat("x", 1014), `"MessageAttributes":{"n":{"DataType":"String","StringValue":"123"}}`)
		c.refuses("SendMessage", in(address, `"MessageBody":"`+strings.Repeat("x", 1025)+`"`), "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.")
		c.refuses("SendMessage", in(address, `"MessageBody":"`+strings.Repeat("x", 1015)+`","MessageAttributes":{"n":{"DataType":"String","StringValue":"123"}}`), "shorter than 1024 bytes")
		c.refuses("SendMessage", in(address, `"MessageBody":"`+strings.Repeat("é", 600)+`"`), "shorter than 1024 bytes")
	})
}

func TestQ52_AMessageHasAsManyBytesAsItsQueueSays(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		for address, most := range map[string]int{c.queue(map[string]string{"MaximumMessageSize": "1024"}): 1024, c.queue(nil): 1 << 20} {
			c.send(address, strings.Repeat("x", most))
			c.refuses("SendMessage", in(address, `"MessageBody":"`+strings.Repeat("x", most+1)+`"`),
				fmt.Sprintf("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", most))
		}
	})
}

// withAttributes sends a message with attributes, which are JSON without braces.
func (c client) withAttributes(address, attributes string) *answer {
	c.Helper()
	return c.call("SendMessage", in(address, `"MessageBody":"x","MessageAttributes":{`+attributes+`}`))
}

// text is an attribute.
func text(name, kind, value string) string {
	return quoted(name) + `:{"DataType":` + quoted(kind) + `,"StringValue":` + quoted(value) + `}`
}

func TestQ54_TypesOfAttributes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for kind, value := range map[string]string{"Number": "007", "Number.int": "19.12", "String": "x", "String." + strings.Repeat("l", 249): "x"} {
			c.withAttributes(address, text("n", kind, value)).ok(nil)
			m := messages(c.receive(address, `"MessageAttributeNames":["n"]`))[0]
			diff(t, "as it was sent", object{"n": object{"DataType": kind, "StringValue": value}}, m["MessageAttributes"])
		}
		for _, n := range []string{"1e-128", "-1e126", strings.Repeat("9", 38)} {
			c.withAttributes(address, text("n", "Number", n)).ok(nil)
		}
		for _, bad := range []string{text("n", "Foo", "x"), text("n", "", "x"), text("n", "String."+strings.Repeat("l", 300), "x"), text("n", "Number", "abc"), text("n", "Number", "NaN"),
			text("n", "Number", "1e400"), text("n", "Number", "1e-129"), text("n", "Number", strings.Repeat("9", 39))} {
			c.withAttributes(address, bad).fails(400, invalid, invalidType, "")
		}
	})
}

func TestQ55_AnAttributeHasAValue(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		const empty = "Message (user) attribute 'X' must contain a non-empty value of type '%s'."
		for _, bad := range []struct{ attributes, words string }{
			{text("X", "String", ""), fmt.Sprintf(empty, "String")}, {`"X":{"DataType":"String"}`, fmt.Sprintf(empty, "String")}, {text("X", "Binary", "x"), fmt.Sprintf(empty, "Binary")},
			{`"X":{"DataType":"String","StringValue":"\u0001"}`, "invalid characters"},
		} {
			c.withAttributes(address, bad.attributes).fails(400, invalid, invalidType, bad.words)
		}
	})
}

func TestQ53_NamesOfAttributes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		send := func(attributes string) *answer { return c.withAttributes(address, attributes) }
		many := make([]string, 11)
		for i := range many {
			many[i] = text(fmt.Sprintf("n%d", i), "String", "x")
		}
		send(strings.Join(many[:10], ",")).ok(nil)
		for _, good := range []string{text(strings.Repeat("n", 256), "String", "x"), text("a.b-c_d", "String", "x")} {
			send(good).ok(nil)
		}
		for _, bad := range []struct{ attributes, words string }{
			{strings.Join(many, ","), "Number of message attributes [11] exceeds the allowed maximum [10]."},
			{text("aws.x", "String", "x"), "AWS."}, {text("Amazon.x", "String", "x"), "AWS."},
			{text(".a", "String", "x"), ""}, {text("a.", "String", "x"), ""}, {text("a..b", "String", "x"), ""}, {text("a^", "String", "x"), ""},
			{text(strings.Repeat("n", 257), "String", "x"), ""}, {text("", "String", "x"), ""},
		} {
			a := send(bad.attributes)
			a.fails(400, invalid, invalidType, bad.words)
		}
		c.call("SendMessage", in(address, `"MessageBody":"x","MessageSystemAttributes":{"Other":{"DataType":"String","StringValue":"x"}}`)).fails(400, invalid, invalidType, "AWSTraceHeader")
		c.call("SendMessage", in(address, `"MessageBody":"x","MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"Number","StringValue":"1"}}`)).fails(400, invalid, invalidType, "AWSTraceHeader")
	})
	h := open(t)
	address := h.queue(nil)
	h.json("SendMessage", in(address, `"MessageBody":"x","MessageAttributes":{"b":{"DataType":"Binary","BinaryValue":"!"}}`)).fails(400, "SerializationException", "SerializationException", "base64")
	h.query("SendMessage", "QueueUrl", address, "MessageBody", "x", "MessageAttribute.1.Name", "b", "MessageAttribute.1.Value.DataType", "Binary", "MessageAttribute.1.Value.BinaryValue", "!").
		fails(400, invalid, "", "base64")
	h.json("SendMessage", in(address, `"MessageBody":"x","MessageAttributes":{"b":{"DataType":"String","StringListValues":["x"]}}`)).
		fails(400, "AWS.SimpleQueueService.UnsupportedOperation", "com.amazonaws.sqs#UnsupportedOperation", "list values")
}

// The digests were computed by others, and some were seen in answers of AWS.
func TestQ60_DigestsOfAttributes(t *testing.T) {
	t.Parallel()
	binary := func(name, kind, value string) string {
		return quoted(name) + `:{"DataType":` + quoted(kind) + `,"BinaryValue":"` + base64.StdEncoding.EncodeToString([]byte(value)) + `"}`
	}
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for attributes, sum := range map[string]string{
			text("timestamp", "Number", "1493147359900"):                               "235c5c510d26fb653d073faed50ae77c",
			text("k", "String", "x"):                                                   "a45daa70926828a2f0a1db3418e6feb4",
			text("attr1", "Number", "19.12"):                                           "1f07082409022a373fa2a2601f82b3cb",
			text("attr1", "Number", "99.12") + "," + text("attr2", "Number", "109.12"): "9b720b3af309c1c4b0d395c53b08c502",
			binary("b", "Binary", "\x02\x03\x04"):                                      "9c554bf269f076b0108eb1ac00bb70f0",
			text("n", "Number.int", "7"):                                               "f3c2a2801c523d26c8996134de718052",
			text("a", "String", "2") + "," + text("Z", "String", "1"):                  "a00a1d44a15828930b48bcb924bb732c",
			text("a-1", "String", "x") + "," + text("a.1", "String", "y") + "," + binary("a_1", "Binary.png", "\x00\xff"): "0602b9a170a8c030e8ef94f1c818171f",
		} {
			sent := c.send(address, "x", `"MessageAttributes":{`+attributes+`}`)
			diff(t, attributes, sum, str(sent, "MD5OfMessageAttributes"))
			m := messages(c.receive(address, `"MessageAttributeNames":["All"]`))[0]
			diff(t, attributes, sum, str(m, "MD5OfMessageAttributes"))
		}
		sent := c.send(address, "x", `"MessageSystemAttributes":{`+text("AWSTraceHeader", "String", trace)+`}`)
		diff(t, "system", object{"MessageId": sent["MessageId"], "MD5OfMessageBody": "9dd4e461268c8034f5c8564e155c67a6", "MD5OfMessageSystemAttributes": "5ae4d5d7636402d80f4eb6d213245a88"}, sent)
		m := messages(c.receive(address, `"MessageSystemAttributeNames":["AWSTraceHeader"],"MessageAttributeNames":["All"]`))[0]
		diff(t, "trace", object{"AWSTraceHeader": trace}, m["Attributes"])
		if m["MD5OfMessageAttributes"] != nil || m["MessageAttributes"] != nil {
			t.Errorf("a message without attributes has %v", m)
		}
		// What is returned is what the digest is of.
		c.send(address, "x", `"MessageAttributes":{`+text("k", "String", "x")+`,`+text("other", "String", "y")+`}`)
		m = messages(c.receive(address, `"MessageAttributeNames":["k"]`))[0]
		diff(t, "subset", "a45daa70926828a2f0a1db3418e6feb4", str(m, "MD5OfMessageAttributes"))
	})
}

func TestQ56_TheTraceInAHeader(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	h.do(h.signed("POST", "/", in(address, `"MessageBody":"x"`), "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage", "X-Amzn-Trace-Id", "Root=1-a-b")).ok(nil)
	m := messages(client{h, false}.receive(address, `"AttributeNames":["All"]`))[0]
	diff(t, "trace", "Root=1-a-b", str(m["Attributes"].(object), "AWSTraceHeader"))
}

func TestQ57_EmptyMapsAreNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	sent := client{h, false}.send(h.queue(nil), "x", `"MessageAttributes":{}`, `"MessageSystemAttributes":{}`)
	diff(t, "members", []string{"MD5OfMessageBody", "MessageId"}, keysOf(sent))
}

func TestQ65_WhatABatchMayBe(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		entry := map[string]string{"SendMessageBatch": `"MessageBody":"x"`, "DeleteMessageBatch": `"ReceiptHandle":"x"`, "ChangeMessageVisibilityBatch": `"ReceiptHandle":"x","VisibilityTimeout":1`}
		const prefix = "AWS.SimpleQueueService."
		for action, members := range entry {
			batch := func(ids ...string) *answer {
				list := make([]string, len(ids))
				for i, id := range ids {
					list[i] = `{"Id":` + quoted(id) + `,` + members + `}`
				}
				return c.call(action, in(address, `"Entries":[`+strings.Join(list, ",")+`]`))
			}
			many := make([]string, 20)
			for i := range many {
				many[i] = fmt.Sprint(i)
			}
			batch().fails(400, prefix+"EmptyBatchRequest", "com.amazonaws.sqs#EmptyBatchRequest", "There should be at least one "+action+"RequestEntry in the request.")
			batch(many...).fails(400, prefix+"TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 20.")
			batch("a", "b", "a").fails(400, prefix+"BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct", "Id a repeated.")
			for _, id := range []string{"", strings.Repeat("x", 81), "a:b", "é", "a b"} {
				batch(id).fails(400, prefix+"InvalidBatchEntryId", "InvalidBatchEntryId", "")
			}
		}
		diff(t, "nothing was stored", object{}, c.receive(address))
	})
}

func entryOf(id string, size int) string {
	return `{"Id":"` + id + `","MessageBody":"` + strings.Repeat("x", size) + `"}`
}

func TestQ66_ABatchHasAMebibyte(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.call("SendMessageBatch", in(address, `"Entries":[`+entryOf("a", 1<<19)+`,`+entryOf("b", 1<<19+1)+`]`)).
			fails(400, "AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.")
		c.out("SendMessageBatch", in(address, `"Entries":[`+entryOf("a", 1<<19)+`,`+entryOf("b", 1<<19)+`]`))
	})
}

func TestQ67_WhatIsWrongWithAnEntryFailsThatEntry(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"MaximumMessageSize": "1024"})
		out := c.out("SendMessageBatch", in(address, `"Entries":[`+entryOf("a", 10)+`,`+entryOf("b", 1025)+`,`+entryOf("c", 1024)+`]`))
		diff(t, "failed", []any{object{"Id": "b", "SenderFault": "true", "Code": "InvalidParameterValue",
			"Message": "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."}}, out["Failed"])
		diff(t, "stored", 2, len(out["Successful"].([]any)))
		bad := c.out("SendMessageBatch", in(address, `"Entries":[{"Id":"a","MessageBody":"\u0001"},{"Id":"b","MessageBody":"y"},{"Id":"c"}]`))
		failed := bad["Failed"].([]any)
		diff(t, "characters", []string{"InvalidMessageContents", "MissingParameter"}, []string{str(failed[0].(object), "Code"), str(failed[1].(object), "Code")})
		diff(t, "what is good is stored", 3, len(messages(c.receive(address))))
	})
}

func TestQ68_FIFOBatches(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true"})
		const good = `{"Id":"a","MessageBody":"1","MessageGroupId":"g","MessageDeduplicationId":"1"}`
		c.refuses("SendMessageBatch", in(address, `"Entries":[`+good+`,{"Id":"b","MessageBody":"x","MessageDeduplicationId":"2"}]`), "The request must contain the parameter MessageGroupId.")
		c.refuses("SendMessageBatch", in(address, `"Entries":[`+good+`,{"Id":"b","MessageBody":"x","MessageGroupId":"g"}]`), "The queue should either have ContentBasedDeduplication enabled")
		diff(t, "nothing was stored", object{}, c.receive(address))
	})
}

func TestQ70_ABatchIsStoredInItsOrder(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
		const good = `{"Id":"a","MessageBody":"1","MessageGroupId":"g","MessageDeduplicationId":"1"}`
		out := c.out("SendMessageBatch", in(address, `"Entries":[`+good+`,{"Id":"b","MessageBody":"2","MessageGroupId":"g"},{"Id":"c","MessageBody":"3","MessageGroupId":"g"}]`))
		last := ""
		for i, id := range []string{"a", "b", "c"} {
			one := out["Successful"].([]any)[i].(object)
			if str(one, "Id") != id || len(str(one, "SequenceNumber")) != 20 || str(one, "SequenceNumber") <= last {
				t.Errorf("entry %d: %v behind %s", i, one, last)
			}
			last = str(one, "SequenceNumber")
		}
		diff(t, "order", []string{"1", "2", "3"}, bodies(c.receive(address)))
	})
}

func TestQ96_Delays(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"DelaySeconds": "10"})
		c.send(address, "queue's")
		c.send(address, "now", `"DelaySeconds":0`)
		c.send(address, "later", `"DelaySeconds":900`)
		for _, n := range []string{"-1", "901"} {
			c.refuses("SendMessage", in(address, `"MessageBody":"x","DelaySeconds":`+n), "DelaySeconds")
		}
		diff(t, "at once", []string{"now"}, bodies(c.receive(address)))
		c.clock.Advance(10 * time.Second)
		diff(t, "after the queue's delay", []string{"queue's"}, bodies(c.receive(address)))
	})
}

func TestQ97_InAFIFOQueueTheDelayOfTheQueueHolds(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		fifo := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true", "DelaySeconds": "5"})
		c.refuses("SendMessage", in(fifo, `"MessageBody":"x","MessageGroupId":"g","DelaySeconds":2`), "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.")
		c.send(fifo, "x", `"MessageGroupId":"g","DelaySeconds":0`)
		diff(t, "FIFO at once", object{}, c.receive(fifo))
		c.clock.Advance(5 * time.Second)
		diff(t, "FIFO after its delay", []string{"x"}, bodies(c.receive(fifo)))
	})
}

func TestQ120_GroupsInAStandardQueue(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		diff(t, "send", []string{"MD5OfMessageBody", "MessageId"}, keysOf(c.send(address, "1", `"MessageGroupId":"g"`)))
		c.send(address, "2", `"MessageGroupId":"g"`)
		got := messages(c.receive(address, `"AttributeNames":["MessageGroupId","SequenceNumber"]`))
		diff(t, "nothing is blocked", 2, len(got))
		diff(t, "attributes", object{"MessageGroupId": "g"}, got[0]["Attributes"])
	})
}
