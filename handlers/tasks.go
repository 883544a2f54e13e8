package handlers

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// Task is work that was asked for.
type Task struct {
	ID     string `json:"id" example:"task_0kq1zv3m5c8g02r4b7ft"`
	Type   string `json:"type" enums:"purge"`
	Status string `json:"status" enums:"running,succeeded,failed"`
	// Name of the queue that it works on.
	Queue     string       `json:"queue" example:"orders"`
	Progress  TaskProgress `json:"progress"`
	CreatedAt Instant      `json:"created_at" swaggertype:"string" format:"date-time"`
	// null while it is running.
	FinishedAt *Instant `json:"finished_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// TaskProgress counts the messages of a task.
type TaskProgress struct {
	Total int64 `json:"total" example:"2014"`
	Done  int64 `json:"done" example:"2014"`
}

func newTask(t tasks.Task) Task {
	return Task{ID: t.ID, Type: t.Type, Status: string(t.Status), Queue: t.Queue,
		Progress:  TaskProgress{Total: t.Progress.Total, Done: t.Progress.Done},
		CreatedAt: Instant{t.CreatedAt}, FinishedAt: instant(t.FinishedAt)}
}

// purge deletes all messages of a queue and keeps a record of it. The record is begun first, so that an error of it
// means that nothing was deleted.
func (a *API) purge(ctx context.Context, t tenants.ID, queue string) (tasks.Task, error) {
	task := tasks.Task{Type: "purge", Status: tasks.Running, Queue: queue, CreatedAt: a.Clock.Now()}
	id, err := a.Tasks.Add(ctx, t.String(), task)
	if err != nil {
		return task, err
	}
	task.ID = id
	count, err := a.Queues.Purge(ctx, t, queue)
	task.Status, task.FinishedAt = tasks.Succeeded, a.Clock.Now()
	task.Progress = tasks.Progress{Total: count, Done: count}
	if err != nil {
		task.Status = tasks.Failed
	}
	if _, err := a.Tasks.Add(ctx, t.String(), task); err != nil {
		a.Logger.Warn("the end of a task was not recorded", "task", task.ID, "tenant", t.String(), "error", err.Error())
	}
	return task, err
}

// listTasks shows a part of a tenant's tasks.
//
//	@Summary		List tasks
//	@Description	Newest first. The newest 1,000 are kept.
//	@ID				listTasks
//	@Tags			tasks
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
	q, err := readQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	after, err := decodeCursor("tasks", "", &q)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, next, err := a.Tasks.List(ctx, t.String(), limit, after)
	if err != nil {
		return err
	}
	data := make([]Task, len(list))
	for i, one := range list {
		data[i] = newTask(one)
	}
	return answerPage(a, c, data, encodeCursor("tasks", "", next))
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
	ctx, t, _ := scope(c)
	task, err := a.Tasks.Get(ctx, t.String(), c.Param("id"))
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, newTask(task))
}
