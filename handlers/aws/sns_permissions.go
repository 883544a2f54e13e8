package aws

import (
	"slices"

	policies "github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/topics"
)

// maxTopicStatements bounds the statements in the policy of a topic.
const maxTopicStatements = 100

// topicGrantable are the actions that the owner of a topic can let others do.
var topicGrantable = []string{
	"AddPermission", "DeleteTopic", "GetDataProtectionPolicy", "GetTopicAttributes", "ListSubscriptionsByTopic", "ListTagsForResource", "Publish",
	"PutDataProtectionPolicy", "RemovePermission", "SetTopicAttributes", "Subscribe",
}

func (c *call) addTopicPermission() error {
	name, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	label, err := c.topicLabel()
	if err != nil {
		return err
	}
	accounts, allowed := c.in.texts(fieldAccountMembers), c.in.texts(fieldActionMembers)
	if err := c.flaw(); err != nil {
		return err
	}
	switch {
	case len(accounts) == 0:
		return parameter("AWSAccountId Reason: no value for required parameter")
	case len(allowed) == 0:
		return parameter("ActionName Reason: no value for required parameter")
	}
	for _, a := range accounts {
		if !isAccount(a) {
			return parameter("Policy Error: PrincipalNotFound")
		}
	}
	for _, a := range allowed {
		if !slices.Contains(topicGrantable, a) {
			return parameter("Policy statement action out of service scope!")
		}
	}
	raw, err := newStatement(label, "SNS:", accounts, allowed, c.topicARN(name))
	if err != nil {
		return err
	}
	return c.changeTopicPolicy(name, func(p *policy) error {
		if slices.ContainsFunc(p.Statement, labelled(label)) {
			return parameter("Statement already exists")
		}
		if len(p.Statement) >= maxTopicStatements {
			return parameter("Policy Reason: at most %d statements are allowed", maxTopicStatements)
		}
		p.Statement = append(p.Statement, raw)
		return nil
	})
}

func (c *call) removeTopicPermission() error {
	name, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	label, err := c.topicLabel()
	if err != nil {
		return err
	}
	return c.changeTopicPolicy(name, func(p *policy) error {
		left := slices.DeleteFunc(slices.Clone(p.Statement), labelled(label))
		if len(left) == len(p.Statement) {
			return parameter("Statement does not exist")
		}
		p.Statement = left
		return nil
	})
}

func (c *call) topicLabel() (string, error) {
	label, err := c.given("Label")
	if err == nil && !isEntryID(label) { // they are written alike
		err = parameter("Label Reason: A label has at most 80 letters, digits, hyphens and underscores")
	}
	return label, err
}

// checkTopicPolicy refuses a policy by which a topic could not be judged, in the words of SNS. "" is none.
func checkTopicPolicy(text string) error {
	if text == "" {
		return nil
	}
	if _, err := policies.Compile(text, policies.Limits{Statements: maxTopicStatements, DistinctSids: true}); err != nil {
		return parameter("Policy Reason: %s", err)
	}
	return nil
}

// changeTopicPolicy changes the statements of a topic's policy, of which one without any is the policy of a new topic.
func (c *call) changeTopicPolicy(name string, change func(*policy) error) error {
	return c.updateTopic(name, func(set topics.Settings) (topics.Settings, error) {
		p := readPolicy(c.topicPolicy(name, &set))
		if err := change(&p); err != nil {
			return set, err
		}
		text, err := p.text(topics.MaxPolicy)
		if err != nil {
			return set, parameter("Policy Reason: it would be longer than %d bytes", topics.MaxPolicy)
		}
		if err := checkTopicPolicy(text); err != nil {
			return set, err
		}
		set.AWS.Policy, set.AWS.PolicyHolds = text, text != ""
		return set, nil
	})
}
