package handlers

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// Task is work that was asked for.
type Task struct {
	ID   string `json:"id" example:"task_0kq1zv3m5c8g02r4b7fg"`
	Type string `json:"type" enums:"purge,redrive,replay,replay_failed,replay_missing,topic_subscription,delete_tenant"`
	// A running one may also wait for a server that works on it; a cancelling one ends with the step that is under way.
	Status   string       `json:"status" enums:"running,succeeded,failed,cancelling,cancelled"`
	Scope    TaskScope    `json:"scope"`
	Progress TaskProgress `json:"progress"`
	// Id of the key, the member, the portal link or the identity that asked for it.
	CreatedBy string  `json:"created_by" example:"key_0kq1zv3m5c8g02r4b7fg"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// null until a server has begun.
	StartedAt *Instant `json:"started_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// null until it has ended.
	FinishedAt *Instant `json:"finished_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Why it failed; null when it did not.
	Error *TaskFailure `json:"error" extensions:"x-nullable"`
	// Where the errors of single messages are listed.
	ErrorsURL string `json:"errors_url" example:"/v1/tasks/task_0kq1zv3m5c8g02r4b7fg/errors"`
}

// TaskScope is what a task works on.
type TaskScope struct {
	// Name of the queue; empty for a replay and for the deletion of a tenant.
	Queue string `json:"queue" example:"orders"`
	// Of a purge: only messages that were sent at least so many seconds before it was asked for.
	OlderThan int64 `json:"older_than,omitempty" example:"3600"`
	// Only messages that match.
	Filter string `json:"filter,omitempty" example:"reason:*timeout*"`
	// Of a redrive: where the messages go, a queue or source.
	To string `json:"to,omitempty" example:"source"`
	// Of a redrive of messages that were named by their ids: how many.
	MessageIDs int `json:"message_ids,omitempty" example:"3"`
	// Of a redrive: how many it moves at most, where that was said.
	Limit int64 `json:"limit,omitempty" example:"100"`
	// Of a redrive: how many it moves a second at most, where that was said.
	MaxRate int `json:"max_rate,omitempty" example:"50"`
	// Of a replay: the topic, and its subscription.
	Topic        string `json:"topic,omitempty" example:"orders.created"`
	Subscription string `json:"subscription,omitempty" example:"billing"`
	// Of the task by which topics follow a topic subscription: its name.
	TopicSubscription string `json:"topic_subscription,omitempty" example:"audit"`
	// Of the deletion of a tenant: its name.
	Tenant string `json:"tenant,omitempty" example:"acme"`
}

// TaskProgress counts the messages of a task; of the deletion of a tenant its queues and topics, of a topic subscription the topics.
type TaskProgress struct {
	// How many there are to look at. An estimate until the task has succeeded.
	Total int64 `json:"total" example:"2014"`
	// How many were looked at. Those that need nothing are neither done nor failed.
	Looked int64 `json:"looked" example:"815"`
	Done   int64 `json:"done" example:"812"`
	Failed int64 `json:"failed" example:"3"`
	// Messages done or failed per second.
	Rate float64 `json:"rate" example:"49.8"`
	// Seconds that the rest will take if it goes on like that; null when that is not known, and at the end.
	ETA *int64 `json:"eta_seconds" example:"24" extensions:"x-nullable"`
}

// TaskFailure is why a task failed.
type TaskFailure struct {
	// Stable name of the kind of problem, as in a problem.
	Code string `json:"code" example:"queue_not_found"`
	// What happened, for people.
	Detail string `json:"detail" example:"There is no such queue."`
}

// TaskError is what went wrong with one message of a task.
type TaskError struct {
	// Id of the message.
	Item string `json:"item" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Stable name of the kind of problem, as in a problem.
	Code string `json:"code" example:"message_too_large"`
	// What happened, for people.
	Detail string  `json:"detail" example:"The message is too large."`
	At     Instant `json:"at" swaggertype:"string" format:"date-time"`
}

// task shows a task.
func (a *API) task(t tasks.Task) (Task, error) {
	p := t.Progress
	out := Task{ID: t.ID, Type: t.Type, Status: string(t.Status), CreatedBy: t.CreatedBy,
		Progress:  TaskProgress{Total: p.Total, Looked: p.Looked, Done: p.Done, Failed: p.Failed, Rate: math.Round(p.Rate()*10) / 10},
		CreatedAt: Instant{t.CreatedAt}, StartedAt: instant(t.StartedAt), FinishedAt: instant(t.FinishedAt),
		ErrorsURL: a.link("/v1/tasks/" + t.ID + "/errors")}
	if left, ok := p.Left(); ok && t.Status == tasks.Running {
		seconds := int64(math.Ceil(left.Seconds()))
		out.Progress.ETA = &seconds
	}
	if t.Error != nil {
		out.Error = &TaskFailure{Code: t.Error.Code, Detail: t.Error.Message}
	}
	if t.Scope != "" {
		if err := json.Unmarshal([]byte(t.Scope), &out.Scope); err != nil {
			return out, engine.ErrBroken.Because(err)
		}
	}
	out.Scope.Queue = t.Queue
	return out, nil
}

// accept answers with a task that was begun.
func (a *API) accept(c echo.Context, t tasks.Task) error {
	shown, err := a.task(t)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", a.link("/v1/tasks/"+t.ID))
	return a.json(c, http.StatusAccepted, shown)
}

// purgeAll deletes all messages of a queue at once and keeps a record of it. The messages are gone by then, so it is no
// error when the record cannot be kept.
func (a *API) purgeAll(c echo.Context) (tasks.Task, error) {
	ctx, t, queue := scope(c)
	ctx = context.WithoutCancel(ctx)
	begin := a.Clock.Now()
	count, err := a.Queues.Purge(ctx, t, queue)
	if err != nil {
		return tasks.Task{}, err
	}
	end := a.Clock.Now()
	task := tasks.Task{Type: queues.PurgeTask, Status: tasks.Succeeded, Queue: queue, CreatedBy: RequestOf(c).Principal.ID(),
		Progress:  tasks.Progress{Total: count, Looked: count, Done: count, Worked: end.Sub(begin)},
		CreatedAt: begin, StartedAt: begin, FinishedAt: end}
	if task.ID, err = a.Tasks.Add(ctx, t.String(), task); err != nil {
		a.Logger.Warn("a purge is done and was not recorded", "task", task.ID, "tenant", t.String(), "error", err.Error())
	}
	return task, nil
}

// purgeSome begins the task that deletes some of the messages of a queue.
func (a *API) purgeSome(c echo.Context, opt queues.PurgeOptions) (tasks.Task, error) {
	ctx, t, queue := scope(c)
	n, err := a.Queues.PlanPurge(ctx, t, queue, opt)
	if err != nil {
		return tasks.Task{}, err
	}
	return a.begin(c, n, TaskScope{OlderThan: int64(wholeSeconds(opt.OlderThan)), Filter: opt.Filter.String()})
}

// begin starts a task with what people see of its scope.
func (a *API) begin(c echo.Context, n tasks.NewTask, s TaskScope) (tasks.Task, error) {
	shown, err := json.Marshal(s)
	if err != nil {
		return tasks.Task{}, err
	}
	n.Scope, n.CreatedBy = string(shown), RequestOf(c).Principal.ID()
	return a.Tasks.Start(c.Request().Context(), taskOwner(c), n)
}

// taskOwner says whose tasks a request is about: the tenant's, or without one those of the installation.
func taskOwner(c echo.Context) string {
	if t := RequestOf(c).Tenant; !t.IsZero() {
		return t.String()
	}
	return tasks.Installation
}

// The words of the filters of listTasks.
var (
	taskTypes    = []string{queues.PurgeTask, queues.RedriveTask, topics.ReplayTask, topics.FailedTask, topics.MissingTask, topics.SpreadTask, tenants.DeleteTask}
	taskStatuses = []string{string(tasks.Running), string(tasks.Succeeded), string(tasks.Failed), string(tasks.Cancelling), string(tasks.Cancelled)}
)

// taskFilter reads which tasks are wanted.
func taskFilter(q *query) (tasks.Filter, error) {
	f := tasks.Filter{Queue: q.text("queue")}
	var err error
	if q.has("type") {
		if f.Type, err = q.choice("type", taskTypes...); err != nil {
			return f, err
		}
	}
	if q.has("status") {
		status, err := q.choice("status", taskStatuses...)
		f.Status = tasks.Status(status)
		return f, err
	}
	return f, nil
}

// listTasks shows a part of a tenant's tasks.
//
//	@Summary		List tasks
//	@Description	Newest first. The newest 1,000 are kept; those that have ended are forgotten first. An operator who names no tenant sees the tasks of the installation.
//	@ID				listTasks
//	@Tags			tasks
//	@Param			type	query		string		false	"Only tasks of this type"		Enums(purge,redrive,replay,replay_failed,replay_missing,topic_subscription,delete_tenant)
//	@Param			status	query		string		false	"Only tasks in this state"		Enums(running,succeeded,failed,cancelling,cancelled)
//	@Param			queue	query		string		false	"Only tasks on this queue"		maxlength(80)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Task]	"A part of the list"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/tasks [get]
func (a *API) listTasks(c echo.Context) error {
	q, err := readQuery(c, "type", "status", "queue", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	f, err := taskFilter(&q)
	if err != nil {
		return err
	}
	if g := grants(c); g.Limited() {
		f.Shows = g.Reaches
	}
	filter := f.Type + " " + string(f.Status) + " " + f.Queue
	after, err := decodeCursor("tasks", filter, &q)
	if err != nil {
		return err
	}
	list, next, err := a.Tasks.List(c.Request().Context(), taskOwner(c), f, limit, after)
	if err != nil {
		return err
	}
	data := make([]Task, len(list))
	for i, one := range list {
		if data[i], err = a.task(one); err != nil {
			return err
		}
	}
	return answerPage(a, c, data, encodeCursor("tasks", filter, next))
}

// getTask shows a task.
//
//	@Summary		Get a task
//	@ID				getTask
//	@Tags			tasks
//	@Param			id	path		string	true	"Id of the task"
//	@Success		200	{object}	Task	"The task"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such task"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/tasks/{id} [get]
func (a *API) getTask(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	task, err := a.taskOf(c)
	if err != nil {
		return err
	}
	shown, err := a.task(task)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, shown)
}

// taskOf returns the task that the path names. One on a queue that the caller does not reach is not there for him.
func (a *API) taskOf(c echo.Context) (tasks.Task, error) {
	task, err := a.Tasks.Get(c.Request().Context(), taskOwner(c), c.Param("id"))
	if err == nil && !grants(c).Reaches(task.Queue) {
		err = tasks.ErrNotFound
	}
	return task, err
}

// cancelTask asks for the end of a task.
//
//	@Summary		Cancel a task
//	@Description	It ends after the step that is under way, at most 100 messages. What was done stays done. One that ends by itself before that has succeeded.
//	@ID				cancelTask
//	@Tags			tasks
//	@Param			id	path		string	true	"Id of the task"
//	@Success		200	{object}	Task	"The task, cancelling"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such task"
//	@Failure		409	{object}	Problem	"The task has ended (`task_finished`)"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/tasks/{id}/cancel [post]
func (a *API) cancelTask(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	if grants(c).Limited() {
		if _, err := a.taskOf(c); err != nil {
			return err
		}
	}
	ctx, t, _ := scope(c)
	task, err := a.Tasks.Cancel(ctx, t.String(), c.Param("id"))
	if err != nil {
		return err
	}
	shown, err := a.task(task)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, shown)
}

// listTaskErrors shows what went wrong with single messages of a task.
//
//	@Summary		List the errors of a task
//	@Description	In the order in which they came. The first 1,000 are kept; `failed` of the progress counts all.
//	@ID				listTaskErrors
//	@Tags			tasks
//	@Param			id		path		string			true	"Id of the task"
//	@Param			limit	query		int				false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string			false	"next_cursor of the part before"
//	@Success		200		{object}	Page[TaskError]	"A part of the list"
//	@Header			200		{string}	Link			"The next part, with rel=next"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such task"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/tasks/{id}/errors [get]
func (a *API) listTaskErrors(c echo.Context) error {
	q, err := readQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	id := c.Param("id")
	after, err := decodeCursor("task errors", id, &q)
	if err != nil {
		return err
	}
	skip := 0
	if after != "" {
		if skip, err = strconv.Atoi(after); err != nil || skip < 0 {
			return queryFault("cursor", "invalid", "must be the next_cursor of this list; start again without it")
		}
	}
	if grants(c).Limited() {
		if _, err := a.taskOf(c); err != nil {
			return err
		}
	}
	list, more, err := a.Tasks.Errors(c.Request().Context(), taskOwner(c), id, skip, limit)
	if err != nil {
		return err
	}
	data := make([]TaskError, len(list))
	for i, e := range list {
		data[i] = TaskError{Item: e.Item, Code: e.Code, Detail: e.Message, At: Instant{e.At}}
	}
	next := ""
	if more {
		next = strconv.Itoa(skip + len(list))
	}
	return answerPage(a, c, data, encodeCursor("task errors", id, next))
}
