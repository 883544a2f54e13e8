package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
)

// Paused is what of a queue is paused.
type Paused struct {
	// Null while messages can be received.
	Receive *Pause `json:"receive" extensions:"x-nullable"`
	// Null while messages can be sent.
	Send *Pause `json:"send" extensions:"x-nullable"`
}

// Pause is one pause of a queue.
type Pause struct {
	Since Instant `json:"since" swaggertype:"string" format:"date-time"`
	// As it was given; empty for none.
	Reason string `json:"reason" example:"database upgrade"`
}

// PauseQueueInput says what to pause.
type PauseQueueInput struct {
	// What to pause.
	Direction string `json:"direction,omitempty" enums:"receive,send,both" default:"both" example:"receive"`
	// Why, for those who look at the queue and for senders who are refused.
	Reason string `json:"reason,omitempty" validate:"max=255" example:"database upgrade"`
}

// ResumeQueueInput says what to resume.
type ResumeQueueInput struct {
	// What goes on.
	Direction string `json:"direction,omitempty" enums:"receive,send,both" default:"both" example:"both"`
}

// newPaused returns what is paused for an answer, and nil for nothing.
func newPaused(p queues.Paused) *Paused {
	if p == (queues.Paused{}) {
		return nil
	}
	one := func(p *queues.Pause) *Pause {
		if p == nil {
			return nil
		}
		return &Pause{Since: Instant{p.Since}, Reason: p.Reason}
	}
	return &Paused{Receive: one(p.Receive), Send: one(p.Send)}
}

// pauseQueue closes a queue for a while.
//
//	@Summary		Pause a queue
//	@Description	In one direction or in both, at once and on all servers, until it is resumed; a restart does not end it, nor do new settings. What was received before can be acknowledged, extended and returned, and messages can be looked at and deleted.
//	@Description
//	@Description	A paused receive waits as at an empty queue, and goes on as soon as the queue is resumed; when its wait is over the answer is empty and has `paused`. A paused send is refused with `queue_paused`. What is paused already stays so, and takes the new reason.
//	@ID				pauseQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			If-Match		header		string		false	"Only when the queue has this ETag"
//	@Param			If-None-Match	header		string		false	"Only when the queue has another ETag"
//	@Param			pause			body		PauseQueueInput	false	"What to pause, and why"
//	@Success		200				{object}	Queue		"The queue"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/pause [post]
func (a *API) pauseQueue(c echo.Context) error {
	dir, reason, err := a.readPause(c, "direction", "reason")
	if err != nil {
		return err
	}
	cond, err := a.queueCondition(c)
	if err != nil {
		return a.guess(c, err)
	}
	ctx, t, name := scope(c)
	q, err := a.Queues.Pause(ctx, t, name, dir, reason, cond)
	if err != nil {
		return a.guess(c, err)
	}
	return a.answerQueue(c, http.StatusOK, q)
}

// resumeQueue opens a queue again.
//
//	@Summary		Resume a queue
//	@Description	Receives that wait, on whichever server, go on at once. What is not paused stays so.
//	@ID				resumeQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			If-Match		header		string		false	"Only when the queue has this ETag"
//	@Param			If-None-Match	header		string		false	"Only when the queue has another ETag"
//	@Param			resume			body		ResumeQueueInput	false	"What to resume"
//	@Success		200				{object}	Queue		"The queue"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/resume [post]
func (a *API) resumeQueue(c echo.Context) error {
	dir, _, err := a.readPause(c, "direction")
	if err != nil {
		return err
	}
	cond, err := a.queueCondition(c)
	if err != nil {
		return a.guess(c, err)
	}
	ctx, t, name := scope(c)
	q, err := a.Queues.Resume(ctx, t, name, dir, cond)
	if err != nil {
		return a.guess(c, err)
	}
	return a.answerQueue(c, http.StatusOK, q)
}

// readPause reads those members of a PauseQueueInput that have these names.
func (a *API) readPause(c echo.Context, names ...string) (dir queues.Direction, reason string, err error) {
	dir = queues.DirectionBoth
	err = a.readControl(c, func(r *reader) {
		r.object(names, func(key []byte) {
			switch {
			case string(key) == "direction":
				if s, ok := r.str(); ok {
					dir = queues.Direction(s)
				}
				if dir != queues.DirectionReceive && dir != queues.DirectionSend && dir != queues.DirectionBoth {
					r.fault("not_allowed", "must be receive, send or both")
				}
			case string(key) == "reason" && len(names) > 1:
				s, ok := r.str()
				if ok && len(s) > queues.MaxPauseReason {
					r.fault("out_of_range", "must have at most %d bytes, got %d", queues.MaxPauseReason, len(s))
				}
				reason = string(s)
			}
		})
	})
	return dir, reason, err
}
