package aws_test

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/sluicemq/sluice/queues"
)

// What an SDK was told to call its application is who holds a message; one that was told nothing holds it without a name.
func TestAnSDKsApplicationIsWhoHoldsAMessage(t *testing.T) {
	t.Parallel()
	h := open(t)
	agent := func(text string) func(*sqs.Options) {
		return sqs.WithAPIOptions(smithyhttp.SetHeaderValue("User-Agent", text))
	}
	for _, c := range []struct {
		set  func(*sqs.Options)
		want string
	}{
		{func(o *sqs.Options) { o.AppID = "billing-worker" }, "billing-worker"},
		{func(*sqs.Options) {}, ""},
		{agent("Boto3/1.40 md/Botocore#1.40 app/" + strings.Repeat("w", queues.MaxConsumer)), strings.Repeat("w", queues.MaxConsumer)},
		{agent("Boto3/1.40 app/" + strings.Repeat("w", queues.MaxConsumer+1)), ""},
		{agent("app/ b"), ""},
		{agent("app/caf\u00e9"), ""},
	} {
		address := h.queue(nil)
		_, err := h.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &address, MessageBody: sdk.String("x")})
		h.must(err)
		_, err = h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address}, c.set)
		h.must(err)
		page, err := h.queues.Peek(t.Context(), h.tenant.ID, nameOf(address), queues.PeekOptions{State: queues.InFlight})
		h.must(err)
		diff(t, "held by", []string{c.want}, []string{page.Messages[0].HeldBy})
	}
}
