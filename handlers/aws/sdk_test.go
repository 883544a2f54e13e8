package aws_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// The SDK, with nothing changed but its endpoint, over the whole surface. It checks digests itself.
func TestSDKWorksUnchanged(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options...)
			ctx := t.Context()
			dead := h.queue(nil)
			address := h.queue(map[string]string{"VisibilityTimeout": "60", "RedrivePolicy": `{"deadLetterTargetArn":"` + h.arn(dead) + `","maxReceiveCount":"1"}`})

			got, err := h.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: sdk.String(nameOf(address))})
			h.must(err)
			diff(t, "address", address, *got.QueueUrl)
			sum := md5.Sum([]byte("hello"))
			sent, err := h.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &address, MessageBody: sdk.String("hello"),
				MessageAttributes: map[string]types.MessageAttributeValue{
					"kind":  {DataType: sdk.String("String"), StringValue: sdk.String("order.created")},
					"count": {DataType: sdk.String("Number.int"), StringValue: sdk.String("007")},
					"raw":   {DataType: sdk.String("Binary"), BinaryValue: []byte{0, 1, 255}},
				}})
			h.must(err)
			diff(t, "MD5", hex.EncodeToString(sum[:]), *sent.MD5OfMessageBody)
			batch, err := h.sqs.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &address, Entries: []types.SendMessageBatchRequestEntry{
				{Id: sdk.String("a"), MessageBody: sdk.String("1")}, {Id: sdk.String("b"), MessageBody: sdk.String("2"), DelaySeconds: 5},
			}})
			h.must(err)
			diff(t, "batch", []int{2, 0}, []int{len(batch.Successful), len(batch.Failed)})

			attributes, err := h.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &address, AttributeNames: []types.QueueAttributeName{
				types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesDelayed, types.QueueAttributeNameVisibilityTimeout}})
			h.must(err)
			diff(t, "attributes", map[string]string{"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesDelayed": "1", "VisibilityTimeout": "60"}, attributes.Attributes)

			received, err := h.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 1,
				MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
			h.must(err)
			m := received.Messages[0]
			diff(t, "message", []string{"hello", *sent.MessageId, "order.created", "007", "\x00\x01\xff", "1"},
				[]string{*m.Body, *m.MessageId, *m.MessageAttributes["kind"].StringValue, *m.MessageAttributes["count"].StringValue,
					string(m.MessageAttributes["raw"].BinaryValue), m.Attributes["ApproximateReceiveCount"]})
			diff(t, "digest of attributes", *sent.MD5OfMessageAttributes, *m.MD5OfMessageAttributes)

			_, err = h.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &address, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 100})
			h.must(err)
			changed, err := h.sqs.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &address,
				Entries: []types.ChangeMessageVisibilityBatchRequestEntry{{Id: sdk.String("x"), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0}}})
			h.must(err)
			diff(t, "changed", 1, len(changed.Successful))
			// Its second receive takes it to the dead-letter queue.
			received, err = h.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 10})
			h.must(err)
			diff(t, "left", 1, len(received.Messages))
			deleted, err := h.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &address, Entries: []types.DeleteMessageBatchRequestEntry{
				{Id: sdk.String("x"), ReceiptHandle: received.Messages[0].ReceiptHandle}, {Id: sdk.String("y"), ReceiptHandle: sdk.String("garbage")}}})
			h.must(err)
			diff(t, "deleted", []string{"x", "y", "ReceiptHandleIsInvalid"}, []string{*deleted.Successful[0].Id, *deleted.Failed[0].Id, *deleted.Failed[0].Code})

			sources, err := h.sqs.ListDeadLetterSourceQueues(ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
			h.must(err)
			diff(t, "sources", []string{address}, sources.QueueUrls)
			task, err := h.sqs.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: sdk.String(h.arn(dead)), MaxNumberOfMessagesPerSecond: sdk.Int32(5)})
			h.must(err)
			tasks, err := h.sqs.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: sdk.String(h.arn(dead))})
			h.must(err)
			diff(t, "task", []string{*task.TaskHandle, "RUNNING"}, []string{*tasks.Results[0].TaskHandle, *tasks.Results[0].Status})
			diff(t, "rate", int32(5), *tasks.Results[0].MaxNumberOfMessagesPerSecond)
			cancelled, err := h.sqs.CancelMessageMoveTask(ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: task.TaskHandle})
			h.must(err)
			diff(t, "moved", int64(0), cancelled.ApproximateNumberOfMessagesMoved)

			_, err = h.sqs.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &address, Tags: map[string]string{"team": "a", "env": ""}})
			h.must(err)
			_, err = h.sqs.UntagQueue(ctx, &sqs.UntagQueueInput{QueueUrl: &address, TagKeys: []string{"env", "none"}})
			h.must(err)
			tags, err := h.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &address})
			h.must(err)
			diff(t, "tags", map[string]string{"team": "a"}, tags.Tags)
			_, err = h.sqs.AddPermission(ctx, &sqs.AddPermissionInput{QueueUrl: &address, Label: sdk.String("l"), AWSAccountIds: []string{"123456789012"}, Actions: []string{"SendMessage"}})
			h.must(err)
			_, err = h.sqs.RemovePermission(ctx, &sqs.RemovePermissionInput{QueueUrl: &address, Label: sdk.String("l")})
			h.must(err)
			_, err = h.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &address, Attributes: map[string]string{"RedrivePolicy": ""}})
			h.must(err)
			_, err = h.sqs.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &address})
			h.must(err)
			_, err = h.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &address, ReceiptHandle: m.ReceiptHandle})
			h.must(err)

			list := sqs.NewListQueuesPaginator(h.sqs, &sqs.ListQueuesInput{MaxResults: sdk.Int32(1)})
			var all []string
			for list.HasMorePages() {
				page, err := list.NextPage(ctx)
				h.must(err)
				all = append(all, page.QueueUrls...)
			}
			diff(t, "queues", 2, len(all))
			_, err = h.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &address})
			h.must(err)
			_, err = h.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: sdk.String(nameOf(address))})
			if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
				t.Errorf("got %v, want QueueDoesNotExist", err)
			}
		})
	}
}
