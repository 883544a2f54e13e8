package aws_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicemq/sluice/tenants"
)

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestQ59_TheDigestIsOfTheBodyItself(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, body := range []string{`{"a":"<b>&amp;\"c\""}`, "line\nline\ttab", "%20+&=%", "é \U0001F600", "</Body>", strings.Repeat("x", 1<<18)} {
			sent := c.send(address, body)
			m := messages(c.receive(address))[0]
			diff(t, "digests and body", []string{md5Of(body), md5Of(body), body}, []string{str(sent, "MD5OfMessageBody"), str(m, "MD5OfBody"), str(m, "Body")})
		}
	})
}

func TestQ61_SystemAttributesHaveADigestInTheAnswerToASend(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		const trace = `"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}}`
		const digest = "5ae4d5d7636402d80f4eb6d213245a88"
		diff(t, "of a send", digest, str(c.send(address, "x", trace), "MD5OfMessageSystemAttributes"))
		out := c.out("SendMessageBatch", in(address, `"Entries":[{"Id":"a","MessageBody":"x",`+trace+`},{"Id":"b","MessageBody":"x"}]`))
		list := out["Successful"].([]any)
		diff(t, "of entries", []string{digest, ""}, []string{str(list[0].(object), "MD5OfMessageSystemAttributes"), str(list[1].(object), "MD5OfMessageSystemAttributes")})
		for _, m := range messages(c.receive(address, `"MessageSystemAttributeNames":["All"]`)) {
			if m["MD5OfMessageSystemAttributes"] != nil {
				t.Errorf("received with a digest of system attributes: %v", m)
			}
		}
	})
}

func TestQ62_TheDigestIsOfWhatIsReturned(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		both := str(c.send(address, "x", `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"},"other":{"DataType":"String","StringValue":"y"}}`), "MD5OfMessageAttributes")
		const ofK = "a45daa70926828a2f0a1db3418e6feb4"
		for _, test := range []struct{ asked, want string }{{`"k"`, ofK}, {`"k.*"`, ofK}, {`"k","other"`, both}, {`"All"`, both}, {`"k","unknown"`, ofK}} {
			m := messages(c.receive(address, `"VisibilityTimeout":0`, `"MessageAttributeNames":[`+test.asked+`]`))[0]
			diff(t, "asked for "+test.asked, test.want, str(m, "MD5OfMessageAttributes"))
		}
	})
}

func TestQ63_NoAttributesHaveNoDigest(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		without := func(what string, o object) {
			t.Helper()
			for _, name := range []string{"MD5OfMessageAttributes", "MD5OfMessageSystemAttributes", "MessageAttributes"} {
				if v, ok := o[name]; ok {
					t.Errorf("%s: %s is %v", what, name, v)
				}
			}
		}
		without("sent", c.send(address, "x"))
		without("sent with none", c.send(address, "x", `"MessageAttributes":{}`, `"MessageSystemAttributes":{}`))
		out := c.out("SendMessageBatch", in(address, `"Entries":[{"Id":"a","MessageBody":"x"}]`))
		without("in a batch", out["Successful"].([]any)[0].(object))
		for _, m := range messages(c.receive(address, `"MessageAttributeNames":["All"]`)) {
			without("received", m)
		}
		c.send(address, "x", `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"}}`)
		without("not asked for", messages(c.receive(address, `"VisibilityTimeout":0`))[0])
		without("another one asked for", messages(c.receive(address, `"VisibilityTimeout":0`, `"MessageAttributeNames":["l"]`))[0])
	})
}

// Some SDKs fail when a digest is missing that they check, and some read the id of each entry without a look.
func TestQ64_WhatSDKsCheckIsThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx, address := t.Context(), h.queue(nil)
	attributes := map[string]types.MessageAttributeValue{"k": {DataType: sdk.String("String"), StringValue: sdk.String("x")}}
	const digest = "a45daa70926828a2f0a1db3418e6feb4"
	sent, err := h.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &address, MessageBody: sdk.String("x"), MessageAttributes: attributes})
	h.must(err)
	diff(t, "sent", []string{md5Of("x"), digest}, []string{*sent.MD5OfMessageBody, *sent.MD5OfMessageAttributes})
	batch, err := h.sqs.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &address, Entries: []types.SendMessageBatchRequestEntry{
		{Id: sdk.String("a"), MessageBody: sdk.String("x"), MessageAttributes: attributes}, {Id: sdk.String("b"), MessageBody: sdk.String("x"), MessageAttributes: attributes}}})
	h.must(err)
	for i, one := range batch.Successful {
		diff(t, "entry", []string{[]string{"a", "b"}[i], md5Of("x"), digest}, []string{*one.Id, *one.MD5OfMessageBody, *one.MD5OfMessageAttributes})
	}
	got, err := h.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
	h.must(err)
	var entries []types.DeleteMessageBatchRequestEntry
	for i, m := range got.Messages {
		diff(t, "received", []string{md5Of("x"), digest}, []string{*m.MD5OfBody, *m.MD5OfMessageAttributes})
		entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: sdk.String(fmt.Sprint("m", i)), ReceiptHandle: m.ReceiptHandle})
	}
	deleted, err := h.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &address, Entries: entries})
	h.must(err)
	ids := []string{}
	for _, one := range deleted.Successful {
		ids = append(ids, *one.Id)
	}
	diff(t, "deleted", []string{"m0", "m1", "m2"}, ids)
}

func TestQ71_EntriesFailWithTheCodesOfTheQueryProtocol(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		for _, test := range []struct{ action, entry, code string }{
			{"SendMessageBatch", `"MessageBody":"x","DelaySeconds":901`, "InvalidParameterValue"},
			{"SendMessageBatch", `"MessageBody":"\u0001"`, "InvalidMessageContents"},
			{"SendMessageBatch", `"MessageBody":""`, "MissingParameter"},
			{"DeleteMessageBatch", `"ReceiptHandle":"x"`, "ReceiptHandleIsInvalid"},
			{"DeleteMessageBatch", `"ReceiptHandle":""`, "MissingParameter"},
			{"ChangeMessageVisibilityBatch", `"ReceiptHandle":"x","VisibilityTimeout":1`, "ReceiptHandleIsInvalid"},
		} {
			out := c.out(test.action, in(address, `"Entries":[{"Id":"a",`+test.entry+`}]`))
			failed, _ := out["Failed"].([]any)
			if len(failed) != 1 || str(failed[0].(object), "Code") != test.code || out["Successful"] != nil && len(out["Successful"].([]any)) > 0 {
				t.Errorf("%s of %s: got %v, want %s", test.action, test.entry, out, test.code)
			}
		}
		diff(t, "nothing was stored", object{}, c.receive(address))
	})
}

// MessageNotInflight is in the model of SQS and never comes from it.
func TestQ93_NobodyIsToldMessageNotInflight(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "x")
		handle := c.delivery(address)
		change := func() *answer {
			return c.call("ChangeMessageVisibility", in(address, `"VisibilityTimeout":5,"ReceiptHandle":`+handle))
		}
		c.clock.Advance(time.Minute)
		change().ok(nil) // available again
		c.out("DeleteMessage", in(address, `"ReceiptHandle":`+handle))
		change().fails(400, invalid, invalidType, notInvisible) // gone
		out := c.out("ChangeMessageVisibilityBatch", in(address, `"Entries":[{"Id":"a","VisibilityTimeout":5,"ReceiptHandle":`+handle+`}]`))
		diff(t, "in a batch", invalid, str(out["Failed"].([]any)[0].(object), "Code"))
	})
}

// SQS takes 300 calls a second for a FIFO queue. Here a tenant's own limit is the only one.
func TestQ103_AFIFOQueueHasNoRateOfItsOwn(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	c := client{h, false}
	const calls = 320
	for i := range calls { // the clock stands still
		c.send(address, fmt.Sprint(i), `"MessageGroupId":"g"`)
	}
	diff(t, "stored", object{"ApproximateNumberOfMessages": fmt.Sprint(calls)}, c.attributesOf(address, "ApproximateNumberOfMessages"))
	c.limited(tenants.Limits{tenants.LimitRequests: 1})
	c.send(address, "one", `"MessageGroupId":"g"`)
	c.call("SendMessage", in(address, `"MessageBody":"two","MessageGroupId":"g"`)).fails(503, "RequestThrottled", "RequestThrottled", "")
	c.limited(tenants.Limits{})
	diff(t, "stored after that", object{"ApproximateNumberOfMessages": fmt.Sprint(calls + 1)}, c.attributesOf(address, "ApproximateNumberOfMessages"))
}
