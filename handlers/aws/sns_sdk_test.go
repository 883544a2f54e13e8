package aws_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// topic makes a topic and returns its ARN.
func (h *doorTest) topic(attributes map[string]string) string {
	h.Helper()
	name := fmt.Sprintf("t%d", names.Add(1))
	if strings.EqualFold(attributes["FifoTopic"], "true") {
		name += ".fifo"
	}
	out, err := h.sns.CreateTopic(h.Context(), &sns.CreateTopicInput{Name: &name, Attributes: attributes})
	h.must(err)
	return *out.TopicArn
}

// subscribe subscribes a queue by its address, and returns the ARN of the subscription.
func (h *doorTest) subscribe(topic, address string, attributes map[string]string) string {
	h.Helper()
	out, err := h.sns.Subscribe(h.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: sdk.String("sqs"), Endpoint: sdk.String(h.arn(address)), Attributes: attributes})
	h.must(err)
	return *out.SubscriptionArn
}

func (h *doorTest) publish(topic string, change func(*sns.PublishInput)) *sns.PublishOutput {
	h.Helper()
	in := &sns.PublishInput{TopicArn: &topic, Message: sdk.String("hello")}
	if change != nil {
		change(in)
	}
	out, err := h.sns.Publish(h.Context(), in)
	h.must(err)
	return out
}

// next receives and deletes one message, for which it waits.
func (h *doorTest) next(address string) types.Message {
	h.Helper()
	out, err := h.sqs.ReceiveMessage(h.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address, WaitTimeSeconds: 20, MaxNumberOfMessages: 1,
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	h.must(err)
	if len(out.Messages) != 1 {
		h.Fatalf("got %d messages, want one", len(out.Messages))
	}
	_, err = h.sqs.DeleteMessage(h.Context(), &sqs.DeleteMessageInput{QueueUrl: &address, ReceiptHandle: out.Messages[0].ReceiptHandle})
	h.must(err)
	return out.Messages[0]
}

// notice is a notification as consumers read it.
type notice struct {
	Type, MessageId, SequenceNumber, TopicArn, Subject, Message, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string //nolint:revive,staticcheck // as SNS writes them
	MessageAttributes                                                                                                                   map[string]struct{ Type, Value string }
}

func (h *doorTest) notice(address string) notice {
	h.Helper()
	m := h.next(address)
	var n notice
	if err := json.Unmarshal([]byte(*m.Body), &n); err != nil {
		h.Fatalf("%v in %s", err, *m.Body)
	}
	if len(m.MessageAttributes) != 0 {
		h.Errorf("a notification has attributes of its own: %v", m.MessageAttributes)
	}
	return n
}

// certificate fetches what a notification is verified with.
func (h *doorTest) certificate(address string) *x509.Certificate {
	h.Helper()
	res, err := http.Get(address)
	h.must(err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	h.must(err)
	block, _ := pem.Decode(raw)
	if res.StatusCode != http.StatusOK || block == nil {
		h.Fatalf("%s is %d %s", address, res.StatusCode, raw)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	h.must(err)
	return c
}

// verify fails the test unless a notification is signed as its version says.
func (h *doorTest) verify(n notice) {
	h.Helper()
	text := "Message\n" + n.Message + "\nMessageId\n" + n.MessageId + "\n"
	if n.Subject != "" {
		text += "Subject\n" + n.Subject + "\n"
	}
	text += "Timestamp\n" + n.Timestamp + "\nTopicArn\n" + n.TopicArn + "\nType\n" + n.Type + "\n"
	signature, err := base64.StdEncoding.DecodeString(n.Signature)
	h.must(err)
	key := h.certificate(n.SigningCertURL).PublicKey.(*rsa.PublicKey)
	if n.SignatureVersion == "2" {
		sum := sha256.Sum256([]byte(text))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	} else {
		sum := sha1.Sum([]byte(text))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	}
	if err != nil {
		h.Errorf("the signature of %+v: %v", n, err)
	}
}

// The SDK, with nothing changed but its endpoint, over the whole surface.
func TestSDKOfSNSWorksUnchanged(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, options...)
			ctx := t.Context()
			topic := h.topic(map[string]string{"DisplayName": "orders"})
			all, raw := h.queue(nil), h.queue(nil)
			sub := h.subscribe(topic, all, nil)
			h.subscribe(topic, raw, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"kind":["a"]}`})

			sent := h.publish(topic, func(in *sns.PublishInput) {
				in.Subject = sdk.String("news")
				in.MessageAttributes = map[string]snstypes.MessageAttributeValue{
					"kind": {DataType: sdk.String("String"), StringValue: sdk.String("a")},
					"raw":  {DataType: sdk.String("Binary"), BinaryValue: []byte{0, 1, 255}},
					"list": {DataType: sdk.String("String.Array"), StringValue: sdk.String(`["x","y"]`)},
				}
			})
			n := h.notice(all)
			h.verify(n)
			if _, err := time.Parse("2006-01-02T15:04:05.000Z", n.Timestamp); err != nil {
				t.Error(err)
			}
			diff(t, "notification", []string{"Notification", *sent.MessageId, topic, "news", "hello", "1"}, []string{n.Type, n.MessageId, n.TopicArn, n.Subject, n.Message, n.SignatureVersion})
			diff(t, "attributes", map[string]struct{ Type, Value string }{"kind": {"String", "a"}, "raw": {"Binary", "AAH/"}, "list": {"String.Array", `["x","y"]`}}, n.MessageAttributes)
			m := h.next(raw)
			diff(t, "raw", []string{"hello", "a", "String.Array", "\x00\x01\xff"}, []string{*m.Body, *m.MessageAttributes["kind"].StringValue, *m.MessageAttributes["list"].DataType, string(m.MessageAttributes["raw"].BinaryValue)})

			batch, err := h.sns.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
				{Id: sdk.String("1"), Message: sdk.String("one"), MessageAttributes: map[string]snstypes.MessageAttributeValue{"kind": {DataType: sdk.String("String"), StringValue: sdk.String("b")}}},
				{Id: sdk.String("2"), Message: sdk.String("two"), MessageAttributes: map[string]snstypes.MessageAttributeValue{"kind": {DataType: sdk.String("String"), StringValue: sdk.String("a")}}},
			}})
			h.must(err)
			diff(t, "batch", []int{2, 0}, []int{len(batch.Successful), len(batch.Failed)})
			diff(t, "filtered by entry", "two", *h.next(raw).Body)

			_, err = h.sns.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: sdk.String("SignatureVersion"), AttributeValue: sdk.String("2")})
			h.must(err)
			_, err = h.sns.SetSubscriptionAttributes(ctx, &sns.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: sdk.String("FilterPolicy"), AttributeValue: sdk.String(`{"kind":["c"]}`)})
			h.must(err)
			h.notice(all)
			h.notice(all)
			h.publish(topic, func(in *sns.PublishInput) {
				in.MessageAttributes = map[string]snstypes.MessageAttributeValue{"kind": {DataType: sdk.String("String"), StringValue: sdk.String("c")}}
			})
			n = h.notice(all)
			diff(t, "version", "2", n.SignatureVersion)
			h.verify(n)

			got, err := h.sns.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &topic})
			h.must(err)
			diff(t, "topic", []string{"orders", "2", "2"}, []string{got.Attributes["DisplayName"], got.Attributes["SubscriptionsConfirmed"], got.Attributes["SignatureVersion"]})
			of, err := h.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
			h.must(err)
			diff(t, "subscription", []string{`{"kind":["c"]}`, "MessageAttributes", "false"}, []string{of.Attributes["FilterPolicy"], of.Attributes["FilterPolicyScope"], of.Attributes["RawMessageDelivery"]})

			_, err = h.sns.TagResource(ctx, &sns.TagResourceInput{ResourceArn: &topic, Tags: []snstypes.Tag{{Key: sdk.String("team"), Value: sdk.String("a")}, {Key: sdk.String("x"), Value: sdk.String("")}}})
			h.must(err)
			_, err = h.sns.UntagResource(ctx, &sns.UntagResourceInput{ResourceArn: &topic, TagKeys: []string{"x", "none"}})
			h.must(err)
			tags, err := h.sns.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &topic})
			h.must(err)
			diff(t, "tags", "team=a", *tags.Tags[0].Key+"="+*tags.Tags[0].Value)
			_, err = h.sns.AddPermission(ctx, &sns.AddPermissionInput{TopicArn: &topic, Label: sdk.String("l"), AWSAccountId: []string{"123456789012"}, ActionName: []string{"Publish"}})
			h.must(err)
			_, err = h.sns.RemovePermission(ctx, &sns.RemovePermissionInput{TopicArn: &topic, Label: sdk.String("l")})
			h.must(err)

			var topics, subs []string
			for list := sns.NewListTopicsPaginator(h.sns, &sns.ListTopicsInput{NextToken: sdk.String("")}); list.HasMorePages(); {
				page, err := list.NextPage(ctx)
				h.must(err)
				for _, one := range page.Topics {
					topics = append(topics, *one.TopicArn)
				}
			}
			diff(t, "topics", []string{topic}, topics)
			for list := sns.NewListSubscriptionsPaginator(h.sns, nil); list.HasMorePages(); {
				page, err := list.NextPage(ctx)
				h.must(err)
				for _, one := range page.Subscriptions {
					subs = append(subs, *one.Endpoint)
				}
			}
			diff(t, "subscriptions", 2, len(subs))
			byTopic, err := h.sns.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
			h.must(err)
			diff(t, "subscriptions of the topic", 2, len(byTopic.Subscriptions))

			_, err = h.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &sub})
			h.must(err)
			_, err = h.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
			if _, ok := errors.AsType[*snstypes.NotFoundException](err); !ok {
				t.Errorf("got %v, want NotFoundException", err)
			}
			_, err = h.sns.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: &topic})
			h.must(err)
			_, err = h.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: sdk.String("x")})
			if _, ok := errors.AsType[*snstypes.NotFoundException](err); !ok {
				t.Errorf("got %v, want NotFoundException", err)
			}
			_, err = h.sns.ListPhoneNumbersOptedOut(ctx, nil)
			if _, ok := errors.AsType[*snstypes.InvalidParameterException](err); !ok {
				t.Errorf("got %v, want InvalidParameterException", err)
			}
		})
	}
}

// FuzzSNS is FuzzQuery for SNS.
func FuzzSNS(f *testing.F) {
	h := open(f, onMemory(f))
	topic, endpoint := h.topic(nil), h.arn(h.queue(nil))
	for _, seed := range []string{
		"Action=Publish&Message=x&Subject=%0A&MessageStructure=json&MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String.Array&MessageAttributes.entry.1.Value.StringValue=%5B1%5D&TopicArn=" + topic,
		"Action=Publish&Message=%7B%22default%22%3A%22%5Cud800%22%7D&MessageStructure=json&TopicArn=" + topic,
		"Action=PublishBatch&PublishBatchRequestEntries.member.1.Id=a&PublishBatchRequestEntries.member.1.Message=x&TopicArn=" + topic,
		"Action=Subscribe&Protocol=sqs&Endpoint=" + endpoint + "&Attributes.entry.1.key=FilterPolicy&Attributes.entry.1.value=%7B%22a%22%3A%5B%5D%7D&TopicArn=" + topic,
		"Action=SetTopicAttributes&AttributeName=DeliveryPolicy&AttributeValue=%7B%22http%22%3A%7B%22defaultHealthyRetryPolicy%22%3A7%7D%7D&TopicArn=" + topic,
		"Action=AddPermission&Version=2010-03-31&Label=l&AWSAccountId.member.1=123456789012&ActionName.member.1=Publish&TopicArn=" + topic,
		"Action=ListSubscriptions&NextToken=c3Vic2NyaXB0aW9ucwB0IHM", "Action=Unsubscribe&Token=a.1.b&SubscriptionArn=" + topic + ":x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		each := *h
		each.TB = t
		if each.slow(body) {
			t.Skip()
		}
		if a := each.asked(http.MethodPost, "/", body); a.status >= 500 {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
		each.ask("GetTopicAttributes", "TopicArn", topic)
	})
}

// Whatever an SDK can ask for is answered as something that is known: with success, or with an error of the service.
func TestEveryActionOfTheSDKsIsKnown(t *testing.T) {
	t.Parallel()
	h := open(t)
	operations := func(client reflect.Type) []string {
		var list []string
		for i := range client.NumMethod() {
			if m := client.Method(i); m.Type.NumIn() == 4 && m.Type.IsVariadic() { // of the client, the context, the input and the options
				list = append(list, m.Name)
			}
		}
		return list
	}
	ofSNS, ofSQS := operations(reflect.TypeFor[*sns.Client]()), operations(reflect.TypeFor[*sqs.Client]())
	if len(ofSNS) < 40 || len(ofSQS) < 23 {
		t.Fatalf("the SDK has the operations %v and %v", ofSNS, ofSQS)
	}
	for _, name := range ofSNS {
		a := h.ask(name)
		if a.status >= 500 || strings.Contains(a.body, "<Code>InvalidAction</Code>") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		// What has to do with phones, and with the protection of data, says that it is not here.
		if strings.Contains(name, "Platform") || strings.Contains(name, "SMS") || strings.Contains(name, "Phone") || strings.Contains(name, "DataProtection") || strings.HasSuffix(name, "EndpointAttributes") {
			a.fails(400, "InvalidParameter", "", "Invalid parameter: Action Reason: "+name+" is not supported here")
		}
	}
	for _, name := range ofSQS {
		for _, a := range []*answer{h.json(name, "{}"), h.query(name)} {
			if a.status >= 500 || strings.Contains(a.body, "InvalidAction") || strings.Contains(a.body, "UnknownOperation") {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
	_, err := h.sns.ListPlatformApplications(t.Context(), nil)
	if _, ok := errors.AsType[*snstypes.InvalidParameterException](err); !ok {
		t.Errorf("got %v", err)
	}
}
