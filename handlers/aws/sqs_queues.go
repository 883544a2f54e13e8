package aws

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// maxPage is how many queues a list shows at most.
const maxPage = 1000

const badName = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"

func (c *call) createQueue() error {
	name, err := c.required(c.in, "QueueName")
	if err != nil {
		return err
	}
	attributes, tags := c.in.table(fieldAttributes), c.in.table(fieldCreateTags)
	if err := c.flaw(); err != nil {
		return err
	}
	named, err := c.checkNew(name, attributes)
	if err != nil {
		return err
	}
	set := queues.DefaultSettings().For(name)
	if set.Labels, err = withTags(nil, tags); err != nil {
		return err
	}
	if set, err = c.apply(set, name, attributes); err == nil && queues.IsFIFOName(name) && !named {
		err = errInvalidParameter.with(badName)
	}
	if err != nil {
		return c.partOf(name, attributes, err)
	}
	if err := c.waits(queues.AfterDelete, name, errDeletedRecently.with("You must wait %d seconds after deleting a queue before you can create another with the same name.", waitSeconds)); err != nil {
		return err
	}
	_, _, err = c.door.Queues.Put(c.ctx, c.owner, name, set, queues.Condition{Missing: true})
	if errors.Is(err, queues.ErrPrecondition) {
		err = c.sameQueue(name, attributes)
	}
	if err != nil {
		return err
	}
	c.answerQueue(name)
	return nil
}

func (c *call) answerQueue(name string) {
	c.name = name
	c.out.text("QueueUrl", c.queueURL(name))
}

// checkNew refuses names that no queue can have, and those that say another type than the attributes. It reports whether
// these name a type.
func (c *call) checkNew(name string, attributes []pair) (named bool, err error) {
	wantsFIFO := queues.IsFIFOName(name)
	for _, p := range attributes {
		if named = named || p.key == "FifoQueue"; p.key == "FifoQueue" {
			wantsFIFO = strings.EqualFold(p.value, "true")
			if !wantsFIFO && !queues.IsFIFOName(name) {
				return named, unknownAttribute(p.key)
			}
		}
	}
	if queues.ValidName(name) != nil || queues.IsFIFOName(name) != wantsFIFO {
		return named, errInvalidParameter.with(badName)
	}
	if !c.who.Grants.Reaches(name) {
		return named, errDenied.with("%s is not authorized to perform: sqs:CreateQueue because its key does not reach a queue of this name", c.user())
	}
	return named, nil
}

// partOf answers with a queue that is there, of which a client names too little to make it: no type, or a limit of throughput
// without the scope that it needs. Where there is none, the client is told what is missing.
func (c *call) partOf(name string, attributes []pair, missing error) error {
	err := c.sameQueue(name, attributes)
	switch {
	case err == nil:
		c.answerQueue(name)
	case isSort(err, errNoQueue):
		return missing
	}
	return err
}

// sameQueue compares a queue with what a client wants to create. What it does not name may be anything.
func (c *call) sameQueue(name string, attributes []pair) error {
	q, err := c.door.Queues.Get(c.ctx, c.owner, name)
	if err != nil {
		return err
	}
	for _, p := range attributes {
		want := q.Settings
		if err := c.set(&want, name, p); err != nil {
			return err
		}
		if p.key == "Policy" && sameJSON(p.value, q.Settings.AWS.Policy) {
			continue
		}
		if !reflect.DeepEqual(want, q.Settings) {
			return errQueueExists.with("A queue already exists with the same name and a different value for attribute %s", p.key)
		}
	}
	return nil
}

func (c *call) deleteQueue() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	if err := c.door.Queues.Delete(c.ctx, c.owner, name, queues.Condition{}); err != nil {
		return err
	}
	return c.beginWait(queues.AfterDelete, name)
}

const waitSeconds = int(queues.WaitTime / time.Second)

// waits refuses what SQS does not do yet, where clients are to wait as they do there.
func (c *call) waits(w queues.Wait, name string, refusal error) error {
	if !c.door.Waits {
		return nil
	}
	waiting, err := c.door.Queues.IsWaiting(c.ctx, c.owner, w, name)
	if err == nil && waiting {
		err = refusal
	}
	return err
}

// beginWait has clients wait from now on.
func (c *call) beginWait(w queues.Wait, name string) error {
	if !c.door.Waits {
		return nil
	}
	return c.door.Queues.BeginWait(c.ctx, c.owner, w, name)
}

func (c *call) getQueueURL() error {
	name, err := c.required(c.in, "QueueName")
	if err != nil {
		return err
	}
	owner, given := c.in.text("QueueOwnerAWSAccountId")
	if err := c.flaw(); err != nil {
		return err
	}
	if !given || owner == "" {
		owner = c.account
	}
	if err := c.reach(owner, name); err != nil {
		return err
	}
	if _, err := c.door.Queues.Get(c.ctx, c.owner, name); err != nil {
		return err
	}
	c.name = name
	c.out.text("QueueUrl", c.queueURL(name))
	return nil
}

// listPage is which part of a list a client asks for.
type listPage struct {
	after string
	most  int
	paged bool // it said how many, so it is told how to go on
}

// page reads which part of a list is wanted. subject ties a token to the list that it came from.
func (c *call) page(subject string) (listPage, error) {
	most, given := c.in.number("MaxResults")
	token, _ := c.in.text("NextToken")
	p := listPage{most: maxPage, paged: given}
	if err := c.flaw(); err != nil {
		return p, err
	}
	if given {
		if most < 1 || most > maxPage {
			return p, errInvalidParameter.with("Value for parameter MaxResults is invalid. Reason: Must be between 1 and %d.", maxPage)
		}
		p.most = int(most)
	}
	if token == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	about, after, ok := strings.Cut(string(raw), "\x00")
	if err != nil || !ok || about != subject || queues.ValidName(after) != nil {
		return p, errInvalidParameter.with("Invalid or expired next token.")
	}
	p.after = after
	return p, nil
}

// goOn tells how the list goes on behind a name.
func (c *call) goOn(p listPage, subject, next string) {
	if p.paged && next != "" {
		c.out.text("NextToken", base64.RawURLEncoding.EncodeToString([]byte(subject+"\x00"+next)))
	}
}

func (c *call) listQueues() error {
	prefix, _ := c.in.text("QueueNamePrefix")
	subject := "queues " + prefix
	p, err := c.page(subject)
	if err != nil {
		return err
	}
	var addresses []string
	next := p.after
	for last := false; !last && len(addresses) < p.most; {
		var names []string
		if names, next, err = c.door.Queues.Names(c.ctx, c.owner, prefix, next, p.most); err != nil {
			return err
		}
		last = next == ""
		for i, name := range names {
			if !c.who.Grants.Reaches(name) {
				continue
			}
			if addresses = append(addresses, c.queueURL(name)); len(addresses) == p.most {
				if i < len(names)-1 {
					next = name
				}
				break
			}
		}
	}
	c.out.texts("QueueUrls", "QueueUrl", addresses)
	c.goOn(p, subject, next)
	return nil
}

func (c *call) listDeadLetterSources() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	subject := "sources " + name
	p, err := c.page(subject)
	if err != nil {
		return err
	}
	if _, err := c.door.Queues.Known(c.ctx, c.owner, name); err != nil {
		return err
	}
	found, next, err := c.door.Queues.DeadLetterSources(c.ctx, c.owner, name, p.after, p.most)
	if err != nil {
		return err
	}
	var addresses []string
	for _, source := range found {
		if c.who.Grants.Reaches(source) {
			addresses = append(addresses, c.queueURL(source))
		}
	}
	c.out.texts("queueUrls", "QueueUrl", addresses)
	c.goOn(p, subject, next)
	return nil
}

func (c *call) purgeQueue() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	if err := c.waits(queues.AfterPurge, name, errPurging.with("Only one PurgeQueue operation on %s is allowed every %d seconds.", name, waitSeconds)); err != nil {
		return err
	}
	if _, err := c.door.Queues.Purge(c.ctx, c.owner, name); err != nil {
		return err
	}
	return c.beginWait(queues.AfterPurge, name)
}
