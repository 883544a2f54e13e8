package aws_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// subscribing asks for a subscription of a queue with attributes, which are names and values in turn.
func (h *doorTest) subscribing(topic, endpoint string, attributes ...string) *answer {
	h.Helper()
	params := []string{"TopicArn", topic, "Protocol", "sqs", "Endpoint", endpoint}
	for i := 0; i < len(attributes); i += 2 {
		n := string(rune('1' + i/2))
		params = append(params, "Attributes.entry."+n+".key", attributes[i], "Attributes.entry."+n+".value", attributes[i+1])
	}
	return h.ask("Subscribe", params...)
}

func TestN23_SubscriptionsHaveARNsAndProtocols(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	if sub := h.subscribe(topic, q, nil); !regexp.MustCompile(`^` + topic + `:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(sub) {
		t.Errorf("the ARN is %s", sub)
	}
	h.refusesTo("Subscribe", "Invalid parameter: Amazon SNS does not support this protocol string: carrier-pigeon", "TopicArn", topic, "Protocol", "carrier-pigeon", "Endpoint", "x")
	for _, protocol := range []string{"email", "email-json", "sms", "lambda", "application", "firehose"} {
		h.refusesTo("Subscribe", protocol+" is not supported here", "TopicArn", topic, "Protocol", protocol, "Endpoint", "x")
	}
}

func TestN24_AQueueIsSubscribedAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	endpoint := h.arn("/" + h.newName()) // which need not be there
	sub := h.subscribing(topic, endpoint).between("<SubscriptionArn>", "</SubscriptionArn>")
	got := h.attributesOf(sub)
	diff(t, "confirmed", []string{"false", "true"}, []string{got["PendingConfirmation"], got["ConfirmationWasAuthenticated"]})
	h.subscribing(topic, "http://127.0.0.1/000000000000/q").fails(400, "InvalidParameter", "", "Invalid parameter: SQS endpoint ARN")
	h.subscribing(topic, strings.Replace(endpoint, region, "eu-test-2", 1)).fails(400, "InvalidParameter", "", "Endpoint")
	h.subscribing(topic+"x", endpoint).fails(404, "NotFound", "", "Topic does not exist")
	h.subscribing(topic, "").fails(400, "InvalidParameter", "", "Endpoint")
}

func TestN26_SubscribingAgainIsNoErrorUnlessItDiffers(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	endpoint := h.arn(q)
	sub := h.subscribing(topic, endpoint, "RawMessageDelivery", "true", "FilterPolicy", `{"a":["x"]}`).between("<SubscriptionArn>", "</SubscriptionArn>")
	for _, same := range [][]string{nil, {"RawMessageDelivery", "TRUE"}, {"FilterPolicy", `{ "a": ["x"] }`}, {"RawMessageDelivery", "true", "FilterPolicy", `{"a":["x"]}`}} {
		diff(t, "the same", sub, h.subscribing(topic, endpoint, same...).between("<SubscriptionArn>", "</SubscriptionArn>"))
	}
	const words = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
	for _, other := range [][]string{{"RawMessageDelivery", "false"}, {"FilterPolicy", `{"a":["y"]}`}, {"FilterPolicyScope", "MessageBody"}} {
		h.subscribing(topic, endpoint, other...).fails(400, "InvalidParameter", "", words)
	}
	// Of many at once one makes it.
	other := h.queue(nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { h.subscribe(topic, other, nil) })
	}
	all.Wait()
	diff(t, "subscriptions", "2", h.attributesOf(topic)["SubscriptionsConfirmed"])
	// One that was made by REST is the same.
	made := h.queue(nil)
	_, _, err := h.topics.PutSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), "by-rest", topics.SubscriptionSettings{Queue: nameOf(made)}, topics.Condition{})
	h.must(err)
	diff(t, "by REST", topic+":by-rest", h.subscribe(topic, made, map[string]string{"RawMessageDelivery": "true"}))
}

// SNS has no topics that subscribe to topics. What REST has made is shown all the same, and stays raw.
func TestASubscriptionOfATopicIsShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, other := h.topic(nil), h.topic(nil)
	_, _, err := h.topics.PutSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), "on", topics.SubscriptionSettings{Topic: nameOfARN(other)}, topics.Condition{})
	h.must(err)
	got := h.attributesOf(topic + ":on")
	diff(t, "where it leads", "sns "+other, got["Protocol"]+" "+got["Endpoint"])
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", topic+":on", "AttributeName", "RawMessageDelivery", "AttributeValue", "false").fails(400, "InvalidParameter", "", "")
}

func nameOfARN(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

func TestN27_BadAttributesAreRefusedInTheWordsOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	sub := h.subscribe(topic, h.queue(nil), nil)
	for _, c := range []struct{ name, value, words string }{
		{"RawMessageDelivery", "maybe", "RawMessageDelivery: Invalid value [maybe]. Must be true or false."},
		{"FilterPolicyScope", "x", "FilterPolicyScope: Invalid value [x]. Please use either MessageBody or MessageAttributes"},
		{"RedrivePolicy", `{"deadLetterTargetArn":"x"}`, "RedrivePolicy: deadLetterTargetArn is an invalid arn"},
		{"RedrivePolicy", `{}`, "RedrivePolicy: deadLetterTargetArn is an invalid arn"},
		{"RedrivePolicy", `[]`, "RedrivePolicy: "},
		{"DeliveryPolicy", `{}`, "DeliveryPolicy: is only for subscriptions of web endpoints"},
		{"ReplayPolicy", `[]`, "ReplayPolicy: "},
		{"Unknown", "x", "AttributeName"},
	} {
		h.subscribing(topic, h.arn(q), c.name, c.value).fails(400, "InvalidParameter", "", "Invalid parameter: Attributes Reason: "+c.words)
		h.refusesTo("SetSubscriptionAttributes", "Invalid parameter: "+c.words, "SubscriptionArn", sub, "AttributeName", c.name, "AttributeValue", c.value)
	}
}

func TestN28_ASubscriptionShowsWhatWasSet(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	sub := h.subscribe(topic, q, nil)
	want := map[string]string{"SubscriptionArn": sub, "TopicArn": topic, "Owner": h.tenant.AccountNumber, "Protocol": "sqs", "Endpoint": h.arn(q), "PendingConfirmation": "false",
		"ConfirmationWasAuthenticated": "true", "RawMessageDelivery": "false", "SubscriptionPrincipal": "arn:aws:iam::" + h.tenant.AccountNumber + ":root"}
	diff(t, "fresh", want, h.attributesOf(sub))
	set := func(name, value string) {
		t.Helper()
		h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", name, "AttributeValue", value).ok(nil)
	}
	set("FilterPolicyScope", "MessageBody")
	diff(t, "a scope alone is not shown", want, h.attributesOf(sub))
	set("FilterPolicy", ` {"a" : [ "x" ]}`)
	want["FilterPolicy"], want["FilterPolicyScope"] = ` {"a" : [ "x" ]}`, "MessageBody"
	diff(t, "as it was set", want, h.attributesOf(sub))
	h.refusesTo("SetSubscriptionAttributes", "FilterPolicy", "SubscriptionArn", sub, "AttributeName", "FilterPolicy", "AttributeValue", "[]")
	for _, none := range []string{"", "{}"} {
		set("FilterPolicy", `{"a":["x"]}`)
		set("FilterPolicy", none)
		if _, there := h.attributesOf(sub)["FilterPolicy"]; there {
			t.Errorf("after %q there is a policy", none)
		}
	}
}

func TestN29_AFIFOQueueWantsAFIFOTopic(t *testing.T) {
	t.Parallel()
	h := open(t)
	fifo, standard := h.queue(map[string]string{"FifoQueue": "true"}), h.queue(nil)
	h.subscribing(h.topic(nil), h.arn(fifo)).fails(400, "InvalidParameter", "", "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	topic := h.topic(map[string]string{"FifoTopic": "true"})
	h.subscribe(topic, fifo, nil)
	h.subscribe(topic, standard, nil)
	h.fifoPublish(topic, "m", "g", "d")
	diff(t, "both", []string{"m", "m"}, []string{h.notice(fifo).Message, h.notice(standard).Message})
}

func TestN30_UnsubscribingAgainSucceeds(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	sub := h.subscribe(topic, h.queue(nil), nil)
	for range 2 {
		h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	}
	h.ask("GetSubscriptionAttributes", "SubscriptionArn", sub).fails(404, "NotFound", "", "Subscription does not exist")
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "true").fails(404, "NotFound", "", "Subscription does not exist")
	h.refusesTo("Unsubscribe", "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1", "SubscriptionArn", "x")
	h.refusesTo("Unsubscribe", "Invalid parameter: SubscriptionId", "SubscriptionArn", topic)
	h.refusesTo("Unsubscribe", "Invalid parameter: SubscriptionArn Reason: no value for required parameter", "SubscriptionArn", "")
	diff(t, "subscriptions", "0", h.attributesOf(topic)["SubscriptionsConfirmed"])
}

func TestN33_WrongTokensConfirmNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	h.refusesTo("ConfirmSubscription", "Invalid token", "TopicArn", topic, "Token", "abc")
	h.refusesTo("ConfirmSubscription", "Invalid parameter: Token", "TopicArn", topic, "Token", strings.Repeat("0a", 100))
	h.refusesTo("ConfirmSubscription", "Invalid parameter: Topic", "TopicArn", "x", "Token", "abc")
	h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token=abc").fails(400, "InvalidParameter", "", "Invalid token")
}

// unsigned follows a link.
func (h *doorTest) unsigned(query string) *answer {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), http.MethodGet, h.url+"/?"+query, nil)
	h.must(err)
	return h.do(r)
}

func TestN36_TheLinkInANotificationEndsItsSubscription(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	sub := h.subscribe(topic, q, nil)
	h.publish(topic, nil)
	link, err := url.Parse(h.notice(q).UnsubscribeURL)
	h.must(err)
	values := link.Query()
	diff(t, "link", []string{h.url, "Unsubscribe", sub}, []string{link.Scheme + "://" + link.Host, values.Get("Action"), values.Get("SubscriptionArn")})

	// An ARN is no secret: without the token, or with that of another, nothing happens.
	h.unsigned("Action=Unsubscribe&SubscriptionArn="+sub).fails(403, "MissingAuthenticationToken", "", "")
	other := h.subscribe(topic, h.queue(nil), nil)
	h.unsigned("Action=Unsubscribe&SubscriptionArn="+other+"&Token="+values.Get("Token")).fails(400, "InvalidParameter", "", "Invalid token")
	h.unsigned("Action=Unsubscribe&SubscriptionArn="+sub+"&Token=x"+values.Get("Token")).fails(400, "InvalidParameter", "", "Invalid token")
	h.unsigned("Action=DeleteTopic&TopicArn="+topic+"&Token="+values.Get("Token")).fails(403, "MissingAuthenticationToken", "", "")
	diff(t, "subscriptions", "2", h.attributesOf(topic)["SubscriptionsConfirmed"])

	h.unsigned(link.RawQuery).ok(nil)
	diff(t, "subscriptions", "1", h.attributesOf(topic)["SubscriptionsConfirmed"])
	// It does not end the one that follows.
	h.clock.Advance(1e9)
	diff(t, "made again", sub, h.subscribe(topic, q, nil))
	h.unsigned(link.RawQuery).ok(nil)
	diff(t, "subscriptions", "2", h.attributesOf(topic)["SubscriptionsConfirmed"])
}

func TestN37_ANotificationIsAsSNSWritesIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	const body = "<\"ü\\\r\n&\u2028"
	h.ask("Publish", "TopicArn", topic, "Message", body, "Subject", "s", "MessageAttributes.entry.1.Name", "n", "MessageAttributes.entry.1.Value.DataType", "Number.int",
		"MessageAttributes.entry.1.Value.StringValue", "7").ok(nil)
	m := h.next(q)
	form := regexp.MustCompile(`^\{
  "Type" : "Notification",
  "MessageId" : "[-0-9a-f]{36}",
  "TopicArn" : "` + topic + `",
  "Subject" : "s",
  "Message" : "<\\"ü\\\\\\r\\n&\\u2028",
  "Timestamp" : "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
  "SignatureVersion" : "1",
  "Signature" : "[A-Za-z0-9+/]{342}==",
  "SigningCertURL" : "` + h.url + `/SimpleNotificationService-[0-9a-f]{32}\.pem",
  "UnsubscribeURL" : "` + h.url + `/\?Action=Unsubscribe&SubscriptionArn=` + topic + `:[-0-9a-f]{36}&Token=[-_.A-Za-z0-9]+",
  "MessageAttributes" : \{
    "n" : \{"Type":"Number\.int","Value":"7"\}
  \}
\}$`)
	if !form.MatchString(*m.Body) {
		t.Errorf("got %s", *m.Body)
	}
	h.publish(topic, nil)
	if body := *h.next(q).Body; strings.Contains(body, "Subject") || strings.Contains(body, "MessageAttributes") || strings.Contains(body, "SequenceNumber") {
		t.Errorf("got %s", body)
	}
}

// A body from REST that is no text comes in base64, and says so.
func TestN37_ABodyThatIsNoTextSaysSo(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	_, err := h.topics.Publish(t.Context(), h.tenant.ID, nameOfARN(topic), queues.Outgoing{Body: []byte("\xff\x00")})
	h.must(err)
	n := h.notice(q)
	h.verify(n)
	diff(t, "notification", []string{"/wA=", "base64"}, []string{n.Message, n.MessageAttributes["Sluice-Body-Encoding"].Value})
}

func TestN38_NotificationsOfAFIFOTopicAreNotSigned(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(map[string]string{"FifoTopic": "true"}), h.queue(map[string]string{"FifoQueue": "true"})
	h.subscribe(topic, q, nil)
	sent := h.fifoPublish(topic, "m", "g", "d")
	body := *h.next(q).Body
	if strings.Contains(body, "Sign") || !strings.Contains(body, `"MessageId" : "`+sent[0]+"\",\n  \"SequenceNumber\" : \""+sent[1]+`"`) {
		t.Errorf("got %s", body)
	}
}

func TestN39_RawMessagesAreAsIfTheyHadBeenSentToTheQueue(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	h.ask("Publish", "TopicArn", topic, "Message", "m", "Subject", "lost", "MessageAttributes.entry.1.Name", "k", "MessageAttributes.entry.1.Value.DataType", "String",
		"MessageAttributes.entry.1.Value.StringValue", "x").ok(nil)
	m := h.next(q)
	diff(t, "message", []string{"m", "a45daa70926828a2f0a1db3418e6feb4"}, []string{*m.Body, *m.MD5OfMessageAttributes})
	params := []string{"TopicArn", topic, "Message", "m"}
	for i := range 11 {
		at := fmt.Sprintf("MessageAttributes.entry.%d.", i+1)
		params = append(params, at+"Name", fmt.Sprintf("n%d", i), at+"Value.DataType", "String", at+"Value.StringValue", "v")
	}
	h.refusesTo("Publish", "at most 10 attributes", params...)
}

func TestN40_ATracePassesThrough(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, raw, packed := h.topic(nil), h.queue(nil), h.queue(nil)
	h.subscribe(topic, raw, map[string]string{"RawMessageDelivery": "true"})
	h.subscribe(topic, packed, nil)
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	body := url.Values{"Action": {"Publish"}, "TopicArn": {topic}, "Message": {"m"}}.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/", strings.NewReader(body))
	h.must(err)
	r.Header.Set("X-Amzn-Trace-Id", trace)
	h.signFor("sns", r, body)
	h.do(r).ok(nil)
	diff(t, "traces", []string{trace, trace}, []string{h.next(raw).Attributes["AWSTraceHeader"], h.next(packed).Attributes["AWSTraceHeader"]})
}

func TestN47_TheSignatureCoversWhatSNSSigns(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	for _, version := range []string{"1", "2", "1"} {
		h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", version).ok(nil)
		h.publish(topic, func(in *sns.PublishInput) { in.Subject = sdk.String("s") })
		n := h.notice(q)
		diff(t, "version", version, n.SignatureVersion)
		h.verify(n)
		n.Message += "!"
		probe := &doorTest{TB: &silent{TB: t}}
		if probe.verify(n); !probe.Failed() {
			t.Error("the signature does not cover the message")
		}
	}
}

// silent is a test that is meant to fail.
type silent struct {
	testing.TB
	failed bool
}

func (s *silent) Errorf(string, ...any) { s.failed = true }
func (s *silent) Failed() bool          { return s.failed }

func TestN49_TheCertificateIsForEverybody(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	h.publish(topic, nil)
	address := h.notice(q).SigningCertURL
	c := h.certificate(address)
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil || c.IsCA {
		t.Errorf("the certificate is %v: %v", c.Subject, err)
	}
	other := open(t, asTenant(h))
	diff(t, "the other server has the same", c.Raw, other.certificate(strings.Replace(address, h.url, other.url, 1)).Raw)
	for path, status := range map[string]int{"/SimpleNotificationService-00000000000000000000000000000000.pem": 404, "/SimpleNotificationService-.pem": 404} {
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		diff(t, path, status, w.Code)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimPrefix(address, h.url), strings.NewReader("x"))
	if !aws.Accepts(r) {
		t.Error("the door does not take the path of the certificate")
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	diff(t, "POST", http.StatusMethodNotAllowed, w.Code)
}

func TestN68_FilterPoliciesJudgeByTypes(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"n":[7,"seven"]}`})
	ask := func(message, kind, value string) {
		h.ask("Publish", "TopicArn", topic, "Message", message, "MessageAttributes.entry.1.Name", "n", "MessageAttributes.entry.1.Value.DataType", kind,
			"MessageAttributes.entry.1.Value.StringValue", value).ok(nil)
	}
	ask("a number in text", "String", "7")
	ask("a number", "Number", "7.0")
	ask("another", "Number", "8")
	ask("text", "String", "seven")
	ask("an array", "String.Array", `["x",7]`)
	h.publish(topic, nil)
	ask("last", "String", "seven")
	diff(t, "messages", []string{"a number", "text", "an array", "last"}, []string{*h.next(q).Body, *h.next(q).Body, *h.next(q).Body, *h.next(q).Body})
}
