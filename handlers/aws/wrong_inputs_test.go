package aws_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/tenants"
)

// wrong is a request that is refused, and how.
type wrong struct {
	name   string
	ask    func() *answer
	status int
	code   string
	words  string
}

// refusesAll sends each of them to one door, and checks that it refuses them alike.
func refusesAll(t *testing.T, list []wrong) {
	t.Helper()
	for _, w := range list {
		t.Run(w.name, func(t *testing.T) {
			a := w.ask()
			a.TB = t
			a.fails(w.status, w.code, "", w.words)
		})
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := open(t)
	address := h.queue(nil)
	send := func(body string) func() *answer { return func() *answer { return h.json("SendMessage", body) } }
	form := func(body string) func() *answer { return func() *answer { return h.form("/", body) } }
	var wide bytes.Buffer
	_ = binary.Write(&wide, binary.LittleEndian, utf16.Encode([]rune("\ufeff"+in(address, `"MessageBody":"x"`))))
	const unreadable = "SerializationException"
	refusesAll(t, []wrong{
		{"a number without end", send(in(address, `"MessageBody":"x","DelaySeconds":1e999`)), 400, unreadable, "whole number"},
		{"a number that wraps", send(in(address, `"MessageBody":"x","DelaySeconds":1`+strings.Repeat("0", 30))), 400, unreadable, "whole number"},
		{"a number that wraps to a good one", send(in(address, `"MessageBody":"x","DelaySeconds":18446744073709551617`)), 400, unreadable, "whole number"},
		{"objects 10,001 deep", send(strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001)), 400, unreadable, "JSON"},
		{"many attributes", send(in(address, `"MessageBody":"x","MessageAttributes":{`+members(100_000)+`}`)), 400, invalid, ""},
		{"UTF-16", send(wide.String()), 400, unreadable, "UTF-8"},
		{"a name in capitals", send(`{"QUEUEURL":` + quoted(address) + `,"MessageBody":"x"}`), 400, "MissingParameter", "QueueUrl"},
		{"a semicolon between parameters", form("Action=CreateQueue&x=1;QueueName=q"), 400, "MissingParameter", "QueueName"},
		{"many parameters", form("Action=SendMessage" + strings.Repeat("&a=1", 100_000)), 400, "MalformedQueryString", "1000"},
		{"an action in bytes that XML cannot carry", form("Action=%00%01%0B%FF%EF%BF%BE%3C&Version=2012-11-05"), 400, "InvalidAction", "is not valid for this endpoint"},
		{"a version in such bytes", form("Action=ListQueues&Version=%00%01%3C"), 400, "NoSuchVersion", ""},
		{"no name of an attribute", form("Action=SetQueueAttributes&Attribute.1.Value=1&QueueUrl=" + url.QueryEscape(address)), 400, "MissingParameter", "Attribute.Name"},
	})
	diff(t, "nothing was stored", object{}, client{h, false}.receive(address))
}

// members writes so many members of an object, which are objects.
func members(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"%d":{}`, i)
	}
	return strings.Join(list, ",")
}

func TestWrongQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		create := func(name, attributes string) func() *answer {
			return func() *answer {
				return c.call("CreateQueue", `{"QueueName":`+quoted(name)+`,"Attributes":{`+attributes+`}}`)
			}
		}
		tagged := func(tags string) func() *answer {
			return func() *answer { return c.call("CreateQueue", `{"QueueName":"tagged","tags":{`+tags+`}}`) }
		}
		statement := func(sid, principal string) string {
			return `{"Sid":"` + sid + `","Effect":"Allow","Principal":` + principal + `,"Action":"sqs:SendMessage","Resource":"*"}`
		}
		policy := func(statements ...string) func() *answer {
			return create("policy", `"Policy":`+quoted(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`))
		}
		refusesAll(t, []wrong{
			{"emoji", create("😀", ""), 400, invalid, "1 to 80"},
			{"only the end of a name", create(".fifo", `"FifoQueue":"true"`), 400, invalid, ""},
			{"content-based", create("f", `"ContentBasedDeduplication":"true"`), 400, "InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication."},
			{"scope", create("f", `"DeduplicationScope":"queue"`), 400, "InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true."},
			{"throughput", create("f", `"FifoThroughputLimit":"perQueue"`), 400, "InvalidAttributeName", "You can specify the FifoThroughputLimit only when FifoQueue is set to true."},
			{"visibility", create("f", `"VisibilityTimeout":"１０"`), 400, "InvalidAttributeValue", "VisibilityTimeout"},
			{"principal", policy(statement("a", `{"AWS":"nobody"}`)), 400, "InvalidAttributeValue", "Policy"},
			{"a long policy", create("policy", `"Policy":"{`+strings.Repeat(" ", 1<<20)+`}"`), 400, "InvalidAttributeValue", "Policy"},
			{"51 tags", tagged(strings.ReplaceAll(members(51), "{}", `"v"`)), 400, invalid, "50"},
			{"aws: tag", tagged(`"aws:x":"v"`), 400, invalid, ""},
			{"long key", tagged(`"` + strings.Repeat("k", 129) + `":"v"`), 400, invalid, ""},
			{"long value", tagged(`"k":"` + strings.Repeat("v", 257) + `"`), 400, invalid, ""},
		})
		for _, name := range []string{"f", "policy", "tagged"} {
			c.call("GetQueueUrl", `{"QueueName":"`+name+`"}`).fails(400, noQueueCode, "QueueDoesNotExist", "")
		}
	})
}

func TestTwoQueuesMayBeDeadLetterQueuesOfEachOther(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		a, b := c.queue(nil), c.queue(nil)
		for _, q := range [][2]string{{a, b}, {b, a}} {
			c.set(q[0], `"RedrivePolicy":`+quoted(`{"deadLetterTargetArn":"`+c.arn(q[1])+`","maxReceiveCount":1}`)).ok(nil)
		}
		c.send(a, "x")
		c.buries(a)
		diff(t, "there", "x", str(c.letters(b, `"VisibilityTimeout":0`)[0], "Body"))
		diff(t, "moved instead", object{}, c.receive(b))
		diff(t, "and back", "x", str(c.letters(a)[0], "Body"))
	})
}

func TestANameOfAQueueIsNothingElse(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		for _, name := range []string{"meta", "clk", "__proto__", "constructor", "q", "-", "_", "0"} {
			made := str(c.out("CreateQueue", `{"QueueName":"`+name+`"}`), "QueueUrl")
			c.send(made, name)
			diff(t, "in the queue", []string{name}, bodies(c.receive(made)))
		}
		for _, prefix := range []string{"*", `\\`, "[", "{", "?", "."} {
			diff(t, "prefix "+prefix, object{}, c.out("ListQueues", `{"QueueNamePrefix":"`+prefix+`"}`))
		}
	})
}

func TestWrongMessages(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, fifo := c.queue(nil), c.queue(map[string]string{"FifoQueue": "true"})
		ask := func(action, to, more string) func() *answer {
			return func() *answer { return c.call(action, in(to, more)) }
		}
		attribute := func(value string) func() *answer {
			return ask("SendMessage", address, `"MessageBody":"x","MessageAttributes":{"k":{`+value+`}}`)
		}
		c.send(address, "x")
		handle := str(messages(c.receive(address))[0], "ReceiptHandle")
		flipped := []byte(handle)
		flipped[len(flipped)/2] ^= 1
		const receipt = "ReceiptHandleIsInvalid"
		refusesAll(t, []wrong{
			{"4-byte characters", ask("SendMessage", address, `"MessageBody":"`+strings.Repeat("😀", 1<<18+1)+`"`), 400, invalid, "shorter than 1048576 bytes"},
			{"no type", attribute(`"StringValue":"x"`), 400, invalid, ""},
			{"an empty type", attribute(`"DataType":"","StringValue":"x"`), 400, invalid, ""},
			{"bytes as text", attribute(`"DataType":"Binary","StringValue":"x"`), 400, invalid, "must contain a non-empty value of type 'Binary'."},
			{"text as bytes", attribute(`"DataType":"String","BinaryValue":"AAE="`), 400, invalid, "must contain a non-empty value of type 'String'."},
			{"a number without end", attribute(`"DataType":"Number","StringValue":"Infinity"`), 400, invalid, ""},
			{"a hexadecimal number", attribute(`"DataType":"Number","StringValue":"0x10"`), 400, invalid, ""},
			{"no batch", ask("SendMessageBatch", address, ""), 400, "AWS.SimpleQueueService.EmptyBatchRequest", "at least one"},
			{"empty handle, delete", ask("DeleteMessage", address, `"ReceiptHandle":""`), 400, "MissingParameter", "ReceiptHandle"},
			{"empty handle, hide", ask("ChangeMessageVisibility", address, `"ReceiptHandle":"","VisibilityTimeout":1`), 400, "MissingParameter", "ReceiptHandle"},
			{"a bit flipped", ask("DeleteMessage", address, `"ReceiptHandle":`+quoted(string(flipped))), 400, receipt, ""},
			{"hide, negative", ask("ChangeMessageVisibility", address, `"VisibilityTimeout":-1,"ReceiptHandle":`+quoted(handle)), 400, invalid, ""},
		})
		diff(t, "nothing else was stored", object{}, c.receive(address))
		diff(t, "nor there", object{}, c.receive(fifo))
	})
}

func TestWrongTopics(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	publish := func(params ...string) func() *answer {
		return func() *answer { return h.ask("Publish", append(params, "Message", "m")...) }
	}
	filter := func(policy, scope string) func() *answer {
		return func() *answer {
			return h.subscribing(topic, h.arn(q), "FilterPolicy", policy, "FilterPolicyScope", scope)
		}
	}
	const parameter = "InvalidParameter"
	refusesAll(t, []wrong{
		{"no topic", publish(), 400, parameter, ""},
		{"101 characters", publish("TopicArn", topic, "Subject", strings.Repeat("x", 101)), 400, parameter, "Subject"},
		{"batch id", func() *answer { return h.publishes(topic, entry("message.id", "m")) }, 400, "InvalidBatchEntryId", "message.id"},
		{"no protocol", func() *answer { return h.ask("Subscribe", "TopicArn", topic, "Endpoint", "x") }, 400, parameter, ""},
		{"FilterPolicy, no JSON", filter("x", ofAttributes), 400, parameter, "FilterPolicy"},
		{"FilterPolicy, a list", filter("[]", ofAttributes), 400, parameter, "FilterPolicy"},
		{"numeric, digits", filter(`{"k":[{"numeric":["=","000"]}]}`, ofAttributes), 400, parameter, "must be numeric"},
		{"cidr bad", filter(`{"k":[{"cidr":"bad"}]}`, ofAttributes), 400, parameter, "Malformed CIDR"},
		{"wildcard", filter(`{"k":[{"wildcard":"`+strings.Repeat("*", 1000)+`"}]}`, ofAttributes), 400, parameter, ""},
		{"200 deep", filter(strings.Repeat(`{"k":`, 200)+`["x"]`+strings.Repeat("}", 200), ofBody), 400, parameter, "too complex"},
	})
	diff(t, "nobody has subscribed", "0", h.attributesOf(topic)["SubscriptionsConfirmed"])
}

func TestWrongSignatures(t *testing.T) {
	t.Parallel()
	h := open(t)
	body := in(h.queue(nil), `"MessageBody":"x"`)
	changed := func(change func(*http.Request)) func() *answer {
		return func() *answer {
			r := h.signed("POST", "/", body, "Content-Type", jsonMedia, "X-Amz-Target", "AmazonSQS.SendMessage")
			change(r)
			return h.do(r)
		}
	}
	authorization := func(old, with string) func() *answer {
		return changed(func(r *http.Request) {
			before := r.Header.Get("Authorization")
			if r.Header.Set("Authorization", strings.Replace(before, old, with, 1)); before == r.Header.Get("Authorization") {
				t.Errorf("no %s in %s", old, before)
			}
		})
	}
	with := func(text string) func() *answer {
		return changed(func(r *http.Request) { r.Header.Set("Authorization", text) })
	}
	at := func(d time.Duration) func() *answer {
		return func() *answer {
			then := *h
			then.clock = clock.NewFake(h.clock.Now().Add(-d))
			return then.json("SendMessage", body)
		}
	}
	day := h.clock.Now().UTC().Format("20060102")
	scope := h.pair.AccessKeyID + "/" + day + "/" + region + "/sqs/aws4_request"
	const mismatch, incomplete = "SignatureDoesNotMatch", "IncompleteSignature"
	refusesAll(t, []wrong{
		{"16 minutes old", at(16 * time.Minute), 403, mismatch, "Signature expired: "},
		{"16 minutes ahead", at(-16 * time.Minute), 403, mismatch, "Signature not yet current: "},
		{"another day", authorization("/"+day+"/", "/20200101/"), 403, mismatch, "20200101"},
		{"another end", authorization("aws4_request", "aws5_request"), 403, mismatch, "aws4_request"},
		{"no region", authorization("/"+region+"/", "//"), 400, incomplete, "Credential"},
		{"another region", authorization("/"+region+"/", "/elsewhere-1/"), 403, mismatch, ""},
		{"only a signature", with("AWS4-HMAC-SHA256 Signature=00"), 400, incomplete, "'Credential'"},
		{"no signed headers", with("AWS4-HMAC-SHA256 Credential=" + scope + ", Signature=00"), 400, incomplete, "'SignedHeaders'"},
		{"no signature", with("AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host"), 400, incomplete, "'Signature'"},
		{"host not signed", with("AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=x-amz-date, Signature=00"), 403, mismatch, "Host"},
		{"another digest of the body", changed(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), 403, mismatch, ""},
		{"version 4a", with("AWS4-ECDSA-P256-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=00"), 400, incomplete, ""},
		{"version 2", with("AWS " + h.pair.AccessKeyID + ":frJIUN8DYpKDtOLCwo//yllqDzg="), 400, incomplete, ""},
		{"version 2, in the query", func() *answer {
			r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/?Action=ListQueues&AWSAccessKeyId="+h.pair.AccessKeyID+"&SignatureVersion=2&SignatureMethod=HmacSHA256&Signature=x", nil)
			h.must(err)
			return h.do(r)
		}, 403, "MissingAuthenticationToken", ""},
	})
	reader := *h
	reader.pair = h.newPair(auth.NewKey{Name: "reader", Scopes: []string{"queues:read"}})
	reader.json("SendMessage", body).fails(403, "AccessDenied", "AccessDeniedException", "messages:send")
	h.json("SendMessage", body).ok(nil)
}

// What one tenant has in its hands is nothing in those of another.
func TestWhatIsOfAnotherTenant(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		other := client{c.neighbour(), c.query}
		dead, name := c.queue(nil), fmt.Sprintf("q%d", names.Add(1))
		c.queue(map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":1}`})
		task := str(c.out("StartMessageMoveTask", `{"SourceArn":"`+c.arn(dead)+`","MaxNumberOfMessagesPerSecond":1}`), "TaskHandle")
		page := str(c.out("ListQueues", `{"MaxResults":1}`), "NextToken")
		diff(t, "a page of none of its queues", object{}, other.out("ListQueues", `{"MaxResults":1,"NextToken":`+quoted(page)+`}`))
		other.call("CancelMessageMoveTask", `{"TaskHandle":`+quoted(task)+`}`).fails(404, "ResourceNotFoundException", "ResourceNotFoundException", "")
		diff(t, "the task goes on", "RUNNING", str(c.out("ListMessageMoveTasks", `{"SourceArn":"`+c.arn(dead)+`"}`)["Results"].([]any)[0].(object), "Status"))
		// One name, one group and one id in two tenants are two of each.
		for _, each := range []client{c, other} {
			to := str(each.out("CreateQueue", `{"QueueName":"`+name+`.fifo","Attributes":{"FifoQueue":"true"}}`), "QueueUrl")
			each.send(to, each.tenant.AccountNumber, `"MessageGroupId":"g","MessageDeduplicationId":"d"`)
			diff(t, "its own", []string{each.tenant.AccountNumber}, bodies(each.receive(to)))
		}
	})
}

func TestKeysOfADeletedTenant(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.query("ListQueues").ok(nil)
	h.must(h.tenants.Delete(t.Context(), h.tenant.Name, tenants.Condition{}))
	h.query("ListQueues").fails(403, "InvalidClientTokenId", "", "The security token included in the request is invalid.")
}
