package aws_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

func onceEach(h *doorTest, _ *engine.Options) { h.door.OnceEach = true }

// again returns the same request once more, for a door of choice.
func (h *doorTest) again(r *http.Request, body string) *http.Request {
	h.Helper()
	out := r.Clone(h.Context())
	out.Host, out.URL.Host = r.URL.Host, strings.TrimPrefix(h.url, "http://")
	out.Body, out.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return out
}

const replayedText = "this server takes each signature once"

func TestASignatureHoldsOnceWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": {onceEach}, "memory": {onMemory(t), onceEach}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options...)
			doors := []*doorTest{h}
			if name == "redis" {
				doors = append(doors, open(t, asTenant(h), onceEach))
			}
			address := h.queue(nil)
			body := `{"QueueUrl":"` + address + `","MessageBody":"once"}`
			send := h.signed(http.MethodPost, "/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")
			h.do(h.again(send, body)).ok(nil)
			form := "Action=SendMessage&Version=2012-11-05&MessageBody=twice"
			posted := h.signed(http.MethodPost, "/"+address[strings.Index(address[8:], "/")+9:], form, "Content-Type", "application/x-www-form-urlencoded")
			h.do(h.again(posted, form)).ok(nil)
			for _, door := range doors {
				door.do(door.again(send, body)).fails(403, "RequestReplayed", "com.amazon.coral.service#RequestReplayedException", replayedText)
				door.do(door.again(posted, form)).fails(403, "RequestReplayed", "", replayedText)
			}
			// Who signs anew is let in: an SDK has an id of its own for each request, within the same second too.
			for range 2 {
				_, err := h.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &address})
				h.must(err)
			}
			received, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 10})
			h.must(err)
			diff(t, "messages, each of which came once", 2, len(received.Messages))
			link := h.presigned("/", "Action=ListQueues", "3600")
			h.do(h.again(link, "")).ok(nil)
			h.clock.Advance(time.Hour - time.Second)
			h.do(h.again(link, "")).fails(403, "RequestReplayed", "", replayedText)
			h.clock.Advance(2 * time.Second)
			h.do(h.again(link, "")).fails(403, "SignatureDoesNotMatch", "", "expired")
			h.do(h.again(send, body)).fails(403, "SignatureDoesNotMatch", "com.amazon.coral.service#InvalidSignatureException", "expired")

			var keys []string
			for _, key := range []string{"signatures", "signature-ends"} {
				keys = append(keys, engine.TenantKey(h.tenant.ID.String(), key))
			}
			kept := func() int64 {
				n, err := h.redis.Single().Exists(t.Context(), keys...).Result()
				h.must(err)
				return n
			}
			diff(t, "what is kept", int64(2), kept())
			h.must(h.queues.Delete(t.Context(), h.tenant.ID, nameOf(address), queues.Condition{}))
			h.must(h.tenants.Delete(t.Context(), h.tenant.Name, tenants.Condition{}))
			diff(t, "what is kept of a tenant that is gone", int64(0), kept())
		})
	}
}

func TestASignatureIsNotUsedByWhatIsRefusedForNow(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), onceEach)
	address := h.queue(nil)
	body := `{"QueueUrl":"` + address + `","MessageBody":"later"}`
	h.limited(tenants.Limits{tenants.LimitRequests: 1})
	signed := func() *http.Request {
		return h.signed(http.MethodPost, "/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")
	}
	h.do(signed()).ok(nil)
	refused := h.signed(http.MethodPost, "/", body+" ", "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")
	h.do(h.again(refused, body+" ")).fails(503, "RequestThrottled", "com.amazonaws.sqs#RequestThrottled", "")
	h.limited(tenants.Limits{})
	h.do(h.again(refused, body+" ")).ok(nil)
}

func TestWithoutThatASignatureHoldsForAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t))
	address := h.queue(nil)
	body := `{"QueueUrl":"` + address + `","MessageBody":"again"}`
	send := h.signed(http.MethodPost, "/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")
	for range 2 {
		h.do(h.again(send, body)).ok(nil)
	}
}
