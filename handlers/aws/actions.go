package aws

import (
	"cmp"

	"github.com/sluicemq/sluice/auth"
)

// action is one operation of AWS.
type action struct {
	name    string
	service *service
	scope   string // that a key needs; "": any key may
	run     func(*call) error
	void    bool // its answer is empty
	atRoot  bool // it is about no queue that there is, so it has no place at the path of one
	shared  bool // the owner of the queue or topic can let others do it
	always  bool // the account of the queue or topic may do it whatever the policy says, so that nobody locks himself out
	// changes is what the audit log has of it; nil: nothing.
	changes *change
	// unsigned admits a request without a signature; nil: there is none.
	unsigned func(*call) error

	need       auth.Scopes
	permission string // its name in policies
}

// The scopes of actions by which messages come in: a tenant may be kept from these only.
const (
	scopeSend    = "messages:send"
	scopePublish = "topics:publish"
)

// actions are all that there are, by their names. Two services may have one of the same name.
var actions = map[string][]*action{}

// find returns the action of a name, nil when there is none. Of several it is the one of the service that the request
// names by its version or, without one, by the scope of its signature.
func find(name, version, scope string) *action {
	list := actions[name]
	for _, a := range list {
		if a.service.version == version || version == "" && a.service.scope == scope {
			return a
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func init() {
	for _, a := range []action{
		{name: "CreateQueue", scope: "queues:write", run: (*call).createQueue, atRoot: true, changes: aQueue},
		{name: "DeleteQueue", scope: "queues:write", run: (*call).deleteQueue, void: true, changes: aQueue},
		{name: "GetQueueUrl", run: (*call).getQueueURL, shared: true},
		{name: "ListQueues", scope: "queues:read", run: (*call).listQueues, atRoot: true},
		{name: "PurgeQueue", scope: "queues:purge", run: (*call).purgeQueue, void: true, changes: inAQueue, shared: true},

		{name: "GetQueueAttributes", scope: "queues:read", run: (*call).getQueueAttributes, shared: true},
		{name: "SetQueueAttributes", scope: "queues:write", run: (*call).setQueueAttributes, void: true, changes: aQueue, always: true},
		{name: "TagQueue", scope: "queues:write", run: (*call).tagQueue, void: true, changes: aQueue},
		{name: "UntagQueue", scope: "queues:write", run: (*call).untagQueue, void: true, changes: aQueue},
		{name: "ListQueueTags", scope: "queues:read", run: (*call).listQueueTags},
		{name: "AddPermission", scope: "queues:write", run: (*call).addPermission, void: true, changes: aQueue},
		{name: "RemovePermission", scope: "queues:write", run: (*call).removePermission, void: true, changes: aQueue, always: true},

		{name: "SendMessage", scope: scopeSend, run: (*call).sendMessage, shared: true},
		{name: "SendMessageBatch", scope: scopeSend, run: (*call).sendMessageBatch, shared: true},
		{name: "ReceiveMessage", scope: "messages:consume", run: (*call).receiveMessage, shared: true},
		{name: "DeleteMessage", scope: "messages:consume", run: (*call).deleteMessage, void: true, shared: true},
		{name: "DeleteMessageBatch", scope: "messages:consume", run: (*call).deleteMessageBatch, shared: true},
		{name: "ChangeMessageVisibility", scope: "messages:consume", run: (*call).changeVisibility, void: true, shared: true},
		{name: "ChangeMessageVisibilityBatch", scope: "messages:consume", run: (*call).changeVisibilityBatch, shared: true},

		{name: "ListDeadLetterSourceQueues", scope: "queues:read", run: (*call).listDeadLetterSources, shared: true},
		{name: "StartMessageMoveTask", scope: "queues:redrive", run: (*call).startMove, changes: inAQueue},
		{name: "CancelMessageMoveTask", scope: "tasks:write", run: (*call).cancelMove, changes: aTask},
		{name: "ListMessageMoveTasks", scope: "tasks:read", run: (*call).listMoves},

		{name: "CreateTopic", service: sns, scope: "topics:write", run: (*call).createTopic, changes: aTopic},
		{name: "DeleteTopic", service: sns, scope: "topics:write", run: (*call).deleteTopic, void: true, changes: aTopic},
		{name: "ListTopics", service: sns, scope: "topics:read", run: (*call).listTopics},
		{name: "GetTopicAttributes", service: sns, scope: "topics:read", run: (*call).getTopicAttributes, shared: true},
		{name: "SetTopicAttributes", service: sns, scope: "topics:write", run: (*call).setTopicAttributes, void: true, changes: aTopic, always: true},
		{name: "TagResource", service: sns, scope: "topics:write", run: (*call).tagTopic, changes: aTopic},
		{name: "UntagResource", service: sns, scope: "topics:write", run: (*call).untagTopic, changes: aTopic},
		{name: "ListTagsForResource", service: sns, scope: "topics:read", run: (*call).listTopicTags},
		{name: "AddPermission", service: sns, scope: "topics:write", run: (*call).addTopicPermission, void: true, changes: aTopic},
		{name: "RemovePermission", service: sns, scope: "topics:write", run: (*call).removeTopicPermission, void: true, changes: aTopic, always: true},

		{name: "Subscribe", service: sns, scope: "topics:write", run: (*call).subscribe, changes: aSubscription, shared: true},
		{name: "ConfirmSubscription", service: sns, scope: "topics:write", run: (*call).confirmSubscription, changes: confirmation, unsigned: (*call).byToken},
		{name: "Unsubscribe", service: sns, scope: "topics:write", run: (*call).unsubscribe, void: true, changes: aSubscription, unsigned: (*call).byLink},
		{name: "ListSubscriptions", service: sns, scope: "topics:read", run: (*call).listSubscriptions},
		{name: "ListSubscriptionsByTopic", service: sns, scope: "topics:read", run: (*call).listSubscriptionsByTopic, shared: true},
		{name: "GetSubscriptionAttributes", service: sns, scope: "topics:read", run: (*call).getSubscriptionAttributes},
		{name: "SetSubscriptionAttributes", service: sns, scope: "topics:write", run: (*call).setSubscriptionAttributes, void: true, changes: aSubscription},

		{name: "Publish", service: sns, scope: scopePublish, run: (*call).publish, shared: true},
		{name: "PublishBatch", service: sns, scope: scopePublish, run: (*call).publishBatch, shared: true},

		{name: "GetCallerIdentity", service: sts, run: (*call).getCallerIdentity},
	} {
		if a.service == nil {
			a.service = sqs
		}
		add(a)
	}
	for _, name := range notOurs {
		add(action{name: name, service: sns, run: (*call).notSupported})
	}
}

func add(a action) {
	a.need, a.permission = auth.MustScope(a.scope), permissionOf(&a)
	a.atRoot = a.atRoot || a.service == sns
	actions[a.name] = append(actions[a.name], &a)
}

// flaw returns what is malformed in what the action has read so far.
func (c *call) flaw() error {
	if c.flaws.first != nil {
		return c.flaws.first
	}
	return nil
}

// required returns a member that must be there.
func (c *call) required(in input, name string) (string, error) {
	s, ok := in.text(name)
	if err := c.flaw(); err != nil {
		return "", err
	}
	if !ok || s == "" {
		return "", errMissingParameter.with("The request must contain the parameter %s.", name)
	}
	return s, nil
}

// queue returns the name of the queue that the request is about: by QueueUrl or, without it, by the path. Queues that
// the caller may not use do not exist for him.
func (c *call) queue() (string, error) {
	address, given := c.in.text("QueueUrl")
	if err := c.flaw(); err != nil {
		return "", err
	}
	if !given || address == "" {
		if address = c.r.URL.Path; address == "/" {
			return "", errMissingParameter.with("The request must contain the parameter QueueUrl.")
		}
	}
	account, name, ok := splitQueueURL(address)
	if !ok {
		return "", errAddress.with("The address %s is not valid for this endpoint.", clip(address))
	}
	if err := c.reach(cmp.Or(account, c.account), name); err != nil {
		return "", err
	}
	c.name = name
	return name, nil
}

// getCallerIdentity says who has signed the request.
func (c *call) getCallerIdentity() error {
	c.out.text("Arn", c.user())
	c.out.text("UserId", c.who.KeyID)
	c.out.text("Account", c.account)
	return nil
}
