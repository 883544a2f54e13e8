package aws

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func (c *call) getTopicAttributes() error {
	name, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	t, err := c.door.Topics.Get(c.ctx, c.owner, name)
	if err != nil {
		return err
	}
	list := c.topicAttributes(&t)
	if t.Subscriptions > 0 {
		pending, ended, err := c.countStates(name)
		if err != nil {
			return err
		}
		for i := range list {
			switch list[i].key {
			case "SubscriptionsConfirmed":
				list[i].value = strconv.FormatInt(max(t.Subscriptions-pending-ended, 0), 10)
			case "SubscriptionsPending":
				list[i].value = strconv.FormatInt(pending, 10)
			case "SubscriptionsDeleted":
				list[i].value = strconv.FormatInt(ended, 10)
			}
		}
	}
	c.out.entries("Attributes", list)
	return nil
}

// topicAttributes returns those that a topic has.
func (c *call) topicAttributes(t *topics.Topic) []pair {
	set := &t.Settings
	list := []pair{
		{"TopicArn", c.topicARN(t.Name)},
		{"Owner", c.ownerAccount},
		{"DisplayName", set.AWS.DisplayName},
		{"Policy", c.topicPolicy(t.Name, set)},
		{"EffectiveDeliveryPolicy", webhook.Effective(set.AWS.DeliveryPolicy, "").OfTopic()},
		{"SubscriptionsConfirmed", strconv.FormatInt(t.Subscriptions, 10)},
		{"SubscriptionsPending", "0"},
		{"SubscriptionsDeleted", "0"},
	}
	add := func(name, value string) {
		if value != "" {
			list = append(list, pair{name, value})
		}
	}
	if topics.IsFIFOName(t.Name) {
		scope := "Topic"
		if set.AWS.PerGroup {
			scope = "MessageGroup"
		}
		add("FifoTopic", "true")
		add("ContentBasedDeduplication", strconv.FormatBool(set.ContentBased))
		add("FifoThroughputScope", scope)
		if days := archiveDays(set.Retention); days > 0 {
			add("ArchivePolicy", `{"MessageRetentionPeriod":"`+strconv.Itoa(days)+`"}`)
			add("BeginningArchiveTime", archiveBegin(t).UTC().Format("2006-01-02T15:04:05.000Z"))
		}
	}
	add("DeliveryPolicy", set.AWS.DeliveryPolicy)
	add("SignatureVersion", set.AWS.SignatureVersion)
	add("KmsMasterKeyId", set.AWS.KMSKey)
	add("TracingConfig", set.AWS.Tracing)
	return list
}

// topicPolicy returns the policy of a topic, which begins with one that lets its owner do everything.
func (c *call) topicPolicy(name string, set *topics.Settings) string {
	if set.AWS.Policy != "" {
		return set.AWS.Policy
	}
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},` +
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe",` +
		`"SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":"` + c.topicARN(name) + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + c.ownerAccount + `"}}}]}`
}

func (c *call) setTopicAttributes() error {
	name, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	attribute, err := c.given("AttributeName")
	if err != nil {
		return err
	}
	value, _ := c.in.text("AttributeValue")
	return c.updateTopic(name, func(set topics.Settings) (topics.Settings, error) {
		err := c.setTopic(&set, name, pair{attribute, value}, false)
		return set, err
	})
}

// updateTopic changes the settings of a topic by a function of them. It may be called more than once.
func (c *call) updateTopic(name string, change func(topics.Settings) (topics.Settings, error)) error {
	var refused error
	_, err := c.door.Topics.Update(c.ctx, c.owner, name, topics.Condition{}, func(have topics.Settings) topics.Settings {
		next, err := change(have)
		if refused = err; err != nil {
			return have
		}
		return next
	})
	if refused != nil {
		return refused
	}
	return err
}

func (c *call) applyTopic(set topics.Settings, name string, list []pair, creating bool) (topics.Settings, error) {
	for _, p := range list {
		if err := c.setTopic(&set, name, p, creating); err != nil {
			return set, err
		}
	}
	return set, nil
}

// setTopic changes one attribute of a topic.
func (c *call) setTopic(set *topics.Settings, name string, p pair, creating bool) error {
	bad := func(reason string) error { return parameter("Attributes Reason: %s: %s", p.key, reason) }
	if !isText(p.value) {
		return bad("Invalid characters")
	}
	switch p.key {
	case "DisplayName":
		if utf8.RuneCountInString(p.value) > topics.MaxDisplayName {
			return bad("must have at most 100 characters")
		}
		set.AWS.DisplayName = p.value
	case "Policy", "DeliveryPolicy":
		if p.value != "" && !isObject(p.value) {
			return bad("failed to parse JSON")
		}
		if len(p.value) > topics.MaxPolicy {
			return bad("is too long")
		}
		if p.key == "Policy" {
			if err := checkTopicPolicy(p.value); err != nil {
				return err
			}
			set.AWS.Policy, set.AWS.PolicyHolds = p.value, p.value != ""
			break
		}
		if err := webhook.CheckTopicPolicy(p.value); err != nil {
			return bad(err.Error())
		}
		set.AWS.DeliveryPolicy = p.value
	case "KmsMasterKeyId":
		if len(p.value) > topics.MaxKMSKey {
			return bad("is too long")
		}
		set.AWS.KMSKey = p.value
	case "TracingConfig":
		if p.value != "" && p.value != "PassThrough" && p.value != "Active" {
			return bad("must be PassThrough or Active")
		}
		set.AWS.Tracing = p.value
	case "SignatureVersion":
		if p.value != "1" && p.value != "2" {
			return bad("Invalid value [" + clip(p.value) + "]. Must be 1 or 2")
		}
		set.AWS.SignatureVersion = p.value
	default:
		return setTopicFIFO(set, name, p, creating)
	}
	return nil
}

// setTopicFIFO changes an attribute that only FIFO topics have.
func setTopicFIFO(set *topics.Settings, name string, p pair, creating bool) error {
	fifo := topics.IsFIFOName(name)
	on, ok := boolean(p.value)
	switch p.key {
	case "FifoTopic":
		if !creating {
			return parameter("AttributeName")
		}
		if !ok || on != fifo {
			return errParameter.with(badTopicName)
		}
		return nil
	case "ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy":
		// kombu and others say of a standard topic that it does not do what only FIFO topics do.
		if !fifo && p.key == "ContentBasedDeduplication" && ok && !on {
			return nil
		}
		if !fifo {
			return parameter("Attributes Reason: %s can only be set for FIFO topics", p.key)
		}
	default:
		return parameter("AttributeName")
	}
	switch p.key {
	case "ContentBasedDeduplication":
		if !ok {
			return parameter("Attributes Reason: ContentBasedDeduplication: Invalid value [%s]. Must be true or false.", clip(p.value))
		}
		set.ContentBased = on
	case "FifoThroughputScope":
		if p.value != "Topic" && p.value != "MessageGroup" {
			return parameter("Attributes Reason: FifoThroughputScope: Invalid value [%s]. Please use either Topic or MessageGroup", clip(p.value))
		}
		set.AWS.PerGroup = p.value == "MessageGroup"
	case "ArchivePolicy":
		days, ok := readArchivePolicy(p.value)
		if !ok {
			return parameter("Attributes Reason: ArchivePolicy: MessageRetentionPeriod must be 1 to %d days", int(topics.MaxRetention/day))
		}
		set.Retention = time.Duration(days) * day
	}
	return nil
}

const day = 24 * time.Hour

// archiveDays is for how many days a topic keeps its messages, rounded up: REST has seconds.
func archiveDays(retention time.Duration) int { return int((retention + day - 1) / day) }

// archiveBegin returns from when on a topic has all that was published, as far as it knows.
func archiveBegin(t *topics.Topic) time.Time {
	switch {
	case t.Kept == t.Published:
		return t.Created
	case t.OldestAt.IsZero():
		return t.Updated
	}
	return t.OldestAt
}

// readArchivePolicy reads for how many days messages are to be kept; 0: they are not.
func readArchivePolicy(text string) (days int, ok bool) {
	var policy map[string]json.RawMessage
	if text == "" {
		return 0, true
	}
	if json.Unmarshal([]byte(text), &policy) != nil || policy == nil {
		return 0, false
	}
	if len(policy) == 0 {
		return 0, true
	}
	days, ok = digits(strings.Trim(string(policy["MessageRetentionPeriod"]), `"`))
	return days, ok && days >= 1 && days <= int(topics.MaxRetention/day)
}

// topicState returns the attributes of a topic that are set, and its tags.
func (c *call) topicState(name, _ string) (map[string]string, error) {
	t, err := c.door.Topics.Get(c.ctx, c.owner, name)
	if err != nil {
		return nil, err
	}
	state := withLabels(t.Settings.Labels)
	for _, p := range c.topicAttributes(&t) {
		switch p.key {
		case "TopicArn", "Owner", "EffectiveDeliveryPolicy", "SubscriptionsConfirmed", "SubscriptionsPending", "SubscriptionsDeleted", "BeginningArchiveTime":
		default:
			state[p.key] = p.value
		}
	}
	return state, nil
}
