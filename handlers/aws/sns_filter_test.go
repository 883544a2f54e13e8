package aws_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// said is a message to a topic: its body, and its attributes as names, types and values in turn.
type said struct {
	body       string
	attributes []string
}

// say publishes messages.
func (h *doorTest) say(topic string, list ...said) {
	h.Helper()
	for _, m := range list {
		params := []string{"TopicArn", topic, "Message", m.body}
		for i := 0; i < len(m.attributes); i += 3 {
			at := fmt.Sprintf("MessageAttributes.entry.%d.", i/3+1)
			params = append(params, at+"Name", m.attributes[i], at+"Value.DataType", m.attributes[i+1], at+"Value.StringValue", m.attributes[i+2])
		}
		h.ask("Publish", params...).ok(nil)
	}
}

// arrived waits until a subscription is done with all that was published, and returns the bodies that its queue got.
func (h *doorTest) arrived(sub, address string) []string { return h.arrivedAt(h, sub, address) }

// arrivedAt does it for a queue of another account than the one of the topic.
func (h *doorTest) arrivedAt(of *doorTest, sub, address string) []string {
	h.Helper()
	until(h, "all is carried", func() bool {
		topic := nameOfARN(strings.TrimSuffix(sub, ":"+nameOfARN(sub)))
		s, err := h.topics.GetSubscription(h.Context(), of.tenant.ID, topic, nameOfARN(sub))
		h.must(err)
		return s.Lag == 0
	})
	list := []string{}
	for {
		out, err := h.sqs.ReceiveMessage(h.Context(), &sqs.ReceiveMessageInput{QueueUrl: &address, MaxNumberOfMessages: 10})
		h.must(err)
		if len(out.Messages) == 0 {
			return list
		}
		for _, m := range out.Messages {
			list = append(list, *m.Body)
		}
	}
}

// through is what gets through a filter policy: bodies, with "|" between.
type through struct{ policy, want string }

// filters subscribes a queue by each of some policies, publishes messages, and compares what each of the queues got.
func filters(t *testing.T, scope string, list []said, cases ...through) {
	t.Helper()
	h := open(t)
	topic := h.topic(nil)
	queues, subs := make([]string, len(cases)), make([]string, len(cases))
	for i, c := range cases {
		queues[i] = h.queue(nil)
		subs[i] = h.subscribe(topic, queues[i], map[string]string{"RawMessageDelivery": "true", "FilterPolicyScope": scope, "FilterPolicy": c.policy})
	}
	h.say(topic, list...)
	for i, c := range cases {
		diff(t, c.policy, c.want, strings.Join(h.arrived(subs[i], queues[i]), "|"))
	}
}

const (
	ofAttributes = "MessageAttributes"
	ofBody       = "MessageBody"
)

func TestN61_AllKeysHoldAndOneOfTheConditionsOfEach(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"both", []string{"a", "String", "x", "b", "Number", "2"}}, {"one", []string{"a", "String", "x"}}, {"wrong", []string{"a", "String", "x", "b", "Number", "3"}}},
		through{`{"a":["x"],"b":[1,2]}`, "both"}, through{`{"a":["y","x"]}`, "both|one|wrong"}, through{`{}`, "both|one|wrong"}, through{``, "both|one|wrong"})
	refusesPolicies(t, ofAttributes, map[string]string{`x`: "FilterPolicy: failed to parse JSON", `["x"]`: "FilterPolicy: Filter policy must be an object", `{"a":["x"]`: "FilterPolicy: failed to parse JSON"})
}

func TestN62_ConditionsOnAttributes(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{
		{"abc", []string{"k", "String", "abc"}}, {"ABC", []string{"k", "String", "ABC"}}, {"5", []string{"k", "Number", "5"}}, {"150", []string{"k", "Number", "150.0"}},
		{"v4", []string{"k", "String", "10.0.0.7"}}, {"v6", []string{"k", "String", "2001:db8::1"}}, {"words", []string{"k", "String.Array", `[true,null]`}}, {"other", []string{"x", "String", "y"}},
	},
		through{`{"k":["abc"]}`, "abc"}, through{`{"k":[5]}`, "5"}, through{`{"k":["abc",150]}`, "abc|150"}, through{`{"k":[true]}`, "words"}, through{`{"k":[null]}`, "words"}, through{`{"k":[false]}`, ""},
		through{`{"k":[{"prefix":"ab"}]}`, "abc"}, through{`{"k":[{"suffix":".7"}]}`, "v4"}, through{`{"k":[{"equals-ignore-case":"aBc"}]}`, "abc|ABC"},
		through{`{"k":[{"anything-but":"abc"}]}`, "ABC|5|150|v4|v6|words"}, through{`{"k":[{"anything-but":["abc",5]}]}`, "ABC|150|v4|v6|words"}, through{`{"k":[{"anything-but":{"prefix":"1"}}]}`, "abc|ABC|5|150|v6|words"},
		through{`{"k":[{"numeric":[">",100]}]}`, "150"}, through{`{"k":[{"numeric":["=",5]}]}`, "5"}, through{`{"k":[{"numeric":[">=",5,"<",150]}]}`, "5"},
		through{`{"k":[{"exists":true}]}`, "abc|ABC|5|150|v4|v6|words"}, through{`{"k":[{"exists":false}]}`, "other"},
		through{`{"k":[{"cidr":"10.0.0.0/24"}]}`, "v4"}, through{`{"k":[{"cidr":"2001:db8::/32"}]}`, "v6"},
		through{`{"$or":[{"k":["abc"]},{"x":[{"exists":true}]}]}`, "abc|other"},
	)
}

func TestN63_OperatorsOfEventBridgeAreTaken(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"a.png", []string{"k", "String", "a.png"}}, {"b.PNG", []string{"k", "String", "b.PNG"}}, {"c", []string{"k", "String", "c"}}},
		through{`{"k":[{"wildcard":"*.p*"}]}`, "a.png"}, through{`{"k":[{"anything-but":{"suffix":".png"}}]}`, "b.PNG|c"},
		through{`{"k":[{"anything-but":{"wildcard":"*.*"}}]}`, "c"}, through{`{"k":[{"anything-but":{"equals-ignore-case":"C"}}]}`, "a.png|b.PNG"},
	)
}

// refusesPolicies checks that filter policies are refused when a queue subscribes and when they are set, with the words of SNS.
func refusesPolicies(t *testing.T, scope string, list map[string]string) {
	t.Helper()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	sub := h.subscribe(topic, h.queue(nil), map[string]string{"FilterPolicyScope": scope})
	for policy, words := range list {
		h.subscribing(topic, h.arn(q), "FilterPolicy", policy, "FilterPolicyScope", scope).fails(400, "InvalidParameter", "", "Invalid parameter: Attributes Reason: "+words)
		h.refusesTo("SetSubscriptionAttributes", "Invalid parameter: "+words, "SubscriptionArn", sub, "AttributeName", "FilterPolicy", "AttributeValue", policy)
	}
	if _, there := h.attributesOf(sub)["FilterPolicy"]; there {
		t.Error("a policy that was refused is there")
	}
}

func TestN64_RangesThatAreNone(t *testing.T) {
	t.Parallel()
	list := map[string]string{}
	for numeric, words := range map[string]string{
		`[]`: "Invalid member in numeric match: ]", `[5]`: "Invalid member in numeric match: 5", `["~",5]`: "Unrecognized numeric range operator: ~",
		`["<","5"]`: "Value of < must be numeric", `[">"]`: "Value of > must be numeric", `["<",5,">",1]`: "Too many elements in numeric expression", `["=",5,"<",9]`: "Too many elements in numeric expression",
		`[">",5,">",9]`: "Bad numeric range operator: >", `[">",5,9]`: "Bad value in numeric range: 9", `[">",5,"<","x"]`: "Value of < must be numeric",
		`[">",5,"<",5]`: "Bottom must be less than top", `[">",1,"<",5,6]`: "Too many terms in numeric range expression",
	} {
		list[`{"k":[{"numeric":`+numeric+`}]}`] = "FilterPolicy: " + words
	}
	refusesPolicies(t, ofAttributes, list)
}

func TestN64_RangesOfNumbers(t *testing.T) {
	t.Parallel()
	numbers := []said{}
	for _, n := range []string{"-1000000000", "-0.00001", "0", "0.00001", "99.99999", "100", "1000000000"} {
		numbers = append(numbers, said{n, []string{"k", "Number", n}})
	}
	filters(t, ofAttributes, numbers,
		through{`{"k":[{"numeric":[">",0,"<=",100]}]}`, "0.00001|99.99999|100"}, through{`{"k":[{"numeric":[">=",0,"<",100]}]}`, "0|0.00001|99.99999"},
		through{`{"k":[{"numeric":["<",0]}]}`, "-1000000000|-0.00001"}, through{`{"k":[{"numeric":["<=",-0.00001]}]}`, "-1000000000|-0.00001"},
		through{`{"k":[{"numeric":[">=",1000000000]}]}`, "1000000000"}, through{`{"k":[{"numeric":["=",0.0]}]}`, "0"},
	)
}

func TestN65_PoliciesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	refusesPolicies(t, ofAttributes, map[string]string{
		`{"k":[]}`:                              `FilterPolicy: Empty arrays are not allowed`,
		`{"k":"x"}`:                             `FilterPolicy: "k" must be an object or an array`,
		`{"k":[["x"]]}`:                         `FilterPolicy: Match value must be String, number, true, false, or null`,
		`{"k":[{"near":"x"}]}`:                  `FilterPolicy: Unrecognized match type near`,
		`{"k":[{"prefix":"x","suffix":"y"}]}`:   `FilterPolicy: Only one key allowed in match expression`,
		`{"k":[{"prefix":7}]}`:                  `FilterPolicy: prefix match pattern must be a string`,
		`{"k":[{"suffix":[]}]}`:                 `FilterPolicy: suffix match pattern must be a string`,
		`{"k":[{"equals-ignore-case":null}]}`:   `FilterPolicy: equals-ignore-case match pattern must be a string`,
		`{"k":[{"exists":"true"}]}`:             `FilterPolicy: exists match pattern must be either true or false.`,
		`{"k":[{"cidr":"10.0.0.0"}]}`:           `FilterPolicy: Malformed CIDR, one '/' required`,
		`{"k":[{"cidr":"10.0.0.0/x"}]}`:         `FilterPolicy: Malformed CIDR, mask bits must be an integer`,
		`{"k":[{"cidr":"10.0.0.0.0/8"}]}`:       `FilterPolicy: Nonstandard IP address: 10.0.0.0.0`,
		`{"k":[{"cidr":7}]}`:                    `FilterPolicy: prefix match pattern must be a string`,
		`{"k":[{"anything-but":{"near":"x"}}]}`: `FilterPolicy: Unsupported anything-but pattern: near`,
		`{"$or":[{"k":["x"]}]}`:                 `FilterPolicy: "$or" must be an array of two or more objects`,
	})
}

func TestN66_PoliciesHaveTheBoundsOfSNS(t *testing.T) {
	t.Parallel()
	values := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") + "]" }
	const tooMany, tooComplex = "FilterPolicy: Filter policy can not have more than 5 keys", "FilterPolicy: Filter policy is too complex"
	refusesPolicies(t, ofAttributes, map[string]string{
		`{"a":["x"],"b":["x"],"c":["x"],"d":["x"],"e":["x"],"f":["x"]}`:        tooMany,
		`{"a":` + values(151) + `}`:                                            tooComplex,
		`{"a":` + values(4) + `,"b":` + values(4) + `,"c":` + values(10) + `}`: tooComplex,
		`{"$or":[{"a":` + values(75) + `},{"b":` + values(76) + `}]}`:          tooComplex,
		`{"a":["` + strings.Repeat("x", 256<<10) + `"]}`:                       "FilterPolicy: Filter policy is too long",
	})
	refusesPolicies(t, ofBody, map[string]string{
		`{"a":{"b":` + values(76) + `}}`: tooComplex,
		`{"a":{"b":{"c":` + values(4) + `}},"d":{"e":` + values(3) + `},"f":` + values(3) + `}`: tooComplex, // 4 × 3, 3 × 2, 3
	})
	h := open(t)
	topic := h.topic(nil)
	for policy, scope := range map[string]string{
		`{"a":["x"],"b":["x"],"c":["x"],"d":["x"],"e":["x"]}`:                                   ofAttributes,
		`{"a":` + values(150) + `}`:                                                             ofAttributes,
		`{"a":` + values(3) + `,"b":` + values(5) + `,"c":` + values(10) + `}`:                  ofAttributes,
		`{"$or":[{"a":` + values(75) + `},{"b":` + values(75) + `}]}`:                           ofAttributes,
		`{"a":{"b":` + values(75) + `}}`:                                                        ofBody,
		`{"a":{"b":{"c":` + values(2) + `}},"d":{"e":` + values(4) + `},"f":` + values(3) + `}`: ofBody, // 2 × 3, 4 × 2, 3
	} {
		h.subscribing(topic, h.arn(h.queue(nil)), "FilterPolicy", policy, "FilterPolicyScope", scope).ok(nil)
	}
}

func TestN67_OnlyTheScopeOfBodiesCanBeNested(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	const nested = `{"a":{"b":["x"]}}`
	const words = "Filter policy scope MessageAttributes does not support nested filter policy"
	h.subscribing(topic, h.arn(q), "FilterPolicy", nested).fails(400, "InvalidParameter", "", "Invalid parameter: Attributes Reason: "+words)
	h.subscribing(topic, h.arn(q), "FilterPolicyScope", "Message").fails(400, "InvalidParameter", "",
		"Invalid parameter: Attributes Reason: FilterPolicyScope: Invalid value [Message]. Please use either MessageBody or MessageAttributes")
	sub := h.subscribe(topic, q, map[string]string{"FilterPolicyScope": ofBody, "FilterPolicy": nested})
	h.refusesTo("SetSubscriptionAttributes", "Invalid parameter: "+words, "SubscriptionArn", sub, "AttributeName", "FilterPolicyScope", "AttributeValue", ofAttributes)
	got := h.attributesOf(sub)
	diff(t, "it stays as it was", []string{nested, ofBody}, []string{got["FilterPolicy"], got["FilterPolicyScope"]})
}

func TestN69_AnythingButLooksForOneElement(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"both", []string{"k", "String.Array", `["x","y"]`}}, {"listed", []string{"k", "String.Array", `["x","z"]`}}},
		through{`{"k":[{"anything-but":["x","z"]}]}`, "both"})
}

func TestN70_WhatIsNotThereMeetsNoCondition(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"none", nil}, {"other", []string{"x", "String", "y"}}, {"null", []string{"k", "String.Array", `[null]`}}},
		through{`{"k":[null,{"anything-but":"x"}]}`, "null"}, through{`{"k":[{"prefix":""}]}`, ""}, through{`{"k":[{"anything-but":"x"}]}`, "null"},
		through{`{"k":[{"anything-but":{"prefix":"x"}}]}`, "null"}, through{`{"k":[{"equals-ignore-case":""}]}`, ""}, through{`{"k":[{"numeric":[">",-1]}]}`, ""})
}

func TestN71_WithoutAnyAttributeNothingIsMissing(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"none", nil}, {"other", []string{"x", "String", "y"}}, {"there", []string{"k", "String", "y"}}}, through{`{"k":[{"exists":false}]}`, "other"})
}

func TestN72_PoliciesOnBodies(t *testing.T) {
	t.Parallel()
	const records = `{"Records":[{"event":"put","size":5},{"event":"delete","size":9}]}`
	filters(t, ofBody, []said{{"text", nil}, {"[1]", nil}, {`{"a":{"b":"x"}}`, nil}, {`{"a.b":"x"}`, nil}, {records, nil}, {`{"list":[["x"],[[7]]],"none":[]}`, nil}},
		through{`{"a":{"b":["x"]}}`, `{"a":{"b":"x"}}|{"a.b":"x"}`}, through{`{"a.b":["x"]}`, `{"a":{"b":"x"}}|{"a.b":"x"}`},
		through{`{"Records":{"event":["put"],"size":[9]}}`, records}, through{`{"Records":{"event":["put"],"size":[7]}}`, ""},
		through{`{"list":["x"]}`, `{"list":[["x"],[[7]]],"none":[]}`}, through{`{"list":[7]}`, `{"list":[["x"],[[7]]],"none":[]}`},
		through{`{"none":[{"exists":true}]}`, ""}, through{`{"none":[{"exists":false}],"list":["x"]}`, `{"list":[["x"],[[7]]],"none":[]}`},
		through{`{"a":[{"exists":true}]}`, ""}, through{`{"a":{"b":[{"exists":true}]}}`, `{"a":{"b":"x"}}|{"a.b":"x"}`},
	)
}

func TestN73_TextIsComparedAsItIs(t *testing.T) {
	t.Parallel()
	filters(t, ofAttributes, []said{{"lower", []string{"k", "String", "x"}}, {"upper", []string{"k", "String", "X"}}, {"quoted", []string{"k", "String.Array", `["say \"x\" \\ y"]`}}, {"empty", []string{"k", "String.Array", `[""]`}}},
		through{`{"k":["x"]}`, "lower"}, through{`{"k":["say \"x\" \\ y"]}`, "quoted"}, through{`{"k":[""]}`, "empty"})
	filters(t, ofBody, []said{{`{"k":""}`, nil}, {`{"k":"x"}`, nil}}, through{`{"k":[""]}`, `{"k":""}`}, through{`{"k":["X"]}`, ""})
}

func TestN74_AChangeOfAFilterHoldsAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, q := h.topic(nil), h.queue(nil)
	sub := h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
	want := []string{}
	for i, kind := range []string{"a", "b", "a"} {
		h.setSub(sub, "FilterPolicy", `{"kind":["`+kind+`"]}`)
		for _, of := range []string{"a", "b"} {
			body := fmt.Sprintf("%d%s", i, of)
			h.say(topic, said{body, []string{"kind", "String", of}})
			if of == kind {
				want = append(want, body)
			}
		}
	}
	h.setSub(sub, "FilterPolicy", "")
	h.say(topic, said{"last", nil})
	diff(t, "messages", append(want, "last"), h.arrived(sub, q))
}
