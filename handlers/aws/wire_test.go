package aws_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

const jsonMedia = "application/x-amz-json-1.0"

func TestW1_TellingTheProtocolsApart(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	path := strings.TrimPrefix(address, h.url)
	for _, at := range []string{"/", path, path + "/"} {
		for _, media := range []string{jsonMedia, jsonMedia + "; charset=utf-8", "application/json", "application/x-amz-json-1.1"} {
			a := h.do(h.signed("POST", at, in(address, `"MessageBody":"x"`), "Content-Type", media, "x-amz-target", "AmazonSQS.SendMessage"))
			a.ok(nil)
			diff(t, media, jsonMedia, a.header.Get("Content-Type"))
		}
		a := h.form(at, url.Values{"Action": {"SendMessage"}, "QueueUrl": {address}, "MessageBody": {"x"}}.Encode()).ok(nil)
		diff(t, "form", "text/xml", a.header.Get("Content-Type"))
		a = h.do(h.signed("GET", at+"?Action=SendMessage&Version=2012-11-05&MessageBody=x&QueueUrl="+url.QueryEscape(address), ""))
		a.ok(nil)
		a = h.do(h.signed("POST", at+"?Action=SendMessage&MessageBody=x", "QueueUrl="+url.QueryEscape(address), "Content-Type", "application/x-www-form-urlencoded"))
		a.ok(nil)
	}
	for _, r := range []struct {
		method, target, header string
		want                   bool
	}{
		{"POST", "/", "", true}, {"GET", "/?Action=ListQueues", "", true}, {"GET", "/?a=b&Action=ListQueues", "", true}, {"GET", "/", "AWS4-HMAC-SHA256 x", true},
		{"GET", "/?X-Amz-Credential=x", "", true}, {"GET", "/", "", false}, {"GET", "/", "Bearer slk_x", false}, {"GET", "/123456789012/q", "", true}, {"DELETE", "/123456789012/q/", "", true},
		{"GET", "/12345678901/q", "", false}, {"GET", "/v1/queues", "AWS4-HMAC-SHA256 x", false}, {"POST", "/123456789012/a/b", "", false}, {"POST", "/v1/queues", "", false},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), r.method, "http://h"+r.target, nil)
		req.Header.Set("Authorization", r.header)
		if got := aws.Accepts(req); got != r.want {
			t.Errorf("%s %s %s: got %v", r.method, r.target, r.header, got)
		}
	}
}

func TestW6_AnswersInJSON(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.json("DeleteQueue", in("none", ""))
	diff(t, "error", `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`, a.body)
	diff(t, "status", 400, a.status)
	diff(t, "header", "AWS.SimpleQueueService.NonExistentQueue;Sender", a.header.Get("X-Amzn-Query-Error"))
	diff(t, "void", "{}", h.json("DeleteQueue", in(h.queue(nil), "")).ok(nil).body)
}

func TestW11_RequestsThatAreNoneInJSON(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	call := func(target, body string) *answer {
		return h.do(h.signed("POST", "/", body, "Content-Type", jsonMedia, "X-Amz-Target", target))
	}
	call("AmazonSQS.Foo", "{}").fails(400, "UnknownOperationException", "com.amazon.coral.service#UnknownOperationException", "")
	call("AmazonSNS.Publish", "{}").fails(400, "UnknownOperationException", "UnknownOperationException", "")
	call("AmazonSQS.GetCallerIdentity", "{}").fails(400, "UnknownOperationException", "UnknownOperationException", "")
	h.do(h.signed("POST", "/", "{}", "Content-Type", jsonMedia)).fails(404, "UnknownOperationException", "UnknownOperationException", "")
	for _, body := range []string{"x", "[]", `"x"`, "1", "null", "{}{}", "{} x", `{"a":1,"a":2}`, `{"QueueUrl":"a","QueueUrl":"a"}`, "{\"a\":\"\xff\"}",
		"\ufeff{}", "{\x00}", "{", `{"a"}`, `{"a":}`, `{a:1}`, `{"a":01}`, `{"a":"\x"}`, `{"a":"` + "\n" + `"}`, `{"a":1,}`, `{"a":tru}`, `{,}`,
		strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"} {
		call("AmazonSQS.SendMessage", body).fails(400, "SerializationException", "com.amazon.coral.service#SerializationException", "")
	}
	for _, members := range []string{`"MessageBody":1`, `"MessageBody":"x","DelaySeconds":"a"`, `"MessageBody":"x","DelaySeconds":5.5`, `"MessageBody":"x","DelaySeconds":1e1`,
		`"MessageBody":"x","DelaySeconds":true`, `"MessageBody":"x","DelaySeconds":-0`, `"MessageBody":"x","DelaySeconds":1000000000000000000000`, `"MessageBody":"x","MessageAttributes":[]`,
		`"MessageBody":"x","MessageAttributes":{"a":"b"}`, `"MessageBody":{"a":"b"}`} {
		call("AmazonSQS.SendMessage", in(address, members)).fails(400, "SerializationException", "SerializationException", "")
	}
	call("AmazonSQS.SendMessageBatch", in(address, `"Entries":["x"]`)).fails(400, "SerializationException", "SerializationException", "")
	call("AmazonSQS.SendMessageBatch", in(address, `"Entries":{}`)).fails(400, "SerializationException", "SerializationException", "")
	// Numbers as text are taken, null is nothing, and names are what they are.
	call("AmazonSQS.SendMessage", in(address, `"MessageBody":"x","DelaySeconds":"5","MessageGroupId":null`)).ok(nil)
	call("AmazonSQS.SendMessage", `{"queueurl":`+quoted(address)+`,"MessageBody":"x"}`).fails(400, "MissingParameter", "MissingRequiredParameterException", "QueueUrl")
	call("AmazonSQS.SendMessage", "").fails(400, "MissingParameter", "MissingRequiredParameterException", "QueueUrl")
	for _, half := range []string{`\ud800`, `\udc00`, `\ud800x`, `\ud800\u0041`, `\ud800\ud800`} {
		call("AmazonSQS.SendMessage", in(address, `"MessageBody":"`+half+`"`)).fails(400, "InvalidMessageContents", "InvalidMessageContents", "")
	}
	call("AmazonSQS.SendMessage", in(address, `"MessageBody":"\ud83d\ude00 \u00e9\/\b\f\u0041"`)).fails(400, "InvalidMessageContents", "InvalidMessageContents", "")
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, `"%d":{},`, i)
	}
	begin := time.Now()
	call("AmazonSQS.SendMessage", in(address, `"MessageBody":"x","MessageAttributes":{`+many.String()+`"x":{}}`)).fails(400, invalid, invalidType, "4096")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a hundred thousand attributes took %s", took)
	}
}

func TestW12_ParametersOfTheQueryProtocol(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := client{h, false}
	for _, attributes := range [][]string{
		{"Attribute.1.Name", "DelaySeconds", "Attribute.1.Value", "7"}, {"Attributes.1.Name", "DelaySeconds", "Attributes.1.Value", "7"},
		{"Attribute.0.Name", "DelaySeconds", "Attribute.0.Value", "7"}, {"Attribute.Name", "DelaySeconds", "Attribute.Value", "7"},
		{"Attribute.2.Name", "DelaySeconds", "Attribute.2.Value", "7", "Attribute.9.Name", "VisibilityTimeout", "Attribute.9.Value", "1"},
	} {
		address := h.queue(nil)
		h.query("SetQueueAttributes", append(attributes, "QueueUrl", address)...).ok(nil)
		diff(t, fmt.Sprint(attributes), object{"DelaySeconds": "7"}, c.attributesOf(address, "DelaySeconds"))
	}
	address := h.queue(nil)
	for _, names := range []string{"AttributeName.1", "AttributeNames.1", "AttributeName"} {
		if a := h.query("GetQueueAttributes", "QueueUrl", address, names, "DelaySeconds").ok(nil); !strings.Contains(a.body, "<Attribute><Name>DelaySeconds</Name><Value>0</Value></Attribute>") {
			t.Errorf("%s: %s", names, a.body)
		}
	}
	h.query("SendMessage", "QueueUrl", address, "MessageBody", "x", "MessageAttributes.1.Name", "k", "MessageAttributes.1.Value.DataType", "String", "MessageAttributes.1.Value.StringValue", "x").ok(nil)
	if a := h.query("ReceiveMessage", "QueueUrl", address, "MessageAttributeNames.1", "All").ok(nil); !strings.Contains(a.body, "a45daa70926828a2f0a1db3418e6feb4") {
		t.Errorf("no attribute: %s", a.body)
	}
	h.query("TagQueue", "QueueUrl", address, "Tags.1.Key", "k", "Tags.1.Value", "v").ok(nil)
	h.query("TagQueue", "QueueUrl", address, "Tag.1.Key", "l", "Tag.1.Value", "").ok(nil)
	diff(t, "tags", object{"Tags": object{"k": "v", "l": ""}}, c.out("ListQueueTags", in(address, "")))

	// What no reader could be sure of is refused.
	for _, bad := range [][]string{{"Attribute.-1.Name", "x", "Attribute.-1.Value", "x"}, {"Attribute.999999999.Name", "x"}, {"Attribute.1x.Name", "x"}} {
		h.query("SetQueueAttributes", append(bad, "QueueUrl", address)...).fails(400, invalid, "", "numbered")
	}
	h.query("SetQueueAttributes", "QueueUrl", address, "Attribute.1.Name", "DelaySeconds").fails(400, "MissingParameter", "", "Attribute.Value")
	h.query("ReceiveMessage", "QueueUrl", address, "WaitTimeSeconds", "x").fails(400, invalid, "", "WaitTimeSeconds")
	for _, body := range []string{"Action=ListQueues&Action=ListQueues", "Action=ListQueues&a=1&a=2", "Action=ListQueues&a=%zz", "Action=ListQueues" + strings.Repeat("&a", 1001)} {
		h.form("/", body).fails(400, "MalformedQueryString", "", "")
	}
	h.form("/?Action=ListQueues", "Action=ListQueues").ok(nil)
	h.form("/?Action=ListQueues", "Action=CreateQueue").fails(400, "MalformedQueryString", "", "Action")
	h.form("/", "Action=CreateQueue;QueueName=x").fails(400, "InvalidAction", "", "")
	h.form("/", "Action=ListQueues&Version=1999-01-01").fails(400, "NoSuchVersion", "", "1999-01-01")
}

func TestW14_AnswersInXML(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	const begin, end = `<?xml version="1.0"?><ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">`, `</RequestId></ResponseMetadata></ReceiveMessageResponse>`
	a := h.query("ReceiveMessage", "QueueUrl", address).ok(nil)
	diff(t, "empty", begin+"<ReceiveMessageResult/><ResponseMetadata><RequestId>"+a.header.Get("X-Amzn-Requestid")+end, a.body)
	a = h.query("DeleteMessageBatch", "QueueUrl", address)
	id := a.header.Get("X-Amzn-Requestid")
	diff(t, "error", `<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type>`+
		`<Code>AWS.SimpleQueueService.EmptyBatchRequest</Code><Message>There should be at least one DeleteMessageBatchRequestEntry in the request.</Message><Detail/></Error>`+
		`<RequestId>`+id+`</RequestId></ErrorResponse>`, a.body)
	h.query("SendMessage", "QueueUrl", address, "MessageBody", "a\r\n\"b\"<&>").ok(nil)
	if a := h.query("ReceiveMessage", "QueueUrl", address).ok(nil); !strings.Contains(a.body, "<Body>a&#xD;\n&quot;b&quot;&lt;&amp;&gt;</Body>") {
		t.Errorf("got %s", a.body)
	}
	a = h.query("PurgeQueue", "QueueUrl", address).ok(nil)
	if strings.Contains(a.body, "PurgeQueueResult") {
		t.Errorf("void: %s", a.body)
	}
	// A text that XML cannot hold does not break the answer.
	h.query("SetQueueAttributes", "QueueUrl", address, "Attribute.1.Name", "\x01\xff\x00", "Attribute.1.Value", "x").fails(400, "InvalidAttributeName", "", "Unknown Attribute")
	h.query("GetQueueUrl", "QueueName", "none").fails(400, noQueueCode, "", "The specified queue does not exist for this wsdl version.")
}

func TestW19_NoAction(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.form("/", "Action=FooBar&Version=2012-11-05").fails(400, "InvalidAction", "", "The action FooBar is not valid for this endpoint.")
	for _, a := range []*answer{h.form("/", ""), h.form("/", "a=b"), h.do(h.signed("POST", "/", "x", "Content-Type", "text/plain"))} {
		diff(t, "no action", []any{404, "<UnknownOperationException/>"}, []any{a.status, a.body})
	}
	h.do(h.signed("DELETE", "/123456789012/q", "")).fails(405, "MethodNotAllowed", "", "DELETE")
}

// presigned is a GET that is signed in its query.
func (h *doorTest) presigned(path, query, expires string) *http.Request {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), "GET", h.url+path+"?"+query+"&X-Amz-Expires="+expires, nil)
	h.must(err)
	signed, _, err := v4.NewSigner().PresignHTTP(h.Context(), h.pair, r, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sqs", region, h.clock.Now())
	h.must(err)
	out, err := http.NewRequestWithContext(h.Context(), "GET", signed, nil)
	h.must(err)
	return out
}

func TestW25_PresignedQueries(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := client{h, false}
	address := h.queue(nil)
	path := strings.TrimPrefix(address, h.url)
	h.do(h.presigned(path, "Action=SendMessage&MessageBody=a+b%2Bc", "60")).ok(nil)
	handle := str(messages(c.receive(address))[0], "ReceiptHandle")
	r := h.presigned(path, "Action=DeleteMessage&Version=2012-11-05&ReceiptHandle="+handle, "60")
	h.do(r).ok(nil)
	h.clock.Advance(61 * time.Second)
	h.do(r).fails(403, "SignatureDoesNotMatch", "", "Signature expired")
	r = h.presigned(path, "Action=PurgeQueue", "60")
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "PurgeQueue", "DeleteQueue", 1)
	h.do(r).fails(403, "SignatureDoesNotMatch", "", "The request signature we calculated does not match")
	h.do(h.presigned(path, "Action=PurgeQueue", "604801")).fails(400, "IncompleteSignature", "", "X-Amz-Expires")
}

func TestW31_RefusedSignatures(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	body := in(address, `"MessageBody":"x"`)
	call := func(change func(*http.Request)) *answer {
		t.Helper()
		r := h.signed("POST", "/", body, "Content-Type", jsonMedia, "X-Amz-Target", "AmazonSQS.SendMessage")
		change(r)
		return h.do(r)
	}
	authorization := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
		}
	}
	const shape = "com.amazon.coral.service#"
	call(func(*http.Request) {}).ok(nil)
	call(func(r *http.Request) { r.Header.Del("Authorization") }).fails(403, "MissingAuthenticationToken", shape+"MissingAuthenticationTokenException", "")
	call(func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=x&X-Amz-Algorithm=y" }).fails(400, "InvalidSignature", shape+"InvalidSignatureException", "")
	call(func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") }).fails(400, "IncompleteSignature", shape+"IncompleteSignatureException", "requires 'Credential' parameter. Authorization header requires 'Signature' parameter.")
	call(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }).fails(400, "IncompleteSignature", "IncompleteSignatureException", "")
	call(authorization(h.pair.AccessKeyID, "SLAKAAAAAAAAAAAAAAAA")).fails(403, "InvalidClientTokenId", shape+"UnrecognizedClientException", "The security token included in the request is invalid.")
	call(authorization(h.pair.AccessKeyID, "test")).fails(403, "InvalidClientTokenId", "UnrecognizedClientException", "")
	call(authorization("/sqs/", "/s3/")).fails(403, "SignatureDoesNotMatch", shape+"InvalidSignatureException", "correct service: 'sqs'")
	call(authorization("Signature=", "Signature=0")).fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	call(func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSQS.PurgeQueue") }).fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "")
	call(func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }).fails(403, "InvalidClientTokenId", "UnrecognizedClientException", "")
	call(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "x", "y", 1))) }).fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "")

	old := h.signed("POST", "/", body, "Content-Type", jsonMedia, "X-Amz-Target", "AmazonSQS.SendMessage")
	query := h.presigned("/", "Action=ListQueues", "60")
	h.clock.Advance(15*time.Minute + time.Second)
	a := h.do(old)
	a.fails(403, "SignatureDoesNotMatch", "InvalidSignatureException", "Signature expired: "+old.Header.Get("X-Amz-Date")+" is now earlier than ")
	if a.header.Get("Date") == "" {
		t.Error("no Date by which clients mend their clocks")
	}
	h.do(query).fails(403, "SignatureDoesNotMatch", "", "Signature expired")

	wrong := *h
	wrong.pair.SecretAccessKey += "x"
	wrong.query("ListQueues").fails(403, "SignatureDoesNotMatch", "", "does not match")
	none, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/?Action=ListQueues", nil)
	h.must(err)
	h.do(none).fails(403, "MissingAuthenticationToken", "", "")
}

func TestKeysThatEnd(t *testing.T) {
	t.Parallel()
	h := open(t)
	made, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "short", AWS: true, ExpiresAt: h.clock.Now().Add(time.Minute)})
	h.must(err)
	short, here := *h, *h
	short.pair = sdk.Credentials{AccessKeyID: made.AWSAccessKeyID, SecretAccessKey: made.AWSSecret.Reveal()}
	short.query("ListQueues").ok(nil)
	h.clock.Advance(2 * time.Minute)
	short.query("ListQueues").fails(403, "ExpiredToken", "", "expired")
	h.must(h.keys.Revoke(t.Context(), h.tenant.ID, made.ID))
	short.query("ListQueues").fails(403, "InvalidClientTokenId", "", "")
	here.pair = h.newPair(auth.NewKey{Name: "elsewhere", AllowedIPs: []string{"192.0.2.1"}})
	here.query("ListQueues").fails(403, "AccessDenied", "", "address")
}

// A body must say how long it is, and is not longer than it needs to be.
func TestFramingOfBodies(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, c := range []struct{ headers, body, want, code string }{
		{"Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n", "411", "MissingContentLength"},
		{"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "1\r\nx\r\n0\r\n\r\n", "411", "MissingContentLength"},
		{"Content-Length: 8388609\r\n", "", "413", "RequestEntityTooLarge"},
	} {
		for _, media := range []string{jsonMedia, "application/x-www-form-urlencoded"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
			h.must(err)
			_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\n%s\r\n%s", media, c.headers, c.body)
			h.must(err)
			h.must(conn.SetReadDeadline(time.Now().Add(10 * time.Second)))
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			h.must(err)
			body, _ := io.ReadAll(res.Body)
			if !strings.HasPrefix(res.Status, c.want) || !strings.Contains(string(body)+res.Header.Get("X-Amzn-Query-Error"), c.code) || !res.Close {
				t.Errorf("%s: %s %v %s", c.headers, res.Status, res.Header, body)
			}
			_ = conn.Close()
		}
	}
}

func TestRefusalsInBothProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&errs.Error{Kind: errs.Unavailable, Message: "later"}, 503, "ServiceUnavailable"},
		{&errs.Error{Kind: errs.Unknown, Message: "later"}, 503, "ServiceUnavailable"},
		{&errs.Error{Kind: errs.StorageFull, Message: "later"}, 503, "ServiceUnavailable"},
		{&errs.Error{Kind: errs.RateLimited, Message: "later"}, 503, "RequestThrottled"},
		{&errs.Error{Kind: errs.Quota, Message: "no more"}, 403, "OverLimit"},
		{queues.ErrQueuePaused, 503, "ServiceUnavailable"},
		{&errs.Error{Kind: errs.Conflict, Message: "not so"}, 400, "AWS.SimpleQueueService.UnsupportedOperation"},
		{io.ErrUnexpectedEOF, 500, "InternalFailure"},
	} {
		for _, media := range []string{jsonMedia, "application/x-www-form-urlencoded"} {
			w := &recorder{header: http.Header{}}
			r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://h/", nil)
			r.Header.Set("Content-Type", media)
			served := aws.Refuse(w, r, c.err)
			a := answer{t, w.status, w.header, string(w.body)}
			a.wellFormed()
			a.fails(c.status, c.code, "", "")
			if strings.Contains(a.body, io.ErrUnexpectedEOF.Error()) || served.Status != c.status {
				t.Errorf("%v: %s", served, a.body)
			}
		}
	}
}

type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := sts.New(sts.Options{Region: region, BaseEndpoint: &h.url, Credentials: credentials.StaticCredentialsProvider{Value: h.pair}, RetryMaxAttempts: 1})
	got, err := c.GetCallerIdentity(t.Context(), nil)
	h.must(err)
	diff(t, "account", h.tenant.AccountNumber, *got.Account)
	diff(t, "ARN", "arn:aws:iam::"+h.tenant.AccountNumber+":user/"+*got.UserId, *got.Arn)
	h.form("/", "Action=GetCallerIdentity&Version=2011-06-15").fails(403, "SignatureDoesNotMatch", "", "correct service: 'sts'")
}

// Two servers serve one queue, and what one has done the other one knows.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	one := open(t)
	other := open(t, asTenant(one))
	a, b := client{one, false}, client{other, true}
	address := one.queue(map[string]string{"VisibilityTimeout": "10"})
	there := strings.Replace(address, one.url, other.url, 1)
	b.send(there, "x", `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"}}`)
	m := messages(a.receive(address, `"MessageAttributeNames":["All"]`))[0]
	diff(t, "digest", "a45daa70926828a2f0a1db3418e6feb4", str(m, "MD5OfMessageAttributes"))
	b.set(there, `"DelaySeconds":"7"`).ok(nil)
	diff(t, "settings", object{"DelaySeconds": "7"}, a.attributesOf(address, "DelaySeconds"))
	b.out("DeleteMessage", in(there, `"ReceiptHandle":`+quoted(str(m, "ReceiptHandle"))))
	one.clock.Advance(10 * time.Second)
	diff(t, "deleted", object{}, a.receive(address))
}

// FuzzJSON and FuzzQuery send what anybody may send: the answer is one of the protocol and never an internal error.
func FuzzJSON(f *testing.F) {
	h := open(f, onMemory(f))
	address := h.queue(nil)
	for _, seed := range []string{in(address, `"MessageBody":"x"`), `{"Entries":[{"Id":"a","MessageBody":"\ud800"}]}`, `[`, `{"a":{"a":[1e9,null,"\u0000"]}}`} {
		f.Add("SendMessage", seed)
		f.Add("SendMessageBatch", seed)
		f.Add("ReceiveMessage", seed)
	}
	f.Fuzz(func(t *testing.T, action, body string) {
		each := *h
		each.TB = t
		if strings.ContainsFunc(action, func(r rune) bool { return r <= ' ' || r > '~' }) || each.slow(body) {
			t.Skip()
		}
		if a := each.json(action, body); a.status >= 500 {
			t.Errorf("%s %q: %d %s", action, body, a.status, a.body)
		}
	})
}

// slow reports whether a body asks to wait.
func (h *doorTest) slow(body string) bool { return strings.Contains(body, "WaitTimeSeconds") }

func FuzzQuery(f *testing.F) {
	h := open(f, onMemory(f))
	address := h.queue(nil)
	f.Add("Action=SendMessage&MessageBody=x&QueueUrl=" + url.QueryEscape(address) + "&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String")
	f.Add("Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x")
	f.Add("Action=CreateQueue&QueueName=x&Attribute.1.Name=RedrivePolicy&Attribute.1.Value=%7B%7D&Tag.1.Key=a")
	f.Add("Action=%00&;=&&&=%zz")
	f.Fuzz(func(t *testing.T, body string) {
		each := *h
		each.TB = t
		if each.slow(body) {
			t.Skip()
		}
		if a := each.form("/", body); a.status >= 500 {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	})
}
