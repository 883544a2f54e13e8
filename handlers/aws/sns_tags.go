package aws

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/topics"
)

// The tags of a topic are its labels under another name.

const noTagged = "Resource does not exist"

// tagged returns the topic that an action on tags names.
func (c *call) tagged() (string, error) {
	name, err := c.topicIn("ResourceArn")
	if isSort(err, errNotFound) {
		return "", errNoTagged.with(noTagged)
	}
	return name, err
}

func (c *call) changeTopicTags(change func(map[string]string) (map[string]string, error)) error {
	name, err := c.tagged()
	if err != nil {
		return err
	}
	err = c.updateTopic(name, func(set topics.Settings) (topics.Settings, error) {
		var err error
		set.Labels, err = change(set.Labels)
		return set, err
	})
	return tagFault(err)
}

func tagFault(err error) error {
	if errors.Is(err, topics.ErrTopicNotFound) {
		return errNoTagged.with(noTagged)
	}
	return err
}

func (c *call) tagTopic() error {
	tags := c.in.table(fieldTagMembers)
	if err := c.flaw(); err != nil {
		return err
	}
	return c.changeTopicTags(func(labels map[string]string) (map[string]string, error) { return withTopicTags(labels, tags) })
}

func (c *call) untagTopic() error {
	keys := c.in.texts(fieldTagKeyMembers)
	if err := c.flaw(); err != nil {
		return err
	}
	return c.changeTopicTags(func(labels map[string]string) (map[string]string, error) {
		left := maps.Clone(labels)
		for _, k := range keys {
			delete(left, k)
		}
		return left, nil
	})
}

// withTopicTags returns labels with tags added or replaced.
func withTopicTags(labels map[string]string, tags []pair) (map[string]string, error) {
	more := maps.Clone(labels)
	if more == nil {
		more = map[string]string{}
	}
	var seen []string
	for _, t := range tags {
		switch {
		case slices.Contains(seen, t.key):
			return nil, parameter("Duplicated keys are not allowed.")
		case t.key == "" || utf8.RuneCountInString(t.key) > maxTagKey || !isText(t.key):
			return nil, parameter("Tags Reason: Tag keys must be between 1 and %d characters in length.", maxTagKey)
		case utf8.RuneCountInString(t.value) > maxTagValue || !isText(t.value):
			return nil, parameter("Tags Reason: Tag values must be between 0 and %d characters in length.", maxTagValue)
		case len(t.key) > 3 && strings.EqualFold(t.key[:4], "aws:"):
			return nil, parameter("Tags Reason: Tag keys must not begin with aws:.")
		}
		seen = append(seen, t.key)
		more[t.key] = t.value
	}
	if len(more) > topics.MaxLabels {
		return nil, errTagLimit.with("Could not complete request: tag quota of per resource exceeded")
	}
	return more, nil
}

func (c *call) listTopicTags() error {
	name, err := c.tagged()
	if err != nil {
		return err
	}
	t, err := c.door.Topics.Get(c.ctx, c.owner, name)
	if err != nil {
		return tagFault(err)
	}
	keys := slices.Sorted(maps.Keys(t.Settings.Labels))
	c.out.members("Tags", len(keys), func(i int) {
		c.out.text("Key", keys[i])
		c.out.text("Value", t.Settings.Labels[keys[i]])
	})
	return nil
}
