package aws_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
)

func TestQ72_BoundsOfAReceive(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"ReceiveMessageWaitTimeSeconds": "20"})
		for range 12 {
			c.send(address, "x")
		}
		diff(t, "one by default", 1, len(messages(c.out("ReceiveMessage", in(address, `"VisibilityTimeout":0`)))))
		diff(t, "ten", 10, len(messages(c.out("ReceiveMessage", in(address, `"MaxNumberOfMessages":10,"VisibilityTimeout":0`)))))
		for _, n := range []string{"0", "11", "-1"} {
			c.refuses("ReceiveMessage", in(address, `"MaxNumberOfMessages":`+n), "Value "+n+" for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")
		}
		for _, n := range []string{"-1", "43201"} {
			c.refuses("ReceiveMessage", in(address, `"VisibilityTimeout":`+n), "VisibilityTimeout")
		}
		c.refuses("ReceiveMessage", in(address, `"ReceiveRequestAttemptId":"a"`), "not valid for this queue type")
	})
}

func TestQ73_HowLongAReceiveWaits(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"ReceiveMessageWaitTimeSeconds": "20"})
		for _, n := range []string{"-1", "21"} {
			c.refuses("ReceiveMessage", in(address, `"WaitTimeSeconds":`+n), "Value "+n+" for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.")
		}
		// 0 does not wait, whatever the queue says: this test would hang otherwise, because nobody moves its clock.
		diff(t, "no wait", object{}, c.out("ReceiveMessage", in(address, `"WaitTimeSeconds":0`)))
		got, before := make(chan object, 1), c.door.Waiting()
		go func() { got <- c.out("ReceiveMessage", in(address, "")) }()
		until(t, "it waits as the queue says", func() bool { return c.door.Waiting() > before && c.queues.Waiting() > 0 })
		c.clock.Advance(20 * time.Second)
		diff(t, "the end of the wait", object{}, <-got)
	})
}

func TestQ74_WaitingForAMessage(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		wait := func() <-chan object {
			got := make(chan object, 1)
			before := c.door.Waiting()
			go func() { got <- c.out("ReceiveMessage", in(address, `"MaxNumberOfMessages":10,"WaitTimeSeconds":20`)) }()
			until(t, "it waits", func() bool { return c.door.Waiting() > before && c.queues.Waiting() > 0 })
			return got
		}
		got := wait()
		c.send(address, "x")
		diff(t, "a message that comes ends the wait", []string{"x"}, bodies(<-got))
		got = wait()
		c.clock.Advance(20 * time.Second)
		diff(t, "the end of the wait", object{}, <-got)
	})
}

// until polls a condition for at most a minute.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in a minute: %s", what)
		}
	}
}

func TestQ76_AClientThatHangsUpTakesNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := client{h, false}
	address := h.queue(nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := h.signed("POST", "/", in(address, `"WaitTimeSeconds":20`), "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.ReceiveMessage")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if res, err := http.DefaultClient.Do(r.WithContext(ctx)); err == nil {
			_ = res.Body.Close()
		}
	}()
	until(t, "it waits", func() bool { return h.queues.Waiting() == 1 })
	cancel()
	<-ended
	until(t, "it is gone", func() bool { return h.queues.Waiting() == 0 })
	c.send(address, "x")
	m := messages(c.receive(address, `"AttributeNames":["ApproximateReceiveCount"]`))
	diff(t, "first receive", object{"ApproximateReceiveCount": "1"}, m[0]["Attributes"])
}

func TestMoreReceivesThanMayWait(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.door.MaxWaitingReceives = 0
	diff(t, "it does not wait", object{}, client{h, false}.out("ReceiveMessage", in(h.queue(nil), `"WaitTimeSeconds":20`)))
}

func TestQ77_SystemAttributes(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true"})
		sent := c.send(address, "x", `"MessageGroupId":"g","MessageDeduplicationId":"d"`)
		now := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		want := object{"SenderId": c.tenant.AccountNumber, "SentTimestamp": now, "ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": now,
			"MessageGroupId": "g", "MessageDeduplicationId": "d", "SequenceNumber": sent["SequenceNumber"]}
		receive := func(names string) any {
			return messages(c.receive(address, append([]string{`"VisibilityTimeout":0`}, names)...))[0]["Attributes"]
		}
		diff(t, "all", want, receive(`"AttributeNames":["All"]`))
		want["ApproximateReceiveCount"] = "2"
		diff(t, "all, by the new name", want, receive(`"MessageSystemAttributeNames":["All"]`))
		diff(t, "both lists", object{"MessageGroupId": "g", "SentTimestamp": now}, receive(`"AttributeNames":["MessageGroupId"],"MessageSystemAttributeNames":["SentTimestamp"]`))
		diff(t, "names of queues say nothing", nil, receive(`"AttributeNames":["VisibilityTimeout"]`))
		c.call("ReceiveMessage", in(address, `"AttributeNames":["Foo"]`)).fails(400, "InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute Foo.")
	})
}

func TestQ79_WhichAttributesAReceiveReturns(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x", `"MessageAttributes":{"foo.a":{"DataType":"String","StringValue":"1"},"foo.b":{"DataType":"Number","StringValue":"2"},"bar":{"DataType":"String","StringValue":"3"}}`)
		for _, test := range []struct {
			asked string
			want  []string
		}{
			{`"All"`, []string{"bar", "foo.a", "foo.b"}}, {`".*"`, []string{"bar", "foo.a", "foo.b"}}, {`"*"`, []string{"bar", "foo.a", "foo.b"}},
			{`"foo.*"`, []string{"foo.a", "foo.b"}}, {`"bar"`, []string{"bar"}}, {`"bar","foo.b"`, []string{"bar", "foo.b"}},
			{`"unknown"`, nil}, {`"^%&"`, nil}, {``, nil},
		} {
			m := messages(c.receive(address, `"VisibilityTimeout":0`, `"MessageAttributeNames":[`+test.asked+`]`))[0]
			diff(t, test.asked, test.want, keysOf(m["MessageAttributes"]))
			if (m["MD5OfMessageAttributes"] != nil) != (test.want != nil) {
				t.Errorf("%s: digest %v", test.asked, m["MD5OfMessageAttributes"])
			}
		}
	})
}

func TestQ80_VisibilityOfAReceive(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"VisibilityTimeout": "10"})
		c.send(address, "x")
		c.receive(address, `"VisibilityTimeout":0`)
		diff(t, "still visible", []string{"x"}, bodies(c.receive(address, `"VisibilityTimeout":5`)))
		c.clock.Advance(5 * time.Second)
		diff(t, "after 5 seconds", []string{"x"}, bodies(c.receive(address)))
		c.clock.Advance(9 * time.Second)
		diff(t, "the queue's again", object{}, c.receive(address))
	})
}

// A body that came by REST may be no text. It comes as base64, and says so.
func TestBodiesThatAreNoText(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		_, err := c.queues.Send(t.Context(), c.tenant.ID, nameOf(address), queues.Outgoing{Body: []byte("\x00\xff"),
			Attributes: []queues.Attribute{{Name: "bytes", Type: "String", Value: "\xff"}}})
		c.must(err)
		m := messages(c.receive(address, `"MessageAttributeNames":["All"]`))[0]
		diff(t, "body", base64.StdEncoding.EncodeToString([]byte("\x00\xff")), str(m, "Body"))
		diff(t, "attributes", object{"Sluice-Body-Encoding": object{"DataType": "String", "StringValue": "base64"},
			"bytes": object{"DataType": "Binary", "BinaryValue": base64.StdEncoding.EncodeToString([]byte("\xff"))}}, m["MessageAttributes"])
	})
}

// delivery is one message that the caller holds, by its receipt handle.
func (c client) delivery(address string, more ...string) string {
	c.Helper()
	list := messages(c.receive(address, more...))
	if len(list) != 1 {
		c.Fatalf("received %v, want one message", list)
	}
	return quoted(str(list[0], "ReceiptHandle"))
}

const notInvisible = "Reason: Message does not exist or is not available for visibility timeout change."

func TestQ87_AFIFOReceiptEndsWithItsLease(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
		c.send(address, "x", `"MessageGroupId":"g"`)
		handle := c.delivery(address, `"VisibilityTimeout":5`)
		c.out("ChangeMessageVisibility", in(address, `"VisibilityTimeout":10,"ReceiptHandle":`+handle))
		c.clock.Advance(9 * time.Second)
		c.out("ChangeMessageVisibility", in(address, `"VisibilityTimeout":1,"ReceiptHandle":`+handle))
		c.clock.Advance(time.Second)
		c.refuses("DeleteMessage", in(address, `"ReceiptHandle":`+handle), "for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
		c.refuses("ChangeMessageVisibility", in(address, `"VisibilityTimeout":0,"ReceiptHandle":`+handle), notInvisible)
		c.out("DeleteMessage", in(address, `"ReceiptHandle":`+c.delivery(address)))
	})
}

func TestQ69_ABadHandleFailsItsEntry(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		for _, action := range []string{"ChangeMessageVisibilityBatch", "DeleteMessageBatch"} {
			more := ""
			if action == "ChangeMessageVisibilityBatch" {
				more = `,"VisibilityTimeout":30`
			}
			out := c.out(action, in(address, `"Entries":[{"Id":"good","ReceiptHandle":`+handle+more+`},{"Id":"bad","ReceiptHandle":"x"`+more+`},{"Id":"none"`+more+`}]`))
			diff(t, "successful", []any{object{"Id": "good"}}, out["Successful"])
			failed := out["Failed"].([]any)
			diff(t, "failed", object{"Id": "bad", "Code": "ReceiptHandleIsInvalid", "SenderFault": "true", "Message": `The input receipt handle "x" is not a valid receipt handle.`}, failed[0])
			diff(t, "missing", "MissingParameter", str(failed[1].(object), "Code"))
		}
		out := c.out("ChangeMessageVisibilityBatch", in(address, `"Entries":[{"Id":"a","ReceiptHandle":`+handle+`,"VisibilityTimeout":43201}]`))
		diff(t, "out of range", "InvalidParameterValue", str(out["Failed"].([]any)[0].(object), "Code"))
	})
}

const (
	visible = "ApproximateNumberOfMessages"
	held    = "ApproximateNumberOfMessagesNotVisible"
	delayed = "ApproximateNumberOfMessagesDelayed"
)

func TestQ98_WhatIsPastItsRetentionIsGone(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true", "MessageRetentionPeriod": "60"})
		for i := range 3 {
			c.send(address, fmt.Sprint(i), `"MessageGroupId":"g"`)
		}
		c.out("ReceiveMessage", in(address, ""))
		standard := c.queue(map[string]string{"MessageRetentionPeriod": "60"})
		c.send(standard, "x")
		handle := c.delivery(standard)
		c.clock.Advance(time.Hour)
		diff(t, "counts", object{visible: "0", held: "0", delayed: "0"}, c.attributesOf(address, visible, held, delayed))
		diff(t, "messages", object{}, c.receive(address))
		c.out("DeleteMessage", in(standard, `"ReceiptHandle":`+handle))
	})
}

func TestQ99_CountsSayWhatCanBeReceived(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
		for i := range 3 {
			c.send(address, fmt.Sprint(i), `"MessageGroupId":"g"`)
		}
		c.out("ReceiveMessage", in(address, ""))
		diff(t, "blocked ones are visible", object{visible: "2", held: "1", delayed: "0"}, c.attributesOf(address, visible, held, delayed))
		standard := c.queue(nil)
		c.send(standard, "x")
		c.send(standard, "x", `"DelaySeconds":60`)
		c.delivery(standard)
		c.send(standard, "x")
		diff(t, "standard", object{visible: "1", held: "1", delayed: "1"}, c.attributesOf(standard, visible, held, delayed))
	})
}

func TestQ119_ReceiveAttempts(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
		c.send(address, "x", `"MessageGroupId":"g"`)
		first := c.receive(address, `"ReceiveRequestAttemptId":"a"`)
		diff(t, "again", first, c.receive(address, `"ReceiveRequestAttemptId":"a"`))
		diff(t, "another", object{}, c.receive(address, `"ReceiveRequestAttemptId":"b"`))
		c.refuses("ReceiveMessage", in(address, `"ReceiveRequestAttemptId":"a b"`), "ReceiveRequestAttemptId")
	})
}

func TestQ130_MoveTasks(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		dead, fifo := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		start := func(source, more string) *answer {
			return c.call("StartMessageMoveTask", `{"SourceArn":"`+source+`"`+more+`}`)
		}
		start(c.arn(dead), "").fails(400, invalid, invalidType, "Source queue must be configured as a Dead Letter Queue.")
		c.queue(map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":1}`})
		const gone = "The resource that you specified for the %s parameter doesn't exist."
		for _, source := range []string{c.arn("none"), "x", "arn:aws:sqs:" + region + ":123456789012:" + nameOf(dead)} {
			start(source, "").fails(404, "ResourceNotFoundException", "com.amazonaws.sqs#ResourceNotFoundException", fmt.Sprintf(gone, "SourceArn"))
		}
		start(c.arn(dead), `,"DestinationArn":"`+c.arn("none")+`"`).fails(404, "ResourceNotFoundException", "", fmt.Sprintf(gone, "DestinationArn"))
		start(c.arn(dead), `,"DestinationArn":"`+c.arn(fifo)+`"`).fails(400, invalid, invalidType, "")
		for _, n := range []string{"0", "501"} {
			start(c.arn(dead), `,"MaxNumberOfMessagesPerSecond":`+n).fails(400, invalid, invalidType, "MaxNumberOfMessagesPerSecond")
		}
		list := func(more string) []any {
			all, _ := c.out("ListMessageMoveTasks", `{"SourceArn":"`+c.arn(dead)+`"`+more+`}`)["Results"].([]any)
			return all
		}
		diff(t, "none", 0, len(list("")))
		first := c.out("StartMessageMoveTask", `{"SourceArn":"`+c.arn(dead)+`"}`)
		start(c.arn(dead), "").fails(400, invalid, invalidType, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		now := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		diff(t, "running", []any{object{"TaskHandle": first["TaskHandle"], "Status": "RUNNING", "SourceArn": c.arn(dead), "ApproximateNumberOfMessagesMoved": "0",
			"ApproximateNumberOfMessagesToMove": "0", "StartedTimestamp": now}}, list(""))
		diff(t, "cancel", object{"ApproximateNumberOfMessagesMoved": "0"}, c.out("CancelMessageMoveTask", `{"TaskHandle":`+quoted(str(first, "TaskHandle"))+`}`))
		cancel := func(handle string) *answer {
			return c.call("CancelMessageMoveTask", `{"TaskHandle":`+quoted(handle)+`}`)
		}
		cancel("garbage").fails(400, invalid, invalidType, "Value for parameter TaskHandle is invalid.")
		raw, _ := base64.StdEncoding.DecodeString(str(first, "TaskHandle"))
		unknown := strings.Replace(string(raw), "task_0", "task_1", 1)
		cancel(base64.StdEncoding.EncodeToString([]byte(unknown))).fails(404, "ResourceNotFoundException", "", "Task does not exist.")
		got := list(`,"MaxResults":10`)[0].(object)
		if s := str(got, "Status"); s != "CANCELLED" && s != "CANCELLING" || got["TaskHandle"] != nil {
			t.Errorf("cancelled: %v", got)
		}
		for _, n := range []string{"0", "11"} {
			c.refuses("ListMessageMoveTasks", `{"SourceArn":"`+c.arn(dead)+`","MaxResults":`+n+`}`, "MaxResults")
		}
	})
}
