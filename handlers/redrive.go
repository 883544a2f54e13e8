package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// Redriving is what a client says to move messages of a queue. What is missing means: all, and back to where they came
// from.
type Redriving struct {
	// The queue to which they go, or source: each to the one from which it came.
	To string `json:"to,omitempty" default:"source" example:"source"`
	// Only messages that match; see the filter of a look at messages.
	Filter string `json:"filter,omitempty" example:"reason:*timeout* age<1h"`
	// Only these, at most 500. Not together with a filter.
	MessageIDs []string `json:"message_ids,omitempty" validate:"max=500"`
	// How many at most; 0 for any number.
	Limit int64 `json:"limit,omitempty" validate:"min=0" example:"100"`
	// How many a second at most; 0 for as fast as it goes.
	MaxRate int `json:"max_rate,omitempty" validate:"min=0,max=500" example:"50"`
}

// RedriveCount is what a redrive would do.
type RedriveCount struct {
	// How many messages match among those that were looked at.
	Matching int     `json:"matching" example:"2014"`
	Scanned  Scanned `json:"scanned"`
}

// RedrivenMessage is a message that was moved.
type RedrivenMessage struct {
	// Its new id.
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fv"`
	// The queue to which it went.
	Queue string `json:"queue" example:"orders"`
	// The id that it had.
	RedrivenFrom string `json:"redriven_from" example:"msg_0kq1zv3m5c8g02r4b7fg"`
}

// toSource asks that each message goes back to where it came from.
const toSource = "source"

// redriveQueue moves messages of a queue to others.
//
//	@Summary		Move messages to another queue
//	@Description	Mostly of a dead-letter queue, back to where they came from. Messages that are available now are moved, the oldest first; those that somebody holds, or that are delayed, stay. There they begin anew: with a new id, sent now, never received. `origin` tells where they were.
//	@Description
//	@Description	With `dry_run=true` nothing is moved: the answer says how many match among those that one look at the queue sees, as of `GET …/messages`.
//	@ID				redriveQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue	path		string			true	"Name of the queue"
//	@Param			dry_run	query		bool			false	"Only count"	default(false)
//	@Param			redrive	body		Redriving		false	"Which messages, and where to"
//	@Success		200		{object}	RedriveCount	"With dry_run=true: what it would do"
//	@Success		202		{object}	Task			"The task"
//	@Header			202		{string}	Location		"The task"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		403		{object}	Problem			"The tenant has as many unfinished tasks as it may have"
//	@Failure		404		{object}	Problem			"No such queue"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"Another redrive of the queue is under way"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/queues/{queue}/redrive [post]
func (a *API) redriveQueue(c echo.Context) error {
	q, err := readQuery(c, "dry_run")
	if err != nil {
		return err
	}
	dry, err := q.flag("dry_run")
	if err != nil {
		return err
	}
	var opt queues.RedriveOptions
	filter, to := "", toSource
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"to", "filter", "message_ids", "limit", "max_rate"}, func(key []byte) {
			switch string(key) {
			case "to":
				s, _ := r.str()
				to = string(s)
			case "filter":
				s, _ := r.str()
				filter = string(s)
			case "message_ids":
				opt.IDs = r.messageIDs()
			case "limit":
				opt.Limit, _ = r.integer(0, 1<<53)
			case "max_rate":
				n, _ := r.integer(0, maxRedriveRate)
				opt.MaxRate = int(n)
			}
		})
		if filter != "" && len(opt.IDs) > 0 {
			r.fault("contradiction", "has a filter and message_ids: give one of them")
		}
	})
	if err != nil {
		return err
	}
	if opt.Filter, err = filterMember(c, filter); err != nil {
		return err
	}
	if to != toSource {
		opt.To = to
	}
	if err := reachesDestination(c, opt.To, errs.Field{Pointer: "/to"}); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	n, err := a.Queues.PlanRedrive(ctx, t, name, opt)
	if err != nil {
		return a.guess(c, err)
	}
	if dry {
		onlyLooks(c)
		return a.countRedrive(c, opt)
	}
	task, err := a.begin(c, n, TaskScope{To: to, Filter: filter, MessageIDs: len(opt.IDs), Limit: opt.Limit, MaxRate: opt.MaxRate})
	if err != nil {
		return err
	}
	return a.accept(c, task)
}

// maxRedriveRate is how many messages a second a redrive may be asked for.
const maxRedriveRate = 500

// countRedrive says what a redrive would do.
func (a *API) countRedrive(c echo.Context, opt queues.RedriveOptions) error {
	ctx, t, name := scope(c)
	if len(opt.IDs) > 0 {
		n := len(opt.IDs)
		return a.json(c, http.StatusOK, RedriveCount{Matching: n, Scanned: Scanned{Messages: n, Complete: true}})
	}
	matching, looked, complete, err := a.Queues.CountMatching(ctx, t, name, opt.Filter)
	if err != nil {
		return a.guess(c, err)
	}
	if opt.Limit > 0 {
		matching = int(min(int64(matching), opt.Limit))
	}
	return a.json(c, http.StatusOK, RedriveCount{Matching: matching, Scanned: Scanned{Messages: looked, Complete: complete}})
}

// messageIDs reads a list of ids of messages.
func (r *reader) messageIDs() []engine.ID {
	var ids []engine.ID
	r.array(queues.MaxRedriveIDs, func(int) {
		s, ok := r.str()
		if !ok {
			return
		}
		id, ok := parseMessageID(string(s))
		if !ok {
			r.fault("invalid", "must be the id of a message, as msg_0kq1zv3m5c8g02r4b7fg")
			return
		}
		ids = append(ids, id)
	})
	return ids
}

// redriveMessage moves one message, and may change its body.
//
//	@Summary		Edit a message and send it again
//	@Description	Moves a message that nobody holds, mostly of a dead-letter queue, to another queue: with the body of the request, if it has one, else as it is. There it begins anew, with a new id. Attributes and group stay.
//	@ID				redriveMessage
//	@Tags			messages
//	@Param			queue	path		string			true	"Name of the queue"
//	@Param			id		path		string			true	"Id of the message"
//	@Param			to		query		string			false	"The queue to which it goes; default: the one from which it came"
//	@Param			message	body		string			false	"The new body"
//	@Success		201		{object}	RedrivenMessage	"Moved"
//	@Header			201		{string}	Location		"The message in its new queue"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such message, or no such queue"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"Somebody holds the message, or it has no queue to which it could go back"
//	@Failure		413		{object}	Problem			"The message is too large"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id}/redrive [post]
func (a *API) redriveMessage(c echo.Context) error {
	q, err := readQuery(c, "to")
	if err != nil {
		return err
	}
	to := q.text("to")
	if to == toSource {
		to = ""
	}
	if err := reachesDestination(c, to, errs.Field{Query: "to"}); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	body, err := readBody(c, buf, queues.MaxMessageSize, messageTooLarge)
	if err != nil {
		return err
	}
	var change func(*queues.Outgoing)
	if len(body) > 0 {
		kind, err := messageType(c.Request(), body)
		if err != nil {
			return err
		}
		change = func(m *queues.Outgoing) { m.Body, m.ContentType = body, kind }
	}
	ctx, t, name := scope(c)
	id := messageParam(c)
	moved, err := a.Queues.Redrive(ctx, t, name, id, to, change)
	if err != nil {
		return a.guess(c, relocate(err, func(f *errs.Field) {
			if f.Pointer == "/to" {
				f.Pointer, f.Query = "", "to"
			}
		}))
	}
	out := RedrivenMessage{ID: messageID(moved.ID), Queue: moved.Queue, RedrivenFrom: messageID(id)}
	c.Response().Header().Set("Location", a.link("/v1/queues/"+moved.Queue+"/messages/"+out.ID))
	return a.json(c, http.StatusCreated, out)
}
