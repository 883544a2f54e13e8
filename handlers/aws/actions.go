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

	need auth.Scopes
}

// scopeSend is the scope of actions by which messages come in: a tenant may be kept from these only.
const scopeSend = "messages:send"

// actions are all that there are, by their names.
var actions = map[string]*action{}

func init() {
	for _, a := range []action{
		{name: "CreateQueue", scope: "queues:write", run: (*call).createQueue, atRoot: true},
		{name: "DeleteQueue", scope: "queues:write", run: (*call).deleteQueue, void: true},
		{name: "GetQueueUrl", run: (*call).getQueueURL},
		{name: "ListQueues", scope: "queues:read", run: (*call).listQueues, atRoot: true},
		{name: "PurgeQueue", scope: "queues:purge", run: (*call).purgeQueue, void: true},

		{name: "GetQueueAttributes", scope: "queues:read", run: (*call).getQueueAttributes},
		{name: "SetQueueAttributes", scope: "queues:write", run: (*call).setQueueAttributes, void: true},
		{name: "TagQueue", scope: "queues:write", run: (*call).tagQueue, void: true},
		{name: "UntagQueue", scope: "queues:write", run: (*call).untagQueue, void: true},
		{name: "ListQueueTags", scope: "queues:read", run: (*call).listQueueTags},
		{name: "AddPermission", scope: "queues:write", run: (*call).addPermission, void: true},
		{name: "RemovePermission", scope: "queues:write", run: (*call).removePermission, void: true},

		{name: "SendMessage", scope: scopeSend, run: (*call).sendMessage},
		{name: "SendMessageBatch", scope: scopeSend, run: (*call).sendMessageBatch},
		{name: "ReceiveMessage", scope: "messages:consume", run: (*call).receiveMessage},
		{name: "DeleteMessage", scope: "messages:consume", run: (*call).deleteMessage, void: true},
		{name: "DeleteMessageBatch", scope: "messages:consume", run: (*call).deleteMessageBatch},
		{name: "ChangeMessageVisibility", scope: "messages:consume", run: (*call).changeVisibility, void: true},
		{name: "ChangeMessageVisibilityBatch", scope: "messages:consume", run: (*call).changeVisibilityBatch},

		{name: "ListDeadLetterSourceQueues", scope: "queues:read", run: (*call).listDeadLetterSources},
		{name: "StartMessageMoveTask", scope: "queues:redrive", run: (*call).startMove},
		{name: "CancelMessageMoveTask", scope: "tasks:write", run: (*call).cancelMove},
		{name: "ListMessageMoveTasks", scope: "tasks:read", run: (*call).listMoves},

		{name: "GetCallerIdentity", service: sts, run: (*call).getCallerIdentity},
	} {
		if a.service == nil {
			a.service = sqs
		}
		a.need = auth.MustScope(a.scope)
		actions[a.name] = &a
	}
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
