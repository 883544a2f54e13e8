package aws_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/errs"
)

func TestW3_OneHostServesQueuesAndTopics(t *testing.T) {
	t.Parallel()
	h := open(t)
	const form = "application/x-www-form-urlencoded"
	// An action that only one of the two has says it, and so does the version where both have it. Without one it is the scope.
	h.asked(http.MethodPost, "/", "Action=ListTopics").ok(nil)
	h.form("/", "Action=ListQueues").ok(nil)
	for _, version := range []string{"", "&Version=2010-03-31"} {
		h.asked(http.MethodPost, "/", "Action=AddPermission"+version).fails(400, "InvalidParameter", "", "TopicArn")
	}
	for _, version := range []string{"", "&Version=2012-11-05"} {
		h.form("/", "Action=AddPermission"+version).fails(400, "MissingParameter", "", "QueueUrl")
	}
	// Topics have no JSON.
	for _, target := range []string{"AmazonSNS.ListTopics", "AmazonSimpleNotificationService.ListTopics", "AmazonSQS.ListTopics"} {
		h.do(h.signed("POST", "/", "{}", "Content-Type", jsonMedia, "X-Amz-Target", target)).fails(400, "UnknownOperationException", "UnknownOperationException", "")
	}
	diff(t, "answer of topics", "text/xml", h.asked(http.MethodPost, "/", "Action=ListTopics").header.Get("Content-Type"))
	h.do(h.signed("POST", "/", "Action=ListQueues", "Content-Type", form)).ok(nil)
}

func TestW4_RefusalsComeInTheProtocolOfTheRequest(t *testing.T) {
	t.Parallel()
	h := open(t)
	path := strings.TrimPrefix(h.queue(nil), h.url)
	unknown, wrong, limited := *h, *h, *h
	unknown.pair.AccessKeyID = "SLAKAAAAAAAAAAAAAAAA"
	wrong.pair.SecretAccessKey += "x"
	limited.pair = h.newPair(auth.NewKey{Name: "limited", Scopes: []string{"queues:read"}})
	for _, c := range []struct {
		by          *doorTest
		code, shape string
	}{
		{nil, "MissingAuthenticationToken", "MissingAuthenticationTokenException"},
		{&unknown, "InvalidClientTokenId", "UnrecognizedClientException"},
		{&wrong, "SignatureDoesNotMatch", "InvalidSignatureException"},
		{&limited, "AccessDenied", "AccessDeniedException"},
	} {
		by := c.by
		if by == nil {
			by = h
		}
		for _, at := range []string{"/", path} {
			for media, body := range map[string]string{jsonMedia: in(path, `"MessageBody":"x"`), "application/x-www-form-urlencoded": "Action=SendMessage&MessageBody=x&QueueUrl=" + path} {
				headers := []string{"Content-Type", media}
				if media == jsonMedia {
					headers = append(headers, "X-Amz-Target", "AmazonSQS.SendMessage")
				}
				r := by.signed("POST", at, body, headers...)
				if c.by == nil {
					r.Header.Del("Authorization")
				}
				a := by.do(r)
				a.fails(403, c.code, "com.amazon.coral.service#"+c.shape, "")
				diff(t, c.code, media == jsonMedia, a.header.Get("Content-Type") == jsonMedia)
			}
		}
	}
	wrong.asked(http.MethodPost, "/", "Action=ListTopics&Version=2010-03-31").fails(403, "SignatureDoesNotMatch", "", "")
}

func TestW5_ValuesInJSON(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := client{h, false}
	address := h.queue(map[string]string{"DelaySeconds": "60"})
	raw := []byte{0, 1, 0xfe, 0xff}
	c.send(address, "x", `"DelaySeconds":0`, `"MessageAttributes":{"b":{"DataType":"Binary","BinaryValue":"`+base64.StdEncoding.EncodeToString(raw)+`"}}`)
	m := messages(c.out("ReceiveMessage", in(address, `"MaxNumberOfMessages":"1","VisibilityTimeout":"7","MessageAttributeNames":["All"]`)))[0]
	diff(t, "bytes are base64", object{"b": object{"BinaryValue": "AAH+/w==", "DataType": "Binary"}}, m["MessageAttributes"])
	// Who does not say that he wants codes of the query protocol gets them all the same.
	for _, headers := range [][]string{nil, {"X-Amzn-Query-Mode", "true"}} {
		a := h.do(h.signed("POST", "/", in("none", ""), append([]string{"Content-Type", jsonMedia, "X-Amz-Target", "AmazonSQS.PurgeQueue"}, headers...)...))
		diff(t, "code", noQueueCode+";Sender", a.header.Get("X-Amzn-Query-Error"))
	}
}

func TestW7_ErrorsInJSONHaveAShapeAndACode(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	for _, c := range []struct{ action, input, body, code string }{
		{"PurgeQueue", in("none", ""), `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`, noQueueCode},
		{"SetQueueAttributes", in(address, `"Attributes":{"Foo":"x"}`), `{"__type":"com.amazonaws.sqs#InvalidAttributeName","message":"Unknown Attribute Foo."}`, "InvalidAttributeName"},
		{"SendMessage", in(address, ""), `{"__type":"com.amazon.coral.service#MissingRequiredParameterException","message":"The request must contain the parameter MessageBody."}`, "MissingParameter"},
	} {
		a := h.json(c.action, c.input)
		diff(t, c.action, []any{400, c.body, c.code + ";Sender"}, []any{a.status, a.body, a.header.Get("X-Amzn-Query-Error")})
	}
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://h/", nil)
	h.must(err)
	r.Header.Set("Content-Type", jsonMedia)
	aws.Refuse(w, r, &errs.Error{Kind: errs.Unavailable, Message: "later"})
	diff(t, "what the server is to blame for", "ServiceUnavailable;Receiver", w.header.Get("X-Amzn-Query-Error"))
}

func TestW8_TheSDKHasBothCodeAndShape(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	code := func(err error) string {
		t.Helper()
		var coded interface{ ErrorCode() string }
		if !errors.As(err, &coded) {
			t.Fatalf("got %v", err)
		}
		return coded.ErrorCode()
	}
	_, err := h.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: sdk.String("none")})
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok || code(err) != noQueueCode {
		t.Errorf("got %v with %s", err, code(err))
	}
	_, err = h.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: sdk.String(nameOf(address)), Attributes: map[string]string{"DelaySeconds": "7"}})
	if _, ok := errors.AsType[*types.QueueNameExists](err); !ok || code(err) != "QueueAlreadyExists" {
		t.Errorf("got %v with %s", err, code(err))
	}
	_, err = h.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &address, ReceiptHandle: sdk.String("x")})
	if _, ok := errors.AsType[*types.ReceiptHandleIsInvalid](err); !ok || code(err) != "ReceiptHandleIsInvalid" {
		t.Errorf("got %v with %s", err, code(err))
	}
	_, err = h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 11})
	diff(t, "of an error in no model", invalid, code(err))
}

func TestW9_ErrorsInNoModelHaveANamespaceOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	limited := *h
	limited.pair = h.newPair(auth.NewKey{Name: "limited", Scopes: []string{"queues:read"}})
	const coral, sqs = "com.amazon.coral.service#", "com.amazonaws.sqs#"
	for shape, a := range map[string]*answer{
		coral + "InvalidParameterValueException":    h.json("ReceiveMessage", in(address, `"MaxNumberOfMessages":11`)),
		coral + "MissingRequiredParameterException": h.json("ReceiveMessage", "{}"),
		coral + "AccessDeniedException":             limited.json("PurgeQueue", in(address, "")),
		sqs + "InvalidAttributeValue":               h.json("SetQueueAttributes", in(address, `"Attributes":{"DelaySeconds":"x"}`)),
	} {
		if !strings.HasPrefix(a.body, `{"__type":"`+shape+`",`) {
			t.Errorf("got %s, want %s", a.body, shape)
		}
	}
}

// result returns what stands in the Result element of an answer, without what differs each time.
func (a *answer) result(action string) string {
	a.Helper()
	body := a.between("<"+action+"Result>", "</"+action+"Result>")
	return regexp.MustCompile(`<(MessageId|ReceiptHandle|TaskHandle|StartedTimestamp)>[^<]+</`).ReplaceAllString(body, "<$1>…</")
}

func TestW15_ListsAndMapsAreFlatInXML(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, two := h.queue(nil), h.queue(nil)
	at := []string{"QueueUrl", one}
	list := []string{one, two}
	slices.Sort(list)
	diff(t, "queues", "<QueueUrl>"+list[0]+"</QueueUrl><QueueUrl>"+list[1]+"</QueueUrl>", h.query("ListQueues").result("ListQueues"))
	diff(t, "attributes", "<Attribute><Name>DelaySeconds</Name><Value>0</Value></Attribute><Attribute><Name>VisibilityTimeout</Name><Value>30</Value></Attribute>",
		h.query("GetQueueAttributes", append(at, "AttributeName.1", "VisibilityTimeout", "AttributeName.2", "DelaySeconds")...).result("GetQueueAttributes"))
	h.query("TagQueue", append(at, "Tag.1.Key", "k", "Tag.1.Value", "v")...).ok(nil)
	diff(t, "tags", "<Tag><Key>k</Key><Value>v</Value></Tag>", h.query("ListQueueTags", at...).result("ListQueueTags"))

	const x, y = "9dd4e461268c8034f5c8564e155c67a6", "415290769594460e2e485922904f345d" // of the bodies
	diff(t, "sent", "<SendMessageBatchResultEntry><Id>a</Id><MD5OfMessageBody>"+x+"</MD5OfMessageBody><MD5OfMessageAttributes>a45daa70926828a2f0a1db3418e6feb4</MD5OfMessageAttributes><MessageId>…</MessageId></SendMessageBatchResultEntry>"+
		"<SendMessageBatchResultEntry><Id>b</Id><MD5OfMessageBody>"+y+"</MD5OfMessageBody><MessageId>…</MessageId></SendMessageBatchResultEntry>"+
		"<BatchResultErrorEntry><Id>c</Id><Code>InvalidMessageContents</Code>",
		strings.Split(h.query("SendMessageBatch", append(at, "SendMessageBatchRequestEntry.1.Id", "a", "SendMessageBatchRequestEntry.1.MessageBody", "x",
			"SendMessageBatchRequestEntry.1.MessageAttribute.1.Name", "k", "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType", "String",
			"SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue", "x", "SendMessageBatchRequestEntry.2.Id", "b", "SendMessageBatchRequestEntry.2.MessageBody", "y",
			"SendMessageBatchRequestEntry.3.Id", "c", "SendMessageBatchRequestEntry.3.MessageBody", "\x01")...).result("SendMessageBatch"), "<Message>")[0])
	received := h.query("ReceiveMessage", append(at, "MaxNumberOfMessages", "10", "AttributeName.1", "ApproximateReceiveCount", "MessageAttributeName.1", "All")...)
	const count = "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"
	diff(t, "received", "<Message><MessageId>…</MessageId><ReceiptHandle>…</ReceiptHandle><MD5OfBody>"+x+"</MD5OfBody><Body>x</Body>"+count+
		"<MessageAttribute><Name>k</Name><Value><StringValue>x</StringValue><DataType>String</DataType></Value></MessageAttribute>"+
		"<MD5OfMessageAttributes>a45daa70926828a2f0a1db3418e6feb4</MD5OfMessageAttributes></Message>"+
		"<Message><MessageId>…</MessageId><ReceiptHandle>…</ReceiptHandle><MD5OfBody>"+y+"</MD5OfBody><Body>y</Body>"+count+"</Message>", received.result("ReceiveMessage"))
	handle := received.between("<ReceiptHandle>", "</ReceiptHandle>")
	for _, action := range []string{"ChangeMessageVisibilityBatch", "DeleteMessageBatch"} {
		first := action + "RequestEntry.1."
		diff(t, action, "<"+action+"ResultEntry><Id>a</Id></"+action+"ResultEntry>",
			h.query(action, append(at, first+"Id", "a", first+"ReceiptHandle", handle, first+"VisibilityTimeout", "60")...).result(action))
	}
	h.query("SetQueueAttributes", "QueueUrl", two, "Attribute.1.Name", "RedrivePolicy", "Attribute.1.Value", `{"deadLetterTargetArn":"`+h.arn(one)+`","maxReceiveCount":3}`).ok(nil)
	diff(t, "sources", "<QueueUrl>"+two+"</QueueUrl>", h.query("ListDeadLetterSourceQueues", at...).result("ListDeadLetterSourceQueues"))
	h.query("StartMessageMoveTask", "SourceArn", h.arn(one), "MaxNumberOfMessagesPerSecond", "1").ok(nil)
	if got := h.query("ListMessageMoveTasks", "SourceArn", h.arn(one)).result("ListMessageMoveTasks"); !strings.HasPrefix(got, "<ListMessageMoveTasksResultEntry>") || strings.Contains(got, "member") {
		t.Errorf("tasks: %s", got)
	}
}

func TestW16_AnEmptyResultHasNothingInIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	for _, action := range []string{"ReceiveMessage", "ListQueueTags", "GetQueueAttributes", "ListDeadLetterSourceQueues"} {
		if a := h.query(action, "QueueUrl", address).ok(nil); !strings.Contains(a.body, "><"+action+"Result/><ResponseMetadata>") {
			t.Errorf("got %s", a.body)
		}
	}
}

func TestW17_WhatXMLWouldChangeIsEscaped(t *testing.T) {
	t.Parallel()
	h := open(t)
	c, address := client{h, true}, h.queue(nil)
	const body = "line\r\nline\rline\n\t\"quoted\" 'so' <&> ]]> é☃😀"
	value := `{"k":{"DataType":"String","StringValue":` + quoted(body) + `}}`
	sent := c.send(address, body, `"MessageAttributes":`+value)
	a := h.query("ReceiveMessage", "QueueUrl", address, "MessageAttributeName.1", "k", "VisibilityTimeout", "0").ok(nil)
	if !strings.Contains(a.body, "<Body>line&#xD;\nline&#xD;line\n\t&quot;quoted&quot; ") || strings.Contains(a.body, "\r") {
		t.Errorf("got %s", a.body)
	}
	m := messages(c.receive(address, `"MessageAttributeNames":["k"]`))[0]
	sum := md5.Sum([]byte(body))
	want := object{"Body": body, "MD5OfBody": hex.EncodeToString(sum[:]), "MD5OfMessageAttributes": sent["MD5OfMessageAttributes"],
		"MessageAttributes": object{"k": object{"DataType": "String", "StringValue": body}}, "MessageId": sent["MessageId"]}
	maps.DeleteFunc(m, func(name string, _ any) bool { return name == "ReceiptHandle" })
	diff(t, "what a parser reads", want, m)
}

func TestW18_ErrorsInXML(t *testing.T) {
	t.Parallel()
	h := open(t)
	for namespace, a := range map[string]*answer{
		"http://queue.amazonaws.com/doc/2012-11-05/": h.query("ReceiveMessage", "QueueUrl", h.queue(nil), "MaxNumberOfMessages", "<11>"),
		"http://sns.amazonaws.com/doc/2010-03-31/":   h.ask("Subscribe", "TopicArn", h.topic(nil), "Protocol", "<11>", "Endpoint", "x"),
	} {
		if !regexp.MustCompile(`^<\?xml version="1.0"\?><ErrorResponse xmlns="` + namespace + `"><Error><Type>Sender</Type><Code>Invalid\w+</Code><Message>[^<]*&lt;11&gt;[^<]*</Message><Detail/></Error>` +
			`<RequestId>` + a.header.Get("X-Amzn-Requestid") + `</RequestId></ErrorResponse>$`).MatchString(a.body) {
			t.Errorf("got %s", a.body)
		}
	}
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://h/", nil)
	h.must(err)
	aws.Refuse(w, r, io.ErrUnexpectedEOF)
	if !strings.Contains(string(w.body), "<Error><Type>Receiver</Type><Code>InternalFailure</Code>") {
		t.Errorf("got %s", w.body)
	}
}

func TestW20_TheQueryProtocolIsAnsweredInXML(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.do(h.signed("GET", "/?Action=ListQueues", "", "Accept", "application/json")).ok(nil)
	diff(t, "type", "text/xml", a.header.Get("Content-Type"))
}

func TestW21_AQueueThatThereIsNot(t *testing.T) {
	t.Parallel()
	h := open(t)
	for query, text := range map[bool]string{false: "The specified queue does not exist.", true: "The specified queue does not exist for this wsdl version."} {
		c := client{h, query}
		c.call("GetQueueUrl", `{"QueueName":"none"}`).fails(400, noQueueCode, "com.amazonaws.sqs#QueueDoesNotExist", text)
		for action, more := range map[string]string{"SendMessage": `"MessageBody":"x"`, "ReceiveMessage": "", "DeleteMessage": `"ReceiptHandle":"x"`, "DeleteQueue": "", "PurgeQueue": "", "ListQueueTags": "",
			"GetQueueAttributes": `"AttributeNames":["All"]`, "SetQueueAttributes": `"Attributes":{"DelaySeconds":"1"}`, "ListDeadLetterSourceQueues": ""} {
			c.call(action, in(h.url+"/"+h.tenant.AccountNumber+"/none", more)).fails(400, noQueueCode, "com.amazonaws.sqs#QueueDoesNotExist", text)
		}
	}
}

func TestW23_OldAndNewClientsShareAQueue(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	for _, query := range []bool{false, true} {
		sender, receiver := client{h, query}, client{h, !query}
		sent := sender.send(address, "x", `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"}}`)
		m := messages(receiver.receive(address, `"MessageAttributeNames":["All"]`))[0]
		diff(t, "message", []any{sent["MessageId"], sent["MD5OfMessageBody"], sent["MD5OfMessageAttributes"]}, []any{m["MessageId"], m["MD5OfBody"], m["MD5OfMessageAttributes"]})
		sender.out("DeleteMessage", in(address, `"ReceiptHandle":`+quoted(str(m, "ReceiptHandle"))))
	}
	diff(t, "left", object{"ApproximateNumberOfMessagesNotVisible": "0"}, client{h, false}.attributesOf(address, "ApproximateNumberOfMessagesNotVisible"))
}

func TestW27_TheSignatureCoversTheBody(t *testing.T) {
	t.Parallel()
	h := open(t)
	body := in(h.queue(nil), `"MessageBody":"x"`)
	sum := sha256.Sum256([]byte(body))
	digest := hex.EncodeToString(sum[:])
	send := func(change string, headers ...string) *answer {
		r := h.signed("POST", "/", body, append([]string{"Content-Type", jsonMedia, "X-Amz-Target", "AmazonSQS.SendMessage"}, headers...)...)
		if change != "" {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, `"x"`, change, 1)))
		}
		return h.do(r)
	}
	send("").ok(nil)
	send("", "X-Amz-Content-Sha256", digest).ok(nil)
	for _, a := range []*answer{send(`"y"`), send(`"y"`, "X-Amz-Content-Sha256", digest), send("", "X-Amz-Content-Sha256", strings.Repeat("0", 64)), send("", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")} {
		a.fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "")
	}
}

func TestW32_AWrongSignatureIsToldWhatWouldHaveBeenSigned(t *testing.T) {
	t.Parallel()
	h := open(t)
	wrong := *h
	wrong.pair.SecretAccessKey += "x"
	for _, query := range []bool{false, true} {
		a := client{&wrong, query}.call("ListQueues", `{"QueueNamePrefix":"a"}`)
		a.fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
		text := strings.NewReplacer(`\n`, "\n", "&#xA;", "\n").Replace(a.body)
		_, rest, found := strings.Cut(text, "The String-to-Sign should have been\n'")
		toSign, _, ended := strings.Cut(rest, "'")
		if !found || !ended || !strings.Contains(text, "The Canonical String for this request should have been\n'POST\n/\n\n") {
			t.Fatalf("got %s", a.body)
		}
		// With the secret a client makes the right signature of it, which is not told.
		steps := append(strings.Split(strings.Split(toSign, "\n")[2], "/"), toSign)
		key := []byte("AWS4" + h.pair.SecretAccessKey)
		for _, step := range steps {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(step))
			key = mac.Sum(nil)
		}
		if strings.Contains(a.body, hex.EncodeToString(key)) || strings.Contains(a.body, h.pair.SecretAccessKey) {
			t.Errorf("the text has a secret: %s", a.body)
		}
	}
}

func TestW34_LinksNeedNoSignature(t *testing.T) {
	t.Parallel()
	h := open(t, withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, nil)
	diff(t, "confirmed", sub, h.follow(e.nth(t, 1).SubscribeURL).between("<SubscriptionArn>", "</SubscriptionArn>"))
	h.clock.Advance(time.Second)
	h.publish(topic, nil)
	h.follow(e.nth(t, 2).UnsubscribeURL).ok(nil)
	diff(t, "confirmed ones", "0", h.attributesOf(topic)["SubscriptionsConfirmed"])
	for _, action := range []string{"ListTopics", "Publish&TopicArn=" + topic + "&Message=m", "DeleteTopic&TopicArn=" + topic, "Subscribe&TopicArn=" + topic} {
		h.unsigned("Action="+action).fails(403, "MissingAuthenticationToken", "", "")
	}
}
