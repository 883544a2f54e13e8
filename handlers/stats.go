package handlers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor"
)

// QueueSeries is what a queue had and did, in equal steps of time. Each list has a value for each step.
type QueueSeries struct {
	Series
	// Seconds since the oldest message was sent that a receive could return; 0 when there was none.
	OldestAge []int64 `json:"oldest_age"`
}

// Series is what queues had and did together, in equal steps of time. Each list has a value for each step.
type Series struct {
	// When the first step begins of which something is known.
	From Instant `json:"from" swaggertype:"string" format:"date-time"`
	// When the last step ends; it may not be over yet.
	To Instant `json:"to" swaggertype:"string" format:"date-time"`
	// Seconds of a step.
	Step int `json:"step" example:"10"`

	// Messages at the end of the step.
	Available []int64 `json:"available"`
	InFlight  []int64 `json:"in_flight"`
	Delayed   []int64 `json:"delayed"`
	// Bytes of all messages at the end of the step.
	Bytes []int64 `json:"bytes"`
	// Messages that were sent in the step.
	Sent     []int64 `json:"sent"`
	Received []int64 `json:"received"`
	// Acknowledged, deleted or purged in the step.
	Deleted []int64 `json:"deleted"`
	// Ended by retention in the step.
	Expired []int64 `json:"expired"`
	// Left for the dead-letter queue in the step.
	DeadLettered []int64 `json:"dead_lettered"`
}

// Rates are messages a second, in the last ten seconds.
type Rates struct {
	Sent     float64 `json:"sent" example:"12.5"`
	Received float64 `json:"received" example:"11.9"`
}

func newSeries(s monitor.Series) Series {
	column := func(c int) []int64 {
		out := make([]int64, len(s.Points))
		for i := range s.Points {
			out[i] = s.Points[i][c]
		}
		return out
	}
	return Series{
		From: Instant{s.From}, To: Instant{s.To}, Step: wholeSeconds(s.Step),
		Available: column(monitor.Available), InFlight: column(monitor.InFlight), Delayed: column(monitor.Delayed), Bytes: column(monitor.Bytes),
		Sent: column(monitor.Sent), Received: column(monitor.Received), Deleted: column(monitor.Deleted), Expired: column(monitor.Expired),
		DeadLettered: column(monitor.DeadLettered),
	}
}

// getQueueStats shows what a queue had and did.
//
//	@Summary		Get the history of a queue
//	@Description	What it held and handled in steps of 10 seconds for an hour, of a minute for a day and of 10 minutes for a week. What was older than an hour is rounded to about three parts in a hundred. It begins with the first step of which something is known; a queue is looked at while it is in use.
//	@ID				getQueueStats
//	@Tags			queues
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			window	query		string		false	"How far back, up to 7 days, in seconds or as text"	default(1h)
//	@Param			step	query		string		false	"A multiple of 10 seconds, in seconds or as text; 10 seconds, a minute or 10 minutes when left out, as the window needs"
//	@Success		200		{object}	QueueSeries	"The series"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such queue"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/stats [get]
func (a *API) getQueueStats(c echo.Context) error {
	window, step, err := readWindow(c)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if _, err := a.Queues.Get(ctx, t, name); err != nil {
		return a.guess(c, err)
	}
	s, err := a.Monitor.Queue(ctx, t, name, window, step)
	if err != nil {
		return a.guess(c, err)
	}
	ages := make([]int64, len(s.Points))
	now := a.Clock.Now()
	for i, p := range s.Points {
		if oldest := p[monitor.Oldest]; oldest > 0 {
			end := s.From.Add(time.Duration(i+1) * s.Step)
			if end.After(now) {
				end = now
			}
			ages[i] = max(end.Sub(time.UnixMilli(oldest)), 0).Milliseconds() / 1000
		}
	}
	return a.json(c, http.StatusOK, QueueSeries{newSeries(s), ages})
}

// getStats shows what all queues of a tenant had and did.
//
//	@Summary		Get the history of all queues together
//	@Description	As that of one queue. What queues counted that were deleted since stays in it.
//	@ID				getStats
//	@Tags			queues
//	@Param			window	query		string	false	"How far back, up to 7 days, in seconds or as text"	default(1h)
//	@Param			step	query		string	false	"A multiple of 10 seconds, in seconds or as text; 10 seconds, a minute or 10 minutes when left out, as the window needs"
//	@Success		200		{object}	Series	"The series"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such tenant"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/stats [get]
func (a *API) getStats(c echo.Context) error {
	if grants(c).Limited() {
		return errNoSums
	}
	return a.answerSeries(c, func(ctx context.Context, window, step time.Duration) (monitor.Series, error) {
		return a.Monitor.Tenant(ctx, RequestOf(c).Tenant, window, step)
	})
}

// errNoSums refuses what is known of all queues to keys that reach only some.
var errNoSums = &errs.Error{Kind: errs.Forbidden, Code: auth.ErrPermissionDenied.Code,
	Message: "The key reaches only some queues, and this is about all of them.",
	Fix:     "Ask for the history of one queue: GET /v1/queues/{queue}/stats."}

// getSystemStats shows what all queues of all tenants had and did.
//
//	@Summary		Get the history of the installation
//	@Description	All queues of all tenants together. Needs an operator's key.
//	@ID				getSystemStats
//	@Tags			operators
//	@Param			window	query		string	false	"How far back, up to 7 days, in seconds or as text"	default(1h)
//	@Param			step	query		string	false	"A multiple of 10 seconds, in seconds or as text; 10 seconds, a minute or 10 minutes when left out, as the window needs"
//	@Success		200		{object}	Series	"The series"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/system/stats [get]
func (a *API) getSystemStats(c echo.Context) error { return a.answerSeries(c, a.Monitor.Installation) }

func (a *API) answerSeries(c echo.Context, read func(ctx context.Context, window, step time.Duration) (monitor.Series, error)) error {
	window, step, err := readWindow(c)
	if err != nil {
		return err
	}
	s, err := read(c.Request().Context(), window, step)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, newSeries(s))
}

// readWindow reads which part of a series is wanted.
func readWindow(c echo.Context) (window, step time.Duration, err error) {
	q, err := readQuery(c, "window", "step")
	if err != nil {
		return 0, 0, err
	}
	window = time.Hour
	switch d, err := q.upTo("window", monitor.MaxWindow); {
	case err != nil:
		return 0, 0, err
	case d != nil && *d < monitor.Step:
		return 0, 0, queryFault("window", "out_of_range", "must be at least 10 seconds")
	case d != nil:
		window = *d
	}
	finest := monitor.FinestStep(window)
	step = finest
	d, err := q.upTo("step", monitor.MaxWindow)
	if err != nil || d == nil {
		return window, step, err
	}
	switch step = *d; {
	case step < finest || step%monitor.Step != 0:
		return 0, 0, queryFault("step", "not_allowed", fmt.Sprintf("must be a multiple of 10 seconds, and %d or more for such a window", wholeSeconds(finest)))
	case window/step >= monitor.MaxPoints:
		return 0, 0, queryFault("step", "not_allowed", fmt.Sprintf("gives more than %d points for such a window", monitor.MaxPoints))
	}
	return window, step, nil
}

// readSort reads by which of some columns a list is sorted; "" for a list that is by name as it is.
func readSort(q *query, columns []string) (column string, descending bool, err error) {
	column, descending = strings.CutPrefix(q.text("sort"), "-")
	if q.has("sort") && !slices.Contains(columns, column) {
		return "", false, queryFault("sort", "not_allowed", "must be one of "+strings.Join(columns, ", ")+", with - before it for the largest first")
	}
	return column, descending, nil
}
