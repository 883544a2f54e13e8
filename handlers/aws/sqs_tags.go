package aws

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicemq/sluice/queues"
)

// Tags are the labels of a queue under another name.
const (
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

func (c *call) tagQueue() error {
	return c.changeTags(func() ([]pair, error) {
		tags := c.in.table(fieldTags)
		if len(tags) == 0 {
			return nil, errMissingParameter.with("The request must contain the parameter Tags.")
		}
		return tags, nil
	}, withTags)
}

func (c *call) untagQueue() error {
	return c.changeTags(func() ([]pair, error) {
		var keys []pair
		for _, k := range c.in.texts(fieldTagKeys) {
			keys = append(keys, pair{key: k})
		}
		if len(keys) == 0 {
			return nil, errMissingParameter.with("The request must contain the parameter TagKeys.")
		}
		return keys, nil
	}, func(labels map[string]string, keys []pair) (map[string]string, error) {
		left := maps.Clone(labels)
		for _, k := range keys {
			delete(left, k.key)
		}
		return left, nil
	})
}

// changeTags reads what is to be changed and changes the labels by it.
func (c *call) changeTags(read func() ([]pair, error), change func(map[string]string, []pair) (map[string]string, error)) error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	list, err := read()
	if flaw := c.flaw(); flaw != nil {
		return flaw
	}
	if err != nil {
		return err
	}
	_, err = c.door.Queues.Update(c.ctx, c.owner, name, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
		var err error
		set.Labels, err = change(set.Labels, list)
		return set, err
	})
	return err
}

// withTags returns labels with tags added or replaced.
func withTags(labels map[string]string, tags []pair) (map[string]string, error) {
	if len(tags) == 0 {
		return labels, nil
	}
	more := maps.Clone(labels)
	if more == nil {
		more = map[string]string{}
	}
	for _, t := range tags {
		switch {
		case t.key == "" || utf8.RuneCountInString(t.key) > maxTagKey || !isText(t.key):
			return nil, errInvalidParameter.with("Tag keys must be between 1 and %d characters in length.", maxTagKey)
		case utf8.RuneCountInString(t.value) > maxTagValue || !isText(t.value):
			return nil, errInvalidParameter.with("Tag values must be between 0 and %d characters in length.", maxTagValue)
		case len(t.key) > 3 && strings.EqualFold(t.key[:4], "aws:"):
			return nil, errInvalidParameter.with("Tag keys must not begin with aws:.")
		}
		more[t.key] = t.value
	}
	if len(more) > queues.MaxLabels {
		return nil, errInvalidParameter.with("Too many tags added for queue. A queue has at most %d.", queues.MaxLabels)
	}
	return more, nil
}

func (c *call) listQueueTags() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	q, err := c.door.Queues.Get(c.ctx, c.owner, name)
	if err != nil {
		return err
	}
	tags := make([]pair, 0, len(q.Settings.Labels))
	for _, k := range slices.Sorted(maps.Keys(q.Settings.Labels)) {
		tags = append(tags, pair{k, q.Settings.Labels[k]})
	}
	c.out.table(fieldTags, tags)
	return nil
}
