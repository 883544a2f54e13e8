package aws

import (
	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/queues"
)

// action is one operation of AWS.
type action struct {
	name    string
	service *service
	scope   string // that a key needs; "": any key may
	run     func(*call) error
	void    bool // its answer is empty
	atRoot  bool // it is about no queue that there is, so it has no place at the path of one
	// changes is what the audit log has of it; nil: nothing.
	changes *change
	// unsigned admits a request without a signature; nil: there is none.
	unsigned func(*call) error

	need auth.Scopes
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
		{name: "GetQueueUrl", run: (*call).getQueueURL},
		{name: "ListQueues", scope: "queues:read", run: (*call).listQueues, atRoot: true},
		{name: "PurgeQueue", scope: "queues:purge", run: (*call).purgeQueue, void: true, changes: inAQueue},

		{name: "GetQueueAttributes", scope: "queues:read", run: (*call).getQueueAttributes},
		{name: "SetQueueAttributes", scope: "queues:write", run: (*call).setQueueAttributes, void: true, changes: aQueue},
		{name: "TagQueue", scope: "queues:write", run: (*call).tagQueue, void: true, changes: aQueue},
		{name: "UntagQueue", scope: "queues:write", run: (*call).untagQueue, void: true, changes: aQueue},
		{name: "ListQueueTags", scope: "queues:read", run: (*call).listQueueTags},
		{name: "AddPermission", scope: "queues:write", run: (*call).addPermission, void: true, changes: aQueue},
		{name: "RemovePermission", scope: "queues:write", run: (*call).removePermission, void: true, changes: aQueue},

		{name: "SendMessage", scope: scopeSend, run: (*call).sendMessage},
		{name: "SendMessageBatch", scope: scopeSend, run: (*call).sendMessageBatch},
		{name: "ReceiveMessage", scope: "messages:consume", run: (*call).receiveMessage},
		{name: "DeleteMessage", scope: "messages:consume", run: (*call).deleteMessage, void: true},
		{name: "DeleteMessageBatch", scope: "messages:consume", run: (*call).deleteMessageBatch},
		{name: "ChangeMessageVisibility", scope: "messages:consume", run: (*call).changeVisibility, void: true},
		{name: "ChangeMessageVisibilityBatch", scope: "messages:consume", run: (*call).changeVisibilityBatch},

		{name: "ListDeadLetterSourceQueues", scope: "queues:read", run: (*call).listDeadLetterSources},
		{name: "StartMessageMoveTask", scope: "queues:redrive", run: (*call).startMove, changes: inAQueue},
		{name: "CancelMessageMoveTask", scope: "tasks:write", run: (*call).cancelMove, changes: aTask},
		{name: "ListMessageMoveTasks", scope: "tasks:read", run: (*call).listMoves},

		{name: "CreateTopic", service: sns, scope: "topics:write", run: (*call).createTopic, changes: aTopic},
		{name: "DeleteTopic", service: sns, scope: "topics:write", run: (*call).deleteTopic, void: true, changes: aTopic},
		{name: "ListTopics", service: sns, scope: "topics:read", run: (*call).listTopics},
		{name: "GetTopicAttributes", service: sns, scope: "topics:read", run: (*call).getTopicAttributes},
		{name: "SetTopicAttributes", service: sns, scope: "topics:write", run: (*call).setTopicAttributes, void: true, changes: aTopic},
		{name: "TagResource", service: sns, scope: "topics:write", run: (*call).tagTopic, changes: aTopic},
		{name: "UntagResource", service: sns, scope: "topics:write", run: (*call).untagTopic, changes: aTopic},
		{name: "ListTagsForResource", service: sns, scope: "topics:read", run: (*call).listTopicTags},
		{name: "AddPermission", service: sns, scope: "topics:write", run: (*call).addTopicPermission, void: true, changes: aTopic},
		{name: "RemovePermission", service: sns, scope: "topics:write", run: (*call).removeTopicPermission, void: true, changes: aTopic},

		{name: "Subscribe", service: sns, scope: "topics:write", run: (*call).subscribe, changes: aSubscription},
		{name: "ConfirmSubscription", service: sns, scope: "topics:write", run: (*call).confirmSubscription, unsigned: (*call).anybody},
		{name: "Unsubscribe", service: sns, scope: "topics:write", run: (*call).unsubscribe, void: true, changes: aSubscription, unsigned: (*call).byLink},
		{name: "ListSubscriptions", service: sns, scope: "topics:read", run: (*call).listSubscriptions},
		{name: "ListSubscriptionsByTopic", service: sns, scope: "topics:read", run: (*call).listSubscriptionsByTopic},
		{name: "GetSubscriptionAttributes", service: sns, scope: "topics:read", run: (*call).getSubscriptionAttributes},
		{name: "SetSubscriptionAttributes", service: sns, scope: "topics:write", run: (*call).setSubscriptionAttributes, void: true, changes: aSubscription},

		{name: "Publish", service: sns, scope: scopePublish, run: (*call).publish},
		{name: "PublishBatch", service: sns, scope: scopePublish, run: (*call).publishBatch},

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
	a.need = auth.MustScope(a.scope)
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

// queue returns the name of the queue that the request is about: by QueueUrl or, without it, by the path. Queues of others
// and those that the key does not reach do not exist for the caller.
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
	switch {
	case !ok:
		return "", errAddress.with("The address %s is not valid for this endpoint.", clip(address))
	case account != "" && account != c.account, queues.ValidName(name) != nil, !c.who.Grants.Reaches(name):
		return "", errNoQueue.with(noQueue)
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
