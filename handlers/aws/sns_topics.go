package aws

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
)

const (
	noTopic      = "Topic does not exist"
	badTopicName = "Invalid parameter: Topic Name"

	// snsPage is how many topics or subscriptions a list of SNS shows.
	snsPage = 100
)

// parameter is the error of SNS for what is wrong with a request.
func parameter(format string, args ...any) *Fault {
	return errParameter.with("Invalid parameter: "+format, args...)
}

// given returns a parameter of SNS that must be there.
func (c *call) given(name string) (string, error) {
	s, _ := c.in.text(name)
	if s == "" {
		return "", parameter("%s Reason: no value for required parameter", name)
	}
	return s, nil
}

// parts takes an ARN of SNS apart. Behind the first six there may be a seventh, of a subscription.
func (c *call) parts(param, arn string) ([]string, error) {
	if len(arn) > maxAddress {
		return nil, parameter("%s", param)
	}
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) < 6:
		return nil, parameter("%s Reason: An ARN must have at least 6 elements, not %d", param, len(parts))
	case parts[0] != "arn" || parts[1] != "aws" || parts[2] != "sns" || parts[3] != c.door.Region || !isAccount(parts[4]):
		return nil, parameter("%s", param)
	}
	return parts, nil
}

// topicIn returns the name of the topic that a parameter names by its ARN. Topics that the caller may not use do not exist
// for him.
func (c *call) topicIn(param string) (string, error) {
	account, name, err := c.topicOf(param)
	if err == nil {
		err = c.reachTopic(account, name)
	}
	if err != nil {
		return "", err
	}
	return name, nil
}

// topicOf returns the account and the name in the ARN of a topic.
func (c *call) topicOf(param string) (account, name string, err error) {
	arn, err := c.given(param)
	if err != nil {
		return "", "", err
	}
	parts, err := c.parts(param, arn)
	if err == nil && (len(parts) != 6 || topics.ValidName(parts[5]) != nil) {
		err = parameter("%s", param)
	}
	if err != nil {
		return "", "", err
	}
	return parts[4], parts[5], nil
}

// topicARN returns the ARN of a topic of the account that the action is about.
func (c *call) topicARN(name string) string { return topics.ARN(c.door.Region, c.ownerAccount, name) }

// namedTopic returns the name of the topic that a request is about, without a look whether there is one.
func (c *call) namedTopic() (name, topic string) {
	for _, param := range []string{"TopicArn", "ResourceArn"} {
		if _, ok := c.in.text(param); ok {
			if account, name, err := c.topicOf(param); err == nil && account == c.ownerAccount {
				return name, ""
			}
			return "", ""
		}
	}
	name, _ = c.in.text("Name")
	return name, ""
}

func (c *call) createTopic() error {
	name, _ := c.in.text("Name")
	attributes, tags := c.in.table(fieldEntries), c.in.table(fieldTagMembers)
	if err := c.flaw(); err != nil {
		return err
	}
	wantsFIFO := false
	for _, p := range attributes {
		if p.key == "FifoTopic" {
			wantsFIFO, _ = boolean(p.value)
		}
	}
	// REST allows dots between segments; SNS lists such topics and publishes to them, but makes none.
	if topics.ValidName(name) != nil || strings.Contains(strings.TrimSuffix(name, ".fifo"), ".") || topics.IsFIFOName(name) != wantsFIFO {
		return errParameter.with(badTopicName)
	}
	set, err := c.applyTopic(topics.Settings{}, name, attributes, true)
	if err != nil {
		return err
	}
	if set.Labels, err = withTopicTags(nil, tags); err != nil {
		return err
	}
	_, _, err = c.door.Topics.Put(c.ctx, c.owner, name, set, topics.Condition{Missing: true})
	if errors.Is(err, topics.ErrPrecondition) {
		err = c.sameTopic(name, attributes, tags)
	}
	if err != nil {
		return err
	}
	c.out.text("TopicArn", c.topicARN(name))
	return nil
}

// sameTopic compares a topic with what a client wants to create. What it does not name may be anything.
func (c *call) sameTopic(name string, attributes, tags []pair) error {
	t, err := c.door.Topics.Get(c.ctx, c.owner, name)
	if err != nil {
		return err
	}
	for _, p := range attributes {
		want := t.Settings
		if err := c.setTopic(&want, name, p, true); err != nil {
			return err
		}
		sameAWS := want.AWS == t.Settings.AWS || p.key == "Policy" && sameJSON(want.AWS.Policy, t.Settings.AWS.Policy) ||
			p.key == "DeliveryPolicy" && sameJSON(want.AWS.DeliveryPolicy, t.Settings.AWS.DeliveryPolicy)
		if !sameAWS || want.Retention != t.Settings.Retention || want.ContentBased != t.Settings.ContentBased {
			return parameter("Attributes Reason: Topic already exists with different attributes")
		}
	}
	for _, tag := range tags {
		if have, ok := t.Settings.Labels[tag.key]; !ok || have != tag.value {
			return parameter("Tags Reason: Topic already exists with different tags")
		}
	}
	return nil
}

// deleteTopic deletes a topic, and is content when there is none.
func (c *call) deleteTopic() error {
	name, err := c.topicIn("TopicArn")
	if err == nil {
		err = c.door.Topics.Delete(c.ctx, c.owner, name, topics.Condition{})
	}
	if isSort(err, errNotFound) || errs.KindOf(err) == errs.NotFound {
		return c.door.Doubt(c.ctx)
	}
	return err
}

// goesOn reads where a list goes on, "" for its beginning. subject ties a token to the list that it came from.
func (c *call) goesOn(subject string) (after string, err error) {
	token, _ := c.in.text("NextToken")
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	about, after, ok := strings.Cut(string(raw), "\x00")
	if err != nil || !ok || about != subject || len(after) > maxAddress {
		return "", parameter("NextToken")
	}
	return after, nil
}

// next says where a list goes on; "" is its end.
func (c *call) next(subject, after string) {
	if after != "" {
		c.out.text("NextToken", base64.RawURLEncoding.EncodeToString([]byte(subject+"\x00"+after)))
	}
}

func (c *call) listTopics() error {
	after, err := c.goesOn("topics")
	if err != nil {
		return err
	}
	names, next, err := c.door.Topics.Names(c.ctx, c.owner, "", after, snsPage)
	if err != nil {
		return err
	}
	c.out.members("Topics", len(names), func(i int) { c.out.text("TopicArn", c.topicARN(names[i])) })
	c.next("topics", next)
	return nil
}

// notOurs are the actions of SNS that have nothing to do with topics and queues.
var notOurs = []string{
	"CheckIfPhoneNumberIsOptedOut", "CreatePlatformApplication", "CreatePlatformEndpoint", "CreateSMSSandboxPhoneNumber", "DeleteEndpoint",
	"DeletePlatformApplication", "DeleteSMSSandboxPhoneNumber", "GetDataProtectionPolicy", "GetEndpointAttributes", "GetPlatformApplicationAttributes",
	"GetSMSAttributes", "GetSMSSandboxAccountStatus", "ListEndpointsByPlatformApplication", "ListOriginationNumbers", "ListPhoneNumbersOptedOut",
	"ListPlatformApplications", "ListSMSSandboxPhoneNumbers", "OptInPhoneNumber", "PutDataProtectionPolicy", "SetEndpointAttributes",
	"SetPlatformApplicationAttributes", "SetSMSAttributes", "VerifySMSSandboxPhoneNumber",
}

func (c *call) notSupported() error {
	return parameter("Action Reason: %s is not supported here: there are topics, and subscriptions of queues", c.act.name)
}
