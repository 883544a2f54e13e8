package aws_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicemq/sluice/topics"
)

// ask calls an action of SNS. params are names and values in turn.
func (h *doorTest) ask(action string, params ...string) *answer {
	h.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-03-31"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	return h.asked(http.MethodPost, "/", form.Encode())
}

func (h *doorTest) asked(method, path, body string) *answer {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), method, h.url+path, strings.NewReader(body))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	h.signFor("sns", r, body)
	return h.do(r)
}

// refuses fails the test unless an action is refused with InvalidParameter and a text.
func (h *doorTest) refusesTo(action, words string, params ...string) {
	h.Helper()
	h.ask(action, params...).fails(400, "InvalidParameter", "", words)
}

// between returns the first text between two others.
func (a *answer) between(open, end string) string {
	a.Helper()
	_, rest, ok := strings.Cut(a.ok(nil).body, open)
	text, _, ended := strings.Cut(rest, end)
	if !ok || !ended {
		a.Fatalf("no %s in %s", open, a.body)
	}
	return text
}

// attributesOf returns what Get…Attributes says.
func (h *doorTest) attributesOf(arn string) map[string]string {
	h.Helper()
	action, param := "GetTopicAttributes", "TopicArn"
	if strings.Count(arn, ":") == 6 {
		action, param = "GetSubscriptionAttributes", "SubscriptionArn"
	}
	a := h.ask(action, param, arn).ok(nil)
	body := strings.NewReplacer("GetTopicAttributesResult", "R", "GetSubscriptionAttributesResult", "R").Replace(a.body)
	var result struct {
		R struct {
			Attributes struct {
				Entry []struct {
					Key   string `xml:"key"`
					Value string `xml:"value"`
				} `xml:"entry"`
			}
		}
	}
	h.must(xml.Unmarshal([]byte(body), &result))
	list := map[string]string{}
	for _, e := range result.R.Attributes.Entry {
		if _, twice := list[e.Key]; twice {
			h.Errorf("%s stands there twice", e.Key)
		}
		list[e.Key] = e.Value
	}
	return list
}

func (h *doorTest) newName() string { return fmt.Sprintf("t%d", names.Add(1)) }

func TestN1_ListsAndMapsComeAsMembersAndEntries(t *testing.T) {
	t.Parallel()
	h := open(t)
	name, q := h.newName(), h.queue(nil)
	topic := h.ask("CreateTopic", "Name", name, "Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "shown",
		"Tags.member.1.Key", "a", "Tags.member.1.Value", "1").between("<TopicArn>", "</TopicArn>")
	sub := h.ask("Subscribe", "TopicArn", topic, "Protocol", "sqs", "Endpoint", h.arn(q), "Attributes.entry.1.key", "RawMessageDelivery",
		"Attributes.entry.1.value", "true").between("<SubscriptionArn>", "</SubscriptionArn>")
	diff(t, "of a subscription", "true", h.attributesOf(sub)["RawMessageDelivery"])
	diff(t, "of a topic", "shown", h.attributesOf(topic)["DisplayName"])
	h.ask("PublishBatch", "TopicArn", topic, "PublishBatchRequestEntries.member.1.Id", "x", "PublishBatchRequestEntries.member.1.Message", "m",
		"PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Name", "n", "PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.DataType", "Number",
		"PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.StringValue", "007").ok(nil)
	m := h.next(q)
	diff(t, "attribute", "007", *m.MessageAttributes["n"].StringValue)
}

func TestN2_AnswersAreThoseOfTheirVersion(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	id := func(a *answer) string {
		return regexp.MustCompile(`<RequestId>.*?</RequestId>`).ReplaceAllString(a.ok(nil).body, "<RequestId/>")
	}
	const head = `<?xml version="1.0"?><%[1]sResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">%[2]s<ResponseMetadata><RequestId/></ResponseMetadata></%[1]sResponse>`
	diff(t, "list", fmt.Sprintf(head, "ListTopics", "<ListTopicsResult><Topics><member><TopicArn>"+topic+"</TopicArn></member></Topics></ListTopicsResult>"), id(h.ask("ListTopics")))
	diff(t, "empty list", fmt.Sprintf(head, "ListSubscriptions", "<ListSubscriptionsResult><Subscriptions></Subscriptions></ListSubscriptionsResult>"), id(h.ask("ListSubscriptions")))
	diff(t, "nothing", fmt.Sprintf(head, "SetTopicAttributes", ""), id(h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DisplayName", "AttributeValue", "<&\r>")))
	diff(t, "escaped", "<&\r>", h.attributesOf(topic)["DisplayName"])
	a := h.ask("Publish", "TopicArn", topic)
	if !strings.HasPrefix(a.body, `<?xml version="1.0"?><ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>InvalidParameter</Code>`) {
		t.Errorf("got %s", a.body)
	}
}

func TestN3_GetIsAsGoodAsPost(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	h.asked(http.MethodGet, "/?"+url.Values{"Action": {"Publish"}, "TopicArn": {topic}, "Message": {"by GET"}}.Encode(), "").ok(nil)
	diff(t, "message", "by GET", *h.next(q).Body)
}

func TestN4_CodesAreThoseOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	h.ask("Publish", "TopicArn", topic+"x", "Message", "m").fails(404, "NotFound", "", "Topic does not exist")
	h.ask("ListTagsForResource", "ResourceArn", topic+"x").fails(404, "ResourceNotFound", "", "Resource does not exist")
	h.ask("PublishBatch", "TopicArn", topic).fails(400, "EmptyBatchRequest", "", "")
	if a := h.ask("Nothing"); !strings.Contains(a.body, `xmlns="http://sns.amazonaws.com/doc/2010-03-31/"`) {
		t.Errorf("got %s", a.body)
	}
	h.ask("Nothing").fails(400, "InvalidAction", "", "Nothing")
	h.asked(http.MethodPost, "/"+h.tenant.AccountNumber+"/q", "Action=ListTopics").fails(400, "InvalidAction", "", "ListTopics")
	h.form("/", "Action=ListTopics&Version=2010-03-31").fails(403, "SignatureDoesNotMatch", "", "'sns'")
	h.ask("ListQueues").fails(400, "NoSuchVersion", "", "")
	// Where two services have an action of one name, the version or the scope of the signature says which is meant.
	h.asked(http.MethodPost, "/", "Action=AddPermission").fails(400, "InvalidParameter", "", "TopicArn")
	h.form("/", "Action=AddPermission").fails(400, "MissingParameter", "", "QueueUrl")
}

func TestN5_NamesAndTagsHaveTheBoundsOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, name := range []string{"", "a b", "a.b", "é", strings.Repeat("x", 257), "x.fifo"} {
		h.refusesTo("CreateTopic", "Invalid parameter: Topic Name", "Name", name)
	}
	h.refusesTo("CreateTopic", "Topic Name", "Name", "x", "Attributes.entry.1.key", "FifoTopic", "Attributes.entry.1.value", "true")
	topic := h.topic(nil)
	h.refusesTo("TagResource", "128", "ResourceArn", topic, "Tags.member.1.Key", strings.Repeat("x", 129), "Tags.member.1.Value", "")
	params := []string{"ResourceArn", topic}
	for i := range 51 {
		params = append(params, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprint(i), fmt.Sprintf("Tags.member.%d.Value", i+1), "v")
	}
	h.ask("TagResource", params...).fails(400, "TagLimitExceeded", "", "")
	h.ask("TagResource", params[:len(params)-4]...).ok(nil)
	h.ask("UntagResource", "ResourceArn", topic, "TagKeys.member.1", "0").ok(nil)
	h.ask("TagResource", "ResourceArn", topic, "Tags.member.1.Key", strings.Repeat("ü", 128), "Tags.member.1.Value", strings.Repeat("ü", 256)).ok(nil)
}

func TestN6_AnEmptyTokenIsNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	for _, action := range []string{"ListTopics", "ListSubscriptions", "ListSubscriptionsByTopic"} {
		h.ask(action, "NextToken", "", "TopicArn", topic).ok(nil)
		h.refusesTo(action, "NextToken", "NextToken", "x", "TopicArn", topic)
	}
}

// Lists have pages of a hundred, those of subscriptions also across topics.
func TestN6_ListsHavePages(t *testing.T) {
	t.Parallel()
	h := open(t)
	q, want := h.queue(nil), []string{}
	for range 105 {
		topic := h.topic(nil)
		want = append(want, topic)
		h.subscribe(topic, q, nil)
	}
	slices.Sort(want)
	for _, action := range []string{"ListTopics", "ListSubscriptions"} {
		var got []string
		pages, token := 0, ""
		for {
			a := h.ask(action, "NextToken", token).ok(nil)
			pages++
			for _, m := range regexp.MustCompile(`<TopicArn>(.*?)</TopicArn>`).FindAllStringSubmatch(a.body, -1) {
				got = append(got, m[1])
			}
			if !strings.Contains(a.body, "<NextToken>") {
				break
			}
			token = a.between("<NextToken>", "</NextToken>")
		}
		slices.Sort(got)
		diff(t, action, want, got)
		diff(t, "pages of "+action, 2, pages)
	}
}

func TestN7_TopicsHaveARNs(t *testing.T) {
	t.Parallel()
	h := open(t)
	name := h.newName()
	arn := "arn:aws:sns:" + region + ":" + h.tenant.AccountNumber + ":" + name
	diff(t, "ARN", arn, h.ask("CreateTopic", "Name", name).between("<TopicArn>", "</TopicArn>"))
	h.refusesTo("GetTopicAttributes", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1", "TopicArn", "x")
	h.refusesTo("GetTopicAttributes", "Invalid parameter: TopicArn", "TopicArn", strings.Replace(arn, region, "elsewhere-1", 1))
	h.refusesTo("GetTopicAttributes", "no value", "TopicArn", "")
	h.ask("GetTopicAttributes", "TopicArn", arn+"x").fails(404, "NotFound", "", "Topic does not exist")
}

func TestN8_CreatingATopicAgainIsNoErrorUnlessItDiffers(t *testing.T) {
	t.Parallel()
	h := open(t)
	name := h.newName()
	create := func(params ...string) *answer {
		return h.ask("CreateTopic", append([]string{"Name", name}, params...)...)
	}
	shown := func(s string) []string {
		return []string{"Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", s}
	}
	tag := func(s string) []string { return []string{"Tags.member.1.Key", "a", "Tags.member.1.Value", s} }
	arn := create(append(shown("x"), tag("1")...)...).between("<TopicArn>", "</TopicArn>")
	for _, same := range [][]string{nil, shown("x"), tag("1"), append(shown("x"), tag("1")...)} {
		diff(t, "the same", arn, create(same...).between("<TopicArn>", "</TopicArn>"))
	}
	create(shown("y")...).fails(400, "InvalidParameter", "", "Invalid parameter: Attributes Reason: Topic already exists with different attributes")
	create("Attributes.entry.1.key", "KmsMasterKeyId", "Attributes.entry.1.value", "k").fails(400, "InvalidParameter", "", "different attributes")
	create(tag("2")...).fails(400, "InvalidParameter", "", "Invalid parameter: Tags Reason: Topic already exists with different tags")
	create("Tags.member.1.Key", "b", "Tags.member.1.Value", "").fails(400, "InvalidParameter", "", "different tags")
	diff(t, "it stayed as it was", "x", h.attributesOf(arn)["DisplayName"])
}

func TestN9_AStandardTopicMaySayThatItIsNone(t *testing.T) {
	t.Parallel()
	h := open(t)
	name := h.newName()
	for range 2 {
		arn := h.ask("CreateTopic", "Name", name, "Attributes.entry.1.key", "FifoTopic", "Attributes.entry.1.value", "false").between("<TopicArn>", "</TopicArn>")
		if _, there := h.attributesOf(arn)["FifoTopic"]; there {
			t.Error("FifoTopic is shown")
		}
		h.refusesTo("SetTopicAttributes", "Invalid parameter: AttributeName", "TopicArn", arn, "AttributeName", "FifoTopic", "AttributeValue", "true")
	}
}

func TestN10_AFreshTopicHasTheAttributesOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	arn := h.topic(nil)
	account := h.tenant.AccountNumber
	want := map[string]string{"TopicArn": arn, "Owner": account, "DisplayName": "", "SubscriptionsConfirmed": "0", "SubscriptionsPending": "0", "SubscriptionsDeleted": "0",
		"EffectiveDeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`,
		"Policy":                  `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":"` + arn + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + account + `"}}}]}`,
	}
	diff(t, "attributes", want, h.attributesOf(arn))
	fifo := h.attributesOf(h.topic(map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true"}))
	diff(t, "FIFO", []string{"true", "true", "Topic"}, []string{fifo["FifoTopic"], fifo["ContentBasedDeduplication"], fifo["FifoThroughputScope"]})
	for name, value := range map[string]string{"DisplayName": "ü", "Policy": `{"Version":"2012-10-17", "Statement":[]}`, "KmsMasterKeyId": "alias/x", "SignatureVersion": "2", "TracingConfig": "Active",
		"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"numRetries":5}}}`} {
		h.ask("SetTopicAttributes", "TopicArn", arn, "AttributeName", name, "AttributeValue", value).ok(nil)
		diff(t, name, value, h.attributesOf(arn)[name])
	}
	if got := h.attributesOf(arn)["EffectiveDeliveryPolicy"]; !strings.Contains(got, `"numRetries":5`) || !strings.Contains(got, `"minDelayTarget":20`) {
		t.Errorf("EffectiveDeliveryPolicy is %s", got)
	}
	for name, value := range map[string]string{"SignatureVersion": "3", "Policy": "x", "TracingConfig": "x", "Unknown": "x", "ContentBasedDeduplication": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"1"}`} {
		h.refusesTo("SetTopicAttributes", "", "TopicArn", arn, "AttributeName", name, "AttributeValue", value)
	}
}

func TestN11_DeletingATopicAgainSucceeds(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	for range 2 {
		h.ask("DeleteTopic", "TopicArn", topic).ok(nil)
	}
	h.refusesTo("DeleteTopic", "6 elements", "TopicArn", "x")
}

func TestN12_PermissionsAreStatementsOfThePolicy(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	add := func(label, action string) *answer {
		return h.ask("AddPermission", "TopicArn", topic, "Label", label, "AWSAccountId.member.1", "123456789012", "ActionName.member.1", action)
	}
	add("l", "Publish").ok(nil)
	policy := h.attributesOf(topic)["Policy"]
	if !strings.Contains(policy, `{"Sid":"l","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"SNS:Publish","Resource":"`+topic+`"}`) || !strings.Contains(policy, "__default_statement_ID") {
		t.Errorf("the policy is %s", policy)
	}
	add("l", "Publish").fails(400, "InvalidParameter", "", "Invalid parameter: Statement already exists")
	add("m", "CreateTopic").fails(400, "InvalidParameter", "", "Invalid parameter: Policy statement action out of service scope!")
	h.ask("RemovePermission", "TopicArn", topic, "Label", "l").ok(nil)
	if policy := h.attributesOf(topic)["Policy"]; strings.Contains(policy, `"l"`) {
		t.Errorf("the policy is %s", policy)
	}
	h.refusesTo("RemovePermission", "", "TopicArn", topic, "Label", "l")
}

func TestN13_ATagStandsOnceInARequest(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.refusesTo("TagResource", "Invalid parameter: Duplicated keys are not allowed.", "ResourceArn", h.topic(nil), "Tags.member.1.Key", "a", "Tags.member.1.Value", "1",
		"Tags.member.2.Key", "a", "Tags.member.2.Value", "1")
}

func TestN14_TargetArnIsTopicArn(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	h.ask("Publish", "TargetArn", topic, "Message", "m").ok(nil)
	h.ask("Publish", "TargetArn", "", "TopicArn", topic, "Message", "m").ok(nil)
	h.refusesTo("Publish", "either a TopicArn or a TargetArn", "TargetArn", topic, "TopicArn", topic, "Message", "m")
	h.refusesTo("Publish", "SMS", "PhoneNumber", "+1", "TopicArn", topic, "Message", "m")
	h.refusesTo("Publish", "no value", "Message", "m")
	h.refusesTo("Publish", "SMS", "PhoneNumber", "+1", "Message", "m")
	h.refusesTo("Publish", "endpoint", "TargetArn", "arn:aws:sns:"+region+":"+h.tenant.AccountNumber+":endpoint/GCM/a/b", "Message", "m")
}

func TestN15_AMessageHasItsBounds(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	ask := func(message string, more ...string) *answer {
		return h.ask("Publish", append([]string{"TopicArn", topic, "Message", message}, more...)...)
	}
	attribute := []string{"MessageAttributes.entry.1.Name", "n", "MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "v"}
	ask(strings.Repeat("x", 262_144)).ok(nil)
	ask(strings.Repeat("x", 262_145)).fails(400, "InvalidParameter", "", "Invalid parameter: Message too long")
	ask(strings.Repeat("x", 262_144), attribute...).fails(400, "InvalidParameter", "", "Invalid parameter: Message too long")
	ask(strings.Repeat("x", 262_144-8), attribute...).ok(nil)
	ask("").fails(400, "InvalidParameter", "", "Invalid parameter: Empty message")
	for _, subject := range []string{"", strings.Repeat("x", 100), "a\nb"} {
		ask("m", "Subject", subject).fails(400, "InvalidParameter", "", "Invalid parameter: Subject")
	}
	ask("m", "Subject", strings.Repeat("ü", 99)).ok(nil)
	ask("\x01").fails(400, "InvalidParameter", "", "Invalid parameter: Message")
	diff(t, "what was stored", []int{262_144, 262_136, 1}, []int{len(*h.next(q).Body), len(*h.next(q).Body), len(*h.next(q).Body)})
}

func TestN16_AMessageMayDifferByProtocol(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q, raw := h.topic(nil), h.queue(nil), h.queue(nil)
	h.subscribe(topic, q, nil)
	h.subscribe(topic, raw, map[string]string{"RawMessageDelivery": "true"})
	ask := func(message string) *answer {
		return h.ask("Publish", "TopicArn", topic, "Message", message, "MessageStructure", "json")
	}
	for message, want := range map[string]string{`{"default":"d"}`: "d", `{"default":"d","sqs":"q","https":"w"}`: "q", `{"default":"d","sqs":7}`: "d", `{"default":"a","default":"b"}`: "b"} {
		ask(message).ok(nil)
		diff(t, message, []string{want, want}, []string{h.notice(q).Message, *h.next(raw).Body})
	}
	const missing = "Invalid parameter: Message Structure - No default entry in JSON message body"
	for message, words := range map[string]string{`{"sqs":"q"}`: missing, `{"default":7}`: missing, `x`: "Invalid parameter: Message Structure - JSON message body failed to parse", `["default"]`: "failed to parse"} {
		ask(message).fails(400, "InvalidParameter", "", words)
	}
}

func TestN17_AttributesAreRefusedInTheWordsOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	ask := func(kind, member, value string) *answer {
		params := []string{"TopicArn", topic, "Message", "m", "MessageAttributes.entry.1.Name", "n", "MessageAttributes.entry.1.Value." + member, value}
		if kind != "" {
			params = append(params, "MessageAttributes.entry.1.Value.DataType", kind)
		}
		return h.ask("Publish", params...)
	}
	for _, kind := range []string{"String", "String.Array", "String.label", "Number"} {
		ask(kind, "StringValue", "7").ok(nil)
		ask(kind, "StringValue", "").fails(400, "ParameterValueInvalid", "", "The message attribute 'n' must contain non-empty message attribute value for message attribute type '"+kind+"'.")
	}
	ask("Binary", "BinaryValue", "AAE=").ok(nil)
	ask("Binary", "BinaryValue", "!").fails(400, "InvalidParameter", "", "base64")
	ask("", "StringValue", "x").fails(400, "ValidationError", "", "1 validation error detected: Value null at 'messageAttributes.n.member.dataType' failed to satisfy constraint: Member must not be null")
	ask("Text", "StringValue", "x").fails(400, "InvalidParameter", "", "'n'")
	ask("Number", "StringValue", "x").fails(400, "InvalidParameter", "", "n")
	for _, name := range []string{"a^", ".a", "a.", "a..b", strings.Repeat("a", 257)} {
		h.ask("Publish", "TopicArn", topic, "Message", "m", "MessageAttributes.entry.1.Name", name, "MessageAttributes.entry.1.Value.DataType", "String",
			"MessageAttributes.entry.1.Value.StringValue", "v").fails(400, "ParameterValueInvalid", "", "name")
	}
}

func TestN18_OnlyWhoHasSubscribedGetsAMessage(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.publish(topic, nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("second") })
	diff(t, "message", "second", *h.next(q).Body)
}

// batch publishes entries, of which each is a list of names and values.
func (h *doorTest) publishes(topic string, entries ...[]string) *answer {
	h.Helper()
	params := []string{"TopicArn", topic}
	for i, e := range entries {
		for k := 0; k < len(e); k += 2 {
			params = append(params, fmt.Sprintf("PublishBatchRequestEntries.member.%d.%s", i+1, e[k]), e[k+1])
		}
	}
	return h.ask("PublishBatch", params...)
}

func entry(id, message string, more ...string) []string {
	return append([]string{"Id", id, "Message", message}, more...)
}

func TestN19_ABatchIsRefusedInTheWordsOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(nil)
	var many [][]string
	for i := range 11 {
		many = append(many, entry(fmt.Sprint(i), "m"))
	}
	h.publishes(topic, many...).fails(400, "TooManyEntriesInBatchRequest", "", "The batch request contains more entries than permissible.")
	h.publishes(topic, many[:10]...).ok(nil)
	h.publishes(topic, entry("a", "1"), entry("a", "2")).fails(400, "BatchEntryIdsNotDistinct", "", "Two or more batch entries in the request have the same Id.")
	h.publishes(topic, entry("a b", "1")).fails(400, "InvalidBatchEntryId", "", "contains an impermissible character: a b")
	h.publishes(topic, entry(strings.Repeat("x", 81), "1")).fails(400, "InvalidBatchEntryId", "", "is too long: ")
	half := strings.Repeat("x", 131_072)
	h.publishes(topic, entry("a", half), entry("b", half)).ok(nil)
	h.publishes(topic, entry("a", half), entry("b", half+"x")).fails(400, "BatchRequestTooLong", "", "The length of all the messages put together is more than the limit.")
}

func TestN20_OneBadEntryFailsTheBatch(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	h.publishes(topic, entry("a", "1"), entry("b", "")).fails(400, "InvalidParameter", "", "Empty message")
	h.publishes(topic, entry("a", "1"), entry("b", `{}`, "MessageStructure", "json")).fails(400, "InvalidParameter", "", "No default entry")
	h.publishes(topic, entry("a", "1"), entry("b", "2", "MessageAttributes.entry.1.Name", "AWS.x", "MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "v")).
		fails(400, "InvalidParameter", "", "AWS.")
	fifo := h.topic(map[string]string{"FifoTopic": "true"})
	h.publishes(fifo, entry("a", "1", "MessageGroupId", "g", "MessageDeduplicationId", "1"), entry("b", "2", "MessageDeduplicationId", "2")).fails(400, "InvalidParameter", "", "MessageGroupId")
	h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("alone") })
	diff(t, "the first that was stored", "alone", *h.next(q).Body)
}

func TestN21_FailedIsThereThoughEmpty(t *testing.T) {
	t.Parallel()
	h := open(t)
	a := h.publishes(h.topic(nil), entry("a", "1")).ok(nil)
	if !regexp.MustCompile(`<Successful><member><Id>a</Id><MessageId>[-0-9a-f]{36}</MessageId></member></Successful><Failed></Failed>`).MatchString(a.body) {
		t.Errorf("got %s", a.body)
	}
}

func TestN22_EachEntryIsFiltered(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"n":[2]}`, "FilterPolicyScope": "MessageBody"})
	h.publishes(topic, entry("a", `{"n":1}`), entry("b", `{"n":2}`), entry("c", "x")).ok(nil)
	h.publishes(topic, entry("a", `{"n":2.0}`)).ok(nil)
	diff(t, "messages", []string{`{"n":2}`, `{"n":2.0}`}, []string{*h.next(q).Body, *h.next(q).Body})
}

func TestN75_FIFOTopicsNeedAGroupAndAnID(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(map[string]string{"FifoTopic": "true"})
	h.refusesTo("Publish", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics", "TopicArn", topic, "Message", "m", "MessageDeduplicationId", "d")
	h.refusesTo("Publish", "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
		"TopicArn", topic, "Message", "m", "MessageGroupId", "g")
	h.refusesTo("Publish", "MessageGroupId", "TopicArn", topic, "Message", "m", "MessageGroupId", "a b", "MessageDeduplicationId", "d")
	h.refusesTo("Publish", "Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type",
		"TopicArn", h.topic(nil), "Message", "m", "MessageDeduplicationId", "d")
}

// fifoPublish publishes to a FIFO topic and returns what it was answered.
func (h *doorTest) fifoPublish(topic, message, group, dedup string) [2]string {
	h.Helper()
	out := h.publish(topic, func(in *sns.PublishInput) {
		in.Message, in.MessageGroupId = &message, &group
		if dedup != "" {
			in.MessageDeduplicationId = &dedup
		}
	})
	return [2]string{*out.MessageId, *out.SequenceNumber}
}

func TestN76_ADuplicateIsAnsweredWithTheFirst(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(map[string]string{"FifoTopic": "true"}), h.queue(map[string]string{"FifoQueue": "true"})
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	first := h.fifoPublish(topic, "1", "g", "d")
	diff(t, "the second", first, h.fifoPublish(topic, "2", "g", "d"))
	h.clock.Advance(5*time.Minute + time.Second)
	if third := h.fifoPublish(topic, "3", "g", "d"); third == first {
		t.Error("after five minutes it is still a duplicate")
	}
	diff(t, "messages", []string{"1", "3"}, []string{*h.next(q).Body, *h.next(q).Body})
}

func TestN77_GroupAndIDAreThoseOfTheTopic(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true"})
	raw, packed, standard := h.queue(map[string]string{"FifoQueue": "true"}), h.queue(map[string]string{"FifoQueue": "true"}), h.queue(nil)
	h.subscribe(topic, raw, map[string]string{"RawMessageDelivery": "true"})
	h.subscribe(topic, packed, nil)
	h.subscribe(topic, standard, nil)
	sent := h.fifoPublish(topic, "Test", "g", "")
	const digest = "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25"
	for _, q := range []string{raw, packed} {
		m := h.next(q)
		diff(t, "queue", []string{"g", digest}, []string{m.Attributes["MessageGroupId"], m.Attributes["MessageDeduplicationId"]})
		if m.Attributes["SequenceNumber"] == sent[1] || len(m.Attributes["SequenceNumber"]) != 20 {
			t.Errorf("the sequence number is %s, that of the topic %s", m.Attributes["SequenceNumber"], sent[1])
		}
	}
	m := h.next(standard)
	diff(t, "standard queue", "", m.Attributes["MessageDeduplicationId"])
	// The topic alone tells duplicates: its id is not looked at by a queue once more.
	h.fifoPublish(topic, "a", "g", "1")
	h.fifoPublish(topic, "b", "g", "2")
	diff(t, "order", []string{"a", "b"}, []string{*h.next(raw).Body, *h.next(raw).Body})
}

func TestN78_TheBodyAloneMakesTheID(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true"})
	first := h.fifoPublish(topic, "same", "g", "")
	other := h.publish(topic, func(in *sns.PublishInput) {
		in.Message, in.MessageGroupId, in.Subject = sdk.String("same"), sdk.String("g"), sdk.String("another")
		in.MessageAttributes = map[string]snstypes.MessageAttributeValue{"n": {DataType: sdk.String("String"), StringValue: sdk.String("v")}}
	})
	diff(t, "duplicate", first[0], *other.MessageId)
}

func TestN79_IDsMayBeToldApartByGroup(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(map[string]string{"FifoTopic": "true"})
	first := h.fifoPublish(topic, "m", "a", "d")
	diff(t, "in the topic", first, h.fifoPublish(topic, "m", "b", "d"))
	h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "FifoThroughputScope", "AttributeValue", "MessageGroup").ok(nil)
	diff(t, "scope", "MessageGroup", h.attributesOf(topic)["FifoThroughputScope"])
	a, b := h.fifoPublish(topic, "m", "a", "e"), h.fifoPublish(topic, "m", "b", "e")
	if a == b {
		t.Error("ids are not told apart by group")
	}
	diff(t, "in the group", a, h.fifoPublish(topic, "m", "a", "e"))
	h.refusesTo("SetTopicAttributes", "FifoThroughputScope", "TopicArn", topic, "AttributeName", "FifoThroughputScope", "AttributeValue", "x")
}

func TestN81_AnArchiveIsTheRetentionOfTheTopic(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic := h.topic(map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"7"}`})
	got, err := h.topics.Get(t.Context(), h.tenant.ID, topic[strings.LastIndexByte(topic, ':')+1:])
	h.must(err)
	diff(t, "retention", 7*24*time.Hour, got.Settings.Retention)
	attributes := h.attributesOf(topic)
	if diff(t, "policy", `{"MessageRetentionPeriod":"7"}`, attributes["ArchivePolicy"]); attributes["BeginningArchiveTime"] == "" {
		t.Error("BeginningArchiveTime is missing")
	}
	set := func(value string) *answer {
		return h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "ArchivePolicy", "AttributeValue", value)
	}
	for _, bad := range []string{`{"MessageRetentionPeriod":"15"}`, `{"MessageRetentionPeriod":"0"}`, `{"x":1}`, `x`} {
		set(bad).fails(400, "InvalidParameter", "", "ArchivePolicy")
	}
	set("{}").ok(nil)
	if policy, there := h.attributesOf(topic)["ArchivePolicy"]; there {
		t.Errorf("the policy is %s", policy)
	}
}

// A standard topic hands the group of a message on to standard queues, raw and in notifications, where the groups take turns: one that
// has much waiting holds up no other. So does a topic that subscribes to it.
func TestQ122_AStandardTopicHandsGroupsOn(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, behind := h.topic(nil), h.topic(nil)
	_, _, err := h.topics.PutSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), "on", topics.SubscriptionSettings{Topic: nameOfARN(behind)}, topics.Condition{})
	h.must(err)
	subscribed := map[string]string{} // topic and subscription to the queue
	for _, from := range []string{topic, behind} {
		for _, raw := range []string{"true", "false"} {
			q := h.queue(nil)
			subscribed[h.subscribe(from, q, map[string]string{"RawMessageDelivery": raw})] = q
		}
	}
	for i := range 30 {
		h.publish(topic, func(in *sns.PublishInput) {
			in.Message, in.MessageGroupId = sdk.String(fmt.Sprint(i)), sdk.String("busy")
		})
	}
	h.publish(topic, func(in *sns.PublishInput) { in.MessageGroupId = sdk.String("quiet") })
	for arn, q := range subscribed {
		name := nameOfARN(arn)
		from := nameOfARN(strings.TrimSuffix(arn, ":"+name))
		until(t, "all has arrived", func() bool {
			s, err := h.topics.GetSubscription(t.Context(), h.tenant.ID, from, name)
			h.must(err)
			return s.Delivered == 31
		})
		got, err := h.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q, MaxNumberOfMessages: 2, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
		h.must(err)
		var groups []string
		for _, m := range got.Messages {
			groups = append(groups, m.Attributes["MessageGroupId"])
			if m.Attributes["SequenceNumber"] != "" || m.Attributes["MessageDeduplicationId"] != "" {
				t.Errorf("a standard queue shows %v", m.Attributes)
			}
		}
		slices.Sort(groups) // the order of groups whose messages came at one instant is not said
		diff(t, "groups of the first two", []string{"busy", "quiet"}, groups)
	}
}

func TestATopicWithASchemaRefusesInTheFormOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	_, _, err := h.topics.AddSchema(h.Context(), h.tenant.ID, topic[strings.LastIndexByte(topic, ':')+1:], `{"type":"object","required":["order"]}`, false)
	h.must(err)
	h.refusesTo("Publish", "Invalid parameter: The message is not as version 1 of the topic's schema says: it lacks", "TopicArn", topic, "Message", `{}`)
	h.refusesTo("Publish", "Invalid parameter: The message is not as version 1", "TopicArn", topic, "Message", `no JSON`)
	h.publishes(topic, entry("a", `{"order":1}`), entry("b", "[]")).fails(400, "InvalidParameter", "", "it is array, must be object")
	h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String(`{"order":2}`) })
	m := h.next(q)
	diff(t, "the only one that was stored", `{"order":2}`, *m.Body)
	diff(t, "its version", "1", *m.MessageAttributes[topics.SchemaAttribute].StringValue)
}
