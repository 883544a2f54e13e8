package aws

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

const (
	maxMoveRate = 500 // messages a second
	maxMoves    = 10  // in one list
	// toSource is where messages go that go back, in the scope of a task.
	toSource = "source"
)

// moveScope is what is shown of a move elsewhere.
type moveScope struct {
	To string `json:"to"`
}

// noResource refuses an ARN that names no queue of the caller.
func noResource(parameter string) error {
	return errNoResource.with("The resource that you specified for the %s parameter doesn't exist.", parameter)
}

// queueIn returns the queue that an ARN in the request names.
func (c *call) queueIn(parameter, arn string) (string, error) {
	name, ok := c.queueOfARN(arn)
	if !ok || !c.who.Grants.Reaches(name) {
		return "", noResource(parameter)
	}
	_, err := c.door.Queues.Get(c.ctx, c.owner, name)
	if errors.Is(err, queues.ErrQueueNotFound) {
		return "", noResource(parameter)
	}
	if err == nil {
		err = c.permit(name)
	}
	return name, err
}

func (c *call) startMove() error {
	arn, err := c.required(c.in, "SourceArn")
	if err != nil {
		return err
	}
	destination, hasDestination := c.in.text("DestinationArn")
	rate, hasRate := c.in.number("MaxNumberOfMessagesPerSecond")
	if err := c.flaw(); err != nil {
		return err
	}
	if hasRate && (rate < 1 || rate > maxMoveRate) {
		return invalidValue(strconv.FormatInt(rate, 10), "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500.")
	}
	source, err := c.queueIn("SourceArn", arn)
	if err != nil {
		return err
	}
	opt := queues.RedriveOptions{MaxRate: int(rate)}
	scope := moveScope{To: toSource}
	if hasDestination && destination != "" {
		if opt.To, err = c.queueIn("DestinationArn", destination); err != nil {
			return err
		}
		scope.To = opt.To
	} else if c.who.Grants.Limited() {
		return errDenied.with("%s reaches only some queues, and messages may have come from others. Name a DestinationArn.", c.user())
	}
	if err := c.isDeadLetterQueue(source); err != nil {
		return err
	}
	n, err := c.door.Queues.PlanRedrive(c.ctx, c.owner, source, opt)
	if err != nil {
		return err
	}
	shown, err := json.Marshal(scope)
	if err != nil {
		return err
	}
	n.Scope, n.CreatedBy = string(shown), c.who.KeyID
	t, err := c.door.Tasks.Start(c.ctx, c.owner.String(), n)
	if err != nil {
		return err
	}
	c.name = source
	c.out.text("TaskHandle", c.taskHandle(&t))
	return nil
}

// isDeadLetterQueue refuses a queue that no other one has as its dead-letter queue.
func (c *call) isDeadLetterQueue(name string) error {
	for after := ""; ; {
		found, next, err := c.door.Queues.DeadLetterSources(c.ctx, c.owner, name, after, 1)
		switch {
		case err != nil:
			return err
		case len(found) > 0:
			return nil
		case next == "":
			return errInvalidParameter.with("Source queue must be configured as a Dead Letter Queue.")
		}
		after = next
	}
}

// handle is what a TaskHandle says.
type handle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func (c *call) taskHandle(t *tasks.Task) string {
	raw, _ := json.Marshal(handle{t.ID, c.arn(t.Queue)}) // two texts
	return base64.StdEncoding.EncodeToString(raw)
}

func (c *call) cancelMove() error {
	text, err := c.required(c.in, "TaskHandle")
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	var h handle
	if err != nil || json.Unmarshal(raw, &h) != nil || h.TaskID == "" || h.SourceARN == "" {
		return errInvalidParameter.with("Value for parameter TaskHandle is invalid.")
	}
	name, ok := c.queueOfARN(h.SourceARN)
	if !ok || !c.who.Grants.Reaches(name) {
		return noResource("SourceArn")
	}
	t, err := c.door.Tasks.Get(c.ctx, c.owner.String(), h.TaskID)
	if err == nil && (t.Queue != name || t.Type != queues.RedriveTask) {
		err = tasks.ErrNotFound
	}
	if err == nil {
		t, err = c.door.Tasks.Cancel(c.ctx, c.owner.String(), h.TaskID)
	}
	if errors.Is(err, tasks.ErrNotFound) || errors.Is(err, tasks.ErrFinished) {
		return errNoResource.with("Task does not exist.")
	}
	if err != nil {
		return err
	}
	c.name = name
	c.made(h.TaskID)
	c.out.number("ApproximateNumberOfMessagesMoved", t.Progress.Done)
	return nil
}

// moveStatus are the states of a task as SQS calls them.
var moveStatus = map[tasks.Status]string{
	tasks.Running: "RUNNING", tasks.Succeeded: "COMPLETED", tasks.Failed: "FAILED", tasks.Cancelling: "CANCELLING", tasks.Cancelled: "CANCELLED",
}

func (c *call) listMoves() error {
	arn, err := c.required(c.in, "SourceArn")
	if err != nil {
		return err
	}
	most, given := c.in.number("MaxResults")
	if err := c.flaw(); err != nil {
		return err
	}
	if given && (most < 1 || most > maxMoves) {
		return invalidValue(strconv.FormatInt(most, 10), "MaxResults", "Must be between 1 and 10.")
	}
	source, err := c.queueIn("SourceArn", arn)
	if err != nil {
		return err
	}
	list, _, err := c.door.Tasks.List(c.ctx, c.owner.String(), tasks.Filter{Type: queues.RedriveTask, Queue: source}, max(int(most), 1), "")
	if err != nil {
		return err
	}
	c.name = source
	c.out.list("Results", "ListMessageMoveTasksResultEntry", len(list), func(i int) { c.move(&list[i]) })
	return nil
}

func (c *call) move(t *tasks.Task) {
	if t.Status == tasks.Running {
		c.out.text("TaskHandle", c.taskHandle(t))
	}
	c.out.text("Status", moveStatus[t.Status])
	c.out.text("SourceArn", c.arn(t.Queue))
	var scope moveScope
	if json.Unmarshal([]byte(t.Scope), &scope) == nil && scope.To != toSource && scope.To != "" {
		c.out.text("DestinationArn", c.arn(scope.To))
	}
	if t.MaxRate > 0 {
		c.out.number("MaxNumberOfMessagesPerSecond", int64(t.MaxRate))
	}
	c.out.number("ApproximateNumberOfMessagesMoved", t.Progress.Done)
	c.out.number("ApproximateNumberOfMessagesToMove", t.Progress.Total)
	if t.Error != nil {
		reason := t.Error.Code
		if reason == queues.ErrQueueNotFound.Code {
			reason = errNoQueue.code
		}
		c.out.text("FailureReason", reason)
	}
	c.out.number("StartedTimestamp", t.CreatedAt.UnixMilli()) // of StartMessageMoveTask: it stays when a server takes the task up
}
