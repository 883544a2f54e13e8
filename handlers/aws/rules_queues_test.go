package aws_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
)

func TestQ1_NamesOfQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		long := strings.Repeat("x", 75) + fmt.Sprint(names.Add(1)%100000+10000)
		for _, name := range []string{long, "A-b_9" + long[75:]} {
			if got := str(c.out("CreateQueue", `{"QueueName":"`+name+`"}`), "QueueUrl"); !strings.HasSuffix(got, "/"+name) {
				t.Errorf("got %s for %s", got, name)
			}
		}
		for _, name := range []string{long + "x", "a b", "a.b", "a/b", "é", "{x}", "☃", long[:76] + ".fifo"} {
			c.refuses("CreateQueue", `{"QueueName":`+quoted(name)+`}`, "1 to 80 in length")
		}
		c.call("CreateQueue", `{"QueueName":""}`).fails(400, "MissingParameter", "MissingRequiredParameterException", "QueueName")
	})
}

func TestQ2_NameAndTypeGoTogether(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		c.refuses("CreateQueue", `{"QueueName":"x.fifo"}`, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
		c.refuses("CreateQueue", `{"QueueName":"x","Attributes":{"FifoQueue":"true"}}`, "Can only include alphanumeric characters")
		c.refuses("CreateQueue", `{"QueueName":"x.fifo","Attributes":{"FifoQueue":"false"}}`, "Can only include alphanumeric characters")
	})
}

func TestQ4_AddressesOfQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := fmt.Sprintf("q%d", names.Add(1))
		diff(t, "address", c.url+"/"+c.tenant.AccountNumber+"/"+name, str(c.out("CreateQueue", `{"QueueName":"`+name+`"}`), "QueueUrl"))
		diff(t, "ARN", "arn:aws:sqs:"+region+":"+c.tenant.AccountNumber+":"+name, str(c.attributesOf(name, "QueueArn"), "QueueArn"))
	})
}

func TestQ7_OnlyAccountAndNameOfAnAddressCount(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		path := strings.TrimPrefix(address, c.url)
		for _, url := range []string{address, address + "/", "http://elsewhere.example.com:99" + path, "https://user:pass@sqs.us-east-1.example.com" + path,
			"http://h/prefix" + path, path, nameOf(address)} {
			if got := c.call("SendMessage", in(url, `"MessageBody":"x"`)); got.status != 200 {
				t.Errorf("%s: %s", url, got.body)
			}
		}
		for _, url := range []string{"file://" + path, "http://h/", "http://h/a/b/c", "http://h/12/" + nameOf(address), "//", strings.Repeat("x", 10<<10)} {
			c.call("SendMessage", in(url, `"MessageBody":"x"`)).fails(404, "InvalidAddress", "InvalidAddress", "")
		}
		// Of another account, whether there is one or not, it is no queue.
		c.call("SendMessage", in("http://h/123456789012/"+nameOf(address), `"MessageBody":"x"`)).fails(400, noQueueCode, "QueueDoesNotExist", "")
	})
}

func TestQ9_TheParameterBeatsThePath(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, other := h.queue(nil), h.queue(nil)
	path := strings.TrimPrefix(one, h.url)
	counts := func() [2]string {
		c := client{h, false}
		return [2]string{str(c.attributesOf(one, "ApproximateNumberOfMessages"), "ApproximateNumberOfMessages"), str(c.attributesOf(other, "ApproximateNumberOfMessages"), "ApproximateNumberOfMessages")}
	}
	h.form(path, "Action=SendMessage&MessageBody=x").ok(nil)
	h.form(path+"/", "Action=SendMessage&MessageBody=x").ok(nil)
	diff(t, "by the path", [2]string{"2", "0"}, counts())
	h.form(path, "Action=SendMessage&MessageBody=x&QueueUrl="+other).ok(nil)
	h.do(h.signed("POST", path, in(other, `"MessageBody":"x"`), "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")).ok(nil)
	diff(t, "by the parameter", [2]string{"2", "2"}, counts())
	h.do(h.signed("POST", path, `{"MessageBody":"x"}`, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage")).ok(nil)
	diff(t, "JSON by the path", [2]string{"3", "2"}, counts())
}

func TestQ10_UnknownNamesAndAccounts(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := nameOf(c.queue(nil))
		c.call("GetQueueUrl", `{"QueueName":"none"}`).fails(400, noQueueCode, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist")
		c.call("GetQueueUrl", `{"QueueName":"`+name+`","QueueOwnerAWSAccountId":"123456789012"}`).fails(400, noQueueCode, "QueueDoesNotExist", "")
		c.out("GetQueueUrl", `{"QueueName":"`+name+`","QueueOwnerAWSAccountId":"`+c.tenant.AccountNumber+`"}`)
	})
}

// Whatever an action does, it does nothing to a queue of another tenant, and tells nothing of it.
func TestQueuesOfOthersDoNotExist(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "mine")
		handle := str(messages(c.receive(address, `"VisibilityTimeout":0`))[0], "ReceiptHandle")
		other := client{open(t), c.query}
		more := map[string]string{
			"SendMessage": `"MessageBody":"x"`, "SendMessageBatch": `"Entries":[{"Id":"a","MessageBody":"x"}]`,
			"ReceiveMessage": "", "DeleteMessage": `"ReceiptHandle":` + quoted(handle), "DeleteMessageBatch": `"Entries":[{"Id":"a","ReceiptHandle":` + quoted(handle) + `}]`,
			"ChangeMessageVisibility":      `"VisibilityTimeout":9,"ReceiptHandle":` + quoted(handle),
			"ChangeMessageVisibilityBatch": `"Entries":[{"Id":"a","VisibilityTimeout":9,"ReceiptHandle":` + quoted(handle) + `}]`,
			"GetQueueAttributes":           `"AttributeNames":["All"]`, "SetQueueAttributes": `"Attributes":{"DelaySeconds":"1"}`, "DeleteQueue": "", "PurgeQueue": "",
			"TagQueue": `"Tags":{"a":"b"}`, "UntagQueue": `"TagKeys":["a"]`, "ListQueueTags": "", "ListDeadLetterSourceQueues": "",
			"AddPermission": `"Label":"l","AWSAccountIds":["123456789012"],"Actions":["SendMessage"]`, "RemovePermission": `"Label":"l"`,
		}
		for action, members := range more {
			own := other.call(action, in(other.url+"/"+other.tenant.AccountNumber+"/none", members))
			foreign := other.call(action, in(address, members))
			if foreign.status != 400 || own.status != 400 {
				t.Errorf("%s: got %d for a queue of another tenant and %d for none", action, foreign.status, own.status)
			}
			foreign.fails(400, noQueueCode, "QueueDoesNotExist", "")
		}
		for _, action := range []string{"StartMessageMoveTask", "ListMessageMoveTasks"} {
			other.call(action, `{"SourceArn":"`+c.arn(address)+`"}`).fails(404, "ResourceNotFoundException", "ResourceNotFoundException", "")
		}
		// A receipt of another tenant's queue is none, in a queue of the same name too.
		same := other.out("CreateQueue", `{"QueueName":"`+nameOf(address)+`"}`)
		other.call("DeleteMessage", in(str(same, "QueueUrl"), more["DeleteMessage"])).fails(400, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "")
		diff(t, "left", []string{"mine"}, bodies(c.receive(address)))
	})
}

func TestKeysReachOnlyTheirQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		mine, other := c.queue(nil), c.queue(nil)
		c.send(other, "x")
		limited := *c.doorTest
		limited.pair = c.newPair(auth.NewKey{Name: "limited", Scopes: []string{"messages:send", "queues:read", "queues:write"}, Queues: []string{nameOf(mine)}})
		l := client{&limited, c.query}
		l.send(mine, "x")
		l.call("SendMessage", in(other, `"MessageBody":"x"`)).fails(400, noQueueCode, "QueueDoesNotExist", "")
		l.call("GetQueueUrl", `{"QueueName":"`+nameOf(other)+`"}`).fails(400, noQueueCode, "QueueDoesNotExist", "")
		l.call("ReceiveMessage", in(mine, "")).fails(403, "AccessDenied", "com.amazon.coral.service#AccessDeniedException", "sqs:ReceiveMessage")
		l.call("CreateQueue", `{"QueueName":"another"}`).fails(403, "AccessDenied", "AccessDeniedException", "")
		l.call("SetQueueAttributes", in(mine, `"Attributes":{"RedrivePolicy":`+quoted(`{"deadLetterTargetArn":"`+c.arn(other)+`","maxReceiveCount":3}`)+`}`)).
			fails(403, "AccessDenied", "AccessDeniedException", "")
		diff(t, "queues", []any{mine}, l.out("ListQueues", `{}`)["QueueUrls"])
	})
}

// making creates a queue of a name with attributes, which are JSON without braces.
func (c client) making(name, attributes string) *answer {
	c.Helper()
	return c.call("CreateQueue", `{"QueueName":"`+name+`","Attributes":{`+attributes+`}}`)
}

// differs checks that a queue is not made because one of its name has another value for an attribute.
func (a *answer) differs(attribute string) {
	a.Helper()
	a.fails(400, "QueueAlreadyExists", "com.amazonaws.sqs#QueueNameExists", "A queue already exists with the same name and a different value for attribute "+attribute)
}

func TestQ30_WhoCreatesAQueueAgainGetsItsAddress(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		for _, attributes := range []map[string]string{nil, {"VisibilityTimeout": "60", "KmsMasterKeyId": "k"}, {"FifoQueue": "true", "ContentBasedDeduplication": "true"}} {
			address := c.queue(attributes)
			diff(t, "address", object{"QueueUrl": address}, c.out("CreateQueue", `{"QueueName":"`+nameOf(address)+`"}`))
		}
	})
}

func TestQ31_EqualValuesAreNoDifference(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := fmt.Sprintf("q%d", names.Add(1))
		c.making(name, `"VisibilityTimeout":"60","DelaySeconds":"5","KmsMasterKeyId":"k"`).ok(nil)
		before := c.attributesOf(name, "All")
		c.send(name, "x") // so that the counts are others by now
		c.clock.Advance(time.Minute)
		for _, same := range []string{`"VisibilityTimeout":"60"`, `"DelaySeconds":"5","VisibilityTimeout":"60"`, `"KmsMasterKeyId":"k","SqsManagedSseEnabled":"FALSE"`} {
			if a := c.making(name, same); a.status != 200 {
				t.Errorf("%s: %s", same, a.body)
			}
		}
		fast := c.queue(map[string]string{"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"})
		for _, same := range []string{`"DeduplicationScope":"messageGroup"`, `"FifoThroughputLimit":"perMessageGroupId","FifoQueue":"true"`} {
			diff(t, same, fast, str(c.out("CreateQueue", `{"QueueName":"`+nameOf(fast)+`","Attributes":{`+same+`}}`), "QueueUrl"))
		}
		c.making(nameOf(fast), `"FifoThroughputLimit":"perQueue"`).differs("FifoThroughputLimit")
		before["ApproximateNumberOfMessages"] = "1"
		diff(t, "it stays as it was", before, c.attributesOf(name, "All"))
	})
}

func TestQ32_AnyOtherValueIsADifference(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := fmt.Sprintf("q%d", names.Add(1))
		c.making(name, `"VisibilityTimeout":"60","DelaySeconds":"5"`).ok(nil)
		for attribute, other := range map[string]string{"VisibilityTimeout": `"VisibilityTimeout":"61","DelaySeconds":"5"`, "DelaySeconds": `"VisibilityTimeout":"60","DelaySeconds":"0"`,
			"KmsMasterKeyId": `"KmsMasterKeyId":"k"`, "Policy": `"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"`} {
			c.making(name, other).differs(attribute)
		}
		// Of what its creator did not say, the default counts.
		c.making(name, `"MessageRetentionPeriod":"345600","MaximumMessageSize":"1048576","SqsManagedSseEnabled":"true"`).ok(nil)
		c.making(name, `"MessageRetentionPeriod":"345601"`).differs("MessageRetentionPeriod")
		c.making(name, `"SqsManagedSseEnabled":"false"`).differs("SqsManagedSseEnabled")
		// What counts is how it is now.
		c.set(name, `"VisibilityTimeout":"61"`).ok(nil)
		c.making(name, `"VisibilityTimeout":"61"`).ok(nil)
		c.making(name, `"VisibilityTimeout":"60"`).differs("VisibilityTimeout")
		diff(t, "it stays as it was", object{"VisibilityTimeout": "61", "DelaySeconds": "5", "MessageRetentionPeriod": "345600"},
			c.attributesOf(name, "VisibilityTimeout", "DelaySeconds", "MessageRetentionPeriod"))
	})
}

func TestQ33_PoliciesAreComparedByWhatTheyMean(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		dead, name := c.queue(nil), fmt.Sprintf("q%d", names.Add(1))
		redrive := func(count string) string {
			return `"RedrivePolicy":` + quoted(`{ "maxReceiveCount": `+count+`, "deadLetterTargetArn": "`+c.arn(dead)+`"}`)
		}
		c.making(name, `"Policy":"{\"Version\":\"2012-10-17\", \"Statement\":[]}",`+redrive("3")).ok(nil)
		for _, same := range []string{redrive("3"), redrive(`"3"`), `"Policy":"{\"Statement\":[],\"Version\":\"2012-10-17\"}"`} {
			if a := c.making(name, same); a.status != 200 {
				t.Errorf("%s: %s", same, a.body)
			}
		}
		c.making(name, redrive("4")).differs("RedrivePolicy")
		c.making(name, `"Policy":"{}"`).differs("Policy")
	})
}

func TestQ34_TagsAreNotCompared(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := nameOf(c.queue(nil))
		c.out("CreateQueue", `{"QueueName":"`+name+`","tags":{"a":"b"}}`)
		diff(t, "tags", object{}, c.out("ListQueueTags", in(name, "")))
	})
}

func TestQ35_ANameCanBeUsedAgainAtOnce(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.send(address, "old")
		c.out("DeleteQueue", in(address, ""))
		c.out("CreateQueue", `{"QueueName":"`+nameOf(address)+`"}`)
		diff(t, "new queue", object{}, c.receive(address))
	})
}

func TestQ36_DeletingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(nil)
		c.out("DeleteQueue", in(address, ""))
		c.call("DeleteQueue", in(address, "")).fails(400, noQueueCode, "QueueDoesNotExist", "")
	})
}

func TestQ37_Purge(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address := c.queue(map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
		c.send(address, "held", `"MessageGroupId":"a"`)
		c.receive(address)
		c.send(address, "ready", `"MessageGroupId":"b"`)
		c.out("PurgeQueue", in(address, ""))
		c.clock.Advance(time.Minute)
		diff(t, "purged", object{}, c.receive(address))
		c.send(address, "ready", `"MessageGroupId":"b"`)
		diff(t, "deduplication is forgotten", []string{"ready"}, bodies(c.receive(address)))
		c.out("PurgeQueue", in(address, "")) // at once: the wait of a minute is not kept
	})
}

func TestQ39_ListingQueues(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		c = client{open(t), c.query} // with no queues yet
		diff(t, "none", object{}, c.out("ListQueues", `{"QueueNamePrefix":""}`))
		var all []any
		for _, name := range []string{"a1", "a2", "a3", "b1"} {
			all = append(all, c.out("CreateQueue", `{"QueueName":"`+name+`"}`)["QueueUrl"])
		}
		diff(t, "all", object{"QueueUrls": all}, c.out("ListQueues", `{"QueueUrl":"/"}`))
		diff(t, "prefix", object{"QueueUrls": all[:3]}, c.out("ListQueues", `{"QueueNamePrefix":"a"}`))
		diff(t, "prefix is no pattern", object{}, c.out("ListQueues", `{"QueueNamePrefix":"a*"}`))
		first := c.out("ListQueues", `{"QueueNamePrefix":"a","MaxResults":2}`)
		diff(t, "first page", all[:2], first["QueueUrls"])
		second := c.out("ListQueues", `{"QueueNamePrefix":"a","MaxResults":2,"NextToken":`+quoted(str(first, "NextToken"))+`}`)
		diff(t, "second page", object{"QueueUrls": all[2:3]}, second)
		c.refuses("ListQueues", `{"QueueNamePrefix":"b","MaxResults":2,"NextToken":`+quoted(str(first, "NextToken"))+`}`, "token")
		c.refuses("ListQueues", `{"NextToken":"garbage"}`, "token")
		c.refuses("ListQueues", `{"MaxResults":0}`, "MaxResults")
		c.refuses("ListQueues", `{"MaxResults":1001}`, "MaxResults")
	})
}

func TestQ40_SourcesOfADeadLetterQueue(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		dead := c.queue(nil)
		diff(t, "none", object{}, c.out("ListDeadLetterSourceQueues", in(dead, "")))
		var sources []any
		for range 3 {
			sources = append(sources, c.queue(map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":3}`}))
		}
		diff(t, "all", object{"queueUrls": sources}, c.out("ListDeadLetterSourceQueues", in(dead, "")))
		first := c.out("ListDeadLetterSourceQueues", in(dead, `"MaxResults":2`))
		diff(t, "first", sources[:2], first["queueUrls"])
		diff(t, "second", object{"queueUrls": sources[2:]}, c.out("ListDeadLetterSourceQueues", in(dead, `"MaxResults":2,"NextToken":`+quoted(str(first, "NextToken")))))
		c.out("SetQueueAttributes", in(sources[0].(string), `"Attributes":{"RedrivePolicy":""}`))
		diff(t, "one less", sources[1:], c.out("ListDeadLetterSourceQueues", in(dead, ""))["queueUrls"])
	})
}

func TestQ41_ActionsThatBelongToNoQueue(t *testing.T) {
	t.Parallel()
	h := open(t)
	path := strings.TrimPrefix(h.queue(nil), h.url)
	for _, action := range []string{"ListQueues", "CreateQueue&QueueName=x"} {
		h.do(h.signed(http.MethodGet, path+"?Action="+action, "")).fails(400, "InvalidAction", "", "is not valid for this endpoint")
	}
}

func TestQ42_Tags(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		name := fmt.Sprintf("q%d", names.Add(1))
		c.out("CreateQueue", `{"QueueName":"`+name+`","tags":{"team":"a","é":"ü"}}`)
		c.out("TagQueue", in(name, `"Tags":{"team":"b","empty":"","`+strings.Repeat("k", 128)+`":"`+strings.Repeat("v", 256)+`"}`))
		c.out("UntagQueue", in(name, `"TagKeys":["`+strings.Repeat("k", 128)+`","unknown"]`))
		diff(t, "tags", object{"Tags": object{"team": "b", "empty": "", "é": "ü"}}, c.out("ListQueueTags", in(name, "")))
		many := make([]string, 51)
		for i := range many {
			many[i] = fmt.Sprintf(`"k%d":"v"`, i)
		}
		for _, tags := range []string{strings.Join(many, ","), `"aws:x":"v"`, `"AWS:x":"v"`, `"":"v"`, `"` + strings.Repeat("k", 129) + `":"v"`, `"k":"` + strings.Repeat("v", 257) + `"`} {
			c.refuses("TagQueue", in(name, `"Tags":{`+tags+`}`), "ag")
		}
		c.out("UntagQueue", in(name, `"TagKeys":["team","empty","é"]`))
		diff(t, "no tags", object{}, c.out("ListQueueTags", in(name, "")))
	})
}
