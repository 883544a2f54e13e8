package aws

import (
	"errors"
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
	policies "github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// Who may use a queue or a topic: keys of its own tenant as their scopes say, unless its policy forbids it, and keys of other
// tenants if their scopes and its policy allow it. What a caller may not use does not exist for him, to the letter of the answer.

// reach makes a queue what the action is about, if the caller may do with it what he asks for. Whether there is such a queue
// of his own the action finds out itself.
func (c *call) reach(account, name string) error {
	if queues.ValidName(name) != nil {
		return errNoQueue.with(noQueue)
	}
	if account == c.account {
		if !c.who.Grants.Reaches(name) {
			return errNoQueue.with(noQueue)
		}
		return c.permit(name)
	}
	return c.reachAbroad(account, errNoQueue.with(noQueue), func() (bool, bool, error) {
		p, known, err := c.door.Queues.Policy(c.ctx, c.owner, name)
		return p.Allows(c.asks(c.arn(name))), known, err
	}, func() { _, _ = c.door.Queues.IsNamed(c.ctx, c.owner, name) })
}

// reachTopic is reach for a topic.
func (c *call) reachTopic(account, name string) error {
	if account == c.account {
		return c.permitTopic(name)
	}
	return c.reachAbroad(account, errNotFound.with(noTopic), func() (bool, bool, error) {
		p, known, err := c.door.Topics.Policy(c.ctx, c.owner, name)
		return p.Allows(c.asks(c.topicARN(name))), known, err
	}, func() { _, _ = c.door.Topics.IsNamed(c.ctx, c.owner, name) })
}

// reachAbroad is reach for what belongs to another account. allowed asks its policy, and says whether that needed no look;
// look costs what it costs to find out that there is no such thing, so that time does not tell what the answer does not.
func (c *call) reachAbroad(account string, missing error, allowed func() (yes, known bool, err error), look func()) error {
	if !c.act.shared || c.who.Grants.Limited() { // what a key is limited to are queues of its own tenant
		return missing
	}
	owner, err := c.door.Tenants.ByAccount(c.ctx, account)
	if errs.KindOf(err) == errs.NotFound {
		return missing
	}
	if err != nil {
		return err
	}
	c.owner, c.ownerAccount = owner, account
	yes, known, err := allowed()
	if err == nil && yes {
		return c.admitAbroad(missing)
	}
	c.owner, c.ownerAccount = c.who.Tenant, c.account
	if err == nil && known {
		look()
	}
	if err == nil || isMissing(err) {
		return missing
	}
	return err
}

// admitAbroad refuses to do anything for an owner who may not act.
func (c *call) admitAbroad(missing error) error {
	terms, err := c.door.Tenants.Terms(c.ctx, c.owner)
	if errs.KindOf(err) == errs.NotFound {
		return missing
	}
	if err != nil {
		return err
	}
	if c.act.brings() {
		err = terms.MaySend()
	} else {
		err = terms.MayAct()
	}
	if err != nil {
		return errDenied.with("%s is not authorized to perform: %s because the account %s may not do so itself", c.user(), c.act.permission, c.ownerAccount)
	}
	c.ownerTerms = terms
	return nil
}

// permit refuses what the policy of a queue forbids, to its own account too.
func (c *call) permit(name string) error {
	if c.act.always {
		return nil
	}
	p, _, err := c.door.Queues.Policy(c.ctx, c.owner, name)
	return c.judge(p, err, c.arn, name)
}

// permitTopic is permit for a topic.
func (c *call) permitTopic(name string) error {
	if c.act.always {
		return nil
	}
	p, _, err := c.door.Topics.Policy(c.ctx, c.owner, name)
	return c.judge(p, err, c.topicARN, name)
}

func (c *call) judge(p *policies.Policy, err error, arn func(string) string, name string) error {
	switch {
	case isMissing(err):
		return nil // the action says so, and may be content with it
	case err != nil:
		return err
	case c.abroad() && !p.Allows(c.asks(arn(name))), p.HasDenials() && p.Denies(c.asks(arn(name))):
		return errDenied.with("%s is not authorized to perform: %s on resource: %s with an explicit deny in a resource-based policy", c.user(), c.act.permission, arn(name))
	}
	return nil
}

func isMissing(err error) bool {
	return errs.KindOf(err) == errs.NotFound || errors.Is(err, queues.ErrDataLost) || errors.Is(err, topics.ErrDataLost)
}

// abroad reports whether the action is about what belongs to another account.
func (c *call) abroad() bool { return c.owner != c.who.Tenant }

// asks is the request as policies see it.
func (c *call) asks(resource string) *policies.Request {
	r := &policies.Request{Action: c.act.permission, Resource: resource, Own: !c.abroad(), Account: c.account, User: c.user(),
		Address: c.door.ClientAddress(c.r), Secure: c.secure(), Region: c.door.Region, Now: c.door.Clock.Now()}
	if c.act.name == "Subscribe" {
		r.Protocol, _ = c.in.text("Protocol")
		r.Endpoint, _ = c.in.text("Endpoint")
	}
	return r
}

// secure reports whether the client speaks TLS, to this server or to a proxy of ours.
func (c *call) secure() bool {
	return c.r.TLS != nil || c.r.Header.Get("X-Forwarded-Proto") == "https" // the server has removed what no proxy of ours says
}

// locate finds out to whom belongs what a change is about that others may make too: the audit log of the owner has it.
func (c *call) locate() error {
	var err error
	switch {
	case !c.act.shared:
	case c.service == sns:
		_, err = c.topicIn("TopicArn")
	default:
		_, err = c.queue()
	}
	if isSort(err, errDenied) {
		return nil // the action says so, which the log has
	}
	return err
}

// brings reports whether messages come in by an action.
func (a *action) brings() bool { return a.scope == scopeSend || a.scope == scopePublish }

// permissionOf is what policies call an action: a batch is as many of one.
func permissionOf(a *action) string {
	return a.service.scope + ":" + strings.TrimSuffix(a.name, "Batch")
}
