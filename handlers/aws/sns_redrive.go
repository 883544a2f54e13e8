package aws

import (
	"encoding/json"
	"errors"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// setDeadLetters reads the RedrivePolicy of a subscription. Its errors are what SNS writes behind the name of the parameter.
func (c *call) setDeadLetters(topic string, set *topics.SubscriptionSettings, text string) error {
	if text == "" {
		set.DeadLetterQueue = ""
		return nil
	}
	var policy map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &policy) != nil || policy == nil {
		return errors.New("RedrivePolicy: failed to parse JSON")
	}
	var arn string
	_ = json.Unmarshal(policy["deadLetterTargetArn"], &arn)
	queue, ok := c.queueOfARN(arn)
	switch {
	case !ok:
		return errors.New("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	case !queues.IsFIFOName(queue) && topics.IsFIFOName(topic) && (set.Queue == "" || queues.IsFIFOName(set.Queue)):
		return errors.New("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.") //nolint:revive,staticcheck // the words of SNS
	}
	set.DeadLetterQueue = queue
	return nil
}
